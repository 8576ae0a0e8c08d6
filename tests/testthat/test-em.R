# The whole EM against its slow reference (helper-reference.R), the same bits
# for every thread count, and invariances and closed forms of the method.

em_data <- function(n_env = c(143, 101, 128, 117), p = 7, d = 3, parents_of_3 = 1:2) {
  dag <- matrix(0, d, d)
  if (d > 1) dag[cbind(seq_len(d - 1), seq_len(d)[-1])] <- 1
  if (d == 3) dag[parents_of_3, 3] <- 1
  s <- ref_data(n_env, p, dag)
  shuffled <- sample(length(s$env))
  s$x <- s$x[shuffled, ]
  s$z <- s$z[shuffled, , drop = FALSE]
  s$env <- s$env[shuffled]
  storage.mode(s$targets) <- "integer"
  # off the truth, and lengths other than 1
  near <- ref_polar(s$mixing + 0.1 * matrix(stats::rnorm(p * d), p, d))
  s$start <- list(mixing = near %*% diag(seq(0.8, 1.3, length.out = d), d), sigma2 = 0.7)
  s
}

fit_em <- function(s, ..., weights = NULL, init = s$start) {
  settings <- utils::modifyList(
    list(tol = 0, max_iter = 20, knots = 4, mixing = "orthonormal",
         spline = list(reference = "none")), list(...)
  )
  fit_crl(s$x,
    env = s$env, targets = s$targets, dag = s$dag, weights = weights, init = init,
    control = do.call(crl_control, settings)
  )
}

reference_em <- function(s, ..., weights = NULL, init = s$start) {
  settings <- utils::modifyList(list(knots = 4), list(...))
  ref_fit(s$x, s$env, s$targets, s$dag, weights = weights, init = init, control = settings)
}

expect_fit_close <- function(fit, reference, tolerance = 1e-8) {
  expect_identical(fit$iterations, as.integer(reference$iterations))
  expect_close(fit$sigma2, reference$sigma2, tolerance)
  expect_close(fit$mixing, reference$mixing, tolerance)
  expect_close(fit$orthonormal, reference$orthonormal, tolerance)
  expect_close(fit$scale, reference$scale, tolerance)
  expect_close(fit$latents, reference$latents, tolerance)
  expect_close(fit$latents_sd^2, reference$latents_sd^2, tolerance)
  expect_close(fit$score$theta, reference$theta, tolerance)
  expect_close(fit$score$range, reference$range, tolerance)
  columns <- c("iteration", "sigma2", "loss", "change_mixing", "change_sigma2", "change_latents",
               "floored")
  for (column in columns) {
    expect_close(fit$trace[[column]], reference$trace[[column]], tolerance)
  }
  expect_identical(fit$trace$step, reference$trace$step)
  for (count in names(reference$counts)) {
    expect_equal(fit$counts[[count]], reference$counts[[count]])
  }
}

test_that("20 iterations agree with the reference: every mode, penalty, weighting, thread count", {
  skip_on_cran()
  withr::local_seed(11)
  s <- em_data(n_env = c(403, 301, 358, 337), parents_of_3 = 2) # two shards of rows
  for (mixing in c("orthonormal", "diagonal", "fixed")) {
    for (penalty in c("ridge", "difference")) {
      for (weights in list(NULL, c(0.55, 0.05, 0.1, 0.3))) {
        reference <- reference_em(s, mixing = mixing, penalty = penalty, weights = weights)
        for (threads in 1:2) {
          fit <- fit_em(s,
            mixing = mixing, penalty = penalty, weights = weights, threads = threads
          )
          expect_fit_close(fit, reference)
        }
      }
    }
  }
})

test_that("20 iterations agree with the reference from principal components", {
  skip_on_cran()
  withr::local_seed(12)
  s <- em_data()
  for (mixing in c("orthonormal", "diagonal", "fixed")) {
    reference <- reference_em(s, mixing = mixing, init = "pca")
    expect_fit_close(fit_em(s, mixing = mixing, init = "pca"), reference)
  }
})

