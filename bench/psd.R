# What it measures: the learned setting with correlated columns of A (length 1, condition number 5):
# mixing = "psd" from init = "interventional", A held there and after 50 EM updates, each with
# lambda = 5 and 100, against the Bayes optimum of the same rows; beside it the same with A and
# sigma2 known, with and without the Gaussian reference of the score, and mixing = "orthonormal",
# which has no such A. d = 4, 2000 rows a domain, p = 100, sigma2 = 2, perfect interventions, 40
# seeds, two mechanisms.
# How to run: Rscript bench/psd.R [--quick]; about 8 minutes (quick, 6 seeds: 1).
# Results: psd.csv (a row a seed), psd-table.csv (medians and 90th percentiles).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- if (quick) 6 else 40
cores <- min(2L, parallel::detectCores())

# p x d, columns of length 1: U C^(1/2), U uniform with orthonormal columns, C a correlation matrix
# that leans from the identity towards a singular one until A has the condition number.
correlated_mixing <- function(p, d, condition = 5) {
  orthonormal <- qr.Q(qr(matrix(rnorm(p * d), p)))
  singular <- stats::cov2cor(tcrossprod(matrix(rnorm(d * (d - 1)), d)))
  correlation <- function(lean) (1 - lean) * diag(d) + lean * singular
  lean <- stats::uniroot(function(lean) kappa(correlation(lean), exact = TRUE) - condition^2,
                         c(0, 1 - 1e-6), tol = 1e-10)$root
  spectrum <- eigen(correlation(lean), symmetric = TRUE)
  orthonormal %*% spectrum$vectors %*% (sqrt(spectrum$values) * t(spectrum$vectors))
}

# Share of the latents inside their 90 % intervals.
coverage <- function(fit, sim) {
  matched <- align_latents(fit$mixing, sim$mixing)
  z <- fit$latents[, matched$permutation] * rep(matched$signs, each = nrow(sim$z))
  mean(abs(z - sim$z) <= stats::qnorm(0.95) * fit$latents_sd[, matched$permutation])
}

one_seed <- function(nonlinearity, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = 2000, mixing = correlated_mixing(100, 4),
                 nonlinearity = nonlinearity)
  # correlated noise is hard on importance sampling: a few rows have small effective sample sizes
  bayes <- rel_mse(bayes_latents(sim, min_ess = 20), sim)
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  fit <- function(init, mixing, ...) {
    fit_crl(sim, init = init, control = crl_control(mixing = mixing, intervention = "perfect", ...))
  }
  oracle <- fit(known, "fixed")
  splines <- fit(known, "fixed", reference = "none")
  held <- fit("interventional", "psd", lambda = 5)
  smooth <- fit(held, "fixed", lambda = 100)
  rotated <- fit("interventional", "orthonormal", max_iter = 0, mechanisms = "linear")
  error <- function(fit) rel_mse(fit, sim) / bayes
  moved <- function(lambda) { # NA: A became singular
    tryCatch(error(fit(held, "psd", lambda = lambda, update_mixing = TRUE, max_iter = 50)),
             ebcrl_error_numerical = function(e) NA)
  }
  data.frame(
    nonlinearity = nonlinearity, seed = seed, bayes = bayes, oracle = error(oracle),
    oracle_splines = error(splines), psd = error(held), psd_moved = moved(5),
    smooth = error(smooth), smooth_moved = moved(100), orthonormal = error(rotated),
    frobenius_psd = frobenius_error(held, sim),
    frobenius_orthonormal = frobenius_error(rotated, sim), coverage_oracle = coverage(oracle, sim),
    coverage_psd = coverage(held, sim), coverage_smooth = coverage(smooth, sim),
    optima = nrow(held$optima), seconds = held$elapsed
  )
}

grid <- expand.grid(seed = seq_len(seeds), nonlinearity = c("linear", "bounded"),
                    stringsAsFactors = FALSE)
rows <- parallel::mcmapply(one_seed, grid$nonlinearity, grid$seed, SIMPLIFY = FALSE,
                           mc.cores = cores, mc.preschedule = FALSE)
result <- do.call(rbind, rows)

table <- do.call(rbind, lapply(split(result, result$nonlinearity), function(r) {
  quantiles <- function(v) {
    v[is.na(v)] <- Inf
    c(stats::median(v), stats::quantile(v, 0.9, names = FALSE, type = 1), max(v))
  }
  figures <- c("oracle", "oracle_splines", "psd", "psd_moved", "smooth", "smooth_moved",
               "orthonormal", "frobenius_psd", "frobenius_orthonormal", "seconds")
  data.frame(nonlinearity = r$nonlinearity[1], statistic = c("median", "90th percentile", "worst"),
             lapply(r[figures], quantiles))
}))
cat(machine(), "\n\nRelMSE over the Bayes optimum (oracle: A known; oracle_splines: without the",
    "Gaussian reference; psd: A held at\nthe start; smooth: with lambda = 100; moved: 50 updates",
    "of A, Inf where it became singular; orthonormal: the best\nrotation), squared Frobenius",
    "errors:\n")
print(table, digits = 3, row.names = FALSE)
for (r in split(result, result$nonlinearity)) {
  cat(sprintf("\n%s: psd within 1.3 of the Bayes optimum in %d of %d, orthonormal in %d;",
              r$nonlinearity[1], sum(r$psd <= 1.3), nrow(r), sum(r$orthonormal <= 1.3)),
      sprintf("90%% intervals cover %.1f%% (A known), %.1f%% (learned), %.1f%% (lambda = 100)",
              100 * mean(r$coverage_oracle), 100 * mean(r$coverage_psd),
              100 * mean(r$coverage_smooth)))
}
cat("\n")
suffix <- if (quick) "-quick" else ""
write_result(result, paste0("psd", suffix, ".csv"))
write_result(table, paste0("psd-table", suffix, ".csv"))
