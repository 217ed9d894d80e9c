"""Classes that are what their fields are: dataclasses, made in less than half the time that Python's own take.

Each method that `dataclass` writes for a class is compiled anew whenever a process begins, and batchrun has two hundred classes: it was a
fifth of what ``batchrun run`` takes to be read in. Here that is done for ``__init__`` alone. All classes share how they are shown, and how
they are told apart and hashed is a function that is given the names of their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_T]) -> type[_T]:
    """Make a slotted dataclass whose fields nobody may set: a type checker says so."""
    made = dataclass(slots=True, eq=False, repr=False)(cls)
    hashed = [each.name for each in fields(made) if (each.compare if each.hash is None else each.hash)]  # type: ignore[arg-type]
    return _completed(made, cls, __repr__=_shown, __eq__=_equal(made), __hash__=_hash(hashed))


@dataclass_transform(field_specifiers=(field,))
def slotted(cls: type[_T]) -> type[_T]:
    """Make a slotted dataclass."""
    made = dataclass(slots=True, eq=False, repr=False)(cls)
    return _completed(made, cls, __repr__=_shown, __eq__=_equal(made), __hash__=None)


def _completed(made: type[_T], written: type[_T], **methods: Callable[..., Any] | None) -> type[_T]:
    """Give a class those *methods* that it was not *written* with."""
    for name, method in methods.items():
        if vars(written).get(name) is None:
            setattr(made, name, method)
    return made


def _equal(made: type) -> Callable[[Any, object], bool]:
    told = _told([each.name for each in fields(made) if each.compare])

    def equal(self: Any, other: object) -> bool:
        return told(self) == told(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hash(names: Iterable[str]) -> Callable[[Any], int]:
    told = _told(names)
    return lambda self: hash(told(self))


def _told(names: Iterable[str]) -> Callable[[Any], Any]:
    """What an instance is told by: its class stands before its fields, so that they are a tuple however few they are."""
    return attrgetter("__class__", *names)


@recursive_repr()
def _shown(self: Any) -> str:
    told = ", ".join([f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr])
    return f"{self.__class__.__qualname__}({told})"
