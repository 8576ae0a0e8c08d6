# The measurement model x = mu + A z + B w + noise: its kernels against plain R and
# stats::factanal(), what second moments tell, and fits against the Bayes optimum of the same rows.

factor_rows <- function(n, p, q, psi = 0.5, mean = 0, strength = 2) {
  loadings <- strength * qr.Q(qr(matrix(stats::rnorm(p * q), p))) * sqrt(p) / 2
  x <- matrix(stats::rnorm(n * q), n) %*% t(loadings) +
    matrix(stats::rnorm(n * p), n) * rep(sqrt(rep_len(psi, p)), each = n)
  x + rep(rep_len(mean, p), each = n)
}

# What feature_moments() reads of checked data.
as_rows <- function(x, env = rep(1L, nrow(x)), weights = NULL, d = 2L) {
  size <- tabulate(env)
  list(x = x, env = env, n = nrow(x), p = ncol(x), d = d, n_domains = length(size), n_env = size,
       weights = weights %||% (size / nrow(x)), means = colMeans(x))
}

# Moments of which S is not held, so that they come from passes over the rows.
passes_only <- function(moments, data) {
  moments["second"] <- list(NULL)
  c(moments, list(x = data$x, env = data$env, omega = row_weights(data)))
}

top_of <- function(moments, scale, q) {
  .Call(C_leading_moments, moments, scale, list(q = q, tol = 1e-9))
}

factors_of <- function(moments, q, equal = FALSE, call = environment()) {
  factor_analysis(moments, q, equal, call = call)
}

# Columns up to sign, each against its own largest entry.
expect_columns <- function(object, reference, tolerance = 1e-7) {
  signs <- sign(colSums(object * reference))
  expect_close(object * rep(signs, each = nrow(object)), reference, tolerance)
}

test_that("second moments agree with the reference, with the same bits for any number of threads", {
  withr::local_seed(1)
  x <- factor_rows(2100, 37, 2, mean = 1:37) # several shards of rows, blocks of columns
  env <- rep(1:3, c(900, 700, 500))
  for (weights in list(NULL, c(0.2, 0.7, 0.1))) {
    data <- as_rows(x, env, weights)
    for (centered in c(TRUE, FALSE)) {
      slow <- ref_moments(x, env, row_weights(data), centered)
      one <- feature_moments(data, centered, 1L)
      two <- feature_moments(data, centered, 2L)
      expect_close(one$second, slow$second, 1e-11)
      expect_close(one$square, diag(slow$second), 1e-11)
      expect_identical(one$mean, if (centered) two$mean)
      if (centered) expect_close(one$mean, slow$mean, 1e-12)
      expect_identical(two$second, one$second)
      v <- matrix(stats::rnorm(37 * 2), 37)
      if (centered) expect_close(moments_times(passes_only(one, data), v), slow$second %*% v, 1e-10)
    }
  }
})

test_that("leading eigenpairs agree with eigen(), dense and by passes over the rows", {
  withr::local_seed(2)
  x <- factor_rows(1500, 30, 3, mean = 2)
  scale <- stats::runif(30, 0.5, 2)
  for (centered in c(TRUE, FALSE)) {
    moments <- feature_moments(as_rows(x), centered)
    e <- eigen(moments$second * outer(scale, scale), symmetric = TRUE)
    passes <- passes_only(moments, as_rows(x))
    for (m in list(moments, passes, replace(passes, "threads", 2L))) {
      top <- top_of(m, scale, 3L)
      expect_identical(top$status, "ok")
      expect_close(top$values, e$values[1:3], 1e-8)
      expect_columns(top$vectors, e$vectors[, 1:3], 1e-6)
    }
  }
  thrice <- lapply(1:2, function(k) top_of(replace(passes, "threads", k), scale, 3L))
  expect_identical(thrice[[1]], thrice[[2]])
})

test_that("leading eigenvectors by passes, with fewer rows than features", {
  withr::local_seed(3)
  x <- factor_rows(12, 40, 2)
  moments <- feature_moments(as_rows(x), TRUE)
  e <- eigen(moments$second, symmetric = TRUE)
  top <- top_of(passes_only(moments, as_rows(x)), rep(1, 40), 11L) # all there are
  expect_identical(top$status, "ok")
  expect_close(top$values, e$values[1:11], 1e-8)
})

