"""No file, however damaged or malicious, does more than be refused: for every format of every family."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fuzz_formats import at_random, cuts, main
from fuzz_harness import Child, Damage, Outcome, outcomes
from fuzz_mutations import KINDS, mutate
from fuzz_samples import SAMPLES
from PIL import Image as Pillow

from delineate import formats
from delineate.errors import ImageError

BOMB_BYTES = 200 << 20
each_sample = pytest.mark.parametrize("name", SAMPLES)


def zeros_packed() -> bytes:
    """Some hundred kilobytes that inflate to 200 megabytes."""
    compressor = zlib.compressobj(9)
    piece = bytes(1 << 20)
    return b"".join(compressor.compress(piece) for _ in range(BOMB_BYTES >> 20)) + compressor.flush()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *extra: bytes, pixels: bytes = b"") -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = pixels or zlib.compress(bytes((width % 1000 + 1) * (height % 1000)))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    )


def failures(found: Iterable[Outcome]) -> list[str]:
    return [f"{outcome.damage}: {outcome.answer}" for outcome in found if outcome.failed]


def whole(name: str, folder: Path) -> Path:
    """The sample without damage."""
    sample = SAMPLES[name]
    for other, content in sample.beside.items():
        (folder / other).write_bytes(content)
    path = folder / f"a{sample.suffix}"
    path.write_bytes(sample.seal(sample.content))
    return path


def test_every_suffix_has_a_sample() -> None:
    alike = {".jpeg": ".jpg", ".tiff": ".tif"} | dict.fromkeys((".dicom", ".ima", ".seg"), ".dcm")
    covered = {sample.suffix for sample in SAMPLES.values()}
    assert {alike.get(suffix, suffix) for suffix in formats.SUFFIXES} - covered == set()


@each_sample
def test_samples_are_read(name: str, tmp_path: Path) -> None:
    """Else their damage would test nothing."""
    path = whole(name, tmp_path)
    size = formats.header(path).size
    if SAMPLES[name].mask_only:
        assert formats.read_mask(path).size == size
    else:
        assert formats.read(path, formats.Reading(maximum_megapixels=1)).size == size


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_repeatable(kind: str) -> None:
    sample = SAMPLES["png-grey"]
    assert mutate(sample, kind, 41) == mutate(sample, kind, 41)
    assert len({mutate(sample, kind, number) for number in range(40)}) > 10


def test_the_harness_sees_what_must_not_be() -> None:
    with Child("fuzz_sabotage", hang_s=0.5) as child:
        answers = {
            size: child.outcome(Damage("png-grey", "cut", size)) for size in (1, 2, 3, 4, 5, 6, 7, 8, 9)
        }
    expected = {
        1: "FAILED: read raised ValueError: what the library says",
        2: "FAILED: the process crashed (SIGABRT)",
        3: "FAILED: it hangs (more than 0.5 s)",
        4: "FAILED: it took more than a gigabyte of memory",
        5: "FAILED: read gives no path and reason",
        6: "FAILED: the image is wrong, and should have been seen to be",
        7: "FAILED: the header says (2, 3) 1, the image is (1, 2, 2)",
        8: "refused",
        9: "image",
    }
    assert {size: answers[size].answer[: len(words)] for size, words in expected.items()} == expected
    assert [size for size, outcome in answers.items() if not outcome.failed] == [8, 9]


def test_a_little_damage_to_everything() -> None:
    """A few hundred files; `fuzz_formats.py --minutes 60` makes as many as are wanted."""
    random = itertools.islice(at_random(list(SAMPLES), seed=7), 6 * len(SAMPLES))
    some_cuts = itertools.islice(cuts(list(SAMPLES)), 0, None, 97)
    assert failures(outcomes(itertools.chain(some_cuts, random))) == []


@pytest.mark.slow
def test_cuts_at_every_byte_of_every_header() -> None:
    assert failures(outcomes(cuts(list(SAMPLES)))) == []


@pytest.mark.slow
def test_a_minute_of_damage_at_random(capsys: pytest.CaptureFixture[str]) -> None:
    failed = main(["--minutes", "1"])
    assert not failed, capsys.readouterr().out


@pytest.mark.parametrize("reader", [formats.header, formats.read, formats.read_mask])
@each_sample
def test_sizes_are_refused_from_the_header(name: str, reader: Callable[..., object], tmp_path: Path) -> None:
    words = "too large"
    if SAMPLES[name].mask_only and reader is formats.read:
        words = "no image"
    with pytest.raises(ImageError, match=words):
        reader(whole(name, tmp_path), formats.Reading(maximum_megapixels=1e-4))


def bombs() -> dict[str, bytes]:
    """Small files that would be large in memory."""
    packed = zeros_packed()
    return {
        "png-pixels": png(8, 8, pixels=packed),
        "png-ihdr": png(9_000_000, 9_000_000),
        "png-ztxt": png(8, 8, png_chunk(b"zTXt", b"Comment\0\0" + packed)),
        "png-itxt": png(8, 8, png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed)),
        "png-iccp": png(8, 8, png_chunk(b"iCCP", b"profile\0\0" + packed)),
        "gif-screen": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b";",
        "gif-frame": gif_with_a_large_frame(),
        "tiff-strip": tiff_with_a_strip(packed),
        "tiff-claim": tiff_that_claims(60_000, 60_000),
        "tiff-channels": tiff_that_claims(9_000, 9_000, samples=64),
        "npz-member": npz_member(),
        "npz-claim": npz_that_claims(99_000_000),
        "pgm-claim": b"P5 9999 9999 255\n" + bytes(99),
        "pgm-ascii-claim": b"P2 9999 9999 255\n" + b"0 " * 99,
        "dicom-element": dicom_with_a_long_element(),
    }


def gif_with_a_large_frame() -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00;"


def tiff_with_a_strip(packed: bytes) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((16, 16), np.uint8), compression="deflate", metadata=None)
    content = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        tags = tiff.pages[0].tags
        struct.pack_into("<I", content, tags[273].valueoffset, len(content))
        struct.pack_into("<I", content, tags[279].valueoffset, len(packed))
    return bytes(content + packed)


def tiff_that_claims(height: int, width: int, samples: int = 1) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((16, 16), np.uint8), compression="deflate", metadata=None)
    content = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        tags = tiff.pages[0].tags
        for code, value in ((256, width), (257, height), (278, height)):
            struct.pack_into("<HI", content, tags[code].offset + 2, 4, 1)
            struct.pack_into("<I", content, tags[code].offset + 8, value)
        struct.pack_into("<H", content, tags[277].valueoffset, samples)
    return bytes(content)


def dicom_with_a_long_element() -> bytes:
    """An element in front of all others that says to have two gigabytes."""
    content = SAMPLES["dicom"].content
    (length,) = struct.unpack_from("<I", content, 140)
    long = struct.pack("<HH2sHI", 0x0008, 0x0001, b"OB", 0, 2**31)
    return content[: 144 + length] + long + content[144 + length :]


def npy_header(*shape: int) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def npz_member() -> bytes:
    """A member of 72 bytes by its array's header, of 200 megabytes by what it unpacks to."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header(8, 9) + bytes(BOMB_BYTES))
    return stream.getvalue()


