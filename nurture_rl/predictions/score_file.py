"""What people say of scores: groups of features, intent, flags, and what reads each score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.fields import hint
from nurture_envs.guardrails import COMPARISONS
from nurture_envs.journey import Condition, Feature, Journey
from nurture_envs.yaml_once import read_yaml
from nurture_rl.errors import ConfigError
from nurture_rl.predictions.predicted_outcomes import (
    ADVANCE,
    BOOK,
    CHURN,
    CONVERT,
    ENGAGE,
    IGNORE,
)
from nurture_rl.predictions.score_parts import BASE

FIT, INTENT, ENGAGEMENT, OUTCOMES, TIME = "fit", "intent", "engagement", "outcomes", "time"
_SHOWS_INTENT = frozenset({"page_view", "form_submitted", "product_used", "visit", "activity"})
_KEYS = ("groups", "intent", "flags", "reads")
_FLAG = ("signals", "when", "do")
_MOST_GROUPS = 10  # a chance is asked for in all their combinations
# What a flag is not called: outcomes, and columns of the scores that are no chances.
_TAKEN = frozenset(
    {CONVERT, BOOK, ADVANCE, ENGAGE, IGNORE, CHURN, "intent", "fatigue", "tolerance"}
    | {"contact_id", "cluster", "episode_id", "step", "as_of"}
)
_TAKEN_FORMS = re.compile(r"affinity_.*|.*_[0-9.e+-]+d", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ScoreFlag:
    """A contact for whom the journey is not meant, such as poor fit or a wrong persona."""

    name: str
    signals: tuple[str, ...]  # any of them in the episode raises it
    when: tuple[Condition, ...]  # or all of these hold of the features
    action: str | None  # what is to be done about it


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """Declarations of a score file, and what the journey gives where it says nothing."""

    groups: Mapping[str, tuple[str, ...]]  # feature columns by group
    intent: Mapping[str, float] = field(default_factory=dict)  # weight by feature column
    flags: tuple[ScoreFlag, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)  # score -> action it decides about


def default_groups(journey: Journey) -> dict[str, tuple[str, ...]]:
    """Groups by what each feature reads: attributes, stages, pages and use, mail, or the clock."""
    types = {one.name: one.type for one in journey.signals}
    spec = FeatureSpec.of(journey)
    late = {signal for _, signal in journey.stages} | set(journey.north_star.of)
    groups: dict[str, list[str]] = {name: [] for name in (FIT, INTENT, ENGAGEMENT, OUTCOMES, TIME)}
    for one in journey.features:
        groups[_group(one, types, late)] += spec.names(one)
    return {name: tuple(columns) for name, columns in groups.items() if columns}


def _group(one: Feature, types: Mapping[str, str], late: set[str]) -> str:
    if one.kind in ("attribute", "calendar"):
        return FIT if one.kind == "attribute" else TIME
    if one.kind == "stage" or set(one.of) & late:
        return OUTCOMES
    read = {types.get(name.removesuffix(".value"), "") for name in one.of}
    return INTENT if read & _SHOWS_INTENT else ENGAGEMENT


def read_score_file(path: Path | None, journey: Journey) -> ScoreFile:
    """Read a score file; without one, groups are the journey's own and the rest is empty.

    Raises:
        ConfigError: it cannot be read, or names what the journey does not have; all mistakes are
            listed.
    """
    if path is None:
        return ScoreFile(default_groups(journey))
    try:
        given = read_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"scores: {path} cannot be read ({error}); give a YAML file") from error
    if not isinstance(given, dict):
        raise ConfigError(f"scores: expected keys among {', '.join(_KEYS)} in {path}")
    wrong: list[str] = []
    made = _made(given, journey, wrong)
    if wrong:
        raise ConfigError(f"scores: {path}: {'; '.join(wrong)}")
    return made


def _made(given: Mapping[str, Any], journey: Journey, wrong: list[str]) -> ScoreFile:
    for key in given:
        if key not in _KEYS:
            wrong.append(f"{key}: no such key{hint(str(key), _KEYS)}")
    spec = FeatureSpec.of(journey)
    of_feature = {one.name: spec.names(one) for one in journey.features}
    columns = {name: (name,) for name in spec.columns} | of_feature
    groups = default_groups(journey)
    if given.get("groups"):
        groups = {}
        for name, features in _mapping(given["groups"], "groups", wrong).items():
            groups[name] = tuple(
                column
                for one in (features if isinstance(features, list) else [features])
                for column in _known(one, columns, f"groups.{name}", wrong)
            )
        grouped = [column for members in groups.values() for column in members]
        for column in sorted({one for one in grouped if grouped.count(one) > 1}):
            wrong.append(f"groups: {column} is in two groups")
        rest = tuple(one for one in spec.columns if one not in grouped)
        if BASE in groups:
            wrong.append(f"groups.{BASE}: the chance of an average contact is called so; rename it")
        if rest:
            groups["other"] = groups.get("other", ()) + rest
        if len(groups) > _MOST_GROUPS:
            wrong.append(
                f"groups: expected {_MOST_GROUPS} at most, with that of all other features, "
                f"got {len(groups)}"
            )
    intent: dict[str, float] = {}
    for name, weight in _mapping(given.get("intent"), "intent", wrong).items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not isfinite(weight):
            wrong.append(f"intent.{name}: expected a number, got {weight!r}")
            continue
        intent |= dict.fromkeys(_known(name, columns, "intent", wrong), float(weight))
    actions = ActionCatalog.of(journey).ids
    reads = {}
    for name, action in _mapping(given.get("reads"), "reads", wrong).items():
        reads[name] = _action(action, actions, f"reads.{name}", wrong)
    flags = tuple(
        _flag(name, one, journey, wrong)
        for name, one in _mapping(given.get("flags"), "flags", wrong).items()
    )
    return ScoreFile(groups, intent, flags, {k: v for k, v in reads.items() if v is not None})


def _flag(name: str, given: Any, journey: Journey, wrong: list[str]) -> ScoreFlag:
    where = f"flags.{name}"
    told = _mapping(given, where, wrong)
    for key in told:
        if key not in _FLAG:
            wrong.append(f"{where}.{key}: no such key{hint(str(key), _FLAG)}")
    if name in _TAKEN or _TAKEN_FORMS.fullmatch(name):
        wrong.append(f"{where}: another score, or a column beside them, is called so; rename it")
    listed = told.get("signals") or []
    if not isinstance(listed, list):
        wrong.append(f"{where}.signals: expected a list, such as [replied_question], got {listed}")
        listed = []
    signals = tuple(str(one) for one in listed)
    known = [one.name for one in journey.signals]
    for one in signals:
        if one not in known:
            wrong.append(f"{where}.signals: no signal {one!r}{hint(one, known)}")
    spec = FeatureSpec.of(journey)
    when = []
    for column, text in _mapping(told.get("when"), f"{where}.when", wrong).items():
        operator, _, number = str(text).strip().partition(" ")
        threshold = _number(number) if operator in COMPARISONS else None
        if threshold is None:
            wrong.append(f"{where}.when.{column}: expected such as '< 2', got {text!r}")
        else:
            when.append(Condition(column, operator, threshold))
        if column not in spec.columns:
            wrong.append(f"{where}.when: no feature column {column!r}{hint(column, spec.columns)}")
    if not signals and not when:
        wrong.append(f"{where}: expected signals, or when, or both")
    action = told.get("do")
    if action is not None:
        action = _action(action, ActionCatalog.of(journey).ids, f"{where}.do", wrong)
    return ScoreFlag(name, signals, tuple(when), action)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if isfinite(found) else None


def _mapping(given: Any, where: str, wrong: list[str]) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        wrong.append(f"{where}: expected a mapping, got {given!r}")
        return {}
    return {str(key): value for key, value in given.items()}


def _known(
    name: Any, columns: Mapping[str, tuple[str, ...]], where: str, wrong: list[str]
) -> tuple[str, ...]:
    if isinstance(name, str) and name in columns:
        return columns[name]
    wrong.append(f"{where}: no feature {name!r}{hint(str(name), list(columns))}")
    return ()


def _action(given: Any, actions: tuple[str, ...], where: str, wrong: list[str]) -> str | None:
    if given in actions:
        return str(given)
    wrong.append(f"{where}: no action {given!r}{hint(str(given), actions)}")
    return None
