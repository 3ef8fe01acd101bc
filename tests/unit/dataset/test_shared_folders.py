"""Sub-folders with several cases: told where nobody says what they are, with a pattern that makes groups."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from delineate.dataset.case_files import CaseFiles
from delineate.dataset.check import check
from delineate.dataset.discover import discover
from delineate.dataset.shared_folders import shared_folders
from delineate.dataset.stated_groups import stated_groups
from delineate.jobs.parts import checked_part
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import flattering


def cases_of(root: Path, *images: str) -> tuple[CaseFiles, ...]:
    for image in images:
        for path in (root / f"{image}.png", root / f"{image}_mask.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return discover(root).cases


@pytest.mark.parametrize(
    ("images", "pattern", "groups"),
    [
        (["patient 0/1", "patient 0/2", "patient 1/1"], "^(.+?)__", ["patient 0", "patient 0", "patient 1"]),
        (["scans/p1/a", "scans/p1/b", "scans/p2/c"], "^(.+?)__", ["p1", "p1", "p2"]),
        (["p1/day1/a", "p1/day2/b", "p2/day1/c"], "^(.+?)__", ["p1", "p1", "p2"]),
        (["p1/a", "p1/image", "p2/c"], "^(.+?)(?:__|$)", ["p1", "p1", "p2"]),
        (["p__1/a", "p__1/b", "p__2/c"], "^(.+)__", ["p__1", "p__1", "p__2"]),
        (["p1/a", "p1/b", "c"], "^(.+?)(?:__|$)", ["c", "p1", "p1"]),
    ],
)
def test_the_pattern_named_makes_a_group_of_each_folder(
    tmp_path: Path, images: list[str], pattern: str, groups: list[str]
) -> None:
    cases = cases_of(tmp_path, *images)
    (problem,) = shared_folders(cases, tmp_path, drawn=cases)
    assert (problem.level, problem.code) == ("warning", "shared-folders")
    assert problem.message.endswith(f"inflates the score: give --group-regex '{pattern}'.")
    found, problems = stated_groups(cases, re.compile(pattern), dict)
    assert ([found[case.name] for case in cases], problems) == (groups, [])


def test_a_table_is_named_where_no_pattern_fits(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, "p__1/a", "p__1/b__c", "p__2/c")
    (problem,) = shared_folders(cases, tmp_path, drawn=cases)
    assert problem.message == (
        "1 sub-folder with several cases: p__1/. Sub-folders are not taken for patients; if they are, their "
        "cases may come into different parts, which inflates the score: name them in a CSV table with a "
        "column group."
    )


@pytest.mark.parametrize(
    "images",
    [
        ["p1/image", "p2/image", "p3/image"],
        ["scans/1", "scans/2", "scans/3"],
        ["train/1", "train/2", "testset/3", "testset/4"],
    ],
)
def test_folders_of_one_case_of_all_or_of_a_part_are_not_told(tmp_path: Path, images: list[str]) -> None:
    cases = cases_of(tmp_path, *images)
    assert shared_folders(cases, tmp_path, drawn=cases) == []


def test_of_a_given_split_only_folders_that_it_divides_are_told(tmp_path: Path) -> None:
    cases = cases_of(
        tmp_path, "train/p1/a", "train/p1/b", "train/p2/a", "test/p2/c", "test/p3/a", "test/p3/b"
    )
    (problem,) = shared_folders(cases, tmp_path, drawn=())
    assert problem.code == "folders-across-split"
    assert problem.message.startswith("1 sub-folder in several parts of the given split: p2/.")


def test_of_a_pool_that_is_drawn_from_beside_a_given_part_both_are_told(tmp_path: Path) -> None:
    cases = cases_of(
        tmp_path, "train/p1/a", "train/p1/b", "train/p2/a", "test/p2/c", "test/p3/a", "test/p3/b"
    )
    pool = [case for case in cases if case.split == "train"]
    drawn, divided = shared_folders(cases, tmp_path, drawn=pool)
    assert (drawn.code, divided.code) == ("shared-folders", "folders-across-split")
    assert drawn.message.startswith("1 sub-folder with several cases: p1/.")
    assert divided.message.startswith("1 sub-folder in several parts of the given split: p2/.")


def test_it_stands_beside_the_score_until_groups_are_stated(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    drawn = np.zeros((32, 32), np.uint8)
    drawn[8:20, 8:20] = 255
    for case in range(6):
        folder = tmp_path / f"patient {case // 2}"
        folder.mkdir(exist_ok=True)
        Picture.fromarray(random.integers(0, 256, (32, 32), np.uint8)).save(folder / f"{case}.png")
        Picture.fromarray(drawn).save(folder / f"{case}_mask.png")
    whole = checked_part(tmp_path, labels=None, group_regex=None, reporter=Reporter())
    cautions = flattering(whole, drawn=True, by_marks=False)
    assert [caution.split(":")[0] for caution in cautions] == ["3 sub-folders with several cases"]
    report = check(tmp_path, group_regex="^(.+?)__")
    assert len(set(report.groups.values())) == 3
    assert "shared-folders" not in {problem.code for problem in report.problems}
