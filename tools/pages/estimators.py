"""One page per estimator that `ask.estimators` takes, out of its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nurture_rl.ope import estimators
from nurture_rl.ope.named_estimators import ESTIMATORS, FULLY_WEIGHTED, SLOW_ESTIMATORS
from nurture_rl.ope.sequential.dice import dice
from nurture_rl.ope.sequential.fqe import fqe
from nurture_rl.ope.sequential.fqe_config import FqeConfig
from nurture_rl.ope.sequential.magic import magic
from nurture_rl.ope.sequential.marginal import drl, smis
from nurture_rl.ope.sequential.weighted_dr import wdr
from nurture_rl.ope.weighting import tuning
from nurture_rl.ope.weighting.mips import mips
from nurture_rl.ope.weighting.mrdr import MrdrConfig, mrdr
from nurture_rl.ope.weighting.self_normalised import sndr
from nurture_rl.ope.weighting.shrinking import clipped_ips, dros, switch_dr
from nurture_rl.ope.weighting.slope import slope
from tools.pages.docstrings import listed, markdown, settings, table, told

ROOT = Path(__file__).resolve().parents[2]
# What each name of the suite computes, and its settings where it has some.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "ips": estimators.ips,
    "snips": estimators.snips,
    "dm": estimators.dm,
    "dr": estimators.dr,
    "clipped_ips": clipped_ips,
    "sndr": sndr,
    "switch_dr": switch_dr,
    "dros": dros,
    "mrdr": mrdr,
    "mips": mips,
    "wdr": wdr,
    "drl": drl,
    "smis": smis,
    "magic": magic,
    "fqe": fqe,
    "dice": dice,
}
CONFIGS: Mapping[str, type[Any]] = {"mrdr": MrdrConfig, "fqe": FqeConfig}
TUNED: Mapping[str, Callable[..., Any]] = {
    "clipped_ips": tuning.tuned_clipped_ips,
    "switch_dr": tuning.tuned_switch_dr,
    "dros": tuning.tuned_dros,
    "mips": tuning.tuned_mips,
}


def pages() -> dict[str, str]:
    """The text of every page, by its path under docs/."""
    found = {f"estimators/{name}.md": _page(name) for name in (*ESTIMATORS, *SLOW_ESTIMATORS)}
    return {"estimators/README.md": _index(), **found}


def _index() -> str:
    rows = []
    for name in (*ESTIMATORS, *SLOW_ESTIMATORS):
        asked = "with `all`" if name in ESTIMATORS else "by name alone"
        rests = "yes" if name in FULLY_WEIGHTED else "no"
        says = told(FUNCTIONS[name]).summary
        rows.append([f"[`{name}`]({name}.md)", says, asked, rests])
    return (
        "# Estimators\n\n"
        "What a target policy would earn, from a log of another policy. `nurture ope` asks all\n"
        "that are not slow; `ask.estimators=[dr,snips,fqe]` names some. A verdict rests on\n"
        "estimators that weight every outcome in full: right propensities make them right,\n"
        "whatever a model says. Every page is written from the code by `make docs`. Which one\n"
        "when: [one decision](../ope-estimators.md), [episodes](../ope-sequential.md),\n"
        "[intervals and checks](../ope-intervals.md).\n\n"
        + table("name, what it does, asked, a verdict may rest on it", rows)
        + f"\n\n## Notation\n\n{markdown(estimators.__doc__ or '')}\n"
    )


def _page(name: str) -> str:
    function = FUNCTIONS[name]
    said = told(function)
    file = Path(inspect.getsourcefile(function) or "").resolve().relative_to(ROOT)
    asked = "`nurture ope` asks it" if name in ESTIMATORS else "`nurture ope` asks it by name alone"
    rests = "may" if name in FULLY_WEIGHTED else "does not"
    parts = [
        f"# {name}",
        said.summary,
        said.body,
        f"{asked}; a verdict {rests} rest on it. The code: [`{file}`](../../{file}).",
    ]
    if name in TUNED:
        parts.append(
            f"The suite asks it through `{TUNED[name].__name__}`: {told(TUNED[name]).summary}\n"
            f"How it chooses: {_lower(told(slope).summary)}"
        )
    parts.append(f"## What it reads\n\n{listed(said.sections['Args'])}")
    if "Returns" in said.sections:
        parts.append(f"## What it gives\n\n{said.sections['Returns']}")
    if name in CONFIGS:
        parts.append(f"## Settings\n\n`{CONFIGS[name].__name__}`.\n\n{settings(CONFIGS[name])}")
    if "Raises" in said.sections:
        parts.append(f"## When it refuses\n\n{listed(said.sections['Raises'])}")
    parts.append(f"## Source\n\n{said.sections.get('Source', 'None is named.')}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
