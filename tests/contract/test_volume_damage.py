"""Cut, altered and boastful volume files end in an ImageError with a reason, and never in much memory."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import textwrap
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_forms import BY_NAME, META, NRRD, SIGNED, Array, itk

from delineate import formats
from delineate.errors import ImageError
from delineate.image import Image

NAMES = [
    "nifti plain.nii",
    "nifti packed.nii.gz",
    "nifti-2 big endian.nii.gz",
    "nifti vectors.nii",
    "nrrd raw.nrrd",
    "nrrd packed.nrrd",
    "nrrd detached.nhdr",
    "nrrd vectors.nrrd",
    "meta raw.mha",
    "meta packed.mha",
    "meta detached.mhd",
    "meta vectors.mha",
]
each_name = pytest.mark.parametrize("name", NAMES, ids=[name.replace(" ", "-") for name in NAMES])
READERS: tuple[Callable[..., object], ...] = (formats.header, formats.read, formats.read_mask)


def outcome(path: Path, reader: Callable[..., object]) -> object:
    """What a reader gives, or None where it refuses in words; anything else fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return reader(path, formats.Reading(maximum_megapixels=1))
        except ImageError as error:
            reason = error.reason
    assert len(reason) > 10
    return None


@each_name
def test_every_cut_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    BY_NAME[name].write(path)
    content = path.read_bytes()
    start = len(content) if "detached" in name else min(620, len(content))
    lengths = {*range(start), *range(start, len(content), 37), len(content) - 1}
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        found = outcome(path, formats.read)
        if "detached" in name and found is not None:  # a header whose last line lacks no more than its end
            assert isinstance(found, Image)
            np.testing.assert_array_equal(found.pixels, BY_NAME[name].pixels)
        else:
            assert found is None, length


@pytest.mark.parametrize(
    "name", ["nrrd detached.nhdr", "meta detached packed.mhd", "nrrd detached packed.nhdr"]
)
def test_cut_data_files_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    BY_NAME[name].write(path)
    (data,) = (each for each in tmp_path.iterdir() if each != path)
    content = data.read_bytes()
    for length in range(len(content)):
        data.write_bytes(content[:length])
        with pytest.raises(ImageError) as caught:
            formats.read(path)
        assert caught.value.path == path
        assert data.name in caught.value.reason
    data.unlink()
    with pytest.raises(ImageError, match="there is no such file beside it"):
        formats.read(path)


@each_name
def test_more_than_the_header_tells_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    BY_NAME[name].write(path)
    data = next((each for each in tmp_path.iterdir() if each != path), path)
    content = data.read_bytes()
    data.write_bytes(content + b"x" * 5)
    with pytest.raises(ImageError, match="damaged"):
        formats.read(path)