test_that("20 iterations agree with the reference by conjugate gradients", {
  skip_on_cran()
  withr::local_seed(13)
  s <- em_data()
  for (penalty in c("ridge", "difference")) {
    reference <- reference_em(s, penalty = penalty)
    fit <- fit_em(s, penalty = penalty, spline = spline_control(solver = "cg", cg_tol = 1e-13))
    expect_fit_close(fit, reference)
    expect_true(all(fit$cells$solver == "cg"))
  }
})

test_that("20 iterations agree with the reference: range, damping, sigma2, one latent", {
  skip_on_cran()
  withr::local_seed(14)
  s <- em_data(parents_of_3 = 2)
  settings <- list(
    list(range = c(-15, 15), penalty = "ridge"),
    list(range = c(-2, 2)),
    list(range = rbind(c(-3, -4, -5), c(6, 5, 4))),
    list(eta = 0.5),
    list(intervention = "perfect"),
    list(lambda = 100),
    list(sigma2 = "fixed"),
    list(mixing = "fixed", sigma2 = "learned"),
    list(knots = 8)
  )
  for (setting in settings) {
    setting$max_iter <- 8
    reference <- do.call(reference_em, c(list(s), setting))
    expect_fit_close(do.call(fit_em, c(list(s), setting)), reference)
  }
  one <- em_data(n_env = c(143, 101), d = 1)
  expect_fit_close(fit_em(one), reference_em(one))
})

test_that("a node that is never or always a target has one state", {
  withr::local_seed(15)
  s <- em_data(parents_of_3 = 2)
  s$targets[] <- 0L
  s$targets[c(2, 4), 2] <- 1L
  s$targets[, 3] <- 1L
  fit <- fit_em(s)
  expect_fit_close(fit, reference_em(s))
  expect_null(fit$score$theta[[1]]$state1)
  expect_null(fit$score$theta[[3]]$state0)
})

test_that("starts: no iterations, a general matrix, no sigma2", {
  skip_on_cran()
  withr::local_seed(20)
  s <- em_data()
  for (init in list("pca", s$start)) {
    for (mixing in c("orthonormal", "diagonal")) {
      fit <- fit_em(s, mixing = mixing, init = init, max_iter = 0)
      expect_fit_close(fit, reference_em(s, mixing = mixing, init = init, max_iter = 0))
    }
  }
  general <- list(mixing = matrix(stats::rnorm(21), 7, 3), sigma2 = 1)
  expect_fit_close(fit_em(s, init = general), reference_em(s, init = general))
  part <- fit_em(s, init = s$start["mixing"], max_iter = 0)
  left <- sum(s$x^2) - sum((s$x %*% ref_polar(s$start$mixing))^2)
  expect_close(part$sigma2, left / (nrow(s$x) * (7 - 3)))
})

test_that("the stopping rule is the reference's", {
  skip_on_cran()
  withr::local_seed(16)
  s <- em_data()
  for (tol in c(3e-2, 1e-2)) {
    reference <- reference_em(s, tol = tol, max_iter = 60)
    fit <- fit_em(s, tol = tol, max_iter = 60)
    expect_true(reference$converged)
    expect_true(fit$converged)
    # extrapolations magnify rounding errors, which are the processor's
    expect_fit_close(fit, reference, 1e-6)
  }
  expect_false(fit_em(s, tol = 1e-12, max_iter = 2)$converged)
})

test_that("predict() gives the reference's posterior at unseen rows", {
  skip_on_cran()
  withr::local_seed(17)
  s <- em_data()
  fit <- fit_em(s, max_iter = 5)
  reference <- reference_em(s, max_iter = 5)
  x <- s$x[1:40, ] + 3 * matrix(stats::rnorm(280), 40, 7)
  targets <- matrix(sample(0:1, 120, replace = TRUE), 40, 3)
  y <- x %*% reference$orthonormal
  at <- ref_eval_score(y, targets, reference$parents, reference$theta, reference$range, 4)
  expected <- ref_tweedie(y, at$score, at$dscore, reference$scale, reference$sigma2, 1)
  posterior <- function(type) {
    suppressWarnings(
      predict(fit, x, targets = targets, type = type),
      classes = c("ebcrl_warning_extrapolation", "ebcrl_warning_variance")
    )
  }
  expect_close(posterior("latents"), expected$latents)
  expect_close(posterior("sd")^2, expected$variance)
  expect_close(posterior("score"), at$score)
  expect_close(posterior("x"), expected$latents %*% t(reference$mixing))
})

