"""The books on disk, and which directories beside a run are looked at for its budgets."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest

from batchrun.core.errors import LedgerError
from batchrun.core.money.books import Books, Part
from batchrun.edge.books_file import BooksFile, held, is_held, is_there, ledger_bytes, runs_beside
from tests.edge.forks import forked
from tests.edge.rights import somebody_who_is_not_root


def test_a_directory_that_this_user_may_not_enter_is_none_of_its_runs(folder):
    """On a volume of its own, a folder of runs has a ``lost+found``."""
    with somebody_who_is_not_root():
        for name in ("a", "b", "c"):
            (folder / name).mkdir()
            (folder / name / "run.json").write_bytes(b"{}")
    (folder / "lost+found").mkdir(mode=0o000)
    (folder / "a file").write_bytes(b"")
    (folder / "latest").symlink_to("latest")
    (folder / "b").chmod(0o000)
    with somebody_who_is_not_root():
        assert runs_beside(folder / "a") == [folder / "c"]


def test_a_folder_that_cannot_be_looked_through_is_told_and_not_taken_for_an_empty_one(folder):
    with somebody_who_is_not_root():
        (folder / "a").mkdir()
    folder.chmod(0o300 if os.geteuid() else 0o733)
    with somebody_who_is_not_root(), pytest.raises(LedgerError, match=rf"{folder}: the books of budgets cannot be kept: Permission denied"):
        runs_beside(folder / "a")
    folder.chmod(0o777)


def test_a_ledger_whose_size_is_not_to_be_had_is_told_and_is_not_none(folder):
    (folder / "a").write_bytes(b"no directory")
    with pytest.raises(LedgerError, match="a: the books of budgets cannot be kept: Not a directory"):
        ledger_bytes(folder / "a")


@pytest.mark.parametrize("asked", [is_held, is_there])
def test_what_cannot_be_looked_at_is_told_and_neither_dead_nor_gone(folder, asked):
    """A run that is taken for dead leaves what it holds to others, and may be about to spend it."""
    loop = folder / ("books.lock" if asked is is_held else "loop")
    loop.symlink_to(loop)
    with pytest.raises(LedgerError, match=f"{loop}: the books of budgets cannot be kept: Too many levels of symbolic links"):
        asked(folder if asked is is_held else loop)
    (folder / "a file").write_bytes(b"")
    assert not asked(folder / "a file" / "below")
    assert not asked(folder / "nowhere")


@pytest.mark.parametrize("name", [".books.json.new", ".books.lock"])
def test_a_link_that_is_laid_under_a_name_of_the_books_leads_nobody_to_another_file(folder, name):
    """The folder that runs stand in may be one that others write to."""
    (folder / "elsewhere").write_bytes(b"somebody's own")
    (folder / name).symlink_to(folder / "elsewhere")
    file = BooksFile(folder)
    with pytest.raises(LedgerError, match="the books of budgets cannot be kept: Too many levels of symbolic links"), file.locked():
        file.write(Books("one"))
    assert (folder / "elsewhere").read_bytes() == b"somebody's own"


def test_a_ledger_is_as_large_as_its_files_whatever_else_stands_beside_them(folder):
    assert ledger_bytes(folder) == (0, 0.0)
    (folder / "legal").mkdir()
    (folder / "attempts.log").write_bytes(b"12")
    (folder / "legal" / "results.jsonl").write_bytes(b"345")
    (folder / "legal" / "usage.json").write_bytes(b"6789")
    os.utime(folder / "attempts.log", (5.0, 7.0))
    os.utime(folder / "legal" / "results.jsonl", (5.0, 6.0))
    assert ledger_bytes(folder) == (5, 7.0)


def test_books_that_were_written_here_are_given_out_again_and_never_in_place_of_what_stands_there(tmp_path):
    mine, theirs = BooksFile(tmp_path), BooksFile(tmp_path)
    books = Books("one", {"a": Part({"page": Decimal(3)})})
    mine.write(books)
    assert mine.read() is books
    assert mine.read() == theirs.read() == books
    mine.write(books)
    changed = theirs.read()
    assert changed is not None
    changed.runs["a"].taken["page"] = Decimal(5)
    theirs.write(changed)
    assert mine.read() == changed != books
    mine.write(books)
    (tmp_path / ".books.json.new").mkdir()
    given = mine.read()
    assert given is books
    given.runs["a"].taken["page"] = Decimal(7)
    with pytest.raises(LedgerError):
        mine.write(given)
    found = mine.read()
    assert found is not None
    assert found.runs["a"].taken == {"page": Decimal(3)}, "what could not be written is not there"
    (tmp_path / ".books.json").unlink()
    assert mine.read() is None


def test_what_a_program_forks_meanwhile_neither_keeps_the_books_from_others_nor_gives_them_back(tmp_path):
    books, living = BooksFile(tmp_path).locked(), held(tmp_path)
    books.__enter__()
    living.__enter__()
    with forked(lambda: (books.__exit__(None, None, None), living.__exit__(None, None, None))):
        assert is_held(tmp_path)
        with pytest.raises(BlockingIOError), BooksFile(tmp_path).locked_at_once():
            pass
    with forked(lambda: None):
        books.__exit__(None, None, None)
        living.__exit__(None, None, None)
        assert not is_held(tmp_path)
        with BooksFile(tmp_path).locked_at_once():
            pass
