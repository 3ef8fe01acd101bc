"""The directories of a TIFF, one a page, read without trust: tifffile passes over what is damaged in them."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Protocol

from delineate.formats.stored import Source

MAXIMUM_PAGES = 65_536
MAXIMUM_TAGS = 4096
# Tags that say what the pixels are; 270 is the description
_MEANT = frozenset(
    {254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 283, 284, 317, 320, 322, 323, 324}
    | {325, 330, 338, 339, 347, 530, 32997}
)


class Tags(Protocol):
    """The part of tifffile's tags that is used."""

    def valueof(self, key: int, default: object = None) -> object:
        """A tag's value."""

    def __contains__(self, key: int) -> bool: ...


@dataclass(frozen=True)
class _Directories:
    """How the directories of a file are written, of which each has a page's tags.

    Attributes:
        count: `struct` format of the number of tags.
        offset: Of the place of the next directory.
        tag: Bytes of a tag, whose first two are its number.
        start: Where the place of the first directory stands.
        order: "<" or ">".
    """

    count: str
    offset: str
    tag: int
    start: int
    order: str

    @classmethod
    def of(cls, source: Source) -> _Directories:
        """Of a TIFF or BigTIFF."""
        source.stream.seek(0)
        head = source.stream.read(4)
        order = "<" if head[:2] == b"II" else ">"
        if head[2:4] in (b"+\0", b"\0+"):
            return cls(order + "Q", order + "Q", 20, 8, order)
        return cls(order + "H", order + "I", 12, 4, order)

    def number(self, form: str, source: Source) -> int:
        """The next number."""
        content = source.stream.read(struct.calcsize(form))
        if len(content) < struct.calcsize(form):
            raise source.refuse("the file is truncated: the list of its pages is cut off")
        return int(struct.unpack(form, content)[0])


def count_pages(source: Source) -> int:
    """The number of pages in a file, by the chain of their directories.

    Raises:
        ImageError: The chain is cut off, comes back to itself, or is too long.
    """
    written, stream = _Directories.of(source), source.stream
    length = stream.seek(0, io.SEEK_END)
    stream.seek(written.start)
    offset = written.number(written.offset, source)
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise source.refuse("the file is damaged: its pages lead back to one another")
        if len(seen) == MAXIMUM_PAGES:
            raise source.refuse(f"it has more than {MAXIMUM_PAGES} pages")
        if offset >= length:
            raise source.refuse(f"the file is truncated: page {len(seen) + 1} would lie behind its end")
        seen.add(offset)
        stream.seek(offset)
        tags = written.number(written.count, source)
        if not 0 < tags <= MAXIMUM_TAGS:
            raise source.refuse(f"the file is damaged: page {len(seen)} has {tags} tags")
        stream.seek(tags * written.tag, io.SEEK_CUR)
        offset = written.number(written.offset, source)
    return len(seen)


def check_tags(offset: int, tags: Tags, source: Source) -> None:
    """Refuse a page of which tifffile passed over a tag that it could not read, but that says what is meant.

    Args:
        offset: Where the page's directory begins.
        tags: Those that were read.
        source: The file.

    Raises:
        ImageError: It did.
    """
    written = _Directories.of(source)
    source.stream.seek(offset)
    count = written.number(written.count, source)
    content = source.stream.read(count * written.tag)
    codes = {
        struct.unpack_from(written.order + "H", content, at)[0]
        for at in range(0, len(content) - 1, written.tag)
    }
    lost = [code for code in sorted(codes & _MEANT) if code not in tags]
    if lost:
        raise source.refuse(f"the file is truncated or damaged: its tag {lost[0]} cannot be read")
