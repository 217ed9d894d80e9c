import json
import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.errors import JobError
from batchrun.edge.job_file import load_job
from tests.edge.rights import somebody_who_is_not_root

INPUT = '[job]\ninput = "in.jsonl"\n'
KEYED = '[workspaces.legal]\napi_key_env = "LEGAL_KEY"\n'
NONE_IN_TOML_1_0 = (
    []
    if sys.version_info >= (3, 15)
    else [
        ("[defaults]\nparameters = { temperature = 0.2, }", "; no comma stands before }"),
        ("[workspaces.a]\nbudget = {\n  amount = 20\n}", "; a table in braces stands on one line, or under a heading of its own"),
        ("[workspaces.a]\nbudget = { amount = 20,\n  per = 'day' }", "; a table in braces stands on one line"),
    ]
)
"""What TOML 1.1 allows, which Python 3.15 reads."""
PRICED = "[[prices.m]]\nregion = '{}'\ntiers = {{ input = 1, output = 1 }}\n"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a job file into the directory one stands in, and give its name."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="x.toml"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


def error_of(name) -> JobError:
    with pytest.raises(JobError) as caught:
        load_job(name)
    assert caught.value.exit_code == 2
    return caught.value


WRONG = [
    # file, where, found, allowed
    ("", "job", "nothing", "needed: [job]"),
    ("[job]", "job.input", "nothing", "needed: a path, a glob"),
    ("[job]\ninput = 3", "job.input", "3", 'a path: "rows.jsonl", or a table: { path'),
    ('[job]\ninput = ""', "job.input", '""', "a path"),
    ("[job]\ninput = []", "job.input", "an empty list", "at least one"),
    ('[job]\ninput = ["a", 3]', "job.input[1]", "3", 'a path: "rows.jsonl", or a table: { path'),
    ('[job]\ninput = ["a", ""]', "job.input[1]", '""', "a path"),
    ('[job]\ninput = { pth = "a", path = "b" }', "job.input.pth", "an unknown key", "did you mean 'path'?"),
    ('[job]\ninput = [{ workspace = "default" }]', "job.input[0].path", "nothing", "needed: a path"),
    ('[job]\ninput = ["-", "-"]', "job.input", '"-" twice', "once"),
    ('[job]\ninput = { path = "a", workspace = "lega" }\n' + KEYED, "job.input.workspace", '"lega"', "did you mean 'legal'?"),
    ('[job]\ninput = ["b", { path = "a", workspace = "x" }]', "job.input[1].workspace", '"x"', "one of default"),
    (INPUT + 'output = ""', "job.output", '""', "a path"),
    *[
        (
            INPUT + f'window = "{text} Asia/Shanghai"',
            "job.window",
            f'"{text} ',
            'plain punctuation, as a plain keyboard writes it: "22:00-08:00 ',
        )
        for text in ("22：00-08：00", "22:00–08:00", "22:00～08:00", "２２：００至０８：００")
    ],
    (
        INPUT + 'window = "Mon-Fri 22:00-08:00， Sat 9:00-10:00 UTC"',
        "job.window",
        '"Mon',
        'writes it: "Mon-Fri 22:00-08:00, Sat 9:00-10:00 UTC"',
    ),
    (INPUT + 'window = "22：00—25：00 UTC"', "job.window", '"22：00—25：00"', "hours such as"),
    (INPUT + 'deadline = "08：00 Asia/Shanghai"', "job.deadline", '"08：00 Asia', 'writes it: "08:00 Asia/Shanghai"'),
    (
        INPUT + '[[workspaces]]\nname = "legal"',
        "workspaces",
        "a list",
        "a table for each, under a heading with its name: [workspaces.NAME]",
    ),
    (
        INPUT + "[[accounts.main.quotas]]\nrpm = 6",
        "accounts.main.quotas",
        "a list",
        'a table for each, under a heading with its name: [accounts.main.quotas."MODEL"]',
    ),
    *[
        (
            INPUT + f'[workspaces.legal]\napi_key_env = "{text}"',
            "workspaces.legal.api_key_env",
            "not shown",
            "it stands alone, without $ or what else",
        )
        for text in ("$LEGAL_KEY", "${LEGAL_KEY}", "env:LEGAL_KEY", " LEGAL_KEY", "%LEGAL_KEY%", "os.environ/LEGAL_KEY")
    ],
    (INPUT + 'name = "../up"', "job.name", '"../up"', "without '/'"),
    (INPUT + 'name = "a/b"', "job.name", '"a/b"', "without '/'"),
    (INPUT + 'name = "a\\u202eb"', "job.name", '"a\\u202eb"', "visible characters"),
    (INPUT + f'name = "{"a" * 101}"', "job.name", '"aaaa', "at most 100"),
    (INPUT + "max_line_bytes = 0", "job.max_line_bytes", "0", "an integer of at least 1"),
    (INPUT + "outptu = 'x'", "job.outptu", "an unknown key", "did you mean 'output'? One of output, name, input, max_line_bytes"),
    (INPUT + "[default]\nmodel = 'x'", "default", "an unknown key", "did you mean 'defaults'?"),
    (INPUT + "[defaults]\nconcurrency = 0", "defaults.concurrency", "0", "an integer of at least 1"),
    (INPUT + '[defaults]\nconcurrency = "8"', "defaults.concurrency", '"8"', "an integer of at least 1, without quotes"),
    (INPUT + KEYED + 'rpm = "6e2"', "workspaces.legal.rpm", '"6e2"', "a number of at least 0.001, without quotes"),
    (INPUT + KEYED + "rpm = 1e-300", "workspaces.legal.rpm", "1e-300", "a number of at least 0.001"),
    (INPUT + "[defaults]\nconcurrency = true", "defaults.concurrency", "true", "an integer of at least 1"),
    (INPUT + "[defaults]\nconcurrency = 8.0", "defaults.concurrency", "8.0", "an integer of at least 1"),
    (INPUT + "[defaults]\nConcurrency = 8", "defaults.Concurrency", "an unknown key", "did you mean 'concurrency'?"),
    (INPUT + '[defaults]\napi_key_env = "A"', "defaults.api_key_env", "an unknown key", "no such key"),
    (INPUT + '[defaults]\nmodel = ""', "defaults.model", '""', "qwen-plus"),
    (INPUT + '[defaults]\nmodel = "qwen plus"', "defaults.model", '"qwen plus"', "qwen-plus"),
    (INPUT + '[defaults]\nmodel = "qwen-plus\\u200b"', "defaults.model", '"qwen-plus\\u200b"', "qwen-plus"),
    (INPUT + '[defaults]\nprotocol = "grpc"', "defaults.protocol", '"grpc"', '"openai", "dashscope"'),
    (INPUT + KEYED + '[defaults]\nprotocol = "grpc"\nmodel = "qwen-plus"', "defaults.protocol", '"grpc"', '"openai", "dashscope"'),
    (
        INPUT + '[workspaces.legal]\napi_key_env = "K"\nendpoint = "finance"\nprotocol = "dashscope-multimodal"\nmodel = "qwen-vl-max"',
        "workspaces.legal.protocol",
        'dashscope-multimodal for "qwen-vl-max"',
        "the finance cloud speaks: openai or dashscope-text",
    ),
    (
        INPUT + '[workspaces.legal]\napi_key_env = "K"\nendpoint = "batch"\nmodels = ["qwen-plus", "qwen-audio-turbo"]',
        "workspaces.legal.endpoint",
        'dashscope-multimodal for "qwen-audio-turbo"',
        'endpoint "batch" speaks: openai',
    ),
    (
        INPUT + KEYED + 'endpoint = "https://llm.example/v1"\nmodel = "qwen-audio-turbo"',
        "workspaces.legal.endpoint",
        'dashscope-multimodal for "qwen-audio-turbo"',
        'endpoint "https://llm.example/v1" speaks: openai',
    ),
    (
        INPUT + KEYED + 'model = "qwen-audio-turbo"\n[defaults]\nendpoint = "batch"',
        "workspaces.legal.endpoint",
        'dashscope-multimodal for "qwen-audio-turbo"',
        'endpoint "batch" speaks: openai',
    ),
    (INPUT + '[defaults]\nendpoint = "pubic"', "defaults.endpoint", '"pubic"', "did you mean 'public'? One of public, finance, intl"),
    (
        INPUT + '[defaults]\nendpoint = "onw"\n[endpoints.own]\nbase_url = "http://h/v1"',
        "defaults.endpoint",
        '"onw"',
        "did you mean 'own'?",
    ),
    (
        INPUT + '[defaults]\nendpoint = "https://dashscope..aliyuncs.com/v1"',
        "defaults.endpoint",
        '"https://dashscope..',
        "an https:// or http:// URL",
    ),
    (
        INPUT + '[defaults]\nendpoint = "https://dashscope.aliyuncs.com/compatible-mode"',
        "defaults.endpoint",
        '"https://dashscope.aliyuncs.com/compatible-mode"',
        "the host alone, or with /compatible-mode/v1 or /api/v1",
    ),
    (
        INPUT + '[defaults]\nendpoint = "https://llm-1a.cn-beijing.maas.aliyuncs.com/v1"',
        "defaults.endpoint",
        '"https://llm-1a.cn-beijing.maas.aliyuncs.com/v1"',
        "the host alone, or with /compatible-mode/v1 or /api/v1",
    ),
    (
        INPUT + '[defaults]\nendpoint = "http://dashscope-finance.aliyuncs.com/compatible-mode/v1"',
        "defaults.endpoint",
        '"http://dashscope-finance.aliyuncs.com/compatible-mode/v1"',
        '"https://dashscope-finance.aliyuncs.com": over http:// whoever is on the way reads the key',
    ),
    (
        INPUT + '[defaults]\nendpoint = "dashscope-finance.aliyuncs.com"\n[workspaces.a]\napi_key_env = "K"\ndeployments = ["tuned"]',
        "defaults.endpoint",
        '"dashscope-finance.aliyuncs.com"',
        "an endpoint's name, or a URL, with https:// or http:// before the host; one of public, finance",
    ),
    (INPUT + '[defaults]\nendpoint = "127.0.0.1:8000/v1"', "defaults.endpoint", '"127.0.0.1:8000/v1"', "with https:// or http:// before"),
    (INPUT + f'[defaults]\nendpoint = "https://{"a" * 64}.example/v1"', "defaults.endpoint", '"https://aaaa', "an https:// or http:// URL"),
    (INPUT + '[defaults]\nendpoint = "ftp://host/v1"', "defaults.endpoint", '"ftp://host/v1"', "an https:// or http:// URL"),
    (INPUT + '[defaults]\nparameters = { model = "a" }', "defaults.parameters.model", '"a"', "beside parameters"),
    (INPUT + "[defaults]\nparameters = { messages = [] }", "defaults.parameters.messages", "a list", "the rows bring them"),
    (
        INPUT + "[defaults]\nparameters = { stream = true }",
        "defaults.parameters.stream",
        "true",
        "stream is a key of its own, beside parameters",
    ),
    (INPUT + "[defaults]\nparameters = { a = [{ b = 2026-11-23 }] }", "defaults.parameters.a", "a date", "what JSON can carry"),
    (INPUT + "[defaults]\nparameters = { temperature = inf }", "defaults.parameters.temperature", "inf", "what JSON can carry"),
    (INPUT + f"[defaults]\nparameters = {{ seed = {2**64} }}", "defaults.parameters.seed", "more than 64 bits", "what JSON can carry"),
    (INPUT + f"[defaults]\nconcurrency = 0x{'f' * 9000}", "defaults.concurrency", "more than 64 bits", "an integer of at least 1"),
    (INPUT + "[defaults]\nparameters = { x" + ".x" * 99 + " = 1 }", "defaults.parameters.x", "nested deeper than 64", "what JSON"),
    (INPUT + "[accounts.main]\nrpm = 3", "accounts.main.rpm", "an unknown key", 'here; rpm stands under [accounts.main.quotas."MODEL"]'),
    (INPUT + "model = 'm'", "job.model", "an unknown key", "no such key here; model stands under [defaults] or [workspaces.NAME]"),
    (INPUT + "idle = 3", "job.idle", "an unknown key", "idle stands under [timeouts]"),
    (INPUT + "retry = { max_attempts = 3 }", "job.retry", "an unknown key", "a heading of its own, [retry]"),
    (INPUT + "[defaults]\nworkspaces = 3", "defaults.workspaces", "an unknown key", "a heading of its own, [workspaces.NAME]"),
    (
        INPUT + "max_tokens = 3",
        "job.max_tokens",
        "an unknown key",
        "stands in parameters, under [defaults] or [workspaces.NAME]: parameters = { max_tokens = … }",
    ),
    ("max_attempts = 3\n" + INPUT, "max_attempts", "an unknown key", "max_attempts stands under [retry]"),
    (INPUT + "[accounts]\nrpm = 3", "accounts.rpm", "3", "a table; rpm stands under [workspaces.NAME]"),
    (INPUT + '[workspaces]\napi_key_env = "K"', "workspaces.api_key_env", '"K"', "a table; api_key_env stands under [workspaces.NAME]"),
    (INPUT + "[workspaces]\nlimits = 3", "workspaces.limits", "3", "a table; limits stands under [workspaces.NAME]"),
    (
        INPUT + "[workspaces]\nbudget = { tokens = 3, x = 4 }",
        "workspaces.budget",
        "a table",
        "budget stands under [job] or [workspaces.NAME]",
    ),
    (INPUT + '[workspaces]\nlimits."m".rpm = 3', "workspaces.limits", "a table", "limits stands under [workspaces.NAME]"),
    (INPUT + '[accounts.discounts]\n"m" = 0.1', "accounts.discounts", "a table", "discounts stands under [accounts.NAME]"),
    (INPUT + KEYED + "limits.rpm = 3", "workspaces.legal.limits.rpm", "3", 'a table; rpm stands under [workspaces.legal.limits."MODEL"]'),
    (INPUT + KEYED + "tokens = 3", "workspaces.legal.tokens", "an unknown key", "tokens stands under [workspaces.legal.budget]"),
    (INPUT + '[prices]\nsince = "2026-11-24"', "prices.since", '"2026-11-24"', 'a table; since stands under [prices."MODEL"]'),
    (INPUT + "[workspaces.budget]\nrpm = 3", "workspaces.budget.api_key_env", "nothing", "needed"),
    (INPUT + "[simulator]\ntpm = 3", "simulator.tpm", "an unknown key", "no such key; one of seed"),
    (INPUT + KEYED + "rpm = 5e-324", "workspaces.legal.rpm", "5e-324", "at least 0.001"),
    (INPUT + KEYED + "tpm = 1e-7", "workspaces.legal.tpm", "1e-07", "at least 0.001"),
    (INPUT + '[accounts.main.quotas."qwen-plus"]\nrpm = 0', "accounts.main.quotas.qwen-plus.rpm", "0", "at least 0.001"),
    (INPUT + KEYED + "weight = 0", "workspaces.legal.weight", "0", "a number from 0.001 to 1000"),
    (INPUT + "[endpoints.own]", "endpoints.own.base_url", "nothing", "needed: an https:// or http:// URL"),
    (INPUT + '[endpoints.own]\nbase_url = "llm.example/v1"', "endpoints.own.base_url", '"llm.example/v1"', "an https:// or http:// URL"),
    (INPUT + '[endpoints.own]\nbase_url = "https://h/v1?a=hush"', "endpoints.own.base_url", "a query", "without '?'"),
    (INPUT + '[endpoints.own]\nbase_url = "https://h/v1#hush"', "endpoints.own.base_url", "a fragment", "without '?' and '#'"),
    (INPUT + '[endpoints.own]\nbase_url = "https://h:0/v1"', "endpoints.own.base_url", '"https://h:0/v1"', "an https:// or http:// URL"),
    (
        INPUT + '[endpoints.own]\nbase_url = "https://h/api/v1/services/aigc/text-generation/generation"',
        "endpoints.own.base_url",
        '"https://h/api/v1/services/aigc/text-generation/generation"',
        "the URL up to /api/v1",
    ),
    (INPUT + '[endpoints.own]\nbase_url = "https://me:hush@h/v1"', "endpoints.own.base_url", "a password", "no secrets"),
    (INPUT + '[endpoints.own]\nbase_url = "https://h:99999/v1"', "endpoints.own.base_url", "99999", "URL"),
    (INPUT + '[endpoints.own]\nbase_url = "https://{WorkspaceId}.h/v1"', "endpoints.own.base_url", "{WorkspaceId}", "URL"),
    (INPUT + '[endpoints.own]\nbase_url = "http://h/v1/chat/completions"', "endpoints.own.base_url", "h/v1/chat", "added to it"),
    (INPUT + '[endpoints.intl]\nbase_url = "https://h/v1"', "endpoints.intl", '"intl"', "batchrun's own"),
    (INPUT + "[workspaces.legal]", "workspaces.legal.api_key_env", "nothing", "environment variable"),
    (
        INPUT + '[workspaces.legal]\napi_key_env = "sk-fake-legal"',
        "workspaces.legal.api_key_env",
        "looks like a key",
        "looks like a key; write",
    ),
    (INPUT + '[workspaces.legal]\napi_key_env = "LEGAL KEY"', "workspaces.legal.api_key_env", "not shown", "environment variable"),
    (
        INPUT + '[workspaces.legal]\napi_key_env = "c0ffee0ddba11c0ffee0ddba11"',
        "workspaces.legal.api_key_env",
        "not shown",
        "environment variable",
    ),
    (INPUT + KEYED + "budget = 600", "workspaces.legal.budget", "600", "a table: { amount = 20,"),
    (INPUT + KEYED + "budget = {}", "workspaces.legal.budget", "neither tokens nor amount", "one of the two"),
    (
        INPUT + KEYED + 'budget = { tokens = 9, zone = "Europe/Berlin" }',
        "workspaces.legal.budget",
        "a zone without per",
        'per = "day" or per = "month" beside it, or no zone',
    ),
    (INPUT + KEYED + "budget = { amount = 0 }", "workspaces.legal.budget.amount", "0", "greater than 0"),
    (INPUT + KEYED + "budget = { amount = 1, currency = 'EUR' }", "workspaces.legal.budget.currency", "EUR", "CNY"),
    (
        INPUT + '[prices."m.1"]\ninput = 3\ntiers = { input = 3, output = 12 }',
        'prices."m.1".input',
        "an unknown key",
        'input stands under [prices."m.1".tiers]',
    ),
    (INPUT + "[prices.m]\ntiers = { input = -0.8, output = 2 }", "prices.m.tiers.input", "-0.8", "a number, 0 or more"),
    (
        INPUT + "[[prices.m]]\ntiers = { input = 1, output = 1 }\n[[prices.m]]\ntiers = { input = 2, output = 2 }",
        "prices.m",
        "two prices from 2025-01-01 on",
        "one table for each day and region",
    ),
    (
        INPUT + '[[prices.m]]\nregion = "cn"\ntiers = { input = 1, output = 1 }\n'
        '[[prices.m]]\ntiers = { input = 2, output = 2 }\n[[prices.m]]\nregion = "cn"\ntiers = { input = 3, output = 3 }',
        "prices.m",
        "two prices from 2025-01-01 in cn on",
        "which of the two counts?",
    ),
    (INPUT + PRICED.format("beijing"), "prices.m[0].region", '"beijing"', "where calls are priced: one of cn, finance, intl, us, hongkong"),
    (INPUT + PRICED.format("public"), "prices.m[0].region", '"public"', 'where calls are priced: "cn"'),
    (INPUT + PRICED.format("batch"), "prices.m[0].region", '"batch"', 'where calls are priced: "cn"'),
    (INPUT + PRICED.format("ap-southeast-1"), "prices.m[0].region", '"ap-southeast-1"', 'where calls are priced: "intl"'),
    (INPUT + PRICED.format("cn-bejing"), "prices.m[0].region", '"cn-bejing"', "where calls are priced"),
    (INPUT + PRICED.format("us") + PRICED.format("honkong"), "prices.m[1].region", '"honkong"', "did you mean 'hongkong'?"),
    (
        INPUT + PRICED.format("ours") + "[endpoints.ours]\nbase_url = 'https://ws-1.cn-beijing.maas.aliyuncs.com'",
        "prices.m[0].region",
        '"ours"',
        'where calls are priced: "cn"',
    ),
    (INPUT + "[prices.m]\ntiers = []", "prices.m.tiers", "tiers out of order", "at least one"),
    (INPUT + "[accounts.main]\ndiscount = 1", "accounts.main.discount", "1", "a share from 0"),
    (INPUT + KEYED + 'api_key = "hush"', "workspaces.legal.api_key", "an unknown key", "no key stands in a job file"),
    (INPUT + KEYED + 'api_key = "hush"', "workspaces.legal.api_key", "an unknown key", "did you mean 'api_key_env'?"),
    (INPUT + KEYED + 'window = "22-8"', "workspaces.legal.window", '"22-8"', "hours with their time zone at the end"),
    (INPUT + KEYED + "concurency = 3", "workspaces.legal.concurency", "an unknown key", "did you mean 'concurrency'?"),
    (INPUT + KEYED + 'account = "man"\n[accounts.main]', "workspaces.legal.account", '"man"', "did you mean 'main'?"),
    (INPUT + KEYED + 'account = "main"', "workspaces.legal.account", '"main"', "[accounts.NAME]"),
    (INPUT + KEYED + "[accounts.legal]", "workspaces.legal.account", "nothing", 'account = "legal"'),
    (INPUT + KEYED + 'endpoint = "finanse"', "workspaces.legal.endpoint", '"finanse"', "did you mean 'finance'?"),
    (INPUT + KEYED + "models = []", "workspaces.legal.models", "an empty list", "at least one"),
    (INPUT + KEYED + 'models = []\nmodel = "qwen-plus"', "workspaces.legal.models", "an empty list", "at least one"),
    (INPUT + KEYED + "models = [3]", "workspaces.legal.models[0]", "3", "a string"),
    (INPUT + KEYED + 'models = "qwen-plus"', "workspaces.legal.models", '"qwen-plus"', 'a list: ["qwen-plus"]'),
    (INPUT + KEYED + "temperature = 0.2", "workspaces.legal.temperature", "an unknown key", "parameters = { temperature = … }"),
    (
        INPUT + "[defaults.headers]\nAuthorization = 'Bearer x'",
        "defaults.headers.Authorization",
        "a value that is not shown",
        "no header that",
    ),
    (INPUT + KEYED + 'models = ["qwen-plus"]\nmodel = "qwen-plsu"', "workspaces.legal.model", '"qwen-plsu"', "did you mean 'qwen-plus'?"),
    (
        INPUT + KEYED + 'models = ["qwen-plsu"]\nmodel = "qwen-plus"',
        "workspaces.legal.model",
        '"qwen-plus"',
        'where "qwen-plus" is right, correct "qwen-plsu" in models',
    ),
    (
        INPUT + KEYED + 'models = ["qwen-plsu"]\n[defaults]\nmodel = "qwen-plus"',
        "workspaces.legal.models",
        "a list without the workspace's model",
        'a model of its own beside it; "qwen-plsu" there may be mistyped, or "qwen-plus"',
    ),
    (
        INPUT + KEYED + 'models = ["qwen-plus"]\n[defaults]\nmodel = "qwen-max"',
        "workspaces.legal.models",
        "a list",
        'models with "qwen-max"',
    ),
    (
        INPUT + KEYED + '[workspaces.legal.limits."qwen3.5-plus"]\nconcurrency = 0',
        'workspaces.legal.limits."qwen3.5-plus".concurrency',
        "0",
        "an integer of at least 1",
    ),
    (
        INPUT + KEYED + "limits.qwen3.5-plus.concurrency = 2",
        "workspaces.legal.limits.qwen3.5-plus",
        "an unknown key",
        'limits."qwen3.5-plus"',
    ),
    (INPUT + KEYED + 'models = ["a"]\nlimits.b.concurrency = 2', "workspaces.legal.limits.b", "a limit", "one of a"),
    (INPUT + "[workspaces.'市 场']\napi_key_env = 'K'", 'workspaces."市 场"', 'a name with " "', "letters and digits of any script"),
    (INPUT + '[workspaces."\\u202Ex"]\napi_key_env = "K"', 'workspaces."\\u202ex"', "\\u202e", "letters and digits"),
    (INPUT + '[workspaces."run.json"]\napi_key_env = "K"', 'workspaces."run.json"', "run.json", "another name"),
    (INPUT + KEYED + '[workspaces.Legal]\napi_key_env = "K"', "workspaces.Legal", '"Legal"', "capitals"),
    (INPUT + "[retry]\nmax_attempts = 0", "retry.max_attempts", "0", "an integer of at least 1"),
    (INPUT + "[retry]\nbackoff = { first = 0 }", "retry.backoff.first", "0", "greater than 0"),
    (INPUT + "[retry]\nbackoff = { first = 9, max = 3 }", "retry.backoff", "first = 9.0, max = 3.0", "no longer than the longest"),
    (INPUT + "[retry]\nbackoff = 3", "retry.backoff", "3", "a table: { first = 1,"),
    (INPUT + "[timeouts]\ntotal = 0", "timeouts.total", "0", "greater than 0"),
    (INPUT + "[timeouts]\ntotal = nan", "timeouts.total", "nan", "greater than 0"),
    (INPUT + '[timeouts]\nidle = "2m"', "timeouts.idle", '"2m"', "a number of seconds"),
    (INPUT + "[timeouts]\nconnect = 10:00:00", "timeouts.connect", "a time", "a number of seconds"),
    (INPUT + "[stop]\ngrace = -1", "stop.grace", "-1", "0 or more"),
    (INPUT + '[output]\nform = "csv"', "output.form", '"csv"', '"batchrun" or "openai-batch"'),
    (INPUT + "[output]\nraw = 1", "output.raw", "1", "true or false"),
    (INPUT + '[transport]\nproxy = "http://me:hush@proxy:3128"', "transport.proxy", "a password", "no secrets"),
    *(
        (
            INPUT + f'[transport]\nproxy = "http://proxy:3128/{more}"',
            "transport.proxy",
            "a URL with a path or a query",
            '"none", "environment"',
        )
        for more in ("hush", "?hush", "#hush")
    ),
    (INPUT + '[transport]\nproxy = "socks5://proxy:3128"', "transport.proxy", '"socks5://proxy:3128"', '"none", "environment"'),
    (INPUT + "[transport]\nmax_response_bytes = 0", "transport.max_response_bytes", "0", "an integer of at least 1"),
    (INPUT + "[simulator]\nsed = 3", "simulator.sed", "an unknown key", "did you mean 'seed'?"),
    (INPUT + '[[simulator.faults]]\nkind = "thortle"\nrate = 0.1', "simulator.faults[0].kind", '"thortle"', "did you mean 'throttle'?"),
    (INPUT + '[[simulator.faults]]\nkind = "hang"', "simulator.faults[0]", "a table", "exactly one of rate, every and first"),
    (INPUT + '[[simulator.faults]]\nkind="hang"\nrate=0.1\nworkspace="defualt"', "simulator.faults[0].workspace", "defualt", "'default'?"),
    (INPUT + "[simulator.workspaces.legl]\nwrong_key = true\n" + KEYED, "simulator.workspaces.legl", "legl", "did you mean 'legal'?"),
    (INPUT + '[defaults]\nmodel = "sk-fake0123456789abcdef"', "defaults.model", "something that looks like an API key", "api_key_env"),
]


