"""Patients that the files name, beside groups that the data state."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from delineate.dataset.case_files import CaseFiles, Problem
from delineate.dataset.inspection import ImageFacts
from delineate.dataset.stated_groups import by_subject


def groups(
    *cases: tuple[str | None, str | None], patterned: bool = False
) -> tuple[list[str | None], list[Problem]]:
    """Of cases given as their stated groups and the subjects that their files name."""
    files = [CaseFiles(str(at), (Path(f"{at}.dcm"),), None, group) for at, (group, _) in enumerate(cases)]
    facts = {
        case.name: cast(ImageFacts, SimpleNamespace(subject=subject))
        for case, (_, subject) in zip(files, cases, strict=True)
    }
    found, problems = by_subject(files, facts, patterned=patterned)
    return [case.group for case in found], problems


def test_a_patients_cases_are_a_group() -> None:
    found, (note,) = groups((None, "X"), (None, "Y"), (None, "X"), (None, None))
    assert found == ["patient 1", "patient 2", "patient 1", None]
    assert (note.level, note.message) == (
        "note",
        "The files tell of 2 patients; the cases of one stay together.",
    )


def test_a_blank_cell_takes_the_group_of_the_patients_other_cases() -> None:
    found, (note,) = groups((None, "X"), ("g1", "X"), ("g2", "Y"), (None, "Z"))
    assert found == ["g1", "g1", "g2", "patient 2"]
    assert note.level == "note"


def test_a_patient_in_several_groups_is_a_warning() -> None:
    found, (problem,) = groups(("g1", "X"), (None, "X"), ("g2", "X"), ("g1", None))
    assert found == ["g1", "g1", "g2", "g1"]
    assert (problem.level, problem.code) == ("warning", "divided-patients")
    assert "the cases of 1 patient are spread over several of your groups" in problem.message


def test_groups_alone_need_no_word() -> None:
    assert groups(("g1", "X"), ("g2", "Y"), ("g1", None)) == (["g1", "g2", "g1"], [])


def test_one_patient_for_all_gives_way_to_groups_that_are_stated() -> None:
    found, (note,) = groups((None, "X"), (None, "X"), (None, "X"), patterned=True)
    assert found == [None, None, None]
    assert (note.level, note.message) == (
        "note",
        "The files of all 3 cases name one patient, as they do where all were anonymised alike: the "
        "groups that are stated hold instead. If it is one patient, the score tells nothing of others.",
    )
    found, (note,) = groups(("g1", "X"), ("g2", "X"), (None, "X"))
    assert (found, note.code) == (["g1", "g2", None], "same-patient")


def test_one_patient_for_all_is_a_group_where_nothing_else_is_stated() -> None:
    assert groups((None, "X"), (None, "X"))[0] == ["patient 1", "patient 1"]
    assert groups(("g1", "X"), (None, "X"))[0] == ["g1", "g1"]
    assert groups((None, "X"), (None, None), patterned=True)[0] == ["patient 1", None]
    assert groups((None, "X"), patterned=True)[0] == ["patient 1"]
