# What it measures: which score, start, update of A, penalty and reference should be the defaults.
# Learned setting (A and sigma2 unknown): RelMSE over the Bayes optimum of the same rows, on a grid
# of mechanisms, latents, rows a domain, graphs and noise variances. A method is a combination of
# settings.
# How to run: Rscript bench/defaults.R [--seeds=40] [--others=10] [--minutes=600] [--d=4,10]
# [--n=200,2000] [--cores=2] [--quick]. Seed by seed over the whole grid (or the part that --d and
# --n name), so that it may be stopped at any time (or after --minutes); what is done is kept, and a
# later run goes on from there. Methods that take long a fit are run for fewer seeds or settings
# (`long_updates`, `with_ten`, `few_with_ten`).
# Results: defaults.csv (a row a data set and method), defaults-table.csv (medians and 90th
# percentiles by method, mechanism, latents and rows), defaults-settings.csv (by setting, the
# default). The tables of the method vignette are printed.

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- argument("seeds", if (quick) 1 else 40)
stop_at <- Sys.time() + 60 * argument("minutes", 600)
cores <- argument("cores", min(2L, parallel::detectCores()))
file <- paste0("defaults", if (quick) "-quick" else "", ".csv")

# Updates of A are run for this many iterations: they do not converge in the causal class.
UPDATES <- 50

# Settings of crl_control() that differ from the defaults. Those with `from` begin from the A of the
# spline start.
splines_alone <- list(reference = "none")
methods <- list(
  "sampled start" = list(start = list(mechanisms = "sampled")),
  "sampled start, perfect" = list(start = list(mechanisms = "sampled"), intervention = "perfect"),
  "spline start" = list(start = list(mechanisms = "spline")),
  "linear start" = list(start = list(mechanisms = "linear")),
  "spline start, perfect" = list(start = list(mechanisms = "spline"), intervention = "perfect"),
  "markov" = list(from = "spline", score = "markov"),
  "no reference" = list(from = "spline", spline = splines_alone),
  "markov, no reference" = list(from = "spline", score = "markov", spline = splines_alone),
  "ridge" = list(from = "spline", penalty = "ridge", lambda = 1),
  "ridge, no reference" = list(from = "spline", penalty = "ridge", lambda = 1, spline = splines_alone),
  "lambda auto" = list(from = "spline", lambda = "auto"),
  "ridge, lambda auto" = list(from = "spline", penalty = "ridge", lambda = "auto"),
  "eta auto" = list(from = "spline", eta = "auto"),
  "updated" = list(from = "spline", mixing = "orthonormal", max_iter = UPDATES),
  "updated, no reference" = list(from = "spline", mixing = "orthonormal", max_iter = UPDATES,
                                 spline = splines_alone),
  "pca, updated" = list(init = "pca", max_iter = UPDATES),
  "paper" = list(preset = "paper", max_iter = UPDATES),
  "markov, updated" = list(from = "spline", score = "markov", mixing = "orthonormal",
                           max_iter = UPDATES)
)
# What is left out where a fit takes long: with 2000 rows a domain, and with ten latents. ("markov,
# updated" is run for chains only.)
long_updates <- c("markov, updated", "pca, updated", "paper", "updated, no reference", "eta auto")
with_ten <- c("sampled start", "sampled start, perfect", "spline start", "linear start",
              "spline start, perfect", "markov", "markov, no reference", "no reference", "ridge",
              "lambda auto", "updated")

# With ten latents all starts get all seeds, the others so many (--others).
starts_alone <- c("A known", "sampled start", "spline start", "linear start")
few_with_ten <- argument("others", 10)

grid <- expand.grid(
  nonlinearity = c("bounded", "linear", "strong"), d = c(4, 10), n = c(200, 2000),
  graph = c("chain", "random"), sigma2 = c(0.5, 2), stringsAsFactors = FALSE
)
if (quick) grid <- grid[grid$d == 4 & grid$n == 200, ]
grid <- grid[grid$d %in% argument("d", c(4, 10)) & grid$n %in% argument("n", c(200, 2000)), ]

simulate_setting <- function(g, seed) {
  set.seed(seed)
  dag <- if (g$graph == "chain") chain_dag(g$d) else random_dag(g$d, 1.5, max_parents = 2)
  sim_crl(dag, n = g$n, p = 100, sigma2 = g$sigma2, nonlinearity = g$nonlinearity)
}

# splines(): the fit of the spline start, made when it is first asked for.
fit_method <- function(name, sim, splines) {
  if (name == "spline start") return(splines())
  settings <- methods[[name]]
  init <- if (is.null(settings$from)) settings$init else list(mixing = splines()$mixing)
  control <- settings[setdiff(names(settings), c("from", "init"))]
  fit_crl(sim, init = init, control = do.call(crl_control, control))
}

