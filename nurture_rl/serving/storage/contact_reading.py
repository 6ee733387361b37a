"""Who there is: the store's contacts, their accounts, zones and ids, and who was erased."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Contact
from nurture_rl.serving.storage import rows
from nurture_rl.serving.storage.erased_marks import mark_of
from nurture_rl.serving.storage.table_reading import TableReader

_BLOCK = 50_000  # rows read from the database at a time


class ContactReader(TableReader):
    """The part of a store's reader that asks who there is."""

    salt: str  # of the marks of erased contacts

    def contacts(self, ids: Sequence[str]) -> dict[str, Contact]:
        """The contacts of these ids that exist."""
        stored = self._among("contacts", "contact_id", ids)
        return {row[0]: rows.contact_of(row) for row in stored}

    def accounts_of(self, ids: Sequence[str]) -> dict[str, str]:
        """The account of each of these contacts who has one, by `account_key`."""
        columns, where = "contact_id, account_key", "account_key IS NOT NULL"
        return dict(self._among("contacts", "contact_id", ids, columns, where=where))

    def zones_of(self, ids: Sequence[str]) -> dict[str, str | None]:
        """The zone of each of these contacts who exist; None: they have none."""
        return dict(self._among("contacts", "contact_id", ids, "contact_id, time_zone"))

    def members(self, account_keys: Sequence[str]) -> dict[str, list[str]]:
        """The contacts of each of these accounts, by `account_key`."""
        found: dict[str, list[str]] = defaultdict(list)
        columns = "account_key, contact_id"
        for account, contact in self._among("contacts", "account_key", account_keys, columns):
            found[account].append(contact)
        return dict(found)

    def erased(self, ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        """The mark of those of these contacts who were erased, and when, microseconds since 1970.

        Of two erasures the later one; the contact may have come back since.
        """
        key_of = {mark_of(self.salt, key): key for key in map(contact_key, ids)}
        found = self._among("erased_contacts", "mark", list(key_of))
        return {key_of[mark]: (mark, at_us) for mark, at_us in found}

    def names(self) -> Iterator[list[str]]:
        """The ids of all contacts as they came, in blocks, as of the first block."""
        asked = "SELECT coalesce(nullif(spelling, ''), contact_id) FROM contacts ORDER BY rowid"
        with self._source.blocks(asked, _BLOCK) as blocks:
            yield from ([name for (name,) in block] for block in blocks)

    def spellings(self) -> dict[str, str]:
        """Contact ids as they came, where that is not how they are stored."""
        asked = "SELECT contact_id, spelling FROM contacts WHERE spelling IS NOT NULL"
        return dict(self._source.read(asked))
