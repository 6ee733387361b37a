"""Going on with some of a block's contacts."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from nurture_envs.jit import jit
from nurture_envs.loops.loop_records import Shown, State, Wholes

_jit = jit()


@_jit
def _gather(source: NDArray[Any], rows: Wholes, to: NDArray[Any]) -> None:
    """Elements at ascending `rows` moved to the front of `to`, which may be `source`."""
    for i in range(rows.shape[0]):
        to[i] = source[rows[i]]


@_jit
def _gather_all(parts: NDArray[Any], rows: Wholes) -> None:
    for k in range(parts.shape[0]):
        _gather(parts[k], rows, parts[k])


@_jit
def keep(state: State, rows: Wholes) -> None:
    """Move the contacts at ascending `rows` to the front, in place."""
    past = state.past
    for part in (state.keys, state.bins, state.anchor, state.paused):
        _gather(part, rows, part)
    for flag in (state.zone, state.consent, state.available):
        _gather(flag, rows, flag)
    for count in (state.colleague_sends, state.colleague_talks, past.since):
        _gather(count, rows, count)
    _gather_all(state.sends, rows)
    for floats in (state.attributes, state.floats, past.sums, past.last):
        _gather_all(floats, rows)
    _gather_all(state.wholes, rows)
    _gather_all(state.flags, rows)
    for ago in range(past.ring.shape[0]):
        _gather_all(past.ring[ago], rows)
    for ago in range(past.due.shape[0]):
        _gather_all(past.waiting[ago], rows)
        _gather_all(past.due[ago], rows)


@_jit
def keep_shown(before: Shown, rows: Wholes, shown: Shown) -> None:
    """What the contacts at `rows` are shown, written to `shown`."""
    for k in range(shown.features.shape[0] // shown.stride):
        _gather(before.features[k * before.stride :], rows, shown.features[k * shown.stride :])
    for k in range(shown.mask.shape[0] // shown.stride):
        _gather(before.mask[k * before.stride :], rows, shown.mask[k * shown.stride :])
        _gather(before.reasons[k * before.stride :], rows, shown.reasons[k * shown.stride :])
