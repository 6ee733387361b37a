"""What is not the same person stays two, whichever keys and links join them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nurture_rl.errors import LogError
from nurture_rl.identity.kept_apart import SetAsideKey, accepted_links, resolve_apart
from nurture_rl.identity.likely_links import LikelyLink
from nurture_rl.identity.resolve import (
    FROM_THE_START,
    KeyedRecords,
    KeyLinks,
    resolve_identities,
)
from tests.unit.identity.test_identity_resolve import contact_of, linked_at, records


def given(*pairs: tuple[str, str, int], followers: tuple[str, ...] = ()) -> KeyLinks:
    return KeyLinks(
        pa.array([one for one, _, _ in pairs], pa.string()),
        pa.array([other for _, other, _ in pairs], pa.string()),
        np.array([moment for _, _, moment in pairs], np.int64),
        pa.array(followers, pa.string()),
    )


def link(left: str, right: str, probability: float) -> LikelyLink:
    return LikelyLink(left, right, probability, (), 0)


COLLEAGUES = records(
    (["id:anna", "email:info@x"], 1), (["id:ben", "email:info@x"], 2), (["id:ben", "cookie:1"], 3)
)


def test_a_key_of_two_who_are_not_the_same_names_nobody() -> None:
    found, aside = resolve_apart(COLLEAGUES, 50, [("id:anna", "id:ben")])
    assert contact_of(found) == {
        "id:anna": "anna",
        "id:ben": "ben",
        "cookie:1": "ben",
        "email:info@x": None,
    }
    assert aside == (SetAsideKey("email:info@x", ("id:anna", "id:ben")),)
    assert set(contact_of(resolve_identities(COLLEAGUES)).values()) == {"anna"}


def test_of_a_chain_of_keys_the_one_that_most_are_seen_with_gives_way() -> None:
    chain = records(
        (["id:anna", "cookie:1"], 9),
        (["cookie:1", "email:info@x"], 2),
        (["id:ben", "email:info@x"], 3),
        (["id:cleo", "email:info@x"], 4),
    )
    found, aside = resolve_apart(chain, 50, [("id:anna", "id:ben")])
    assert [one.key for one in aside] == ["email:info@x"]
    assert contact_of(found)["cookie:1"] == "anna"
    assert contact_of(found)["id:cleo"] == "cleo"


def test_of_keys_that_as_many_are_seen_with_the_one_linked_last_gives_way() -> None:
    for first, last in (("cookie:1", "cookie:2"), ("cookie:2", "cookie:1")):
        chain = records(
            (["id:anna", first], FROM_THE_START), ([first, last], 5), ([last, "id:ben"], 9)
        )
        _, aside = resolve_apart(chain, 50, [("id:anna", "id:ben")])
        assert [one.key for one in aside] == [last]


def test_a_key_may_be_said_not_to_be_a_contacts() -> None:
    found, aside = resolve_apart(COLLEAGUES, 50, [("id:ben", "cookie:1")])
    assert [one.key for one in aside] == ["cookie:1"]
    assert contact_of(found)["email:info@x"] == "anna"


def test_rows_that_name_two_as_one_are_told() -> None:
    rows = records((["id:anna", "id:ben"], 1))
    with pytest.raises(LogError, match="anna and ben are not the same, but rows"):
        resolve_apart(rows, 50, [("id:anna", "id:ben")])


def test_a_given_link_joins_from_its_time_on_and_the_older_record_keeps_its_name() -> None:
    rows: KeyedRecords = records((["id:zoe", "cookie:9"], 1), (["id:bea", "cookie:2"], 5))
    found = resolve_identities(rows, also=given(("id:zoe", "id:bea", 30), followers=("id:bea",)))
    assert set(contact_of(found).values()) == {"zoe"}
    assert linked_at(found)["cookie:2"] == 30
    assert linked_at(found)["cookie:9"] == 1


def test_given_links_do_not_make_a_key_a_shared_one() -> None:
    rows = records(*(([f"email:{i}"], 1) for i in range(4)))
    links = given(*(("email:0", f"email:{i}", 2) for i in range(1, 4)))
    found = resolve_identities(rows, max_degree=2, also=links)
    assert not found.shared.any()
    assert len(set(contact_of(found).values())) == 1


def test_the_weakest_link_between_two_who_are_not_the_same_gives_way() -> None:
    links = [link("a", "x", 0.999), link("x", "y", 0.99), link("b", "y", 0.97)]
    taken, refused = accepted_links(links, [("a", "b")])
    assert taken == links[:2]
    assert refused == links[2:]
    assert accepted_links(links, []) == (links, [])


def test_a_link_between_people_who_are_one_already_is_kept_as_evidence() -> None:
    links = [link("a", "x", 0.999), link("b", "x", 0.99), link("a", "b", 0.97)]
    assert accepted_links(links, [("a", "stranger")]) == (links, [])
