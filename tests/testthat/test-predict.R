sim <- small_sim(2)
colnames(sim$x) <- paste0("gene", 1:12)
rownames(sim$x) <- paste0("cell", seq_len(nrow(sim$x)))
fit <- oracle_fit(sim)
rows <- sim$x[c(3, 160, 400), ]

test_that("the training rows in their domains give the training latents", {
  expect_equal(predict(fit, sim$x, env = sim$env), fit$latents, tolerance = 1e-12)
  sds <- suppressWarnings(predict(fit, sim$x, env = sim$env, type = "sd"))
  expect_equal(sds, fit$latents_sd, tolerance = 1e-12)
  expect_identical(predict(fit), fit$latents)
  expect_identical(predict(fit, type = "sd"), fit$latents_sd)
  expect_equal(predict(fit, type = "score"), predict(fit, sim$x, env = sim$env, type = "score"),
               tolerance = 1e-12)
  expect_equal(predict(fit, type = "x"), predict(fit, sim$x, env = sim$env, type = "x"),
               tolerance = 1e-12)
})

test_that("latents, score and x are tied by Tweedie's formula and the mixing matrix", {
  y <- rows %*% fit$orthonormal
  score <- predict(fit, rows, env = "do(z3)", type = "score")
  latents <- predict(fit, rows, env = "do(z3)")
  expect_equal(latents, y + fit$sigma2 * score)
  expect_equal(predict(fit, rows, env = "do(z3)", type = "x"), latents %*% t(fit$mixing))
})

test_that("an unseen combination of targets is composed from the fitted components", {
  fit <- oracle_fit(sim, spline = spline_control(reference = "none"))
  both <- predict(fit, rows, targets = "z1+z3")
  first <- predict(fit, rows, env = "do(z1)")
  third <- predict(fit, rows, env = "do(z3)")
  expect_equal(both[, "z1"], first[, "z1"])
  expect_equal(both[, "z3"], third[, "z3"])
  expect_equal(both[, c("z2", "z4")], first[, c("z2", "z4")])
  expect_false(isTRUE(all.equal(both[, "z1"], third[, "z1"])))

  # and by hand, from coefficients and basis
  y <- unname(rows %*% fit$orthonormal)
  targets <- matrix(c(1, 0, 1, 0), 3, 4, byrow = TRUE)
  by_hand <- ref_eval_score(y, targets, parent_list(sim$dag), fit$score$theta, fit$score$range, 8)
  expect_equal(unname(predict(fit, rows, targets = "z1+z3", type = "score")), by_hand$score)
  expect_equal(unname(both), y + fit$sigma2 * by_hand$score)
})

test_that("the forms of targets and env say the same", {
  wanted <- predict(fit, rows, targets = "z1+z3")
  expect_identical(predict(fit, rows, targets = c(1, 0, 1, 0)), wanted)
  expect_identical(predict(fit, rows, targets = c(TRUE, FALSE, TRUE, FALSE)), wanted)
  expect_identical(predict(fit, rows, targets = c(z4 = 0, z3 = 1, z1 = 1, z2 = 0)), wanted)
  by_row <- matrix(c(0, 0, 1, 1), 3, 4, byrow = TRUE,
                   dimnames = list(NULL, c("z2", "z4", "z1", "z3")))
  expect_identical(predict(fit, rows, targets = by_row), wanted)
  expect_identical(predict(fit, rows, targets = as.data.frame(by_row)), wanted)

  none <- predict(fit, rows, targets = c(0, 0, 0, 0))
  expect_identical(predict(fit, rows, targets = list(NULL)), none)
  expect_identical(predict(fit, rows, targets = "none"), none)
  mixed <- rbind(c(0, 0, 0, 0), c(1, 0, 1, 0), c(0, 0, 0, 0))
  expect_identical(predict(fit, rows, targets = mixed), rbind(none[1, , drop = FALSE],
                                                              wanted[2, , drop = FALSE],
                                                              none[3, , drop = FALSE]))

  expect_identical(predict(fit, rows, env = "do(z2)"),
                   predict(fit, rows, env = factor(rep("do(z2)", 3))))
  expect_identical(predict(fit, rows, env = "do(z2)"), predict(fit, rows, targets = "z2"))
  expect_identical(predict(fit, rows, targets = factor("z2")), predict(fit, rows, targets = "z2"))
  expect_identical(predict(fit, rows, targets = list(c("z1", "z2"))),
                   predict(fit, rows, targets = "z1+z2"))
})

