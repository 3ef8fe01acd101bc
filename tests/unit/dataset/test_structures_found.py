"""Several masks an image: which are joined, into which labels, and which are refused."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from dicom_making import slices, written
from hypothesis import given
from hypothesis import strategies as st
from layout_making import codes, error, tree

from delineate.dataset.case_files import CaseFiles, shown
from delineate.dataset.discover import Discovery, discover
from delineate.dataset.structure_names import Kind, alike, core, kind_of


def joined(found: Discovery, case: CaseFiles) -> dict[str, list[str]]:
    """The files of a case's mask by label."""
    return {each.name: [shown(path, found.root) for path in each.files] for each in case.structures}


@pytest.mark.parametrize(
    ("image", "masks", "labels"),
    [
        ("images/{n}.png", ["masks/heart/{n}.gif", "masks/left lung/{n}.gif"], ["heart", "left lung"]),
        ("images/{n}.png", ["masks/Heart/{n}_mask.png", "masks/lung/{n}_lung.png"], ["Heart", "lung"]),
        ("scans/{n}.png", ["labels/heart/{n}.png", "labels/lung/{n}.png"], ["heart", "lung"]),
        ("set/CXR_png/M_{n}.png", ["set/ManualMask/leftMask/M_{n}.png", "set/ManualMask/rightMask/M_{n}.png"],
         ["left", "right"]),
        ("images/I_{n}.jpg", ["masks/1. Red spots/I_{n}_RS.tif", "masks/2. Disc/I_{n}_OD.tif"],
         ["1. Red spots", "2. Disc"]),
        ("images/{n}.png", ["masks_heart/{n}.png", "masks_lung/{n}.png"], ["heart", "lung"]),
        ("images/{n}.png", ["heart_masks/{n}.png", "lung_masks/{n}.png"], ["heart", "lung"]),
        ("images/p{n}/a.png", ["masks/heart/p{n}/a.png", "masks/p{n}/lung/a.png"], ["heart", "lung"]),
        ("images/a{n}.png", ["masks/a{n}_Polyp.png", "masks/a{n}_tool.png"], ["Polyp", "tool"]),
        ("images/a{n}.png", ["masks/a{n}_left lung_mask.png", "masks/a{n}-rib.png"], ["left lung", "rib"]),
        ("images/image_{n}.png", ["masks/mask_{n}_heart.png", "masks/mask_{n}_lung.png"], ["heart", "lung"]),
        ("images/a{n}.png", ["masks/polyp_a{n}.png", "masks/tool_a{n}.png"], ["polyp", "tool"]),
        ("images/{n}.png", ["masks/{n}/heart.png", "masks/{n}/lung.png"], ["heart", "lung"]),
        ("a{n}.png", ["a{n}_polyp_mask.png", "a{n}_mask_tool.png"], ["polyp", "tool"]),
        ("s{n}/ct.nii.gz", ["s{n}/segmentations/liver.nii.gz", "s{n}/segmentations/spleen.nii.gz"],
         ["liver", "spleen"]),
        ("s{n}/ct.nii.gz", ["s{n}/segs/rib_1.nii.gz", "s{n}/segs/rib_2.nii.gz", "s{n}/segs/c_1.nii.gz"],
         ["c_1", "rib_1", "rib_2"]),
        ("output/s{n}/ct.nii", ["output/s{n}/segs/liver.nii", "output/s{n}/segs/rib.nii"], ["liver", "rib"]),
        ("p{n}/ct/ct.nii", ["p{n}/masks/p{n}_liver.nii", "p{n}/masks/p{n}_tumour.nii"], ["liver", "tumour"]),
    ],
)  # fmt: skip
def test_masks_of_structures_are_joined(
    tmp_path: Path, image: str, masks: list[str], labels: list[str]
) -> None:
    found = discover(tree(tmp_path, image, *masks))
    assert codes(found) == ["joined-masks"]
    assert [shown(case.image[0], tmp_path) for case in found.cases] == [
        image.format(n=n) for n in range(21, 24)
    ]
    case = found.cases[0]
    files = joined(found, case)
    assert list(files) == labels
    assert [each.value for each in case.structures] == list(range(1, len(labels) + 1))
    assert sorted(path for paths in files.values() for path in paths) == sorted(
        mask.format(n=21) for mask in masks
    )
    assert found.label_names == dict(enumerate(labels, start=1))
    assert case.mask == case.structures[0].files[0] == case.mask_files[0]


