"""What a terminal, a pipe or a person does to the process: it goes on, or ends as it should, with what it was told on disk."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from batchrun import read_statement
from tests.faults import children
from tests.faults.children import count_of, ended, environment, jsonl, starting
from tests.peers.peer import program
from tests.report.written import Night, write_night

F_SETPIPE_SZ = 1031
_AT_ONCE = b"batchrun: stopped at once, and its account is not made; the same command goes on, and makes it"
_IN_AN_HOUR = "[stop]\ngrace = 3600\n[timeouts]\nidle = 3600\ntotal = 3600\n"
"""Nothing but what a test does ends a call or a run before: what is to end at once is waited for, however long a busy machine takes."""


@pytest.fixture(scope="module")
def port():
    with children.server("-m", "tests.faults.endpoints") as where:
        yield where["port"]


def job(place: Path, port: int, rows: int = 40, *, concurrency: int = 4, more: str = "") -> dict[str, str]:
    jsonl(place / "rows.jsonl", [{"id": f"r-{number}", "prompt": "hello"} for number in range(rows)])
    (place / "job.toml").write_text(
        f'[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nmodel = "m"\nconcurrency = {concurrency}\n{more}'
        f'[workspaces.hr]\napi_key_env = "HR_KEY"\nendpoint = "http://127.0.0.1:{port}/good/v1"\n'
    )
    return {"HR_KEY": "sk-fake-hr-0123456789"}


def until(true, process: subprocess.Popen[bytes]) -> None:
    while not true():
        assert process.poll() is None or true()
        time.sleep(0.01)


def _free(lock) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def answered(place: Path) -> int:
    return count_of(place / "run")


def test_a_closed_terminal_stops_nothing(tmp_path, port):
    ours, theirs = pty.openpty()
    process = starting(
        tmp_path, "run", "job.toml", keys=job(tmp_path, port, 120), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    until(lambda: answered(tmp_path) > 5, process)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    ended(process)
    assert process.returncode == 0
    assert answered(tmp_path) == 120


def test_a_terminal_that_is_closed_under_another_command_is_no_bug_of_it(tmp_path, port):
    """One that hears of it no other way than by what it cannot say: with its last words, its code had gone."""
    keys = job(tmp_path, port, 5)
    ours, theirs = pty.openpty()
    os.close(ours)
    process = starting(tmp_path, "plan", "job.toml", keys=keys, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    ended(process)
    assert process.returncode == 4


def test_a_terminal_that_is_stopped_holds_nothing_up(tmp_path, port):
    """Nobody reads the other end, as after Ctrl-S: what is drawn fills it up."""
    ours, theirs = pty.openpty()
    process = starting(tmp_path, "run", "job.toml", "--json", keys=job(tmp_path, port, 200), stdout=subprocess.PIPE, stderr=theirs)
    os.set_blocking(theirs, True)
    filler = os.dup(theirs)
    os.set_blocking(filler, False)
    with suppress(BlockingIOError):
        while True:
            os.write(filler, b"x" * 4096)
    out, _ = ended(process)
    assert (process.returncode, json.loads(out)["total"]["answered"]) == (0, 200)
    for end in (ours, theirs, filler):
        os.close(end)


def test_ctrl_z_leaves_the_bars_standing_above_what_the_shell_says_and_the_run_goes_on_from_there(tmp_path, port):
    """The prompt had been written over the first bar, and all that followed over the others."""
    ours, theirs = pty.openpty()
    keys = job(tmp_path, port, 120)
    # A group of its own, of which somebody in the session knows: to any other the kernel does not give this signal.
    process = starting(tmp_path, "run", "job.toml", keys=keys, stdout=subprocess.PIPE, stderr=theirs, process_group=0)
    until(lambda: answered(tmp_path) > 5, process)
    process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    said = os.read(ours, 1 << 16)
    process.send_signal(signal.SIGCONT)
    ended(process)
    for end in (ours, theirs):
        os.close(end)
    assert os.WIFSTOPPED(status)
    assert said.endswith(b"\r\n\r\n"), "below the bar of the workspace and that of all"
    assert (process.returncode, answered(tmp_path)) == (0, 120)


@pytest.mark.parametrize("waits", [True, False], ids=["waited for", "never waited for"])
def test_a_pipe_for_notes_that_nobody_empties_holds_nothing_up(tmp_path, port, waits):
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    os.write(write, b"x" * 4096)
    os.set_blocking(write, waits)
    process = starting(tmp_path, "run", "job.toml", "--json", keys=job(tmp_path, port), stdout=subprocess.PIPE, stderr=write)
    out, _ = ended(process)
    assert (process.returncode, json.loads(out)["total"]["answered"]) == (0, 40)
    os.close(read)
    os.close(write)


def unread(end: int) -> int:
    return int.from_bytes(fcntl.ioctl(end, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("arguments", ["schema", "report night --csv - --by workspace", "report night --html -"])
def test_a_result_goes_whole_through_a_pipe_that_somebody_had_made_never_to_be_waited_for(tmp_path, arguments):
    """As event loops do with what they share: nobody reads until it is full."""
    write_night(tmp_path / "night", Night([f"w{number}" for number in range(60)], rows=5))
    whole = children.batchrun(tmp_path, *arguments.split())
    read, write = os.pipe()
    size = fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    os.set_blocking(write, False)
    process = starting(tmp_path, *arguments.split(), stdout=write, stderr=subprocess.PIPE)
    until(lambda: unread(read) == size or process.poll() is not None, process)
    os.close(write)
    made_at = re.compile(rb"\d\d:\d\d")
    with os.fdopen(read, "rb") as reader:
        assert made_at.sub(b"", reader.read()) == made_at.sub(b"", whole.stdout)
    assert ended(process)[1] == whole.stderr
    assert process.returncode == 0


def test_no_note_is_lost_where_somebody_had_made_the_pipe_never_to_be_waited_for(tmp_path, port):
    """Full of what others said, it is read when the run is over: it then has every note, and how the run ended."""
    keys = job(tmp_path, port)
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write("no row\n")
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    os.set_blocking(write, False)
    os.write(write, b"x" * 4096)
    process = starting(tmp_path, "run", "job.toml", keys=keys, stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    until((tmp_path / "run" / "hr" / "usage.json").exists, process)
    with os.fdopen(read, "rb") as reader:
        told = reader.read().decode()
    ended(process)
    assert process.returncode == 3
    for said in (
        "note: rows.jsonl, line 41: not JSON",
        "40 of 40 rows (100.0 %)",
        ", 1 line set aside\n",
        "no row: rows.jsonl, line 41",
        "results: ",
    ):
        assert said in told


def test_readers_that_are_gone_change_no_exit_code(tmp_path, port):
    read, write = os.pipe()
    os.close(read)
    process = starting(tmp_path, "run", "job.toml", keys=job(tmp_path, port), stdout=write, stderr=write)
    os.close(write)
    ended(process)
    assert process.returncode == 0
    assert answered(tmp_path) == 40


VERBS_THAT_TELL = ("check run", "report run --json", "report run --csv -", "report run --html -", "plan job.toml", "prices", "schema")


def test_whoever_reads_no_further_is_told_no_bug_and_keeps_no_file_from_being_written(tmp_path, port):
    """``batchrun check RUN | head -1``: the code had been 1, and ``report --csv PATH | head -1`` had written nothing."""
    keys = job(tmp_path, port)
    assert children.batchrun(tmp_path, "run", "job.toml", "--page", "none", keys=keys).returncode == 0

    def code_of(told: str) -> int:
        read, write = os.pipe()
        os.close(read)
        process = starting(tmp_path, *told.split(), keys=keys, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert ended(process)[1] in {b"", b"written: own.csv\nwritten: own.html\n"}
        return process.returncode

    assert {told: code_of(told) for told in VERBS_THAT_TELL} == dict.fromkeys(VERBS_THAT_TELL, 0)
    assert code_of("report run --csv own.csv --html own.html") == 0
    assert (tmp_path / "own.csv").stat().st_size * (tmp_path / "own.html").stat().st_size > 0
    with (tmp_path / "run" / "hr" / "results.jsonl").open("ab") as results:
        results.write(b"no entry\n")
    assert code_of("check run") == 6


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_process_that_is_begun_without_its_streams_runs_and_nothing_that_is_said_goes_into_its_files(tmp_path, port, closed):
    command = shlex.join([*children.BATCHRUN, "run", "job.toml"])
    keys = environment(job(tmp_path, port))
    done = subprocess.run(["sh", "-c", f"exec {command} {closed}"], cwd=tmp_path, env=keys, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert answered(tmp_path) == 40
    assert children.batchrun(tmp_path, "check", "run").returncode == 0


@pytest.fixture
def full_pipe():
    """The two ends of a pipe into which nothing goes any more."""
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    os.write(write, b"x" * 4096)
    yield read, write
    for each in (read, write):
        with suppress(OSError):
            os.close(each)


def with_a_result_that_nobody_reads(place: Path, port: int, pipe: int) -> subprocess.Popen[bytes]:
    """A run that is over, its directory free, and that cannot say so."""
    process = starting(place, "run", "job.toml", "--json", "--quiet", keys=job(place, port), stdout=pipe, stderr=subprocess.PIPE)
    until((place / "run" / "hr" / "usage.json").exists, process)
    with (place / "run" / "run.lock").open() as lock:
        until(lambda: _free(lock), process)
    assert process.poll() is None
    return process


def test_a_result_that_nobody_reads_comes_after_the_run_is_over_and_its_directory_free(tmp_path, port, full_pipe):
    process = with_a_result_that_nobody_reads(tmp_path, port, full_pipe[1])
    os.read(full_pipe[0], 65536)
    os.close(full_pipe[0])
    ended(process)
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_once_the_run_is_over_ends_what_nobody_reads_in_one_line(tmp_path, port, full_pipe, name):
    process = with_a_result_that_nobody_reads(tmp_path, port, full_pipe[1])
    process.send_signal(signal.Signals[name])
    said = f"batchrun: stopped by {name}; the same command goes on, or does it again\n".encode()
    assert (ended(process)[1], process.returncode) == (said, 4)
    assert answered(tmp_path) == 40


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_one_signal_drains_and_leaves_nothing_in_doubt(tmp_path, port, name):
    keys = job(tmp_path, port, 4000, more=_IN_AN_HOUR)
    process = starting(tmp_path, "run", "job.toml", keys=keys, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: answered(tmp_path) > 10, process)
    process.send_signal(signal.Signals[name])
    out, said = ended(process)
    assert (process.returncode, answered(tmp_path) < 4000) == (4, True)
    assert b"go on with: batchrun run job.toml" in said
    assert b"Traceback" not in said + out
    told = read_statement(tmp_path / "run").total()
    assert (told.answered, told.in_doubt) == (answered(tmp_path), 0)


def test_a_run_that_a_script_put_into_the_background_is_not_stopped_by_the_ctrl_c_of_what_stands_in_front_of_it(tmp_path, port):
    """Shells without job control begin it with SIGINT ignored; `kill` is heard."""
    keys = job(tmp_path, port, 4000)
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *children.BATCHRUN, "run", "job.toml"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(keys), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for rows in (0, 20, 40):
        until(lambda rows=rows: answered(tmp_path) > rows, process)
        process.send_signal(signal.SIGINT)
    heard(process, signal.SIGTERM)
    ended(process)
    assert process.returncode == 4


_HELD_AT_ITS_END = """
from batchrun.running import one_run
sum_up = one_run.sum_up
def held(*parts):
    open("closing", "w").close()
    open("go-on").close()
    return sum_up(*parts)
