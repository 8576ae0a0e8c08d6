# Correlated columns, A = O Lambda: posterior, M-step, reference, start and Bayes optimum against
# plain R, closed forms and invariances.

psd_data <- function(n_env = c(143, 101, 128, 117), p = 7, cosine = 0.6) {
  dag <- matrix(0, 3, 3)
  dag[cbind(c(1, 2), c(2, 3))] <- 1
  s <- ref_data(n_env, p, dag)
  storage.mode(s$targets) <- "integer"
  # columns of length 1 that lean towards each other
  lean <- (1 - cosine) * diag(3) + cosine
  s$mixing <- s$mixing %*% ref_power(lean, 1 / 2)
  s$x <- s$z %*% t(s$mixing) + sqrt(s$sigma2) * matrix(stats::rnorm(length(s$x)), nrow(s$x))
  shuffled <- sample(length(s$env))
  s$x <- s$x[shuffled, ]
  s$z <- s$z[shuffled, ]
  s$env <- s$env[shuffled]
  s$start <- list(mixing = s$mixing + 0.1 * matrix(stats::rnorm(3 * p), p), sigma2 = 0.7)
  s
}

fit_psd <- function(s, ..., weights = NULL, init = s$start) {
  settings <- utils::modifyList(list(mixing = "psd", lambda = 5, tol = 0, max_iter = 4, knots = 4),
                                list(...))
  settings$update_mixing <- settings$update_mixing %||% (settings$mixing != "fixed")
  fit_crl(s$x, env = s$env, targets = s$targets, dag = s$dag, weights = weights, init = init,
          control = do.call(crl_control, settings))
}

reference_psd <- function(s, ..., weights = NULL, init = s$start) {
  settings <- utils::modifyList(list(knots = 4, max_iter = 4), list(...))
  ref_fit_psd(s$x, s$env, s$targets, s$dag, init, weights, settings)
}

expect_psd_close <- function(fit, reference, tolerance = 1e-9) {
  for (part in c("mixing", "sigma2", "scale", "latents")) {
    expect_close(fit[[part]], reference[[part]], tolerance)
  }
  expect_close(fit$latents_sd^2, reference$latents_sd^2, tolerance)
  expect_close(fit$score$theta, reference$theta, 10 * tolerance)
  expect_close(fit$trace$loss, reference$trace_loss, tolerance)
  expect_equal(fit$counts[["variance_floored"]], reference$floored)
  expect_equal(fit$counts[["reference_floored"]], reference$reference_floored)
  expect_equal(unname(fit$floored), reference$floored_by_domain)
  expect_close(fit$orthonormal %*% fit$scale, fit$mixing, 1e-12)
  expect_close(crossprod(fit$orthonormal), diag(3), 1e-12)
  expect_true(isSymmetric(fit$scale) && all(eigen(fit$scale)$values > 0))
}

test_that("the EM agrees with the reference: psd and fixed, reference score, weights, threads", {
  skip_on_cran()
  withr::local_seed(31)
  s <- psd_data(n_env = c(1203, 1101, 1028, 917)) # two shards of rows
  for (mixing in c("psd", "fixed")) {
    for (reference in c("gaussian", "none")) {
      for (weights in list(NULL, c(0.55, 0.05, 0.1, 0.3))) {
        slow <- reference_psd(s, mixing = mixing, reference = reference, weights = weights,
                              max_iter = 2, learn_sigma2 = mixing == "psd")
        for (threads in 1:2) {
          fit <- fit_psd(s, mixing = mixing, spline = spline_control(reference = reference),
                         weights = weights, threads = threads, max_iter = 2)
          expect_psd_close(fit, slow)
        }
      }
    }
  }
})

