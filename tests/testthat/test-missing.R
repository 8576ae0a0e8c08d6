# Missing entries: the factor model of incomplete rows and rows with noise of their own against
# plain R, and fits against the Bayes optimum of the entries that are there.

incomplete <- function(n = 400, p = 9, q = 2, share = 0.3, mean = 0) {
  loadings <- matrix(stats::rnorm(p * q), p)
  psi <- stats::runif(p, 0.3, 2)
  x <- matrix(stats::rnorm(n * q, mean = 1), n) %*% t(loadings) +
    matrix(stats::rnorm(n * p), n) * rep(sqrt(psi), each = n) + rep(rep_len(mean, p), each = n)
  x[stats::runif(n * p) < share] <- NA
  x
}

# The log-likelihood of incomplete rows, one by one.
ref_incomplete <- function(x, loadings, psi, mean, weight = rep(1, nrow(x))) {
  sum(weight * vapply(seq_len(nrow(x)), function(i) {
    o <- which(!is.na(x[i, ]))
    if (length(o) == 0L) return(0)
    sigma <- tcrossprod(loadings[o, , drop = FALSE]) + diag(psi[o], length(o))
    off <- x[i, o] - mean[o]
    -(length(o) * log(2 * pi) + as.numeric(determinant(sigma)$modulus) +
        sum(off * solve(sigma, off))) / 2
  }, 0))
}

em_of <- function(x, q, centered = TRUE, equal = FALSE, threads = 1L, env = rep(1L, nrow(x)),
                  omega = 1) {
  p <- ncol(x)
  start <- list(loadings = qr.Q(qr(outer(seq_len(p), seq_len(q), function(j, k) sin(j * k)))),
                psi = rep(1, p), mean = if (centered) colMeans(x, na.rm = TRUE) else rep(0, p))
  .Call(C_factor_missing_model, x, env, omega, start,
        list(q = q, equal = equal, centered = centered, tol = 1e-3, threads = threads))
}

test_that("the EM of incomplete rows finds the maximum of their likelihood", {
  withr::local_seed(1)
  x <- incomplete(mean = 1:9)
  for (equal in c(FALSE, TRUE)) {
    em <- em_of(x, 2L, equal = equal)
    expect_true(em$converged)
    expect_close(em$loglik, ref_incomplete(x, em$loadings, em$psi, em$mean), 1e-10)
    unpacked <- function(par) {
      psi <- exp(if (equal) rep(par[1], 9) else par[1:9])
      list(psi = psi, mean = par[10:18], loadings = matrix(par[19:36], 9))
    }
    value <- function(par) with(unpacked(par), ref_incomplete(x, loadings, psi, mean))
    best <- stats::optim(c(log(em$psi), em$mean, em$loadings), value, method = "BFGS",
                         control = list(fnscale = -1, maxit = 20))
    expect_lt(best$value - em$loglik, 0.02)
  }
})

test_that("a mean that is in the span is the best of these", {
  withr::local_seed(2)
  x <- incomplete()
  em <- em_of(x, 2L, centered = FALSE)
  expect_close(em$loglik, ref_incomplete(x, em$loadings, em$psi, em$mean), 1e-10)
  expect_lt(max(abs(qr.resid(qr(em$loadings), em$mean))), 1e-10)
  nu <- drop(qr.coef(qr(em$loadings), em$mean))
  moved <- stats::optim(nu, function(nu) {
    ref_incomplete(x, em$loadings, em$psi, drop(em$loadings %*% nu))
  }, control = list(fnscale = -1))
  expect_lt(moved$value - em$loglik, 0.01)
})

test_that("without missing entries it is factor analysis", {
  withr::local_seed(3)
  x <- incomplete(share = 0)
  em <- em_of(x, 2L)
  other <- stats::factanal(x, 2, rotation = "none")
  expect_close(drop(em$psi), other$uniquenesses * apply(x, 2, stats::var) * 399 / 400, 5e-3)
})

test_that("incomplete rows have weights, and the same bits for any number of threads", {
  withr::local_seed(4)
  x <- incomplete(n = 9000, p = 6)
  env <- rep(1:2, c(3000, 6000))
  one <- em_of(x, 2L, env = env, omega = c(2, 0.5))
  two <- em_of(x, 2L, env = env, omega = c(2, 0.5), threads = 2L)
  expect_identical(one, two)
  expect_close(one$loglik, ref_incomplete(x, one$loadings, one$psi, one$mean, c(2, 0.5)[env]), 1e-10)
})

unpacked_row <- function(packed, q) {
  full <- matrix(0, q, q)
  full[lower.tri(full, TRUE)] <- packed
  full + t(full) - diag(diag(full), q)
}

test_that("coordinates of rows are least squares on what is there", {
  withr::local_seed(5)
  x <- incomplete(n = 30, p = 9, q = 3, share = 0.3)
  span <- qr.Q(qr(matrix(stats::rnorm(27), 9)))
  psi <- stats::runif(9, 0.5, 2)
  rows <- .Call(C_row_noise_coordinates, x, 1:9 + 0, psi, span)
  precision <- 0
  for (i in seq_len(30)) {
    o <- !is.na(x[i, ])
    line <- stats::lm.wfit(span[o, , drop = FALSE], (x[i, ] - 1:9)[o], 1 / psi[o])
    expect_close(rows$coord[i, ], unname(line$coefficients), 1e-8)
    own <- crossprod(span[o, ], span[o, ] / psi[o])
    expect_close(unpacked_row(rows$noise[i, ], 3), solve(own), 1e-8)
    precision <- precision + own / 30
  }
  expect_close(rows$precision, precision, 1e-12)
  turn <- matrix(stats::rnorm(6), 2)
  turned <- .Call(C_row_noise_turned, rows$noise, turn)
  expect_close(unpacked_row(turned[7, ], 2), turn %*% unpacked_row(rows$noise[7, ], 3) %*% t(turn),
               1e-12)
})

