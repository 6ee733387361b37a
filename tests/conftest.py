"""Settings that must stand before any library is imported, and one hypothesis profile."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share two cores
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

pytest_plugins = [
    *("tests.garbage", "tests.long_first", "tests.quick", "tests.skips", "tests.postgres"),
]
