"""The mask of an image that is never held: windows from the disk, rows of tiles to the disk."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from pydantic import TypeAdapter, ValidationError

from delineate.dataset.inputs import GivenImage
from delineate.errors import DataError
from delineate.files import removed_on_error
from delineate.formats.pyramid_writing import reduced_levels, write_mask_pyramid, write_probability_tiles
from delineate.formats.regions import Regions
from delineate.formats.tile_spool import TILE_PX, TileSpool
from delineate.formats.writable import MASK_LEVEL, PROBABILITY_LEVEL, WHITE
from delineate.image import Image
from delineate.inference.exported import ExportedModel
from delineate.inference.fitting import notes_on
from delineate.inference.large.memory import needed_bytes
from delineate.inference.large.predict import LargeImage
from delineate.inference.memory import lacking
from delineate.inference.predict import decide
from delineate.inference.preprocess import Intensities
from delineate.jobs.large_overlay import large_overlay
from delineate.jobs.large_route import Large
from delineate.jobs.manifest import Predicted, values_in
from delineate.jobs.reporter import Reporter
from delineate.jobs.unfinished import Saved, UnfinishedImage, digest_of
from delineate.jobs.writing import OVERLAYS, PROBABILITIES, Wanted
from delineate.plan import Plan

if TYPE_CHECKING:
    from delineate.jobs.flow import Work

Labels = npt.NDArray[np.uint8]
SAMPLE_ROWS = 64
OWN_INTENSITIES = "its intensities were measured on all of its pixels before"
SETTLED_S = 1.0  # after which a speed is told


def predict_large(
    large: Large, given: GivenImage, name: str, digests: tuple[str, ...], work: Work
) -> Predicted:
    """All that is wanted of a picture that is not held, from where a killed command left off.

    Args:
        large: The picture.
        given: Its file.
        name: Of the files to be, without suffix.
        digests: Of the file.
        work: What is done, by which model.

    Returns:
        What became of it, with names as they are.

    Raises:
        DataError: It does not fit the model, its file is damaged, or its mask cannot be written as wanted.
        OutputError: A place cannot be written.
    """
    belongs_to: dict[str, object] = {"file": _digest(given, digests), "size": large.regions.size}
    if (before := _done_before(given, belongs_to, work)) is not None:
        return before
    if isinstance(work.model, ExportedModel):
        raise DataError(
            f"it is to be predicted window by window from the disk, {large.why}, and an exported file sees "
            "whole images: give the model file that it was exported from"
        )
    plan = work.model.plan
    image = LargeImage(work.model.engine, plan, large.regions)
    needed = needed_bytes(image, TILE_PX, keep_probabilities=work.wanted.probabilities)
    if shortage := lacking(needed, work.memory_bytes):
        raise DataError(f"its rows are so wide that window by window, too, it would take about {shortage}")
    kept = work.unfinished.image(given.name, belongs_to)
    work.reporter.say(f"{name} is predicted window by window from the disk, {large.why}.")
    if kept.saved is not None and kept.saved.rows:
        row = kept.saved.rows * TILE_PX
        work.reporter.say(f"It is taken up again at row {row:,} of {large.regions.size[0]:,}.")
    try:
        mask, counts = _LargePrediction(image, name, work.folder, work.wanted, kept, work.reporter).write()
    except DataError:
        kept.remove()
        raise
    share = [round(count / sum(counts), 6) for count in counts[1:]]
    done = Predicted(
        tuple(path.name for path in given.files),
        digests,
        mask=mask.name,
        label_values=values_in(mask, plan.data.label_set),
        size=large.regions.size,
        label_share=dict(zip(plan.data.labels, share, strict=True)),
        notes=(f"predicted window by window from the disk, {large.why}", *_notes(large.regions, plan)),
    )
    work.unfinished.finish(given.name, {"belongs_to": belongs_to, "predicted": asdict(done)})
    kept.remove()
    return done


def _digest(given: GivenImage, digests: tuple[str, ...]) -> str:
    """By which a file is known again; a folder by the names, sizes and times of the files in it."""
    files = [path for path in sorted(given.files[0].rglob("*")) if path.is_file()]
    told = [(str(path.relative_to(given.files[0])), path.stat()) for path in files]
    return digest_of(repr((digests, [(name, each.st_size, each.st_mtime_ns) for name, each in told])))


def _done_before(given: GivenImage, belongs_to: dict[str, object], work: Work) -> Predicted | None:
    """What became of an image that a killed command finished, if its mask is still there."""
    told = work.unfinished.done.get(work.unfinished.key(given.name))
    if not isinstance(told, dict) or told.get("belongs_to") != json.loads(json.dumps(belongs_to)):
        return None
    try:
        done = TypeAdapter(Predicted).validate_python(told.get("predicted"))
    except ValidationError:
        return None
    return done if done.mask is not None and (work.folder / Path(done.mask).name).is_file() else None


def _notes(regions: Regions, plan: Plan) -> tuple[str, ...]:
    """What is to be said of the image."""
    height, width = regions.size
    sample = regions.read(height // 2, 0, min(SAMPLE_ROWS, height - height // 2), width)
    own = (OWN_INTENSITIES,) if plan.preprocessing.normalization == "image" else ()
    return (*regions.notes, *notes_on(Image(sample), plan), *own)


@dataclass
class _LargePrediction:
    """The files of one large image, written while it is predicted.

    Attributes:
        image: It, with the model.
        name: Of the files, without suffix.
        folder: Where the mask goes; `overlays/` and `probabilities/` below it are there if wanted.
        wanted: What is written.
        kept: Where the finished rows of tiles wait until all are there.
        reporter: Told how it goes.
    """

    image: LargeImage
    name: str
    folder: Path
    wanted: Wanted
    kept: UnfinishedImage
    reporter: Reporter
    _made: list[Path] = field(default_factory=list)

    def write(self) -> tuple[Path, tuple[int, ...]]:
        """Predict, from the row where it was left off, and write all that is wanted.

        Returns:
            The mask's file, and the pixels of each value 0…n in it.

        Raises:
            DataError: The image does not fit the plan, its file is damaged, or its mask cannot be written as
                wanted.
            OutputError: The place cannot be written.
        """
        if self.wanted.mask_format != "auto":
            raise DataError(f"its mask is written as a tiled TIFF: omit --format {self.wanted.mask_format}")
        saved = self.kept.saved or self._begun()
        with contextlib.ExitStack() as stack:
            labels, probabilities = self._spools(saved.rows)
            for spool in (labels, *probabilities):
                stack.enter_context(spool)
            counts = self._predict(saved, labels, probabilities)
            with removed_on_error(self._made):  # the manifest will not name them
                mask = self._finish(labels, probabilities)
        return mask, counts

    def _begun(self) -> Saved:
        """Nothing is done yet; the image's intensities, for which some plans read it as a whole."""
        with torch.inference_mode():
            intensities = self.image.working.intensities(self._told("measuring"))
        values = len(self.image.plan.data.labels) + 1
        return Saved(0, (0,) * values, tuple(intensities.gain.tolist()), tuple(intensities.offset.tolist()))

    def _spools(self, rows: int) -> tuple[TileSpool, list[TileSpool]]:
        """Of the labels, and of each label's probability where they are wanted."""
        size, folder = self.image.regions.size, self.kept.folder
        labels = len(self.image.plan.data.labels) if self.wanted.probabilities else 0
        try:
            return (
                TileSpool(folder / "labels.tiles", size, np.dtype(np.uint8), MASK_LEVEL, rows),
                [
                    TileSpool(
                        folder / f"probability-{label}.tiles",
                        size,
                        np.dtype(np.float32),
                        PROBABILITY_LEVEL,
                        rows,
                    )
                    for label in range(1, labels + 1)
                ],
            )
        except ValueError as error:
            raise DataError(f"what is kept of it in {folder.parent.name} is damaged: remove that") from error

    def _predict(self, saved: Saved, labels: TileSpool, probabilities: list[TileSpool]) -> tuple[int, ...]:
        """Predict the rows of tiles that are missing; the pixels of each value in all."""
        counts = np.array(saved.counts, dtype=np.int64)
        intensities = Intensities(torch.tensor(saved.gain), torch.tensor(saved.offset))
        white = len(self.image.plan.data.labels) == 1
        writing: Future[None] | None = None

        def save(rows: Labels, shares: npt.NDArray[np.float32] | None) -> None:
            labels.append(rows * np.uint8(WHITE) if white else rows)
            for label, spool in enumerate(probabilities):
                assert shares is not None  # noqa: S101  they are wanted
                spool.append(shares[label])
            for spool in (labels, *probabilities):
                spool.flush()
            counts[:] += np.bincount(rows.ravel(), minlength=len(counts))
            self.kept.save(Saved(labels.rows, tuple(int(each) for each in counts), saved.gain, saved.offset))

        with ThreadPoolExecutor(1, "writing") as writer, torch.inference_mode():
            for rows, shares in self._rows_of_tiles(saved.rows, intensities):
                if writing is not None:
                    writing.result()
                writing = writer.submit(save, rows, shares)
            if writing is not None:
                writing.result()
        return tuple(int(each) for each in counts)

    def _rows_of_tiles(
        self, done: int, intensities: Intensities
    ) -> Iterator[tuple[Labels, npt.NDArray[np.float32] | None]]:
        """`(TILE_PX, W)` labels, and `(n, TILE_PX, W)` probabilities where they are wanted."""
        height, width = self.image.regions.size
        plan = self.image.plan
        names = len(plan.data.labels)
        top = done * TILE_PX
        if top >= height:
            return
        parts = self.image.probability_rows(intensities, top, progress=self._told("predicting"))
        rest: torch.Tensor | None = None
        while top < height:
            tall = min(TILE_PX, height - top)
            labels = np.empty((tall, width), np.uint8)
            shares = np.empty((names, tall, width), np.float32) if self.wanted.probabilities else None
            filled = 0
            while filled < tall:
                part = next(parts) if rest is None else rest
                cut = part[:, : tall - filled]
                rest = part[:, cut.shape[1] :] if cut.shape[1] < part.shape[1] else None
                labels[filled : filled + cut.shape[1]] = decide(cut, plan)
                if shares is not None:
                    shares[:, filled : filled + cut.shape[1]] = cut[-names:].numpy()
                filled += cut.shape[1]
            yield labels, shares
            top += tall

    def _finish(self, labels: TileSpool, probabilities: list[TileSpool]) -> Path:
        """The files of finished spools."""
        spacing = self.image.regions.spacing_mm
        with reduced_levels(labels) as levels:
            mask = self._file("", lambda path: write_mask_pyramid(path, levels, spacing))
            if self.wanted.overlay:
                large_overlay(self._path(OVERLAYS, ".png"), self.image, levels)
        if probabilities:
            self._file(PROBABILITIES, lambda path: write_probability_tiles(path, probabilities, spacing))
        return mask

    def _file(self, below: str, write: Callable[[Path], object]) -> Path:
        path = self._path(below, ".tif")
        write(path)
        return path

    def _path(self, below: str, suffix: str) -> Path:
        path = self.folder / below / f"{self.name}{suffix}"
        self._made.append(path)
        return path

    def _told(self, what: str) -> Callable[[int, int], None]:
        """Tells the reporter of parts done, as megapixels and with the time that is left."""
        start, first = 0.0, -1  # when the first part, which pays for what is set up, was done
        megapixels = self.image.regions.size[0] * self.image.regions.size[1] / 1e6

        def tell(done: int, total: int) -> None:
            nonlocal start, first
            if first < 0:
                start, first = time.monotonic(), done
            seconds = time.monotonic() - start
            per_s = (done - first) / total * megapixels / seconds if seconds >= SETTLED_S else 0.0
            self.reporter.megapixels(f"{what} {self.name}", done / total * megapixels, megapixels, per_s)

        return tell
