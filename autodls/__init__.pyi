from autodls import stats as stats
from autodls.preprocessing.one_case import preprocess_case as preprocess_case
from autodls.scoring import load_model as load_model
from autodls.study import Study as Study

__version__: str
__all__ = ["Study", "__version__", "load_model", "preprocess_case", "stats"]