@pytest.mark.parametrize(("content", "where", "found", "allowed"), WRONG, ids=[f"{place}-{one[1]}" for place, one in enumerate(WRONG)])
def test_a_mistake_says_where_it_is_what_stands_there_and_what_may(written, content, where, found, allowed):
    (mistake,) = error_of(written(content)).mistakes
    assert mistake.where == f"x.toml: {where}"
    assert found in mistake.found
    assert allowed in mistake.allowed
    assert "hush" not in str(mistake)
    assert not any(jargon in str(mistake) for jargon in ("Input", "validation", "tuple", "Tuple", "dict", "extra", "str_"))


REGIONS = ["cn", "intl", "finance", "us", "hongkong", "eu-central-1", "ap-northeast-1", "ours"]


@pytest.mark.parametrize("region", REGIONS)
def test_prices_may_be_those_of_each_region_where_calls_are_priced(written, region):
    own = "[endpoints.ours]\nbase_url = 'https://llm.example/v1'"
    (price,) = load_job(written(INPUT + PRICED.format(region) + own)).prices["m"]
    assert price.region == region


def test_prices_of_an_endpoint_whose_url_is_none_are_no_second_mistake(written):
    (mistake,) = error_of(written(INPUT + PRICED.format("ours") + "[endpoints.ours]\nbase_url = 'http://[::1/v1'")).mistakes
    assert "endpoints.ours.base_url" in mistake.where


