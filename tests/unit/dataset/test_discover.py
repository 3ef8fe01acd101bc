"""Discovery: every layout, every misfit, whatever the disk's order."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from random import Random

import numpy as np
import pytest
from dicom_making import slices, written
from hypothesis import given
from hypothesis import strategies as st
from layout_making import codes

from delineate.dataset import listing
from delineate.dataset.case_files import shown
from delineate.dataset.discover import Discovery, discover
from delineate.dataset.naming import listed, natural_key, printable, safe_name, unique_names
from delineate.errors import UsageError


def tree(root: Path, *names: str) -> Path:
    """Empty files below `root`; discovery reads no pixels."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def pairs(found: Discovery) -> dict[str, tuple[str, str]]:
    return {
        case.name: (shown(case.image[0], found.root), shown(case.mask, found.root))
        for case in found.cases
        if case.mask
    }


@pytest.mark.parametrize(
    ("image_folder", "mask_folder"),
    [("images", "masks"), ("Image", "LABELS"), ("img", "annotations"), ("imgs", "Segmentations"),
     ("images", "mask"), ("images", "ground_truth"), ("images", "label"), ("images", "1st_manual")],
)  # fmt: skip
def test_two_folders_pair_by_stem(tmp_path: Path, image_folder: str, mask_folder: str) -> None:
    tree(
        tmp_path,
        *(f"{image_folder}/c{n}.jpg" for n in (1, 2, 10)),
        *(f"{mask_folder}/c{n}.png" for n in (10, 2, 1)),
    )
    found = discover(tmp_path)
    assert [case.name for case in found.cases] == ["c1", "c2", "c10"]
    assert pairs(found)["c10"] == (f"{image_folder}/c10.jpg", f"{mask_folder}/c10.png")
    assert found.problems == ()
    assert f"{image_folder}/" in found.layout
    assert f"{mask_folder}/" in found.layout


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("image_7.png", "mask_7.png"),
        ("scan_image_7.png", "scan_mask_7.png"),
        ("img7.png", "mask7.png"),
        ("x.png", "x_mask.png"),
        ("x y.tif", "x y_seg.gif"),
        ("ISIC_01.jpg", "ISIC_01_segmentation.png"),
        ("x.png", "x-label.png"),
        ("x.png", "x_labels.png"),
        ("image_7.png", "image_7_mask.png"),
        ("X.PNG", "x_Mask.png"),
        ("a (1).png", "a (1)_mask.png"),
    ],
)
@pytest.mark.parametrize("folders", [("images/", "masks/"), ("", "")])
def test_names_that_differ_in_a_word_pair(
    tmp_path: Path, image: str, mask: str, folders: tuple[str, str]
) -> None:
    other_image, other_mask = (
        name.replace("7", "8").replace("x", "z").replace("X", "Z") for name in (image, mask)
    )
    tree(tmp_path, folders[0] + image, folders[1] + mask, folders[0] + other_image, folders[1] + other_mask)
    found = discover(tmp_path)
    assert (folders[0] + image, folders[1] + mask) in pairs(found).values()
    assert len(found.cases) == len({image, other_image})
    assert found.problems == ()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("imgs/image_{n}.png", "msks/mask_{n}.png"),
        ("a/image_{n}.png", "b/mask_{n}.png"),
        ("a/image_{n}.png", "masks/mask_{n}.png"),
        ("scans/c{n}.png", "masks/c{n}.png"),
        ("images/c{n}.png", "drawn/c{n}_mask.png"),
        ("image_{n}.png", "drawn/mask_{n}.png"),
        ("drawn/c{n}.png", "c{n}_seg.png"),
        ("imgs/train/image_{n}.png", "msks/train/mask_{n}.png"),
        ("p{n}/scan/image.png", "p{n}/drawn/mask.png"),
    ],
)
def test_names_tell_where_folders_do_not(tmp_path: Path, image: str, mask: str) -> None:
    expected = {(image.format(n=n), mask.format(n=n)) for n in range(3)}
    found = discover(tree(tmp_path, *(name for files in expected for name in files)))
    assert set(pairs(found).values()) == expected
    assert found.problems == ()
    assert "side by side" not in found.layout


