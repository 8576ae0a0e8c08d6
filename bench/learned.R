# What it measures: the learned setting (A and sigma2 unknown) from init = "interventional" with A
# held, against the Bayes optimum of the same rows and against the best rotation inside the
# principal subspace; and what 200 further EM updates of A do. d = 4, 2000 rows a domain, p = 100,
# sigma2 = 2, 40 seeds, three mechanisms; and the linear start alone with d = 10, 500 rows a domain.
# How to run: Rscript bench/learned.R [--quick]; about 10 minutes (quick: 1).
# Results: learned.csv (a row a seed), learned-table.csv (medians and 90th percentiles).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- if (quick) 4 else 40
cores <- min(2L, parallel::detectCores())

# Does every column of A match the latent of its own name best?
labels_right <- function(fit, sim) {
  identical(as.integer(align_latents(fit$mixing, sim$mixing)$permutation), seq_len(ncol(sim$z)))
}

held <- function(sim, mechanisms) {
  fit_crl(sim, control = crl_control(start = start_search(mechanisms = mechanisms)))
}

one_seed <- function(nonlinearity, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = 2000, p = 100, nonlinearity = nonlinearity)
  # the strong mechanism is hard on importance sampling: more draws
  draws <- if (nonlinearity == "strong") 8000 else 2000
  bayes <- rel_mse(bayes_latents(sim, draws = draws), sim)
  known <- fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2))
  sampled <- held(sim, "sampled")
  spline <- held(sim, "spline")
  linear <- held(sim, "linear")
  moved <- fit_crl(sim, control = crl_control(mixing = "orthonormal", max_iter = 200))
  data.frame(
    nonlinearity = nonlinearity, seed = seed, bayes = bayes,
    oracle = rel_mse(known, sim) / bayes, sampled = rel_mse(sampled, sim) / bayes,
    spline = rel_mse(spline, sim) / bayes,
    linear = rel_mse(linear, sim) / bayes, moved = rel_mse(moved, sim) / bayes,
    floor = subspace_floor(sim), frobenius_sampled = frobenius_error(sampled, sim),
    frobenius_spline = frobenius_error(spline, sim),
    frobenius_linear = frobenius_error(linear, sim), labels = labels_right(sampled, sim),
    coverage_oracle = coverage(known, sim), coverage_sampled = coverage(sampled, sim),
    coverage_spline = coverage(spline, sim), seconds_sampled = sampled$elapsed,
    seconds_spline = spline$elapsed
  )
}

start_ten <- function(seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(10), n = 500, p = 100, nonlinearity = "linear")
  seconds <- system.time(
    fit <- fit_crl(sim, init = "interventional",
                   control = crl_control(start = start_search(mechanisms = "linear"), max_iter = 0))
  )[["elapsed"]]
  data.frame(seed = seed, ratio = frobenius_error(fit, sim) / subspace_floor(sim),
             seconds = seconds)
}

grid <- expand.grid(seed = seq_len(seeds), nonlinearity = c("strong", "bounded", "linear"),
                    stringsAsFactors = FALSE)
rows <- parallel::mcmapply(one_seed, grid$nonlinearity, grid$seed, SIMPLIFY = FALSE,
                           mc.cores = cores, mc.preschedule = FALSE)
result <- do.call(rbind, rows)
ten <- do.call(rbind, parallel::mclapply(seq_len(seeds), start_ten, mc.cores = cores))

table <- do.call(rbind, lapply(split(result, result$nonlinearity), function(r) {
  quantiles <- function(v) c(stats::median(v), stats::quantile(v, 0.9, names = FALSE), max(v))
  data.frame(
    nonlinearity = r$nonlinearity[1], statistic = c("median", "90th percentile", "worst"),
    oracle = quantiles(r$oracle), sampled = quantiles(r$sampled), spline = quantiles(r$spline),
    linear = quantiles(r$linear), moved = quantiles(r$moved),
    sampled_over_floor = quantiles(r$frobenius_sampled / r$floor),
    spline_over_floor = quantiles(r$frobenius_spline / r$floor),
    linear_over_floor = quantiles(r$frobenius_linear / r$floor),
    seconds_sampled = quantiles(r$seconds_sampled), seconds_spline = quantiles(r$seconds_spline)
  )
}))
cat(machine(), "\n\nRelMSE over the Bayes optimum (oracle: A known; sampled, spline, linear: A",
    "held at that start; moved: 200 updates of A after it),\n",
    "squared Frobenius error over the subspace's:\n")
print(table, digits = 3, row.names = FALSE)
for (r in split(result, result$nonlinearity)) {
  cat(sprintf(paste("\n%s: linear start within 1.5 of the floor in %d of %d, spline start in %d,",
                    "sampled start in %d; labels right in %d;"),
              r$nonlinearity[1], sum(r$frobenius_linear < 1.5 * r$floor), nrow(r),
              sum(r$frobenius_spline < 1.5 * r$floor), sum(r$frobenius_sampled < 1.5 * r$floor),
              sum(r$labels)),
      sprintf("90%% intervals cover %.1f%% (A known), %.1f%% (sampled), %.1f%% (spline)",
              100 * mean(r$coverage_oracle), 100 * mean(r$coverage_sampled),
              100 * mean(r$coverage_spline)))
}
cat(sprintf(paste("\nd = 10, 500 rows a domain, linear: within 1.5 of the floor in %d of %d,",
                  "median %.2f s, worst %.2f s\n"),
            sum(ten$ratio < 1.5), nrow(ten), stats::median(ten$seconds), max(ten$seconds)))
suffix <- if (quick) "-quick" else ""
write_result(result, paste0("learned", suffix, ".csv"))
write_result(table, paste0("learned-table", suffix, ".csv"))
