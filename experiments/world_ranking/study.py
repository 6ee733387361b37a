"""Do learned worlds put policies in the order of the true world, and from how much log?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.kept import Kept
from experiments.common.played import played_data
from experiments.world_ranking.scores import FloatArray, Standings
from nurture_envs.journey_file import parse_journey
from nurture_envs.rollout import Returns, returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy, Spec
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.training_data import training_data
from nurture_rl.workflow.stages import Say

LOGGING = "logging policy"
REFERENCE = "drip"
ACTIONS = "actions"  # the part of a value that is what acting costs
LOG_SEED = 2_000_000  # plus contacts and seed: no two logs share a contact
TRUTH_SEED = 900_003
JUDGE_SEED = 500_003  # of the contacts that play in learned worlds
_PROGRAM = ("drip", "rules")


def contenders(
    described: Mapping[str, Any], logging: Spec, simulation: Simulation
) -> dict[str, Policy]:
    """The logging policy and every described one, by name.

    Args:
        described: by name a mapping with `policy`, a description, and perhaps a `drip` or `rules`
            that take the place of the journey's own.
        logging: description of the logging policy.
        simulation: of the journey.

    Raises:
        ConfigError: a key that means nothing, or no policy.
        JourneyError: a drip or rules that the journey cannot have.
        PolicyError: a description of no policy.
    """
    own = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    found = {LOGGING: build_policy(logging, own)}
    for name, entry in described.items():
        if "policy" not in entry or set(entry) - {"policy", *_PROGRAM}:
            raise ConfigError(
                f"{name}: expected `policy` and perhaps {', '.join(_PROGRAM)}, got "
                f"{', '.join(entry)}; write the others into the policy's description"
            )
        program = {key: entry[key] for key in _PROGRAM if key in entry}
        journey = simulation.journey
        if program:
            journey = parse_journey({**journey.resolved, **program}, name)
        context = PolicyContext(journey, simulation.catalog, simulation.spec)
        found[name] = build_policy(entry["policy"], context)
    return found


def standings(
    simulation: Simulation, policies: Mapping[str, Policy], n: int, seed: int
) -> Standings:
    """Let every policy nurture the same n contacts with the same luck.

    In an ensemble every contact draws its member, the same one under every policy.
    """
    prices = simulation.journey.reward.weights
    member = _members(simulation, n, seed)
    value, part, by_member, noise = [], [], [], []
    for policy in policies.values():
        played = returns(simulation, policy, n, seed)
        value.append(played.value)
        part.append(_parts(simulation, played))
        own = [played.value[member == k] for k in range(member.max() + 1)]
        by_member.append([one.mean() for one in own])
        noise += [one.std(ddof=1) / np.sqrt(one.size) for one in own]
    values = np.array(value)
    covariance = np.cov(values) / n
    variance = np.diag(covariance)
    between = variance[:, None] + variance - 2.0 * covariance
    return Standings(
        names=tuple(policies),
        value=values.mean(axis=1),
        stderr=np.sqrt(variance),
        difference_stderr=np.sqrt(np.maximum(between, 0.0)),
        parts=(*(channel for channel, _ in prices), ACTIONS),
        part=np.array(part),
        members=np.array(by_member).T.reshape(-1, len(policies)),
        member_stderr=float(np.mean(noise)) if noise else 0.0,
    )


def _members(simulation: Simulation, n: int, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which member answers each contact, [n]; -1 for all in a world that is no ensemble."""
    latent = simulation.world.start(population_keys(seed, n, simulation.device)).latent
    if "member" not in latent:
        return np.full(n, -1, np.int64)
    return np.asarray(latent["member"].cpu().numpy(), np.int64)


def _parts(simulation: Simulation, played: Returns) -> list[float]:
    """Mean of each weighted channel in the reward's unit, and what is left: the cost of acting."""
    journey = simulation.journey
    mean = played.amounts.mean(axis=0)
    earned = [w * float(mean[journey.channel_index(name)]) for name, w in journey.reward.weights]
    return [*earned, float(played.value.mean()) - sum(earned)]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What one learned world believes."""

    journey: str
    contacts: int  # in the log that it was fitted to
    seed: int  # of the log and the fit
    believed: Standings
    rows: int  # decisions in the log
    effective_rows: float  # of them after weighting
    fit_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class RankingStudy:
    """One journey: its true world and the policies; finished work is resumed."""

    simulation: Simulation
    policies: Mapping[str, Policy]  # the logging policy among them
    config: WorldConfig
    folder: Path  # of finished work
    say: Say

    def truth(self, n: int) -> Standings:
        """What the policies earn in the true world, from n contacts."""
        inputs = {"truth_contacts": n, "seed": TRUTH_SEED}
        made = self._kept.piece(
            "truth", inputs, lambda: plain(standings(self.simulation, self.policies, n, TRUTH_SEED))
        )
        return read_standings(made)

    def cell(self, contacts: int, seed: int, played: int) -> Cell:
        """Fit a world to a fresh log and play the policies in it.

        Args:
            contacts: in the log; all of them are fitted to.
            seed: of the log and the fit.
            played: contacts that play in the learned world.
        """
        inputs = {
            "contacts": contacts,
            "seed": seed,
            "played": played,
            "world": asdict(self.config),
        }

        def make() -> dict[str, Any]:
            return self._cell(contacts, seed, played)

        made = self._kept.piece(f"{contacts}-{seed}", inputs, make)
        believed = read_standings(made.pop("believed"))
        return Cell(self.simulation.journey.name, contacts, seed, believed, **made)

    def _cell(self, contacts: int, seed: int, played: int) -> dict[str, Any]:
        journey, config = self.simulation.journey, self.config
        log_seed = LOG_SEED + contacts + seed
        logged = played_data(self.simulation, self.policies[LOGGING], contacts, log_seed)
        began = time.monotonic()
        made = training_data(logged, journey, config.weighting, config.delays)
        fitted = fit_world(made.data, journey, config, seed, lambda epoch, loss: None)
        seconds = round(time.monotonic() - began, 1)
        self.say(f"  fitted to {len(logged.action)} decisions in {seconds} s")
        rows = len(logged.action)
        world = Simulation(fitted.world)
        return {
            "believed": plain(standings(world, self.policies, played, JUDGE_SEED + seed)),
            "rows": rows,
            "effective_rows": float(rows if made.weights is None else made.weights.effective_rows),
            "fit_seconds": seconds,
        }

    @property
    def _kept(self) -> Kept:
        journey = self.simulation.journey
        described = {name: policy.spec() for name, policy in self.policies.items()}
        fixed = {"journey": journey.resolved, "policies": described}
        return Kept(self.folder, journey.name, fixed, self.say)


def plain(found: Standings) -> dict[str, Any]:
    """Standings as JSON values."""
    made = {name: getattr(found, name) for name in Standings.__slots__}
    return {
        name: one.tolist() if isinstance(one, np.ndarray) else one for name, one in made.items()
    }


def read_standings(data: Mapping[str, Any]) -> Standings:
    """Standings from JSON values."""

    def array(name: str) -> FloatArray:
        return np.array(data[name], np.float64)

    return Standings(
        names=tuple(data["names"]),
        value=array("value"),
        stderr=array("stderr"),
        difference_stderr=array("difference_stderr"),
        parts=tuple(data["parts"]),
        part=array("part"),
        members=array("members").reshape(-1, len(data["names"])),
        member_stderr=float(data["member_stderr"]),
    )
