"""Drawing phantoms by name, and writing them into a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from delineate.errors import OutputError, UsageError
from delineate.phantoms import generate, write

WRONG = [
    ({"count": 0}, "count must be 1 or more, not 0"),
    ({"size": (15, 64)}, "16 to 4096 pixels, not 15×64"),
    ({"size": (64, 4097)}, "16 to 4096 pixels, not 64×4097"),
    ({"seed": -1}, "seed must be 0 or more, not -1"),
    ({"contrast": 0.09}, "contrast must lie in 0.1 to 2, not 0.09"),
    ({"contrast": 2.5}, "contrast must lie in 0.1 to 2, not 2.5"),
    ({"contrast": float("nan")}, "contrast must lie in 0.1 to 2, not nan"),
    ({"noise": -0.1}, "noise must lie in 0 to 4, not -0.1"),
    ({"noise": 4.5}, "noise must lie in 0 to 4, not 4.5"),
]


def test_noise_is_the_same_on_every_machine() -> None:
    first, second = generate("noise", 2)
    assert np.array_equal(first.mask, first.image > 128)
    assert (first.image == 128).any()
    assert not first.mask[first.image == 128].any()
    assert first.image.min() == 0
    assert first.image.max() == 255
    digest = hashlib.sha256(first.image.tobytes() + second.image.tobytes()).hexdigest()
    assert digest == "51d07a0d3ba27ae8f6f6d241db192e8715ebb524eb2760ced1d2764bbc604cfc"


def test_difficulty_has_no_meaning_for_noise() -> None:
    usual, hard = next(generate("noise", 1)), next(generate("noise", 1, contrast=0.1, noise=4))
    assert np.array_equal(usual.image, hard.image)


def test_kinds_do_not_share_their_chance() -> None:
    """Equal seeds must not give, say, every kind its lesion at one place."""
    nuclei, lesions = next(generate("nuclei", 1)), next(generate("ultrasound", 1))
    assert not np.array_equal(nuclei.mask, lesions.mask)


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    message = "no kind of phantom called 'brain'.*noise, ultrasound, nuclei, vessels, organs"
    with pytest.raises(UsageError, match=message):
        generate("brain", 1)
    with pytest.raises(UsageError, match=message):
        write("brain", tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_arguments_out_of_range_are_refused_before_anything_is_written(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        generate("noise", **({"count": 1} | options))  # type: ignore[arg-type]  # wrong on purpose
    assert message in str(caught.value)
    with pytest.raises(UsageError):
        write("noise", tmp_path / "set", **options)  # type: ignore[arg-type]  # wrong on purpose
    assert not (tmp_path / "set").exists()


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError, match=r"count.*height and width.*contrast.*noise"):
        generate("noise", 0, size=(1, 1), contrast=9, noise=9)


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        write("noise", tmp_path, count=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
