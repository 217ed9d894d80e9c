"""What cannot be sent, found before any call; what comes to stand still, told at once."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from batchrun.core.counted import sentence
from batchrun.core.jobs.endpoints import HOSTS
from batchrun.core.jobs.job import Job
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.scheduling.parking import ParkedScope
from batchrun.running.parks import models_of, parks_before_any_call, tell_outages, tell_parks, with_what_was_meant
from tests.virtual_time import VirtualLoop, run_virtually


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


@pytest.mark.parametrize(
    ("asked", "code", "meant"),
    [
        ("qwen-plsu", "model_not_found", "qwen-plus"),
        ("Qwen-Plus", "Model.AccessDenied", "qwen-plus"),
        ("my-tuend", "model_not_found", "my-tuned"),
        ("my-tuned", "model_not_found", None),
        ("qwen-pluss", "model_not_found", "qwen-plus"),
        ("qwen-plus", "Model.AccessDenied", None),
        ("house-modle", "ModelNotFound", "house-model"),
        ("a tuning of qwen-plsu", "ModelNotFound", None),
        ("zzz", "model_not_found", None),
        ("qwen3.7-plus", "Model.AccessDenied", None),
        ("qwen-mt-plus", "Model.AccessDenied", None),
        ("qwen-plus-latest", "Model.AccessDenied", None),
        ("qwen-plsu", "AllocationQuota.FreeTierOnly", None),
    ],
)
def test_a_model_that_the_provider_does_not_have_is_told_with_the_one_that_was_meant(asked, code, meant):
    """Of those that are priced, or that the job names; a default is one of these for others. All but a price may be mistyped.

    Another number, or another word in it, is another model, which the workspace may need to be authorised for.
    """
    tables = {
        "legal": {"endpoint": "simulator", "model": "house-model"},
        "sales": {"endpoint": "simulator", "models": ["my-tuned", "qwen-pluss"]},
    }
    workspaces = Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": tables}).workspaces_resolved()
    parked = ParkedScope(Scope.LANE, f"legal {asked}", Failure(Fault.PARK, Scope.LANE, code, "no", "mend it"), 3)
    [told] = with_what_was_meant([parked], models_of(workspaces.values(), ["qwen-plus", "qwen-plus-us", "qwen3.6-plus"]))
    assert told.failure.advice == (f'is "{meant}" meant? mend it' if meant else "mend it")
    assert (told.scope, told.name, told.rows, told.failure.code) == (Scope.LANE, parked.name, 3, code)


def standing(*names, code="invalid_api_key"):
    return [
        ParkedScope(Scope.WORKSPACE, name, Failure(Fault.PARK, Scope.WORKSPACE, code, "no", "mend it", status=401), 3) for name in names
    ]


def told_while(*moments, tell=tell_parks):
    """The notes, where at each second another of *moments* stands still."""
    notes: list[str] = []
    ahead = iter(moments)

    async def main():
        with anyio.move_on_after(len(moments) + 0.5):
            await tell(lambda: next(ahead), notes.append)

    run_virtually(main)
    return notes


def test_what_comes_to_stand_still_is_noted_once_as_soon_as_it_does_and_so_is_that_it_goes_on():
    notes = told_while(standing(), standing("legal"), standing("legal"), standing(), standing("legal"))
    parked = "parked: legal: 401 invalid_api_key: no: mend it"
    assert notes == [parked, "legal: goes on, invalid_api_key is over", parked]


def test_a_full_stop_of_the_providers_gives_way_to_what_follows():
    assert sentence("parked", "legal", "Access denied. ", "ask for it.") == "parked: legal: Access denied: ask for it."


def test_of_many_that_stand_still_for_the_same_reason_some_are_noted_and_hours_are_noted_elsewhere():
    many = [*standing(*(f"w{number}" for number in range(50))), *standing("shut", code="window_closed"), *standing("x", code="Arrearage")]
    notes = told_while(many, many)
    assert len(notes) == 8
    assert notes[6:] == ["parked: more for the same reason, invalid_api_key: the end tells which", "parked: x: 401 Arrearage: no: mend it"]


def test_what_stands_still_night_after_night_is_noted_each_time_and_of_many_the_same_some():
    notes = told_while(*[standing("legal", code="budget_spent"), standing()] * 20)
    assert notes == ["parked: legal: 401 budget_spent: no: mend it", "legal: goes on, budget_spent is over"] * 20
    many = standing(*(f"w{number}" for number in range(50)))
    nights = told_while(*[many, many, standing()] * 3)
    assert nights == nights[:14] * 3
    assert nights[6] == "parked: more for the same reason, invalid_api_key: the end tells which"


def test_of_many_that_stand_still_those_are_not_noted_later_that_stood_before():
    many = [f"w{number}" for number in range(50)]
    notes = told_while(standing(*many), standing(*many[3:]), standing(*many[3:]), standing(*many[3:], "late"))
    assert notes[7:10] == [f"w{number}: goes on, invalid_api_key is over" for number in range(3)]
    assert notes[10:] == ["parked: late: 401 invalid_api_key: no: mend it"]


def test_looking_for_what_stands_still_takes_no_more_than_a_twentieth_of_the_time_however_much_that_is():
    looks = 0

    def seen_slowly():
        nonlocal looks
        looks += 1
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_by(0.5)
        return standing("legal")

    async def main():
        with anyio.move_on_after(211):
            await tell_parks(seen_slowly, lambda _text: None)

    run_virtually(main)
    assert looks == 20


def test_a_lane_of_which_every_call_fails_is_noted_once_and_so_is_its_end():
    down = {"legal qwen-plus": mishap("dns", in_doubt=False)}
    notes = told_while({}, down, down, {}, tell=tell_outages)
    fails = "every call fails: dns: the endpoint's name could not be resolved: one tries at a time until it passes"
    mend = f"if it stays, the host in the workspace's endpoint is mistyped: the provider's are {HOSTS}"
    assert notes == [f"legal qwen-plus: {fails}; {mend}", "legal qwen-plus: goes on, calls do not fail any more"]
    many = {f"w{number} qwen-plus": failure for number in range(50) for failure in down.values()}
    begun, over = told_while(many, many, {}, tell=tell_outages)
    assert begun.startswith("w0 qwen-plus, w1 qwen-plus, ")
    assert begun.count(" qwen-plus, ") == 20
    assert over.endswith("…: go on, calls do not fail any more")
