"""Why a contact got a mail, told to the contact: short, without scores, and of nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Feature, Journey, Message
from nurture_rl.papers.policy_words import is_learned
from nurture_rl.papers.sentences import joined, label
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.http.explain_wire import Explanation

_SHOWN = 3  # kinds of things that counted most
# What a feature looks at, by the type of the events that it counts.
_LOOKS: Mapping[str, str] = {
    "sent": "the mails that you got",
    "delivered": "the mails that you got",
    "open": "the mails that were opened",
    "click": "what you clicked in mails",
    "page_view": "the pages that you visited",
    "form_submitted": "the forms that you sent us",
    "reply": "your answers",
    "meeting_booked": "your meetings with us",
    "escalated": "your talks with our salespeople",
    "sales_activity": "your talks with our salespeople",
    "stage_changed": "how far your talks with us have come",
    "slowed": "how often you get mails",
}
_DATE = "the date and the time since you came in"


class ContactReason(msgspec.Struct, frozen=True):
    """Why a contact got a mail, or none; without ids of people, scores, features and free text."""

    decision_id: str
    decided_on: str  # day, UTC
    sent: bool  # a mail left, or is to leave
    text: list[str]  # sentences to the contact
    link: str | None  # where the contact reads the same; null: the server has no public address


def contact_reason(
    one: Explanation, bundles: Sequence[Bundle], link: str | None = None
) -> ContactReason:
    """Tell a contact why.

    Args:
        one: the decision, explained.
        bundles: that are at hand; of the decision's journey and catalogue, if any is.
        link: where the contact reads it.
    """
    alike = [b for b in bundles if b.journey.name == one.journey and b.catalog.hash == one.catalog]
    bundle = next((b for b in alike if b.policy_id == one.policy_id), next(iter(alike), None))
    message = None if bundle is None else _message(bundle.catalog, one.action)
    mailed = one.status in ("sent", "confirmed", "planned")
    day = one.decided_at.partition("T")[0]
    text = [f"{_what(one, mailed, message)} It was decided on {day}.", _who(one, bundle)]
    if bundle is not None and one.layer in ("policy", "rules"):
        text += _looked(one, bundle.journey)
    if one.layer == "policy" and one.propensity < 1.0:
        text.append("Part of the choice was by lot, so that we learn which mails help.")
    text.append("You may say no to our mails at any moment, or choose what you get.")
    return ContactReason(one.decision_id, day, mailed, text, link)


def _message(catalog: ActionCatalog, action: str) -> Message | None:
    return catalog.actions[catalog.index(action)].message if action in catalog.ids else None


def _what(one: Explanation, mailed: bool, message: Message | None) -> str:
    about = f" about {label(message.topic)}" if message and message.topic != "none" else ""
    if mailed:
        was = "is to be sent" if one.status == "planned" else "was sent"
        return f"A mail{about} {was} to you."
    if one.status == "withdrawn":
        return f"A mail{about} was planned for you and taken back before it left."
    return "No mail was sent to you."


def _who(one: Explanation, bundle: Bundle | None) -> str:
    """Who chose it; what a learned policy is, is said of the bundle that decided alone."""
    if one.layer in ("switch", "failure"):
        return "Mails were stopped at that moment."
    if one.layer == "rules":
        return "A computer chose it by rules that people wrote; no person looked at it."
    own = bundle is not None and bundle.policy_id == one.policy_id
    if bundle is not None and own and not is_learned(bundle.policy.spec(), bundle.journey):
        return "A computer chose it by a program that people wrote; no person looked at it."
    return (
        "A computer chose it, by what it learned from how people answered earlier mails; no person "
        "looked at it."
        if own
        else "A computer chose it; no person looked at it."
    )


def _looked(one: Explanation, journey: Journey) -> Iterator[str]:
    """What it could look at, and what counted most: kinds of things, and no value of any."""
    kinds = {feature.name: _kinds(feature, journey) for feature in journey.features}
    every = dict.fromkeys(kind for own in kinds.values() for kind in own)
    yield f"It may look at: {joined([*every], 'and')}. It looks at nobody but you."
    if one.features is not None and one.features.effects:
        most = [kind for effect in one.features.effects for kind in kinds.get(effect.feature, ())]
        named = list(dict.fromkeys(most))[:_SHOWN]
        yield f"What counted most: {joined(named, 'and')}."


def _kinds(feature: Feature, journey: Journey) -> tuple[str, ...]:
    """What a feature looks at."""
    if feature.kind == "attribute":
        return (f"what we know of your {label(feature.attribute)}",)
    if feature.kind == "calendar":
        return (_DATE,)
    if feature.kind == "stage":
        return (_LOOKS["stage_changed"],)
    types = {signal.name: signal.type for signal in journey.signals}
    named = [types[channel.removesuffix(".value")] for channel in (*feature.of, *feature.until)]
    return tuple(dict.fromkeys(_LOOKS.get(kind, label(kind)) for kind in named))
