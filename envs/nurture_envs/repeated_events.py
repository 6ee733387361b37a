"""Events that stand for others which repeat themselves: friction, confusion; and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nurture_envs.fields import Fields, channels_of

_DAYS = 24.0


@dataclass(frozen=True, slots=True)
class RepeatedEvents:
    """A type of event that is worked out: some signals came so often in so short a time."""

    type: str  # of the event that is made
    of: tuple[str, ...]  # signals that are counted together
    times: int  # of them make one event, >= 2; then the count begins anew
    hours: float  # in which they happened, > 0
    until: tuple[str, ...]  # signals that begin the count anew


def read_repeated(
    f: Fields, signals: Sequence[str], types: Sequence[str]
) -> tuple[RepeatedEvents, ...]:
    """The entries of `repeated`; problems go to `f`.

    Args:
        f: of the journey.
        signals: names of its signals.
        types: of the events that they are.
    """
    found = []
    rules = f.children("repeated", {})
    made = {name for name, _ in rules}
    worked_out = {signal for signal, kind in zip(signals, types, strict=True) if kind in made}
    for name, child in rules:
        found.append(
            RepeatedEvents(
                type=name,
                of=channels_of(child, "of", list(signals)),
                times=child.integer("times", low=2),
                hours=child.number("hours", _DAYS, low=0.1),
                until=channels_of(child, "until", list(signals), default=[]),
            )
        )
        if name not in types:
            child.problem("of", f"no signal reads what is made; add one of {{type: {name}}}")
        if worked_out & {*found[-1].of, *found[-1].until}:
            child.problem("of", "what is worked out cannot be counted itself")
        child.finish()
    return tuple(found)
