"""What comes back holds no key: an endpoint may echo the one it was sent, in any field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from batchrun.core.model import Failure


def key_of(headers: Mapping[str, str]) -> str:
    """The key among a request's headers; empty where there is none."""
    named = (value for name, value in headers.items() if name.lower() == "authorization")
    return next(named, "").removeprefix("Bearer ")


def masked(body: bytes, key: str) -> bytes:
    """*body* without *key*."""
    return body.replace(key.encode(), b"***") if key else body


def without_key(failure: Failure, key: str) -> Failure:
    """*failure* without *key*."""
    if not key:
        return failure
    return replace(
        failure,
        code=failure.code.replace(key, "***"),
        message=failure.message.replace(key, "***"),
        request_id=(failure.request_id or "").replace(key, "***") or None,
        body=masked(failure.body, key),
    )
