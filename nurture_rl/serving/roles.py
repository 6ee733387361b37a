"""Which policy has which role in a server, and how roles may change: pure, nothing is loaded here.

The champion decides for everybody but the canary's share. A shadow is asked and never followed. The
switch leaves the learned part out, for everybody or for contacts in a stage, or sends nothing at
all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from nurture_rl.errors import NurtureError

SwitchTo = Literal["learned", "rules", "pause"]  # who decides: the policies, the rules, nobody


class RoleError(NurtureError):
    """A change of roles that does not fit the roles as they are."""


class UnknownPolicy(NurtureError):
    """No policy of that id is loaded."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Policy ids by role."""

    champion: str
    canary: str | None = None
    share: float = 0.0  # of contacts whose episode begins and whom the canary gets, in [0, 1)
    shadow: str | None = None
    previous: str | None = None  # the champion before; a rollback of the champion brings it back
    switch: SwitchTo = "learned"
    rules_in: tuple[str, ...] = ()  # stages in which rules decide while the switch is at `learned`
    folders: Mapping[str, str] = field(default_factory=dict)  # loaded policy id -> bundle's folder
    experiment: str | None = None  # content hash of the one that deals contacts to arms
    ended: tuple[str, ...] = ()  # hashes of experiments that are over

    @property
    def used(self) -> frozenset[str]:
        """Policies that have a role."""
        named = (self.champion, self.canary, self.shadow, self.previous)
        return frozenset(name for name in named if name is not None)

    def role_of(self, policy_id: str) -> str:
        """champion, canary, shadow, previous or loaded."""
        names = ("champion", "canary", "shadow", "previous")
        return next((name for name in names if getattr(self, name) == policy_id), "loaded")


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One row of the log of policies; the roles after the last one are those that hold."""

    at_us: int  # microseconds since 1970 UTC; decisions from this moment on follow it
    who: str  # the key that asked, or the server
    action: str
    policy_id: str | None
    before: Roles | None  # None: the first row
    after: Roles
    why: str


Change = Callable[[Roles], Roles]


def loaded(policy_id: str, folder: str) -> Change:
    """A policy can be given a role from now on."""
    return lambda roles: replace(roles, folders={**roles.folders, policy_id: folder})


def dropped(policy_id: str) -> Change:
    """A policy that is not there any more has no role; the champion cannot be dropped."""

    def change(roles: Roles) -> Roles:
        folders = {name: folder for name, folder in roles.folders.items() if name != policy_id}
        return replace(_without(roles, policy_id), folders=folders)

    return change


def shadow(policy_id: str) -> Change:
    """A policy is asked beside the others and never followed."""

    def change(roles: Roles) -> Roles:
        if policy_id in (roles.champion, roles.canary):
            role = roles.role_of(policy_id)
            raise RoleError(f"policy {policy_id} is the {role} and decides already; roll it back")
        return replace(roles, shadow=policy_id)

    return change


def canary(policy_id: str, share: float) -> Change:
    """A policy decides for a share of the contacts whose episode begins from now on."""

    def change(roles: Roles) -> Roles:
        if policy_id == roles.champion:
            raise RoleError(f"policy {policy_id} is the champion and decides already")
        if roles.canary not in (None, policy_id):
            raise RoleError(f"policy {roles.canary} is the canary; roll it back or promote it")
        return replace(_without(roles, policy_id), canary=policy_id, share=share)

    return change


def promoted(policy_id: str) -> Change:
    """A policy decides for everybody."""

    def change(roles: Roles) -> Roles:
        if policy_id == roles.champion:
            raise RoleError(f"policy {policy_id} is the champion already")
        if roles.canary not in (None, policy_id):
            raise RoleError(f"policy {roles.canary} is the canary; roll it back or promote it")
        before = roles.champion
        return replace(_without(roles, policy_id), champion=policy_id, previous=before)

    return change


def rolled_back(policy_id: str) -> Change:
    """A policy loses its role; after a champion the one before it decides again."""

    def change(roles: Roles) -> Roles:
        if policy_id != roles.champion:
            if roles.role_of(policy_id) == "loaded":
                raise RoleError(f"policy {policy_id} has no role that it could lose")
            return _without(roles, policy_id)
        if roles.previous is None:
            raise RoleError(
                f"policy {policy_id} is the champion and no policy was champion before it; promote "
                "another one, or switch to rules or pause"
            )
        return replace(_without(roles, roles.previous), champion=roles.previous)

    return change


def stopped(policy_id: str) -> Change:
    """A canary is rolled back, if it still is one."""

    def change(roles: Roles) -> Roles:
        if policy_id != roles.canary:
            raise RoleError(f"policy {policy_id} is no canary any more")
        return _without(roles, policy_id)

    return change


def switched(to: SwitchTo) -> Change:
    """Who decides: the policies, the rules of the champion's journey, or nobody."""
    return lambda roles: replace(roles, switch=to)


