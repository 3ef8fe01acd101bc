"""Masks for new images, each on its own grid; one bad file never stops the rest."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from delineate import formats
from delineate.dataset.case_files import Problem
from delineate.dataset.cases import load_image
from delineate.dataset.inputs import prediction_inputs
from delineate.dataset.naming import printable
from delineate.errors import DataError, ImageError, UsageError
from delineate.files import new_folder, output_error, sha256, write_text, write_with
from delineate.image import Image, Mask
from delineate.inference.model import Model, label_probabilities, load
from delineate.inference.preprocess import colour_note
from delineate.jobs.reporter import Reporter
from delineate.jobs.software import software_versions

MANIFEST = "manifest.json"
OVERLAY_PX = 2000


@dataclass(frozen=True)
class Predicted:
    """What became of one input.

    Attributes:
        input: The file's name, or its channel files' names; no folder's name.
        sha256: Of those files; empty where one could not be read.
        status: "done" or "failed".
        reason: Why it failed; no folder's name.
        mask: The mask's file in the output folder.
        size: `(H, W)` of the image and its mask.
        label_share: Share of the pixels of each label.
        notes: What was done to the image that the user should know.
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
    """What became of all inputs.

    Attributes:
        folder: Where the masks lie.
        files: One entry an input.
        messages: What to say of each that failed, with its place as it was given.
    """

    folder: Path
    files: tuple[Predicted, ...]
    messages: tuple[str, ...] = ()

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
    untried = [problem for problem in found.problems if problem.level == "error"]
    files = [_not_tried(problem) for problem in untried]
    messages = [problem.message for problem in untried]
    start, complete = time.monotonic(), False
    try:
        for done, (name, paths) in enumerate(found.images, start=1):
            files.append(_one(loaded, name, paths, folder, wanted))
            if files[-1].status == "failed":
                messages.append(f"{printable(paths[0])}: {files[-1].reason}")
            reporter.stage("predicting", done, len(found.images))
        complete = True
    finally:  # also when stopped: what is done is told
        _write_manifest(folder, loaded, files, complete=complete, seconds=time.monotonic() - start)
    return Prediction(folder, tuple(files), tuple(messages))


def _one(model: Model, name: str, paths: tuple[Path, ...], folder: Path, wanted: Wanted) -> Predicted:
    """All that is wanted of one image, or nothing of it and the reason."""
    names = tuple(path.name for path in paths)
    digests: tuple[str, ...] = ()
    try:
        digests = tuple(sha256(path) for path in paths)
        image = load_image(paths)
        mask = _write_all(model, name, image, folder, wanted)
    except (DataError, MemoryError, RuntimeError, ValueError) as error:  # not a full disk, which fails all
        return Predicted(names, digests, "failed", _reason(error, paths))
    counts = np.bincount(mask.values.ravel(), minlength=len(model.labels) + 1)
    share = {label.name: round(float(counts[label.value] / mask.values.size), 6) for label in model.labels}
    note = colour_note(image, model.plan.data.colour)
    return Predicted(
        names,
        digests,
        mask=f"{name}.png",
        size=image.size,
        label_share=share,
        notes=(*image.notes, note) if note else image.notes,
    )


def _write_all(model: Model, name: str, image: Image, folder: Path, wanted: Wanted) -> Mask:
    """Predict and write; where anything stops it, nothing of this image stays behind."""
    mask, found = model.predict_both(image)
    overlay = _overlay(image, mask) if wanted.overlay else None
    places = (folder / f"{name}.png", folder / "overlays" / f"{name}.png")
    pages = folder / "probabilities" / f"{name}.tif"
    try:
        formats.write_mask(places[0], mask)
        if overlay is not None:
            write_with(places[1], lambda stream: stream.write(overlay))
        if wanted.probabilities:
            formats.write_probabilities(pages, label_probabilities(found))
    except BaseException:  # also when stopped: the manifest will not name them
        for path in (*places, pages):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    return mask


def _overlay(image: Image, mask: Mask) -> bytes:
    from delineate.evaluation.overlays import draw_overlay, encode_png  # noqa: PLC0415  imports scikit-image

    return encode_png(draw_overlay(image, None, mask, longest_px=OVERLAY_PX))


def _reason(error: Exception, paths: tuple[Path, ...]) -> str:
    """Why an image failed, without its folder."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return "it is too large for this machine's memory"
    if isinstance(error, ImageError):
        reason = error.reason if len(paths) == 1 else f"{error.path.name}: {error.reason}"
    else:
        reason = str(error) or type(error).__name__
    for path in paths:
        reason = reason.replace(str(path), path.name).replace(f"{path.parent}{os.sep}", "")
    return " ".join(reason.split())


def _not_tried(problem: Problem) -> Predicted:
    """An input that is no image to be read; told by its kind, as the message names folders."""
    reasons = {
        "missing-file": "there is no such file",
        "no-images": "the folder holds no pictures",
        "closed-folder": "the folder cannot be opened",
        "broken-link": "the link leads nowhere or in a circle",
        "missing-channel": "it has not as many channel files as the model takes",
    }
    names = tuple(path.name for path in problem.paths if formats.is_image(path))
    return Predicted(names, status="failed", reason=reasons.get(problem.code, "it cannot be used"))


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
