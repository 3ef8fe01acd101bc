"""What is told of a batch of predictions: which mask was made from which files by which model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from delineate.errors import ImageError, is_out_of_memory
from delineate.files import write_text
from delineate.formats import stem_of
from delineate.formats.writable import WHITE
from delineate.image import Image, LabelSet, Mask
from delineate.inference.fitting import notes_on
from delineate.jobs.software import software_versions
from delineate.jobs.writing import OVERLAYS, PROBABILITIES, Results
from delineate.plan import Plan

if TYPE_CHECKING:
    from delineate.inference.engines import Engine
    from delineate.inference.exported import Computation

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

    def hidden(self, hide: Callable[[str], str]) -> Predicted:
        """The same with codes in place of names, by a function that puts them there."""
        return replace(
            self,
            input=tuple(map(hide, self.input)),
            reason=None if self.reason is None else hide(self.reason),
            notes=tuple(map(hide, self.notes)),
        )


def record(
    names: tuple[str, ...],
    digests: tuple[str, ...],
    *,
    image: Image,
    results: Results,
    mask: Mask,
    path: Path,
    plan: Plan,
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
        plan: Of the model that found it.
        notes: What else is to be said.

    Returns:
        With names as they are, see `Predicted.hidden`.
    """
    values, labels = mask.values, plan.data.label_set
    counts = np.bincount(values.ravel(), minlength=len(labels) + 1)
    share = {label.name: round(float(counts[label.value] / values.size), 6) for label in labels}
    return Predicted(
        names,
        digests,
        mask=path.name,
        label_values=values_in(path, labels),
        size=image.size,
        label_share=share,
        notes=(*image.notes, *notes_on(image, plan), *results.notes, *notes),
    )


def values_in(mask: Path, labels: LabelSet) -> dict[str, int]:
    """What stands for each label in the file of a mask: in a PNG or TIFF of one label white."""
    white = mask.suffix in (".png", ".tif") and len(labels) == 1
    return {label.name: WHITE if white else label.value for label in labels}


def reason_of(error: Exception, paths: tuple[Path, ...]) -> str:
    """Why an image failed, without its folder."""
    if is_out_of_memory(error) or "allocate memory" in str(error):
        return "it is too large for this machine's memory"
    if isinstance(error, ImageError):
        reason = error.reason if len(paths) == 1 else f"{error.path.name}: {error.reason}"
    else:
        reason = str(error) or type(error).__name__
    for path in paths:
        reason = reason.replace(str(path), path.name).replace(f"{path.parent}{os.sep}", "")
    return " ".join(reason.split())


def write_manifest(
    folder: Path,
    weights_sha256: str | Sequence[str],
    labels: LabelSet,
    files: Sequence[Predicted],
    *,
    complete: bool,
    seconds: float,
    mirrored: Sequence[str] | None = None,
    engine: Engine | Computation | None = None,
) -> None:
    """What was made by which model from which files; file names stand here, folders do not.

    Args:
        folder: Of the masks.
        weights_sha256: Of the model; of a cross-validation one a fold.
        labels: Of the model.
        files: What became of each input.
        complete: Whether these are all.
        seconds: That it took.
        mirrored: Along which axes mirrored images were averaged in; None leaves it untold.
        engine: That computed the nets; None leaves it untold.

    Raises:
        OutputError: The place cannot be written.
    """
    content = {
        "model": {"weights_sha256": weights_sha256, "labels": list(labels.names)},
        "software": software_versions(*(() if engine is None else (engine.name,))),
        "seconds": round(seconds, 2),
        **({} if engine is None else {"engine": engine.name, "precision": engine.precision}),
        **({} if mirrored is None else {"mirrored": list(mirrored)}),
        "complete": complete,
        "files": [asdict(file) for file in files],
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def masks_in(folder: Path) -> tuple[str, ...]:
    """The masks that a manifest in a folder tells of; none where there is no manifest that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        names = [file["mask"] for file in content["files"] if file["mask"] is not None]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
    return tuple(name for name in names if isinstance(name, str) and Path(name).name == name)


def remove_stale(folder: Path, before: Sequence[str], made: Sequence[Predicted]) -> None:
    """Remove what an earlier part of the same command had made of images that have failed or gone since.

    Args:
        folder: Of the masks.
        before: The masks there were when the command was taken up.
        made: What has become of all images.
    """
    kept = {file.mask for file in made if file.mask is not None}
    stems = {stem_of(Path(name)) for name in kept}
    for name in set(before) - kept:
        stem, stale = stem_of(Path(name)), [folder / name]
        if stem not in stems:
            stale += [path for kind in (OVERLAYS, PROBABILITIES) for path in (folder / kind).glob("*")]
        for path in stale:
            if stem_of(path) == stem:
                path.unlink(missing_ok=True)
