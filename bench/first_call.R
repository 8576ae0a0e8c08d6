# The natural first call where a latent has many parents: seconds and error of the latents with
# interaction = "auto" (the default), and what the choice rests on.
#
# Run:   Rscript bench/first_call.R [--quick] [--interaction]      (ebcrl installed)
# Takes: about a minute of processor time; --interaction some five minutes more; --quick seconds.
# Gives: bench/results/first-call.csv; with --interaction also first-call-interaction.csv.
#
# first-call.csv: data of sim_crl() with its defaults but p = 20, seed 1; processor seconds of one
# thread; `error` is rel_mse(). Complete graphs of six and eight with 3000 rows in all, and
# crl_baselines() of a chain of six with 1200 (the error is that of the complete graph's fit, with
# that of the true graph beside it).
#
# first-call-interaction.csv: A and sigma2 known, three seeds, medians: mean squared error of the
# latents over that of a sum over parents, of all latents and of the last, and processor seconds.
# "product" data: the last latent has 3 tanh(3 z1) tanh(3 z2) + 1.5 tanh(z3) for its parents' part.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "common.R"))
suppressPackageStartupMessages(library(ebcrl))

one_call <- function(call, d, rows, fit, error) {
  set.seed(1)
  sim <- sim_crl(if (call == "fit_crl") complete_dag(d) else chain_dag(d), n = rows / d, p = 20)
  found <- NULL
  seconds <- cpu_seconds(found <- fit(sim))
  data.frame(call, d, rows, seconds, error(found, sim))
}

fit_error <- function(fit, sim) {
  data.frame(interaction = fit$control$spline$interaction, error = rel_mse(fit, sim), error_true = NA)
}

baselines_error <- function(fits, sim) {
  data.frame(interaction = fits$complete$control$spline$interaction, error = rel_mse(fits$complete, sim),
             error_true = rel_mse(fits$true, sim))
}

first_calls <- function() {
  control <- crl_control(threads = 1, progress = FALSE)
  fit <- function(sim) fit_crl(sim, control = control)
  rows <- if (quick) 600 else 3000
  rbind(one_call("fit_crl", 6, rows, fit, fit_error),
        one_call("crl_baselines", 6, if (quick) 600 else 1200,
                 function(sim) crl_baselines(sim, control = control), baselines_error),
        one_call("fit_crl", 8, rows, fit, fit_error))
}

# No edges but those from the first `parents` latents into the last.
collider_dag <- function(parents) {
  dag <- matrix(0L, parents + 1L, parents + 1L)
  dag[seq_len(parents), parents + 1L] <- 1L
  as_dag(dag, direction = "from_row")
}

# The last latent, where it is not targeted, moved by the product of two of its parents.
with_product <- function(sim) {
  d <- ncol(sim$z)
  free <- as.integer(sim$env) != d
  bent <- tanh(3 * sim$z[free, 1:2])
  sim$z[free, d] <- 3 * bent[, 1] * bent[, 2] + 1.5 * tanh(sim$z[free, 3]) + 2 * rnorm(sum(free))
  sim$x <- sim$z %*% t(sim$mixing) + sqrt(2) * matrix(rnorm(length(sim$x)), nrow(sim$x))
  sim
}

compare_interactions <- function(data, dag, n, product, seed) {
  set.seed(seed)
  sim <- sim_crl(dag, n = n, p = 12)
  if (product) sim <- with_product(sim)
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  rows <- lapply(c("tensor", "pairwise", "additive"), function(interaction) {
    control <- crl_control(spline = spline_control(interaction = interaction), threads = 1,
                           mixing = "fixed")
    seconds <- cpu_seconds(fit <- fit_crl(sim, init = known, control = control))
    square <- colMeans((fit$latents - sim$z)^2)
    data.frame(data, n, seed, interaction, error = mean(square), last = square[length(square)],
               seconds)
  })
  rows <- do.call(rbind, rows)
  rows[c("error", "last")] <- lapply(rows[c("error", "last")], function(e) e / e[3])
  rows
}

interactions <- function() {
  cases <- list(
    list("complete 3", complete_dag(3), 15, FALSE), list("complete 3", complete_dag(3), 30, FALSE),
    list("complete 3", complete_dag(3), 100, FALSE), list("complete 4", complete_dag(4), 200, FALSE),
    list("3 parents", collider_dag(3), 200, FALSE), list("product", collider_dag(3), 200, TRUE),
    list("complete 4", complete_dag(4), 2000, FALSE), list("product", collider_dag(3), 2000, TRUE),
    list("product, 4 parents", collider_dag(4), 400, TRUE)
  )
  if (quick) cases <- cases[1:2]
  seeds <- if (quick) 1 else 1:3
  all <- do.call(rbind, lapply(cases, function(case) {
    do.call(rbind, lapply(seeds, function(seed) do.call(compare_interactions, c(case, seed))))
  }))
  stats::aggregate(cbind(error, last, seconds) ~ interaction + n + data, all, stats::median)
}

table <- first_calls()
print(table, digits = 3)
write_result(table, "first-call.csv")
if ("--interaction" %in% commandArgs(TRUE)) {
  table <- interactions()
  print(table, digits = 3)
  write_result(table, "first-call-interaction.csv")
}
