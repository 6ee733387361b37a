"""Gathers on which devices a log's contacts act, and writes down who mostly uses which."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.logs.changed_columns import with_cells
from nurture_rl.logs.device_rules import DEVICES, DeviceRules, device_of, usual_devices
from nurture_rl.logs.machine_marks import text_in
from nurture_rl.wording import counted

DEVICE, CONFIDENCE = "device", "device_confidence"  # attributes of contacts
# What people do in a mail or a browser.
_ACTS = ("open", "click", "page_view", "visit", "form_submitted")


class DeviceSearch:
    """Sees the events of some contacts after the others, then tells their devices."""

    def __init__(self, rules: DeviceRules | None) -> None:
        """Begin; without rules nothing is told."""
        self._rules = rules
        self._seen: list[tuple[pa.Array, np.ndarray]] = []  # contacts, and their devices' places
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
            self._seen.append((who, device[there]))
        return events

    def with_devices(self, contacts: pa.Table, decided: pa.ChunkedArray) -> pa.Table:
        """Contacts with `device` and `device_confidence` where it is likely enough.

        What a log says of a device by itself stays. Who has decisions gets none: when they were
        made, nobody knew what came after.

        Args:
            contacts: rows of the contacts table, of all whose events were seen.
            decided: contacts with decisions.
        """
        if self._rules is None:
            return contacts
        acts = self._acts(contacts)
        best, sure = usual_devices(acts)
        attributes = [json.loads(text) for text in contacts["attributes"].to_pylist()]
        stated = np.array([DEVICE in one for one in attributes], bool)
        fixed = np.isin(
            np.array(contacts["contact_id"].to_pylist(), object), decided.unique().to_pylist()
        )
        acted = acts.sum(axis=1) > 0  # the habits of all alone say nothing of anybody
        fits = (sure >= self._rules.least) & acted & ~stated & ~fixed
        rows = np.flatnonzero(fits)
        marked = [
            json.dumps(
                {**attributes[row], DEVICE: DEVICES[best[row]], CONFIDENCE: round(sure[row], 4)}
            )
            for row in rows
        ]
        note = f"devices: {len(rows)} of {counted(len(contacts), 'contact')} mostly use one"
        note += f"; of {int((~fits & ~stated & ~fixed).sum())} none is as likely as "
        note += f"{self._rules.least:g}"
        if (fixed & ~stated).any():
            note += f"; {int((fixed & ~stated).sum())} have decisions and get none"
        self._notes = [note]
        return with_cells(contacts, "attributes", rows, pa.array(marked, pa.string()))

    def notes(self) -> list[str]:
        """What was told, in a sentence; empty before, or without rules."""
        return self._notes

    def _acts(self, contacts: pa.Table) -> np.ndarray:
        """How often each contact acted on each device, [c, 3]."""
        names = pa.concat_arrays([pa.array([], pa.string()), *(who for who, _ in self._seen)])
        device = np.concatenate([np.zeros(0, np.int64), *(one for _, one in self._seen)])
        place = pc.index_in(names, value_set=contacts["contact_id"].combine_chunks())
        there = np.asarray(place.is_valid())
        cells = np.asarray(place.drop_null(), np.int64) * len(DEVICES) + device[there]
        counts = np.bincount(cells, minlength=len(contacts) * len(DEVICES))
        return counts.reshape(-1, len(DEVICES)).astype(np.float64)

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
