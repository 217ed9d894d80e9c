"""The simulator inside this process, where a job asks for it, with keys that live as long as it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import field

from pydantic import SecretStr

from batchrun.core.classes import value
from batchrun.core.jobs.endpoints import Endpoint, simulator_at
from batchrun.core.jobs.job import Job, Workspace


@value
class Simulated:
    """Where the simulator listens, and the keys it takes."""

    endpoint: Endpoint | None = None
    """None where no workspace asks for it."""
    keys: Mapping[str, SecretStr] = field(default_factory=dict)


@asynccontextmanager
async def simulated(job: Job, workspaces: Mapping[str, Workspace]) -> AsyncIterator[Simulated]:
    """Run the simulator until the block ends, if any of *workspaces* has it for its endpoint."""
    asking = {name: each for name, each in workspaces.items() if each.endpoint.simulated}
    if not asking:
        yield Simulated()
        return
    # A sixteenth of what a run imports, and most call somebody else.
    from batchrun.simulator.server import serve  # noqa: PLC0415
    from batchrun.simulator.service import Service  # noqa: PLC0415

    keys = {name: SecretStr(f"sk-sim-{secrets.token_hex(16)}") for name in asking}
    scenario = job.simulator.scenario(keys, {name: each.account for name, each in asking.items()})
    async with serve(Service(scenario)) as base:
        yield Simulated(simulator_at(base.url), keys)
