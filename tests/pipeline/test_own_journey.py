"""The page on a journey of one's own, followed literally from an empty folder to a report."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "journey-file.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(folder: Path) -> dict[str, int]:
    """Write the page's files and run its commands in order; how each verb ended, by its name."""
    ended: dict[str, int] = {}
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
                GlobalHydra.instance().clear()
                ended[words[1]] = main(words[1:])
    return ended


@pytest.mark.timeout(240)
def test_a_stranger_gets_from_an_empty_folder_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    assert follow(tmp_path) == {"ingest": 0, "ope": 0}
    said = " ".join(capsys.readouterr().out.split())
    assert "in order: send:gentle@now, send:firm@now, pause:1" in said
    assert "no event of the log is one of the signals left" in said
    assert "BETTER: “mostly_firm” earns more" in said
    (report,) = tmp_path.glob("runs/ope/*/ope.html")
    assert report.stat().st_size > 10_000
    told = json.loads(report.with_suffix(".json").read_text("utf-8"))
    assert told["log"]["refused"] == 0
    assert told["log"]["journey"] == "library_reminders"
    assert any("have no mask" in note for note in told["log"]["notes"])


def test_the_example_of_interest_makes_the_columns_that_the_page_names(tmp_path: Path) -> None:
    (text,) = (text for _, title, text in BLOCK.findall(PAGE) if title == "interest.yaml")
    (tmp_path / "interest.yaml").write_text(text, "utf-8")
    made = FeatureSpec.of(load_journey(tmp_path / "interest.yaml")).columns
    assert {"interest", "warming", "topics_clicked", "topic=pricing"} <= set(made)


def test_the_page_names_every_setting_of_a_log() -> None:
    for name in ("logging", "trust", "discount", "complete_until", "max_refused", "default_zone"):
        assert f"| `data.{name}` |" in PAGE
