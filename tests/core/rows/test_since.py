"""Two inputs compared by their indexes."""

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows.index import Index
from batchrun.core.rows.since import Since, since

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
