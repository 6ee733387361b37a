"""The benchmark for GPU hosts runs without one, and does without what such hosts lack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import contacts, gpu
from tests.contract.source_tree import run_isolated


@pytest.mark.slow
def test_every_world_and_size_is_timed_and_held_against_memory(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    asked = ["--device", "cpu", "--journey", "inbound_lead", "--contacts", "16", "32"]
    gpu.main(gpu.arguments([*asked, "--steps", "2", "--runs", "1", "--out", str(out)]))
    found = json.loads(out.read_text(encoding="utf-8"))
    names = ["reference world, 16 contacts", "reference world, 32 contacts"]
    assert [name for name in found["ours"] if found["ours"][name]["median"] > 0.0] == names
    share = found["limits"]["share of the memory limit, reference world, 32"]
    copied = found["limits"]["memory, bytes/s copied"]
    world = contacts.known_world("inbound_lead")
    rate = found["ours"]["reference world, 32 contacts"]["median"]
    assert share == pytest.approx(rate * gpu.least_bytes(world, 32) / copied)


@pytest.mark.slow
def test_it_loads_without_the_libraries_of_the_pipeline(tmp_path: Path) -> None:
    heavy = ("hydra", "mlflow", "ibis", "duckdb", "pyarrow", "matplotlib")
    code = f"import sys\nsys.path.insert(0, {str(gpu.ROOT)!r})\nimport benchmarks.gpu\n"
    loaded = run_isolated(code + f"print(*[m for m in {heavy!r} if m in sys.modules])", tmp_path)
    assert loaded.split() == []
