# The start's stage of draws: recovery, reproducibility, what it honours and what it reports.

sampled_sim <- function(seed, d = 3, n = 600, p = 20, nonlinearity = "bounded", ...) {
  withr::with_seed(seed, sim_crl(chain_dag(d), n = n, p = p, nonlinearity = nonlinearity, ...))
}

start_of <- function(sim, ..., seed = 1, max_iter = 0, intervention = "imperfect") {
  fit_crl(sim, control = crl_control(..., seed = seed, max_iter = max_iter,
                                     intervention = intervention))
}

labels_hold <- function(fit, sim) {
  identical(as.integer(align_latents(fit$mixing, sim$mixing)$permutation), seq_len(ncol(sim$z)))
}

test_that("steep mechanisms: errors near the Bayes optimum, where splines alone are far from it", {
  skip_on_cran()
  for (seed in c(5, 9)) {
    sim <- sampled_sim(seed, d = 4, n = 1000, p = 60, nonlinearity = "strong")
    bayes <- withr::with_seed(1, rel_mse(bayes_latents(sim, draws = 2000), sim))
    sampled <- start_of(sim, max_iter = 100)
    spline <- start_of(sim, max_iter = 100, start = start_search(mechanisms = "spline"))
    expect_lt(rel_mse(sampled, sim) / bayes, 1.15)
    expect_gt(rel_mse(spline, sim) / bayes, 1.4)
    expect_lt(over_floor(sampled, sim), 4)
    expect_true(labels_hold(sampled, sim))
  }
})

test_that("linear and bounded mechanisms are recovered as well as by the stages before", {
  skip_on_cran()
  for (nonlinearity in c("linear", "bounded")) {
    ratio <- vapply(1:3, function(seed) {
      sim <- sampled_sim(seed, d = 4, n = 1000, p = 60, nonlinearity = nonlinearity)
      over_floor(start_of(sim), sim)
    }, 0)
    expect_lt(stats::median(ratio), 2)
  }
})

test_that("skewed noise does not turn A away, as a Gaussian prior would", {
  skip_on_cran()
  sim <- sampled_sim(1, d = 4, n = 500, p = 50, nonlinearity = "linear", noise = "skewed")
  expect_lt(over_floor(start_of(sim), sim), 2)
  gaussian <- utils::modifyList(SAMPLING, list(components = 1L))
  with_internal("SAMPLING", gaussian, expect_gt(over_floor(start_of(sim), sim), 2.5))
})

test_that("the seed decides; R's random numbers are left alone; threads do not matter", {
  skip_on_cran()
  sim <- sampled_sim(2, n = 1500)
  mixing <- function(...) fit_crl(sim, control = crl_control(max_iter = 0, ...))$mixing
  set.seed(1)
  before <- .Random.seed
  first <- mixing()
  expect_identical(.Random.seed, before)
  expect_identical(mixing(seed = 1), first)
  expect_identical(mixing(threads = 2), first)
  other <- mixing(seed = 2)
  expect_false(identical(other, first))
  signs <- sign(colSums(other * first)) # largest loadings may be near ties
  expect_lt(sum((other * rep(signs, each = nrow(other)) - first)^2), 0.02)
})

test_that("A stays in the principal subspace, and draws depend on sigma2", {
  skip_on_cran()
  sim <- sampled_sim(3)
  fit <- start_of(sim)
  pca <- pca_start(fit$data)
  expect_equal(unname(crossprod(fit$mixing)), diag(3), tolerance = 1e-12)
  expect_equal(unname(pca$orthonormal %*% crossprod(pca$orthonormal, fit$mixing)),
               unname(fit$mixing), tolerance = 1e-12)
  part <- fit$data
  part$x <- fit$data$x %*% pca$orthonormal
  rotation <- function(sigma2) {
    sampled_mixing(diag(3), part, sigma2, crl_control(seed = 1))$mixing
  }
  expect_identical(rotation(pca$sigma2), rotation(pca$sigma2))
  expect_gt(sum((rotation(pca$sigma2) - rotation(2 * pca$sigma2))^2), 1e-6)
})

