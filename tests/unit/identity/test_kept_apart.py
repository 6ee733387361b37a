"""What is not the same person stays two, whichever keys and links join them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nurture_rl.errors import LogError
from nurture_rl.identity.kept_apart import SetAsideKey, accepted_links, resolve_apart
from nurture_rl.identity.likely_links import LikelyLink
from nurture_rl.identity.must_not_differ import GivenValues
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


def gives(alike: tuple[tuple[str, str], ...] = (), **names: str) -> GivenValues:
    """One column; several values of a contact are divided by `/`, a contact may give none."""
    of = {
        contact: (frozenset(value for value in text.split("/") if value),)
        for contact, text in names.items()
    }
    return GivenValues(of, frozenset((0, one, other) for one, other in alike))


def test_a_chain_does_not_join_two_whose_names_differ() -> None:
    links = [link("a", "x", 0.999), link("b", "x", 0.99)]
    twins = gives(a="ada", b="bea", x="")
    assert accepted_links(links, [], twins) == (links[:1], links[1:])
    nearly = gives(a="ada", b="adah", x="", alike=(("ada", "adah"),))
    assert accepted_links(links, [], nearly) == (links, [])
    assert accepted_links(links, [], gives(a="ada", b="", x="bea"))[0] == links[1:]
    both_names = gives(a="ada", x="ada/bea", b="bea")
    assert accepted_links(links, [], both_names) == (links[:1], links[1:])


@pytest.mark.parametrize("seed", range(30))
def test_no_two_of_one_group_differ_and_no_refused_link_could_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = [f"p{i}" for i in range(12)]
    names = {one: rng.choice(["", "ada", "bea", "cleo", "ada/adah"]) for one in people}
    given = gives(**names, alike=(("ada", "adah"),))
    pairs = rng.permutation([(a, b) for a in people for b in people if a < b])[:25]
    links = [link(a, b, 0.99 - 0.001 * i) for i, (a, b) in enumerate(pairs)]
    taken, refused = accepted_links(links, [], given)
    assert sorted(taken + refused, key=links.index) == links

    def differ(one: str, other: str) -> bool:
        left, right = set(names[one].split("/")), set(names[other].split("/"))
        return "" not in left | right and not left & right

    def group(of: str, among: list[LikelyLink]) -> set[str]:
        found: set[str] = {of}
        for _ in people:
            found |= {
                x for one in among if {one.left, one.right} & found for x in (one.left, one.right)
            }
        return found

    for one in people:
        assert not any(differ(one, other) for other in group(one, taken))
    for gone in refused:
        before = [some for some in taken if links.index(some) < links.index(gone)]
        left, right = group(gone.left, before), group(gone.right, before)
        assert any(differ(a, b) for a in left for b in right)