test_that("the EM agrees with the reference: damping, perfect interventions, learned sigma2, cg", {
  skip_on_cran()
  withr::local_seed(32)
  s <- psd_data()
  settings <- list(
    list(eta = 0.5), list(intervention = "perfect"), list(lambda = 100),
    list(penalty = "ridge", range = c(-15, 15))
  )
  for (setting in settings) {
    expect_psd_close(do.call(fit_psd, c(list(s), setting)),
                     do.call(reference_psd, c(list(s), setting)))
  }
  expect_psd_close(fit_psd(s, mixing = "fixed", sigma2 = "learned"),
                   reference_psd(s, mixing = "fixed"))
  expect_psd_close(fit_psd(s, spline = spline_control(solver = "cg", cg_tol = 1e-14)),
                   reference_psd(s), 1e-8)
})

test_that("the same bits for every thread count and, signs aside, rows in any order", {
  withr::local_seed(33)
  s <- psd_data(n_env = c(2403, 1301, 1358, 1337))
  fits <- lapply(1:2, function(threads) fit_psd(s, threads = threads))
  for (part in c("latents", "latents_sd", "mixing", "scale", "sigma2", "trace")) {
    expect_identical(fits[[1]][[part]], fits[[2]][[part]])
  }
  order <- sample(nrow(s$x))
  mixed <- s
  mixed$x <- s$x[order, ]
  mixed$env <- s$env[order]
  expect_close(fit_psd(mixed)$latents, fits[[1]]$latents[order, ], 1e-8)
})

test_that("with Lambda = I and no reference it is the orthonormal model", {
  withr::local_seed(34)
  s <- psd_data(cosine = 0)
  init <- list(mixing = ref_polar(s$start$mixing), sigma2 = 0.7)
  psd <- fit_psd(s, spline = spline_control(reference = "none"), init = init, max_iter = 0)
  plain <- fit_psd(s, mixing = "orthonormal", spline = spline_control(reference = "none"),
                   init = init, max_iter = 0)
  expect_close(psd$latents, plain$latents, 1e-10)
  kept <- plain$latents_sd > 0
  rows <- rowSums(kept) == 3 # a floored eigenvalue is not a floored variance
  expect_gt(mean(rows), 0.9)
  # the full Jacobian moves no diagonal entry where the noise is a multiple of the identity
  expect_close(psd$latents_sd[rows, ], plain$latents_sd[rows, ], 1e-8)
})

test_that("Gaussian latents and the exact linear score give the conjugate posterior", {
  withr::local_seed(35)
  p <- 6
  n <- 400
  root <- matrix(c(2, 0.5, -1, 0, 1, 0.7, 0, 0, 1.5), 3)
  z <- matrix(stats::rnorm(3 * n), n) %*% t(root) + rep(c(1, -2, 0.5), each = n)
  mixing <- matrix(stats::rnorm(3 * p), p)
  x <- z %*% t(mixing) + sqrt(2) * matrix(stats::rnorm(n * p), n)
  # a heavy ridge: the splines add nothing, and the reference is the whole score; all edges: the
  # linear causal model has every covariance
  dag <- upper.tri(diag(3)) + 0L
  fit <- fit_crl(x, rep(c("a", "b"), n / 2), rbind(a = c(0, 0, 0), b = c(0, 0, 0)), dag,
                 init = list(mixing = mixing, sigma2 = 2),
                 control = crl_control(mixing = "fixed", penalty = "ridge", lambda = 1e13,
                                       max_iter = 0, knots = 4))
  y <- x %*% mixing %*% solve(crossprod(mixing))
  noise <- 2 * solve(crossprod(mixing))
  mean <- colMeans(y)
  prior <- stats::cov(y) * (n - 1) / n - noise
  precision <- solve(prior) + crossprod(mixing) / 2
  posterior <- solve(precision, solve(prior, mean) + t(x %*% mixing) / 2)
  expect_close(fit$latents, t(posterior), 1e-6)
  expect_close(fit$latents_sd, rep(sqrt(diag(solve(precision))), each = n), 1e-6)
})

