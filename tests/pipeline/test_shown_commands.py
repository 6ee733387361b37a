"""Every command that a page or the help shows is run as its reader would, in the page's order.

A page takes for granted what its reader has: a log of decisions, a sender that asks the server, a
bundle. `run` puts these in, and makes small what would run for minutes; it changes nothing else.
The page on a journey of one's own is followed by `tests/pipeline/test_own_journey.py`, the lines of
real logs by `tests/pipeline/test_real_sources.py` and, with two learners, by
`tests/pipeline/test_real_learners.py`.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra.core.global_hydra import GlobalHydra

from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.cli.main import main
from nurture_rl.cli.verb_record import DONE
from nurture_rl.cli.verbs import VERBS
from nurture_rl.delivery.delivery_ledger import DeliveryLedger
from nurture_rl.release.bundle import write_bundle
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.learners import LEARNERS
from tests.contract.shown_commands import LINES, REAL_LOGS, TWO_LEARNERS
from tests.pipeline.in_process import COMPOSED_ONCE, TINY
from tests.pipeline.running_server import RunningServer, running
from tests.pipeline.world_player import WorldPlayer
from tests.unit.delivery.listmonk_stand_in import listmonk_stand_in
from tests.unit.release.bundles import CREATED, content
from tests.unit.release.signed import key_pair

# Added to every line on a journey's log: a hundred contacts, the least training, playing and folds.
SMALL = [*TINY, "data.contacts=100", "gap.fewest_episodes=500"]
# Added where policies are judged anew, since each of them takes two seconds. `nurture pipeline` and
# the pages of the policies share one judgement of all of them.
ONE_ROUND = ["rounds.count=1", "rounds.contacts=60", "world.members=1", "policies.cql.fit.steps=50"]
CQL = ["policy=cql"]  # what `plan_rounds` learns where its line names none
FEWER = ["~policies.no_contact", "~policies.random", "~policies.tuned_rules", "~policies.ppo"]
# The least training of a learner, by what it knows of these; `SMALL` has that of a whole loop.
LEAST = {"steps": 50, "iterations": 1, "n_contacts": 64, "epochs": 1}
# A verdict, a gate that refuses, sends whose hour is to come; else done.
CODES = {
    "ope": {0, 3, 4, 5},
    "export": {0, 3},
    "lift": {0, 3, 4},
    "diff": {0, 3},
    "lint": {0, 3},
    "init": {0, 3},
    "doctor": {0, 3},
    "map": {0, 3},
    "pipeline": {0, 4},
    "deliver": {0, 3},
    "replies": {0, 3},
    "assess": {0, 3},
    "predict": {0, 3},
    "mine": {0, 3},
}

# The logs that readers have by page: file, actions, and columns of a target policy.
LOGS = {
    "--help": ("log.parquet", ["none", "offer"], ["p_none", "p_offer"]),
    "docs/ope-estimators.md": (
        "decisions.parquet",
        ["wait", "offer", "proof"],
        ["t_wait", "t_offer", "t_proof"],
    ),
}
# A server's canary as an experiment; what a page leaves out is said there.
PLAN = """
experiment: spring
journey: inbound_lead
unit: contact
starts: 2020-01-01
arms: {policy: 0.9, canary: 0.1}
usual: policy
window_days: 14
units: 1000
"""
LOG = ("log.parquet", ["none", "offer", "proof"], ["new_none", "new_offer", "new_proof"])
OWN_LOG = (
    "data.path=log.parquet data.columns.action=arm data.columns.propensity=p "
    "data.columns.reward=paid data.columns.contact=customer "
    "+targets.new.columns=[new_none,new_offer,new_proof]"
)
FILLED = {
    "...": OWN_LOG.split(),
    "data=...": ["data=reference"],
}  # what a page leaves to the reader
# Pages whose lines share a log and a bundle, but for lines that name another log.
FRONT = (
    *("README.md", "--help", "docs/architecture.md", "docs/arms.md", "docs/reality-gap.md"),
    *("docs/server-operations.md", "docs/policies-in-life.md", "docs/deploying-the-server.md"),
    *("docs/journeys-in-life.md", "docs/measuring-lift.md", "docs/delivering.md"),
    "docs/console.md",
    "docs/handing-to-sales.md",
    "docs/mining.md",
    "docs/papers.md",
    "docs/predictions.md",
    "docs/prices.md",
    "docs/reasons.md",
    "docs/replies.md",
    "docs/rounds.md",
    "docs/starting-from-files.md",
    "docs/feature-tables.md",
)
DATABASE = "postgresql://"  # its lines are run in test_servers_on_postgresql.py, where there is one
OTHER_LOG = re.compile(r"data=(?!folder|\.)")
ONE_LOG, POLICIES, SWEEPS, OTHER_LOGS = "one log", "policies", "sweeps", "other logs"
OWN_TEST = "docs/journey-file.md"


def shown(group: str) -> list[tuple[str, str]]:
    """Pages and lines of one group, each line on the first page that shows it."""
    first = {line: page for page, line in reversed(LINES) if page != OWN_TEST}
    elsewhere = set(REAL_LOGS.values())
    first = {
        line: page
        for line, page in first.items()
        if TWO_LEARNERS not in line and line not in elsewhere and DATABASE not in line
    }
    first = {line: first[line] for _, line in LINES if line in first}
    return [(page, line) for line, page in first.items() if group_of(page, line) == group]


def group_of(page: str, line: str) -> str:
    """The lines that are run together, in one folder; no group needs what another one made."""
    if page == "docs/sweeps.md":
        return SWEEPS
    if page.startswith("docs/policies/"):
        return POLICIES
    return ONE_LOG if page.startswith(FRONT) and not OTHER_LOG.search(line) else OTHER_LOGS


def words_of(line: str) -> list[str]:
    """The words of a line, with what the page leaves to its reader and the smaller settings."""
    name, *words = shlex.split(line)[1:]
    words = [part for word in words for part in FILLED.get(word, [word])]
    words = [re.sub("n_trials=.*", "n_trials=2", word) for word in words]
    # No hour is now: nobody is mailed, by whichever servers the page names.
    words += ["window_minutes=0.0001"] if name == "deliver" else []
    words = ["found_in=[mail.log]" if word.startswith("found_in=") else word for word in words]
    words += ["+hydra.launcher.init.num_cpus=1"] if "hydra/launcher=ray" in words else []
    if name in VERBS and VERBS[name].composed and "data=frame" not in words:
        words += [word for word in SMALL if word not in words]
        anew = any(word.startswith(("data=", "release.", "+policy=logging")) for word in words)
        words += FEWER if name in ("pipeline", "evaluate", "export") and anew else []
        words += least_training(words) if name in ("train", "prices") else []
        words += ["trainings=1", "frontier=[1]"] if name == "prices" else []
        words += ONE_ROUND if name == "rounds" else []
        words += (
            least_training(words if "policy=" in " ".join(words) else CQL)
            if name == "plan_rounds"
            else []
        )
    return [name, *words]


def least_training(words: list[str]) -> list[str]:
    """The least training of the one learner that a line names; none where it sweeps over several.

    Hydra takes a setting of a policy that is swept over for one of the default policy.
    """
    names = [word.removeprefix("policy=") for word in words if word.startswith("policy=")]
    if len(names) != 1 or names[0] not in LEARNERS:
        return []
    known = {field.name for field in fields(LEARNERS[names[0]].settings)}
    return [f"policy.fit.{key}={n}" for key, n in LEAST.items() if key in known]


def run(page: str, words: list[str]) -> int | None:
    """The exit code; None where a form of a command is shown alone."""
    if words[0] == "VERB":
        return max(main([verb, "--help"]) for verb in VERBS) if "--help" in words else None
    words = [f"decision={latest_decision()}" if word == "decision=ID" else word for word in words]
    if words[0] == "deliver":
        (table,) = [word.removeprefix("decided=") for word in words if word.startswith("decided=")]
        write_mail_inputs(table)
        with running(Path("BUNDLE"), "runs/store.db") as server:  # which made these decisions
            return main(
                [*(word for word in words if word[:7] != "server="), f"server={server.url}"]
            )
    if words[0] == "collect":  # by a stand-in, with the key that `write_mail_inputs` left
        with listmonk_stand_in() as listmonk, running(Path("BUNDLE"), "runs/store.db") as server:
            listmonk.subscriber("nobody@example.com", "blocklisted")
            kept = [word for word in words if not word.startswith(("server=", "sender_url="))]
            return main([*kept, f"server={server.url}", f"sender_url={listmonk.url}"])
    if words[0] == "replies":
        write_replies()
        if not any(word.startswith("server=") for word in words):
            return main(words)
        with running(Path("BUNDLE"), "runs/store.db") as server:  # a mailbox of files for IMAP's
            kept = [word for word in words if not word.startswith(("server=", "mail="))]
            return main([*kept, f"server={server.url}", "mail=[inbox.mbox]"])
    if words[0] in ("init", "map"):
        write_files()
    if words[0] == "plan_rounds":
        write_answers(words)
    if words[0] == "assess":  # a folder that no page makes
        if not Path("begun").exists():
            assert main(["init", "out=begun"]) in CODES["init"]
        words = ["path=begun/log" if word.startswith("path=") else word for word in words]
    if "data=frame" in words:
        write_log(*LOGS.get(page, LOG))
    return served(words) if words[0] == "serve" else main(words)


def write_files() -> None:
    """Two files as people have them, of which no mapping is there."""
    for mapping in Path().glob("*.map.yaml"):
        mapping.unlink()
    rows = "".join(f"p{i}@x.example,2026-03-{i + 1:02d} 10:00\n" for i in range(20))
    Path("clicks.csv").write_text(f"email,clicked_on\n{rows}", "utf-8")
    stages = rows.replace(",", ",MQL,")
    Path("stages.csv").write_text(f"email,stage,changed_at\n{stages}", "utf-8")


def write_answers(words: list[str]) -> None:
    """What the gates of a programme's rounds left, where a line names one."""
    for name in (word.removeprefix("gate=") for word in words if word.startswith("gate=")):
        Path(name).mkdir(parents=True, exist_ok=True)
        told: dict[str, object] = {
            "verdict": "refused",
            "candidate": name,
            "exported": None,
            "causes": [],
        }
        (Path(name) / "gate.json").write_text(json.dumps(told), "utf-8")


