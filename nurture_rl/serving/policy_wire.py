"""The JSON of policies and their roles over the wire."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nurture_rl.serving.active_policies import ActivePolicies
from nurture_rl.serving.roles import PolicyChange, Roles, SwitchTo
from nurture_rl.serving.wire import Id, iso

Why = Annotated[str, msgspec.Meta(min_length=1, max_length=500, description="kept in the log")]


class LoadIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle to load."""

    folder: Id  # right under the server's folder of bundles
    why: Why


class RoleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a policy gets or loses a role."""

    why: Why


class CanaryIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many a canary gets, and why."""

    share: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]  # of contacts whose episode begins
    why: Why


class SwitchIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who decides from now on: the policies, the rules of the journey, or nobody."""

    to: SwitchTo
    why: Why


class PolicyOut(msgspec.Struct, frozen=True):
    """A loaded policy."""

    policy_id: str
    role: str  # champion, canary, shadow, previous or loaded
    share: float | None  # of a canary
    since: str | None  # when it came into this role
    folder: str | None  # None: the server was started with it


class PoliciesOut(msgspec.Struct, frozen=True):
    """What is loaded, and where the switch stands."""

    switch: SwitchTo
    policies: list[PolicyOut]
    shadow_missed: int  # decisions since the start that no shadow was asked about


class RolesOut(msgspec.Struct, frozen=True):
    """Policy ids by role."""

    champion: str
    canary: str | None
    share: float
    shadow: str | None
    previous: str | None
    switch: SwitchTo


class PolicyChangeOut(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """One row of the log of policies."""

    at: str | None
    who: str
    action: str
    policy_id: str | None
    before: RolesOut | None
    after: RolesOut
    why: str


class PolicyLogOut(msgspec.Struct, frozen=True):
    """The log of policies, the oldest change first."""

    changes: list[PolicyChangeOut]


STRUCTS = (LoadIn, RoleIn, CanaryIn, SwitchIn, PoliciesOut, PolicyLogOut)  # of bodies


def policies_out(policies: ActivePolicies, missed: int) -> PoliciesOut:
    """What is loaded, champion first.

    Args:
        policies: of the server.
        missed: decisions that no shadow was asked about.
    """
    roles = policies.lineup.roles
    order = ("champion", "canary", "shadow", "previous", "loaded")
    rows = [
        PolicyOut(
            name,
            role := roles.role_of(name),
            roles.share if role == "canary" else None,
            iso(policies.since(name)),
            roles.folders.get(name),
        )
        for name in policies.bundles
    ]
    rows.sort(key=lambda row: order.index(row.role))
    return PoliciesOut(roles.switch, rows, missed)


def change_out(change: PolicyChange) -> PolicyChangeOut:
    """A row of the log."""
    before = None if change.before is None else _roles_out(change.before)
    return PolicyChangeOut(
        iso(change.at_us),
        change.who,
        change.action,
        change.policy_id,
        before,
        _roles_out(change.after),
        change.why,
    )


def _roles_out(roles: Roles) -> RolesOut:
    return RolesOut(*(getattr(roles, name) for name in RolesOut.__struct_fields__))