test_that("columns are matched by name, rows keep theirs", {
  wanted <- predict(fit, rows, env = "do(z1)")
  expect_identical(dimnames(wanted), list(rownames(rows), paste0("z", 1:4)))
  expect_identical(predict(fit, rows[, 12:1], env = "do(z1)"), wanted)
  frame <- data.frame(batch = c("a", "b", "c"), rows[, 12:1])
  expect_identical(predict(fit, frame, env = "do(z1)"), wanted)
  expect_equal(predict(fit, unname(rows), env = "do(z1)"), unname_rows(wanted))
  expect_identical(colnames(predict(fit, rows, env = "do(z1)", type = "x")), colnames(rows))
  expect_identical(predict(fit, rows[2, , drop = FALSE], env = "do(z1)"), wanted[2, , drop = FALSE])
  expect_identical(dim(predict(fit, rows[0, ], env = "do(z1)")), c(0L, 4L))
})

test_that("wrong rows are refused", {
  refuse <- function(newdata, class) {
    expect_error(predict(fit, newdata, env = "do(z1)"), class = paste0("ebcrl_error_", class))
  }
  refuse(rows[, 1:11], "shape")
  refuse(unname(rows)[, 1:11], "shape")
  refuse(rows[1, ], "type")
  refuse(data.frame(rows[, -1], gene1 = "high"), "type")
  bad <- rows
  bad[2, 3] <- NA
  refuse(bad, "missing")
  bad[2, 3] <- Inf
  refuse(bad, "missing")
  expect_snapshot(error = TRUE, {
    predict(fit, rows[, 1:11], env = "do(z1)")
    predict(fit, unname(rows)[, 1:11], env = "do(z1)")
    predict(fit, bad, env = "do(z1)")
  })
})

test_that("wrong domains and targets are refused", {
  refuse <- function(class, ...) {
    expect_error(predict(fit, ...), class = paste0("ebcrl_error_", class))
  }
  refuse("domain", rows, env = "do(z9)")
  refuse("shape", rows, env = c("do(z1)", "do(z2)"))
  refuse("targets", rows)
  refuse("targets", rows, env = "do(z1)", targets = "z1")
  refuse("targets", targets = "z1")
  refuse("targets", rows, targets = "z9")
  refuse("targets", rows, targets = c(0, 0, 2, 0))
  refuse("shape", rows, targets = c(0, 1))
  refuse("shape", rows, targets = diag(4))
  refuse("type", rows, env = "do(z1)", se.fit = TRUE)
  refuse("range", type = "response")
  expect_snapshot(error = TRUE, {
    predict(fit, rows)
    predict(fit, rows, env = "do(z9)")
    predict(fit, rows, targets = diag(4))
    predict(fit, targets = "z1")
  })
})

test_that("a target state without training rows is refused by node and state", {
  no_z4 <- small_sim(3, targets = list(control = integer(), a = 1, b = 2, c = 3))
  fit <- oracle_fit(no_z4)
  expect_error(predict(fit, no_z4$x[1:2, ], targets = "z3"), NA)
  error <- expect_error(predict(fit, no_z4$x[1:2, ], targets = "z3+z4"),
                        class = "ebcrl_error_unseen_state")
  expect_identical(error[c("node", "state")], list(node = "z4", state = 1L))
  expect_snapshot(predict(fit, no_z4$x[1:2, ], targets = "z3+z4"), error = TRUE)

  always <- small_sim(4, targets = list(a = c(1, 4), b = c(2, 4), c = 4))
  fit <- oracle_fit(always)
  expect_error(predict(fit, always$x[1:2, ], targets = "z3"), class = "ebcrl_error_unseen_state")
  expect_error(predict(fit, always$x[1:2, ], targets = "z4"), NA)
})

test_that("rows far from the training data, and floored variances, are warned of", {
  expect_warning(predict(fit, 100 * rows, env = "do(z1)"), class = "ebcrl_warning_extrapolation")
  expect_no_warning(predict(fit, sim$x[1:100, ], env = "do(z1)"))
  far <- rbind(sim$x[1:99, ], 100 * sim$x[1, ])
  expect_no_warning(predict(fit, far, env = "do(z1)"))
  range <- matrix(c(-1, 1))
  expect_warning(warn_extrapolation(matrix(c(0, 1.5)), range), "1 of 2 rows")
  expect_warning(warn_extrapolation(matrix(c(-1.5, 0)), range), "1 of 2 rows")
  expect_no_warning(warn_extrapolation(matrix(c(-1, 1)), range))

  # sigma2 + sigma2^2 ds is negative for a large sigma2, since ds < 0 for the most part
  fit$sigma2 <- 50
  ds <- estep(sim$x, as.integer(sim$env), fit$data$targets, fit)$dscore
  floored <- sum(50 + 50^2 * ds < 0)
  expect_gt(floored, 1000)
  expect_warning(
    expect_warning(sds <- predict(fit, sim$x, env = sim$env, type = "sd"),
                   paste("In", floored, "of 2400"), class = "ebcrl_warning_variance"),
    class = "ebcrl_warning_exceeds"
  )
  expect_equal(sum(sds == 0), floored)
})

