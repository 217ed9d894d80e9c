"""A row made ready to be sent: its route, its media, its body, and how its answer will be read and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from batchrun.core.jobs.endpoints import Endpoint, waits_for
from batchrun.core.jobs.job import Job
from batchrun.core.jobs.tables.headers import laid_over
from batchrun.core.ledger.attempts import Bound, most_asked
from batchrun.core.ledger.brought_in import most_of_files
from batchrun.core.limits.estimates import Estimate, Size
from batchrun.core.model import Failure, Hidden, Request, Row, Usage, named_tuple
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.reading import Reading
from batchrun.core.rows.answers import Answers, Schema
from batchrun.core.rows.parts import Kind, Medium, in_parts, media_of, with_urls
from batchrun.core.rows.routes import Route, route
from batchrun.core.rows.urls import unfit_data_url
from batchrun.core.scheduling.scheduler import Ticket
from batchrun.edge.media import MediaRoot, not_in_time
from batchrun.edge.source import RowChanged, Source
from batchrun.edge.threads import Threads
from batchrun.edge.transport import Transport
from batchrun.engine import Fetching, Prepared, Unreadable, Unsendable
from batchrun.running.budgets import most_tokens
from batchrun.running.made import Kept, Lane, Made
from batchrun.running.planning import Learnt, least_tpm

_MOST_BYTES = 16 << 20
_MOST_BYTES_WITH_MEDIA = 64 << 20
"""Of a request's body, as the provider takes it without and with data URLs (Model Studio's API reference)."""
_READERS = 40
"""Threads that read the media of one folder. They are its own: those that hang, for a share that is gone, hold up no sync of the ledger,
without which no workspace's calls go on, and no other folder's. Nor are they waited for longer than a call, or when the run is stopped."""

_OPEN_BY_A_READER = 2
"""A file and the folder that it is in, or two folders."""

Body = dict[str, Any]


def most_open_for_media(job: Job, source: Source) -> int:
    """Files that may be open at a time because media are read."""
    return _OPEN_BY_A_READER * _READERS * (1 if job.media.root else source.folders)


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


class Preparer:
    """Makes rows ready, those of a turn at a time; the engine's `prepare`."""

    def __init__(  # noqa: PLR0913 - each is a fact that only the run knows
        self,
        job: Job,
        keys: Mapping[str, Any],
        simulator: Endpoint | None,
        *,
        run: str,
        source: Source,
        schema: Schema | None,
        learnt: Learnt | None = None,
        look: Callable[[Row], None] = lambda _row: None,
        renewed: Callable[[str], SecretStr | None] = lambda _workspace: None,
    ) -> None:
        """*look* is called with each row that is read, when its turn has come.

        *renewed* gives the key that a workspace has by now, where that is another. It is asked when what stands still is tried again.
        """
        self._job = job
        self._workspaces = job.workspaces_resolved()
        self._keys = dict(keys)
        self._renewed = renewed
        self._simulator = simulator
        self._run = run
        self._source = source
        self._learnt = learnt or Learnt()
        self._look = look
        self._answers = Answers(schema, job.answers.reasks)
        self._roots: dict[Path, tuple[MediaRoot, Threads]] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._kept = Kept()
        self.tokens = 0
        """That the attempts of this opening are known to have cost."""

    def __call__(self, tickets: Sequence[Ticket]) -> list[Prepared | Unsendable | Unreadable | Fetching]:
        """Make the tickets' rows ready for one attempt each; only local media are waited for."""
        ordinals = [ticket.ordinal for ticket in tickets]
        for ticket in tickets:
            if ticket.probes:
                self._renew(ticket.lane.plan.workspace)
        kept = self._kept.made
        rows = self._source.read_together([ordinal for ordinal in ordinals if ordinal not in kept])
        if not kept:
            with suppress(MemoryError):
                return [self._made_of(ordinal, rows.get(ordinal) or self._source.read(ordinal)) for ordinal in ordinals]
        return [self._ready(ordinal, rows.get(ordinal)) for ordinal in ordinals]

    def _renew(self, workspace: str) -> None:
        if key := self._renewed(workspace):
            self._keys[workspace] = key
            # What is written already holds the former.
            self._lanes = {lane: each for lane, each in self._lanes.items() if lane[0] != workspace}
            self._kept.forget(workspace)

    def _ready(self, ordinal: int, row: Row | RowChanged | None) -> Prepared | Unsendable | Unreadable | Fetching:
        """Make one ready by itself, which may have been made before; the others go on where there is no memory for it."""
        try:
            made = self._kept.take(ordinal)
            if made is None or made.asks != self._answers.asked(ordinal)[0]:
                return self._made_of(ordinal, row or self._source.read(ordinal))
            return self._prepared(ordinal, made)
        except MemoryError:
            return Unreadable("there was no memory left to make it ready")

    def _made_of(self, ordinal: int, row: Row | RowChanged) -> Prepared | Unsendable | Unreadable | Fetching:
        if not isinstance(row, Row):
            return Unreadable(row.reason)
        self._look(row)
        messages = row.body["messages"]
        parts = in_parts(messages)
        media = [*media_of(messages)] if parts else []
        lane = self._lanes.get((row.workspace, row.model)) or self._begun(row.workspace, row.model)
        way = lane.media_way if media else lane.text_way
        if not isinstance(way, Route):
            return Unsendable(row, mishap("no_route", way.reason, in_doubt=False))
        if media:
            return Fetching(lambda: self._with_media(ordinal, row, lane, way, media))
        return self._written(ordinal, row, lane, way, row.body, (), parts=parts)

    async def _with_media(self, ordinal: int, row: Row, lane: Lane, way: Route, media: list[Medium]) -> Prepared | Unsendable:
        try:
            urls = await self._urls(media, ordinal, lane.total)
            if isinstance(urls, Failure):
                return Unsendable(row, urls)
            messages = with_urls(row.body["messages"], lambda medium: urls[medium])
            return self._written(ordinal, row, lane, way, {**row.body, "messages": messages}, media, parts=True)
        except MemoryError:
            return Unsendable(row, mishap("no_memory", in_doubt=False))

    def _begun(self, name: str, model: str) -> Lane:
        workspace = self._workspaces[name]
        tuned = model in workspace.deployments
        endpoint = self._simulator if workspace.endpoint.simulated and self._simulator else workspace.endpoint
        text, media = (route(endpoint, workspace.protocol, model, tuned=tuned, media=media) for media in (False, True))
        total = self._job.total_timeout(workspace.endpoint)
        lane = self._lanes[name, model] = Lane(
            text,
            media,
            blake2b(f"{self._run}\0{name}\0".encode(), digest_size=16).copy,
            laid_over(workspace.headers, waits_for(workspace.endpoint, total)),
            Hidden(f"Bearer {self._keys[name].get_secret_value()}"),
            self._learnt.estimate((name, model)),
            total,
            least_tpm(workspace, model),
            most_tokens(self._job, name, model),
        )
        return lane

    async def _urls(self, media: list[Medium], ordinal: int, seconds: float) -> Mapping[Medium, str] | Failure:
        """What each medium is sent as: the contents of a local file, waited for so many *seconds*, and what else the row has as it is."""
        urls: dict[Medium, str] = {}
        beside = self._source.folder(ordinal)
        for medium in media:
            url: str | Failure = medium.url
            if medium.is_bare_base64:
                url = medium.as_data_url
            elif medium.is_local:
                url = await self._read(medium, beside, seconds)
            if isinstance(url, Failure):
                return url
            if why := unfit_data_url(url):
                return mishap("media_too_large", why, in_doubt=False)
            urls[medium] = url
        return urls

    async def _read(self, medium: Medium, beside: Path, seconds: float) -> str | Failure:
        folder = Path(self._job.media.root) if self._job.media.root else beside
        if folder not in self._roots:
            self._roots[folder] = MediaRoot(folder), Threads(_READERS)
        root, readers = self._roots[folder]
        try:
            return await readers.take(partial(root.read, medium, beside), seconds)
        except TimeoutError:
            return not_in_time(medium)

    def _written(
        self, ordinal: int, row: Row, lane: Lane, way: Route, said_body: Body, media: Sequence[Medium], *, parts: bool
    ) -> Prepared | Unsendable:  # fmt: skip
        wire_format, terms, answers = way.wire_format, lane.terms(row), self._answers
        asks, said = answers.asked(ordinal)
        body = terms.sent(said_body, said) if said or terms.changes_body else said_body
        if why := wire_format.unfit(body):
            return Unsendable(row, mishap("cannot_carry", why, in_doubt=False))
        # As many bytes as it has: what orjson gives may hold eight times as many, and would for as long as the call takes.
        written = bytes(memoryview(wire_format.encode(body, terms.stream)))
        # Last, so that nothing that a job says can stand in their place.
        headers = {**lane.headers, "Authorization": lane.authorization, "Idempotency-Key": _idempotency_key(lane, row, asks)}
        if terms.stream:
            headers |= wire_format.stream_headers
        sent_media = 0
        kinds: list[Kind] = []
        if media:
            sent_media = sum(len(each.url) for each in media_of(body["messages"]))
            kinds = [each.kind for each in media]
            if any(each.url.startswith("oss://") for each in media):
                headers["X-DashScope-OssResourceResolve"] = "enable"
        asked = len(written) - sent_media + terms.most_brought_in + most_of_files(written, parts=parts)
        most_bytes = _MOST_BYTES_WITH_MEDIA if sent_media > _MOST_BYTES // 2 else _MOST_BYTES
        made = named_tuple(
            Made,
            (
                row,
                Request(way.url, headers, written, lane.total),
                named_tuple(Bound, (most_asked(asked, kinds), terms.most_output)),
                _size(written if not sent_media else orjson.dumps(row.body), len(media), terms.limit),
                lane,
                wire_format.dialect,
                asks,
                terms.tools,
                len(written) > most_bytes,
            ),
        )
        return self._prepared(ordinal, made)

    def _prepared(self, ordinal: int, made: Made) -> Prepared | Unsendable:
        """Give one attempt what it needs of its own, by what is known of rows like it now."""
        row, request, most, size, lane, dialect, _, tools, too_large = made
        estimate = lane.estimate
        asked = estimate.input_of(size)
        if lane.least_tpm is not None and asked > lane.least_tpm:
            return Unsendable(row, mishap("never_fits", f"about {asked:,.0f} against {lane.least_tpm:,.0f}", in_doubt=False))
        if too_large:
            return Unsendable(row, mishap("request_too_large", f"{len(request.body):,} bytes", in_doubt=False))
        answers = self._answers
        check = answers.checking(ordinal, tools=tools)
        return Prepared(
            row,
            request,
            most,
            # By the row's own settings: what was written holds its media once more, for as long as the call takes.
            Reading(dialect, row.body),
            check,
            asked + estimate.output_of(size),
            partial(self._learn, estimate, size, row.line_bytes),
            # Of a row that takes any answer nothing is remembered.
            _nothing if check is None else partial(answers.forget, ordinal),
            partial(self._kept.keep, ordinal, made),
        )

    def _learn(self, estimate: Estimate, size: Size, line_bytes: int, usage: Usage, under_way: int) -> float:
        self.tokens += usage.input_tokens + usage.output_tokens
        expected = estimate.of(size)
        estimate.learn(size, line_bytes, usage, under_way)
        return expected


def _idempotency_key(lane: Lane, row: Row, asks: int) -> str:
    """One a row and ask, the same over its retries: a server that honours it bills a repeated call once."""
    named, key = f"{row.id}\0{row.digest}", lane.begun_key()
    key.update((f"{named}\0{asks}" if asks else named).encode())
    return key.hexdigest()


def _nothing() -> None:
    pass


def _size(text: bytes, media: int, limit: int | None) -> Size:
    """What can be seen of a request whose *text* stands for it, its media left out."""
    return Size.of(len(text) if text.isascii() else len(text.decode()), len(text), media, limit)
