sim <- small_sim(3, n = 80, p = 8, dag = chain_dag(3))
fit <- oracle_fit(sim)
empty <- fit_crl(sim, dag = empty_dag(3), init = known(sim),
                 control = crl_control(mixing = "fixed"))
folds <- rep_len(1:4, 240)
comparison <- crl_compare(chain = fit, empty = empty, folds = folds)

losses_of <- function(x, step, sigma2, eta = 1, scale = 1) {
  row_losses(x, step, list(scale = scale, sigma2 = sigma2, eta = eta))
}

test_that("the loss of a row is |score|^2 / 2 + divergence in the space of x", {
  skip_on_cran()
  skip_if_not_installed("numDeriv")
  fit <- oracle_fit(sim, spline = spline_control(reference = "none"))
  rows <- c(1, 90, 200)
  x <- sim$x[rows, ]
  step <- estep(x, as.integer(sim$env)[rows], fit$data$targets, fit)
  parents <- fit$score$parents
  for (eta in c(1, 0.4)) {
    ours <- losses_of(x, step, 1.7, eta)
    slow <- vapply(1:3, function(i) {
      state <- fit$data$targets[as.integer(sim$env)[rows[i]], , drop = FALSE]
      score_of <- function(y) {
        y <- matrix(y, 1)
        drop(ref_eval_score(y, state, parents, fit$score$theta, fit$score$range, 8)$score)
      }
      ref_row_losses(x[i, , drop = FALSE], fit$orthonormal, score_of, 1.7, eta)
    }, 0)
    expect_close(ours$loss, slow, 1e-6)
    expect_close(ours$latent, rowSums(eta^2 * step$score^2 / 2 + eta * step$dscore), 1e-12)
  }
  expect_equal(losses_of(x, step, 2, 0)$latent, numeric(3))
})

test_that("so it is where columns of A are correlated", {
  skip_if_not_installed("numDeriv")
  mixing <- withr::with_seed(14, matrix(stats::rnorm(24), 8))
  rows <- c(2, 91, 201)
  x <- sim$x[rows, ]
  for (reference in c("gaussian", "none")) {
    fit <- fit_crl(sim, init = list(mixing = mixing, sigma2 = 2),
                   control = crl_control(mixing = "psd",
                                         spline = spline_control(reference = reference),
                                         max_iter = 0))
    ours <- row_losses(x, estep(x, 1:3, fit$data$targets, fit), fit)
    slow <- vapply(1:3, function(i) {
      score_of <- function(y) {
        point <- matrix(fit$orthonormal %*% y, 1)
        solve(fit$scale, drop(estep(point, i, fit$data$targets, fit)$score))
      }
      ref_row_losses(x[i, , drop = FALSE], fit$orthonormal, score_of, 2)
    }, 0)
    expect_close(ours$loss, slow, 1e-6)
  }
})

# x ~ N(0, S), S = A A' + sigma2 I, A with correlated columns: y = O'x, O an orthonormal basis, is
# N(0, O'SO) with a linear score.
gaussian_case <- function(n = 7) {
  p <- 5
  mixing <- matrix(stats::rnorm(2 * p), p)
  covariance <- tcrossprod(mixing) + 0.8 * diag(p)
  orthonormal <- ref_polar(mixing)
  precision <- solve(t(orthonormal) %*% covariance %*% orthonormal)
  # second moments of exactly S
  raw <- qr.Q(qr(matrix(stats::rnorm(n * p), n))) * sqrt(n)
  x <- raw %*% chol(covariance)
  y <- x %*% orthonormal
  list(x = x, covariance = covariance, precision = precision,
       step = list(y = y, score = -y %*% precision, divergence = rep(-sum(diag(precision)), n)))
}

