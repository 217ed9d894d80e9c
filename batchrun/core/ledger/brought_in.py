"""Input that a call is billed for and that its body does not hold: uploaded files, and what the provider's own tools find.

Nobody can tell how much that is before the answer says so, so a row that has any is taken for as much as a model takes in at the most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_TOKENS_OF_FILES = 10_000_000
"""The context of qwen-long, the longest of those that read files (Model Studio's page on it, 2025-11). Their contents are billed as input
with each call; what is longer is refused."""
MOST_TOKENS_OF_TOOLS = 1_000_000
"""The longest input of the other models is 983,616 tokens (error page). Of a tool whose rounds may each be billed as input, such as code
that is run, no bound is documented: for those this is an assumption, of about four whole contexts of qwen3-max."""

_FILE = b"fileid://"
_DOCUMENT = b'"doc_url"'
"""A part of a message that names documents by their addresses, as qwen-doc-turbo reads them."""
_SWITCHES = frozenset({"enable_search", "search_options", "enable_code_interpreter", "plugins"})
_WRAPPERS = frozenset({"extra_body", "parameters"})
"""What clients write such settings into: whether the provider looks there is not known."""
_LOOKED_AT = _SWITCHES | _WRAPPERS | {"tools"}


def most_of_files(written: bytes, *, parts: bool) -> int:
    """Input tokens at the most of the files that a body may name, as it is sent: the mere words in a text count too.

    *parts* tells whether its messages have any, among which alone there can be documents.
    """
    # `in` takes what it is to look for for a number first, and makes an error of that: it costs half as much again.
    return MOST_TOKENS_OF_FILES if written.find(_FILE) >= 0 or (parts and written.find(_DOCUMENT) >= 0) else 0


def most_of_tools(body: Mapping[str, Any]) -> int:
    """Input tokens at the most of what the provider searches or runs for a chat request; its own functions are the caller's to run."""
    return MOST_TOKENS_OF_TOOLS if not _LOOKED_AT.isdisjoint(body) and _lets_it_look(body) else 0


def _lets_it_look(body: Mapping[str, Any]) -> bool:
    if any(body.get(name) for name in _SWITCHES):
        return True
    tools = body.get("tools")
    if isinstance(tools, list) and any(isinstance(each, dict) and each.get("type", "function") != "function" for each in tools):
        return True
    return any(isinstance(inner := body.get(name), dict) and most_of_tools(inner) for name in _WRAPPERS)
