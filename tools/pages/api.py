"""The names that a user imports, each with its meaning."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

from tools.pages.docstrings import table, told

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("nurture_envs", "nurture_rl")
_SAYS = {
    "nurture_envs": "Journeys, worlds and environments.",
    "nurture_rl": "Policies, learners, logs of your own, evaluation and bundles.",
}


def pages() -> dict[str, str]:
    """The text of the page, by its path under docs/."""
    parts = [
        "# What to import",
        "What a program of yours imports comes from the two packages themselves and is\n"
        "loaded when it is first asked for: `import nurture_rl` alone brings no library along.\n"
        "Whatever else is in the modules may move between versions. Arrays are told by their\n"
        "shapes: n contacts or rows, a actions, d features, N logged decisions, E episodes.\n"
        "Written from the code by `make docs`.",
    ]
    for package in PACKAGES:
        names = exported(package)
        rows = [[f"`{name}`", told(thing).summary, _link(thing)] for name, thing in names.items()]
        block = "\n".join(f"    {name}," for name in names)
        parts += [
            f"## {package}",
            _SAYS[package],
            table("name, what it is, stands in", rows),
            f"```python\nfrom {package} import (\n{block}\n)\n```",
        ]
    return {"api.md": "\n\n".join(parts) + "\n"}


def exported(package: str) -> dict[str, object]:
    """What a package gives to its users, by name."""
    module = import_module(package)
    return {name: getattr(module, name) for name in module.__all__}


def _link(thing: object) -> str:
    assert inspect.isclass(thing) or inspect.isfunction(thing)
    file = Path(inspect.getsourcefile(thing) or "").resolve().relative_to(ROOT)
    return f"[{file.name}](../{file})"
