sim <- small_sim()
fit <- oracle_fit(sim)
learned <- fit_crl(sim, init = known(sim),
                   control = crl_control(mixing = "orthonormal", max_iter = 5))

test_that("print and summary say what was fitted, and how it went", {
  expect_snapshot(fit)
  expect_snapshot(summary(replace(fit, "seconds", list(c(EM = 0.75, "Pass: scan" = 0.24, other = 0.01)))))
})

test_that("print says what to do when the iterations did not converge", {
  expect_snapshot(learned)
  expect_snapshot(fit_crl(sim, init = "pca", control = crl_control(max_iter = 0, eta = 0.5)))
})

test_that("every count of the fit is printed in words", {
  fit$counts[] <- 0
  expect_identical(count_notes(fit), character())
  fit$counts[] <- seq_along(fit$counts)
  expect_length(count_notes(fit), length(fit$counts))
  expect_false(any(startsWith(count_notes(fit), names(fit$counts))))
  expect_snapshot(fit)
  expect_snapshot(print_notes(summary(fit)$notes))
  # without a graph nothing follows from parents
  fit$data$dag[] <- 0L
  expect_match(count_notes(fit), "held there: a latent hardly varies.", fixed = TRUE, all = FALSE)
})

test_that("print says what the start leaves open", {
  skip_on_cran()
  expect_identical(start_notes(fit), character())
  from_pca <- fit_crl(sim, init = "pca", control = crl_control(max_iter = 0))
  expect_match(start_notes(from_pca), "mixtures")

  start <- function(targets) {
    sim <- small_sim(3, targets = targets)
    fit_crl(sim, init = "interventional",
            control = crl_control(max_iter = 0, start = start_search(starts = 3)))
  }
  told <- start(NULL)
  expect_identical(start_notes(told), character())
  expect_printed(told, "interventional \\([1-3] of 3 searches ended in the best opti.*; then")
  untold <- start(list(a = c(1, 2), b = 3, c = character()))
  expect_setequal(sub(";.*", "", start_notes(untold)),
                  c("z1, z2: targeted in the same domains, or one just where the other is not",
                    "z4: targeted in no domain"))
  expect_output(print(untold), "z1, z2: targeted in the same domains")
})

test_that("large counts are printed in full", {
  fit$data$n <- 1e6L
  expect_match(count_note("variance_floored", 4e5, fit),
               "In 400000 of 4000000 (row, latent) pairs", fixed = TRUE)
})

test_that("numbers beyond those that are counts are not printed in full", {
  expect_identical(figures(c(4e5, NA), 3), c("400000", "NA"))
  expect_identical(figures(1.5e70, 3), "1.50e+70")
  expect_identical(figures(Inf, 3), "Inf")
})

test_that("the change is the largest of those of A, sigma2 and the latents", {
  more <- fit_crl(sim, init = known(sim),
                  control = crl_control(mixing = "orthonormal", max_iter = 6))
  expect_equal(more$trace$change_latents[6], learned$diagnosis$change[["latents"]])
  expect_equal(learned$diagnosis$change[c("mixing", "sigma2")],
               c(mixing = learned$trace$change_mixing[5], sigma2 = learned$trace$change_sigma2[5]))
  expect_identical(last_change(learned), max(learned$diagnosis$change))
  start <- list(mixing = sim$mixing, sigma2 = 1e-3)
  noise <- fit_crl(sim, init = start,
                   control = crl_control(mixing = "fixed", sigma2 = "learned", max_iter = 2))
  expect_equal(last_change(noise), abs(diff(noise$trace$sigma2)) / noise$trace$sigma2[1])
})

test_that("the domain table agrees with the fit", {
  fit$latents_sd[c(1, 2, 160, 500), 3] <- 0
  table <- summary(fit)$domains
  expect_identical(table$domain, levels(sim$env))
  expect_identical(table$rows, rep(150L, 4))
  expect_identical(table$targets, paste0("z", 1:4))
  expect_equal(table$posterior_sd,
               as.vector(tapply(rowMeans(fit$latents_sd), sim$env, mean)))
  expect_equal(table$floored, as.vector(tapply(rowSums(fit$latents_sd == 0), sim$env, sum)))
  expect_gt(table$floored[1], table$floored[2])
})

test_that("target sets are spelt out", {
  targets <- intervention_targets(list(a = integer(), b = c(1, 3), c = 2), d = 3)
  expect_identical(target_labels(targets), c("none", "z1 + z3", "z2"))
})

test_that("coef, fitted, residuals and nobs fit together", {
  expect_identical(coef(fit), fit$mixing)
  expect_identical(fitted(fit), fit$latents)
  expect_equal(fitted(fit, type = "x"), fit$latents %*% t(fit$mixing))
  expect_equal(fitted(fit, type = "x") + residuals(fit), sim$x)
  expect_identical(nobs(fit), 600L)
  expect_error(fitted(fit, type = "z"), class = "ebcrl_error_range")
})

test_that("tidy lists loadings, domains and cells", {
  loadings <- tidy(fit)
  expect_identical(dim(loadings), c(48L, 3L))
  row <- loadings[loadings$feature == 7 & loadings$latent == "z3", ]
  expect_identical(row$estimate, fit$mixing[[7, "z3"]])
  expect_identical(tidy(fit, "domains"), summary(fit)$domains)
  expect_identical(tidy(fit, "cells"), fit$cells)

  colnames(sim$x) <- paste0("gene", 1:12)
  expect_identical(tidy(oracle_fit(sim))$feature[1:2], c("gene1", "gene2"))
})

test_that("glance is one row of figures", {
  row <- glance(learned)
  expect_identical(nrow(row), 1L)
  expect_identical(row$nobs, 600L)
  expect_identical(row$sigma2, learned$sigma2)
  expect_identical(row$converged, FALSE)
  # the last line of the trace is one M-step behind the final E-step
  more <- fit_crl(sim, init = known(sim),
                  control = crl_control(mixing = "orthonormal", max_iter = 6))
  expect_equal(row$loss, more$trace$loss[6])
})

test_that("augment adds the posterior to the data", {
  expect_identical(augment(fit)$.domain, sim$env)
  expect_identical(augment(fit)$.fitted_z2, unname(fit$latents[, "z2"]))
  expect_identical(augment(fit)$.sd_z4, unname(fit$latents_sd[, "z4"]))

  batch <- data.frame(batch = seq_len(600))
  expect_named(augment(fit, batch), c("batch", paste0(".fitted_z", 1:4), paste0(".sd_z", 1:4)))
  expect_error(augment(fit, batch[1:3, , drop = FALSE]), class = "ebcrl_error_shape")

  new <- suppressWarnings(augment(fit, newdata = sim$x[1:3, ], targets = "z1+z2"))
  expect_identical(dim(new), c(3L, 20L))
  expect_identical(new$.fitted_z1,
                   unname(predict(fit, sim$x[1:3, ], targets = "z1+z2")[, "z1"]))
  fit$sigma2 <- 50
  expect_warning(augment(fit, newdata = sim$x, env = sim$env), class = "ebcrl_warning_variance")
  expect_error(augment(fit, env = "do(z1)"), class = "ebcrl_error_targets")
})
