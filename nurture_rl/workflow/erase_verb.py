"""The verb `erase`: a person's right to be forgotten, in a store, in logs, and in what learned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.logs.privacy_rules import load_key
from nurture_rl.release.manifest import MANIFEST
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.storage.locating import require_there, shown_location
from nurture_rl.serving.upkeep.cleaning import Cleaned, clean_folder, is_in
from nurture_rl.serving.upkeep.erasing import erase_contacts
from nurture_rl.serving.upkeep.hidden_names import hidden_names
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted
from nurture_rl.workflow.stages import RECORD


@dataclass(frozen=True, slots=True)
class EraseOptions:
    """Who is erased, and where from."""

    contact: str  # the contact's id, in any spelling
    store: str | None = None  # a server's store; no server may have a SQLite file
    # Folders of exported or ingested tables (Parquet), with all folders inside them.
    logs: tuple[str, ...] = ()
    runs: str | None = None  # folder of runs: what learned from a log with the contact is named
    # File of the key under which rules of privacy wrote pseudonyms into logs and runs: the contact
    # is then an id or an address as the raw files write it.
    pseudonyms: str | None = None


def erase(options: EraseOptions) -> VerbResult:
    """The verb `erase`.

    Raises:
        NurtureError: there is no store or folder, or a server has the store.
        OSError: the disk refuses.
    """
    key = contact_key(options.contact)
    if not key:
        raise ConfigError("expected the id of a contact, got an empty one")
    if options.store is None and not options.logs and options.runs is None:
        raise ConfigError("expected where to erase from; write store=, logs=[...] or runs=")
    for folder in (*options.logs, *([options.runs] if options.runs is not None else [])):
        if not Path(folder).is_dir():
            raise LogError(f"expected a folder at {folder}; give one that is there")
    if options.store is not None:
        require_there(options.store)
    keys = [key, *_pseudonyms(options)]
    flagged = [] if options.runs is None else learned_from(Path(options.runs), keys)
    gone = {} if options.store is None else dict(erase_contacts(options.store, [key], "asked for"))
    cleaned = Cleaned()
    for folder in options.logs:
        for name in keys:
            cleaned.add(clean_folder(Path(folder), name))
    _tell(options, gone, cleaned, flagged)
    made = {"store": gone, "logs": cleaned.rows, "left": cleaned.left, "flagged": flagged}
    return VerbResult(made)


def _pseudonyms(options: EraseOptions) -> list[str]:
    """Under which the logs and runs may know the contact."""
    if options.pseudonyms is None:
        return []
    folders = [*options.logs, *([] if options.runs is None else [options.runs])]
    key = load_key(Path(options.pseudonyms))
    return sorted(hidden_names(map(Path, folders), options.contact, key))


def learned_from(runs: Path, keys: Sequence[str]) -> list[dict[str, str]]:
    """What lies under a folder of runs and was made from a contact's rows.

    These are stages, with the policies of their bundles, and copies of stages and bundles, such as
    MLflow keeps.

    Args:
        runs: the folder.
        keys: the contact's, by `contact_key`, and their pseudonyms.
    """
    stages = {path.parent.name: path.parent for path in runs.glob(f"stages/*/{RECORD}")}
    reached = {
        name
        for name, folder in stages.items()
        if any(is_in(folder / "tables", key) for key in keys)
    }
    texts = {name: (folder / RECORD).read_text("utf-8") for name, folder in stages.items()}
    while more := {
        name
        for name in stages.keys() - reached
        if any(f'"{source}"' in texts[name] for source in reached)
    }:
        reached |= more
    found = [_stage(stages[name]) for name in sorted(reached)]
    policies = {one["policy_id"] for one in found if "policy_id" in one}
    inside = [stages[name] for name in stages]
    for path in sorted({*runs.rglob(RECORD), *runs.rglob(MANIFEST)}):
        if any(path.is_relative_to(stage) for stage in inside):
            continue
        text = path.read_text("utf-8", "replace")
        names = policies if path.name == MANIFEST else reached
        if any(f'"{name}"' in text for name in names):
            found.append({"stage": str(path.parent)})
    return found


def _stage(folder: Path) -> dict[str, str]:
    manifest = folder / "bundle" / MANIFEST
    if not manifest.is_file():
        return {"stage": str(folder)}
    about: dict[str, Any] = json.loads(manifest.read_text("utf-8"))
    return {"stage": str(folder), "policy_id": str(about["policy_id"])}


def _tell(
    options: EraseOptions, gone: dict[str, int], cleaned: Cleaned, flagged: list[dict[str, str]]
) -> None:
    if options.store is not None:
        rows = ", ".join(f"{count} of {table}" for table, count in sorted(gone.items()))
        print(f"{shown_location(options.store)}: {rows or 'nothing was there'}")
        print("  a mark keeps old logs from bringing the contact back; consent from now on does")
    for path, count in cleaned.rows.items():
        print(f"{path}: {counted(count, 'row')} gone")
    if options.logs and not cleaned.rows:
        print("no Parquet file of the logs had a row of the contact")
        if options.pseudonyms is not None:
            print("  nor of their pseudonyms: was it this key, and this spelling of the id?")
    for path in cleaned.left:
        print(f"{path}: names the contact and stays as it is; edit or remove it")
    for stage in flagged:
        policy = f", policy {stage['policy_id']}" if "policy_id" in stage else ""
        print(
            f"{stage['stage']}: made from a log with the contact{policy}; remove it and run again"
        )
    print("backups and copies made before still hold the contact")
