"""Every engine computes what torch computes: all plans, ensembles, any batch, any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from test_ensembles import KINDS, model, net, picture, plan_of

from delineate.inference.engines.engine import EngineName, Precision
from delineate.inference.engines.making import make_engine

TOLERANCE = {"fp32": 1e-5, "bf16": 0.05}
ENGINES: tuple[tuple[EngineName, Precision], ...] = (
    ("torch", "bf16"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)


@pytest.mark.parametrize(("engine", "precision"), ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [1, 2])
def test_the_probabilities_are_those_of_torch(
    kind: str, engine: EngineName, precision: Precision, members: int
) -> None:
    plan = plan_of(kind)
    expected, found = (model(plan, *[net(plan, seed) for seed in range(members)]) for _ in range(2))
    found.engine = make_engine(found.net, engine, precision)
    assert (found.engine.name, found.engine.precision, found.engine.members) == (engine, precision, members)
    image = picture(plan)
    theirs, ours = (each.probabilities(image).astype(np.float32) for each in (expected, found))
    assert np.ptp(theirs) > 0.5
    assert np.abs(theirs - ours).max() < max(TOLERANCE[precision], 1e-3 * (plan.data.axes == 3))
