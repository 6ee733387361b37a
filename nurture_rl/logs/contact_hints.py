"""What a log's events say of its contacts beside what happened: their time zones, their devices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from nurture_rl.errors import LogError
from nurture_rl.logs.device_rules import DEVICES_FILE, DeviceRules, load_device_rules
from nurture_rl.logs.device_search import DeviceSearch
from nurture_rl.logs.privacy_rules import PRIVACY_FILE, PrivacyRules
from nurture_rl.logs.zone_rules import ZONES_FILE, ZoneRules, load_zone_rules
from nurture_rl.logs.zone_search import ZoneSearch

HINT_FILES = frozenset({ZONES_FILE, DEVICES_FILE})


@dataclass(frozen=True, slots=True)
class HintRules:
    """What is inferred, and how."""

    zones: ZoneRules | None = None  # None: no zones
    devices: DeviceRules | None = None  # None: no devices


def load_hint_rules(folder: Path, privacy: PrivacyRules | None) -> HintRules:
    """The rules of a log's folder.

    Args:
        folder: with the log's files.
        privacy: rules of the same folder; None: it has none.

    Raises:
        LogError: one of the files cannot be used, or asks for an attribute that is not kept.
    """
    rules = HintRules(load_zone_rules(folder), load_device_rules(folder))
    kept = None if privacy is None else privacy.attributes
    asked = () if rules.devices is None else rules.devices.attributes()
    if kept is not None and not kept >= set(asked):
        raise LogError(
            f"{folder / DEVICES_FILE}: it asks for the attributes {' and '.join(asked)}, which"
            f" {PRIVACY_FILE} does not keep; add all to its `attributes`, or remove {DEVICES_FILE}"
        )
    return rules


class ContactHints:
    """Sees the events of some contacts after the others, then fills in what they say."""

    def __init__(self, rules: HintRules | None) -> None:
        """Begin; without rules nothing is inferred."""
        rules = rules or HintRules()
        self._zones, self._devices = ZoneSearch(rules.zones), DeviceSearch(rules.devices)

    def see(self, events: pa.Table) -> pa.Table:
        """Look at all events of some contacts; the events stay as they are."""
        return self._devices.see(self._zones.see(events))

    def filled(self, contacts: pa.Table, decided: pa.ChunkedArray) -> pa.Table:
        """Contacts with what was inferred of those without decisions.

        Args:
            contacts: rows of the contacts table, of all whose events were seen.
            decided: contacts with decisions.
        """
        return self._devices.with_devices(self._zones.with_zones(contacts, decided), decided)

    def notes(self) -> tuple[str, ...]:
        """What was inferred, in sentences."""
        return (*self._zones.notes(), *self._devices.notes())
