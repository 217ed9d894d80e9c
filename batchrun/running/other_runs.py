"""How other runs are counted: what those beside this one have spent of the budgets that they share, where the books do not tell it.

They do not tell it of a run that was killed, that went on without such a budget, or that they do not know. Its ledger is read then, and
what it has spent of the present pages is written into the books, with how large the ledger was: another size means that there is more to
read.

What a simulator answered there was no money: real budgets do not count it, and those of rehearsals count nothing else.

A run whose ledger cannot be counted, for it is damaged or a newer version's, keeps a run with such a budget from being opened: what cannot
be counted must not be overspent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchrun.core.counted import shortened
from batchrun.core.errors import LedgerError, RunDamagedError
from batchrun.core.money.books import Books, Part
from batchrun.core.money.budget import LaneKey, Purse
from batchrun.core.money.spending import Spending
from batchrun.edge import run_directory
from batchrun.edge.books_file import HOLDER, is_held, is_there, ledger_bytes, name_of, runs_beside
from batchrun.running.money import described_job, most_of
from batchrun.telling.reading import is_part_of, read_into

_NOTHING = Decimal(0)
_NO_PART = Part()


class OtherRuns:
    """The runs beside the one in *directory*, as the budgets see them that its *purses* are of."""

    def __init__(self, directory: Path, purses: tuple[Purse, ...], wall_time: Callable[[], float]) -> None:
        self._directory = directory
        self._purses = purses
        self._wall_time = wall_time

    def present(self) -> dict[str, Purse]:
        """The purses by what the books call their present pages."""
        now = self._wall_time()
        return {purse.cap.key(purse.page(now).span.name): purse for purse in self._purses}

    def stale(self, books: Books, beside: Iterable[Path]) -> list[Path]:
        """Which of the runs *beside* the books do not tell enough of."""
        begins = {key: purse.page(self._wall_time()).span.starts for key, purse in self.present().items()}
        return [path for path in beside if _is_stale(books.runs.get(path.name), path, begins)]

    def counted(self, directories: Iterable[Path], then: str) -> dict[Path, Part]:
        """Read from their ledgers what runs have spent of the present pages.

        Raises RunDamagedError or LedgerError, which tells why that cannot be known and what happens *then*.
        """
        named = self._named() if (wanted := [*directories]) else {}
        return {directory: self._read(directory, named, then) for directory in wanted}

    def take_in(self, books: Books, beside: Iterable[Path], read: Mapping[Path, Part], own: Mapping[str, Decimal]) -> None:
        """Write into *books* what was *read* now of the runs *beside*.

        A run whose directory has another name than the books know it by is counted once, this one too; and what they know to be spent stays
        counted, though no ledger tells it any more: this run's tells what it has spent of its *own*.
        """
        name = name_of(self._directory)
        there = {name, *(path.name for path in beside)}
        runs = {name: which(self._directory)} | {path.name: part.run for path, part in read.items()}
        for each, run in runs.items():
            books.make_way(each, run)
        for each, run in runs.items():
            books.move(each, run, there)
        books.tell(name, own, ledger_bytes(self._directory)[0])
        # What stands in another's ledger is counted there: of those that are alike, in the one that is written down before.
        for path, part in sorted(read.items(), key=lambda each: len(each[1].stands_in)):
            wholes = [own if whole == name else books.runs.get(whole, _NO_PART).taken for whole in part.stands_in]
            _merge(books, path.name, _beyond(part, wholes), alive=_lives(path))

    def beside(self) -> list[Path]:
        """Their directories."""
        return runs_beside(self._directory)

    def at_work(self, books: Books) -> bool:
        """Whether a process of any of them has a part in *books*."""
        own, folder = name_of(self._directory), self._directory.absolute().parent
        return any(part.open and _lives(folder / name) for name, part in books.runs.items() if name != own)

    def _read(self, directory: Path, named: Mapping[Path, str], then: str) -> Part:
        try:
            return self._read_ledger(directory, named)
        except (RunDamagedError, LedgerError) as error:
            caps = shortened([str(purse.cap) for purse in self._purses])
            raise type(error)(
                f"{directory}: what this run, which stands beside yours, has spent of {caps} cannot be counted, and no more may be spent "
                f"than is left: {then}. {error}. Or move {directory.name} into another folder: what it spent counts no more then"
            ) from None

    def _read_ledger(self, directory: Path, named: Mapping[Path, str]) -> Part:
        size, _ = ledger_bytes(directory)
        run_directory.refuse_pipes(directory)
        described = self._described(directory)
        job, known = described.get("name", ""), described_job(described)
        rehearsed = {name: each.endpoint.simulated for name, each in known.workspaces_resolved().items()} if known else {}
        copies = {key: Purse(purse.cap, purse.most, purse.cost) for key, purse in self.present().items()}

        def purses(lane: LaneKey) -> tuple[Purse, ...]:
            owners = {f"workspace {lane[0]}, model {lane[1]}", f"workspace {lane[0]}", f"job {job}"}
            found = (copy for copy in copies.values() if copy.cap.whose in owners)
            # Where it is not known who answered, somebody was paid.
            return tuple(copy for copy in found if rehearsed.get(lane[0], copy.cap.rehearsed) is copy.cap.rehearsed)

        spend(Spending(purses, self._wall_time(), most_of(described)), directory)
        spent = {key: copy.page(self._wall_time()).spent for key, copy in copies.items()}
        # Looked at afterwards: what it tells now it told then, or more.
        return Part(spent, dict(spent), sizes=dict.fromkeys(spent, size), run=which(directory), stands_in=self._wholes_of(directory, named))

    def _described(self, directory: Path) -> Mapping[str, Any]:
        """What tells whose the run in *directory* is; raises RunDamagedError where nothing does, and that is asked."""
        described = run_directory.read_description(directory)
        if described is None and any(purse.cap.whose.startswith("job ") for purse in self._purses):
            raise RunDamagedError(f"{directory / 'run.json'} is gone, which tells of what job it is: put it back, or run that job again")
        return described or {}

    def _wholes_of(self, directory: Path, named: Mapping[Path, str]) -> tuple[str, ...]:
        """The names of the directories, this process's own among them, that *directory* is a copy of and tells no more than."""
        run = named.get(directory)
        same = (path for path, each in named.items() if run and each == run and path != directory)
        return tuple(name_of(path) for path in same if is_part_of(directory, path))

    def _named(self) -> dict[Path, str]:
        """Which runs this one and those beside it are, as far as they tell."""
        found = {}
        for path in (self._directory, *self.beside()):
            with suppress(RunDamagedError, LedgerError):
                found[path] = which(path)
        return found


