"""What was known of each episode's contact when it began: the starting states of learned worlds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.features import FeatureSpec, state_from_events
from nurture_envs.journey import Journey
from nurture_envs.signals import channel_rows
from nurture_rl.features.bins import IntArray, bin_log


def start_states(
    events: pa.Table, contacts: pa.Table, decisions: pa.Table, journey: Journey, default_zone: str
) -> dict[str, NDArray[Any]]:
    """The known past at the start of bin 0 of every episode.

    What happened between there and a first decision in a later bin is left out.

    Args:
        events, contacts: checked tables.
        decisions: the decision table, sorted by episode and step.
        journey: names signals and features.
        default_zone: where contacts of unknown zone live.

    Returns:
        Arrays over episodes [m]: `cluster`, `attributes`, `ring`, `last`, `anchor_us`,
        `zone_known`, `consent`, `available`.
    """
    spec = FeatureSpec.of(journey)
    first = decisions.take(_first_rows(decisions))
    log = bin_log(events, contacts, first, journey, default_zone)
    times, seen = log.times, log.events
    row, of = _pairs(times.contact, seen.contact)
    known = seen.known_us[of] <= times.decided_us[row]
    row, of = row[known], of[known]
    lag = -spec.clock.bin_of(seen.local_us[of], times.anchor_us[row])
    rows = channel_rows(seen.signal[of], seen.value[of], journey)
    bins = np.zeros(len(first), np.int64)
    past = state_from_events(
        spec, row[rows.event], lag[rows.event], rows.channel, rows.amount, bins
    )
    about = _contact_columns(contacts, first)
    attributes = spec.encode_attributes([log.contacts.attributes[c] for c in times.contact])
    return {
        "cluster": np.asarray(first["cluster"].to_pylist(), str),
        "attributes": attributes,
        "ring": past.ring,
        "last": past.last,
        "anchor_us": times.anchor_us,
        "zone_known": about["zone_known"],
        "consent": about["consent"],
        "available": np.asarray(first["available"].to_pylist(), bool),
    }


def _first_rows(decisions: pa.Table) -> IntArray:
    """Row of each episode's first decision, [m]."""
    episode = np.asarray(decisions["episode_id"].to_pylist(), str)
    return np.flatnonzero(np.append(True, episode[1:] != episode[:-1])[: len(episode)])


def _pairs(rows: IntArray, events: IntArray) -> tuple[IntArray, IntArray]:
    """Every (row, event) whose contact codes are equal."""
    order = np.argsort(events, kind="stable")
    begin = np.searchsorted(events[order], rows, side="left")
    count = np.searchsorted(events[order], rows, side="right") - begin
    row = np.repeat(np.arange(len(rows)), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return row, order[begin[row] + within]


def _contact_columns(contacts: pa.Table, decisions: pa.Table) -> dict[str, NDArray[np.bool_]]:
    ids = contacts["contact_id"].combine_chunks()
    rows = pc.index_in(decisions["contact_id"].combine_chunks(), value_set=ids)
    consent = pc.fill_null(pc.take(contacts["consent"].combine_chunks(), rows), False)
    zone = pc.is_valid(pc.take(contacts["time_zone"].combine_chunks(), rows))
    return {
        "consent": np.asarray(consent.to_numpy(zero_copy_only=False), bool),
        "zone_known": np.asarray(zone.to_numpy(zero_copy_only=False), bool),
    }