one_run.sum_up = held
from batchrun.cli import main
main()
"""


_HELD_WHILE_IT_FAILS = """
import sys
from anyio.to_thread import run_sync
from batchrun.core.errors import LedgerError
from batchrun.edge.ledger import Ledger
from batchrun.engine import Engine
def hangs():
    open("closing", "w").close()
    open("go-on").close()
async def keep_synced(self, on_room):
    await run_sync(hangs)
async def run(self):
    await run_sync(lambda: open("fails").close())
    print("it fails", file=sys.stderr, flush=True)  # In the very turn of the loop: no signal is heard before it has failed.
    raise LedgerError("the disk is full")
Ledger.keep_synced, Engine.run = keep_synced, run
from batchrun.cli import main
main()
"""


def held_at_its_end(
    place: Path, port: int, code: str = _HELD_AT_ITS_END, *, within: tuple[str, ...] = (), more: Sequence[Mapping[str, object]] = ()
) -> subprocess.Popen[bytes]:  # fmt: skip
    """A run that is over, and ends once `go-on` is opened: its rows, and *more*, are all answered, and it is to make its account."""
    for name in ("closing", "go-on", "fails"):
        os.mkfifo(place / name)
    command, keys = [*within, sys.executable, "-c", code, "run", "job.toml"], job(place, port, 20)
    with (place / "rows.jsonl").open("a") as rows:
        rows.writelines(f"{json.dumps(row)}\n" for row in more)
    process = subprocess.Popen(command, cwd=place, env=environment(keys), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    (place / "closing").read_bytes()
    return process


def heard(process: subprocess.Popen[bytes], signal_: signal.Signals) -> None:
    process.send_signal(signal_)
    assert process.stderr is not None
    assert any(signal_.name.encode() in line for line in iter(process.stderr.readline, b""))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_account_is_made_leaves_a_whole_account(tmp_path, port, name):
    process = held_at_its_end(tmp_path, port)
    heard(process, signal.Signals[name])
    (tmp_path / "go-on").write_bytes(b"")
    _, said = ended(process)
    assert process.returncode == 0, said
    assert (answered(tmp_path), read_statement(tmp_path / "run").total().answered) == (20, 20)
    assert (tmp_path / "run" / "usage.csv").exists()
    assert (tmp_path / "run" / "report.html").exists()


def test_a_second_signal_while_the_account_is_made_ends_it_and_the_next_run_makes_it(tmp_path, port):
    process = held_at_its_end(tmp_path, port)
    heard(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, said = ended(process)
    assert (process.returncode, said.splitlines()[-1:]) == (4, [_AT_ONCE])
    assert (answered(tmp_path), (tmp_path / "run" / "usage.csv").exists()) == (20, False)
    again = starting(tmp_path, "run", "job.toml", "--quiet", keys={"HR_KEY": "sk-fake-hr-0123456789"})
    ended(again)
    assert again.returncode == 0
    assert read_statement(tmp_path / "run").total().calls == 20
    assert (tmp_path / "run" / "usage.csv").exists()


def test_a_second_signal_ends_the_first_process_of_a_container_too_which_no_kill_of_its_own_does(tmp_path, port):
    container = (program("unshare", "util-linux"), "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
    process = held_at_its_end(tmp_path, port, within=container)
    (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert process.stderr is not None
    os.kill(int(first), signal.SIGTERM)
    assert any(b"SIGTERM" in line for line in iter(process.stderr.readline, b""))
    os.kill(int(first), signal.SIGTERM)
    _, said = ended(process)
    assert (process.returncode, said.splitlines()[-1:]) == (4, [_AT_ONCE])
    assert (answered(tmp_path), (tmp_path / "run" / "usage.csv").exists()) == (20, False)


def test_a_second_signal_ends_a_run_that_failed_and_that_a_sync_holds_up(tmp_path, port):
    process = held_at_its_end(tmp_path, port, _HELD_WHILE_IT_FAILS)
    (tmp_path / "fails").write_bytes(b"")
    assert process.stderr is not None
    assert b"it fails\n" in iter(process.stderr.readline, b"")
    heard(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, said = ended(process)
    assert (process.returncode, said.splitlines()[-1:]) == (4, [_AT_ONCE])


def test_a_second_signal_stops_at_once_and_what_was_in_flight_is_in_doubt(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        keys = job(tmp_path, silent.getsockname()[1], 20, more=_IN_AN_HOUR)
        process = starting(tmp_path, "run", "job.toml", keys=keys, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        log = tmp_path / "run" / "attempts.log"
        until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 5, process)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        out, said = ended(process)
    assert process.returncode == 4, said
    assert b"Traceback" not in said + out
    told = read_statement(tmp_path / "run").total()
    assert (told.answered, told.in_doubt) == (0, 4)


_HELD_AS_ITS_LEDGER_IS_CLOSED = """
from batchrun.edge.ledger import Files
sync_all = Files.sync_all
def hangs(self, dirty):
    if any(b"closed" in line for line in open("run/attempts.log", "rb")):
        open("closing", "w").close()
        open("go-on").close()
    sync_all(self, dirty)
