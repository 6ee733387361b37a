"""What factored bandits and send times find in logs of the reference worlds.

The inbound world plants a pull of the topic of interest, which the form names at times. It plants
no effect of a proof: its messages differ in topic and proof at once, and topic alone counts.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.inbound_lead import TOPICS
from nurture_envs.worlds.reference import reference_world
from nurture_rl.bandits.hour_effect import hour_effect
from nurture_rl.bandits.returns_fit import fit_returns
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.references import Random
from tests.unit.rl.world_logs import logged

pytestmark = pytest.mark.slow


def log_of(journey: str, contacts: int = 6000, seed: int = 1) -> TrainingLog:
    """Random legal sends and pauses in the journey's reference world."""
    simulation = Simulation(reference_world(load_journey(journey)))
    policy = Random(simulation.catalog, (("send", 0.3), ("pause", 0.7)))
    return logged(simulation, policy, contacts, seed)


@cache
def by_topic(journey: str) -> NDArray[np.float64]:
    """What a form's topic adds to the return of a send on each topic, EUR, [form, send]."""
    shape = load_journey(journey)
    spec, catalog = FeatureSpec.of(shape), ActionCatalog.of(shape)
    fit = fit_returns(log_of(journey), None, 16, np.random.default_rng(0), "factors")
    slopes = fit.mean_map()[0, :, 1:] / fit.moments.scale  # [a, d]
    topic = np.array([a.message.topic if a.message else "" for a in catalog.actions])
    forms = [spec.column(f"form_topic={name}") for name in TOPICS]
    table = np.array([[slopes[topic == name, f].mean() for name in TOPICS] for f in forms])
    return np.asarray(table - table.mean(axis=1, keepdims=True))


def test_the_planted_pull_of_the_forms_topic_is_recovered_in_sign_and_order() -> None:
    table = by_topic("inbound_lead")
    assert (np.diag(table) > 0.0).all()
    assert (table.argmax(axis=1) == np.arange(len(TOPICS))).all()


def test_where_no_topic_is_planted_the_forms_topic_adds_little() -> None:  # negative control
    planted, none = (np.diag(by_topic(name)).mean() for name in ("inbound_lead", "null_lead"))
    assert abs(none) < 0.25 * planted


def test_null_worlds_show_a_benefit_of_send_times_at_the_stated_rate() -> None:
    found = [
        hour_effect(log.take(log.choice), 3, 199, np.random.default_rng(0)).p_value
        for log in (log_of("null_lead", 1000, seed) for seed in range(40))
    ]
    # 2 of 40 expected at 5 %; 7 or more have a chance of 0.3 %.
    assert sum(p <= 0.05 for p in found) <= 6
