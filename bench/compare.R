# What it measures: how often crl_compare() finds the true graph, and whether the standard errors
# of its differences are right. Mixing matrix and noise variance known; chain of d = 4, p = 100,
# sigma2 = 2, 200 and 2000 rows a domain, three mechanisms; the true graph against one edge missing,
# one edge too many, no edges, all edges, and pooled domains.
# How to run: Rscript bench/compare.R [--seeds=20] [--cores=2] [--quick]; about 25 s a seed.
# Results: compare.csv (a row a data set and model): difference of the loss to that of the true
# graph, its standard error, error of the latents relative to that of the true graph.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "common.R"))
suppressPackageStartupMessages(library(ebcrl))

seeds <- seq_len(argument("seeds", if (quick) 2 else 20))
cores <- argument("cores", 1)

graphs <- list(true = chain_dag(4),
               missing = as_dag("z1 -> z2; z3 -> z4", nodes = paste0("z", 1:4)),
               extra = as_dag("z1 -> z2 -> z3 -> z4; z1 -> z3"), empty = empty_dag(4),
               complete = complete_dag(4))

one_data_set <- function(nonlinearity, n, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = n, p = 100, nonlinearity = nonlinearity)
  fit <- function(dag) {
    fit_crl(sim, dag = dag, init = list(mixing = sim$mixing, sigma2 = sim$sigma2),
            control = crl_control(mixing = "fixed"))
  }
  fits <- lapply(graphs, fit)
  fits$pooled <- crl_baselines(sim, methods = "pooled", init = fits$true$start,
                               control = fits$true$control)$pooled
  # against the true graph, two by two: the table has differences to the best
  others <- setdiff(names(fits), "true")
  pairs <- lapply(others, function(other) {
    pair <- tidy(crl_compare(fits[c("true", other)]))
    sign <- if (pair$model[1] == "true") 1 else -1
    data.frame(model = other, difference = sign * pair$difference[2],
               se = pair$se_difference[2],
               rel_mse = rel_mse(fits[[other]], sim) / rel_mse(fits$true, sim))
  })
  cbind(nonlinearity = nonlinearity, n = n, seed = seed, do.call(rbind, pairs))
}

grid <- expand.grid(seed = seeds, n = c(200, 2000), nonlinearity = c("bounded", "linear", "strong"),
                    stringsAsFactors = FALSE)
runs <- parallel::mcmapply(one_data_set, grid$nonlinearity, grid$n, grid$seed, SIMPLIFY = FALSE,
                           mc.cores = cores, mc.preschedule = FALSE)
result <- do.call(rbind, runs)

cat(machine(), "\n\nAgainst the true graph, over", length(seeds), "data sets: true graph better,",
    "better and worse by\nmore than two standard errors; mean difference of the loss and its",
    "standard error; relative error of the latents\n")
parts <- split(result, result[c("model", "n", "nonlinearity")])
table <- do.call(rbind, lapply(parts, function(part) {
  data.frame(part[1, c("nonlinearity", "n", "model")], better = sum(part$difference > 0),
             clearly = sum(part$difference > 2 * part$se),
             clearly_worse = sum(part$difference < -2 * part$se),
             difference = mean(part$difference), se = mean(part$se),
             rel_mse = mean(part$rel_mse))
}))
options(width = 120)
print(table, digits = 3, row.names = FALSE)
best <- vapply(split(result$difference, result[c("seed", "n", "nonlinearity")]), min, 0) > 0
cat("\nThe true graph is the best of all in", sum(best), "of", length(best), "data sets\n")
write_result(result, paste0("compare", if (quick) "-quick" else "", ".csv"))
