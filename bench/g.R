# What it measures: g-modeling in the learned setting (A and sigma2 unknown) against the Bayes
# optimum of the same rows: error of the latents and of A, noise variances, mechanisms, coverage of
# 90 % intervals, an f fit that holds g's A, seconds. d = 4, 2000 rows a domain, p = 100,
# sigma2 = 2, three mechanisms; then d = 10 and 20, 500 rows a domain, chain and random graphs; and
# the time of a fit against the number of rows.
# How to run: Rscript bench/g.R [--seeds=40] [--large=8] [--quick]; about an hour (quick: 2).
# Goes on from what is done.
# Results: g.csv (a row a seed), g-large.csv (likewise), g-rows.csv (a row a number of rows).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- argument("seeds", if (quick) 3 else 40)
large_seeds <- argument("large", min(seeds, 8))
cores <- min(2L, parallel::detectCores())
suffix <- if (quick) "-quick.csv" else ".csv"

# Largest distance of a curve from the true mechanism over the central 95 % of its parent, over the
# nodes where they are not targeted: in units of the sd of the node's noise, and of the node there.
curve_error <- function(fit, sim) {
  signs <- align_latents(fit$mixing, sim$mixing)$signs
  names(signs) <- colnames(sim$z)
  g <- switch(sim$scm$nonlinearity,
    linear = identity,
    bounded = function(z) tanh(3 * z) + tanh(3 * z)^3,
    strong = function(z) {
      x <- pmin(pmax(3 * z, -2), 2)
      tanh(x) + x^3
    }
  )
  curves <- mechanisms(fit)
  curves <- curves[curves$state == 0 & !is.na(curves$parent), ]
  distances <- vapply(split(curves, curves$node), function(curve) {
    node <- curve$node[1]
    parent <- curve$parent[1]
    rows <- sim$targets[as.integer(sim$env), node] == 0
    ends <- stats::quantile(sim$z[rows, parent], c(0.025, 0.975))
    z <- curve$z * signs[parent]
    inside <- z > ends[1] & z < ends[2]
    truth <- sim$scm$edge_weights[parent, node] * g(z)
    max(abs(curve$mean * signs[node] - truth)[inside]) /
      c(noise = sqrt(sim$scm$noise_var[[1]]), node = stats::sd(sim$z[rows, node]))
  }, numeric(2))
  apply(distances, 1, max)
}

one_seed <- function(nonlinearity, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = 2000, p = 100, nonlinearity = nonlinearity)
  draws <- if (nonlinearity == "strong") 8000 else 2000
  bayes <- rel_mse(bayes_latents(sim, draws = draws), sim)
  seconds <- cpu_seconds(g <- fit_crl(sim, method = "g"))
  f <- fit_crl(sim, init = g, control = crl_control(mixing = "fixed"))
  curves <- curve_error(g, sim)
  noise <- abs(g$latent_noise_var / rep(c(4, 1), each = 4) - 1)
  data.frame(
    nonlinearity = nonlinearity, seed = seed, g = rel_mse(g, sim) / bayes,
    f_from_g = rel_mse(f, sim) / bayes, frobenius = frobenius_error(g, sim) / subspace_floor(sim),
    coverage = coverage(g, sim), noise_error = mean(noise), noise_worst = max(noise),
    curve_error = curves[["noise"]], curve_node = curves[["node"]], converged = g$converged,
    seconds = seconds
  )
}

one_large <- function(d, graph, seed) {
  set.seed(seed)
  dag <- if (graph == "chain") chain_dag(d) else random_dag(d, 1, max_parents = 3)
  sim <- sim_crl(dag, n = 500, p = 100)
  bayes <- rel_mse(bayes_latents(sim), sim)
  seconds <- cpu_seconds(g <- fit_crl(sim, method = "g"))
  data.frame(d = d, graph = graph, seed = seed, ratio = rel_mse(g, sim) / bayes,
             frobenius = frobenius_error(g, sim) / subspace_floor(sim), coverage = coverage(g, sim),
             seconds = seconds)
}

# Processor time of a fit of chains of four, and of an iteration.
time_of_rows <- function(n) {
  set.seed(1)
  sim <- sim_crl(chain_dag(4), n = n / 4, p = 100)
  seconds <- cpu_seconds(g <- fit_crl(sim, method = "g"))
  iterations <- nrow(g$trace)
  data.frame(n = n, iterations = iterations, seconds = seconds, ms = 1000 * seconds / iterations)
}

# Runs fun over the rows of grid that the result file lacks, a few at a time, and keeps the file.
resume <- function(grid, fun, name) {
  done <- if (file.exists(result_path(name))) utils::read.csv(result_path(name)) else NULL
  key <- function(t) do.call(paste, t[names(grid)])
  todo <- which(!key(grid) %in% if (!is.null(done)) key(done))
  for (some in split(todo, ceiling(seq_along(todo) / 12))) {
    found <- parallel::mclapply(some, function(k) do.call(fun, grid[k, ]), mc.cores = cores,
                                mc.preschedule = FALSE)
    broken <- vapply(found, inherits, NA, "try-error")
    if (any(broken)) print(found[broken])
    done <- rbind(done, do.call(rbind, found[!broken]))
    write_result(done, name)
  }
  done
}

cat(machine(), "\n\n")
grid <- expand.grid(nonlinearity = c("bounded", "linear", "strong"), seed = seq_len(seeds),
                    stringsAsFactors = FALSE)
result <- resume(grid, one_seed, paste0("g", suffix))
shown <- c("g", "f_from_g", "frobenius", "noise_error", "noise_worst", "curve_error", "curve_node",
           "seconds")
for (r in split(result, result$nonlinearity)) {
  quantiles <- function(v) {
    sprintf("%.3f / %.3f / %.3f", stats::median(v), stats::quantile(v, 0.9, names = FALSE), max(v))
  }
  cat(sprintf("%s, %d seeds, median / 90th percentile / worst:\n", r$nonlinearity[1], nrow(r)),
      paste0("  ", shown, ": ", vapply(r[shown], quantiles, ""), "\n"),
      sprintf("  coverage %.1f %% (%.1f to %.1f); converged in %d\n", 100 * mean(r$coverage),
              100 * min(r$coverage), 100 * max(r$coverage), sum(r$converged)), sep = "")
}
grid <- expand.grid(d = c(10, 20), graph = c("chain", "random"), seed = seq_len(large_seeds),
                    stringsAsFactors = FALSE)
large <- resume(grid, one_large, paste0("g-large", suffix))
print(stats::aggregate(cbind(ratio, frobenius, coverage, seconds) ~ d + graph, large,
                       stats::median))
rows <- do.call(rbind, lapply(if (quick) c(1000, 2000) else c(2000, 8000, 32000, 128000),
                              time_of_rows))
print(rows)
cat(sprintf("Log-log slope of time an iteration against rows: %.2f\n",
            stats::coef(stats::lm(log(ms) ~ log(n), rows))[[2]]))
write_result(rows, paste0("g-rows", suffix))
