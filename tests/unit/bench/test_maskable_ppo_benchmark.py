"""The benchmark of PPO runs at a tiny size and counts contact-steps."""

from __future__ import annotations

import pytest

from benchmarks import maskable_ppo
from benchmarks.fqe import markdown


@pytest.mark.slow
def test_a_tiny_run_times_a_step_of_training() -> None:
    given = ["--contacts", "8", "--iterations", "1", "--runs", "1", "--no-peers"]
    found = maskable_ppo.run(maskable_ppo.arguments(given), lambda text: None)
    assert list(found["seconds"]) == ["ours, a contact-step of training"]
    assert "8 contacts, 112 steps" in found["about"]["a run"]
    assert "| 1x (1x) |" in markdown(found)