test_that("eigenvalues that are not apart from those of noise come out of few passes", {
  x <- withr::with_seed(3, matrix(stats::rnorm(400 * 600), 400))
  moments <- feature_moments(as_rows(x), TRUE)
  expect_null(moments$second) # passes over the rows
  top <- .Call(C_leading_moments, moments, rep(1, 600), list(q = 3L, tol = 1e-9))
  truth <- svd(scale(x, scale = FALSE), nu = 0L, nv = 0L)$d[1:3]^2 / 400
  expect_close(sum(top$values), sum(truth), 1e-5)
})

test_that("a search for eigenvectors goes on from those of another scale, and ends at its own", {
  x <- withr::with_seed(4, factor_rows(300, 600, 3)) # passes over the rows
  moments <- feature_moments(as_rows(x), TRUE)
  scale <- exp(seq(-0.2, 0.2, length.out = 600))
  search <- function(scale, block = NULL) {
    .Call(C_leading_moments, moments, scale, list(q = 3L, tol = 1e-9, block = block))
  }
  alone <- search(scale)
  on <- search(scale, search(rep(1, 600))$block)
  expect_lt(on$passes, alone$passes)
  expect_close(on$values, alone$values, 1e-9)
  truth <- svd(scale(x, scale = FALSE) * rep(scale, each = 300), nu = 0L, nv = 3L)
  expect_close(drop(on$values), truth$d[1:3]^2 / 300, 1e-9)
  expect_columns(on$vectors, truth$v, 1e-6)
})

test_that("unequal noise is looked for only where variances of their own gain something", {
  x <- withr::with_seed(5, factor_rows(400, 30, 2))
  uneven <- x * rep(exp(seq(-1, 1, length.out = 30)), each = 400)
  for (rows in list(x, uneven)) {
    moments <- feature_moments(as_rows(rows), TRUE)
    equal <- factors_of(moments, 2L, TRUE)
    left <- (diag(moments$second) - rowSums(equal$loadings^2)) / equal$psi
    gain <- 200 * sum(left - 1 - log(left))
    expect_equal(unequal_gain(moments, equal), gain)
    chosen <- chosen_noise(moments, 2L, "auto", NULL)
    search <- factors_of(moments, 2L)$loglik - equal$loglik
    expect_identical(chosen$noise, if (identical(rows, x)) "equal" else "by_feature")
    expect_equal(chosen$gain$loglik, if (identical(rows, x)) gain else search, tolerance = 1e-6)
    expect_lt(search, 2 * gain)
  }
})

test_that("factor analysis agrees with ECME in R and with stats::factanal(); passes with dense", {
  withr::local_seed(4)
  x <- factor_rows(400, 9, 2, psi = exp(seq(-1.5, 1.5, length.out = 9)), mean = 5)
  moments <- feature_moments(as_rows(x), TRUE)
  s <- moments$second
  for (equal in c(TRUE, FALSE)) {
    slow <- ref_factor_analysis(s, 2, equal)
    for (m in list(moments, passes_only(moments, as_rows(x)))) {
      fit <- factors_of(m, 2L, equal)
      expect_true(fit$converged)
      expect_close(fit$psi, slow$psi, 1e-5)
      expect_columns(fit$loadings, slow$loadings, 1e-5)
      expect_close(fit$values, slow$values, 2e-5)
      expect_close(fit$loglik, -200 * (9 * log(2 * pi) + slow$objective), 1e-9)
    }
  }
  known <- stats::factanal(covmat = stats::cov2cor(s), factors = 2, n.obs = 400,
                           control = list(opt = list(factr = 10)))
  expect_close(unname(fit$psi / diag(s)), unname(known$uniquenesses), 1e-4)
  expect_equal(fit$parameters, 9 + 2 * 9 - 1)
})

