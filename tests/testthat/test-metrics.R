sim <- withr::with_seed(1, sim_crl(chain_dag(3), n = c(5, 9, 4), p = 8))
noisy <- sim$z + withr::with_seed(2, stats::rnorm(length(sim$z)))

fake_fit <- function(latents, mixing) {
  structure(list(latents = latents, mixing = mixing), class = "crl_fit")
}

row_ratio <- function(latents) {
  rowSums((latents - sim$z)^2) / rowSums(sim$z^2)
}

test_that("a matrix is compared as it is, by row or pooled, in all or by domain", {
  expect_identical(rel_mse(sim$z, sim), 0)
  expect_equal(rel_mse(0 * sim$z, sim), 1)
  expect_equal(rel_mse(noisy, sim), mean(row_ratio(noisy)))
  pooled <- sum((noisy - sim$z)^2) / sum(sim$z^2)
  expect_equal(rel_mse(noisy, sim, ratio = "pooled"), pooled)
  by_env <- rel_mse(noisy, sim, by = "env")
  expect_s3_class(by_env, "tbl_df")
  expect_identical(by_env$env, factor(levels(sim$env), levels(sim$env)))
  expect_equal(by_env$rel_mse, as.vector(tapply(row_ratio(noisy), sim$env, mean)))
  pooled_env <- rel_mse(noisy, sim, by = "env", ratio = "pooled")$rel_mse
  expect_equal(pooled_env, as.vector(rowsum(rowSums((noisy - sim$z)^2), sim$env) /
                                       rowsum(rowSums(sim$z^2), sim$env)))
})

test_that("domains keep the order of the truth, whatever the order of the rows", {
  shuffled <- sim
  order <- withr::with_seed(3, sample(nrow(sim$z)))
  shuffled$z <- sim$z[order, ]
  shuffled$env <- sim$env[order]
  expect_equal(rel_mse(noisy[order, ], shuffled, by = "env"), rel_mse(noisy, sim, by = "env"))
})

test_that("fits are aligned through their mixing", {
  permutation <- c(2, 3, 1)
  signs <- c(1, -1, -1)
  scramble <- function(x) x[, permutation] * rep(signs, each = nrow(x))
  fit <- fake_fit(scramble(noisy), scramble(sim$mixing))
  expect_equal(rel_mse(fit, sim), rel_mse(noisy, sim))
  expect_gt(rel_mse(fit$latents, sim), 2 * rel_mse(noisy, sim))
  expect_equal(rel_mse(fit, sim, by = "env"), rel_mse(noisy, sim, by = "env"))
  expect_equal(frobenius_error(fit, sim), 0)
})

test_that("the Frobenius error is squared and aligned", {
  off <- sim$mixing
  off[1, 1] <- off[1, 1] + 0.3
  expect_equal(frobenius_error(off, sim), 0.09)
  expect_equal(frobenius_error(-off[, c(2, 1, 3)], sim), 0.09)
})

test_that("baselines and Bayes optimum have methods", {
  fits <- list(true = fake_fit(noisy, sim$mixing), pca = fake_fit(2 * noisy, sim$mixing))
  baselines <- structure(fits, class = "crl_baselines")
  all <- rel_mse(baselines, sim)
  expect_identical(as.character(all$method), c("true", "pca"))
  expect_equal(all$rel_mse, c(rel_mse(noisy, sim), rel_mse(2 * noisy, sim)))
  env <- rel_mse(baselines, sim, by = "env", ratio = "pooled")
  expect_named(env, c("method", "env", "rel_mse"))
  expect_equal(env$rel_mse[4:6], rel_mse(2 * noisy, sim, "env", "pooled")$rel_mse)
  expect_identical(env$env[4:6], env$env[1:3])
  expect_equal(frobenius_error(baselines, sim)$frobenius_error, c(0, 0))
  bayes <- structure(list(latents = noisy), class = "crl_bayes")
  expect_equal(rel_mse(bayes, sim, by = "env"), rel_mse(noisy, sim, by = "env"))
})

test_that("a plain list can be the truth", {
  truth <- list(z = sim$z, env = as.character(sim$env))
  expect_equal(rel_mse(noisy, truth), rel_mse(noisy, sim))
  expect_error(rel_mse(fake_fit(noisy, sim$mixing), truth), "mixing", class = "ebcrl_error_truth")
})

test_that("a truth that does not fit is a classed error", {
  skip_on_cran()
  refused <- function(code, regexp) {
    expect_error(code, regexp, class = "ebcrl_error_truth")
  }
  refused(rel_mse(noisy[-1, ], sim), "17 x 3.*18 x 3")
  refused(rel_mse(noisy[, -1], sim), "18 x 2")
  refused(rel_mse(fake_fit(noisy[-1, ], sim$mixing), sim), "17 x 3")
  refused(rel_mse(fake_fit(noisy, sim$mixing[-1, ]), sim), "7 x 3.*8 x 3")
  refused(frobenius_error(sim$mixing[-1, ], sim), "7 x 3")
  refused(rel_mse(noisy, sim$z), "truth")
  refused(rel_mse(noisy, 3), "truth")
  refused(rel_mse(noisy, list(z = sim$z, env = sim$env[-1])), "env")
  refused(rel_mse(noisy, list(z = sim$z * NA, env = sim$env)), "truth")
  refused(frobenius_error(sim$mixing, list()), "mixing")
  zero <- sim
  zero$z[7, ] <- 0
  refused(rel_mse(noisy, zero), "Row 7")
})

test_that("other bad input is a classed error too", {
  expect_error(rel_mse("latents", sim), class = "ebcrl_error_type")
  expect_error(rel_mse(matrix("a", 18, 3), sim), class = "ebcrl_error_type")
  expect_error(rel_mse(replace(noisy, 4, NaN), sim), class = "ebcrl_error_missing")
  expect_error(rel_mse(noisy, sim, by = "row"), class = "ebcrl_error_range")
  expect_error(frobenius_error(1:3, sim), class = "ebcrl_error_type")
})
