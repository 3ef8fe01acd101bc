"""The net in a graph, with the mirrored images that prediction averages in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from delineate.inference.engines.onnx_graph import GraphWriter
from delineate.inference.engines.unet_onnx import write_probabilities
from delineate.inference.predict import mirrorings
from delineate.networks.unet import UNet
from delineate.plan import Plan

TO_THE_FIRST = -(1 << 62)  # where a backward slice ends


@dataclass(frozen=True)
class Net:
    """A net, or an ensemble, of a plan.

    Attributes:
        networks: In evaluation mode.
        plan: The one they were trained by.
    """

    networks: Sequence[UNet]
    plan: Plan

    @property
    def window(self) -> tuple[int, ...]:
        """What it sees at once."""
        return self.plan.window

    def write(self, to: GraphWriter, image: str) -> str:
        """The probabilities `(1, K, …)` of a normalized image `(1, C, …)` of the window's size."""
        flips = mirrorings(self.plan)
        if not flips:
            return self._alone(to, image)
        if self.plan.network.axes == 3:  # one after another, for the memory's sake
            found = [self._alone(to, image)]
            found += [
                self._mirrored_back(to, self._alone(to, _flipped(to, image, f)), f, o) for f, o in flips
            ]
            return to.op("Mean", *found)
        images = to.op("Concat", image, *(_flipped(to, image, dims) for dims, _ in flips), axis=0)
        together = to.ops(
            "Split", self._alone(to, images), outputs=1 + len(flips), num_outputs=1 + len(flips)
        )
        back = [
            self._mirrored_back(to, each, dims, order)
            for each, (dims, order) in zip(together[1:], flips, strict=True)
        ]
        return to.op("Mean", together[0], *back)

    def _alone(self, to: GraphWriter, images: str) -> str:
        return write_probabilities(to, self.networks, images, self.window)

    @staticmethod
    def _mirrored_back(to: GraphWriter, found: str, dims: tuple[int, ...], order: list[int] | None) -> str:
        found = _flipped(to, found, dims)
        return found if order is None else to.op("Gather", found, to.integers(*order), axis=1)


def _flipped(to: GraphWriter, value: str, dims: tuple[int, ...]) -> str:
    count = len(dims)
    starts, ends = to.integers(*[-1] * count), to.integers(*[TO_THE_FIRST] * count)
    return to.op("Slice", value, starts, ends, to.integers(*dims), to.integers(*[-1] * count))
