"""Which proxy a URL is called through: the one that a job names, or what the environment says, as curl and requests understand it.

The standard library reads the variables (``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, lower case before upper) and, where none is set, the
settings of the system. Of the hosts that ``NO_PROXY`` spares it knows names and their endings alone. Here a name may stand with a port or
a star before its dot (``*.corp``), an address in brackets, and a network in bits (``10.0.0.0/8``); they are parted by commas or spaces.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

from yarl import URL

_PARTED = re.compile(r"[,\s]+")
_WITH_PORT = re.compile(r"(\[.+\]|[^:]*):([0-9]+)")
"""What has more colons, and no brackets, is an address alone."""


class Proxies:
    """*proxy* is ``none``, ``environment`` or a URL. The environment is read once."""

    def __init__(self, proxy: str) -> None:
        self._is_environments = proxy == "environment"
        self._named = getproxies() if self._is_environments else {} if proxy == "none" else {"all": proxy}

    def of(self, url: URL) -> str | None:
        """Name the proxy that *url* is called through, if there is one; what is named need not be a URL that can be used."""
        named = self._named.get(url.scheme) or self._named.get("all")
        if not named or not self._is_environments:
            return named
        if self._spares(url):
            return None
        return named if "://" in named else f"http://{named}"

    def _spares(self, url: URL) -> bool:
        host, port = (url.host or "").lower().rstrip("."), url.port
        if (spared := self._named.get("no")) is None:
            return bool(proxy_bypass(f"{host}:{port}"))
        return any(_covers(each, host, port) for each in _PARTED.split(spared.lower()) if each)


def _covers(spared: str, host: str, port: int | None) -> bool:
    """Whether a host is one of those that are *spared* by an entry of ``NO_PROXY``."""
    if spared == "*":
        return True
    if (parted := _WITH_PORT.fullmatch(spared)) is not None:
        if int(parted[2]) != port:
            return False
        spared = parted[1]
    spared = spared.removeprefix("*").strip(".[]")
    return bool(spared) and (host == spared or host.endswith(f".{spared}") or _is_within(host, spared))


def _is_within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
