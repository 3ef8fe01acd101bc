"""Take the plan that Delineate made, change it, and train by the changed plan on the same parts.

    .venv/bin/python examples/edit_a_plan.py [FOLDER]

The changed plan turns images by small angles only and mirrors none, as for structures that have their sides.
Everything is written into FOLDER, by default a new temporary one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import delineate
from delineate import phantoms
from delineate.plan import Plan, write_plan


def without_mirroring(plan: Plan) -> Plan:
    """The plan with small turns and no mirroring, in training and in prediction."""
    augmentation = plan.augmentation.model_copy(
        update={"rotation_degrees": 15.0, "flip_horizontal": False, "flip_vertical": False}
    )
    prediction = plan.prediction.model_copy(update={"mirror": False})
    return plan.model_copy(update={"augmentation": augmentation, "prediction": prediction})


def main(folder: Path) -> None:
    """Train twice and compare."""
    data = phantoms.write("ultrasound", folder / "data", count=30, size=(64, 64))
    first = delineate.train(data, out=folder / "first", epochs=16)

    path = folder / "no-mirroring.yaml"
    write_plan(path, without_mirroring(delineate.read_plan(first.folder / "plan.yaml")))
    second = delineate.train(data, out=folder / "second", plan=path, splits=first.folder / "splits.json")

    for name, run in (("as planned", first), ("without mirroring", second)):
        print(f"{name}: rotation ±{run.plan.augmentation.rotation_degrees:g}°, Dice {run.dice or 0:.3f}")
    print("Whoever keeps the better of the two has chosen by this score: score it anew on a test set.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="delineate-")))