def switched_in(stage: str, to: SwitchTo, stages: Collection[str]) -> Change:
    """Who decides for contacts in a stage: the policies, or the rules.

    Args:
        stage: that they entered last.
        to: `learned` or `rules`.
        stages: that contacts can be in, by the journey.
    """

    def change(roles: Roles) -> Roles:
        if to == "pause":
            raise RoleError(
                "expected `learned` or `rules` for a stage, got `pause`; leave the stage out, for "
                "a pause holds for everybody"
            )
        if stage not in stages:
            named = f"one of {', '.join(stages)}" if stages else "none"
            why = "" if stages else ", for no feature of the journey has kind: stage"
            raise RoleError(f"expected as stage {named}{why}, got {stage!r}")
        others = {name for name in roles.rules_in if name != stage}
        return replace(roles, rules_in=tuple(sorted({*others, stage} if to == "rules" else others)))

    return change


def began(experiment: str) -> Change:
    """An experiment deals contacts from now on.

    Args:
        experiment: its content hash.
    """

    def change(roles: Roles) -> Roles:
        if roles.experiment is not None:
            raise RoleError(f"experiment {roles.experiment} runs; end it before another one begins")
        if experiment in roles.ended:
            raise RoleError(f"experiment {experiment} is over; give another name to begin anew")
        return replace(roles, experiment=experiment)

    return change


def ended() -> Change:
    """No experiment deals contacts any more; the policy decides for everybody."""

    def change(roles: Roles) -> Roles:
        if roles.experiment is None:
            raise RoleError("no experiment runs in this journey; GET /v1/policies tells which do")
        return replace(roles, experiment=None, ended=(*roles.ended, roles.experiment))

    return change


def with_switches(roles: Roles, policies: Roles) -> Roles:
    """The roles `policies` with all of `roles` that names no policy."""
    return replace(
        policies,
        switch=roles.switch,
        rules_in=roles.rules_in,
        experiment=roles.experiment,
        ended=roles.ended,
    )


def since_when(told: Sequence[PolicyChange], known: Mapping[str, int]) -> dict[str, int]:
    """Since when policies have their roles, microseconds since 1970 UTC, by policy id.

    Args:
        told: changes, the oldest first.
        known: the same before them.
    """
    since = dict(known)
    for change in told:
        for name in {*change.after.folders, *change.after.used}:
            before = change.before.role_of(name) if change.before else None
            if name not in since or before != change.after.role_of(name):
                since[name] = change.at_us
    return since


def before_pause(told: Sequence[PolicyChange]) -> SwitchTo:
    """Where the switch stands, or stood before it was set to pause.

    Args:
        told: all changes, the oldest first.
    """
    switches: list[SwitchTo] = [change.after.switch for change in reversed(told)]
    return next((one for one in switches if one != "pause"), "learned")


def _without(roles: Roles, policy_id: str) -> Roles:
    """The roles where a policy is neither canary, shadow nor the champion before."""
    if policy_id == roles.canary:
        roles = replace(roles, canary=None, share=0.0)
    if policy_id == roles.shadow:
        roles = replace(roles, shadow=None)
    return replace(roles, previous=None) if policy_id == roles.previous else roles