test_that("a Heywood case is floored and counted", {
  withr::local_seed(5)
  x <- factor_rows(300, 8, 1, strength = 0.3)
  x[, 1] <- 3 * stats::rnorm(300)
  x[, 2] <- x[, 1] + 0.7 * x[, 2] # a factor that is a feature itself
  moments <- feature_moments(as_rows(x), TRUE)
  dense <- factors_of(moments, 2L)
  expect_identical(dense$floored, 1L)
  expect_close(min(dense$psi / diag(moments$second)), 1e-6, 1e-6)
  expect_identical(factors_of(feature_moments(as_rows(factor_rows(300, 8, 1)), TRUE), 1L)$floored,
                   0L)
})

test_that("a feature without noise of its own is named in the notes, and the search converges", {
  set.seed(1)
  sim <- sim_crl(chain_dag(3), n = 200, p = 8, noise_sd = exp(rnorm(8, sd = 0.5)))
  sim$x[, 8] <- 2 * sim$x[, 7]
  colnames(sim$x) <- paste0("sensor", 1:8)
  fit <- suppressMessages(fit_crl(
    sim$x, env = sim$env, dag = sim$dag, targets = sim$targets,
    control = crl_control(start = start_search(mechanisms = "linear"))
  ))
  expect_gte(fit$measurement$counts[["noise_floored"]], 2L)
  expect_identical(fit$measurement$counts[["unconverged"]], 0L)
  expect_match(measurement_notes(fit), "sensor7, sensor8) fell to its floor", fixed = TRUE)
  expect_identical(measurement_notes(replace(fit, "measurement", list(NULL))), NULL)
})

test_that("what noise a leading eigenvalue takes up is that of the spiked model", {
  g <- 0.3
  l <- c(1, 3, 30) # variances of factors in units of noise: sample eigenvalues (1 + l) (1 + g / l)
  expect_close(noise_taken_up((1 + l) * (1 + g / l), g), 1 / l, 1e-10)
  expect_equal(noise_taken_up(c(1, (1 + sqrt(g))^2), g), rep(2 / sqrt(g), 2))
})

test_that("the edge of noise is exceeded in about one of a thousand samples", {
  withr::local_seed(6)
  edge <- noise_edge(60, 20)
  largest <- replicate(400, svd(matrix(stats::rnorm(60 * 20), 60), 0, 0)$d[1]^2 / 60)
  expect_lte(sum(largest > edge), 3)
  expect_gt(stats::quantile(largest, 0.95), 0.9 * edge) # not far off
})

test_that("the number of factors is found, equal noise and unequal", {
  withr::local_seed(7)
  for (q in c(0, 1, 3)) {
    for (noise in c("equal", "auto")) {
      psi <- if (noise == "equal") 0.7 else exp(seq(-1, 1, length.out = 25))
      x <- factor_rows(300, 25, max(q, 1), psi, strength = if (q == 0) 0 else 0.8)
      found <- factor_number(feature_moments(as_rows(x), TRUE), 0L, 10L, noise, NULL)
      expect_identical(found$factors, as.integer(q))
      expect_identical(found$values$factors, 0:q)
    }
  }
})

test_that("the test of the means has about its level, and power", {
  withr::local_seed(8)
  p_value <- function(off) {
    x <- factor_rows(200, 15, 2) + rep(off, each = 200)
    zero <- feature_moments(as_rows(x), FALSE)
    about <- feature_moments(as_rows(x), TRUE)
    mean_test(zero, about, factors_of(about, 2L, TRUE), NULL)$p_value
  }
  null <- replicate(60, p_value(rep(0, 15)))
  expect_lte(sum(null < 0.1), 13)
  expect_gt(min(null), CENTER_LEVEL / 10)
  expect_lt(stats::quantile(null, 0.3), 0.6)
  expect_lt(max(replicate(5, p_value(0.3 * stats::rnorm(15)))), CENTER_LEVEL)
})

# Fits ---------------------------------------------------------------------------------------------

CASES <- list(
  means = list(center = seq(-3, 3, length.out = 14)),
  noise = list(noise_sd = seq(0.3, 1.5, length.out = 14)),
  nuisance = list(center = seq(-3, 3, length.out = 14), noise_sd = seq(0.3, 1.5, length.out = 14),
                  nuisance = 1)
)

