"""Do the intervals of off-policy evaluation cover a known truth as often as they say?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common.kept import sources_hash
from nurture_envs.rollout import play, returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.evaluation import PolicyEvaluation
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.ope.bounds.rare_outcomes import rare_outcomes
from nurture_rl.ope.intervals import Difference, paired_difference
from nurture_rl.ope.log import EvaluationLog, evaluation_log
from nurture_rl.ope.targets import target_on_log
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy, Spec
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Workshop

LOG_SEED = 1_000_000  # of the first log; others count up, each with contacts of its own
TRUTH_SEED = 900_002
DIFFERENCE = "difference"
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One interval made from one log, with what the diagnostics said."""

    contacts: int  # in the log
    log: int  # number of the log; two logs share no contact
    policy: str
    against: str | None  # the other policy of a paired doubly robust difference
    estimator: str  # ips, snips, dm, dr or difference
    value: float  # EUR per episode
    stderr: float
    lower: float
    upper: float
    ess: float  # episodes; of a difference the smaller of the two
    max_weight_share: float  # of a difference the larger of the two
    feasible: bool  # of a difference: both are

    @property
    def claim(self) -> int:
        """Of a difference: 1 where the verdict is `better`, -1 the other way around, else 0."""
        return int(self.feasible) * (int(self.lower > 0.0) - int(self.upper < 0.0))


@dataclass(frozen=True, slots=True)
class Truth:
    """What a policy earns in the world that made the logs, or how much more than another."""

    value: float  # EUR per episode
    stderr: float  # for a finite number of contacts was played


def fixed_policies(
    data: DataConfig,
    simulation: Simulation,
    cores: Mapping[str, ScoredPolicy],
    max_ratios: tuple[float, ...],
) -> dict[str, Policy]:
    """The study's target policies: references, rules and learned cores in trust regions.

    Args:
        data: names the logging policy and the trust region of the rules.
        simulation: of the journey.
        cores: learned on other logs, by name.
        max_ratios: a trust region each for every core.
    """
    journey, catalog, spec = simulation.journey, simulation.catalog, simulation.spec
    plain = PolicyContext(journey, catalog, spec)

    def region(policy: Spec, max_ratio: float) -> Spec:
        limits = {"max_ratio": max_ratio, "explore": data.trust.explore}
        return {"kind": "trust_region", "policy": policy, "anchor": data.logging, **limits}

    ratio = float(data.trust.max_ratio)
    policies = {
        "drip": build_policy("drip", plain),
        "logging policy": build_policy(data.logging, plain),
        f"rules, ratio {ratio:g}": build_policy(region({"kind": "rules"}, ratio), plain),
    }
    for name, core in cores.items():
        with_core = replace(plain, load_model=partial(_the_core, core))
        model = {"kind": "model", "name": core.name}
        for ratio in max_ratios:
            policies[f"{name}, ratio {ratio:g}"] = build_policy(region(model, ratio), with_core)
    unlike = {name: build_policy(name, plain) for name in ("rules", "no_contact")}
    return {**policies, **unlike}


def _the_core(core: ScoredPolicy, name: str) -> Policy:
    """The model of that name where there is one model."""
    return core


def reference_log(simulation: Simulation, policy: Policy, n: int, seed: int) -> EvaluationLog:
    """The log of n contacts, all for evaluation, as ingestion would make it from the raw tables.

    Skipping the tables saves most of the time; a test holds the two ways against each other.

    Args:
        simulation: the reference world, compiled.
        policy: the logging policy.
        n: contacts.
        seed: as in `write_reference_log`.
    """
    keys = population_keys(seed, n, simulation.device)
    parts: dict[str, list[NDArray[np.generic]]] = {}
    for start in range(0, n, _BLOCK):
        for step in play(simulation, policy, keys[start : start + _BLOCK], start):
            columns = {
                "features": step.features,
                "mask": step.mask,
                "action": step.action,
                "logged_probabilities": step.probabilities,
                "propensity": step.probabilities.gather(1, step.action[:, None])[:, 0],
                "reward": step.reward,
                "episode": step.contact,
                "step": step.state.bins,
                "terminal": step.terminated,
            }
            for name, column in columns.items():
                parts.setdefault(name, []).append(column.cpu().numpy())
    joined = {name: np.concatenate(column) for name, column in parts.items()}
    order = np.lexsort((joined["step"], joined["episode"]))
    rows = {name: column[order] for name, column in joined.items()}
    return evaluation_log(
        **rows,
        cluster=np.arange(n),
        action_factors=simulation.catalog.factors,
        discount=simulation.journey.reward.discount,
        unit=simulation.journey.reward.unit,
    )