test_that("targets of perfect interventions are cut off their parents, in new rows too", {
  withr::local_seed(38)
  s <- em_data()
  fit <- fit_em(s, max_iter = 3, intervention = "perfect")
  reference <- reference_em(s, max_iter = 3, intervention = "perfect")
  targets <- matrix(sample(0:1, 120, replace = TRUE), 40, 3)
  y <- s$x[1:40, ] %*% reference$orthonormal
  at <- ref_eval_score(y, targets, reference$parents, reference$theta, reference$range, 4,
    control = list(intervention = "perfect")
  )
  score <- predict(fit, s$x[1:40, ], targets = targets, type = "score")
  expect_close(score, at$score)
  expect_identical(fit$cells$coefficients, c(6, 6, 36, 6, 216, 6))
  expect_output(print(summary(fit)), "perfect interventions")
})

test_that("every thread count gives the same bits", {
  skip_on_cran()
  withr::local_seed(18)
  s <- em_data(n_env = c(2003, 3001, 1999, 3004), p = 5)
  fields <- c("latents", "latents_sd", "mixing", "sigma2", "iterations", "trace", "score", "counts")
  for (solver in c("cholesky", "cg")) {
    fits <- lapply(1:3, function(threads) {
      fit_em(s, max_iter = 2, spline = spline_control(solver = solver), threads = threads)[fields]
    })
    expect_identical(fits[[2]], fits[[1]])
    expect_identical(fits[[3]], fits[[1]])
  }
  weights <- c(0.4, 0.1, 0.2, 0.3)
  weighted <- lapply(1:2, function(threads) {
    fit_em(s,
      max_iter = 2, penalty = "ridge", mixing = "diagonal", init = "pca",
      weights = weights, threads = threads
    )[fields]
  })
  expect_identical(weighted[[2]], weighted[[1]])
})

test_that("several blocks of rows agree with the reference", {
  skip_on_cran()
  withr::local_seed(19)
  s <- em_data(n_env = c(2003, 3001, 1999, 3004), p = 5, parents_of_3 = 2)
  fit <- fit_em(s, max_iter = 2, threads = 2)
  expect_fit_close(fit, reference_em(s, max_iter = 2))
})

test_that("singular normal equations are jittered, and counted", {
  withr::local_seed(36)
  s <- em_data()
  # ten basis functions over a range of which the data fill a third
  # noise so small that the score, which its rows hardly tell, moves latents by little
  fit <- fit_em(s, max_iter = 2, lambda = 0, range = c(-40, 40), knots = 8,
                spline = spline_control(solver = "cholesky"), sigma2 = "fixed",
                init = utils::modifyList(s$start, list(sigma2 = 1e-3)))
  expect_gt(fit$counts[["jittered"]], 0)
  expect_true(all(is.finite(fit$latents)))
  expect_identical(fit_em(s, max_iter = 2)$counts[["jittered"]], 0)
})

test_that("conjugate gradients that stop early are counted", {
  withr::local_seed(37)
  s <- em_data()
  fit <- fit_em(s, max_iter = 2, spline = spline_control(solver = "cg", cg_max_iter = 2))
  expect_gt(fit$counts[["cg_unconverged"]], 0)
  expect_identical(fit_em(s, max_iter = 2,
                          spline = spline_control(solver = "cg"))$counts[["cg_unconverged"]], 0)
})

