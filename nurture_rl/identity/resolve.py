"""Keys seen together are one contact: connected components, and since when each link is known.

A record (an event, a contact row) carries one key or several. Keys of one record are linked from
the time that record became known. A key's `linked_at` is the earliest time at which a chain of
links led from it to the contact's root key. That is the minimum over all paths of the largest link
time on the path; it equals the largest link time on the key's path in a minimum spanning tree.

A key linked to very many others (a shared inbox, a kiosk's cookie) does not identify a person. It
makes no links and names no contact. An explicit contact id (`id:...`) is never such a key.

Links may also be given that no record shows, such as two records that are probably one person. They
count like those of a record, but for the degree of a key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from nurture_rl.errors import ShapeError

ID_PREFIX = "id:"
FROM_THE_START = np.iinfo(np.int64).min  # time of a link that was always known

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class KeyedRecords:
    """Which keys each record carries, and when a link between them became known."""

    record: IntArray  # record of each key occurrence, non-decreasing, [occurrences]
    key: pa.Array  # "kind:value" strings, [occurrences]
    known_at: IntArray  # UTC microseconds, or FROM_THE_START, [records]

    def __post_init__(self) -> None:
        if self.record.shape != (len(self.key),):
            raise ShapeError(
                f"expected one record per key occurrence, got {self.record.shape} records and "
                f"{len(self.key)} keys"
            )


@dataclass(frozen=True, slots=True)
class KeyLinks:
    """Pairs of keys that are one contact though no record carries both."""

    older: pa.Array  # a key of the record that gives the contact its name, [links]
    younger: pa.Array  # a key of the other record, [links]
    known_at: IntArray  # UTC microseconds, or FROM_THE_START, [links]
    followers: pa.Array  # explicit ids ("id:...") that name a contact only where nothing else does

    def __post_init__(self) -> None:
        if not len(self.older) == len(self.younger) == self.known_at.size:
            raise ShapeError(
                f"expected one time and two keys for each link, got {self.known_at.size} times, "
                f"{len(self.older)} and {len(self.younger)} keys"
            )


NO_LINKS = KeyLinks(
    pa.array([], pa.string()),
    pa.array([], pa.string()),
    np.zeros(0, np.int64),
    pa.array([], pa.string()),
)


@dataclass(frozen=True, slots=True)
class MergedContact:
    """Several explicit contact ids that turned out to be one contact."""

    contact_id: str  # the one kept: the smallest
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identities:
    """The contact behind every key."""

    key: pa.Array  # sorted, distinct, [keys]
    contact_id: pa.Array  # null for a shared key, [keys]
    linked_at: IntArray  # UTC microseconds or FROM_THE_START, [keys]
    shared: BoolArray  # linked to too many other keys to name anybody, or set aside, [keys]
    towards_name: IntArray  # next key on the way to the one that names the contact, [keys]
    degree: IntArray  # other keys that a key was seen with, [keys]
    merged: tuple[MergedContact, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """The contact of every record."""

    contact_id: pa.Array  # null where a record carries only shared keys, [records]
    linked_at: IntArray  # UTC microseconds or FROM_THE_START, [records]


@dataclass(frozen=True, slots=True)
class _Links:
    """Distinct pairs of keys, each with the earliest time the pair was seen."""

    left: IntArray  # [links], smaller key
    right: IntArray  # [links]
    known_at: IntArray  # [links]


@dataclass(frozen=True, slots=True)
class KeyGraph:
    """Which keys lead from one to another: those that identify a person."""

    key: pa.Array  # sorted, distinct, [keys]
    explicit: BoolArray  # contact ids ("id:..."), [keys]
    shared: BoolArray  # linked to too many other keys to name anybody, or set aside, [keys]
    degree: IntArray  # other keys that a key was seen with, [keys]
    links: _Links  # between keys that are not shared


def resolve_identities(
    records: KeyedRecords,
    max_degree: int = 50,
    also: KeyLinks = NO_LINKS,
    nameless: frozenset[str] = frozenset(),
) -> Identities:
    """Find the contact of every key; the answer does not depend on the order of the records.

    A contact is named by its smallest explicit id, else by a hash of its smallest key.

    Args:
        records: key occurrences; pass every table's records at once.
        max_degree: a key linked to more distinct keys than this is shared by several people.
        also: links that no record shows, between keys of the records.
        nameless: keys that name nobody, however few others they are linked to; no explicit ids.
    """
    graph = key_graph(records, max_degree, also, nameless)
    keys, links, n = graph.key, graph.links, len(graph.key)
    joined = csr_array((np.ones(links.left.size), (links.left, links.right)), shape=(n, n))
    _, component = connected_components(joined, directed=False)
    root = _roots(component, graph.explicit, _among(keys, also.followers))
    names = _names(keys, root, graph.explicit)
    linked_at, towards = _linked_at(links, root, n)
    return Identities(
        key=keys,
        contact_id=pc.if_else(pa.array(graph.shared), pa.scalar(None, pa.string()), names),
        linked_at=linked_at,
        shared=graph.shared,
        towards_name=towards,
        degree=graph.degree,
        merged=_merged(keys, root, graph.explicit),
    )


def key_graph(
    records: KeyedRecords,
    max_degree: int = 50,
    also: KeyLinks = NO_LINKS,
    nameless: frozenset[str] = frozenset(),
) -> KeyGraph:
    """The links between keys; arguments as for `resolve_identities`."""
    keys, codes = _sorted_codes(records.key)
    n = len(keys)
    explicit = np.asarray(pc.starts_with(keys, ID_PREFIX)).astype(np.bool_)
    links = _links(records, codes, n, max_degree)
    degree = np.bincount(np.r_[links.left, links.right], minlength=n)
    shared = (degree > max_degree) | _among(keys, pa.array(sorted(nameless), pa.string()))
    shared &= ~explicit
    links = _usable(_with_given(links, also, keys), shared)
    return KeyGraph(keys, explicit, shared, degree, links)


def assign_contacts(records: KeyedRecords, identities: Identities) -> Assignment:
    """The contact each record belongs to, through its keys that are not shared.

    Every such key of one record gives the same contact, and the same time once it is compared
    with the record's own: the record itself links them.
    """
    code = np.asarray(pc.index_in(records.key, value_set=identities.key)).astype(np.int64)
    n = records.known_at.size
    usable = ~identities.shared[code]
    chosen = np.full(n, -1, dtype=np.int64)
    # Later writes win, so go backwards: the first usable key of a record is its representative.
    chosen[records.record[usable][::-1]] = code[usable][::-1]
    nobody = chosen < 0
    linked = np.where(nobody, FROM_THE_START, identities.linked_at[chosen])
    return Assignment(identities.contact_id.take(pa.array(chosen, mask=nobody)), linked)


def _sorted_codes(values: pa.Array) -> tuple[pa.Array, IntArray]:
    """Distinct values in order, and the position of each occurrence among them."""
    encoded = values.dictionary_encode()
    order = np.asarray(pc.array_sort_indices(encoded.dictionary)).astype(np.int64)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return encoded.dictionary.take(pa.array(order)), rank[np.asarray(encoded.indices)]


def _links(records: KeyedRecords, codes: IntArray, n: int, max_degree: int) -> _Links:
    """Every pair of keys of one record.

    Pairs more than `max_degree + 1` places apart are left out: a record that long makes all its
    keys shared anyway.
    """
    left, right, times = [codes[:0]], [codes[:0]], [codes[:0]]
    for lag in range(1, max_degree + 2):
        together = np.flatnonzero(records.record[lag:] == records.record[:-lag])
        if together.size == 0:
            break
        a, b = codes[together], codes[together + lag]
        left.append(np.minimum(a, b))
        right.append(np.maximum(a, b))
        times.append(records.known_at[records.record[together]])
    return _earliest(np.concatenate(left), np.concatenate(right), np.concatenate(times), n)


def _earliest(a: IntArray, b: IntArray, known_at: IntArray, n: int) -> _Links:
    """Each pair of two keys once, with its earliest time."""
    pair = a * n + b
    order = np.lexsort((known_at, pair))
    order = order[(a != b)[order]]
    earliest = order[np.r_[True, pair[order][1:] != pair[order][:-1]]] if order.size else order
    return _Links(a[earliest], b[earliest], known_at[earliest])


def _among(keys: pa.Array, some: pa.Array) -> BoolArray:
    return np.asarray(pc.is_in(keys, value_set=some)).astype(np.bool_)


def _with_given(links: _Links, also: KeyLinks, keys: pa.Array) -> _Links:
    """The records' links and the given ones; of a pair that both have the earlier time counts."""
    if not len(also.older):
        return links
    a, b = (
        np.asarray(pc.fill_null(pc.index_in(side, value_set=keys), -1)).astype(np.int64)
        for side in (also.older, also.younger)
    )
    if min(a.min(), b.min()) < 0:
        raise ShapeError("expected links between keys that records carry, got one of another key")
    left = np.r_[links.left, np.minimum(a, b)]
    right = np.r_[links.right, np.maximum(a, b)]
    return _earliest(left, right, np.r_[links.known_at, also.known_at], len(keys))


