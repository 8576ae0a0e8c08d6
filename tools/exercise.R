# Sourced by valgrind.R and gctorture.R: small calls of every routine of the C core.

library(ebcrl)

routine <- function(name, ...) .Call(getNamespace("ebcrl")[[paste0("C_", name)]], ...)

# The routines that only the tests call.
exercise_kernels <- function(fit) {
  data <- fit$data
  list(
    routine("bspline_basis", c(-1, 0.5, 3), c(-2, 2), 3L, 1L, FALSE),
    routine("polar_factor", fit$mixing),
    routine("mixing_update", fit$mixing, rep(1, data$d), rep(1, data$d), "diagonal"),
    routine("philox_words", c(1, 0, 0, 0), c(1, 0)),
    routine("score_fit", data$x %*% fit$mixing, data$env, data$targets, unname(fit$score$parents),
            rep(1, data$n_domains), ebcrl:::engine_control(fit$control, data$d), NULL)
  )
}

# The models that the settings of exercise() leave out, each by a call.
exercise_models <- function(sim) {
  f <- function(..., dag = sim$dag) {
    fit_crl(sim, dag = dag, control = crl_control(knots = 3, max_iter = 2, seed = 1, ...))
  }
  g <- function(..., prior = prior_spline(knots = 4), init = "pca", targets = sim$targets,
                dag = sim$dag) {
    fit_crl(sim$x, sim$env, targets, dag, method = "g", init = init,
            control = update(crl_control(...), seed = 1, prior = prior, max_iter = 5,
                             saem = saem_control(burn_in = 5, iterations = 5, draws = 5)))
  }
  unequal <- list(mixing = sim$mixing %*% diag(c(1, 2, 0.5)), sigma2 = 1)
  collider <- replace(sim$dag, c(4, 7, 8), c(0, 1, 1))
  perfect <- "perfect"
  list(
    f = lapply(list(
      pairwise = f(score = "markov", spline = spline_control(interaction = "pairwise")),
      triple = f(score = "markov", dag = collider),
      triple_cg = f(score = "markov", dag = collider, spline = spline_control(solver = "cg")),
      additive = f(spline = spline_control(interaction = "additive"), lambda = "auto"),
      drawn = f(start = start_search(starts = 2)),
      general = f(mixing = "psd", start = start_search(starts = 2), intervention = perfect)
    ), function(fit) unclass(fit)[c("latents", "latents_sd", "mixing", "sigma2")]),
    g = lapply(list(
      diagonal = g(init = unequal, mixing = "diagonal", prior = prior_spline(knots = 4, noise = 3),
                   saem = saem_control(chains = 2)),
      general = g(mixing = "psd", intervention = perfect),
      one = g(targets = sim$targets[, 1, drop = FALSE], dag = sim$dag[1, 1, drop = FALSE]),
      linear = g(prior = "linear"),
      linear_general = g(prior = "linear", mixing = "psd", intervention = perfect),
      normal = g(prior = "normal")
    ), function(fit) unclass(fit)[c("latents", "latents_sd", "mixing", "sigma2")])
  )
}

# n rows a domain; returns everything computed, to compare runs by.
exercise <- function(n, modes = c("orthonormal", "diagonal", "fixed"), threads = 1:2) {
  set.seed(1)
  sim <- sim_crl(dag = chain_dag(3), n = n, p = 6)
  start <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  settings <- expand.grid(mixing = modes, penalty = c("ridge", "difference"),
                          solver = c("cholesky", "cg"), threads = threads,
                          stringsAsFactors = FALSE)
  fits <- lapply(seq_len(nrow(settings)), function(i) {
    control <- do.call(crl_control, c(settings[i, ], knots = 3, max_iter = 2))
    unclass(fit_crl(sim, init = start, weights = c(0.5, 0.3, 0.2), control = control))
  })
  fit <- fit_crl(sim, control = crl_control(knots = 3, max_iter = 2))
  settings <- crl_control(knots = 3, max_iter = 1, start = start_search(starts = 2))
  rotated <- unclass(fit_crl(sim, init = "interventional", control = settings))
  kept <- c("latents", "latents_sd", "mixing", "sigma2", "score")
  list(
    fits = lapply(fits, `[`, kept),
    pca = unclass(fit)[kept],
    rotated = rotated[c(kept, "optima")],
    kernels = exercise_kernels(fit),
    models = exercise_models(sim),
    g = unclass(fit_crl(sim, method = "g", control = crl_control(
      seed = 1, saem = saem_control(burn_in = 5, iterations = 5, draws = 5),
      prior = prior_spline(knots = 4)
    )))[c("latents", "mixing")],
    predicted = predict(fit, sim$x[1:3, ], targets = "z1+z3", type = "sd"),
    compared = as.data.frame(crl_compare(fit = fit, again = fit, folds = 2)),
    errors = list(rel_mse(fit, sim, by = "env"), frobenius_error(fit, sim)),
    bayes = unclass(bayes_latents(sim, draws = 20, min_ess = 1)),
    refused = tryCatch(fit_crl(replace(sim$x, 1, NaN), env = sim$env, targets = sim$targets,
                               dag = sim$dag), ebcrl_error = class)
  )
}
