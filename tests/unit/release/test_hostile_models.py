"""A model that is no plain graph of a known kind is refused when it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper, parser

from nurture_rl.errors import BundleError
from nurture_rl.release import onnx_trial
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


def swollen(body: str, weights: str = "") -> bytes:
    """A graph of few bytes."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[n, 2] features, bool[n, 2] mask) => (float[n, 2] y) {weights} {{ {body} }}"""
    return parser.parse_model(text).SerializeToString()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "body, weights",
    [
        ("all = ConstantOfShape (s)", "<int64[2] s = {100000, 100000}>"),
        ("all = Expand (one, s)", "<int64[2] s = {100000, 100000}, float[1] one = {1.0}>"),
        (
            "long = Expand (one, s) tall = Transpose (long) all = MatMul (tall, long)",
            "<int64[2] s = {1, 100000}, float[1] one = {1.0}>",
        ),
    ],
)
def test_a_few_bytes_that_ask_for_all_memory_are_refused(body: str, weights: str) -> None:
    model = swollen(
        f"{body} most = ReduceMax <keepdims = 0> (all) y = Add (features, most)", weights
    )
    assert len(model) < 400
    with pytest.raises(BundleError, match="within 10 s and 1024 MiB, but it cannot be run"):
        OnnxPolicy.load(model, "core")


def test_a_graph_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_trial, "MOST_SECONDS", 0.2)
    again = """y = Loop (times, , features) <body = b (int64 i, bool on, float[n, 2] x)
    => (bool go, float[n, 2] z) { go = Identity (on) z = Sin (x) }>"""
    for times, ends in (("5", True), ("1000000000000000", False)):
        model = swollen(again, f"<int64 times = {{{times}}}>")
        if ends:  # a loop is no harm by itself
            assert OnnxPolicy.load(model, "core").n_actions == 2
        else:
            with pytest.raises(BundleError, match="terminate flag being set"):
                OnnxPolicy.load(model, "core")
