"""Heads of a bin see, in their order, what happened before them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.heads import Heads, ResponseModel
from tests.unit.learned.test_learned_world import (
    BOUGHT,
    CLICKED,
    HEADS,
    VIEWED,
    answer,
    channel,
    model,
    world,
)
from tests.unit.simulator.lamp_shop import SEND
from tests.unit.simulator.mail_shop import mail_shop


def chained() -> ResponseModel:
    """Half of all bins have a click; a click moves purchases from 1 : 3 by two log-odds."""
    made = model()
    made.learned[CLICKED] = made.learned[BOUGHT] = True
    made.bias[BOUGHT] = -1.0986123
    made.chain[BOUGHT, CLICKED] = 2.0
    return made


def rates(made: ResponseModel, given: bool) -> float:
    outcome = answer(made, SEND, n=40_000)
    clicked = channel(outcome, "clicked") > 0
    return float((channel(outcome, "bought") > 0)[clicked == given].double().mean())


def hazard(made: ResponseModel, head: int, draws: int) -> Tensor:
    features, action = torch.zeros(3, 500), torch.full((500,), SEND)
    return world(made).hazards(features, action, draws)[0, head]


def test_mail_comes_before_what_it_leads_to() -> None:
    assert Heads.of(mail_shop()).counts == ("opened", "clicked", "left", "bought")
    assert HEADS.index("delivered") < CLICKED < VIEWED < BOUGHT


def test_what_happened_before_moves_the_odds_by_its_weight() -> None:
    # four binomial standard deviations of 20,000 draws are 0.014
    assert rates(chained(), given=False) == pytest.approx(0.25, abs=0.014)
    assert rates(chained(), given=True) == pytest.approx(0.71124, abs=0.014)  # e^2/3 : 1


def test_heads_are_independent_without_a_weight() -> None:
    made = chained()
    made.chain.zero_()
    assert abs(rates(made, given=True) - rates(made, given=False)) < 0.02


def test_a_hazard_is_the_mean_over_what_may_happen_before() -> None:
    exact = 0.5 * 0.25 + 0.5 * 0.71124
    chances = hazard(chained(), BOUGHT, draws=64)
    # the share of 64 evenly spread draws with a click misses 1/2 by at most 1/64
    assert float((chances - exact).abs().max()) < 0.5 / 64
    assert float(chances.mean()) == pytest.approx(exact, abs=0.0005)


def test_a_head_before_all_others_has_its_hazard_exactly() -> None:
    assert bool((hazard(chained(), CLICKED, draws=1) == 0.5).all())


def test_what_a_head_needs_must_happen() -> None:
    made = model(rate=0.5)
    made.needs[BOUGHT, CLICKED] = made.needs[BOUGHT, VIEWED] = made.needs[VIEWED, CLICKED] = True
    outcome = answer(made, SEND)
    clicked, bought = channel(outcome, "clicked") > 0, channel(outcome, "bought") > 0
    assert not bool((bought & ~clicked).any())
    assert float(bought.double().mean()) == pytest.approx(0.125, abs=0.01)
    assert float(hazard(made, BOUGHT, draws=256).mean()) == pytest.approx(0.125, abs=0.003)


def test_equal_keys_compare_contacts_at_equal_luck() -> None:
    keys = contact_keys(4, 1).expand(300).contiguous()
    features, action = torch.zeros(3, 300), torch.full((300,), SEND)
    chances = world(chained()).hazards(features, action, 8, keys)[0, BOUGHT]
    assert len(set(chances.tolist())) == 1
    assert (
        len(set(hazard(chained(), BOUGHT, 9).tolist())) > 1
    )  # negative control: keys of their own
