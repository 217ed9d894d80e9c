"""llmock: a mock provider that watches its clients, and whose `report` fails one that ignores Retry-After or repeats what cannot pass."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.peers.peer import Job, answers, free_port, once_each, rows_of, serving

pytestmark = pytest.mark.timeout(300)

KEYS = {"research": "sk-fake-research", "support": "sk-fake-support", "legal": "sk-fake-legal"}
SETTINGS = "[retry]\nmax_attempts = 8\nbackoff = { first = 0.1, max = 1.0 }\n"


@pytest.fixture
def judge(environment, tmp_path):
    """Start llmock with options; the block gets its URL."""
    llmock = environment("llmock").parent / "llmock"

    def started(*options):
        port = free_port()
        command = [llmock, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", *options]
        url = f"http://127.0.0.1:{port}"
        server = serving(command, lambda: answers(f"{url}/health"), tmp_path / "llmock.log")
        return server, url

    return started


def report(environment, url):
    """llmock's verdict as a program tells it, errors and warnings alike."""
    llmock = environment("llmock").parent / "llmock"
    command = [llmock, "report", "--url", url, "--strict", "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    told = json.loads(done.stdout)
    return done.returncode, told, [f"{finding['code']}: {finding['title']}" for finding in told["findings"]]


def test_a_strict_judge_finds_nothing_wrong_with_retries_under_random_errors(environment, judge, tmp_path, tell):
    # No 500: it names no time, and where full jitter's second wait happens to be the shorter one the judge warns of a constant interval.
    server, url = judge("--error-rate", "429=0.04", "--error-rate", "503=0.09", "--error-rate", "400=0.03")
    job = Job(tmp_path, f"{url}/v1", KEYS, model="gpt-4o-mini", settings=SETTINGS)
    rows = rows_of(tuple(KEYS), 240)
    job.asks(rows)
    with server:
        done = job.run("--json")
        code, verdict, findings = report(environment, url)
    total = done.total()
    tell(attempts=verdict["attempts"], faults=verdict["faults_injected"], answered=total["answered"], rejected=total["rejected"],
         errors=verdict["errors"], warnings=verdict["warnings"])  # fmt: skip
    assert (code, findings) == (0, []), findings
    assert verdict["calls"] == 240
    assert verdict["attempts"] == total["calls"]
    assert verdict["faults_injected"] == total["calls"] - total["answered"] > 10
    # Answered, but for those that met a 400: nothing would help them.
    assert total["answered"] + total["rejected"] == 240
    assert {(entry["outcome"], entry["failure"]["status"]) for entry in job.failed()} <= {("rejected", 400)}


def test_a_strict_judge_finds_nothing_wrong_under_a_quota_of_each_key(environment, judge, tmp_path, tell):
    server, url = judge("--rpm", "120")
    job = Job(tmp_path, f"{url}/v1", KEYS, model="gpt-4o-mini", settings=SETTINGS)
    # A bucket of 120 that refills by two a second: `research` empties it, the others do not.
    rows = [*rows_of(["research"], 140), *({**row, "id": f"s-{row['id']}"} for row in rows_of(["support", "legal"], 60))]
    job.asks(rows)
    with server:
        done = job.run("--json")
        code, verdict, findings = report(environment, url)
    assert done.code == 0, done.said
    once_each(job, rows)
    throttled = [attempt for attempt in job.attempts() if attempt.verdict == "throttled"]
    tell(attempts=verdict["attempts"], throttled=len(throttled), errors=verdict["errors"], warnings=verdict["warnings"])
    assert {attempt.workspace for attempt in throttled} == {"research"}
    assert (code, findings) == (0, []), findings


def test_the_judge_can_tell_a_repeated_400_from_one_that_is_not(environment, judge, tmp_path):
    server, url = judge("--error-rate", "400=1.0")
    job = Job(tmp_path, f"{url}/v1", KEYS, model="gpt-4o-mini", settings=SETTINGS)
    job.asks(rows_of(["legal"], 3))
    with server:
        assert job.run().code == 3
        assert report(environment, url)[0] == 0
        # The same bodies again: what batchrun does not do by itself.
        assert job.run("--retry-rejected").code == 3
        code, _, findings = report(environment, url)
    assert code == 1
    assert all(finding.startswith("retried_non_retryable") for finding in findings)
