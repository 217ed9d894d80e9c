"""What a run has to do of one workspace and model, and within which bounds: what lanes are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from batchrun.core.classes import value
from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.core.money.budget import Purse


def _one_token(_ordinal: int) -> float:
    return 1.0


@value
class LanePlan:
    """What one lane has to do, and within which bounds."""

    workspace: str
    model: str
    account: str
    rows: Iterable[int]
    """Ordinals of the rows left to do, drawn one by one."""
    count: int
    concurrency: int
    """Slots of the workspace, shared by its lanes; equal for all lanes of a workspace."""
    lane_concurrency: int | None = None
    """Slots of this lane alone."""
    pool: str | None = None
    """The quota it shares with other lanes; that of its account and model where this is None."""
    weight: float = 1.0
    """Its share of the pool, against the other lanes' weights."""
    tokens: Callable[[int], float] = _one_token
    """What a row (by its ordinal) is expected to cost."""
    quota: Quota = NO_QUOTA
    """The lane's own."""
    workspace_quota: Quota = NO_QUOTA
    """Of all its workspace's lanes together; equal for all of them."""
    pool_quota: Quota = NO_QUOTA
    """Equal for all lanes of the pool."""
    has_rates: bool = True
    """Its provider counts attempts and tokens; else whatever is refused is for want of capacity."""
    purses: tuple[Purse, ...] = ()
    """The budgets that its attempts are paid from."""
    endpoint: str = ""
    """Where its rows are sent."""
    answered_by: str | None = None
    """The endpoint that had answered some of its rows when an earlier opening ended; None where none had."""

    @property
    def pool_name(self) -> str:
        """Name the pool."""
        return f"{self.account} {self.model}" if self.pool is None else self.pool
