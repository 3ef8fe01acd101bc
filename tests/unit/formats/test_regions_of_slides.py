"""Zarr folders and what OpenSlide reads, against what was written; and what is refused of them."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.errors import ImageError
from delineate.formats.regions import can_be_read, is_slide, is_zarr, open_regions
from delineate.formats.regions.openslide import OpenSlideRegions
from delineate.formats.stored import USUAL

Array = npt.NDArray[np.generic]


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return generator.random(shape).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def write(path: Path, pixels: Array, version: int = 3, **options: Any) -> None:
    array = zarr.create_array(path, shape=pixels.shape, dtype=pixels.dtype, zarr_format=version, **options)
    array[...] = pixels


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.integers(1, 90),
    st.integers(5, 90),
    st.sampled_from(["yx", "yxc", "cyx"]),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.integers(1, 40),
    st.sampled_from([2, 3, "sharded"]),
    st.data(),
)
def test_any_rectangle_of_an_array(
    tmp_path_factory: pytest.TempPathFactory,
    height: int,
    width: int,
    axes: str,
    dtype: str,
    chunk: int,
    version: int | str,
    places: st.DataObject,
) -> None:
    size = {"y": height, "x": width, "c": 3}
    shape = tuple(size[axis] for axis in axes)
    if axes == "cyx" and width <= 4:
        return
    chunks = tuple({"y": chunk, "x": 2 * chunk, "c": 2}[axis] for axis in axes)
    path = tmp_path_factory.mktemp("zarr") / "a.zarr"
    pixels = noise(shape, dtype)
    shards = {"shards": tuple(2 * each for each in chunks)} if version == "sharded" else {}
    names = {} if version == 2 else {"dimension_names": list(axes)}
    write(path, pixels, 2 if version == 2 else 3, chunks=chunks, **shards, **names)
    expected = pixels[None] if axes == "yx" else pixels.transpose([axes.index(axis) for axis in "cyx"])
    y, x = places.draw(st.integers(0, height - 1)), places.draw(st.integers(0, width - 1))
    tall, wide = places.draw(st.integers(1, height - y)), places.draw(st.integers(1, width - x))
    with open_regions(path) as regions:
        assert (regions.channels, *regions.size) == expected.shape
        found = regions.read(y, x, tall, wide)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected[:, y : y + tall, x : x + wide])


def ome(path: Path, levels: list[Array], version: int, axes: str = "tczyx", **more: Any) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=version)
    for at, pixels in enumerate(levels):
        write(path / str(at), pixels, version, chunks=(*[1] * (pixels.ndim - 2), 32, 32))
    units = {"y": "micrometer", "x": "micrometer"}
    multiscale = {
        "axes": [{"name": axis, "unit": units.get(axis, "")} for axis in axes],
        "datasets": [
            {
                "path": str(at),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1, 1, 1, 0.5 * 2**at, 0.25 * 2**at]}
                ],
            }
            for at in range(len(levels))
        ],
    } | more
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [multiscale]}} if version == 3
                       else {"multiscales": [multiscale]})  # fmt: skip


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(version: int, tmp_path: Path) -> None:
    pixels = noise((1, 3, 1, 101, 77))
    ome(tmp_path / "a.ome.zarr", [pixels, pixels[..., ::2, ::2]], version)
    with open_regions(tmp_path / "a.ome.zarr") as regions:
        assert regions.levels == ((101, 77), (51, 39))
        assert regions.spacing_mm == pytest.approx((0.0005, 0.00025))
        assert np.array_equal(regions.read(3, 5, 60, 70), pixels[0, :, 0, 3:63, 5:75])
        assert np.array_equal(regions.read(0, 0, 51, 39, 1), pixels[0, :, 0, ::2, ::2])


def test_the_first_picture_of_a_converted_slide(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w", zarr_format=2).attrs.update({"bioformats2raw.layout": 3})
    pixels = noise((1, 3, 1, 40, 50))
    ome(path / "0", [pixels], 2)
    ome(path / "1", [pixels[..., :9, :9]], 2)
    with open_regions(path) as regions:
        assert np.array_equal(regions.read(0, 0, 40, 50), pixels[0, :, 0])
        assert regions.notes == ("of its pictures the first was taken",)


def edited(path: Path, **changes: Any) -> None:
    file = next(each for each in (path / "zarr.json", path / ".zarray") if each.is_file())
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "changes", "reason"),
    [
        (2, {"filters": [{"id": "pickle"}]}, "compression .pickle."),
        (2, {"dtype": "|O"}, "kind of pixels"),
        (2, {"compressor": {"id": "json2"}}, "compression"),
        (3, {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]}, "compression"),
        (3, {"shape": [1 << 30, 1 << 30]}, "no side of more than"),
        (3, {"shape": [100, -1]}, "shape cannot be read"),
        (3, {"shape": [9, 9, 9]}, "its axes"),
        (3, {"data_type": "complex64"}, "kind of pixels"),
        (2, {"chunks": [100000, 100000], "shape": [100000, 100000]}, "chunks of 100000×100000"),
        (2, {"chunks": [600000, 512], "shape": [16, 512]}, "chunks of 600000×512"),
        (2, {"chunks": [75000, 64, 64], "shape": [1, 64, 64]}, "chunks of 64×64"),
    ],
)
def test_zarr_that_is_refused(version: int, changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write(path, noise((40, 50)), version, chunks=(16, 16))
    edited(path, **changes)
    with pytest.raises(ImageError, match=reason):
        open_regions(path)


def test_a_group_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    pixels = noise((1, 1, 1, 20, 20))
    write(tmp_path / "other", pixels, 2, chunks=(1, 1, 1, 20, 20))
    for told in ("../other", "/etc", "..\\other", 7, ""):
        path = tmp_path / "a.zarr"
        ome(path, [pixels], 2, datasets=[{"path": told}])
        with pytest.raises(ImageError, match="not in it"):
            open_regions(path)


def test_a_damaged_chunk_names_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write(path, noise((40, 50)), 3, chunks=(16, 16))
    chunk = path / "c" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with open_regions(path) as regions:
        assert regions.read(0, 0, 16, 50).shape == (1, 16, 50)
        with pytest.raises(ImageError, match="rows 16 to 31 cannot be read"):
            regions.read(16, 0, 16, 50)


def test_slides_by_openslide(tmp_path: Path) -> None:
    """OpenSlide knows a tiled TIFF by its content, whatever its name."""
    pixels = noise((300, 200, 3))
    path = tmp_path / "a.scn"
    with tifffile.TiffWriter(path) as writer:
        for step in (1, 2):
            writer.write(
                pixels[::step, ::step],
                tile=(64, 64),
                photometric="rgb",
                subfiletype=int(step > 1),
                resolution=(20000 / step, 40000 / step),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    with open_regions(path) as regions:
        assert isinstance(regions, OpenSlideRegions)
        assert regions.levels == ((300, 200), (150, 100))
        assert regions.rows_at_once == 64
        assert regions.spacing_mm == pytest.approx((0.00025, 0.0005))
        assert np.array_equal(regions.read(17, 5, 200, 190), pixels.transpose(2, 0, 1)[:, 17:217, 5:195])
        assert np.array_equal(regions.read(0, 0, 150, 100, 1), pixels[::2, ::2].transpose(2, 0, 1))


def test_what_a_scanner_left_out_is_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.scn"
    tifffile.imwrite(path, noise((64, 64, 3)), tile=(64, 64), photometric="rgb", metadata=None)
    with open_regions(path) as regions:
        assert isinstance(regions, OpenSlideRegions)
        part = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [100, 0, 200, 51]]], np.uint8)
        monkeypatch.setattr(regions._slide, "read_region", lambda *_: part)
        found = regions.read(0, 0, 1, 3).transpose(1, 2, 0)
    # a fifth of the colour and four fifths of white: 0.2 · 100 + 0.8 · 255 = 224
    assert found.tolist() == [[[10, 20, 30], [255, 255, 255], [224, 204, 244]]]


def test_damaged_slides(tmp_path: Path) -> None:
    (tmp_path / "a.ndpi").write_bytes(b"nothing of a slide")
    with pytest.raises(ImageError, match="no slide that OpenSlide can read"):
        open_regions(tmp_path / "a.ndpi")
    (tmp_path / "a.svs").write_bytes(b"II*\0nothing")
    with pytest.raises(ImageError):
        open_regions(tmp_path / "a.svs")


@pytest.mark.parametrize("missing", ["zarr", "openslide"])
def test_without_the_extra(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return real(name, *arguments, **options)

    path = tmp_path / ("a.zarr" if missing == "zarr" else "a.mrxs")
    if missing == "zarr":
        write(path, noise((40, 50)), 3, chunks=(16, 16))
    else:
        path.touch()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImageError, match=r"what reads it: pip install .*zarr"):
        open_regions(path, USUAL)


def test_what_can_be_read_in_parts(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", noise((40, 50)), 2, chunks=(16, 16))
    tifffile.imwrite(tmp_path / "b.dat", noise((40, 50)))
    (tmp_path / "c.tif").write_bytes(b"\x89PNG")
    assert [is_zarr(tmp_path / name) for name in ("a.zarr", "b.dat", "none")] == [True, False, False]
    assert [is_slide(Path(name)) for name in ("a.SVS", "a.ndpi", "a.tif", "a.png")] == [
        True,
        True,
        False,
        False,
    ]
    assert [can_be_read(tmp_path / name) for name in ("a.zarr", "b.dat", "c.tif", "d.svs", "none.tif")] == [
        True, True, False, True, False,
    ]  # fmt: skip
