import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from batchrun.core.errors import JobError
from batchrun.core.jobs.job import Job
from batchrun.edge.environment import Missing, hidden_keys, read_keys


def workspaces(*names, **tables):
    of_name = {name: {"api_key_env": f"{name.upper()}_KEY"} for name in names}
    return Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": of_name | tables}).workspaces_resolved().values()


def secret(found: SecretStr | Missing) -> str:
    assert not isinstance(found, Missing)
    return found.get_secret_value()


def error_of(environ, dotenv=None, of=("legal",)) -> JobError:
    with pytest.raises(JobError) as caught:
        read_keys(workspaces(*of), environ, dotenv)
    return caught.value


def test_the_environment_goes_before_the_file_and_neither_is_changed(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("LEGAL_KEY=sk-fake-from-file\nHR_KEY='sk-fake-$HOME'\nexport IT_KEY=sk-fake-it # as exported\n")
    before = dict(os.environ)
    keys = read_keys(workspaces("legal", "hr", "it"), {"LEGAL_KEY": "sk-fake-from-environment"}, dotenv)
    assert {name: secret(key) for name, key in keys.items()} == {
        "legal": "sk-fake-from-environment",
        "hr": "sk-fake-$HOME",
        "it": "sk-fake-it",
    }
    assert dict(os.environ) == before


def test_a_key_in_the_file_that_another_one_in_the_environment_hides_is_known(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("LEGAL_KEY=sk-fake-new\nHR_KEY=sk-fake-same\nIT_KEY=sk-fake-it\nSALES_KEY=\nSIM_KEY=sk-fake-any\n")
    environ = {f"{name}_KEY": "sk-fake-old" for name in ("LEGAL", "SALES", "SIM", "NOWHERE")} | {"HR_KEY": "sk-fake-same", "IT_KEY": ""}
    of = workspaces("legal", "hr", "it", "sales", "nowhere", sim={"endpoint": "simulator", "api_key_env": "SIM_KEY"})
    assert hidden_keys(of, environ, dotenv) == {"legal": "LEGAL_KEY"}
    assert hidden_keys(of, environ, None) == hidden_keys(of, environ, tmp_path / "nothing") == {}


def test_nothing_in_the_file_is_expanded(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("OTHER=abc\nLEGAL_KEY=sk-fake-${OTHER}\n")
    assert secret(read_keys(workspaces("legal"), {}, dotenv)["legal"]) == "sk-fake-${OTHER}"


def test_a_missing_or_empty_key_says_where_it_was_looked_for(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("HR_KEY=\nIT_KEY\nLAB_KEY=sk-fake-lab\n")
    keys = read_keys(workspaces("legal", "hr", "it", "lab", "ops"), {"LAB_KEY": "", "OPS_KEY": ""}, dotenv)
    assert keys == {
        "legal": Missing("LEGAL_KEY", f"is set neither in the environment nor in {dotenv}"),
        "hr": Missing("HR_KEY", f"is empty in {dotenv}"),
        "it": Missing("IT_KEY", f"is empty in {dotenv}"),
        "lab": Missing("LAB_KEY", f"is empty in the environment, which goes before {dotenv}"),
        "ops": Missing("OPS_KEY", "is empty in the environment"),
    }
    assert read_keys(workspaces("legal"), {}, None)["legal"] == Missing("LEGAL_KEY", "is not set in the environment")


def test_a_key_that_a_file_might_hold_which_is_not_there_says_in_which_folder_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = Missing("LEGAL_KEY", f"is not set in the environment, and no .env stands in {tmp_path}")
    assert read_keys(workspaces("legal"), {}, Path(".env"))["legal"] == told
    assert read_keys(workspaces("legal"), {}, tmp_path / ".env")["legal"] == told
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    nowhere = Missing("LEGAL_KEY", "is not set in the environment, and no .env stands in the folder where the command was run")
    assert read_keys(workspaces("legal"), {}, Path(".env"))["legal"] == nowhere


def test_a_variable_of_the_same_letters_is_told_and_none_that_may_be_another_departments(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("legal_key=sk-fake-legal\nHR_KEY_=sk-fake-hr\nIT2_KEY=sk-fake-it\n")
    keys = read_keys(workspaces("legal", "hr", "it"), {"IT_KEYS": "sk-fake-its"}, dotenv)
    where = f"is set neither in the environment nor in {dotenv}"
    assert keys["legal"] == Missing("LEGAL_KEY", f"{where} (legal_key is)")
    assert keys["hr"] == Missing("HR_KEY", f"{where} (HR_KEY_ is)")
    assert keys["it"] == Missing("IT_KEY", where)
    assert read_keys(workspaces("hr"), {"HrKey": "sk-fake-hr"}, None)["hr"] == Missing("HR_KEY", "is not set in the environment (HrKey is)")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_that_powershell_wrote_is_told_as_that_and_shows_nothing_of_it(tmp_path, encoding):
    (tmp_path / ".env").write_bytes("\ufeffLEGAL_KEY=sk-fake-密\n".encode(encoding))
    with pytest.raises(JobError) as refused:
        read_keys(workspaces("legal"), {}, tmp_path / ".env")
    how = "line 1 is UTF-16, as PowerShell writes: save it as UTF-8 (the line is not shown: it may hold a key)"
    assert str(refused.value) == f"{tmp_path}/.env: {how}"


def test_a_folder_of_that_name_as_of_a_virtual_environment_holds_no_key_and_stops_nothing(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.mkdir()
    keys = read_keys(workspaces("legal", "hr"), {"LEGAL_KEY": "sk-fake-legal"}, dotenv)
    assert not isinstance(keys["legal"], Missing)
    assert keys["hr"] == Missing("HR_KEY", f"is not set in the environment, and {dotenv} is a folder")


def test_for_the_simulator_nothing_is_read(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"\xff")  # reading it would be an error
    simulated = workspaces(legal={"endpoint": "simulator", "api_key_env": "LEGAL_KEY"})
    named = [replace(one, api_key_env="LEGAL_KEY") for one in simulated]
    assert read_keys([*simulated, *named], {"LEGAL_KEY": "never a key"}, dotenv) == {}
    assert hidden_keys([*simulated, *named], {"LEGAL_KEY": "never a key"}, dotenv) == {}


def test_two_workspaces_may_share_a_variable():
    keys = read_keys(workspaces(a={"api_key_env": "ONE"}, b={"api_key_env": "ONE"}), {"ONE": "sk-fake-one"}, None)
    assert [secret(key) for key in keys.values()] == ["sk-fake-one"] * 2


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (" sk-fake-legal", "white space around"),
        ("sk-fake-legal\t", "white space around"),
        ("sk-fake-legal\n", "a line break at its end"),
        ("sk-fake-legal\r", "a line break at its end"),
        (" ", "white space around"),
        ('"sk-fake-legal"', "quotes"),
        ("'sk-fake-legal'", "quotes"),
        ('sk-fake-legal"', "quotes"),
        ("sk-fake-\u200blegal", "not ASCII"),
        ("sk-fake-密钥", "not ASCII"),
        ("sk-fake-\udc80", "not ASCII"),
        ("sk-fake\x00legal", "control characters"),
        ("sk-fake\nlegal", "control characters"),
        ("Bearer sk-fake-legal", "a space in it"),
    ],
)
def test_a_value_that_no_header_could_carry_is_told_by_its_kind(value, kind):
    error = error_of({"LEGAL_KEY": value})
    (mistake,) = error.mistakes
    assert mistake.where == "environment: LEGAL_KEY"
    assert kind in mistake.found
    assert "fake" not in str(error)


def test_all_wrong_keys_are_told_at_once_with_their_places(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text('HR_KEY=" sk-fake-hr"\n')
    error = error_of({"LEGAL_KEY": "'sk-fake-legal'"}, dotenv, of=("legal", "hr"))
    assert [mistake.where for mistake in error.mistakes] == ["environment: LEGAL_KEY", f"{dotenv}: HR_KEY"]
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"A=1\n\n  LEGAL KEY = sk-fake-legal\n", 3),
        (b"A=1\nLEGAL_KEY='sk-fake-legal\nB=2\n", 2),
        (b"A=1\n# \xff\nLEGAL_KEY=sk-fake-\xff\n", 2),
        (b"{\n", 1),
        (b"A=1\nsk-fake-legal\n", 2),
    ],
)
def test_a_malformed_file_is_named_with_its_line_and_not_shown(tmp_path, content, line):
    dotenv = tmp_path / "keys.env"
    dotenv.write_bytes(content)
    error = error_of({}, dotenv)
    assert str(error).startswith(f"{dotenv}: line {line} is not ")
    assert "fake" not in str(error)
    assert error.__context__ is None


def test_a_file_saved_with_a_byte_order_mark_is_read(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_bytes("\ufeffLEGAL_KEY=sk-fake-legal\r\n".encode())
    assert secret(read_keys(workspaces("legal"), {}, dotenv)["legal"]) == "sk-fake-legal"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.symlink_to(dotenv)
    assert str(error_of({}, dotenv)) == f"{dotenv}: cannot be read: Too many levels of symbolic links"


@given(st.text(st.characters(exclude_characters="\x00"), min_size=8), st.sampled_from(["{}", "{} ", '"{}"', "{}\n", "Bearer {}", "{}é"]))
def test_no_value_is_ever_shown(text, around):
    key = around.format("sk-" + text)
    shown = ""
    try:
        keys = read_keys(workspaces("legal"), {"LEGAL_KEY": key}, None)
    except JobError as error:
        shown = f"{error} {error!r} {error.mistakes} {error.__context__!r}"
    else:
        shown = f"{keys} {keys['legal']}"
        assert secret(keys["legal"]) == key
        assert key.isascii()
        assert key.isprintable()
    assert shown
    assert "sk-" not in shown
