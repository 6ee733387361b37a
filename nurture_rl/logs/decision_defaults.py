"""What a decision may leave unsaid, because the journey or the row itself says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.journey import Journey
from nurture_rl.logs.changed_columns import with_column
from nurture_rl.wording import counted

_ABSENT = {"deferred": False, "policy_id": "logged", "arm": "logged"}


@dataclass(frozen=True, slots=True)
class Completed:
    """Decisions with what they left out, and what was assumed for them."""

    rows: pa.Table
    notes: tuple[str, ...]


def complete_decisions(
    rows: pa.Table, journey: Journey | None, catalog_hash: str | None
) -> Completed:
    """Fill what follows from elsewhere; what is still missing afterwards is required.

    Without a word on it a decision is carried out, of policy and arm "logged", of the journey that
    is read, and in its catalogue's order; one contact's decisions of one anchor are an episode; and
    what had a probability above 0 was legal.

    Args:
        rows: decisions of `raw_schema`, [n].
        journey: whose log it is; None leaves `journey` as it is.
        catalog_hash: the catalogue the numbers are read in; None leaves `catalog` as it is.
    """
    for name, value in _ABSENT.items():
        rows = _filled(rows, name, pa.scalar(value))
    if journey is not None:
        rows = _filled(rows, "journey", pa.scalar(journey.name))
    if catalog_hash is not None:
        rows = _filled(rows, "catalog", pa.scalar(catalog_hash))
    rows = _filled(rows, "episode_id", _episodes(rows))
    unmasked = pc.and_(rows["mask"].is_null(), rows["probabilities"].is_valid())
    count = pc.sum(unmasked).as_py() or 0
    if not count:
        return Completed(rows, ())
    note = (
        f"{counted(count, 'decision has', 'decisions have')} no mask: what had a probability "
        "above 0 is taken as legal, so a policy is judged as if it could never choose "
        "what the log never tried"
    )
    return Completed(_filled(rows, "mask", _possible(rows)), (note,))


def of_journey(rows: pa.Table, journey: Journey | None) -> Completed:
    """The decisions of one journey, where a log holds those of several.

    A server of several journeys logs all of them. Where no decision is of this journey, all stay,
    and are refused by name.

    Args:
        rows: decisions of `raw_schema`, [n].
        journey: whose log is read; None: that of any.
    """
    if journey is None:
        return Completed(rows, ())
    own = pc.fill_null(pc.equal(rows["journey"], journey.name), True)
    others = len(rows) - (pc.sum(own).as_py() or 0)
    if others in (0, len(rows)):
        return Completed(rows, ())
    names = sorted(set(rows.filter(pc.invert(own))["journey"].to_pylist()))
    note = (
        f"{counted(others, 'decision')} of other journeys ({', '.join(names)}) left out; give "
        "data.journey to read them"
    )
    return Completed(rows.filter(own), (note,))


def _episodes(rows: pa.Table) -> pa.ChunkedArray:
    """One episode a contact and anchor."""
    joined = pc.binary_join(pc.fill_null(rows["keys"].combine_chunks(), []), "+")
    contact = pc.coalesce(rows["contact_id"].combine_chunks(), joined)
    return pc.binary_join_element_wise(
        contact, rows["anchor"].combine_chunks().cast(pa.string()), "@"
    )


def _possible(rows: pa.Table) -> pa.Array:
    """True where an action had a chance, as lists beside `probabilities`."""
    column = rows["probabilities"].combine_chunks()
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(ends, pc.greater(column.flatten(), 0.0))


def _filled(rows: pa.Table, name: str, value: pa.Scalar | pa.Array) -> pa.Table:
    return with_column(rows, name, pc.coalesce(rows[name].combine_chunks(), value))
