"""What cannot be sent, found before any call."""

from __future__ import annotations

import pytest

from batchrun.core.jobs.job import Job
from batchrun.core.model import Scope
from batchrun.running.parks import parks_before_any_call


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ("qwen-mxa", 'correct the rows where they mean "qwen-max", or add "qwen-mxa" to workspaces.legal.models once'),
        ("tune-v4", 'correct the rows where they mean "tone-v4", or add "tune-v4" to workspaces.legal.models once'),
        ("llama", 'give the rows another model, or add "llama" to workspaces.legal.models once'),
    ],
)
def test_a_model_that_the_job_does_not_list_is_told_with_the_one_that_was_meant(asked, advice):
    legal = {"models": ["qwen-plus", "qwen-max"], "deployments": ["tone-v4"], "endpoint": "simulator"}
    workspaces = Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": {"legal": legal}}).workspaces_resolved()
    [(workspace, model, failure)] = parks_before_any_call(workspaces, {}, [("legal", "qwen-plus"), ("legal", asked), ("legal", "tone-v4")])
    assert (workspace, model, failure.scope, failure.code) == ("legal", asked, Scope.LANE, "model_not_listed")
    assert failure.advice.startswith(advice)