@pytest.mark.parametrize("text", ["8.0", "eight", "0", "true", "8]", "8\\nit = 8", "8 # a lot of", "[" * 60])
def test_a_text_that_would_not_be_taken_without_its_quotes_is_not_told_to_be_without_them(written, text):
    (mistake,) = error_of(written(INPUT + f'[defaults]\nconcurrency = "{text}"')).mistakes
    assert mistake.allowed == "an integer of at least 1" + ", without quotes" * (text == "8 # a lot of")


def test_a_key_of_a_table_that_a_list_may_hold_stands_under_that_table_alone(written):
    (mistake,) = error_of(written(INPUT + KEYED + "tokens = 3")).mistakes
    assert mistake.allowed == "no such key here; tokens stands under [workspaces.legal.budget]"


def test_all_mistakes_of_a_file_are_told_at_once(written):
    error = error_of(
        written("""
            [job]
            input = { path = "in.jsonl", workspace = "legl" }
            nam = "x"
            [defaults]
            concurrency = 0
            endpoint = "pubic"
            [workspaces.legal]
            account = "main"
            endpoint = "simulator"
            rpm = -600
            limits."qwen3.5-plus" = { concurrency = "2" }
            [timeouts]
            total = 0
        """)
    )
    assert sorted(mistake.where for mistake in error.mistakes) == [
        "x.toml: defaults.concurrency",
        "x.toml: defaults.endpoint",
        "x.toml: job.input.workspace",
        "x.toml: job.nam",
        "x.toml: timeouts.total",
        "x.toml: workspaces.legal.account",
        'x.toml: workspaces.legal.limits."qwen3.5-plus".concurrency',
        "x.toml: workspaces.legal.rpm",
    ]
    assert str(error).startswith("x.toml: 8 mistakes; nothing was called\n")
    assert '\n  x.toml: workspaces.legal.limits."qwen3.5-plus".concurrency (line 12) = "2": an integer of at least 1' in str(error)


