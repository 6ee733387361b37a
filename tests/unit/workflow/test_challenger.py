"""A challenger is tried in the exploration unless the log speaks against it, and exactly so."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.risk.harm_limits import LimitFinding, LimitKept
from nurture_rl.errors import ConfigError
from nurture_rl.ope.checks.findings import Finding, Severity
from nurture_rl.policies.build import build_policy
from nurture_rl.release.gate import CandidateDifference, GateEvidence, ProgramEvidence
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.rounds.challenger import may_be_tried
from nurture_rl.workflow.rounds.pooled_log import pooled_log
from nurture_rl.workflow.rounds.round_log import logged_round
from nurture_rl.workflow.rounds.round_verdict import NEXT, Programme, next_programme
from nurture_rl.workflow.rounds.rounds_config import RoundsSettings, start_of
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Workshop
from tests.unit.release.bundles import evidence

JOURNEY = load_journey("inbound_lead")
CATALOG = ActionCatalog.of(JOURNEY)
DATA = DataConfig(name="reference", source="reference", default_zone="Europe/Berlin")
CHANCE = {"kind": "random"}
LOGGING = {"kind": "mixture", "policy": {"kind": "drip"}, "other": CHANCE, "share": 0.4}
RULES = Programme("cql of round 1", {"kind": "rules"})  # stands for what was learned
UNSHOWN = CandidateDifference(2.0, -3.0, 7.0, 0.99)
WORSE = CandidateDifference(-5.0, -9.0, -1.0, 0.99)
TOO_FAR, BROKEN = (
    Finding(code, Severity.REFUSE, {}, "refused") for code in ("ess", "propensity-range")
)


def limit(rate: float, base: float = 0.0, **allowed: float) -> LimitFinding:
    rates = {"core": rate, "drip": base}
    kept = {name: LimitKept(one, inf, None, False, "") for name, one in rates.items()}
    most, above = (allowed.get(name) for name in ("at_most", "above"))
    return LimitFinding("complaints", "contact", most, above, 0.99, kept)


@pytest.mark.parametrize(
    ("given", "limits", "tried"),
    [
        ({"logged": UNSHOWN}, [], True),
        ({"logged": CandidateDifference(nan, nan, nan, 0.99)}, [], True),
        ({"refusals": (TOO_FAR,)}, [], True),
        ({"logged": WORSE}, [], False),
        ({"programs": (ProgramEvidence("expert", WORSE),)}, [], False),
        ({"refusals": (BROKEN,)}, [], False),
        ({"reference_refusals": (BROKEN,)}, [], False),
        ({}, [limit(0.04, at_most=0.05)], True),
        ({}, [limit(inf, at_most=0.05)], True),
        ({}, [limit(0.06, at_most=0.05)], False),
        ({}, [limit(0.03, base=0.025, above=0.01)], True),
        ({}, [limit(0.03, base=0.015, above=0.01)], False),
    ],
)
def test_what_the_log_speaks_against_is_not_tried(
    given: dict[str, Any], limits: list[LimitFinding], tried: bool
) -> None:
    heard: GateEvidence = replace(evidence(), **given)
    assert may_be_tried(heard, limits) is tried


def start(share: float, **more: Any) -> Any:
    return start_of(RoundsSettings(challenger_share=share, **more), LOGGING)


def test_without_a_share_or_a_challenger_all_exploration_is_chance() -> None:
    ran = Programme("drip", {"kind": "drip"}, RULES)
    assert start(0.0).explored(ran.spec, 0, ran) == LOGGING
    assert start(0.0).tried(ran) is None
    assert start(0.5).explored(ran.spec, 0, replace(ran, challenger=None)) == LOGGING


@pytest.mark.parametrize("share", [-0.1, 1.0, nan])
def test_some_exploration_must_be_left_to_chance(share: float) -> None:
    with pytest.raises(ConfigError, match=r"challenger_share: expected a share in \[0, 1\)"):
        start(share)


def test_a_tried_challenger_is_in_every_propensity_exactly_and_forbidden_actions_stay_at_0(
    tmp_path: Path,
) -> None:
    shop = Workshop(tmp_path, lambda line: None)
    ran = Programme("drip", {"kind": "drip"}, RULES)
    spec = start(0.25).explored(ran.spec, 0, ran)
    rounds = [
        logged_round(shop, DATA, JOURNEY, number, contacts, logging, seed=0)
        for number, contacts, logging in ((1, 20, LOGGING), (2, 40, spec))
    ]
    table = pq.read_table(rounds[1].ingested / "decision_table.parquet")
    features, mask, logged = (
        np.array(table[name].to_pylist()) for name in ("features", "mask", "probabilities")
    )
    context = context_beside(shop.root, JOURNEY)
    drip, chance, learned = (
        build_policy(one, context).action_probabilities(features.astype(np.float32), mask)
        for one in ({"kind": "drip"}, CHANCE, RULES.spec)
    )
    assert logged == pytest.approx(0.6 * drip + 0.3 * chance + 0.1 * learned, abs=1e-6)
    assert (logged[~mask] == 0.0).all()
    taken = logged[np.arange(len(mask)), CATALOG.indices(table["action"].to_pylist())]
    assert np.asarray(table["propensity"]) == pytest.approx(taken)
    # The mixture of both rounds: 20 contacts of the first, 40 of the second, told of first steps.
    pooled = pq.read_table(
        pooled_log(shop, JOURNEY, rounds, "mixture", 1.0) / "decision_table.parquet"
    )
    first = np.array(pooled["probabilities"].to_pylist())[-len(mask) :]
    begins = np.asarray(table["step"]) == 0
    expected = (0.6 * drip + 0.4 * chance) / 3.0 + 2.0 * logged / 3.0
    assert first[begins] == pytest.approx(expected[begins], abs=1e-6)


def test_the_next_round_is_told_of_the_challenger(tmp_path: Path) -> None:
    (tmp_path / NEXT).write_text(
        '{"name": "drip", "spec": {"kind": "drip"}, "challenger": '
        '{"name": "cql of round 1", "spec": {"kind": "rules"}, "challenger": null}}',
        "utf-8",
    )
    assert next_programme(tmp_path) == Programme("drip", {"kind": "drip"}, RULES)
