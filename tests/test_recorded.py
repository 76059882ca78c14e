"""Steps that are recorded, and networks side by side, end in the same bytes as a network alone, step by step.

What a CUDA graph is to them is stood in for by `StrictRecorder`; on a GPU see test_gpu.py.
"""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from picture_task import PictureTask, as_bytes, settings
from strict_recorder import NothingOfTheHost, StrictRecorder, refuse

from autodls.errors import TrainingError
from autodls.training.background import Background, background, made_ahead
from autodls.training.batches import random_keep
from autodls.training.interleave import interleave
from autodls.training.loop import fit_steps
from autodls.training.recorded import Recorded, recorder

CPU = torch.device("cpu")


def steps_of(task, folder, record=None, **changes):
    return fit_steps(task, settings(**changes), "key", folder / "resume", lambda _epoch: None, record)


def result_of(folder, record=None, **changes):
    task = PictureTask()
    interleave([steps_of(task, folder, record, **changes)], 1, CPU)
    return as_bytes(task, folder)


# -- recording ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "learning_rate": 1e-3}, {"bf16": True}])
def test_recorded_steps_give_the_bytes_of_steps_as_they_are(tmp_path, changes):
    """Three steps and the first score are as they are, and count; all that follow are replayed."""
    record = StrictRecorder()
    assert result_of(tmp_path, record, **changes) == result_of(tmp_path, **changes)
    assert (record.recorded, record.replays) == (2, 8 * 4 - 3 + 8 - 1)


def test_where_recording_fails_one_line_says_so_and_nothing_else_changes(tmp_path, caplog):
    assert result_of(tmp_path, refuse) == result_of(tmp_path)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2 and all("could not be recorded as a CUDA graph (operation not" in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_a_result_is_the_callers_to_keep():
    double = Recorded("name", lambda values: 2 * values, StrictRecorder(), warm_up=1)
    results = [double(torch.tensor([float(number)])) for number in range(4)]
    assert torch.cat(results).tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("record", [None, refuse], ids=["as it is", "refused"])
def test_what_was_fitted_is_given_back_at_once(tmp_path, record):
    """Networks that hold each other would hold the memory of a card until Python looks for such circles."""
    task = PictureTask()
    kept = weakref.ref(task.model[0].weight)
    gc.disable()
    try:
        interleave([steps_of(task, tmp_path, record, epochs=2)], 1, CPU)
        del task
        assert kept() is None
    finally:
        gc.enable()


def test_a_cpu_records_nothing():
    assert recorder(CPU) is None


@pytest.mark.parametrize(
    "look",
    [
        float,
        torch.nonzero,
        lambda x: x[x > 0],
        lambda x: x + torch.tensor(1.0),
        lambda x: x.where(x > 0, 1) if x else x,
    ],
)
def test_the_recorder_that_stands_in_refuses_what_a_graph_would_refuse(look):
    with NothingOfTheHost(), pytest.raises(RuntimeError, match="while a step is recorded"):
        look(torch.ones(1))


# -- chance ------------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    keep = random_keep((200, 500), 0.3, seed=1, device=CPU)
    assert float(keep.mean()) == pytest.approx(1, abs=0.01)
    assert float((keep == 0).float().mean()) == pytest.approx(0.3, abs=0.01)


# -- side by side ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_once", "record"), [(1, None), (2, None), (5, None), (2, StrictRecorder())])
def test_networks_side_by_side_give_the_bytes_of_each_alone(tmp_path, at_once, record):
    """Those of another seed beside it, too: their dropout draws from the same stream of torch."""
    seeds = (3, 4, 5)
    alone = [result_of(tmp_path, seed=seed, epochs=3) for seed in seeds]
    tasks = [PictureTask() for _ in seeds]
    fits = (steps_of(task, tmp_path, record, seed=seed, epochs=3) for task, seed in zip(tasks, seeds, strict=True))
    states = interleave(fits, at_once, CPU)
    assert [as_bytes(task, tmp_path) for task in tasks] == alone and len(set(alone)) == 3
    assert [len(state.history) for state in states] == [3, 3, 3]


def test_no_more_run_at_once_than_asked_and_steps_alternate():
    log, running = [], set()

    def count(name, steps):
        running.add(name)
        for step in range(steps):
            assert len(running) <= 2
            log.append(f"{name}{step}")
            yield step % 2 == 0
        running.remove(name)
        return name

    assert interleave((count(name, steps) for name, steps in (("a", 3), ("b", 1), ("c", 2))), 2, CPU) == ["a", "b", "c"]
    assert log == ["a0", "b0", "a1", "a2", "c0", "c1"]


def test_a_failure_ends_those_beside_it():
    ended = []

    def patient():
        try:
            while True:
                yield False
        finally:
            ended.append("patient")

    def failing():
        yield True
        raise TrainingError("no")

    with pytest.raises(TrainingError, match="no"):
        interleave([patient(), failing()], 2, CPU)
    assert ended == ["patient"]


# -- beside the training -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", [False, True])
def test_jobs_are_done_in_their_order(beside):
    done = []
    with background(beside) as jobs:
        for number in range(5):
            jobs.add(lambda number=number: done.append(number))
    assert done == list(range(5))


@pytest.mark.parametrize("beside", [False, True])
def test_a_job_that_fails_is_told(beside):
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), background(beside) as jobs:
        jobs.add(fail)


def test_a_failure_is_told_at_the_next_job():
    with ThreadPoolExecutor(1) as pool:
        jobs = Background(pool)
        jobs.add(lambda: 1 / 0)
        pool.submit(lambda: None).result()
        with pytest.raises(ZeroDivisionError):
            jobs.add(lambda: None)


@pytest.mark.parametrize("ahead", [0, 1, 3, 9])
def test_what_is_made_ahead_comes_in_order_and_no_earlier_than_asked(ahead):
    begun = []

    def make(item):
        begun.append(item)
        return 10 * item

    results = []
    for made in made_ahead(make, range(5), ahead):
        results.append(made())
        assert len(begun) <= len(results) + ahead
    assert results == [0, 10, 20, 30, 40]
