"""Gathers on which devices a log's contacts act, and writes down who mostly uses which."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.logs.changed_columns import with_cells
from nurture_rl.logs.device_rules import (
    CONFIDENCE,
    DEVICE,
    DEVICES,
    DeviceRules,
    device_of,
    part_attributes,
    usual_devices,
)
from nurture_rl.logs.machine_marks import text_in
from nurture_rl.wording import counted

# What people do in a mail or a browser.
_ACTS = ("open", "click", "page_view", "visit", "form_submitted")


class DeviceSearch:
    """Sees the events of some contacts after the others, then tells their devices."""

    def __init__(self, rules: DeviceRules | None) -> None:
        """Begin; without rules nothing is told."""
        self._rules = rules
        # Contacts, their devices' places, and when they acted.
        self._seen: list[tuple[pa.Array, np.ndarray, pa.Array]] = []
        self._notes: list[str] = []
        self._known: dict[str | None, int] = {}  # texts that were looked at, and their place or -1

    def see(self, events: pa.Table) -> pa.Table:
        """Gather the devices of all events of some contacts; the events stay as they are."""
        if self._rules is not None:
            human = pc.and_(
                pc.is_in(events["type"], pa.array(_ACTS)), pc.invert(events["is_machine"])
            )
            acts = events.filter(human)
            properties = acts["properties"].combine_chunks()
            by_word, by_browser = (
                self._places(text_in(properties, name)) for name in ("device", "user_agent")
            )
            device = np.where(by_word >= 0, by_word, by_browser)
            there = device >= 0
            who = acts["contact_id"].combine_chunks().filter(pa.array(there))
            when = acts["occurred_at"].combine_chunks().filter(pa.array(there))
            self._seen.append((who, device[there], when))
        return events

    def with_devices(self, contacts: pa.Table, decided: pa.ChunkedArray) -> pa.Table:
        """Contacts with `device` and `device_confidence` where it is likely enough.

        The same for each part of the day that the rules name, by the contact's own clock; who has
        none gets nothing there. What a log says of a device by itself stays. Who has decisions
        gets none: when they were made, nobody knew what came after.

        Args:
            contacts: rows of the contacts table, of all whose events were seen.
            decided: contacts with decisions.
        """
        if self._rules is None:
            return contacts
        place, device, hour = self._acts(contacts)

        def counts(some: np.ndarray) -> np.ndarray:
            cells = place[some] * len(DEVICES) + device[some]
            many = np.bincount(cells, minlength=len(contacts) * len(DEVICES))
            return many.reshape(-1, len(DEVICES)).astype(np.float64)

        attributes = [json.loads(text) for text in contacts["attributes"].to_pylist()]
        fixed = np.isin(
            np.array(contacts["contact_id"].to_pylist(), object), decided.unique().to_pylist()
        )
        told: list[dict[str, object]] = [{} for _ in attributes]
        asked = [((DEVICE, CONFIDENCE), "", np.ones(len(hour), bool))]
        for part, (begin, end) in self._rules.hours.items():
            inside = (hour >= 0) & ((hour - begin) % 24 < (end - begin) % 24)
            asked.append((part_attributes(part), f" ({part})", inside))
        for (name, confidence), where, some in asked:
            acts = counts(some)
            stated = np.array([name in one for one in attributes], bool)
            best, sure = usual_devices(acts)
            acted = acts.sum(axis=1) > 0  # the habits of all alone say nothing of anybody
            fits = (sure >= self._rules.least) & acted & ~stated & ~fixed
            for row in np.flatnonzero(fits):
                told[row] |= {name: DEVICES[best[row]], confidence: round(sure[row], 4)}
            note = f"devices{where}: {fits.sum()} of {counted(len(contacts), 'contact')} mostly "
            note += f"use one; of {(~fits & ~stated & ~fixed).sum()} none is as likely as "
            note += f"{self._rules.least:g}"
            if (fixed & ~stated).any():
                note += f"; {(fixed & ~stated).sum()} have decisions and get none"
            self._notes.append(note)
        rows = np.array([row for row, one in enumerate(told) if one], np.int64)
        marked = [json.dumps({**attributes[row], **told[row]}) for row in rows]
        return with_cells(contacts, "attributes", rows, pa.array(marked, pa.string()))

    def notes(self) -> list[str]:
        """What was told, in a sentence; empty before, or without rules."""
        return self._notes

    def _acts(self, contacts: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whose each act was, on which device, and the local hour, -1 where there is no clock."""
        names = pa.concat_arrays([pa.array([], pa.string()), *(who for who, _, _ in self._seen)])
        device = np.concatenate([np.zeros(0, np.int64), *(one for _, one, _ in self._seen)])
        when = pa.chunked_array([one for _, _, one in self._seen], pa.timestamp("us", "UTC"))
        whose = pc.index_in(names, value_set=contacts["contact_id"].combine_chunks())
        there = np.asarray(whose.is_valid())
        place = np.asarray(whose.drop_null(), np.int64)
        when = when.filter(pa.array(there))
        hour = np.full(place.size, -1, np.int64)
        if self._rules is None or not self._rules.hours:
            return place, device[there], hour
        zones = contacts["time_zone"].take(pa.array(place))
        for zone in zones.unique().drop_null().to_pylist():
            some = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(zones, zone), False)))
            local = when.take(pa.array(some)).cast(pa.timestamp("us", zone))
            hour[some] = np.asarray(pc.hour(local), np.int64)
        return place, device[there], hour

    def _places(self, said: pa.Array) -> np.ndarray:
        """The place of the device that each text names, -1 where it names none, [n]."""
        texts = said.dictionary_encode()
        places = np.array([self._place(one) for one in texts.dictionary.to_pylist()] + [-1])
        return places[np.asarray(pc.fill_null(texts.indices, len(places) - 1), np.int64)]

    def _place(self, text: str | None) -> int:
        if text not in self._known:
            device = device_of(text)
            self._known[text] = -1 if device is None else DEVICES.index(device)
        return self._known[text]
