"""A thousand studies on a hundred GPUs, simulated: what moves, what waits, what it costs, where it breaks.

A discrete-event simulation of the jobs of `autodls.jobs`: encoders, fusion and scores of every fold of every study, on
GPUs that stand in machines, with the link of the machines that the commands run on. `python benchmarks/fleet.py`.
Nothing here is measured but what `Costs` says so of; the output is simulated.
"""

import argparse
import heapq
import random
from collections import deque
from dataclasses import dataclass, field, replace

GIB = 2**30
JobName = tuple[int, int, str]


@dataclass(frozen=True)
class Costs:
    """What a job takes. Sizes follow from formats; seconds on a GPU are assumed, as none was at hand.

    `encoder_bytes`: 42.5 million float32 weights of a ResNet-101. `sample_bytes`: three sequences of three planes of
    256 x 256 float32 and the ROI. `epoch_s`: 23.4 GFLOP a case forward and backward at 224 px, 256 cases, at an assumed
    40 TFLOP/s. `start_s`: a process that imports PyTorch and MONAI and makes a CUDA context; assumed.
    """

    encoder_bytes: float = 170e6
    fusion_bytes: float = 5e6
    sample_bytes: float = 3 * 3 * 256 * 256 * 4.0 + 3 * 256 * 256
    epoch_s: float = 256 * 23.4e9 / 40e12
    fusion_s: float = 25.0
    score_s: float = 10.0
    start_s: float = 12.0
    lost_share: float = 0.002  # of jobs, whose worker dies half-way


@dataclass(frozen=True)
class Fleet:
    """What is there and what is asked. `drivers` machines run the commands, each with a link of its own."""

    studies: int = 1000
    cases: int = 400
    folds: int = 5
    sequences: int = 3
    epochs: int = 60
    gpus: int = 100
    gpus_a_machine: int = 4
    drivers: int = 1
    link_bytes_s: float = 1.25e9  # 10 Gbit/s
    open_studies: int = 40  # whose commands run at the same time
    whole_study: bool = False  # one `train fold all` on one GPU, on that machine's own disk: nothing but samples moves


