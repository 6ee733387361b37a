"""`nurture propose_rules`: rules in a file that other verbs take, and every tested change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline.in_process import TINY, nurture


@pytest.mark.timeout(600)
def test_proposals_are_written_and_judged_as_any_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = [*TINY, "data=null_lead", "data.contacts=300"]
    made = nurture("propose_rules", *small)
    assert made.code == 0, made.stderr[-3000:]
    assert "Nothing is proposed" in made.stdout  # nothing is planted in this world
    told = json.loads(Path("proposed/proposals.json").read_text("utf-8"))
    assert told["report"]["looked_at"] > 0
    asked = ["+targets.accepted.spec=proposed/rules.yaml", "ask.candidate=accepted"]
    judged = nurture("ope", *small, *asked, "ask.estimators=[dr]")
    assert judged.code in (0, 3, 4, 5), judged.stderr[-3000:]
    Path("proposed/rules.yaml").write_text("kind: rules\nrules: []\notherwise: exit\n", "utf-8")
    again = nurture("propose_rules", *small)
    assert again.code == 2
    assert "was edited" in again.stderr
    assert nurture("propose_rules", *small, "out=b", "tested=0").code == 2