test_that("the M-step is the minimum over O and Lambda: optimality conditions, alternation", {
  withr::local_seed(36)
  s <- psd_data()
  before <- fit_psd(s, max_iter = 0)
  after <- fit_psd(s, max_iter = 1)
  m <- crossprod(s$x, before$latents)
  # full second moments from the posterior covariances of the reference implementation
  slow <- reference_psd(s, max_iter = 0)
  second <- crossprod(slow$latents) + apply(slow$cov, 2:3, sum)
  best <- m %*% solve(second)
  expect_close(after$mixing, best %*% diag(1 / sqrt(colSums(best^2))), 1e-9)
  lambda <- ref_power(crossprod(best), 1 / 2)
  orthonormal <- best %*% solve(lambda)
  expect_close(ref_lyapunov(second, crossprod(orthonormal, m)), lambda, 1e-9)
  expect_close(ref_polar(m %*% lambda), orthonormal, 1e-9)
  loss <- function(a) sum(crossprod(a) * second) - 2 * sum(a * m)
  alternated <- vapply(c(1, 10, 300), function(k) {
    loss(ref_psd_alternation(m, second, before$mixing, k))
  }, 0)
  expect_true(all(loss(best) <= alternated + 1e-9 * abs(loss(best))))
  expect_close(alternated[3], loss(best), 1e-6)
})

test_that("the latents do not depend on a rotation of the features", {
  withr::local_seed(37)
  s <- psd_data()
  turn <- qr.Q(qr(matrix(stats::rnorm(49), 7)))
  turned <- s
  turned$x <- s$x %*% turn
  turned$start$mixing <- t(turn) %*% s$start$mixing
  expect_close(fit_psd(turned)$latents, fit_psd(s)$latents, 1e-8)
})

test_that("methods: coef, fitted, residuals, predict, summary, plot, a refit from the fit", {
  withr::local_seed(38)
  s <- psd_data()
  fit <- fit_psd(s)
  expect_equal(unname(colSums(coef(fit)^2)), rep(1, 3))
  expect_equal(residuals(fit), s$x - fit$latents %*% t(fit$mixing), ignore_attr = TRUE)
  for (type in c("latents", "sd")) {
    expect_equal(suppressWarnings(predict(fit, s$x, env = s$env, type = type)),
                 suppressWarnings(predict(fit, type = type)), tolerance = 1e-10, ignore_attr = TRUE)
  }
  expect_equal(predict(fit, s$x[s$env == 2, ], targets = s$targets[2, ]),
               predict(fit)[s$env == 2, ], tolerance = 1e-10, ignore_attr = TRUE)
  # a combination of targets without rows
  y <- s$x %*% fit$mixing %*% solve(crossprod(fit$mixing))
  noise <- fit$sigma2 * solve(crossprod(fit$mixing))
  parents <- fit$score$parents
  moments <- ref_scm_moments(ref_linear_scm(y, s$env, s$targets, parents, rep(1, 4), noise, list()),
                             c(1, 1, 0))
  splines <- ref_eval_score(y[1:3, ], matrix(c(1, 1, 0), 3, 3, TRUE), parents, fit$score$theta,
                            fit$score$range, 4)$score
  known <- -sweep(y[1:3, ], 2, moments$mean) %*% solve(moments$cov + noise)
  expect_close(predict(fit, s$x[1:3, ], targets = c(1, 1, 0), type = "score"), splines + known)
  expect_output(print(summary(fit)), "Mixing: psd")
  expect_identical(summary(fit)$domains$floored, unname(fit$floored))
  expect_printed(fit, "drift towards dependent")
  expect_false(any(grepl("drift", fit_notes(fit_psd(s, max_iter = 0)))))
  expect_false(any(grepl("drift", fit_notes(fit_psd(s, update_mixing = FALSE)))))
  expect_s3_class(ggplot2::autoplot(fit, "scores"), "ggplot")
  held <- fit_psd(s, init = fit, mixing = "fixed", max_iter = 0)
  expect_close(held$latents, fit$latents, 1e-10)
  compared <- crl_compare(fit, wrong = fit_psd(s, mixing = "orthonormal",
                                               spline = spline_control(reference = "none")),
                          folds = 2)
  expect_identical(compared$model[1], "fit")
  expect_gt(compared$difference[2], 2 * compared$se_difference[2])
})

