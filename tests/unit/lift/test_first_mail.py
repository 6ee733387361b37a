"""Who was mailed first of all, or would have been, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.lift.enrolled import LogTables
from nurture_rl.lift.first_mail import first_mailed
from tests.unit.lift.small_programme import contact, decision, log, plan

SHARES = {"policy": 0.4, "usual": 0.5, "holdout": 0.1}


def life(name: str, arm: str, *acts: str, day: float = 0.0) -> list[dict[str, Any]]:
    """A decision a day."""
    whole = enumerate(acts)
    return [{**decision(name, arm, day + i, i), "action": act} for i, act in whole]


def ghosts(**of: str) -> pa.Table:
    """What would have been decided, by decision."""
    names = [name.replace("_", ".") for name in of]
    schema = pa.schema({"decision_id": pa.string(), "action": pa.string()})
    return pa.table({"decision_id": names, "action": list(of.values())}, schema)


def narrowed(rows: list[dict[str, Any]], said: pa.Table) -> tuple[dict[str, str], Any]:
    """The first decision that is left of each contact, and the plan."""
    names = sorted({row["contact_id"] for row in rows})
    tables: LogTables = log([contact(name) for name in names], rows, [])
    kept, told = first_mailed(tables, said, plan(shares=SHARES))
    first: dict[str, str] = {}
    for row in kept.decisions.to_pylist():
        first.setdefault(row["contact_id"], row["decision_id"])
    return first, told


def test_each_counts_from_its_first_mail_or_ghost_of_one_on() -> None:
    rows = [
        *life("a", "policy", "pause:1", "send:x@09", "send:y@09"),
        *life("b", "policy", "pause:1", "escalate", "send:x@09"),  # a call came first
        *life("c", "policy", "pause:1", "pause:1"),
        *life("d", "canary:new", "send:x@09"),
        *life("e", "usual", "send:x@09"),
        *life("f", "holdout", "pause:1", "pause:1", "pause:1"),
        *life("g", "holdout", "pause:1", "pause:1"),
        *life("h", "holdout", "pause:1"),  # no ghost
    ]
    said = ghosts(f_0="pause:3", f_1="pause:1", f_2="send:x@15", g_0="exit")
    first, told = narrowed(rows, said)
    assert first == {"a": "a.1", "d": "d.0", "f": "f.2"}
    assert told.shares == pytest.approx({"policy": 0.8, "holdout": 0.2})
    assert (told.usual, told.units) == ("holdout", 200)


def test_who_was_there_before_or_dealt_elsewhere_first_does_not_count() -> None:
    rows = [
        *life("a", "policy", "pause:1", "send:x@09", day=-1.0),
        *life("b", "usual", "pause:1"),
        {**decision("b", "policy", 3, 3), "action": "send:x@09"},
        *life("c", "policy", "send:x@09"),
        *life("d", "holdout", "pause:1"),
    ]
    first, _ = narrowed(rows, ghosts(d_0="send:x@09"))
    assert first == {"c": "c.0", "d": "d.0"}


def test_what_came_after_a_servers_experiment_is_no_act_of_it() -> None:
    """When it is over the policy mails whom it had held out, and nobody is dealt."""
    rows = [
        *life("a", "policy", "pause:1", "send:x@09"),  # mailed when it was over
        *life("b", "holdout", "pause:1"),
        {**decision("b", "policy", 1, 1), "action": "send:x@09"},
        *life("c", "policy", "send:x@09"),
        *life("d", "holdout", "pause:1", "pause:1"),
        *life("e", "policy", "send:x@09"),  # came when it was over
    ]
    tables = log([contact(name) for name in "abcde"], rows, [])
    said = pa.array(["X", None, "X", None, "X", "X", "X", None], pa.string())
    named = replace(tables, decisions=tables.decisions.append_column("experiment", said))
    own = plan(shares=SHARES, dealt_by="X")
    kept, _ = first_mailed(named, ghosts(d_1="send:x@09"), own)
    assert kept.decisions["decision_id"].to_pylist() == ["c.0", "d.1"]


def test_without_a_holdout_or_anybody_it_says_why() -> None:
    tables = log([contact("a")], life("a", "policy", "pause:1"), [])
    with pytest.raises(ConfigError, match="arms policy and holdout, got policy, usual"):
        first_mailed(tables, ghosts(), plan())
    with pytest.raises(LogError, match="nobody was mailed first of all"):
        first_mailed(tables, ghosts(), plan(shares=SHARES))
