"""The kinds of phantom there are, and drawing any number of one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from delineate.errors import UsageError
from delineate.phantoms import noise as noise_kind
from delineate.phantoms import nuclei, organs, ultrasound, vessels
from delineate.phantoms.kind import Phantom, PhantomKind

SIZE_RANGE = (16, 4096)
CONTRAST_RANGE = (0.1, 2.0)
NOISE_RANGE = (0.0, 4.0)

KINDS: Mapping[str, PhantomKind] = MappingProxyType(
    {module.KIND.name: module.KIND for module in (noise_kind, ultrasound, nuclei, vessels, organs)}
)


def find_kind(name: str) -> PhantomKind:
    """The kind of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in KINDS:
        raise UsageError(f"There is no kind of phantom called {name!r}. The kinds are: {', '.join(KINDS)}.")
    return KINDS[name]


def generate(
    kind: str,
    count: int,
    *,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    contrast: float = 1.0,
    noise: float = 1.0,
) -> Iterator[Phantom]:
    """Draw phantoms one after the other.

    Phantom number i depends on nothing but the kind, `seed`, i, `size`, `contrast` and `noise`: the first 5
    of 100 are the first 5 of 5. Its mask depends on neither `contrast` nor `noise`.

    Args:
        kind: One of `KINDS`.
        count: How many, 1 or more.
        size: `(H, W)`, each 16…4096; by default the kind's own.
        seed: 0 or more.
        contrast: How far targets stand out from what lies about them, 0.1…2; 1 is usual. Without meaning for
            a kind that is not adjustable.
        noise: How strong the noise is, 0…4; 1 is usual, 0 is none. Without meaning for a kind that is not
            adjustable.

    Returns:
        An iterator over `count` phantoms; wrong arguments are refused at once, not at the first one drawn.

    Raises:
        UsageError: The kind is unknown or an argument lies out of its range.
    """
    chosen = find_kind(kind)
    size = chosen.size if size is None else size
    problems = _problems(count, size, seed, contrast, noise)
    if problems:
        raise UsageError(f"No phantoms were made: {'; '.join(problems)}.")
    identity = zlib.crc32(chosen.name.encode())
    return (
        chosen.make(
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(identity, number))),
            size,
            contrast=contrast,
            noise=noise,
        )
        for number in range(count)
    )


def _problems(count: int, size: tuple[int, int], seed: int, contrast: float, noise: float) -> list[str]:
    """What is wrong with the arguments, each in words."""
    problems = []
    if count < 1:
        problems.append(f"the count must be 1 or more, not {count}")
    if len(size) != 2 or not all(SIZE_RANGE[0] <= length <= SIZE_RANGE[1] for length in size):
        shown = "×".join(map(str, size))
        problems.append(f"height and width must be {SIZE_RANGE[0]} to {SIZE_RANGE[1]} pixels, not {shown}")
    if seed < 0:
        problems.append(f"the seed must be 0 or more, not {seed}")
    for name, value, (low, high) in (("contrast", contrast, CONTRAST_RANGE), ("noise", noise, NOISE_RANGE)):
        if not low <= value <= high:
            problems.append(f"{name} must lie in {low:g} to {high:g}, not {value:g}")
    return problems
