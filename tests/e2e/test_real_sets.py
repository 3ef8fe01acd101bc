"""The real data sets as they lie there, through the command line: read, trained, scored, predicted."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from commanding import Command
from PIL import Image

import delineate


@dataclass(frozen=True)
class RealSet:
    """What is known of a set: its cases, its labels, and a Dice that so many epochs should reach."""

    name: str
    cases: int
    labels: tuple[str, ...]
    mode: str
    epochs: int
    dice_at_least: float
    options: tuple[str, ...] = ()


SETS = (
    RealSet("kvasir", 900, ("foreground",), "whole", 3, 0.35),
    RealSet("drive", 20, ("foreground",), "patch", 2, 0.60),
    RealSet("jsrt", 124, ("label 1", "label 2", "label 3"), "whole", 10, 0.80),
    RealSet("wbc", 300, ("label 128", "label 255"), "whole", 6, 0.75),
    RealSet("dsb2018", 160, ("foreground",), "patch", 2, 0.65),
    RealSet("isbi2012_em", 24, ("foreground",), "patch", 3, 0.85, ("--group-regex", r"^(.*)\d$")),
)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("known", SETS, ids=lambda known: known.name)
def test_a_real_set_goes_the_whole_way(
    known: RealSet, data_root: Path, command: Command, tmp_path: Path
) -> None:
    data, run = data_root / known.name, tmp_path / "run"
    checked = command("check", data, *known.options)
    assert checked.returncode == 0, checked.stdout
    assert f"{known.cases} cases" in checked.stdout

    trained = command("train", data, "--out", run, "--epochs", str(known.epochs), *known.options)
    assert trained.returncode == 0, trained.stderr
    model = delineate.load(run)
    assert model.labels.names == known.labels
    assert model.plan.preprocessing.mode == known.mode
    scores = model.card.scores
    assert scores is not None
    assert scores.dice is not None
    assert scores.dice.mean >= known.dice_at_least

    splits = json.loads((run / "splits.json").read_text())
    parts = [set(splits[part]) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == known.cases == len(set.union(*parts))
    for members in splits["groups"].values():
        assert sum(bool(part & set(members)) for part in parts) == 1

    with (run / "evaluation" / "cases.csv").open(newline="") as stream:
        scored = {row["case"] for row in csv.DictReader(stream)}
    assert scored == set(splits["validation"])

    images = sorted((data / "images").iterdir())[:3]
    predicted = command("predict", run, *images, "--out", tmp_path / "masks", "--overlay")
    assert predicted.returncode == 0, predicted.stderr
    for path in images:
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{path.stem}.png"))
        with Image.open(path) as image:
            assert mask.shape == (image.height, image.width)
        assert set(np.unique(mask)) <= (
            {0, 255} if len(known.labels) == 1 else set(range(len(known.labels) + 1))
        )

    report = (run / "evaluation" / "report.html").read_text()
    assert str(data_root) not in report
    assert re.search(r"mean Dice of 0\.\d{3}", report)
