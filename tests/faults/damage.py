"""What may have become of the files of a run, as a table: each kind of damage is a function of its directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from batchrun.core.ledger.seal import sealed
from batchrun.edge import run_directory
from tests.faults.made_run import ROWS, WORKSPACES, made_run

RESULTS = f"{WORKSPACES[0]}/results.jsonl"
Damage = Callable[[Path], None]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _line(change: Callable[[bytes], bytes], number: int = 4, file: str = RESULTS) -> Damage:
    """Change one line, the fifth."""

    def damage(directory: Path) -> None:
        lines = _lines(directory / file)
        lines[number] = change(lines[number])
        (directory / file).write_bytes(b"".join(lines))

    return damage


def _file(change: Callable[[bytes], bytes], file: str = RESULTS) -> Damage:
    def damage(directory: Path) -> None:
        (directory / file).write_bytes(change((directory / file).read_bytes()))

    return damage


def _swapped(directory: Path) -> None:
    one, other = (directory / name / "results.jsonl" for name in WORKSPACES)
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)


def _other_run(directory: Path) -> None:
    """The file of another run of the same job, whose rows came in another order."""
    other = directory.parent / "other"
    made_run(other, range(ROWS - 1, -1, -1), run="other")
    (directory / RESULTS).write_bytes((other / RESULTS).read_bytes())


def _newer(directory: Path) -> None:
    described = run_directory.read_description(directory) or {}
    run_directory.write_description(directory, {**described, "format": run_directory.FORMAT + 1})


def _again_under_another_attempt(line: bytes) -> bytes:
    fields = orjson.loads(line)
    del fields["crc32"]
    return line + sealed(orjson.dumps(fields | {"attempt": "1-9999"}))


DAMAGE: dict[str, Damage] = {
    "a bit of an answer's text is flipped": _line(lambda line: line.replace("答".encode(), "筕".encode(), 1)),
    "a digit of its tokens is another": _line(lambda line: line.replace(b'"input_tokens":10', b'"input_tokens":90')),
    "a block of zeros in the middle": _line(lambda line: bytes(len(line))),
    "a block of zeros over two lines": _file(lambda content: content[:700] + bytes(400) + content[1100:]),
    "a line is gone": _line(lambda _line: b""),
    "a line stands twice": _line(lambda line: line * 2),
    "a row is answered twice, by two attempts": _line(_again_under_another_attempt),
    "the files of two workspaces are swapped": _swapped,
    "a line of another program": _line(lambda line: line + b'{"level": "info", "message": "started"}\n'),
    "an empty line": _line(lambda line: line + b"\n"),
    "line ends of another system": _file(lambda content: content.replace(b"\n", b"\r\n")),
    "a byte order mark": _file(lambda content: b"\xef\xbb\xbf" + content),
    "a byte order mark between two lines": _line(lambda line: b"\xef\xbb\xbf" + line),
    "a line is cut in its middle": _line(lambda line: line[: len(line) // 2] + b"\n"),
    "a line is cut, and the next follows it": _line(lambda line: line[: len(line) // 2]),
    "a checksum is another": _line(lambda line: line[:-11] + b'0123456"}\n'),
    "a line of another workspace": _line(lambda line: line.replace(b'"\xe6\xb3\x95\xe5\x8a\xa1"', b'"sales"')),
    "the file of another run": _other_run,
    "a field that no version has, without a checksum": _line(lambda line: line.split(b',"crc32"')[0] + b',"mood":"good"}\n'),
    "a run of a newer version": _newer,
    "a bit of attempts.log is flipped": _line(lambda line: line.replace(b'"1-', b'"3-'), file="attempts.log"),
    "a line of attempts.log is cut": _line(lambda line: line[:20] + b"\n", file="attempts.log"),
    "a digit of run.json is another": _file(lambda content: content.replace(b": 12", b": 92", 1), "run.json"),
    "run.json is cut": _file(lambda content: content[:40], "run.json"),
    "a digit of usage.json is another": _file(lambda content: content.replace(b'"answered": 10', b'"answered": 90'), "sales/usage.json"),
}
