"""A run directory held against itself: every line, every row, every sum; and mended where that is asked for, without losing a byte."""

from __future__ import annotations

import stat
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchrun.core.counted import counted
from batchrun.core.errors import LedgerError, RunDamagedError, RunTooNewError, said_by
from batchrun.core.ledger.attempts import Opened, read_attempt
from batchrun.core.ledger.digests import Digests
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry, NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.totals import Totals
from batchrun.core.ledger.unlogged import unlogged
from batchrun.core.rows.names import id_digest
from batchrun.edge import history, mending, run_directory
from batchrun.edge.trust import LINK, PACKED, is_packed
from batchrun.running.money import most_of, simulated_in
from batchrun.telling.findings import Checked, Finding
from batchrun.telling.reading import FILES, LOG
from batchrun.telling.suspect import Suspects

_SHOWN = 5
_DEEPEST = 2
_PRIVATE = {True: 0o700, False: 0o600}


def checked(directory: Path, *, repair: bool) -> Checked:
    """Look at every line of a run directory, which nobody may hold meanwhile; with *repair*, move aside what is damaged.

    Raises JobError where it is no run directory, LedgerError where that cannot be told, RunInUseError where another process holds it.
    """
    run_directory.must_hold(directory, "run.json", LOG)
    run_directory.refuse_pipes(directory)
    try:
        with run_directory.locked(directory) if repair else run_directory.kept_still(directory):
            return _Check(directory, repair=repair).made()
    except OSError as error:
        raise LedgerError(f"{error.filename or directory}: cannot be looked at: {said_by(error)}") from None


