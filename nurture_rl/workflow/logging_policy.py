"""Which policy made the log: the one that is configured, or one fitted to what the log says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.decisions import Decisions, load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.composition import Mixture
from nurture_rl.policies.policy import BoolArray, Policy, PolicyError
from nurture_rl.simulator.softmax_fit import Seen, fit_softmax

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.stages import Workshop

OWN = "logged"  # a description that stands for the policy that made the log
_PROGRAMS = ("expert", "rules", "drip", "no_contact")
_PARTS = ("policy", "other", "base", "with", "anchor")  # where a description holds another one
_ROWS = 20_000  # enough for a softmax regression of any catalogue
_CLOSE = 1e-3  # share of decisions up to which a softmax alone is the logging policy
_RARELY = 0.02  # share of decisions that a program must at least have had everywhere
NEAR, FAR = 0.01, 0.05  # share of decisions in which a description may part from the log


@dataclass(frozen=True, slots=True)
class LoggingPolicy:
    """A policy that stands for the one that made the log, for worlds and trust regions.

    Off-policy estimates never rest on it: they divide by the propensities of the log.
    """

    description: Any
    distance: float | None  # share of decisions taken otherwise than logged; None: not logged
    sentence: str


def with_logging(settings: Settings, description: Any) -> Settings:
    """Settings in which the log's own policy stands wherever `logged` did."""
    run = settings.run
    policies = {
        name: replace(policy, spec=_filled(policy.spec, description))
        for name, policy in run.policies.items()
    }
    data = replace(run.data, logging=description)
    return replace(settings, run=replace(run, data=data, policies=policies))


def _filled(spec: Any, description: Any) -> Any:
    if spec is None or spec == OWN or spec == {"kind": OWN}:
        return description
    if not isinstance(spec, Mapping):
        return spec
    return {
        key: _filled(part, description) if key in _PARTS else part for key, part in spec.items()
    }


def is_own(description: Any) -> bool:
    """Whether the log itself is to say what made it."""
    return bool(_filled(description, OWN) == OWN)


def logging_policy(
    workshop: Workshop, journey: Journey, run: Settings, ingested: Path
) -> LoggingPolicy:
    """The configured policy where it made the log, or one fitted to the log where none is.

    Raises:
        ConfigError: the configured policy takes decisions otherwise than the log says.
    """
    data = run.run.data
    inputs = {
        "ingest": ingested.name,
        "logging": data.logging,
        "held_out": data.held_out,
        "seed": run.run.seeds.log,
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        decisions = load_decisions(ingested, journey, data.held_out)
        rng = np.random.default_rng(run.run.seeds.log)
        logging = described(data.logging, decisions, journey, rng)
        workshop.say(f"  {logging.sentence}")
        told = {
            "description": logging.description,
            "distance": logging.distance,
            "sentence": logging.sentence,
        }
        (out / "logging.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")

    folder = workshop.stage("logging", inputs, build)
    told = json.loads((folder / "logging.json").read_text("utf-8"))
    return LoggingPolicy(told["description"], told["distance"], told["sentence"])


def described(
    asked: Any, decisions: Decisions, journey: Journey, rng: np.random.Generator
) -> LoggingPolicy:
    """What is configured, held against the log; or a fit, held against other contacts of it.

    Args:
        asked: a description, or `logged` for the log's own.
        decisions: of the whole log; training contacts are fitted to, held-out ones judge.
        journey: names actions, features and programs.
        rng: draws the rows of a long log.

    Raises:
        ConfigError: the description parts from the log in more than FAR of the decisions.
    """
    context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey))
    own = is_own(asked)
    policy = _fitted(decisions, context, rng) if own else build_policy(asked, context)
    description = dict(policy.spec()) if own else asked
    distance = _distance(policy, decisions, _known(decisions) & (decisions.held_out | (not own)))
    if distance is None:
        how = "the actions taken" if own else "nothing, for the log states no probabilities"
        return LoggingPolicy(description, None, f"the logging policy rests on {how}")
    far = f"it parts from the logged probabilities in {distance:.2%} of the decisions"
    if own:
        warned = "" if distance <= FAR else "; trust regions around it bound ratios only roughly"
        sentence = f"the logging policy is fitted to the log's own probabilities: {far}{warned}"
        return LoggingPolicy(description, distance, sentence)
    if distance > FAR:
        raise ConfigError(
            f"data.logging: expected the policy that made the log, got one of which {far}; leave "
            f"it to the log with data.logging={OWN}, or describe the policy that logged"
        )
    warned = "" if distance <= NEAR else "; it is an average of what was done"
    return LoggingPolicy(
        description, distance, f"the logging policy is the configured one: {far}{warned}"
    )


def _known(decisions: Decisions) -> BoolArray:
    """Rows whose whole distribution was logged, [N]."""
    return np.asarray(np.abs(decisions.probabilities.sum(axis=1) - 1.0) <= 1e-3)


def _distance(policy: Policy, decisions: Decisions, rows: BoolArray) -> float | None:
    """Mean total variation distance to the logged distributions."""
    chosen = np.flatnonzero(rows)[:_ROWS]
    if not chosen.size:
        return None
    table = decisions.probabilities[chosen]
    return _apart(policy, Seen(decisions.features[chosen], decisions.mask[chosen], table))


def _fitted(decisions: Decisions, context: PolicyContext, rng: np.random.Generator) -> Policy:
    """A softmax on the features; where that is far, mixed with the program the log follows."""
    rows = rng.permutation(np.flatnonzero(~decisions.held_out))[:_ROWS]
    seen = _seen(decisions, rows, len(context.catalog))
    plain = fit_softmax(seen, context.catalog).policy
    program = None if _apart(plain, seen) <= _CLOSE else _followed(seen, context)
    if program is None:
        return plain
    fit = fit_softmax(seen, context.catalog, program.action_probabilities(seen.features, seen.mask))
    mixed = Mixture(fit.policy, program, fit.share)
    return mixed if _apart(mixed, seen) < _apart(plain, seen) else plain


def _apart(policy: Policy, seen: Seen) -> float:
    """Mean total variation distance."""
    told = policy.action_probabilities(seen.features, seen.mask)
    return float(0.5 * np.abs(told - seen.target).sum(axis=1).mean())


def _followed(seen: Seen, context: PolicyContext) -> Policy | None:
    """The program whose action had the largest chance throughout, if that is worth a word."""
    best, chance = None, _RARELY
    for kind in _PROGRAMS:
        try:
            program = build_policy(kind, context)
        except PolicyError:  # the journey declares none
            continue
        does = program.action_probabilities(seen.features, seen.mask)
        always = float(np.quantile((does * seen.target).sum(axis=1), 0.01))
        if always > chance:
            best, chance = program, always
    return best


def _seen(decisions: Decisions, rows: Any, n_actions: int) -> Seen:
    """What was logged: distributions where they are known, else the actions taken."""
    table = decisions.probabilities[rows]
    taken = np.eye(n_actions)[decisions.action[rows]]
    target = np.where(_known(decisions)[rows][:, None], table, taken)
    return Seen(decisions.features[rows], decisions.mask[rows], target)