def _usable(links: _Links, shared: BoolArray) -> _Links:
    usable = ~(shared[links.left] | shared[links.right])
    return _Links(links.left[usable], links.right[usable], links.known_at[usable])


def _roots(component: NDArray[np.int32], explicit: BoolArray, follower: BoolArray) -> IntArray:
    """The root of each key: its component's smallest explicit id, else its smallest key, [keys]."""
    n = component.size
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    root = np.full(int(component.max()) + 1, 4 * n, dtype=np.int64)
    # Keys are sorted, so the smallest code is the smallest key; explicit ids go first, and of
    # those the ones that follow no other record.
    np.minimum.at(root, component, np.arange(n) + n * (follower + 2 * ~explicit))
    return root[component] % n


def _names(keys: pa.Array, root: IntArray, explicit: BoolArray) -> pa.Array:
    """The contact id of each key's root, [keys]."""
    roots, position = np.unique(root, return_inverse=True)
    named = zip(keys.take(pa.array(roots)).to_pylist(), explicit[roots], strict=True)
    names = [key.removeprefix(ID_PREFIX) if given else _hashed(key) for key, given in named]
    return pa.array(names, pa.string()).take(pa.array(position))


def _hashed(key: str) -> str:
    return "c_" + hashlib.sha256(key.encode()).hexdigest()[:16]


