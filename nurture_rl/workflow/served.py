"""The verb `serve`: the bundle that is named, or the newest that a run left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from nurture_rl.errors import GateRefusal
from nurture_rl.serving.http.server import ServeOptions, serve_bundle
from nurture_rl.serving.storage.locating import shown_location
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.stages import RECORD

_ZONE = "Europe/Berlin"


def serve(options: ServeOptions) -> VerbResult:
    """Serve until interrupted.

    Raises:
        GateRefusal: no bundle is named and no run left one.
        NurtureError: the bundle, the store, the log or the address cannot be used.
    """
    chosen = _of_newest(options) if options.bundle is None else options
    store = chosen.store or str(Path(options.runs) / "store.db")
    zone = chosen.default_zone or _ZONE
    chosen = replace(chosen, store=store, default_zone=zone)
    serve_bundle(Path(str(chosen.bundle)), chosen)
    return VerbResult({"bundle": chosen.bundle, "store": shown_location(store)})


def _of_newest(options: ServeOptions) -> ServeOptions:
    """The newest bundle under `runs`, with the log that it learned from."""
    stages = Path(options.runs) / "stages"
    bundles = [path for path in stages.glob("release-*/bundle") if path.is_dir()]
    if not bundles:
        raise GateRefusal(
            f"no bundle under {stages}: name one by bundle=FOLDER, or make one by nurture pipeline "
            "or nurture export"
        )
    bundle = max(bundles, key=lambda path: path.stat().st_mtime)
    ingested = stages / str(_inputs(bundle.parent)["ingest"])
    return replace(
        options,
        bundle=str(bundle),
        logs=options.logs or str(ingested / "tables"),
        default_zone=options.default_zone or str(_inputs(ingested)["zone"]),
    )


def _inputs(stage: Path) -> dict[str, Any]:
    inputs: dict[str, Any] = json.loads((stage / RECORD).read_text("utf-8"))["inputs"]
    return inputs