measured_sim <- function(case, seed = 1, n = 250) {
  withr::with_seed(seed, do.call(sim_crl, c(
    list(chain_dag(2), n = n, p = 14, sigma2 = 0.5,
         targets = list(none = character(), a = "z1", b = "z2")), CASES[[case]]
  )))
}

sims <- lapply(stats::setNames(names(CASES), names(CASES)), measured_sim)
engines <- list(
  spline = list(),
  linear = list(control = crl_control(start = start_search(mechanisms = "linear"))),
  em = list(method = "g", control = crl_control(prior = "linear")),
  saem = list(method = "g",
              control = crl_control(saem = saem_control(burn_in = 20, iterations = 20, draws = 20),
                                    seed = 1))
)

measured_fit <- function(sim, engine = "linear", ...) {
  suppressMessages(do.call(fit_crl, c(list(sim), utils::modifyList(engines[[engine]], list(...)))),
                   classes = "ebcrl_message_measurement")
}

centred <- function(x) x - rep(colMeans(x), each = nrow(x))

# Squared error of the latents, location apart, over that of the Bayes optimum.
over_bayes <- function(fit, sim, bayes) {
  latents <- apply_alignment(fit$latents, align_latents(fit$mixing, sim$mixing))
  sum(centred(latents - sim$z)^2) / sum(centred(bayes$latents - sim$z)^2)
}

test_that("fits come near the Bayes optimum: means, unequal noise, a nuisance factor", {
  skip_on_cran()
  for (case in names(CASES)) {
    sim <- sims[[case]]
    bayes <- withr::with_seed(1, bayes_latents(sim, draws = 400))
    for (engine in names(engines)) {
      fit <- measured_fit(sim, engine, nuisance = if (case == "nuisance") "auto" else 0)
      expect_identical(is.null(fit$center), case == "noise")
      expect_identical(fit$measurement$noise, if (case == "means") "equal" else "by_feature")
      expect_identical(fit$measurement$nuisance, if (case == "nuisance") 1L else 0L)
      limit <- if (case == "nuisance") 1.2 else if (engine == "saem") 1.12 else 1.05
      expect_lt(over_bayes(fit, sim, bayes), limit)
      expect_lt(stats::median(abs(log(fit$noise_var / (sim$noise_var %||% 0.5)))), 0.06)
    }
  }
})

test_that("without the measurement model the same data are fitted badly", {
  sim <- sims$nuisance
  bayes <- withr::with_seed(1, bayes_latents(sim, draws = 200))
  plain <- suppressWarnings(measured_fit(sim, center = FALSE, noise = "equal"))
  expect_gt(over_bayes(plain, sim, bayes), 2)
})

test_that("the Bayes optimum knows means, noise and nuisance factors", {
  sim <- withr::with_seed(3, sim_crl(chain_dag(2), n = 40, p = 6, nonlinearity = "linear",
                                     center = 1:6, noise_sd = (1:6) / 3, nuisance = 2))
  scm <- sim$scm
  targets <- unclass(sim$targets)[as.character(sim$env), ]
  noise <- diag(sim$noise_var) + 36 * tcrossprod(sim$nuisance$mixing)
  latents <- t(vapply(seq_len(nrow(sim$x)), function(i) {
    free <- 1 - targets[i, ]
    total <- solve(diag(2) - t(scm$edge_weights * rep(free, each = 2)))
    mean <- total %*% (10 * targets[i, ])
    cov <- total %*% diag(ifelse(free == 1, 4, 1)) %*% t(total)
    whole <- sim$mixing %*% cov %*% t(sim$mixing) + noise
    drop(mean + cov %*% t(sim$mixing) %*% solve(whole, sim$x[i, ] - 1:6 - sim$mixing %*% mean))
  }, numeric(2)))
  expect_close(bayes_latents(sim)$latents, latents, 1e-8)
  expect_close(bayes_latents(sim, draws = 2000, min_ess = 10, sampler = "importance")$latents,
               latents, 0.02)
})

