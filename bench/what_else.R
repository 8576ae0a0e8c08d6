# What else finds latents: principal components, fastICA, factanal with rotations, flashier, beside
# fit_crl(), on simulated data with means, unequal noise and a nuisance factor, and on the light tunnel.
# Each method gets what it takes: all get x as it is, but fastICA and flashier standardised columns.
# Errors: the components are matched to the true latents with signs (assignment by absolute
# correlation), a favour for those that have no names; correlation over rows, within domains too.
#
#   Rscript bench/what_else.R [--seeds=5] [--tunnel=FILE]
#
# FILE: as for tools/light_tunnel.R. Packages fastICA and flashier are used where they are installed.

library(ebcrl)
here <- "bench"
source(file.path(here, "common.R"))

seeds <- seq_len(argument("seeds", 5))
tunnel <- sub("^--tunnel=", "", grep("^--tunnel=", commandArgs(TRUE), value = TRUE))
has <- function(name) requireNamespace(name, quietly = TRUE)

# One column of scores a component, of a method given x and the number of components.
methods <- list(
  "PCA" = function(x, k) stats::prcomp(x, rank. = k)$x,
  "PCA, scaled" = function(x, k) stats::prcomp(x, rank. = k, scale. = TRUE)$x,
  "fastICA" = function(x, k) {
    set.seed(1)
    fastICA::fastICA(scale(x), k)$S
  },
  "factanal, varimax" = function(x, k) stats::factanal(x, k, scores = "regression")$scores,
  "factanal, promax" = function(x, k) {
    stats::factanal(x, k, scores = "regression", rotation = "promax")$scores
  },
  "flashier" = function(x, k) {
    set.seed(1)
    flashier::flash(scale(x), greedy_Kmax = k, var_type = 2L, backfit = TRUE, verbose = 0L)$L_pm
  }
)
if (!has("fastICA")) methods$fastICA <- NULL
if (!has("flashier")) methods$flashier <- NULL

within <- function(z, env) z - rowsum(z, env)[env, , drop = FALSE] / c(table(env)[env])

# |correlation| of each true latent with its component, after the best assignment
matched <- function(scores, z, env) {
  scores <- scores[, apply(scores, 2, stats::sd) > 0, drop = FALSE]
  all <- abs(stats::cor(z, scores))
  if (ncol(all) < nrow(all)) all <- cbind(all, matrix(0, nrow(all), nrow(all) - ncol(all)))
  to <- as.integer(clue::solve_LSAP(all, maximum = TRUE))
  inside <- abs(stats::cor(within(z, env), within(scores, env)))
  inside <- cbind(inside, matrix(0, nrow(all), max(0, ncol(all) - ncol(inside))))
  # what all components together say of a latent: is it in their space?
  space <- vapply(seq_len(ncol(z)), function(j) {
    summary(stats::lm(z[, j] ~ scores))$r.squared
  }, 0)
  cbind(all = all[cbind(seq_along(to), to)], within = inside[cbind(seq_along(to), to)],
        space = space)
}

measure <- function(data, name, seed, method, run) {
  seconds <- NA
  found <- tryCatch({
    seconds <- cpu_seconds(scores <- suppressMessages(run()))
    matched(scores, data$z, data$env)
  }, error = function(e) {
    message(name, ", ", method, ": ", conditionMessage(e))
    matrix(NA_real_, ncol(data$z), 3, dimnames = list(NULL, c("all", "within", "space")))
  })
  data.frame(data = name, seed = seed, method = method, latent = colnames(data$z), found,
             seconds = seconds)
}

run_all <- function(data, name, seed, components, fits) {
  rows <- lapply(names(methods), function(method) {
    measure(data, name, seed, method, function() methods[[method]](data$x, components))
  })
  own <- lapply(names(fits), function(method) {
    measure(data, name, seed, method, function() stats::fitted(fits[[method]](data)))
  })
  do.call(rbind, c(rows, own))
}

weights <- rbind(c(0, 1, 0, 0), c(0, 0, -1, 0), c(0, 0, 0, 1), 0)
simulated <- function(seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = 500, p = 60, edge_weights = weights, intervention_mean = 5,
                 targets = list(none = character(), a = "z1", b = "z2", c = "z3", d = "z4"),
                 center = rnorm(60, 0, 3), noise_sd = exp(rnorm(60) / 2), nuisance = 1)
  list(x = sim$x, z = sim$z, env = as.integer(sim$env), sim = sim)
}
of_sim <- list("fit_crl()" = function(data) {
  fit_crl(data$sim, nuisance = "auto")
}, "fit_crl(dag = empty)" = function(data) fit_crl(data$sim, dag = empty_dag(4), nuisance = "auto"))
table <- do.call(rbind, lapply(seeds, function(seed) {
  run_all(simulated(seed), "simulated", seed, 5, of_sim)
}))

if (length(tunnel) == 1L) {
  rows <- utils::read.csv(tunnel)
  colours <- c("red", "green", "blue")
  sensors <- c("current", paste0(c("ir_", "vis_"), rep(1:3, each = 2)))
  targets <- rbind(reference = c(0, 0, 0), diag(3))
  dimnames(targets) <- list(c("reference", paste0(colours, "_mid")), colours)
  light <- list(x = as.matrix(rows[sensors]), z = as.matrix(rows[colours]),
                env = as.integer(factor(rows$env)))
  fit <- function(...) {
    function(data) {
      fit_crl(data$x, env = rows$env, targets = targets, dag = empty_dag(3, colours), ...)
    }
  }
  of_light <- list("fit_crl(), linear g" = fit(nuisance = "auto", method = "g",
                                               control = crl_control(prior = prior_linear())))
  # factanal has three factors for seven columns at most
  table <- rbind(table, run_all(light, "light tunnel", 1, 3, of_light))
}
write_result(table, "what-else.csv")
print(stats::aggregate(cbind(all, within, space, seconds) ~ method + data, table, stats::median,
                       na.action = stats::na.pass), digits = 3)
