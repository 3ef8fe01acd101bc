"""The split: nothing divided, nothing lost, the same whatever the order; and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.dataset.case_files import CaseFiles, Split
from delineate.dataset.grouping import joined, merge_groups
from delineate.dataset.split import read_splits, split, write_splits
from delineate.errors import DataError, UsageError


def case(name: str, where: Split | None = None) -> CaseFiles:
    return CaseFiles(name, (Path(f"{name}.png"),), Path(f"{name}_mask.png"), None, where)


def alone(*names: str) -> dict[str, str]:
    return {name: name for name in names}


@st.composite
def grouped(draw: st.DrawFn) -> dict[str, str]:
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=25))
    return {f"g{g}c{c}": f"g{g}" for g, size in enumerate(sizes) for c in range(size)}


@given(grouped(), st.floats(0.05, 0.6), st.integers(0, 9))
def test_partition_groups_and_order(groups: dict[str, str], fraction: float, seed: int) -> None:
    cases = [case(name) for name in groups]
    parts = split(cases, groups, validation_fraction=fraction, seed=seed)
    assert sorted((*parts.train, *parts.validation)) == sorted(groups)
    assert parts.train
    assert parts.validation
    assert parts.test == ()
    assert not {groups[name] for name in parts.train} & {groups[name] for name in parts.validation}
    shuffled = sorted(cases, key=lambda c: c.name[::-1])
    again = split(shuffled, dict(reversed(groups.items())), validation_fraction=fraction, seed=seed)
    assert (again.train, again.validation, again.how) == (parts.train, parts.validation, parts.how)


@given(grouped(), st.floats(0.1, 0.5))
def test_size_is_as_near_the_fraction_as_groups_allow(groups: dict[str, str], fraction: float) -> None:
    parts = split([case(name) for name in groups], groups, validation_fraction=fraction)
    sizes = [sum(g == group for g in groups.values()) for group in set(groups.values())]
    miss = abs(len(parts.validation) - fraction * len(groups))
    assert miss <= max(sizes) / 2 + 0.5 or len(set(groups.values())) < 4


def test_single_cases_hit_the_fraction_exactly() -> None:
    names = [f"c{n}" for n in range(100)]
    parts = split([case(name) for name in names], alone(*names))
    assert (len(parts.train), len(parts.validation), parts.seed) == (80, 20, 42)
    assert parts.how == "20% for validation, drawn by the seed 42, groups kept together"
    assert list(parts.train) == sorted(parts.train, key=lambda name: int(name[1:]))


def test_the_draw_is_fixed_for_good_and_differs_by_seed() -> None:
    names = [f"c{n}" for n in range(10)]
    drawn = [split([case(n) for n in names], alone(*names), seed=seed).validation for seed in (42, 43)]
    assert drawn == [("c7", "c9"), ("c2", "c4")]


def test_every_label_is_on_both_sides_where_that_can_be() -> None:
    names = [f"c{n}" for n in range(30)]
    labels = {
        name: ["common", *(["rare"] if n < 3 else []), *(["once"] if n == 9 else [])]
        for n, name in enumerate(names)
    }
    for seed in range(10):
        parts = split([case(n) for n in names], alone(*names), seed=seed, labels_by_case=labels)
        assert 1 <= sum("rare" in labels[name] for name in parts.validation) <= 2
        assert len(parts.validation) == 6


@pytest.mark.parametrize("sizes", [(1, 1), (9, 1), (1, 9), (5, 5), (90, 5, 5)])
def test_few_and_uneven_groups_leave_no_part_empty(sizes: tuple[int, ...]) -> None:
    groups = {f"{g}-{c}": str(g) for g, size in enumerate(sizes) for c in range(size)}
    parts = split([case(name) for name in groups], groups)
    assert parts.train
    assert parts.validation
    if max(sizes) == 90:
        assert len(parts.validation) == 10
    if 9 in sizes:
        assert len(parts.validation) == 1


def test_stated_parts_stand_and_validation_is_drawn_from_training_alone() -> None:
    stated: list[tuple[str, Split]] = [
        *((f"t{n}", "test") for n in range(5)),
        *((f"a{n}", "train") for n in range(10)),
    ]
    parts = split([case(*item) for item in stated], alone(*(name for name, _ in stated)))
    assert parts.test == ("t0", "t1", "t2", "t3", "t4")
    assert len(parts.validation) == 2
    assert all(name.startswith("a") for name in parts.validation)
    full = split([case("a", "train"), case("b", "validation")], alone("a", "b"))
    assert (full.train, full.validation, full.how) == (("a",), ("b",), "as the data say")


def test_an_unmarked_case_follows_its_group() -> None:
    cases = [case("a", "test"), case("b"), case("c"), case("d")]
    parts = split(cases, {"a": "p", "b": "p", "c": "c", "d": "d"})
    assert parts.test == ("a", "b")


def test_what_cannot_be_split_is_said() -> None:
    with pytest.raises(DataError, match="belong to one group"):
        split([case("a"), case("b")], {"a": "p", "b": "p"})
    with pytest.raises(DataError, match="no case to train on"):
        split([case("a", "test")], alone("a"))
    for fraction in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            split([case("a"), case("b")], alone("a", "b"), validation_fraction=fraction)


def test_file_round_trip(tmp_path: Path) -> None:
    groups = {"a 1": "p", "ü": "p", "b": "b", "c": "c"}
    parts = split([case(name) for name in groups], groups)
    write_splits(tmp_path / "splits.json", parts)
    text = (tmp_path / "splits.json").read_text(encoding="utf-8")
    assert "ü" in text
    assert json.loads(text)["groups"] == {"p": ["a 1", "ü"]}
    assert read_splits(tmp_path / "splits.json", groups) == parts
    more = read_splits(tmp_path / "splits.json", {**groups, "new": "new"})
    assert (more.left_out, more.train) == (("new",), parts.train)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[]", "must be an object"),
        ('{"train": "a", "validation": ["b"]}', "'train' must be a list"),
        ('{"train": [1], "validation": ["b"]}', "'train' must be a list"),
        ('{"train": ["a", "x", "y"], "validation": ["b"]}', "Not in the data: x, y."),
        ('{"train": ["a"], "validation": ["a"]}', "Named more than once: a."),
        ('{"train": ["a", "a"], "validation": ["b"]}', "Named more than once: a."),
        ('{"train": ["a"], "validation": ["c"]}', "in more than one part: a (train), c (validation)."),
        ('{"train": ["a"]}', "No case for validation."),
        ("{}", "No case for train and validation."),
        ('{"train": ["a"], "validation": ["b"], "seed": "x"}', "'seed' must be a whole number"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(content)
    with pytest.raises(DataError) as refused:
        read_splits(path, {"a": "p", "b": "b", "c": "p"})
    assert said in str(refused.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_splits(tmp_path / "gone.json", {})


def test_a_file_may_divide_near_duplicates_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text('{"train": ["a", "c", "d"], "validation": ["b", "e"], "test": ["f"]}')
    groups = {"a": "p", "c": "p", "b": "b", "d": "d", "e": "e", "f": "f", "g": "g"}
    near = (("a", "b", "f"), ("c", "d"), ("e", "g"))
    read = read_splits(path, groups, near=near)
    assert read.warnings == (
        "The split puts nearly identical images into different parts, which inflates the score: "
        "a (train), b (validation), f (test). Move each group into one part, or keep one image of it.",
    )
    assert dict(read.groups) == {"a": "p", "c": "p", "d": "d", "b": "b", "e": "e", "f": "f"} | {
        "a": "d", "c": "d"
    }  # fmt: skip
    assert read.left_out == ("g",)
    assert read_splits(path, groups, near=near[1:]).warnings == ()
    with pytest.raises(
        DataError, match=r"in more than one part: a \(train\), b \(validation\), c \(train\). Put"
    ):
        read_splits(path, {**groups, "b": "p"}, near=near)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=14))
def test_joined_is_the_transitive_closure(links: list[tuple[int, int]]) -> None:
    sets = joined(links)
    assert sorted(item for group in sets for item in group) == sorted(
        {item for link in links for item in link}
    )
    home = {item: index for index, group in enumerate(sets) for item in group}
    assert all(home[a] == home[b] for a, b in links)
    reach = {item: {item} for item in home}
    for _ in home:
        for a, b in links:
            both = reach[a] | reach[b]
            for item in both:
                reach[item] = both
    assert all(sets[home[item]] == reach[item] for item in home)


@pytest.mark.parametrize(
    ("stated", "duplicates", "expected"),
    [
        ({"a": None, "b": None}, (), {"a": "a", "b": "b"}),
        ({"a": "p1", "b": "p2", "c": None}, (("b", "c"),), {"a": "p1", "b": "p2", "c": "p2"}),
        ({"a": "p1", "b": "p2", "c": None}, (("b", "c"), ("c", "a")), {"a": "p1", "b": "p1", "c": "p1"}),
        ({"a": "b", "b": None}, (), {"a": "b", "b": "b'"}),
        ({"a": None}, (("a", "gone"),), {"a": "a"}),
    ],
)
def test_groups_and_duplicates_are_merged(
    stated: Mapping[str, str | None], duplicates: tuple[tuple[str, ...], ...], expected: dict[str, str]
) -> None:
    assert merge_groups(stated, duplicates) == expected
