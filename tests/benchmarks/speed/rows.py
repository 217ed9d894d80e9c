"""Rows of real text: pieces of the samples, none like another."""

from __future__ import annotations

import random
from pathlib import Path

import orjson

_SAMPLES = Path(__file__).parents[3] / "samples"
KEY = "sk-fake-benchmark"


def write(path: Path, count: int, workspaces: int, seed: int = 1) -> list[str]:
    """Write *count* rows for so many workspaces, in turn; gives the workspaces' names."""
    dice = random.Random(seed)
    text = "\n".join(prompt for name in ("dataset", "overnight") for prompt in _prompts(_SAMPLES / f"{name}.jsonl"))
    called = names(workspaces)
    with path.open("wb") as lines:
        for number in range(count):
            start, length = dice.randrange(len(text) - 800), dice.randrange(250, 550)
            prompt = f"Summarise in one sentence what this says:\n\n{text[start : start + length]}"
            row = {"id": f"row-{number:07d}", "workspace": called[number % workspaces], "prompt": prompt}
            lines.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    return called


def names(workspaces: int) -> list[str]:
    """Name so many workspaces."""
    return [f"department-{number}" for number in range(workspaces)]


def _prompts(path: Path) -> list[str]:
    rows = (orjson.loads(line) for line in path.read_bytes().splitlines())
    return [row["prompt"] for row in rows if "prompt" in row]


_BUDGET = 'budget = { amount = 1_000_000, currency = "CNY", per = "month" }\n'
_PRICES = '[prices."qwen-plus"]\ntiers = { input = 0.8, output = 2 }\n'


def job(path: Path, source: Path, output: Path, url: str, workspaces: list[str], in_flight: int, *, paid: bool = False) -> None:
    """Write the job that runs the rows through *url*: one account with a quota that is never reached, each workspace its share of slots.

    They cost nothing that is known, or are *paid* from a budget of each workspace, by the month.
    """
    base, slots = url.removesuffix("/chat/completions"), in_flight // len(workspaces)
    lines = [
        f'[job]\nname = "speed"\ninput = "{source}"\noutput = "{output}"\n',
        f'[defaults]\nmodel = "qwen-plus"\nendpoint = "{base}"\nconcurrency = {slots}\nparameters = {{ max_tokens = 400 }}\n',
        '[accounts.main.quotas."qwen-plus"]\nrpm = 60_000_000\ntpm = 60_000_000_000\n',
        *(f'[workspaces.{name}]\napi_key_env = "BENCHMARK_KEY"\naccount = "main"\n{_BUDGET * paid}' for name in workspaces),
        _PRICES * paid,
    ]
    path.write_text("".join(lines), encoding="utf-8")
