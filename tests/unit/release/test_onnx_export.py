"""An exported core gives the probabilities of the original on 10,000 states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.bandits.linear_thompson import LinearThompsonFit, LinearThompsonPolicy
from nurture_rl.errors import BundleError
from nurture_rl.release import onnx_export
from nurture_rl.release.bundle import load_bundle, write_bundle
from nurture_rl.release.onnx_export import export_onnx, parity
from nurture_rl.release.onnx_policy import OnnxPolicy
from nurture_rl.rl.actor import Actor, ActorPolicy
from tests.unit.release.bundles import CREATED, content, journey

JOURNEY = journey()
CATALOG, SPEC = ActionCatalog.of(JOURNEY), FeatureSpec.of(JOURNEY)
D, A = len(SPEC.columns), len(CATALOG)


def thompson() -> LinearThompsonPolicy:
    """32 random draws over features of many scales."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(32, A, D + 1))
    scores[:, 3] = scores[:, 2]  # two actions that always tie
    fit = LinearThompsonFit(100, 10, 1.0, 1.0, 1.0, 1.0, 3.0)
    scale = rng.uniform(0.1, 50.0, D)
    return LinearThompsonPolicy("core", CATALOG.hash, scores, rng.normal(size=D), scale, 0.002, fit)


def actor() -> ActorPolicy:
    """A network that is sure of itself."""
    generator = torch.Generator().manual_seed(3)
    module = Actor(D, A, (64, 64), generator)
    module.standardise.learn(torch.randn(200, D, generator=generator) * 7 + 2)
    with torch.no_grad():
        module.layers[-1].weight.mul_(300.0)  # type: ignore[operator]
    return ActorPolicy("core", CATALOG.hash, SPEC.columns, (64, 64), A, module)


@pytest.fixture(scope="module", params=["thompson", "actor"])
def core(request: pytest.FixtureRequest) -> onnx_export.Core:
    """Both learned cores."""
    return thompson() if request.param == "thompson" else actor()


@pytest.fixture(scope="module")
def model(core: onnx_export.Core, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Its export."""
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    worst = export_onnx(core, path, CATALOG, np.random.default_rng(0))
    assert worst <= 1e-5
    return path.read_bytes()


def test_the_export_agrees_on_other_states_than_those_it_was_accepted_on(
    core: onnx_export.Core, model: bytes
) -> None:
    assert parity(core, OnnxPolicy.load(model, "core"), CATALOG, np.random.default_rng(9)) <= 1e-5


def test_parity_sees_a_core_that_is_another(core: onnx_export.Core, model: bytes) -> None:
    if isinstance(core, ActorPolicy):
        other: onnx_export.Core = actor()
        with torch.no_grad():
            other.module.layers[0].bias.add_(0.01)  # type: ignore[union-attr, operator]
    else:
        other = replace(core, floor=core.floor + 1e-4)
    assert parity(other, OnnxPolicy.load(model, "core"), CATALOG, np.random.default_rng(9)) > 1e-5


def test_an_export_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, other = thompson(), replace(thompson(), floor=0.01)
    graph = onnx_export._graph(other, A)
    monkeypatch.setattr(onnx_export, "_graph", lambda core, n_actions: graph)
    with pytest.raises(BundleError, match="at most 1e-05 is allowed"):
        export_onnx(policy, tmp_path / "model.onnx", CATALOG, np.random.default_rng(0))
    assert not (tmp_path / "model.onnx").exists()


def test_a_core_of_another_catalogue_is_refused(tmp_path: Path) -> None:
    stranger = replace(thompson(), catalog_hash="0" * 16)
    with pytest.raises(BundleError, match="expected a core trained on catalogue"):
        export_onnx(stranger, tmp_path / "model.onnx", CATALOG, np.random.default_rng(0))


def test_a_bundle_with_a_learned_core_loads_and_guards_its_model(
    core: onnx_export.Core, model: bytes, tmp_path: Path
) -> None:
    spec = {
        "kind": "trust_region",
        "policy": {"kind": "model", "name": "core"},
        "anchor": {"kind": "random"},
        "max_ratio": 3,
        "explore": 0.1,
    }
    write_bundle(tmp_path / "bundle", content(spec, model), CREATED)
    states = content().states
    table = load_bundle(tmp_path / "bundle").policy.action_probabilities(
        states.features, states.mask
    )
    assert table.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-9)
    path = tmp_path / "bundle" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"model\.onnx"):
        load_bundle(tmp_path / "bundle")
