"""A log in which some contacts are the wrong persona: they click, and never go on. Or none is.

python -m experiments.answering_back.wrong_persona
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.features.bins import BinnedLog, DecidedContacts, DecisionTimes, SignalEvents
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.predictions.contact_groups import groups_by_attribute
from nurture_rl.predictions.episode_acts import episode_acts
from nurture_rl.predictions.log_episodes import LogEpisodes
from nurture_rl.predictions.mined_journeys import Findings, MiningConfig, mined
from nurture_rl.predictions.score_parts import BASE, group_parts
from nurture_rl.predictions.stage_waits import BEGIN, stage_waits
from nurture_rl.predictions.window_hazards import Watched, fit_window_hazards

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
HERE = Path(__file__).parent
DAYS, SEEN = 14.0, 5.0  # of an episode; after which scores are told
ROLES = ("buyer", "user", "student")
CLICKED = ("clicked_product", "clicked_pricing")
VIEWED = ("viewed_product", "viewed_pricing", "viewed_security")
STEPS = ("became_mql", "became_sql", "meeting_booked")
COLUMNS = (*(f"role={role}" for role in ROLES), "clicks", "views", "steps")
SIGNS = {"advance": -1.0, "fit": -1.0, "behaviour": -1.0, "clicks": 1.0}  # wrong is high or low
KEYS = ("spread_of_fit", "flagged", "flag_precision", "flag_recall")
PLANTINGS = {  # share of the wrong persona, and how many of these are students
    "a quarter, most of them students": (0.25, 0.8),
    "a quarter, students or not": (0.25, 0.25),
    "nobody": (0.0, 0.25),
}
GROUPS = {"fit": COLUMNS[:3], "behaviour": COLUMNS[3:]}


@dataclass(frozen=True, slots=True, eq=False)
class PlantedPersonas:
    """A log, and who in it is the wrong persona; all [n]."""

    role: NDArray[np.int64]  # place in `ROLES`
    wrong: BoolArray
    watched: FloatArray  # days
    clicks: list[FloatArray]  # days of each
    views: list[FloatArray]
    steps: FloatArray  # day of each of `STEPS`, infinite where it never comes, [n, 3]


def planted(seed: int, n: int, share: float, told: float = 0.8) -> PlantedPersonas:
    """Contacts of fourteen days, of whom some click twice as often, look at little and never go on.

    A quarter are students, whoever is wrong.

    Args:
        seed: of everything.
        n: contacts.
        share: of them that are the wrong persona.
        told: share of these who are students; 0.25 is as many as of all.
    """
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < share
    students = np.where(wrong, told, (0.25 - told * share) / (1.0 - share))
    role = np.where(rng.random(n) < students, 2, rng.integers(0, 2, n))
    keen = rng.gamma(2.0, 0.5, n)
    click = 0.25 * keen * np.where(wrong, 2.0, 1.0)
    view = 0.25 * keen * np.where(wrong, 0.5, 1.0)
    steps = np.cumsum(rng.exponential(1.0 / (0.1 * keen[:, None]), (n, 3)), axis=1)
    steps[wrong] = np.inf
    ends = np.minimum(steps[:, 2], DAYS)
    return PlantedPersonas(
        role=role.astype(np.int64),
        wrong=wrong,
        watched=rng.uniform(SEEN + 1.0, DAYS, n),
        clicks=[
            np.sort(rng.uniform(0.0, end, rng.poisson(r * end)))
            for r, end in zip(click, ends, strict=True)
        ],
        views=[
            np.sort(rng.uniform(0.0, end, rng.poisson(r * end)))
            for r, end in zip(view, ends, strict=True)
        ],
        steps=np.where(steps < DAYS, steps, np.inf),
    )


def mine_by_role(log: PlantedPersonas, seed: int, journey: Journey) -> Findings:
    """What the verb `mine` finds with `by=role`."""
    binned, episodes = _tables(log, seed, journey)
    asked = groups_by_attribute("role", binned.contacts, episodes)
    config = MiningConfig(share=0.02, false=0.1, days=7.0, early=SEEN, seed=seed)
    acts = episode_acts(binned, episodes, journey)
    return mined(acts, config, lambda day: stage_waits(binned, episodes, journey, day), asked)


def _tables(log: PlantedPersonas, seed: int, journey: Journey) -> tuple[BinnedLog, LogEpisodes]:
    """The log as one that was read has it."""
    rng, names = np.random.default_rng(seed), [one.name for one in journey.signals]
    rows: list[tuple[int, float, int]] = []
    for who, end in enumerate(log.watched):
        for kinds, days in ((CLICKED, log.clicks[who]), (VIEWED, log.views[who])):
            rows += [(who, day, names.index(str(rng.choice(kinds)))) for day in days if day < end]
        steps = zip(STEPS, log.steps[who], strict=True)
        rows += [(who, day, names.index(step)) for step, day in steps if day < end]
    contact, day, signal = (np.array(column) for column in zip(*rows, strict=True))
    at = np.round(day * DAY_US).astype(np.int64)
    n, none = len(log.role), np.zeros(0, np.int64)
    events = SignalEvents(contact, at, at, signal, np.zeros(len(rows)))
    attributes = tuple({"role": ROLES[one]} for one in log.role.tolist())
    ids = pa.array([f"p{who}" for who in range(n)])
    about = DecidedContacts(ids, np.full(n, "UTC", object), attributes)
    zero, whose = np.zeros(n, np.int64), np.array([f"p{who}" for who in range(n)], object)
    episodes = LogEpisodes(np.arange(n), zero, zero, whose, log.watched, round(DAYS * DAY_US))
    return BinnedLog(about, DecisionTimes(*[none] * 6), events, {}), episodes


def scores(log: PlantedPersonas) -> dict[str, FloatArray]:
    """Scores of those who did not go on within the first days, as of then; `wrong` is the truth.

    `advance` is the chance to go on within the next week, `fit` what the role adds to it, and
    `flag` is raised by two clicks or more and no view.
    """
    rows = np.flatnonzero(log.steps[:, 0] > SEEN)
    clicks = np.array([float((log.clicks[who] < SEEN).sum()) for who in rows])
    views = np.array([float((log.views[who] < SEEN).sum()) for who in rows])
    features = np.column_stack([np.eye(3)[log.role[rows]], clicks, views, np.zeros(len(rows))])
    days = log.watched[rows] - SEEN
    until = log.steps[rows, 0] - SEEN
    watched = Watched(np.full(len(rows), SEEN), np.where(until <= days, until, np.inf), days)
    aside = np.arange(len(rows)) % 3 == 0
    edges = np.array([0.0, np.inf])
    plain = features.astype(np.float32)
    model = fit_window_hazards(plain, watched, np.arange(len(rows)), aside, edges, (7.0,))
    age = np.full(len(rows), SEEN)

    def chance(z: FloatArray) -> FloatArray:
        return model.chance_of(z, age, 7.0)

    parts = group_parts(chance, model.standard(plain), COLUMNS, GROUPS)
    return {
        "wrong": log.wrong[rows].astype(float),
        "advance": sum(parts.values(), np.zeros(len(rows))),
        "fit": parts["fit"],
        "behaviour": parts["behaviour"],
        "base": parts[BASE],
        "clicks": clicks,
        "flag": ((clicks >= 2.0) & (views < 1.0)).astype(float),
    }


def area(score: FloatArray, wrong: FloatArray) -> float:
    """How often a wrong one has the higher score, of pairs with a right one; ties count half."""
    one, other = score[wrong > 0.0], score[wrong == 0.0]
    ranks = np.searchsorted(np.sort(other), one, "left") + np.searchsorted(
        np.sort(other), one, "right"
    )
    return float(ranks.mean() / (2.0 * len(other)))


def record(seed: int, n: int, planting: str) -> dict[str, object]:
    """What one log tells."""
    log = planted(seed, n, *PLANTINGS[planting])
    found = mine_by_role(log, seed, load_journey("inbound_lead"))
    begin = next(one for one in found.readiness if one.stage == BEGIN)
    told, flag = scores(log), scores(log)["flag"] > 0.0
    wrong = told["wrong"]
    last = min(begin.segments, key=lambda one: one.weekly)
    return {
        "seed": seed,
        "planted": planting,
        "told": begin.told,
        "least": last.segment,
        "weekly": {one.segment: one.weekly for one in begin.segments},
        "kinds": len(found.segments.segments),
        "flagged": float(flag.mean()),
        "flag_precision": float(wrong[flag].mean()) if flag.any() else None,
        "flag_recall": float(flag[wrong > 0.0].mean()) if wrong.any() else None,
        "spread_of_fit": float(told["fit"].max() - told["fit"].min()),
        **{
            f"area_{name}": area(sign * told[name], wrong) if wrong.any() else None
            for name, sign in SIGNS.items()
        },
    }


def table(records: Sequence[dict[str, object]]) -> str:
    """How often the wrong persona is told, and by what."""
    rows = []
    for planting in PLANTINGS:
        own = [one for one in records if one["planted"] == planting]

        def mean(key: str, own: Sequence[dict[str, object]] = own) -> str:
            found = np.array([one[key] for one in own if one[key] is not None], float)
            return (
                f"{found.mean():.2f} ({found.min():.2f} to {found.max():.2f})"
                if len(found)
                else "–"
            )

        named = sum(bool(one["told"]) and one["least"] == "student" for one in own)
        rows.append(
            [
                planting,
                f"{named} of {len(own)}",
                f"{sum(bool(one['told']) for one in own)} of {len(own)}",
                *(mean(f"area_{name}") for name in SIGNS),
                *(mean(key) for key in KEYS),
            ]
        )
    head = ["wrong persona", "students told as least ready", "roles told apart"]
    areas = ["area: `advance`", "its part `fit`", "its part `behaviour`", "clicks"]
    flag = ["spread of `fit`", "flagged by behaviour", "of these wrong", "of the wrong flagged"]
    return markdown_table([*head, *areas, *flag], rows)


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--contacts", type=int, default=1500)
    given = parser.parse_args(arguments)
    kept, records = HERE / "records" / "wrong_persona.json", []
    if kept.is_file():
        records = json.loads(kept.read_text("utf-8"))
    done = {(one["seed"], one["planted"]) for one in records}
    with threadpool_limits(1):
        for seed in range(given.seeds):
            for planting in PLANTINGS:
                if (seed, planting) not in done:
                    records.append(record(seed, given.contacts, planting))
    kept.parent.mkdir(exist_ok=True)
    atomic_write_bytes(kept, (json.dumps(records, indent=1) + "\n").encode())
    print(table(records))


if __name__ == "__main__":
    main(sys.argv[1:])
