"""A log that is refused whole leaves its rows where the message says, though no stage is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.errors import LogError
from nurture_rl.workflow import ingestion
from nurture_rl.workflow.stages import Workshop
from tests.unit.workflow.judged_by_hand import settings_of


def refused(root: Path, monkeypatch: pytest.MonkeyPatch, rows: bytes | None) -> str:
    """What is said of a log that the checks refuse, with or without rows set aside."""

    def refuse(folder: Path, tables: Path, *rest: Any, **more: Any) -> None:
        written = tables.with_name(f"{tables.name}.quarantine.parquet")
        if rows is not None:
            written.write_bytes(rows)
        raise LogError(f"nothing is left, see {written}")

    monkeypatch.setattr(ingestion, "ingest_folder", refuse)
    raw = root / "raw-1"
    raw.mkdir()
    workshop = Workshop(root, lambda line: None)
    with pytest.raises(LogError) as refusal:
        ingestion.ingest(workshop, settings_of().run.data, load_journey("inbound_lead"), raw)
    return str(refusal.value)


def test_the_rows_set_aside_outlive_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(tmp_path, monkeypatch, b"rows")
    kept = Path(said.removeprefix("nothing is left, see "))
    assert kept.parent == tmp_path / "refused"
    assert kept.read_bytes() == b"rows"


def test_a_refusal_without_rows_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(tmp_path, monkeypatch, None).startswith("nothing is left, see ")
    assert not (tmp_path / "refused").exists()
