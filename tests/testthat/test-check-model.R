targets <- list(none = character(), a = "z1", b = "z2", c = "z3", a2 = "z1")
draw <- function(seed = 1, ..., nonlinearity = "linear", n = 300) {
  withr::with_seed(seed, sim_crl(chain_dag(3), n = n, p = 20, targets = targets, kappa = 1,
                                 nonlinearity = nonlinearity, sigma2 = 1,
                                 edge_weights = 0.8 * unclass(chain_dag(3)), ...))
}
linear <- function(sim, ...) {
  suppressMessages(fit_crl(sim, method = "g", control = crl_control(prior = "linear"), ...))
}
alarms <- function(fit) {
  force(fit) # before the seed is set: draws under that of the data would be its mixing matrix
  checks <- tidy(withr::with_seed(1, crl_check(fit, held_out = FALSE)))
  checks$check[checks$alarm]
}
sim <- draw()
fit <- linear(sim)
check <- withr::with_seed(1, crl_check(fit))

test_that("there is no alarm where the model holds", {
  expect_identical(alarms(fit), character())
  expect_match(check$verdict, "No departure from the model shows in 11 checks")
  expect_output(print(check), "No departure.*latent_noise")
  expect_identical(check$checks$check, names(CHECK_WORDS))
})

test_that("each check fires on data that break its assumption", {
  skip_on_cran()
  changed <- function(x) {
    sim$x <- x
    linear(sim, noise = "equal", center = FALSE)
  }
  noise <- sim$x - tcrossprod(sim$z, sim$mixing)
  n <- nrow(noise)
  withr::local_seed(7)
  expect_true("noise" %in% alarms(changed(sim$x + noise * rep(c(0.5, 0), each = 2 * n, length.out = length(noise)))))
  expect_true("tails" %in% alarms(changed(sim$x - noise + matrix(rt(length(noise), 4), n) / sqrt(2))))
  expect_true("factors" %in% alarms(changed(sim$x + outer(rnorm(n, 0, 2), rnorm(20) / sqrt(20)))))
  expect_true("means" %in% alarms(changed(sim$x + rep(rnorm(20), each = n))))
  moved <- outer(sim$env == "a2", seq_len(20) <= 3)
  expect_true("means" %in% alarms(changed(sim$x + 0.6 * moved)))
  expect_true("domains" %in% alarms(changed(sim$x + 0.2 * noise * (sim$env == "c"))))
  expect_true("mixing" %in% alarms(changed(sim$x + 0.03 * outer(sim$z[, 1]^2, cos(1:20)))))
  series <- noise
  for (i in 2:n) series[i, ] <- 0.3 * series[i - 1, ] + sqrt(0.91) * noise[i, ]
  expect_true("rows" %in% alarms(changed(sim$x - noise + series)))
  hidden <- outer(as.numeric(sim$env == "a2"), sim$mixing[, 3])
  expect_true("targets" %in% alarms(changed(sim$x + 2 * hidden)))
  expect_true("shape" %in% alarms(linear(draw(nonlinearity = function(z) 4 * tanh(z)))))
  expect_true("latent_noise" %in% alarms(linear(draw(noise = "skewed"))))
  triangle <- withr::with_seed(1, sim_crl(complete_dag(3), n = 300, p = 20, targets = targets,
                                          nonlinearity = "linear", kappa = 1, sigma2 = 1))
  triangle$dag <- chain_dag(3)
  expect_true("graph" %in% alarms(linear(triangle)))
})

test_that("f fits, curves and measured fits are checked, and quiet", {
  skip_on_cran()
  curved <- draw(3, nonlinearity = "bounded")
  expect_identical(alarms(fit_crl(curved, control = crl_control(intervention = "perfect"))),
                   character())
  expect_identical(alarms(fit_crl(curved, method = "g",
                                  control = crl_control(intervention = "perfect", seed = 1))),
                   character())
  measured <- draw(4, center = 1:20, noise_sd = seq(0.5, 2, length.out = 20), nuisance = 1)
  quiet <- linear(measured, nuisance = 1)
  expect_identical(alarms(quiet), character())
  constant <- sim
  constant$x[, 3] <- 1
  expect_identical(alarms(linear(constant)), character())
  normal <- suppressMessages(fit_crl(sim, method = "g", control = crl_control(prior = "normal")))
  expect_true("targets" %in% alarms(normal))
})

test_that("predictions are those of the model", {
  seen <- check$predictive
  expect_identical(nrow(seen), 100L)
  at <- seen$domain == "b"
  expect_equal(seen$mean[at], unname(colMeans(sim$x[sim$env == "b", ])))
  expect_equal(seen$sd[at], unname(apply(sim$x[sim$env == "b", ], 2, sd)))
  expect_gt(cor(seen$mean, seen$mean_predicted), 0.99)
  expect_lt(max(abs(seen$z)), 4.5)
  expect_gt(cor(seen$q90, seen$q90_predicted), 0.98)
  # mechanisms of the other domains predict the latents that follow
  held <- check$held_out
  expect_setequal(held$domain, names(targets)[-1])
  expect_false(any(held$domain == "a" & held$latent == "z1"))
  follows <- held$domain == "a" & held$latent == "z2"
  # z1 is 10 in this domain, beyond what it is elsewhere but for a2
  expect_lt(abs(held$predicted[follows] - held$seen[follows]), 1.5)
  expect_gt(abs(held$before[follows] - held$seen[follows]), 5)
})

