# Interventions with values, against the truth of linear models.

weights <- matrix(0, 3, 3)
weights[1, 2] <- 0.8
weights[2, 3] <- -0.6
weights[1, 3] <- 0.5
dag <- (weights != 0) + 0L
targets <- list(none = character(), one = "z1", two = "z2", three = "z3")
sim <- withr::with_seed(2, {
  sim_crl(dag, n = 800, p = 20, sigma2 = 0.5, targets = targets, nonlinearity = "linear", kappa = 1,
          edge_weights = weights)
})
linear <- fit_crl(sim, method = "g", control = crl_control(prior = "linear",
                                                          intervention = "perfect"))

test_that("latents that are set have the values, distributions and shifts asked for", {
  withr::local_seed(1)
  free <- simulate_domain(linear, n = 4000)
  expect_identical(dim(free$x), c(4000L, 20L))
  set <- simulate_domain(linear, n = 4000, do = list(z2 = 1.5))
  expect_identical(unique(set$z[, 2]), 1.5)
  drawn <- simulate_domain(linear, n = 4000, do = list(z2 = \(n) rnorm(n, 3, 0.1)))
  expect_equal(c(mean(drawn$z[, 2]), sd(drawn$z[, 2])), c(3, 0.1), tolerance = 0.05)
  rows <- simulate_domain(linear, n = 3, do = list(z1 = c(1, 2, 3)))
  expect_identical(unname(rows$z[, 1]), c(1, 2, 3))
  doubled <- simulate_domain(linear, n = 50, do = list(z2 = \(parents) 2 * parents[, 1]))
  expect_equal(doubled$z[, 2], 2 * doubled$z[, 1])
  seed <- function(...) withr::with_seed(3, simulate_domain(linear, n = 100, ...))
  expect_equal(seed(do = list(z2 = \(z) z + 1))$z[, 2], seed()$z[, 2] + 1)
  expect_identical(seed(do = list(z2 = \(z) z)), seed())
  expect_identical(seed(do = c(z3 = 4)), seed(do = list(z3 = 4)))
  # targets and values at once
  both <- seed(targets = "z1", do = list(z2 = 0))
  expect_equal(mean(both$z[, 1]), mean(sim$z[sim$env == "one", 1]), tolerance = 0.1)
})

test_that("what follows a value is what the structural model says", {
  change <- withr::with_seed(1, effects(linear, do = list(z1 = 2), versus = list(z1 = 0),
                                        quantiles = c(0.1, 0.9)))
  means <- change[change$quantity == "mean", ]
  truth <- 2 * c(1, 0.8, 0.5 - 0.6 * 0.8)
  expect_equal(means$estimate, truth, tolerance = 0.1)
  # a shift moves quantiles as it moves means
  expect_equal(change$estimate[change$quantity == "q90"], means$estimate, tolerance = 1e-6)
  direct <- withr::with_seed(1, effects(linear, do = list(z1 = 2), versus = list(z1 = 0),
                                        effect = "direct"))
  expect_equal(direct$estimate[direct$quantity == "mean"], 2 * c(1, 0.8, 0.5), tolerance = 0.1)
  # with the same random numbers a linear effect has no Monte-Carlo error
  expect_lt(max(means$mc.error), 1e-10)
})

test_that("effects on features are those on latents times their loadings", {
  change <- withr::with_seed(1, effects(linear, do = list(z1 = 1), on = c("latents", "features")))
  latents <- change$estimate[change$on == "latent" & change$quantity == "mean"]
  features <- change[change$on == "feature", ]
  expect_equal(features$estimate, unname(drop(linear$mixing %*% latents)))
  direct <- withr::with_seed(1, effects(linear, do = list(z1 = 1), on = "features",
                                        effect = "direct"))
  expect_equal(direct$estimate, unname(linear$mixing[, 1] * latents[1]))
  quantile <- withr::with_seed(1, effects(linear, do = list(z1 = \(z) z + 1), on = "features",
                                          quantiles = 0.5, n = 4000))
  half <- length(quantile$estimate) / 2
  expect_equal(quantile$estimate[half + seq_len(half)], quantile$estimate[seq_len(half)],
               tolerance = 0.05)
})

test_that("effects are those of simulated domains", {
  set <- list(z2 = \(n) rnorm(n, 5))
  change <- withr::with_seed(1, effects(linear, do = set, n = 20000))
  rows <- withr::with_seed(2, simulate_domain(linear, n = 20000, do = set))
  versus <- withr::with_seed(3, simulate_domain(linear, n = 20000))
  expect_equal(change$estimate[1:3], unname(colMeans(rows$z) - colMeans(versus$z)),
               tolerance = 0.03)
})

test_that("intervals come from the bootstrap", {
  skip_on_cran()
  boot <- crl_boot(linear, times = 30, seed = 1)
  change <- withr::with_seed(1, effects(linear, do = list(z1 = 1), versus = list(z1 = 0), boot = boot))
  edge <- tidy(boot)[1, ]
  expect_equal(change$std.error[2], edge$std.error, tolerance = 1e-6)
  expect_equal(change$estimate[2], edge$estimate, tolerance = 1e-6)
  truth <- c(1, 0.8, 0.5 - 0.6 * 0.8)
  expect_true(all(abs(change$estimate[1:3] - truth) <= 4 * change$std.error[1:3] + 1e-12))
  expect_s3_class(plot <- autoplot(change), "ggplot")
  expect_silent(ggplot2::ggplot_build(plot))
  without <- withr::with_seed(1, effects(linear, do = list(z1 = 1)))
  expect_no_warning(plot <- autoplot(without))
  expect_no_warning(utils::capture.output(print(without[c("variable", "estimate")])))
  expect_output(print(change), "Total effect of do\\(z1 = 1\\) against do\\(z1 = 0\\)")
})