def test_a_table_that_is_no_schema_is_told_with_its_line_beside_all_other_mistakes(written):
    """It had been told by the run alone, without a line, once the others were mended; `doctor` found nothing that stood against one."""
    schema = 'input = "in.jsonl"\n[defaults]\nconcurrency = {}\n[answers.schema]\nproperties.label.type = {}'
    error = error_of(written("[job]\n" + schema.format(0, "'strin'")))
    assert [(mistake.where, mistake.line) for mistake in error.mistakes] == [
        ("x.toml: defaults.concurrency", 4),
        ("x.toml: answers.schema", 5),
    ]
    assert "no JSON Schema that can be used: properties/label/type: 'strin' is not valid" in str(error)
    (told,) = error_of(written("[job]\n" + schema.format(1, "'sk-fake0123456789abcdef'"))).mistakes
    assert (told.where, told.line, "fake" in str(told)) == ("x.toml: answers.schema.properties.label.type", 6, False)
    (told,) = error_of(written("[job]\n" + schema.format(1, "'strin'"))).mistakes
    assert (told.where, told.line) == ("x.toml: answers.schema", 5)
    assert load_job(written("[job]\n" + schema.format(1, "'string'"))).answers.schema_ is not None


def test_the_job_is_named_after_its_file_unless_it_names_itself(written):
    assert load_job(written(INPUT, "夜间-2.toml")).run_directory == "runs/夜间-2"
    assert load_job(written(INPUT + 'name = "night"', "x.toml")).run_directory == "runs/night"
    assert load_job(written(INPUT + 'output = "elsewhere"', "x.toml")).run_directory == "elsewhere"


