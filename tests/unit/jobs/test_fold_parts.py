"""The data of a cross-validation: what may flatter the scores of its folds, whatever parts the data mark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from delineate.jobs.fold_parts import FoldParts
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Source


class Told(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def write(root: Path, *places: str, frames: bool = False) -> Path:
    """Pictures of noise at these places below the root, or frames of one slow change, each with its mask."""
    random = np.random.default_rng(0)
    waves = [np.kron(random.random((4, 4)), np.ones((8, 8))) for _ in range(2)]
    for number, place in enumerate(places):
        image, mask = root / f"{place}.png", root / f"{place}_mask.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        share = number / len(places)
        noise = np.kron(random.random((8, 8)), np.ones((4, 4)))
        shown = (1 - share) * waves[0] + share * waves[1] + 0.05 * noise if frames else noise
        Pictures.fromarray((255 * shown / shown.max()).astype(np.uint8)).save(image)
        drawn = np.zeros((32, 32), np.uint8)
        drawn[8:20, 8 : 20 + number % 8] = 255
        Pictures.fromarray(drawn).save(mask)
    return root


def begun(cautions: tuple[str, ...]) -> list[str]:
    return [caution.split(":")[0].split("(")[0].strip() for caution in cautions]


ALIKE = "Images that follow one another by name look alike"


@pytest.mark.parametrize(
    ("parts", "held_out"),
    [
        (("",) * 36, False),
        (("train/",) * 30 + ("val/",) * 6, False),
        (("train/",) * 30 + ("test/",) * 6, True),
        (("train/",) * 24 + ("val/",) * 6 + ("test/",) * 6, True),
    ],
)
def test_frames_in_a_row_are_told_beside_the_score_whatever_is_marked(
    tmp_path: Path, parts: tuple[str, ...], held_out: bool
) -> None:
    write(tmp_path, *(f"{part}frame{at:02}" for at, part in enumerate(parts)), frames=True)
    parts_read = FoldParts.read(Source(tmp_path, folds=3), 3, Reporter())
    assert ALIKE in begun(parts_read.cautions)
    assert ALIKE in begun(parts_read.of_fold(1).cautions)
    assert ALIKE not in begun(parts_read.final().cautions)  # the test part is not drawn
    assert len(parts_read.test) == (6 if held_out else 0)


def test_patients_in_folders_of_parts_are_told_of(tmp_path: Path) -> None:
    pool = [f"{part}/p{at}/{case}" for part, at in (("train", 0), ("train", 1), ("val", 2)) for case in "ab"]
    write(tmp_path, *pool, "train/p3/a", "test/p3/b", "test/p4/a", "test/p4/b")
    parts = FoldParts.read(Source(tmp_path, folds=2), 2, Reporter())
    (drawn,), (divided,) = parts.cautions, parts.final().cautions
    assert drawn.startswith("3 sub-folders with several cases: p0/, p1/, p2/. ")
    assert divided.startswith("1 sub-folder in several parts of the given split: p3/. ")
    for path in (tmp_path / "test" / "p3").iterdir():
        path.unlink()
    grouped = FoldParts.read(Source(tmp_path, group_regex="^(.+?)__", folds=2), 2, Reporter())
    assert grouped.cautions == ()


def test_names_that_parts_share_are_one_group_in_the_folds_and_apart_only_in_the_test_part(
    tmp_path: Path,
) -> None:
    pool = [f"{part}/{patient}_{case}" for part in ("train", "val") for patient in "12345" for case in "ab"]
    write(tmp_path, *pool, "test/1_a")
    source = Source(tmp_path, group_regex="^([^_]+)", folds=2)
    parts = FoldParts.read(source, 2, Reporter())
    fold_of = parts.folds.fold_of
    for patient in "12345":
        names = [name for name in fold_of if f"{patient}_" in name]
        assert len(names) == 4
        assert len({fold_of[name] for name in names}) == 1
    assert parts.cautions == ()
    assert begun(parts.final().cautions) == [
        "Parts of the given split use the same file names, so that names do not tell whether the same people "
        "are meant"
    ]
    assert "1 group by --group-regex in more than one part (1)" in parts.final().cautions[0]


def test_a_patient_marked_for_training_and_validation_is_no_error_where_folds_are_drawn(
    tmp_path: Path,
) -> None:
    write(tmp_path, *(str(at) for at in range(4)))
    parts = ("train", "validation", "train", "test")
    rows = (f"{at}.png,{at}_mask.png,{'p' if at < 2 else at},{part}\n" for at, part in enumerate(parts))
    (tmp_path / "cases.csv").write_text("image,mask,group,split\n" + "".join(rows))
    folds = FoldParts.read(Source(tmp_path, folds=2), 2, Reporter()).folds
    assert sorted(folds.held_out) == [("0", "1"), ("2",)]


@pytest.mark.parametrize(
    ("marked", "sentence"),
    [
        (0, None),
        (1, "1 case that the data mark as validation is drawn into folds like all others: nets learn from"),
        (2, "2 cases that the data mark as validation are drawn into folds like all others: nets learn from"),
    ],
)
def test_that_cases_marked_as_validation_are_learned_from_is_said(
    tmp_path: Path, marked: int, sentence: str | None
) -> None:
    write(tmp_path, *(f"{'val' if at < marked else 'train'}/{at}" for at in range(5)))
    reporter = Told()
    parts = FoldParts.read(Source(tmp_path, folds=2), 2, reporter)
    assert len(parts.whole) == 5
    assert [text.split(" them, too")[0] for text in reporter.said] == ([sentence] if sentence else [])
