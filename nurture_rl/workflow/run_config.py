"""What a run may be told: the records that YAML under `configs/` holds the values of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, make_dataclass
from functools import cache
from typing import Any

from omegaconf import II, MISSING

from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.rl.rule_search import TunedRulesConfig
from nurture_rl.simulator.fit import WorldConfig
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.workflow.learners import LEARNERS
from nurture_rl.workflow.typed import composable

# What `release` says (of `ope`: `ask`); to take it under `evaluation` too would change nothing.
ASKED_ELSEWHERE = ("level", "candidates", "rules", "margin")


@dataclass
class TrustConfig:
    """How far a learned policy may move from the logging policy; what the log can still judge."""

    # Largest importance ratio to the logging policy, >= 1. `auto`: chosen for each learned policy
    # by training contacts that a first training leaves aside; see `docs/trust-region.md`.
    max_ratio: int | float | str = 4.0
    # what `auto` may choose, each >= 1
    ratios: list[float] = field(default_factory=lambda: [1.5, 2.0, 3.0, 4.0, 8.0, 16.0])
    explore: float = 0.05  # share of decisions that follow the logging policy, in [0, 1]


@dataclass
class DataConfig:
    """Where the log comes from."""

    name: str = MISSING  # what reports call it
    # reference (synthetic), folder (tables of your own), or the name of a data set or format
    source: str = MISSING
    journey: str = MISSING  # a shipped journey's name, or a path
    # Last bins that contexts tell apart beside the journey's features, signal by signal, for every
    # policy of the run, the learned world and the judges; 0: none. See `docs/memory.md`.
    memory: int = 0
    # Whose word decisions are: logged, a table of them; from_sends, a log without one, whose sends
    # become the decisions of the programme that made them, with estimated propensities.
    decisions: str = "logged"
    # from_sends: the signal by which an episode begins; None: the journey's enrolment, and where it
    # has none a contact's first event.
    entry: str | None = None
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
    learner: str = "none"  # how it is learned, `policy=NAME` sets it; `none`: it is written
    spec: Any = (
        MISSING  # description for `build_policy`; {kind: model, name: core} is the learned part
    )
    fit: Any = field(default_factory=dict)  # settings of the learner
    # Of a policy trained in the learned world: standard deviations of its members' disagreement
    # about a bin's reward that are taken off that reward, >= 0. At 0 the trust region and the gate
    # guard alone; above, every member is asked in every bin, which triples a bin's time.
    pessimism: float = 0.0
    # While it is learned, what each event costs beyond the journey's reward, in the reward's unit:
    # `send` for every mail, or a signal's name. It is judged without them. See `docs/prices.md`.
    prices: dict[str, float] = field(default_factory=dict)


@cache
def learned_policy_settings(name: str) -> type[PolicyConfig]:
    """The settings of a policy of one learner, those of the learner under `fit`.

    Args:
        name: of the learner.
    """
    fit = field(default_factory=composable(LEARNERS[name].settings))  # type: ignore[arg-type]
    added = [("learner", str, field(default=name)), ("fit", Any, fit)]
    own = {"__reduce__": lambda self: (_again, (name, vars(self)))}
    return make_dataclass(f"{name}_policy", added, bases=(PolicyConfig,), namespace=own)


def _again(name: str, values: Mapping[str, Any]) -> PolicyConfig:
    """The same settings in another process, where their class must be made first."""
    return learned_policy_settings(name)(**values)


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
    key: str | None = None  # file of a private Ed25519 key (PEM) that signs bundles; None: unsigned

    def judging(self) -> dict[str, Any]:
        """What bears on a judgement: all but who signs it."""
        return {name: value for name, value in asdict(self).items() if name != "key"}


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
    evaluation: Any = field(default_factory=composable(EvaluationConfig, ASKED_ELSEWHERE))
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    threads: int = 1  # of torch and BLAS; two pools that share cores slow each other tenfold
    # Iterations of a training between two checkpoints, from which a killed one goes on, >= 1; no
    # result depends on it.
    checkpoint_every: int = 10
    # Processes that work at a time on what can be done side by side, >= 1; no result depends on it.
    # None: one for each usable core, at most 4.
    workers: int | None = None
