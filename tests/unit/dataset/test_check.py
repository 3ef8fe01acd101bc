"""The check: every fault is found, all at once, and said so that a user can act on it."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Picture

from delineate import formats
from delineate.dataset import inspection, mask_shelf
from delineate.dataset.cases import load_image
from delineate.dataset.check import CheckReport, check
from delineate.dataset.split import split
from delineate.errors import UsageError
from delineate.formats import Reading, StoredMask
from delineate.image import Image

NEAR_COPIES = {  # looked at by eye: each pair is the same scene or cell
    "wbc": ["157 158", "166 171"],
    "kvasir": ["train_300 train_667", "train_459 train_620", "train_460 train_532", "train_510 train_593"],
}
Array = npt.NDArray[np.generic]


def image(seed: int, size: int = 48, channels: int = 1) -> npt.NDArray[np.uint8]:
    """Blocks of random brightness, unlike those of any other seed."""
    shape = (8, 8) if channels == 1 else (8, 8, channels)
    blocks = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return blocks.repeat(size // 8, axis=0).repeat(size // 8, axis=1)


def mask(seed: int = 0, size: int = 48, value: int = 255) -> npt.NDArray[np.uint8]:
    drawn = np.zeros((size, size), np.uint8)
    drawn[8 : 20 + seed % 8, 8:24] = value
    return drawn


def folder(root: Path, count: int = 6, channels: int = 1) -> Path:
    for number in range(count):
        put(root, str(number), image(number, channels=channels), mask(number))
    return root


def put(root: Path, name: str, pixels: Array | None = None, drawn: Array | None = None) -> None:
    for role, values in (("images", pixels), ("masks", drawn)):
        (root / role).mkdir(parents=True, exist_ok=True)
        if values is not None:
            Picture.fromarray(values).save(root / role / f"{name}.png")


def found(report: CheckReport, level: str = "error") -> list[str]:
    return [problem.code for problem in report.problems if problem.level == level]


def said(report: CheckReport, code: str) -> str:
    (message,) = [problem.message for problem in report.problems if problem.code == code]
    return message


def test_a_sound_set_has_no_problem(tmp_path: Path) -> None:
    report = check(folder(tmp_path))
    assert (report.ok, report.problems, report.colour, report.channels) == (True, (), "grey", 1)
    assert [case.name for case in report.cases] == list("012345")
    assert report.sizes is not None
    assert vars(report.sizes) == {
        "smallest": (48, 48),
        "median": (48, 48),
        "largest": (48, 48),
        "distinct": 1,
        "spacing_mm": None,
    }
    assert (report.axes, report.orientation) == (2, None)
    assert report.case_groups() == {name: name for name in "012345"}
    assert set(report.labels_by_case.values()) == {("foreground",)}
    assert [(row.value, row.label, row.cases) for row in report.label_rows] == [
        ("0", None, 6),
        ("255", "foreground", 6),
    ]
    pixels = np.stack([image(n) for n in range(6)])
    (grey,) = report.intensities
    assert (grey.name, grey.minimum, grey.maximum) == ("grey", pixels.min(), pixels.max())
    assert grey.mean == pytest.approx(pixels.mean(), rel=1e-12)
    assert grey.standard_deviation == pytest.approx(pixels.std(), rel=1e-9)


def test_all_broken_files_and_sizes_are_told_at_once(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "images" / "0.png").write_text("no picture at all")
    whole = (tmp_path / "masks" / "1.png").read_bytes()
    (tmp_path / "masks" / "1.png").write_bytes(whole[: len(whole) // 2])
    put(tmp_path, "2", None, mask(size=32))
    (tmp_path / "images" / "3.png").write_bytes(b"")
    report = check(tmp_path)
    assert found(report) == ["unreadable-file", "unreadable-file", "unreadable-file", "size-mismatch"]
    assert [problem.paths[0].relative_to(tmp_path).as_posix() for problem in report.problems[:3]] == [
        "images/0.png", "masks/1.png", "images/3.png"
    ]  # fmt: skip
    assert report.problems[0].message.startswith("images/0.png: ")
    assert said(report, "size-mismatch") == (
        "1 mask not on the grid of the image: masks/2.png of images/2.png: it is 32 × 32 px, but the image "
        "is 48 × 48 px. Masks are never resized by guess: export them again on the image's grid, or take "
        "these cases out."
    )
    assert [case.name for case in report.cases] == ["4", "5"]


def test_empty_masks_warn_and_all_empty_is_an_error(tmp_path: Path) -> None:
    folder(tmp_path)
    put(tmp_path, "1", None, mask() * 0)
    report = check(tmp_path)
    assert found(report, "warning") == ["empty-mask"]
    assert said(report, "empty-mask").startswith("Empty masks, 1 of 6: 1.")
    assert report.ok
    for number in range(6):
        put(tmp_path, str(number), None, mask() * 0)
    report = check(tmp_path)
    assert not report.ok
    assert "empty" in report.problems[0].message


def test_constant_images_and_outliers_warn(tmp_path: Path) -> None:
    folder(tmp_path, 14)
    put(tmp_path, "3", np.full((48, 48), 9, np.uint8))
    put(tmp_path, "4", image(4) // 20)
    report = check(tmp_path)
    assert found(report, "warning") == ["constant-image", "intensity-outlier"]
    assert "throughout, showing nothing: 3." in said(report, "constant-image")
    assert "in brightness or contrast: 4." in said(report, "intensity-outlier")


def test_two_kinds_of_brightness_are_a_note_and_no_outliers(tmp_path: Path) -> None:
    folder(tmp_path, 14)
    for number in (1, 2, 3):
        put(tmp_path, str(number), image(number) // 20)
    report = check(tmp_path)
    assert (found(report, "warning"), found(report, "note")) == ([], ["mixed-brightness"])


def test_duplicates_are_grouped_and_their_masks_compared(tmp_path: Path) -> None:
    folder(tmp_path)
    put(tmp_path, "3", image(0), mask(0))
    put(tmp_path, "4", image(1), mask(4))
    noisy = image(2).astype(int) + np.random.default_rng(0).integers(-3, 4, (48, 48))
    put(tmp_path, "5", noisy.clip(0, 255).astype(np.uint8))
    report = check(tmp_path)
    assert report.duplicate_groups == (("0", "3"), ("1", "4"))
    assert report.near_duplicate_groups == (("2", "5"),)
    assert found(report, "warning") == ["duplicate", "near-duplicate", "same-image-different-masks"]
    assert "different masks: 1 = 4." in said(report, "same-image-different-masks")
    assert report.case_groups() == {"0": "0", "1": "1", "2": "2", "3": "0", "4": "1", "5": "2"}
    assert said(report, "duplicate").endswith(
        "0 = 3, 1 = 4. Each group is kept in one part of the split; better keep one image of each."
    )
    assert said(report, "near-duplicate").endswith(
        "2 = 5. Each group is kept in one part of a split that is drawn."
    )


def test_near_duplicates_that_are_most_of_the_set_are_not_kept_together(tmp_path: Path) -> None:
    folder(tmp_path, 2)
    for number in range(2, 7):
        put(tmp_path, str(number), image(0) // 2 + np.uint8(number), mask(number))
    report = check(tmp_path)
    assert report.near_duplicate_groups == (("0", "2", "3", "4", "5", "6"),)
    assert "More than half of the set is one such group" in said(report, "near-duplicate")
    assert (report.ok, len(set(report.case_groups().values()))) == (True, 7)


def test_parts_that_copies_or_groups_straddle(tmp_path: Path) -> None:
    folder(tmp_path)
    put(tmp_path, "1", image(0), mask(0))
    put(tmp_path, "3", image(2) // 2 + 5)
    rows = ["0,p0,train", "1,p1,test", "2,p2,train", "3,p3,test", "4,p4,train", "5,p4,test"]
    lines = [f"images/{r.split(',')[0]}.png,masks/{r.split(',')[0]}.png,{r.split(',', 1)[1]}" for r in rows]
    (tmp_path / "cases.csv").write_text("\n".join(["image,mask,group,split", *lines]))
    report = check(tmp_path)
    assert found(report) == ["duplicate-across-split", "group-across-split"]
    assert "0 (train) = 1 (test)" in said(report, "duplicate-across-split")
    assert "inflates the score: 4 (train), 5 (test). Move" in said(report, "group-across-split")
    assert "2 (train) = 3 (test)" in said(report, "near-duplicate-across-split")
    assert "near-duplicate-across-split" in found(report, "warning")
    assert said(report, "duplicate").endswith("0 = 1. Keep one image of each.")
    assert said(report, "near-duplicate").endswith("2 = 3.")


@pytest.mark.parametrize(
    ("kinds", "colour", "channels", "codes"),
    [
        (["L", "L"], "grey", 1, []),
        (["grey RGB", "grey RGB"], "grey", 1, [("note", "grey-as-rgb")]),
        (["grey RGB", "L"], "grey", 1, [("note", "grey-as-rgb")]),
        (["RGB", "RGB"], "rgb", 3, []),
        (["RGB", "grey RGB"], "rgb", 3, [("note", "mixed-colour")]),
        (["RGB", "L"], "rgb", 3, [("warning", "mixed-colour")]),
    ],
)
def test_colour_of_the_set(
    tmp_path: Path, kinds: Sequence[str], colour: str, channels: int, codes: list[tuple[str, str]]
) -> None:
    for number, kind in enumerate((*kinds, kinds[0])):
        pixels = image(number, channels=3 if kind == "RGB" else 1)
        put(tmp_path, str(number), np.stack([pixels] * 3, -1) if kind == "grey RGB" else pixels, mask(number))
    report = check(tmp_path)
    assert (report.colour, report.channels) == (colour, channels)
    assert [(p.level, p.code) for p in report.problems if p.code != "reader"] == codes
    assert [i.name for i in report.intensities] == {1: ["grey"], 3: ["red", "green", "blue"]}[channels]


def test_channel_files_are_channels_and_never_rgb(tmp_path: Path) -> None:
    for role in ("imagesTr", "labelsTr"):
        (tmp_path / role).mkdir()
    for case in range(3):
        for channel in range(3):
            Picture.fromarray(image(9 * case + channel)).save(
                tmp_path / "imagesTr" / f"{case}_{channel:04d}.png"
            )
        Picture.fromarray(mask(case)).save(tmp_path / "labelsTr" / f"{case}.png")
    description = {
        "channel_names": {"0": "T1", "1": "T2", "2": "FLAIR"},
        "labels": {"background": 0, "tumour": 255},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    report = check(tmp_path)
    assert (report.colour, report.channels, report.ok) == ("channels", 3, True)
    assert [channel.name for channel in report.intensities] == ["T1", "T2", "FLAIR"]
    assert report.labels_by_case["0"] == ("tumour",)


def test_different_numbers_of_channels_are_an_error(tmp_path: Path) -> None:
    for role in ("imagesTr", "labelsTr"):
        (tmp_path / role).mkdir()
    for case in range(3):
        Picture.fromarray(image(case)).save(tmp_path / "imagesTr" / f"{case}_0000.png")
        pixels = image(9 + case, channels=3 if case == 1 else 1)
        Picture.fromarray(pixels).save(tmp_path / "imagesTr" / f"{case}_0001.png")
        Picture.fromarray(mask(case)).save(tmp_path / "labelsTr" / f"{case}.png")
    report = check(tmp_path)
    assert (found(report), report.channels) == (["mixed-channels"], 2)
    assert "2 in most, but 4 in imagesTr/1_0000.png" in said(report, "mixed-channels")


def test_mixed_ranges_warn(tmp_path: Path) -> None:
    folder(tmp_path)
    put(tmp_path, "5", image(5).astype(np.uint16) * 200)
    assert "5 8-bit, 1 16-bit" in said(check(tmp_path), "mixed-pixel-types")


def test_reader_notes_are_one_line_with_a_count(tmp_path: Path) -> None:
    folder(tmp_path, channels=3)
    for number in range(4):
        pixels = np.dstack([image(number, channels=3), np.full((48, 48), 255, np.uint8)])
        put(tmp_path, str(number), pixels)
    assert said(check(tmp_path), "reader") == "In 4 of 6 images: a constant alpha channel was dropped."


def test_rare_labels_warn(tmp_path: Path) -> None:
    folder(tmp_path)
    for number in range(6):
        put(
            tmp_path,
            str(number),
            None,
            mask(number, value=1) + mask(number, value=1)[::-1] * (2 if number < 2 else 0),
        )
    report = check(tmp_path, labels="1=cell,2=nucleus")
    assert said(report, "rare-label").startswith("1 label in fewer than 3 cases: nucleus (2).")
    assert report.labels_by_case["0"] == ("cell", "nucleus")
    assert report.labels_by_case["5"] == ("cell",)


def test_one_pair_is_too_few(tmp_path: Path) -> None:
    report = check(folder(tmp_path, 1))
    assert found(report) == ["too-few-cases"]
    assert "At least 2 are needed" in said(report, "too-few-cases")


def test_one_group_or_nothing_to_train_on(tmp_path: Path) -> None:
    report = check(folder(tmp_path / "a", 4), group_regex="^")
    assert found(report) == ["no-group"]
    put(tmp_path / "b", "p_1", image(1), mask())
    put(tmp_path / "b", "p_2", image(2), mask())
    assert found(check(tmp_path / "b", group_regex="^(.)_")) == ["one-group"]
    for role in ("images", "masks"):
        (tmp_path / "c" / "test").mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / role).rename(tmp_path / "c" / "test" / role)
    assert found(check(tmp_path / "c")) == ["no-training-cases"]


@pytest.fixture
def counted_anew(tmp_path: Path) -> Path:
    """Eight patients to train, with four images each, and four to test, with two, from 001 again."""
    for part, patients, images in (("train", 8, 4), ("test", 4, 2)):
        for patient in range(1, patients + 1):
            for number in range(1, images + 1):
                seed = 100 * (part == "test") + 10 * patient + number
                put(tmp_path / part, f"{patient:03}_{number}", image(seed), mask(seed))
    return tmp_path


def test_a_pattern_finds_the_patient_whatever_tells_cases_apart(counted_anew: Path) -> None:
    report = check(counted_anew, group_regex="^([^_]+)")
    assert report.groups["train__001_1"] == report.groups["001_3"] == "001"
    assert report.groups["test__001_1"] == report.groups["test__001_2"] == "001 (test)"
    assert len(set(report.case_groups().values())) == 12
    parts = split(report.cases, report.case_groups())
    learned, watched = ({report.groups[name] for name in names} for names in (parts.train, parts.validation))
    assert (len(parts.train), len(parts.validation), learned & watched) == (24, 8, set())
    assert (found(report), found(report, "warning")) == ([], ["groups-named-alike"])
    assert said(report, "groups-named-alike") == (
        "Parts of the given split use the same file names, so that names do not tell whether the same people "
        "are meant: 4 groups by --group-regex in more than one part (001, 002, 003, 004), taken for other "
        "ones in each. If they are the same patients, the score is better than on new ones: state the groups "
        "in a CSV table with the columns image,mask,group,split."
    )


def test_one_patient_in_two_parts_that_share_no_name_is_an_error(counted_anew: Path) -> None:
    for role in ("images", "masks"):
        for path in (counted_anew / "test" / role).iterdir():
            path.rename(path.with_stem(f"{path.stem}b"))
    report = check(counted_anew, group_regex="^([^_]+)")
    assert found(report) == ["group-across-split"]
    assert report.groups["001_1b"] == report.groups["001_1"] == "001"


def test_only_groups_of_files_that_are_named_alike_are_told_apart(counted_anew: Path) -> None:
    for role in ("images", "masks"):
        for patient in (1, 2, 3):
            for path in (counted_anew / "test" / role).glob(f"00{patient}_*"):
                path.rename(path.with_stem(f"{path.stem}b"))
    report = check(counted_anew, group_regex="^([^_]+)")
    assert (found(report), found(report, "warning")) == (["group-across-split"], ["groups-named-alike"])
    assert report.groups["001_1b"] == report.groups["001_1"] == "001"
    assert report.groups["test__004_1"] == "004 (test)"


def test_the_case_of_an_unmarked_part_does_not_follow_a_name_used_twice(tmp_path: Path) -> None:
    for end, patients in (("Tr", 3), ("Ts", 1)):
        for patient in range(patients):
            for number in range(2):
                seed = 100 * (end == "Ts") + 10 * patient + number
                for folder_name, values, channel in (
                    (f"images{end}", image(seed), "_0000"),
                    (f"labels{end}", mask(seed), ""),
                ):
                    path = tmp_path / folder_name / f"{patient}_{number}{channel}.png"
                    path.parent.mkdir(exist_ok=True)
                    Picture.fromarray(values).save(path)
    report = check(tmp_path, group_regex="^([^_]+)")
    parts = split(report.cases, report.case_groups())
    assert parts.test == ("test__0_0", "test__0_1")
    assert found(report, "warning")[0] == "groups-named-alike"


@pytest.mark.parametrize("constant", [False, True])
def test_copies_of_one_picture_are_not_called_a_patient(tmp_path: Path, constant: bool) -> None:
    for number in range(5):
        put(tmp_path, str(number), np.full((48, 48), 9, np.uint8) if constant else image(0), mask(number))
    report = check(tmp_path)
    assert found(report) == ["one-group"]
    assert said(report, "one-group").startswith("All 5 images show the same picture, so none can be held out")
    assert "there twice join the groups" in said(check(tmp_path, group_regex="[0-4]"), "one-group")


def test_one_cause_is_one_line_whatever_its_numbers(tmp_path: Path) -> None:
    folder(tmp_path, 6, channels=3)
    for number in range(4):
        alpha = np.full((48, 48), 255, np.uint8)
        alpha[0, 0] = number
        put(tmp_path, str(number), np.dstack([image(number, channels=3), alpha]))
    (problem,) = [problem for problem in check(tmp_path).problems if problem.level == "error"]
    assert problem.message.startswith(
        "images/0.png, images/1.png, images/2.png, images/3.png: the same fault, of the first: its alpha "
        "channel (transparency) varies from 0 to 255, so"
    )
    assert [path.name for path in problem.paths] == ["0.png", "1.png", "2.png", "3.png"]


def test_labels_of_no_case_are_not_called_rare(tmp_path: Path) -> None:
    folder(tmp_path, 3)
    for number in range(3):
        (tmp_path / "images" / f"{number}.png").write_text("no picture")
    assert [problem.code for problem in check(tmp_path).problems] == ["unreadable-file"]


def test_group_regex(tmp_path: Path) -> None:
    for seed, name in enumerate(("p1_a", "p1_b", "p2_a", "q")):
        put(tmp_path, name, image(seed), mask())
    report = check(tmp_path, group_regex=r"^(p\d)_")
    assert found(report) == ["no-group"]
    assert "finds no group in 1 of 4 names: q." in said(report, "no-group")
    assert check(tmp_path, group_regex=r"^[pq]\d?").case_groups() == {
        "p1_a": "p1", "p1_b": "p1", "p2_a": "p2", "q": "q"
    }  # fmt: skip
    with pytest.raises(UsageError, match="is no regular expression"):
        check(tmp_path, group_regex="(")


def test_groups_of_the_table_and_of_the_pattern_are_joined(tmp_path: Path) -> None:
    names = ("a_1", "a_2", "b_1", "b_2", "c_1", "d_1")
    for seed, name in enumerate(names):
        put(tmp_path, name, image(seed), mask())
    groups = ("p1", "p2", "p2", "p3", "p5", "p4")
    lines = [f"images/{name}.png,masks/{name}.png,{group}" for name, group in zip(names, groups, strict=True)]
    (tmp_path / "cases.csv").write_text("\n".join(["image,mask,group", *lines]))
    report = check(tmp_path, group_regex="^(.)_")
    assert dict(report.groups) == {name: {"b": "a"}.get(name[0], name[0]) for name in names}
    assert said(report, "groups-joined") == (
        "Cases that share a group in the data or a group by --group-regex are kept together: "
        "5 groups there and 4 by name make 3."
    )
    assert report.ok
    some = check(tmp_path, group_regex="^([ab])_")
    assert dict(some.groups) == {
        "a_1": "a", "a_2": "a", "b_1": "a", "b_2": "a", "c_1": "c_1", "d_1": "d_1"
    }  # fmt: skip
    assert found(some) == ["no-group"]


def test_undecided_mask_values_are_an_error_with_the_option(tmp_path: Path) -> None:
    folder(tmp_path, 4)
    for number in range(4):
        put(
            tmp_path,
            str(number),
            None,
            np.random.default_rng(number).integers(0, 250, (48, 48), dtype=np.uint8),
        )
    report = check(tmp_path.absolute())
    assert found(report) == ["mask-values"]
    assert "--labels" in report.problems[0].message
    assert report.encoding is None
    with pytest.raises(UsageError):
        check(tmp_path, labels="nonsense")


def test_report_as_json_tells_no_path(tmp_path: Path) -> None:
    folder(tmp_path / "secret")
    (tmp_path / "secret" / "images" / "0.png").write_text("x")
    put(tmp_path / "secret", "1", None, mask(size=32))
    put(tmp_path / "secret", "alone", image(77))
    text = json.dumps(check(tmp_path / "secret").to_json())
    assert str(tmp_path) not in text
    assert "images/0.png" in text
    (tmp_path / "secret" / "nothing").mkdir()
    assert str(tmp_path) not in json.dumps(check(tmp_path / "secret" / "nothing").to_json())


def test_report_as_json_names_files_elsewhere_by_their_last_part(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "cases.csv").write_text(f"image,mask\n{tmp_path}/secret/gone.png,b.png\n")
    report = check(tmp_path / "t")
    assert f"not found: {tmp_path}/secret/gone.png (line 2), b.png (line 2)." in report.problems[0].message
    problems = json.dumps(report.to_json()["problems"])
    assert "not found: gone.png (line 2), b.png (line 2)." in problems
    assert "secret" not in problems


def test_progress_counts_up_to_the_total(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    check(folder(tmp_path), progress=lambda stage, done, total: calls.append((stage, done, total)))
    assert [call[1:] for call in calls if call[0] == "reading images and masks"] == [
        (n, 6) for n in range(1, 7)
    ]
    assert all(done <= total for _, done, total in calls)


def test_each_mask_is_read_once_and_few_images_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, 12)
    reads: list[Path] = []
    held: list[int] = []
    lock = threading.Lock()
    inside = 0

    def counted(path: Path, reading: Reading) -> StoredMask:
        reads.append(path)
        return formats.read_mask(path, reading)

    def watched(files: tuple[Path, ...], reading: Reading, *, stack: bool) -> Image:
        nonlocal inside
        with lock:
            inside += 1
            held.append(inside)
        try:
            return load_image(files, reading, stack=stack)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(mask_shelf, "formats", SimpleNamespace(read_mask=counted))
    monkeypatch.setattr(inspection, "load_image", watched)
    assert check(tmp_path).ok
    assert sorted(reads) == sorted(set(reads))
    assert (len(reads), len(held)) == (12, 12)
    assert max(held) <= inspection.THREADS


def test_what_libraries_say_of_a_file_is_not_heard_from_any_thread(
    recwarn: pytest.WarningsRecorder,
) -> None:
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def read(number: int) -> int:
        if number:
            assert first_in.wait(5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (second_in if number else first_in).set()
            assert (first_out if number else second_in).wait(5)
            if number:
                warnings.warn("Invalid value: DOE^JANE", stacklevel=1)
        first_out.set()
        return number

    before = list(warnings.filters)
    assert list(inspection.in_threads(read, [0, 1], lambda _done, _total: None)) == [0, 1]
    assert list(recwarn) == []
    assert list(warnings.filters) == before


def test_a_full_shelf_reads_again_and_says_the_same(tmp_path: Path) -> None:
    folder(tmp_path, 2)
    path = tmp_path / "masks" / "0.png"
    kept, full = mask_shelf.MaskShelf(), mask_shelf.MaskShelf(limit_bytes=0)
    for shelf in (kept, full):
        assert (shelf.read(path).values == mask(0)).all()
    put(tmp_path, "0", None, mask(3))
    assert (kept.read(path).values == mask(0)).all()
    assert (full.read(path).values == mask(3)).all()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "cases", "colour", "codes", "labels", "groups"),
    [
        ("wbc", 300, "rgb", ["duplicate", "near-duplicate", "same-image-different-masks"], 2, 297),
        ("drive", 20, "rgb", ["unused-folder"], 1, 20),
        ("jsrt", 124, "grey", [], 3, 124),
        ("isbi2012_em", 24, "grey", ["sequence"], 1, 24),
        ("dsb2018", 160, "rgb", ["mask-encoding", "mixed-colour", "mixed-brightness", "reader"], 1, 160),
        ("kvasir", 900, "rgb", ["near-duplicate", "parts-by-name", "mask-encoding"], 1, 896),
    ],
)
def test_real_sets(
    data_root: Path, *, name: str, cases: int, colour: str, codes: list[str], labels: int, groups: int
) -> None:
    report = check(data_root / name)
    assert report.ok
    assert (len(report.cases), report.colour) == (cases, colour)
    assert [problem.code for problem in report.problems] == codes
    assert report.encoding is not None
    assert len(report.encoding.labels) == labels
    assert len(set(report.case_groups().values())) == groups
    assert report.duplicate_groups == ((("112", "139"),) if name == "wbc" else ())
    assert [" ".join(group) for group in report.near_duplicate_groups] == NEAR_COPIES.get(name, [])
    assert str(data_root) not in json.dumps(report.to_json())
    assert report.pseudonyms.table == {}  # none of the names looks as if it told of a patient
