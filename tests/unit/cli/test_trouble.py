"""What commands say when memory runs out, which PyTorch tells by errors of its own."""

from __future__ import annotations

import pytest
import torch
import typer

from delineate.cli.trouble import INTERNAL_ERROR, guarded

SUFFICES = "The memory of this machine, or of its GPU, does not suffice."


def _fails_with(error: Exception) -> int:
    @guarded
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as stopped:
        command()
    return stopped.value.exit_code


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_too_little_memory_is_no_fault_of_the_program(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _fails_with(error) == 1
    assert SUFFICES in capsys.readouterr().err


def test_too_little_memory_on_the_cpu_is_known_by_what_pytorch_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert _fails_with(caught.value) == 1
    assert SUFFICES in capsys.readouterr().err


def test_other_errors_of_pytorch_are_faults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert _fails_with(caught.value) == INTERNAL_ERROR
    assert "Delineate has a fault here: RuntimeError" in capsys.readouterr().err
