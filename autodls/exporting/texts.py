"""README of an export: what it is, how a case becomes its input, how it is run. The snippets in it are run by tests."""

from collections.abc import Sequence
from textwrap import fill

from autodls.inference.model_folder import LockedModel
from autodls.records.export import ExportRecord, GraphRecord, ShownEqual
from autodls.records.spelled import as_markdown

_WIDTH = 120
_RUN_ONNX = """```python
import numpy as np
import onnxruntime


def run(file, **inputs):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))


logits = [run(f"fold_{fold}.onnx", pixels=pixels, present=present)["logits"] for fold in range(FOLDS)]
scores = run("ensemble.onnx", logits=np.stack(logits))
"""

_SEEN = """seen = sample.network_input(roi_guided={guided})[None]
present = sample.present[None]"""
_SEEN_LESIONS = """seen = np.stack([lesion.network_input(roi_guided={guided}) for lesion in sample.lesions])
present = np.stack([lesion.present for lesion in sample.lesions])"""
_TELL = """print(scores["dls"][0], "high" if scores["high"][0] else "low")
"""
_RUN_LESIONS = """# scores["dls"] are those of the lesions; of the patient:
dls = 1 / (1 + np.exp(-scores["log_odds"].mean()))
print(dls, "high" if dls >= CUTOFF else "low")
"""
_RUN_BUNDLE = """```sh
python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
    --images IMAGES --rois ROIS --output_dir OUT
```"""


def onnx_readme(model: LockedModel, record: ExportRecord) -> str:
    """The README of an ONNX export."""
    folds = len(model.folds)
    files = (
        f"- `fold_0.onnx` to `fold_{folds - 1}.onnx`: encoders, PCA and fusion of a fold, with the present mask\n"
        "- `ensemble.onnx`: the folds together: scales, mean log-odds, recalibration, cut-off\n"
        "- `golden.safetensors`: made-up inputs and the scores that AutoDLS gives them; check your runtime by them\n"
        "- `plan.json`: the plan of the model, which `autodls.preprocess_case` reads\n"
        "- `export.json`: all of this for programs, with the SHA-256 of every file"
    )
    parts = [
        *_head(model, "ONNX"),
        "## Files",
        files,
        _arrays(record.graphs),
        "## A case",
        *_sample(model, "plan.json"),
    ]
    several = model.plan.preprocessing.lesions is not None
    told = (_RUN_LESIONS.replace("CUTOFF", repr(model.record.cutoff)) if several else _TELL) + "```"
    return _page(*parts, _RUN_ONNX.replace("FOLDS", str(folds)) + told, *_shown(record.shown))


def bundle_readme(model: LockedModel, record: ExportRecord) -> str:
    """docs/README.md of a MONAI bundle."""
    locked = model.record
    drawn = "; without `--rois` the model draws them" if locked.segmenter_sha256 is not None else ""
    channels = ", ".join(f"{index}: {as_markdown(name)}" for index, name in locked.channel_names.items())
    return _page(
        *_head(model, "a MONAI bundle"),
        _text(
            "`models/` is the locked model folder itself, byte for byte; the configuration calls AutoDLS, which has "
            "to be installed, and which refuses a file that was altered. So there is no TorchScript file, no pickle, "
            "and no second telling of how a case is prepared: images in, scores out, flagged as by `autodls predict`."
        ),
        _RUN_BUNDLE,
        "MONAI runs whatever a configuration says: take a bundle from people you trust.",
        _text(
            f"`IMAGES` holds CASE_0000{locked.file_ending} and so on, a file a channel ({channels}); `ROIS` holds "
            f"CASE{locked.file_ending}, drawn on the grid of {as_markdown(locked.roi_channel)}{drawn}. `OUT` is new."
        ),
        _text(
            "`network_def` of the configuration is the networks alone, for programs that have network input already: "
            "float32 [case, sequence * channel, H, W] to the calibrated probability, float64 [case, 1]. A sequence "
            "all of whose planes are zeros counts as missing. It takes `torch.from_numpy(pixels).flatten(1, 2)` of:"
        ),
        *_sample(model, "models/plan.json"),
        *_shown(record.shown),
    )


