"""Damage to a file, wholly told by its kind and a number, so that it can be done again."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable

from fuzz_samples import Sample

HEADER_BYTES = 512
_EXTREMES = (
    *(0, 1, 2, 3, 7, 15, 16, 127, 128, 255, 256, 999, 4095, 4096, 4097, 32767, 32768, 65535, 65536, 10**6),
    *(2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1),
)
_DIGITS = re.compile(rb"\d+")


def mutate(sample: Sample, kind: str, number: int) -> bytes:
    """The damaged file.

    Args:
        sample: The file.
        kind: One of `KINDS`.
        number: Of a "cut" the length that is left, else the seed of all chance.
    """
    # S311: chance that is to be repeated, not kept secret
    return sample.seal(KINDS[kind](sample, number, random.Random(f"{kind} {number}")))  # noqa: S311


def _cut(sample: Sample, number: int, _: random.Random) -> bytes:
    return sample.content[:number]


def _flip(sample: Sample, _: int, chance: random.Random) -> bytes:
    """Single bits, rather near the beginning, where the header is."""
    content = bytearray(sample.content)
    for _bit in range(chance.choice((1, 1, 1, 2, 4, 16))):
        content[_place(content, chance)] ^= 1 << chance.randrange(8)
    return bytes(content)


def _block(sample: Sample, _: int, chance: random.Random) -> bytes:
    """A run of bytes replaced, doubled, taken out or put in."""
    content = bytearray(sample.content)
    at, length = _place(content, chance), chance.choice((1, 2, 4, 8, 32, 128))
    new = chance.choice(
        (bytes(length), b"\xff" * length, chance.randbytes(length), bytes(content[at : at + length]))
    )
    end = chance.choice((at, at + length, at + length, at + 2 * length))
    if chance.random() < 0.1:
        new = b""
    return bytes(content[:at] + new + content[end:])


def _claim(sample: Sample, _: int, chance: random.Random) -> bytes:
    """Numbers of the header replaced by extreme ones."""
    content = bytearray(sample.content)
    for _field in range(chance.choice((1, 1, 2, 3))):
        if sample.fields and chance.random() < 0.8:
            at, form = chance.choice(sample.fields)
        else:
            form = chance.choice("<>") + chance.choice("BHIQ")
            at = _place(content, chance)
        size = struct.calcsize(form)
        if at + size > len(content):
            continue
        (value,) = struct.unpack_from(form, content, at)
        if form[-1] == "f":
            extremes: tuple[float, ...] = (
                0.0,
                -1.0,
                1e-38,
                1e38,
                float("nan"),
                float("inf"),
                351.0,
                1e9,
                2.0,
            )
            struct.pack_into(form, content, at, chance.choice(extremes))
            continue
        near = (value + 1, value - 1, value * 2, value // 2, value * 1000)
        struct.pack_into(form.upper(), content, at, chance.choice(near + _EXTREMES * 2) % 256**size)
    return bytes(content)


def _digits(sample: Sample, _: int, chance: random.Random) -> bytes:
    """Numbers in words replaced, as text headers have them."""
    found = list(_DIGITS.finditer(sample.content, 0, 4 * HEADER_BYTES))
    if not found:
        return _claim(sample, 0, chance)
    match = chance.choice(found)
    new = str(chance.choice((*_EXTREMES, 10**30, "-1", "1e9", "nan", "inf", "0x10", " ", "9" * 400))).encode()
    return sample.content[: match.start()] + new + sample.content[match.end() :]


def _place(content: bytearray, chance: random.Random) -> int:
    whole = len(content)
    return chance.randrange(chance.choice((whole, min(whole, HEADER_BYTES), min(whole, 64))))


KINDS: dict[str, Callable[[Sample, int, random.Random], bytes]] = {
    "cut": _cut,
    "flip": _flip,
    "block": _block,
    "claim": _claim,
    "digits": _digits,
}
