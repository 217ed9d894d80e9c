"""LiteLLM's proxy: a real limiter that counts requests per key and says Retry-After, and the errors it makes of a provider's."""

from __future__ import annotations

import itertools
import json
import signal
from collections import Counter
from typing import NamedTuple

import pytest

from tests.peers.peer import Job, answers, free_port, once_each, rows_of, serving, until

pytestmark = pytest.mark.timeout(500)

RETRY_AFTER = 6
"""Seconds: LiteLLM tells the length of its window, which is a minute unless LITELLM_RATE_LIMIT_WINDOW_SIZE says otherwise."""
LIMIT = 4
"""Requests a window for the one key that is limited."""
KEYS = {"limited": "sk-fake-limited", "free": "sk-fake-free"}
MODELS = {
    "answers": "It moves water.",
    "throttles": "litellm.RateLimitError",
    "fails": "litellm.InternalServerError",
    "overflows": "litellm.ContextWindowExceededError",
}
ADMISSION = f"""
import json, time
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

LIMITS = {{"sk-fake-limited": {LIMIT}, "sk-fake-free": None}}
journal = open("arrivals.jsonl", "a", buffering=1)


async def admit(request, api_key):
    asked = await request.json()
    journal.write(json.dumps([time.time(), api_key, asked["model"], asked["messages"][-1]["content"]]) + "\\n")
    if api_key not in LIMITS:
        raise ProxyException(message="this key is nobody's", type="auth_error", param="api_key", code=401)
    return UserAPIKeyAuth(api_key=api_key, rpm_limit=LIMITS[api_key])
"""
SETTINGS = "[retry]\nmax_attempts = 3\nbackoff = { first = 0.2, max = 1.0 }\n"


class Arrival(NamedTuple):
    """A call, as the proxy met it."""

    at: float
    key: str
    model: str
    prompt: str


class Proxy:
    """Its address, and what it has met since a test began."""

    def __init__(self, port, home):
        self.base = f"http://127.0.0.1:{port}/v1"
        self._journal = home / "arrivals.jsonl"
        self._before = 0

    def begin(self):
        self._before = len(self._lines())
        return self

    def arrivals(self):
        return [Arrival(*json.loads(line)) for line in self._lines()[self._before :]]

    def _lines(self):
        return self._journal.read_text().splitlines() if self._journal.exists() else []


