"""The cache: the values that were there, wherever they lie."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from delineate.errors import DataError, OutputError
from delineate.image import IGNORED, Image, LabelSet, Mask
from delineate.inference.preprocess import resize, to_working
from delineate.plan import Plan
from delineate.training import cache
from delineate.training.cache import CachedCase, Store, build_cache

LABELS = LabelSet.of("a", "b", "c")
PlanMaker = Callable[..., Plan]


def case(
    height: int, width: int, dtype: type[np.generic] = np.uint8, channels: int = 1, seed: int = 0
) -> tuple[str, Image, Mask]:
    generator = np.random.default_rng(seed)
    pixels: npt.NDArray[np.generic]
    if dtype is np.float32:
        pixels = generator.normal(size=(channels, height, width)).astype(np.float32)
    else:
        most = 2 ** (8 * np.dtype(dtype).itemsize)
        pixels = generator.integers(0, most, (channels, height, width)).astype(dtype)
    values = generator.integers(0, 4, (height, width)).astype(np.uint8)
    return f"case {seed}", Image(pixels), Mask(values, LABELS)


def cached(
    plan: Plan, folder: Path, *cases: tuple[str, Image, Mask], memory_bytes: int = 1 << 20
) -> list[CachedCase]:
    return build_cache(cases, plan, Store(folder, memory_bytes))


@pytest.mark.parametrize("normalization", ["unit", "dataset", "image"])
def test_eight_bit_pixels_and_masks_are_kept_exactly(
    tiny_plan: PlanMaker, tmp_path: Path, normalization: str
) -> None:
    numbers = {"mean": [0.4, 0.5], "standard_deviation": [0.2, 0.3]} if normalization == "dataset" else {}
    plan = tiny_plan(labels=3, channels=2, preprocessing={"normalization": normalization, **numbers})
    name, image, mask = case(16, 16, channels=2)
    image.pixels.reshape(-1)[:256] = np.arange(256)  # every value is there
    (kept,) = cached(plan, tmp_path, (name, image, mask))
    assert kept.name == "case 0"
    assert kept.pixels.dtype == torch.uint8
    assert np.array_equal(kept.pixels.numpy(), image.pixels)
    assert np.array_equal(kept.mask.numpy(), mask.values)
    assert torch.allclose(kept.normalized(), to_working(image, plan).normalized(), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deeper_pixels_are_kept_in_units(
    tiny_plan: PlanMaker, tmp_path: Path, dtype: type[np.generic]
) -> None:
    pixels = "float" if dtype is np.float32 else "integer"
    plan = tiny_plan(labels=3, data={"pixels": pixels})
    name, image, mask = case(16, 16, dtype)
    (kept,) = cached(plan, tmp_path, (name, image, mask))
    assert kept.pixels.dtype == torch.float32
    assert np.array_equal(kept.pixels.numpy(), image.units())
    assert torch.equal(kept.normalized(), to_working(image, plan).normalized())


def test_resized_eight_bit_pixels_are_rounded_to_their_nearest_value(
    tiny_plan: PlanMaker, tmp_path: Path
) -> None:
    name, image, mask = case(40, 28)
    (kept,) = cached(tiny_plan(labels=3), tmp_path, (name, image, mask))
    exact = resize(torch.from_numpy(image.units()), (16, 16)) * 255
    assert (kept.pixels.float() - exact).abs().max() <= 0.5 + 1e-3
    assert set(kept.mask.flatten().tolist()) <= {0, 1, 2, 3}


def test_a_padded_case_repeats_its_edge_where_nothing_is_scored(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    plan = tiny_plan(labels=3, preprocessing={"fit": "pad", "size": [16, 32]})
    (kept,) = cached(plan, tmp_path, case(16, 20))
    _, image, mask = case(16, 20)
    assert kept.pixels.shape == (1, 16, 32)
    assert np.array_equal(kept.pixels[..., :20].numpy(), image.pixels)
    assert np.array_equal(kept.pixels[..., 20:].numpy(), np.repeat(image.pixels[..., 19:], 12, axis=2))
    assert np.array_equal(kept.mask[:, :20].numpy(), mask.values)
    assert (kept.mask[:, 20:] == IGNORED).all()


def test_patches_keep_the_images_own_size(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    plan = tiny_plan(labels=3, preprocessing={"mode": "patch", "size": [16, 16]})
    kept = cached(plan, tmp_path, case(31, 9), case(16, 50, seed=1))
    for one, (_, image, mask) in zip(kept, (case(31, 9), case(16, 50, seed=1)), strict=True):
        assert np.array_equal(one.pixels.numpy(), image.pixels)
        assert np.array_equal(one.mask.numpy(), mask.values)


@pytest.mark.parametrize("memory_bytes", [0, 256, 600, 1 << 20])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_does_not_fit_into_memory_is_the_same_from_a_file(
    tiny_plan: PlanMaker, tmp_path: Path, memory_bytes: int, dtype: type[np.generic]
) -> None:
    plan = tiny_plan(labels=3)
    cases = [case(16, 16, dtype, seed=seed) for seed in range(3)]
    inside, spilled = (
        cached(plan, tmp_path, *cases),
        cached(plan, tmp_path, *cases, memory_bytes=memory_bytes),
    )
    for one, other in zip(inside, spilled, strict=True):
        assert one.name == other.name
        assert one.pixels.dtype == other.pixels.dtype
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.mask, other.mask)
        assert torch.equal(one.normalized(), other.normalized())
    assert list(tmp_path.iterdir()) == []  # the file has no name and goes with the process


def test_the_store_says_where_its_values_lie(tmp_path: Path) -> None:
    store, tensor = Store(tmp_path, 100), torch.arange(60, dtype=torch.uint8)
    assert store.keep(tensor) is tensor
    beyond = store.keep(tensor)
    assert beyond is not tensor
    assert torch.equal(beyond, tensor)
    tensor.zero_()
    assert beyond[59] == 59


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Cannot write .*gone: No such file"):
        Store(tmp_path / "gone", 0).keep(torch.zeros(4))


def open_files() -> list[int]:
    """The numbers of this process's open files, with one for looking at them."""
    return [int(path.name) for path in Path("/dev/fd").iterdir()]