wanted_methods <- function(g, seed) {
  run <- if (g$d > 4) with_ten else names(methods)
  if (g$d > 4 && seed > few_with_ten) run <- intersect(run, starts_alone)
  if (g$n > 200) run <- setdiff(run, long_updates)
  if (g$graph == "random") run <- setdiff(run, "markov, updated")
  c("A known", run)
}

# RelMSE of the Bayes optimum. Chains (d > 5) are short and run twice: the product of their errors
# has the expectation of the squared error without that of the draws, which 2 x 100 draws would make
# 1 % larger (2000 draws, 5 times slower, give the same to 3e-4).
bayes_error <- function(g, sim) {
  if (g$d <= 5) {
    return(rel_mse(bayes_latents(sim, draws = if (g$nonlinearity == "strong") 2000 else 500), sim))
  }
  errors <- replicate(2, bayes_latents(sim, draws = 100)$latents - sim$z)
  mean(rowSums(errors[, , 1] * errors[, , 2]) / rowSums(sim$z^2))
}

one_method <- function(name, sim, splines, bayes) {
  fit <- tryCatch(if (name == "A known") {
    fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2))
  } else {
    fit_method(name, sim, splines)
  }, ebcrl_error = identity)
  failed <- inherits(fit, "error")
  data.frame(method = name, bayes = bayes, ratio = if (failed) NA else rel_mse(fit, sim) / bayes,
             frobenius = if (failed) NA else frobenius_error(fit, sim),
             seconds = if (failed) NA else fit$elapsed)
}

one_data_set <- function(k, seed) {
  g <- grid[k, ]
  before <- if (!is.null(done)) done[key(done) == key(g) & done$seed == seed, ]
  run <- setdiff(wanted_methods(g, seed), before$method)
  sim <- simulate_setting(g, seed)
  bayes <- if (length(before$bayes) > 0) before$bayes[1] else bayes_error(g, sim)
  spline_fit <- NULL
  splines <- function() {
    if (is.null(spline_fit)) {
      spline_fit <<- fit_crl(sim,
                             control = crl_control(start = start_search(mechanisms = "spline")))
    }
    spline_fit
  }
  rows <- lapply(run, one_method, sim, splines, bayes)
  cbind(g, seed = seed, do.call(rbind, rows), row.names = NULL)
}

key <- function(t) paste(t$nonlinearity, t$d, t$n, t$graph, t$sigma2)
is_done <- function(k, seed) {
  found <- done$method[key(done) == key(grid[k, ]) & done$seed == seed]
  all(wanted_methods(grid[k, ], seed) %in% found)
}

done <- if (file.exists(result_path(file))) utils::read.csv(result_path(file)) else NULL
for (seed in seq_len(seeds)) {
  todo <- Filter(function(k) is.null(done) || !is_done(k, seed), seq_len(nrow(grid)))
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
by_size <- summarise(done, c("method", "nonlinearity", "d", "n"))
by_size <- by_size[order(by_size$d, by_size$n, by_size$nonlinearity, by_size$median), ]
settings <- summarise(done[done$method %in% c("sampled start", "A known"), ],
                      c("method", "nonlinearity", "d", "n", "graph", "sigma2"))
write_result(by_size, sub(".csv", "-table.csv", file, fixed = TRUE))
write_result(settings, sub(".csv", "-settings.csv", file, fixed = TRUE))

# "median (90th percentile)" by method, a column a mechanism and number of rows, as Markdown.
print_markdown <- function(table) {
  number <- function(x) ifelse(x < 10, sprintf("%.2f", x), sprintf("%.0f", x))
  table$cell <- sprintf("%s (%s)", number(table$median), number(table$q90))
  table$column <- paste0(table$nonlinearity, ", ", table$n)
  columns <- unique(table$column[order(table$nonlinearity, table$n)])
  cat("\n|", paste("", columns, collapse = " |"), "|\n|", strrep("---|", 1 + length(columns)), "\n",
      sep = "")
  for (name in intersect(c(names(methods), "A known"), table$method)) {
    cells <- table[table$method == name, ]
    found <- cells$cell[match(columns, cells$column)]
    cat("|", name, "|", paste(ifelse(is.na(found), "", found), collapse = " | "), "|\n")
  }
}
cat(machine(), "\n\nLearned setting, RelMSE over the Bayes optimum, median (90th percentile)\n")
for (d in unique(by_size$d)) {
  counts <- table(done$method[done$d == d], done$n[done$d == d])
  cat("\nd =", d, "- data sets by rows a domain:\n")
  print(counts)
  print_markdown(by_size[by_size$d == d, ])
}
cat("\nBy setting, the default:\n")
print(settings, digits = 3, row.names = FALSE)
