"""A contained case, and settings that say who signs its checkpoints and where they are laid down."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from written_case import ID, START, Case

from flows.settings import load_settings
from flows.wiring import Wiring
from playbooks.record import Event, EventKind

GOES_ON = threading.Event()
SIGNER = {"signer": "pkcs11:token=kek-hsm;object=evidence"}


def configured(folder: Path, **settings: Any) -> Path:
    """A settings file with this beside the state and the estate."""
    config = folder / "keyquell.yaml"
    config.write_text(yaml.safe_dump({"state": "state", "estate": "estate.yaml", **settings}), encoding="utf-8")
    return config


def opened(config: Path) -> Wiring:
    """A composition root whose clock goes on by a second with each look."""
    moments = iter(START + timedelta(hours=1, seconds=number) for number in range(100_000))
    return Wiring.open(load_settings(config), clock=lambda: next(moments))


def contained(wiring: Wiring, *, exercise: bool = False) -> None:
    """A case from its opening to its containment."""
    case = Case(exercise=exercise)
    case.contained()
    case.write_to(wiring.records)


def of_kind(wiring: Wiring, kind: EventKind, incident: str = ID) -> list[Event]:
    """The case's events of this kind."""
    return wiring.records.of_kind(kind, incident=incident)
