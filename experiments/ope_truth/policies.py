"""Target policies of the truth study: known ones held near the logging policy, and some far off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from experiments.interval_coverage.study import reference_log
from experiments.world_ranking.study import LOGGING, contenders
from nurture_envs.simulation import Simulation
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.errors import ConfigError
from nurture_rl.learned.returns import returns_to_go
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.composition import TrustRegion
from nurture_rl.policies.policy import Policy, Spec

THOMPSON = "thompson"  # learned from a log of its own
LEARNING_SEED = 700_001  # of that log; no log of the study shares a contact with it
_KEYS = {"near", "as_described"}


@dataclass(frozen=True, slots=True)
class Targets:
    """Which policies a world's logs are asked about."""

    near: Mapping[str, tuple[float, ...]]  # largest ratios to the logging policy, by policy
    as_described: tuple[str, ...]  # followed without a limit
    explore: float  # share of decisions of a trust region that follow the logging policy
    thompson_contacts: int  # in the log that the learned policy comes from
    thompson_draws: int  # of its posterior, that vote on the best action


def targets(study: Mapping[str, Any], world: str) -> Targets:
    """Read one world's entry of the study's configuration.

    Raises:
        ConfigError: a key is missing or means nothing.
    """
    entry, thompson = study["worlds"][world], study["thompson"]
    if set(entry) != _KEYS:
        raise ConfigError(
            f"expected the keys {', '.join(sorted(_KEYS))} for a world, got {', '.join(entry)}"
        )
    near = {name: tuple(float(one) for one in ratios) for name, ratios in entry["near"].items()}
    return Targets(
        near=near,
        as_described=tuple(entry["as_described"]),
        explore=study["explore"],
        thompson_contacts=thompson["contacts"],
        thompson_draws=thompson["draws"],
    )


def target_policies(
    chosen: Targets, described: Mapping[str, Any], logging: Spec, simulation: Simulation
) -> dict[str, Policy]:
    """The logging policy, every near policy at each of its ratios, and the unlimited ones.

    Args:
        chosen: which policies, and how near.
        described: policies by name, as `contenders` reads them.
        logging: description of the logging policy.
        simulation: of the true world.

    Raises:
        ConfigError: a policy that is not described.
        PolicyError, JourneyError: as `contenders`.
    """
    unknown = {*chosen.near, *chosen.as_described} - {*described, THOMPSON}
    if unknown:
        raise ConfigError(
            f"expected policies among {', '.join([*described, THOMPSON])}, got "
            f"{', '.join(sorted(unknown))}; describe them or mend the names"
        )
    wanted = {name: one for name, one in described.items() if name in _names(chosen)}
    known = contenders(wanted, logging, simulation)
    if THOMPSON in _names(chosen):
        known[THOMPSON] = _learned(simulation, known[LOGGING], chosen)
    found = {LOGGING: known[LOGGING]}
    for name, ratios in chosen.near.items():
        for ratio in ratios:
            region = TrustRegion(known[name], known[LOGGING], ratio, chosen.explore)
            found[f"{name}, ratio {ratio:g}"] = region
    return found | {name: known[name] for name in chosen.as_described}


def _learned(simulation: Simulation, logging: Policy, chosen: Targets) -> Policy:
    """A linear Thompson policy fitted to a log of its own."""
    log = reference_log(simulation, logging, chosen.thompson_contacts, LEARNING_SEED)
    rows = TrainingLog(
        catalog=simulation.catalog,
        columns=simulation.spec.columns,
        features=log.features,
        mask=log.mask,
        action=log.action,
        reward=log.reward,
        returns=returns_to_go(log.reward, log.episode, log.step, log.discount),
        propensity=log.propensity,
        episode=log.episode,
        step=log.step,
        cluster=log.cluster[log.episode],
        discount=log.discount,
    )
    config = LinearThompsonConfig(draws=chosen.thompson_draws)
    fitted = fit_linear_thompson(rows, config, LEARNING_SEED, lambda step, numbers: None)
    return replace(fitted, name=THOMPSON)


def _names(chosen: Targets) -> set[str]:
    return {*chosen.near, *chosen.as_described}
