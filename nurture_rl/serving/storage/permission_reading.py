"""What contacts prefer, the consent ledger and the audit of limits, read from a store."""

from __future__ import annotations

from collections.abc import Sequence

from nurture_rl.serving.records import AuditEntry, ConsentEntry, Preferences
from nurture_rl.serving.storage.permission_rows import preferences_of
from nurture_rl.serving.storage.table_reading import TableReader


class PermissionReader(TableReader):
    """The part of a store's reader that asks these tables."""

    def preferences(self, ids: Sequence[str]) -> dict[str, Preferences]:
        """What those of these contacts prefer who said so."""
        stored = self._among("preferences", "contact_id", ids)
        return {row[0]: preferences_of(row) for row in stored}

    def consent_ledger(self, ids: Sequence[str]) -> list[ConsentEntry]:
        """What these contacts allowed and refused, in the order in which it was acknowledged."""
        return [ConsentEntry(*row) for row in self._among("consent_ledger", "contact_id", ids)]

    def audit(self, what: str) -> list[AuditEntry]:
        """The entries of the audit about something, in their order."""
        return [AuditEntry(*row) for row in self._among("audit", "what", [what])]