Files.sync_all = hangs
from batchrun.__main__ import main
main()
"""


def test_a_second_signal_ends_a_run_whose_last_sync_hangs(tmp_path, port):
    process = held_at_its_end(tmp_path, port, _HELD_AS_ITS_LEDGER_IS_CLOSED)
    heard(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, said = ended(process)
    assert (process.returncode, said.splitlines()[-1:]) == (4, [_AT_ONCE])
    assert answered(tmp_path) == 20


_HELD_BY_A_SHARE_THAT_IS_GONE = """
from batchrun.edge.media import MediaRoot
def hangs(self, medium, beside):
    open("closing", "w").close()
    open("go-on").close()
MediaRoot.read = hangs
from batchrun.__main__ import main
main()
"""


_HELD_BY_A_PROMISE = """
from batchrun.edge.ledger import Files
def hangs(self, dirty):
    open("closing", "w").close()
    open("go-on").close()
Files.sync = hangs
from batchrun.__main__ import main
main()
"""


_HELD_BY_ITS_SYNCS = """
import anyio
from batchrun.edge.ledger import Files
from batchrun.engine import Engine
def hangs(self, dirty):
    open("closing", "w").close()
    open("go-on").close()
async def run(self):
    await anyio.sleep_forever()
Files.sync_all, Engine.run = hangs, run
from batchrun.__main__ import main
main()
"""


def test_a_second_signal_ends_a_run_whose_media_are_on_a_share_that_hangs_and_its_account_is_made(tmp_path, port):
    seeing = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "share/a.png"}}]}]}
    process = held_at_its_end(tmp_path, port, _HELD_BY_A_SHARE_THAT_IS_GONE, more=[{"id": "seen", "model": "qwen-vl-max", **seeing}])
    until(lambda: answered(tmp_path) == 20, process)
    heard(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, said = ended(process)
    assert process.returncode == 4, said
    told = read_statement(tmp_path / "run").total()
    assert (told.answered, told.in_doubt, told.pending) == (20, 0, 1)
    assert (tmp_path / "run" / "usage.csv").exists()


_AND_SOON = "from batchrun.running import under_way\nunder_way._TIME_TO_CLOSE = 0.5\n"


@pytest.mark.parametrize("held", [_HELD_BY_A_PROMISE, _HELD_BY_ITS_SYNCS], ids=["that calls wait for", "that goes on behind"])
def test_a_second_signal_ends_a_run_within_seconds_though_a_sync_hangs(tmp_path, port, held):
    process = held_at_its_end(tmp_path, port, _AND_SOON + held)
    heard(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, said = ended(process)
    assert (process.returncode, said.splitlines()[-1:]) == (4, [_AT_ONCE])


def test_a_further_signal_ends_a_run_whose_calls_wait_for_a_sync_that_hangs(tmp_path, port):
    process = held_at_its_end(tmp_path, port, _HELD_BY_A_PROMISE)
    heard(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    _, said = ended(process)
    assert (process.returncode, said.splitlines()[-1:]) == (4, [_AT_ONCE])


_HOLDS = """
import ctypes
import os
import sys
libc = ctypes.CDLL(None)
stack = ctypes.create_string_buffer(1 << 16)
def hold():
    # CLONE_VM | CLONE_VFORK: until that one has ended, nothing but SIGKILL ends the call, as in a read of a share that is gone.
    libc.clone(libc.sleep, ctypes.c_void_p(ctypes.addressof(stack) + len(stack)), 0x4100, ctypes.c_void_p(600))
