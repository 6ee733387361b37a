"""Decisions for random contacts, held against an independent reading of what is allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.decide import decide
from nurture_rl.serving.records import AccountFacts, Answer, ContactView, Decision
from tests.unit.envs.spring_journey import spring
from tests.unit.serving.mask_oracle import HOUR_US, account_allows, may, over, standing_of
from tests.unit.serving.mask_people import ANCHOR, IDLE, JOURNEYS, QUARTER, a_contact

TOGETHER = 100  # contacts decided in one call, at one moment
_STOCK = {"gift": 1, "trial": 0}  # of the journey that has them
_MAILS = {"kind": "random", "weights": {"send": 0.8, "pause": 0.15, "escalate": 0.05}}
_ACCOUNT = {"caps": [{"max": 2, "hours": 30}, {"max": 3, "hours": 80}], "conversation": True}


def journeys() -> dict[str, Journey]:
    """What is decided in: every rule of contacts and accounts, then few rules, then the shipped."""
    shared = spring(guardrails__inactivity=IDLE, guardrails__account=_ACCOUNT)
    # Where more rules hold, a repeated message is seldom forbidden by nothing else.
    repeats = spring(
        guardrails__frequency_caps=[{"max": 3, "hours": 96}],
        guardrails__min_gap_hours=2,
        guardrails__quiet_hours=[],
        guardrails__availability=False,
    )
    return {"accounts": shared, "repeats": repeats, **JOURNEYS}


@dataclass(slots=True)
class Held:
    """What was decided so far, and where the two readings part."""

    counts: Counter[str] = field(default_factory=Counter)
    parted: list[str] = field(default_factory=list)

    def judge(self, bundle: Bundle, view: ContactView, answer: Answer, now_us: int) -> None:
        """Hold one answer against the oracle, both ways and for every action."""
        journey, catalog = bundle.journey, bundle.catalog
        why = over(journey, view, now_us)
        if not isinstance(answer, Decision):
            self.counts[f"refused: {answer.code}"] += 1
            if answer.code != why:
                self._note(journey, view, now_us, f"refused as {answer.code}, expected {why}")
            return
        self.counts["decisions"] += 1
        self.counts["sends"] += answer.scheduled_us is not None
        if why is not None:
            self._note(journey, view, now_us, f"decided {answer.action}, expected {why}")
            return
        asked = {c.column for offer in journey.offers for c in offer.eligible}
        held = {name: answer.features[bundle.feature_spec.column(name)] for name in asked}  # type: ignore[index]
        at = standing_of(journey, view, now_us, held, _STOCK)
        for action, legal, p in zip(
            catalog.actions, answer.mask, answer.probabilities, strict=True
        ):
            expected = may(journey, action, at)
            if expected and action.routing == "send" and view.account is not None:
                expected = account_allows(journey, view.account, now_us, action.slot)
            self.counts["actions"] += 1
            self.counts["legal"] += expected
            if legal != expected or (p > 0.0 and not legal):
                names = f"{action.id}: {'legal' if legal else 'forbidden'} with probability {p}"
                self._note(journey, view, now_us, f"{names}, expected legal {expected}")

    def _note(self, journey: Journey, view: ContactView, now_us: int, text: str) -> None:
        self.parted.append(f"{journey.name} at {now_us}: {text}\n  {view}")


def bundle_for(journey: Journey, folder: Path) -> Bundle:
    """A bundle of a journey whose policy takes every legal action; `folder` holds any bundle."""
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    policy = build_policy(_MAILS, PolicyContext(journey, catalog, spec))
    loaded = load_bundle(folder)
    return replace(loaded, journey=journey, catalog=catalog, feature_spec=spec, policy=policy)


def hold(
    bundle: Bundle, contacts: int, seed: Sequence[int], held: Held, most_parted: int = 5
) -> None:
    """Decide for so many random contacts of one journey; stops where the readings part."""
    rng = np.random.default_rng(seed)
    for first in range(0, contacts, TOGETHER):
        now_us = ANCHOR + int(rng.integers(0, 14 * 96)) * QUARTER
        some = [
            replace(a_member(bundle.journey, rng, now_us), decision_id=f"{seed}-{first + i}")
            for i in range(min(TOGETHER, contacts - first))
        ]
        left: Mapping[str, int] = _STOCK
        answers = decide(bundle, some, now_us, int(rng.integers(2**40)), "UTC", left)
        for view, answer in zip(some, answers, strict=True):
            held.judge(bundle, view, answer, now_us)
        if len(held.parted) >= most_parted:
            return


def a_member(journey: Journey, rng: np.random.Generator, now_us: int) -> ContactView:
    """A contact, with colleagues where the journey limits accounts."""
    view = a_contact(journey, rng, now_us)
    if journey.guardrails.account is None or rng.random() < 0.2:
        return view
    hours = rng.integers(-400, 60, rng.integers(0, 6))  # quarters
    sends = tuple(sorted(now_us + int(quarter) * HOUR_US // 4 for quarter in hours))
    return replace(view, account=AccountFacts(sends, bool(rng.random() < 0.1)))
