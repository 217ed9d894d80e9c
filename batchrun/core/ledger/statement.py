"""What a run has done and spent so far: rows, calls, tokens and money by workspace and model, and by what else was asked.

`fold.py` makes it of the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from batchrun.core.classes import slotted
from batchrun.core.ledger.attribution import LANE, Attribution, Groups
from batchrun.core.ledger.totals import Totals
from batchrun.core.natural import natural


@slotted
class Statement:
    """What a run has done and spent so far."""

    run: str
    name: str
    lanes: dict[tuple[str, str], Totals] = field(default_factory=dict)
    rejected_input: int = 0
    """Input lines that were no row."""
    unreadable_attempts: int = 0
    """Lines of attempts.log that could not be read: calls and doubt may be higher by as many."""
    unlogged_answers: int = 0
    """Of which attempts.log does not tell that they were called: calls and doubt may be higher, by how much nobody knows."""
    openings_again: int = 0
    """Openings that attempts.log tells of again, being put together of parts that overlap: calls, retries and doubt are too high."""
    under_way: int = 0
    """Of the runs that it is of, those that a process was carrying out while they were read."""
    attribution: Attribution = field(default_factory=lambda: Groups().attribution)
    """By workspace, model and what else was asked; without the rows that are pending."""

    def by(self, names: Iterable[str]) -> Attribution:
        """Add up by *names*, in their order; raises ValueError for one that was not asked when the ledger was read."""
        wanted = tuple(names)
        if set(wanted) <= set(LANE):
            return Attribution(LANE, self.attribution.zone, {(*lane,): totals for lane, totals in self.lanes.items()}).collapsed(wanted)
        return self.attribution.collapsed(wanted)

    def add(self, other: Statement) -> None:
        """Add another run's, folded by the same names; which run this is of stays as it is."""
        for lane, totals in other.lanes.items():
            self.lane(*lane).add(totals)
        self.lanes = in_order(self.lanes)
        self.rejected_input += other.rejected_input
        self.unreadable_attempts += other.unreadable_attempts
        self.unlogged_answers += other.unlogged_answers
        self.openings_again += other.openings_again
        self.under_way += other.under_way
        self.attribution.add(other.attribution)

    def lane(self, workspace: str, model: str) -> Totals:
        """Return the totals of one workspace and model, begun where there are none."""
        return self.lanes.setdefault((workspace, model), Totals())

    def workspaces(self) -> list[str]:
        """List the workspaces by name."""
        return sorted({workspace for workspace, _ in self.lanes}, key=natural)

    def total(self, workspace: str | None = None) -> Totals:
        """Add up one workspace, or all. Of each of many, `of_workspaces` tells in one go."""
        return _sum(totals for (name, _), totals in self.lanes.items() if workspace is None or name == workspace)

    def of_workspaces(self) -> dict[str, tuple[Totals, dict[str, Totals]]]:
        """Add up every workspace, by name: the whole, and what it is made of, by model."""
        found: dict[str, dict[str, Totals]] = {}
        for workspace, model in in_order(self.lanes):
            found.setdefault(workspace, {})[model] = self.lanes[workspace, model]
        return {workspace: (_sum(models.values()), models) for workspace, models in found.items()}

    def workspaces_json(self, before: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Return each workspace's part, as its usage.json holds it; nothing of the others is in it.

        One of those *before* of which nothing is left, neither rows nor calls, is told so.
        """
        parts = {**dict.fromkeys(before, (Totals(), {})), **self.of_workspaces()}
        return {
            workspace: {
                "run": self.run,
                "name": self.name,
                "workspace": workspace,
                "total": total.as_json(),
                "models": {model: totals.as_json() for model, totals in models.items()},
            }
            for workspace, (total, models) in parts.items()
        }

    def as_json(self) -> dict[str, Any]:
        """Return the whole, as ``report --json`` prints it."""
        return {
            "run": self.run,
            "name": self.name,
            "rejected_input": self.rejected_input,
            "unreadable_attempts": self.unreadable_attempts,
            "unlogged_answers": self.unlogged_answers,
            "openings_again": self.openings_again,
            "under_way": bool(self.under_way),
            "total": self.total().as_json(),
            "workspaces": self.workspaces_json(),
        }


def in_order(lanes: Mapping[tuple[str, str], Totals]) -> dict[tuple[str, str], Totals]:
    """*lanes* as a person looks for them."""
    return dict(sorted(lanes.items(), key=lambda each: (natural(each[0][0]), natural(each[0][1]))))


def _sum(parts: Iterable[Totals]) -> Totals:
    total = Totals()
    for totals in parts:
        total.add(totals)
    return total
