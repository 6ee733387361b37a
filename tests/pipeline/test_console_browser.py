"""The console in a real browser: every page, two widths, keys alone, and what axe finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.release.bundle import Bundle
from tests.pipeline.running_server import RunningServer, running
from tests.unit.lift.written_reads import written_read
from tests.unit.serving.busy_store import bundle_of, busy_store, journeys

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PAGES = ("now", "lift", "mail", "health", "policies", "contact", "contact/lead-003")
SEEN = "k" * 40  # a key for looking
RUNS = "r" * 40  # a key for whoever runs it
ASKS = "a" * 40
LOAD = """key => fetch("/v1/policies", {
  method: "POST",
  headers: {authorization: `Bearer ${key}`, "content-type": "application/json"},
  body: JSON.stringify({folder: "other", why: "to try"}),
})"""


@contextmanager
def looking(server: RunningServer, width: int = 1280) -> Iterator[Any]:
    """A page of a browser at the console; it may complain of nothing and ask nobody else."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed; install Chromium to run this")
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    strangers: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda told: complaints.append(told.text) if "status of 4" not in told.text else None,
        )
        page.on("request", lambda asked: _note(asked.url, server.url, strangers))
        page.goto(f"{server.url}/console")
        yield page
        browser.close()
    assert complaints == []
    assert strangers == []


def _note(url: str, own: str, strangers: list[str]) -> None:
    if not url.startswith((own, "data:")):
        strangers.append(url)


def open_page(page: Any, name: str) -> None:
    """Go to a page of the console and wait until its figures are there."""
    page.evaluate(f"location.hash = '#/{name}'")
    page.locator(f'main[data-shown="#/{name}"]').wait_for()


def await_text(page: Any, selector: str, text: str) -> None:
    """Wait until something of that kind says so."""
    page.locator(selector).filter(has_text=text).first.wait_for()


