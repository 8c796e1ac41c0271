# `make run` and `make test` begin on a fresh Debian 12 with nothing but make and this directory.
#
#   make run ARGS='esrt/kexec-load --kernel debian-6.12-cloud'     what is run; default: the main scenarios
#   make test TOX_ARGS='-e unit'                                   some of the test environments (see tox.ini)
#   HARNESS_CACHE=DIR                                              where downloads and answers about this host go

VENV ?= .venv
HARNESS = $(VENV)/bin/harness
MAIN = 'esrt/kexec-*' esrt/no-table esrt/runtime-data 'bgrt/*' 'kexec/*' 'kdump/sysrq-*' runtime/fault-set-variable \
       pagetable/wx-free-kexec mixed-mode/boot tables/rtprop-kexec-file placement/hyperv
ARGS ?= $(MAIN)
TOX_ARGS ?=
export VENV := $(abspath $(VENV))

.DEFAULT_GOAL := help
.PHONY: help setup build-tools kernels run test lint bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup: ## packages and virtual environment; does nothing, and needs no network, when all is there
	@sh setup/install.sh

build-tools: setup ## what building kernels needs (harness kernels build); `make run` builds none
	@sh setup/install.sh build-tools

kernels: setup ## the kernels that the scenarios name, into the cache
	@$(HARNESS) kernels fetch --needed

run: kernels ## boot the kernels, kexec them, judge them; with live progress
	@$(HARNESS) run $(ARGS)

test: build-tools kernels ## all tests, also those that start machines
	@$(VENV)/bin/python -m tox run $(TOX_ARGS)

lint: setup ## style, types and the directions of import; seconds
	@$(VENV)/bin/python -m tox run -e lint,type,contracts

bench: kernels ## what the harness costs over bare QEMU
	@$(VENV)/bin/python benchmarks/overhead.py

clean: ## remove what was made here; HARNESS_CACHE and runs/ stay
	rm -rf .venv .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