shared <- list()
fit_of <- function(engine) {
  if (is.null(shared[[engine]])) {
    shared[[engine]] <<- measured_fit(sims$nuisance, engine, nuisance = 1)
  }
  shared[[engine]]
}

test_that("methods of a measured fit: predict, fitted, residuals", {
  skip_on_cran()
  sim <- sims$nuisance
  design <- unclass(sim$targets)[as.character(sim$env), ]
  for (engine in names(engines)) {
    fit <- fit_of(engine)
    expect_no_error(check_fit(fit, rows = TRUE))
    exact <- engine != "saem" # whose predictions are draws of their own
    for (how in list(list(env = sim$env), list(targets = design))) {
      again <- do.call(predict, c(list(fit, newdata = sim$x), how))
      expect_close(again, fit$latents, if (exact) 1e-9 else 0.1)
    }
    # in part: the rows of one domain
    rows <- sim$env == "a"
    part <- predict(fit, newdata = sim$x[rows, ], env = "a", type = "sd")
    expect_close(part, fit$latents_sd[rows, ], if (exact) 1e-9 else 0.6) # of the draws of one row
    whole <- fitted(fit, type = "x")
    expect_close(whole, tcrossprod(fit$latents, fit$mixing) + rep(fit$center, each = 750) +
                   tcrossprod(fit$nuisance$scores, fit$nuisance$mixing), 1e-12)
    expect_close(predict(fit, newdata = sim$x, env = sim$env, type = "x"), whole,
                 if (exact) 1e-9 else 0.1)
    expect_identical(residuals(fit), fit$data$x - whole)
    # residuals have the noise variances, but for what the latents take up
    noisy <- sim$noise_var > 0.5
    expect_lt(max(abs(log(colMeans(residuals(fit)^2) / sim$noise_var)[noisy])), 0.3)
  }
})

test_that("what g fits simulate has the moments of the data", {
  sim <- sims$nuisance
  rows <- sim$env == "a"
  for (engine in c("em", "saem")) {
    fit <- fit_of(engine)
    new <- withr::with_seed(1, simulate_domain(fit, "z1", n = 4000))
    expect_identical(dim(new$x), c(4000L, 14L))
    expect_close(colMeans(new$x), colMeans(sim$x[rows, ]), 0.15)
    expect_close(stats::cov(new$x), stats::cov(sim$x[rows, ]), 0.25)
    expect_close(colMeans(simulate(fit, nsim = 1, seed = 1)[, , 1]), colMeans(fit$latents), 0.1)
  }
})

test_that("going on with a measured fit is as one fit of more iterations, bit for bit in SAEM", {
  sim <- sims$nuisance
  longer <- function(iterations, method) {
    measured_fit(sim, "saem", nuisance = 1,
                 control = crl_control(saem = saem_control(burn_in = 10, iterations = iterations,
                                                           draws = 10), seed = 1))
  }
  going <- update(longer(5), iterations = 5)
  whole <- longer(10)
  for (part in c("latents", "mixing", "noise_var", "center", "nuisance", "trace")) {
    expect_identical(going[[part]], whole[[part]])
  }
  f <- fit_of("spline")
  expect_identical(update(f, max_iter = 2)[c("latents", "mixing")], f[c("latents", "mixing")])
  em <- measured_fit(sim, "em", nuisance = 1,
                     control = crl_control(prior = "linear", max_iter = 2, tol = 0))
  whole <- measured_fit(sim, "em", nuisance = 1,
                        control = crl_control(prior = "linear", tol = 1e-9))
  going <- update(em, max_iter = 300, tol = 1e-9)
  expect_close(going$latents, whole$latents, 1e-5)
  expect_identical(going$inner$sigma2, whole$inner$sigma2)
})

test_that("fitting again by update() keeps the measurement model that was asked for", {
  sim <- sims$nuisance
  fit <- suppressMessages(fit_crl(sim, nuisance = 1, control = crl_control(
    start = start_search(mechanisms = "linear")
  )))
  again <- suppressMessages(update(fit, lambda = 20))
  expect_identical(again$measurement, fit$measurement)
  plain <- suppressMessages(update(fit, center = FALSE, noise = "equal", nuisance = 0))
  expect_null(plain$measurement)
})

