# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
DEMO ?= autodls-demo

.PHONY: demo test test-slow lint clean

demo: $(VENV)/installed  ## a phantom cohort through every stage, minutes on two cores
	$(BIN)/autodls demo $(DEMO)

test: $(VENV)/installed-dev  ## the tests, under ten minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: $(VENV)/installed-dev  ## what takes longer: the leak alarm, learning from real images
	$(BIN)/python -m pytest -q -m slow --durations=5

lint: $(VENV)/installed-dev  ## style, types, direction of imports
	$(BIN)/ruff check autodls tests benchmarks
	$(BIN)/ruff format --check autodls tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# The demo needs the package alone; the tests also need their tools and nnU-Net.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,segmentation]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist
