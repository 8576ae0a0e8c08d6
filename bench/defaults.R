# What it measures: which score, start, update of A, penalty and reference deserve to be the defaults.
# Learned setting (A and sigma2 unknown): RelMSE over the Bayes optimum of the same rows, on a grid
# of mechanisms, latents, rows a domain, graphs and noise variances, a method a change away from the
# defaults.
# How to run: Rscript bench/defaults.R [--seeds=40] [--minutes=600] [--d=4] [--quick]. Seed by seed over the
# whole grid, so that it may be stopped at any time (or after --minutes); what is done is kept, and
# a later run goes on from there.
# Results: defaults.csv (a row a data set and method), defaults-table.csv (medians and 90th
# percentiles by mechanism and method), defaults-settings.csv (medians by setting, the defaults).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

option <- function(name, default) {
  found <- grep(paste0("^--", name, "="), commandArgs(TRUE), value = TRUE)
  if (length(found) > 0) as.numeric(sub(".*=", "", found[1])) else default
}
seeds <- option("seeds", if (quick) 1 else 40)
stop_at <- Sys.time() + 60 * option("minutes", 600)
cores <- min(2L, parallel::detectCores())
file <- paste0("defaults", if (quick) "-quick" else "", ".csv")

# Updates of A are run for this many iterations: they do not converge in the causal class.
UPDATES <- 50

# A method: settings that differ from the defaults, and its start. "held" shares the interventional
# start of the data set.
methods <- list(
  default = list(),
  markov = list(score = "markov"),
  no_reference = list(reference = "none"),
  markov_no_reference = list(score = "markov", reference = "none"),
  ridge = list(penalty = "ridge", lambda = 1),
  lambda_auto = list(lambda = "auto"),
  ridge_auto = list(penalty = "ridge", lambda = "auto"),
  perfect = list(intervention = "perfect"),
  linear_start = list(mechanisms = "linear"),
  updated = list(mixing = "orthonormal", max_iter = UPDATES),
  updated_no_reference = list(mixing = "orthonormal", max_iter = UPDATES, reference = "none"),
  markov_updated = list(score = "markov", mixing = "orthonormal", max_iter = UPDATES),
  pca = list(init = "pca", max_iter = UPDATES),
  markov_pca = list(init = "pca", score = "markov", max_iter = UPDATES),
  paper = list(preset = "paper", max_iter = UPDATES)
)
# Those that are run where d = 10 and N_e = 2000, where an iteration takes long.
light <- c("default", "no_reference", "ridge", "lambda_auto", "perfect", "linear_start")
own_start <- c("perfect", "linear_start", "pca", "markov_pca", "paper")

grid <- expand.grid(
  nonlinearity = c("bounded", "linear", "strong"), d = c(4, 10), n = c(200, 2000),
  graph = c("chain", "random"), sigma2 = c(0.5, 2), stringsAsFactors = FALSE
)
if (quick) grid <- grid[grid$d == 4 & grid$n == 200, ]
grid <- grid[grid$d <= option("d", 10), ]

simulate_setting <- function(g, seed) {
  set.seed(seed)
  dag <- if (g$graph == "chain") chain_dag(g$d) else random_dag(g$d, 1.5, max_parents = 2)
  sim_crl(dag, n = g$n, p = 100, sigma2 = g$sigma2, nonlinearity = g$nonlinearity)
}

fit_method <- function(name, sim, start) {
  settings <- methods[[name]]
  init <- settings$init
  settings$init <- NULL
  if (!name %in% own_start) init <- start
  fit_crl(sim, init = init, control = do.call(crl_control, settings))
}

one_data_set <- function(k, seed) {
  g <- grid[k, ]
  sim <- simulate_setting(g, seed)
  draws <- if (g$nonlinearity == "strong") 8000 else 2000
  bayes <- rel_mse(if (g$d <= 5) bayes_latents(sim, draws = draws) else bayes_latents(sim), sim)
  started <- fit_crl(sim, control = crl_control(max_iter = 0))
  start <- list(mixing = started$mixing)
  known <- fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2))
  run <- if (g$d == 4) names(methods) else light
  rows <- lapply(run, function(name) {
    fit <- tryCatch(fit_method(name, sim, start), ebcrl_error = identity)
    failed <- inherits(fit, "error")
    data.frame(method = name, ratio = if (failed) NA else rel_mse(fit, sim) / bayes,
               frobenius = if (failed) NA else frobenius_error(fit, sim),
               seconds = if (failed) NA else fit$elapsed)
  })
  rows <- c(rows, list(data.frame(method = "A known", ratio = rel_mse(known, sim) / bayes,
                                  frobenius = 0, seconds = known$elapsed)))
  cbind(g, seed = seed, bayes = bayes, do.call(rbind, rows), row.names = NULL)
}

done <- if (file.exists(result_path(file))) utils::read.csv(result_path(file)) else NULL
for (seed in seq_len(seeds)) {
  key <- function(t) paste(t$nonlinearity, t$d, t$n, t$graph, t$sigma2)
  todo <- which(!key(grid) %in% if (!is.null(done)) key(done[done$seed == seed, ]))
  if (length(todo) == 0 || Sys.time() > stop_at) next
  found <- parallel::mclapply(todo, one_data_set, seed = seed, mc.cores = cores,
                              mc.preschedule = FALSE)
  broken <- vapply(found, inherits, NA, "try-error")
  if (any(broken)) print(found[broken])
  done <- rbind(done, do.call(rbind, found[!broken]))
  write_result(done, file)
}

summarise <- function(rows, by) {
  parts <- split(rows, rows[by], drop = TRUE)
  do.call(rbind, lapply(parts, function(r) {
    data.frame(r[1, by, drop = FALSE], data_sets = nrow(r),
               median = stats::median(r$ratio, na.rm = TRUE),
               q90 = stats::quantile(r$ratio, 0.9, names = FALSE, na.rm = TRUE),
               failed = sum(is.na(r$ratio)), seconds = stats::median(r$seconds, na.rm = TRUE),
               row.names = NULL)
  }))
}
table <- summarise(done[done$d == 4, ], c("method", "nonlinearity"))
table <- table[order(table$nonlinearity, table$median), ]
settings <- summarise(done[done$method %in% c("default", "A known"), ],
                      c("method", "nonlinearity", "d", "n", "graph", "sigma2"))
cat(machine(), "\n\nLearned setting, d = 4, RelMSE over the Bayes optimum, all settings:\n")
print(table, digits = 3, row.names = FALSE)
cat("\nBy setting, the defaults:\n")
print(settings, digits = 3, row.names = FALSE)
write_result(table, sub(".csv", "-table.csv", file, fixed = TRUE))
write_result(settings, sub(".csv", "-settings.csv", file, fixed = TRUE))
