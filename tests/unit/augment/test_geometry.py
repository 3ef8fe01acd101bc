"""Movements: each pixel and its mask pixel go to one place, the stated one, within the stated ranges."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage
from torch import Tensor

from delineate.augment.geometry import Movement, draw_movement, move, output_to_input, warp
from delineate.augment.settings import CLASSIC, NONE, AugmentationSettings
from delineate.image import IGNORED

NEAREST, REFLECT = AugmentationSettings(fill="nearest"), AugmentationSettings(fill="reflect")
STILL = {
    "rotation_degrees": 0.0,
    "shift_rows": 0.0,
    "shift_columns": 0.0,
    "shear_degrees": 0.0,
    "zoom_rows": 1.0,
    "zoom_columns": 1.0,
}
ALONE: dict[str, dict[str, float]] = {
    "rotation": {"rotation_degrees": 20},
    "rotation back": {"rotation_degrees": -133},
    "shift down": {"shift_rows": 0.1},
    "shift left": {"shift_columns": -0.23},
    "shear": {"shear_degrees": 14},
    "zoom in": {"zoom_rows": 1.3, "zoom_columns": 1.3},
    "zoom out": {"zoom_rows": 0.6, "zoom_columns": 0.6},
    "stretch": {"zoom_rows": 1.1, "zoom_columns": 1 / 1.1},
    "flip left and right": {"zoom_columns": -1},
    "flip top and bottom": {"zoom_rows": -1},
}
COMBINED: dict[str, dict[str, float]] = {
    "small": {"rotation_degrees": 15, "shift_rows": 0.07, "shear_degrees": -3, "zoom_columns": 0.9},
    "turned and mirrored": {"rotation_degrees": -70, "zoom_rows": -1.2, "shift_columns": 0.1},
    "all": {
        "rotation_degrees": 200,
        "shift_rows": -0.2,
        "shift_columns": 0.15,
        "shear_degrees": 25,
        "zoom_rows": 0.7,
        "zoom_columns": -0.8,
    },
}
ANY = ALONE | COMBINED


def movement(*each: dict[str, float]) -> Movement:
    """One movement an image; what is not given is left as it is."""
    full = [STILL | changes for changes in each]
    return Movement(**{name: torch.tensor([float(one[name]) for one in full]) for name in STILL}, depth=None)


def numbered(height: int, width: int) -> tuple[Tensor, Tensor]:
    """An image whose two channels are its rows and columns, and a mask that numbers its pixels."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns])[None].float(), (rows * width + columns)[None].to(torch.uint8)


def by_hand(changes: dict[str, float], size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], ...]:
    """The map from an output's (row, column) to the input's, as scipy wants it, from its four parts."""
    full = STILL | changes
    turn, lean = math.radians(full["rotation_degrees"]), math.radians(full["shear_degrees"])
    zoom = np.diag([full["zoom_rows"], full["zoom_columns"]])
    shear = np.array([[1, 0], [math.tan(lean), 1]])  # rows stay, columns follow the row
    # counter-clockwise as seen: what is right of the centre goes up, to smaller rows
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = np.linalg.inv(rotation @ shear @ zoom)
    centre = (np.array(size) - 1) / 2
    shift = np.array([full["shift_rows"] * size[0], full["shift_columns"] * size[1]])
    return matrix, centre - matrix @ (centre + shift)