test_that("A is held from every start but principal components, and updated where asked", {
  skip_on_cran()
  withr::local_seed(44)
  s <- psd_data()
  asked <- function(mixing, update_mixing, init) {
    fit <- fit_psd(s, mixing = mixing, update_mixing = update_mixing, init = init, max_iter = 2)
    start <- fit_psd(s, mixing = mixing, update_mixing = FALSE, init = init, max_iter = 0)
    moved <- max(abs(fit$mixing - start$mixing)) > 1e-6
    expect_identical(fit$learned[["mixing"]], moved)
    expect_identical(fit$control$update_mixing, moved)
    expect_identical(any(grepl("(held)", describe_model(fit), fixed = TRUE)),
                     !moved && fit$control$mixing != "fixed")
    moved
  }
  before <- fit_psd(s, max_iter = 1)
  for (init in list("interventional", s$start, before)) {
    expect_false(asked("psd", "auto", init))
    expect_true(asked("psd", TRUE, init))
    expect_false(asked("auto", "auto", init))
    expect_true(asked("auto", TRUE, init))
    expect_true(asked("orthonormal", "auto", init))
    expect_false(asked("orthonormal", FALSE, init))
  }
  expect_true(asked("psd", "auto", "pca"))
  expect_false(asked("psd", FALSE, "pca"))
  expect_false(asked("auto", FALSE, "pca"))
  # sigma2 is settled with A held, unless init gives it
  held <- function(...) fit_psd(s, update_mixing = "auto", tol = 1e-8, max_iter = 500, ...)
  expect_true(held(init = "interventional")$learned[["sigma2"]])
  expect_true(held(init = "interventional")$converged)
  expect_false(held()$learned[["sigma2"]])
  expect_identical(held()$sigma2, s$start$sigma2)
  # a fit goes on with A held
  part <- fit_psd(s, update_mixing = "auto", init = "interventional", max_iter = 3)
  expect_equal(update(part, max_iter = 2, spline = spline_control(acceleration = "none"))$mixing,
               part$mixing)
})

test_that("lambda is larger by default, which a value of its own overrides", {
  expect_identical(crl_control(mixing = "psd")$lambda, 1000)
  expect_identical(crl_control(mixing = "psd", lambda = 5)$lambda, 5)
  expect_identical(crl_control()$lambda, 5)
})

test_that("domains with the same targets share their reference", {
  withr::local_seed(39)
  s <- psd_data()
  s$targets[4, ] <- s$targets[2, ]
  fit <- fit_psd(s)
  expect_identical(fit$score$reference$group, c(1L, 2L, 3L, 2L))
  expect_psd_close(fit, reference_psd(s))
})

# The start --------------------------------------------------------------------------------------

unmixing_cells <- function(d, dag, perfect, seed) {
  withr::local_seed(seed)
  cells <- expand.grid(state = 0:1, node = seq_len(d))
  cov <- replicate(nrow(cells), crossprod(matrix(stats::rnorm(3 * d * d), 3 * d)) / (3 * d))
  weight <- stats::runif(nrow(cells), 50, 150)
  # both states of a node have n rows together
  share <- weight / rep(tapply(weight, cells$node, sum), each = 2) * 200
  list(cov = cov, weight = share, coord = Map(function(j, c) {
    c(j, if (!(perfect && c == 1)) which(dag[, j] == 1))
  }, cells$node, cells$state))
}

