from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US
from nurture_envs.errors import WorldError
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.embedding import ActionColumns
from nurture_envs.worlds.heads import Heads, ModelSizes, ResponseModel
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import Outcome, View, declared_delays
from tests.unit.simulator.lamp_shop import SEND, WAIT, lamp_shop, starts

JOURNEY = lamp_shop()
HEADS = Heads.of(JOURNEY).counts
CLICKED, VIEWED, BOUGHT = (HEADS.index(name) for name in ("clicked", "viewed", "bought"))


def model(rate: float = 0.5) -> ResponseModel:
    """Every signal happens at one constant rate, whatever is done."""
    catalog = ActionCatalog.of(JOURNEY)
    columns = ActionColumns.of(catalog)
    sizes = ModelSizes(
        features=3,
        actions=4,
        columns=columns.names,
        counts=len(HEADS),
        values=1,
        slots=2,
        hidden=(8, 8),
        rank=2,
    )
    made = ResponseModel(sizes)
    made.embedding.copy_(columns.of_catalog(catalog))
    made.learned.fill_(False)
    made.rates.fill_(rate)
    return made.requires_grad_(False)


def scrambled(seed: int = 0) -> ResponseModel:
    """Every weight is noise, so that hazards differ between contacts and actions."""
    generator = torch.Generator().manual_seed(seed)
    made = model()
    made.learned.fill_(True)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    made.residuals.copy_(torch.linspace(-1, 1, 129)[None, :])
    made.value_scale.fill_(3.0)
    made.value_low.fill_(-50.0)
    made.value_high.fill_(50.0)
    made.repeat.fill_(0.5)
    made.most.fill_(4.0)
    return made


def world(made: ResponseModel, n_starts: int = 5) -> LearnedWorld:
    return LearnedWorld(JOURNEY, (made,), starts(JOURNEY, n_starts), declared_delays(JOURNEY))


def answer(made: ResponseModel, action: int, n: int = 20_000, bins: int = 0) -> Outcome:
    view = View(
        features=torch.zeros(3, n),
        action=torch.full((n,), action),
        bins=torch.full((n,), bins),
        anchor_us=torch.zeros(n, dtype=torch.int64),
        latent={"member": torch.zeros(n, dtype=torch.int64)},
    )
    return world(made).respond(view, contact_keys(1, n))


def channel(outcome: Outcome, name: str) -> Tensor:
    return outcome.amounts[JOURNEY.channel_index(name)]


def three_bins(keys: Tensor) -> Tensor:
    """Everything that happens to the contacts of an ensemble in three bins, [rows, n]."""
    members = tuple(scrambled(seed) for seed in range(5))
    ensemble = LearnedWorld(JOURNEY, members, starts(JOURNEY), declared_delays(JOURNEY))
    start = ensemble.start(keys)
    parts = [start.latent["member"][None], start.attributes]
    for step, action in enumerate((SEND, WAIT, SEND)):
        view = View(
            features=torch.stack([start.attributes[0] * 0 + step, start.attributes[0], keys % 3]),
            action=torch.where(keys % 5 == 0, SEND, action),
            bins=torch.full_like(keys, step),
            anchor_us=start.anchor_us,
            latent=start.latent,
        )
        parts.append(ensemble.respond(view, keys).amounts)
    return torch.cat(parts)


@pytest.mark.parametrize("n", [1, 7, 64, 1000])
def test_a_contact_does_not_depend_on_how_many_are_played_beside_it(n: int) -> None:
    keys = contact_keys(11, 5000)
    together = three_bins(keys)
    assert torch.equal(together[:, :n], three_bins(keys[:n]))
    assert torch.equal(together[:, -n:], three_bins(keys[-n:]))


def test_the_order_of_rows_does_not_matter() -> None:
    keys = contact_keys(3, 500)
    assert torch.equal(three_bins(keys).flip(1), three_bins(keys.flip(0)))


def test_an_event_happens_as_often_as_its_rate_says() -> None:
    made = model()
    made.rates[SEND, CLICKED] = 0.2
    made.rates[WAIT, CLICKED] = 0.6
    # four binomial standard deviations of 20,000 draws are at most 0.014
    assert float(channel(answer(made, SEND), "clicked").mean()) == pytest.approx(0.2, abs=0.014)
    assert float(channel(answer(made, WAIT), "clicked").mean()) == pytest.approx(0.6, abs=0.014)