def test_folders_that_might_be_patients_are_not_joined(tmp_path: Path) -> None:
    found = discover(tree(tmp_path, "p1/x.png", "p1/x_mask.png", "p2/y.png", "p3/y_mask.png"))
    assert list(pairs(found).values()) == [("p1/x.png", "p1/x_mask.png")]
    assert codes(found) == ["unpaired-image", "unpaired-mask"]
    found = discover(tree(tmp_path / "b", "p1/x.png", "p2/y.png", "p3/y_mask.png", "p4/x_mask.png"))
    assert (found.cases, codes(found)[-1]) == ((), "unpaired-mask")


SETS = {
    "unpaired": ["images/a.png", "images/b.png", "masks/a.png", "masks/c.png", "masks/d.png"],
    "doubled": ["images/a.png", "images/a.tif", "masks/a.png", "images/b.png", "masks/b.png", "masks/b.gif"],
    "ambiguous": ["images/image_1.png", "images/1.png", "masks/mask_1.png", "masks/label_1.png"],
    "several": ["a.png", "a_mask.png", "a_mask_1.png", "a_mask_2.png"],
    "competing": ["images/a.png", "images/b.png", "mask/a.gif", "1st_manual/a.gif", "fov/a.gif"],
    "unused": ["images/a.png", "masks/a.png", "fov/a.gif", "fov/b.gif"],
    "no masks": ["images/a.png", "images/b.png", "other/c.png"],
    "no images": ["masks/a.png", "masks/b.png"],
    "no pairs": ["images/a.png", "masks/b.png", "other/b.png"],
    "nnunet": [
        "imagesTr/a_0000.png", "imagesTr/a_0001.png", "imagesTr/b_0001.png", "imagesTr/c_0000.png",
        "labelsTr/a.png", "labelsTr/b.png", "labelsTr/d.png", "imagesTs/t_0000.png", "extra/x.png",
    ],
    "nnunet doubled": ["imagesTr/a.png", "imagesTr/a_0000.png", "labelsTr/a.png", "labelsTr/a.tif"],
    "nnunet no pairs": ["imagesTr/a_0000.png", "labelsTr/b.png"],
    "table doubled": ["a.png", "b.png", "c.png", "d.png"],
    "table split": ["a.png", "b.png", "e.png", "f.png"],
    "tables": ["a.png", "b.png"],
}  # fmt: skip
TABLES = {
    "table doubled": ["image,mask\na.png,b.png\na.png,c.png\nd.png,\n"],
    "table split": ["image,mask,split\na.png,b.png,later\ne.png,f.png,\n"],
    "tables": ["image,mask\na.png,b.png\n", "image,mask\nb.png,a.png\n"],
}


@pytest.mark.parametrize("name", SETS)
def test_every_picture_is_in_one_case_or_among_the_files_of_a_problem(tmp_path: Path, name: str) -> None:
    tree(tmp_path, *SETS[name])
    tables = [tmp_path / f"{number}.csv" for number in range(len(TABLES.get(name, [])))]
    for path, text in zip(tables, TABLES.get(name, []), strict=True):
        path.write_text(text)
    found = discover(tmp_path)
    used = [path for case in found.cases for path in (*case.image, *case.mask_files)]
    told = {path for problem in found.problems for path in problem.paths}
    assert len(used) == len(set(used))
    assert not told & set(used)
    expected = tables if len(tables) > 1 else [tmp_path / picture for picture in SETS[name]]
    waiting = {path for path in expected if name == "competing" and path.parent.name == "images"}
    assert {*used, *told} == set(expected) - waiting


def test_all_files_are_listed_however_many(tmp_path: Path) -> None:
    tree(tmp_path, *(f"images/{n}.png" for n in range(40)), *(f"masks/{n}.png" for n in range(30, 70)))
    by_code = {problem.code: problem for problem in discover(tmp_path).problems}
    assert {code: len(problem.paths) for code, problem in by_code.items()} == {
        "unpaired-image": 30, "unpaired-mask": 30
    }  # fmt: skip
    assert "and 18 more" in by_code["unpaired-image"].message


def test_a_word_inside_another_word_says_nothing(tmp_path: Path) -> None:
    tree(tmp_path, "images/imagery.png", "images/masked.png", "masks/imagery.png", "masks/masked.png")
    assert list(pairs(discover(tmp_path))) == ["imagery", "masked"]


