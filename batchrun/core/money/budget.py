"""May another attempt be afforded: what was spent and what is promised, against a cap in money or tokens.

An attempt is promised at its upper bound before it is sent, and settled after at what it cost; one that nobody can tell the cost of
stays at its bound. So however many are under way at once, what is spent is never more than the cap. A lane whose next row is more than
what is left waits for what is under way: that may cost less than was promised. Where nothing is, or that would not be enough, the row can
not be afforded: it stands aside, and others of its lane that may cost less go on. A lane of which no other row is left parks.

A purse is shared by all lanes that its cap is about. A cap of the run is one page; one that comes anew with each day or month has a page
for each, and an attempt is paid from the page of the moment when it was sent, whenever it ends, at the prices of that moment, as the ledger
tells them. Such a cap is shared with other runs: a page may spend what the books lent this process (`core/money/books.py`), and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from batchrun.core.classes import value
from batchrun.core.ledger.attempts import ASSUMED_OUTPUT_TOKENS, Bound
from batchrun.core.ledger.brought_in import MOST_TOKENS_OF_FILES, MOST_TOKENS_OF_TOOLS
from batchrun.core.model import Failure, Fault, Scope, Usage
from batchrun.core.money.periods import ALWAYS, Period, Span

TOKENS = "tokens"
"""The unit of a cap that is not in money."""
WARNED_AT = (Decimal("0.5"), Decimal("0.8"), Decimal("0.95"))
"""Shares of a cap that are told when they are spent."""

_NOTHING = Decimal(0)


@value
class Cap:
    """What may be spent."""

    name: str
    """Whose, in the words of the job file."""
    amount: Decimal
    unit: str
    """``tokens``, or a currency."""
    period: Period | None = None
    """None: of the run."""
    whose: str = ""
    """Of a cap with a period: what the books know it by, in every run."""
    rehearsed: bool = False
    """It is about calls that a simulator answers: they are no money, and leave what real ones may spend alone."""
    max_tokens: int | None = None
    """What budgets put into all of its rows that set none."""

    def key(self, page: str) -> str:
        """What the books call a page of this cap."""
        return f"{'rehearsed ' if self.rehearsed else ''}{self.whose} | {self.unit} | {self.period} | {page}"

    @property
    def told(self) -> str:
        """How much, and how often."""
        return told(self.amount, self.unit) + (f" {self.period}" if self.period else "")

    def __str__(self) -> str:
        return f"{self.name} = {self.told}"


LaneKey = tuple[str, str]
"""Workspace and model."""
Cost = Callable[[LaneKey, int, int, float], Decimal | None]
"""What so many input and output tokens of a lane cost at the most, in the cap's unit, of a call that begins at a wall time; None where
that is unknown."""
Spent = Callable[[LaneKey, Usage, float], Decimal | None]
"""What a call of a lane cost that began at a wall time."""


def tokens_at_most(_lane: LaneKey, input_tokens: int, output_tokens: int, _at: float) -> Decimal:
    """Count tokens."""
    return Decimal(input_tokens + output_tokens)


def tokens_of(_lane: LaneKey, usage: Usage, _at: float) -> Decimal:
    """Count tokens."""
    return Decimal(usage.input_tokens + usage.output_tokens)


@dataclass(slots=True, eq=False)
class Page:
    """One day or month of a cap, or the whole of a run's."""

    span: Span
    allowed: Decimal
    """What this process may spend and promise in all."""
    spent: Decimal = _NOTHING
    in_doubt: Decimal = _NOTHING
    """Of what is spent, what nobody knows to be: calls in doubt, at the most."""
    promised: Decimal = _NOTHING
    """At the most, by what is under way."""
    others: Decimal = _NOTHING
    """What other runs have taken, when the books were last looked into."""
    others_hold: Decimal = _NOTHING
    """Of that, what they have not spent, and may give back."""
    withheld: str = ""
    """Why nothing more is lent of it, where that is not for its being spent."""
    contested: bool = False
    """Other runs hold some of it for calls to come, and may give it back."""
    refused_at: float = -math.inf
    """When nothing more was lent, in wall time."""
    warned: Decimal = _NOTHING
    """The largest of WARNED_AT that was told."""

    @property
    def left(self) -> Decimal:
        """What nobody has spent or been promised; below nothing where an earlier opening overspent a cap that was lowered since."""
        return self.allowed - self.spent - self.promised

    @property
    def taken(self) -> Decimal:
        """What this run has spent, and others have taken."""
        return self.spent + self.others

    @property
    def spent_by_all(self) -> Decimal:
        """What this and other runs have spent, as far as these had written down."""
        return self.taken - self.others_hold

    def by_doubt(self, unit: str) -> str:
        """What of it nobody knows to be spent, to be said behind what is; nothing where there is none."""
        return f", {told(self.in_doubt, unit)} of it at the most by calls in doubt" if self.in_doubt else ""

    def held(self, unit: str) -> str:
        """What other runs hold beside it, to be said behind all else; nothing where they hold none."""
        return f", {told(self.others_hold, unit)} more held by other runs for their calls" if self.others_hold else ""

    def whose(self, unit: str) -> str:
        """What of it was not spent by answers of this run, to be said behind what is."""
        by_others = self.others - self.others_hold
        spent = f", {told(by_others, unit)} of it by other runs" if by_others else ""
        return f"{spent}{self.by_doubt(unit)}{self.held(unit)}"


