"""Segmentations that name their values: one numbering by these names, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from delineate.dataset.cases import load_case
from delineate.dataset.check import check
from delineate.dataset.check_report import CheckReport
from delineate.dataset.masks import MaskEncoding
from delineate.dataset.segments import renumbered, segments_of
from delineate.errors import MaskError
from delineate.formats import StoredMask

LIVER_FIRST, TUMOUR_FIRST = {1: "liver", 2: "tumour"}, {1: "tumour", 2: "liver"}


def segmentation(root: Path, case: int, names: Mapping[int, str], *, empty: bool = False) -> None:
    """An image, and a mask of 3D Slicer in which the top half is 1 and the two lowest rows are 2."""
    values = np.zeros((4, 8, 8), np.uint8)
    if not empty:
        values[:, :4], values[:, 6:] = 1, 2
    image = np.random.default_rng(case).integers(0, 255, values.shape, dtype=np.uint8)
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\nsizes: 8 8 4\n"
        "space directions: (1,0,0) (0,1,0) (0,0,3)\nkinds: domain domain domain\nencoding: raw\n"
        "space origin: (0,0,0)\n"
    )
    fields = "".join(
        f"Segment{at}_LabelValue:={value}\nSegment{at}_Name:={name}\n"
        for at, (value, name) in enumerate(names.items())
    )
    (root / f"{case}.nrrd").write_bytes(f"{header}\n".encode() + image.tobytes())
    (root / f"{case}.seg.nrrd").write_bytes(f"{header}{fields}\n".encode() + values.tobytes())


def columns(report: CheckReport) -> list[list[int]]:
    """The labels in each case's mask from above to below."""
    assert report.encoding is not None
    found = []
    for files in report.cases:
        mask = load_case(files, report.encoding).mask
        assert mask is not None
        found.append(mask.values[0, :, 0].tolist())
    return found


def notes(report: CheckReport) -> list[str]:
    return [problem.message for problem in report.problems if problem.code == "mask-encoding"]


def test_segments_are_brought_to_one_numbering_by_name(tmp_path: Path) -> None:
    for case, names in enumerate([LIVER_FIRST, TUMOUR_FIRST, {1: "Tumour", 2: "LIVER"}]):
        segmentation(tmp_path, case, names)
    report = check(tmp_path)
    assert report.ok
    assert report.encoding is not None
    assert report.encoding.labels.names == ("liver", "tumour")
    assert columns(report) == [[1, 1, 1, 1, 0, 0, 2, 2], *[[2, 2, 2, 2, 0, 0, 1, 1]] * 2]
    assert notes(report) == [
        "Masks: the files number their segments differently (1 is liver in 0.seg.nrrd and tumour in "
        "1.seg.nrrd): by their names they were brought to one numbering, 1 liver, 2 tumour."
    ]
    assert MaskEncoding.from_json(report.encoding.to_json()) == report.encoding


