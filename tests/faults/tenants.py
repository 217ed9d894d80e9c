"""Twelve workspaces against twelve recording servers, with faults, kills and new keys on the way.

``python -m tests.faults.tenants``: afterwards every byte that the run wrote or said is searched, for the rows and answers of one
workspace in the files of another, and for the keys in any spelling.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from batchrun import read_statement
from tests.faults import children
from tests.faults.recorders import key_of, name_of, prompt_of

TENANTS = 12


@dataclass
class Found:
    """What was seen on either side."""

    calls: int
    """As the servers counted them."""
    faults: int
    astray: int
    """Keys, rows and cookies that came to a server that is not theirs."""
    strangers: list[str]
    """Files that hold another workspace's rows or answers."""
    leaks: list[str]
    """Files and outputs that hold a key."""
    lost: int
    """Rows without an entry, or with two answers."""
    answered: int
    rejected: int
    statement_calls: int
    seconds: float
    exit_codes: list[int]


def shapes(key: str) -> list[bytes]:
    """What gives *key* away: its first 14 characters, by which no two keys differ, and the middle of any base64 of it."""
    middles = [b64encode(b"\0" * before + key.encode()).decode()[4:20] for before in range(3)]
    return [each.encode() for each in (key[:14], quote(key, safe="")[:18], *middles)]


def carried_out(place: Path, rows: int, *, seed: int = 1, kills: int = 1) -> Found:
    """Run *rows* for each workspace to the end."""
    with children.server("-m", "tests.faults.recorders", str(TENANTS), str(seed)) as where:
        _write(place, where["ports"], rows)
        began = time.monotonic()
        said: list[bytes] = []
        codes: list[int] = []
        for opening in range(kills + 4):
            keys = {f"KEY_{number}": key_of(number, min(opening, 1)) for number in range(TENANTS)}
            process = children.starting(place, "run", "job.toml", keys=keys, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if opening < kills:
                _kill_after(process, place / "run" / "attempts.log", rows * TENANTS * (opening + 1) // (kills + 1))
            said += process.communicate(timeout=3600)
            codes.append(process.returncode)
            if process.returncode in {0, 3}:
                break
        with urllib.request.urlopen(f"http://127.0.0.1:{where['told']}/told", timeout=10) as answer:
            told = json.load(answer)
    return _looked_through(place, rows, told, said, codes, time.monotonic() - began)


def _write(place: Path, ports: list[int], rows: int) -> None:
    tables = (
        f'[workspaces.{name_of(number)}]\napi_key_env = "KEY_{number}"\nendpoint = "http://127.0.0.1:{port}/v1"\n'
        for number, port in enumerate(ports)
    )
    (place / "job.toml").write_text(
        '[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nmodel = "m"\nconcurrency = 8\n[output]\nraw = true\n'
        "[retry]\nmax_attempts = 12\nbackoff = { first = 0.02, max = 0.2 }\n[stop]\nprobe_every = 0.3\n[timeouts]\nidle = 2\ntotal = 10\n"
        + "".join(tables)
    )
    children.jsonl(
        place / "rows.jsonl",
        [
            {"id": f"{name_of(number)}-{row}", "workspace": name_of(number), "prompt": prompt_of(number, row)}
            for row in range(rows)
            for number in range(TENANTS)
        ],
    )


def _kill_after(process: subprocess.Popen[bytes], log: Path, calls: int) -> None:
    while process.poll() is None:
        if log.exists() and log.stat().st_size > calls * 150:
            process.kill()
            return
        time.sleep(0.01)


def _looked_through(place: Path, rows: int, told: dict[str, dict[str, int]], said: list[bytes], codes: list[int], seconds: float) -> Found:
    run = place / "run"
    answers = children.entries(run)
    rejected = children.entries(run, "errors")
    ids = {entry["id"] for entry in (*answers, *rejected)}
    keys = [shape for number in range(TENANTS) for rotation in range(2) for shape in shapes(key_of(number, rotation))]
    texts: list[tuple[str, bytes]] = [(str(path.relative_to(run)), path.read_bytes()) for path in sorted(run.rglob("*")) if path.is_file()]
    total = read_statement(run).total()
    return Found(
        calls=sum(each["calls"] for each in told.values()),
        faults=sum(each.get("faults", 0) for each in told.values()),
        astray=sum(each[kind] for each in told.values() for kind in ("keys astray", "rows astray", "cookies")),
        strangers=list(_strangers(texts)),
        leaks=[name for name, text in (*texts, *(("output", each) for each in said)) if any(key in text for key in keys)],
        lost=TENANTS * rows - len(ids) + len(answers) - len({entry["id"] for entry in answers}),
        answered=total.answered,
        rejected=total.rejected,
        statement_calls=total.calls,
        seconds=seconds,
        exit_codes=codes,
    )


def _strangers(texts: list[tuple[str, bytes]]) -> Iterator[str]:
    for name, text in texts:
        own = name.split("/")[0]
        if "/" in name and any(f"<{name_of(number)}>".encode() in text for number in range(TENANTS) if name_of(number) != own):
            yield name


def main() -> int:
    """Tell what was found; 0 where nothing is astray."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000, help="of each workspace")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        found = carried_out(Path(place), rows, kills=3)
    sys.stdout.write("".join(f"{name}: {value}\n" for name, value in vars(found).items()))
    return 1 if found.astray or found.strangers or found.leaks or found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
