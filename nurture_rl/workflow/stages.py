"""Stages: pieces of work in folders named by the hash of what went in, so that work is resumed."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from nurture_envs.errors import NurtureError
from nurture_rl.learned.checkpoints import checkpoint_beside
from nurture_rl.logs.alone import alone
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.progress import PROGRESS
from nurture_rl.workflow.source_tree import SourceTree, installed_tree
from nurture_rl.workflow.stages_folder import stages_of

Say = Callable[[str], None]
Build = Callable[[Path], None]
RECORD = "stage.json"
# Stages are told of a journey by its file; what is read out of it counts as well.
_READER = "nurture_envs.journey_file"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where stages lie and who is told about them."""

    root: Path
    say: Say
    code: SourceTree = field(default_factory=installed_tree)

    def stage(
        self, name: str, inputs: Mapping[str, Any], build: Build, *handed: Callable[..., Any]
    ) -> Path:
        """The folder of a finished stage: an earlier one with equal inputs, or a fresh one.

        Results of other code are not reused: of the modules in which `build` and what is `handed`
        are written, and of all that these import. Another object of other code that `build` is
        given counts by `inputs` alone, so give it values. Where another
        process works on the same stage, its result is waited for.

        Args:
            name: what the stage is.
            inputs: everything the result depends on beside the code, as JSON values; folders of
                earlier stages stand for their contents by their names.
            build: fills the folder it is given; an interruption leaves nothing behind.
            handed: functions that `build` is handed and that do the work.
        """
        known = self.known(name, inputs, build, *handed)
        folder = self.folder(name, known)
        if not (folder / RECORD).is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            waits = partial(self.say, f"{name}: another process works on it, waiting for it")
            with alone(folder.with_name(f".{folder.name}.lock"), waits):
                if not (folder / RECORD).is_file():
                    self._work(name, known, folder, build)
                    return folder
        self.say(f"{name}: unchanged, using {folder.name}")
        return folder

    def known(
        self, name: str, inputs: Mapping[str, Any], build: Build, *handed: Callable[..., Any]
    ) -> dict[str, Any]:
        """All that names a stage's folder: its name, the code behind it, its inputs."""
        modules = (_module_of(build), *(one.__module__ for one in handed))
        return {"stage": name, "code": self.code.hash_of(*modules, _READER), **inputs}

    def folder(self, name: str, known: Mapping[str, Any]) -> Path:
        """Where the stage with these inputs lies, or will."""
        key = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()
        return stages_of(self.root) / f"{name}-{key[:12]}"

    def _work(self, name: str, known: Mapping[str, Any], folder: Path, build: Build) -> None:
        for left in folder.parent.glob(f".{folder.name}.*.partial"):  # by a killed process
            shutil.rmtree(left, ignore_errors=True)
        self.say(f"{name}: working")
        PROGRESS.info("%s", name)
        began = time.monotonic()
        with atomic_folder(folder) as unfinished:
            # A killed training goes on from its checkpoint; one that is done or refuses its
            # settings will not.
            checkpoint = checkpoint_beside(unfinished)
            try:
                build(unfinished)
            except NurtureError:
                checkpoint.unlink(missing_ok=True)
                raise
            seconds = round(time.monotonic() - began, 2)
            record = {"inputs": known, "seconds": seconds}
            text = json.dumps(record, indent=1, default=str) + "\n"
            (unfinished / RECORD).write_text(text, "utf-8")
        checkpoint.unlink(missing_ok=True)
        self.say(f"{name}: done in {seconds} s")


def _module_of(build: Build) -> str:
    """The module in which the work is written."""
    while isinstance(build, partial):
        build = build.func
    return build.__module__


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Hash of both packages' sources, whatever of them was used."""
    return installed_tree().hash_of_all()
