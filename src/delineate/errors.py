"""Every error Delineate raises on purpose, each with a message written for its user.

```
DelineateError              what, where, what to do; exit code 1
├── UsageError              the command or call itself is wrong; exit code 2
│   ├── PlanError           a plan has a field, value or combination that cannot work
│   └── OutputError         the output place is missing, read-only, full or holds other work
├── DataError               the user's data cannot be used as they are
│   ├── ImageError          one file cannot be read: truncated, corrupt, not an image, too large
│   ├── MaskError           mask values whose meaning must be decided by the user
│   └── TooLittleMemoryError  more memory would be needed than there is
├── ModelFileError          a model file is damaged, foreign, or made by a newer version
├── ExportError             an exported file's answers are not those of the model
├── TrainingError           training went wrong, for example the loss is not a number
└── Interrupted             SIGINT or SIGTERM; the work so far is saved; exit code 130 or 143
```
"""

from __future__ import annotations

from pathlib import Path


class DelineateError(Exception):
    """Base of all errors meant for the user; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(DelineateError):
    """The command or call itself is wrong."""

    exit_code = 2


class PlanError(UsageError):
    """A plan has a field, value or combination that cannot work."""


class OutputError(UsageError):
    """The output place is missing, read-only, full or holds other work."""


class DataError(DelineateError):
    """The user's data cannot be used as they are."""


class ImageError(DataError):
    """One file cannot be read.

    Args:
        path: The file.
        reason: Why, in words that stand after a colon ("the file is truncated").
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class MaskError(DataError):
    """Mask values whose meaning must be decided by the user."""


class TooLittleMemoryError(DataError):
    """More memory would be needed than there is; known before it is taken.

    Args:
        message: For the user.
        shortage: How much is needed and how much there is, in words that stand after "would take about".
    """

    def __init__(self, message: str, shortage: str) -> None:
        self.shortage = shortage
        super().__init__(message)


class ModelFileError(DelineateError):
    """A model file is damaged, foreign, or made by a newer version."""


class ExportError(DelineateError):
    """An exported file's answers are not those of the model."""


class TrainingError(DelineateError):
    """Training went wrong, for example the loss is not a number."""


class Interrupted(DelineateError):  # noqa: N818  it is a state to report, not a fault
    """Stopped by a signal after the work so far was saved.

    Args:
        message: What was saved and how to go on.
        signal_number: The signal; the exit code is 128 plus it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(message)


class Stopped(KeyboardInterrupt):
    """A signal asked to stop, as Ctrl-C does; no `except Exception` on the way swallows it.

    Args:
        signal_number: The signal.
    """

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(signal_number)


OUT_OF_TORCHS_MEMORY = ("OutOfMemoryError", "out of memory", "_ALLOC_FAILED", "DefaultCPUAllocator:")
"""Signs of PyTorch's errors, on a GPU and elsewhere, that are no `MemoryError`."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is too little memory, of the machine or of its GPU."""
    said = f"{type(error).__name__} {error}"
    return isinstance(error, MemoryError) or any(sign in said for sign in OUT_OF_TORCHS_MEMORY)


class DelineateWarning(UserWarning):
    """Something the user should know that does not stop the work."""
