"""Contacts that a person says are not the same: which key or link must give way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from nurture_rl.errors import LogError
from nurture_rl.identity.likely_links import LikelyLink
from nurture_rl.identity.must_not_differ import GivenValues, Gives
from nurture_rl.identity.resolve import (
    ID_PREFIX,
    NO_LINKS,
    Identities,
    KeyedRecords,
    KeyLinks,
    resolve_identities,
)

Pair = tuple[str, str]
NOTHING_GIVEN = GivenValues({}, frozenset())


@dataclass(frozen=True, slots=True)
class SetAsideKey:
    """A key that joined two contacts which are not the same, and so names nobody."""

    key: str
    pair: Pair  # the keys that were to be kept apart


def resolve_apart(
    records: KeyedRecords,
    max_degree: int,
    apart: Sequence[Pair],
    also: KeyLinks = NO_LINKS,
) -> tuple[Identities, tuple[SetAsideKey, ...]]:
    """Find the contact of every key, with some pairs of keys never of one contact.

    Where keys join such a pair, the one of them that is linked to most others names nobody.

    Args:
        records: as for `resolve_identities`.
        max_degree: as for `resolve_identities`.
        apart: pairs of keys of the records.
        also: as for `resolve_identities`.

    Raises:
        LogError: rows, or `also`, name both of a pair by explicit ids.
    """
    aside: dict[str, SetAsideKey] = {}
    while True:
        found = resolve_identities(records, max_degree, also, frozenset(aside))
        contacts = dict.fromkeys(key for pair in apart for key in pair)
        places = {key: int(pc.index(found.key, key).as_py()) for key in contacts}
        together = [
            pair
            for pair in apart
            if (contact := found.contact_id[places[pair[0]]].as_py()) is not None
            and contact == found.contact_id[places[pair[1]]].as_py()
        ]
        if not together:
            return found, tuple(aside[key] for key in sorted(aside))
        pair = together[0]
        key = _joining(found, pair, (places[pair[0]], places[pair[1]]))
        aside[key] = SetAsideKey(key, pair)


def accepted_links(
    links: Sequence[LikelyLink], apart: Sequence[Pair], given: GivenValues = NOTHING_GIVEN
) -> tuple[list[LikelyLink], list[LikelyLink]]:
    """The links that join no two contacts which are not the same, and the others.

    The most probable links are taken first, so of a chain between two such contacts the weakest
    link gives way.

    Args:
        links: the most probable first.
        apart: pairs of contacts.
        given: what the contacts give in columns that must not differ.
    """
    against: dict[str, set[str]] = {}
    for one, other in apart:
        against.setdefault(one, set()).add(other)
        against.setdefault(other, set()).add(one)
    group: dict[str, _Group] = {}
    for name in {end for link in links for end in (link.left, link.right)}:
        values = given.of.get(name)
        group[name] = _Group({name}, set() if values is None else {values})
    taken, refused = [], []
    for link in links:
        left, right = group[link.left], group[link.right]
        if left is right:
            taken.append(link)
            continue
        small, large = sorted((left, right), key=lambda some: len(some.contacts))
        said = any(against.get(one, set()) & large.contacts for one in small.contacts)
        if said or given.differ(small.gives, large.gives):
            refused.append(link)
            continue
        large.contacts.update(small.contacts)
        large.gives.update(small.gives)
        group.update(dict.fromkeys(small.contacts, large))
        taken.append(link)
    return taken, refused


@dataclass(frozen=True, slots=True)
class _Group:
    """Contacts that links have made one, and what they give."""

    contacts: set[str]
    gives: set[Gives]


def path_to_name(identities: Identities, place: int) -> list[int]:
    """The keys from one to the one that names its contact, both with it.

    Args:
        identities: whose keys they are.
        place: of the key to begin with.
    """
    path = [place]
    while (after := int(identities.towards_name[path[-1]])) != path[-1]:
        path.append(after)
    return path


def _joining(found: Identities, pair: Pair, places: tuple[int, int]) -> str:
    """The key between two that is most likely not of one person alone.

    Raises:
        LogError: there is none but explicit ids.
    """
    one, other = (path_to_name(found, place) for place in places)
    both = set(one) & set(other)
    meeting = next(place for place in one if place in both)
    between = [place for place in (*one, *other) if place not in both] + [meeting]
    inner = [place for place in between if place not in places]
    for some in (inner, places):
        keys = [place for place in some if not found.key[place].as_py().startswith(ID_PREFIX)]
        if keys:
            chosen = min(keys, key=lambda k: (-found.degree[k], -int(found.linked_at[k]), k))
            return str(found.key[chosen])
    told = " and ".join(key.removeprefix(ID_PREFIX) for key in pair)
    raise LogError(
        f"identity.yaml says that {told} are not the same, but rows or `the_same` name them as "
        "one without any key between; mend those rows or take the pair out"
    )