@pytest.fixture(scope="module")
def running(environment, tmp_path_factory):
    home = tmp_path_factory.mktemp("litellm")
    (home / "admission.py").write_text(ADMISSION)
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": said}}
        for name, said in MODELS.items()
    ]
    settings = {
        "model_list": models,
        # Every retry is to be batchrun's.
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"custom_auth": "admission.admit", "master_key": "sk-fake-master-0123456789abcdef0123456789"},
    }
    (home / "config.yaml").write_text(json.dumps(settings))
    port = free_port()
    litellm = environment("litellm").parent / "litellm"
    variables = {"LITELLM_RATE_LIMIT_WINDOW_SIZE": str(RETRY_AFTER), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [litellm, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    health = f"http://127.0.0.1:{port}/health/liveliness"
    with serving(command, lambda: answers(health), home / "log", within=120, variables=variables):
        yield Proxy(port, home)


@pytest.fixture
def proxy(running):
    return running.begin()


def test_a_limited_key_waits_as_long_as_it_is_told_and_the_other_key_not_at_all(proxy, tmp_path, tell):
    job = Job(tmp_path, proxy.base, KEYS, model="answers", settings=SETTINGS)
    rows = [*rows_of(["limited"], 10), *({**row, "id": f"free-{row['id']}"} for row in rows_of(["free"], 60))]
    job.asks(rows)
    done = job.run("--json")
    assert done.code == 0, done.said
    once_each(job, rows)
    throttled = [attempt for attempt in job.attempts() if attempt.verdict == "throttled"]
    arrived = {name: [arrival.at for arrival in proxy.arrivals() if arrival.key == key] for name, key in KEYS.items()}
    free_took, limited_took = (max(arrived[name]) - min(arrived["limited"]) for name in ("free", "limited"))
    tell(calls=len(proxy.arrivals()), throttled=len(throttled), limited_took=f"{limited_took:.1f} s", free_took=f"{free_took:.1f} s")
    assert throttled
    assert {attempt.workspace for attempt in throttled} == {"limited"}
    # Ten rows, four a window: it takes three windows; and the other key, whose sixty would take fifteen, is done before them.
    assert limited_took >= 2 * RETRY_AFTER
    assert free_took < limited_took
    # What had been sent by the time a 429 was read may still arrive; after that the proxy hears nothing until the time is over.
    early = [at for attempt in throttled for at in arrived["limited"] if attempt.ended + 0.3 < at < attempt.ended + RETRY_AFTER - 0.05]
    assert not early


def test_an_unknown_key_parks_its_workspace_and_the_other_goes_on(proxy, tmp_path, tell):
    keys = {"free": KEYS["free"], "strangers": "sk-fake-of-nobody"}
    job = Job(tmp_path, proxy.base, keys, model="answers", settings=SETTINGS)
    job.asks(rows_of(tuple(keys), 40))
    done = job.run()
    assert done.code == 4, done.said
    assert "parked: workspace strangers, 20 rows: 401" in done.said
    assert "this key is nobody's" in done.said
    assert Counter(entry["workspace"] for entry in job.answered()) == {"free": 20}
    refused = [arrival for arrival in proxy.arrivals() if arrival.key == keys["strangers"]]
    tell(refused=len(refused), answered=20)
    assert 1 <= len(refused) <= 4


def test_a_failing_model_is_asked_its_attempts_and_no_more(proxy, tmp_path, tell):
    job = Job(tmp_path, proxy.base, {"free": KEYS["free"]}, model="answers", settings=SETTINGS)
    fails = rows_of(["free"], 5, model="fails")
    good = [{**row, "id": f"good-{row['id']}"} for row in rows_of(["free"], 10)]
    job.asks([*fails, *good])
    done = job.run()
    assert done.code == 3, done.said
    once_each(job, good)
    assert {(entry["outcome"], entry["attempts"], entry["failure"]["status"]) for entry in job.failed()} == {("exhausted", 3, 500)}
    asked = Counter(arrival.prompt for arrival in proxy.arrivals() if arrival.model == "fails")
    tell(exhausted=len(job.failed()), calls_each=sorted(set(asked.values())), answered=len(good))
    assert asked == Counter({row["prompt"]: 3 for row in fails})


def test_a_prompt_over_the_context_window_is_asked_once(proxy, tmp_path, tell):
    job = Job(tmp_path, proxy.base, {"free": KEYS["free"]}, model="answers", settings=SETTINGS)
    too_long = rows_of(["free"], 5, model="overflows")
    job.asks(too_long)
    done = job.run()
    assert done.code == 3, done.said
    assert {(entry["outcome"], entry["failure"]["status"]) for entry in job.failed()} == {("rejected", 400)}
    tell(rejected=len(job.failed()), calls=len(proxy.arrivals()))
    assert sorted(arrival.prompt for arrival in proxy.arrivals()) == sorted(row["prompt"] for row in too_long)


def test_a_model_the_proxy_does_not_know_is_asked_once_a_row(proxy, tmp_path, tell):
    job = Job(tmp_path, proxy.base, {"free": KEYS["free"]}, model="no-such-model", settings=SETTINGS)
    job.asks(rows_of(["free"], 5))
    done = job.run()
    assert done.code == 3, done.said
    assert "Invalid model name" in job.failed()[0]["failure"]["message"]
    tell(rejected=len(job.failed()), calls=len(proxy.arrivals()))
    assert len(proxy.arrivals()) == 5


def test_a_provider_that_only_throttles_is_asked_more_and_more_rarely_and_no_row_is_lost(proxy, tmp_path, tell):
    job = Job(tmp_path, proxy.base, {"free": KEYS["free"]}, model="throttles", settings=SETTINGS)
    job.asks(rows_of(["free"], 20))
    process = job.start()
    try:
        assert until(process, lambda: len(proxy.arrivals()) >= 12, within=60) is None
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1].decode()
    finally:
        process.kill()
    assert process.returncode == 4, said
    assert "20 rows are left" in said
    # The first four were in flight together; after them one at a time, each after a longer pause, up to backoff.max.
    at = [arrival.at for arrival in proxy.arrivals()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(at[4:])]
    tell(calls=len(at), pauses=[round(pause, 2) for pause in pauses])
    assert at[-1] - at[0] > 3
    assert min(pauses[3:]) > 0.4
