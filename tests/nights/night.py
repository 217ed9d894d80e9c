"""One such night, played on the simulator; what it comes to is held against the simulator's own bill, call by call."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from batchrun.core.model import Usage
from batchrun.core.money.price_list import shipped
from batchrun.core.money.pricing import standard_prices
from batchrun.report.prices import prices_toml
from tests.nights.rows import MODELS, SCHEMA, WORKSPACES, plain, structured

ROOT = Path(__file__).parent.parent.parent
BATCHRUN = [sys.executable, "-c", "from batchrun.__main__ import main; main()"]
_ASKED_FOR = {"prompt_tokens_details": {"cache_type": "ephemeral"}}
KINDS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cache_creation_tokens")
FAULTS = {"throttle": 0.03, "burst": 0.01, "token_quota": 0.01, "internal": 0.03, "unavailable": 0.01, "timeout_500": 0.005}
LOSSES = {"reset": 0.01, "torn": 0.01, "cut": 0.005, "no_finish": 0.005, "not_json": 0.005, "stream_cut": 0.05, "stream_native_error": 0.02}

Lane = tuple[str, str]


class Billed(NamedTuple):
    """A call by what it used."""

    workspace: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cache_creation_tokens: int


@dataclass(slots=True)
class Reckoning:
    """What was stated and what was billed, by workspace and model."""

    rows: int
    answered: int
    kills: int
    seconds: float
    bill: dict[Lane, dict[str, int]]
    stated: dict[Lane, dict[str, Any]]
    owed: dict[Lane, Decimal]
    """What the simulator's export asks for."""
    made: Counter[Billed]
    """Calls that were billed, by workspace, model and tokens."""
    counted: Counter[Billed]
    """Calls that the ledgers tell of."""
    reconciled: dict[str, Any]
    closes: bool
    kinds: set[str] = field(default_factory=set)
    asked_for: dict[Billed, set[bool]] = field(default_factory=dict)
    """Whether what calls of such tokens found in the cache was asked for."""

    def lost(self, lane: Lane) -> Counter[Billed]:
        """Billed calls of a lane that no ledger has the tokens of."""
        return Counter({call: count for call, count in (self.made - self.counted).items() if call[:2] == lane})

    def cost_of_lost(self, lane: Lane) -> tuple[Decimal, Decimal]:
        """What the billed calls of a lane cost that no ledger has the tokens of, at the least and at the most.

        The two differ only where calls of the same tokens found some in the cache, of which one had asked for it and another had not.
        """
        least, most = Decimal(0), Decimal(0)
        for call, count in self.lost(lane).items():
            costs = [_cost(call, explicit=explicit) for explicit in self.asked_for[call]]
            least, most = least + count * min(costs), most + count * max(costs)
        return least, most

    def figures(self) -> dict[str, Any]:
        """What a person wants to see of it."""
        total = {kind: sum(lane[kind] for lane in self.bill.values()) for kind in KINDS}
        cost = sum((Decimal(lane["cost"].get("CNY", 0)) for lane in self.stated.values()), Decimal(0))
        owed = sum(self.owed.values(), Decimal(0))
        return {
            "rows": self.rows,
            "answered": self.answered,
            "kills": self.kills,
            "seconds": round(self.seconds, 1),
            "lanes": len(self.bill),
            "billed": total | {"calls": sum(self.made.values()), "CNY": str(owed)},
            "stated CNY": str(cost),
            "billed beyond the statement": {"calls": sum((self.made - self.counted).values()), "CNY": str(owed - cost)},
            "in doubt": {
                name: sum(lane[f"in_doubt{suffix}"] for lane in self.stated.values())
                for name, suffix in (("calls", ""), ("input", "_input_tokens"), ("output", "_output_tokens"))
            },
            "throttles": sum(lane["throttles"] for lane in self.stated.values()),
            "retries": sum(lane["retries"] for lane in self.stated.values()),
            "re-asks": sum(lane["reasks"] for lane in self.stated.values()),
            "kinds on the bill": sorted(self.kinds),
            "reconcile closes": self.closes,
        }


