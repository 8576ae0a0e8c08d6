linear_sim <- function(seed = 3, n = 400, ...) {
  withr::with_seed(seed, sim_crl(chain_dag(3), n = n, p = 15, nonlinearity = "linear", ...))
}
linear <- crl_control(prior = "linear", intervention = "perfect")
sim <- linear_sim()
fit <- fit_crl(sim, method = "g", control = linear)

test_that("rows are drawn within domains", {
  withr::local_seed(1)
  rows <- resampled_rows(fit$data)
  expect_identical(fit$data$env[rows], fit$data$env)
  expect_true(anyDuplicated(rows) > 0)
})

test_that("a refit of all rows once is the fit", {
  task <- boot_task(fit, 1)
  model <- aligned_model(refit(task, seq_len(fit$data$n)), task)
  # the optimum of the search for the rotation is not quite that of the EM
  expect_equal(model$mixing, unname(fit$mixing), tolerance = 0.05, ignore_attr = TRUE)
  expect_equal(model$latent_noise_var, fit$latent_noise_var, tolerance = 0.1)
  expect_equal(model_edges(compact_model(inner_fit(fit), fit))$effect,
               subset(coef(fit, "mechanisms"), term != "(Intercept)")$estimate, tolerance = 1e-6)
})

test_that("results do not depend on workers, order or interruptions, and leave the generator alone", {
  skip_on_cran()
  withr::local_seed(5)
  before <- .Random.seed
  here <- crl_boot(fit, times = 6, seed = 11)
  expect_identical(.Random.seed, before)
  expect_identical(crl_boot(fit, times = 6, seed = 11, cl = 2)$replicates, here$replicates)
  file <- withr::local_tempfile(fileext = ".rds")
  some <- crl_boot(fit, times = 3, seed = 11, file = file)
  expect_identical(crl_boot(fit, times = 6, seed = 11, file = file)$replicates, here$replicates)
  expect_identical(crl_boot(some, times = 6)$replicates, here$replicates)
  expect_error(crl_boot(fit, times = 6, seed = 12, file = file), class = "ebcrl_error_results")
  writeLines("no rds", file)
  expect_error(crl_boot(fit, times = 6, seed = 11, file = file), class = "ebcrl_error_results")
  expect_error(crl_boot(some, times = 6, seed = 12), class = "ebcrl_error_range")
})

test_that("standard errors agree with those in closed form", {
  skip_on_cran()
  boot <- crl_boot(fit, times = 60, seed = 2)
  closed <- sqrt(diag(vcov(fit)))[c("z2 ~ z1 [0]", "z3 ~ z2 [0]")]
  expect_equal(tidy(boot)$std.error, unname(closed), tolerance = 0.25)
  expect_true(all(is.na(boot$errors)))
  expect_false(any(boot$swapped))
  expect_true(all(boot$agreement > 0.98))
})

test_that("standard errors in closed form are those of repeated samples", {
  skip_on_cran()
  pieces <- vapply(1:30, function(seed) {
    again <- withr::with_seed(seed, {
      sim_crl(chain_dag(2), n = 300, p = 6, nonlinearity = "linear", kappa = 1,
              targets = list(none = character(), one = "z1", two = "z2"),
              edge_weights = 0.8 * unclass(chain_dag(2)))
    })
    one <- fit_crl(again, method = "g", control = linear)
    table <- tidy(one, "mechanisms", conf.int = TRUE)
    unlist(table[table$node == "z2" & table$term == "z1", c("estimate", "std.error")])
  }, numeric(2))
  expect_equal(mean(pieces[2, ]), sd(pieces[1, ]), tolerance = 0.35)
})

test_that("intervals of edges are those of slopes, or are told to be missing", {
  edges <- tidy(fit, "edges", conf.int = TRUE)
  slopes <- tidy(fit, "mechanisms", conf.int = TRUE)
  at <- match(paste(edges$to, edges$from, edges$state),
              paste(slopes$node, slopes$term, slopes$state))
  expect_equal(edges$effect, slopes$estimate[at])
  expect_identical(edges$conf.low, slopes$conf.low[at])
  expect_warning(tidy(fit, "mixing", conf.int = TRUE), "boot = crl_boot",
                 class = "ebcrl_warning_intervals")
  expect_silent(tidy(fit, "effects", conf.int = TRUE))
})

test_that("the information is that of numDeriv", {
  skip_if_not_installed("numDeriv")
  problem <- information_problem(fit)
  f <- function(theta) -information_loglik(theta, problem)
  ours <- information_matrix(problem$start, problem)
  expect_equal(ours, numDeriv::hessian(f, problem$start), tolerance = 1e-4)
  away <- problem$start + 0.1 * cos(seq_along(problem$start))
  expect_equal(-information_loglik(away, problem, TRUE), numDeriv::grad(f, away), tolerance = 1e-6)
  # the EM is at its maximum
  gradient <- numDeriv::grad(f, problem$start)
  expect_lt(max(abs(gradient) * sqrt(diag(solve(ours)))), 0.1)
})