test_that("for a Gaussian the loss is that of its density, and its least value is known", {
  g <- withr::with_seed(4, gaussian_case())
  losses <- losses_of(g$x, g$step, 0.8)$loss
  precision <- solve(g$covariance)
  expect_close(losses, rowSums((g$x %*% precision)^2) / 2 - sum(diag(precision)), 1e-12)
  expect_close(mean(losses), -sum(diag(precision)) / 2, 1e-12)
  # any other noise variance is worse, and so is any other scale of the score
  for (sigma2 in c(0.75, 0.85)) {
    expect_gt(mean(losses_of(g$x, g$step, sigma2)$loss), mean(losses))
  }
  for (eta in c(0.95, 1.05)) {
    expect_gt(mean(losses_of(g$x, g$step, 0.8, eta)$loss), mean(losses))
  }
  # and in the coordinates Lambda^-1 O'x
  lambda <- rbind(c(2, 0.7), c(0.7, 0.5))
  turned <- list(y = g$step$y %*% solve(lambda), score = g$step$score %*% lambda,
                 divergence = g$step$divergence)
  expect_close(losses_of(g$x, turned, 0.8, scale = lambda)$loss, losses, 1e-12)

  skip_if_not_installed("numDeriv")
  log_density <- function(row) -sum(row * (precision %*% row)) / 2
  by_density <- apply(g$x, 1, function(row) {
    sum(numDeriv::grad(log_density, row)^2) / 2 + sum(diag(numDeriv::hessian(log_density, row)))
  })
  expect_close(losses, by_density, 1e-6)
})

test_that("the latents' part is Stein's estimate of the squared error, damped or not", {
  fresh <- small_sim(13, n = 3000, p = 8, dag = chain_dag(3), edge_weights = sim$scm$edge_weights,
                     mixing = sim$mixing)
  step <- estep(fresh$x, as.integer(fresh$env), fit$data$targets, fit)
  for (eta in c(1, 0.5)) {
    latents <- step$y + eta * sim$sigma2 * step$score
    risk <- 3 * sim$sigma2 + 2 * sim$sigma2^2 *
      losses_of(fresh$x, step, sim$sigma2, eta)$latent
    off <- rowSums((latents - fresh$z)^2) - risk
    expect_lt(abs(mean(off)), 4 * stats::sd(off) / sqrt(9000))
    expect_lt(4 * stats::sd(off) / sqrt(9000), 0.05 * mean(risk))
  }
})

test_that("means and standard errors are those of a stratified sample", {
  env <- c(rep(1:3, c(4, 7, 9)))
  weights <- c(0.5, 0.2, 0.3)
  values <- withr::with_seed(5, matrix(stats::rnorm(60), 20))
  ours <- .Call(C_loss_means, values, env, weights, 0L)
  slow <- apply(values, 2, ref_domain_mean, env = env, weights = weights)
  expect_close(rbind(ours$mean, ours$se), slow, 1e-12)
  ours <- .Call(C_loss_means, values, env, weights, 2L)
  slow <- apply(values - values[, 2], 2, ref_domain_mean, env = env, weights = weights)
  expect_close(rbind(ours$mean, ours$se), slow, 1e-12)
  expect_identical(c(ours$mean[2], ours$se[2]), c(0, 0))

  # rows without a loss are left out, a domain without any leaves the others' weights
  gaps <- replace(values, cbind(c(1, 6, 20), 1), NaN)
  ours <- .Call(C_loss_means, gaps, env, weights, 0L)
  slow <- ref_domain_mean(gaps[-c(1, 6, 20), 1], env[-c(1, 6, 20)], weights)
  expect_close(c(ours$mean[1], ours$se[1]), slow, 1e-12)
  gaps[1:4, 1] <- NaN
  ours <- .Call(C_loss_means, gaps, env, weights, 0L)
  slow <- ref_domain_mean(gaps[c(5, 7:19), 1], env[c(5, 7:19)], c(0.4, 0.6))
  expect_close(c(ours$mean[1], ours$se[1]), slow, 1e-12)
  gaps[, 1] <- NaN
  expect_identical(.Call(C_loss_means, gaps, env, weights, 0L)$mean[1], NaN)
})

