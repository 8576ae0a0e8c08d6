# crl_control(), the constructors of its groups, and the plan that a fit makes of them.

test_that("the table has every setting of every constructor, and no others", {
  makers <- c(list(control = crl_control), lapply(GROUPS, get, envir = asNamespace("ebcrl")))
  for (group in names(SETTINGS)) {
    expect_setequal(names(SETTINGS[[group]]), setdiff(names(formals(makers[[group]])), "..."))
  }
  grouped <- unlist(lapply(SETTINGS[names(GROUPS)], names))
  expect_identical(anyDuplicated(c(grouped, names(SETTINGS$control))), 0L)
  expect_setequal(names(crl_control()), names(SETTINGS$control))
  for (group in names(GROUPS)) {
    expect_setequal(names(crl_control()[[group]]), names(SETTINGS[[group]]))
  }
  expect_identical(crl_control(), do.call(crl_control, list()))
})

test_that("a constructor has what was named, and crl_control() adds the rest", {
  expect_identical(unclass(spline_control(cg_tol = 1e-9)), list(cg_tol = 1e-9))
  expect_identical(crl_control(spline = spline_control(cg_tol = 1e-9)),
                   crl_control(spline = list(cg_tol = 1e-9)))
  expect_identical(crl_control(saem = saem_control(draws = 50))$saem$burn_in, 300L)
  expect_identical(crl_control(start = crl_control()$start), crl_control())
  expect_identical(crl_control(prior = "linear"), crl_control(prior = prior_linear()))
  expect_identical(crl_control(prior = "spline")$prior, prior_spline())
})

test_that("what is named takes precedence over the preset, one by one", {
  paper <- crl_control(preset = "paper")
  expect_identical(unclass(paper$spline)[c("interaction", "reference", "acceleration")],
                   list(interaction = "tensor", reference = "none", acceleration = "none"))
  some <- crl_control(preset = "paper", spline = spline_control(reference = "gaussian"))
  expect_identical(some$spline$reference, "gaussian")
  expect_identical(some$spline$acceleration, "none")
  edited <- spline_control()
  edited$reference <- "gaussian"
  expect_identical(crl_control(preset = "paper", spline = edited), some)
  expect_identical(crl_control(preset = "paper", lambda = 5)$lambda, 5)
  expect_identical(crl_control(mixing = "psd")$lambda, PSD_LAMBDA)
  expect_identical(crl_control(mixing = "psd", lambda = 5)$lambda, 5)
})

test_that("update() changes some settings and keeps the others", {
  control <- crl_control(lambda = 7, saem = saem_control(burn_in = 9, draws = 8))
  changed <- update(control, knots = 6, saem = saem_control(draws = 50), seed = 3)
  expect_identical(changed, crl_control(lambda = 7, knots = 6, seed = 3,
                                        saem = saem_control(burn_in = 9, draws = 50)))
  expect_identical(update(changed, seed = NULL)$seed, NULL)
  expect_identical(update(changed, prior = "normal")$prior, prior_normal())
  expect_identical(update(control), control)
  expect_error(update(control, draws = 5), "saem_control", class = "ebcrl_error_control")
  expect_error(update(control, knots = 1), class = "ebcrl_error_control")
})

test_that("settings are printed as the calls that make them", {
  withr::local_options(width = 80, ebcrl.threads = 1L)
  expect_snapshot(crl_control(range = c(-5, 5), prior = prior_spline(noise = 2)))
  expect_snapshot(saem_control(draws = 50))
  expect_snapshot(prior_linear())
})

test_that("a plan resolves what depends on start and rows, and leaves the control as it was", {
  sim <- withr::with_seed(1, sim_crl(complete_dag(3), n = 20, p = 6))
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag, knots = 4)
  control <- crl_control(knots = 4)
  plan <- suppressMessages(plan_f(control, data, "interventional"))
  expect_identical(plan[c("mixing", "update_mixing", "seed")],
                   list(mixing = "fixed", update_mixing = FALSE, seed = 1L))
  expect_identical(plan$stages, c("spline", "choice", "draws"))
  expect_false(plan$spline$interaction == "auto")
  expect_s3_class(control_of(plan), "crl_control", exact = TRUE)
  expect_identical(control, crl_control(knots = 4))
  from_pca <- suppressMessages(plan_f(control, data, "pca"))
  expect_identical(from_pca[c("mixing", "update_mixing")],
                   list(mixing = "orthonormal", update_mixing = TRUE))
  # what a fit keeps makes the same plan
  expect_identical(plan_f(control_of(plan), data, "interventional"), plan)
})

test_that("the stages of a start are those of its mechanisms, without draws before draws", {
  stages <- function(mechanisms, ..., mixing = "auto") {
    start_stages(crl_control(start = start_search(mechanisms = mechanisms), mixing = mixing), ...)
  }
  expect_identical(stages("linear"), character())
  expect_identical(stages("spline"), "spline")
  expect_identical(stages("spline", own_draws = TRUE), "spline")
  expect_identical(stages("sampled", own_draws = TRUE), c("spline", "choice"))
  expect_identical(stages("spline", mixing = "psd"), "draws")
  expect_identical(stages("sampled", own_draws = TRUE, mixing = "psd"), character())
})

test_that("?crl_control and ?fit_crl are ones that a reader finishes", {
  skip_on_cran()
  skip_if(!nzchar(system.file("help", "AnIndex", package = "ebcrl")), "no help installed")
  help <- tools::Rd_db("ebcrl")
  words_of <- function(page) {
    text <- utils::capture.output(tools::Rd2txt(help[[page]], options = list(underline_titles = FALSE)))
    sum(nzchar(unlist(strsplit(gsub("_\b", "", text), "[[:space:]]+"))))
  }
  expect_lt(words_of("crl_control.Rd"), 1200)
  expect_lt(words_of("fit_crl.Rd"), 1700)
})
