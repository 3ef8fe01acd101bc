"""Masks of volumes: on the volume's own grid however it is stored, seen as in training, within the memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from volume_cases import ORIENTATIONS, PLACED, Brightness, Kind, net, noise, volume, volume_plan

from delineate.errors import DataError
from delineate.geometry import Geometry, turn_to
from delineate.image import Image, oriented
from delineate.inference import memory, volumes
from delineate.inference.engines import TorchEngine
from delineate.inference.hardware import ProcessMemory
from delineate.inference.predict import predictor_of, probabilities
from delineate.inference.preprocess import resize, slices, to_working
from delineate.inference.volumes import VolumePrediction, needed_bytes, predict_volume
from delineate.inference.windows import slabs_of_windows
from delineate.plan import Plan

KINDS: list[Kind] = ["volumes", "slices", "whole slices"]
SPL = {"orientation": "SPL"}
Values = npt.NDArray[np.float64]


def stored(image: Image, orientation: str) -> Image:
    """The same anatomy, stored with its axes in another order and sense."""
    return oriented(image, orientation)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [1, 3])
def test_mask_and_probabilities_lie_on_the_volumes_own_grid(kind: Kind, labels: int) -> None:
    plan = volume_plan(kind, labels=labels, preprocessing=SPL)
    image = stored(volume(noise(6, 18, 11), PLACED), "LAI")
    assert image.size == (11, 18, 6)
    found = predict_volume(TorchEngine(net(plan)), plan, image, keep_probabilities=True)
    assert found.values.shape == image.size
    assert found.values.dtype == np.uint8
    assert found.probabilities is not None
    assert found.probabilities.shape == (labels, *image.size)
    assert found.probabilities.dtype == np.float16
    chances = found.probabilities.astype(np.float32)
    assert 0 <= chances.min() <= chances.max() <= 1
    if labels == 1:
        sure = abs(chances[0] - 0.5) > 1e-3
        assert np.array_equal(found.values[sure], (chances[0] > 0.5)[sure])
    else:
        every = np.concatenate([1 - chances.sum(0, keepdims=True), chances])
        sure = np.diff(np.sort(every, 0)[-2:], axis=0)[0] > 1e-2
        assert sure.mean() > 0.5
        assert np.array_equal(found.values[sure], every.argmax(0)[sure])
    for array in (found.values, found.probabilities):
        assert array.flags.c_contiguous


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20)), st.sampled_from(KINDS))
def test_a_volume_of_any_size_gets_a_mask_of_its_size(size: tuple[int, int, int], kind: Kind) -> None:
    plan = volume_plan(kind)
    found = predict_volume(TorchEngine(Brightness()), plan, volume(noise(*size)))
    assert found.values.shape == size
    if kind != "whole slices":  # a net that knows each voxel by itself is reproduced
        assert np.array_equal(found.values, (noise(*size) >= 0.5).astype(np.uint8))
    assert found.probabilities is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_however_it_is_stored_the_same_anatomy_gives_the_same_mask(kind: Kind, orientation: str) -> None:
    # a net that looks at neighbours and has no symmetry, in 48 orientations: the same bits at the same places
    plan = volume_plan(kind, labels=2, preprocessing=SPL)
    network, image = net(plan), volume(noise(5, 12, 9), PLACED)
    upright = predict_volume(TorchEngine(network), plan, image, keep_probabilities=True)
    turned = stored(image, orientation)
    found = predict_volume(TorchEngine(network), plan, turned, keep_probabilities=True)
    turn = turn_to(PLACED, orientation)
    assert upright.probabilities is not None
    assert found.probabilities is not None
    assert found.values.shape == turned.size
    assert len(np.unique(found.values)) > 1
    assert np.array_equal(found.values, turn.apply(upright.values))
    assert np.array_equal(found.probabilities, turn.apply(upright.probabilities))


@pytest.mark.parametrize("orientation", ["SPL", "IAR", "LSP", "PLI", "RIA"])
def test_a_resampled_volume_too_is_the_same_however_it_is_stored(orientation: str) -> None:
    plan = volume_plan("volumes", labels=2, preprocessing=SPL | {"spacing_mm": [1.5, 1.4, 0.8]})
    network, image = net(plan), volume(noise(7, 12, 15), PLACED)
    upright = predict_volume(TorchEngine(network), plan, image).values
    found = predict_volume(TorchEngine(network), plan, stored(image, orientation)).values
    assert len(np.unique(upright)) > 1
    assert np.array_equal(found, turn_to(PLACED, orientation).apply(upright))


def ball(geometry: Geometry, size: tuple[int, ...], centre_mm: tuple[float, ...], radius_mm: float) -> Values:
    """1 inside a ball in the patient, 0 outside, softly at its edge."""
    index = np.stack([*np.indices(size).astype(float), np.ones(size)])
    away = np.tensordot(geometry.affine()[:3], index, 1) - np.reshape(centre_mm, (3, 1, 1, 1))
    soft: Values = np.clip(0.5 + (radius_mm - np.linalg.norm(away, axis=0)) / 2, 0, 1)
    return soft


@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0, 1.0), (0.7, 1.3, 0.9), (3.0, 2.0, 2.0)])
@pytest.mark.parametrize("turned", [0.0, 0.3])
def test_what_lies_at_a_place_in_the_patient_is_found_there(
    spacing_mm: tuple[float, float, float] | None, turned: float
) -> None:
    cos, sin = np.cos(turned), np.sin(turned)
    directions = ((0.0, -sin, cos), (0.0, cos, sin), (-1.0, 0.0, 0.0))
    geometry = Geometry((2.0, 1.0, 0.8), (31.0, -20.0, 5.0), directions)
    size = (14, 30, 40)
    centre = tuple((geometry.affine()[:3] @ [5.0, 17.0, 12.0, 1.0]).tolist())
    plan = volume_plan("volumes", preprocessing=SPL | {"spacing_mm": spacing_mm})
    found = predict_volume(
        TorchEngine(Brightness()), plan, volume(ball(geometry, size, centre, 8), geometry)
    ).values
    expected = ball(geometry, size, centre, 8) >= 0.5
    dice = 2 * (found & expected).sum() / (found.sum() + expected.sum())
    assert dice > (0.999 if spacing_mm is None else 0.93)
    middle = np.argwhere(found).mean(0)
    assert np.allclose(middle, [5, 17, 12], atol=0.15)


def test_windows_are_seen_at_the_plans_spacing() -> None:
    plan = volume_plan("volumes", preprocessing=SPL | {"spacing_mm": [1.0, 2.0, 1.0]})
    image = stored(volume(noise(6, 20, 30), PLACED), "RAI")
    network = Brightness()
    told: list[tuple[int, int]] = []
    predict_volume(TorchEngine(network), plan, image, progress=lambda *at: told.append(at))
    # 12 × 10 × 15 voxels at that spacing; windows of 4 × 8 × 8 that overlap by half
    assert {shape[1:] for shape in network.shown} == {(1, 4, 8, 8)}
    assert told[-1] == (5 * 2 * 3, 5 * 2 * 3)
    assert sum(shape[0] for shape in network.shown) == 30


def test_what_is_found_is_the_whole_blended_and_brought_back() -> None:
    plan = volume_plan("volumes", labels=2, preprocessing={"spacing_mm": [1.3, 1.7, 0.9]})
    image = volume(noise(7, 18, 20), PLACED)
    network = net(plan)
    found = predict_volume(TorchEngine(network), plan, image, keep_probabilities=True).probabilities
    assert found is not None
    with torch.no_grad():
        working = to_working(image, plan).normalized()
        slabs = slabs_of_windows(predictor_of(TorchEngine(network), plan), working, (4, 8, 8), 0.5)
        whole = torch.cat(list(slabs), 1)
        at_depth = functional.interpolate(whole.flatten(2).mT, size=7, mode="linear", align_corners=False)
        rows = at_depth.mT.reshape(3, 7, *whole.shape[2:])
        expected = torch.stack([resize(rows[:, at], (18, 20)) for at in range(7)], 1)[1:]
    assert np.allclose(found, expected.numpy(), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_are_each_predicted_with_the_volumes_intensities(kind: Kind) -> None:
    if kind == "volumes":
        return
    plan = volume_plan(kind, labels=2, preprocessing={"normalization": "image"})
    values = noise(5, 20, 24) * np.arange(1, 6, dtype=np.float32)[:, None, None]  # each slice brighter
    image, network = volume(values, PLACED), net(plan)
    found = predict_volume(TorchEngine(network), plan, image, keep_probabilities=True).probabilities
    assert found is not None
    cut, intensities = slices(image, plan)
    expected = [probabilities(TorchEngine(network), plan, each, intensities=intensities)[1:] for each in cut]
    assert np.allclose(found, torch.stack(expected, 1).numpy(), atol=1e-3)
    alone = [probabilities(TorchEngine(network), plan, each)[1:] for each in cut]
    assert not np.allclose(found, torch.stack(alone, 1).numpy(), atol=1e-2)


def test_progress_of_slices() -> None:
    told: list[tuple[int, int]] = []
    plan = volume_plan("slices")
    predict_volume(
        TorchEngine(Brightness()), plan, volume(noise(3, 9, 9)), progress=lambda *at: told.append(at)
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize(
    ("flips", "ways"),
    [
        ({"flip_depth": True}, [(1,)]),
        ({"flip_depth": True, "flip_horizontal": True}, [(1,), (3,), (1, 3)]),
        (
            {"flip_depth": True, "flip_vertical": True, "flip_horizontal": True},
            [(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)],
        ),
    ],
)
def test_mirroring_is_the_mean_over_the_mirror_images(
    labels: int, flips: dict[str, bool], ways: list[tuple[int, ...]]
) -> None:
    values = noise(4, 8, 8)
    plain = volume_plan("volumes", labels=labels)
    mirrored = volume_plan("volumes", labels=labels, augmentation=flips, prediction={"mirror": True})
    network = net(plain)

    def found(plan: Plan, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        kept = predict_volume(
            TorchEngine(network), plan, volume(image), keep_probabilities=True
        ).probabilities
        assert kept is not None
        return kept.astype(np.float32)

    parts = [found(plain, values)]
    for way in ways:
        parts.append(np.flip(found(plain, np.flip(values, tuple(axis - 1 for axis in way)).copy()), way))
    assert np.allclose(found(mirrored, values), np.mean(parts, 0), atol=1e-3)
    assert not np.allclose(parts[0], np.mean(parts, 0), atol=1e-2)


@pytest.mark.parametrize(("orientation", "axis"), [("SPL", 3), ("LSP", 1), ("PRI", 2), (None, 3)])
@pytest.mark.parametrize("flip", ["flip_depth", "flip_vertical", "flip_horizontal"])
def test_sides_change_places_in_the_mirror_of_left_and_right_alone(
    orientation: str | None, axis: int, flip: str
) -> None:
    plan = volume_plan(
        "volumes",
        labels=3,
        data={"left_right": [["label 1", "label 3"]]},
        preprocessing={"orientation": orientation},
        augmentation={flip: True},
        prediction={"mirror": True},
    )
    network, values = net(plan), torch.from_numpy(noise(4, 8, 8))[None, None]
    flipped = {"flip_depth": 1, "flip_vertical": 2, "flip_horizontal": 3}[flip]
    with torch.no_grad():
        own = network(values).softmax(1)
        other = network(values.flip(flipped + 1)).softmax(1).flip(flipped + 1)
        swapped = other[:, [0, 3, 2, 1]] if flipped == axis else other
        found = predictor_of(TorchEngine(network), plan)(values)
    assert torch.allclose(found, (own + swapped) / 2, atol=1e-6)
    assert not torch.allclose(other, other[:, [0, 3, 2, 1]], atol=1e-2)


@pytest.mark.parametrize(("orientation", "axis"), [("SPL", 2), ("LSP", None), ("SRA", 1), (None, 2)])
def test_sides_of_slices(orientation: str | None, axis: int | None) -> None:
    for flipped, flip in ((1, "flip_vertical"), (2, "flip_horizontal")):
        plan = volume_plan(
            "slices",
            labels=2,
            data={"left_right": [["label 1", "label 2"]]},
            preprocessing={"orientation": orientation},
            augmentation={flip: True},
            prediction={"mirror": True},
        )
        network, values = net(plan), torch.from_numpy(noise(16, 16))[None, None]
        with torch.no_grad():
            own = network(values).softmax(1)
            other = network(values.flip(flipped + 1)).softmax(1).flip(flipped + 1)
            swapped = other[:, [0, 2, 1]] if flipped == axis else other
            assert torch.allclose(
                predictor_of(TorchEngine(network), plan)(values), (own + swapped) / 2, atol=1e-6
            )


def test_bf16_is_near_fp32() -> None:
    plan = volume_plan("volumes", labels=2)
    network, image = net(plan), volume(noise(5, 10, 12))
    half, full = (
        predict_volume(TorchEngine(network, bf16=bf16), plan, image, keep_probabilities=True).probabilities
        for bf16 in (True, False)
    )
    assert half is not None
    assert full is not None
    assert np.allclose(half, full, atol=0.06)
    assert not np.array_equal(half, full)


def refused(plan: Plan, image: Image, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        predict_volume(TorchEngine(Brightness()), plan, image, **options)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_into_the_memory_is_refused_with_the_numbers(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, image = volume_plan(kind), volume(noise(3, 9, 9))
    needed = needed_bytes(plan, image)
    message = refused(plan, image, memory_bytes=needed - 1)
    about = f"{needed / 1e9:.1f} GB"
    assert message == (
        f"it would take about {about} of memory, and {about} are allowed by --memory. "
        "Give more, or train with a coarser preprocessing.spacing_mm"
    )
    assert predict_volume(TorchEngine(Brightness()), plan, image, memory_bytes=needed).values.shape == (
        3,
        9,
        9,
    )
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 40_000_000)
    monkeypatch.setattr(memory, "process_memory", lambda: ProcessMemory(60_000_000, 70_000_000))
    assert "and 0.1 GB can be had. Give" in refused(plan, image)
    # what it holds besides Python, torch and this image is no help
    monkeypatch.setattr(memory, "process_memory", lambda: ProcessMemory(50_000_000_000, 60_000_000_000))
    missing = needed - memory.PROGRAM_BYTES - image.pixels.nbytes
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: missing - 1)
    assert "can be had" in refused(plan, image)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: missing)
    assert predict_volume(TorchEngine(Brightness()), plan, image).values.shape == (3, 9, 9)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 40_000_000)
    monkeypatch.setattr(memory, "process_memory", lambda: None)
    assert "and 0.0 GB can be had. Give" in refused(plan, image)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: None)  # where nobody knows, it is tried
    assert predict_volume(TorchEngine(Brightness()), plan, image).values.shape == (3, 9, 9)


def test_a_huge_volume_is_refused_before_memory_is_taken() -> None:
    huge = np.broadcast_to(np.float32(0.5), (1, 1500, 2048, 2048))
    plan = volume_plan("volumes", preprocessing={"spacing_mm": [1.0, 1.0, 1.0]})
    message = refused(plan, Image(huge, PLACED, shares=False), memory_bytes=8 << 30)
    found = re.match(r"it would take about ([\d.]+) GB of memory, and 8\.6 GB are allowed", message)
    assert found
    assert float(found[1]) > 50


def test_more_of_anything_needs_more_memory() -> None:
    plan, image = volume_plan("volumes", labels=2), volume(noise(6, 40, 40), PLACED)
    least = needed_bytes(plan, image)
    assert needed_bytes(plan, image, keep_probabilities=True) == least + 2 * 2 * 6 * 40 * 40
    assert needed_bytes(plan, volume(noise(7, 40, 40), PLACED)) > least
    finer = volume_plan("volumes", labels=2, preprocessing={"spacing_mm": [1.0, 0.5, 0.5]})
    assert needed_bytes(finer, image) > least
    assert needed_bytes(volume_plan("volumes", labels=9), image) > least
    assert needed_bytes(volume_plan("volumes", labels=2, network={"widths": [40, 60]}), image) > least


PEAK = """
import re, sys
from pathlib import Path
import numpy as np
import torch
from volume_cases import PLACED, net, noise, volume, volume_plan
from delineate.image import Image, oriented
from delineate.inference.engines import TorchEngine
from delineate.inference.memory import PROGRAM_BYTES
from delineate.inference.volumes import needed_bytes, predict_volume

