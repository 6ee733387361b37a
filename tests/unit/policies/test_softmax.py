"""A softmax over the legal actions, which may share a routing's chance among its actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import PolicyError
from nurture_rl.policies.softmax import crowd
from tests.unit.policies.planted_journeys import INBOUND, context_of

CATALOG = ActionCatalog.of(INBOUND)
CONTEXT = context_of(INBOUND)
D, A = len(CONTEXT.feature_spec.columns), len(CATALOG)
SEND, WAIT = CATALOG.index("send:welcome@09"), CATALOG.wait


def spec(**changed: Any) -> dict[str, Any]:
    numbers = {"mean": [0.0] * D, "scale": [1.0] * D, "weights": np.zeros((D + 1, A)).tolist()}
    return {"kind": "softmax", **numbers, "crowding": 0.0, **changed}


def test_an_actions_logit_is_linear_in_the_standardised_features() -> None:
    weights = np.zeros((D + 1, A))
    weights[0, SEND], weights[-1, SEND] = 3.0, 0.5
    numbers = {"mean": [2.0, *[0.0] * (D - 1)], "scale": [4.0, *[1.0] * (D - 1)]}
    policy = build_policy(spec(weights=weights.tolist(), **numbers), CONTEXT)
    x = np.zeros((1, D), np.float32)
    x[0, 0] = 6.0
    (row,) = policy.action_probabilities(x, np.ones((1, A), bool))
    # (6 - 2) / 4 * 3 + 0.5 = 3.5, every other logit is 0
    assert row[SEND] == pytest.approx(np.exp(3.5) / (np.exp(3.5) + A - 1))


def test_full_crowding_shares_a_routings_chance_among_its_legal_actions() -> None:
    policy, x = build_policy(spec(crowding=1.0), CONTEXT), np.zeros((1, D), np.float32)
    mask = np.zeros((1, A), bool)
    mask[0, [SEND, SEND + 1, WAIT]] = True
    (row,) = policy.action_probabilities(x, mask)
    assert row[[SEND, SEND + 1, WAIT]] == pytest.approx([0.25, 0.25, 0.5])
    (plain,) = build_policy(spec(), CONTEXT).action_probabilities(
        np.zeros((1, D), np.float32), mask
    )
    assert plain[WAIT] == pytest.approx(1 / 3)  # negative control


def test_legal_actions_of_a_routing_are_counted() -> None:
    mask = np.zeros((1, A), bool)
    mask[0, [SEND, SEND + 1, WAIT]] = True
    assert crowd(mask, CATALOG)[0, [SEND, WAIT]] == pytest.approx([np.log(2.0), 0.0])


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"mean": [0.0]}, "one per feature column"),
        ({"mean": "many"}, "expected numbers"),
        ({"scale": [1.0]}, "expected scale"),
        ({"scale": [0.0] * D}, "scales > 0"),
        ({"weights": [[float("nan")] * A] * (D + 1)}, "finite numbers"),
        ({"weights": [[0.0] * A] * D}, "weights"),
    ],
)
def test_numbers_that_do_not_fit_the_journey_are_refused(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(PolicyError, match=said):
        build_policy(spec(**changed), CONTEXT)
