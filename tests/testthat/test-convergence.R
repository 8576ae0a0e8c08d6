# Acceleration keeps the answer, the estimated distance to the limit is that to the limit, and a
# fit goes on as if it had never stopped. The accelerated iteration is compared with its reference
# in test-em.R as well, wherever iterations are.

conv_sim <- function(seed, n = 200, p = 12, nonlinearity = "bounded", d = 3) {
  withr::with_seed(seed, sim_crl(chain_dag(d), n = n, p = p, nonlinearity = nonlinearity))
}

# Without a reference score the way to the limit is long, which these tests are about.
conv_fit <- function(sim, ..., init = known(sim), mixing = "orthonormal", spline = list()) {
  alone <- crl_control(mixing = mixing, spline = spline_control(reference = "none"), ...)
  fit_crl(sim, init = init, control = update(alone, spline = spline))
}

distance <- function(a, b) sqrt(sum((a - b)^2) / sum(b^2))

distance_of_fits <- function(a, b) {
  c(mixing = distance(a$mixing, b$mixing), sigma2 = abs(a$sigma2 / b$sigma2 - 1),
    latents = distance(a$latents, b$latents))
}

sim <- conv_sim(2)
limit <- conv_fit(sim, spline = spline_control(acceleration = "none"), tol = 1e-9, max_iter = 3000)

test_that("the accelerated iteration is the reference's", {
  skip_on_cran()
  sim <- conv_sim(2, n = 80)
  for (setting in list(list(), list(mixing = "diagonal"), list(mixing = "fixed"))) {
    settings <- utils::modifyList(list(max_iter = 15, tol = 0, knots = 5, sigma2 = "learned"),
                                  setting)
    fit <- do.call(conv_fit, c(list(sim), settings))
    reference <- ref_fit(sim$x, as.integer(sim$env), sim$targets, unclass(sim$dag),
                         init = known(sim), control = settings)
    expect_identical(fit$trace$step, reference$trace$step)
    expect_identical("accelerated" %in% fit$trace$step, fit$control$mixing != "diagonal")
    expect_close(fit$latents, reference$latents)
    expect_close(fit$mixing, reference$mixing)
    expect_close(fit$sigma2, reference$sigma2)
    rows <- is.finite(reference$trace$remaining) & reference$trace$remaining > 1e-9
    expect_identical(is.finite(fit$trace$remaining), is.finite(reference$trace$remaining))
    expect_close(fit$trace$remaining[rows], reference$trace$remaining[rows], 1e-6)
  }
})

test_that("the accelerated EM ends where the plain one does, sooner", {
  expect_true(limit$converged)
  fit <- conv_fit(sim, tol = 1e-9)
  expect_true(fit$converged)
  expect_lt(max(distance_of_fits(fit, limit)), 1e-7)
  expect_lt(fit$iterations, limit$iterations / 5)
  expect_equal(crossprod(fit$orthonormal), diag(3), tolerance = 1e-12, ignore_attr = TRUE)
})

test_that("so it does from principal components, over a long way", {
  skip_on_cran()
  plain <- conv_fit(sim, init = "pca", spline = spline_control(acceleration = "none"), tol = 1e-8,
                    max_iter = 3000)
  fit <- conv_fit(sim, init = "pca", tol = 1e-8)
  expect_true(plain$converged)
  expect_gt(distance(plain$mixing, pca_start(plain$data)$orthonormal), 0.3)
  expect_lt(max(distance_of_fits(fit, plain)), 1e-6)
  expect_lt(fit$iterations, plain$iterations)
})

test_that("so it does with a reference score, and the accelerated iteration is the reference's", {
  skip_on_cran()
  plain <- conv_fit(sim, spline = spline_control(reference = "gaussian", acceleration = "none"),
                    tol = 1e-8, max_iter = 3000)
  fit <- conv_fit(sim, spline = spline_control(reference = "gaussian"), tol = 1e-8)
  expect_true(plain$converged && fit$converged)
  expect_lt(max(distance_of_fits(fit, plain)), 1e-6)
  expect_lt(fit$iterations, plain$iterations)
  settings <- list(max_iter = 10, tol = 0, knots = 5, sigma2 = "learned",
                   spline = list(reference = "gaussian"), mixing = "orthonormal")
  fit <- do.call(conv_fit, c(list(sim), settings))
  slow <- ref_fit(sim$x, as.integer(sim$env), sim$targets, unclass(sim$dag), init = known(sim),
                  control = settings)
  expect_identical(fit$trace$step, slow$trace$step)
  expect_close(fit$latents, slow$latents, 1e-6)
})