class _Check:
    """One check under way."""

    def __init__(self, directory: Path, *, repair: bool) -> None:
        self._directory = directory
        self._repair = repair
        self._found = Checked(directory, "")
        self._described = self._description()
        self._found.run = str(self._described.get("run", ""))
        most = most_of(self._described)
        self._fold = Fold(self._found.run, str(self._described.get("name", "")), self._described.get("rejected_input", 0), most=most)
        self._answered = Digests()
        self._suspects = Suspects(simulated_in(self._described))

    def made(self) -> Checked:
        self._modes()
        files = [path / name for path in run_directory.workspace_directories(self._directory) for name in FILES]
        for path in [*files, self._directory / LOG]:
            self._tail(path)
        self._log(files)
        for path in files:
            self._file(path)
        self._close()
        return self._found

    def _tell(self, place: Path | str, what: str, *, damage: bool = True, mended: bool = False, by_hand: bool = False) -> None:
        shown = place.relative_to(self._directory).as_posix() if isinstance(place, Path) else place
        self._found.findings.append(Finding(shown, what, damage, mended, by_hand or (self._repair and not mended)))

    def _description(self) -> dict[str, Any]:
        """Read run.json; nothing of one that is damaged, or not there: the rows that are pending are not known then."""
        path = self._directory / "run.json"
        try:
            described = run_directory.read_description(self._directory)
        except RunTooNewError:
            raise
        except RunDamagedError as error:
            if self._repair:
                mending.put_aside(path, run_directory.sync_directory)
            what = str(error).partition(": ")[2]
            self._tell(path, f"{what}; the next run makes another", mended=self._repair)
            return {}
        if described is None:
            self._tell(path, "is not there: rows that are pending are not known; the next run makes it anew", damage=False)
        return described or {}

    def _modes(self) -> None:
        # It may itself be a link, to where there is room.
        self._mode(self._directory, self._directory.stat().st_mode)
        for path in sorted(self._directory.rglob("*")):
            # A report that is made meanwhile has put in place what it wrote.
            with suppress(FileNotFoundError):
                self._mode(path, path.stat(follow_symlinks=False).st_mode)

    def _mode(self, path: Path, mode: int) -> None:
        if stat.S_ISLNK(mode):
            # A run looks no deeper: it writes nothing there.
            self._tell(path, LINK, damage=len(path.relative_to(self._directory).parts) <= _DEEPEST, by_hand=True)
        elif is_packed(path):
            self._tell(path, PACKED, by_hand=True)
        elif mode & 0o077:
            wanted = _PRIVATE[stat.S_ISDIR(mode)]
            mended = self._repair and _has_mode(path, wanted)
            self._tell(path, f"could be used by others: its mode is to be {wanted:o}", damage=False, mended=mended)

    def _tail(self, path: Path) -> None:
        torn = history.torn_tail(path)
        if torn and self._repair:
            self._tell(path, history.repair_tail(path, keep_zeros=path.name == LOG) or "", damage=False, mended=True)
        elif torn:
            self._tell(
                path, f"ends in {torn:,} bytes of a line that was never finished: a killed process; the next run mends it", damage=False
            )

    def _has_called(self, files: Iterable[Path]) -> bool:
        """Whether anything is left of calls beside their log: entries, sums, or that an opening had its end."""
        sums = self._directory.glob("*/usage.json")
        return "ended" in self._described or any(path.stat().st_size for path in (*files, *sums) if path.exists())

    def _log(self, files: Iterable[Path]) -> None:
        path = self._directory / LOG
        if not path.exists() and self._has_called(files):
            self._tell(path, "is not there: calls and doubt are not known", damage=self._found.run != "", by_hand=True)
        elif not path.exists():
            self._tell(path, "is not there: the run was not started, or ended before its first call", damage=False)
        bad: list[int] = []
        openings: dict[bytes, int] = {}
        again: dict[int, int] = {}
        for number, text in mending.lines_of(path):
            if not text.endswith(b"\n"):
                continue  # Told as a torn tail.
            if (line := read_attempt(text)) is None:
                bad.append(number)
            elif isinstance(line, Opened) and (before := openings.setdefault(text.rstrip(), number)) != number:
                again[number] = before
        if again and self._repair:
            self._take_out_what_stands_twice(path)
        for number, before in again.items():
            what = f"is line {before} again: the log was put together of parts that overlap, and what both tell counts twice"
            self._tell(f"{LOG} line {number}", what, mended=self._repair)
        self._fold.attempts(history.Attempts(path))
        if bad:
            shown = ", ".join(map(str, bad[:5])) + (" …" if len(bad) > 5 else "")
            # They stay: the statement says as long that it does not know all.
            self._tell(path, f"{counted(len(bad), 'line')} cannot be read (line {shown}): calls and doubt may be higher", damage=False)

    @staticmethod
    def _take_out_what_stands_twice(path: Path) -> None:
        """Move each line of a log aside that is another again: every line tells its moment, so that no two are of one thing."""
        first: dict[bytes, int] = {}
        for number, text in mending.lines_of(path):
            if read_attempt(text) is not None:
                first.setdefault(text.rstrip(), number)

        def lines(*, twice: bool) -> Iterator[bytes]:
            return (line.text for line in mending.lines_of(path) if (first.get(line.text.rstrip(), line.number) != line.number) is twice)

        mending.make_anew(path, lines(twice=False), lines(twice=True), run_directory.sync_directory)

    def _file(self, path: Path) -> None:
        damaged: dict[int, str] = {}
        corrected: dict[int, bytes] = {}
        unknown = 0
        for number, text in mending.lines_of(path):
            if not text.endswith(b"\n"):
                continue  # Told as a torn tail.
            self._found.lines += 1
            entry = self._entry(text)
            if isinstance(entry, str) and isinstance(marked := self._entry(text.removeprefix(BOM_UTF8)), Entry):
                damaged[number], corrected[number], entry = "begins with a byte order mark", text.removeprefix(BOM_UTF8), marked
            wrong = entry if isinstance(entry, str) else self._wrong(entry, path.parent)
            if isinstance(entry, Entry) and wrong is None:
                self._fold.entries([entry])
                self._suspects.look_at(entry, text, f"{path.relative_to(self._directory).as_posix()} line {number}")
                unknown += bool(entry.unknown)
            if wrong is not None:
                damaged[number] = wrong
                corrected.pop(number, None)
        if unknown:
            self._tell(path, f"{counted(unknown, 'entry has', 'entries have')} fields of a newer batchrun, which are kept", damage=False)
        mended = bool(damaged) and self._repair and self._make_anew(path, damaged, corrected)
        for number, what in damaged.items():
            self._tell(f"{path.relative_to(self._directory).as_posix()} line {number}", what, mended=mended)

    @staticmethod
    def _entry(text: bytes) -> Entry | str:
        try:
            return read_entry(text)
        except NotAnEntryError as error:
            return str(error)

    def _wrong(self, entry: Entry, folder: Path) -> str | None:
        if entry.workspace != folder.name:
            if (misnamed := history.written_otherwise(folder, entry.workspace)) is not None:
                raise misnamed
            return f"is an entry of the workspace {entry.workspace}"
        if (wrong := self._fold.calls.wrong(entry)) is not None:
            return wrong
        if entry.outcome == "answered":
            name = id_digest(entry.workspace, entry.id)
            if self._answered.get(name):
                return "answers a row that is answered already"
            self._answered.put(name, 1)
        return None

    def _make_anew(self, path: Path, damaged: dict[int, str], corrected: dict[int, bytes]) -> bool:
        """Move the damaged lines aside; not where that would be most of the file, which a person should look at first."""
        count = sum(1 for _ in mending.lines_of(path))
        moved = len(damaged) - len(corrected)
        if moved > max(1, count // 2):
            self._tell(path, f"{moved:,} of its {count:,} lines are damaged: is it another file? It is left as it is", damage=False)
            return False
        kept = (corrected.get(line.number, line.text) for line in mending.lines_of(path) if _stays(line.number, damaged, corrected))
        aside = (line.text for line in mending.lines_of(path) if line.number in damaged)
        mending.make_anew(path, kept, aside, run_directory.sync_directory)
        return True

    def _close(self) -> None:
        told: dict[str, dict[str, int]] | None = self._described.get("rows")
        rows = {(name, model): count for name, models in (told or {}).items() for model, count in models.items()}
        if (self._directory / LOG).exists() and (answers := self._fold.calls.unlogged()):
            self._tell(LOG, f"{unlogged(answers)}: calls and doubt may be higher", damage=False)
        lost = [doubtful.started for doubtful in self._fold.calls.in_doubt() if doubtful.why == Calls.MISSING]
        for started in lost[:_SHOWN]:
            call = f"the call {started.name} for {started.workspace} {started.row_id} was answered"
            self._tell(LOG, f"{call}, and its entry is not in the ledger: it counts as in doubt, and its row is asked again", damage=False)
        if len(lost) > _SHOWN:
            self._tell(LOG, f"{len(lost) - _SHOWN:,} more such calls", damage=False)
        for place, what in self._suspects.told():
            self._tell(place, what, damage=False)
        statement = self._found.statement = self._fold.close(rows)
        for name, (total, models) in statement.of_workspaces().items():
            # A row that failed has its entry where it was asked, though its line may name another model since.
            if told is not None and _done(total) > sum((has := told.get(name, {})).values()):
                for model, totals in models.items():
                    if (done := _done(totals)) > has.get(model, 0):
                        entries = f"{counted(done, 'row')} of {model} with entries"
                        self._tell(name, f"{entries}, of {has.get(model, 0):,} that the run has", damage=False)
        for name, sums in statement.workspaces_json(run_directory.told_before(self._directory)).items():
            self._usage(self._directory / name / "usage.json", sums)

    def _usage(self, path: Path, sums: dict[str, Any]) -> None:
        if not path.exists() or (written := run_directory.read_summary(path)) == run_directory.as_read(sums):
            return
        # Sums of what is damaged would be wrong.
        mended = self._repair and self._found.whole
        if mended:
            run_directory.write_summary(path, sums)
        more = _more(written, sums)
        what = f"tells {more} than the ledger has" if more else "is older than the ledger"
        self._tell(path, f"{what}; it is made again by the next run", damage=bool(more), mended=mended)


def _done(totals: Totals) -> int:
    return totals.answered + totals.rejected + totals.exhausted


def _has_mode(path: Path, mode: int) -> bool:
    """Give *path* that mode; False where it is another user's."""
    try:
        path.chmod(mode)
    except PermissionError:
        return False
    return True


def _stays(number: int, damaged: dict[int, str], corrected: dict[int, bytes]) -> bool:
    return number not in damaged or number in corrected


def _more(written: dict[str, Any], sums: dict[str, Any]) -> str:
    """What a summary has more of than the ledger: rows and calls are never taken back."""
    before, now = written.get("total"), sums["total"]
    if not isinstance(before, dict):
        return "something else"
    counts = ((name, before.get(name), now[name]) for name in ("answered", "calls"))
    return ", ".join(f"{count - known:,} more {name}" for name, count, known in counts if isinstance(count, int) and count > known)
