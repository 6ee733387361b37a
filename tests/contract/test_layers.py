"""Data flows one way, and heavy libraries stay in their rooms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.source_tree import ROOT, imports, modules_of, run_isolated, under

# A room may import itself and what stands on an earlier line, never a neighbour on its own line.
ORDER = [
    [
        *("nurture_rl.errors", "nurture_rl.verb_result", "nurture_rl.progress", "nurture_rl.rng"),
        *("nurture_rl.wording", "nurture_rl.client"),
    ],
    ["nurture_rl.codec", "nurture_rl.operator_client"],
    ["nurture_rl.identity"],
    ["nurture_rl.logs"],
    ["nurture_rl.features"],
    ["nurture_rl.decisions"],
    ["nurture_rl.policies"],
    ["nurture_rl.learned"],
    ["nurture_rl.simulator"],
    ["nurture_rl.bandits", "nurture_rl.rl"],
    ["nurture_rl.ope"],
    ["nurture_rl.predictions"],
    ["nurture_rl.lift"],
    ["nurture_rl.appraisal"],
    ["nurture_rl.interchange", "nurture_rl.replies"],
    ["nurture_rl.release"],
    ["nurture_rl.papers"],
    ["nurture_rl.serving"],
    ["nurture_rl.delivery"],
    ["nurture_rl.tracking", "nurture_rl.report"],
    ["nurture_rl.workflow"],
    ["nurture_rl.cli"],
]
# Inside `nurture_envs`, lowest first; what stands higher is imported by nothing below, ever.
LANGUAGE = (
    *(
        "errors",
        "once",
        "compiling",
        "jit",
        "stops",
        "claims",
        "clock",
        "fields",
        "yaml_once",
        "crowd_limits",
        "handoff_rules",
        "switchback",
        "experiment",
        "derived_rules",
        "journey",
    ),
    *("signals", "actions"),
    *(
        "features",
        "guardrails",
        "journey_goals",
        "journey_limits",
        "journey_guardrails",
        "journey_rules",
        "journey_features",
        "journey_enrolment",
        "journey_experiment",
        "journey_claims",
        "journey_file",
        "journey_memory",
        "worlds",
        "running_features",
        "simulation_state",
    ),
    *("population", "simulation", "player_protocol", "loops", "playing", "rollout", "contact_env"),
    "registration",
)
# Inside `nurture_rl.serving`, lowest first; the first is what lies in the room itself.
SERVING = (
    *("", "senders", "storage", "contacts", "policies", "deciding", "watching", "http", "upkeep"),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
OWNER = {
    "mlflow": "nurture_rl.tracking",
    "matplotlib": "nurture_rl.report",
    "ibis": "nurture_rl.features",
}
LIGHT = [
    "nurture_envs.journey",
    "nurture_envs.actions",
    "nurture_envs.clock",
    "nurture_envs.guardrails",
    "nurture_envs.features",
    "nurture_rl.policies",
    "nurture_rl.serving",
    "nurture_rl.release.bundle",
]
OUTSIDE = ["experiments", "benchmarks", "tests", "tools"]  # know every room, known by none
HEAVY = ["torch", "mlflow", "matplotlib", "numba"]
MODULES = modules_of("nurture_rl", "nurture_envs")


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {room_of(name) for name in MODULES if name.startswith("nurture_rl.")}
    assert rooms <= set(RANK), "a new room: give it a line in ORDER and in docs/architecture.md"


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_downstream_of_itself(name: str) -> None:
    used = {room_of(target) for target in imports(MODULES[name], name)}
    if name.startswith("nurture_envs"):
        assert not {room for room in used if under(room, ["nurture_rl"])}
    elif name != "nurture_rl":
        own = room_of(name)
        later = {room for room in used & set(RANK) if room != own and RANK[room] >= RANK[own]}
        assert not later, f"{own} is upstream of {sorted(later)}"


def test_no_module_imports_what_stays_outside_the_wheel() -> None:
    assert {name for name, path in MODULES.items() if under_any(path, name, OUTSIDE)} == set()


@pytest.mark.parametrize(
    "name", [name for name in MODULES if name.count(".") and under(name, ["nurture_envs"])]
)
def test_no_module_of_the_language_imports_upward(name: str) -> None:
    own = LANGUAGE.index(name.split(".")[1])
    used = {target.split(".")[1] for target in imports(MODULES[name], name)
            if target.startswith("nurture_envs.")}  # fmt: skip
    upward = sorted(room for room in used if LANGUAGE.index(room) > own)
    assert not upward, f"{name} stands below {upward}"


@pytest.mark.parametrize("name", [name for name in MODULES if under(name, ["nurture_rl.serving"])])
def test_no_module_of_the_server_imports_upward(name: str) -> None:
    def place(module: str) -> int:
        folder = module.removeprefix("nurture_rl.serving").strip(".").split(".")[0]
        return SERVING.index(folder) if folder in SERVING else 0

    used = [one for one in imports(MODULES[name], name) if under(one, ["nurture_rl.serving"])]
    upward = sorted(one for one in used if place(one) > place(name))
    assert not upward, f"{name} stands below {upward}"


def test_no_verb_waits_for_the_distributions_of_scipy() -> None:
    """They take half a second to load; `scipy.special` has their functions, bit for bit."""
    users = {
        name
        for name, path in MODULES.items()
        if any(under(target, ["scipy.stats"]) for target in imports(path, name))
    }
    assert users == {"nurture_rl.simulator.gap.leakage"}  # while it works, for its ranks


def test_no_modules_import_each_other_in_a_circle() -> None:
    arrows = {name: set(imported(name)) - {name} for name in MODULES}
    assert circles(arrows) == {}, "move what both need to a module of its own"


def imported(name: str) -> Iterator[str]:
    """Modules of ours that module `name` imports anywhere, also for its types alone."""
    for target in imports(MODULES[name], name):
        while target and target not in MODULES:
            target = target.rpartition(".")[0]
        if target:
            yield target


def circles(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows from which one can come back to where one was."""
    behind = {name: reached(arrows, name) for name in arrows}
    back = {name: {to for to in arrows[name] if name in behind[to]} for name in arrows}
    return {name: to for name, to in back.items() if to}


