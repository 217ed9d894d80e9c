"""What a check of a run directory found, and whether the run can be relied on."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any

from batchrun.core.classes import slotted, value
from batchrun.core.ledger.statement import Statement


@value
class Finding:
    """One thing that is not as it should be."""

    place: str
    """The file, within the run directory, and the line where it is of one."""
    what: str
    damage: bool = True
    """Whether something is wrong with what is held; otherwise it is told, and no harm."""
    mended: bool = False
    by_hand: bool = False
    """Whether no repair mends it."""


@slotted
class Checked:
    """What a check found."""

    directory: Path
    run: str
    findings: list[Finding] = field(default_factory=list)
    statement: Statement | None = None
    """Of what is whole."""
    lines: int = 0

    @property
    def whole(self) -> bool:
        """Whether the run can be relied on as it stands now."""
        return all(finding.mended or not finding.damage for finding in self.findings)

    @property
    def can_be_mended(self) -> bool:
        """Whether a repair would mend any of the damage."""
        return any(finding.damage and not finding.mended and not finding.by_hand for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the whole, as ``check --json`` prints it."""
        told = [
            {"place": each.place, "what": each.what, "damage": each.damage, "mended": each.mended} for each in self.findings
        ]  # fmt: skip
        total = self.statement.total().as_json() if self.statement else None
        return {"run": self.run, "whole": self.whole, "lines": self.lines, "findings": told, "total": total}
