"""Keys, likely links and what a person says → who is whom, with every merge and its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.identity.agreement_levels import Differences
from nurture_rl.identity.compared_blocks import MOST_IN_A_BLOCK, crowded_rules
from nurture_rl.identity.kept_apart import (
    Apart,
    Pair,
    RefusedLink,
    SetAsideKey,
    Values,
    accepted_links,
    resolve_apart,
)
from nurture_rl.identity.likely_links import LikelyLink, LinkSettings, likely_links
from nurture_rl.identity.resolve import (
    FROM_THE_START,
    ID_PREFIX,
    NO_LINKS,
    Identities,
    KeyedRecords,
    KeyLinks,
    assign_contacts,
    resolve_identities,
)
from nurture_rl.logs.changed_columns import with_cells
from nurture_rl.logs.compared_contacts import compared_contacts, values_apart
from nurture_rl.logs.identity_rules import IDENTITY_FILE, IdentityRules, SamePerson
from nurture_rl.logs.merges import merges_table
from nurture_rl.wording import counted

_SAYS_NOTHING = {"account_id": None, "time_zone": None, "zone_confidence": 0.0, "attributes": "{}"}
_LOOKED_AT = 50  # values of a contact; so many that all agree are unheard of


@dataclass(frozen=True, slots=True)
class JoinedPeople:
    """Who is whom, and how that came about."""

    identities: Identities
    contacts: pa.Table  # rows of contacts, with what may be known of each at any time
    merges: pa.Table  # of `MERGES`
    notes: tuple[str, ...]


def joined_people(
    everything: KeyedRecords,
    contacts: pa.Table,
    keyed: KeyedRecords,
    max_degree: int,
    rules: IdentityRules | None,
) -> JoinedPeople:
    """Join people by keys, by what a person says, and by likely links between contact rows.

    A row of contacts that a likely link brought to another contact later than from the start says
    nothing but its consent there: attributes have no time, and decisions before the link would
    know them.

    Args:
        everything: keys of the rows of all tables.
        contacts: checked rows of contacts, [n].
        keyed: keys of these rows.
        max_degree: as for `resolve_identities`.
        rules: who is whom beyond shared keys; None: keys alone say it.

    Raises:
        LogError: the rules do not fit the tables.
        ConfigError: Splink is needed and not installed.
    """
    if rules is None:
        found = resolve_identities(everything, max_degree)
        return JoinedPeople(found, contacts, merges_table(found, (), (), (), found), ())
    names = _Names(everything.key)
    said, pairs, notes = names.known(rules)
    differences = _differences(rules)
    values: Values = {}
    if differences is not None:
        names_of_rows = _own_names(keyed, resolve_identities(everything, max_degree, said))
        values = values_apart(contacts, names_of_rows, rules)
    by_key, aside = resolve_apart(everything, max_degree, Apart(pairs, values, differences), said)
    if rules.linking is None:
        merges = merges_table(by_key, rules.the_same, (), aside, by_key)
        return JoinedPeople(by_key, contacts, merges, (*notes, *_told(aside, ())))
    own = assign_contacts(keyed, by_key)
    records, left_out = compared_contacts(contacts, own.contact_id, rules)
    links = likely_links(records, rules.linking)
    values = {} if differences is None else values_apart(contacts, own.contact_id, rules)
    taken, refused = accepted_links(links, Apart(_contacts(pairs, by_key), values, differences))
    also = _together(said, _links(taken, records, by_key))
    # The links join contacts as they are without these keys, and no two that are not the same.
    found = resolve_identities(everything, max_degree, also, frozenset(one.key for one in aside))
    now = assign_contacts(keyed, found)
    later = pc.and_(
        pc.not_equal(own.contact_id, now.contact_id), pa.array(now.linked_at > FROM_THE_START)
    )
    contacts = _silent(contacts, np.flatnonzero(np.asarray(pc.fill_null(later, False))))
    merges = merges_table(by_key, rules.the_same, taken, (*refused, *aside), found)
    notes += [*left_out, *_compared(records, rules.linking, taken), *_told(aside, refused)]
    return JoinedPeople(found, contacts, merges, (*notes, *_still_one(values, differences)))


class _Names:
    """The keys that a person's words mean."""

    def __init__(self, keys: pa.Array) -> None:
        self._keys = keys

    def known(self, rules: IdentityRules) -> tuple[KeyLinks, list[Pair], list[str]]:
        """Links, pairs to be kept apart, and what of the rules speaks of nobody."""
        said = [("the_same", i, (one.left, one.right)) for i, one in enumerate(rules.the_same)]
        said += [("not_the_same", i, pair) for i, pair in enumerate(rules.not_the_same)]
        key_of = self._found([word for _, _, pair in said for word in pair])
        strange = [
            f"{name}[{i}]" for name, i, pair in said if any(word not in key_of for word in pair)
        ]
        notes = []
        if strange:
            notes.append(f"{IDENTITY_FILE}: the log knows not both of {', '.join(strange)}")
        same = [one for one in rules.the_same if one.left in key_of and one.right in key_of]
        return (
            _said(same, key_of),
            [
                (key_of[one], key_of[other])
                for one, other in rules.not_the_same
                if one in key_of and other in key_of
            ],
            notes,
        )

    def _found(self, words: Sequence[str]) -> dict[str, str]:
        """The key of each word: of a contact id, else the key itself."""
        asked = {key: word for word in words for key in (word, ID_PREFIX + word)}
        present = pc.is_in(pa.array(list(asked), pa.string()), value_set=self._keys).to_pylist()
        # Ids come after the bare keys, and win.
        return {asked[key]: key for key, here in zip(asked, present, strict=True) if here}