def peak_bytes():
    status = Path("/proc/self/status").read_text()  # getrusage would tell the parent's as well
    return int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]) * 1024

kind, keep, channels = sys.argv[1], sys.argv[2] == "keep", 2
preprocessing = {"orientation": "SPL"}
if kind == "volumes":
    preprocessing |= {"size": [16, 64, 64], "spacing_mm": [1.5, 1.0, 0.5]}
plan = volume_plan(kind, labels=4, channels=channels, preprocessing=preprocessing, prediction={"overlap": 0})
engine = TorchEngine(net(plan))
predict_volume(engine, plan, Image(np.zeros((channels, 2, 16, 16), np.float32), PLACED, shares=False))
before = peak_bytes()
pixels = np.random.default_rng(0).integers(-1000, 1000, (channels, 48, 256, 256), dtype=np.int16)
image = oriented(Image(pixels, PLACED, shares=False), "LAI")
predict_volume(engine, plan, image, keep_probabilities=keep)
print(peak_bytes(), peak_bytes() - before, needed_bytes(plan, image, keep_probabilities=keep), PROGRAM_BYTES)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is told in other units elsewhere")
@pytest.mark.parametrize("keep", ["keep", "mask alone"])
@pytest.mark.parametrize("kind", ["volumes", "slices"])
def test_no_more_memory_is_taken_than_was_said_and_not_much_less(kind: Kind, keep: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, kind, keep],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
    )
    peak, grown, needed, program = map(int, done.stdout.split())
    assert peak <= needed
    assert grown <= 1.1 * (needed - program) + (16 << 20)  # that the allocator holds back
    assert needed - program <= 2.5 * grown