test_that("the runs have ever more rows, equally spaced in every domain", {
  skip_on_cran()
  expect_identical(sample_sizes(c(100, 300), SAMPLING), 300L)
  expect_identical(sample_sizes(c(100, 1999), SAMPLING), 1999L)
  expect_identical(sample_sizes(c(2000, 100), SAMPLING), c(1000L, 2000L))
  expect_identical(sample_sizes(5000, SAMPLING), c(1000L, 2000L, 5000L))
  expect_identical(sample_sizes(5000, SAMPLING_PSD), c(2000L, 5000L))
  sim <- sampled_sim(4, n = c(2100, 30, 700))
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  part <- thinned(data, 100L)
  expect_identical(part$n_env, c(100L, 30L, 100L))
  expect_identical(part$n, 230L)
  rows <- which(data$env == 1L)[round(seq(1, 2100, length.out = 100))]
  expect_identical(part$x[part$env == 1L, ], data$x[rows, ])
  expect_identical(thinned(data, 2100L), data)
  fit <- start_of(sim)
  expect_identical(fit$sampling$rows, rep(c(1730L, 2830L), 2))
  expect_equal(fit$sampling$run, rep(1:2, each = 2))
  expect_true(all(fit$sampling$iterations <= c(first_iterations(1730, SAMPLING), 70L)))
  expect_identical(first_iterations(c(800), SAMPLING), 1000L)
  expect_identical(first_iterations(8000, SAMPLING), 200L)
  expect_true(all(fit$sampling$iterations >= c(64L, 10L)))
  expect_true(all(fit$sampling$distance > 0))
})

test_that("perfect interventions, weights, repeated and untargeted domains are honoured", {
  skip_on_cran()
  sim <- sampled_sim(5, n = 400)
  soft <- start_of(sim)
  perfect <- start_of(sim, intervention = "perfect")
  expect_false(identical(soft$mixing, perfect$mixing))
  fit <- function(env, targets, ...) {
    fit_crl(sim$x, env = env, targets = targets, dag = sim$dag, ...,
            control = crl_control(seed = 1, max_iter = 0, intervention = "imperfect"))
  }
  even <- fit(sim$env, sim$targets)
  expect_identical(even$mixing, soft$mixing)
  expect_false(identical(fit(sim$env, sim$targets, weights = c(0.6, 0.2, 0.2))$mixing, even$mixing))
  # each domain cut in two: the same cells, so much the same A
  half <- rep_len(1:2, nrow(sim$x))
  names <- rownames(sim$targets)
  twice <- unclass(sim$targets)[rep(seq_along(names), each = 2), ]
  rownames(twice) <- paste0(rep(names, each = 2), 1:2)
  cut <- fit(paste0(sim$env, half), twice)
  expect_lt(sum((cut$mixing - even$mixing)^2), 0.01)
  # no row with z3 targeted: its targeted mechanism does not exist
  kept <- sim$env != names[3]
  never <- fit_crl(sim$x[kept, ], env = droplevels(sim$env[kept]),
                   targets = unclass(sim$targets)[1:2, ], dag = sim$dag,
                   control = crl_control(seed = 1, max_iter = 0))
  expect_true(all(is.finite(never$mixing)))
})

test_that("a fit that goes on keeps what its start reported", {
  sim <- sampled_sim(6, n = 150)
  fit <- start_of(sim, max_iter = 1)
  further <- update(fit, max_iter = 1)
  expect_identical(further$sampling, fit$sampling)
  expect_identical(further$mixing, fit$mixing)
  expect_identical(further$counts["start_floored"], fit$counts["start_floored"])
})

