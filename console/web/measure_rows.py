"""The rows of the metrics page: each measure and each phase with its sentence and its pictures, drills beside real."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from console.web.plots import Plot, Scale, draw_pool
from playbooks.metrics.measure import WORDS, MeasureName
from playbooks.metrics.pooling import Pool, pooled, pooled_phase
from playbooks.metrics.reading import read_aloud
from playbooks.plans import Phase
from playbooks.summary import Summary

TITLES = {
    MeasureName.DWELL: "Dwell",
    MeasureName.DETECT: "Detect",
    MeasureName.ACKNOWLEDGE: "Acknowledge",
    MeasureName.CONTAIN: "Contain",
    MeasureName.REVOKE_ACCEPTED: "Revoke, accepted",
    MeasureName.REVOKE_PROVEN: "Revoke, proven",
    MeasureName.EXPOSURE_WINDOW: "Exposure window",
    MeasureName.RESIDUAL_EXPOSURE: "Residual exposure",
    MeasureName.RESTORE: "Restore",
    MeasureName.DOWNTIME: "Downtime caused",
}
_UNIT = re.compile(r"(\d) (?=(?:%|ms|s|min|h|d)(?!\w))")
PHASES = {
    Phase.CONTAIN: "Contain",
    Phase.RENEW: "Renew",
    Phase.REENCRYPT: "Re-encrypt",
    Phase.REVOKE: "Revoke",
    Phase.VERIFY: "Verify",
    Phase.NOTIFY: "Notify",
    Phase.RETIRE: "Retire",
    Phase.REVIEW: "Review",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Exercises or real cases of one row; ``plot`` is None where there is nothing to draw."""

    mark: str
    title: str
    pool: Pool
    sentence: str
    plot: Plot | None


@dataclass(frozen=True, slots=True)
class Row:
    """A measure or a phase: what it is, and its two cells, which are never pooled."""

    mark: str
    title: str
    words: str
    cells: tuple[Cell, Cell]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the visitor asked for; "" is all."""

    kind: str = ""
    key_class: str = ""
    phase: Phase | None = None

    def of(self, cases: Iterable[Summary]) -> list[Summary]:
        """The cases of this kind of exposure with a target of this class of key or credential."""
        return [
            each
            for each in cases
            if (not self.kind or self.kind in each.exposures)
            and (not self.key_class or self.key_class in classes(each))
        ]


def classes(case: Summary) -> Collection[str]:
    """The schemes of what was exposed: ``aws-kms``, ``pkcs11`` …"""
    return {target.partition(":")[0] for target in case.targets}


def glued(sentence: str) -> str:
    """The same with numbers that no line break parts from their unit."""
    return _UNIT.sub("\\1\u00a0", sentence)


def measure_rows(cases: Sequence[Summary], choice: Choice, *, now: datetime) -> tuple[list[Row], list[Row], list[Row]]:
    """The rows of the measures, those of the phases, and those that no case has a figure for."""
    phases = [choice.phase] if choice.phase else list(Phase)
    measures = [] if choice.phase else list(MeasureName)
    found = [_two(pooled, each, cases, now) for each in measures]
    parts = [_two(pooled_phase, each, cases, now) for each in phases]
    scale = Scale.over(pool for pair in (*found, *parts) for pool in pair)
    rows = [
        _row(f"m-{name}", TITLES[name], WORDS[name], pair, scale) for name, pair in zip(measures, found, strict=True)
    ]
    steps = [_row(f"p-{name}", PHASES[name], "", pair, scale) for name, pair in zip(phases, parts, strict=True)]
    empty = [each for each in (*rows, *steps) if not _drawn(each)]
    return [each for each in rows if _drawn(each)], [each for each in steps if _drawn(each)], empty


def _two(
    work: Callable[..., Pool], name: MeasureName | Phase, cases: Sequence[Summary], now: datetime
) -> tuple[Pool, Pool]:
    return work(cases, name, exercise=False, now=now), work(cases, name, exercise=True, now=now)


def _row(mark: str, title: str, words: str, pair: tuple[Pool, Pool], scale: Scale) -> Row:
    real, drills = pair
    cells = (_cell(f"{mark}-real", "Real cases", real, scale), _cell(f"{mark}-drill", "Exercises", drills, scale))
    return Row(mark, title, words, cells)


def _cell(mark: str, title: str, pool: Pool, scale: Scale) -> Cell:
    return Cell(mark, title, pool, glued(read_aloud(pool)), draw_pool(pool, scale) if pool.points else None)


def _drawn(row: Row) -> bool:
    return any(each.plot for each in row.cells)
