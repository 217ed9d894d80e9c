"""How a test asks: the calls of each SDK with their defaults, as the workspace they are made for."""

from __future__ import annotations

from typing import Any

from tests.sdk.driving import Driver, Json, Simulator

QUESTION = "Why is the sky blue?"
LONG = "Answer as the keeper of a lighthouse would, in short words and with an eye on the weather. " * 100
"""More than the 1,024 tokens from which the provider's implicit cache works."""


def user(content: Any) -> list[Json]:
    """The messages of a chat in which the user says one thing."""
    return [{"role": "user", "content": content}]


class _Caller:
    def __init__(self, simulator: Simulator, driver: Driver) -> None:
        self.simulator = simulator
        self.sdk = driver.sdk
        self.version = driver.version
        self._driver = driver

    def own(self, workspace: str) -> str:
        """The name of a workspace that this SDK's version has for itself."""
        return f"{workspace}-{self.sdk.name}"


class OpenAI(_Caller):
    """The openai package on the compatible route."""

    def ask(
        self,
        prompt: Any = QUESTION,
        *,
        workspace: str = "plain",
        key: str | None = None,
        retries: int = 0,
        base: str = "/compatible-mode/v1",
        **arguments: Any,
    ) -> Json:
        """The outcome of ``client.chat.completions.create``."""
        arguments = {"model": "qwen-plus", "messages": user(prompt), **arguments}
        return self._driver.perform(
            base_url=self.simulator.url + base, api_key=key or f"sk-sim-{workspace}", retries=retries, arguments=arguments
        )


class DashScope(_Caller):
    """The dashscope package on the native routes."""

    def generate(self, **arguments: Any) -> Json:
        """The outcome of ``Generation.call``."""
        return self._call("Generation", **arguments)

    def generate_async(self, **arguments: Any) -> Json:
        """The outcome of ``AioGeneration.call``."""
        return self._call("AioGeneration", **arguments)

    def converse(self, *content: Json, **arguments: Any) -> Json:
        """The outcome of ``MultiModalConversation.call``."""
        return self._call("MultiModalConversation", **{"model": "qwen-vl-plus", "messages": user(list(content)), **arguments})

    def create(self, *, retries: int = 0, **arguments: Any) -> Json:
        """The outcome of ``Client.chat.completions.create``, which version 2 alone has."""
        return self._call("Client", retries=retries, **arguments)

    def _call(
        self,
        api: str,
        *,
        workspace: str = "plain",
        key: str | None = None,
        retries: int = 0,
        base: str = "/api/v1",
        **arguments: Any,
    ) -> Json:
        spoken = {} if {"messages", "prompt"} & arguments.keys() else {"messages": user(QUESTION)}
        arguments = {"model": "qwen-plus", **spoken, **arguments}
        return self._driver.perform(
            call=api,
            base_url=self.simulator.url + base,
            api_key=key or f"sk-sim-{workspace}",
            retries=retries,
            arguments=arguments,
        )
