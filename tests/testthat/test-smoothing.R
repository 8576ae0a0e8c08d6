# Penalty weights and damping chosen by cross-validation, against the loop over folds in R.

WEIGHTS <- 10^(-2:6)

smoothing_data <- function(seed, parents_of_3 = 2, n_env = c(143, 101, 128, 117)) {
  withr::local_seed(seed)
  dag <- matrix(0, 3, 3)
  dag[1, 2] <- dag[parents_of_3, 3] <- 1
  s <- ref_data(n_env, 7, dag)
  storage.mode(s$targets) <- "integer"
  s$y <- s$z + matrix(stats::rnorm(length(s$z)), nrow(s$z))
  s$parents <- lapply(1:3, function(j) which(dag[, j] == 1))
  s$omega <- c(1, 0.8, 1.2, 1)
  s
}

choose <- function(s, ..., scale = rep(1, 3), interaction = "tensor", solver = "auto",
                   cg_tol = 1e-8, cg_max_iter = 2000) {
  spline <- spline_control(interaction = interaction, solver = solver, cg_tol = cg_tol,
                           cg_max_iter = cg_max_iter)
  control <- crl_control(knots = 4, ..., spline = spline)
  found <- .Call(C_smoothing_fit, s$y, s$env, s$targets, s$parents, s$omega, scale,
                 engine_control(control, 3))
  expect_identical(found$status, "ok")
  found
}

held_out <- function(s, fold, penalty, weights = WEIGHTS) {
  control <- list(knots = 4, penalty = penalty, range = "data")
  ref_held_out(s$y, s$env, s$targets, s$parents, s$omega, control, fold, weights)
}

test_that("held-out losses and chosen weights are those of the reference", {
  skip_on_cran()
  for (seed in 1:2) {
    for (penalty in c("difference", "ridge")) {
      s <- smoothing_data(seed)
      found <- choose(s, lambda = "auto", penalty = penalty)
      reference <- held_out(s, found$fold, penalty)$loss
      # weights above 1e3 leave the equations ill-conditioned, in the reference too
      expect_close(found$loss[, 1:6, ], reference[, 1:6, ], 1e-9)
      expect_close(found$loss, reference, 1e-6)
      expect_close(log(found$lambda), log(ref_choose_lambda(reference, WEIGHTS)), 1e-6)
    }
  }
})

test_that("two parents, and conjugate gradients", {
  skip_on_cran()
  s <- smoothing_data(3, parents_of_3 = 1:2)
  for (penalty in c("difference", "ridge")) {
    banded <- choose(s, lambda = "auto", penalty = penalty, solver = "cholesky")
    reference <- held_out(s, banded$fold, penalty)$loss
    expect_close(banded$loss[, 1:6, ], reference[, 1:6, ], 1e-8)
    iterated <- choose(s, lambda = "auto", penalty = penalty, solver = "cg")
    expect_identical(iterated$fold, banded$fold)
    expect_close(iterated$loss, reference, 5e-3) # their solves are rough
    expect_close(log(iterated$lambda[-1]), log(banded$lambda[-1]), 0.02)
  }
})

test_that("sums of terms, and a log-density", {
  skip_on_cran()
  s <- smoothing_data(5, parents_of_3 = 1:2, n_env = 211)
  weights <- c(0.01, 1, 100)
  for (setting in list(list(score = "markov"), list(interaction = "additive"))) {
    rough <- if (is.null(setting$score)) 1e-3 else 0.2 # 100 iterations leave a log-density far off
    found <- do.call(choose, c(list(s, lambda = "auto", solver = "cholesky"), setting))
    control <- c(list(knots = 4, penalty = "difference", range = "data"), setting)
    reference <- ref_held_out_score(s$y, s$env, s$targets, s$parents, s$omega, control,
                                    found$fold, weights)$loss
    expect_close(found$loss[, match(weights, WEIGHTS), ], reference, 1e-5)
    expect_true(all(is.finite(found$lambda)) && all(found$lambda > 0))
    iterated <- do.call(choose, c(list(s, lambda = "auto", solver = "cg"), setting))
    expect_close(iterated$loss[, match(weights, WEIGHTS), ], reference, rough)
  }
})

