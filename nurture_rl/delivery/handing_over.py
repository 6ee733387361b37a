"""The verb `handoffs`: whom the policy passed on to sales, as packets or as tasks of a CRM."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from nurture_envs.clock import require_zone
from nurture_rl.delivery.message_templates import MergeField, read_template
from nurture_rl.delivery.recipients import one_line, text_table
from nurture_rl.delivery.recommendation_file import HandOver
from nurture_rl.delivery.sales_tasks import CrmIds, hubspot_task, salesforce_task
from nurture_rl.errors import ConfigError, DeliveryError
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.http.handoff_packets import HandoffDesk
from nurture_rl.serving.http.handoff_wire import HandoffOut
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.storage.locating import require_there
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

Task = Callable[[HandoffOut, CrmIds, str | None], dict[str, Any]]
_TASKS: Mapping[str, Task] = {"hubspot": hubspot_task, "salesforce": salesforce_task}


@dataclass(frozen=True, slots=True)
class HandoffOptions:
    """Which hand-offs are told, to whom and how."""

    bundle: str  # folder of the bundle that decides: its journey says how long mail is held
    out: str  # file to make, JSON Lines (.jsonl): a hand-off a line. It must not be there
    store: str = "runs/store.db"  # a server's store; the server may be running
    # Folders of bundles of further journeys, as the server has them.
    journeys: tuple[str, ...] = ()
    # packet: all that is known. hubspot, salesforce: a task as that CRM takes it.
    form: Literal["packet", "hubspot", "salesforce"] = "packet"
    # Parquet or CSV file with columns contact_id and crm_id, and perhaps crm_account_id and
    # crm_owner_id; needed for a CRM's tasks.
    crm_ids: str | None = None
    templates: str | None = None  # folder of approved texts, for the opener's words; null: none
    default_zone: str = "Europe/Berlin"  # IANA zone of contacts who have none


def hand_over(options: HandoffOptions) -> VerbResult:
    """Write every open hand-off that is a task of its own.

    Raises:
        NurtureError: settings, store, bundles, ids or texts cannot be used.
        OSError: the disk refuses.
    """
    require_zone(options.default_zone)
    if Path(options.out).suffix != ".jsonl":
        raise ConfigError(f"out: expected a name that ends in .jsonl, got {options.out}")
    if (options.form == "packet") != (options.crm_ids is None):
        raise ConfigError("expected crm_ids with form=hubspot or salesforce, and with no other")
    bundles = [load_bundle(Path(one)) for one in (options.bundle, *options.journeys)]
    require_there(options.store)
    with closing(StoreReader(options.store)) as store:
        now_us = int(time.time() * 1e6)
        desk = HandoffDesk.of(store, bundles, options.default_zone, store.seed, now_us, True)
        packets = list(desk.packets(desk.tasks("open")))
    ids = _crm_ids(options, packets)
    rows = [_row(one, options, ids, bundles) for one in packets]
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    HandOver(Path(options.out).absolute()).show(text.encode())
    print(f"{counted(len(rows), 'open hand-off')} written to {options.out}")
    return VerbResult({"out": options.out, "handoffs": len(rows)})


def _row(
    one: HandoffOut,
    options: HandoffOptions,
    ids: Mapping[str, CrmIds],
    bundles: Sequence[Bundle],
) -> dict[str, Any]:
    opener = _opener(one, options, bundles)
    if options.form == "packet":
        whole: dict[str, Any] = msgspec.to_builtins(one)
        return {**whole, "opener_text": opener}
    task = _TASKS[options.form](one, ids[contact_key(one.contact_id)], opener)
    return {"handoff_id": one.handoff_id, "task": task}


def _crm_ids(options: HandoffOptions, packets: Sequence[HandoffOut]) -> dict[str, CrmIds]:
    """The CRM's ids of contacts, by `contact_key`."""
    if options.crm_ids is None:
        return {}
    path = Path(options.crm_ids)
    table = text_table(path)
    if missing := [name for name in ("contact_id", "crm_id") if name not in table.column_names]:
        raise DeliveryError(f"{path}: expected the columns contact_id and crm_id, got no {missing}")
    found: dict[str, CrmIds] = {}
    for row in table.to_pylist():
        name = contact_key(row["contact_id"] or "")
        if name in found:
            raise DeliveryError(f"{path}: expected a row per contact, got two of {name!r}")
        cells = [
            one_line(row.get(column) or "", f"{path}: contact {name!r}, {column}") or None
            for column in ("crm_id", "crm_account_id", "crm_owner_id")
        ]
        if cells[0] is not None:
            found[name] = CrmIds(cells[0], cells[1], cells[2])
    if lost := [one.contact_id for one in packets if contact_key(one.contact_id) not in found]:
        raise DeliveryError(
            f"{path}: expected the CRM's id of every contact, got none of {len(lost)}: "
            f"{', '.join(map(repr, lost[:5]))}; add them"
        )
    return found


def _opener(one: HandoffOut, options: HandoffOptions, bundles: Sequence[Bundle]) -> str | None:
    """The approved text of the suggested message, its merge fields as they stand there."""
    if options.templates is None or one.opener is None:
        return None
    journey = next(b.journey for b in bundles if b.journey.name == one.journey)
    message = next(m for m in journey.messages if m.id == one.opener.message)
    own = Path(options.templates) / journey.name
    folder = own if (own / f"{message.id}.txt").exists() else Path(options.templates)
    pieces = read_template(folder, message).text.pieces
    return "".join(f"{{{{{p.name}}}}}" if isinstance(p, MergeField) else p for p in pieces)
