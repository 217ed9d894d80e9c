"""Every row is found once: by ordinal, by id, and in its lane."""

from array import array
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows.index import MAX_FILES, Duplicate, Index, Position, occurrence_id, packed
from batchrun.core.rows.names import id_digest, row_crc, row_crcs
from tests.steps import lines_run

NAMES = st.tuples(st.sampled_from(["legal", "marketing", ""]), st.text(max_size=4))


def colliding(workspace: str, row_id: str) -> int:
    """Digest names so badly that most of them collide."""
    return len(workspace + row_id) % 3


def short_ones_collide(workspace: str, row_id: str) -> int:
    """Digest short names badly, and others as they are."""
    return colliding(workspace, row_id) if len(row_id) < 3 else id_digest(workspace, row_id)


@given(st.lists(NAMES, unique=True), NAMES)
def test_what_was_added_is_found_and_nothing_else(names, other):
    index = Index()
    for number, (workspace, row_id) in enumerate(names):
        assert index.add((workspace, "m"), row_id, number * 7, packed(number, number << 20)) == number
    assert [index.find(*name) for name in names] == list(range(len(names)))
    assert [index.digest(n) for n in range(len(index))] == [n * 7 for n in range(len(names))]
    assert [index.position(n) for n in range(len(index))] == [Position(n, n << 20) for n in range(len(names))]
    assert (index.find(*other) is None) == (other not in names)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"))))
def test_each_lane_holds_its_rows_in_input_order(lanes):
    index = Index()
    for number, (workspace, model) in enumerate(lanes):
        index.add((workspace, model), str(number), 0, 0)
    expected: dict[tuple[str, str], list[int]] = {}
    for number, lane in enumerate(lanes):
        expected.setdefault(lane, []).append(number)
    assert {lane: list(ordinals) for lane, ordinals in index.lanes.items()} == expected
    assert index.counts() == {lane: len(ordinals) for lane, ordinals in expected.items()}


def test_twenty_thousand_rows_are_found_after_the_table_has_grown():
    index = Index()
    for number in range(20_000):
        index.add(("w", "m"), f"t-{number}", number, number)
    assert [index.find("w", f"t-{number}") for number in range(20_000)] == list(range(20_000))
    assert all(index.find("w", f"x-{number}") is None for number in range(20_000))


def test_the_last_file_and_the_last_byte_have_a_position():
    index = Index()
    index.add(("w", "m"), "t", 2**64 - 1, packed(MAX_FILES - 1, 2**48 - 1))
    assert index.position(0) == Position(MAX_FILES - 1, 2**48 - 1)
    assert index.digest(0) == 2**64 - 1


def test_an_id_given_twice_names_the_row_that_has_it_and_adds_nothing():
    index = Index()
    index.add(("legal", "m"), "t-1", 1, 0)
    index.add(("marketing", "m"), "t-1", 2, 10)
    assert index.add(("marketing", "other"), "t-1", 3, 20) == Duplicate(of=1)
    assert len(index) == 2
    assert index.counts() == {("legal", "m"): 1, ("marketing", "m"): 1}


@given(st.lists(NAMES, unique=True, min_size=4, max_size=30))
def test_ids_that_share_a_digest_are_all_kept_and_found(names):
    index = Index(colliding)
    for number, (workspace, row_id) in enumerate(names):
        added = index.add((workspace, "m"), row_id, number, number)
        if isinstance(added, Duplicate):
            assert added.of < number
            added = index.add_twin((workspace, "m"), row_id, number, number)
        assert added == number
    assert [index.find(*name) for name in names] == list(range(len(names)))
    assert [index.add((workspace, "m"), row_id, 0, 0) for workspace, row_id in names if colliding(workspace, row_id) == 0] == [
        Duplicate(of=number) for number, name in enumerate(names) if colliding(*name) == 0
    ]


def test_a_twin_is_known_again_after_the_table_has_grown():
    index = Index(lambda workspace, row_id: 5 if row_id in {"a", "b"} else id_digest(workspace, row_id))
    index.add(("w", "m"), "a", 0, 0)
    assert index.add(("w", "m"), "b", 0, 0) == Duplicate(of=0)
    index.add_twin(("w", "m"), "b", 0, 0)
    for number in range(2000):
        index.add(("w", "m"), f"t-{number}", 0, 0)
    assert (index.find("w", "a"), index.find("w", "b")) == (0, 1)
    assert index.add(("w", "m"), "b", 0, 0) == Duplicate(of=1)


