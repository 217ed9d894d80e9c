"""Where a URL leads: what of it is told, what of a request stands before its body, and what is shared with whom."""

from __future__ import annotations

import anyio
import pytest

from batchrun.core.model import Failure, Hidden, Request
from batchrun.edge.transport.room import Rooms
from batchrun.edge.transport.targets import Target, Targets

_KEY = "sk-fake-0123456789abcdef"


def target(url: str = "http://endpoint.example/v1", key: str = _KEY, proxy: str = "none", targets: Targets | None = None) -> Target:
    found = (targets or Targets(proxy, Rooms(1, 1))).of(url, key)
    assert isinstance(found, Target), found
    return found


def head_of(found: Target, *headers: dict[str, str]) -> list[str]:
    """What stands before the body of a request with each of *headers*, asked one after the other."""

    async def main() -> list[str]:
        return [found.head(Request("", each, b"7 bytes")).decode() for each in headers]

    return anyio.run(main)


@pytest.mark.parametrize(
    "url", ["http://someone@host/v1", "http://:secret@host/v1", "http://someone:secret@host/v1", "https:///v1", "mailto:someone@host"]
)
def test_a_url_with_a_user_or_a_password_or_without_a_host_is_not_called(url):
    found = Targets("none", Rooms(1, 1)).of(url)
    assert isinstance(found, Failure)
    assert (found.code, found.in_doubt) == ("invalid_url", False)
    assert "secret" not in repr(found)


def test_of_a_url_neither_query_nor_fragment_is_told():
    assert target("http://endpoint.example/v1?token=hidden#hidden-too").shown == "http://endpoint.example/v1"


@pytest.mark.parametrize(
    ("url", "proxy", "first"),
    [
        ("http://endpoint.example/v1?a=b", "none", "POST /v1?a=b HTTP/1.1"),
        ("http://endpoint.example/v1?a=b", "http://proxy.example", "POST http://endpoint.example/v1?a=b HTTP/1.1"),
        # Through a tunnel the endpoint itself is spoken to.
        ("https://endpoint.example/v1?a=b", "http://proxy.example", "POST /v1?a=b HTTP/1.1"),
    ],
)
def test_only_a_proxy_that_reads_the_request_is_told_the_whole_url(url, proxy, first):
    [head] = head_of(target(url, proxy=proxy), {})
    assert head.split("\r\n")[0] == first


def test_a_head_says_the_key_that_its_request_says_once_and_the_length_of_its_body_once():
    heads = head_of(target(), {"Authorization": Hidden(f"Bearer {_KEY}")}, {}, {"Authorization": Hidden(_KEY), "X-Own": "1"})
    said = [[line for line in head.split("\r\n") if line.startswith("Authorization")] for head in heads]
    assert said == [[f"Authorization: Bearer {_KEY}"], [], [f"Authorization: {_KEY}"]]
    assert [head.lower().count("content-length") for head in heads] == [1, 1, 1]
    assert all(head.endswith("Content-Length: 7\r\n\r\n") for head in heads)
    assert ["X-Own: 1\r\n" in head for head in heads] == [False, False, True]


@pytest.mark.parametrize("headers", [{"X-Own\r\nX-Other": "1"}, {"X-Own": "1\r\nX-Other: 2"}])
def test_no_header_can_write_another(headers):
    with pytest.raises(ValueError, match="does not print"):
        head_of(target(), headers)


def test_connections_are_shared_by_the_paths_of_one_origin_and_key_and_by_nothing_else():
    targets = Targets("none", Rooms(1, 1))
    first = target(targets=targets)
    assert target("http://endpoint.example/v2", targets=targets).free is first.free
    others = [
        target("https://endpoint.example/v1", targets=targets),
        target("http://endpoint.example:8080/v1", targets=targets),
        target("http://other.example/v1", targets=targets),
        target(key="sk-fake-another", targets=targets),
    ]
    assert all(each.free is not first.free for each in others)


def test_what_large_answers_may_hold_is_shared_by_the_endpoints_of_one_key_and_not_with_another():
    targets = Targets("none", Rooms(1, 1))
    assert target("http://other.example/v1", targets=targets).room is target(targets=targets).room
    assert target(key="sk-fake-another", targets=targets).room is not target(targets=targets).room


def test_a_request_leads_where_its_key_does_in_whatever_case_the_header_stands():
    targets = Targets("none", Rooms(1, 1))
    for name in ("Authorization", "authorization"):
        found = targets.asked(Request("http://endpoint.example/v1", {name: Hidden(f"Bearer {_KEY}")}, b"{}"))
        assert found is target(targets=targets)


def test_the_proxy_of_a_scheme_goes_before_the_one_for_all_and_only_the_environment_spares_hosts(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://of-http.example")
    monkeypatch.setenv("all_proxy", "https://of-all.example")
    monkeypatch.setenv("no_proxy", "spared.example")
    assert str(target(proxy="environment").proxy) == "http://of-http.example"
    assert str(target("https://endpoint.example/v1", proxy="environment").proxy) == "https://of-all.example"
    assert target("http://spared.example/v1", proxy="environment").proxy is None
    assert str(target("http://spared.example/v1", proxy="http://named.example").proxy) == "http://named.example"


SPARED = [
    *[(no_proxy, "http://10.1.2.3:8000/v1", True) for no_proxy in ("10.0.0.0/8", "localhost, 10.1.2.3", "x 10.1.2.3:8000", "*", "x,*")],
    *[(no_proxy, "http://10.1.2.3:8000/v1", False) for no_proxy in ("10.9.0.0/16", "10.1.2.3:8001", "0.1.2.3", "", ",", "10.0.0.0/99")],
    *[(no_proxy, "http://[::1]:8000/v1", True) for no_proxy in ("[::1]", "::1", "[::1]:8000", "::/64")],
    *[(no_proxy, "http://[::1]:8000/v1", False) for no_proxy in ("[::1]:8001", "::2", "127.0.0.0/8")],
    *[(no_proxy, "https://llm.Corp/v1", True) for no_proxy in ("*.corp", ".corp", "corp", "LLM.CORP", "llm.corp:443", "*.corp:443")],
    *[(no_proxy, "https://llm.corp./v1", True) for no_proxy in (".corp", "llm.corp")],
    *[(no_proxy, "https://llm.corp/v1", False) for no_proxy in ("*.a.corp", "orp", "lm.corp", "corp:80", "10.0.0.0/8")],
]


@pytest.mark.parametrize(("no_proxy", "url", "is_spared"), SPARED)
def test_the_environment_spares_hosts_their_domains_and_networks_with_a_port_or_without(monkeypatch, no_proxy, url, is_spared):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "http://of-all.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (target(url, proxy="environment").proxy is None) == is_spared


def test_a_proxy_of_the_environment_may_be_a_host_and_a_port_alone(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    for named in ("proxy.example:3128", "127.0.0.1:3128", "[::1]:3128", "proxy.example"):
        monkeypatch.setenv("http_proxy", named)
        assert str(target(proxy="environment").proxy) == f"http://{named}"


@pytest.mark.parametrize("named", ["socks5://proxy.example", "https:///", "http://[::1"])
def test_a_proxy_that_is_none_is_told_before_anything_is_sent(named):
    found = Targets(named, Rooms(1, 1)).of("http://endpoint.example/v1")
    assert isinstance(found, Failure)
    assert (found.code, found.in_doubt) == ("invalid_proxy", False)
