"""The bars of quotas again on real sockets: `python -m tests.benchmarks.sockets` runs `batchrun run` against `batchrun simulate`.

Real seconds pass: about five minutes in all. The simulator counts in windows of six seconds, sliding, which is the worst counting.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchrun.core.limits.limiter import NO_QUOTA, Quota

_MAIN = "from batchrun.cli import main; main()"
_WORDS = Path(__file__).parents[2] / "samples" / "dataset.jsonl"
_KEY = "sk-sim-{}"
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


def carried_out(folder: Path, job: str, lines: list[str], keys: Mapping[str, str]) -> tuple[float, dict[str, Any]]:
    """Run a job; the seconds from its first call to its last answer, and its statement."""
    times, told = attempts_of(folder, job, lines, keys)
    starts = [each["at"] for each in times if "start" in each]
    ends = [each["at"] for each in times if "end" in each]
    return max(ends) - min(starts), told


def attempts_of(folder: Path, job: str, lines: list[str], keys: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run a job; the lines of its attempts, and its statement."""
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "job.toml").write_text(job, encoding="utf-8")
    command = [sys.executable, "-c", _MAIN, "run", "job.toml", "--quiet", "--json"]
    done = subprocess.run(command, cwd=folder, env={**keys, **_PATH}, capture_output=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    times = [json.loads(line) for line in (folder / "runs/job/attempts.log").read_text("utf-8").splitlines()]
    return times, json.loads(done.stdout)


def one(name: str, count: int, *, spread: float, known: Quota, real: Quota) -> str:
    """One workspace against its account's quota."""
    quota = "".join(f"{unit} = {value:.0f}\n" for unit, value in (("rpm", known.rpm), ("tpm", known.tpm)) if value)
    held = "".join(f"{unit} = {value:.0f}\n" for unit, value in (("rpm", real.rpm), ("tpm", real.tpm)) if value)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        scenario = (
            f'[latency]\nmedian = 0.8\n[accounts.main.quotas."qwen-plus"]\n{held}period = 6\n'
            f'[workspaces.a]\napi_key = "{_KEY.format("a")}"\naccount = "main"\n'
        )
        with simulated(folder, scenario) as url:
            job = (
                f'[job]\ninput = "in.jsonl"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "{url}/compatible-mode/v1"\nconcurrency = 256\n'
                f"parameters = {{ max_tokens = 200 }}\n[accounts.main]\n"
                + (f'[accounts.main.quotas."qwen-plus"]\n{quota}' if quota else "")
                + '[workspaces.a]\napi_key_env = "KEY_A"\naccount = "main"\n'
            )
            seconds, told = carried_out(folder, job, rows(count, "a", median=800, spread=spread), {"KEY_A": _KEY.format("a")})
    total = told["total"]
    tokens = total["input_tokens"] + total["output_tokens"]
    least = max((count - 1) * 60 / real.rpm if real.rpm else 0.0, tokens * 60 / real.tpm if real.tpm else 0.0)
    return f"{name:<44} {seconds:6.1f} s, {seconds / least:.3f} x the quota's time, throttled {total['throttles'] / total['calls']:.2%}\n"


def ends_of(names: list[str]) -> dict[str, float]:
    """Workspaces of 120 rows and four slots, one after the other in the file: when each has its last answer, by the first call of all.

    Calls take 0.8 seconds, all of them; the workspace ``crawls`` may make six in 18 seconds, of which the job says nothing.
    """
    lines = [line for name in names for line in rows(18 if name == "crawls" else 120, name, median=300, spread=0.3)]
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
    """Print every bar."""
    began = time.monotonic()
    say = sys.stdout.write
    say(one("known, 1,200 rpm", 1_500, spread=0.3, known=Quota(rpm=1_200), real=Quota(rpm=1_200)))
    say(one("known, 300,000 tpm, heavy-tailed rows", 900, spread=1.0, known=Quota(tpm=300_000), real=Quota(tpm=300_000)))
    say(one("unknown, 1,200 rpm", 3_000, spread=0.3, known=NO_QUOTA, real=Quota(rpm=1_200)))
    say(head_of_line())
    say(f"{time.monotonic() - began:.0f} s in all\n")


if __name__ == "__main__":
    main()
