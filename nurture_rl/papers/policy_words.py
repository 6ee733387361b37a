"""What a policy does, and what makes it send a message, read off its description."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nurture_envs.fields import Fields
from nurture_envs.journey import Journey, Rule
from nurture_envs.journey_rules import read_rules
from nurture_rl.papers.sentences import action_in_words, conditions_in_words, rule_in_words
from nurture_rl.policies.policy import Spec


@dataclass(frozen=True, slots=True)
class PolicySentence:
    """What is said of one part of a policy that is made of parts."""

    depth: int  # 0: the whole
    says: str
    spec: Spec  # of a part that chooses by itself; empty: its parts choose
    only: str = ""  # how far its choice goes; empty: all the way


# What a policy may change of a usual mail, by the factor that is left to it.
_FREE: Mapping[str, str] = {
    "timing": "only the hour of a mail that is usual",
    "content": "only in place of a mail that is usual",
    "offer": "only the offer of a mail that is usual",
    "routing": "only to hold back a mail that is usual, or to do something that is no mail",
}


def policy_in_words(spec: Spec, journey: Journey) -> tuple[PolicySentence, ...]:
    """A policy from the outside in.

    Args:
        spec: as a built policy gives it, so that nothing in it is short for something else.
        journey: whose rules and fixed program it may name.
    """
    return tuple(_parts(spec, journey, PolicySentence(0, "", {})))


def is_learned(spec: Spec, journey: Journey) -> bool:
    """Whether a part of a policy was learned from data."""
    kinds = {str(part.spec.get("kind")) for part in policy_in_words(spec, journey)}
    return not kinds.isdisjoint(("model", "softmax"))


def sends_by(spec: Spec, message: str, journey: Journey) -> tuple[str, ...]:
    """What makes a part of a policy send a message; nothing where it never does."""
    told = _SENDS.get(str(spec.get("kind")))
    return () if told is None else tuple(told(spec, message, journey))


def _parts(spec: Spec, journey: Journey, at: PolicySentence) -> Iterator[PolicySentence]:
    """A part with what it is made of.

    Args:
        spec: of the part.
        journey: of the policy.
        at: where it stands; its sentence is a lead.
    """
    whole, parts = _made_of(spec)
    if not parts:
        yield replace(at, says=f"{at.says}{_sentence(_leaf(spec, journey), at)}.", spec=spec)
        return
    yield replace(at, says=f"{at.says}{_sentence(whole, at)}.")
    for lead, inner, only in parts:
        below = PolicySentence(at.depth + 1, lead, {}, only or at.only)
        yield from _parts(inner, journey, below)


def _made_of(spec: Spec) -> tuple[str, list[tuple[str, Spec, str]]]:
    """How a policy is made, and its parts: lead, description, how far the part's choice goes."""
    kind = str(spec["kind"])
    if kind == "mixture":
        share = float(spec["share"])
        first = (f"In {_percent(1.0 - share)}: ", spec["policy"], "")
        return "two policies share the decisions, by lot", [
            first,
            (f"In {_percent(share)}: ", spec["other"], ""),
        ]
    if kind == "trust_region":
        told = (
            f"it takes no action more than {spec['max_ratio']:g} times as often as the other does"
        )
        own = f", and {_percent(spec['explore'])} of its decisions are the other one's"
        return f"one policy, held near another: {told}{own if spec['explore'] else ''}", [
            ("What it wants: ", spec["policy"], ""),
            ("What it stays near: ", spec["anchor"], ""),
        ]
    if kind == "locked":
        free = str(spec["free"])
        told = f"a policy chooses {free} alone, and all else is as usual"
        return told, [
            (f"What chooses {free}: ", spec["policy"], _FREE[free]),
            ("What is usual: ", spec["usual"], ""),
        ]
    if kind == "floor":
        least = _percent(spec["epsilon"])
        told = f"a policy that leaves every allowed action a chance of at least {least}"
        return told, [("Otherwise: ", spec["policy"], "")]
    return "", []


