"""The index on disk: read where it is of this input, and made again wherever there is a doubt."""

import gzip
import os
import shutil
import time
import tracemalloc
from typing import Any, cast

import orjson
import pytest

from batchrun.core.rows.rows import Inherited
from batchrun.core.rows.since import Since
from batchrun.edge.source import InputFile, SetAside, Source, former, kept
from batchrun.edge.source.kept import MOST_SET_ASIDE_BYTES

WORKSPACES = {name: Inherited("qwen-plus", {"seed": 7}, b"salt") for name in ("marketing", "legal")}
ROWS = 20_010


def line(number: int, **fields: object) -> bytes:
    return orjson.dumps({"id": f"t-{number}", "workspace": "legal" if number % 3 else "marketing", "prompt": "x"} | fields) + b"\n"


@pytest.fixture(scope="module")
def content():
    own = b"".join(map(line, range(ROWS)))
    made = b"".join(orjson.dumps({"workspace": "legal", "prompt": f"{number % 2}"}) + b"\n" for number in range(6))
    ends = line(7), line(-1, model="qwen-max", parameters={"user": 1}, metadata=[1]), line(-2, id=" ")
    return b"".join([b"\xef\xbb\xbf", own, b"no row\n\n", made, *ends])


class Looked:
    """What an opening of the input tells."""

    def __init__(self, spool, *paths, workspaces=WORKSPACES, **more):
        self.aside: list[SetAside] = []
        self.bytes_done: list[tuple[int, int]] = []
        inputs = [InputFile(str(path)) for path in paths]
        more = {"default_workspace": "legal", "on_progress": lambda *told: self.bytes_done.append(told)} | more
        open_ = cast("Any", Source.open)
        with open_(inputs, workspaces=workspaces, spool_dir=spool, set_aside=self.aside.append, **more) as source:
            index = source.index
            self.told = index.parts(), source.counts, source.fingerprints, self.aside, dict(source.settings())
            self.rows = len(index)
            shown = [*range(0, self.rows, 997), *range(max(0, self.rows - 10), self.rows)]
            self.read = [source.read(ordinal) for ordinal in shown]
            self.found = [index.find(row.workspace, row.id) for row in self.read] == shown
        self.kept = (spool / "index.bin").stat().st_ino if (spool / "index.bin").is_file() else None


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def path(tmp_path, content):
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    return path


@pytest.fixture
def fine_clock(monkeypatch):
    """Trust the file system's clock to the nanosecond: a file made a moment ago has settled."""
    monkeypatch.setattr(kept, "_TICKS_NS", -(10**15))


def test_a_second_opening_makes_no_pass_and_tells_the_same(path, spool):
    first = Looked(spool, path)
    second = Looked(spool, path)
    assert second.told == first.told
    assert second.read == first.read
    assert first.found
    assert second.found
    assert second.kept == first.kept is not None
    assert len(first.aside) == 3
    assert first.told[-1] == {"user": ROWS + 6}
    assert second.bytes_done[-1] == (path.stat().st_size,) * 2


def test_a_compressed_input_is_indexed_once_too(tmp_path, content, spool):
    packed = tmp_path / "in.gz"
    packed.write_bytes(gzip.compress(content, 1))
    first, second = Looked(spool, packed), Looked(spool, packed)
    assert (second.told, second.kept) == (first.told, first.kept)
    packed.write_bytes(gzip.compress(content + line(-5), 1))
    assert Looked(spool, packed).rows == first.rows + 1


def test_the_same_contents_under_a_new_time_are_read_and_not_indexed_again(path, spool):
    first = Looked(spool, path)
    os.utime(path)
    second = Looked(spool, path)
    assert second.kept == first.kept
    assert second.told[0] == first.told[0]


@pytest.mark.usefixtures("fine_clock")
def test_a_file_that_has_not_been_touched_since_is_not_read_again(path, spool):
    assert len(Looked(spool, path).bytes_done) > 1
    assert Looked(spool, path).bytes_done == [(path.stat().st_size,) * 2]
    os.utime(path)
    assert len(Looked(spool, path).bytes_done) > 1
    assert len(Looked(spool, path).bytes_done) == 1