test_that("folds have equal shares of every domain and depend on the seed alone", {
  env <- withr::with_seed(6, sample(rep(1:3, c(25, 40, 10))))
  fold <- function(seed, folds = 5L) .Call(C_fold_rows, env, 3L, folds, seed)
  shares <- table(env, fold(1))
  expect_true(all(shares == c(5, 8, 2)))
  uneven <- table(env[-(1:7)], .Call(C_fold_rows, env[-(1:7)], 3L, 5L, 1))
  expect_true(all(apply(uneven, 1, function(share) diff(range(share))) <= 1))
  expect_lte(diff(range(colSums(uneven))), 1)
  expect_identical(fold(1), fold(1))
  expect_gt(sum(fold(1) != fold(2)), 30)
  expect_gt(sum(fold(2^33) != fold(0)), 30)
  # every row is as likely in every fold: 400 seeds, a chi-squared per row with 4 df
  counts <- vapply(1:400, function(seed) fold(seed), env)
  chi2 <- apply(counts, 1, function(f) sum((table(factor(f, 1:5)) - 80)^2) / 80)
  expect_lt(max(chi2), stats::qchisq(1 - 1e-6, 4))
  expect_gt(mean(chi2), 3)

  withr::local_seed(1)
  before <- .Random.seed
  again <- crl_compare(chain = fit, empty = empty, folds = 3, seed = 2)
  expect_identical(.Random.seed, before)
  expect_identical(crl_compare(chain = fit, empty = empty, folds = 3, seed = 2), again)
  expect_false(identical(crl_compare(chain = fit, empty = empty, folds = 3, seed = 3), again))
})

test_that("the comparison is that of slow refits: learned and held A, weights, graphs", {
  skip_on_cran()
  data <- withr::with_seed(7, ref_data(48, 6, rbind(c(0, 1), 0)))
  weights <- c(0.2, 0.5, 0.3)
  fold <- withr::with_seed(8, sample(rep_len(1:3, 144)))
  held <- list(mixing = data$mixing, sigma2 = data$sigma2)
  models <- list(
    learned = list(dag = data$dag, init = "pca", control = list(max_iter = 3)),
    oracle = list(dag = data$dag, init = held,
                  control = list(max_iter = 1, tol = 1e-6, mixing = "fixed", penalty = "ridge",
                                 lambda = 2)),
    empty = list(dag = 0 * data$dag, init = held,
                 control = list(max_iter = 3, mixing = "diagonal"))
  )
  fits <- lapply(models, function(model) {
    fit_crl(data$x, data$env, data$targets, model$dag, weights = weights, init = model$init,
            control = utils::modifyList(list(tol = 0, spline = list(reference = "none")),
                                        model$control))
  })
  ours <- tidy(crl_compare(fits, folds = fold))
  slow <- lapply(models, function(model) {
    ref_cross_validate(data$x, data$env, data$targets, model$dag, weights, model$init,
                       model$control, fold)
  })
  losses <- vapply(slow, `[[`, numeric(144), "loss")[, ours$model]
  means <- apply(losses, 2, ref_domain_mean, env = data$env, weights = weights)
  expect_close(ours$loss, means["mean", ], 1e-8)
  expect_close(ours$se, means["se", ], 1e-8)
  expect_identical(ours$loss, sort(ours$loss))
  paired <- apply(losses - losses[, 1], 2, ref_domain_mean, env = data$env, weights = weights)
  expect_close(ours$difference, paired["mean", ], 1e-7)
  expect_close(ours$se_difference, paired["se", ], 1e-7)
  expect_close(ours$sigma2, vapply(slow, `[[`, 0, "sigma2")[ours$model], 1e-8)
  expect_identical(ours$unconverged_folds, ifelse(ours$model == "oracle", 0L, 3L))
})

test_that("rows may come in any order, given their folds", {
  turned <- withr::with_seed(9, sample(240))
  of <- function(dag) {
    fit_crl(sim$x[turned, ], sim$env[turned], sim$targets, dag, init = known(sim),
            control = crl_control(mixing = "fixed"))
  }
  again <- crl_compare(chain = of(sim$dag), empty = of(empty_dag(3)), folds = folds[turned])
  expect_equal(tidy(again), tidy(comparison), tolerance = 1e-10)
  expect_equal(tidy(again, "folds")[-8], tidy(comparison, "folds")[-8], tolerance = 1e-10)
})

