"""The fingerprint: numbers worked out by hand on data sets of a few pixels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.fingerprint import PIXELS_SAMPLED, SCALES, SIDES, Fingerprint, measure
from delineate.image import Colour, Image, LabelSet, Mask
from delineate.label_places import LabelPlaces

ONE = LabelSet.of("lesion")
SIDED = LabelSet.of("left lung", "right lung")


def grey(values: object, dtype: npt.DTypeLike = np.uint8) -> Image:
    return Image(np.array(values, dtype=dtype)[None])


def masked(values: object, labels: LabelSet = ONE) -> Mask:
    return Mask(np.array(values, dtype=np.uint8), labels)


def of_masks(*masks: npt.NDArray[np.uint8], labels: LabelSet = ONE) -> Fingerprint:
    """The fingerprint of masks over black images of their sizes."""
    return measure(
        ((Image(np.zeros((1, *mask.shape), np.uint8)), Mask(mask, labels)) for mask in masks), labels, "grey"
    )


def disc(side: int, centre: tuple[float, float], radius: float, value: int = 1) -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:side, :side]
    inside = np.hypot(rows - centre[0], columns - centre[1]) <= radius
    return np.where(inside, np.uint8(value), np.uint8(0))


def test_two_cases_by_hand() -> None:
    cases = [
        (grey([[0, 255], [255, 0]]), masked([[0, 1], [1, 1]])),
        (grey([[51, 51, 51, 51], [102, 102, 102, 102]]), masked([[0, 0, 0, 0], [0, 0, 0, 0]])),
    ]
    found = measure(iter(cases), ONE, "grey")
    assert (found.cases, found.colour, found.channels, found.pixels) == (2, "grey", 1, "integer")
    assert (found.smallest, found.median, found.largest) == ((2, 2), (2, 3), (2, 4))
    assert found.aspect == (0.5, 1.0)
    values = np.array([0, 1, 1, 0] + [0.2] * 4 + [0.4] * 4)  # twelve pixels, each counted once
    assert found.mean == pytest.approx((float(values.mean()),), abs=1e-7)
    assert found.standard_deviation == pytest.approx((float(values.std()),), abs=1e-7)
    assert (found.labels, found.label_cases) == (("lesion",), (1,))
    assert found.label_share == pytest.approx((3 / 12,))


def test_heights_and_widths_are_told_apart() -> None:
    found = of_masks(*(np.zeros(size, np.uint8) for size in ((10, 40), (20, 30), (30, 30))))
    assert (found.smallest, found.median, found.largest) == ((10, 30), (20, 30), (30, 40))
    assert found.aspect == (0.25, 1.0)


def test_each_label_is_counted_by_itself() -> None:
    labels = LabelSet.of("a", "b", "c")
    cases = [
        (grey([[0] * 4]), masked([[0, 1, 1, 3]], labels)),
        (grey([[0] * 4]), masked([[3, 3, 3, 3]], labels)),
    ]
    found = measure(cases, labels, "grey")
    assert found.label_share == pytest.approx((2 / 8, 0.0, 5 / 8))
    assert found.label_cases == (1, 0, 2)


@pytest.mark.parametrize(("dtype", "greatest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integers_are_shares_of_their_range(dtype: npt.DTypeLike, greatest: int) -> None:
    found = measure([(grey([[0, greatest, greatest, greatest]], dtype), masked([[0, 0, 0, 1]]))], ONE, "grey")
    assert found.mean == (0.75,)
    assert found.standard_deviation == pytest.approx((math.sqrt(3) / 4,))
    assert found.pixels == "integer"


def test_float_pixels_keep_their_units_and_one_makes_the_set_float() -> None:
    cases = [
        (grey([[-1000.0, 500.0]], np.float32), masked([[0, 1]])),
        (grey([[0, 255]]), masked([[0, 1]])),
    ]
    for order in (cases, cases[::-1]):
        found = measure(order, ONE, "grey")
        assert found.pixels == "float"
        assert found.mean == ((-1000 + 500 + 0 + 1) / 4,)


def test_channels_are_measured_one_by_one() -> None:
    pixels = np.array([[[0, 0]], [[51, 153]], [[255, 255]]], np.uint8)
    case = (Image(pixels), masked([[0, 1]]))
    rgb = measure([case], ONE, "rgb")
    assert rgb.channels == 3
    assert rgb.mean == pytest.approx((0.0, 0.4, 1.0))
    assert rgb.standard_deviation == pytest.approx((1, 0.2, 1))  # by constant ones nothing is divided
    luminance = measure([case], ONE, "grey")  # 0.587 · 51 + 0.114 · 255 = 59.007; 0.587 · 153 + … = 118.881
    assert luminance.channels == 1
    assert luminance.mean == pytest.approx(((59 + 119) / 2 / 255,))


@pytest.mark.parametrize(("colour", "channels", "expected"), [("rgb", 1, 3), ("channels", 5, 5)])
def test_channels_are_those_the_net_will_see(colour: Colour, channels: int, expected: int) -> None:
    image = Image(np.full((channels, 2, 2), 51, np.uint8))
    found = measure([(image, masked([[0, 1], [0, 0]]))], ONE, colour)
    assert found.channels == expected
    assert found.mean == pytest.approx((0.2,) * expected)


def test_empty_masks_alone() -> None:
    found = of_masks(np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8))
    assert (found.label_share, found.label_cases) == ((0.0,), (0,))
    assert found.scale_ceiling == dict.fromkeys(SCALES, 1.0)  # nothing to lose, and no NaN
    assert found.side_ceiling == dict.fromkeys(SIDES, 1.0)
    assert (found.mirrored_horizontally, found.mirrored_vertically) == (1.0, 1.0)


def test_empty_masks_do_not_count_in_the_ceilings() -> None:
    line = np.zeros((256, 256), np.uint8)
    line[100] = 1
    alone, among = of_masks(line), of_masks(line, np.zeros_like(line), np.zeros_like(line))
    assert alone.scale_ceiling == among.scale_ceiling
    assert alone.side_ceiling == among.side_ceiling


def test_no_case() -> None:
    with pytest.raises(ValueError, match="at least one case"):
        measure([], ONE, "grey")


def test_blocks_outlive_scaling_and_lines_do_not() -> None:
    block = np.zeros((512, 512), np.uint8)
    block[128:384] = 1  # edges on multiples of 4: nothing is lost at these scales
    lines = np.zeros((512, 512), np.uint8)
    lines[3::32] = 1
    solid, thin = of_masks(block), of_masks(lines)
    for scale in (0.5, 0.25):
        assert solid.scale_ceiling[scale] == 1.0
        assert thin.scale_ceiling[scale] == 0.0  # a quarter or less of each small pixel: never above one half
    for side in (64, 128, 256):
        assert solid.side_ceiling[side] >= 0.99
        assert thin.side_ceiling[side] == 0.0
    assert thin.scale_ceiling[1.0] == solid.scale_ceiling[1.0] == 1.0


def test_no_case_is_enlarged_for_a_side() -> None:
    lines = np.zeros((100, 100), np.uint8)
    lines[::7] = 1
    found = of_masks(lines)
    for side in (128, 160, 192, 256):
        assert found.side_ceiling[side] == 1.0
    assert found.side_ceiling[64] < 0.5


def test_padding_to_one_shape_makes_other_shapes_smaller_still() -> None:
    square, long = np.zeros((512, 512), np.uint8), np.zeros((1024, 256), np.uint8)
    square[128:384, 128:384] = 1
    long.reshape(64, 16, 256)[:, :4] = 1  # lines that a quarter of the size keeps, and an eighth loses
    found = of_masks(square, square, long)
    alone = of_masks(long)
    assert alone.side_ceiling[128] > 0.9
    assert alone.side_ceiling[64] == 0.0
    kept = of_masks(square).side_ceiling
    assert found.padded_ceiling[128] == pytest.approx((2 * kept[128] + alone.side_ceiling[64]) / 3)
    assert found.side_ceiling[128] == pytest.approx((2 * kept[128] + alone.side_ceiling[128]) / 3)
    between = (alone.side_ceiling[64] + alone.side_ceiling[96]) / 2  # half of 160 is 80
    assert found.padded_ceiling[160] == pytest.approx((2 * kept[160] + between) / 3)
    assert alone.padded_ceiling == alone.side_ceiling  # all of one shape


def test_each_label_counts_alike_in_the_ceilings() -> None:
    mask = np.zeros((512, 512), np.uint8)
    mask[:256] = 1
    mask[403] = 2
    assert of_masks(mask, labels=SIDED).scale_ceiling[0.25] == pytest.approx((1 + 0) / 2)


def lungs(shift: int) -> npt.NDArray[np.uint8]:
    left, right = disc(64, (30 + shift, 16), 10, 1), disc(64, (30 + shift, 47), 10, 2)
    return np.maximum(left, right)


def test_sided_labels_are_unlike_their_mirror_image() -> None:
    found = of_masks(*(lungs(n % 3) for n in range(6)), labels=SIDED)
    assert found.mirrored_horizontally == 0.0
    found = of_masks(*(lungs(n % 3).T.copy() for n in range(6)), labels=SIDED)
    assert found.mirrored_vertically == 0.0


def test_symmetric_places_are_like_their_mirror_image() -> None:
    masks = [disc(64, (31.5, 31.5), 8 + n % 4) for n in range(8)]
    found = of_masks(*masks)
    assert found.mirrored_horizontally == pytest.approx(1.0, abs=0.02)
    assert found.mirrored_vertically == pytest.approx(1.0, abs=0.02)
    paired = [(m > 0).astype(np.uint8) for m in (lungs(0), lungs(1))]  # one label on both sides
    assert of_masks(*paired).mirrored_horizontally == pytest.approx(1.0, abs=0.05)
    low = [disc(64, (50, 31.5), 8 + n % 2) for n in range(4)]  # always low: upside down is another thing
    assert of_masks(*low).mirrored_vertically == 0.0
    assert of_masks(*low).mirrored_horizontally == pytest.approx(1.0, abs=0.02)


def test_scattered_places_favour_no_side() -> None:
    generator = np.random.default_rng(5)
    masks = [disc(64, (generator.uniform(8, 56), generator.uniform(8, 56)), 8) for _ in range(200)]
    found = of_masks(*masks)
    assert found.mirrored_horizontally == pytest.approx(1.0, abs=0.15)
    assert found.mirrored_vertically == pytest.approx(1.0, abs=0.15)


def test_a_large_picture_is_sampled_over_all_its_columns() -> None:
    # 1024² pixels of which each 256th is looked at: by position in memory these would be four columns
    pixels = np.full((1024, 1024), 255, np.uint8)
    pixels[:, ::256] = 0
    found = measure([(Image(pixels[None]), Mask(np.zeros_like(pixels), ONE))], ONE, "grey")
    assert found.mean[0] > 0.9
    ramp = np.tile(np.linspace(0, 255, 1024).round().astype(np.uint8), (1024, 1))
    for image in (ramp, ramp.T):
        found = measure([(Image(image[None]), Mask(np.zeros_like(image), ONE))], ONE, "grey")
        assert found.mean[0] == pytest.approx(float(image.mean()) / 255, abs=1e-3)
        assert found.standard_deviation[0] == pytest.approx(float(image.std()) / 255, abs=1e-3)


@given(st.integers(30, 3000), st.integers(30, 3000))
def test_a_picture_of_any_size_gives_its_mean(height: int, width: int) -> None:
    height = min(height, max(30, 200_000 // width))
    for shape, along in (((height, 1), height), ((1, width), width)):
        ramp = np.linspace(0, 255, along).astype(np.uint8).reshape(shape)
        pixels = np.broadcast_to(ramp, (height, width)).copy()
        found = measure([(Image(pixels[None]), Mask(np.zeros_like(pixels), ONE))], ONE, "grey")
        assert found.mean[0] == pytest.approx(float(pixels.mean()) / 255, abs=0.02)


@given(st.integers(1, PIXELS_SAMPLED), st.integers(1, PIXELS_SAMPLED), st.integers(0, 2**32 - 1))
def test_of_a_small_picture_every_pixel_counts(height: int, width: int, seed: int) -> None:
    width = min(width, PIXELS_SAMPLED // height)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    found = measure([(Image(pixels[None]), Mask(np.zeros_like(pixels), ONE))], ONE, "grey")
    assert found.mean[0] == pytest.approx(float(pixels.mean()) / 255, abs=1e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_any_masks_give_shares(height: int, width: int, seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    masks = [generator.integers(0, 3, (height, width)).astype(np.uint8) for _ in range(count)]
    found = of_masks(*masks, labels=SIDED)
    assert 0 <= sum(found.label_share) <= 1
    assert found.label_share == pytest.approx([np.mean([m == value for m in masks]) for value in (1, 2)])
    for ceiling in (*found.scale_ceiling.values(), *found.side_ceiling.values()):
        assert 0 <= ceiling <= 1
    assert math.isfinite(found.mirrored_horizontally)
    assert found.mirrored_horizontally >= 0
    assert Fingerprint.model_validate_json(found.model_dump_json()) == found


def test_few_cases_do_not_say_that_sides_differ() -> None:
    generator = np.random.default_rng(3)
    refused = 0
    for _ in range(40):
        masks = [disc(64, (generator.uniform(8, 56), generator.uniform(8, 56)), 8) for _ in range(6)]
        refused += of_masks(*masks).mirrored_horizontally < 0.8
    assert refused <= 8  # by the likeness alone it would be about thirty
    always_left = [disc(64, (32 + n % 3, 24 + n % 2), 8 + n % 3) for n in range(6)]
    assert of_masks(*always_left).mirrored_horizontally < 0.5


def test_cases_that_share_no_place_say_nothing() -> None:
    found = of_masks(disc(64, (10, 10), 5), disc(64, (50, 12), 5))
    assert (found.mirrored_horizontally, found.mirrored_vertically) == (1.0, 1.0)


def test_the_error_of_a_likeness_is_that_of_leaving_cases_out() -> None:
    masks = [disc(64, (32, 20 + 3 * n), 9) for n in range(5)]
    places = LabelPlaces(1)
    for at, mask in enumerate(masks):
        places.add(at, mask)
    grids = np.stack([places.grids[at][0] for at in range(5)]).astype(float)

    def ratio(kept: list[int]) -> float:
        pairs = [(a, b) for a in kept for b in kept if a != b]
        plain = sum((grids[a] * grids[b]).sum() for a, b in pairs)
        return float(sum((grids[a] * grids[b][:, ::-1]).sum() for a, b in pairs) / plain)

    without = np.array([ratio([at for at in range(5) if at != left]) for left in range(5)])
    error = math.sqrt(4 / 5 * float(((without - without.mean()) ** 2).sum()))
    assert ratio(list(range(5))) < 1
    assert places.likeness(-1) == pytest.approx(min(1.0, ratio(list(range(5))) + 2 * error))


def test_cases_are_looked_at_from_first_to_last() -> None:
    """Of 200 the last ones lose all at small scales, and a label of one of them alone has its say."""
    solid, thin = np.zeros((512, 512), np.uint8), np.zeros((512, 512), np.uint8)
    solid[128:384, 128:384] = 1
    thin[3::32] = 1
    found = of_masks(*[solid] * 100, *[thin] * 100)
    assert found.scale_ceiling[0.25] == pytest.approx(0.5, abs=0.03)
    second = solid.copy()
    second[403] = 2
    found = of_masks(*[solid] * 130, second, *[solid] * 69, labels=SIDED)
    assert found.scale_ceiling[0.25] == pytest.approx((1 + 0) / 2, abs=1e-3)


@pytest.mark.parametrize("first", [0, 1])
def test_a_label_is_not_forgotten_when_cases_are_thinned(first: int) -> None:
    solid, both = np.zeros((256, 256), np.uint8), np.zeros((256, 256), np.uint8)
    solid[64:192, 64:192] = 1
    both[64:192, 64:192] = 1
    both[3] = 2
    found = of_masks(*[both if at % 2 == first and at < 24 else solid for at in range(120)], labels=SIDED)
    assert found.scale_ceiling[0.25] == pytest.approx(0.5, abs=1e-3)


def test_labels_count_alike_however_many_cases_have_them() -> None:
    solid, thin = np.zeros((512, 512), np.uint8), np.zeros((512, 512), np.uint8)
    solid[128:384, 128:384] = 1
    thin[3::32] = 2
    assert of_masks(*[solid] * 9, thin, labels=SIDED).scale_ceiling[0.25] == pytest.approx(0.5, abs=1e-3)


def hot(value: int, *, pixels: int = 3) -> list[tuple[Image, Mask]]:
    """Two 16-bit images of a dim object, one of them with some pixels of a value."""
    generator = np.random.default_rng(0)
    cases = []
    for at in range(2):
        mask = disc(128, (60, 60), 20)
        levels = np.where(mask == 1, 500, 300) + generator.normal(0, 20, mask.shape)
        values = levels.round().astype(np.uint16)
        if at:
            values.flat[:pixels] = value
        cases.append((Image(values[None]), Mask(mask, ONE)))
    return cases


def test_hot_pixels_are_known_and_do_not_count() -> None:
    clean, found = measure(hot(400), ONE, "grey"), measure(hot(65535), ONE, "grey")
    assert clean.stray == ()
    ((low, high),) = found.stray
    assert low < 250 / 65535 < 550 / 65535 < high < 0.05
    assert found.standard_deviation == pytest.approx(clean.standard_deviation, rel=0.1)
    assert measure(hot(2000), ONE, "grey").stray == ()  # not that far from the others


def test_a_bright_label_of_few_pixels_is_not_stray() -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[50:52, 50:52] = 1
    values = np.where(mask == 1, 60000, 300).astype(np.uint16)
    assert measure([(Image(values[None]), Mask(mask, ONE))] * 3, ONE, "grey").stray == ()
