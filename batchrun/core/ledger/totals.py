"""Counts, tokens and money of any part of a ledger: they add up, whatever the parts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Money, Usage

_COUNTED = tuple(each.name for each in fields(Usage) if each.name not in {"raw", "uncounted_reasoning"})
_RARELY_COUNTED = tuple(name for name in _COUNTED if name not in {"input_tokens", "output_tokens"})
_rarely_counted = attrgetter(*_RARELY_COUNTED)
_NONE_OF_THEM = (0,) * len(_RARELY_COUNTED)
_MILLION = Decimal(1_000_000)
_NOTHING = Decimal(0)

Amounts = dict[str, Decimal]
"""Money by currency."""


class Meter(NamedTuple):
    """A kind of tokens at one price."""

    currency: str
    kind: str
    """As the provider's bill names it: ``input_token``, ``cached_token``, ``output_token`` and so on."""
    unit_price: Decimal
    """Of a million tokens, before the discount."""
    discount: Decimal
    """The share taken off."""
    share: Decimal
    """Of the plain prices: a half in a batch, whose unit price is the half already."""

    def listed(self, tokens: int) -> Decimal:
        """What *tokens* cost without the discount."""
        return tokens * self.unit_price / _MILLION

    def cost(self, tokens: int) -> Decimal:
        """What *tokens* cost."""
        return self.listed(tokens) * (1 - self.discount)