def test_chinese_names_of_workspaces_and_accounts_are_taken(written):
    job = load_job(written(INPUT + "[accounts.'总部']\n[workspaces.'市场部']\napi_key_env = 'MARKETING_KEY'\naccount = '总部'"))
    assert job.workspaces_resolved()["市场部"].account == "总部"


def test_each_workspace_without_a_keys_variable_is_told_a_name_of_its_own_for_one(written):
    names = ("sales", "r.d-2", "市场部", "人力资源部")
    mistakes = error_of(written(INPUT + "".join(f'[workspaces."{name}"]\n' for name in names))).mistakes
    variables = [mistake.allowed.rpartition("such as ")[2] for mistake in mistakes]
    assert variables == ['"SALES_DASHSCOPE_API_KEY"', '"R_D_2_DASHSCOPE_API_KEY"', '"DASHSCOPE_API_KEY_3"', '"DASHSCOPE_API_KEY_4"']
    keyed = "".join(f'[workspaces."{name}"]\napi_key_env = {variable}\n' for name, variable in zip(names, variables, strict=True))
    assert [*load_job(written(INPUT + keyed)).workspaces] == [*names]


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(written):
    assert load_job(written("\ufeff" + INPUT.replace("\n", "\r\n"))).inputs[0].path == "in.jsonl"


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("[job\n", "x.toml: not TOML: "),
        ('[job]\ninput = "a"\napi_key_env = sk-fake0123456789abcdef', "line 3, column 15"),
        ('[sk-fake0123456789abcdef]\n["sk-fake0123456789abcdef"]', "line 2"),
        (b"[job]\ninput = '\xff'", "line 2 is not UTF-8"),
        (INPUT.encode("utf-16"), "UTF-16 text; a job file is saved as UTF-8"),
        (INPUT.encode("utf-16-le"), "UTF-16 text; a job file is saved as UTF-8"),
        (b'[job]\rinput = "a"\r', "; its lines end in CR alone, as on old Macs: save it with LF"),
        (b'[job]\ninput = "a"\n\0\0\0', "; NUL bytes stand in it, and it may not be whole: write it anew"),
        ("[job]\ninput = “a”", "; “ stands there: TOML wants plain punctuation, as a plain keyboard writes it"),
        ('[job]\ninput = "C:\\Users\\me"', "; what holds a backslash stands in single quotes: 'C:\\data\\in.jsonl'"),
        ('[job]\ninput = "C:\\data"', "; what holds a backslash stands in single quotes: 'C:\\data\\in.jsonl'"),
        ('[job]\ninput＝"a"', "; ＝ stands there: TOML wants plain punctuation, as a plain keyboard writes it"),
        ("[workspaces.法务部]\nrpm = 6", '; a name with other letters than A to Z stands in quotes: [workspaces."法务部"]'),
        ("[workspaces.a法务-1]\nrpm = 6", '; a name with other letters than A to Z stands in quotes: [workspaces."法务部"]'),
        ("[accounts]\n法务 = 6", '; a name with other letters than A to Z stands in quotes: [workspaces."法务部"]'),
        ("[defaults]\nmodel = qwen-plus", "; text stands in quotes"),
        ("[defaults]\nmodel = 通义", "; text stands in quotes"),
        ('[defaults]\nmodel = "qwen-plus",\nrpm = 6', "; no comma ends a line"),
        ("[defaults]\nstream = True", "; TOML writes true and false in small letters"),
        ('[job]\ninput = "a"\ninput = "b"\n', "(at line 3, column 12); what has that name stands above already: leave one of the two"),
        (
            "[workspaces.hr]\nrpm = 6\n[workspaces.hr]\n",
            "; what has that name stands above already: leave one of the two, and put a table's keys",
        ),
        ("[retry]\nbackoff = { max = 6, max = 7 }", "; what has that name stands above already: leave one of the two"),
        ('[job]\ninput: "a"', "; TOML writes a key and its value as key = value"),
        ("[workspaces.a]\nrpm = ６００", "; ６ stands there: TOML wants plain punctuation"),
        ('[job]\ninput\u00a0= "a"', "; a space of another kind stands there (U+00A0): write a plain one"),
        ('[job]\n\u3000input = "a"', "; a space of another kind stands there (U+3000): write a plain one"),
        ("; a job\n[job]", "; a comment begins with #"),
        ("// a job\n[job]", "; a comment begins with #"),
        ('{"job": {"input": "a"}}', "; a job file is TOML, and no JSON: batchrun schema tells its keys"),
        ("[timeouts]\ntotal = 600s", "; a number stands without a unit: 600 for 600 s"),
        ("[workspaces.a]\ntpm = 5 M # a minute", "; a number stands without a unit: 600 for 600 s, 5_000_000 for 5M"),
        ("[workspaces.a]\ntpm = 5,000,000", "; a number has no commas: 5_000_000"),
        *NONE_IN_TOML_1_0,
        ("x = " + "1" * 5000, "a number is too long"),
        ("x = " + "[" * 5000, "nested too deeply"),
        ("x" + ".x" * 5000 + " = 1", "nested too deeply"),
    ],
)
def test_what_is_no_toml_is_told_with_its_place(written, content, fragment):
    error = error_of(written(content))
    assert fragment in str(error)
    assert "0123456789" not in str(error)


