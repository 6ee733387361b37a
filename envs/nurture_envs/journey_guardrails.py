"""Reading the guardrails of a journey file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from nurture_envs.fields import Fields, channels_of, hint
from nurture_envs.handoff_rules import read_handoffs
from nurture_envs.journey import (
    GROUPED_BY,
    AccountLimits,
    CoolOff,
    FrequencyCap,
    GuardrailSettings,
    Inactivity,
    InactivityTier,
    Journey,
    Message,
    OpenConversation,
    Signal,
    SlowCadence,
    Unanswered,
)
from nurture_envs.journey_limits import read_sellers, read_volume


def read_guardrails(
    f: Fields, known: list[str], messages: Sequence[Message], slow: SlowCadence | None
) -> GuardrailSettings:
    """The entry `guardrails`; problems go to `f`.

    Args:
        f: the entry.
        known: channels of the journey.
        messages: of the journey.
        slow: its slower cadence, which its actions declare.
    """
    quiet = f.whole_numbers("quiet_hours", [])
    if quiet and not (len(quiet) == 2 and all(0 <= hour <= 24 for hour in quiet)):
        f.problem("quiet_hours", f"expected [from, to] in hours 0..24, got {quiet}")
    slack = f.whole_numbers("unknown_zone_slack", [-12, 14])
    if len(slack) != 2 or slack[0] > 0 or slack[1] < 0:
        f.problem("unknown_zone_slack", f"expected [hours <= 0, hours >= 0], got {slack}")
        slack = [-12, 14]
    events = tuple(_event(name, child) for name, child in f.children("events", {}))
    named = [*known, *(event.name for event in events)]
    settings = GuardrailSettings(
        require_consent=f.flag("require_consent", True),
        caps=_caps(f, messages),
        min_gap_hours=f.number("min_gap_hours", 0.0, low=0.0),
        quiet_hours=(quiet[0], quiet[1]) if len(quiet) == 2 else None,
        unknown_zone_slack=(slack[0], slack[1]),
        blackout=_blackout(f),
        conversation=_conversation(f.mapping("conversation", {}), named),
        conversation_until=_conversations(f.mapping("conversation_until", {}), named),
        opt_out=channels_of(f, "opt_out", known, default=[]),
        hard_bounce=channels_of(f, "hard_bounce", known, default=[]),
        escalation_needs=channels_of(f, "escalation_needs", known, default=[]),
        availability=f.flag("availability", False),
        slow=slow,
        confirm=f.flag("confirm", False),
        account=_account(f),
        inactivity=_inactivity(f, known),
        seller_capacity=read_sellers(f),
        volume=read_volume(f),
        events=events,
        unanswered=_unanswered(f, known, messages),
        cool_off=_cool_off(f, known),
    )
    settings = _with_served(settings, f, known, messages)
    f.finish()
    return settings


def _with_served(
    settings: GuardrailSettings, guardrails: Fields, known: list[str], messages: Sequence[Message]
) -> GuardrailSettings:
    """The limits with what the entry `served` adds to them on servers alone."""
    if not guardrails.has("served") or guardrails.data["served"] is None:
        return settings
    f = guardrails.mapping("served")
    added = replace(
        settings,
        caps=(*settings.caps, *_caps(f, messages)),
        blackout=(*settings.blackout, *_blackout(f)),
        inactivity=_inactivity(f, known) or settings.inactivity,
        unanswered=_unanswered(f, known, messages) or settings.unanswered,
        cool_off=(*settings.cool_off, *_cool_off(f, known)),
        handoffs=read_handoffs(f, [*known, *(event.name for event in settings.events)]),
        unserved=settings,
    )
    f.finish()
    return added


def _unanswered(
    guardrails: Fields, known: list[str], messages: Sequence[Message]
) -> Unanswered | None:
    """The entry `unanswered`, if there is one; problems go to `guardrails`."""
    if not guardrails.has("unanswered") or guardrails.data["unanswered"] is None:
        return None
    f = guardrails.mapping("unanswered")
    until, hours = channels_of(f, "until", known), f.number("hours", low=0.25)
    if f.data.get("until") == []:
        f.problem("until", "expected at least one signal that answers a mail, got []")
    f.finish()
    return Unanswered(tuple(dict.fromkeys(m.job for m in messages)), until, hours)


def _cool_off(guardrails: Fields, known: list[str]) -> tuple[CoolOff, ...]:
    """The entry `cool_off`: what each message speaks of, `{after: [..], hours: 24}`."""
    found = []
    for name, f in guardrails.children("cool_off", {}):
        after, hours = channels_of(f, "after", known), f.number("hours", low=0.25)
        if f.data.get("after") == []:
            f.problem("after", "expected at least one signal that the message speaks of, got []")
        f.finish()
        found.append(CoolOff(name, after, hours))
    return tuple(found)


def _account(guardrails: Fields) -> AccountLimits | None:
    """The entry `account` of `guardrails`, if there is one; problems go to `guardrails`."""
    if not guardrails.has("account") or guardrails.data["account"] is None:
        return None
    f, caps = guardrails.mapping("account"), []
    before = len(f.problems)
    for c in f.mappings("caps", []):
        hours = c.number("hours", low=0.25)
        caps.append(FrequencyCap(c.integer("max", low=1), hours))
        c.finish()
    limits = AccountLimits(tuple(caps), f.flag("conversation", False))
    f.finish()
    if not (caps or limits.conversation) and len(f.problems) == before:
        f.problems.append(
            f"{f.path}: expected caps, or conversation: true, got {dict(f.data)}, which limits "
            "nothing; leave the key out, or empty, for no limits"
        )
    return limits


def _inactivity(guardrails: Fields, known: list[str]) -> Inactivity | None:
    """The entry `inactivity` of `guardrails`, if there is one; problems go to `guardrails`."""
    if not guardrails.has("inactivity") or guardrails.data["inactivity"] is None:
        return None
    f, tiers = guardrails.mapping("inactivity"), []
    before = len(f.problems)
    for t in f.mappings("tiers", []):
        most, hours = t.integer("max", low=1), t.number("hours", low=0.25)
        tiers.append(InactivityTier(t.integer("bins", low=1), most, hours))
        t.finish()
    signals, from_bins, share = channels_of(f, "signals", known), None, 0.0
    if f.has("probe"):
        p = f.mapping("probe")
        from_bins, share = p.integer("bins", low=1), p.number("share", low=0.0, high=1.0)
        p.finish()
    f.finish()
    if len(f.problems) == before:
        order = [*(tier.bins for tier in tiers), *([] if from_bins is None else [from_bins])]
        if not order or not signals:
            f.problem(
                "tiers", "expected signals, and tiers or a probe; leave `inactivity` out for none"
            )
        elif order != sorted(set(order)):
            f.problem("tiers", f"expected more bins in each, the probe's last, got {order}")
    return Inactivity(signals, tuple(tiers), from_bins, share)


def _blackout(f: Fields) -> tuple[tuple[date, date], ...]:
    """Days, or times of several days `{from: .., to: ..}`, both included."""
    times = []
    for i, value in enumerate(f.items("blackout", [])):
        key, before = f"blackout[{i}]", len(f.problems)
        if not isinstance(value, dict):
            one = Fields({key: value}, f.path, f.problems)
            first = last = one.day(key)
        else:
            one = Fields(value, f.key(key), f.problems)
            first, last = one.day("from"), one.day("to")
            one.finish()
        if first is None or last is None or first > last:
            if len(f.problems) == before:
                want = "expected a day, or {from: day, to: the same or later}"
                f.problem(key, f"{want}, got {value}")
            continue
        times.append((first, last))
    return tuple(times)


def _event(name: str, f: Fields) -> Signal:
    """An event that only guardrails name."""
    event = event_columns(name, f)
    f.finish()
    return event


def event_columns(name: str, f: Fields) -> Signal:
    """A signal as far as columns say which events are one; other keys of `f` are left to read."""
    return Signal(
        name=name,
        type=f.name_text("type"),
        topic=f.optional_text("topic"),
        page_category=f.optional_text("page_category"),
        reply_class=f.optional_text("reply_class"),
        stage=f.optional_text("stage"),
        is_machine=f.flag("is_machine") if f.has("is_machine") else None,
    )


def event_problems(journey: Journey) -> list[str]:
    """Events of guardrails that have a signal's name, or that one event could be both of."""
    problems = [
        f"guardrails.events.{event.name}: a signal has this name; take it out, and guardrails "
        "read the signal"
        for event in journey.guardrails.events
        if event.name in journey.channels
    ]
    return problems + overlaps("guardrails.events", journey.guardrails.events)