"""
_HELD_BY_THE_KERNEL = (
    _HOLDS
    + """
from batchrun.edge.source import Source
read_together = Source.read_together
def hangs(self, ordinals):
    if os.path.exists("gone") and 12 in ordinals:
        hold()
    return read_together(self, ordinals)
Source.read_together = hangs
from batchrun.__main__ import main
main()
"""
)


def held_by_the_kernel(place: Path, port: int, *, loop: str) -> tuple[subprocess.Popen[bytes], int]:
    """A run whose main thread the kernel holds up, in the midst of it, and whatever ends that."""
    keys = job(place, port, more=_IN_AN_HOUR)
    code = _HELD_BY_THE_KERNEL if loop == "uvloop" else f"import sys\nsys.modules['uvloop'] = None\n{_HELD_BY_THE_KERNEL}"
    return _held(place, code, "run", "job.toml", "--quiet", keys=keys)


def _held(place: Path, code: str, *arguments: str, keys: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    (place / "gone").touch()
    with (place / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], cwd=place, env=environment(keys), stdout=subprocess.DEVNULL, stderr=said
        )
    holds = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(holds.read_text, process)
    return process, int(holds.read_text())


def said_by(place: Path) -> list[bytes]:
    return (place / "said").read_bytes().splitlines()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_second_signal_ends_a_run_that_the_kernel_holds_up_in_a_read_of_a_share_that_is_gone(tmp_path, port, name, loop):
    """No number of them had: the kernel kept the first for the thread that it held up, and nobody heard the others."""
    process, holds = held_by_the_kernel(tmp_path, port, loop=loop)
    try:
        process.send_signal(signal.Signals[name])
        until(lambda: said_by(tmp_path), process)
        assert said_by(tmp_path)[0].startswith(b"batchrun: asked to stop, and held up by the kernel")
        process.send_signal(signal.Signals[name])
        assert process.wait() == 4
    finally:
        os.kill(holds, signal.SIGKILL)
    assert said_by(tmp_path)[1:] == [_AT_ONCE]
    (tmp_path / "gone").unlink()
    again = starting(tmp_path, "run", "job.toml", "--quiet", keys={"HR_KEY": "sk-fake-hr-0123456789"})
    ended(again)
    ids = [entry["id"] for entry in children.entries(tmp_path / "run")]
    assert (again.returncode, len(ids), len(set(ids))) == (0, 40, 40)


def test_a_second_signal_ends_a_run_that_heeded_the_first_and_is_held_up_since(tmp_path, port):
    """In its end, by another process that keeps the books of budgets locked, as one does that is stopped."""
    keys = job(tmp_path, port, 4000, more=_IN_AN_HOUR)
    told = (tmp_path / "job.toml").read_text()
    (tmp_path / "job.toml").write_text(told.replace("[defaults]", 'budget = { tokens = 2_000_000_000, per = "day" }\n[defaults]', 1))
    process = starting(tmp_path, "run", "job.toml", keys=keys, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: answered(tmp_path) > 10, process)
    with (tmp_path / ".books.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        heard(process, signal.SIGTERM)
        until((tmp_path / "run" / "hr" / "usage.json").exists, process)
        process.send_signal(signal.SIGTERM)
        _, said = ended(process)
    assert (process.returncode, said.splitlines()[-1:]) == (4, [_AT_ONCE])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_signal_that_came_while_the_kernel_held_the_run_up_drains_it_once_it_goes_on(tmp_path, port, loop):
    process, holds = held_by_the_kernel(tmp_path, port, loop=loop)
    process.send_signal(signal.SIGINT)
    until(lambda: said_by(tmp_path), process)
    (tmp_path / "gone").unlink()
    os.kill(holds, signal.SIGKILL)
    assert process.wait() == 4
    assert _AT_ONCE not in said_by(tmp_path)
    told = read_statement(tmp_path / "run").total()
    assert (told.answered, told.in_doubt) == (answered(tmp_path), 0)
    assert told.pending


_HELD_AS_IT_OPENS = (
    _HOLDS
    + """
