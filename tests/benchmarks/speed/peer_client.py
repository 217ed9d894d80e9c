"""The peers, each doing the same job with its own means: `peer_client.py NAME ROWS FOLDER URL KEY IN_FLIGHT`, run with its own python.

Those that can resume are told to keep what they need for it; limits are set so high that none holds. What they were answered is counted in
FOLDER/answered.jsonl, a line a row.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

MODEL = "qwen-plus"
NO_LIMIT = 100_000_000


class Job(NamedTuple):
    rows: list[dict[str, str]]
    folder: Path
    base: str
    key: str
    in_flight: int


def messages(row: dict[str, str]) -> list[dict[str, str]]:
    return [{"role": "user", "content": row["prompt"]}]


def write(folder: Path, answers: list[Any]) -> None:
    with (folder / "answered.jsonl").open("a", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"content": answer}) + "\n" for answer in answers if answer)


async def in_a_loop(job: Job, ask: Callable[[dict[str, str]], Awaitable[str]]) -> None:
    """What people write around a client: so many workers."""

    async def worker(rows: Iterator[dict[str, str]]) -> None:
        for row in rows:
            write(job.folder, [await ask(row)])

    rows = iter(job.rows)
    await asyncio.gather(*(worker(rows) for _ in range(job.in_flight)))  # noqa: TID251


def openai_sdk(job: Job) -> None:
    openai = import_module("openai")

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=job.base, api_key=job.key) as client:

            async def ask(row: dict[str, str]) -> str:
                answer = await client.chat.completions.create(model=MODEL, messages=messages(row), max_tokens=400)
                return str(answer.choices[0].message.content)

            await in_a_loop(job, ask)

    asyncio.run(main())


def litellm(job: Job) -> None:
    called: Any = import_module("litellm")
    called.telemetry = False

    async def ask(row: dict[str, str]) -> str:
        answer = await called.acompletion(
            model=f"openai/{MODEL}", api_base=job.base, api_key=job.key, messages=messages(row), max_tokens=400
        )
        return str(answer.choices[0].message.content)

    asyncio.run(in_a_loop(job, ask))


def lm_deluge(job: Job) -> None:
    os.environ["BENCHMARK_KEY"] = job.key
    deluge, models = import_module("lm_deluge"), import_module("lm_deluge.models")
    models.register_model(id=MODEL, name=MODEL, api_base=job.base, api_key_env_var="BENCHMARK_KEY", regions=[])
    client = deluge.LLMClient(
        MODEL,
        max_requests_per_minute=NO_LIMIT,
        max_tokens_per_minute=NO_LIMIT * 1000,
        max_concurrent_requests=job.in_flight,
        max_new_tokens=400,
    )
    replies = asyncio.run(client.process_prompts_async([row["prompt"] for row in job.rows], show_progress=False))
    write(job.folder, [reply.completion for reply in replies])


def flexllm(job: Job) -> None:
    called = import_module("flexllm")
    client = called.LLMClient(model=MODEL, base_url=job.base, api_key=job.key, concurrency_limit=job.in_flight, max_qps=NO_LIMIT)
    asked = [messages(row) for row in job.rows]
    kept = str(job.folder / "flexllm.out")
    told = asyncio.run(client.chat_completions_batch(asked, show_progress=False, output_jsonl=kept + ".jsonl", max_tokens=400))
    write(job.folder, told)


def async_batch_llm(job: Job) -> None:
    called = import_module("async_batch_llm")
    artifacts = import_module("async_batch_llm.artifacts")

    async def main() -> None:
        model = called.OpenAICompatibleModel.from_api_key(MODEL, job.key, base_url=job.base, max_connections=job.in_flight)
        strategy = called.OpenAIStrategy(model)
        config = called.ProcessorConfig(concurrency=job.in_flight, max_requests_per_minute=float(NO_LIMIT))
        store = artifacts.JsonlArtifactStore(job.folder / "artifacts.log", identity=artifacts.ArtifactIdentity("speed", "1"))
        prompts = [(row["id"], row["prompt"]) for row in job.rows]
        stream = called.process_stream(
            strategy, prompts, config=config, artifact_store=store, resume=artifacts.ResumePolicy.REUSE_SUCCESSES
        )
        async for result in stream:
            write(job.folder, [result.output])

    asyncio.run(main())


def curator(job: Job) -> None:
    os.environ |= {"CURATOR_DISABLE_CACHE": "0", "TELEMETRY_ENABLED": "0", "CURATOR_VIEWER": "0", "HF_HUB_OFFLINE": "1"}
    os.environ |= {"OPENAI_API_KEY": job.key, "CURATOR_CACHE_DIR": str(job.folder / "cache"), "HF_HOME": str(job.folder / "hf")}
    # Its encoding is fetched from the network at run time: words stand in for tokens.
    tiktoken: Any = import_module("tiktoken")
    tiktoken.get_encoding = tiktoken.encoding_for_model = lambda *_: Words
    called = import_module("bespokelabs.curator")
    limits = {
        "base_url": job.base,
        "max_requests_per_minute": NO_LIMIT,
        "max_tokens_per_minute": NO_LIMIT * 1000,
        "max_concurrent_requests": job.in_flight,
        "in_mtok_cost": 1,
        "out_mtok_cost": 1,
    }
    # A model that it knows the price and length of.
    llm = called.LLM(model_name="gpt-4o-mini", backend="openai", backend_params=limits, generation_params={"max_tokens": 400})
    told = llm([row["prompt"] for row in job.rows], working_dir=str(job.folder / "work"))
    write(job.folder, [each["response"] for each in told.dataset])


class Words:
    @staticmethod
    def encode(text: str, **_: Any) -> list[str]:
        return text.split()


PEERS: dict[str, Callable[[Job], None]] = {
    "openai": openai_sdk,
    "litellm": litellm,
    "lm-deluge": lm_deluge,
    "flexllm": flexllm,
    "async-batch-llm": async_batch_llm,
    "curator": curator,
}


if __name__ == "__main__":
    name, source, out, called_url, secret, slots = sys.argv[1:]
    folder = Path(out)
    folder.mkdir(parents=True)
    lines = Path(source).read_text("utf-8").splitlines()
    PEERS[name](Job([json.loads(line) for line in lines], folder, called_url.removesuffix("/chat/completions"), secret, int(slots)))
