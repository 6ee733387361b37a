"""What limits on mails and harms cost, as a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nurture_envs.journey import Journey
from nurture_rl.learned.priced_reward import SEND, channels_of
from nurture_rl.rl.dual_prices import PlayedColumn


@dataclass(frozen=True, slots=True)
class UseLimit:
    """Most events of some channels, or hours that they take, per contact or per mail."""

    name: str  # as the setting or the journey calls it
    of: tuple[str, ...]  # channels that are counted together
    at_most: float  # events, or hours, per `per`
    per: str = "contact"  # or `send`
    hours: tuple[float, ...] = ()  # of a salesperson, by event of each of `of`; empty: events count
    per_week: float | None = None  # what the limit was asked as, where it is a week's budget

    @property
    def counts(self) -> str:
        """What is counted: `event` or `hour`."""
        return "hour" if self.hours else "event"

    @property
    def is_nothing(self) -> bool:
        """Whether nothing at all is allowed, which no play shows: no bound on a count is 0."""
        return self.at_most == 0.0 and self.per != SEND

    def prices(self, price: float, journey: Journey) -> dict[str, float]:
        """What each event costs at a price of the limit, the reward's unit, by `send` or signal.

        Of a limit per mail a mail gives room, so its own price is negative.
        """
        if self.hours:
            return {one: price * took for one, took in zip(self.of, self.hours, strict=True)}
        mails = self.of == channels_of(journey, SEND, "limits")
        found = {SEND: price} if mails else dict.fromkeys(self.of, price)
        if self.per == SEND:
            found[SEND] = found.get(SEND, 0.0) - price * self.at_most
        return found


@dataclass(frozen=True, slots=True)
class Used:
    """What a policy earns and uses up in the learned world, per contact."""

    value: float  # the journey's unit
    error: float  # standard error of the value, by play alone
    use: tuple[float, ...]  # events, or hours, of each limit
    upper: tuple[float, ...]  # the same, upper bounds
    sends: float
    mixed: float  # events of what the frontier is drawn over

    def column(self, limits: Sequence[UseLimit]) -> PlayedColumn:
        """The policy as the search sees it: a limit per mail is one on events less their room."""
        room = [one.at_most * self.sends if one.per == SEND else 0.0 for one in limits]
        return PlayedColumn(self.value, np.array(self.use) - np.array(room))

    def kept(self, limits: Sequence[UseLimit]) -> bool:
        """Whether the upper bound of every use is within its limit."""
        pairs = zip(limits, self.upper, strict=True)
        # Who mails nobody has no mail that goes wrong, though no bound on counts is 0.
        return all(
            upper <= most_of(one, self.sends) or (one.per == SEND and self.sends == 0.0)
            for one, upper in pairs
        )


def most_of(limit: UseLimit, sends: float) -> float:
    """Most events per contact that a limit allows a policy of so many mails per contact."""
    return limit.at_most * (sends if limit.per == SEND else 1.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """One policy of the search."""

    name: str  # of the policy, or of the program
    prices: Mapping[str, float]  # it was learned at, by channel; empty: none
    used: Used
    folder: str  # of its stage


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """The best mixture of the policies that were tried, at one budget."""

    budget: float  # events per contact of what the frontier is drawn over
    value: float
    price: float  # gain by one more event per contact


@dataclass(frozen=True, slots=True)
class PriceFindings:
    """What limits cost: `prices.json`."""

    journey: str
    unit: str
    policy: str  # name of the one that is learned
    learner: str
    drawn: str  # what the frontier is drawn over
    contacts: int  # played in each member of the learned world
    members: int
    level: float  # of all upper bounds of one policy together
    entering: float | None  # contacts that enter in a week, where budgets of a week were asked for
    limits: tuple[UseLimit, ...]
    prices: tuple[float, ...]  # of each limit: gain by one more event, or hour
    tried: tuple[Tried, ...]  # programs, then policies in the order of their learning
    best: float  # value of the best mixture within the limits
    most: float  # no mixture of what the learner finds at the asked prices is worth more
    chosen: int | None  # of `tried`, the policy that keeps to all limits; None: there is none
    judged: Used | None  # of the chosen one, on contacts that had no say in the choice
    is_kept: bool  # by `judged`
    frontier: tuple[FrontierPoint, ...]
