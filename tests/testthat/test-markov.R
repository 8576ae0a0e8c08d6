# The Markov score, gradient of a spline log-density: against dense normal equations over all
# families (helper-reference.R), differences, and closed forms.

markov_fit <- function(s, parents, ...) {
  score_fit(s$y, s$env, s$targets, parents, ..., score = "markov")
}

collider <- list(integer(), 1L, 1:2)
chain <- list(integer(), 1L, 2L)

expect_markov_close <- function(fit, reference, tolerance = 1e-8) {
  expect_identical(fit$status, "ok")
  for (what in c("score", "dscore", "jacobian", "range", "loss")) {
    expect_close(fit[[what]], reference[[what]], tolerance)
  }
}

test_that("the Markov score agrees with dense normal equations", {
  skip_on_cran()
  withr::local_seed(1)
  s <- score_data(503, 3)
  omega <- c(0.3, 1.7, 1.1, 0.6)
  known <- 0.1 * sin(s$y)
  for (setting in list(
    list(penalty = "difference"), list(penalty = "ridge"),
    list(intervention = "perfect", lambda = 50), list(range = c(-3, 4)),
    list(range = rbind(c(-3, -4, -5), c(6, 5, 4)), knots = 5L), list(knots = 2L, lambda = 0.1)
  )) {
    control <- utils::modifyList(
      list(knots = 4L, range = "data", penalty = "difference", lambda = 2), setting
    )
    for (parents in list(chain, collider)) {
      reference <- ref_markov(s$y, s$env, s$targets, parents, omega, control, known)
      for (solver in c("cholesky", "cg")) {
        fit <- do.call(markov_fit, c(
          list(s, parents, omega = omega, reference = known, solver = solver), control
        ))
        expect_markov_close(fit, reference, if (solver == "cg") 1e-6 else 1e-8)
      }
    }
  }
})

test_that("several shards of rows, both solvers: the reference's score, the same bits", {
  skip_on_cran()
  withr::local_seed(2)
  s <- score_data(9000, 3)
  control <- list(knots = 4L, range = "data", penalty = "difference", lambda = 5)
  reference <- ref_markov(s$y, s$env, s$targets, chain, rep(1, 4), control)
  order <- sample(9000)
  shuffled <- list(y = s$y[order, ], env = s$env[order], targets = s$targets)
  for (solver in c("cholesky", "cg")) {
    fits <- lapply(1:3, function(threads) {
      markov_fit(s, chain, knots = 4, solver = solver, threads = threads)
    })
    expect_markov_close(fits[[1]], reference, 1e-7)
    expect_identical(fits[[2]], fits[[1]])
    expect_identical(fits[[3]], fits[[1]])
    expect_close(markov_fit(shuffled, chain, knots = 4, solver = solver)$score,
                 fits[[1]]$score[order, ])
  }
})

test_that("a state without rows has no coefficients", {
  withr::local_seed(3)
  s <- score_data(300, 3)
  s$targets[, 3] <- 1L
  s$targets[, 1] <- 0L
  fit <- markov_fit(s, chain, knots = 4)
  control <- list(knots = 4L, range = "data", penalty = "difference", lambda = 5)
  expect_markov_close(fit, ref_markov(s$y, s$env, s$targets, chain, rep(1, 4), control))
  expect_null(fit$theta[[1]]$state1)
  expect_null(fit$theta[[3]]$state0)
  expect_length(fit$theta[[3]]$state1, 36)
})

# A fit whose score is read at given pseudo-latents: predict() with A = 1.
density_fit <- function(..., interaction = "auto") {
  s <- score_data(600, 3)
  storage.mode(s$targets) <- "integer"
  dag <- matrix(0, 3, 3)
  dag[cbind(c(1, 1, 2), c(2, 3, 3))] <- 1
  fit <- fit_crl(s$y,
    env = s$env, targets = s$targets, dag = dag, init = list(mixing = diag(3), sigma2 = 1),
    control = crl_control(score = "markov", mixing = "fixed", max_iter = 0, knots = 4,
                          spline = spline_control(reference = "none", interaction = interaction),
                          ...)
  )
  list(fit = fit, y = s$y, targets = s$targets[s$env, ],
       control = list(knots = 4L, interaction = setdiff(interaction, "auto"), ...))
}