test_that("folds add up to the table, and the labels of folds do not matter", {
  by_fold <- tidy(comparison, "folds")
  expect_identical(by_fold$rows, rep(60L, 8))
  expect_equal(tapply(by_fold$loss, by_fold$model, mean)[comparison$model], comparison$loss,
               ignore_attr = TRUE)
  lettered <- crl_compare(chain = fit, empty = empty, folds = letters[folds])
  expect_identical(tidy(lettered), tidy(comparison))
})

test_that("equal fits differ by exactly nothing", {
  same <- crl_compare(a = fit, b = fit, folds = 3)
  expect_identical(c(same$difference, same$se_difference), numeric(4))
  expect_output(print(same), "Not told from it (within two standard errors): b.", fixed = TRUE)
})

test_that("a fit keeps what it takes to fit it again", {
  skip_on_cran()
  short <- crl_control(max_iter = 2)
  starts <- list("pca", "interventional", known(sim), list(mixing = sim$mixing), fit)
  for (start in starts) {
    once <- fit_crl(sim, init = start, control = short)
    again <- refit_rows(once, seq_len(240))
    expect_identical(again$latents, once$latents)
    expect_identical(again$sigma2, once$sigma2)
  }
  expect_identical(names(once$start), c("mixing", "sigma2"))
  pca <- crl_baselines(sim, methods = "pca", init = known(sim))$pca
  expect_identical(refit_rows(pca, seq_len(240))$latents, pca$latents)
  # some rows are fitted as if there were no others
  rows <- seq(1, 240, by = 2)
  part <- fit_crl(sim$x[rows, ], sim$env[rows], sim$targets, sim$dag, init = "pca",
                  weights = c(1, 2, 3), control = short)
  whole <- fit_crl(sim, init = "pca", weights = c(1, 2, 3), control = short)
  expect_equal(refit_rows(whole, rows)$latents, part$latents, tolerance = 1e-12)
})

test_that("models may differ in the number of latents and the order of domains", {
  skip_on_cran()
  domains <- 3:1
  turned <- fit_crl(sim$x, sim$env, sim$targets[domains, ], sim$dag, init = known(sim),
                    control = crl_control(mixing = "fixed"))
  two <- fit_crl(sim, targets = sim$targets[, 1:2], dag = chain_dag(2), center = FALSE,
                 noise = "equal",
                 control = crl_control(max_iter = 2))
  compared <- crl_compare(chain = fit, turned = turned, two = two, folds = folds)
  expect_equal(compared$loss[2], compared$loss[1], tolerance = 1e-12)
  expect_identical(compared$model[3], "two")
  expect_gt(compared$difference[3], 5 * compared$se_difference[3])
})

test_that("the true graph and targets have the smallest loss where they matter much", {
  skip_on_cran()
  data <- withr::with_seed(10, sim_crl(chain_dag(2), n = 500, p = 10, nonlinearity = "linear",
                                       edge_weights = rbind(c(0, 0.95), 0),
                                       targets = list(none = integer(), a = 1, b = 2)))
  baselines <- crl_baselines(data, init = known(data),
                             control = crl_control(mixing = "fixed",
                                                   spline = spline_control(reference = "none")),
                             methods = c("true", "empty", "pooled", "no_shrinkage"))
  compared <- crl_compare(baselines)
  expect_identical(compared$model, c("true graph", "empty graph", "pooled", "no shrinkage"))
  expect_true(all(compared$difference[-1] > 3 * compared$se_difference[-1]))
  expect_identical(compared$latent[4], 0)
  expect_identical(crl_compare(known = baselines, fit = baselines$true, folds = 2)$model[1],
                   "known: true graph")
})

# 13 rows a domain: three folds leave 8 or 9, enough for 3 + 2 basis functions but not for 8 + 2
few <- small_sim(11, n = 13, p = 6, dag = chain_dag(2))
few_fit <- function(...) {
  fit_crl(few, init = known(few), control = crl_control(mixing = "fixed", ...))
}