def test_a_file_written_a_moment_before_the_pass_is_read_again_once(path, spool, monkeypatch):
    Looked(spool, path)
    assert len(Looked(spool, path).bytes_done) > 1
    monkeypatch.setattr(kept, "time_ns", lambda: time.time_ns() + 10**10)
    assert len(Looked(spool, path).bytes_done) > 1
    assert len(Looked(spool, path).bytes_done) == 1


def test_where_nothing_is_to_be_written_an_index_that_stands_there_is_used_and_left_as_it_is(path, spool, tmp_path):
    first = Looked(spool, path)
    stood = {each.name: each.read_bytes() for each in spool.iterdir()}
    assert Looked(spool, path, read_only=True).told == first.told
    assert {each.name: each.read_bytes() for each in spool.iterdir()} == stood
    assert Looked(tmp_path / "other", path, read_only=True).told == first.told
    assert not (tmp_path / "other").exists()


def harmed(path, how):
    path.write_bytes(how(path.read_bytes()))


def told(whole, **changes):
    return orjson.dumps(orjson.loads(whole) | changes)


HARMS = {
    "cut short": ("index.bin", lambda whole: whole[:-1]),
    "longer": ("index.bin", lambda whole: whole + b"\0"),
    "empty": ("index.bin", lambda _: b""),
    "the first bit": ("index.bin", lambda whole: bytes([whole[0] ^ 1]) + whole[1:]),
    "the last bit": ("index.bin", lambda whole: whole[:-1] + bytes([whole[-1] ^ 128])),
    "zeros after a lost machine": ("index.bin", lambda whole: whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)),
    "no description": ("index.json", lambda _: b""),
    "half a description": ("index.json", lambda whole: whole[: len(whole) // 2]),
    "a description of nothing": ("index.json", lambda _: b"[]"),
    "another format": ("index.json", lambda whole: told(whole, format=kept.FORMAT + 1)),
    "another machine": ("index.json", lambda whole: told(whole, byteorder="middle")),
    "another key": ("index.json", lambda whole: told(whole, key="0" * 32)),
    "no files": ("index.json", lambda whole: told(whole, files=[])),
    "files of another kind": ("index.json", lambda whole: told(whole, files=[1])),
    "files by their contents alone": ("index.json", lambda whole: told(whole, files=[{"blake2b": "0" * 32}])),
    "contents that are no text": ("index.json", lambda whole: told(whole, files=[{"blake2b": 0, "stat": None}])),
    "no moment": ("index.json", lambda whole: told(whole, at="yesterday")),
    "fewer rows": ("index.json", lambda whole: told(whole, index=orjson.loads(whole)["index"] | {"rows": 5})),
    "a lane less": ("index.json", lambda whole: told(whole, index=orjson.loads(whole)["index"] | {"lanes": []})),
    "no rows": ("index.json", lambda whole: told(whole, index=None)),
}


OF_SETTINGS = {
    "settings that are none": ("index.json", lambda whole: told(whole, settings=["user"])),
    "settings of nowhere": ("index.json", lambda whole: told(whole, settings={"user": "here"})),
}


@pytest.mark.parametrize("harm", [*HARMS, *OF_SETTINGS])
def test_an_index_that_is_torn_stale_or_foreign_is_never_believed_and_is_made_again(path, spool, harm):
    first = Looked(spool, path)
    name, how = (HARMS | OF_SETTINGS)[harm]
    harmed(spool / name, how)
    second = Looked(spool, path)
    assert second.told == first.told
    assert second.kept != first.kept
    assert Looked(spool, path).kept == second.kept


@pytest.mark.parametrize("clock", ["coarse", "fine"])
def test_an_edit_of_the_same_length_whose_time_was_set_back_is_noticed(path, spool, content, request, clock):
    if clock == "fine":
        request.getfixturevalue("fine_clock")
    first = Looked(spool, path)
    before = path.stat()
    path.write_bytes(content.replace(b'"t-5"', b'"t+5"', 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = Looked(spool, path)
    assert second.kept != first.kept
    assert second.told[0] != first.told[0]


@pytest.mark.parametrize(
    "other",
    [
        {"workspaces": {**WORKSPACES, "legal": Inherited("qwen-max", {"seed": 7}, b"salt")}},
        {"workspaces": {**WORKSPACES, "legal": Inherited("qwen-plus", {"seed": 8}, b"pepper")}},
        {"workspaces": {**WORKSPACES, "sales": Inherited("qwen-plus", {}, b"")}},
        {"default_workspace": "marketing"},
        {"max_line_bytes": 60},
    ],
)
def test_an_index_under_other_settings_is_another(path, spool, other):
    first = Looked(spool, path)
    again = Looked(spool, path, **other)
    assert again.kept != first.kept
    shutil.rmtree(spool)
    assert Looked(spool, path, **other).told == again.told


def test_an_input_of_mostly_bad_lines_is_not_worth_keeping(path, spool):
    with path.open("ab") as file:
        file.write(b'{"id": "%s"}\n' % (b"x" * 500) * (MOST_SET_ASIDE_BYTES // 700))
    assert Looked(spool, path).kept is None


def test_lines_set_aside_take_no_more_memory_than_their_text_until_they_are_kept(tmp_path, spool):
    """Of an input that is of another kind, a million lines may be set aside: they had taken half a gigabyte."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{}\n" * 20_000)
    inputs = [InputFile(str(path))]
    tracemalloc.start()
    with Source.open(inputs, workspaces=WORKSPACES, spool_dir=spool, set_aside=lambda _line: None, default_workspace="legal") as source:
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.counts.set_aside == 20_000
    assert peak < 32 << 20


def test_an_input_of_a_row_or_of_none_is_kept_too(tmp_path, spool):
    path = tmp_path / "few.jsonl"
    for content in (line(1), b""):
        path.write_bytes(content)
        first = Looked(spool, path)
        assert (Looked(spool, path).told, Looked(spool, path).kept) == (first.told, first.kept)
        assert first.kept is not None


def test_an_index_that_cannot_be_kept_hinders_nothing(path, spool):
    spool.write_bytes(b"a file where the directory should be")
    assert Looked(spool, path).rows == Looked(spool, path).rows > ROWS


# What came and went since.


def became(spool, path, told=None, *, workspaces=WORKSPACES):
    """Index the input at *path* again, and say what became of the rows of the last time, of which *told* are the fingerprints."""
    with (
        former(spool) as before,
        Source.open(
            [InputFile(str(path))], workspaces=workspaces, default_workspace="legal", spool_dir=spool, set_aside=lambda _: None
        ) as now,
    ):
        since = before.since(told, now)
        assert since is not None or before.moved(told, now) == ()
        return since, now.fingerprints


@pytest.mark.parametrize("rows", [6, ROWS])
def test_rows_that_came_went_and_were_edited_are_counted_against_the_last_opening(tmp_path, spool, rows):
    path = tmp_path / "in.jsonl"
    lines = [line(number) for number in range(rows)]
    path.write_bytes(b"".join(lines))
    first, told = became(spool, path)
    assert first is None
    lines[3] = line(3, metadata={"edited": True})
    path.write_bytes(b"".join([line(-1), *lines[4:], line(-2), line(-3), lines[3], lines[2]]))
    found, told = became(spool, path, told)
    assert found == Since(added=3, taken_out=2, edited=1)
    assert str(found) == "3 rows added, 2 taken out, 1 edited"
    path.write_bytes(path.read_bytes() + b"\nno row\n")
    found, _ = became(spool, path, told)
    assert (found, str(found)) == (Since(), "its rows are the same")


def test_a_row_whose_settings_changed_too_is_not_told_as_edited(tmp_path, spool):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(map(line, range(6))))
    _, told = became(spool, path)
    path.write_bytes(b"".join(line(number, prompt="y") for number in range(6)))
    salted = {**WORKSPACES, "legal": Inherited("qwen-plus", {"seed": 8}, b"pepper")}
    assert became(spool, path, told, workspaces=salted)[0] == Since(edited=2, not_known=4)


@pytest.mark.parametrize("harm", [*HARMS, "gone"])
def test_what_is_torn_foreign_or_of_another_input_tells_nothing_of_what_came_and_went(tmp_path, spool, harm):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(map(line, range(6))))
    _, told = became(spool, path)
    name, how = HARMS.get(harm, ("index.bin", None))
    if how is None:
        (spool / name).unlink()
    else:
        harmed(spool / name, how)
    path.write_bytes(line(1))
    expected = None if harm not in {"another key", "no moment"} else Since(taken_out=5, went=("marketing",))
    assert became(spool, path, told)[0] == expected
    assert became(spool, path, [{**told[0], "blake2b": "0" * 32}])[0] is None
    assert became(spool, path, {"no": "list"})[0] is None
