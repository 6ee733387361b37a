"""Rates of work: median, spread, and how busy other processes kept the machine meanwhile."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Work:
    """One run: how much was done in how long."""

    units: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Units a second over several runs."""

    median: float
    low: float
    high: float
    runs: int
    other_cpu: float  # largest share of the machine that other processes used in a run, [0, 1]


def rate(run: Callable[[], Work], runs: int) -> Rate:
    """Do the same work several times.

    Args:
        run: says itself what it did and how long that took, so that it can prepare untimed.
        runs: how often, >= 1.
    """
    found, others = [], []
    for _ in range(runs):
        done, other = watched(run)
        others.append(other)
        found.append(done.units / done.seconds)
    return Rate(statistics.median(found), min(found), max(found), runs, max(others))


def watched(work: Callable[[], Result]) -> tuple[Result, float]:
    """What some work returns, and the share of the machine others used meanwhile, [0, 1].

    Processes that the work starts and waits for are its own.
    """
    busy, own, began = _machine_busy(), _own_cpu(), time.perf_counter()
    result = work()
    passed = time.perf_counter() - began
    other = _machine_busy() - busy - (_own_cpu() - own)
    return result, max(0.0, other) / (passed * (os.cpu_count() or 1))


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    with open("/proc/self/status", encoding="utf-8") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def peak_bytes() -> int:
    """The most memory this process had in RAM since it began."""
    with open("/proc/self/status", encoding="utf-8") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _machine_busy() -> float:
    """CPU seconds all processes have used, idle and waiting left out."""
    with open("/proc/stat", encoding="utf-8") as stat:
        fields = [int(field) for field in stat.readline().split()[1:9]]
    busy = sum(fields) - fields[3] - fields[4]
    return float(busy) / float(os.sysconf("SC_CLK_TCK"))


def _own_cpu() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
