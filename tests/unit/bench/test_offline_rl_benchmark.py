"""The benchmark of gradient steps runs at a tiny size, and tells each way beside ours."""

from __future__ import annotations

import pytest

from benchmarks import fqe, offline_rl
from benchmarks.fqe import markdown


@pytest.mark.slow
def test_a_tiny_run_times_ours_and_the_bare_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_rl, "STEPS", {32: 2})
    monkeypatch.setattr(fqe, "STEPS", {32: 2})
    given = offline_rl.arguments(["--runs", "1", "--threads", "1", "--no-peers"])
    found = offline_rl.run(given, lambda text: None)
    ways = [f"{way}, {kind}, batch 32" for kind in ("DQN", "CQL") for way in ("ours", "bare loop")]
    assert list(found["seconds"]) == [*ways, "ours, FQE, batch 32"]
    assert "| ours, CQL, batch 32 |" in markdown(found)
    assert "| 1x (1x) |" in markdown(found)
