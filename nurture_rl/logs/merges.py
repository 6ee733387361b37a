"""The table of merges: which contacts became one, by which evidence, and since when."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.identity.kept_apart import SetAsideKey, path_to_name
from nurture_rl.identity.likely_links import LikelyLink
from nurture_rl.identity.resolve import FROM_THE_START, ID_PREFIX, Identities
from nurture_rl.logs.identity_rules import SamePerson
from nurture_rl.logs.schema import UTC_TIME

KEY, LIKELY, SAID = "key", "likely", "said"  # by what two are one
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
    ]
)
MERGE_ORDER = [(name, "ascending") for name in ("left", "right", "by")]


def merges_table(
    by_key: Identities,
    said: Sequence[SamePerson],
    taken: Iterable[LikelyLink],
    apart: Iterable[LikelyLink | SetAsideKey],
    identities: Identities,
) -> pa.Table:
    """Every merge, and every one that was forbidden.

    Args:
        by_key: contacts by shared keys, and by what a person said.
        said: what a person said.
        taken: likely links between contacts of `by_key` that hold.
        apart: likely links, and keys, that do not, as `identity.yaml` says so.
        identities: contacts by all of it; of the same keys.
    """
    rows = list(_by_key(by_key, said, identities))
    links = list(taken)
    found = pc.index_in(pa.array([link.left for link in links], pa.string()), by_key.contact_id)
    now = identities.contact_id.take(found).to_pylist()
    rows += [_likely(link, contact) for link, contact in zip(links, now, strict=True)]
    for one in apart:
        if isinstance(one, LikelyLink):
            rows.append(_likely(one, None))
        else:
            left, right = sorted(key.removeprefix(ID_PREFIX) for key in one.pair)
            rows.append(_row(left, right, None, KEY, keys=[one.key]))
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


def _row(left: str, right: str, contact: str | None, by: str, **more: Any) -> dict[str, Any]:
    known = more.pop("known_at", FROM_THE_START)
    empty: dict[str, Any] = {"probability": None, "keys": [], "levels": []}
    told = {"left": left, "right": right, "contact_id": contact, "by": by}
    return {**empty, **told, **more, "known_at": None if known == FROM_THE_START else known}
