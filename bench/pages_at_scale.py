"""The slowest page of the web with an inventory of a million keys and a record of ten thousand incidents.

Each page is asked for three times once the process is warm, as ``keyquell serve`` warms itself; the slowest page's
median is the figure, on SQLite and on PostgreSQL.  The reference is the smallest page.  What the first look after an
upgrade takes, and the memory, are told beside it.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL
from starlette.testclient import TestClient

from bench._history import key, write_estate, write_history
from console.web.app import create_app
from flows.background import Background
from flows.desk import ResponseDesk
from flows.settings import load_settings
from flows.warming import warm
from flows.wiring import Wiring
from playbooks.blast_radius import blast_radius
from playbooks.exposures import Exposure, ExposureKind
from simulations.lab.postgres import PostgresServer
from simulations.lab.processes import Processes

KEYS, INCIDENTS = 1_000_000, 10_000
LIMIT_SECONDS = 1.0
_ROUNDS = 3
_SMALLEST = "/healthz"
_PAGES = (
    "/", "/incidents", "/incidents?page=150", "/incidents/{case}", "/incidents/{case}/record",
    "/incidents/{case}/review", "/deadlines", "/measures", "/readiness", "/estate", "/estate?incident={case}",
    "/estate?exposed={key}", "/estate?q=folder-9+team", "/keys", "/keys?only=ownerless&page=900", "/usage", "/audit",
    "/audit?page=300", "/metrics", "/api/v1/incidents", "/api/v1/measures", "/api/v1/keys", "/api/v1/decisions",
)  # fmt: skip


def run(*, keys: int = KEYS, incidents: int = INCIDENTS) -> dict[str, Any]:
    """Seconds; ``pages`` has the median of each page by database, ``first_look`` the seconds of warming up."""
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        root = Path(folder)
        write_estate(root / "estate.json", keys=keys)
        urls = {"sqlite": f"sqlite:///{root}/records.db", "postgresql": _postgres(processes, root)}
        told = {name: _database(root, url, keys=keys, incidents=incidents) for name, url in urls.items()}
    every = {f"{name} {page}": seconds for name, each in told.items() for page, seconds in each["pages"].items()}
    slowest = max(every, key=lambda page: every[page])
    reference = min(every.values())
    return {
        "name": f"slowest page, {keys:,} keys, {incidents:,} incidents ({slowest})",
        "ours": every[slowest],
        "reference": reference,
        "ratio": reference / every[slowest],
        "target": 0.0,
        "limit": LIMIT_SECONDS,
        "unit": "s",
        **told,
    }


def _database(root: Path, url: str, *, keys: int, incidents: int) -> dict[str, Any]:
    events = write_history(url, incidents=incidents, keys=keys)
    config = root / "keyquell.yaml"
    config.write_text(json.dumps({"state": "./state", "estate": "./estate.json", "records": url}))
    first_look, pages, radius = _look(config, key(keys // 2))
    again, _, _ = _look(config, key(keys // 2), ask=False)
    return {
        "events": events,
        "first_look": first_look,
        "look_after_restart": again,
        "blast_radius": radius,
        "resident_mb": psutil.Process().memory_info().rss / 1e6,
        "pages": pages,
    }


def _look(config: Path, leaked: str, *, ask: bool = True) -> tuple[float, dict[str, float], float]:
    with Wiring.open(load_settings(config)) as wiring:
        begun = time.perf_counter()
        warm(wiring, threading.Event())
        background = Background(wiring)
        app = create_app(wiring, ResponseDesk(wiring, background), background)
        for look in app.state.slow:
            look()
        warmed = time.perf_counter() - begun
        if not ask:
            return warmed, {}, 0.0
        case = next(iter(wiring.records.heads()))
        asked = [_SMALLEST, *(page.format(case=case, key=leaked) for page in _PAGES)]
        with TestClient(app, base_url=wiring.settings.web.url, client=("127.0.0.1", 50_000)) as client:
            pages = {page: statistics.median(_seconds(client, page) for _ in range(_ROUNDS)) for page in asked}
        begun = time.perf_counter()
        blast_radius(wiring.estate, [Exposure(kind=ExposureKind.KEY_MATERIAL, target=leaked, confidence=1.0)])
        return warmed, pages, time.perf_counter() - begun


def _seconds(client: TestClient, page: str) -> float:
    begun = time.perf_counter()
    answer = client.get(page, headers={"accept": "text/html,application/json;q=0.9,*/*;q=0.8"})
    if answer.status_code != 200:
        raise RuntimeError(f"{page} answered {answer.status_code}: {answer.text[:200]}")
    return time.perf_counter() - begun


def _postgres(processes: Processes, root: Path) -> str:
    server = PostgresServer.start(processes, root / "postgres")
    server.create_database("records")
    login = conninfo_to_dict(server.admin_dsn_file.read_text().strip())
    made = URL.create(
        "postgresql",
        username=str(login["user"]),
        password=str(login["password"]),
        host=str(login["host"]),
        port=int(str(login["port"])),
        database="records",
    )
    return made.render_as_string(hide_password=False)
