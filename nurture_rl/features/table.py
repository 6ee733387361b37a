"""The decision table: what each decision knew, did and earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.features.bins import bin_log
from nurture_rl.features.outcomes import Outcomes, deferred_of, outcomes_of
from nurture_rl.features.query import feature_matrix

_ORDER = [("episode_id", "ascending"), ("step", "ascending"), ("decided_at", "ascending")]


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """The decisions with what they knew (features) and what followed (see `Outcomes`)."""

    table: pa.Table  # sorted by episode_id, step, decided_at
    feature_columns: tuple[str, ...]
    logged_features_equal: float | None  # share of logged vectors recomputed bit for bit, [0, 1]
    unmatched_events: dict[str, int]  # event type -> events that are no signal of the journey
    silent_signals: tuple[str, ...]  # signals that no event of the whole log is


def decision_table(
    events: pa.Table,
    contacts: pa.Table,
    decisions: pa.Table,
    journey: Journey,
    *,
    as_of_us: int | None = None,
    default_zone: str = "UTC",
) -> DecisionTable:
    """Compute what each decision knew and what followed it.

    Args:
        events, contacts, decisions: checked tables of one log and one journey.
        journey: signals, features and reward.
        as_of_us: UTC instant up to which the log is complete, microseconds; the last
            `recorded_at` of the events when None.
        default_zone: where contacts of unknown time zone live.

    Returns:
        The table; features a server logged are compared with the recomputed ones and replaced.

    Raises:
        ActionError: a logged action or mask does not fit the journey's catalogue.
        LeakageError: a decision was made before its own bin began.
        LogError: an episode has two contacts or two anchors.
        TimeZoneError: a contact's zone is unknown.
    """
    spec = FeatureSpec.of(journey)
    log = bin_log(events, contacts, decisions, journey, default_zone)
    features = feature_matrix(log, spec)
    if as_of_us is None:
        as_of_us = _last_recorded(events)
    followed = outcomes_of(decisions, log, journey, as_of_us)
    return DecisionTable(
        table=_with_columns(decisions, features, followed)
        .append_column("cluster", clusters_of(decisions["contact_id"], contacts))
        .sort_by(_ORDER),
        feature_columns=spec.columns,
        logged_features_equal=_share_equal(decisions, features),
        unmatched_events=dict(log.unmatched),
        silent_signals=log.silent,
    )


def clusters_of(contact_ids: pa.ChunkedArray, contacts: pa.Table) -> pa.Array:
    """The independent units: a contact's account where it has one, otherwise the contact.

    Colleagues of a buying group talk to each other: splits and intervals never divide an account.

    Args:
        contact_ids: contacts of the decisions, [n].
        contacts: the checked table.

    Returns:
        Names, [n]: `account:` and the account's id, or the contact's own id.
    """
    ids = contact_ids.combine_chunks()
    rows = pc.index_in(ids, value_set=contacts["contact_id"].combine_chunks())
    account = pc.take(contacts["account_id"].combine_chunks(), rows)
    return pc.coalesce(pc.binary_join_element_wise("account", account, ":"), ids)


def _last_recorded(events: pa.Table) -> int:
    last = pc.max(pc.cast(events["recorded_at"], pa.int64())).as_py()
    return int(np.iinfo(np.int64).min) if last is None else int(last)


def _with_columns(
    decisions: pa.Table, features: NDArray[np.float32], followed: Outcomes
) -> pa.Table:
    if "features" in decisions.column_names:
        decisions = decisions.drop_columns(["features"])
    n, width = followed.channels.shape
    flat = pa.array(features.ravel())
    sums = pa.array(followed.channels.ravel())
    late = followed.event_delay.astype(np.int32).ravel()
    offsets = pa.array(np.arange(n + 1) * width, pa.int32())
    # A world learns from mail that was sent; a policy is judged by everything that it chose.
    age = np.where(deferred_of(decisions), -1, followed.age)
    added = {
        "features": pa.FixedSizeListArray.from_arrays(flat, features.shape[1]),
        "outcomes": pa.ListArray.from_arrays(offsets, sums),
        "reward": pa.array(followed.reward),
        "matured": pa.array(followed.matured),
        "complete": pa.array(followed.complete),
        "terminal": pa.array(followed.terminal),
        "available": pa.array(followed.available),
        "age": pa.array(age.astype(np.int32)),
        "event_delay": pa.ListArray.from_arrays(offsets, pa.array(late)),
    }
    for name, column in added.items():
        decisions = decisions.append_column(name, column)
    return decisions


def _share_equal(decisions: pa.Table, features: NDArray[np.float32]) -> float | None:
    """Share of the logged feature vectors that are equal to the recomputed ones."""
    if "features" not in decisions.column_names:
        return None
    logged = decisions["features"].combine_chunks()
    carried = np.flatnonzero(np.asarray(logged.is_valid()))
    if not len(carried):
        return None
    lengths = np.asarray(pc.list_value_length(logged.take(pa.array(carried))))
    same = np.flatnonzero(lengths == features.shape[1])
    rows = carried[same]
    values = np.asarray(pc.list_flatten(logged.take(pa.array(rows))), np.float32)
    equal = values.reshape(features[rows].shape).view(np.int32) == features[rows].view(np.int32)
    return float(equal.all(axis=1).sum() / len(carried))