@pytest.fixture
def few_open_files() -> Iterator[None]:
    """Not many more files may be open than already are."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(open_files())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_open_files")
def test_many_tensors_need_few_open_files(tmp_path: Path) -> None:
    store = Store(tmp_path, 0)
    shapes = [(number % 7 + 1, 3) for number in range(300)]
    kept = [store.keep(torch.full(shape, number)) for number, shape in enumerate(shapes)]
    for number, (tensor, shape) in enumerate(zip(kept, shapes, strict=True)):
        assert torch.equal(tensor, torch.full(shape, number))
        assert tensor.data_ptr() % 64 == 0


def test_a_full_file_is_followed_by_a_longer_one_and_none_outlives_its_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "FIRST_SPILL_BYTES", 1000)
    monkeypatch.setattr(cache, "MOST_SPILL_BYTES", 4000)
    before = len(open_files())
    store = Store(tmp_path, 0)
    kept = [store.keep(torch.full((100,), number, dtype=torch.uint8)) for number in range(100)]
    kept.append(store.keep(torch.arange(9000)))  # longer than any file would be
    kept.append(store.keep(torch.tensor([7.5])))
    assert [tensor[0].item() for tensor in kept] == [*range(100), 0, 7.5]
    assert all((tensor == number).all() for number, tensor in enumerate(kept[:100]))
    assert torch.equal(kept[100], torch.arange(9000))
    # mapped: 1000, 2000 and 4000 bytes three times, one of its own and the last; that one is still open
    assert len(open_files()) - before == 7 + 1
    kept.clear()
    del store
    assert len(open_files()) == before


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files may not grow beyond 4 KiB: what a full disk does to a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_write_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File too large"):
        Store(tmp_path, 0).keep(torch.zeros(100_000))


def test_a_case_that_does_not_fit_is_named(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^Case case 4 does not fit the plan: it has 2 channels, but 1"):
        cached(tiny_plan(), tmp_path, case(16, 16), case(16, 16, channels=2, seed=4))