test_that("latents shrunk past zero turn their column, and sigma2 still goes down", {
  withr::local_seed(11)
  s <- em_data()
  s$start$sigma2 <- 4
  fit <- fit_em(s, max_iter = 3)
  expect_fit_close(fit, reference_em(s, max_iter = 3))
  # the variance left around A z' is that of the latents that were there
  expect_true(all(diff(fit$trace$sigma2) < 0))
})

# Invariances ----------------------------------------------------------------

expect_same_estimates <- function(fit, latents, mixing, sigma2, tolerance = 1e-8) {
  expect_close(fit$latents, latents, tolerance)
  expect_close(fit$mixing, mixing, tolerance)
  expect_close(fit$sigma2, sigma2, tolerance)
}

test_that("the order of the rows does not matter", {
  withr::local_seed(21)
  s <- em_data()
  fit <- fit_em(s, mixing = "diagonal")
  order <- sample(nrow(s$x))
  shuffled <- s
  shuffled$x <- s$x[order, ]
  shuffled$env <- s$env[order]
  again <- fit_em(shuffled, mixing = "diagonal")
  expect_same_estimates(again, fit$latents[order, ], fit$mixing, fit$sigma2)
})

test_that("a rotation of the observation space rotates the mixing alone", {
  withr::local_seed(22)
  s <- em_data()
  rotation <- qr.Q(qr(matrix(stats::rnorm(49), 7, 7)))
  rotated <- s
  rotated$x <- s$x %*% rotation
  rotated$start$mixing <- t(rotation) %*% s$start$mixing
  fit <- fit_em(s)
  expect_same_estimates(fit_em(rotated), fit$latents, t(rotation) %*% fit$mixing, fit$sigma2)
  # from principal components the signs of the latents follow the loadings
  fit <- fit_em(s, init = "pca")
  turned <- fit_em(rotated, init = "pca")
  signs <- sign(colSums(turned$latents * fit$latents))
  expect_same_estimates(
    turned, fit$latents %*% diag(signs), t(rotation) %*% fit$mixing %*% diag(signs), fit$sigma2
  )
})

test_that("the unit of the observations does not matter", {
  withr::local_seed(23)
  s <- em_data()
  large <- s
  large$x <- 50 * s$x
  large$start$sigma2 <- 50^2 * s$start$sigma2
  for (penalty in c("ridge", "difference")) {
    fit <- fit_em(s, penalty = penalty)
    again <- fit_em(large, penalty = penalty)
    expect_same_estimates(again, 50 * fit$latents, fit$mixing, 50^2 * fit$sigma2)
  }
})

test_that("the unit of the latents does not matter when the mixing is diagonal or fixed", {
  withr::local_seed(24)
  s <- em_data()
  unit <- c(0.1, 3, 20)
  other <- s
  other$start$mixing <- s$start$mixing %*% diag(1 / unit)
  for (mixing in c("diagonal", "fixed")) {
    fit <- fit_em(s, mixing = mixing)
    latents <- fit$latents %*% diag(unit)
    columns <- fit$mixing %*% diag(1 / unit)
    expect_same_estimates(fit_em(other, mixing = mixing), latents, columns, fit$sigma2)
  }
})

test_that("names and order of the domains do not matter", {
  withr::local_seed(25)
  s <- em_data()
  fit <- fit_em(s, weights = c(0.4, 0.3, 0.1, 0.2))
  order <- c(3, 1, 4, 2)
  relabelled <- s
  relabelled$targets <- s$targets[order, ]
  rownames(relabelled$targets) <- c("third", "first", "fourth", "second")
  relabelled$env <- c("first", "second", "third", "fourth")[s$env]
  weights <- c(third = 0.1, first = 0.4, fourth = 0.2, second = 0.3)
  expect_same_estimates(fit_em(relabelled, weights = weights), fit$latents, fit$mixing, fit$sigma2)
})

test_that("a domain can be cut in two", {
  withr::local_seed(26)
  s <- em_data()
  fit <- fit_em(s)
  cut <- s
  cut$targets <- rbind(s$targets, s$targets[2, ])
  cut$env[which(s$env == 2)[1:37]] <- 5L
  expect_same_estimates(fit_em(cut), fit$latents, fit$mixing, fit$sigma2)
})

