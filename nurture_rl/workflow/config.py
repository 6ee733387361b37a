"""The typed configuration of a run; YAML under `configs/` only holds values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

from nurture_envs.fields import hint
from nurture_rl.appraisal.estimation import OPEN_EPISODES, EvaluationConfig
from nurture_rl.appraisal.on_estimates import ON_ESTIMATES
from nurture_rl.errors import ConfigError, NurtureError
from nurture_rl.release.signing import fingerprint
from nurture_rl.simulator.fit import WorldConfig
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.workflow.from_sends import DECISIONS_ARE
from nurture_rl.workflow.learners import LEARNERS, NO_LEARNER, plays_in_world
from nurture_rl.workflow.policy_files import with_files
from nurture_rl.workflow.ranges import require_ranges
from nurture_rl.workflow.release_region import AUTO, is_open
from nurture_rl.workflow.run_config import PolicyConfig, RunConfig

Record = TypeVar("Record")
SOURCES = ("reference", "hillstrom", "heartsteps", "starbucks_offers", "folder")
WORLDS = ("ranking", "training")
_CHANGE_NOTHING = ("workers", "checkpoint_every")  # settings that no result depends on
_PLAIN = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration."""

    run: RunConfig
    world: WorldConfig
    gap: GapConfig
    evaluation: EvaluationConfig
    learners: Mapping[str, Any]  # settings of its learner by policy; None where nothing is learned
    # The configuration as plain data, for records; without what changes no result.
    plain: Mapping[str, Any]


def settings(config: DictConfig, sources: tuple[str, ...] = SOURCES) -> Settings:
    """Check a composed configuration before any work starts.

    Args:
        config: composed from `run_schema` or a schema made from it.
        sources: what `data.source` may be.

    Raises:
        ConfigError: a value is missing, misspelt or of the wrong kind; names the key.
    """
    # Looked at first, for the other seeds are read from it.
    no_seed = OmegaConf.is_missing(config, "seed")
    missing = ["seed"] if no_seed else sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(f"these settings have no value: {', '.join(missing)}; give each one")
    run = OmegaConf.to_object(config)
    if not isinstance(run, RunConfig):
        raise ConfigError(
            f"expected a configuration made from run_schema, got {type(run).__name__}"
        )
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    _require_known(run, plain, "")
    _require_among("data.source", run.data.source, sources)
    _require_among("release.world", run.release.world, WORLDS)
    _require_among("evaluation.open_episodes", run.evaluation.open_episodes, OPEN_EPISODES)
    _require_among(
        "evaluation.estimated_propensities", run.evaluation.estimated_propensities, ON_ESTIMATES
    )
    _require_among("data.decisions", run.data.decisions, DECISIONS_ARE)
    require_ranges(run)
    if run.release.key is not None:
        _require_signing(Path(run.release.key))
    if run.policy is not None:
        run.policies[run.policy.name] = run.policy
    _read_files(run, plain)
    learners = {name: _learner(name, policy) for name, policy in run.policies.items()}
    return Settings(
        run=run,
        world=record(WorldConfig, asdict(run.world), "world"),
        gap=record(GapConfig, asdict(run.gap), "gap"),
        evaluation=record(EvaluationConfig, asdict(run.evaluation), "evaluation"),
        learners=learners,
        plain={str(key): value for key, value in plain.items() if key not in _CHANGE_NOTHING},
    )


def _read_files(run: RunConfig, plain: Mapping[Any, Any]) -> None:
    """Put what policy files hold where their paths stand, so that every record tells it."""
    for name, policy in run.policies.items():
        policy.spec = with_files(policy.spec)
        given = plain["policy"] if policy is run.policy else plain["policies"][name]
        given["spec"] = with_files(given["spec"])


def _require_signing(key: Path) -> None:
    """Guard against a key that turns out to be none after hours of work."""
    try:
        fingerprint(key)
    except ConfigError as error:
        raise ConfigError(f"release.key: {error}") from error


