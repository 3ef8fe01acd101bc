"""Masks of a set to be scored: labels that are missing, empty masks, the training data's encoding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Picture

from delineate.dataset.check import check
from delineate.dataset.check_report import CheckReport
from delineate.dataset.mask_labels import fitted
from delineate.dataset.masks import MaskEncoding, ValueRow, understand
from delineate.errors import MaskError
from delineate.formats import StoredMask
from delineate.image import LabelSet

ORGANS = LabelSet.of("liver", "spleen", "kidney")


def drawn(*values: int) -> npt.NDArray[np.uint8]:
    """48 × 48: rows of 0, and 8 rows of each value."""
    mask = np.zeros((48, 48), np.uint8)
    for at, value in enumerate(values):
        mask[8 * at + 4 : 8 * at + 12] = value
    return mask


def data(root: Path, *masks: npt.NDArray[np.uint8]) -> Path:
    for number, mask in enumerate(masks):
        blocks = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        image = blocks.repeat(6, axis=0).repeat(6, axis=1)
        for role, pixels in (("images", image), ("masks", mask)):
            (root / role).mkdir(parents=True, exist_ok=True)
            Picture.fromarray(pixels).save(root / role / f"{number}.png")
    return root


def told(report: CheckReport) -> list[tuple[str, str]]:
    return [(problem.level, problem.code) for problem in report.problems]


def first_column(report: CheckReport, case: int = 0) -> list[int]:
    assert report.encoding is not None
    path = report.discovery.root / "masks" / f"{case}.png"
    values = np.asarray(Picture.open(path))
    return list(dict.fromkeys(report.encoding.decode(StoredMask(values), path)[:, 0].tolist()))


def test_a_value_that_no_mask_holds_is_a_note(tmp_path: Path) -> None:
    report = check(data(tmp_path, *[drawn(1)] * 4), labels="1=liver,3=spleen,5-9=kidney")
    assert report.ok
    assert ("note", "mask-encoding") in told(report)
    (note,) = [problem.message for problem in report.problems if problem.code == "mask-encoding"]
    assert note == "Masks: no mask holds 3 (spleen), 5-9 (kidney)."
    assert report.encoding is not None
    assert report.encoding.labels == ORGANS


def test_labels_of_which_no_mask_holds_any_are_refused(tmp_path: Path) -> None:
    report = check(data(tmp_path, *[drawn(7)] * 3), labels="1=liver,3=spleen", expected=ORGANS)
    assert told(report)[0] == ("error", "mask-values")
    assert '--labels names 1 as "liver", 3 as "spleen", but no mask holds it' in report.problems[0].message
    assert '--labels "7=label 7"' in report.problems[0].message


def test_a_colour_that_no_mask_holds_is_a_note(tmp_path: Path) -> None:
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[:4] = (255, 0, 0)
    colours[4, :, 0] = np.arange(8) * 10  # a blurred edge
    stored = StoredMask(colours, lossy=True)
    encoding = understand([tmp_path], labels="#ff0000=artery,#0000ff=vein", read=lambda _: stored)
    assert encoding.notes[0] == "no mask holds #0000ff (vein)"


@pytest.mark.parametrize("labels", [None, "1=liver,2=spleen,3=kidney", "1=something"])
def test_healthy_controls_are_all_background(tmp_path: Path, labels: str | None) -> None:
    folder = data(tmp_path, *[drawn()] * 4)
    report = check(folder, labels=labels, expected=ORGANS)
    assert told(report) == [("warning", "all-masks-empty")]
    assert report.encoding is not None
    assert report.encoding.labels == ORGANS
    assert report.encoding.ranges == ((0, 0, 0),)
    assert report.label_rows == (ValueRow("0", None, 1.0, 4),)
    assert set(report.labels_by_case.values()) == {()}
    assert MaskEncoding.from_json(report.encoding.to_json()) == report.encoding
    to_train = check(folder, labels=labels)
    assert told(to_train) == [("error", "mask-values")]
    assert "All 4 masks are empty" in to_train.problems[0].message
    assert "--labels" not in to_train.problems[0].message


def test_nnunets_ignored_pixels_are_not_learned_as_a_label(tmp_path: Path) -> None:
    data(tmp_path, *[drawn(1, 2)] * 4)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "tumour": 1, "ignore": 2}})
    )
    report = check(tmp_path)
    assert [problem for problem in told(report) if problem[0] == "error"] == [("error", "ignore-label")]
    (message,) = (each.message for each in report.problems if each.code == "ignore-label")
    assert '--labels "1=tumour"' in message
    report = check(tmp_path, labels="1=tumour")
    assert report.ok
    assert report.encoding is not None
    assert report.encoding.labels.names == ("tumour",)


def test_labels_named_by_the_data_take_the_models_order(tmp_path: Path) -> None:
    data(tmp_path, *[drawn(1, 2)] * 4)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "kidney": 1, "liver": 2}}))
    report = check(tmp_path, expected=ORGANS)
    assert told(report) == [("warning", "rare-label")]
    assert (
        report.problems[0].message == "1 label in fewer than 3 cases: spleen (0). Too few to score it well."
    )
    assert report.encoding is not None
    assert report.encoding.labels == ORGANS
    assert first_column(report) == [0, 3, 1]
    assert set(report.labels_by_case.values()) == {("liver", "kidney")}
    assert [(row.value, row.label) for row in report.label_rows] == [
        ("0", None),
        ("1", "kidney"),
        ("2", "liver"),
    ]


def test_labels_named_by_the_user_take_the_models_order(tmp_path: Path) -> None:
    data(tmp_path, *[drawn(1, 2, 9)] * 4)
    report = check(tmp_path, labels="9=spleen,1=kidney", expected=ORGANS)
    assert report.ok
    assert report.encoding is not None
    assert report.encoding.labels == ORGANS
    assert first_column(report) == [0, 3, 2]


def test_fewer_labels_without_names_are_refused_with_the_option(tmp_path: Path) -> None:
    report = check(data(tmp_path, *[drawn(2)] * 4), expected=ORGANS)
    assert told(report) == [("error", "mask-values")]
    message = report.problems[0].message
    assert "The masks have the label foreground, but the model's are liver, spleen, kidney." in message
    assert '--labels "1=liver,2=spleen,3=kidney"' in message
    assert first_column(check(tmp_path, labels="1=liver,2=spleen,3=kidney", expected=ORGANS)) == [0, 2]


@pytest.mark.parametrize(
    ("names", "expected", "labels", "order"),
    [
        (("a", "b"), ("b", "a"), ("b", "a"), [2, 1]),
        (("b",), ("a", "b"), ("a", "b"), [2]),
        (("c", "d"), ("a", "b"), ("c", "d"), [1, 2]),
        (("c", "b"), ("a", "b"), ("c", "b"), [1, 2]),
        (("b", "c"), ("a", "b"), None, None),
        (("c",), ("a", "b"), None, None),
        (("a", "b", "c"), ("a", "b"), None, None),
    ],
)
def test_fitted(
    names: tuple[str, ...], expected: tuple[str, ...], labels: tuple[str, ...] | None, order: list[int] | None
) -> None:
    ranges = ((0, 0, 0), *((10 * at, 10 * at, at) for at in range(1, len(names) + 1)))
    found = fitted(MaskEncoding("values", LabelSet.of(*names), (), (), ranges), LabelSet.of(*expected))
    assert (found and found.labels.names) == labels
    assert (found and [label for _, _, label in found.ranges[1:]]) == order


def test_the_training_datas_encoding_reads_other_masks(tmp_path: Path) -> None:
    training = check(data(tmp_path / "a", *[drawn(5, 7, 9)] * 4), labels="5=liver,7=spleen,9=kidney").encoding
    assert training is not None
    data(tmp_path / "b", drawn(7), drawn(), drawn(9), drawn())
    report = check(tmp_path / "b", encoding=training, expected=ORGANS)
    assert told(report) == [("warning", "empty-mask"), ("warning", "rare-label")]
    assert report.encoding is not None
    assert report.encoding.ranges == training.ranges
    assert [(row.value, row.label, row.share, row.cases) for row in report.label_rows] == [
        ("0", None, pytest.approx(1 - 2 * 8 / 48 / 4), 4),
        ("5", "liver", 0.0, 0),
        ("7", "spleen", pytest.approx(8 / 48 / 4), 1),
        ("9", "kidney", pytest.approx(8 / 48 / 4), 1),
    ]
    assert first_column(report) == [0, 2]


def test_values_unknown_to_the_training_data_are_errors_by_file(tmp_path: Path) -> None:
    training = check(data(tmp_path / "a", *[drawn(1, 2)] * 4), labels="1=liver,2=spleen").encoding
    report = check(data(tmp_path / "b", drawn(1), drawn(3), drawn(1), drawn(2)), encoding=training)
    (problem,) = [problem for problem in report.problems if problem.level == "error"]
    assert problem.message == (
        "masks/1.png: 384 pixels have values of no known meaning: 3. Correct the mask, or name the values "
        "with --labels."
    )
    assert problem.paths == (tmp_path / "b" / "masks" / "1.png",)
    overruled = check(tmp_path / "b", encoding=training, labels="1=liver,2=spleen,3=spleen")
    assert overruled.ok
    foreign = check(tmp_path / "b", encoding=training, expected=ORGANS)
    assert foreign.encoding is not None
    assert foreign.encoding.labels == ORGANS
    other = check(tmp_path / "b", encoding=training, expected=LabelSet.of("bone"))
    assert told(other) == [("error", "mask-values")]
    assert other.encoding is None


def test_understand_refuses_more_labels_than_expected() -> None:
    with pytest.raises(MaskError, match="have the labels label 1, label 2, but the model's are polyp"):
        understand([Path("a")], read=lambda _: StoredMask(drawn(1, 2)), expected=LabelSet.of("polyp"))
