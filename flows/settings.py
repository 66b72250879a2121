"""Settings: one YAML file that names connections, detectors, messengers and the policy; secrets only by reference."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from playbooks.deadlines.days_off import known_place
from playbooks.deadlines.rules import known_zone
from playbooks.errors import InvalidInput
from playbooks.refs import KeyRef
from playbooks.yaml_lines import Document, load_yaml

DEFAULT_PLACES = (Path("keyquell.yaml"), Path("~/.config/keyquell/keyquell.yaml").expanduser())

_WITH_PATHS = ("records", "connections", "detectors", "messengers", "slack", "pagers", "siem", "traces", "anchors")


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
    correlation_minutes: float = Field(
        default=60, gt=0, description="Findings about one thing within this time strengthen one another."
    )
    page_from: Literal["low", "medium", "high", "critical"] = Field(
        default="medium", description="Cases of this severity or graver call people."
    )
    page_exercises: bool = Field(default=False, description="Whether an exercise calls people too.")
    link_minutes: float = Field(default=5, gt=0, description="How long a link to approve or to enrol is good.")


class Oidc(_Section):
    """The client as it is registered at the identity provider; the browser returns to ``{web.url}/sign-in/oidc/back``.

    ``claim`` must equal one person's e-mail address in the roster when it is ``email``, else one person's name.
    """

    issuer: str = Field(pattern=r"^https?://\S+$", description="Exactly as its discovery document has it.")
    client_id: str
    client_secret: str = Field(pattern="^(env|file):", description="Reference to the secret, never the secret.")
    claim: str = "email"
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    label: str = Field(default="your company account", description="What the button calls it.")


class Web(_Section):
    """The web page: passkeys, webhooks, health.  ``url`` is how browsers reach it; passkeys are bound to its host."""

    address: str = "127.0.0.1"
    port: int = Field(default=8750, ge=0, le=65535, description="0 takes a free port.")
    url: str = Field(default="http://localhost:8750", pattern=r"^https?://[^/\s]+$", description="Without a path.")
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Addresses of reverse proxies whose X-Forwarded-For is believed."
    )
    session_hours: float = Field(default=12, gt=0, description="How long somebody stays signed in.")
    metrics_token: str | None = Field(
        default=None,
        pattern="^(env|file):",
        description="Reference to the token with which a collector reads /metrics.",
    )
    api_token: str | None = Field(
        default=None,
        pattern="^(env|file):",
        description="Reference to the token with which a program reads /api/v1.",
    )
    oidc: Oidc | None = Field(default=None, description="Sign-in by OpenID Connect, beside passkeys.")

    @property
    def host(self) -> str:
        """The host name to which passkeys are bound (the relying party's id)."""
        return urlsplit(self.url).hostname or "localhost"


class Deadlines(_Section):
    """Which regimes apply to this organisation (none by itself), and where it counts its days."""

    applies: tuple[str, ...] = Field(default=(), description="Regimes, as `keyquell deadline rules` names them.")
    rules: Path | None = Field(default=None, description="The organisation's own file of rules, instead of ours.")
    country: Annotated[str, AfterValidator(known_place)] = Field(
        default="", description="Whose public holidays count: DE, or DE-BY for a part of it."
    )
    timezone: Annotated[str, AfterValidator(known_zone)] = Field(default="UTC", min_length=1)


class Evidence(_Section):
    """Who signs checkpoints and packs.  A key that does not answer is never replaced by another one."""

    signer: KeyRef | None = Field(default=None, description="A key of a backend; none: the installation's own.")


class Exercise(_Section):
    """Present only in a drill: every incident opened here is an exercise and is marked so.

    ``virtual_time``: it is played on a clock that is set, so that its times are in no figure of real time.
    """

    scenario: str
    virtual_time: bool = False


class Settings(_Section):
    """The whole of keyquell.yaml.

    ``state`` and ``estate`` are relative to the file; so is any other path that begins with ``./`` or ``../``, also
    in a reference (``file:./pin``) or a database URL (``sqlite:///./records.db``).
    """

    source: Path
    state: Path
    records: str = ""
    estate: Path
    connections: dict[str, dict[str, Any]] = Field(default_factory=dict)
    detectors: tuple[dict[str, Any], ...] = ()
    messengers: tuple[dict[str, Any], ...] = ()
    roster: Path | None = Field(default=None, description="Who may do what; without it names count as given.")
    slack: dict[str, Any] = Field(default_factory=dict)
    pagers: tuple[dict[str, Any], ...] = ()
    siem: tuple[dict[str, Any], ...] = Field(default=(), description="Where findings go, for other systems.")
    traces: dict[str, Any] = Field(default_factory=dict, description="Where traces go; empty: nowhere.")
    evidence: Evidence = Evidence()
    anchors: tuple[dict[str, Any], ...] = Field(default=(), description="Where checkpoints lie off this host.")
    web: Web = Web()
    policy: Policy = Policy()
    deadlines: Deadlines = Deadlines()
    exercise: Exercise | None = None

    @property
    def records_url(self) -> str:
        """SQLAlchemy URL of the record."""
        return self.records or f"sqlite:///{self.state / 'records.db'}"


def name_of(entry: Mapping[str, Any]) -> str:
    """The name of an entry of the settings: its own, else its type."""
    return str(entry.get("name", entry.get("type")))


def load_settings(path: Path | None = None) -> Settings:
    """Read keyquell.yaml: the given path, else $KEYQUELL_CONFIG, else the default places.

    Raises InvalidInput that names the file and the field.
    """
    place = _find(path)
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the settings {place} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the settings {place} are not text in UTF-8.") from error
    document = load_yaml(text, file=str(place))
    if not isinstance(document.data, dict):
        raise InvalidInput(f"{place} must be a mapping with the fields state, estate and connections.")
    try:
        settings = Settings.model_validate({**document.data, "source": place})
    except ValidationError as error:
        hint = "See docs/configuration.md for every field."
        raise InvalidInput(first_mistake(error, document, file=place), hint=hint) from error
    base = place.parent
    anchored = {name: _anchored(getattr(settings, name), base) for name in _WITH_PATHS}
    if settings.roster is not None:
        anchored["roster"] = base / settings.roster
    if settings.deadlines.rules is not None:
        anchored["deadlines"] = settings.deadlines.model_copy(update={"rules": base / settings.deadlines.rules})
    return settings.model_copy(update={"state": base / settings.state, "estate": base / settings.estate, **anchored})


def first_mistake(error: ValidationError, document: Document, *, file: Path) -> str:
    """``file:line: field: what was expected``; the value is not repeated, because it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = tuple(first["loc"])
    where = f"{file}:{document.position(path)[0]}" if document.values else str(file)
    message = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
    field = ".".join(str(part) for part in path) or "the document"
    return f"{where}: {field}: {message.removeprefix('Value error, ')}."


def _anchored(value: Any, base: Path) -> Any:
    """The same value with every path that begins with a dot made absolute."""
    if isinstance(value, dict):
        return {name: _anchored(each, base) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_anchored(each, base) for each in value)
    if not isinstance(value, str):
        return value
    for prefix in ("sqlite:///", "file:", ""):
        place = value.removeprefix(prefix)
        if value.startswith(prefix) and place.startswith(("./", "../")):
            return f"{prefix}{(base / place).resolve()}"
    return value


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
