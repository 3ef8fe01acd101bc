"""Writing so that nothing of the user's is lost: whole files or none, and never into another's folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from delineate.errors import DelineateError, ImageError, OutputError, Stopped, UsageError
from delineate.interruption import stop_requests

_reading_umask = threading.Lock()
PART = ".part"  # how a file ends that is not whole yet
LOCK = ".delineate-lock"  # the file that a folder in sole use has


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that appears at `path` whole when the block ends, or not at all.

    The content goes to a temporary file in the same folder, is flushed to the disk and renamed.

    Args:
        path: Where the file shall be; its folder exists.

    Raises:
        OutputError: The place cannot be written or the disk is full.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name[:80]}.", suffix=PART, delete=False
        ) as stream:
            temporary = Path(stream.name)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all; of file names what is no UTF-8 as an escape.

    Raises:
        OutputError: The place cannot be written or the disk is full.
    """
    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


def write_with(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` with a binary stream that becomes `path`, whole or not at all.

    Raises:
        OutputError: The place cannot be written or the disk is full.
    """
    with atomic_write(path) as stream:
        write(stream)


def new_folder(path: Path, what: str) -> Path:
    """Make the folder `path`, or take it if it is there and empty.

    Args:
        path: The folder to be.
        what: What will be put there, for the message: "the run".

    Returns:
        `path`.

    Raises:
        OutputError: It holds something already, is a file, or cannot be written.
    """
    try:
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file, but {what} needs a folder. Give another one.")
        path.mkdir(parents=True, exist_ok=True)
        # looked at last, for `new/..` is only there once `new` is; a lock may be left of a killed program
        if any(each.name != LOCK for each in path.iterdir()):
            raise OutputError(
                f"{path} is not empty, and {what} would be mixed with what is there. Nothing was touched. "
                f"Give a new folder, or remove this one first."
            )
    except OSError as error:
        raise output_error(path, error) from error
    probe_writable(path)
    return path


@contextlib.contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Keep other commands that ask for the same folder out of it, until the block or this process ends.

    Args:
        folder: There already.

    Raises:
        OutputError: Another command has it.
    """
    # for all who may write there; and no file that stands for a lock, which a killed program would leave
    lock = FileLock(folder / LOCK, timeout=0, mode=0o666, fallback_to_soft=False)
    held = True
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{folder} is being written by another command. Nothing was touched. Wait until that one has "
            "ended, or give another folder."
        ) from error
    except PermissionError as error:
        raise OutputError(
            f"{folder / LOCK} is another user's, whose command may be writing there. Nothing was touched. "
            "Give another folder, or have it removed if nobody writes there."
        ) from error
    except (OSError, NotImplementedError):  # no locks on this file system: better without than not at all
        held = False
    try:
        yield
    finally:
        if held:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)
            lock.release()


@contextlib.contextmanager
def sole_new_folder(path: Path, what: str) -> Iterator[None]:
    """Make a `new_folder` and keep it in `sole_use`; it goes again if nothing has come into it.

    A stop that is asked for while it is made is heard once it is made, so that nothing is left of it.

    Args:
        path: The folder to be.
        what: What will be put there, for the message: "the run".

    Raises:
        OutputError: It holds something already, another command has it, or it cannot be written.
    """
    with contextlib.ExitStack() as undone:
        with stop_requests() as request:
            if not path.exists():
                undone.callback(_remove_if_empty, path)
            new_folder(path, what)
            undone.enter_context(sole_use(path))
        if request.signal_number is not None:
            raise Stopped(request.signal_number)
        yield


def remove_unfinished(folder: Path) -> None:
    """Remove what writes that were killed have left in a folder in sole use and below."""
    for left in folder.rglob(f".*{PART}"):
        with contextlib.suppress(OSError):  # it is in nobody's way
            left.unlink()


def free_path(path: Path, suffix: str = "") -> Path:
    """The path, if nothing is there, not even a link to nothing, and its name is right; the folder is made.

    Args:
        path: Of a file or folder to be.
        suffix: That its name shall end in; "" for any.

    Raises:
        UsageError: The suffix is that of something else.
        OutputError: Something is there, or the folder around it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise OutputError(f"{path} is there already. Nothing was touched. Give another name, or remove it.")
    if suffix and path.suffix.lower() != suffix:
        raise UsageError(f"--out {path}: give it a name that ends in {suffix}.")
    probe_writable(made_folder(path.parent))
    return path


def free_folder(path: Path) -> Path:
    """`path`, or where that is taken the first of `path-2`, `path-3`, … that is free."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([path], numbered) if not candidate.exists())


def probe_writable(folder: Path) -> None:
    """Find out now, not after an hour's work, whether `folder` can be written.

    Raises:
        OutputError: It cannot.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".delineate-probe.") as stream:
            stream.write(bytes(4096))
            stream.flush()
    except OSError as error:
        raise output_error(folder, error) from error


def as_path(path: str | Path) -> Path:
    """The path, which is none of the current folder where it is empty, as of a variable that is not set.

    Raises:
        UsageError: It is empty.
    """
    if not os.fspath(path):
        raise UsageError("An empty path was given. Give a file or folder; the current folder is '.'.")
    return Path(path)


def as_paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path or several, each as of `as_path`.

    Raises:
        UsageError: One is empty.
    """
    return [as_path(each) for each in ([given] if isinstance(given, str | Path) else given)]


def existing_folder(path: Path, what: str) -> Path:
    """Return `path` if it is a folder that can be read.

    Raises:
        UsageError: There is none, it is a file, or it may not be read.
    """
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{path} does not exist. Give the folder that holds {what}.") from error
    except (OSError, ValueError) as error:  # in a closed folder, or a name that none can have
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be looked at: {why}. Check its name and permissions.") from error
    if not is_folder:
        raise UsageError(f"{path} is a file. Give the folder that holds {what}.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise UsageError(f"{path} may not be read by this user. Change its permissions (chmod u+rx).")
    return path


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; not where the path cannot be looked at, or is none that can be."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is such an ordinary file; likewise."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits.

    Raises:
        ImageError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ImageError(path, "it is no ordinary file")
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ImageError(path, error.strerror or str(error)) from error
    return digest.hexdigest()


@contextlib.contextmanager
def removed_on_error(paths: Collection[Path]) -> Iterator[None]:
    """Remove these files if the block ends in an error, or is stopped; those may come to be in the block."""
    try:
        yield
    except BaseException:
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def made_folder(path: Path) -> Path:
    """The folder `path`, made if need be, with those above it.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    return path


def output_error(path: Path, error: OSError) -> DelineateError:
    """The OSError of a write, said for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full. Free some space or give another folder."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "it may not be written. Change its permissions or give another folder."
    elif error.errno in (errno.EEXIST, errno.ENOTDIR):
        reason = "a file is where a folder should be. Give another folder."
    elif error.errno == errno.ENAMETOOLONG:
        reason = "the name is too long for this file system. Rename the input or give a shorter --out."
    else:
        reason = f"{error.strerror or error}. Give another folder."
    return OutputError(f"Cannot write {path}: {reason}")


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it holds something
        folder.rmdir()


def _umask() -> int:
    """The process's umask (reading it means setting it for an instant, one thread at a time)."""
    with _reading_umask:
        mask = os.umask(0)
        os.umask(mask)
    return mask
