"""The page in a real browser: it renders, complains of nothing, asks for nothing, fits a phone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nurture_rl.report.page import write_report
from tests.unit.report.sample import sample

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def test_the_report_renders_without_errors_or_requests(tmp_path: Path) -> None:
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed; install Chromium to run this")
    from playwright.sync_api import sync_playwright

    address = write_report(sample(), tmp_path / "report.html").as_uri()
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
        page.goto(address)
        seen = [page.locator(f"#{name}").is_visible() for name in ("verdict", "data", "run")]
        headings = page.get_by_role("heading").all_inner_texts()
        badge = page.locator(".badge")
        assert badge.is_visible()
        assert badge.inner_text() == "Released"
        assert page.get_by_text("SYNTHETIC", exact=True).is_visible()
        assert page.get_by_role("img").count() == 6
        drawn = [box for svg in page.locator("svg").all() if (box := svg.bounding_box())]
        widths = {}
        for width in (1280, 420):
            page.set_viewport_size({"width": width, "height": 900})
            widths[width] = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert seen == [True, True, True]
    assert [text for text in headings if text.startswith("Value per policy")]
    assert "Can the learned world be believed?" in headings
    assert len([box for box in drawn if box["width"] > 600 and box["height"] > 150]) == 6
    assert widths == {1280: 1280, 420: 420}
    assert complaints == []
    assert [url for url in asked if url != address and not url.startswith("data:")] == []
