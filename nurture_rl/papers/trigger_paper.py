"""What is sent to whom, when, and what stops it: one record, made from a bundle alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nurture_envs.claims import Audience, Claim
from nurture_envs.journey import Journey, Message, Offer
from nurture_rl.papers.guardrail_words import GuardrailText, guardrails_in_words
from nurture_rl.papers.policy_words import PolicySentence, policy_in_words, rules_in_words, sends_by
from nurture_rl.papers.sentences import (
    action_in_words,
    bins_in_words,
    column_meanings,
    conditions_in_words,
    hour_in_words,
    job_in_words,
    joined,
    label,
    signals_in_words,
    span_in_words,
)
from nurture_rl.release.bundle import Bundle
from nurture_rl.release.manifest import MANIFEST, sha256
from nurture_rl.release.signing import SIGNATURE, signers_of
from nurture_rl.wording import counted, plural

_FALLBACK: Mapping[str, Any] = {"kind": "rules"}  # what decides where the policy cannot
_NEVER = "the policy itself never sends it"

Facts = tuple[tuple[str, str], ...]  # (what, its value)


@dataclass(frozen=True, slots=True)
class MessagePaper:
    """One message, told to people."""

    name: str
    is_sent: bool  # approved; others are never sent
    facts: Facts
    triggers: tuple[str, ...]  # what makes the policy send it


@dataclass(frozen=True, slots=True)
class TriggerPaper:
    """All that decides about mail in a bundle, in plain words."""

    title: str
    provenance: str
    seal: Facts  # which bundle this is, by hashes
    policy: tuple[PolicySentence, ...]
    fallback: tuple[str, ...]  # what decides where the policy cannot
    programs: tuple[tuple[str, tuple[str, ...]], ...]  # lists of rules that may decide, by name
    messages: tuple[MessagePaper, ...]
    guardrails: tuple[GuardrailText, ...]
    course: tuple[str, ...]  # who comes in, what ends and pauses a journey
    features: tuple[tuple[str, str], ...]  # what is known of a contact: (column, meaning)
    card: Mapping[str, Any]  # as the bundle has it


def trigger_paper(bundle: Bundle, folder: Path, trust: Path | None = None) -> TriggerPaper:
    """The paper of a bundle; the same bundle gives the same record.

    Args:
        bundle: as loaded, so that every byte was checked.
        folder: it was loaded from.
        trust: file of public keys, whose owners are told where they signed; None: nobody is.

    Raises:
        ConfigError: `trust` holds no public key.
    """
    journey, spec = bundle.journey, bundle.policy.spec()
    parts = policy_in_words(spec, journey)
    return TriggerPaper(
        title=journey.title,
        provenance=journey.provenance,
        seal=_seal(bundle, folder, trust),
        policy=parts,
        fallback=(
            "If the policy gives no answer, the journey's rules decide (below).",
            "If these give none, nothing is sent.",
            "People who run the server can put it on the rules, or stop it, at any moment.",
        ),
        programs=tuple(_programs(journey, parts)),
        messages=tuple(_message(one, journey, parts) for one in journey.messages),
        guardrails=guardrails_in_words(journey),
        course=tuple(_course(journey)),
        features=tuple(column_meanings(journey).items()),
        card=bundle.card,
    )


def _seal(bundle: Bundle, folder: Path, trust: Path | None) -> Facts:
    manifest = (folder / MANIFEST).read_bytes()
    signed = counted(bundle.signatures, "signature")
    if bundle.signatures:
        names: tuple[str, ...] = ()
        if trust is not None:
            names = signers_of(manifest, (folder / SIGNATURE).read_bytes(), trust)
        who = f"by the known {plural(len(names), 'key')} {', '.join(names)}"
        signed += f", {who}" if names else ", by keys that were not asked about"
    asked = f"{counted(bundle.journey.signers, 'person', 'people')} must sign, says the journey"
    return (
        ("Journey", bundle.journey.name),
        ("Policy id", bundle.policy_id),
        ("Bundle made", bundle.manifest.created_at),
        (f"SHA-256 of {MANIFEST}", sha256(manifest)),
        ("Signed", f"{signed}; {asked}"),
    )


def _programs(
    journey: Journey, parts: tuple[PolicySentence, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Lists of rules of the policy and of the journey, each once, and the fixed program."""
    found = [rules_in_words(spec, journey) for spec in (*(p.spec for p in parts), _FALLBACK)]
    yield from dict.fromkeys(program for program in found if program is not None)
    drip = tuple(f"Step {step}: {action_in_words(action)}" for step, action in journey.drip)
    yield "the fixed program", drip or ("It does nothing.",)


