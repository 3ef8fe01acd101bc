"""Masks for new images, each on its own grid; one bad file never stops the rest."""

from __future__ import annotations

import operator
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delineate import formats
from delineate.dataset.case_files import Problem
from delineate.dataset.inputs import prediction_inputs
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.errors import Interrupted, Stopped, UsageError
from delineate.files import as_path, as_paths, made_folder, remove_unfinished, sole_use
from delineate.formats import Reading
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice
from delineate.inference.exported import ExportedModel
from delineate.inference.memory import PROGRAM_BYTES
from delineate.inference.mirroring import CALLED, mirrored_axes
from delineate.jobs.codes import write_codes
from delineate.jobs.engines import Wish, usual_wish
from delineate.jobs.flow import Flow, Work
from delineate.jobs.manifest import Predicted, masks_in, remove_stale, write_manifest
from delineate.jobs.reading import reading_for
from delineate.jobs.reporter import Reporter
from delineate.jobs.unfinished import UNFINISHED, Unfinished, engine_of, refuse_taken, settings_of
from delineate.jobs.writing import OVERLAYS, PROBABILITIES, MaskFormat, Wanted
from delineate.threads import limiting_threads

if TYPE_CHECKING:
    from delineate.inference.loading import AnyModel

USUAL_WORKERS = 1
MOST_WORKERS = 64


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
    model: AnyModel | str | Path,
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
    engine: EngineChoice | None = None,
    precision: PrecisionChoice | None = None,
    workers: int | None = None,
    tta: bool | None = None,
    reporter: Reporter | None = None,
) -> Prediction:
    """Write a mask for every image.

    Args:
        model: A loaded model, a model file or a run folder.
        inputs: Images, or folders of images; DICOM files that form a volume are one image for a model of
            volumes.
        out: A new folder for the masks and `manifest.json`, or the one that the same call left when it was
            stopped in a picture larger than memory, which is then gone on with. A picture's mask is
            `NAME.png` (0 and 255 for one label, else the labels' values), of one larger than memory a tiled
            `NAME.tif`; a volume's is of its own kind, of DICOM a segmentation object.
        overlay: Whether to draw the outlines over each image, in `overlays/`.
        probabilities: Whether to write each label's probability, in `probabilities/`.
        mask_format: "auto", or "nifti" or "png" for all.
        reading: How files are read where they leave a choice; a fourth axis for channels where the model's
            training data had it so.
        memory_bytes: That may be used in all; None for what is free.
        anonymous: Whether to write codes in place of all names; else of those that look as if they told who a
            patient is. `private/names.csv` in `out` says which is which.
        threads: To compute with; None for PyTorch's number. The caller's own holds again afterwards.
        engine: What computes the net, see `load`; None for that of a loaded model, else "auto".
        precision: In which numbers, likewise.
        workers: Threads that read ahead, and as many that write behind; 0 to do all in the calling thread,
            None for one.
        tta: Whether to average over mirrored images ("test-time augmentation"), along the axes along which
            the training mirrored them; None for what the model's plan says.
        reporter: Told how it goes.

    Returns:
        What became of each input.

    Raises:
        UsageError: There is nothing to predict, or the output folder is in use.
        ModelFileError: The model cannot be used.
        OutputError: The output folder cannot be written.
    """
    reporter = reporter or Reporter()
    given, place = _given(inputs), as_path(out)
    wish = usual_wish(model, engine, precision)
    if wish.engine == "auto" and wish.precision in (None, "auto") and (begun := engine_of(place)):
        wish = Wish(*begun)  # whatever was measured since then
    loaded = _mirroring(wish.model(model), tta, reporter)
    if not isinstance(loaded, ExportedModel):  # which takes less
        _refuse_too_little(memory_bytes)
    data = loaded.plan.data
    found = prediction_inputs(
        given, data.channels if data.colour == "channels" else 1, volumes=data.axes == 3
    )
    reading = reading_for(loaded.plan, reading)
    refuse_taken(place)  # before engines are tried
    with sole_use(place):
        wish.settle_for_images(loaded, found.images, reading, reporter)
        wanted = Wanted(overlay, probabilities, mask_format, loaded.card.weights_sha256)
        unfinished = Unfinished.of(place, settings_of(loaded, given, wanted, anonymous=anonymous))
        folder = unfinished.results
        if unfinished.taken_up:
            remove_unfinished(folder)
        for name, asked in ((OVERLAYS, overlay), (PROBABILITIES, probabilities)):
            if asked:
                made_folder(folder / name)
        pseudonyms = Pseudonyms(unfinished.salt, all_names=anonymous)
        work = Work(
            model=loaded,
            folder=folder,
            wanted=wanted,
            reading=reading,
            memory_bytes=memory_bytes,
            workers=threads_beside(workers),
            pseudonyms=pseudonyms,
            unfinished=unfinished,
            reporter=reporter,
        )
        hide = pseudonyms.redacted
        pseudonyms.hide_others(path for problem in found.problems for path in problem.paths)
        for problem in found.problems:
            if problem.level == "warning":
                reporter.warn(hide(problem.message))
        untried = [problem for problem in found.problems if problem.level == "error"]
        files = [_not_tried(problem, hide) for problem in untried]
        messages = [hide(problem.message) for problem in untried]
        flow = Flow(found.images, work)
        start, complete = time.monotonic(), False
        before = masks_in(folder) if unfinished.taken_up else ()
        try:
            flow.run()
            complete = True
        except KeyboardInterrupt as stop:
            if not unfinished.kept:
                raise
            raise Interrupted(
                f"Stopped. What is done of large images is kept in {folder / UNFINISHED}. "
                "Go on with the same command.",
                stop.signal_number if isinstance(stop, Stopped) else signal.SIGINT,
            ) from stop
        finally:  # also when stopped: what is done is told
            made, failures = flow.told()
            write_codes(pseudonyms, folder, reporter)
            write_manifest(
                folder,
                loaded.card.weights_sha256,
                loaded.labels,
                [*files, *made],
                complete=complete,
                seconds=time.monotonic() - start,
                engine=loaded.engine,
                mirrored=[CALLED[axis] for axis in mirrored_axes(loaded.plan)],
            )
            if complete:
                remove_stale(folder, before, made)
        unfinished.remove()
        return Prediction(folder, (*files, *made), (*messages, *failures))


