"""Lab recipes: each brings up the servers of one scenario, makes keys, identities and data, and writes the settings.

``build`` finds the recipe by name.  What the response gets is ``keyquell.yaml`` with its estate and the recovery
identity's credentials; the adversary gets its loot at detonation; neither hears of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from playbooks.errors import InvalidInput
from playbooks.ports import Clock
from playbooks.refs import KeyRef
from simulations.journals import Loot, WorkloadDataset
from simulations.lab.processes import Processes
from simulations.scenario import Scenario

RECIPES: dict[str, str] = {
    "kms-credential-leak": "simulations.environments.kms_credential_leak:build",
    "hsm-pin-leak": "simulations.environments.hsm_pin_leak:build",
    "transit-key-exported": "simulations.environments.transit_key_exported:build",
    "signing-key-leak": "simulations.environments.signing_key_leak:build",
}
"""Recipe → ``module:function``, imported only where it is used."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where an environment is built, and for what."""

    directory: Path
    scenario: Scenario
    seed: int
    processes: Processes
    clock: Clock


@dataclass(frozen=True, slots=True)
class Environment:
    """A lab that is up.

    ``connections`` are the recovery identity's, for the verification after the run.  ``finding`` is a line that the
    world's secret scanner writes to ``finding_file`` some time after the leak; empty when there is no scanner.
    """

    config: Path
    adversary: Path
    adversary_journal: Path
    workload: Path
    workload_journal: Path
    loot_file: Path
    loot: Loot = field(repr=False)
    connections: Mapping[str, Mapping[str, Any]] = field(repr=False)
    datasets: tuple[WorkloadDataset, ...] = ()
    signer: Path | None = None
    signing_key: KeyRef | None = None
    consumer_settings: Path | None = None
    bystanders: Path | None = None
    finding: str = field(default="", repr=False)
    finding_file: Path | None = None


def build(site: Site) -> Environment:
    """Build the environment of a scenario's recipe.

    Raises InvalidInput for an unknown recipe, LabError when a server does not come up.
    """
    name = site.scenario.environment.recipe
    if name not in RECIPES:
        raise InvalidInput(f"there is no lab recipe {name!r}.", hint=f"Known: {', '.join(sorted(RECIPES))}.")
    module, _, function = RECIPES[name].partition(":")
    make: Callable[[Site], Environment] = getattr(import_module(module), function)
    return make(site)
