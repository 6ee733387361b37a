"""One contract over every kind of policy, and the refusals of `build_policy`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.errors import ActionError
from nurture_rl.policies.build import build_policy, known_kinds
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Policy,
    PolicyError,
    Spec,
    check_probabilities,
    normalised,
)
from tests.unit.policies.planted_journeys import INBOUND, context_of

CATALOG = ActionCatalog.of(INBOUND)
DESIGN = {"send:welcome@09": 0.6, "pause:1": 0.4}
COLUMNS = len(FeatureSpec.of(INBOUND).columns)

EXAMPLES: dict[str, Any] = {
    "always": {"kind": "always", "action": "send:pricing_guide@15"},
    "drip": {"kind": "drip"},
    "expert": {"kind": "expert"},
    "explore": {"kind": "explore", "base": "drip", "share": 0.3},
    "fixed": {"kind": "fixed", "probabilities": DESIGN},
    "floor": {"kind": "floor", "policy": "drip", "epsilon": 0.01},
    "locked": {"kind": "locked", "policy": "random", "usual": "drip", "free": "timing"},
    "mixture": {"kind": "mixture", "policy": "rules", "other": "always:exit", "share": 0.25},
    "model": {"kind": "model", "name": "first"},
    "no_contact": {"kind": "no_contact"},
    "random": {"kind": "random", "weights": {"send": 1.0, "pause": 3.0}},
    "rules": {"kind": "rules"},
    "softmax": {
        "kind": "softmax",
        "mean": [0.5] * COLUMNS,
        "scale": [2.0] * COLUMNS,
        "weights": [[0.01 * k * a for a in range(len(CATALOG))] for k in range(COLUMNS + 1)],
        "crowding": 0.5,
    },
    "trust_region": {
        "kind": "trust_region",
        "policy": {"kind": "model", "name": "first"},
        "anchor": {"kind": "explore", "base": "drip", "share": 0.2, "with": "random"},
        "max_ratio": 10,
        "explore": 0.05,
    },
}


@dataclass(frozen=True)
class Learned:
    """Stands for a learned policy: softmax of a fixed number per action."""

    name: str

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The same softmax for everybody, over the legal actions, [n, a]."""
        return normalised(np.exp(np.linspace(-2.0, 2.0, mask.shape[1])), mask)

    def spec(self) -> Spec:
        """Kind and name."""
        return {"kind": "model", "name": self.name}


def load(name: str) -> Policy:
    return Learned(name)


CONTEXT = context_of(INBOUND, load)


def contexts(n: int) -> tuple[FeatureArray, BoolArray]:
    """Random contexts and masks; a third of the rows are forced, [n, d] and [n, a]."""
    rng = np.random.default_rng(11)
    x = rng.integers(0, 14, (n, len(CONTEXT.feature_spec.columns))).astype(np.float32)
    mask = rng.random((n, len(CATALOG))) < 0.5
    mask[::3] = False
    mask[:, CATALOG.wait] = True
    return x, mask


def test_every_kind_has_an_example() -> None:
    assert tuple(sorted(EXAMPLES)) == known_kinds()


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_every_kind_is_a_distribution_over_the_legal_actions(kind: str) -> None:
    x, mask = contexts(60)
    rows = build_policy(EXAMPLES[kind], CONTEXT).action_probabilities(x, mask)
    assert rows.dtype == np.float64
    check_probabilities(rows, mask)
    assert (rows[::3, CATALOG.wait] == 1.0).all()


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_every_kind_survives_its_own_description(kind: str) -> None:
    policy = build_policy(EXAMPLES[kind], CONTEXT)
    told = json.loads(json.dumps(policy.spec()))
    assert build_policy(told, CONTEXT) == policy


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_every_kind_answers_a_row_alone_as_in_a_batch(kind: str) -> None:
    x, mask = contexts(9)
    policy = build_policy(EXAMPLES[kind], CONTEXT)
    rows = policy.action_probabilities(x, mask)
    alone = [policy.action_probabilities(x[i : i + 1], mask[i : i + 1])[0] for i in range(9)]
    assert np.array_equal(rows, np.array(alone))


