"""A real round's answer, as the gate of its pipeline left it, becomes a part of the plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.release.gate import RULES
from nurture_rl.report.dated_source import ComingRound, DatedPlan, DoneRound
from nurture_rl.workflow.release import AS_IT_IS, REFUSED, RELEASED

_FILE = "gate.json"
_ROUNDED = 5e-5  # of a level, as the plan writes it


def done_round(
    plan: DatedPlan,
    gate: Path,
    decided: date,
    served: date | None,
    serve_days: int,
    contacts: int,
) -> DoneRound:
    """The plan's next round, as it really went.

    The gate's answer alone moves the programme: what it let through, or the rules where it found
    them to be enough, runs next; else what ran goes on.

    Args:
        plan: in which it is the first that is to come.
        gate: `gate.json`, or its folder.
        decided: day of the answer.
        served: day from which what it let through runs; None: so many days later.
        serve_days: those.
        contacts: in the log that was judged.

    Raises:
        ConfigError: the answer is in the plan already, comes before the round begins, or is that
            of no round or of another journey.
        LogError: the file is no answer of a gate.
    """
    if not plan.coming:
        raise ConfigError(f"gate: all {plan.count} rounds are done; plan others by out=")
    planned, (told, digest) = plan.coming[0], _answer(gate, plan.journey)
    known = [one.number for one in plan.done if one.gate == digest]
    if known:
        raise ConfigError(f"gate: {gate} is in the plan already, as round {known[0]}")
    begun = date.fromisoformat(planned.collect_from)
    if decided < begun:
        raise ConfigError(
            f"decided: round {planned.number} collects from {begun} on, got {decided}; a gate can "
            "answer for it after that alone"
        )
    moved = _moved(told, planned)
    follows = decided + timedelta(days=serve_days if moved else 1)
    if served is not None and served < decided:
        raise ConfigError(f"served: expected a day from {decided} on, got {served}")
    early = (date.fromisoformat(planned.known_on) - decided).days
    released = told["verdict"] == RELEASED
    return DoneRound(
        number=planned.number,
        programme=plan.programme,
        collected_from=planned.collect_from,
        decided=decided.isoformat(),
        served=(served or follows).isoformat(),
        contacts=contacts,
        candidate=told["candidate"],
        verdict=told["verdict"],
        reasons=() if released else tuple(one["sentence"] for one in told["causes"]),
        early_days=max(0, early),
        next_programme=moved or plan.programme,
        gate=digest,
        low_level=_low_level(told, plan.prospects.level),
    )


def _moved(told: Mapping[str, Any], planned: ComingRound) -> str | None:
    """What runs next, if the gate moved the programme."""
    if told["exported"] is None:
        return None
    name = str(told["exported"])
    return name if told["verdict"] == RULES else f"{name} of round {planned.number}"


def _low_level(told: Mapping[str, Any], planned: float) -> float | None:
    level = float(told.get("level", planned))
    return level if level < planned - _ROUNDED else None


def _answer(gate: Path, journey: str) -> tuple[Mapping[str, Any], str]:
    """A gate's record with its hash."""
    path = gate / _FILE if gate.is_dir() else gate
    try:
        raw = path.read_bytes()
        told = json.loads(raw)
        whole = {"verdict", "candidate", "exported", "causes"} <= set(told)
        whole = whole and all("sentence" in one for one in told["causes"])
    except (OSError, ValueError, TypeError) as error:
        raise LogError(
            f"gate: expected the {_FILE} that `nurture pipeline` or `nurture export` leaves, got "
            f"{path}: {error}"
        ) from error
    if not whole or told["verdict"] not in (RELEASED, RULES, REFUSED, AS_IT_IS):
        raise LogError(
            f"gate: expected the {_FILE} that `nurture pipeline` or `nurture export` leaves, got "
            f"{path} with other keys or words"
        )
    if told["verdict"] == AS_IT_IS:
        raise ConfigError(
            f"gate: {path} exported {told['exported']} as it is and asked no gate, so it is no "
            "round's answer; run the pipeline without release.policy"
        )
    if told.get("journey", journey) != journey:
        raise ConfigError(
            f"gate: expected the answer to a round of {journey}, got {path}, which is one of "
            f"{told['journey']}"
        )
    return told, hashlib.sha256(raw).hexdigest()
