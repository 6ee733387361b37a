"""A journey's guardrails as the numbers that compiled loops read."""

from __future__ import annotations

import numpy as np

from nurture_envs.actions import NOW, ActionCatalog, ActionKind
from nurture_envs.guardrails.rules import Reason
from nurture_envs.journey import GuardrailSettings
from nurture_envs.loops.guardrail_loops import NEVER_EXPIRES, Quiet, Tables, is_quiet

_ROW = {"pause": 0, "exit": 2, "escalate": 3}  # rows of the loops before those of the slots
_SLOTS = 4


def tables_of(catalog: ActionCatalog, settings: GuardrailSettings) -> Tables:
    """A journey's rules and catalogue as loops read them."""
    start, end = settings.quiet_hours or (0, 0)
    quiet = Quiet(start, end, *settings.unknown_zone_slack)
    kinds, action_kinds = catalog.kinds
    slots = list(dict.fromkeys(kind.slot for kind in kinds if kind.routing == "send"))
    expiry = [NEVER_EXPIRES if kind.expiry is None else kind.expiry for kind in kinds]
    drafts = [0 if kind.approved else Reason.NOT_APPROVED.value for kind in kinds]
    return Tables(
        no_consent=Reason.NO_CONSENT.value if settings.require_consent else 0,
        unavailable=Reason.UNAVAILABLE.value if settings.availability else 0,
        cap_counts=np.array([cap.maximum for cap in settings.caps], np.int64),
        cap_hours=np.array([cap.hours for cap in settings.caps], np.float64),
        gap_hours=float(settings.min_gap_hours),
        quiet=quiet,
        slot_hours=np.array(slots, np.float64),
        slot_quiet=np.array(
            [
                [slot != NOW and is_quiet(float(slot), anywhere, quiet) for slot in slots]
                for anywhere in (False, True)
            ],
            np.bool_,
        ),
        kind_rows=np.array([_row_of(kind, slots) for kind in kinds], np.int64),
        kind_bits=np.array(drafts, np.int16),
        kind_expiry=np.array(expiry, np.int64),
        action_kinds=np.array(action_kinds, np.int64),
    )


def _row_of(kind: ActionKind, slots: list[int]) -> int:
    if kind.routing == "send":
        return _SLOTS + slots.index(kind.slot)
    return _ROW[kind.routing] + int(kind.routing == "pause" and kind.long_pause)
