"""`delineate export` as a function: what is compared, what is refused, and that nothing is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from exporting import image_for, model_of
from onnx import numpy_helper

import delineate
from delineate.errors import DataError, ExportError, ModelFileError, OutputError, UsageError
from delineate.export import onnx_model as exporting_onnx
from delineate.export.agreement import Agreement, compare, refuse_disagreement
from delineate.export.order import Form
from delineate.export.synthetic import synthetic_images
from delineate.image import Image, LabelSet, Mask
from delineate.inference.exported import ExportedModel
from delineate.inference.found import Found
from delineate.inference.model import Model
from delineate.inference.onnx_file import GRAPH_SHA256, graph_sha256
from delineate.jobs.export import export
from delineate.jobs.reporter import Reporter


def disturbed(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Have the exporter change one weight of every convolution."""
    right = exporting_onnx.onnx_model

    def wrong(model: Model, form: Form) -> bytes:
        proto = onnx.load_model_from_string(right(model, form))
        for tensor in proto.graph.initializer:
            if len(tensor.dims) == 4:
                values = numpy_helper.to_array(tensor).copy()
                values[0, 0] += by
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        told = next(each for each in proto.metadata_props if each.key == GRAPH_SHA256)
        told.value = graph_sha256(proto.SerializeToString())
        content: bytes = proto.SerializeToString()
        return content

    monkeypatch.setattr(exporting_onnx, "onnx_model", wrong)


def test_a_file_that_agrees_is_written(tmp_path: Path) -> None:
    model = model_of("stretched")
    made = export(model, "onnx", tmp_path / "new" / "model.onnx")
    assert made.path == tmp_path / "new" / "model.onnx"
    assert made.form == Form("uint8", "last")
    assert made.given == 0
    assert made.agreement.images == 2  # one of the training's only size, one of odd sides
    assert made.agreement.probability < 1e-5
    assert [path.name for path in made.path.parent.iterdir()] == ["model.onnx"]
    assert isinstance(delineate.load(made.path), ExportedModel)
    assert delineate.export_model is export  # whatever was imported before


def test_what_was_exported_is_not_exported_again(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.pt", "ir/model.xml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        with pytest.raises(ModelFileError, match=r"cannot be exported again\. Give the model file"):
            export(path, "onnx", tmp_path / "new.onnx")
    with pytest.raises(ModelFileError, match="cannot be exported again"):
        export(tmp_path / "ir", "onnx", tmp_path / "new.onnx")
    with pytest.raises(ModelFileError, match="TorchScript is written for torch alone"):
        delineate.load(tmp_path / "model.pt")


def test_a_disturbed_graph_is_refused_with_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed(monkeypatch, 0.5)
    with pytest.raises(ExportError, match=r"probabilities differ by at most \d.*; nothing was written"):
        export(model_of("stretched"), "onnx", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_hardly_disturbed_graph_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed(monkeypatch, 1e-6)
    made = export(model_of("stretched"), "onnx", tmp_path / "model.onnx")
    assert 0 < made.agreement.probability < 1e-3


def test_real_images_are_compared(tmp_path: Path) -> None:
    from PIL import Image as Picture  # noqa: PLC0415  only here

    model = model_of("colour, several labels")
    for at in range(9):
        pixels = image_for(model.plan, (20 + at, 30), seed=at).pixels
        Picture.fromarray(np.moveaxis(pixels, 0, -1)).save(tmp_path / f"{at}.png")
    made = export(model, "onnx", tmp_path / "model.onnx", images=tmp_path, channels="first")
    assert (made.given, made.agreement.images) == (9, 6)
    assert made.agreement.pixels == sum(30 * (20 + at) for at in (0, 2, 3, 5, 6, 8))


def test_files_that_are_not_compared_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image as Picture  # noqa: PLC0415  only here

    images = tmp_path / "images"
    images.mkdir()
    model = model_of("stretched")
    values = image_for(model.plan, (20, 30), seed=0).pixels[0]
    for name in ("a.png", "a_mask.png", "notes.txt"):
        Picture.fromarray(values).save(images / name, format="PNG")
    warnings: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "warn", warnings.append)
    assert export(model, "onnx", tmp_path / "model.onnx", images=images, reporter=reporter).given == 1
    assert [name in " ".join(warnings) for name in ("a.png", "a_mask.png", "notes.txt")] == [
        False, True, True
    ]  # fmt: skip


def test_images_that_cannot_be_compared_are_errors(tmp_path: Path) -> None:
    model = model_of("stretched")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for given in ("broken.png", "missing.png"):
        with pytest.raises(DataError, match=given):
            export(model, "onnx", tmp_path / "model.onnx", images=tmp_path / given)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]


