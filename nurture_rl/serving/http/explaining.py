"""Why a decision was made: worked out again from its stored row, never from what is known now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from nurture_envs.guardrails import reason_names
from nurture_envs.journey import Journey
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.arm_records import Ghost
from nurture_rl.serving.deciding.array_pass import uniforms
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.next_decisions import with_next
from nurture_rl.serving.deciding.reason_words import reasons_in_words
from nurture_rl.serving.http.confirm_wire import status_of
from nurture_rl.serving.http.explain_text import in_plain_words
from nurture_rl.serving.http.explain_wire import (
    DecidedBy,
    EventAfter,
    ExplainedAction,
    Explanation,
    FeatureEffects,
    GhostTold,
    ReasonCard,
    ReplayCheck,
    RuleCard,
)
from nurture_rl.serving.http.feature_effects import feature_effects
from nurture_rl.serving.http.reason_card import reason_card, rule_card
from nurture_rl.serving.http.wire import iso
from nurture_rl.serving.layers import FAIL_CLOSED, PAUSED, layer_named
from nurture_rl.serving.records import Decision, Event, Fate
from nurture_rl.serving.storage.reading import StoreReader

_MOST_EVENTS = 1_000  # that are listed


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A stored decision, and what the store knows of it since."""

    decision: Decision
    fate: Fate
    went: Event | None  # proves that it was carried out
    events: Sequence[Event]  # that name it
    zone: str  # of the contact, IANA
    seed: int  # of the luck of decisions
    ghost: Ghost | None = None  # what the policy would have decided, were the contact not held out


def recorded(
    store: StoreReader, decision_id: str, default_zone: str, seed: int
) -> DecisionRecord | None:
    """Read a decision and what became of it; None: no decision has that id.

    Args:
        store: where it was made.
        decision_id: its id.
        default_zone: zone of contacts who have none.
        seed: with a decision's id it gives that decision's luck.
    """
    decision = store.decisions([decision_id]).get(decision_id)
    if decision is None:
        return None
    contact = next(iter(store.contacts([decision.contact_id]).values()), None)
    return DecisionRecord(
        decision,
        store.fates([decision_id]).get(decision_id, Fate()),
        store.proofs([decision_id]).get(decision_id),
        store.events_of_decision(decision_id)[:_MOST_EVENTS],
        (contact.time_zone if contact else None) or default_zone,
        seed,
        store.ghosts([decision_id]).get(decision_id),
    )


def explained(
    one: DecisionRecord,
    bundles: Iterable[Bundle],
    catalogs: Mapping[str, Sequence[str]],
    cards: bool = True,
) -> Explanation:
    """Explain a decision.

    Args:
        one: the decision.
        bundles: that are at hand; the one that decided may be among them.
        catalogs: the action ids of every catalogue, by its hash.
        cards: split the score into what each feature adds, which asks the policy a thousand times.
    """
    decision, fate, found = one.decision, one.fate, list(bundles)
    by, bundle = _decided_by(decision, found)
    ids = catalogs.get(decision.catalog, (decision.action,))
    likely = int(np.argmax(decision.probabilities)) if len(ids) > 1 else 0
    journeys = [b.journey for b in found if b.journey.name == decision.journey]
    status, at, why = status_of(decision, fate, one.went)
    explanation = Explanation(
        decision_id=decision.decision_id,
        contact_id=decision.contact_id,
        journey=decision.journey,
        episode_id=decision.episode_id,
        step=decision.step,
        decided_at=iso(decision.decided_us) or "",
        action=decision.action,
        scheduled_at=iso(decision.scheduled_us),
        layer=by,
        policy_id=decision.policy_id,
        bundle=None if bundle is None else bundle.manifest.created_at,
        arm=decision.arm,
        experiment=decision.experiment,
        arm_share=decision.arm_share,
        ghost=_ghost(one.ghost),
        catalog=decision.catalog,
        note=decision.note,
        propensity=decision.propensity,
        luck=None
        if by in ("switch", "failure")
        else float(uniforms(one.seed, [decision.decision_id])[0]),
        most_likely=ids[likely],
        explored=decision.propensity < max(decision.probabilities, default=decision.propensity),
        actions=_actions(decision, ids),
        reasons=_reasons(decision, bundle) if cards else None,
        rule=_rule(decision, bundle) if cards else None,
        features=_effects(decision, bundle),
        replay=_replayed(one, by, bundle, found),
        next_decision_at=next_decision(one, journeys[0]) if journeys else None,
        status=status,
        status_at=at,
        withdrawn_because=why,
        events=[
            EventAfter(iso(e.occurred_us) or "", e.type, e.source, e.is_machine) for e in one.events
        ],
        text=[],
    )
    return msgspec.structs.replace(explanation, text=in_plain_words(explanation))


