"""Bytes that nobody would write: ``python -m tests.faults.fuzz [--minutes 10] [--only NAME]``.

Each reader is given as many as its share of the time allows; an exception that it does not promise ends the command with the bytes that
led to it. Where the package ``atheris`` is installed (libFuzzer for Python; it is no part of the extras), what has been reached steers what
is tried next; elsewhere, and in the quick form of the suite, lines that are right are mutilated at random.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LONGEST = 4096
_TARGETS: Mapping[str, str] = {
    "rows": "an input line",
    "entries": "a line of an output file",
    "attempts": "a line of attempts.log",
    "retry_after": "a Retry-After header",
    "jobs": "a job file",
    "answers": "an answer's body, in pieces",
}


def target_of(name: str) -> Callable[[bytes], None]:
    """What is tried; what it raises but by promise is a find."""
    return {"rows": _rows, "entries": _entries, "attempts": _attempts, "retry_after": _retry_after, "jobs": _jobs, "answers": _answers}[
        name
    ]()


def _rows() -> Callable[[bytes], None]:
    from batchrun.core.rows.glances import Glances  # noqa: PLC0415 - each import is instrumented for its target
    from batchrun.core.rows.rows import Inherited, Line, read_line  # noqa: PLC0415 - each import is instrumented for its target

    known = {"legal": Inherited("qwen-plus", {"temperature": 0.2}, b"salt"), "marketing": Inherited("qwen-max", {}, b"pepper")}
    glances = Glances(known, "legal")

    def read(data: bytes) -> None:
        line = read_line(data, known, "legal")
        glances.of([data])
        if isinstance(line, Line):
            line.row(line.id or "made")

    return read


def _entries() -> Callable[[bytes], None]:
    from batchrun.core.ledger.entry import NotAnEntryError  # noqa: PLC0415
    from batchrun.core.ledger.entry_reading import read_entry  # noqa: PLC0415
    from batchrun.core.ledger.given import given, look_at  # noqa: PLC0415

    def read(data: bytes) -> None:
        given("legal", [data])
        for reader in (read_entry, look_at):
            try:
                reader(data)
            except NotAnEntryError:
                continue

    return read


def _attempts() -> Callable[[bytes], None]:
    from batchrun.core.ledger.attempts import read_attempt  # noqa: PLC0415
    from batchrun.core.ledger.fold import Fold  # noqa: PLC0415

    def read(data: bytes) -> None:
        fold = Fold("run", "fuzzed")
        fold.attempts([read_attempt(line) for line in data.splitlines(keepends=True)])
        fold.close({})

    return read


def _retry_after() -> Callable[[bytes], None]:
    from batchrun.core.protocols.failures import RETRY_AFTER_CAP, seconds_of  # noqa: PLC0415

    def read(data: bytes) -> None:
        said = data.decode("latin-1")
        for seconds in (seconds_of(said), seconds_of(said, "Fri, 27 Nov 2026 01:00:00 GMT"), seconds_of(said, said)):
            assert seconds is None or 0 <= seconds <= RETRY_AFTER_CAP

    return read


def _jobs() -> Callable[[bytes], None]:
    from batchrun.core.errors import JobError  # noqa: PLC0415
    from batchrun.edge.job_file import load_job  # noqa: PLC0415

    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    path = Path(tempfile.mkdtemp(dir=folder)) / "fuzzed.toml"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        try:
            load_job(path).workspaces_resolved()
        except JobError as error:
            str(error)

    return read


def _answers() -> Callable[[bytes], None]:
    import orjson  # noqa: PLC0415

    from batchrun.core.ledger.entry_writing import write_entry  # noqa: PLC0415
    from batchrun.core.model import Answered, Call, Reply, Row  # noqa: PLC0415
    from batchrun.core.protocols.formats import FORMATS  # noqa: PLC0415
    from batchrun.core.protocols.reading import Reading  # noqa: PLC0415

    dialects = [each.dialect for each in FORMATS.values()]
    row, call = Row("row-1", "legal", "qwen-plus", {}, "0123456789abcdef", None), Call("3-17", 2, 1.7e9, 812)

    def read(data: bytes) -> None:
        cut, status = (data[0], 200 if data[1] < 200 else 400 + data[1]) if len(data) > 1 else (0, 200)
        body = data[2:]
        for dialect in dialects:
            reading = Reading(dialect, {"n": 2} if cut & 1 else {})
            if status != 200:
                reading.refused(status, {}, body)
                continue
            for piece in (body[:cut], body[cut:]):
                reading.feed(piece)
            reading.weight()
            result = reading.result(200, {})
            if isinstance(result, Reply):
                orjson.loads(write_entry(Answered(row, result, call), "batchrun", raw=True))

    return read


def seeds_of(name: str) -> list[bytes]:
    """What is right, to begin with."""
    from tests.core.protocols.recorded import CASES  # noqa: PLC0415
    from tests.faults.kinds import STREAM  # noqa: PLC0415
    from tests.faults.made_run import made_run  # noqa: PLC0415

    if name == "jobs":
        return [path.read_bytes() for path in sorted((ROOT / "jobs").rglob("*.toml"))]
    if name == "retry_after":
        return [b"3", b"1.5", b" 600 ", b"Wed, 21 Oct 2026 07:28:00 GMT", b"1e9", b"-1"]
    if name == "rows":
        return [line for path in sorted((ROOT / "samples").glob("*.jsonl")) for line in path.read_bytes().splitlines()[:20]]
    if name == "answers":
        return [b"\x09\x00" + STREAM, *(b"\x20\x00" + case.body for case in CASES)]
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        made_run(run)
        paths = [run / "attempts.log"] if name == "attempts" else sorted(run.glob("*/*.jsonl"))
        lines = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    # A seal would have nothing else tried than the seal.
    return [re.sub(rb',"crc32":"?[0-9a-f]+"?', b"", line) for line in lines]


def mutilated(dice: random.Random, seeds: list[bytes]) -> bytes:
    """One of *seeds*, or two, with something wrong."""
    data = bytearray(dice.choice(seeds)[:_LONGEST])
    for _ in range(dice.choice([1, 1, 1, 2, 4, 16])):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(7):
            case 0:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                data[at : at + dice.randrange(1, 20)] = b""
            case 2:
                data[at:at] = dice.choice(_BITS)
            case 3:
                other = dice.choice(seeds)
                begin = dice.randrange(len(other) + 1)
                data[at:at] = other[begin : begin + dice.randrange(1, 60)]
            case 4:
                data[at:at] = data[max(0, at - 20) : at] * dice.choice([1, 2, 50])
            case 5:
                data[at : at + 8] = dice.choice(_BITS)
            case _:
                del data[at:]
    return bytes(data[:_LONGEST])


_BITS = (
    *(b"null", b"true", b"-1", b"0", b"1e999", b"9" * 400, b"NaN", b'""', b"[]", b"{}", b"[" * 300, b'{"a":' * 300, b"\\ud83d", b"\\u0000"),
    *(
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\r\n",
        b"\n\n",
        b"data: ",
        b'"',
        b"\\",
        b",",
        b":",
        b"'",
        b"=",
        b"[[",
        b"]]",
        b"\xe2\x80\xa8",
    ),
    *(b'"crc32":"00000000",', b'"metadata":', b'"usage":{', b'"workspace":"legal",', b'"promised":[["a","b",1,2,3]],"at":1'),
)


def tried(name: str, count: int, seed: int, seconds: float = 1e9) -> int:
    """Try so many mutilated inputs, or as long; gives how many. Raises what the reader raised, and says of what."""
    dice, read, seeds, until = random.Random(seed), target_of(name), seeds_of(name), time.monotonic() + seconds
    for number in range(count):
        data = mutilated(dice, seeds)
        try:
            read(data)
        except BaseException:
            print(f"{name}: {data!r}", file=sys.stderr)
            raise
        if number % 256 == 0 and time.monotonic() > until:
            return number + 1
    return count


def guided(name: str, seconds: int) -> int:
    """The same in a process of its own, steered by what is reached; gives how many were tried."""
    with tempfile.TemporaryDirectory() as place:
        corpus = Path(place) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(seeds_of(name)):
            (corpus / f"{number:05}").write_bytes(seed[:_LONGEST])
        limits = [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
        command = [sys.executable, "-m", "tests.faults.fuzz", "--guided", name, f"-artifact_prefix={place}/", *limits, str(corpus)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        count = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        if done.returncode or count is None:
            found = [path.read_bytes() for path in Path(place).glob("*-*") if path.is_file()]
            raise SystemExit(f"{name}: {found[:1]}\n{done.stderr[-3000:]}")
        return int(count[1])


def _be_guided(arguments: list[str]) -> None:
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["batchrun"]):
        read = target_of(arguments[0])
    atheris.Setup([sys.argv[0], *arguments[1:]], read)
    atheris.Fuzz()


def main() -> None:
    if sys.argv[1:2] == ["--guided"]:
        _be_guided(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", choices=list(_TARGETS))
    parser.add_argument("--blind", action="store_true", help="mutilate at random, though atheris is there")
    wished = parser.parse_args()
    names = [wished.only] if wished.only else list(_TARGETS)
    steered = not wished.blind and importlib.util.find_spec("atheris") is not None
    share, total = wished.minutes * 60 / len(names), 0
    for name in names:
        began = time.monotonic()
        count = guided(name, round(share)) if steered else tried(name, 1 << 62, 1, share)
        total += count
        print(f"{_TARGETS[name]}: {count:,} tried in {time.monotonic() - began:.0f} s, nothing raised", flush=True)
    print(f"{total:,} in all, {'steered by coverage' if steered else 'at random'}")


if __name__ == "__main__":
    main()
