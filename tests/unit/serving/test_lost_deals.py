"""A lost deal is followed up later and otherwise; a known topic needs no general message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails import Reason
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.records import Decision
from tests.pipeline.test_own_journey import BLOCK, PAGE
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event, service

MORNING = MIDNIGHT + 8 * HOUR_US
LOST: dict[str, Any] = {"stage": "lost", "topic": "price"}


@pytest.fixture(scope="module")
def win_back(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The journey of the page, under the guardrails that it changes alone."""
    (text,) = (text for _, title, text in BLOCK.findall(PAGE) if title == "win_back.yaml")
    path = tmp_path_factory.mktemp("journey") / "win_back.yaml"
    path.write_text(text, "utf-8")
    found = load_journey(str(path))
    rails = replace(found.guardrails, availability=False, quiet_hours=None)
    return replace(found, guardrails=rails)


def asked(
    journey: Journey, bundle: Bundle, path: Path, at_us: int, *events: Any, liked: str | None = None
) -> dict[str, tuple[float, set[str]]]:
    """The chance of each message, and why it has none, for a contact with some events."""
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    made = build_policy("random", PolicyContext(journey, catalog, spec))
    own = replace(bundle, journey=journey, catalog=catalog, feature_spec=spec, policy=made)
    served = service(own, path, Clock(at_us))
    attributes = {"months_dormant": 9, "past_clicks": 2} | ({"liked": liked} if liked else {})
    served.store.put_contacts([replace(contact("eve"), attributes=attributes)])
    served.append_events([replace(one, contact_id="eve") for one in events])
    (answer,) = served.decide([Ask("eve")])
    assert isinstance(answer, Decision)
    found: dict[str, tuple[float, set[str]]] = {}
    for place, name in enumerate(catalog.ids):
        if name.startswith("send:"):
            chance, why = found.get(name[5:].split("@")[0], (0.0, set()))
            bits = Reason(int(answer.reasons[place]))
            words = {str(one.name) for one in Reason if one in bits}
            found[name[5:].split("@")[0]] = (
                chance + float(answer.probabilities[place]),
                why | words,
            )
    assert np.isfinite(answer.probabilities).all()
    return found


def sold_nothing(days_ago: float, **cells: Any) -> Any:
    return event("opportunity_closed", MORNING - int(days_ago * DAY_US), **{**LOST, **cells})


def test_mail_waits_and_then_speaks_of_the_reason(
    win_back: Journey, bundle: Bundle, tmp_path: Path
) -> None:
    soon = asked(win_back, bundle, tmp_path / "a.db", MORNING, sold_nothing(20))
    assert all(chance == 0.0 for chance, _ in soon.values())
    assert all("SALES_CONVERSATION" in why for _, why in soon.values())
    later = asked(win_back, bundle, tmp_path / "b.db", MORNING, sold_nothing(35))
    assert later["new_terms"][0] > 0.0
    never = asked(win_back, bundle, tmp_path / "c.db", MORNING)
    assert never["new_terms"] == (0.0, {"NOT_ELIGIBLE"})
    assert never["whats_new"][0] > 0.0


def test_budgets_wait_longer_and_who_does_not_fit_is_left_alone(
    win_back: Journey, bundle: Bundle, tmp_path: Path
) -> None:
    budget = sold_nothing(60, topic="no_budget")
    held = asked(win_back, bundle, tmp_path / "a.db", MORNING, budget)
    assert all(chance == 0.0 for chance, _ in held.values())
    budget = sold_nothing(100, topic="no_budget")
    free = asked(win_back, bundle, tmp_path / "b.db", MORNING, budget)
    assert free["whats_new"][0] > 0.0
    assert free["new_terms"] == (0.0, {"NOT_ELIGIBLE"})  # that was about the price
    unfit = asked(win_back, bundle, tmp_path / "c.db", MORNING, sold_nothing(700, topic="no_fit"))
    assert all(chance == 0.0 and "OPTED_OUT" in why for chance, why in unfit.values())


@pytest.mark.parametrize(("liked", "general"), [("story", False), ("offer", False), (None, True)])
def test_the_general_message_is_masked_where_the_topic_is_known(
    win_back: Journey, bundle: Bundle, tmp_path: Path, liked: str | None, general: bool
) -> None:
    found = asked(win_back, bundle, tmp_path / "a.db", MORNING, liked=liked)
    chance, why = found["whats_new"]
    assert (chance > 0.0) == general
    assert why == (set() if general else {"NOT_ELIGIBLE"})
    assert found["success_story"][0] > 0.0
