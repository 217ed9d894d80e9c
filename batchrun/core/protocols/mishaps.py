"""batchrun's own words for what goes wrong between it and an endpoint, as a table.

The provider's words stand in ``failures.py``. Whether a mishap is *in doubt* (the request may have been billed) is not the mishap's to
say: a connection can break before a byte was sent or after. The caller knows.
"""

from __future__ import annotations

from typing import NamedTuple

from batchrun.core.jobs.endpoints import HOSTS
from batchrun.core.model import Failure, Fault, Scope, Usage


class Mishap(NamedTuple):
    """What a mishap leads to, what happened, and what whoever is on call should do."""

    fault: Fault
    scope: Scope
    message: str
    advice: str


_PASSES = "usually passes: it is tried again, and the same command goes on with the rows that are left"
_NETWORK = f"{_PASSES}; if it stays, look at the network between this machine and the workspace's endpoint"
_SLOW = f"{_PASSES}; if answers are long, raise idle or total under [timeouts], or lower max_tokens"
_NOT_A_CHAT_ENDPOINT = (
    f"{_PASSES}; if every row gets this, the workspace's endpoint is not the base URL of a chat API, or a proxy answers for it"
)


ASKED_AGAIN = "; the row runs at the next start with --retry-rejected"
"""What the advice about most rejected rows ends with."""


def _passing(message: str, advice: str) -> Mishap:
    return Mishap(Fault.AGAIN, Scope.ROW, message, advice)


def _standing(message: str, advice: str) -> Mishap:
    return Mishap(Fault.PARK, Scope.WORKSPACE, message, advice)


def _refused(message: str, advice: str) -> Mishap:
    return Mishap(Fault.REJECT, Scope.ROW, message, advice + ASKED_AGAIN)


