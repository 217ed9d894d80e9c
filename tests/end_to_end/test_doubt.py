"""Calls in doubt end to end: what may have been billed is bounded, held where that is wished, and sent again under the same key."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal

from tests.end_to_end.test_run import answered, bill, calls, rows_of, run, simulator, write_job

RESETS = '[[faults]]\nkind = "reset"\nfirst = 3\n'
PRICED = '[prices."qwen-plus"]\ntiers = { input = 0.8, output = 2 }\n'


def test_rows_in_doubt_are_held_listed_and_sent_again_only_when_told(tmp_path):
    with simulator(tmp_path, scenario=RESETS) as url:
        job = write_job(tmp_path, url, rows_of(40))
        job.write_text(job.read_text() + PRICED)
        first = run(tmp_path, "run", str(job), "--hold-in-doubt")
        assert first.returncode == 4, first.stderr
        assert b"12 rows are held" in first.stderr
        assert b"28 of 40 rows (70.0 %)" in first.stderr
        assert b", 12 rows held" in first.stderr
        assert b"--send-in-doubt" in first.stderr
        listed = json.loads(run(tmp_path, "report", "run", "--in-doubt", "--json").stdout)
        assert (len(calls(url)), len(answered(tmp_path)), len(listed)) == (40, 28, 12)
        assert {(call["why"], call["row"]) for call in listed} <= {("connection_reset", "pending"), ("disconnected", "pending")}
        assert not {call["id"] for call in listed} & {entry["id"] for entry in answered(tmp_path)}
        shown = run(tmp_path, "report", "run").stderr.decode()
        assert sum(map(int, re.findall(r"^held: \w+, (\d+) rows: in_doubt: a call of each may", shown, re.MULTILINE))) == 12
        assert "  batchrun report RUN --in-doubt lists them; to have them sent again, run with --send-in-doubt\n" in shown
        html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        assert "something needs a person" in html
        assert "to have them sent again, run with --send-in-doubt" in html

        again = run(tmp_path, "run", str(job), "--hold-in-doubt")
        assert (again.returncode, len(calls(url))) == (4, 40), "what is held is not sent"
        assert run(tmp_path, "report", "run").stderr.decode() == shown, "and is told still"
        assert b"28 of 40 rows (70.0 %)" in again.stderr, "nor is it done"

        last = run(tmp_path, "run", str(job), "--send-in-doubt", "--json")
        assert (last.returncode, len(calls(url))) == (0, 52), last.stderr
        told, billed, noted = json.loads(last.stdout)["total"], bill(url)["total"], calls(url)
    assert (told["in_doubt"], told["rows_in_doubt"], told["answered"]) == (12, 0, 40)
    assert run(tmp_path, "report", "run").stderr == b""
    for kind in ("input_tokens", "output_tokens"):
        assert told[kind] < billed[kind] <= told[kind] + told[f"in_doubt_{kind}"]
    # Input at its dearest, which is that of what a cache takes in.
    plain = sum(Decimal(call["input_tokens"]) * 8 + call["output_tokens"] * 20 for call in listed) / 10_000_000
    assert plain <= Decimal(told["in_doubt_cost"]["CNY"]) <= plain * Decimal("1.25")
    # Sent again by another process, each of these rows has kept its key.
    keys = Counter(call["idempotency_key"] for call in noted)
    assert (len(keys), Counter(keys.values())) == (40, {1: 28, 2: 12})


def test_what_may_have_been_billed_is_priced_by_what_held_then_whatever_the_job_says_of_prices_since(tmp_path):
    with simulator(tmp_path, scenario=RESETS) as url:
        job = write_job(tmp_path, url, rows_of(40))
        plain = job.read_text()
        job.write_text(plain + PRICED)
        first = run(tmp_path, "run", str(job), "--hold-in-doubt", "--json")
        before = json.loads(first.stdout)["total"]
        assert (first.returncode, before["in_doubt"]) == (4, 12), first.stderr
        for since in (PRICED.replace("0.8", "0.4").replace("2 }", "1 }"), "", PRICED):
            job.write_text(plain.replace("[job]\n", '[job]\nname = "job"\n') + since)
            then = json.loads(run(tmp_path, "run", str(job), "--hold-in-doubt", "--json").stdout)["total"]
            assert then["in_doubt_cost"] == before["in_doubt_cost"], since
            assert json.loads(run(tmp_path, "report", "run", "--json").stdout)["total"]["in_doubt_cost"] == before["in_doubt_cost"]
        job.write_text(plain.replace("research", "renamed").replace("RESEARCH", "RENAMED") + PRICED)
        assert run(tmp_path, "check", "run").returncode == 0
        assert run(tmp_path, "plan", str(job)).returncode in {0, 4}


def test_a_job_may_say_that_rows_in_doubt_are_held(tmp_path):
    with simulator(tmp_path, scenario=RESETS) as url:
        job = write_job(tmp_path, url, rows_of(20))
        job.write_text(job.read_text().replace("[retry]\n", '[retry]\nin_doubt = "hold"\n'))
        assert run(tmp_path, "run", str(job)).returncode == 4
        assert (len(calls(url)), len(answered(tmp_path))) == (20, 8)
        assert run(tmp_path, "run", str(job), "--send-in-doubt").returncode == 0
        assert len(calls(url)) == 32


def test_a_row_whose_stream_broke_with_a_throttles_code_is_held_too_and_sent_once_more_only_when_told(tmp_path):
    fault = '[[faults]]\nkind = "stream_native_error"\nfirst = 1\nworkspace = "legal"\n'
    rows = [row | {"workspace": "legal", "stream": True} for row in rows_of(6)]
    with simulator(tmp_path, scenario=fault) as url:
        job = write_job(tmp_path, url, rows, concurrency=1)
        first = run(tmp_path, "run", str(job), "--hold-in-doubt")
        assert first.returncode == 4, first.stderr
        assert b"1 row is held" in first.stderr
        assert (len(calls(url)), len(answered(tmp_path))) == (6, 5), "what is held is not sent"
        (listed,) = json.loads(run(tmp_path, "report", "run", "--in-doubt", "--json").stdout)
        assert (listed["why"], listed["row"]) == ("Throttling.AllocationQuota", "pending")
        assert run(tmp_path, "run", str(job), "--send-in-doubt").returncode == 0
        keys = Counter(call["idempotency_key"] for call in calls(url))
    assert (len(answered(tmp_path)), sorted(keys.values())) == (6, [1, 1, 1, 1, 1, 2])


def test_one_row_keeps_one_key_over_its_throttles_and_retries(tmp_path):
    faults = "".join(f'[[faults]]\nkind = "{kind}"\nfirst = {first}\n' for kind, first in (("throttle", 1), ("internal", 9), ("reset", 6)))
    with simulator(tmp_path, latency=0.0, scenario=faults) as url:
        assert run(tmp_path, "run", str(write_job(tmp_path, url, rows_of(80)))).returncode == 0
        made = calls(url)
    assert len(made) > 80
    assert len({(call["workspace"], call["sha"]) for call in made}) == len({call["idempotency_key"] for call in made}) == 80


def reading_beside_its_body(count):
    """Rows whose input is not in their bodies: of what a search finds, and of uploaded files."""
    searching = [{**row, "parameters": {"enable_search": True, "max_tokens": 60}} for row in rows_of(count)[::2]]
    told = [{"role": "system", "content": "fileid://file-fe-a,fileid://file-fe-b"}, {"role": "user", "content": "What do they say?"}]
    naming = [
        {"id": row["id"], "workspace": row["workspace"], "messages": told, "parameters": {"max_tokens": 60}} for row in rows_of(count)[1::2]
    ]
    return searching + naming


def test_the_doubt_of_rows_that_search_or_name_files_covers_the_input_that_is_not_in_their_bodies(tmp_path):
    with simulator(tmp_path, scenario=RESETS) as url:
        job = write_job(tmp_path, url, reading_beside_its_body(40))
        done = run(tmp_path, "run", str(job), "--json")
        assert done.returncode == 0, done.stderr
        told, billed = json.loads(done.stdout)["total"], bill(url)["total"]
    assert (told["in_doubt"], told["answered"]) == (12, 40)
    assert billed["input_tokens"] > told["input_tokens"] + 12 * 2_000, "it was no small thing"
    for kind in ("input_tokens", "output_tokens"):
        assert told[kind] < billed[kind] <= told[kind] + told[f"in_doubt_{kind}"]