test_that("held-out losses take rough solves, of one cell or of all terms together", {
  skip_on_cran()
  s <- smoothing_data(5, parents_of_3 = 1:2, n_env = 211)
  for (setting in list(list(), list(score = "markov"), list(interaction = "additive"))) {
    losses <- function(...) {
      do.call(choose, c(list(s, lambda = "auto", solver = "cg", ...), setting))$loss
    }
    expect_identical(c(losses()), c(losses(cg_tol = 1e-4, cg_max_iter = 100)))
  }
})

test_that("a cell that wants another weight takes it and leaves the others alone", {
  s <- smoothing_data(4, n_env = c(400, 400, 400, 400))
  smooth <- choose(s, lambda = "auto")$lambda
  hit <- s$targets[s$env, 1] == 1 # two narrow peaks
  s$y[hit, 1] <- withr::with_seed(4, sample(c(-3, 3), sum(hit), TRUE) +
                                    0.5 * stats::rnorm(sum(hit)))
  found <- choose(s, lambda = "auto")
  reference <- ref_choose_lambda(held_out(s, found$fold, "difference")$loss, WEIGHTS)
  expect_close(log(found$lambda), log(reference), 1e-5)
  expect_lt(found$lambda[2], 0.1)
  expect_gt(min(found$lambda[-2]), 0.1)
  # the cells of a log-density are fitted jointly: one weight
  expect_length(unique(choose(s, lambda = "auto", score = "markov")$lambda), 1)
  expect_gt(min(smooth), 0.1)
})

test_that("Gaussian latents get heavy smoothing as a rule, sharp densities little", {
  s <- smoothing_data(5)
  chosen <- vapply(1:15, function(seed) {
    s$y <- withr::with_seed(seed, matrix(stats::rnorm(length(s$y)), nrow(s$y)))
    gaussian <- choose(s, lambda = "auto")$lambda
    peaks <- withr::with_seed(seed, matrix(sample(c(-2, 2), length(s$y), TRUE), nrow(s$y)))
    s$y <- peaks + 0.5 * s$y
    c(stats::median(gaussian), max(choose(s, lambda = "auto")$lambda))
  }, c(0, 0))
  expect_gt(stats::median(chosen[1, ]), 50)
  expect_lt(max(chosen[2, ]), 0.1)
})

test_that("folds have equal shares of every domain and depend on the seed", {
  s <- smoothing_data(6)
  found <- choose(s, lambda = "auto")
  shares <- table(s$env, found$fold)
  expect_lte(max(apply(shares, 1, max) - apply(shares, 1, min)), 1)
  expect_false(identical(found$fold, choose(s, lambda = "auto", seed = 2)$fold))
})

test_that("rows of other domains in between change nothing, nor does the number of threads", {
  s <- smoothing_data(7, n_env = c(2403, 2301, 2358, 2337))
  found <- choose(s, lambda = "auto", eta = "auto")
  expect_identical(choose(s, lambda = "auto", eta = "auto", threads = 3), found)
  shuffled <- order(stats::ave(seq_along(s$env), s$env, FUN = seq_along))
  s$y <- s$y[shuffled, ]
  s$env <- s$env[shuffled]
  mixed <- choose(s, lambda = "auto", eta = "auto")
  expect_identical(mixed$fold, found$fold[shuffled])
  expect_close(log(mixed$lambda), log(found$lambda), 1e-8)
  expect_close(mixed$eta, found$eta)
})

