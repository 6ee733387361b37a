"""Events that a journey has worked out of others: what repeats itself, changes, or is a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nurture_envs.fields import Fields, channels_of, hint

_DAYS = 24.0
_LARGEST = 1e6  # of what a rule of changes may say: the sums stay finite


@dataclass(frozen=True, slots=True)
class RepeatedEvents:
    """A type of event that is worked out: some signals came so often in so short a time."""

    type: str  # of the event that is made
    of: tuple[str, ...]  # signals that are counted together
    times: int  # of them make one event, >= 2; then the count begins anew
    hours: float  # in which they happened, > 0
    until: tuple[str, ...]  # signals that begin the count anew


@dataclass(frozen=True, slots=True)
class ChangePoints:
    """A type of event that is worked out: some signals began to come more or less often.

    Without `per` their rate is watched, in signals a week. With `per` it is their share: of how
    many signals of `per` one of them followed, before the next of `per`.
    """

    type: str  # of the event that is made
    of: tuple[str, ...]  # signals that are watched together
    per: tuple[str, ...]  # what they answer; none: nothing but time
    usual: float  # rate or share of somebody of whom nothing is known yet, > 0
    counts_for: float  # weeks, or signals of `per`, that `usual` counts for beside their own, > 0
    becomes: float  # times the usual that is looked for, [0.001, 1000]; below 1 it is a fall
    run_length: float  # mean weeks, or signals of `per`, to a false alarm, at least; > 1
    until: tuple[str, ...]  # signals after which everything begins anew


@dataclass(frozen=True, slots=True)
class PathEvents:
    """A type of event that is worked out: some signals came one after the other."""

    type: str  # of the event that is made
    steps: tuple[str, ...]  # signals in their order, two or more
    hours: float  # from the first to the last, at most, > 0
    until: tuple[str, ...]  # signals that begin the path anew
    first: bool  # each step is the first of its signal: who does more goes no path more often


DerivedRule = RepeatedEvents | ChangePoints | PathEvents


def read_derived(f: Fields, signals: Sequence[str], types: Sequence[str]) -> list[DerivedRule]:
    """The entries of `repeated`, `changes` and `paths`; problems go to `f`.

    Args:
        f: of the journey.
        signals: names of its signals.
        types: of the events that they are.
    """
    rules = [(name, child, _repeated) for name, child in f.children("repeated", {})]
    rules += [(name, child, _changes) for name, child in f.children("changes", {})]
    rules += [(name, child, _path) for name, child in f.children("paths", {})]
    made = {name for name, *_ in rules}
    worked_out = {signal for signal, kind in zip(signals, types, strict=True) if kind in made}
    found: list[DerivedRule] = []
    for name, child, read in rules:
        rule, key = read(name, child, list(signals)), "steps" if read is _path else "of"
        if name not in types:
            child.problem(key, f"no signal reads what is made; add one of {{type: {name}}}")
        if worked_out & set(counted_signals(rule)):
            child.problem(key, "what is worked out cannot be counted itself")
        if name in {one.type for one in found}:
            child.problem(key, "another rule makes this type; one type is made by one rule")
        child.finish()
        found.append(rule)
    return found


def counted_signals(rule: DerivedRule) -> tuple[str, ...]:
    """The signals that a rule looks at."""
    if isinstance(rule, PathEvents):
        return (*rule.steps, *rule.until)
    return (*rule.of, *rule.until, *(rule.per if isinstance(rule, ChangePoints) else ()))


def _repeated(name: str, f: Fields, signals: list[str]) -> DerivedRule:
    return RepeatedEvents(
        type=name,
        of=channels_of(f, "of", signals),
        times=f.integer("times", low=2),
        hours=f.number("hours", _DAYS, low=0.1),
        until=channels_of(f, "until", signals, default=[]),
    )


def _changes(name: str, f: Fields, signals: list[str]) -> DerivedRule:
    rule = ChangePoints(
        type=name,
        of=channels_of(f, "of", signals),
        per=channels_of(f, "per", signals, default=[]),
        usual=f.number("usual", low=1e-6, high=_LARGEST),
        counts_for=f.number("counts_for", 10.0, low=1e-3, high=_LARGEST),
        becomes=f.number("becomes", low=1e-3, high=1e3),
        run_length=f.number("run_length", low=1.0, high=_LARGEST),
        until=channels_of(f, "until", signals, default=[]),
    )
    if set(rule.of) & {*rule.per, *rule.until} or set(rule.per) & set(rule.until):
        f.problem("of", "a signal can be in one of `of`, `per` and `until`")
    if rule.becomes == 1.0:
        f.problem("becomes", "expected above 1 for a rise or between 0 and 1 for a fall")
    elif rule.per and not rule.usual * max(rule.becomes, 1.0) < 1.0:
        f.problem("usual", "expected a share that is below 1, also times `becomes`")
    elif not rule.per and rule.becomes < 1.0:
        f.problem("becomes", "without `per` expected a rise, above 1: no event tells of silence")
    return rule


def _path(name: str, f: Fields, signals: list[str]) -> DerivedRule:
    steps = [str(step) for step in f.items("steps")]
    for step in sorted(set(steps) - set(signals)):
        f.problem("steps", f"no signal is called {step!r}{hint(step, signals)}")
    if len(steps) < 2:
        f.problem("steps", "expected two signals or more, in their order")
    first = f.flag("first", False)
    if first and len(set(steps)) < len(steps):
        f.problem("steps", "with `first` expected each signal once: it comes first only once")
    return PathEvents(
        type=name,
        steps=tuple(step for step in steps if step in signals),
        hours=f.number("hours", 30 * _DAYS, low=0.1),
        until=channels_of(f, "until", signals, default=[]),
        first=first,
    )