class Promise(NamedTuple):
    """What was set aside for an attempt, and where."""

    page: Page
    amount: Decimal
    at: float
    """The wall time at which it was sent."""


@dataclass(slots=True, eq=False)
class Purse:
    """What is left of one cap."""

    cap: Cap
    most: Cost = tokens_at_most
    cost: Spent = tokens_of
    pages: dict[str, Page] = field(default_factory=dict)
    _now: Page = field(default_factory=lambda: Page(Span("", 0.0, 0.0), _NOTHING))

    def page(self, at: float) -> Page:
        """The page of a moment, begun where there is none."""
        if self._now.span.starts <= at < self._now.span.ends:
            return self._now
        span = self.cap.period.around(at) if self.cap.period else ALWAYS
        allowed = _NOTHING if self.cap.period else self.cap.amount
        self._now = self.pages.setdefault(span.name, Page(span, allowed))
        return self._now

    def price(self, lane: LaneKey, most: Bound, at: float) -> Decimal | None:
        """What an attempt that is sent at a moment costs at the most; None where that is unknown."""
        return self.most(lane, most.input_tokens, most.output_tokens, at)

    def settle(self, lane: LaneKey, promise: Promise, usage: Usage | None, *, in_doubt: bool) -> None:
        """Spend what an attempt cost that was promised so much: its bound, where nobody can tell."""
        page, promised, at = promise
        page.promised -= promised
        cost = self.cost(lane, usage, at) if usage is not None else None
        if cost is None:
            cost = promised if in_doubt or usage is not None else _NOTHING
            page.in_doubt += cost if in_doubt else _NOTHING
        page.spent += cost

    def warning(self, at: float) -> Decimal | None:
        """The share of WARNED_AT that is spent at a moment and was not told yet."""
        page = self.page(at)
        share = max((each for each in WARNED_AT if page.spent_by_all >= each * self.cap.amount), default=_NOTHING)
        if share <= page.warned:
            return None
        page.warned = share
        return share


@value
class Lack:
    """Why an attempt can not be afforded."""

    purse: Purse
    page: Page
    price: Decimal | None
    """None where it is unknown."""
    asked: int = 0
    """Its input tokens at the most."""
    answered: int = 0
    """Its output tokens at the most."""

    @property
    def may_think(self) -> bool:
        """Whether more output is taken than an answer has that nothing bounds: what a model thinks is in it, too."""
        return self.answered > ASSUMED_OUTPUT_TOKENS

    @property
    def may_pass(self) -> bool:
        """Whether what is under way, here or in other runs, may leave enough."""
        if self.price is None or not (self.page.promised or self.page.contested):
            return False
        return self.price <= self.purse.cap.amount - self.page.spent

    @property
    def is_taken(self) -> bool:
        """Whether this and other runs have taken what it needs; otherwise it was not lent."""
        return self.price is None or self.price > self.spendable - self.page.promised

    @property
    def spendable(self) -> Decimal:
        """What there would be at the most for a row if all that is under way here cost nothing."""
        return self.purse.cap.amount - self.page.taken


