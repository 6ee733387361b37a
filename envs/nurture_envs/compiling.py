"""Whether compiled loops are available in this process, and a warning where they are not used."""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec

from nurture_envs.errors import SlowPathWarning


@lru_cache(maxsize=1)
def against_numba() -> str:
    """Why numba cannot be used in this process; empty where it can. The first call imports it."""
    if find_spec("numba") is None:
        return "numba, which nurture-rl depends on, is not installed; run `pip install numba`"
    try:
        import_module("numba")
    except ImportError as error:  # such as a numpy that it does not know yet
        return f"numba cannot be imported ({error}); install versions that fit each other"
    return ""


@cache
def warn_of_slow_path(what: str, cause: str) -> None:
    """Say that something is done without compiled loops, once a process and cause.

    Args:
        what: is done, and by what instead.
        cause: why.
    """
    warnings.warn(f"{what}, several times slower: {cause}", SlowPathWarning, stacklevel=3)
