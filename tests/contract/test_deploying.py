"""The files of docs/deploy name what exists, and systemd takes the unit."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from nurture_rl.serving.http.server import ServeOptions
from nurture_rl.serving.http.traffic import TrafficLimits
from tests.contract.source_tree import ROOT

DEPLOY = ROOT / "docs" / "deploy"
UNIT = (DEPLOY / "nurture.service").read_text("utf-8")
CONTAINER = (DEPLOY / "Containerfile").read_text("utf-8")


def _given(text: str) -> set[str]:
    return {name for word in shlex.split(text) if (name := word.partition("=")[0]) != word}


def test_unit_and_container_give_settings_that_the_server_has() -> None:
    known = {one.name for one in fields(ServeOptions)}
    started = re.search(r"^ExecStart=(.*?[^\\])$", UNIT, re.M | re.S)
    command = re.search(r"^CMD \[(.*)\]$", CONTAINER, re.M)
    assert started
    assert command
    unit = _given(started[1].replace("\\\n", " "))
    container = _given(command[1].replace(",", " "))
    assert {"bundle", "store", "keys"} <= unit <= known
    assert {"bundle", "store", "keys", "host"} <= container <= known


def test_what_the_container_copies_and_installs_is_there() -> None:
    named = re.findall(r"requirements/[\w.-]+", CONTAINER)
    assert named
    assert all((ROOT / name).is_file() for name in named)


def test_the_proxy_takes_bodies_as_large_as_the_server_does() -> None:
    limit = re.search(r"client_max_body_size (\d+)m;", (DEPLOY / "nginx.conf").read_text("utf-8"))
    assert limit
    assert int(limit[1]) * 1024 * 1024 == TrafficLimits().body_bytes


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "nurture.service"
    program = tmp_path / "nurture"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(UNIT.replace("/opt/nurture/bin/nurture", str(program)), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60
    )
    told = [line for line in done.stderr.splitlines() if "nurture.service" in line]
    assert (done.returncode, told) == (0, [])