test_that("the fit says what the stage did, and where it could not go on", {
  sim <- sampled_sim(7, n = 150)
  fit <- start_of(sim)
  expect_output(print(summary(fit)),
                "then [0-9]+ iterations of SAEM in 4 runs, the last\\s+with 450 rows")
  expect_identical(fit$counts[["start_stopped"]], 0)
  expect_null(start_of(sim, start = start_search(mechanisms = "spline"))$sampling)
  failing <- function(...) NULL
  stopped <- with_internal("sampling_run", failing, start_of(sim))
  expect_equal(stopped$counts[["start_stopped"]], 4)
  expect_null(stopped$sampling)
  spline <- with_internal("REFINEMENT", replace(REFINEMENT, "max_sweeps", 3L),
                          start_of(sim, start = start_search(mechanisms = "spline")))
  expect_equal(stopped$mixing, spline$mixing)
  expect_output(print(summary(stopped)), "SAEM could not go on")
})

# Steep mechanisms on a random graph: the likelihood of the spline stage favours a wrong rotation.
steep_sim <- function(seed) {
  withr::with_seed(seed, sim_crl(random_dag(4, 1.5, max_parents = 2), n = 200, p = 100, sigma2 = 2,
                                 nonlinearity = "strong"))
}

without_choice <- function(code) {
  with_internal("chosen_by_draws", function(joined, refined, ...) refined, code)
}

test_that("draws choose the right rotation where splines do not", {
  skip_on_cran()
  without <- numeric()
  for (seed in c(15, 30)) {
    sim <- steep_sim(seed)
    fit <- start_of(sim, max_iter = 100)
    expect_lt(rel_mse(fit, sim), 0.075)
    without <- c(without, rel_mse(without_choice(start_of(sim, max_iter = 100)), sim))
    expect_equal(which.min(fit$optima$risk), 1L)
    expect_lt(fit$optima$distance[1L], 1e-12)
  }
  expect_gt(max(without), 0.14)
})

test_that("an optimum that draws prefer is said to be theirs; g begins there, too", {
  skip_on_cran()
  sim <- steep_sim(15)
  fit <- start_of(sim)
  expect_gt(which.min(fit$optima$refined), 1L)
  expect_match(describe_search(fit$optima), ", chosen by draws$")
  g <- fit_crl(sim, method = "g",
               control = crl_control(seed = 1, intervention = "imperfect",
                                     saem = saem_control(burn_in = 1, iterations = 1, draws = 2)))
  expect_equal(which.min(g$optima$risk), 1L)
  expect_lt(frobenius_error(g$optima$mixing[[1L]], sim), 0.4)
  expect_gt(frobenius_error(without_choice(start_of(sim))$mixing, sim), 0.8)
})

test_that("one candidate, and the optimum for lines without the splines, go on unchanged", {
  refined <- list(optima = list(refined = c(NA_real_, NA_real_)))
  expect_identical(chosen_by_draws(NULL, refined, NULL, 1, NULL), refined)
  same <- list(found = list(rotation = array(diag(2), c(2, 2, 1))), tried = 1L)
  refined <- c(same, list(optima = list(which = 1L, refined = 3, risk = NA_real_)))
  expect_identical(chosen_by_draws(same, refined, list(n = 10), 1, NULL), refined)
})

test_that("the choice of splines holds where no other is clearly better", {
  skip_on_cran()
  expect_identical(clearly_best(c(3, 2, 1), list(mean = c(0, -1, -2), se = c(0, 0.1, 1.3)), 2),
                   3L)
  expect_identical(clearly_best(c(3, 2, 1), list(mean = c(0, -1, -2), se = c(0, 0.1, 1.4)), 2),
                   1L)
  # significant, but within what draws tell
  expect_identical(clearly_best(c(3, 2), list(mean = c(0, -1), se = c(0, 0.1)), 99), 2L)
  expect_identical(clearly_best(c(3, 2), list(mean = c(0, -1), se = c(0, 0.1)), 101), 1L)
  expect_identical(clearly_best(1:3, list(mean = 0:2, se = c(0, 1, 1)), 2), 1L)
  expect_identical(clearly_best(c(NA, 2, 1), list(mean = NA, se = NA), 2), 3L)
  expect_identical(clearly_best(c(NA_real_, NA), list(mean = NA, se = NA), 2), 1L)
  sim <- steep_sim(15)
  fit <- with_internal("CHOICE", utils::modifyList(CHOICE, list(errors = Inf)), start_of(sim))
  expect_gt(which.min(fit$optima$risk), 1L)
  expect_identical(fit$mixing, without_choice(start_of(sim))$mixing)
})

