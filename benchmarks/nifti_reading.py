"""How fast is a packed NIfTI volume read and checked, beside nibabel's own load of its array?

    python -m benchmarks.nifti_reading

A phantom like a CT of the trunk, 512 × 512 × 300 of int16, packed by gzip as nibabel does. Ours is the whole
of `formats.read`: the header's checks, the pixels with gzip's checksum and length, their geometry. Nibabel's
is `np.asanyarray(nibabel.load(path).dataobj)`. The two take turns, on a file that the system has in memory.
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from benchmarks.quiet import Quiet
from benchmarks.reporting import Record, argument_parser, machine, print_table, write_record

from delineate import formats

WIDTH, HEIGHT, DEPTH = 512, 512, 300
SPACING_MM = (0.8, 0.8, 1.5)
AIR, NOISE_HU = -1024, 20
AT_MOST = 1.3


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser("nifti_reading", "Reading of a packed NIfTI volume, ours beside nibabel's.")
    parser.add_argument("--rounds", type=int, default=9, help="times each side has its turn (%(default)s)")
    parser.add_argument(
        "--patience", type=float, default=5, metavar="MINUTES", help="to wait for others (%(default)s)"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        _write(path)
        sides: dict[str, Callable[[], npt.NDArray[np.generic]]] = {
            "nibabel": lambda: np.asanyarray(nibabel.load(path).dataobj).T,
            "Delineate": lambda: formats.read(path).pixels[0],
        }
        theirs, ours = (read() for read in sides.values())
        if theirs.dtype != ours.dtype or not (theirs == ours).all():
            raise SystemExit("The two sides read different pixels; there is nothing to compare.")
        del theirs, ours
        quiet = Quiet((os.getpid(),), 60 * chosen.patience)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(chosen.rounds):
            for name, read in sides.items():
                seconds[name].append(quiet.measure(functools.partial(_seconds, read)))
        record = _record(seconds, path.stat().st_size)
    record["turns"] = {"taken": quiet.taken, "repeated": quiet.repeated, "disturbed": quiet.disturbed}
    _print(record)
    write_record(chosen.out, record)


def _write(path: Path) -> None:
    """A body of soft tissue with noise, in air that the scanner gives one value, as many scanners do."""
    random = np.random.default_rng(0)
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    body = ((x - WIDTH / 2) / 230) ** 2 + ((y - HEIGHT / 2) / 170) ** 2 < 1
    volume = np.full((DEPTH, HEIGHT, WIDTH), AIR, np.int16)
    for part in volume:
        part[body] = 40 + random.normal(0, NOISE_HU, int(body.sum()))
    nibabel.Nifti1Image(volume.T, np.diag([*SPACING_MM, 1])).to_filename(path)


def _seconds(read: Callable[[], npt.NDArray[np.generic]]) -> tuple[float, float]:
    """By the clock, and of the processor."""
    start, start_processor = time.perf_counter(), time.process_time()
    read()
    return time.perf_counter() - start, time.process_time() - start_processor


def _record(seconds: dict[str, list[tuple[float, float]]], packed_bytes: int) -> Record:
    median = {name: statistics.median(each for each, _ in turns) for name, turns in seconds.items()}
    processor = {name: statistics.median(each for _, each in turns) for name, turns in seconds.items()}
    ratio = median["Delineate"] / median["nibabel"]
    unpacked = 2 * WIDTH * HEIGHT * DEPTH
    return {
        "machine": machine(("delineate", "nibabel", "numpy")),
        "size": [DEPTH, HEIGHT, WIDTH],
        "packed_mb": round(packed_bytes / 1e6, 1),
        "sides": {
            name: {
                "seconds": round(value, 3),
                "fastest_and_slowest": [round(min(seconds[name])[0], 3), round(max(seconds[name])[0], 3)],
                "processor_seconds": round(processor[name], 3),
                "mb_per_s": round(unpacked / value / 1e6),
            }
            for name, value in median.items()
        },
        "ratio_to_nibabel": round(ratio, 3),
        "ratio_of_processor_seconds": round(processor["Delineate"] / processor["nibabel"], 3),
        "at_most": AT_MOST,
        "reached": ratio <= AT_MOST,
    }


def _print(record: Record) -> None:
    print_table(
        f"Reading {WIDTH} × {HEIGHT} × {DEPTH} of int16, {record['packed_mb']} MB packed",
        ("side", "s", "fastest – slowest", "processor s", "MB/s unpacked"),
        [
            (
                name,
                f"{side['seconds']:.3f}",
                " – ".join(map(str, side["fastest_and_slowest"])),
                side["processor_seconds"],
                side["mb_per_s"],
            )
            for name, side in record["sides"].items()
        ],
    )
    print(f"\nOurs takes {record['ratio_to_nibabel']} of nibabel's time (at most {AT_MOST} was the aim).")


if __name__ == "__main__":
    main()
