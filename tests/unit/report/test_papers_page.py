"""The paper of a bundle as a page and as text: both say the same, and nothing is set as markup."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nurture_envs.journey_file import parse_journey
from nurture_rl.papers.trigger_paper import TriggerPaper, trigger_paper
from nurture_rl.release.bundle import write_bundle
from nurture_rl.report.papers_page import TITLE, papers_page, papers_text
from tests.unit.release.bundles import CREATED, card, content


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> TriggerPaper:
    folder = tmp_path_factory.mktemp("papers") / "bundle"
    full = replace(
        card(),
        first="Read this first.",
        intended=("to choose mails",),
        data=("3 contacts",),
        harms=("complaints: at most 0.01",),
    )
    return trigger_paper(write_bundle(folder, replace(content(), card=full), CREATED), folder)


def plain(text: str) -> str:
    """What a reader sees, without markup and line breaks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).replace("`", "").split())


def test_page_and_text_tell_all_of_the_paper(paper: TriggerPaper) -> None:
    told = [part.says for part in paper.policy] + list(paper.course) + list(paper.fallback)
    told += [trigger for one in paper.messages for trigger in one.triggers]
    told += [value for one in paper.messages for fact in one.facts for value in fact]
    told += [word for one in paper.guardrails for word in (one.name, one.forbids, one.lasts)]
    told += [line for _, lines in paper.programs for line in lines]
    told += [value for fact in (*paper.seal, *paper.features) for value in fact]
    told += ["Read this first.", "to choose mails", "3 contacts", "complaints: at most 0.01"]
    told += ["choice of message", "nobody outside the test", "the gate passed it", "812.5"]
    for text in (plain(papers_page(paper)), plain(papers_text(paper))):
        assert TITLE.lower() in text.lower()
        assert [one for one in told if plain(html.escape(one)) not in text] == []


def test_lines_of_the_text_are_short(paper: TriggerPaper) -> None:
    assert max(map(len, papers_text(paper).splitlines())) <= 100


def test_what_a_journey_says_is_never_markup(tmp_path: Path) -> None:
    own = parse_journey({**content().journey.resolved, "title": "<script>alert(1)</script>"})
    bundle = write_bundle(tmp_path / "b", replace(content(), journey=own), CREATED)
    page = papers_page(trigger_paper(bundle, tmp_path / "b"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
