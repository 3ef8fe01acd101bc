"""Images through reading, finding and writing, which overlap; one bad file never stops the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from delineate.dataset.inputs import GivenImage
from delineate.dataset.naming import printable
from delineate.dataset.pseudonyms import Pseudonyms, words_of
from delineate.formats import Reading
from delineate.image import Image
from delineate.inference.found import FAILURES, Found
from delineate.jobs.large_route import Large
from delineate.jobs.manifest import Predicted, reason_of, record
from delineate.jobs.overlapping import Threads
from delineate.jobs.reading import Loaded, Sized, read, size_of, told_files
from delineate.jobs.reporter import Reporter
from delineate.jobs.unfinished import Unfinished
from delineate.jobs.writing import Results, Wanted

if TYPE_CHECKING:
    from delineate.inference.loading import AnyModel

R = TypeVar("R")
MOST_IN_FLIGHT = 24  # images
IN_FLIGHT_BYTES = 384 << 20
SIZED_AHEAD = 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that predicting images needs.

    Attributes:
        model: That finds the masks.
        folder: Where they go.
        wanted: What is written.
        reading: How files are read.
        memory_bytes: That a volume may take in all; None for what is free.
        workers: Threads that read, and as many that write; 0 to do all in the calling thread.
        pseudonyms: Codes for names.
        unfinished: What is kept of pictures larger than memory until they are done.
        reporter: Told how it goes.
    """

    model: AnyModel
    folder: Path
    wanted: Wanted
    reading: Reading
    memory_bytes: int | None
    workers: int
    pseudonyms: Pseudonyms
    unfinished: Unfinished
    reporter: Reporter


@dataclass(eq=False)
class _Item:
    """An image on its way."""

    place: int
    given: GivenImage
    held_bytes: int
    reading: Future[Loaded]
    name: str = ""


