"""What is not the same person stays two, whichever keys and links join them."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest

from nurture_rl.errors import LogError
from nurture_rl.identity.agreement_levels import Differences
from nurture_rl.identity.kept_apart import (
    Apart,
    RefusedLink,
    SetAsideKey,
    Values,
    WhyApart,
    accepted_links,
    resolve_apart,
)
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
    found, aside = resolve_apart(COLLEAGUES, 50, Apart([("id:anna", "id:ben")]))
    assert contact_of(found) == {
        "id:anna": "anna",
        "id:ben": "ben",
        "cookie:1": "ben",
        "email:info@x": None,
    }
    assert aside == (SetAsideKey("email:info@x", WhyApart(None, ("id:anna", "id:ben"))),)
    assert set(contact_of(resolve_identities(COLLEAGUES)).values()) == {"anna"}


def test_of_a_chain_of_keys_the_one_that_most_are_seen_with_gives_way() -> None:
    chain = records(
        (["id:anna", "cookie:1"], 9),
        (["cookie:1", "email:info@x"], 2),
        (["id:ben", "email:info@x"], 3),
        (["id:cleo", "email:info@x"], 4),
    )
    found, aside = resolve_apart(chain, 50, Apart([("id:anna", "id:ben")]))
    assert [one.key for one in aside] == ["email:info@x"]
    assert contact_of(found)["cookie:1"] == "anna"
    assert contact_of(found)["id:cleo"] == "cleo"


def test_of_keys_that_as_many_are_seen_with_the_one_linked_last_gives_way() -> None:
    for first, last in (("cookie:1", "cookie:2"), ("cookie:2", "cookie:1")):
        chain = records(
            (["id:anna", first], FROM_THE_START), ([first, last], 5), ([last, "id:ben"], 9)
        )
        _, aside = resolve_apart(chain, 50, Apart([("id:anna", "id:ben")]))
        assert [one.key for one in aside] == [last]


def test_a_key_may_be_said_not_to_be_a_contacts() -> None:
    found, aside = resolve_apart(COLLEAGUES, 50, Apart([("id:ben", "cookie:1")]))
    assert [one.key for one in aside] == ["cookie:1"]
    assert contact_of(found)["email:info@x"] == "anna"


def test_rows_that_name_two_as_one_are_told() -> None:
    rows = records((["id:anna", "id:ben"], 1))
    with pytest.raises(LogError, match="anna and ben are not the same, but rows"):
        resolve_apart(rows, 50, Apart([("id:anna", "id:ben")]))


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
    taken, refused = accepted_links(links, Apart([("a", "b")]))
    assert taken == links[:2]
    assert refused == [RefusedLink(links[2], WhyApart(None, ("a", "b")))]
    assert accepted_links(links, Apart()) == (links, [])


def test_a_link_between_people_who_are_one_already_is_kept_as_evidence() -> None:
    links = [link("a", "x", 0.999), link("b", "x", 0.99), link("a", "b", 0.97)]
    assert accepted_links(links, Apart([("a", "stranger")])) == (links, [])


FIRST_NAMES = Differences({"first": "name"})
NAMES = ("anna", "ana", "ben", "cleo")  # of which the first two are alike


def named(**first: str) -> dict[str, dict[str, frozenset[str]]]:
    return {who: {"first": frozenset({name})} for who, name in first.items()}


def first_names(values: Values, *pairs: tuple[str, str]) -> Apart:
    return Apart(pairs, values, FIRST_NAMES)


def differ(one: str, other: str) -> bool:
    return one != other and {one, other} != {"anna", "ana"}


def test_a_row_without_a_first_name_does_not_make_one_of_twins() -> None:
    links = [link("anna", "nameless", 0.999), link("ben", "nameless", 0.99)]
    twins = named(anna="anna", ben="ben")
    taken, refused = accepted_links(links, first_names(twins))
    assert taken == links[:1]
    assert refused == [RefusedLink(links[1], WhyApart("first", ("anna", "ben")))]
    # Each link by itself is between two that do not differ.
    assert accepted_links(links, first_names({})) == (links, [])


def components(edges: Iterable[tuple[str, str]], nodes: Iterable[str]) -> list[set[str]]:
    found = [{node} for node in nodes]
    for one, other in edges:
        both = [group for group in found if one in group or other in group]
        found = [group for group in found if group not in both] + [set().union(*both)]
    return found


def feasible(groups: list[set[str]], values: Values, pairs: set[frozenset[str]]) -> bool:
    for group in groups:
        for one, other in itertools.combinations(sorted(group), 2):
            if frozenset((one, other)) in pairs:
                return False
            left, right = (values.get(who, {}).get("first", frozenset()) for who in (one, other))
            if any(differ(a, b) for a in left for b in right):
                return False
    return True


def test_the_links_that_hold_are_the_strongest_of_all_choices_that_keep_people_apart() -> None:
    rng = random.Random(5)
    refused_by_chain = 0
    for _ in range(150):
        people = [f"p{i}" for i in range(7)]
        values = named(**{who: rng.choice(NAMES) for who in people if rng.random() < 0.6})
        pairs = [(people[0], people[rng.randrange(1, 7)])] * rng.randrange(2)
        ends = {tuple(sorted(rng.sample(people, 2))) for _ in range(9)}
        links = [link(one, other, rng.choice((0.9, 0.99, 0.999))) for one, other in sorted(ends)]
        links.sort(key=lambda one: (-one.probability, one.left, one.right))
        choices = [
            choice
            for choice in itertools.product((True, False), repeat=len(links))
            if feasible(
                components(
                    [(o.left, o.right) for o, c in zip(links, choice, strict=True) if c], people
                ),
                values,
                set(map(frozenset, pairs)),
            )
        ]
        best = max(choices)  # the strongest link first, then the next, and so on
        taken, refused = accepted_links(links, first_names(values, *pairs))
        assert taken == [one for one, holds in zip(links, best, strict=True) if holds]
        assert len(taken) + len(refused) == len(links)
        for one in refused:
            refused_by_chain += set(one.reason.pair) != {one.link.left, one.link.right}
    assert refused_by_chain > 50


def test_no_keys_make_one_person_of_two_who_differ_whatever_the_order_of_the_rows() -> None:
    rng = random.Random(8)
    differed = 0
    for _ in range(150):
        ids = [f"id:{i}" for i in range(6)]
        keys = [f"email:{i}" for i in range(5)]
        rows = [([who], FROM_THE_START) for who in ids]
        rows += [([rng.choice(ids), rng.choice(keys)], rng.randrange(9)) for _ in range(8)]
        rows += [(rng.sample(keys, 2), rng.randrange(9)) for _ in range(2)]
        values = {who: {"first": frozenset({rng.choice(NAMES)})} for who in ids}
        apart = first_names(values)
        free = contact_of(resolve_identities(records(*rows)))
        found, aside = resolve_apart(records(*rows), 50, apart)
        groups: dict[str | None, set[str]] = {}
        for key, contact in contact_of(found).items():
            groups.setdefault(contact, set()).add(key)
        groups.pop(None, None)
        assert feasible(list(groups.values()), values, set())
        before: dict[str | None, set[str]] = {}
        for key, contact in free.items():
            before.setdefault(contact, set()).add(key)
        assert bool(aside) == (not feasible(list(before.values()), values, set()))
        differed += bool(aside)
        # None gave way for nothing: with any one of them back, two who differ are one.
        for one in aside:
            others = frozenset(other.key for other in aside) - {one.key}
            back: dict[str | None, set[str]] = {}
            for key, contact in contact_of(
                resolve_identities(records(*rows), nameless=others)
            ).items():
                back.setdefault(contact, set()).add(key)
            back.pop(None, None)
            assert not feasible(list(back.values()), values, set())
        shuffled = rng.sample(rows, len(rows))
        again, aside_again = resolve_apart(records(*shuffled), 50, apart)
        assert contact_of(again) == contact_of(found)
        assert aside_again == aside
    assert 50 < differed < 150


def test_rows_that_one_id_or_one_key_names_stay_one_though_they_differ() -> None:
    rows = records((["id:anna", "email:x"], 1), (["email:y"], 2), (["email:y", "cookie:1"], 3))
    values = {
        "id:anna": {"first": frozenset({"anna", "ben"})},
        "email:y": {"first": frozenset({"cleo", "ben"})},
    }
    found, aside = resolve_apart(rows, 50, first_names(values))
    assert aside == ()
    assert contact_of(found) == contact_of(resolve_identities(rows))


def test_ten_thousand_links_and_keys_of_one_component_are_looked_at_once_each() -> None:
    """Time grows as the links do; each against each would be 10^8 comparisons."""
    count = 10_000
    names = {f"c{i:05d}": {"first": frozenset({NAMES[i % 4]})} for i in range(count)}
    chain = [link(f"c{i:05d}", f"c{i + 1:05d}", 0.99) for i in range(count - 1)]
    began = time.process_time()
    taken, refused = accepted_links(chain, first_names(names))
    assert len(taken) == count // 4  # anna with ana
    assert len(refused) == count - 1 - count // 4
    rows = [([f"id:c{i:05d}", f"email:{i}"], 1) for i in range(count)]
    rows += [([f"id:c{i + 1:05d}", f"email:{i}"], 2) for i in range(count - 1)]
    by_id = {f"id:{who}": said for who, said in names.items()}
    found, aside = resolve_apart(records(*rows), 50, first_names(by_id))
    assert len(aside) == count - 1 - count // 4
    assert len(set(contact_of(found).values()) - {None}) == count - count // 4
    assert time.process_time() - began < 20
