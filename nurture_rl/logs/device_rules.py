"""Which device people mostly use: the file `devices.yaml` beside a log's files asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurture_envs.fields import Fields
from nurture_rl.logs.rule_files import rule_fields

DEVICES_FILE = "devices.yaml"
DEVICE, CONFIDENCE = "device", "device_confidence"  # attributes of contacts
DEVICES = ("computer", "phone", "tablet")
_LEAST = 0.9
_PART = re.compile(r"(?!.*confidence$)[a-z][a-z0-9_]*")
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
    hours: Mapping[str, tuple[int, int]]  # part of the day → local hours, the second not with it

    def attributes(self) -> tuple[str, ...]:
        """The attributes of contacts that may be told."""
        parts = (name for part in self.hours for name in part_attributes(part))
        return (DEVICE, CONFIDENCE, *parts)


def part_attributes(part: str) -> tuple[str, str]:
    """The attributes that tell the device of a part of the day, and how sure it is."""
    return f"{DEVICE}_{part}", f"{DEVICE}_{part}_confidence"


def load_device_rules(folder: Path) -> DeviceRules | None:
    """The rules of a log's folder; None: it has none, and nothing is told.

    Raises:
        LogError: the file cannot be used.
    """
    path = folder / DEVICES_FILE
    if not path.is_file():
        return None
    with rule_fields(path, "devices") as f:
        return DeviceRules(f.number("least", _LEAST, low=0.5, high=1.0), _hours(f))


def _hours(f: Fields) -> dict[str, tuple[int, int]]:
    parts = f.mapping("hours", {})
    found = {}
    for name in map(str, parts.data):
        hours = parts.items(name)
        if not _PART.fullmatch(name):
            parts.problem(name, "expected a name in small letters, such as morning")
        elif (
            len(hours) != 2
            or not all(type(hour) is int and 0 <= hour <= 24 for hour in hours)
            or hours[0] % 24 == hours[1] % 24
        ):
            parts.problem(name, f"expected two different hours such as [5, 9], got {hours!r}")
        else:
            found[name] = hours[0], hours[1]
    return found


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
