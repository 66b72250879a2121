"""A drill in a process of its own: ``python drill_child.py SCENARIO ROOT OUTPUT``, small and with a root of its own.

Runs through the real command, so that signals, exit codes and sentences are those of ``keyquell drill run``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from console.main import main
from simulations import harness

if __name__ == "__main__":
    scenario, root, output = sys.argv[1:]
    harness.lab_root = lambda: Path(root)
    main(["drill", "run", scenario, "--seed", "7", "--output", output])
