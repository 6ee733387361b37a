"""Work without compiled loops is told of, once and with its cause, and an environment names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nurture_envs import compiling
from nurture_envs.contact_env import ContactEnv, ContactVectorEnv
from nurture_envs.errors import SlowPathWarning
from nurture_envs.worlds import draws
from nurture_envs.worlds.reference import REFERENCE_WORLDS, reference_world
from nurture_rl.ope.streaming import batch_sums
from tests.unit.envs.scripted_world import ScriptedWorld
from tests.unit.envs.toy_journey import toy
from tests.unit.ope.streaming.makers import decided, moments_of, some_model


@pytest.fixture(autouse=True)
def nothing_told_yet() -> Iterator[None]:
    compiling.warn_of_slow_path.cache_clear()
    yield
    compiling.warn_of_slow_path.cache_clear()


@pytest.fixture
def no_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in which numba is not installed."""
    caches = (compiling.against_numba, draws._compiled)
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    monkeypatch.setattr(batch_sums, "COMPILED", False)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize("journey", REFERENCE_WORLDS)
def test_every_reference_world_is_played_by_compiled_loops(journey: str) -> None:
    assert ContactEnv(reference_world(journey)).player == "compiled loops"


def test_a_world_that_is_no_loop_is_told_of_once_with_its_cause() -> None:
    world = ScriptedWorld(toy())
    with pytest.warns(SlowPathWarning, match="played by torch, .*cannot be written as a loop") as w:
        envs = [ContactVectorEnv(world, 3), ContactVectorEnv(world, 3)]
    assert len(w) == 1
    assert {env.player for env in envs} == {envs[0].player}
    assert envs[0].player.startswith("torch: cannot be written as a loop")


def test_another_cause_is_told_too() -> None:
    with pytest.warns(SlowPathWarning, match="cannot be written as a loop"):
        ContactVectorEnv(ScriptedWorld(toy()), 3)
    with pytest.warns(SlowPathWarning, match="pessimism"):
        env = ContactVectorEnv(reference_world("inbound_lead"), 2, pessimism=0.5)
    assert env.player == "torch: pessimism asks every member about every bin"


def test_torch_that_was_asked_for_is_no_news() -> None:
    assert ContactVectorEnv(ScriptedWorld(toy()), 3, compiled=False).player == "torch: asked for"


@pytest.mark.usefixtures("no_numba")
def test_without_numba_everything_that_could_be_compiled_says_so() -> None:
    with pytest.warns(SlowPathWarning, match="luck is drawn by torch, .* `pip install numba`"):
        draws.uniforms(draws.contact_keys(0, 2), 0, 1, 1)
    with pytest.warns(SlowPathWarning, match="summed up by numpy, .* is not installed"):
        moments_of(*decided(0, 8), some_model(1), compiled=False)
    with pytest.warns(SlowPathWarning, match="contacts are played by torch, .* not installed"):
        env = ContactVectorEnv(reference_world("inbound_lead"), 2)
    assert env.player.startswith("torch: numba, which nurture-rl depends on, is not installed")


def test_a_numba_that_cannot_be_imported_is_no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("Numba needs NumPy 2.4 or less")

    monkeypatch.setattr(compiling, "import_module", broken)
    compiling.against_numba.cache_clear()
    try:
        assert "cannot be imported (Numba needs NumPy 2.4 or less)" in compiling.against_numba()
    finally:
        compiling.against_numba.cache_clear()
