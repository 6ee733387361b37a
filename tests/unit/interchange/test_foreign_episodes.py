"""Episodes that other libraries recorded, with and without propensities."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nurture_rl.errors import LogError, PropensityError, ShapeError
from nurture_rl.interchange.admission import admit
from nurture_rl.interchange.foreign_episodes import (
    EpisodesMeaning,
    ForeignEpisode,
    dataset_episodes,
    read_episodes,
)

MEANING = EpisodesMeaning(discount=0.9, unit="EUR")


def episode(**changed: Any) -> ForeignEpisode:
    """Two decisions and the observation after them; infos have one row more, as Minari's do."""
    infos = {
        "propensity": [0.5, 0.25, np.nan],
        "action_mask": [[1, 1, 0], [1, 1, 1], [0, 0, 0]],
        "contact": [7, 7, 7],
    }
    fields: dict[str, Any] = {
        "observations": [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]],
        "actions": [1, 2],
        "rewards": [0.5, 4.0],
        "terminated": True,
        "infos": infos,
    }
    return ForeignEpisode(**fields | changed)


def test_episodes_become_a_log_with_masks_contacts_and_ends() -> None:
    cut = episode(terminated=False)
    found = admit(read_episodes([episode(), cut], MEANING, "toy"), 0.0)
    log = found.log
    assert log.action.tolist() == [1, 2, 1, 2]
    assert log.propensity.tolist() == [0.5, 0.25, 0.5, 0.25]
    assert log.features.tolist() == [[1, 0], [2, 0]] * 2
    assert log.mask.tolist() == [[True, True, False], [True, True, True]] * 2
    assert log.terminal.tolist() == [False, True, False, False]
    assert (log.step.tolist(), log.episode.tolist()) == ([0, 1, 0, 1], [0, 0, 1, 1])
    assert log.cluster.tolist() == [0, 0]
    assert (log.discount, log.unit, found.meaning.actions) == (0.9, "EUR", ("0", "1", "2"))


def test_without_propensities_the_episode_is_named_and_nothing_stands_in() -> None:
    bare = episode(infos={"action_mask": [[1, 1, 0], [1, 1, 1], [0, 0, 0]]})
    words = r"^episode 0 of toy-v0 has no info 'propensity' \(it has action_mask\), so nobody knows"
    with pytest.raises(PropensityError, match=words) as refusal:
        read_episodes([bare], MEANING, "toy-v0")
    assert "record the probability of every action in the infos" in str(refusal.value)


def test_an_episode_without_propensities_is_set_aside_among_others_that_have_them() -> None:
    bare = episode(infos={"action_mask": [[1, 1, 0], [1, 1, 1], [0, 0, 0]]})
    rows = read_episodes([bare, episode(), episode()], MEANING, "toy-v0")
    found = admit(rows, 0.5)
    assert [row.line for row in found.refused] == [1, 2]
    assert found.refused[0].reason.startswith("missing propensity: episode 0 of toy-v0 has no info")
    assert (found.read, found.line.tolist()) == (6, [3, 4, 5, 6])
    with pytest.raises(PropensityError, match="2 of 6 rows of toy-v0 cannot be used"):
        admit(rows, 0.1)


def test_propensities_may_have_another_name_or_come_from_the_distribution() -> None:
    named = episode(infos={"pscore": [[0.5], [0.25], [np.nan]]})
    meaning = replace(MEANING, propensity="pscore")
    assert read_episodes([named], meaning, "toy").propensity.tolist() == [0.5, 0.25]
    whole = episode(infos={"probabilities": [[0.2, 0.5, 0.3], [0.5, 0.25, 0.25]]})
    rows = read_episodes([whole], MEANING, "toy")
    assert rows.propensity.tolist() == [0.5, 0.25]
    assert rows.logged is not None
    assert rows.mask.all()


def test_where_only_some_have_masks_none_count_and_a_note_says_so() -> None:
    bare = episode(infos={"propensity": [0.5, 0.25]})
    rows = read_episodes([episode(), bare], replace(MEANING, actions=("a", "b", "c")), "toy")
    assert rows.mask.all()
    assert "no mask was recorded" in rows.notes[0]
    assert rows.contact.tolist() != [rows.contact[0]] * 4  # the second episode is its own contact


def test_a_missing_propensity_breaks_its_episode_alone() -> None:
    holed = episode(infos={"propensity": [0.5, np.nan]})
    found = admit(read_episodes([episode(), holed], MEANING, "toy"), 0.5)
    assert [row.line for row in found.refused] == [3, 4]
    assert found.log.n_episodes == 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"actions": [0.5, 1.0]}, "needs discrete actions"),
        ({"actions": [[0, 1], [1, 0]]}, "needs discrete actions"),
        ({"rewards": [1.0]}, "2 actions, 3 observations and 1 rewards"),
        ({"observations": [[1.0]]}, "2 actions, 1 observations and 2 rewards"),
    ],
)
def test_episodes_that_do_not_fit_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        read_episodes([episode(**changed)], MEANING, "toy")


def test_nothing_is_no_log() -> None:
    with pytest.raises(LogError, match="toy holds no episode"):
        read_episodes([], MEANING, "toy")


def test_d3rlpys_episodes_take_their_propensities_from_beside() -> None:
    one = SimpleNamespace(
        observations=np.ones((2, 1)),
        actions=np.array([[0], [1]]),
        rewards=np.ones((2, 1)),
        terminated=False,
    )
    two = {
        "observations": np.ones((1, 1)),
        "actions": [[1]],
        "rewards": [[2.0]],
        "terminated": True,
    }
    found = dataset_episodes([one, two], {"propensity": [0.5, 0.25, 0.75]})
    rows = read_episodes(found, MEANING, "data.h5")
    assert rows.propensity.tolist() == [0.5, 0.25, 0.75]
    assert rows.reward.tolist() == [1.0, 1.0, 2.0]
    assert rows.episode.tolist() == [0, 0, 1]
    with pytest.raises(ShapeError, match="one row for each of their 3 decisions, got 2"):
        dataset_episodes([one, two], {"propensity": [0.5, 0.25]})
