"""Merges by likeness alone are named, the weakest first."""

from __future__ import annotations

import pyarrow as pa

from nurture_rl.appraisal.health.finding import LOOK
from nurture_rl.appraisal.health.people_health import people_health
from nurture_rl.logs.merges import MERGES


def merge(
    left: str, right: str, by: str, probability: float | None, kept: bool = True
) -> dict[str, object]:
    return {
        "left": left,
        "right": right,
        "contact_id": left if kept else None,
        "by": by,
        "probability": probability,
        "keys": [],
        "levels": ["name: same"],
        "known_at": None,
    }


def test_the_weakest_merges_are_shown_and_forbidden_ones_do_not_count() -> None:
    rows = [merge(f"a{i}", f"b{i}", "likely", 0.999 - i / 1000) for i in range(5)]
    rows += [merge("k", "l", "key", None), merge("x", "y", "likely", 0.95, kept=False)]
    (found,) = people_health(pa.Table.from_pylist(rows, schema=MERGES), 40)
    assert (found.kind, found.severity) == ("likely merges", LOOK)
    assert found.says == (
        "5 of 6 (83.3 %) merges, in a log of 40 contacts, rest on likeness and no shared key; the "
        "weakest: a4 and b4 at 0.995 (name: same); a3 and b3 at 0.996 (name: same); a2 and b2 at "
        "0.997 (name: same)"
    )


def test_merges_by_keys_are_no_finding() -> None:
    rows = [merge("k", "l", "key", None), merge("x", "y", "likely", 0.95, kept=False)]
    assert list(people_health(pa.Table.from_pylist(rows, schema=MERGES), 2)) == []