def _page(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"


def _text(paragraph: str) -> str:
    return fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _head(model: LockedModel, form: str) -> list[str]:
    locked = model.record
    name, sequences = as_markdown(locked.target.name), as_markdown(", ".join(model.plan.sequences))
    what = (
        f"Deep learning score (DLS) of {name} from {sequences}; {locked.folds} folds, trained on "
        f"{locked.training_cases} cases, high at or above {locked.cutoff:.6g}. Written by AutoDLS from the model "
        f"whose model.json has the SHA-256 {model.sha256}."
    )
    drawn = (
        "The model was trained on ROIs that networks drew; the graphs described here take an ROI and draw none, and "
        "one drawn by hand may score otherwise."
    )
    return [
        f"# {name}, as {form}",
        "**For research. It is not a medical device.**",
        _text(what),
        *(_text(f"**Caution:** {as_markdown(caution)}.") for caution in model.caveats),
        *([_text(drawn)] if locked.rois == "auto" else []),
    ]


def _arrays(graphs: Sequence[GraphRecord]) -> str:
    rows = ["| file | | array | type | axes | |", "|---|---|---|---|---|---|"]
    for graph in (graphs[0], graphs[-1]):
        for kind, arrays in (("in", graph.inputs), ("out", graph.outputs)):
            for one in arrays:
                lengths = zip(one.axes, one.shape, strict=True)
                axes = ", ".join(name if length is None else f"{name} ({length})" for name, length in lengths)
                rows.append(f"| `{graph.file}` | {kind} | `{one.name}` | {one.dtype} | {axes} | {one.meaning} |")
    return "\n".join(rows)


def _sample(model: LockedModel, plan: str) -> list[str]:
    """From files to network input; the same words in both forms."""
    locked, settings = model.record, model.plan
    several = settings.preprocessing.lesions is not None
    size = settings.preprocessing.input_size_px
    files = ", ".join(f"{name!r}: {name + locked.file_ending!r}" for name in settings.sequences)
    roi = f"roi{locked.file_ending}"
    lines = [
        "import autodls",
        *(["import numpy as np"] if several else []),
        "",
        f"images = {{{files}}}",
        f"sample = autodls.preprocess_case(images, {roi!r}, {plan!r}, roi_labels={locked.roi_labels!r})",
        *(_SEEN_LESIONS if several else _SEEN).format(guided=settings.network.roi_guided).splitlines(),
        f"edge = (seen.shape[-1] - {size}) // 2",
        f"pixels = seen[:, :, :, edge : edge + {size}, edge : edge + {size}]",
    ]
    what = (
        "A case becomes network input by `autodls.preprocess_case` (planes through the largest tumour area in three "
        f"directions, sampled at {settings.preprocessing.spacing_mm:g} mm, intensities normalised by the plan), and by "
        "nothing else; leave out a sequence that the case lacks"
    ) + (". Each lesion is a row, and the patient has the mean of their log-odds:" if several else ":")
    return [_text(what), "\n".join(["```python", *lines, "```"])]


def _shown(shown: ShownEqual) -> list[str]:
    real = f" and {shown.real_cases} real" if shown.real_cases else ""
    what = (
        f"By {shown.runtime}, on {shown.golden_pictures} made-up{real} cases with every pattern of missing sequences "
        f"({shown.rows} scores), both in {shown.computed_in}: log-odds of the DLS differ by at most "
        f"{shown.log_odds:.1g} ({shown.log_odds_within:g} was allowed), other outputs by {shown.probability:.1g}; "
        f"every call is the same, but for {shown.calls_in_band} within {shown.log_odds_within:g} of the cut-off in "
        "log-odds, which are left open. Another runtime, processor or type of number may differ by more, and so may "
        "AutoDLS itself in bfloat16: measure it. Nothing here says that the score is right: the study's report does."
    )
    return ["## Shown equal", _text(what)]
