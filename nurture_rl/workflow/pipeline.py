"""The loop from a log to a bundle, as far as a verb wants it; each step is resumed if it can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from nurture_envs.compiling import against_numba
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_envs.journey_memory import with_memory
from nurture_envs.playing import loops_are_kept
from nurture_envs.rollout import returns
from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.about_run import about_run
from nurture_rl.workflow.collect import raw_log, reference_simulation
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.doctor_config import DoctorConfig
from nurture_rl.workflow.doctor_stage import doctor_stage
from nurture_rl.workflow.first_look_stage import first_look_stage
from nurture_rl.workflow.gap import gap_report
from nurture_rl.workflow.gap_page_stage import gap_page
from nurture_rl.workflow.ingestion import UNDECIDED, ingest, require_decided
from nurture_rl.workflow.judges import evaluation
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.learners import plays_in_world
from nurture_rl.workflow.logging_policy import LoggingPolicy, logging_policy, with_logging
from nurture_rl.workflow.policy_stage import learned_policy, policy_by_evidence
from nurture_rl.workflow.region_stage import RegionChoice, held_out_then
from nurture_rl.workflow.release import release
from nurture_rl.workflow.release_region import is_open
from nurture_rl.workflow.run_page import Made, run_page
from nurture_rl.workflow.side_by_side import Begun, Crew
from nurture_rl.workflow.sources_stage import sources_stage
from nurture_rl.workflow.stages import Say, Workshop
from nurture_rl.workflow.training import Training
from nurture_rl.workflow.world_stage import learned_world

_PACKAGES = ("nurture-rl", "torch", "numpy", "gymnasium", "mlflow", "duckdb")  # told on the page


def ready() -> None:
    """Begun by a helper, it imports and compiles what stages need while the caller makes the log.

    What is compiled is kept on disk for every process and journey.
    """
    if against_numba() or loops_are_kept():
        return
    simulation = reference_simulation(load_journey("inbound_lead"))
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    returns(simulation, build_policy("random", context), 2, seed=0)


@dataclass(frozen=True)
class Pipeline:
    """The stages of one configuration; each is worked on when first asked for."""

    settings: Settings
    say: Say
    # Takes what can be done side by side, and then `say` is its own; by itself nobody helps.
    crew: Crew = field(default_factory=Crew, kw_only=True)

    @cached_property
    def workshop(self) -> Workshop:
        """Where the stages lie."""
        return Workshop(Path(self.settings.run.runs).resolve(), self.say)

    @cached_property
    def journey(self) -> Journey:
        """The journey of the data, with the memory that its contexts shall have."""
        data = self.settings.run.data
        return with_memory(load_journey(data.journey), data.memory)

    @cached_property
    def raw(self) -> Path:
        """Raw tables."""
        run = self.settings.run
        return raw_log(self.workshop, run.data, self.journey, run.seeds.log)

    @cached_property
    def checked(self) -> Path:
        """Checked tables, and the decision table where the log has decisions."""
        return ingest(self.workshop, self.settings.run.data, self.journey, self.raw)

    @property
    def ingested(self) -> Path:
        """Checked tables and the decision table.

        Raises:
            LogError: the log has no decisions.
        """
        return require_decided(self.checked)

    @property
    def is_decided(self) -> bool:
        """Whether the log has decisions."""
        return not (self.checked / UNDECIDED).is_file()

    @cached_property
    def diagnosed(self) -> Path:
        """What is wrong with the log."""
        run = self.settings.run
        scores = run.scores if isinstance(run, DoctorConfig) else None
        file = None if scores is None else Path(scores)
        return doctor_stage(self.workshop, self.journey, self.checked, file)

    @cached_property
    def first_look(self) -> Path:
        """The page of a log without decisions."""
        return first_look_stage(self.workshop, self.journey, self.checked)

    @cached_property
    def logging(self) -> LoggingPolicy:
        """The policy that made the log; a reference world's is known, for it was made with it.

        Raises:
            ConfigError: the configured one did not make this log.
        """
        data = self.settings.run.data
        if data.source == "reference":
            return LoggingPolicy(data.logging, 0.0, "the log was made by the configured policy")
        return logging_policy(self.workshop, self.journey, self.settings, self.ingested)

    @cached_property
    def resolved(self) -> Settings:
        """The settings with the log's own policy wherever they leave it to the log."""
        return with_logging(self.settings, self.logging.description)

    @cached_property
    def world(self) -> Path:
        """The learned world."""
        return self._world_without(self.settings.run.data.held_out)

    def _world_without(self, held_out: float) -> Path:
        """A world fitted to the contacts that are not held out."""
        return learned_world(
            self.workshop,
            self.journey,
            self.ingested,
            held_out,
            self.settings.world,
            self.settings.run.seeds.world,
            self.crew,
        )

    def begin(self) -> None:
        """Hand out what needs no more than the world: training, then the reality gap."""
        for _ in (self._training, self._measuring):
            pass

    @cached_property
    def _measuring(self) -> Begun[Path]:
        context = context_beside(self.ingested.parent, self.journey)
        given = (self.workshop, self.journey, self.resolved, self.ingested, self.world, context)
        return self.crew.begin("gap", gap_report, *given)

    @cached_property
    def gap(self) -> Path:
        """How far the learned world is from the held-out contacts."""
        return self._measuring.result()

    @cached_property
    def gap_page(self) -> Path:
        """The same for people: `gap.html`, `gap.md` and `gap.json`."""
        return gap_page(self.workshop, self.gap)

    @cached_property
    def policies(self) -> Mapping[str, Path]:
        """Every configured policy that the journey has a program for, trained where it learns.

        Raises:
            ConfigError: two policies share a name, or the policy to export or to beat is the expert
                of a journey without one.
        """
        return {name: begun.result() for name, begun in self._training.items()}

    @cached_property
    def _training(self) -> Mapping[str, Begun[Path]]:
        run = self.resolved.run
        for name, policy in run.policies.items():
            if policy.name != name:
                raise ConfigError(f"policies.{name}.name: expected {name!r}, got {policy.name!r}")
        return {name: self._policy(name) for name in run.policies if self._is_there(name)}

    def _is_there(self, name: str) -> bool:
        """Everybody but the expert of a journey that has none; who is left out is named."""
        run = self.settings.run
        if self.journey.expert or run.policies[name].spec not in ("expert", {"kind": "expert"}):
            return True
        missing = f"journey {self.journey.name!r} lists no rules under `expert`"
        for key in ("policy", "reference"):
            if getattr(run.release, key) == name:
                raise ConfigError(f"release.{key}: {missing}; write them or name another policy")
        self.say(f"policy-{name}: left out, {missing}")
        return False

    def training_of(self, name: str) -> Training:
        """What a configured policy is learned from."""
        run = self.resolved.run
        return Training(
            policy=run.policies[name],
            journey=self.journey,
            ingested=self.ingested,
            world=self.world if plays_in_world(run.policies[name].learner) else None,
            held_out=run.data.held_out,
            seed=run.seeds.learner,
            say=self.say,
            checkpoint_every=run.checkpoint_every,
        )

    def _policy(self, name: str) -> Begun[Path]:
        run, task = self.resolved.run, self.training_of(name)
        given = (self.workshop, task, self.settings.learners[name])
        if is_open(task.policy.spec):
            then = self._world_then if task.world is not None else None
            asked = (self.region_choice, then)
            return self.crew.begin(f"policy-{name}", policy_by_evidence, *given, *asked)
        crew = Crew() if run.policies[name].learner == "none" else self.crew
        return crew.begin(f"policy-{name}", learned_policy, *given)

    @cached_property
    def region_choice(self) -> RegionChoice:
        """What open trust regions are chosen from, judged as the gate judges."""
        run = self.resolved.run
        reference = run.policies.get(run.release.reference)
        return RegionChoice(
            ratios=tuple(run.data.trust.ratios),
            reference=run.release.reference,
            described=None if reference is None else reference.spec,
            evaluation=replace(self.settings.evaluation, level=run.release.level),
            seed=run.seeds.evaluation,
        )

    @cached_property
    def _world_then(self) -> Path:
        """A world that has not seen the contacts by which trust regions are chosen."""
        return self._world_without(held_out_then(self.settings.run.data.held_out))

    @cached_property
    def sources(self) -> Path:
        """What each source of the log is worth to the policy.

        Raises:
            ConfigError: no policy that learns from the log is asked for.
        """
        given = (self.workshop, self.journey, self.resolved, self.ingested, self.policies)
        return sources_stage(*given)

    @cached_property
    def evaluated(self) -> Path:
        """Both judges' findings."""
        return evaluation(
            self.workshop,
            self.journey,
            self.resolved,
            self.ingested,
            self.world,
            self.policies,
            self.crew,
        )

    @cached_property
    def released(self) -> Path:
        """The gate's decision, and the bundle if it passed."""
        return release(
            self.workshop,
            self.journey,
            self.settings,
            self.ingested,
            self.gap,
            self.evaluated,
            self.policies,
        )

    @cached_property
    def report(self) -> Path:
        """The run as a page: `report.html`, `report.md` and `figures/`."""
        made = Made(
            raw=self.raw,
            ingest=self.ingested,
            world=self.world,
            gap=self.gap,
            policies=self.policies,
            evaluation=self.evaluated,
            release=self.released,
        )
        plain = self.settings.plain
        about = partial(about_run, self.settings.run, plain, _PACKAGES)
        return run_page(self.workshop, self.journey, made, plain, about)
