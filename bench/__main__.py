"""Runs every benchmark in a process of its own and prints the ratios: ``python -m bench [--json] [NAME …]``.

A benchmark is a module here with ``run() -> dict`` (name, ours, reference, ratio, target, unit); ``ratio`` is larger
when ours is better and is met from ``target`` on.  Instead of a ratio a benchmark may have a ``limit``: then ``ours``
must stay below it.  The exit code is 1 only when a benchmark crashed: a shared machine may miss a target.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
_SECONDS = 1800
_CHILD = (
    "import importlib, json, sys\n"
    "result = importlib.import_module(sys.argv[1]).run()\n"
    "print('\\nbench-result ' + json.dumps(result))\n"
)


def names() -> list[str]:
    """The benchmarks, in the order of their names."""
    return sorted(each.stem for each in HERE.glob("*.py") if not each.stem.startswith("_"))


def measure(name: str) -> dict[str, Any]:
    """The result of one benchmark; ``{"crashed": why}`` when it did not end well."""
    command = [sys.executable, "-c", _CHILD, f"bench.{name}"]
    try:
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"name": name, "crashed": f"it did not end within {_SECONDS} s"}
    marked = [line for line in done.stdout.splitlines() if line.startswith("bench-result ")]
    if done.returncode or not marked:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:] or ["no result"]
        return {"name": name, "crashed": last[0]}
    result: dict[str, Any] = json.loads(marked[-1].removeprefix("bench-result "))
    return {**result, "met": met(result)}


def met(result: dict[str, Any]) -> bool:
    """Was the target reached?"""
    if "limit" in result:
        return bool(result["ours"] < result["limit"])
    return bool(result["ratio"] >= result["target"])


def table(results: list[dict[str, Any]]) -> Table:
    """One line a benchmark."""
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    shown.add_column("benchmark", overflow="fold", min_width=24)
    for column in ("ours", "bare", "unit", "ratio", "target"):
        shown.add_column(column, justify="left" if column == "unit" else "right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for each in results:
        if "crashed" in each:
            shown.add_row(f"{each['name']}: {each['crashed']}", *[""] * 5, "[red]crashed[/]")
            continue
        target = f"< {each['limit']:,.4g} {each['unit']}" if "limit" in each else f"≥ {each['target']:.2f}"
        verdict = "[green]met[/]" if each["met"] else "[yellow]missed[/]"
        ours, reference = (f"{each[side]:,.4g}" for side in ("ours", "reference"))
        shown.add_row(
            each["name"], ours, reference, each["unit"].replace(" per ", "/"), f"{each['ratio']:.2f}", target, verdict
        )
    return shown


def main(arguments: list[str]) -> int:
    """Measure the named benchmarks, or all, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition(":")[0] + ".")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names())}; all without a name")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.names) - set(names())):
        parser.error(f"there is no benchmark {', '.join(unknown)}. Known: {', '.join(names())}.")
    progress = Console(stderr=True)
    results = []
    for name in asked.names or names():
        progress.print(f"{name} …", style="dim")
        results.append(measure(name))
    if asked.json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(table(results))
    return 1 if any("crashed" in each for each in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
