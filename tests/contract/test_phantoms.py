"""What every kind of phantom promises."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from delineate.phantoms import KINDS, Phantom, PhantomKind, generate, write

SIZE = (96, 96)
ADJUSTABLE = [kind for kind in KINDS.values() if kind.adjustable]
# share of the picture that is foreground, at 96×96, over many seeds
FOREGROUND_SHARE = {
    "noise": (0.45, 0.54),
    "ultrasound": (0.01, 0.12),
    "nuclei": (0.05, 0.35),
    "vessels": (0.03, 0.15),
    "organs": (0.09, 0.22),
}

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
adjustable = pytest.mark.parametrize("kind", ADJUSTABLE, ids=lambda kind: kind.name)


def draw(kind: PhantomKind, count: int, **options: float) -> list[Phantom]:
    return list(generate(kind.name, count, size=SIZE, **options))  # type: ignore[arg-type]  # seed is an int


def same(one: Phantom, other: Phantom) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)


def contrast_to_noise(kind: PhantomKind, phantom: Phantom) -> float:
    """Mean over labels of |target − rim about it| over their pooled deviation, of the green light."""
    light = phantom.image.astype(float)
    light = light if light.ndim == 2 else light[..., 1]
    ratios = []
    for label in kind.labels:
        target = phantom.mask == label.value
        rim = binary_dilation(target, iterations=4) & (phantom.mask == 0)
        spread = np.sqrt((light[target].var() + light[rim].var()) / 2)
        ratios.append(abs(light[target].mean() - light[rim].mean()) / spread)
    return float(np.mean(ratios))


def test_the_kinds_that_are_promised_are_there() -> None:
    assert set(KINDS) == set(FOREGROUND_SHARE) == {"noise", "ultrasound", "nuclei", "vessels", "organs"}


@every_kind
@pytest.mark.parametrize("size", [(50, 56), (200, 224), (240, 250), (61, 64)])
def test_image_and_mask_have_the_size_that_is_asked_for(kind: PhantomKind, size: tuple[int, int]) -> None:
    for phantom in generate(kind.name, 6, size=size):
        assert phantom.image.shape[:2] == phantom.mask.shape == size


@every_kind
def test_a_kind_describes_itself(kind: PhantomKind) -> None:
    assert KINDS[kind.name] is kind
    assert kind.description.strip() == kind.description
    assert "\n" not in kind.description
    assert len(kind.description) > 20


@every_kind
def test_a_seed_gives_the_same_bytes(kind: PhantomKind) -> None:
    assert all(map(same, draw(kind, 3, seed=5), draw(kind, 3, seed=5)))


@every_kind
def test_no_two_phantoms_are_alike_within_or_across_seeds(kind: PhantomKind) -> None:
    drawn = [*draw(kind, 3, seed=5), *draw(kind, 3, seed=6)]
    for one, other in itertools.combinations(drawn, 2):
        assert not np.array_equal(one.image, other.image)
        assert not np.array_equal(one.mask, other.mask)


@every_kind
def test_the_first_of_many_are_the_first_of_few(kind: PhantomKind) -> None:
    many = itertools.islice(generate(kind.name, 100, size=SIZE, seed=2), 4)
    assert all(same(one, other) for one, other in zip(many, draw(kind, 4, seed=2), strict=True))


@every_kind
@pytest.mark.parametrize("size", [(96, 96), (64, 112), (120, 80), (16, 16), (16, 90), (90, 16), (67, 131)])
def test_pictures_and_masks_have_the_size_asked_for(kind: PhantomKind, size: tuple[int, int]) -> None:
    phantom = next(generate(kind.name, 1, size=size))
    assert phantom.image.dtype == phantom.mask.dtype == np.uint8
    assert phantom.mask.shape == size
    assert phantom.image.shape in (size, (*size, 3))
    assert set(np.unique(phantom.mask)) <= set(range(len(kind.labels) + 1))
    assert phantom.image.std() > 5
    assert phantom.mask.any()


@every_kind
def test_the_kinds_own_size_is_taken_where_none_is_asked_for(kind: PhantomKind) -> None:
    assert next(generate(kind.name, 1)).mask.shape == kind.size


@every_kind
def test_every_label_is_there_in_the_great_majority(kind: PhantomKind) -> None:
    masks = np.stack([phantom.mask for phantom in draw(kind, 20, seed=9)])
    for label in kind.labels:
        assert (masks == label.value).any(axis=(1, 2)).mean() >= 0.9


@every_kind
def test_the_foreground_has_the_stated_share(kind: PhantomKind) -> None:
    low, high = FOREGROUND_SHARE[kind.name]
    shares = [(phantom.mask > 0).mean() for phantom in draw(kind, 20, seed=4)]
    assert low <= min(shares)
    assert max(shares) <= high


@adjustable
def test_the_truth_does_not_depend_on_the_difficulty(kind: PhantomKind) -> None:
    usual = draw(kind, 3)
    for changed in (draw(kind, 3, contrast=0.2), draw(kind, 3, noise=3.0), draw(kind, 3, noise=0.0)):
        for one, other in zip(usual, changed, strict=True):
            assert np.array_equal(one.mask, other.mask)
            assert not np.array_equal(one.image, other.image)


@adjustable
def test_lower_contrast_and_more_noise_lower_the_contrast_to_noise_ratio(kind: PhantomKind) -> None:
    def measured(**options: float) -> float:
        return float(np.mean([contrast_to_noise(kind, phantom) for phantom in draw(kind, 5, **options)]))

    usual = measured()
    assert measured(contrast=0.4) < 0.9 * usual
    assert measured(contrast=2.0) > 1.05 * usual
    assert measured(noise=4.0) < 0.9 * usual


@every_kind
def test_what_is_written_is_what_is_generated(kind: PhantomKind, tmp_path: Path) -> None:
    done: list[int] = []
    out = write(kind.name, tmp_path / "set", count=3, size=SIZE, seed=8, progress=done.append)
    assert out == tmp_path / "set"
    assert done == [1, 2, 3]
    step = 255 if len(kind.labels) == 1 else 1
    for number, phantom in enumerate(generate(kind.name, 3, size=SIZE, seed=8)):
        assert np.array_equal(read(out / "images" / f"image_{number}.png"), phantom.image)
        assert np.array_equal(read(out / "masks" / f"mask_{number}.png"), phantom.mask * step)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == [
        "dataset.json",
        *(f"{folder}s/{folder}_{number}.png" for folder in ("image", "mask") for number in range(3)),
    ]
    assert json.loads((out / "dataset.json").read_text()) == {
        "labels": {"background": 0} | {label.name: label.value * step for label in kind.labels},
        "phantom": {
            "kind": kind.name, "seed": 8, "count": 3, "size": [96, 96], "contrast": 1.0, "noise": 1.0,
        },
    }  # fmt: skip


def test_the_catalogue_is_quick_to_import() -> None:
    heavy = "{'scipy', 'PIL', 'torch', 'skimage', 'matplotlib'}"
    code = f"import sys, delineate.phantoms; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def read(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)