def _said(same: Sequence[SamePerson], key_of: Mapping[str, str]) -> KeyLinks:
    return KeyLinks(
        pa.array([key_of[one.left] for one in same], pa.string()),
        pa.array([key_of[one.right] for one in same], pa.string()),
        np.array([one.known_at for one in same], np.int64),
        NO_LINKS.followers,
    )


def _contacts(apart: Sequence[Pair], identities: Identities) -> list[Pair]:
    contact_of = {}
    for key in dict.fromkeys(key for pair in apart for key in pair):
        contact_of[key] = identities.contact_id[pc.index(identities.key, key).as_py()].as_py()
    pairs = [(contact_of[one], contact_of[other]) for one, other in apart]
    return [pair for pair in pairs if None not in pair]


def _links(taken: Sequence[LikelyLink], records: pa.Table, identities: Identities) -> KeyLinks:
    """Links between the contacts' keys; of those that are one the record known first names it."""
    known = records.group_by("contact").aggregate([("known_at", "min")])
    since = dict(zip(known["contact"].to_pylist(), known["known_at_min"].to_pylist(), strict=True))
    group: dict[str, list[str]] = {}
    for link in taken:
        left, right = group.setdefault(link.left, [link.left]), group.get(link.right, [link.right])
        if left is not right:
            left += right
            group.update(dict.fromkeys(right, left))
    followers = {
        one
        for some in group.values()
        for one in some
        if one != min(some, key=lambda name: (since[name], name))
    }
    ends = [pa.array([getattr(link, side) for link in taken]) for side in ("left", "right")]
    older, younger = (
        identities.key.take(pc.index_in(end.cast(pa.string()), identities.contact_id))
        for end in ends
    )
    explicit = pc.starts_with(identities.key, ID_PREFIX)
    follow = pc.is_in(identities.contact_id, pa.array(sorted(followers), pa.string()))
    return KeyLinks(
        older,
        younger,
        np.array([link.known_at for link in taken], np.int64),
        identities.key.filter(pc.and_(explicit, follow)),
    )


def _together(one: KeyLinks, other: KeyLinks) -> KeyLinks:
    return KeyLinks(
        pa.concat_arrays([one.older, other.older]),
        pa.concat_arrays([one.younger, other.younger]),
        np.r_[one.known_at, other.known_at],
        other.followers,
    )


def _silent(contacts: pa.Table, rows: np.ndarray) -> pa.Table:
    """The rows with nothing but consent in some of them."""
    for name, value in _SAYS_NOTHING.items():
        kind = contacts.schema.field(name).type
        contacts = with_cells(contacts, name, rows, pa.array([value] * rows.size, kind))
    return contacts


def _differences(rules: IdentityRules) -> Differences | None:
    """What tells whether columns that never differ within a person do; None: there are none."""
    if rules.linking is None or not rules.linking.must_not_differ:
        return None
    return Differences(rules.linking.comparisons)


def _own_names(keyed: KeyedRecords, found: Identities) -> pa.Array:
    """The key that names each record: its explicit id, else the one that fewest are seen with."""
    code = np.asarray(pc.index_in(keyed.key, value_set=found.key)).astype(np.int64)
    explicit = np.asarray(pc.starts_with(keyed.key, ID_PREFIX)).astype(np.bool_)
    order = np.lexsort((code, found.degree[code], ~explicit, keyed.record))
    order = order[~found.shared[code[order]]]
    some, first = np.unique(keyed.record[order], return_index=True)
    chosen = np.full(keyed.known_at.size, -1, np.int64)
    chosen[some] = code[order[first]]
    return found.key.take(pa.array(chosen, mask=chosen < 0))


def _told(aside: Sequence[SetAsideKey], refused: Sequence[RefusedLink]) -> list[str]:
    """What keeping people apart took."""
    notes = []
    if aside:
        keys = counted(len(aside), "key joins", "keys join")
        notes.append(f"{IDENTITY_FILE}: {keys} contacts that are not the same, and name nobody")
    for column, count in sorted(Counter(one.reason.column or "" for one in refused).items()):
        links = counted(count, "likely link gives", "likely links give")
        rule = f"`must_not_differ`: {column}" if column else "`not_the_same`"
        notes.append(f"{IDENTITY_FILE}: {links} way to {rule}")
    return notes


def _compared(records: pa.Table, rules: LinkSettings, taken: Sequence[LikelyLink]) -> list[str]:
    """What was compared and found, and by what too many rows agree to be compared."""
    found = (
        f"{counted(len(taken), 'link')} of a probability of at least {rules.threshold}, "
        f"the weakest {taken[-1].probability}"
        if taken
        else f"none are alike with a probability of {rules.threshold}"
    )
    return [
        f"{IDENTITY_FILE}: {counted(len(records), 'contact row')} compared; {found}",
        *(
            f"{IDENTITY_FILE}: not compared by {rule}, as more than {MOST_IN_A_BLOCK:,} agree"
            for rule in crowded_rules(records, rules.blocking)
        ),
    ]


def _still_one(values: Values, differences: Differences | None) -> list[str]:
    """How many contacts differ in themselves, as nothing but their name joins their rows."""
    if differences is None:
        return []
    split = 0
    for columns in values.values():
        some = ((name, sorted(told)[:_LOOKED_AT]) for name, told in columns.items())
        split += any(differences.first(name, told, told) is not None for name, told in some)
    if not split:
        return []
    return [
        f"{IDENTITY_FILE}: {counted(split, 'contact differs', 'contacts differ')} in columns of "
        "`must_not_differ` and stays one, as rows name it by one id or key"
    ]