@pytest.mark.parametrize(
    "pattern",
    ["{s}/images/{c}.png {s}/masks/{c}.png", "images/{s}/{c}.png masks/{s}/{c}.png",
     "{s}_images/{c}.png {s}_masks/{c}.png", "{s}/{c}.png {s}/{c}_mask.png",
     "{s}/{c}.jpg {s}_masks/{c}_mask.gif"],
)  # fmt: skip
def test_split_folders_set_the_part(tmp_path: Path, pattern: str) -> None:
    for split, case in (("Train", "a"), ("Train", "b"), ("val", "c"), ("Testing", "d")):
        tree(tmp_path, *pattern.format(s=split, c=case).split())
    found = discover(tmp_path)
    assert {case.name: case.split for case in found.cases} == {
        "a": "train", "b": "train", "c": "validation", "d": "test"
    }  # fmt: skip
    assert found.problems == ()
    assert "train, validation, test" in found.layout


@pytest.mark.parametrize(
    ("train", "test"),
    [("train_set", "test_set"), ("Training Data", "Test Data"), ("TrainDataset", "TestDataset"),
     ("TrainImages", "TestImages"), ("train-sets", "test.data")],
)  # fmt: skip
def test_neutral_words_and_humps_are_no_hindrance_to_a_part(tmp_path: Path, train: str, test: str) -> None:
    tree(
        tmp_path,
        f"{train}/1.png",
        f"{train}/1_mask.png",
        f"{test}/CVC-300/2.png",
        f"{test}/CVC-300/2_mask.png",
    )
    found = discover(tmp_path)
    assert [(case.plain, case.split) for case in found.cases] == [("1", "train"), ("CVC-300__2", "test")]
    assert found.problems == ()


def test_folders_that_may_be_parts_but_state_none_are_told(tmp_path: Path) -> None:
    def told(name: str, *folders: str) -> list[str]:
        names = [f"{folder}/{at}{kind}.png" for at, folder in enumerate(folders) for kind in ("", "_mask")]
        found = discover(tree(tmp_path / name, *names))
        assert [case.split for case in found.cases] == [None] * len(folders)
        return [problem.message.split(": ")[1].split(".")[0] for problem in found.problems]

    assert told("sets", "trainset", "testset") == ["testset/, trainset/"]
    assert told("more", "data_train_2", "others", "TestKvasir/x") == ["data_train_2/, TestKvasir/"]
    assert told("two at once", "train_val", "other") == ["train_val/"]
    assert told("organs", "testis", "valve", "values", "data", "dataset") == []
    assert told("no division", "train_v2", "train_v2") == []


