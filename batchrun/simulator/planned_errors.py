"""Which error answer a fault of the scenario is: the usual one of its kind, or the one that it names by either dialect's code."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from batchrun.simulator import refusal
from batchrun.simulator.refusal import Refusal, Shape
from batchrun.simulator.refusals import FAILURES, OTHERS, THROTTLES
from batchrun.simulator.scenario import Mishap, PlannedFault

_BY_CODE: dict[str, Refusal] = {}
for _each in chain(THROTTLES.values(), FAILURES.values(), OTHERS):
    for _code in (_each.code, _each.code_for(native=True)):
        _BY_CODE.setdefault(_code, _each)

_OUTPUT_INSPECTION = replace(FAILURES[Mishap.INSPECTION], message="Output data may contain inappropriate content.")
_STANDARD = {
    Mishap.ERROR: FAILURES[Mishap.INTERNAL],
    Mishap.ERROR_IN_200: FAILURES[Mishap.INTERNAL],
    Mishap.MISLABELLED: FAILURES[Mishap.INSPECTION],
    Mishap.STREAM_ERROR: _OUTPUT_INSPECTION,
    Mishap.STREAM_NATIVE_ERROR: THROTTLES[Mishap.TOKEN_QUOTA],
}


def named(fault: PlannedFault) -> Refusal:
    """The error that a planned fault names, by either dialect's code; what it does not say is as the provider has it."""
    known = _STANDARD[fault.kind] if fault.code is None else _BY_CODE.get(fault.code)
    if known is None:
        assert fault.code is not None
        known = refusal.named(400, fault.code, "An error was planned.")
    if fault.message is not None:
        known = replace(known, message=fault.message, native_message="")
    return replace(known, status=fault.status or known.status, shape=Shape(fault.shape) if fault.shape else known.shape)


def refusal_of(fault: PlannedFault) -> Refusal | None:
    """The error answer that a fault is, where it is one and not something that befalls an answer."""
    if fault.kind is Mishap.ERROR:
        return named(fault)
    return THROTTLES.get(fault.kind) or FAILURES.get(fault.kind)
