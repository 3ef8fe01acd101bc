"""A model's net as an OpenVINO IR: the same masks, whatever asks for them; damage and strangers refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from test_ensembles import KINDS, model, net, picture, plan_of
from typer.testing import CliRunner

from delineate.cli.app import app
from delineate.errors import ExportError, ModelFileError, OutputError, UsageError
from delineate.export import openvino as to_openvino
from delineate.export.openvino import exported, write_ir
from delineate.export.quantization import MOST_SAMPLES, RecordingEngine, mask_dice, seen_in
from delineate.image import Image
from delineate.inference.engines.probe import Probed
from delineate.inference.ir_file import ir_path, read_ir
from delineate.inference.loading import load_any
from delineate.inference.model import Model
from delineate.jobs import export_int8 as job
from delineate.jobs.ancestor import Ancestor
from delineate.jobs.export import export
from delineate.jobs.prediction import predict
from delineate.jobs.scoring import evaluate
from delineate.model_file import save_model, together

SEEDS = (0, 1)


def made(kind: str, members: int = 1) -> Model:
    plan = plan_of(kind)
    return model(plan, *(net(plan, seed) for seed in SEEDS[:members]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An IR of a model of pictures."""
    place = tmp_path_factory.mktemp("openvino") / "ir"
    export(made("whole, three labels"), "openvino", place)
    return place


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "whole, three labels"])
def test_every_kind_of_model_finds_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_openvino, "probe", lambda *_args, **_options: {"fp32": Probed()})  # seen below
    before = made(kind, members=2)

    found = export(before, "openvino", tmp_path / "ir")
    after = load_any(tmp_path / "ir")

    image = picture(before.plan)
    assert found.agreement.holds
    assert (after.card, after.parameters, after.labels) == (before.card, before.parameters, before.labels)
    ours = before.probabilities(image).astype(np.float32)
    assert np.abs(after.probabilities(image).astype(np.float32) - ours).max() < 1e-3
    assert (after.predict(image) == before.predict(image)).mean() > 0.9999


def test_predict_and_evaluate_take_it_for_the_model(folder: Path, tmp_path: Path) -> None:
    before = made("whole, three labels")
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for name in "ab":
        values = random.integers(0, 256, (25, 30), dtype=np.uint8)
        Pillow.fromarray(values).save(tmp_path / "data" / "images" / f"{name}.png")
        Pillow.fromarray(values % 4).save(tmp_path / "data" / "masks" / f"{name}.png")

    done = predict(folder / "model.xml", tmp_path / "data" / "images", tmp_path / "masks")
    score = evaluate(folder, tmp_path / "data").summary.mean_dice
    own = evaluate(before, tmp_path / "data").summary.mean_dice

    assert [each.mask for each in done.done] == ["a.png", "b.png"]
    for name in "ab":
        with Pillow.open(tmp_path / "masks" / f"{name}.png") as mask:
            expected = before.predict(tmp_path / "data" / "images" / f"{name}.png")
            assert (np.asarray(mask) == expected).mean() > 0.9999
    assert score is not None
    assert own is not None
    assert score.mean == pytest.approx(own.mean, abs=1e-3)


def test_info_tells_what_it_is(folder: Path) -> None:
    told = CliRunner().invoke(app, ["info", str(folder)])

    assert told.exit_code == 0, told.output
    assert "model.xml" in told.output
    assert "1 a, 2 b, 3 c" in told.output
    assert "whole images brought to 16 × 16 px" in told.output


def test_info_tells_the_windows_of_prediction(tmp_path: Path) -> None:
    model = made("larger windows, mirrored")
    save_model(tmp_path / "model.safetensors", model.card, together([model.network.state_dict()]))
    told = CliRunner().invoke(app, ["info", str(tmp_path / "model.safetensors")])

    assert "overlapping windows of 24 × 20 px" in told.output


def test_an_engine_that_crashes_is_told_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed = Probed(fault="crashed in its first inference (SIGFPE)")
    monkeypatch.setattr(to_openvino, "probe", lambda *_args, **_options: {"fp32": crashed})

    with pytest.raises(ExportError, match=r"OpenVINO crashed in its first inference \(SIGFPE\) on"):
        export(made("patches"), "openvino", tmp_path / "ir")

    assert list(tmp_path.iterdir()) == []


