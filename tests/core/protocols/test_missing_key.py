"""The one error of the page on sub-workspaces that no endpoint sends: there is no key to send it with."""

from __future__ import annotations

from pydantic import SecretStr

from batchrun.core.jobs.job import Job
from batchrun.core.model import Fault, Scope
from batchrun.edge.environment import Missing
from batchrun.running.parks import parks_before_any_call


def test_a_missing_key_parks_its_workspace_before_any_call():
    """The page's last two lines, of either SDK; where the key was looked for is said by tests/edge/test_environment.py."""
    settings = {"job": {"input": "in.jsonl"}, "workspaces": {name: {"api_key_env": f"{name.upper()}_KEY"} for name in ("legal", "hr")}}
    workspaces = Job.model_validate(settings).workspaces_resolved()
    lanes = [("hr", "qwen-plus"), ("legal", "qwen-plus")]
    keys: dict[str, SecretStr | Missing] = {"hr": SecretStr("sk-fake-hr"), "legal": Missing("LEGAL_KEY", "is not set in the environment")}
    [(workspace, model, got)] = parks_before_any_call(workspaces, keys, lanes)
    assert (workspace, model, got.fault, got.scope, got.code, got.status) == (
        "legal",
        "qwen-plus",
        Fault.PARK,
        Scope.WORKSPACE,
        "missing_key",
        None,
    )
    assert got.advice.startswith("LEGAL_KEY is not set in the environment: set it")
