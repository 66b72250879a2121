"""Every scenario end to end on real servers: the attacker is stopped, the data is whole, the claim is honest."""

import json
from pathlib import Path

import pytest

from simulations.harness import Drill, run_drill
from simulations.results import DrillResult
from simulations.scenario import load, scenarios

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def home(prefect_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of this machine; its Prefect server is up already."""
    monkeypatch.setenv("KEYQUELL_HOME", str(prefect_home))


def run(name: str, tmp_path: Path, **backends: str) -> DrillResult:
    output = tmp_path / "out"
    result = run_drill(Drill(load(name), seed=20260301, output=output, backends=backends))
    assert json.loads((output / "result.json").read_text()) == json.loads(result.model_dump_json())
    return result


def faults(result: DrillResult) -> dict[str, str]:
    return {objective.id: objective.note for objective in result.objectives if not objective.passed}


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_is_answered(name: str, tmp_path: Path) -> None:
    """Valid; contained no earlier claimed than true; nothing lost, nothing under the old key; the record verifies."""
    result = run(name, tmp_path)
    assert result.valid, faults(result)
    claimed, true = result.timings.contained_claimed_at, result.timings.contained_true_at
    assert claimed is not None, faults(result)
    assert true is not None, faults(result)
    assert true <= claimed
    assert (result.data.lost, result.data.on_old_key) == (0, 0)
    assert result.data.verified == result.data.objects > 0
    assert result.record.verified
    assert result.timings.closed_at is not None


def test_a_lying_backend_ends_not_contained(tmp_path: Path) -> None:
    """moto acknowledges every containing call and goes on decrypting: the drill is valid, fails, and claims nothing."""
    result = run("kms-credential-leak", tmp_path, kms="moto")
    assert result.valid, faults(result)
    assert not result.passed
    assert result.timings.contained_claimed_at is None
    assert "not contained" in faults(result)["true-containment"]
    assert result.data.lost == 0
