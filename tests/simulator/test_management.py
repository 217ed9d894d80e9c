"""The management routes: their envelope, their pages, what they change, and what they refuse."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.simulator.service import Call, Plan, Service
from tests.simulator.fixtures import NOW, chat, scenario

LIMITS, PERMISSIONS = "/api/v1/models/limits", "/api/v1/models/permissions"
MODELS = ("qwen-plus", "qwen-max", "qwen-flash")
EMPTY = {
    "request_limit": None,
    "request_limit_period": None,
    "usage_limit": None,
    "usage_limit_field": None,
    "usage_limit_period": None,
    "async_user_queue_limit": None,
    "async_user_concurrency_limit": None,
}


def service(**settings):
    """Of sales and hr, who share an account with 600 calls and 60,000 tokens a minute of qwen-plus, held to in 6 seconds."""
    workspaces = {
        "sales": {"api_key": "sk-fake-sales", "account": "main"},
        "hr": {"api_key": "sk-fake-hr", "account": "main", "models": ("qwen-plus", "qwen-max")},
    }
    accounts = {"main": {"quotas": {"qwen-plus": {"rpm": 600, "tpm": 60_000, "period": 6}}}}
    return Service(scenario(models=MODELS, workspaces=workspaces, accounts=accounts, **settings))


def asked(provider, target, body=None, *, key="sk-fake-sales", now=NOW) -> Plan:
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    plan: Plan = provider.answer(Call("GET" if body is None else "POST", target, {"authorization": f"Bearer {key}"}, raw), now)
    return plan


def output(provider, target, *, key="sk-fake-sales"):
    plan = asked(provider, target, key=key)
    told = orjson.loads(plan.body)
    assert (plan.status, told["code"], told["message"], told["success"]) == (200, None, None, True)
    assert told["request_id"] == plan.headers["x-request-id"]
    return told["output"]


def done(provider, target, body, *, key="sk-fake-sales"):
    plan = asked(provider, target, body, key=key)
    assert orjson.loads(plan.body) == {
        "request_id": plan.headers["x-request-id"],
        "code": None,
        "message": None,
        "success": True,
        "output": None,
    }, plan.body
    assert plan.status == 200


def refusal(provider, target, body=None):
    plan = asked(provider, target, body)
    told = orjson.loads(plan.body)
    assert list(told) == ["request_id", "code", "message", "success", "output"]
    assert (plan.status, told["code"], told["success"], told["output"]) == (400, "InvalidParameter", False, None)
    return told["message"]


def authorised(provider, key="sk-fake-hr"):
    permissions = output(provider, f"{PERMISSIONS}?authorization_scope=AUTHORIZED", key=key)["permissions"]
    return [one["model"] for one in permissions]


def workspace_limit(provider, model="qwen-plus", key="sk-fake-sales"):
    (quota,) = output(provider, f"{LIMITS}?model={model}", key=key)["quotas"]
    return quota["workspace_limit"]


@pytest.mark.parametrize("path", [LIMITS, "/api/v1/quotas"])
def test_the_limits_of_every_model_are_listed_as_they_are_held_to(path):
    told = output(service(), path)
    assert (told["total"], told["page_no"], told["page_size"]) == (3, 1, 20)
    assert told["quotas"][0] == {
        "model": "qwen-plus",
        "workspace_id": "sales",
        "model_limit": EMPTY
        | {
            "request_limit": 60,
            "request_limit_period": 6,
            "usage_limit": 6_000,
            "usage_limit_field": "total_tokens",
            "usage_limit_period": 6,
        },
        "workspace_limit": None,
    }
    assert [one["model"] for one in told["quotas"]] == list(MODELS)
    assert told["quotas"][1]["model_limit"] == EMPTY


@pytest.mark.parametrize(
    ("query", "models", "total"),
    [
        ("?model=qwen-max", ["qwen-max"], 1),
        ("?model=qwen", [], 0),
        ("?name=qwen", list(MODELS), 3),
        ("?name=a", ["qwen-max", "qwen-flash"], 2),
        ("?page_size=2", ["qwen-plus", "qwen-max"], 3),
        ("?page_size=2&page_no=2", ["qwen-flash"], 3),
        ("?page_no=9", [], 3),
    ],
)
@pytest.mark.parametrize(("path", "name"), [(LIMITS, "quotas"), (PERMISSIONS, "permissions")])
def test_lists_are_searched_and_paged(path, name, query, models, total):
    told = output(service(), path + query)
    assert ([one["model"] for one in told[name]], told["total"]) == (models, total)


def test_permissions_say_what_may_be_authorised_and_what_is():
    told = output(service(), PERMISSIONS, key="sk-fake-hr")
    assert told["permissions"][2] == {
        "model": "qwen-flash",
        "name": "qwen-flash",
        "permissions": {"inference": False, "fine_tune": False, "deploy": False},
    }
    assert authorised(service()) == ["qwen-plus", "qwen-max"]
    assert authorised(service(), key="sk-fake-sales") == list(MODELS)


def test_a_limit_that_is_set_is_held_to_by_that_workspace_alone_and_lifted_again():
    provider = service()
    done(
        provider, LIMITS, {"models": [{"model": "qwen-plus", "operation_type": "OVERLAY", "request_limit": 1, "request_limit_period": 60}]}
    )
    assert workspace_limit(provider) == EMPTY | {"request_limit": 1, "request_limit_period": 60}
    assert workspace_limit(provider, key="sk-fake-hr") is None

    def statuses():
        return [provider.answer(chat(key=f"sk-fake-{name}"), NOW).status for name in ("sales", "sales", "hr")]

    assert statuses() == [200, 429, 200]
    done(provider, LIMITS, {"models": [{"model": "qwen-plus", "operation_type": "DELETE"}]})
    assert workspace_limit(provider) is None
    assert statuses() == [200, 200, 200]


def test_a_limit_is_laid_over_the_one_there_is():
    provider = service()
    done(provider, LIMITS, {"models": [{"model": "qwen-plus", "request_limit": 60}]})
    done(provider, LIMITS, {"models": [{"model": "qwen-plus", "usage_limit": 50, "usage_limit_period": 1}]})
    assert workspace_limit(provider) == EMPTY | {
        "request_limit": 60,
        "request_limit_period": 60,
        "usage_limit": 50,
        "usage_limit_field": "total_tokens",
        "usage_limit_period": 1,
    }


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([], "models must have 1 to 200 items"),
        ([{"model": "qwen-plus", "request_limit": 1}] * 201, "models must have 1 to 200 items"),
        ([{"request_limit": 1}], "model must not be empty"),
        ([5], "model must not be empty"),
        ([{"model": "qwen-minus"}], "Model qwen-minus does not exist"),
        ([{"model": "qwen-plus", "request_limit": -1}], "request_limit must be a non-negative integer"),
        ([{"model": "qwen-plus", "request_limit": True}], "request_limit must be a non-negative integer"),
        ([{"model": "qwen-plus", "request_limit": 1, "request_limit_period": 0}], "request_limit_period must be a positive integer"),
        ([{"model": "qwen-plus", "usage_limit": 1}], "Model qwen-plus has no QPM limit, please set QPM first"),
        (
            [{"model": "qwen-plus", "operation_type": "DELETE", "request_limit": 1}],
            "request_limit and usage_limit must be empty when operation_type is DELETE",
        ),
        ([{"model": "qwen-plus", "operation_type": "SET"}], "operation_type must be one of OVERLAY, DELETE"),
        (
            [{"model": "qwen-plus", "request_limit": 601}],
            "The total request_limit of all workspaces must not exceed the model limit of qwen-plus",
        ),
    ],
)
def test_a_refused_limit_leaves_every_limit_as_it_was(items, why):
    provider = service()
    assert refusal(provider, LIMITS, {"models": [{"model": "qwen-max", "request_limit": 5}, *items] if len(items) == 1 else items}) == why
    assert workspace_limit(provider, "qwen-max") is None


def test_the_workspaces_of_an_account_share_out_no_more_than_it_has():
    provider = service()
    done(provider, LIMITS, {"models": [{"model": "qwen-plus", "request_limit": 400, "usage_limit": 1}]}, key="sk-fake-hr")
    assert "must not exceed" in refusal(provider, LIMITS, {"models": [{"model": "qwen-plus", "request_limit": 201}]})
    assert "The total usage_limit" in refusal(
        provider, LIMITS, {"models": [{"model": "qwen-plus", "request_limit": 1, "usage_limit": 60_000}]}
    )
    done(provider, LIMITS, {"models": [{"model": "qwen-plus", "request_limit": 200, "usage_limit": 59_999}]})
    # Its own limit from before is no other workspace's.
    done(provider, LIMITS, {"models": [{"model": "qwen-plus", "request_limit": 199}]})
    done(provider, LIMITS, {"models": [{"model": "qwen-plus", "request_limit": 200}]})


def test_a_workspace_is_limited_only_for_what_it_may_call():
    provider = service()
    plan = asked(provider, LIMITS, {"models": [{"model": "qwen-flash", "request_limit": 1}]}, key="sk-fake-hr")
    assert orjson.loads(plan.body)["message"] == "Model qwen-flash is not authorized for Inference"


def test_a_model_that_is_granted_may_be_called_until_it_is_revoked():
    provider = service()

    def status():
        return provider.answer(chat(key="sk-fake-hr", model="qwen-flash"), NOW).status

    assert status() == 403
    done(provider, PERMISSIONS, {"models": [{"model": "qwen-flash", "inference": True}]}, key="sk-fake-hr")
    assert (status(), authorised(provider)) == (200, list(MODELS))
    done(provider, PERMISSIONS, {"models": [{"model": "qwen-flash", "deploy": False}]}, key="sk-fake-hr")
    assert status() == 200
    done(provider, PERMISSIONS, {"models": [{"model": "qwen-flash", "inference": False}]}, key="sk-fake-hr")
    assert (status(), authorised(provider)) == (403, ["qwen-plus", "qwen-max"])
    done(provider, PERMISSIONS, {"access_all_entities": "OPEN"}, key="sk-fake-hr")
    assert status() == 200
    done(provider, PERMISSIONS, {"access_all_entities": "CLOSE"}, key="sk-fake-hr")
    assert (status(), authorised(provider)) == (403, [])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "models must have 1 to 20 items"),
        ({"models": [{"model": "qwen-plus"}] * 21}, "models must have 1 to 20 items"),
        ({"models": [{"model": "qwen-plus", "inference": False}, {"model": "qwen-max", "inference": 1}]}, "inference must be a boolean"),
        ({"access_all_entities": "ALL"}, "access_all_entities must be one of OPEN, CLOSE, KEEP"),
        (b"[", "Required body invalid, please check the request body format."),
        (b"[]", "Required body invalid, please check the request body format."),
    ],
)
def test_a_refused_grant_leaves_every_permission_as_it_was(body, why):
    provider = service()
    assert refusal(provider, PERMISSIONS, body) == why
    assert authorised(provider, key="sk-fake-sales") == list(MODELS)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (f"{LIMITS}?page_no=0", "page_no must be a positive integer"),
        (f"{LIMITS}?page_no=x", "page_no must be a positive integer"),
        (f"{PERMISSIONS}?page_size=201", "page_size must be a positive integer not greater than 200"),
        (f"{PERMISSIONS}?authorization_scope=ALL", "authorization_scope must be one of AUTHORIZABLE, AUTHORIZED"),
        (f"{PERMISSIONS}?action=TRAIN", "action must be INFERENCE"),
    ],
)
def test_a_query_out_of_its_range_is_refused(target, why):
    assert refusal(service(), target) == why


@pytest.mark.parametrize("target", [LIMITS, PERMISSIONS])
def test_a_key_that_is_nobodys_is_refused_in_the_native_shape(target):
    plan = asked(service(), target, key="sk-fake-other")
    assert plan.status == 401
    assert orjson.loads(plan.body) == {
        "code": "InvalidApiKey",
        "message": "Invalid API-key provided.",
        "request_id": plan.headers["x-request-id"],
    }


def test_management_calls_are_neither_billed_nor_limited_nor_in_the_journal():
    provider = service()
    for _ in range(200):
        output(provider, LIMITS)
    assert provider.bill()["total"]["calls"] == 0
    assert provider.calls() == []


def test_another_method_is_refused():
    plan = service().answer(Call("PUT", LIMITS, {"authorization": "Bearer sk-fake-sales"}, b"{}"), NOW)
    assert (plan.status, orjson.loads(plan.body)["message"]) == (400, "Request method 'PUT' is not supported.")


def test_the_list_of_models_is_the_same_whatever_is_authorised():
    listed = orjson.loads(asked(service(), "/compatible-mode/v1/models", key="sk-fake-hr").body)["data"]
    assert [one["id"] for one in listed] == list(MODELS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["models", "model", "request_limit"]), inner, max_size=3),
    max_leaves=8,
)
ITEM = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS)},
    optional=dict.fromkeys(("operation_type", "request_limit", "request_limit_period", "usage_limit", "inference"), JSON),
)


@given(
    target=st.sampled_from([LIMITS, PERMISSIONS]),
    query=st.sampled_from(["", "?page_no=%FF", "?page_size=²", "?model=%00&name", "?authorization_scope="]) | st.text().map("?{}".format),
    body=st.none() | st.fixed_dictionaries({}, optional={"models": st.lists(ITEM, max_size=3) | JSON, "access_all_entities": JSON}),
)
def test_whatever_is_asked_is_answered_in_the_envelope(target, query, body):
    try:
        plan = asked(service(), target + query, body)
    except TypeError:  # Integers that JSON cannot carry.
        return
    assert plan.status in {200, 400}
    assert list(orjson.loads(plan.body)) == ["request_id", "code", "message", "success", "output"]
