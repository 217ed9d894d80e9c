"""A row made ready to be sent: its way, its headers, its body and its checks, from a real input file and a job."""

from __future__ import annotations

import base64
import gc
import threading
import tracemalloc
from types import FunctionType, ModuleType

import anyio
import orjson
import pytest
from pydantic import SecretStr

from batchrun.core.jobs.endpoints import simulator_at
from batchrun.core.jobs.job import Job
from batchrun.core.ledger.attempts import MOST_TOKENS_OF_MEDIA, Bound
from batchrun.core.ledger.brought_in import MOST_TOKENS_OF_FILES, MOST_TOKENS_OF_TOOLS
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.rows.answers import Schema
from batchrun.core.rows.rows import Inherited
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import LanePlan, Launch, Scheduler
from batchrun.edge.media import MediaRoot
from batchrun.edge.source import InputFile, Source
from batchrun.engine import Fetching, Prepared, Unreadable, Unsendable
from batchrun.running import preparing
from batchrun.running.preparing import Preparer

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
SCHEMA = Schema({"type": "object", "required": ["label"]})
BAD = Reply("no JSON", "stop", Usage(1, 1))


def seeing(url, text="What is this?"):
    return [{"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]}]


class Made:
    """A preparer over an input file of *rows*, and tickets for them."""

    def __init__(self, folder, rows, *, schema=None, run="run-1", **tables):
        self.path = folder / "in" / "rows.jsonl"
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        self.job = Job.model_validate(
            {"job": {"input": str(self.path)}, "defaults": {"model": "qwen-plus", "endpoint": "public"}, **tables}
        )
        workspaces = self.job.workspaces_resolved()
        # What goes into every request of a workspace, its word on streaming included.
        asked = {name: {**each.parameters, **({} if each.stream is None else {"stream": each.stream})} for name, each in workspaces.items()}
        self.source = Source.open(
            [InputFile(str(self.path))],
            workspaces={name: Inherited(each.model, asked[name], b"salt") for name, each in workspaces.items()},
            default_workspace=next(iter(workspaces)),
            spool_dir=folder / "spool",
            set_aside=lambda line: pytest.fail(line.reason),
        )
        keys = {name: SecretStr(f"sk-fake-{name}") for name in workspaces}
        simulator = simulator_at("http://127.0.0.1:9")
        self.preparer = Preparer(self.job, keys, simulator, run=run, source=self.source, schema=schema)

    def what(self, ordinal=0):
        workspace, model = next(lane for lane, ordinals in self.source.index.lanes.items() if ordinal in ordinals)
        step = Scheduler([LanePlan(workspace, model, workspace, [ordinal], 1, 1)], RetryPolicy()).next(0.0)
        assert isinstance(step, Launch)
        (found,) = self.preparer([step.ticket])
        return anyio.run(found.wait) if isinstance(found, Fetching) else found

    def ready(self, ordinal=0):
        prepared = self.what(ordinal)
        assert isinstance(prepared, Prepared), prepared
        return prepared

    def refused(self, ordinal=0):
        refused = self.what(ordinal)
        assert isinstance(refused, Unsendable), refused
        return refused.failure


@pytest.fixture
def made(tmp_path):
    kept = []

    def make(*rows, **more):
        kept.append(Made(tmp_path, rows, **more))
        return kept[-1]

    yield make
    for each in kept:
        each.source.close()


def body(prepared):
    return orjson.loads(prepared.request.body)


def ask(prompt="hello", **fields):
    return {"id": "r-1", "prompt": prompt, **fields}


# The way


@pytest.mark.parametrize(
    ("defaults", "row", "url"),
    [
        ({}, ask(), "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"),
        ({"endpoint": "intl"}, ask(), "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions"),
        ({"endpoint": "https://llm.example/v1/"}, ask(), "https://llm.example/v1/chat/completions"),
        ({"endpoint": "simulator"}, ask(), "http://127.0.0.1:9/compatible-mode/v1/chat/completions"),
        ({"protocol": "dashscope"}, ask(), "https://dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation"),
        (
            {"protocol": "dashscope"},
            ask(model="qwen-vl-max"),
            "https://dashscope.aliyuncs.com/api/v1/services/aigc/multimodal-generation/generation",
        ),
        (
            {"protocol": "dashscope"},
            {"messages": seeing("https://example.invalid/a.png")},
            "https://dashscope.aliyuncs.com/api/v1/services/aigc/multimodal-generation/generation",
        ),
        ({}, ask(model="qwen2-audio-instruct"), "https://dashscope.aliyuncs.com/api/v1/services/aigc/multimodal-generation/generation"),
    ],
)
def test_a_row_goes_where_its_endpoint_protocol_model_and_media_say(made, defaults, row, url):
    run = made(row, defaults={"model": "qwen-plus", "endpoint": "public", **defaults})
    assert run.ready().request.url == url


def test_each_row_goes_by_its_own_workspace_with_its_own_key(made):
    tables = {
        "a": {"api_key_env": "A_KEY", "endpoint": "us"},
        "b": {"api_key_env": "B_KEY", "endpoint": "https://b.example/v1"},
    }
    run = made(ask(workspace="a"), ask(workspace="b"), workspaces=tables)
    first, second = run.ready(0).request, run.ready(1).request
    assert (first.url[:32], second.url[:20]) == ("https://dashscope-us.aliyuncs.co", "https://b.example/v1")
    assert [each.headers["Authorization"] for each in (first, second)] == ["Bearer sk-fake-a", "Bearer sk-fake-b"]
    assert "sk-fake" not in repr(run.ready(0))
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]


def test_each_row_has_the_headers_of_its_workspace_and_its_own_key_before_them(made):
    tables = {
        "a": {"api_key_env": "A_KEY", "headers": {"X-Team": "a", "X-DashScope-WorkSpace": "ws-a"}},
        "b": {"api_key_env": "B_KEY", "protocol": "dashscope", "stream": True},
    }
    defaults = {"model": "qwen-plus", "endpoint": "public", "headers": {"X-Team": "all", "X-DashScope-Wait-Timeout": "30"}}
    run = made(ask(workspace="a"), ask(workspace="b"), workspaces=tables, defaults=defaults)
    first, second = run.ready(0).request.headers, run.ready(1).request.headers
    own = {"Authorization", "Idempotency-Key"}
    told = {name: value for name, value in first.items() if name not in own}
    assert told == {"X-Team": "a", "X-DashScope-WorkSpace": "ws-a", "X-DashScope-Wait-Timeout": "30"}
    told = {name: value for name, value in second.items() if name not in own}
    streamed = {"X-DashScope-SSE": "enable", "Accept": "text/event-stream"}
    assert told == {"X-Team": "all", "X-DashScope-Wait-Timeout": "30", **streamed}
    assert [headers["Authorization"] for headers in (first, second)] == ["Bearer sk-fake-a", "Bearer sk-fake-b"]


BATCH = "https://batch.dashscope.aliyuncs.com/compatible-mode/v1"


@pytest.mark.parametrize(
    ("endpoint", "job", "headers", "told"),
    [
        ("batch", {}, {}, "3600"),
        ("batch", {"timeouts": {"total": 900}}, {}, "900"),
        (BATCH, {"timeouts": {"total": 900}}, {}, "900"),
        ("batch", {"timeouts": {"total": 10}}, {}, "60"),
        ("batch", {"timeouts": {"total": 9000}}, {}, "3600"),
        ("batch", {"timeouts": {"total": 900}}, {"Timeout": "120"}, None),
        ("public", {"timeouts": {"total": 900}}, {}, None),
    ],
)
def test_batch_chat_is_told_how_long_a_call_is_waited_for(made, endpoint, job, headers, told):
    run = made(ask(), defaults={"model": "qwen-plus", "endpoint": endpoint, "headers": headers}, **job)
    assert run.ready().request.headers.get("timeout") == told


def test_a_tuned_model_of_the_workspace_goes_natively(made):
    tables = {"a": {"api_key_env": "A_KEY", "deployments": ["my-own"]}}
    run = made(ask(model="my-own"), ask(id="r-2"), workspaces=tables)
    assert "/text-generation/" in run.ready(0).request.url
    assert "/compatible-mode/" in run.ready(1).request.url


@pytest.mark.parametrize(
    ("timeouts", "endpoint", "total"), [({}, "public", 600), ({}, "batch", 3600), ({"total": 90}, "batch", 90), ({"total": 90}, "us", 90)]
)
def test_a_call_may_take_as_long_as_the_job_says_or_an_hour_at_the_batch_endpoint(made, timeouts, endpoint, total):
    run = made(ask(), defaults={"model": "qwen-plus", "endpoint": endpoint}, timeouts=timeouts)
    assert run.ready().request.total == total


# The body


MESSAGES = [{"role": "user", "content": "hello"}]


def test_the_compatible_body_is_what_the_row_says_over_what_its_workspace_adds(made):
    parameters = {"temperature": 0.2, "max_tokens": 400}
    run = made(ask(parameters={"max_tokens": 9}), defaults={"model": "qwen-plus", "parameters": parameters})
    assert body(run.ready()) == {"model": "qwen-plus", "messages": MESSAGES, "temperature": 0.2, "max_tokens": 9}


def test_the_native_text_body_has_its_messages_as_text_and_the_rest_as_parameters(made):
    row = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hel"}, {"text": "lo"}]}], "parameters": {"seed": 7}}
    run = made(row, defaults={"model": "qwen-plus", "protocol": "dashscope"})
    assert body(run.ready()) == {
        "model": "qwen-plus",
        "input": {"messages": MESSAGES},
        "parameters": {"result_format": "message", "seed": 7},
    }


def test_the_native_multimodal_body_has_parts_in_the_native_spelling(made):
    run = made({"messages": seeing("https://example.invalid/a.png")}, defaults={"model": "qwen-vl-max", "protocol": "dashscope"})
    content = [{"text": "What is this?"}, {"image": "https://example.invalid/a.png"}]
    assert body(run.ready())["input"]["messages"] == [{"role": "user", "content": content}]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("row", "workspace", "model", "streams"),
    [
        (None, None, "qwen-plus", False),
        (None, None, "qwq-plus", True),
        (None, True, "qwen-plus", True),
        (None, False, "qwq-plus", False),
        (True, False, "qwen-plus", True),
        (False, True, "qwq-plus", False),
    ],
)
def test_the_row_decides_on_streaming_before_its_workspace_and_that_before_the_model(made, native, row, workspace, model, streams):
    defaults = {"model": model} | ({"stream": workspace} if workspace is not None else {}) | ({"protocol": "dashscope"} if native else {})
    ready = made(ask(**({"stream": row} if row is not None else {})), defaults=defaults).ready()
    sent = body(ready)
    if native:
        assert "stream" not in sent["parameters"]
        assert sent["parameters"].get("incremental_output") is (True if streams else None)
    else:
        assert (sent.get("stream"), sent.get("stream_options")) == ((True, {"include_usage": True}) if streams else (None, None))
    assert ready.request.headers.get("X-DashScope-SSE") == ("enable" if native and streams else None)


