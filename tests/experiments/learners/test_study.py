"""What is recorded of a learner, and how the tables tell it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.learners import study
from experiments.learners.study import LearnerRecord, Measured, measured, recorded, records_in
from experiments.learners.tables import report
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.policies.build import PolicyContext, build_policy

INBOUND = load_journey("inbound_lead")
AMOUNTS = {"sent_security": 1.5, "sent_pricing": 0.5, "unsubscribed": 0.01, "complained": 0.001}
PLAYED = Measured(40.0, 1.0, 4.0, 0.5, AMOUNTS)
CQL = LearnerRecord("cql", "reference", 500, 0, "EUR", PLAYED, replace(PLAYED, value=60.0), 9.0, "")
DRIP = replace(CQL, learner="drip", released=replace(PLAYED, value=36.0), alone=None)


def say(line: str) -> None:
    """Nobody is told."""


def test_a_cell_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def made(cell: tuple[str, str, int, int], *given: object) -> LearnerRecord:
        asked.append(cell[0])
        return {"cql": CQL, "drip": DRIP}[cell[0]]

    monkeypatch.setattr(study, "worked_out", made)
    for learner in ("cql", "drip", "cql"):
        cell = (learner, "reference", 500, 0)
        assert recorded(tmp_path, cell, tmp_path, 10, say) == made(cell)
        asked.pop()
    assert asked == ["cql", "drip"]
    assert records_in(tmp_path) == [CQL, DRIP]


def test_a_table_ranks_policies_by_what_is_released() -> None:
    better = replace(CQL, seed=1, released=replace(PLAYED, value=44.0))
    lines = report([DRIP, CQL, better]).splitlines()
    assert lines[0] == "### reference, 500 contacts"
    assert lines[4].startswith(
        "| `cql` | 2 | 42.0 (40.0 to 44.0) | +4.0 (+4.0 to +4.0) | 0.5 | 2.00"
    )
    assert lines[5] == "| `drip` | 1 | 36.0 | +4.0 | 0.5 | 2.00 | 0.0100 0.0010 |  |  |"


def test_the_drip_is_not_above_itself() -> None:
    context = PolicyContext(INBOUND, ActionCatalog.of(INBOUND), FeatureSpec.of(INBOUND))
    drip = measured(INBOUND, build_policy("drip", context), 50)
    assert (drip.over_drip, drip.over_drip_stderr) == (0.0, 0.0)
    assert drip.amounts["sent_product"] > 0.0
    rules = measured(INBOUND, build_policy("rules", context), 50)
    assert rules.value - drip.value == pytest.approx(rules.over_drip)
