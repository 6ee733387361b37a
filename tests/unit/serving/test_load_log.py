"""Starting again with an older log undoes nothing that the API was told since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.logs.schema import CONTACTS, EVENTS
from nurture_rl.serving.records import Contact
from nurture_rl.serving.store import Store

ADA = Contact("ada", None, "Europe/Berlin", 1.0, True, {})


def test_a_withdrawn_consent_outlives_a_restart_with_the_old_log(tmp_path: Path) -> None:
    row = {
        "contact_id": "ada",
        "account_id": None,
        "time_zone": "Europe/Berlin",
        "zone_confidence": 1.0,
        "consent": True,
        "attributes": "{}",
    }
    pq.write_table(pa.Table.from_pylist([row], CONTACTS), tmp_path / "contacts.parquet")
    pq.write_table(EVENTS.empty_table(), tmp_path / "events.parquet")
    store = Store(tmp_path / "store.db")
    assert store.load_log(tmp_path) == (1, 0)
    store.put_contacts([replace(ADA, consent=False, time_zone="Europe/Paris")])
    assert store.load_log(tmp_path) == (0, 0)
    (found,) = store.contacts(["ada"]).values()
    assert (found.consent, found.time_zone) == (False, "Europe/Paris")
    store.close()
