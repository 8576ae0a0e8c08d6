# Progress bars: what is shown, who moves them, and that nothing of them is left behind.

test_that("steps that C reports reach the bar at hand, and the one before is put back", {
  counted <- 0
  expect_null(.Call(C_set_heartbeat, function(done) counted <<- counted + done))
  sim <- small_sim(dag = chain_dag(3), n = 30, p = 5)
  fit_crl(sim, control = crl_control(mechanisms = "linear", starts = 7, max_iter = 1,
                                     progress = FALSE))
  expect_identical(counted, 7)
  inner <- try(with_progress(TRUE, "inside", function(tick) stop("jumps out")), silent = TRUE)
  expect_s3_class(inner, "try-error")
  outer <- .Call(C_set_heartbeat, NULL)
  expect_type(outer, "closure")
  outer(2)
  expect_identical(counted, 9)
  expect_null(.Call(C_set_heartbeat, NULL))
})

test_that("code runs without a tick where nothing is shown", {
  expect_null(with_progress(FALSE, "quiet", identity, steps = 5))
  expect_type(with_progress(TRUE, "shown", identity, steps = 5), "closure")
  expect_identical(with_spinner(TRUE, "shown", 3), 3)
  expect_identical(with_spinner(NULL, "shown", 3, steps = 2), 3)
})

test_that("every stage shows itself, in a script as well, and results are the same", {
  skip_on_cran()
  printed <- in_fresh_process(c(
    "library(ebcrl)",
    "options(cli.progress_show_after = 0)",
    "set.seed(1)",
    "s <- sim_crl(chain_dag(3), n = 60, p = 5, nonlinearity = 'strong')",
    "fit <- function(progress, ...) {",
    "  fit_crl(s, ..., control = crl_control(progress = progress, tol = 0, max_iter = 20,",
    "          burn_in = 20, iterations = 20, draws = 50, seed = 1))",
    "}",
    "f <- fit(TRUE)",
    "g <- fit(TRUE, method = 'g')",
    "b <- crl_baselines(s, methods = c('true', 'empty'), init = f,",
    "                   control = crl_control(progress = TRUE, max_iter = 2))",
    "k <- crl_compare(b, folds = 2, progress = TRUE)",
    "cat(identical(f$latents, fit(NULL)$latents),",
    "    identical(g$latents, fit(FALSE, method = 'g')$latents))"
  ), seconds = 120)
  for (stage in c("Start: search for the rotation", "Start: spline mechanisms",
                  "Start by draws, run 1 of", "EM", "SAEM", "Draws of the latents", "Baselines",
                  "Refits")) {
    expect_match(printed, stage, fixed = TRUE, all = FALSE)
  }
  expect_identical(utils::tail(printed, 1L), "TRUE TRUE")
})
