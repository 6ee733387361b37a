"""An actor in a folder: weights as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from nurture_rl.errors import BundleError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.rl.actor import Actor, ActorPolicy

_WEIGHTS = "actor.safetensors"
_RECORD = "actor.json"


def save_actor(policy: ActorPolicy, folder: Path) -> None:
    """Write the policy's two files into a folder, which is made if need be.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "name": policy.name,
        "catalog_hash": policy.catalog_hash,
        "columns": policy.columns,
        "hidden": policy.hidden,
        "n_actions": policy.n_actions,
    }
    weights = {name: value.contiguous() for name, value in policy.module.state_dict().items()}
    atomic_write_bytes(folder / _WEIGHTS, save(weights))
    atomic_write_bytes(folder / _RECORD, (json.dumps(record, indent=1) + "\n").encode())


def load_actor(folder: Path, catalog_hash: str) -> ActorPolicy:
    """Read a policy that decides exactly as the saved one.

    Args:
        folder: where `save_actor` wrote.
        catalog_hash: hash of the catalogue in use.

    Raises:
        BundleError: a file is missing or damaged, or the policy is of another catalogue.
    """
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        weights = load((folder / _WEIGHTS).read_bytes())
        columns, hidden = tuple(record["columns"]), tuple(record["hidden"])
        module = Actor(len(columns), record["n_actions"], hidden, torch.Generator())
        module.load_state_dict(weights)
        policy = ActorPolicy(
            name=record["name"],
            catalog_hash=record["catalog_hash"],
            columns=columns,
            hidden=hidden,
            n_actions=record["n_actions"],
            module=module.requires_grad_(False),
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BundleError(
            f"expected {_RECORD} and {_WEIGHTS} of one actor in {folder}, got {error}; "
            "save the policy again"
        ) from error
    if policy.catalog_hash != catalog_hash:
        raise BundleError(
            f"actor {policy.name!r} was trained for catalogue {policy.catalog_hash}, this "
            f"journey's is {catalog_hash}; train it again"
        )
    return policy
