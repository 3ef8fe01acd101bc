"""What a run says it will take, against what it takes: work and memory, counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from commanding import ENVIRONMENT, Command
from PIL import Image as Pictures

import delineate
from delineate.inference.model import Model
from delineate.jobs import job, out_of_fold, scoring, scoring_cost
from delineate.jobs.environment import read_environment
from delineate.jobs.expectation import Outlook, look_ahead
from delineate.jobs.scoring_cost import REPORT_SECONDS
from delineate.training.trainer import Trainer

SECONDS = {"step": 1.0, "look": 0.125, "prediction": 2.0, "score": 0.5, "drawing": 0.25}


class Work:
    """Counts what is computed, on a clock that goes on by what each takes here."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: Counter[str] = Counter()
        self.measuring: Counter[str] = Counter()
        for place, name, what in (
            (scoring_cost, "predict_mask", "prediction"),
            (scoring_cost, "score_case", "score"),
            (scoring, "score_case", "score"),
            (out_of_fold, "score_case", "score"),
            (scoring_cost, "draw_overlay", "drawing"),
            (scoring, "draw_overlay", "drawing"),
            (Trainer, "take_step", "step"),
        ):
            patch.setattr(place, name, self._counted(getattr(place, name), what))
        predict, dice = Model.predict_mask, Trainer.validation_dice

        def predicted(model: Model, *arguments: Any) -> Any:
            self.done["prediction"] += model.card.members
            return predict(model, *arguments)

        def looked(trainer: Trainer, cases: Sequence[Any]) -> Any:
            self.done["look"] += len(cases)
            return dice(trainer, cases)

        def measured(*given: Any) -> Outlook:
            before = self.done.copy()
            outlook = look_ahead(*given, clock=self.seconds)
            self.measuring += self.done - before
            return outlook

        patch.setattr(Model, "predict_mask", predicted)
        patch.setattr(Trainer, "validation_dice", looked)
        patch.setattr(job, "look_ahead", measured)

    def _counted(self, function: Callable[..., Any], what: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.done[what] += 1
            return function(*arguments, **options)

        return counted

    def seconds(self, *which: str) -> float:
        """What was done so far takes, measuring included; of `which` alone, without measuring."""
        if not which:
            return sum(SECONDS[what] * number for what, number in self.done.items())
        return sum(SECONDS[what] * (self.done[what] - self.measuring[what]) for what in which)


def test_a_training_takes_what_was_told(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    run = delineate.train(small_data, epochs=2, out=tmp_path / "run")
    expected = read_environment(run.folder).expected
    assert expected is not None
    assert (expected.trainings, expected.step_seconds) == (1, 1.0)
    assert expected.training_seconds == pytest.approx(work.seconds("step", "look"), abs=0.06)
    scoring_seconds = work.seconds("prediction", "score", "drawing") + REPORT_SECONDS
    assert expected.scoring_seconds == pytest.approx(scoring_seconds, abs=0.06)


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_cross_validation_with_another_test_set_takes_what_was_told(
    ensemble: bool, small_data: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each case predicted once and nine drawn, so the test set, by all nets of an ensemble."""
    assert command("phantom", "ultrasound", tmp_path / "other", "--count", "2", "--seed", "9").returncode == 0
    work = Work(monkeypatch)
    run = delineate.train(
        small_data, folds=2, ensemble=ensemble, test=tmp_path / "other", epochs=1, out=tmp_path / "run"
    )
    assert run.test is not None
    assert (run.evaluation.summary.cases, run.test.summary.cases) == (15, 2)
    expected = read_environment(run.folder).expected
    assert expected is not None
    trainings = 2 if ensemble else 3
    assert (expected.trainings, expected.steps) == (trainings, run.plan.training.steps)
    all_s = trainings * expected.training_seconds
    looks = (
        run.plan.training.evaluations if run.plan.training.evaluations < expected.steps else expected.steps
    )
    unseen_s = 0 if ensemble else looks * 7 * SECONDS["look"]  # the net of all cases has none to look at
    assert work.seconds("step", "look") == pytest.approx(all_s - unseen_s, abs=1)
    scoring_seconds = work.seconds("prediction", "score", "drawing") + 2 * REPORT_SECONDS
    assert expected.scoring_seconds == pytest.approx(scoring_seconds, abs=0.06)


def peak_bytes(*arguments: object) -> int:
    """The most memory that `delineate`, run with these, has held, by the system's own count."""
    between = (  # a small process, since a child begins with what its parent held when it was started
        "import resource, subprocess, sys; quiet = subprocess.DEVNULL; "
        "code = subprocess.run(sys.argv[1:], stdout=quiet, stderr=quiet).returncode; "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", between, sys.executable, "-m", "delineate", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    return int(done.stdout) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere no memory is told")
@pytest.mark.parametrize("largest", [None, (3000, 3000)])
def test_a_run_takes_about_as_much_memory_as_was_told(
    largest: tuple[int, int] | None, command: Command, tmp_path: Path
) -> None:
    """Also where one picture, seldom among those that are measured, takes more than the training."""
    data = tmp_path / "data"
    assert command("phantom", "vessels", data, "--count", "9", "--size", "64x64").returncode == 0
    if largest is not None:
        for kind in ("image", "mask"):
            path = sorted((data / f"{kind}s").iterdir())[4]
            Pictures.open(path).resize(largest, Pictures.Resampling.NEAREST).save(path)
    run = tmp_path / "run"
    taken = peak_bytes("train", data, "--folds", "2", "--ensemble", "--epochs", "1", "--out", run)
    told = json.loads((run / "environment.json").read_text())["expected"]["memory_bytes"]
    assert 0.6 < told / taken < 1.7, (told, taken)
    if largest is not None:
        assert told > 1e9
