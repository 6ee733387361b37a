"""A learned policy behind ONNX Runtime, on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from nurture_rl.errors import BundleError, ProbabilityError
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Spec,
    normalised,
    require_batch,
)
from nurture_rl.release.onnx_trial import require_harmless, session_of

_INPUTS = ("features", "mask")
PROBABILITIES, SCORES = "probabilities", "scores"  # outputs; the second one may be missing
FORM, LINEAR, NETWORK = "scores", "linear", "network"  # a graph's own word on its scores
_ROUNDING = 1e-5  # of probability: what 32 bits leave behind in a sum


class OnnxPolicy:
    """Gives the probabilities a graph computes, cleaned of what 32 bits leave behind."""

    def __init__(self, session: Any, name: str, n_features: int, n_actions: int) -> None:
        self.session = session
        self.name = name
        self.n_features = n_features
        self.n_actions = n_actions
        self._answer, *self._beside = [node.name for node in session.get_outputs()]

    @property
    def is_linear(self) -> bool:
        """Whether the graph says that its scores are linear in the features."""
        return bool(self.session.get_modelmeta().custom_metadata_map.get(FORM) == LINEAR)

    def scores(self, features: FeatureArray) -> FloatArray | None:
        """What each action is chosen by, whatever is legal, [n, a]; None: the graph does not tell.

        Raises:
            BundleError: the graph cannot be run on these inputs.
        """
        if not self._beside:
            return None
        mask = np.ones((len(features), self.n_actions), np.bool_)
        require_batch(features, mask, self.n_actions)
        found = np.asarray(self._run(self._beside[0], features, mask), np.float64)
        return found if found.shape == mask.shape and np.isfinite(found).all() else None

    @classmethod
    def load(cls, model: bytes, name: str) -> OnnxPolicy:
        """Read a graph with inputs features [n, d] float32 and mask [n, a] bool.

        Raises:
            BundleError: the bytes are no such graph, or it takes more memory or time than it may.
        """
        session = session_of(model, limited=True)
        shapes = {node.name: node.shape for node in session.get_inputs()}
        if tuple(shapes) != _INPUTS or any(len(shape) != 2 for shape in shapes.values()):
            raise BundleError(
                f"expected a graph with inputs features [n, d] and mask [n, a], got {shapes}; "
                "export it with export_onnx"
            )
        widths = [shapes[name][1] for name in _INPUTS]
        outputs = [node.name for node in session.get_outputs()]
        if not all(isinstance(width, int) for width in widths) or (
            len(outputs) != 1 and outputs != [PROBABILITIES, SCORES]
        ):
            raise BundleError(
                f"expected a graph with one output, or {PROBABILITIES} and {SCORES}, and fixed "
                f"numbers of features and actions, got {len(outputs)} outputs and inputs {shapes}; "
                "export it with export_onnx"
            )
        require_harmless(session, name, *widths)
        return cls(session_of(model), name, *widths)

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """What the graph says, summing to 1 in float64, exactly 0 where masked, [n, a].

        Raises:
            BundleError: the graph cannot be run on these inputs.
            ProbabilityError: it gives no probabilities, such as logits.
        """
        require_batch(features, mask, self.n_actions)
        table = np.asarray(self._run(self._answer, features, mask), np.float64)
        self._require_distributions(table, mask)
        return normalised(table, mask)

    def _run(self, output: str, features: FeatureArray, mask: BoolArray) -> Any:
        inputs = {"features": np.ascontiguousarray(features, np.float32), "mask": mask}
        try:
            (answer,) = self.session.run([output], inputs)
            return np.asarray(answer)
        except Exception as error:  # the runtime's own exceptions share no public base
            raise BundleError(
                f"policy {self.name!r}: its graph cannot be run on float32 features and a boolean "
                f"mask: {error}; export it with export_onnx"
            ) from error

    def _require_distributions(self, table: FloatArray, mask: BoolArray) -> None:
        """Nothing but what 32 bits leave behind is cleaned away; logits are no probabilities."""
        if table.shape != mask.shape:
            raise ProbabilityError(
                f"policy {self.name!r}: expected a graph of probabilities {mask.shape}, got "
                f"{table.shape}; give each action one"
            )
        total = table.sum(axis=1)
        fine = (table >= 0.0) & (mask | (table <= _ROUNDING))
        if fine.all() and (np.abs(total - 1.0) <= _ROUNDING).all():
            return
        faults = (
            (~(table >= 0.0).all(axis=1), "has an entry that is negative or not a number"),
            ((table * ~mask > _ROUNDING).any(axis=1), "puts probability on a masked action"),
            (~(np.abs(total - 1.0) <= _ROUNDING), "does not sum to 1"),
        )
        for bad, fault in faults:
            if bad.any():
                row = int(bad.argmax())
                raise ProbabilityError(
                    f"policy {self.name!r}: expected a graph of probabilities that sum to 1 over "
                    f"the legal actions, but row {row} of {len(mask)} {fault} (sum "
                    f"{total[row]:.6g}); end the graph with a softmax over the legal actions"
                )

    def spec(self) -> Spec:
        """The name the bundle's composition calls it by."""
        return {"kind": "model", "name": self.name}
