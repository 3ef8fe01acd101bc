"""HDF5 files of strangers: groups, texts and arrays of numbers that lie in the file itself, and nothing else.

Links to other files or places, data that lie elsewhere or are made up of other data, and filters, which may
load programs, are refused before they are followed. Keras writes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from delineate.pretrained.keras.refusal import Refusal, damage_told, shown

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
MAXIMUM_NAMES = 20_000  # in a group or a list
MAXIMUM_TEXT = 16 << 20
_FLOATS = (2, 4, 8)  # bytes


@dataclass
class Budget:
    """Bytes that may still be read: no array can be larger than the file, nor all together."""

    left: int


@dataclass(frozen=True)
class Group:
    """A group of an HDF5 file.

    Attributes:
        inside: As h5py has it.
        path: From the root, for messages.
        budget: Of the whole file.
    """

    inside: h5py.Group
    path: str
    budget: Budget

    def names(self) -> list[str]:
        """Names of what is in it."""
        with damage_told():
            if len(self.inside) > MAXIMUM_NAMES:
                raise Refusal(
                    f"its group {shown(self.path or '/')} holds more than {MAXIMUM_NAMES:,} objects"
                )
            names = list(self.inside)
        if not all(isinstance(name, str) for name in names):  # h5py gives bytes where they are no text
            raise Refusal(f"it is damaged: names in its group {shown(self.path)} are no text. Copy it again")
        return names

    def group(self, path: str) -> Group | None:
        """A group below this one, or None."""
        import h5py  # noqa: PLC0415  an extra

        at: Group = self
        for name in filter(None, path.split("/")):
            found = at._object(name)
            if not isinstance(found, h5py.Group):
                return None
            at = Group(found, f"{at.path}/{name}", self.budget)
        return at

    def array(self, path: str) -> npt.NDArray[np.float32] | None:
        """An array of numbers below this group, or None."""
        import h5py  # noqa: PLC0415  an extra

        before, _, name = path.strip("/").rpartition("/")
        group = self.group(before)
        found = group._object(name) if group is not None else None
        if group is None or not isinstance(found, h5py.Dataset):
            return None
        with damage_told():
            return _numbers(found, f"{group.path}/{name}", self.budget)

    def has(self, attribute: str) -> bool:
        """Whether there is such an attribute."""
        with damage_told():
            return attribute in self.inside.attrs

    def text(self, attribute: str) -> str | None:
        """An attribute that is a text, or None."""
        found = self._texts(attribute)
        if found is None:
            return None
        if len(found) != 1:
            raise Refusal(f"its attribute {attribute} is no text")
        return found[0]

    def texts(self, attribute: str) -> list[str] | None:
        """An attribute that is a list of texts, or None; long ones are stored in numbered parts."""
        whole = self._texts(attribute)
        if whole is not None:
            return whole
        parts: list[str] = []
        for number in range(MAXIMUM_NAMES):
            part = self._texts(f"{attribute}{number}")
            if part is None:
                return parts if number else None
            parts += part
            if len(parts) > MAXIMUM_NAMES:
                break
        raise Refusal(f"its attribute {attribute} is longer than {MAXIMUM_NAMES:,} names")

    def _texts(self, attribute: str) -> list[str] | None:
        import h5py  # noqa: PLC0415  an extra

        with damage_told():
            if attribute not in self.inside.attrs:
                return None
            stored = self.inside.attrs.get_id(attribute)
            count = int(np.prod(stored.shape, dtype=np.int64))
            if count == 0:
                return []
            if stored.get_type().get_class() != h5py.h5t.STRING:
                raise Refusal(f"its attribute {attribute} is no text")
            if count > MAXIMUM_NAMES or stored.get_storage_size() > MAXIMUM_TEXT:
                raise Refusal(f"its attribute {attribute} is too long")
            found = np.ravel(np.asarray(self.inside.attrs[attribute], dtype=object))
            texts = [each.decode("utf-8") if isinstance(each, bytes) else str(each) for each in found]
        if sum(map(len, texts)) > MAXIMUM_TEXT:
            raise Refusal(f"its attribute {attribute} is too long")
        return texts

    def _object(self, name: str) -> object:
        """What the group holds under a name, or None."""
        import h5py  # noqa: PLC0415  an extra

        with damage_told():
            encoded = name.encode("utf-8")
            if not self.inside.id.links.exists(encoded):
                return None
            if self.inside.id.links.get_info(encoded).type != h5py.h5l.TYPE_HARD:
                raise Refusal(f"its {shown(f'{self.path}/{name}')} is a link to somewhere else, not followed")
            return self.inside[name]


def open_content(content: bytes) -> Group:
    """The root of an HDF5 file in memory, where no other file is reached from.

    Args:
        content: Of the whole file.
    """
    import h5py  # noqa: PLC0415  an extra

    with damage_told():
        return Group(h5py.File(h5py.h5f.open_file_image(content)), "", Budget(len(content)))


def _numbers(dataset: h5py.Dataset, path: str, budget: Budget) -> npt.NDArray[np.float32]:
    import h5py  # noqa: PLC0415  an extra

    stored = dataset.id.get_type()
    if stored.get_class() != h5py.h5t.FLOAT or stored.get_size() not in _FLOATS:
        raise Refusal(f"its {shown(path)} holds no floating-point numbers")
    plan = dataset.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise Refusal(f"its {shown(path)} has its numbers somewhere else, not followed")
    if plan.get_nfilters():
        raise Refusal(f"its {shown(path)} is stored through filters, as Keras stores nothing")
    size = int(np.prod(dataset.shape, dtype=object)) * stored.get_size() if dataset.shape is not None else 0
    if dataset.shape is None or dataset.ndim > 4 or dataset.id.get_storage_size() < size:
        raise Refusal(f"its {shown(path)} is damaged: numbers are missing. Copy it again")
    budget.left -= size
    if budget.left < 0:
        raise Refusal("it is damaged: its arrays are larger than the file")
    values: npt.NDArray[np.float32] = np.asarray(dataset[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise Refusal(f"its {shown(path)} holds values that are not numbers")
    return values
