"""Cases of the real-log study, by data set: what was logged, what is asked, what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.real_logs.gerber_green import Voters, read_voters
from experiments.real_logs.open_bandit import (
    CAMPAIGNS,
    Impressions,
    read_impressions,
    shares_by_position,
)
from experiments.real_logs.study import Known, RealCase, matched_value, mean_of
from experiments.real_logs.upworthy import HeadlineTests, read_tests, split_impressions
from nurture_envs.journey import Journey
from nurture_rl.decisions import Decisions
from nurture_rl.ope.log import (
    BoolArray,
    EvaluationLog,
    FloatArray,
    IntArray,
    evaluation_log,
    first_rows,
)
from nurture_rl.policies.policy import Policy, certain
from nurture_rl.workflow.held_out import held_out_log

DRAWN_SHARE = 0.004  # of the headline impressions, about 240,000, make the log
WINNER_SHARE = 0.5  # of the others, tell which package won


def journey_cases(
    data: str, decisions: Decisions, journey: Journey, policies: Mapping[str, Policy]
) -> list[RealCase]:
    """Deterministic policies on a randomised log of single decisions: half asked, half known.

    Args:
        data: name of the data set.
        decisions: of the whole log; `held_out` tells the half that is known.
        journey: of the log.
        policies: by name, each certain of its action.
    """
    asked, known = halves(decisions, journey)
    found = []
    for name, policy in policies.items():
        there = policy.action_probabilities(known.features, known.mask)
        here = policy.action_probabilities(asked.features, asked.mask)
        truth = matched_value(known, there)
        found.append(RealCase(data, "lottery", name, asked, here, truth))
    return found


def first_offer_cases(
    data: str, decisions: Decisions, journey: Journey, actions: Mapping[str, int]
) -> list[RealCase]:
    """One action for everybody at first, then the lottery: known from those whose lot it was.

    Args:
        data: name of the data set.
        decisions: of the whole log; `held_out` tells the half that is known.
        journey: of the log.
        actions: position in the catalogue, by name of the policy.
    """
    asked, known = halves(decisions, journey)
    assert asked.logged_probabilities is not None
    total = np.bincount(known.episode, weights=known.reward)
    found = []
    for name, action in actions.items():
        here = asked.logged_probabilities.copy()
        start = first_rows(asked)
        here[start] = certain(np.full(start.size, action), asked.n_actions)
        truth = mean_of(total[known.action[first_rows(known)] == action])
        found.append(RealCase(data, "lottery", name, asked, here, truth))
    return found


def halves(decisions: Decisions, journey: Journey) -> tuple[EvaluationLog, EvaluationLog]:
    """The log of the contacts that are not held out, and of those that are."""
    others = replace(decisions, held_out=~decisions.held_out)
    return held_out_log(others, journey), held_out_log(decisions, journey)


def open_bandit_cases(source: Path) -> list[RealCase]:
    """Each of two policies from the log of the other, in three campaigns."""
    found = []
    for campaign in CAMPAIGNS:
        random, bts = (read_impressions(source, one, campaign) for one in ("random", "bts"))
        even = np.full((bts.item.size, bts.n_items), 1.0 / bts.n_items)
        shares = shares_by_position(bts)[random.position]
        pairs = (
            ("random", random, "bts", shares, bts),
            ("bts", bts, "random", even, random),
        )
        for logging, shown, target, probabilities, other in pairs:
            log = impression_log(shown, logging == "random")
            known = mean_of(other.click.astype(np.float64))
            name = f"Open Bandit, {campaign}"
            found.append(RealCase(name, logging, target, log, probabilities, known))
    return found


def impression_log(shown: Impressions, even: bool) -> EvaluationLog:
    """Impressions as single decisions, clustered by page view.

    Args:
        shown: the impressions.
        even: the logging policy showed every item equally often, so its whole row is known.
    """
    n, items = shown.item.size, shown.n_items
    factor = shown.item_factor - shown.item_factor.mean()
    return evaluation_log(
        features=shown.features,
        mask=np.ones((n, items), np.bool_),
        action=shown.item,
        propensity=shown.propensity,
        reward=shown.click,
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=shown.page,
        terminal=np.ones(n, np.bool_),
        action_factors=(factor / factor.std())[:, None],
        discount=1.0,
        unit="clicks",
        logged_probabilities=np.full((n, items), 1.0 / items) if even else None,
    )


def upworthy_cases(source: Path, rng: np.random.Generator) -> list[RealCase]:
    """Always the first package, the winner, the loser: known from impressions not in the log.

    Winner and loser of each test are found on a third group of impressions, so neither the log
    nor the known rate has seen them.
    """
    tests = read_tests(source)
    drawn, rest = split_impressions(tests, DRAWN_SHARE, rng)
    told, known = split_impressions(rest, WINNER_SHARE, rng)
    rate = (told.clicks + 1.0) / (told.impressions + 100.0)  # a package hardly shown is middling
    chosen = {
        "first package": _by_test(tests, -tests.arm.astype(np.float64)),
        "winner of the other half": _by_test(tests, rate),
        "loser of the other half": _by_test(tests, -rate),
    }
    log, test = headline_log(drawn, rate, rng)
    weight = np.bincount(test, minlength=tests.n_tests).astype(np.float64)
    found = []
    for name, package in chosen.items():
        target = certain(tests.arm[package], log.n_actions)
        truth = _rate_of(known, package, weight)
        found.append(RealCase("Upworthy", "even lot", name, log, target[test], truth))
    return found


def headline_log(
    drawn: HeadlineTests, rate: FloatArray, rng: np.random.Generator
) -> tuple[EvaluationLog, IntArray]:
    """Drawn impressions as single decisions in random order, and the test of each, [n].

    Args:
        drawn: impressions and clicks by package.
        rate: click rates of the packages elsewhere: what the context says of a test, [p].
        rng: order of the rows.
    """
    package = np.repeat(np.arange(drawn.test.size), drawn.impressions)
    seen = np.arange(package.size) - np.repeat(
        np.cumsum(drawn.impressions) - drawn.impressions, drawn.impressions
    )
    click = seen < drawn.clicks[package]
    order = rng.permutation(package.size)
    package, click = package[order], click[order]
    test, arms = drawn.test[package], drawn.n_arms
    mean = np.bincount(drawn.test, weights=rate) / arms
    legal = np.arange(int(arms.max())) < arms[:, None]
    n = package.size
    log = evaluation_log(
        features=np.stack([mean, arms.astype(np.float64)], axis=1)[test],
        mask=legal[test],
        action=drawn.arm[package],
        propensity=1.0 / arms[test],
        reward=click,
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n, np.bool_),
        action_factors=np.arange(legal.shape[1], dtype=np.float64)[:, None],
        discount=1.0,
        unit="clicks",
        logged_probabilities=(legal / arms[:, None])[test],
    )
    return log, test


def _by_test(tests: HeadlineTests, score: FloatArray) -> IntArray:
    """The package of the highest score in each test, the first of equals, [T]."""
    order = np.lexsort((tests.arm, -score, tests.test))
    first = np.searchsorted(tests.test[order], np.arange(tests.n_tests))
    return np.asarray(order[first], np.int64)


def _rate_of(known: HeadlineTests, package: IntArray, weight: FloatArray) -> Known:
    """Click rate of one package a test, tests weighed as in the log."""
    share = weight / weight.sum()
    seen = np.maximum(known.impressions[package], 1)
    rate = known.clicks[package] / seen
    return Known(float(share @ rate), float(np.sqrt(share**2 @ (rate * (1.0 - rate) / seen))))


def voter_cases(source: Path, rng: np.random.Generator) -> list[RealCase]:
    """Visit, call or mail everybody or nobody; beside each the vote two years before.

    No treatment moves an earlier vote, so a value of it other than everybody's share shows that
    the propensities, which are the shares of the file, are not those of the lottery.
    """
    voters = read_voters(source)
    first = rng.permutation(voters.voted.size) < voters.voted.size // 2
    found = []
    for name, treated in voters.treated.items():
        for wanted in (1, 0):
            target = name if wanted else f"no {name}"
            log = voter_log(voters, name, first, voters.voted)
            here = certain(np.full(log.n_rows, wanted), 2)
            other = voters.voted[~first & (treated == bool(wanted))].astype(np.float64)
            found.append(RealCase("New Haven", "shares", target, log, here, mean_of(other)))
            whole = np.ones(first.size, np.bool_)
            before = voter_log(voters, name, whole, voters.voted_before)
            everybody = Known(float(voters.voted_before.mean()), 0.0)
            rows = certain(np.full(before.n_rows, wanted), 2)
            case = f"{target}, earlier vote"
            found.append(RealCase("New Haven", "shares", case, before, rows, everybody))
    return found


def voter_log(
    voters: Voters,
    treatment: str,
    which: BoolArray,
    outcome: BoolArray,
) -> EvaluationLog:
    """Some voters with one treatment; its propensity is its share in the whole file."""
    treated = voters.treated[treatment]
    share, n = float(treated.mean()), int(which.sum())
    rows = np.tile([1.0 - share, share], (n, 1))
    action = treated[which].astype(np.int64)
    return evaluation_log(
        features=voters.features[which],
        mask=np.ones((n, 2), np.bool_),
        action=action,
        propensity=rows[np.arange(n), action],
        reward=outcome[which],
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n, np.bool_),
        action_factors=np.array([[0.0], [1.0]]),
        discount=1.0,
        unit="votes",
        logged_probabilities=rows,
    )
