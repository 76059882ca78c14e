"""The checklists are the published ones, and say of a run only what the run shows."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_workspace import Wish, write_workspace

from autodls.errors import ArgumentError
from autodls.evaluation.results import Excluded
from autodls.report.artefacts import ARTEFACTS, Artefacts
from autodls.report.checklists.evidence import known
from autodls.report.checklists.filled import CHECKLISTS, EVIDENCE, answers, read_checklist
from autodls.report.html.document import render
from autodls.report.reading import read_study

TRIPOD = [
    "1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6a", "6b", "6c", "7", "8a", "8b", "8c", "9a", "9b", "9c", "10", "11",
    "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14", "15", "16", "17", "18a", "18b", "18c", "18d", "18e",
    "18f", "19", "20a", "20b", "20c", "21", "22", "23a", "23b", "24", "25", "26", "27a", "27b", "27c",
]  # fmt: skip
NUMBERS = {
    "tripod_ai": TRIPOD,
    "claim": [str(number) for number in range(1, 45)],
    "metrics": [str(number) for number in range(1, 31)],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return read_study(*write_workspace(tmp_path_factory.mktemp("run"), Wish(heatmaps=1)))


@pytest.mark.parametrize("name", CHECKLISTS)
def test_a_checklist_holds_every_published_item_once_and_in_order(name: str) -> None:
    checklist = read_checklist(name)
    assert [item.number for item in checklist.items] == NUMBERS[name]
    assert not checklist.is_partial
    assert all(item.text and item.section for item in checklist.items)
    assert all(entry in EVIDENCE for item in checklist.items for entry in item.evidence)
    assert all(item.author or item.evidence for item in checklist.items)


def test_texts_are_those_of_the_published_tables() -> None:
    texts = {name: {item.number: item.text for item in read_checklist(name).items} for name in CHECKLISTS}
    assert texts["tripod_ai"]["14"] == (
        "Describe any approaches that were used to address model fairness and their rationale"
    )
    assert texts["claim"]["20"] == "Level at which partitions are disjoint"
    assert texts["claim"]["33"] == "Testing on external data"
    assert texts["metrics"]["23"] == "Use of uni-parametric imaging or proof of its inferiority"


def test_evidence_names_artefacts_that_exist_and_all_of_it_is_used() -> None:
    assert all(need in ARTEFACTS for evidence in EVIDENCE.values() for need in evidence.needs)
    used = {entry for name in CHECKLISTS for item in read_checklist(name).items for entry in item.evidence}
    assert used == set(EVIDENCE)


@pytest.mark.parametrize("name", CHECKLISTS)
def test_an_empty_run_answers_nothing(name: str) -> None:
    for answer in answers(read_checklist(name), Artefacts()):
        needed = any(EVIDENCE[entry].needs for entry in answer.item.evidence)
        assert answer.state in ({"missing"} if needed else {"author", "part"})
        assert not answer.cited
        assert bool(answer.commands) == needed


@pytest.mark.parametrize("name", CHECKLISTS)
def test_a_complete_run_cites_a_file_for_every_answer(name: str, study: Artefacts) -> None:
    for answer in answers(read_checklist(name), study):
        assert answer.state != "missing"
        assert not answer.commands
        assert (answer.state == "author") == (not answer.item.evidence)
        assert (answer.state == "reported") == (bool(answer.item.evidence) and not answer.item.author)
        assert len(answer.texts) == len(answer.item.evidence)


def test_answers_hold_the_numbers_of_the_run(study: Artefacts) -> None:
    found = {one.item.number: " ".join(one.texts) for one in answers(read_checklist("tripod_ai"), study)}
    assert study.metrics is not None
    for name in study.unseen_cohorts:
        auc = study.metrics.cohorts[name].scores["dls"].auc
        assert f"{name}: {auc.value:.3f}" in found["23a"]
    assert "cps' >= 20" in found["8a"]
    assert "0.4712" in found["15"]
    assert "a = -0.2, b = 1.1" in found["12g"]
    assert "T2 4.0%" in found["11"]
    assert "3 folds" in found["12a"]
    assert "fold fold" not in " ".join(found.values())


def test_reasons_methods_and_baselines_are_those_of_the_run(study: Artefacts) -> None:
    """What is left out, with its reason; methods of what is printed; a clinical baseline only where there is one."""
    metrics = known(study.metrics)
    [name] = [name for name in study.unseen_cohorts if name in metrics.cohorts][:1]
    lacking = (Excluded(row=4, reason="missing pfs", left_out_of="survival"),) * 2
    cohorts = metrics.cohorts | {name: metrics.cohorts[name].model_copy(update={"excluded": lacking})}
    changed = replace(study, metrics=metrics.model_copy(update={"cohorts": cohorts}))
    found = EVIDENCE["excluded"].tell(changed)
    assert f"{name}: 2 missing pfs (left out of survival)" in found and "the run does not show" in found
    said = EVIDENCE["uncertainty"].tell(study)
    assert "log-log" in said and "sharp bounds" in said and "Firth" in said
    bare = {one: cohort.model_copy(update={"survival": None, "landmark": None}) for one, cohort in cohorts.items()}
    said = EVIDENCE["uncertainty"].tell(replace(study, metrics=metrics.model_copy(update={"cohorts": bare})))
    assert "log-log" not in said and "sharp bounds" not in said
    assert "age + sex: AUC 0.459, gain of the score 0.355 over 0.5" in EVIDENCE["clinical_baseline"].tell(study)
    volume = tuple({**line, "baseline": "volume"} for line in study.tables["shortcuts"])
    without = replace(study, tables={**study.tables, "shortcuts": volume})
    assert EVIDENCE["clinical_baseline"].tell(without).startswith("None in this run")


def test_ethics_funding_and_registration_are_left_to_the_author(study: Artefacts) -> None:
    states = {one.item.number: one.state for one in answers(read_checklist("tripod_ai"), study)}
    assert {states[number] for number in ("3a", "6b", "14", "17", "18a", "18b", "18d", "19", "25")} == {"author"}
    assert "author input needed" in render(study)


def test_a_partial_list_says_so(monkeypatch: pytest.MonkeyPatch, study: Artefacts) -> None:
    whole = read_checklist("claim")
    part = whole.model_copy(update={"items": whole.items[:3]})
    monkeypatch.setattr("autodls.report.html.plan.read_checklist", lambda _name: part)
    assert "This list is partial: 3 of the 44 published items" in render(study)


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no checklist 'stard'"):
        read_checklist("stard")
    with pytest.raises(ArgumentError, match="missing"):
        known(None)