@each_name
@settings(max_examples=40)
@given(data=st.data())
def test_altered_bytes_never_escape(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("altered") / name
    BY_NAME[name].write(path)
    damaged = bytearray(path.read_bytes())
    near = st.integers(0, min(600, len(damaged)) - 1)
    for at in data.draw(st.lists(near | st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    for reader in READERS:
        outcome(path, reader)


@pytest.mark.parametrize("name", ["nrrd raw.nrrd", "meta raw.mha"])
@settings(max_examples=150)
@given(data=st.data())
def test_altered_text_never_escapes(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Digits, signs and words put into a text header, taken out or exchanged."""
    path = tmp_path_factory.mktemp("text") / name
    BY_NAME[name].write(path)
    content = path.read_bytes()
    pixels = SIGNED.astype("<i2").tobytes()
    head = content[: content.index(pixels)]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(head)))
        until = min(len(head), at + data.draw(st.integers(0, 8)))
        word = data.draw(st.text('0123456789-+.e ()"%/=:\n\rnaxN', max_size=12))
        head = head[:at] + word.encode() + head[until:]
    path.write_bytes(head + pixels)
    for reader in READERS:
        outcome(path, reader)


@pytest.mark.parametrize("name", ["nifti packed.nii.gz", "nrrd packed.nrrd", "meta packed.mha"])
def test_a_wrong_checksum_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    BY_NAME[name].write(path)
    content = bytearray(path.read_bytes())
    content[-6 if "meta" not in name else -2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged"):
        formats.read(path)


def test_packed_in_several_parts(tmp_path: Path) -> None:
    """As bgzip writes, and with zeros behind, which gzip passes over; but nothing else may stand there."""
    BY_NAME["nifti plain.nii"].write(tmp_path / "a.nii")
    content = (tmp_path / "a.nii").read_bytes()
    parts = [content[at : at + 100] for at in range(0, len(content), 100)]
    path = tmp_path / "a.nii.gz"
    whole = b"".join(map(gzip.compress, parts))
    for behind in (b"", gzip.compress(b""), bytes(1000)):
        path.write_bytes(whole + behind)
        np.testing.assert_array_equal(formats.read(path).pixels[0], SIGNED)
    for behind in (gzip.compress(b"x"), bytes(10) + b"x", gzip.compress(b"")[:-1]):
        path.write_bytes(whole + behind)
        with pytest.raises(ImageError, match=r"damaged|truncated"):
            formats.read(path)
    path.write_bytes(gzip.compress(content) + gzip.compress(b"") * 100_000)
    with pytest.raises(ImageError, match="far too many parts"):
        formats.read(path)


def nifti(shape: tuple[int, ...], dtype: str = "<i2", **fields: object) -> bytes:
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = header.single_magic, 352
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + bytes(4)


HUGE = {
    "a.nii": nifti((30000, 30000, 30000)),
    "a.nii.gz": gzip.compress(nifti((30000, 30000, 30000))),
    "b.nii.gz": gzip.compress(nifti((500, 500, 500), "<f8") + bytes(10)),
    "c.nii.gz": gzip.compress(nifti((500, 500, 500, 64), "<f8") + bytes(10)),
    "d.nii.gz": gzip.compress(nifti((500, 500, 500, 1, 64), "<f8") + bytes(10)),
    "e.nii.gz": gzip.compress(nifti((8, 8, 8), vox_offset=1e12) + bytes(1024)),
    "a.nrrd": NRRD.format(type="double", encoding="gzip", endian="little")
    .replace("7 6 5", "30000 30000 30000")
    .encode()
    + b"\n",
    "b.nrrd": NRRD.format(type="double", encoding="gzip", endian="little")
    .replace("7 6 5", "500 500 500")
    .encode()
    + b"\n",
    "c.nrrd": b"NRRD0005\n" + b"# nothing\n" * 500_000,
    "a.mha": META.format(big=False).replace("7 6 5", "90000 90000 90000").encode()
    + b"ElementType = MET_DOUBLE\nElementDataFile = LOCAL\n",
    "b.mha": META.format(big=False).replace("7 6 5", "500 500 500").encode()
    + b"CompressedData = True\nElementType = MET_DOUBLE\nElementDataFile = LOCAL\n",
    "c.mha": META.format(big=False).encode() + b"Comment = nothing\n" * 500_000,
}
MIBI = 1 << 20


def bomb(container: int, prefix: bytes) -> bytes:
    """160 MiB of zeros, and something before it, packed."""
    packer = zlib.compressobj(9, wbits=container)
    return (
        packer.compress(prefix) + b"".join(packer.compress(bytes(MIBI)) for _ in range(160)) + packer.flush()
    )


def test_bombs_and_boasts_stay_small_in_memory(tmp_path: Path) -> None:
    files = dict(HUGE)
    small = nifti((8, 8, 8))
    files["bomb.nii.gz"] = bomb(31, small)
    files["bomb.nrrd"] = (
        NRRD.format(type="short", encoding="gzip", endian="little").encode() + b"\n" + bomb(31, b"")
    )
    files["bomb.mha"] = (
        META.format(big=False).encode()
        + b"CompressedData = True\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        + bomb(15, b"")
    )
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    program = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        from delineate import formats
        from delineate.errors import ImageError
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),) * 2)
        for name in sys.argv[1:]:
            for reader in (formats.read, formats.read_mask):
                try:
                    reader(Path(name), formats.Reading(fourth_axis="channels"))
                    print(name, "was read")
                except ImageError as error:
                    if "not enough memory" in str(error):
                        print(name, "took memory")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("name", HUGE)
def test_huge_claims_have_a_reason(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(HUGE[name])
    with pytest.raises(ImageError, match=r"too large|truncated|cannot begin|does not end"):
        formats.read(path, formats.Reading(fourth_axis="channels"))


@pytest.mark.parametrize(
    "named",
    [
        "/etc/passwd",
        "../secret.raw",
        "..",
        "sub/secret.raw",
        "sub\\secret.raw",
        "link.raw",
        "pipe",
        "",
        "sub",
    ],
)
@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_no_file_elsewhere_is_read(suffix: str, named: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for secret in (tmp_path / "secret.raw", folder / "sub" / "secret.raw", folder / "sub\\secret.raw"):
        secret.write_bytes(SIGNED.astype("<i2").tobytes())
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    os.mkfifo(folder / "pipe")
    path = folder / f"a{suffix}"
    if suffix == ".nhdr":
        head = NRRD.format(type="short", encoding="raw", endian="little") + f"data file: {named}\n"
    else:
        head = META.format(big=False) + f"ElementType = MET_SHORT\nElementDataFile = {named}\n"
    path.write_text(head)
    with pytest.raises(ImageError, match=r"its own folder only|no such file beside|link to another folder"):
        formats.read(path)


@pytest.mark.parametrize("named", ["LIST", "LIST 2\na.raw", "slice%03d.raw 1 5 1"])
@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_lists_of_files_are_refused(suffix: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".nhdr":
        head = NRRD.format(type="short", encoding="raw", endian="little") + f"data file: {named}\n"
        head = head.replace("\na.raw", "")
    else:
        head = META.format(big=False) + f"ElementType = MET_SHORT\nElementDataFile = {named}\n"
    path.write_text(head)
    with pytest.raises(ImageError, match="spread over several files"):
        formats.read(path)


def test_nothing_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """nibabel and ITK write of what they mend or miss."""
    for name in ("nifti plain.nii", "meta raw.mha", "nrrd raw.nrrd"):
        BY_NAME[name].write(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        for at in range(0, 352, 5):
            damaged = bytearray(content)
            damaged[at] ^= 0x3F
            (tmp_path / name).write_bytes(damaged)
            outcome(tmp_path / name, formats.read)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_not_a_number_is_counted(suffix: str, tmp_path: Path) -> None:
    pixels: Array = SIGNED.astype(np.float32)
    pixels[1, 2, 3:5] = np.nan, np.inf
    path = tmp_path / f"a{suffix}"
    itk(pixels)(path)
    for reader in (formats.read, formats.read_mask):
        with pytest.raises(ImageError, match="2 of 210 pixels are not numbers"):
            reader(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_inexact_integers_are_refused_in_images(suffix: str, tmp_path: Path) -> None:
    pixels: Array = SIGNED.astype(np.int32)
    pixels[0, 0, 0] = 2**24 + 1
    path = tmp_path / f"a{suffix}"
    itk(pixels)(path)
    with pytest.raises(ImageError, match="more than can be kept exactly"):
        formats.read(path)
    assert int(formats.read_mask(path).values[0, 0, 0]) == 2**24 + 1
