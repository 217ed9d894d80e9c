"""Run directories written by hand, for tests and benchmarks of what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson


def write_run(
    directory: Path, run: str, log: Iterable[bytes], files: Mapping[str, Iterable[bytes]], *,
    rows: Mapping[str, Mapping[str, int]], job: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    """*files* by their path in the directory: ``legal/results.jsonl``."""
    directory.mkdir(parents=True)
    tables = {name: {"endpoint": "public", "api_key_env": "NIGHT_KEY"} for name in rows}
    job = job or {"job": {"name": "night", "input": [{"path": "rows.jsonl"}]}, "workspaces": tables}
    described = {"format": 1, "run": run, "name": "night", "rejected_input": 0, "rows": rows, "job": job}
    (directory / "run.json").write_bytes(orjson.dumps(described))
    for name, lines in {"attempts.log": log, **files}.items():
        (directory / name).parent.mkdir(exist_ok=True)
        with (directory / name).open("wb") as file:
            file.writelines(lines)
    return directory
