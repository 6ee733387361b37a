"""Journey files: YAML with inheritance, parsed into a `Journey` with all errors at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import Clock
from nurture_envs.derived_rules import read_derived
from nurture_envs.errors import JourneyError
from nurture_envs.fields import Fields, channels_of, hint
from nurture_envs.journey import (
    APPROVALS,
    JOBS,
    ActionOptions,
    Journey,
    Message,
    Reward,
    Signal,
)
from nurture_envs.journey_claims import claim_problems, read_claim
from nurture_envs.journey_enrolment import enrolment_problems, read_enrolment
from nurture_envs.journey_experiment import experiment_problems, read_experiment
from nurture_envs.journey_features import Nameable, read_feature
from nurture_envs.journey_goals import read_kpis, read_limit
from nurture_envs.journey_guardrails import (
    event_columns,
    event_problems,
    overlaps,
    people_problems,
    read_guardrails,
)
from nurture_envs.journey_rules import (
    offer_problems,
    read_offer,
    read_rules,
    read_slow,
    rule_problems,
    spacing_problems,
)
from nurture_envs.yaml_once import read_yaml


def shipped_journeys() -> tuple[str, ...]:
    """Names of the journeys that come with the package."""
    folder = files("nurture_envs") / "journeys"
    return tuple(
        sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))
    )


def load_journey(name_or_path: str | Path) -> Journey:
    """Read a journey that ships with the package (by name) or a file (by path).

    Raises:
        JourneyError: the file cannot be read or breaks the schema; every problem is listed.
    """
    return parse_journey(_read(str(name_or_path), Path.cwd(), ()), str(name_or_path))


def parse_journey(data: Mapping[str, Any], source: str = "mapping") -> Journey:
    """Build a journey from plain data (inheritance already worked out).

    Raises:
        JourneyError: the data breaks the schema; every problem is listed.
    """
    problems: list[str] = []
    journey = _journey(Fields(data, "", problems))
    if not problems:
        problems += _cross_checks(journey)
    if problems:
        raise JourneyError(source, problems)
    return journey


def _read(name: str, base: Path, heirs: tuple[str, ...]) -> dict[str, Any]:
    """The file's data over that of its parents; `heirs` are the files that led here."""
    if name in shipped_journeys():
        path, where, whole = files("nurture_envs") / "journeys" / f"{name}.yaml", base, name
    else:
        path = base / name
        if not path.is_file():
            known = ", ".join(shipped_journeys())
            raise JourneyError(name, [f"no such file; give a path or one of {known}"])
        where, whole = path.parent, str(path.resolve())
    if whole in heirs:
        raise JourneyError(name, ["extends: it inherits from itself; name another parent"])
    try:
        data = read_yaml(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise JourneyError(name, [f"not readable as YAML: {error}"]) from error
    if not isinstance(data, dict):
        raise JourneyError(name, [f"expected a mapping of keys, got {type(data).__name__}"])
    parent = data.pop("extends", None)
    return _merge(_read(str(parent), where, (*heirs, whole)), data) if parent else data


def _merge(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    merged = dict(parent)
    for key, value in child.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _journey(f: Fields) -> Journey:
    signals = tuple(_signal(name, child) for name, child in f.children("signals"))
    channels = [s.name for s in signals] + [f"{s.name}.value" for s in signals if s.valued]
    stages = tuple((str(k), str(v)) for k, v in f.mapping("stages", {}).data.items())
    messages = tuple(_message(name, child) for name, child in f.children("messages"))
    actions = f.mapping("actions")
    slow = read_slow(actions, signals)
    north_star, *supporting = read_kpis(f.mapping("kpis"), channels)
    clock, names = _clock(f.mapping("clock")), [signal.name for signal in signals]
    figures = [kpi.name for kpi in (north_star, *supporting)]
    known = Nameable(signals, tuple(channels), stages, len(clock.slots_hours))
    journey = Journey(
        name=f.text("journey"),
        title=f.text("title"),
        provenance=f.text("provenance"),
        clock=clock,
        estimand=f.text("estimand", "per_episode", among=("per_episode", "per_decision")),
        signals=signals,
        messages=messages,
        offers=tuple(read_offer(name, child) for name, child in f.children("offers", {})),
        options=_options(actions),
        features=tuple(read_feature(n, c, known) for n, c in f.children("features")),
        reward=_reward(f.mapping("reward"), signals, channels),
        terminals=channels_of(f, "terminals", channels, default=[]),
        guardrails=read_guardrails(f.mapping("guardrails", {}), channels, messages, slow),
        north_star=north_star,
        supporting=(supporting[0], supporting[1]),
        limits=tuple(read_limit(n, c, channels) for n, c in f.children("limits", {})),
        drip=tuple(_drip(f.mapping("drip", {}))),
        rules=read_rules(f, "rules"),
        expert=read_rules(f, "expert"),
        resolved=f.data,
        enrolment=read_enrolment(f, names),
        experiment=read_experiment(f, clock, figures, names),
        signers=f.integer("signers", 1, low=1, high=32),
        claims=tuple(read_claim(name, child) for name, child in f.children("claims", {})),
        derived=tuple(read_derived(f, names, [signal.type for signal in signals])),
    )
    f.finish()
    return journey


def _signal(name: str, f: Fields) -> Signal:
    signal = replace(
        event_columns(name, f),
        valued=f.flag("valued", False),
        by_action=f.flag("by_action", False),
        delay_bins=f.integer("delay_bins", 0),
    )
    if signal.by_action and signal.type not in ("sent", "escalated", "slowed"):
        f.problem(
            "by_action",
            f"only sent, escalated and slowed are made by actions, not {signal.type!r}",
        )
    f.finish()
    return signal


def _clock(f: Fields) -> Clock:
    hours = f.items("slots_hours", [0])
    slots = tuple(float(s) for s in hours if isinstance(s, (int, float)))
    period = f.number("period_hours", 24.0, low=0.25)
    increasing = len(slots) == len(hours) > 0 and list(slots) == sorted(set(slots))
    if not increasing or slots[0] < 0 or slots[-1] >= period:
        f.problem("slots_hours", f"expected increasing hours in [0, {period}), got {hours}")
        slots = (0.0,)
    clock = Clock(period, slots, f.integer("periods", low=1))
    f.finish()
    return clock


def _message(name: str, f: Fields) -> Message:
    message = Message(
        id=name,
        job=f.text("job", among=JOBS),
        topic=f.text("topic", "none"),
        proof=f.text("proof", "none"),
        offer=f.text("offer", "none"),
        call_to_action=f.text("call_to_action", "none"),
        channel=f.text("channel", "email"),
        approval=f.text("approval", "draft", among=APPROVALS),
        expires=f.day("expires"),
        blocks=tuple(str(block) for block in f.items("blocks", [])),
    )
    f.finish()
    return message


def _options(f: Fields) -> ActionOptions:
    slots: list[int | None] = []
    for slot in f.items("slots", ["now"]):
        if slot == "now":
            slots.append(None)
        elif isinstance(slot, int) and 0 <= slot <= 23:
            slots.append(slot)
        else:
            f.problem("slots", f"expected local hours 0..23 or now, got {slot!r}")
    if len(set(slots)) < len(slots):
        f.problem("slots", "expected each hour once; two actions cannot share an id")
    pauses = tuple(f.whole_numbers("pauses", [1]))
    if not pauses or pauses[0] != 1 or list(pauses) != sorted(set(pauses)):
        f.problem("pauses", f"expected increasing whole numbers of bins from 1, got {pauses}")
        pauses = (1,)
    options = ActionOptions(tuple(slots), pauses, f.flag("escalate", False), f.flag("exit", False))
    f.finish()
    return options


def _reward(f: Fields, signals: tuple[Signal, ...], known: list[str]) -> Reward:
    weights = f.mapping("weights")
    opens_allowed = f.flag("opens_count", False)
    opens = {signal.name for signal in signals if signal.type == "open"}
    pairs = []
    for name in weights.data:
        pairs.append((str(name), weights.number(name)))
        if name not in known:
            weights.problem(name, f"no signal is called {name!r}{hint(str(name), known)}")
        if str(name).removesuffix(".value") in opens and not opens_allowed:
            weights.problem(
                name,
                "opens are made by mail proxies and never enter a reward; "
                "set reward.opens_count: true to insist",
            )
    reward = Reward(
        unit=f.text("unit"),
        weights=tuple(pairs),
        send_cost=f.number("send_cost", 0.0, low=0.0),
        escalate_cost=f.number("escalate_cost", 0.0, low=0.0),
        discount=f.number("discount", 1.0, low=0.01, high=1.0),
    )
    f.finish()
    return reward


def _drip(f: Fields) -> list[tuple[int, str]]:
    plan: list[tuple[int, str]] = []
    for key, action in f.data.items():
        if not str(key).isdigit() or not isinstance(action, str):
            f.problem(str(key), f"expected `bin: action id`, got {key!r}: {action!r}")
            continue
        plan.append((int(key), action))
    return sorted(plan)


def _cross_checks(journey: Journey) -> list[str]:
    problems = overlaps("signals", journey.signals) + event_problems(journey)
    problems += people_problems(journey)
    names = [signal.name for signal in journey.signals]
    problems += [
        f"stages.{stage}: no signal is called {signal!r}{hint(signal, names)}"
        for feature in journey.features
        if feature.kind == "stage"
        for stage, signal in feature.stages
        if signal not in names
    ]
    if not journey.features:
        problems.append("features: expected at least one")
    problems += rule_problems(journey, ActionCatalog.of(journey).ids)
    problems += offer_problems(journey) + spacing_problems(journey) + enrolment_problems(journey)
    problems += experiment_problems(journey)
    problems += claim_problems(journey)
    return problems
