"""Plans whose network is that of a model they start from."""

from __future__ import annotations

import math

from pydantic import ValidationError

from delineate.errors import PlanError, UsageError
from delineate.geometry import times
from delineate.networks.settings import UNetSettings, with_channels_of
from delineate.plan import Plan, plan_error
from delineate.planner.common import Planned, up_to_strides
from delineate.planner.encoders import ENCODER_RATE
from delineate.planner.seen import LARGER_SIDE

KINDS = {2: "pictures or slices", 3: "volumes"}
ADAM_SHARE = 2.0  # docs/decisions/0016
INTENSITIES = {"normalization", "mean", "standard_deviation", "clip"}
OF_NETWORK = ("network.stem", "network.strides")  # reasons of a net that is made for the data


def inherit(planned: Planned, trained: Plan, model: str) -> Planned:
    """The plan for the data with the network of a model.

    What the net sees is made larger until it is a multiple of that network's strides, batches of large images
    are no larger than the model's, and layers other than convolutions learn faster. A network without batch
    normalization keeps the model's intensities, since nothing in it can come to terms with others. All else
    stays as it suits the data.

    Args:
        planned: As made for the data.
        trained: The model's plan.
        model: What to call it in reasons: a part of its hash.

    Raises:
        UsageError: It sees another number of axes.
        PlanError: The plan's own network is asked for and is another.
    """
    plan, network = planned.plan, trained.network
    _refuse_other_axes(plan, network)
    if plan.preset == "classic":
        refuse_other_network(plan, network, "The preset classic")
        return planned
    reasons = {name: why for name, why in planned.reasons.items() if name not in OF_NETWORK}
    reasons["training.adam_share"] = "a last layer that is new must catch up with the layers before it"
    reasons["network"] = f"that of the model {model}, whose weights the training starts from"
    sizes = up_to_strides(plan, network.total_strides)
    training = plan.training.model_dump() | {"adam_share": ADAM_SHARE}
    own, theirs = plan.training.batch_size, trained.training.batch_size
    large = plan.preprocessing.mode == "whole" and math.prod(plan.preprocessing.size) > LARGER_SIDE**2
    if large and theirs < own:
        training["batch_size"] = theirs
        if plan.training.steps is not None:
            training["steps"] = math.ceil(plan.training.steps * own / theirs)  # as many epochs
        reasons["training.batch_size"] = "the model's, since images as large take much memory"
    changes: dict[str, dict[str, object]] = {
        "network": with_channels_of(network, plan.network).model_dump(),
        "training": training,
        **sizes,
    }
    if sizes["preprocessing"] != plan.preprocessing.model_dump():
        strides = times(network.total_strides)
        rounded = f"rounded up to multiples of {strides}, the strides of that model's network"
        before = reasons.get("preprocessing.size")
        reasons["preprocessing.size"] = f"{before}; {rounded}" if before else rounded
    if network.normalization == "none" and _alike(plan, trained):
        changes["preprocessing"] |= {
            name: value for name, value in trained.preprocessing.model_dump().items() if name in INTENSITIES
        }
        reasons["preprocessing.normalization"] = (
            "that of the model to start from, whose network has no batch normalization to get used to another"
        )
    if network.encoder != "plain":
        changes["training"] |= {"encoder_learning_rate": ENCODER_RATE}
    try:
        inherited = Plan.model_validate(plan.model_dump() | changes)
    except ValidationError as error:
        raise plan_error("The plan for these data with that model's network", error) from error
    return Planned(inherited, reasons)


def _alike(plan: Plan, trained: Plan) -> bool:
    """Whether the numbers of their images can be brought to one scale in the same way."""
    return plan.data.channels == trained.data.channels and plan.data.pixels == trained.data.pixels


def refuse_other_network(plan: Plan, network: UNetSettings, named: str) -> None:
    """See to it that a plan's network differs from a model's in its channels at most.

    Args:
        plan: Asked for.
        network: Of the model.
        named: What the plan is called, to begin a sentence with.

    Raises:
        PlanError: It differs; all differences are named.
    """
    ours, theirs = plan.network.model_dump(mode="json"), network.model_dump(mode="json")
    channels = {"input_channels", "output_channels"}
    differences = [
        f"network.{name} is {ours[name]} there and {theirs[name]} in the model"
        for name in UNetSettings.model_fields
        if name not in channels and ours[name] != theirs[name]
    ]
    if differences:
        raise PlanError(
            f"{named} has another network than the model to start from, so that its weights do not fit: "
            f"{'; '.join(differences)}. Make them alike, or omit one of the two options."
        )


def _refuse_other_axes(plan: Plan, network: UNetSettings) -> None:
    ours, theirs = plan.network.axes, network.axes
    if ours == theirs:
        return
    message = f"The model to start from sees {KINDS[theirs]}, these data would be seen as {KINDS[ours]}. "
    if plan.data.axes == 3:
        message += f"Have them seen as the model does: --dims {theirs}."
    else:
        message += "Pictures cannot be seen as volumes: start from another model, or from none."
    raise UsageError(message)