def test_equal_names_in_two_parts_are_two_cases(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{s}/{r}/1.png" for s in ("train", "test") for r in ("images", "masks")))
    assert [(case.name, case.split) for case in discover(tmp_path).cases] == [
        ("test__1", "test"),
        ("train__1", "train"),
    ]


def test_sub_folders_keep_equal_names_apart(tmp_path: Path) -> None:
    tree(tmp_path, *(f"scans/p{p}/{n}.png" for p in (1, 2) for n in ("s1", "s1_mask", "image", "mask")))
    found = discover(tmp_path)
    assert [case.name for case in found.cases] == ["p1", "p1__s1", "p2", "p2__s1"]
    assert pairs(found)["p2__s1"] == ("scans/p2/s1.png", "scans/p2/s1_mask.png")


def test_missing_partners_are_all_listed_and_left_out(tmp_path: Path) -> None:
    tree(tmp_path, *(f"images/{n}.png" for n in range(20)), "masks/0.png", "masks/x.png", "fov/0.gif")
    found = discover(tmp_path)
    assert list(pairs(found)) == ["0"]
    by_code = {problem.code: problem for problem in found.problems}
    assert {code: problem.level for code, problem in by_code.items()} == {
        "unpaired-image": "warning", "unpaired-mask": "warning", "unused-folder": "note"
    }  # fmt: skip
    assert [path.name for path in by_code["unpaired-image"].paths] == [f"{n}.png" for n in range(1, 20)]
    assert by_code["unpaired-image"].message == (
        "19 images left out, without a mask: " + ", ".join(f"images/{n}.png" for n in range(1, 13))
        + " and 7 more. Add the masks under the same name if they should count."
    )  # fmt: skip
    assert by_code["unpaired-mask"].message.startswith("1 mask left out, without an image: masks/x.png.")
    assert "fov/ (1 file)" in by_code["unused-folder"].message


@pytest.mark.parametrize(
    ("names", "code", "left"),
    [
        (("images/a.png", "images/a.tif", "masks/a.png"), "doubled-image", "good"),
        (("images/a.png", "masks/a.png", "masks/a.gif"), "doubled-mask", "good"),
        (("images/a.png", "images/A.png", "masks/a.png"), "doubled-image", "good"),
        (("images/\u00e9.png", "images/e\u0301.png", "masks/\u00e9.png"), "doubled-image", "good"),
        (("images/a.png", "img/a.png", "masks/a.png"), "doubled-image", "good"),
        (
            ("images/image_1.png", "images/1.png", "masks/mask_1.png", "masks/label_1.png"),
            "ambiguous-pair",
            "good",
        ),
        (("a.png", "a_mask.png", "a_mask_x.png"), "several-masks", "a"),
        (("a.png", "a_mask.png", "a_seg.png", "good.png", "good_mask.png"), "ambiguous-pair", "good"),
    ],
)
def test_doubled_and_ambiguous_files_are_errors(
    tmp_path: Path, names: tuple[str, ...], code: str, left: str
) -> None:
    tree(tmp_path, *names, "images/good.png", "masks/good.png") if "/" in names[0] else tree(tmp_path, *names)
    found = discover(tmp_path)
    assert [p.code for p in found.problems if p.level == "error"] == [code]
    assert {p.code for p in found.problems if p.level != "error"} <= {"partner-of-doubled"}
    assert [case.name for case in found.cases] == [left]
    for name in names[1:]:
        if "_1" in name or "_x" in name or "images" in name:
            assert printable(name) in found.problems[0].message


@pytest.mark.parametrize(
    ("image", "mask", "further"),
    [
        ("0.png", "0_mask.png", "0_mask_spleen.png"),
        ("0.png", "0_mask.png", "0_spleen_mask.png"),
        ("images/0.png", "masks/0.png", "masks/0-spleen.png"),
        ("images/image_0.png", "masks/mask_0.png", "masks/mask_0.spleen.png"),
        ("images/0.png", "masks/0.png", "masks/0_mask_1.png"),
    ],
)
def test_a_mask_of_another_structure_is_no_mask_without_an_image(
    tmp_path: Path, image: str, mask: str, further: str
) -> None:
    found = discover(tree(tmp_path, image, mask, further))
    assert [(p.level, p.code, p.paths) for p in found.problems] == [
        ("error", "several-masks", (tmp_path / further,))
    ]
    assert list(pairs(found).values()) == [(image, mask)]


def test_a_mask_whose_name_goes_on_without_a_separator_is_another_one(tmp_path: Path) -> None:
    found = discover(tree(tmp_path, "images/1.png", "masks/1.png", "masks/10.png", "masks/1a.png"))
    assert [(p.level, p.code, len(p.paths)) for p in found.problems] == [("warning", "unpaired-mask", 2)]


def test_two_mask_folders_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, "images/a.png", "mask/a.gif", "1st_manual/a.gif")
    found = discover(tmp_path)
    assert codes(found) == ["competing-mask-folders"]
    assert "1st_manual/, mask/" in found.problems[0].message
    assert found.cases == ()


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        ((), "no-images", "Found: no file at all."),
        (
            ("images/a.png", "images/b.png"),
            "no-masks",
            "holds 2 images but no masks. Found: 2 × .png in images/.",
        ),
        (("masks/a.png", "images/a.xyz"), "no-images", "1 × .xyz in images/"),
        (("a.png", "b.png"), "no-masks", "2 × .png in the folder itself"),
        (("images/a.png", "masks/b.png"), "no-pairs", "Images: images/a.png. Masks: masks/b.png."),
        (("a.txt",), "no-images", "no pictures that can be read (BMP, DCM, DICOM, GIF, IMA, JPG, MHA, MHD,"),
        (("imagesTr/a_0000.png", "labelsTr/b.png"), "no-pairs", "Looked for imagesTr/CASE_0000.png"),
    ],
)
def test_nothing_found_says_what_was_sought_and_what_is_there(
    tmp_path: Path, names: tuple[str, ...], code: str, said: str
) -> None:
    found = discover(tree(tmp_path, *names))
    first = found.problems[0]
    assert (first.level, first.code, found.cases) == ("error", code, ())
    assert said in first.message
    assert code == "no-pairs" or "images/ and masks/" in first.message