def findings(
    log: EvaluationLog, policies: Mapping[str, Policy], number: int, config: EvaluationConfig
) -> list[Finding]:
    """Every interval that one log gives: four estimators a policy, one difference a pair."""
    reference = next(iter(policies))
    rng = np.random.default_rng(number)
    found = evaluate_policies(log, policies, reference, rng, config)
    rows = [row for one in found.policies.values() for row in _of_policy(one, number)]
    taken = {
        name: target_on_log(log, policy, name, config.chunk_rows).taken
        for name, policy in policies.items()
    }
    for first, second in combinations(found.policies.values(), 2):
        outcomes = rare_outcomes(log, taken[second.name], taken[first.name])
        mine, other = second.estimates["dr"].estimate, first.estimates["dr"].estimate
        difference = paired_difference(mine, other, config.level, outcomes)
        rows.append(_of_pair(second, first, number, difference))
    return rows


def _of_policy(found: PolicyEvaluation, number: int) -> list[Finding]:
    return [
        Finding(
            contacts=found.overlap.n_clusters,
            log=number,
            policy=found.name,
            against=None,
            estimator=kind,
            value=estimated.estimate.value,
            stderr=estimated.estimate.stderr,
            lower=estimated.interval.lower,
            upper=estimated.interval.upper,
            ess=found.overlap.ess,
            max_weight_share=found.overlap.max_weight_share,
            feasible=found.overlap.feasible,
        )
        for kind, estimated in found.estimates.items()
    ]


def _of_pair(
    policy: PolicyEvaluation, against: PolicyEvaluation, number: int, difference: Difference
) -> Finding:
    overlaps = (policy.overlap, against.overlap)
    return Finding(
        contacts=policy.overlap.n_clusters,
        log=number,
        policy=policy.name,
        against=against.name,
        estimator=DIFFERENCE,
        value=difference.value,
        stderr=difference.stderr,
        lower=difference.interval.lower,
        upper=difference.interval.upper,
        ess=min(one.ess for one in overlaps),
        max_weight_share=max(one.max_weight_share for one in overlaps),
        feasible=all(one.feasible for one in overlaps),
    )


def true_values(
    simulation: Simulation, policies: Mapping[str, Policy], n: int, seed: int
) -> dict[tuple[str, str | None], Truth]:
    """Play every policy on the same n contacts; keys are (policy, None) and (policy, against)."""
    value = {name: returns(simulation, policy, n, seed).value for name, policy in policies.items()}
    truths: dict[tuple[str, str | None], Truth] = {}
    for name, earned in value.items():
        truths[name, None] = _mean(earned)
    for first, second in combinations(value, 2):
        truths[second, first] = _mean(value[second] - value[first])
    return truths


def _mean(values: NDArray[np.float64]) -> Truth:
    return Truth(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What stays fixed while logs come and go; finished work is resumed."""

    workshop: Workshop
    simulation: Simulation
    logging: Policy
    policies: Mapping[str, Policy]  # the first is the reference of every evaluation
    learned_from: Mapping[str, str]  # stages of the learned cores, by core
    config: EvaluationConfig

    def truth(self, n: int) -> dict[tuple[str, str | None], Truth]:
        """True values and differences of the policies, see `true_values`."""

        def build(out: Path) -> None:
            found = true_values(self.simulation, self.policies, n, TRUTH_SEED)
            rows = [[*names, one.value, one.stderr] for names, one in found.items()]
            (out / "truth.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")

        inputs = {**self._fixed(), "contacts": n, "seed": TRUTH_SEED}
        folder = self.workshop.stage("coverage-truth", inputs, build)
        rows = json.loads((folder / "truth.json").read_text("utf-8"))
        return {(policy, against): Truth(value, se) for policy, against, value, se in rows}

    def findings(self, n: int, number: int) -> list[Finding]:
        """Every interval from the log of that number, n fresh contacts."""
        seed = LOG_SEED + number

        def build(out: Path) -> None:
            log = reference_log(self.simulation, self.logging, n, seed)
            rows = [asdict(row) for row in findings(log, self.policies, number, self.config)]
            (out / "findings.json").write_text(json.dumps(rows) + "\n", "utf-8")

        inputs = {**self._fixed(), "evaluation": asdict(self.config), "contacts": n, "seed": seed}
        folder = self.workshop.stage("coverage-log", inputs, build)
        return [Finding(**row) for row in json.loads((folder / "findings.json").read_text("utf-8"))]

    def _fixed(self) -> dict[str, object]:
        return {
            "study": sources_hash(Path(__file__).parent),
            "journey": self.simulation.journey.resolved,
            "logging": self.logging.spec(),
            "policies": {name: policy.spec() for name, policy in self.policies.items()},
            "learned_from": dict(self.learned_from),
        }
