"""Where changes of policies' roles are kept, as those who change them see it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from nurture_rl.serving.arm_records import StartedPlan
from nurture_rl.serving.roles import PolicyChange, Roles


class PolicyLog(Protocol):
    """Where changes are kept."""

    @property
    def seed(self) -> int:
        """Salts the canary's share."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes may change roles too."""
        ...

    def policy_changes(self) -> Sequence[PolicyChange]:
        """All changes, the oldest first."""
        ...

    def last_roles(self) -> Roles | None:
        """The roles after the latest change; None: nobody has set any."""
        ...

    def roles_held(self) -> AbstractContextManager[None]:
        """Keep everybody else, in any process, from changing roles until the block ends."""
        ...

    def begins_us(self, now_us: int) -> int:
        """When an experiment that is taken up at a moment begins to count, as `now_us` is given.

        A simulated clock may say any time: then it counts from the beginning of time.
        """
        ...

    def plan(self, experiment: str) -> StartedPlan | None:
        """The plan of an experiment that began, by the hash of its content."""
        ...

    def add_policy_change(self, change: PolicyChange, plan: StartedPlan | None = None) -> None:
        """Keep a change, and the plan of an experiment that it begins, on disk."""
        ...
