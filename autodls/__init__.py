"""AutoDLS: self-configuring tumour classification from multi-sequence MR images.

What a program uses; each is imported when it is asked for, so that `import autodls` is light:

- `Study`: a dataset folder and its workspace, with one method a stage;
- `load_model`: a locked model, which scores new cases;
- `preprocess_case`: one case as the networks see it;
- `stats`: DeLong, calibration, decision curves, Kaplan-Meier, Cox, agreement, for anybody's scores.

Nothing prints; whoever wants progress gives a `watch` (`autodls.watch`). Errors are those of `autodls.errors`.
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["Study", "__version__", "load_model", "preprocess_case", "stats"]

# Types are in `__init__.pyi`: an import here, even a deferred one, would lead from every module that asks for the
# version back to the top.
_WHERE = {
    "Study": "autodls.study",
    "load_model": "autodls.scoring",
    "preprocess_case": "autodls.preprocessing.one_case",
    "stats": "autodls.stats",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'autodls' has no attribute '{name}'; it has {', '.join(__all__)}")
    module = import_module(_WHERE[name])
    found = module if name == "stats" else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
