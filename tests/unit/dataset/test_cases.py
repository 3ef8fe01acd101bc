"""One case in memory, and the inputs of a prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image as Picture

from delineate.dataset.case_files import CaseFiles
from delineate.dataset.cases import load_case, load_image
from delineate.dataset.inputs import prediction_inputs
from delineate.dataset.masks import understand
from delineate.errors import DataError, ImageError


def png(path: Path, values: object, dtype: type = np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.array(values, dtype)).save(path)
    return path


def test_channel_files_are_stacked_in_order(tmp_path: Path) -> None:
    first, second = png(tmp_path / "a_0000.png", [[1, 2]]), png(tmp_path / "a_0001.png", [[3, 4]])
    mask = png(tmp_path / "m.png", [[0, 255]])
    files = CaseFiles("a", (first, second), mask, "p1")
    loaded = load_case(files, understand([mask]))
    assert loaded.image.pixels.tolist() == [[[1, 2]], [[3, 4]]]
    assert loaded.mask is not None
    assert loaded.mask.values.tolist() == [[0, 1]]
    assert (loaded.name, loaded.group) == ("a", "p1")
    assert load_case(files, None).mask is None


def test_channels_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    first, wide = png(tmp_path / "a_0000.png", [[1, 2]]), png(tmp_path / "a_0001.png", [[3, 4, 5]])
    deep = png(tmp_path / "a_0002.png", [[300, 4]], np.uint16)
    with pytest.raises(
        ImageError, match=r"a_0001.png: this channel is 3 × 1 px, but a_0000.png of the same case is 2 × 1"
    ):
        load_image((first, wide))
    with pytest.raises(ImageError, match=r"stored as uint16, but a_0000.png of the same case as uint8"):
        load_image((first, deep))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    image, mask = png(tmp_path / "a.png", [[1, 2]]), png(tmp_path / "m.png", [[0, 255, 0]])
    with pytest.raises(
        DataError,
        match=r"^Case a: the mask .*m.png does not fit: it is 3 × 1 px, but the image is 2 × 1 px\.$",
    ):
        load_case(CaseFiles("a", (image,), mask), understand([mask]))


def test_files_and_folders_get_unique_names(tmp_path: Path) -> None:
    for name in (
        "p/x10.png",
        "p/x2.png",
        "q/x2.png",
        "p/notes.txt",
        "p/.hidden.png",
        "odd.dat",
        "r/y.png",
        "r/y.tif",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "p" / "deeper").mkdir()
    given = [tmp_path / name for name in ("p", "q/x2.png", "odd.dat", "gone.png", "p/x2.png", "r")]
    found = prediction_inputs(given, 1)
    assert [
        (name, [path.relative_to(tmp_path).as_posix() for path in image]) for name, image, _ in found.images
    ] == [
        ("p__x2", ["p/x2.png"]),
        ("x10", ["p/x10.png"]),
        ("q__x2", ["q/x2.png"]),
        ("odd", ["odd.dat"]),
        ("r__y_png", ["r/y.png"]),
        ("r__y_tif", ["r/y.tif"]),
    ]
    assert [(p.level, p.code, [path.name for path in p.paths]) for p in found.problems] == [
        ("note", "hidden-files", [".hidden.png"]),
        ("warning", "other-files", ["notes.txt"]),
        ("error", "missing-file", ["gone.png"]),
    ]


def test_masks_beside_their_images_are_not_predicted(tmp_path: Path) -> None:
    for name in ("x.png", "x_mask.png", "image_7.png", "mask_7.png", "image_7_seg.tif", "alone_mask.png"):
        (tmp_path / name).touch()
    found = prediction_inputs([tmp_path], 1)
    assert [image.name for image in found.images] == ["alone_mask", "image_7", "x"]
    (problem,) = found.problems
    assert (problem.level, problem.code) == ("warning", "masks-left-out")
    assert [path.name for path in problem.paths] == ["image_7_seg.tif", "mask_7.png", "x_mask.png"]
    assert problem.message == (
        f"3 files in {tmp_path} left out, by their names masks of other files there: image_7_seg.tif, "
        "mask_7.png, x_mask.png. Give a file itself to have it predicted."
    )
    given = prediction_inputs([tmp_path / "x.png", tmp_path / "x_mask.png"], 1)
    assert ([image.name for image in given.images], given.problems) == (["x", "x_mask"], ())


def test_several_masks_beside_their_image_are_not_predicted(tmp_path: Path) -> None:
    for name in ("b (1).png", "b (1)_mask.png", "b (1)_mask_1.png", "x.png", "x_lung_mask.png", "x_lung.png"):
        (tmp_path / name).touch()
    assert [image.name for image in prediction_inputs([tmp_path], 1).images] == ["b (1)", "x", "x_lung"]


def test_a_folder_without_pictures_names_its_sub_folders(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (problem,) = prediction_inputs([tmp_path], 1).problems
    assert problem.code == "no-images"
    assert problem.message.endswith("It has the sub-folders images: give the one that is meant.")


def test_channel_files_are_one_image_for_a_model_of_several_channels(tmp_path: Path) -> None:
    for name in ("c_0000", "c_0001", "d_0000", "e"):
        png(tmp_path / f"{name}.png", [[1, 2]])
    png(tmp_path / "rgb_0000.png", [[[1, 2, 3]]])
    found = prediction_inputs([tmp_path], 2)
    assert {name: [path.name for path in image] for name, image, _ in found.images} == {
        "c": ["c_0000.png", "c_0001.png"], "e": ["e.png"], "rgb_0000": ["rgb_0000.png"]
    }  # fmt: skip
    assert [(p.level, p.code) for p in found.problems] == [("error", "missing-channel")]
    assert "has 1 channel file (d_0000.png), but the model takes 2" in found.problems[0].message
    assert len(prediction_inputs([tmp_path], 1).images) == 5


def test_channel_files_of_other_numbers_are_no_channels_from_0(tmp_path: Path) -> None:
    for name in ("c_0000", "c_0001", "d_0001", "d_0002", "e_0003", "e_0004"):
        png(tmp_path / f"{name}.png", [[1, 2]])
    found = prediction_inputs([tmp_path], 2)
    assert [image.name for image in found.images] == ["c"]
    assert [(p.level, p.code, p.message) for p in found.problems] == [
        (
            "error",
            "missing-channel",
            f"An image in {tmp_path} has the channel files {has} ({files}), but the model takes _0000, "
            f"_0001: {missing} missing. Add what is missing, or rename them.",
        )
        for has, files, missing in (
            ("_0001, _0002", "d_0001.png, d_0002.png", "_0000 is"),
            ("_0003, _0004", "e_0003.png, e_0004.png", "_0000, _0001 are"),
        )
    ]


def test_numbers_that_all_images_have_are_channels_in_their_order(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in ("c_0002", "c_0001"):
            png(tmp_path / folder / f"{name}.png", [[1, 2]])
    found = prediction_inputs([tmp_path / "one", tmp_path / "two"], 2)
    assert [[path.name for path in image.files] for image in found.images] == [
        ["c_0001.png", "c_0002.png"]
    ] * 2
    assert found.problems == ()


def test_numbers_of_images_are_no_channels(tmp_path: Path) -> None:
    """As in AMOS: one file an image, and its number is the image's."""
    for number in (1, 4, 5, 600):
        png(tmp_path / f"amos_{number:04d}.png", [[1, 2]])
    assert [image.name for image in prediction_inputs([tmp_path], 1).images] == [
        "amos_0001", "amos_0004", "amos_0005", "amos_0600"
    ]  # fmt: skip
    found = prediction_inputs([tmp_path], 2)
    assert found.images == ()
    (problem,) = found.problems
    assert (problem.level, problem.code, len(problem.paths)) == ("error", "missing-channel", 4)
    assert problem.message == (
        f"4 files in {tmp_path} differ in the number at their end alone (amos_0001.png, amos_0004.png, "
        "amos_0005.png and 1 more), and have one channel each. The model takes 2: of one image amos they are "
        "too many, and each as an image has too few. Call the channels of an image by its name with _0000 to "
        "_0001 behind it."
    )