def _leaf(spec: Spec, journey: Journey) -> str:
    kind = str(spec["kind"])
    if kind in ("rules", "expert"):
        rest = _rules_of(spec, journey)[1]
        rest = "the fixed program" if rest == "drip" else action_in_words(rest)
        return f"{_named(spec)}; the first that fits and is allowed holds, else {rest}"
    words = {
        "drip": "the fixed program of the journey",
        "no_contact": "no contact at all",
        "random": "an allowed action by lot",
        "fixed": "an allowed action by lot, with fixed chances for everybody",
        "softmax": "chances that a regression on the features gives, fitted to a log",
        "model": f"the learned model {spec.get('name')}, which gives every allowed action a chance "
        "by the features listed below",
    }
    if kind == "always":
        return f"{action_in_words(spec['action'])} whenever it is allowed"
    return words.get(kind, kind)


def _named(spec: Spec) -> str:
    """What a list of rules is called."""
    if spec["kind"] == "expert":
        return "the journey's expert rules"
    return "the journey's rules" if "rules" not in spec else "the policy's own rules"


def rules_in_words(spec: Spec, journey: Journey) -> tuple[str, tuple[str, ...]] | None:
    """A list of rules with its name; None: that part of a policy is none."""
    if spec.get("kind") not in ("rules", "expert"):
        return None
    rules, otherwise = _rules_of(spec, journey)
    rest = "do what the fixed program does" if otherwise == "drip" else action_in_words(otherwise)
    told = (f"Rule {number}. {rule_in_words(rule)}" for number, rule in enumerate(rules, 1))
    return _named(spec), (*told, f"Where none of these holds: {rest}")


def _rules_of(spec: Spec, journey: Journey) -> tuple[tuple[Rule, ...], str]:
    """Rules in their order, and what is done where none holds."""
    if spec["kind"] == "expert":
        return journey.expert, "pause:1"
    if "rules" not in spec:
        return journey.rules, "drip"
    return read_rules(Fields(spec, "policy", []), "rules"), str(spec.get("otherwise", "drip"))


def _by_rules(spec: Spec, message: str, journey: Journey) -> Iterator[str]:
    rules, otherwise = _rules_of(spec, journey)
    for number, rule in enumerate(rules, 1):
        if sends(rule.action, message):
            when = conditions_in_words(rule.when)
            yield f"{_named(spec)}, rule {number}: where {when}, {action_in_words(rule.action)}"
    if otherwise == "drip" or any(rule.action == "drip" for rule in rules):
        yield from (
            f"{_named(spec)}, where none holds: {told}" for told in _by_drip(spec, message, journey)
        )
    elif sends(otherwise, message):
        yield f"{_named(spec)}, where none holds: {action_in_words(otherwise)}"


def _by_drip(spec: Spec, message: str, journey: Journey) -> Iterator[str]:
    for step, action in journey.drip:
        if sends(action, message):
            yield f"the fixed program, step {step}: {action_in_words(action)}"


def _by_always(spec: Spec, message: str, journey: Journey) -> Iterator[str]:
    if sends(str(spec["action"]), message):
        yield f"always, {action_in_words(str(spec['action']))}"


def _by_fixed(spec: Spec, message: str, journey: Journey) -> Iterator[str]:
    for action, chance in spec["probabilities"].items():
        if sends(action, message) and chance > 0.0:
            yield f"by lot, weight {chance:g}: {action_in_words(action)}"


def _by_random(spec: Spec, message: str, journey: Journey) -> Iterator[str]:
    weights: Mapping[str, Any] = spec["weights"]
    if weights.get("send", 0.0) > 0.0:
        share = _percent(weights["send"] / sum(weights.values()))
        yield f"by lot: {share} of its decisions are sends where all is allowed, each message alike"


def _by_model(spec: Spec, message: str, journey: Journey) -> Iterator[str]:
    yield "in any step where it is allowed, with a chance that is worked out of the features"


_SENDS: Mapping[str, Callable[[Spec, str, Journey], Iterator[str]]] = {
    "always": _by_always,
    "drip": _by_drip,
    "expert": _by_rules,
    "fixed": _by_fixed,
    "model": _by_model,
    "random": _by_random,
    "rules": _by_rules,
    "softmax": _by_model,
}


def sends(action: str, message: str) -> bool:
    """Whether an action sends a message, at any hour."""
    return action.rpartition("@")[0] == f"send:{message}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"


def _sentence(text: str, at: PolicySentence) -> str:
    """The text as a sentence begins, or goes on after a lead."""
    return text if at.says else text[:1].upper() + text[1:]