def reached(arrows: Mapping[str, set[str]], start: str) -> set[str]:
    found, todo = set[str](), [start]
    while todo:
        news = arrows[todo.pop()] - found
        found |= news
        todo += news
    return found


def test_circles_are_told_from_chains() -> None:
    chain = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert circles(chain) == {}
    assert circles({**chain, "c": {"d"}, "d": {"b", "f"}, "e": {"d"}, "f": set()}) == {
        "b": {"c"},
        "c": {"d"},
        "d": {"b"},
    }


@pytest.mark.parametrize("library", OWNER)
def test_only_the_owning_room_imports(library: str) -> None:
    users = {name for name, path in MODULES.items() if under_any(path, name, [library])}
    assert {name for name in users if not under(name, [OWNER[library]])} == set()


def under_any(path: Path, name: str, libraries: list[str]) -> bool:
    return any(under(target, libraries) for target in imports(path, name))


@pytest.mark.parametrize("root", LIGHT)
def test_light_rooms_load_without_the_heavy_libraries(root: str, tmp_path: Path) -> None:
    names = [name for name in MODULES if under(name, [root])]
    assert names, f"docs/architecture.md promises {root}; it is not on disk"
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
    loaded = run_isolated(code + f"print(*[m for m in {HEAVY!r} if m in sys.modules])", tmp_path)
    assert loaded.split() == []


def test_a_bundle_is_read_without_scipy(tmp_path: Path) -> None:
    code = "import sys, nurture_rl.release.bundle, nurture_rl.serving.http.app\n"
    loaded = run_isolated(code + "print('scipy' in sys.modules)", tmp_path)
    assert loaded.split() == ["False"]


def test_the_walk_sees_relative_and_nested_imports(tmp_path: Path) -> None:
    path = tmp_path / "b.py"
    path.write_text("from ..c import d\nfrom . import e\ndef f():\n    import g.h\n")
    assert sorted(imports(path, "top.a.b")) == ["g.h", "top.a.e", "top.c.d"]


def test_the_walk_reads_this_repository() -> None:
    assert "nurture_envs.errors" in MODULES
    assert MODULES["nurture_rl.errors"] == ROOT / "nurture_rl" / "errors.py"