def test_thinking_that_a_family_does_in_streams_only_is_streamed(made):
    run = made(ask(model="qwen3-32b"), ask(id="r-2", model="qwen3-32b", parameters={"enable_thinking": False}))
    assert (body(run.ready(0)).get("stream"), body(run.ready(1)).get("stream")) == (True, None)


def test_an_answers_bound_is_its_bodys_bytes_and_the_limits_of_the_request(made):
    ready = made(ask("x" * 500, parameters={"max_completion_tokens": 50, "n": 2})).ready()
    assert ready.most == Bound(len(ready.request.body), 100)


# Headers over retries and re-asks


def test_an_idempotency_key_stays_over_retries_and_changes_with_each_ask(made):
    run = made(ask(), ask(id="r-2"), schema=SCHEMA)
    keys = []
    for _ in range(3):
        keys.append({run.ready().request.headers["Idempotency-Key"] for _ in range(3)})
        check = run.ready().check
        assert check is not None
        check(BAD)
    assert [len(each) for each in keys] == [1, 1, 1]
    assert len(set.union(*keys)) == 3
    other = run.ready(1).request.headers["Idempotency-Key"]
    assert other not in set.union(*keys)
    assert len(other) == 32


def test_an_idempotency_key_is_of_one_run_and_one_content(made):
    keys = [made(ask(prompt), run=run).ready().request.headers["Idempotency-Key"] for run, prompt in (("1", "a"), ("2", "a"), ("1", "b"))]
    assert len(set(keys)) == 3
    assert made(ask("a"), run="1").ready().request.headers["Idempotency-Key"] == keys[0], "a resumed run asks under the same key"


