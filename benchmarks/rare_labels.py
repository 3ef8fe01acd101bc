"""Does drawing for a label help where few images have it?

    python -m benchmarks.rare_labels [--budget 4m] [--seeds 0]

The data are cut-outs of kvasir's images: 24 that show a part of a polyp, and one that shows none of each of
the other training images that has such a place. They are learned by the plan that is made for them, which
draws half of each batch for the label, and by the same plan without that. Scored are cut-outs of the images
held out.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.processes import run_train
from benchmarks.reporting import (
    ROOT,
    Record,
    add_runs_option,
    argument_parser,
    machine,
    print_table,
    read_record,
    write_record,
)
from PIL import Image

from delineate.plan import read_plan, write_plan

SIDE, TRIES = 176, 60
POSITIVE, LEAST_SHARE, MOST_SHARE = 24, 0.03, 0.35
SHARES = (0.5, 0.0)


def main() -> None:
    """Cut, train, print and write."""
    parser = argument_parser("rare_labels", "Training where few images have the label.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--budget", default="4m", metavar="TIME", help="of each training (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES), metavar="SHARE")
    add_runs_option(parser, "rare_labels")
    chosen = parser.parse_args()
    runs = chosen.runs / time.strftime("%Y%m%d-%H%M%S")
    runs.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record = read_record(chosen.out) | {"benchmark": "rare_labels", "machine": machine()}
        record["cut_outs"] = cut(chosen.data / "kvasir", folder)
        data = (folder / "train", "--test", folder / "test")
        planned = runs / "planned"
        run_train(*data, "--budget", "2s", "--out", planned)
        plan = read_plan(planned / "plan.yaml")
        if plan.training.foreground_share != SHARES[0]:
            raise SystemExit("The plan does not draw for the label: there is nothing to compare.")
        rows = []
        for seed in chosen.seeds:
            for share in chosen.shares:
                training = plan.training.model_copy(update={"foreground_share": share, "steps": None})
                path, run = runs / f"{share:g}.yaml", runs / f"share-{share:g}-seed-{seed}"
                write_plan(path, plan.model_copy(update={"training": training}))
                options = ("--plan", path, "--budget", chosen.budget, "--seed", str(seed), "--out", run)
                done = run_train(*data, *options)
                facts = done.facts() | _scores(run)
                record.setdefault("results", {}).setdefault(f"{share:g}", {})[str(seed)] = facts
                write_record(chosen.out, record)
                rows.append((f"{share:g}", str(seed), f"{facts['dice']:.3f}", str(facts["missed"])))
    print_table("Drawn for the label", ("share", "seed", "Dice", "missed"), rows)


def cut(kvasir: Path, out: Path) -> Record:
    """Write `train/` and `test/`, each with `images/` and `masks/`; how many of which kind."""
    random, counts = np.random.default_rng(0), {"train": [0, 0], "test": [0, 0]}
    for path in sorted((kvasir / "images").iterdir()):
        part = "test" if path.name.startswith("val_") else "train"
        image = np.array(Image.open(path).convert("RGB"))
        mask = np.array(Image.open(kvasir / "masks" / path.name).convert("L")) > 127
        shown, empty = _places(mask, random)
        found = counts[part]
        kinds = [(1, shown)] if part == "train" and found[1] < POSITIVE and shown else [(0, empty)]
        for kind, place in [(1, shown), (0, empty)] if part == "test" else kinds:
            if place is not None:
                _write(out / part, f"{path.stem}-{kind}", image[place], mask[place])
                found[kind] += 1
    return {part: {"with": shown, "without": empty} for part, (empty, shown) in counts.items()}


Place = tuple[slice, slice]


def _places(mask: npt.NDArray[np.bool_], random: np.random.Generator) -> tuple[Place | None, Place | None]:
    """A place that shows a part of the label, and one that shows none."""
    shown = empty = None
    for _ in range(TRIES):
        top, left = (int(random.integers(0, side - SIDE + 1)) for side in mask.shape)
        place = slice(top, top + SIDE), slice(left, left + SIDE)
        share = mask[place].mean()
        if not share:
            empty = empty or place
        elif LEAST_SHARE < share < MOST_SHARE:
            shown = shown or place
    return shown, empty


def _write(part: Path, name: str, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> None:
    for folder, pixels in (("images", image), ("masks", mask.astype(np.uint8) * 255)):
        (part / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(part / folder / f"{name}.png")


def _scores(run: Path) -> Record:
    summary = json.loads((run / "evaluation" / "summary.json").read_text(encoding="utf-8"))
    (label,) = summary["labels"]
    return {
        "dice": label["metrics"]["dice"]["mean"],
        "missed": label["missed"],
        "false_alarms": label["false_alarms"],
    }


if __name__ == "__main__":
    main()
