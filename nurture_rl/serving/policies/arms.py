"""The arms of an experiment: who is dealt to which, and who decides there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from nurture_envs.experiment import TIME, Experiment, dealt_arm
from nurture_envs.journey import Journey
from nurture_envs.journey_experiment import least_rounds
from nurture_envs.switchback import block_arm
from nurture_rl.errors import BundleError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.arm_records import Deal, StartedPlan
from nurture_rl.serving.layers import (
    ARM,
    FAIL_CLOSED,
    HELD_OUT,
    PAUSED,
    Line,
    arm_layers,
    canary_arm,
    line_of,
)
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import ContactView, Episode
from nurture_rl.serving.roles import Roles

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What of a journey an experiment stands on: none of it may change while it runs.
_FROZEN = ("journey", "experiment", "drip", "rules", "expert", "kpis")


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """An experiment that runs, and who decides in its arms."""

    experiment: Experiment
    hash: str  # of its content
    policy: Line  # of those who were dealt to the policy, and whom no canary has
    canary: Line | None
    others: Mapping[str, Line]  # by arm
    held: Line | None  # of who is held out, and whom the canary would have; None: there is none

    def deals(self, episode: Episode) -> bool:
        """Whether an episode was dealt by this experiment, or has no decision yet and will be.

        Where time is dealt, every episode follows the arm of the block.
        """
        if self.experiment.switchback is not None:
            return True
        return episode.arm is None or episode.experiment == self.hash

    def ghosts_are_tried(self, episode: Episode) -> bool | None:
        """Whether an episode's first ghost was the canary's; None: a fallback made it."""
        first = episode.ghost.first_policy
        if self.canary is not None and first in [one.policy_id for one in self.canary.layers[:1]]:
            return True
        fallbacks = (None, PAUSED, FAIL_CLOSED, *(one.policy_id for one in self.policy.layers[1:]))
        return None if first in fallbacks else False

    def arm_of(self, view: ContactView, now_us: int) -> str:
        """The arm of a contact that is dealt: that of its episode so far, else of its unit.

        Where time is dealt, it is that of the block in which the decision is made.

        Args:
            view: the contact.
            now_us: the moment of the decision, microseconds since 1970 UTC.
        """
        switchback = self.experiment.switchback
        if switchback is not None:
            block = switchback.block_at(now_us)
            return block_arm(self.experiment.salt, self.experiment.shares, block)
        said = view.episode.arm
        if said is not None:
            return said if said in self.others else ARM
        account = contact_key(view.contact.account_id or "")
        by_account = self.experiment.unit == "account" and account
        unit = f"account {account}" if by_account else contact_key(view.contact.contact_id)
        return dealt_arm(self.experiment, unit)


def arms_of(champion: Bundle, roles: Roles, digest: str, canary: Bundle | None) -> Arms:
    """Who decides in each arm.

    The switch leaves the policy and the random arm to the rules; business as usual and the holdout
    go on. A pause holds for all of them.

    Args:
        champion: its journey has the experiment.
        roles: where the switch stands.
        digest: content hash of the experiment.
        canary: what decides for a share of the policy's contacts; None: there is none.

    Raises:
        BundleError: the journey has no experiment.
        NurtureError: its business as usual cannot be built.
    """
    experiment, layers = champion.journey.experiment, arm_layers(champion)
    if experiment is None:
        raise BundleError(
            f"policy {champion.policy_id}: expected a journey with the experiment {digest}, which "
            "runs; export the policy with it again"
        )
    switch, stages = roles.switch, roles.rules_in

    def dealt(line: Line, arm: str) -> Line:
        deal = Deal(digest, experiment.shares[arm])
        by_stage = {name: replace(one, deal=deal) for name, one in line.by_stage.items()}
        return replace(line, deal=deal, by_stage=by_stage)

    policy = dealt(line_of(champion, switch, ARM, stages, layers=layers[ARM]), ARM)
    tried: Line | None = None
    if canary is not None:
        own = champion if switch != "learned" else canary
        arm = canary_arm(roles.canary or "")
        tried = line_of(own, switch, arm, stages, champion, arm_layers(own)[ARM])
        tried = dealt(tried, ARM)
    others: dict[str, Line] = {}
    held: Line | None = None
    for arm in experiment.shares.keys() - {ARM}:
        line = line_of(champion, switch, arm, stages, layers=layers[arm])
        if arm != "random" and switch != "pause":
            line = Line(arm, layers[arm])
        others[arm] = dealt(line, arm)
    if HELD_OUT in others:
        others[HELD_OUT] = replace(others[HELD_OUT], ghost=policy)
        held = None if tried is None else replace(others[HELD_OUT], ghost=tried)
    return Arms(experiment, digest, policy, tried, others, held)


def experiment_hash(journey: Journey) -> str | None:
    """Content hash of a journey's experiment and of what it compares by; None: there is none."""
    if journey.experiment is None:
        return None
    frozen = {name: journey.resolved.get(name) for name in _FROZEN}
    text = json.dumps(frozen, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def started_plan(journey: Journey, digest: str, now_us: int) -> StartedPlan:
    """The plan of a journey's experiment that begins, as `nurture lift` reads it.

    Args:
        journey: has an experiment.
        digest: content hash of the experiment.
        now_us: when it begins, microseconds since 1970 UTC.
    """
    one = journey.experiment
    if one is None:
        raise BundleError(f"journey {journey.name} has no experiment; write one in its file")
    goals = one.goals
    plan: dict[str, Any] = {
        "experiment": one.name,
        "journey": journey.name,
        "unit": one.unit,
        "starts": (_EPOCH + timedelta(microseconds=now_us)).isoformat(),
        "dealt_by": digest,
        "arms": dict(one.shares),
        "usual": next(arm for arm in ("usual", "holdout", "random") if arm in one.shares),
        "program": one.usual,
        "window_days": goals.window_days,
        **_units(one, journey.north_star.name),
        "worth": dict(goals.worth),
        "once": list(goals.once),
        "level": goals.level,
    }
    if one.free is not None:
        plan["free"] = one.free
    if goals.velocity is not None:
        plan["velocity"] = {"signal": goals.velocity.signal, "days": goals.velocity.days}
    text = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True)
    return StartedPlan(digest, journey.name, one.name, now_us, text)


