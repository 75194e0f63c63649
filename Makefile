# Needs Python 3.11 or newer with venv, and make. `make` alone lists the targets.

PYTHON ?= python3
BIN := .venv/bin
# Runs a program as in an activated environment: what it starts by name comes from there too.
RUN := exec env PATH="$(CURDIR)/$(BIN):$$PATH"
INSTALL := $(PYTHON) requirements/install.py
UV_COMPILE := $(BIN)/uv --no-config pip compile setup.cfg --universal --python-version 3.11 \
	--generate-hashes --custom-compile-command "make lock" --system-certs --quiet $(if $(UPGRADE),--upgrade)

export FLASK_APP := wsgi

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench migrate lock venv hooks image clean
MAKEFLAGS += --no-builtin-rules --no-print-directory

help: ## list the targets
	@echo "make TARGET [VARIABLE=value]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start everything on this machine, until Ctrl-C (PORT=8000 FLOWER_PORT=5555)
	@$(INSTALL) embedded
	@$(RUN) flask up

test: ## run the tests with coverage; ARGS="tests/test_x.py -k name" runs some, without it
	@$(INSTALL) test
	@$(RUN) python -m pytest $(if $(ARGS),$(ARGS),-n 2 --dist worksteal --cov)

lint: ## check style, types, the import rules and the migrations
	@$(INSTALL) dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m migrations.lint

format: ## put the code into the house style
	@$(INSTALL) dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: ## compare with the floor program; NAME=users runs one benchmark
	@$(INSTALL) test
	@$(RUN) python -m bench $(NAME)

migrate: ## bring the control plane of OPS_DATABASE_URL to head
	@$(INSTALL) production
	@$(RUN) flask control upgrade

# The largest first: the others take their versions from it.
lock: ## write requirements/*.txt from setup.cfg; UPGRADE=1 takes the newest versions
	@$(INSTALL) dev
	$(UV_COMPILE) --extra embedded --extra test --extra dev --output-file requirements/dev.txt
	$(UV_COMPILE) --extra embedded --extra test --constraint requirements/dev.txt --output-file requirements/test.txt
	$(UV_COMPILE) --extra embedded --constraint requirements/dev.txt --output-file requirements/embedded.txt
	$(UV_COMPILE) --constraint requirements/dev.txt --output-file requirements/production.txt
	@rm -rf todo_backend.egg-info

venv: ## install all that development needs into .venv
	@$(INSTALL) dev

hooks: venv ## check each commit before it is made
	$(BIN)/pre-commit install

image: ## build the container image todo-backend
	docker build --tag todo-backend .

clean: ## remove .venv and all caches; data under var/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf .coverage .coverage.* htmlcov build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