test_that("fits of every kind and measurement model can be fitted again", {
  skip_on_cran()
  quick <- crl_control(saem = saem_control(burn_in = 20, iterations = 20, draws = 10), seed = 1)
  measured <- sim
  measured$x <- sweep(sim$x * rep(exp(seq(-1, 1, length.out = 15)), each = nrow(sim$x)), 2,
                      seq_len(15) * 3, "+")
  factor <- withr::with_seed(8, rnorm(nrow(sim$x)))
  measured$x <- measured$x + outer(factor, 4 * cos(seq_len(15)))
  lines <- update(quick, start = start_search(mechanisms = "linear"))
  fits <- suppressMessages(list(
    spline = fit_crl(sim, method = "g", control = quick),
    psd = fit_crl(sim, method = "g", control = replace(quick, "mixing", "psd")),
    diagonal = fit_crl(sim, method = "g", control = replace(quick, "mixing", "diagonal")),
    noise = fit_crl(sim, method = "g", control = update(quick, prior = prior_spline(noise = 2))),
    f = fit_crl(sim, control = update(quick, start = start_search(starts = 3))),
    f_linear = fit_crl(sim, control = lines),
    f_spline = fit_crl(sim, control = update(quick, start = start_search(mechanisms = "spline"))),
    pca = fit_crl(sim, init = "pca", control = crl_control(max_iter = 5)),
    given = oracle_fit(sim),
    measured_g = fit_crl(measured, method = "g", nuisance = 1, control = quick),
    measured_f = fit_crl(measured, nuisance = 1, control = lines),
    measured_linear = fit_crl(measured, method = "g", nuisance = 1, control = linear)
  ))
  for (name in names(fits)) {
    boot <- crl_boot(fits[[name]], times = 3, seed = 4)
    expect_identical(boot$errors, rep(NA_character_, 3), info = name)
    expect_true(all(boot$agreement > 0.8), info = name)
    edges <- tidy(boot)
    expect_identical(unique(paste(edges$from, edges$to)), c("z1 z2", "z2 z3"), info = name)
    expect_true(all(is.finite(edges$std.error)), info = name)
    spread <- tidy(boot, "mixing")$std.error
    if (name == "given") expect_equal(spread, 0 * spread) else expect_true(all(spread > 0))
    expect_identical(nrow(tidy(boot, "effects")), 9L)
  }
  expect_length(tidy(crl_boot(fits$measured_g, times = 2, seed = 1), "noise")$estimate, 15)
})

test_that("constant features come back as zeros", {
  skip_on_cran()
  with_constant <- sim
  with_constant$x[, 4] <- 2
  constant <- suppressMessages(fit_crl(with_constant$x, sim$env, sim$targets, sim$dag, method = "g",
                                       control = linear))
  boot <- crl_boot(constant, times = 3, seed = 1)
  table <- tidy(boot, "mixing")
  expect_identical(nrow(table), 45L)
  expect_equal(table$estimate, as.vector(constant$mixing))
  expect_identical(table$std.error[table$feature == "4"], rep(0, 3))
})

test_that("intervals, matrices and prints say what they are", {
  boot <- crl_boot(fit, times = 5, seed = 1)
  table <- tidy(boot, conf.level = 0.8)
  expect_equal(table$conf.high - table$estimate, qnorm(0.9) * table$std.error)
  values <- boot_values(boot, "edges")$replicates
  expect_equal(table$std.error, apply(values, 1, sd))
  expect_equal(table$bias, rowMeans(values) - table$estimate)
  expect_equal(unname(sqrt(diag(vcov(boot)))), table$std.error)
  expect_identical(rownames(confint(boot)), c("z1 -> z2 [0]", "z2 -> z3 [0]"))
  percentile <- tidy(boot, conf.level = 0.5, interval = "percentile")
  expect_equal(percentile$conf.low, unname(apply(values, 1, quantile, 0.25)))
  expect_output(print(boot), "5 bootstrap replicates.*z1.*z2")
  boot$errors[2] <- "no luck"
  boot$swapped[3] <- TRUE
  expect_output(print(boot), "1 refit failed and is left out; the first: no luck")
  expect_output(print(boot), "In 1 replicate another assignment")
})

test_that("curves are those of mechanisms()", {
  boot <- crl_boot(fit, times = 2, seed = 1)
  table <- tidy(boot, "mechanisms")
  coef <- coef(fit, "mechanisms")
  line <- coef[coef$node == "z2" & coef$state == 0, ]
  curve <- table[table$node == "z2", ]
  expect_equal(curve$estimate, line$estimate[1] + line$estimate[2] * curve$z, tolerance = 1e-6)
})