test_that("intervals are means plus and minus a normal quantile of standard deviations", {
  new <- predict(fit, rows, env = "do(z2)", interval = "credible", level = 0.8)
  expect_identical(dim(new), c(3L, 4L, 3L))
  expect_identical(dimnames(new), list(rownames(rows), paste0("z", 1:4), c("fit", "lwr", "upr")))
  expect_identical(new[, , "fit"], predict(fit, rows, env = "do(z2)"))
  half <- stats::qnorm(0.9) * predict(fit, rows, env = "do(z2)", type = "sd")
  expect_equal(new[, , "upr"] - new[, , "fit"], half)
  expect_equal(new[, , "fit"] - new[, , "lwr"], half)

  training <- predict(fit, interval = "credible")
  again <- suppressWarnings(predict(fit, sim$x, env = sim$env, interval = "credible"))
  expect_equal(training, again, tolerance = 1e-12)
  wide <- augment(fit, interval = "credible")
  expect_identical(wide$.lower_z3, unname(training[, "z3", "lwr"]))
  expect_identical(wide$.upper_z3, unname(training[, "z3", "upr"]))
  expect_false(any(startsWith(names(augment(fit)), ".lower")))
  part <- augment(fit, newdata = rows, env = "do(z2)", interval = "credible", level = 0.8)
  expect_identical(part$.upper_z1, unname(new[, "z1", "upr"]))
})

test_that("floored variances give intervals without length, and a warning", {
  fit$sigma2 <- 50
  expect_warning(
    expect_warning(wide <- predict(fit, rows, env = "do(z1)", interval = "credible"),
                   class = "ebcrl_warning_variance"),
    class = "ebcrl_warning_exceeds"
  )
  sds <- suppressWarnings(predict(fit, rows, env = "do(z1)", type = "sd"))
  expect_true(any(sds == 0))
  expect_identical((wide[, , "upr"] == wide[, , "lwr"]), sds == 0)
})

test_that("floored variances of the training rows are warned of, too", {
  rough <- fit_crl(small_sim(4), init = known(small_sim(4)),
                   control = crl_control(spline = spline_control(reference = "none"), lambda = 0.1))
  count <- rough$counts[["variance_floored"]]
  expect_gt(count, 0)
  message <- paste("In", count, "of")
  floored <- "ebcrl_warning_variance"
  expect_warning(predict(rough, interval = "credible"), message, class = floored)
  expect_warning(predict(rough, type = "sd"), message, class = floored)
  expect_warning(augment(rough, interval = "credible"), message, class = floored)
  expect_no_warning(predict(rough))
  expect_no_warning(augment(rough))
})

test_that("for Gaussian latents intervals are those of the posterior, and cover as they say", {
  # z_j ~ N(0, v), v by state, independent; y = z + noise has score -y / (v + sigma2)
  truth <- withr::with_seed(12, {
    env <- rep(1:2, each = 10000)
    v <- rbind(c(1, 4), c(3, 0.5))
    z <- matrix(stats::rnorm(40000), 20000) * sqrt(v[env, ])
    mixing <- qr.Q(qr(matrix(stats::rnorm(12), 6)))
    list(x = z %*% t(mixing) + sqrt(2) * matrix(stats::rnorm(120000), 20000), z = z,
         mixing = mixing)
  })
  targets <- rbind(c(0, 0), c(1, 1))
  gauss <- fit_crl(truth$x, env, targets, empty_dag(2),
                   init = list(mixing = truth$mixing, sigma2 = 2),
                   control = crl_control(mixing = "fixed",
                                         spline = spline_control(reference = "none"), max_iter = 0))
  gauss <- linear_score(gauss, -1 / (v + 2))
  intervals <- predict(gauss, truth$x, env = as.character(env), interval = "credible")
  gain <- (v / (v + 2))[env, ]
  half <- stats::qnorm(0.95) * sqrt(2 * gain)
  expect_close(intervals[, , "fit"], gain * (truth$x %*% truth$mixing), 1e-10)
  expect_close(intervals[, , "upr"], gain * (truth$x %*% truth$mixing) + half, 1e-10)
  inside <- truth$z >= intervals[, , "lwr"] & truth$z <= intervals[, , "upr"]
  # four standard errors of 20000 draws
  expect_true(all(abs(colMeans(inside) - 0.9) < 4 * sqrt(0.09 / 20000)))

  # and the fitted score, from data, comes within two points of 90 percent
  fitted <- fit_crl(truth$x, env, targets, empty_dag(2),
                    init = list(mixing = truth$mixing, sigma2 = 2),
                    control = crl_control(mixing = "fixed"))
  intervals <- predict(fitted, interval = "credible")
  inside <- truth$z >= intervals[, , "lwr"] & truth$z <= intervals[, , "upr"]
  expect_true(all(abs(colMeans(inside) - 0.9) < 0.02))
})

