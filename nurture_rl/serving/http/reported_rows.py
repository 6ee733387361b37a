"""From what senders report to rows of known contacts: who is meant, and what the mail was about."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nurture_envs.stops import forbids, say_of
from nurture_rl.logs.reported.report_format import ReportedEvent, Row, UntranslatedRow
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.taking_events import BroughtRow, RefusedEventRow, take_events
from nurture_rl.serving.http.wire import EventsOut, RequestError, require_id
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Decision
from nurture_rl.serving.senders.sender_adapter import SenderAdapter
from nurture_rl.serving.storage.reading import message_of
from nurture_rl.wording import counted

_log = logging.getLogger(__name__)

_NOBODY = (
    "it names no contact that is known; let the mail carry the custom argument contact_id or "
    "decision_id"
)
_ERASED = "the contact was erased: nothing of it is kept"


@dataclass(frozen=True, slots=True)
class _Reported:
    """An event that a row reports, and what came with it."""

    position: int  # of the row in the request
    said: ReportedEvent
    raw: Row
    notes: tuple[str, ...] = ()

    def text(self, name: str) -> str | None:
        """A cell that is a text; None: there is none."""
        cell = self.said.cells.get(name)
        return cell if isinstance(cell, str) else None

    def having(self, note: str | None = None, **cells: Any) -> _Reported:
        """The same with other cells; None takes one away."""
        changed = {**self.said.cells, **cells}
        kept = {name: cell for name, cell in changed.items() if cell is not None}
        notes = self.notes if note is None else (*self.notes, note)
        return replace(self, said=replace(self.said, cells=kept), notes=notes)


def take_reported(service: Service, adapter: SenderAdapter, rows: Sequence[Any]) -> EventsOut:
    """Take the rows of a request that its sender signed.

    A row that names no contact, or none that can be read, is its decision's contact's, or of the
    contact whose id is the address. A word against mail that names a contact nobody knows counts
    for the contact of the address, too. Of a contact who was erased nothing is kept but later
    consent.

    Args:
        service: of a store.
        adapter: of the sender.
        rows: of the request.
    """
    reported, refused = _translated(adapter, rows)
    reported = _joined(service, reported)
    names = [name for one in reported if (name := one.text("contact_id")) is not None]
    known = service.store.contacts(names)
    addresses = [address for one in reported if (address := one.said.recipient)]
    erased = service.store.erased([*names, *addresses])
    brought: list[BroughtRow] = []
    strangers = 0
    for one in reported:
        name, forbidding = one.text("contact_id"), _forbids(one)
        key = None if name is None else contact_key(name)
        if _asks_for_address(one) and contact_key(one.said.recipient or "") in erased:
            refused.append(RefusedEventRow(one.position, _ERASED, False, None))
        elif _asks_for_address(one):
            why = "; ".join((*one.notes, _NOBODY))
            refused.append(RefusedEventRow(one.position, why, forbidding, one.raw))
        elif key in erased and key not in known and one.text("type") != "resubscribe":
            refused.append(RefusedEventRow(one.position, _ERASED, False, None))
        else:
            notes = one.notes
            strangers += forbidding and key not in known
            if key not in known and not forbidding:  # words against mail are told by themselves
                notes = (*notes, f"no contact {name!r} is known: kept for one of this id")
            brought.append(BroughtRow(one.position, one.said.cells, one.raw, notes))
    out = take_events(service, f"/v1/webhooks/{adapter.name}", brought, refused)
    if lost := sum(row.may_forbid_mail for row in out.rejected):  # senders read no answers
        _log.warning(
            "%s of %s may forbid mail and could not be stored; the table quarantine has them",
            counted(lost, "row"),
            adapter.name,
        )
    if strangers:
        _log.warning(
            "%s of %s against mail of contacts that nobody knows: kept for contacts of these ids",
            counted(strangers, "word"),
            adapter.name,
        )
    return out


def _translated(
    adapter: SenderAdapter, rows: Sequence[Any]
) -> tuple[list[_Reported], list[RefusedEventRow]]:
    reported: list[_Reported] = []
    refused: list[RefusedEventRow] = []
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            text = f"expected an object, got {type(row).__name__}"
            refused.append(RefusedEventRow(position, text, True, {"row": row}))
            continue
        try:
            reported += [_readable(_Reported(position, one, row)) for one in adapter.events(row)]
        except UntranslatedRow as error:
            refused.append(RefusedEventRow(position, str(error), error.may_forbid_mail, row))
    return reported, refused


def _joined(service: Service, reported: Sequence[_Reported]) -> list[_Reported]:
    """What rows leave out, from their decisions: the contact, and the topic of the message."""
    ids = [name for one in reported if (name := one.text("decision_id")) is not None]
    decisions = service.store.decisions(ids)
    names = [one.said.recipient for one in reported if _forbids(one) or _asks_for_address(one)]
    names += [one.text("contact_id") for one in reported if _forbids(one)]
    known = service.store.contacts([name for name in names if name])

    def topic_of(decision: Decision) -> str:
        messages = service.journeys.home(decision).bundle.catalog.messages
        sent = message_of(decision.action)
        return next((message.topic for message in messages if message.id == sent), "")

    def joined() -> Iterator[_Reported]:
        for one in reported:
            decision = decisions.get(one.text("decision_id") or "")
            if decision is not None:
                one = _of_decision(one, decision, topic_of(decision))
            address = one.said.recipient
            if address and contact_key(address) in known:
                if _asks_for_address(one):
                    one = one.having(contact_id=address)
                elif _forbids(one) and contact_key(one.text("contact_id") or "") not in known:
                    yield _of_address(one, address)
            yield one

    return list(joined())


def _of_decision(one: _Reported, decision: Decision, topic: str) -> _Reported:
    name = one.said.cells.get("contact_id")
    if name is None:
        one = one.having(contact_id=decision.contact_id)
    elif one.text("contact_id") is None or contact_key(name) != contact_key(decision.contact_id):
        own = one.said.cells.get("properties")
        inside = {**(own if isinstance(own, dict) else {}), "other_decision": decision.decision_id}
        note = "the decision is another contact's: decision_id is kept as a property alone"
        return one.having(note, decision_id=None, properties=inside)
    return one if "topic" in one.said.cells else one.having(topic=topic or None)


def _of_address(one: _Reported, address: str) -> _Reported:
    """The same word of the contact whose id is the address: no decision or mail of theirs."""
    name = one.text("event_id")
    cells = {"contact_id": address, "event_id": None if name is None else f"{name}:address"}
    return one.having(**cells, decision_id=None, message_id=None, topic=None)


def _readable(one: _Reported) -> _Reported:
    """The same without a contact that can be none: who is meant may be told in another way."""
    if _asks_for_address(one):
        return one
    name = one.said.cells["contact_id"]
    try:
        if isinstance(name, str):
            require_id(name, "$.contact_id", contact=True)
            return one
    except RequestError:
        pass
    return one.having(f"contact_id {str(name)[:100]!r} is no id of a contact", contact_id=None)


def _forbids(one: _Reported) -> bool:
    return forbids(say_of(one.text("type") or "", None))


def _asks_for_address(one: _Reported) -> bool:
    return "contact_id" not in one.said.cells
