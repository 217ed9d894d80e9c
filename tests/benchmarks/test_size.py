"""What the measure of size rests on; `python -m tests.benchmarks.size` measures."""

from __future__ import annotations

from batchrun.edge.job_file import load_job
from batchrun.running.statements import read_statement
from tests.benchmarks.size.files import keys, write_input, write_job, write_ledger
from tests.benchmarks.size.scheduling import micros
from tests.benchmarks.size.seen import Endpoint, running


def test_a_run_goes_on_from_the_ledger_that_was_written_for_it_and_each_first_call_is_seen(tmp_path):
    write_input(tmp_path / "in.jsonl", 300, 200, 3)
    with Endpoint() as endpoint:
        path = write_job(tmp_path, endpoint.url, 3)
        write_ledger(load_job(path), 198)
        with running(path, keys(3), endpoint) as child:
            assert child.process.wait(60) == 0, (tmp_path / "said").read_text()
        assert set(child.first_calls) == {"w-1", "w-2"}
        assert all(0 < cost.resident_mb <= cost.peak_mb for cost in child.first_calls.values())
    total = read_statement(tmp_path / "run").total()
    assert (total.answered, total.calls, total.in_doubt) == (300, 300, 0)


def test_as_many_rows_are_scheduled_as_are_asked():
    assert micros(50, 1000, decisions=500) > 0
