"""Commands of the installation: serve and doctor."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from console.output import Common, ExitCode, people, show


def serve(
    *,
    until_closed: Annotated[bool, Parameter(help="End when the first response has ended.", negative="")] = False,
    common: Common = Common(),
) -> int:
    """Serve the web page and the chat, watch the detectors, respond, and run scheduled drills, until stopped."""
    from console.web.services import services
    from flows.serve import serve as run
    from flows.settings import load_settings

    console = people()
    command = [sys.executable, "-m", "console.main", "drill", "run"]
    ended = run(
        load_settings(common.config).source,
        say=lambda sentence: console.print(sentence, markup=False, soft_wrap=True),
        until_closed=until_closed,
        drill_command=command,
        services=services,
    )
    return ExitCode.OK if ended in ("", "closed") else ExitCode.FAILED


def doctor(*, common: Common = Common()) -> int:
    """Check settings, estate, every connection and this machine, and say what to do about each fault."""
    from flows.doctor import examine

    findings = examine(common.config)
    lines = [
        Text.assemble(("✔ ", "green") if each.ok else ("✘ ", "red"), each.what, (f"  {each.advice}", "dim"))
        for each in findings
    ]
    faults = sum(not each.ok for each in findings)
    lines.append(Text(f"{faults} of {len(findings)} checks need a look." if faults else "Ready to respond."))
    data = [{"what": each.what, "ok": each.ok, "advice": each.advice} for each in findings]
    show(common, {"healthy": all(each.ok for each in findings), "findings": data}, *lines)
    return ExitCode.OK if all(each.ok for each in findings) else ExitCode.FAILED
