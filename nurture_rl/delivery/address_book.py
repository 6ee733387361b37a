"""Whose address is it: the recipients' table, read the other way round."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from nurture_rl.delivery.recipients import checked_address, text_table
from nurture_rl.errors import DeliveryError


def contacts_by_address(path: Path) -> dict[str, list[str]]:
    """The contacts who have each address, in small letters, in the order of their ids.

    Args:
        path: Parquet or CSV with the columns contact_id and email.

    Raises:
        DeliveryError: it cannot be read, or lacks a column.
    """
    table = text_table(path)
    if missing := [name for name in ("contact_id", "email") if name not in table.column_names]:
        raise DeliveryError(
            f"{path}: expected the columns contact_id and email, got no {', '.join(missing)}"
        )
    found: dict[str, set[str]] = {}
    for row in table.select(["contact_id", "email"]).to_pylist():
        name, email = row["contact_id"], (row["email"] or "").strip().lower()
        if not name or not email:
            continue
        spellings = {email}
        with suppress(DeliveryError):  # where no mail goes, a word from there still counts
            spellings.add(checked_address(email, str(path)).lower())
        for one in spellings:
            found.setdefault(one, set()).add(name)
    return {address: sorted(names) for address, names in found.items()}
