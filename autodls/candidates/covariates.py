"""Covariates of cases as a regression takes them: levels and numbers, with what is missing."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from autodls.errors import ArgumentError
from autodls.records.clinical_column import UNKNOWN
from autodls.records.columns import read_column

Covariates = Mapping[str, Mapping[str, float | str]]
_CODES = 6  # a column of at most this many different numbers is coded as levels, such as a stage


def covariates_of(
    rows: Mapping[str, Mapping[str, str]], names: Sequence[str], coded: Collection[str] = ()
) -> Covariates:
    """Covariates by name, then by case, from the table `rows` of each case; a missing cell has no entry.

    A column is numeric where it holds numbers (`read_column`) and more than six differ, else categorical. `coded` names
    the columns whose words for missing values are emptied already.

    >>> covariates_of({"a": {"sex": "m"}, "b": {"sex": "NA"}}, ["sex"])
    {'sex': {'a': 'm'}}
    """
    return {name: _covariate({case: row[name] for case, row in rows.items()}, name in coded) for name in names}


def _covariate(cells: Mapping[str, str], coded: bool) -> dict[str, float | str]:
    column = read_column(list(cells.values()), coded=coded)
    known = {case: value for case, value in zip(cells, column.values, strict=True) if value is not None}
    return known if len(set(known.values())) > _CODES else {case: _level(value) for case, value in known.items()}


def _level(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def volume_covariate(volumes_ml: Mapping[str, float]) -> Covariates:
    """The logarithm of tumour volumes, which spread over orders of magnitude; raises ArgumentError for one of 0."""
    if empty := [case for case, volume in volumes_ml.items() if not volume > 0]:
        raise ArgumentError(f"case {empty[0]}: tumour volume {volumes_ml[empty[0]]:g} ml; it must be above 0")
    return {"log volume": {case: float(np.log(volume)) for case, volume in volumes_ml.items()}}


def is_numeric(values: Collection[float | str]) -> bool:
    """Whether the known values of a covariate are numbers."""
    return bool(values) and not any(isinstance(value, str) for value in values)


def frame(covariates: Covariates, cases: Sequence[str]) -> pd.DataFrame:
    """A row a case; missing is NaN in numeric columns and a level of its own in the others."""
    missing = {name: np.nan if is_numeric(values.values()) else UNKNOWN for name, values in covariates.items()}
    return pd.DataFrame(
        {name: [values.get(case, missing[name]) for case in cases] for name, values in covariates.items()}
    )


def preparation(covariates: Covariates) -> ColumnTransformer:
    """Median imputation with an indicator and scaling of numbers, one-hot coding of levels; nothing is fitted yet."""
    numeric = [name for name, values in covariates.items() if is_numeric(values.values())]
    levels = [name for name in covariates if name not in numeric]
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("numbers", numbers, numeric), ("levels", one_hot, levels)])
