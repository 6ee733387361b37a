"""The log of a round: the policy that runs, played in the reference world."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow.ingestion import ingest, require_decided
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.raw_folder import write_json
from nurture_rl.workflow.rounds.pooled_log import LoggedRound
from nurture_rl.workflow.stages_folder import stages_of

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import DataConfig
    from nurture_rl.workflow.stages import Workshop

_OF_A_SEED = 1000  # rounds that a seed has contacts for, so that no two seeds share any


def logged_round(
    workshop: Workshop,
    data: DataConfig,
    journey: Journey,
    number: int,
    contacts: int,
    logging: Mapping[str, Any],
    seed: int,
) -> LoggedRound:
    """Play a round in the reference world and ingest its log.

    Args:
        workshop: where the stages lie.
        data: how a log is ingested.
        journey: of the programme.
        number: of the round, from 1; every round has contacts of its own.
        contacts: of the round.
        logging: description of the policy that runs, with its exploration.
        seed: of all rounds' contacts, answers and choices.

    Raises:
        WorldError: no reference world plays such a journey.
    """
    name = f"round-{number}"
    inputs = {
        "round": name,
        "contacts": contacts,
        "logging": logging,
        "journey": journey.resolved,
        "seed": seed,
    }
    build = partial(_play, workshop, journey, name, contacts, logging, seed * _OF_A_SEED + number)
    raw = workshop.stage("raw", inputs, build)
    return LoggedRound(name, logging, require_decided(ingest(workshop, data, journey, raw)))


def _play(
    workshop: Workshop,
    journey: Journey,
    name: str,
    contacts: int,
    logging: Mapping[str, Any],
    seed: int,
    out: Path,
) -> None:
    write_reference_log(
        out / "tables",
        Simulation(reference_world(journey)),
        build_policy(logging, context_beside(stages_of(workshop.root), journey)),
        contacts,
        seed,
        lambda done: workshop.say(f"  {done} of {contacts} contacts played"),
        policy_id=name,
    )
    write_json(out / "notes.json", {"limits": ["the contacts are synthetic"]})