def npz_that_claims(count: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header(1000, count // 1000) + bytes(72))
    return stream.getvalue()


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    """Under a limit of 150 megabytes more than Python with its libraries takes."""
    made = bombs()
    for name, content in made.items():
        (tmp_path / f"{name}.bin").write_bytes(content)
        assert len(content) < 1 << 20
    program = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        from delineate import formats
        from delineate.errors import ImageError
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (150 << 20),) * 2)
        for name in sys.argv[1:]:
            try:
                print(Path(name).stem, "read", formats.read(Path(name)).size)
            except ImageError as error:
                print(Path(name).stem, "memory" if "not enough memory" in str(error) else "refused")
        """
    )
    files = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        [sys.executable, "-c", program, *files], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    # more packed pixels than a PNG's header says are passed over, not unpacked
    assert told == dict.fromkeys(made, "refused") | {"png-pixels": "read (8, 8)"}


def test_many_frames_are_not_counted(tmp_path: Path) -> None:
    """An animation is refused at its second picture, however many follow."""
    frames = [Pillow.fromarray(np.full((8, 8), n, np.uint8)) for n in range(200)]
    stream = io.BytesIO()
    frames[0].save(stream, format="GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "a.gif").write_bytes(stream.getvalue())
    with pytest.raises(ImageError, match="several pictures"):
        formats.read(tmp_path / "a.gif")
