"""One page per registered environment: what is seen, done, earned, how it ends, what is planted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from math import inf
from pathlib import Path
from typing import Any

import gymnasium

import nurture_envs
from nurture_envs.actions import NOW, Action, ActionCatalog
from nurture_envs.features import Column, FeatureSpec, described_columns
from nurture_envs.journey import ALL, GuardrailSettings, Journey, Kpi, OpenConversation
from nurture_envs.worlds.mail_world import MailWorld
from nurture_envs.worlds.recording import Lateness
from nurture_envs.worlds.reference import reference_world
from nurture_rl.cli.keys import comments_of
from nurture_rl.wording import counted
from tools.pages.docstrings import markdown, table

_JOURNEYS = Path(nurture_envs.__file__).parent / "journeys"
_EVERY = {24: "a day", 48: "every two days", 168: "a week"}


def environments() -> dict[str, str]:
    """Ids of the environments of this project, each with its journey's name."""
    return {
        name: str(spec.kwargs["journey"])
        for name, spec in gymnasium.registry.items()
        if name.startswith("nurture_envs/")
    }


def pages() -> dict[str, str]:
    """The text of every page, by its path under docs/."""
    found = {f"environments/{file_of(name)}": _page(name, j) for name, j in environments().items()}
    return {"environments/README.md": _index(), **found}


def file_of(name: str) -> str:
    """The page of an environment's id."""
    return f"{name.removeprefix('nurture_envs/')}.md"


def _index() -> str:
    rows = []
    for name, journey in environments().items():
        world = _world(journey)
        spec, catalog = FeatureSpec.of(world.journey), ActionCatalog.of(world.journey)
        size = [len(spec.columns), len(catalog), spec.clock.horizon]
        rows.append([f"[`{name}`]({file_of(name)})", world.journey.title, *map(str, size)])
    return (
        "# Environments\n\n"
        "`import nurture_envs` registers them; `gymnasium.make` plays one contact,\n"
        "`gymnasium.make_vec` many. Every page is written from the code by `make docs`.\n\n"
        + table("id, what it is, features, actions, decisions at most", rows)
        + "\n"
    )


def _world(journey: str) -> MailWorld:
    world = reference_world(journey)
    assert isinstance(world, MailWorld)
    return world


def _page(name: str, journey_name: str) -> str:
    world = _world(journey_name)
    journey, spec = world.journey, FeatureSpec.of(world.journey)
    catalog = ActionCatalog.of(journey)
    parts = [
        f"# {name}",
        f"{_intro(journey_name)}\n\n{journey.provenance}.",
        f'```python\nimport gymnasium\n\nimport nurture_envs\n\nenv = gymnasium.make("{name}")\n'
        "observation, info = env.reset(seed=0)\n```",
        _mechanism(world),
        f"## Episode\n\n{_episode(journey)}",
        f"## Actions\n\n{_actions(journey, catalog)}",
        f"## Observation\n\n{_observation(spec, world)}",
        f"## Reward\n\n{_reward(journey)}",
        f"## Endings\n\n{_endings(journey)}",
        f"## What is forbidden\n\n{_guardrails(journey)}",
        f"## Key figures\n\n{_kpis(journey)}",
        f"## What can happen\n\n{_signals(journey)}",
        f"## Planted effects\n\n{_planted(world)}",
    ]
    return "\n\n".join(parts) + "\n"


def _intro(journey: str) -> str:
    """The comment that begins a journey's file."""
    lines = (_JOURNEYS / f"{journey}.yaml").read_text("utf-8").splitlines()
    first = next(place for place, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line.lstrip("# ") for line in lines[:first])


def _mechanism(world: MailWorld) -> str:
    """What the world's module says of it."""
    text = sys.modules[type(world).__module__].__doc__ or ""
    return markdown(text.partition("\n\n")[2])


def _episode(journey: Journey) -> str:
    clock = journey.clock
    period = _EVERY.get(int(clock.period_hours), f"every {clock.period_hours:g} hours")
    slots = len(clock.slots_hours)
    many = "one decision" if slots == 1 else f"{slots} decisions"
    hours = ", ".join(f"{hour:g}" for hour in clock.slots_hours)
    return (
        f"One contact's pass through the journey: {many} {period} of the contact's local\n"
        f"time (at hours {hours} of it), {clock.horizon} at most. The span from one decision to\n"
        f"the next is a *bin*. Later rewards are discounted by {journey.reward.discount:g} a bin."
    )


