"""Pictures that are not held in memory: when they are taken so, what is written, and going on with it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import openslide
import pytest
import tifffile
import zarr
from large_cases import blobs, model_of, save_tiled, save_to
from PIL import Image as Pillow

from delineate import formats
from delineate.errors import Interrupted, OutputError, UsageError
from delineate.files import sole_use
from delineate.formats import Reading, pyramid_writing
from delineate.formats.tile_spool import TILE_PX
from delineate.inference.model import Model
from delineate.jobs import large_route, prediction
from delineate.jobs.reporter import Reporter
from delineate.jobs.unfinished import engine_of

SMALL = Reading(maximum_megapixels=0.01)


class Listening(Reporter):
    """What was said; stops at a row of the image if that is wanted, but in none whose name has `spared`."""

    def __init__(self, stop_at: float = 2.0, spared: str = "no image") -> None:
        self.said: list[str] = []
        self.shares: list[float] = []
        self.stop_at, self.spared = stop_at, spared

    def say(self, text: str) -> None:
        self.said.append(text)

    def megapixels(self, name: str, done: float, total: float, per_second: float) -> None:
        self.shares.append(done / total)
        if done / total >= self.stop_at and self.spared not in name:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of(size=(32, 32))


def values(path: Path) -> npt.NDArray[np.generic]:
    found: npt.NDArray[np.generic] = tifffile.imread(path, series=0, level=0)
    return found


def manifest(out: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["files"]
    return told


@pytest.mark.parametrize("labels", [("lesion",), ("a", "b")])
def test_labels_and_probabilities_as_in_memory(labels: tuple[str, ...], tmp_path: Path) -> None:
    model = model_of(labels=labels, size=(32, 32))
    path = save_tiled(tmp_path / "a.tif", np.tile(blobs(90, 90), (6, 1)))
    held = model.found_in(formats.read(path), keep_probabilities=True)
    listening = Listening()
    made = prediction.predict(
        model, path, tmp_path / "out", probabilities=True, overlay=True, reading=SMALL, reporter=listening
    )
    assert made.messages == ()
    assert "more than 0.01 million pixels" in listening.said[0]
    assert listening.shares[-1] == 1
    found = values(tmp_path / "out" / "a.tif")
    expected = held.mask.values * (255 if len(labels) == 1 else 1)
    assert (found != expected).mean() <= 1e-4
    assert held.probabilities is not None
    shares = tifffile.imread(tmp_path / "out" / "probabilities" / "a.tif")
    assert np.allclose(shares.reshape(held.probabilities.shape), held.probabilities, atol=2e-5)
    told = manifest(tmp_path / "out")[0]
    assert told["label_values"] == ({"lesion": 255} if len(labels) == 1 else {"a": 1, "b": 2})
    for at, label in enumerate(labels, start=1):
        assert told["label_share"][label] == pytest.approx((held.mask.values == at).mean(), abs=1e-4)
    overlay = Pillow.open(tmp_path / "out" / "overlays" / "a.png")
    assert overlay.height / overlay.width == pytest.approx(540 / 90, rel=0.05)
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "a.tif", "manifest.json", "overlays", "probabilities",
    ]  # fmt: skip


def test_a_pyramid_that_others_read(model: Model, tmp_path: Path) -> None:
    pixels = np.tile(blobs(100, 100), (11, 13))
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, tile=(64, 64), resolution=(20000, 40000), resolutionunit="CENTIMETER"
    )
    prediction.predict(model, tmp_path / "a.tif", tmp_path / "out", reading=SMALL)
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        assert [level.shape for level in file.series[0].levels] == [(1100, 1300), (550, 650), (275, 325)]
        pages = [file.pages[at] for at in range(3)]
        assert all(page.is_tiled and page.compression == 8 for page in pages)
        finest = pages[0].asarray()
        half = pages[1].asarray()
    slide = openslide.OpenSlide(tmp_path / "out" / "a.tif")
    assert slide.level_dimensions == ((1300, 1100), (650, 550), (325, 275))
    assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
    assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25)
    assert np.array_equal(np.asarray(slide.read_region((0, 0), 0, (1300, 1100)))[..., 0], finest)
    four = finest.reshape(550, 2, 650, 2).swapaxes(1, 2).reshape(550, 650, 4)
    white = (four == 255).sum(-1)
    assert np.array_equal(half, np.where(white >= 2, 255, 0))  # of equals the greater


def test_the_most_frequent_of_four_by_hand() -> None:
    labels = np.array([[1, 1, 0, 3, 2, 1], [0, 2, 3, 0, 4, 3]], np.uint8)
    assert pyramid_writing.reduced(labels).tolist() == [[1, 3, 4]]


def test_pyramids_and_zarr_take_the_way_by_themselves(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = blobs(90, 70)
    with tifffile.TiffWriter(folder / "a.tif") as writer:
        writer.write(pixels, tile=(32, 32), metadata=None)
        writer.write(pixels[::2, ::2], tile=(32, 32), subfiletype=1, metadata=None)
    zarr.save_array(folder / "b.zarr", pixels)
    Pillow.fromarray(pixels).save(folder / "c.png")
    tifffile.imwrite(folder / "d.svs", pixels, tile=(32, 32), metadata=None)
    listening = Listening()
    made = prediction.predict(model, folder, tmp_path / "out", reporter=listening)
    assert [file.mask for file in made.files] == ["a.tif", "b.tif", "c.png", "d.tif"]
    assert "2 resolutions" in listening.said[0]
    held = model.predict(pixels) * np.uint8(255)
    for name in ("a.tif", "b.tif", "d.tif"):
        assert (values(tmp_path / "out" / name) != held).sum() <= 1
    assert made.files[2].notes == ()


def test_a_tiff_that_the_usual_way_refuses_is_not_read_in_parts(model: Model, tmp_path: Path) -> None:
    pixels = np.stack([blobs(90, 70), blobs(90, 70, seed=1)])
    with tifffile.TiffWriter(tmp_path / "scenes.ome.tif") as writer:
        for scene in pixels:
            writer.write(scene, metadata={"axes": "YX"})
    stack = "ImageJ=1.53t\nimages=5\nslices=5\n"
    tifffile.imwrite(tmp_path / "stack.tif", pixels[0], metadata=None, description=stack)
    tifffile.imwrite(tmp_path / "2000.tif", pixels[0], tile=(32, 32), compression="jpeg2000", metadata=None)
    made = prediction.predict(model, tmp_path, tmp_path / "out")
    assert [(Path(file.input[0]).name, file.status) for file in made.files] == [
        ("2000.tif", "done"), ("scenes.ome.tif", "failed"), ("stack.tif", "failed"),
    ]  # fmt: skip
    assert "as TIFF of this kind is read" in made.files[0].notes[0]
    assert "it holds 2 pictures (OME images)" in str(made.files[1].reason)
    assert "pages are missing at its end" in str(made.files[2].reason)


def test_by_the_memory(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_tiled(tmp_path / "a.tif", blobs(90, 70))
    picture = tmp_path / "b.png"
    Pillow.fromarray(blobs(90, 70)).save(picture)
    monkeypatch.setattr(large_route, "PROGRAM_BYTES", 2 << 30)
    made = prediction.predict(model, [path, picture], tmp_path / "out", memory_bytes=2 << 30)
    assert made.files[0].mask == "a.tif"
    assert "--memory allows" in made.files[0].notes[0]
    assert "vips tiffsave" in str(made.files[1].reason)
    monkeypatch.setattr(large_route, "reachable_bytes", lambda: 3 << 30)
    made = prediction.predict(model, [path, picture], tmp_path / "free")
    assert "half of the free memory" in made.files[0].notes[0]
    assert made.files[1].mask == "b.png"  # what fits, if only just, is held
    made = prediction.predict(model, path, tmp_path / "little", memory_bytes=600 << 20)
    assert "window by window, too, it would take about" in str(made.files[0].reason)


@pytest.mark.parametrize(("memory_bytes", "said"), [(1000, "0.001 MB"), ((600 << 20) - 1, "629 MB")])
def test_less_memory_than_the_program_takes_is_refused(
    model: Model, tmp_path: Path, memory_bytes: int, said: str
) -> None:
    with pytest.raises(UsageError, match=f"allows {said}, but the program alone takes 629 MB"):
        prediction.predict(model, tmp_path, tmp_path / "out", memory_bytes=memory_bytes)
    assert not (tmp_path / "out").exists()


def test_what_is_decoded_whole_is_refused_with_a_way_out(model: Model, tmp_path: Path) -> None:
    Pillow.fromarray(blobs(200, 170)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", blobs(200, 170), metadata=None)
    made = prediction.predict(
        model, [tmp_path / "a.png", tmp_path / "b.tif"], tmp_path / "out", reading=SMALL
    )
    assert [file.status for file in made.files] == ["failed", "done"]
    reason = str(made.files[0].reason)
    assert "200×170 are 0.034 million pixels" in reason
    assert "decoded as a whole" in reason
    assert "vips tiffsave INPUT OUTPUT.tif --tile --compression deflate" in reason


def test_of_a_large_volume_the_limit_is_told(model: Model, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((30, 20, 40), np.uint8), np.eye(4)), tmp_path / "a.nii")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((40, 20, 30), np.uint8), photometric="minisblack")
    made = prediction.predict(
        model, [tmp_path / "a.nii", tmp_path / "b.tif"], tmp_path / "out", reading=SMALL
    )
    reason = (
        "the volume is too large: 40×20×30 are 0.024 million voxels, and at most 0.01 million are read. "
        "If that is meant, raise --max-megapixels"
    )
    assert [file.reason for file in made.files] == [reason, reason]


def test_its_mask_is_a_tiff(model: Model, tmp_path: Path) -> None:
    path = save_tiled(tmp_path / "a.tif", blobs(200, 170))
    made = prediction.predict(model, path, tmp_path / "out", reading=SMALL, mask_format="png")
    assert made.messages == (f"{path}: its mask is written as a tiled TIFF: omit --format png",)
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["manifest.json"]


@pytest.fixture
def tall(tmp_path: Path) -> Path:
    return save_tiled(tmp_path / "Meier_Hans_1961.tif", np.tile(blobs(100, 100), (18, 1)))


def stopped(model: Model, tall: Path, out: Path, at: float, *, anonymous: bool = False) -> None:
    with pytest.raises(Interrupted, match=r"kept in .*unfinished\. Go on with the same command") as raised:
        prediction.predict(model, tall, out, reading=SMALL, reporter=Listening(at), anonymous=anonymous)
    assert raised.value.exit_code == 130


def test_gone_on_with(model: Model, tall: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    prediction.predict(model, tall, whole, reading=SMALL)
    stopped(model, tall, out, 0.7, anonymous=True)
    assert not json.loads((out / "manifest.json").read_text(encoding="utf-8"))["complete"]
    kept = out / "unfinished"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert all("Meier" not in path.name for path in kept.rglob("*"))
    assert all(b"Meier" not in path.read_bytes() for path in kept.rglob("*") if path.is_file())
    listening = Listening()
    made = prediction.predict(model, tall, out, reading=SMALL, reporter=listening, anonymous=True)
    assert f"at row {2 * TILE_PX:,} of 1,800" in listening.said[1]
    assert min(listening.shares) > 0.5
    assert not kept.exists()
    name = str(made.files[0].mask)
    assert name.startswith("case-")
    first = manifest(whole)[0]
    assert manifest(out)[0] | {"mask": None, "input": None} == first | {"mask": None, "input": None}
    assert (out / name).read_bytes() == (whole / first["mask"]).read_bytes()


def test_what_was_begun_for_want_of_memory_goes_on_so_with_more_of_it(
    model: Model, tall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = save_tiled(tmp_path / "other.tif", np.tile(blobs(100, 100, seed=4), (11, 1)))
    inputs, whole, out = [other, tall], tmp_path / "whole", tmp_path / "out"
    with monkeypatch.context() as little:
        little.setattr(large_route, "held_bytes", lambda *_: 1 << 60)
        prediction.predict(model, inputs, whole)
        with pytest.raises(Interrupted):
            prediction.predict(model, inputs, out, reporter=Listening(0.7, spared="other"))
    written = (out / "other.tif").stat().st_mtime_ns
    made = prediction.predict(model, inputs, out)
    assert [file.mask for file in made.files] == [file["mask"] for file in manifest(whole)]
    assert (out / "other.tif").stat().st_mtime_ns == written
    for name in ("other.tif", str(made.files[1].mask)):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert not (out / "unfinished").exists()
    assert not list(out.glob("*.png"))


def test_a_folder_that_another_command_writes_is_refused(model: Model, tall: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stopped(model, tall, out, 0.7)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with sole_use(out), pytest.raises(OutputError, match="is being written by another command"):
        prediction.predict(model, tall, out, reading=SMALL)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept


def test_images_that_are_done_are_not_done_again(model: Model, tall: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Pillow.fromarray(blobs(30, 30)).save(small)
    other = save_tiled(tmp_path / "other.tif", np.tile(blobs(100, 100, seed=4), (11, 1)))
    inputs, out = [small, other, tall], tmp_path / "out"
    with pytest.raises(Interrupted):
        prediction.predict(model, inputs, out, reading=SMALL, reporter=Listening(0.4, spared="other"))
    written = (out / "other.tif").stat().st_mtime_ns
    made = prediction.predict(model, inputs, out, reading=SMALL)
    assert (out / "other.tif").stat().st_mtime_ns == written
    assert len(made.done) == 3
    prediction.predict(model, inputs, tmp_path / "whole", reading=SMALL)
    notes = [[file["notes"] for file in manifest(each)] for each in (out, tmp_path / "whole")]
    assert notes[0] == notes[1]


def test_unfinished_work_belongs_to_its_command(model: Model, tall: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stopped(model, tall, out, 0.7)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other: dict[str, Any]
    for why, other in (
        ("model", {"model": model_of(size=(32, 32), seed=9)}),
        ("model", {"model": model.with_mirroring(not model.plan.prediction.mirror)}),
        ("choice of --overlay, --probabilities", {"probabilities": True}),
        ("choice of --overlay, --probabilities", {"anonymous": True}),
        ("list of inputs", {"inputs": [tall, tall]}),
    ):
        asked: dict[str, Any] = {"model": model, "inputs": tall, "out": out, "reading": SMALL} | other
        with pytest.raises(OutputError, match=f"begun with another {why}"):
            prediction.predict(**asked)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept
    content = tall.read_bytes()
    save_tiled(tall, np.tile(blobs(100, 100, seed=8), (18, 1)))
    made = prediction.predict(model, tall, out, reading=SMALL)
    key = next(path.name for path in (out / "unfinished").iterdir() if path.is_dir())
    assert f"the file has been changed since: remove unfinished/{key} there" in str(made.files[0].reason)
    tall.write_bytes(content)  # brought back, it is gone on with
    listening = Listening()
    assert prediction.predict(model, tall, out, reading=SMALL, reporter=listening).messages == ()
    assert "taken up again" in listening.said[1]


def test_it_is_gone_on_with_by_the_engine_it_was_begun_with(
    model: Model, tall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = save_to(tmp_path / "model.safetensors", model), tmp_path / "out"
    with pytest.raises(Interrupted):
        prediction.predict(path, tall, out, reading=SMALL, engine="onnxruntime", reporter=Listening(0.7))
    assert engine_of(out) == ("onnxruntime", "fp32")
    monkeypatch.setattr("delineate.inference.engines.choice.choose", None)  # nothing is chosen anew
    listening = Listening()
    made = prediction.predict(path, tall, out, reading=SMALL, reporter=listening)
    assert made.messages == ()
    assert "Computed by onnxruntime in fp32." in listening.said
    assert any("taken up again" in text for text in listening.said)
    assert engine_of(out) is None


def test_a_damaged_state_tells_no_engine(tmp_path: Path) -> None:
    (tmp_path / "unfinished").mkdir()
    for settings in ("[]", '{"engine": 3}', '{"engine": "abacus fp32 cpu"}', '{"engine": "torch"}'):
        (tmp_path / "unfinished" / "state.json").write_text(f'{{"settings": {settings}}}', encoding="utf-8")
        assert engine_of(tmp_path) is None


@pytest.mark.parametrize("damage", ["cut", "state"])
def test_damaged_unfinished_work_is_not_gone_on_with(
    model: Model, tall: Path, tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "out"
    stopped(model, tall, out, 0.7)
    spool = next(out.rglob("labels.tiles"))
    if damage == "cut":
        spool.write_bytes(spool.read_bytes()[:-5])
        made = prediction.predict(model, tall, out, reading=SMALL)
        assert "is damaged: remove that" in str(made.files[0].reason)
    else:
        (spool.parent / "state.json").write_text('{"format": 1, "saved"', encoding="utf-8")
        assert prediction.predict(model, tall, out, reading=SMALL).messages == ()


def test_a_broken_tile_is_an_error_of_its_image(model: Model, tall: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(tall.read_bytes())
    with tifffile.TiffFile(broken) as file:
        offset, count = file.pages[0].dataoffsets[141], file.pages[0].databytecounts[141]
    with broken.open("r+b") as stream:
        stream.seek(offset)
        stream.write(os.urandom(count))
    made = prediction.predict(model, [broken, tall], tmp_path / "out", reading=SMALL)
    assert [file.status for file in made.files] == ["failed", "done"]
    assert "the tile at rows 1120 to 1151 and columns 32 to 63 cannot be read" in str(made.files[0].reason)
    assert not (tmp_path / "out" / "unfinished").exists()
    assert not (tmp_path / "out" / "broken.tif").exists()


def test_values_that_do_not_fit_are_found_on_the_way(tmp_path: Path) -> None:
    pixels = np.tile(blobs(100, 100), (8, 1)).astype(np.float32) / 255
    pixels[700, 7] = np.nan
    path = save_tiled(tmp_path / "a.tif", pixels)
    made = prediction.predict(model_of(size=(32, 32)), path, tmp_path / "out", reading=SMALL)
    assert "not numbers" in str(made.files[0].reason)
    pixels[700, 7] = 3
    save_tiled(path, pixels)
    made = prediction.predict(model_of(size=(32, 32)), path, tmp_path / "out-2", reading=SMALL)
    assert "float pixels from" in str(made.files[0].reason)