test_that("eta minimises the held-out squared error", {
  for (solver in c("cholesky", "cg")) {
    s <- smoothing_data(8)
    scale <- c(1, 0.7, 1.5)
    found <- choose(s, lambda = 0.5, eta = "auto", solver = solver, scale = scale)
    expect_equal(found$lambda, rep(0.5, 6))
    sums <- held_out(s, found$fold, "difference", weights = 0.5)
    share <- 1 / rep(scale, each = 2)^2
    risk <- function(eta) {
      sum(share * apply(eta^2 * 2 * sums$half_square + 2 * eta * sums$slope, 1, sum))
    }
    best <- stats::optimize(risk, c(0, 1), tol = 1e-10)$minimum
    expect_lt(best, 0.99)
    expect_equal(found$eta, best, tolerance = if (solver == "cg") 1e-3 else 1e-7)
  }
  # no prior to speak of: nothing to gain, and never more than full shrinkage
  s <- smoothing_data(8)
  s$y <- withr::with_seed(8, matrix(stats::rt(length(s$y), 1), nrow(s$y)))
  expect_lte(choose(s, lambda = 0, eta = "auto")$eta, 1)
  expect_gte(choose(s, lambda = 0, eta = "auto")$eta, 0)
})

test_that("a fit has what was chosen, predicts with it, and says so", {
  sim <- small_sim()
  fit <- oracle_fit(sim, lambda = "auto", eta = "auto", spline = spline_control(reference = "none"))
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  chosen <- .Call(C_smoothing_fit, sim$x %*% sim$mixing, data$env, data$targets,
                  parent_list(data$dag), row_weights(data), rep(1, data$d),
                  engine_control(fit$control, data$d))
  expect_close(fit$cells$lambda, chosen$lambda)
  expect_close(fit$eta, chosen$eta)
  expect_lt(fit$eta, 1)
  expect_close(predict(fit, sim$x, env = sim$env), fit$latents)
  expect_output(print(summary(fit)), "lambda chosen: [0-9.e+]+.*damping eta chosen: 0\\.[0-9]")
  expect_true("lambda" %in% names(tidy(fit, "cells")))

  y <- sim$x %*% sim$mixing
  expect_close(fit$latents, y + fit$eta * sim$sigma2 * predict(fit, type = "score"))
})

test_that("a given weight and a chosen one of the same size give the same fit", {
  sim <- small_sim(seed = 2)
  fit <- oracle_fit(sim, lambda = "auto", penalty = "ridge",
                    spline = spline_control(reference = "none"))
  lambda <- unique(fit$cells$lambda)
  expect_length(lambda, 1L)
  again <- oracle_fit(sim, lambda = lambda, penalty = "ridge",
                      spline = spline_control(reference = "none"))
  expect_close(again$latents, fit$latents, 1e-12)
})

test_that("with A held the choice is made once, else at iterations 1, 2, 4, 8, ...", {
  skip_on_cran()
  sim <- small_sim()
  chosen <- function(iterations, mixing) {
    control <- crl_control(lambda = "auto", penalty = "ridge", mixing = mixing, tol = 0,
                           spline = spline_control(reference = "none"), max_iter = iterations)
    fit_crl(sim, init = "pca", control = control)$cells$lambda
  }
  moving <- lapply(c(0, 1, 2, 3, 4, 7, 8), chosen, "orthonormal")
  expect_identical(moving[[1]], moving[[2]])
  expect_identical(moving[[3]], moving[[4]])
  expect_identical(moving[[5]], moving[[6]])
  expect_equal(anyDuplicated(moving[c(2, 3, 5, 7)]), 0L)
  expect_identical(chosen(0, "fixed"), chosen(6, "fixed"))
  expect_true(all(chosen(4, "psd") >= 0.01))
})

test_that("memory plans and baselines know of it", {
  skip_on_cran()
  sim <- small_sim()
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  bytes <- function(...) {
    fit_cost(data, update(crl_control(...), spline = spline_control(interaction = "tensor")))$bytes
  }
  expect_gt(bytes(lambda = "auto"), bytes() + 4 * data$n)
  expect_equal(bytes(eta = "auto"), bytes(lambda = "auto"))
  baselines <- crl_baselines(sim, methods = c("true", "no_shrinkage"),
                             control = crl_control(lambda = "auto", eta = "auto"))
  expect_equal(baselines$no_shrinkage$eta, 0)
  expect_gt(baselines$true$eta, 0)
})