@pytest.mark.parametrize("native", [False, True])
def test_a_reask_adds_the_refused_answer_and_what_was_wrong_and_ends_with_the_row(made, native):
    run = made(
        ask(), ask("other", id="r-2"), schema=SCHEMA, defaults={"model": "qwen-plus"} | ({"protocol": "dashscope"} if native else {})
    )

    def messages(ordinal):
        sent = body(run.ready(ordinal))
        return sent["input"]["messages"] if native else sent["messages"]

    first = run.ready()
    assert first.check is not None
    failure = first.check(BAD)
    assert isinstance(failure, Failure)
    assert failure.fault is Fault.REASK
    asked, shown, told = messages(0)
    assert (asked, shown) == (MESSAGES[0], {"role": "assistant", "content": "no JSON"})
    assert told["role"] == "user"
    assert messages(1) == [{"role": "user", "content": "other"}]
    assert run.ready().row.body["messages"] == MESSAGES, "the row stays as it was written"
    good = run.ready().check
    assert good is not None
    assert isinstance(good(Reply('{"label": 1}', "stop", None)), Reply)
    assert messages(0) == MESSAGES


def test_answers_are_checked_where_the_job_has_a_schema_or_the_row_has_tools(made):
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]
    run = made(ask(), ask(id="r-2", parameters={"tools": tools}))
    assert run.ready(0).check is None
    check = run.ready(1).check
    assert check is not None
    broken = Reply("", "tool_calls", None, tool_calls=[{"function": {"name": "look_up", "arguments": "{"}}])
    assert isinstance(check(broken), Failure)


