# mechanisms(), simulate(), simulate_domain(), predict() and plots of g fits.

dag <- matrix(c(0, 0, 0, 1, 0, 0, 1, 1, 0), 3)
sim <- withr::with_seed(1, sim_crl(dag, n = 200, p = 12, sigma2 = 1))
fit <- fit_crl(sim, method = "g",
               control = crl_control(saem = saem_control(burn_in = 20, iterations = 30,
                                                         draws = 100), seed = 1,
                                     intervention = "imperfect"))
parents <- list(integer(), 1L, 1:2)

test_that("curves are the prior's means", {
  curves <- mechanisms(fit, points = 4)
  expect_identical(unique(curves$node), c("z1", "z2", "z3"))
  expect_identical(nrow(curves), 2L + 8L + 16L)
  one <- curves[curves$node == "z2" & curves$state == 1, ]
  expect_equal(one$mean, vapply(one$z, function(z) {
    ref_prior_mean(fit$prior, 2, 1, c(z, 0, 0), parents, 20)
  }, 0))
  first <- curves[1, ]
  expect_identical(first$parent, NA_character_)
  expect_identical(first$mean, fit$prior$constant[1, 1])
  # of two parents: the average over the other one's effects at the rows of the state
  two <- curves[curves$node == "z3" & curves$state == 0 & curves$parent == "z2", ]
  rows <- which(sim$targets[as.integer(sim$env), 3] == 0)
  average <- function(z2) {
    mean(vapply(rows, function(i) {
      ref_prior_mean(fit$prior, 3, 0, c(fit$latents[i, 1], z2, 0), parents, 20)
    }, 0))
  }
  expect_equal(two$mean[c(1, 3)], vapply(two$z[c(1, 3)], average, 0))
})

test_that("draws have the moments of the fit, and a seed", {
  draws <- simulate(fit, nsim = 150, seed = 4)
  expect_identical(dim(draws), c(600L, 3L, 150L))
  expect_identical(simulate(fit, nsim = 150, seed = 4), draws)
  expect_identical(withr::with_seed(1, simulate(fit)), withr::with_seed(1, simulate(fit)))
  error <- (apply(draws, 1:2, mean) - fit$latents) / fit$latents_sd
  expect_lt(sqrt(mean(error^2)), 0.25)
  expect_equal(mean(apply(draws, 1:2, stats::sd)), mean(fit$latents_sd), tolerance = 0.03)
})

test_that("predict() on the training rows gives the fit's latents but for Monte-Carlo error", {
  again <- predict(fit, sim$x, env = sim$env)
  expect_identical(predict(fit, sim$x, env = sim$env), again)
  expect_identical(predict(fit), fit$latents)
  expect_identical(predict(fit, type = "sd"), fit$latents_sd)
  error <- (again - fit$latents) / fit$latents_sd
  expect_lt(sqrt(mean(error^2)), 0.35)
  expect_equal(unname(predict(fit, sim$x, env = sim$env, type = "x")),
               unname(tcrossprod(again, fit$mixing)))
  both <- predict(fit, sim$x[1:3, ], targets = "z1+z3", type = "sd")
  expect_true(all(both > 0))
  ends <- predict(fit, sim$x[1:3, ], env = sim$env[1:3], interval = "credible")
  expect_true(all(ends[, , "lwr"] < ends[, , "upr"]))
  expect_s3_class(augment(fit, newdata = sim$x[1:3, ], env = sim$env[1:3]), "tbl_df")
})

test_that("new rows far from the training data are warned of, with every prior", {
  linear <- fit_crl(sim, method = "g", control = crl_control(prior = "linear", max_iter = 5))
  expect_warning(predict(fit, 30 * sim$x[1:9, ], env = sim$env[1:9]),
                 "9 of 9 rows.*mechanisms are continued linearly",
                 class = "ebcrl_warning_extrapolation")
  expect_warning(augment(linear, newdata = 30 * sim$x[1:9, ], env = sim$env[1:9]),
                 "of the training data\\.", class = "ebcrl_warning_extrapolation")
  expect_no_warning(predict(fit, sim$x, env = sim$env))
  expect_no_warning(predict(linear, sim$x, env = sim$env))
})