test_that("fits are compared under one measurement model", {
  sim <- sims$nuisance
  fit <- fit_of("linear")
  empty <- measured_fit(sim, nuisance = 1, dag = 0L * unclass(sim$dag))
  both <- crl_compare(list(true = fit, empty = empty), folds = 3)
  expect_true(all(is.finite(both$loss)))
  expect_gt(max(both$difference), 0)
})

test_that("features with one value only stand aside of means and noise", {
  sim <- sims$nuisance
  whole <- fit_of("linear")
  sim$x <- cbind(5, sim$x[, 1:3], -2, sim$x[, 4:14])
  sim$mixing <- NULL
  suppressMessages({
    fit <- fit_crl(sim$x, sim$env, sim$targets, sim$dag, nuisance = 1,
                   control = crl_control(start = start_search(mechanisms = "linear")))
    by_g <- fit_crl(sim$x, sim$env, sim$targets, sim$dag, nuisance = 1, method = "g",
                    control = crl_control(prior = "linear"))
  })
  for (f in list(fit, by_g)) {
    expect_no_error(check_fit(f, rows = TRUE))
    expect_identical(unname(fitted(f, type = "x")[1, c(1, 5)]), c(5, -2))
    expect_identical(dim(residuals(f)), dim(sim$x))
    expect_identical(residuals(f)[, c(1, 5)] == 0, matrix(TRUE, 750, 2))
    expect_close(predict(f, newdata = sim$x, env = sim$env), f$latents, 1e-9)
    expect_identical(length(f$center), 16L)
    expect_identical(length(f$noise_var), 16L)
    expect_identical(dim(f$nuisance$mixing), c(16L, 1L))
    expect_output(print(f), "750 rows")
  }
  expect_close(fit$latents, whole$latents, 1e-8)
})

test_that("invariances: constants added, units of features, of x, order of features and rows", {
  sim <- sims$nuisance
  fit <- fit_of("linear")
  fitted_to <- function(x, env = sim$env) {
    suppressMessages(fit_crl(x, env, sim$targets, sim$dag, nuisance = 1,
                             control = crl_control(start = start_search(mechanisms = "linear"))))
  }
  moved <- fitted_to(sim$x + rep(100 * sin(1:14), each = 750))
  expect_close(moved$latents, fit$latents, 1e-6)
  expect_close(moved$center, fit$center + 100 * sin(1:14), 1e-7)
  expect_close(moved$noise_var, fit$noise_var, 1e-4)

  doubled <- fitted_to(8 * sim$x)
  expect_close(doubled$latents, 8 * fit$latents, 1e-6)
  expect_close(doubled$noise_var, 64 * fit$noise_var, 1e-6)
  expect_close(doubled$mixing, fit$mixing, 1e-6)

  features <- c(9, 1:3, 14, 4:8, 13:10)
  turned <- fitted_to(sim$x[, features])
  expect_close(turned$latents, fit$latents, 1e-3)
  expect_close(turned$mixing, fit$mixing[features, ], 1e-3)
  expect_close(turned$noise_var, fit$noise_var[features], 1e-3)

  rows <- withr::with_seed(1, sample(750))
  mixed <- fitted_to(sim$x[rows, ], sim$env[rows])
  expect_close(mixed$latents, fit$latents[rows, ], 1e-4)
})

