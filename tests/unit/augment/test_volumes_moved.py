"""Movements of volumes: the stated place, rigid in space, the image's own where they stay in the slice."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from delineate.augment.geometry import move, warp, warp_part
from delineate.augment.left_right import LeftRight, swap_labels
from delineate.augment.movement import DepthMovement, Movement, draw_movement, output_to_input
from delineate.augment.settings import CLASSIC, NONE, AugmentationSettings

CPU = torch.device("cpu")
NEAREST, REFLECT = AugmentationSettings(fill="nearest"), AugmentationSettings(fill="reflect")
STILL = {
    "rotation_degrees": 0.0,
    "shift_rows": 0.0,
    "shift_columns": 0.0,
    "shear_degrees": 0.0,
    "zoom_rows": 1.0,
    "zoom_columns": 1.0,
}
STILL_DEPTH = {"tilt_rows_degrees": 0.0, "tilt_columns_degrees": 0.0, "shift": 0.0, "zoom": 1.0}
ANY: dict[str, dict[str, float]] = {
    "rotation": {"rotation_degrees": 20},
    "shift down": {"shift_rows": 0.13},
    "shift through": {"shift": -0.21},
    "tilt of rows": {"tilt_rows_degrees": 17},
    "tilt of columns": {"tilt_columns_degrees": -50},
    "zoom": {"zoom_rows": 1.3, "zoom_columns": 1.3, "zoom": 1.3},
    "flip of depth": {"zoom": -1},
    "small": {
        "rotation_degrees": 9,
        "tilt_rows_degrees": 4,
        "tilt_columns_degrees": -6,
        "shift": 0.05,
        "zoom": 0.9,
    },
    "all": {
        "rotation_degrees": 200,
        "shift_rows": -0.2,
        "shift_columns": 0.15,
        "shear_degrees": 25,
        "zoom_rows": 0.7,
        "zoom_columns": -0.8,
        "tilt_rows_degrees": -33,
        "tilt_columns_degrees": 71,
        "shift": 0.1,
        "zoom": 1.2,
    },
}
WILD = AugmentationSettings(
    rotation_degrees=180,
    tilt_degrees=180,
    shift=0.5,
    shear_degrees=45,
    zoom=(0.5, 2),
    stretch=0.5,
    flip_horizontal=True,
    flip_vertical=True,
    flip_depth=True,
)


def movement(*each: dict[str, float]) -> Movement:
    """One movement a volume; what is not given is left as it is."""
    full = [STILL | STILL_DEPTH | changes for changes in each]
    tensors = {name: torch.tensor([float(one[name]) for one in full]) for name in STILL | STILL_DEPTH}
    return Movement(
        **{name: tensors[name] for name in STILL},
        depth=DepthMovement(**{name: tensors[name] for name in STILL_DEPTH}),
    )


def numbered(*size: int) -> tuple[Tensor, Tensor]:
    """A volume whose three channels are its slices, rows and columns, and a mask that numbers its voxels."""
    places = torch.meshgrid(*[torch.arange(side) for side in size], indexing="ij")
    number = (places[0] * size[1] + places[1]) * size[2] + places[2]
    return torch.stack(places)[None].float(), number[None].to(torch.uint8)


def shown(
    images: Tensor,
    masks: Tensor,
    drawn: Movement,
    settings: AugmentationSettings,
    *,
    spacing: tuple[float, ...],
    size: tuple[int, ...] | None = None,
) -> tuple[Tensor, Tensor]:
    """What a training sees of volumes: each through its own map."""
    size = tuple(masks.shape[1:]) if size is None else size
    maps = output_to_input(drawn, size, spacing)
    each = [
        warp_part(image, mask, seen, size, settings, device=CPU)
        for image, mask, seen in zip(images, masks, maps, strict=True)
    ]
    return torch.stack([image for image, _ in each]), torch.stack([mask for _, mask in each])


def by_hand(
    changes: dict[str, float], size: tuple[int, ...], spacing: tuple[float, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The map from an output's (slice, row, column) to the input's, as scipy wants it, from its parts."""
    full = STILL | STILL_DEPTH | changes
    turn, lean, rows, columns = (
        math.radians(full[name])
        for name in ("rotation_degrees", "shear_degrees", "tilt_rows_degrees", "tilt_columns_degrees")
    )
    zoom = np.diag([full["zoom"], full["zoom_rows"], full["zoom_columns"]])
    shear = np.array([[1, 0, 0], [0, 1, 0], [0, math.tan(lean), 1]])
    c, s = math.cos(turn), math.sin(turn)
    rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])  # right goes up, to smaller rows
    c, s = math.cos(rows), math.sin(rows)
    tilt_rows = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])  # below goes to later slices
    c, s = math.cos(columns), math.sin(columns)
    tilt_columns = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])  # right goes to later slices
    pitch = np.diag(spacing)
    forward = np.linalg.inv(pitch) @ tilt_columns @ tilt_rows @ rotation @ shear @ zoom @ pitch
    matrix = np.linalg.inv(forward)
    centre = (np.array(size) - 1) / 2
    shift = np.array([full["shift"], full["shift_rows"], full["shift_columns"]]) * size
    return matrix, centre - matrix @ (centre + shift)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.8, 1.0)], ids=["cubes", "thick slices"])
