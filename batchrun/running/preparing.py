"""A row made ready to be sent: its route, its media, its body, and how its answer will be read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import anyio
import orjson

from batchrun.core.jobs.endpoints import Endpoint
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.attempts import bound
from batchrun.core.limits.estimates import Estimate, Size
from batchrun.core.model import Failure, Hidden, Request, Row, Usage
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.reading import Reading
from batchrun.core.rows.answers import Answers, Schema
from batchrun.core.rows.families import needs_stream
from batchrun.core.rows.parts import Medium, in_parts, media_of, unfit_data_url, with_urls
from batchrun.core.rows.routes import NoRoute, Route, route
from batchrun.core.scheduling.scheduler import Ticket
from batchrun.edge.media import MediaRoot
from batchrun.edge.source import RowChanged, Source
from batchrun.edge.transport import Transport
from batchrun.engine import Fetching, Prepared, Unreadable, Unsendable
from batchrun.running.budgets import most_tokens
from batchrun.running.planning import Learnt, least_tpm

_MOST_BYTES = 16 << 20
_MOST_BYTES_WITH_MEDIA = 64 << 20
"""Of a request's body, as the provider takes it without and with data URLs (Model Studio's API reference)."""

Body = dict[str, Any]


def transport_of(job: Job, connections: int) -> Transport:
    """The pool of connections that *job* describes."""
    return Transport(
        connect=job.timeouts.connect,
        idle=job.timeouts.idle,
        total=job.timeouts.total,
        connections=connections,
        proxy=job.transport.proxy,
        max_response_bytes=job.transport.max_response_bytes,
    )


@dataclass(frozen=True, slots=True)
class _Lane:
    """What all rows of a workspace and model share."""

    authorization: str
    estimate: Estimate
    total: float
    """Seconds a call may take."""
    least_tpm: float | None
    most_tokens: int | None
    """The limit that a budget puts into rows that set none."""


class Preparer:
    """Makes rows ready, those of a turn at a time; the engine's `prepare`."""

    def __init__(
        self,
        job: Job,
        workspaces: Mapping[str, Workspace],
        keys: Mapping[str, Any],
        simulator: Endpoint | None,
        *,
        run: str,
        source: Source,
        schema: Schema | None,
        learnt: Learnt | None = None,
    ) -> None:
        self._job = job
        self._workspaces = workspaces
        self._keys = keys
        self._simulator = simulator
        self._run = run
        self._source = source
        self._learnt = learnt or Learnt()
        self._answers = Answers(schema, job.answers.reasks)
        self._routes: dict[tuple[str, str, bool], Route | NoRoute] = {}
        self._roots: dict[Path, MediaRoot] = {}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self.tokens = 0
        """That the attempts of this opening are known to have cost."""

    def __call__(self, tickets: Sequence[Ticket]) -> list[Prepared | Unsendable | Unreadable | Fetching]:
        """Make the tickets' rows ready for one attempt each; only local media are waited for."""
        rows = self._source.read_together([ticket.ordinal for ticket in tickets])
        return [self._ready(ticket, rows.get(ticket.ordinal)) for ticket in tickets]

    def _ready(self, ticket: Ticket, row: Row | RowChanged | None) -> Prepared | Unsendable | Unreadable | Fetching:
        try:
            return self._made_of(ticket, row or self._source.read(ticket.ordinal))
        except MemoryError:
            return Unreadable("there was no memory left to make it ready")

    def _made_of(self, ticket: Ticket, row: Row | RowChanged) -> Prepared | Unsendable | Unreadable | Fetching:
        if isinstance(row, RowChanged):
            return Unreadable(row.reason)
        messages = row.body["messages"]
        media = [*media_of(messages)] if in_parts(messages) else []
        found = self._route(row, media=bool(media))
        if isinstance(found, NoRoute):
            return Unsendable(row, mishap("no_route", found.reason, in_doubt=False))
        return Fetching(lambda: self._with_media(ticket, row, found, media)) if media else self._written(ticket, row, found, row.body, [])

    async def _with_media(self, ticket: Ticket, row: Row, way: Route, media: list[Medium]) -> Prepared | Unsendable:
        try:
            urls = await self._urls(media, ticket.ordinal)
            if isinstance(urls, Failure):
                return Unsendable(row, urls)
            messages = with_urls(row.body["messages"], lambda medium: urls[medium])
            return self._written(ticket, row, way, {**row.body, "messages": messages}, media)
        except MemoryError:
            return Unsendable(row, mishap("no_memory", in_doubt=False))

    def _lane(self, name: str, model: str) -> _Lane:
        lane = self._lanes.get((name, model))
        if lane is None:
            workspace, key = self._workspaces[name], self._keys[name].get_secret_value()
            lane = self._lanes[name, model] = _Lane(
                Hidden(f"Bearer {key}"),
                self._learnt.estimate((name, model)),
                self._job.total_timeout(workspace.endpoint),
                least_tpm(workspace, model),
                most_tokens(self._job, name, model),
            )
        return lane

    def _route(self, row: Row, *, media: bool) -> Route | NoRoute:
        key = (row.workspace, row.model, media)
        found = self._routes.get(key)
        if found is None:
            workspace = self._workspaces[row.workspace]
            endpoint = self._simulator if workspace.endpoint.simulated and self._simulator else workspace.endpoint
            tuned = row.model in workspace.deployments
            found = self._routes[key] = route(endpoint, workspace.protocol, row.model, tuned=tuned, media=media)
        return found

    async def _urls(self, media: list[Medium], ordinal: int) -> Mapping[Medium, str] | Failure:
        """What each medium is sent as: the contents of a local file, and what else the row has as it is."""
        urls: dict[Medium, str] = {}
        beside = self._source.folder(ordinal)
        for medium in media:
            url: str | Failure = medium.url
            if medium.is_bare_base64:
                url = medium.as_data_url
            elif medium.is_local:
                url = await anyio.to_thread.run_sync(self._root(beside).read, medium, beside)
            if isinstance(url, Failure):
                return url
            if why := unfit_data_url(url):
                return mishap("media_too_large", why, in_doubt=False)
            urls[medium] = url
        return urls

    def _root(self, beside: Path) -> MediaRoot:
        folder = Path(self._job.media.root) if self._job.media.root else beside
        if folder not in self._roots:
            self._roots[folder] = MediaRoot(folder)
        return self._roots[folder]

    def _written(self, ticket: Ticket, row: Row, way: Route, said_body: Body, media: list[Medium]) -> Prepared | Unsendable:
        lane, body, ordinal, explicit = self._lane(row.workspace, row.model), said_body, ticket.ordinal, None
        # The row's own body is what is sent, as a rule, and nobody changes either.
        if "stream" in body:
            body = body.copy()
            explicit = body.pop("stream")
        if lane.most_tokens is not None and body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
            body = body | {"max_tokens": lane.most_tokens}
        stream = needs_stream(row.model, body) if explicit is None else explicit
        asks, said = self._answers.asked(ordinal)
        if said:
            body = body | {"messages": [*body["messages"], *said]}
        wire_format = way.wire_format
        if why := wire_format.unfit(body):
            return Unsendable(row, mishap("cannot_carry", why, in_doubt=False))
        written = wire_format.encode(body, stream)
        sent_media = sum(len(each.url) for each in media_of(body["messages"])) if media else 0
        size = _size(written if not sent_media else orjson.dumps(row.body), body, len(media))
        estimate, most = lane.estimate, lane.least_tpm
        asked = estimate.input_of(size)
        if most is not None and asked > most:
            return Unsendable(row, mishap("never_fits", f"about {asked:,.0f} against {most:,.0f}", in_doubt=False))
        if len(written) > _MOST_BYTES and len(written) > (_MOST_BYTES_WITH_MEDIA if sent_media > _MOST_BYTES // 2 else _MOST_BYTES):
            return Unsendable(row, mishap("request_too_large", f"{len(written):,} bytes", in_doubt=False))
        headers: dict[str, str] = {"Authorization": lane.authorization, "Idempotency-Key": self._idempotency_key(row, asks)}
        if stream:
            headers |= wire_format.stream_headers
        if media and any(each.url.startswith("oss://") for each in media):
            headers["X-DashScope-OssResourceResolve"] = "enable"
        check = self._answers.checking(ordinal, tools="tools" in body)
        return Prepared(
            row,
            Request(way.url, headers, written, lane.total),
            bound(body, len(written) - sent_media, [each.kind for each in media] if media else ()),
            Reading(wire_format.dialect, body),
            check,
            asked + estimate.output_of(size),
            lambda usage: self._learn(estimate, size, ordinal, usage),
            # Of a row that takes any answer nothing is remembered.
            _nothing if check is None else lambda: self._answers.forget(ordinal),
        )

    def _learn(self, estimate: Estimate, size: Size, ordinal: int, usage: Usage) -> None:
        self.tokens += usage.input_tokens + usage.output_tokens
        estimate.learn(size, self._source.line_bytes(ordinal), usage)

    def _idempotency_key(self, row: Row, asks: int) -> str:
        """One a row and ask, the same over its retries: a server that honours it bills a repeated call once."""
        named = f"{self._run}\0{row.workspace}\0{row.id}\0{row.digest}"
        return blake2b((f"{named}\0{asks}" if asks else named).encode(), digest_size=16).hexdigest()


def _nothing() -> None:
    pass


def _size(text: bytes, body: Body, media: int) -> Size:
    """What can be seen of a request whose *text* stands for it, its media left out."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return Size(len(text) if text.isascii() else len(text.decode()), len(text), media, limit if isinstance(limit, int) else None)
