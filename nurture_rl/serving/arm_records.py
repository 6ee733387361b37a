"""What experiments add to the records of a server: arms, plans and ghost decisions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deal:
    """That a contact was dealt to an arm."""

    experiment: str  # content hash of the experiment
    share: float  # of its units, the chance of being dealt to the arm


@dataclass(frozen=True, slots=True)
class GhostPass:
    """What ghost decisions of an episode have begun."""

    paused_until: int = 0  # first bin after the latest pause
    exited: bool = False
    first_policy: str | None = None  # whose the first one is; None: there is none


NO_GHOSTS = GhostPass()


@dataclass(frozen=True, slots=True)
class Ghost:
    """What a policy would have decided in place of a decision; nothing is done for it.

    It is drawn with the decision's features and luck. No limit counts it.
    """

    decision_id: str
    episode_id: str
    step: int
    action: str
    propensity: float
    probabilities: tuple[float, ...]  # [a], catalogue order
    mask: tuple[bool, ...]  # [a], the decision's unless an earlier ghost paused
    policy_id: str
    note: str | None = None  # why the policy was not followed


@dataclass(frozen=True, slots=True)
class StartedPlan:
    """The plan of an experiment as it was when it began; it is never changed."""

    experiment: str  # content hash of the experiment
    journey: str
    name: str
    began_us: int  # UTC
    plan: str  # YAML, as `nurture lift` reads it

    @property
    def digest(self) -> str:
        """Hash of the plan, as `nurture lift` tells it."""
        return hashlib.sha256(self.plan.encode()).hexdigest()[:16]
