"""What steps report may come later, and no step waits for a value of the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from delineate.errors import TrainingError
from delineate.plan import Plan
from delineate.training import loop, trainer
from delineate.training.batches import batch_at
from delineate.training.cache import CachedCase
from delineate.training.history import HistoryRow
from delineate.training.loop import Progress, Watcher, fit
from delineate.training.reports import Report, Reports
from delineate.training.trainer import Trainer

PlanMaker = Callable[..., Plan]
CaseMaker = Callable[..., list[CachedCase]]
MOVED: dict[str, Any] = {
    "rotation_degrees": 20,
    "flip_horizontal": True,
    "brightness": 0.2,
    "contrast": 0.2,
    "gamma": 0.2,
    "colour": 0.1,
    "blur_sigma_px": 1.0,
}
KINDS: dict[str, dict[str, Any]] = {
    "whole": {},
    "half unmoved": {"augmentation": {"geometry_probability": 0.5}},
    "sides": {"data": {"labels": ["left lung", "right lung"], "left_right": [["left lung", "right lung"]]}},
    "patches": {"preprocessing": {"mode": "patch"}, "training": {"foreground_share": 0.5}},
    "bf16": {"training": {"precision": "bf16"}},
}


class Elsewhere:
    """A device whose values cannot be read: whoever asks for one would have to wait for it."""

    device = torch.device("meta")

    def __init__(self, **_: object) -> None:
        pass

    def setup(self, network: nn.Module, optimizer: object) -> tuple[nn.Module, object]:
        return network, optimizer

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]  # torch's is untyped


def noting(seen: list[int]) -> Watcher:
    def watch(progress: Progress, row: HistoryRow | None) -> None:
        seen.append(progress.step)

    return watch


def sums(loss: float, sound: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    return torch.tensor(loss), torch.tensor(sound), torch.tensor([[4, 1], [0, 0], [6, 3]])


def test_reports_are_read_in_order_and_the_last_ones_later() -> None:
    reports, found = Reports(2), []
    for step in range(1, 6):
        reports.add(step, ("case",), *sums(step / 2))
        found.append([report.loss for report in reports.read()])

    assert found == [[], [], [0.5], [1.0], [1.5]]
    assert list(reports.read(all_of_them=True)) == [Report(2.0, 0.75, (10, 4)), Report(2.5, 0.75, (10, 4))]
    assert list(reports.read(all_of_them=True)) == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (sums(float("nan")), "The loss is nan at step 2"),
        (sums(1.0, sound=False), "gradients or statistics overflow at step 2"),
    ],
)
def test_nonsense_names_its_own_step(bad: tuple[Tensor, Tensor, Tensor], said: str) -> None:
    reports = Reports(2)
    reports.add(1, ("first",), *sums(1.0))
    reports.add(2, ("the bad one", "another"), *bad)
    reports.add(3, ("third",), *sums(float("nan")))
    assert [report.loss for report in reports.read()] == [1.0]

    with pytest.raises(TrainingError, match=rf"{said}, on the batch of the bad one, another\. "):
        list(reports.read(all_of_them=True))


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_waits_for_a_value_of_the_device(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    labels = 2 if kind == "sides" else 1
    plan = tiny_plan(labels=labels, **{"augmentation": MOVED} | KINDS[kind])
    if kind == "half unmoved":
        plan = tiny_plan(augmentation=MOVED | KINDS[kind]["augmentation"])
    monkeypatch.setattr(trainer, "Fabric", Elsewhere)
    cases = tiny_cases(labels=labels)
    with torch.device("meta"):
        found = Trainer(plan, cases)
    found.reports.steps_ahead = 100

    for _ in range(5):
        found.take_step()

    assert found.state.step == 5
    assert all(parameter.is_meta for parameter in found.state.network.parameters())
    with pytest.raises(RuntimeError):  # the report alone has to be waited for
        found.settle()


def test_reading_later_changes_nothing_that_is_learned(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, cases = tiny_plan(augmentation=MOVED, training={"evaluations": 3}), tiny_cases()
    told: dict[str, list[int]] = {"at once": [], "later": []}
    trained = {}
    for name, ahead in (("at once", 0), ("later", 2)):

        class Ahead(Trainer):
            def __init__(self, *args: Any, steps_ahead: int = ahead) -> None:
                super().__init__(*args)
                self.reports.steps_ahead = steps_ahead

        monkeypatch.setattr(loop, "Trainer", Ahead)
        folder = tmp_path / name
        folder.mkdir()

        trained[name] = fit(plan, cases[:4], cases[4:], folder, watcher=noting(told[name]))

    for weight, tensor in trained["at once"].weights.items():
        assert torch.equal(tensor, trained["later"].weights[weight])
    at_once, later = (
        [dataclasses.replace(row, seconds=0) for row in each.history] for each in trained.values()
    )
    assert at_once == later
    assert told["at once"] == list(range(1, 13))
    assert told["later"] == list(range(3, 13))  # of the first two nothing was known yet


def test_of_a_step_whose_report_comes_later_nothing_is_saved_if_it_is_nonsense(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, cases = tiny_plan(), tiny_cases()
    nonsense = torch.full_like(cases[3].pixels, float("nan"), dtype=torch.float32)
    cases[3] = dataclasses.replace(cases[3], name="the bad one", pixels=nonsense)
    first = next(
        step for step in range(12) if "the bad one" in batch_at(step, cases, plan, torch.device("cpu")).names
    )
    made = Trainer.__init__

    def ahead(self: Trainer, *args: Any) -> None:
        made(self, *args)
        self.reports.steps_ahead = 100

    monkeypatch.setattr(Trainer, "__init__", ahead)

    with pytest.raises(TrainingError, match=rf" at step {first + 1}, on the batch of .*the bad one"):
        fit(plan, cases, [], tmp_path)
    assert not (tmp_path / "checkpoints" / "last.safetensors").exists()