def copied(folder: Path, to: Path, **changed: Callable[[bytes], bytes]) -> Path:
    to.mkdir()
    for name in ("xml", "bin"):
        content = (folder / f"model.{name}").read_bytes()
        (to / f"model.{name}").write_bytes(changed.get(name, bytes)(content))
    return to / "model.xml"


def test_damage_is_refused(folder: Path, tmp_path: Path) -> None:
    one_bit = copied(folder, tmp_path / "bit", bin=lambda content: content[:-1] + bytes([content[-1] ^ 1]))
    cut = copied(folder, tmp_path / "cut", xml=lambda content: content[: len(content) // 2])
    foreign = copied(
        folder, tmp_path / "foreign", xml=lambda content: content.replace(b"<delineate>", b"<other>")
    )
    newer = copied(
        folder,
        tmp_path / "newer",
        xml=lambda content: content.replace(b'format value="1"', b'format value="2"'),
    )
    other = copied(
        folder,
        tmp_path / "other",
        xml=lambda content: content.replace(b"&quot;a&quot;,&quot;b&quot;", b"&quot;a&quot;"),
    )
    changed = copied(
        folder, tmp_path / "changed", xml=lambda content: content.replace(b'type="ReLU"', b'type="Abs"')
    )
    lonely = copied(folder, tmp_path / "lonely")
    lonely.with_suffix(".bin").unlink()

    for path, said in {
        one_bit: "is not the one",
        changed: "its graph is not the one",
        cut: "no OpenVINO IR, or is damaged",
        newer: "newer Delineate",
        other: "cannot be used",
        lonely: "cannot be read",
    }.items():
        with pytest.raises(ModelFileError, match=said):
            load_any(path)
    with pytest.raises(ModelFileError):
        load_any(foreign)


def test_what_it_cannot_do_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="torch does not compute"):
        load_any(folder, engine="torch")
    with pytest.raises(UsageError, match="exported in fp32, not in bf16"):
        load_any(folder, precision="bf16")
    with pytest.raises(OutputError, match="there already"):
        export(made("patches"), "openvino", folder)
    with pytest.raises(UsageError, match="no meaning with --to openvino"):
        export(made("patches"), "openvino", tmp_path / "ir", channels="first")
    assert ir_path(tmp_path) is None
    with pytest.raises(UsageError, match="There is no model"):
        load_any(tmp_path / "none.xml")


def test_loaded_it_can_neither_learn_nor_be_exported_again(folder: Path, tmp_path: Path) -> None:
    loaded: Any = load_any(folder)
    with pytest.raises(ModelFileError, match="cannot learn"):
        Ancestor.of(loaded)
    with pytest.raises(ModelFileError, match="cannot be exported again"):
        export(loaded, "onnx", tmp_path / "again.onnx")


def test_nothing_of_the_machine_is_in_it(folder: Path) -> None:
    text = (folder / "model.xml").read_text(encoding="utf-8")

    assert str(folder.parent) not in text
    assert read_ir(folder / "model.xml").precision == "fp32"


def test_telemetry_is_never_loaded(tmp_path: Path) -> None:
    before = made("patches")
    weights = {name: each.contiguous() for name, each in before.network.state_dict().items()}
    save_model(tmp_path / "model.safetensors", before.card, together([weights]))
    program = (
        "import sys\n"
        "from delineate.jobs.export import export\n"
        "export(sys.argv[1], 'openvino', sys.argv[2])\n"
        "print([n for n, each in sys.modules.items() if n.startswith('openvino_telemetry') and each])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model.safetensors", tmp_path / "ir"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_a_sample_of_what_the_net_sees() -> None:
    before = made("patches, mirrored")
    image = picture(before.plan)

    seen, again = (seen_in(before, [image] * 3) for _ in range(2))

    assert len(seen) == 3 * 6 * 2  # windows, each mirrored too
    assert {each.shape for each in seen} == {(1, 1, 16, 16)}
    for one, other in zip(seen, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_sample_is_no_larger_than_it_may_be_and_from_everywhere() -> None:
    engine = RecordingEngine(made("whole, one label").engine)
    for at in range(0, 3 * MOST_SAMPLES, 100):
        engine(torch.arange(at, at + 100, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 16, 16))

    values = [float(each.mean()) for each in engine.samples]
    assert len(set(values)) == MOST_SAMPLES
    assert 1.2 * MOST_SAMPLES < np.mean(values) < 1.8 * MOST_SAMPLES


def test_dice_between_two_models() -> None:
    class Fixed:
        def __init__(self, *masks: list[int]) -> None:
            self.masks = list(masks)

        def found_in(self, image: Image, *, keep_probabilities: bool = False) -> object:
            class Of:
                class mask:  # noqa: N801
                    values = np.array([self.masks[int(image.pixels[0, 0, 0])]], np.uint8)

            return Of

    images = [Image(np.full((1, 1, 4), at, np.uint8)) for at in range(2)]
    right, other = Fixed([1, 1, 0, 0], [0, 0, 0, 2]), Fixed([1, 0, 0, 0], [0, 0, 0, 2])

    # label 1: 2 · 1 / (2 + 1) in the first image alone; label 2: 1 in the second alone
    assert mask_dice(right, other, images, 2) == pytest.approx((2 / 3 + 1) / 2)  # type: ignore[arg-type]  # as much of a model as is asked
    assert mask_dice(Fixed([0] * 4), Fixed([0] * 4), images[:1], 2) is None  # type: ignore[arg-type]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder, random = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for name in "abc":
        Pillow.fromarray(random.integers(0, 256, (25, 30), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def test_int8_that_costs_too_much_is_not_written(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, worse = made("whole, three labels"), made("whole, three labels", members=2)

    def other_net(_model: Model, _images: object, place: Path) -> int:
        write_ir(place, to_openvino.converted(worse), before, "int8")
        return 3

    monkeypatch.setattr(job, "write_int8", other_net)

    with pytest.raises(ExportError, match=r"costs too much: Dice 0\.\d+ against the masks in fp32"):
        job.export_int8(before, tmp_path / "ir", images=images)
    made_anyway = job.export_int8(before, tmp_path / "ir", images=images, max_dice_loss=1)

    assert 0.005 < made_anyway.dice_loss < 1
    assert read_ir(tmp_path / "ir" / "model.xml").precision == "int8"
    assert exported(tmp_path / "ir").engine.precision == "int8"
    with pytest.raises(UsageError, match="no difference of Dice"):
        job.export_int8(before, tmp_path / "other", images=images, max_dice_loss=-1)
    with pytest.raises(UsageError, match="--images"):
        job.export_int8(before, tmp_path / "other", images=[])


@pytest.mark.slow
def test_int8(images: Path, tmp_path: Path) -> None:
    before = made("whole, three labels")
    weights = {name: each.contiguous() for name, each in before.network.state_dict().items()}
    save_model(tmp_path / "model.safetensors", before.card, together([weights]))
    program = (
        "import json, sys\n"
        "from delineate.jobs.export_int8 import export_int8\n"
        "made = export_int8(sys.argv[1], sys.argv[2], images=sys.argv[3], max_dice_loss=1)\n"
        "telemetry = [n for n, m in sys.modules.items() if n.startswith('openvino_telemetry') and m]\n"
        "print(json.dumps([made.images, made.windows, made.dice_int8, telemetry]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model.safetensors", tmp_path / "ir", images],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    count, windows, dice, telemetry = json.loads(done.stdout)  # and nothing else is printed
    assert (count, windows, telemetry) == (3, 3, [])
    assert 0.8 < dice <= 1
    assert "i8" in (tmp_path / "ir" / "model.xml").read_text(encoding="utf-8")
    image = picture(before.plan)
    quick = load_any(tmp_path / "ir").probabilities(image)
    assert 0 < np.abs(quick - before.probabilities(image)).max() < 0.2
