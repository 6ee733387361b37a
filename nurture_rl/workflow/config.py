"""The typed configuration of a run; YAML under `configs/` only holds values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import II, MISSING, DictConfig, OmegaConf

from nurture_envs.clock import require_zone
from nurture_envs.fields import hint
from nurture_rl.appraisal.evaluate import OPEN_EPISODES, EvaluationConfig
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig
from nurture_rl.errors import ConfigError, TimeZoneError
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.rl.rule_search import TunedRulesConfig
from nurture_rl.simulator.fit import WorldConfig
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.workflow.bar import EXPERT, RULES
from nurture_rl.workflow.ranges import (
    LEVEL,
    MARGIN,
    Range,
    between,
    positive,
    require_each,
    require_seed,
)
from nurture_rl.workflow.typed import composable

Record = TypeVar("Record")
LEARNERS = ("none", "linear_thompson", "ppo", "tuned_rules")
IN_THE_WORLD = ("ppo", "tuned_rules")  # learners that play in the learned world
LearnerConfig = LinearThompsonConfig | PPOConfig | TunedRulesConfig | None
SOURCES = ("reference", "hillstrom", "heartsteps", "starbucks_offers", "folder")
WORLDS = ("ranking", "training")
_PLAIN = (str, int, float, bool)
_PPO, _TUNED = ("iterations", "n_contacts"), ("plays", "contacts")  # work that must be some


@dataclass
class TrustConfig:
    """How far a learned policy may move from the logging policy; what the log can still judge."""

    max_ratio: float = 4.0  # largest importance ratio to the logging policy, >= 1
    explore: float = 0.05  # share of decisions that follow the logging policy, in [0, 1]


@dataclass
class DataConfig:
    """Where the log comes from."""

    name: str = MISSING  # what reports call it
    # reference (synthetic), folder (tables of your own), or the name of a data set or format
    source: str = MISSING
    journey: str = MISSING  # a shipped journey's name, or a path
    path: str | None = None  # folder of a data set, or of raw tables for source `folder`
    contacts: int = 0  # reference: contacts that enter
    # Description of the logging policy; `logged` (or None): fitted to the log's own probabilities.
    logging: Any = None
    trust: TrustConfig = field(default_factory=TrustConfig)
    default_zone: str = "UTC"  # where contacts of unknown zone are taken to live
    # ISO-8601; without a zone it is `default_zone`'s, a day is its start; None: the last record
    complete_until: str | None = None
    held_out: float = 0.5  # share of contacts kept for evaluation, in (0, 1)
    # Largest share of a log's rows that may be set aside, in [0, 1]; beyond it the log is refused.
    max_refused: float = 0.1
    weighting: str = "none"  # what `world.weighting` reads; "propensity" for confounded logs
    rollout_contacts: int = 2048  # played side by side in training; fewer where episodes are long


@dataclass
class PolicyConfig:
    """One policy: what is learned, and how it is composed for release."""

    name: str = MISSING  # what reports and other settings call it
    learner: str = "none"  # none, linear_thompson, ppo or tuned_rules
    spec: Any = (
        MISSING  # description for `build_policy`; {kind: model, name: core} is the learned part
    )
    fit: Any = field(default_factory=dict)  # settings of the learner
    # Of a policy trained in the learned world: standard deviations of its members' disagreement
    # about a bin's reward that are taken off that reward, >= 0. At 0 the trust region and the gate
    # guard alone; above, every member is asked in every bin, which triples a bin's time.
    pessimism: float = 0.0


@dataclass
class PPOPolicy(PolicyConfig):
    """A policy that PPO trains."""

    learner: str = "ppo"
    fit: Any = field(default_factory=composable(PPOConfig, ("name",)))


@dataclass
class LinearThompsonPolicy(PolicyConfig):
    """A policy of linear Thompson sampling."""

    learner: str = "linear_thompson"
    fit: Any = field(default_factory=composable(LinearThompsonConfig, ("name",)))


@dataclass
class TunedRulesPolicy(PolicyConfig):
    """Rules whose numbers are searched."""

    learner: str = "tuned_rules"
    fit: Any = field(default_factory=composable(TunedRulesConfig))


@dataclass
class PPOSize:
    """How long PPO trains; what else it can be told is under its policy's `fit`."""

    iterations: int = 40  # rounds of playing and learning
    n_contacts: int = MISSING  # played side by side


