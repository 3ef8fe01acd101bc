"""What names of cases seem to say: copies, parts, patients; and lists beside the folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from delineate.dataset.case_files import CaseFiles, Problem
from delineate.dataset.discover import discover
from delineate.dataset.shared_folders import shared_folders
from delineate.dataset.telling_names import telling_names


def told(*names: str, split_given: bool = False) -> list[Problem]:
    cases = [CaseFiles(name, (Path(name),), Path(name), plain=name) for name in names]
    return telling_names(cases, split_given=split_given)


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize("split_given", [False, True])
def test_copies_of_one_picture_are_told_with_the_pattern_that_keeps_them_together(split_given: bool) -> None:
    names = [f"p{n}_jpg.rf.{code * 32}" for n in (1, 2) for code in "ab"]
    (problem,) = told(*names, split_given=split_given)
    assert (problem.level, problem.code) == ("warning", "copies-by-name")
    pattern = problem.message.split("'")[1]
    matches = [re.search(pattern, name) for name in names]
    assert [match and match[1] for match in matches] == ["p1_jpg"] * 2 + ["p2_jpg"] * 2
    assert told(names[0], names[2]) == []


def test_names_that_begin_with_parts_are_told_unless_parts_are_given() -> None:
    names = ["train_1", "train_2", "test_1"]
    assert [(problem.level, problem.code) for problem in told(*names)] == [("warning", "parts-by-name")]
    assert "words for parts of a split (test, train), which are not taken" in told(*names)[0].message
    assert told(*names, split_given=True) == []
    assert told("train_1", "train_2") == []
    assert told("train_1", "test_1", "x") == []


def test_names_of_which_several_share_their_first_part_are_a_note() -> None:
    (problem,) = told(*(f"P0{n}_{k}" for n in range(3) for k in range(2)))
    assert (problem.level, problem.code) == ("note", "groups-by-name")
    assert problem.message == (
        "What stands before the first _ in the names is the same in several cases: 3 different ones in 6 "
        "cases. If these are patients, keep the cases of each together: --group-regex '^([^_]+)'."
    )


@pytest.mark.parametrize(
    "names",
    [
        ["ISIC_1", "ISIC_2", "ISIC_3", "ISIC_4"],  # no number in the first part
        ["2007_1", "2007_2", "2008_1", "2008_2"],  # few parts
        ["p1_a", "p2_a", "p3_a", "p4_a"],  # none is shared
        ["p1_a", "p1_b", "p2_a", "p2_b", "p3_a", "p3_b", "x"],  # not in all names
        ["f1__a", "f1__b", "f2__a", "f2__b", "f3__a", "f3__b"],  # folders
    ],
)
def test_other_names_say_nothing(names: list[str]) -> None:
    assert told(*names) == []


def test_few_folders_of_many_cases_get_no_pattern(tmp_path: Path) -> None:
    images = [f"{kind}/{kind}{n}" for kind in ("benign", "malignant") for n in range(6)]
    cases = discover(tree(tmp_path, *(f"{i}{end}.png" for i in images for end in ("", "_mask")))).cases
    (problem,) = shared_folders(cases, tmp_path, drawn=cases)
    assert problem.message.endswith(
        "inflates the score: name them in a CSV table with a column group. They are few for patients and may "
        "be kinds of images instead."
    )


def test_lists_called_by_parts_are_a_warning(tmp_path: Path) -> None:
    tree(tmp_path, "images/a.png", "masks/a.png", "train.txt", "sets/val.txt", "README.txt")
    problem, other = discover(tmp_path).problems
    assert (problem.level, problem.code, other.code) == ("warning", "unused-list", "other-files")
    assert problem.message.startswith(
        "2 lists not used, by the name of parts of a split: sets/val.txt, train.txt."
    )


def test_eval_may_be_a_part(tmp_path: Path) -> None:
    names = [f"{part}/{role}/{part}.png" for part in ("train", "eval") for role in ("images", "masks")]
    found = discover(tree(tmp_path, *names))
    assert [problem.code for problem in found.problems] == ["parts-not-taken"]