MISHAPS: dict[str, Mishap] = {
    # before any call
    "no_route": Mishap(
        Fault.PARK,
        Scope.LANE,
        "the workspace's endpoint cannot be asked for this model",
        "set protocol or endpoint of this workspace so that they fit, or give these rows another model; then run the same command again",
    ),
    "never_fits": _refused(
        "the row has more input tokens than its tightest quota lets through in a minute", "raise tpm in the job, or make the row smaller"
    ),
    "cannot_carry": _refused("the protocol cannot carry this row", "correct the row, or set protocol of its workspace"),
    "request_too_large": _refused("the request is larger than the provider takes", "make it smaller, or name its media by http(s) URLs"),
    "media_too_large": _refused("a medium is larger than the provider takes", "make it smaller, or name it by an http(s) URL"),
    # before the connection stands
    "invalid_url": _standing("the endpoint is no URL that can be called", "correct endpoint of this workspace in the job file"),
    "invalid_proxy": _standing(
        "the proxy that the job or the environment names is none that can be used",
        'name one under http or https: transport.proxy in the job or, where that is "environment", HTTPS_PROXY or HTTP_PROXY, which go '
        "before ALL_PROXY; then run the same command again",
    ),
    "connection_refused": _passing(
        "the endpoint refused the connection",
        f"{_PASSES}; if it stays, nothing listens at the workspace's endpoint: start the server there, or correct the endpoint",
    ),
    "dns": _passing(
        "the endpoint's name could not be resolved",
        f"{_PASSES}; if it stays, the host in the workspace's endpoint is mistyped: the provider's are {HOSTS}",
    ),
    "connect_timeout": _passing("no connection stood within timeouts.connect", _NETWORK),
    "unreachable": _passing("the endpoint could not be reached", _NETWORK),
    "open_files": _passing("this process may open no more connections", "raise the limit of open files (ulimit -n) or lower concurrency"),
    # A port is kept from use for a minute after its connection was closed.
    "no_port": _passing(
        "this machine has no port left for another connection to the endpoint",
        f"{_PASSES}; if it stays, look at what else calls from here, lower concurrency, or have the system give more ports "
        "(sysctl net.ipv4.ip_local_port_range)",
    ),
    "tls_handshake": _passing("the TLS handshake failed", f"{_NETWORK}: is it https that is spoken there?"),
    "tls": _standing(
        "the endpoint's TLS certificate could not be verified",
        "check the host in the workspace's endpoint, and this machine's clock where it is said to have expired or not to be valid yet; "
        "where a company proxy opens TLS, name its certificate file in SSL_CERT_FILE; "
        "then run the same command again",
    ),
    "proxy": _passing("the proxy could not be used", f"{_PASSES}; if it stays, check the proxy that the job or the environment names"),
    "proxy_refused": _standing(
        "the proxy refused the connection",
        "check the proxy that the job or the environment names, its credentials (407), and whether it lets calls to this host through "
        "(403)",
    ),
    # after it
    "connection_reset": _passing("the connection was reset", _NETWORK),
    "closed": _passing("the endpoint had closed the connection before the call came to it", _NETWORK),
    "disconnected": _passing("the endpoint closed the connection without an answer", _NETWORK),
    "read_timeout": _passing("the answer fell silent for timeouts.idle", _SLOW),
    "total_timeout": _passing("no whole answer came within timeouts.total", _SLOW),
    "half_body": _passing("the answer broke off in its middle", _NETWORK),
    "bad_http": _passing("the answer was not HTTP as it should be", _NOT_A_CHAT_ENDPOINT),
    "response_too_large": Mishap(
        Fault.REJECT,
        Scope.ROW,
        "the answer is larger than batchrun takes",
        "lower max_tokens or n of this row; it is asked again only with --retry-rejected, because each try is billed",
    ),
    "too_many_values": Mishap(
        Fault.REJECT,
        Scope.ROW,
        "the answer's values would take more memory than batchrun gives one answer",
        "lower top_logprobs, max_tokens or n of this row; it is asked again only with --retry-rejected, because each try is billed",
    ),
    "not_utf8": Mishap(
        Fault.REJECT,
        Scope.ROW,
        "the answer's text is damaged: it is in another encoding than UTF-8",
        "have whoever runs the endpoint, or a gateway before it, answer in UTF-8 (what could be read stands beside this failure); "
        "the row is asked again only with --retry-rejected, because each try is billed",
    ),
    "partial_response": Mishap(
        Fault.REJECT,
        Scope.ROW,
        "the provider broke the answer off when its own time for a plain call was up",
        "set stream = true for this row or its workspace, or lower max_tokens (what came of the answer stands beside this failure); "
        "the row is asked again only with --retry-rejected, because each try is billed",
    ),
    "no_memory": _passing(
        "this machine had no memory left for the call", f"{_PASSES}; if it stays, lower concurrency or transport.max_response_bytes"
    ),
    # in a whole answer of status 200
    "empty_body": _passing("the answer has no body", _NOT_A_CHAT_ENDPOINT),
    # Parks as a 404 without the provider's word does, and may have been billed all the same.
    "html": Mishap(
        Fault.PARK,
        Scope.LANE,
        "the answer is a web page",
        "correct endpoint of this workspace, if it is not the base URL of a chat API (one's own is a URL up to /chat/completions); else a "
        "gateway or a firewall between here and the provider answers, maybe for a sign-in: ask whoever runs that; then run the same "
        "command again",
    ),
    "event_stream": _passing("the answer is an event stream that cannot be read", _NOT_A_CHAT_ENDPOINT),
    "broken_event": _passing("an event of the stream is no JSON object", _PASSES),
    "not_json": _passing("the answer is no JSON", _NOT_A_CHAT_ENDPOINT),
    "not_an_object": _passing("the answer is no JSON object", _NOT_A_CHAT_ENDPOINT),
    "too_deep": _passing("the answer is nested too deeply", _NOT_A_CHAT_ENDPOINT),
    "no_choices": _passing("the answer has no choices", _NOT_A_CHAT_ENDPOINT),
    "no_message": _passing("the answer's choice has no message", _NOT_A_CHAT_ENDPOINT),
    "no_finish_reason": _passing("the answer has no finish reason: it is not whole", _PASSES),
    "broken_off": _passing("the endpoint broke the answer off, as its finish reason says", _PASSES),
    "empty_answer": _passing("the answer says nothing, and counts no token of it", _PASSES),
    "error_in_200": _passing("an error came under status 200", _PASSES),
}

BEFORE_ANY_CALL = frozenset(
    {
        *("connection_refused", "dns", "connect_timeout", "unreachable", "open_files", "tls_handshake", "tls", "proxy", "proxy_refused"),
        "invalid_proxy",
        "no_port",
        "closed",
    }
)
"""Mishaps of a connection that did not come to stand, or no longer stood: the provider knows nothing of the call."""


TIMED_OUT = frozenset({"read_timeout", "total_timeout"})
"""Mishaps of an answer that took longer than the job waits."""


def mishap(
    code: str,
    detail: str = "",
    *,
    in_doubt: bool,
    status: int | None = None,
    request_id: str | None = None,
    usage: Usage | None = None,
) -> Failure:
    """The failure that the mishap *code* is; *detail* follows its message and must hold no key and no row's body."""
    row = MISHAPS[code]
    message = f"{row.message} ({detail})" if detail else row.message
    return Failure(row.fault, row.scope, code, message, row.advice, status=status, request_id=request_id, in_doubt=in_doubt, usage=usage)
