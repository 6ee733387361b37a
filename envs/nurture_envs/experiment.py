"""An experiment of a server: who is dealt to which arm, and what will be asked of the outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from nurture_envs.switchback import Switchback

ARMS = ("policy", "random", "usual", "holdout")
TIME = "time"  # the unit of a switchback: blocks of days
UNITS = ("contact", "account", TIME)  # that chance deals


@dataclass(frozen=True, slots=True)
class Velocity:
    """A signal whose coming is timed, such as the entry of a stage."""

    signal: str
    days: int  # after which a contact counts with so many days


@dataclass(frozen=True, slots=True)
class ExperimentGoals:
    """What an experiment is judged by, as was said before it began."""

    window_days: int  # so long after its enrolment does an outcome of a contact count
    units: int  # expected in all arms together, by the day the answer is due; of time: blocks
    worth: Mapping[str, float]  # by key figure: the smallest difference worth having, per contact
    once: tuple[str, ...]  # key figures that count at most once an account
    velocity: Velocity | None
    level: float  # stated coverage of each interval, at all times together


@dataclass(frozen=True, slots=True)
class Experiment:
    """Arms of a journey and their shares."""

    name: str
    unit: str  # one of UNITS; a contact without an account is dealt alone
    shares: Mapping[str, float]  # by arm, one of ARMS, each above 0, adding up to 1
    usual: str  # business as usual, a program of the journey: drip, rules or expert
    free: str | None  # the one factor of business as usual that the policy chooses; None: all
    salt: str  # units are dealt by a hash of it and their id
    goals: ExperimentGoals
    switchback: Switchback | None = None  # where time is dealt; None: it is not


def dealt_arm(experiment: Experiment, unit: str) -> str:
    """The arm of a unit: the same whoever asks, and whenever.

    A keyed hash draws a number u in [0, 1). Arms are intervals of it: the holdout begins at 0, the
    usual arm ends at 1, the random one begins at 1/2 (or as near to it as fits between the two),
    and the policy has the rest. So of two experiments with one salt, the second of which gives
    some arms more and the policy less, nobody moves but from the policy to one of these; that
    holds while the holdout has at most 1/2, and the usual and the random arm have it together.

    Args:
        experiment: its salt and shares.
        unit: id of the contact or the account, in the form in which ids are compared.
    """
    key = hashlib.blake2b(experiment.salt.encode(), digest_size=32).digest()
    drawn = hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=key, digest_size=8).digest()
    u = int.from_bytes(drawn, "big") / 2.0**64
    held, usual, random = (experiment.shares.get(n, 0.0) for n in ("holdout", "usual", "random"))
    if u < held:
        return "holdout"
    if u >= 1.0 - usual:
        return "usual"
    begin = max(held, min(0.5, 1.0 - usual - random))
    return "random" if begin <= u < begin + random else "policy"