def _linked_at(links: _Links, root: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """The largest link time on each key's path to its root, and the next key on that path.

    The path is that of the minimum spanning forest.
    """
    if links.left.size == 0:
        return np.full(n, FROM_THE_START, dtype=np.int64), np.arange(n)
    # Ranks instead of times: exact as floats, and never 0, which the graph code reads as no link.
    times, rank = np.unique(np.r_[FROM_THE_START, links.known_at], return_inverse=True)
    weights = (rank[1:] + 1).astype(np.float64)
    graph = csr_array((weights, (links.left, links.right)), shape=(n, n))
    tree = coo_array(minimum_spanning_tree(graph))
    towards, to_parent = _towards_root(tree, root, n)
    parent = towards
    # Pointer doubling: after k rounds `largest` covers 2^k steps of the path.
    largest = to_parent
    while not np.array_equal(parent, parent[parent]):
        largest = np.maximum(largest, largest[parent])
        parent = parent[parent]
    return times[np.maximum(largest, largest[parent])], towards


def _towards_root(tree: coo_array, root: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Each key's next key towards its root (a root's is itself) and that link's time rank."""
    left, right = tree.coords
    roots = np.unique(root)
    # One extra node above all roots, so that a single search visits every component.
    ends = np.r_[left, np.full(roots.size, n)], np.r_[right, roots]
    forest = csr_array((np.ones(ends[0].size), ends), shape=(n + 1, n + 1))
    _, before = breadth_first_order(forest, n, directed=False)
    parent = before[:n].astype(np.int64)
    parent[roots] = roots
    to_parent = np.zeros(n, dtype=np.int64)
    child = np.where(parent[right] == left, right, left)
    to_parent[child] = tree.data.astype(np.int64) - 1
    return parent, to_parent


def _merged(keys: pa.Array, root: IntArray, explicit: BoolArray) -> tuple[MergedContact, ...]:
    other = np.flatnonzero(explicit & (root != np.arange(root.size)))
    groups: dict[str, list[str]] = {}
    names = keys.take(pa.array(other)).to_pylist(), keys.take(pa.array(root[other])).to_pylist()
    for name, kept in zip(*names, strict=True):
        groups.setdefault(kept.removeprefix(ID_PREFIX), []).append(name.removeprefix(ID_PREFIX))
    return tuple(MergedContact(kept, tuple(others)) for kept, others in sorted(groups.items()))
