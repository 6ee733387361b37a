"""A fitted world as a folder: tensors in safetensors, shapes and hashes in JSON.

One of the hashes is the SHA-256 of the tensors' file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.heads import ModelSizes, ResponseModel
from nurture_envs.worlds.learned import LearnedWorld, StartTable
from nurture_rl.errors import BundleError
from nurture_rl.logs.atomic import atomic_folder

_TENSORS, _ABOUT, _FORMAT = "world.safetensors", "world.json", 3
_BROKEN = (SafetensorError, WorldError, KeyError, ValueError, TypeError, RuntimeError)


def save_world(world: LearnedWorld, folder: Path) -> None:
    """Write the world; `folder` is replaced only when everything is written.

    Raises:
        OSError: the disk refuses.
    """
    tensors = {f"shared.{k}": v.contiguous() for k, v in world.members[0].shared().items()}
    for k, model in enumerate(world.members):
        tensors |= {f"member_{k}.{n}": v.contiguous() for n, v in _own(model).items()}
    starts = {name: getattr(world.starts, name) for name in StartTable.__slots__}
    tensors |= {f"starts.{name}": values.clone() for name, values in starts.items()}
    tensors["world.delays"] = world.delays.cpu().contiguous()
    data = save(tensors)
    about = {
        "format": _FORMAT,
        "sha256": _sha256(data),
        "members": len(world.members),
        "sizes": asdict(world.members[0].sizes),
        **_identity(world.journey),
    }
    with atomic_folder(folder) as partial:
        (partial / _TENSORS).write_bytes(data)
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
    data = (folder / _TENSORS).read_bytes()
    if _sha256(data) != about.get("sha256"):
        raise BundleError(
            f"{folder / _TENSORS} must have SHA-256 {about.get('sha256')!r} as {_ABOUT} says, got "
            f"{_sha256(data)!r}; the file was changed or cut short, copy or fit the world again"
        )
    try:
        return _assembled(about, data, journey, device)
    except _BROKEN as error:
        raise BundleError(
            f"{folder / _ABOUT} and {_TENSORS} must describe one world, got {error!r}; "
            "copy or fit the world again"
        ) from error


def _assembled(
    about: dict[str, Any], data: bytes, journey: Journey, device: torch.device | str
) -> LearnedWorld:
    """The world of both files' content; raises one of `_BROKEN` where they do not agree."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in load(data).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    own = sum(part.startswith("member_") for part in parts)
    if own != about["members"]:
        raise ValueError(f"{about['members']!r} members for tensors of {own}")
    sizes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in dict(about["sizes"]).items()
    }
    members = []
    for k in range(own):
        model = ResponseModel(ModelSizes(**sizes))
        model.load_state_dict(parts["shared"] | parts[f"member_{k}"])
        members.append(model.requires_grad_(False))
    starts = StartTable(**parts["starts"])
    return LearnedWorld(journey, tuple(members), starts, parts["world"]["delays"], device)


def _own(model: ResponseModel) -> dict[str, torch.Tensor]:
    """A member's tensors that the others do not share."""
    shared = model.shared()
    return {name: value for name, value in model.state_dict().items() if name not in shared}


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
    except ValueError as error:  # not JSON, or not UTF-8
        raise BundleError(
            f"{folder / _ABOUT} is not JSON ({error}); copy or fit the world again"
        ) from error
    saved = about.get("format") if isinstance(about, dict) else None
    if not isinstance(about, dict) or saved != _FORMAT:
        raise BundleError(
            f"{folder / _ABOUT} must have format {_FORMAT}, got {saved!r}; worlds of other formats "
            "cannot be played, fit the world again"
        )
    return about


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