sys.addaudithook(lambda event, told: hold() if event == "open" and str(told[0]).endswith("LOOKED_AT") else None)
from batchrun.__main__ import main
main()
"""
)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("opens", ["job.toml", ".env", "schema.json"])
def test_one_signal_ends_a_run_that_the_kernel_holds_up_before_it_has_begun(tmp_path, port, name, opens):
    job(tmp_path, port, more='[answers]\nschema = "schema.json"\n')
    (tmp_path / ".env").write_text("HR_KEY=sk-fake-hr-0123456789\n")
    (tmp_path / "schema.json").write_text("{}")
    ends_at_one_signal(tmp_path, opens, name, "run", "job.toml")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("verb", "of"), [("plan", "job.toml"), ("report", "run"), ("check", "run")])
def test_one_ctrl_c_ends_whatever_reads_a_share_that_is_gone(tmp_path, port, verb, of):
    assert children.batchrun(tmp_path, "run", "job.toml", keys=job(tmp_path, port, 5)).returncode == 0
    ends_at_one_signal(tmp_path, {"plan": "rows.jsonl"}.get(verb, "attempts.log"), "SIGINT", verb, of)


def ends_at_one_signal(place: Path, opens: str, name: str, *arguments: str) -> None:
    process, holds = _held(place, _HELD_AS_IT_OPENS.replace("LOOKED_AT", opens), *arguments, keys={})
    try:
        process.send_signal(signal.Signals[name])
        assert process.wait() == 4
    finally:
        os.kill(holds, signal.SIGKILL)
    (said,) = said_by(place)
    assert said.startswith(f"batchrun: stopped by {name}, and held up by the kernel".encode())


_HELD_BY_A_SHARE_THAT_WAS_GONE_BEFORE = """
from batchrun.running import one_run
def hangs(*parts, **named):
    open("closing", "w").close()
    open("go-on").close()
