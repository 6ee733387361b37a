"""A graph is tried within limits of memory and time: 200 bytes of it can ask for a whole host."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
import onnxruntime

from nurture_rl.errors import BundleError

MOST_BYTES = 1 << 30  # of weights and of what lies between them and the answer
MOST_SECONDS = 10.0  # for an answer; the graphs that we export take milliseconds
_STATES = 8


def session_of(model: bytes, limited: bool = False) -> Any:
    """A session of ONNX Runtime on one thread.

    Args:
        model: the graph.
        limited: it shares `MOST_BYTES` with all others that are limited.

    Raises:
        BundleError: ONNX Runtime takes no such graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would say is in the error
    if limited:
        _limit_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no public base
        raise BundleError(
            f"expected an ONNX graph that ONNX Runtime {onnxruntime.__version__} can run, "
            f"got: {error}; export the model again"
        ) from error


def require_harmless(session: Any, name: str, n_features: int, n_actions: int) -> None:
    """Run a limited session on a few states of zeros with all actions legal.

    Args:
        session: of `session_of`, limited.
        name: of the policy.
        n_features: it asks for.
        n_actions: it asks for.

    Raises:
        BundleError: it needs more memory or time than the limits, or cannot be run.
    """
    told = onnxruntime.RunOptions()
    told.log_severity_level = 4
    late = threading.Timer(MOST_SECONDS, setattr, (told, "terminate", True))
    late.daemon = True
    late.start()
    inputs = {
        "features": np.zeros((_STATES, n_features), np.float32),
        "mask": np.ones((_STATES, n_actions), np.bool_),
    }
    try:
        session.run(None, inputs, told)
    except Exception as error:  # the runtime's own exceptions share no public base
        raise BundleError(
            f"policy {name!r}: expected a graph that answers {_STATES} states within "
            f"{MOST_SECONDS:g} s and {MOST_BYTES >> 20} MiB, but it cannot be run: {error}; export "
            "it with export_onnx"
        ) from error
    finally:
        late.cancel()


@cache
def _limit_memory() -> None:
    """Make the allocator of limited sessions, which a process has once."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_asked, default = 1, -1
    onnxruntime.create_and_register_allocator(
        memory, onnxruntime.OrtArenaCfg(MOST_BYTES, as_asked, default, default)
    )
