"""Work on large images that a killed command leaves behind, and that the same command takes up again.

| in `unfinished/`, within the folder of results | what |
|---|---|
| `state.json` | model, settings, inputs by digests; the large images that are done; what codes are made of |
| `NAME/state.json` | how far one image is, and what belongs to it |
| `NAME/labels.tiles`, `NAME/probability-1.tiles`, … | its finished rows of tiles |

When all is done, the folder is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.errors import DataError, OutputError, UsageError
from delineate.files import made_folder, new_folder, output_error, write_text
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice, checked_choice
from delineate.jobs.writing import Wanted

if TYPE_CHECKING:
    from delineate.inference.loading import AnyModel

UNFINISHED = "unfinished"
STATE = "state.json"
FORMAT = 1
LARGEST_STATE_BYTES = 64 << 20


@dataclass(frozen=True)
class Saved:
    """How far an image is.

    Attributes:
        rows: Of tiles that are finished and on the disk.
        counts: Pixels of each value 0…n in them.
        gain: Of the image's intensities, a channel.
        offset: Likewise.
    """

    rows: int
    counts: tuple[int, ...]
    gain: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass
class UnfinishedImage:
    """What is kept of an image until it is done.

    Attributes:
        folder: Where.
        belongs_to: What it was begun with: digests of the file and of all that decides the result.
        saved: How far it is.
    """

    folder: Path
    belongs_to: Mapping[str, object]
    saved: Saved | None = None

    def save(self, saved: Saved) -> None:
        """Note how far it is.

        Raises:
            OutputError: The place cannot be written.
        """
        self.saved = saved
        content = {"format": FORMAT, "belongs_to": self.belongs_to, "saved": asdict(saved)}
        write_text(self.folder / STATE, json.dumps(content))

    def remove(self) -> None:
        """Let go of all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Unfinished:
    """What is kept of the large images of one command.

    Attributes:
        results: The command's folder of results.
        settings: What decides the results, by name; another command's are others.
        salt: That codes in place of names are made of.
        done: What became of the large images that are done, by their keys.
        taken_up: Whether a command that was killed left it.
    """

    results: Path
    settings: Mapping[str, object]
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    done: dict[str, object] = field(default_factory=dict)
    taken_up: bool = False

    @classmethod
    def of(cls, results: Path, settings: Mapping[str, object]) -> Unfinished:
        """What the same command left in a folder of results, or nothing in a new one.

        Args:
            results: Made if it is not there.
            settings: Of the command.

        Raises:
            OutputError: The folder holds other work, or cannot be written.
        """
        content = _content(results / UNFINISHED / STATE)
        if content is None:
            return cls(new_folder(results, "the masks"), settings)
        own = json.loads(json.dumps(settings))
        told, done = content.get("settings"), content.get("done")
        others = [name for name in own if not isinstance(told, dict) or told.get(name) != own[name]]
        salt = content.get("salt")
        if content.get("format") != FORMAT or not isinstance(salt, str) or not isinstance(done, dict):
            others, done = ["program"], {}
        if others:
            another = " and another ".join(others)
            raise OutputError(
                f"{results} holds unfinished masks that were begun with another {another}. "
                "Nothing was touched. Run that command again to finish them, or give a new folder."
            )
        return cls(results, settings, bytes.fromhex(str(salt)), done, taken_up=True)

    def image(self, name: str, belongs_to: Mapping[str, object]) -> UnfinishedImage:
        """What is kept of one image, made if it is not there.

        Args:
            name: Of the image among those of the command.
            belongs_to: What its result depends on.

        Raises:
            DataError: What is kept was begun with another file.
            OutputError: The place cannot be written.
        """
        self._save()
        folder = made_folder(self.results / UNFINISHED / self.key(name))
        content = _content(folder / STATE)
        if content is None:
            return UnfinishedImage(folder, belongs_to)
        if content.get("format") != FORMAT or content.get("belongs_to") != json.loads(json.dumps(belongs_to)):
            raise DataError(
                "its mask was begun in this folder, but the file has been changed since: remove "
                f"{UNFINISHED}/{folder.name} there to begin it anew, or give a new --out"
            )
        return UnfinishedImage(folder, belongs_to, _saved(content.get("saved")))

    def has(self, name: str) -> bool:
        """Whether the command that was killed had begun an image here, or done it."""
        if not self.taken_up:
            return False
        key = self.key(name)
        return key in self.done or (self.results / UNFINISHED / key / STATE).is_file()

    def key(self, name: str) -> str:
        """What an image is called here: names may tell of whom it is."""
        return hashlib.blake2b(
            name.encode("utf-8", "surrogatepass"), key=self.salt, digest_size=8
        ).hexdigest()

    def finish(self, name: str, result: object) -> None:
        """Note that an image is done.

        Raises:
            OutputError: The place cannot be written.
        """
        self.done[self.key(name)] = result
        self._save()

    @property
    def kept(self) -> bool:
        """Whether anything is kept that the same command can go on with."""
        return (self.results / UNFINISHED / STATE).is_file()

    def remove(self) -> None:
        """Let go of all of it, but of images that belong to other files."""
        folder = self.results / UNFINISHED
        if folder.is_dir() and any(path.is_dir() for path in folder.iterdir()):
            return
        shutil.rmtree(folder, ignore_errors=True)

    def _save(self) -> None:
        folder = self.results / UNFINISHED
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error
        content = {"format": FORMAT, "settings": self.settings, "salt": self.salt.hex(), "done": self.done}
        write_text(folder / STATE, json.dumps(content))


def refuse_taken(results: Path) -> None:
    """Refuse a folder that is no place for results, and make it where it is not there.

    Raises:
        OutputError: It holds what is not unfinished, or cannot be written.
    """
    if _content(results / UNFINISHED / STATE) is None:
        new_folder(results, "the masks")


def engine_of(results: Path) -> tuple[EngineChoice, PrecisionChoice] | None:
    """The engine and precision that unfinished masks in a folder were begun with; None where none are."""
    settings = (_content(results / UNFINISHED / STATE) or {}).get("settings")
    told = str(settings.get("engine")).split() if isinstance(settings, dict) else []
    with contextlib.suppress(UsageError):  # of what is damaged nothing is known
        return checked_choice(*told[:2]) if len(told) > 1 else None
    return None


def digest_of(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _content(path: Path) -> dict[str, object] | None:
    """A state, None where there is none that can be read."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_STATE_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _saved(content: object) -> Saved | None:
    """How far an image is; None where that cannot be known."""
    if not isinstance(content, dict):
        return None
    try:
        return Saved(
            int(content["rows"]),
            tuple(int(each) for each in content["counts"]),
            tuple(float(each) for each in content["gain"]),
            tuple(float(each) for each in content["offset"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def settings_of(
    model: AnyModel, inputs: Sequence[Path], wanted: Wanted, *, anonymous: bool
) -> dict[str, object]:
    """What decides the results of a command, by the words in which another's is refused."""
    return {
        "model": digest_of(f"{wanted.weights_sha256} {model.plan.sha256()}"),
        "engine": f"{model.engine.name} {model.engine.precision} {model.engine.device.type}",
        "list of inputs": digest_of("\0".join(map(str, inputs))),
        "choice of --overlay, --probabilities, --format and --anonymous": [
            wanted.overlay,
            wanted.probabilities,
            wanted.mask_format,
            anonymous,
        ],
    }