@dataclass
class Flow:
    """The way of all images: read ahead, found in their order, written behind.

    Attributes:
        images: In the order in which they are read, found, written and told.
        work: What is done with them.
        made: What became of those that are done, by their places.
    """

    images: Sequence[GivenImage]
    work: Work
    made: dict[int, Predicted] = field(default_factory=dict)
    _sized: deque[Future[Sized]] = field(default_factory=deque)
    _reading: deque[_Item] = field(default_factory=deque)
    _finding: deque[_Item] = field(default_factory=deque)
    _writing: deque[tuple[_Item, Future[Predicted | Exception]]] = field(default_factory=deque)
    _on_disk: dict[int, Predicted] = field(default_factory=dict)
    _alone: tuple[_Item, Image | Large] | None = None
    _begun: int = 0
    _held_bytes: int = 0

    def __post_init__(self) -> None:
        self._readers = Threads(self.work.workers, "reading")
        self._writers = Threads(self.work.workers, "writing")

    def run(self) -> None:
        """Take all images their way; where this is stopped, `made` says which are done.

        Raises:
            OutputError: The folder cannot be written.
        """
        try:
            while len(self.made) < len(self.images):
                self._find_in_pictures()
                self._find_in_one()
                if self._writing:
                    self._finish_oldest()
            self._readers.finish()
            self._writers.finish()
        except BaseException:
            self._readers.stop(patience_s=0)
            try:
                self._writers.stop()
            finally:
                self.made = self._on_disk | self.made  # a stop may come between any two steps
            raise

    def told(self) -> tuple[list[Predicted], list[str]]:
        """What became of the images so far, in their order, with codes in place of names that tell too much.

        Returns:
            Entries of a manifest, and what to say of each that failed, with its place as it was given.
        """
        done = sorted(self.made.items())
        pseudonyms = self.work.pseudonyms
        for place, file in done:
            if file.status == "failed":  # whatever its headers say shall not be told with the reason
                given = self.images[place]
                words = frozenset().union(*map(words_of, given.files))
                pseudonyms.name(given.name, told_files(given), words)
        hide = pseudonyms.redacted
        files = [file.hidden(hide) for _, file in done]
        return files, [
            f"{hide(printable(self.images[place].files[0]))}: {file.reason}"
            for (place, _), file in zip(done, files, strict=True)
            if file.status == "failed"
        ]

    def _find_in_pictures(self) -> None:
        """Of all images up to the next that is found by itself, several at a time where that is faster."""
        keep = self.work.wanted.probabilities
        for found in self.work.model.found_in_each(self._pictures(), keep_probabilities=keep):
            self._write(self._finding.popleft(), found)

    def _pictures(self) -> Iterator[Image]:
        while self._alone is None and (item := self._next()) is not None:
            image = self._image_of(item)
            if image is None:
                continue
            if isinstance(image, Image) and len(image.size) == 2:
                self._finding.append(item)
                yield image
            else:
                self._alone = item, image

    def _find_in_one(self) -> None:
        """Of a volume, or of a picture that is not held and that writes itself."""
        if self._alone is None:
            return
        (item, image), self._alone = self._alone, None
        work = self.work
        found: Found | Exception
        if isinstance(image, Large):
            with image.regions:
                self._made(item, self._large(item, image))
            return
        try:
            found = work.model.found_in(
                image,
                keep_probabilities=work.wanted.probabilities,
                memory_bytes=work.memory_bytes,
                progress=lambda done, total: work.reporter.stage(f"predicting {item.name}", done, total),
            )
        except FAILURES as error:
            found = error
        self._write(item, found)

    def _large(self, item: _Item, large: Large) -> Predicted | Exception:
        """All that is wanted of a picture that is not held."""
        try:
            from delineate.jobs.large_prediction import predict_large  # noqa: PLC0415  imports torch

            return predict_large(large, item.given, item.name, item.reading.result().digests, self.work)
        except FAILURES as error:
            return error

    def _next(self) -> _Item | None:
        """The next image; None where none is left, or none has room before those that wait to be found."""
        self._read_ahead()
        while not self._reading and self._begun < len(self.images) and self._writing:
            self._finish_oldest()
            self._read_ahead()
        return self._reading.popleft() if self._reading else None

    def _image_of(self, item: _Item) -> Image | Large | None:
        """The image, when it is read and has its name; None where it cannot be read."""
        loaded = _result(item.reading, self._readers)
        if isinstance(loaded.image, Exception):
            self._made(item, loaded.image)
            return None
        words = frozenset() if isinstance(loaded.image, Large) else loaded.image.identifying
        item.name = self.work.pseudonyms.name(item.given.name, told_files(item.given), words)
        return loaded.image

    def _read_ahead(self) -> None:
        """Have as many images read as there is room for."""
        while self._writing and self._writing[0][1].done():
            self._finish_oldest()
        most = MOST_IN_FLIGHT if self.work.workers else 1 + len(self._finding)
        while self._begun < len(self.images):
            ahead = SIZED_AHEAD if self.work.workers else 1
            for place in range(self._begun + len(self._sized), min(self._begun + ahead, len(self.images))):
                given = self.images[place]
                self._sized.append(self._readers.submit(lambda given=given: self._size_of(given)))  # type: ignore[misc]  # bound now
            in_flight = len(self._reading) + len(self._finding) + len(self._writing)
            if in_flight and (in_flight >= most or (self._reading and not self._sized[0].done())):
                return
            sized = _result(self._sized[0], self._readers)
            alone = sized.axes == 3 and self.work.memory_bytes is not None
            held = max(sized.held_bytes, IN_FLIGHT_BYTES if alone else 0)
            if in_flight and self._held_bytes + held > IN_FLIGHT_BYTES:
                return
            self._sized.popleft()
            self._held_bytes += held
            given, place = self.images[self._begun], self._begun
            reading = self._readers.submit(
                lambda given=given, sized=sized: read(  # type: ignore[misc]  # bound now
                    given,
                    sized,
                    self.work.model.plan,
                    self.work.reading,
                    self.work.memory_bytes,
                    begun=self.work.unfinished.has(given.name),
                )
            )
            self._reading.append(_Item(place, given, held, reading))
            self._begun += 1

    def _size_of(self, given: GivenImage) -> Sized:
        labels = len(self.work.model.labels) if self.work.wanted.probabilities else 0
        return size_of(given, self.work.reading, labels)

    def _write(self, item: _Item, found: Found | Exception) -> None:
        if isinstance(found, Exception):
            self._made(item, found)
            return
        self._writing.append((item, self._writers.submit(lambda: self._written(item, found))))
        if self._writers.fault is not None:
            raise self._writers.fault

    def _written(self, item: _Item, found: Found) -> Predicted | Exception:
        """Write all that is wanted of an image, or nothing of it. In a thread of the writers."""
        loaded, paths = item.reading.result(), item.given.files
        if isinstance(loaded.image, Exception):
            return loaded.image
        assert isinstance(loaded.image, Image)  # noqa: S101  those that are not held write themselves
        results = Results(item.name, self.work.folder, loaded.image, paths)
        try:
            path = results.write(found, self.work.wanted)
            names = tuple(path.name for path in told_files(item.given))
            plan = self.work.model.plan
            made = record(
                names,
                loaded.digests,
                image=loaded.image,
                results=results,
                mask=found.mask,
                path=path,
                plan=plan,
            )
        except FAILURES as error:
            for path in results.made:
                path.unlink(missing_ok=True)
            return error
        self._on_disk[item.place] = made
        return made

    def _finish_oldest(self) -> None:
        """Wait for what is written first."""
        item, writing = self._writing[0]
        written = _result(writing, self._writers)
        self._writing.popleft()
        self._made(item, written)

    def _made(self, item: _Item, made: Predicted | Exception) -> None:
        """An image has come to its end."""
        if isinstance(made, Exception):
            names = tuple(path.name for path in told_files(item.given))
            digests, reason = item.reading.result().digests, reason_of(made, item.given.files)
            made = Predicted(names, digests, "failed", reason)
        self.made[item.place] = made
        self._held_bytes -= item.held_bytes
        self.work.reporter.stage("predicting", len(self.made), len(self.images))


def _result(future: Future[R], threads: Threads) -> R:
    """The result, or the error that ended the threads that should have made it."""
    try:
        return future.result()
    except CancelledError:
        if threads.fault is None:
            raise
        raise threads.fault from None
