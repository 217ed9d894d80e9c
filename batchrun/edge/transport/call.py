"""One post from its beginning to its end: begun at once where a connection is free, and waited for only where there is a wait.

As a rule there is not: the request goes out over a connection that stands, and its answer comes in one piece, which is read when it is
asked for. So an ordinary call costs no task and no future. What has to be waited for (a connection, the rest of an answer, a stream, what a
refusal says) is awaited by whoever made the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from batchrun.core.classes import value
from batchrun.core.model import Failure, Fault, Reply, Request
from batchrun.core.protocols.failures import located
from batchrun.core.protocols.mishaps import BEFORE_ANY_CALL, mishap
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport.attempt import Attempt
from batchrun.edge.transport.connections import Connection
from batchrun.edge.transport.mishaps import TooLargeError, TooManyValuesError, WireError, code_of, reason_of, untie
from batchrun.edge.transport.pool import Pool
from batchrun.edge.transport.secrets import failure_without_key, masked, reply_without_key
from batchrun.edge.transport.targets import Target
from batchrun.edge.transport.turns import Few
from batchrun.edge.transport.watch import Watch

_OF_A_CONNECTION = frozenset({"disconnected", "bad_http", "half_body", "connection_reset"})
"""Mishaps of one that stands; before that they are other ones."""

_THE_SERVERS = frozenset({Fault.AGAIN, Fault.PARK})
"""Failures that another one of them might not have."""


@value
class Terms:
    """What all calls of a run have in common."""

    loop: asyncio.AbstractEventLoop
    pool: Pool
    turns: Few
    """Of answers that take long to read."""
    connect: float
    connect_code: str
    """What a connection that does not stand in time is."""
    idle: float
    max_response_bytes: int
    at_once_bytes: int
    """Of a body that lies there whole: a larger one is taken in pieces."""


class Call(Attempt):
    """A request on its way to *target*, and its answer on the way back; what comes of it does not hold the key."""

    __slots__ = ("_request", "_target", "_terms", "_watch")

    def __init__(self, terms: Terms, target: Target, request: Request, reading: Reading, total: float, watch: Watch) -> None:
        now = terms.loop.time()
        Attempt.__init__(self, terms.loop, reading, now, now + total)
        self._terms = terms
        self._target = target
        self._request = request
        self._watch = watch

    def begin(self, came: Callable[[float], None]) -> bool:
        """Send it, if a connection is free; *came* is told, once and later, when it is time to ask for what is `taken`."""
        self.connection = self._terms.pool.take(self._target, self.began)
        if self.connection is None:
            return False
        try:
            self._watch.add(self)
            self.connection.write(self._target.head, self._request)
        except MemoryError as error:
            # Some of it may be on its way: what it comes to is told as that of any other is, and ends none.
            self._terms.loop.call_soon(self.connection.fail, error)
        except BaseException:
            self._over()
            raise
        self.connection.tell(came)
        return True

    def taken(self, at: float) -> Reply | Failure | None:
        """What the answer that came *at* a time of the loop comes to; None where it is not there whole, or no plain one: `rest` tells."""
        connection = self.connection
        assert connection is not None
        status = connection.status
        try:
            if not 200 <= status < 300 or (body := connection.whole(self._terms.at_once_bytes)) is None:
                return None
            result = self.reading.at_once(status, connection.headers, body)
            if result is None:
                self._read(body, at)
                result = Attempt.result(self)
            if isinstance(result, Failure):
                result = self._failed(result)
            else:
                connection.answered = True
            result = self._cleaned(result)
        except MemoryError:
            result = mishap("no_memory", in_doubt=True)
        except BaseException:
            self._over()
            raise
        self._over()
        return result

    async def rest(self) -> Reply | Failure:
        """Wait for what is left of it, all of it where it was not begun. Cancelling closes the connection."""
        try:
            return self._cleaned(await self._result())
        except MemoryError:
            # What it had taken is given back by now: the others go on.
            return mishap("no_memory", in_doubt=True)

    def result(self) -> Reply | Failure:
        """What the answer comes to; of one that may have come from another place it is told what was called."""
        result = super().result()
        if isinstance(result, Failure):
            return self._failed(result)
        assert self.connection is not None
        self.connection.answered = True
        return result

    def abort(self) -> None:
        """Break it off, if it is still under way; nothing is told of it any more."""
        if self.connection is not None:
            self.connection.tell(None)
        self._over()

    async def _result(self) -> Reply | Failure:
        try:
            if self.connection is None:
                self._watch.add(self)
                self.connection = self._terms.pool.take(self._target, self.began) or await self._opened()
                self.connection.write(self._target.head, self._request)
            return await self._answered(self.connection)
        except (WireError, TooLargeError, aiohttp.ClientError, OSError, UnicodeError) as error:
            untie(error)
            return self.outlived(error) or self._mishap(error)
        finally:
            self._over()

    def _mishap(self, error: BaseException) -> Failure:
        status = 0 if self.connection is None else self.connection.status
        if not isinstance(error, TooLargeError):
            refused = 300 <= status < 500
            code = self.over or what(self._target, error)
            in_doubt = self.connection is not None and not refused and code not in BEFORE_ANY_CALL
            if self.connection is None and code in _OF_A_CONNECTION:
                # It was to the proxy, or fell while it was made: nothing of the call has gone to the provider.
                code = "proxy" if self._target.proxy else "unreachable"
            return mishap(code, told(self._target, error), in_doubt=in_doubt, status=status if refused else None)
        if isinstance(error, TooManyValuesError):
            return mishap("too_many_values", in_doubt=True, status=status)
        return mishap("response_too_large", f"over {self._terms.max_response_bytes} bytes", in_doubt=True, status=status)

    async def _answered(self, connection: Connection) -> Reply | Failure:
        terms = self._terms
        while not connection.status:
            await connection.more()
        status = connection.status
        if not 200 <= status < 300:
            # Masked before it is read: an excerpt could cut a key in two and keep a half.
            body = masked(await self.refusal(connection, terms.max_response_bytes, terms.idle), self._target.key)
            return self._failed(self.reading.refused(status, connection.headers, body))
        await self.feed(connection, terms.max_response_bytes, terms.idle, self._target.room, terms.turns)
        return self.result()

    def _failed(self, failure: Failure) -> Failure:
        """What an answer that is a *failure* comes to.

        Where it is neither the row's nor a rate's, the connection may lead to the one of several servers that is broken. That is soon done
        with each call, and would get most of them: so no other goes there, or one more where the call before was answered over it. For a
        service fails some calls by chance, over whatever connection, and a new one costs as much as several calls, and with TLS as ten.
        """
        connection = self.connection
        if connection is not None and failure.fault in _THE_SERVERS:
            connection.reusable, connection.answered = connection.reusable and connection.answered, False
        return located(failure, self._target.shown)

    async def _opened(self) -> Connection:
        """A connection that was waited for; *total* bounds the wait where it is shorter than *connect*."""
        terms = self._terms
        try:
            async with asyncio.timeout(terms.connect) as within:
                # Many that are begun at once, on a machine that has more to do, wait for their turn: that tells nothing of the network.
                return await terms.pool.opened(
                    self._target,
                    lambda: within.reschedule(self.ends),
                    lambda: within.reschedule(min(self.ends, terms.loop.time() + terms.connect)),
                )
        except TimeoutError:
            self.over = terms.connect_code if terms.loop.time() < self.ends else "total_timeout"
            raise

    def _cleaned(self, result: Reply | Failure) -> Reply | Failure:
        key = self._target.key
        return failure_without_key(result, key) if isinstance(result, Failure) else reply_without_key(result, key)

    def _over(self) -> None:
        """Let go of all that it holds; the second time there is nothing."""
        self._watch.remove(self)
        if self._timer is not None:
            self.close()
        target = self._target
        if target.room.held:
            target.room.leave(self)
        connection, self.connection = self.connection, None
        if connection is not None:
            self._terms.pool.give_back(target, connection)


def what(target: Target, error: BaseException) -> str:
    """The mishap that *error* is on the way to *target*: behind a proxy no name is looked up but the proxy's own."""
    return "proxy" if target.proxy and isinstance(error, aiohttp.ClientConnectorDNSError) else code_of(error)


def told(target: Target, error: BaseException) -> str:
    """What may be said of *error*."""
    way = f"{target.shown} through {target.proxy.host}:{target.proxy.port}" if target.proxy else target.shown
    return ": ".join(filter(None, (way, reason_of(error))))
