"""The loop's parts: hand-written gradients, goals, and networks laid out in one vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_rl.learned.returns import returns_to_go
from nurture_rl.ope.log import continuation
from nurture_rl.ope.sequential import fqe_training
from nurture_rl.ope.sequential.fqe_config import FqeConfig
from nurture_rl.ope.sequential.fqe_training import (
    Buffer,
    answers,
    buffer_of,
    forward,
    goals,
    initial_network,
    network_like,
    squared_error_gradient,
    train,
    values,
)
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.small_logs import random_target


def small_buffer() -> Buffer:
    log = random_log(0, [3, 1, 4, 2, 4])
    return buffer_of(log, random_target(1, log), "cpu")


def small_network(buffer: Buffer, seed: int = 2) -> fqe_training.Network:
    return initial_network(buffer, (5, 4), torch.Generator().manual_seed(seed))


def test_the_buffer_holds_standardised_contexts_and_scaled_rewards() -> None:
    log = random_log(3, [3, 1, 2])
    log = replace(log, features=np.column_stack([log.features, np.full(6, 7.0)]).astype(np.float32))
    target = random_target(4, log)
    found = buffer_of(log, target, "cpu")
    scale = returns_to_go(log.reward, log.episode, log.step, log.discount).std()
    assert found.scale == pytest.approx(scale)
    assert found.reward.numpy() == pytest.approx(log.reward / scale, rel=1e-6)
    assert found.onward.numpy() == pytest.approx(continuation(log), rel=1e-6)
    assert found.target.numpy() == pytest.approx(target, rel=1e-6)
    assert found.action[:, 0].tolist() == log.action.tolist()
    x = found.features.numpy()
    assert x.shape == (6, 4)
    assert x.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-6)
    assert x[:, [0, 1, 3]].std(axis=0) == pytest.approx(np.ones(3), rel=1e-5)
    assert (x[:, 2] == 0.0).all()
    expected = (log.features[:, 0] - log.features[:, 0].mean()) / log.features[:, 0].std()
    assert x[:, 0] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert (np.diff(x[:3, 3]) > 0.0).all()


def test_equal_returns_leave_rewards_as_they_are() -> None:
    log = replace(random_log(5, [1, 1, 1]), reward=np.zeros(3))
    assert buffer_of(log, random_target(6, log), "cpu").scale == 1.0


def test_layers_are_views_of_one_vector() -> None:
    buffer = small_buffer()
    network = small_network(buffer)
    assert [tuple(matrix.shape) for matrix, _ in network.layers] == [(5, 3), (4, 5), (3, 4)]
    assert sum(part.numel() for layer in network.layers for part in layer) == network.flat.numel()
    assert network.flat.numel() == 4 * 5 + 6 * 4 + 5 * 3
    before = [[part.clone() for part in layer] for layer in network.layers]
    network.flat.add_(torch.arange(network.flat.numel()))
    place = 0
    for layer, old in zip(network.layers, before, strict=True):
        for part, was in zip(layer, old, strict=True):
            moved = torch.arange(place, place + part.numel()).view_as(part)
            assert torch.allclose(part, was + moved)
            place += part.numel()
    empty = network_like(network)
    assert [m.shape for m, _ in empty.layers] == [m.shape for m, _ in network.layers]
    assert not empty.flat.any()


def test_first_weights_lie_within_one_over_the_root_of_the_inputs() -> None:
    log = random_log(7, [2, 2])
    network = initial_network(
        buffer_of(log, random_target(8, log), "cpu"), (400, 100), torch.Generator().manual_seed(0)
    )
    for (matrix, bias), inputs in zip(network.layers, (3, 400, 100), strict=True):
        reach = inputs**-0.5
        for part in (matrix, bias):
            assert -reach <= part.min() < -0.5 * reach
            assert 0.5 * reach < part.max() <= reach


def test_forward_is_relu_layers() -> None:
    buffer = small_buffer()
    network = small_network(buffer)
    hidden = buffer.features
    for matrix, bias in network.layers[:-1]:
        hidden = torch.clamp(hidden @ matrix.T + bias, min=0.0)
    expected = hidden @ network.layers[-1][0].T + network.layers[-1][1]
    assert torch.allclose(forward(network, buffer.features)[-1], expected, atol=1e-6)


def test_goals_are_rewards_and_the_next_rows_expected_value() -> None:
    buffer = small_buffer()
    network = small_network(buffer)
    q = forward(network, buffer.features)[-1]
    value = (buffer.target * q).sum(dim=1)
    assert torch.allclose(values(buffer, network, torch.arange(14)), value, atol=1e-6)
    after = torch.cat([value[1:], torch.zeros(1)])
    expected = buffer.reward + buffer.onward * after
    rows = torch.tensor([[0, 2, 13], [5, 5, 3]])
    assert torch.allclose(goals(buffer, network, rows), expected[rows], atol=1e-6)


@pytest.mark.parametrize("tile", [512, 3])
def test_the_written_out_gradient_is_the_automatic_one(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fqe_training, "TILE_ROWS", tile)
    buffer = small_buffer()
    network, rows = small_network(buffer), torch.tensor([0, 3, 3, 9, 13, 1, 7])
    goal = torch.linspace(-2.0, 3.0, 7)
    gradient = network_like(network)
    gradient.flat.fill_(5.0)
    squared_error_gradient(buffer, rows, goal, network, gradient)
    leaves = [[part.clone().requires_grad_() for part in layer] for layer in network.layers]
    hidden: Tensor = buffer.features[rows]
    for matrix, bias in leaves[:-1]:
        hidden = torch.relu(hidden @ matrix.T + bias)
    q = hidden @ leaves[-1][0].T + leaves[-1][1]
    loss = ((q.gather(1, buffer.action[rows])[:, 0] - goal) ** 2).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    for layer, own in zip(leaves, gradient.layers, strict=True):
        for part, found in zip(layer, own, strict=True):
            assert part.grad is not None
            assert torch.allclose(part.grad, found, atol=1e-6)


def test_answers_are_in_the_logs_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fqe_training, "TILE_ROWS", 4)
    buffer = small_buffer()
    network = small_network(buffer)
    rows = np.array([0, 2, 5, 7, 8, 13])
    q = forward(network, buffer.features)[-1].numpy()
    q_logged, value = answers(buffer, network, rows)
    action = buffer.action[:, 0].numpy()
    assert q_logged == pytest.approx(buffer.scale * q[rows, action[rows]], rel=1e-5)
    expected = (buffer.target.numpy() * q).sum(axis=1)[rows]
    assert value == pytest.approx(buffer.scale * expected, rel=1e-5, abs=1e-6)


def test_training_only_draws_the_rows_it_may_learn_from() -> None:
    buffer = small_buffer()
    config = FqeConfig(hidden=(8,), batch=16, refresh=5, max_steps=30, check_every=1)
    rows, starts = np.array([0, 1, 2]), np.array([0])
    changed = replace(buffer, reward=torch.where(torch.arange(14) > 3, 9.0, buffer.reward))
    one, _ = train(buffer, rows, starts, config, least_steps=0)
    other, _ = train(changed, rows, starts, config, least_steps=0)
    assert torch.equal(one.flat, other.flat)
    wider, _ = train(changed, np.arange(14), starts, config, least_steps=0)
    assert not torch.equal(one.flat, wider.flat)


def test_the_following_network_goes_its_share_of_the_way() -> None:
    buffer = small_buffer()
    config = FqeConfig(hidden=(8,), batch=16, refresh=5, max_steps=5, check_every=1, follow=1.0)
    rows, starts = np.arange(14), np.array([0])
    first = initial_network(buffer, (8,), torch.Generator().manual_seed(0)).flat
    whole, steps = train(buffer, rows, starts, config, 0)
    half, _ = train(buffer, rows, starts, replace(config, follow=0.5), 0)
    assert steps == 5
    assert torch.allclose(half.flat, (first + whole.flat) / 2.0, atol=1e-6)


@pytest.mark.parametrize(
    ("watched", "steps"),
    [
        ([1.0, 1.0, 1.0, 1.0], 4),  # the first look settles nothing: three calm ones follow
        ([1.0, 1.1, 1.0, 1.1, 1.0, 1.0, 1.0, 1.0], 8),  # a move either way starts anew
        ([-1.0, 1.0, -1.0, -1.0, -1.0, -1.0], 6),
        ([-1.0, -1.0, -1.0, -1.0], 4),
    ],
)
def test_training_ends_after_so_many_settled_looks_in_a_row(
    monkeypatch: pytest.MonkeyPatch, watched: list[float], steps: int
) -> None:
    looks = iter([*watched, *[5.0, -5.0] * 10])

    def told(buffer: Buffer, network: fqe_training.Network, rows: Tensor) -> Tensor:
        # Goals ask for values too: of all rows, more than the one that is watched.
        return torch.tensor([next(looks)]) if len(rows) == 1 else torch.zeros(len(rows))

    monkeypatch.setattr(fqe_training, "values", told)
    config = FqeConfig(hidden=(4,), batch=4, refresh=1, max_steps=12, check_every=1, settled=0.02)
    _, taken = train(small_buffer(), np.arange(14), np.array([0]), config, least_steps=0)
    assert taken == steps


def test_no_more_first_decisions_are_watched_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = fqe_training.values

    def counted(buffer: Buffer, network: fqe_training.Network, rows: Tensor) -> Tensor:
        seen.append(len(rows))
        return plain(buffer, network, rows)

    monkeypatch.setattr(fqe_training, "values", counted)
    monkeypatch.setattr(fqe_training, "START_ROWS", 4)
    config = FqeConfig(hidden=(4,), batch=4, refresh=2, max_steps=2, check_every=1)
    train(small_buffer(), np.arange(14), np.arange(14), config, 0)
    assert seen == [8, 4]


def test_goals_of_more_rows_than_the_log_has_are_the_same() -> None:
    buffer = small_buffer()
    network = small_network(buffer)
    rows = torch.arange(14).repeat(3).view(3, 14)
    one_by_one = torch.stack([goals(buffer, network, row[:7]) for row in rows])
    assert torch.allclose(goals(buffer, network, rows)[:, :7], one_by_one, atol=1e-6)
    q = forward(network, buffer.features)[-1]
    value = torch.cat([(buffer.target * q).sum(dim=1)[1:], torch.zeros(1)])
    expected = buffer.reward + buffer.onward * value
    assert torch.allclose(goals(buffer, network, rows), expected.expand(3, 14), atol=1e-6)
