"""The command line: a thin layer over the jobs. Read `app` first."""


def main() -> None:
    """Run `delineate`."""
    from delineate.cli.app import run  # noqa: PLC0415  so that importing the package costs nothing

    run()
