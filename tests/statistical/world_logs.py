"""Logs of reference worlds as arrays, what they say of the past, and the fits that read them.

A log is a play under random legal actions: the same numbers that the writer of reference logs turns
into events. What a test knows of a contact is what a sender would: attributes, actions, answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.rollout import play
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.world import Start, World

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class RandomLegal:
    """Chooses among legal actions in proportion to fixed weights."""

    weights: FloatArray  # [a]

    def action_probabilities(self, features: object, mask: BoolArray) -> FloatArray:
        """Probabilities of each action, [n, a]."""
        kept = mask * self.weights
        return np.asarray(kept / kept.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class WorldLog:
    """Decisions of n contacts over a horizon; where an episode is over, `open` is False."""

    journey: Journey
    keys: torch.Tensor  # [n]
    start: Start
    open: BoolArray  # [n, T]
    action: IntArray  # [n, T]
    amounts: FloatArray  # [n, T, c]

    @classmethod
    def of(
        cls, world: World, n: int, seed: int = 1, waits: float = 1.0, escalates: float = 0.0
    ) -> WorldLog:
        """Play n contacts; sends weigh 1 each, `pause:1` and `escalate` as told, the rest 0."""
        catalog, simulation = ActionCatalog.of(world.journey), Simulation(world)
        weights = catalog.routed("send") * 1.0 + catalog.routed("escalate") * escalates
        weights[catalog.wait] = waits
        horizon, c = world.journey.clock.horizon, len(world.journey.channels)
        keys = population_keys(seed, n)
        open_, action = np.zeros((n, horizon), bool), np.full((n, horizon), catalog.wait)
        amounts = np.zeros((n, horizon, c))
        for bin_, step in enumerate(play(simulation, RandomLegal(weights), keys)):
            rows = step.contact.numpy()
            open_[rows, bin_] = True
            action[rows, bin_] = step.action.numpy()
            amounts[rows, bin_] = step.amounts.numpy()
        return cls(world.journey, keys, world.start(keys), open_, action, amounts)

    @property
    def days(self) -> float:
        """Days of one bin."""
        return self.journey.clock.period_hours / 24.0

    def count(self, *channels: str) -> FloatArray:
        """Events of some channels, [n, T]."""
        return np.asarray(
            self.amounts[:, :, [self.journey.channel_index(c) for c in channels]].sum(axis=2)
        )

    def happened(self, channel: str) -> BoolArray:
        """Whether it did, [n, T]."""
        return self.count(channel) > 0

    def any_of(self, prefix: str) -> BoolArray:
        """Whether any signal with that prefix happened, [n, T]."""
        return self.count(*(c for c in self.journey.channels if c.startswith(prefix))) > 0

    def topic(self, topics: tuple[str, ...]) -> IntArray:
        """Position of the message's topic, -1 where there is none, [n, T]."""
        actions = ActionCatalog.of(self.journey).actions
        found = [topics.index(a.message.topic) if a.message else -1 for a in actions]
        return np.asarray(np.array(found)[self.action])

    def asks(self) -> BoolArray:
        """Whether the message asks for a meeting, [n, T]."""
        actions = ActionCatalog.of(self.journey).actions
        asks = [a.message is not None and a.message.job == "book_meeting" for a in actions]
        return np.asarray(np.array(asks)[self.action])

    @property
    def slot(self) -> FloatArray:
        """Local hour of sending on the clock that the sender works with, [n, T]."""
        return ActionCatalog.of(self.journey).slots.astype(float)[self.action]

    @property
    def message(self) -> IntArray:
        """Position of the message, -1 where nothing is sent, [n, T]."""
        messages = list(self.journey.messages)
        actions = ActionCatalog.of(self.journey).actions
        found = [messages.index(a.message) if a.message else -1 for a in actions]
        return np.asarray(np.array(found)[self.action])

    @property
    def day(self) -> IntArray:
        """Local day of each bin, days since 1970, [n, T]."""
        first = self.start.anchor_us.numpy()[:, None] // DAY_US
        since = (np.arange(self.action.shape[1]) * self.days).astype(np.int64)
        return np.asarray(first + since)

    def attribute(self, column: str) -> FloatArray:
        """An attribute column, [n, 1]."""
        row = FeatureSpec.of(self.journey).attribute_columns.index(column)
        return self.start.attributes[row].numpy().astype(float)[:, None]

    def level(self, attribute: str, levels: tuple[str, ...]) -> IntArray:
        """Position of an attribute's level, [n, 1]."""
        columns = [self.attribute(f"{attribute}={level}") for level in levels]
        return np.asarray(np.concatenate(columns, axis=1).argmax(axis=1))[:, None]

    def decayed(self, events: Array, half_life: float) -> FloatArray:
        """Events before each bin, each halved every `half_life` days since, [n, T]."""
        kept, state = 0.5 ** (self.days / half_life), np.zeros(len(events))
        before = np.zeros(events.shape)
        for bin_ in range(events.shape[1]):
            before[:, bin_] = state
            state = state * kept + events[:, bin_]
        return before

    def before(self, events: Array) -> FloatArray:
        """Events before each bin, [n, T]."""
        return np.asarray(np.cumsum(events, axis=1) - events, np.float64)

    def staleness(self, half_life: float) -> FloatArray:
        """0.5^(days since this bin's message was last sent / half-life), 0 if never, [n, T]."""
        message, stale = self.message, np.zeros(self.action.shape)
        shown = np.full((len(message), len(self.journey.messages)), -np.inf)
        rows = np.arange(len(message))
        for bin_ in range(message.shape[1]):
            sent = message[:, bin_] >= 0
            since = (bin_ - shown[rows, message[:, bin_]]) * self.days
            stale[:, bin_] = np.where(sent, 0.5 ** (since / half_life), 0.0)
            shown[rows[sent], message[sent, bin_]] = bin_
        return stale


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted generalised linear model."""

    coefficients: dict[str, float]
    stderr: dict[str, float]
    log_likelihood: float

    def finds(self, name: str, planted: float, sigmas: float = 4.0) -> bool:
        """Whether the planted value lies within the error of the estimate."""
        return abs(self.coefficients[name] - planted) <= sigmas * self.stderr[name]

    def sees(self, name: str, sigmas: float = 4.0) -> bool:
        """Whether the estimate is clear of 0."""
        return abs(self.coefficients[name]) > sigmas * self.stderr[name]


def logistic(happened: Array, among: BoolArray, columns: Mapping[str, Array]) -> Fit:
    """Maximum likelihood of log-odds that are linear in the columns, with a `base`."""
    return _newton(happened, among, columns, _logit_link)


def log_linear(happened: Array, among: BoolArray, columns: Mapping[str, Array]) -> Fit:
    """Poisson maximum likelihood of log-rates that are linear in the columns, with a `base`."""
    return _newton(happened, among, columns, _log_link)


Link = tuple[FloatArray, FloatArray, float]  # mean, variance, log-likelihood


def _logit_link(eta: FloatArray, y: FloatArray) -> Link:
    mean = 1.0 / (1.0 + np.exp(-np.clip(eta, -30.0, 30.0)))
    return mean, mean * (1.0 - mean), float((y * eta - np.logaddexp(0.0, eta)).sum())


def _log_link(eta: FloatArray, y: FloatArray) -> Link:
    mean = np.exp(np.minimum(eta, 30.0))
    return mean, mean, float((y * eta - mean).sum())


def _newton(
    happened: Array,
    among: BoolArray,
    columns: Mapping[str, Array],
    link: Callable[[FloatArray, FloatArray], Link],
) -> Fit:
    y = happened[among].astype(float)
    ones = np.ones(among.shape)
    x = np.stack([ones[among], *((column * ones)[among] for column in columns.values())], axis=1)
    beta = np.zeros(x.shape[1])
    beta[0] = np.log(y.mean() / (1.0 - y.mean())) if link is _logit_link else np.log(y.mean())
    mean, variance, best = link(x @ beta, y)
    for _ in range(30):
        information = (x * variance[:, None]).T @ x
        step = np.linalg.solve(information, x.T @ (y - mean))
        while (new := link(x @ (beta + step), y))[2] < best - 1e-9:
            step = step / 2.0
        beta, (mean, variance, best) = beta + step, new
        if np.abs(step).max() < 1e-5:
            break
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    names = ["base", *columns]
    return Fit(
        dict(zip(names, beta.tolist(), strict=True)),
        dict(zip(names, errors.tolist(), strict=True)),
        best,
    )
