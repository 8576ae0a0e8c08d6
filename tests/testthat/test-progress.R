# Progress bars: what is shown, who moves them, and that nothing of them is left behind.

test_that("steps that C reports reach the bar at hand, and the one before is put back", {
  counted <- 0
  expect_null(.Call(C_set_heartbeat, function(done) counted <<- counted + done))
  sim <- small_sim(dag = chain_dag(3), n = 30, p = 5)
  fit_crl(sim, control = crl_control(start = start_search(mechanisms = "linear", starts = 7),
                                     intervention = "imperfect", max_iter = 1, progress = FALSE))
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

test_that("every stage has a bar", {
  skip_on_cran()
  sim <- small_sim(dag = chain_dag(3), n = 60, p = 5, nonlinearity = "strong")
  settings <- crl_control(max_iter = 2, saem = saem_control(burn_in = 5, iterations = 5,
                                                            draws = 10), seed = 1)
  stages <- unique(recorded_stages({
    fit_crl(sim, control = settings)
    fit_crl(sim, method = "g", control = settings)
    fits <- crl_baselines(sim, methods = c("true", "empty"), control = settings, init = known(sim))
    crl_compare(fits, folds = 2)
  }))
  passes <- startsWith(stages, "Pass: ")
  expect_true("Pass: scan" %in% stages)
  stages <- stages[!passes]
  # a choice by draws takes two optima, which these data may not have
  expect_setequal(setdiff(sub(" [0-9]+, stage.*", "", stages), "Start: choice by draws"), c(
    "Measurement model", "Start: search for the rotation", "Start: search for the mixing",
    "Start: spline mechanisms", "Draws of the latents",
    "Start by draws, run", "EM", "SAEM", "Baselines", "Refits"
  ))
})

test_that("bars show in a script that asks for them, and results are the same", {
  skip_on_cran()
  printed <- in_fresh_process(c(
    "library(ebcrl)",
    "options(cli.progress_show_after = 0)",
    "set.seed(1)",
    "s <- sim_crl(chain_dag(2), n = 60, p = 5)",
    "fit <- function(progress) {",
    "  fit_crl(s, control = crl_control(progress = progress, tol = 0, max_iter = 5,",
    "                                   start = list(mechanisms = 'linear')))$latents",
    "}",
    "cat(identical(fit(TRUE), fit(NULL)))"
  ), seconds = 300)
  # bars of stages that end within an update of cli's may not be drawn: of so quick a fit the first is
  expect_match(printed, "Measurement model", all = FALSE)
  expect_identical(utils::tail(printed, 1L), "TRUE")
})

test_that("the measurement model, of a fit and of its update, has a bar", {
  skip_on_cran()
  sim <- small_sim(dag = chain_dag(2), n = 100, p = 30)
  control <- crl_control(update_mixing = FALSE, max_iter = 1,
                         start = start_search(mechanisms = "linear"))
  expect_true("Measurement model" %in% recorded_stages({
    fit <- fit_crl(sim$x, sim$env, sim$targets, sim$dag, nuisance = "auto", control = control)
  }))
  expect_true("Measurement model" %in% recorded_stages(update(fit, center = FALSE)))
})

test_that("passes over blocks tell rows a second", {
  expect_identical(row_rate(1234567, 1), "1,200,000 rows/s")
  expect_identical(row_rate(50, 0), NULL)
  told <- character()
  tick <- function(done, change = NULL, note = NULL) told <<- c(told, paste(done, note))
  tell <- pass_ticker(NULL, tick)
  Sys.sleep(0.01)
  tell(1L, 5e6)
  tell(2L, 5e6)
  expect_match(told, "^[12] [0-9,]+000 rows/s$")
  expect_null(pass_ticker(NULL, NULL)(1L, 5))
  printed <- in_fresh_process(c(
    "library(ebcrl)",
    "options(cli.progress_show_after = 0, cli.progress_clear = FALSE)",
    "paths <- tempfile(c('a', 'b', 'c'), fileext = '.rds')",
    "for (path in paths) saveRDS(matrix(rnorm(2000), 100), path)",
    "rows <- crl_files(paths, read = function(path) { Sys.sleep(0.3); readRDS(path) })",
    "invisible(fit_crl(rows, env = rep(1:2, 150), targets = diag(2), dag = chain_dag(2),",
    "  init = 'pca', control = crl_control(progress = TRUE, update_mixing = FALSE, max_iter = 0)))"
  ), seconds = 300)
  expect_match(printed, "Pass: (second moments|projection) .*[0-9]/3, [0-9,]+ rows/s", all = FALSE)
  expect_match(printed, "ETA", all = FALSE)
})

test_that("seconds are counted by stage, each once", {
  sim <- small_sim(dag = chain_dag(3), n = 60, p = 5)
  quick <- crl_control(start = start_search(mechanisms = "linear", starts = 2), max_iter = 2)
  fit <- fit_crl(sim, control = quick)
  expect_true(all(c("Pass: scan", "Pass: projection", "Start: search for the rotation", "EM",
                    "other") %in% names(fit$seconds)))
  expect_true(all(fit$seconds >= 0))
  expect_identical(summary(fit)$seconds, fit$seconds)
  expect_output(print(summary(fit)), "Seconds: ")
  more <- update(fit, max_iter = 2)
  expect_identical(names(more$seconds)[length(more$seconds)], "other")
  expect_gte(more$seconds[["EM"]], fit$seconds[["EM"]])
  baselines <- crl_baselines(sim, methods = c("true", "empty"), control = quick)
  expect_true("EM" %in% names(baselines$empty$seconds))
  expect_null(clock$seconds)
  # a stage within another is not counted in both
  before <- start_clock()
  on_clock("outer", {
    Sys.sleep(0.05)
    on_clock("inner, run 1", Sys.sleep(0.2))
    on_clock("inner, run 2", Sys.sleep(0.2))
  })
  seconds <- clock_seconds(before)
  stop_clock(before)
  expect_named(seconds, c("inner", "outer", "other"))
  expect_gte(seconds[["inner"]], 0.39) # the clock has its rounding
  expect_lt(seconds[["outer"]], seconds[["inner"]])
})
