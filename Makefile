# make demo    from nothing to a verified parallel job, in under two minutes
# make test    everything that is checked: style, types, tests, the README's commands (also: make check)
# make bench   cbtool beside its peers, one table (bench-clouds: on point clouds)
# make lock    choose the versions that all of these install
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
READS ?= 1000000
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint requirements.lock
RIE := aws-sam-cli==1.170.0
JUDGES := samtools seqkit bgzip:tabix parallel pigz minimap2 gzip

export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check bench bench-clouds lock judges clean

demo: $(VENV)/base
	READS=$(READS) PATH="$(CURDIR)/$(BIN):$$PATH" benchmarks/demo.sh demo

test check: $(VENV)/dev $(VENV)/rie judges
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m tests.azurite python -m tests.rgw pytest -n 2 tests
	$(BIN)/pytest -q --doctest-modules cbtool

bench: $(VENV)/bench
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m benchmarks.streams --install-peers $(BENCH)

bench-clouds: $(VENV)/bench
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m benchmarks.clouds --install-peers $(BENCH)

# Other programs that the tests hold cbtool's output against. A test skips those that are not there.
judges:
	@benchmarks/apt.sh $(JUDGES)

$(VENV)/made:
	$(PYTHON) -m venv $(VENV) || { apt-get -q update && apt-get -q install -y python3-venv && $(PYTHON) -m venv $(VENV); }
	@touch $@

$(VENV)/base: $(VENV)/made pyproject.toml requirements.lock
	$(PIP) --editable .
	@touch $@

$(VENV)/dev: $(VENV)/base
	$(PIP) 'pip>=25.1'
	$(PIP) --editable '.[lidar]' --group dev
	@touch $@

# AWS's emulator of the Lambda runtime interface: one binary of a wheel of theirs, which is not installed.
# Where it cannot be had, the tests that need it say so and are skipped (in CI they fail).
$(VENV)/rie: tests/rie.py | $(VENV)/dev
	rm -rf $(VENV)/sam
	-$(BIN)/pip --disable-pip-version-check download --quiet --no-deps --dest $(VENV)/sam $(RIE)
	-$(BIN)/python tests/rie.py $(VENV)/sam/*.whl $@
	rm -rf $(VENV)/sam

$(VENV)/bench: $(VENV)/base
	$(PIP) 'pip>=25.1'
	$(PIP) --editable '.[lidar]' --group bench
	@touch $@

# One set of versions for every Python and extra. It names no place to get them from: that is pip's own setting.
lock: $(VENV)/base
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-emit-index-url --no-header --no-annotate \
	  --all-extras --group dev --group bench pyproject.toml --output-file requirements.lock
	! grep -n '://' requirements.lock

clean:
	rm -rf $(VENV) .rgw .azurite demo benchmarks/work
