"""The loop: the same bit for bit, also after a stop; learns what can be learned; stops at nonsense."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from safetensors import safe_open
from same_weights import assert_same_weights
from torch import Tensor

from delineate.errors import Interrupted, OutputError, TrainingError
from delineate.image import IGNORED
from delineate.plan import Plan
from delineate.training.batches import batch_at
from delineate.training.cache import CachedCase
from delineate.training.checkpoint import ENTRY
from delineate.training.history import HistoryRow, read_history
from delineate.training.loop import Progress, Trained, Watcher, fit
from delineate.training.optimization import learning_rate_at
from delineate.training.reports import dice_of, overlap_counts
from delineate.training.trainer import Trainer

PlanMaker = Callable[..., Plan]
CaseMaker = Callable[..., list[CachedCase]]
BUSY: dict[str, Any] = {
    "rotation_degrees": 20,
    "shift": 0.1,
    "zoom": [0.9, 1.1],
    "flip_horizontal": True,
    "brightness": 0.2,
    "noise": 0.1,
}
KINDS: dict[str, dict[str, Any]] = {
    "muon": {"augmentation": BUSY},
    "adam": {
        "augmentation": BUSY,
        "training": {"optimizer": "adam", "schedule": "constant", "learning_rate": 1e-3},
        "network": {"normalization": "none", "residual": False, "upsampling": "transposed"},
    },
    "patches": {
        "augmentation": BUSY,
        "preprocessing": {"mode": "patch"},
        "training": {"foreground_share": 0.5},
    },
    "bf16": {"training": {"precision": "bf16"}},
}


def without_time(rows: tuple[HistoryRow, ...] | list[HistoryRow]) -> list[HistoryRow]:
    return [dataclasses.replace(row, seconds=0.0) for row in rows]


def assert_same(one: Trained, other: Trained) -> None:
    assert_same_weights(one.weights, other.weights)
    assert without_time(one.history) == without_time(other.history)
    assert one.precision == other.precision
    assert one.dice == other.dice


def stop_at(step: int, number: signal.Signals) -> Watcher:
    def watch(progress: Progress, row: HistoryRow | None) -> None:
        if progress.step == step:
            os.kill(os.getpid(), number)

    return watch


def ticking(seconds: float = 1.0) -> Callable[[], float]:
    """A clock that goes on by so much at each look."""
    now = [-seconds]

    def clock() -> float:
        now[0] += seconds
        return now[0]

    return clock


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("step", "number", "code"), [(1, signal.SIGINT, 130), (6, signal.SIGTERM, 143), (8, signal.SIGINT, 130)]
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    tiny_plan: PlanMaker,
    tiny_cases: CaseMaker,
    run: Callable[[str], Path],
    kind: str,
    step: int,
    number: signal.Signals,
    code: int,
) -> None:
    sections = KINDS[kind] | {"training": KINDS[kind].get("training", {}) | {"evaluations": 3}}
    plan, cases = tiny_plan(**sections), tiny_cases(6, 16 if kind != "patches" else 24)
    whole, stopped = run("whole"), run("stopped")
    expected = fit(plan, cases[:4], cases[4:], whole)
    with pytest.raises(
        Interrupted, match=rf"^Stopped after step {step} of 12; .*--resume .*stopped$"
    ) as caught:
        fit(plan, cases[:4], cases[4:], stopped, watcher=stop_at(step, number))
    assert caught.value.exit_code == code
    torch.manual_seed(999)  # another process has another state of its own
    found = fit(plan, cases[:4], cases[4:], stopped, resume=True)
    assert_same(found, expected)
    assert [row.step for row in found.history] == [4, 8, 12]
    in_files = [without_time(read_history(folder / "metrics.csv")) for folder in (whole, stopped)]
    assert in_files[0] == in_files[1] == without_time(expected.history)


def test_a_stop_at_the_last_step_is_heard_and_nothing_is_trained_again(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    plan, cases = tiny_plan(training={"evaluations": 3}), tiny_cases()
    expected = fit(plan, cases[:4], cases[4:], run("whole"))
    stopped = run("stopped")
    with pytest.raises(
        Interrupted, match=r"^Stopped after the last of 12 steps; .*--resume .*stopped$"
    ) as caught:
        fit(plan, cases[:4], cases[4:], stopped, watcher=stop_at(12, signal.SIGTERM))
    assert caught.value.exit_code == 143
    assert_same(fit(plan, cases[:4], cases[4:], stopped, resume=True), expected)


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    plan, cases = tiny_plan(augmentation=BUSY), tiny_cases()
    expected = fit(plan, cases, cases[:2], run("whole"))
    folder = run("killed")
    saved: list[bool] = []

    def die(progress: Progress, row: HistoryRow | None) -> None:
        saved.append((folder / "checkpoints" / "last.safetensors").exists())
        if progress.step == 9:
            raise MemoryError

    # 25 s pass at each look at the clock, so that about every second step is saved
    with pytest.raises(MemoryError):
        fit(plan, cases, cases[:2], folder, watcher=die, clock=ticking(25.0))
    assert saved[0] is False
    assert saved[-1] is True
    found = fit(plan, cases, cases[:2], folder, resume=True)
    assert_same(found, expected)


def test_a_checkpoint_is_written_about_once_a_minute(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    folder = run("run")
    found: list[int | None] = []

    def look(progress: Progress, row: HistoryRow | None) -> None:
        path = folder / "checkpoints" / "last.safetensors"
        if not path.exists():
            found.append(None)
            return
        with safe_open(path, framework="pt") as stream:
            found.append(json.loads(stream.metadata()[ENTRY])["step"])

    # 25 s a step: after the third, then 25 s later begins the next minute
    plan = tiny_plan(training={"evaluations": 1})
    fit(plan, tiny_cases(), [], folder, watcher=look, clock=ticking(25.0))
    assert found == [None] * 3 + [3] * 3 + [6] * 3 + [9] * 3


def test_the_seed_decides_all(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    cases = tiny_cases()
    first = fit(tiny_plan(augmentation=BUSY), cases, cases, run("first"))
    again = fit(tiny_plan(augmentation=BUSY), cases, [], run("again"))
    other = fit(tiny_plan(augmentation=BUSY, training={"seed": 1}), cases, cases, run("other"))
    assert_same_weights(again.weights, first.weights)  # looking at the validation part changes nothing
    assert [row.validation_dice for row in again.history] == [None] * 10
    assert not torch.equal(first.weights["head.weight"], other.weights["head.weight"])


def test_a_finished_run_is_left_as_it_is_and_a_new_one_starts_anew(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    plan, cases, folder = tiny_plan(), tiny_cases(), run("run")
    expected = fit(plan, cases, cases[:1], folder)
    told: list[int] = []

    def watch(progress: Progress, row: HistoryRow | None) -> None:
        told.append(progress.step)

    assert_same(fit(plan, cases, cases[:1], folder, resume=True, watcher=watch), expected)
    assert told == []
    assert_same(fit(plan, cases, cases[:1], folder, watcher=watch), expected)
    assert told == list(range(1, 13))
    assert_same(fit(plan, cases, cases[:1], run("nothing to resume"), resume=True), expected)


def test_history_holds_the_means_of_its_steps(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    plan, cases = tiny_plan(training={"steps": 10, "evaluations": 4}), tiny_cases()
    history = fit(plan, cases[:4], cases[4:], run("run"), clock=ticking()).history
    assert [row.step for row in history] == [2, 5, 8, 10]  # 2.5 and 7.5 go to the even side
    trainer, expected = Trainer(plan.with_steps(10), cases[:4]), iter(history)
    state = trainer.state
    for step in range(1, 11):
        trainer.take_step()
        if step in (2, 5, 8, 10):
            row = next(expected)
            assert row.train_loss == fmean(state.losses)
            assert row.train_dice == fmean(state.dices)
            assert row.learning_rate == learning_rate_at(step - 1, 10, plan.training)
            assert row.validation_dice == trainer.validation_dice(cases[4:])
            state.losses, state.dices = [], []
    assert [row.seconds for row in history] == [2, 6, 10, 13]  # a second a step and one a look at the clock


def test_the_watcher_is_told_each_step(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    plan, cases = tiny_plan(training={"evaluations": 1}), tiny_cases()
    told: list[tuple[Progress, HistoryRow | None]] = []

    def watch(progress: Progress, row: HistoryRow | None) -> None:
        told.append((progress, row))

    trained = fit(plan, cases, cases[:2], run("run"), watcher=watch, clock=ticking(0.5))
    assert [progress.step for progress, _ in told] == list(range(1, 13))
    assert [row for _, row in told] == [None] * 11 + [trained.history[0]]
    for progress, _ in told[:11]:  # half a second a step of four images
        assert progress.images_per_second == 8
        assert progress.seconds_left == (12 - progress.step) / 2
        assert progress.steps == 12
        assert progress.validation_dice is None
    assert told[11][0].validation_dice == trained.history[0].validation_dice
    assert told[11][0].loss == trained.history[0].train_loss  # fewer than twenty steps: the same mean
    assert told[11][0].seconds_left == 0
    assert trained.seconds == 6.5


def test_seconds_go_on_where_they_stopped(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    plan, cases, folder = tiny_plan(training={"evaluations": 1}), tiny_cases(), run("run")
    with pytest.raises(Interrupted):
        fit(plan, cases, [], folder, watcher=stop_at(5, signal.SIGINT), clock=ticking())
    found = fit(plan, cases, [], folder, resume=True, clock=ticking())
    assert [row.seconds for row in found.history] == [5 + 7]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e25, 1e30, 3e38])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_nonsense_stops_with_step_and_cases_named_and_weights_untouched(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path], value: float, normalization: str
) -> None:
    plan, cases, folder = tiny_plan(network={"normalization": normalization}), tiny_cases(), run("run")
    bad = dataclasses.replace(cases[3], name="the bad one", pixels=cases[3].pixels.float())
    bad.pixels[0, 5, 5] = value
    cases[3] = bad
    trainer = Trainer(plan, cases)
    step = next(step for step in range(12) if "the bad one" in names_at(plan, cases, step))
    for _ in range(step):
        trainer.take_step()
    before = [parameter.detach().clone() for parameter in trainer.state.network.parameters()]
    with pytest.raises(TrainingError, match=rf" at step {step + 1}, on the batch of .*the bad one"):
        trainer.take_step()
    for parameter, old in zip(trainer.state.network.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
    assert trainer.state.step == step
    with pytest.raises(TrainingError, match="the bad one"):
        fit(plan, cases, [], folder)
    assert not (folder / "checkpoints" / "last.safetensors").exists()


def names_at(plan: Plan, cases: list[CachedCase], step: int) -> tuple[str, ...]:
    return batch_at(step, cases, plan, torch.device("cpu")).names


def test_two_phantoms_are_learned_by_heart(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, run: Callable[[str], Path]
) -> None:
    plan = tiny_plan(
        labels=2,
        preprocessing={"size": [32, 32]},
        network={"widths": [8, 16]},
        training={"steps": 60, "batch_size": 2, "evaluations": 1, "learning_rate": 2e-2},
    )
    cases = tiny_cases(2, 32, labels=2)
    (row,) = fit(plan, cases, cases, run("run")).history
    assert row.validation_dice is not None
    assert row.validation_dice > 0.95


def test_validation_dice_is_that_of_the_model_to_be(tiny_plan: PlanMaker, tiny_cases: CaseMaker) -> None:
    plan, cases = tiny_plan(augmentation=BUSY), tiny_cases(4)
    empty = dataclasses.replace(cases[0], mask=torch.zeros_like(cases[0].mask))
    unscored = dataclasses.replace(cases[0], mask=torch.full_like(cases[0].mask, IGNORED))
    trainer = Trainer(plan, cases)
    for _ in range(4):
        trainer.take_step()
    scores = []
    network = trainer.state.network.eval()
    for case in cases[:2]:  # one by one, without augmentation, in evaluation mode
        with torch.no_grad():
            found = network(case.normalized()[None])[0, 0] > 0
        both = int((found & (case.mask == 1)).sum())
        scores.append(2 * both / (int(found.sum()) + int((case.mask == 1).sum())))
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert trainer.validation_dice(cases[:2]) == pytest.approx(fmean(scores))
    assert 0 < fmean(scores) < 1
    # cases without any label are left out of the curve, and without any other there is none
    assert trainer.validation_dice([empty, *cases[:2], unscored]) == pytest.approx(fmean(scores))
    assert trainer.validation_dice([empty, unscored]) is None
    assert trainer.validation_dice([]) is None
    assert network.training
    assert_same_weights(network.state_dict(), before)


def test_at_most_32_validation_cases_are_looked_at_spread_evenly(
    tiny_plan: PlanMaker,
    tiny_cases: CaseMaker,
    run: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[str]] = []

    def look(self: Trainer, cases: list[CachedCase]) -> float:
        seen.append([case.name for case in cases])
        return 0.5

    monkeypatch.setattr(Trainer, "validation_dice", look)
    plan, cases = tiny_plan(training={"steps": 1, "evaluations": 1}), tiny_cases(80)
    fit(plan, cases, cases, run("many"))
    fit(plan, cases, cases[:32], run("few"))
    assert seen == [[f"disc {i * 80 // 32}" for i in range(32)], [f"disc {i}" for i in range(32)]]


@pytest.fixture
def masks() -> Tensor:
    return torch.tensor([[[0, 1, 1, 2]], [[2, 2, 0, IGNORED]]], dtype=torch.uint8)


def hard_dice(logits: Tensor, masks: Tensor) -> float | None:
    return dice_of(overlap_counts(logits, masks))


def decided(*labels: list[int]) -> Tensor:
    """Logits of three channels that say these labels."""
    return torch.nn.functional.one_hot(torch.tensor(labels)[:, None], 3).permute(0, 3, 1, 2).float()


def test_hard_dice_by_hand(masks: Tensor) -> None:
    assert hard_dice(decided([0, 1, 1, 2], [2, 2, 0, 1]), masks) == 1  # the last pixel is not scored
    # label 1: one of two found, one too many; label 2: two of three found
    assert hard_dice(decided([1, 1, 0, 2], [2, 0, 0, 2]), masks) == pytest.approx((2 / 4 + 4 / 5) / 2)
    # label 1 occurs nowhere: it does not count; nor does an image all background
    assert hard_dice(
        decided([2, 0, 0, 0]), torch.tensor([[[2, 2, 0, 0]]], dtype=torch.uint8)
    ) == pytest.approx(2 / 3)
    assert hard_dice(decided([0, 0, 0, 0]), torch.zeros(1, 1, 4, dtype=torch.uint8)) is None
    # made up where there is none: 0
    assert hard_dice(decided([1, 0, 0, 0]), torch.zeros(1, 1, 4, dtype=torch.uint8)) == 0


def test_hard_dice_of_one_label_decides_at_zero() -> None:
    mask = torch.tensor([[[1, 1, 0, IGNORED]]], dtype=torch.uint8)
    assert hard_dice(torch.tensor([[[[0.01, 0.0, -3, 9]]]]), mask) == pytest.approx(2 / 3)


def test_a_batch_job_of_slurm_with_tasks_trains_as_any_other(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, cases = tiny_plan(training={"steps": 2}), tiny_cases()
    apart = fit(plan, cases, [], tmp_path)
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    assert_same(fit(plan, cases, [], tmp_path), apart)


def test_steps_must_be_settled(tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path) -> None:
    plan = tiny_plan(training={"steps": None, "budget_s": 60})
    with pytest.raises(ValueError, match=r"steps are not settled; see training\.speed\.measure_steps"):
        fit(plan, tiny_cases(), [], tmp_path)


def test_a_place_that_cannot_hold_checkpoints_is_told(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot write .*checkpoints"):
        fit(tiny_plan(), tiny_cases(), [], tmp_path)
    assert (tmp_path / "checkpoints").read_text() == "in the way"


def test_the_dice_of_the_last_steps_does_not_depend_on_the_looks(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path
) -> None:
    cases, found = tiny_cases(), []
    for looks in (1, 3, 6):
        folder = tmp_path / str(looks)
        folder.mkdir()
        found.append(fit(tiny_plan(training={"steps": 6, "evaluations": looks}), cases, [], folder).dice)
    assert found[0] is not None
    assert found == [found[0]] * 3


def test_batches_without_a_label_do_not_count_as_found(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path
) -> None:
    cases = [dataclasses.replace(case, mask=torch.zeros_like(case.mask)) for case in tiny_cases()]
    trainer = Trainer(tiny_plan().with_steps(4), cases)
    assert trainer.state.dice is None
    trainer.state.pixels.extend([(0, 0), (10, 2), (0, 0), (30, 8)])
    assert trainer.state.dice == 2 * 10 / 40
