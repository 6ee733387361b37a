"""The log of a reference world does not depend on whether loops were compiled before."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_rl.workflow import reference_log
from nurture_rl.workflow.run_config import DataConfig


@pytest.mark.parametrize(
    ("kept", "contacts", "compiled"), [(True, 30, None), (False, 30, False), (False, 31, None)]
)
def test_few_contacts_are_played_by_torch_where_loops_would_have_to_be_compiled(
    kept: bool,
    contacts: int,
    compiled: bool | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool | None] = []
    usual = load_journey("inbound_lead")

    def simulated(world: object, compiled: bool | None) -> Simulation:
        asked.append(compiled)
        return Simulation(world, compiled=False)  # type: ignore[arg-type]

    monkeypatch.setattr(reference_log, "loops_are_kept", lambda: kept)
    monkeypatch.setattr(reference_log, "_WORTH_COMPILING", 31)
    monkeypatch.setattr(reference_log, "Simulation", simulated)
    data = DataConfig(name="reference", contacts=contacts, logging="random")
    reference_log.play_log(lambda line: None, data, usual, 3, tmp_path)
    assert asked == [compiled]
    assert (tmp_path / "notes.json").is_file()