def test_nothing_is_left_switched_off_where_a_prediction_was_stopped() -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    for kind in KINDS:
        with pytest.raises(KeyboardInterrupt):
            predict_volume(
                TorchEngine(Brightness()), volume_plan(kind), volume(noise(9, 9, 9)), progress=stop
            )
        assert not torch.is_inference_mode_enabled()


def test_nothing_is_left_switched_off_where_a_slice_cannot_be_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(volumes, "decide", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        predict_volume(TorchEngine(Brightness()), volume_plan("volumes"), volume(noise(9, 9, 9)))
    assert caught.value is not None  # it holds the frames, and with them whatever was left half way
    assert not torch.is_inference_mode_enabled()
    assert (torch.ones(1, requires_grad=True) * 2).requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_is_left_alone_and_the_same_again_gives_the_same(kind: Kind) -> None:
    plan = volume_plan(kind, labels=2, preprocessing=SPL | {"clip": [[0.2, 0.7]]})
    image = stored(volume(noise(5, 12, 9), PLACED), "RAI")
    before, network = image.pixels.copy(), net(plan)

    def once() -> VolumePrediction:
        return predict_volume(TorchEngine(network), plan, image, keep_probabilities=True)

    first, again = once(), once()
    assert np.array_equal(image.pixels, before)
    assert np.array_equal(first.values, again.values)
    assert first.probabilities is not None
    assert again.probabilities is not None
    assert np.array_equal(first.probabilities, again.probabilities)


def test_a_volume_without_a_place_is_taken_as_it_is_stored() -> None:
    plan = volume_plan("volumes", labels=2, preprocessing=SPL)
    network, values = net(plan), noise(5, 12, 9)
    placed = predict_volume(TorchEngine(network), plan, volume(values, PLACED)).values
    lost = predict_volume(TorchEngine(network), plan, volume(values, Geometry(PLACED.spacing_mm))).values
    assert np.array_equal(placed, lost)
    assert replace(PLACED).orientation == "SPL"
