"""What a context remembers, read by a causal transformer: places, arithmetic, files, graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nurture_rl.errors import BundleError, ShapeError
from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.remembering import MemoryShape, RememberingTrunk, memory_places
from nurture_rl.learned.scored import REACH, ScoredModule, ScoredPolicy
from nurture_rl.learned.scored_files import load_scored, save_scored
from nurture_rl.policies.policy import PolicyError
from nurture_rl.release.onnx_export import export_onnx
from tests.unit.bandits.planted_log import FOUR

# Two tracks, of which one looks back a bin less, between columns that are no memory.
COLUMNS = ("bin", "sent@1", "sent@2", "sent@3", "size", "clicked@1", "clicked@2")
PLACES = ((3, -1), (2, 6), (1, 5))  # the oldest bin first
SHAPE = MemoryShape(len(COLUMNS), PLACES, width=6, heads=2, hidden=(5, 7))


def trunk(seed: int = 0, shape: MemoryShape = SHAPE) -> RememberingTrunk:
    """A trunk whose every number is drawn."""
    made = RememberingTrunk(shape, torch.Generator().manual_seed(seed))
    luck = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=luck) * 0.5)
    return made.requires_grad_(False)


def contexts(n: int = 5, seed: int = 3) -> Tensor:
    return torch.randn(n, len(COLUMNS), generator=torch.Generator().manual_seed(seed))


def policy(seed: int = 0) -> ScoredPolicy:
    maps = np.random.default_rng(seed).normal(size=(1, len(FOUR), SHAPE.width + 1))
    moments = np.full(len(COLUMNS), 0.5), np.full(len(COLUMNS), 2.0)
    module = ScoredModule(moments, [], maps, Boltzmann(1.0), trunk=trunk(seed))
    return ScoredPolicy(FOUR.hash, COLUMNS, module, {"rows": 1.0})


def test_memory_is_found_by_its_names_the_oldest_bin_first() -> None:
    assert memory_places(COLUMNS) == PLACES
    assert memory_places(("bin", "weekday=mon", "a@x", "a@0")) == ()
    assert SHAPE.rest == (0, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": 6},  # place 6 is no column
        {"places": ((3,), (2, 6))},
        {"places": ((3, 3), (2, 6))},
        {"width": 7},
        {"heads": 0},
        {"hidden": ()},
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    given = {"features": 7, "places": PLACES, "width": 6, "heads": 2, "hidden": (5,)} | wrong
    with pytest.raises(ShapeError, match="expected"):
        MemoryShape(**given)  # type: ignore[arg-type]


def naive(made: RememberingTrunk, row: Tensor) -> Tensor:
    """The answer of one context by loops over tokens and heads, every token to the end."""
    told = [*row.tolist(), 0.0]
    tokens = [made.of_bin(torch.tensor([told[place] for place in bin_])) for bin_ in PLACES]
    tokens += [made.opening, made.of_context(row[list(SHAPE.rest)])]
    tokens = [token + place for token, place in zip(tokens, made.position, strict=True)]
    blocks: Any = made.blocks
    for block in blocks:
        normed = [block.before(token) for token in tokens]
        heeded = []
        for at in range(len(tokens)):
            parts = []
            for head in range(SHAPE.heads):
                mine = slice(3 * head, 3 * head + 3)  # width 6 in two heads
                query = block.asking(normed[at])[mine]
                seen = [block.told(one) for one in normed[: at + 1]]  # nothing later
                likeness = torch.stack([query @ one[:6][mine] for one in seen]) / 3.0**0.5
                share = torch.softmax(likeness, dim=0)
                parts.append(sum(s * one[6:][mine] for s, one in zip(share, seen, strict=True)))
            heeded.append(tokens[at] + block.joined(torch.cat(parts)))
        tokens = [one + block.outer(torch.relu(block.inner(block.behind(one)))) for one in heeded]
    answer: Tensor = made.norm(tokens[-1])
    return answer


def test_the_answer_is_that_of_loops_in_which_no_token_heeds_a_later_one() -> None:
    made, rows = trunk(), contexts()
    expected = torch.stack([naive(made, row) for row in rows])
    assert torch.allclose(made(rows), expected, atol=1e-5)
    made.unseen.zero_()  # negative control: with a view of what comes later it is another
    assert not torch.allclose(made(rows), expected, atol=1e-3)


def test_every_column_is_read_and_a_wish_of_its_own_goes_before_the_kept_one() -> None:
    made, rows = trunk(), contexts(1)
    for column in range(len(COLUMNS)):
        other = rows.clone()
        other[0, column] += 1.0
        assert not torch.allclose(made(other), made(rows), atol=1e-4), COLUMNS[column]
    assert torch.equal(made(rows, made.opening[None]), made(rows))
    assert not torch.allclose(made(rows, made.opening.flip(0)[None]), made(rows), atol=1e-4)


def test_two_bins_are_told_apart_by_their_place() -> None:
    rows = torch.zeros(2, len(COLUMNS))
    rows[0, COLUMNS.index("sent@1")] = rows[1, COLUMNS.index("sent@2")] = 1.0
    last, before = trunk()(rows)
    assert not torch.allclose(last, before, atol=1e-3)


def test_a_policy_that_remembers_reads_standardised_features_that_saturate() -> None:
    made, raw = policy(), contexts(4)
    raw[0, 1] = 1e6
    inside = ((raw.double() - 0.5) / 2.0).clamp(-REACH, REACH).float()
    hidden = made.module.trunk(inside).double()  # type: ignore[misc]
    expected = hidden @ made.module.maps[0, :, 1:].T + made.module.maps[0, :, 0]
    assert torch.allclose(made.module.scores(raw)[:, :, 0], expected)


def test_what_remembers_is_kept_in_files(tmp_path: Path) -> None:
    made = policy()
    save_scored(made, tmp_path)
    again = load_scored(tmp_path, FOUR.hash)
    rows, mask = contexts(50).numpy(), np.ones((50, len(FOUR)), np.bool_)
    first, second = (one.action_probabilities(rows, mask) for one in (made, again))
    assert np.array_equal(first, second)
    assert isinstance(again.module.trunk, nn.Module)
    assert again.module.trunk.shape == SHAPE


@pytest.mark.parametrize("damage", ["no shape", "another shape", "an array less", "float64"])
def test_damaged_memory_is_refused(damage: str, tmp_path: Path) -> None:
    save_scored(policy(), tmp_path)
    at, record = tmp_path / "policy.safetensors", json.loads((tmp_path / "policy.json").read_text())
    arrays = load_file(at)
    if damage == "no shape":
        del record["trunk"]
    elif damage == "another shape":
        record["trunk"]["width"] = 4
    elif damage == "an array less":
        del arrays["trunk.opening"]
    else:
        arrays["trunk.opening"] = arrays["trunk.opening"].double()
    save_file(arrays, at)
    (tmp_path / "policy.json").write_text(json.dumps(record))
    with pytest.raises(BundleError, match="of one saved policy"):
        load_scored(tmp_path, FOUR.hash)


def test_numbers_of_a_memory_that_are_not_finite_are_refused() -> None:
    broken = trunk()
    broken.opening[0] = torch.nan
    maps = np.zeros((1, 2, SHAPE.width + 1))
    with pytest.raises(PolicyError, match="finite"):
        ScoredModule((np.zeros(7), np.ones(7)), [], maps, Boltzmann(1.0), trunk=broken)
    with pytest.raises(ShapeError, match="maps"):
        ScoredModule((np.zeros(6), np.ones(6)), [], maps, Boltzmann(1.0), trunk=trunk())


@pytest.mark.slow
def test_what_remembers_is_exported_as_a_graph(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    assert export_onnx(policy(), tmp_path / "core.onnx", FOUR, rng) < 1e-5
