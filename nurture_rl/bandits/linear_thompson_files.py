"""A linear Thompson policy in a folder: arrays as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from nurture_rl.bandits.linear_thompson import LinearThompsonFit, LinearThompsonPolicy
from nurture_rl.errors import BundleError

_ARRAYS = "linear_thompson.safetensors"
_RECORD = "linear_thompson.json"


def save_linear_thompson(policy: LinearThompsonPolicy, folder: Path) -> None:
    """Write the policy's two files into a folder, which is made if need be.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"scores": policy.scores, "mean": policy.mean, "scale": policy.scale}
    record = {
        "name": policy.name,
        "catalog_hash": policy.catalog_hash,
        "floor": policy.floor,
        "fit": asdict(policy.fit),
    }
    (folder / _ARRAYS).write_bytes(save_arrays(arrays))
    (folder / _RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def load_linear_thompson(folder: Path, catalog_hash: str) -> LinearThompsonPolicy:
    """Read a policy that decides exactly as the saved one.

    Args:
        folder: where `save_linear_thompson` wrote.
        catalog_hash: hash of the catalogue in use.

    Raises:
        BundleError: a file is missing or damaged, or the policy is of another catalogue.
        ShapeError: the arrays do not fit together.
    """
    try:
        arrays = load_arrays((folder / _ARRAYS).read_bytes())
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        policy = LinearThompsonPolicy(
            name=record["name"],
            catalog_hash=record["catalog_hash"],
            scores=arrays["scores"],
            mean=arrays["mean"],
            scale=arrays["scale"],
            floor=record["floor"],
            fit=LinearThompsonFit(**record["fit"]),
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"expected {_ARRAYS} and {_RECORD} of one saved policy in {folder}, got "
            f"{type(error).__name__}: {error}; save it again"
        ) from error
    if policy.catalog_hash != catalog_hash:
        raise BundleError(
            f"policy {policy.name!r} was fitted on catalogue {policy.catalog_hash}, this is "
            f"{catalog_hash}; fit it on the journey in use"
        )
    return policy