def people_problems(journey: Journey) -> list[str]:
    """Signals that say nothing of a person where guardrails ask what people do.

    A scanner that fetches every link would keep somebody active, answer a mail, or ask for a call.
    """
    settings, problems = journey.guardrails, _no_replies(journey)
    asked = {
        "inactivity.signals": settings.inactivity.signals if settings.inactivity else (),
        "unanswered.until": settings.unanswered.until if settings.unanswered else (),
        "escalation_needs": settings.escalation_needs,
    }
    for key, names in asked.items():
        wanted = {name.removesuffix(".value") for name in names}
        problems += [
            f"guardrails.{key}: expected what people do, got {signal.name!r}, which "
            + ("actions make" if signal.by_action else "machines make too; pin `is_machine: false`")
            for signal in journey.signals
            if signal.name in wanted
            and (
                signal.by_action
                or (signal.type in ("open", "click") and signal.is_machine is not False)
            )
        ]
    return problems


def _no_replies(journey: Journey) -> list[str]:
    """What opens hand-offs and is no reply."""
    rules, named = journey.guardrails.handoffs, (*journey.signals, *journey.guardrails.events)
    wanted = {one.signal for one in rules.replies} if rules else set()
    return [
        f"guardrails.served.handoffs.replies.{signal.name}: expected a signal of `type: reply`, "
        f"got {signal.type}; an escalation of the policy opens one anyway"
        for signal in named
        if signal.name in wanted and signal.type != "reply"
    ]