test_that("the likelihood over unmixings and its gradient agree with regressions and differences", {
  skip_if_not_installed("numDeriv")
  withr::local_seed(40)
  d <- 4
  dag <- matrix(0, d, d)
  dag[cbind(c(1, 2, 1, 3), c(2, 3, 4, 4))] <- 1
  noise <- crossprod(matrix(stats::rnorm(d * d), d))
  for (perfect in c(TRUE, FALSE)) {
    for (floor in c(0.001, 0.3)) { # some cells at their floor
      cells <- unmixing_cells(d, dag, perfect, 41)
      at <- matrix(stats::rnorm(d * d), d)
      ours <- .Call(C_unmixing_value, cells$cov, cells$weight, cells$coord, noise, floor, at)
      slow <- function(v) ref_unmixing_objective(matrix(v, d), cells, noise, floor)
      expect_equal(ours$objective, slow(at), tolerance = 1e-12)
      expect_equal(as.vector(ours$gradient), numDeriv::grad(slow, as.vector(at)), tolerance = 1e-6)
      scaled <- at %*% diag(c(2, -0.1, 30, 1))
      moved <- .Call(C_unmixing_value, cells$cov, cells$weight, cells$coord, noise, floor, scaled)
      expect_equal(moved$objective, ours$objective, tolerance = 1e-12)
    }
  }
})

test_that("a singular unmixing has infinite objective", {
  cells <- unmixing_cells(3, matrix(0, 3, 3), TRUE, 1)
  at <- cbind(c(1, 2, 3), c(2, 4, 6), c(0, 0, 1))
  value <- .Call(C_unmixing_value, cells$cov, cells$weight, cells$coord, diag(3), 0.05, at)
  expect_identical(value$objective, Inf)
})

correlated_sim <- function(seed, n = 1000, nonlinearity = "linear", d = 3, p = 20) {
  withr::with_seed(seed, {
    lean <- crossprod(matrix(stats::rnorm(d * d), d)) + 0.2 * diag(d)
    mixing <- random_orthonormal(p, d) %*% ref_power(stats::cov2cor(lean), 1 / 2)
    sim_crl(chain_dag(d), n = n, nonlinearity = nonlinearity, mixing = mixing)
  })
}

test_that("learned correlated columns come close to the Bayes optimum, whatever the mechanism", {
  skip_on_cran()
  error <- function(sim, mechanisms) {
    fit <- fit_crl(sim, control = crl_control(mixing = "psd", intervention = "perfect",
                                              start = start_search(mechanisms = mechanisms)))
    expect_true(fit$converged)
    expect_equal(fit$counts[["start_floored"]], 0)
    rel_mse(fit, sim) / rel_mse(withr::with_seed(1, bayes_latents(sim, min_ess = 2)), sim)
  }
  for (nonlinearity in c("linear", "bounded")) {
    for (seed in c(1, 3)) {
      expect_lt(error(correlated_sim(seed, nonlinearity = nonlinearity), "spline"), 1.25)
    }
  }
  # linear mechanisms mislead where the true ones are steep
  strong <- correlated_sim(1, nonlinearity = "strong")
  expect_lt(error(strong, "spline"), 1.5)
  expect_gt(error(strong, "linear"), 3)
})

test_that("the start's last stage: threads, seed, given settings of the mechanisms, events", {
  skip_on_cran()
  sim <- correlated_sim(2, n = 1500)
  at_start <- function(...) {
    fit_crl(sim, control = crl_control(mixing = "psd", intervention = "perfect", max_iter = 0, ...))
  }
  first <- at_start()
  expect_identical(at_start(threads = 2)$mixing, first$mixing)
  expect_identical(at_start(seed = 1)$mixing, first$mixing)
  expect_lt(frobenius_error(at_start(seed = 2), first), 0.02)
  first$counts["start_floored"] <- 3L
  expect_printed(first, "fell to its floor 3 times")
})

