"""Learned cores as ONNX graphs, accepted only when they answer like the original."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import BundleError
from nurture_rl.learned.choice_rules import merit
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.release.onnx_policy import (
    FORM,
    LINEAR,
    NETWORK,
    PROBABILITIES,
    SCORES,
    OnnxPolicy,
)
from nurture_rl.release.parity import TOLERANCE, normal_states

_STATES = 10_000
_BLOCK = 500  # states compared at once
_OPSET = 18
_SCORES = 1e-4  # of its size, between a score and its export


def export_onnx(
    core: ScoredPolicy, path: Path, catalog: ActionCatalog, rng: np.random.Generator
) -> float:
    """Write a learned core as an ONNX graph of features [n, d] float32 and mask [n, a] bool.

    It gives probabilities, and beside them the scores that they come from.

    Args:
        core: the trained policy.
        path: the file to make.
        catalog: the actions it was trained on.
        rng: draws the 10,000 states it is compared on, around the moments of its training.

    Returns:
        The largest difference of a probability on those states.

    Raises:
        BundleError: the core belongs to another catalogue, or the graph's probabilities differ
            by more than 1e-5, or its scores by more than 1e-4 of their size; nothing is written.
    """
    if core.catalog_hash != catalog.hash:
        raise BundleError(
            f"expected a core trained on catalogue {catalog.hash}, got one of "
            f"{core.catalog_hash}; export it with the journey it was trained on"
        )
    model = _graph(core, len(catalog))
    exported = OnnxPolicy.load(model, core.name)
    worst = parity(core, exported, catalog, rng)
    if not worst <= TOLERANCE:
        raise BundleError(
            f"the exported graph's probabilities differ by {worst:.2g} from the policy's on "
            f"{_STATES} states, at most {TOLERANCE:g} is allowed; train it with smaller weights "
            "or report this model"
        )
    apart = score_parity(core, exported, rng)
    if not apart <= _SCORES:
        raise BundleError(
            f"the exported graph's scores differ by {apart:.2g} of their size from the policy's, "
            f"at most {_SCORES:g} is allowed; report this model"
        )
    atomic_write_bytes(path, model)
    return worst


def parity(
    core: ScoredPolicy, exported: OnnxPolicy, catalog: ActionCatalog, rng: np.random.Generator
) -> float:
    """The largest difference of a probability between a core and its export, on 10,000 states."""
    mean, scale = core.module.mean.numpy(), core.module.scale.numpy()
    states = normal_states(mean, scale, (_STATES, len(catalog)), catalog.wait, rng)
    worst = 0.0
    for start in range(0, _STATES, _BLOCK):
        features, mask = (
            states.features[start : start + _BLOCK],
            states.mask[start : start + _BLOCK],
        )
        expected = core.action_probabilities(features, mask)
        actual = exported.action_probabilities(features, mask)
        worst = max(worst, float(np.abs(actual - expected).max()))
    return worst


def score_parity(core: ScoredPolicy, exported: OnnxPolicy, rng: np.random.Generator) -> float:
    """The largest difference of a score on some states, as a share of the row's largest and 1."""
    mean, scale = core.module.mean.numpy(), core.module.scale.numpy()
    features = (mean + scale * rng.normal(size=(_BLOCK, len(mean)))).astype(np.float32)
    actual = exported.scores(features)
    if actual is None:
        return np.inf
    with torch.no_grad():
        expected = merit(core.module.rule, core.module.scores(torch.tensor(features))).numpy()
    size = 1.0 + np.abs(expected).max(axis=1, keepdims=True)
    return float((np.abs(actual - expected) / size).max())


def _graph(core: ScoredPolicy, n_actions: int) -> bytes:
    example = (torch.zeros(3, len(core.columns)), torch.ones(3, n_actions, dtype=torch.bool))
    batch = torch.export.Dim.DYNAMIC
    with _quiet():
        program = torch.onnx.export(
            _Told(core.module).eval(),
            example,
            input_names=["features", "mask"],
            output_names=[PROBABILITIES, SCORES],
            dynamic_shapes={"features": {0: batch}, "mask": {0: batch}},
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise BundleError(
            "the exporter of this version of torch gave no graph; install torch 2.10+"
        )
    model = program.model_proto
    model.metadata_props.add(key=FORM, value=LINEAR if core.module.is_linear else NETWORK)
    return bytes(model.SerializeToString())


class _Told(nn.Module):
    """A core that tells its scores beside its probabilities."""

    def __init__(self, module: ScoredModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities, and what the rule goes by, [n, a] each."""
        return self.module.told(features, mask)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back two known notes of torch 2.13's exporter, and the optimisers' progress lines."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    optimisers = [logging.getLogger(name) for name in ("onnx_ir", "onnxscript")]
    levels = [one.level for one in optimisers]
    for one in optimisers:
        one.setLevel(logging.WARNING)

    def unrelated(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    logger.addFilter(unrelated)
    try:
        with warnings.catch_warnings():
            # The exporter walks a class that torch itself has retired.
            pattern = r"`?isinstance\(treespec, LeafSpec\)`?"
            warnings.filterwarnings("ignore", pattern, FutureWarning)
            yield
    finally:
        logger.removeFilter(unrelated)
        for one, level in zip(optimisers, levels, strict=True):
            one.setLevel(level)
