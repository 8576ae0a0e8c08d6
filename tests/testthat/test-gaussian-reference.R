# The Gaussian reference score: structural causal model, empirical-Bayes weight, the EM with it,
# new combinations of targets, against plain R, the exact posterior and invariances.

gaussian_data <- function(n_env = c(143, 101, 128, 117), p = 7, parents_of_3 = 1:2) {
  dag <- matrix(0, 3, 3)
  dag[1, 2] <- 1
  dag[parents_of_3, 3] <- 1
  s <- ref_data(n_env, p, dag)
  shuffled <- sample(length(s$env))
  s$x <- s$x[shuffled, ]
  s$env <- s$env[shuffled]
  storage.mode(s$targets) <- "integer"
  near <- ref_polar(s$mixing + 0.1 * matrix(stats::rnorm(3 * p), p, 3))
  s$start <- list(mixing = near %*% diag(c(0.8, 1, 1.3)), sigma2 = 0.7)
  s
}

fit_gaussian <- function(s, ..., weights = NULL, init = s$start) {
  settings <- utils::modifyList(list(tol = 0, max_iter = 4, knots = 4, mixing = "orthonormal"),
                                list(...))
  fit_crl(s$x, env = s$env, targets = s$targets, dag = s$dag, weights = weights, init = init,
          control = do.call(crl_control, settings))
}

expect_em_close <- function(s, ..., weights = NULL, tolerance = 1e-7) {
  fit <- fit_gaussian(s, ..., weights = weights)
  settings <- utils::modifyList(list(knots = 4, max_iter = 4,
                                     spline = list(reference = "gaussian")), list(...))
  slow <- ref_fit(s$x, s$env, s$targets, s$dag, weights, s$start, settings)
  for (part in c("mixing", "sigma2", "scale", "latents", "latents_sd", "iterations")) {
    expect_close(fit[[part]], slow[[part]], tolerance)
  }
  expect_close(fit$score$theta, slow$theta, 10 * tolerance)
  expect_close(fit$trace$loss, slow$trace$loss, tolerance)
  expect_close(log(fit$score$reference$kappa), log(slow$kappa), 1e-5)
  for (count in c("variance_floored", "reference_floored")) {
    expect_equal(fit$counts[[count]], slow$counts[[count]])
  }
  fit
}

test_that("the EM with a reference agrees with plain R: mixing, weights, threads", {
  skip_on_cran()
  withr::local_seed(51)
  s <- gaussian_data(n_env = c(1203, 1101, 1028, 917), parents_of_3 = 2) # two shards of rows
  for (mixing in c("orthonormal", "diagonal", "fixed")) {
    for (weights in list(NULL, c(0.55, 0.05, 0.1, 0.3))) {
      expect_em_close(s, mixing = mixing, weights = weights, max_iter = 2)
    }
  }
  fits <- lapply(1:2, function(threads) fit_gaussian(s, threads = threads))
  for (part in c("latents", "latents_sd", "mixing", "sigma2", "trace", "score")) {
    expect_identical(fits[[1]][[part]], fits[[2]][[part]])
  }
})

test_that("the EM with a reference agrees with plain R: perfect, damping, cg, range", {
  skip_on_cran()
  withr::local_seed(52)
  s <- gaussian_data()
  expect_em_close(s, intervention = "perfect")
  expect_em_close(s, eta = 0.5)
  expect_em_close(s, penalty = "ridge", range = c(-15, 15))
  expect_em_close(s, spline = spline_control(solver = "cg", cg_tol = 1e-14))
  s$targets[4, ] <- s$targets[2, ] # one set of targets in two domains
  fit <- expect_em_close(s, weights = c(0.2, 0.5, 0.2, 0.1))
  expect_identical(fit$score$reference$group, c(1L, 2L, 3L, 2L))
})

