"""The distances that the terminal shows: of all cases, and never a small one as none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from example_model import SCORES, example
from rich.console import Console

from delineate.cli.console import show_summary
from delineate.cli.info import show_card
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import summarise
from delineate.image import Geometry, LabelSet, Mask
from delineate.model_file import Estimate

LESION = LabelSet.of("lesion")


def apart(case: str, pixels: int, spacing_mm: float | None) -> CaseScore:
    """The score of two pixels that lie so far apart."""
    reference, prediction = np.zeros((2, 1, 32), np.uint8)
    reference[0, 0] = prediction[0, pixels] = 1
    geometry = Geometry(None if spacing_mm is None else (spacing_mm, spacing_mm))
    (score,) = score_case(case, case, Mask(reference, LESION, geometry), Mask(prediction, LESION, geometry))
    return score


def shown(scores: list[CaseScore]) -> str:
    console = Console(file=io.StringIO(), width=120)
    show_summary(console, summarise(scores, LESION))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_microscopic_distance_is_none_of_zero() -> None:
    text = shown([apart("a", 15, 0.00025), apart("b", 15, 0.00025)])
    assert "HD95 mm" in text
    assert " 0.00375 " in text


def test_millimetres_stand_for_all_cases_or_for_none() -> None:
    text = shown([apart("a", 1, 3.0), apart("b", 3, None)])
    assert "HD95 px" in text
    assert "HD95 mm" not in text
    assert " 2.0 " in text


@pytest.mark.parametrize(("mm", "text"), [(0.00375, "0.00375"), (12.34, "12.3")])
def test_info_shows_small_distances(tmp_path: Path, mm: float, text: str) -> None:
    card, _ = example()
    label = SCORES.labels[0].model_copy(update={"metrics": {"hd95_mm": Estimate(mean=mm)}})
    scores = SCORES.model_copy(update={"labels": (label,)})
    console = Console(file=io.StringIO(), width=120)
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"")
    show_card(console, card.model_copy(update={"scores": scores}), model)
    assert isinstance(console.file, io.StringIO)
    assert f" {text} " in console.file.getvalue()