test_that("so it does where only sigma2 moves", {
  fits <- lapply(c("none", "anderson"), function(acceleration) {
    conv_fit(sim, init = "pca", mixing = "fixed", tol = 1e-10,
             spline = spline_control(acceleration = acceleration))
  })
  expect_lt(max(distance_of_fits(fits[[2]], fits[[1]])), 1e-9)
  expect_identical(fits[[2]]$mixing, fits[[1]]$mixing)
  expect_lte(fits[[2]]$iterations, fits[[1]]$iterations)
})

test_that("tol is the distance to the limit that is left", {
  skip_on_cran()
  for (acceleration in c("none", "anderson")) {
    for (tol in c(1e-3, 1e-5)) {
      fit <- conv_fit(sim, spline = spline_control(acceleration = acceleration), tol = tol,
                      max_iter = 3000)
      expect_true(fit$converged)
      expect_lt(max(distance_of_fits(fit, limit)), 3 * tol)
    }
  }
  slow <- conv_fit(sim, spline = spline_control(acceleration = "none"), tol = 1e-3, max_iter = 3000)
  # a rule that looks at one change would have stopped long before
  expect_lt(max(slow$diagnosis$change), 1e-3 / 20)
  expect_equal(slow$diagnosis$remaining, distance_of_fits(slow, limit)[["mixing"]],
               tolerance = 0.2)
})

test_that("one small change, or one small distance, does not end the iterations", {
  fit <- conv_fit(sim, spline = spline_control(acceleration = "none"), tol = 1e-3, max_iter = 3000)
  below <- fit$trace$remaining < 1e-3
  expect_identical(utils::tail(below, 3), c(FALSE, TRUE, TRUE))
})

test_that("0, 1 and 2 iterations do not converge, unless nothing moves", {
  for (k in 0:2) {
    fit <- conv_fit(sim, max_iter = k, tol = 1)
    expect_identical(fit$iterations, k)
    expect_false(fit$converged)
    expect_identical(nrow(fit$trace), k)
    expect_identical(fit$diagnosis$state, if (k == 0) "none" else "early")
    expect_true(k == 0 || all(fit$trace$remaining == Inf))
  }
  still <- conv_fit(sim, mixing = "fixed")
  expect_identical(still$iterations, 1L)
  expect_true(still$converged)
  expect_identical(still$diagnosis$remaining, 0)
  expect_false(conv_fit(sim, mixing = "fixed", tol = 0, max_iter = 3)$converged)
})

test_that("the trace has the relative change of sigma2", {
  fit <- conv_fit(sim, max_iter = 4)
  before <- c(sim$sigma2, fit$trace$sigma2[1:3])
  expect_equal(fit$trace$change_sigma2, abs(fit$trace$sigma2 / before - 1))
})

test_that("preset \"paper\" is not accelerated", {
  expect_identical(crl_control(preset = "paper")$spline$acceleration, "none")
  expect_identical(crl_control(preset = "paper",
                               spline = list(acceleration = "anderson"))$spline$acceleration,
                   "anderson")
  expect_identical(crl_control()$spline$acceleration, "anderson")
})

# Diagnosis ----------------------------------------------------------------------------------------

test_that("the diagnosis foresees the iterations that are needed", {
  fit <- conv_fit(sim, spline = spline_control(acceleration = "none"), max_iter = 200)
  expect_identical(fit$diagnosis$state, "converging")
  whole_way <- conv_fit(sim, spline = spline_control(acceleration = "none"), max_iter = 3000)
  expect_equal(fit$iterations + fit$diagnosis$iterations_needed, whole_way$iterations,
               tolerance = 0.1)
  expect_equal(fit$diagnosis$remaining, distance(fit$mixing, limit$mixing), tolerance = 0.5)
})

