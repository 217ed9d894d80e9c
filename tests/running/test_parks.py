"""What cannot be sent, found before any call."""

from __future__ import annotations

import pytest

from batchrun.core.jobs.job import Job
from batchrun.core.model import Scope
from batchrun.running.parks import parks_before_any_call


@pytest.mark.parametrize(
    ("asked", "instead"),
    [
        ("qwen-mxa", '"qwen-max" is listed: correct what is mistyped, there or in the rows,'),
        ("tune-v4", '"tone-v4" is listed: correct what is mistyped, there or in the rows,'),
        ("llama", "give the rows another model,"),
    ],
)
def test_a_model_that_the_job_does_not_list_is_told_with_the_one_that_was_meant(asked, instead):
    legal = {"models": ["qwen-plus", "qwen-max"], "deployments": ["tone-v4"], "endpoint": "simulator"}
    workspaces = Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": {"legal": legal}}).workspaces_resolved()
    [(workspace, model, failure)] = parks_before_any_call(workspaces, {}, [("legal", "qwen-plus"), ("legal", asked), ("legal", "tone-v4")])
    assert (workspace, model, failure.scope, failure.code) == ("legal", asked, Scope.LANE, "model_not_listed")
    assert failure.advice.startswith(f'{instead} or add "{asked}" to workspaces.legal.models once')