test_that("rows of another domain follow the prior", {
  new <- withr::with_seed(1, simulate_domain(fit, targets = "z1+z2", n = 20000))
  expect_identical(dim(new$x), c(20000L, 12L))
  expect_equal(mean(new$z[, 1]), fit$prior$constant[2, 1], tolerance = 0.02)
  expect_equal(stats::var(new$z[, 1]), fit$latent_noise_var[["z1", "state1"]], tolerance = 0.05)
  at <- 1:50
  mean <- vapply(at, function(i) ref_prior_mean(fit$prior, 2, 1, new$z[i, ], parents, 20), 0)
  gap <- (new$z[at, 2] - mean) / sqrt(fit$latent_noise_var[["z2", "state1"]])
  expect_gt(stats::ks.test(gap, "pnorm")$p.value, 0.001)
  noise <- new$x - tcrossprod(new$z, fit$mixing)
  expect_equal(mean(noise^2), fit$sigma2, tolerance = 0.02)
  rows <- withr::with_seed(1, simulate_domain(fit, rbind(c(0, 0, 0), c(1, 0, 0)), n = 2))
  expect_gt(rows$z[2, 1], 5)
})

test_that("plots of a g fit", {
  skip_on_cran()
  expect_s3_class(autoplot(fit, type = "convergence"), "ggplot")
  plot <- autoplot(fit, type = "mechanisms")
  expect_identical(levels(plot$data$panel), c("z2 given z1", "z3 given z1", "z3 given z2"))
  expect_silent(ggplot2::ggplot_build(plot))
  expect_silent(ggplot2::ggplot_build(autoplot(fit, type = "convergence")))
  expect_silent(ggplot2::ggplot_build(autoplot(fit, type = "latents")))
})

test_that("chains have colours of their own, and long subtitles are broken", {
  chains <- fit_crl(sim, method = "g", control = crl_control(saem = saem_control(burn_in = 4,
                                                                                 iterations = 4,
                                                                                 draws = 4,
                                                                                 chains = 2),
                                                             seed = 1))
  drawn <- ggplot2::layer_data(autoplot(chains, type = "convergence"), 2L)
  expect_setequal(drawn$colour, okabe_ito(c("blue", "vermillion")))
  expect_identical(length(unique(scale_colour_chain(9L)$palette(9L))), 9L)
  expect_identical(in_lines(strrep("word ", 20)),
                   paste0(strrep("word ", 9), "word\n", strrep("word ", 9), "word"))
  lines <- strsplit(autoplot(chains, type = "convergence")$labels$subtitle, "\n")[[1]]
  expect_true(all(nchar(lines) <= 50))
})

test_that("names that the locale cannot write are kept", {
  latents <- c("gr\u00f6\u00dfe", "ma\u00df", "\u4e2d")
  named <- `colnames<-`(unclass(sim$targets), latents)
  withr::with_locale(c(LC_CTYPE = "C"), {
    for (prior in c("spline", "linear")) {
      g <- expect_no_warning(fit_crl(
        sim$x, sim$env, named, sim$dag, method = "g",
        control = crl_control(prior = prior,
                              saem = saem_control(burn_in = 2, iterations = 2, draws = 2),
                              max_iter = 2)
      ))
      expect_true(paste0("noise_var_", latents[1], "_state0") %in% names(g$trace))
      expect_true(paste0(".fitted_", latents[1]) %in% names(expect_no_warning(augment(g))))
    }
  })
})

test_that("what only one method has is refused for the other", {
  skip_on_cran()
  f <- fit_crl(sim, control = crl_control(max_iter = 1))
  expect_error(mechanisms(f), class = "ebcrl_error_method")
  expect_error(simulate(f), class = "ebcrl_error_method")
  expect_error(autoplot(f, type = "mechanisms"), class = "ebcrl_error_method")
  expect_error(autoplot(fit, type = "scores"), class = "ebcrl_error_method")
  expect_error(predict(fit, type = "score"), class = "ebcrl_error_method")
})

test_that("states without training rows are refused", {
  one <- fit_crl(sim$x[1:400, ], env = sim$env[1:400], targets = sim$targets[1:2, ],
                 dag = sim$dag, method = "g", init = list(mixing = sim$mixing),
                 control = crl_control(saem = saem_control(burn_in = 5, iterations = 5,
                                                           draws = 10), seed = 1))
  expect_true(is.na(one$latent_noise_var[["z3", "state1"]]))
  expect_error(simulate_domain(one, "z3", 5), class = "ebcrl_error_unseen_state")
  expect_error(predict(one, sim$x[1:2, ], targets = "z3"), class = "ebcrl_error_unseen_state")
  expect_identical(sum(mechanisms(one)$node == "z3" & mechanisms(one)$state == 1), 0L)
})

