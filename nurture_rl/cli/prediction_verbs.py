"""Verbs that say what contacts will do."""

from __future__ import annotations

from nurture_rl.cli.verb_record import Verb

PREDICTION_VERBS = (
    Verb(
        name="predict",
        summary="each contact's chance to convert, engage, ignore or churn within 7 to 90 days",
        reads="what `ingest` made, which it makes where it is missing",
        makes="scores (Parquet), and how far to believe them: a page (HTML), Markdown and JSON",
        examples=(
            "nurture predict experiment=small at=2026-05-01",
            "nurture predict data=folder data.path=exported horizons=[14,60]",
        ),
        settings="nurture_rl.workflow.predict_config:PredictConfig",
        work="nurture_rl.workflow.predict_verb:predict",
        codes={3: "nothing can be told; the page says why"},
    ),
)
