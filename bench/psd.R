# What it measures: the learned setting with correlated columns of A (length 1, condition number 5):
# the default call, and mixing = "psd" from init = "interventional" with the defaults, with the start for linear
# mechanisms, and after 50 EM updates of A, against the Bayes optimum of the same rows; beside it
# the same with A and sigma2 known, with and without the Gaussian reference of the score, and
# mixing = "orthonormal", which has no such A. Share of latents inside their 90 % intervals. d = 4,
# 2000 rows a domain, p = 100, sigma2 = 2, perfect interventions, 40 seeds, three mechanisms.
# How to run: Rscript bench/psd.R [--quick] [--seeds=] [--cores=]; about 10 minutes (quick: 2).
# Results: psd.csv (a row a seed), psd-table.csv (medians and 90th percentiles).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- argument("seeds", if (quick) 6 else 40)
cores <- argument("cores", min(2L, parallel::detectCores()))

one_seed <- function(nonlinearity, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = 2000, mixing = correlated_mixing(100, 4),
                 nonlinearity = nonlinearity)
  # correlated noise is hard on importance sampling, and so are steep mechanisms: a few rows have
  # small effective sample sizes
  strong <- nonlinearity == "strong"
  bayes <- rel_mse(bayes_latents(sim, draws = if (strong) 8000 else 2000,
                                 min_ess = if (strong) 1 else 20), sim)
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  fit <- function(init, mixing, ...) {
    fit_crl(sim, init = init, control = crl_control(mixing = mixing, intervention = "perfect", ...))
  }
  oracle <- fit(known, "psd")
  splines <- fit(known, "psd", spline = spline_control(reference = "none"))
  psd <- fit("interventional", "psd")
  default <- suppressMessages(fit_crl(sim))
  linear <- fit("interventional", "psd", start = start_search(mechanisms = "linear"))
  rotated <- fit("interventional", "orthonormal", max_iter = 0,
                 start = start_search(mechanisms = "linear"))
  error <- function(fit) rel_mse(fit, sim) / bayes
  moved <- tryCatch(error(fit(psd, "psd", update_mixing = TRUE, max_iter = 50)),
                    ebcrl_error_numerical = function(e) NA) # A became singular
  data.frame(
    nonlinearity = nonlinearity, seed = seed, bayes = bayes, oracle = error(oracle),
    oracle_splines = error(splines), psd = error(psd), default = error(default), linear_start = error(linear), moved = moved,
    orthonormal = error(rotated), frobenius_psd = frobenius_error(psd, sim),
    frobenius_linear = frobenius_error(linear, sim),
    frobenius_orthonormal = frobenius_error(rotated, sim), coverage_oracle = coverage(oracle, sim),
    coverage_psd = coverage(psd, sim), coverage_linear = coverage(linear, sim),
    coverage_default = coverage(default, sim), found_correlated = isTRUE(default$columns$correlated),
    found_perfect = isTRUE(default$intervention$perfect), optima = nrow(psd$optima), seconds = psd$elapsed
  )
}

grid <- expand.grid(seed = seq_len(seeds), nonlinearity = c("linear", "bounded", "strong"),
                    stringsAsFactors = FALSE)
rows <- parallel::mcmapply(one_seed, grid$nonlinearity, grid$seed, SIMPLIFY = FALSE,
                           mc.cores = cores, mc.preschedule = FALSE)
result <- do.call(rbind, rows)

table <- do.call(rbind, lapply(split(result, result$nonlinearity), function(r) {
  quantiles <- function(v) {
    v[is.na(v)] <- Inf
    c(stats::median(v), stats::quantile(v, 0.9, names = FALSE, type = 1), max(v))
  }
  figures <- c("oracle", "oracle_splines", "psd", "default", "linear_start", "moved", "orthonormal",
               "frobenius_psd", "frobenius_linear", "frobenius_orthonormal", "seconds")
  data.frame(nonlinearity = r$nonlinearity[1], statistic = c("median", "90th percentile", "worst"),
             lapply(r[figures], quantiles))
}))
cat(machine(), "\n\nRelMSE over the Bayes optimum (oracle: A known; oracle_splines: without the",
    "Gaussian reference; psd: the\ndefaults; linear_start: the start for linear mechanisms; moved:",
    "50 updates of A, Inf where it became singular;\northonormal: the best rotation), squared",
    "Frobenius errors:\n")
print(table, digits = 3, row.names = FALSE)
for (r in split(result, result$nonlinearity)) {
  cat(sprintf("\n%s: psd within 1.3 of the Bayes optimum in %d of %d, orthonormal in %d;",
              r$nonlinearity[1], sum(r$psd <= 1.3), nrow(r), sum(r$orthonormal <= 1.3)),
      sprintf("90%% intervals cover %.1f%% (A known), %.1f%% (learned), %.1f%% (linear start)",
              100 * mean(r$coverage_oracle), 100 * mean(r$coverage_psd),
              100 * mean(r$coverage_linear)),
      sprintf("\n the default call: within 1.3 in %d, columns correlated by the data in %d, perfect in %d",
              sum(r$default <= 1.3), sum(r$found_correlated), sum(r$found_perfect)))
}
cat("\n")
suffix <- if (quick) "-quick" else ""
write_result(result, paste0("psd", suffix, ".csv"))
write_result(table, paste0("psd-table", suffix, ".csv"))
