"""Masks for new images, each on its own grid; one bad file never stops the rest."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from delineate import formats
from delineate.dataset.case_files import Problem
from delineate.dataset.cases import load_image
from delineate.dataset.inputs import GivenImage, prediction_inputs
from delineate.dataset.naming import printable
from delineate.dataset.pseudonyms import Pseudonyms, words_of
from delineate.errors import DataError, ImageError, UsageError
from delineate.files import new_folder, output_error, sha256, write_text
from delineate.formats import Reading
from delineate.formats.writable import WHITE
from delineate.image import Image, LabelSet, Mask
from delineate.inference.fitting import notes_on
from delineate.inference.model import Model, load
from delineate.inference.volumes import refuse_by_size
from delineate.jobs.parts import reading_for
from delineate.jobs.reporter import Reporter
from delineate.jobs.software import software_versions
from delineate.jobs.writing import OVERLAYS, PROBABILITIES, MaskFormat, Results, Wanted
from delineate.threads import limiting_threads

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Predicted:
    """What became of one input.

    Attributes:
        input: The file's name, or its channel files' names; no folder's name.
        sha256: Of those files; empty where one could not be read.
        status: "done" or "failed".
        reason: Why it failed; no folder's name.
        mask: The mask's file in the output folder.
        label_values: What stands for each label in that file.
        size: `(H, W)` or `(D, H, W)` of the image and its mask.
        label_share: Share of the pixels of each label.
        notes: What was done to the image that the user should know.
    """

    input: tuple[str, ...]
    sha256: tuple[str, ...] = ()
    status: Literal["done", "failed"] = "done"
    reason: str | None = None
    mask: str | None = None
    label_values: dict[str, int] | None = None
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


@limiting_threads
def predict(
    model: Model | str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    overlay: bool = False,
    probabilities: bool = False,
    mask_format: MaskFormat = "auto",
    reading: Reading | None = None,
    memory_bytes: int | None = None,
    anonymous: bool = False,
    threads: int | None = None,  # noqa: ARG001  the decorator reads it
    reporter: Reporter | None = None,
) -> Prediction:
    """Write a mask for every image.

    Args:
        model: A loaded model, a model file or a run folder.
        inputs: Images, or folders of images; DICOM files that form a volume are one image for a model of
            volumes.
        out: A new folder for the masks and `manifest.json`. A picture's mask is `NAME.png` (0 and 255 for one
            label, else the labels' values), a volume's is of its own kind, of DICOM a segmentation object.
        overlay: Whether to draw the outlines over each image, in `overlays/`.
        probabilities: Whether to write each label's probability, in `probabilities/`.
        mask_format: "auto", or "nifti" or "png" for all.
        reading: How files are read where they leave a choice; a fourth axis for channels where the model's
            training data had it so.
        memory_bytes: That may be used in all; None for what is free.
        anonymous: Whether to write codes in place of all names; else of those that look as if they told who a
            patient is. `private/names.csv` in `out` says which is which.
        threads: To compute with; None for PyTorch's number. The caller's own holds again afterwards.
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
    data = loaded.plan.data
    found = prediction_inputs(
        given, data.channels if data.colour == "channels" else 1, volumes=data.axes == 3
    )
    folder = new_folder(Path(out), "the masks")
    for name, asked in ((OVERLAYS, overlay), (PROBABILITIES, probabilities)):
        if asked:
            _make(folder / name)
    wanted = Wanted(overlay, probabilities, mask_format, loaded.card.weights_sha256)
    work = _Work(
        loaded,
        folder,
        wanted,
        reading_for(loaded.plan, reading),
        memory_bytes,
        Pseudonyms(all_names=anonymous),
        reporter,
    )
    hide = work.pseudonyms.redacted
    work.pseudonyms.hide_others(path for problem in found.problems for path in problem.paths)
    for problem in found.problems:
        if problem.level == "warning":
            reporter.warn(hide(problem.message))
    untried = [problem for problem in found.problems if problem.level == "error"]
    files = [_not_tried(problem, hide) for problem in untried]
    messages = [hide(problem.message) for problem in untried]
    start, complete = time.monotonic(), False
    try:
        for done, given_image in enumerate(found.images, start=1):
            files.append(work.one(given_image))
            if files[-1].status == "failed":
                place = hide(printable(given_image.files[0]))
                messages.append(f"{place}: {files[-1].reason}")
            reporter.stage("predicting", done, len(found.images))
        complete = True
    finally:  # also when stopped: what is done is told
        write_manifest(
            folder,
            loaded.card.weights_sha256,
            loaded.labels,
            files,
            complete=complete,
            seconds=time.monotonic() - start,
        )
        work.pseudonyms.write_table(folder)
    return Prediction(folder, tuple(files), tuple(messages))


