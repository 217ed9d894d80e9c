"""What a forecast tells: how each lane will fare, what limits it and what would help, and what is wrong before anything is spent."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from batchrun.core.classes import value
from batchrun.core.limits.quota import Quota
from batchrun.core.model import Money
from batchrun.core.scheduling.expected import Expected, Foreseen, LaneKey
from batchrun.core.scheduling.holds import Hold, What, Whose
from batchrun.core.scheduling.lane_plan import LanePlan

_DIGITS = Decimal("0.000001")
_SPARE = 1.1
"""Slots for the answers that take longer than most."""


@value
class Prospect:
    """One lane's part of the forecast."""

    workspace: str
    model: str
    rows: int
    """Left to do."""
    input_tokens: int
    output_tokens: int
    seconds: float | None = None
    """Until it is done; None where it would be parked."""
    hold: Hold | None = None
    """What limits it; None where nothing does but the time that answers take."""
    share: float = 0.0
    """Of its time, in which that held it back."""
    help: str = ""
    """What would make it faster."""
    cost: Money | None = None
    """What its tokens cost; None where that is not known."""

    @property
    def key(self) -> LaneKey:
        """Workspace and model."""
        return self.workspace, self.model

    @property
    def limited_by(self) -> str:
        """Name what limits it in a word or two."""
        if self.seconds is None:
            return "parked"
        return "nothing" if self.hold is None else _NAMES.get(self.hold, self.hold.what.value)


_WHOSE = {Whose.LANE: "model", Whose.WORKSPACE: "workspace", Whose.POOL: "account"}
_NAMES = {Hold(whose, what): f"{what} of the {_WHOSE[whose]}" for whose in Whose for what in (What.RPM, What.TPM)} | {
    Hold(Whose.LANE, What.CONCURRENCY): "concurrency of the model",
    Hold(Whose.POOL, What.CONCURRENCY): "concurrency of the account",
}


@value
class Obstacle:
    """What a run would park, or reject."""

    where: str
    rows: int
    said: str
    advice: str


def after(begins_at: datetime, seconds: float) -> datetime | None:
    """When so many seconds are over; None where no calendar goes so far."""
    try:
        return begins_at + timedelta(seconds=seconds)
    except OverflowError:
        return None


@value
class Forecast:
    """What a run would do that is begun at *begins_at*."""

    begins_at: datetime
    lanes: tuple[Prospect, ...]
    obstacles: tuple[Obstacle, ...] = ()
    assumed: tuple[str, ...] = ()
    """What the forecast rests on, for a person."""
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 nothing is wrong, 4 a run would park or reject something."""
        return 4 if self.obstacles else 0

    @property
    def seconds(self) -> float:
        """Until the last lane is done that is not parked."""
        return max((each.seconds for each in self.lanes if each.seconds is not None), default=0.0)

    @property
    def cost(self) -> dict[str, Decimal]:
        """What all rows cost of which that is known, by currency."""
        sums: dict[str, Decimal] = {}
        for each in self.lanes:
            if each.cost is not None:
                sums[each.cost.currency] = sums.get(each.cost.currency, Decimal(0)) + each.cost.amount
        return sums

    @property
    def unpriced_rows(self) -> int:
        """Rows of which it is not known what they cost: they are in no sum."""
        return sum(each.rows for each in self.lanes if each.cost is None)

    def at(self, seconds: float) -> datetime | None:
        """When so many seconds are over; None where no calendar goes so far."""
        return after(self.begins_at, seconds)

    def as_json(self) -> dict[str, Any]:
        """Return it as ``plan --json`` prints it."""
        return {
            "begins_at": self.begins_at.isoformat(timespec="seconds"),
            "finishes_in": round(self.seconds, 1),
            "finishes_at": self._iso(self.seconds),
            "cost": {currency: _amount(amount) for currency, amount in self.cost.items()},
            "unpriced_rows": self.unpriced_rows,
            "lanes": [self._lane_json(each) for each in self.lanes],
            "wrong": [{"where": each.where, "rows": each.rows, "said": each.said, "advice": each.advice} for each in self.obstacles],
            "assumed": list(self.assumed),
            "notes": list(self.notes),
        }

    def _lane_json(self, lane: Prospect) -> dict[str, Any]:
        return {
            "workspace": lane.workspace,
            "model": lane.model,
            "rows": lane.rows,
            "input_tokens": lane.input_tokens,
            "output_tokens": lane.output_tokens,
            "cost": {} if lane.cost is None else {lane.cost.currency: _amount(lane.cost.amount)},
            "limited_by": lane.limited_by,
            "share_of_its_time": round(lane.share, 3),
            "help": lane.help or None,
            "finishes_in": None if lane.seconds is None else round(lane.seconds, 1),
            "finishes_at": None if lane.seconds is None else self._iso(lane.seconds),
        }

    def _iso(self, seconds: float) -> str | None:
        at = self.at(seconds)
        return None if at is None else at.isoformat(timespec="seconds")


def _amount(amount: Decimal) -> str:
    """An estimate's digits beyond these tell nothing."""
    return str(amount.quantize(_DIGITS))


