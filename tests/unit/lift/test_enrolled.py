"""Who is in an experiment, in which arm, and what counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.errors import LogError
from nurture_rl.lift.enrolled import enrolled
from tests.unit.lift.small_programme import BEGIN, contact, decision, event, log, plan

JOURNEY = load_journey("inbound_lead")
BOOKED = JOURNEY.channel_index("meeting_booked")


def test_outcomes_count_within_the_window_whatever_the_policy_did() -> None:
    """Also after an exit, which is what every decision here says."""
    tables = log(
        [contact("a"), contact("b")],
        [decision("a", "policy"), decision("b", "usual")],
        [
            event("a", "meeting_booked", 13.9),
            event("a", "meeting_booked", 14.1),  # after the window
            event("b", "meeting_booked", -0.1),  # before the contact was dealt
            event("b", "meeting_booked", 3.0),
        ],
    )
    people, _ = enrolled(tables, plan(), JOURNEY)
    assert people.contact_ids.tolist() == ["a", "b"]
    assert people.amounts[:, BOOKED].tolist() == [1.0, 1.0]
    assert people.arm.tolist() == [0, 1]


def test_a_contact_stays_in_the_arm_of_its_first_decision() -> None:
    tables = log(
        [contact("a"), contact("b")],
        [decision("a", "policy"), decision("a", "usual", 3, 1), decision("b", "usual")],
        [],
    )
    people, notes = enrolled(tables, plan(), JOURNEY)
    assert people.arm.tolist() == [0, 1]
    assert notes.crossed == 1


def test_arms_of_no_plan_and_earlier_contacts_are_left_out() -> None:
    tables = log(
        [contact(name) for name in "abcd"],
        [
            decision("a", "policy"),
            decision("b", "usual"),
            decision("c", "canary"),
            decision("d", "usual", -2),  # before the experiment; its later decision changes nothing
            decision("d", "usual", 2, 4),
        ],
        [],
    )
    people, notes = enrolled(tables, plan(), JOURNEY)
    assert people.contact_ids.tolist() == ["a", "b"]
    assert notes.other_arms == 1


def test_a_servers_plan_counts_whom_its_experiment_dealt_and_nobody_else() -> None:
    """Also where the clock was set back, the experiment ended, or another one began."""
    dealt: dict[str, list[str | None]] = {
        "a": ["X"],
        "b": ["X", None],
        "c": [None],
        "d": ["Y"],
        "e": [None, "X"],
        "f": ["X"],
    }
    lives = [
        decision(name, "usual" if step == 0 else "policy", -3 if name == "f" else step, step)
        for name, said in dealt.items()
        for step in range(len(said))
    ]
    tables = log([contact(name) for name in dealt], lives, [])
    said = pa.array([one for some in dealt.values() for one in some], pa.string())
    named = replace(tables, decisions=tables.decisions.append_column("experiment", said))
    people, notes = enrolled(named, plan(dealt_by="X"), JOURNEY)
    assert sorted(people.contact_ids.tolist()) == ["a", "b", "f"]
    assert (notes.not_dealt, notes.crossed) == (3, 0)
    everybody, notes = enrolled(named, plan(), JOURNEY)
    assert sorted(everybody.contact_ids.tolist()) == ["a", "b", "c", "d", "e"]
    assert (notes.not_dealt, notes.crossed) == (0, 2)
    with pytest.raises(LogError, match="experiment X dealt, with the column `experiment`"):
        enrolled(tables, plan(dealt_by="X"), JOURNEY)


def test_colleagues_in_another_arm_than_their_account_stay_there_as_a_unit_of_their_own() -> None:
    tables = log(
        [*(contact(name, "acme") for name in "abde"), contact("c")],
        [
            *(decision("a", "policy"), decision("b", "usual", 1), decision("c", "usual")),
            *(decision("d", "policy", 2), decision("e", "usual", 3)),
        ],
        [],
    )
    people, notes = enrolled(tables, plan(unit="account"), JOURNEY)
    arm = dict(zip(people.contact_ids.tolist(), people.arm.tolist(), strict=True))
    unit = dict(zip(people.contact_ids.tolist(), people.unit.tolist(), strict=True))
    assert arm == {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
    assert unit["a"] == unit["d"]
    assert unit["b"] == unit["e"]
    assert len({unit["a"], unit["b"], unit["c"]}) == 3
    assert set(unit.values()) == {0, 1, 2}
    assert notes.torn_accounts == 1


def test_whose_days_are_not_over_is_not_followed_up() -> None:
    """Window of 14 days, and meetings may be known 4 days late."""
    tables = log(
        [contact("a"), contact("b")],
        [decision("a", "policy", 0), decision("b", "usual", 1)],
        [],
        end=datetime(2026, 4, 24, 9, tzinfo=UTC),
    )
    people, _ = enrolled(tables, plan(), JOURNEY)
    assert people.followed.tolist() == [True, False]


def test_what_is_recorded_later_is_not_known_yet() -> None:
    tables = log(
        [contact("a"), contact("b")],
        [decision("a", "policy"), decision("b", "usual")],
        [event("a", "meeting_booked", 5.0, late=60.0), event("b", "meeting_booked", 5.0)],
        end=datetime(2026, 5, 6, tzinfo=UTC),
    )
    people, _ = enrolled(tables, plan(), JOURNEY)
    assert people.amounts[:, BOOKED].tolist() == [0.0, 1.0]


def test_days_are_those_that_pass_whatever_clocks_show() -> None:
    """Clocks go back between the decision and the answer twenty minutes later."""
    begun = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)  # 02:50 in Berlin; the answer is at 02:10
    day = (begun - BEGIN) / timedelta(days=1)
    tables = log(
        [contact("a", zone="Europe/Berlin")],
        [decision("a", "policy", day)],
        [event("a", "meeting_booked", day + 20 / 1440)],
        end=begun + timedelta(days=60),
    )
    people, _ = enrolled(tables, plan(), JOURNEY)
    assert people.amounts[:, BOOKED].tolist() == [1.0]


def test_days_to_a_signal_are_cut_where_knowledge_ends() -> None:
    """Stages may be known 4 days late: who was enrolled 20 days ago is watched for 16."""
    tables = log(
        [contact(name) for name in "abc"],
        [decision("a", "policy"), decision("b", "usual"), decision("c", "usual", 10)],
        [
            event("a", "stage_changed", 6.5, stage="mql"),
            event("a", "stage_changed", 9.0, stage="mql"),
            event("c", "stage_changed", 25.0, stage="mql"),  # 15 days: after what is known for sure
        ],
        end=datetime(2026, 4, 26, 9, tzinfo=UTC),
    )
    people, _ = enrolled(tables, plan(), JOURNEY)
    assert people.stage is not None
    assert people.stage.days.tolist() == [6, 16, 6]
    assert people.stage.reached.tolist() == [True, False, False]


def test_features_of_the_first_decision_are_what_was_known() -> None:
    tables = log(
        [contact(name) for name in "abc"],
        [
            decision("a", "policy"),
            decision("a", "policy", 1, 1),
            decision("b", "usual"),
            decision("c", "usual"),
        ],
        [],
        features={"a.0": [1.0, 2.0], "a.1": [9.0, 9.0], "b.0": [3.0, 4.0]},
    )
    people, _ = enrolled(tables, plan(), JOURNEY)
    assert people.known.tolist() == [[1.0, 2.0], [3.0, 4.0], [2.0, 3.0]]  # c: the others' means
    assert np.isfinite(people.known).all()


def test_a_log_without_the_arms_says_which_it_has() -> None:
    tables = log([contact("a")], [decision("a", "canary")], [])
    with pytest.raises(LogError, match=r"arms policy, usual since 2026-04-06.*\['canary'\]"):
        enrolled(tables, plan(), JOURNEY)


def test_a_canary_is_part_of_the_policys_arm_unless_the_plan_names_it() -> None:
    tables = log(
        [contact(name) for name in "abc"],
        [
            decision("a", "policy"),
            decision("b", "canary:new"),
            decision("b", "policy", 3, 1),  # it was rolled back: nobody crossed over
            decision("c", "usual"),
        ],
        [],
    )
    people, notes = enrolled(tables, plan(), JOURNEY)
    assert people.arm.tolist() == [0, 0, 1]
    assert (notes.other_arms, notes.crossed) == (0, 0)
    shares = {"policy": 0.4, "canary:new": 0.2, "usual": 0.4}
    people, notes = enrolled(tables, plan(shares=shares), JOURNEY)
    assert people.arm.tolist() == [0, 1, 2]
    assert notes.crossed == 1
