"""The search for keys finds them: a child that writes one fails its test."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.canaries import WATCH, _leaks
from tests.faults.children import environment

KEY = "sk-fake-0123456789abcdef"
WAYS = {
    "said": "print(key)",
    "half of it said": "print(key[:14])",
    "written": "open('run/x/results.jsonl', 'w').write(key)",
    "written in base64": "import base64; open('run/x/results.jsonl', 'wb').write(base64.b64encode(b'Bearer ' + key.encode()))",
}


def child_of(place, program, *arguments):
    environ = environment({"LEGAL_KEY": KEY})
    command = [sys.executable, "-c", f"# as batchrun would be started\n{program}", *arguments]
    subprocess.run(command, cwd=place, env=environ, capture_output=True, check=True, timeout=20)
    return WATCH.children.pop()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_child_that_tells_its_key_is_found(tmp_path, way):
    (tmp_path / "run" / "x").mkdir(parents=True)
    (tmp_path / "run" / "run.lock").touch()
    assert len(list(_leaks(child_of(tmp_path, f"import os\nkey = os.environ['LEGAL_KEY']\n{way}")))) == 1


def test_a_child_that_keeps_its_key_to_itself_is_found_to(tmp_path):
    assert list(_leaks(child_of(tmp_path, "print('batchrun')"))) == []


def test_a_key_on_a_command_line_is_found(tmp_path):
    assert len(list(_leaks(child_of(tmp_path, "", KEY)))) == 1