test_that("a step among flat parts is found by local smoothing, and its intervals know the rest", {
  skip_on_cran()
  step <- function(z) 1.5 * tanh(3 * z)
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 500, p = 20, nonlinearity = step,
                                     edge_weights = unclass(chain_dag(2)) + 0,
                                     targets = list(o = character(), a = 1, b = 2)))
  fit_of <- function(local) {
    fit_crl(sim, method = "g", init = list(mixing = sim$mixing), control = crl_control(
      seed = 1, intervention = "perfect", prior = prior_spline(local = local),
      saem = saem_control(burn_in = 150, iterations = 100, draws = 20)
    ))
  }
  rise <- function(fit) diff(effect_of(fit$inner %||% fit, 2L, 0L, 1L, c(-1, 1)))
  wide <- fit_of(FALSE)
  local <- fit_of(TRUE)
  truth <- step(1) - step(-1)
  expect_lt(abs(rise(local) - truth), abs(rise(wide) - truth))
  expect_identical(lengths(list(wide$prior$lambda[[3]], local$prior$lambda[[3]])), c(1L, 8L))
  # what refits leave is part of the covariance under the smoothing prior, and less where they are long
  left <- left_of_curves(inner_fit(local))
  known <- inner_fit(local)$prior$information[[3]]
  whole <- inner_fit(local)$prior$variance[3] * solve(known$gram + known$penalty - known$missing)
  rest <- tcrossprod(left$root[[3]])
  expect_gt(sum(diag(rest)), 0.01 * sum(diag(whole)))
  expect_lt(sum(diag(rest)), 1.01 * sum(diag(whole)))
})

test_that("a spline on other knots is the same curve where they agree", {
  theta <- cos(1:9)
  expect_equal(same_curve(theta, c(-1, 2), c(-1, 2)), theta, tolerance = 1e-10)
  line <- same_curve(1:9 * 0 + 3, c(-1, 2), c(-2, 5))
  expect_equal(line, rep(3, 9), tolerance = 1e-8)
})

test_that("draws are those of simulate(), by variable, for the posterior package", {
  skip_if_not_installed("posterior")
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 30, p = 8, nonlinearity = "linear"))
  fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
  draws <- posterior::as_draws(fit, rows = c(4, 2), nsim = 7, seed = 3)
  expect_s3_class(draws, "draws_array")
  expect_identical(dimnames(draws)$variable, c("z1[4]", "z1[2]", "z2[4]", "z2[2]"))
  expect_identical(as.vector(draws[, 1, 3]), as.vector(simulate(fit, nsim = 7, seed = 3)[4, 2, ]))
  expect_error(posterior::as_draws(fit, rows = 61), class = "ebcrl_error_range")
  expect_error(posterior::as_draws(fit_crl(sim)), class = "ebcrl_error_method")
})

test_that("refits smooth curves lightly, by weights that they hold", {
  step <- function(z) 4 * tanh(2 * z)
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 300, p = 12, nonlinearity = step,
                                     edge_weights = unclass(chain_dag(2)) + 0,
                                     targets = list(o = character(), a = 1, b = 2)))
  quick <- crl_control(seed = 1, intervention = "perfect",
                       saem = saem_control(burn_in = 40, iterations = 40, draws = 10))
  fit <- suppressMessages(fit_crl(sim, method = "g", control = quick))
  expect_gt(fit$prior$df[1, 2], 2.5)
  task <- boot_task(fit, 1)
  expect_equal(task$engine$prior$lambda[[3]], pmin(fit$prior$lambda[[3]], LIGHT))
  expect_equal(max(task$engine$prior$lambda[[3]]), LIGHT)
  # a refit has the weights that it was given
  refitted <- refit(task, seq_len(fit$data$n))
  expect_equal(refitted$engine$prior$lambda, task$engine$prior$lambda)
  expect_null(boot_task(fit, 1, "fit")$engine$prior$held)
  expect_false(boot_task(fit, 1, "fit")$key == task$key)
  light <- crl_boot(fit, times = 4, seed = 1)
  as_fit <- crl_boot(fit, times = 4, seed = 1, smoothing = "fit")
  width <- function(boot) mean(tidy(boot, "mechanisms")$std.error)
  expect_gt(width(light), width(as_fit))
  expect_identical(crl_boot(light, times = 5)$smoothing, "light")
  expect_identical(crl_boot(as_fit, times = 5)$replicates[[4]], as_fit$replicates[[4]])
  expect_error(crl_boot(as_fit, times = 5, smoothing = "light"), class = "ebcrl_error_range")
  expect_error(crl_boot(fit, smoothing = "heavy"), class = "ebcrl_error_range")
  # lines stay as smooth as they are, as does what was asked for
  engine <- inner_fit(fit)
  straight <- replace(engine$prior, "df", list(replace(engine$prior$df, 3L, 2)))
  expect_identical(lightly_smoothed(straight, engine)$lambda, engine$prior$lambda)
  given <- suppressMessages(fit_crl(sim, method = "g",
                                    control = update(quick, prior = prior_spline(lambda = 50))))
  expect_identical(boot_task(given, 1)$engine$prior$lambda, given$prior$lambda)
  lines <- suppressMessages(fit_crl(sim, method = "g", control = crl_control(prior = "linear")))
  expect_null(boot_task(lines, 1)$engine$prior$held)
})
