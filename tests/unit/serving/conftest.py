"""One small bundle for all serving tests."""

from __future__ import annotations

import pytest

from nurture_rl.release.bundle import Bundle
from tests.unit.release.bundles import small_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Half drip, half random sends and pauses."""
    return small_bundle(tmp_path_factory.mktemp("bundle") / "bundle")