test_that("the structural causal model is that of regressions on moments less the noise", {
  withr::local_seed(53)
  s <- gaussian_data()
  for (intervention in c("imperfect", "perfect")) {
    fit <- fit_gaussian(s, max_iter = 0, init = list(mixing = s$mixing, sigma2 = s$sigma2),
                        intervention = intervention)
    cells <- ref_linear_scm(s$x %*% fit$orthonormal, s$env, s$targets, fit$score$parents, rep(1, 4),
                            diag(fit$sigma2, 3), list(intervention = intervention))
    reference <- fit$score$reference
    for (j in 1:3) {
      for (state in 0:1) {
        cell <- cells[[paste(j, state)]]
        expect_close(reference$intercept[state + 1, j], cell$intercept, 1e-10)
        expect_close(reference$variance[state + 1, j], cell$variance, 1e-10)
        expect_close(reference$coefficients[, state + 1, j],
                     replace(numeric(3), cell$parents, cell$coef), 1e-10)
      }
    }
    # a combination without rows: its Gaussian is that of the model, and the splines are the same
    moments <- ref_scm_moments(cells, c(1, 1, 0))
    y <- s$x[1:20, ] %*% fit$orthonormal
    splines <- ref_eval_score(y, matrix(c(1, 1, 0), 20, 3, TRUE), fit$score$parents,
                              fit$score$theta, fit$score$range, 4,
                              list(intervention = intervention))$score
    known <- -sweep(y, 2, moments$mean) %*% solve(moments$cov + diag(fit$sigma2, 3))
    expect_close(predict(fit, s$x[1:20, ], targets = c(1, 1, 0), type = "score"), splines + known)
    # and one with rows among them keeps its own
    mixed <- rbind(s$targets[s$env[1:20], ], matrix(c(1L, 1L, 0L), 20, 3, TRUE))
    both <- predict(fit, s$x[c(1:20, 1:20), ], targets = mixed)
    expect_close(both[1:20, ], fit$latents[1:20, ], 1e-12)
    expect_close(both[21:40, ], y + fit$sigma2 * (splines + known))
  }
})

test_that("parents that determine each other leave the regression finite", {
  withr::local_seed(54)
  s <- gaussian_data()
  s$x[, 1:7] <- s$x %*% s$mixing %*% rbind(c(1, 1, 0), c(1, 1, 0), c(0, 0, 1)) %*% t(s$mixing) +
    1e-3 * matrix(stats::rnorm(length(s$x)), nrow(s$x))
  fit <- fit_gaussian(s, init = list(mixing = s$mixing, sigma2 = 1e-6), max_iter = 0)
  expect_true(all(is.finite(fit$latents)))
  expect_lt(max(abs(fit$score$reference$coefficients)), 1e3)
})

test_that("kappa maximises the marginal likelihood", {
  withr::local_seed(55)
  d <- 3
  rows <- c(40, 25.5, 90)
  m0 <- matrix(stats::rnorm(9), 3)
  roots <- replicate(3, t(chol(crossprod(matrix(stats::rnorm(15), 5)))))
  m <- m0 + 0.3 * stats::rnorm(9)
  s <- vapply(1:3, function(g) crossprod(matrix(stats::rnorm(30 * d), 30)) * rows[g] / 20,
              diag(d))
  spectrum <- gap <- matrix(0, d, 3)
  for (g in 1:3) {
    w <- solve(roots[, , g])
    e <- eigen(w %*% s[, , g] %*% t(w), symmetric = TRUE)
    spectrum[, g] <- e$values
    gap[, g] <- (t(e$vectors) %*% w %*% (m[, g] - m0[, g]))^2
  }
  slow <- function(kappa) {
    sum(vapply(1:3, function(g) {
      ref_log_marginal(kappa, rows[g], m[, g], s[, , g], m0[, g], tcrossprod(roots[, , g]))
    }, 0))
  }
  at <- c(0.3, 4, 55, 1e4)
  ours <- lapply(at, function(kappa) .Call(C_shrinkage, rows, spectrum, gap, kappa))
  evidence <- vapply(ours, `[[`, 0, "evidence")
  expect_close(evidence - evidence[1], vapply(at, slow, 0) - slow(at[1]), 1e-11)
  slope <- vapply(at, function(kappa) {
    (slow(kappa * exp(1e-4)) - slow(kappa * exp(-1e-4))) / 2e-4
  }, 0)
  expect_close(vapply(ours, `[[`, 0, "slope"), slope, 1e-6)
  expect_close(log(ours[[1]]$kappa), log(ref_kappa(slow, 90)), 1e-7)
  # a set far from its structured covariance wants none of it; one that equals it wants all
  far <- .Call(C_shrinkage, c(500, 500), matrix(500 * c(0.01, 1, 100), 3, 2), gap[, 1:2], 1)
  expect_lt(far$kappa, 10)
  near <- .Call(C_shrinkage, c(500, 500), matrix(500, 3, 2), 0 * gap[, 1:2], 1)
  expect_equal(near$kappa, 500 * 1e4)
})

