"""Deciding: a pure function of bundle, contact views, moment and seed. Any doubt means pause."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW
from nurture_envs.clock import HOUR_US
from nurture_envs.features import evaluate
from nurture_envs.guardrails import legal_actions
from nurture_rl.policies.policy import sample_actions
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.accounts import against_account
from nurture_rl.serving.crowd import against_crowd
from nurture_rl.serving.facts import Known, known, offered, slot_us
from nurture_rl.serving.layers import (
    FAIL_CLOSED,
    PAUSED,
    Chosen,
    Line,
    chosen,
    layer_named,
    line_of,
    probabilities,
)
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
        features = evaluate(
            bundle.feature_spec, facts.past, facts.bins, facts.anchor_us, facts.attributes
        )
        now = offered(bundle.catalog, bundle.feature_spec, facts.facts, features, left)
        _, own = legal_actions(now, bundle.catalog, bundle.journey.guardrails)
        reasons = against_account(bundle, views, facts, own, moments)
        reasons = against_crowd(bundle.catalog, views, facts, reasons, moments)
        mask = reasons == 0
    except Exception as error:  # one contact's broken record must not stop the others
        if len(views) == 1:
            _log.exception("facts of a contact could not be worked out")
            return [Refusal(views[0].contact.contact_id, FAIL_CLOSED, _text(error))]
        return [decide(bundle, [view], now_us, seed, default_zone, left, line)[0] for view in views]
    refused = [
        refusal(bundle, view, int(facts.bins[row]), facts.ended_by[row])
        for row, view in enumerate(views)
    ]
    free = [
        _Row(views[row], facts, features, mask, reasons, row, now_us)
        for row, no in enumerate(refused)
        if no is None
    ]
    made = iter(_decisions(bundle, free, seed, line))
    return [next(made) if no is None else no for no in refused]


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


def uniform(seed: int, decision_id: str) -> float:
    """The luck of a decision, in [0, 1): a hash of seed and id."""
    digest = hashlib.blake2b(f"{seed}:{decision_id}".encode(), digest_size=8).digest()
    return float((int.from_bytes(digest, "big") >> 11) * 2.0**-53)


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
    try:
        table = probabilities(layer.policy, features, np.array([decision.mask], np.bool_))
    except Exception:  # whatever a model raises, it gives nothing again
        return False
    (action,) = _drawn(table, seed, [decision.decision_id])
    same = tuple(table[0].tolist()) == decision.probabilities
    same = same and bundle.catalog.ids[action] == decision.action
    return same and float(table[0, action]) == decision.propensity


class _Row:
    """One contact's share of the arrays of a batch."""

    __slots__ = ("features", "local_us", "mask", "now_us", "reasons", "step", "view", "zone")

    def __init__(
        self,
        view: ContactView,
        facts: Known,
        features: NDArray[np.float32],
        mask: NDArray[np.bool_],
        reasons: NDArray[np.int64],
        row: int,
        now_us: int,
    ) -> None:
        self.view = view
        self.features, self.mask = features[row : row + 1], mask[row : row + 1]
        self.reasons = tuple(reasons[row].tolist())
        self.step, self.now_us = int(facts.bins[row]), now_us
        self.local_us, self.zone = int(facts.local_us[row]), str(facts.zones[row])


def _decisions(
    bundle: Bundle, rows: Sequence[_Row], seed: int, line: Callable[[ContactView], Line]
) -> list[Decision]:
    if not rows:
        return []
    lines = [line(row.view) for row in rows]
    # One row at a time: matrix products of other sizes may round differently, and then a decision
    # would not replay without the company it was made in.
    found = [
        chosen(one, row.features, row.mask, bundle.catalog.wait)
        for one, row in zip(lines, rows, strict=True)
    ]
    table = np.concatenate([one.table for one in found])
    actions = _drawn(table, seed, [row.view.decision_id for row in rows])
    return [
        _decision(bundle, row, one, action, of.arm)
        for row, one, action, of in zip(rows, found, actions, lines, strict=True)
    ]


def _decision(bundle: Bundle, row: _Row, found: Chosen, action: int, arm: str) -> Decision:
    catalog, must_be_confirmed = bundle.catalog, bundle.journey.guardrails.confirm
    view, table, at_us = row.view, found.table, _scheduled(bundle, action, row)
    return Decision(
        decision_id=view.decision_id,
        contact_id=view.contact.contact_id,
        journey=bundle.journey.name,
        episode_id=view.episode.episode_id,
        anchor_us=view.episode.anchor_us,
        step=row.step,
        decided_us=row.now_us,
        action=catalog.ids[action],
        propensity=float(table[0, action]),
        probabilities=tuple(table[0].tolist()),
        mask=tuple(row.mask[0].tolist()),
        reasons=row.reasons,
        features=tuple(row.features[0].tolist()),
        policy_id=found.policy_id,
        arm=arm,
        catalog=catalog.hash,
        scheduled_us=at_us,
        note=found.note,
        confirm_by_us=None if at_us is None or not must_be_confirmed else at_us + HOUR_US,
    )


def _drawn(table: NDArray[np.float64], seed: int, decision_ids: Sequence[str]) -> list[int]:
    luck = np.array([uniform(seed, name) for name in decision_ids])
    return [int(action) for action in sample_actions(table, luck)]


def _scheduled(bundle: Bundle, action: int, row: _Row) -> int | None:
    """UTC of the send: at once, or at its local hour today."""
    chosen = bundle.catalog.actions[action]
    if chosen.routing != "send":
        return None
    if chosen.slot == NOW:
        return row.now_us
    return slot_us(chosen.slot, row.local_us, row.zone)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
