"""Every command that a page shows is one that the command takes."""

from __future__ import annotations

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
from tests.contract.shown_commands import LINES, commands


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    yield
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(("line", "page"), {line: page for page, line in reversed(LINES)}.items())
def test_a_shown_command_names_what_there_is(line: str, page: str) -> None:
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
    """The first value of a sweep; the lower end of an interval."""
    key, _, values = word.partition("=")
    values = values.rpartition("interval(")[2]
    return f"{key}={values.split(',')[0]}"


def test_the_pages_show_every_verb() -> None:
    shown = {line.split()[1] for page, line in LINES if page == "README.md"}
    assert shown >= set(VERBS)


def test_commands_are_read_in_order_from_blocks_with_titles_and_from_text() -> None:
    page = (
        "`nurture a`\n```bash title=b.sh\nnurture b \\\n  c=1  # d\n```\n`nurture e` and `make f`\n"
    )
    assert list(commands(page)) == ["nurture a", "nurture b    c=1", "nurture e"]
