"""The options of `delineate export` for OpenVINO and MONAI reach the jobs, and what they find is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from delineate.cli.app import app
from delineate.jobs import export_int8 as job
from delineate.jobs.export_int8 import Int8Export


def export(*options: str) -> Result:
    return CliRunner().invoke(app, ["export", "model", "--out", "ir", *options])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "onnx", "--precision", "int8"), "int8 is for --to openvino"),
        (("--to", "monai-bundle", "--precision", "int8"), "int8 is for --to openvino"),
        (("--to", "openvino", "--data", "x"), "--data is for --precision int8 alone"),
        (
            ("--to", "openvino", "--precision", "int8", "--pixels", "uint8"),
            "no meaning with int8",
        ),
        (("--to", "onnx", "--max-dice-loss", "0.1"), "--max-dice-loss is for --precision int8 alone"),
        (("--to", "openvino", "--channels", "first"), "no meaning with --to openvino"),
        (("--to", "monai-bundle", "--pixels", "uint8"), "no meaning with --to monai-bundle"),
    ],
)
def test_what_has_no_meaning_is_refused(options: tuple[str, ...], said: str) -> None:
    result = export(*options)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("labelled", [True, False])
def test_what_int8_costs_is_told(labelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def made(model: Path, out: Path, **options: object) -> Int8Export:
        asked.update(options, model=model, out=out)
        return Int8Export(out, 3, 12, 0.9 if labelled else 1.0, 0.8969, labelled=labelled)

    monkeypatch.setattr(job, "export_int8", made)
    measuring = ("--data", "held-out", "--max-dice-loss", "0.01") if labelled else ()

    result = export("--to", "openvino", "--precision", "int8", "--images", "a", *measuring)

    assert result.exit_code == 0, result.output
    assert asked["images"] == [Path("a")]
    assert asked["max_dice_loss"] == (0.01 if labelled else 0.005)
    assert asked["data"] == (Path("held-out") if labelled else None)
    told = " ".join(result.output.split())
    assert "ir: int8, for OpenVINO, calibrated on 12 windows of 3 images" in told
    if labelled:
        assert "Dice 0.9000 in fp32, 0.8969 in int8: 0.0031 lower." in told
        assert "--data" not in told
    else:
        assert "Dice 0.8969 against the masks in fp32 on the same images: 0.1031 counted as lost" in told
        assert "--data FOLDER" in told


def test_a_higher_dice_is_called_so() -> None:
    assert Int8Export(Path("ir"), 1, 1, 0.8, 0.81, labelled=True).in_words().endswith("0.0100 higher")
