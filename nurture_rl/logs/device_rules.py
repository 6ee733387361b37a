"""Which device people mostly use: the file `devices.yaml` beside a log's files asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurture_rl.logs.rule_files import rule_fields

DEVICES_FILE = "devices.yaml"
DEVICES = ("computer", "phone", "tablet")
_LEAST = 0.9
_PRIOR = 2.0  # acts that the habits of all count for beside a contact's own
# What senders call devices, and what browsers say of themselves; the first that fits holds.
_WORDS = {
    "tablet": r"tablet(?! pc)|ipad|kindle|silk/|android(?!.*mobile)",
    "phone": r"mobile|phone|ipod|android|blackberry|opera mini",
    "computer": r"desktop|computer|\bpc\b|laptop|windows nt|macintosh|x11|cros ",
}
_PATTERNS = {device: re.compile(pattern) for device, pattern in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class DeviceRules:
    """How habits are told."""

    least: float  # probability below which nothing is told of a contact, in [0.5, 1]


def load_device_rules(folder: Path) -> DeviceRules | None:
    """The rules of a log's folder; None: it has none, and nothing is told.

    Raises:
        LogError: the file cannot be used.
    """
    path = folder / DEVICES_FILE
    if not path.is_file():
        return None
    with rule_fields(path, "devices") as f:
        return DeviceRules(least=f.number("least", _LEAST, low=0.5, high=1.0))


def device_of(*told: object) -> str | None:
    """The device that words of a sender or of a browser name; None: none that is known.

    Args:
        told: such as `MOBILE`, or what a browser says of itself; the first that names one counts.
    """
    for one in told:
        if isinstance(one, str):
            plain = one.lower()
            for device, pattern in _PATTERNS.items():
                if pattern.search(plain):
                    return device
    return None


def usual_devices(acts: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which device each contact uses for more than half of what it does, and how sure that is.

    Shares are Dirichlet: those of all contacts count for two acts beside a contact's own.

    Args:
        acts: by contact and device, [c, 3].

    Returns:
        Place in `DEVICES` of the most likely one, [c], and the probability that its share is above
        one half, [c].
    """
    from scipy.special import betaincc  # servers read device words, and need no scipy

    everybody = (acts.sum(axis=0) + 1.0) / (acts.sum() + len(DEVICES))
    known = acts + _PRIOR * everybody
    best = known.argmax(axis=1)
    alpha = known[np.arange(len(known)), best]
    return best, betaincc(alpha, known.sum(axis=1) - alpha, 0.5)
