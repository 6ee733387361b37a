"""Decisions agree with an independent reading, both ways; a server that breaks a rule is caught.

The long game: `python tools/hold_guardrails.py --decisions 10000000`, and with `--http 1000000`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.guardrails import Reason, legal_actions
from nurture_rl.serving.contacts.accounts import against_account
from nurture_rl.serving.deciding import array_pass, decide
from nurture_rl.serving.records import Planned
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.signed_webhooks import signing_key
from tools.holding.common_limits import Crowd, journey
from tools.holding.in_process import Held, bundle_for, hold, journeys
from tools.holding.limits_kept import overrun
from tools.holding.person import Person
from tools.holding.record import Record
from tools.holding.whole_game import played

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of some bundle."""
    path = tmp_path_factory.mktemp("any") / "bundle"
    small_bundle(path)
    return path


def held(folder: Path, name: str, contacts: int) -> Held:
    found = Held()
    hold(bundle_for(journeys()[name], folder), contacts, [3, contacts], found)
    return found


@pytest.mark.parametrize("name", ["accounts", "repeats", "waiting", "inbound_lead"])
def test_decisions_for_random_contacts_agree_with_the_oracle(folder: Path, name: str) -> None:
    found = held(folder, name, 2000)
    assert found.parted == []
    assert found.counts["decisions"] > 1500
    assert found.counts["sends"] > 15
    assert 0.1 < found.counts["legal"] / found.counts["actions"] < 0.9


def without(reason: Reason) -> Callable[[Any], Any]:
    """A rule that was forgotten."""

    def forgetful(*given: Any) -> Any:
        reasons = legal_actions(*given)[1] & ~int(reason)
        return reasons == 0, reasons

    return forgetful


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (Reason.FREQUENCY_CAP, "repeats"),
        (Reason.MESSAGE_CAP, "repeats"),
        (Reason.NOT_WANTED, "accounts"),
        (Reason.WANTED_LESS, "accounts"),
        (Reason.INACTIVE, "accounts"),
        (Reason.JOB_CAP, "waiting"),
        (Reason.CLAIM_CAP, "waiting"),
        (Reason.BLOCK_CAP, "waiting"),
        (Reason.UNANSWERED, "waiting"),
        (Reason.COOL_OFF, "waiting"),
    ],
)
def test_a_forgotten_rule_is_noticed(
    folder: Path, reason: Reason, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_pass, "legal_actions", without(reason))
    assert "expected legal False" in held(folder, name, 3000).parted[0]


def test_a_record_goes_on_where_it_ended_and_sums_up(tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    record = Record(path, "in process", 3, "abc")
    record.add(0, 20, {"decisions": 7}, 0)
    record.add(20, 25, {"decisions": 2, "sends": 1}, 1)
    assert Record(path, "in process", 3, "abc").played() == 25
    assert Record(path, "in process", 4, "abc").played() == 0
    assert Record(path, "over HTTP", 3, "abc").total() == {}
    found = Record(path, "in process", 4, "def").total()
    assert found == {"decisions": 9, "sends": 1, "parted": 1}


def test_mail_that_is_withheld_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_careful(*given: Any) -> Any:
        reasons = against_account(*given)
        reasons[::7, 0] |= int(Reason.ACCOUNT_CAP)
        return reasons

    monkeypatch.setattr(decide, "against_account", too_careful)
    assert "expected legal True" in held(folder, "accounts", 2000).parted[0]


def test_a_limit_that_is_overrun_by_one_is_noticed() -> None:
    own, at_us = journey(), 1_775_552_400_000_000
    crowd = Crowd([], 1, 1, signing_key())
    for i in range(4):
        one = Person(f"p-{i}", "acme", "UTC")
        one.made.append((f"d-{i}", at_us + i * HOUR_US, "red"))
        crowd.people.append(one)
    assert overrun(own, crowd) == ["acme got 4 mails in 60 hours"]
    crowd.people[0].freed.add("d-0")
    assert overrun(own, crowd) == []
    crowd.people[1].made.append(("d-9", at_us + 5 * HOUR_US, "red"))
    crowd.people[0].account = crowd.people[1].account = None
    assert "p-1 got 2 mails in 60" in overrun(own, crowd)[0]
    crowd.people.clear()
    crowd.contested += [("c", "pause:1", 3, None)] * 2
    assert overrun(own, crowd) == ["c has 2 decisions in bin 3"]
    crowd.contested.clear()
    crowd.blocked.append(("account_cap", "acme", at_us))
    assert "without a cause" in overrun(own, crowd)[0]
    crowd.blocked.clear()
    crowd.calls += [at_us + i for i in range(31)]
    assert overrun(own, crowd) == ["31 escalations in a day, 30 are taken"]


def test_a_send_counts_unless_it_was_taken_back_before_its_hour() -> None:
    one = Person("p", None, "UTC")
    for name in ("early", "late"):
        one.sends[name] = Planned(name, 5 * HOUR_US, "red")
    one.taken_back("early", 4 * HOUR_US)
    one.taken_back("late", 6 * HOUR_US)
    one.taken_back("late", 4 * HOUR_US)  # the clock was set back: the first word counts
    assert (set(one.sends), one.freed) == ({"late"}, {"early"})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_servers_and_many_clients_agree_with_the_oracle(tmp_path: Path) -> None:
    assert played(tmp_path / "bundle", 300, clients=8, workers=2, seed=[1]).parted == []
