"""A learned policy in a folder: arrays as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nurture_rl.errors import BundleError, NurtureError
from nurture_rl.learned.choice_rules import read_rule, rule_record
from nurture_rl.learned.remembering import MemoryShape, RememberingTrunk
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.logs.atomic import atomic_write_bytes

_ARRAYS = "policy.safetensors"
_RECORD = "policy.json"
_TRUNK = "trunk."  # how the names of its arrays begin
_DAMAGE = (  # what reading a damaged file may raise
    *(OSError, SafetensorError, NurtureError),
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RuntimeError),
)


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
    if policy.module.trunk is not None:
        record["trunk"] = asdict(policy.module.trunk.shape)
    arrays = {name: value.contiguous() for name, value in policy.module.state_dict().items()}
    atomic_write_bytes(folder / _ARRAYS, save(arrays))
    atomic_write_bytes(folder / _RECORD, (json.dumps(record, indent=1) + "\n").encode())


def load_scored(folder: Path, catalog_hash: str) -> ScoredPolicy:
    """Read a policy that decides exactly as the saved one.

    Args:
        folder: where `save_scored` wrote.
        catalog_hash: hash of the catalogue in use.

    Raises:
        BundleError: a file is missing or damaged, its parts do not fit together, or the policy is
            of another catalogue.
    """
    try:
        arrays = load((folder / _ARRAYS).read_bytes())
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        _require_kinds(record)
        own = {
            name.removeprefix(_TRUNK): arrays.pop(name)
            for name in [*arrays]
            if name.startswith(_TRUNK)
        }
        _require_arrays(arrays, record["layers"])
        depth = range(record["layers"])
        module = ScoredModule(
            (arrays["mean"].numpy(), arrays["scale"].numpy()),
            [(arrays[f"weight_{index}"], arrays[f"bias_{index}"]) for index in depth],
            arrays["maps"],
            read_rule(record["rule"]),
            record["floor"],
            record["unit"],
            _trunk(record.get("trunk"), own),
        )
        policy = ScoredPolicy(
            catalog_hash=record["catalog_hash"],
            columns=tuple(record["columns"]),
            module=module,
            fit=record["fit"],
            name=record["name"],
        )
    except _DAMAGE as error:
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


def _trunk(
    shape: Mapping[str, Any] | None, arrays: Mapping[str, Tensor]
) -> RememberingTrunk | None:
    """The trunk of a record and its arrays; None where neither tells of one."""
    if shape is None and not arrays:
        return None
    if shape is None or any(value.dtype != torch.float32 for value in arrays.values()):
        raise ValueError(f"a trunk of {shape} with arrays {', '.join(sorted(arrays))}")
    places = tuple(tuple(bin_) for bin_ in shape["places"])
    read = MemoryShape(**{**shape, "places": places, "hidden": tuple(shape["hidden"])})
    trunk = RememberingTrunk(read, torch.Generator()).requires_grad_(False)
    trunk.load_state_dict(arrays)
    return trunk


def _require_kinds(record: Mapping[str, Any]) -> None:
    """Refuse a record whose entries are not of the kinds that `save_scored` writes."""
    columns, fit, layers = record["columns"], record["fit"], record["layers"]
    right = {
        "name": isinstance(record["name"], str),
        "catalog_hash": isinstance(record["catalog_hash"], str),
        "columns": isinstance(columns, list) and all(isinstance(one, str) for one in columns),
        "layers": type(layers) is int and layers >= 0,
        "floor": type(record["floor"]) in (int, float) and isfinite(record["floor"]),
        "unit": isinstance(record["unit"], str),
        "fit": isinstance(fit, dict) and all(type(one) in (int, float) for one in fit.values()),
    }
    for name in (name for name, fits in right.items() if not fits):
        raise ValueError(f"{name} is {record[name]!r}")


def _require_arrays(arrays: Mapping[str, Tensor], layers: int) -> None:
    """Refuse arrays other than those that `save_scored` writes for so many layers."""
    if len(arrays) != 3 + 2 * layers:
        raise ValueError(f"arrays {', '.join(sorted(arrays))} with {layers} layers")
    for name, value in arrays.items():
        wanted = torch.float64 if name in ("mean", "scale", "maps") else torch.float32
        if value.dtype != wanted:
            raise ValueError(f"{name} holds {value.dtype}, not {wanted}")