def write_replies() -> None:
    """A mailbox, whose addresses they are, labelled replies, and a ledger of deliveries."""
    mail = (
        "From a@x.example\nFrom: a@x.example\nDate: 1 Mar 2026 10:00:00 +0000\n\nUnsubscribe me\n"
    )
    Path("inbox.mbox").write_text(mail, "utf-8")
    Path("recipients.csv").write_text("contact_id,email\na,a@x.example\n", "utf-8")
    for name in ("our-replies.csv", "later-replies.csv"):
        Path(name).write_text("label,subject,text\nother,,thanks\n", "utf-8")
    for name in ("mail.key", "policy.key"):
        Path(name).touch(mode=0o600)
        Path(name).write_text("k" * 32, "utf-8")
    Path("runs").mkdir(exist_ok=True)
    DeliveryLedger(Path("runs/deliveries.db")).close()


def write_mail_inputs(table: str) -> None:
    """What whoever delivers a table has: texts, addresses, a key, and a log of the mail server."""
    folder = Path("templates")
    folder.mkdir(exist_ok=True)
    for message in load_journey("inbound_lead").messages:
        blocks = "".join(f"[[block {name}]]\n{name}\n[[end]]\n" for name in message.blocks)
        (folder / f"{message.id}.txt").write_text(f"Subject: {message.id}\n\n{blocks}", "utf-8")
    names = pq.read_table(table)["contact_id"].to_pylist()
    rows = [f"{name},{name}@example.com" for name in names]
    Path("recipients.csv").write_text("\n".join(["contact_id,email", *rows, ""]), "utf-8")
    for name, key in (("deliver", "k" * 32), ("listmonk", "api:secret")):
        Path(f"{name}.key").touch(mode=0o600)
        Path(f"{name}.key").write_text(key, "utf-8")
    line = "Nov 30 10:00:00 mx postfix/cleanup[1]: A1: message-id=<x@y.example>\n"
    Path("mail.log").write_text(line, "utf-8")