@pytest.mark.parametrize(("fill", "mode"), [(NEAREST, "nearest"), (REFLECT, "reflect")], ids=["near", "refl"])
@pytest.mark.parametrize("changes", ANY.values(), ids=ANY.keys())
def test_equals_scipys_affine(
    changes: dict[str, float], fill: AugmentationSettings, mode: str, spacing: tuple[float, float, float]
) -> None:
    size = (8, 13, 18)
    generator = np.random.default_rng(0)
    image = generator.normal(size=size).astype(np.float32)
    mask = generator.integers(0, 4, size).astype(np.uint8)
    matrix, offset = by_hand(changes, size, spacing)
    moved, labels = shown(
        torch.from_numpy(image)[None, None],
        torch.from_numpy(mask)[None],
        movement(changes),
        fill,
        spacing=spacing,
    )
    expected = ndimage.affine_transform(image.astype(np.float64), matrix, offset, order=1, mode=mode)
    assert np.abs(moved[0, 0].numpy() - expected).max() < 2e-4
    nearest = ndimage.affine_transform(mask, matrix, offset, order=0, mode=mode)
    places = np.einsum("ij,j...->i...", matrix, np.indices(size)) + offset[:, None, None, None]
    tie = (np.abs(places % 1 - 0.5) < 1e-4).any(0)  # between two voxels either is the nearest
    assert tie.mean() < 0.6
    assert (labels[0].numpy() == nearest)[~tie].all()
    assert (nearest != mask).any()