def _message(one: Message, journey: Journey, parts: tuple[PolicySentence, ...]) -> MessagePaper:
    triggers = [
        f"{told} ({part.only})" if part.only else told
        for part in parts
        for told in sends_by(part.spec, one.id, journey)
    ]
    fallback = [
        f"where the policy gives no answer: {told}"
        for told in sends_by(_FALLBACK, one.id, journey)
        if told not in triggers
    ]
    facts = [
        ("Aim", job_in_words(one.job)),
        ("Topic", label(one.topic)),
        ("Proof", _proof(one, journey)),
        ("Offer", _offer(one, journey)),
        ("Call to action", label(one.call_to_action)),
        ("Channel", one.channel),
        ("Parts", ", ".join(map(label, one.blocks)) or "none"),
        (
            "Hour, by the contact's clock",
            joined([*map(hour_in_words, journey.options.slots)], "or"),
        ),
        ("Approval", one.approval if one.approval == "approved" else f"{one.approval}: never sent"),
        ("Last day", _last_day(one, journey)),
    ]
    return MessagePaper(
        name=one.id,
        is_sent=one.approval == "approved",
        facts=tuple(facts),
        triggers=tuple(dict.fromkeys([*(triggers or [_NEVER]), *fallback])),
    )


def _claim(one: Message, journey: Journey) -> Claim | None:
    return next((claim for claim in journey.claims if claim.name == one.proof), None)


def _offered(one: Message, journey: Journey) -> Offer | None:
    return next((offer for offer in journey.offers if offer.name == one.offer), None)


def _proof(one: Message, journey: Journey) -> str:
    claim = _claim(one, journey)
    if claim is None:
        return (
            "none" if one.proof == "none" else f"{label(one.proof)}; nobody wrote down its source"
        )
    fits = joined([*map(audience_in_words, claim.fits)], "and")
    return (
        f"{label(claim.name)}: {claim.says}. Source: {claim.source}. Approved by {claim.approver}, "
        f"until {claim.expires}. About {f'contacts whose {fits}' if fits else 'everybody'}"
    )


def audience_in_words(one: Audience) -> str:
    """Which contacts a claim is about."""
    if one.levels:
        return f"{label(one.attribute)} is {joined(one.levels, 'or')}"
    return f"{label(one.attribute)} is {one.low:g} to {one.high:g}"


def _offer(one: Message, journey: Journey) -> str:
    offer = _offered(one, journey)
    if offer is None:
        return label(one.offer)
    who = conditions_in_words(offer.eligible) if offer.eligible else ""
    parts = [f"for whom {who}" if who else "for everybody"]
    parts += [f"costs {offer.cost:g} {journey.reward.unit} a send"] if offer.cost else []
    parts += [f"{offer.inventory} in all"] if offer.inventory is not None else []
    return f"{label(offer.name)}: {', '.join(parts)}"


def _last_day(one: Message, journey: Journey) -> str:
    named = (("message", one), ("offer", _offered(one, journey)), ("claim", _claim(one, journey)))
    ends = [(part.expires, name) for name, part in named if part and part.expires is not None]
    if not ends:
        return "none"
    day, name = min(ends)
    return f"{day}, of the {name}"


def _course(journey: Journey) -> Iterator[str]:
    clock, rules = journey.clock, journey.enrolment
    if rules is None:
        yield "Every contact that the server knows is in the journey, once."
    else:
        yield from (f"{told}." for told in _enrolment(journey))
    yield from _experiment(journey)
    yield (
        f"It takes {bins_in_words(clock.horizon, clock)}; in each step one thing is decided for a "
        "contact."
    )
    if journey.terminals:
        yield f"It ends at once with {signals_in_words(journey.terminals, journey)}."
    if journey.options.exit:
        yield "The policy may end it for a contact."
    pauses = [bins_in_words(bins, clock) for bins in journey.options.pauses]
    yield f"The policy may wait for {joined(pauses, 'or')}; a longer wait is kept to."
    slow = journey.guardrails.slow
    if slow is not None:
        yield (
            f"The policy may write less often: {span_in_words(slow.gap_hours)} at least between "
            f"two mails, for {bins_in_words(slow.bins, clock)}."
        )
    if journey.options.escalate:
        yield "The policy may pass a contact on to sales."


def _experiment(journey: Journey) -> Iterator[str]:
    """Who decides for which share of the contacts, where an experiment deals them."""
    one = journey.experiment
    if one is None:
        return
    arms = {
        "policy": "the policy decides",
        "random": "a mail or none is drawn among all that the limits allow",
        "usual": f"business as usual goes on (the journey's {one.usual})",
        "holdout": "nobody is written to or called",
    }
    if one.free is not None:
        arms["policy"] = f"business as usual goes on, but the policy chooses the {one.free}"
    shares = [f"for {100.0 * share:g} % {arms[arm]}" for arm, share in one.shares.items()]
    time = one.switchback
    if time is None:
        yield f"An experiment deals every {one.unit} by chance: {joined(shares, 'and')}."
    else:
        length = "every day" if time.block_days == 1 else f"every {time.block_days} days"
        yield (
            f"An experiment deals time by chance, for everybody and {length} anew, from "
            f"{time.first_day} on: {joined(shares, 'and')}."
        )


def _enrolment(journey: Journey) -> Iterator[str]:
    rules = journey.enrolment
    assert rules is not None
    for word, rule in (("comes in", rules.enter), ("leaves", rules.leave)):
        if rule is not None:
            on = f" with {signals_in_words(rule.on, journey)}" if rule.on else ""
            when = f" where {conditions_in_words(rule.when)}" if rule.when else ""
            yield f"A contact {word}{on}{when}"
    if rules.enter is None:
        yield "A contact comes in by a call alone"
    if rules.rest_days is not None:
        yield f"It may come in again {rules.rest_days:g} days after its journey ended"
