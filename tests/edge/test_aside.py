"""What is said on the way never holds up who says it."""

from __future__ import annotations

import contextlib
import io
import os

from batchrun.edge.aside import Aside


def test_what_is_said_is_written_in_order_and_all_of_it_by_the_end():
    stream = io.StringIO()
    with Aside(stream) as aside:
        for number in range(1000):
            aside.write(f"{number}\n")
    assert stream.getvalue().split() == [str(number) for number in range(1000)]


def test_a_stream_that_takes_nothing_holds_nobody_up_and_fills_no_memory():
    read, write = os.pipe()
    with os.fdopen(write, "w", buffering=1) as full:
        with Aside(full) as aside:
            for _ in range(10_000):
                aside.write("x" * 1000)
            waiting = len("".join(aside._waiting))  # type: ignore[attr-defined]
        is_left = aside._thread.is_alive()  # type: ignore[attr-defined]
        os.close(read)
    aside.write("more")
    assert waiting <= 2 * (1 << 18)
    assert is_left, "it was left with most of it unwritten"


def test_a_stream_that_is_gone_swallows_everything():
    read, write = os.pipe()
    os.close(read)
    closed = os.fdopen(write, "w", closefd=True)
    with Aside(closed) as aside:
        for _ in range(100):
            aside.write("x" * 10_000)
    with contextlib.suppress(BrokenPipeError):
        closed.close()
    assert not aside.isatty()
