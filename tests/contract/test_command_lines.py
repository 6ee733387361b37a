"""Every command that a page shows is one that the command takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.cli.configs import CONFIGS, split
from nurture_rl.cli.loading import load
from nurture_rl.cli.plain import parsed
from nurture_rl.cli.verbs import VERBS
from nurture_rl.workflow.settings_schema import register_schemas
from tests.contract.source_tree import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "experiments").glob("*/README.md"))


def commands(text: str) -> Iterator[str]:
    """Command lines of `nurture` in a page's blocks and between its backticks."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("nurture "):
                yield line.split("  #")[0].strip()
    outside = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (found.strip() for found in re.findall(r"`(nurture [^`]+)`", outside))


LINES: list[tuple[object, str]] = [
    (page.relative_to(ROOT), line) for page in PAGES for line in commands(page.read_text("utf-8"))
]
LINES += [("--help", line) for verb in VERBS.values() for line in verb.examples]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    yield
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda part: str(part))
def test_a_shown_command_names_what_there_is(page: object, line: str) -> None:
    _, name, *words = shlex.split(line.split(" || ")[0])
    if name.startswith("-") or name in ("VERB", "completion"):
        return
    assert name in VERBS
    verb = VERBS[name]
    overrides, own = split([word for word in words if word != "--json"])
    if not verb.composed:
        assert parsed(load(verb.settings), overrides)
        return
    if own or any("..." in word for word in overrides):  # a folder or a value of the reader's own
        return
    for word in overrides:
        assert "=" in word, f"{page}: {word}"
    sweeps = "--multirun" in words
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        asked = [_first(word) for word in overrides] if sweeps else overrides
        assert compose(name, overrides=asked)


def _first(word: str) -> str:
    """The first value of a sweep."""
    key, _, values = word.partition("=")
    return f"{key}={values.split(',')[0]}"


def test_the_pages_show_every_verb() -> None:
    shown = {line.split()[1] for page, line in LINES if str(page) == "README.md"}
    assert shown >= set(VERBS)