test_that("rows of normal latents have the posterior of their own noise", {
  withr::local_seed(6)
  n <- 40
  variance <- c(4, 1, 9)
  common <- diag(c(1, 0.5, 2))
  own <- lapply(seq_len(n), function(i) crossprod(matrix(stats::rnorm(9), 3)) + 0.3 * diag(3))
  noise <- t(vapply(own, function(m) m[lower.tri(m, TRUE)], numeric(6)))
  y <- matrix(stats::rnorm(3 * n, sd = 3), n)
  slope <- -1 / (variance + diag(common)) # the score of N(0, variance + N)
  at <- y
  score_at <- function(at) at * rep(slope, each = n)
  dscore <- matrix(slope, n, 3, byrow = TRUE)
  for (k in 1:2) {
    at <- .Call(C_row_noise_step, y, noise, common, score_at(at), dscore, at)
  }
  got <- .Call(C_row_noise_posterior, y, noise, common, score_at(at), dscore, 1)
  for (i in seq_len(n)) {
    gain <- diag(variance) %*% solve(diag(variance) + own[[i]])
    expect_close(got$latents[i, ], drop(gain %*% y[i, ]), 1e-9)
    expect_close(got$variance[i, ], diag(diag(variance) - gain %*% diag(variance)), 1e-9)
  }
  expect_identical(got$floored, 0)
})

test_that("a fit of incomplete rows is near the Bayes optimum of what is there", {
  skip_on_cran()
  for (kind in c("linear", "bounded")) {
    withr::local_seed(7)
    sim <- sim_crl(chain_dag(3), n = 600, p = 40, nonlinearity = kind, missing = 0.2,
                   center = stats::rnorm(40, sd = 3), noise_sd = exp(stats::rnorm(40) / 2))
    expect_message(fit <- fit_crl(sim), class = "ebcrl_message_measurement")
    ratio <- rel_mse(fit, sim) / rel_mse(bayes_latents(sim, draws = 1000), sim)
    expect_lt(ratio, 1.15)
    off <- scale(fit$latents - sim$z, scale = FALSE)
    expect_gt(mean(abs(off) < stats::qnorm(0.95) * fit$latents_sd), 0.86)
    expect_lt(stats::median(abs(fit$noise_var / sim$noise_var - 1)), 0.08)
  }
  # a row more complete than others has the smaller variance, a worse one the larger
  few <- sim$x[1:2, ]
  few[1, ] <- ifelse(is.na(few[1, ]), fit$center, few[1, ])
  few[2, 1:30] <- NA
  sd <- predict(fit, few, env = sim$env[1], type = "sd")
  expect_true(all(sd[1, ] < sd[2, ]))
  expect_equal(predict(fit, sim$x, env = sim$env), fit$latents, tolerance = 1e-8,
               ignore_attr = TRUE)
})

test_that("the paper's data are left alone, and the order of rows does not matter", {
  skip_on_cran()
  withr::local_seed(8)
  sim <- sim_crl(chain_dag(3), n = 400, p = 30, nonlinearity = "linear", missing = 0.1)
  fit <- fit_crl(sim)
  expect_null(fit$center)
  expect_identical(fit$measurement$noise, "equal")
  by <- sample(nrow(sim$x))
  again <- fit_crl(sim$x[by, ], env = sim$env[by], targets = sim$targets, dag = sim$dag)
  expect_close(again$latents, fit$latents[by, ], 0.01)
})

test_that("what cannot be told is named", {
  withr::local_seed(9)
  sim <- sim_crl(chain_dag(2), n = 60, p = 8, missing = 0.1)
  call <- function(x, ...) fit_crl(x, sim$env, sim$targets, sim$dag, ...)
  x <- sim$x
  x[3, -1] <- NA
  expect_snapshot(error = TRUE, call(x))
  x <- sim$x
  x[-(1:5), 2] <- NA
  expect_snapshot(error = TRUE, call(x))
  expect_snapshot(error = TRUE, call(sim$x, init = "pca"))
  x <- sim$x
  x[2, 2] <- Inf
  expect_snapshot(error = TRUE, call(x))
})

test_that("nuisance factors are counted beside missing entries", {
  skip_on_cran()
  withr::local_seed(10)
  sim <- sim_crl(chain_dag(2), n = 400, p = 30, nonlinearity = "linear", missing = 0.2, nuisance = 2,
                 noise_sd = exp(stats::rnorm(30) / 2))
  fit <- suppressMessages(fit_crl(sim, nuisance = "auto"))
  expect_identical(fit$measurement$nuisance, 2L)
  clean <- sim_crl(chain_dag(2), n = 400, p = 30, nonlinearity = "linear", missing = 0.2)
  expect_identical(fit_crl(clean, nuisance = "auto")$measurement$nuisance, 0L)
})