def _given(inputs: str | Path | Sequence[str | Path]) -> list[Path]:
    if given := as_paths(inputs):
        return given
    raise UsageError("Nothing to predict: give images or folders of images.")


def _refuse_too_little(memory_bytes: int | None) -> None:
    """Refuse a limit that no image could keep, since the program itself takes more."""
    if memory_bytes is not None and memory_bytes < PROGRAM_BYTES:
        raise UsageError(
            f"--memory allows {memory_bytes / 1e6:.3g} MB, but the program alone takes "
            f"{PROGRAM_BYTES / 1e6:.0f} MB. Give more, or omit --memory."
        )


def _mirroring(model: AnyModel, tta: bool | None, reporter: Reporter) -> AnyModel:
    """The model, averaging over mirrored images or not, as is wanted."""
    if tta is None:
        return model
    model = model.with_mirroring(tta)
    if tta and not mirrored_axes(model.plan):
        reporter.warn("The model's training mirrored no image, so --tta changes nothing.")
    return model


def threads_beside(workers: int | None) -> int:
    """How many threads read, and how many write, beside the one that computes.

    Args:
        workers: As the user says; None for the usual one.

    Raises:
        UsageError: It is no such number.
    """
    if workers is None:
        return USUAL_WORKERS
    try:
        number = -1 if isinstance(workers, bool) else operator.index(workers)
    except TypeError:
        number = -1
    if not 0 <= number <= MOST_WORKERS:
        raise UsageError(
            f"{workers!r} threads cannot read: give --workers a whole number from 0 to {MOST_WORKERS}."
        )
    return number


def _not_tried(problem: Problem, hide: Callable[[str], str]) -> Predicted:
    """An input that is no image to be read; told by its kind, as the message names folders."""
    reasons = {
        "missing-file": "there is no such file",
        "no-images": "the folder holds no pictures",
        "closed-folder": "the folder cannot be opened",
        "broken-link": "the link leads nowhere or in a circle",
        "missing-channel": "its channel files are not those that the model takes",
        "doubled-channel": "it has two files of one channel",
        "torn-series": "a file beside the series cannot be read, and may be a slice of it",
        "spread-series": "parts of one series lie in several folders: put its files into one",
        "not-entered": "the folder's images lie further down, or are no DICOM files",
    }
    if problem.code in ("torn-series", "spread-series"):  # folders stand for series, as where predicted
        folders = dict.fromkeys(path.parent for path in problem.paths)
        names = tuple(hide(folder.name) for folder in folders)
    elif problem.code == "not-entered":
        names = tuple(hide(path.name) for path in problem.paths)
    else:
        names = tuple(hide(path.name) for path in problem.paths if formats.is_image(path))
    return Predicted(names, status="failed", reason=reasons.get(problem.code, "it cannot be used"))
