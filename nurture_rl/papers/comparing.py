"""Two journeys or bundles side by side: what changes for whom, the loosened guardrails first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nurture_envs.journey import Journey, Message, Rule
from nurture_rl.papers.compared_limits import GuardrailChange
from nurture_rl.papers.loosening import guardrail_changes
from nurture_rl.papers.policy_words import policy_in_words
from nurture_rl.papers.sentences import action_in_words, hour_in_words, label, rule_in_words
from nurture_rl.release.bundle import Bundle
from nurture_rl.release.manifest import MODEL

_SHOWN = 200  # characters of a value that has no words of its own
_FACTS = ("job", "topic", "proof", "offer", "call_to_action", "channel", "blocks")

Lines = Iterator[str]


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """A journey, and the bundle that decides in it where there is one."""

    journey: Journey
    bundle: Bundle | None = None


@dataclass(frozen=True, slots=True)
class JourneyDifference:
    """What is otherwise in the later journey."""

    guardrails: tuple[GuardrailChange, ...]  # the loosened first
    sections: tuple[tuple[str, tuple[str, ...]], ...]  # all else: title, sentences; none is empty

    @property
    def loosened(self) -> tuple[GuardrailChange, ...]:
        """Guardrails that forbid less, or that nobody can tell to forbid as much."""
        return tuple(one for one in self.guardrails if one.effect != "tightened")


def difference(before: ComparedSide, after: ComparedSide) -> JourneyDifference:
    """Compare two journeys; where both have bundles, their policies too.

    Nothing is left out: what has no words of its own is told by its key.
    """
    was, now = before.journey, after.journey
    guardrails = guardrail_changes(was, now)
    found = [(title, tuple(told(was, now))) for title, _, told in _SECTIONS]
    found.insert(2, ("Policy", tuple(_policy(before, after))))
    lines = dict(found)
    found.append(("Also", tuple(_rest(was.resolved, now.resolved, lines, guardrails))))
    return JourneyDifference(guardrails, tuple(one for one in found if one[1]))


def _messages(was: Journey, now: Journey) -> Lines:
    before, after = ({one.id: one for one in journey.messages} for journey in (was, now))
    yield from (f"{name} is gone" for name in before if name not in after)
    for name, one in after.items():
        if name not in before:
            facts = ", ".join(f"{label(fact)} {_shown(one, fact)}" for fact in _FACTS)
            yield f"{name} is new ({one.approval}): {facts}"
            continue
        for fact in _FACTS:
            pair = [_shown(message, fact) for message in (before[name], one)]
            if pair[0] != pair[1]:
                yield f"{name}: its {label(fact)} was {pair[0]}, is {pair[1]}"
    yield from _entries("claim", was.claims, now.claims, ("says", "source", "approver", "fits"))
    yield from _entries("offer", was.offers, now.offers, ("cost",))


def _shown(message: Message, fact: str) -> str:
    value = getattr(message, fact)
    return ", ".join(map(label, value)) or "none" if isinstance(value, tuple) else label(value)


def _entries(kind: str, was: Sequence[Any], now: Sequence[Any], columns: Sequence[str]) -> Lines:
    """Records by their names: gone, new, or otherwise in a column."""
    before, after = ({one.name: one for one in entries} for entries in (was, now))
    yield from (f"the {kind} {label(name)} is gone" for name in before if name not in after)
    yield from (f"the {kind} {label(name)} is new" for name in after if name not in before)
    for name in (name for name in after if name in before):
        for column in columns:
            pair = [getattr(entries[name], column) for entries in (before, after)]
            if pair[0] != pair[1]:
                shown = f"{label(column)} was {_cut(pair[0])}, is {_cut(pair[1])}"
                yield f"the {kind} {label(name)}: {shown}"


def _rules(was: Journey, now: Journey) -> Lines:
    for name in ("rules", "expert"):
        yield from _listed(f"the {name}", *(_of(getattr(one, name)) for one in (was, now)))
    yield from _listed("the fixed program", _steps(was), _steps(now))


def _of(rules: Sequence[Rule]) -> list[str]:
    return [rule_in_words(rule) for rule in rules]


def _steps(journey: Journey) -> list[str]:
    return [f"Step {step}: {action_in_words(action)}" for step, action in journey.drip]


def _listed(about: str, was: Sequence[str], now: Sequence[str]) -> Lines:
    """Lines of a list that went or came, or that stand in another order."""
    gone = [line for line in was if line not in now]
    new = [line for line in now if line not in was]
    yield from (f"{about}, no longer: {line}" for line in gone)
    yield from (f"{about}, new as number {now.index(line) + 1}: {line}" for line in new)
    stayed = [[line for line in lines if line in was and line in now] for lines in (was, now)]
    if stayed[0] != stayed[1]:
        yield f"{about}: in another order, and the first that holds wins: {'; '.join(stayed[1])}"


def _policy(before: ComparedSide, after: ComparedSide) -> Lines:
    if before.bundle is None or after.bundle is None:
        return
    told = [
        [f"{'  ' * one.depth}{one.says}" for one in policy_in_words(b.policy.spec(), b.journey)]
        for b in (before.bundle, after.bundle)
    ]
    if told[0] != told[1]:
        yield f"was: {' '.join(' '.join(told[0]).split())}"
        yield f"is: {' '.join(' '.join(told[1]).split())}"
    models = [b.manifest.files.get(MODEL) for b in (before.bundle, after.bundle)]
    if models[0] != models[1]:
        words = ("no learned model" if one is None else f"the model {one[:12]}" for one in models)
        yield " was, ".join(words) + " is what decides"
    if before.bundle.policy_id != after.bundle.policy_id:
        yield f"the policy id was {before.bundle.policy_id}, is {after.bundle.policy_id}"


def _actions(was: Journey, now: Journey) -> Lines:
    hours = [[hour_in_words(slot) for slot in one.options.slots] for one in (was, now)]
    yield from _came("mail may leave", *hours)
    yield from _came("bins of a wait", *(list(map(str, one.options.pauses)) for one in (was, now)))
    for name, told in (("escalate", "a hand-over to sales"), ("exit", "an end of the journey")):
        pair = [getattr(one.options, name) for one in (was, now)]
        if pair[0] != pair[1]:
            yield f"{told} is {'possible now' if pair[1] else 'no longer possible'}"
    slow = [one.guardrails.slow for one in (was, now)]
    if slow[0] != slow[1]:
        yield f"writing less often was {_cut(slow[0])}, is {_cut(slow[1])}"


def _came(about: str, was: Sequence[str], now: Sequence[str]) -> Lines:
    yield from (f"{about}, no longer: {one}" for one in was if one not in now)
    yield from (f"{about}, new: {one}" for one in now if one not in was)


def _features(was: Journey, now: Journey) -> Lines:
    before, after = ({one.name: one for one in journey.features} for journey in (was, now))
    yield from (f"`{name}` is no longer seen" for name in before if name not in after)
    yield from (f"`{name}` is seen now" for name in after if name not in before)
    yield from (
        f"`{name}` counts otherwise"
        for name in after
        if before.get(name, after[name]) != after[name]
    )


def _reward(was: Journey, now: Journey) -> Lines:
    before, after = dict(was.reward.weights), dict(now.reward.weights)
    for name in dict.fromkeys((*before, *after)):
        pair = [weights.get(name, 0.0) for weights in (before, after)]
        if pair[0] != pair[1]:
            yield f"{label(name)} was worth {pair[0]:g}, is worth {pair[1]:g} {now.reward.unit}"
    for name in ("unit", "send_cost", "escalate_cost", "discount"):
        pair = [getattr(one.reward, name) for one in (was, now)]
        if pair[0] != pair[1]:
            yield f"{label(name)} was {pair[0]}, is {pair[1]}"


# Title, the keys of a journey file that it tells of, and what tells. Guardrails tell of some more.
_SECTIONS: tuple[tuple[str, tuple[str, ...], Callable[[Journey, Journey], Lines]], ...] = (
    ("Messages", ("messages", "claims", "offers"), _messages),
    ("Rules", ("rules", "expert", "drip"), _rules),
    ("What can be done", ("actions",), _actions),
    ("What is known of a contact", ("features",), _features),
    ("What it is worth", ("reward",), _reward),
)
_BY_GUARDRAILS = ("guardrails", "messages", "claims", "offers", "limits", "terminals", "signers")


def _rest(
    was: Mapping[str, Any],
    now: Mapping[str, Any],
    told: Mapping[str, tuple[str, ...]],
    guardrails: Sequence[GuardrailChange],
) -> Lines:
    """Keys of the files that differ and that nothing above told of."""
    sections = {key: title for title, keys, _ in _SECTIONS for key in keys}
    for key in dict.fromkeys((*was, *now)):
        before, after = was.get(key), now.get(key)
        if before == after or told.get(sections.get(key, "")):
            continue
        if key in _BY_GUARDRAILS and guardrails:
            continue
        if key in _BY_GUARDRAILS or key in sections:
            yield f"`{key}` is written otherwise and means the same"
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _parts(key, before, after)
        else:
            yield f"`{key}` was {_cut(before)}, is {_cut(after)}"


def _parts(key: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Lines:
    """Entries of a key that differ."""
    for name in dict.fromkeys((*was, *now)):
        pair = (was.get(name), now.get(name))
        if pair[0] != pair[1]:
            yield f"`{key}.{name}` was {_cut(pair[0])}, is {_cut(pair[1])}"


def _cut(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
