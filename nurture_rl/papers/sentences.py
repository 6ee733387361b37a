"""Signals, times, conditions and actions of a journey in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nurture_envs.clock import Clock
from nurture_envs.features import FeatureSpec
from nurture_envs.features.described import described_columns
from nurture_envs.journey import Condition, Journey, Rule, Signal
from nurture_rl.wording import counted

_DAY = 24.0
_JOBS: Mapping[str, str] = {
    "remove_objection": "take away an objection",
    "deliver_proof": "show proof",
    "qualify": "find out whether it fits",
    "book_meeting": "book a meeting",
    "activate": "get somebody to use it",
    "re_engage": "win back somebody who went silent",
}
_OPERATORS: Mapping[str, str] = {
    ">=": "is at least",
    "<=": "is at most",
    ">": "is more than",
    "<": "is less than",
    "==": "is",
    "!=": "is not",
}
_TYPES: Mapping[str, str] = {
    "click": "a click",
    "open": "an open",
    "page_view": "a visit to a page",
    "reply": "a reply",
    "sent": "a mail sent",
    "delivered": "a mail delivered",
    "unsubscribe": "unsubscribing",
    "complaint": "a spam complaint",
    "hard_bounce": "a bounce for good",
    "soft_bounce": "a bounce for now",
    "escalated": "a hand-over to sales",
    "slowed": "writing less often",
    "stage_changed": "entering a stage",
    "sales_activity": "an activity of a salesperson",
}
_PINNED: Mapping[str, str] = {
    "topic": "topic",
    "page": "page_category",
    "kind": "reply_class",
    "stage": "stage",
}


def job_in_words(job: str) -> str:
    """What a message is for."""
    return _JOBS[job]


def label(name: str) -> str:
    """A name of the journey file as people write it."""
    return name.replace("_", " ")


def span_in_words(hours: float) -> str:
    """A length of time."""
    if hours >= 2 * _DAY and hours % _DAY == 0.0:
        return f"{hours / _DAY:g} days"
    return f"{hours:g} {'hour' if hours == 1.0 else 'hours'}"


def bins_in_words(bins: int, clock: Clock) -> str:
    """Some decision steps, and how long they take."""
    hours = bins * clock.period_hours / len(clock.slots_hours)
    return f"{counted(bins, 'step')} ({span_in_words(hours)})"


def signals_in_words(names: Sequence[str], journey: Journey) -> str:
    """Signals or events of guardrails by their names; those of one type are told together."""
    known = {one.name: one for one in (*journey.signals, *journey.guardrails.events)}
    alike: dict[tuple[str, bool | None], list[Signal]] = {}
    for name in names:
        signal = known[name.removesuffix(".value")]
        alike.setdefault((signal.type, signal.is_machine), []).append(signal)
    return joined([_told(kind, machine, few) for (kind, machine), few in alike.items()], "or")


def _told(kind: str, is_machine: bool | None, signals: Sequence[Signal]) -> str:
    """Signals of one type: what somebody did, or what became of a mail."""
    parts = []
    for name, column in _PINNED.items():
        values = [str(v) for s in signals if (v := getattr(s, column)) is not None]
        few = list(dict.fromkeys(map(label, values)))
        parts += [f"{name} {joined(few, 'or')}"] if len(values) == len(signals) else []
    if is_machine is not None:
        parts.append("by a machine" if is_machine else "by a person")
    told = _TYPES.get(kind, label(kind))
    return f"{told} ({', '.join(parts)})" if parts else told


def joined(parts: Sequence[str], word: str) -> str:
    """Parts of a sentence with commas, and a word before the last."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def hour_in_words(slot: int | None) -> str:
    """When a mail leaves, by the contact's own clock."""
    return "at once" if slot is None else f"in the hour from {slot:02d}:00"


def action_in_words(action: str) -> str:
    """What an action does, by its id."""
    routing, _, rest = action.partition(":")
    if routing == "send":
        message, _, slot = rest.rpartition("@")
        when = hour_in_words(None if slot == "now" else int(slot))
        return f"send the message {message} {when}"
    if routing == "pause":
        return f"wait for {rest} {'step' if rest == '1' else 'steps'}"
    if routing == "slow":
        return f"write less often for {rest} steps"
    words = {"escalate": "pass the contact on to sales", "exit": "end the journey"}
    return words.get(routing, action)


def column_meanings(journey: Journey) -> Mapping[str, str]:
    """What each feature column counts."""
    return {one.name: one.meaning for one in described_columns(FeatureSpec.of(journey))}


def conditions_in_words(conditions: Sequence[Condition]) -> str:
    """For whom something holds; the columns are explained elsewhere."""
    told = [_condition(one) for one in conditions]
    return joined(told, "and") if told else "always"


def _condition(one: Condition) -> str:
    feature, equals, level = one.column.partition("=")
    if equals and (one.operator, one.threshold) in ((">=", 1.0), ("==", 1.0), (">", 0.0)):
        return f"`{feature}` is {level}"
    if equals and (one.operator, one.threshold) in (("<", 1.0), ("==", 0.0), ("<=", 0.0)):
        return f"`{feature}` is not {level}"
    return f"`{one.column}` {_OPERATORS[one.operator]} {one.threshold:g}"


def rule_in_words(rule: Rule) -> str:
    """One rule of a list."""
    what = (
        "do what the fixed program does" if rule.action == "drip" else action_in_words(rule.action)
    )
    return f"Where {conditions_in_words(rule.when)}: {what}"
