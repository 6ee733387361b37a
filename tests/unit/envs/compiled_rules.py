"""The compiled guardrails alone, as `legal_actions` is asked: facts in, masks and reasons out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import ShapeError, SimulationError
from nurture_envs.guardrails import GuardrailFacts
from nurture_envs.guardrails.remembered import sends_remembered
from nurture_envs.journey import GuardrailSettings
from nurture_envs.loops.guardrail_loops import LoopFacts, write_rules
from nurture_envs.loops.guardrails import tables_of


class CompiledRules:
    """`legal_actions` compiled: the same bits, written straight into the caller's rows.

    Calls keep no state and hold no lock of the interpreter, so that threads may share the rules.
    The first call in a process compiles, or loads what an earlier process compiled.

    Args:
        catalog: the actions, in their order.
        settings: the journey's hard limits.
    """

    def __init__(self, catalog: ActionCatalog, settings: GuardrailSettings) -> None:
        self._remembered = sends_remembered(settings)
        self._tables = tables_of(catalog, settings)
        self._write = write_rules

    def __call__(
        self, facts: GuardrailFacts, mask: NDArray[np.bool_], reasons: NDArray[np.int32]
    ) -> None:
        """Write which actions are legal, and why the others are not.

        Args:
            facts: numpy arrays without NaN; `sends_hours` is fastest as the transpose of [k, n].
            mask: written, [a, n]; a row is contiguous, rows may lie any distance apart.
            reasons: written, [a, n], likewise; a union of `Reason` bits, 0 where legal.

        Raises:
            ShapeError: arrays do not belong together, or an output's rows are not contiguous.
            SimulationError: clocks are set on the way, as no simulated clock is.
        """
        if facts.set_forward is not None:
            raise SimulationError(
                "compiled guardrails are for clocks that nobody sets, got `set_forward`; ask "
                "`legal_actions`"
            )
        n = len(facts.now_hours)
        shape = (len(self._tables.action_kinds), n)
        mask_step = _checked_step(mask, shape, np.bool_)
        reasons_step = _checked_step(reasons, shape, np.int32)
        contacts, sends = _contacts(facts), facts.sends_hours.T
        lengths = {len(part) for part in contacts} | {sends.shape[1]}
        if lengths != {n} or len(sends) < self._remembered:
            raise ShapeError(
                f"expected every fact to be [{n}] like now_hours and sends_hours [{n}, "
                f"{self._remembered} or more], got lengths {sorted(lengths)} and sends_hours "
                f"{facts.sends_hours.shape}; take all facts from the same contacts"
            )
        if not _has_rows(sends) or sends.dtype != np.float64:
            sends = np.ascontiguousarray(sends, np.float64)
        if n:
            self._write(
                contacts,
                (_flat(sends), _step(sends), len(sends)),
                self._tables,
                (_flat(mask), mask_step),
                (_flat(reasons), reasons_step),
            )


def _contacts(facts: GuardrailFacts) -> LoopFacts:
    n = len(facts.now_hours)

    def flags(fact: Any) -> NDArray[np.uint8]:
        if isinstance(fact, bool):
            return np.full(n, fact, np.uint8)
        return np.ascontiguousarray(fact, np.bool_).view(np.uint8)

    return LoopFacts(
        consent=flags(facts.consent),
        opted_out=flags(facts.opted_out),
        hard_bounced=flags(facts.hard_bounced),
        conversation=flags(facts.conversation),
        intent=flags(facts.intent),
        paused=flags(facts.paused),
        available=flags(facts.available),
        zone_known=flags(facts.zone_known),
        now_hours=np.ascontiguousarray(facts.now_hours, np.float64),
        midnight_hours=np.ascontiguousarray(facts.midnight_hours, np.float64),
        today=np.ascontiguousarray(facts.today, np.int64),
        slowed=flags(facts.slowed),
        eligible=_bits(facts.eligible, n),
        inactive=np.zeros(n, np.float32)
        if facts.inactive is None
        else np.ascontiguousarray(facts.inactive, np.float32),
        probed=flags(facts.probed),
    )


def _bits(eligible: Any, n: int) -> NDArray[np.int64]:
    """Bit o is 1 where limited offer o is for the contact, [n]."""
    if eligible is None:
        return np.zeros(n, np.int64)
    return np.asarray(eligible @ (np.int64(1) << np.arange(eligible.shape[1])), np.int64)


def _has_rows(rows: NDArray[Any]) -> bool:
    """Whether rows are contiguous and follow each other in memory."""
    between, within = rows.strides
    whole = between >= 0 and between % rows.itemsize == 0
    return (rows.shape[1] < 2 or within == rows.itemsize) and (len(rows) < 2 or whole)


def _step(rows: NDArray[Any]) -> int:
    """Elements from one row to the next."""
    return int(rows.strides[0] // rows.itemsize) if len(rows) > 1 else 0


def _checked_step(rows: NDArray[Any], shape: tuple[int, int], dtype: DTypeLike) -> int:
    """`_step` of an output that has been checked."""
    if rows.shape != shape or rows.dtype != dtype or not _has_rows(rows):
        raise ShapeError(
            f"expected {np.dtype(dtype)} {list(shape)} with contiguous rows, got {rows.dtype} "
            f"{list(rows.shape)} with strides {rows.strides} B; give rows of an array [a, n]"
        )
    return _step(rows)


def _flat(rows: NDArray[Any]) -> NDArray[Any]:
    """The memory from the first element to the last: contiguous, so that loops are fast."""
    length = _step(rows) * (len(rows) - 1) + rows.shape[1]
    return np.lib.stride_tricks.as_strided(rows, (length,), (rows.itemsize,))
