"""Trying engines on a net: each computes the same batch, is compared with torch in fp32, and is timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from delineate.choices import FloatPrecision
from delineate.inference.engines.agreement import changed_labels, disagreement
from delineate.inference.engines.engine import EngineName
from delineate.inference.engines.making import Net
from delineate.inference.engines.probe import MEASURE_S, Probed, Task, probe
from delineate.inference.engines.pytorch import TorchEngine, on_processor
from delineate.inference.engines.remembered import Trial
from delineate.inference.engines.sessions import Numbers

ENGINES: tuple[EngineName, ...] = ("torch", "onnxruntime", "openvino")
PRECISIONS: tuple[FloatPrecision, ...] = ("fp32", "bf16")
SEED = 0


@dataclass(frozen=True)
class Candidate:
    """An engine in a precision."""

    name: EngineName
    precision: FloatPrecision

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


def candidates(precisions: Sequence[FloatPrecision]) -> list[Candidate]:
    """All that could compute in one of these precisions, torch first; installed or not."""
    return [
        Candidate(name, precision)
        for name in ENGINES
        for precision in PRECISIONS
        if precision in precisions and not (name == "onnxruntime" and precision == "bf16")
    ]


def try_out(net: Net, wanted: Sequence[Candidate], *, limit_s: float) -> dict[str, Trial]:
    """Try engines, torch here and each other one in a process of its own.

    Args:
        net: What they compute; on the processor, to which it is copied from a GPU.
        wanted: Which, all installed.
        limit_s: Seconds for each engine but torch.

    Returns:
        A trial for each.
    """
    batch = probing_batch(net)
    found: dict[str, Trial] = {}
    network = on_processor(net.network)
    reference, seconds = _timed(TorchEngine(network), batch)
    if Candidate("torch", "fp32") in wanted:
        found["torch fp32"] = Trial(seconds=seconds)
    threshold, of_torch = net.plan.threshold, 0.0
    if any(each.precision == "bf16" for each in wanted):
        shares, seconds = _timed(TorchEngine(network, bf16=True), batch)
        of_torch = changed_labels(shares, reference, threshold)
        found["torch bf16"] = Trial(seconds=seconds)
    for name in ENGINES[1:]:
        precisions = [each.precision for each in wanted if each.name == name]
        if not precisions:
            continue
        task = Task(net.graph, batch.numpy(), net.classes, torch.get_num_threads())
        for precision, probed in probe(name, precisions, task, limit_s=limit_s).items():
            fault = probed.fault or _fault(probed, reference, precision, threshold, of_torch)
            found[f"{name} {precision}"] = Trial(
                seconds=probed.seconds if fault is None else None,
                fault=fault,
                late_s=limit_s if probed.late else None,
            )
    return found


def probing_batch(net: Net) -> Tensor:
    """Smooth noise such as a net takes, as many images as are predicted at once."""
    several = 2 if net.plan.network.axes == 3 else 4
    count = several if net.plan.preprocessing.mode == "patch" else 1
    channels, *size = net.shape
    generator = torch.Generator().manual_seed(SEED)
    total = torch.randn(count, channels, *size, generator=generator) / 4
    mode = "trilinear" if len(size) == 3 else "bilinear"
    for parts in (4, 16):
        coarse = torch.randn(count, channels, *(max(1, side // parts) for side in size), generator=generator)
        total = total + functional.interpolate(coarse, size=size, mode=mode, align_corners=False)
    if net.plan.preprocessing.normalization == "unit":
        return (total - total.min()) / (total.max() - total.min())
    return total / total.std()


def _fault(
    probed: Probed, reference: Numbers, precision: FloatPrecision, threshold: float, of_torch: float
) -> str | None:
    if probed.found is None or probed.found.shape != reference.shape:
        return "gives no probabilities of the right size"
    return disagreement(probed.found, reference, precision, threshold=threshold, of_torch=of_torch)


def _timed(engine: TorchEngine, batch: Tensor) -> tuple[Numbers, float]:
    """Probabilities, and the shortest time of several runs."""
    taken: list[float] = []
    batch = batch.to(engine.device)
    with torch.inference_mode():
        found: Numbers = engine(batch).cpu().numpy()
        while len(taken) < 2 or sum(taken) < MEASURE_S:
            start = time.perf_counter()
            engine(batch)
            taken.append(time.perf_counter() - start)
    return found, min(taken)