def _require_known(settings: Any, given: Mapping[Any, Any], where: str) -> None:
    """Guard against keys that were added and that nobody would read.

    Raises:
        ConfigError: names the first of them.
    """
    known = [one.name for one in fields(settings)]
    for key, value in given.items():
        if key not in known:
            near = hint(str(key), known) or f"; known are {', '.join(known)}"
            raise ConfigError(f"{where}{key}: no such setting{near}")
        inner = getattr(settings, key)
        if is_dataclass(inner):
            _require_known(inner, value, f"{where}{key}.")
        for name, one in inner.items() if isinstance(inner, Mapping) else ():
            if is_dataclass(one):
                _require_known(one, value[name], f"{where}{key}.{name}.")


def _learner(name: str, policy: PolicyConfig) -> Any:
    """The settings of a policy's learner, or None."""
    _require_among(f"policies.{name}.learner", policy.learner, (NO_LEARNER, *LEARNERS))
    if not 0.0 <= policy.pessimism < math.inf:
        raise ConfigError(f"policies.{name}.pessimism: must be >= 0, got {policy.pessimism}")
    if policy.pessimism and not plays_in_world(policy.learner):
        playing = [one for one in LEARNERS if plays_in_world(one)]
        raise ConfigError(
            f"policies.{name}.pessimism: only {' and '.join(playing)} are trained in the "
            f"learned world, got {policy.learner!r}; leave it at 0"
        )
    if policy.learner == NO_LEARNER:
        if is_open(policy.spec):
            raise ConfigError(
                f"policies.{name}.spec: expected a number for max_ratio, got {AUTO!r}; only the "
                "ratio of a policy that is learned can be chosen by the log"
            )
        return None
    fit = policy.fit if isinstance(policy.fit, dict) else asdict(policy.fit)
    return record(LEARNERS[policy.learner].settings, fit, f"policies.{name}.fit")


def record(cls: type[Record], values: Mapping[str, Any], where: str) -> Record:
    """Build a settings record from plain values, nested records included.

    Raises:
        ConfigError: a key the record does not have, a value of another kind, or one that the record
            itself refuses.
    """
    assert is_dataclass(cls)
    names = [f.name for f in fields(cls)]
    hints = get_type_hints(cls)
    given: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            near = hint(key, names) or f"; known are {', '.join(names)}"
            raise ConfigError(f"{where}.{key}: no such setting{near}")
        kind = hints[key]
        if is_dataclass(kind) and isinstance(value, Mapping):
            value = record(kind, value, f"{where}.{key}")  # type: ignore[arg-type]
        given[key] = _as_kind(kind, value, f"{where}.{key}")
    try:
        return cls(**given)
    except NurtureError as error:
        raise ConfigError(f"{where}: {error}") from error


def _as_kind(kind: Any, value: Any, where: str) -> Any:
    """The value as the record wants it; whole numbers may stand for floats, lists for tuples."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None and type(None) in kinds:
        return None
    kind = next(one for one in kinds if one is not type(None))
    if get_origin(kind) is tuple:
        return _as_tuple(get_args(kind), value, where)
    if isinstance(value, list) and kind not in _PLAIN:
        return tuple(value)
    wrong = (
        (kind is float and (isinstance(value, bool) or not isinstance(value, int | float)))
        or (kind is int and (isinstance(value, bool) or not isinstance(value, int)))
        or (kind in (str, bool) and not isinstance(value, kind))
    )
    if wrong:
        raise ConfigError(f"{where}: expected {kind.__name__}, got {_shown(value)}")
    return float(value) if kind is float else value


def _as_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """A list as a tuple; numbers may stand for names in it."""
    if not isinstance(value, list | tuple):
        example = "" if isinstance(value, Mapping) or value is None else f" such as [{value}]"
        raise ConfigError(f"{where}: expected a list{example}, got {_shown(value)}")
    if kinds[1:] != (...,):
        return tuple(value)
    names = kinds[0] is str
    plain = [str(one) if names and type(one) in (int, float) else one for one in value]
    return tuple(_as_kind(kinds[0], one, where) for one in plain)


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)


def _require_among(where: str, value: str, among: tuple[str, ...]) -> None:
    if value not in among:
        raise ConfigError(
            f"{where}: expected one of {', '.join(among)}, got {value!r}{hint(value, among)}"
        )
