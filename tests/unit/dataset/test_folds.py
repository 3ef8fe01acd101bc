"""Folds: every case is held out exactly once, no group is divided, sizes and labels are balanced."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.dataset.case_files import CaseFiles, Split
from delineate.dataset.folds import Folds, checked_number, draw_folds, read_folds, write_folds
from delineate.dataset.splits_file import read_splits
from delineate.errors import DataError, UsageError


def files(names: Mapping[str, Split | None]) -> list[CaseFiles]:
    return [CaseFiles(name, (Path(f"{name}.png"),), None, split=part) for name, part in names.items()]


def singles(count: int) -> dict[str, str]:
    return {f"c{n}": f"c{n}" for n in range(count)}


def drawn(groups: Mapping[str, str], number: int, **options: object) -> Folds:
    return draw_folds(files(dict.fromkeys(groups)), groups, number, **options)  # type: ignore[arg-type]  # of several types


@given(
    st.dictionaries(st.text("abc123_", min_size=1, max_size=6), st.integers(0, 12), min_size=2, max_size=40),
    st.integers(2, 6),
    st.integers(0, 1000),
    st.data(),
)
def test_each_case_is_held_out_exactly_once_and_no_group_is_divided(
    numbers: dict[str, int], number: int, seed: int, data: st.DataObject
) -> None:
    groups = {name: f"g{group}" for name, group in numbers.items()}
    marks: dict[str, Split | None] = data.draw(
        st.fixed_dictionaries(
            {
                group: st.sampled_from((None, None, "train", "validation", "test"))
                for group in set(groups.values())
            }
        )
    )
    cases = files({name: marks[group] for name, group in groups.items()})
    labels = {name: ("a",) if len(name) % 2 else ("a", "b") for name in groups}
    free = [group for group in set(groups.values()) if marks[group] != "test"]
    if len(free) < number:
        with pytest.raises(DataError, match=f"cannot fill {number} folds"):
            draw_folds(cases, groups, number, seed=seed)
        return
    folds = draw_folds(cases, groups, number, seed=seed, labels_by_case=labels)
    held = [name for names in folds.held_out for name in names]
    assert sorted(held) == sorted(name for name in groups if marks[groups[name]] != "test")
    assert sorted(folds.test) == sorted(name for name in groups if marks[groups[name]] == "test")
    for group in free:
        assert len({folds.fold_of[name] for name in held if groups[name] == group}) == 1
    sizes = [len(names) for names in folds.held_out]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= max(Counter(groups[name] for name in held).values())
    for at in range(1, number + 1):
        splits = folds.splits(at)
        assert sorted((*splits.train, *splits.validation)) == sorted(held)
        assert splits.validation == folds.held_out[at - 1]
        assert not {groups[name] for name in splits.train} & {groups[name] for name in splits.validation}
        assert not set(folds.test) & {*splits.train, *splits.validation, *splits.test}
    backwards = list(reversed(cases))
    assert draw_folds(backwards, groups, number, seed=seed, labels_by_case=labels).held_out == folds.held_out


@pytest.mark.parametrize(("count", "number"), [(10, 5), (13, 5), (7, 7), (300, 3)])
def test_folds_of_single_cases_differ_by_one_at_most(count: int, number: int) -> None:
    sizes = sorted(len(names) for names in drawn(singles(count), number).held_out)
    assert sizes[-1] - sizes[0] == (count % number > 0)


def test_a_rare_label_is_in_every_fold() -> None:
    groups = singles(60)
    labels = {
        name: ("organ", "lesion") if n in (3, 8, 21, 40, 41) else ("organ",) for n, name in enumerate(groups)
    }
    folds = drawn(groups, 5, labels_by_case=labels)
    assert [sum("lesion" in labels[name] for name in names) for names in folds.held_out] == [1] * 5


def test_the_seed_decides_and_nothing_else() -> None:
    assert drawn(singles(20), 4, seed=1) == drawn(singles(20), 4, seed=1)
    assert len({drawn(singles(20), 4, seed=seed).held_out for seed in range(5)}) == 5


@pytest.mark.parametrize("number", [1, 0, -3, True, 2.5])
def test_so_many_folds_there_cannot_be(number: int) -> None:
    with pytest.raises(UsageError, match=r"give 2 or more, such as --folds 5, or omit --folds"):
        checked_number(number)


def test_fewer_groups_than_folds_says_how_many_there_can_be() -> None:
    groups = {f"c{n}": f"p{n % 3}" for n in range(9)}
    with pytest.raises(DataError, match=r"9 cases to train on form 3 groups, .* Give --folds 3 or fewer"):
        drawn(groups, 5)
    with pytest.raises(DataError, match=r"form 1 group, .* Add cases of other patients"):
        drawn(dict.fromkeys(groups, "p"), 2)


def test_cases_marked_as_test_are_left_aside_where_another_set_is_scored() -> None:
    cases = files({"a": None, "b": "validation", "c": "train", "d": "test"})
    groups = {name: name for name in "abcd"}
    folds = draw_folds(cases, groups, 3, test_elsewhere=True)
    assert (folds.cases, folds.test, folds.left_out) == (("a", "b", "c"), (), ("d",))
    folds = draw_folds(cases, groups, 3)
    assert (folds.cases, folds.test, folds.left_out) == (("a", "b", "c"), ("d",), ())
    assert "1 case that the data mark as validation among them" in folds.how
    assert folds.whole().train == ("a", "b", "c")
    assert folds.whole().test == ("d",)


def test_an_unmarked_case_follows_its_group_out_of_the_folds() -> None:
    cases = files({"a": "test", "b": None, "c": None, "d": None})
    folds = draw_folds(cases, {"a": "p", "b": "p", "c": "c", "d": "d"}, 2)
    assert folds.test == ("a", "b")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    groups = {f"c{n}": f"p{n // 2}" for n in range(10)}
    folds = drawn(groups, 3)
    write_folds(tmp_path / "splits.json", folds)
    assert read_folds(tmp_path / "splits.json", groups) == folds
    assert json.loads((tmp_path / "splits.json").read_text())["groups"]["p0"] == ["c0", "c1"]
    with pytest.raises(DataError, match=r"is that of a cross-validation\. Give .* folds/1/splits\.json"):
        read_splits(tmp_path / "splits.json", groups)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no folds"),
        ({"folds": [["a"]]}, "holds no folds"),
        ({"folds": [["a"], "b"]}, "holds no folds"),
        ({"folds": [["a"], [1]]}, "holds no folds"),
        ({"folds": [["a"], ["b"]], "test": "c"}, "holds no folds"),
        ({"folds": [["a"], ["b"]], "seed": "x"}, "whole number"),
        ({"folds": [["a"], ["x"]]}, "Not in the data: x"),
        ({"folds": [["a"], ["a"]]}, "Named more than once: a"),
        ({"folds": [["a"], ["b"], []]}, "A fold is empty"),
        ({"folds": [["c"], ["d"]]}, "Groups in more than one fold: p"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path: Path, content: dict[str, object], message: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_folds(path, {"a": "a", "b": "b", "c": "p", "d": "p"})


def test_all_pairs_of_cases_are_parted_by_some_seed() -> None:
    """No pair is always together: the draw is no fixed order."""
    parted = set()
    for seed in range(12):
        fold_of = drawn(singles(6), 3, seed=seed).fold_of
        parted |= {
            pair for pair in itertools.combinations(fold_of, 2) if fold_of[pair[0]] != fold_of[pair[1]]
        }
    names = singles(6)
    assert {frozenset(pair) for pair in parted} == {frozenset(p) for p in itertools.combinations(names, 2)}
