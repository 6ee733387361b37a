"""In the null world nobody differs, so that no choice of message, hour or day earns more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.rollout import Returns, returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.inbound_lead import TOPICS
from nurture_envs.worlds.reference import reference_world

N, SEED = 3000, 11
ABOUT = {
    "security": "security_brief",
    "integration": "integration_story",
    "pricing": "pricing_guide",
    "product": "welcome",
}


@dataclass(frozen=True)
class TwoMails:
    """One mail on each of two days: on the form's topic at an industry's hour, or all alike."""

    catalog: ActionCatalog
    spec: FeatureSpec
    targeted: bool
    days: tuple[int, int]

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Probability 1 on the mail that is due and legal, else on `pause:1`, [n, a]."""

        def column(name: str) -> NDArray[np.float32]:
            return features[:, self.spec.columns.index(name)]

        action = np.full(len(mask), self.catalog.index("send:book_a_call@09"))
        if self.targeted:
            hour = np.where(column("industry=finance") > 0, "15", "09")
            for topic, message in ABOUT.items():
                for at in ("09", "15"):
                    told = (column(f"form_topic={topic}") > 0) & (hour == at)
                    action[told] = self.catalog.index(f"send:{message}@{at}")
        rows = np.arange(len(mask))
        due = np.isin(np.rint(column("day")), self.days) & mask[rows, action]
        table = np.zeros(mask.shape)
        table[rows, np.where(due, action, self.catalog.wait)] = 1.0
        return table


@cache
def played(journey: str, targeted: bool, days: tuple[int, int] = (0, 7)) -> Returns:
    simulation = Simulation(reference_world(journey))
    policy = TwoMails(simulation.catalog, simulation.spec, targeted, days)
    return returns(simulation, policy, N, SEED)


def errors_apart(one: Returns, other: Returns) -> float:
    """Standard errors between two policies on the same contacts."""
    apart = one.value - other.value
    return float(abs(apart.mean()) / (apart.std() / np.sqrt(N)))


def test_a_mail_on_the_topic_and_at_the_hour_earns_to_the_cent_what_any_mail_earns() -> None:
    targeted, plain = played("null_lead", True), played("null_lead", False)
    assert np.array_equal(targeted.value, plain.value)
    assert (targeted.action_mix != plain.action_mix).any()  # and the mails were others


def test_the_same_two_policies_earn_differently_where_leads_differ() -> None:
    assert errors_apart(played("inbound_lead", True), played("inbound_lead", False)) > 4.0


def test_when_the_mails_go_makes_no_difference() -> None:
    assert errors_apart(played("null_lead", False), played("null_lead", False, (6, 12))) < 3.0
    early, late = played("inbound_lead", True), played("inbound_lead", True, (6, 12))
    assert errors_apart(early, late) > 4.0  # where readiness fades and mail moves it, it does


def test_mail_and_nothing_else_moves_leads() -> None:
    silent = played("null_lead", False, (98, 99))
    assert errors_apart(played("null_lead", False), silent) > 3.0


@pytest.mark.parametrize("journey, alike", [("null_lead", True), ("inbound_lead", False)])
def test_who_a_lead_is_says_nothing_of_its_answers(journey: str, alike: bool) -> None:
    start = reference_world(journey).start(population_keys(SEED, 200))
    for trait in ("ready", "bears", "reachable", "proxy", "gateway"):
        assert bool((start.latent[trait] == start.latent[trait][0]).all()) is alike
    assert bool(start.consent.all() & start.zone_known.all()) is alike


def test_the_form_of_a_null_lead_names_any_topic_as_often_as_its_own() -> None:
    def said_rightly(journey: str) -> float:
        world = reference_world(journey)
        start = world.start(population_keys(SEED, 4000))
        columns = FeatureSpec.of(world.journey).attribute_columns
        at = [columns.index(f"form_topic={topic}") for topic in TOPICS]
        named = start.attributes[at].argmax(dim=0)
        return float((named == start.latent["interest"]).to(torch.float32).mean())

    assert said_rightly("null_lead") == pytest.approx(0.25, abs=0.03)
    assert said_rightly("inbound_lead") == pytest.approx(0.74, abs=0.03)
