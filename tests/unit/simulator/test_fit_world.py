from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.world import View
from nurture_rl.errors import FitError
from nurture_rl.simulator.data import split_contacts
from nurture_rl.simulator.fit import fit_world
from tests.unit.simulator.lamp_shop import (
    ESCALATE,
    QUICK,
    SEND,
    WAIT,
    click_chance,
    fitted_lamps,
    lamp_log,
    lamp_shop,
    silent,
)

HEADS = Heads.of(lamp_shop()).counts


def hazard(size: float, action: int, head: str) -> float:
    features = torch.tensor([[1.0], [size], [1.0]])
    chance = fitted_lamps().world.hazards(features, torch.tensor([action]), draws=512)
    return float(chance[:, HEADS.index(head), 0].mean())


@pytest.mark.slow
@pytest.mark.parametrize("size", [-1.0, 0.0, 1.0])
def test_click_hazards_follow_the_planted_slope(size: float) -> None:
    planted = float(click_chance(np.array([size], np.float32))[0])
    assert hazard(size, SEND, "clicked") == pytest.approx(planted, abs=0.05)


@pytest.mark.slow
def test_a_send_doubles_the_chance_to_buy_as_planted() -> None:
    assert hazard(0.0, SEND, "bought") == pytest.approx(0.2, abs=0.03)
    assert hazard(0.0, WAIT, "bought") == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("head", ["clicked", "delivered"])
@pytest.mark.parametrize("action", [WAIT, ESCALATE])
def test_what_never_followed_an_action_has_hazard_exactly_0(head: str, action: int) -> None:
    assert hazard(3.0, action, head) == 0.0


def test_hazards_are_calibrated_on_unseen_contacts() -> None:
    judged = {head.head: head for head in fitted_lamps().calibration.heads}
    assert judged["clicked"].ece < 0.02
    assert judged["bought"].ece < 0.03
    assert judged["clicked"].log_loss < 0.8 * judged["clicked"].constant_log_loss
    assert sum(b.n for b in judged["clicked"].bins) == fitted_lamps().calibration.rows


@pytest.mark.slow
def test_heads_with_few_events_get_a_constant_rate_and_are_listed() -> None:
    heads = fitted_lamps().calibration.heads
    assert [one.head for one in heads if not one.learned] == ["answered"]
    assert hazard(-2.0, WAIT, "answered") == hazard(2.0, WAIT, "answered")


def test_the_mean_value_follows_size_as_planted() -> None:
    features = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, 1.0]]).repeat_interleave(20_000, 0).T
    view = View(
        features=features,
        action=torch.full((40_000,), SEND),
        bins=torch.zeros(40_000, dtype=torch.int64),
        anchor_us=torch.zeros(40_000, dtype=torch.int64),
        latent={"member": torch.arange(40_000) % 5},
    )
    amounts = fitted_lamps().world.respond(view, contact_keys(0, 40_000)).amounts
    values = amounts[lamp_shop().channel_index("bought.value")]
    bought = values > 0
    small = torch.arange(40_000) < 20_000
    assert float(values[bought & small].mean()) == pytest.approx(15.0, abs=0.5)
    assert float(values[bought & ~small].mean()) == pytest.approx(25.0, abs=0.5)


def test_no_contact_is_on_two_sides_of_the_split() -> None:
    data = lamp_log(100, seed=1)
    split = split_contacts(data, np.random.default_rng(0))
    sides = [set(data.cluster[rows]) for rows in (split.train, split.tuning, split.judging)]
    assert [len(side) for side in sides] == [70, 15, 15]
    assert len(set.union(*sides)) == 100


def test_a_fitted_world_learns_no_further() -> None:
    members = fit_world(lamp_log(60, seed=3), lamp_shop(), QUICK, 0, silent).world.members
    assert not any(one.requires_grad for model in members for one in model.weights().values())


def test_the_same_seed_gives_the_same_world() -> None:
    one, two, other = (
        fit_world(lamp_log(60, seed=3), lamp_shop(), QUICK, seed, silent) for seed in (5, 5, 6)
    )
    for k in range(2):
        first = one.world.members[k].linear
        assert torch.equal(first, two.world.members[k].linear)
        assert not torch.equal(first, other.world.members[k].linear)


def test_threads_change_no_bit_of_the_world() -> None:
    config = replace(QUICK, members=3)
    data = lamp_log(203, seed=5)  # batches that no vector of the processor divides
    alone, pair, many = (
        fit_world(data, lamp_shop(), config, 5, silent, threads) for threads in (1, 2, 4)
    )
    for other in (pair, many):
        assert other.calibration == alone.calibration
        for one, two in zip(alone.world.members, other.world.members, strict=True):
            assert_same(one.state_dict(), two.state_dict())


def assert_same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert {name for name in one if not torch.equal(one[name], other[name])} == set()


def test_a_journey_of_one_bin_can_be_fitted() -> None:
    fit = fit_world(lamp_log(400, seed=4, rows_each=1), lamp_shop(1), QUICK, 0, silent)
    assert fit.calibration.contacts == 60


def test_availability_is_the_logged_share_of_each_slot() -> None:
    journey = lamp_shop(availability=True)
    data = lamp_log(200, seed=5)
    reachable = fit_world(data, journey, QUICK, 0, silent).world.members[0].reachable.numpy()
    shares = [data.available[data.step % 2 == slot].mean() for slot in (0, 1)]
    np.testing.assert_allclose(reachable, shares, rtol=1e-6)


def test_too_few_contacts_are_refused() -> None:
    with pytest.raises(FitError, match=r"at least 10 contacts .* got 9"):
        fit_world(lamp_log(9, seed=0), lamp_shop(), QUICK, 0, silent)
