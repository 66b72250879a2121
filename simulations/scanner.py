"""The simulated scanner: it finds what leaked and writes its report, some while after the leak."""

from __future__ import annotations

import threading
from pathlib import Path

from simulations.lab.processes import LabError


class Scanner:
    """A report that appears ``after_seconds`` past ``start``; None for either means that nothing is ever found.

    After ``stop`` nothing is written any more, so that the lab can be removed, also when ``start`` was interrupted.
    """

    def __init__(self, report: Path | None, finding: str, *, after_seconds: float | None) -> None:
        self._report = report
        self._finding = finding
        self._after = after_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._find, name="scanner", daemon=True)
        self._fault = ""

    def start(self) -> None:
        """Begin to search."""
        self._thread.start()

    def stop(self) -> None:
        """Search no more; returns when the thread has ended.  Raises LabError when the report could not be written."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._fault:
            raise LabError(self._fault, hint="Is there room on the disk?")

    def _find(self) -> None:
        if self._report is None or self._after is None or self._stop.wait(self._after):
            return
        try:
            beside = self._report.with_name(f".{self._report.name}")
            beside.write_text(self._finding, encoding="utf-8")
            beside.replace(self._report)
        except OSError as error:
            self._fault = f"the finding could not be written ({error.strerror})."
