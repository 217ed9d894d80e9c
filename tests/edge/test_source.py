"""From files to rows: every row found once, every other line set aside, every broken input named."""

import errno
import gc
import gzip
import hashlib
import io
import os
import random
import resource
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.errors import JobError, StoppedError
from batchrun.core.model import Row
from batchrun.core.rows.index import Index
from batchrun.core.rows.rows import Inherited
from batchrun.edge.source import Counts, InputFile, RowChanged, SetAside, Source, scan
from batchrun.edge.source.inputs import find
from batchrun.edge.source.mistakes import reading
from tests.edge.rights import somebody_who_is_not_root

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WORKSPACES = {name: Inherited("qwen-plus", {"seed": 7}, b"salt") for name in ("marketing", "legal")}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd.compress}


class Opened:
    """A source with all that it set aside."""

    def __init__(self, spool, *inputs, stdin=None, default="marketing", on_progress=None, **more):
        self.aside: list[SetAside] = []
        named = [each if isinstance(each, InputFile) else InputFile(str(each)) for each in inputs]
        self.source = Source.open(
            named,
            workspaces=WORKSPACES,
            default_workspace=default,
            spool_dir=spool,
            set_aside=self.aside.append,
            stdin=stdin,
            on_progress=on_progress,
            **more,
        )

    def rows(self) -> list[Row]:
        found = [self.source.read(ordinal) for ordinal in range(len(self.source.index))]
        assert all(isinstance(each, Row) for each in found), found
        return [each for each in found if isinstance(each, Row)]

    def prompts(self) -> list[str]:
        return [row.body["messages"][0]["content"] for row in self.rows()]


@pytest.fixture
def opened(tmp_path):
    sources: list[Opened] = []

    def open_(*inputs, **more):
        sources.append(Opened(tmp_path / "spool", *inputs, **more))
        return sources[-1]

    yield open_
    for each in sources:
        each.source.close()


def line(prompt: str, **fields: object) -> bytes:
    return orjson.dumps({"prompt": prompt, **fields}) + b"\n"


