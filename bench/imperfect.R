# What it measures: the default fit under imperfect interventions (targeted latents keep half of
# their parents' effect), learned setting: RelMSE over the Bayes optimum of the same rows, and the
# same with A and sigma2 known. d = 4, sigma2 = 2, chains and random graphs.
# How to run: Rscript bench/imperfect.R [--seeds=40] [--n=200,2000] [--cores=1] [--quick]; about 10 minutes
# (quick: half one).
# Results: imperfect.csv (a row a data set), imperfect-table.csv (medians, 90th percentiles, worst).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- argument("seeds", if (quick) 2 else 40)
grid <- expand.grid(seed = seq_len(seeds), graph = c("chain", "random"),
                    nonlinearity = c("bounded", "linear", "strong"),
                    n = argument("n", if (quick) 200 else c(200, 2000)),
                    stringsAsFactors = FALSE)

one_data_set <- function(k) {
  g <- grid[k, ]
  set.seed(g$seed)
  dag <- if (g$graph == "chain") chain_dag(4) else random_dag(4, 1.5, max_parents = 2)
  sim <- sim_crl(dag, n = g$n, p = 100, sigma2 = 2, nonlinearity = g$nonlinearity,
                 intervention = "imperfect")
  # steep mechanisms with parents in every domain leave importance sampling few draws that count
  sampler <- if (g$nonlinearity == "strong") "chains" else "auto"
  bayes <- rel_mse(bayes_latents(sim, draws = 1000, sampler = sampler), sim)
  fit <- fit_crl(sim)
  known <- fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2))
  data.frame(g, bayes = bayes, default = rel_mse(fit, sim) / bayes,
             known = rel_mse(known, sim) / bayes, seconds = fit$elapsed, row.names = NULL)
}

found <- parallel::mclapply(seq_len(nrow(grid)), one_data_set, mc.preschedule = FALSE,
                            mc.cores = argument("cores", 1))
broken <- vapply(found, inherits, NA, "try-error")
if (any(broken)) print(found[broken])
rows <- do.call(rbind, found[!broken])
parts <- split(rows, rows[c("n", "nonlinearity", "graph")], drop = TRUE)
table <- do.call(rbind, lapply(parts, function(r) {
  quantiles <- stats::quantile(r$default, c(0.5, 0.9, 1), names = FALSE)
  data.frame(r[1, c("graph", "nonlinearity", "n")], data_sets = nrow(r), median = quantiles[1],
             q90 = quantiles[2], worst = quantiles[3], above_2 = sum(r$default > 2),
             known = stats::median(r$known), row.names = NULL)
}))
name <- paste0("imperfect", if (quick) "-quick" else "", ".csv")
write_result(rows, name)
write_result(table, sub(".csv", "-table.csv", name, fixed = TRUE))
cat(machine(), "\n")
print(table, digits = 3, row.names = FALSE)
