"""The catalogue: which actions there are, in which order, and what they are made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.errors import ActionError
from nurture_envs.journey_file import load_journey
from tests.unit.envs.toy_journey import toy

TOY_IDS = (
    "send:red@09",
    "send:red@now",
    "send:blue@09",
    "send:blue@now",
    "pause:1",
    "pause:3",
    "escalate",
    "exit",
)


def catalog(**changes: Any) -> ActionCatalog:
    return ActionCatalog.of(toy(**changes))


def test_actions_come_as_sends_by_message_and_slot_then_pauses_then_escalate_and_exit() -> None:
    assert catalog().ids == TOY_IDS
    assert len(catalog()) == 8


def test_escalate_and_exit_are_there_only_when_the_journey_has_them() -> None:
    ids = catalog(actions={"slots": ["now"], "pauses": [1]}, drip={}, rules=[], expert=[]).ids
    assert ids == ("send:red@now", "send:blue@now", "pause:1")


def test_positions_and_ids_belong_together() -> None:
    found = catalog()
    assert found.indices(TOY_IDS).tolist() == list(range(8))
    assert found.indices([]).tolist() == []
    assert (found.index("exit"), found.wait) == (7, 4)


def test_an_unknown_id_is_refused_with_what_is_known() -> None:
    with pytest.raises(ActionError, match=r"this catalogue's 8 actions \(send:red@09, .*'send:x'"):
        catalog().index("send:x")
    with pytest.raises(ActionError, match="'exti'"):
        catalog().indices(["exit", "exti"])


def test_each_action_has_one_routing_its_hour_and_its_length() -> None:
    found = catalog()
    routed = np.stack([found.routed(r) for r in ("send", "pause", "escalate", "exit")])
    assert routed.argmax(axis=0).tolist() == [0, 0, 0, 0, 1, 1, 2, 3]
    assert (routed.sum(axis=0) == 1).all()
    assert found.slots.tolist() == [9, NOW, 9, NOW, NOW, NOW, NOW, NOW]
    assert found.pause_bins.tolist() == [0, 0, 0, 0, 1, 3, 0, 0]


def test_only_sends_of_unapproved_messages_are_unapproved() -> None:
    drafted = catalog(messages__blue__approval="withdrawn")
    assert drafted.approved.tolist() == [True, True, False, False, True, True, True, True]
    assert not ActionCatalog.of(toy(messages__red={"job": "activate"})).approved[0]


def test_a_message_expires_on_its_day_and_everything_else_never() -> None:
    days = (date(2026, 4, 10) - date(1970, 1, 1)).days
    assert catalog().expiry.tolist() == [days, days] + [np.iinfo(np.int64).max] * 6


@pytest.mark.parametrize(
    "changes",
    [
        {"messages__red__job": "qualify"},
        {"messages__red__topic": "blue"},
        {"messages__red__proof": "number"},
        {"messages__red__offer": "tour"},
        {"messages__red__call_to_action": "read"},
        {"messages__red__channel": "push"},
        {"actions__slots": [10, "now"]},
        {"actions__slots": ["now", 9]},
        {"actions__pauses": [1, 2, 3]},
        {"actions__exit": False},
    ],
)
def test_the_hash_changes_with_ids_order_and_factors(changes: dict[str, Any]) -> None:
    assert (
        catalog(**changes, drip={}, rules=[], expert=[]).hash
        != catalog(drip={}, rules=[], expert=[]).hash
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"messages__red__expires": "2027-01-01"},
        {"messages__red__approval": "withdrawn"},
        {"messages__red__blocks": ["intro"]},
        {"title": "Another"},
    ],
)
def test_the_hash_does_not_change_with_what_leaves_the_actions_alone(
    changes: dict[str, Any],
) -> None:
    assert catalog(**changes).hash == catalog().hash


def factor_names(found: ActionCatalog) -> list[str]:
    """Factor and level of each factor column: the first of those that mark the same actions."""
    names: dict[tuple[bool, ...], str] = {}
    for factor, levels in found.levels.items():
        for level, marks in levels.items():
            names.setdefault(marks, f"{factor}={level}")
    return list(names.values())


def test_factor_columns_mark_each_level_once() -> None:
    found = catalog()
    columns = {n: found.factors[:, i].tolist() for i, n in enumerate(factor_names(found))}
    assert columns["routing=send"] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert columns["routing=pause:3"] == [0, 0, 0, 0, 0, 1, 0, 0]
    assert columns["message=red"] == [1, 1, 0, 0, 0, 0, 0, 0]
    # topic and job mark the same actions as the message: only the first of them stands
    assert not any(name.startswith(("topic=", "job=")) for name in columns)
    # the only slot that is an hour does not vary among hours
    assert not any(name.startswith("slot=") for name in columns)
    assert len({tuple(marks) for marks in columns.values()}) == len(columns)


def test_what_a_mail_asks_for_is_a_factor_where_other_factors_do_not_say_it() -> None:
    found = ActionCatalog.of(load_journey("inbound_lead"))
    asked = [name for name in factor_names(found) if name.startswith("call_to_action=")]
    assert asked == ["call_to_action=read"]  # of two mails; the others ask for what no other does
    read = found.factors[:, factor_names(found).index("call_to_action=read")]
    marked = {found.ids[i].partition("@")[0] for i in np.flatnonzero(read)}
    assert marked == {"send:security_brief", "send:integration_story"}


def test_factors_of_the_shipped_journey_share_a_topic_between_messages() -> None:
    found = ActionCatalog.of(load_journey("inbound_lead"))
    product = found.factors[:, factor_names(found).index("topic=product")]
    marked = [id_ for id_, mark in zip(found.ids, product, strict=True) if mark]
    assert marked == [
        "send:welcome@09",
        "send:welcome@15",
        "send:book_a_call@09",
        "send:book_a_call@15",
    ]
    late = found.factors[:, factor_names(found).index("slot=15")]
    np.testing.assert_array_equal(late, found.slots == 15)


def test_an_action_adds_its_own_signals_by_topic() -> None:
    journey = toy()
    effects = ActionCatalog.of(journey).effects(journey)
    red, blue, called = (journey.channel_index(n) for n in ("sent_red", "sent_blue", "called"))
    assert effects[:, red].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert effects[:, blue].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert effects[:, called].tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
    assert effects.sum() == 5


def test_a_sent_signal_without_a_topic_counts_every_send() -> None:
    journey = toy()
    plain = replace(journey.signals[0], name="sent_any", topic=None)
    journey = replace(journey, signals=(plain, *journey.signals[1:]))
    effects = ActionCatalog.of(journey).effects(journey)
    assert effects[:, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
