"""What became of a round: who is let through, who runs next, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk.harm_limits import LimitFinding
from nurture_rl.codec import read_record, write_record
from nurture_rl.learned.scored import CORE
from nurture_rl.ope.log import FloatArray
from nurture_rl.policies.build import build_policy
from nurture_rl.release.gate import RULES
from nurture_rl.report.rounds_source import RoundRecord, RoundTruth, ValueBand
from nurture_rl.workflow.judges import TRUTH_SEED, Evaluated, read_evaluated
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.raw_folder import write_json
from nurture_rl.workflow.release import RELEASED, Judged, asked_gate
from nurture_rl.workflow.rounds.challenger import may_be_tried
from nurture_rl.workflow.rounds.played_world import PlayedWorld
from nurture_rl.workflow.rounds.pooled_log import LoggedRound
from nurture_rl.workflow.rounds.round_counts import RoundCounts, counted_round, drift_between
from nurture_rl.workflow.simulated import Played, bound, play_members

if TYPE_CHECKING:
    from nurture_envs.simulation import Simulation
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.stages import Say

CHAMPION = "champion"  # what a round calls the policy that ran, with its exploration
_LEVEL = 0.95  # of true values
ROUND, NEXT = "round.json", "next.json"  # files of the stage


@dataclass(frozen=True, slots=True)
class Programme:
    """What runs, and the name that reports have for it."""

    name: str
    spec: Any  # without exploration
    challenger: Programme | None = None  # what may be tried in its exploration


@dataclass(frozen=True, slots=True)
class Ran:
    """What ran in a round, and what has been logged by then."""

    number: int
    programme: Programme
    exploration: float
    logs: Sequence[LoggedRound]  # of all rounds so far, this one last
    tried: str | None = None  # the challenger in its exploration


@dataclass(frozen=True, slots=True)
class RoundFindings:
    """The stages that a round's verdict rests on."""

    evaluation: Path
    gap: Path
    policies: Mapping[str, Path]
    played: PlayedWorld  # whose values are the truth of these rounds


def write_verdict(
    ran: Ran, judged: RoundFindings, journey: Journey, run: Settings, say: Say, out: Path
) -> None:
    """Ask the gate; write `round.json` and `next.json`, the programme of the round that follows.

    Args:
        ran: what ran.
        judged: what was found.
        journey: of the programme.
        run: what a release must show.
        say: is told of drift.
        out: the round's folder.
    """
    evaluated = read_evaluated(judged.evaluation)
    decided, asked = asked_gate(evaluated, judged.gap, run)
    tried = _tried(asked, evaluated.appraisal.limits, ran, judged.policies)
    follows = replace(
        _next(decided, ran, judged.policies),
        challenger=None if decided["verdict"] == RELEASED else tried,
    )
    write_json(out / NEXT, asdict(follows))
    held_out = run.run.data.held_out
    counts = [counted_round(one.ingested, journey, held_out) for one in ran.logs]
    drift = drift_between(counts, [one.logging for one in ran.logs], journey)
    for line in drift:
        say(f"  drift: {line}")
    record = _record(evaluated, decided, ran, counts[-1], follows)
    name, stages = decided["candidate"], judged.evaluation.parent
    challenger = None if name is None else unexplored(judged.policies[name])
    simulation = judged.played.simulation(journey)
    truth = _truth(ran, challenger, follows, simulation, run, stages)
    write_record(replace(record, drift=drift, truth=truth), out / ROUND)


def next_programme(folder: Path) -> Programme:
    """The programme that a judged round leaves."""
    told = json.loads((folder / NEXT).read_text("utf-8"))
    tried = told["challenger"]
    return Programme(told["name"], told["spec"], None if tried is None else Programme(**tried))


def read_round(folder: Path) -> RoundRecord:
    """What the stage wrote."""
    return read_record(folder / ROUND, RoundRecord)


def _next(decided: Mapping[str, Any], ran: Ran, policies: Mapping[str, Path]) -> Programme:
    """Who runs next: what the gate let through, the rules where they are enough, or who ran."""
    name = decided["exported"]
    if name is None or name == CHAMPION:
        return ran.programme
    spec = unexplored(policies[name])
    return Programme(name if decided["verdict"] == RULES else f"{name} of round {ran.number}", spec)


