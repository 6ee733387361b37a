"""Recorded decisions: they stay the same; whether they may still be carried out is asked again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.features import evaluate
from nurture_envs.guardrails import Reason, legal_actions, reason_names
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.accounts import against_account
from nurture_rl.serving.contacts.facts import Known, known, offered, slot_us
from nurture_rl.serving.records import ContactView, Decision, Event
from nurture_rl.serving.storage.reading import NOT_CONFIRMED

_log = logging.getLogger(__name__)

# What a person says or does against any mail, whatever its hour.
_STOPS = int(
    Reason.NO_CONSENT
    | Reason.OPTED_OUT
    | Reason.HARD_BOUNCE
    | Reason.SALES_CONVERSATION
    | Reason.PAUSED
    | Reason.ACCOUNT_CONVERSATION
)


class Check(Enum):
    """How a decision is looked at again."""

    AT_ITS_HOUR = "at its hour"  # it will leave at its slot, as when it was made
    LEAVES_NOW = "leaves now"  # a send leaves at this moment, whatever its slot
    CONFIRMED = "confirmed"  # it was told to leave: only a stop or the end of its bin take it back
    STOPPED = "stopped"  # only a stop takes it back


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded decision to look at again."""

    decision: Decision
    view: ContactView  # as known now, without the decision's own reservation
    now_us: int  # the moment, microseconds since 1970 UTC
    check: Check
    went: Event | None = None  # proves that it was carried out


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a recorded decision must not be carried out any more."""

    code: str  # withdrawn, expired or fail_closed
    why: str


def objections(
    bundle: Bundle, recorded: Sequence[Recorded], default_zone: str
) -> list[Objection | None]:
    """What stands against each recorded decision now; None: it may be carried out.

    Only a send or a call can do harm late, so nothing stands against any other decision.

    Args:
        bundle: what is served now.
        recorded: the decisions, [n].
        default_zone: zone of contacts who have none.
    """
    asked = [i for i, one in enumerate(recorded) if acts(one.decision)]
    found = dict(
        zip(asked, _against(bundle, [recorded[i] for i in asked], default_zone), strict=True)
    )
    return [found.get(i) for i in range(len(recorded))]


def acts(decision: Decision) -> bool:
    """Whether it reaches a person: a send or a call."""
    return decision.scheduled_us is not None or decision.action == "escalate"


def _against(
    bundle: Bundle, recorded: Sequence[Recorded], default_zone: str
) -> list[Objection | None]:
    if not recorded:
        return []
    catalog, settings = bundle.catalog, bundle.journey.guardrails
    moments = np.array([one.now_us for one in recorded], np.int64)
    try:
        views = [one.view for one in recorded]
        facts = known(bundle.journey, bundle.feature_spec, views, moments, default_zone)
        features = evaluate(
            bundle.feature_spec, facts.past, facts.bins, facts.anchor_us, facts.attributes
        )
        # The decision has its piece of an inventory already.
        now = offered(catalog, bundle.feature_spec, facts.facts, features)
        _, own = legal_actions(now, catalog, settings)
        at_once = np.array([one.check is Check.LEAVES_NOW for one in recorded])
        if at_once.any():
            own = np.where(
                at_once[:, None], legal_actions(now, _leaving_now(catalog), settings)[1], own
            )
        reasons = against_account(bundle, views, facts, own, moments, at_once)
    except Exception as error:  # one contact's broken record must not stop the others
        if len(recorded) > 1:
            return [_against(bundle, [one], default_zone)[0] for one in recorded]
        _log.exception("facts of a contact could not be worked out")
        return [Objection("fail_closed", f"{type(error).__name__}: {error}")]
    return [_objection(bundle, one, facts, reasons, row) for row, one in enumerate(recorded)]


def _objection(
    bundle: Bundle, one: Recorded, facts: Known, reasons: NDArray[np.int64], row: int
) -> Objection | None:
    decision, view, check, went = one.decision, one.view, one.check, one.went
    stops = _stops(bundle.catalog, reasons[row], decision.action)
    if check is Check.STOPPED:
        if stops:
            return Objection("withdrawn", ", ".join(stops))
        ended = facts.ended_by[row]
        return Objection("withdrawn", f"the episode ended ({ended})") if ended else None
    ids, step = bundle.catalog.ids, int(facts.bins[row])
    if went is not None and decision.scheduled_us is not None:
        return Objection("withdrawn", f"it went already: a `{went.type}` event names it")
    if check is not Check.CONFIRMED and _is_over(decision, one.now_us):
        return Objection("withdrawn", NOT_CONFIRMED)
    if decision.journey != bundle.journey.name:
        return Objection("withdrawn", f"it was made in journey {decision.journey}")
    if decision.action not in ids:
        return Objection("withdrawn", "this release has no such action")
    over = facts.ended_by[row] or view.episode.ended or ("exit" if view.episode.exited else "")
    if over:
        return Objection("withdrawn", f"the episode ended ({over})")
    bits = int(reasons[row, bundle.catalog.index(decision.action)])
    if names := stops if check is Check.CONFIRMED else reason_names(bits):
        return Objection("withdrawn", ", ".join(names))
    if step != decision.step or view.episode.episode_id != decision.episode_id:
        return Objection("expired", f"it was good for bin {decision.step}, this is bin {step}")
    if check is Check.AT_ITS_HOUR and _moved(bundle.catalog, decision, facts, row):
        return Objection("withdrawn", "the contact's zone is another one now")
    return None


def _moved(catalog: ActionCatalog, decision: Decision, facts: Known, row: int) -> bool:
    """Whether the hour of a send is another moment than when it was decided."""
    slot = catalog.actions[catalog.index(decision.action)].slot
    if decision.scheduled_us is None or slot == NOW:
        return False
    moment = slot_us(slot, int(facts.local_us[row]), str(facts.zones[row]))
    return moment != decision.scheduled_us


def _is_over(decision: Decision, now_us: int) -> bool:
    """Whether a send had to be confirmed by some moment that is past."""
    return decision.confirm_by_us is not None and decision.confirm_by_us <= now_us


def _stops(catalog: ActionCatalog, reasons: NDArray[np.int64], action: str) -> list[str]:
    """The stops among what stands against a send: what the person said of its message, and what
    is the same for all sends."""
    sends = catalog.routed("send")
    if not sends.any():
        return []
    bits = int(reasons[sends.argmax()]) & _STOPS
    if action in catalog.ids:
        bits |= int(reasons[catalog.index(action)]) & int(Reason.NOT_WANTED)
    return reason_names(bits)


@lru_cache(maxsize=4)
def _leaving_now(catalog: ActionCatalog) -> ActionCatalog:
    """The same actions in the same order, every send at the moment of asking."""
    return ActionCatalog(
        tuple(
            replace(action, slot=NOW) if action.routing == "send" else action
            for action in catalog.actions
        )
    )
