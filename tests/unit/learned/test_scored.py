"""A learned policy: its scores, its files, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from nurture_rl.errors import BundleError, ProbabilityError, ShapeError
from nurture_rl.learned import scored
from nurture_rl.learned.choice_rules import Boltzmann, Greedy, InverseGap, Rule, Vote
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy, split_network
from nurture_rl.learned.scored_files import load_scored, save_scored
from nurture_rl.policies.policy import FloatArray, PolicyError, check_probabilities
from nurture_rl.rl.actor import Actor, perceptron

MASK = np.array([[True, True, False, True], [False, True, False, False], [True] * 4])
COLUMNS = ("x", "y", "z")


def contexts(scale: float = 1.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return (scale * np.random.default_rng(0).normal(size=(3, 3))).astype(np.float32)


def linear(maps: FloatArray, rule: Rule | None = None, floor: float = 0.0) -> ScoredPolicy:
    """Scores that are linear in features of mean 0 and scale 1, [m, a, d + 1]."""
    d = maps.shape[2] - 1
    module = ScoredModule((np.zeros(d), np.ones(d)), [], maps, rule or Vote(), floor)
    return ScoredPolicy("abc", COLUMNS[:d], module, {"rows": 5.0})


def network() -> ScoredPolicy:
    """A softmax over a network that is sure of itself."""
    actor = Actor(3, 4, (8, 6), torch.Generator().manual_seed(0))
    for parameter in actor.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    actor.standardise.learn(torch.tensor(contexts() * 2.0 + 1.0))
    return actor.policy("abc", COLUMNS)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_masked_actions_have_probability_exactly_0(scale: float) -> None:
    table = network().action_probabilities(contexts(scale), MASK)
    check_probabilities(table, MASK)
    assert (table[~MASK] == 0.0).all()
    assert table[1].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_a_network_is_taken_apart_and_put_together_again() -> None:
    layers = perceptron((3, 8, 6, 4), 1.0, torch.Generator().manual_seed(2))
    hidden, maps = split_network(layers)
    module = ScoredModule((np.zeros(3), np.ones(3)), hidden, maps, Greedy())
    x = torch.tensor(contexts())
    torch.testing.assert_close(module.scores(x)[:, :, 0].float(), layers(x))


def test_an_actor_acts_as_it_was_trained() -> None:
    actor = Actor(3, 4, (8,), torch.Generator().manual_seed(0))
    for parameter in actor.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    actor.standardise.learn(torch.tensor(contexts() * 2.0 + 1.0))
    trained = actor.log_probabilities(torch.tensor(contexts()), torch.tensor(MASK)).exp()
    table = actor.policy("abc", COLUMNS).action_probabilities(contexts(), MASK)
    np.testing.assert_allclose(table, trained.detach().numpy(), atol=1e-6)


def test_linear_scores_are_those_of_standardised_features() -> None:
    maps = np.array([[[1.0, 2.0, 0.0], [0.5, 0.0, -1.0]]])
    module = ScoredModule((np.array([1.0, 2.0]), np.array([2.0, 4.0])), [], maps, Greedy())
    found = module.scores(torch.tensor([[5.0, -6.0]]))  # standardised: 2 and -2
    assert found.tolist() == [[[5.0], [2.5]]]


def test_an_outlier_saturates_a_network_but_not_linear_scores() -> None:
    policy = network()
    far, further = contexts(1e5), contexts(1e7)
    assert np.array_equal(
        policy.action_probabilities(far, MASK), policy.action_probabilities(further, MASK)
    )
    module = linear(np.array([[[0.0, 1.0], [0.0, 2.0]]])).module
    assert module.scores(torch.tensor([[1e6]])).tolist() == [[[1e6], [2e6]]]


def test_a_row_alone_gets_the_probabilities_it_has_in_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(6)
    policy = linear(rng.normal(size=(64, 4, 4)), Vote(), 0.01)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    mask = rng.random((300, 4)) < 0.7
    mask[:, 1] = True
    batch = policy.action_probabilities(x, mask)
    for i in (0, 150, 299):
        alone = policy.action_probabilities(x[i : i + 1], mask[i : i + 1])
        assert alone[0] == pytest.approx(batch[i], abs=1e-12)
    monkeypatch.setattr(scored, "_CHUNK_BYTES", 1)  # one row at a time
    assert policy.action_probabilities(x, mask) == pytest.approx(batch, abs=1e-12)


@pytest.mark.parametrize(
    "policy", [network(), linear(np.ones((3, 4, 4)), InverseGap(2.0), 0.05)], ids=["net", "linear"]
)
def test_a_saved_policy_decides_exactly_as_before(policy: ScoredPolicy, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "core"  # neither is there yet
    save_scored(policy, folder)
    again = load_scored(folder, "abc")
    before = policy.action_probabilities(contexts(), MASK)
    assert (again.action_probabilities(contexts(), MASK) == before).all()
    assert again.spec() == {"kind": "model", "name": "core"}
    assert (again.columns, again.fit) == (COLUMNS, policy.fit)
    assert sorted(path.name for path in folder.iterdir()) == ["policy.json", "policy.safetensors"]


def test_a_policy_of_another_catalogue_is_refused(tmp_path: Path) -> None:
    save_scored(network(), tmp_path)
    with pytest.raises(BundleError, match="fitted on catalogue abc, this is xyz"):
        load_scored(tmp_path, "xyz")


@pytest.mark.parametrize("name", ["policy.safetensors", "policy.json"])
def test_a_damaged_policy_is_refused(tmp_path: Path, name: str) -> None:
    save_scored(network(), tmp_path)
    (tmp_path / name).write_bytes(b"\x08")
    with pytest.raises(BundleError, match="save it again"):
        load_scored(tmp_path, "abc")
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match="FileNotFoundError"):
        load_scored(tmp_path, "abc")


NAN = float("nan")
NO_RULES: list[Any] = ["greedy", None, [], {"kind": "boltzmann"}]
NO_FITS: list[Any] = [None, [], {"rows": "many"}]


@pytest.mark.parametrize(
    "changed",
    [
        *({"rule": rule} for rule in NO_RULES),
        *({"rule": {"kind": "boltzmann", "temperature": value}} for value in (0, NAN, 10**400)),
        *({"rule": {"kind": "epsilon_greedy", "epsilon": value}} for value in ("a", 2)),
        *({"floor": value} for value in (1, NAN, True, "0", 10**400)),
        *({"unit": value} for value in ("sine", None)),
        *({"layers": value} for value in (-1, 1, 3, 10**12, True, 2.0, None)),
        *({"columns": value} for value in ("xyz", ["x", "y"], ["x", "y", "z", "w"], [1, 2, 3])),
        *({"fit": value} for value in NO_FITS),
        *({"name": 3}, {"catalog_hash": None}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("policy", [network(), linear(np.ones((3, 4, 4)))], ids=["net", "linear"])
def test_a_record_that_was_altered_is_refused(
    policy: ScoredPolicy, changed: dict[str, Any], tmp_path: Path
) -> None:
    save_scored(policy, tmp_path)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(BundleError, match="save it again"):
        load_scored(tmp_path, "abc")


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "null", "3"])
def test_a_record_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    save_scored(network(), tmp_path)
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(BundleError, match="save it again"):
        load_scored(tmp_path, "abc")


@pytest.mark.parametrize(
    "changed",
    [
        {"maps": torch.zeros(4, 7, dtype=torch.float64)},
        {"maps": torch.zeros(0, 4, 7, dtype=torch.float64)},
        {"maps": torch.full((1, 4, 7), NAN, dtype=torch.float64)},
        {"maps": torch.zeros(1, 4, 7, dtype=torch.int64)},
        {"mean": torch.zeros(3, 1, dtype=torch.float64)},
        {"mean": torch.tensor(0.0, dtype=torch.float64)},
        {"scale": torch.zeros(3, dtype=torch.float64)},
        {"weight_0": torch.full((8, 3), NAN)},
        {"bias_0": torch.zeros(8, 1)},
        {"weight_9": torch.zeros(8, 3)},
    ],
    ids=lambda changed: f"{[(name, *value.shape) for name, value in changed.items()]}",
)
def test_arrays_that_were_altered_are_refused(changed: dict[str, Tensor], tmp_path: Path) -> None:
    save_scored(network(), tmp_path)
    path = tmp_path / "policy.safetensors"
    path.write_bytes(save({**load(path.read_bytes()), **changed}))
    with pytest.raises(BundleError, match="save it again"):
        load_scored(tmp_path, "abc")


@pytest.mark.parametrize("wrong", [NAN, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_is_refused(wrong: float) -> None:
    features = contexts()
    features[1, 2] = wrong
    with pytest.raises(PolicyError, match=rf"row 1 has {wrong} in z, expected finite"):
        network().action_probabilities(features, MASK)


def test_contexts_of_another_journey_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"mask \[n, 4\]"):
        network().action_probabilities(contexts(), MASK[:, :2])
    with pytest.raises(ShapeError, match="expected 3 features, got 2"):
        network().action_probabilities(contexts()[:, :2], MASK)
    with pytest.raises(ProbabilityError, match="row 0 has no legal action"):
        network().action_probabilities(contexts(), np.zeros((3, 4), bool))


def test_parts_that_do_not_fit_are_refused() -> None:
    maps = np.zeros((1, 2, 3))
    with pytest.raises(ShapeError, match=r"expected maps \[m, a, h \+ 1\]"):
        ScoredModule((np.zeros(3), np.ones(3)), [], maps, Greedy())
    with pytest.raises(ShapeError, match="scale"):
        ScoredModule((np.zeros(2), np.ones(3)), [], maps, Greedy())
    layer = (torch.zeros(2, 5), torch.zeros(2))
    with pytest.raises(ShapeError, match="layers of widths"):
        ScoredModule((np.zeros(3), np.ones(3)), [layer], maps, Greedy())
    with pytest.raises(ShapeError, match=r"maps \(0, 2, 3\)"):
        ScoredModule((np.zeros(2), np.ones(2)), [], maps[:0], Greedy())
    with pytest.raises(ShapeError, match=r"maps \(2, 3\)"):
        ScoredModule((np.zeros(2), np.ones(2)), [], maps[0], Greedy())
    with pytest.raises(PolicyError, match="scales > 0"):
        ScoredModule((np.zeros(2), np.array([1.0, 0.0])), [], maps, Greedy())
    with pytest.raises(PolicyError, match="expected finite"):
        ScoredModule((np.zeros(2), np.ones(2)), [], maps + NAN, Greedy())
    with pytest.raises(ShapeError, match="expected 3 columns"):
        replace(network(), columns=("x", "y"))
    with pytest.raises(PolicyError, match=r"at most 0\.5"):
        ScoredModule((np.zeros(2), np.ones(2)), [], maps, Boltzmann(1.0), floor=0.6)


def test_contexts_with_few_legal_actions_are_scored_for_these_as_if_for_all() -> None:
    rng = np.random.default_rng(3)
    policy = linear(rng.normal(size=(16, 7, 4)))
    x = rng.normal(size=(200, 3)).astype(np.float32)
    mask = rng.random((200, 7)) < np.where(rng.random(200) < 0.5, 0.2, 0.8)[:, None]
    mask[:, 2] = True
    assert 0 < (mask.sum(axis=1) < 3.5).sum() < 200
    with torch.no_grad():
        whole = policy.module(torch.tensor(x), torch.tensor(mask)).numpy()
    np.testing.assert_array_equal(policy.action_probabilities(x, mask), whole)
    check_probabilities(whole, mask)
