"""The folders of a lab and the files in them: settings, estate, services' folders, configurations, seeded data.

``response/`` is all that the responder is given; ``service/`` is the service's own; ``services/`` is the configuration
channel between them; ``adversary/`` is where the loot will appear.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from integrations.fingerprints import installation_key, keyed
from integrations.secrets import read_secret, write_secret
from playbooks.errors import Unreachable
from playbooks.estate import Estate
from playbooks.exposures import Fingerprint
from simulations.adapters import Adapters
from simulations.bystanders import BystanderConfig
from simulations.environments import Environment, Site
from simulations.environments.table import row_of
from simulations.journals import AdversaryConfig, Loot, Target, WorkloadConfig, WorkloadDataset
from simulations.seed import object_ids, plaintext
from simulations.techniques.stolen import copy_object

_PROOF_SECONDS = 8.0
"""So long a drill's response tries to prove a containing move, before it says that it is not contained."""

_PATIENTLY = retry(
    retry=retry_if_exception_type(Unreachable), stop=stop_after_delay(30), wait=wait_fixed(1), reraise=True
)
Connections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Desk:
    """The folders of one lab, made when this is laid out."""

    site: Site
    response: Path
    service: Path
    services: Path
    adversary: Path
    data: Path

    @classmethod
    def lay_out(cls, site: Site) -> Desk:
        """Make the folders; those that hold secrets are for the user alone."""
        names = ("response", "service", "services", "adversary", "data")
        made = {name: site.directory / name for name in names}
        for name, path in made.items():
            path.mkdir(mode=0o755 if name in ("services", "data") else 0o700)
        (site.directory / "findings").mkdir()
        return cls(site, **made)

    @property
    def state(self) -> Path:
        """The responder's state folder."""
        return self.response / "state"

    @property
    def adversary_journal(self) -> Path:
        """Where the adversary writes down its attempts."""
        return self.adversary / "adversary.ndjson"

    @property
    def workload_journal(self) -> Path:
        """Where the service's requests are written down."""
        return self.service / "workload.ndjson"

    @property
    def loot_file(self) -> Path:
        """Where the leaked thing appears at detonation."""
        return self.adversary / "loot.json"

    @property
    def findings(self) -> Path:
        """The folder in which the world's secret scanner leaves its findings."""
        return self.site.directory / "findings"

    def keyed_fingerprint(self, secret: str) -> Fingerprint:
        """The fingerprint of a low-entropy secret under this installation's own key, which is made when missing."""
        return keyed(secret, installation_key(self.installation_key))

    @property
    def installation_key(self) -> Path:
        """The file with the key of keyed fingerprints."""
        return self.state / "installation.key"

    def trufflehog(self) -> dict[str, Any]:
        """The detector that reads the scanner's findings."""
        return {
            "type": "trufflehog",
            "name": "scanner",
            "folder": str(self.findings),
            "key_file": str(self.installation_key),
        }

    @property
    def documents(self) -> dict[str, Any]:
        """The connection to the folder of the data."""
        return {"type": "files", "root": str(self.data)}

    @property
    def channel(self) -> dict[str, Any]:
        """The connection to the services' configuration."""
        return {"type": "config-dir", "root": str(self.services)}

    def stolen_files(self, folder: str, number: int) -> list[Target]:
        """What a thief keeps of the first files of a folder of the data."""
        files = sorted(path for path in (self.data / folder).iterdir() if path.is_file())[:number]
        return [copy_object(f"files:docs/{folder}/{path.name}", path.read_bytes()) for path in files]

    def secret_copy(self, folder: Path, name: str, original: str) -> str:
        """Copy a secret into a file of its own (mode 0600) and return the reference."""
        reference = f"file:{folder / name}"
        write_secret(reference, read_secret(original))
        return reference

    def consumer(self, name: str, values: Mapping[str, str] | None = None) -> Path:
        """A service's configuration folder with its first settings."""
        folder = self.services / name
        folder.mkdir()
        (folder / "settings.json").write_text(json.dumps(dict(values or {}), indent=1), encoding="utf-8")
        return folder

    def write_settings(
        self, *, connections: Connections, detectors: Sequence[Mapping[str, Any]], estate: Estate
    ) -> Path:
        """Write ``keyquell.yaml`` and its estate; returns the path of the former."""
        document = {
            "state": str(self.state),
            "estate": "estate.yaml",
            "connections": {name: dict(options) for name, options in connections.items()},
            "detectors": [dict(detector) for detector in detectors],
            "messengers": [{"type": "file", "root": str(self.response / "outbox")}],
            "policy": {"containment_deadline_seconds": _PROOF_SECONDS},
            "web": {"port": 0},
            "exercise": {"scenario": self.site.scenario.name},
        }
        (self.response / "outbox").mkdir()
        self.state.mkdir(exist_ok=True)
        inventory = estate.model_dump(mode="json", exclude_defaults=True)
        (self.response / "estate.yaml").write_text(yaml.safe_dump({"version": 1, **inventory}), encoding="utf-8")
        path = self.response / "keyquell.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path

    def workload(
        self,
        kind: Literal["data-service", "signing-service"],
        consumer: str,
        *,
        settings: Path,
        credential_file: Path,
        connections: Connections,
        **of_its_kind: Any,
    ) -> WorkloadConfig:
        """The service at the rates of the scenario; ``of_its_kind`` is what only services of this kind have."""
        part = self.site.scenario.workload
        return WorkloadConfig(
            kind=kind,
            consumer=consumer,
            seed=self.site.seed,
            rate_per_second=part.rate_per_second,
            write_share=part.write_share,
            journal=self.workload_journal,
            settings=settings,
            credential_file=credential_file,
            connections={name: dict(options) for name, options in connections.items()},
            **of_its_kind,
        )

    def attack(self, **of_its_technique: Any) -> AdversaryConfig:
        """The attacker with the technique and at the rate of the scenario."""
        part = self.site.scenario.adversary
        return AdversaryConfig(
            technique=part.technique,
            loot=self.loot_file,
            journal=self.adversary_journal,
            rate_per_second=part.rate_per_second,
            **of_its_technique,
        )

    def write_bystanders(self, config: BystanderConfig) -> Path:
        """Write what the services beside the workload do; returns its path."""
        return _write(self.service / "bystanders.json", config.model_dump_json(indent=1))

    def environment(
        self,
        *,
        config: Path,
        adversary: AdversaryConfig,
        workload: WorkloadConfig,
        loot: Loot,
        connections: Connections,
        **more: Any,
    ) -> Environment:
        """The lab as it stands: both parties' configurations are written, the loot is not; ``more`` as there."""
        attacker = adversary.model_dump_json(indent=1, exclude_defaults=True)
        return Environment(
            config=config,
            adversary=_write(self.adversary / "adversary.json", attacker),
            adversary_journal=self.adversary_journal,
            workload=_write(self.service / "workload.json", workload.model_dump_json(indent=1)),
            workload_journal=self.workload_journal,
            loot_file=self.loot_file,
            loot=loot,
            connections=connections,
            **more,
        )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def seed_datasets(site: Site, datasets: Sequence[WorkloadDataset], connections: Connections) -> None:
    """Write version 0 of every object under its real key, as the owner of these connections.

    A server that has just started may be slow to answer, and is asked again for a while.  Raises the adapters' errors
    when a key or a store does not take it.
    """
    with Adapters(connections, clock=site.clock) as adapters:
        for dataset in datasets:
            store = adapters.find("data", dataset.ref.scheme, dataset.ref.connection)

            @_PATIENTLY
            def write(object_id: str, dataset: WorkloadDataset = dataset, store: Any = store) -> None:
                content = plaintext(site.seed, str(dataset.ref), object_id)
                name = row_of(object_id) if dataset.ref.scheme == "postgres" else object_id
                store.write(dataset.ref, name, content, key=dataset.key, keys=adapters.keys)

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(write, object_ids(dataset.objects)))


def in_parallel(*starts: Callable[[], Any]) -> list[Any]:
    """Run these side by side and return what they return, in order; the first failure is raised after all ended."""
    with ThreadPoolExecutor(len(starts)) as pool:
        futures = [pool.submit(start) for start in starts]
    return [future.result() for future in futures]
