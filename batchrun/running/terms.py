"""What a request asks for besides its messages: worked out once for all of a workspace and model that say nothing of their own."""

from __future__ import annotations

from typing import Any

from batchrun.core.classes import value
from batchrun.core.ledger.attempts import as_limit, most_answered
from batchrun.core.ledger.brought_in import most_of_tools
from batchrun.core.rows.families import needs_stream

Body = dict[str, Any]


@value
class Terms:
    """Of one request, or of all that differ in their messages alone."""

    stream: bool
    says_stream: bool
    """Whether the body says so itself, in batchrun's own word, which is not sent."""
    max_tokens: int | None
    """The limit that a budget puts into a body that sets none."""
    most_output: int
    """Tokens that one call can be billed for at the most."""
    most_brought_in: int
    """Input tokens, at the most, of what the provider searches or runs for it."""
    limit: int | None
    """Tokens that the body lets an answer have."""
    tools: bool
    """Whether it offers any."""
    changes_body: bool
    """Whether what is sent is another than the body that was given."""

    def sent(self, body: Body, said: list[Any] | None = None) -> Body:
        """*body* as it is sent, and *said* after its messages. What is given is not changed."""
        if self.says_stream:
            body = body.copy()
            del body["stream"]
        if self.max_tokens is not None:
            body = body | {"max_tokens": self.max_tokens}
        return body | {"messages": [*body["messages"], *said]} if said else body


def terms_of(model: str, body: Body, most_tokens: int | None) -> Terms:
    """Work out those of a row's *body*; *most_tokens* is the limit that a budget puts into rows that set none."""
    sets_none = body.get("max_tokens") is None and body.get("max_completion_tokens") is None
    max_tokens = most_tokens if sets_none else None
    settings = body if max_tokens is None else body | {"max_tokens": max_tokens}
    stream = body.get("stream")
    return Terms(
        needs_stream(model, settings) if stream is None else stream,
        "stream" in body,
        max_tokens,
        most_answered(settings),
        most_of_tools(settings),
        as_limit(settings.get("max_completion_tokens")) or as_limit(settings.get("max_tokens")),
        "tools" in body,
        "stream" in body or max_tokens is not None,
    )
