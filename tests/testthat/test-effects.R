sim <- withr::with_seed(1, sim_crl(chain_dag(3), n = 60, p = 8, nonlinearity = "linear",
                                   targets = list(none = character(), a = "z1", b = c("z1", "z3"))))
fit <- fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = 2))
linear <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))

test_that("shifts are differences of means to the domains without targets, in sd within these", {
  shifts <- domain_shifts(sim$z, 0 * sim$z, as.integer(sim$env), unclass(sim$targets),
                          rownames(sim$targets))
  for (j in 1:3) for (e in 1:3) {
    z <- sim$z[sim$env == rownames(sim$targets)[e], j]
    base <- sim$z[sim$env == "none", j]
    row <- shifts[shifts$latent == colnames(sim$z)[j] & shifts$domain == rownames(sim$targets)[e], ]
    expect_equal(row$shift, (mean(z) - mean(base)) / stats::sd(base))
    expect_equal(row$se, sqrt(stats::var(z) / 60 + stats::var(base) / 60) / stats::sd(base))
  }
})

test_that("tidy(), glance(), sigma(), loadings() and coef() have what print() says", {
  effects <- tidy(fit, "effects")
  expect_named(effects, c("domain", "term", "targeted", "estimate", "std.error", "conf.low",
                          "conf.high"))
  expect_identical(nrow(effects), 9L)
  expect_identical(sigma(fit), sqrt(fit$sigma2))
  expect_identical(loadings(fit), fit$mixing)
  expect_s3_class(loadings(stats::princomp(sim$x)), "loadings")
  total <- sum(apply(sim$x, 2, function(x) mean((x - mean(x))^2)))
  expect_equal(glance(fit)$variance_explained, 1 - 8 * fit$sigma2 / total)
  expect_equal(scan_rows(matrix_rows(sim$x + 1e7))$variance, total, tolerance = 1e-6)
  expect_printed(fit, "Variance of x explained by the latents: [0-9]+ %")
  expect_error(coef(fit, "mechanisms"), class = "ebcrl_error_method")
})

test_that("slopes are those of the linear prior, and of its spline form", {
  slopes <- coef(linear, "mechanisms")
  expect_identical(slopes, linear$mechanism_coef)
  expect_identical(tidy(linear, "mechanisms"), slopes)
  expect_printed(linear, "z2 +0 +z1")
  expect_equal(cell_slopes(linear, 2L, 0L)$estimate, slopes$estimate[slopes$node == "z2"],
               tolerance = 1e-6)
})
