"""Minari and d3rlpy read what we write, and we read it back as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.errors import LogError, PropensityError, ShapeError
from nurture_rl.interchange.admission import admit
from nurture_rl.interchange.d3rlpy_files import write_d3rlpy
from nurture_rl.interchange.foreign_episodes import (
    EpisodesMeaning,
    d3rlpy_episodes,
    minari_episodes,
    read_episodes,
)
from nurture_rl.interchange.minari_files import write_minari
from nurture_rl.interchange.played import played_episodes
from nurture_rl.policies.references import NoContact
from nurture_rl.workflow.collect import reference_simulation
from tests.interchange.reading_back import read_d3rlpy, read_minari
from tests.interchange.small_episodes import FINAL, assert_equal, small_episodes, small_log

EXTRA = 'not installed; pip install "nurture-rl[interop]"'
h5py = pytest.importorskip("h5py", reason=f"h5py is {EXTRA}")
minari = pytest.importorskip("minari", reason=f"minari is {EXTRA}")


def test_minari_gives_back_every_array_bit_for_bit(tmp_path: Path) -> None:
    data = write_minari(small_episodes(), tmp_path, "toy-v0")
    assert_equal(read_minari(data), small_episodes())


def test_d3rlpys_file_gives_back_every_array_bit_for_bit(tmp_path: Path) -> None:
    path = write_d3rlpy(small_episodes(), tmp_path / "toy.h5")
    assert_equal(read_d3rlpy(path), small_episodes())


def test_minari_itself_sees_where_episodes_end_and_what_came_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_minari(small_episodes(), tmp_path, "toy-v0")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    over, cut = minari.load_dataset("toy-v0").iterate_episodes()
    assert over.terminations.tolist() == [False, True]
    assert over.truncations.tolist() == [False, False]
    assert cut.terminations.tolist() == [False, False, False]
    assert cut.truncations.tolist() == [False, False, True]
    np.testing.assert_array_equal(over.observations, [[1, 0], [1, 1], FINAL[0]])
    np.testing.assert_array_equal(cut.observations[-1], FINAL[1])
    assert cut.actions.tolist() == [1, 0, 1]


def test_minaris_infos_carry_masks_and_propensities_beside_their_observation(
    tmp_path: Path,
) -> None:
    data = write_minari(small_episodes(), tmp_path, "toy-v0")
    over, cut = minari.MinariDataset(data).iterate_episodes()
    assert over.infos["action_mask"].astype(int).tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 0]]
    np.testing.assert_array_equal(over.infos["propensity"], [0.5, 0.25, np.nan])
    assert over.infos["discount"].tolist() == [0.5, 0.0, 0.0]
    assert cut.infos["discount"].tolist() == [0.5, 0.5, 0.5, 0.0]
    assert set(over.infos["contact"]) == {7}
    assert cut.infos["step"].tolist() == [0, 1, 2, 3]


def test_the_files_say_what_action_k_is(tmp_path: Path) -> None:
    data = write_minari(small_episodes(), tmp_path, "toy-v0")
    about = json.loads((data / "metadata.json").read_text("utf-8"))["nurture_rl"]
    assert about["action_ids"][2] == "exit"
    assert (about["discount"], about["unit"], about["catalog"]) == (0.5, "EUR", "c0ffee")


def test_a_minari_data_set_leads_back_to_its_environment(tmp_path: Path) -> None:
    simulation = reference_simulation(load_journey("inbound_lead"))
    episodes = played_episodes(simulation.world, NoContact(simulation.catalog), 5, 0)
    data = write_minari(episodes, tmp_path, "leads-v0", "nurture_envs/InboundLead-v0")
    found = minari.MinariDataset(data)
    env = found.recover_environment()
    assert env.action_space == found.action_space
    assert env.observation_space == found.observation_space
    assert_equal(read_minari(data), episodes)


def test_an_environment_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="name the environment they came from"):
        write_minari(small_episodes(), tmp_path, "toy-v0", "nurture_envs/InboundLead-v0")


def test_an_id_minari_would_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="such as 'inbound_lead-v0', got 'toy'"):
        write_minari(small_episodes(), tmp_path, "toy")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="there is no metadata"):
        read_minari(tmp_path)
    with pytest.raises(LogError, match="there is no such file"):
        read_d3rlpy(tmp_path / "nothing.h5")


def test_a_failed_write_leaves_the_older_file(tmp_path: Path) -> None:
    path = write_d3rlpy(small_episodes(), tmp_path / "toy.h5")
    before = path.read_bytes()
    broken = small_episodes()
    object.__setattr__(broken, "final", np.array([object()]))
    with pytest.raises(TypeError):
        write_d3rlpy(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    write_minari(small_episodes(), tmp_path, "toy-v0")
    data = write_minari(small_episodes(), tmp_path, "toy-v0")
    assert minari.MinariDataset(data).total_episodes == small_log().n_episodes


def test_d3rlpy_loads_the_file_and_trains_on_it(tmp_path: Path) -> None:
    python = os.environ.get("NURTURE_D3RLPY_PYTHON")
    if not python:
        pytest.skip("d3rlpy pins another gymnasium; name its Python in NURTURE_D3RLPY_PYTHON")
    path = write_d3rlpy(small_episodes(), tmp_path / "toy.h5")
    script = Path(__file__).with_name("d3rlpy_reads.py")
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [python, str(script), str(path)], capture_output=True, text=True, env=own, timeout=250
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["terminated"] == [True, False]
    assert found["lengths"] == [2, 3]
    assert found["transitions"] == 4  # the cut-off episode's last decision is left out
    assert found["returns"] == pytest.approx([3.5, 2.1])
    assert found["actions"] == [[0, 2], [1, 0, 1]]
    assert found["action_size"] == 3
    assert found["trained"]
    assert sys.executable != python


def test_what_was_written_is_evaluated_like_any_foreign_episodes(tmp_path: Path) -> None:
    meaning = EpisodesMeaning(discount=0.5, unit="EUR")
    wanted = small_log()
    data = write_minari(small_episodes(), tmp_path, "toy-v0")
    path = write_d3rlpy(small_episodes(), tmp_path / "toy.h5")
    for episodes in (minari_episodes(data), d3rlpy_episodes(path, {})):
        log = admit(read_episodes(episodes, meaning, "toy"), 0.0).log
        for name in ("action", "propensity", "mask", "logged_probabilities", "terminal", "step"):
            np.testing.assert_array_equal(getattr(log, name), getattr(wanted, name), err_msg=name)
        np.testing.assert_allclose(log.reward, wanted.reward, atol=1e-6)
        assert log.cluster[0] != log.cluster[1]


def test_foreign_files_without_propensities_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "bare.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("num_episodes", data=1)
        file.create_dataset("observations_0", data=np.zeros((2, 1)))
        file.create_dataset("actions_0", data=np.array([[0], [1]]))
        file.create_dataset("rewards_0", data=np.zeros((2, 1)))
        file.create_dataset("terminated_0", data=True)
    with pytest.raises(PropensityError, match=r"episode 0 of bare.h5 has no info 'propensity'"):
        read_episodes(d3rlpy_episodes(path, {}), EpisodesMeaning(), path.name)
    given = d3rlpy_episodes(path, {"propensity": [0.5, 0.25]})
    assert read_episodes(given, EpisodesMeaning(), path.name).propensity.tolist() == [0.5, 0.25]
    with pytest.raises(LogError, match="there is no such file"):
        d3rlpy_episodes(tmp_path / "none.h5", {})
    with pytest.raises(LogError, match=r"there is no metadata.json"):
        minari_episodes(tmp_path)
