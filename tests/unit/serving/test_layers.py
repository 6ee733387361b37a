"""What fails is answered by the journey's rules, then by a pause, each under an id of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.clock import HOUR_US
from nurture_rl.release.bundle import Bundle, write_bundle
from nurture_rl.serving.deciding.decide import decide, replay
from nurture_rl.serving.layers import FAIL_CLOSED, PAUSED, line_of
from nurture_rl.serving.records import ContactView, Decision, Event
from nurture_rl.serving.roles import SwitchTo
from tests.unit.release.bundles import CREATED, content
from tests.unit.serving.contacts import MIDNIGHT, ZONE, contact, event, view


def decided(
    bundle: Bundle, views: list[ContactView], seed: int = 7, switch: SwitchTo = "learned"
) -> list[Decision]:
    """Decide where nothing is refused."""
    line = line_of(bundle, switch)
    found = decide(bundle, views, MIDNIGHT, seed, ZONE, None, lambda _: line)
    assert all(isinstance(answer, Decision) for answer in found)
    return [answer for answer in found if isinstance(answer, Decision)]


def many(n: int) -> list[ContactView]:
    """Contacts who differ in luck, in size and in what they did, so that rules part them."""
    topics = ("pricing", "security", "product")

    def clicks(i: int) -> list[Event]:
        moments = ((h, MIDNIGHT - h * HOUR_US - i) for h in range(i % 6))
        return [event("click", at_us, topic=topics[(i + h) % 3]) for h, at_us in moments]

    return [
        view(
            *clicks(i),
            contact=contact(attributes={"company_size": i % 9}),
            decision_id=f"d-{i}",
        )
        for i in range(n)
    ]


class Broken:
    """A policy that fails for large companies and pauses otherwise."""

    def __init__(self, bundle: Bundle, answer: Callable[[Any], Any]) -> None:
        self.bundle, self.answer = bundle, answer

    def action_probabilities(self, features: Any, mask: Any) -> Any:
        """Whatever is wrong, for large companies."""
        if features[0, self.bundle.feature_spec.column("company_size")] > 5:
            return self.answer(mask)
        return np.eye(mask.shape[1])[[self.bundle.catalog.wait]]

    def spec(self) -> dict[str, str]:
        """Named for the protocol's sake."""
        return {"kind": "broken"}


def _raise(mask: Any) -> Any:
    raise RuntimeError("no memory left")


def _on_masked(mask: Any) -> Any:
    return np.eye(mask.shape[1])[[int((~mask[0]).argmax())]]


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "raises": (_raise, "no memory left"),
    "not a number": (lambda mask: np.full(mask.shape, np.nan), "not a number"),
    "sum": (lambda mask: mask * 0.5, "misses 1"),
    "masked": (_on_masked, "masked action"),
    "shape": (lambda mask: np.ones((1, 2)) / 2, "[n, a]"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_where_the_policy_fails_the_rules_decide_for_that_contact_alone(
    bundle: Bundle, wrong: str
) -> None:
    answer, text = WRONG[wrong]
    broken = replace(bundle, policy=Broken(bundle, answer))
    # An hour in the night is masked, so there is an action that may not be had.
    asleep = contact(attributes={"company_size": 9})
    caught = view(*(event("sent", MIDNIGHT - h * HOUR_US) for h in range(3)), contact=asleep)
    good, bad = decided(broken, [view(), replace(caught, decision_id="d-2")])
    assert (good.policy_id, good.note) == (bundle.policy_id, None)
    (rules,) = decided(bundle, [replace(caught, decision_id="d-2")], switch="rules")
    assert bad.policy_id == rules.policy_id == bundle.manifest.rules_id
    assert (bad.action, bad.probabilities) == (rules.action, rules.probabilities)
    assert text in (bad.note or "")
    assert bundle.policy_id in (bad.note or "")
    assert replay(bundle, bad, 7)


def test_where_the_rules_fail_too_the_contact_gets_a_pause(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(bundle, policy=Broken(bundle, _raise))
    monkeypatch.setattr(
        "nurture_rl.policies.program.Rules.action_probabilities", lambda *_: np.ones((1, 1))
    )
    large = view(contact=contact(attributes={"company_size": 9}))
    (bad,) = decided(broken, [large])
    assert (bad.policy_id, bad.action, bad.propensity) == (FAIL_CLOSED, "pause:1", 1.0)
    assert sum(bad.probabilities) == 1.0
    assert "no memory left" in (bad.note or "")
    assert f"policy {bundle.manifest.rules_id} failed" in (bad.note or "")
    assert replay(bundle, bad, 7)


def test_switched_to_rules_it_decides_as_a_bundle_of_the_rules_bit_for_bit(
    bundle: Bundle, tmp_path: Path
) -> None:
    rules = write_bundle(tmp_path / "rules", content({"kind": "rules"}), CREATED)
    views = many(60)
    learned = decided(bundle, views, seed=0)
    for seed in range(4):
        switched = decided(bundle, views, seed, "rules")
        own = decided(rules, views, seed)
        assert [replace(one, note=None) for one in switched] == own
    assert len({one.action for one in own}) > 1, "the rules should tell these contacts apart"
    assert [one.action for one in own] != [one.action for one in learned]
    assert {one.note for one in switched} == {"the switch stands at rules"}
    assert all(replay(bundle, one, 3) and replay(rules, one, 3) for one in switched)


def test_switched_to_pause_nobody_is_written_to(bundle: Bundle) -> None:
    found = decided(bundle, many(60), switch="pause")
    assert {(one.policy_id, one.action, one.propensity) for one in found} == {
        (PAUSED, "pause:1", 1.0)
    }
    assert {one.note for one in found} == {"the switch stands at pause"}
    assert all(replay(bundle, one, 7) for one in found)
