"""Whether a request came to the other end before that closed the connection: what was never acknowledged was never read.

Endpoints close connections that lie unused, and a request may be on its way just then. The end of the stream that they send says how far
they had received when they sent it: a system acknowledges what it has with everything it sends. So where the body of a request is not
acknowledged by then, the connection was closed before it came, and nobody has read it. A reset says no such thing. Nor does uvloop where
the other end leaves TLS without a word (``close_notify``): it tells of that when there is no socket any more to ask.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios


def never_reached(transport: asyncio.Transport, body_bytes: int) -> bool:
    """Whether none of the last *body_bytes* was acknowledged, now that the other end has closed its side; False where that is not known.

    Over TLS more bytes go than were written: at the most so many of a first record are acknowledged, and nobody can read a part of one.
    """
    held = transport.get_extra_info("socket")
    if held is None or held.fileno() < 0:
        return False
    try:
        queued = fcntl.ioctl(held.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return False
    return int.from_bytes(queued, sys.byteorder) + transport.get_write_buffer_size() >= body_bytes
