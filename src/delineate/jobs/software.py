"""The versions that results depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("delineate", "torch", "lightning-fabric", "numpy", "scipy", "scikit-image", "pillow", "tifffile")


def software_versions(*others: str) -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, and of others."""
    found = {"python": platform.python_version()}
    for name in dict.fromkeys((*PACKAGES, *others)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