def promise_all(purses: tuple[Purse, ...], lane: LaneKey, most: Bound, at: float = 0.0) -> tuple[Promise, ...] | Lack:
    """Set the bound of an attempt that is sent at a moment aside in every one of *purses*, or in none."""
    promised, lacks = [], []
    for purse in purses:
        price, page = purse.price(lane, most, at), purse.page(at)
        if price is None or price > page.left:
            lacks.append(Lack(purse, page, price, *most))
        else:
            page.promised += price
            promised.append(Promise(page, price, at))
    if not lacks:
        return tuple(promised)
    for promise in promised:
        promise.page.promised -= promise.amount
    # Of what others could have left, nothing is lent for a call that another budget cannot pay.
    return next((lack for lack in lacks if lack.is_taken), next((lack for lack in lacks if lack.may_pass), lacks[0]))


def broke(lack: Lack, model: str) -> Failure:
    """What parks a lane that can not afford its next row."""
    cap, page = lack.purse.cap, lack.page
    if lack.price is None:
        return Failure(Fault.PARK, Scope.LANE, "no_price", f"{cap}: {model} has no price in {cap.unit}", price_wanted(model))
    if page.withheld:
        return Failure(Fault.PARK, Scope.LANE, "budget_uncounted", page.withheld, "then run the same command again")
    spent = f"{told(page.spent_by_all, cap.unit)} spent{page.whose(cap.unit)}"
    message = f"{cap}: {spent}; the next row may cost {told(lack.price, cap.unit)}{''.join(_why_so_much(lack))}"
    return Failure(Fault.PARK, Scope.LANE, "budget_spent", message, _ways_out(lack))


def price_wanted(model: str) -> str:
    """What to do about a model without a price in its budget's currency: one in another would be no price of the provider's."""
    own = f"name the currency that {model} is priced in as the budget's, if it is priced (batchrun prices)"
    return f"{own}; else give it a price in [prices], or say in the budget what an unpriced model counts as"


def _why_so_much(lack: Lack) -> Iterator[str]:
    if lack.asked >= MOST_TOKENS_OF_TOOLS:
        files, tools = f"{MOST_TOKENS_OF_FILES:,}", f"{MOST_TOKENS_OF_TOOLS:,}"
        brought_in = f"uploaded files as {files}, and what the provider searches or runs for it as {tools}"
        yield f", its input being {told(Decimal(lack.asked), TOKENS)} at the most: each byte counts as one, {brought_in}"
    if lack.may_think:
        unbounded = "an answer without max_tokens, and thinking without thinking_budget,"
        yield f", its output being {told(Decimal(lack.answered), TOKENS)} at the most: {unbounded} count as {ASSUMED_OUTPUT_TOKENS:,}"


def _ways_out(lack: Lack) -> str:
    cap = lack.purse.cap
    later = f", or wait for the next {cap.period.per} (--wait goes on by itself)" if cap.period else ""
    less = "set max_tokens, or a lower one: a row without it is taken to be answered at full length"
    if cap.max_tokens is not None:
        less = f"lower max_tokens, which budgets set to {cap.max_tokens:,} where a row sets none"
    thinking = "; where the model thinks, thinking_budget too, for max_tokens does not bound that" if lack.may_think else ""
    return f"raise the budget{later}, or {less}{thinking}; then run the same command again"


def told(amount: Decimal, unit: str) -> str:
    """An amount as a person reads it; money that is less than the fourth place shows to two digits, for what costs something is not 0."""
    if unit == TOKENS:
        return f"{amount:,.0f} tokens"
    places = 4 if not amount or amount.adjusted() >= -4 else 1 - amount.adjusted()
    return f"{amount:,.{places}f}".rstrip("0").rstrip(".") + f" {unit}"
