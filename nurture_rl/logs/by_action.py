"""Probabilities and masks written by action id → lists in the catalogue's order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from nurture_rl.logs.convert import Converted

BY_ACTION = {"probabilities": 0.0, "mask": False}  # column → what an action not named has


def lists_by_action(name: str, cells: pa.Array, actions: Sequence[str]) -> Converted:
    """Turn objects `{action id: number}` into JSON lists; other cells stay as they are.

    Args:
        name: one of `BY_ACTION`.
        cells: as the file gave them: text, structs, maps or lists, [n].
        actions: the catalogue's ids in order.
    """
    kind = cells.type
    if not (pa.types.is_string(kind) or pa.types.is_struct(kind) or pa.types.is_map(kind)):
        return Converted(cells, pa.nulls(len(cells), pa.string()))
    values: list[str | None] = []
    reasons: list[str | None] = []
    for cell in cells.to_pylist():
        value, reason = _listed(name, cell, actions)
        values.append(value)
        reasons.append(reason)
    return Converted(pa.array(values, pa.string()), pa.array(reasons, pa.string()))


def _listed(name: str, cell: object, actions: Sequence[str]) -> tuple[str | None, str | None]:
    if cell is None or (isinstance(cell, str) and not cell.lstrip().startswith("{")):
        return cell, None
    try:
        given = msgspec.json.decode(cell, type=dict[str, object]) if isinstance(cell, str) else cell
    except (msgspec.DecodeError, RecursionError):
        return None, f"wrong type: {name} must be a list or an object by action id, got '{cell}'"
    members = dict(given)  # type: ignore[call-overload]
    unknown = [key for key, value in members.items() if key not in actions and value is not None]
    if unknown:
        return None, f"unknown action: {name} names '{unknown[0]}', which the catalogue lacks"
    row = [members.get(action) for action in actions]
    filled = [BY_ACTION[name] if value is None else value for value in row]
    return msgspec.json.encode(filled).decode(), None
