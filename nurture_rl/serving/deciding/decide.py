"""Deciding: a pure function of bundle, contact views, moment and seed. Any doubt means pause."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import HOUR_US
from nurture_rl.policies.policy import check_probabilities, sample_actions
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.company import alone
from nurture_rl.serving.contacts.accounts import against_account
from nurture_rl.serving.contacts.crowd import against_crowd
from nurture_rl.serving.contacts.facts import Known, known
from nurture_rl.serving.contacts.reply_handoffs import against_rest
from nurture_rl.serving.deciding.array_pass import Drawn, Weighed, draw, uniforms, weigh
from nurture_rl.serving.deciding.ghosts import with_ghosts
from nurture_rl.serving.deciding.next_decisions import next_moments
from nurture_rl.serving.layers import FAIL_CLOSED, PAUSED, Line, layer_named, line_of
from nurture_rl.serving.records import Answer, ContactView, Decision, Event, Refusal

_log = logging.getLogger(__name__)


def decide(
    bundle: Bundle,
    views: Sequence[ContactView],
    now_us: int,
    seed: int,
    default_zone: str,
    left: Mapping[str, int] | None = None,
    line: Callable[[ContactView], Line] | None = None,
) -> list[Answer]:
    """Decide for each contact, independently of the others asked for.

    Args:
        bundle: what decides.
        views: the contacts, [n].
        now_us: the moment of the decisions, microseconds since 1970 UTC.
        seed: with a decision's id it gives that decision's luck.
        default_zone: zone of contacts who have none.
        left: sends left of each offer that has an inventory, by name; None: enough of all.
        line: who is asked for a contact; None: the bundle's policy for everybody.

    Returns:
        Per contact a decision, or a refusal when its episode is over, has not begun, or was
        decided for this bin already. Where a policy fails, the next of its line decides; facts
        that cannot be worked out give a refusal.
    """
    if not views:
        return []
    if line is None:
        own = line_of(bundle)
        return decide(bundle, views, now_us, seed, default_zone, left, lambda _: own)
    moments = np.full(len(views), now_us, np.int64)
    try:
        facts = known(bundle.journey, bundle.feature_spec, views, moments, default_zone)
        features, own_reasons = weigh(bundle, facts, left)
        reasons = _against(bundle, views, facts, own_reasons, moments)
    except Exception as error:  # one contact's broken record must not stop the others
        if len(views) == 1:
            _log.exception("facts of a contact could not be worked out")
            return [Refusal(views[0].contact.contact_id, FAIL_CLOSED, _text(error))]
        parts = views[: len(views) // 2], views[len(views) // 2 :]  # halving finds a few of many
        made = [decide(bundle, one, now_us, seed, default_zone, left, line) for one in parts]
        return made[0] + made[1]
    contacts = Weighed(facts.bins, facts.local_us, facts.zones, features, reasons)
    steps = facts.bins.tolist()
    answers: dict[int, Answer] = {}
    asked: dict[Line, list[int]] = {}
    for row, view in enumerate(views):
        if (no := refusal(bundle, view, steps[row], facts.ended_by[row])) is not None:
            answers[row] = no
        else:
            asked.setdefault(line(view).at(features[row]), []).append(row)
    for one, rows in asked.items():
        some, named = contacts.of(rows), [views[row] for row in rows]
        ids = [view.decision_id for view in named]
        drawn = draw(bundle.catalog, some, ids, now_us, seed, one)
        decided = _decisions(bundle, named, some, drawn, now_us, one)
        told = with_ghosts(bundle.catalog, decided, named, some, one.ghost, seed)
        answers |= zip(rows, told, strict=True)
    return [answers[row] for row in range(len(views))]


def _against(
    bundle: Bundle,
    views: Sequence[ContactView],
    facts: Known,
    own: NDArray[np.int32],
    moments: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The reasons against actions, with those that servers alone know, [n, a]."""
    reasons = against_account(bundle, views, facts, own, moments)
    reasons = against_crowd(bundle.catalog, views, facts, reasons, moments)
    return against_rest(bundle.journey, bundle.catalog, views, reasons, moments)


def refusal(bundle: Bundle, view: ContactView, step: int, ended_by: str) -> Refusal | None:
    """Why there is no decision to make in this bin, or None where there is one.

    Args:
        bundle: its journey gives the horizon.
        view: the contact.
        step: the current bin.
        ended_by: the terminal signal seen in the episode, or empty.
    """
    contact, episode = view.contact.contact_id, view.episode
    horizon = bundle.journey.clock.horizon
    over = f"episode over: {episode.episode_id} ended "
    if episode.barred is not None:
        return Refusal(contact, "not_enrolled", f"{episode.barred}; nothing is decided for them")
    if episode.exited:
        return Refusal(contact, "episode_over", over + "with the decision to exit")
    if ended_by:
        return Refusal(contact, "episode_over", over + f"with the signal {ended_by}")
    if step >= horizon:
        text = over + f"after its {horizon} bins; this would be bin {step}"
        return Refusal(contact, "episode_over", text)
    if episode.ended is not None:
        return Refusal(contact, "episode_over", f"{over}({episode.ended})")
    if step < 0:
        text = "the first bin of the episode has not begun; ask again when it has"
        return Refusal(contact, "not_started", text)
    if episode.last_step is not None and step == episode.last_step:
        text = (
            f"bin {step} of {episode.episode_id} has its decision; give the same request_id to "
            "have it again, or ask in the next bin"
        )
        return Refusal(contact, "already_decided", text)
    if episode.last_step is not None and step < episode.last_step:
        text = f"bin {step} lies before bin {episode.last_step}, which was decided; set the clock"
        return Refusal(contact, "out_of_order", text)
    return None


