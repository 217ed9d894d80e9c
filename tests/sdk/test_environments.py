"""Environments are built once, by one session of several, and anew where a build was broken off or is of another pin."""

from __future__ import annotations

import threading

from tests.sdk.environments import Sdk, built

WANTED = Sdk("openai", "0.0.1")


class Builder:
    """Builds nothing, slowly enough to be overtaken; the first *failures* builds break off half way."""

    def __init__(self, failures: int = 0) -> None:
        self.builds: list[str] = []
        self.at_work = 0
        self.most_at_work = 0
        self._failures = failures

    def __call__(self, place, sdk):
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        self.builds.append(sdk.pin)
        place.mkdir(exist_ok=True)
        threading.Event().wait(0.05)
        self.at_work -= 1
        if len(self.builds) <= self._failures:
            raise RuntimeError("pip had enough")


def test_an_environment_is_built_once_and_then_found(tmp_path):
    builder = Builder()
    places = [built(WANTED, tmp_path, builder) for _ in range(3)]
    assert builder.builds == [WANTED.pin]
    assert places == [tmp_path / WANTED.name] * 3


def test_sessions_that_want_it_at_once_build_it_once(tmp_path):
    builder = Builder()
    sessions = [threading.Thread(target=built, args=(WANTED, tmp_path, builder)) for _ in range(4)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert builder.builds == [WANTED.pin]
    assert builder.most_at_work == 1


def test_a_build_that_broke_off_is_done_anew(tmp_path):
    builder = Builder(failures=1)
    try:
        built(WANTED, tmp_path, builder)
    except RuntimeError:
        built(WANTED, tmp_path, builder)
    assert len(builder.builds) == 2


def test_an_environment_of_another_pin_is_built_anew(tmp_path):
    builder = Builder()
    built(WANTED, tmp_path, builder)
    (tmp_path / WANTED.name / "pins.txt").write_text("python==3.0.0\nopenai==0.0.1\n", encoding="utf-8")
    built(WANTED, tmp_path, builder)
    assert len(builder.builds) == 2


def test_what_is_built_is_kept_out_of_the_repository(tmp_path):
    built(WANTED, tmp_path / "environments", Builder())
    assert (tmp_path / "environments" / ".gitignore").read_text(encoding="utf-8") == "*\n"