def latest_decision() -> str:
    """The id that a reader has from an answer of the server."""
    with closing(sqlite3.connect("runs/store.db")) as store:
        asked = "SELECT decision_id FROM decisions ORDER BY rowid DESC LIMIT 1"
        return str(store.execute(asked).fetchone()[0])


def write_log(file: str, actions: Sequence[str], targets: Sequence[str]) -> None:
    """Single decisions drawn evenly, of which the second action pays best, as the target knows."""
    rng, n, k = np.random.default_rng(0), 2000, len(actions)
    arm = rng.integers(0, k, n)
    columns = {
        **dict.fromkeys(("arm", "action"), np.array(actions)[arm]),
        **dict.fromkeys(("p", "propensity", "p_none", "p_offer", "p_proof"), np.full(n, 1 / k)),
        **dict.fromkeys(("paid", "reward"), 5.0 * (rng.random(n) < 0.1 + 0.3 * (arm == 1))),
        **dict.fromkeys(("customer", "contact"), np.arange(n)),
        **{name: np.full(n, 0.8 if j == 1 else 0.2 / (k - 1)) for j, name in enumerate(targets)},
        **{name: rng.integers(0, 2, n) for name in ("large", "complaints", "recency", "opens")},
        "sent_on": np.datetime64("2026-01-01") + np.arange(n) % 60,
    }
    pq.write_table(pa.table(columns), file)


