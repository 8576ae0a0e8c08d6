sample_sim <- function(..., seed = 1) {
  withr::with_seed(seed, sim_crl(...))
}

sample_bayes <- function(sim, ..., seed = 2) {
  withr::with_seed(seed, bayes_latents(sim, ...))
}

# Exact posterior under linear mechanisms: z = c + B'z + u is Gaussian, so is z given y.
linear_posterior <- function(sim) {
  scm <- sim$scm
  mean <- sd <- sim$z
  for (domain in levels(sim$env)) {
    a <- unclass(sim$targets)[domain, ]
    effect <- ifelse(a == 1, scm$parent_effect, 1)
    solved <- solve(diag(length(a)) - t(scm$edge_weights) * effect)
    v <- ifelse(a == 1, scm$intervention_sd^2, scm$noise_var)
    prior_mean <- drop(solved %*% (a * scm$intervention_mean))
    prior_cov <- solved %*% (v * t(solved))
    cov <- solve(solve(prior_cov) + crossprod(sim$mixing) / sim$sigma2)
    rows <- sim$env == domain
    shift <- drop(solve(prior_cov, prior_mean))
    mean[rows, ] <- t(cov %*% (shift + crossprod(sim$mixing, t(sim$x[rows, ])) / sim$sigma2))
    sd[rows, ] <- rep(sqrt(diag(cov)), each = sum(rows))
  }
  list(mean = mean, sd = sd)
}

# Posterior of one row by sampling the prior: slow, obvious, independent of the proposal.
prior_posterior <- function(sim, row, draws) {
  a <- matrix(unclass(sim$targets)[as.character(sim$env[row]), ], draws, ncol(sim$z), byrow = TRUE)
  z <- draw_latents(sim$dag, a, sim$scm)
  residual <- sim$x[rep(row, draws), ] - z %*% t(sim$mixing)
  log_weight <- -rowSums(residual^2) / (2 * sim$sigma2)
  weight <- exp(log_weight - max(log_weight))
  weight <- weight / sum(weight)
  mean <- colSums(weight * z)
  list(mean = mean, sd = sqrt(colSums(weight * z^2) - mean^2), ess = 1 / sum(weight^2))
}

expect_within_error <- function(estimate, exact, ess, z_limit = 5) {
  error <- exact$sd / sqrt(ess)
  expect_lt(max(abs(estimate$latents - exact$mean) / error), z_limit)
  expect_lt(max(abs(estimate$latents_sd - exact$sd) / error), z_limit)
}

test_that("linear mechanisms: the Gaussian conditional", {
  skip_on_cran()
  dag <- "a -> b -> d; a -> c -> d"
  targets <- list(none = character(), b = "b", cd = c("c", "d"))
  correlated <- withr::with_seed(4, matrix(stats::rnorm(48), 12))
  for (intervention in c("perfect", "imperfect")) {
    for (mixing in list(NULL, correlated)) {
      sim <- sample_sim(dag, n = c(20, 10, 10), p = 12, targets = targets, nonlinearity = "linear",
                        intervention = intervention, noise_var = c(1, 4, 2, 3), mixing = mixing)
      exact <- linear_posterior(sim)
      bayes <- sample_bayes(sim)
      expect_equal(bayes$latents, exact$mean, tolerance = 1e-10, ignore_attr = TRUE)
      expect_equal(bayes$latents_sd, exact$sd, tolerance = 1e-10, ignore_attr = TRUE)
      expect_identical(dimnames(bayes$latents), list(NULL, colnames(sim$z)))
      expect_identical(sample_bayes(sim, sampler = "exact", threads = 3), bayes)
      draws <- sample_bayes(sim, draws = 20000, sampler = "importance")
      expect_within_error(draws, exact, draws$ess)
    }
  }
  expect_output(print(bayes), "40 rows, 4 latents, in closed form", fixed = TRUE)
  expect_error(sample_bayes(sample_sim(n = 5, p = 6), sampler = "exact"), "bounded",
               class = "ebcrl_error_control")
})

test_that("linear mechanisms of twenty latents: chains agree with the closed form", {
  sim <- sample_sim(chain_dag(20), n = 10, p = 30, nonlinearity = "linear")
  exact <- linear_posterior(sim)
  expect_equal(sample_bayes(sim)$latents, exact$mean, tolerance = 1e-10, ignore_attr = TRUE)
  chains <- sample_bayes(sim, draws = 2000, sampler = "chains")
  expect_lt(sqrt(mean(((chains$latents - exact$mean) / exact$sd)^2)), 0.06)
  expect_equal(mean(chains$latents_sd), mean(exact$sd), tolerance = 0.01)
})

