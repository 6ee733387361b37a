"""How MLflow loads a bundle as a model; this file knows MLflow's protocol, not MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError
from nurture_rl.release.bundle import Bundle, load_bundle

LEGAL = "legal:"  # prefix of the columns that say which actions are legal


class BundleModel:
    """Action probabilities of a bundle's policy, by column name."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(
        self, model_input: Any, params: Mapping[str, Any] | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Probability of each action for each row.

        Args:
            model_input: a data frame or a mapping of columns: every feature column, and
                optionally `legal:<action id>` (missing: legal); `pause:1` always is.
            params: none are known.

        Returns:
            Action id -> probabilities [n].

        Raises:
            ShapeError: a feature column is missing, or columns are not equally long.
        """
        if params:
            raise ShapeError(f"expected no params, got {sorted(params)}; leave them out")
        columns = self.bundle.feature_spec.columns
        missing = [name for name in columns if name not in model_input]
        if missing:
            raise ShapeError(f"expected every feature column, missing are {missing[:5]}; add them")
        features = _table([model_input[name] for name in columns], np.float32)
        ids, n = self.bundle.catalog.ids, len(features)
        legal = [model_input.get(f"{LEGAL}{name}", np.ones(n, np.bool_)) for name in ids]
        mask = _table(legal, np.bool_)
        mask[:, self.bundle.catalog.wait] = True
        table = self.bundle.policy.action_probabilities(features, mask)
        return {name: table[:, position] for position, name in enumerate(ids)}


def _load_pyfunc(path: str) -> BundleModel:
    """The hook MLflow calls with the folder of the bundle."""
    return BundleModel(load_bundle(Path(path)))


def _table(columns: list[Any], dtype: Any) -> NDArray[Any]:
    arrays = [np.asarray(column, dtype) for column in columns]
    lengths = {array.shape for array in arrays}
    if len(lengths) != 1 or arrays[0].ndim != 1:
        raise ShapeError(f"expected equally long columns, got the shapes {sorted(lengths)}")
    return np.stack(arrays, axis=1)
