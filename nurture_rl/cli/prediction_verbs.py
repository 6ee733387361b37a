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
    Verb(
        name="mine",
        summary="paths that contacts go, where they stay, and kinds of contacts, each tested",
        reads="what `ingest` made, which it makes where it is missing",
        makes="findings (HTML, Markdown, JSON), and the paths as features of a journey (YAML)",
        examples=(
            "nurture mine experiment=small",
            "nurture mine data=folder data.path=exported days=14 share=0.05",
        ),
        settings="nurture_rl.workflow.mine_config:MineConfig",
        work="nurture_rl.workflow.mine_verb:mine",
        codes={3: "nothing was found that chance would not make"},
    ),
)