test_that("a feature in other units: the factor model and the whitened space follow", {
  sim <- sims$nuisance
  unit <- replace(rep(1, 14), c(2, 9), c(10, 0.1))
  data <- list(as_rows(sim$x, as.integer(sim$env)),
               as_rows(sim$x * rep(unit, each = 750), as.integer(sim$env)))
  model <- lapply(data, measure, center = "auto", noise = "auto", nuisance = "auto")
  expect_close(model[[2]]$noise_var, unit^2 * model[[1]]$noise_var, 1e-4)
  expect_close(model[[2]]$center, unit * model[[1]]$center, 1e-12)
  expect_close(model[[2]]$values, model[[1]]$values, 1e-5)
  expect_identical(model[[2]]$nuisance, model[[1]]$nuisance)
  expect_null(model[[1]]$tests$center) # beside a nuisance factor means are always fitted
  alone <- lapply(data, measure, center = "auto", noise = "auto", nuisance = 0L)
  expect_close(alone[[2]]$tests$center$statistic, alone[[1]]$tests$center$statistic, 1e-4)
  projection <- function(m) { # of features in units of their noise
    basis <- qr.Q(qr(m$span / sqrt(m$noise_var)))
    tcrossprod(basis)
  }
  expect_close(projection(model[[2]]), projection(model[[1]]), 1e-4)
})

test_that("the paper's data leave the paper's path, with the same bits", {
  sim <- withr::with_seed(4, sim_crl(chain_dag(2), n = 150, p = 12, sigma2 = 0.5))
  for (engine in c("linear", "em")) {
    auto <- measured_fit(sim, engine)
    plain <- measured_fit(sim, engine, center = FALSE, noise = "equal")
    expect_null(auto$inner)
    expect_null(auto$measurement)
    same <- setdiff(names(auto), c("elapsed", "seconds", "call", "data"))
    expect_identical(unclass(auto)[same], unclass(plain)[same])
  }
  expect_silent(fit_crl(sim, control = crl_control(start = start_search(mechanisms = "linear"))))
  paper <- fit_crl(sims$means, control = crl_control(preset = "paper", max_iter = 2))
  expect_null(paper$measurement)
})

test_that("the same bits for any number of threads; fits survive being saved", {
  sim <- measured_sim("nuisance", n = 700) # two shards of rows
  for (method in c("f", "g")) {
    fits <- lapply(1:2, function(threads) {
      control <- crl_control(start = start_search(mechanisms = "linear"),
                             saem = saem_control(burn_in = 3, iterations = 3, draws = 5), seed = 1,
                             threads = threads)
      measured_fit(sim, method = method, nuisance = 1, control = control)
    })
    for (part in c("latents", "latents_sd", "mixing", "noise_var", "center", "trace")) {
      expect_identical(fits[[1]][[part]], fits[[2]][[part]])
    }
  }
  file <- withr::local_tempfile(fileext = ".rds")
  saveRDS(fits[[1]], file)
  again <- readRDS(file)
  expect_identical(predict(again, newdata = sim$x[1:5, ], env = "a"),
                   predict(fits[[1]], newdata = sim$x[1:5, ], env = "a"))
})

test_that("the measurement model is told in a line, and explained variance is that of latents", {
  fit <- fit_of("linear")
  line <- paste("Measurement model: feature means, noise variances by feature from [0-9.]+ to",
                "[0-9.]+, 1 nuisance factor fitted")
  expect_match(describe_measurement(fit), line)
  expect_match(describe_model(fit), line, all = FALSE)
  expect_null(describe_measurement(inner_fit(fit)))
  sim <- sims$nuisance
  latents <- sum(apply(tcrossprod(sim$z, sim$mixing), 2, stats::var))
  expect_close(explained_variance(fit), latents / sum(apply(sim$x, 2, stats::var)), 0.1)
})

test_that("expected cosines of directions are those to the truth", {
  for (n in c(60, 200)) {
    sim <- withr::with_seed(4, sim_crl(chain_dag(2), n = n, p = 150, center = sin(1:150),
                                       noise_sd = 2, nonlinearity = "linear",
                                       targets = list(none = NULL, a = "z1", b = "z2")))
    fit <- measured_fit(sim, noise = "equal")
    unit <- qr.Q(qr(fit$mixing))
    true <- colSums((crossprod(unit, sim$mixing))^2) # columns of A against the space
    expect_lt(max(abs(fit$measurement$cos2 - true)), if (n == 60) 0.1 else 0.02)
    if (n == 60) expect_match(span_note(fit), "known in part only")
  }
  expect_null(span_note(fit))
})

