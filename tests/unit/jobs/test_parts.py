from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from delineate.errors import DataError, UsageError
from delineate.image import LabelSet
from delineate.jobs.parts import TO_SCORE, checked_part
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import tables


class Warnings(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


def data_set(folder: Path, values: list[int], names: dict[str, int] | None = None, count: int = 3) -> Path:
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (32, 32), dtype=np.uint8)
        Pictures.fromarray(pixels).save(folder / "images" / f"{number}.png")
        mask = np.zeros((32, 32), dtype=np.uint8)
        for position, value in enumerate(values):
            mask[4 + 6 * position : 8 + 6 * position, 4:20] = value
        Pictures.fromarray(mask).save(folder / "masks" / f"{number}.png")
    if names is not None:
        (folder / "dataset.json").write_text(json.dumps({"labels": {"background": 0} | names}))
    return folder


def part_of(folder: Path, expected: LabelSet | None, reporter: Reporter) -> list[tuple[int, ...]]:
    part = checked_part(
        folder, labels=None, group_regex=None, reporter=reporter, expected=expected, forgiven=TO_SCORE
    )
    return [tuple(np.unique(case.mask.values).tolist()) for case in part]


def test_the_datas_own_labels_where_none_are_expected(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [1, 2], {"liver": 1, "spleen": 2})
    part = checked_part(data, labels=None, group_regex=None, reporter=Reporter())
    assert part.labels.names == ("liver", "spleen")
    assert [case.name for case in part] == ["0", "1", "2"]
    assert [case.name for case in part.of(["2", "0"])] == ["2", "0"]


def test_labels_of_other_names_are_taken_in_order_and_that_is_said(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [255])
    reporter = Warnings()
    assert part_of(data, LabelSet.of("lesion"), reporter) == [(0, 1)] * 3
    assert len(reporter.said) == 1
    assert "foreground" in reporter.said[0]
    assert "lesion" in reporter.said[0]


def test_what_is_said_of_labels_does_not_tell_whose_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_set(tmp_path / "MEIER^HANS_19610203", [255])
    (data / "here").mkdir()
    monkeypatch.chdir(data / "here")
    for given in (data, Path("..")):
        reporter = Warnings()
        part_of(given, LabelSet.of("lesion"), reporter)
        assert "of name-" in reporter.said[0]
        assert "MEIER" not in reporter.said[0]


def test_the_same_names_need_no_word(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [1, 2], {"liver": 1, "spleen": 2})
    reporter = Warnings()
    assert part_of(data, LabelSet.of("liver", "spleen"), reporter) == [(0, 1, 2)] * 3
    assert reporter.said == []


def test_other_labels_are_refused(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [1, 2], {"liver": 1, "spleen": 2})
    for expected in (LabelSet.of("liver"), LabelSet.of("kidney", "lung"), LabelSet.of("liver", "lung")):
        with pytest.raises(DataError, match="--labels"):
            part_of(data, expected, Reporter())


def test_labels_in_another_order_are_brought_into_the_models_by_name(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [1, 2], {"liver": 1, "spleen": 2})
    reporter = Warnings()
    part = checked_part(
        data,
        labels=None,
        group_regex=None,
        reporter=reporter,
        expected=LabelSet.of("spleen", "liver"),
        forgiven=TO_SCORE,
    )
    case = next(iter(part))
    assert case.mask.labels.names == ("spleen", "liver")
    assert (case.mask.values[5, 5], case.mask.values[11, 5], case.mask.values[0, 0]) == (2, 1, 0)
    assert reporter.said == []


def test_unnamed_labels_are_taken_by_their_values(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [1, 2])
    reporter = Warnings()
    assert part_of(data, LabelSet.of("liver", "spleen"), reporter) == [(0, 1, 2)] * 3
    assert len(reporter.said) == 1


def test_one_case_is_enough_to_be_scored_but_not_to_train(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [255], count=1)
    assert part_of(data, LabelSet.of("foreground"), Reporter()) == [(0, 1)]
    with pytest.raises(DataError, match="Only one image"):
        checked_part(data, labels=None, group_regex=None, reporter=Reporter())
    with pytest.raises(UsageError, match="does not exist"):
        checked_part(tmp_path / "none", labels=None, group_regex=None, reporter=Reporter())


def test_healthy_controls_can_be_scored(tmp_path: Path) -> None:
    assert part_of(data_set(tmp_path / "data", []), LabelSet.of("lesion"), Reporter()) == [(0,)] * 3


def test_a_test_set_without_one_of_the_labels_is_read_as_the_training_masks_were(tmp_path: Path) -> None:
    whole = checked_part(
        data_set(tmp_path / "data", [1, 2]), labels=None, group_regex=None, reporter=Reporter()
    )
    other = data_set(tmp_path / "other", [2])
    part = checked_part(
        other,
        labels=None,
        group_regex=None,
        reporter=Reporter(),
        expected=whole.labels,
        encoding=whole.encoding,
        forgiven=TO_SCORE,
    )
    assert [tuple(np.unique(case.mask.values).tolist()) for case in part] == [(0, 2)] * 3
    assert part.labels == whole.labels


def test_images_of_one_size_take_one_line(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", [255])
    for sizes, rows in ((1, (("all", "32 × 32 px"),)), (2, None)):
        part = checked_part(data, labels=None, group_regex=None, reporter=Reporter())
        table = next(each for each in tables(part.report) if each.caption == "Image sizes")
        assert table.header == ("" if sizes == 1 else "2 different", "width × height")
        if rows is not None:
            assert table.rows == rows
        else:
            assert [name for name, _ in table.rows] == ["smallest", "median", "largest"]
        for kind in ("images", "masks"):
            picture = Pictures.open(data / kind / "0.png")
            picture.resize((40, 30), Pictures.Resampling.NEAREST).save(data / kind / "0.png")
