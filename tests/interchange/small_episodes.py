"""Two episodes small enough to check by hand, and a small log of the reference world."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nurture_envs.journey import Journey
from nurture_rl.interchange.episodes import Episodes, Subject, episodes_of
from nurture_rl.ope.log import EvaluationLog, evaluation_log
from nurture_rl.workflow.collect import raw_log
from nurture_rl.workflow.ingestion import ingest
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Workshop

HELD_OUT = 0.5
SUBJECT = Subject(
    journey="toy",
    feature_names=("size", "clicks"),
    action_ids=("send:red@09", "pause:1", "exit"),
    action_factors=((1.0,), (0.0,), (0.0,)),
    catalog="c0ffee",
    discount=0.5,
    unit="EUR",
)
FINAL = np.array([[9.0, 1.0], [8.0, 2.0]], np.float32)


def small_log(step: tuple[int, ...] = (0, 1, 0, 1, 2), discount: float = 0.5) -> EvaluationLog:
    """Contact 7 ends by itself after two decisions, contact 4 is cut off after three."""
    return evaluation_log(
        features=[[1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [2.0, 1.0], [2.0, 2.0]],
        mask=[[1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 1, 0], [0, 1, 0]],
        action=[0, 2, 1, 0, 1],
        propensity=[0.5, 0.25, 0.5, 0.5, 1.0],
        logged_probabilities=[
            [0.5, 0.25, 0.25],
            [0.0, 0.75, 0.25],
            [0.5, 0.5, 0.0],
            [0.5, 0.5, 0.0],
            [0.0, 1.0, 0.0],
        ],
        reward=[-0.5, 4.0, 0.0, 0.1, 2.0],
        episode=[0, 0, 1, 1, 1],
        step=step,
        cluster=[7, 4],
        terminal=[0, 1, 0, 0, 0],
        action_factors=np.array(SUBJECT.action_factors),
        discount=discount,
        unit="EUR",
    )


def small_episodes() -> Episodes:
    """The log above with what a decision after each episode's last would have known."""
    return episodes_of(small_log(), FINAL, SUBJECT)


def ingested_log(folder: Path, journey: Journey, contacts: int, seed: int) -> Path:
    """The ingest stage of a log that a uniform policy made in the reference world."""
    data = DataConfig(
        name="reference",
        source="reference",
        journey=journey.name,
        contacts=contacts,
        logging="random",
        default_zone="Europe/Berlin",
        complete_until="2026-09-01T00:00:00Z",
    )
    workshop = Workshop(folder, lambda line: None)
    return ingest(workshop, data, journey, raw_log(workshop, data, journey, seed))


def assert_equal(found: Episodes, wanted: Episodes) -> None:
    """Every array bit for bit, and what they mean."""
    assert found.subject == wanted.subject
    np.testing.assert_array_equal(found.final, wanted.final)
    for name in EvaluationLog.__slots__:
        one, other = getattr(found.log, name), getattr(wanted.log, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None), name
