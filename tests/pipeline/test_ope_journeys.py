"""Journeys in blocks of contacts: the numbers of the engine in memory, whatever the blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.stream_logs import (
    differing,
    differing_estimates,
    journey_rows,
    journey_settings,
    judged,
)

LOGGED = "data.columns.logged_probabilities=[l0,l1,l2]"


@pytest.mark.parametrize(
    ("made", "overrides"),
    [
        pytest.param({}, (), id="several bins"),
        pytest.param({}, (LOGGED,), id="whole distributions"),
        pytest.param({"paying": 0.004}, (), id="rare outcomes"),
        pytest.param({"bins": 1}, (), id="one bin"),
        pytest.param({"steep": 1.5, "bins": 9}, (), id="large weights"),
        pytest.param({}, ("ask.reference=even", "ask.rules=new"), id="policies against each other"),
    ],
)
def test_blocks_say_what_the_engine_in_memory_says_to_nine_digits(
    tmp_path: Path, made: dict[str, Any], overrides: tuple[str, ...]
) -> None:
    given = journey_settings(tmp_path, journey_rows(**made), *overrides)
    memory = judged([*given, "stream.engine=memory"])[1]
    small = ("stream.batch_rows=300", "stream.sample_rows=600")
    blocks = judged([*given, "stream.engine=streaming", *small])[1]
    assert differing_estimates(memory, blocks) == []
    assert blocks.verdict is memory.verdict
    whole = judged([*given, "stream.engine=streaming"])[1]
    assert differing(memory, whole, ("drl",)) == []
