"""What is made of its fields behaves as Python's own dataclasses do."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.classes import slotted, value


def shape(decorate):
    class Shape:
        """What each of them is made from."""

        told: object
        key: str = field(default="", repr=False)
        seen: int = field(default=0, compare=False)
        more: list[int] = field(default_factory=list, hash=False)

    return decorate(Shape)


Value, Slotted = shape(value), shape(slotted)
Own, OwnMutable = shape(dataclass(slots=True, unsafe_hash=True)), shape(dataclass(slots=True))


@value
class Point:
    x: int
    y: int = 0


@slotted
class Place:
    x: int
    around: list[Place] = field(default_factory=list)


@value
class Nothing:
    """It has no field."""


@value
class Named:
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())

    def __repr__(self) -> str:
        return self.name


# No NaN: from Python 3.13 on dataclasses compare field by field, and not as tuples do, for which a NaN is its own equal.
VALUES = st.one_of(st.none(), st.integers(0, 1), st.just(1.0), st.text(max_size=1))
FIELDS = st.tuples(VALUES, st.sampled_from(["", "sk-fake"]), st.integers(0, 1), st.lists(st.integers(0, 1), max_size=1))


@given(FIELDS, FIELDS)
def test_they_are_shown_told_apart_and_hashed_as_pythons_own_are(some, others):
    for mine, own in ((Value, Own), (Slotted, OwnMutable)):
        assert repr(mine(*some)) == repr(own(*some))
        assert (mine(*some) == mine(*others)) is (own(*some) == own(*others))
        assert mine(*some) != own(*some)
    if Own(*some) == Own(*others):
        assert hash(Value(*some)) == hash(Value(*others))
    assert hash(Value(some[0], more=[1])) == hash(Value(some[0], more=[2]))  # That field is not hashed.


def test_what_may_change_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Slotted(1))


def test_a_class_of_no_fields_is_equal_to_itself_and_to_no_other():
    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing(), Point(1), Point(1, 0), Point(1, 1)}) == 3


@pytest.mark.parametrize("other", [None, (1, 0), Nothing()])
def test_another_class_decides_for_itself_whether_it_is_equal(other):
    assert Point(1) != other
    assert Point(1).__eq__(other) is NotImplemented


def test_what_a_class_says_of_itself_stands():
    assert (Named("A"), hash(Named("A")), repr(Named("A"))) == (Named("a"), hash(Named("a")), "A")


def test_one_that_holds_itself_is_shown():
    place = Place(1)
    place.around.append(place)
    assert repr(place) == "Place(x=1, around=[...])"


def test_they_are_copied_replaced_pickled_and_matched():
    point = Point(1, 2)
    assert replace(point, y=3) == Point(1, 3)
    assert copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize("made", [Value, Slotted])
def test_one_function_alone_is_compiled_for_a_class(made):
    """Five to eight for each of two hundred classes were a fifth of what a run takes to be read in."""
    methods = {name: method for name, method in vars(made).items() if inspect.isfunction(method)}
    assert [name for name, method in methods.items() if method.__code__.co_filename == "<string>"] == ["__init__"]
