"""The page on a journey of one's own, followed literally from an empty folder to a report."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from nurture_rl.workflow.ope_verb import run_ope
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.verb_runs import run_verb

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "journey-file.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
register_schemas()


def follow(folder: Path) -> dict[str, Any]:
    """Write the page's files and run its commands in order; what each verb gave, by its name."""
    made: dict[str, Any] = {}
    for _, title, text in BLOCK.findall(PAGE):
        if title:
            (folder / title).write_text(text, "utf-8")
            continue
        for line in text.splitlines():
            words = shlex.split(line)
            words = words[: words.index("||")] if "||" in words else words
            assert words[0] in ("python", "nurture")
            if words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True)
            else:
                made[words[1]] = started(words[1], words[2:])
    return made


def started(verb: str, overrides: list[str]) -> Any:
    """The verb in this process: what `nurture VERB` does, without starting Python anew."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose(verb, overrides)
    return run_ope(config) if verb == "ope" else run_verb(config, verb)


@pytest.mark.timeout(240)
def test_a_stranger_gets_from_an_empty_folder_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = follow(tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert "in order: send:gentle@now, send:firm@now, pause:1" in said
    assert "no event of the log is one of the signals left" in said
    assert (made["ope"].exit_code, made["ope"].verdict.value) == (0, "better")
    told = json.loads((made["ope"].folder / "ope.json").read_text("utf-8"))
    assert told["log"]["refused"] == 0
    assert told["log"]["journey"] == "library_reminders"
    assert any("have no mask" in note for note in told["log"]["notes"])
    assert (made["ope"].folder / "ope.html").stat().st_size > 10_000


def test_the_page_names_every_setting_of_a_log() -> None:
    for name in ("logging", "trust", "discount", "complete_until", "max_refused", "default_zone"):
        assert f"| `data.{name}` |" in PAGE
