"""What a log without a journey is broken down by, and the target policies it is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pyarrow as pa
import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.interchange.admission import Admission, admit
from nurture_rl.interchange.frames import FrameColumns, FrameMeaning, read_frame
from nurture_rl.ope.targets import TabulatedPolicy
from nurture_rl.workflow.ope_config import AskConfig, OpeConfig, OpeDataConfig
from nurture_rl.workflow.ope_log import few_levels, of_admission
from nurture_rl.workflow.ope_targets import columns_of, target_policies, where_undefined

ACTIONS = ("call", "mail", "none")
LOGGED = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])


def admitted(
    features: dict[str, list[float]] | None = None,
    legal: list[list[bool]] | None = None,
    logged: bool = False,
    segments: tuple[str, ...] = (),
) -> Admission:
    """Four decisions of four people."""
    columns: dict[str, Any] = {
        "arm": ["call", "mail", "none", "mail"],
        "p": [0.5, 0.2, 0.3, 0.25],
        "paid": [3.0, 1.0, 0.0, 2.0],
        "who": ["a", "b", "c", "d"],
        "town": ["X", "Y", "X", "Y"],
    }
    columns |= features or {}
    names: dict[str, Any] = {"features": tuple(features or {}), "segments": segments}
    if legal is not None:
        columns |= {f"may_{k}": [row[k] for row in legal] for k in range(3)}
        names["mask"] = tuple(f"may_{k}" for k in range(3))
    if logged:
        columns |= {f"p_{k}": LOGGED[:, k].tolist() for k in range(3)}
        names["logged_probabilities"] = tuple(f"p_{k}" for k in range(3))
    given = FrameColumns(action="arm", propensity="p", reward="paid", contact="who", **names)
    return admit(read_frame(pa.table(columns), given, FrameMeaning(actions=ACTIONS)), 0.5)


def chances(spec: Any, admission: Admission) -> list[list[float]]:
    policy = target_policies({"goal": spec}, admission)["goal"]
    if isinstance(policy, TabulatedPolicy):
        table = policy.probabilities
    else:
        table = policy.action_probabilities(admission.log.features, admission.log.mask)
    return [list(row) for row in table]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
        ("mail", [0.0, 1.0, 0.0]),
        ({"always": "none"}, [0.0, 0.0, 1.0]),
        ({"probabilities": {"none": 0.75, "call": 0.25}}, [0.25, 0.0, 0.75]),
        ({"weights": {"mail": 3, "none": 1}}, [0.0, 0.75, 0.25]),
    ],
)
def test_a_line_of_description_is_a_policy(spec: Any, expected: list[float]) -> None:
    assert chances(spec, admitted())[2] == pytest.approx(expected)


def test_weights_are_shared_out_among_what_is_legal() -> None:
    legal = [[True, True, True], [False, True, True], [True, False, True], [False, True, False]]
    admission = admitted(legal=legal)
    found = chances({"weights": {"call": 1, "mail": 3}}, admission)
    assert found == [[0.25, 0.75, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_where_nothing_of_a_policy_is_legal_it_takes_all_alike_and_says_so() -> None:
    legal = [[True, True, True], [False, True, True], [True, False, True], [False, True, False]]
    admission = admitted(legal=legal)
    assert chances("call", admission)[1] == [0.0, 0.5, 0.5]
    policies = target_policies({"caller": "call", "any": "uniform"}, admission)
    policies["tabled"] = TabulatedPolicy(LOGGED)  # defined everywhere
    (note,) = where_undefined(policies, admission)
    assert note.startswith("in 2 of 4 decisions no action of policy 'caller' is legal")


def test_a_step_toward_a_policy_goes_that_share_of_the_way() -> None:
    found = chances({"weights": {"mail": 1}}, admitted())
    assert found[0] == [0.0, 1.0, 0.0]
    targets = {"step": {"toward": {"policy": "goal", "share": 0.25}}, "goal": "mail"}
    policies = target_policies(targets, admitted(logged=True))
    assert list(policies) == ["step", "goal"]
    step = policies["step"]
    assert isinstance(step, TabulatedPolicy)
    # Three quarters of [0.5, 0.3, 0.2] and a quarter of [0, 1, 0].
    assert step.probabilities[0] == pytest.approx([0.375, 0.475, 0.15])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_step_and_the_whole_way_are_steps(share: float) -> None:
    targets = {"goal": "mail", "step": {"toward": {"policy": "goal", "share": share}}}
    step = target_policies(targets, admitted(logged=True))["step"]
    assert isinstance(step, TabulatedPolicy)
    whole = np.tile([0.0, 1.0, 0.0], (4, 1))
    assert step.probabilities == pytest.approx(whole if share else LOGGED)


def graph(n_features: int, n_actions: int) -> bytes:
    """A graph that takes legal actions alike, whatever the features."""
    inputs = f"float[n, {n_features}] features, bool[n, {n_actions}] mask"
    text = f"""
        <ir_version: 8, opset_import: ["" : 17]>
        g ({inputs}) => (float[n, {n_actions}] chance) {{
            legal = Cast <to = 1> (mask)
            axes = Constant <value = int64[1] {{1}}> ()
            total = ReduceSum (legal, axes)
            chance = Div (legal, total)
        }}
    """
    return onnx.parser.parse_model(text).SerializeToString()  # type: ignore[no-any-return]


def test_a_graph_of_the_logs_shape_is_a_policy_and_another_is_refused(tmp_path: Path) -> None:
    admission = admitted(features={"size": [1.0, 2.0, 3.0, 4.0]})
    path = tmp_path / "policy.onnx"
    path.write_bytes(graph(1, 3))
    assert chances({"file": str(path)}, admission)[0] == pytest.approx([1 / 3] * 3)
    for shape, said in (((2, 3), "2 features and 3 actions"), ((1, 2), "1 feature and 2 actions")):
        path.write_bytes(graph(*shape))
        with pytest.raises(ConfigError, match=f"goal.file: the graph takes {said}, the log has 1"):
            chances({"file": str(path)}, admission)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "expected exactly one of"),
        ({"always": "mail", "weights": {"mail": 1}}, "expected exactly one of"),
        ({"weigths": {"mail": 1}}, "did you mean 'weights'"),
        ({"uniform": 1}, "expected true"),
        ({"weights": {"mail": -1}}, "weight of 'mail' must be >= 0, got -1"),
        ({"weights": {"mail": float("inf")}}, "weight of 'mail' must be >= 0, got inf"),
        ({"weights": {"mail": True}}, "must be a number, got True"),
        ({"weights": {"mail": 0}}, "expected an action with a weight above 0"),
        ({"weights": ["mail"]}, "expected weights by action"),
        ({"weights": {"mial": 1}}, "did you mean 'mail'"),
        ({"probabilities": {"mail": 0.5, "call": 0.4}}, "got a sum of 0.9"),
        ({"file": "there/is/none.onnx"}, "expected an ONNX file"),
        ({"toward": {"policy": "goal"}}, "expected policy and share"),
        ({"toward": {"policy": "nobody", "share": 0.5}}, "expected a policy among"),
        ({"toward": {"policy": "other", "share": 1.5}}, r"a share in \[0, 1\]"),
        ({"toward": {"policy": "other", "share": -0.5}}, r"a share in \[0, 1\]"),
    ],
)
def test_a_description_that_cannot_be_followed_is_refused(spec: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        target_policies({"other": "mail", "goal": spec}, admitted(logged=True))


def test_columns_of_a_policy_are_one_or_one_of_each_action() -> None:
    targets = {"one": {"columns": "p"}, "each": {"columns": ["a", "b"]}, "none": "mail"}
    assert columns_of(targets) == {"one": ("p",), "each": ("a", "b")}
    unusable: list[Any] = ["", [], None, 3]
    for wrong in unusable:
        with pytest.raises(ConfigError, match=r"bad.columns: expected a column"):
            columns_of({"bad": {"columns": wrong}})


def test_features_of_a_few_values_break_the_log_down() -> None:
    wide = {f"f{k}": [float(k), 1.5, 1.5, float(k)] for k in range(2, 7)}
    features = {"flat": [1.0] * 4, "two": [1.0, 2.0, 2.0, 1.0], **wide}
    admission = admitted(features=features)
    found = few_levels(admission.log, admission.meaning.features)
    # Not the one that is the same everywhere, and no more than the first four.
    assert list(found) == ["two", "f2", "f3", "f4"]
    assert found["f2"].tolist() == ["2", "1.5", "1.5", "2"]


def test_features_of_many_values_do_not() -> None:
    n = 9
    columns = {
        "arm": ["mail"] * n,
        "p": [0.5] * n,
        "paid": [1.0] * n,
        "who": list(map(str, range(n))),
    }
    columns |= {"eight": [float(k % 8) for k in range(n)], "nine": [float(k) for k in range(n)]}
    names = FrameColumns(
        action="arm", propensity="p", reward="paid", contact="who", features=("nine", "eight")
    )
    admission = admit(read_frame(pa.table(columns), names, FrameMeaning(actions=ACTIONS)), 0.5)
    assert list(few_levels(admission.log, ("nine", "eight"))) == ["eight"]


def about(**levels: Any) -> OpeConfig:
    return OpeConfig(data=OpeDataConfig(levels=levels), ask=AskConfig(rules="mailer"))


def test_named_segments_stand_in_for_what_the_features_say() -> None:
    features = {"two": [1.0, 2.0, 2.0, 1.0]}
    assert list(of_admission(admitted(features), {}, about()).beside.segments) == ["two"]
    named = of_admission(admitted(features, segments=("town",)), {}, about()).beside.segments
    assert {name: labels.tolist() for name, labels in named.items()} == {
        "town": ["X", "Y", "X", "Y"]
    }


def test_policies_are_held_against_the_reference_and_the_rules_that_are_named() -> None:
    opened = of_admission(admitted(), {}, about())
    assert (opened.reference, opened.rules) == ("logged", "mailer")


def test_each_action_has_its_level_of_a_factor() -> None:
    given = {"none": "quiet", "mail": "cheap", "call": "dear"}
    factors = of_admission(admitted(), {}, about(cost=given)).beside.factors
    assert factors == {"cost": ("dear", "cheap", "quiet")}
    with pytest.raises(ConfigError, match=r"data.levels.cost: expected a level of call, none too"):
        of_admission(admitted(), {}, about(cost={"mail": "cheap"}))