def test_what_stands_in_a_folder_that_this_user_may_not_enter_is_told_to_be_hidden_where_no_job_is_named(folder):
    (folder / "closed").mkdir(mode=0o000)
    hidden = "a job file's name ends in .toml, and what stands there cannot be looked at: Permission denied"
    with somebody_who_is_not_root():
        for name in ("rows.jsonl", "rows"):
            assert str(error_of(folder / "closed" / name)) == f"{folder}/closed/{name}: {hidden}"


def test_prices_in_a_folder_that_this_user_may_not_enter_cannot_be_read_and_are_not_told_to_be_missing(folder):
    (folder / "closed").mkdir(mode=0o000)
    (folder / "job.toml").write_text(f'[job]\ninput = "in.jsonl"\nprices = "{folder}/closed/prices.toml"\n')
    assert str(error_of(folder / "job.toml")).endswith("closed/prices.toml: no such file")
    with somebody_who_is_not_root():
        assert str(error_of(folder / "job.toml")) == f"{folder}/closed/prices.toml: cannot be read: Permission denied"


def test_a_windows_path_in_double_quotes_is_told_how_to_be_written(written):
    [mistake] = error_of(written('[job]\ninput = "data\\rows.jsonl"')).mistakes
    assert mistake.allowed == "a path, without control characters; what holds a backslash stands in single quotes: 'C:\\data\\in.jsonl'"