one_run.LOOKED_AT = hangs
from batchrun.__main__ import main
main()
"""


@pytest.mark.parametrize("first", ["refuse_its_own", "opened", "run_directory.locked"])
def test_a_second_signal_ends_a_run_that_finds_the_share_gone_before_it_has_begun(tmp_path, port, first):
    process = held_at_its_end(tmp_path, port, _HELD_BY_A_SHARE_THAT_WAS_GONE_BEFORE.replace("LOOKED_AT", first))
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    _, said = ended(process)
    assert (process.returncode, said.splitlines()) == (4, [_AT_ONCE])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_input_is_read_ends_it_in_one_line_before_any_call(tmp_path, port, name):
    keys = job(tmp_path, port, 400_000)
    process = starting(tmp_path, "run", "job.toml", keys=keys, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until((tmp_path / "run" / ".rejected-input.jsonl.new").exists, process)
    process.send_signal(signal.Signals[name])
    out, said = ended(process)
    assert (process.returncode, said.decode().splitlines()) == (
        4,
        [f"batchrun: {name}: stopped before any call; go on with the same command"],
    )
    assert out == b""
    assert answered(tmp_path) == 0


_ASKED_TO_STOP_ONCE_IT_IS_OPENED = """
from contextlib import contextmanager
from anyio import from_thread
from batchrun.running import one_run
opened, heard = one_run.opened, []
async def watch(first, *rest):
    heard.append(first)
