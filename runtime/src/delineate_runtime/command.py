"""The command `delineate-runtime`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from delineate_runtime.errors import ImageError, RuntimeFailure, UsageError

STOPPED = 128 + signal.SIGINT
SHOWN = 12  # names in a message


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the program with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Behind the program's name; None for its own.

    Returns:
        The exit code: 0, 1 where an image or the model could not be used, 2 where the command is wrong.
    """
    wanted = _parser().parse_args(arguments)
    try:
        return predict_all(wanted.model, wanted.images, wanted.out, wanted.threads)
    except RuntimeFailure as error:
        _tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _tell("Stopped.")
        return STOPPED


def predict_all(model_path: Path, given: Sequence[Path], out: Path, threads: int | None = None) -> int:
    """Write the mask of every picture; one bad file never stops the rest.

    Args:
        model_path: Of an exported model.
        given: Pictures, or folders of pictures.
        out: A new folder.
        threads: To compute with.

    Returns:
        0, or 1 where a picture could not be used.

    Raises:
        RuntimeFailure: The model or the folder cannot be used, or there is nothing to predict.
    """
    from delineate_runtime.model import load  # noqa: PLC0415  quick --help
    from delineate_runtime.writing import new_folder, write_mask  # noqa: PLC0415  likewise

    paths = _pictures(given)
    model = load(model_path, threads=threads)
    folder, failed = new_folder(out), 0
    for path in paths:
        try:
            write_mask(folder / f"{path.stem}.png", model.predict(path), len(model.labels))
        except ImageError as error:
            failed += 1
            _tell(f"Failed: {path}: {error}")
        except MemoryError:
            failed += 1
            _tell(f"Failed: {path}: it is too large for this machine's memory")
    done = len(paths) - failed
    notice = f", {failed} input{'s' * (failed != 1)} failed" if failed else ""
    sys.stdout.write(f"{done} mask{'s' * (done != 1)} in {folder}{notice}\n")
    return 1 if failed else 0


def _pictures(given: Sequence[Path]) -> list[Path]:
    """The files that are meant, folders opened.

    Raises:
        UsageError: There is none, or two would have one mask.
    """
    from delineate_runtime.pictures import SUFFIXES, TIFF_SUFFIXES  # noqa: PLC0415  quick --help

    paths: list[Path] = []
    for each in given:
        if each.is_dir():
            inside = sorted(path for path in each.iterdir() if not path.name.startswith("."))
            found = [path for path in inside if path.suffix.lower() in SUFFIXES + TIFF_SUFFIXES]
            if not found:
                raise UsageError(f"{each} holds no pictures.")
            kept = set(found)
            skipped = [path.name for path in inside if path not in kept]
            if skipped:
                more = f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
                _tell(f"Skipped in {each}, no pictures: {', '.join(skipped[:SHOWN])}{more}.")
            paths += found
        else:
            paths.append(each)
    names: dict[str, Path] = {}
    twice = []
    for path in dict.fromkeys(paths):
        other = names.setdefault(path.stem.casefold(), path)
        if other != path:
            twice.append(f"{other} and {path}")
    if twice:
        raise UsageError(f"These would have the same mask, so give them other names: {'; '.join(twice)}")
    return list(dict.fromkeys(paths))


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _threads(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of threads")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="delineate-runtime",
        description="Masks from a model that Delineate exported to ONNX. For research; not a medical device.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict",
        help="write a mask for every picture, of its own size",
        description="Write a mask for every picture, of its own size.",
    )
    predict.add_argument("model", type=Path, metavar="MODEL.onnx", help="from delineate export --to onnx")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="pictures, or folders of them")
    predict.add_argument("--out", type=Path, required=True, help="new folder for the masks")
    predict.add_argument("--threads", type=_threads, help="to compute with")
    return parser
