"""The verb `explain`: why a server made a decision, from its store and the bundle that decided."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nurture_envs.clock import require_zone
from nurture_rl.errors import ConfigError
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.release.manifest import MANIFEST, decode_manifest
from nurture_rl.serving.http.explaining import explained, recorded
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.locating import require_there, shown_location
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.verb_result import VerbResult

_PARTED = 3  # exit code when the decision did not come out again


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """Which decision is explained."""

    decision: str  # its id
    store: str = "runs/store.db"  # a server's store; the server may be running
    # Folder of the bundle that decided; null: it is looked for under `runs`, by its policy id.
    bundle: str | None = None
    runs: str = "runs"  # where bundles are looked for
    default_zone: str = "Europe/Berlin"  # IANA zone of contacts who have none


def explain(options: ExplainOptions) -> VerbResult:
    """The verb `explain`; its exit code is `_PARTED` where the decision did not come out again.

    Raises:
        NurtureError: there is no store, no such decision, or the bundle cannot be read.
    """
    require_zone(options.default_zone)
    require_there(options.store)
    with closing(StoreReader(options.store)) as store:
        found = recorded(store, options.decision, options.default_zone, store.seed)
        if found is None:
            raise ConfigError(
                f"expected the id of a decision in {shown_location(options.store)}, got "
                f"{options.decision!r}; the answer to a request for decisions names it"
            )
        told = explained(found, _bundles(options, found.decision), store.catalogs())
    for line in told.text:
        print(line)
    return VerbResult(msgspec.to_builtins(told), _PARTED if told.replay.bit_equal is False else 0)


def _bundles(options: ExplainOptions, decision: Decision) -> list[Bundle]:
    """The bundle that is named, or those under `runs` that may have decided."""
    if options.bundle is not None:
        return [load_bundle(Path(options.bundle))]
    folders = sorted(Path(options.runs).glob("stages/release-*/bundle"))
    made = [(folder, decode_manifest((folder / MANIFEST).read_bytes())) for folder in folders]
    own = [f for f, m in made if decision.policy_id in (m.policy_id, m.rules_id)]
    alike = [f for f, m in made if m.catalog == decision.catalog]
    return [load_bundle(folder) for folder in (own or alike)[:1]]
