"""Who owns a workspace, what it may do now, and what that leaves: keys, authorisations, rate limits, balances and free tokens.

The scenario is where it begins; timed changes, the management routes and every answered call move on from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from batchrun.core.classes import value
from batchrun.simulator.quotas import Caps, Growth, Meter
from batchrun.simulator.scenario import Mishap, Scenario
from batchrun.simulator.tables import ALL_MODELS, AccountQuota, AccountSettings, TimedChange

_MOST_PATIENCE = 600.0
"""Seconds after which the provider's own timeout ends a call (``x-dashscope-timeout``)."""


@value
class Passage:
    """A call that every limit would let through at the moment it was looked at. Nothing is counted yet."""

    meters: tuple[Meter, ...]
    growth: Growth | None
    wait: float
    """Seconds that the provider holds the call back before it goes, for a caller who asked it to."""


class Account:
    """The money and the quotas that several workspaces share."""

    def __init__(self, settings: AccountSettings, price: Decimal, *, in_arrears: bool) -> None:
        self._price = price
        self._overdue = in_arrears
        self._balance = None if settings.balance is None else Decimal(str(settings.balance))
        self._free = dict(settings.free_quota)
        self._free_tier_only = settings.free_tier_only
        self._meters = {model: Meter(Caps.of(quota)) for model, quota in settings.quotas.items()}
        self._growths = {model: growth for model, quota in settings.quotas.items() if (growth := Growth.of(quota))}

    @property
    def in_arrears(self) -> bool:
        """Whether its calls are refused until it is topped up."""
        return self._overdue or (self._balance is not None and self._balance <= 0)

    def top_up(self, balance: float) -> None:
        """Settle what is owed, and leave it with *balance*."""
        self._overdue, self._balance = False, Decimal(str(balance))

    def change_quota(self, model: str, quota: AccountQuota) -> None:
        """Hold the model to another quota from now on."""
        if model in self._meters:
            self._meters[model].change(Caps.of(quota))
        else:
            self._meters[model] = Meter(Caps.of(quota))
        self._growths.pop(model, None)
        if growth := Growth.of(quota):
            self._growths[model] = growth

    def free_tier_is_gone(self, model: str) -> bool:
        """Whether the model is refused because nothing but its free tokens may be used."""
        return self._free_tier_only and model in self._free and self._free[model] <= 0

    def charge(self, model: str, tokens: int) -> None:
        """Take an answer's tokens from the free ones, and its price from the balance for the rest."""
        left = self._free.get(model, 0)
        if left:
            self._free[model] = max(0, left - tokens)
        if self._balance is not None:
            self._balance -= max(0, tokens - left) * self._price / 1000

    def meter(self, model: str) -> Meter | None:
        """What the model is held to, if it is."""
        return self._meters.get(model)

    def growth(self, model: str) -> Growth | None:
        """How quickly calls of the model may grow, if that is limited."""
        return self._growths.get(model)


