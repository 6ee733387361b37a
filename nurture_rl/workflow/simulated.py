"""Policies played in worlds: what they earn, and how far the members of an ensemble part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from nurture_envs.guardrails import reason_names
from nurture_envs.journey import Journey
from nurture_envs.rollout import Returns, returns_of_seeds
from nurture_envs.simulation import Simulation
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.risk.harm_limits import LimitKept
from nurture_rl.ope.ties import negligible
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.harm_in_world import kept_in_world
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.stages_folder import stages_of

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.side_by_side import Crew

FloatArray = NDArray[np.float64]

WORST = 0.1  # quantile over members; of up to ten, the lowest
_JUDGE_SEED = 500_000  # the judging contacts are none that PPO was trained on


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """Episodes of one policy: the same contacts and luck in every member of a world."""

    value: FloatArray  # [E, n], the journey's unit
    amounts: FloatArray  # [n, c], mean over members
    action_mix: FloatArray  # [bins, a], mean over members
    reasons: Mapping[str, int]  # how often each guardrail forbade an action
    seeds: int  # contacts come in so many equal parts


@dataclass(frozen=True, slots=True)
class Bound:
    """A mean over members with its interval."""

    value: float
    lower: float
    upper: float
    between: float | None  # standard deviation of members beyond chance; None: a single one


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean with its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class WorldGap:
    """One policy less another: pooled over members, by member, and in the worst of them."""

    value: float
    lower: float
    upper: float
    between: float | None  # as in `Bound`
    level: float
    by_member: tuple[float, ...]
    worst: MeanInterval


@dataclass(frozen=True, slots=True)
class MemberMeans:
    """Means by member."""

    value: tuple[float, ...]
    difference: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WorstMember:
    """The worst quantile of the members."""

    value: float
    difference: float
    difference_lower: float
    difference_upper: float


@dataclass(frozen=True, slots=True)
class WorldRow:
    """What a policy earns in a world, and how it compares there."""

    value: float
    lower: float
    upper: float
    between: float | None
    difference: float  # to the reference
    difference_lower: float
    difference_upper: float
    difference_between: float | None
    level: float  # of the differences
    by_member: MemberMeans
    worst: WorstMember
    by_seed: tuple[float, ...]
    kpis: tuple[float, ...]  # north star first
    action_mix: tuple[tuple[float, ...], ...]  # [bins, a]
    reasons: Mapping[str, int]  # how often each guardrail forbade an action
    over_bar: WorldGap | None  # None: the bar itself, or no bar
    limits: Mapping[str, LimitKept] = field(default_factory=dict)  # on harms, those play can judge


@dataclass(frozen=True, slots=True)
class WorldJudge:
    """Every policy in one world, compared."""

    contacts: int  # per seed
    seeds: tuple[int, ...]
    members: int
    worst_quantile: float
    policies: Mapping[str, WorldRow]
    logged: WorldRow | None  # the logging policy, where it is known


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Every policy on the same contacts and luck of one world, not yet compared."""

    journey: Journey
    played: Mapping[str, Played]  # by policy; `logged` where the logging policy is known
    seeds: Sequence[int]  # of the contacts
    contacts: int  # per seed
    members: int

    def worth(self) -> dict[str, float]:
        """What each policy earns on average, the journey's unit."""
        return {name: float(played.value.mean()) for name, played in self.played.items()}


def staged(
    simulations: Sequence[Simulation],
    policies: Mapping[str, Policy],
    run: Settings,
    seeds: Sequence[int],
    contacts: int,
    crew: Crew,
) -> Callable[[], Stage]:
    """Begin to play every policy, and the logging policy where it is known.

    Args:
        simulations: the members of a world; one for a world that is not an ensemble.
        policies: by name.
        run: names the logging policy.
        seeds: of the contacts.
        contacts: per seed.
        crew: plays policies side by side.

    Returns:
        What waits for the end of the plays.
    """
    journey = simulations[0].journey
    everybody = dict(policies)
    if run.run.data.logging is not None:
        context = context_beside(stages_of(run.run.runs), journey)
        everybody[LOGGED] = build_policy(run.run.data.logging, context)
    begun = {
        name: crew.begin(name, play_members, simulations, policy, seeds, contacts)
        for name, policy in everybody.items()
    }

    def over() -> Stage:
        played = {name: one.result() for name, one in begun.items()}
        return Stage(journey, played, seeds, contacts, len(simulations))

    return over


def judged(stage: Stage, reference: str, bar: str | None, level: float) -> WorldJudge:
    """Every policy less the reference and less the bar, paired.

    `logged` is the logging policy, where it is known: beside the mean of the log it shows how far
    the world can be trusted.

    Args:
        stage: the policies as they were played.
        reference: the policy that others are compared with.
        bar: the program that may be enough, one of those played; None where there is none.
        level: confidence of the differences.
    """
    played = stage.played
    base = played.get(reference)
    rows = {}
    for name, results in played.items():
        over = None if bar in (None, name) else less(results, played[bar], level)
        row = summary(stage.journey, results, base or results, level, over)
        if base is not None:
            against = (reference, base.amounts)
            row = replace(
                row, limits=kept_in_world(stage.journey, name, results.amounts, against, level)
            )
        rows[name] = row
    logged = rows.pop(LOGGED, None)
    return WorldJudge(
        contacts=stage.contacts,
        seeds=tuple(stage.seeds),
        members=stage.members,
        worst_quantile=WORST,
        policies=rows,
        logged=logged,
    )