test_that("a weight is a number of copies of a domain", {
  withr::local_seed(27)
  s <- em_data()
  copies <- c(3, 1, 1, 2)
  rows <- rep(seq_along(s$env), copies[s$env])
  copied <- s
  copied$x <- s$x[rows, ]
  copied$env <- s$env[rows]
  weights <- copies * tabulate(s$env)
  many <- fit_em(copied, lambda = 5)
  weighted <- fit_em(s, weights = weights / sum(weights), lambda = 5 * nrow(s$x) / length(rows))
  expect_same_estimates(many, weighted$latents[rows, ], weighted$mixing, weighted$sigma2)
})

test_that("the numbering of the latents does not matter", {
  withr::local_seed(28)
  s <- em_data()
  order <- c(3, 1, 2)
  relabelled <- s
  relabelled$dag <- s$dag[order, order]
  relabelled$targets <- s$targets[, order]
  relabelled$start$mixing <- s$start$mixing[, order]
  for (penalty in c("ridge", "difference")) {
    fit <- fit_em(s, penalty = penalty)
    expect_same_estimates(
      fit_em(relabelled, penalty = penalty), fit$latents[, order], fit$mixing[, order], fit$sigma2
    )
  }
})

test_that("a latent may change its sign", {
  withr::local_seed(29)
  s <- em_data()
  fit <- fit_em(s, mixing = "diagonal")
  signs <- diag(c(1, -1, -1))
  mirrored <- s
  mirrored$start$mixing <- s$start$mixing %*% signs
  expect_same_estimates(
    fit_em(mirrored, mixing = "diagonal"), fit$latents %*% signs, fit$mixing %*% signs, fit$sigma2
  )
})

# Closed forms ---------------------------------------------------------------

test_that("without shrinkage the latents are the scaled pseudo-latents", {
  withr::local_seed(31)
  s <- em_data()
  for (mixing in c("orthonormal", "diagonal")) {
    fit <- fit_em(s, eta = 0, mixing = mixing)
    expect_close(fit$latents, s$x %*% fit$orthonormal %*% diag(1 / fit$scale), 1e-12)
  }
})

test_that("an empty graph is one problem a latent", {
  withr::local_seed(32)
  s <- em_data()
  s$dag[] <- 0
  s$start$mixing <- s$mixing
  joint <- fit_em(s, mixing = "fixed", max_iter = 1)
  for (j in 1:3) {
    alone <- s
    alone$dag <- s$dag[j, j, drop = FALSE]
    alone$targets <- s$targets[, j, drop = FALSE]
    alone$start$mixing <- s$mixing[, j, drop = FALSE]
    alone <- fit_em(alone, mixing = "fixed", max_iter = 1)
    expect_close(alone$latents, joint$latents[, j], 1e-12)
    expect_close(alone$latents_sd, joint$latents_sd[, j], 1e-12)
  }
})

# The difference penalty does not touch functions linear in each coordinate, over
# which score matching has a closed form.
test_that("heavy smoothing by differences ends in linear shrinkage", {
  withr::local_seed(33)
  s <- em_data()
  s$start$mixing <- s$mixing
  s$dag[] <- 0
  fit <- fit_em(s, mixing = "fixed", max_iter = 1, lambda = 1e6)
  y <- s$x %*% s$mixing
  for (j in 1:3) {
    for (rows in split(seq_along(s$env), s$targets[s$env, j])) {
      centred <- y[rows, j] - mean(y[rows, j])
      slope <- -1 / mean(centred^2)
      expect_close(fit$latents[rows, j], y[rows, j] + s$start$sigma2 * slope * centred, 1e-6)
      variance <- rep(s$start$sigma2 * (1 + s$start$sigma2 * slope), length(rows))
      expect_close(fit$latents_sd[rows, j]^2, variance, 1e-6)
    }
  }
})