test_that("columns of other lengths: noise is sigma2 over the squared length", {
  mixing <- qr.Q(qr(matrix(sin(1:30), 10))) * rep(c(3, 0.5, 1), each = 10)
  sim <- sample_sim(chain_dag(3), n = 20, nonlinearity = "linear", mixing = mixing)
  exact <- linear_posterior(sim)
  bayes <- sample_bayes(sim, draws = 20000, sampler = "importance")
  expect_within_error(bayes, exact, bayes$ess)
  expect_equal(sample_bayes(sim)$latents, exact$mean, tolerance = 1e-10, ignore_attr = TRUE)
})

test_that("correlated columns: the Gaussian conditional, and sampling from the prior", {
  skip_on_cran()
  mixing <- withr::with_seed(4, matrix(stats::rnorm(30), 10))
  for (dag in c("z1 -> z2 -> z3", "z3 -> z1; z2 -> z1")) { # causal order and column order differ
    sim <- sample_sim(as_dag(dag), n = 20, nonlinearity = "linear", mixing = mixing,
                      intervention = "imperfect")
    exact <- linear_posterior(sim)
    run <- function(draws, ...) sample_bayes(sim, draws = draws, sampler = "importance", ...)
    bayes <- run(20000)
    expect_within_error(bayes, exact, bayes$ess)
    expect_identical(run(300, min_ess = 0, threads = 2), run(300, min_ess = 0))
  }
  sim <- sample_sim(chain_dag(3), n = 1, mixing = 0.5 * mixing, nonlinearity = "tanh",
                    intervention = "imperfect", intervention_mean = 1, noise_var = 1)
  bayes <- sample_bayes(sim, draws = 20000)
  for (row in 1:3) {
    oracle <- withr::with_seed(3, prior_posterior(sim, row, 2e5))
    ours <- list(latents = bayes$latents[row, ], latents_sd = bayes$latents_sd[row, ])
    expect_gt(oracle$ess, 1000)
    expect_within_error(ours, oracle, min(oracle$ess, bayes$ess[row]))
  }
})

test_that("without active parents the result is exact, whatever the draws", {
  sim <- sample_sim(empty_dag(3), n = 5, p = 6)
  bayes <- sample_bayes(sim, draws = 2, min_ess = 0)
  exact <- linear_posterior(sim)
  expect_equal(bayes$latents, exact$mean, tolerance = 1e-12, ignore_attr = TRUE)
  expect_equal(bayes$latents_sd, exact$sd, tolerance = 1e-12, ignore_attr = TRUE)
  expect_equal(bayes$ess, rep(2, 15))

  cut <- sample_sim(chain_dag(2), n = 5, p = 6, targets = list(only = 2))
  exact <- linear_posterior(cut)
  expect_equal(sample_bayes(cut, draws = 2, min_ess = 0)$latents, exact$mean, tolerance = 1e-12,
               ignore_attr = TRUE)
})

test_that("every nonlinearity agrees with sampling from the prior", {
  skip_on_cran()
  for (nonlinearity in list("tanh", "bounded", "strong", "printed", function(z) sin(z))) {
    strong <- identical(nonlinearity, "strong") # steep enough for the clip at 2 to matter
    size <- if (identical(nonlinearity, "printed")) 0.05 else if (strong) 0.2 else 1
    weights <- size * rbind(c(0, 0.8, -0.5), c(0, 0, 1), 0)
    sim <- suppressWarnings(sample_sim(
      "a -> b -> c; a -> c", n = 1, p = 3, targets = list(none = character(), b = "b"),
      nonlinearity = nonlinearity, kappa = if (strong) 3 else 0.7, edge_weights = weights,
      intervention = "imperfect", intervention_mean = 1, noise_var = 1
    ))
    bayes <- sample_bayes(sim, draws = 20000)
    for (row in 1:2) {
      oracle <- withr::with_seed(3, prior_posterior(sim, row, 2e5))
      ours <- list(latents = bayes$latents[row, ], latents_sd = bayes$latents_sd[row, ])
      expect_gt(oracle$ess, 1000)
      expect_within_error(ours, oracle, min(oracle$ess, bayes$ess[row]))
    }
  }
})

test_that("the same bits for every number of threads, and another seed gives others", {
  sim <- sample_sim(n = 33, p = 10)
  one <- sample_bayes(sim, draws = 501, threads = 1)
  expect_identical(sample_bayes(sim, draws = 501, threads = 2), one)
  expect_identical(sample_bayes(sim, draws = 501, threads = 3), one)
  expect_identical(one$draws, 502L)
  expect_false(identical(sample_bayes(sim, draws = 501, seed = 3)$latents, one$latents))
})

