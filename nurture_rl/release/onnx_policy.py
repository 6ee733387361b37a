"""A learned policy behind ONNX Runtime, on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from nurture_rl.errors import BundleError
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Spec,
    normalised,
    require_batch,
)

_INPUTS = ("features", "mask")


class OnnxPolicy:
    """Gives the probabilities a graph computes, cleaned of what 32 bits leave behind."""

    def __init__(self, session: Any, name: str, n_features: int, n_actions: int) -> None:
        self.session = session
        self.name = name
        self.n_features = n_features
        self.n_actions = n_actions

    @classmethod
    def load(cls, model: bytes, name: str) -> OnnxPolicy:
        """Read a graph with inputs features [n, d] float32 and mask [n, a] bool.

        Raises:
            BundleError: the bytes are no such graph.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own exceptions share no public base
            raise BundleError(
                f"expected an ONNX graph that ONNX Runtime {onnxruntime.__version__} can run, "
                f"got: {error}; export the model again"
            ) from error
        shapes = {node.name: node.shape for node in session.get_inputs()}
        if tuple(shapes) != _INPUTS or any(len(shape) != 2 for shape in shapes.values()):
            raise BundleError(
                f"expected a graph with inputs features [n, d] and mask [n, a], got {shapes}; "
                "export it with export_onnx"
            )
        return cls(session, name, int(shapes["features"][1]), int(shapes["mask"][1]))

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """What the graph says, summing to 1 in float64, exactly 0 where masked, [n, a]."""
        require_batch(features, mask, self.n_actions)
        inputs = {"features": np.ascontiguousarray(features, np.float32), "mask": mask}
        (table,) = self.session.run(None, inputs)
        return normalised(np.asarray(table, np.float64), mask)

    def spec(self) -> Spec:
        """The name the bundle's composition calls it by."""
        return {"kind": "model", "name": self.name}