def overlaps(key: str, signals: Sequence[Signal]) -> list[str]:
    """Pairs of signals under a key that one event could be both of."""
    return [
        f"{key}.{second.name}: an event could be both this and {first.name!r}; pin a column on "
        "which they differ"
        for i, first in enumerate(signals)
        for second in signals[i + 1 :]
        if first.overlaps(second)
    ]


def _caps(f: Fields, messages: Sequence[Message]) -> tuple[FrequencyCap, ...]:
    caps = []
    for i, c in enumerate(f.mappings("frequency_caps", [])):
        hours = c.number("hours", low=0.25)
        texts = [c.optional_text(name) for name in GROUPED_BY]
        if sum(text is not None for text in texts) > 1:
            f.problem(f"frequency_caps[{i}]", f"expected one of {', '.join(GROUPED_BY)} at most")
        caps.append(FrequencyCap(c.integer("max", low=1), hours, *texts))
        c.finish()
    groups = Counter(group for message in messages for group in message.groups)
    alone: dict[str, float] = {}  # messages, and hours between two sends of each
    for key, column in _REPEATS.items():
        if not f.has(key):
            continue
        hours = f.number(key, low=0.25)
        for (of, name), count in groups.items():
            if of == column and count > 1:
                caps.append(FrequencyCap(1, hours, **{column: name}))
        for message in messages:  # what no other message has comes twice with this one alone
            if any(of == column and groups[of, name] == 1 for of, name in message.groups):
                alone[message.id] = max(hours, alone.get(message.id, hours))
    return (*caps, *(FrequencyCap(1, hours, message=name) for name, hours in alone.items()))


# Windows in which nothing comes twice, and what that is.
_REPEATS = {"repeat_hours": "message", "repeat_block_hours": "block", "repeat_claim_hours": "claim"}


def _conversation(f: Fields, known: list[str]) -> tuple[tuple[str, int], ...]:
    for name in f.data:
        _require_known(f, str(name), known)
    return tuple((str(name), f.integer(name, low=1)) for name in f.data)


def _conversations(f: Fields, known: list[str]) -> tuple[OpenConversation, ...]:
    """Signals to those that close what they open: a list, or `{until: [..], bins: 30}`."""
    opened = []
    for name, value in f.data.items():
        _require_known(f, str(name), known)
        given = value if isinstance(value, dict) else {"until": value}
        inner = Fields(given, f.key(str(name)), f.problems)
        bins = inner.integer("bins", low=1) if inner.has("bins") else None
        one = OpenConversation(str(name), channels_of(inner, "until", known), bins)
        if one.signal in one.until:
            inner.problem("until", f"expected other signals to close it, got {name!r} itself")
        if given.get("until") == []:
            inner.problem(
                "until",
                "expected at least one signal that closes it, got []; where time alone does, "
                "write it under `conversation`",
            )
        inner.finish()
        opened.append(one)
    return tuple(opened)


def _require_known(f: Fields, name: str, known: list[str]) -> None:
    if name not in known:
        f.problem(name, f"no signal is called {name!r}{hint(name, known)}")