test_that("candidates are rotations after the splines and before, of equal ones one", {
  turn <- function(angle) matrix(c(cos(angle), sin(angle), -sin(angle), cos(angle)), 2)
  after <- array(c(turn(0.5), turn(1), turn(0.1)), c(2, 2, 3))
  before <- array(c(turn(0.5), -turn(1), turn(0.6)), c(2, 2, 3))
  found <- distinct_candidates(after, before, c(3L, 1L))
  expect_identical(lapply(found, `[[`, "optimum"), list(3L, 1L))
  expect_identical(found[[2L]]$rotation, turn(0.5))
  found <- distinct_candidates(after, array(turn(0.9), c(2, 2, 3)), 2:3)
  expect_identical(vapply(found, `[[`, 0L, "optimum"), c(2L, 3L))
  found <- distinct_candidates(after, before[, , c(1, 2, 2)], 3L)
  expect_identical(found, list(list(rotation = turn(0.1), optimum = 3L),
                               list(rotation = -turn(1), optimum = 3L)))
})

test_that("a run that cannot go on leaves the choice to the others", {
  skip_on_cran()
  sim <- steep_sim(30)
  runs <- 0
  run <- sampling_run
  fails <- function(...) {
    runs <<- runs + 1
    if (runs == 1) NULL else run(...)
  }
  fit <- with_internal("sampling_run", fails, start_of(sim))
  expect_true(is.finite(fit$optima$risk[1L]))
  none <- with_internal("draws_risks", function(rotation, rows, ...) rep(NA_real_, rows$n),
                        start_of(sim))
  expect_true(all(is.na(none$optima$risk)))
  expect_identical(none$mixing, without_choice(start_of(sim))$mixing)
})

test_that("candidates are compared by the same random numbers", {
  skip_on_cran()
  sim <- steep_sim(15)
  seeds <- numeric()
  risks <- draws_risks
  fit <- with_internal("draws_risks", function(rotation, rows, sigma2, control, seed) {
    seeds <<- c(seeds, seed)
    risks(rotation, rows, sigma2, control, seed)
  }, start_of(sim))
  expect_gt(length(seeds), 3)
  expect_identical(unique(seeds), 1 + CHOICE_SEED * SEED_STEP)
})

test_that("risks of few draws are not off by their Monte-Carlo error", {
  skip_on_cran()
  sim <- sampled_sim(6, n = 200)
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  start <- pca_start(data)
  overlap <- svd(crossprod(start$orthonormal, sim$mixing))
  risk <- function(draws) {
    few <- utils::modifyList(CHOICE, list(draws = draws))
    mean(with_internal("CHOICE", few, draws_risks(
      tcrossprod(overlap$u, overlap$v), principal_part(data, start), start$sigma2,
      crl_control(seed = 1), 1
    )))
  }
  many <- risk(1000L)
  expect_equal(risk(6L), many, tolerance = 0.02)
})