test_that("f fits and curves follow values, too", {
  skip_on_cran()
  curved <- withr::with_seed(5, sim_crl(chain_dag(2), n = 2000, p = 20, nonlinearity = "tanh",
                                        kappa = 1, targets = list(o = character(), a = 1, b = 2),
                                        edge_weights = 4 * unclass(chain_dag(2))))
  truth <- 4 * (tanh(1) - tanh(-1))
  for (method in c("f", "g")) {
    fit <- fit_crl(curved, method = method, control = crl_control(intervention = "perfect", seed = 1))
    change <- withr::with_seed(1, effects(fit, do = list(z1 = 1), versus = list(z1 = -1)))
    expect_equal(change$estimate[2], truth, tolerance = 0.15, info = method)
  }
})

test_that("latents set beyond the rows' values are told of", {
  expect_warning(simulate_domain(linear, n = 10, do = list(z1 = 100)), "z2 and z3 follow their causes beyond",
                 class = "ebcrl_warning_extrapolation")
  # nothing follows z3
  expect_no_warning(simulate_domain(linear, n = 10, do = list(z3 = 100)))
  expect_warning(change <- effects(linear, do = list(z2 = 1), versus = list(z2 = -100),
                                   on = c("latents", "features")),
                 "^z3 follows its causes beyond", class = "ebcrl_warning_extrapolation")
  mean <- change[change$quantity == "mean", ]
  expect_identical(mean$beyond, c(0, 0, 1, rep(1, 20)))
  expect_output(print(change), "where curves go on linearly: z3 ")
  # z1 as far, and z2 set: what z3 follows is in the rows
  both <- suppressWarnings(effects(linear, do = list(z1 = 100, z2 = 1), versus = list(z1 = 100)))
  expect_identical(both$beyond[1:2], c(0, 1))
  near <- expect_no_warning(effects(linear, do = list(z1 = 1)))
  expect_true(all(near$beyond < 0.1))
})

test_that("noise of mixtures is drawn as weighted", {
  prior <- list(variance = 1, noise = list(weight = matrix(c(0.25, 0.75)),
                                           mean = matrix(c(3, -1)), variance = matrix(c(1, 4))))
  withr::local_seed(1)
  u <- noise_of_cell(prior, 1L, rnorm(2e4), runif(2e4))
  expect_equal(mean(u), 0, tolerance = 0.05)
  expect_equal(var(u), 0.25 * (1 + 9) + 0.75 * (4 + 1), tolerance = 0.05)
})

test_that("measured fits with nuisance factors have means and noise of the features", {
  skip_on_cran()
  measured <- withr::with_seed(4, sim_crl(dag, n = 500, p = 20, targets = targets, center = 1:20,
                                          noise_sd = seq(0.5, 2, length.out = 20), nuisance = 1,
                                          nonlinearity = "linear", kappa = 1))
  fit <- suppressMessages(fit_crl(measured, method = "g", nuisance = 1,
                                  control = crl_control(prior = "linear")))
  rows <- withr::with_seed(1, simulate_domain(fit, n = 5000))
  seen <- measured$x[measured$env == "none", ]
  expect_equal(colMeans(rows$x), colMeans(seen), tolerance = 0.1)
  expect_equal(apply(rows$x, 2, sd), apply(seen, 2, sd), tolerance = 0.1)
  change <- withr::with_seed(1, effects(fit, do = list(z1 = 1), on = "features"))
  expect_identical(nrow(change), 20L)
})

test_that("effects without intervals are drawn without a warning", {
  change <- effects(linear, do = list(z1 = 1), n = 50, on = c("latents", "features"))
  expect_no_warning(ggplot2::ggplot_build(autoplot(change)))
  expect_no_warning(utils::capture.output(print(change[c("variable", "estimate")])))
})

test_that("tidy() has the names of broom, with and without a bootstrap", {
  change <- withr::with_seed(1, effects(linear, do = list(z1 = 1), versus = list(z1 = -1), n = 50,
                                        on = c("latents", "features")))
  table <- tidy(change)
  columns <- c("contrast", "effect", "on", "term", "quantity", "estimate", "std.error", "statistic",
               "conf.low", "conf.high", "beyond")
  expect_named(table, columns)
  expect_identical(class(table), c("tbl_df", "tbl", "data.frame"))
  expect_identical(table$contrast[1], "do(z1 = 1) against do(z1 = -1)")
  expect_identical(table$term, change$variable)
  expect_identical(table$estimate, change$estimate)
  expect_true(all(is.na(table$std.error)))
  boot <- crl_boot(linear, times = 3, seed = 1)
  with <- withr::with_seed(1, effects(linear, do = list(z1 = 1), n = 50, effect = "direct",
                                      boot = boot))
  sure <- tidy(with)
  expect_named(sure, columns)
  expect_identical(sure$effect[1], "direct")
  expect_identical(sure$contrast[1], "do(z1 = 1) against no intervention")
  expect_identical(sure$std.error, with$std.error)
  expect_equal(sure$statistic, with$estimate / with$std.error)
  expect_identical(nrow(rbind(table, sure)), nrow(change) + nrow(with))
  expect_error(tidy(change["estimate"]), class = "ebcrl_error_object")
  expect_error(tidy(change, conf.int = TRUE), class = "ebcrl_error_type")
})
