"""Who may do what, and what it leaves: authorisations, arrears, free tokens, shared quotas and changes with time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.simulator.accounts import Accounts, Passage, count, patience
from batchrun.simulator.scenario import Latency, Mishap, PlannedFault
from batchrun.simulator.service import Call, Service
from tests.simulator.fixtures import NOW, answered, chat, scenario

MODEL, OTHER = "qwen-plus", "qwen-max"


def accounts(**settings):
    """Of sales and hr, who share the account main, and legal, who is an account of its own."""
    workspaces = {
        "sales": {"api_key": "sk-fake-sales", "account": "main"},
        "hr": {"api_key": "sk-fake-hr", "account": "main"},
        "legal": {"api_key": "sk-fake-legal"},
    }
    own = settings.pop("workspaces", {})
    return Accounts(scenario(**settings, workspaces={name: {**table, **own.get(name, {})} for name, table in workspaces.items()}))


def goes(book, workspace, model=MODEL, now=NOW, *, tokens=0, patience=0.0, took=0.0):
    """What becomes of a call: None where it went and was counted."""
    found = book.admit(workspace, model, now, patience)
    return count(found, now, tokens=tokens, took=took) if isinstance(found, Passage) else found


def test_an_accounts_quota_is_shared_by_its_workspaces_and_by_no_other_model_or_account():
    book = accounts(accounts={"main": {"quotas": {MODEL: {"rpm": 3}}}})
    told = [goes(book, name) for name in ("sales", "hr", "sales", "hr", "legal")]
    assert told == [None, None, None, Mishap.THROTTLE, None]
    assert goes(book, "hr", OTHER) is None
    assert goes(book, "hr", now=NOW + 60) is None


def test_a_workspaces_own_limits_hold_one_model_or_all_together_and_cost_its_siblings_nothing():
    limits = {MODEL: {"rpm": 2}, "*": {"rpm": 3}}
    book = accounts(workspaces={"sales": {"limits": limits}}, accounts={"main": {"quotas": {MODEL: {"rpm": 5}}}})
    told = [goes(book, "sales", model) for model in (MODEL, MODEL, MODEL, OTHER, OTHER)]
    assert told == [None, None, Mishap.THROTTLE, None, Mishap.THROTTLE]
    # Two of the account's five went to sales; what sales was refused took none of them.
    assert [goes(book, "hr") for _ in range(4)] == [None, None, None, Mishap.THROTTLE]


def test_a_call_that_turns_out_too_large_is_refused_and_is_counted_nowhere():
    quota = {"rpm": 2, "tpm": 100, "burst": 1.0, "burst_floor": 2}
    book = accounts(accounts={"main": {"quotas": {MODEL: quota}}}, workspaces={"sales": {"limits": {MODEL: {"rpm": 2, "tpm": 1000}}}})
    assert [goes(book, "sales", tokens=101) for _ in range(5)] == [Mishap.TOKEN_QUOTA] * 5
    assert [goes(book, "sales", tokens=50) for _ in range(3)] == [None, None, Mishap.THROTTLE]


def test_a_call_that_never_reached_its_model_counts_as_a_call_and_costs_no_tokens():
    book = accounts(accounts={"main": {"quotas": {MODEL: {"rpm": 2, "tpm": 10}}}})
    assert [goes(book, "sales", tokens=tokens) for tokens in (0, 10, 0)] == [None, None, Mishap.THROTTLE]


def test_tokens_that_count_at_completion_count_once_the_wait_and_the_answer_are_over():
    quota = {"tpm": 10, "debit": "completion", "burst": 1.0, "burst_period": 10, "burst_floor": 1}
    book = accounts(accounts={"main": {"quotas": {MODEL: quota}}})
    assert goes(book, "sales", tokens=1, took=1) is None
    assert goes(book, "hr", tokens=99, patience=10, took=5) is None  # Waits for 10 seconds, then takes 5.
    assert [goes(book, "sales", now=NOW + seconds) for seconds in (14.5, 15)] == [Mishap.BURST, Mishap.TOKEN_QUOTA]


def test_growth_is_refused_after_the_quotas_and_patience_turns_the_refusal_into_a_wait():
    book = accounts(accounts={"main": {"quotas": {MODEL: {"rpm": 6, "burst": 2.0, "burst_period": 10, "burst_floor": 2}}}})
    assert [goes(book, "sales") for _ in range(3)] == [None, None, Mishap.BURST]
    found = book.admit("hr", MODEL, NOW + 3, 30.0)
    assert isinstance(found, Passage)
    assert found.wait == 7.0
    assert [goes(book, "hr", now=NOW + 3, patience=30.0) for _ in range(5)] == [None] * 4 + [Mishap.THROTTLE]


def test_a_balance_is_spent_by_answers_and_at_nothing_every_workspace_of_the_account_is_in_arrears():
    book = accounts(price_per_1k_tokens=0.1, accounts={"main": {"balance": 0.3}})
    book.account_of("sales").charge(MODEL, 1000)
    book.account_of("hr").charge(OTHER, 1999)
    assert [book.in_arrears(name) for name in ("sales", "hr", "legal")] == [False, False, False]
    book.account_of("hr").charge(MODEL, 1)
    assert [book.in_arrears(name) for name in ("sales", "hr", "legal")] == [True, True, False]


def test_money_is_exact():
    book = accounts(price_per_1k_tokens=0.1, accounts={"main": {"balance": 1}})
    for _ in range(9_999):
        book.account_of("sales").charge(MODEL, 1)
    assert book.account_of("sales")._balance == Decimal("0.0001")


def test_free_tokens_go_before_the_balance():
    book = accounts(price_per_1k_tokens=1, accounts={"main": {"balance": 1, "free_quota": {MODEL: 500}}})
    book.account_of("sales").charge(MODEL, 400)
    book.account_of("sales").charge(MODEL, 300)
    assert book.account_of("sales")._balance == Decimal("0.8")
    assert goes(book, "sales") is None


def test_with_the_free_tier_only_a_model_is_refused_once_its_free_tokens_are_gone_and_others_go_on():
    book = accounts(accounts={"main": {"free_quota": {MODEL: 100}, "free_tier_only": True}})
    assert goes(book, "sales", tokens=60) is None
    book.account_of("sales").charge(MODEL, 60)
    book.account_of("sales").charge(MODEL, 60)
    assert [goes(book, name, model) for name, model in (("sales", MODEL), ("hr", MODEL), ("hr", OTHER), ("legal", MODEL))] == [
        Mishap.FREE_TIER,
        Mishap.FREE_TIER,
        None,
        None,
    ]


def test_changes_are_made_at_their_time_after_the_first_call_and_in_the_order_of_their_times():
    changes = (
        {"at": 30.0, "account": "main", "balance": 5},
        {"at": 10.0, "workspace": "legal", "wrong_key": False},
        {"at": 20.0, "workspace": "legal", "models": [OTHER]},
        {"at": 25.0, "account": "legal", "balance": 0},
    )
    own = {"hr": {"in_arrears": True}, "legal": {"wrong_key": True, "models": (MODEL,)}}
    book = accounts(changes=changes, workspaces=own)

    def told(now):
        book.tick(now)
        return book.in_arrears("sales"), book.refuses_key_of("legal"), book.may_call("legal", OTHER), book.in_arrears("legal")

    assert [told(NOW + seconds) for seconds in (0, 9.9, 10, 20, 25, 29.9, 30)] == [
        (True, True, False, False),
        (True, True, False, False),
        (True, False, False, False),
        (True, False, True, False),
        (True, False, True, True),
        (True, False, True, True),
        (False, False, True, True),
    ]


def test_an_account_s_quota_is_halved_and_restored_at_its_time_whether_it_was_held_before_or_not():
    changes = (
        {"at": 10.0, "account": "main", "quotas": {MODEL: {"rpm": 2}, OTHER: {"rpm": 1}}},
        {"at": 20.0, "account": "main", "quotas": {MODEL: {"rpm": 4}}},
    )
    book = accounts(accounts={"main": {"quotas": {MODEL: {"rpm": 4}}}}, changes=changes)

    def most(model, now):
        book.tick(now)
        meter = book.account_of("sales").meter(model)
        return None if meter is None else meter.caps.requests

    assert [(most(MODEL, NOW + at), most(OTHER, NOW + at)) for at in (0, 9.9, 10, 20)] == [(4, None), (4, None), (2, 1), (4, 1)]


def test_a_topped_up_account_spends_its_new_balance():
    book = accounts(accounts={"main": {"balance": 0}}, price_per_1k_tokens=1, changes=({"at": 0, "account": "main", "balance": 1},))
    assert book.in_arrears("sales")
    book.tick(NOW)
    book.account_of("sales").charge(MODEL, 999)
    assert not book.in_arrears("sales")
    book.account_of("sales").charge(MODEL, 1)
    assert book.in_arrears("sales")


def test_a_workspace_that_nobody_listed_is_an_account_under_its_own_name():
    book = Accounts(scenario(open_keys=True, workspaces={}, accounts={"guest": {"quotas": {MODEL: {"rpm": 1}}}}))
    assert [goes(book, name) for name in ("guest", "guest", "other", "other")] == [None, Mishap.THROTTLE, None, None]
    assert book.owner("guest") == "guest"


def test_a_changed_limit_begins_anew_and_one_set_again_as_it_was_goes_on():
    book = accounts(workspaces={"sales": {"limits": {MODEL: {"rpm": 1}}}})
    assert goes(book, "sales") is None
    book.set_limit("sales", MODEL, book.limit("sales", MODEL))
    assert goes(book, "sales") is Mishap.THROTTLE
    book.set_limit("sales", MODEL, None)
    assert (book.limit("sales", MODEL), goes(book, "sales")) == (None, None)


@given(calls=st.lists(st.tuples(st.sampled_from(["sales", "hr"]), st.integers(0, 60), st.sampled_from([0.0, 0.4, 2.0])), max_size=50))
@pytest.mark.parametrize("window", ["sliding", "aligned"])
def test_however_workspaces_interleave_none_passes_its_limit_and_all_together_never_the_accounts_quota(window, calls):
    settings = {"period": 6, "window": window}
    book = accounts(
        accounts={"main": {"quotas": {MODEL: {"rpm": 50, "tpm": 1_000, **settings}}}},
        workspaces={"sales": {"limits": {MODEL: {"rpm": 20, **settings}}}},
    )
    now, gone = NOW, []
    for workspace, tokens, gap in calls:
        now += gap
        if goes(book, workspace, now=now, tokens=tokens) is None:
            gone.append((now, workspace, tokens))
    starts = [now for now, _, _ in gone] if window == "sliding" else [now // 6 * 6 for now, _, _ in gone]
    for start in starts:
        inside = [(workspace, tokens) for at, workspace, tokens in gone if start <= at < start + 6]
        assert len(inside) <= 5
        assert sum(workspace == "sales" for workspace, _ in inside) <= 2
        assert sum(tokens for _, tokens in inside) <= 100


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(None, 0), ("", 0), ("30", 30), ("120", 120), ("9999", 600), ("-5", 0), ("nan", 0), ("1e3", 0), ("²", 0), ("9" * 400, 0)],
)
def test_patience_is_what_the_header_says_in_whole_seconds_up_to_the_providers_own_timeout(said, seconds):
    assert patience(said) == seconds


def service(*faults, quota=None, limits=None, **settings):
    """The provider of sales and hr, who share the account main with that quota for qwen-plus; sales has limits of its own."""
    workspaces = {
        "sales": {"api_key": "sk-fake-sales", "account": "main", "limits": limits or {}},
        "hr": {"api_key": "sk-fake-hr", "account": "main", **settings.pop("hr", {})},
    }
    account = {"quotas": {MODEL: quota or {}}, **settings.pop("account", {})}
    return Service(scenario(*faults, workspaces=workspaces, accounts={"main": account}, **settings))


def said(provider, workspace="sales", now=NOW, **fields):
    """The code of the answer, or its status."""
    plan = provider.answer(chat(key=f"sk-fake-{workspace}", **fields), now)
    return orjson.loads(plan.body)["error"]["code"] if plan.status != 200 else 200


ONE: dict[str, Any] = {"max_tokens": 1}
"""With this, the same prompt always costs the same."""
COST = answered(Service(scenario()), chat(**ONE))["usage"]["total_tokens"]
NATIVE = "/api/v1/services/aigc/text-generation/generation"


@pytest.mark.parametrize(
    ("quota", "code", "native_code"),
    [
        ({"rpm": 1}, "limit_requests", "Throttling.RateQuota"),
        ({"tpm": 1, "debit": "completion"}, "insufficient_quota", "Throttling.AllocationQuota"),
        ({"burst": 1.0, "burst_floor": 1}, "limit_burst_rate", "Throttling.BurstRate"),
    ],
)
def test_a_quota_refuses_with_the_routes_own_code_and_bills_nothing(quota, code, native_code):
    provider = service(quota=quota)
    body = orjson.dumps({"model": MODEL, "input": {"messages": [{"role": "user", "content": "Hello"}]}})
    native = Call("POST", NATIVE, {"authorization": "Bearer sk-fake-hr"}, body)
    assert said(provider) == 200
    assert said(provider) == code
    plan = provider.answer(native, NOW)
    assert (plan.status, orjson.loads(plan.body)["code"]) == (429, native_code)
    assert "retry-after" not in plan.headers
    assert provider.bill()["total"]["calls"] == 1
    assert [call["code"] for call in provider.calls()] == ["", code, native_code]


def test_tokens_are_debited_by_the_calls_real_cost_and_what_does_not_fit_is_refused_unbilled():
    provider = service(quota={"tpm": 2 * COST})
    calls = [("sales", NOW), ("hr", NOW), ("hr", NOW), ("hr", NOW + 60)]
    assert [said(provider, *call, **ONE) for call in calls] == [200, 200, "insufficient_quota", 200]
    assert provider.bill()["total"]["calls"] == 3
    small = service(quota={"tpm": COST - 1, "rpm": 1})
    assert [said(small, **ONE) for _ in range(3)] == ["insufficient_quota"] * 3
    assert small.bill()["total"]["calls"] == 0


def test_tokens_that_count_at_completion_count_when_the_answer_is_due():
    for latency in (Latency(median=5.0), Latency(median=5.0, per_token=0.5)):
        provider = service(quota={"tpm": 1, "debit": "completion"}, latency=latency)
        due = provider.answer(chat(key="sk-fake-sales"), NOW).delay
        assert [said(provider, now=NOW + due - 0.001), said(provider, now=NOW + due)] == [200, "insufficient_quota"]


def test_a_mistake_and_a_planned_failure_count_as_calls_and_a_planned_throttle_and_a_proxys_page_do_not():
    assert [said(service(quota={"rpm": 1}), n=9)] == ["invalid_parameter_error"]
    for fault, counts in (("internal", True), ("throttle", False), ("html", False)):
        provider = service(PlannedFault(kind=Mishap(fault), first=1), quota={"rpm": 1})
        provider.answer(chat(key="sk-fake-sales"), NOW)
        assert said(provider) == ("limit_requests" if counts else 200), fault
    mistaken = service(quota={"rpm": 1})
    assert [said(mistaken, n=9), said(mistaken)] == ["invalid_parameter_error", "limit_requests"]


def test_limits_answer_after_authorisation_and_before_parameters():
    provider = service(quota={"rpm": 1}, hr={"models": (OTHER,)})
    assert [said(provider), said(provider, "hr", n=9), said(provider, n=9)] == [200, "Model.AccessDenied", "limit_requests"]


def test_a_wait_timeout_delays_a_call_that_grew_too_quickly_and_helps_against_no_other_refusal():
    quota = {"rpm": 3, "burst": 2.0, "burst_period": 10, "burst_floor": 1}
    provider = service(quota=quota)
    headers = {"x-dashscope-wait-timeout": "30"}
    assert [said(provider), said(provider)] == [200, "limit_burst_rate"]
    waited = [provider.answer(chat(key="sk-fake-hr", headers=headers), NOW + 4) for _ in range(3)]
    assert [(plan.status, plan.delay) for plan in waited] == [(200, 6.0), (200, 6.0), (429, 0.0)]
    assert orjson.loads(waited[2].body)["error"]["code"] == "limit_requests"


def test_an_account_that_runs_out_is_in_arrears_at_the_first_floor_until_it_is_topped_up():
    changes = ({"at": 30.0, "account": "main", "balance": 1000},)
    provider = service(account={"balance": 2 * COST - 1}, price_per_1k_tokens=1000, changes=changes)
    told = [
        said(provider, *call, **ONE) for call in (("sales", NOW), ("hr", NOW + 1), ("sales", NOW + 2), ("hr", NOW + 29.9), ("hr", NOW + 30))
    ]
    assert told == [200, 200, "Arrearage", "Arrearage", 200]
    assert said(service(account={"balance": 0}), model="no-such-model") == "Arrearage"


def test_free_tokens_end_with_the_free_tiers_refusal():
    provider = service(account={"free_quota": {MODEL: 1}, "free_tier_only": True})
    assert [said(provider), said(provider, "hr"), said(provider, model=OTHER)] == [200, "AllocationQuota.FreeTierOnly", 200]


def test_a_key_heals_and_an_authorisation_comes_while_a_run_goes_on():
    changes = ({"at": 10.0, "workspace": "hr", "wrong_key": False}, {"at": 20.0, "workspace": "hr", "models": [MODEL]})
    provider = service(changes=changes, hr={"wrong_key": True, "models": (OTHER,)})
    provider.answer(Call("GET", "/simulator/bill", {}, b""), NOW - 100)
    assert said(provider) == 200
    assert [said(provider, "hr", NOW + seconds) for seconds in (9, 10, 20)] == ["invalid_api_key", "Model.AccessDenied", 200]


def test_an_answer_given_again_under_its_key_counts_as_a_call_and_costs_no_tokens():
    provider = service(quota={"rpm": 3, "tpm": COST + 1}, honour_idempotency_key=True)
    headers = {"idempotency-key": "run-row-1"}
    assert [said(provider, headers=headers, **ONE) for _ in range(4)] == [200, 200, 200, "limit_requests"]
