"""What torch does to traced tensors, the loops written from the trace do too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_envs.loops.emitting import Writer, compiled
from nurture_envs.loops.loop_records import WIDTH
from nurture_envs.loops.tracing import Recorder, UntraceableError
from nurture_envs.loops.watching import traced_call
from nurture_envs.worlds.draws import normals, uniforms

N = 200
TABLE = torch.tensor([0.5, -1.0, 2.0, 7.0, 3.0])
WHOLE = torch.tensor([4, 3, 2, 1, 0])

Function = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Floats, whole numbers, flags and keys of 200 contacts."""
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(N, generator=generator) * 3.0,
        torch.randint(0, 5, (N,), generator=generator),
        torch.rand(N, generator=generator) < 0.4,
        torch.randint(-(2**62), 2**62, (N,), generator=generator),
    )


def looped(function: Function) -> Any:
    """The function's values by loops, [n] or [k, n] as doubles."""
    recorder = Recorder()
    one = torch.ones(1, dtype=torch.int64)
    traced = traced_call(
        function,
        recorder.input("f", 0, torch.zeros(1)),
        recorder.input("q", 0, one),
        recorder.input("b", 0, torch.zeros(1, dtype=torch.bool)),
        recorder.input("q", 1, one),
    )
    places = recorder.places_of(traced).reshape(-1).tolist()
    results = [("d", row, recorder.cast(place, "float64")) for row, place in enumerate(places)]
    written = Writer(recorder, {"f": 1, "q": 2, "b": 1, "d": len(places)}, results).written()
    x, k, flag, keys = inputs()
    scratch: Any = {
        "f": np.zeros(written.rows["f"] * WIDTH, np.float32),
        "q": np.zeros(written.rows["q"] * WIDTH, np.int64),
        "b": np.zeros(written.rows["b"] * WIDTH, np.bool_),
        "d": np.zeros(written.rows["d"] * WIDTH),
    }
    scratch["f"][:N], scratch["q"][:N], scratch["b"][:N] = x, k, flag
    scratch["q"][WIDTH : WIDTH + N] = keys
    run = written.run
    _called(run, *scratch.values(), *written.constants, *written.tables)
    return scratch["d"].reshape(-1, WIDTH)[: len(places), :N]


def _called(run: Any, f: Any, q: Any, b: Any, d: Any, cf: Any, cd: Any, tf: Any, tq: Any) -> None:
    import numba

    @numba.njit
    def call(run, f, q, b, d, cf, cd, tf, tq, n):  # type: ignore[no-untyped-def]
        run(f, q, b, d, cf, cd, tf, tq, n)

    call(run, f, q, b, d, cf, cd, tf, tq, N)


def _set_by_view(x: Tensor) -> Tensor:
    rows = torch.stack([x, x + 1.0])
    first, same = rows[0], rows.float()
    first[:] = 4.0
    same[1] = -x
    return rows


def _set_where(x: Tensor, flag: Tensor) -> Tensor:
    made = x.clone()
    made[flag] = 0.0
    return made


def _set_constant(x: Tensor) -> Tensor:
    made = torch.zeros((2, x.shape[0]))
    made[0] = x
    return made


