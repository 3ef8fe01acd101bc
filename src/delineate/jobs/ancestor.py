"""The model that a training starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from delineate.dataset.naming import listed
from delineate.errors import ModelFileError
from delineate.files import as_path
from delineate.inference.loading import refuse_exported
from delineate.inference.model import Model, load
from delineate.jobs.fold_parts import FoldParts
from delineate.jobs.imported import UNKNOWN_START
from delineate.jobs.parts import learned_of, seen
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Parts
from delineate.model_file import ModelCard
from delineate.networks.transfer import Transferred, Weighted, transfer
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.start import Start

OF_OTHERS = (".pth", ".pt", ".bin")  # how files of weights that are no model of ours are called


@dataclass(frozen=True)
class Ancestor:
    """A model whose weights are to be started from.

    Attributes:
        card: What it says about itself.
        weights: Of its network.
    """

    card: ModelCard
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, model: Model | str | Path) -> Ancestor:
        """The ancestor that a loaded model, a model file or a run folder is; of several nets the first.

        Raises:
            UsageError: There is nothing at the path.
            ModelFileError: The model cannot be used.
        """
        if not isinstance(model, Model | str | Path):
            refuse_exported(model, "learn")
        loaded = model if isinstance(model, Model) else _loaded(as_path(model))
        network = loaded.network[0] if isinstance(loaded.network, nn.ModuleList) else loaded.network
        return cls(loaded.card, {name: each.cpu() for name, each in network.state_dict().items()})

    def start_of(self, plan: Plan, reporter: Reporter) -> Start:
        """The weights that a training by a plan starts from.

        Args:
            plan: Its network is the model's but for channels; its seed gives what cannot be taken over.
            reporter: Told what is taken over.
        """
        torch.manual_seed(plan.training.seed)
        fresh = UNet(plan.network).state_dict()
        theirs = self.card.plan
        found = transfer(
            Weighted(theirs.network, theirs.data.labels, self.weights),
            Weighted(plan.network, plan.data.labels, fresh),
        )
        reporter.say(_told(found, theirs, plan, self.card.members))
        card = self.card
        return Start(found.weights, card.weights_sha256, card.training.case_digests, card.unknown_images)


def _loaded(path: Path) -> Model:
    if path.suffix.lower() not in OF_OTHERS:
        refuse_exported(path, "learn")
    try:
        return load(path)
    except ModelFileError as error:
        if path.suffix.lower() not in OF_OTHERS:
            raise
        raise ModelFileError(
            f"{error} An exported model cannot learn: give the model file that it was made of. "
            "The weights of an encoder alone are given with --encoder."
        ) from error


def _told(found: Transferred, theirs: Plan, plan: Plan, members: int) -> str:
    """What is taken over, to be said."""
    if not found.new_labels:
        head = f"the part that decides {listed(found.labels)} too, as the names are the same"
    elif found.labels:
        head = f"the part that decides {listed(found.labels)} too; that for {listed(found.new_labels)} is new"
    else:
        head = f"but the part that decides {listed(found.new_labels)} is new"
    whose = "the model" if members == 1 else f"the first of the model's {members} nets"
    text = f"The network and its weights are taken over from {whose}, {head}."
    if found.adapted:
        before, after = theirs.network.input_channels, plan.network.input_channels
        text += f" Its first convolution is adapted from {before} to {after} channels."
    shortcut = "the shortcut around its first block"  # all that an input's channels give weights or take them
    if found.fresh:
        text += f" {shortcut.capitalize()}, which had no weights, starts from random ones."
    if found.dropped:
        text += f" The weights of {shortcut}, which needs none any more, are left out."
    return text


def with_leaks_of(start: Start, parts: Parts, reporter: Reporter) -> Parts:
    """The parts with a caution, told to the reporter, if the model started from has seen what is scored.

    That it may have, as not all of its images are known, is noted without being told.
    """
    leaks = list(parts.leaks)
    learned = learned_of(parts.scored, start.case_digests)
    if learned:
        leaks.append(seen(learned, parts.scored, "The model that the training started from"))
        reporter.warn(leaks[-1])
    if start.unknown_images:
        leaks.append(UNKNOWN_START)
    return replace(parts, leaks=tuple(leaks))


def folds_with_leaks_of(start: Start, folded: FoldParts, reporter: Reporter) -> FoldParts:
    """Likewise for a cross-validation, which scores all of its cases."""
    found = replace(folded, known=frozenset(learned_of(folded.whole, start.case_digests)))
    for caution in found.leaks_in(found.whole):
        reporter.warn(caution)
    return replace(found, unknown_images=start.unknown_images)