def test_no_such_folder_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        discover(tmp_path / "nothing")
    with pytest.raises(UsageError, match="is a file"):
        discover(tree(tmp_path, "a.txt") / "a.txt")


def test_hidden_and_system_files_are_one_note(tmp_path: Path) -> None:
    tree(
        tmp_path,
        "images/a.png",
        "masks/a.png",
        "images/Thumbs.db",
        "images/._a.png",
        ".git/x.png",
        "masks/.DS_Store",
    )
    found = discover(tmp_path)
    assert codes(found) == ["hidden-files"]
    assert len(found.problems[0].paths) == 4
    assert list(pairs(found)) == ["a"]


def test_links_are_followed_and_circles_are_told(tmp_path: Path) -> None:
    store = tree(tmp_path / "store", "a.png", "b.png")
    data = tree(tmp_path / "data", "masks/a.png", "masks/b.png")
    (data / "images").symlink_to(store, target_is_directory=True)
    (data / "masks" / "again").symlink_to(data, target_is_directory=True)
    (data / "masks" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = discover(data)
    assert list(pairs(found)) == ["a", "b"]
    assert codes(found) == ["broken-link", "outside-links"]
    assert {path.name for path in found.problems[0].paths} == {"again", "gone.png"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may open every folder")
def test_closed_folder_is_an_error(tmp_path: Path) -> None:
    tree(tmp_path, "images/a.png", "masks/a.png", "images/closed/b.png")
    (tmp_path / "images" / "closed").chmod(0)
    try:
        found = discover(tmp_path)
    finally:
        (tmp_path / "images" / "closed").chmod(0o755)
    assert codes(found) == ["closed-folder"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    tree(tmp_path, "images/a.png", "masks/a.png")
    os.mkfifo(tmp_path / "images" / "b.png")
    assert codes(discover(tmp_path)) == ["special-files"]


def test_far_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAXIMUM_FILES", 3)
    with pytest.raises(UsageError, match="more than 3 files"):
        discover(tree(tmp_path, *(f"{n}.png" for n in range(4))))


def test_nnunet_with_channels_names_and_test_part(tmp_path: Path) -> None:
    tree(
        tmp_path,
        *(f"imagesTr/c_{n}_{c:04d}.png" for n in (1, 2) for c in (0, 1)),
        "labelsTr/c_1.png",
        "labelsTr/c_2.png",
    )
    tree(tmp_path, "imagesTs/t_0000.png", "imagesTs/t_0001.png", "labelsTs/t.png", "splits_final.json")
    description = {
        "labels": {"background": 0, "tumour": 1, "oedema": 2},
        "channel_names": {"1": "T2", "0": "T1"},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    found = discover(tmp_path)
    assert [(case.name, case.split) for case in found.cases] == [("c_1", None), ("c_2", None), ("t", "test")]
    assert [path.name for path in found.cases[1].image] == ["c_2_0000.png", "c_2_0001.png"]
    assert (found.label_names, found.channel_names) == ({1: "tumour", 2: "oedema"}, ("T1", "T2"))
    assert codes(found) == ["folds-not-used"]


def test_nnunet_missing_channel_and_missing_partners(tmp_path: Path) -> None:
    tree(tmp_path, "imagesTr/a_0000.png", "imagesTr/a_0001.png", "imagesTr/b_0001.png", "imagesTr/c_0000.png")
    tree(tmp_path, "labelsTr/a.png", "labelsTr/b.png", "labelsTr/d.png", "imagesTs/t_0000.png")
    found = discover(tmp_path)
    assert [case.name for case in found.cases] == ["a"]
    assert codes(found) == ["missing-channel", "unpaired-image", "unpaired-mask", "unused-folder"]
    assert "those of labelsTr/b.png. Others have _0000, _0001." in found.problems[0].message


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"background": 0, "left lung": 1}, {1: "left lung"}),
        ({"0": "background", "1": "anterior", "2": "posterior"}, {1: "anterior", 2: "posterior"}),
        ({"nucleus": 255}, {255: "nucleus"}),
    ],
)
def test_dataset_json_names_labels_in_any_layout(
    tmp_path: Path, labels: dict[str, object], names: dict[int, str]
) -> None:
    tree(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    found = discover(tmp_path)
    assert (found.label_names, found.problems) == (names, ())


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"labels": 3}',
        '{"labels": {"a": "b"}}',
        '{"labels": {"a": 1, "b": 1}}',
        "\xff" + "[" * 99999,
    ],
)
def test_damaged_dataset_json_is_an_error(tmp_path: Path, text: str) -> None:
    tree(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "dataset.json").write_text(text, encoding="latin-1")
    found = discover(tmp_path)
    assert [(p.level, p.code) for p in found.problems] == [("error", "dataset-json")]
    assert list(pairs(found)) == ["a"]


