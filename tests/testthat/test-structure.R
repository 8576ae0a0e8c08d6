# What "auto" of mixing and intervention comes down to (R/control_auto.R)

quick_plan <- function(...) new_plan(crl_control(seed = 1, ...), stages = character())

# Columns of length 1 with the given cosine between any two
correlated_columns <- function(p, d, cosine) {
  root <- chol(matrix(cosine, d, d) + diag(1 - cosine, d))
  qr.Q(qr(matrix(stats::rnorm(p * d), p))) %*% root
}

checked <- function(sim) crl_data(sim$x, sim$env, sim$targets, sim$dag, NULL, 8L)

test_that("correlated columns are told from orthogonal ones", {
  for (cosine in c(0, 0.6)) {
    sim <- withr::with_seed(1, sim_crl(chain_dag(3), n = 300,
                                       mixing = correlated_columns(20, 3, cosine)))
    test <- columns_test(checked(sim), quick_plan(intervention = "perfect"), NULL)
    expect_identical(test$correlated, cosine > 0)
    if (cosine > 0) expect_equal(test$cosine, cosine, tolerance = 0.3)
    # a chain under imperfect interventions leaves z3 + c z2 open
    expect_null(columns_test(checked(sim), quick_plan(intervention = "imperfect"), NULL))
  }
})

test_that("a fit takes general columns where there are, and says so", {
  skip_on_cran()
  sim <- withr::with_seed(1, sim_crl(chain_dag(3), n = 300, mixing = correlated_columns(20, 3, 0.6)))
  control <- crl_control(intervention = "perfect", start = start_search(mechanisms = "linear"))
  expect_message(fit <- fit_crl(sim, control = control), class = "ebcrl_message_columns")
  expect_identical(fit$control$mixing, "psd")
  expect_identical(fit$control$lambda, PSD_LAMBDA)
  expect_match(paste(utils::capture.output(print(fit)), collapse = " "), "Columns of A are correlated")
  given <- fit_crl(sim, control = stats::update(control, mixing = "psd"))
  expect_equal(fit$mixing, given$mixing, tolerance = 1e-6)
  expect_lt(frobenius_error(fit, sim), frobenius_error(
    fit_crl(sim, control = stats::update(control, mixing = "orthonormal", update_mixing = FALSE)), sim
  ) / 2)
})

test_that("steep mechanisms are not taken for correlated columns", {
  set.seed(1018) # lines alone call them correlated here
  sim <- sim_crl(random_dag(4, 1.5, max_parents = 2), n = 200, p = 100, sigma2 = 2,
                 nonlinearity = "strong")
  fit <- fit_crl(sim, control = crl_control(start = start_search(mechanisms = "linear"),
                                            intervention = "perfect"))
  columns <- fit$columns
  expect_gt(columns$bic, 0)
  expect_gt(columns$cosine, CORRELATED_COSINE)
  expect_lt(columns$curves, columns$asked)
  expect_false(columns$correlated)
  expect_match(describe_columns(fit), "with splines for mechanisms", fixed = TRUE)
})

test_that("correlated columns and imperfect interventions are told from one another", {
  skip_on_cran()
  # Each passes for the other where it is not compared with
  chosen <- function(intervention, mixing) {
    sim <- withr::with_seed(4, sim_crl(chain_dag(3), n = 400, p = 20, intervention = intervention,
                                       nonlinearity = "linear",
                                       mixing = if (mixing) correlated_columns(20, 3, 0.6)))
    fit <- suppressMessages(
      fit_crl(sim, control = crl_control(start = start_search(mechanisms = "linear"), max_iter = 0))
    )
    expect_identical(isTRUE(fit$columns$correlated), fit$control$mixing == "psd")
    c(fit$control$intervention, fit$control$mixing)
  }
  expect_identical(chosen("perfect", FALSE), c("perfect", "fixed"))
  expect_identical(chosen("imperfect", FALSE), c("imperfect", "fixed"))
  expect_identical(chosen("perfect", TRUE), c("perfect", "psd"))
})

