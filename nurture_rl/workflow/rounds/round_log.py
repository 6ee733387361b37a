"""The log of a round: the policy that runs, played in a world."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow.ingestion import ingest, require_decided
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.raw_folder import write_json
from nurture_rl.workflow.rounds.played_world import PlayedWorld, played_data
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
    world: PlayedWorld | None = None,
) -> LoggedRound:
    """Play a round in a world and ingest its log.

    Args:
        workshop: where the stages lie.
        data: how a log is ingested.
        journey: of the programme.
        number: of the round, from 1; every round has contacts of its own.
        contacts: of the round.
        logging: description of the policy that runs, with its exploration.
        seed: of all rounds' contacts, answers and choices.
        world: where it is played; None: the journey's reference world.

    Raises:
        WorldError: no reference world plays such a journey.
    """
    name, world = f"round-{number}", world or PlayedWorld()
    inputs = {
        "round": name,
        "contacts": contacts,
        "logging": logging,
        "journey": journey.resolved,
        "seed": seed,
        **world.inputs,
    }
    given = (name, contacts, logging, seed * _OF_A_SEED + number)
    raw = workshop.stage("raw", inputs, partial(_play, workshop, journey, world, *given))
    ingested = ingest(workshop, played_data(data), journey, raw)
    return LoggedRound(name, logging, require_decided(ingested))


def _play(
    workshop: Workshop,
    journey: Journey,
    world: PlayedWorld,
    name: str,
    contacts: int,
    logging: Mapping[str, Any],
    seed: int,
    out: Path,
) -> None:
    write_reference_log(
        out / "tables",
        world.simulation(journey),
        build_policy(logging, context_beside(stages_of(workshop.root), journey)),
        contacts,
        seed,
        lambda done: workshop.say(f"  {done} of {contacts} contacts played"),
        policy_id=name,
    )
    write_json(out / "notes.json", {"limits": list(world.limits)})
