"""Every public name of the library is reached from where a user starts, or is said to wait."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nurture_envs.loops.emitting import _MATHS
from nurture_rl.cli.verbs import VERBS
from tests.contract.reachability import IMPORTED, Library
from tests.contract.source_tree import ROOT, modules_of, under

# What waits for a capability that is to come: a name, or a module with all that is in it.
WAITING = {
    "nurture_envs.worlds.borrowing": "new messages in a fitted world",
    "nurture_envs.worlds.embedding.likeness": "new messages in a fitted world",
    "nurture_rl.ope.bounds.sequence": "the lift over a holdout, looked at every day",
    "nurture_rl.ope.bounds.weighted_rewards": "the lift over a holdout, looked at every day",
    "nurture_rl.ope.weighting.send_time": "the best moment of a send",
}
PLUGINS = (
    *("ray_launcher", "ray_launcher.RayLauncher", "ray_launcher.RayConfig"),
    *("optuna_sweeper", "optuna_sweeper.OptunaSweeper", "optuna_sweeper.OptunaConfig"),
)
# What others call by name: Gymnasium, Hydra, MLflow, masked learners, and code that loops write.
CALLED_BY_NAME = (
    "nurture_envs",
    "nurture_envs.registration.reference_env",
    "nurture_envs.registration.reference_vector_env",
    "nurture_envs.contact_env.ContactEnv.action_masks",
    "nurture_rl.release.pyfunc._load_pyfunc",
    "nurture_rl.release.pyfunc.BundleModel.predict",
    "nurture_rl.cli.sweep_watch.SweepWatch",
    *(f"hydra_plugins.nurture_sweeps.{name}" for name in PLUGINS),
    *(f"nurture_envs.loops.maths.{name}" for name in _MATHS),
)


def shown_code() -> Iterator[ast.Module]:
    """Python that the pages and notebooks show."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            yield ast.parse(block)
    for notebook in sorted((ROOT / "notebooks").glob("*.py")):
        yield ast.parse(notebook.read_text("utf-8"))


def starts() -> list[str]:
    """Where a user starts: the command, its verbs, what is shown, what is called by name."""
    found = ["nurture_rl.cli.main.main", "nurture_rl.cli.__main__", *CALLED_BY_NAME]
    for verb in VERBS.values():
        found += [verb.settings.replace(":", "."), verb.work.replace(":", ".")]
        found += [verb.keyed.replace(":", ".")] if verb.keyed else []
    for code in shown_code():
        for node in ast.walk(code):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("nurture_"):
                found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def asked_attributes() -> set[str]:
    """Attributes that shown code asks of objects."""
    nodes = (node for code in shown_code() for node in ast.walk(code))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.fixture(scope="module")
def unreached() -> list[str]:
    ours = Library(modules_of("nurture_rl", "nurture_envs", "hydra_plugins"))
    reached = ours.reached(starts(), asked_attributes())
    return [name for name in ours.public if name not in reached]


def test_every_public_name_is_reached_or_waits(unreached: list[str]) -> None:
    lost = [name for name in unreached if not under(name, WAITING)]
    assert lost == [], "reach them from a verb, delete them, or make them private to what uses them"


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_is_not_reached_yet(name: str, unreached: list[str]) -> None:
    assert any(under(one, [name]) for one in unreached), f"{WAITING[name]} is there: strike it off"


def library(folder: Path, **texts: str) -> Library:
    modules = {}
    for name, text in texts.items():
        modules[f"pack.{name}"] = folder / f"{name}.py"
        modules[f"pack.{name}"].write_text(text, encoding="utf-8")
    return Library(modules)


def test_what_nobody_speaks_of_is_not_reached(tmp_path: Path) -> None:
    found = library(
        tmp_path,
        verb="from pack.other import used\ndef main(): return used()\n",
        other="SIZE = 3\nSPARE = 4\ndef used(): return SIZE\ndef spare(): return used()\n",
    )
    reached = found.reached(["pack.verb.main"])
    assert set(found.public) - reached == {"pack.other.SPARE", "pack.other.spare"}


def test_a_method_is_reached_by_its_name_and_what_it_speaks_of_with_it(tmp_path: Path) -> None:
    text = "class Kind:\n    def used(self): return one()\n    def spare(self): return two()\n"
    found = library(
        tmp_path,
        verb="from pack.kind import Kind\ndef main(): return Kind().used()\n",
        kind=text + "def one(): ...\ndef two(): ...\n",
    )
    reached = found.reached(["pack.verb.main"])
    assert set(found.public) - reached == {"pack.kind.Kind.spare", "pack.kind.two"}
    assert "pack.kind.two" in found.reached(["pack.verb.main"], ["spare"])


def test_what_another_library_calls_back_is_reached_with_its_class(tmp_path: Path) -> None:
    text = "from torch import nn\nclass Base(nn.Module): ...\n"
    text += "class Net(Base):\n    def forward(self): return helped()\ndef helped(): ...\n"
    found = library(tmp_path, net=text)
    assert "pack.net.helped" in found.reached(["pack.net.Net"])


def test_names_are_followed_through_reexports_modules_and_texts(tmp_path: Path) -> None:
    found = library(
        tmp_path,
        a="from pack.b import one\n",
        b="def one(): ...\ndef two(): ...\n",
        c="def three(): ...\ndef four(): ...\n",
        verb="from pack import a, b\nimport importlib\n"
        "def main(): a.one(); b.two(); importlib.import_module('pack.c').three()\n",
    )
    assert set(found.public) - found.reached(["pack.verb.main"]) == {"pack.c.four"}


def test_a_start_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"pack\.a\.gone"):
        library(tmp_path, a="").reached(["pack.a.gone"])
    assert library(tmp_path, a="").reached(["pack.a"]) == {f"pack.a.{IMPORTED}"}