def test_the_note_names_files_labels_and_their_values(tmp_path: Path) -> None:
    found = discover(tree(tmp_path, "images/{n}.png", "masks/heart/{n}.png", "masks/left lung/{n}.png"))
    assert found.problems[0].message == (
        "6 masks of 3 images, one a structure, joined into one an image, such as masks/heart/21.png, "
        "masks/left lung/21.png of images/21.png, with these values: 1 heart, 2 left lung. --labels, if "
        "given, means these."
    )
    assert found.layout == (
        "images in images/, several masks an image, joined: 21.png with masks/heart/21.png, "
        "masks/left lung/21.png"
    )


def test_parts_are_kept_and_numbers_follow_natural_order(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{part}/images/{{n}}.png" for part in ("train", "test")))
    tree(tmp_path, *(f"{p}/masks/{s}/{{n}}.png" for p in ("train", "test") for s in ("L10 a", "L9 a", "b")))
    found = discover(tmp_path)
    assert [case.split for case in found.cases] == ["test"] * 3 + ["train"] * 3
    assert {case.structures[0].value for case in found.cases} == {1}
    assert found.label_names == {1: "b", 2: "L9 a", 3: "L10 a"}
    assert found.layout.endswith("; divided by folder into train, test")


def test_a_structure_that_some_cases_lack_keeps_its_value_and_is_told(tmp_path: Path) -> None:
    tree(tmp_path, "s{n}/ct.nii.gz", "s{n}/segmentations/liver.nii.gz", "s{n}/segmentations/spleen.nii.gz")
    (tmp_path / "s21" / "segmentations" / "liver.nii.gz").unlink()
    found = discover(tmp_path)
    assert codes(found) == ["missing-structures", "joined-masks"]
    assert found.problems[0].message.startswith(
        "Structures without a mask in some of the 3 images: liver (1). They count as absent there"
    )
    assert [(each.name, each.value) for each in found.cases[0].structures] == [("spleen", 2)]


def test_images_and_masks_without_the_other_are_left_out(tmp_path: Path) -> None:
    tree(tmp_path, "images/{n}.png", "masks/heart/{n}.png", "masks/lung/{n}.png", "masks/overlay/{n}.png")
    tree(tmp_path, "images/x{n}.png", "masks/lung/y{n}.png", numbers=range(1))
    found = discover(tmp_path)
    assert len(found.cases) == 3
    assert {p.code: [shown(path, tmp_path) for path in p.paths] for p in found.problems} == {
        "unpaired-image": ["images/x0.png"],
        "unpaired-mask": ["masks/lung/y0.png"],
        "unused-folder": [f"masks/overlay/{n}.png" for n in range(21, 24)],
        "joined-masks": [],
    }


@pytest.mark.parametrize("labels", [["heart"], ["heart", "lung"]])
def test_the_background_is_no_structure(tmp_path: Path, labels: list[str]) -> None:
    tree(tmp_path, "images/{n}.png", *(f"masks/{name}/{{n}}.png" for name in ("background", *labels)))
    found = discover(tmp_path)
    assert found.label_names == dict(enumerate(labels, start=1))
    assert codes(found) == ["unused-folder", "joined-masks"]


def test_objects_called_by_digests_are_one_label(tmp_path: Path) -> None:
    def name(*key: int) -> str:
        return sha256(bytes(key)).hexdigest()

    for case in range(3):
        tree(tmp_path / name(case), f"images/{name(case)}.png", numbers=range(1))
        tree(
            tmp_path, *(f"{name(case)}/masks/{name(case, k)}.png" for k in range(case + 1)), numbers=range(1)
        )
    found = discover(tmp_path)
    assert codes(found) == ["joined-masks"]
    assert "6 masks of 3 images, one an object, joined into one an image, with one label for all" in (
        found.problems[0].message
    )
    assert found.label_names is None
    assert sorted(len(each.files) for case in found.cases for each in case.structures) == [1, 2, 3]
    assert {each.value for case in found.cases for each in case.structures} == {1}


@pytest.mark.parametrize(
    ("image", "first", "further", "label"),
    [
        ("benign ({n}).png", "benign ({n})_mask.png", "benign ({n})_mask_{k}.png", None),
        ("images/a{n}.png", "masks/a{n}_0.png", "masks/a{n}_{k}.png", None),
        ("p{n}/t1.nii", "p{n}/masks/lesion_0.nii", "p{n}/masks/lesion_{k}.nii", "lesion"),
    ],
)
def test_numbered_objects_are_one_label(
    tmp_path: Path, image: str, first: str, further: str, label: str | None
) -> None:
    tree(tmp_path, image, first)
    for n, last in ((21, 1), (22, 9)):
        for k in range(1, last + 1):
            tree(tmp_path, further.replace("{k}", str(k)), numbers=range(n, n + 1))
    found = discover(tmp_path)
    assert codes(found) == ["joined-masks"]
    assert [len(case.mask_files) for case in found.cases] == [2, 10, 1]
    assert found.label_names == (None if label is None else {1: label})


@pytest.mark.parametrize(
    ("masks", "folders"),
    [
        (("masks/observer1/{n}.png", "masks/observer2/{n}.png"), "masks/observer1/, masks/observer2/"),
        (("masks/rater_A/{n}.png", "masks/rater_B/{n}.png"), "masks/rater_A/, masks/rater_B/"),
        (("masks/expert/{n}.png", "masks/novice/{n}.png"), "masks/expert/, masks/novice/"),
        (("masks/1st_HO/{n}.png", "masks/2nd_HO/{n}.png"), "masks/1st_HO/, masks/2nd_HO/"),
        (("masks/1/{n}.png", "masks/2/{n}.png"), "masks/1/, masks/2/"),
        (("masks_one/{n}.png", "masks_two/{n}.png"), "masks_one/, masks_two/"),
        (("masks/final/{n}.png", "masks/draft/{n}.png"), "masks/draft/, masks/final/"),
    ],
)
def test_folders_of_several_readers_compete(tmp_path: Path, masks: tuple[str, ...], folders: str) -> None:
    found = discover(tree(tmp_path, "images/{n}.png", *masks))
    assert found.cases == ()
    assert error(found).startswith(f"Several folders could hold the masks: {folders}. Leave one of them")


def test_endings_of_several_readers_compete(tmp_path: Path) -> None:
    found = discover(tree(tmp_path, "images/{n}.png", "masks/{n}_reader1.png", "masks/{n}_reader2.png"))
    assert error(found).startswith(
        "Each image has several files that could be its mask, such as masks/21_reader1.png or "
        "masks/21_reader2.png."
    )


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (("masks/{n}_mask_0.png", "masks/{n}_mask_1.png"), "told apart by numbers alone, the same in all"),
        (
            tuple(f"masks/{{n}}_label{k}.png" for k in range(9)),
            "told apart by numbers alone, the same in all",
        ),
        (("masks/{n}_lesion1.png", "masks/{n}_lesion2.png"), "told apart by numbers alone, the same in all"),
        (
            ("masks/{n}_a{n}x.png", "masks/{n}_b{n}x.png"),
            "told apart by numbers, or names that few images",
        ),
    ],
)
def test_names_that_say_too_little_are_refused(tmp_path: Path, masks: tuple[str, ...], said: str) -> None:
    found = discover(tree(tmp_path, "images/{n}.png", *masks))
    assert (found.cases, codes(found)) == ((), ["unclear-masks"])
    assert said in error(found)