def test_labels_say_what_the_common_numbers_mean(tmp_path: Path) -> None:
    for case, names in enumerate([LIVER_FIRST, TUMOUR_FIRST]):
        segmentation(tmp_path, case, names)
    report = check(tmp_path, labels="2=lesion")
    assert columns(report) == [[0, 0, 0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("empty", [0, 2])
def test_an_empty_mask_without_names_takes_none_away(tmp_path: Path, empty: int) -> None:
    for case in range(3):
        segmentation(tmp_path, case, {} if case == empty else LIVER_FIRST, empty=case == empty)
    report = check(tmp_path)
    assert report.encoding is not None
    assert report.encoding.labels.names == ("liver", "tumour")
    assert notes(report) == []


def test_a_mask_without_names_beside_others_that_differ_is_refused(tmp_path: Path) -> None:
    for case, names in enumerate([LIVER_FIRST, {}, TUMOUR_FIRST]):
        segmentation(tmp_path, case, names)
    report = check(tmp_path)
    assert [problem.message for problem in report.problems if problem.level == "error"] == [
        "The segmentations number their segments differently: 1 is liver in 0.seg.nrrd and tumour in "
        "2.seg.nrrd. By name they could be brought to one numbering, but 1 mask without names: 1.seg.nrrd. "
        "Save them as segmentations that name their segments, or take them out."
    ]


def test_names_are_left_aside_with_a_note_where_a_mask_has_none(tmp_path: Path) -> None:
    for case, names in enumerate([LIVER_FIRST, {}]):
        segmentation(tmp_path, case, names)
    report = check(tmp_path)
    assert report.encoding is not None
    assert report.encoding.labels.names == ("label 1", "label 2")
    assert notes(report) == [
        "Masks: the names of the segments are not used, since 1 mask without such names: 1.seg.nrrd."
    ]
    assert notes(check(tmp_path, labels="1=liver,2=tumour")) == []


def test_a_description_and_files_that_differ_are_refused(tmp_path: Path) -> None:
    for case, names in enumerate([LIVER_FIRST, TUMOUR_FIRST]):
        segmentation(tmp_path, case, names)
    (tmp_path / "dataset.json").write_text('{"labels": {"liver": 1, "tumour": 2}}')
    (error,) = [problem.message for problem in check(tmp_path).problems if problem.level == "error"]
    assert error.startswith(
        "dataset.json names the values of the masks, but the files number their segments differently: 1 is "
        "liver in 0.seg.nrrd and tumour in 1.seg.nrrd. Take it out of the data"
    )


def test_a_name_under_two_numbers_is_one_label() -> None:
    names = {Path("a"): {1: "liver", 2: "tumour"}, Path("b"): {1: "liver", 3: "tumour"}}
    found = segments_of(names)
    assert found.names == {1: "liver", 2: "tumour"}
    assert found.numbering == (("liver", 1), ("tumour", 2))


def test_a_new_name_takes_the_next_free_number() -> None:
    names = {Path("a"): {1: "liver"}, Path("b"): {1: "tumour", 2: "liver"}, Path("c"): {2: "vein", 7: "rib"}}
    assert segments_of(names).names == {1: "liver", 2: "tumour", 3: "vein", 7: "rib"}


def test_one_value_by_two_names_is_refused_until_the_user_says_what_it_means(tmp_path: Path) -> None:
    segmentation(tmp_path, 0, {1: "liver", 2: "tumour"})
    segmentation(tmp_path, 1, {1: "Liver", 2: "tumor"})
    report = check(tmp_path)
    assert [problem.message for problem in report.problems if problem.level == "error"] == [
        "The segmentations call one value differently: 2 is tumour in 0.seg.nrrd and tumor in 1.seg.nrrd. If "
        "that is the same, spelled in two ways, say what the values mean by --labels "
        '"1=liver,2=tumour". If not, give each thing one name and one value in all files.'
    ]
    report = check(tmp_path, labels="1=liver,2=tumour")
    assert report.ok
    assert columns(report) == [[1, 1, 1, 1, 0, 0, 2, 2]] * 2


def test_a_description_says_what_a_value_by_two_names_means(tmp_path: Path) -> None:
    segmentation(tmp_path, 0, {1: "liver", 2: "tumour"})
    segmentation(tmp_path, 1, {1: "liver", 2: "lesion"})
    (tmp_path / "dataset.json").write_text('{"labels": {"liver": 1, "tumour": 2}}')
    assert columns(check(tmp_path)) == [[1, 1, 1, 1, 0, 0, 2, 2]] * 2


def test_names_that_differ_in_what_divides_their_words_are_one() -> None:
    names = {Path("a"): {1: "left lung"}, Path("b"): {1: "Left_Lung"}, Path("c"): {1: "left-lung "}}
    found = segments_of(names)
    assert (found.names, found.numbering, found.several_names) == ({1: "left lung"}, (), "")


def test_two_segments_of_one_name_are_refused_where_names_decide() -> None:
    with pytest.raises(MaskError, match="b has several segments of one name"):
        segments_of({Path("a"): {1: "liver", 3: "vein"}, Path("b"): {1: "vein", 2: "Vein"}})


@pytest.mark.parametrize(
    ("names", "why"), [({}, "has no name"), ({1: "vein"}, "is vein, which no other names")]
)
def test_a_segment_that_no_name_tells_is_refused(names: dict[int, str], why: str) -> None:
    stored = StoredMask(np.ones((2, 2), np.uint8), names=names)
    with pytest.raises(MaskError, match=f"m: its segment 1 {why}"):
        renumbered(stored, (("liver", 1),), Path("m"))
