"""A model as a file for other programs, written only where its answers are the model's."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from delineate.dataset.cases import load_image
from delineate.dataset.inputs import GivenImage, prediction_inputs
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.errors import DataError, OutputError, UsageError
from delineate.export.agreement import Agreement
from delineate.export.order import Form, Order, form_for, in_fp32
from delineate.export.synthetic import synthetic_images
from delineate.extras import installing
from delineate.files import as_path, as_paths, free_path, output_error
from delineate.formats import Reading
from delineate.image import Image
from delineate.inference.loading import refuse_exported
from delineate.inference.model import Model, load
from delineate.inference.onnx_file import Channels, Pixels
from delineate.jobs.codes import explained
from delineate.jobs.reading import reading_for
from delineate.jobs.reporter import Reporter
from delineate.threads import limiting_threads

IMAGES_COMPARED = 6
VOLUMES_COMPARED = 3
Exporter = Callable[[Order, Path], Agreement]


@dataclass(frozen=True)
class Target:
    """A format that models are exported to.

    Attributes:
        module: That holds its exporter, imported when it is wanted.
        exporter: Its function: writes the file or folder, and compares it with the model; `ExportError` where
            they do not agree.
        extra: Of the package, that installs what it needs; "" for none.
        suffix: Of its file; "" where it is a folder.
        formed: Whether its images can be had in another form.
    """

    module: str
    exporter: str
    extra: str = ""
    suffix: str = ""
    formed: bool = False


TARGETS: dict[str, Target] = {
    "onnx": Target("delineate.export.onnx_model", "export_onnx", "onnx", ".onnx", formed=True),
    "openvino": Target("delineate.export.openvino", "export_openvino", "openvino"),
    "torchscript": Target("delineate.export.torchscript", "export_torchscript", "", ".pt", formed=True),
    "monai-bundle": Target("delineate.export.monai_bundle", "export_bundle"),
}


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        path: The file or folder.
        form: In which it takes its images.
        agreement: How near it is to the model.
        given: Images that were given; the agreement is on some of them, or on synthetic ones where it is 0.
    """

    path: Path
    form: Form
    agreement: Agreement
    given: int


@limiting_threads
def export(
    model: Model | str | Path,
    to: str,
    out: str | Path,
    *,
    channels: Channels = "last",
    pixels: Pixels | None = None,
    images: str | Path | Sequence[str | Path] = (),
    reading: Reading | None = None,
    threads: int | None = None,  # noqa: ARG001  the decorator reads it
    reporter: Reporter | None = None,
) -> Export:
    """Write a model for other programs.

    Args:
        model: A loaded model, a model file or a run folder.
        to: One of `TARGETS`.
        out: A new file, or a new folder, as the format has it.
        channels: Where the axis of channels stands in the images that the file takes: "last" or "first".
        pixels: Their type: "uint8", "uint16" or "float32" (integers as shares, from 0 to 1); None for
            "uint8", or for "float32" where the training's images had units of their own.
        images: Images, or folders of images, on which the file is compared with the model; none for synthetic
            ones.
        reading: How they are read.
        threads: To compute with.
        reporter: Told how it goes.

    Returns:
        What was written, and how near it is.

    Raises:
        UsageError: There is no such format, or a package is missing that it needs.
        OutputError: The place is taken, or cannot be written.
        DataError: An image cannot be read, or does not fit the model.
        ExportError: The file's answers are not the model's; nothing is left at `out`.
    """
    reporter = reporter or Reporter()
    exporter = exporter_of(to)
    if not TARGETS[to].formed and (channels != "last" or pixels is not None):
        raise UsageError(f"--channels and --pixels have no meaning with --to {to}. Omit them.")
    path = free_path(as_path(out), TARGETS[to].suffix)
    if not isinstance(model, Model):
        refuse_exported(model, "be exported again")
    loaded = in_fp32(model if isinstance(model, Model) else load(model))
    form = form_for(loaded, channels, pixels)
    given = as_paths(images)
    real = given_images(loaded, given, reporter)
    most = VOLUMES_COMPARED if loaded.plan.data.axes == 3 else IMAGES_COMPARED
    compared = (
        ReadImages(real, most, reading_for(loaded.plan, reading), reporter)
        if given
        else synthetic_images(loaded.card, form.pixels)
    )
    with work_place(path) as place:
        agreement = exporter(Order(loaded, form, compared), place)
    return Export(path, form, agreement, len(real))


def exporter_of(to: str) -> Exporter:
    """The function that writes a format.

    Raises:
        UsageError: There is no such format, or a package is missing that it needs.
    """
    if to not in TARGETS:
        raise UsageError(f"--to {to}: there is no such format. Give one of {', '.join(TARGETS)}.")
    target = TARGETS[to]
    try:
        exporter: Exporter = getattr(importlib.import_module(target.module), target.exporter)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("delineate"):
            raise
        raise UsageError(f"--to {to} needs the package {error.name}: {installing(target.extra)}") from error
    return exporter


@contextlib.contextmanager
def work_place(path: Path) -> Iterator[Path]:
    """A place beside `path` for a file or folder, moved to `path` when the block ends well, else removed."""
    try:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".part"))
    except OSError as error:
        raise output_error(path, error) from error
    try:
        place = folder / path.name
        yield place
        if path.exists():
            raise OutputError(
                f"{path} is there already. Nothing was touched. Give another name, or remove it."
            )
        for each in [place, *place.rglob("*")]:
            _onto_disk(each)
        place.rename(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _onto_disk(path: Path) -> None:
    if path.is_file():
        with path.open("rb+") as stream:  # not "rb": Windows flushes only what can be written
            os.fsync(stream.fileno())


def _hidden(text: str, paths: Iterable[Path]) -> str:
    """A text about files, with codes in place of names that tell too much."""
    pseudonyms = Pseudonyms()
    pseudonyms.hide_others(paths)
    return pseudonyms.redacted(text)


def given_images(model: Model, given: Sequence[Path], reporter: Reporter) -> tuple[GivenImage, ...]:
    """The images among files and folders; what is left out is told.

    Raises:
        DataError: Some of what was given is none, or there is none at all.
    """
    if not given:
        return ()
    data = model.plan.data
    found = prediction_inputs(
        given, data.channels if data.colour == "channels" else 1, volumes=data.axes == 3
    )
    for problem in found.problems:
        if problem.level == "warning":
            reporter.warn(_hidden(problem.message, problem.paths))
    if errors := [_hidden(each.message, each.paths) for each in found.problems if each.level == "error"]:
        raise DataError(explained(" ".join(errors), "delineate predict MODEL IMAGES --out FOLDER"))
    if not found.images:
        raise DataError(f"There is no image in {', '.join(map(str, given))}.")
    return found.images


@dataclass(frozen=True)
class ReadImages:
    """Images from files, evenly spread over those given, one in memory at a time."""

    images: Sequence[GivenImage]
    most: int
    reading: Reading
    reporter: Reporter

    def __iter__(self) -> Iterator[Image]:
        count = min(self.most, len(self.images))
        for done in range(count):
            place = (2 * done + 1) * len(self.images) // (2 * count)
            chosen = self.images[place]
            try:
                image = load_image(chosen.files, self.reading, stack=chosen.stack)
            except DataError as error:
                at = f"image {place + 1} of {len(self.images)}"
                raise DataError(f"{_hidden(str(error), chosen.files)} ({at})") from error
            yield image
            self.reporter.stage("comparing", done + 1, count)
