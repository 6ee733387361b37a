"""Who is never one person, as somebody says so or a column differs: which key or link gives way.

Keys and links are taken one after the other, the best first; one that would bring together two who
are kept apart, by whatever chain, is left out. So of a chain between two such people the worst key
or link gives way, and the order of the records changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.errors import LogError
from nurture_rl.identity.agreement_levels import Differences
from nurture_rl.identity.likely_links import LikelyLink
from nurture_rl.identity.resolve import (
    ID_PREFIX,
    NO_LINKS,
    Identities,
    IntArray,
    KeyedRecords,
    KeyGraph,
    KeyLinks,
    key_graph,
    resolve_identities,
)

Pair = tuple[str, str]
_ID, _NAME, _OTHER_KEY = range(3)  # which keys are taken before others
Values = Mapping[str, Mapping[str, frozenset[str]]]  # name → column → its values as compared


@dataclass(frozen=True, slots=True)
class Apart:
    """Who is kept apart."""

    pairs: Sequence[Pair] = ()  # as somebody says
    values: Values = field(default_factory=dict)  # of columns that never differ within a person
    differences: Differences | None = None  # None: there are no such columns


@dataclass(frozen=True, slots=True)
class WhyApart:
    """Why two are not one person."""

    column: str | None  # in which they differ; None: somebody says it
    pair: Pair  # the two


@dataclass(frozen=True, slots=True)
class SetAsideKey:
    """A key that joined two who are not the same, and so names nobody."""

    key: str
    reason: WhyApart


@dataclass(frozen=True, slots=True)
class RefusedLink:
    """A likely link that would have joined two who are not the same."""

    link: LikelyLink
    reason: WhyApart


class _Groups:
    """_Groups of names that grow together, and what keeps two of them apart."""

    def __init__(self, apart: Apart) -> None:
        """Begin with every name alone."""
        self._apart = apart
        self._against: dict[str, set[str]] = {}
        for one, other in apart.pairs:
            self._against.setdefault(one, set()).add(other)
            self._against.setdefault(other, set()).add(one)
        self._group: dict[str, str] = {}
        self._members: dict[str, set[str]] = {}  # that somebody keeps apart from others
        self._values: dict[str, dict[str, dict[str, str]]] = {}  # column → value → whose it is

    def of(self, name: str) -> str:
        """The group of a name."""
        if name not in self._group:
            self._group[name] = name
            self._members[name] = {name} & self._against.keys()
            self._values[name] = {
                column: dict.fromkeys(values, name)
                for column, values in self._apart.values.get(name, {}).items()
            }
        while (above := self._group[name]) != name:
            self._group[name] = name = self._group[above]
        return name

    def between(self, one: str, other: str) -> WhyApart | None:
        """Why the groups of two names are not one person; None: they may be."""
        one, other = self.of(one), self.of(other)
        if one == other:
            return None
        few, many = sorted((self._members[one], self._members[other]), key=len)
        for name in sorted(few):
            for against in sorted(self._against[name] & many):
                return WhyApart(None, _pair(name, against))
        left, right = self._values[one], self._values[other]
        for column in sorted(left.keys() & right.keys()):
            assert self._apart.differences is not None
            found = self._apart.differences.first(column, left[column], right[column])
            if found is not None:
                return WhyApart(column, _pair(left[column][found[0]], right[column][found[1]]))
        return None

    def unite(self, one: str, other: str) -> None:
        """Make the groups of two names one."""
        small, large = sorted((self.of(one), self.of(other)), key=self._weight)
        if small == large:
            return
        self._group[small] = large
        self._members[large] |= self._members.pop(small)
        for column, values in self._values.pop(small).items():
            own = self._values[large].setdefault(column, {})
            for value, name in values.items():
                own[value] = min(name, own.get(value, name))

    def _weight(self, group: str) -> tuple[int, str]:
        return sum(map(len, self._values[group].values())) + len(self._members[group]), group


def resolve_apart(
    records: KeyedRecords, max_degree: int, apart: Apart, also: KeyLinks = NO_LINKS
) -> tuple[Identities, tuple[SetAsideKey, ...]]:
    """Find the contact of every key, with some of them never of one contact.

    A key that joins two who are kept apart names nobody. Of several keys between the two it is the
    one that most others are seen with, then the one linked last. Explicit ids, and other names
    with values, always name their records: where nothing but these joins two who differ, they stay
    one.

    Args:
        records: as for `resolve_identities`.
        max_degree: as for `resolve_identities`.
        apart: who is kept apart, by keys of the records.
        also: as for `resolve_identities`.

    Raises:
        LogError: rows, or `also`, name both of a pair by explicit ids.
    """
    found = resolve_identities(records, max_degree, also)
    places = _in_doubt(found, apart)
    if not places.size:
        return found, ()
    graph = key_graph(records, max_degree, also)
    aside = _set_aside(graph, found, places, apart)
    if aside:
        found = resolve_identities(records, max_degree, also, frozenset(one.key for one in aside))
    return found, tuple(sorted(aside, key=lambda one: one.key))


def accepted_links(
    links: Sequence[LikelyLink], apart: Apart
) -> tuple[list[LikelyLink], list[RefusedLink]]:
    """The links that join no two contacts which are kept apart, and the others.

    Args:
        links: the most probable first.
        apart: who is kept apart, by contacts.
    """
    if apart.differences is not None:
        apart.differences.learn(_asked(links, apart.values))
    groups = _Groups(apart)
    taken, refused = [], []
    for link in links:
        reason = groups.between(link.left, link.right)
        if reason is None:
            groups.unite(link.left, link.right)
            taken.append(link)
        else:
            refused.append(RefusedLink(link, reason))
    return taken, refused


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


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def _asked(links: Sequence[LikelyLink], values: Values) -> Iterable[tuple[str, str, str]]:
    for link in links:
        other = values.get(link.right, {})
        for column, some in values.get(link.left, {}).items():
            for value in some:
                yield from ((column, value, one) for one in other.get(column, ()))


def _in_doubt(found: Identities, apart: Apart) -> IntArray:
    """The keys of contacts that hold two who are, or may be, kept apart; ascending."""
    names = pa.array([*dict.fromkeys(itertools.chain(*apart.pairs)), *apart.values], pa.string())
    contact = found.contact_id.take(pc.index_in(names, value_set=found.key)).to_pylist()
    contact_of = dict(zip(names.to_pylist(), contact, strict=True))
    doubtful = {
        contact_of[one] for one, other in apart.pairs if contact_of[one] == contact_of[other]
    }
    said: dict[tuple[str | None, str], frozenset[str]] = {}
    for name, columns in apart.values.items():
        for column, values in columns.items():
            place = contact_of[name], column
            said[place] = said.get(place, frozenset()) | values
    doubtful |= {contact for (contact, _), values in said.items() if len(values) > 1}
    doubtful.discard(None)
    inside = pc.is_in(found.contact_id, value_set=pa.array(sorted(doubtful), pa.string()))
    return np.flatnonzero(np.asarray(inside))


def _set_aside(
    graph: KeyGraph, found: Identities, places: IntArray, apart: Apart
) -> list[SetAsideKey]:
    """The keys at these places that must give way, as each is taken in its turn."""
    name = dict(zip(places.tolist(), graph.key.take(pa.array(places)).to_pylist(), strict=True))
    beside: dict[int, list[int]] = {place: [] for place in name}
    some = np.isin(graph.links.left, places)
    for one, other in zip(graph.links.left[some], graph.links.right[some], strict=True):
        beside[int(one)].append(int(other))
        beside[int(other)].append(int(one))

    def turn(place: int) -> tuple[int, int, int, int]:
        if graph.explicit[place]:
            return _ID, 0, 0, place
        if name[place] in apart.values:
            return _NAME, 0, 0, place
        return _OTHER_KEY, int(graph.degree[place]), int(found.linked_at[place]), place

    groups, aside, taken = _Groups(apart), [], set[int]()
    for place in sorted(name, key=turn):
        key = name[place]
        near = {groups.of(name[other]) for other in beside[place] if other in taken}
        pairs = itertools.combinations([key, *sorted(near)], 2)
        reasons = [reason for pair in pairs if (reason := groups.between(*pair)) is not None]
        if turn(place)[0] < _OTHER_KEY:  # it names a record, whatever differs there
            reasons = [reason for reason in reasons if reason.column is None]
        if reasons:
            reason = reasons[0]
            _require_key(key, reason)
            aside.append(SetAsideKey(key, reason))
            continue
        taken.add(place)
        for other in sorted(near):
            groups.unite(key, other)
    return aside


def _require_key(key: str, reason: WhyApart) -> None:
    """Guard against rows that name two by their ids.

    Raises:
        LogError: the key is an explicit id.
    """
    if key.startswith(ID_PREFIX):
        told = " and ".join(key.removeprefix(ID_PREFIX) for key in reason.pair)
        raise LogError(
            f"identity.yaml says that {told} are not the same, but rows or `the_same` name them as "
            "one without any key between; mend those rows or take the pair out"
        )
