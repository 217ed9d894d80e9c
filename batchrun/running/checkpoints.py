"""A reader of the ledger as it was when it had read so far, kept in the run directory: a resume reads on from there.

A checkpoint is a summary: it can be deleted, and is made again. It is believed where it was written by this very code, for the same input
and settings (its *key*), where its bytes are what was written, and where each file of the ledger still begins with the bytes that were
read, by their digests. Anything else is read from the beginning.

Its contents are a pickle, for a reader is made of whatever its parts keep. One that comes from elsewhere can make nothing but values: only
classes of the core, which asks the world nothing, and plain values are found by name.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import IO, Any, TypeVar

import orjson

from batchrun import __version__
from batchrun.core.errors import LedgerError
from batchrun.core.ledger.marking import NONE, NOTHING, Mark
from batchrun.edge import history, marks, run_directory
from batchrun.edge.ahead import Ahead
from batchrun.telling.reading import LOG, OneByOne, Reader, files_of, read_all, read_into

FROM_BYTES = 4 << 20
"""Of ledger that a checkpoint saves the next opening from reading: less is read sooner than it is written."""
_SEAL_BYTES = 16
_PLAIN = {
    ("array", "_array_reconstructor"),
    ("array", "array"),
    ("builtins", "bytearray"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("collections", "Counter"),
    ("decimal", "Decimal"),
}

_NO_CHECKPOINT = (
    pickle.UnpicklingError, ImportError, AttributeError, LookupError, TypeError, ValueError, EOFError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What reading something else ends in, that somebody has sealed anew."""

AReader = TypeVar("AReader", bound=Reader)


class Checkpoint:
    """One reader's, in one file of the run directory.

    *key* is all that decides what it reads beside the ledger; *outside* are the objects, by name, that it refers to and are not its own.
    """

    def __init__(self, directory: Path, name: str, key: object, outside: Mapping[str, object]) -> None:
        self._directory = directory
        self._path = directory / f"{name}.checkpoint"
        self._key = _seal(orjson.dumps([key, _code()])).hex()
        self._log = history.Attempts(directory / LOG)
        self._outside = {**outside, "log": self._log}
        self.marks: Mapping[str, Mark] = NONE
        """As far as what is kept in the file has read."""
        self.stood: Mapping[str, Mark] = NONE
        """As far as that had read when it was taken up, and found to stand."""
        self.note: str | None = None
        """For a person: why what was kept is not used."""

    def read_on(self, new: Callable[[], AReader], *, keep: bool, known: Mapping[str, Mark] = NONE) -> AReader:
        """Return a reader that has read all of the ledger: the one that was kept, or else a *new* one from the beginning.

        With *keep* it is kept as it is now, where that is worth it: the caller holds the run, and nothing is appended meanwhile. What is
        *known* to stand stands.
        """
        kept = self._kept(known)
        if kept is None and not keep:
            reader = read_all(self._directory, new)
            reader.calls.reads_again(self._log)
            return reader
        reader, self.marks = kept or (new(), NONE)
        ends = self.ends()
        if not keep:
            self._read(reader)
            return reader
        # Hashing leaves the interpreter to whoever reads.
        with ThreadPoolExecutor(1) as beside:
            marking = beside.submit(self._marked, ends) if self.is_worth_it(ends) else None
            with self._ahead(ends) if isinstance(reader, OneByOne) else nullcontext() as ahead:
                self._read(reader, ahead)
            marked = None if marking is None else marking.result()
        if marked is not None:
            # What was read is what was asked for: where there is no memory for a second form of it, it is read again next time.
            with suppress(MemoryError):
                self.write(self.written(reader, marked), marked)
        return reader

    def caught_up(self, new: Callable[[], AReader], most_bytes: int, known: Mapping[str, Mark]) -> AReader | None:
        """Return a reader in the same way, where that takes no more than *most_bytes* to be read; what is *known* to stand stands."""
        reader, self.marks = self._kept(known) or (new(), NONE)
        if self._beyond(self.ends()) > most_bytes:
            return None
        self._read(reader)
        return reader

    def _ahead(self, ends: Mapping[str, int]) -> AbstractContextManager[Ahead | None]:
        """What is to be read of the output files, read ahead where there is much of it; nothing is appended meanwhile."""
        since = {name: self.marks.get(name, NOTHING).end for name in ends if name != LOG}
        return Ahead.of(self._directory, since, sum(ends[name] - start for name, start in since.items())) or nullcontext()

    def _read(self, reader: Reader, ahead: Ahead | None = None) -> None:
        read_into(self._directory, reader, since=self.marks, ahead=ahead)
        reader.calls.reads_again(self._log)
        reader.calls.tidy()

    @property
    def is_there(self) -> bool:
        """Whether anything is kept, be it believed or not."""
        return self._path.exists()

    def ends(self) -> dict[str, int]:
        """How far the ledger goes now; of one that is being written, whole lines where all that was noted is flushed."""
        return marks.sizes(self._directory, files_of(self._directory))

    def is_worth_it(self, ends: Mapping[str, int]) -> bool:
        """Whether enough was written since the last checkpoint for another one."""
        return self._beyond(ends) >= FROM_BYTES

    def _beyond(self, ends: Mapping[str, int]) -> int:
        return sum(ends.values()) - sum(mark.end for mark in self.marks.values())

    def written(self, reader: Reader, marked: Mapping[str, Mark]) -> memoryview:
        """Return what `write` is to write of a *reader* that has read so far."""
        reader.calls.reads_again(self._log)
        reader.calls.tidy()
        head = orjson.dumps({"key": self._key, "marks": {name: mark.segments for name, mark in marked.items()}})
        return _written(head, reader, self._outside)

    def write(self, written: memoryview, marked: Mapping[str, Mark]) -> None:
        """Write it, where there is room for it; it is made again otherwise."""
        written[:_SEAL_BYTES] = _seal(written[_SEAL_BYTES:])
        try:
            run_directory.write_whole(self._path, written)
        except LedgerError:
            return
        self.marks = marked

    def _marked(self, ends: Mapping[str, int]) -> dict[str, Mark] | None:
        if any(history.torn_tail(self._directory / name) for name in ends):
            return None  # The next opening mends it: where the reader stands would no longer be the beginning of a line.
        try:
            return marks.marked(self._directory, ends, self.marks)
        except OSError:
            return None

    def _kept(self, known: Mapping[str, Mark] = NONE) -> tuple[Any, Mapping[str, Mark]] | None:
        try:
            with self._path.open("rb") as file:
                return self._unsealed(file, known)
        except OSError:
            return None

    def _unsealed(self, file: IO[bytes], known: Mapping[str, Mark]) -> tuple[Any, Mapping[str, Mark]] | None:
        seal, whole = file.read(_SEAL_BYTES), blake2b(digest_size=_SEAL_BYTES)
        while chunk := file.read(1 << 20):
            whole.update(chunk)
        if whole.digest() != seal:
            self._refuse("it is damaged")
            return None
        file.seek(_SEAL_BYTES)
        try:
            told = orjson.loads(file.readline())
            if told["key"] != self._key:
                return None
            read = {name: Mark(tuple((end, digest) for end, digest in segments)) for name, segments in told["marks"].items()}
            if marks.all_stand(self._directory, read, known):
                self.stood = read
                return _Unpickler(file, self._outside).load(), read
        except _NO_CHECKPOINT:
            self._refuse("it is not made of what a checkpoint is made of")
            return None
        self._refuse("the ledger is no longer what it was when it was read")
        return None

    def _refuse(self, why: str) -> None:
        self.note = f"{self._path} is not used: {why}; the ledger was read from its beginning"


