"""Layouts of public data sets: what pairs though it names things in its own way, what is refused and how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layout_making import codes, error, tree
from PIL import Image as Picture

from delineate.dataset.affixes import cores, one_for_one
from delineate.dataset.case_files import shown
from delineate.dataset.discover import Discovery, discover
from delineate.dataset.roles import place


def first_pair(found: Discovery) -> tuple[str, str]:
    case = found.cases[0]
    assert case.mask is not None
    return shown(case.image[0], found.root), shown(case.mask, found.root)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("png_images/{n}.png", "png_masks/{n}.png"),
        ("images/{n}.png", "lung masks/{n}.png"),
        ("VOC/JPEGImages/{n}.jpg", "VOC/SegmentationClass/{n}.png"),
        ("train/{n}.png", "trainannot/{n}.png"),
        ("default/{n}.png", "defaultannot/{n}.png"),
        ("images/{n}.jpg", "annotations/trimaps/{n}.png"),
        ("images/jpg/{n}.jpg", "masks/{n}.png"),
        ("{n}.bmp", "{n}_anno.bmp"),
        ("{n}.bmp", "{n}_msk.bmp"),
    ],
)
def test_layouts_with_words_of_their_own_pair(tmp_path: Path, image: str, mask: str) -> None:
    found = discover(tree(tmp_path, image, mask))
    assert first_pair(found) == (image.format(n=21), mask.format(n=21))
    assert len(found.cases) == 3
    assert found.problems == ()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{n}_training.tif", "1st_manual/{n}_manual1.gif"),
        ("volume-{n}.nii", "segmentation-{n}.nii"),
        ("data/case_{n}/imaging.nii.gz", "data/case_{n}/segmentation.nii.gz"),
        ("images/bus_{n}-l.png", "masks/mask_{n}-l.png"),
        ("train/{n}_sat.jpg", "train/{n}_mask.png"),
        ("p{n}/data.nii.gz", "p{n}/label.nii.gz"),
        ("p{n}/p{n}.nrrd", "p{n}/Segmentation.seg.nrrd"),
    ],
)
def test_names_that_fit_in_one_way_alone_pair_with_a_note(tmp_path: Path, image: str, mask: str) -> None:
    found = discover(tree(tmp_path, image, mask))
    assert first_pair(found) == (image.format(n=21), mask.format(n=21))
    assert codes(found) == ["paired-by-rest"]
    assert found.problems[0].message.startswith(
        "3 images paired with the only mask that fits, by names that differ in more than words for image and "
        f"mask: {image.format(n=21)} with {mask.format(n=21)}."
    )


def test_a_folder_without_masks_does_not_spoil_the_pairing(tmp_path: Path) -> None:
    tree(tmp_path, "set/CXR_png/a{n}.png", "set/masks/a{n}_mask.png")
    found = discover(tree(tmp_path, "set/test/b{n}.png"))
    assert first_pair(found) == ("set/CXR_png/a21.png", "set/masks/a21_mask.png")
    assert (len(found.cases), codes(found)) == (3, ["unpaired-image"])


@pytest.mark.parametrize(
    ("patterns", "folders"),
    [
        (("images/{n}.jpg", "mask/{n}_mask.tif", "manual1/{n}.tif"), "manual1/, mask/"),
        (("images/{n}.jpg", "masks/{n}.png", "vessels/{n}.png"), "masks/, vessels/"),
        (("images/{n}.jpg", "mask/{n}.png", "1st_label/{n}_1stHO.png"), "1st_label/, mask/"),
        (("images/{n}.jpg", "masks/{n}.png", "masks_observer2/{n}.png"), "masks/, masks_observer2/"),
        (("data/images/{n}.jpg", "data/masks/{n}.png", "vessels/{n}.png"), "data/masks/, vessels/"),
        (("fundus_images/{n}.jpg", "fundus_masks/{n}.png", "vessels/{n}.png"), "fundus_masks/, vessels/"),
        (("images/{n}.jpg", "masks/{n}.png", "reference/expert/{n}.png"), "masks/, reference/expert/"),
        (("images/{n}.jpg", "masks/{n}.png", "volume_vessels/{n}.png"), "masks/, volume_vessels/"),
    ],
)
def test_a_folder_that_could_be_the_masks_as_well_is_an_error(
    tmp_path: Path, patterns: tuple[str, ...], folders: str
) -> None:
    assert error(discover(tree(tmp_path, *patterns))) == (
        f"Several folders could hold the masks: {folders}. Leave one of them in the data, or say which files "
        "belong together in a CSV table with the columns image,mask."
    )


def test_two_masks_an_image_in_one_folder_are_an_error(tmp_path: Path) -> None:
    found = discover(tree(tmp_path, "{n}_test.tif", "{n}_test_mask.gif", "{n}_manual1.gif"))
    assert error(found).startswith(
        "Each image has several files that could be its mask, such as 21_test_mask.gif or 21_manual1.gif."
    )


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("one/deep/c{n}.png", "two/c{n}_label.png"),
        ("images/jpg/{n}.jpg", "masks/png/{n}.png"),
    ],
)
def test_folders_that_say_nothing_of_belonging_together_are_told(
    tmp_path: Path, image: str, mask: str
) -> None:
    found = discover(tree(tmp_path, image, mask))
    assert first_pair(found) == (image.format(n=21), mask.format(n=21))
    assert codes(found) == ["paired-across-folders"]
    folders = (Path(image).parent, Path(mask).parent)
    assert found.problems[0].message.startswith(
        f"Images in {folders[0]}/ were paired with masks in {folders[1]}/ by the names of the files alone."
    )


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/p1/{n}.png", "masks/p2/{n}.png"),
        ("p1/image_{n}.png", "p2/mask_{n}.png"),
        ("images/left/{n}.png", "masks/right/{n}.png"),
        ("images/left_{n}.png", "masks/right_{n}.png"),
        ("images/{n}_OD.png", "masks/{n}_OS.png"),
        ("images/p1_{n}.png", "masks/p2_{n}.png"),
    ],
)
def test_names_of_different_things_do_not_pair(tmp_path: Path, image: str, mask: str) -> None:
    assert error(discover(tree(tmp_path, image, mask))).startswith("No image in ")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("1. Original Images/{n}.jpg", "2. Masks/{n}.png"),
        ("01_images/{n}.png", "02_masks/{n}.png"),
        ("2020_images/{n}.png", "2021_annotations/{n}.png"),
        ("images_512/{n}.png", "masks_1ch/{n}.png"),
        ("images_v1/{n}.png", "masks_v2/{n}.png"),
        ("T1_weighted_images/{n}.png", "T1_weighted_masks/{n}.png"),
        (
            "ISIC2018_Task1-2_Training_Input/ISIC_{n}.jpg",
            "ISIC2018_Task1_Training_GroundTruth/ISIC_{n}_segmentation.png",
        ),
        (
            "ISIC-2017_Training_Data/ISIC_{n}.jpg",
            "ISIC-2017_Training_Part1_GroundTruth/ISIC_{n}_segmentation.png",
        ),
    ],
)
def test_numbers_that_count_folders_do_not_keep_pairs_apart(tmp_path: Path, image: str, mask: str) -> None:
    found = discover(tree(tmp_path, image, mask))
    assert first_pair(found) == (image.format(n=21), mask.format(n=21))
    assert codes(found) == []


@pytest.mark.parametrize(
    ("images", "masks"), [("p1", "p2"), ("1", "2"), ("left", "right"), ("batch 1", "batch 3")]
)
def test_folders_of_different_things_are_named_as_the_reason(tmp_path: Path, images: str, masks: str) -> None:
    found = discover(tree(tmp_path, f"images/{images}/{{n}}.png", f"masks/{masks}/{{n}}.png"))
    assert (
        f"Images in {images}/ and masks in {masks}/ are not brought together, since these names say that "
        "they are of different things: if they do belong together, call the folders alike." in error(found)
    )


def test_predictions_within_the_folder_of_masks_are_no_reference(tmp_path: Path) -> None:
    message = error(discover(tree(tmp_path, "images/{n}.png", "masks/predictions/{n}.png")))
    assert "holds 3 images but no masks." in message
    assert (
        "Left aside, since by their names they hold what was predicted or made of masks: masks/pred"
        in message
    )
    assert "sounds like masks" not in message


def test_a_case_may_be_called_result(tmp_path: Path) -> None:
    found = discover(tree(tmp_path, "images/result_{n}/a.png", "masks/result_{n}/a.png"))
    assert (len(found.cases), codes(found)) == (3, [])


@pytest.mark.parametrize("masks", ["predicted_masks", "mask_overlays", "labels-preview"])
def test_what_is_made_of_masks_is_no_reference(tmp_path: Path, masks: str) -> None:
    found = discover(tree(tmp_path, "images/{n}.png", f"{masks}/{{n}}.png"))
    assert "holds 3 images but no masks" in error(found)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/manual/{n}.png", "masks/manual/{n}.png"),
        ("images/vol/{n}.nii.gz", "labels/vol/{n}.nii.gz"),
        ("volumes/{n}.nii.gz", "manual/{n}.nii.gz"),
    ],
)
def test_faint_words_tell_a_role_only_where_no_plain_one_does(tmp_path: Path, image: str, mask: str) -> None:
    assert place(Path(mask).parts[:-1]).role == "mask"
    found = discover(tree(tmp_path, image, mask))
    assert (first_pair(found), codes(found)) == ((image.format(n=21), mask.format(n=21)), [])


@pytest.mark.parametrize(
    "other",
    [
        "test/{n}.png",
        "images_resized/{n}.png",
        "p2/scans/{n}.png",
        "masks/p2/{n}.png",
    ],
)
def test_files_of_others_are_no_rivals(tmp_path: Path, other: str) -> None:
    within = "p1/" if "p2" in other else ""
    images, masks = (f"images/{within}{{n}}.png", f"masks/{within}{{n}}.png")
    if "scans" in other:
        images, masks = "p1/images/{n}.png", "p1/masks/{n}.png"
    found = discover(tree(tmp_path, images, masks, other))
    assert len(found.cases) == 3
    assert [problem for problem in found.problems if problem.level == "error"] == []


@pytest.mark.parametrize(
    ("kind", "rival"), [("scan", False), ("mask", True), ("nuclei", True), ("smooth", True)]
)
def test_pictures_are_no_rivals_of_masks(tmp_path: Path, kind: str, rival: bool) -> None:
    """A second modality beside the images is left aside, another set of masks is not."""
    rng = np.random.default_rng(0)
    pixels = {
        "scan": rng.normal(120, 20, (64, 64)).clip(0, 255).astype(np.uint8),
        "mask": np.pad(np.full((32, 32), 255, np.uint8), 16),
        "smooth": np.pad(np.arange(62, dtype=np.uint8).repeat(4)[:, None] % 251, ((0, 0), (30, 33))),
        "nuclei": np.kron(np.arange(256, dtype=np.uint16).reshape(16, 16), np.ones((4, 4), np.uint16)),
    }
    tree(tmp_path, "images/{n}.png", "masks/{n}.png", "flair/{n}.png")
    for n in range(21, 24):
        Picture.fromarray(pixels[kind]).save(tmp_path / f"flair/{n}.png")
    found = discover(tmp_path)
    assert ("competing-mask-folders" in codes(found)) is rival


def test_rivals_within_folders_of_patients_are_found(tmp_path: Path) -> None:
    tree(tmp_path, "images/p{n}/a.png", "masks/p{n}/a.png", "vessels/p{n}/a.png")
    tree(tmp_path, "images/p{n}/b.png", "masks/p{n}/b.png", "vessels/p{n}/b.png")
    assert error(discover(tmp_path)).startswith("Several folders could hold the masks: masks/p21/, ")


@pytest.mark.parametrize(
    "other",
    [
        "fov/{n}.png",
        "Overlay/{n}.png",
        "more/x{n}.png",
        "thumbnails/{n}.jpg",
        "predictions/{n}.png",
        "heat_maps/{n}.png",
    ],
)
def test_other_folders_are_no_masks(tmp_path: Path, other: str) -> None:
    tree(tmp_path, "images/{n}.jpg", "masks/{n}.png")
    tree(tmp_path, other, numbers=range(21, 25) if "more" in other else range(21, 24))
    found = discover(tmp_path)
    assert (len(found.cases), codes(found)) == (3, ["unused-folder"])


@pytest.mark.parametrize(
    ("patterns", "hint"),
    [
        (
            ("p{n}/p{n}_t1.nii.gz", "p{n}/p{n}_t2.nii.gz", "p{n}/p{n}_seg.nii.gz"),
            "Folders hold one mask and several images (p21_t1.nii.gz, p21_t2.nii.gz): if these are channels "
            "of one image, lay them out as nnU-Net does, imagesTr/CASE_0000.nii.gz, "
            "imagesTr/CASE_0001.nii.gz, … with labelsTr/CASE.nii.gz; if one",
        ),
        (
            ("data/a{n}.jpg", "data/a{n}.png"),
            "3 names there twice, with another suffix, as a21.jpg and a21.png: if one of them is the mask",
        ),
        (
            ("images/{n}.jpg", "masks_one/a{n}.png", "masks_two/b{n}.png"),
            "These sound like masks: masks_one/, masks_two/; call the folder of the masks masks/ and",
        ),
        (
            ("img{n}.jpg", "img{n}.json"),
            "Outlines, boxes and run lengths in .json (LabelMe, COCO) files",
        ),
        (
            ("images/{n}.jpg", "labels/{n}.txt"),
            "Outlines, boxes and run lengths in .txt (YOLO) files are not",
        ),
    ],
)
def test_the_message_says_what_seems_to_be_there(
    tmp_path: Path, patterns: tuple[str, ...], hint: str
) -> None:
    assert hint in error(discover(tree(tmp_path, *patterns)))


def test_a_list_of_run_lengths_is_told_and_one_of_patients_is_not(tmp_path: Path) -> None:
    tree(tmp_path, "{n}.jpg")
    (tmp_path / "patients.csv").write_text("id,age\n")
    assert "Outlines" not in error(discover(tmp_path))
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels\n")
    assert "run lengths in .csv (run lengths) files are not read" in error(discover(tmp_path))


def test_names_are_cut_at_words_and_numbers_only() -> None:
    found = cores(["volume-11_a", "volume-12_a"])
    assert (found.begin, found.end, found.of["volume-12_a"]) == ("volume-", "_a", "12")
    assert one_for_one({1: "volume-11", 2: "volume-12"}, {1: "labels-21", 2: "labels-22"}) is None


def test_common_parts_with_different_numbers_do_not_pair() -> None:
    assert one_for_one({1: "p1_a", 2: "p1_b"}, {1: "p2_a", 2: "p2_b"}) is None
    assert one_for_one({1: "p1_a", 2: "p1_b"}, {3: "m_b", 4: "m_a"}) == {1: 4, 2: 3}


def test_a_loose_reading_keeps_what_else_a_folder_says() -> None:
    assert place(["2d_Lung_masks"]).role is None
    assert place(["2d_Lung_masks"], loosely=True).role == "mask"
    assert place(["2d_Lung_masks"], loosely=True).rest == ("2d lung",)


NAMES = '{"labels": {"0": "background", "1": "left atrium"}, "modality": {"0": "MRI"}}'


def test_one_data_set_below_the_folder_is_taken_with_its_names(tmp_path: Path) -> None:
    tree(tmp_path, "Task02/imagesTr/la_{n}.nii.gz", "Task02/labelsTr/la_{n}.nii.gz")
    (tmp_path / "Task02" / "dataset.json").write_text(NAMES)
    found = discover(tmp_path)
    assert found.label_names == {1: "left atrium"}
    assert [case.name for case in found.cases] == ["la_21", "la_22", "la_23"]
    assert found.layout == (
        "nnU-Net's raw layout with 1 image file a case: imagesTr/ with labelsTr/, in Task02/"
    )


def test_several_data_sets_below_the_folder_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, *(f"Task0{k}/{part}/c_{{n}}.nii.gz" for k in (2, 4) for part in ("imagesTr", "labelsTr")))
    assert error(discover(tmp_path)) == (
        "Several data sets, each with its own imagesTr/: Task02/, Task04/. Give one of them."
    )


def test_a_number_of_four_digits_is_no_channel_where_the_mask_has_it(tmp_path: Path) -> None:
    tree(tmp_path, "imagesTr/amos_00{n}.nii.gz", "labelsTr/amos_00{n}.nii.gz")
    tree(tmp_path, "imagesVa/amos_00{n}.nii.gz", "labelsVa/amos_00{n}.nii.gz", numbers=range(50, 52))
    found = discover(tree(tmp_path, "imagesTs/amos_00{n}.nii.gz", numbers=range(90, 92)))
    assert [(case.name, case.split, len(case.image)) for case in found.cases] == [
        ("amos_0021", None, 1),
        ("amos_0022", None, 1),
        ("amos_0023", None, 1),
        ("amos_0050", "validation", 1),
        ("amos_0051", "validation", 1),
    ]
    assert codes(found) == ["unused-folder"]
    assert "imagesVa/ with labelsVa/ as the validation part" in found.layout


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["images/{n}.png"], ["masks/manual{n}.png"]),
        (["images/{n}.png", "images/msk_{n}.png"], ["masks/msk_{n}_mask.png"]),
        (["msk_{n}.png"], ["msk_{n}_mask.png"]),
        (
            ["images/vol{n}_img.png", "images/ctl{n}_img.png"],
            ["masks/vol{n}_mask.png", "masks/ctl{n}_mask.png"],
        ),
    ],
)
def test_words_that_may_be_names_of_cases_pair_nothing_wrongly(
    tmp_path: Path, images: list[str], masks: list[str]
) -> None:
    for path in (each.format(n=n) for each in (*images, *masks) for n in range(1, 21)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = discover(tmp_path)
    assert len(found.cases) == 20 * len(masks)
    for case in found.cases:
        image, mask = (path.name for path in (case.image[0], case.mask) if path is not None)
        assert "".join(filter(str.isdigit, image)) == "".join(filter(str.isdigit, mask))
        assert ("msk" in image) == ("msk" in mask)