test_that("the score is the gradient of the log-density, the Jacobian its Hessian", {
  skip_on_cran()
  skip_if_not_installed("numDeriv")
  withr::local_seed(4)
  for (interaction in c("tensor", "additive")) {
    m <- density_fit(interaction = interaction)
    points <- rbind(m$y[1:6, ], 1.5 * m$fit$score$range) # the last two lie outside
    targets <- rbind(m$targets[1:6, ], c(0, 1, 0), c(1, 0, 0))
    score <- suppressWarnings(
      predict(m$fit, points, targets = targets, type = "score"),
      classes = "ebcrl_warning_extrapolation"
    )
    for (i in seq_len(nrow(points))) {
      at <- targets[i, , drop = FALSE]
      model <- function(y) {
        ref_eval_markov(t(y), at, collider, m$fit$score$theta, m$fit$score$range, m$control)
      }
      gradient <- numDeriv::grad(function(y) model(y)$density, points[i, ])
      expect_equal(score[i, ], gradient, tolerance = 1e-6, ignore_attr = TRUE)
      expect_equal(model(points[i, ])$jacobian[1, , ],
                   numDeriv::jacobian(function(y) model(y)$score, points[i, ]), tolerance = 1e-6)
    }
  }
})

test_that("the field is conservative: its Jacobian is symmetric, with the own derivatives", {
  withr::local_seed(5)
  fit <- markov_fit(score_data(400, 3), collider, knots = 5)
  expect_identical(fit$jacobian, aperm(fit$jacobian, c(1, 3, 2)))
  for (j in 1:3) expect_identical(fit$jacobian[, j, j], fit$dscore[, j])
  expect_gt(max(abs(fit$jacobian[, 1, 3])), 0.01)
  # in a chain the ends have no function in common
  expect_true(all(markov_fit(score_data(400, 3), chain, knots = 5)$jacobian[, 1, 3] == 0))
})

# The identities of the rows of a state of j, in the coordinates of its family.
expect_identities <- function(fit, s, parents, rows, j, tolerance) {
  mean_of <- function(a, b) mean(s$y[rows, a] * fit$score[rows, b])
  for (k in c(j, parents[[j]])) {
    expect_equal(mean(fit$score[rows, k]), 0, tolerance = tolerance)
    expect_equal(mean_of(k, k), -1, tolerance = tolerance)
  }
  for (k in parents[[j]]) {
    expect_equal(mean_of(j, k) + mean_of(k, j), 0, tolerance = tolerance)
  }
}

# Monomials are in the span of the splines and not penalised by third differences: minimising the
# loss along them gives exact identities, whatever the smoothing.
test_that("E[y s] = -1 and E[y_j s_k + y_k s_j] = 0 in every state, for every smoothing", {
  skip_on_cran()
  withr::local_seed(6)
  s <- score_data(700, 3)
  expect_all <- function(parents, ..., tolerance) {
    fit <- markov_fit(s, parents, ...)
    for (j in 1:3) {
      for (rows in split(seq_along(s$env), s$targets[s$env, j])) {
        expect_identities(fit, s, parents, rows, j, tolerance)
      }
    }
  }
  for (lambda in c(0.1, 5, 1e3)) expect_all(chain, lambda = lambda, tolerance = 1e-7)
  for (solver in c("cholesky", "cg")) {
    expect_all(chain, lambda = 1e7, solver = solver, tolerance = 1e-6)
    expect_all(collider, lambda = 1e5, solver = solver, tolerance = 1e-5)
  }
})