@dataclass(frozen=True)
class _Work:
    """All that predicting an image needs."""

    model: Model
    folder: Path
    wanted: Wanted
    reading: Reading
    memory_bytes: int | None
    pseudonyms: Pseudonyms
    reporter: Reporter

    def one(self, given: GivenImage) -> Predicted:
        """All that is wanted of one image, or nothing of it and the reason."""
        model, paths = self.model, given.files
        digests: tuple[str, ...] = ()
        words: frozenset[str] = frozenset()
        name = given.name
        try:
            digests = tuple(sha256(path) for path in paths if not path.is_dir())
            if not given.stack and len(size := formats.header(paths[0], self.reading).size) == 3:
                refuse_by_size(size, self.memory_bytes)
            image = load_image(paths, self.reading, stack=given.stack)
            words = image.identifying
            name = self.pseudonyms.name(given.name, _told(given), words)
            found = model.found_in(
                image,
                keep_probabilities=self.wanted.probabilities,
                memory_bytes=self.memory_bytes,
                progress=lambda done, total: self.reporter.stage(f"predicting {name}", done, total),
            )
            results = Results(name, self.folder, image, paths)
            mask = results.write(found, self.wanted)
        except (
            DataError,
            MemoryError,
            RuntimeError,
            ValueError,
        ) as error:  # not a full disk, which fails all
            words = words.union(*map(words_of, paths))
            self.pseudonyms.name(given.name, _told(given), words)
            reason = self.pseudonyms.redacted(_reason(error, paths))
            return Predicted(self._names(given), digests, "failed", reason)
        return record(
            self._names(given), digests, image, results, found.mask, mask, model, self.pseudonyms.redacted
        )

    def _names(self, given: GivenImage) -> tuple[str, ...]:
        """The input as the manifest calls it."""
        return tuple(self.pseudonyms.redacted(path.name) for path in _told(given))


def record(  # noqa: PLR0917  an image and all that was made of it
    names: tuple[str, ...],
    digests: tuple[str, ...],
    image: Image,
    results: Results,
    mask: Mask,
    path: Path,
    model: Model,
    hide: Callable[[str], str],
    notes: Sequence[str] = (),
) -> Predicted:
    """What a manifest says of an image with a mask.

    Args:
        names: Of its files, as they are told.
        digests: Of its files.
        image: The image.
        results: What was written.
        mask: What was found.
        path: The mask's file.
        model: That found it.
        hide: Puts codes in place of names.
        notes: What else is to be said.
    """
    values = mask.values
    counts = np.bincount(values.ravel(), minlength=len(model.labels) + 1)
    share = {label.name: round(float(counts[label.value] / values.size), 6) for label in model.labels}
    return Predicted(
        names,
        digests,
        mask=path.name,
        label_values=_values_in(path, model),
        size=image.size,
        label_share=share,
        notes=tuple(map(hide, (*image.notes, *notes_on(image, model.plan), *results.notes, *notes))),
    )


def _values_in(mask: Path, model: Model) -> dict[str, int]:
    """What stands for each label in the file of a mask: in a PNG or TIFF of one label white."""
    white = mask.suffix in (".png", ".tif") and len(model.labels) == 1
    return {label.name: WHITE if white else label.value for label in model.labels}


def _told(given: GivenImage) -> tuple[Path, ...]:
    """The files of an image as they are told; of a series its folder."""
    return (given.files[0].parent,) if given.stack else given.files


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


def _not_tried(problem: Problem, hide: Callable[[str], str]) -> Predicted:
    """An input that is no image to be read; told by its kind, as the message names folders."""
    reasons = {
        "missing-file": "there is no such file",
        "no-images": "the folder holds no pictures",
        "closed-folder": "the folder cannot be opened",
        "broken-link": "the link leads nowhere or in a circle",
        "missing-channel": "it has not as many channel files as the model takes",
    }
    names = tuple(hide(path.name) for path in problem.paths if formats.is_image(path))
    return Predicted(names, status="failed", reason=reasons.get(problem.code, "it cannot be used"))


def _make(folder: Path) -> None:
    try:
        folder.mkdir()
    except OSError as error:
        raise output_error(folder, error) from error


def write_manifest(
    folder: Path,
    weights_sha256: str | Sequence[str],
    labels: LabelSet,
    files: Sequence[Predicted],
    *,
    complete: bool,
    seconds: float,
) -> None:
    """What was made by which model from which files; file names stand here, folders do not.

    Args:
        folder: Of the masks.
        weights_sha256: Of the model; of a cross-validation one a fold.
        labels: Of the model.
        files: What became of each input.
        complete: Whether these are all.
        seconds: That it took.

    Raises:
        OutputError: The place cannot be written.
    """
    content = {
        "model": {"weights_sha256": weights_sha256, "labels": list(labels.names)},
        "software": software_versions(),
        "seconds": round(seconds, 2),
        "complete": complete,
        "files": [asdict(file) for file in files],
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
