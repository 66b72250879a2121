"""Settings: one YAML file that names connections, detectors, messengers and the policy; secrets only by reference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playbooks.errors import InvalidInput

DEFAULT_PLACES = (Path("keyquell.yaml"), Path("~/.config/keyquell/keyquell.yaml").expanduser())


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Policy(_Section):
    """How much proof is enough and who need not be asked.

    A probe is repeated ``probe_times`` times over at least ``probe_window_seconds``; all must be refused.
    """

    probe_times: int = Field(default=3, ge=1)
    probe_window_seconds: float = Field(default=0.4, ge=0)
    containment_deadline_seconds: float = Field(default=30.0, gt=0, description="Probing goes on this long at most.")
    retries: int = Field(default=4, ge=0, description="Per step, for errors that may pass by themselves.")
    retry_delay_seconds: float = Field(default=0.5, gt=0, description="Doubles with each retry.")
    shards: int = Field(default=4, ge=1, description="Parts of a dataset that are rewritten side by side.")
    poll_seconds: float = Field(default=0.25, gt=0)


class Exercise(_Section):
    """Present only in a drill: every incident opened here is an exercise and is marked so."""

    scenario: str


class Settings(_Section):
    """The whole of keyquell.yaml.  Relative paths are relative to the file."""

    source: Path
    state: Path
    records: str = ""
    estate: Path
    connections: dict[str, dict[str, Any]] = Field(default_factory=dict)
    detectors: tuple[dict[str, Any], ...] = ()
    messengers: tuple[dict[str, Any], ...] = ()
    policy: Policy = Policy()
    exercise: Exercise | None = None

    @property
    def records_url(self) -> str:
        """SQLAlchemy URL of the record."""
        return self.records or f"sqlite:///{self.state / 'records.db'}"


def load_settings(path: Path | None = None) -> Settings:
    """Read keyquell.yaml: the given path, else $KEYQUELL_CONFIG, else the default places.

    Raises InvalidInput that names the file and the field.
    """
    place = _find(path)
    try:
        document = yaml.safe_load(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"the settings {place} cannot be read ({error.strerror}).") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{place} is not valid YAML: {error}.") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{place} must be a mapping with the fields state, estate and connections.")
    try:
        settings = Settings.model_validate({**document, "source": place})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"{place}: {field}: {first['msg']}.", hint="See docs/configuration.md for every field."
        ) from error
    base = place.parent
    return settings.model_copy(update={"state": base / settings.state, "estate": base / settings.estate})


def _find(path: Path | None) -> Path:
    if path is None and os.environ.get("KEYQUELL_CONFIG"):
        path = Path(os.environ["KEYQUELL_CONFIG"])
    if path is not None:
        if not path.exists():
            raise InvalidInput(f"there is no settings file {path}.", hint="Give it with --config or KEYQUELL_CONFIG.")
        return path.resolve()
    for place in DEFAULT_PLACES:
        if place.exists():
            return place.resolve()
    raise InvalidInput(
        "no keyquell.yaml was found here or in ~/.config/keyquell.",
        hint="Give one with --config, or run `keyquell drill run`, which needs none.",
    )
