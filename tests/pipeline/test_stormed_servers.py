"""Two servers of a store under everything at once: no answer is a failure of theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.stormed_servers import stormed
from tests.postgres import PostgresServer


@pytest.mark.slow
def test_nothing_that_is_asked_at_once_fails(postgres: PostgresServer, tmp_path: Path) -> None:
    storm, written = stormed(postgres, tmp_path, seconds=4.0)
    assert storm.wrong == []
    assert "Traceback" not in written
    statuses = {status for _, status in storm.answers}
    assert {200, 404, 409} <= statuses
