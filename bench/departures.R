# What it measures: f and g in the learned setting (A and sigma2 unknown) where the data depart from
# what g assumes by default: the latents' noise is not Gaussian (t with 4 degrees of freedom, or
# skewed: centred exponential), or interventions leave half of the parents' effect; and what it
# costs, or brings, to assume perfect interventions. Chain of four, p = 100, sigma2 = 2, bounded
# mechanisms, 2000 and 500 rows a domain. RelMSE, and where the Bayes optimum can be had (Gaussian
# noise) relative to it.
# How to run: Rscript bench/departures.R [--seeds=8] [--quick]; about 12 minutes (quick: 1).
# Results: departures.csv (a row a fit), departures-table.csv (medians over seeds).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- argument("seeds", if (quick) 1 else 8)
cores <- min(2L, parallel::detectCores())

data_sets <- list(
  "as assumed" = list(),
  "t noise" = list(noise = "t4"),
  "skewed noise" = list(noise = "skewed"),
  "imperfect interventions" = list(intervention = "imperfect")
)
models <- list(
  "f" = list(),
  "f, perfect" = list(intervention = "perfect"),
  "g" = list(method = "g"),
  "g, perfect" = list(method = "g", intervention = "perfect"),
  "g, 2 components" = list(method = "g", prior = prior_spline(noise = 2)),
  "g, 3 components" = list(method = "g", prior = prior_spline(noise = 3))
)

one_fit <- function(model, sim, bayes) {
  settings <- models[[model]]
  method <- if (is.null(settings$method)) "f" else settings$method
  control <- do.call(crl_control, c(settings[names(settings) != "method"], seed = 1))
  seconds <- cpu_seconds(fit <- fit_crl(sim, method = method, control = control))
  data.frame(model, rel_mse = rel_mse(fit, sim), ratio = rel_mse(fit, sim) / bayes,
             frobenius = frobenius_error(fit, sim), seconds)
}

one_data_set <- function(data, n, seed) {
  set.seed(seed)
  sim <- do.call(sim_crl, c(list(n = n), data_sets[[data]]))
  bayes <- NA
  if (sim$scm$noise == "gaussian") bayes <- rel_mse(bayes_latents(sim, draws = 1000), sim)
  cbind(data, n, seed, do.call(rbind, lapply(names(models), one_fit, sim, bayes)))
}

grid <- expand.grid(data = names(data_sets), n = c(2000, 500), seed = seq_len(seeds),
                    stringsAsFactors = FALSE)
rows <- parallel::mcmapply(one_data_set, grid$data, grid$n, grid$seed, SIMPLIFY = FALSE,
                           mc.cores = cores, mc.preschedule = FALSE)
result <- do.call(rbind, unname(rows))
middle <- function(v) stats::median(v, na.rm = TRUE)
table <- stats::aggregate(cbind(rel_mse, ratio, frobenius, seconds) ~ model + data + n, result,
                          middle, na.action = stats::na.pass)
cat(machine(), "\n\nMedians over", seeds, "seeds:\n")
print(table, digits = 3, row.names = FALSE)
suffix <- if (quick) "-quick" else ""
write_result(result, paste0("departures", suffix, ".csv"))
write_result(table, paste0("departures-table", suffix, ".csv"))
