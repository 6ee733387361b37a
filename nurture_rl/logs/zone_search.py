"""Gathers the active hours of a log's contacts, and writes inferred zones where there is none."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.clock import HOUR_US
from nurture_rl.logs.changed_columns import with_cells
from nurture_rl.logs.zone_inference import ActiveHours, InferredZones, infer_zones
from nurture_rl.logs.zone_rules import ZoneRules
from nurture_rl.wording import counted

SOURCE = "time_zone_source"  # attribute of a contact whose zone is inferred
INFERRED = "inferred"
# What people do of their own accord; opens are none, for proxies make them.
_ACTS = ("click", "reply", "page_view", "visit", "form_submitted", "product_used", "activity")


class ZoneSearch:
    """Sees the events of some contacts after the others, then fills their zones."""

    def __init__(self, rules: ZoneRules | None) -> None:
        """Begin; without rules nothing is inferred."""
        self._rules = rules
        self._seen: list[tuple[pa.Array, np.ndarray]] = []  # contacts, and their hours
        self._notes: list[str] = []

    def see(self, events: pa.Table) -> pa.Table:
        """Gather the hours of all events of some contacts; the events stay as they are."""
        if self._rules is not None:
            human = pc.and_(
                pc.is_in(events["type"], pa.array(_ACTS)), pc.invert(events["is_machine"])
            )
            acts = events.filter(human)
            who = acts["contact_id"].combine_chunks().dictionary_encode()
            hour = np.asarray(acts["occurred_at"].cast(pa.int64()), np.int64) // HOUR_US
            pairs = np.unique(np.stack([np.asarray(who.indices, np.int64), hour], axis=1), axis=0)
            self._seen.append((who.dictionary.take(pa.array(pairs[:, 0])), pairs[:, 1]))
        return events

    def with_zones(self, contacts: pa.Table, decided: pa.ChunkedArray) -> pa.Table:
        """Contacts with zones where there was none, one is likely enough, and nothing was decided.

        Args:
            contacts: rows of the contacts table, of all whose events were seen.
            decided: contacts with decisions, whose clock was another one when they were made.
        """
        if self._rules is None:
            return contacts
        stated = contacts["time_zone"].to_pylist()
        attributes = [json.loads(text) for text in contacts["attributes"].to_pylist()]
        country = [_code(one.get(self._rules.country)) for one in attributes]
        found = infer_zones(self._hours(contacts), stated, country, self._rules.candidates)
        known = np.array([zone is not None for zone in stated], bool)
        fixed = np.isin(
            np.array(contacts["contact_id"].to_pylist(), object), decided.unique().to_pylist()
        )
        fits = ~known & ~fixed & (found.confidence >= self._rules.least)
        self._tell(found, ~known, ~known & fixed, fits)
        rows = np.flatnonzero(fits)
        marked = [json.dumps({**attributes[row], SOURCE: INFERRED}) for row in rows]
        for name, values, kind in (
            ("time_zone", found.zone[rows].tolist(), pa.string()),
            ("zone_confidence", found.confidence[rows], pa.float64()),
            ("attributes", marked, pa.string()),
        ):
            contacts = with_cells(contacts, name, rows, pa.array(values, kind))
        return contacts

    def notes(self) -> list[str]:
        """What was inferred, in a sentence; empty before, or without rules."""
        return self._notes

    def _hours(self, contacts: pa.Table) -> ActiveHours:
        names = pa.concat_arrays([pa.array([], pa.string()), *(who for who, _ in self._seen)])
        hours = np.concatenate([np.zeros(0, np.int64), *(hour for _, hour in self._seen)])
        place = pc.index_in(names, value_set=contacts["contact_id"].combine_chunks())
        there = np.asarray(place.is_valid())
        return ActiveHours(np.asarray(place.drop_null(), np.int64), hours[there])

    def _tell(
        self, found: InferredZones, without: np.ndarray, fixed: np.ndarray, fits: np.ndarray
    ) -> None:
        assert self._rules is not None
        many, of = int(fits.sum()), int(without.sum())
        note = f"zones: {many} of {counted(of, 'contact')} without one got it from their hours"
        if many:
            note += f", with a mean probability of {found.confidence[fits].mean():.3f}"
        left = int((without & ~fixed & ~fits).sum())
        note += f"; of {left} none is as likely as {self._rules.least:g}"
        if fixed.any():
            note += f"; {int(fixed.sum())} keep the clock by which their decisions were made"
        self._notes = [note]


def _code(told: object) -> str | None:
    return told.strip().upper() if isinstance(told, str) else None
