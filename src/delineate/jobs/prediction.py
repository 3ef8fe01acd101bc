"""Masks for new images, each on its own grid; one bad file never stops the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from delineate import formats
from delineate.dataset.cases import load_image
from delineate.dataset.inputs import prediction_inputs
from delineate.errors import DataError, UsageError
from delineate.files import new_folder, output_error, sha256, write_text, write_with
from delineate.image import Image, Mask
from delineate.inference.model import Model, label_probabilities, load
from delineate.jobs.reporter import Reporter
from delineate.jobs.software import software_versions

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Predicted:
    """What became of one input.

    Attributes:
        input: The file's name, or its channel files' names; no folder.
        sha256: Of those files; empty where one could not be read.
        status: "done" or "failed".
        reason: Why it failed.
        mask: The mask's file in the output folder.
        size: `(H, W)` of the image and its mask.
        label_share: Share of the pixels of each label.
        notes: What the reader did that the user should know.
    """

    input: tuple[str, ...]
    sha256: tuple[str, ...] = ()
    status: Literal["done", "failed"] = "done"
    reason: str | None = None
    mask: str | None = None
    size: tuple[int, ...] | None = None
    label_share: dict[str, float] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """What became of all inputs; `failed` are those without a mask."""

    folder: Path
    files: tuple[Predicted, ...]

    @property
    def done(self) -> tuple[Predicted, ...]:
        """Those with a mask."""
        return tuple(file for file in self.files if file.status == "done")

    @property
    def failed(self) -> tuple[Predicted, ...]:
        """Those without."""
        return tuple(file for file in self.files if file.status == "failed")


@dataclass(frozen=True)
class Wanted:
    """What is written beside the masks."""

    overlay: bool = False
    probabilities: bool = False


def predict(
    model: Model | str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    overlay: bool = False,
    probabilities: bool = False,
    reporter: Reporter | None = None,
) -> Prediction:
    """Write a mask for every image.

    Args:
        model: A loaded model, a model file or a run folder.
        inputs: Images, or folders of images.
        out: A new folder: `NAME.png` for each image (0 and 255 for one label, else the labels' values), and
            `manifest.json`.
        overlay: Whether to draw the outlines over each image, in `overlays/`.
        probabilities: Whether to write each label's probability, in `probabilities/`.
        reporter: Told how it goes.

    Returns:
        What became of each input.

    Raises:
        UsageError: There is nothing to predict, or the output folder is in use.
        ModelFileError: The model cannot be used.
        OutputError: The output folder cannot be written.
    """
    reporter = reporter or Reporter()
    given = [Path(inputs)] if isinstance(inputs, (str, Path)) else [Path(path) for path in inputs]
    if not given:
        raise UsageError("Nothing to predict: give images or folders of images.")
    loaded = model if isinstance(model, Model) else load(model)
    colour = loaded.plan.data.colour
    found = prediction_inputs(given, loaded.plan.data.channels if colour == "channels" else 1)
    folder = new_folder(Path(out), "the masks")
    wanted = Wanted(overlay, probabilities)
    for name, asked in (("overlays", overlay), ("probabilities", probabilities)):
        if asked:
            _make(folder / name)
    for problem in found.problems:
        if problem.level == "warning":
            reporter.warn(problem.message)
    files = [
        Predicted(tuple(path.name for path in problem.paths), status="failed", reason=problem.message)
        for problem in found.problems
        if problem.level == "error"
    ]
    start, complete = time.monotonic(), False
    try:
        for done, (name, paths) in enumerate(found.images, start=1):
            files.append(_one(loaded, name, paths, folder, wanted))
            reporter.stage("predicting", done, len(found.images))
        complete = True
    finally:  # also when stopped: what is done is told
        _write_manifest(folder, loaded, files, complete=complete, seconds=time.monotonic() - start)
    return Prediction(folder, tuple(files))


def _one(model: Model, name: str, paths: tuple[Path, ...], folder: Path, wanted: Wanted) -> Predicted:
    names = tuple(path.name for path in paths)
    digests: tuple[str, ...] = ()
    try:
        digests = tuple(sha256(path) for path in paths)
        image = load_image(paths)
        mask, found = model.predict_both(image)
    except DataError as error:
        return Predicted(names, digests, "failed", str(error))
    except MemoryError:
        return Predicted(names, digests, "failed", f"{paths[0].name}: too large for this machine's memory")
    formats.write_mask(folder / f"{name}.png", mask)
    if wanted.overlay:
        _draw(folder / "overlays" / f"{name}.png", image, mask)
    if wanted.probabilities:
        formats.write_probabilities(folder / "probabilities" / f"{name}.tif", label_probabilities(found))
    counts = np.bincount(mask.values.ravel(), minlength=len(model.labels) + 1)
    share = {label.name: round(float(counts[label.value] / mask.values.size), 6) for label in model.labels}
    return Predicted(
        names, digests, mask=f"{name}.png", size=image.size, label_share=share, notes=image.notes
    )


def _draw(path: Path, image: Image, mask: Mask) -> None:
    from delineate.evaluation.overlays import draw_overlay, encode_png  # noqa: PLC0415  imports scikit-image

    png = encode_png(draw_overlay(image, None, mask))
    write_with(path, lambda stream: stream.write(png))


def _make(folder: Path) -> None:
    try:
        folder.mkdir()
    except OSError as error:
        raise output_error(folder, error) from error


def _write_manifest(
    folder: Path, model: Model, files: Sequence[Predicted], *, complete: bool, seconds: float
) -> None:
    """What was made by which model from which files; file names stand here, folders do not."""
    content = {
        "model": {
            "weights_sha256": model.card.weights_sha256,
            "labels": {label.name: 255 if len(model.labels) == 1 else label.value for label in model.labels},
        },
        "software": software_versions(),
        "seconds": round(seconds, 2),
        "complete": complete,
        "files": [asdict(file) for file in files],
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
