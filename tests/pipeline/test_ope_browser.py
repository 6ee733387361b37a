"""The off-policy report in a real browser: it renders, asks for nothing, fits a phone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nurture_rl.report.ope_page import write_ope_report
from tests.unit.report.ope_sample import document

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def test_the_report_renders_without_errors_or_requests(tmp_path: Path) -> None:
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed; install Chromium to run this")
    from playwright.sync_api import sync_playwright

    address = write_ope_report(document(), tmp_path)[0].as_uri()
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
        badge = page.locator(".badge")
        assert badge.is_visible()
        assert badge.inner_text() == "Better"
        # the verdict is what a reader sees without scrolling
        box = badge.bounding_box()
        assert box is not None
        assert box["y"] < 300
        assert page.get_by_text("SYNTHETIC", exact=True).is_visible()
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        drawn = [box for svg in page.locator("svg").all() if (box := svg.bounding_box())]
        links = page.locator("nav a").all()
        targets = [page.locator(link.get_attribute("href") or "").count() for link in links]
        widths = {}
        for width in (1280, 420):
            page.set_viewport_size({"width": width, "height": 900})
            widths[width] = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert targets == [1] * 14
    # policies, weights, weeks, segments, lift, and one for each of four policies
    assert len([box for box in drawn if box["width"] > 600 and box["height"] > 100]) == 9
    assert widths == {1280: 1280, 420: 420}
    assert complaints == []
    assert [url for url in asked if url != address and not url.startswith("data:")] == []