test_that("refits that fail are reported, not lost", {
  compared <- crl_compare(fine = few_fit(), coarse = few_fit(knots = 3), folds = 3)
  expect_identical(compared$model, c("coarse", "fine"))
  expect_identical(compared$failed_folds, c(0L, 3L))
  expect_identical(is.na(compared$difference), c(FALSE, TRUE))
  expect_snapshot(compared)
  expect_match(tidy(compared, "folds")$failure[1:3], "must have 10 rows or more", fixed = TRUE)

  # in one fold only: 13 - 2 rows are enough for 10, 13 - 5 are not
  fold <- rep(c(rep(1:4, c(5, 3, 3, 2))), 2)
  compared <- crl_compare(fine = few_fit(), coarse = few_fit(knots = 3), folds = fold)
  expect_identical(compared$failed_folds, c(0L, 1L))
  expect_identical(compared$model[2], "fine")
  expect_output(print(compared), "fine: 1 of 4 refits failed, and the loss is that of the other")
  scored <- fold != 1
  losses <- vapply(list(few_fit(), few_fit(knots = 3)), function(fit) {
    cross_validate(list(it = fit), fold, identity)$loss[, 1]
  }, numeric(26))
  paired <- ref_domain_mean((losses[, 1] - losses[, 2])[scored], as.integer(few$env)[scored],
                            c(0.5, 0.5))
  expect_close(c(compared$difference[2], compared$se_difference[2]), paired, 1e-10)
})

test_that("refits that do not converge are counted and printed", {
  skip_on_cran()
  learned <- fit_crl(sim, control = crl_control(max_iter = 2))
  compared <- crl_compare(learned = learned, chain = fit, folds = 2)
  expect_identical(compared$unconverged_folds[compared$model == "learned"], 2L)
  expect_output(print(compared), "learned: 2 of 2 refits did not converge in `max_iter`")
  start <- fit_crl(sim, control = crl_control(max_iter = 0))
  expect_identical(crl_compare(start = start, chain = fit, folds = 2)$unconverged_folds, c(0L, 0L))
})

test_that("a comparison is a tibble that prints what it says", {
  expect_snapshot(comparison)
  expect_s3_class(comparison, "tbl_df")
  expect_identical(class(tidy(comparison)), c("tbl_df", "tbl", "data.frame"))
  expect_identical(class(as.data.frame(comparison)), "data.frame")
  expect_null(attr(tidy(comparison), "folds"))
  expect_output(print(comparison["loss"]), "A tibble: 2 x 1|A tibble: 2 . 1")
  expect_output(print(comparison[1, ]), "Smallest loss")
})

test_that("the plot draws differences and intervals, in the order asked for", {
  skip_on_cran()
  drawn <- ggplot2::ggplot_build(autoplot(comparison, level = 0.8))$data
  expect_equal(sort(drawn[[3]]$x), sort(comparison$difference))
  half <- stats::qnorm(0.9) * comparison$se_difference
  expect_equal(sort(drawn[[2]]$xmax - drawn[[2]]$xmin), sort(2 * half))
  expect_identical(levels(autoplot(comparison)$data$model), rev(comparison$model))
  expect_identical(levels(autoplot(comparison, order = "given")$data$model), c("empty", "chain"))
  withr::local_pdf(withr::local_tempfile())
  expect_silent(plot(comparison))
  failing <- crl_compare(fine = few_fit(), coarse = few_fit(knots = 3), folds = 3)
  expect_identical(as.character(autoplot(failing)$data$model), "coarse")
})

test_that("a comparison without its best model, or without any, says so", {
  skip_on_cran()
  expect_output(print(comparison[-1, ]), "The best model is not among these; differences")
  expect_output(print(comparison[0, ]), "No model is left.")
  expect_error(autoplot(comparison[0, ]), "It has no rows", class = "ebcrl_error_range")
  failing <- crl_compare(fine = few_fit(), finer = few_fit(knots = 9), folds = 3)
  expect_output(print(failing), "No model could be refitted: see the notes.")
  expect_error(plot(failing), "No refit", class = "ebcrl_error_range")
})
