"""Two inputs compared by their indexes."""

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows.index import Index
from batchrun.core.rows.since import MOST_READ, Moved, Since, retagged, since

WORKSPACES = ("legal", "sales")
INPUTS = st.dictionaries(
    st.tuples(st.sampled_from(WORKSPACES), st.integers(0, 30).map(str)), st.tuples(st.sampled_from("mn"), st.integers(0, 2))
)


def index_of(rows):
    index = Index()
    for (workspace, row_id), (model, text) in rows.items():
        index.add((workspace, model), row_id, hash((workspace, model, text)) & 0xFFFF, 0)
    return index


def names(rows):
    return {workspace for workspace, _ in rows}


@given(INPUTS, INPUTS, st.sets(st.sampled_from(WORKSPACES)))
def test_what_came_went_and_was_edited_is_what_a_look_at_every_row_finds(before, now, same):
    there = before.keys() & now.keys()
    expected = Since(
        added=len(now.keys() - before.keys()),
        taken_out=len(before.keys() - now.keys()),
        edited=sum(before[row] != now[row] for row in there if row[0] in same),
        not_known=sum(row[0] not in same for row in there),
        went=tuple(name for name in sorted(WORKSPACES) if name in names(before) and name not in names(now)),
        came=tuple(name for name in sorted(WORKSPACES) if name in names(now) and name not in names(before)),
    )
    assert since(index_of(before), index_of(now), same) == expected
    assert since(index_of(before), index_of(before), WORKSPACES) == Since()


def test_what_cannot_be_told_is_said():
    told = (
        "1,000 rows added, 0 taken out, 2 edited; 3 others are asked under other settings now: whether their lines were edited is not known"
    )
    assert str(Since(1000, 0, 2, 3)) == told
    one = "1 row added, 0 taken out, 0 edited; 1 other is asked under other settings now: whether its line was edited is not known"
    assert str(Since(1, 0, 0, 1)) == one


@given(INPUTS, INPUTS)
def test_rows_that_name_another_workspace_now_are_those_of_the_same_id_that_came_in_one_and_went_in_another(before, now):
    ids = [row_id for _, row_id in now]
    expected = [
        Moved(was, other, count)
        for was, other in (WORKSPACES, WORKSPACES[::-1])
        if (count := sum((was, each) in before.keys() - now.keys() for of, each in now.keys() - before.keys() if of == other))
    ]
    found = retagged(index_of(before), index_of(now), ids.__getitem__)
    assert sorted(found) == sorted(expected)


def test_of_many_rows_that_came_some_are_read():
    read: list[int] = []

    def id_of(ordinal):
        read.append(ordinal)
        return str(ordinal)

    rows = {("sales", str(number)): ("m", 0) for number in range(3 * MOST_READ)}
    before = index_of({("legal", row_id): what for (_, row_id), what in rows.items()})
    assert retagged(before, index_of(rows), id_of) == (Moved("legal", "sales", MOST_READ),)
    assert len(read) == MOST_READ
