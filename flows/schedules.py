"""Drill schedules: kept as one YAML file in the home folder, turned into Prefect cron deployments by ``serve``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import available_timezones

import yaml
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from integrations.secrets import write_secret
from playbooks.errors import InvalidInput


class DrillSchedule(BaseModel):
    """One scenario, when it runs (cron, five fields) and in which time zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    cron: str
    timezone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, value: str) -> str:
        message = f"{value!r} is not a cron expression; write five fields, like '0 6 * * 1'"
        if len(value.split()) != 5:  # cronsim 2.7 takes a sixth for seconds, which a drill has no use for
            raise ValueError(message)
        try:
            CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(message) from error
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not an IANA time zone; write for example Europe/Berlin")
        return value


def parse_schedule(*, scenario: str, cron: str, timezone: str) -> DrillSchedule:
    """A schedule from a person's words; InvalidInput names what is wrong."""
    try:
        return DrillSchedule(scenario=scenario, cron=cron, timezone=timezone)
    except ValidationError as error:
        raise InvalidInput(str(error.errors()[0]["msg"]).removeprefix("Value error, ") + ".") from error


def schedules(home: Path) -> list[DrillSchedule]:
    """The stored schedules; InvalidInput when the file is damaged."""
    place = _place(home)
    if not place.exists():
        return []
    try:
        return [DrillSchedule.model_validate(each) for each in yaml.safe_load(place.read_text("utf-8")) or []]
    except (yaml.YAMLError, ValidationError) as error:
        hint = "Correct it, or delete it and schedule again."
        raise InvalidInput(f"{place} cannot be understood.", hint=hint) from error


def add_schedule(home: Path, schedule: DrillSchedule) -> list[DrillSchedule]:
    """Store a schedule, replacing the one of the same scenario; synced when it returns."""
    kept = [each for each in schedules(home) if each.scenario != schedule.scenario]
    return _store(home, [*kept, schedule])


def remove_schedule(home: Path, scenario: str) -> list[DrillSchedule]:
    """Forget a scenario's schedule; InvalidInput when there is none."""
    found = schedules(home)
    if all(each.scenario != scenario for each in found):
        raise InvalidInput(f"{scenario} is not scheduled.", hint="`keyquell drill schedule` lists what is.")
    return _store(home, [each for each in found if each.scenario != scenario])


def _store(home: Path, found: list[DrillSchedule]) -> list[DrillSchedule]:
    home.mkdir(parents=True, exist_ok=True)
    write_secret(f"file:{_place(home)}", yaml.safe_dump([each.model_dump() for each in found], sort_keys=False))
    return found


def _place(home: Path) -> Path:
    return home / "schedules.yaml"