test_that("the check plot shows noise where the model holds, and what is wrong where it does not", {
  sim <- sims$nuisance
  shown <- function(fit) {
    rest <- check_residuals(fit)
    points <- check_points(fit, rest)
    lines <- check_lines(fit, rest, levels(points$panel))$level
    expect_s3_class(autoplot(fit, "check"), "ggplot")
    value <- split(points$value, points$panel)
    c(eigen = sum(value[[2]] > lines$value[1]), domain = sum(abs(value[[4]]) > lines$value[3]))
  }
  fit <- fit_of("linear")
  expect_identical(shown(fit), c(eigen = 0L, domain = 0L))
  expect_close(check_points(fit, check_residuals(fit))$value[1:14], unname(fit$noise_var), 0.05)
  expect_identical(shown(fit_of("em")), c(eigen = 0L, domain = 0L))
  plain <- suppressWarnings(measured_fit(sim, center = FALSE, noise = "equal"))
  expect_true(all(shown(plain) > 0L))
  square <- withr::with_seed(1, sim_crl(chain_dag(2), n = 40, p = 2))
  expect_error(autoplot(oracle_fit(square), "check"), class = "ebcrl_error_range")
})

test_that("general columns of g have length 1 in x under unequal noise, whatever its units", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 200, p = 8,
                                     noise_sd = seq(0.5, 3, length.out = 8)))
  for (prior in c("linear", "spline")) {
    psd <- crl_control(mixing = "psd", seed = 1, intervention = "perfect", prior = if (prior == "linear") prior_linear() else prior_spline(),
                       saem = saem_control(burn_in = 20, iterations = 10, draws = 20), max_iter = 20)
    fit_of <- function(sim) {
      suppressMessages(fit_crl(sim, method = "g", noise = "by_feature", control = psd))
    }
    fit <- fit_of(sim)
    expect_equal(unname(colSums(fit$mixing^2)), c(1, 1), tolerance = 1e-12)
    # latents, their spread and the prior are in the units of these columns
    y <- sweep(sim$x, 2L, fit$center %||% 0) / rep(fit$noise_var, each = nrow(sim$x))
    posterior <- fit$latents
    least_squares <- y %*% fit$mixing %*% solve(crossprod(fit$mixing, fit$mixing / fit$noise_var))
    slope <- vapply(1:2, function(j) stats::cov(posterior[, j], least_squares[, j]) /
                      stats::var(least_squares[, j]), 0)
    expect_true(all(slope > 0.7 & slope < 1.05))
    expect_equal(unname(fit$latent_noise_var["z1", ]),
                 unname(vapply(0:1, function(s) {
                   rows <- sim$targets[sim$env, 1L] == s
                   stats::var(posterior[rows, 1L]) + mean(fit$latents_sd[rows, 1L]^2)
                 }, 0)), tolerance = 0.15)
    more <- if (prior == "linear") update(fit, max_iter = 5) else update(fit, iterations = 5)
    expect_equal(unname(colSums(more$mixing^2)), c(1, 1), tolerance = 1e-12)
    expect_lt(max(abs(more$latents - fit$latents)) / stats::sd(fit$latents), 0.5)
  }
})

test_that("nuisance = \"auto\" says where it stopped looking", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 300, p = 60, nuisance = 23, noise_sd = 0.3))
  call_fit <- function(nuisance, sim) {
    fit_crl(sim$x, sim$env, sim$targets, sim$dag, nuisance = nuisance)
  }
  said <- testthat::capture_messages(fit <- call_fit("auto", sim))
  expect_identical(fit$measurement$nuisance, MOST_NUISANCE)
  expect_match(gsub("\\s+", " ", paste(said, collapse = " ")),
               "More than the 20 nuisance factors", fixed = TRUE)
  expect_match(measurement_notes(fit)[1], "crl_rank(x, env = , most = 60)", fixed = TRUE)
  quiet <- suppressMessages(call_fit(20, sim))
  expect_false(any(grepl("More than", measurement_notes(quiet))))
  few <- withr::with_seed(1, sim_crl(chain_dag(2), n = 300, p = 60, nuisance = 1))
  expect_null(measurement_notes(suppressMessages(call_fit("auto", few))))
})
