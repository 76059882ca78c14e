# Writes roc.json, survival.json and tables.json beside itself: generated data with what R makes of them.
# Needs R with pROC, survival and jsonlite (Debian: r-base-core r-cran-proc r-cran-survival r-cran-jsonlite).
# Usage: Rscript make_reference.R
library(jsonlite)
suppressMessages({library(pROC); library(survival)})

SEED <- 20250837
set.seed(SEED)
made_with <- list(
  seed = SEED, R = R.version.string,
  pROC = as.character(packageVersion("pROC")), survival = as.character(packageVersion("survival"))
)
folder <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
write_cases <- function(name, cases) {
  text <- toJSON(list(made_with = made_with, cases = cases), digits = I(17), auto_unbox = TRUE, na = "null", null = "null")
  writeLines(gsub("},{\"name\"", "},\n{\"name\"", text, fixed = TRUE), file.path(folder, name))
}
as_rows <- function(matrix) lapply(seq_len(nrow(matrix)), function(row) I(unname(matrix[row, ])))

# --- areas under the ROC curve --------------------------------------------------------------------------------------
roc_case <- function(name, labels, ...) {
  scores <- list(...)
  curves <- lapply(scores, function(s) roc(labels, s, levels = c(0, 1), direction = "<", quiet = TRUE))
  variance <- vapply(curves, function(curve) suppressWarnings(as.numeric(var(curve, method = "delong"))), 0)
  interval <- lapply(curves, function(curve) I(suppressWarnings(as.numeric(ci(curve, method = "delong"))[c(1, 3)])))
  tests <- list()
  for (i in seq_along(curves)) for (j in seq_along(curves)) if (i < j) {
    test <- suppressWarnings(try(roc.test(curves[[i]], curves[[j]], method = "delong", paired = TRUE), silent = TRUE))
    tested <- !inherits(test, "try-error")
    shared <- suppressWarnings(try(as.numeric(cov(curves[[i]], curves[[j]], method = "delong")), silent = TRUE))
    tests[[length(tests) + 1]] <- list(
      a = i - 1, b = j - 1, covariance = if (is.numeric(shared)) shared else NA,
      z = if (tested) unname(test$statistic) else NA, p = if (tested) test$p.value else NA
    )
  }
  list(
    name = name, labels = I(labels), scores = lapply(unname(scores), I),
    auc = I(vapply(curves, function(curve) as.numeric(auc(curve)), 0)),
    variance = I(variance), interval = interval, tests = tests
  )
}

labels <- rbinom(80, 1, 0.33)
signal <- round(rnorm(80) + labels, 4)
noisy <- round(signal + rnorm(80), 4)
noise <- round(rnorm(80), 4)
few <- c(rep(1, 3), rep(0, 197))
rare <- round(rnorm(200) + 1.5 * few, 4)
halves <- rep(c(0, 1), each = 10)
write_cases("roc.json", list(
  roc_case("continuous", labels, signal, noisy, noise),
  roc_case("ties", labels, round(signal), round(noisy * 2) / 2, round(noise)),
  roc_case("below one half", labels, -signal, -noisy),
  roc_case("perfect", halves, 1:20, c(1:9, 11, 10, 12:20)),
  roc_case("reversed", halves, 20:1, c(20:12, 10, 11, 9:1)),
  roc_case("constant", labels, rep(0.5, 80), signal),
  roc_case("identical ranking", labels, signal, round(3 * signal + 1, 4)),
  roc_case("heavy imbalance", few, rare, round(rare + rnorm(200), 4)),
  roc_case("one positive", c(1, rep(0, 19)), c(11.5, 1:19))
))

