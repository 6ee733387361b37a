"""An exported core gives the probabilities of the original on 10,000 states."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.errors import BundleError, ProbabilityError
from nurture_rl.learned.choice_rules import Vote
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.policies.policy import FloatArray
from nurture_rl.release import onnx_export
from nurture_rl.release.bundle import load_bundle, write_bundle
from nurture_rl.release.onnx_export import export_onnx, parity
from nurture_rl.release.onnx_policy import OnnxPolicy
from nurture_rl.rl.actor import Actor
from tests.unit.release.bundles import CREATED, content, journey

JOURNEY = journey()
CATALOG, SPEC = ActionCatalog.of(JOURNEY), FeatureSpec.of(JOURNEY)
D, A = len(SPEC.columns), len(CATALOG)


def thompson(maps: FloatArray | None = None, floor: float = 0.002) -> ScoredPolicy:
    """32 random draws over features of many scales."""
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(32, A, D + 1))
    draws[:, 3] = draws[:, 2]  # two actions that always tie
    scale = rng.uniform(0.1, 50.0, D)
    module = ScoredModule(
        (rng.normal(size=D), scale), [], draws if maps is None else maps, Vote(), floor
    )
    return ScoredPolicy(CATALOG.hash, SPEC.columns, module, {})


def actor() -> ScoredPolicy:
    """A network that is sure of itself."""
    generator = torch.Generator().manual_seed(3)
    module = Actor(D, A, (64, 64), generator)
    module.standardise.learn(torch.randn(200, D, generator=generator) * 7 + 2)
    with torch.no_grad():
        module.layers[-1].weight.mul_(300.0)  # type: ignore[operator]
    return module.policy(CATALOG.hash, SPEC.columns)


@pytest.fixture(scope="module", params=["thompson", "actor"])
def core(request: pytest.FixtureRequest) -> ScoredPolicy:
    """Both learned cores."""
    return thompson() if request.param == "thompson" else actor()


@pytest.fixture(scope="module")
def model(core: ScoredPolicy, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Its export."""
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    worst = export_onnx(core, path, CATALOG, np.random.default_rng(0))
    assert worst <= 1e-5
    return path.read_bytes()


@pytest.mark.slow
def test_the_export_agrees_on_other_states_than_those_it_was_accepted_on(
    core: ScoredPolicy, model: bytes
) -> None:
    assert parity(core, OnnxPolicy.load(model, "core"), CATALOG, np.random.default_rng(9)) <= 1e-5


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_the_graph_ties_what_the_policy_ties_in_any_unit(size: float) -> None:
    scores = np.zeros((1, A, D + 1))
    scores[0, :4, 0] = size, np.nextafter(size, 0.0), size * (1.0 - 1e-11), -size
    policy = thompson(scores, floor=0.0)
    features, mask = np.zeros((1, D), np.float32), np.arange(A)[None] < 4
    answer = policy.module(torch.tensor(features), torch.tensor(mask)).numpy()
    assert answer[0, :4] == pytest.approx([0.5, 0.5, 0.0, 0.0])
    assert answer == pytest.approx(policy.action_probabilities(features, mask))


def test_parity_sees_a_core_that_is_another(core: ScoredPolicy, model: bytes) -> None:
    module = deepcopy(core.module)
    with torch.no_grad():
        module.maps[0, 0, 0] += 0.5
    other = replace(core, module=module)
    assert parity(other, OnnxPolicy.load(model, "core"), CATALOG, np.random.default_rng(9)) > 1e-5


@pytest.mark.slow
def test_an_export_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, other = thompson(), thompson(floor=0.01)
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
    core: ScoredPolicy, model: bytes, tmp_path: Path
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


def graph(answer: str, inputs: str = "float[n, 2] features, bool[n, 2] mask") -> bytes:
    """A graph that answers with an ONNX expression, [n, 2]."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    agraph ({inputs}) => (float[n, 2] probabilities) {{
        {answer}
    }}"""
    return onnx.parser.parse_model(text).SerializeToString()  # type: ignore[no-any-return]


FEATURES = np.array([[1.0, 2.0], [0.25, 0.75]], np.float32)
ALL = np.ones((2, 2), np.bool_)


def test_a_graph_of_probabilities_is_cleaned_of_32_bits_alone() -> None:
    policy = OnnxPolicy.load(graph("probabilities = Softmax <axis = 1> (features)"), "new")
    table = policy.action_probabilities(FEATURES, ALL)
    assert np.abs(table.sum(axis=1) - 1.0).max() <= 1e-15
    assert table[1] == pytest.approx([0.377541, 0.622459], abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("probabilities = Identity (features)", r"'new'.*row 0 of 2 does not sum to 1 \(sum 3\)"),
        ("probabilities = Neg (features)", "row 0 of 2 has an entry that is negative"),
        ("probabilities = Log (features)", "row 1 of 2 has an entry that is negative"),
        ("probabilities = Sub (features, features)", r"does not sum to 1 \(sum 0\)"),
    ],
)
def test_what_is_no_probability_is_not_divided_by_its_sum(answer: str, words: str) -> None:
    policy = OnnxPolicy.load(graph(answer), "new")
    with pytest.raises(ProbabilityError, match=words):
        policy.action_probabilities(FEATURES, ALL)


def test_a_graph_that_ignores_the_mask_is_refused() -> None:
    policy = OnnxPolicy.load(graph("probabilities = Softmax <axis = 1> (features)"), "new")
    with pytest.raises(ProbabilityError, match="puts probability on a masked action"):
        policy.action_probabilities(FEATURES, np.array([[True, False], [True, True]]))


@pytest.mark.parametrize(
    ("inputs", "answer"),
    [
        ("float[n, 2] x, bool[n, 2] mask", "Identity (x)"),
        ("float[n, 2] features, bool[2] mask", "Identity (features)"),
        ("float[n, 2] features", "Identity (features)"),
    ],
)
def test_a_graph_of_other_inputs_is_refused_when_it_is_loaded(inputs: str, answer: str) -> None:
    with pytest.raises(BundleError, match=r"features \[n, d\] and mask \[n, a\], got"):
        OnnxPolicy.load(graph(f"probabilities = {answer}", inputs=inputs), "new")


def test_a_graph_of_any_number_of_actions_is_refused_when_it_is_loaded() -> None:
    inputs = "float[n, 2] features, bool[n, k] mask"
    with pytest.raises(BundleError, match="fixed numbers of features and actions"):
        OnnxPolicy.load(graph("probabilities = Identity (features)", inputs), "new")