@pytest.mark.parametrize("protocol", ["openai", "dashscope"])
@pytest.mark.parametrize(
    ("row", "more"),
    [
        (ask("Speaks of nothing but fileid:/ and of searches."), 0),
        (ask("Speaks of fileid:// in passing."), MOST_TOKENS_OF_FILES),
        ({"messages": [{"role": "system", "content": "fileid://file-fe-1"}, {"role": "user", "content": "?"}]}, MOST_TOKENS_OF_FILES),
        (ask(parameters={"enable_search": True}), MOST_TOKENS_OF_TOOLS),
        (ask("fileid://a", parameters={"search_options": {"forced_search": True}}), MOST_TOKENS_OF_FILES + MOST_TOKENS_OF_TOOLS),
        ({"custom_id": "r", "body": {"messages": [{"role": "user", "content": "?"}], "enable_search": True}}, MOST_TOKENS_OF_TOOLS),
    ],
)
def test_input_that_a_body_does_not_hold_is_bounded_beside_its_bytes(made, protocol, row, more):
    ready = made(row, defaults={"model": "qwen-long", "protocol": protocol}).ready()
    assert ready.most.input_tokens == len(ready.request.body) + more


def test_documents_that_a_part_names_are_bounded_as_uploaded_files_are(made):
    row = {"messages": [{"role": "user", "content": [{"type": "doc_url", "doc_url": ["https://example.invalid/a.pdf"]}]}]}
    ready = made(row).ready()
    assert ready.most.input_tokens == len(ready.request.body) + MOST_TOKENS_OF_FILES


def test_a_workspace_that_searches_does_so_for_each_of_its_rows(made):
    ready = made(ask(), defaults={"model": "qwen-plus", "parameters": {"enable_search": True}}).ready()
    assert ready.most.input_tokens == len(ready.request.body) + MOST_TOKENS_OF_TOOLS


# Media


def test_a_local_image_is_sent_as_its_contents_and_counted_as_an_image_and_not_as_bytes(made, tmp_path):
    run = made({"messages": seeing("pictures/一.png")}, defaults={"model": "qwen-vl-max"})
    (tmp_path / "in" / "pictures").mkdir()
    (tmp_path / "in" / "pictures" / "一.png").write_bytes(PNG)
    ready = run.ready()
    assert body(ready)["messages"] == seeing(PNG_URL)
    assert ready.most.input_tokens == len(ready.request.body) - len(PNG_URL) + MOST_TOKENS_OF_MEDIA["image"]
    assert ready.row.body["messages"] == seeing("pictures/一.png"), "the row stays as it was written"
    assert "X-DashScope-OssResourceResolve" not in ready.request.headers