EXACT: dict[str, Function] = {
    "sums": lambda x, k, flag, keys: 2.0 * x - 0.25 + (1.0 - x) * flag - k,
    "ratios": lambda x, k, flag, keys: (x / 3.0) + 1.0 / (k + 1) - (-x).abs(),
    "order": lambda x, k, flag, keys: (x < 0.5) & ~flag | (k >= 3) ^ (x == 2.0) | (k != 4),
    "choices": lambda x, k, flag, keys: torch.where(flag, x, torch.where(k > 2, 1.5, -2.5)),
    "bounds": lambda x, k, flag, keys: torch.clamp(x, -1.0, max=2.0) + torch.relu(x)
    + torch.clamp(k, max=3) + torch.minimum(x, TABLE[:1]) + torch.maximum(x, -x),
    "bits": lambda x, k, flag, keys: ((keys >> (k * 8)) & 0xFF) | ((k + 1) << (k * 2)),
    "tables": lambda x, k, flag, keys: TABLE.index_select(0, k) + WHOLE[k],
    "flags of tables": lambda x, k, flag, keys: (TABLE > 1.0).index_select(0, k),
    "whole parts": lambda x, k, flag, keys: torch.floor(x) + torch.round(x) + (x * 2.0).long()
    + k // 2,
    "edges": lambda x, k, flag, keys: torch.searchsorted(
        torch.tensor([-1.0, 0.5], dtype=torch.float64), x.to(torch.float64), right=True
    ),
    "rows": lambda x, k, flag, keys: torch.stack([x, x + 1.0, k.float()])[1:].unbind()[1] + x,
    "bytes": lambda x, k, flag, keys: torch.stack([flag, ~flag]).view(torch.uint8).float(),
    "numbers less a contact's": lambda x, k, flag, keys: torch.rsub(x, 1.5),
    "elements that a view sets": lambda x, k, flag, keys: _set_by_view(x),
    "places from the end": lambda x, k, flag, keys: TABLE[k - 3],
    "draws": lambda x, k, flag, keys: uniforms(keys, k, 3, 5),
    "draws before the first bin": lambda x, k, flag, keys: uniforms(keys, -1, 3, 2)[1],
}  # fmt: skip
CLOSE: dict[str, Function] = {
    "exponentials": lambda x, k, flag, keys: torch.exp(x) + torch.exp2(x) + torch.sigmoid(x),
    "waves": lambda x, k, flag, keys: torch.cos(x * 3.0),
    "logarithms": lambda x, k, flag, keys: torch.log(x.abs() + 1.0) + torch.log1p(x.abs()),
    "normal draws": lambda x, k, flag, keys: normals(keys, -1, 2, 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_loops_give_what_torch_gives(name: str) -> None:
    wanted = EXACT[name](*inputs()).double().reshape(-1, N).numpy()
    np.testing.assert_array_equal(looped(EXACT[name]), wanted)


@pytest.mark.parametrize("name", CLOSE)
def test_loops_give_curved_functions_to_seven_digits(name: str) -> None:
    wanted = CLOSE[name](*inputs()).double().reshape(-1, N).numpy()
    np.testing.assert_allclose(looped(CLOSE[name]), wanted, rtol=4e-7, atol=4e-7)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, k, flag, keys: x + 1.0 if bool(flag.any()) else x,
        lambda x, k, flag, keys: x - x.mean(),
        lambda x, k, flag, keys: torch.tensor([float(x.item())]),
        lambda x, k, flag, keys: torch.cumsum(x, dim=0),
        lambda x, k, flag, keys: x + torch.zeros(7),
    ],
)
def test_what_looks_at_contacts_together_is_no_loop(function: Function) -> None:
    with pytest.raises(UntraceableError):
        looped(function)


NO_LOOPS: dict[str, Function] = {
    "draws of another bin": lambda x, k, flag, keys: uniforms(keys, k + 1, 3, 2),
    "draws by another key": lambda x, k, flag, keys: uniforms(keys ^ 5, k, 3, 2),
    "luck of torch": lambda x, k, flag, keys: (torch.rand(x.shape[0]) < 1e-6) | flag,
    "a contact's place": lambda x, k, flag, keys: (torch.arange(x.shape[0]) == 999) | flag,
    "one contact's number": lambda x, k, flag, keys: x - x[0],
    "a bound of contacts": lambda x, k, flag, keys: torch.clamp(x, max=k.float()),
    "bounds by row": lambda x, k, flag, keys: x.clamp(max=torch.tensor([[0.5], [1.0]])),
    "a lost origin": lambda x, k, flag, keys: torch.tensor(x) + 1.0,
    "bits as a number": lambda x, k, flag, keys: x.view(torch.int32),
    "bytes that wrap around": lambda x, k, flag, keys: flag.to(torch.uint8) - 1,
    "elements set where flags say": lambda x, k, flag, keys: _set_where(x, flag),
    "elements of a constant set": lambda x, k, flag, keys: _set_constant(x),
    "tensors by keyword": lambda x, k, flag, keys: torch.sigmoid(input=x),
    "several results": lambda x, k, flag, keys: torch.where(flag)[0],
    "quotients rounded down": lambda x, k, flag, keys: x // 2.0,
    "exponentials of doubles": lambda x, k, flag, keys: torch.exp(x.double()),
    "what torch itself refuses": lambda x, k, flag, keys: x + "1",
}


@pytest.mark.parametrize("name", NO_LOOPS)
def test_what_would_be_traced_wrong_is_no_loop(name: str) -> None:
    with pytest.raises(UntraceableError):
        looped(NO_LOOPS[name])


SOURCE = "def run(f, q, b, d, cf, cd, tf, tq, size):\n    f[0] = 1.0\n"


def test_loops_are_kept_in_a_folder_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled(SOURCE).native_name
    folder = tmp_path / "nurture_envs"
    assert folder.stat().st_mode & 0o077 == 0
    assert len(list(folder.glob("world_*.py"))) == 1
    assert list((folder / "__pycache__").glob("*.nbc"))


@pytest.mark.parametrize("part", ["nurture_envs", "nurture_envs/__pycache__"])
def test_loops_are_not_kept_where_others_could_put_theirs(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / part).mkdir(mode=0o700, parents=True)
    (tmp_path / part).chmod(0o777)
    assert compiled(SOURCE).native_name
    assert not list(tmp_path.rglob("world_*"))


def test_loops_are_made_where_there_is_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert compiled(SOURCE).native_name


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
def test_broken_files_of_kept_loops_are_made_up_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled(SOURCE)
    (broken,) = tmp_path.rglob(kind)
    broken.write_bytes(broken.read_bytes()[:9])
    assert compiled(SOURCE).native_name
