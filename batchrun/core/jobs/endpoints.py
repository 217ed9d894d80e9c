"""Where a workspace's requests go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from batchrun.core.classes import value
from batchrun.core.jobs.words import shown, wrong

SIMULATOR = "simulator"

_COMPATIBLE, _NATIVE = "/compatible-mode/v1", "/api/v1"
_OPENAI, _TEXT, _MULTIMODAL = "openai", "dashscope-text", "dashscope-multimodal"
_ALL = (_OPENAI, _TEXT, _MULTIMODAL)
_BATCH = "batch"


class Cloud(NamedTuple):
    """A host of the provider, and the protocols that it speaks."""

    host: str
    protocols: tuple[str, ...] = _ALL


CLOUDS: Mapping[str, Cloud] = MappingProxyType(
    {
        "public": Cloud("https://dashscope.aliyuncs.com"),
        # The page on sub-workspaces (2025-03-12) shows the finance cloud's native route for text alone.
        "finance": Cloud("https://dashscope-finance.aliyuncs.com", (_OPENAI, _TEXT)),
        "intl": Cloud("https://dashscope-intl.aliyuncs.com"),
        "us": Cloud("https://dashscope-us.aliyuncs.com"),
        "hongkong": Cloud("https://cn-hongkong.dashscope.aliyuncs.com"),
        # Batch Chat: the same call at half the price, held open until there is room, for up to an hour.
        _BATCH: Cloud("https://batch.dashscope.aliyuncs.com", (_OPENAI,)),
    }
)
"""The provider's hosts by their names in a job (Model Studio's page on base URLs, 2026-10-11)."""

SLOW_ENDPOINTS: Mapping[str, float] = MappingProxyType({_BATCH: 3600.0})
"""Clouds whose calls may take longer than others', in seconds: what the server itself waits."""

KNOWN_NAMES = (*CLOUDS, SIMULATOR)

REGIONS: Mapping[str, str] = MappingProxyType(
    {"cn-beijing": "public", "ap-southeast-1": "intl", "us-east-1": "us", "cn-hongkong": "hongkong", "cn-shanghai-finance-1": "finance"}
)
_MODEL_STUDIO = re.compile(r"(?:[^.]+\.)*dashscope(?:-[a-z]+)?(?:\.[^.]+)*\.aliyuncs\.com|.+\.maas\.aliyuncs\.com")
"""Hosts of Model Studio: its clouds', those of a private network and workspaces' own. Other services have others under ``aliyuncs.com``."""
_DOORS = re.compile(
    r"(?:(?!trial\.|token-plan\.)[^.]+\.([a-z0-9-]+)\.maas|vpc-([a-z0-9-]+)\.dashscope|[^.]+\.dashscope\.([a-z0-9-]+)\.privatelink)"
    r"\.aliyuncs\.com"
)
"""Other doors to a region's cloud: a workspace's own host, ``llm-….cn-beijing.maas.aliyuncs.com`` (the same page), and those of a private
network (the page on PrivateLink, 2025-11-04: one by https, the other by http alone). Trials have limits of their own, and what a Token Plan
pays for is at no price a token."""

HOSTS = ", ".join(f"{name} ({cloud.host.removeprefix('https://')})" for name, cloud in CLOUDS.items())
"""The provider's hosts, as a person is told them who has to name another."""

_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*")
"""A name that may be one (RFC 1035, 2.3.4), or an address: of any other it would be told after minutes of tries that it cannot be found."""
_BASE_URL = 'an https:// or http:// URL with its path, such as "https://llm.example/compatible-mode/v1"'


@value
class Endpoint:
    """Where requests go: a cloud of the provider, a server of one's own, or the simulator."""

    name: str
    """As the job names it; a URL that stands in the job is its own name."""
    bases: Mapping[str, str] = field(hash=False)
    """The base URL of each protocol that it speaks, without a slash at its end."""
    simulated: bool = False

    @property
    def place(self) -> str:
        """What it is known by in a later opening, when a name of the job's own may stand for another URL."""
        return self.name if self.simulated or self.name in CLOUDS else " ".join(sorted({*self.bases.values()}))


def endpoint_of(name: str, declared: Mapping[str, str]) -> Endpoint:
    """What *name* stands for in a checked job, *declared* being the base URLs of its own endpoints."""
    if name == SIMULATOR:
        return simulator_at("http://simulator.invalid")
    cloud = CLOUDS.get(name)
    return Endpoint(name, _at(cloud.host, cloud.protocols) if cloud else _bases(declared.get(name, name)))


def cloud_of(endpoint: Endpoint) -> str:
    """The cloud of the provider that *endpoint* names or leads to, whose quotas and prices hold there; otherwise its own name.

    A region that has only workspaces' own hosts is a cloud by its own name.
    """
    if endpoint.simulated or endpoint.name in CLOUDS:
        return endpoint.name
    hosts = {urlsplit(base).hostname or "" for base in endpoint.bases.values()}
    found = next((name for name, cloud in CLOUDS.items() if urlsplit(cloud.host).hostname in hosts), None)
    return found or next(filter(None, map(_cloud_behind, hosts)), endpoint.name)


