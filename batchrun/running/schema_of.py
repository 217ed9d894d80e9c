"""The schema that a job holds its answers to: a table of its own, or a file of JSON."""

from __future__ import annotations

import stat
from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from batchrun.core.errors import JobError, Mistake
from batchrun.core.rows.answers import Schema


def read_schema(written: Mapping[str, Any] | str | None) -> Schema | None:
    """Read the schema of a job, a table or the path of a JSON file; raises JobError where it is none."""
    if written is None:
        return None
    return Schema(schema_in(written) if isinstance(written, str) else written)


def schema_in(written: str) -> dict[str, Any]:
    """Return what the JSON file at a path holds; raises JobError where that is no schema."""
    path = Path(written)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise _no_schema(written, "is no file but a pipe or a device")
        # Some editors begin a file with a mark.
        document: object = orjson.loads(path.read_bytes().removeprefix(BOM_UTF8))
    except OSError as error:
        raise _no_schema(written, error.strerror or "cannot be read") from None
    except orjson.JSONDecodeError as error:
        raise _no_schema(written, f"not JSON: {error.msg} at line {error.lineno}") from None
    if not isinstance(document, dict):
        raise _no_schema(written, "must be a JSON object")
    return document


def _no_schema(path: str, why: str) -> JobError:
    return JobError("the job cannot be started:", (Mistake("answers.schema", f'"{path}"', why),))
