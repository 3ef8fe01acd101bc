"""The lines of an NRRD's header."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from delineate.formats.stored import Source
from delineate.formats.text_header import lines

_FIELDS = {
    *("type", "dimension", "sizes", "spacings", "thicknesses", "axismins", "axismaxs", "centers", "kinds"),
    *("centerings", "labels", "units", "endian", "encoding", "content", "number", "blocksize", "min", "max"),
    *("oldmin", "oldmax", "byteskip", "lineskip", "sampleunits", "datafile", "space", "spacedimension"),
    *("spaceunits", "spaceorigin", "spacedirections", "measurementframe"),
}


@dataclass(frozen=True)
class NrrdText:
    """A header's lines: the format's own fields, and the keys that programs add."""

    fields: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def words(self, name: str, count: int, source: Source) -> list[str] | None:
        """The words of a field that says one for each axis, None where it is missing."""
        if name not in self.fields:
            return None
        quoted = re.findall(r'"([^"]*)"', self.fields[name])
        found = quoted or self.fields[name].split()
        if len(found) != count:
            raise source.refuse(f"the file is damaged: {len(found)} {name} for {count} axes")
        return found


def nrrd_text(source: Source) -> NrrdText:
    """Read the header of an NRRD, up to where its pixels begin.

    Raises:
        ImageError: It is cut off, or has lines, fields or a version that are not known.
    """
    text = NrrdText()
    found = lines(source)
    if not re.fullmatch(r"NRRD000[1-6]", next(found, "").rstrip()):
        raise source.refuse("the file is damaged, or of a version of NRRD that is not known")
    for line in found:
        if not line:
            return text
        if line.startswith("#"):
            continue
        parts = re.match(r"([^:]+?)(:=|: ?)(.*)", line)
        if parts is None:
            raise source.refuse(f"the file is damaged: its header has a line {line[:60]!r}")
        name, mark, value = parts.groups()
        if mark == ":=":
            text.keys[name] = value
            continue
        name = re.sub(r"\s", "", name.lower())
        if name not in _FIELDS or name in text.fields:
            fault = "twice" if name in text.fields else "which is unknown"
            raise source.refuse(f"the file is damaged: its header has the field {name[:40]!r} {fault}")
        text.fields[name] = value.strip()
    if "datafile" not in text.fields:
        raise source.refuse("the file is truncated: its header does not end")
    return text
