# What it measures: the learned setting (A and sigma2 unknown) where the latents' noise is not
# Gaussian: RelMSE of g-modeling with Gaussian noise and with mixtures of two and three components,
# and of f-modeling. Chain of four, p = 100, sigma2 = 2, bounded mechanisms, 2000 and 500 rows a
# domain; noise Gaussian, t with 4 degrees of freedom, and skewed (centred exponential).
# How to run: Rscript bench/noise.R [--quick] [--seeds=8]; about 8 minutes (quick: 1).
# Results: noise.csv (a row a fit), noise-table.csv (medians over seeds).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- argument("seeds", if (quick) 1 else 8)
models <- list("f" = "f", "g, Gaussian" = "gaussian", "g, 2 components" = 2,
               "g, 3 components" = 3)

one_fit <- function(sim, model) {
  control <- crl_control(seed = 1)
  if (!identical(model, "f")) control$noise <- model
  fit <- fit_crl(sim, method = if (identical(model, "f")) "f" else "g", control = control)
  list(rel_mse = rel_mse(fit, sim), frobenius = frobenius_error(fit, sim),
       pooled = rel_mse(fit, sim, ratio = "pooled"))
}

one_seed <- function(seed, noise, n) {
  set.seed(seed)
  sim <- sim_crl(n = n, noise = noise)
  do.call(rbind, lapply(names(models), function(name) {
    seconds <- cpu_seconds(out <- one_fit(sim, models[[name]]))
    data.frame(noise, n, seed, model = name, out, seconds)
  }))
}

grid <- expand.grid(seed = seq_len(seeds), noise = c("gaussian", "t4", "skewed"),
                    n = c(2000, 500), stringsAsFactors = FALSE)
result <- do.call(rbind, Map(one_seed, grid$seed, grid$noise, grid$n))
table <- stats::aggregate(cbind(rel_mse, pooled, frobenius, seconds) ~ model + noise + n, result,
                          stats::median)
cat(machine(), "\n\nMedians over", seeds, "seeds:\n")
print(table, digits = 3, row.names = FALSE)
suffix <- if (quick) "-quick" else ""
write_result(result, paste0("noise", suffix, ".csv"))
write_result(table, paste0("noise-table", suffix, ".csv"))