def _actions(journey: Journey, catalog: ActionCatalog) -> str:
    rows = [
        [str(place), f"`{action.id}`", _meaning(action), _price(action, journey)]
        for place, action in enumerate(catalog.actions)
    ]
    return (
        f"`Discrete({len(catalog)})`, the place in this list. An action that is forbidden now\n"
        '(`info["action_mask"]`, [a]) is replaced by `pause:1`, which is always legal.\n\n'
        + table(f"action, id, what it does, price in {journey.reward.unit}", rows)
    )


def _meaning(action: Action) -> str:
    message = action.message
    if message is not None:
        when = "at once" if action.slot == NOW else f"at {action.slot:02d}:00 local time"
        state = "" if message.approval == "approved" else f"; {message.approval}, so never legal"
        job = message.job.replace("_", " ")
        return f"{message.channel} {when}: {job}, on {message.topic}{state}"
    if action.routing == "pause":
        return f"nothing for {counted(action.bins, 'bin')}"
    if action.routing == "slow":
        return f"mail lies further apart for {counted(action.bins, 'bin')}"
    return {"escalate": "sales calls", "exit": "the episode ends"}[action.routing]


def _price(action: Action, journey: Journey) -> str:
    catalog = ActionCatalog.of(journey)
    return f"{catalog.prices(journey.reward)[catalog.index(action.id)]:g}"


def _observation(spec: FeatureSpec, world: MailWorld) -> str:
    rows = []
    for columns in _grouped(described_columns(spec, world.scales)):
        first, last = columns[0][0], columns[-1][0]
        places = str(first) if first == last else f"{first}–{last}"
        names = ", ".join(f"`{column.name}`" for _, column in columns)
        column = columns[0][1]
        rows.append([places, names, column.meaning, column.unit, _range(column)])
    return (
        f"`Box([{len(spec.columns)}])`, float32. Only completed bins count, and of these\n"
        "what was recorded before the decision.\n\n"
        + table("columns, name, meaning, unit, range", rows)
    )


def _grouped(columns: tuple[Column, ...]) -> list[list[tuple[int, Column]]]:
    """Columns with their places, those of one feature together."""
    groups: list[list[tuple[int, Column]]] = []
    for place, column in enumerate(columns):
        before = groups[-1][-1][1].name.partition("=") if groups else ("", "", "")
        if "=" in column.name and before[:2] == column.name.partition("=")[:2]:
            groups[-1].append((place, column))
        else:
            groups.append([(place, column)])
    return groups


def _range(column: Column) -> str:
    if (column.low, column.high) == (0.0, 1.0):
        return "0 or 1"
    if column.high == inf:
        return "any" if column.low == -inf else f"{column.low:g} and more"
    return f"{column.low:g} to {column.high:g}"


def _reward(journey: Journey) -> str:
    reward = journey.reward
    rows = [
        [f"`{channel}`", f"{weight:g} times the value" if _is_value(channel) else f"{weight:+g}"]
        for channel, weight in reward.weights
    ]
    rows += [
        ["a send", f"{-reward.send_cost:+g}"],
        ["an escalation", f"{-reward.escalate_cost:+g}"],
    ]
    return (
        f"The sum of what a bin brought, {reward.unit}. It counts what happened, also where\n"
        "the log learns of it later.\n\n" + table(f"what, {reward.unit} each", rows)
    )


def _is_value(channel: str) -> bool:
    return channel.endswith(".value")


def _endings(journey: Journey) -> str:
    ends = ", ".join(f"`{name}`" for name in journey.terminals)
    leaving = " or by the action `exit`" if journey.options.exit else ""
    return (
        f"*Terminated* by {ends}{leaving}. *Truncated* after {journey.clock.horizon} bins:\n"
        "the contact lives on, so value targets bootstrap from the last observation."
    )


