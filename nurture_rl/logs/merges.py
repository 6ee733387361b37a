"""The table of merges: which contacts became one, by which evidence, and since when."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.identity.kept_apart import RefusedLink, SetAsideKey, WhyApart, path_to_name
from nurture_rl.identity.likely_links import LikelyLink
from nurture_rl.identity.resolve import FROM_THE_START, ID_PREFIX, Identities
from nurture_rl.logs.identity_rules import SamePerson
from nurture_rl.logs.schema import UTC_TIME

KEY, LIKELY, SAID = "key", "likely", "said"  # by what two are one
NOT_THE_SAME = "not_the_same"
MERGES = pa.schema(
    [
        pa.field("left", pa.string(), nullable=False),  # as `identity.yaml` may name it
        pa.field("right", pa.string(), nullable=False),
        pa.field("contact_id", pa.string()),  # the one that both are now; null: kept apart
        pa.field("by", pa.string(), nullable=False),  # key, likely or said
        pa.field("probability", pa.float64()),  # of one person; null but for `likely`
        pa.field("keys", pa.list_(pa.string()), nullable=False),  # that join them
        pa.field("levels", pa.list_(pa.string()), nullable=False),  # how compared columns agree
        pa.field("known_at", UTC_TIME),  # null: known from the start
        pa.field("kept_apart_by", pa.string()),  # not_the_same, or the column that differs
        pa.field("apart_left", pa.string()),  # the two who are kept apart, where two are
        pa.field("apart_right", pa.string()),
    ]
)
MERGE_ORDER = [(name, "ascending") for name in ("left", "right", "by")]


def merges_table(
    by_key: Identities,
    said: Sequence[SamePerson],
    taken: Iterable[LikelyLink],
    apart: Iterable[RefusedLink | SetAsideKey],
    identities: Identities,
) -> pa.Table:
    """Every merge, and every one that was forbidden.

    Args:
        by_key: contacts by shared keys, and by what a person said.
        said: what a person said.
        taken: likely links between contacts of `by_key` that hold.
        apart: likely links, and keys, that do not, as two who are kept apart would be one.
        identities: contacts by all of it; of the same keys.
    """
    rows = list(_by_key(by_key, said, identities))
    links = list(taken)
    found = pc.index_in(pa.array([link.left for link in links], pa.string()), by_key.contact_id)
    now = identities.contact_id.take(found).to_pylist()
    rows += [_likely(link, contact) for link, contact in zip(links, now, strict=True)]
    for one in apart:
        told = _reason(one.reason)
        if isinstance(one, RefusedLink):
            rows.append(_likely(one.link, None) | told)
        else:
            left, right = told["apart_left"], told["apart_right"]
            rows.append(_row(left, right, None, KEY, keys=[one.key]) | told)
    return pa.Table.from_pylist(rows, schema=MERGES).sort_by(MERGE_ORDER)


def _by_key(
    by_key: Identities, said: Sequence[SamePerson], identities: Identities
) -> Iterable[dict[str, Any]]:
    """Each explicit id that another took the place of, with the keys between the two."""
    told = {frozenset((one.left, one.right)) for one in said}
    others = [ID_PREFIX + other for one in by_key.merged for other in one.others]
    places = pc.index_in(pa.array(others, pa.string()), by_key.key).to_pylist()
    place_of = dict(zip(others, places, strict=True))
    for one in by_key.merged:
        for other in one.others:
            start = place_of[ID_PREFIX + other]
            path = path_to_name(by_key, start)
            keys = by_key.key.take(pa.array(path)).to_pylist()
            steps = {
                frozenset(key.removeprefix(ID_PREFIX) for key in step)
                for step in itertools.pairwise(keys)
            }
            yield _row(
                one.contact_id,
                other,
                identities.contact_id[start].as_py(),
                SAID if steps & told else KEY,
                keys=[key for key in keys[1:-1] if not key.startswith(ID_PREFIX)],
                known_at=int(by_key.linked_at[start]),
            )


def _likely(link: LikelyLink, contact: str | None) -> dict[str, Any]:
    return _row(
        link.left,
        link.right,
        contact,
        LIKELY,
        probability=link.probability,
        levels=list(link.levels),
        known_at=link.known_at,
    )


def _reason(reason: WhyApart) -> dict[str, Any]:
    left, right = sorted(name.removeprefix(ID_PREFIX) for name in reason.pair)
    return {
        "kept_apart_by": NOT_THE_SAME if reason.column is None else reason.column,
        "apart_left": left,
        "apart_right": right,
    }


def _row(left: str, right: str, contact: str | None, by: str, **more: Any) -> dict[str, Any]:
    known = more.pop("known_at", FROM_THE_START)
    empty: dict[str, Any] = {"probability": None, "keys": [], "levels": []}
    told = {"left": left, "right": right, "contact_id": contact, "by": by}
    return {**empty, **told, **more, "known_at": None if known == FROM_THE_START else known}
