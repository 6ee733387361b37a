"""The loop: goals, batches, the copy that follows, early ends, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nurture_rl.errors import FitError
from nurture_rl.rl.offline_training import (
    BootstrapConfig,
    NetworkConfig,
    Trainee,
    apart,
    follower,
    goals_of,
    later,
    move,
    train,
)
from tests.unit.rl.two_step_shop import silent
from tests.unit.rl.world_logs import process_log

CONFIG = NetworkConfig(hidden=(4,), steps=60, batch=8, refresh=20, learning_rate=0.1)


@dataclass
class Level:
    """Takes one number towards the mean of some values, by batches."""

    values: Tensor
    place: nn.Linear = field(default_factory=lambda: nn.Linear(1, 1, bias=False))
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        nn.init.zeros_(self.place.weight)

    def goals(self, rows: Tensor) -> Tensor:
        self.asked += rows.tolist()
        return self.values[rows]

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        return ((goals - self.place.weight[0, 0]) ** 2).mean()

    @property
    def found(self) -> float:
        return float(self.place.weight[0, 0].detach())


def run(level: Level, config: NetworkConfig = CONFIG, seed: int = 0, **more: Any) -> Any:
    trainee = Trainee(level.place, torch.arange(len(level.values)), **more)
    return train(level, trainee, config, torch.Generator().manual_seed(seed), silent)


def test_the_loss_is_minimised() -> None:
    level = Level(torch.full((50,), 2.0))
    fit = run(level, replace(CONFIG, steps=300))
    assert level.found == pytest.approx(2.0, abs=0.05)
    assert fit["steps"] == 300
    assert fit["loss"] < 0.01


def test_only_the_rows_of_the_training_are_drawn() -> None:
    level = Level(torch.arange(50.0))
    trainee = Trainee(level.place, torch.tensor([3, 4]))
    train(level, trainee, CONFIG, torch.Generator().manual_seed(0), silent)
    assert set(level.asked) == {3, 4}


def test_goals_of_a_row_that_comes_up_twice_are_asked_once_a_look() -> None:
    level = Level(torch.arange(5.0))
    batches = torch.tensor([[4, 4, 0], [0, 1, 4]])
    assert goals_of(level, batches).tolist() == [[4.0, 4.0, 0.0], [0.0, 1.0, 4.0]]
    assert sorted(level.asked) == [0, 1, 4]


def test_equal_seeds_give_equal_networks() -> None:
    found = []
    for seed in (3, 3, 4):
        level = Level(torch.randn(50, generator=torch.Generator().manual_seed(0)))
        run(level, seed=seed)
        found.append(level.found)
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_the_last_block_takes_no_more_steps_than_asked() -> None:
    seen: list[int] = []
    level = Level(torch.ones(5))
    trainee = Trainee(level.place, torch.arange(5))
    luck = torch.Generator().manual_seed(0)
    config = replace(CONFIG, steps=45)
    fit = train(level, trainee, config, luck, lambda look, told: seen.append(look))
    assert fit["steps"] == 45
    assert seen == [0, 1, 2]
    second: list[int] = []
    later(lambda look, told: second.append(look), config)(0, {})
    assert second == [3]


def test_the_copy_goes_its_share_of_the_way_and_is_not_trained() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    copy = follower(network)
    nn.init.ones_(network.weight)
    assert not copy.weight.requires_grad
    move(copy, network, 0.25)
    assert float(copy.weight) == 0.25
    move(copy, network, 1.0)
    assert torch.equal(copy.weight, network.weight)


def test_the_copy_follows_at_every_look() -> None:
    level = Level(torch.full((50,), 2.0))
    following = follower(level.place)
    config = BootstrapConfig(
        hidden=(4,), steps=400, batch=8, refresh=20, learning_rate=0.1, follow=0.5
    )
    run(level, config, following=following)
    assert float(following.weight) == pytest.approx(2.0, abs=0.1)


def test_training_ends_when_contacts_kept_aside_are_told_no_better_and_keeps_the_best() -> None:
    level = Level(torch.full((50,), 2.0))

    def away_from_one() -> Tensor:
        return (level.place.weight[0, 0] - 1.0) ** 2

    config = replace(CONFIG, steps=10_000, refresh=2, learning_rate=0.05)
    fit = run(level, config, held_out=away_from_one, patience=3)
    assert fit["steps"] < 200  # on the way to 2 it passes 1
    assert level.found == pytest.approx(1.0, abs=0.1)
    assert fit["held_out_loss"] == pytest.approx((level.found - 1.0) ** 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_a_training_that_diverges_is_refused_with_the_step(bad: float) -> None:
    values = torch.zeros(50)
    values[7] = bad
    with pytest.raises(FitError, match=r"by step 20 of 60, expected less than 1e\+08"):
        run(Level(values), replace(CONFIG, batch=64))


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"batch": 0}, {"refresh": 0}, {"hidden": ()}, {"hidden": (0,)},
     {"hidden": (8, -1)}, {"learning_rate": 0.0}, {"learning_rate": np.inf},
     {"learning_rate": np.nan}],
)  # fmt: skip
def test_settings_out_of_range_are_refused_where_they_are_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=f"{next(iter(wrong))} of Network must be "):
        NetworkConfig(**wrong)


@pytest.mark.parametrize("follow", [0.0, 1.5])
def test_a_copy_that_cannot_follow_is_refused(follow: float) -> None:
    with pytest.raises(FitError, match="follow of Bootstrap must be at least 1e-12 and at most 1"):
        BootstrapConfig(follow=follow)


def test_a_tenth_of_the_contacts_is_kept_aside_whole() -> None:
    log = process_log(200)
    learned, judged = (rows.numpy() for rows in apart(log, np.random.default_rng(0)))
    assert set(log.cluster[learned]) & set(log.cluster[judged]) == set()
    assert len(set(log.cluster[judged])) == 20
    assert log.choice[learned].all()
    assert sorted([*learned, *judged]) == np.flatnonzero(log.choice).tolist()


def test_with_few_contacts_none_is_kept_aside() -> None:
    learned, judged = apart(process_log(9), np.random.default_rng(0))
    assert torch.equal(learned, judged)
