# make setup                     prepares .venv; every target below calls it, and a second call costs nothing
# make run VIDEO=clip.mp4        video -> out/clip/, through the service; without VIDEO, a demo clip that the project renders itself
# make up                        starts the service (API, Prefect, worker) and prints its URLs; Ctrl-C stops it
# make test                      lint and all tests
# make lint                      style, format, types, import contracts
# make campaign                  what takes too long for `make test`: slow tests and all benchmarks
# make clean                     removes build/, dist/ and caches; .venv and out/ stay
#
# PYTHON=python3.12  TORCH=cpu|cuda  TORCH_INDEX=URL   see tools/setup
# OUT=folder  ARGS="--steps 500 --preset quick" for `make run`;  ARGS="--api-port 8001" for `make up`;  ARGS="-k name -x" for `make test`

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup test run up lint format campaign clean

# Spinning OpenMP threads cost a factor of five on a busy machine.
export OMP_WAIT_POLICY ?= PASSIVE
export PYTHON TORCH TORCH_INDEX

BIN := .venv/bin
OUT ?=
ARGS ?=
CXX_SOURCES = $(wildcard tasks/train/raster/csrc/*.h tasks/train/raster/csrc/*.cpp tasks/train/raster/csrc/*.inl)

help:
	@sed -n 's/^# //p' Makefile | head -n 9

setup:
	@tools/setup

test: lint
	$(BIN)/python -m pytest -m "not campaign" $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/web check
	$(if $(CXX_SOURCES),$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES))

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/web format
	$(if $(CXX_SOURCES),$(BIN)/clang-format -i $(CXX_SOURCES))

ifdef VIDEO
run: setup
	$(BIN)/splatflow reconstruct "$(VIDEO)" $(if $(OUT),--out "$(OUT)") $(ARGS)
else
run: setup
	$(BIN)/splatflow demo out/demo.mp4
	$(BIN)/splatflow reconstruct out/demo.mp4 --out "$(or $(OUT),out/demo)" $(ARGS)
endif

up: setup
	$(BIN)/splatflow up $(ARGS)

# Slow tests, then every benchmark; put the figures into benchmarks/RESULTS.md. Needs the captures in ../shared/data.
campaign: setup
	$(BIN)/python -m pytest -m campaign $(ARGS)
	for what in step quick long; do $(BIN)/python -m benchmarks.train_cpu $$what || exit 1; done
	$(BIN)/python -m benchmarks.sfm fox stone_sign gopro_max_walk banana
	$(BIN)/python -m benchmarks.load group ../shared/data/fox/video.mp4
	for what in scrape queue overlap checkpoint memory; do $(BIN)/python -m benchmarks.$$what || exit 1; done

clean:
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find api cli flows storage tasks tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f .venv/native.stamp
