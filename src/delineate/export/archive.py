"""TorchScript archives without what tells where they were made."""

from __future__ import annotations

import io
import zipfile

DEBUG = ".debug_pkl"  # for each line of code the path of the source file that it came from


def without_places(content: bytes) -> bytes:
    """The same TorchScript file without the paths of the source files that it was compiled from.

    Args:
        content: What `torch.jit.save` wrote.

    Returns:
        What `torch.jit.load` reads likewise; errors inside it then name no lines of Python.
    """
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as copy,
    ):
        for entry in archive.infolist():
            if not entry.filename.endswith(DEBUG):
                copy.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry))
    return stream.getvalue()