@slotted
class Part:
    """Calls of a kind, out of the totals or (in doubt) beside them."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced_calls: int = 0
    """Of these: their cost is not known, and in no sum."""
    cost: Amounts = field(default_factory=dict)

    def count(self, usage: Usage | Bound | None, cost: Money | None) -> None:
        """Count one call."""
        self.calls += 1
        if usage is not None:
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
            if cost is None:
                self.unpriced_calls += 1
            else:
                _pay(self.cost, cost.currency, cost.amount)

    def add(self, other: Part) -> None:
        """Add *other* to this."""
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.unpriced_calls += other.unpriced_calls
        add_amounts(self.cost, other.cost)

    def as_json(self) -> dict[str, Any]:
        """Return the counts by name; amounts as text, exact."""
        names = ("calls", "input_tokens", "output_tokens", "unpriced_calls")
        return {name: getattr(self, name) for name in names} | {"cost": amounts_json(self.cost)}


@slotted
class Totals:
    """Counts of one workspace and model, or of several added up. Tokens are the provider's; details itemise and add nothing."""

    answered: int = 0
    rejected: int = 0
    exhausted: int = 0
    pending: int = 0
    """Rows with no entry yet."""
    calls: int = 0
    retries: int = 0
    """Calls that failed and were tried again."""
    throttles: int = 0
    reasks: int = 0
    """Calls that were answered, and whose row was asked again because the answer did not fit."""
    reask_input_tokens: int = 0
    """Of the input tokens: what those calls cost."""
    reask_output_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_creation_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    video_tokens: int = 0
    output_audio_tokens: int = 0
    searches: int = 0
    in_doubt: int = 0
    """Calls that may have been billed and left no usage."""
    in_doubt_input_tokens: int = 0
    """At the most."""
    in_doubt_output_tokens: int = 0
    """At the most."""
    in_doubt_unpriced: int = 0
    """Of the calls in doubt: what they can cost in money is not known."""
    rows_in_doubt: int = 0
    """Rows left to do for which a call in doubt was made: they are sent again, or held."""
    billed_calls: int = 0
    """Calls with tokens."""
    unpriced_calls: int = 0
    """Calls with tokens whose cost is not known: it is in no sum."""
    unpriced_tokens: int = 0
    undivided_tokens: int = 0
    """Of calls whose cost is known, and not what it is made of: older lines do not tell."""
    cost: Amounts = field(default_factory=dict)
    """By currency, as it was written down with each call."""
    in_doubt_cost: Amounts = field(default_factory=dict)
    """At the most."""
    reask_cost: Amounts = field(default_factory=dict)
    undivided: Amounts = field(default_factory=dict)
    """Of the cost: what nothing tells the make-up of."""
    cache_saved: Amounts = field(default_factory=dict)
    """What the tokens found in a cache would have cost more."""
    meters: dict[Meter, int] = field(default_factory=dict)
    """Tokens by kind and price. They and what is undivided add up to the cost."""
    reask_unpriced: int = 0
    retried: Part = field(default_factory=Part)
    """Calls that brought no answer, were billed all the same, and were made again."""
    refused: Part = field(default_factory=Part)
    """Calls that were billed and whose rows were rejected or exhausted."""
    truncated: Part = field(default_factory=Part)
    """Answers that ended at the limit of their length."""
    in_flight: Part = field(default_factory=Part)
    """Calls of a run that is under way whose answers are still to come, beside the totals and what is in doubt; at the most."""

    def add(self, other: Totals) -> None:
        """Add *other* to this, count by count."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _AMOUNTS:
            add_amounts(getattr(self, name), getattr(other, name))
        for name in _PARTS:
            getattr(self, name).add(getattr(other, name))
        for meter, tokens in other.meters.items():
            self.meters[meter] = self.meters.get(meter, 0) + tokens

    def pay(self, cost: Money, tokens: int = 0) -> None:
        """Add what a call of so many *tokens* cost."""
        currency = cost.currency
        _pay(self.cost, currency, cost.amount)
        if (made_of := cost.charges) is None:
            _pay(self.undivided, currency, cost.amount)
            self.undivided_tokens += tokens
            return
        meters, discount, share = self.meters, made_of.discount, made_of.share
        for kind, counted, unit_price in made_of.meters:
            # A meter is a tuple, and found by any that is like it: one is made only for the first call.
            meter: Any = (currency, kind, unit_price, discount, share)
            # Each time it is looked up its prices are hashed anew, which costs as much as all else here.
            if (before := meters.get(meter)) is None:
                meters[Meter(*meter)] = counted
            else:
                meters[meter] = before + counted
        if made_of.saved:
            _pay(self.cache_saved, currency, made_of.saved)

    def add_usage(self, usage: Usage, cost: Money | None = None) -> None:
        """Add one call's tokens, and what they *cost*; None where that is not known."""
        tokens = usage.input_tokens + usage.output_tokens
        self.billed_calls += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if (counts := _rarely_counted(usage)) != _NONE_OF_THEM:
            self._add_rare(counts)
        self._add_cost(cost, tokens)

    def add_usages(self, usages: Sequence[Usage], costs: Sequence[Money | None]) -> None:
        """Add as many calls' tokens, and what each of them cost: as `add_usage` does, and sooner."""
        asked, answered = sum([each.input_tokens for each in usages]), sum([each.output_tokens for each in usages])
        self.billed_calls += len(usages)
        self.input_tokens += asked
        self.output_tokens += answered
        for counts in map(_rarely_counted, usages):
            if counts != _NONE_OF_THEM:
                self._add_rare(counts)
        if any(costs):
            for usage, cost in zip(usages, costs, strict=True):
                self._add_cost(cost, usage.input_tokens + usage.output_tokens)
        else:
            self.unpriced_calls += len(usages)
            self.unpriced_tokens += asked + answered

    def _add_rare(self, counts: tuple[int, ...]) -> None:
        for name, count in zip(_RARELY_COUNTED, counts, strict=True):
            setattr(self, name, getattr(self, name) + count)

    def _add_cost(self, cost: Money | None, tokens: int) -> None:
        if cost is not None:
            self.pay(cost, tokens)
        else:
            self.unpriced_calls += 1
            self.unpriced_tokens += tokens

    def doubt(self, most: Bound, cost: Money | None) -> None:
        """Add a call that may have been billed, at the most so much; *cost* is None where that is not known in money."""
        self.in_doubt += 1
        self.in_doubt_input_tokens += most.input_tokens
        self.in_doubt_output_tokens += most.output_tokens
        if cost is None:
            self.in_doubt_unpriced += 1
        else:
            _pay(self.in_doubt_cost, cost.currency, cost.amount)

    def reasked(self, usage: Usage, cost: Money | None) -> None:
        """Note that a call, counted already, had an answer that did not fit."""
        self.reask_input_tokens += usage.input_tokens
        self.reask_output_tokens += usage.output_tokens
        if cost is None:
            self.reask_unpriced += 1
        else:
            _pay(self.reask_cost, cost.currency, cost.amount)

    def waste(self) -> dict[str, Part]:
        """What was paid for and brought nothing, or less, by what it is. All of it is in the totals but what is in doubt."""
        reasked = Part(self.reasks, self.reask_input_tokens, self.reask_output_tokens, self.reask_unpriced, self.reask_cost)
        doubt = Part(self.in_doubt, self.in_doubt_input_tokens, self.in_doubt_output_tokens, self.in_doubt_unpriced, self.in_doubt_cost)
        return {"retried": self.retried, "reasked": reasked, "refused": self.refused, "truncated": self.truncated, "in_doubt": doubt}

    def savings(self) -> dict[str, Amounts]:
        """What the same tokens would have cost more: without what a cache had, at plain prices, without discounts; each by itself.

        Of calls that do not tell what their cost is made of, nothing is known.
        """
        batch: Amounts = {}
        discount: Amounts = {}
        for meter, tokens in self.meters.items():
            if meter.share != 1 and meter.share:
                _pay(batch, meter.currency, meter.cost(tokens) / meter.share - meter.cost(tokens))
            if meter.discount:
                _pay(discount, meter.currency, meter.listed(tokens) - meter.cost(tokens))
        return {"cache": self.cache_saved, "batch": batch, "discount": discount}

    def as_json(self) -> dict[str, Any]:
        """Return the counts by name; amounts as text, exact."""
        told: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        told["cost"] = amounts_json(self.cost)
        told["in_doubt_cost"] = amounts_json(self.in_doubt_cost)
        told["in_flight"] = self.in_flight.as_json()
        told["waste"] = {name: part.as_json() for name, part in self.waste().items()}
        told["savings"] = {name: amounts_json(saved) for name, saved in self.savings().items()}
        return told


_AMOUNTS = ("cost", "in_doubt_cost", "reask_cost", "undivided", "cache_saved")
_PARTS = ("retried", "refused", "truncated", "in_flight")
_COUNTS = tuple(each.name for each in fields(Totals) if each.name not in {*_AMOUNTS, *_PARTS, "meters"})


def add_amounts(to: Amounts, other: Mapping[str, Decimal]) -> None:
    """Add *other* to *to*, currency by currency."""
    for currency, amount in other.items():
        _pay(to, currency, amount)


def amounts_json(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    """Amounts as text, exact."""
    return {currency: plain(amount) for currency, amount in sorted(amounts.items())}


def plain(amount: Decimal) -> str:
    """A number as text: exact, without an exponent, and without zeros that tell nothing."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _pay(to: Amounts, currency: str, amount: Decimal) -> None:
    to[currency] = to.get(currency, _NOTHING) + amount
