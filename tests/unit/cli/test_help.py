"""The help pages teach: every verb, every key with its meaning, every code."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nurture_rl.cli.configs import CONFIGS, groups
from nurture_rl.cli.keys import keys_of
from nurture_rl.cli.loading import load
from nurture_rl.cli.main import main
from nurture_rl.cli.verb_record import Verb
from nurture_rl.cli.verbs import VERBS


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_every_key_of_a_verb_says_what_it_is(verb: Verb) -> None:
    keys = list(keys_of(load(verb.settings)))
    assert len(keys) >= 2
    assert [key.name for key in keys if not key.text] == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_the_page_of_a_verb_has_everything(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb.name, "--help"]) == 0
    page = capsys.readouterr().out
    for part in (verb.summary, verb.reads, verb.makes, *verb.examples):
        assert part in page
    for code, meaning in verb.exit_codes.items():
        assert f"  {code}  {meaning}" in page
    for key in keys_of(load(verb.settings)):
        assert f"  {key.name}" in page
    shown = [name for name in groups() if f"  {name}=" in page]
    assert shown == (list(groups()) if verb.composed else [])
    assert max(map(len, page.splitlines())) <= 100


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_what_a_verb_names_is_there(verb: Verb) -> None:
    assert callable(load(verb.work))
    assert (CONFIGS / f"{verb.name}.yaml").is_file() == verb.composed
    assert all(line.startswith(f"nurture {verb.name}") for line in verb.examples)


def test_the_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    page = capsys.readouterr().out
    assert all(f"  {name} " in page for name in VERBS)


def test_the_description_of_a_key_is_the_comment_in_the_record() -> None:
    keys = {key.name: key for key in keys_of(load(VERBS["ope"].settings))}
    assert keys["world.training.epochs"].text.startswith("passes over")
    assert keys["world.training.epochs"].default == "40"
    assert keys["data.trust.explore"].kind == "number"
    assert keys["data.trust.max_ratio"].kind == "number, or text"
    assert keys["data.columns.step"].kind == "text, or null"
    assert keys["seed"].default is None


def test_help_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from nurture_rl.cli.main import main; main(['--help']);"
        "sys.exit(str({'torch', 'hydra', 'scipy', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "set()"


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("nurture 0.")


def test_a_command_looks_for_garbage_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(gc, "set_threshold", looked.append)
    main(["--version"])
    assert looked == [10_000]  # new objects between two looks


def test_an_own_folder_adds_its_options(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").touch()
    assert groups([tmp_path])["data"] == sorted([*groups()["data"], "mine"])


def test_a_reader_who_has_enough_is_no_failure() -> None:
    read, written = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "nurture_rl.cli", "--help"]
    done = subprocess.run(command, stdout=written, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(written)
    assert (done.returncode, done.stderr) == (0, "")
