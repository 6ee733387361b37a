"""One journey of a server: its policies, and what reads and asks its contacts and decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.arm_records import StartedPlan
from nurture_rl.serving.contacts.accounts import Accounts
from nurture_rl.serving.contacts.contact_views import ContactViews
from nurture_rl.serving.contacts.crowd import crowd_of
from nurture_rl.serving.contacts.enrolment import span_us
from nurture_rl.serving.contacts.standing import RecordedDecisions
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.policies.active_policies import ActivePolicies
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.records import Decision
from nurture_rl.serving.roles import PolicyChange, Roles
from nurture_rl.serving.storage.store import Store


class UnknownJourney(NurtureError):
    """No journey of that name is served, or no contact of that id is known."""


def not_served(name: str, served: Iterable[str]) -> UnknownJourney:
    """The error for a journey that is not among those served."""
    return UnknownJourney(f"no journey {name!r} is served; there is {', '.join(served)}")


@dataclass(frozen=True, slots=True)
class JourneyLog:
    """The log of the policies of one journey; see `PolicyLog`."""

    store: Store
    journey: str
    simulated: bool = False  # the clock may say any time

    @property
    def seed(self) -> int:
        """Salts the canary's share."""
        return self.store.seed

    @property
    def is_shared(self) -> bool:
        """Whether other processes may change roles too."""
        return self.store.is_shared

    def policy_changes(self) -> Sequence[PolicyChange]:
        """All changes, the oldest first."""
        return self.store.policy_changes(self.journey)

    def last_roles(self) -> Roles | None:
        """The roles after the latest change; None: nobody has set any."""
        return self.store.last_roles(self.journey)

    def roles_held(self) -> AbstractContextManager[None]:
        """Keep everybody else, in any process, from changing roles until the block ends."""
        return self.store.roles_held()

    def begins_us(self, now_us: int) -> int:
        """When an experiment that is taken up at a moment begins to count."""
        return 0 if self.simulated else now_us

    def plan(self, experiment: str) -> StartedPlan | None:
        """The plan of an experiment that began, by the hash of its content."""
        return next((one for one in self.store.plans() if one.experiment == experiment), None)

    def add_policy_change(self, change: PolicyChange, plan: StartedPlan | None = None) -> None:
        """Keep a change, and the plan of an experiment that it begins, on disk."""
        self.store.add_policy_change(change, self.journey, plan)


class ServedJourney:
    """A journey over the store that all journeys of a server share."""

    def __init__(
        self,
        bundle: Bundle,
        store: Store,
        settings: ServerSettings,
        bundles: BundleFolder | None = None,
        others: Collection[str] = (),
        is_first: bool = True,
    ) -> None:
        """Take up the roles of its policies where the store has some; see `ActivePolicies`.

        Args:
            bundle: champion unless the store says otherwise; its journey holds for all policies.
            store: what is known and what was decided.
            settings: of the clock and of zones.
            bundles: where others are loaded from; None: there are no others.
            others: the other journeys of the server.
            is_first: looks after recorded decisions of journeys that are served no more.
        """
        self.name, self._others, self._is_first = bundle.journey.name, others, is_first
        log = JourneyLog(store, self.name, settings.simulated_clock)
        self.policies = ActivePolicies(bundle, log, settings.clock, bundles)
        slack = replace(bundle.journey.guardrails, unknown_zone_slack=settings.unknown_zone_slack)
        self.bundle = replace(bundle, journey=replace(bundle.journey, guardrails=slack))
        self.span_us = span_us(bundle.journey)  # of an episode, local time
        store.keep_catalog(bundle.catalog)
        store.complete_episodes(self.name, self.span_us)
        # A simulated clock may say any time: then all that is stored counts.
        began_us = 0 if settings.simulated_clock else settings.clock()
        self.crowd = crowd_of(bundle.journey, store, began_us, is_alone=not others)
        zone, certain = settings.default_zone, not settings.simulated_clock
        self.contacts = ContactViews(self.bundle, store, zone, certain, others)
        self.accounts = Accounts(self.bundle, store, zone, certain)
        self.recorded = RecordedDecisions(
            self.bundle, store, zone, lambda: self.policies.lineup.paused, self.is_home
        )

    def is_home(self, decision: Decision) -> bool:
        """Whether a decision was made in this journey, or is looked after by it."""
        stray = self._is_first and decision.journey not in self._others
        return stray or decision.journey == self.name