test_that("domains that are left out keep the signs that the fit was asked for", {
  down <- suppressMessages(fit_crl(sim, method = "g", control = crl_control(prior = "linear",
                                                                            signs = "down")))
  held <- withr::with_seed(1, crl_check(down))$held_out
  expect_gt(cor(held$seen, held$predicted), 0.95)
  expect_equal(held$seen, -check$held_out$seen)
})

test_that("rows may have names", {
  named <- sim
  rownames(named$x) <- paste0("row", seq_len(nrow(named$x)))
  expect_equal(withr::with_seed(1, crl_check(linear(named)))$held_out, check$held_out)
})

test_that("largest statistics are Bonferroni, and Holm decides", {
  one <- one_check("a", c(1, -4, 2), c(0.9, -0.2, 0.1), c("x", "y", "z"))
  expect_equal(one$p.value, 3 * 2 * pnorm(-4))
  expect_identical(one$where, "y")
  none <- one_check("b", numeric(), numeric(), "")
  table <- check_table(list(one, none, one_check("c", 0.1, 0.3, "w")), 0.05)
  expect_identical(table$alarm, c(TRUE, FALSE, FALSE))
  expect_equal(table$p.adjusted[1], 2 * one$p.value)
  expect_equal(2 * pnorm(-deviate_of(log(1e-5))), 1e-5)
})

test_that("what has no residuals is refused; the page is a plot", {
  few <- withr::with_seed(1, sim_crl(chain_dag(2), n = 50, p = 2))
  bare <- suppressMessages(fit_crl(few, init = list(mixing = few$mixing, sigma2 = 1)))
  expect_error(crl_check(bare), class = "ebcrl_error_range")
  expect_error(crl_check(fit, level = 0), class = "ebcrl_error_range")
  plot <- autoplot(check)
  expect_silent(ggplot2::ggplot_build(plot))
  expect_identical(nlevels(plot$data$panel), 6L)
})

test_that("alarms do not recommend what the fit has", {
  table <- tibble::tibble(check = c("factors", "graph"), p.value = 0, p.adjusted = 0, alarm = TRUE,
                          where = "here")
  expect_match(check_verdict(table, 0.05), "nuisance = \"auto\" models that", fixed = TRUE)
  told <- check_verdict(table, 0.05, 2L)
  expect_no_match(told, "auto", fixed = TRUE)
  expect_match(told, "and 2 nuisance factors.*depend on nuisance factors, or on others")
})

test_that("what is significant and small is named, and no alarm", {
  # rows in series, hardly: significant for the number of rows and features
  slightly <- withr::with_seed(2, sim_crl(chain_dag(2), n = 4000, p = 40, nonlinearity = "linear"))
  e <- slightly$x - tcrossprod(slightly$z, slightly$mixing)
  slightly$x[-1, ] <- slightly$x[-1, ] + 0.02 * e[-nrow(e), ]
  found <- withr::with_seed(1, crl_check(linear(slightly), held_out = FALSE))
  rows <- found$checks[found$checks$check == "rows", ]
  expect_lt(rows$p.adjusted, 1e-6)
  expect_equal(rows$size, 0.02, tolerance = 0.3)
  expect_false(rows$alarm)
  expect_match(found$verdict, "that matters shows.*small \\(below 0.05.*rows")
  expect_output(print(found), "rows.* small ")
  strict <- withr::with_seed(1, crl_check(linear(slightly), least = 0, held_out = FALSE))
  expect_true(strict$checks$alarm[strict$checks$check == "rows"])
  expect_error(crl_check(linear(slightly), least = -1), class = "ebcrl_error_range")
})

test_that("sizes are free of the number of rows, and 0 on average where the model holds", {
  sizes <- function(n, noise = rep(1.2, 30)) {
    drawn <- withr::with_seed(n, sim_crl(chain_dag(2), n = n, p = 30, nonlinearity = "linear",
                                         noise_sd = noise))
    checks <- withr::with_seed(1, crl_check(linear(drawn, noise = "equal"), held_out = FALSE))$checks
    stats::setNames(checks$size, checks$check)
  }
  unequal <- seq(1, 1.4, length.out = 30)
  few <- sizes(1000, unequal)
  many <- sizes(8000, unequal)
  expect_equal(few[["noise"]], 0.2, tolerance = 0.3)
  expect_equal(many[["noise"]], 0.2, tolerance = 0.2)
  expect_true(all(sizes(8000)[c("means", "mixing", "domains", "rows", "noise")] < 0.05))
})
