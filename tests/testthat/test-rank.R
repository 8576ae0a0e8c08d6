# crl_rank(): how many factors the second moments show.

sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 150, p = 20, nuisance = 1, center = 1:20,
                                   noise_sd = seq(0.5, 1.5, length.out = 20)))

test_that("latents and nuisance factors are counted, from any form of x", {
  shown <- crl_rank(sim, d = 2)
  expect_identical(shown$factors, 3L)
  expect_identical(shown$nuisance, 1L)
  expect_identical(tidy(shown)$above, c(TRUE, TRUE, TRUE, FALSE))
  expect_identical(sum(shown$spectrum > shown$edge), 3L)
  expect_close(shown$noise_var, sim$noise_var, 0.2)
  expect_identical(crl_rank(sim$x, d = 2), shown)
  expect_identical(crl_rank(as.data.frame(sim$x), d = 2, threads = 2)$values, shown$values)
  parts <- lapply(split(seq_along(sim$env), sim$env), function(rows) sim$x[rows, ])
  expect_identical(crl_rank(parts)$factors, 3L)
  expect_null(crl_rank(sim)$nuisance)
  units <- crl_rank(sim$x * rep(10^(1:20 / 5), each = 300))
  expect_close(units$values$eigenvalue, shown$values$eigenvalue, 1e-3)
})

test_that("noise has no factors; constant features are left out", {
  x <- withr::with_seed(2, matrix(stats::rnorm(200 * 12), 200))
  expect_identical(crl_rank(x)$factors, 0L)
  expect_identical(crl_rank(x, noise = "equal")$factors, 0L)
  expect_message(with_constant <- crl_rank(cbind(x, 3)))
  expect_identical(with_constant$values, crl_rank(x)$values)
})

test_that("it says what it found", {
  expect_output(print(crl_rank(sim, d = 2)), "2 latents and 1 nuisance factor")
  expect_output(print(crl_rank(sim, d = 3)), "no nuisance factors")
  expect_output(print(crl_rank(sim, d = 5)), "Fewer than the 5 latents")
  expect_output(print(crl_rank(sim, most = 2)), "raise `most`")
  expect_s3_class(autoplot(crl_rank(sim, d = 2)), "ggplot")
  expect_s3_class(autoplot(crl_rank(sim)), "ggplot")
})

test_that("errors are classed", {
  expect_error(crl_rank(replace(sim$x, 3, NA)), class = "ebcrl_error_missing")
  expect_error(crl_rank(sim$x[, 1:3]), class = "ebcrl_error_rank")
  expect_error(crl_rank(sim, d = 30), class = "ebcrl_error_range")
  expect_error(crl_rank("x"), class = "ebcrl_error")
})

test_that("covariates are taken out within domains", {
  sim <- withr::with_seed(2, sim_crl(chain_dag(2), n = 200, p = 20))
  size <- withr::with_seed(3, rnorm(nrow(sim$x)))
  x <- sim$x + tcrossprod(size, seq(-2, 2, length.out = 20))
  expect_identical(crl_rank(x)$factors, 3L)
  expect_identical(crl_rank(x, env = sim$env, covariates = size)$factors, 2L)
  frame <- data.frame(x, condition = sim$env)
  expect_identical(crl_rank(frame, env = "condition", covariates = ~ size)$factors, 2L)
  expect_identical(crl_rank(x, env = sim$env)$values, crl_rank(x)$values)
  expect_error(crl_rank(x, covariates = size), class = "ebcrl_error_type")
  expect_error(crl_rank(x, env = 1:3, covariates = size), class = "ebcrl_error_shape")
})
