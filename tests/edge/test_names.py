"""Names as they are looked up for aiohttp: addresses, with the interface where one is of a link."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from batchrun.edge.transport.names import Names


def resolved(found: list[tuple[Any, ...]], **how: Any) -> tuple[list[Any], list[tuple[Any, ...]]]:
    """What is made of *found*, and what was asked for."""
    asked: list[tuple[Any, ...]] = []

    def lookup(host, port, **kinds):
        asked.append((host, port, kinds))
        return found

    async def main():
        return await Names(lookup).resolve("endpoint.example", **how)

    return anyio.run(main), asked


def of_ipv6(*address: Any) -> tuple[Any, ...]:
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)


def test_a_name_is_asked_for_addresses_that_this_machine_can_reach_and_each_is_given_as_a_number():
    ipv4 = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.7", 443))
    found, [(host, port, kinds)] = resolved([ipv4, of_ipv6("2001:db8::7", 443, 0, 0)], port=443, family=socket.AF_UNSPEC)
    assert [(each["hostname"], each["host"], each["port"], each["family"], each["proto"]) for each in found] == [
        ("endpoint.example", "127.0.0.7", 443, socket.AF_INET, socket.IPPROTO_TCP),
        ("endpoint.example", "2001:db8::7", 443, socket.AF_INET6, socket.IPPROTO_TCP),
    ]
    assert {each["flags"] for each in found} == {socket.AI_NUMERICHOST}
    assert (host, port) == ("endpoint.example", 443)
    # Where a machine has no IPv6, an address of it would cost each opening an attempt that fails.
    assert kinds == {"type": socket.SOCK_STREAM, "family": socket.AF_UNSPEC, "flags": socket.AI_ADDRCONFIG}


@pytest.mark.parametrize("flow", [0, 5])
def test_an_address_of_a_link_keeps_its_interface(flow):
    number, name = socket.if_nameindex()[0]
    [found], _ = resolved([of_ipv6("fe80::7", 80, flow, number)])
    assert found["host"] == f"fe80::7%{name}"
    assert resolved([of_ipv6("fe80::7", 80, flow, 0)])[0][0]["host"] == "fe80::7"


def failing(*answers: Any) -> list[Any]:
    """What a name comes to that is looked up once for each of *answers*: addresses, or why there are none."""
    left = [*answers]

    def lookup(_host, _port, **_kinds):
        answer = left.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (answer, 443))]

    async def main():
        names = Names(lookup)
        found: list[Any] = []
        for _ in answers:
            try:
                found.append([each["host"] for each in await names.resolve("endpoint.example", 443)])
            except OSError as error:
                found.append(error.errno)
        return found

    return anyio.run(main)


SILENT, UNKNOWN = socket.gaierror(socket.EAI_AGAIN, "no answer"), socket.gaierror(socket.EAI_NONAME, "no such name")


def test_a_name_whose_servers_do_not_answer_leads_to_where_it_led_before():
    assert failing(SILENT, "127.0.0.7", SILENT, "127.0.0.8", SILENT) == [
        *(socket.EAI_AGAIN, ["127.0.0.7"], ["127.0.0.7"], ["127.0.0.8"], ["127.0.0.8"])
    ]


def test_a_name_that_is_no_more_leads_nowhere():
    assert failing("127.0.0.7", UNKNOWN) == [["127.0.0.7"], socket.EAI_NONAME]