@dataclass
class SimulationConfig:
    """How policies are played in a world."""

    contacts: int = 1000  # per seed; every member of the world plays all of them
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3])  # of the contacts played
    truth_contacts: int = 20000  # in the reference world, where there is one


@dataclass
class ReleaseConfig:
    """What a release must show."""

    policy: str | None = None  # an unlearned policy to export as it is; None: the best learned one
    reference: str = "drip"  # the policy to beat; "logged" for the logging policy's own mean
    # A program that may be enough: every candidate must be shown to earn more. The journey's
    # `rules` take its place where the learned world values them above it, or the run lacks it;
    # None: no bar.
    rules: str | None = "expert"
    margin: float = 0.0  # a gain up to this is not worth a release, the journey's unit
    level: float = 0.95  # over all learned candidates together
    # What the reality gap must allow: `ranking`, or `training`, which then asks for
    # a lower bound in the worst of the world's members too. A world not to be trusted never passes.
    world: str = "training"


@dataclass
class SeedsConfig:
    """What each kind of work draws from; the run's `seed` unless a value is given."""

    log: int = II("seed")  # the reference world's log; rows that a logging policy is fitted to
    world: int = II("seed")  # fitting the learned world
    learner: int = II("seed")  # training the policies
    evaluation: int = II("seed")  # the reality gap, intervals and folds, the bundle's parity states


