"""What became of mails goes back to the policy server as events, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nurture_rl.client import EventReport, OptOutNotStored, PolicyClient
from nurture_rl.delivery.delivery_ledger import DeliveryLedger, DeliveryOutcome
from nurture_rl.delivery.mail_bytes import decision_digest
from nurture_rl.delivery.planned_sends import utc_text

_MOST = 1_000  # events of one request


class OutcomeReports:
    """Reports what a ledger says is not reported yet; the server counts an event's id once."""

    def __init__(self, ledger: DeliveryLedger, client: PolicyClient) -> None:
        self._ledger, self._client = ledger, client
        self.refused: dict[str, str] = {}  # by decision, what the server did not take, and why

    def flush(self) -> None:
        """Report everything; what the server refuses stays to be reported.

        Raises:
            ServerAway: it does not answer.
            ServerRefusal: it takes none of the events.
        """
        while found := [
            one
            for one in self._ledger.unreported(_MOST + len(self.refused))
            if one.decision_id not in self.refused
        ]:
            report = reported(self._client, [event_of(one) for one in found])
            for row in report.rejected:
                self.refused[found[row["row"]].decision_id] = str(row["reason"])
            ids = [one.decision_id for one in found]
            self._ledger.report([name for name in ids if name not in self.refused])


def reported(client: PolicyClient, rows: Sequence[Mapping[str, Any]]) -> EventReport:
    """Tell the policy server; what it refuses stands in the report, opt-outs too.

    Raises:
        ServerAway: it does not answer.
        ServerRefusal: it takes none of the events.
    """
    try:
        return client.report(rows)
    except OptOutNotStored as error:
        return error.report


def event_of(outcome: DeliveryOutcome) -> dict[str, Any]:
    """An event as the policy server takes it; the same in every attempt."""
    properties: dict[str, Any] = {}
    if outcome.code is not None:
        properties["smtp_code"] = outcome.code
    if outcome.status is not None:
        properties["smtp_status"] = outcome.status
    return {
        "event_id": f"deliver-{decision_digest(outcome.decision_id)}-{outcome.event}",
        "contact_id": outcome.contact_id,
        "occurred_at": utc_text(outcome.at_us),
        "type": outcome.event,
        "source": "deliver",
        "decision_id": outcome.decision_id,
        "message_id": outcome.message,
        "topic": outcome.topic,
        "properties": properties,
    }