test_that("kappa is large where the linear model is true, small where it is not", {
  kappa <- function(nonlinearity, n) {
    sim <- withr::with_seed(3, sim_crl(chain_dag(4), n = n, p = 20, nonlinearity = nonlinearity))
    known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
    fit_crl(sim, init = known, control = crl_control(max_iter = 0))$score$reference$kappa
  }
  expect_gt(kappa("linear", 100), 2000)
  expect_lt(kappa("strong", 1000), 100)
})

# E[z | x] where the structural causal model is linear and Gaussian.
linear_posterior <- function(sim, x, targets) {
  d <- ncol(sim$dag)
  z <- matrix(0, nrow(x), d)
  pattern <- apply(targets, 1, paste, collapse = "")
  for (set in unique(pattern)) {
    rows <- pattern == set
    hit <- targets[which(rows)[1], ] == 1
    b <- t(sim$scm$edge_weights)
    b[hit, ] <- 0
    total <- solve(diag(d) - b)
    mean <- drop(total %*% ifelse(hit, 10, 0))
    cov <- total %*% diag(ifelse(hit, 1, 4)) %*% t(total)
    gain <- cov %*% solve(cov + diag(sim$sigma2, d))
    y <- x[rows, , drop = FALSE] %*% sim$mixing
    z[rows, ] <- t(mean + gain %*% (t(y) - mean))
  }
  z
}

test_that("with A known the regret on linear data is below 1 %, and below that without", {
  regret <- vapply(1:3, function(seed) {
    sim <- withr::with_seed(seed, sim_crl(chain_dag(4), n = 2000, p = 30, nonlinearity = "linear"))
    known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
    error <- function(reference) {
      rel_mse(fit_crl(sim, init = known,
                      control = crl_control(spline = spline_control(reference = reference),
                                            max_iter = 0)), sim)
    }
    best <- rel_mse(linear_posterior(sim, sim$x, sim$targets[sim$env, ]), sim)
    c(error("gaussian"), error("none")) / best
  }, c(0, 0))
  expect_lt(max(regret[1, ]), 1.01)
  expect_true(all(regret[1, ] < regret[2, ]))
})

test_that("a combination of targets without rows has the exact posterior of linear data", {
  sim <- withr::with_seed(4, sim_crl(chain_dag(4), n = 1000, p = 30, nonlinearity = "linear"))
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  hit <- c(1, 0, 1, 0)
  other <- withr::with_seed(5, {
    b <- t(sim$scm$edge_weights)
    b[hit == 1, ] <- 0
    noise <- ifelse(hit == 1, 1, 2) * matrix(stats::rnorm(4000), 4) + 10 * hit
    z <- t(solve(diag(4) - b) %*% noise)
    list(z = z, x = z %*% t(sim$mixing) + sqrt(2) * matrix(stats::rnorm(30000), 1000))
  })
  best <- linear_posterior(sim, other$x, matrix(hit, 1000, 4, TRUE))
  error <- function(reference) {
    fit <- fit_crl(sim, init = known,
                   control = crl_control(spline = spline_control(reference = reference),
                                         max_iter = 0, lambda = 1e4))
    found <- suppressWarnings(predict(fit, other$x, targets = hit))
    mean((found - best)^2) / mean((best - other$z)^2)
  }
  expect_lt(error("gaussian"), 0.02)
  expect_lt(error("gaussian"), error("none") / 3)
})