def test_unions_of_labels_are_told(tmp_path: Path) -> None:
    tree(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "whole": [1, 2], "core": 2}}')
    found = discover(tmp_path)
    assert (codes(found), found.label_names) == (["label-unions"], {2: "core"})


ODD = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(
    lambda name: (
        not name.startswith(".") and name.casefold() not in listing.SYSTEM_NAMES and len(name.encode()) < 60
    )
)


@given(st.lists(ODD, min_size=1, max_size=6, unique_by=lambda n: unicodedata.normalize("NFC", n).casefold()))
def test_odd_names_pair_and_come_out_safe(tmp_path_factory: pytest.TempPathFactory, stems: list[str]) -> None:
    root = tmp_path_factory.mktemp("odd")
    for stem in stems:
        tree(root, f"images/{stem}.png", f"masks/{stem}.tif")
    found = discover(root)
    errors = [problem for problem in found.problems if problem.level == "error"]
    paired = {case.image[0].stem for case in found.cases}
    doubled = {path.stem for problem in errors for path in problem.paths}
    assert paired | doubled == {Path(f"{stem}.png").stem for stem in stems}
    assert all(case.mask is not None and case.mask.stem == case.image[0].stem for case in found.cases)
    assert len({case.name.casefold() for case in found.cases}) == len(found.cases)
    assert all(case.name == safe_name(case.name) for case in found.cases)


STEMS = st.sampled_from(
    ["a", "A", "b", "1", "image_1", "mask_1", "a_mask", "a_mask_1", "b_label", "\u00e9", "e\u0301"]
)
FILES = st.tuples(st.sampled_from(["images", "masks", "img", ""]), STEMS, st.sampled_from([".png", ".tif"]))


@given(st.lists(FILES, min_size=1, max_size=10, unique=True), st.randoms(use_true_random=False))
def test_every_file_is_in_one_case_or_in_a_problem(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, str, str]], random: Random
) -> None:
    names = [f"{folder}/{stem}{suffix}".lstrip("/") for folder, stem, suffix in files]
    results = []
    for _ in range(2):
        root = tmp_path_factory.mktemp("tree")
        random.shuffle(names)
        found = discover(tree(root, *names))
        used = [path for case in found.cases for path in (*case.image, *case.mask_files)]
        told = [path for problem in found.problems for path in problem.paths]
        assert len(set(used)) == len(used)
        assert not set(used) & set(told)
        if found.cases:
            every = {root / name for name in names}
            assert every <= {*used, *told}
        else:
            assert found.problems[0].level == "error"
        results.append((pairs(found), [(p.code, p.message.replace(str(root), "")) for p in found.problems]))
    assert results[0] == results[1]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=8))
def test_safe_names_are_safe_unique_and_stable(texts: list[str]) -> None:
    names = unique_names([(text,) for text in texts])
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(names)
    for name in names:
        assert name.encode()
        assert len(name.encode()) <= 170
        assert Path("folder", name).parent == Path("folder")
        assert name not in (".", "..")
        assert not set(name) & set('/\\:*?"<>|\n\r\t\0')


def test_windows_device_names_are_changed() -> None:
    assert [safe_name(name) for name in ("con", "LPT1.x", "-x", "a.", "", "..", " a")] == [
        "_con", "_LPT1.x", "-x", "a", "_", "_", "_a"
    ]  # fmt: skip


