"""`delineate export`, and the commands that take what it wrote, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commanding import Command, delineate
from PIL import Image as Picture


@pytest.fixture(scope="module")
def exported(finished_run: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    done = delineate("export", finished_run, "--to", "onnx", "--out", path, "--images", small_data / "images")
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == f"{path}: takes uint8 pixels, channels last"
    assert told[1].startswith("Compared with the model on 6 images of 15: probabilities differ by at most ")
    assert told[1].endswith(f"pixels in {6 * 64 * 48:,} pixels.") or f" of {6 * 64 * 48:,} pixels." in told[1]
    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]
    return path


def test_the_file_predicts_as_the_run(
    exported: Path, finished_run: Path, small_data: Path, tmp_path: Path
) -> None:
    images = sorted((small_data / "images").iterdir())[:3]
    for model, folder in ((finished_run, "run"), (exported, "file")):
        done = delineate("predict", model, *images, "--out", tmp_path / folder, "--probabilities")
        assert done.returncode == 0, done.stderr
    for image in images:
        ours, theirs = (
            np.asarray(Picture.open(tmp_path / name / f"{image.stem}.png")) for name in ("run", "file")
        )
        assert (ours != theirs).mean() < 0.01  # the run may compute in bf16
    told = json.loads((tmp_path / "file" / "manifest.json").read_text(encoding="utf-8"))
    assert "onnxruntime" in json.dumps(told)
    run = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert told["model"]["weights_sha256"] == run["model"]["weights_sha256"]
    assert told["files"][0]["sha256"] == run["files"][0]["sha256"]


def test_the_file_is_scored_as_the_run(
    exported: Path, finished_run: Path, small_data: Path, tmp_path: Path
) -> None:
    scores = []
    for model, folder in ((finished_run, "run"), (exported, "file")):
        done = delineate("evaluate", model, small_data, "--out", tmp_path / folder)
        assert done.returncode == 0, done.stderr
        summary = json.loads((tmp_path / folder / "summary.json").read_text(encoding="utf-8"))
        scores.append(summary["mean_dice"]["mean"])
    assert scores[0] == pytest.approx(scores[1], abs=0.005)
    assert (tmp_path / "file" / "report.html").is_file()


def test_the_file_says_what_the_run_says(exported: Path, finished_run: Path, command: Command) -> None:
    ours, theirs = (command("info", path).stdout.splitlines()[1:] for path in (finished_run, exported))
    assert [line for line in ours if "MB" not in line] == [line for line in theirs if "MB" not in line]


def test_ten_lines_of_python_reproduce_the_mask(
    exported: Path, small_data: Path, tmp_path: Path, command: Command
) -> None:
    """The lines that stand in the documentation."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
    lines = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    image = sorted((small_data / "images").iterdir())[0]
    Picture.open(image).convert("RGB").save(tmp_path / "new.png")  # as a grey picture in colour
    (tmp_path / "model.onnx").write_bytes(exported.read_bytes())
    namespace: dict[str, object] = {}
    exec(  # noqa: S102  what users copy
        lines.replace('"model.onnx"', repr(str(tmp_path / "model.onnx"))).replace(
            '"new.png"', repr(str(tmp_path / "new.png"))
        ),
        namespace,
    )
    assert command("predict", exported, image, "--out", tmp_path / "masks").returncode == 0
    expected = np.asarray(Picture.open(tmp_path / "masks" / f"{image.stem}.png")) > 0
    assert np.array_equal(np.asarray(namespace["labels"]) > 0, expected)


def test_wrong_calls_end_with_2_and_leave_nothing(finished_run: Path, exported: Path, tmp_path: Path) -> None:
    for words, told in (
        (("--to", "onnx", "--out", exported), "is there already"),
        (("--to", "onnx", "--out", tmp_path / "model"), "ends in .onnx"),
        (("--to", "caffe", "--out", tmp_path / "model.onnx"), "caffe"),
    ):
        done = delineate("export", finished_run, *words)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_file_is_named(tmp_path: Path, small_data: Path, command: Command) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no model at all")
    done = command("predict", tmp_path / "other.onnx", small_data / "images", "--out", tmp_path / "masks")
    assert done.returncode == 1
    assert "is not an ONNX file, or is damaged" in done.stderr
    assert "Traceback" not in done.stderr