def test_a_file_that_is_not_there_is_answered_with_the_nearest(written, tmp_path):
    written(INPUT, "nightly.toml")
    assert str(error_of("nigthly.toml")) == "nigthly.toml: no such file; did you mean 'nightly.toml'?"
    assert str(error_of("day.toml")) == "day.toml: no such file", "what all job files end in makes none alike"
    assert str(error_of("nightly")) == "nightly: a job file's name ends in .toml; did you mean 'nightly.toml'?"
    assert str(error_of(tmp_path / "nightly.json")).endswith(f"did you mean '{tmp_path / 'nightly.toml'}'?")
    assert str(error_of("other/nightly.toml")) == "other/nightly.toml: no such file"
    (tmp_path / "nightly.jsonl").touch()
    assert str(error_of("nightly.jsonl")).endswith('and this is an input, which a job names: [job] input = "nightly.jsonl"')
    (tmp_path / "tickets.jsonl.gz").touch()
    told = 'a job file\'s name ends in .toml, and this is an input, which a job names: [job] input = "tickets.jsonl.gz"'
    assert str(error_of("tickets.jsonl.gz")) == f"tickets.jsonl.gz: {told}"
    assert str(error_of("none.jsonl")) == "none.jsonl: a job file's name ends in .toml"
    (tmp_path / "jobs").mkdir()
    assert str(error_of("jobs")) == "jobs: a job file's name ends in .toml"
    for name in "cab":
        written(INPUT, f"jobs/{name}.toml")
    told = "in this directory stand jobs/a.toml, jobs/b.toml, jobs/c.toml"
    assert str(error_of("jobs")) == f"jobs: a job file's name ends in .toml; {told}"
    (tmp_path / "directory.toml").mkdir()
    assert str(error_of("directory.toml")) == "directory.toml: cannot be read: Is a directory"


