"""Which sequence a series is: a proposal with its reason and with what is doubtful, for a person to correct.

Left out are localisers, derived maps, diffusion, phase images and what is no volume. Contrast agent: by its time where
both times are known, else by the header or the description. Where a case has several series of a role, one is proposed,
and all say so.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autodls.dicom.facts import Facts
from autodls.dicom.series import Part
from autodls.dicom.weighting import is_named, weighting_of
from autodls.imaging.geometry import Geometry

NONE = ""
_LOCALIZER = r"loc|localizer|localiser|scout|survey|3[ -]?(pl|plane)\w*|pilot|plan|smart ?brain|topogram"
_DIFFUSION = r"dwi|dti|diff\w*|trace\w*|tracew|adc|eadc|ep2d[ -]?diff\w*|dwibs|hardi|resolve"
_MAPS = {
    "ADC", "EADC", "FA", "TRACEW", "TRACE", "MIP", "MINIP", "PROJECTION IMAGE", "SUBTRACTION", "SUB", "CBF", "CBV",
    "RELCBF", "RELCBV", "MTT", "TTP", "T1 MAP", "T2 MAP", "T2_STAR_MAP", "T1_MAP", "T2_MAP", "B0", "PE1", "PE2", "SER",
    "KTRANS", "CURVED", "DIXON_FF", "FF", "R2S", "MEAN", "COLFA", "TENSOR", "PBP", "GBP", "MPR_THICK", "SCREEN SAVE",
}  # fmt: skip
_MAP_WORDS = r"adc|eadc|sub|subtr\w*|mip|mips|cbf|cbv|mtt|ttp|pe ?\d|ser|map|maps|parametric|ktrans"
_PERFUSION = r"perf\w*|dsc|dce.?perf\w*|asl|pcasl|pasl|bold|fmri|epi"
_ANGIO = r"tof|mra|angio|pca|phase contrast|twist|tricks"
_STEADY = r"trufi\w*|fiesta|ciss|bssfp|balanced|btfe|bffe|space.?ciss"
_REFORMATTED = {"MPR", "REFORMATTED", "CSA MPR"}
_AFTER = r"post|gd|gad\w*|ce|contrast|km|kontrast|dotarem|gadovist|enhanced|mdc|inj"
_PLUS_AGENT = re.compile(r"\+ ?(c|gd|km)\b|\bc ?\+", re.IGNORECASE)
_BEFORE = r"pre|nativ|native|non.?contrast|without|unenhanced|w/?o|ohne|sans|no ?c"
_NO_AGENT = re.compile(r"no|none|n|0|nil|without.*|null|na|n/a|", re.IGNORECASE)
_KNOWN_MODALITIES = ("MR", "CT", "PT")
_LEAST_PLANES = 5
PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class Proposal:
    """The role of a series, "" for none, with its reason and with what a person should look at."""

    role: str
    why: str
    ambiguous: str = ""


def plane_of(geometry: Geometry) -> str:
    """The plane of the body that the planes of a volume lie nearest to."""
    return PLANES[int(np.abs(geometry.cosines[:, 2]).argmax())]


def propose(parts: Sequence[Part], cases: Mapping[str, str]) -> list[Proposal]:
    """A proposal for each part; `cases` holds the case of each study, within which a role is given once."""
    found = [_alone(part) for part in parts]
    found = _with_later_ones(parts, found, cases)
    return _each_once(parts, found, cases)


def _alone(part: Part) -> Proposal:
    """By the series itself, whatever else its study holds."""
    facts, stack = part.facts, part.stack
    left_out = next(_left_out(part), None)
    if left_out is not None:
        return left_out
    if facts.modality == "CT":
        return Proposal("CT", "modality CT, in Hounsfield units")
    if facts.modality == "PT":
        return _pet(facts)
    if stack.told_apart_by in ("time point", "trigger time") or part.of > 3:
        count = f"one of {part.of} volumes of a series, told apart by {stack.told_apart_by or 'what was measured'}"
        return Proposal(NONE, count, "give a role to the one that is wanted, if any")
    return _mr(part)


def _left_out(part: Part) -> Iterator[Proposal]:
    """Why a series is not proposed, the plainest reason first; nothing where it may be."""
    facts, words = part.facts, set(part.facts.image_type)
    if part.stack.refused:
        yield Proposal(NONE, f"cannot be converted: {part.stack.refused}")
    if facts.modality not in _KNOWN_MODALITIES:
        yield Proposal(NONE, f"modality {facts.modality or 'not given'}: no image of MR, CT or PET")
    if "LOCALIZER" in words or is_named(facts, _LOCALIZER):
        yield Proposal(NONE, "a localiser")
    yield from _made_from_others(facts, words)
    if facts.modality == "MR" and (kind := _other_technique(facts, words)):
        yield Proposal(NONE, kind)
    if len(part.stack.frames) < _LEAST_PLANES and part.of > 1:
        yield Proposal(NONE, f"{len(part.stack.frames)} planes of one direction of several: a localiser by its shape")


def _made_from_others(facts: Facts, words: set[str]) -> Iterator[Proposal]:
    if derived := (words & _MAPS):
        yield Proposal(NONE, f"a derived map (image type {min(derived)})")
    if words & {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}:
        yield Proposal(NONE, "a phase, real or imaginary image")
    if "DERIVED" in words and is_named(facts, _MAP_WORDS):
        yield Proposal(NONE, "a derived map by its image type and description")
    if words & _REFORMATTED:
        yield Proposal(NONE, "reformatted from another series", "if its source is missing, it may be used")


def _other_technique(facts: Facts, words: set[str]) -> str:
    if facts.b_value is not None or "DIFFUSION" in words or facts.sequence_name.lower().startswith(("*ep_b", "ep_b")):
        return "diffusion"
    if is_named(facts, _DIFFUSION):
        return "diffusion by its description"
    if "EP" in facts.scanning or is_named(facts, _PERFUSION):
        return "echo planar or perfusion"
    if is_named(facts, _ANGIO):
        return "angiography"
    return "balanced steady state: neither T1 nor T2" if is_named(facts, _STEADY) else ""


def _pet(facts: Facts) -> Proposal:
    if facts.corrections and "ATTN" not in facts.corrections:
        return Proposal(NONE, "PET without attenuation correction")
    doubt = "" if facts.corrections else "its header does not say which corrections were made"
    return Proposal("PET", "modality PT, as standardized uptake value", doubt)


def _mr(part: Part) -> Proposal:
    facts = part.facts
    found = weighting_of(facts)
    doubts = [found.doubt] if found.doubt else []
    if "DERIVED" in facts.image_type:
        doubts.append("its image type says that it is derived")
    if not found.role:
        return Proposal(NONE, found.why, "give it a role if it is wanted")
    role, why = found.role, found.why
    if role == "T1WI":
        given, reason, doubt = _enhanced(facts)
        role = "CE-T1WI" if given else role
        why += f"; {reason}" if reason else ""
        doubts += [doubt] if doubt else []
    return Proposal(role, why, "; ".join(doubts))


def _enhanced(facts: Facts) -> tuple[bool, str, str]:
    """Whether contrast agent had been given, the reason, and what is doubtful."""
    agent = not _NO_AGENT.fullmatch(facts.agent.strip())
    after = is_named(facts, _AFTER) or _PLUS_AGENT.search(facts.description) is not None
    before = is_named(facts, _BEFORE)
    if facts.agent_start_s is not None and facts.acquired_s is not None and agent:
        seconds = facts.acquired_s - facts.agent_start_s
        doubt = "its description says otherwise" if (seconds > 0 and before) or (seconds <= 0 and after) else ""
        return seconds > 0, f"acquired {abs(seconds):.0f} s {'after' if seconds > 0 else 'before'} the agent", doubt
    if before and not after:
        doubt = "its header names a contrast agent" if agent else ""
        return False, "before contrast agent by its description", doubt
    if agent:
        doubt = "" if after else "when is not known: some scanners keep the agent in the headers of all series"
        return True, "its header names a contrast agent", doubt
    if after:
        return True, "after contrast agent by its description", "its header names none"
    return False, "", ""


def _with_later_ones(parts: Sequence[Part], found: Sequence[Proposal], cases: Mapping[str, str]) -> list[Proposal]:
    """T1 series that repeat an earlier one of their case may be after contrast agent: said, not guessed."""
    seen: dict[tuple[object, ...], int] = {}
    told = list(found)
    order = sorted(range(len(parts)), key=lambda at: (parts[at].facts.acquired_s or 0.0, parts[at].facts.series_number))
    for at in order:
        facts = parts[at].facts
        if found[at].role != "T1WI":
            continue
        key = (cases.get(parts[at].study), facts.tr_ms, facts.te_ms, facts.flip_deg, len(parts[at].stack.frames))
        if facts.tr_ms is not None and key in seen:
            doubt = "repeats an earlier series of the same timing: it may be after contrast agent"
            told[at] = replace(told[at], ambiguous="; ".join(filter(None, (told[at].ambiguous, doubt))))
        seen[key] = at
    return told


def _each_once(parts: Sequence[Part], found: Sequence[Proposal], cases: Mapping[str, str]) -> list[Proposal]:
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for at, proposal in enumerate(found):
        if proposal.role:
            groups[cases[parts[at].study], proposal.role].append(at)
    told = list(found)
    for (_, role), members in groups.items():
        if len(members) == 1:
            continue
        best = max(members, key=lambda at: (*_worth(parts[at], found[at]), -at))
        for at in members:
            doubt = f"{len(members)} series of this case could be {role}"
            why = found[at].why if at == best else f"{found[at].why}; another one was taken for {role}"
            ambiguous = "; ".join(filter(None, (found[at].ambiguous, doubt)))
            told[at] = Proposal(role if at == best else NONE, why, ambiguous)
    return told


def _worth(part: Part, proposal: Proposal) -> tuple[float, ...]:
    """Original before derived, axial before other planes, more planes, finer voxels; the later of equals."""
    geometry = part.stack.geometry
    if geometry is None:
        return (0.0, 0.0, 0.0, 0.0, 0.0)
    isotropic = max(geometry.spacing_mm) < 1.5 * min(geometry.spacing_mm)
    return (
        float("DERIVED" not in part.facts.image_type),
        float(not proposal.ambiguous),
        float(isotropic or plane_of(geometry) == "axial"),
        float(len(part.stack.frames)),
        float(part.facts.series_number),
    )