test_that("what cannot be had is refused", {
  expect_error(vcov(oracle_fit(sim)), class = "ebcrl_error_method")
  expect_error(crl_boot(fit, times = 1), class = "ebcrl_error_range")
  expect_error(crl_boot(sim), class = "ebcrl_error")
  gaps <- sim
  gaps$x[3, 5] <- NA
  missing <- suppressMessages(fit_crl(gaps, method = "g", control = linear))
  expect_error(crl_boot(missing), class = "ebcrl_error_missing")
  expect_error(vcov(missing), class = "ebcrl_error_missing")
  expect_error(crl_check(missing), class = "ebcrl_error_missing")
  expect_equal(tidy(missing, "edges")$effect, tidy(fit, "edges")$effect, tolerance = 0.05)
  other <- fit_crl(linear_sim(4), method = "g", control = linear)
  expect_error(tidy(other, "edges", boot = crl_boot(fit, times = 2, seed = 1)),
               class = "ebcrl_error_fit")
  task <- boot_task(fit, 1)
  expect_error(new_boot(fit, task, list(list(model = NULL, error = "a"))),
               class = "ebcrl_error_boot")
})

test_that("edges of linear mechanisms are their slopes, with shares and evidence", {
  edges <- tidy(fit, "edges")
  slopes <- subset(coef(fit, "mechanisms"), term != "(Intercept)")
  expect_equal(edges$effect, slopes$estimate, tolerance = 1e-6)
  expect_equal(edges$lowest, edges$effect, tolerance = 1e-6)
  expect_identical(edges$df, c(1L, 1L))
  expect_equal(edges$bic, edges$statistic - log(fit$data$n))
  expect_equal(edges$p.value, pchisq(edges$statistic, 1, lower.tail = FALSE))
  # the same by another optimiser
  problem <- information_problem(fit)
  maximum <- function(free) {
    start <- replace(problem$start, !free, 0)
    loglik <- function(at) {
      tryCatch(-information_loglik(replace(start, free, at), problem), error = function(e) 1e10)
    }
    scale <- 1 / sqrt(diag(information_matrix(problem$start, problem)))[free]
    -stats::optim(start[free], loglik, method = "BFGS",
                  control = list(parscale = scale, maxit = 1000, reltol = 1e-13))$value
  }
  all <- rep(TRUE, length(problem$start))
  ratio <- 2 * (maximum(all) - maximum(problem$map$name[seq_along(all)] != "z2 ~ z1 [0]" |
                                         is.na(problem$map$name[seq_along(all)])))
  expect_equal(edges$statistic[1], ratio, tolerance = 1e-3)
  boot <- crl_boot(fit, times = 5, seed = 1)
  expect_equal(tidy(fit, "edges", boot = boot)$std.error, tidy(boot)$std.error)
  expect_equal(tidy(fit, "mixing", boot = boot), tidy(boot, "mixing"))
})

test_that("an edge that is not there has no evidence", {
  skip_on_cran()
  ratios <- vapply(21:30, function(seed) {
    again <- linear_sim(seed)
    dag <- unclass(again$dag)
    dag[1, 3] <- 1L
    wider <- fit_crl(again$x, again$env, again$targets, dag, method = "g", control = linear)
    edges <- tidy(wider, "edges")
    edges$statistic[edges$from == "z1" & edges$to == "z3"]
  }, 0)
  # chi-squared with one degree of freedom
  expect_gt(stats::ks.test(ratios, "pchisq", 1)$p.value, 0.05)
})

test_that("edges of curves have the mean derivative and its range", {
  skip_on_cran()
  curved <- withr::with_seed(2, sim_crl(chain_dag(2), n = 1000, p = 15, nonlinearity = "tanh"))
  g <- fit_crl(curved, method = "g", control = crl_control(seed = 1, intervention = "perfect"))
  edges <- tidy(g, "edges")
  expect_lt(edges$lowest, edges$effect)
  expect_gt(edges$highest, edges$effect)
  f <- tidy(fit_crl(curved, control = crl_control(intervention = "perfect")), "edges")
  expect_equal(f$effect, edges$effect, tolerance = 0.25)
  expect_equal(f$share, edges$share, tolerance = 0.3)
})

test_that("intervals of latents with the error of A are wider by what A moves them", {
  boot <- crl_boot(fit, times = 8, seed = 1)
  known <- predict(fit, type = "sd")
  wider <- predict(fit, type = "sd", boot = boot)
  moved <- vapply(boot$replicates, function(model) {
    sim$x %*% model$mixing %*% solve(crossprod(model$mixing))
  }, sim$z)
  noise <- fit$sigma2
  expected <- sqrt(known^2 + (known^2 / noise)^2 * apply(moved, 1:2, var))
  expect_equal(wider, expected, tolerance = 1e-6)
  at <- c(3, 700)
  expect_equal(predict(fit, sim$x[at, ], env = sim$env[at], type = "sd", boot = boot), wider[at, ],
               tolerance = 1e-6)
  interval <- predict(fit, interval = "credible", boot = boot, level = 0.9)
  expect_equal(interval[, , "upr"] - interval[, , "fit"], qnorm(0.95) * wider)
  table <- augment(fit, boot = boot)
  expect_equal(table$.sd_z2, unname(wider[, 2]))
})

test_that("a long bootstrap says how long it will take", {
  expect_message(tell_time(6, 2, 198), "about 10 minutes", class = "ebcrl_message_time")
  expect_silent(tell_time(0.1, 2, 198))
})