def play_members(
    simulations: Sequence[Simulation], policy: Policy, seeds: Sequence[int], contacts: int
) -> Played:
    """Play a policy in every member of a world."""
    own = [_JUDGE_SEED + seed for seed in seeds]
    by_member = [returns_of_seeds(one, policy, contacts, own) for one in simulations]
    return collected(by_member, simulations[0].journey)


def collected(by_member: Sequence[Sequence[Returns]], journey: Journey) -> Played:
    """Returns by member and seed, per episode or per decision as the journey asks."""
    values, amounts = [], []
    reasons: dict[str, int] = {}
    for of_member in by_member:
        value = np.concatenate([one.value for one in of_member])
        total = np.concatenate([one.amounts for one in of_member])
        if journey.estimand == "per_decision":
            per = np.concatenate([one.decisions for one in of_member])
            value, total = value / per, total / per[:, None]
        values.append(value)
        amounts.append(total)
        for one in of_member:
            for bits, count in one.reasons.items():
                for name in reason_names(bits):
                    reasons[name] = reasons.get(name, 0) + count
    mixes = [one.action_mix for of_member in by_member for one in of_member]
    return Played(
        value=np.stack(values),
        amounts=np.mean(amounts, axis=0),
        action_mix=np.mean(mixes, axis=0),
        reasons=reasons,
        seeds=len(by_member[0]),
    )


def summary(
    journey: Journey, played: Played, base: Played, level: float, over_bar: WorldGap | None = None
) -> WorldRow:
    """One policy's row: pooled over members, by member, and in the worst of them."""
    value, gap = played.value, less(played, base, level)
    mean = bound(value, 0.95)
    kpis = [
        float(
            played.amounts[:, [journey.channel_index(name) for name in kpi.of]].sum(axis=1).mean()
        )
        for kpi in (journey.north_star, *journey.supporting)
    ]
    return WorldRow(
        value=mean.value,
        lower=mean.lower,
        upper=mean.upper,
        between=mean.between,
        difference=gap.value,
        difference_lower=gap.lower,
        difference_upper=gap.upper,
        difference_between=gap.between,
        level=level,
        by_member=MemberMeans(tuple(value.mean(axis=1).tolist()), gap.by_member),
        worst=WorstMember(
            value=float(np.sort(value.mean(axis=1))[_rank(len(value))]),
            difference=gap.worst.value,
            difference_lower=gap.worst.lower,
            difference_upper=gap.worst.upper,
        ),
        by_seed=tuple(float(part.mean()) for part in np.split(value, played.seeds, axis=1)),
        kpis=tuple(kpis),
        action_mix=tuple(map(tuple, played.action_mix.tolist())),
        reasons=dict(played.reasons),
        over_bar=over_bar,
    )


def less(played: Played, base: Played, level: float) -> WorldGap:
    """One policy less another on the same contacts and luck: pooled, by member, in the worst.

    What is rounding beside what the two earn is exactly 0, so that no sign of it counts.
    """
    gap = played.value - base.value
    earned = (np.abs(played.value) + np.abs(base.value)).mean(axis=1, keepdims=True)
    gap = np.where(negligible(gap, earned), 0.0, gap)
    pooled = bound(gap, level)
    alone = [bound(one[None], level) for one in gap]
    worst = alone[_worst([one.value for one in alone])]
    return WorldGap(
        value=pooled.value,
        lower=pooled.lower,
        upper=pooled.upper,
        between=pooled.between,
        level=level,
        by_member=tuple(gap.mean(axis=1).tolist()),
        worst=MeanInterval(worst.value, worst.lower, worst.upper),
    )


def bound(values: FloatArray, level: float) -> Bound:
    """Mean of [E, n] values with an interval for one more member like these.

        V = s_i^2 / n + s_e^2 (1 + 1 / E),    mean -+ t_f sqrt(V)

    s_i^2 is the variance over contacts of what each earns on average over members, s_e^2 that of
    the members themselves: of their means, less what is chance of playing. The truth is taken to
    lie among worlds that other logs of the same kind would have led to. A single member says
    nothing of that: its interval is that of playing alone.

    Source: two-way layout with random effects, as in Searle, Casella & McCulloch (1992), Variance
        Components; f by Satterthwaite (1946).
    """
    members, n = values.shape
    mean, of_contact = float(values.mean()), values.mean(axis=0)
    playing = float(of_contact.var(ddof=1)) / n
    score = float(ndtri(0.5 + level / 2.0))
    if members == 1:
        half = score * playing**0.5
        return Bound(mean, mean - half, mean + half, None)
    of_member = values.mean(axis=1)
    left = values - of_contact - of_member[:, None] + mean
    chance = float((left**2).sum()) / ((members - 1) * (n - 1) * n)
    seen = float(of_member.var(ddof=1))
    spread, more = max(0.0, seen - chance), 1.0 + 1.0 / members
    total = playing + spread * more
    if spread > 0.0:
        freedom = (members - 1) * (total / (seen * more)) ** 2
        score = float(stdtrit(min(freedom, 1e9), 0.5 + level / 2.0))
    half = score * total**0.5
    return Bound(mean, mean - half, mean + half, spread**0.5)


def _rank(members: int) -> int:
    """Place of the worst quantile among sorted members."""
    return int(WORST * (members - 1))


def _worst(values: Sequence[float]) -> int:
    return int(np.argsort(values, kind="stable")[_rank(len(values))])
