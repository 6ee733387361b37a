"""The contacts of a warehouse's decisions: a number, a time zone and attributes each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.clock import DAY_US, local_microseconds
from nurture_envs.features import FeatureSpec
from nurture_rl.errors import LogError

_QUARTER_US = 900 * 1_000_000  # clocks are set at a quarter of an hour
_EVER_US = 2**62


def contact_clocks(contacts: pa.Table, spec: FeatureSpec, default_zone: str) -> pa.Table:
    """What the queries need of contacts.

    Args:
        contacts: contact_id, since_us, until_us, time_zone and attributes (JSON), of decided
            contacts; the latter two null where the log has no such contact, or does not say.
        spec: the declared features.
        default_zone: where contacts of unknown time zone live.

    Returns:
        contact_id, since_us and until_us as they came, contact (their number), zone, and
        attribute_0, ... (float32).

    Raises:
        LogError: attributes are no JSON object.
    """
    zones = pc.fill_null(contacts["time_zone"].combine_chunks(), "")
    zones = pc.if_else(pc.equal(zones, ""), default_zone, zones)
    texts = pc.fill_null(contacts["attributes"].combine_chunks(), "{}").dictionary_encode()
    places = np.asarray(texts.indices)
    told = []
    for place, text in enumerate(texts.dictionary.to_pylist()):
        said = _attributes(text)
        if said is None:
            who = contacts["contact_id"][int(np.flatnonzero(places == place)[0])].as_py()
            raise LogError(f"contacts: expected a JSON object as attributes of contact {who!r}")
        told.append(said)
    rows = spec.encode_attributes(told)[places]
    columns = {
        **{name: contacts[name] for name in ("contact_id", "since_us", "until_us")},
        "contact": np.arange(len(contacts)),
        "zone": zones,
    }
    columns |= {f"attribute_{i}": rows[:, i] for i in range(rows.shape[1])}
    return pa.table(columns)


def _attributes(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
    except json.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def zone_shifts(zones: Iterable[str], first_us: int, last_us: int) -> pa.Table:
    """From when until when clocks of zones are how far from UTC.

    Args:
        zones: IANA names.
        first_us, last_us: instants between which offsets are asked for, microseconds since 1970.

    Returns:
        zone, from_us, until_us (not included) and offset_us; what lies before `first_us` has its
        offset, and what lies after `last_us` likewise.

    Raises:
        TimeZoneError: a zone name is unknown.
    """
    rows: list[dict[str, object]] = []
    for zone in sorted(set(zones)):
        starts = [first_us // _QUARTER_US, *_changes(zone, first_us, last_us)]
        begins = [-_EVER_US, *(start * _QUARTER_US for start in starts[1:])]
        offsets = _offsets(zone, np.array(starts))
        ends = [*begins[1:], _EVER_US]
        rows += [
            {"zone": zone, "from_us": begin, "until_us": end, "offset_us": int(offset)}
            for begin, end, offset in zip(begins, ends, offsets, strict=True)
        ]
    kinds = [("zone", pa.string())] + [
        (n, pa.int64()) for n in ("from_us", "until_us", "offset_us")
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def _changes(zone: str, first_us: int, last_us: int) -> list[int]:
    """Quarters of an hour in which the clocks of a zone are first another, found by halving."""
    days = np.arange(first_us, last_us + 2 * DAY_US, DAY_US) // _QUARTER_US
    offsets = _offsets(zone, days)
    found = []
    for place in np.flatnonzero(offsets[1:] != offsets[:-1]):
        before, after = int(days[place]), int(days[place + 1])
        while after - before > 1:
            middle = (before + after) // 2
            same = _offsets(zone, np.array([middle]))[0] == offsets[place]
            before, after = (middle, after) if same else (before, middle)
        found.append(after)
    return found


def _offsets(zone: str, quarters: np.ndarray) -> np.ndarray:
    instants = quarters.astype(np.int64) * _QUARTER_US
    return local_microseconds(instants, np.full(len(instants), zone)) - instants
