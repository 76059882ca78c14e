"""The rows of series.csv: every volume and every ROI of a folder, with the case and the role that are proposed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autodls.dicom.cases import StudyCase, number_cases
from autodls.dicom.drawn import TUMOUR_WORDS, DrawnRoi, list_rois, matches
from autodls.dicom.headers import Person
from autodls.dicom.roles import NONE, Proposal, propose
from autodls.dicom.series import Found, Part
from autodls.dicom.table import ROI, Row, part_identity, part_row, roi_identity, roi_row

Identity = tuple[str, str, str]
_TWO_PEOPLE = "the files of this patient's id have different names or birth dates: is it one patient?"


@dataclass(frozen=True)
class Listed:
    """All that a folder holds, by what its rows are known by; `faults` says why a file of ROIs has none."""

    parts: Mapping[Identity, Part]
    rois: Mapping[Identity, DrawnRoi]
    drawn_on: Mapping[Identity, tuple[Identity, ...]]
    studies: Mapping[str, StudyCase]
    rows: tuple[Row, ...]
    faults: Mapping[Path, str]


def list_rows(found: Found, known: Mapping[str, str], patterns: Sequence[str]) -> Listed:
    """The rows of what was found; `known` are numbers of patients, `patterns` the names of ROIs that are wanted."""
    people: dict[str, Person] = {}
    for part in found.parts:
        people.setdefault(part.study, part.person)
    studies = number_cases(people, found.study_dates, known)
    parts = {part_identity(part): part for part in found.parts}
    listed, faults = list_rois(found.drawn)
    rois = {roi_identity(roi): roi for roi in listed}
    drawn_on = {identity: _volumes_of(roi, parts) for identity, roi in rois.items()}
    proposals = propose(list(parts.values()), {study: one.case for study, one in studies.items()})
    order = sorted(
        zip(parts.items(), proposals, strict=True),
        key=lambda pair: (
            studies[pair[0][1].study].case,
            pair[0][1].facts.series_number,
            pair[0][1].series,
            pair[0][1].number,
        ),
    )
    days, doubtful = _days(studies), _of_two_people(found.parts, studies)
    names, rows = dict[Identity, str](), list[Row]()
    for (identity, part), proposal in order:
        names[identity] = f"S{len(rows) + 1:04d}"
        case = studies[part.study].case
        lost = f"{part.loss}, so that its texture is not what was measured" if part.loss and proposal.role else ""
        doubt = _TWO_PEOPLE if studies[part.study].patient in doubtful else ""
        told = Proposal(proposal.role, proposal.why, _also(proposal.ambiguous, lost, doubt))
        rows.append(part_row(names[identity], case, part, told, days.get(part.study)))
    rows += _roi_rows(rois, drawn_on, parts, studies, names, patterns)
    return Listed(parts, rois, drawn_on, studies, tuple(rows), faults)


def _volumes_of(roi: DrawnRoi, parts: Mapping[Identity, Part]) -> tuple[Identity, ...]:
    """The volumes that an ROI may be drawn on: of the series that it names, else of its frame of reference."""
    named = [(key, part) for key, part in parts.items() if part.series in roi.series]
    if not roi.series:
        same = roi.frame_of_reference
        named = [(key, part) for key, part in parts.items() if same and part.frame_of_reference == same]
    if roi.images and len(named) > 1:
        holding = [(key, part) for key, part in named if any(frame.uid in roi.images for frame in part.stack.frames)]
        named = holding or named
    return tuple(key for key, part in named if not part.stack.refused)


def _roi_rows(
    rois: Mapping[Identity, DrawnRoi],
    drawn_on: Mapping[Identity, tuple[Identity, ...]],
    parts: Mapping[Identity, Part],
    studies: Mapping[str, StudyCase],
    names: Mapping[Identity, str],
    patterns: Sequence[str],
) -> list[Row]:
    wanted = {key for key, roi in rois.items() if matches(roi.name, patterns or [f"*{word}*" for word in TUMOUR_WORDS])}
    likely = Counter(rois[key].uid for key in wanted)
    alone = Counter(roi.uid for roi in rois.values())
    rows: list[Row] = []
    for key in sorted(rois, key=lambda one: (_case_of(one, rois, drawn_on, parts, studies), one)):
        roi, volumes = rois[key], drawn_on[key]
        refused = "" if volumes else "its series is not there, or cannot be converted"
        told = _proposal(roi, key in wanted, likely[roi.uid], bool(patterns), alone[roi.uid] == 1)
        if refused:
            told = Proposal(NONE, f"cannot be converted: {refused}")
        elif len(volumes) > 1:
            told = Proposal(told.role, told.why, _also(told.ambiguous, f"drawn on one of {len(volumes)} volumes"))
        case = _case_of(key, rois, drawn_on, parts, studies)
        row = f"R{len(rows) + 1:04d}"
        rows.append(roi_row(row, case, " ".join(names[volume] for volume in volumes), roi, told, refused))
    return rows


def _case_of(
    key: Identity,
    rois: Mapping[Identity, DrawnRoi],
    drawn_on: Mapping[Identity, tuple[Identity, ...]],
    parts: Mapping[Identity, Part],
    studies: Mapping[str, StudyCase],
) -> str:
    """The case of the volume that an ROI is drawn on, else that of its own study, "" where neither is known."""
    volumes = drawn_on[key]
    study = parts[volumes[0]].study if volumes else rois[key].study
    return studies[study].case if study in studies else ""


def _proposal(roi: DrawnRoi, wanted: bool, likely: int, asked: bool, alone: bool) -> Proposal:
    if asked and not wanted:
        return Proposal(NONE, "its name does not fit --roi-name")
    if asked:
        joined = f"{likely} ROIs of its file fit --roi-name and are joined" if likely > 1 else ""
        return Proposal(ROI, "its name fits --roi-name", _also(roi.doubt, joined))
    if wanted and likely == 1:
        return Proposal(ROI, "its name says tumour", roi.doubt)
    if wanted:
        which = f"{likely} ROIs of its file could be the tumour: give one the role ROI, or several to join them"
        return Proposal(NONE, "its name says tumour, and so does that of another one", _also(roi.doubt, which))
    if alone:
        return Proposal(NONE, "its name does not say tumour", _also(roi.doubt, f"if it is, give it the role {ROI}"))
    return Proposal(NONE, "its name does not say tumour")


def _also(*doubts: str) -> str:
    return "; ".join(filter(None, doubts))


def _of_two_people(parts: Sequence[Part], studies: Mapping[str, StudyCase]) -> set[str]:
    """Patients, by their new number, whose files have several names or birth dates, as where all ids are ANONYMOUS."""
    known: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for part in parts:
        known[studies[part.study].patient].add((part.person.name.casefold(), part.person.birth_date))
    return {patient for patient, people in known.items() if len(people) > 1}


def _days(studies: Mapping[str, StudyCase]) -> dict[str, int]:
    """Days from the first study of each patient, where dates are known."""
    of_patient: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for study in studies.values():
        try:
            of_patient[study.patient].append((datetime.strptime(study.date, "%Y%m%d"), study.study))
        except ValueError:
            continue
    return {study: (date - min(dates)[0]).days for dates in of_patient.values() for date, study in dates}