test_that("the start finds correlated columns, which a rotation cannot", {
  skip_on_cran()
  for (seed in 1:3) {
    sim <- correlated_sim(seed)
    at_start <- function(mixing) {
      fit_crl(sim, init = "interventional",
              control = crl_control(mixing = mixing, intervention = "perfect", max_iter = 0))
    }
    psd <- at_start("psd")
    expect_lt(frobenius_error(psd, sim), 0.05)
    expect_lt(frobenius_error(psd, sim), frobenius_error(at_start("orthonormal"), sim) / 10)
    expect_identical(sum(psd$optima$starts), 20L)
    expect_false(is.unsorted(psd$optima$objective))
  }
})

test_that("the start is an optimum of the likelihood, and the same in every run", {
  skip_on_cran()
  sim <- correlated_sim(4)
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  control <- crl_control(mixing = "psd", intervention = "perfect",
                         start = start_search(mechanisms = "linear", starts = 5), seed = 1)
  start <- unmixing_start(data, control)
  expect_identical(unmixing_start(data, control), start)
  pca <- pca_start(data)
  cells <- rotation_cells(data, pca, TRUE)
  b <- crossprod(pca$orthonormal, start$orthonormal %*% start$scale)
  value <- .Call(C_unmixing_value, cells$cov, cells$weight, cells$coord, diag(start$sigma2, 3),
                 0.05, t(solve(b)))
  expect_lt(max(abs(value$gradient)), 1e-4)
})

test_that("what imperfect interventions leave open is said, in words", {
  sim <- correlated_sim(5, n = 300)
  fit <- function(intervention, targets = sim$targets) {
    fit_crl(sim$x, sim$env, targets, sim$dag, init = "interventional",
            control = crl_control(mixing = "psd", intervention = intervention, max_iter = 0,
                                  start = start_search(mechanisms = "linear")))
  }
  expect_output(print(fit("imperfect")), "z3 + c z2", fixed = TRUE)
  expect_false(any(grepl("multiple of a parent", fit_notes(fit("perfect")))))
  never <- sim$targets
  never[3, ] <- 0L
  expect_output(print(fit("perfect", never)), "never targeted")
  pairs <- function(dag) {
    shearable_pairs(list(dag = dag, targets = matrix(0, 1, ncol(dag))), FALSE)
  }
  expect_identical(unname(pairs(as_dag("a -> b -> c; a -> c"))),
                   rbind(c(2L, 1L), c(3L, 1L), c(3L, 2L)))
  expect_identical(nrow(pairs(empty_dag(3))), 0L)
})

test_that("PCA and given starts: columns of length 1, lengths of a held A kept", {
  withr::local_seed(42)
  s <- psd_data()
  long <- s$mixing %*% diag(c(2, 0.5, 3))
  unit <- fit_psd(s, init = list(mixing = long, sigma2 = 0.5), max_iter = 0)
  expect_equal(unname(colSums(unit$mixing^2)), rep(1, 3))
  held <- fit_psd(s, mixing = "fixed", init = list(mixing = long, sigma2 = 0.5), max_iter = 0)
  expect_close(held$mixing, long, 1e-12)
  pca <- fit_psd(s, init = "pca", max_iter = 0)
  expect_close(pca$scale, diag(3), 1e-12)
  part <- fit_psd(s, init = s$start["mixing"], max_iter = 0)
  expect_close(part$sigma2, fit_psd(s, init = s$start["mixing"], mixing = "orthonormal",
                                    max_iter = 0)$sigma2, 1e-10)
})

test_that("memory is planned for", {
  withr::local_seed(43)
  s <- psd_data()
  data <- crl_data(s$x, s$env, s$targets, s$dag)
  tensor <- spline_control(interaction = "tensor")
  bytes <- function(mixing) fit_cost(data, crl_control(mixing = mixing, spline = tensor))$bytes
  expect_gt(bytes("psd"), bytes("orthonormal") + 8 * 3 * 9 * 128)
})
