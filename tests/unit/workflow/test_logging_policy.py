"""A log says itself what made it: trust regions and worlds take its word, not a default's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow import logging_policy as stage
from nurture_rl.workflow.logging_policy import described, is_own, with_logging
from nurture_rl.workflow.stages import Workshop
from tests.unit.workflow.judged_by_hand import settings_of
from tests.unit.workflow.small_log import CONTEXT, JOURNEY, logged_by

DESIGN = {"pause:1": 0.3, "escalate": 0.2, "send:welcome@09": 0.1, "send:pricing_guide@15": 0.4}
DRIP_AND_DESIGN = {
    "kind": "mixture",
    "policy": {"kind": "drip"},
    "other": {"kind": "fixed", "probabilities": DESIGN},
    "share": 0.35,
}
RULES_AND_RANDOM = {"kind": "explore", "base": {"kind": "rules"}, "share": 0.25}


def policy(spec: Any) -> Policy:
    return build_policy(spec, CONTEXT)


def apart(found: Any, other: Policy) -> float:
    """Share of all decisions in which they part."""
    log = logged_by(other)
    mine = policy(found).action_probabilities(log.features, log.mask)
    return float(0.5 * np.abs(mine - log.probabilities).sum(axis=1).mean())


@pytest.mark.parametrize("made_by", ["random", DRIP_AND_DESIGN, RULES_AND_RANDOM])
def test_a_program_with_exploration_is_read_back_from_what_it_logged(made_by: Any) -> None:
    found = described("logged", logged_by(policy(made_by)), JOURNEY, np.random.default_rng(0))
    assert found.distance is not None
    assert found.distance < 0.02
    assert apart(found.description, policy(made_by)) < 0.02
    assert "fitted to the log's own probabilities" in found.sentence


def test_a_fit_is_judged_on_contacts_that_it_did_not_see() -> None:
    log = logged_by(policy("random"))
    drip = policy("drip").action_probabilities(log.features, log.mask)
    changed = np.where(log.held_out[:, None], drip, log.probabilities)
    found = described(
        "logged", replace(log, probabilities=changed), JOURNEY, np.random.default_rng(0)
    )
    assert found.distance is not None
    assert found.distance > 0.3
    assert "bound ratios only roughly" in found.sentence


def test_a_configured_policy_that_contradicts_the_log_is_refused_with_what_to_do() -> None:
    log = logged_by(policy("random"))
    with pytest.raises(ConfigError, match=r"parts from .* of the decisions.*data.logging=logged"):
        described(DRIP_AND_DESIGN, log, JOURNEY, np.random.default_rng(0))


def test_a_configured_policy_that_made_the_log_stays_as_it_is() -> None:
    log = logged_by(policy(DRIP_AND_DESIGN))
    found = described(DRIP_AND_DESIGN, log, JOURNEY, np.random.default_rng(0))
    assert found.description == DRIP_AND_DESIGN
    assert found.distance == pytest.approx(0.0, abs=1e-9)


def test_a_log_without_distributions_is_fitted_by_the_actions_taken() -> None:
    log = logged_by(policy("drip"))
    silent = replace(log, probabilities=np.zeros(log.probabilities.shape))
    found = described("logged", silent, JOURNEY, np.random.default_rng(0))
    assert found.distance is None
    assert "the actions taken" in found.sentence
    assert apart(found.description, policy("drip")) < 0.1


def test_the_logs_own_policy_stands_wherever_it_is_named() -> None:
    run = settings_of("data=folder", "data.path=there")
    assert is_own(run.run.data.logging)
    filled = with_logging(run, {"kind": "random"})
    for name in ("ppo", "linear_thompson"):
        assert filled.run.policies[name].spec["anchor"] == {"kind": "random"}
        assert filled.run.policies[name].spec["policy"] == {"kind": "model", "name": "core"}
    assert filled.run.data.logging == {"kind": "random"}
    assert filled.run.policies["drip"].spec == {"kind": "drip"}
    assert run.run.policies["ppo"].spec["anchor"] == "logged"  # settings are not written over


def test_the_stage_says_keeps_and_reads_back_what_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log, said = logged_by(policy(DRIP_AND_DESIGN)), list[str]()
    monkeypatch.setattr(stage, "load_decisions", lambda *_: log)
    run, workshop = settings_of(), Workshop(tmp_path, said.append)
    run = replace(run, run=replace(run.run, data=replace(run.run.data, logging=DRIP_AND_DESIGN)))
    found, again = (stage.logging_policy(workshop, JOURNEY, run, Path("log")) for _ in range(2))
    assert found == described(DRIP_AND_DESIGN, log, JOURNEY, np.random.default_rng(0))
    assert again == found
    assert sum(found.sentence in line for line in said) == 1


@pytest.mark.parametrize("asked, own", [("logged", True), ({"kind": "logged"}, True), (None, True)])
def test_the_log_is_asked_where_nothing_else_is_named(asked: Any, own: bool) -> None:
    assert is_own(asked) is own
    assert not is_own("drip")