PLACES = [
    *("job", "job.name", "job.input", "job.output", "job.max_line_bytes", "defaults", "defaults.model", "defaults.endpoint"),
    *("defaults.protocol", "defaults.concurrency", "defaults.parameters", "defaults.parameters.stop", "defaults.parameters.deep.list"),
    *("accounts", "accounts.main", "endpoints.own", "endpoints.own.base_url", "workspaces", "workspaces.legal"),
    *("workspaces.legal.api_key_env", "workspaces.legal.account", "workspaces.legal.models", "workspaces.legal.model"),
    *("workspaces.legal.endpoint", "workspaces.legal.limits", "workspaces.legal.limits.m", "workspaces.legal.limits.m.concurrency"),
    *("retry", "retry.backoff", "retry.backoff.first", "timeouts.total", "stop.grace", "output", "output.raw", "output.form"),
    *(
        "transport.proxy",
        "simulator",
        "simulator.seed",
        "simulator.latency.median",
        "simulator.models",
        "simulator.faults",
        "new",
        "new.table",
    ),
]
FORMS = ["KEY", "Bearer KEY", "https://user:KEY@host/v1", "https://host/v1?key=KEY", "https://host/KEY", "runs/KEY/x", "\n KEY"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    secret=st.text("abcdefXYZ0123456789._-", min_size=16, max_size=60),
    form=st.sampled_from(FORMS),
    as_name=st.booleans(),
    in_list=st.booleans(),
)
def test_a_key_pasted_anywhere_is_refused_and_never_shown(tmp_path, place, secret, form, as_name, in_list):
    text = json.dumps(form.replace("KEY", f"sk-{secret}"))
    value = f"[{text}]" if in_list else text
    path = tmp_path / "x.toml"
    path.write_text(f"{place}.{text} = 3\n" if as_name else f"{place} = {value}\n")
    error = error_of(path)
    told = f"{error} {error!r} {error.mistakes}"
    assert "something that looks like an API key" in told
    assert secret not in told.replace(str(tmp_path), "")


def test_a_key_among_the_names_is_not_listed_where_another_name_is_mistyped(written):
    error = error_of(written(INPUT + KEYED + 'models = ["sk-fake0123456789abcdef"]\nmodel = "qwen-plus"'))
    assert [mistake.where for mistake in error.mistakes] == ["x.toml: workspaces.legal.models[0]", "x.toml: workspaces.legal.model"]
    assert "0123456789" not in str(error)


def test_a_shorter_pasted_key_is_not_shown_where_a_variables_name_belongs(written):
    for value in ("sk-fake", "sk-", "sk-fake-legal", "Bearer sk-fake", "fake.key", "fake" * 20):
        error = error_of(written(INPUT + f'[workspaces.legal]\napi_key_env = "{value}"'))
        assert "fake" not in str(error)


def test_what_is_no_file_or_no_job_by_its_size_is_told_and_not_read(written, tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    with (tmp_path / "huge.toml").open("wb") as huge:
        huge.truncate(1 << 40)
    assert str(error_of("pipe.toml")) == "pipe.toml: is no file but a pipe or a device"
    assert str(error_of("zero.toml")) == "zero.toml: is no file but a pipe or a device"
    assert "1,099,511,627,776 bytes are no job file" in str(error_of("huge.toml"))


def test_a_job_of_more_workspaces_than_may_be_is_one_mistake(written):
    many = "".join(f'[workspaces.w{number}]\napi_key_env = "K"\naccount = "x"\n' for number in range(10_001))
    (mistake,) = error_of(written(INPUT + many)).mistakes
    assert (mistake.where, mistake.found) == ("x.toml: workspaces", "10,001 workspaces")


def test_a_mistaken_name_among_thousands_is_told_without_listing_them_all(written):
    many = "".join(f'[workspaces.w{number}]\napi_key_env = "K"\n' for number in range(3000))
    (mistake,) = error_of(written('[job]\ninput = { path = "a", workspace = "w9999" }\n' + many)).mistakes
    assert mistake.allowed.endswith("and 2,960 others")
    assert len(str(mistake)) < 600


@pytest.mark.parametrize(
    "host", ["localhost", "host.", "a_b-c.example", "127.0.0.1", "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]", f"{'a' * 63}.example"]
)
def test_a_host_by_any_name_or_address_that_may_be_one_is_taken(written, host):
    job = load_job(written(INPUT + f'[defaults]\nmodel = "qwen-plus"\nendpoint = "http://{host}:8000/v1"\n'))
    assert f"//{host}:8000/" in job.workspaces_resolved()["default"].endpoint.name