def _seal(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_SEAL_BYTES).digest()


@cache
def _code() -> str:
    """Digest of what reads a ledger: a reader that other code has made may have other parts, or mean other things by them."""
    house = Path(__file__).parents[1]
    rooms = (
        house / "running" / "checkpoints.py",
        house / "telling" / "reading.py",
        *(house / "running" / name for name in ("budgets.py", "money.py", "priced_before.py")),
        *(house / "edge" / name for name in ("history.py", "ahead.py")),
    )
    whole = blake2b(f"{__version__} {sys.version}".encode(), digest_size=_SEAL_BYTES)
    for path in sorted([*house.glob("core/**/*.py"), *rooms]):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _written(head: bytes, reader: object, outside: Mapping[str, object]) -> memoryview:
    """Return what stands in the file, but for its seal. A reader may hold hundreds of megabytes: they are copied once."""
    written = io.BytesIO()
    written.write(bytes(_SEAL_BYTES) + head + b"\n")
    _Pickler(written, outside).dump(reader)
    return written.getbuffer()


def _outside(name: str) -> object:
    """Stands in a pickle for what is not the reader's own: whoever reads it has that."""
    raise LookupError(name)


class _Pickler(pickle.Pickler):
    def __init__(self, to: io.BytesIO, outside: Mapping[str, object]) -> None:
        super().__init__(to, protocol=4)
        self._names = {id(value): name for name, value in outside.items()}

    def reducer_override(self, value: object) -> Any:
        # Not `persistent_id`: that is asked of each number and each text too, ten times as often, in the event loop.
        name = self._names.get(id(value))
        return NotImplemented if name is None else (_outside, (name,))


class _Unpickler(pickle.Unpickler):
    def __init__(self, read: IO[bytes], outside: Mapping[str, object]) -> None:
        super().__init__(read)
        self._outside = outside

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, _outside.__name__):
            return self._outside.__getitem__
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        if module.startswith("batchrun.core.") and "." not in name:
            found = getattr(import_module(module), name, None)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is nothing that a checkpoint is made of")
