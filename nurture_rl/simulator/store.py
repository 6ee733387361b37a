"""A fitted world as a folder: tensors in safetensors, shapes and hashes in JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.heads import ModelSizes, ResponseModel
from nurture_envs.worlds.learned import LearnedWorld, StartTable
from nurture_rl.errors import BundleError
from nurture_rl.logs.atomic import atomic_folder

_TENSORS, _ABOUT, _FORMAT = "world.safetensors", "world.json", 2


def save_world(world: LearnedWorld, folder: Path) -> None:
    """Write the world; `folder` is replaced only when everything is written.

    Raises:
        OSError: the disk refuses.
    """
    tensors = {f"model.{k}": v.contiguous() for k, v in world.model.state_dict().items()}
    starts = {name: getattr(world.starts, name) for name in StartTable.__slots__}
    tensors |= {f"starts.{name}": values.clone() for name, values in starts.items()}
    about = {
        "format": _FORMAT,
        "sizes": asdict(world.model.sizes),
        **_identity(world.journey),
    }
    with atomic_folder(folder) as partial:
        save_file(tensors, partial / _TENSORS)
        (partial / _ABOUT).write_text(json.dumps(about, indent=2))


def load_learned_world(
    folder: Path, journey: Journey, device: torch.device | str = "cpu"
) -> LearnedWorld:
    """Read a world that `save_world` wrote.

    Raises:
        BundleError: files are missing or broken, or the world was fitted for another journey,
            catalogue or feature spec.
    """
    about = _read_about(folder)
    for key, wanted in _identity(journey).items():
        if about.get(key) != wanted:
            raise BundleError(
                f"world in {folder} was fitted with {key} {about.get(key)!r}, journey "
                f"{journey.name!r} has {wanted!r}; fit the world again"
            )
    sizes = dict(about["sizes"])
    model = ResponseModel(ModelSizes(**{**sizes, "hidden": tuple(sizes["hidden"])}))
    tensors = load_file(folder / _TENSORS)
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "starts": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    model.load_state_dict(parts["model"])
    return LearnedWorld(journey, model, StartTable(**parts["starts"]), device)


def _identity(journey: Journey) -> dict[str, str]:
    return {
        "journey": journey.name,
        "catalog": ActionCatalog.of(journey).hash,
        "features": FeatureSpec.of(journey).hash,
    }


def _read_about(folder: Path) -> dict[str, Any]:
    missing = [name for name in (_TENSORS, _ABOUT) if not (folder / name).is_file()]
    if missing:
        raise BundleError(f"expected {_TENSORS} and {_ABOUT} in {folder}, {missing} missing")
    try:
        about = json.loads((folder / _ABOUT).read_text())
    except json.JSONDecodeError as error:
        raise BundleError(
            f"{folder / _ABOUT} is not JSON ({error}); save the world again"
        ) from error
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise BundleError(f"{folder / _ABOUT} must have format {_FORMAT}; save the world again")
    return about
