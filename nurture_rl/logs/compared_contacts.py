"""Rows of contacts → records whose columns can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from nurture_rl.errors import LogError
from nurture_rl.identity.compared_values import comparable
from nurture_rl.identity.kept_apart import Values
from nurture_rl.identity.resolve import FROM_THE_START
from nurture_rl.logs.identity_rules import IDENTITY_FILE, IdentityRules
from nurture_rl.wording import counted

_KEY = "key:"  # such as key:email, the first key of that kind
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def compared_contacts(
    rows: pa.Table, contacts: pa.Array, rules: IdentityRules
) -> tuple[pa.Table, list[str]]:
    """What `likely_links` compares, and what to know of it.

    A row without a usable time, where the rules name a column of times, is not compared. A day
    without an hour is over before its rows are known.

    Args:
        rows: checked rows of contacts, [n].
        contacts: the contact of each row, null where it has none, [n].
        rules: with columns to compare.

    Raises:
        LogError: no row has one of the columns.
    """
    assert rules.linking is not None
    kinds = rules.linking.comparisons
    made: dict[str, list[Any]] = {name: [] for name in ("contact", "known_at", *kinds)}
    seen: set[str] = set()
    untimed = 0
    columns = {name: rows[name].to_pylist() for name in ("attributes", "keys", "account_id")}
    for i, contact in enumerate(contacts.to_pylist()):
        row = _cells(columns["attributes"][i], columns["keys"][i], columns["account_id"][i])
        seen.update(row)
        values = {
            name: comparable(row[name], kind) if name in row else None
            for name, kind in kinds.items()
        }
        if contact is None or not any(values.values()):
            continue
        known = FROM_THE_START if rules.since is None else _moment(row.get(rules.since, ""))
        if known is None:
            untimed += 1
            continue
        for name, value in (("contact", contact), ("known_at", known), *values.items()):
            made[name].append(value)
    _require_columns(seen, rules)
    notes = []
    if untimed:
        notes.append(
            f"{IDENTITY_FILE}: {counted(untimed, 'contact row')} not compared, as {rules.since} "
            "says no time with a zone; without it nobody knows which decisions could know of them"
        )
    types = {"known_at": pa.int64()}
    table = {name: pa.array(column, types.get(name, pa.string())) for name, column in made.items()}
    return pa.table(table), notes


def values_apart(rows: pa.Table, names: pa.Array, rules: IdentityRules) -> Values:
    """What each name's rows say in the columns that never differ within a person, timed or not.

    Args:
        rows: checked rows of contacts, [n].
        names: of whom each row is, null where of nobody, [n].
        rules: with such columns.
    """
    assert rules.linking is not None
    kinds = {name: rules.linking.comparisons[name] for name in rules.linking.must_not_differ}
    found: dict[str, dict[str, frozenset[str]]] = {}
    columns = (rows[name].to_pylist() for name in ("attributes", "keys", "account_id"))
    for who, *row in zip(names.to_pylist(), *columns, strict=True):
        cells = {} if who is None else _cells(*row)
        for name in cells.keys() & kinds.keys():
            value = comparable(cells[name], kinds[name])
            if value is not None:
                said = found.setdefault(who, {})
                said[name] = said.get(name, frozenset()) | {value}
    return found


def _cells(attributes: str, keys: list[str] | None, account: str | None) -> Mapping[str, str]:
    """The columns of one row as text; of several keys of a kind the first by name."""
    given = json.loads(attributes).items()
    cells = {name: str(value) for name, value in given if value is not None and value != ""}
    for key in sorted(keys or (), reverse=True):
        kind, _, value = key.partition(":")
        cells[_KEY + kind] = value
    return cells if account is None else {"account_id": account, **cells}


def _moment(text: str) -> int | None:
    """UTC microseconds of an ISO-8601 time with a zone, or of the end of a day; else None."""
    try:
        if _DAY.fullmatch(text):
            found = datetime.fromisoformat(f"{text}T00:00:00+00:00") + timedelta(days=1)
        else:
            found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else round(found.timestamp() * 1e6)


def _require_columns(seen: set[str], rules: IdentityRules) -> None:
    """Guard against misspelt columns.

    Raises:
        LogError: no row has one of those that the rules name.
    """
    assert rules.linking is not None
    named = [*rules.linking.comparisons, *([rules.since] if rules.since else [])]
    missing = [name for name in named if name not in seen]
    if missing:
        raise LogError(
            f"{IDENTITY_FILE}: no contact row has {', '.join(map(repr, missing))}; they have "
            f"{', '.join(map(repr, sorted(seen))) or 'none'} (a mapping keeps columns under `keep`)"
        )
