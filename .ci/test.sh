#!/usr/bin/env bash
# Lint, types, import contracts, docstrings and tests, in this order; the first failure ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

if [ "${1:-all}" != tests ]; then
    step ruff check .
    step ruff format --check .
    step mypy
    step lint-imports
    step interrogate -q playbooks integrations flows simulations console
fi
[ "${1:-all}" = lint ] || step pytest -n "${TEST_PROCESSES:-2}" --dist loadgroup
