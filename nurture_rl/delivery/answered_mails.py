"""Which decision a mail belongs to, by the Message-ID that its ledger of deliveries knows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from nurture_rl.delivery.mail_bytes import decision_digest
from nurture_rl.errors import DeliveryError


def decisions_by_digest(path: Path) -> dict[str, str]:
    """The decisions of a ledger, by the first part of their mails' Message-IDs.

    The ledger is read beside a running `nurture deliver`.

    Raises:
        DeliveryError: there is no such ledger.
    """
    if not path.is_file():
        raise DeliveryError(f"ledger: expected a ledger of deliveries at {path}, it is not there")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            rows = file.execute("SELECT decision_id FROM deliveries").fetchall()
    except sqlite3.Error as error:
        raise DeliveryError(f"{path}: expected a ledger of deliveries, got: {error}") from error
    return {decision_digest(name): name for (name,) in rows}
