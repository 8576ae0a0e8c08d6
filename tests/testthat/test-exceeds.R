# Latents that far exceed the data are no result: the fit stops, and says which argument mends it.

exceeding <- withr::with_seed(1, sim_crl(chain_dag(3), n = 100, p = 12))

expect_exceeds <- function(says, ..., x = exceeding$x, sigma2 = 2) {
  s <- exceeding
  expect_error(
    fit_crl(x, env = s$env, targets = s$targets, dag = s$dag,
            init = c(list(mixing = s$mixing), sigma2 = sigma2), control = crl_control(...)),
    says, class = "ebcrl_error_numerical"
  )
}

test_that("a score that the rows hardly tell does not run away with the latents", {
  expect_exceeds("lambda", score = "markov", lambda = 0)
  expect_exceeds("lambda", spline = spline_control(solver = "cg"), lambda = 0)
  expect_exceeds("smaller `sigma2`", sigma2 = 1e4, spline = spline_control(reference = "none"))
  expect_exceeds("sum of squares", score = "markov", lambda = 0, sigma2 = NULL)
})

test_that("features' means that A does not span are named", {
  s <- exceeding
  expect_error(
    fit_crl(s$x + 1e6, env = s$env, targets = s$targets, dag = s$dag,
            init = list(mixing = s$mixing)),
    "means of the features make up 100 %.*center = TRUE",
    class = "ebcrl_error_numerical"
  )
})

test_that("a range that does not reach the latents gives latents of the data's size, or an error", {
  s <- exceeding
  for (score in c("causal", "markov")) {
    fit <- tryCatch(
      fit_crl(5 * s$x, env = s$env, targets = s$targets, dag = s$dag,
              init = list(mixing = s$mixing, sigma2 = 50),
              control = crl_control(range = c(-1e-3, 1e-3), score = score,
                                    spline = spline_control(reference = "none"))),
      ebcrl_error_numerical = function(error) {
        expect_match(conditionMessage(error), "`range` does not reach")
        NULL
      }
    )
    if (!is.null(fit)) expect_lt(sum(fitted(fit, "x")^2), 10 * sum((5 * s$x)^2))
  }
})

test_that("a decimal comma is no reason to warn, and counts go beyond 2^31", {
  s <- exceeding
  fit <- function() {
    fit_crl(s$x, env = s$env, targets = s$targets, dag = s$dag, init = list(mixing = s$mixing))
  }
  plain <- fit()
  withr::local_options(OutDec = ",", warn = 2)
  expect_identical(fit()$latents, plain$latents)
  expect_output(print(plain))
  plain$counts[["outside_range"]] <- 5L
  plain$data$n <- .Machine$integer.max
  expect_match(count_notes(plain), "5 of 6442450941 ", all = FALSE)
})

test_that("a noise variance below the rounding of x is refused", {
  s <- exceeding
  for (method in c("f", "g")) {
    expect_error(fit_crl(s, method = method, init = list(mixing = s$mixing, sigma2 = 1e-300)),
                 "rounding of `x`", class = "ebcrl_error_init")
  }
  expect_s3_class(fit_crl(s, init = list(mixing = s$mixing, sigma2 = 1e-25)), "crl_fit")
})

test_that("columns of A that depend on each other are a classed error where they are inverted", {
  expect_error(inverse_gram(crossprod(cbind(1:3, 2 * 1:3))), class = "ebcrl_error_numerical")
  gram <- crossprod(cbind(c(1e9, 1e9), c(1, -2))) # units differ: solve() takes it for singular
  expect_equal(inverse_gram(gram) %*% gram, diag(2), tolerance = 1e-6)
  expect_identical(draws_worth(c(1, 0), c(0.5, 0)), c(2, Inf))
})

test_that("latents that far exceed new rows are a classed warning", {
  s <- exceeding
  fit <- fit_crl(s, init = list(mixing = s$mixing, sigma2 = 2),
                 control = crl_control(max_iter = 0, spline = spline_control(reference = "none")))
  fit$score$theta <- lapply(fit$score$theta, lapply, `*`, -100)
  expect_warning(predict(fit, s$x[1:5, ], targets = c(0, 0, 0)), class = "ebcrl_warning_exceeds")
})

test_that("a reference that is not finite for new targets is a classed error", {
  s <- exceeding
  fit <- fit_crl(s, init = list(mixing = s$mixing, sigma2 = 2))
  fit$score$reference$coefficients[] <- 1e200
  expect_error(suppressWarnings(predict(fit, s$x[1:5, ], targets = c(1, 1, 1))),
               class = "ebcrl_error_numerical")
})

test_that("conjugate gradients end where rounding rules, and say so", {
  skip_on_cran()
  sim <- withr::with_seed(1, sim_crl(complete_dag(4), n = 50, p = 6))
  fit <- fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = 2),
                 control = crl_control(score = "markov",
                                       spline = spline_control(interaction = "pairwise",
                                                               solver = "cg"), knots = 4,
                                       lambda = 1e12, max_iter = 0))
  expect_gt(fit$counts[["cg_unconverged"]], 0)
})

test_that("latents of the size of whitened data that far exceed x are refused", {
  withr::local_seed(5)
  sim <- sim_crl(chain_dag(2), n = 60, p = 8, noise_sd = rep(c(0.1, 2), 4))
  fit <- suppressMessages(fit_crl(sim, noise = "by_feature"))
  inner <- inner_fit(fit)
  expect_equal(lifted(inner, fit$data, fit$measurement)$latents, fit$latents)
  inner$latents <- 10 * inner$latents
  expect_error(lifted(inner, fit$data, fit$measurement), "least noise",
               class = "ebcrl_error_numerical")
})