def next_decision(one: DecisionRecord, journey: Journey) -> str | None:
    """When the contact is to be decided for again; None: the decision was the episode's last.

    Args:
        one: the decision.
        journey: of its clock.
    """
    return iso(with_next(one.decision, journey, one.zone).next_us)


def _decided_by(decision: Decision, bundles: Sequence[Bundle]) -> tuple[DecidedBy, Bundle | None]:
    if decision.policy_id in (PAUSED, FAIL_CLOSED):
        return ("switch" if decision.policy_id == PAUSED else "failure"), None
    for bundle in bundles:
        if decision.catalog != bundle.catalog.hash:
            continue
        if decision.policy_id == bundle.policy_id:
            return "policy", bundle
        if decision.policy_id == bundle.manifest.rules_id and decision.arm != "usual":
            return "rules", bundle
        if layer_named(bundle, decision.policy_id) is not None:
            return "arm", bundle
    return "unknown", None


def _ghost(ghost: Ghost | None) -> GhostTold | None:
    return None if ghost is None else GhostTold(ghost.action, ghost.propensity, ghost.policy_id)


def _actions(decision: Decision, ids: Sequence[str]) -> list[ExplainedAction]:
    """All actions, the likeliest first and the forbidden ones last; of a catalogue that is lost
    the one that was taken."""
    if len(ids) != len(decision.probabilities):
        return [ExplainedAction(decision.action, decision.propensity, [], [])]
    cells = zip(ids, decision.probabilities, decision.reasons, strict=True)
    found = [
        ExplainedAction(name, chance, reason_names(bits), reasons_in_words(bits))
        for name, chance, bits in cells
    ]
    return sorted(found, key=lambda one: (bool(one.forbidden_by), -one.probability))


def _effects(decision: Decision, bundle: Bundle | None) -> FeatureEffects | None:
    layer = None if bundle is None else layer_named(bundle, decision.policy_id)
    if bundle is None or layer is None or decision.features is None:
        return None
    action = bundle.catalog.index(decision.action)
    try:
        return feature_effects(bundle.feature_spec, layer.policy, decision, action)
    except Exception:  # whatever a model raises; the replay says that it does not answer as it did
        return None


def _reasons(decision: Decision, bundle: Bundle | None) -> ReasonCard | None:
    layer = None if bundle is None else layer_named(bundle, decision.policy_id)
    if bundle is None or layer is None:
        return None
    try:
        return reason_card(bundle, layer.policy, decision)
    except Exception:  # as of `_effects`
        return None


def _rule(decision: Decision, bundle: Bundle | None) -> RuleCard | None:
    layer = None if bundle is None else layer_named(bundle, decision.policy_id)
    if layer is None:
        return None
    try:
        return rule_card(layer.policy, decision)
    except Exception:  # as of `_effects`
        return None


def _replayed(
    one: DecisionRecord, by: DecidedBy, bundle: Bundle | None, bundles: Sequence[Bundle]
) -> ReplayCheck:
    decision = one.decision
    if by in ("switch", "failure"):
        bundle = next((b for b in bundles if b.catalog.hash == decision.catalog), None)
    if bundle is None:
        text = f"not tried: no bundle at hand has policy {decision.policy_id}"
        return ReplayCheck(None, text)
    if replay(bundle, decision, one.seed):
        return ReplayCheck(True, "the stored row gives the same decision again, bit for bit")
    text = (
        "the stored row does NOT give the same decision again: what is said of features is of the "
        "policy as it answers here and now"
    )
    return ReplayCheck(False, text)
