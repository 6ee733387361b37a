"""One page per policy of the config group, and a table of what descriptions are made of."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nurture_rl.cli.configs import CONFIGS
from nurture_rl.cli.keys import comments_of
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.policies.composition import Floor, Mixture, TrustRegion, capped, tilted
from nurture_rl.policies.locking import Locked
from nurture_rl.policies.program import Drip, Rules
from nurture_rl.policies.references import Always, Fixed, NoContact, Random
from nurture_rl.policies.softmax import Softmax
from nurture_rl.workflow.learners import LEARNERS, Learner
from tools.pages.docstrings import Told, listed, settings, table, told

ROOT = Path(__file__).resolve().parents[2]
# What each kind of a description stands for; `model` stands for what a learner made.
KINDS: Mapping[str, Any] = {
    "always": Always,
    "drip": Drip,
    "expert": Rules.expert,
    "explore": Mixture,
    "fixed": Fixed,
    "floor": Floor,
    "locked": Locked,
    "mixture": Mixture,
    "no_contact": NoContact,
    "random": Random,
    "rules": Rules,
    "softmax": Softmax,
    "trust_region": TrustRegion,
}
EXAMPLES: Mapping[str, str] = {
    "always": '{kind: always, action: "send:pricing_guide@15"}',
    "drip": "{kind: drip}",
    "expert": "{kind: expert}",
    "explore": "{kind: explore, base: drip, share: 0.3, with: random}",
    "fixed": '{kind: fixed, probabilities: {"send:welcome@09": 0.6, "pause:1": 0.4}}',
    "floor": "{kind: floor, policy: drip, epsilon: 0.01}",
    "locked": "{kind: locked, policy: rules, usual: drip, free: timing}",
    "mixture": "{kind: mixture, policy: rules, other: no_contact, share: 0.25}",
    "no_contact": "{kind: no_contact}",
    "random": "{kind: random, weights: {send: 1.0, pause: 3.0}}",
    "rules": "{kind: rules}",
    "trust_region": "{kind: trust_region, policy: rules, anchor: {kind: explore, base: drip, "
    "share: 0.2}, max_ratio: 10, explore: 0.05}",
}


ACTS = {"tuned_rules": Rules}  # what acts afterwards where it is no scored policy


def configured() -> dict[str, Path]:
    """The config group's policies by name."""
    return {path.stem: path for path in sorted((CONFIGS / "policy").glob("*.yaml"))}


def example(kind: str) -> Mapping[str, Any]:
    """The shown description of a kind as plain data."""
    spec: Mapping[str, Any] = yaml.safe_load(EXAMPLES[kind])
    return spec


def pages() -> dict[str, str]:
    """The text of every page, by its path under docs/."""
    found = {f"policies/{name}.md": _page(name, path) for name, path in configured().items()}
    return {"policies/README.md": _index(), **found}


def _index() -> str:
    rows = [
        [
            f"[`{name}`]({name}.md)",
            _comes_about(name),
            _says(name, path),
        ]
        for name, path in configured().items()
    ]
    kinds = [
        [f"`{kind}`", told(thing).summary, f"`{EXAMPLES[kind]}`" if kind in EXAMPLES else "–"]
        for kind, thing in KINDS.items()
    ]
    return (
        "# Policies\n\n"
        "A policy gives every action of the catalogue a probability: features [n, d] and legal\n"
        "actions [n, a] in, probabilities [n, a] out, rows that sum to 1, exactly 0 where an\n"
        "action is forbidden. `policy=NAME` puts one of these into a run. Every page is written\n"
        "from the code by `make docs`. What a policy may remember: [memory](../memory.md).\n\n"
        + table("name, how it comes about, what it does", rows)
        + "\n\n## Descriptions\n\n"
        "A policy is described by plain data with a `kind`, in configurations, bundles and\n"
        "`data.logging` alike. A bare word is short for a kind without settings. `explore` is a\n"
        "mixture whose `other` is called `with` and is `random` unless said otherwise; `model`\n"
        "names what a learner made.\n\n" + table("kind, what it does, for example", kinds) + "\n"
    )


def _comes_about(name: str) -> str:
    return "learned" if name in LEARNERS else "a program"


def _says(name: str, path: Path) -> str:
    """One sentence on a policy: the comment that begins its file, else what its kind does."""
    return _comment(path) or told(KINDS[str(_spec(path).get("kind"))]).summary


def _comment(path: Path) -> str:
    lines = path.read_text("utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def _spec(path: Path) -> Mapping[str, Any]:
    spec = yaml.safe_load(path.read_text("utf-8"))["spec"]
    return spec if isinstance(spec, dict) else {}


def _page(name: str, path: Path) -> str:
    spec, comment = _spec(path), _comment(path)
    body = "\n".join(
        line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")
    )
    parts = [
        f"# {name}",
        comment,
        f"`configs/policy/{path.name}`:\n\n```yaml\n{body}\n```",
    ]
    if name in LEARNERS:
        parts += _learned(name, LEARNERS[name])
    kind = str(spec.get("kind", ""))
    if kind:
        parts += [f"## {'Held near the log' if name in LEARNERS else 'What it does'}", *_kind(kind)]
    parts += ["## Try it", f"```\n{_command(name)}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kind(kind: str) -> list[str]:
    thing = KINDS[kind]
    said = told(thing)
    parts = [said.summary, said.body]
    owner: Any = thing if inspect.isclass(thing) else Rules
    parts.append(f"```\n{told(owner.action_probabilities).summary}\n```")
    if kind == "trust_region":
        parts += [told(capped).summary, told(capped).body]
        parts += [told(tilted).summary, told(tilted).body]
        parts.append(_fields(owner, ("max_ratio", "explore", "tilt")))
    if kind == "random":
        parts.append(_fields(owner, ("weights",)))
    parts.append(f"The code: {_link(owner)}.")
    return parts


def _learned(name: str, learner: Learner) -> list[str]:
    said: Told = told(learner.learn)
    parts = ["## How it is learned", said.summary, said.body]
    parts.append(f"`{learner.learn.__name__}` in {_link(learner.learn)} reads:")
    parts.append(listed(said.sections["Args"]))
    if "Returns" in said.sections:
        parts.append(f"It gives: {_lower(said.sections['Returns'])}")
    if "Raises" in said.sections:
        parts += ["It refuses:", listed(said.sections["Raises"])]
    if "Source" in said.sections:
        parts.append(f"Source: {said.sections['Source']}")
    parts += [
        f"## Settings\n\n`{learner.settings.__name__}`, under `policy.fit`.",
        settings(learner.settings),
    ]
    policy: Any = ACTS.get(name, ScoredPolicy)
    acts = told(policy)
    parts += [f"## How it acts\n\n{acts.summary}", acts.body]
    parts.append(f"```\n{told(policy.action_probabilities).summary}\n```")
    return parts


def _fields(record: type[Any], names: tuple[str, ...]) -> str:
    comments = comments_of(record)
    return "\n".join(f"- `{name}`: {comments[name]}" for name in names)


def _command(name: str) -> str:
    if name in LEARNERS:
        return f"nurture train policy={name} experiment=small"
    return f"nurture evaluate +policy={name} experiment=small"


def _link(thing: Any) -> str:
    file = Path(inspect.getsourcefile(thing) or "").resolve().relative_to(ROOT)
    return f"[`{file}`](../../{file})"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
