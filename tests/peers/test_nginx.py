"""nginx before the simulator: limits per key, 413 and 504 pages of its own, and connections that break."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter

import pytest

from tests.peers.peer import Job, bill, free_port, listens, once_each, program, rows_of, serving, simulator

pytestmark = pytest.mark.timeout(200)

KEYS = {"research": "sk-sim-research", "support": "sk-sim-support", "legal": "sk-sim-legal"}
SETTINGS = "[retry]\nmax_attempts = 10\nbackoff = { first = 0.1, max = 1.0 }\n"
LATENCY = "seed = 5\nlatency = { median = 0.08, sigma = 0.6 }\n"
LIMITED, BROKEN = "limited", "broken"
CONFIGURATION = """
daemon off;
pid PLACE/nginx.pid;
error_log PLACE/error.log warn;
worker_processes 1;
USER
events { worker_connections 256; }
http {
  log_format call '$http_authorization $status $msec $request_time';
  access_log PLACE/access.log call;
  client_body_temp_path PLACE/body;
  proxy_temp_path PLACE/proxy;
  fastcgi_temp_path PLACE/fastcgi;
  uwsgi_temp_path PLACE/uwsgi;
  scgi_temp_path PLACE/scgi;

  # What a gateway of one's own does: so many calls a second and so many at a time, for each key.
  limit_req_zone $http_authorization zone=calls:1m rate=30r/s;
  limit_conn_zone $http_authorization zone=flights:1m;
  split_clients $request_id $fate { 8% reset; * pass; }

  server {
    listen 127.0.0.1:PORT;
    location /limited/ {
      limit_req zone=calls burst=15 nodelay;
      limit_req_status 429;
      limit_conn flights 3;
      limit_conn_status 429;
      error_page 429 = @busy;
      proxy_pass SIMULATOR/;
    }
    location @busy {
      add_header Retry-After 1 always;
      return 429 "slower, please\\n";
    }
    location /broken/ {
      reset_timedout_connection on;
      if ($fate = reset) { return 444; }
      proxy_read_timeout 200ms;
      proxy_pass SIMULATOR/;
    }
    location /small/ {
      client_max_body_size 20k;
      proxy_pass SIMULATOR/;
    }
  }
}
"""


@contextlib.contextmanager
def nginx(place, simulator_url):
    """The address of a gateway to *simulator_url*."""
    port = free_port()
    # As root it would give its workers to a user who may not enter the test's directory.
    user = "user root;" if os.geteuid() == 0 else ""
    text = CONFIGURATION.replace("PLACE", str(place)).replace("PORT", str(port)).replace("SIMULATOR", simulator_url).replace("USER", user)
    file = place / "nginx.conf"
    file.write_text(text)
    command = [program("nginx", "nginx-light"), "-e", place / "error.log", "-p", place, "-c", file]
    with serving(command, lambda: listens(port), place / "nginx.log"):
        yield f"http://127.0.0.1:{port}"


def statuses(place):
    """How nginx answered, by status."""
    return Counter(int(status) for status in re.findall(r" (\d{3}) [\d.]+ [\d.]+$", (place / "access.log").read_text(), re.MULTILINE))


def early(place, job):
    """Calls that reached nginx under a key after batchrun had read a 429 for it, and before the second that this asked for was over."""
    seen = re.findall(r"^Bearer (\S+) \d{3} ([\d.]+) ([\d.]+)$", (place / "access.log").read_text(), re.MULTILINE)
    arrivals = [(key, float(ended) - float(took)) for key, ended, took in seen]
    return [
        (attempt.workspace, at - attempt.ended)
        for attempt in job.attempts()
        if attempt.status == 429
        for key, at in arrivals
        # What was being sent while the 429 was read may still arrive.
        if key == KEYS[attempt.workspace] and attempt.ended + 0.2 < at < attempt.ended + 0.95
    ]


def carried_out(place, tell, way):
    """Every row answered once by *way* of a gateway: the job, its total, how nginx answered, and the bill of what stands behind it."""
    with simulator(place, LATENCY) as behind, nginx(place, behind) as front:
        job = Job(place, f"{front}/{way}/compatible-mode/v1", KEYS, settings=SETTINGS)
        rows = rows_of(tuple(KEYS), 180)
        job.asks(rows)
        done = job.run("--json")
        charged = bill(behind)
    assert done.code == 0, done.said
    once_each(job, rows)
    total, met = done.total(), statuses(place)
    tell(calls=total["calls"], statuses=dict(met), in_doubt=total["in_doubt"], stated=total["input_tokens"] + total["output_tokens"],
         billed=charged["input_tokens"] + charged["output_tokens"])  # fmt: skip
    return job, total, met, charged


def test_limits_of_a_gateway_per_key_are_kept_and_every_row_is_answered_and_billed_once(tmp_path, tell):
    job, total, met, charged = carried_out(tmp_path, tell, LIMITED)
    assert met[429] == total["throttles"] > 0
    assert met[200] == 180
    assert (total["input_tokens"], total["output_tokens"]) == (charged["input_tokens"], charged["output_tokens"])
    assert total["in_doubt"] == 0
    assert early(tmp_path, job) == []


def test_pages_of_504_and_resets_of_a_gateway_cost_no_row_and_the_doubt_covers_the_bill(tmp_path, tell):
    _, total, met, charged = carried_out(tmp_path, tell, BROKEN)
    assert met[504] > 0
    assert met[444] > 0
    assert total["in_doubt"] == met[504] + met[444]
    for kind in ("input_tokens", "output_tokens"):
        assert total[kind] <= charged[kind] <= total[kind] + total[f"in_doubt_{kind}"]


def test_a_row_that_is_larger_than_a_gateway_takes_is_rejected_with_what_is_to_be_set_there(tmp_path, tell):
    with simulator(tmp_path, LATENCY) as behind, nginx(tmp_path, behind) as front:
        job = Job(tmp_path, f"{front}/small/compatible-mode/v1", KEYS, settings=SETTINGS)
        rows = rows_of(tuple(KEYS), 30)
        large = {"id": "large", "workspace": "legal", "prompt": "What does this say? " * 20_000}
        job.asks([*rows[:15], large, *rows[15:]])
        done = job.run("--json")
    assert done.code == 3, done.said
    once_each(job, rows)
    [entry] = job.failed()
    tell(statuses=dict(statuses(tmp_path)), advice=entry["failure"]["advice"])
    assert (entry["id"], entry["outcome"], entry["failure"]["status"]) == ("large", "rejected", 413)
    assert "have whoever runs that raise its limit (nginx's client_max_body_size" in entry["failure"]["advice"]
    assert done.total()["in_doubt"] == 0