def bundles_beside(folder: Path) -> tuple[Bundle, Bundle]:
    """The bundles of a busy store, made beside it."""
    first, second = (bundle_of(folder / own.name, own) for own in journeys())
    busy_store(folder / "store.db", [first, second])
    return first, second


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a busy store, without keys."""
    folder = tmp_path_factory.mktemp("console")
    bundles_beside(folder)
    written_read(folder / "reports" / "late", "toy")
    (folder / "reports" / "broken").mkdir()
    (folder / "reports" / "broken" / "lift.json").write_text('{"plan": <script>', "utf-8")
    with running(
        folder / "toy", folder / "store.db", f"journeys=[{folder / 'low'}]",
        f"lift_reports={folder / 'reports'}", "simulated_clock=true",
    ) as server:  # fmt: skip
        yield server


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_and_axe_finds_nothing(open_server: RunningServer, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with looking(open_server, width) as page:
        found = {}
        for name in PAGES:
            open_page(page, name)
            for summary in page.locator("summary").all()[:1]:
                summary.click()
            assert page.evaluate("document.documentElement.scrollWidth") == width, name
            broken = Axe().run(page).response["violations"]
            found[name] = [f"{one['id']}: {one['nodes'][0]['html']}" for one in broken]
        assert found == {name: [] for name in PAGES}


def test_figures_and_pictures_are_there(open_server: RunningServer) -> None:
    with looking(open_server) as page:
        open_page(page, "now")
        asked = open_server.send("GET", "/v1/console/decisions?days=28")
        assert page.get_by_text(f"{asked['decisions']:,}", exact=True).first.is_visible()
        assert page.get_by_role("img").count() == len(asked["actions"])
        page.select_option("#journey", "low")
        await_text(page, "main", "journey low")
        open_page(page, "mail")
        families = open_server.send("GET", "/v1/console/mail?days=28")["families"]
        assert page.get_by_role("img").count() == 2 * len(families) > 2
        open_page(page, "health")
        assert page.get_by_role("heading", name="Alerts").is_visible()


def test_lift_is_shown_with_its_interval_and_what_cannot_be_read(
    open_server: RunningServer,
) -> None:
    with looking(open_server) as page:
        press_until(page, "Lift")
        page.keyboard.press("Enter")
        page.locator('main[data-shown="#/lift"]').wait_for()
        look = open_server.send("GET", "/v1/console/lift?journey=toy")
        star = look["report"]["figures"][0]
        facts = page.locator(".facts").inner_text()
        assert star["verdict"] == "better"
        assert "better" in facts
        assert "not known yet" in facts  # nobody has opted out so far
        assert "no experiment is served now" in facts
        assert look["report"]["plan"] in facts
        picture = page.get_by_role("img")
        assert picture.count() == 1
        assert f"+{1000 * star['difference']:.0f}" in str(picture.get_attribute("aria-label"))
        assert "broken: " in page.locator("main li").last.inner_text()
        page.select_option("#journey", "low")
        await_text(page, "main", "nurture lift data.path=exported")


def test_a_person_is_found_and_a_decision_explained_by_keys_alone(
    open_server: RunningServer,
) -> None:
    with looking(open_server) as page:
        open_page(page, "contact")
        press_until(page, "whom")
        page.keyboard.type("LEAD-003")
        page.keyboard.press("Enter")
        page.wait_for_selector(".timeline li")
        assert page.locator("main h1").inner_text() == "Contact"
        press_until(page, "Why this, why not that?")
        page.keyboard.press("Enter")
        page.wait_for_selector(".why")
        told = page.locator(".why").first.inner_text()
        assert "the decision was to" in told
        assert "Who decided:" in told
        page.keyboard.press("Enter")
        assert page.locator(".why").count() == 0


def test_what_a_stranger_wrote_stays_text(open_server: RunningServer) -> None:
    name = "<img src=x onerror=alert(1)>"
    open_server.send("PUT", "/v1/contacts", {"contacts": [{"contact_id": name, "consent": True}]})
    event = {
        "event_id": "x1", "contact_id": name, "type": "page_view",
        "page_category": "<script>alert(2)</script>", "source": "<b>web</b>",
        "occurred_at": "2026-04-10T10:00:00Z", "recorded_at": "2026-04-10T10:00:00Z",
    }  # fmt: skip
    assert open_server.send("POST", "/v1/events", {"events": [event]})["stored"] == 1
    with looking(open_server) as page:
        open_page(page, "contact")
        page.fill("#whom", name)
        page.keyboard.press("Enter")
        page.wait_for_selector(".timeline li")
        assert page.locator("main img").count() == 0
        assert "<script>alert(2)</script>" in page.locator("main").inner_text()


def test_nobody_of_that_name_is_said(open_server: RunningServer) -> None:
    with looking(open_server) as page:
        open_page(page, "contact/nobody%20here")
        assert "no contact has the id 'nobody here'" in page.get_by_role("alert").inner_text()


def press_until(page: Any, wanted: str) -> None:
    """Press Tab until an element has the focus: by its id or by its text."""
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate("[document.activeElement.id, document.activeElement.textContent]")
        if wanted in found:
            return
    raise AssertionError(f"no Tab reaches {wanted!r}")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RunningServer]:
    """A server with keys, and a second bundle beside the first."""
    first, _ = bundles_beside(tmp_path)
    other = tmp_path / "bundles" / "other"
    other.parent.mkdir()
    weights = {"send": 1.0, "pause": 3.0, "escalate": 1.0, "exit": 0.1}
    bundle_of(other, first.journey, {"kind": "random", "weights": weights})
    lines = [
        f"console {SEEN}",
        f"console,policies,decisions {RUNS}",
        f"decisions {ASKS}",
    ]
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text("\n".join(lines), "utf-8")
    with ExitStack() as stack:
        yield stack.enter_context(
            running(
                tmp_path / "toy", tmp_path / "store.db", f"journeys=[{tmp_path / 'low'}]",
                f"bundles={other.parent}", f"keys={keys}",
            )
        )  # fmt: skip


def enter_key(page: Any, key: str) -> None:
    """Give the key as a person would."""
    page.wait_for_selector("#key")
    press_until(page, "key")
    page.keyboard.type(key)
    page.keyboard.press("Enter")


def test_keys_open_what_they_open_and_all_is_done_by_keyboard(guarded: RunningServer) -> None:
    with looking(guarded) as page:
        enter_key(page, "wrong" * 8)
        await_text(page, ".problem", "known API key")
        enter_key(page, ASKS)
        await_text(page, ".problem", "this key opens decisions")
        enter_key(page, SEEN)
        page.wait_for_selector(".facts")
        assert "not for this key" in page.locator(".facts").inner_text()
        open_page(page, "policies")
        assert "needs the scope policies" in page.locator("main").inner_text()
        assert page.locator("main button").count() == 0
        open_page(page, "contact")
        assert "needs the scope decisions" in page.locator("main").inner_text()
        press_until(page, "leave")
        page.keyboard.press("Enter")
        enter_key(page, RUNS)
        page.locator("#whom").wait_for()  # where the page was left
        open_page(page, "policies")
        pause_and_resume(page)
        canary_and_back(page)
        assert page.evaluate("sessionStorage.length") == 1
        assert page.evaluate("localStorage.length + document.cookie.length") == 0


def pause_and_resume(page: Any) -> None:
    """The switch to pause and back; without a reason nothing is done."""
    press_until(page, "Pause all mail of this journey")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Enter")
    assert "Say why" in page.locator("#asking-problem").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert "the policy decides" in page.locator(".facts").inner_text()
    press_until(page, "Pause all mail of this journey")
    page.keyboard.press("Enter")
    page.keyboard.type("a test of the brake")
    page.keyboard.press("Enter")
    await_text(page, ".facts", "nothing is sent")
    assert "a test of the brake" in page.locator("main").inner_text()
    press_until(page, "Let the policy decide")
    page.keyboard.press("Enter")
    page.keyboard.type("it worked")
    page.keyboard.press("Enter")
    await_text(page, ".facts", "the policy decides")


def canary_and_back(page: Any) -> None:
    """A loaded policy gets a share of new episodes, and loses it."""
    page.evaluate(LOAD, RUNS)
    page.click("#refresh")
    await_text(page, "main", "loaded")
    press_until(page, "Canary")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("25")
    page.keyboard.press("Tab")
    page.keyboard.type("to see")
    page.keyboard.press("Enter")
    await_text(page, "main", "25.0\u00a0%")
    press_until(page, "Roll back")
    page.keyboard.press("Enter")
    page.keyboard.type("seen")
    page.keyboard.press("Enter")
    page.locator("main").filter(has_not_text="25.0\u00a0%").wait_for()
