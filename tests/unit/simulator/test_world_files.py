from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import View
from nurture_rl.errors import BundleError
from nurture_rl.simulator.world_files import load_learned_world, save_world
from tests.unit.simulator.lamp_shop import fitted_lamps, lamp_shop


def two_bins(world: LearnedWorld) -> torch.Tensor:
    """Starts, and what happens in two bins of every action, [rows, 200]."""
    keys = contact_keys(3, 200)
    start = world.start(keys)
    parts = [start.attributes, start.latent["member"][None]]
    for step in range(2):
        view = View(
            features=torch.stack([torch.full((200,), float(step)), *start.attributes, keys % 3]),
            action=torch.arange(200) % 4,
            bins=torch.full((200,), step),
            anchor_us=start.anchor_us,
            latent=start.latent,
        )
        parts.append(world.respond(view, keys).amounts)
    return torch.cat(parts)


def test_a_saved_world_answers_exactly_as_before(tmp_path: Path) -> None:
    world = fitted_lamps().world
    save_world(world, tmp_path / "world")
    again = load_learned_world(tmp_path / "world", lamp_shop())
    assert torch.equal(two_bins(world), two_bins(again))
    assert float(two_bins(world)[2:].sum()) > 0
    assert torch.equal(world.delays, again.delays)
    assert len(set(two_bins(again)[1].tolist())) == 5


def test_a_member_alone_is_saved_as_a_world_of_its_own(tmp_path: Path) -> None:
    alone = fitted_lamps().world.member(2)
    save_world(alone, tmp_path / "world")
    again = load_learned_world(tmp_path / "world", lamp_shop())
    assert len(again.members) == 1
    assert torch.equal(two_bins(alone), two_bins(again))


def test_a_world_of_another_feature_spec_is_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    with pytest.raises(BundleError, match=r"was fitted with features .* fit the world again"):
        load_learned_world(tmp_path / "world", lamp_shop(periods=4))


def test_a_folder_without_its_tensors_is_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    (tmp_path / "world" / "world.safetensors").unlink()
    with pytest.raises(BundleError, match=r"\['world.safetensors'\] missing"):
        load_learned_world(tmp_path / "world", lamp_shop())


def test_a_world_of_an_older_format_is_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    about = tmp_path / "world" / "world.json"
    about.write_text(about.read_text().replace('"format": 3', '"format": 2'))
    with pytest.raises(BundleError, match=r"must have format 3, got 2; .* fit the world again"):
        load_learned_world(tmp_path / "world", lamp_shop())


def test_a_tensor_file_cut_short_is_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    tensors = tmp_path / "world" / "world.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"changed or cut short, copy or fit the world again"):
        load_learned_world(tmp_path / "world", lamp_shop())


def test_a_tensor_file_with_one_flipped_bit_is_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    tensors = tmp_path / "world" / "world.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    with pytest.raises(BundleError, match=r"must have SHA-256 '[0-9a-f]{64}' .* got '[0-9a-f]{64}"):
        load_learned_world(tmp_path / "world", lamp_shop())


@pytest.mark.parametrize(
    ("key", "value"), [("members", 1), ("members", 6), ("members", None), ("sizes", {"rank": 1})]
)
def test_a_description_that_its_tensors_do_not_fit_is_refused(
    tmp_path: Path, key: str, value: object
) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    about = tmp_path / "world" / "world.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {key: value}))
    with pytest.raises(BundleError, match=r"must describe one world, .* fit the world again"):
        load_learned_world(tmp_path / "world", lamp_shop())


def test_tensors_of_the_right_hash_that_are_none_are_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    (tmp_path / "world" / "world.safetensors").write_bytes(b"lamps")
    about = tmp_path / "world" / "world.json"
    found = {"sha256": hashlib.sha256(b"lamps").hexdigest()}
    about.write_text(json.dumps(json.loads(about.read_text()) | found))
    with pytest.raises(BundleError, match=r"got SafetensorError\(.* fit the world again"):
        load_learned_world(tmp_path / "world", lamp_shop())
