"""The typed configuration of an off-policy evaluation: a run's settings and what is asked."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from omegaconf import DictConfig

from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.errors import ConfigError
from nurture_rl.interchange.bandit_feedback import FeedbackMeaning
from nurture_rl.interchange.foreign_episodes import EpisodesMeaning
from nurture_rl.interchange.frames import FrameColumns, FrameMeaning
from nurture_rl.ope.named_estimators import ESTIMATORS, SLOW_ESTIMATORS
from nurture_rl.workflow.config import SOURCES, Settings, record, settings
from nurture_rl.workflow.ope_targets import columns_of
from nurture_rl.workflow.ranges import LEVEL, MARGIN, require_each
from nurture_rl.workflow.run_config import ASKED_ELSEWHERE, DataConfig, RunConfig
from nurture_rl.workflow.typed import composable

_ASKED = (*ASKED_ELSEWHERE, "estimators", "preferred")  # under `ask`
_SAID = ("actions", "unit", "discount", "missing")  # under `data` itself, for every source
ENGINES = ("auto", "memory", "streaming")
_ENGINES = ", ".join(ENGINES)
ERRORS = ("groups", "contacts")
FOREIGN = ("frame", "obp", "minari", "d3rlpy")  # logs that have no journey


@dataclass
class OpeDataConfig(DataConfig):
    """Where the log comes from, and what it does not say about itself."""

    columns: Any = field(default_factory=composable(FrameColumns))  # source `frame`
    feedback: Any = field(default_factory=composable(FeedbackMeaning, _SAID))  # source `obp`
    infos: Any = field(default_factory=composable(EpisodesMeaning, _SAID))  # source `minari`
    beside: str | None = None  # source `d3rlpy`: .npz with `propensity`, decision by decision
    actions: list[str] = field(default_factory=list)  # names; empty: as the log has them
    factors: dict[str, Any] = field(default_factory=dict)  # factor columns of each action
    levels: dict[str, Any] = field(default_factory=dict)  # by factor: the level of each action
    unit: str = "reward"  # of the reward, such as EUR
    discount: float = 1.0  # of later rewards, per bin, in (0, 1]
    missing: list[float] = field(default_factory=list)  # numbers that stand for missing: -999
    values: list[float] = field(default_factory=list)  # numbers that look so and are true: 999


@dataclass
class AskConfig:
    """What the log is asked."""

    candidate: str | None = None  # the policy the verdict is about; None: the best of the others
    reference: str | None = None  # None: release.reference on a journey's log, else "logged"
    rules: str | None = None  # None: release.rules on a journey's log, else there are none
    # A gain over the rules up to this is not worth having, the log's unit; None: release.margin.
    margin: float | None = None
    # A policy is enough that earns less than the best by no more than this, the log's unit; None:
    # the margin, and where that is 0 a twentieth of what the log earned.
    tolerance: float | None = None
    level: float | None = None  # over all candidates together; None: release.level
    estimators: list[str] = field(default_factory=lambda: ["all"])  # names, or all quick ones
    # The estimator the verdict rests on; auto: dr, where that has no answer snips, then ips.
    basis: str = "auto"


@dataclass
class StreamingConfig:
    """Whether a log is summed up batch after batch, in bounded memory, or read whole."""

    engine: str = "auto"  # memory, streaming, or auto: streaming from `rows` decisions on
    rows: int = 2_000_000  # of a Parquet table of single decisions
    sample_rows: int = 1_000_000  # at most, at hand one by one for checks and the reward model
    batch_rows: int = 262_144  # in memory at a time, by worker; workers are `threads`
    # Of single decisions: by 4,096 groups of contacts, in one pass over the table, or by contact,
    # exactly, which sorts the table by contact on disk first. Journeys are always by contact.
    errors: str = "groups"


@dataclass
class OpeConfig(RunConfig):
    """A run's settings, a log, target policies, and what is asked of them."""

    data: OpeDataConfig = field(default_factory=OpeDataConfig)
    evaluation: Any = field(default_factory=composable(EvaluationConfig, _ASKED))
    targets: dict[str, Any] = field(default_factory=dict)  # policies described here, by name
    ask: AskConfig = field(default_factory=AskConfig)
    stream: StreamingConfig = field(default_factory=StreamingConfig)


def ope_settings(config: DictConfig) -> tuple[Settings, OpeConfig]:
    """Check a composed configuration before any work starts.

    Raises:
        ConfigError: a value is missing, misspelt or of the wrong kind; names the key.
    """
    checked = settings(config, (*SOURCES, *FOREIGN))
    run = checked.run
    if not isinstance(run, OpeConfig):
        raise ConfigError(f"expected a configuration made from ope_schema, got {type(run)}")
    data, ask, stream = run.data, run.ask, run.stream
    level = ask.level is None or 0.0 < ask.level < 1.0
    margin = ask.margin is None or 0.0 <= ask.margin < math.inf
    tolerance = ask.tolerance is None or 0.0 <= ask.tolerance < math.inf
    discount = 0.0 < data.discount <= 1.0
    require_each(
        [
            ("data.discount", data.discount, discount, "a factor above 0 and up to 1"),
            ("data.unit", data.unit, bool(data.unit.strip()), "a unit, such as EUR or reward"),
            ("ask.level", ask.level, level, LEVEL),
            ("ask.margin", ask.margin, margin, MARGIN),
            ("ask.tolerance", ask.tolerance, tolerance, "0 or more, in the log's unit"),
            ("ask.estimators", ask.estimators, len(ask.estimators) > 0, "names, or [all]"),
            *(
                (f"stream.{name}", n := getattr(stream, name), n >= 1, "1 or more")
                for name in ("rows", "sample_rows", "batch_rows")
            ),
            ("stream.engine", stream.engine, stream.engine in ENGINES, f"one of {_ENGINES}"),
            ("stream.errors", stream.errors, stream.errors in ERRORS, "groups or contacts"),
        ]
    )
    estimators_of(ask)
    if run.data.source in FOREIGN and data.memory:
        raise ConfigError(
            f"data.memory: expected 0, got {data.memory}: a log without a journey has no events to "
            "remember; give its columns of the past as features"
        )
    if run.data.source in FOREIGN and run.data.source != "obp" and not run.targets:
        raise ConfigError(
            "targets: a log without a journey needs target policies, such as "
            "targets.new.columns=[p_a,p_b] or targets.new.always=a"
        )
    return checked, run


def estimators_of(ask: AskConfig) -> tuple[str, ...]:
    """The estimators that are asked for, by name.

    Raises:
        ConfigError: a name that no estimator has, or `dr` is left out.
    """
    names = tuple(ESTIMATORS) if ask.estimators == ["all"] else tuple(ask.estimators)
    known = {**ESTIMATORS, **SLOW_ESTIMATORS}
    unknown = [name for name in names if name not in known]
    if unknown or "dr" not in names:
        raise ConfigError(
            f"ask.estimators: expected dr and others of {', '.join(known)}, or all; got "
            f"{', '.join(names)}"
        )
    return names


def frame_of(run: OpeConfig) -> tuple[FrameColumns, FrameMeaning]:
    """How the table that a run names is read, with the target policies in its columns.

    Raises:
        ConfigError: a mapping of columns, or a policy, that cannot be followed.
    """
    data = run.data
    meaning = FrameMeaning(
        tuple(map(str, data.actions)),
        data.factors,
        data.unit,
        data.discount,
        columns_of(run.targets),
        tuple(data.missing),
        tuple(data.values),
    )
    return record(FrameColumns, asdict(data.columns), "data.columns"), meaning
