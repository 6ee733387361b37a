"""What is misspelt is one line with the nearest name, for every kind of word."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.cli.completion import completed
from nurture_rl.cli.main import main
from nurture_rl.cli.plain import parsed
from nurture_rl.cli.sweep_watch import SweepWatch
from nurture_rl.errors import ConfigError
from nurture_rl.serving.http.server import ServeOptions


@pytest.fixture(autouse=True)
def hydra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Hydra, its logging and the command line as they were."""
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    GlobalHydra.instance().clear()
    yield
    GlobalHydra.instance().clear()
    for added in set(root.handlers) - set(handlers):
        added.close()
    root.handlers[:], root.level = handlers, level


SEARCH = "train --multirun hydra/sweeper=optuna"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pipelin", "no verb 'pipelin'; did you mean 'pipeline'?"),
        ("pipeline seeed=1", "seeed: no such setting; did you mean 'seed'?"),
        ("pipeline data=refrence", "data=refrence: no such option; did you mean 'reference'?"),
        ("train policy=pp", "policy=pp: no such option; did you mean 'ppo'?"),
        (
            "train --multirun hydra/launcher=joblib polcy=ppo",
            "polcy: no such setting; did you mean 'policy'?",
        ),
        ("train --multirun policy=ppo,pp", "policy=pp: no such option; did you mean 'ppo'?"),
        (
            "train --multirun policy=glob(c*) polcy=ppo",
            "polcy: no such setting; did you mean 'policy'?",
        ),
        ("train --multirun hydra/launcher=rai", "Could not find 'hydra/launcher/rai'"),
        (
            # No address=auto: a cluster of another test may run on this machine.
            "train --multirun hydra/launcher=ray +hydra.launcher.init.address=127.0.0.1:9",
            "hydra.launcher.init: expected a Ray cluster, got: nobody who listens at 127.0.0.1:9",
        ),
        (
            f"{SEARCH} +n=interval(0,1) hydra.sweeper.n_jobs=0",
            "hydra.sweeper.n_jobs: expected 1 or",
        ),
        (f"{SEARCH} +n=interval(0,1) hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials: expected"),
        (f"{SEARCH} +n=interval(0,1) hydra.sweeper.sampler=x", "expected one of tpe, random, got"),
        (f"{SEARCH} +n=interval(2,1)", "+n=interval(2,1): "),
        (f"{SEARCH} +n=tag(log,interval(0,1))", "+n=tag(log,interval(0,1)): "),
        ("pipeline world.membres=3", "world.membres: no such setting; did you mean 'members'?"),
        ("pipeline polices.ppo.fit.draws=3", "no such setting; did you mean 'policies'?"),
        ("pipeline policies.ppo.fit.iteratons=3", "did you mean 'iterations'?"),
        ("pipeline +policies.ppo.fit.iteratons=3", "did you mean 'iterations'?"),
        ("pipeline +relase.policy=rules", "relase: no such setting; did you mean 'release'?"),
        ("ope +data.columns.rewrad=x", "data.columns.rewrad: no such setting; did you mean"),
        ("ope targets.new.always=a", "not there yet; write +targets.new.always=... to add it"),
        ("pipeline seed=abc", "pipeline: seed: expected a whole number, got 'abc'"),
        ("pipeline world.training.epochs=x", "epochs: expected a whole number, got 'x'"),
        ("pipeline release.level=x", "release.level: expected a number, got 'x'"),
        ("pipeline evaluation.level=0.5", "evaluation.level: no such setting"),
        ("ope evaluation.estimators=[dr]", "evaluation.estimators: no such setting"),
        ("pipeline policy=cql", "several policies; write +policy@policies.cql=cql to add one"),
        ("pipeline --halp", "--halp: no such option; did you mean '--help'?"),
        ("pipeline --verbose", "--verbose: no such option; known are --help, --json"),
        ("pipeline --cfg jbo", "--cfg: expected one of job, hydra, all, got 'jbo'"),
        ("train --multirun --cfg job", "--multirun and --cfg: one of them at a time"),
        ("pipeline seed", "expected key=value, got 'seed'"),
        ("ope +targets.a:b=1", "journey-file.md shows how to quote"),
        ("pipeline --config-dir nowhere data=mine", "expected a folder at nowhere, there is none"),
        ("serve prt=1", "prt: no such setting; did you mean 'port'?"),
        ("serve port=x", "port: expected `int`, got `str`"),
        ("serve port=1 port=2", "port: given twice; say it once"),
        ("serve port", "expected key=value, got 'port'"),
        ("serve runs=nowhere", "no bundle under nowhere/stages: name one by bundle=FOLDER"),
        ("export_log out=x", "store: expected a value; write store=..."),
        ("completion fish", "expected one of bash, zsh, got fish"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert "hydra.cc" not in line
    assert SweepWatch.ended.is_set() or "--multirun" not in words  # nothing is said later on


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hydra/sweeper=optuna hydra.sweeper.n_jobs=0", "hydra.sweeper.n_jobs: expected 1 or"),
        (
            "hydra/launcher=ray +hydra.launcher.init.address=127.0.0.1:9",
            "hydra.launcher.init: expected a Ray cluster",
        ),
    ],
)
def test_launchers_and_sweepers_are_there_outside_of_the_source_tree(
    words: str, said: str, tmp_path: Path
) -> None:
    """As the installed command runs: Hydra's own search finds no editable install."""
    command = [sys.executable, "-I", "-m", "nurture_rl.cli", "train", "--multirun", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


def test_plain_settings_are_read_as_yaml_and_paths_as_they_stand() -> None:
    found = parsed(
        ServeOptions,
        ["bundle=007", "unknown_zone_slack=[-1, 6]", "simulated_clock=true", "logs=null"],
    )
    assert found.bundle == "007"
    assert found.unknown_zone_slack == (-1, 6)
    assert found.simulated_clock is True
    assert found.logs is None
    with pytest.raises(ConfigError, match="unknown_zone_slack: expected"):
        parsed(ServeOptions, ["unknown_zone_slack=[1]"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nurture pip", ["pipeline"]),
        ("nurture train tun", ["tuned.plays=", "tuned.contacts="]),
        ("nurture train policy=pp", ["policy=ppo"]),
        ("nurture train policy=drip,lin", ["policy=drip,linear_thompson", "policy=drip,linucb"]),
        ("nurture ope ask.can", ["ask.candidate="]),
        ("nurture serve st", ["store="]),
        ("nurture serve data=", []),
        ("nurture nothing x", []),
        ("nurture train --mul", ["--multirun"]),
    ],
)
def test_words_are_completed(line: str, words: list[str]) -> None:
    assert completed(line) == words


@pytest.mark.slow
def test_the_shell_completes_what_it_is_given() -> None:
    script = (
        'nurture() { "$PYTHON" -m nurture_rl.cli "$@"; }; eval "$(nurture completion bash)";'
        'COMP_LINE="nurture train policy=pp" COMP_POINT=23 COMP_CWORD=3;'
        '_nurture; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert done.stdout.split() == ["ppo"], done.stderr


def test_runs_that_are_no_folder_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").touch()
    assert main(["ope", "data=frame", "runs=taken"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("ope: runs: ")
    assert "Not a directory" in said
