# update(): the changed call, evaluated. Going on with the iterations is in test-convergence.R.

sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 30, p = 6))
quick <- crl_control(max_iter = 2, start = start_search(starts = 2, mechanisms = "linear"))
fit <- fit_crl(sim$x, sim$env, sim$targets, sim$dag, control = quick)
same_fit <- function(a, b) {
  expect_identical(a[c("latents", "mixing", "sigma2", "trace")],
                   b[c("latents", "mixing", "sigma2", "trace")])
}

test_that("update() fits again with changed arguments", {
  other <- update(fit, dag = empty_dag(2))
  same_fit(other, fit_crl(sim$x, sim$env, sim$targets, empty_dag(2), control = quick))
  expect_identical(other$call, quote(fit_crl(x = sim$x, env = sim$env, targets = sim$targets,
                                             dag = empty_dag(2), control = quick)))
  fewer <- sim$x[, 1:4]
  same_fit(update(fit, x = fewer), fit_crl(fewer, sim$env, sim$targets, sim$dag, control = quick))
  same_fit(update(fit), fit)
  expect_identical(update(fit, init = "pca", evaluate = FALSE)$init, "pca")
  expect_identical(update(update(fit, init = "pca"), init = NULL, evaluate = FALSE)$init, NULL)
})

test_that("update() takes what the call names as it is when called", {
  x <- sim$x
  local_fit <- fit_crl(x, sim$env, sim$targets, sim$dag, control = quick)
  x <- 2 * x
  same_fit(update(local_fit), fit_crl(x, sim$env, sim$targets, sim$dag, control = quick))
  within <- function(rows) fit_crl(rows, sim$env, sim$targets, sim$dag, control = quick)
  error <- expect_error(update(within(sim$x)), class = "ebcrl_error_call")
  expect_match(conditionMessage(error), "`rows`", fixed = TRUE)
})

test_that("update() changes settings and keeps the others", {
  other <- update(fit, lambda = 20)
  expect_identical(other$control$lambda, 20)
  expect_identical(other$control$start$starts, 2L)
  settings <- function(...) update(..., evaluate = FALSE)$control
  expect_identical(settings(fit, lambda = 20, knots = 6),
                   quote(replace(quick, c("lambda", "knots"), list(20, 6))))
  spelled <- update(fit, control = crl_control(max_iter = 1,
                                               start = start_search(starts = 2,
                                                                    mechanisms = "linear")))
  expect_identical(settings(spelled, max_iter = NULL, control = crl_control(max_iter = 1), tol = 1),
                   quote(crl_control(max_iter = 1, tol = 1)))
  expect_identical(settings(update(fit, control = NULL, evaluate = TRUE, max_iter = NULL,
                                   start = start_search(starts = 2, mechanisms = "linear")),
                            knots = 6),
                   quote(crl_control(start = start_search(starts = 2, mechanisms = "linear"),
                                     knots = 6)))
})

test_that("update() changes some settings of a group and keeps its others", {
  settings <- function(...) update(..., evaluate = FALSE)$control
  expect_identical(settings(fit, start = start_search(starts = 3)),
                   quote(utils::modifyList(quick, list(start = list(starts = 3)))))
  more <- update(fit, start = start_search(starts = 3), tol = 0.1)
  expect_identical(unclass(more$control$start), list(mechanisms = "linear", starts = 3L))
  expect_identical(more$control$tol, 0.1)
  spelled <- update(fit, control = crl_control(max_iter = 1, start = start_search(starts = 2)))
  changed <- settings(spelled, start = list(mechanisms = "linear"), spline = list(solver = "cg"))
  expect_identical(changed, quote(crl_control(
    max_iter = 1, start = start_search(starts = 2, mechanisms = "linear"),
    spline = list(solver = "cg")
  )))
  whole <- quick$start
  expect_identical(settings(fit, start = whole), quote(replace(quick, "start", list(whole))))
  same_fit(update(fit, start = whole), fit)
  expect_identical(settings(spelled, prior = prior_linear()),
                   quote(crl_control(max_iter = 1, start = start_search(starts = 2),
                                     prior = prior_linear())))
})

test_that("a fit of a simulation takes other rows, and another simulation", {
  of_sim <- fit_crl(sim, control = quick)
  twice <- 2 * sim$x
  same_fit(update(of_sim, x = twice), update(fit, x = twice))
  other <- withr::with_seed(2, sim_crl(chain_dag(2), n = 25, p = 5))
  same_fit(update(of_sim, x = other), fit_crl(other, control = quick))
})

test_that("the call of a fit holds no data, and update() finds them in the fit", {
  arguments <- list(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag, control = quick,
                    init = list(mixing = sim$mixing))
  made <- do.call(fit_crl, arguments)
  expect_lt(object.size(made$call), 5000)
  expect_lt(length(deparse(made$call)), 8)
  expect_identical(made$call$x, as.name("<numeric 60 x 6 matrix>"))
  expect_identical(made$call$control,
                   quote(crl_control(max_iter = 2L,
                                     start = start_search(mechanisms = "linear", starts = 2L))))
  same_fit(update(made), made)
  same_fit(update(made, dag = empty_dag(2)),
           do.call(fit_crl, replace(arguments, "dag", list(empty_dag(2)))))
  of_sim <- do.call(fit_crl, list(sim, control = quick, init = made))
  expect_identical(of_sim$call$x, as.name("<crl_sim object>"))
  same_fit(update(of_sim), of_sim)
  # within an expression a value is lost
  inner <- eval(bquote(fit_crl(.(sim$x)[1:60, ], sim$env, sim$targets, sim$dag, control = quick)))
  expect_lt(object.size(inner$call), 5000)
  expect_error(update(inner), "`x` was given by a value", class = "ebcrl_error_call")
  expect_identical(update(inner, x = sim$x)$latents, fit$latents)
})
