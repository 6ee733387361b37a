"""Which device people mostly use: said where it is sure, and right as often as it is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.errors import JourneyError
from nurture_rl.errors import LogError
from nurture_rl.logs.device_rules import DEVICES, DeviceRules, device_of, usual_devices
from nurture_rl.logs.device_search import DeviceSearch
from nurture_rl.logs.ingest import ingest_folder
from tests.unit.logs.test_machine_marks import NOON, event, table

MIDNIGHT = -float(NOON // 1_000_000 % 86_400)  # seconds from the time of `event`, UTC
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
DROID = "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 Chrome/116.0 Mobile Safari"
SLATE = "Mozilla/5.0 (Linux; Android 13; SM-X710) AppleWebKit/537.36 Chrome/116.0 Safari/537.36"
IPAD = "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/116.0 Safari/537.36"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15"


@pytest.mark.parametrize(
    ("told", "device"),
    [
        ((PHONE,), "phone"),
        ((DROID,), "phone"),
        ((SLATE,), "tablet"),
        ((IPAD,), "tablet"),
        ((DESK,), "computer"),
        ((MAC,), "computer"),
        (("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Tablet PC 2.0)",), "computer"),
        (("MOBILE",), "phone"),
        (("Desktop", PHONE), "computer"),
        ((None, "tablet"), "tablet"),
        (("Mozilla/5.0",), None),
        (("WebMail", 7), None),
        ((), None),
    ],
)
def test_words_and_browsers_name_devices(told: tuple[Any, ...], device: str | None) -> None:
    assert device_of(*told) == device


def test_probabilities_are_those_of_the_beta_distribution_and_hold_as_often() -> None:
    even = np.array([[1.0, 1.0, 1.0]] * 300)
    best, sure = usual_devices(np.array([[3.0, 0.0, 0.0]]))
    assert best[0] == 0
    # Shares of all are 4, 1 and 1 of 6; two acts of them count beside the three.
    drawn = np.random.default_rng(0).dirichlet([3 + 8 / 6, 2 / 6, 2 / 6], 200_000)
    assert sure[0] == pytest.approx((drawn[:, 0] > 0.5).mean(), abs=0.002)
    assert usual_devices(even)[1].max() < 0.5
    rng = np.random.default_rng(4)
    shares = rng.dirichlet([1.2, 0.7, 0.1], 4000)
    acts = np.array([rng.multinomial(rng.integers(1, 30), one) for one in shares], float)
    best, sure = usual_devices(acts)
    told = sure >= 0.9
    right = shares[np.arange(4000), best] > 0.5
    assert 0.4 < told.mean() < 0.9
    assert right[told].mean() > 0.93
    assert right[told].mean() == pytest.approx(sure[told].mean(), abs=0.03)


def log(folder: Path, rules: str | None, privacy: str | None = None) -> dict[str, dict[str, Any]]:
    """Attributes of who clicks on a phone, on both, by a program, and of whom the log knows it."""
    folder.mkdir()
    acts: list[tuple[str, str | None, bool]] = []
    acts += [("ada", PHONE, False)] * 12
    acts += [("bob", PHONE, False), ("bob", DESK, False)] * 5
    acts += [("cat", DESK, True)] * 12 + [("dan", DESK, False)] * 12 + [("eve", None, False)] * 9
    rows = []
    for number, (who, agent, machine) in enumerate(acts):
        cells = {"properties": {"user_agent": agent} if agent else {}, "is_machine": machine}
        row = event("page_view", 60.0 * number, who, page_category="pricing", **cells)
        rows.append({k: v for k, v in row.items() if v is not None} | {"event_id": f"e{number}"})
    for row in rows:
        for name in ("occurred_at", "recorded_at"):
            row[name] = str(np.datetime64(int(row[name]), "us")) + "Z"
        row["properties"] = json.loads(row["properties"])
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "events.jsonl").write_text(text)
    people = [
        {"contact_id": name, "attributes": {"device": "fridge"} if name == "dan" else {}}
        for name in ("ada", "bob", "cat", "dan", "eve")
    ]
    (folder / "contacts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in people))
    if rules is not None:
        (folder / "devices.yaml").write_text(rules, "utf-8")
    if privacy is not None:
        (folder / "privacy.yaml").write_text(privacy, "utf-8")
    out = folder.parent / f"{folder.name}-out"
    ingest_folder(folder, out, None, None, lambda line: None)
    told = pq.read_table(out / "contacts.parquet").to_pylist()
    return {row["contact_id"]: json.loads(row["attributes"]) for row in told}


def test_a_log_tells_devices_where_it_asks_for_them_and_they_are_sure(tmp_path: Path) -> None:
    found = log(tmp_path / "asked", "{}")
    assert found["ada"]["device"] == "phone"
    assert 0.9 < found["ada"]["device_confidence"] <= 1.0
    assert found["bob"] == found["cat"] == found["eve"] == {}
    assert found["dan"] == {"device": "fridge"}
    assert DEVICES.index("phone") == 1
    assert set(log(tmp_path / "not", None)["ada"]) == set()
    assert log(tmp_path / "never", "least: 1.0")["ada"] == {}


@pytest.mark.parametrize("kept", ["[]", "[plan]", "[device]", "[device_confidence]"])
def test_no_attribute_slips_by_what_privacy_keeps(tmp_path: Path, kept: str) -> None:
    folder = tmp_path / "private"
    with pytest.raises(LogError, match=r"devices\.yaml.*privacy\.yaml"):
        log(folder, "{}", f"attributes: {kept}")
    both = log(tmp_path / "both", "{}", "attributes: [device, device_confidence]")
    assert both["ada"]["device"] == "phone"
    assert log(tmp_path / "any", "{}", "keep_days: 400")["ada"]["device"] == "phone"


def test_the_habits_of_all_say_nothing_of_who_never_acted(tmp_path: Path) -> None:
    acts = {"ada": {"device": "phone"}, "web": {"device": "WebMail", "user_agent": DESK}}
    clicks = table(
        *(
            event("click", 60.0 * number, who, properties=acts[who])
            for number, who in enumerate(["ada"] * 300 + ["web"] * 9)
        )
    )
    people = pa.table({"contact_id": ["ada", "dan", "web"], "attributes": ["{}"] * 3})
    search = DeviceSearch(DeviceRules(0.9, {}))
    search.see(clicks)
    told = search.with_devices(people, pa.chunked_array([], pa.string()))["attributes"]
    ada, dan, web = (json.loads(text) for text in told.to_pylist())
    assert ada["device"] == "phone"
    assert dan == {}
    assert web["device"] == "computer"  # the sender's word names none, what the browser says does
    assert search.notes() == [
        "devices: 2 of 3 contacts mostly use one; of 1 none is as likely as 0.9"
    ]


def test_devices_by_hour_follow_the_clock_of_the_contact() -> None:
    """Phone at seven and computer at eleven, in Berlin and in New York; in between nothing."""
    moments = {"berlin": (5, 9), "york": (11, 15), "lost": (5, 9)}  # UTC, in summer
    day = 86_400.0
    acts = [
        event("click", MIDNIGHT + day * n + 3600 * hour, who, properties={"device": device})
        for who, hours in moments.items()
        for n in range(20)
        for hour, device in zip(hours, ("phone", "computer"), strict=True)
    ]
    acts.append(event("click", MIDNIGHT + 9 * 3600.0, "once", properties={"device": "phone"}))
    people = pa.table(
        {
            "contact_id": ["berlin", "york", "lost", "once"],
            "attributes": ['{"plan": "pro"}', "{}", "{}", '{"device_work": "fridge"}'],
            "time_zone": ["Europe/Berlin", "America/New_York", None, "Europe/Berlin"],
        }
    )
    rules = DeviceRules(0.95, {"morning": (5, 9), "work": (9, 17), "late": (22, 5)})
    search = DeviceSearch(rules)
    search.see(table(*acts))
    told = search.with_devices(people, pa.chunked_array([], pa.string()))["attributes"]
    berlin, york, lost, once = (json.loads(text) for text in told.to_pylist())
    for found in (berlin, york):
        assert (found["device_morning"], found["device_work"]) == ("phone", "computer")
        assert min(found["device_morning_confidence"], found["device_work_confidence"]) >= 0.95
        assert "device" not in found  # half on each
        assert "device_late" not in found
    assert berlin["plan"] == "pro"
    assert lost == {}
    assert once == {"device_work": "fridge"}
    assert [note.split(" mostly")[0] for note in search.notes()] == [
        "devices: 0 of 4 contacts",
        "devices (morning): 2 of 4 contacts",
        "devices (work): 2 of 4 contacts",
        "devices (late): 0 of 4 contacts",
    ]


def test_planted_habits_by_hour_are_right_as_often_as_they_say() -> None:
    rng, day = np.random.default_rng(9), 86_400.0
    shares = {8: rng.dirichlet([0.6, 1.6, 0.2], 300), 14: rng.dirichlet([1.6, 0.5, 0.1], 300)}
    acts = [
        event("click", MIDNIGHT + day * n + 3600 * hour, f"c{who}", properties={"device": device})
        for hour, share in shares.items()
        for who in range(300)
        for n, device in enumerate(rng.choice(DEVICES, rng.integers(1, 25), p=share[who]))
    ]
    names = [f"c{who}" for who in range(300)]
    people = pa.table({"contact_id": names, "attributes": ["{}"] * 300, "time_zone": ["UTC"] * 300})
    search = DeviceSearch(DeviceRules(0.9, {"early": (5, 12), "later": (12, 20)}))
    search.see(table(*acts))
    told = search.with_devices(people, pa.chunked_array([], pa.string()))["attributes"]
    found = [json.loads(text) for text in told.to_pylist()]
    right, sure = [], []
    for part, share in (("early", shares[8]), ("later", shares[14])):
        for who, said in enumerate(found):
            if f"device_{part}" in said:
                right.append(share[who][DEVICES.index(said[f"device_{part}"])] > 0.5)
                sure.append(said[f"device_{part}_confidence"])
    assert 200 < len(right) < 550
    assert np.mean(right) == pytest.approx(np.mean(sure), abs=0.05)


def test_privacy_keeps_every_part_of_the_day_or_the_log_is_refused(tmp_path: Path) -> None:
    rules = "hours: {work: [9, 17]}"
    with pytest.raises(LogError, match=r"device_work and device_work_confidence, which privacy"):
        log(tmp_path / "raw", rules, "attributes: [device, device_confidence]")


@pytest.mark.parametrize(
    "rules",
    [
        *("least: 0.2", "most: 1", "least: [", "least: 1.5", "hours: {work: [9]}"),
        *("hours: {work: [9, 25]}", "hours: {confidence: [9, 17]}", "hours: {work: [0, 24]}"),
        *("hours: {a_confidence: [9, 17]}", "hours: {work: [9.5, 17]}"),
    ],
)
def test_wrong_rules_are_told(tmp_path: Path, rules: str) -> None:
    with pytest.raises((LogError, JourneyError), match=r"devices\.yaml"):
        log(tmp_path / "raw", rules)