test_that("order of rows and of domains, and a domain cut in two, do not matter", {
  withr::local_seed(56)
  s <- gaussian_data()
  fit <- fit_gaussian(s)
  order <- sample(nrow(s$x))
  shuffled <- utils::modifyList(s, list(x = s$x[order, ], env = s$env[order]))
  expect_close(fit_gaussian(shuffled)$latents, fit$latents[order, ], 1e-8)
  turned <- s
  turned$targets <- s$targets[c(3, 1, 4, 2), ]
  turned$env <- match(s$env, c(3, 1, 4, 2))
  expect_close(fit_gaussian(turned)$latents, fit$latents, 1e-8)
  cut <- s
  cut$targets <- rbind(s$targets, s$targets[2, ])
  cut$env[which(s$env == 2)[1:37]] <- 5L
  expect_close(fit_gaussian(cut)$latents, fit$latents, 1e-8)
})

test_that("numbering and signs of the latents, and the unit of x, do not matter", {
  withr::local_seed(57)
  s <- gaussian_data()
  fit <- fit_gaussian(s)
  order <- c(3, 1, 2) # children before parents
  other <- s
  other$dag <- s$dag[order, order]
  other$targets <- s$targets[, order]
  other$start$mixing <- s$start$mixing[, order] %*% diag(c(-1, 1, 1))
  expect_close(fit_gaussian(other)$latents, fit$latents[, order] %*% diag(c(-1, 1, 1)), 1e-8)
  large <- s
  large$x <- 50 * s$x
  large$start$sigma2 <- 50^2 * s$start$sigma2
  expect_close(fit_gaussian(large)$latents, 50 * fit$latents, 1e-7)
})

test_that("lambda and eta chosen with a reference are those of the whole score", {
  skip_on_cran()
  withr::local_seed(58)
  s <- gaussian_data(n_env = c(403, 301, 358, 337), parents_of_3 = 2)
  fit <- fit_gaussian(s, mixing = "fixed", max_iter = 0, lambda = 7, eta = "auto", seed = 9)
  fold <- .Call(C_fold_rows, s$env, 4L, 5L, 9)
  y <- s$x %*% fit$orthonormal
  parents <- unname(fit$score$parents)
  known <- ref_reference(y, s$env, s$targets, parents, rep(1, 4), diag(3), fit$sigma2, list())
  square <- slope <- 0
  for (f in 1:5) {
    held <- fold == f
    control <- list(penalty = "difference", lambda = 7, knots = 4, range = fit$score$range)
    train <- ref_score(y[!held, ], s$env[!held], s$targets, parents, rep(1, 4), control,
                       known$score[!held, ])
    test <- ref_eval_score(y[held, ], s$targets[s$env[held], ], parents, train$theta,
                           fit$score$range, 4)
    score <- test$score + known$score[held, ]
    own <- vapply(1:3, function(j) known$precision[held, j, j], numeric(sum(held)))
    square <- square + sum(t(score^2) / fit$scale^2)
    slope <- slope + sum(t(test$dscore - own) / fit$scale^2)
  }
  expect_close(fit$eta, -slope / square, 1e-7)
  expect_lt(fit$eta, 1)
})

test_that("crl_compare() scores the whole of the score; a refit from a fit; memory", {
  skip_on_cran()
  withr::local_seed(59)
  sim <- sim_crl(chain_dag(3), n = 300, p = 12, nonlinearity = "linear")
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  fit <- function(...) fit_crl(sim, init = known, control = crl_control(...))
  comparison <- crl_compare(with = fit(),
                            without = fit(spline = spline_control(reference = "none")), folds = 3)
  expect_identical(comparison$model[1], "with")
  again <- fit_crl(sim, init = fit())
  expect_close(again$latents, fit()$latents, 1e-10)
  expect_null(fit(spline = spline_control(reference = "none"))$score$reference)
  expect_null(fit(preset = "paper", mixing = "fixed", max_iter = 1)$score$reference)
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  bytes <- function(...) {
    fit_cost(data, update(crl_control(...), spline = spline_control(interaction = "tensor")))$bytes
  }
  expect_gte(bytes(), bytes(spline = spline_control(reference = "none")) + 8 * 900 * 3)
})
