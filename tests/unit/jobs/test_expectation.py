"""What is told before a training: sentences, memory, and scoring by a clock that ticks by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clocks import ticking
from PIL import Image as Pictures

from delineate import phantoms
from delineate.errors import DataError
from delineate.image import Image, LabelSet, Mask
from delineate.inference.hardware import ProcessMemory
from delineate.jobs import expectation, scoring_cost
from delineate.jobs.expectation import Expectation
from delineate.jobs.parts import LoadedCase, Part, checked_part
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring_cost import ScoringCost, ToScore, measure_scoring
from delineate.plan import Plan

GB = 10**9


def told(**numbers: int | float | None) -> Expectation:
    usual: dict[str, int | float | None] = {
        "steps": 1840,
        "step_seconds": 0.3125,
        "training_seconds": 601.2,
        "scoring_seconds": 39.6,
    }
    return Expectation.model_validate(usual | numbers)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({}, "Expect 10 min of training (1840 steps of 0.31 s) and about 40 s of scoring."),
        (
            {"memory_bytes": 1.2e9, "free_bytes": 18e9},
            "Expect 10 min of training (1840 steps of 0.31 s), about 40 s of scoring, and 1.2 GB of memory "
            "(18 GB are free).",
        ),
        (
            {"memory_bytes": 1e9, "gpu_bytes": 12e9, "gpu_free_bytes": 80e9, "scoring_seconds": 0.1},
            "Expect 10 min of training (1840 steps of 0.31 s), about 1 s of scoring, 1.0 GB of memory, and "
            "12 GB of GPU memory (80 GB are free).",
        ),
        (
            {"steps": 1, "training_seconds": 0.3},
            "Expect 1 s of training (1 step of 0.31 s) and about 40 s of scoring.",
        ),
    ],
)
def test_the_sentence(numbers: dict[str, float], sentence: str) -> None:
    assert told(**numbers).sentence() == sentence


def test_the_sentence_of_several_trainings_counts_the_scoring_once() -> None:
    assert told(trainings=6, memory_bytes=1.2e9).sentence() == (
        "Expect 6 trainings of 10 min each (1840 steps of 0.31 s), about 40 s of scoring, and 1.2 GB of "
        "memory; about 1 h 1 min in all."
    )


def test_a_warning_only_where_more_is_taken_than_is_free() -> None:
    assert told().warning() is None
    assert told(memory_bytes=GB).warning() is None
    assert told(memory_bytes=GB, free_bytes=GB).warning() is None
    little = told(memory_bytes=3 * GB, free_bytes=2 * GB).warning()
    assert little is not None
    assert little.startswith("More memory is needed than is free, 3.0 GB of 2.0 GB: ")
    assert "training.batch_size" in little
    on_gpu = told(memory_bytes=GB, free_bytes=GB, gpu_bytes=9 * GB, gpu_free_bytes=8 * GB).warning()
    assert on_gpu is not None
    assert on_gpu.startswith("More memory of the GPU is needed than is free, 9.0 GB of 8.0 GB: ")


@pytest.mark.parametrize(
    ("before", "after", "more", "most"),
    [
        ((100, 200), (300, 500), 0, 500),  # the measuring has raised the peak
        ((100, 900), (300, 900), 0, 300),  # an older peak says nothing
        ((100, 200), (300, 500), 250, 550),  # the largest volume will take more
        ((100, 200), (300, 500), 100, 500),
    ],
)
def test_the_most_memory(
    before: tuple[int, int], after: tuple[int, int], more: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectation, "free_memory_bytes", lambda: 1000)
    found = expectation._memory(ProcessMemory(*before), ProcessMemory(*after), more)
    assert found == (most, 1000 + 300)  # what it holds now is its own
    assert expectation._memory(None, None, more) == (None, None)
    monkeypatch.setattr(expectation, "free_memory_bytes", lambda: None)
    assert expectation._memory(ProcessMemory(*before), ProcessMemory(*after), more) == (most, None)


@pytest.fixture
def plan() -> Plan:
    return Plan.model_validate(
        {
            "preset": "auto",
            "data": {"colour": "grey", "channels": 1, "labels": ["lesion"]},
            "preprocessing": {"mode": "whole", "size": [16, 16], "normalization": "unit"},
            "network": {"input_channels": 1, "output_channels": 1, "widths": [4, 8]},
            "augmentation": {},
            "loss": {},
            "training": {"steps": 12, "batch_size": 4, "learning_rate": 5e-3, "precision": "fp32"},
            "prediction": {},
        }
    )


@pytest.fixture
def part(tmp_path: Path) -> Part:
    phantoms.write("ultrasound", tmp_path / "data", count=12, size=(32, 32))
    return checked_part(tmp_path / "data", labels=None, group_regex=None, reporter=Reporter())


@pytest.mark.parametrize(
    ("allowed_s", "looks"),
    [
        (0, 1),  # one case at least
        (9, 2),
        (1000, 4),  # and four at most
    ],
)
def test_scoring_is_timed_on_some_cases_and_told_for_all(
    plan: Plan, part: Part, allowed_s: float, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    timed = scoring_cost._timed

    def noted(*arguments: object, **options: object) -> tuple[float, float]:
        case = arguments[2]
        assert isinstance(case, LoadedCase)
        seen.append(case.name)
        return timed(*arguments, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(scoring_cost, "_timed", noted)
    cost = measure_scoring(plan, ToScore(part), allowed_s=allowed_s, clock=ticking())
    # a second each to read, predict and score 12 cases; nine are read, predicted and drawn once more
    assert cost == ScoringCost(12 * 3 + 9 * (2 + 1) + scoring_cost.REPORT_SECONDS, 0)
    assert seen == [part.files[at].name for at in (6, 9, 3, 0)][:looks]


def test_the_prediction_by_several_nets_takes_so_many_times_as_long(plan: Plan, part: Part) -> None:
    cost = measure_scoring(plan, ToScore(part, members=5), allowed_s=0, clock=ticking())
    assert cost.seconds == 12 * (1 + 5 + 1) + 9 * (1 + 5 + 1) + scoring_cost.REPORT_SECONDS


@pytest.mark.parametrize(
    ("measured", "usual", "in_all"),
    [
        ([(100, 2.0)], 5.0, 20.0),  # one says nothing of others: in proportion
        ([(100, 2.0), (100, 4.0)], 7.5, 30.0),
        ([(100, 2.0), (200, 3.0)], 3.5, 14.0),  # one second, and one a hundred pixels
        ([(100, 2.0), (200, 1.0)], 1.5, 6.0),  # smaller ones take no longer: chance
        ([(100, 1.0), (200, 5.0)], 5.0, 20.0),  # nothing takes less than no time
    ],
)
def test_a_case_takes_as_long_as_its_pixels_say(
    measured: list[tuple[int, float]], usual: float, in_all: float
) -> None:
    pixels = [100, 100, 100, 700]
    found = scoring_cost._for_all([scoring_cost._Measured(*each, 0) for each in measured], pixels)
    assert found == pytest.approx((usual, in_all))


@pytest.fixture
def uneven(tmp_path: Path) -> Part:
    """Twelve pictures of 32 × 32, and one of 320 × 160."""
    phantoms.write("ultrasound", tmp_path / "data", count=13, size=(32, 32))
    for kind in ("image", "mask"):
        path = sorted((tmp_path / "data" / f"{kind}s").iterdir())[7]
        Pictures.open(path).resize((320, 160), Pictures.Resampling.NEAREST).save(path)
    return checked_part(tmp_path / "data", labels=None, group_regex=None, reporter=Reporter())


def test_the_largest_picture_counts_in_memory_and_time_though_it_is_not_measured(
    plan: Plan, uneven: Part
) -> None:
    assert sorted(uneven.report.sizes_by_case.values())[-2:] == [(32, 32), (160, 320)]
    cost = measure_scoring(plan, ToScore(uneven), allowed_s=1000, clock=ticking())
    case = next(iter(uneven))
    a_pixel = scoring_cost._bytes_a_pixel(plan, case)
    assert a_pixel == 2 * (1 + 1) + 16 + 27  # read, and drawn, which takes more than all else
    assert cost.more_bytes == (320 * 160 - 32 * 32) * a_pixel
    as_many = (12 + 50) / 13  # of a mean picture's pixels as of a small one's
    usual = 3 * as_many
    assert cost.seconds == pytest.approx(13 * usual + 9 * (usual * 2 / 3 + 1) + scoring_cost.REPORT_SECONDS)
    small = [files.name for files in uneven.files if uneven.report.sizes_by_case[files.name] == (32, 32)]
    assert measure_scoring(plan, ToScore(uneven.of(small)), allowed_s=0).more_bytes == 0


def test_a_case_that_does_not_fit_is_told_before_the_training(plan: Plan, part: Part) -> None:
    coloured = plan.model_copy(
        update={
            "data": plan.data.model_copy(update={"colour": "channels", "channels": 3}),
            "network": plan.network.model_copy(update={"input_channels": 3}),
        }
    )
    with pytest.raises(DataError, match=rf"^Case {part.files[6].name} does not fit the model: "):
        measure_scoring(coloured, ToScore(part), allowed_s=1)


def test_nothing_to_score_takes_no_time(plan: Plan, part: Part) -> None:
    assert measure_scoring(plan, ToScore(part.of([])), allowed_s=1) == ScoringCost(0.0, 0)


def volume_case(size: tuple[int, int, int]) -> LoadedCase:
    values = np.zeros(size, dtype=np.uint8)
    values[size[0] // 2, 4:8, 4:8] = 1
    pixels = np.arange(values.size, dtype=np.float32).reshape(1, *size)
    return LoadedCase("one", "one", Image(pixels), Mask(values, LabelSet.of("lesion")))


def test_of_a_large_volume_the_middle_is_measured(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_cost, "MOST_VOXELS", 1000)
    case = volume_case((40, 10, 10))
    some = scoring_cost._excerpt(plan, case)  # slices: ten of forty
    assert np.array_equal(some.image.pixels, case.image.pixels[:, 15:25])
    assert np.array_equal(some.mask.values, case.mask.values[15:25])
    assert scoring_cost._passes(plan, some) == 10
    network = plan.network.model_copy(update={"axes": 3})
    preprocessing = plan.preprocessing.model_copy(update={"mode": "patch", "size": (8, 8, 8)})
    solid = plan.model_copy(update={"network": network, "preprocessing": preprocessing})
    case = volume_case((20, 20, 20))
    some = scoring_cost._excerpt(solid, case)
    assert np.array_equal(some.image.pixels, case.image.pixels[:, 5:15, 5:15, 5:15])
    # windows of 8 that overlap by a quarter: three along 20, two along 10
    assert (scoring_cost._passes(solid, case), scoring_cost._passes(solid, some)) == (27, 8)
    small = volume_case((10, 10, 10))
    assert scoring_cost._excerpt(solid, small) is small
