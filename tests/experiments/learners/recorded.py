"""Records of learners made by hand."""

from __future__ import annotations

from experiments.learners.judging import Judged, WorldMean
from experiments.learners.oracle import Attempt, OracleConfig, OracleRecord, Standard
from experiments.learners.study import LearnerRecord, Outcome
from experiments.learners.truth import Measured

DRIP, EXPERT, ORACLE = 30.0, 60.0, 130.0  # EUR per episode: a lift of 100 is attainable
AMOUNTS = {"sends": 2.0, "unsubscribed": 0.01, "complained": 0.001}


def truth(value: float) -> Measured:
    """A policy of a true value."""
    return Measured(value, 1.0, value - DRIP, 0.5, ORACLE - value, 0.5, AMOUNTS)


def outcome(value: float, believed: float, lower: float | None = None) -> Outcome:
    """A policy of a true value, of one in the fitted world, and of a bound by the log."""
    judged = None if lower is None else Judged(lower + 5.0, 2.0, lower, 200.0, True)
    return Outcome(truth(value), WorldMean(believed, 1.0, believed - DRIP), judged)


def learner(
    name: str,
    released: Outcome | None,
    alone: Outcome | None,
    seed: int = 0,
    data: str = "reference",
) -> LearnerRecord:
    """A learner on a log of 500 contacts; one without outcomes has failed."""
    failed = "FitError: too few" if released is None else None
    known = ("EUR", "one", None, released, alone, None, 4.0, failed, "")
    return LearnerRecord(name, data, 500, seed, *known)


def programme(name: str, value: float, data: str = "reference") -> LearnerRecord:
    """What nobody learns."""
    known = ("EUR", "one", truth(value), None, None, None, 0.0, None, "")
    return LearnerRecord(name, data, 0, 0, *known)


def standard(data: str = "reference") -> Standard:
    """The oracle that all of them are held against."""
    attempts = (Attempt(0, 129.0, 1.0, 60.0), Attempt(1, 131.0, 1.0, 60.0))
    config = OracleConfig()
    return Standard(
        OracleRecord(data, "EUR", truth(ORACLE), attempts, ("ready",), config, "one", ""), None
    )


PROGRAMMES = [programme("drip", DRIP), programme("expert", EXPERT)]
CQL = learner("cql", outcome(50.0, 45.0, lower=4.0), outcome(80.0, 70.0))
PPO = learner("ppo", outcome(40.0, 90.0, lower=6.0), outcome(70.0, 100.0))
BROKEN = learner("bcq", None, None)
