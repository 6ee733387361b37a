"""How fast memory is, here and on a GPU: no environment that keeps its state there is faster."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

_MIB = 1 << 20


def copy_bandwidth(threads: int, mib: int = 256) -> float:
    """Bytes read and written a second by copies that do not fit the cache."""
    source = np.ones((threads, mib * _MIB // threads), np.uint8)
    target = np.empty_like(source)
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            began = time.perf_counter()
            list(pool.map(np.copyto, target, source))
            best = max(best, 2 * source.nbytes / (time.perf_counter() - began))
    return best


def cuda_bandwidth(mib: int = 2048) -> float:
    """Bytes read and written a second by copies inside the GPU's memory."""
    source = torch.ones(mib * _MIB, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(10):
        torch.cuda.synchronize()
        began = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        best = max(best, 2 * source.nbytes / (time.perf_counter() - began))
    return best


def least_bytes(state: float, features: int, actions: int) -> float:
    """Bytes a contact-step cannot do without.

    Args:
        state: bytes a contact carries; read and written once.
        features, actions: of the observation (float32) and the mask (one byte), written once.
    """
    return 2.0 * state + 4.0 * features + actions
