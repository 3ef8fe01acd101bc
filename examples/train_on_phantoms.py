"""Train on phantoms, look at the score, and predict images that the training never saw.

    .venv/bin/python examples/train_on_phantoms.py [FOLDER]

Everything is written into FOLDER, by default a new temporary one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import delineate
from delineate import phantoms


def main(folder: Path) -> None:
    """Draw, check, train, score and predict."""
    data = phantoms.write("ultrasound", folder / "data", count=40, size=(64, 64))
    report = delineate.check(data)
    print(f"{len(report.cases)} cases, ready to train: {report.ok}")

    run = delineate.train(data, out=folder / "run", epochs=30)
    print(f"Dice on the held-out part: {run.dice:.3f}" if run.dice is not None else "Nothing to find.")
    print(f"Report: {run.evaluation.report}")

    new = phantoms.write("ultrasound", folder / "new", count=3, size=(64, 64), seed=1)
    made = delineate.predict(run.load(), new / "images", folder / "masks", overlay=True)
    for file in made.done:
        print(file.mask, file.label_share)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="delineate-")))
