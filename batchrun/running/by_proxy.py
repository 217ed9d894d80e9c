"""A proxy that the environment names and the job says nothing of: calls go without one, unless the job says so.

Where a network lets nothing out but by its proxy, no host of the provider is found, and each seems to be mistyped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_address

from yarl import URL

from batchrun.core.counted import shortened
from batchrun.core.jobs.job import Job, Workspace
from batchrun.edge.transport.proxies import Proxies

WAY_OUT = '[transport] proxy = "environment" sends them by it, and "none" says that they are to go without'


def passed_over(job: Job, workspaces: Mapping[str, Workspace], active: Collection[str]) -> Iterator[str]:
    """Tell which of the *active* workspaces curl would call by a proxy. It is not shown: its URL may hold a password."""
    proxies = _unsaid(job)
    if names := [name for name in active if proxies and _calls_by(proxies, workspaces[name])]:
        yield f"{shortened(sorted(names))}: the environment names a proxy (HTTPS_PROXY or its like), and calls go without: {WAY_OUT}"


def is_passed_over(job: Job, workspace: Workspace) -> bool:
    """Whether the environment names a proxy for what *workspace* calls, and the job does not say what to make of it."""
    proxies = _unsaid(job)
    return proxies is not None and _calls_by(proxies, workspace)


def _unsaid(job: Job) -> Proxies | None:
    """Those of the environment, where the job says nothing of any."""
    return None if "proxy" in job.transport.model_fields_set else Proxies("environment")


def _calls_by(proxies: Proxies, workspace: Workspace) -> bool:
    urls = () if workspace.endpoint.simulated else map(URL, workspace.endpoint.bases.values())
    return any(proxies.of(url) is not None for url in urls if not _is_here(url.host or ""))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
