"""The cases in an input folder: CASE_0000.nii.gz, CASE_0001.nii.gz, ... as nnU-Net's predict takes them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import DatasetError
from autodls.records.case_id import case_id_fault, look_alikes
from autodls.records.model import ModelRecord
from autodls.records.segmentation import AUTOMATIC_LABELS
from autodls.records.workspace import RoiKind

_CHANNEL = re.compile(r"(.+)_(\d{4})", re.ASCII)


@dataclass(frozen=True)
class InputCase:
    """Files of one new case; `roi` is None when there is no file for it, `kind` says who drew it."""

    id: str
    images: Mapping[str, Path]
    roi: Path | None
    kind: RoiKind = "manual"

    def roi_labels(self, record: ModelRecord) -> frozenset[int]:
        """Values of the ROI that mean tumour."""
        return AUTOMATIC_LABELS if self.kind == "auto" else frozenset(record.roi_labels)


def without_folders(reason: str, paths: Iterable[Path]) -> str:
    """The reason with `paths` by their last name: results travel, and folders are named after persons."""
    for path in paths:
        reason = reason.replace(str(path), path.name)
    return reason


def list_inputs(images: Path, rois: Path | None, record: ModelRecord) -> list[InputCase]:
    """The cases of folder `images`, with their ROIs where there is a folder `rois`, in the order of ids.

    Every file with the model's ending belongs to a case: one whose name ends in no channel of the model gives its case
    no image, so that it is named among the failures where it has no other.

    Raises DatasetError when a folder is missing or holds no image of the model's file ending.
    """
    for folder, option in ((images, "-i"), *([(rois, "--rois")] if rois else [])):
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder; give the folder of images with -i, that of ROIs with --rois")
        if not any(folder.iterdir()):
            raise DatasetError(f"{folder}: the folder is empty; {option} takes a folder of files")
    files = _images_by_case(images, record)
    if not any(files.values()):
        last = len(record.channel_names) - 1
        raise DatasetError(
            f"{images}: no file named CASE_0000{record.file_ending} to CASE_{last:04d}{record.file_ending}; "
            f"the channels are {record.channel_names}"
        )
    cases, alike = [], look_alikes(files)
    for case in sorted(files):
        if fault := case_id_fault(case):
            raise DatasetError(f"{images}: case id '{case}' {fault}; rename its files")
        if twins := next((group for group in alike if case in group), None):
            raise DatasetError(f"{images}: case ids '{twins[0]}' and '{twins[1]}' look alike; rename their files")
        roi = rois / f"{case}{record.file_ending}" if rois else None
        cases.append(InputCase(case, files[case], roi if roi and roi.is_file() else None))
    return cases


def _images_by_case(folder: Path, record: ModelRecord) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.name.endswith(record.file_ending):
            continue
        stem = path.name.removesuffix(record.file_ending)
        matched = _CHANNEL.fullmatch(stem)
        images = found.setdefault(matched[1] if matched else stem, {})
        if matched and (sequence := record.channel_names.get(str(int(matched[2])))):
            images[sequence] = path
    return found
