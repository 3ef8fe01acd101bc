"""TorchScript files tell nothing of the machine that they were made on."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from test_ensembles import model, net, plan_of

import delineate
from delineate.export.archive import without_places
from delineate.export.order import Form
from delineate.export.torchscript import torchscript_model


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_path_of_a_source_file_is_left() -> None:
    plan = plan_of("whole, one label")
    content = torchscript_model(model(plan, net(plan, 0)), Form("uint8", "last"))
    here = str(Path(delineate.__file__).parent).encode()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert any(name.endswith(".py") for name in inside)
    telling = [name for name, held in inside.items() if here in held or b"site-packages" in held]
    assert telling == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_computed_stays_the_same() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3)).eval()
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(network), stream, _extra_files={"told": b"this"})
    extra = {"told": ""}
    found = torch.jit.load(  # type: ignore[no-untyped-call]  # torch's
        io.BytesIO(without_places(stream.getvalue())), _extra_files=extra
    )
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(found(image), network(image))
    assert extra["told"] in ("this", b"this")
