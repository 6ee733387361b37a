"""Bandit feedback of the Open Bandit Pipeline at the door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.errors import ConfigError, LogError, PropensityError, ShapeError
from nurture_rl.interchange.admission import Admission, admit
from nurture_rl.interchange.bandit_feedback import (
    FeedbackMeaning,
    read_feedback,
    read_feedback_file,
)

MEANING = FeedbackMeaning()


def feedback(**changed: Any) -> dict[str, Any]:
    """Four rounds among three items."""
    found: dict[str, Any] = {
        "n_rounds": 4,
        "n_actions": 3,
        "context": np.array([[1.0], [2.0], [3.0], [4.0]]),
        "action_context": np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
        "action": np.array([0, 2, 1, 2]),
        "position": None,
        "reward": np.array([1, 0, 0, 1]),
        "pscore": np.array([0.5, 0.25, 0.25, 0.25]),
        "expected_reward": np.full((4, 3), 0.5),
    }
    return found | changed


def read(
    given: dict[str, Any], meaning: FeedbackMeaning = MEANING, targets: Any = None
) -> Admission:
    return admit(read_feedback(given, meaning, targets), 0.5)


def test_rounds_become_decisions_of_one_step() -> None:
    found = read(feedback())
    log = found.log
    assert log.action.tolist() == [0, 2, 1, 2]
    assert log.propensity.tolist() == [0.5, 0.25, 0.25, 0.25]
    assert log.reward.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert log.features[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert log.action_factors.tolist() == [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    assert (log.n_episodes, log.n_actions, found.meaning.features) == (4, 3, ("context_0",))
    assert "rounds count as independent" in found.notes[0]


def test_contacts_may_stand_beside_and_become_clusters() -> None:
    found = read(feedback(contact=["ann", "bob", "ann", "bob"]))
    assert found.log.cluster.tolist() == [0, 1, 0, 1]
    assert found.notes == ()


@pytest.mark.parametrize("given", [None, "away"])
def test_without_pscore_it_is_refused_by_name(given: str | None) -> None:
    lacking = feedback(pscore=None)
    if given == "away":
        del lacking["pscore"]
    with pytest.raises(PropensityError, match=r"has no 'pscore'.*1 is no stand-in"):
        read(lacking)


@pytest.mark.parametrize("key", ["action", "reward", "context", "n_actions"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(LogError, match=f"has no key '{key}'"):
        read(feedback(**{key: None}))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"pscore": [0.5, 0.0, 0.25, 0.25]}, "bad propensity: 0 is outside (0, 1]"),
        ({"pscore": [0.5, np.nan, 0.25, 0.25]}, "missing propensity: 1 is no stand-in for it"),
        ({"action": [0, 3, 1, 2]}, "unknown action: it is none of the log's actions"),
        ({"action": [0, -1, 1, 2]}, "unknown action: it is none of the log's actions"),
        ({"action": [0, 1.5, 1, 2]}, "unknown action: it is none of the log's actions"),
        ({"reward": [1, np.nan, 0, 1]}, "missing reward: expected a finite number"),
        ({"context": [[1.0], [np.inf], [3.0], [4.0]]}, "missing feature: 'context_0'"),
    ],
)
def test_a_bad_round_is_set_aside(changed: dict[str, Any], reason: str) -> None:
    found = read(feedback(**changed))
    (refused,) = found.refused
    assert refused.line == 2
    assert refused.reason.startswith(reason)
    assert found.log.n_rows == 3


def test_several_positions_are_refused_with_both_ways_out() -> None:
    with pytest.raises(LogError, match=r"2 positions \[0, 1\].*position=K.*positions=context"):
        read(feedback(position=np.array([0, 1, 0, 1])))


def test_one_position_may_be_kept() -> None:
    found = read(feedback(position=np.array([0, 1, 0, 1])), FeedbackMeaning(position=1))
    assert found.log.action.tolist() == [2, 2]
    assert found.line.tolist() == [2, 4]
    with pytest.raises(LogError, match=r"has positions \[0, 1\], not 7"):
        read(feedback(position=np.array([0, 1, 0, 1])), FeedbackMeaning(position=7))


def test_positions_may_become_context() -> None:
    found = read(feedback(position=np.array([0, 1, 0, 1])), FeedbackMeaning(positions="context"))
    assert found.log.features.tolist() == [[1, 1, 0], [2, 0, 1], [3, 1, 0], [4, 0, 1]]
    assert found.meaning.features == ("context_0", "position_0", "position_1")
    assert found.segments["position"].tolist() == ["0", "1", "0", "1"]
    with pytest.raises(ConfigError, match="expected one of refuse, context, got 'guess'"):
        read(feedback(position=np.array([0, 1, 0, 1])), FeedbackMeaning(positions="guess"))


def test_targets_are_read_at_each_rounds_own_position() -> None:
    first, second = [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]
    table = np.stack([np.tile(first, (4, 1)), np.tile(second, (4, 1))], axis=2)
    position = np.array([0, 1, 1, 0])
    found = read(feedback(position=position), FeedbackMeaning(positions="context"), {"new": table})
    np.testing.assert_array_equal(found.targets["new"], [first, second, second, first])
    flat = read(feedback(), targets={"new": table[:, :, :1]})
    np.testing.assert_array_equal(flat.targets["new"], np.tile(first, (4, 1)))


def test_shapes_that_do_not_fit_are_refused() -> None:
    for changed, words in (
        ({"reward": [1.0]}, r"'reward' must be \[4\]"),
        ({"context": np.zeros(4)}, r"must be \[4, d\]"),
        ({"position": [0]}, r"'position' must be \[4\]"),
        ({"contact": ["ann"]}, r"'contact' must be \[4\]"),
        ({"action_context": np.zeros((2, 1))}, r"must be \[3, k\]"),
    ):
        with pytest.raises(ShapeError, match=words):
            read(feedback(**changed))
    with pytest.raises(ShapeError, match=r"policy 'new' must be \[4, 3\]"):
        read(feedback(), targets={"new": np.ones((4, 2))})


def test_without_item_features_every_item_is_its_own() -> None:
    assert read(feedback(action_context=None)).log.action_factors.tolist() == np.eye(3).tolist()


def test_a_file_of_plain_arrays_is_the_same_log(tmp_path: Path) -> None:
    given = {name: value for name, value in feedback().items() if value is not None}
    policy = np.full((4, 3), 1.0 / 3.0)
    np.savez(tmp_path / "log.npz", action_dist=policy, action_dist_shy=policy, **given)
    found = admit(read_feedback_file(tmp_path / "log.npz", MEANING), 0.0)
    assert found.fingerprint == read(feedback()).fingerprint
    assert set(found.targets) == {"target", "shy"}


def test_pickled_and_broken_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", action=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("no")
    for name in ("objects.npz", "text.npz"):
        with pytest.raises(LogError, match=f"expected {name} to be an .npz file of plain arrays"):
            read_feedback_file(tmp_path / name, MEANING)
    with pytest.raises(LogError, match="there is no such file"):
        read_feedback_file(tmp_path / "none.npz", MEANING)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"action": ["a", "b", "a", "b"]}, "number the actions from 0"),
        ({"n_actions": [3, 3]}, "expected one number of actions"),
        ({"reward": ["yes", "no", "no", "yes"]}, "expected numbers in 'reward'"),
        ({"position": [np.nan] * 4}, "expected whole numbers from 0 in 'position'"),
    ],
)
def test_arrays_of_another_kind_are_named(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(LogError, match=words):
        read(feedback(**changed))


@pytest.mark.parametrize("bad", [np.nan, -1.0, 0.5])
def test_a_round_without_a_position_is_set_aside_alone(bad: float) -> None:
    found = read(feedback(position=[0.0, bad, 0.0, 0.0]))
    assert [(row.line, row.reason.split(":")[0]) for row in found.refused] == [(2, "bad position")]
    assert found.log.n_rows == 3
