"""A scheduled drill as a Prefect flow: it runs the same command a person would."""

from __future__ import annotations

import asyncio

from prefect import flow

from playbooks.errors import KeyquellError


class DrillFailed(KeyquellError):
    """A scheduled drill did not pass; its report says why."""


@flow(name="drill", flow_run_name="{scenario}", persist_result=False)
async def scheduled_drill(command: list[str], scenario: str) -> None:
    """Run one drill in a process of its own.  Raises DrillFailed when it does not pass."""
    process = await asyncio.create_subprocess_exec(*command, scenario, stdin=asyncio.subprocess.DEVNULL)
    if await process.wait() != 0:
        raise DrillFailed(f"the drill {scenario} did not pass.", hint="See the newest report in the drills folder.")