class Accounts:
    """All the accounts and workspaces of a scenario. A workspace without an account is an account of its own, under its own name."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._price = Decimal(str(scenario.price_per_1k_tokens))
        self._owners = {name: one.account or name for name, one in scenario.workspaces.items()}
        self._overdue = {self._owners[name] for name, one in scenario.workspaces.items() if one.in_arrears}
        self._accounts: dict[str, Account] = {}
        self._limits = {
            (name, model): Meter(Caps.of(limit)) for name, one in scenario.workspaces.items() for model, limit in one.limits.items()
        }
        self._models = {name: frozenset(one.models) for name, one in scenario.workspaces.items() if one.models is not None}
        self._wrong_keys = {name for name, one in scenario.workspaces.items() if one.wrong_key}
        self._changes = deque(sorted(scenario.changes, key=lambda change: change.at))
        self._began: float | None = None

    def tick(self, now: float) -> None:
        """Make the timed changes that are due. The first call begins the scenario's time."""
        if self._began is None:
            self._began = now
        while self._changes and self._began + self._changes[0].at <= now:
            self._make(self._changes.popleft())

    def _make(self, change: TimedChange) -> None:
        if change.account is not None and change.balance is not None:
            self._account(change.account).top_up(change.balance)
        if change.account is not None and change.quotas is not None:
            for model, quota in change.quotas.items():
                self._account(change.account).change_quota(model, quota)
        if change.workspace is not None and change.models is not None:
            self._models[change.workspace] = frozenset(change.models)
        if change.workspace is not None and change.wrong_key is not None:
            (self._wrong_keys.add if change.wrong_key else self._wrong_keys.discard)(change.workspace)

    def owner(self, workspace: str) -> str:
        """The name of the account that owns *workspace*."""
        return self._owners.get(workspace, workspace)

    def account_of(self, workspace: str) -> Account:
        """The account that owns *workspace*."""
        return self._account(self.owner(workspace))

    def _account(self, name: str) -> Account:
        if name not in self._accounts:
            settings = self._scenario.accounts.get(name, AccountSettings())
            self._accounts[name] = Account(settings, self._price, in_arrears=name in self._overdue)
        return self._accounts[name]

    def siblings(self, workspace: str) -> Iterable[str]:
        """The other workspaces of the account that owns *workspace*."""
        owner = self.owner(workspace)
        return (name for name, other in self._owners.items() if other == owner and name != workspace)

    def refuses_key_of(self, workspace: str) -> bool:
        """Whether what is shown as the workspace's key is not its key."""
        return workspace in self._wrong_keys

    def in_arrears(self, workspace: str) -> bool:
        """Whether the workspace's account has nothing left."""
        return self.account_of(workspace).in_arrears

    def authorised(self, workspace: str) -> frozenset[str] | None:
        """The models that the workspace may call; None for every model, those to come included."""
        return self._models.get(workspace)

    def may_call(self, workspace: str, model: str) -> bool:
        """Whether the workspace is authorised for the model."""
        models = self._models.get(workspace)
        return models is None or model in models

    def authorise(self, workspace: str, models: frozenset[str] | None) -> None:
        """Authorise the workspace for these models and no others; None for every model."""
        if models is None:
            self._models.pop(workspace, None)
        else:
            self._models[workspace] = models

    def limit(self, workspace: str, model: str) -> Caps | None:
        """What the workspace has been limited to for the model, beside its account's quota."""
        meter = self._limits.get((workspace, model))
        return None if meter is None else meter.caps

    def set_limit(self, workspace: str, model: str, caps: Caps | None) -> None:
        """Limit the workspace, or lift the limit. A changed limit begins with empty windows; the account's go on."""
        if caps is None:
            self._limits.pop((workspace, model), None)
        elif caps != self.limit(workspace, model):
            self._limits[workspace, model] = Meter(caps)

    def admit(self, workspace: str, model: str, now: float, patience: float = 0.0) -> Mishap | Passage:
        """Say whether a call may go as far as the rate limits and the free tier are concerned. Changes nothing.

        *patience* is how many seconds the caller lets the provider hold it back rather than refuse it for its growth.
        """
        account = self.account_of(workspace)
        if account.free_tier_is_gone(model):
            return Mishap.FREE_TIER
        found = (self._limits.get((workspace, ALL_MODELS)), self._limits.get((workspace, model)), account.meter(model))
        meters = tuple(meter for meter in found if meter is not None)
        for meter in meters:
            if refusal := meter.refuses(now):
                return refusal
        growth = account.growth(model)
        wait = growth.wait(now, patience) if growth else 0.0
        return Mishap.BURST if wait is None else Passage(meters, growth, wait)


def patience(said: str | None) -> float:
    """The seconds that a call's ``X-DashScope-Wait-Timeout`` gives the provider: none, where it says none that can be read."""
    whole = said is not None and said.isascii() and said.isdigit() and len(said) < 10
    return min(float(said), _MOST_PATIENCE) if said is not None and whole else 0.0


def count(passage: Passage, now: float, *, tokens: int = 0, took: float = 0.0) -> Mishap | None:
    """Count a call that was let through at *now*, its tokens (none, where it never reached its model) and the seconds it takes.

    Where the call turns out to cost more tokens than its limits have left, nothing is counted and it is refused after all.
    """
    for meter in passage.meters:
        if tokens and (refusal := meter.refuses(now, tokens)):
            return refusal
    for meter in passage.meters:
        meter.count(now, tokens, now + passage.wait + took)
    if passage.growth is not None:
        passage.growth.count(now)
    return None
