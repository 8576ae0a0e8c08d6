# How close the posterior means come to the best possible ones. Oracle setting (mixing matrix and
# noise variance known), bounded nonlinearity, chain of d = 4, p = 100: relative mean squared error
# of the latents with the true, complete and empty graph, pooled domains and no shrinkage, divided
# by that of the Bayes optimum of the same rows; and the same ratio for the true graph over a grid
# of penalty, lambda, knots and range.
#
# Run:   Rscript bench/accuracy.R [--quick]      (ebcrl installed)
# Takes: about 6 minutes; --quick one (4 data sets, a small grid).
# Gives: bench/results/accuracy.csv (graphs) and accuracy-grid.csv, and printed tables.
#
# Aims: true graph, mean ratio at most 1.06 with 2000 rows a domain and 1.10 with 100; empty and
# pooled worse than true, no shrinkage worst. "row" averages |error|^2 / |latents|^2 over rows, as
# the paper does; "pooled" divides the sums, the error that the Bayes optimum minimises on average.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "common.R"))
suppressPackageStartupMessages(library(ebcrl))

seeds <- seq_len(if (quick) 4 else 20)
rows_per_domain <- c(2000, 100)
methods <- c("true", "complete", "empty", "pooled", "no_shrinkage")
grid <- expand.grid(range = c("data", "[-15, 15]"), knots = if (quick) 8 else c(5, 8, 12),
                    lambda = if (quick) c(1, 5, 20) else c(0.1, 1, 5, 20, 100),
                    penalty = c("difference", "ridge"), stringsAsFactors = FALSE)

oracle_control <- function(...) crl_control(mixing = "fixed", sigma2 = "fixed", max_iter = 1, ...)

grid_control <- function(cell) {
  oracle_control(penalty = cell$penalty, lambda = cell$lambda, knots = cell$knots,
                 range = if (cell$range == "data") "data" else c(-15, 15))
}

# Both ratios of error to that of the optimum, for a named list of fits.
ratios <- function(fits, sim, optimum) {
  of <- function(fit, ratio) rel_mse(fit, sim, ratio = ratio) / rel_mse(optimum, sim, ratio = ratio)
  data.frame(method = names(fits), row = vapply(fits, of, 0, ratio = "row"),
             pooled = vapply(fits, of, 0, ratio = "pooled"),
             rel_mse = vapply(fits, rel_mse, 0, truth = sim), bayes = rel_mse(optimum, sim),
             row.names = NULL)
}

one_data_set <- function(seed, n) {
  set.seed(seed)
  sim <- sim_crl(dag = chain_dag(4), n = n, p = 100, nonlinearity = "bounded")
  # 4000 draws: median effective sample size near 4000, so the optimum's own error is 0.03 percent
  optimum <- bayes_latents(sim, draws = 4000, threads = 2)
  start <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  graphs <- ratios(crl_baselines(sim, methods = methods, init = start, control = oracle_control()),
                   sim, optimum)
  fits <- lapply(seq_len(nrow(grid)),
                 function(i) fit_crl(sim, init = start, control = grid_control(grid[i, ])))
  names(fits) <- seq_along(fits)
  settings <- cbind(grid, ratios(fits, sim, optimum)[c("row", "pooled")])
  cat(".")
  list(graphs = cbind(n = n, seed = seed, graphs), settings = cbind(n = n, seed = seed, settings))
}

summarise <- function(table, by) {
  rows <- lapply(split(table, table[rev(by)], drop = TRUE), function(part) {
    data.frame(part[1, by, drop = FALSE], mean = mean(part$row), median = stats::median(part$row),
               worst = max(part$row), mean_pooled = mean(part$pooled), data_sets = nrow(part))
  })
  do.call(rbind, c(rows, make.row.names = FALSE))
}

runs <- unlist(lapply(rows_per_domain, function(n) lapply(seeds, one_data_set, n = n)),
               recursive = FALSE)
cat("\n")
graphs <- do.call(rbind, lapply(runs, `[[`, "graphs"))
graphs$method <- factor(graphs$method, methods)
settings <- summarise(do.call(rbind, lapply(runs, `[[`, "settings")),
                      c("n", "penalty", "range", "knots", "lambda"))

cat("\nError divided by that of the Bayes optimum, default settings, n = rows a domain\n")
print(summarise(graphs, c("n", "method")), row.names = FALSE, digits = 4)
cat("\nBayes optimum, mean relative error:",
    paste0(format(tapply(graphs$bayes, graphs$n, mean), digits = 3), " (n = ",
           sort(rows_per_domain), ")", collapse = ", "), "\n")
cat("\nTrue graph over the settings: mean ratio by lambda\n")
print(stats::xtabs(mean ~ interaction(penalty, range, knots, n, sep = " ") + lambda, settings,
                   drop.unused.levels = TRUE), digits = 4)
suffix <- if (quick) "-quick" else ""
write_result(graphs, paste0("accuracy", suffix, ".csv"))
write_result(settings, paste0("accuracy-grid", suffix, ".csv"))
