"""Verbs for whoever begins with files of their own."""

from __future__ import annotations

from nurture_rl.cli.verb_record import Verb

_ASKS = "a mapping asks what the file does not tell; the answers belong into it"

INTAKE_VERBS = (
    Verb(
        name="init",
        summary="makes a folder to begin with, from the files that you have or from a sample",
        reads="CSV, JSON lines or Parquet files; without any it makes up a sample",
        makes="a folder: the files, a drafted mapping of each, a journey, what to type next",
        examples=(
            "nurture init out=spring",
            "nurture init out=autumn files=[clicks.csv,stages.csv] zone=Europe/Berlin",
        ),
        settings="nurture_rl.workflow.init_verb:InitOptions",
        work="nurture_rl.workflow.init_verb:init",
        composed=False,
        codes={3: _ASKS},
    ),
    Verb(
        name="map",
        summary="looks at a file, and names its format or drafts how it becomes rows of the log",
        reads="a CSV, JSON lines or Parquet file, of whatever columns",
        makes="a mapping (YAML) beside it, which `ingest` reads, with questions where it is unsure",
        examples=(
            "nurture map file=clicks.csv zone=Europe/Berlin",
            "nurture map file=stages.csv out=crm.map.yaml zone=UTC stages=[Prospect=mql]",
        ),
        settings="nurture_rl.workflow.map_verb:MapOptions",
        work="nurture_rl.workflow.map_verb:map_file",
        composed=False,
        codes={3: _ASKS},
    ),
    Verb(
        name="features",
        summary="works out the features of decisions where the log lies, and writes them",
        reads="events, contacts and decisions: Parquet files of a log, or tables of a warehouse",
        makes="a Parquet file: decision_id, contact_id and one column per feature column",
        examples=(
            "nurture features journey=inbound_lead log=ingested out=features.parquet",
            "nurture features journey=my.yaml backend=postgresql://crm/marketing zone=Europe/Paris",
        ),
        settings="nurture_rl.workflow.features_verb:FeaturesOptions",
        work="nurture_rl.workflow.features_verb:features",
        composed=False,
    ),
    Verb(
        name="assess",
        summary="ranks journeys: which one to begin with, and how soon an answer would come",
        reads="a folder of a log, as `ingest` reads or makes it; decisions need not be there",
        makes="a page (HTML), Markdown and JSON: contacts, north star, delays, signals, weeks",
        examples=(
            "nurture assess path=autumn/log",
            "nurture assess path=autumn/log journeys=[inbound_lead,trial_onboarding] out=ranked",
        ),
        settings="nurture_rl.workflow.assess_verb:AssessOptions",
        work="nurture_rl.workflow.assess_verb:assess",
        composed=False,
        codes={3: "something speaks against every journey"},
    ),
    Verb(
        name="sources",
        summary="what each source of a log is worth to a policy, and which features change nothing",
        reads="a log with propensities (`data=...`), and a policy that is learned from it",
        makes="a page (HTML), Markdown and JSON: losses by the log, actions that change",
        examples=(
            "nurture sources experiment=small",
            "nurture sources data=folder data.path=exported policy=linucb",
        ),
        settings="nurture_rl.workflow.run_config:RunConfig",
        keyed="nurture_rl.workflow.run_key:run_key",
        work="nurture_rl.workflow.verb_runs:sources",
    ),
)
