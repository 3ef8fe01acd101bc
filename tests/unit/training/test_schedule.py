"""The schedule of a training that is adjusted on the way: continuous, to its end, marks kept."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.plan import TrainingPlan
from delineate.training.optimization import learning_rate_at
from delineate.training.schedule import Schedule


def test_a_whole_schedule_is_its_steps() -> None:
    schedule = Schedule(10)
    assert schedule.last_step == 10
    assert [schedule.position(step) for step in range(11)] == list(range(11))
    assert schedule.marks(4) == (2, 5, 8, 10)  # 2.5 and 7.5 go to the even side
    assert Schedule(3).marks(5) == (1, 1, 2, 2, 3)


def test_a_shortened_schedule_by_hand() -> None:
    once = Schedule(100, ((60, 80),))  # 40 in 20 steps: two a step
    assert once.last_step == 80
    assert [once.position(step) for step in (0, 59, 60, 61, 70, 80)] == [0, 59, 60, 62, 80, 100]
    assert once.marks(5) == (20, 40, 60, 70, 80)
    twice = Schedule(100, ((60, 80), (70, 75)))  # then 20 in 5: four a step
    assert [twice.position(step) for step in (60, 70, 71, 75)] == [60, 80, 84, 100]
    assert twice.marks(5) == (20, 40, 60, 70, 75)


def test_a_lengthened_schedule_by_hand() -> None:
    once = Schedule(100, ((60, 140),))  # 40 in 80 steps: one every two steps
    assert once.last_step == 140
    assert [once.position(step) for step in (0, 59, 60, 61, 70, 140)] == [0, 59, 60, 60.5, 65, 100]
    assert once.marks(5) == (20, 40, 60, 100, 140)
    twice = Schedule(100, ((60, 140), (120, 130)))  # then 10 in 10 again
    assert [twice.position(step) for step in (60, 120, 121, 130)] == [60, 90, 91, 100]
    assert twice.marks(5) == (20, 40, 60, 100, 130)


def test_a_mark_that_was_passed_stays_and_one_to_come_lies_after_the_change() -> None:
    # places 3.33, 6.67, 10: of the whole schedule the marks are 3, 7, 10
    assert Schedule(10).marks(3) == (3, 7, 10)
    assert Schedule(10, ((7, 8),)).marks(3) == (3, 7, 8)  # 7 was looked at, though it lies before 6.67
    assert Schedule(10, ((6, 8),)).marks(3) == (3, 7, 8)  # 6.67 comes a third of a step after 6


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    steps = draw(st.integers(3, 5000))
    changes: list[tuple[int, int]] = []
    done, end = 0, steps
    for _ in range(draw(st.integers(0, 4))):
        if end - done < 3:
            break
        done = draw(st.integers(done + 1, end - 2))
        end = draw(st.one_of(st.integers(done + 1, end - 1), st.integers(end + 1, 2 * end)))
        changes.append((done, end))
    return Schedule(steps, tuple(changes))


@given(schedules(), st.integers(1, 40))
def test_every_schedule_rises_to_its_end_without_a_jump(schedule: Schedule, count: int) -> None:
    places = [schedule.position(step) for step in range(schedule.last_step + 1)]
    assert places[0] == 0
    assert places[-1] == pytest.approx(schedule.steps)
    assert all(low < high for low, high in pairwise(places))
    for changed, _ in schedule.adjusted:  # from both sides the same
        earlier = Schedule(schedule.steps, tuple(each for each in schedule.adjusted if each[0] < changed))
        assert earlier.position(changed) == schedule.position(changed)
    marks = schedule.marks(count)
    assert len(marks) == count
    assert marks[-1] == schedule.last_step
    assert list(marks) == sorted(marks)
    for number in range(len(schedule.adjusted)):  # what was passed is not changed afterwards
        changed = schedule.adjusted[number][0]
        before = Schedule(schedule.steps, schedule.adjusted[:number]).marks(count)
        assert [mark for mark in marks if mark <= changed] == [mark for mark in before if mark <= changed]


@given(schedules())
def test_the_learning_rate_goes_on_where_it_was_and_comes_down_to_zero(schedule: Schedule) -> None:
    training = TrainingPlan(steps=schedule.steps, batch_size=1, learning_rate=0.5, warmup=0.1)
    rates = [
        learning_rate_at(schedule.position(step), schedule.steps, training)
        for step in range(schedule.last_step + 1)
    ]
    whole = [learning_rate_at(step, schedule.steps, training) for step in range(schedule.steps + 1)]
    first = schedule.adjusted[0][0] if schedule.adjusted else schedule.steps
    assert rates[: first + 1] == whole[: first + 1]
    assert all(0 < rate <= 0.5 for rate in rates)
    assert rates[-1] == pytest.approx(0.5 * 1e-4)  # the least it ever is
    warmup = max(1, round(0.1 * schedule.steps))
    down = [rate for step, rate in enumerate(rates) if schedule.position(step) >= warmup]
    assert down == sorted(down, reverse=True)
