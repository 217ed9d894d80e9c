"""A run in a child process, looked at from outside: what it had cost when each workspace's first call came, and what it costs by now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, Self

from tests.benchmarks.speed.endpoint import BODY

_PROGRAM = "from batchrun.__main__ import main; main()"
_COUNTING = f"""
import asyncio, os, signal, sys
from pathlib import Path
def told(*_):
    Path("tasks.new").write_text(f"{{len(asyncio.all_tasks())}} {{sys.getallocatedblocks()}}")
    os.replace("tasks.new", "tasks")
signal.signal(signal.SIGUSR1, told)
{_PROGRAM}
"""
"""Says how many tasks there are when it is asked to, from within the loop."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process has taken so far."""

    wall: float
    cpu: float
    """Seconds, user and system."""
    resident_mb: float
    peak_mb: float
    of_files_mb: float = 0.0
    """Of the resident: pages of files, the index of the input above all, that the system takes back when it needs them."""


@dataclass(slots=True)
class Child:
    """One run of a job."""

    process: subprocess.Popen[bytes]
    began: float
    folder: Path
    first_calls: dict[str, Cost] = field(default_factory=dict)
    """By workspace: what the run had cost when its first call came."""

    def cost(self) -> Cost:
        """What it has cost by now."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        names = ("VmRSS:", "VmHWM:", "RssFile:")
        resident, peak, of_files = (int(told.partition(name)[2].split()[0]) / 1024 for name in names)
        # Its own, and that of processes it had beside it and has waited for.
        cpu = sum(map(int, stat[11:15])) / _TICKS
        return Cost(time.perf_counter() - self.began, cpu, resident, peak, of_files)

    def open_files(self) -> int:
        """Descriptors it holds."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def tasks(self, within: float = 10.0) -> tuple[int, int]:
        """Tasks of its event loop, and blocks of memory that Python has given out; the child was started with *counting*."""
        told = self.folder / "tasks"
        told.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        until = time.perf_counter() + within
        while not told.exists() and time.perf_counter() < until:
            time.sleep(0.02)
        tasks, blocks = told.read_text().split()
        return int(tasks), int(blocks)


class Endpoint:
    """Answers each call at once, or never, and notes the first of each workspace; the key says whose it is."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.child: Child | None = None
        """Whose connections are accepted now: those of one that was killed may still be there."""
        self.open: set[object] = set()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"endpoint": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/compatible-mode/v1"

    @staticmethod
    def called(child: Child | None, key: str) -> None:
        """Take note of a call, on a connection that was *child*'s."""
        if child is not None and key not in child.first_calls:
            child.first_calls[key] = child.cost()

    def let_go(self, within: float = 10.0) -> None:
        """Wait until no connection of a child that is gone is left."""
        self.child = None
        until = time.perf_counter() + within
        while self.open and time.perf_counter() < until:
            time.sleep(0.01)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 500

    def handle_error(self, *_connection: object) -> None:
        """Say nothing: a run that is killed leaves its calls half-way."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoint: ClassVar[Endpoint]

    def setup(self) -> None:
        super().setup()
        self.child = self.endpoint.child
        self.endpoint.open.add(self)

    def finish(self) -> None:
        self.endpoint.open.discard(self)
        super().finish()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.endpoint.called(self.child, self.headers["Authorization"].removeprefix("Bearer sk-fake-"))
        if not self.endpoint.answers:
            self.rfile.read(1)  # Until whoever called is gone.
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_said: object) -> None:
        pass


@contextmanager
def running(
    job: Path, keys: Mapping[str, str], endpoint: Endpoint | None = None, *, counting: bool = False, python: Sequence[str] = ()
) -> Iterator[Child]:  # fmt: skip
    """Run *job* in a process of its own, which is killed on the way out where it is still there.

    *python* are options of the interpreter. Where it is *counting*, the process can be asked for its tasks.
    """
    command = [sys.executable, *python, "-c", _COUNTING if counting else _PROGRAM, "run", str(job), "--quiet"]
    environment = {**os.environ, **keys, "PYTHONPATH": str(Path(__file__).parents[3])}
    with (job.parent / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=job.parent, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        child = Child(process, time.perf_counter(), job.parent)
        if endpoint is not None:
            endpoint.child = child
        try:
            yield child
        finally:
            process.kill()
            process.wait()
            if endpoint is not None:
                endpoint.let_go()