@given(st.integers(0, 10_000), st.sampled_from([NEAREST, REFLECT]))
def test_image_and_mask_go_to_one_place(seed: int, fill: AugmentationSettings) -> None:
    # the mask says which voxel it shows; the image, read linearly, lies at most half a voxel from it
    size = (4, 7, 9)
    image, mask = numbered(*size)
    generator = torch.Generator().manual_seed(seed)
    drawn = draw_movement(WILD, 1, generator, axes=3)
    moved, labels = shown(image, mask, drawn, fill, spacing=(3.0, 1.0, 1.0))
    number = labels[0].long()
    places = torch.stack([number // 63, number // 9 % 7, number % 9]).float()
    assert (moved[0] - places).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("turns", [-1, 1, 2, 3])
def test_quarter_turns_within_the_slices(turns: int) -> None:
    volume, mask = numbered(3, 9, 9)
    moved, labels = shown(
        volume, mask, movement({"rotation_degrees": 90 * turns}), NEAREST, spacing=(4.0, 1, 1)
    )
    assert torch.equal(labels, torch.rot90(mask, turns, (2, 3)))
    assert torch.allclose(moved, torch.rot90(volume, turns, (3, 4)), atol=1e-4)


def test_quarter_turns_out_of_the_slices() -> None:
    volume, mask = numbered(7, 7, 7)
    _, labels = move(volume, mask, movement({"tilt_rows_degrees": 90}), NEAREST)
    assert torch.equal(labels, torch.rot90(mask, -1, (1, 2)))
    assert torch.equal(labels[0, -1], mask[0, :, -1].flip(0))  # what was below is now the last slice
    _, labels = move(volume, mask, movement({"tilt_columns_degrees": 90}), NEAREST)
    assert torch.equal(labels[0, -1], mask[0, :, :, -1].flip(0).T)  # what was at the right is


@pytest.mark.parametrize(("field", "axis"), [("zoom", 1), ("zoom_rows", 2), ("zoom_columns", 3)])
def test_flips_are_flips(field: str, axis: int) -> None:
    volume, mask = numbered(4, 7, 6)
    drawn = movement({field: -1}, {})
    moved, labels = move(volume.expand(2, -1, -1, -1, -1), mask.expand(2, -1, -1, -1), drawn, REFLECT)
    assert torch.equal(labels[:1], mask.flip(axis))
    assert torch.allclose(moved[:1], volume.flip(axis + 1), atol=1e-5)
    assert torch.equal(moved[1:], volume)
    for other in range(3):
        assert drawn.is_mirrored(other).tolist() == [other == axis - 1, False]


def test_shift_goes_to_later_slices() -> None:
    volume, mask = numbered(4, 3, 2)
    moved, labels = move(volume, mask, movement({"shift": 0.25}), NEAREST)
    assert torch.equal(labels, mask[:, [0, 0, 1, 2]])
    assert torch.allclose(moved, volume[:, :, [0, 0, 1, 2]], atol=1e-5)


@given(st.integers(0, 1000))
def test_a_ball_stays_a_ball_in_millimetres(seed: int) -> None:
    spacing, size = (5.0, 1.0, 2.0), (9, 41, 23)
    z, y, x = (
        (torch.arange(side) - (side - 1) / 2) * pitch for side, pitch in zip(size, spacing, strict=True)
    )
    squares = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    ball = (squares <= 14.5**2).to(torch.uint8)[None]
    turning = AugmentationSettings(rotation_degrees=180, tilt_degrees=180)
    drawn = draw_movement(turning, 1, torch.Generator().manual_seed(seed), axes=3)
    _, turned = shown(ball[None].float(), ball, drawn, turning, spacing=spacing)
    # the ball lies about the centre: only voxels that its surface cuts may change
    surface = (squares.sqrt() - 14.5).abs() < 0.5 * math.hypot(*spacing) + 0.1
    assert not (turned != ball)[0, ~surface].any()


def test_without_its_spacing_a_tilted_ball_is_bent() -> None:
    z, y = (torch.arange(9) - 4.0) * 5, torch.arange(41) - 20.0
    disc = (z[:, None] ** 2 + y**2 <= 14.5**2).to(torch.uint8)[None, :, :, None].expand(-1, -1, -1, 3)
    tilt = movement({"tilt_rows_degrees": 90})
    _, right = shown(disc[:, None].float(), disc, tilt, NEAREST, spacing=(5.0, 1.0, 1.0))
    _, wrong = move(disc[:, None].float(), disc, tilt, NEAREST)
    assert float((right != disc).float().mean()) < 0.1
    assert float((wrong != disc).float().mean()) > 0.2


@given(st.integers(0, 10_000), st.sampled_from([NEAREST, REFLECT]))
def test_a_volume_of_one_slice_moves_like_that_slice(seed: int, fill: AugmentationSettings) -> None:
    settings = WILD.model_copy(update={"tilt_degrees": 0.0})
    drawn = draw_movement(settings, 2, torch.Generator().manual_seed(seed), axes=3)
    image, mask = numbered(1, 12, 17)
    images, masks = image.expand(2, -1, -1, -1, -1), mask.expand(2, -1, -1, -1)
    moved, labels = move(images, masks, drawn, fill)
    alone, alone_labels = move(images[:, :, 0], masks[:, 0], replace(drawn, depth=None), fill)
    assert torch.allclose(moved[:, 1:, 0], alone[:, 1:], atol=1e-3)
    assert float((labels[:, 0] != alone_labels).float().mean()) < 0.02  # between two pixels either is nearest


def test_volumes_move_within_their_slices_as_images_of_the_seed() -> None:
    images = draw_movement(WILD, 5, torch.Generator().manual_seed(3))
    volumes = draw_movement(WILD, 5, torch.Generator().manual_seed(3), axes=3)
    for field in fields(Movement):
        if field.name != "depth":
            assert torch.equal(getattr(images, field.name), getattr(volumes, field.name))
    assert images.depth is None
    assert volumes.depth is not None


def test_images_too_turn_rigidly_on_pixels_that_are_no_squares() -> None:
    y, x = torch.arange(11) - 5.0, torch.arange(31) - 15.0
    bar = ((3 * y[:, None]).abs().le(13) & x.abs().le(4.4)).expand(11, 31).to(torch.uint8)[None]
    upright = replace(movement({"rotation_degrees": 90}), depth=None)
    _, turned = shown(bar[:, None].float(), bar, upright, NEAREST, spacing=(3.0, 1.0))
    expected = ((3 * y[:, None]).abs().le(4.4) & x.abs().le(13)).to(torch.uint8)[None]
    assert torch.equal(turned, expected)


def test_identity_is_exact_and_the_originals_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    volumes = torch.randn(3, 2, 4, 7, 5, generator=generator) * 1e3
    masks = torch.randint(0, 256, (3, 4, 7, 5), dtype=torch.uint8, generator=generator)
    drawn = draw_movement(NONE, 3, generator, axes=3)
    assert drawn.is_identity().all()
    for found, given_ in zip(move(volumes, masks, drawn, NONE), (volumes, masks), strict=True):
        assert torch.equal(found, given_)
    before = volumes.clone(), masks.clone()
    moved, labels = move(volumes, masks, movement({}, {"tilt_rows_degrees": 30}, {}), NONE)
    for still in (0, 2):
        assert torch.equal(moved[still], volumes[still])
        assert torch.equal(labels[still], masks[still])
    assert not torch.equal(labels[1], masks[1])
    assert torch.equal(volumes, before[0])
    assert torch.equal(masks, before[1])


@pytest.mark.parametrize("field", [*STILL, *STILL_DEPTH])
def test_any_change_is_no_identity(field: str) -> None:
    start = (STILL | STILL_DEPTH)[field]
    assert movement({field: start + 1e-3}, {}).is_identity().tolist() == [False, True]


def test_a_batch_is_its_volumes_one_by_one() -> None:
    volumes = torch.randn(len(ANY), 2, 5, 9, 8, generator=torch.Generator().manual_seed(0))
    masks = numbered(5, 9, 5)[1].expand(len(ANY), -1, -1, -1)
    masks = torch.cat([masks, masks[..., :3]], dim=3)
    moved, labels = shown(volumes, masks, movement(*ANY.values()), REFLECT, spacing=(3.0, 1.0, 1.0))
    for position, changes in enumerate(ANY.values()):
        one = slice(position, position + 1)
        alone, label = shown(volumes[one], masks[one], movement(changes), REFLECT, spacing=(3.0, 1.0, 1.0))
        assert torch.allclose(alone, moved[one], atol=1e-5)
        assert torch.equal(label, labels[one])


def test_a_smaller_output_is_the_middle_of_the_larger() -> None:
    volumes, masks = numbered(6, 10, 12)
    small = movement(ANY["small"])
    maps = output_to_input(small, (4, 6, 8), (2.0, 1.0, 1.0))
    middle, labels = shown(volumes, masks, small, NEAREST, size=(4, 6, 8), spacing=(2.0, 1.0, 1.0))
    whole, all_labels = warp(volumes, masks, maps, (6, 10, 12), NEAREST)
    assert torch.allclose(middle, whole[..., 1:5, 2:8, 2:10], atol=1e-4)
    assert torch.equal(labels, all_labels[:, 1:5, 2:8, 2:10])


@given(
    st.integers(0, 10_000),
    st.sampled_from([NEAREST, REFLECT]),
    st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(1, 8)),
)
def test_the_part_that_is_seen_is_all_that_counts(
    seed: int, fill: AugmentationSettings, source: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    volume = torch.randint(-1000, 1000, (2, *source), generator=generator, dtype=torch.int16)
    mask = torch.randint(0, 5, source, generator=generator, dtype=torch.uint8)
    drawn = draw_movement(WILD.model_copy(update={"zoom": (1, 3)}), 1, generator, axes=3)
    seen = output_to_input(drawn, size, (2.0, 1.0, 1.0))[0]
    seen[:, -1] += torch.tensor(source[::-1]) * (torch.rand(3, generator=generator) - 0.5)
    image, labels = warp_part(volume, mask, seen, size, fill, device=CPU)
    whole, all_labels = warp(volume[None].float(), mask[None], seen[None], size, fill)
    assert image.dtype == torch.float32
    assert torch.allclose(image, whole[0], atol=0.1)  # of ± 1000
    assert int((labels != all_labels[0]).sum()) <= 0.02 * labels.numel() + 1  # ties apart


def test_only_the_part_that_is_seen_is_read() -> None:
    volume = torch.full((1, 9, 40, 40), math.nan)
    volume[:, 2:7, 10:30, 10:30] = 1.0
    mask = torch.zeros(9, 40, 40, dtype=torch.uint8)
    drawn = movement({"rotation_degrees": 45, "tilt_rows_degrees": 5})
    image, _ = warp_part(volume, mask, output_to_input(drawn, (1, 8, 8))[0], (1, 8, 8), NEAREST, device=CPU)
    assert torch.allclose(image, torch.ones_like(image))


RANGES = st.builds(
    AugmentationSettings,
    tilt_degrees=st.floats(0, 180),
    shift=st.floats(0, 0.5),
    zoom=st.tuples(st.floats(0.2, 1), st.floats(1, 5)),
    stretch=st.floats(0, 0.5),
    flip_depth=st.booleans(),
)


@given(RANGES, st.integers(0, 2**31))
def test_drawn_values_lie_within_the_stated_ranges(settings: AugmentationSettings, seed: int) -> None:
    drawn = draw_movement(settings, 64, torch.Generator().manual_seed(seed), axes=3)
    assert drawn.depth is not None
    for values, most in (
        (drawn.depth.tilt_rows_degrees, settings.tilt_degrees),
        (drawn.depth.tilt_columns_degrees, settings.tilt_degrees),
        (drawn.depth.shift, settings.shift),
    ):
        assert float(values.abs().max()) <= most * (1 + 1e-5) + 1e-40
    in_plane = (drawn.zoom_rows * drawn.zoom_columns).abs().sqrt()
    assert float((drawn.depth.zoom.abs() / in_plane - 1).abs().max()) <= settings.stretch + 1e-5
    assert settings.flip_depth or bool((drawn.depth.zoom > 0).all())


def test_both_ends_are_reached_each_by_itself() -> None:
    settings = WILD.model_copy(update={"tilt_degrees": 10.0})
    drawn = draw_movement(settings, 4000, torch.Generator().manual_seed(0), axes=3)
    assert drawn.depth is not None
    in_plane = (drawn.zoom_rows * drawn.zoom_columns).abs().sqrt()
    shares = torch.stack(
        [
            drawn.rotation_degrees / 180,
            drawn.depth.tilt_rows_degrees / 10,
            drawn.depth.tilt_columns_degrees / 10,
            drawn.shift_rows / 0.5,
            drawn.depth.shift / 0.5,
            (drawn.depth.zoom.abs() / in_plane - 1) / 0.5,
            drawn.depth.zoom.sign(),
            drawn.zoom_rows.sign(),
        ]
    )
    assert (shares.amin(1) < -0.99).all()
    assert (shares.amax(1) > 0.99).all()
    assert (shares.mean(1).abs() < 0.05).all()
    assert (torch.corrcoef(shares) - torch.eye(len(shares))).abs().max() < 0.06


def test_so_many_volumes_stay_as_they_are() -> None:
    settings = WILD.model_copy(
        update={
            "geometry_probability": 0.25,
            "flip_horizontal": False,
            "flip_vertical": False,
            "flip_depth": False,
        }
    )
    still = draw_movement(settings, 4000, torch.Generator().manual_seed(0), axes=3).is_identity()
    assert 0.72 < float(still.float().mean()) < 0.78
    assert draw_movement(CLASSIC, 4, torch.Generator().manual_seed(0), axes=3).depth is not None


def test_labels_change_sides_where_their_axis_is_mirrored() -> None:
    volume, _ = numbered(2, 3, 4)
    mask = torch.tensor([[1, 1, 0, 2], [3, 0, 0, 2], [255, 0, 2, 2]], dtype=torch.uint8).expand(1, 2, 3, 4)
    sides = LeftRight(axis=2, pairs=((1, 2),))
    images, masks = volume.expand(3, -1, -1, -1, -1), mask.expand(3, -1, -1, -1)
    drawn = movement({"zoom_columns": -1}, {"zoom_rows": -1}, {})
    swapped = swap_labels(masks, drawn.is_mirrored(sides.axis), sides.pairs)
    _, labels = move(images, swapped, drawn, NEAREST)
    expected = torch.tensor([[1, 0, 2, 2], [1, 0, 0, 3], [1, 1, 0, 255]], dtype=torch.uint8)
    assert torch.equal(labels[0], expected.expand(2, 3, 4))
    assert torch.equal(labels[1:2], mask.flip(2))  # along another axis left stays left
    assert torch.equal(labels[2:], mask)
    _, cut = shown(images, swapped, drawn, NEAREST, spacing=(1.0, 1.0, 1.0), size=(2, 3, 2))
    assert torch.equal(cut[0], expected[:, 1:3].expand(2, 3, 2))
