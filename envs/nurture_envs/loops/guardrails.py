"""A journey's guardrails as the numbers that compiled loops read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog, ActionKind
from nurture_envs.guardrails.reasons import CAP_REASONS, Reason
from nurture_envs.guardrails.remembered import days_of, sends_kept
from nurture_envs.journey import Group, GuardrailSettings
from nurture_envs.loops.guardrail_loops import NEVER_EXPIRES, Quiet, Tables, is_quiet

# Rows of the loops before those of the slots.
_ROW = {"pause": 0, "slow": 1, "exit": 2, "escalate": 3}
_SLOTS = 4


def tables_of(catalog: ActionCatalog, settings: GuardrailSettings) -> Tables:
    """A journey's rules and catalogue as loops read them."""
    start, end = settings.quiet_hours or (0, 0)
    quiet = Quiet(start, end, *settings.unknown_zone_slack)
    kept = sends_kept(settings)
    places = list(kept)
    kinds, action_kinds = catalog.kinds(places)
    sends = [kind for kind in kinds if kind.routing == "send"]
    rows = list(dict.fromkeys((kind.slot, kind.groups) for kind in sends))
    slots = [slot for slot, _ in rows]
    expiry = [NEVER_EXPIRES if kind.expiry is None else kind.expiry for kind in kinds]
    drafts = [0 if kind.approved else Reason.NOT_APPROVED.value for kind in kinds]
    return Tables(
        no_consent=Reason.NO_CONSENT.value if settings.require_consent else 0,
        unavailable=Reason.UNAVAILABLE.value if settings.availability else 0,
        kept_from=np.cumsum([0, *kept.values()], dtype=np.int64),
        kept_bits=np.array([CAP_REASONS[group[0]] for group in kept], np.int32),
        cap_kept=np.array([places.index(cap.group) for cap in settings.caps], np.int64),
        cap_counts=np.array([cap.maximum for cap in settings.caps], np.int64),
        cap_hours=np.array([cap.hours for cap in settings.caps], np.float64),
        tiers=_tiers(settings),
        probe_bins=_probe_bins(settings),
        gap_hours=float(settings.min_gap_hours),
        slow_hours=float(settings.slow.gap_hours if settings.slow else settings.min_gap_hours),
        quiet=quiet,
        blackout=np.array(days_of(settings), np.int64).reshape(-1, 2),
        slot_hours=np.array(slots, np.float64),
        slot_kept=places_of([groups for _, groups in rows], places),
        slot_quiet=np.array(
            [
                [slot != NOW and is_quiet(float(slot), anywhere, quiet) for slot in slots]
                for anywhere in (False, True)
            ],
            np.bool_,
        ),
        kind_rows=np.array([_row_of(kind, rows) for kind in kinds], np.int64),
        kind_bits=np.array(drafts, np.int32),
        kind_expiry=np.array(expiry, np.int64),
        kind_offer=np.array([-1 if k.offer is None else k.offer for k in kinds], np.int64),
        action_kinds=np.array(action_kinds, np.int64),
    )


def _tiers(settings: GuardrailSettings) -> NDArray[np.float64]:
    tiers = settings.inactivity.tiers if settings.inactivity is not None else ()
    rows = [(tier.bins, tier.maximum, tier.hours) for tier in tiers]
    return np.array(rows, np.float64).reshape(-1, 3)


def _probe_bins(settings: GuardrailSettings) -> float:
    idle = settings.inactivity
    return np.inf if idle is None or idle.probe_bins is None else float(idle.probe_bins)


def places_of(rows: Sequence[Sequence[Group]], places: Sequence[Group]) -> NDArray[np.int64]:
    """Positions in `places` of those groups that stand there, a row each, then zeros, [r, w]."""
    found = [[places.index(group) for group in row if group in places] for row in rows]
    width = max([1, *map(len, found)])
    padded = [row + [0] * (width - len(row)) for row in found]
    return np.array(padded, np.int64).reshape(-1, width)


def _row_of(kind: ActionKind, rows: list[tuple[int, tuple[Group, ...]]]) -> int:
    if kind.routing == "send":
        return _SLOTS + rows.index((kind.slot, kind.groups))
    return _ROW[kind.routing] + int(kind.routing == "pause" and kind.long_pause)
