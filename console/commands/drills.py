"""Commands on drills: list, run, schedule."""

from __future__ import annotations

import secrets
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from rich.markup import escape
from rich.text import Text

from console.output import Common, ExitCode, people, show

if TYPE_CHECKING:
    from simulations.phases import Progress
    from simulations.results import DrillResult, ObjectiveResult

drill = App(name="drill", help="Practise on real servers, with an adversary that keeps trying.")


@drill.command(name="list")
def list_(*, common: Common = Common()) -> int:
    """List the scenarios."""
    from simulations.scenario import load, scenarios

    found = [load(name) for name in scenarios()]
    width = max(len(each.name) for each in found)
    data = [{"name": each.name, "title": each.title, "story": each.story} for each in found]
    show(common, {"scenarios": data}, *(f"{each.name:{width}}  {each.title}" for each in found))
    return ExitCode.OK


@drill.command
def run(
    scenario: Annotated[str, Parameter(help="See `keyquell drill list`.")] = "kms-credential-leak",
    /,
    *,
    seed: Annotated[int | None, Parameter(help="Makes the data the same again. Default: random.")] = None,
    output: Annotated[Path | None, Parameter(help="Folder for results. Default: drills/ in keyquell's home.")] = None,
    kms: Annotated[
        Literal["ministack", "moto"] | None,
        Parameter(help="KMS server instead of the scenario's; moto lies about disabled keys."),
    ] = None,
    common: Common = Common(),
) -> int:
    """Run a drill: servers up, leak, attack, response, proof, score, report. Exit code 0 only if valid and passed."""
    from console.earlier_drills import briefing, earlier_drills, left_to_do
    from console.report import write_drill_report
    from flows.prefect_server import default_home
    from simulations.harness import Drill, run_drill
    from simulations.scenario import load

    loaded = load(scenario)
    started = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder = output or default_home() / "drills" / f"{started}-{scenario}-{secrets.token_hex(2)}"
    returned = left_to_do(common.config, scenario)
    before = earlier_drills(folder.parent, scenario)
    if not common.json:
        show(common, {}, *briefing(returned))
    progress = _Progress(quiet=common.json)
    result = run_drill(
        Drill(
            scenario=loaded,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            output=folder,
            backends={"kms": kms} if kms else {},
            on_progress=progress.say,
            write_report=partial(write_drill_report, before=before, returned=returned),
        )
    )
    show(common, result.model_dump(mode="json"), *_summary(result, folder))
    return ExitCode.OK if result.valid and result.passed else ExitCode.FAILED


@drill.command
def schedule(
    scenario: Annotated[str, Parameter(help="Scenario to schedule; without one, the schedules are listed.")] = "",
    /,
    *,
    cron: Annotated[str, Parameter(help="When: five fields, for example '0 6 * * 1', Mondays at six.")] = "",
    timezone: Annotated[str, Parameter(help="Time zone of the cron fields, for example Europe/Berlin.")] = "UTC",
    remove: Annotated[bool, Parameter(help="Forget this scenario's schedule.", negative="")] = False,
    common: Common = Common(),
) -> int:
    """Schedule a drill, or list the schedules; `keyquell serve` runs them, also after a restart."""
    from flows.prefect_server import default_home
    from flows.schedules import add_schedule, parse_schedule, remove_schedule, schedules
    from playbooks.errors import InvalidInput
    from simulations.scenario import load

    if not scenario:
        found = schedules(default_home())
    elif remove:
        found = remove_schedule(default_home(), scenario)
    else:
        if not cron:
            raise InvalidInput("--cron is missing.", hint="For example --cron '0 6 * * 1'.")
        load(scenario)
        found = add_schedule(default_home(), parse_schedule(scenario=scenario, cron=cron, timezone=timezone))
    lines = [f"{each.scenario}  {each.cron}  {each.timezone}" for each in found] or ["No drill is scheduled."]
    show(common, {"schedules": [each.model_dump() for each in found]}, *lines)
    return ExitCode.OK


class _Progress:
    """Live progress: one line for each thing that happened, with the seconds since the start."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = None if quiet else people()
        self._started = time.monotonic()

    def say(self, progress: Progress) -> None:
        """Print one line."""
        if self._console is not None:
            elapsed = f"{time.monotonic() - self._started:6.1f} s"
            self._console.print(f"[dim]{elapsed}[/]  [bold]{progress.phase:10}[/] ", end="")
            self._console.print(progress.text, markup=False, soft_wrap=True)


def _summary(result: DrillResult, folder: Path) -> list[Text]:
    verdict = "[bold green]PASSED[/]" if result.valid and result.passed else "[bold red]NOT PASSED[/]"
    if not result.valid:
        verdict += " (the drill itself was not valid)"
    markup = ["", f"{verdict}  {result.scenario}, seed {result.seed}"]
    for objective in result.objectives:
        mark = "[green]✔[/]" if objective.passed else "[red]✘[/]"
        markup.append(f"  {mark} {escape(objective.sentence)}  [dim]{escape(_measured(objective))}[/]")
    adversary, data, workload = result.adversary, result.data, result.workload
    markup += [
        f"  Adversary: {adversary.successes} of {adversary.attempts} tries succeeded.",
        f"  Data: {data.verified} of {data.objects} objects verified, "
        f"{data.lost} lost, {data.on_old_key} on the old key.",
        f"  Service: {workload.failures} of {workload.requests} requests failed, "
        f"{workload.downtime_seconds:.1f} s down.",
        f"  Report: {escape(result.report_path)}",
        f"  Result: {escape(str(folder / 'result.json'))}",
    ]
    return [Text.from_markup(each) for each in markup]


def _measured(objective: ObjectiveResult) -> str:
    """The figure, or why there is none."""
    if objective.measured is None or not objective.passed:
        return objective.note
    return f"{objective.measured:.2f}".rstrip("0").rstrip(".")