def large_texts(of):
    """All texts of more than 10,000 characters that *of* holds, and what it holds in turn."""
    left, seen = [of], {}
    while left:
        each = left.pop()
        if id(each) not in seen and not isinstance(each, ModuleType | FunctionType | type):
            seen[id(each)] = each
            left += gc.get_referents(each)
    return [each for each in seen.values() if isinstance(each, str | bytes) and len(each) > 10_000]


def test_a_call_holds_its_media_once_as_they_are_sent(made, tmp_path):
    run = made({"messages": seeing("large.png")}, defaults={"model": "qwen-vl-max"})
    (tmp_path / "in" / "large.png").write_bytes(PNG + bytes(30_000))
    ready = run.ready()
    assert large_texts(ready) == [ready.request.body]


def test_what_is_sent_takes_no_more_memory_than_it_is_long(made):
    long, many = 20_000, 20
    run = made(*(ask("x" * long, id=str(number)) for number in range(many + 1)))
    run.ready()
    tracemalloc.start()
    try:
        ready = [run.ready(ordinal) for ordinal in range(1, many + 1)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ready) == many
    assert held < 3 * many * long, "the prompt as it was read, and as it is sent"


def test_a_root_of_the_job_bounds_what_local_paths_may_name(made, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").write_bytes(PNG)
    row = {"messages": seeing("../elsewhere/a.png")}
    failure = made(row).refused()
    assert failure.code == "media_outside_root"
    assert "[media] root" in failure.advice
    assert body(made(row, media={"root": str(tmp_path / "elsewhere")}).ready())["messages"] == seeing(PNG_URL)


def test_an_uploaded_file_is_named_as_it_is_and_the_provider_told_to_resolve_it(made):
    ready = made({"messages": seeing("oss://bucket/a.png")}, defaults={"model": "qwen-vl-max"}).ready()
    assert ready.request.headers["X-DashScope-OssResourceResolve"] == "enable"
    assert body(ready)["messages"] == seeing("oss://bucket/a.png")


def test_the_provider_is_told_to_resolve_an_uploaded_file_among_others(made):
    messages = [*seeing("https://x.example/b.png"), *seeing("oss://bucket/a.png")]
    ready = made({"messages": messages}, defaults={"model": "qwen-vl-max"}).ready()
    assert ready.request.headers["X-DashScope-OssResourceResolve"] == "enable"


def test_a_sound_that_is_written_out_in_the_row_is_sent_as_a_data_url(made):
    sound = base64.b64encode(b"RIFF0000WAVE" * 100).decode()
    content = [{"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}]
    sent = body(made({"messages": [{"role": "user", "content": content}]}, defaults={"model": "qwen-omni-turbo"}).ready())
    assert sent["messages"][0]["content"][0]["input_audio"]["data"] == f"data:;base64,{sound}"


# What cannot be sent


def test_a_row_without_a_route_parks_its_lane(made):
    failure = made(ask(model="qwen2-audio-instruct"), defaults={"endpoint": "https://llm.example/v1"}).refused()
    assert (failure.code, failure.fault, failure.scope) == ("no_route", Fault.PARK, Scope.LANE)
    assert "does not speak" in failure.message


@pytest.mark.parametrize(
    ("row", "tables", "code"),
    [
        ({"messages": seeing("https://example.invalid/a.png")}, {"defaults": {"model": "m", "protocol": "dashscope-text"}}, "cannot_carry"),
        (ask(parameters={"modalities": ["audio"]}), {"defaults": {"model": "qwen-plus", "protocol": "dashscope"}}, "cannot_carry"),
        (ask("x" * (16 << 20)), {}, "request_too_large"),
        ({"messages": seeing("missing.png")}, {}, "media_missing"),
        ({"messages": seeing("rows.jsonl")}, {}, "media_type"),
        ({"messages": seeing("/etc/hostname")}, {}, "media_outside_root"),
        ({"messages": seeing("data:image/png;base64," + "A" * 10_485_760)}, {}, "media_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_no_call_would_help_is_unsendable_with_its_reason(made, row, tables, code):
    failure = made(row, **tables).refused()
    assert (failure.code, failure.fault, failure.scope, failure.in_doubt) == (code, Fault.REJECT, Scope.ROW, False)


@pytest.mark.parametrize("where", ["the workspace's", "the lane's", "the account's"])
def test_a_row_of_more_input_than_the_tightest_quota_lets_through_in_a_minute_is_rejected_before_any_call(made, where):
    """It would wait for ever; one that just fits waits for its turn."""

    def tables(tpm):
        tightest = {each: tpm if each == where else 10 * tpm for each in ("the workspace's", "the lane's", "the account's")}
        workspace = {
            "api_key_env": "LEGAL_KEY",
            "account": "main",
            "tpm": tightest["the workspace's"],
            "limits": {"qwen-plus": {"tpm": tightest["the lane's"]}},
        }
        quotas = {"qwen-plus": {"tpm": tightest["the account's"]}}
        return {"workspaces": {"legal": workspace}, "accounts": {"main": {"quotas": quotas}}}

    row = ask("a word " * 800)
    asked = made(row).ready().tokens - made(ask("a")).ready().tokens
    assert 500 < asked < 2_000
    failure = made(row, **tables(round(asked / 2))).refused()
    assert (failure.code, failure.fault, failure.scope, failure.in_doubt) == ("never_fits", Fault.REJECT, Scope.ROW, False)
    assert failure.message.endswith(f" against {round(asked / 2):,})")
    made(row, **tables(round(asked * 2))).ready()


def test_a_row_that_there_is_no_memory_to_make_ready_is_looked_at_again_and_nothing_of_it_was_sent(made, tmp_path, monkeypatch):
    def starved(*_):
        raise MemoryError

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    run = made({"id": "seen", "messages": seeing("a.png")}, ask())
    monkeypatch.setattr(preparing, "with_urls", starved)
    failure = run.refused(0)
    assert (failure.code, failure.fault, failure.in_doubt) == ("no_memory", Fault.AGAIN, False)
    monkeypatch.setattr(preparing, "media_of", starved)
    monkeypatch.setattr(preparing, "in_parts", starved)
    assert run.what(1) == Unreadable("there was no memory left to make it ready")


def test_media_are_read_in_threads_of_their_own_so_that_those_that_hang_hold_up_no_sync(made, tmp_path):
    run = made({"messages": seeing("a.png")}, defaults={"model": "qwen-vl-max"})
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    step = Scheduler([LanePlan("default", "qwen-vl-max", "default", [0], 1, 1)], RetryPolicy()).next(0.0)
    assert isinstance(step, Launch)
    (found,) = run.preparer([step.ticket])

    async def main():
        others = anyio.to_thread.current_default_thread_limiter()
        others.total_tokens = 1
        others.acquire_on_behalf_of_nowait("whoever hangs")
        with anyio.fail_after(10):
            return await found.wait()

    assert body(anyio.run(main))["messages"] == seeing(PNG_URL)


def test_media_that_hang_are_given_up_in_their_calls_time_and_never_take_more_threads_than_there_are(made, tmp_path, monkeypatch):
    """On a share that is gone: no row waits for ever, another is told so in its turn, and all are read once the share is back."""
    back, reads = threading.Event(), []
    read = MediaRoot.read

    def hangs(root, medium, beside):
        reads.append(medium)
        back.wait(30)
        return read(root, medium, beside)

    monkeypatch.setattr(MediaRoot, "read", hangs)
    monkeypatch.setattr(preparing, "_READERS", 5)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    rows = [{"id": f"r-{number}", "messages": seeing("a.png")} for number in range(60)]
    run = made(*rows, defaults={"model": "qwen-vl-max", "endpoint": "public"}, timeouts={"total": 0.2})
    tickets, _ = Scheduler([LanePlan("default", "qwen-vl-max", "default", [*range(60)], 60, 60)], RetryPolicy()).launches(0.0, 60)
    assert len(tickets) > 10

    async def all_of(found):
        ready = []

        async def one(each):
            ready.append(await each.wait())

        async with anyio.create_task_group() as tasks:
            for each in found:
                tasks.start_soon(one, each)
        return ready

    async def main():
        with anyio.fail_after(20):
            failures = [each.failure for each in await all_of(run.preparer(tickets))]
            assert {(each.code, each.fault, each.in_doubt) for each in failures} == {("media_unreadable", Fault.AGAIN, False)}
            assert {each.message for each in failures} == {"the image 'a.png' was not read within timeouts.total"}
            assert (len(failures), len(reads)) == (len(tickets), 5)
            back.set()
            while not isinstance(ready := await run.preparer(tickets[:1])[0].wait(), Prepared):
                pass
            assert body(ready)["messages"] == seeing(PNG_URL)

    anyio.run(main)


def test_media_make_room_for_a_larger_request_and_text_does_not(made, tmp_path):
    part = {"type": "image_url", "image_url": {"url": "large.png"}}
    rows = [{"messages": [{"role": "user", "content": [part] * count}]} for count in (2, 7)]
    run = made(*rows, {"messages": seeing("https://example.invalid/a.png", "x" * (16 << 20))})
    (tmp_path / "in" / "large.png").write_bytes(PNG + b"\0" * 7_500_000)
    assert len(run.ready(0).request.body) > 20_000_000
    assert [run.refused(ordinal).code for ordinal in (1, 2)] == ["request_too_large", "request_too_large"]


def test_a_row_whose_line_has_changed_is_never_sent(made):
    run = made(ask("first"), ask("other", id="r-2"))
    assert isinstance(run.what(0), Prepared)
    with run.path.open("r+b") as file:
        file.write(run.path.read_bytes().replace(b"first", b"FIRST"))
    what = run.what(0)
    assert isinstance(what, Unreadable)
    assert "rows.jsonl" in what.reason
    assert isinstance(run.what(1), Prepared)


# Once more


def test_a_row_that_is_sent_again_is_neither_read_nor_written_again(made):
    run = made(ask("first"), ask("other", id="r-2"))
    first = run.ready()
    first.again()
    run.path.write_bytes(b"")
    once_more = run.ready()
    assert once_more.request is first.request
    assert once_more.reading is not first.reading
    assert (once_more.row, once_more.most) == (first.row, first.most)
    assert isinstance(run.what(0), Unreadable), "what was taken up again is kept no more, unless it comes back"
    once_more.again()
    assert run.ready().request is first.request
    assert isinstance(run.what(1), Unreadable)


def test_what_a_row_that_is_sent_again_is_expected_to_cost_is_what_is_known_by_then(made):
    run = made(ask("x" * 4000))
    first = run.ready()
    first.learn(Usage(50_000, 5_000), 1)
    first.again()
    later = run.ready().tokens
    assert first.tokens is not None
    assert later is not None
    assert later > first.tokens


def test_what_an_answer_cost_is_told_with_what_would_have_been_expected_of_its_row_by_then(made):
    run = made(ask("x" * 4000), ask("x" * 4000, id="r-2"))
    first, second = run.ready(0), run.ready(1)
    assert first.learn(Usage(50_000, 5_000), 1) == pytest.approx(first.tokens)
    by_now = second.learn(Usage(50_000, 5_000), 1)
    assert by_now is not None
    assert second.tokens is not None
    assert by_now > second.tokens


def test_what_attempts_have_cost_is_added_up_as_it_is_told_while_the_run_goes_on(made):
    rows = made(ask(), ask(id="r-2"))
    rows.ready(0).learn(Usage(5, 40), 1)
    rows.ready(1).learn(Usage(7, 0), 1)
    assert rows.preparer.tokens == 52


def test_no_more_output_is_expected_of_a_row_than_it_lets_an_answer_have(made):
    rows = made(ask(), ask(id="r-2", parameters={"max_tokens": 3}))
    unbounded, bounded = rows.ready(0).tokens, rows.ready(1).tokens
    assert unbounded is not None
    assert bounded is not None
    assert unbounded - bounded > 20


@pytest.mark.parametrize("least", ["the job's", "the workspace's", "the lane's"])
def test_the_least_max_tokens_of_all_budgets_that_a_row_is_paid_from_goes_into_one_that_sets_none_and_bounds_it(made, least):
    def budget(whose):
        return {"tokens": 1_000_000, "max_tokens": 100 if whose == least else 300}

    workspace = {"api_key_env": "LEGAL_KEY", "budget": budget("the workspace's"), "limits": {"qwen-plus": {"budget": budget("the lane's")}}}
    rows = [ask(), ask(id="r-2", parameters={"max_tokens": 900}), ask(id="r-3", model="qwen-max")]
    made_path = made(*rows).path
    run = made(*rows, job={"input": str(made_path), "budget": budget("the job's")}, workspaces={"legal": workspace})
    told = [run.ready(number) for number in range(3)]
    others = 300 if least == "the lane's" else 100
    assert [body(each)["max_tokens"] for each in told] == [100, 900, others]
    assert [each.most.output_tokens for each in told] == [100, 900, others]


def test_a_row_that_is_asked_otherwise_is_written_anew(made):
    run = made(ask(), schema=SCHEMA)
    first = run.ready()
    assert first.check is not None
    first.check(BAD)
    first.again()
    second = run.ready()
    assert len(body(second)["messages"]) == 3
    second.again()
    assert run.ready().request is second.request


def test_what_is_kept_to_be_sent_again_does_not_grow_with_how_much_that_is(made, monkeypatch):
    monkeypatch.setattr("batchrun.running.made.MOST_KEPT_BYTES", 50_000)
    run = made(*(ask("x" * 100, id=f"r-{number}") for number in range(30)))
    ready = [run.ready(number) for number in range(30)]
    for each in ready:
        each.again()
    again = [run.ready(number).request for number in range(30)]
    kept = [first.request is second for first, second in zip(ready, again, strict=True)]
    assert 5 < sum(kept) < 15
    assert kept == sorted(kept), "those that were kept first make room"
    assert again == [each.request for each in ready]


def test_what_is_taken_up_again_makes_room_for_what_is_kept_next(made, monkeypatch):
    monkeypatch.setattr("batchrun.running.made.MOST_KEPT_BYTES", 50_000)
    run = made(ask("x" * 100))
    request = run.ready().request
    for _ in range(30):
        run.ready().again()
        assert run.ready().request == request
    first = run.ready()
    first.again()
    assert run.ready().request is first.request


@pytest.mark.parametrize("defaults", [{}, {"stream": True}, {"parameters": {"max_tokens": 5, "n": 2}}])
def test_a_rows_own_settings_count_for_it_alone(made, defaults):
    rows = [ask(id="a"), ask(id="b", parameters={"max_tokens": 50}), ask(id="c", stream=False), ask(id="d")]
    run = made(*rows, defaults={"model": "qwen-plus", "endpoint": "public", **defaults})
    first, own, plain, last = (run.ready(number) for number in range(4))
    assert (last.most, {**body(last)}) == (first.most, {**body(first)})
    assert own.most.output_tokens == 50 * defaults.get("parameters", {}).get("n", 1)
    assert "stream" not in body(plain)
    assert body(last).get("stream") == defaults.get("stream")


class Scarce(Source):
    """A source that finds no memory for one of its rows."""

    def __init__(self, source, scarce):
        self.source, self.scarce = source, scarce

    def read_together(self, _ordinals):
        return {}

    def read(self, ordinal):
        if ordinal == self.scarce:
            raise MemoryError
        return self.source.read(ordinal)


def test_a_row_that_there_is_no_memory_for_is_left_and_those_beside_it_go_on(made):
    run = made(*[ask(f"prompt {number}", id=f"r-{number}") for number in range(3)])
    workspaces = run.job.workspaces_resolved()
    keys = {name: SecretStr(f"sk-fake-{name}") for name in workspaces}
    prepare = Preparer(run.job, keys, None, run="run-1", source=Scarce(run.source, 1), schema=None)
    scheduler = Scheduler([LanePlan("default", "qwen-plus", "default", range(3), 3, 3)], RetryPolicy())
    tickets, _ = scheduler.launches(0.0, 3)
    assert [type(each) for each in prepare(tickets)] == [Prepared, Unreadable, Prepared]
