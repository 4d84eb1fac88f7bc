# One command for each thing a person does. `make` alone lists them.
# A fresh machine needs Python 3.11 or newer, a C compiler and make; everything else goes into .venv.

MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
ROOT := $(CURDIR)
RELEASE := build/release/.built

# What a caller's shell has set must not decide which fgacore is imported, or how it is built.
unexport PYTHONPATH PYTHONHOME FGACORE_DEBUG FGACORE_SANITIZE

PYX := $(shell find src -name '*.pyx')
COMPILED_FROM := setup.py $(PYX) $(shell find src -name '*.pxd' -o -name '*.h')
MODULES := $(subst /,.,$(patsubst src/%.pyx,%,$(PYX)))

.PHONY: help demo test lint format wheel debug asan valgrind soak bench bench-peers build clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

demo: $(RELEASE) ## build, and run the helpdesk demo
	$(BIN)/fgacore demo

test: $(VENV)/.dev $(RELEASE) ## build, and pass every test (TESTS=tests/cli for a part)
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.dev $(RELEASE) ## ruff, mypy, and stubtest for each compiled module
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=src $(BIN)/stubtest --mypy-config-file pyproject.toml --concise --ignore-disjoint-bases \
	    --allowlist tests/stubtest.allow --ignore-unused-allowlist $(MODULES)

format: $(VENV)/.dev ## let ruff format and sort what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# From the sdist, in isolation, so that the sdist is proved complete and the build requirements true;
# then in an environment with nothing in it, from a folder that has no sources in it.
wheel: $(VENV)/.dev ## build a wheel, and prove it in an empty environment
	rm -rf dist build/wheel
	$(BIN)/python -m build --outdir dist .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip --disable-pip-version-check --no-input --quiet install dist/*.whl
	mkdir -p build/wheel/elsewhere
	cd build/wheel/elsewhere && ../venv/bin/fgacore demo
	cd build/wheel/elsewhere && ../venv/bin/python -I -c "$$WHEEL_CHECK"

define WHEEL_CHECK
import fgacore
engine = fgacore.open(":memory:")
engine.write_model("model\n  schema 1.1\ntype agent\ntype ticket\n  relations\n    define can_read: [agent]\n")
engine.write([("agent:support", "can_read", "ticket:1")])
assert engine.check("agent:support", "can_read", "ticket:1") is True
assert engine.check("agent:support", "can_read", "ticket:2") is False
assert "/build/wheel/venv/" in fgacore.__file__, fgacore.__file__
print("the wheel answers rightly from", fgacore.__file__)
endef
export WHEEL_CHECK

# The other profiles live in folders of their own and are found by PYTHONPATH, before the release build that .venv points to.
# The Python files are copied anew each time: one that was removed must not live on there.
define build_profile
	mkdir -p build/$(1)/lib
	find build/$(1)/lib -type f ! -name '*.so' -delete
	$(2) $(BIN)/python setup.py --quiet build
endef

debug: $(VENV)/.dev ## a build with bounds checks and assertions, and the suite on it
	$(call build_profile,debug,FGACORE_DEBUG=1)
	FGACORE_DEBUG=1 PYTHONPATH='$(ROOT)/build/debug/lib' $(BIN)/python -m pytest $(TESTS)

asan: $(VENV)/.dev ## the kernel's own tests under AddressSanitizer
	$(call build_profile,address,FGACORE_SANITIZE=address)
	FGACORE_SANITIZE=address PYTHONPATH='$(ROOT)/build/address/lib' PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
	LD_PRELOAD="$$($(or $(CC),cc) -print-file-name=libasan.so) $$($(or $(CC),cc) -print-file-name=libstdc++.so.6)" \
	$(BIN)/python -m pytest -p no:cacheprovider $(or $(TESTS),tests/kernel)

valgrind: $(VENV)/.dev ## the kernel's own tests under valgrind (which must be installed)
	@command -v valgrind >/dev/null || { echo 'valgrind is not installed; `make asan` needs the C compiler alone'; exit 1; }
	$(call build_profile,debug,FGACORE_DEBUG=1)
	FGACORE_DEBUG=1 FGACORE_SMALL=1 PYTHONPATH='$(ROOT)/build/debug/lib' PYTHONMALLOC=malloc \
	valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite --num-callers=30 \
	    --suppressions=tests/valgrind.supp \
	    $(BIN)/python -m pytest -p no:cacheprovider -p no:benchmark $(or $(TESTS),tests/kernel)

soak: $(VENV)/.dev $(RELEASE) ## the long runs: the same tests, many more examples
	FGACORE_SOAK=1 $(BIN)/python -m pytest $(TESTS)

bench: $(VENV)/.dev $(RELEASE) ## measure: scenarios, the floor, Python by hand, threads (BENCH=... as in benchmarks/README.md)
	$(BIN)/python -m benchmarks $(BENCH)

bench-peers: $(VENV)/.bench $(RELEASE) ## the same, beside cedarpy, casbin, regorus and, by URL, OpenFGA
	$(BIN)/python -m benchmarks --named $(BENCH)

build: $(RELEASE) ## .venv and the compiled modules, and nothing more

clean: ## remove .venv and everything built
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .benchmarks .mypy_cache .ruff_cache
	find src -name '*.so' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf src/*.egg-info

# --- what the commands above stand on ---------------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fgacore needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# The build requirements, fgacore itself (editable: .venv points to src/) and its dependencies.
$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(PIP) install 'setuptools>=77' 'cython>=3.1'
	$(PIP) install --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.core
	$(PIP) install --no-build-isolation --editable '.[dev]'
	touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.dev
	$(PIP) install --no-build-isolation --editable '.[bench]'
	touch $@

# After an edit: Cython and setuptools compile what changed, and whatever cimports it. A compiled module without its source goes.
$(RELEASE): $(COMPILED_FROM) $(VENV)/.core
	find src -name '*.so' | while read -r built; do test -e "$${built%%.*}.pyx" || rm -v "$$built"; done
	$(BIN)/python setup.py --quiet build_ext --inplace
	mkdir -p $(@D) && touch $@