def play(folder: Path, *, rows: int, kills: int, seed: int = 7, concurrency: int = 8, latency: float = 0.02) -> Reckoning:
    """Play the night in *folder*: two jobs, each killed *kills* times at moments drawn by *seed*, and then let go to its end."""
    dice = random.Random(seed)
    began = time.monotonic()
    few = max(12, rows // 5)
    with _simulator(folder, latency) as url:
        _write(folder, "plain", url, plain(rows, seed), concurrency, "")
        _write(folder, "structured", url, structured(few, seed), concurrency, SCHEMA)
        for name, count in (("plain", rows), ("structured", few)):
            for moment in sorted(dice.random() for _ in range(kills)):
                _killed(folder, name, int(count * moment))
            done = _batchrun(folder, "run", f"{name}.toml", "--quiet")
            assert done.returncode == 0, done.stderr.decode()
        (folder / "bill.csv").write_bytes(_get(f"{url}/simulator/bill.csv"))
        told, calls = json.loads(_get(f"{url}/simulator/bill")), json.loads(_get(f"{url}/simulator/calls"))
    return _reckon(folder, told, calls, rows + few, 2 * kills, time.monotonic() - began)


def _reckon(folder: Path, told: Any, calls: Any, rows: int, kills: int, seconds: float) -> Reckoning:
    stated = _stated(folder)
    reconciled = _batchrun(folder, "reconcile", "runs/plain", "runs/structured", "--bill", "bill.csv", "--json")
    lines = json.loads(reconciled.stdout)
    asked_for: dict[Billed, set[bool]] = {}
    for each in calls:
        asked_for.setdefault(Billed(*(each[name] for name in Billed._fields)), set()).add(each["explicit_cache"])
    return Reckoning(
        rows,
        sum(lane["answered"] for lane in stated.values()),
        kills,
        seconds,
        {(name, model): counts for name, part in told["workspaces"].items() for model, counts in part["models"].items()},
        stated,
        _owed(folder / "bill.csv"),
        Counter(Billed(*(each[name] for name in Billed._fields)) for each in calls if each["billed"]),
        Counter(_counted(folder)),
        lines,
        reconciled.returncode == 0,
        {line["kind"] for line in lines["lines"]},
        asked_for,
    )


def _stated(folder: Path) -> dict[Lane, dict[str, Any]]:
    """The statements of both runs, added up by their numbers."""
    lanes: dict[Lane, dict[str, Any]] = {}
    for run in ("plain", "structured"):
        told = json.loads(_batchrun(folder, "report", f"runs/{run}", "--json").stdout)
        for name, part in told["workspaces"].items():
            for model, counts in part["models"].items():
                lane = lanes.setdefault((name, model), {"cost": {}})
                for key, value in counts.items():
                    if isinstance(value, int):
                        lane[key] = lane.get(key, 0) + value
                for currency, amount in counts["cost"].items():
                    lane["cost"][currency] = str(Decimal(lane["cost"].get(currency, 0)) + Decimal(amount))
    return lanes


def _owed(export: Path) -> dict[Lane, Decimal]:
    owed: dict[Lane, Decimal] = {}
    for line in export.read_text(encoding="utf-8-sig").splitlines()[1:]:
        cells = line.split(",")
        _, workspace, model, *_ = cells[5].split(";")
        lane = workspace.removeprefix("llm-"), model
        owed[lane] = owed.get(lane, Decimal(0)) + Decimal(cells[11])
    return owed


def _counted(folder: Path) -> Iterator[Billed]:
    for directory in (folder / "runs").iterdir():
        if not directory.is_dir():
            continue
        lanes: dict[str, Lane] = {}
        for fields in map(json.loads, (directory / "attempts.log").read_bytes().splitlines()):
            if "start" in fields:
                lanes[fields["start"]] = fields["workspace"], fields["model"]
            elif usage := fields.get("usage"):
                yield _billed(*lanes[fields["end"]], usage)
        for path in (*directory.glob("*/results.jsonl"), *directory.glob("*/errors.jsonl")):
            for fields in map(json.loads, path.read_bytes().splitlines()):
                if usage := fields.get("usage"):
                    yield _billed(fields["workspace"], fields["model"], usage)


def _billed(workspace: str, model: str, usage: dict[str, Any]) -> Billed:
    return Billed(workspace, model, *(usage.get(kind, 0) for kind in KINDS))


def _cost(call: Billed, *, explicit: bool) -> Decimal:
    raw = _ASKED_FOR if explicit else None
    used = Usage(call.input_tokens, call.output_tokens, call.cached_tokens, call.reasoning_tokens, raw, call.cache_creation_tokens)
    found = standard_prices().cost(call.model, "cn", used, datetime.now(UTC).date())
    assert found is not None
    return found.amount


@contextmanager
def _simulator(folder: Path, latency: float) -> Iterator[str]:
    faults = "".join(f'[[faults]]\nkind = "{kind}"\nrate = {rate}\n' for kind, rate in {**FAULTS, **LOSSES}.items())
    keys = "".join(f'[workspaces.{name}]\napi_key = "sk-sim-{name}"\n' for name in WORKSPACES)
    models = json.dumps(MODELS)
    (folder / "scenario.toml").write_text(
        f"models = {models}\njournal = 1000000\nlatency = {{ median = {latency}, sigma = 0.5 }}\n{faults}{keys}"
    )
    arguments = [*BATCHRUN, "simulate", "--port", "0", "--scenario", str(folder / "scenario.toml")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment())
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _write(folder: Path, name: str, url: str, rows: Iterator[dict[str, Any]], concurrency: int, more: str) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    # A URL of one's own has no shipped prices: the job takes those of the provider's list, which the simulator bills by.
    newest = {row.model: row for row in shipped() if row.region == "cn" and row.model in MODELS}
    prices = prices_toml([replace(row, region=None, since=date(2025, 1, 1)) for row in newest.values()])
    (folder / "prices.toml").write_text(prices)
    tables = "".join(f'[workspaces.{each}]\napi_key_env = "{_variable(each)}"\n' for each in WORKSPACES)
    (folder / f"{name}.toml").write_text(
        f'[job]\ninput = "{name}.jsonl"\noutput = "runs/{name}"\nprices = "prices.toml"\n'
        f'[defaults]\nmodel = "qwen-plus"\nconcurrency = {concurrency}\nendpoint = "{url}/compatible-mode/v1"\n'
        f"[retry]\nmax_attempts = 12\nbackoff = {{ first = 0.05, max = 0.2 }}\n{more}{tables}"
    )


def _killed(folder: Path, name: str, rows: int) -> None:
    """Open the run, and kill its process once so many rows are answered."""
    process = subprocess.Popen([*BATCHRUN, "run", f"{name}.toml", "--quiet"], cwd=folder, env=_environment(), **_SILENT)
    while process.poll() is None and _answered(folder / "runs" / name) < rows:
        time.sleep(0.02)
    process.kill()
    process.wait(timeout=20)


def _answered(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in run.glob("*/results.jsonl"))


_SILENT: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _batchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*BATCHRUN, *arguments], capture_output=True, cwd=folder, env=_environment(), check=False)


def _environment() -> dict[str, str]:
    return {**os.environ, **{_variable(name): f"sk-sim-{name}" for name in WORKSPACES}, "PYTHONPATH": str(ROOT)}


def _variable(workspace: str) -> str:
    return f"{workspace.upper().replace('-', '_')}_KEY"


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
    return content
