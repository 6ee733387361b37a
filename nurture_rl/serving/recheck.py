"""Repeated requests: the decision stays the same; whether it is still allowed is checked again."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from nurture_envs.features import evaluate
from nurture_envs.guardrails import legal_actions, reason_names
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.facts import known, offered
from nurture_rl.serving.records import Answer, ContactView, Decision, Refusal

_log = logging.getLogger(__name__)

Pair = tuple[Decision, ContactView]


def recheck(bundle: Bundle, pairs: Sequence[Pair], now_us: int, default_zone: str) -> list[Answer]:
    """Return the recorded decisions that are still allowed now, and refuse the others.

    Only a send or a call can do harm late, so every other decision is returned as it is. A send or
    a call stays valid in its bin and journey, as long as no guardrail forbids it; the decision's
    own reservation is not counted.

    Args:
        bundle: what is served now.
        pairs: each decision with its contact as known now, without the decision's reservation.
        now_us: the moment, microseconds since 1970 UTC.
        default_zone: zone of contacts who have none.

    Returns:
        Per pair the decision, or a refusal that says why it must no longer be carried out.
    """
    asked = [i for i, (decision, _) in enumerate(pairs) if _acts(decision)]
    against = _against(bundle, [pairs[i] for i in asked], now_us, default_zone)
    objections = dict(zip(asked, against, strict=True))
    answers: list[Answer] = []
    for i, (decision, _) in enumerate(pairs):
        code, why = objections.get(i) or ("", "")
        if code:
            text = (
                f"decision {decision.decision_id!r} was {decision.action} and must not be carried "
                f"out any more: {why}; send nothing, and ask anew without this request_id"
            )
            answers.append(Refusal(decision.contact_id, code, text))
        else:
            answers.append(decision)
    return answers


def _acts(decision: Decision) -> bool:
    return decision.scheduled_us is not None or decision.action == "escalate"


def _against(
    bundle: Bundle, pairs: Sequence[Pair], now_us: int, default_zone: str
) -> list[tuple[str, str] | None]:
    if not pairs:
        return []
    views = [view for _, view in pairs]
    moments = np.full(len(pairs), now_us, np.int64)
    try:
        facts = known(bundle.journey, bundle.feature_spec, views, moments, default_zone)
        features = evaluate(
            bundle.feature_spec, facts.past, facts.bins, facts.anchor_us, facts.attributes
        )
        # The decision has its piece of an inventory already.
        now = offered(bundle.catalog, bundle.feature_spec, facts.facts, features)
        _, reasons = legal_actions(now, bundle.catalog, bundle.journey.guardrails)
    except Exception as error:  # one contact's broken record must not stop the others
        if len(pairs) > 1:
            return [_against(bundle, [pair], now_us, default_zone)[0] for pair in pairs]
        _log.exception("facts of a contact could not be worked out")
        return [("fail_closed", f"{type(error).__name__}: {error}")]
    objections: list[tuple[str, str] | None] = []
    for row, (decision, view) in enumerate(pairs):
        ids, step = bundle.catalog.ids, int(facts.bins[row])
        if decision.journey != bundle.journey.name:
            objections.append(("withdrawn", f"it was made in journey {decision.journey}"))
        elif decision.action not in ids:
            objections.append(("withdrawn", "this release has no such action"))
        elif facts.ended_by[row] or view.episode.exited:
            objections.append(("withdrawn", f"the episode ended ({facts.ended_by[row] or 'exit'})"))
        elif names := reason_names(int(reasons[row, bundle.catalog.index(decision.action)])):
            objections.append(("withdrawn", ", ".join(names)))
        elif step != decision.step or view.episode.episode_id != decision.episode_id:
            objections.append(
                ("expired", f"it was good for bin {decision.step}, this is bin {step}")
            )
        else:
            objections.append(None)
    return objections
