"""How far images may be moved and recoloured, as plain values."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=0.5)]
Probability = Annotated[float, Field(ge=0, le=1)]


class AugmentationSettings(BaseModel):
    """Ranges; each image of a batch draws its own values, evenly within them.

    Geometry moves image and mask alike; intensity touches the image alone and works on normalized images.

    Attributes:
        geometry_probability: Share of the images that are rotated, shifted, sheared, zoomed and stretched;
            mirroring is apart. The others keep their pixels as they are, unsmoothed by interpolation.
        rotation_degrees: Rotation within ± this; of volumes, within their slices' plane.
        tilt_degrees: Of volumes: rotation out of that plane, about height and about width, within ± this.
        shift: Shift within ± this share of height and of width, and of depth.
        shear_degrees: Shear angle within ± this.
        zoom: Smallest and largest magnification (1.1 shows things a tenth larger), drawn evenly in its
            logarithm.
        stretch: Magnification of height against width, and of depth against their mean, within 1 ± this.
        flip_horizontal: Mirror along the width, half of the time.
        flip_vertical: Mirror along the height, half of the time.
        flip_depth: Of volumes: mirror along the depth, half of the time.
        fill: What lies beyond the image's edge, in image and mask alike: "nearest" repeats the edge,
            "reflect" mirrors the image in it.
        intensity_probability: Share of the images that get any intensity change.
        brightness: Added, within ± this many standard deviations.
        contrast: Multiplied about the image's mean, within 1 ± this.
        gamma: Exponent on the image stretched to [0, 1], within 1 / (1 + this) … 1 + this.
        colour: Added to each channel on its own, within ± this many standard deviations.
        noise: Gaussian noise of a standard deviation up to this.
        blur_sigma_px: Gaussian blur of up to this, in pixels of the finest axis.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    geometry_probability: Probability = 1.0
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    tilt_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Fraction = 0.0
    shear_degrees: Annotated[float, Field(ge=0, le=45)] = 0.0
    zoom: tuple[Annotated[float, Field(gt=0.1, le=10)], Annotated[float, Field(gt=0.1, le=10)]] = (1.0, 1.0)
    stretch: Fraction = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    flip_depth: bool = False
    fill: Literal["nearest", "reflect"] = "nearest"
    intensity_probability: Probability = 1.0
    brightness: Annotated[float, Field(ge=0, le=5)] = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gamma: Annotated[float, Field(ge=0, le=4)] = 0.0
    colour: Annotated[float, Field(ge=0, le=5)] = 0.0
    noise: Annotated[float, Field(ge=0, le=5)] = 0.0
    blur_sigma_px: Annotated[float, Field(ge=0, le=10)] = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"zoom runs from the smaller to the larger: [{self.zoom[1]}, {self.zoom[0]}]")
        return self


NONE = AugmentationSettings()
"""Images and masks as they are."""

CLASSIC = AugmentationSettings(
    geometry_probability=0.5,
    rotation_degrees=20,
    shift=0.1,
    shear_degrees=0.1,
    zoom=(0.9, 1.1),
    flip_horizontal=True,
    fill="nearest",
)
"""The ranges of the widely copied Keras script, with shear in degrees as Keras reads it.

Half of the images stay where they are, so that the net also meets pixels that no interpolation has smoothed,
as those it will be used on.
"""
