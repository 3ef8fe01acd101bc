"""Damage files of every format at random for as long as is wanted: `fuzz_formats.py --minutes 60`.

Every file must give an image or an `ImageError` with path and reason; no other exception, no crash, no hang,
no gigabyte of memory. What fails is listed with words from which `--replay` does it again.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fuzz_harness import Child, Damage, Outcome, outcomes
from fuzz_mutations import HEADER_BYTES, KINDS, mutate
from fuzz_samples import SAMPLES

_AT_RANDOM = [kind for kind in KINDS if kind != "cut"]


def cuts(samples: list[str]) -> Iterator[Damage]:
    """Every sample cut at every byte of its header, and at some behind."""
    for name in samples:
        length = len(SAMPLES[name].content)
        near = range(min(HEADER_BYTES, length))
        for at in sorted(
            {*near, *range(0, length, max(1, length // 100)), *range(max(0, length - 20), length)}
        ):
            yield Damage(name, "cut", at)


def at_random(samples: list[str], seed: int) -> Iterator[Damage]:
    """Damage of all other kinds, all samples in turn, without end."""
    chance = random.Random(seed)  # noqa: S311  to be repeated
    for name in itertools.cycle(samples):
        yield Damage(name, chance.choice(_AT_RANDOM), chance.getrandbits(48))


def fuzz(samples: list[str], minutes: float, seed: int) -> Iterator[Outcome]:
    """Cuts and damage at random in turn, then more of the latter until the time is over."""
    chance = at_random(samples, seed)
    both = itertools.chain(itertools.chain.from_iterable(zip(cuts(samples), chance, strict=False)), chance)
    yield from outcomes(both, time.monotonic() + minutes * 60)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--seed", type=int, default=None, help="of all chance; a new one where not given")
    parser.add_argument("--only", nargs="+", default=list(SAMPLES), choices=list(SAMPLES), metavar="SAMPLE")
    parser.add_argument("--save", type=Path, help="folder for the files that failed")
    parser.add_argument("--replay", nargs=3, metavar=("SAMPLE", "KIND", "NUMBER"), help="one damage again")
    options = parser.parse_args(arguments)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    if options.replay:
        damage = Damage.of(" ".join(options.replay))
        with Child() as child:
            _tell(child.outcome(damage), options.save)
        return 0
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    sys.stdout.write(f"seed {seed}, {len(options.only)} samples\n")
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in fuzz(options.only, options.minutes, seed):
        counts[outcome.damage.sample, outcome.answer.split(":")[0]] += 1
        if outcome.failed:
            _tell(outcome, options.save)
    for name in options.only:
        told = ", ".join(f"{counts[name, word]} {word}" for word in ("image", "refused", "FAILED"))
        sys.stdout.write(f"{name:22} {told}\n")
    failed = sum(count for (_, word), count in counts.items() if word == "FAILED")
    sys.stdout.write(f"{sum(counts.values())} files, {failed} failed\n")
    return int(failed > 0)


def _tell(outcome: Outcome, folder: Path | None) -> None:
    damage = outcome.damage
    sys.stdout.write(f"--replay {damage}  {outcome.answer}\n")
    if folder is not None and outcome.failed:
        sample = SAMPLES[damage.sample]
        name = f"{damage.sample}-{damage.kind}-{damage.number:x}{sample.suffix}"
        (folder / name).write_bytes(mutate(sample, damage.kind, damage.number))


if __name__ == "__main__":
    sys.exit(main())