test_that("heavy smoothing ends in the score-matching fit of polynomials", {
  withr::local_seed(7)
  s <- score_data(800, 2)
  fit <- markov_fit(s, list(integer(), 1L), knots = 4, lambda = 1e5)
  powers <- expand.grid(node = 0:2, parent = 0:2)[-1, ]
  power <- function(y, k, deriv) {
    switch(deriv + 1, y^k, if (k > 0) k * y^(k - 1) else 0 * y, rep((k == 2) * 2, length(y)))
  }
  design <- function(own, other) { # derivatives in y_2 and y_1 of the monomials of each cell
    hit <- s$targets[s$env, ]
    own_part <- mapply(function(a, b) power(s$y[, 2], a, own) * power(s$y[, 1], b, other),
                       powers$node, powers$parent)
    root_part <- sapply(1:2, function(b) if (own > 0) 0 * s$y[, 1] else power(s$y[, 1], b, other))
    cbind((1 - hit[, 1]) * root_part, hit[, 1] * root_part,
          (1 - hit[, 2]) * own_part, hit[, 2] * own_part)
  }
  s$y <- s$y / 5 # for monomials of one size
  slopes <- list(design(0, 1), design(1, 0))
  gram <- Reduce(`+`, lapply(slopes, crossprod))
  system <- eigen(gram / mean(diag(gram)), symmetric = TRUE)
  kept <- system$values > 1e-11 # y_1 may go to the root's cells or its child's
  expect_identical(sum(!kept), 2L)
  vectors <- system$vectors[, kept]
  rhs <- -colSums(design(0, 2) + design(2, 0)) / mean(diag(gram))
  coefs <- vectors %*% (crossprod(vectors, rhs) / system$values[kept])
  expect_close(fit$score, cbind(slopes[[1]] %*% coefs, slopes[[2]] %*% coefs) / 5, 1e-6)
})

test_that("without edges heavy smoothing is linear shrinkage, as the causal score's is", {
  withr::local_seed(8)
  s <- score_data(700, 3)
  empty <- rep(list(integer()), 3)
  fit <- markov_fit(s, empty, lambda = 1e6)
  causal <- score_fit(s$y, s$env, s$targets, empty, lambda = 1e6)
  expect_close(fit$score, causal$score, 2e-5)
  expect_close(fit$dscore, causal$dscore, 5e-5)
  for (j in 1:3) {
    for (rows in split(seq_along(s$env), s$targets[s$env, j])) {
      y <- s$y[rows, j] - mean(s$y[rows, j])
      expect_close(fit$score[rows, j], -y / mean(y^2), 1e-5)
    }
  }
})

test_that("of independent latents each has its own score, the graph left aside", {
  withr::local_seed(9)
  s <- score_data(700, 3)
  empty <- rep(list(integer()), 3)
  joint <- markov_fit(s, empty)
  for (j in 1:3) {
    own <- list(y = s$y[, j, drop = FALSE], env = s$env, targets = s$targets[, j, drop = FALSE])
    expect_close(joint$score[, j], markov_fit(own, empty[1])$score, 1e-9)
  }
})

# Whole fits -------------------------------------------------------------------

markov_data <- function(n_env = 251, d = 3, p = 7) {
  dag <- matrix(0, d, d)
  dag[cbind(seq_len(d - 1), seq_len(d)[-1])] <- 1
  s <- ref_data(n_env, p, dag)
  storage.mode(s$targets) <- "integer"
  s$start <- list(mixing = ref_polar(s$mixing + 0.05 * stats::rnorm(p * d)), sigma2 = 0.6)
  s
}

fit_markov <- function(s, ..., init = s$start) {
  fit_crl(s$x, env = s$env, targets = s$targets, dag = s$dag, init = init,
          control = do.call(crl_control, utils::modifyList(
            list(score = "markov", tol = 0, mixing = "orthonormal",
                 spline = list(reference = "none")), list(...)
          )))
}