# --- survival -------------------------------------------------------------------------------------------------------
curve_of <- function(times, events) {
  fit <- survfit(Surv(times, events) ~ 1, conf.type = "log-log")
  limits <- unname(summary(fit)$table[c("median", "0.95LCL", "0.95UCL")])
  list(
    n = length(times), times = I(fit$time), survival = I(fit$surv), low = I(fit$lower), high = I(fit$upper),
    median = limits[1], median_low = limits[2], median_high = limits[3]
  )
}
cox_of <- function(times, events, covariate) {
  fit <- coxph(Surv(times, events) ~ covariate, ties = "efron", control = coxph.control(eps = 1e-12, toler.chol = 1e-13, iter.max = 100))
  rows <- summary(fit)
  list(
    hr = rows$conf.int[1, 1], low = rows$conf.int[1, 3], high = rows$conf.int[1, 4], p = rows$coefficients[1, 5],
    zph = cox.zph(fit, transform = "km")$table[1, 3]
  )
}
survival_case <- function(name, times, events, score, cutoff, cox = TRUE) {
  high <- score >= cutoff
  both <- any(high) && any(!high) && any(events == 1)
  test <- if (both) survdiff(Surv(times, events) ~ high) else NULL
  list(
    name = name, times = I(times), events = I(events), score = I(score), cutoff = cutoff,
    all = curve_of(times, events), high = curve_of(times[high], events[high]),
    follow_up = curve_of(times, 1 - events)$median,
    chi2 = if (both) test$chisq else NA, p = if (both) pchisq(test$chisq, 1, lower.tail = FALSE) else NA,
    cox = if (cox) cox_of(times, events, as.numeric(high)), continuous = if (cox) cox_of(times, events, score)
  )
}
follow <- function(n, score, months, censored) {
  time <- rexp(n, exp(0.8 * score) / months)
  end <- rexp(n, 1 / censored)
  list(times = round(pmin(time, end), 2), events = as.numeric(time <= end))
}
score <- round(rnorm(70), 3)
plain <- follow(70, score, 12, 20)
whole <- pmax(1, round(plain$times / 3))
sparse <- follow(70, score, 40, 6)
skewed <- c(rep(2, 4), round(runif(66), 3))
lopsided <- follow(70, skewed / 2, 15, 20)
write_cases("survival.json", list(
  survival_case("continuous times", plain$times, plain$events, score, 0.2),
  survival_case("tied times", whole, plain$events, score, 0.2),
  survival_case("heavy censoring", sparse$times, sparse$events, score, 0.3),
  survival_case("separated", sparse$times, sparse$events, score, 0, cox = FALSE),
  survival_case("heavy imbalance", lopsided$times, lopsided$events, skewed, 1),
  survival_case("exactly one half", c(1, 2, 3, 4, 5, 6), c(1, 0, 0, 1, 1, 0), c(1, 0, 1, 0, 0, 1), 1, cox = FALSE),
  survival_case("all fail", c(1, 2, 3, 4), c(1, 1, 1, 1), c(0.1, 0.4, 0.3, 0.2), 0.3, cox = FALSE),
  survival_case("no events", c(1, 2, 3, 4), c(0, 0, 0, 0), c(0.1, 0.4, 0.3, 0.2), 0.3, cox = FALSE)
))

# --- tables, proportions, calibration -------------------------------------------------------------------------------
counts_case <- function(name, counts) {
  expected <- suppressWarnings(chisq.test(counts, correct = FALSE))
  exact <- fisher.test(counts, workspace = 2e7)
  list(
    name = name, counts = as_rows(counts), smallest_expected = min(expected$expected),
    chi_square_p = expected$p.value, fisher_p = exact$p.value
  )
}
numbers_case <- function(name, groups) {
  values <- unlist(groups)
  group <- factor(rep(seq_along(groups), lengths(groups)))
  two <- length(groups) == 2
  list(
    name = name, groups = lapply(groups, I),
    parametric_p = if (two) t.test(groups[[1]], groups[[2]], var.equal = TRUE)$p.value
                   else anova(lm(values ~ group))[1, 5],
    rank_p = if (two) suppressWarnings(wilcox.test(groups[[1]], groups[[2]], exact = FALSE, correct = TRUE)$p.value)
             else kruskal.test(values, group)$p.value
  )
}
wilson_case <- function(successes, total) {
  test <- suppressWarnings(prop.test(successes, total, correct = FALSE))
  list(name = "wilson", successes = successes, total = total, low = test$conf.int[1], high = test$conf.int[2])
}
calibration_case <- function(name, labels, probability) {
  logit <- qlogis(probability)
  tight <- glm.control(epsilon = 1e-14, maxit = 100)
  fit <- coef(glm(labels ~ logit, family = binomial, control = tight))
  large <- coef(glm(labels ~ 1, offset = logit, family = binomial, control = tight))
  list(
    name = name, labels = I(labels), probability = I(probability),
    intercept = unname(fit[1]), slope = unname(fit[2]), intercept_large = unname(large[1]),
    brier = mean((labels - probability)^2)
  )
}
normal <- round(rnorm(40, 60, 9), 1)
normal2 <- round(rnorm(30, 64, 9), 1)
normal3 <- round(rnorm(35, 61, 9), 1)
skew <- lapply(c(40, 30, 35), function(n) round(rexp(n, 0.2), 1))
risk <- round(runif(90, 0.02, 0.98), 3)
outcome <- rbinom(90, 1, plogis(0.6 * qlogis(risk) - 0.3))
write_cases("tables.json", list(
  counts = list(
    counts_case("large", matrix(c(31, 115, 121, 11, 48, 56, 14, 47, 73), 3)),
    counts_case("2 x 2, small", matrix(c(3, 9, 8, 2), 2)),
    counts_case("4 x 3, small", matrix(c(5, 4, 1, 2, 0, 6, 7, 1, 3, 2, 2, 8), 4)),
    counts_case("heavy imbalance", matrix(c(120, 2, 60, 5), 2))
  ),
  numbers = list(
    numbers_case("two normal", list(normal, normal2)), numbers_case("three normal", list(normal, normal2, normal3)),
    numbers_case("two skewed", skew[1:2]), numbers_case("three skewed", skew)
  ),
  wilson = list(wilson_case(30, 37), wilson_case(0, 10), wilson_case(10, 10), wilson_case(1, 1), wilson_case(3, 1000)),
  calibration = list(calibration_case("off by both", outcome, risk), calibration_case("rare", rbinom(90, 1, 0.1), risk))
))