def test_what_is_there_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"is there already\. Nothing was touched"):
        export(model_of("stretched"), "onnx", path)
    assert path.read_text() == "mine"


def test_a_wrong_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        export(model_of("stretched"), "onnx", tmp_path / "model.bin")


def test_a_format_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no such format\. Give one of onnx, "):
        export(model_of("stretched"), "caffe", tmp_path / "model.onnx")


def test_a_model_of_floats_takes_no_integers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--pixels uint8: the model learned from numbers as they are"):
        export(model_of("float pictures"), "onnx", tmp_path / "model.onnx", pixels="uint8")


def test_a_missing_package_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("delineate.export.onnx_model", "delineate.inference.engines.onnx_graph"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match="--to onnx needs the package onnx: pip install 'onnx>="):
        export(model_of("stretched"), "onnx", tmp_path / "model.onnx")


def test_a_model_too_large_for_one_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting_onnx, "MAXIMUM_WEIGHT_BYTES", 100)
    with pytest.raises(UsageError, match=r"too many for one ONNX file.*--to torchscript"):
        export(model_of("stretched"), "onnx", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


class Says:
    """Something that finds the same everywhere."""

    def __init__(self, probability: float, label: int) -> None:
        self.probability, self.label = probability, label

    def found_in(self, image: Image, *, keep_probabilities: bool = False) -> Found:
        values = np.full(image.size, self.label, np.uint8)
        shares = np.full((1, *image.size), self.probability, np.float32)
        return Found(Mask(values, LabelSet.of("a")), shares)


PICTURES = [Image(np.zeros((1, 10, 20), np.uint8)), Image(np.zeros((1, 10, 10), np.uint8))]


def test_differences_are_counted_over_all_images() -> None:
    found = compare(Says(0.25, 0), Says(0.75, 1), PICTURES)
    assert found == Agreement(images=2, pixels=300, probability=0.5, differing=300)
    assert compare(Says(0.25, 1), Says(0.25, 1), PICTURES) == Agreement(2, 300, 0.0, 0)


@pytest.mark.parametrize(
    ("agreement", "holds"),
    [
        (Agreement(1, 10_000, 1e-3, 1), True),
        (Agreement(1, 10_000, 1.1e-3, 0), False),
        (Agreement(1, 10_000, 0.0, 2), False),
        (Agreement(1, 10_000, float("nan"), 0), False),
        (Agreement(0, 0, 0.0, 0), False),
    ],
)
def test_what_is_let_through(agreement: Agreement, holds: bool) -> None:
    assert agreement.holds is holds
    if not holds:
        with pytest.raises(ExportError, match="The file does not say what the model says"):
            refuse_disagreement(agreement, "The file")


def test_no_number_is_no_agreement() -> None:
    for one, other in ((0.5, float("nan")), (float("nan"), 0.5)):
        assert not compare(Says(one, 0), Says(other, 0), PICTURES).holds


@pytest.mark.parametrize("kind", ["colour, several labels", "float pictures", "volumes"])
def test_synthetic_images_are_like_the_trainings(kind: str) -> None:
    card = model_of(kind).card
    found = synthetic_images(card, "float32" if card.plan.data.pixels == "float" else "uint8")
    fingerprint = card.fingerprint
    assert fingerprint is not None
    assert found[0].size == fingerprint.median
    assert found[-1].size == tuple(side * 3 // 4 | 1 for side in fingerprint.median)
    assert all(image.channels == card.plan.data.channels for image in found)
    values = found[0].units()
    assert np.allclose(values.mean(), np.mean(fingerprint.mean), atol=np.max(fingerprint.standard_deviation))
    assert values.std() > 0.2 * np.mean(fingerprint.standard_deviation)


def test_a_model_that_tells_nothing_of_its_training_is_compared_too() -> None:
    card = model_of("slices").card.model_copy(update={"fingerprint": None})
    assert [image.size for image in synthetic_images(card, "float32")] == [
        (8, 16, 16),
        (16, 32, 32),
        (13, 25, 25),
    ]
