# make demo and make test do all set-up, in a virtual environment of the project's own.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
EXTRAS := simulation,board,data,cluster,report,speed,formal,development

.DEFAULT_GOAL := help
.PHONY: help demo test nightly formal lint format bench clean

help:
	@echo "make demo    train the CNN, generate the RTL, co-simulate it; writes results/demo.html"
	@echo "make test    lint, types and all tests"
	@echo "make nightly the tests that take longer than make test may"
	@echo "make formal  all proofs, and that each fails on broken designs"
	@echo "make lint    lint and types only"
	@echo "make format  format the code"
	@echo "make bench   the benchmarks; results in benchmarks/results/"
	@echo "make clean   remove the virtual environment and everything built"

# Rebuilt only when pyproject.toml changes.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Eigenbar needs Python 3.11 or newer; set PYTHON to one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python cannot make virtual environments; install them: apt install python3-venv"; exit 1; }
	@for tool in g++ perl; do command -v $$tool > /dev/null || \
	  { echo "$$tool is missing, which Verilator needs; install it: apt install $$tool"; exit 1; }; done
	@rm -rf $(VENV)
	@echo "Setting up $(VENV) (once, some minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(READY)
	@$(BIN)/eigenbar demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n 2 --dist loadgroup

nightly: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fpga]'
	$(BIN)/pytest -n 2 --dist loadgroup -m nightly

formal: $(READY)
	$(BIN)/pytest -n 2 -m "nightly or not nightly" tests/formal

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fpga]'
	@mkdir -p benchmarks/results
	@for script in benchmarks/*.py; do echo "== $$script"; \
	  $(BIN)/python $$script --json benchmarks/results/$$(basename $$script .py).json || exit 1; done

clean:
	rm -rf $(VENV) build dist results benchmarks/results *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
