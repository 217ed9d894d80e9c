"""The bars of quotas again on real sockets: `python -m tests.benchmarks.sockets` runs `batchrun run` against `batchrun simulate`.

Real seconds pass: a quarter of an hour in all. The simulator counts in windows of six seconds, sliding, which is the worst counting. The
last line says whether the machine was quiet. `--virtual` plays the same jobs, engine, transport and simulator on a clock that jumps, and
takes minutes: what is missed there too is no machine's fault. With `--wobble 0.02` after it, calls come late to the simulator, as over a
network or on a busy machine, and the same ones each time. Words after the command choose the bars that have them in their names.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.benchmarks.virtual import begin, run_in_virtual_time

_MAIN = "from batchrun.__main__ import main; main()"
_WORDS = Path(__file__).parents[2] / "samples" / "dataset.jsonl"
_KEY = "sk-sim-{}"
_SELDOM = 0.02
_PATH = {"PYTHONPATH": str(Path(__file__).parents[2])}


def rows(count: int, workspace: str, *, median: int, spread: float, seed: int = 1) -> list[str]:
    """Rows of real text whose length in characters is lognormal."""
    dice = random.Random(seed)
    text = " ".join(json.loads(line).get("prompt", "") for line in _WORDS.read_text("utf-8").splitlines())
    made = []
    for number in range(count):
        length = min(40_000, int(dice.lognormvariate(math.log(median), spread)))
        start = dice.randrange(max(1, len(text) - length))
        prompt = f"{number} Summarise: {text[start : start + length]}"
        made.append(json.dumps({"id": f"{workspace}-{number}", "workspace": workspace, "prompt": prompt}, ensure_ascii=False))
    return made


@contextmanager
def simulated(folder: Path, scenario: str) -> Any:
    """Run a simulator until the block ends; its base URL."""
    (folder / "scenario.toml").write_text(scenario, encoding="utf-8")
    command = [sys.executable, "-c", _MAIN, "simulate", "--port", "0", "--scenario", str(folder / "scenario.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        try:
            yield json.loads(child.stdout.readline())["url"]
        finally:
            child.terminate()
            child.stdout.read()


def attempts_of(folder: Path, job: str, lines: list[str], keys: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run a job; the lines of its attempts, and its statement."""
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "job.toml").write_text(job, encoding="utf-8")
    command = [sys.executable, "-c", _MAIN, "run", "job.toml", "--quiet", "--json"]
    done = subprocess.run(command, cwd=folder, env={**keys, **_PATH}, capture_output=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    times = [json.loads(line) for line in (folder / "runs/job/attempts.log").read_text("utf-8").splitlines()]
    return times, json.loads(done.stdout)


@dataclass(frozen=True, slots=True)
class Bar:
    """One workspace against its account's quota, in windows of six seconds, sliding: what is asked of it."""

    name: str
    rows: int
    unit: str
    """Of the quota: ``rpm`` or ``tpm``."""
    a_minute: int
    known: bool
    asked: float
    """Where the quota is known: the makespan to the last answer, of the time that the quota alone takes. Where it is not: the share of it
    that is used from two minutes on, and from three minutes after each change."""
    refused: float
    """Of the calls, at the most."""
    spread: float = 0.3
    halved: tuple[float, float] | None = None
    """When it is halved, and restored."""
    seed: int = 1

    def spans(self, end: float) -> Iterator[tuple[float, float, float]]:
        """From when to when how much of the quota there is, once what was found is to be used."""
        if self.halved is None:
            yield 120.0, end, 1.0
        else:
            halved, restored = self.halved
            yield 120.0, halved, 1.0
            yield halved + 180.0, restored, 0.5
            yield restored + 180.0, end, 1.0

    def scenario(self) -> tuple[str, str]:
        """The account's quota, and its changes, as tables of a scenario."""
        held = f"{self.unit} = {{}}\nperiod = 6\n"
        changes = ((at, round(self.a_minute * share)) for at, share in zip(self.halved or (), (0.5, 1.0), strict=False))
        return held.format(self.a_minute), "".join(
            f'[[{{0}}changes]]\nat = {at}\naccount = "main"\n[{{0}}changes.quotas."qwen-plus"]\n{held.format(value)}'
            for at, value in changes
        )

    def lines(self) -> list[str]:
        """Its input."""
        return rows(self.rows, "a", median=800, spread=self.spread, seed=self.seed)

    def job(self, endpoint: str) -> str:
        """Its job, but for a simulator's tables."""
        quota = f'[accounts.main.quotas."qwen-plus"]\n{self.unit} = {self.a_minute}\n' if self.known else "[accounts.main]\n"
        return (
            f'[job]\ninput = "in.jsonl"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "{endpoint}"\nconcurrency = 256\n'
            f'parameters = {{ max_tokens = 200 }}\n{quota}[workspaces.a]\napi_key_env = "KEY_A"\naccount = "main"\n'
        )


BARS = (
    Bar("known, 1,200 rpm", 4_000, "rpm", 1_200, known=True, asked=1.02, refused=0.001),
    # Of the seeds from one to five, the one whose first rows are the largest.
    Bar("known, 300,000 tpm, heavy-tailed rows", 4_000, "tpm", 300_000, known=True, asked=1.05, refused=0.005, spread=1.0, seed=2),
    Bar("unknown, 1,200 rpm", 12_000, "rpm", 1_200, known=False, asked=0.95, refused=0.01),
    Bar("unknown, 1,200 rpm, halved and restored", 13_200, "rpm", 1_200, known=False, asked=0.95, refused=0.03, halved=(240.0, 540.0)),
)


class Seen(NamedTuple):
    """What came of a bar."""

    makespan: float
    """To the last answer, of the time that the quota takes."""
    last_call: float
    """The same to the last call: what an answer takes is no quota's fault, and weighs the more the shorter the run."""
    used: tuple[float, ...]
    """The share of the quota that was used in each of the spans that count, where it is not known."""
    refused: float
    seconds: float

    def line(self, bar: Bar) -> str:
        """A line of the table."""
        good = self.makespan <= bar.asked if bar.known else min(self.used) >= bar.asked
        verdict = "pass" if good and self.refused <= bar.refused else "SHORT"
        asked = f"<= {bar.asked}" if bar.known else f"used {', '.join(f'{used:.1%}' for used in self.used)} (>= {bar.asked:.0%})"
        makespan = "" if bar.halved else f"{self.makespan:.4f} x the quota's time ({self.last_call:.4f} to the last call), "
        return f"{bar.name:<42} {self.seconds:6.1f} s, {makespan}{asked}, refused {self.refused:.2%} (<= {bar.refused:.1%})  {verdict}\n"


def seen(bar: Bar, times: list[dict[str, Any]], total: Mapping[str, Any]) -> Seen:
    """What the lines of a run's attempts and its statement's total come to."""
    starts = {each["start"]: each["at"] for each in times if "start" in each}
    began = min(starts.values())
    taken = [starts[each["end"]] - began for each in times if each.get("verdict") == "answered"]
    end, last = max(each["at"] for each in times if "end" in each) - began, max(taken)
    units = bar.rows - 1 if bar.unit == "rpm" else total["input_tokens"] + total["output_tokens"]
    least, a_second = units * 60 / bar.a_minute, bar.a_minute / 60
    used = () if bar.known else tuple(
        sum(since <= at < until for at in taken) / (a_second * share * (until - since)) for since, until, share in bar.spans(last)
    )  # fmt: skip
    return Seen(end / least, last / least, used, total["throttles"] / total["calls"], end)


def on_sockets(bar: Bar) -> Seen:
    """Two processes, and real seconds."""
    held, changes = bar.scenario()
    with tempfile.TemporaryDirectory() as place:
        scenario = (
            f'[latency]\nmedian = 0.8\n[accounts.main.quotas."qwen-plus"]\n{held}'
            f'[workspaces.a]\napi_key = "{_KEY.format("a")}"\naccount = "main"\n{changes.format("")}'
        )
        with simulated(Path(place), scenario) as url:
            times, told = attempts_of(Path(place), bar.job(f"{url}/compatible-mode/v1"), bar.lines(), {"KEY_A": _KEY.format("a")})
    return seen(bar, times, told["total"])


def wobbling(most: float) -> None:
    """Let calls come to the simulator up to *most* seconds late, and one in fifty up to five times that."""
    from batchrun.simulator import server  # noqa: PLC0415 - only now: the clock is a name that its modules take over

    dice = random.Random(5)

    def data_received(connection: Any, came: bytes) -> None:
        connection._reader.feed(came)
        late = dice.uniform(0.0, most if dice.random() > _SELDOM else 5 * most)
        asyncio.get_running_loop().call_later(late, connection._next_calls)

    # The network is no part of the simulator.
    server._Connection.data_received = data_received  # type: ignore[method-assign,assignment]


def in_virtual_time(bar: Bar, wobble: float) -> Seen:
    """The same in one process whose clock jumps: what a machine's load does is not in it. The process can be used for nothing else."""
    begin()
    if wobble:
        wobbling(wobble)
    from batchrun.edge.job_file import load_job  # noqa: PLC0415 - only now: the clock is a name that its modules take over
    from batchrun.running.one_run import read_statement  # noqa: PLC0415

    held, changes = bar.scenario()
    tables = f'[simulator.latency]\nmedian = 0.8\n[simulator.accounts.main.quotas."qwen-plus"]\n{held}{changes.format("simulator.")}'
    os.environ["KEY_A"] = _KEY.format("a")
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        Path("in.jsonl").write_text("\n".join(bar.lines()), encoding="utf-8")
        Path("job.toml").write_text(bar.job("simulator") + tables, encoding="utf-8")
        run_in_virtual_time(load_job(Path("job.toml")))
        total = read_statement(Path("runs/job")).total()
        times = [json.loads(line) for line in Path("runs/job/attempts.log").read_text("utf-8").splitlines()]
    counted = {name: getattr(total, name) for name in ("input_tokens", "output_tokens", "throttles", "calls")}
    return seen(bar, times, counted)


class Lateness:
    """How late this machine is: a thread sleeps for five milliseconds again and again, and notes how much longer that took."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._late: list[float] = []
        self._thread = threading.Thread(target=self._sleep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sleep(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            time.sleep(0.005)
            self._late.append(time.monotonic() - began - 0.005)

    def told(self) -> str:
        """What was seen, and what it means for figures of sockets."""
        late = sorted(self._late)
        often, seldom = (late[int(share * (len(late) - 1))] * 1000 for share in (0.99, 0.999))
        trust = "quiet" if often < 2.0 else "NOT QUIET: a miss here may be the machine's; --virtual tells"
        return f"this machine wakes {often:.1f} ms late once in a hundred times, {seldom:.1f} ms once in a thousand: {trust}\n"


def ends_of(names: list[str]) -> dict[str, float]:
    """Workspaces of 300 rows and four slots, one after the other in the file: when each has its last answer, by the first call of all.

    Calls take 0.8 seconds, all of them; the workspace ``crawls`` may make six in 18 seconds, of which the job says nothing.
    """
    lines = [line for name in names for line in rows(18 if name == "crawls" else 300, name, median=300, spread=0.3)]
    scenario = "[latency]\nmedian = 0.8\nsigma = 0.0\n" + "".join(
        f'[workspaces.{name}]\napi_key = "{_KEY.format(name)}"\naccount = "main"\n'
        + ('[workspaces.crawls.limits."qwen-plus"]\nrpm = 20\nperiod = 18\n' if name == "crawls" else "")
        for name in names
    )
    keys = {f"KEY_{name.upper()}": _KEY.format(name) for name in names}
    with tempfile.TemporaryDirectory() as place, simulated(Path(place), scenario) as url:
        job = (
            f'[job]\ninput = "in.jsonl"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "{url}/compatible-mode/v1"\nconcurrency = 4\n'
            "parameters = { max_tokens = 50 }\n[accounts.main]\n"
        )
        job += "".join(f'[workspaces.{name}]\napi_key_env = "KEY_{name.upper()}"\naccount = "main"\n' for name in names)
        times, _ = attempts_of(Path(place), job, lines, keys)
    began = min(each["at"] for each in times if "start" in each)
    of = {each["start"]: each["workspace"] for each in times if "start" in each}
    ends: dict[str, float] = {}
    for each in times:
        if "end" in each:
            ends[of[each["end"]]] = max(ends.get(of[each["end"]], 0.0), each["at"] - began)
    return ends


def head_of_line() -> str:
    """A file sorted by workspace, the first of which is throttled to a crawl, against each of two others alone."""
    others = [f"w{place}" for place in range(7)]
    together = ends_of(["crawls", *others])
    alone = {name: ends_of([name])[name] for name in (others[0], others[-1])}
    worst = max(together[name] for name in others) / max(alone.values()) - 1
    return f"{'head of line, sorted file, one crawls':<44} {together['crawls']:6.1f} s for it, the others end {worst:+.2%} later (<= 1 %)\n"


def main() -> None:
    """Print the bars whose names have the words after the command in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--virtual", action="store_true", help="on a clock that jumps")
    parser.add_argument("--wobble", metavar="SECONDS", default="0", help="calls come as much late, at the most; with --virtual")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help="of the names of bars")
    wished = parser.parse_args()
    say, words, virtual, wobble = sys.stdout.write, wished.words, wished.virtual, wished.wobble
    if wished.one:
        bar = next(bar for bar in BARS if bar.name == wished.one)
        say(in_virtual_time(bar, float(wobble)).line(bar))
        return
    wanted, is_line = [bar for bar in BARS if all(word in bar.name for word in words)], all(word in "head of line" for word in words)
    if not (wanted or (is_line and not virtual)):
        parser.error(f"no bar has all of {', '.join(words)} in its name")
    if virtual:
        for bar in wanted:
            subprocess.run([sys.executable, "-m", "tests.benchmarks.sockets", "--one", bar.name, "--wobble", wobble], check=True)
        return
    with Lateness() as lateness:
        # Together: each of them leaves the processor alone for nine tenths of the time.
        with ThreadPoolExecutor(max(1, len(wanted))) as together:
            for bar, what in [(bar, together.submit(on_sockets, bar)) for bar in wanted]:
                say(what.result().line(bar))
                sys.stdout.flush()
        if is_line:
            say(head_of_line())
    say(lateness.told())


if __name__ == "__main__":
    main()
