# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
DEMO ?= autodls-demo
EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 1577836800)

# Every byte that is installed has its hash in requirements*.txt, and nothing is fetched to build with.
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-build-isolation --use-pep517

.PHONY: demo test test-long test-slow test-cluster test-orthanc docs lint lock dist test-dist clean

demo: $(VENV)/installed  ## a phantom cohort through every stage, minutes on two cores
	$(BIN)/autodls demo $(DEMO)

test: $(VENV)/installed-dev  ## the tests, some ten minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-long: $(VENV)/installed-dev  ## what trains, locks, kills or starts other programs: up to two minutes a test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "long and not slow" -n 2 --dist loadfile

test-slow: $(VENV)/installed-dev  ## what takes longer: the leak alarm, learning from real images
	$(BIN)/python -m pytest -q -m slow --durations=5

test-cluster: $(VENV)/installed-cluster  ## jobs on a Ray cluster of two nodes on this machine, and by submitit
	$(BIN)/python -m pytest -q -m cluster

test-orthanc: $(VENV)/installed-dev  ## a study to an Orthanc and back; apt-get install orthanc orthanc-dicomweb first
	$(BIN)/python -m pytest -q -m orthanc -rs

docs: $(VENV)/installed-dev  ## the site, in build/docs; warnings are errors, nothing is fetched
	OMP_NUM_THREADS=1 $(BIN)/python docs/build.py build/docs

lint: $(VENV)/installed-dev  ## style, types, direction of imports
	$(BIN)/ruff check autodls tests benchmarks docs
	$(BIN)/ruff format --check autodls tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

dist: $(VENV)/installed-dev  ## wheel, sdist, what they are made of (CycloneDX) and their hashes, of what is committed
	@test -z "$$(git status --porcelain 2>/dev/null)" || { echo "dist: commit or stash what is changed first"; exit 2; }
	rm -rf dist
	SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/python -m hatchling build -t sdist -t wheel -d dist
	SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/python .ci/sbom.py dist
	cd dist && sha256sum autodls-* >SHA256SUMS

test-dist: dist  ## the wheel in a fresh environment, away from the source, through the demo; minutes, and a download
	PYTHON=$(PYTHON) .ci/try_wheel --cases 24

lock:  ## the hashes anew; `make lock UPGRADE=--upgrade` takes newer versions
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --require-hashes --requirement requirements-lock.txt
	PATH="$(CURDIR)/$(VENV)/lock/bin:$$PATH" $(PYTHON) .ci/lock.py $(UPGRADE)

# The demo needs the package alone; the tests also need their tools and nnU-Net.
$(VENV)/installed: pyproject.toml requirements.txt requirements-build.txt requirements-cuda.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --requirement requirements-build.txt
	@# A build of PyTorch that lies at hand (find-links) comes first: PyPI's brings gigabytes of CUDA with it.
	sed -n '/^torch==/,/[^\\]$$/p' requirements.txt > $(VENV)/torch.txt
	$(INSTALL) --no-index --requirement $(VENV)/torch.txt 2>/dev/null || echo "no build of PyTorch lies at hand"
	$(INSTALL) --requirement requirements.txt
	@# PyTorch's build for NVIDIA GPUs, where pip has found that one, says what else it needs.
	if grep -q '^Requires-Dist: nvidia' $(VENV)/lib/python3*/site-packages/torch-*.dist-info/METADATA; then \
	    $(INSTALL) --requirement requirements-cuda.txt; fi
	$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(INSTALL) --requirement requirements-dev.txt
	$(BIN)/python -m pip check
	touch $@

$(VENV)/installed-cluster: $(VENV)/installed-dev requirements-cluster.txt
	$(INSTALL) --requirement requirements-cluster.txt
	$(BIN)/python -m pip check
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist
