# Known covariates: their effects on x are taken out within domains.

batched <- function(seed = 1, n = 150, p = 12, ...) {
  withr::with_seed(seed, {
    sim <- sim_crl(chain_dag(3), n = n, p = p, nonlinearity = "linear", ...)
    rows <- nrow(sim$x)
    batch <- factor(sample(c("a", "b", "c"), rows, TRUE))
    size <- stats::rnorm(rows)
    effects <- matrix(stats::rnorm(3 * p, sd = 4), 3)
    values <- cbind(batch == "b", batch == "c", size)
    list(sim = sim, x = sim$x + values %*% effects, effects = effects, values = values,
         frame = data.frame(batch = batch, size = size))
  })
}

fit_of <- function(s, x = s$x, ...) {
  fit_crl(x, s$sim$env, s$sim$targets, s$sim$dag, control = crl_control(
    start = start_search(mechanisms = "linear")), center = FALSE, noise = "equal", ...)
}

test_that("effects are those of a regression beside the domains", {
  s <- batched()
  fit <- fit_of(s, covariates = s$values)
  slow <- stats::lm(s$x ~ s$sim$env + s$values)
  expect_close(fit$data$covariates$effects, unname(stats::coef(slow)[4:6, ]), 1e-10)
  centered <- scale(s$values, scale = FALSE)
  plain <- fit_of(s, x = s$x - centered %*% stats::coef(slow)[4:6, ])
  expect_close(fit$latents, plain$latents, 1e-6)
})

test_that("a matrix, a data frame and a formula are the same", {
  s <- batched()
  fit <- fit_of(s, covariates = s$values)
  batch <- s$frame$batch
  size <- s$frame$size
  for (form in list(s$frame, ~ batch + size)) {
    other <- fit_of(s, covariates = form)
    expect_close(other$latents, fit$latents, 1e-10)
    new <- predict(other, s$x[5:9, ], env = s$sim$env[5:9], covariates = s$frame[5:9, ])
    expect_close(new, fit$latents[5:9, ], 1e-8)
  }
  expect_close(predict(fit, s$x[5:9, ], env = s$sim$env[5:9], covariates = s$values[5:9, ]),
               fit$latents[5:9, ], 1e-8)
})

test_that("latents come out as without the batches", {
  skip_on_cran()
  s <- batched(2, n = 300, p = 30)
  with <- suppressMessages(fit_crl(s$x, s$sim$env, s$sim$targets, s$sim$dag, covariates = s$frame))
  without <- suppressMessages(fit_crl(s$x, s$sim$env, s$sim$targets, s$sim$dag))
  clean <- fit_crl(s$sim)
  expect_lt(rel_mse(with, s$sim), 1.1 * rel_mse(clean, s$sim))
  expect_gt(rel_mse(without, s$sim), 5 * rel_mse(clean, s$sim))
})

test_that("an intervention is not taken for a covariate that goes with it", {
  s <- batched(3)
  leaning <- as.numeric(s$sim$env) + stats::rnorm(nrow(s$x)) # differs between domains, too
  fit <- fit_of(s, x = s$sim$x, covariates = leaning)
  expect_lt(max(abs(fit$data$covariates$effects)), 0.6)
})

test_that("missing entries leave the effects of the others", {
  s <- batched(4, missing = 0.1)
  fit <- suppressMessages(fit_crl(s$x, s$sim$env, s$sim$targets, s$sim$dag, covariates = s$values,
    control = crl_control(start = start_search(mechanisms = "linear"))))
  slow <- stats::lm(s$x[, 3] ~ s$sim$env + s$values)
  expect_close(fit$data$covariates$effects[, 3], unname(stats::coef(slow)[4:6]), 1e-8)
})

test_that("what cannot be used is named", {
  s <- batched()
  expect_snapshot(error = TRUE, {
    fit_of(s, covariates = as.numeric(s$sim$env))
    fit_of(s, covariates = s$sim$env)
    fit_of(s, covariates = cbind(a = s$values[, 1], b = 2 * s$values[, 1]))
    fit_of(s, covariates = s$values[1:10, ])
    fit_of(s, covariates = "batch")
    fit_of(s, covariates = replace(s$values, 4, NA))
  })
  fit <- fit_of(s, covariates = s$frame)
  new <- s$x[1:2, ]
  expect_snapshot(error = TRUE, {
    predict(fit, new, env = s$sim$env[1:2])
    predict(fit, new, env = s$sim$env[1:2], covariates = data.frame(batch = "d", size = 1:2))
    predict(fit, covariates = s$frame)
    predict(suppressMessages(fit_of(s)), new, env = s$sim$env[1:2], covariates = s$frame[1:2, ])
  })
})

test_that("a formula is not read for other rows from where it was written", {
  s <- batched()
  cells <- s$frame
  limit <- 1
  size <- s$frame$size
  batch <- s$frame$batch
  fit <- fit_of(s, covariates = ~ cells$size)
  new <- s$x[1:2, ]
  for_new <- function(fit, covariates) {
    suppressWarnings(predict(fit, new, env = s$sim$env[1:2], covariates = covariates),
                     classes = "ebcrl_warning_extrapolation")
  }
  expect_snapshot(error = TRUE, {
    for_new(fit, s$frame[1:2, ])
    for_new(fit, ~ s$frame$size[1:2])
  })
  # a single number may stay where it is, and data frames bring their own
  capped <- fit_of(s, covariates = ~ pmin(size, limit) + batch)
  expect_close(for_new(capped, s$frame[1:2, ]), capped$latents[1:2, ], 1e-8)
  frame <- data.frame(s$x, s$frame)[5:9, ]
  expect_close(predict(fit_of(s, x = data.frame(s$x), covariates = s$frame), frame,
                       env = s$sim$env[5:9]),
               fit_of(s, covariates = s$frame)$latents[5:9, ], 1e-8)
})
