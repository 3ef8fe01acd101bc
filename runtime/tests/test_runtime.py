"""The runtime writes, without torch, the very masks that Delineate writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from onnx import TensorProto, helper
from PIL import Image as Pillow
from test_ensembles import model, net, plan_of

from delineate import formats
from delineate.export.onnx_model import onnx_model
from delineate.export.order import Form
from delineate.inference.exported import ExportedModel
from delineate.inference.onnx_file import read_onnx
from delineate.plan import Plan
from delineate_runtime import ImageError, Model, ModelError, OutputError, UsageError, load, write_mask
from delineate_runtime.command import run
from delineate_runtime.description import described
from delineate_runtime.graph import graph_sha256
from delineate_runtime.pictures import read

SOURCE = Path(__file__).resolve().parents[1] / "src"
Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Exports a model with the weights of chance."""

    def exported(kind: str = "whole, one label", form: Form | None = None, **data: object) -> Path:
        values = plan_of(kind).model_dump()
        values["data"] |= data
        values["network"]["input_channels"] = values["data"]["channels"]
        plan = Plan.model_validate(values)
        made = model(plan, net(plan, 0))
        path = tmp_path / "model.onnx"
        path.write_bytes(onnx_model(made, form or Form("float32", "last")))
        return path

    return exported


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Pictures of every kind that is read."""
    folder, random = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    grey = random.integers(0, 256, (25, 30), dtype=np.uint8)
    picture = Pillow.fromarray(grey)
    picture.save(folder / "grey.png")
    picture.save(folder / "animated.gif")
    picture.convert("1").save(folder / "bilevel.png")
    picture.convert("P").save(folder / "palette.png")
    Pillow.fromarray(grey.astype(np.uint16) * 200).save(folder / "deep.png")
    colour = Pillow.fromarray(random.integers(0, 256, (40, 21, 3), dtype=np.uint8))
    colour.save(folder / "colour.bmp")
    colour.convert("RGBA").save(folder / "opaque.png")
    colour.quantize(16).save(folder / "coloured-palette.png")
    colour.save(folder / "colour.tif.tiff")
    for orientation in range(1, 9):
        exif = Pillow.Exif()
        exif[0x0112] = orientation
        colour.save(folder / f"turned-{orientation}.jpg", exif=exif)
    return folder


@pytest.mark.parametrize(
    ("kind", "form", "data"),
    [
        ("whole, one label", Form("float32", "last"), {"colour": "grey", "channels": 1}),
        ("whole, three labels", Form("uint16", "first"), {"colour": "rgb", "channels": 3}),
    ],
)
def test_the_masks_that_delineate_writes(
    kind: str, form: Form, data: dict[str, object], export: Export, pictures: Path, tmp_path: Path
) -> None:
    path = export(kind, form, **data)

    assert run(["predict", str(path), str(pictures), "--out", str(tmp_path / "masks")]) == 0
    (tmp_path / "ours").mkdir()
    exported = ExportedModel(read_onnx(path))
    for each in pictures.iterdir():
        formats.write_mask(tmp_path / "ours" / f"{each.stem}.png", exported.predict_mask(formats.read(each)))

    ours = sorted((tmp_path / "ours").glob("*.png"))
    found: set[int] = set()
    assert [each.name for each in ours] == sorted(each.name for each in (tmp_path / "masks").iterdir())
    assert len(ours) == 17
    for each in ours:
        with Pillow.open(each) as expected, Pillow.open(tmp_path / "masks" / each.name) as mask:
            assert mask.mode == expected.mode == "L"
            np.testing.assert_array_equal(np.asarray(mask), np.asarray(expected), err_msg=each.name)
            found.update(np.unique(np.asarray(mask)).tolist())
    assert len(found) > 1  # else anything would agree
    assert found <= ({0, 255} if kind == "whole, one label" else {0, 1, 2, 3})


def test_pixels_are_read_as_delineate_reads_them(pictures: Path) -> None:
    for path in pictures.iterdir():
        if path.suffix != ".tiff":
            ours = formats.read(path).pixels
            assert read(path).dtype == ours.dtype
            np.testing.assert_array_equal(read(path), ours, err_msg=path.name)


def test_without_torch_and_in_no_time_to_import(export: Export, pictures: Path, tmp_path: Path) -> None:
    path = export()
    program = (
        "import sys\n"
        "for name in ('torch', 'delineate', 'scipy', 'pydantic'): sys.modules[name] = None\n"
        "import delineate_runtime\n"
        "print(sorted({'onnxruntime', 'PIL.Image'} & set(sys.modules)))\n"
        "import numpy\n"
        "numpy.save(sys.argv[3], delineate_runtime.load(sys.argv[1]).predict(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path, pictures / "colour.bmp", tmp_path / "mask.npy"],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "onnxruntime" not in done.stdout  # it is loaded with the first model
    expected = ExportedModel(read_onnx(path)).predict(pictures / "colour.bmp")
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), expected)


def test_paths_pictures_and_arrays_are_alike(export: Export, pictures: Path) -> None:
    loaded = load(export())
    with Pillow.open(pictures / "grey.png") as picture:
        array = np.asarray(picture)
        expected = loaded.probabilities(pictures / "grey.png")

        np.testing.assert_array_equal(loaded.probabilities(picture), expected)
        np.testing.assert_array_equal(loaded.probabilities(array), expected)
        np.testing.assert_array_equal(loaded.probabilities(array[..., None]), expected)
    np.testing.assert_allclose(loaded.probabilities(array / 255), expected, atol=1e-5)
    np.testing.assert_allclose(loaded.probabilities(array.astype(np.uint16) * 257), expected, atol=1e-5)
    assert loaded.labels == ("a",)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((8, 8), 7.0), "scale floats to 0…1"),
        (np.full((8, 8), np.nan), "not numbers"),
        (np.zeros((8, 8), np.int64), "no known range"),
        (np.zeros((8, 8, 2), np.uint8), "it has 2 channels, but the model takes 1"),
        (np.zeros((3, 80, 90), np.uint8), "channels first"),
        (np.zeros((0, 8), np.uint8), "not one of shape"),
    ],
)
def test_arrays_without_a_clear_meaning_are_refused(array: np.ndarray, said: str, export: Export) -> None:
    loaded = load(export())

    with pytest.raises(ImageError, match=said):
        loaded.predict(array)


def test_one_bad_file_never_stops_the_rest(
    export: Export, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "cut.png").write_bytes((pictures / "grey.png").read_bytes()[:-300])
    (pictures / "words.jpg").write_text("no picture")
    clear = Pillow.fromarray(np.zeros((9, 9, 4), np.uint8))
    clear.putpixel((1, 1), (0, 0, 0, 9))
    clear.save(pictures / "veiled.png")
    Pillow.new("CMYK", (9, 9)).save(pictures / "print.jpg")
    exif = Pillow.Exif()
    exif[0x0112] = 6
    clear.convert("L").save(pictures / "lying.png", exif=exif)
    gone = tmp_path / "gone.png"

    code = run(["predict", str(export()), str(pictures), str(gone), "--out", str(tmp_path / "masks")])

    told = capsys.readouterr()
    assert code == 1
    assert told.out == f"17 masks in {tmp_path / 'masks'}, 6 inputs failed\n"
    failed = {line.split(": ")[1].rsplit("/", 1)[1]: line for line in told.err.splitlines()}
    assert sorted(failed) == ["cut.png", "gone.png", "lying.png", "print.jpg", "veiled.png", "words.jpg"]
    assert "alpha channel" in failed["veiled.png"]
    assert "No such file" in failed["gone.png"]
    assert "no PNG" in failed["words.jpg"]
    assert "EXIF orientation (6)" in failed["lying.png"]
    assert "CMYK" in failed["print.jpg"]
    assert len(list((tmp_path / "masks").iterdir())) == 17


def test_what_is_no_picture_is_named(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    (images / "deeper").mkdir(parents=True)
    Pillow.new("L", (9, 9)).save(images / "a.png")
    for name in ("slice.dcm", "notes.txt"):
        (images / name).touch()
    assert run(["predict", str(export()), str(images), "--out", str(tmp_path / "masks")]) == 0
    told = capsys.readouterr()
    assert told.err == f"Skipped in {images}, no pictures: deeper, notes.txt, slice.dcm.\n"
    assert told.out == f"1 mask in {tmp_path / 'masks'}\n"


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4) * 2 + b"\x08\0\0\0\0"
    (tmp_path / "bomb.png").write_bytes(header + zlib.crc32(header[12:]).to_bytes(4) + b"\0\0\0\0IDAT")

    with pytest.raises(ImageError, match="3600 million pixels"):
        read(tmp_path / "bomb.png")


@pytest.mark.parametrize("trouble", ["folder in use", "two of one name", "no pictures", "no model"])
def test_a_wrong_command_does_nothing(
    trouble: str, export: Export, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, given, out = export(), [pictures], tmp_path / "masks"
    if trouble == "folder in use":
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    elif trouble == "two of one name":
        Pillow.new("L", (9, 9)).save(tmp_path / "GREY.bmp")
        given.append(tmp_path / "GREY.bmp")
    elif trouble == "no pictures":
        given = [tmp_path / "empty"]
        given[0].mkdir()
    else:
        path = tmp_path / "other.onnx"

    assert run(["predict", str(path), *map(str, given), "--out", str(out)]) == 2

    said = {
        "folder in use": "is not empty",
        "two of one name": "the same mask",
        "no pictures": "holds no pictures",
        "no model": "no model",
    }
    assert said[trouble] in capsys.readouterr().err
    assert not out.exists() or [each.name for each in out.iterdir()] == ["mine.txt"]


def test_no_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        write_mask(tmp_path / "a.png", np.zeros((2, 2), np.uint8), 1)

    assert (tmp_path / "a.png").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_weights_in_another_file_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [4], [0.0] * 4)
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "other.bin", "offset": "0", "length": "16"}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    (tmp_path / "other.bin").write_bytes(bytes(16))
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("image", "labels")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "weights"], ["labels"])], "graph", ports[:1], ports[1:], [weights]
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ModelError, match="External data"):
        load("m.onnx")


def test_models_that_are_none_or_not_for_it(tmp_path: Path, export: Export) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="no ONNX file, or is damaged"):
        load(tmp_path / "no.onnx")
    content = bytearray(export().read_bytes())
    content[len(content) // 2] ^= 1  # of a weight
    (tmp_path / "damaged.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="its graph is not the one it was saved with"):
        load(tmp_path / "damaged.onnx")
    with pytest.raises(ModelError, match="none that Delineate exported"):
        described("m.onnx", {})
    with pytest.raises(ModelError, match="newer Delineate"):
        described("m.onnx", {"delineate": "{}", "delineate_format": "2"})
    with pytest.raises(ModelError, match="does not say"):
        described("m.onnx", {"delineate": "[]", "delineate_format": "1"})
    volumes = {"plan": json.loads(plan_of("volumes").model_dump_json())}
    with pytest.raises(UsageError, match="segments volumes"):
        described("m.onnx", {"delineate": json.dumps(volumes), "pixels": "float32", "channels": "last"})


@pytest.mark.parametrize(
    "content", [b"", b"\x3a", b"\x3a\x05abc", b"\x3b\x00", b"\xff" * 12, b"\x3a\x00\x3a\x00"]
)
def test_no_graph_is_found_in_other_bytes(content: bytes) -> None:
    assert graph_sha256(content) is None


def test_floats_of_their_own_units_take_no_integers(export: Export) -> None:
    values = plan_of("whole, one label").model_dump()
    values["data"]["pixels"] = "float"
    values["preprocessing"] |= {"normalization": "dataset", "mean": [40.0], "standard_deviation": [9.0]}
    plan = Plan.model_validate(values)
    card = {"plan": json.loads(plan.model_dump_json())}
    told = described("m", {"delineate": json.dumps(card), "pixels": "float32", "channels": "last"})

    assert not told.takes_integers
    assert not told.shares
    with pytest.raises(ImageError, match="units of their own"):
        Model(told, None).predict(np.zeros((8, 8), np.uint8))


@pytest.mark.slow
def test_installed_without_torch(export: Export, pictures: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", f"{SOURCE.parent}[tiff]"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"pip can install nothing here: {installed.stderr[-300:]}")
    path = export()

    done = subprocess.run(
        [python.with_name("delineate-runtime"), "predict", path, pictures, "--out", tmp_path / "masks"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    listed = subprocess.run(
        [python, "-m", "pip", "list"], env=environment, capture_output=True, text=True, check=True
    )

    assert done.returncode == 0, done.stderr
    assert "torch" not in listed.stdout
    exported = ExportedModel(read_onnx(path))
    for each in pictures.iterdir():
        with Pillow.open(tmp_path / "masks" / f"{each.stem}.png") as mask:
            np.testing.assert_array_equal(
                np.asarray(mask) > 0, exported.predict(each) == 1, err_msg=each.name
            )


@pytest.mark.parametrize(
    ("options", "shape", "said"),
    [
        ({"photometric": "minisblack"}, (3, 8, 9), "3 pages"),
        ({"photometric": "miniswhite"}, (8, 9), "no plain grey or RGB picture"),
        ({"photometric": "rgb", "extratags": [(274, "H", 1, 6, True)]}, (8, 9, 3), "its orientation"),
    ],
)
def test_tiffs_that_are_no_plain_pictures_are_refused(
    options: dict[str, object], shape: tuple[int, ...], said: str, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), **options)

    with pytest.raises(ImageError, match=said):
        read(tmp_path / "a.tif")


def test_a_stack_of_one_directory_is_no_picture(tmp_path: Path) -> None:
    said = "ImageJ=1.53t\nimages=5\nslices=5\n"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.uint8), metadata=None, description=said)

    with pytest.raises(ImageError, match="it is an ImageJ stack of 5 images"):
        read(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.full((8, 9), 3, np.uint8), imagej=True)
    assert read(tmp_path / "b.tif").tolist() == [[[3] * 9] * 8]


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_parts_that_are_missing_are_not_filled_with_zeros(
    compression: str | None, tile: tuple[int, int] | None, planar: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    stored = np.full((3, 40, 32) if planar == "separate" else (40, 32, 3), 7, np.uint8)
    tifffile.imwrite(
        path,
        stored,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        **({"tile": tile} if tile else {"rowsperstrip": 16}),
    )
    assert (read(path) == 7).all()
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags["TileByteCounts" if tile else "StripByteCounts"]
        parts = len(tag.value)
        tag.overwrite([*tag.value[:-1], 0])

    with pytest.raises(ImageError, match=f"only {parts - 1} of its {parts} parts are there"):
        read(path)
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags["TileByteCounts" if tile else "StripByteCounts"]
        tag.overwrite(tag.value[:-1])
    with pytest.raises(ImageError, match=f"only {parts - 1} of its {parts} parts are there"):
        read(path)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiffs_in_colour(planar: str, tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 65536, (3, 8, 9), dtype=np.uint16)
    stored = colours if planar == "separate" else np.moveaxis(colours, 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)

    np.testing.assert_array_equal(read(tmp_path / "a.tif"), colours)
