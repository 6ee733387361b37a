"""What the command can be told to do: each verb, what it reads and makes, and how it may end."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_rl.cli.intake_verbs import INTAKE_VERBS
from nurture_rl.cli.paper_verbs import PAPER_VERBS
from nurture_rl.cli.planning_verbs import PLANNING_VERBS
from nurture_rl.cli.prediction_verbs import PREDICTION_VERBS
from nurture_rl.cli.verb_record import DONE, Verb

_OPE_CODES = {
    DONE: "better",
    3: "not better",
    4: "cannot tell yet",
    5: "rules are enough",
}
_LIFT_CODES = {DONE: "better", 3: "not better", 4: "cannot tell yet"}
_BUNDLE_CODES = {3: "the gate wrote no bundle; its reasons are printed"}


_RUN = "nurture_rl.workflow.run_config:RunConfig"
_KEY = "nurture_rl.workflow.run_key:run_key"
_STEPS = "nurture_rl.workflow.verb_runs"

_ALL = (
    Verb(
        name="pipeline",
        summary="the whole loop: a log becomes a judged policy, a bundle and a report",
        reads="a log (`data=...`)",
        makes="what every verb from `ingest` to `export` makes, and a report (HTML)",
        examples=(
            "nurture pipeline experiment=small",
            "nurture pipeline data=folder data.path=exported seed=1",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:pipeline",
        codes={4: "the log has no decisions: a first look says what it tells, and what to try"},
    ),
    Verb(
        name="ingest",
        summary="checks raw logs, resolves identities, builds the decision table",
        reads="a log (`data=...`)",
        makes="checked tables, a quarantine with file, line and reason, the decision table",
        examples=(
            "nurture ingest experiment=small",
            "nurture ingest data=folder data.path=exported data.max_refused=0.02",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:ingest",
    ),
    Verb(
        name="doctor",
        summary="tells whether a log is enough to learn from, and what is wrong with it",
        reads="what `ingest` made, which it makes where it is missing; a log without decisions too",
        makes="findings, each with evidence and mend: a page (HTML), Markdown and JSON",
        examples=(
            "nurture doctor experiment=small",
            "nurture doctor data=folder data.path=exported",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:doctor",
        codes={3: "something forbids learning from this log"},
    ),
    Verb(
        name="fit_world",
        summary="fits a simulated world to the training contacts",
        reads="what `ingest` made, which it makes where it is missing",
        makes="an ensemble of fitted worlds and its calibration on other contacts",
        examples=(
            "nurture fit_world experiment=small",
            "nurture fit_world data=renewal world.members=5 seeds.world=3",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:fit_world",
    ),
    Verb(
        name="gap",
        summary="holds the fitted world against contacts it never saw",
        reads="what `fit_world` made, which it makes where it is missing",
        makes="a verdict with named causes, and a report (HTML, Markdown, JSON)",
        examples=(
            "nurture gap experiment=small",
            "nurture gap data=trial_onboarding gap.ratio=1.5",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:gap",
    ),
    Verb(
        name="train",
        summary="trains policies; `--multirun` sweeps over policies and seeds",
        reads="the decision table and, for learners that play, the fitted world",
        makes="a trained policy with its metrics",
        examples=(
            "nurture train experiment=small policy=linear_thompson",
            "nurture train --multirun policy=ppo,linear_thompson seed=0,1",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:train",
    ),
    Verb(
        name="evaluate",
        summary="judges every policy on held-out contacts and in the fitted world",
        reads="the decision table, the fitted world and the policies",
        makes="evaluation.json",
        examples=(
            "nurture evaluate experiment=small",
            "nurture evaluate data=re_engagement release.reference=rules",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:evaluate",
    ),
    Verb(
        name="ope",
        summary="what a log says about target policies: a verdict and a report",
        reads="any log with propensities (`data=...`), and target policies",
        makes="a report (HTML, Markdown, JSON) and the rows that were set aside (CSV)",
        examples=(
            "nurture ope experiment=small",
            "nurture ope data=frame data.path=log.parquet +targets.new.columns=[p_none,p_offer]",
        ),
        settings="nurture_rl.workflow.ope_config:OpeConfig",
        work="nurture_rl.workflow.ope_verb:ope",
        codes=_OPE_CODES,
    ),
    Verb(
        name="export",
        summary="asks the gate; writes a bundle or says why not",
        reads="what `evaluate` and `gap` made, which it makes where it is missing",
        makes="a bundle (ONNX, hashes, policy card), if the gate is passed",
        examples=(
            "nurture export experiment=small release.policy=rules",
            "nurture export release.level=0.99",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:export",
        codes=_BUNDLE_CODES,
    ),
    *PLANNING_VERBS,
    *PAPER_VERBS,
    *INTAKE_VERBS,
    *PREDICTION_VERBS,
    Verb(
        name="lift",
        summary="what an experiment with people says: arms held against business as usual",
        reads="a log whose decisions name their arms (`data=folder`), and a plan (YAML)",
        makes="a report (HTML, Markdown, JSON), a journal, and the next experiment (YAML)",
        examples=(
            "nurture lift data.path=exported plan=spring.yaml",
            "nurture lift data.path=exported plan=spring.yaml data.complete_until=2026-06-29",
        ),
        settings="nurture_rl.workflow.lift_config:LiftConfig",
        work="nurture_rl.workflow.lift_verb:lift",
        codes=_LIFT_CODES,
    ),
    Verb(
        name="interchange",
        summary="writes episodes for other libraries",
        reads="a log (`data=...`), or a world in which `policy` plays",
        makes="a Minari data set or a file that d3rlpy reads",
        examples=(
            "nurture interchange format=minari out=episodes",
            "nurture interchange episodes=reference policy=drip format=d3rlpy out=episodes",
        ),
        settings="nurture_rl.workflow.interchange_config:InterchangeConfig",
        work="nurture_rl.workflow.interchange:interchange",
    ),
    Verb(
        name="serve",
        summary="serves a bundle over HTTP until it is interrupted",
        reads="a bundle: the newest under `runs`, or `bundle=FOLDER`",
        makes="decisions in a store (SQLite or PostgreSQL)",
        examples=(
            "nurture serve",
            "nurture serve bundle=released/bundle store=decisions.db port=8400",
        ),
        settings="nurture_rl.serving.http.server:ServeOptions",
        work="nurture_rl.workflow.served:serve",
        composed=False,
    ),
    Verb(
        name="decide",
        summary="decides for every contact that is due, in one batch",
        reads="a bundle, and a server's store or checked tables (`logs=...`)",
        makes="a table for the sender (Parquet), and decisions in the store",
        examples=(
            "nurture decide bundle=BUNDLE store=runs/store.db out=tonight.parquet",
            "nurture decide bundle=BUNDLE logs=exported at=2026-04-08T07:00:00Z out=trial.parquet",
        ),
        settings="nurture_rl.serving.upkeep.bulk:DecideOptions",
        work="nurture_rl.serving.upkeep.bulk:decide_batch",
        composed=False,
    ),
    Verb(
        name="deliver",
        summary="sends what was decided: by SMTP, by a provider, or as a file",
        reads="what `decide` made, approved texts, addresses; asks the policy server at each send",
        makes="mails or a file, a ledger of them (SQLite), and events in the server's store",
        examples=(
            "nurture deliver decided=tonight.parquet bundle=BUNDLE sender=file out=now.csv",
            "nurture deliver decided=tonight.parquet bundle=BUNDLE sender=cloudevents "
            "out=d.jsonl dry_run=true",
        ),
        settings="nurture_rl.delivery.deliver_options:DeliverOptions",
        work="nurture_rl.delivery.delivering:deliver",
        composed=False,
        codes={
            3: "something is left for later: the same command goes on",
            4: "a mail may have gone out or not: `nurture reconcile` looks for it",
        },
    ),
    Verb(
        name="reconcile",
        summary="finds out whether mails without an answer went out",
        reads="a ledger of `deliver`, and the receiver's log, a maildir or an mbox",
        makes="settled deliveries, and events in the server's store",
        examples=(
            "nurture reconcile found_in=[/var/log/mail.log]",
            "nurture reconcile found_in=[/var/log/mail.log] complete=true",
        ),
        settings="nurture_rl.delivery.deliver_options:ReconcileOptions",
        work="nurture_rl.delivery.reconciling:reconcile",
        composed=False,
        codes={3: "a result could not be reported", 4: "a mail is still without an answer"},
    ),
    Verb(
        name="collect",
        summary="reads bounces, complaints and opt-outs back from a sender that reports to nobody",
        reads="listmonk, over its API, and who its addresses belong to",
        makes="events in the server's store, each once however often they are read",
        examples=(
            "nurture collect sender=listmonk sender_url=https://lists.example "
            "sender_key_file=listmonk.key",
            "nurture collect sender=listmonk sender_url=https://lm.test "
            "sender_key_file=listmonk.key lists=[1]",
        ),
        settings="nurture_rl.delivery.reading_back:CollectOptions",
        work="nurture_rl.delivery.reading_back:collect",
        composed=False,
        codes={3: "a row could not be read, or an event was not taken"},
    ),
    Verb(
        name="replies",
        summary="reads what people answered: positive, question, objection, away, no more mail ...",
        reads="mailboxes (maildir, mbox, .eml, IMAP), and who their addresses belong to",
        makes="events for `ingest` or for a server, and a file of what a person has to read",
        examples=(
            "nurture replies mail=[inbox.mbox] out=events-replies.jsonl",
            "nurture replies mail=[inbox.mbox] server=https://policy.example key_file=policy.key",
        ),
        settings="nurture_rl.delivery.reading_replies:RepliesOptions",
        work="nurture_rl.delivery.reading_replies:replies",
        composed=False,
        codes={3: "a person has to read something, or an event was not taken"},
    ),
    Verb(
        name="handoffs",
        summary="tells sales whom the policy passed on to them, and why now",
        reads="a server's store, and the bundle that decides; the server may be running",
        makes="a file of open hand-offs: packets, or tasks of HubSpot or Salesforce (JSON Lines)",
        examples=(
            "nurture handoffs store=runs/store.db bundle=BUNDLE out=calls.jsonl",
            "nurture handoffs bundle=BUNDLE out=two.jsonl journeys=[released/no_show]",
        ),
        settings="nurture_rl.delivery.handing_over:HandoffOptions",
        work="nurture_rl.delivery.handing_over:hand_over",
        composed=False,
    ),
    Verb(
        name="export_log",
        summary="writes a server's log as tables that `data=folder` reads",
        reads="a server's store; the server may be running",
        makes="events, contacts and decisions (Parquet or CSV)",
        examples=(
            "nurture export_log store=runs/store.db out=exported",
            "nurture export_log store=runs/store.db out=tables format=csv",
        ),
        settings="nurture_rl.serving.upkeep.export:ExportOptions",
        work="nurture_rl.serving.upkeep.export:export",
        composed=False,
    ),
    Verb(
        name="replay",
        summary="makes a server's decisions again and compares them bit for bit",
        reads="a bundle, and what `export_log` wrote (Parquet)",
        makes="nothing: it counts the decisions that came out again",
        examples=(
            "nurture replay bundle=released/bundle log=exported",
            "nurture replay bundle=released/bundle log=exported --json",
        ),
        settings="nurture_rl.serving.upkeep.replaying:ReplayOptions",
        work="nurture_rl.serving.upkeep.replaying:replay_log",
        composed=False,
        codes={3: "a decision did not come out again"},
    ),
    Verb(
        name="verify",
        summary="shows whether what a server logged was changed, removed or cut off since",
        reads="a server's store, or what `export_log` wrote (Parquet)",
        makes="nothing: it names what is broken, and prints the head to note elsewhere",
        examples=(
            "nurture verify store=runs/store.db",
            "nurture verify log=exported --json",
        ),
        settings="nurture_rl.serving.upkeep.verifying:VerifyOptions",
        work="nurture_rl.serving.upkeep.verifying:verify",
        composed=False,
        codes={3: "something is not as it was logged"},
    ),
    Verb(
        name="explain",
        summary="tells in plain words why a server made a decision, and what became of it",
        reads="a server's store, and the bundle that decided; the server may be running",
        makes="nothing: it prints who decided, chances, guardrails, features and what came after",
        examples=(
            "nurture explain store=runs/store.db decision=ID",
            "nurture explain store=runs/store.db decision=ID bundle=released/bundle --json",
        ),
        settings="nurture_rl.workflow.explain_verb:ExplainOptions",
        work="nurture_rl.workflow.explain_verb:explain",
        composed=False,
        codes={3: "the decision did not come out again"},
    ),
    Verb(
        name="monitor",
        summary="tells whether a server still sees and does what it did before",
        reads="a server's store, and a bundle of its journey; the server may be running",
        makes="nothing: it prints figures, before and now, and which are beyond their limits",
        examples=(
            "nurture monitor store=runs/store.db bundle=BUNDLE",
            "nurture monitor store=runs/store.db bundle=BUNDLE days=1 before=7 --json",
        ),
        settings="nurture_rl.serving.watching.monitoring:MonitorOptions",
        work="nurture_rl.serving.watching.monitoring:monitor",
        composed=False,
        codes={3: "a figure is beyond its limit"},
    ),
    Verb(
        name="backup",
        summary="copies a server's store as of one moment, checks the copy and its chain",
        reads="a server's store; the server may be running",
        makes="one file that `restore` reads",
        examples=(
            "nurture backup store=runs/store.db out=store.backup",
            "nurture backup store=runs/store.db out=tuesday.backup --json",
        ),
        settings="nurture_rl.serving.upkeep.copying:BackupOptions",
        work="nurture_rl.serving.upkeep.copying:backup",
        composed=False,
    ),
    Verb(
        name="restore",
        summary="puts a checked backup in a store's place, and erases again who was erased since",
        reads="what `backup` made",
        makes="a store; one that was there is kept beside it",
        examples=(
            "nurture restore backup=store.backup store=restored.db",
            "nurture restore backup=store.backup store=runs/store.db replace=true",
        ),
        settings="nurture_rl.serving.upkeep.copying:RestoreOptions",
        work="nurture_rl.serving.upkeep.copying:restore",
        composed=False,
    ),
    Verb(
        name="erase",
        summary="erases a person from a store and from logs, and names what learned from them",
        reads="a server's store, folders of tables (Parquet), a folder of runs",
        makes="the same without the person; a mark that keeps old logs from bringing them back",
        examples=(
            "nurture erase contact=lead-000-000001 store=runs/store.db",
            "nurture erase contact=lead-000-000001 logs=[exported] runs=runs",
        ),
        settings="nurture_rl.workflow.erase_verb:EraseOptions",
        work="nurture_rl.workflow.erase_verb:erase",
        composed=False,
    ),
    Verb(
        name="retention",
        summary="erases people of whom nothing was heard for long; counts them first",
        reads="a server's store",
        makes="counts; with `apply=true` the store without them",
        examples=(
            "nurture retention store=runs/store.db older_than_days=730",
            "nurture retention store=runs/store.db older_than_days=730 apply=true",
        ),
        settings="nurture_rl.serving.upkeep.retention:RetentionOptions",
        work="nurture_rl.serving.upkeep.retention:retention",
        composed=False,
    ),
)
VERBS: Mapping[str, Verb] = {verb.name: verb for verb in _ALL}