@pytest.mark.parametrize("fill", [NEAREST, REFLECT], ids=["nearest", "reflect"])
@pytest.mark.parametrize("size", [(15, 16), (10, 25), (16, 3)])
@pytest.mark.parametrize("changes", ANY.values(), ids=ANY.keys())
def test_a_marked_pixel_goes_where_its_mask_pixel_goes(
    changes: dict[str, float], size: tuple[int, int], fill: AugmentationSettings
) -> None:
    # the mask says which pixel it shows; the image, read bilinearly, lies at most half a pixel from it
    image, mask = numbered(*size)
    moved, labels = move(image, mask, movement(changes), fill)
    assert not torch.equal(labels, mask)
    shown = torch.stack([labels[0] // size[1], labels[0] % size[1]]).float()
    assert (moved[0] - shown).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize(("fill", "mode"), [(NEAREST, "nearest"), (REFLECT, "reflect")], ids=["near", "refl"])
@pytest.mark.parametrize("changes", ANY.values(), ids=ANY.keys())
def test_equals_scipys_affine(changes: dict[str, float], fill: AugmentationSettings, mode: str) -> None:
    size = (24, 37)
    generator = np.random.default_rng(0)
    image = generator.normal(size=size).astype(np.float32)
    mask = generator.integers(0, 4, size).astype(np.uint8)
    matrix, offset = by_hand(changes, size)
    moved, labels = move(
        torch.from_numpy(image)[None, None], torch.from_numpy(mask)[None], movement(changes), fill
    )
    expected = ndimage.affine_transform(image.astype(np.float64), matrix, offset, order=1, mode=mode)
    assert np.abs(moved[0, 0].numpy() - expected).max() < 2e-4
    nearest = ndimage.affine_transform(mask, matrix, offset, order=0, mode=mode)
    rows, columns = np.indices(size)
    places = np.einsum("ij,j...->i...", matrix, np.stack([rows, columns])) + offset[:, None, None]
    tie = (np.abs(places % 1 - 0.5) < 1e-4).any(0)  # between two pixels either is the nearest
    assert tie.mean() < 0.6
    assert (labels[0].numpy() == nearest)[~tie].all()


@pytest.mark.parametrize("turns", [-1, 1, 2, 3])
def test_quarter_turns_are_counter_clockwise_as_seen(turns: int) -> None:
    image, mask = numbered(9, 9)
    moved, labels = move(image, mask, movement({"rotation_degrees": 90 * turns}), NEAREST)
    assert torch.equal(labels, torch.rot90(mask, turns, (1, 2)))
    assert torch.allclose(moved, torch.rot90(image, turns, (2, 3)), atol=1e-4)
    if turns == 1:  # the right edge has come to the top
        assert torch.equal(labels[0, 0], mask[0, :, 8])


def test_shifts_go_down_and_to_the_right() -> None:
    image, mask = numbered(8, 10)
    for fill, rows, columns in (
        (NEAREST, [0, 0, 0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (REFLECT, [1, 0, 0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ):
        moved, labels = move(image, mask, movement({"shift_rows": 0.25, "shift_columns": 0.1}), fill)
        assert torch.equal(labels, mask[:, rows][:, :, columns])
        assert torch.allclose(moved, image[:, :, rows][..., columns], atol=1e-5)


@pytest.mark.parametrize(("changes", "dim"), [({"zoom_columns": -1}, 2), ({"zoom_rows": -1}, 1)])
def test_flips_are_flips(changes: dict[str, float], dim: int) -> None:
    image, mask = numbered(7, 12)
    moved, labels = move(image, mask, movement(changes), REFLECT)
    assert torch.equal(labels, mask.flip(dim))
    assert torch.allclose(moved, image.flip(dim + 1), atol=1e-5)


def test_shear_leans_lower_rows_to_the_right() -> None:
    mask = torch.zeros(1, 5, 5, dtype=torch.uint8)
    mask[0, :, 2] = 1  # a vertical line at 45° becomes the diagonal
    _, labels = move(mask[:, None].float(), mask, movement({"shear_degrees": 45}), NEAREST)
    assert torch.equal(labels[0], torch.eye(5, dtype=torch.uint8))


def test_zoom_shows_things_larger_about_the_centre() -> None:
    image, mask = numbered(4, 4)
    moved, labels = move(image, mask, movement({"zoom_rows": 2, "zoom_columns": 2}), NEAREST)
    places = torch.tensor([0.75, 1.25, 1.75, 2.25])
    assert torch.allclose(moved[0, 0], places[:, None].expand(4, 4))
    assert torch.allclose(moved[0, 1], places.expand(4, 4))
    assert torch.equal(labels, mask[:, [1, 1, 2, 2]][:, :, [1, 1, 2, 2]])


@pytest.mark.parametrize(("fill", "rows"), [(NEAREST, [0, 0, 3, 3]), (REFLECT, [2, 0, 3, 1])])
def test_fill_of_what_lies_beyond_the_edge(fill: AugmentationSettings, rows: list[int]) -> None:
    # magnified by 1/3 about the centre, rows 0 … 3 show -3, 0, 3, 6
    image, mask = numbered(4, 4)
    moved, labels = move(image, mask, movement({"zoom_rows": 1 / 3}), fill)
    assert labels[0, :, 0].div(4, rounding_mode="floor").tolist() == rows
    assert torch.allclose(moved[0, 0, :, 0], torch.tensor(rows).float(), atol=1e-5)


def test_identity_is_exact_bit_for_bit() -> None:
    images = torch.randn(3, 2, 9, 7, generator=torch.Generator().manual_seed(0)) * 1e3
    masks = torch.randint(0, 256, (3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    drawn = draw_movement(NONE, 3, torch.Generator().manual_seed(2))
    assert drawn.is_identity().tolist() == [True, True, True]
    moved, labels = move(images, masks, drawn, NONE)
    assert torch.equal(moved, images)
    assert torch.equal(labels, masks)
    # also for those that stay in a batch where others are moved
    mixed = movement({}, {"rotation_degrees": 30}, {})
    moved, labels = move(images, masks, mixed, NONE)
    for still in (0, 2):
        assert torch.equal(moved[still], images[still])
        assert torch.equal(labels[still], masks[still])
    assert not torch.equal(labels[1], masks[1])


@pytest.mark.parametrize("field", list(STILL))
def test_any_change_is_no_identity(field: str) -> None:
    assert movement({field: STILL[field] + 1e-3}, {}).is_identity().tolist() == [False, True]


def test_a_batch_is_its_images_one_by_one_and_the_originals_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    images, masks = torch.randn(len(ANY), 3, 20, 14, generator=generator), numbered(20, 12)[1]
    masks = torch.cat([masks, masks[..., :2]], dim=2).expand(len(ANY), -1, -1).contiguous()
    before = images.clone(), masks.clone()
    moved, labels = move(images, masks, movement(*ANY.values()), REFLECT)
    for position, changes in enumerate(ANY.values()):
        one = slice(position, position + 1)
        alone, label = move(images[one], masks[one], movement(changes), REFLECT)
        assert torch.allclose(alone, moved[one], atol=1e-5)
        assert torch.equal(label, labels[one])
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


@given(st.integers(0, 10_000), st.sampled_from(["nearest", "reflect"]))
def test_masks_hold_only_values_of_their_own(seed: int, fill: str) -> None:
    wild = AugmentationSettings.model_validate(
        {
            "rotation_degrees": 180,
            "shift": 0.5,
            "shear_degrees": 45,
            "zoom": (0.2, 5),
            "stretch": 0.5,
            "fill": fill,
        }
    )
    generator = torch.Generator().manual_seed(seed)
    own = torch.tensor([[0, 3, IGNORED], [1, 254, 7]], dtype=torch.uint8)
    masks = own.gather(1, torch.randint(0, 3, (2, 11 * 8), generator=generator)).view(2, 11, 8)
    images = masks[:, None].float()
    moved, labels = move(images, masks, draw_movement(wild, 2, generator), wild)
    for mask, label, image, found in zip(masks, labels, images, moved, strict=True):
        assert set(label.flatten().tolist()) <= set(mask.flatten().tolist())
        assert float(found.min()) >= float(image.min()) - 1e-3
        assert float(found.max()) <= float(image.max()) + 1e-3


def test_a_smaller_output_is_the_middle_of_the_larger() -> None:
    images, masks = numbered(14, 18)
    # the movement of an 8 × 10 patch, shown with and without the pixels around it
    maps = output_to_input(movement(COMBINED["small"]), (8, 10))
    middle, labels = warp(images, masks, maps, (8, 10), NEAREST)
    whole, all_labels = warp(images, masks, maps, (14, 18), NEAREST)
    assert torch.allclose(middle, whole[..., 3:11, 4:14], atol=1e-4)
    assert torch.equal(labels, all_labels[:, 3:11, 4:14])


RANGES = st.builds(
    AugmentationSettings,
    rotation_degrees=st.floats(0, 180),
    shift=st.floats(0, 0.5),
    shear_degrees=st.floats(0, 45),
    zoom=st.tuples(st.floats(0.2, 1), st.floats(1, 5)),
    stretch=st.floats(0, 0.5),
    flip_horizontal=st.booleans(),
    flip_vertical=st.booleans(),
)


@given(RANGES, st.integers(0, 2**31))
def test_drawn_values_lie_within_the_stated_ranges(settings: AugmentationSettings, seed: int) -> None:
    drawn = draw_movement(settings, 64, torch.Generator().manual_seed(seed))
    close = 1e-5
    for name, most in (
        ("rotation_degrees", settings.rotation_degrees),
        ("shift_rows", settings.shift),
        ("shift_columns", settings.shift),
        ("shear_degrees", settings.shear_degrees),
    ):
        assert float(getattr(drawn, name).abs().max()) <= most * (1 + close) + 1e-40, name
    rows, columns = drawn.zoom_rows, drawn.zoom_columns
    zoom, stretch = (rows * columns).abs().sqrt(), (rows / columns).abs()
    assert settings.zoom[0] * (1 - close) <= float(zoom.min())
    assert float(zoom.max()) <= settings.zoom[1] * (1 + close)
    assert float((stretch - 1).abs().max()) <= settings.stretch + close
    if not settings.flip_vertical:
        assert (rows > 0).all()
    if not settings.flip_horizontal:
        assert (columns > 0).all()


def test_both_ends_are_reached_and_values_spread_evenly() -> None:
    settings = CLASSIC.model_copy(update={"stretch": 0.2, "zoom": (0.5, 2.0), "flip_vertical": True})
    drawn = draw_movement(settings, 4000, torch.Generator().manual_seed(0))
    shares = {
        "rotation": drawn.rotation_degrees / 20,
        "down": drawn.shift_rows / 0.1,
        "right": drawn.shift_columns / 0.1,
        "shear": drawn.shear_degrees / 0.1,
        "zoom": (drawn.zoom_rows * drawn.zoom_columns).abs().sqrt().log2(),
        "stretch": ((drawn.zoom_rows / drawn.zoom_columns).abs() - 1) / 0.2,
        "horizontal": drawn.zoom_columns.sign(),
        "vertical": drawn.zoom_rows.sign(),
    }
    for name, share in shares.items():
        assert float(share.min()) == pytest.approx(-1, abs=0.01), name
        assert float(share.max()) == pytest.approx(1, abs=0.01), name
        assert float(share.mean()) == pytest.approx(0, abs=0.05), name
    table = torch.corrcoef(torch.stack(list(shares.values()))) - torch.eye(len(shares))
    assert float(table.abs().max()) < 0.06  # each drawn by itself


def test_a_seed_gives_its_movements_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = draw_movement(CLASSIC, 8, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    again = draw_movement(CLASSIC, 8, torch.Generator().manual_seed(5))
    other = draw_movement(CLASSIC, 8, torch.Generator().manual_seed(6))
    assert torch.equal(first.rotation_degrees, again.rotation_degrees)
    assert torch.equal(first.zoom_columns, again.zoom_columns)
    assert not torch.equal(first.rotation_degrees, other.rotation_degrees)


def test_classic_ranges_are_the_scripts() -> None:
    assert CLASSIC.model_dump(exclude_defaults=True) == {
        "geometry_probability": 0.5,  # the rest is the script's
        "rotation_degrees": 20,
        "shift": 0.1,
        "shear_degrees": 0.1,
        "zoom": (0.9, 1.1),
        "flip_horizontal": True,
    }
    assert CLASSIC.fill == "nearest"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("zoom", (1.2, 0.8)),
        ("zoom", (0.0, 1.0)),
        ("shift", 0.6),
        ("fill", "wrap"),
        ("contrast", 1.0),
        ("flip", True),
    ],
)
def test_settings_refuse_what_cannot_be(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        AugmentationSettings.model_validate({field: value})


def test_so_many_images_are_moved_and_the_others_not_by_a_hair() -> None:
    settings = AugmentationSettings(
        geometry_probability=0.25,
        rotation_degrees=20,
        shift=0.1,
        shear_degrees=5,
        zoom=(0.5, 2),
        stretch=0.2,
    )
    movement = draw_movement(settings, 4000, torch.Generator().manual_seed(0))
    still = movement.is_identity()
    assert 0.72 < float(still.float().mean()) < 0.78
    assert bool((movement.zoom_rows[still] == 1).all())
    mirrored = draw_movement(
        settings.model_copy(update={"flip_horizontal": True, "geometry_probability": 0.0}),
        4000,
        torch.Generator().manual_seed(0),
    )
    assert set(mirrored.zoom_columns.tolist()) == {-1.0, 1.0}
    assert set(mirrored.zoom_rows.tolist()) == {1.0}
