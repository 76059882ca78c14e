"""Each sequence withheld: the cases as if its files were not there, by networks that did not see them."""

import shutil

import numpy as np
import pytest
from command_line import autodls
from tiny_run import make_dataset as make_phantoms
from tiny_run import with_tiny_networks
from tiny_workspace import tiny_workspace

from autodls import Study, load_model
from autodls.analysis import withheld
from autodls.errors import ArgumentError, StaleRecordError
from autodls.evaluation.delong import auc, compare_aucs
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.cohort import read_cohort
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.stages.benchmark_sequences import benchmark_sequences

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A phantom of ten cases and three held-out ones, one of which cannot be read, with a trained model."""
    with pytest.MonkeyPatch.context() as patch:
        with_tiny_networks(patch)
        run = make_phantoms(tmp_path_factory.mktemp("withheld"))
        run.train()
        run.run("evaluate", "evaluate", *run.place())
    yield run
    shutil.rmtree(run.root)


def measured(run, monkeypatch):
    """By cohort and sequence what is judged: scores with all, scores without."""
    seen = {}
    judge = withheld.withheld_of

    def watched(cohort, sequence, cases, full, without, seed, *, out_of_fold):
        seen[cohort, sequence] = full, without
        return judge(cohort, sequence, cases, full, without, seed, out_of_fold=out_of_fold)

    monkeypatch.setattr(withheld, "withheld_of", watched)
    monkeypatch.setattr(withheld, "FEWEST_OF_CLASS", 2)
    return benchmark_sequences(run.dataset, run.workspace), seen


def test_scores_are_those_of_the_files_that_are_left(trained, monkeypatch, tmp_path):
    found, seen = measured(trained, monkeypatch)
    for path in (trained.dataset / "imagesTr").glob("EX*_0001.nii.gz"):
        shutil.copy(path, tmp_path)
    model = load_model(found.workspace.model.root, "cpu")
    expected = {one.case: one.dls for one in model.predict(tmp_path, trained.dataset / "labelsTr").cases}
    _, without = seen["external", "T2WI"]
    assert expected and {case: without[case] for case in expected} == expected
    out_of_fold = {line["case"]: float(line["dls"]) for line in read_table(Workspace(trained.workspace).oof_scores)}
    full, lacking = seen[OUT_OF_FOLD, "T2WI"]
    assert {case: full[case] for case in out_of_fold} == pytest.approx(out_of_fold, abs=1e-6)
    assert all(lacking[case] != full[case] for case in out_of_fold)


def test_figures_are_paired_and_out_of_fold_ones_say_so(trained, monkeypatch):
    found, seen = measured(trained, monkeypatch)
    labels = {case.id: case.label for case in read_cohort(trained.dataset).training}
    one = next(row for row in found.withheld if (row.cohort, row.sequence) == (OUT_OF_FOLD, "T2WI"))
    full, without = ([scores[case] for case in labels] for scores in seen[OUT_OF_FOLD, "T2WI"])
    truth = list(labels.values())
    assert (one.n, one.with_it.value, one.without.value) == (10, auc(truth, full), auc(truth, without))
    assert one.with_it.method == "delong-logit-cv"
    assert one.gain.delta == compare_aucs(np.array(truth), full, without, out_of_fold=True).delta


def test_small_groups_say_so_and_the_report_shows_the_table_until_evaluate(trained):
    answer = autodls("benchmark", "sequences", *trained.place())
    assert answer.status == 0, answer.err
    assert "Each sequence withheld" in answer.out and "an AUC takes 10 of each class" in answer.out
    workspace = Workspace(trained.workspace)
    assert autodls("report", *trained.place()).status == 0
    assert "Each sequence withheld" in workspace.report.read_text()
    assert autodls("verify", trained.workspace).status == 0
    table, sealed = workspace.table("withheld"), workspace.table("withheld").read_bytes()
    table.write_bytes(sealed.replace(b"T2WI", b"T9WI"))
    answer = autodls("verify", trained.workspace)
    assert answer.status != 0 and "run 'autodls benchmark sequences'" in answer.err, "a changed table is found"
    table.write_bytes(sealed)
    assert Study(trained.dataset, trained.workspace).benchmark_sequences().withheld[0].with_it.value is None
    trained.run("evaluate", "evaluate", *trained.place())
    assert not workspace.table("withheld").exists()
    assert autodls("verify", trained.workspace).status == 0


def test_cases_that_lack_the_sequence_are_not_in_it():
    from planning_records import make_case

    cases = [make_case(f"case_{number:02d}", number % 2 == 0) for number in range(30)]
    full = {case.id: number / 30 for number, case in enumerate(cases)}
    without = {case.id: full[case.id] for case in cases[4:]}
    found = withheld.withheld_of("external", "T1WI", cases, full, without, 0, out_of_fold=False)
    assert (found.n, found.gain.delta) == (26, 0)


def test_a_model_that_no_longer_gives_its_out_of_fold_scores_is_refused(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "data", training=8, held_out=0)
    tiny_workspace(dataset, dataset / "autodls")  # whose fold scores are made up
    with pytest.raises(StaleRecordError, match="when the model was locked"):
        benchmark_sequences(dataset)


def test_one_sequence_cannot_be_withheld(make_dataset, tmp_path):
    from tiny_models import tiny_plan

    plan = tiny_plan(
        ("CE-T1WI",), input_size_px=64, slice_size_px=72, crop_mm=30.0, roi_channel="CE-T1WI", registration="geometry"
    )
    dataset = make_dataset(tmp_path / "data", training=8, held_out=0, sequences=("CE-T1WI",))
    tiny_workspace(dataset, dataset / "autodls", plan)
    with pytest.raises(ArgumentError, match="one sequence, CE-T1WI"):
        benchmark_sequences(dataset)