def test_numbers_of_labels_are_no_objects(tmp_path: Path) -> None:
    tree(tmp_path, "images/a{n}.png", "masks/a{n}_label1.png", numbers=range(21, 25))
    for k in range(2, 5):
        tree(tmp_path, f"masks/a{{n}}_label{k}.png", numbers=range(20 + k, 25))
    assert codes(discover(tmp_path)) == ["unclear-masks"]


def test_numbers_alone_are_told_with_what_can_be_done(tmp_path: Path) -> None:
    tree(tmp_path, "p{n}/ct.png", *(f"p{{n}}/masks/L{k}.png" for k in (1, 2)))
    assert error(discover(tmp_path)) == (
        "Images have several masks each, told apart by numbers alone, the same in all images, as p21/ct.png "
        "with p21/masks/L1.png, p21/masks/L2.png: one a structure, one an object, or of several readers? If "
        "one a structure, call them by names that differ in more than a number, such as l_a and l_b, alike "
        "in all images, and they are joined; or make one mask an image with a value a structure. If one an "
        "object, make one mask an image of all. Of several readers keep one."
    )
    tree(tmp_path, "p{n}/masks/L3.png", numbers=range(22, 23))
    assert "told apart by numbers alone, as p22/ct.png" in error(discover(tmp_path))


