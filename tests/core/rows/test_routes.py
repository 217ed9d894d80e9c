from __future__ import annotations

import pytest

from batchrun.core.jobs.endpoints import CLOUDS, Endpoint, endpoint_of, simulator_at
from batchrun.core.protocols.formats import FORMATS
from batchrun.core.rows.routes import PROTOCOLS, NoRoute, Route, route

PATHS = {
    "openai": "/compatible-mode/v1/chat/completions",
    "dashscope-text": "/api/v1/services/aigc/text-generation/generation",
    "dashscope-multimodal": "/api/v1/services/aigc/multimodal-generation/generation",
}
HOSTS = {
    "public": "https://dashscope.aliyuncs.com",
    "finance": "https://dashscope-finance.aliyuncs.com",
    "intl": "https://dashscope-intl.aliyuncs.com",
    "us": "https://dashscope-us.aliyuncs.com",
    "hongkong": "https://cn-hongkong.dashscope.aliyuncs.com",
    "batch": "https://batch.dashscope.aliyuncs.com",
}
SPEAKS = {name: ["openai", "dashscope-text", "dashscope-multimodal"] for name in HOSTS} | {
    "finance": ["openai", "dashscope-text"],
    "batch": ["openai"],
}
PUBLIC = endpoint_of("public", {})
OWN = endpoint_of("http://127.0.0.1:8000/v1", {})


def found(endpoint, protocol, model, **more):
    got = route(endpoint, protocol, model, **more)
    assert isinstance(got, Route), got
    return got.wire_format.name


def test_every_cloud_is_in_these_tables():
    assert HOSTS.keys() == CLOUDS.keys()
    assert PATHS.keys() == FORMATS.keys()


@pytest.mark.parametrize("cloud", HOSTS)
@pytest.mark.parametrize("protocol", PATHS)
def test_each_cloud_is_reached_by_the_protocols_it_speaks_and_no_other(cloud, protocol):
    got = route(endpoint_of(cloud, {}), protocol, "qwen-plus")
    if protocol in SPEAKS[cloud]:
        assert got == Route(FORMATS[protocol], HOSTS[cloud] + PATHS[protocol])
    else:
        assert isinstance(got, NoRoute)
        assert (got.protocol, f'protocol = "{protocol}" is set' in got.reason) == (protocol, True)
        assert got.advice.endswith(f"that endpoint speaks {' or '.join(SPEAKS[cloud])}: give it one of these")


@pytest.mark.parametrize("region", ["cn-beijing", "ap-southeast-1", "cn-hongkong", "us-east-1", "eu-central-1", "ap-northeast-1"])
@pytest.mark.parametrize("path", ["", "/compatible-mode/v1", "/api/v1"])
@pytest.mark.parametrize("host", ["https://llm-1a2b3c", "https://ws-1a2b3c", "https://trial"])
def test_a_workspace_host_speaks_all_whichever_of_its_paths_the_job_names(host, region, path):
    base = f"{host}.{region}.maas.aliyuncs.com"
    for protocol, rest in PATHS.items():
        assert route(endpoint_of(base + path, {}), protocol, "qwen-plus") == Route(FORMATS[protocol], base + rest)


def test_a_declared_endpoint_goes_by_its_own_name():
    endpoint = endpoint_of("own", {"own": "https://llm.example/v1"})
    assert endpoint == Endpoint("own", {"openai": "https://llm.example/v1"})
    assert route(endpoint, None, "any") == Route(FORMATS["openai"], "https://llm.example/v1/chat/completions")


def test_the_simulator_speaks_all_where_it_listens():
    endpoint = simulator_at("http://127.0.0.1:9")
    assert endpoint.simulated
    for protocol, rest in PATHS.items():
        assert route(endpoint, protocol, "qwen-plus") == Route(FORMATS[protocol], "http://127.0.0.1:9" + rest)


# What the job says, the model, whether it is listed as a deployment, whether the row has media
WAYS = [
    (None, "qwen-plus", False, False, "openai"),
    (None, "qwen-plus", False, True, "openai"),
    (None, "qwen-vl-max", False, True, "openai"),
    (None, "qwen3.6-plus", False, False, "openai"),
    (None, "qwen3-omni-flash", False, True, "openai"),
    (None, "a-model-of-next-year", False, False, "openai"),
    (None, "qwen-audio-turbo", False, False, "dashscope-multimodal"),
    (None, "qwen-turbo-ft-2025", False, False, "dashscope-text"),
    (None, "qwen-turbo-ft-2025", False, True, "dashscope-multimodal"),
    (None, "qwen-vl-max-ft-2025", False, False, "dashscope-multimodal"),
    (None, "our-model", True, False, "dashscope-text"),
    (None, "our-model", True, True, "dashscope-multimodal"),
    (None, "qwen3.6-plus", True, False, "dashscope-multimodal"),
    ("dashscope", "qwen-plus", False, False, "dashscope-text"),
    ("dashscope", "qwen-plus", False, True, "dashscope-multimodal"),
    ("dashscope", "qwen-vl-max", False, False, "dashscope-multimodal"),
    ("dashscope", "qwen3.8-flash", False, False, "dashscope-multimodal"),
    ("dashscope", "qwq-plus", False, False, "dashscope-text"),
    ("dashscope", "qvq-max", False, False, "dashscope-multimodal"),
    ("dashscope", "our-model", True, False, "dashscope-text"),
    # The job's word comes first, whatever the model's name says.
    ("openai", "qwen-audio-turbo", False, True, "openai"),
    ("openai", "our-model", True, False, "openai"),
    ("openai", "qwen-turbo-ft-2025", True, False, "openai"),
    ("dashscope-text", "qwen-vl-max", False, True, "dashscope-text"),
    ("dashscope-multimodal", "qwen-plus", False, False, "dashscope-multimodal"),
    ("dashscope-multimodal", "qwen3-omni-flash", False, False, "dashscope-multimodal"),
]


@pytest.mark.parametrize(("protocol", "model", "tuned", "media", "name"), WAYS)
def test_a_row_goes_by_the_job_s_word_then_by_what_its_model_needs(protocol, model, tuned, media, name):
    assert found(PUBLIC, protocol, model, tuned=tuned, media=media) == name


def test_every_protocol_a_job_may_name_is_in_that_table():
    assert {protocol for protocol, *_ in WAYS} == {None, *PROTOCOLS}


def test_a_native_model_at_an_endpoint_that_speaks_openai_alone_has_no_way_and_says_why():
    got = route(OWN, None, "qwen-turbo-ft-2025")
    assert isinstance(got, NoRoute)
    assert got.protocol == "dashscope-text"
    assert got.reason == (
        "http://127.0.0.1:8000/v1 does not speak dashscope-text, and qwen-turbo-ft-2025 is not served by the OpenAI-compatible route"
    )
    assert got.advice == (
        'if that server serves it in the OpenAI way, set protocol = "openai"; '
        "else give these rows another model, or the workspace an endpoint that does"
    )
    finance = route(endpoint_of("finance", {}), None, "qwen-audio-turbo")
    assert isinstance(finance, NoRoute)
    assert finance.advice == "give these rows another model, or the workspace an endpoint that does"


def test_media_find_no_way_to_the_finance_cloud_by_the_native_route():
    finance = endpoint_of("finance", {})
    assert found(finance, "dashscope", "qwen-plus") == "dashscope-text"
    assert isinstance(route(finance, "dashscope", "qwen-plus", media=True), NoRoute)
    assert found(finance, None, "qwen-vl-max", media=True) == "openai"