@dataclass
class Run:
    """The state of a simulation; times in seconds."""

    fleet: Fleet
    costs: Costs
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    now_s: float = 0.0
    moved: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("samples", "results", "inputs"), 0.0))
    busy_s: float = 0.0
    held_s: float = 0.0
    waited_s: float = 0.0
    lost: int = 0
    jobs: int = 0

    def __post_init__(self) -> None:
        self.free = list(range(self.fleet.gpus))
        self.link_free_s = [0.0] * self.fleet.drivers
        self.has: set[tuple[int, int]] = set()
        self.events: list[tuple[float, int, int, JobName]] = []
        self.ready: deque[tuple[float, JobName]] = deque()
        self.left: dict[tuple[int, int], int] = {}
        self.next_study = 0
        self.open: dict[int, int] = {}

    def go(self) -> "Run":
        """Until every study is done."""
        self._open_studies()
        while self.ready or self.events:
            while self.ready and self.free:
                self._begin()
            self.now_s, _, gpu, job = heapq.heappop(self.events)
            self.free.append(gpu)
            self._end(job)
        return self

    def _open_studies(self) -> None:
        while self.next_study < self.fleet.studies and len(self.open) < self.fleet.open_studies:
            study, self.next_study = self.next_study, self.next_study + 1
            self.open[study] = 1 if self.fleet.whole_study else self.fleet.folds
            if self.fleet.whole_study:
                self.ready.append((self.now_s, (study, 0, "study")))
                continue
            for fold in range(self.fleet.folds):
                self.left[study, fold] = self.fleet.sequences
                self.ready += [(self.now_s, (study, fold, "encoder"))] * self.fleet.sequences

    def _begin(self) -> None:
        since_s, job = self.ready.popleft()
        gpu = self.free.pop(self.chance.randrange(len(self.free)))
        self.waited_s += self.now_s - since_s
        arrived_s = self._moved_in(job, gpu // self.fleet.gpus_a_machine)
        work_s = self._work_s(job)
        end_s = self._move(job[0], self._made(job), "results", arrived_s + self.costs.start_s + work_s)
        self.busy_s += work_s
        self.held_s += end_s - self.now_s
        self.jobs += 1
        heapq.heappush(self.events, (end_s, self.jobs, gpu, job))

    def _end(self, job: JobName) -> None:
        study, fold, stage = job
        if self.chance.random() < self.costs.lost_share:
            self.lost += 1
            self.ready.append((self.now_s, job))
            return
        if stage == "encoder":
            self.left[study, fold] -= 1
            if self.left[study, fold] == 0:
                self.ready.append((self.now_s, (study, fold, "fusion")))
        elif stage == "fusion":
            self.ready.append((self.now_s, (study, fold, "scores")))
        else:
            self.open[study] -= 1
            if self.open[study] == 0:
                del self.open[study]
                self._open_studies()

    def _work_s(self, job: JobName) -> float:
        costs, fleet = self.costs, self.fleet
        of_fold = fleet.sequences * fleet.epochs * costs.epoch_s + costs.fusion_s + costs.score_s
        whole = {"encoder": fleet.epochs * costs.epoch_s, "fusion": costs.fusion_s, "scores": costs.score_s}
        return {**whole, "study": fleet.folds * of_fold}[job[2]] * self.chance.uniform(0.7, 1.0)  # early stopping

    def _moved_in(self, job: JobName, machine: int) -> float:
        """When samples and weights are there; samples go to a machine once a study."""
        at_s = self.now_s
        if (job[0], machine) not in self.has:
            self.has.add((job[0], machine))
            at_s = self._move(job[0], self.fleet.cases * self.costs.sample_bytes, "samples", at_s)
        encoders = self.fleet.sequences * self.costs.encoder_bytes
        needed = {"fusion": encoders, "scores": encoders + self.costs.fusion_bytes}.get(job[2], 0.0)
        return self._move(job[0], needed, "inputs", at_s)

    def _made(self, job: JobName) -> float:
        made = {"encoder": self.costs.encoder_bytes, "fusion": self.costs.fusion_bytes}
        return made.get(job[2], 1e5)

    def _move(self, study: int, size: float, kind: str, from_s: float) -> float:
        """When `size` bytes are over, through the link of the study's driver, one transfer after the other."""
        if size == 0:
            return from_s
        driver = study % self.fleet.drivers
        self.moved[kind] += size
        # A reservation in the order of asking: a later one may not use a gap before it, so waiting is over-estimated.
        self.link_free_s[driver] = max(self.link_free_s[driver], self.now_s) + size / self.fleet.link_bytes_s
        return max(from_s, self.link_free_s[driver])


def told(name: str, run: Run) -> str:
    """One line of the table."""
    gib = {kind: size / GIB for kind, size in run.moved.items()}
    gpus = run.fleet.gpus
    return (
        f"| {name} | {run.now_s / 60:.0f} min | {run.busy_s / 3600:.2f} of {gpus * run.now_s / 3600:.2f} "
        f"({100 * run.busy_s / (gpus * run.now_s):.0f} %) | {gib['samples']:,.0f} + {gib['inputs']:,.0f} + "
        f"{gib['results']:,.0f} | {run.waited_s / run.jobs:.0f} s | {run.lost} |"
    )


def main() -> None:
    """Print the table of docs/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    fleet = Fleet(studies=parser.parse_args().studies)
    slow = replace(Costs(), epoch_s=10 * Costs().epoch_s)
    variants = {
        "stages as jobs, one driver": (fleet, Costs()),
        "stages as jobs, ten drivers": (replace(fleet, drivers=10), Costs()),
        "stages as jobs, ten drivers, GPUs ten times slower": (replace(fleet, drivers=10), slow),
        "one driver, GPUs ten times slower": (fleet, slow),
        "a study a GPU": (replace(fleet, whole_study=True, open_studies=2 * fleet.gpus), Costs()),
        "one study alone, stages as jobs": (replace(fleet, studies=1), Costs()),
        "one study alone, on one GPU": (replace(fleet, studies=1, gpus=1, whole_study=True), Costs()),
    }
    print("Simulated, not measured:")
    print(
        "| way | wall clock | GPU hours at work, of those there | GiB moved: samples + inputs + results | wait | lost |"
    )
    print("|---|---|---|---|---|---|")
    for name, (one, costs) in variants.items():
        print(told(name, Run(one, costs).go()))


if __name__ == "__main__":
    main()
