"""Columns in which records of one person may not differ."""

from __future__ import annotations

import pyarrow as pa

from nurture_rl.identity.compared_values import KINDS
from nurture_rl.identity.likely_links import LikelyLink, LinkSettings, agreement, default_blocking
from nurture_rl.identity.must_not_differ import given_values

COMPARED = {"first": "name", "zip": "postcode", "phone": "phone"}
RECORDS = pa.table(
    {
        "contact": ["a", "a", "b", "c", "d", "e"],
        "known_at": [0] * 6,
        "first": ["martha", None, "marhta", "bea", "bea", "jim"],
        "zip": ["12345", "12345", "12399", None, "12345", "99999"],
        "phone": ["1"] * 6,
    }
)


def linked(*pairs: tuple[str, str]) -> list[LikelyLink]:
    return [LikelyLink(one, other, 0.9, (), 0) for one, other in pairs]


def test_values_are_alike_where_records_would_agree_at_some_level() -> None:
    settings = LinkSettings(COMPARED, default_blocking(COMPARED), 0.5, frozenset({"first", "zip"}))
    found = given_values(RECORDS, settings, linked(("a", "b"), ("b", "c")))
    assert set(found.of) == {"a", "b", "c"}
    assert found.of["a"] == (frozenset({"martha"}), frozenset({"12345"}))
    assert found.of["c"] == (frozenset({"bea"}), frozenset())
    assert found.alike == {(0, "marhta", "martha"), (1, "12345", "12399")}
    a, b, c = ([found.of[name]] for name in "abc")
    assert not found.differ(a, b)
    assert found.differ(a, c)
    assert found.differ([*a, *c], b)
    assert not found.differ([], b)


def test_a_column_that_is_not_named_may_differ() -> None:
    free = LinkSettings(COMPARED, default_blocking(COMPARED), 0.5)
    assert given_values(RECORDS, free, linked(("a", "c"))).of == {}
    zips = LinkSettings(COMPARED, default_blocking(COMPARED), 0.5, frozenset({"zip"}))
    found = given_values(RECORDS, zips, linked(("a", "d"), ("d", "e")))
    assert not found.differ([found.of["a"]], [found.of["d"]])
    assert found.differ([found.of["a"]], [found.of["e"]])


def test_every_kind_says_when_two_values_agree() -> None:
    for kind in KINDS:
        assert "= r" in agreement(kind, "l", "r")