def made_events(bundle: Bundle, decisions: Sequence[Decision]) -> list[Event]:
    """Events that decisions are themselves, for nobody else reports them: a slower cadence."""
    slows = {action.id for action in bundle.catalog.actions if action.routing == "slow"}
    return [
        Event(
            event_id=f"{decision.decision_id}.slowed",
            contact_id=decision.contact_id,
            occurred_us=decision.decided_us,
            recorded_us=decision.decided_us,
            type="slowed",
            source="server",
            decision_id=decision.decision_id,
        )
        for decision in decisions
        if decision.action in slows
    ]


def replay(bundle: Bundle, decision: Decision, seed: int) -> bool:
    """True when bundle, logged features and mask, seed and id give the logged decision again.

    Every probability must be equal bit for bit, and so must the action and its propensity.
    """
    wait = bundle.catalog.wait
    if decision.catalog != bundle.catalog.hash:
        return False
    if decision.policy_id in (FAIL_CLOSED, PAUSED):
        return decision.action == bundle.catalog.ids[wait] and decision.propensity == 1.0
    layer = layer_named(bundle, decision.policy_id)
    if layer is None or decision.features is None:
        return False
    features = np.array([decision.features], np.float32)
    mask = np.array([decision.mask], np.bool_)
    try:
        tables = alone(layer.policy, features, mask)
        for table in tables:
            check_probabilities(table, mask)
    except Exception:  # whatever a model raises, it gives nothing again
        return False
    return any(_is_of(bundle, decision, table, seed) for table in tables)


def _is_of(bundle: Bundle, decision: Decision, table: NDArray[np.float64], seed: int) -> bool:
    """Whether a decision is drawn by these probabilities, [1, a]."""
    action = int(sample_actions(table, uniforms(seed, [decision.decision_id]))[0])
    same = tuple(table[0].tolist()) == decision.probabilities
    same = same and bundle.catalog.ids[action] == decision.action
    return same and float(table[0, action]) == decision.propensity


def _decisions(
    bundle: Bundle,
    views: Sequence[ContactView],
    contacts: Weighed,
    drawn: Drawn,
    now_us: int,
    line: Line,
) -> list[Decision]:
    """What was drawn, as records, [n]."""
    catalog, name = bundle.catalog, bundle.journey.name
    must_be_confirmed = bundle.journey.guardrails.confirm
    ids, of = catalog.ids, drawn.answers
    said = of if len(of) == len(views) else [*of] * len(views)
    actions, sends = drawn.actions.tolist(), catalog.routed("send")[drawn.actions].tolist()
    propensity = drawn.table[np.arange(len(views)), drawn.actions].tolist()
    anchors_us = np.array([view.episode.anchor_us for view in views], np.int64)
    taken, clock = [ids[action] for action in actions], bundle.journey.clock
    experiment, share = (None, None) if line.deal is None else astuple(line.deal)
    next_us = next_moments(clock, taken, contacts.bins, anchors_us, contacts.zones)
    rows = zip(
        views,
        contacts.bins.tolist(),
        drawn.table.tolist(),
        (contacts.reasons == 0).tolist(),
        contacts.reasons.tolist(),
        contacts.features.tolist(),
        drawn.scheduled_us.tolist(),
        strict=True,
    )
    made = []
    for row, (view, step, table, mask, reasons, features, at_us) in enumerate(rows):
        scheduled_us = at_us if sends[row] else None
        made.append(
            Decision(
                decision_id=view.decision_id,
                contact_id=view.contact.contact_id,
                journey=name,
                episode_id=view.episode.episode_id,
                anchor_us=view.episode.anchor_us,
                step=step,
                decided_us=now_us,
                action=taken[row],
                propensity=propensity[row],
                probabilities=tuple(table),
                mask=tuple(mask),
                reasons=tuple(reasons),
                features=tuple(features),
                policy_id=said[row].policy_id,
                arm=line.arm,
                catalog=catalog.hash,
                scheduled_us=scheduled_us,
                note=said[row].note,
                confirm_by_us=at_us + HOUR_US if sends[row] and must_be_confirmed else None,
                experiment=experiment,
                arm_share=share,
                next_us=next_us[row],
            )
        )
    return made


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
