"""The lot that lets a mail through to contacts who have done nothing for long."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nurture_envs.journey import Journey
from nurture_rl.serving.records import ContactView


def probed(
    journey: Journey, views: Sequence[ContactView], bins: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whose lot of this bin lets a probe through, [n]; the same at every asking.

    Args:
        journey: says for which share of bins.
        views: the contacts, [n].
        bins: the current bin of each, [n].
    """
    idle = journey.guardrails.inactivity
    if idle is None or idle.probe_bins is None:
        return np.ones(len(views), np.bool_)
    lots = [
        _lot(view.episode.episode_id, bin_) for view, bin_ in zip(views, bins.tolist(), strict=True)
    ]
    return np.array(lots, np.float64) < idle.probe_share


def _lot(episode_id: str, bin_: int) -> float:
    digest = hashlib.blake2b(f"probe:{episode_id}:{bin_}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
