"""results/compare.json: candidates on the same folds, and the nested choice between them."""

from typing import Literal

from pydantic import Field

from autodls.evaluation.results import Auc, ChiSquare, Estimate
from autodls.records.base import Record

CHOSEN = "chosen"
NESTED = (
    "Settings of every candidate, redundant features, scales and imputation, the weights of integrated scores and the "
    "choice between candidates are made inside each fold's training part; no label of a test case, and no score of "
    "networks that were trained on one, has a part in them."
)
NOT_NESTED = (
    "Networks are judged for the choice on the early-stopping set alone, which has also decided when their training "
    "stopped and so speaks for them, and which is small: the choice for or against them is uncertain. What the plan "
    "decided for the whole training cohort (encoder, crop, intensities) is not chosen again in each fold. The scores "
    "of networks, and of what they are part of, are put on one scale for all folds by location and spread on the "
    "early-stopping sets, and by one slope and one intercept each from all of these."
)


class AddedValue(ChiSquare):
    """Likelihood-ratio test that the deep-learning score adds to the covariates; `p` is one-sided and corrected.

    `chi2` and `df` are of the plain test, of either sign.
    """

    sign: Literal[-1, 1] | None = Field(default=None, description="of the score's coefficient beside the covariates")


class CandidateFold(Record):
    """A candidate in one fold: AUC on the test cases, and what the training part said of it."""

    fold: int = Field(description="its number")
    auc: float | None = Field(description="on its test cases")
    setting: str | None = Field(description="chosen inside the training part")
    inner_auc: float | None = Field(description="cross-validated within the training part; None for networks")
    stopping_auc: float | None = Field(description="on the early-stopping set, which the fold's networks did not learn")


class CandidateResult(Record):
    """A candidate out of fold."""

    auc: Auc = Field(description="out of fold")
    folds: tuple[CandidateFold, ...] = Field(description="one by one")
    chosen_in: tuple[int, ...] = Field(description="folds whose training part chose it")
    made_of: tuple[str, ...] = Field(default=(), description="candidates whose scores it puts together")


class Chosen(Record):
    """What the nested choice comes to: `name` is what it takes on the whole training cohort."""

    name: str = Field(description="the candidate of greatest out-of-fold AUC, which is what can be locked")
    auc: Auc = Field(description="of whatever each fold chose in its training part")
    by_fold: tuple[str, ...] = Field(description="what each fold chose")


class Difference(Record):
    """AUC of `a` less that of `b`, paired, on the out-of-fold scores."""

    a: str = Field(description="a candidate, or chosen")
    b: str = Field(description="another")
    delta: float | None = Field(description="AUC of a less AUC of b")
    low: float | None = Field(default=None, description="lower limit of the 95 % interval")
    high: float | None = Field(default=None, description="upper limit")
    p: float | None = Field(default=None, description="two-sided")
    p_holm: float | None = Field(default=None, description="Holm-adjusted over all pairs")
    reason: str | None = Field(default=None, description="why there is no number")


class NetworkAdds(Record):
    """What the networks' score adds to the candidate `over`."""

    over: str = Field(description="a candidate without networks")
    with_network: str | None = Field(description="the candidate that is made of `over` and the networks' score")
    likelihood_ratio: AddedValue = Field(description="of the score beside the covariates")
    delta_deep: Difference = Field(description="the networks' score alone less `over`")
    delta_with: Difference | None = Field(description="both together less `over`")
    threshold: float = Field(description="of the net benefit: the prevalence, in whole percent")
    net_benefit: dict[str, float | None] = Field(description="by candidate, of cross-fitted probabilities")
    net_benefit_deep: Estimate = Field(description="the networks' score alone less `over`; conditional on these folds")
    net_benefit_with: Estimate | None = Field(description="both together less `over`; conditional on these folds")
    adds: bool = Field(description="whether likelihood ratio and AUC both show it")
    sentence: str = Field(description="the same in words")


class DecisionCurves(Record):
    """Net benefit of an integrated candidate and of its parts, from cross-fitted probabilities; no intervals."""

    thresholds: tuple[float, ...] = Field(description="probabilities")
    treat_all: tuple[float, ...] = Field(description="net benefit of calling everybody")
    net_benefit: dict[str, tuple[float, ...]] = Field(description="by candidate, the integrated one first")


class Comparison(Record):
    """results/compare.json."""

    format: Literal["autodls-compare/1"] = "autodls-compare/1"
    n: int = Field(description="cases")
    positives: int = Field(description="positive cases among them")
    candidates: dict[str, CandidateResult] = Field(description="by name")
    chosen: Chosen = Field(description="the nested choice")
    naive: Auc = Field(description="the out-of-fold AUC of `chosen.name`: flattered, as it was chosen by it")
    cost: Difference = Field(description="`naive` less the AUC of the nested choice")
    differences: tuple[Difference, ...] = Field(description="between pairs of candidates")
    adds: tuple[NetworkAdds, ...] = Field(description="what the networks add to each candidate without them")
    decision: DecisionCurves | None = Field(default=None, description="None where there is no integrated candidate")
    left_out: dict[str, str] = Field(description="why a candidate is not compared, by its name")
    clustered: bool = Field(description="whether some patients have several cases")
    nested: str = Field(description="what is chosen inside each fold, in words")
    not_nested: str = Field(description="what is not, in words")
    experiments: tuple[str, ...] = Field(default=(), description="candidates that are the networks of an experiment")
    made_from: dict[str, str] = Field(default={}, description="SHA-256 of plan.json, splits.json, oof_scores.csv, ...")
