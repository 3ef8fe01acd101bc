"""Plans for a net whose way down begins from pretrained weights."""

from __future__ import annotations

from pydantic import ValidationError

from delineate.fingerprint import Fingerprint
from delineate.networks.settings import Encoder, UNetSettings
from delineate.plan import Plan, plan_error
from delineate.planner.common import Planned, up_to_strides

DECODER_WIDTHS = (16, 32, 64, 128, 256)
ENCODER_RATE = 1e-4
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
LEAST_DEVIATION = 0.5  # times ImageNet's, of a channel at least


def with_encoder(planned: Planned, data: Fingerprint, encoder: Encoder) -> Planned:
    """The same plan with a ResNet, whose weights are given, as the net's way down.

    Args:
        planned: Of a net for images.
        data: Says what the images are.
        encoder: The ResNet.

    Raises:
        PlanError: They do not go together.

    Source:
        The decoder's widths and the rate of the encoder: Iakubovskii: Segmentation Models PyTorch, 2019, its
        defaults and its widely copied CamVid example. A lower rate for what was learned before: Howard,
        Ruder: Universal language model fine-tuning, ACL 2018.
    """
    plan, reasons = planned.plan, dict(planned.reasons)
    network = plan.network.model_dump() | {
        "encoder": encoder,
        "widths": DECODER_WIDTHS,
        "convolutions": 2,
        "normalization": "batch",
        "stem": 1,
    }
    reasons.pop("network.stem", None)
    reasons["network.encoder"] = "that of the file whose weights it begins from"
    if "network.axes" in reasons:
        reasons["network.axes"] = "slices: such encoders see nothing else"
    intensities: dict[str, object] = {}
    if data.pixels == "integer" and not data.calibrated and data.colour in ("grey", "rgb"):
        imagenet = _imagenet(data.channels)
        if _varies(data, imagenet["standard_deviation"]):
            intensities = {"normalization": "dataset", "clip": (), **imagenet}
            reasons["preprocessing.normalization"] = "ImageNet's mean and deviation, as such weights expect"
        else:
            reasons["preprocessing.normalization"] += "; they vary less than half as much as ImageNet's"
    training = plan.training.model_dump() | {"encoder_learning_rate": ENCODER_RATE}
    reasons["training.encoder_learning_rate"] = (
        "what was learned before is changed with care: a customary rate, not one that was measured here"
    )
    try:
        net = UNetSettings.model_validate(network)
        sizes = up_to_strides(plan, net.total_strides)
        sizes["preprocessing"] |= intensities
        changes = {"network": net, "training": training, **sizes}
        return Planned(Plan.model_validate(plan.model_dump() | changes), reasons)
    except ValidationError as error:
        raise plan_error("The plan with this encoder", error) from error


def _varies(data: Fingerprint, expected: tuple[float, ...]) -> bool:
    """Whether a channel varies about as much as expected; as 10 bits in 16-bit files none does.

    A deviation of 1 is that of equal pixels, see `fingerprint.dividing`.
    """
    deviations = zip(data.standard_deviation, expected, strict=True)
    return any(LEAST_DEVIATION * theirs <= ours < 1 for ours, theirs in deviations)


def _imagenet(channels: int) -> dict[str, tuple[float, ...]]:
    """ImageNet's mean and deviation a channel; of grey images the mean of the three colours'."""
    if channels == 3:
        return {"mean": IMAGENET_MEAN, "standard_deviation": IMAGENET_DEVIATION}
    mean, deviation = (round(sum(each) / 3, 3) for each in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return {"mean": (mean,) * channels, "standard_deviation": (deviation,) * channels}
