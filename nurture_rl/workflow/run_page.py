"""The run as a page; a stage of its own, so that a style sheet redoes no judgement."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.report.page import write_report
from nurture_rl.report.source import ReportInput
from nurture_rl.workflow.gap import read_gap
from nurture_rl.workflow.training import REGION

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop

About = Callable[[], Mapping[str, Any]]
PAGE = "report.html"  # in the stage's folder, `report.md` and its figures beside it


@dataclass(frozen=True, slots=True)
class Made:
    """The stages of a run, by their folders."""

    raw: Path
    ingest: Path
    world: Path
    gap: Path
    policies: Mapping[str, Path]
    evaluation: Path
    release: Path

    @property
    def names(self) -> dict[str, str]:
        """The names of all, by stage."""
        folders = [self.raw, self.ingest, self.world, self.gap, *self.policies.values()]
        folders += [self.evaluation, self.release]
        return dict(folder.name.rsplit("-", 1) for folder in folders)


def run_page(
    workshop: Workshop,
    journey: Journey,
    made: Made,
    config: Mapping[str, Any],
    about: About,
) -> Path:
    """The folder with `report.html`, `report.md` and `figures/` of a judged run.

    Args:
        workshop: where stages lie.
        journey: of the data.
        made: what the page tells of.
        config: all settings as plain data: the page shows them.
        about: `about_run`, asked when the page is made: the command and the time are those of the
            run that made it, and the same settings typed in another way make no other.
    """
    inputs = {**made.names, "config": config, "journey": journey.resolved}
    return workshop.stage("report", inputs, partial(_written, journey, made, about))


def _written(journey: Journey, made: Made, about: About, out: Path) -> None:
    write_report(report_input(journey, made, about()), out / PAGE)


def report_input(journey: Journey, made: Made, about: Mapping[str, Any]) -> ReportInput:
    """Everything the page shows, read back from the stages."""
    evaluation = _read(made.evaluation / "evaluation.json")
    decisions = _read(made.ingest / "decisions.json")
    decided = _read(made.release / "gate.json")
    summary = _read(made.ingest / "tables" / "summary.json")
    contacts = evaluation["contacts"]
    return ReportInput(
        title=f"{journey.title}",
        journey={
            "name": journey.name,
            "title": journey.title,
            "provenance": journey.provenance,
            "unit": journey.reward.unit,
            "horizon": journey.clock.horizon,
            "estimand": journey.estimand,
        },
        run={**about, "fingerprints": {"data": summary["fingerprint"], **made.names}},
        data={
            "ingest": summary,
            "notes": _read(made.ingest / "notes.json"),
            "contacts_train": contacts["training"],
            "contacts_held_out": contacts["held_out"],
            **{
                key: decisions[key]
                for key in ("decisions", "logged_features_equal", "unmatched_events")
            },
        },
        calibration=_read(made.world / "calibration.json")["heads"],
        evaluation=evaluation | {"candidate": decided["candidate"]},
        gate=decided,
        gap=read_gap(made.gap),
        tuned={
            name: _read(folder / "search.json") | {"spec": _read(folder / "policy.json")["spec"]}
            for name, folder in made.policies.items()
            if (folder / "search.json").is_file()
        },
        regions={
            name: _read(folder / REGION)
            for name, folder in made.policies.items()
            if (folder / REGION).is_file()
        },
    )


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
