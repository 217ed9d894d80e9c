"""haproxy before the simulator: refusals by the dice, resets, and answers that it gives up waiting for."""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter

import pytest

from tests.peers.peer import Job, bill, free_port, get, listens, once_each, program, rows_of, serving, simulator

pytestmark = pytest.mark.timeout(200)

KEYS = {"research": "sk-sim-research", "support": "sk-sim-support", "legal": "sk-sim-legal", "marketing": "sk-sim-marketing"}
SETTINGS = "[retry]\nmax_attempts = 12\nbackoff = { first = 0.1, max = 1.0 }\n"
LATENCY = "seed = 5\nlatency = { median = 0.08, sigma = 0.6 }\n"
CONFIGURATION = """
global
  maxconn 256
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  # An answer that takes longer is a 504: paid for, and lost on the way.
  timeout server 250ms
  retries 0
frontend gateway
  bind 127.0.0.1:PORT
  http-request return status 429 content-type text/plain string "slower" hdr retry-after 1 if { rand(100) lt 4 }
  http-request return status 529 content-type application/json string "{}" if { rand(100) lt 4 }
  http-request return status 503 content-type text/html string "<h1>503</h1>" if { rand(100) lt 6 }
  http-request reject if { rand(100) lt 6 }
  default_backend provider
backend provider
  server simulator SIMULATOR
listen figures
  bind 127.0.0.1:FIGURES
  stats enable
  stats uri /
"""


@contextlib.contextmanager
def haproxy(place, simulator_url):
    """The address of a gateway to *simulator_url*, and of its own figures."""
    port, figures = free_port(), free_port()
    text = CONFIGURATION.replace("PORT", str(port)).replace("FIGURES", str(figures))
    file = place / "haproxy.cfg"
    file.write_text(text.replace("SIMULATOR", simulator_url.removeprefix("http://")))
    command = [program("haproxy", "haproxy"), "-db", "-f", file]
    # A look at the gateway itself would be counted as a call.
    with serving(command, lambda: listens(figures), place / "haproxy.log"):
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{figures}/;csv"


def counted(figures):
    """What the gateway itself counted: requests, answers of the simulator by class, and its own."""
    lines = csv.DictReader(io.StringIO(get(figures).decode().removeprefix("# ")))
    by_name = {(line["pxname"], line["svname"]): line for line in lines}
    front = by_name["gateway", "FRONTEND"]
    return {
        "requests": int(front["req_tot"]),
        "good": int(front["hrsp_2xx"]),
        "refused": int(front["hrsp_4xx"]),
        "bad": int(front["hrsp_5xx"]),
    }


def test_random_refusals_resets_and_lost_answers_cost_no_row_and_the_doubt_covers_the_bill(tmp_path, tell):
    with simulator(tmp_path, LATENCY) as behind, haproxy(tmp_path, behind) as (front, figures):
        job = Job(tmp_path, f"{front}/compatible-mode/v1", KEYS, settings=SETTINGS)
        rows = rows_of(tuple(KEYS), 320)
        job.asks(rows)
        done = job.run("--json")
        seen, charged = counted(figures), bill(behind)
    assert done.code == 0, done.said
    once_each(job, rows)
    total = done.total()
    attempts = job.attempts()
    met = Counter(attempt.status or "broken" for attempt in attempts if attempt.verdict != "answered")
    early = [
        each
        for told in attempts
        if told.status == 429
        for each in attempts
        if each.workspace == told.workspace and told.ended < each.started < told.ended + 0.95
    ]
    tell(calls=total["calls"], met=dict(met), in_doubt=total["in_doubt"], stated=total["input_tokens"] + total["output_tokens"],
         billed=charged["input_tokens"] + charged["output_tokens"])  # fmt: skip
    assert min(met[429], met[503], met[504], met[529], met["broken"]) > 0
    assert seen["requests"] == total["calls"]
    assert (seen["good"], seen["refused"]) == (320, met[429])
    # What it sent from its own pages, and what never came back: each may have been billed, and no other.
    assert total["in_doubt"] == met[503] + met[504] + met[529] + met["broken"]
    for kind in ("input_tokens", "output_tokens"):
        assert total[kind] <= charged[kind] <= total[kind] + total[f"in_doubt_{kind}"]
    # A 429 holds its workspace for the second that it names.
    assert early == []
