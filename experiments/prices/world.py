"""Contacts who are mailed once or not: who comes anyway, whom a mail moves, and who leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import expit

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.learned.training_log import TrainingLog

FloatArray = NDArray[np.float64]
WORTH = 10.0  # EUR of a meeting
SEND, PAUSE = 0, 1  # places of the two actions
COLUMNS = ("active", "open_to_mail", "annoyed", "nothing")


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Contacts and what each of them would do."""

    features: NDArray[np.float32]  # [n, 4]
    meets: FloatArray  # chance of a meeting without a mail and with one, [n, 2]
    leaves: FloatArray  # chance that a mail ends in an opt-out, [n]

    @property
    def gain(self) -> FloatArray:
        """EUR that a mail brings, [n]; below 0 where it keeps a contact from meeting."""
        return WORTH * (self.meets[:, 1] - self.meets[:, 0])


@dataclass(frozen=True, slots=True)
class Truth:
    """What a policy does to a crowd, per contact."""

    value: float  # EUR beyond mailing nobody
    sends: float
    opt_outs: float


def crowd(n: int, rng: np.random.Generator) -> Crowd:
    """Draw contacts. Who meets anyway is not who is moved by a mail, nor who leaves.

    Args:
        n: contacts.
        rng: draws them.
    """
    x = rng.normal(size=(n, len(COLUMNS))).astype(np.float32)
    anyway = expit(-2.0 + 1.2 * x[:, 0].astype(np.float64))
    moved = 0.12 * expit(-0.5 + 2.0 * x[:, 1]) - 0.01
    leaves = 0.001 + 0.06 * expit(-2.5 + 2.0 * x[:, 2])
    with_mail = np.clip(anyway + moved, 0.0, 1.0)
    return Crowd(x, np.stack([anyway, with_mail], 1), leaves)


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """A log of a crowd that was mailed by lot, one half of the contacts."""

    log: TrainingLog  # reward: EUR of meetings
    opt_out: FloatArray  # whether the contact left, [n]


def logged(contacts: Crowd, rng: np.random.Generator) -> Logged:
    """Mail every contact with a chance of a half, and write down what happens.

    Args:
        contacts: who is mailed.
        rng: draws mails and answers.
    """
    n = len(contacts.features)
    sent = rng.random(n) < 0.5
    meets = rng.random(n) < np.where(sent, contacts.meets[:, 1], contacts.meets[:, 0])
    left = sent & (rng.random(n) < contacts.leaves)
    reward = np.where(meets, WORTH, 0.0)
    log = TrainingLog(
        catalog=catalog(),
        columns=COLUMNS,
        features=contacts.features,
        mask=np.ones((n, 2), bool),
        action=np.where(sent, SEND, PAUSE).astype(np.int64),
        reward=reward,
        returns=reward,
        propensity=np.full(n, 0.5),
        episode=np.arange(n),
        step=np.zeros(n, np.int64),
        cluster=np.arange(n),
        discount=0.0,
    )
    return Logged(log, left.astype(np.float64))


def catalog() -> ActionCatalog:
    """One mail at one hour, or none."""
    shipped = load_journey("inbound_lead").resolved
    guardrails = shipped["guardrails"]
    small = {
        **shipped,
        "messages": {"welcome": shipped["messages"]["welcome"]},
        "actions": {"slots": [9], "pauses": [1]},
        "guardrails": {key: one for key, one in guardrails.items() if key != "served"},
        "drip": {},
        "rules": [],
        "expert": [],
    }
    return ActionCatalog.of(parse_journey(small))


def of_sends(sent: FloatArray, contacts: Crowd) -> Truth:
    """What mailing contacts with these chances does to them, on average over all luck.

    Args:
        sent: chance of each to be mailed, [n].
        contacts: their answers are known.
    """
    return Truth(
        float((sent * contacts.gain).mean()),
        float(sent.mean()),
        float((sent * contacts.leaves).mean()),
    )


def best(contacts: Crowd, sends: float | None, opt_outs: float | None) -> float:
    """The most that mailing these contacts can bring within limits, EUR per contact.

    Args:
        contacts: their answers are known.
        sends: most mails per contact; None: any number.
        opt_outs: most opt-outs per contact; None: any number.
    """
    n = len(contacts.features)
    limits = [(np.ones(n), sends), (contacts.leaves, opt_outs)]
    kept = [(use, most) for use, most in limits if most is not None]
    found = linprog(
        -contacts.gain / n,
        A_ub=np.array([use / n for use, _ in kept]),
        b_ub=[most for _, most in kept],
        bounds=(0.0, 1.0),
        method="highs",
    )
    return float(-found.fun)
