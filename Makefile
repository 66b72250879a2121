.PHONY: help setup drill test lint bench pictures clean
.DEFAULT_GOAL := help

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup:  ## make .venv and install the software HSM, once
	@.ci/setup.sh

drill: setup  ## run the drill kms-credential-leak on real servers on this machine
	@.venv/bin/keyquell drill run kms-credential-leak

test:  ## lint, types, import contracts and all tests
	@.ci/setup.sh test
	@.ci/test.sh

lint: setup  ## lint, types and import contracts alone
	@.ci/test.sh lint

bench: setup  ## measure against the bare clients and print the ratios
	@.venv/bin/python -m bench

pictures: setup  ## take the pictures of the web page in docs/images anew (Chromium)
	@.venv/bin/python -m pytest tests/console/web/pictures.py

clean:  ## remove .venv and caches; records and reports stay
	@rm -rf .venv .mypy_cache .ruff_cache .hypothesis .import_linter_cache .pytest_cache dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