def test_repeats_of_a_made_id_are_numbered_by_occurrence():
    index = Index()
    order = ["r-a", "r-b", "r-a", "r-a", "r-b"]
    assert [index.add_made(("w", "m"), made, 0, 0) for made in order] == [0, 1, 2, 3, 4]
    assert [occurrence_id(made, index.occurrence(n)) for n, made in enumerate(order)] == ["r-a", "r-b", "r-a-2", "r-a-3", "r-b-2"]
    assert [index.find("w", each) for each in ("r-a", "r-a-2", "r-a-3", "r-b-2", "r-b-3")] == [0, 2, 3, 4, None]


def test_a_row_that_repeats_is_noted_as_quickly_however_often_it_did():
    def lines(times: int) -> int:
        index = Index()
        return lines_run(lambda: [index.add_made(("w", "m"), "r-a", 0, 0) for _ in range(times)], "rows/index.py")

    assert lines(400) < 2.5 * lines(200)


def test_a_made_id_steps_over_the_same_id_brought_by_another_row():
    index = Index()
    index.add(("w", "m"), "r-a-2", 0, 0)
    assert [index.add_made(("w", "m"), "r-a", 0, 0) for _ in range(3)] == [1, 2, 3]
    assert [index.occurrence(n) for n in range(4)] == [1, 1, 3, 4]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.text(max_size=2)), max_size=40), st.integers(0, 100))
def test_an_index_made_of_its_parts_is_the_same_index(rows, expected):
    index = Index(short_ones_collide)
    index.expect(expected)
    known: set[tuple[str, str]] = set()
    for number, (workspace, model, row_id) in enumerate(rows):
        if row_id == "":
            index.add_made((workspace, model), "r-made", number, number)
        elif isinstance(index.add((workspace, model), row_id, number, number), Duplicate) and (workspace, row_id) not in known:
            index.add_twin((workspace, model), row_id, number, number)
        known.add((workspace, row_id))
    told, arrays = index.parts()
    assert Index.shape(told) == [(each.typecode, len(each)) for each in arrays]
    again = Index.of_parts(told, arrays, short_ones_collide)
    names = [(workspace, row_id or "r-made") for workspace, _, row_id in rows]
    assert [again.find(*name) for name in names] == [index.find(*name) for name in names]
    assert again.parts() == index.parts()
    assert [again.occurrence(n) for n in range(len(again))] == [index.occurrence(n) for n in range(len(index))]


ROWS = st.lists(st.tuples(NAMES, st.sampled_from(["qwen-plus", "max"])), max_size=40)


@given(ROWS, st.integers(1, 9), st.sampled_from([id_digest, colliding, short_ones_collide]))
def test_rows_that_are_added_together_are_those_that_are_added_one_by_one(rows, together, digest_of):
    alone, many = Index(digest_of), Index(digest_of)
    for number, ((workspace, row_id), model) in enumerate(rows):
        alone.add((workspace, model), row_id, number, 3 * number)
    numbers = [*range(len(rows))]
    while numbers:
        some, numbers = numbers[:together], numbers[together:]
        named = [((rows[each][0][0], rows[each][1]), rows[each][0][1]) for each in some]
        lanes, row_ids = [lane for lane, _ in named], [row_id for _, row_id in named]
        noted = many.add_named(lanes, many.names_of(lanes, row_ids), array("Q", some), array("Q", [3 * number for number in some]))
        # The one that is a duplicate, which whoever adds them looks at.
        numbers = some[noted + 1 :] + numbers
    assert many.parts() == alone.parts()
    assert [many.find(*name) for name, _ in rows] == [alone.find(*name) for name, _ in rows]


def test_rows_that_are_added_together_find_room_however_many_they_are():
    index = Index()
    lanes, ids = [("legal", "qwen-plus")] * 5000, [f"t-{number}" for number in range(5000)]
    assert index.add_named(lanes, index.names_of(lanes, ids), array("Q", range(5000)), array("Q", range(5000))) == 5000
    assert [index.find("legal", row_id) for row_id in ids] == [*range(5000)]


def test_a_row_costs_forty_bytes_at_the_most():
    index = Index()
    for number in range(30_000):
        index.add(("w", "m"), f"t-{number}", number, number)
        if number % 1000 == 0 and number:
            assert _bytes(index) / len(index) <= 40


def _bytes(index: Index) -> int:
    return sum(len(each) * each.itemsize for each in index.parts()[1]) + index._by_name.table_bytes


def test_no_rows_name_is_zero_which_stands_for_none():
    of_none = "r-acaccccaaacacccaccaaaaaaccacaaacaaaaaaaa"
    assert crc32(b"legal\0" + of_none.encode()) == 0
    assert (row_crc("legal", of_none), [*row_crcs("legal", [of_none.encode(), b"r-1"])]) == (1, [1, row_crc("legal", "r-1")])
