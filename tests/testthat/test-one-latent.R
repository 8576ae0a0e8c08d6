# One latent: no parents, no rotation, no mechanisms; what is left is a mixing vector and a density
# for each target state.

sim <- withr::with_seed(1, sim_crl(chain_dag(1), n = 150, p = 6, sigma2 = 1,
                                   targets = rbind(obs = 0, do = 1)))
components <- eigen(crossprod(sim$x), symmetric = TRUE)
principal <- components$vectors[, 1] * sign(components$vectors[which.max(
  abs(components$vectors[, 1])
), 1])
bayes <- rel_mse(withr::with_seed(1, bayes_latents(sim, draws = 400)), sim, ratio = "pooled")

test_that("the interventional start is the principal component, with every stage", {
  for (mechanisms in c("linear", "spline", "sampled")) {
    fit <- fit_crl(sim, control = crl_control(start = start_search(mechanisms = mechanisms),
                                              max_iter = 0))
    expect_equal(as.vector(fit$mixing), principal)
    expect_equal(fit$sigma2, mean(components$values[-1]) / 300)
    expect_identical(nrow(fit$optima), 1L)
    expect_null(fit$sampling)
  }
})

test_that("an f fit is near the Bayes optimum, with every score and mixing", {
  skip_on_cran()
  for (score in c("causal", "markov")) {
    for (mixing in c("auto", "psd")) {
      fit <- fit_crl(sim, control = crl_control(score = score, mixing = mixing))
      expect_true(fit$converged)
      expect_lt(rel_mse(fit, sim, ratio = "pooled"), 1.05 * bayes)
    }
  }
  expect_output(print(fit), "300 rows, 6 features, 1 latent, 2 domains")
  expect_identical(summary(fit)$domains$targets, c("none", "z1"))
  expect_identical(dim(predict(fit, sim$x[1:2, ], targets = 1, interval = "credible")),
                   c(2L, 1L, 3L))
  expect_named(augment(fit), c(".domain", ".fitted_z1", ".sd_z1"))
  for (type in c("convergence", "loadings", "latents", "scores")) {
    expect_s3_class(autoplot(fit, type), "ggplot")
  }
})

test_that("so is a g fit, whose posterior is exact", {
  skip_on_cran()
  quick <- function(...) crl_control(saem = saem_control(burn_in = 60, iterations = 60,
                                                         draws = 20), seed = 1, ...)
  for (mixing in c("orthonormal", "psd")) {
    fit <- fit_crl(sim, method = "g", control = quick(mixing = mixing))
    expect_lt(rel_mse(fit, sim, ratio = "pooled"), 1.05 * bayes)
    expect_identical(fit$mc_error, c(z1 = 0))
    expect_output(print(summary(fit)), "latents exact, as none drives another")
  }
  # normal posterior by target state
  state <- sim$targets[sim$env, 1]
  mean <- mechanisms(fit)$mean[state + 1]
  variance <- fit$latent_noise_var[1, state + 1]
  y <- drop(sim$x %*% fit$mixing)
  gain <- unname(variance / (variance + fit$sigma2))
  expect_equal(as.vector(fit$latents), unname(mean + gain * (y - mean)), tolerance = 1e-6)
  expect_equal(as.vector(fit$latents_sd), sqrt(gain * fit$sigma2), tolerance = 1e-6)
  expect_error(plot(fit, type = "mechanisms"), class = "ebcrl_error_range")
  expect_identical(dim(simulate(fit, 2, seed = 1)), c(300L, 1L, 2L))
  for (prior in c("linear", "normal")) {
    gaussian <- fit_crl(sim, method = "g", control = crl_control(prior = prior))
    expect_lt(frobenius_error(gaussian$mixing / sqrt(sum(gaussian$mixing^2)), sim), 1e-3)
  }
})

test_that("graphs with one latent are all the same", {
  baselines <- crl_baselines(sim)
  for (graph in c("complete", "empty")) {
    expect_identical(baselines[[graph]]$latents, baselines$true$latents)
  }
  expect_false(identical(baselines$pooled$latents, baselines$true$latents))
  comparison <- crl_compare(baselines[c("true", "empty")], folds = 2)
  expect_identical(comparison$difference, c(0, 0))
})