def test_names_of_that_advice_are_joined(tmp_path: Path) -> None:
    tree(tmp_path, "p{n}/ct.png", *(f"p{{n}}/masks/L_{k}.png" for k in "ab"))
    assert discover(tmp_path).label_names == {1: "L_a", 2: "L_b"}


def test_numbered_objects_beside_structures_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, "images/a{n}.png", "masks/a{n}_lung.png", "masks/a{n}_nodule_1.png")
    tree(tmp_path, "masks/a{n}_nodule_2.png", numbers=range(22, 23))
    found = discover(tmp_path)
    assert (found.cases, codes(found)) == ((), ["unclear-masks"])
    assert error(found) == (
        "Images have masks of structures and beside them numbered ones of some kind, not as many in each, as "
        "images/a22.png with masks/a22_lung.png, masks/a22_nodule_1.png, masks/a22_nodule_2.png. Numbers of "
        "single objects would become a label each. Make one mask an image of all objects of a kind, called "
        "by it alone; or if each number is a structure, call it by a word."
    )


def test_a_patients_name_is_no_part_of_a_structures(tmp_path: Path) -> None:
    for who in ("Smith_Anna", "Jones_Bob"):
        for visit in ("visit1", "visit2"):
            folder = tmp_path / who / visit
            tree(folder, "ct.png", f"masks/{who}_liver.png", f"masks/spleen_{who}.png", numbers=range(1))
    found = discover(tmp_path)
    assert codes(found) == ["joined-masks"]
    assert found.label_names == {1: "liver", 2: "spleen"}


def test_names_that_groups_of_images_have_for_themselves_are_refused(tmp_path: Path) -> None:
    for who, name in (("a", "Smith"), ("b", "Jones")):
        for visit in ("visit1", "visit2"):
            folder = tmp_path / who / visit
            tree(folder, "ct.png", f"masks/{name}_liver.png", f"masks/{name}_spleen.png", numbers=range(1))
    found = discover(tmp_path)
    assert (found.cases, codes(found), found.label_names) == ((), ["unclear-masks"], None)
    assert "told apart by numbers, or names that few images share" in error(found)


def test_the_same_words_in_another_order_are_one_structure(tmp_path: Path) -> None:
    tree(tmp_path, "p{n}/ct.png", "p{n}/masks/heart.png")
    tree(tmp_path, "p{n}/masks/left lung.png", numbers=range(21, 23))
    tree(tmp_path, "p{n}/masks/lung_left.png", numbers=range(23, 24))
    found = discover(tmp_path)
    assert codes(found) == ["joined-masks"]
    assert found.label_names == {1: "heart", 2: "left lung"}
    assert list(joined(found, found.cases[2])) == ["heart", "left lung"]
    tree(tmp_path, "p{n}/masks/lung_left.png", numbers=range(21, 22))
    assert discover(tmp_path).label_names == {1: "heart", 2: "left lung", 3: "lung_left"}


