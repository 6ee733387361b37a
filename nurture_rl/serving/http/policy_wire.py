"""The JSON of policies and their roles over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from nurture_rl.serving.http.wire import Id, iso
from nurture_rl.serving.policies.active_policies import ActivePolicies
from nurture_rl.serving.roles import PolicyChange, Roles, SwitchTo

Why = Annotated[str, msgspec.Meta(min_length=1, max_length=500, description="kept in the log")]


class LoadIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle to load."""

    folder: Id  # right under the server's folder of bundles
    why: Why
    journey: Id | None = None  # without it the first


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
    journey: Id | None = None  # without it all journeys
    # That contacts entered last, or `none`: it is switched for them alone, to `learned` or `rules`.
    stage: Id | None = None


class EndExperimentIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an experiment ends."""

    why: Why
    journey: Id | None = None  # without it the first


class SwitchbackOut(msgspec.Struct, frozen=True):
    """The blocks of an experiment that deals time."""

    first_day: str  # with which the first block begins, local to the zone
    zone: str
    block_days: int
    washout_days: int
    blocks: int  # planned


class ExperimentOut(msgspec.Struct, frozen=True):
    """An experiment that deals contacts, or time, to arms."""

    name: str
    experiment: str  # hash of its content, as decisions name it
    plan: str  # hash of its plan, as `nurture lift` tells it
    since: str | None
    unit: str  # contact, account or time
    shares: Mapping[str, float]  # by arm
    usual: str  # program of the arm `usual`
    free: str | None  # factor of it that the arm `policy` chooses; null: all
    switchback: SwitchbackOut | None  # null: it deals no time


class PolicyOut(msgspec.Struct, frozen=True):
    """A loaded policy."""

    policy_id: str
    role: str  # champion, canary, shadow, previous or loaded
    share: float | None  # of a canary
    since: str | None  # when it came into this role
    folder: str | None  # None: the server was started with it
    journey: str


class PoliciesOut(msgspec.Struct, frozen=True):
    """What is loaded, and where the switch stands."""

    switch: SwitchTo  # of the first journey
    policies: list[PolicyOut]
    shadow_missed: int  # decisions since the start that no shadow was asked about
    switches: dict[str, SwitchTo]  # by journey
    rules_in: Mapping[str, Sequence[str]]  # by journey, stages in which rules decide at `learned`
    experiments: Mapping[str, ExperimentOut]  # by journey, those that run


class RolesOut(msgspec.Struct, frozen=True):
    """Policy ids by role."""

    champion: str
    canary: str | None
    share: float
    shadow: str | None
    previous: str | None
    switch: SwitchTo
    rules_in: Sequence[str]  # stages
    experiment: str | None  # that deals contacts, by the hash of its content


class PolicyChangeOut(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """One row of the log of policies."""

    at: str | None
    who: str
    action: str
    policy_id: str | None
    before: RolesOut | None
    after: RolesOut
    why: str
    journey: str


class PolicyLogOut(msgspec.Struct, frozen=True):
    """The log of policies, the oldest change first."""

    changes: list[PolicyChangeOut]


STRUCTS = (
    LoadIn,
    RoleIn,
    CanaryIn,
    SwitchIn,
    EndExperimentIn,
    PoliciesOut,
    PolicyLogOut,
)  # of bodies


def policies_out(policies: Mapping[str, ActivePolicies], missed: int) -> PoliciesOut:
    """What is loaded, journey by journey, champion first.

    Args:
        policies: of the server, by journey, the first one first.
        missed: decisions that no shadow was asked about.
    """
    switches = {name: one.lineup.roles.switch for name, one in policies.items()}
    rules_in = {name: one.lineup.roles.rules_in for name, one in policies.items()}
    rows = [row for name, one in policies.items() for row in _rows(name, one)]
    found = {name: _experiment(one) for name, one in policies.items()}
    running = {name: one for name, one in found.items() if one is not None}
    return PoliciesOut(next(iter(switches.values())), rows, missed, switches, rules_in, running)


def _experiment(policies: ActivePolicies) -> ExperimentOut | None:
    arms, plan = policies.lineup.arms, policies.plan
    if arms is None or plan is None:
        return None
    one = arms.experiment
    time = one.switchback
    blocks = None
    if time is not None:
        first, days = time.first_day.isoformat(), (time.block_days, time.washout_days)
        blocks = SwitchbackOut(first, time.zone, *days, time.blocks)
    return ExperimentOut(
        one.name,
        arms.hash,
        plan.digest,
        iso(plan.began_us),
        one.unit,
        one.shares,
        one.usual,
        one.free,
        blocks,
    )


def _rows(journey: str, policies: ActivePolicies) -> list[PolicyOut]:
    roles = policies.lineup.roles
    order = ("champion", "canary", "shadow", "previous", "loaded")
    rows = [
        PolicyOut(
            name,
            role := roles.role_of(name),
            roles.share if role == "canary" else None,
            iso(policies.since(name)),
            roles.folders.get(name),
            journey,
        )
        for name in policies.bundles
    ]
    return sorted(rows, key=lambda row: order.index(row.role))


def change_out(change: PolicyChange, journey: str) -> PolicyChangeOut:
    """A row of the log of a journey."""
    before = None if change.before is None else _roles_out(change.before)
    return PolicyChangeOut(
        iso(change.at_us),
        change.who,
        change.action,
        change.policy_id,
        before,
        _roles_out(change.after),
        change.why,
        journey,
    )


def _roles_out(roles: Roles) -> RolesOut:
    return RolesOut(*(getattr(roles, name) for name in RolesOut.__struct_fields__))
