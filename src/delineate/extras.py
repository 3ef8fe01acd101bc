"""How the packages of an extra are installed."""

from __future__ import annotations

import shlex
from importlib.metadata import PackageNotFoundError, requires


def installing(extra: str) -> str:
    """The command that installs an extra: `pip install 'onnx>=1.21' 'onnxruntime>=1.22'`.

    Its packages are named one by one: an extra is asked for by the name of the whole, and on the public index
    of packages `delineate` is another project.

    Args:
        extra: As in `pyproject.toml`: "onnx".
    """
    try:
        wanted = [each.partition(";") for each in requires("delineate") or ()]
    except PackageNotFoundError:  # the source alone is on Python's path
        return f"pip install '.[{extra}]' in the copy of the source"
    packages = [package.strip() for package, _, marker in wanted if f"'{extra}'" in marker.replace('"', "'")]
    return shlex.join(["pip", "install", *packages])