test_that("rows do not depend on the rows beside them, across blocks and tiles", {
  sim <- sample_sim(chain_dag(2), n = 11, p = 4, nonlinearity = "tanh")
  whole <- sample_bayes(sim, draws = 300000) # 7 rows between two looks for an interrupt
  head <- sim
  head$x <- sim$x[1:4, ]
  head$env <- sim$env[1:4]
  expect_identical(sample_bayes(head, draws = 300000)$latents, whole$latents[1:4, ])

  own <- sim
  own$scm$nonlinearity <- function(z) tanh(3 * z)
  # 64 rows of 1000 draws to a call for the R function, one by one for the label
  expect_equal(sample_bayes(own, draws = 1000), sample_bayes(sim, draws = 1000), tolerance = 1e-12)
  expect_identical(sample_bayes(own, draws = 1000, threads = 2), sample_bayes(own, draws = 1000))
})

test_that("no linear shrinkage beats it", {
  sim <- sample_sim(n = 500, p = 20)
  y <- sim$x %*% sim$mixing
  best <- rel_mse(sample_bayes(sim), sim, ratio = "pooled")
  expect_lt(best, min(vapply(seq(0.5, 1, 0.05), function(s) rel_mse(s * y, sim, ratio = "pooled"),
                             numeric(1L))))
})

test_that("too small effective sample sizes are refused with figures and a mend", {
  sim <- sample_sim(n = 50, p = 10, nonlinearity = "strong", seed = 5)
  expect_error(sample_bayes(sim, draws = 100, min_ess = 99), "draws", class = "ebcrl_error_ess")
  expect_error(sample_bayes(sim, draws = 100, min_ess = 99), "percent", class = "ebcrl_error_ess")
  steep <- suppressWarnings(sample_sim(n = 20, p = 10, nonlinearity = "printed"))
  expect_error(sample_bayes(steep), class = "ebcrl_error_ess")
})

test_that("what it cannot do is a classed error", {
  sim <- sample_sim(chain_dag(2), n = 5, p = 4)
  expect_error(bayes_latents(sim$x), class = "ebcrl_error_type")
  expect_error(bayes_latents(sim, draws = 1), class = "ebcrl_error_range")
  expect_error(bayes_latents(sim, draws = 10, min_ess = 11), class = "ebcrl_error_range")
  expect_error(bayes_latents(sim, threads = 0), class = "ebcrl_error_range")
  expect_error(bayes_latents(sample_sim(n = 5, sigma2 = 0)), "sigma2", class = "ebcrl_error_range")
  sim$scm$nonlinearity <- function(z) z[-1]
  expect_error(bayes_latents(sim), "nonlinearity returned")
})

test_that("print reports the effective sample size", {
  out <- capture.output(print(sample_bayes(sample_sim(chain_dag(2), n = 5, p = 4), draws = 100)))
  expect_match(out[2], "minimum [0-9]+, 1st percentile [0-9]+, median [0-9]+")
})

test_that("chains and importance sampling agree", {
  skip_on_cran()
  for (kind in c("bounded", "strong")) {
    sim <- withr::with_seed(3, sim_crl(chain_dag(4), n = 60, p = 10, nonlinearity = kind))
    one <- withr::with_seed(1, bayes_latents(sim, draws = 8000))
    two <- withr::with_seed(1, bayes_latents(sim, draws = 4000, sampler = "chains"))
    gap <- (two$latents - one$latents) / one$latents_sd
    expect_lt(sqrt(mean(gap^2)), 0.06)
    expect_equal(mean(two$latents_sd), mean(one$latents_sd), tolerance = 0.01)
    expect_true(all(two$error < 0.1))
  }
})

test_that("chains agree with importance sampling for correlated columns, imperfect interventions", {
  mixing <- withr::with_seed(2, matrix(stats::rnorm(30), 10))
  sim <- withr::with_seed(4, sim_crl(chain_dag(3), n = 60, mixing = mixing, sigma2 = 4,
                                     intervention = "imperfect", nonlinearity = function(z) sin(z)))
  one <- withr::with_seed(1, bayes_latents(sim, draws = 8000))
  two <- withr::with_seed(1, bayes_latents(sim, draws = 4000, sampler = "chains", threads = 2))
  expect_lt(sqrt(mean(((two$latents - one$latents) / one$latents_sd)^2)), 0.06)
})

test_that("with ten latents chains take over, for any number of threads, and beat the data", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(10), n = 40, p = 20))
  run <- function(threads) withr::with_seed(1, bayes_latents(sim, draws = 400, threads = threads))
  best <- run(1)
  expect_null(best$ess)
  expect_identical(run(3), best)
  expect_output(print(best), "Monte-Carlo standard error")
  raw <- mean((sim$x %*% sim$mixing - sim$z)^2)
  expect_lt(mean((best$latents - sim$z)^2), 0.8 * raw)
  expect_equal(mean((best$latents - sim$z)^2), mean(best$latents_sd^2), tolerance = 0.05)
})
