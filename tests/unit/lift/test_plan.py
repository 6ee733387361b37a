"""The plan's file: read once, every problem named."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurture_envs.experiment import Velocity
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError
from nurture_rl.lift.written_plan import load_plan

JOURNEY = load_journey("inbound_lead")
GOOD = """
experiment: spring
journey: inbound_lead
unit: account
starts: 2026-04-06
arms: {policy: 0.5, usual: 0.4, holdout: 0.1}
usual: usual
window_days: 14
units: 4000
worth: {meetings booked: 0.02}
once: [meetings booked]
velocity: {signal: became_mql, days: 28}
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "plan.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_plan_is_read(tmp_path: Path) -> None:
    found = load_plan(_written(tmp_path, GOOD), JOURNEY)
    assert found.shares == {"policy": 0.5, "usual": 0.4, "holdout": 0.1}
    assert (found.unit, found.once, found.level) == ("account", ("meetings booked",), 0.95)
    assert found.velocity == Velocity("became_mql", 28)


def test_a_changed_plan_has_another_hash(tmp_path: Path) -> None:
    first = load_plan(_written(tmp_path, GOOD), JOURNEY).hash
    assert load_plan(_written(tmp_path, GOOD.replace("4000", "4001")), JOURNEY).hash != first


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("usual: 0.4", "usual: 0.5", "arms: expected two or more shares above 0 that add up to 1"),
        ("holdout: 0.1", "holdout: 0.0", "arms: expected two or more shares"),
        ("usual: usual", "usual: bau", "usual: expected one of holdout, policy, usual"),
        ("journey: inbound_lead", "journey: renewal", "journey: expected the journey of the log"),
        ("unit: account", "unit: person", "unit: expected one of contact, account"),
        ("2026-04-06", "soon", "starts: expected a day"),
        (
            "worth: {meetings booked: 0.02}",
            "worth: {sales: 1}",
            "worth.sales: expected a key figure",
        ),
        ("once: [meetings booked]", "once: [sales]", "once: 'sales' is no key figure"),
        ("signal: became_mql", "signal: became_rich", "velocity.signal: expected one of"),
        ("units: 4000", "units: 10", "units: expected a whole number >= 100"),
        ("units: 4000", "units: 4000\nrandom: 1", "random: no such key"),
        ("units: 4000", "units: 4000\nfree: subject", "free: expected one of timing, content"),
        ("units: 4000", "units: 4000\nprogram: mine", "program: expected one of drip, rules"),
        (GOOD, "[1, 2]", "plan: expected a mapping"),
    ],
)
def test_every_problem_is_named(tmp_path: Path, before: str, after: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_plan(_written(tmp_path, GOOD.replace(before, after)), JOURNEY)
    assert told in str(raised.value)


def test_no_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected the plan of an experiment"):
        load_plan(tmp_path / "none.yaml", JOURNEY)
    with pytest.raises(ConfigError, match="expected the plan of an experiment"):
        load_plan(_written(tmp_path, "a: [b"), JOURNEY)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-04-06", "2026-04-06T00:00:00+00:00"),
        ("2026-04-06T14:30:00Z", "2026-04-06T14:30:00+00:00"),
        ("2026-04-06T14:30:00+02:00", "2026-04-06T12:30:00+00:00"),
        ("'2026-04-06T14:30:00.250000+00:00'", "2026-04-06T14:30:00.250000+00:00"),
    ],
)
def test_a_plan_begins_on_a_day_or_at_a_moment(tmp_path: Path, written: str, meant: str) -> None:
    found = load_plan(_written(tmp_path, GOOD.replace("2026-04-06", written)), JOURNEY)
    assert found.starts.isoformat() == meant
