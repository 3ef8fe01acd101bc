"""A set with a mask a structure, from the check to the scores, as a user types it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from commanding import Command
from PIL import Image

import delineate

CASES = 8


def scan(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A noisy picture of a bright disc that lies over a grey square, and both drawn whole."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:48, :48]
    top, left = random.integers(4, 16, 2)
    square = (y >= top) & (y < top + 26) & (x >= left) & (x < left + 26)
    disc = (y - top - 4) ** 2 + (x - left - 20) ** 2 <= 49
    values = 40 + 70 * square + 120 * (disc & square) + 190 * (disc & ~square) + random.normal(0, 8, (48, 48))
    return values.clip(0, 255).astype(np.uint8), square, disc


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def written(root: Path, *, first: int = 0, count: int = CASES, mask: str = "masks/{}/{}.png") -> Path:
    for number in range(first, first + count):
        values, square, disc = scan(number)
        save(root / "images" / f"{number}.png", values)
        save(root / mask.format("Lung", number), square.astype(np.uint8) * 255)
        save(root / mask.format("heart", number), disc.astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("joined") / "chests")


@pytest.fixture(scope="module")
def run(data: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "chests"
    test = written(tmp_path_factory.mktemp("other") / "test", first=20, count=3, mask="{}_mask/{}.png")
    done = command("train", data, "--out", folder, "--epochs", "30", "--test", test)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 masks of 8 images, one a structure, joined into one an image" in done.stdout
    assert "heart over Lung" in done.stdout
    return folder


def scores(folder: Path) -> dict[tuple[str, str], int]:
    """The pixels of each case and label in the reference."""
    with (folder / "cases.csv").open(newline="") as stream:
        return {(row["case"], row["label"]): int(row["reference_px"]) for row in csv.DictReader(stream)}


def expected(number: int) -> dict[tuple[str, str], int]:
    _, square, disc = scan(number)
    return {
        (str(number), "heart"): int(disc.sum()),
        (str(number), "Lung"): int((square & ~disc).sum()),
    }


def test_the_model_has_the_structures_for_labels_and_is_scored_on_joined_masks(run: Path) -> None:
    assert delineate.load(run).labels.names == ("heart", "Lung")
    assert scores(run / "evaluation") == {
        key: pixels for number in (20, 21, 22) for key, pixels in expected(number).items()
    }


def test_another_set_is_joined_as_the_training_data(run: Path, command: Command, tmp_path: Path) -> None:
    """The heart lies before the lung also in a set in which it is the larger one."""
    lung, heart = (np.zeros((48, 48), np.uint8) for _ in range(2))
    lung[:, :24], heart[:, 12:] = 1, 1
    for number in (50, 51):
        save(tmp_path / "new" / "images" / f"{number}.png", scan(number)[0])
        for name, drawn in (("Lung", lung), ("heart", heart)):
            save(tmp_path / "new" / "masks" / name / f"{number}.png", drawn)
    done = command("evaluate", run, tmp_path / "new", "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stdout + done.stderr
    assert scores(tmp_path / "scores")["50", "heart"] == 36 * 48
    assert scores(tmp_path / "scores")["50", "Lung"] == 12 * 48
    report = (tmp_path / "scores" / "report.html").read_text()
    assert "Structures overlap much: heart and Lung (Dice 0.40)." in report


def test_another_set_is_scored_by_the_structures_names(run: Path, command: Command, tmp_path: Path) -> None:
    other = written(tmp_path / "new", first=30, count=2, mask="masks/{1}_{0}.png")
    done = command("evaluate", run, other, "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "joined into one an image" in done.stdout
    assert scores(tmp_path / "scores") == {**expected(30), **expected(31)}


def test_a_stopped_run_goes_on_with_the_same_weights(run: Path, command: Command) -> None:
    weights = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").unlink()
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (run / "model.safetensors").read_bytes() == weights


def test_masks_of_two_readers_are_refused(data: Path, command: Command, tmp_path: Path) -> None:
    for number in range(CASES):
        values, square, _ = scan(number)
        save(tmp_path / "set" / "images" / f"{number}.png", values)
        for reader in ("huber", "wagner"):
            save(tmp_path / "set" / "masks" / reader / f"{number}.png", square.astype(np.uint8) * 255)
            square = np.roll(square, 1, 0)
    done = command("train", tmp_path / "set", "--out", tmp_path / "run", "--epochs", "1")
    assert done.returncode == 1
    assert "huber and wagner (Dice 0.9" in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()