def _guardrails(journey: Journey) -> str:
    rails = journey.guardrails.unserved or journey.guardrails
    lines = ["mail without consent"] if rails.require_consent else []
    lines += [
        f"more than {counted(cap.maximum, 'mail')} in {cap.hours:g} hours"
        + (f" by {cap.group[0]} {cap.group[1]}" if cap.group != ALL else "")
        for cap in rails.caps
    ]
    if rails.min_gap_hours:
        lines.append(f"a mail within {rails.min_gap_hours:g} hours of the last one")
    if rails.quiet_hours:
        (low, high), (early, late) = rails.quiet_hours, rails.unknown_zone_slack
        lines.append(
            f"mail from {low:02d}:00 to {high:02d}:00 local time; an unknown zone may be off by "
            f"{early} to {late} hours"
        )
    lines += [
        f"mail on {first}" if first == last else f"mail from {first} to {last}"
        for first, last in rails.blackout
    ]
    lines += [f"mail for {counted(n, 'bin')} after `{signal}`" for signal, n in rails.conversation]
    lines += [_until(opened) for opened in rails.conversation_until]
    for signals in (rails.opt_out, rails.hard_bounce):
        lines += [f"any mail after `{signal}`" for signal in signals]
    lines += _inactivity(rails)
    if rails.escalation_needs:
        needs = ", ".join(f"`{signal}`" for signal in rails.escalation_needs)
        lines.append(f"`escalate` before one of {needs}")
    lines.append("messages that are not approved, or past their last day")
    lines.append("anything but `pause:1` while a longer pause lasts")
    return "\n".join(f"- {line}" for line in lines)


def _inactivity(rails: GuardrailSettings) -> list[str]:
    idle = rails.inactivity
    if idle is None:
        return []
    since = f"without {' or '.join(f'`{name}`' for name in idle.signals)}"
    lines = [
        f"more than {counted(tier.maximum, 'mail')} in {tier.hours:g} hours after "
        f"{counted(tier.bins, 'bin')} {since}"
        for tier in idle.tiers
    ]
    if idle.probe_bins is not None:
        share = f"{idle.probe_share:.1%} of the bins, drawn by lot"
        lines.append(f"mail after {counted(idle.probe_bins, 'bin')} {since}, but for {share}")
    return lines


def _until(opened: OpenConversation) -> str:
    closing = " or ".join(f"`{signal}`" for signal in opened.until)
    longest = f", for at most {counted(opened.bins, 'bin')}" if opened.bins else ""
    return f"mail from `{opened.signal}` until {closing}{longest}"


def _kpis(journey: Journey) -> str:
    rows = [["north star", *_kpi(journey.north_star)]]
    rows += [["supporting", *_kpi(kpi)] for kpi in journey.supporting]
    for limit in journey.limits:
        most = []
        if limit.at_most is not None:
            most.append(f"at most {limit.at_most:g} a {limit.per}")
        if limit.above_reference is not None:
            most.append(f"at most {limit.above_reference:g} a contact above the reference policy")
        rows.append(["limit on a release", limit.name, _channels(limit.of), "; ".join(most)])
    return table("kind, name, events, good", rows)


def _kpi(kpi: Kpi) -> list[str]:
    return [kpi.name, _channels(kpi.of), f"{kpi.better} is better"]


def _channels(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _signals(journey: Journey) -> str:
    rows = []
    for signal in journey.signals:
        pinned = ", ".join(f"{key} {value}".lower() for key, value in signal.filters().items())
        whose = "the action" if signal.by_action else "the contact"
        late = (
            "at once" if signal.delay_bins == 0 else f"within {counted(signal.delay_bins, 'bin')}"
        )
        valued = " (with a value)" if signal.valued else ""
        rows.append([f"`{signal.name}`{valued}", pinned, whose, late])
    return table("signal, events, made by, recorded", rows)


def _planted(world: MailWorld) -> str:
    rows = [[f"`{name}`", value, meaning] for name, value, meaning in _parameters(world.params)]
    return (
        "The truth that no policy sees; log-odds unless said otherwise, and 0 takes an effect\n"
        "away. Where each number comes from: [worlds-parameters.md](../worlds-parameters.md).\n"
        "What follows from it: [worlds.md](../worlds.md).\n\n"
        + table("parameter, value, meaning", rows)
    )


def _parameters(record: Any, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    comments: Mapping[str, str] = comments_of(type(record))
    for one in fields(record):
        value, name = getattr(record, one.name), f"{prefix}{one.name}"
        if is_dataclass(value) and not isinstance(value, Lateness):
            yield from _parameters(value, f"{name}.")
            continue
        if not comments.get(one.name):
            raise ValueError(f"{type(record).__name__}.{one.name}: say beside it what it means")
        yield name, _value(value), comments[one.name]


def _value(value: Any) -> str:
    if isinstance(value, Lateness):
        return f"mean {value.mean:g} bins, shape {value.shape:g}, latest {value.latest}"
    if isinstance(value, tuple):
        return ", ".join(f"{part:g}" for part in value)
    return f"{value:g}"
