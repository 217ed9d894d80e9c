"""A network between run and provider that fails: ``python -m tests.faults.network``, as root, with ``ip``, ``tc`` (iproute2) and ``nft``.

The simulator listens in a network namespace of its own, behind a pair of virtual links. Packets are lost, the link goes down, connections
are reset, everything vanishes, or the line is a slow one: no row is lost or answered twice, and the bill is statement and doubt.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.end_to_end.test_run import BATCHRUN, KEYS, WORKSPACES, calls, environment, rows_of
from tests.faults.accounts import settled
from tests.peers.peer import program

_HERE, _THERE, _PORT = "10.213.7.1", "10.213.7.2", 8800


class Line(NamedTuple):
    """The way to the simulator."""

    space: str
    """The namespace it ends in."""
    link: str
    """Its near end; the far one is called ``far``."""

    def there(self, *command: str) -> None:
        _done(program("ip", "iproute2"), "netns", "exec", self.space, *command)

    def rules(self, *packets: str) -> None:
        """Do what *packets* say to what goes either way; nothing where there are none."""
        self.there(program("nft", "nftables"), "flush", "ruleset")
        if packets:
            chains = "".join(f"chain {way} {{ type filter hook {way} priority 0; {'; '.join(packets)}; }}\n" for way in ("input", "output"))
            self.there(program("nft", "nftables"), f"table inet faults {{\n{chains}}}")

    def carrier(self, state: str) -> None:
        self.there(program("ip", "iproute2"), "link", "set", "far", state)


def _done(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


@contextmanager
def line() -> Iterator[Line]:
    """Lay a line, and take it away again."""
    ip, made = program("ip", "iproute2"), Line(f"batchrun-{os.getpid()}", f"br{os.getpid()}")
    _done(ip, "netns", "add", made.space)
    try:
        _done(ip, "link", "add", made.link, "type", "veth", "peer", "name", "far", "netns", made.space)
        _done(ip, "address", "add", f"{_HERE}/30", "dev", made.link)
        _done(ip, "link", "set", made.link, "up")
        made.there(ip, "address", "add", f"{_THERE}/30", "dev", "far")
        made.carrier("up")
        yield made
    finally:
        _done(ip, "netns", "delete", made.space)


@contextmanager
def provider(made: Line, home: Path) -> Iterator[str]:
    """Serve the simulator at the far end."""
    keys = "".join(f'[workspaces.{name}]\napi_key = "{key}"\n' for name, key in KEYS.items())
    (home / "scenario.toml").write_text(f"latency = {{ median = 0.2, sigma = 0.5 }}\n{keys}")
    within = [program("ip", "iproute2"), "netns", "exec", made.space]
    command = [*within, *BATCHRUN, "simulate", "--host", _THERE, "--port", str(_PORT), "--scenario", str(home / "scenario.toml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=home, env=environment())
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def _lost(made: Line) -> None:
    made.rules("numgen random mod 100 < 10 drop")


def _reset(made: Line) -> None:
    made.rules("tcp dport 8800 numgen random mod 100 < 4 reject with tcp reset")


def _vanished(made: Line) -> None:
    made.rules("drop")
    time.sleep(12)
    made.rules()


def _down(made: Line) -> None:
    made.carrier("down")
    time.sleep(10)
    made.carrier("up")


def _slow(made: Line) -> None:
    shaped = ("root", "tbf", "rate", "256kbit", "burst", "16kb", "latency", "400ms")
    made.there(program("tc", "iproute2"), "qdisc", "add", "dev", "far", *shaped)
    _done(program("tc", "iproute2"), "qdisc", "add", "dev", made.link, *shaped)


FAULTS: dict[str, Callable[[Line], None]] = {
    "10 % of all packets lost": _lost,
    "4 % of what is sent reset": _reset,
    "a black hole for 12 s": _vanished,
    "the link down for 10 s": _down,
    "256 kbit each way": _slow,
}


def struck(home: Path, does: Callable[[Line], None], rows: int) -> str:
    """Do one fault to a run, have it finish, and settle the account."""
    asked, began = rows_of(rows), time.monotonic()
    with line() as made, provider(made, home) as url:
        job = _job(home, url, asked)
        command = [*BATCHRUN, "run", str(job), "--quiet"]
        process = subprocess.Popen(command, cwd=home, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (home / "run" / "marketing" / "results.jsonl").exists():
            time.sleep(0.02)
        does(made)
        codes = [process.wait(timeout=280)]
        made.rules()
        while codes[-1] in {3, 4} and len(codes) < 4:
            codes.append(subprocess.run(command, cwd=home, env=environment(), capture_output=True, timeout=200, check=False).returncode)
        assert codes[-1] == 0, codes
        failed = _failures(home / "run" / "attempts.log")
        account = settled(home / "run", asked, calls(url))
    return f"{account}; exit codes {codes}; failed: {failed}; {time.monotonic() - began:.0f} s"


def _failures(log: Path) -> dict[str, int]:
    """How many calls came to what."""
    found: dict[str, int] = {}
    for each in map(json.loads, log.read_bytes().splitlines()):
        if code := each.get("code"):
            found[code] = found.get(code, 0) + 1
    return found


def _job(home: Path, url: str, rows: list[dict[str, object]]) -> Path:
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tables = "".join(f'[workspaces.{name}]\napi_key_env = "{name.upper()}_KEY"\n' for name in WORKSPACES)
    job = home / "job.toml"
    job.write_text(
        f'[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nmodel = "qwen-plus"\nconcurrency = 4\n'
        f'endpoint = "{url}/compatible-mode/v1"\n[timeouts]\nconnect = 3\nidle = 4\ntotal = 6\n'
        f"[retry]\nbackoff = {{ first = 1, max = 10 }}\n{tables}"
    )
    return job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--only", default="", help="a part of one fault's name")
    wished = parser.parse_args()
    chosen = {name: does for name, does in FAULTS.items() if wished.only in name}
    if not chosen:
        parser.error(f"no fault has {wished.only} in its name: {'; '.join(FAULTS)}")
    for name, does in chosen.items():
        with tempfile.TemporaryDirectory() as home:
            print(f"{name}: {struck(Path(home), does, wished.rows)}", flush=True)
    print("0 rows lost, 0 answered twice; statement <= bill <= statement + doubt")


if __name__ == "__main__":
    main()