def begun_in_words(journey: Journey, plan: StartedPlan) -> str:
    """What the log of policies says of an experiment that begins, and of blocks that it missed."""
    said = f"its plan, {plan.digest}, is written down and does not change any more"
    one = journey.experiment
    blocks = None if one is None else one.switchback
    if one is None or blocks is None or plan.began_us <= blocks.begins_us(0):
        return said
    missed = min(blocks.block_at(plan.began_us - 1) + 1, blocks.blocks)
    width = len(one.shares)
    rounds, lost = blocks.blocks // width, -(-missed // width)
    return (
        f"{said}; it begins after {missed} of its {blocks.blocks} blocks did, so {rounds - lost} "
        f"of {rounds} rounds can be compared, and {least_rounds(one.goals.level)} are the least"
    )


def deals_time(plan: StartedPlan) -> bool:
    """Whether the experiment of a plan deals blocks of time."""
    return bool(yaml.safe_load(plan.plan)["unit"] == TIME)


def _units(one: Experiment, north_star: str) -> dict[str, Any]:
    """What a plan says of its units: how many, and of blocks all by which they are dealt again."""
    blocks = one.switchback
    if blocks is None:
        return {"units": one.goals.units}
    return {
        "first_day": blocks.first_day.isoformat(),
        "zone": blocks.zone,
        "block_days": blocks.block_days,
        "washout_days": blocks.washout_days,
        "blocks": blocks.blocks,
        "salt": one.salt,
        "north_star": north_star,
    }