test_that("Stein's estimate: row by row, and the error of Gaussian posterior means", {
  withr::local_seed(1)
  y <- matrix(stats::rnorm(60), 20)
  sd <- matrix(stats::runif(60), 20)
  risks <- function(mean, sd, y, more = 0) .Call(C_row_risks, mean, sd, y, more)
  expect_equal(risks(y / 2, sd, y, 0.3), ref_row_risks(y / 2, sd, y) + 0.3, tolerance = 1e-13)

  sim <- sim_crl(chain_dag(3), n = 5000, p = 6, sigma2 = 1, nonlinearity = "linear")
  best <- bayes_latents(sim)
  estimate <- mean(risks(best$latents, best$latents_sd, sim$x %*% sim$mixing)) - 3
  expect_equal(estimate, mean(rowSums((best$latents - sim$z)^2)), tolerance = 0.03)
})

test_that("small noise, and none: where risks tie, the objective chooses", {
  skip_on_cran()
  for (sigma2 in c(1e-6, 0)) {
    sim <- sampled_sim(7, n = 200, sigma2 = sigma2)
    fit <- start_of(sim, max_iter = 2)
    expect_lt(frobenius_error(fit, sim), 0.05)
    expect_gt(nrow(fit$optima), 1)
    expect_equal(which.min(fit$optima$refined), 1L)
  }
  expect_gt(fit$counts[["sigma2_floored"]], 0)
  expect_output(print(summary(fit)), "noise variance fell to its floor")
})

test_that("the Monte-Carlo error of the start is that of its runs, and that over seeds", {
  turn <- function(angle) matrix(c(cos(angle), sin(angle), -sin(angle), cos(angle)), 2)
  x <- withr::with_seed(1, matrix(stats::rnorm(400), 200) %*% diag(c(3, 1)))
  error <- latent_movement(list(turn(0.1), turn(-0.1)), diag(2), x)
  moved <- x %*% (turn(0.1) - diag(2))
  expect_equal(error^2, colMeans(moved^2) / (diag(stats::var(x)) * 199 / 200), tolerance = 0.02)
  # signs are those of the central run; another optimum does not count
  central <- central_mixings(list(turn(0.1), -turn(0), turn(0.05), turn(1)))
  expect_length(central, 3L)
  expect_equal(abs(central[[1L]]), abs(turn(0.1)))
  expect_true(all(vapply(central, function(m) sum(m * central[[1L]]), 0) > 1.9))
  expect_identical(replicates(1e5, crl_control()), 1L)
  expect_identical(replicates(8000, crl_control()), 2L)
  expect_identical(replicates(100, crl_control()), 4L)
  expect_identical(replicates(100, crl_control(mixing = "psd")), 1L)
  # nuisance factors that are turned among themselves are the same optimum
  block <- function(angle) {
    rbind(cbind(diag(2), 0, 0), cbind(0, 0, matrix(c(cos(angle), sin(angle), -sin(angle),
                                                     cos(angle)), 2)))
  }
  expect_length(central_mixings(list(block(0), block(2))), 1)
  turned <- central_mixings(list(block(0), block(2)), loose = 3:4)
  expect_equal(turned, list(block(0), block(0)))
})

test_that("what the fit says of its seed holds over seeds", {
  skip_on_cran()
  sim <- sampled_sim(1, n = 200)
  fits <- lapply(1:6, function(seed) start_of(sim, seed = seed))
  rotations <- lapply(fits, function(fit) {
    fit$mixing * sign_by(fit$mixing, fits[[1L]]$mixing)
  })
  true <- latent_movement(rotations, Reduce(`+`, rotations) / 6, sim$x) * sqrt(6)
  said <- sqrt(rowMeans(vapply(fits, function(fit) fit$start_mc_error^2, numeric(3))))
  expect_lt(max(abs(log(true / said))), log(2.5))
  expect_output(print(fits[[1L]]), "another seed moves latents by up to")
})

test_that("draws do not choose an optimum far behind in likelihood", {
  skip_on_cran()
  sim <- sampled_sim(9, n = 2000)
  fit <- fit_crl(3 * sim$x, sim$env, sim$targets, sim$dag, control = crl_control(max_iter = 0))
  expect_lt(frobenius_error(fit, sim), 0.05)
  expect_gt(sum(is.na(fit$optima$risk)), 0)
})
