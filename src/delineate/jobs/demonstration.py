"""The whole way on phantoms, in one go: images, check, training, scores, masks for new images, a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from delineate import phantoms
from delineate.files import as_path, free_folder, new_folder
from delineate.jobs.job import Run
from delineate.jobs.prediction import Prediction, predict
from delineate.jobs.reporter import Reporter
from delineate.jobs.training import train
from delineate.planner import CLASSIC_EPOCHS

FOLDER = "delineate-demo"
KIND, COUNT, NEW, SIZE = "ultrasound", 120, 4, (128, 128)
EPOCHS = 30  # and no budget, so that it ends alike on every machine
CLASSIC_KIND, CLASSIC_COUNT = "noise", 100


@dataclass(frozen=True)
class Demonstration:
    """What a demonstration made."""

    folder: Path
    run: Run
    prediction: Prediction


def demonstrate(
    out: str | Path | None = None, *, classic: bool = False, reporter: Reporter | None = None
) -> Demonstration:
    """Draw phantoms, train on them, score the model, and predict new ones.

    Args:
        out: A new folder for `data/`, `new/` (images the training never sees), `run/` and `masks/`; by
            default `delineate-demo`, or the next free one.
        classic: The widely copied Keras script's own job: noise images, its net, 50 epochs.
        reporter: Told how it goes.

    Returns:
        The run and the prediction.

    Raises:
        OutputError: The folder holds something or cannot be written.
        Interrupted: SIGINT or SIGTERM.
    """
    reporter = reporter or Reporter()
    folder = new_folder(as_path(out) if out is not None else free_folder(Path(FOLDER)), "the demo")
    kind, count = (CLASSIC_KIND, CLASSIC_COUNT) if classic else (KIND, COUNT)
    size = None if classic else SIZE
    reporter.say(f"Drawing {count} {kind} phantoms into {folder / 'data'}, and {NEW} new ones to predict.")
    data = phantoms.write(
        kind,
        folder / "data",
        count=count,
        size=size,
        progress=lambda done: reporter.stage("drawing phantoms", done, count),
    )
    phantoms.write(kind, folder / "new", count=NEW, size=size, seed=1)
    run = train(
        data,
        out=folder / "run",
        epochs=CLASSIC_EPOCHS if classic else EPOCHS,
        preset="classic" if classic else "auto",
        reporter=reporter,
    )
    prediction = predict(
        run.load(), folder / "new" / "images", folder / "masks", overlay=True, reporter=reporter
    )
    return Demonstration(folder, run, prediction)
