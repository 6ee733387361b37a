"""The verb `features`: a journey's features for the decisions of a log or of a warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nurture_envs.clock import require_zone
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError
from nurture_rl.features.feature_file import write_features
from nurture_rl.features.warehouse import warehouse
from nurture_rl.progress import shown_progress
from nurture_rl.verb_result import VerbResult


@dataclass(frozen=True, slots=True)
class FeaturesOptions:
    """Which features, and where the log lies."""

    journey: str  # a journey file, or the name of a shipped journey
    # Folder with events.parquet, contacts.parquet and decisions.parquet: tables of a run's ingest,
    # or an export. null: they are tables of the backend, of these names.
    log: str | None = None
    # What works them out: duckdb, spark (local or a cluster's session; needs Java), or the address
    # of a PostgreSQL database, postgresql://...
    backend: str = "duckdb"
    # IANA name: where contacts without a time zone live, as `data.default_zone` of `ingest`
    zone: str = "Europe/Berlin"
    out: str = "features.parquet"  # file to write; it appears when it is whole
    memory_gb: float = 4.0  # most memory that DuckDB takes, 10**9 bytes, > 0


def features(options: FeaturesOptions) -> VerbResult:
    """Write the features of every decision.

    Raises:
        NurtureError: the journey, the log, the backend or a setting cannot be used.
        OSError: the disk refuses.
    """
    journey = load_journey(options.journey)
    require_zone(options.zone)
    if not options.memory_gb > 0.0:
        raise ConfigError(f"memory_gb: expected a number > 0, got {options.memory_gb}")
    folder, out = None if options.log is None else Path(options.log), Path(options.out)
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"out: expected a folder at {out.absolute().parent}, it is not there")
    if folder is not None and out.resolve().parent == folder.resolve():
        raise ConfigError(f"out: expected a file outside the log {folder}, got {out}")
    with (
        shown_progress("features"),
        warehouse(options.backend, folder, options.memory_gb) as where,
    ):
        written = write_features(where, journey, options.zone, out)
    print(f"{out}: {written.decisions:,} decisions, {written.columns} feature columns")
    return VerbResult({"file": str(out), "decisions": written.decisions})
