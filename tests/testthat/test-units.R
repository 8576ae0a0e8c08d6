# Results are the same in any units of x: x times c, sigma2 times c^2, a given range times c give
# latents times c, bit by bit where c is a power of two.

units_data <- withr::with_seed(1, sim_crl(chain_dag(3), n = 100, p = 12))

fit_in_units <- function(c, init, ..., method = "f") {
  s <- units_data
  if (is.list(init) && !is.null(init$sigma2)) init$sigma2 <- init$sigma2 * c^2
  settings <- list(..., seed = 1)
  if (!is.null(settings$range)) settings$range <- settings$range * c
  fit_crl(s$x * c, env = s$env, targets = s$targets, dag = s$dag, init = init, method = method,
          control = do.call(crl_control, settings))
}

expect_same_in_units <- function(init, ...) {
  plain <- fit_in_units(1, init, ...)
  for (c in 2^c(20, -40)) {
    expect_identical(unname(fit_in_units(c, init, ...)$latents / c), unname(plain$latents))
  }
  for (c in c(1e3, 1e-3, 1e-6)) {
    expect_equal(fit_in_units(c, init, ...)$latents / c, plain$latents, tolerance = 1e-7)
  }
}

given <- list(mixing = units_data$mixing)

test_that("f in other units: scores, penalties, lambda given and chosen", {
  skip_on_cran()
  expect_same_in_units(given)
  expect_same_in_units(given, score = "markov")
  expect_same_in_units(given, score = "markov", penalty = "ridge")
  expect_same_in_units(c(given, sigma2 = 2), score = "markov", lambda = "auto", eta = "auto")
  expect_same_in_units(given, penalty = "ridge", range = c(-15, 15))
  expect_same_in_units(given, score = "markov", spline = spline_control(solver = "cg"),
                       range = c(-15, 15))
})

test_that("f in other units: more settings", {
  skip_on_cran()
  expect_same_in_units(given, lambda = "auto", penalty = "ridge")
  expect_same_in_units(given, score = "markov", penalty = "ridge", lambda = "auto")
  expect_same_in_units(given, mixing = "psd")
  expect_same_in_units(given, mixing = "diagonal", max_iter = 20)
  expect_same_in_units("pca", score = "markov", max_iter = 20)
})

test_that("in the paper's range the penalty of a log-density is lambda as it is", {
  s <- withr::with_seed(2, score_data(200, 2))
  parents <- list(integer(), 1L)
  range <- c(-15, 15)
  for (penalty in c("ridge", "difference")) {
    control <- list(knots = 8L, range = range, penalty = penalty, lambda = 3)
    fit <- do.call(score_fit, c(list(s$y, s$env, s$targets, parents, score = "markov"), control))
    wide <- do.call(score_fit, c(list(4 * s$y, s$env, s$targets, parents, score = "markov"),
                                 utils::modifyList(control, list(range = 4 * range))))
    expect_identical(wide$theta, fit$theta)
    expect_identical(4 * wide$score, fit$score)
  }
  expect_equal(ref_penalty(1, 8, "ridge", 3, weight = (30 / 7 / (30 / 7))^2), 3 * diag(10))
})

test_that("g in other units: linear and normal priors", {
  expect_same_in_units(given, prior = "linear", method = "g")
  expect_same_in_units("pca", prior = "normal", mixing = "orthonormal", method = "g")
  # latents of variance 1: with x times c, A is
  unit <- fit_in_units(1, given, prior = "normal", method = "g")
  large <- fit_in_units(2^10, lapply(given, `*`, 2^10), prior = "normal", method = "g")
  expect_equal(large$latents, unit$latents, tolerance = 1e-7)
})

test_that("g in other units: spline prior", {
  skip_on_cran()
  expect_same_in_units(given, method = "g",
                       saem = saem_control(burn_in = 70, iterations = 20, draws = 20))
})