test_that("the EM with the Markov score agrees with the reference", {
  skip_on_cran()
  withr::local_seed(10)
  s <- markov_data()
  for (setting in list(
    list(mixing = "orthonormal"), list(mixing = "diagonal", intervention = "perfect"),
    list(mixing = "orthonormal", penalty = "ridge"), list(mixing = "fixed")
  )) {
    setting <- c(setting, knots = 4L, max_iter = 6)
    fit <- do.call(fit_markov, c(list(s), setting))
    reference <- ref_fit(s$x, s$env, s$targets, s$dag, init = s$start,
                         control = c(list(score = "markov", reference = "none"), setting))
    for (what in c("latents", "latents_sd", "mixing", "scale", "sigma2")) {
      expect_close(fit[[what]], reference[[what]], 1e-7)
    }
    expect_close(fit$trace$loss, reference$trace$loss, 1e-7)
    by_cell <- sum(fit$cells$loss * fit$cells$rows) / nrow(s$x)
    expect_close(by_cell, ref_fit_score(s$x %*% fit$orthonormal, s$env, s$targets,
                                        reference$parents, rep(1, 4),
                                        c(list(score = "markov", range = "data", lambda = 5,
                                               penalty = c(setting$penalty, "difference")[1]),
                                          setting["knots"], setting["intervention"]))$loss, 1e-6)
  }
})

test_that("a log-density may correct a Gaussian reference score", {
  skip_on_cran()
  withr::local_seed(15)
  s <- markov_data()
  fit <- fit_markov(s, knots = 4, max_iter = 3, spline = spline_control(reference = "gaussian"))
  reference <- ref_fit(s$x, s$env, s$targets, s$dag, init = s$start, control = list(
    score = "markov", reference = "gaussian", knots = 4L, max_iter = 3
  ))
  for (what in c("latents", "latents_sd", "mixing", "sigma2")) {
    expect_close(fit[[what]], reference[[what]], 1e-7)
  }
  expect_close(fit$trace$loss, reference$trace$loss, 1e-7)
})

test_that("from the truth the Markov score stays, where the causal one drifts", {
  skip_on_cran()
  withr::local_seed(11)
  sim <- sim_crl(chain_dag(3), n = 700, p = 20)
  drift <- vapply(c("causal", "markov"), function(score) {
    fit <- fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2),
                   control = crl_control(score = score, mixing = "orthonormal",
                                         spline = spline_control(reference = "none"),
                                         max_iter = 60, tol = 0))
    rel_mse(fit, sim)
  }, 0)
  held <- fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2),
                  control = crl_control(score = "markov", mixing = "fixed", max_iter = 0,
                                        spline = spline_control(reference = "none")))
  expect_lt(drift[["markov"]], 1.1 * rel_mse(held, sim))
  expect_gt(drift[["causal"]], 1.15 * rel_mse(held, sim))
})

test_that("conjugate gradients and blocks agree over iterations, and early stops are counted", {
  withr::local_seed(12)
  s <- markov_data()
  blocks <- fit_markov(s, knots = 5, max_iter = 3, spline = spline_control(solver = "cholesky"))
  cg <- fit_markov(s, knots = 5, max_iter = 3,
                   spline = spline_control(solver = "cg", cg_tol = 1e-12))
  expect_close(cg$latents, blocks$latents, 1e-7)
  expect_true(all(cg$cells$cg_iterations > 0) && all(blocks$cells$cg_iterations == 0))
  early <- fit_markov(s, knots = 5, max_iter = 1,
                      spline = spline_control(solver = "cg", cg_max_iter = 2))
  expect_gt(early$counts[["cg_unconverged"]], 0)
})

test_that("the default cg_tol leaves latents within what tol asks of the EM", {
  skip_on_cran()
  sim <- withr::with_seed(7, sim_crl("z1 -> z3; z2 -> z3; z3 -> z4", n = 60, p = 20))
  fit <- function(...) {
    fit_crl(sim, init = list(mixing = sim$mixing),
            control = update(crl_control(score = "markov", ...),
                             spline = spline_control(solver = "cg")))
  }
  gap <- fit()$latents - fit(spline = spline_control(cg_tol = 1e-10, cg_max_iter = 10000))$latents
  expect_lt(sqrt(mean(gap^2)), 5e-6)
})