test_that("E[y s] = -1 in every state, for every smoothing by differences", {
  withr::local_seed(34)
  s <- em_data()
  s$start$mixing <- s$mixing
  y <- s$x %*% s$mixing
  for (lambda in c(0.1, 5, 1e3)) {
    fit <- fit_em(s, mixing = "fixed", max_iter = 1, lambda = lambda)
    score <- (fit$latents - y) / s$start$sigma2
    for (j in 1:3) {
      for (rows in split(seq_along(s$env), s$targets[s$env, j])) {
        expect_equal(mean(y[rows, j] * score[rows, j]), -1, tolerance = 1e-8)
        expect_equal(mean(score[rows, j]), 0, tolerance = 1e-8)
        for (k in which(s$dag[, j] == 1)) {
          expect_equal(mean(y[rows, k] * score[rows, j]), 0, tolerance = 1e-8)
          cross <- mean(y[rows, k] * y[rows, j] * score[rows, j])
          expect_equal(cross + mean(y[rows, k]), 0, tolerance = 1e-8)
        }
      }
    }
  }
})

# Two of four latents: the EM's score does not fit what moves x.
fit_two_of_four <- function(mixing, ...) {
  sim <- withr::with_seed(1, sim_crl(chain_dag(4), n = 200, p = 5, nonlinearity = "linear"))
  fit_crl(sim, targets = sim$targets[, 1:2], dag = sim$dag[1:2, 1:2],
          control = crl_control(mixing = mixing, update_mixing = TRUE, ...))
}

test_that("an EM that diverges says what happened and how to mend it", {
  expect_snapshot({
    fit_two_of_four("orthonormal")
    fit_two_of_four("diagonal")
  }, error = TRUE, transform = function(lines) sub("It is [0-9.e+]+:", "It is <large>:", lines))
  expect_error(fit_two_of_four("orthonormal"), class = "ebcrl_error_numerical")
  held <- fit_two_of_four("orthonormal", sigma2 = "fixed", max_iter = 5)
  expect_s3_class(held, "crl_fit")
})

test_that("a noise variance that starts far too large may come down", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(3), n = 200, p = 50))
  from <- function(sigma2) {
    fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sigma2),
            control = crl_control(mixing = "fixed", sigma2 = "learned"))$sigma2
  }
  far <- 15 * mean(sim$x^2)
  expect_equal(from(far), from(2), tolerance = 1e-4)
  expect_error(from(1e4 * far), "noise variance rose", class = "ebcrl_error_numerical")
})

test_that("D that falls to 0 ends the update of the mixing matrix", {
  expect_error(
    .Call(ebcrl:::C_mixing_update, diag(2), c(1, 1e120), c(1, 1), "diagonal"), "shrunk"
  )
})

test_that("a fit with knots that are not symmetric is a fixed point, signs and all", {
  sim <- withr::with_seed(5, sim_crl(chain_dag(3), n = 200, p = 6))
  for (mixing in c("auto", "psd")) {
    fit <- fit_crl(sim, control = crl_control(range = c(-5, 15), mixing = mixing, tol = 1e-9,
                                              start = start_search(mechanisms = "linear")))
    more <- update(fit, max_iter = 20, tol = 0, spline = spline_control(acceleration = "none"))
    expect_equal(more$sigma2, fit$sigma2, tolerance = 1e-8)
    expect_equal(more$latents, fit$latents, tolerance = 1e-8)
    expect_true(all(latent_signs(fit$mixing, fit$data, fit$control) == 1))
  }
})

test_that("with as many features as latents the noise variance is not learned", {
  sim <- withr::with_seed(2, sim_crl(chain_dag(3), n = 100, p = 3))
  start <- list(mixing = sim$mixing, sigma2 = 2)
  fit <- fit_crl(sim, init = start, control = crl_control(mixing = "orthonormal", max_iter = 20))
  expect_false(fit$learned[["sigma2"]])
  expect_identical(fit$sigma2, 2)
  expect_error(fit_crl(sim, init = start, control = crl_control(sigma2 = "learned")),
               "cannot be learned from 3 columns", class = "ebcrl_error_control")
})
