"""`benchmarks/gpu.py`: nothing that is known is lost, and nothing that is not known is hidden."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARTS = "gpu_benchmark_parts"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONPATH", "")
    import gpu

    return gpu


@pytest.fixture
def run(gpu, tmp_path):
    """Runs parts by the names of their functions, and gives what is in the file; in small they take no time."""

    def run(*names, minutes=1.0, seconds=0.0):
        worker, record = gpu.Worker(), gpu.Record(tmp_path / "gpu.json", {"small": True})
        parts = {name: gpu.Part("a title", f"{PARTS}:{name}", 1e9, seconds) for name in names}
        limit = gpu.Time(minutes, time.monotonic())
        try:
            gpu.run_parts(parts, worker, gpu.Setting("cpu", True, tmp_path), limit, record)
        finally:
            worker.close()
        gpu.show(record, parts)
        return json.loads(record.path.read_text())

    return run


def test_a_part_that_fails_is_told_and_the_others_go_on(run, capsys):
    found = run("fails", "dies", "lacks", "two_figures")
    parts, shown = found["parts"], capsys.readouterr().out
    assert parts["fails"]["error"].startswith("ValueError: no such thing (gpu_benchmark_parts.py:")
    assert "fails" in parts["fails"]["traceback"] and parts["fails"]["figures"] == {"before_ms": 1}
    assert parts["dies"]["error"] == "its process ended with status 7"
    assert found["left_out"] == {"lacks": "nowhere is not installed"} and "error" not in parts["lacks"]
    assert parts["two_figures"]["figures"].keys() == {"device", "first_ms", "second_gib", "place"}
    assert "failed: fails: ValueError: no such thing" in shown and "left out: lacks: nowhere" in shown


def test_a_part_without_time_is_named_and_one_that_hangs_is_stopped(run, capsys):
    assert run("two_figures", minutes=1, seconds=61)["left_out"]["two_figures"].startswith("needs about 61 s")
    found = run("hangs", minutes=0.02)["parts"]["hangs"]
    assert found["error"].startswith("stopped after 1 s")
    assert "left out: two_figures: needs about 61 s, and 60 s of 1 minutes were left" in capsys.readouterr().out


def test_figures_are_in_the_file_as_they_come(gpu, tmp_path):
    record = gpu.Record(tmp_path / "gpu.json", {"small": True})
    seen, worker = [], gpu.Worker()
    write, record.save = record.save, lambda: (write(), seen.append(json.loads(record.path.read_text())))
    part = gpu.Part("a title", f"{PARTS}:two_figures", 1, 1)
    gpu.run_part("one", part, worker, gpu.Setting("cpu", True, tmp_path), 60, record)
    worker.close()
    assert [len(one["parts"]["one"]["figures"]) for one in seen] == [2, 4, 4]


def test_warnings_are_figures(run):
    assert run("warns")["parts"]["warns"]["figures"]["warnings"] == ["could not be recorded", "not deterministic"]


def test_every_part_can_be_found(gpu):
    for part in gpu.PARTS.values():
        module, _, function = part.run.partition(":")
        path = BENCHMARKS / f"{module.replace('.', '/')}.py"
        assert f"\ndef {function}(setting: Setting) -> Part:" in path.read_text()


@pytest.mark.long
def test_the_command_runs_to_its_end_on_a_cpu(tmp_path):
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--small", "--only", "augmentation", "-o", str(out)]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    found = json.loads(out.read_text())
    assert done.returncode == 0, done.stderr
    assert found["machine"]["device"] == "cpu" and found["small"] and found["date"] and found["machine"]["torch"]
    assert found["command"].endswith(f"--only augmentation -o {out}")
    assert found["parts"]["augmentation"]["figures"]["nnunet_whole_ms"] > 0
    assert "nnunet_whole_ms" in done.stdout