test_that("the diagnosis names what moves", {
  none <- conv_fit(sim, max_iter = 20, spline = spline_control(acceleration = "none"))
  one <- conv_fit(sim, max_iter = 21, spline = spline_control(acceleration = "none"))
  turn <- crossprod(none$mixing, one$mixing)
  skew <- (turn - t(turn)) / 2
  pair <- which(abs(skew) == max(abs(skew)), arr.ind = TRUE)[1, ]
  expect_setequal(one$diagnosis$pair, colnames(none$mixing)[pair])
  expect_equal(one$diagnosis$angle, asin(max(abs(skew))) * 180 / pi, tolerance = 1e-3)
  expect_equal(one$diagnosis$moving[["rotation"]], sqrt(sum(skew^2) / 3))
  expect_identical(names(which.max(one$diagnosis$moving)), "rotation")
  expect_match(describe_moving(one$diagnosis), paste(one$diagnosis$pair, collapse = " and "))
  expect_equal(sqrt(sum(one$diagnosis$moving[c("rotation", "other")]^2)),
               distance(one$mixing, none$mixing))

  scaled <- conv_fit(sim, max_iter = 400, mixing = "diagonal")
  expect_identical(scaled$diagnosis$state, "drifting")
  expect_identical(names(which.max(scaled$diagnosis$moving)), "scale")
  expect_match(describe_convergence(scaled), "drift", all = FALSE)
  expect_match(describe_convergence(scaled), "update_mixing = FALSE", all = FALSE, fixed = TRUE)

  noise <- conv_fit(sim, max_iter = 3, init = list(mixing = sim$mixing, sigma2 = 0.1),
                    mixing = "fixed", sigma2 = "learned")
  expect_identical(names(which.max(noise$diagnosis$moving)), "sigma2")
  expect_null(noise$diagnosis$pair)
  expect_match(describe_moving(noise$diagnosis), "noise variance")
  expect_no_match(describe_convergence(noise), "holds A")
})

test_that("a fit that has not converged says how it stands", {
  expect_snapshot(writeLines(describe_convergence(conv_fit(sim, max_iter = 3))))
  slow <- conv_fit(sim, spline = spline_control(acceleration = "none"), max_iter = 100)
  slow$diagnosis$state <- "converging"
  slow$diagnosis[c("rate", "remaining", "iterations_needed")] <- c(0.98765, 0.01234, 567)
  slow$diagnosis$angle <- 0.0123
  expect_snapshot(writeLines(describe_convergence(slow)))
  slow$diagnosis[c("state", "rate", "iterations_needed")] <- list("drifting", 0.99991, Inf)
  expect_snapshot(writeLines(describe_convergence(slow)))
  slow$diagnosis$remaining <- Inf
  expect_no_match(describe_convergence(slow)[1], "distance")
})

test_that("steps that are taken back are counted, and said", {
  skip_on_cran()
  # the largest pseudo-latents, at the ends of the knots, are where the map has kinks
  fits <- lapply(1:6, function(seed) {
    conv_fit(conv_sim(seed, n = 60), init = "pca", max_iter = 300, tol = 0)
  })
  rejected <- vapply(fits, function(fit) sum(fit$trace$step == "rejected"), 0L)
  expect_equal(vapply(fits, function(fit) fit$counts[["steps_rejected"]], 0), rejected)
  expect_gt(sum(rejected), 0)
  fit <- fits[[which.max(rejected)]]
  expect_match(count_notes(fit), "taken back", all = FALSE)
  at <- which(fit$trace$step == "rejected")
  expect_true(all(fit$trace$step[at - 1] == "accelerated"))
  grown <- pmax(fit$trace$change_mixing[at], fit$trace$change_sigma2[at]) /
    pmax(fit$trace$change_mixing[at - 1], fit$trace$change_sigma2[at - 1])
  expect_true(all(grown > 1))
  expect_true(all(fit$trace$remaining[at] == Inf))
})

# update() -----------------------------------------------------------------------------------------

# What must not depend on the number of goes; conjugate gradients start from the solution in a go
# of no iterations.
without <- function(fit) {
  fit$cells$cg_iterations <- NULL
  unclass(fit)[setdiff(names(fit), c("call", "elapsed", "seconds", "start"))]
}