def served(words: list[str]) -> int:
    """Serve on a free port and interrupt it; the first time a world's leads live their journey."""
    is_first = not Path("runs/store.db").exists()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    asked = [word for word in words if not word.startswith(("port=", "keys="))]
    asked += [f"port={port}", "unknown_zone_slack=[-1,6]"]
    asked += ["simulated_clock=true"] if is_first else []
    command = [sys.executable, "-m", "nurture_rl.cli", *asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if any(line.startswith("serving policy") for line in process.stdout) and is_first:
                server = RunningServer(process, f"http://127.0.0.1:{port}")
                leads = WorldPlayer(reference_simulation(load_journey("inbound_lead")), 40, seed=9)
                leads.play(server.send)
        finally:
            process.send_signal(signal.SIGINT)
        return process.wait(timeout=20)


def release(folder: Path) -> None:
    """The bundle that a run of full size leaves; here of the policy that made the log, signed."""
    key_pair(folder, "release")
    key_pair(folder, "second")
    line = "nurture export +policy=logging release.policy=logging release.key=release.pem"
    assert main(words_of(line)) == DONE
    (bundle,) = folder.glob("runs/stages/release-*/bundle")
    shutil.copytree(bundle, folder / "released" / "may")
    other = parse_journey({**load_journey("inbound_lead").resolved, "journey": "no_show"})
    beside = replace(content({"kind": "drip"}), journey=other)
    write_bundle(folder / "released" / "no_show", beside, CREATED)
    (tables,) = folder.glob("runs/stages/ingest-*/tables")
    (folder / "ingested").symlink_to(tables)
    (folder / "spring.yaml").write_text(PLAN, "utf-8")
    for name in ("BUNDLE", "released/bundle"):
        (folder / name).symlink_to(bundle)
    (folder / "EXPORT").symlink_to("exported")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("group", [ONE_LOG, POLICIES, SWEEPS, OTHER_LOGS])
@COMPOSED_ONCE
def test_every_shown_command_ends_as_its_help_says(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    if group == ONE_LOG:
        release(tmp_path)
    ended: dict[tuple[str, ...], int | None] = {}
    wrong = []
    for page, line in shown(group):
        words = words_of(line)
        if tuple(sorted(words)) in ended:
            continue
        GlobalHydra.instance().clear()
        capfd.readouterr()
        code = ended[tuple(sorted(words))] = run(page, words)
        if code is not None and code not in CODES.get(words[0], {DONE}):
            wrong.append(f"{page}: {line} ended with {code}: {capfd.readouterr().err[-1500:]}")
    if "ray" in sys.modules:  # ends with the command else, here with the whole suite
        sys.modules["ray"].shutdown()
    assert wrong == []
