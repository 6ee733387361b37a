"""Verbs whose settings Hydra composes: `key=value`, config groups, sweeps and launchers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from math import nan
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from nurture_rl.cli.configs import CONFIGS
from nurture_rl.cli.jobs import exit_code, job
from nurture_rl.cli.loading import load
from nurture_rl.cli.sweep_watch import SweepWatch
from nurture_rl.cli.sweeps import SWEEPS, Place, run_of_sweep, sweep_name
from nurture_rl.cli.verb_record import REFUSED, Verb
from nurture_rl.verb_result import OBJECTIVE, VerbResult

_SWEEP = ("--multirun", "-m")
# Told to Hydra by name: its own search does not look into a package that is installed editable.
_PLUGINS = (
    "hydra_plugins.nurture_sweeps.ray_launcher:RayLauncher",
    "hydra_plugins.nurture_sweeps.optuna_sweeper:OptunaSweeper",
)


def run_composed(verb: Verb, words: Sequence[str], as_json: bool) -> int:
    """Compose the settings that are typed and do the verb with them; returns the exit code.

    Args:
        verb: what to do.
        words: overrides and options of Hydra, in any order.
        as_json: keep stdout for JSON.
    """
    from nurture_rl.cli.hints import explained, wrong_option

    wrong = wrong_option(words)
    if wrong:
        print(f"{verb.name}: {wrong}", file=sys.stderr)
        return REFUSED
    from nurture_rl.workflow.settings_schema import register_schemas

    register_schemas()
    for plugin in _PLUGINS:
        Plugins.instance().register(load(plugin))
    name, work, keyed = verb.name, verb.work, verb.keyed

    def one(config: DictConfig) -> float:
        def made() -> VerbResult:
            result: VerbResult = load(work)(config)
            return result

        place = _place()
        if place is not None:
            _one_core(config)
            named = partial(load(keyed), config, name) if keyed else None
            return run_of_sweep(name, place, made, named)
        objective = job(name, made).made.get(OBJECTIVE)
        return nan if objective is None else float(objective)

    entry = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(one)
    # Hydra refuses `--multirun` between two settings, and reads its words from the process.
    given = sorted(words, key=lambda word: word not in _SWEEP)
    own = any(word.startswith("hydra.sweep.dir=") for word in words)
    if not own and any(word in _SWEEP for word in words):
        # Beside the other settings: Hydra refuses options between them.
        first = next((at for at, word in enumerate(given) if _sets(word)), len(given))
        given.insert(first, f"hydra.sweep.dir=${{runs}}/{SWEEPS}/{sweep_name(name, words)}")
    sys.argv = [f"nurture {name}", *given]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come out as they are: we say what to do
    try:
        return exit_code(entry, as_json)
    except (HydraException, OmegaConfBaseException) as error:
        print(f"{name}: {explained(name, words, error)}", file=sys.stderr)
        return REFUSED
    except OSError as error:  # the folder of runs is made before any job begins
        print(f"{name}: runs: {error}; give a folder that can be written", file=sys.stderr)
        return REFUSED
    except ImportError as error:  # a launcher or sweeper whose package is not there
        if "hydra/" not in str(error):
            raise
        print(f"{name}: {error}", file=sys.stderr)
        return REFUSED
    finally:
        SweepWatch.ended.set()  # Hydra tells it of sweeps that end well alone


def _sets(word: str) -> bool:
    return "=" in word and not word.startswith("-")


def _place() -> Place | None:
    """Where this run of a sweep stands; None where there is no sweep."""
    asked = HydraConfig.get()
    if asked.mode is not RunMode.MULTIRUN:
        return None
    return Place(Path(asked.runtime.output_dir), int(asked.job.num), tuple(asked.overrides.task))


def _one_core(config: DictConfig) -> None:
    """Runs side by side work alone each, unless they are told to have helpers."""
    launcher = HydraConfig.get().launcher._target_
    if not launcher.endswith("BasicLauncher") and "workers" in config and config.workers is None:
        config.workers = 1
