"""What can go wrong, each as a sentence for the user."""

from __future__ import annotations


class RuntimeFailure(Exception):  # noqa: N818  the base of those below
    """Base of all errors meant for the user; `exit_code` is what the command ends with."""

    exit_code = 1


class UsageError(RuntimeFailure):
    """The command or call itself is wrong."""

    exit_code = 2


class OutputError(UsageError):
    """The output place is read-only, full or holds other work."""


class ModelError(RuntimeFailure):
    """The model file is damaged, foreign, or made by a newer version."""


class ImageError(RuntimeFailure):
    """An image cannot be read, or does not fit the model."""