def _tried(
    asked: Judged, limits: Sequence[LimitFinding], ran: Ran, policies: Mapping[str, Path]
) -> Programme | None:
    """The challenger that the gate prefers, where nothing speaks against a trial."""
    if not asked or not may_be_tried(asked[0][0], limits):
        return None
    name = asked[0][0].candidate
    return Programme(f"{name} of round {ran.number}", unexplored(policies[name]))


def unexplored(folder: Path) -> Any:
    """A policy of the round as it would run without exploration."""
    spec = json.loads((folder / "policy.json").read_text("utf-8"))["spec"]
    return _of_stage(spec["policy"], folder.name)


def _of_stage(spec: Any, stage: str) -> Any:
    """A description whose learned part is named after its stage, so that others may hold it."""
    if not isinstance(spec, Mapping):
        return spec
    if spec.get("kind") == "model" and spec.get("name") == CORE:
        return {**spec, "name": stage}
    return {key: _of_stage(part, stage) for key, part in spec.items()}


def _record(
    evaluated: Evaluated,
    decided: Mapping[str, Any],
    ran: Ran,
    counts: RoundCounts,
    follows: Programme,
) -> RoundRecord:
    name, appraisal = decided["candidate"], evaluated.appraisal
    told = None if name is None else appraisal.evaluation.policies[name]
    gain = None
    if told is not None and told.difference is not None:
        interval = told.difference.interval
        gain = ValueBand(told.difference.value, interval.lower, interval.upper)
    released = decided["verdict"] == RELEASED
    return RoundRecord(
        number=ran.number,
        programme=ran.programme.name,
        exploration=ran.exploration,
        contacts=len(counts.value),
        earned=counts.earned,
        amounts=counts.amounts,
        pooled=evaluated.contacts.training + evaluated.contacts.held_out,
        held_out=evaluated.contacts.held_out,
        programme_value=_by_the_log(appraisal, CHAMPION),
        challenger=name,
        challenger_value=None if name is None else _by_the_log(appraisal, name),
        gain=gain,
        level=appraisal.evaluation.level,
        effective_sample=None if told is None else told.overlap.ess,
        verdict=decided["verdict"],
        reasons=() if released else tuple(one["sentence"] for one in decided["causes"]),
        drift=(),
        next_programme=follows.name,
        truth=None,
        tried=ran.tried,
    )


def _by_the_log(appraisal: Appraisal, name: str) -> ValueBand | None:
    """A policy's value, where the log carries it and its estimator has an answer."""
    policy = appraisal.evaluation.policies[name]
    basis = policy.basis or appraisal.evaluation.preferred
    if not appraisal.believed(name) or basis not in policy.estimates:
        return None
    told = policy.estimates[basis]
    return ValueBand(told.estimate.value, told.interval.lower, told.interval.upper)


def _truth(
    ran: Ran, challenger: Any, follows: Programme, world: Simulation, run: Settings, stages: Path
) -> RoundTruth:
    """All of them in the world that rounds are played in, on the same contacts and luck.

    Args:
        ran: what ran.
        challenger: its description, without exploration; None: nobody was put forward.
        follows: what runs next.
        world: that is played.
        run: how many contacts are played.
        stages: where the learned parts lie.
    """
    contacts, context = run.run.simulation.truth_contacts, context_beside(stages, world.journey)
    played: dict[str, Played] = {}

    def of(spec: Any) -> Played:
        key = json.dumps(spec, sort_keys=True)
        if key not in played:
            policy = build_policy(spec, context)
            played[key] = play_members([world], policy, [TRUTH_SEED], contacts)
        return played[key]

    programme, explored, after = of(ran.programme.spec), of(ran.logs[-1].logging), of(follows.spec)
    return RoundTruth(
        programme=_mean(programme.value),
        explored=_mean(explored.value),
        exploration_cost=_mean(programme.value - explored.value),
        challenger=None if challenger is None else _mean(of(challenger).value),
        next_programme=_mean(after.value),
        change=_mean(after.value - programme.value),
    )


def _mean(values: FloatArray) -> ValueBand:
    found = bound(values, _LEVEL)
    return ValueBand(found.value, found.lower, found.upper)
