"""Which replies pass a contact on to a person; servers alone keep it."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_envs.fields import Fields, hint


@dataclass(frozen=True, slots=True)
class PassesOn:
    """Replies that open a hand-off."""

    signal: str  # of replies
    hours: float  # so long no mail goes, unless somebody answers before
    times: int = 1  # such replies within `within_hours`, from which on one opens; 1: each does
    within_hours: float = 720.0


@dataclass(frozen=True, slots=True)
class HandoffRules:
    """What opens hand-offs besides escalations, and how long none follows another."""

    replies: tuple[PassesOn, ...]
    rest_hours: float = 0.0  # after one was opened, in which questions alone open another


def read_handoffs(served: Fields, known: list[str]) -> HandoffRules | None:
    """The entry `handoffs` of `served`, if there is one; problems go to `served`.

    Args:
        served: limits that servers alone keep.
        known: signals and events that it may name.
    """
    if not served.has("handoffs") or served.data["handoffs"] is None:
        return None
    f, found = served.mapping("handoffs"), []
    for name, one in f.children("replies", {}):
        if name not in known:
            f.problem(f"replies.{name}", f"no signal is called {name!r}{hint(name, known)}")
        hours, times = one.number("hours", low=0.25), one.integer("times", 1, low=1)
        found.append(PassesOn(name, hours, times, one.number("within_hours", 720.0, low=0.25)))
        one.finish()
    if not found:
        f.problem(
            "replies", "expected at least one signal of replies; leave `handoffs` out for none"
        )
    rules = HandoffRules(tuple(found), f.number("rest_hours", 0.0, low=0.0))
    f.finish()
    return rules