def test_a_number_behind_the_name_may_be_that_of_another_image(tmp_path: Path) -> None:
    tree(tmp_path, "images/{n}.png", "masks/{n}.png")
    found = discover(tree(tmp_path, "masks/{n}_1.png", numbers=range(21, 23)))
    assert codes(found) == ["several-masks"]
    assert [case.structures for case in found.cases] == [()] * 3


def test_two_masks_of_one_structure_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, "images/{n}.png", "masks/heart/{n}.png", "masks/lung/{n}.png")
    tree(tmp_path, "masks/heart/{n}.gif", numbers=range(21, 22))
    found = discover(tmp_path)
    assert codes(found) == ["doubled-mask"]
    assert error(found) == (
        "Several masks mean the same structure of one image: masks/heart/21.gif, masks/heart/21.png. Keep "
        "one of them."
    )


def test_another_folder_with_the_names_of_the_images_competes(tmp_path: Path) -> None:
    tree(tmp_path, "images/{n}.png", "masks/heart/{n}.png", "masks/lung/{n}.png", "vessels/{n}.png")
    assert error(discover(tmp_path)).startswith(
        "Several folders could hold the masks: masks/heart/, masks/lung/, which would be joined, or "
        "vessels/. Take the one or the other out of the data"
    )


def test_names_of_values_do_not_name_structures(tmp_path: Path) -> None:
    tree(tmp_path, "images/{n}.png", "masks/heart/{n}.png", "masks/lung/{n}.png")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "lung": 1, "heart": 2}}')
    found = discover(tmp_path)
    assert found.label_names == {1: "heart", 2: "lung"}
    assert codes(found) == ["joined-masks", "label-names-not-used"]


def test_a_series_has_masks_of_structures_beside_it(tmp_path: Path) -> None:
    for number in range(2):
        series = slices(np.zeros((3, 12, 9), np.uint16), SeriesInstanceUID=f"1.2.3.{number}")
        (tmp_path / f"p{number}" / "ct").mkdir(parents=True)
        for index, made in enumerate(series):
            written(made, tmp_path / f"p{number}" / "ct" / f"{index}.dcm")
    tree(tmp_path, "p{n}/masks/liver.nii.gz", "p{n}/masks/spleen.nii.gz", numbers=range(2))
    found = discover(tmp_path)
    assert codes(found) == ["joined-masks"]
    assert [(case.name, len(case.image), case.stack) for case in found.cases] == [
        ("p0", 3, True), ("p1", 3, True)
    ]  # fmt: skip
    assert [each.name for each in found.cases[1].structures] == ["liver", "spleen"]
    assert found.cases[1].mask == tmp_path / "p1" / "masks" / "liver.nii.gz"


PLACES = st.sampled_from(
    ["images", "masks", "masks/heart", "masks/lung", "masks/heart/p1", "heart_masks", "p1", "p1/masks", ""]
)
STEMS = st.sampled_from(
    ["1", "2", "x_1", "1_mask", "1_mask_1", "1_heart", "1_lung_mask", "lung", "overlay", "p1"]
)
FILES = st.tuples(PLACES, STEMS, st.sampled_from([".png", ".tif"]))


@given(st.lists(FILES, min_size=1, max_size=12, unique=True))
def test_every_file_is_in_one_case_or_told(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, str, str]]
) -> None:
    names = [f"{folder}/{stem}{suffix}".lstrip("/") for folder, stem, suffix in files]
    root = tmp_path_factory.mktemp("tree")
    found = discover(tree(root, *names, numbers=range(1)))
    used = [path for case in found.cases for path in (*case.image, *case.mask_files)]
    told = {path for problem in found.problems if problem.level != "note" for path in problem.paths}
    told |= {path for problem in found.problems if problem.code == "unused-folder" for path in problem.paths}
    told |= {p for problem in found.problems if problem.code == "partner-of-doubled" for p in problem.paths}
    assert len(set(used)) == len(used)
    if any(case.structures for case in found.cases):
        assert all(case.structures for case in found.cases)
        values = [{each.name: each.value for each in case.structures} for case in found.cases]
        assert all(found.label_names is None or each.items() <= by_name(found).items() for each in values)
    if found.cases:
        competing = {path for path in told if path in used}
        assert not competing or any(problem.code.startswith("competing") for problem in found.problems)
        assert {root / name for name in names} <= {*used, *told}
    else:
        assert found.problems[0].level == "error"