test_that("predict() composes combinations that the training domains determine", {
  withr::local_seed(13)
  s <- markov_data()
  fit <- fit_markov(s, knots = 4, max_iter = 2)
  targets <- matrix(c(1, 1, 0, 0, 1, 1), 2, 3, byrow = TRUE)
  y <- s$x[1:2, ] %*% fit$orthonormal
  at <- ref_eval_markov(y, targets, chain, fit$score$theta, fit$score$range, list(knots = 4L))
  expect_close(predict(fit, s$x[1:2, ], targets = targets, type = "score"), at$score)
  expect_close(predict(fit, s$x, env = s$env, type = "sd"), fit$latents_sd, 1e-10)
})

test_that("a combination that they do not determine is an error", {
  withr::local_seed(14)
  s <- markov_data(d = 2)
  one_hot <- s$env > 1
  s$x <- s$x[one_hot, ]
  s$env <- s$env[one_hot] - 1L
  s$targets <- s$targets[-1, ]
  fit <- fit_markov(s, knots = 4, max_iter = 1)
  expect_error(predict(fit, s$x[1, , drop = FALSE], targets = c(1, 1)),
               class = "ebcrl_error_unseen_state")
  expect_error(predict(fit, s$x[1, , drop = FALSE], targets = c(0, 0)),
               class = "ebcrl_error_unseen_state")
  expect_silent(predict(fit, s$x[1, , drop = FALSE], targets = c(0, 1)))
  # cut off its parent, a target has no function in common with it, but its parent then lacks one
  cut <- fit_markov(s, knots = 4, max_iter = 1, intervention = "perfect")
  expect_error(predict(cut, s$x[1, , drop = FALSE], targets = c(1, 1)),
               class = "ebcrl_error_unseen_state")
  both <- s
  both$targets <- rbind(0L, 1L, s$targets[2, ]) # none, both, the child alone
  both$env <- rep_len(1:3, nrow(s$x))
  parent_alone <- function(...) {
    fit <- fit_markov(both, knots = 4, max_iter = 1, ...)
    predict(fit, s$x[1, , drop = FALSE], targets = c(1, 0))
  }
  expect_silent(parent_alone())
  expect_silent(parent_alone(intervention = "perfect"))
})

test_that("pairs of coordinates are factored together, larger terms one by one", {
  withr::local_seed(15)
  solver <- function(dag, ...) {
    sim <- sim_crl(dag, n = 60, p = 6)
    data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
    control <- update(crl_control(score = "markov", knots = 4, ...),
                      spline = spline_control(interaction = "pairwise"))
    unique(fit_cost(data, control)$solver[-1])
  }
  collider <- as_dag("z1 -> z4; z2 -> z4; z3 -> z4", nodes = paste0("z", 1:4))
  expect_identical(solver(chain_dag(4)), "cholesky")
  expect_identical(solver(collider), "cg")
  expect_identical(solver(chain_dag(4), spline = spline_control(solver = "cg")), "cg")
  expect_identical(solver(collider, spline = spline_control(solver = "cholesky")), "cholesky")
})

test_that("a term too large for a band is iterated as if it were uniform", {
  skip_on_cran()
  withr::local_seed(16)
  s <- score_data(300, 4)
  parents <- list(integer(), integer(), integer(), 1:3)
  fit <- markov_fit(s, parents, knots = 6, solver = "cg", cg_tol = 1e-8)
  expect_identical(fit$status, "ok")
  for (rows in split(seq_along(s$env), s$targets[s$env, 4])) {
    expect_identities(fit, s, parents, rows, 4, 1e-4)
  }
})

test_that("no rows are predicted, by every model", {
  # under `make sanitize` this is memset() of no bytes at an address that must not be NULL
  withr::local_seed(1)
  sim <- sim_crl(chain_dag(2), n = 30, p = 4)
  for (score in c("causal", "markov")) {
    fit <- fit_crl(sim, init = "pca",
                   control = crl_control(score = score, max_iter = 1, knots = 3))
    expect_identical(dim(predict(fit, sim$x[0, ], env = "do(z1)")), c(0L, 2L))
  }
})
