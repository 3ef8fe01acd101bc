"""Images that are there twice: the same pixels, or nearly the same picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from delineate.dataset.grouping import Groups, joined
from delineate.dataset.inspection import ImageFacts
from delineate.dataset.naming import natural_key

HASH_BITS = 6
CORRELATION = 0.995
OWN_CORRELATION = 0.93
LEAST_FOR_MEAN = 8
LEAST_FOR_ORDER = 12
STEPS_APART = 16
_BITS_SET = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)


def exact_duplicates(facts: Mapping[str, ImageFacts]) -> Groups:
    """Names of images whose decoded pixels are equal, in groups, however files store them."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for name, image in facts.items():
        by_digest[image.digest].append(name)
    return _ordered(names for names in by_digest.values() if len(names) > 1)


def near_duplicates(facts: Mapping[str, ImageFacts]) -> Groups:
    """Names of images that show nearly the same picture, in groups.

    Candidates differ in at most `HASH_BITS` of 64 bits of the perceptual hash. Since pictures taken alike
    (centred X-rays, round fundus photographs) share most of that, a candidate counts only if the two
    correlate beyond what the set has in common: above `OWN_CORRELATION` after the mean picture of the set is
    subtracted, or without that above `CORRELATION`. Both were set on endoscopy, smears, X-rays and fundus
    photographs, where they find the repeated shots and no two different subjects.

    Args:
        facts: By name. Constant images are left out; of exact duplicates one stands for all.

    Returns:
        Groups of two and more that are not exact duplicates of each other.

    Source:
        Zauner (2010), Implementation and benchmarking of perceptual image hash functions (by `imagehash`).
    """
    one_each: dict[str, str] = {}
    for name in sorted(facts, key=natural_key):
        if not facts[name].constant:
            one_each.setdefault(facts[name].digest, name)
    names = list(one_each.values())
    if len(names) < 2:
        return ()
    pictures = np.stack([_centred(facts[name].thumbnail) for name in names])
    own = _own(pictures) if len(names) >= LEAST_FOR_MEAN else np.zeros_like(pictures)
    hashes = np.array([list(facts[name].perceptual_hash) for name in names], dtype=np.uint8)
    links = []
    for first, others in _alike(hashes):
        same = (pictures[others] @ pictures[first] > CORRELATION) | (
            own[others] @ own[first] > OWN_CORRELATION
        )
        if same.any():
            links.append([names[index] for index in (first, *others[same])])
    return _ordered([list(group) for group in joined(links)])


def alike_in_order(facts: Mapping[str, ImageFacts]) -> float:
    """How far images that follow one another by name look alike, as slices of a volume or video frames do.

    Args:
        facts: By name.

    Returns:
        The share of neighbours in natural order that correlate more than 9 in 10 pairs that stand far apart,
        after the set's mean picture is subtracted: about 0.1 for images with nothing to do with each other.
    """
    names = sorted((name for name, image in facts.items() if not image.constant), key=natural_key)
    if len(names) < LEAST_FOR_ORDER:
        return 0.0
    own = _own(np.stack([_centred(facts[name].thumbnail) for name in names]))
    neighbours = (own[1:] * own[:-1]).sum(1)
    start = len(names) // 3
    apart = np.concatenate(
        [(own[:-k] * own[k:]).sum(1) for k in range(start, start + STEPS_APART) if k < len(own)]
    )
    return float((neighbours > np.quantile(apart, 0.9)).mean())


def _own(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What each picture has beyond the mean of all, of length 1."""
    own: npt.NDArray[np.float32] = pictures - pictures.mean(0)
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-6)
    return own


def _centred(thumbnail: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """As a vector of mean 0 and length 1."""
    values = thumbnail.astype(np.float32).ravel()
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def _alike(hashes: npt.NDArray[np.uint8]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Of `(n, 8)` hashes each index with the later ones whose hashes differ in few bits, if there are any."""
    for first in range(len(hashes) - 1):
        differing = _BITS_SET[hashes[first + 1 :] ^ hashes[first]].sum(1, dtype=np.uint8)
        others = np.flatnonzero(differing <= HASH_BITS) + first + 1
        if len(others):
            yield first, others


def _ordered(groups: Iterable[Sequence[str]]) -> Groups:
    inner = [tuple(sorted(group, key=natural_key)) for group in groups]
    return tuple(sorted(inner, key=lambda group: natural_key(group[0])))
