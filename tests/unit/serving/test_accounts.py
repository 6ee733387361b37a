"""Contacts of one account share caps and pauses, whoever asks at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.errors import JourneyError
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails import Reason
from nurture_envs.journey import FrequencyCap, Journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Answer, Decision
from tests.unit.envs.toy_journey import TOY, toy
from tests.unit.serving.contacts import Clock, contact, event, follow, service

MONDAY = 20_549 * DAY_US  # 2026-04-06, in UTC
CAPS = [{"max": 2, "hours": 24}, {"max": 3, "hours": 60}]
RANDOM = {"kind": "random", "weights": {"send": 0.75, "pause": 0.21, "escalate": 0.04}}
PEOPLE = [f"p{i}" for i in range(8)]


def journey(**changes: Any) -> Journey:
    """The toy journey, in which accounts alone limit mail."""
    rails = {
        **TOY["guardrails"],
        "frequency_caps": [],
        "min_gap_hours": 0,
        "quiet_hours": [],
        "escalation_needs": [],
        "availability": False,
        "account": {"caps": CAPS, "conversation": True},
        **changes,
    }
    messages = {"blue": TOY["messages"]["blue"]}
    return toy(
        clock__periods=70, actions__slots=[9, 15, "now"], actions__pauses=[1], messages=messages,
        drip={}, rules=[], guardrails=rails,
    )  # fmt: skip


def serving(
    bundle: Bundle, path: Path, clock: Clock, policy: Any = "always:send:blue@now", **changes: Any
) -> Service:
    """A server that knows eight colleagues, their account written in two ways, and a stranger."""
    own = journey(**changes)
    catalog, spec = ActionCatalog.of(own), FeatureSpec.of(own)
    made = build_policy(policy, PolicyContext(own, catalog, spec))
    parts = replace(bundle, journey=own, catalog=catalog, feature_spec=spec, policy=made)
    found = service(parts, path, clock)
    found.put_contacts(
        [
            contact(name, time_zone="UTC", account_id=("Acme", " ACME")[i % 2])
            for i, name in enumerate(PEOPLE)
        ]
    )
    found.put_contacts([contact("zoe", time_zone="UTC", account_id="other")])
    return found


def sends(answers: Sequence[Answer]) -> int:
    return sum(isinstance(a, Decision) and a.scheduled_us is not None for a in answers)


def bits(served: Service, answer: Answer, action: str = "send:blue@now") -> int:
    assert isinstance(answer, Decision)
    return answer.reasons[served.bundle.catalog.index(action)]


def test_in_a_batch_colleagues_share_a_cap(bundle: Bundle, tmp_path: Path) -> None:
    served = serving(bundle, tmp_path / "s.db", Clock(MONDAY + 10 * HOUR_US))
    found = served.decide([Ask(name) for name in [*PEOPLE, "zoe", "ada", "bob"]])
    assert [sends([answer]) for answer in found] == [1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    for answer in found[2:8]:
        assert isinstance(answer, Decision)
        assert bits(served, answer) == Reason.ACCOUNT_CAP
        assert replay(served.bundle, answer, served.seed)


def ask(served: Service, name: str, ready: threading.Barrier, given: list[int]) -> None:
    ready.wait()
    given.append(sends(served.decide([Ask(name)])))


@pytest.mark.usefixtures("either_database")
def test_requests_at_once_for_colleagues_never_overrun_a_cap(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    for number in range(5):
        served = serving(bundle, tmp_path / f"{number}.db", clock)
        given: list[int] = []
        ready = threading.Barrier(len(PEOPLE))

        threads = [
            threading.Thread(target=ask, args=(served, name, ready, given)) for name in PEOPLE
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(given) == 2
        served.store.close()


def test_a_journey_without_account_limits_knows_no_accounts(bundle: Bundle, tmp_path: Path) -> None:
    served = serving(bundle, tmp_path / "s.db", Clock(MONDAY + 10 * HOUR_US), account=None)
    assert sends(served.decide([Ask(name) for name in PEOPLE])) == 8


def test_one_in_conversation_pauses_mail_to_the_others(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    served = serving(bundle, tmp_path / "s.db", clock)
    served.append_events([event("escalated", clock.now_us, "p3")])
    one, own, other = served.decide([Ask("p0"), Ask("p3"), Ask("zoe")])
    assert bits(served, one) == Reason.ACCOUNT_CONVERSATION
    assert bits(served, own) == Reason.SALES_CONVERSATION
    assert (bits(served, other), bits(served, one, "escalate")) == (0, 0)
    clock.now_us += 2 * DAY_US  # it lasts for one bin more
    assert bits(served, served.decide([Ask("p0")])[0]) == 0


def test_a_send_that_is_taken_back_gives_its_place_to_a_colleague(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY + 8 * HOUR_US)
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:blue@09")
    assert sends(served.decide([Ask("p0", "r0"), Ask("p1", "r1"), Ask("p2")])) == 2
    (gone,) = served.append_events([event("complaint", clock.now_us, "p0")]).withdrawn
    assert gone.decision.decision_id == "r0"
    assert sends(served.decide([Ask("p3"), Ask("p4")])) == 1
    clock.now_us += 2 * HOUR_US
    (found,) = served.confirm(["r0"])
    assert found is not None
    assert (found.status, found.reason) == ("withdrawn", "opted_out")


def test_a_late_confirmation_overruns_no_cap(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY + 8 * HOUR_US)
    caps = [{"max": 1, "hours": 6}]
    served = serving(
        bundle, tmp_path / "s.db", clock, "always:send:blue@09", account={"caps": caps}
    )
    assert sends(served.decide([Ask("p0", "r0"), Ask("p1", "r1")])) == 1
    clock.now_us = MONDAY + 9 * HOUR_US + 1
    later = build_policy(
        "always:send:blue@15",
        PolicyContext(served.bundle.journey, served.bundle.catalog, served.bundle.feature_spec),
    )
    follow(served, later)
    assert sends(served.decide([Ask("p2", "r2")])) == 1  # six hours after nine
    clock.now_us += HOUR_US
    found = served.confirm(["r0", "r2"])
    assert [one.status for one in found if one] == ["withdrawn", "early"]
    assert found[0] is not None
    assert found[0].reason == "account_cap"


@pytest.mark.parametrize(
    ("asked", "expected"), [(False, ("withdrawn", "account_cap")), (True, ("send", None))]
)
def test_a_send_that_leaves_unasked_counts_at_a_colleagues_confirmation(
    bundle: Bundle, tmp_path: Path, asked: bool, expected: tuple[str, str | None]
) -> None:
    clock, path = Clock(MONDAY + 8 * HOUR_US), tmp_path / "s.db"
    account = {"caps": [{"max": 1, "hours": 6}]}
    older = serving(bundle, path, clock, "always:send:blue@15", account=None, confirm=asked)
    assert sends(older.decide([Ask("p0", "r0")])) == 1
    older.store.close()
    strict = serving(bundle, path, clock, "always:send:blue@09", account=account, confirm=True)
    assert sends(strict.decide([Ask("p1", "r1")])) == 1
    clock.now_us = MONDAY + 9 * HOUR_US + 1  # r0's hour comes in less than six hours
    (found,) = strict.confirm(["r1"])
    assert found is not None
    assert (found.status, found.reason) == expected


@pytest.mark.parametrize(
    ("account", "problem"),
    [
        ({"caps": [{"max": 0, "hours": 1}]}, "guardrails.account.caps[0].max"),
        ({"caps": [{"max": 1}]}, "guardrails.account.caps[0].hours"),
        ({"cap": []}, "guardrails.account.cap"),
        ({"conversation": 1}, "guardrails.account.conversation"),
        (7, "guardrails.account"),
    ],
)
def test_mistakes_in_account_limits_are_told_by_their_key(account: Any, problem: str) -> None:
    with pytest.raises(JourneyError) as refused:
        journey(account=account)
    assert problem in str(refused.value)


class Ledger:
    """What an account may get, worked out slowly from what was answered alone."""

    def __init__(self, caps: Sequence[FrequencyCap], confirm: bool) -> None:
        self.caps, self.confirm = caps, confirm
        self.sends: dict[str, int] = {}  # decision or event -> moment
        self.open: dict[str, int] = {}  # planned and not confirmed -> its hour
        self.called: dict[str, int] = {}  # contact -> day

    def lapse(self, now_us: int) -> None:
        """Forget what had to be confirmed and was not."""
        for name, at_us in list(self.open.items()):
            if self.confirm and now_us >= at_us + HOUR_US:
                del self.open[name], self.sends[name]

    def full(self, at_us: int, apart: str = "", now_us: int | None = None) -> bool:
        """Whether one more send at a moment would be one too many in some window."""
        times = [at_us]
        for name, moment in self.sends.items():
            waits = now_us is not None and self.confirm and name in self.open and moment > now_us
            times += [] if waits or name == apart else [moment]
        for cap in self.caps:
            span = cap.hours * HOUR_US
            for start in times:
                inside = sum(start <= moment < start + span for moment in times)
                if start <= at_us < start + span and inside > cap.maximum:
                    return True
        return False

    def talks(self, day: int, apart: str) -> bool:
        """Whether anybody but one contact is in conversation."""
        return any(day - since <= 1 for name, since in self.called.items() if name != apart)


class Story:
    """Random decisions, confirmations and events, each held against the ledgers."""

    def __init__(self, served: Service, clock: Clock, confirm: bool, seed: int) -> None:
        self.served, self.clock, self.rng = served, clock, np.random.default_rng(seed)
        limits = served.bundle.journey.guardrails.account
        assert limits is not None
        ledgers = [Ledger(limits.caps, confirm) for _ in range(6)]
        self.people = {f"a{i % 6}-{i}": ledgers[i % 6] for i in range(30)}
        served.put_contacts(
            [contact(name, time_zone="UTC", account_id=name.split("-")[0]) for name in self.people]
        )
        self.owner: dict[str, str] = {}
        self.decided, self.blocked, self.confirmed = 0, 0, 0

    def play(self, days: int) -> None:
        for day in range(days):
            waiting = list(self.rng.permutation(list(self.people)))
            for hour in np.sort(self.rng.uniform(0.0, 23.9, 5)):
                self.clock.now_us = MONDAY + day * DAY_US + int(hour * HOUR_US)
                for ledger in self.people.values():
                    ledger.lapse(self.clock.now_us)
                self.decide([waiting.pop() for _ in range(min(6, len(waiting)))])
                self.confirm()
                self.report()

    def decide(self, names: list[str]) -> None:
        now_us, catalog = self.clock.now_us, self.served.bundle.catalog
        day = now_us // DAY_US
        asks = [Ask(name, f"{name}.{now_us}") for name in names]  # the same luck in every run
        for name, answer in zip(names, self.served.decide(asks), strict=True):
            assert isinstance(answer, Decision)
            ledger = self.people[name]
            for place, action in enumerate(catalog.actions):
                if action.routing != "send":
                    continue
                at_us = now_us if action.slot < 0 else day * DAY_US + action.slot * HOUR_US
                expected = Reason.ACCOUNT_CAP * ledger.full(at_us)
                expected |= Reason.ACCOUNT_CONVERSATION * ledger.talks(day, name)
                expected |= Reason.SALES_CONVERSATION * (day - ledger.called.get(name, -9) <= 1)
                expected |= Reason.SLOT_PASSED * (at_us < now_us)
                found = answer.reasons[place]
                if at_us < now_us:  # perhaps before a send of their own as well
                    found &= ~Reason.MINIMUM_GAP
                assert found == expected, (name, action.id)
                self.blocked += ledger.full(at_us)
            self.decided += 1
            self.owner[answer.decision_id] = name
            if answer.scheduled_us is not None:
                ledger.sends[answer.decision_id] = answer.scheduled_us
                ledger.open[answer.decision_id] = answer.scheduled_us
            elif answer.action == "escalate":
                ledger.called[name] = day

    def confirm(self) -> None:
        now_us = self.clock.now_us
        day = now_us // DAY_US
        ids = [n for ledger in dict.fromkeys(self.people.values()) for n in ledger.open]
        ids = [n for n in ids if self.rng.random() < 0.5]
        if not ids:
            return
        found = self.served.confirm(ids)
        for name in self.served.store.decisions(ids):  # in the order in which they were decided
            answer, who = found[ids.index(name)], self.owner[name]
            ledger = self.people[who]
            assert answer is not None
            hour = ledger.open[name]
            talks = ledger.talks(day, "nobody")
            if hour > now_us:
                assert answer.status == "early"
            elif talks or day > hour // DAY_US or ledger.full(now_us, name, now_us):
                assert answer.status == "withdrawn"
                del ledger.open[name], ledger.sends[name]
            else:
                assert answer.status == "send", answer.reason
                self.confirmed += 1
                del ledger.open[name]
                ledger.sends[name] = now_us

    def report(self) -> None:
        now_us, name = self.clock.now_us, str(self.rng.choice(list(self.people)))
        if self.rng.random() < 0.15:  # mail of another system
            told = event("sent", now_us, name, message_id="newsletter")
            self.served.append_events([told])
            self.people[name].sends[told.event_id] = now_us
        if self.rng.random() < 0.1:
            self.served.append_events([event("escalated", now_us, name)])
            ledger = self.people[name]
            ledger.called[name] = now_us // DAY_US
            for planned, hour in list(ledger.open.items()):
                waits = now_us < hour + (HOUR_US if ledger.confirm else 0)
                if self.owner[planned] == name and waits:
                    del ledger.open[planned], ledger.sends[planned]


@pytest.mark.slow
@pytest.mark.parametrize("confirm", [False, True])
def test_hundreds_of_random_decisions_are_as_an_independent_reading_says(
    bundle: Bundle, tmp_path: Path, confirm: bool
) -> None:
    clock = Clock(MONDAY)
    served = serving(bundle, tmp_path / "s.db", clock, RANDOM, confirm=confirm)
    story = Story(served, clock, confirm, seed=3 + confirm)
    story.play(20)
    assert story.decided == 600
    assert story.blocked > 300
    assert story.confirmed > 30
