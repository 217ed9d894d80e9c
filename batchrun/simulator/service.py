"""Decides what the simulated provider answers to a call: a pure machine, told the time, that knows no socket, clock or dice.

Its rules:

1. The floors answer in the provider's order (`admission.py`), then rate limits (`accounts.py`), parameters, the model. Tokens are
   known only when the answer is made: what does not fit into its quota is refused then, as if it had never come.
2. A call is billed when its answer is made, that is while its plan is made, whatever then becomes of it on the way: reset, torn, cut,
   spoiled, broken off by an error in its stream, never delivered, or asked for by a client that has gone. Refused calls (4xx, 5xx, and
   errors that hide under another status or label) are never billed, nor is what something between client and provider said (an HTML
   page, a redirect).
3. Everything that chance decides follows from the seed, the workspace, the body and how often it came before (`dice.py`), and planned
   faults count each workspace's calls apart: how the calls of several workspaces interleave changes nothing but whose calls a shared
   quota or balance still has room for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from batchrun.core.model import Usage
from batchrun.simulator import bodies, parameters, planned_errors, refusals
from batchrun.simulator.accounts import Accounts, Passage, count, patience
from batchrun.simulator.admission import Admission, Asked
from batchrun.simulator.answers import compose
from batchrun.simulator.bill import Bill, CallNote, Journal
from batchrun.simulator.bill_export import Export, Form
from batchrun.simulator.caching import PrefixCache
from batchrun.simulator.dice import Dice, Draw
from batchrun.simulator.management import is_management, manage
from batchrun.simulator.plan import Call, Plan, Wire
from batchrun.simulator.planned_errors import refusal_of
from batchrun.simulator.refusal import Refusal
from batchrun.simulator.routes import Route, is_native, wants_events
from batchrun.simulator.scenario import Mishap, PlannedFault, Scenario
from batchrun.simulator.telling import JSON, Given, headers, in_200, mislabelled, refused, told
from batchrun.simulator.trouble import Trouble

__all__ = ["Call", "Plan", "Service", "Wire"]

_MODELS = "/compatible-mode/v1/models"
_BILL = "/simulator/bill"
_EXPORT = "/simulator/bill.csv"
_CALLS = "/simulator/calls"

_OURS = "/simulator/"
_OURS_TO_READ = frozenset({_BILL, _EXPORT, _CALLS})
_BETWEEN = frozenset({Mishap.HTML, Mishap.REDIRECT})
"""What something between client and provider says: the provider never saw the call."""
_REFUSALS = {**refusals.THROTTLES, **refusals.FAILURES}

_REFUSED = 0.05
"""A refusal takes this share of the time that an answer would have taken."""
_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Network sign-in required</h1></body></html>\n"


class Service:
    """A simulated provider with its bill and its journal."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._accounts = Accounts(scenario)
        self._admission = Admission(scenario, self._accounts)
        self._trouble = Trouble(scenario.faults)
        self._dice = Dice(scenario.seed)
        self._cache = PrefixCache()
        self._given: dict[tuple[str, str, bytes], Given] = {}
        self._chats = {route.value: route for route in Route if not (route is Route.MULTIMODAL and scenario.cloud == "finance")}
        self._bill = Bill()
        self._export = Export()
        self._journal = Journal(scenario.journal)

    def bill(self) -> dict[str, Any]:
        """Everything billed so far: ``{"total": counts, "workspaces": {name: {"total": counts, "models": {model: counts}}}}``.

        Counts are calls and the numbers of `Usage`: input_tokens, output_tokens, cached_tokens, reasoning_tokens and the others.
        """
        return self._bill.told()

    def bill_export(self, form: Form = "2025") -> bytes:
        """The same by day and amount type, as the provider's console exports it: CSV in UTF-8 with its mark."""
        return self._export.csv(form).encode("utf-8-sig")

    def calls(self) -> list[dict[str, Any]]:
        """The latest calls to the chat routes, in the order they came: the fields of `CallNote`."""
        return self._journal.told()

    def answer(self, call: Call, now: float) -> Plan:
        """Decide about one call that came at *now*, in seconds since the epoch. Never raises, whatever the call holds."""
        path = call.path.partition("?")[0]
        if not path.startswith(_OURS):
            self._accounts.tick(now)
        if (route := self._chats.get(path)) is not None:
            return self._chat(call, route, now)
        if is_management(path):
            return self._manage(call, now)
        match call.method, path:
            case "GET", path if path == _MODELS:
                return self._model_list(call, now)
            case "GET", path if path in _OURS_TO_READ:
                return self._ours(path, call.path)
        return self._refuse(refusals.NO_SUCH_PATH, self._dice.draw("", call.body), now, native=is_native(path))

    def _ours(self, path: str, asked: str) -> Plan:
        """What no provider tells: the bill, as it is or as its export, and the journal."""
        if path == _EXPORT:
            form: Form = "2024" if asked.endswith("?form=2024") else "2025"
            return Plan(200, {"content-type": "text/csv; charset=utf-8"}, self.bill_export(form), 0.0)
        return Plan(200, {"content-type": JSON}, orjson.dumps(self.bill() if path == _BILL else self.calls()), 0.0)

    def too_large(self, path: str, now: float) -> Plan:
        """The answer to a request whose body nobody wants to read to its end."""
        return self._refuse(refusals.TOO_LARGE, self._dice.draw("", b""), now, native=is_native(path))

    def _model_list(self, call: Call, now: float) -> Plan:
        workspace = self._admission.workspace(call)
        draw = self._dice.draw(workspace or "", call.body)
        if workspace is None:
            return self._refuse(refusals.WRONG_KEY, draw, now)
        return Plan(200, headers(draw, now, 0.0), bodies.model_list(self.scenario.models, int(now)), 0.0)

    def _manage(self, call: Call, now: float) -> Plan:
        workspace = self._admission.workspace(call)
        draw = self._dice.draw(workspace or "", call.body)
        if workspace is None:
            return self._refuse(refusals.WRONG_KEY, draw, now, native=True)
        told = manage(self._accounts, self.scenario.models, call, workspace=workspace, request_id=draw.request_id)
        return Plan(told.status, headers(draw, now, 0.0), told.body, 0.0)

    def _chat(self, call: Call, route: Route, now: float) -> Plan:
        if call.method != "POST":
            return self._refuse(refusals.wrong_method(call.method), self._dice.draw("", call.body), now, native=route.native)
        workspace = self._admission.workspace(call)
        draw = self._dice.draw(workspace or "", call.body)
        named = call.headers.get("idempotency-key", "")
        note = CallNote(at=now, workspace=workspace or "", idempotency_key=named, sha=draw.sha, path=route.value)
        match self._admission.admit(call, route, workspace):
            case Refusal() as refusal:
                return self._turn_away(refusal, draw, note, route, events=wants_events(call.headers))
            case asked:
                note = note._replace(model=asked.model)
                found = self._limited(asked, draw, now, patience(call.headers.get("x-dashscope-wait-timeout")))
                if isinstance(found, Refusal):
                    return self._turn_away(found, draw, note, route, events=asked.stream)
                return self._let_in(asked, found, draw, note)

    def _limited(self, asked: Asked, draw: Draw, now: float, patient: float) -> Refusal | Passage:
        """The rate limit that refuses a call that was admitted, planned or real, or its passage."""
        throttle = self._trouble.throttle(asked.workspace, asked.model, draw)
        if throttle is not None and (planned := refusal_of(throttle)) is not None:
            return planned
        found = self._accounts.admit(asked.workspace, asked.model, now, patient)
        return found if isinstance(found, Passage) else _REFUSALS[found]

    def _let_in(self, asked: Asked, passage: Passage, draw: Draw, note: CallNote) -> Plan:
        match self._behind(asked, draw):
            case Refusal() as refusal:
                count(passage, note.at)
                return self._turn_away(refusal, draw, note, asked.route, events=asked.stream)
            case fault:
                return self._reach(asked, passage, fault, draw, note)

    def _behind(self, asked: Asked, draw: Draw) -> Refusal | PlannedFault | None:
        """What a call meets that the limits let through: a mistake in its parameters, or another planned fault."""
        if (mistake := parameters.first_mistake(asked.body, asked.model, asked.family, asked.route)) is not None:
            return mistake
        fault = self._trouble.later(asked.workspace, asked.model, draw, stream=asked.stream)
        return fault and (refusal_of(fault) or fault)

    def _reach(self, asked: Asked, passage: Passage, fault: PlannedFault | None, draw: Draw, note: CallNote) -> Plan:
        """Let a call through to its model, or to what stands in front of it."""
        delay = self._latency(draw)
        if fault is not None and (plan := _in_front(asked, fault, draw, note.at, delay)) is not None:
            if fault.kind not in _BETWEEN:
                count(passage, note.at)
            self._journal.note(note._replace(status=plan.status, code=fault.kind))
            return plan
        found = self._given_to(asked, passage, draw, note, delay)
        if isinstance(found, Refusal):
            return self._turn_away(found, draw, note, asked.route, events=asked.stream)
        given, repeated = found
        usage = given.answer.usage
        self._journal.note(
            note._replace(
                status=200,
                code=fault.kind if fault else "repeated" if repeated else "",
                billed=not repeated,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_tokens=usage.cached_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                cache_creation_tokens=usage.cache_creation_tokens,
                explicit_cache=given.answer.explicit_cache,
                request_id=given.draw.request_id,
            )
        )
        plan = told(asked, given, delay + self._written_in(usage), fault)
        return replace(plan, delay=plan.delay + passage.wait) if passage.wait else plan

    def _given_to(self, asked: Asked, passage: Passage, draw: Draw, note: CallNote, seconds: float) -> tuple[Given, bool] | Refusal:
        """The answer, billed; or the one given before under the same key, if the scenario honours keys, and True.

        A refusal where the answer has more tokens than a quota has left.
        """
        remembered = (note.workspace, note.idempotency_key, note.sha)
        honoured = self.scenario.honour_idempotency_key and bool(note.idempotency_key)
        if honoured and (before := self._given.get(remembered)) is not None:
            count(passage, note.at)
            return before, True
        thinking = asked.family.thinks(asked.body.get("enable_thinking"))
        cached = self._cache.look_up(asked.workspace, asked.model, asked.body["messages"], note.at)
        given = Given(compose(asked.body, draw, thinking=thinking, cached=cached), draw, note.at)
        usage = given.answer.usage
        refusal = count(passage, note.at, tokens=usage.input_tokens + usage.output_tokens, took=seconds + self._written_in(usage))
        if refusal is not None:
            return _REFUSALS[refusal]
        self._cache.keep(cached, note.at)
        self._settle(asked, usage, note.at, explicit_cache=cached.explicit)
        if honoured:
            self._given[remembered] = given
        return given, False

    def _settle(self, asked: Asked, usage: Usage, at: float, *, explicit_cache: bool) -> None:
        """An answer was made: its tokens are owed."""
        self._bill.charge(asked.workspace, asked.model, usage)
        self._export.charge(asked.workspace, asked.model, usage, at, explicit_cache=explicit_cache)
        self._accounts.account_of(asked.workspace).charge(asked.model, usage.input_tokens + usage.output_tokens)

    def _latency(self, draw: Draw) -> float:
        return draw.lognormal(self.scenario.latency.median, self.scenario.latency.sigma)

    def _written_in(self, usage: Usage) -> float:
        """Seconds that an answer of that *usage* takes once it has begun."""
        return self.scenario.latency.per_token * usage.output_tokens

    def _turn_away(self, refusal: Refusal, draw: Draw, note: CallNote, route: Route, *, events: bool) -> Plan:
        self._journal.note(note._replace(status=refusal.status, code=refusal.code_for(native=route.native)))
        return self._refuse(refusal, draw, note.at, native=route.native, events=events)

    def _refuse(self, refusal: Refusal, draw: Draw, now: float, *, native: bool = False, events: bool = False) -> Plan:
        return refused(refusal, draw, now, self._latency(draw) * _REFUSED, native=native, events=events)


def _in_front(asked: Asked, fault: PlannedFault, draw: Draw, now: float, delay: float) -> Plan | None:
    """What answers in the model's place, where a fault is of that kind: nothing is billed then."""
    native = asked.route.native
    match fault.kind:
        case Mishap.HTML:
            return Plan(200, {"content-type": "text/html; charset=utf-8", "server": "nginx"}, _PAGE, delay)
        case Mishap.REDIRECT:
            return Plan(307, {"location": f"/moved{asked.route.value}", "server": "nginx"}, b"", delay)
        case Mishap.ERROR_IN_200:
            return in_200(planned_errors.named(fault), draw, now, delay, native=native)
        case Mishap.MISLABELLED:
            return mislabelled(planned_errors.named(fault), draw, now, delay, native=native)
    return None
