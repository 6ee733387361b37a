"""A model that is no plain graph of a known kind is refused when it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from nurture_rl.errors import BundleError
from nurture_rl.release.onnx_policy import OnnxPolicy


def reading(path: str) -> bytes:
    """A graph whose weights lie in a file of the host."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", path), ("length", "8")):
        weights.external_data.add(key=key, value=value)
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2]),
        helper.make_tensor_value_info("mask", TensorProto.BOOL, [None, 2]),
    ]
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    node = helper.make_node("Add", ["features", "w"], ["y"])
    graph = helper.make_graph([node], "g", inputs, [answer], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()  # type: ignore[no-any-return]


@pytest.mark.parametrize("far", [True, False])
def test_a_model_reads_no_file_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(b"\0" * 8)
    with pytest.raises(BundleError, match="expected an ONNX graph"):
        OnnxPolicy.load(reading(str(tmp_path / "weights") if far else "weights"), "core")


@pytest.mark.parametrize("junk", [b"", b"\x80\x04K\x01.", b"\x08" * 4_096, b"\xff" * 100])
def test_what_is_no_graph_is_refused(junk: bytes) -> None:
    with pytest.raises(BundleError, match="expected an ONNX graph"):
        OnnxPolicy.load(junk, "core")