test_that("a label a row means the same in a fit and in its predictions", {
  labels <- sub("do\\((.*)\\)", "\\1", as.character(sim$env))
  by_row <- fit_crl(sim$x, targets = labels, dag = sim$dag, init = known(sim))
  some <- c(1, 160, 320, 500)
  expect_equal(predict(by_row, sim$x[some, ], targets = labels[some]), by_row$latents[some, ])
  expect_equal(predict(by_row, sim$x[some, ], env = labels[some]), by_row$latents[some, ])
  # as many labels as rows and latents: still one a row
  new <- sim$x[c(1, 160), ]
  expect_identical(predict(fit, new, targets = c("z3", "z1")),
                   rbind(predict(fit, new[1, , drop = FALSE], targets = "z3"),
                         predict(fit, new[2, , drop = FALSE], targets = "z1")))
  expect_identical(predict(fit, new, targets = list("z3", c("z1", "z2"))),
                   predict(fit, new, targets = c("z3", "z1+z2")))
  expect_identical(predict(fit, new, targets = data.frame(target = c("z3", "none"))),
                   predict(fit, new, targets = c("z3", "none")))
  expect_identical(predict(fit, new, targets = intervention_targets(c("z3", "none"),
                                                                    paste0("z", 1:4))),
                   predict(fit, new, targets = c("z3", "none")))
  custom <- intervention_targets(sub("z1", "z1_NT", labels), paste0("z", 1:4), none = "NT",
                                 sep = "_")
  custom <- fit_crl(sim$x, targets = custom, dag = sim$dag, init = known(sim))
  expect_identical(predict(custom, new, targets = c("NT", "z1_NT_z2")),
                   predict(fit, new, targets = c("none", "z1+z2")))
})

test_that("what is given by row is matched with the rows of newdata by name", {
  skip_on_cran()
  env <- stats::setNames(c("do(z1)", "do(z2)", "do(z3)"), rownames(rows))
  wanted <- predict(fit, rows, env = unname(env))
  expect_identical(predict(fit, rows, env = env[c(3, 1, 2)]), wanted)
  labels <- stats::setNames(c("z1", "z2", "z3"), rownames(rows))
  expect_identical(predict(fit, rows, targets = labels[c(2, 3, 1)]), wanted)
  expect_identical(predict(fit, rows, targets = as.list(labels)[c(2, 3, 1)]), wanted)
  bits <- unclass(sim$targets)[1:3, ]
  rownames(bits) <- rownames(rows)
  expect_identical(predict(fit, rows, targets = bits[3:1, 4:1]), wanted)
  expect_identical(predict(fit, rows, targets = as.data.frame(bits[3:1, ])), wanted)
  expect_identical(predict(fit, unname(rows), targets = as.data.frame(unname(bits))),
                   unname_rows(wanted))
  names(env)[2] <- names(labels)[2] <- rownames(bits)[2] <- "cell9"
  for (wrong in list(list(env = env), list(targets = labels), list(targets = bits))) {
    expect_error(do.call(predict, c(list(fit, rows), wrong)), "Missing: \"cell160\"",
                 class = "ebcrl_error_names")
  }
  expect_error(predict(fit, t(sim$x[1:20, ]), env = "do(z1)"), "transpose",
               class = "ebcrl_error_shape")
  expect_error(predict(fit, t(unname(sim$x)[1:20, ]), env = "do(z1)"), "transpose",
               class = "ebcrl_error_shape")
})

test_that("features that the fit left out need not be there", {
  sim <- withr::with_seed(2, sim_crl(chain_dag(2), n = 100, p = 6))
  x <- cbind(sim$x, 4, 0)
  colnames(x) <- paste0("g", 1:8)
  fit <- suppressMessages(fit_crl(x, sim$env, sim$targets, sim$dag))
  new <- x[1:40, c(6:1, 8)]
  expect_identical(predict(fit, new, targets = "none"), predict(fit, x[1:40, ], targets = "none"))
  expect_identical(predict(fit, as.data.frame(new), targets = "none"),
                   predict(fit, x[1:40, ], targets = "none"))
  expect_error(predict(fit, new[, -1], targets = "none"), "\"g6\" and \"g7\" are not there",
               class = "ebcrl_error_shape")
})