def spend(spending: Spending, directory: Path) -> None:
    """Read the ledger in *directory* into *spending*; raises RunDamagedError where it is damaged."""
    read_into(directory, spending)
    spending.close()


def which(directory: Path) -> str:
    """Which run a directory holds, whatever it is called; empty where it does not tell."""
    return str((run_directory.read_description(directory) or {}).get("run", ""))


def _is_stale(part: Part | None, directory: Path, begins: Mapping[str, float]) -> bool:
    """Whether there is more to read of a run than its *part* tells, of pages of which each *begins* at a moment.

    Of one that began after its ledger was last written to it has spent nothing: a month's nights would all be read again every night.
    """
    size, written_at = ledger_bytes(directory)
    if part is not None and part.open:
        return not _lives(directory) or any(key not in part.taken for key in begins)
    told: Mapping[str, int] = {} if part is None else part.sizes
    return any(written_at >= began and told.get(key) != size for key, began in begins.items())


def _lives(directory: Path) -> bool:
    """Whether a process lives that has borrowed for a run: somebody may have deleted the lock that says so, and not the run's own."""
    return is_held(directory) or (not is_there(directory / HOLDER) and run_directory.holder(directory) is not None)


def _beyond(copy: Part, wholes: Collection[Mapping[str, Decimal]]) -> Part:
    """What is counted of a *copy*: what none of those does whose ledgers tell all of it."""
    left = {
        key: max(_NOTHING, amount - max((each.get(key, _NOTHING) for each in wholes), default=_NOTHING))
        for key, amount in copy.spent.items()
    }
    return Part(left, dict(left), sizes=copy.sizes, run=copy.run)


def _merge(books: Books, name: str, read: Part, *, alive: bool) -> None:
    """Write down what was read of another run; what a process that lives keeps itself stays as it is."""
    part = books.runs.setdefault(name, Part())
    part.run = read.run
    if not (part.open and alive):
        size = max(read.sizes.values())
        books.tell(name, read.spent, size)
        part.settle(read.spent, size)
        return
    for key, amount in read.taken.items():
        part.taken.setdefault(key, amount)
        part.spent.setdefault(key, amount)