test_that("the spline stage of general columns has the likelihood of the same rotated ones", {
  sim <- withr::with_seed(2, sim_crl(chain_dag(3), n = 300, p = 20))
  data <- checked(sim)
  plan <- quick_plan(intervention = "perfect")
  start <- start_space(data, NULL)
  turn <- best_rotation(rotation_cells(data, start, TRUE), VARIANCE_FLOOR * start$sigma2, plan)
  one <- array(turn, c(3, 3, 1))
  # both sweep on from the same columns, one by turning x and one in coordinates of its own
  expect_equal(curves_gain(one, turn, data, start, plan)$gain, 0, tolerance = 1e-6)
  # a unit of the latents makes no difference
  expect_equal(curves_gain(one, turn %*% diag(c(2, 1, 1)), data, start, plan)$gain, 0, tolerance = 1)
})

test_that("other starts suppose nothing of interventions, or what the fit before them did", {
  skip_on_cran()
  sim <- withr::with_seed(3, sim_crl(chain_dag(3), n = 300, p = 30))
  control <- crl_control(start = start_search(mechanisms = "linear"), max_iter = 2)
  first <- fit_crl(sim, control = control)
  expect_identical(first$control$intervention, "perfect")
  known <- list(mixing = sim$mixing, sigma2 = 2)
  for (method in c("f", "g")) {
    kind <- function(init) {
      suppressMessages(fit_crl(sim, init = init, method = method, control = crl_control(
        max_iter = 2, prior = prior_linear()
      )))$control$intervention
    }
    expect_identical(kind(known), "imperfect")
    expect_identical(kind(first), "perfect")
  }
})

test_that("interventions are told to be perfect or not", {
  skip_on_cran()
  for (kind in c("perfect", "imperfect")) {
    sim <- withr::with_seed(3, sim_crl(chain_dag(3), n = 300, p = 30, intervention = kind))
    found <- resolved_intervention(checked(sim), quick_plan(), NULL)
    expect_identical(found$settings$intervention, kind)
    expect_identical(found$intervention$edges, 2L)
  }
  same <- resolved_intervention(checked(sim), quick_plan(intervention = "perfect"), NULL)
  expect_null(same$intervention)
  expect_identical(same$settings$intervention, "perfect")
})

test_that("steep mechanisms, whose correction for noise loses more than BIC allows, stay perfect", {
  skip_on_cran()
  steep <- function(seed) {
    sim <- withr::with_seed(seed, sim_crl(chain_dag(3), n = 300, p = 20, nonlinearity = "strong"))
    resolved_intervention(checked(sim), quick_plan(), NULL)$intervention
  }
  found <- steep(17)
  expect_gt(found$loss, PERFECT$coefficients / 2 * found$edges * log(900))
  expect_true(found$perfect)
  expect_equal(found$allowed, PERFECT$share * perfect_loss(
    checked(withr::with_seed(17, sim_crl(chain_dag(3), n = 300, p = 20, nonlinearity = "strong"))),
    quick_plan(), NULL
  )$explained)
})

test_that("a fit keeps what was chosen for interventions", {
  skip_on_cran()
  sim <- withr::with_seed(3, sim_crl(chain_dag(3), n = 300, p = 30))
  control <- crl_control(start = start_search(mechanisms = "linear"))
  fit <- fit_crl(sim, control = control)
  expect_identical(fit$control$intervention, "perfect")
  expect_match(paste(utils::capture.output(print(fit)), collapse = " "), "Interventions are perfect")
  perfect <- fit_crl(sim, control = stats::update(control, intervention = "perfect"))
  expect_identical(perfect$latents, fit$latents)
  expect_true(update(fit, max_iter = 1)$intervention$perfect)
  none <- withr::with_seed(1, sim_crl(matrix(0, 2, 2), n = 100, p = 10))
  expect_identical(suppressMessages(fit_crl(none, control = control))$control$intervention,
                   "imperfect")
})