def helps(
    plans: Sequence[LanePlan], expected: Mapping[LaneKey, Expected], tokens: Mapping[LaneKey, float], found: Mapping[LaneKey, Foreseen]
) -> dict[LaneKey, str]:
    """Say of each lane what would make it faster; *tokens* are those of a row of it in the mean."""
    weights: defaultdict[str, list[float]] = defaultdict(list)
    for plan in plans:
        weights[plan.pool_name].append(plan.weight)
    pools = {name: math.fsum(each) for name, each in weights.items()}
    slots: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for plan in plans:
        rate = _most_rows_a_second(plan, pools[plan.pool_name], tokens[plan.workspace, plan.model])
        slots[plan.workspace][plan.model] = rate * expected[plan.workspace, plan.model].latency * _SPARE
    return {(plan.workspace, plan.model): _help(plan, found[plan.workspace, plan.model].limit, slots[plan.workspace]) for plan in plans}


def _help(plan: LanePlan, hold: Hold | None, wanted: Mapping[str, float]) -> str:
    """Say it of one whose workspace has use for so many slots of each model as are *wanted*."""
    workspace = f"workspaces.{plan.workspace}"
    of_model = f'{workspace}.limits."{plan.model}"'
    text = ""
    match hold:
        case Hold(Whose.WORKSPACE, What.CONCURRENCY):
            free = [model for model, count in wanted.items() if count == math.inf]
            of_these = f" for {', '.join(free)}" if len(free) < len(wanted) else ""
            text = _more(f"{workspace}.concurrency", plan.concurrency, math.fsum(wanted.values()), of_these)
        case Hold(Whose.LANE, What.CONCURRENCY):
            now = plan.concurrency if plan.lane_concurrency is None else plan.lane_concurrency
            text = _more(f"{of_model}.concurrency", now, wanted[plan.model])
        case Hold(Whose.POOL, What.RPM | What.TPM as what):
            text = f"ask for more {what} for {plan.model} in account {plan.account}, or give some rows another model"
        case Hold(Whose.POOL, What.CONCURRENCY):
            text = f"the provider takes no more calls of {plan.model} at once in account {plan.account}: give some rows another model"
        case Hold(whose, What.RPM | What.TPM as what):
            text = f"raise {workspace if whose is Whose.WORKSPACE else of_model}.{what}, if the provider gives more"
        case Hold(_, What.THROTTLES):
            text = f"name the rpm and tpm of {plan.model} in the job, if you know them: a limit that is known is kept to"
        case Hold(_, What.WINDOW):
            text = f"widen {workspace}.window, or that of [job] where it has none of its own"
        case Hold(_, What.BUDGET):
            text = f"set max_tokens, or a lower one, in {workspace}: each call at once has the most that it may cost set aside of a budget"
            text += "; thinking_budget bounds what is thought"
    return text


def _more(where: str, slots: int, wanted: float, of_these: str = "") -> str:
    if wanted == math.inf:
        return f"raise {where} above {slots:,}: it is the only limit that is known{of_these}"
    return f"raise {where} from {slots:,} to about {math.ceil(wanted):,}: then its quota is what limits" if wanted > slots + 1 else ""


def _most_rows_a_second(plan: LanePlan, pool: float, a_row: float) -> float:
    """What the lane's quotas let through of rows of so many tokens, its *pool*'s by its share of the weights of those that have rows."""
    own = min(_rows_a_second(quota, a_row) for quota in (plan.quota, plan.workspace_quota))
    return min(own, _rows_a_second(plan.pool_quota, a_row) * plan.weight / pool)


def _rows_a_second(quota: Quota, tokens: float) -> float:
    by_calls = math.inf if quota.rpm is None else quota.rpm / 60.0
    by_tokens = math.inf if quota.tpm is None else quota.tpm / 60.0 / max(1.0, tokens)
    return min(by_calls, by_tokens)
