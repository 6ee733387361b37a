"""Questions about a log that cannot be answered are refused before it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.errors import ConfigError
from nurture_rl.workflow.ope_config import OpeConfig, ope_settings
from nurture_rl.workflow.settings_schema import register_schemas

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def asked(*overrides: str) -> OpeConfig:
    return ope_settings(compose("ope", overrides=list(overrides)))[1]


@pytest.mark.slow
def test_the_ends_of_what_can_be_worked_with_are_accepted() -> None:
    assert asked("data.discount=1.0", "ask.margin=0").data.discount == 1.0
    assert asked("data.discount=0.001", "ask.level=0.999").ask.level == 0.999
    assert len(asked().ask.estimators) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("data.discount=0.0", "a factor above 0 and up to 1, got 0.0"),
        ("data.discount=1.001", "a factor above 0 and up to 1, got 1.001"),
        ("data.unit=''", "a unit, such as EUR or reward, got ''"),
        ("ask.level=0.0", "a confidence level above 0 and below 1, such as 0.95, got 0.0"),
        ("ask.level=1.0", "a confidence level above 0 and below 1, such as 0.95, got 1.0"),
        ("ask.margin=-0.1", "a gain of 0 or more, in the log's unit, got -0.1"),
        ("ask.estimators=[]", r"names, or \[all\], got \[\]"),
        ("ask.estimators=[ips]", "dr and others of ips, .*, or all; got ips"),
        ("stream.rows=0", "1 or more, got 0"),
        ("stream.engine=fast", "one of auto, memory, streaming, got 'fast'"),
    ],
)
def test_what_cannot_be_worked_with_is_told_with_its_range(setting: str, expected: str) -> None:
    name = re.escape(setting.partition("=")[0])
    with pytest.raises(ConfigError, match=f"^{name}: expected {expected}$"):
        asked(setting)


@pytest.mark.slow
def test_a_log_without_a_journey_needs_target_policies() -> None:
    columns = ("data.source=frame", "data.path=there")
    with pytest.raises(ConfigError, match="targets: a log without a journey needs"):
        asked(*columns)
    assert asked(*columns, "+targets.new.always=a").targets["new"] == {"always": "a"}