def test_explore_is_a_mixture_with_random() -> None:
    long = {"kind": "mixture", "policy": "drip", "other": "random", "share": 0.3}
    assert build_policy(EXAMPLES["explore"], CONTEXT) == build_policy(long, CONTEXT)


def test_a_text_is_short_for_a_mapping() -> None:
    short = build_policy("always:send:pricing_guide@15", CONTEXT)
    assert short == build_policy(EXAMPLES["always"], CONTEXT)


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PolicyError, match=r"no_contact, random, rules.* got 'dripp'.*'drip'\?"):
        build_policy({"kind": "dripp"}, CONTEXT)
    with pytest.raises(PolicyError, match="expected one of always"):
        build_policy({}, CONTEXT)


def test_an_unknown_kind_deep_inside_is_named_by_its_key() -> None:
    spec = {"kind": "floor", "policy": {**EXAMPLES["mixture"], "other": "rule"}, "epsilon": 0.01}
    with pytest.raises(PolicyError, match=r"policy\.policy\.other\.kind: .*'rule'"):
        build_policy(spec, CONTEXT)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "mixture", "policy": "drip", "share": 0.1}, r"policy\.other: expected a policy"),
        ({"kind": "explore", "base": "drip"}, r"policy\.share: .* missing"),
        ({"kind": "explore", "base": "drip", "share": 2}, r"policy\.share: .* got 2"),
        ({"kind": "explore", "base": "drip", "share": 0.1, "wiht": "rules"}, "did you mean 'with'"),
        ({"kind": "floor", "policy": "drip", "epsilon": 0.2}, r"policy\.epsilon: .* got 0\.2"),
        (
            {"kind": "mixture", "policy": "drip", "other": "rules", "share": 1.5},
            r"policy\.share: .* got 1\.5",
        ),
        ({"kind": "explore", "base": "drip", "share": 1.5}, r"policy\.share: .* got 1\.5"),
        (
            {"kind": "trust_region", "policy": "drip", "anchor": "random", "max_ratio": 0.5},
            r"policy\.max_ratio: .* got 0\.5",
        ),
        (
            {
                "kind": "trust_region",
                "policy": "drip",
                "anchor": "random",
                "max_ratio": 2,
                "explore": 1.5,
            },
            r"policy\.explore: .* got 1\.5",
        ),
        ({"kind": "floor", "policy": "drip", "epsilon": 0.1}, r"policy\.epsilon: .* got 0\.1"),
        ({"kind": "always"}, r"policy\.action: .* missing"),
        ({"kind": "fixed"}, r"policy\.probabilities: .* missing"),
        ({"kind": "random", "weights": {"send": "much"}}, r"weights\.send: .* 'much'"),
        ({"kind": "drip", "share": 0.1}, r"policy\.share: no such key"),
        ({"kind": "floor", "policy": ["drip"], "epsilon": 0.01}, "expected a mapping with a kind"),
    ],
)
def test_a_missing_misspelt_or_impossible_value_is_named(spec: Spec, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        build_policy(spec, CONTEXT)


def test_a_trust_region_of_no_named_exploration_explores_nothing() -> None:
    spec = {"kind": "trust_region", "policy": "drip", "anchor": "random", "max_ratio": 1}
    assert build_policy(spec, CONTEXT).spec()["explore"] == 0.0
    spec["max_ratio"] = 1.5
    assert build_policy(spec, CONTEXT).spec()["max_ratio"] == 1.5


def test_an_action_of_another_catalogue_is_refused() -> None:
    with pytest.raises(ActionError, match="fax"):
        build_policy("always:fax", CONTEXT)


def test_models_need_somebody_who_loads_them_under_their_name() -> None:
    with pytest.raises(PolicyError, match="'first' is asked for where no learned"):
        build_policy(EXAMPLES["model"], context_of(INBOUND))
    with pytest.raises(PolicyError, match="calls itself 'first'"):
        build_policy(EXAMPLES["model"], context_of(INBOUND, lambda name: Learned("second")))
