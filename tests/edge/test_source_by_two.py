"""The index that two processes make is the one that one makes, to the byte; whatever becomes of the other costs time only."""

from __future__ import annotations

import contextlib
import marshal
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchrun.beside import process
from batchrun.core.rows.rows import Inherited
from batchrun.edge.source import InputFile, SetAside, Source, ahead, files, lines, source
from batchrun.edge.source.ahead import Ahead
from tests.beside.killing import kill_after

WORKSPACES = {name: Inherited("qwen-plus", {"seed": 7}, name.encode()) for name in ("legal", "法务")}


def line(number: object, prompt: str = "Ask.", **fields: object) -> bytes:
    return orjson.dumps({"id": f"t-{number}", "workspace": "legal", "prompt": prompt, **fields})


class Here(Ahead):
    """What the other process does, done here."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)
    """What happens between its reading and that of whoever asked."""
    most = 1 << 30
    """Parts, after which it ends."""

    def __enter__(self):
        self._all = [marshal.loads(part) for part in ahead.glance_ahead(self._told["told"])][: self.most]
        self.meanwhile()
        return self

    def __exit__(self, *_raised):
        pass

    def next(self):
        if self._part is None and self._all:
            self._part = self._all.pop(0)
        return self._part


def made(paths: list[Path], folder: Path, **more) -> object:
    """All that a pass makes and tells, in its order."""
    aside: list[SetAside] = []
    progress: list[tuple[int, int]] = []
    with Source.open(
        [InputFile(str(path), "法务" if path.stem.endswith("1") else None) for path in paths],
        workspaces=WORKSPACES, default_workspace=None, spool_dir=folder, set_aside=aside.append,
        on_progress=lambda *told: progress.append(told), **more,
    ) as opened:  # fmt: skip
        newlines = [list(file.newlines) for file in opened._files]
        kept = (folder / "index.bin").read_bytes()
        contents = [each["blake2b"] for each in opened.fingerprints]
        return opened.index.parts(), opened.counts, aside, contents, progress, newlines, kept, dict(opened.settings())


def by_one(paths: list[Path], folder: Path, **more) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "cores", lambda: 1)
        return made(paths, folder, **more)


USUAL = st.builds(line, st.integers(1, 60), st.sampled_from(["Ask.", "é" * 40]), workspace=st.sampled_from([*WORKSPACES]))
ODD = st.sampled_from(
    [
        *(b"", b" ", b"\r", b"not json", b"[]", b"x" * 200, b"\xef\xbb\xbf{}", b"\xff"),
        orjson.dumps({"prompt": "the same", "workspace": "legal"}),
        orjson.dumps({"prompt": "another", "workspace": "法务"}),
        orjson.dumps({"prompt": "no workspace"}),
        line(4)[:-1] + b',"workspace":"nobody"}',
        orjson.dumps({"prompt": "made"})[:-1] + b',"prompt":"the same"}',
        orjson.dumps({"custom_id": "b-1", "workspace": "legal", "body": {"messages": [{"role": "user", "content": "c"}]}}),
        line(1, workspace="nobody"),
        line(2, model="qwen-max"),
        *(line(number, parameters={name: 1}) for number in (1, 50) for name in ("max_token", "seed", "user")),
        line(3) + b"\r",
        line(4, "long " * 60),
    ]
)
FILES = st.lists(
    st.tuples(st.booleans(), st.lists(st.one_of(USUAL, USUAL, USUAL, ODD), max_size=60), st.booleans()), min_size=1, max_size=3
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([(False, [b"x" * 128 + line(9)], True)], 64, 1 << 30, 0)
@given(FILES, st.sampled_from([64, 200, 1000]), st.sampled_from([1 << 30, 2, 0]), st.integers(0, 3))
def test_the_index_that_two_make_is_the_one_that_one_makes(tmp_path_factory, contents, chunk, most, changed):
    folder = tmp_path_factory.mktemp("two")
    paths = [folder / f"{number}" for number in range(len(contents))]
    for path, (mark, each, ended) in zip(paths, contents, strict=True):
        path.write_bytes(b"\xef\xbb\xbf" * mark + b"\n".join(each) + b"\n" * ended)

    def edited() -> None:
        dice = random.Random(changed)
        for path in paths[:changed]:
            content = bytearray(path.read_bytes())
            for _ in range(min(changed, len(content))):
                content[dice.randrange(len(content))] = dice.choice(b'\n x"')
            path.write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        for module in (files, lines, ahead):
            patch.setattr(module, "CHUNK", chunk)
        patch.setattr(process, "FROM_BYTES", 1)
        patch.setattr(process, "cores", lambda: 2)
        patch.setattr(source, "Ahead", type("Changed", (Here,), {"meanwhile": staticmethod(edited), "most": most}))
        found = made(paths, folder / "by-two", max_line_bytes=250)
        assert found == by_one(paths, folder / "by-one", max_line_bytes=250)


NO_ROWS = [
    b"not json",
    b"",
    line(-1, parameters={"max_token": 9}),
    line(5),
    line(6, workspace="nobody"),
    orjson.dumps({"prompt": "made", "workspace": "法务"}),
]


MADE = [orjson.dumps({"prompt": f"made {number % 9}", "workspace": "法务"}) for number in range(20)]


@pytest.fixture(
    params=[NO_ROWS, [line(5), line(7, model="of no other row")], MADE], ids=["lines of every kind", "ids twice", "ids that are made"]
)
def large(request, tmp_path: Path) -> Path:
    """Rows of two lanes, and every now and then another line."""
    dice = random.Random(7)
    path = tmp_path / "in.jsonl"
    with path.open("wb") as file:
        for number in range(20_000):
            own = {"parameters": {f"own_{number}": 1}} if number % 1111 == 500 else {}
            usual = line(number, "Ask. " * dice.randrange(1, 40), workspace=dice.choice([*WORKSPACES]), **own)
            file.write((dice.choice(request.param) if number % 300 == 150 else usual) + b"\n")
    return path


@pytest.fixture
def glanced(monkeypatch) -> list[bool]:
    """Whether a chunk was glanced at by the other process, one after the other."""
    found: list[bool] = []
    real = Ahead.glanced

    def noted(self, *chunk):
        found.append((told := real(self, *chunk)) is not None)
        return told

    monkeypatch.setattr(Ahead, "glanced", noted)
    monkeypatch.setattr(process, "FROM_BYTES", 1)
    monkeypatch.setattr(process, "cores", lambda: 2)
    return found


def test_another_process_glances_at_two_thirds_of_a_large_input(large, glanced, tmp_path):
    assert made([large], tmp_path / "two") == by_one([large], tmp_path / "one")
    assert glanced == [place % 6 >= 2 for place in range(len(glanced))]
    assert len(glanced) > 12


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_what_a_process_that_was_killed_has_not_told_is_seen_here(large, glanced, tmp_path, monkeypatch, parts):
    kill_after(parts, Ahead, monkeypatch)
    assert made([large], tmp_path / "two") == by_one([large], tmp_path / "one")
    assert sum(glanced) == 4 * parts


def test_where_it_stops_or_cannot_be_started_all_is_seen_here(large, glanced, tmp_path, monkeypatch):
    expected = by_one([large], tmp_path / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_PATIENCE", 0.0)
        made([large], tmp_path / "stopped")
    (tmp_path / "python-that-fails").symlink_to("/bin/false")
    for executable in ("python-that-fails", "no-python"):
        glanced.clear()
        monkeypatch.setattr(sys, "executable", str(tmp_path / executable))
        assert made([large], tmp_path / f"by-{executable}") == expected
        assert not any(glanced)


def test_a_file_that_is_gone_for_the_other_process_is_read_here(large, glanced, tmp_path, monkeypatch):
    expected = by_one([large], tmp_path / "one")
    monkeypatch.setattr(ahead, "glance_ahead", type("Named", (), {"__name__": "nothing_of_the_kind"}))
    assert made([large], tmp_path / "two") == expected
    assert not any(glanced)


def test_whoever_is_stopped_on_the_way_leaves_no_process(large, glanced, tmp_path, monkeypatch):
    processes: list[Ahead] = []
    begun = Ahead.__enter__

    def noted(self):
        processes.append(self)
        return begun(self)

    monkeypatch.setattr(Ahead, "__enter__", noted)

    def stop(done: int, _expected: int) -> None:
        if done > 1 << 19:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        Source.open([InputFile(str(large))], workspaces=WORKSPACES, default_workspace=None, spool_dir=tmp_path / "two", set_aside=print,
                    on_progress=stop)  # fmt: skip
    (only,) = processes
    assert only._process is not None
    assert only._process.returncode is not None


def test_a_small_input_is_read_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "cores", lambda: 2)
    path = tmp_path / "in.jsonl"
    path.write_bytes(line(1) + b"\n")
    held = files.Files([files.File(str(path), None, path, path.stat().st_size, 0)], 1 << 20)
    assert Ahead.of(tmp_path / "spool", held, WORKSPACES) is None
    assert not (tmp_path / "spool").exists()
    os.truncate(path, process.FROM_BYTES)
    assert Ahead.of(tmp_path / "spool", held, WORKSPACES) is not None
    monkeypatch.setattr(process, "cores", lambda: 1)
    assert Ahead.of(tmp_path / "spool", held, WORKSPACES) is None
