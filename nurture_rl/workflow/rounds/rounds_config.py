"""The typed configuration of a programme that is run in rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nurture_rl.errors import ConfigError
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.logging_policy import with_logging
from nurture_rl.workflow.rounds.pooled_log import EARLIER, MIXTURE
from nurture_rl.workflow.rounds.round_verdict import CHAMPION, Programme
from nurture_rl.workflow.run_config import PolicyConfig, RunConfig


@dataclass
class RoundsSettings:
    """How a programme is run in rounds."""

    count: int = 5  # rounds, >= 1
    contacts: int = 5000  # new contacts in each round, >= 1
    # Share of decisions that each round leaves to chance, in (0, 1]; the last number holds for all
    # rounds that follow. None: the share of `data.logging` in every round.
    exploration: list[float] | None = None
    # Share of that which follows the round's challenger instead of chance, in [0, 1): a learned
    # policy that the gate refused, of which the log shows nothing bad. 0: it waits.
    challenger_share: float = 0.0
    # What the logs of earlier rounds count for. mixture: all logs are one, made by the mixture of
    # their policies; own: all are one, each row with the propensity it was logged with; none: a
    # round is judged by its own contacts alone.
    earlier: str = MIXTURE


@dataclass
class RoundsConfig(RunConfig):
    """A run's settings, and how its programme is run in rounds."""

    rounds: RoundsSettings = field(default_factory=RoundsSettings)


@dataclass(frozen=True, slots=True)
class FirstRound:
    """What the first round begins with."""

    programme: Programme
    chance: Any  # what the decisions that are left to chance follow, in every round
    shares: tuple[float, ...]  # of decisions that explore, by round
    challenger_share: float = 0.0  # of those, where a programme has a challenger

    def tried(self, programme: Programme) -> Programme | None:
        """The challenger that takes a share of a programme's exploration."""
        return programme.challenger if self.challenger_share > 0.0 else None

    def explored(self, spec: Any, place: int, ran: Programme) -> dict[str, Any]:
        """A description with the exploration of a round.

        Args:
            spec: of what explores.
            place: of the round; the first has 0.
            ran: the programme of the round, whose challenger takes a share of the exploration.
        """
        other, tried = self.chance, self.tried(ran)
        if tried is not None:
            share = self.challenger_share
            other = {"kind": "mixture", "share": share, "policy": other, "other": tried.spec}
        return {"kind": "mixture", "share": self.shares[place], "policy": spec, "other": other}


def start_of(asked: RoundsSettings, logging: Any) -> FirstRound:
    """The first programme and every round's exploration.

    Args:
        asked: the settings.
        logging: `data.logging`, a programme mixed with what explores.

    Raises:
        ConfigError: a setting is out of range, or `logging` is no such mixture.
    """
    if asked.count < 1 or asked.contacts < 1:
        raise ConfigError(
            f"rounds: expected count >= 1 and contacts >= 1, got count={asked.count} "
            f"contacts={asked.contacts}"
        )
    if asked.earlier not in EARLIER:
        raise ConfigError(
            f"rounds.earlier: expected one of {', '.join(EARLIER)}, got {asked.earlier!r}"
        )
    mixed = isinstance(logging, Mapping) and logging.get("kind") == "mixture"
    if not mixed or not {"policy", "other", "share"} <= set(logging):
        raise ConfigError(
            "data.logging: expected a programme mixed with what explores, {kind: mixture, policy: "
            f"..., other: ..., share: ...}}, got {logging!r}; rounds keep `other` and change the "
            "rest"
        )
    given = [float(logging["share"])] if asked.exploration is None else asked.exploration
    if not given or not all(0.0 < share <= 1.0 for share in given):
        raise ConfigError(
            f"rounds.exploration: expected shares in (0, 1], got {given}; without exploration no "
            "round can judge anything but what it did"
        )
    if not 0.0 <= asked.challenger_share < 1.0:
        raise ConfigError(
            f"rounds.challenger_share: expected a share in [0, 1), got {asked.challenger_share}; "
            "some exploration must be left to chance"
        )
    shares = tuple([*given, *[given[-1]] * asked.count][: asked.count])
    spec = logging["policy"]
    name = spec if isinstance(spec, str) else str(spec.get("kind"))
    return FirstRound(Programme(name, spec), logging["other"], shares, asked.challenger_share)


def settings_of_round(
    checked: Settings, first: FirstRound, place: int, programme: Programme
) -> Settings:
    """The settings by which one round is learned from and judged.

    What is compared is what is served: each policy with the exploration of the round, and with the
    challenger that was tried in it. Without it a programme does what the log of others seldom did,
    and no log carries that. The trust region is around the policy that ran last, with its
    exploration. The gate's level is shared out among all rounds, so that it holds for all of them
    together.

    Args:
        checked: of the whole programme; `logged` stands for the policy that ran last.
        first: how the programme began, and every round's exploration.
        place: of the round; the first has 0.
        programme: that ran.
    """
    run = checked.run
    ran = {CHAMPION: PolicyConfig(name=CHAMPION, learner="none", spec=programme.spec)}
    policies = {
        name: replace(one, spec=first.explored(one.spec, place, programme))
        for name, one in (ran | run.policies).items()
    }
    level = simultaneous_level(run.release.level, len(first.shares))
    release = replace(run.release, reference=CHAMPION, level=level)
    of_round = replace(run, policies=policies, release=release)
    learners = {CHAMPION: None, **checked.learners}
    explored = first.explored(programme.spec, place, programme)
    return with_logging(replace(checked, run=of_round, learners=learners), explored)