def test_two_numbered_files_alone_are_told_to_be_taken_for_one_image(tmp_path: Path) -> None:
    for name in ("amos_0001", "amos_0004"):
        png(tmp_path / f"{name}.png", [[1, 2]])
    found = prediction_inputs([tmp_path], 2)
    assert [image.name for image in found.images] == ["amos"]
    assert [(p.level, p.code, p.message) for p in found.problems] == [
        (
            "warning",
            "taken-for-channels",
            "amos_0001.png, amos_0004.png were taken for the channels of one image, in this order. If they "
            "are images of their own, this model cannot segment them.",
        )
    ]


def test_two_files_of_one_channel_are_refused(tmp_path: Path) -> None:
    for name in ("c_0000.png", "c_0000.tif", "c_0001.png", "d_0000.png", "d_0001.png"):
        png(tmp_path / name, [[1, 2]])
    found = prediction_inputs([tmp_path], 2)
    assert [image.name for image in found.images] == ["d"]
    (problem,) = found.problems
    assert (problem.level, problem.code) == ("error", "doubled-channel")
    assert problem.message.endswith("one image: c_0000.png, c_0000.tif. Keep one of each.")


@pytest.mark.parametrize(
    ("suffix", "dtype"), [("png", np.uint8), ("png", np.uint16), ("tif", np.float32), ("tif", np.uint16)]
)
def test_channel_files_of_every_kind_of_pixel_are_one_image(tmp_path: Path, suffix: str, dtype: type) -> None:
    for channel in range(3):
        values: npt.NDArray[np.generic] = np.full((4, 4), channel, dtype)
        path = tmp_path / f"c_{channel:04d}.{suffix}"
        tifffile.imwrite(path, values) if suffix == "tif" else Picture.fromarray(values).save(path)
    found = prediction_inputs([tmp_path], 3)
    assert [(name, len(image)) for name, image, _ in found.images] == [("c", 3)]
    assert found.problems == ()
