"""The mask of an image that is never held: windows from the disk, rows of tiles to the disk."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from delineate.errors import DataError
from delineate.formats.pyramid_writing import reduced_levels, write_mask_pyramid, write_probability_tiles
from delineate.formats.regions import Regions
from delineate.formats.tile_spool import TILE_PX, TileSpool
from delineate.formats.writable import MASK_LEVEL, PROBABILITY_LEVEL, WHITE
from delineate.image import Image
from delineate.inference.large.predict import LargeImage
from delineate.inference.model import Model
from delineate.inference.predict import decide
from delineate.inference.preprocess import Intensities, notes_on
from delineate.jobs.large_overlay import large_overlay
from delineate.jobs.reporter import Reporter
from delineate.jobs.unfinished import Saved, UnfinishedImage, digest_of
from delineate.jobs.writing import OVERLAYS, PROBABILITIES, Wanted

Labels = npt.NDArray[np.uint8]
SAMPLE_ROWS = 64
OWN_INTENSITIES = "its intensities were measured on all of its pixels before"


@dataclass(frozen=True)
class Made:
    """What was made of a large image.

    Attributes:
        mask: Its file.
        counts: Pixels of each value 0…n.
        notes: What is to be said of it.
    """

    mask: Path
    counts: tuple[int, ...]
    notes: tuple[str, ...]


def predict_large(  # noqa: PLR0917  an image and all that is wanted of it
    model: Model,
    regions: Regions,
    name: str,
    folder: Path,
    wanted: Wanted,
    kept: UnfinishedImage,
    reporter: Reporter,
) -> Made:
    """Predict an image window by window from the disk, from where a killed command left off.

    Args:
        model: Of pictures.
        regions: The image.
        name: Of the files to be, without suffix.
        folder: Where the mask goes.
        wanted: What is written.
        kept: Of this image; removed when all is done, or nothing can be.
        reporter: Told how it goes.

    Raises:
        DataError: The image does not fit the model, its file is damaged, or it cannot be written as wanted.
        OutputError: A place cannot be written.
    """
    if kept.saved is not None and kept.saved.rows:
        reporter.say(f"{name} is taken up again at row {kept.saved.rows * TILE_PX:,} of {regions.size[0]:,}.")
    image = LargeImage(model.engine, model.plan, regions)
    try:
        mask, counts = _LargePrediction(image, name, folder, wanted, kept, reporter).write()
    except DataError:
        kept.remove()
        raise
    kept.remove()
    height, width = regions.size
    sample = regions.read(height // 2, 0, min(SAMPLE_ROWS, height - height // 2), width)
    notes = [*regions.notes, *notes_on(Image(sample), model.plan)]
    if model.plan.preprocessing.normalization == "image":
        notes.append(OWN_INTENSITIES)
    return Made(mask, counts, tuple(notes))


def settings_of(model: Model, inputs: Sequence[Path], wanted: Wanted) -> dict[str, object]:
    """What decides the results of a command, by the words in which another's is refused."""
    return {
        "model": digest_of(f"{wanted.weights_sha256} {model.plan.sha256()}"),
        "engine": f"{model.engine.name} {model.engine.precision} {model.engine.device.type}",
        "list of inputs": digest_of("\0".join(map(str, inputs))),
        "choice of --overlay, --probabilities and --format": [
            wanted.overlay,
            wanted.probabilities,
            wanted.mask_format,
        ],
    }


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
            raise DataError(
                f"its mask is written as a tiled TIFF: leave --format {self.wanted.mask_format} away"
            )
        saved = self.kept.saved or self._begun()
        with contextlib.ExitStack() as stack:
            labels, probabilities = self._spools(saved.rows)
            for spool in (labels, *probabilities):
                stack.enter_context(spool)
            counts = self._predict(saved, labels, probabilities)
            try:
                mask = self._finish(labels, probabilities)
            except BaseException:  # also when stopped: the manifest will not name them
                for path in self._made:
                    with contextlib.suppress(OSError):
                        path.unlink(missing_ok=True)
                raise
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
        start, first = time.monotonic(), -1
        megapixels = self.image.regions.size[0] * self.image.regions.size[1] / 1e6

        def tell(done: int, total: int) -> None:
            nonlocal first
            if first < 0:
                first = max(0, done - 1)
            seconds = max(time.monotonic() - start, 1e-9)
            per_s = (done - first) / total * megapixels / seconds
            self.reporter.megapixels(f"{what} {self.name}", done / total * megapixels, megapixels, per_s)

        return tell
