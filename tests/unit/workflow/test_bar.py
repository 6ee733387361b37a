"""Which program a run must beat, and which learned policies are candidates at all."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.workflow.bar import bar_of, field_of
from tests.unit.workflow.judged_by_hand import settings_of

SEND, WAIT, BOTH = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])


@pytest.mark.parametrize(
    "asked, worth, name",
    [
        ("expert", {"drip": 9.0, "rules": 1.0, "expert": 2.0}, "expert"),
        ("expert", {"drip": 9.0, "rules": 2.0, "expert": 1.0}, "rules"),
        ("expert", {"rules": 2.0, "expert": 2.0}, "expert"),
        ("expert", {"drip": 9.0, "rules": -1.0}, "rules"),
        ("expert", {"drip": 9.0}, None),
        ("expert", {"drip": 9.0, "expert": -1.0}, "expert"),
        ("rules", {"rules": 1.0, "expert": 2.0}, "rules"),
        ("mine", {"mine": -2.0, "rules": -1.0, "expert": 5.0}, "rules"),
        ("expert", {"rules": None, "expert": None}, "expert"),
        (None, {"rules": 2.0, "expert": 1.0}, None),
    ],
)
def test_the_bar_is_what_the_world_values_more_of_the_one_asked_for_and_the_rules(
    asked: str | None, worth: dict[str, float | None], name: str | None
) -> None:
    assert bar_of(asked, worth).name == name


def test_the_bar_says_why_it_is_this_one() -> None:
    better = bar_of("expert", {"expert": 16.7, "rules": 33.5})
    assert better.reason == "the learned world values `rules` above `expert`"
    assert bar_of("expert", {"expert": 65.9, "rules": 40.0}).reason == (
        "the run asks for `expert` (release.rules)"
    )
    assert "no policy `expert`" in bar_of("expert", {"rules": 1.0}).reason
    assert "neither `expert` nor `rules`" in bar_of("expert", {}).reason
    assert "no bar is asked for" in bar_of(None, {"expert": 1.0}).reason


@pytest.mark.parametrize("name", ["exprt", "ppo"])
def test_a_bar_that_nobody_knows_or_that_learned_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"release\.rules"):
        settings_of(f"release.rules={name}")


@pytest.mark.slow
def test_every_pipeline_is_held_against_the_expert_unless_it_says_otherwise() -> None:
    assert settings_of().run.release.rules == "expert"
    assert settings_of("release.rules=null").run.release.rules is None


def test_a_policy_that_acts_as_the_logging_policy_is_no_candidate() -> None:
    tables = {"logged": BOTH, "drip": WAIT, "a": BOTH + 1e-9, "b": SEND}
    found = field_of(["a", "b"], ("drip",), tables)
    assert found.candidates == ("b",)
    assert "acts as the logging policy does" in found.left_out["a"]


def test_a_policy_that_acts_as_reference_or_bar_is_no_candidate() -> None:
    tables = {"drip": WAIT, "expert": SEND, "a": WAIT, "b": SEND, "c": BOTH}
    found = field_of(["a", "b", "c"], ("drip", "expert"), tables)
    assert found.candidates == ("c",)
    assert "acts as `drip` does" in found.left_out["a"]
    assert "acts as `expert` does" in found.left_out["b"]


def test_of_two_learned_alike_the_first_is_the_candidate() -> None:
    found = field_of(["a", "b"], ("drip",), {"drip": WAIT, "a": SEND, "b": SEND})
    assert found.candidates == ("a",)
    assert "acts as `a` does" in found.left_out["b"]


def test_a_learned_reference_is_not_compared_with_itself() -> None:
    found = field_of(["a", "b"], ("a",), {"a": SEND, "b": WAIT})
    assert found.candidates == ("b",)
    assert "others are compared with it" in found.left_out["a"]


@pytest.mark.parametrize("far, candidates", [(1.1e-4, ("a",)), (0.9e-4, ())])
def test_policies_part_by_the_share_of_decisions_they_take_differently(
    far: float, candidates: tuple[str, ...]
) -> None:
    tables = {"drip": WAIT, "a": np.array([[far, 1.0 - far]])}
    assert field_of(["a"], ("drip",), tables).candidates == candidates