@dataclass
class RunConfig:
    """One run of the pipeline or of one verb."""

    seed: int = MISSING  # of everything, but for `seeds`
    seeds: SeedsConfig = field(default_factory=SeedsConfig)
    runs: str = "runs"  # folder of everything that is made
    tracking_uri: str | None = None  # MLflow; None: SQLite in `runs`
    experiment_name: str = "nurture_rl"  # under which MLflow files the run
    data: DataConfig = field(default_factory=DataConfig)
    world: Any = field(default_factory=composable(WorldConfig))
    gap: Any = field(default_factory=composable(GapConfig))
    ppo: PPOSize = field(default_factory=PPOSize)  # what `policy=ppo` reads
    tuned: Any = field(
        default_factory=composable(TunedRulesConfig)
    )  # what `policy=tuned_rules` reads
    policies: dict[str, PolicyConfig] = field(default_factory=dict)  # by name, each as `policy`
    policy: PolicyConfig | None = None  # one more policy: what a sweep varies
    evaluation: Any = field(default_factory=composable(EvaluationConfig))
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    threads: int = 1  # of torch and BLAS; two pools that share cores slow each other tenfold


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration."""

    run: RunConfig
    world: WorldConfig
    gap: GapConfig
    evaluation: EvaluationConfig
    learners: Mapping[str, LearnerConfig]  # by policy
    plain: Mapping[str, Any]  # the whole configuration as plain data, for records


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
    _require_ranges(run)
    if run.policy is not None:
        run.policies[run.policy.name] = run.policy
    learners = {name: _learner(name, policy) for name, policy in run.policies.items()}
    return Settings(
        run=run,
        world=record(WorldConfig, asdict(run.world), "world"),
        gap=record(GapConfig, asdict(run.gap), "gap"),
        evaluation=record(EvaluationConfig, asdict(run.evaluation), "evaluation"),
        learners=learners,
        plain={str(key): value for key, value in plain.items()},
    )


def _require_ranges(run: RunConfig) -> None:
    """Guard the numbers and names that every run has.

    Raises:
        ConfigError: names the first that no work could be done with.
    """
    played, data, trust, release = run.simulation, run.data, run.data.trust, run.release
    named = [("seed", run.seed), *((f"seeds.{key}", one) for key, one in asdict(run.seeds).items())]
    for name, seed in (*named, *(("simulation.seeds", one) for one in played.seeds)):
        require_seed(name, seed)
    held = 0.0 < data.held_out < 1.0
    enters = data.source != "reference" or data.contacts >= 10
    require_each(
        [
            ("data.held_out", data.held_out, held, "a share above 0 and below 1, such as 0.5"),
            between("data.max_refused", data.max_refused, 0, 1, "a share from 0 to 1, such as 0.1"),
            ("data.contacts", data.contacts, enters, "10 contacts or more, such as 2000"),
            between("data.trust.max_ratio", trust.max_ratio, 1, math.inf, "a ratio of 1 or more"),
            between("data.trust.explore", trust.explore, 0, 1, "a share from 0 to 1"),
            between("simulation.contacts", played.contacts, 2, math.inf, "2 or more"),
            between("simulation.truth_contacts", played.truth_contacts, 2, math.inf, "2 or more"),
            ("simulation.seeds", played.seeds, len(played.seeds) >= 1, "a seed or more: [0,1]"),
            ("release.level", release.level, 0.0 < release.level < 1.0, LEVEL),
            ("release.margin", release.margin, 0.0 <= release.margin < math.inf, MARGIN),
            _reference(run, release.reference),
            _bar(run, release.rules),
            positive("threads", run.threads),
            *(positive(f"ppo.{name}", getattr(run.ppo, name)) for name in _PPO),
            *(positive(f"tuned.{name}", getattr(run.tuned, name)) for name in _TUNED),
        ]
    )
    try:
        require_zone(data.default_zone)
    except TimeZoneError as error:
        raise ConfigError(f"data.default_zone: {error}") from error


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


def _reference(run: RunConfig, name: str) -> Range:
    known = _named(run)
    good = not run.policies or name in known or name == "logged"
    return "release.reference", name, good, f"one of {', '.join((*known, 'logged'))}"


def _bar(run: RunConfig, name: str | None) -> Range:
    """No bar, one that a journey may lack, or a policy that learns nothing."""
    plain = [known for known, policy in _named(run).items() if policy.learner == "none"]
    good = name in (None, EXPERT, RULES, *plain) or not run.policies
    known = dict.fromkeys((EXPERT, RULES, *plain))
    return "release.rules", name, good, f"null, or a policy that learns nothing: {', '.join(known)}"


def _named(run: RunConfig) -> dict[str, PolicyConfig]:
    """The run's policies with the one that a sweep varies."""
    return run.policies | ({} if run.policy is None else {run.policy.name: run.policy})


def _learner(name: str, policy: PolicyConfig) -> LearnerConfig:
    _require_among(f"policies.{name}.learner", policy.learner, LEARNERS)
    if not 0.0 <= policy.pessimism < math.inf:
        raise ConfigError(f"policies.{name}.pessimism: must be >= 0, got {policy.pessimism}")
    if policy.pessimism and policy.learner not in IN_THE_WORLD:
        raise ConfigError(
            f"policies.{name}.pessimism: only {' and '.join(IN_THE_WORLD)} are trained in the "
            f"learned world, got {policy.learner!r}; leave it at 0"
        )
    where = f"policies.{name}.fit"
    fit = policy.fit if isinstance(policy.fit, dict) else asdict(policy.fit)
    if policy.learner == "linear_thompson":
        return record(LinearThompsonConfig, {"name": "core", **fit}, where)
    if policy.learner == "ppo":
        return record(PPOConfig, {"name": "core", **fit}, where)
    if policy.learner == "tuned_rules":
        return record(TunedRulesConfig, fit, where)
    return None


def record(cls: type[Record], values: Mapping[str, Any], where: str) -> Record:
    """Build a settings record from plain values, nested records included.

    Raises:
        ConfigError: a key the record does not have, or a value of another kind.
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
    return cls(**given)


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