test_that("iterations in two goes are those in one", {
  skip_on_cran()
  goes <- list(list(), list(mixing = "diagonal"),
               list(spline = list(solver = "cg", cg_tol = 1e-12)),
               list(lambda = "auto", eta = "auto"))
  for (settings in goes) {
    settings <- utils::modifyList(settings, list(tol = 0, spline = list(acceleration = "none")))
    fit <- function(k) do.call(conv_fit, c(list(sim, max_iter = k), settings))
    # smoothing is chosen anew at iterations 1, 2 and 4, before which the last E-step knew another
    for (k in list(c(0, 7), c(2, 5), c(4, 3), c(7, 0))) {
      expect_equal(without(update(fit(k[1]), max_iter = k[2])), without(fit(7)),
                   tolerance = 1e-10)
    }
  }
  # signs are turned at the end of each go
  turned <- function(k) conv_fit(sim, init = "pca", max_iter = k, tol = 0,
                                 spline = spline_control(acceleration = "none"))
  expect_equal(without(update(turned(5), max_iter = 6)), without(turned(11)), tolerance = 1e-8)
  # nothing is added to bits where no sign is turned
  plain <- function(k) conv_fit(sim, max_iter = k, spline = spline_control(acceleration = "none"),
                                tol = 0)
  expect_identical(update(plain(4), max_iter = 5)$mixing, plain(9)$mixing)
})

test_that("a fit that goes on stops where one go would have", {
  skip_on_cran()
  whole_way <- conv_fit(sim, spline = spline_control(acceleration = "none"), tol = 1e-4)
  part <- conv_fit(sim, spline = spline_control(acceleration = "none"), tol = 1e-4, max_iter = 50)
  expect_false(part$converged)
  on <- update(part, max_iter = 950)
  expect_equal(without(on), without(whole_way), tolerance = 1e-10)
  expect_identical(on$iterations, whole_way$iterations)
  expect_gt(on$elapsed, part$elapsed)

  accelerated <- update(conv_fit(sim, max_iter = 12, tol = 1e-9), max_iter = 1000)
  expect_true(accelerated$converged)
  expect_lt(max(distance_of_fits(accelerated, limit)), 1e-7)
})

test_that("update() changes settings that leave the model alone", {
  fit <- conv_fit(sim, tol = 1e-3)
  same <- update(fit, max_iter = 1000)
  expect_identical(same$trace, fit$trace)
  expect_identical(same$diagnosis, fit$diagnosis)
  finer <- update(fit, iterations = 1000, tol = 1e-9)
  expect_gt(finer$iterations, fit$iterations)
  expect_identical(finer$trace[seq_len(fit$iterations), ], fit$trace)
  expect_identical(finer$control$tol, 1e-9)
  expect_identical(finer$control$max_iter, fit$iterations + 1000L)
  expect_lt(max(distance_of_fits(finer, limit)), 1e-7)
  expect_identical(finer$call, fit$call)
  expect_identical(finer$learned, fit$learned)
  plain <- update(conv_fit(sim, max_iter = 10), max_iter = 20,
                  spline = spline_control(acceleration = "none"), tol = 0)
  expect_setequal(plain$trace$step[11:30], "plain")
})

test_that("a fit with sigma2 held goes on holding it", {
  held <- conv_fit(sim, init = known(sim), sigma2 = "fixed", max_iter = 3)
  expect_identical(update(held, max_iter = 3)$sigma2, sim$sigma2)
  oracle <- conv_fit(sim, mixing = "fixed", tol = 0, max_iter = 1)
  expect_identical(update(oracle, max_iter = 2)$latents, oracle$latents)
})

test_that("counts of events add up over the goes", {
  fit <- conv_fit(sim, max_iter = 5)
  fit$counts[c("sigma2_floored", "rank_deficient", "steps_rejected")] <- c(2, 3, 4)
  counts <- update(fit, max_iter = 1)$counts
  expect_equal(counts[["sigma2_floored"]], 2)
  expect_equal(counts[["rank_deficient"]], 3)
  expect_gte(counts[["steps_rejected"]], 4)
})

test_that("glance and plot show how the iterations went", {
  fit <- conv_fit(sim)
  row <- glance(fit)
  expect_identical(row$converged, TRUE)
  expect_identical(row$iterations, fit$iterations)
  expect_identical(row$change, max(fit$diagnosis$change))
  expect_identical(row$remaining, fit$trace$remaining[fit$iterations])
  none <- glance(conv_fit(sim, max_iter = 0))
  expect_identical(c(none$change, none$remaining), c(NA_real_, NA_real_))
  lines <- convergence_lines(fit)
  left <- lines[which(lines$quantity == "left to the limit"), ]
  told <- fit$trace$remaining <= 1
  expect_equal(left$value, log10(fit$trace$remaining[told]))
  expect_identical(left$iteration, which(told))
})