@contextmanager
def asked(*parts, **named):
    with opened(*parts, **named) as opening:
        from_thread.run_sync(heard[0], "SIGTERM")
        yield opening
one_run.opened, one_run.signals.watch = asked, watch
from batchrun.__main__ import main
main()
"""


def test_a_run_that_is_stopped_once_it_is_opened_has_told_what_changed_for_the_next_opening_takes_it_for_known(tmp_path, port):
    """Of a large ledger's reading, which takes many seconds, nothing had been told but that it was stopped."""
    keys = job(tmp_path, port, 5)
    assert ended(starting(tmp_path, "run", "job.toml", "--quiet", keys=keys, stderr=subprocess.PIPE))[1]
    job(tmp_path, port, 6)
    command = [sys.executable, "-c", _ASKED_TO_STOP_ONCE_IT_IS_OPENED, "run", "job.toml"]
    said = subprocess.run(command, cwd=tmp_path, env=environment(keys), capture_output=True, check=False).stderr.decode().splitlines()
    assert said == [
        "note: the input is no longer what it was when this run was last opened: 1 row added, 0 taken out, 0 edited",
        "batchrun: SIGTERM: stopped before any call; go on with the same command",
    ]
    assert answered(tmp_path) == 5


_HELD_WHILE_IT_IMPORTS = """
import sys
class Held:
    def find_spec(self, name, path=None, target=None):
        if name == "pydantic":
            sys.meta_path.remove(self)
            open("importing", "w").close()
            open("go-on").close()
sys.meta_path.insert(0, Held())
from batchrun.cli import main
main()
"""


