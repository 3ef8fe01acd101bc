"""A training that starts from a pretrained encoder."""

from __future__ import annotations

import torch

from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.pretrained.resnet import PretrainedEncoder
from delineate.training.start import Start


def start_from_encoder(encoder: PretrainedEncoder, plan: Plan) -> Start:
    """The weights that a training by a plan starts from: the encoder's, and for the rest those of its seed.

    Args:
        encoder: From a file.
        plan: Its network's encoder is of the same architecture.
    """
    torch.manual_seed(plan.training.seed)
    fresh = UNet(plan.network).state_dict()
    return Start(
        fresh | encoder.start_weights(plan.network),
        started_from=None,
        case_digests=(),
        unknown_images=True,
        encoder_sha256=encoder.sha256,
    )
