"""A model in int8, written only where it costs little Dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.errors import ExportError, UsageError
from delineate.export.openvino import exported
from delineate.export.order import in_fp32
from delineate.export.quantization import export_int8 as write_int8
from delineate.export.quantization import mask_dice
from delineate.files import as_path, as_paths, free_path
from delineate.formats import Reading
from delineate.inference.loading import refuse_exported
from delineate.inference.model import Model, load
from delineate.jobs.export import ReadImages, given_images, work_place
from delineate.jobs.reading import reading_for
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import evaluate
from delineate.threads import limiting_threads

if TYPE_CHECKING:
    from delineate.inference.loading import AnyModel

MAXIMUM_DICE_LOSS = 0.005
MOST_IMAGES = 300
_ITSELF: float | None = 1.0  # Dice of masks against themselves


@dataclass(frozen=True)
class Int8Export:
    """What was exported, and what it costs.

    Attributes:
        path: The folder.
        images: That it was calibrated on.
        windows: That the net saw of them.
        dice_fp32: On labelled data; 1 without any.
        dice_int8: Likewise; without labelled data the Dice against the masks in fp32.
        labelled: Whether there were labelled data.
    """

    path: Path
    images: int
    windows: int
    dice_fp32: float
    dice_int8: float
    labelled: bool

    @property
    def dice_loss(self) -> float:
        """How much lower the Dice is."""
        return self.dice_fp32 - self.dice_int8

    def in_words(self) -> str:
        """What was found."""
        if self.labelled:
            way = "lower" if self.dice_loss >= 0 else "higher"
            difference = f"{abs(self.dice_loss):.4f} {way}"
            return f"Dice {self.dice_fp32:.4f} in fp32, {self.dice_int8:.4f} in int8: {difference}"
        return (
            f"Dice {self.dice_int8:.4f} against the masks in fp32 on the same images: {self.dice_loss:.4f} "
            "counted as lost, for want of labelled data"
        )


@limiting_threads
def export_int8(
    model: Model | str | Path,
    out: str | Path,
    *,
    images: str | Path | Sequence[str | Path],
    data: str | Path | None = None,
    max_dice_loss: float = MAXIMUM_DICE_LOSS,
    reading: Reading | None = None,
    threads: int | None = None,  # noqa: ARG001  the decorator reads it
    reporter: Reporter | None = None,
) -> Int8Export:
    """Write a model as an OpenVINO IR in int8, and measure what it costs.

    Args:
        model: A loaded model, a model file or a run folder.
        out: A new folder.
        images: Images, or folders of images, to calibrate with; best some of the training's.
        data: A labelled data set, as for training, on which the Dice is measured; None to measure how far the
            masks of int8 are from those of fp32 on `images`.
        max_dice_loss: Above which nothing is written, 0 to 1.
        reading: How files are read.
        threads: To compute with.
        reporter: Told how it goes.

    Returns:
        What was written, and what it costs.

    Raises:
        UsageError: There is no image or data set, or a package is missing.
        OutputError: The place is taken, or cannot be written.
        DataError: An image cannot be read, or does not fit the model.
        ExportError: It costs more than is allowed; nothing is left at `out`.
    """
    if not 0 <= max_dice_loss <= 1:
        raise UsageError(f"--max-dice-loss {max_dice_loss} is no difference of Dice: give 0 to 1.")
    reporter = reporter or Reporter()
    path = free_path(as_path(out))
    if not isinstance(model, Model):
        refuse_exported(model, "be exported again")
    loaded = in_fp32(model if isinstance(model, Model) else load(model))
    given = given_images(loaded, as_paths(images), reporter)
    count = min(MOST_IMAGES, len(given))
    if not count:
        raise UsageError("--precision int8 needs images to calibrate with: --images FOLDER.")
    real = ReadImages(given, MOST_IMAGES, reading_for(loaded.plan, reading), reporter)
    with work_place(path) as place:
        windows = write_int8(loaded, real, place)
        quick = exported(place)
        if data is None:
            before, after = _ITSELF, mask_dice(loaded, quick, real, len(loaded.labels))
        else:
            before = _dice(loaded, data, reading, reporter)
            after = _dice(quick, data, reading, Reporter())  # what the data are like has been told
        if before is None or after is None:
            raise ExportError(
                f"There is no label in {data or 'the masks of the images'}, so that what int8 costs cannot "
                "be measured. Nothing was written."
            )
        made = Int8Export(path, count, windows, before, after, labelled=data is not None)
        if not made.dice_loss <= max_dice_loss:
            raise ExportError(
                f"int8 costs too much: {made.in_words()}, and at most {max_dice_loss:g} is allowed "
                "(--max-dice-loss). Nothing was written. More or other images to calibrate with may help"
                + ("." if made.labelled else ", as may measuring on labelled data: --data.")
            )
    return made


def _dice(model: AnyModel, data: str | Path, reading: Reading | None, reporter: Reporter) -> float | None:
    dice = evaluate(model, data, reading=reading, reporter=reporter).summary.mean_dice
    return None if dice is None else dice.mean
