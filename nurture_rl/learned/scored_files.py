"""A learned policy in a folder: arrays as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from nurture_rl.errors import BundleError
from nurture_rl.learned.choice_rules import read_rule, rule_record
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.logs.atomic import atomic_write_bytes

_ARRAYS = "policy.safetensors"
_RECORD = "policy.json"


def save_scored(policy: ScoredPolicy, folder: Path) -> None:
    """Write the policy's two files into a folder, which is made if need be.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "name": policy.name,
        "catalog_hash": policy.catalog_hash,
        "columns": policy.columns,
        "layers": policy.module.depth,
        "rule": rule_record(policy.module.rule),
        "floor": policy.module.floor,
        "unit": policy.module.unit,
        "fit": dict(policy.fit),
    }
    arrays = {name: value.contiguous() for name, value in policy.module.state_dict().items()}
    atomic_write_bytes(folder / _ARRAYS, save(arrays))
    atomic_write_bytes(folder / _RECORD, (json.dumps(record, indent=1) + "\n").encode())


def load_scored(folder: Path, catalog_hash: str) -> ScoredPolicy:
    """Read a policy that decides exactly as the saved one.

    Args:
        folder: where `save_scored` wrote.
        catalog_hash: hash of the catalogue in use.

    Raises:
        BundleError: a file is missing or damaged, or the policy is of another catalogue.
        ShapeError: the arrays do not fit together.
    """
    try:
        arrays = load((folder / _ARRAYS).read_bytes())
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        depth = range(record["layers"])
        module = ScoredModule(
            (arrays["mean"].numpy(), arrays["scale"].numpy()),
            [(arrays[f"weight_{index}"], arrays[f"bias_{index}"]) for index in depth],
            arrays["maps"],
            read_rule(record["rule"]),
            record["floor"],
            record["unit"],
        )
        policy = ScoredPolicy(
            catalog_hash=record["catalog_hash"],
            columns=tuple(record["columns"]),
            module=module,
            fit=record["fit"],
            name=record["name"],
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
