"""Bad endpoints beside good ones, in one run: every row has its answer or its reason, and no memory is taken."""

from __future__ import annotations

from tests.faults import children
from tests.faults.isolation import HEALTHY, TROUBLES, bad_kinds, carried_out, misread


def test_workspaces_whose_endpoints_have_lost_their_way_take_no_answer_and_no_memory_from_the_others(tmp_path):
    bad = list(bad_kinds(TROUBLES))
    (tmp_path / "alone").mkdir()
    (tmp_path / "beside").mkdir()
    with children.server("-m", "tests.faults.endpoints") as where:
        alone = carried_out(tmp_path / "alone", where["port"], [], 20)
        beside = carried_out(tmp_path / "beside", where["port"], bad, 20)
    assert (alone.exit_code, beside.exit_code) == (0, 4)
    assert beside.answered == alone.answered == dict.fromkeys(HEALTHY, 20)
    assert misread(bad, beside.became) == {}
    assert beside.most_mib - alone.most_mib < 64


def test_what_a_command_had_in_memory_is_told_of_itself_and_not_of_who_asks(tmp_path):
    own = bytearray(b"x") * (200 << 20)
    code, most_mib = children.measured(tmp_path, "--version", keys={})
    assert (code, 10 < most_mib < len(own) >> 20) == (0, True)
