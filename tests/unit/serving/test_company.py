"""Many contacts asked for at once get, bit for bit, what each would get alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.policies.policy import Policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.company import alone, in_any_company
from nurture_rl.serving.decide import decide, replay
from nurture_rl.serving.layers import Layer, Line
from nurture_rl.serving.records import Answer, ContactView, Decision, Refusal
from nurture_rl.serving.viewing import Ask
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event, service, view

Array = NDArray[Any]
N, D, A = 200, 45, 14


class Network:
    """Two products of matrices, which a BLAS rounds otherwise for one row than for many."""

    def __init__(self, d: int = D, a: int = A) -> None:
        rng = np.random.default_rng(3)
        self.first = rng.normal(size=(d, 64)).astype(np.float32)
        self.second = rng.normal(size=(64, a)).astype(np.float32)
        self.asked: list[int] = []

    def action_probabilities(self, features: Array, mask: Array) -> Array:
        self.asked.append(len(mask))
        scores = np.tanh(0.1 * features @ self.first) @ self.second
        weights = np.where(mask, np.exp(scores.astype(np.float64)), 0.0)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def spec(self) -> dict[str, Any]:
        return {}


class Gregarious(Network):
    """Its answer depends on who is asked for beside a contact."""

    def action_probabilities(self, features: Array, mask: Array) -> Array:
        return super().action_probabilities(features + features.mean(axis=0), mask)


class Choosy(Network):
    """Fails for contacts of whom one feature is large, and with them for whoever is beside."""

    column = 0

    def action_probabilities(self, features: Array, mask: Array) -> Array:
        if (features[:, self.column] > 100).any():
            raise ValueError("too large")
        return super().action_probabilities(features, mask)


def contexts() -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    mask = rng.random((N, A)) < 0.6
    mask[:, 0] = True
    return rng.normal(size=(N, D)).astype(np.float32), mask


@pytest.mark.parametrize("make", [Network, Gregarious])
def test_answers_are_the_same_in_any_company(make: type[Network]) -> None:
    policy, (features, mask) = make(), contexts()
    table = in_any_company(policy, features, mask)
    each = [in_any_company(policy, features[i : i + 1], mask[i : i + 1]) for i in range(N)]
    np.testing.assert_array_equal(np.vstack(each), table)
    np.testing.assert_array_equal(in_any_company(policy, features[7:20], mask[7:20]), table[7:20])
    for i in range(N):
        ways = alone(policy, features[i : i + 1], mask[i : i + 1])
        assert any((way == table[i]).all() for way in ways)


def test_a_policy_is_asked_for_all_at_once_only_where_it_answers_alike() -> None:
    features, mask = contexts()
    for make, most in ((Network, N), (Gregarious, 1)):
        policy = make()
        in_any_company(policy, features, mask)
        policy.asked.clear()
        in_any_company(policy, features, mask)
        assert max(policy.asked) == most


def test_nobody_asked_for_is_no_answer() -> None:
    features, mask = contexts()
    assert in_any_company(Network(), features[:0], mask[:0]).shape == (0, A)


def many(n: int) -> list[ContactView]:
    return [
        view(
            *(event("click", MIDNIGHT - h * 3_600_000_000, topic="pricing") for h in range(i % 5)),
            decision_id=f"d-{i}",
        )
        for i in range(n)
    ]


def test_decisions_of_a_network_do_not_depend_on_the_batch(bundle: Bundle) -> None:
    line, views = of(bundle, Network(*sizes(bundle))), many(40)
    together = decide(bundle, views, MIDNIGHT, 7, ZONE, line=lambda _: line)
    each = [decide(bundle, [one], MIDNIGHT, 7, ZONE, line=lambda _: line)[0] for one in views]
    assert together == each


def of(bundle: Bundle, policy: Policy) -> Line:
    """A line of that policy alone, under the bundle's id."""
    return Line("policy", (Layer(bundle.policy_id, policy),))


def sizes(bundle: Bundle) -> tuple[int, int]:
    return len(bundle.feature_spec.columns), len(bundle.catalog)


def test_where_one_of_many_makes_a_policy_fail_the_others_keep_their_answers(
    bundle: Bundle,
) -> None:
    policy = Choosy(*sizes(bundle))
    policy.column = bundle.feature_spec.column("company_size")
    line = of(bundle, policy)
    broken = view(decision_id="d-3", contact=contact(attributes={"company_size": 1000}))
    views = [*many(3), broken, *many(6)[4:]]
    found = decide(bundle, views, MIDNIGHT, 7, ZONE, line=lambda _: line)
    ids = [one.policy_id for one in found if isinstance(one, Decision)]
    assert ids == [bundle.policy_id] * 3 + ["fail_closed"] + [bundle.policy_id] * 2
    assert "too large" in str(noted(found[3]))
    alone_ = decide(bundle, [views[0]], MIDNIGHT, 7, ZONE, line=lambda _: line)
    assert found[0] == alone_[0]


def noted(answer: Answer) -> str | None:
    assert isinstance(answer, Decision)
    return answer.note


def test_decisions_logged_by_a_policy_asked_for_one_row_still_replay(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions asked for each contact by one row, whatever a policy answers to several."""
    policy = Gregarious(*sizes(bundle))
    line = of(bundle, policy)
    monkeypatch.setattr(
        "nurture_rl.serving.decide.layer_named", lambda bundle, name: Layer(name, policy)
    )
    found = decide(bundle, many(10), MIDNIGHT, 7, ZONE, line=lambda _: line)
    assert all(isinstance(one, Decision) and replay(bundle, one, 7) for one in found)


def test_a_contact_whose_zone_nobody_knows_is_refused_alone(bundle: Bundle, tmp_path: Path) -> None:
    found = service(bundle, tmp_path / "store.db", Clock())
    found.store.put_contacts([contact("lost", time_zone="Mars/Base")])
    answers = found.decide([Ask("ada"), Ask("lost"), Ask("bob")])
    assert [isinstance(one, Decision) for one in answers] == [True, False, True]
    assert isinstance(answers[1], Refusal)
    assert answers[1].code == "fail_closed"
    assert "Mars/Base" in answers[1].message
