"""Starting again with an older log undoes nothing that the API was told since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.logs.schema import CONTACTS, EVENTS
from nurture_rl.serving.deciding.preload import load_log
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.records import Contact
from nurture_rl.serving.storage.store import Store

pytestmark = pytest.mark.usefixtures("either_database")

ADA = Contact("ada", None, "Europe/Berlin", 1.0, True, {})


def write_log(folder: Path, consent: bool) -> None:
    row = {
        "contact_id": "ada",
        "account_id": None,
        "time_zone": "Europe/Berlin",
        "zone_confidence": 1.0,
        "consent": consent,
        "attributes": "{}",
    }
    pq.write_table(pa.Table.from_pylist([row], CONTACTS), folder / "contacts.parquet")
    pq.write_table(EVENTS.empty_table(), folder / "events.parquet")


def test_a_withdrawn_consent_outlives_a_restart_with_the_old_log(tmp_path: Path) -> None:
    write_log(tmp_path, consent=True)
    store = Store(tmp_path / "store.db")
    assert load_log(store, tmp_path, Forbidding()) == (1, 0)
    store.put_contacts([replace(ADA, consent=False, time_zone="Europe/Paris")])
    assert load_log(store, tmp_path, Forbidding()) == (0, 0)
    (found,) = store.contacts(["ada"]).values()
    assert (found.consent, found.time_zone) == (False, "Europe/Paris")
    store.close()


def test_a_log_in_which_consent_is_gone_takes_it_from_who_is_known(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.put_contacts([replace(ADA, time_zone="Europe/Paris"), replace(ADA, contact_id="bob")])
    write_log(tmp_path, consent=False)
    assert load_log(store, tmp_path, Forbidding()) == (0, 0)
    found = store.contacts(["ada", "bob"])
    assert (found["ada"].consent, found["ada"].time_zone) == (False, "Europe/Paris")
    assert found["bob"].consent
    store.close()