def written(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def refusal(opened, *inputs, **more) -> str:
    with pytest.raises(JobError) as refused:
        opened(*inputs, **more)
    return str(refused.value)


# The pass


def test_rows_of_every_form_are_indexed_by_lane_and_read_back(tmp_path, opened):
    batch = {"custom_id": "t-3", "workspace": "legal", "body": {"messages": [{"role": "user", "content": "c"}]}}
    path = written(tmp_path / "in.jsonl", line("a", id="t-1"), line("b", model="qwen-max", metadata=[1]), orjson.dumps(batch))
    run = opened(path)
    assert {lane: list(rows) for lane, rows in run.source.index.lanes.items()} == {
        ("marketing", "qwen-plus"): [0],
        ("marketing", "qwen-max"): [1],
        ("legal", "qwen-plus"): [2],
    }
    assert run.prompts() == ["a", "b", "c"]
    first, second, third = run.rows()
    assert (first.id, third.id, second.metadata) == ("t-1", "t-3", [1])
    assert first.body == {"model": "qwen-plus", "messages": [{"role": "user", "content": "a"}], "seed": 7}
    assert [int(row.digest, 16) for row in run.rows()] == [run.source.index.digest(n) for n in range(3)]
    assert [run.source.index.find(row.workspace, row.id) for row in run.rows()] == [0, 1, 2]
    assert run.source.counts == Counts(rows=3)


PROMPTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(lambda text: not text.isspace())
FILES = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(st.tuples(PROMPTS, st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \t\r\n", b" \n"])), max_size=8),
        st.booleans(),
        st.sampled_from(["plain", "gzip", "zstd"]),
    ),
    min_size=1,
    max_size=3,
)


@given(FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_every_row_is_found_once_and_read_back_whatever_the_line_ends_marks_and_packing(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("files")
    for number, (mark, rows, ended, packing) in enumerate(files):
        content = b"\xef\xbb\xbf" * mark + b"".join(
            line(prompt, id=f"{number}-{place}")[:-1] + end for place, (prompt, end) in enumerate(rows)
        )
        content = content if ended else content.rstrip(b"\r\n")
        pack = PACKINGS[packing]
        written(folder / f"{number}.jsonl", pack(content))
    run = Opened(folder / "spool", folder / "*.jsonl")
    with run.source:
        assert [(row.id, row.body["messages"][0]["content"]) for row in run.rows()] == [
            (f"{number}-{place}", prompt) for number, (_, rows, _, _) in enumerate(files) for place, (prompt, _) in enumerate(rows)
        ]
        assert run.aside == []


@given(st.lists(st.binary(max_size=40) | st.just(b'{"prompt": "x"}'), max_size=8), st.integers(16, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_every_line_of_any_file_is_a_row_or_blank_or_set_aside(tmp_path_factory, lines, cap):
    folder = tmp_path_factory.mktemp("files")
    content = b"{}\n" + b"\n".join(lines)
    run = Opened(folder / "spool", written(folder / "in", content), max_line_bytes=cap)
    with run.source:
        counts = run.source.counts
        assert counts.rows + counts.set_aside + counts.blank_lines == content.count(b"\n") + (not content.endswith(b"\n"))
        assert len(run.aside) == counts.set_aside
        assert len(run.rows()) == counts.rows
        starts = [0, *(place + 1 for place, byte in enumerate(content) if byte == 10)]
        assert [each.offset for each in run.aside] == [starts[each.line - 1] for each in run.aside]


USUAL = st.builds(lambda number, prompt: line(prompt, id=f"t-{number}", workspace="legal"), st.integers(1, 30), st.just("Ask."))
ODD = st.sampled_from(
    [line("Ask.", workspace="legal"), b"not json", b"", b" ", b"[]", b"x" * 200, line("Ask.", id="t-1", workspace="nobody")]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(USUAL, USUAL, ODD), max_size=40), st.sampled_from([64, 7, 2]))
def test_lines_that_are_looked_at_together_make_the_index_that_each_makes_alone(tmp_path_factory, lines, at_once):
    folder = tmp_path_factory.mktemp("together")
    path = written(folder / "in.jsonl", *(each + b"\n" for each in lines))
    found = []
    for each in (at_once, 1):
        aside: list[SetAside] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scan, "TOGETHER", each)
            with Source.open(
                [InputFile(str(path))], workspaces=WORKSPACES, default_workspace=None, spool_dir=folder / f"kept-{each}",
                set_aside=aside.append, max_line_bytes=150,
            ) as source:  # fmt: skip
                found.append((source.index.parts(), source.counts, aside, source.fingerprints))
    assert found[0] == found[1]


def test_a_bad_line_is_set_aside_at_once_with_its_place_and_never_its_text(tmp_path, opened):
    astray = line("b", id="t-2", workspace="../x")
    path = written(tmp_path / "in.jsonl", line("a"), b"\n", b"the merger\r\n", astray, line("c", id=" "))
    run = opened(path)
    assert run.prompts() == ["a"]
    assert [(each.file, each.line, each.offset) for each in run.aside] == [
        (str(path), 3, 16),
        (str(path), 4, 28),
        (str(path), 5, 28 + len(astray)),
    ]
    assert [(each.id, each.workspace) for each in run.aside] == [(None, None), ("t-2", None), (None, "marketing")]
    assert "'../x'" in run.aside[1].reason
    assert "merger" not in repr(run.aside)
    assert run.aside[0].digest == hashlib.blake2b(b"the merger\r", digest_size=8).hexdigest()
    assert run.source.counts == Counts(rows=1, set_aside=3, blank_lines=1)


@pytest.mark.parametrize("content", [b"", b"\n\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_file_without_a_row_is_no_mistake(tmp_path, opened, content):
    run = opened(written(tmp_path / "in.jsonl", content))
    assert (len(run.source.index), run.aside) == (0, [])


def test_an_id_given_twice_is_set_aside_with_the_line_it_stands_at(tmp_path, opened):
    many = [line("x" * 300, id=f"n-{n}") for n in range(1000)]
    first = written(tmp_path / "a.jsonl", line("a", id="t-1"), *many, b"\n", line("a", id="t-2"))
    second = written(
        tmp_path / "b.jsonl",
        line("b", id="t-2"),
        line("c", id="t-1", workspace="legal"),
        line("d", id="t-1"),
        line("e", id=5),
        line("f", id="5"),
    )
    run = opened(first, second)
    assert [each.reason for each in run.aside] == [
        f"id 't-2' stands already at {first} line 1003",
        f"id 't-1' stands already at {first} line 1",
        f"id '5' stands already at {second} line 4",
    ]
    assert [each.id for each in run.aside] == ["t-2", "t-1", "5"]
    assert run.source.counts.rows == len(run.rows()) == 1004


def test_two_ids_with_one_digest_are_both_kept(tmp_path):
    path = written(tmp_path / "in.jsonl", line("1", id="a"), line("2", id="b"), line("3", id="a"), line("4", id="b"), line("5", id="c"))
    run = Opened(tmp_path / "spool", path, index=Index(lambda _, row_id: len(row_id)))
    with run.source:
        assert run.prompts() == ["1", "2", "5"]
        assert [each.reason[-6:] for each in run.aside] == ["line 1", "line 2"]
        assert [run.source.index.find("marketing", each) for each in "abc"] == [0, 1, 2]


def test_untagged_rows_keep_their_ids_when_a_line_is_inserted(tmp_path, opened):
    lines = [line("a"), line("b"), line("a"), line("c"), line("a"), line("b")]
    before = [row.id for row in opened(written(tmp_path / "in.jsonl", *lines)).rows()]
    assert len(set(before)) == 6
    assert [each.removeprefix(before[0]) for each in (before[2], before[4])] == ["-2", "-3"]
    for place in range(7):
        changed = written(tmp_path / f"{place}.jsonl", *lines[:place], line("new"), *lines[place:])
        after = [row.id for row in opened(changed).rows()]
        assert after[:place] + after[place + 1 :] == before


def test_the_workspace_of_a_file_is_that_of_its_untagged_rows_alone(tmp_path, opened):
    path = written(tmp_path / "in.jsonl", line("a"), line("b", workspace="marketing"))
    run = opened(InputFile(str(path), "legal"), default=None)
    assert [row.workspace for row in run.rows()] == ["legal", "marketing"]


def test_a_line_of_twenty_megabytes_is_a_row(tmp_path, opened):
    run = opened(written(tmp_path / "in.jsonl", line("a"), line("x" * 20_000_000), line("b")))
    assert [len(prompt) for prompt in run.prompts()] == [1, 20_000_000, 1]


def test_a_line_over_the_cap_is_set_aside_without_being_held(tmp_path, opened):
    path = tmp_path / "in.jsonl"
    with path.open("wb") as file:
        file.write(line("a"))
        file.truncate(256 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + line("b"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = opened(path, max_line_bytes=1 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
    size = (256 << 20) - len(line("a"))
    assert [(each.line, each.offset, each.reason) for each in run.aside] == [
        (2, len(line("a")), f"a line of {size:,} bytes: at most 1,048,576 may be"),
    ]
    assert run.prompts() == ["a", "b"]


def test_the_cap_holds_for_a_line_that_is_one_byte_over_and_not_for_one_that_just_fits(tmp_path, opened):
    fits, over = line("x" * 50), line("x" * 51)
    run = opened(written(tmp_path / "in.jsonl", fits, over, fits[:-1] + b" "), max_line_bytes=len(fits) - 1)
    assert (len(run.rows()), [each.line for each in run.aside]) == (1, [2, 3])
    assert run.aside[0].digest == hashlib.blake2b(over[:-1], digest_size=8).hexdigest()


def test_a_fingerprint_tells_the_content_of_each_file(tmp_path, opened):
    content = b"\xef\xbb\xbf" + line("a") * 5000 + b"no row"
    plain, packed = written(tmp_path / "a.jsonl", content), written(tmp_path / "b.gz", gzip.compress(content))
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert opened(plain, packed).source.fingerprints == [
        {"path": str(path), "size": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns, "blake2b": expected}
        for path in (plain, packed)
    ]


def test_progress_ends_at_all_bytes_and_what_it_raises_ends_the_pass(tmp_path, opened):
    plain, packed = written(tmp_path / "a.jsonl", line("a") * 20_000), written(tmp_path / "b.gz", gzip.compress(line("a") * 20_000))
    told: list[tuple[int, int]] = []
    opened(plain, packed, on_progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (2 * plain.stat().st_size + packed.stat().st_size,) * 2

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(plain, on_progress=stop)


def test_more_files_than_may_be_open_are_all_read(tmp_path, opened):
    for number in range(150):
        written(tmp_path / f"{number:03}.jsonl", line(str(number)))
    gc.collect()  # What other tests of this process let go of is closed before it is counted.
    before = len(list(Path("/proc/self/fd").iterdir()))
    run = opened(tmp_path / "*.jsonl")
    held = len(list(Path("/proc/self/fd").iterdir()))
    assert run.prompts() == [str(number) for number in range(150)]
    assert len(list(Path("/proc/self/fd").iterdir())) == held
    assert held - before < 150


# Reading again


def test_an_input_that_cannot_be_closed_ends_no_run_for_it_was_only_read(tmp_path, opened):
    path = written(tmp_path / "in.jsonl", line("one"))
    source = opened(path).source
    (held,) = (int(each.name) for each in Path("/dev/fd").iterdir() if each.is_symlink() and each.resolve() == path)
    os.close(held)
    source.close()


def test_a_row_edited_cut_or_moved_during_the_run_is_changed_and_the_others_are_read(tmp_path, opened):
    path = written(tmp_path / "in.jsonl", line("aa"), line("bb"), line("cc"), line("dd"))
    run = opened(path)
    written(path, line("aa"), line("xx"), line("cc"), line("dd")[:-4])
    found = [run.source.read(ordinal) for ordinal in range(4)]
    assert [isinstance(each, RowChanged) for each in found] == [False, True, False, True]
    assert found[1] == RowChanged(f"{path}: the line at byte 16 is not the one that was indexed: the input was edited during the run")
    written(path, b"\n", line("aa"))
    assert all(isinstance(run.source.read(ordinal), RowChanged) for ordinal in range(4))


def test_rows_read_together_are_the_rows_that_are_read_one_by_one_whatever_became_of_the_files(tmp_path, opened):
    dice = random.Random(5)
    blank = b"\n" * 3
    for number in range(3):
        rows = [line(f"{number}-{at} " + "é" * dice.choice([1, 300, 9000])).rstrip() for at in range(60)]
        (tmp_path / f"{number}.jsonl").write_bytes(b"".join(row + dice.choice([b"\n", b"\r\n", blank]) for row in rows))
    run = opened(*(tmp_path / f"{number}.jsonl" for number in range(3)))
    for cut in (None, 100_000, 31, 0):
        if cut is not None:
            os.truncate(tmp_path / "1.jsonl", cut)
        for count in (1, 2, 7, 64):
            ordinals = dice.sample(range(len(run.source.index)), count)
            together = run.source.read_together(ordinals)
            assert {ordinal: run.source.read(ordinal) for ordinal in together} == together
            left = [ordinal for ordinal in set(ordinals) - together.keys() if isinstance(run.source.read(ordinal), Row)]
            assert all((run.source.index.span(ordinal) or 1 << 20) > 16 << 10 for ordinal in left)


def test_rows_of_which_a_share_gives_less_than_was_asked_for_are_read_one_by_one_and_no_edited_ones(tmp_path, opened, monkeypatch):
    """As a read over the network may, that is interrupted: the rest is there for whoever asks again."""
    run = opened(written(tmp_path / "in.jsonl", *(line(str(number)) for number in range(6))))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: pread(descriptor, min(size, 40), offset))
    together = run.source.read_together(range(6))
    assert 0 < len(together) < 6
    assert [(together.get(ordinal) or run.source.read(ordinal)).body["messages"][0]["content"] for ordinal in range(6)] == [*"012345"]


def test_a_row_is_as_long_as_its_line_whatever_stands_behind_it_and_however_it_is_packed(tmp_path, opened):
    rows = [line("a" * size) for size in (5, 40, 3, 60, 9, 2)]
    aside = b"no row " * 5000 + b"\n"
    first = written(tmp_path / "1.jsonl", rows[0], aside, aside, rows[1], aside)
    blank = b" " * 500 + b"\n"
    second = written(tmp_path / "2.jsonl.gz", gzip.compress(b"".join([aside, blank, rows[2], blank, rows[3], rows[4]])))
    third = written(tmp_path / "3.jsonl", rows[5].rstrip())
    lengths = [len(each) for each in rows[:5]] + [len(rows[5]) - 1]
    for _ in ("made", "kept"):
        run = opened(first, second, third)
        assert [run.source.line_bytes(ordinal) for ordinal in range(6)] == lengths
        assert [row.line_bytes for row in run.rows()] == lengths
        assert run.source.read_together(range(6)).keys() == {*range(6)}


def test_an_input_deleted_or_replaced_during_the_run_is_still_read(tmp_path, opened):
    path = written(tmp_path / "in.jsonl", line("a"), line("b"))
    run = opened(path)
    written(tmp_path / "new", line("x"), line("y")).rename(path)
    path.unlink()
    assert run.prompts() == ["a", "b"]


def test_a_row_that_cannot_be_read_again_says_why(tmp_path, opened):
    path = written(tmp_path / "in.jsonl", line("a"))
    run = opened(path)
    run.source.close()
    path.unlink()
    assert run.source.read(0) == RowChanged(f"{path}: the input can no longer be read: No such file or directory")


# The spool


@pytest.mark.parametrize(
    ("name", "pack"),
    [("in.gz", gzip.compress), ("in.zst", zstd.compress), ("in.jsonl", gzip.compress), ("in.jsonl", zstd.compress)],
)
def test_a_compressed_file_of_several_members_is_unpacked_for_its_owner_alone(tmp_path, opened, name, pack):
    path = written(tmp_path / name, pack(line("a") + line("b")[:5]), pack(line("b")[5:]), pack(b""), pack(line("c")))
    assert opened(path).prompts() == ["a", "b", "c"]
    spool = tmp_path / "spool"
    assert sorted(each.name for each in spool.iterdir()) == ["001.json", "001.jsonl", "index.bin", "index.json"]
    assert spool.stat().st_mode & 0o777 == 0o700
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in spool.iterdir())


@pytest.mark.parametrize("number", range(16))
@pytest.mark.parametrize("name", ["in.zst", "in.jsonl", "-"])
def test_frames_that_zstd_skips_are_skipped_wherever_they_stand(tmp_path, opened, name, number):
    skipped = (0x184D2A50 + number).to_bytes(4, "little") + (9).to_bytes(4, "little") + b"no row at"
    content = skipped + zstd.compress(line("a")) + skipped + skipped + zstd.compress(line("b")) + skipped
    if name == "-":
        assert opened("-", stdin=io.BytesIO(content)).prompts() == ["a", "b"]
    else:
        assert opened(written(tmp_path / name, content)).prompts() == ["a", "b"]


@pytest.mark.parametrize(("name", "content"), [("in.gz", line("a")), ("in.zst", gzip.compress(line("a"), mtime=0)), ("in.gz", b"")])
def test_a_file_that_is_not_what_its_name_says_is_a_mistake(tmp_path, opened, name, content):
    assert f"a file named {Path(name).suffix} that does not begin like one" in refusal(opened, written(tmp_path / name, content))


def test_a_whole_spool_is_used_again_and_a_changed_file_is_unpacked_again(tmp_path, opened):
    path, spool = written(tmp_path / "in.gz", gzip.compress(line("a"))), tmp_path / "spool" / "001.jsonl"
    opened(path)
    first = spool.stat()
    assert opened(path).prompts() == ["a"]
    assert spool.stat().st_ino == first.st_ino
    assert spool.stat().st_mtime_ns == first.st_mtime_ns
    written(path, gzip.compress(line("other")))
    assert opened(path).prompts() == ["other"]
    other = written(tmp_path / "two.gz", gzip.compress(line("two")))
    assert opened(other, path).prompts() == ["two", "other"]


def test_a_spool_cut_short_or_never_finished_is_unpacked_again(tmp_path, opened):
    path, spool = written(tmp_path / "in.gz", gzip.compress(line("a") + line("b"))), tmp_path / "spool" / "001.jsonl"
    opened(path)
    os.truncate(spool, 16)
    assert opened(path).prompts() == ["a", "b"]
    spool.with_suffix(".json").unlink()
    written(spool, line("z"))
    written(spool.with_name(f".{spool.name}.new"), b"torn" * 1000)
    again = opened(path)
    assert (again.prompts(), again.aside) == (["a", "b"], [])


def test_a_spool_is_never_taken_for_another_files_when_the_opening_broke_off_between_the_two(tmp_path, opened):
    first, second = written(tmp_path / "a.gz", gzip.compress(line("a"))), written(tmp_path / "b.gz", gzip.compress(line("b")))
    opened(first)
    blocked = tmp_path / "spool" / ".001.json.new"
    blocked.mkdir()
    assert "cannot be unpacked" in refusal(opened, second)
    blocked.rmdir()
    assert opened(first).prompts() == ["a"]


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
@pytest.mark.parametrize(
    "harm", [lambda whole: whole[:-5], lambda whole: whole[:40] + b"\xff\x00\xff" * 9 + whole[67:], lambda whole: whole + b"tail"]
)
def test_a_broken_compressed_file_is_named_and_leaves_no_spool(tmp_path, opened, pack, harm):
    content = b"".join(line(hashlib.sha256(bytes([n])).hexdigest()) for n in range(50))
    path = written(tmp_path / "in", harm(pack(content)))
    said = refusal(opened, path)
    assert f'input "{path}" = a compressed file that is damaged or cut short' in said
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_zstd_file_with_a_window_that_takes_too_much_memory_is_told_as_such_and_not_as_damaged(tmp_path, opened):
    """As `zstd --long=28` makes one of a pipe."""
    packing = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.content_size_flag: 0})
    path = written(tmp_path / "in.jsonl.zst", packing.compress(line("a")) + packing.flush())
    said = refusal(opened, path)
    assert f'input "{path}" = a zstd file with a window of more than 128 MiB' in said
    assert said.endswith("zstd -d --long=31 unpacks it")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_standard_input_is_kept_and_never_read_again(tmp_path, opened, pack):
    assert opened("-", stdin=io.BytesIO(pack(line("a") + b"no row"))).prompts() == ["a"]
    again = opened("-", stdin=io.BytesIO(pack(line("a"))))
    assert again.prompts() == ["a"]
    assert "not read again" in again.source.notes[0]
    assert again.aside[0].file == "-"
    assert again.source.fingerprints[0]["path"] == "-"
    assert (tmp_path / "spool" / "stdin.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("others", [line("other"), line("a") + line("b") + line("c"), line("b") + line("a")])
def test_other_rows_on_standard_input_than_those_of_the_run_are_refused_for_nobody_would_ask_them(opened, others):
    opened("-", stdin=io.BytesIO(line("a") + line("b")))
    with pytest.raises(JobError, match="other rows than those that this run was begun with: must be the same rows again, or nothing"):
        opened("-", stdin=io.BytesIO(others))
    assert opened("-", stdin=io.BytesIO()).prompts() == ["a", "b"]


def test_a_pipe_into_which_nothing_comes_keeps_no_run_from_going_on(tmp_path, opened):
    opened("-", stdin=io.BytesIO(line("a")))
    kept = os.dup(0)
    silent, writer = os.pipe()
    try:
        os.dup2(silent, 0)
        assert opened("-").prompts() == ["a"]
        os.write(writer, line("b"))
        with pytest.raises(JobError, match="other rows"):
            opened("-")
    finally:
        os.dup2(kept, 0)
        for each in (kept, silent, writer):
            os.close(each)


def test_an_empty_standard_input_is_read_again_next_time(opened):
    assert opened("-", stdin=io.BytesIO()).prompts() == []
    assert opened("-", stdin=io.BytesIO(line("a"))).prompts() == ["a"]


def test_a_spool_directory_that_cannot_be_written_is_named(tmp_path, opened):
    path = written(tmp_path / "in.gz", gzip.compress(line("a")))
    written(tmp_path / "spool", b"a file")
    assert f"cannot be unpacked into {tmp_path / 'spool'}" in refusal(opened, path)


# Which files


def test_patterns_are_sorted_and_a_file_met_twice_is_read_once(tmp_path, opened):
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", "x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / name, line(name))
    (tmp_path / "link.txt").symlink_to("a.jsonl")
    run = opened(tmp_path / "**" / "*.jsonl", tmp_path / "a.jsonl", tmp_path / "*.txt")
    assert run.prompts() == ["a.jsonl", "b.jsonl", "deep/c.jsonl", "x.txt"]
    assert run.source.notes == (f"named more than once, read once: {tmp_path / 'a.jsonl'}, {tmp_path / 'link.txt'}",)


def test_a_name_with_brackets_is_that_file(tmp_path, opened):
    assert opened(written(tmp_path / "in[1].jsonl", line("a"))).prompts() == ["a"]


def test_a_pattern_for_all_that_is_in_a_folder_does_not_find_a_file_of_the_folders_name(tmp_path, opened):
    written(tmp_path / "rows", line("a"))
    assert "a pattern that no file matches" in refusal(opened, tmp_path / "rows" / "**")


def test_every_input_that_cannot_be_used_is_said_at_once(tmp_path, opened):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / b"\xff.jsonl".decode(errors="surrogateescape")).touch()
    named = [
        tmp_path / "missing.jsonl",
        tmp_path / "none-*.jsonl",
        tmp_path,
        tmp_path / "pipe",
        tmp_path / "loop",
        "a\0b",
        tmp_path / "*.jsonl",
    ]
    said = refusal(opened, *named, InputFile(str(tmp_path / "missing"), "legall")).splitlines()[1:]
    for mistake, part in zip(
        said,
        [
            "No such file",
            "a pattern that no file matches",
            f'a directory: must be files: "{tmp_path}/*.jsonl"',
            "a pipe or a device",
            "Too many levels of symbolic links",
            "a name that is not UTF-8 text",
            "a name that is not UTF-8 text",
            "workspace 'legall': must be one of the job's",
            "No such file",
        ],
        strict=True,
    ):
        assert part in mistake
    assert f'input "{tmp_path}/none-*.jsonl"' in said[1]


@pytest.mark.parametrize(
    ("rights", "pattern", "shut"),
    [
        (0o000, "*.jsonl", "outer"),
        (0o000, "*/rows.jsonl", "outer"),
        (0o000, "**/*.jsonl", "outer"),
        (0o000, "inner/*.jsonl", "outer"),
        (0o300, "*.jsonl", "outer"),
        (0o300, "inner/*.jsonl", "outer/inner"),
        (0o600, "*/rows.jsonl", "outer"),
        (0o700, "*/rows.jsonl", "outer/inner"),
        (0o700, "in*/*.jsonl", "outer/inner"),
    ],
)
def test_a_pattern_in_a_folder_that_this_user_may_not_look_into_says_so_and_which(folder, rights, pattern, shut):
    with somebody_who_is_not_root():
        outer = folder / "outer"
        (outer / "inner").mkdir(parents=True)
        (outer / "inner" / "rows.jsonl").touch()
        (outer / "inner").chmod(0o000)
        outer.chmod(rights)
        with pytest.raises(JobError) as refused:
            find([InputFile(f"{outer}/{pattern}")], {}, None)
        outer.chmod(0o700)
        (outer / "inner").chmod(0o700)
    found = f"a pattern in a folder that cannot be looked into ({folder}/{shut}: Permission denied)"
    way_out = f"must match at least one file: let this user read and enter '{folder}/{shut}', or name files elsewhere"
    assert str(refused.value).endswith(f'input "{outer}/{pattern}" = {found}: {way_out}')


@pytest.mark.parametrize(
    ("rights", "pattern"),
    [(0o000, "*/rows.jsonl"), (0o000, "*/*.jsonl"), (0o000, "**/*.jsonl"), (0o300, "*/*.jsonl"), (0o300, "**/rows.jsonl")],
)
def test_a_pattern_that_matches_files_and_leads_into_a_folder_that_cannot_be_looked_into_leaves_none_out(folder, rights, pattern):
    with somebody_who_is_not_root():
        for name in ("legal", "sales"):
            (folder / name).mkdir()
            written(folder / name / "rows.jsonl", line(name))
        (folder / "sales").chmod(rights)
        with pytest.raises(JobError) as refused:
            find([InputFile(f"{folder}/{pattern}")], {}, None)
        (folder / "sales").chmod(0o700)
        assert len(find([InputFile(f"{folder}/{pattern}")], {}, None)[0]) == 2
    found = f"a pattern in a folder that cannot be looked into ({folder}/sales: Permission denied)"
    way_out = f"what it leaves out there cannot be known: let this user read and enter '{folder}/sales', or name files elsewhere"
    assert str(refused.value).endswith(f'input "{folder}/{pattern}" = {found}: {way_out}')


def test_a_file_in_a_folder_that_may_be_listed_and_not_entered_is_told_as_one_that_cannot_be_read(folder):
    with somebody_who_is_not_root():
        (folder / "outer").mkdir()
        (folder / "outer" / "rows.jsonl").touch()
        (folder / "outer").chmod(0o600)
        with pytest.raises(JobError, match=r"rows.jsonl\" = a path that cannot be read \(Permission denied\)"):
            find([InputFile(f"{folder}/outer/*.jsonl")], {}, None)


def test_an_input_that_its_disk_does_not_give_stops_the_opening_and_is_no_mistake_of_the_job(tmp_path, opened):
    """Whoever is called at night must not look for it in the job: the same command goes on once the disk does."""
    (tmp_path / "in.jsonl").symlink_to("/proc/self/mem")  # The kernel gives nothing of its first page: EIO.
    with pytest.raises(StoppedError, match=r"/in.jsonl: cannot be read: Input/output error; once it can, run the same command again"):
        opened(tmp_path / "in.jsonl")


@pytest.mark.parametrize(
    ("failed", "ends"),
    [
        *((number, StoppedError) for number in (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EMFILE)),
        *((number, JobError) for number in (errno.EACCES, errno.ENOENT, errno.EISDIR, errno.ELOOP)),
    ],
)
def test_a_share_that_fails_while_an_input_is_read_stops_the_opening_and_what_the_job_names_wrongly_is_its_mistake(failed, ends):
    with pytest.raises(ends, match=r"rows.jsonl.* cannot be read"), reading("rows.jsonl"):
        raise OSError(failed, os.strerror(failed))


def test_a_mistyped_input_is_told_with_the_file_beside_it_that_was_meant(tmp_path, opened):
    written(tmp_path / "tickets.jsonl", line("a"))
    assert f"did you mean '{tmp_path / 'tickets.jsonl'}'?" in refusal(opened, tmp_path / "tikcets.jsonl")
    written(tmp_path / "rows-2026.11.30.jsonl", written(tmp_path / "rows-2026.11.29.jsonl").read_bytes())
    for mistyped, meant in (("row-2026.11.30.jsonl", "rows-2026.11.30.jsonl"), ("tickets.json", "tickets.jsonl")):
        assert f"did you mean '{tmp_path / meant}'?" in refusal(opened, tmp_path / mistyped)
    assert "did you mean" not in refusal(opened, tmp_path / "a.jsonl"), "what all inputs end in makes none alike"
    written(tmp_path / "legals.toml", b"")  # A job, most likely the one that names the input.
    for other in (tmp_path / "legals.json", tmp_path / "legal", tmp_path / "none" / "tickets.jsonl"):
        assert "did you mean" not in refusal(opened, other)


def test_a_relative_input_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path, opened, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"it was looked for in {tmp_path}, where the command was run" in refusal(opened, "samples/tickets.jsonl")
    assert "looked for" not in refusal(opened, tmp_path / "samples" / "tickets.jsonl")


def test_an_input_that_is_a_link_which_leads_nowhere_is_told_as_such_and_is_not_what_was_meant(opened, tmp_path):
    (tmp_path / "in.jsonl").symlink_to(tmp_path / "gone.jsonl")
    told = refusal(opened, tmp_path / "in.jsonl")
    assert f"it is a link to '{tmp_path / 'gone.jsonl'}', which is not there" in told
    assert "did you mean" not in told


def tarred(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        told = tarfile.TarInfo("in.jsonl")
        told.size = len(content)
        archive.addfile(told, io.BytesIO(content))
    return packed.getvalue()


def test_a_row_that_speaks_of_ustar_where_a_tar_archive_says_it_is_a_row(tmp_path, opened):
    prompt = "ustar".rjust(257 - len(b'{"id":"a","prompt":"') + len("ustar"), "x")
    content = orjson.dumps({"id": "a", "prompt": prompt}) + b"\n"
    assert content.startswith(b"ustar", 257)
    assert opened(InputFile(str(written(tmp_path / "in.jsonl", content)))).prompts() == [prompt]


def test_one_file_with_two_workspaces_is_a_mistake(tmp_path, opened):
    path = str(written(tmp_path / "in.jsonl", line("a")))
    told = refusal(opened, InputFile(path, "legal"), InputFile(path, "marketing"))
    assert "already named with workspace 'legal'" in told
    assert told.endswith("to ask its rows in both, name a copy of it")
    assert "already named with workspace 'legal'" in refusal(opened, InputFile("-", "legal"), InputFile("-"), stdin=io.BytesIO())
    assert opened(InputFile(path), InputFile(path, "marketing")).prompts() == ["a"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (line("a").decode().encode("utf-16"), "UTF-16"),
        (line("a").decode().encode("utf-16-le"), "UTF-16"),
        (line("a").decode().encode("utf-16-be"), "UTF-16"),
        (gzip.compress(line("a").decode().encode("utf-16"), mtime=0), "UTF-16"),
        (tarred(line("a")), "a tar archive"),
        (gzip.compress(tarred(line("a")), mtime=0), "a tar archive"),
        (zstd.compress(gzip.compress(line("a"), mtime=0)), "compressed twice"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"PAR1....", "a Parquet file"),
        (b"\xfd7zXZ\x00", "an xz file"),
        (b"BZh91AY", "a bzip2 file"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"ARROW1\0\0", "an Arrow file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"<html><head>", "a web page"),
    ],
)
def test_a_file_of_another_kind_is_one_mistake_and_not_a_million_bad_lines(tmp_path, opened, content, kind):
    path = written(tmp_path / "in.jsonl", content)
    said = refusal(opened, path)
    assert kind in said
    assert f'input "{path}"' in said
    assert "must be JSON lines in UTF-8" in said
    assert ("iconv -f UTF-16" in said) == (kind == "UTF-16")
    assert ("CSV UTF-8" in said) == (kind == "a zip archive")
