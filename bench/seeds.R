# What it measures: what the latents of the default fit owe to the seed, to the order of rows, to
# the order of the graph's nodes and to the unit of x: root mean square over rows of the difference
# to the first fit, in units of the latent's standard deviation, chain d = 3 and 4, p = 20, 300 and
# 2000 rows a domain, ten data sets; beside it what the fit says of its seed (`start_mc_error`), and
# the processor time of a fit.
# How to run: Rscript bench/seeds.R [--library=DIR of another version] [--seeds=10]; 5 minutes.
# Results: seeds.csv (a row a data set: `_most` is of the latent that moves most), seeds-table.csv.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))
given <- sub("^--library=", "", grep("^--library=", commandArgs(TRUE), value = TRUE))
library(ebcrl, lib.loc = if (length(given) > 0) given)

one <- function(n, d, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(d), n = n, p = 20)
  targets <- unclass(sim$targets)
  fit <- function(x = sim$x, env = sim$env, nodes = seq_len(d), ...) {
    dag <- as_dag(unclass(sim$dag)[nodes, nodes], direction = "from_row")
    fit_crl(x, env, targets[, nodes], dag, control = crl_control(threads = 1, ...))
  }
  seconds <- cpu_seconds(first <- fit())
  size <- apply(first$latents, 2, stats::sd)
  moved <- function(latents) {
    latents <- latents * rep(sign(colSums(latents * first$latents)), each = nrow(latents))
    sqrt(colMeans((latents - first$latents)^2)) / size
  }
  rows <- sample(nrow(sim$x))
  nodes <- sample(d)
  by <- list(seed = moved(fit(seed = 2)$latents),
             rows = moved(fit(sim$x[rows, ], sim$env[rows])$latents[order(rows), ]),
             nodes = moved(fit(nodes = nodes)$latents[, order(nodes)]),
             unit = moved(fit(1e8 * sim$x)$latents / 1e8))
  mean <- vapply(by, function(m) sqrt(mean(m^2)), 0)
  most <- stats::setNames(vapply(by, max, 0), paste0(names(by), "_most"))
  said <- first$start_mc_error
  data.frame(n = n, d = d, data = seed, t(mean), t(most),
             said = if (is.null(said)) NA else sqrt(2 * mean(said^2)),
             frobenius = frobenius_error(first, sim), seconds = seconds)
}

grid <- expand.grid(data = seq_len(argument("seeds", 10)), d = 3:4, n = c(300, 2000))
result <- do.call(rbind, Map(one, grid$n, grid$d, grid$data))
kinds <- c("seed", "rows", "nodes", "unit")
table <- do.call(rbind, lapply(split(result, list(result$d, result$n)), function(r) {
  data.frame(n = r$n[1], d = r$d[1], by = kinds,
             median = vapply(r[kinds], stats::median, 0),
             worst = vapply(r[paste0(kinds, "_most")], max, 0),
             root_mean_square = vapply(r[kinds], function(m) sqrt(mean(m^2)), 0),
             said = c(sqrt(mean(r$said^2)), NA, NA, NA), frobenius = stats::median(r$frobenius),
             seconds = stats::median(r$seconds))
}))
print(table, digits = 2, row.names = FALSE)
suffix <- if (length(given) > 0) "-before.csv" else ".csv"
write_result(result, paste0("seeds", suffix))
write_result(table, paste0("seeds-table", suffix))
