"""A shadow is asked about what was decided, once that is on disk, and is never followed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_rl.serving.layers import Layer, probabilities
from nurture_rl.serving.records import Decision, Shadow

_MOST_WAITING = 20_000  # decisions; further ones are not shown to the shadow

_log = logging.getLogger(__name__)


class ShadowLog(Protocol):
    """Where it is kept what shadows say."""

    def add_shadows(self, shadows: Sequence[Shadow]) -> None:
        """Keep it."""
        ...


class Shadowing:
    """Asks shadows on a thread of its own; whatever goes wrong there hurts no answer."""

    def __init__(self, log: ShadowLog, clock: Callable[[], int]) -> None:
        self._log, self._clock = log, clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._counting = threading.Lock()
        self._waiting = 0
        self.missed = 0  # decisions since the start that no shadow was asked about, or in vain

    def see(
        self, shadow: Layer | None, catalog: ActionCatalog, decisions: Sequence[Decision]
    ) -> None:
        """Have a shadow asked about decisions, some time soon.

        Args:
            shadow: who is asked; None: nobody is.
            catalog: of the decisions.
            decisions: what was decided, on disk.
        """
        if shadow is None:
            return
        with self._counting:
            if self._waiting + len(decisions) > _MOST_WAITING:
                self.missed += len(decisions)
                return
            self._waiting += len(decisions)
        self._pool.submit(self._ask, shadow, catalog, decisions)

    def finish(self) -> None:
        """Ask nobody any more, also of those who wait."""
        self._pool.shutdown(cancel_futures=True)

    def _ask(self, shadow: Layer, catalog: ActionCatalog, decisions: Sequence[Decision]) -> None:
        try:
            said = [_said(shadow, catalog, decision, self._clock()) for decision in decisions]
            self._log.add_shadows([one for one in said if one is not None])
        except Exception:  # a store that is full or closed: the decisions themselves are safe
            _log.exception("what shadow %s said was not kept", shadow.policy_id)
            with self._counting:
                self.missed += len(decisions)
        finally:
            with self._counting:
                self._waiting -= len(decisions)


def _said(shadow: Layer, catalog: ActionCatalog, decision: Decision, at_us: int) -> Shadow | None:
    """What a shadow says of one decision, by the features and the mask that were logged."""
    if decision.features is None:
        return None
    features = np.array([decision.features], np.float32)
    try:
        table = probabilities(shadow.policy, features, np.array([decision.mask], np.bool_))
    except Exception as error:  # whatever a model raises
        note = f"{type(error).__name__}: {error}"
        return Shadow(decision.decision_id, shadow.policy_id, at_us, None, None, note)
    chance = float(table[0, catalog.index(decision.action)])
    said = tuple(table[0].tolist())
    return Shadow(decision.decision_id, shadow.policy_id, at_us, chance, said)