def test_what_cannot_follow_an_action_never_does() -> None:
    made = model(rate=1.0)
    made.possible[WAIT, CLICKED] = False
    assert float(channel(answer(made, WAIT), "clicked").sum()) == 0.0
    assert float(channel(answer(made, SEND), "clicked").mean()) == 1.0


def test_a_learned_head_that_is_sure_still_cannot_do_the_impossible() -> None:
    made = scrambled()
    made.bias.fill_(50.0)
    made.possible[WAIT, CLICKED] = False
    hazard = world(made).hazards(torch.zeros(3, 1), torch.tensor([WAIT]))
    assert float(hazard[0, CLICKED, 0]) == 0.0
    assert float(hazard[0, VIEWED, 0]) == 1.0


def test_hazards_are_the_recalibrated_logits() -> None:
    made = model()
    made.learned.fill_(True)
    made.bias.fill_(2.0)
    made.slope.fill_(0.5)
    made.shift.fill_(-3.0)
    hazard = world(made).hazards(torch.zeros(3, 1), torch.tensor([SEND]))
    assert float(hazard[0, CLICKED, 0]) == pytest.approx(1 / (1 + np.exp(2.0)))  # 0.5 * 2 - 3


def test_repeats_have_the_logged_mean_and_stop_at_the_logged_maximum() -> None:
    made = model(rate=1.0)
    made.repeat[VIEWED], made.most[VIEWED] = 0.5, 3.0
    counts = channel(answer(made, WAIT), "viewed")
    shares = [float((counts == k).double().mean()) for k in (1, 2, 3)]
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25], atol=0.015)
    assert bool((channel(answer(made, WAIT), "clicked") == 1).all())


def test_values_come_with_their_event_inside_the_logged_range_and_on_the_grid() -> None:
    made = scrambled()
    made.learned.fill_(False)
    made.value_mean.fill_(10.0)
    made.value_low.fill_(7.0)
    made.value_high.fill_(10.5)
    outcome = answer(made, SEND)
    value, bought = channel(outcome, "bought.value"), channel(outcome, "bought") > 0
    assert bool((value[~bought] == 0).all())
    assert (float(value[bought].min()), float(value[bought].max())) == (7.0, 10.5)
    assert torch.equal(value * 1024, (value * 1024).round())


def test_logarithmic_values_have_the_mean_of_their_smeared_residuals() -> None:
    made = model(rate=1.0)
    made.logarithmic.fill_(True)
    made.value_high.fill_(100.0)
    made.value_mean.fill_(1.0)
    made.residuals.copy_(torch.linspace(-1, 1, 129)[None, :])
    value = channel(answer(made, SEND), "bought.value")
    # the residual is uniform on (-1, 1): e * (e - 1/e) / 2
    expected = float(np.e * np.sinh(1.0))
    assert float(value.mean()) == pytest.approx(expected, abs=0.06)  # four standard errors
    assert abs(float(value.mean()) - np.e) > 0.3  # negative control: not exp of the mean


def test_contacts_start_as_logged_ones_did() -> None:
    start = world(model()).start(contact_keys(0, 20_000))
    size = start.attributes[0].long()
    shares = torch.bincount(size, minlength=5) / 20_000
    np.testing.assert_allclose(shares, 0.2, atol=0.012)
    assert torch.equal(start.anchor_us, size * DAY_US)  # one logged row gives every column


def test_availability_is_that_of_the_next_slot() -> None:
    made = model()
    made.reachable.copy_(torch.tensor([0.0, 1.0]))
    assert bool(answer(made, WAIT, bins=0).available.all())
    assert not bool(answer(made, WAIT, bins=1).available.any())


def test_answers_carry_no_gradient() -> None:
    assert not answer(scrambled(), SEND, n=3).amounts.requires_grad


def test_a_model_of_another_journey_is_refused() -> None:
    made = ResponseModel(replace(model().sizes, features=7))
    with pytest.raises(WorldError, match=r"= \(3, 4, 6, 1\), got \[\(7, 4, 6, 1\)\]"):
        world(made)


def test_a_world_without_any_start_is_refused() -> None:
    with pytest.raises(WorldError, match="at least one past"):
        world(model(), n_starts=0)