def limited_as(endpoint: Endpoint) -> str:
    """Whose limits hold there: its cloud's, whichever door it is; elsewhere those of the server, whatever the job calls it by now."""
    cloud = cloud_of(endpoint)
    return endpoint.place if cloud == endpoint.name else cloud


def _cloud_behind(host: str) -> str | None:
    """The cloud of the region that *host* is another door to; None where it is none."""
    if (door := _DOORS.fullmatch(host)) is None:
        return None
    region: str = door[door.lastindex or 0]
    return REGIONS.get(region, region)


def is_batch(endpoint: Endpoint) -> bool:
    """Whether it is Batch Chat's: calls cost half, and no rate counts them (Model Studio's page on rate limits, 2026-02-24)."""
    return cloud_of(endpoint) == _BATCH


def waits_for(endpoint: Endpoint, total: float) -> dict[str, str]:
    """The header that says for how many seconds a call to *endpoint* is waited for: Batch Chat takes it, of a minute to an hour.

    Without it a call waits there for an hour, and may be answered and billed when nobody waits for it any more.
    """
    return {"timeout": f"{min(max(total, 60.0), SLOW_ENDPOINTS[_BATCH]):.0f}"} if is_batch(endpoint) else {}


def simulator_at(url: str) -> Endpoint:
    """The simulator's endpoint, once it listens at *url*; until then it stands for the protocols alone."""
    return Endpoint(SIMULATOR, _at(url, _ALL), simulated=True)


def _bases(url: str) -> Mapping[str, str]:
    """The protocols of a URL: those of a host of the provider; all for a Model Studio path elsewhere; else what stands there, as it is."""
    parts = urlsplit(url)
    for cloud in CLOUDS.values():
        if parts.hostname == urlsplit(cloud.host).hostname:
            return _at(_host_of(url), cloud.protocols)
    if url.endswith(_COMPATIBLE) or _MODEL_STUDIO.fullmatch(parts.hostname or ""):
        cloud_behind = CLOUDS.get(_cloud_behind(parts.hostname or "") or "")
        return _at(_host_of(url), cloud_behind.protocols if cloud_behind else _ALL)
    # Others have an /api/v1 too, and mean the OpenAI protocol by it.
    return MappingProxyType(dict.fromkeys(_ALL if url.endswith(_NATIVE) else (_OPENAI,), url))


def _host_of(url: str) -> str:
    return url.removesuffix(_COMPATIBLE).removesuffix(_NATIVE)


def _at(host: str, protocols: tuple[str, ...]) -> Mapping[str, str]:
    return MappingProxyType({each: host + (_COMPATIBLE if each == _OPENAI else _NATIVE) for each in protocols})


def is_url(text: str) -> bool:
    """Whether *text* was meant as a URL rather than as a name."""
    return "://" in text


def is_host(text: str) -> bool:
    """Whether *text* is a URL but for its beginning."""
    return not is_url(text) and ("." in text or ":" in text) and _split(f"https://{text}") is not None


def _base_url(text: str) -> str:
    """Check a base URL and take the slash from its end; what may hold a secret is not shown."""
    parts = _parts(text, _BASE_URL)
    if "?" in text or "#" in text:
        raise wrong("a URL with a query or a fragment", _BASE_URL + ", without '?' and '#'")
    path = parts.path.rstrip("/")
    if path.endswith("/chat/completions"):
        raise wrong(shown(text), "the URL without /chat/completions, which is added to it")
    if path.endswith("/generation"):
        raise wrong(shown(text), "the URL up to /api/v1: the rest is added to it")
    if _MODEL_STUDIO.fullmatch(parts.hostname or "") and path not in {"", _COMPATIBLE, _NATIVE}:
        raise wrong(shown(text), f"the host alone, or with {_COMPATIBLE} or {_NATIVE}: Model Studio has no other base URL for chats")
    if parts.scheme == "http" and f"https://{parts.hostname}" in {cloud.host for cloud in CLOUDS.values()}:
        raise wrong(shown(text), f'"https://{parts.hostname}": over http:// whoever is on the way reads the key')
    return f"{parts.scheme}://{parts.netloc}{path}"


def _endpoint(text: str) -> str:
    return _base_url(text) if is_url(text) else text


def _proxy(text: str) -> str:
    if text in {"none", "environment"}:
        return text
    allowed = '"none", "environment" or the URL of a proxy, such as "http://proxy.example:3128"'
    parts = _parts(text, allowed)
    if parts.path.strip("/") or "?" in text or "#" in text:
        raise wrong("a URL with a path or a query", allowed)
    return f"{parts.scheme}://{parts.netloc}"


def _parts(text: str, allowed: str) -> SplitResult:
    if "@" in text:
        raise wrong("a URL with a user name or a password", allowed + ", without '@': a job file holds no secrets")
    parts = _split(text)
    if parts is None or not text.isascii() or not text.isprintable() or " " in text:
        raise wrong("a URL with a query" if "?" in text else shown(text), allowed)
    return parts


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return None
    host = _HOST.fullmatch(parts.hostname or "")
    return parts if port_fits and host and parts.scheme in {"http", "https"} else None


EndpointName = Annotated[str, AfterValidator(_endpoint)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Proxy = Annotated[str, AfterValidator(_proxy)]
