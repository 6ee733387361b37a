"""The paper of a bundle in a real browser: at desktop and phone width, and asking for nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.papers.trigger_paper import trigger_paper
from nurture_rl.release.bundle import write_bundle
from nurture_rl.report.papers_page import TITLE, papers_page
from tests.pipeline.test_report_browser import BROWSERS
from tests.unit.release.bundles import CREATED, content

# Headings that begin too deep, tables without a header, and links that lead nowhere.
FAULTS = """() => {
  const faults = []; let last = 0;
  for (const h of document.querySelectorAll('h1,h2,h3,h4')) {
    const level = Number(h.tagName[1]);
    if (level > last + 1) faults.push('heading ' + h.textContent);
    last = level;
  }
  for (const t of document.querySelectorAll('table'))
    if (!t.caption || !t.querySelector('th[scope=col]') || !t.querySelector('th[scope=row]'))
      faults.push('table ' + t.textContent.slice(0, 40));
  for (const a of document.querySelectorAll('a[href^="#"]'))
    if (!document.getElementById(a.hash.slice(1))) faults.push('link ' + a.hash);
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) faults.push('an id twice');
  return faults;
}"""


def test_the_papers_render_at_both_widths_without_errors_or_requests(tmp_path: Path) -> None:
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed; install Chromium to run this")
    from playwright.sync_api import sync_playwright

    whole = replace(content(), journey=load_journey("inbound_lead"))
    bundle = write_bundle(tmp_path / "bundle", whole, CREATED)
    page_file = tmp_path / "papers.html"
    page_file.write_text(papers_page(trigger_paper(bundle, tmp_path / "bundle")), "utf-8")
    complaints: list[str] = []
    asked: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        assert page.get_by_role("heading", level=1).inner_text() == TITLE
        assert page.get_by_role("heading", name="security_brief", exact=True).is_visible()
        assert page.get_by_role("row", name="Quiet hours").is_visible()
        faults = page.evaluate(FAULTS)
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent")
        widths = {}
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            widths[width] = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert faults == []
    assert focused == "Which bundle this is"
    assert widths == {1280: 1280, 390: 390}
    assert complaints == []
    assert [url for url in asked if url != page_file.as_uri() and not url.startswith("data:")] == []
