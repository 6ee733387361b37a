"""The policies of a running server: loaded beside the work, changed between two decisions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from nurture_rl.errors import BundleError, ConfigError, NurtureError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving import roles as changes
from nurture_rl.serving.arm_records import StartedPlan
from nurture_rl.serving.layers import Layer, canary_arm, line_of
from nurture_rl.serving.policies.arms import (
    Arms,
    arms_of,
    begun_in_words,
    experiment_hash,
    started_plan,
)
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.policies.lineup import Lineup
from nurture_rl.serving.policies.policy_log import PolicyLog
from nurture_rl.serving.roles import Change, PolicyChange, RoleError, Roles, UnknownPolicy
from nurture_rl.serving.store_errors import StoreUnavailable

SERVER = "server"  # who changed roles, where nobody asked for it
_MOST = 16  # bundles in memory

_log = logging.getLogger(__name__)


class ActivePolicies:
    """The bundles of a server and their roles; every change is in the log before it holds."""

    def __init__(
        self,
        bundle: Bundle,
        log: PolicyLog,
        clock: Callable[[], int],
        folder: BundleFolder | None = None,
    ) -> None:
        """Take up the roles of the log, or begin one with a bundle as champion.

        Args:
            bundle: what the server was started with.
            log: of earlier changes; what it says last holds again.
            clock: microseconds since 1970 UTC.
            folder: where bundles are loaded from; None: `bundle` is champion, whatever the log
                says, and no other can be loaded.

        Raises:
            BundleError: the champion of the log is not to be found, or another experiment than
                the bundle's runs.
        """
        self._own = experiment_hash(bundle.journey)
        self._first, self._log, self._clock, self._folder = bundle, log, clock, folder
        self._changing = threading.Lock()  # one change at a time
        self._turn = threading.Lock()  # no decision begins while a change takes hold
        self._loading = threading.Lock()  # one load of what others named at a time
        self._followed: Roles | None = None  # of others; what they name was loaded, or is lost
        self._lost: Mapping[str, str] = {}  # why what others named could not be loaded
        self._bundles = {bundle.policy_id: bundle}
        self._noting = threading.Lock()
        self._noted = 0  # changes of the log, the oldest, that the moments below are of
        self._since: Mapping[str, int] = {bundle.policy_id: clock()}
        self._lineup = self._lineup_of(Roles(bundle.policy_id))
        while not self._took_up():
            pass
        self._note_all()

    @property
    def lineup(self) -> Lineup:
        """Who decides now."""
        return self._lineup

    @property
    def bundles(self) -> Mapping[str, Bundle]:
        """What is loaded, by policy id."""
        return dict(self._bundles)

    @property
    def changes(self) -> Sequence[PolicyChange]:
        """All changes of the log, the oldest first."""
        return self._log.policy_changes()

    @property
    def plan(self) -> StartedPlan | None:
        """The plan of the experiment that runs, as it was when it began; None: none runs."""
        running = self._lineup.roles.experiment
        return None if running is None else self._log.plan(running)

    def since(self, policy_id: str) -> int:
        """When a policy came into its role, microseconds since 1970 UTC."""
        return self._since[policy_id]

    def moment(self, now_us: int | None = None) -> tuple[int, Lineup]:
        """The moment of a decision and who decides then: no change takes hold between both.

        Args:
            now_us: the moment; None reads the clock.
        """
        with self._turn:
            return (self._clock() if now_us is None else now_us), self._lineup

    def load(self, name: str, who: str, why: str) -> str:
        """Load the bundle of a folder; decisions go on meanwhile.

        Returns:
            Its policy id.

        Raises:
            BundleError: there is none that fits.
            RoleError: no folder of bundles was given, or too many are loaded.
            StoreUnavailable: the store refuses; nothing is loaded.
        """
        if self._folder is None:
            raise RoleError("this server has no folder of bundles; start it with bundles=FOLDER")
        bundle = self._folder.load(name, self._first)  # which no change of roles waits for
        with self._changing:
            if len(self._bundles) >= _MOST and bundle.policy_id not in self._bundles:
                raise RoleError(
                    f"{_MOST} bundles are loaded, as many as a server holds; one that has no role "
                    "is left out when its folder is taken away and the server starts again"
                )
            loaded = ("load", changes.loaded(bundle.policy_id, name))
            self._write(lambda: loaded, bundle.policy_id, who, why)
            self._bundles.setdefault(bundle.policy_id, bundle)
        return bundle.policy_id

    def change(
        self, action: str, policy_id: str | None, change: Change, who: str, why: str
    ) -> Lineup:
        """Change roles; decisions that begin from now on follow the new ones.

        Args:
            action: its name for the log.
            policy_id: whose role it is; None: nobody's.
            change: from the roles as they are to the new ones.
            who: asks for it.
            why: is said in the log.

        Raises:
            UnknownPolicy: it is not loaded.
            RoleError: the change does not fit the roles.
            StoreUnavailable: the store refuses; the roles stay.
        """
        self.follow()
        if policy_id is not None and policy_id not in self._bundles:
            raise UnknownPolicy(f"no policy {policy_id!r} is loaded; GET /v1/policies lists them")
        with self._changing:
            return self._write(lambda: (action, change), policy_id, who, why)

    def resume(self, who: str, why: str) -> Lineup:
        """Set the switch to where it stood before a pause; arguments and errors as of `change`."""

        def back() -> tuple[str, Change]:
            to = changes.before_pause(self._log.policy_changes())
            return f"switch to {to}", changes.switched(to)

        self.follow()
        with self._changing:
            return self._write(back, None, who, why)

    def follow(self) -> None:
        """Take up what another server of the same store has changed since.

        A server without a folder of bundles follows the switch alone. Others load what is missing
        first; decisions go on meanwhile.

        Raises:
            StoreUnavailable: the log cannot be read, or a bundle that has a role now is not to be
                found here; the switch is taken up all the same.
        """
        last = self._log.last_roles() if self._log.is_shared else None
        if last is None or last == self._lineup.roles == self._followed:
            return
        self._take_switch(last)
        with self._loading:
            self._load_named_in(last)
        self._take_last()
        self._followed = last

    def keep_up(self) -> None:
        """As `follow`, waiting for no bundle.

        What is missing is loaded beside the work; until it is, the roles stay as they are.
        """
        last = self._log.last_roles() if self._log.is_shared else None
        if last is None or last == self._lineup.roles:
            return
        self._take_switch(last)
        missing = self._folder is not None and not last.used <= self._bundles.keys()
        if missing and self._loading.acquire(blocking=False):
            threading.Thread(target=self._load_beside, args=(last,), daemon=True).start()
        if not missing or last.used & self._lost.keys():
            self._take_last()

    def _load_beside(self, last: Roles) -> None:
        try:
            self._load_named_in(last)
        except StoreUnavailable as error:  # whoever decides next asks for it again
            _log.warning("what another server loaded is not loaded here yet: %s", error)
        finally:
            self._loading.release()

    def _load_named_in(self, roles: Roles) -> None:
        """Load what roles name, and keep why it is lost where it is; no change waits for it."""
        if self._folder is None:
            return
        self._note_all()  # before a bundle is there: whoever lists it asks since when
        for name in sorted({*roles.used, *roles.folders} - self._bundles.keys()):
            why = self._missing(name, roles.folders.get(name), self._folder)
            lost = {other: told for other, told in self._lost.items() if other != name}
            self._lost = lost if why is None else {**lost, name: why}

    def _take_switch(self, last: Roles) -> None:
        with self._changing:
            last = self._log.last_roles() or last  # somebody here may have changed it meanwhile
            ours = self._lineup.roles
            self._take(changes.with_switches(last, ours))

    def _take_last(self) -> None:
        if self._folder is None:
            return
        with self._changing:
            last = self._log.last_roles() or self._lineup.roles
            for name in sorted(last.used - self._bundles.keys()):
                if (why := self._lost.get(name)) is None:
                    return  # it has a role since a moment ago: whoever follows next loads it
                raise StoreUnavailable(
                    f"this server cannot follow another one: policy {name} has a role by the "
                    f"store's log, but {why}"
                )
            self._note_all()
            self._take(last)

    def _take(self, roles: Roles) -> None:
        self._require_own(roles, StoreUnavailable)
        lineup = self._lineup_of(roles)
        with self._turn:
            self._lineup = lineup

    def _require_own(self, roles: Roles, kind: type[NurtureError]) -> None:
        """Refuse to decide where contacts are dealt by an experiment that the bundle lacks."""
        if roles.experiment not in (None, self._own):
            name = self._first.journey.name
            raise kind(
                f"journey {name}: by the store's log experiment {roles.experiment} runs, and this "
                f"server's bundle has {self._own or 'none'}; serve a bundle of that experiment, or "
                "end it there by POST /v1/experiment/end before another one is served"
            )

    def _write(
        self, make: Callable[[], tuple[str, Change]], policy_id: str | None, who: str, why: str
    ) -> Lineup:
        """Change the roles as the log has them now, whoever set them.

        Args:
            make: the change and its name, asked for while nobody else changes roles.
            policy_id: as the next two, see `change`.
        """
        old = self._lineup
        try:
            with self._log.roles_held():
                before = self._held_now()
                action, change = make()
                lineup = self._lineup_of(change(before))
                with self._turn:
                    told = PolicyChange(
                        self._clock(), who, action, policy_id, before, lineup.roles, why
                    )
                    self._log.add_policy_change(told)
                    self._lineup = lineup
        except BaseException:
            self._lineup = old
            raise
        self._note(told)
        return lineup

    def _held_now(self) -> Roles:
        """The roles of the log, as far as this server takes them up.

        Raises:
            RoleError: a policy that is not loaded here has one.
        """
        ours, last = self._lineup.roles, self._log.last_roles()
        if last is None or last == ours:
            return ours
        self._require_own(last, StoreUnavailable)
        if self._folder is None:
            return changes.with_switches(last, ours)
        if not last.used <= self._bundles.keys():
            raise RoleError("another server changed the roles meanwhile; ask again")
        return last

    def _note_all(self) -> None:
        """Note since when policies have their roles, unless more of the log is noted already."""
        told = self._log.policy_changes()
        with self._noting:
            if len(told) >= self._noted:
                self._noted = len(told)
                self._since = changes.since_when(told, self._since)

    def _note(self, told: PolicyChange) -> None:
        """Note a change of this server, which was up to date with the log."""
        with self._noting:
            self._noted += 1
            self._since = changes.since_when([told], self._since)

    def _lineup_of(self, roles: Roles) -> Lineup:
        champion = self._bundles[roles.champion]
        canary = None
        if roles.canary is not None:
            own = champion if roles.switch != "learned" else self._bundles[roles.canary]
            arm = canary_arm(roles.canary)
            canary = line_of(own, roles.switch, arm, roles.rules_in, champion)
        arms: Arms | None = None
        if roles.experiment is not None:
            trial = None if roles.canary is None else self._bundles[roles.canary]
            arms = arms_of(champion, roles, self._own or "", trial)
        shadow = None
        if roles.shadow is not None:
            shadow = Layer(roles.shadow, self._bundles[roles.shadow].policy)
        return Lineup(
            roles,
            line_of(champion, roles.switch, rules_in=roles.rules_in),
            canary,
            shadow,
            f"{self._log.seed}:{roles.canary}",
            self._first.journey.guardrails.account is not None,
            arms,
        )

    def _took_up(self) -> bool:
        """Hold the roles of the last run, as far as their bundles are there; say what is not.

        The experiment of the bundle begins with it, unless it runs already or is over.

        Returns:
            False: another server changed the roles while bundles were loaded; nothing was done.
        """
        last = self._log.last_roles()
        if last is not None:
            self._require_own(last, BundleError)
        now, why = self._found(last)
        lineup = self._lineup_of(now)
        with self._log.roles_held():
            if self._log.last_roles() != last:
                return False
            if now != last:
                about = ("start", now.champion, last, now, why)
                self._log.add_policy_change(PolicyChange(self._clock(), SERVER, *about))
            if self._own is not None and self._own not in (now.experiment, *now.ended):
                lineup = self._began(now, self._own)
        self._lineup = lineup
        return True

    def _began(self, roles: Roles, experiment: str) -> Lineup:
        """Begin the experiment of the bundle; its plan is kept with it."""
        lineup, now_us = self._lineup_of(changes.began(experiment)(roles)), self._clock()
        plan = started_plan(self._first.journey, experiment, self._log.begins_us(now_us))
        why = begun_in_words(self._first.journey, plan)
        about = (f"begin experiment {plan.name}", None, roles, lineup.roles, why)
        self._log.add_policy_change(PolicyChange(now_us, SERVER, *about), plan)
        return lineup

    def _found(self, last: Roles | None) -> tuple[Roles, str]:
        """The roles to begin with, and why they are not the last ones."""
        own = self._first.policy_id
        if last is None or self._folder is None:
            kept = last or Roles(own)
            return changes.with_switches(
                kept, Roles(own)
            ), "the server was started with this bundle alone"
        found, lost = last, list[str]()
        for name in sorted({*last.folders, *last.used} - {own}):
            why = self._missing(name, last.folders.get(name), self._folder)
            if why is not None and name == last.champion:
                raise BundleError(
                    f"policy {name} is the champion by the store's log of policies, and its bundle "
                    f"cannot be served: {why}; put it back, or start without bundles to serve {own}"
                )
            if why is not None:
                found = changes.dropped(name)(found)
                lost.append(f"policy {name} is gone: {why}")
        return found, "; ".join(lost)

    def _missing(self, name: str, folder: str | None, bundles: BundleFolder) -> str | None:
        """Why a policy of the last run cannot be served; None: it is loaded."""
        if folder is None:
            return "it was the bundle of an earlier start"
        try:
            found = bundles.load(folder, self._first)
        except (BundleError, ConfigError) as error:  # or the key that it must be signed by is gone
            return str(error)
        if found.policy_id != name:
            return f"the folder {folder} holds policy {found.policy_id} now"
        self._bundles[name] = found
        return None
