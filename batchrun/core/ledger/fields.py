"""What single fields of a ledger's line must be: each is given back if it is that, and NotAnEntryError is raised if it is not.

A type is compared, not asked for with isinstance, where bool, which Python counts among the integers, must not pass.
"""

from __future__ import annotations

from batchrun.core.ledger.entry import NotAnEntryError


def text(value: object) -> str:
    """Text."""
    if not isinstance(value, str):
        raise NotAnEntryError("a field that must be text is not")
    return value


def count(value: object) -> int:
    """Tokens, or other things counted: whole and not below 0."""
    if type(value) is int and value >= 0:
        return value
    raise NotAnEntryError("a token count that is none")
