"""From `module:name` to the object, loaded when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any


def load(reference: str) -> Any:
    """The object that `module:name` names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
