"""What tests of work without a clock count."""

from __future__ import annotations

import gc

from tests.steps import lines_run


def test_what_the_garbage_collector_does_meanwhile_is_no_work_of_the_call():
    def collected(_phase, _info):
        heard.append(1)

    def call():
        kept.extend([] for _ in range(5_000))

    heard: list[int] = []
    kept: list[list[int]] = []
    alone = lines_run(call)
    gc.callbacks.append(collected)
    try:
        assert lines_run(call) == alone
    finally:
        gc.callbacks.remove(collected)
    assert gc.isenabled()
