"""Where a workspace's requests go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from batchrun.core.words import shown, wrong

SIMULATOR = "simulator"

BASE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "public": "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "finance": "https://dashscope-finance.aliyuncs.com/compatible-mode/v1",
        "intl": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "us": "https://dashscope-us.aliyuncs.com/compatible-mode/v1",
        "hongkong": "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1",
    }
)
"""The provider's clouds by their names in a job, for the openai protocol (Model Studio's API reference, one page a region)."""

KNOWN_NAMES = (*BASE_URLS, SIMULATOR)

_HOST = re.compile(r"[A-Za-z0-9_.:-]+")
_BASE_URL = 'an https:// or http:// URL with its path, such as "https://llm.example/compatible-mode/v1"'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go: a cloud of the provider, a server of one's own, or the simulator."""

    name: str
    """As the job names it; a URL that stands in the job is its own name."""
    base_url: str | None
    """Without a slash at its end. None for the simulator, which has a URL only once it listens."""
    simulated: bool = False


def endpoint_of(name: str, declared: Mapping[str, str]) -> Endpoint:
    """What *name* stands for in a checked job, *declared* being the base URLs of its own endpoints."""
    if name == SIMULATOR:
        return Endpoint(name, None, simulated=True)
    return Endpoint(name, BASE_URLS.get(name) or declared.get(name) or name)


def is_url(text: str) -> bool:
    """Whether *text* was meant as a URL rather than as a name."""
    return "://" in text


def _base_url(text: str) -> str:
    """Check a base URL and take the slash from its end; what may hold a secret is not shown."""
    parts = _parts(text, _BASE_URL)
    if "?" in text or "#" in text:
        raise wrong("a URL with a query or a fragment", _BASE_URL + ", without '?' and '#'")
    path = parts.path.rstrip("/")
    if path.endswith("/chat/completions"):
        raise wrong(shown(text), "the URL without /chat/completions, which is added to it")
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