def test_natural_order_is_total() -> None:
    names = ["x10", "x2", "X2", "x02", "x1", "2", "10", "é", "é"]
    assert sorted(names, key=natural_key) == sorted([names[-1], *names[:-1]], key=natural_key)
    assert sorted(names, key=natural_key)[:3] == ["2", "10", "x1"]


def test_messages_show_odd_names_on_one_line() -> None:
    assert printable("a\nb\x1b\udcff") == "a\\nb\\x1b\\udcff"
    assert printable(" a") == "' a'"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed((name for name in "abc"), 3) == "a, b, c"


@pytest.mark.parametrize("mask", ["masks/p{}.nii.gz", "masks/p{}/seg.nrrd"])
def test_series_divided_by_folder(tmp_path: Path, mask: str) -> None:
    for number, part in enumerate(("train", "val", "test")):
        series = slices(np.zeros((2, 12, 9), np.uint16), SeriesInstanceUID=f"1.2.3.{number}")
        tree(tmp_path, f"{part}/{mask.format(number)}", f"{part}/images/p{number}/0.dcm")
        for index, made in enumerate(series):
            written(made, tmp_path / part / "images" / f"p{number}" / f"{index}.dcm")
    found = discover(tmp_path)
    assert {(case.image[0].parent.name, case.split, case.stack) for case in found.cases} == {
        ("p0", "train", True), ("p1", "validation", True), ("p2", "test", True)
    }  # fmt: skip
    assert found.layout.endswith("; divided by folder into train, validation, test")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "cases", "first", "last", "codes_expected"),
    [
        ("kvasir", 900, "train_000", "val_099", []),
        ("drive", 20, "21_training", "40_training", ["unused-folder"]),
        ("jsrt", 124, "JPCLN001", "JPCNN093", []),
        ("wbc", 300, "001", "300", []),
        ("dsb2018", 160, None, None, []),
        ("isbi2012_em", 24, "train_00", "train_23", []),
    ],
)
def test_real_sets_are_found_whole(
    data_root: Path, *, name: str, cases: int, first: str | None, last: str | None, codes_expected: list[str]
) -> None:
    found = discover(data_root / name)
    assert len(found.cases) == cases
    assert codes(found) == codes_expected
    assert all(c.mask and c.mask.stem == c.image[0].stem == c.name and c.split is None for c in found.cases)
    if first:
        assert (found.cases[0].name, found.cases[-1].name) == (first, last)


@pytest.mark.data
def test_dicom_slices_go_with_pictures_of_the_same_name(data_root: Path) -> None:
    found = discover(data_root / "sunnybrook")
    assert (len(found.cases), found.problems) == (56, ())
    assert (found.cases[0].name, found.cases[-1].name) == ("SCD0000101_0048", "SCD0000301_0200")
    assert all(
        case.mask and (case.image[0].suffix, case.mask.suffix, case.stack) == (".dcm", ".png", False)
        for case in found.cases
    )


def test_the_plain_name_lacks_what_tells_cases_apart(tmp_path: Path) -> None:
    """Patterns for groups are sought in it."""
    both = [f"{part}/{kind}/001_1.png" for part in ("train", "test") for kind in ("images", "masks")]
    found = discover(tree(tmp_path / "folders", *both, "train/images/001_2.png", "train/masks/001_2.png"))
    assert [(case.name, case.plain) for case in found.cases] == [
        ("001_2", "001_2"), ("test__001_1", "001_1"), ("train__001_1", "001_1")
    ]  # fmt: skip
    names = [
        f"{kind}T{part}/001_1{number}.png"
        for part in "rs"
        for kind, number in (("images", "_0000"), ("labels", ""))
    ]
    found = discover(tree(tmp_path / "nnunet", *names))
    assert [(case.name, case.plain) for case in found.cases] == [
        ("test__001_1", "001_1"), ("train__001_1", "001_1")
    ]  # fmt: skip
    within = [f"{kind}/p{n}/a.png" for n in (1, 2) for kind in ("images", "masks")]
    assert [case.plain for case in discover(tree(tmp_path / "within", *within)).cases] == ["p1__a", "p2__a"]
