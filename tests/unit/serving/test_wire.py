"""Contacts and asks as they come over the wire: which are taken, which are refused and where."""

from __future__ import annotations

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.http.wire import (
    AskIn,
    ContactIn,
    ContactsIn,
    DecisionsIn,
    RequestError,
    asks_of,
    contacts_of,
    iso,
)
from nurture_rl.serving.records import Contact


def test_a_contact_is_taken_as_it_is_said() -> None:
    said = ContactIn("ada", "acme", "Asia/Tokyo", 0.5, True, {"size": 3})
    assert contacts_of(ContactsIn([said])) == [
        Contact("ada", "acme", "Asia/Tokyo", 0.5, True, {"size": 3})
    ]


def test_a_zone_is_certain_unless_said_otherwise_and_no_zone_is_not() -> None:
    found = contacts_of(
        ContactsIn(
            [
                ContactIn("a", time_zone="Asia/Tokyo"),
                ContactIn("b"),
                ContactIn("c", time_zone="Asia/Tokyo", zone_confidence=0.0),
            ]
        )
    )
    assert [(one.zone_confidence, one.consent) for one in found] == [
        (1.0, False),
        (0.0, False),
        (0.0, False),
    ]


@pytest.mark.parametrize(
    ("contact", "said"),
    [
        (ContactIn(" "), r"1 to 200 characters.*at `\$.contacts\[1\].contact_id`"),
        (ContactIn("x" * 201), r"1 to 200 characters.*at `\$.contacts\[1\].contact_id`"),
        (ContactIn("b", time_zone="Mars"), r"got 'Mars'.*at `\$.contacts\[1\].time_zone`"),
        (
            ContactIn("b", attributes={"note": "x" * 20_000}),
            r"16384 bytes.*at `\$.contacts\[1\].attributes`",
        ),
        (ContactIn(" ADA"), r"got 'ada' and ' ADA'.*at `\$.contacts\[1\].contact_id`"),
    ],
)
def test_one_contact_that_cannot_be_taken_is_named_by_its_place(
    contact: ContactIn, said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        contacts_of(ContactsIn([ContactIn("ada"), contact]))


def test_a_contact_may_be_said_twice_in_one_spelling() -> None:
    assert len(contacts_of(ContactsIn([ContactIn("ada"), ContactIn("ada")]))) == 2


def test_asks_name_a_contact_and_may_name_themselves() -> None:
    asked = DecisionsIn([AskIn("ada", "r1", True), AskIn("bob")])
    assert asks_of(asked) == [Ask("ada", "r1", True), Ask("bob", None, None)]


@pytest.mark.parametrize(
    ("ask", "key"), [(AskIn(" "), "contact_id"), (AskIn("bob", "\x00"), "request_id")]
)
def test_an_ask_whose_ids_cannot_be_seen_is_named_by_its_place(ask: AskIn, key: str) -> None:
    with pytest.raises(RequestError, match=rf"at `\$.contacts\[1\].{key}`"):
        asks_of(DecisionsIn([AskIn("ada"), ask]))


def test_an_ask_cannot_take_the_name_of_a_path() -> None:
    with pytest.raises(RequestError, match=r"got 'confirm'.*at `\$.contacts\[0\].request_id`"):
        asks_of(DecisionsIn([AskIn("ada", "confirm")]))
    assert asks_of(DecisionsIn([AskIn("confirm", "Confirm")])) == [Ask("confirm", "Confirm")]


def test_moments_are_written_in_utc() -> None:
    assert iso(DAY_US + 1) == "1970-01-02T00:00:00.000001Z"
    assert iso(None) is None


@pytest.mark.parametrize("name", ["confirm", "explain", "r-1/explain", "2027/03/01/confirm"])
def test_an_id_that_would_lead_to_another_path_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"a path.*at `\$.contacts\[1\].request_id`"):
        asks_of(DecisionsIn([AskIn("a", "confirm-1"), AskIn("b", name)]))