def by_name(found: Discovery) -> dict[str, int]:
    return {name: value for value, name in (found.label_names or {}).items()}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ([{"heart", "lung"}], "structures"),
        ([{"l", "r"}, {"l", "r"}], "structures"),
        ([{"vertebra c1", "vertebra l1"}, {"vertebra c1"}], "structures"),
        ([{"1", "2", "3"}], "objects"),
        ([{"1", "2"}, {"1", "2", "3"}], "numbered"),
        ([{str(k) for k in range(n)} for n in (1, 2, 3, 5)], "objects"),
        ([{str(k) for k in range(n)} for n in (4, 9)], "objects"),
        ([{str(k) for k in range(n)} for n in (4, 9, 4, 4)], "numbered"),
        ([{f"vertebra l{k}" for k in range(n)} for n in (1, 2, 3, 5, 9)], "numbered"),
        ([{f"l{k}" for k in range(n)} for n in (1, 2, 3, 5)], "numbered"),
        ([{f"segment {k}" for k in range(1, n)} for n in (2, 3, 4, 5, 9)], "numbered"),
        ([{"grade 3", "grade 4"}, {"grade 3"}], "numbered"),
        ([{"label 1"}, {"label 2"}, {"label 3"}], "numbered"),
        ([{"polyp", "polyp 1"}, {"polyp"}], "objects"),
        ([{"1", "3"}, {"1", "2", "3"}, {"1", "2"}], "numbered"),
        ([{"17", "18"}, {"19", "20"}], "objects"),
        ([{"", "1"}, {""}], "objects"),
        ([{"", "liver"}, {""}], "unclear"),
        ([{"2", "liver"}], "unclear"),
        ([{"liver", "spleen"}, {"leber", "milz"}], "unclear"),
        ([{"heart", "reader 2"}], "readers"),
        ([{"left lung corrected", "left lung"}], "readers"),
        ([{"liver final", "spleen final"}], "structures"),
        ([{"liver manual", "spleen manual"}, {"spleen manual"}], "structures"),
        ([{"rater a", "rater b"}], "readers"),
        ([{"pathologist a", "clinician b"}], "readers"),
        ([{"human", "ai"}], "readers"),
        ([{"gold", "silver"}], "readers"),
        ([{"jk", "jk corr"}], "readers"),
        ([{"old", "new"}], "readers"),
        ([{"lung old", "lung new"}], "readers"),
        ([{"new lesions", "stable lesions"}], "structures"),
        ([{"lung", "nodule 1"}, {"lung", "nodule 1", "nodule 2"}], "counted"),
        ([{"lung", "nodule 7"}, {"lung", "nodule 9"}], "counted"),
        ([{"lung", "rib 1"}, {"lung", "rib 1", "rib 2"}], "structures"),
        ([{"lung", "rod 1", "rod 2"}, {"lung"}], "structures"),
        ([{"a liver", "a spleen"}, {"a liver", "a spleen"}, {"b liver"}, {"b liver"}], "unclear"),
        ([{"a liver", "a spleen"}, {"a liver", "a spleen"}, {"b liver", "b spleen"}], "unclear"),
        ([{"liver", "spleen"}, {"liver"}, {"tumour"}], "structures"),
    ],
)
def test_names_tell_what_masks_are(names: list[set[str]], kind: Kind) -> None:
    assert kind_of(names) == kind


def test_names_are_compared_without_case_and_separators() -> None:
    assert alike("Left-Lung") == alike("left lung") == alike("leftLung") == "left lung"
    assert core("2nd reader") == core("reader two") == "reader"