def held_while_it_imports(place: Path, port: int, *arguments: str) -> subprocess.Popen[bytes]:
    """A process that is in the midst of its imports, and goes on with them once `go-on` is opened."""
    for name in ("importing", "go-on"):
        os.mkfifo(place / name)
    command, keys = [sys.executable, "-c", _HELD_WHILE_IT_IMPORTS, *arguments], job(place, port, 5)
    process = subprocess.Popen(command, cwd=place, env=environment(keys), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    (place / "importing").read_bytes()
    return process


@pytest.mark.parametrize(
    ("name", "verb", "said"),
    [
        ("SIGINT", "run", "SIGINT: stopped before any call; go on with the same command"),
        ("SIGTERM", "run", "SIGTERM: stopped before any call; go on with the same command"),
        ("SIGINT", "plan", "stopped by SIGINT; the same command does it again"),
    ],
)
def test_a_signal_in_the_second_that_imports_take_ends_the_process_in_one_line_too(tmp_path, port, name, verb, said):
    process = held_while_it_imports(tmp_path, port, verb, "job.toml")
    process.send_signal(signal.Signals[name])
    assert ended(process) == (b"", f"batchrun: {said}\n".encode())
    assert process.returncode == 4
    assert not (tmp_path / "run").exists()


def test_a_terminal_that_is_closed_while_a_run_imports_stops_nothing(tmp_path, port):
    process = held_while_it_imports(tmp_path, port, "run", "job.toml")
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go-on").write_bytes(b"")
    ended(process)
    assert process.returncode == 0
    assert answered(tmp_path) == 5
