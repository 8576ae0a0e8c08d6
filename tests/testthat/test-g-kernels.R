# The sampler, the mechanisms and SAEM against the slow versions in helper-reference.R.

words <- function(counter, key) .Call(ebcrl:::C_philox_words, counter, key)

# A diamond with a perfect or imperfect intervention on its sink, noise in few features.
g_case <- function(n_env = c(14, 10, 12), perfect = FALSE) {
  withr::local_seed(7)
  dag <- matrix(0L, 3, 3)
  dag[1, 2:3] <- 1L
  dag[2, 3] <- 1L
  data <- ref_data(n_env, 6, dag)
  targets <- rbind(c(0L, 0L, 0L), c(1L, 0L, 0L), c(0L, 1L, 1L))
  data$targets <- targets
  data$parents <- list(integer(), 1L, 1:2)
  data$env <- as.integer(rep(1:3, n_env))
  data$x <- data$x[seq_along(data$env), ]
  data
}

g_settings <- function(...) {
  utils::modifyList(list(
    perfect = FALSE, knots = 5L, lambda = 3, learn_lambda = TRUE, variance_floor = 1e-6,
    mixing = "lengths", learn_sigma2 = TRUE, burn_in = 3L, iterations = 2L, threads = 1L, seed = 2^33 + 5,
    warm_up = 1L, mc_tol = 0, draws = 4L, probs = c(0.1, 0.5), keep = 2L, stream = 10,
    components = 1L, tied = matrix(0L, 3, 3), features = 6, outside = 0, pieces = 1L
  ), list(...))
}

start_of <- function(data, mixing = ref_polar(data$mixing + 0.05)) {
  list(mixing = mixing, sigma2 = 0.6, latents = data$x %*% mixing,
       walk_scale = matrix(1, 3, nrow(data$targets)), prior = NULL, place = NULL)
}

run_saem <- function(data, start, control, omega = c(1.2, 0.8, 1)) {
  .Call(ebcrl:::C_saem_fit, data$x, data$env, data$targets, data$parents, omega, start, control,
        NULL)
}

slow_saem <- function(data, start, control) {
  ref_saem(data$x, data$env, data$targets, data$parents, 1:3, c(1.2, 0.8, 1), start, control, words)
}

test_that("SAEM is the reference, draw for draw", {
  skip_on_cran()
  data <- g_case()
  for (perfect in c(FALSE, TRUE)) {
    lengths <- if (perfect) c(1, 2, 0.7) else c(1, 1, 1)
    control <- g_settings(perfect = perfect, burn_in = 7L)
    start <- start_of(data, mixing = ref_polar(data$mixing + 0.05) %*% diag(lengths))
    start$latents <- start$latents %*% diag(1 / lengths^2)
    fit <- run_saem(data, start, control)
    slow <- slow_saem(data, start, control)
    expect_identical(fit$status, "ok")
    expect_close(fit$state$latents, slow$state$latents, 1e-6)
    expect_close(fit$state$mixing, slow$state$mixing, 1e-6)
    expect_close(fit$state$prior$theta, slow$state$prior$theta, 1e-5)
    expect_close(fit$mixing, slow$mixing, 1e-6)
    expect_close(fit$sigma2, slow$sigma2, 1e-6)
    expect_close(fit$state$walk_scale, slow$state$walk_scale, 1e-6)
    expect_close(fit$prior$variance, matrix(slow$prior$variance, 2), 1e-6)
    expect_close(fit$prior$range, slow$prior$range, 1e-6)
    expect_close(fit$prior$theta, slow$prior$theta, 1e-5)
    expect_close(fit$prior$lambda[lengths(fit$prior$lambda) > 0],
                 slow$prior$lambda[lengths(fit$prior$lambda) > 0], 1e-5)
  }
})

# The planes of many latents share information: each turned by its own alone, they overshoot
# together, and A leaves the truth that it starts from.
test_that("turns of ten latents do not overshoot", {
  skip_on_cran()
  withr::local_seed(2)
  sim <- sim_crl(chain_dag(10), n = 200, p = 12, sigma2 = 0.5, nonlinearity = "linear")
  control <- crl_control(saem = saem_control(burn_in = 60, iterations = 1, chains = 1),
                         mixing = "orthonormal")
  fit <- fit_crl(sim, method = "g", init = list(mixing = sim$mixing, sigma2 = 0.5),
                 control = control)
  expect_lt(frobenius_error(fit, sim), 0.05)
})

test_that("numbers that are not finite end SAEM with a status", {
  data <- g_case()
  prior <- run_saem(data, start_of(data), g_settings())$prior
  for (bad in c(NaN, NA, Inf, -Inf)) {
    for (given in list(NULL, prior)) {
      start <- utils::modifyList(start_of(data), list(prior = given), keep.null = TRUE)
      spoilt <- data
      spoilt$x[5, 2] <- bad
      expect_identical(run_saem(spoilt, start, g_settings())$status, "not_finite")
      start$latents[7, 1] <- bad
      expect_identical(run_saem(data, start, g_settings())$status, "not_finite")
    }
  }
  start <- start_of(data)
  start$sigma2 <- NaN
  expect_identical(run_saem(data, start, g_settings())$status, "not_finite")
  expect_error(ebcrl:::check_status("not_finite"), "not finite", class = "ebcrl_error_numerical")
})

test_that("Ctrl-C ends SAEM and leaves nothing behind", {
  skip_on_os("windows")
  data <- g_case()
  fresh <- run_saem(data, start_of(data), g_settings())
  last <- 0
  signal_at_3 <- function(iteration, change) {
    last <<- iteration
    if (iteration == 3) tools::pskill(Sys.getpid(), tools::SIGINT)
  }
  ended <- tryCatch(
    .Call(ebcrl:::C_saem_fit, data$x, data$env, data$targets, data$parents, c(1.2, 0.8, 1),
          start_of(data), g_settings(burn_in = 5000L, iterations = 5000L), signal_at_3),
    interrupt = function(condition) "interrupted"
  )
  expect_identical(ended, "interrupted")
  expect_lt(last, 1000)
  expect_identical(run_saem(data, start_of(data), g_settings()), fresh)
})

test_that("Monte-Carlo errors are those of batches of the parameters", {
  data <- g_case()
  start <- start_of(data)
  states <- lapply(1:37, function(t) run_saem(data, start, g_settings(iterations = t))$state)
  sequence <- t(vapply(states, function(s) c(s$mixing, s$sigma2, log(s$prior$variance)),
                       numeric(18 + 1 + 6)))
  fit <- run_saem(data, start, g_settings(iterations = 37L))
  batches <- ref_batches(sequence)
  expect_identical(fit$state$place[c("count", "size")], c(count = 37L, size = 4L))
  # the objective stands after sigma2
  expect_close(fit$state$sum[-20, 1:10], t(batches$sum), 1e-12)
  expect_close(fit$error[1:18]^2, ref_batch_errors(sequence[, 1:18]), 1e-8)
  expect_close(fit$error[19]^2, ref_batch_errors(sequence[, 19, drop = FALSE]), 1e-8)
  expect_close(fit$error[21:26]^2, ref_batch_errors(sequence[, 20:25]), 1e-8)
  weight <- vapply(1:6, function(cell) {
    sum(c(1.2, 0.8, 1)[data$env][data$targets[data$env, (cell + 1) %/% 2] == (cell + 1) %% 2])
  }, 0)
  objective <- function(s) -0.5 * (6 * log(s$sigma2) + sum(weight * log(s$prior$variance)) / 36)
  expect_close(fit$trace[[40, "objective"]], objective(fit$state), 1e-12)
  expect_close(sum(fit$state$sum[20, ]), sum(vapply(states, objective, 0)), 1e-12)
  # sampling errors from the last iteration's statistics
  second <- utils::tail(fit$state$statistics, 9)[c(1, 5, 9)]
  spread <- scale(sequence[1:36, 1:18], scale = FALSE)
  sampling <- sum(6 * fit$state$sigma2 / second) + 2 * sum(colMeans(spread^2))
  expect_close(fit$ratio[1]^2, sum(fit$error[1:18]^2) / sampling, 1e-8)
  variance <- as.vector(fit$state$prior$variance)
  sampling <- sum(2 / weight * (1 + fit$state$sigma2 / variance)^2)
  expect_close(fit$ratio[2]^2, sum(fit$error[21:26]^2) / sampling, 1e-8)
})

test_that("burn-in watches A, sigma2, variances and mechanisms", {
  data <- g_case()
  start <- start_of(data)
  run <- function(t) run_saem(data, start, g_settings(burn_in = t, iterations = 0L))
  states <- lapply(1:64, function(t) run(t)$state)
  range <- apply(start$latents, 2, base::range)
  probe <- apply(range, 2, function(ends) ends[1] + (1:3) / 4 * diff(ends))
  effects <- function(s) {
    unlist(lapply(list(c(1, 2, 1), c(1, 3, 1), c(2, 3, 2)), function(edge) {
      unlist(lapply(0:1, function(state) {
        theta <- s$prior$theta[[2 * edge[2] - 1 + state]][7 * (edge[3] - 1) + 1:7]
        scale(ref_basis(probe[, edge[1]], s$prior$range[, edge[1]], 5) %*% theta, scale = FALSE)
      }))
    }))
  }
  of_all <- function(value) t(vapply(states, value, value(states[[1]])))
  shifts <- c(
    ref_shift(cbind(vapply(states, function(s) log(s$sigma2), 0))),
    ref_shift(of_all(function(s) as.vector(log(s$prior$variance)))),
    ref_shift(of_all(function(s) as.vector(crossprod(start$mixing, s$mixing)))),
    ref_shift(of_all(effects))
  )
  trace <- run(64L)$trace
  expect_close(trace[[64, "shift"]], max(shifts), 1e-6)
  expect_true(all(is.nan(trace[1:63, "shift"])))
})

# Blocks of basis functions of a cell's parents, and the residual, at latents z.
cell_parts <- function(z, j, parents, theta, range) {
  basis <- do.call(cbind, lapply(parents[[j]], function(k) ref_basis(z[, k], range[, k], 5)))
  list(basis = basis, residual = z[, j] - drop(basis %*% theta))
}

test_that("missing information is half the squared difference of two scores, a row", {
  data <- g_case()
  start <- start_of(data)
  omega <- c(1.2, 0.8, 1)[data$env]
  run <- function(t) {
    run_saem(data, start, g_settings(mixing = "held", learn_sigma2 = FALSE, learn_lambda = FALSE,
                                     burn_in = t, iterations = 0L))$state
  }
  before <- run(15L)
  after <- run(16L)
  draws <- list(run(8L)$latents, after$latents)
  expect_identical(c(before$estimates, after$estimates), c(0, 1))
  range <- apply(before$latents, 2, base::range)
  at <- 0
  for (cell in which(lengths(before$prior$theta) > 0)) {
    j <- (cell + 1) %/% 2
    rows <- data$targets[data$env, j] == (cell + 1) %% 2
    theta <- before$prior$theta[[cell]]
    score <- function(z) {
      on <- cell_parts(z, j, data$parents, theta, range)
      # effects are those of the mechanisms as they were fitted, on their own knots
      on$basis * cell_parts(z, j, data$parents, theta, before$prior$range)$residual
    }
    apart <- (score(draws[[1]]) - score(draws[[2]]))[rows, ] * omega[rows]
    expected <- crossprod(apart) / (2 * before$prior$variance[cell])
    size <- length(theta)
    found <- matrix(after$missing[at + seq_len(size^2)], size)
    at <- at + size^2
    lower <- lower.tri(found, diag = TRUE)
    expect_close(found[lower], expected[lower], 1e-8)
  }
  expect_identical(at, length(after$missing) + 0)
})

test_that("what is known of coefficients: Gram matrix, local penalty, missing information", {
  data <- g_case(c(60, 50, 55))
  fit <- run_saem(data, start_of(data), g_settings(pieces = 3L, burn_in = 24L, iterations = 0L))
  greville <- vapply(1:7, function(i) mean(pmin(pmax(i - 3:1, 0), 4)), 0)
  difference <- t(vapply(1:5, function(r) {
    step <- diff(greville[r + 0:2])
    replace(numeric(7), r + 0:2, c(1 / step[1], -sum(1 / step), 1 / step[2]))
  }, numeric(7)))
  share <- vapply(0:2, function(s) pmax(0, 1 - abs((0:4) / 2 - s)), numeric(5))
  for (cell in which(lengths(fit$prior$theta) > 0)) {
    known <- fit$information[[cell]]
    lambda <- fit$prior$lambda[[cell]]
    penalty <- 0 * known$penalty
    for (k in seq_len(length(lambda) / 3)) {
      own <- 7 * (k - 1) + 1:7
      weights <- drop(share %*% lambda[3 * (k - 1) + 1:3])
      penalty[own, own] <- crossprod(difference * sqrt(weights))
    }
    # beside the jitter
    expect_lt(max(abs(known$penalty - penalty)), 1e-6 * max(abs(penalty)))
    expect_gt(min(eigen(known$gram + known$penalty - known$missing)$values), 0)
    expect_gt(sum(diag(known$missing)), 0)
  }
})

test_that("SAEM with general columns is the reference, draw for draw", {
  skip_on_cran()
  data <- g_case(c(60, 50, 55))
  data$mixing <- data$mixing %*% matrix(c(1, 0.5, 0, 0, 1, 0, 0.4, 0, 1), 3)
  data$mixing <- data$mixing / rep(sqrt(colSums(data$mixing^2)), each = 6)
  start <- start_of(data, mixing = data$mixing)
  start$latents <- data$x %*% data$mixing %*% solve(crossprod(data$mixing))
  tied <- rbind(0L, c(1L, 0L, 0L), c(1L, 1L, 0L))
  for (perfect in c(FALSE, TRUE)) {
    control <- g_settings(mixing = "unit", perfect = perfect, burn_in = 4L, iterations = 3L,
                          tied = if (perfect) 0L * tied else tied)
    fit <- run_saem(data, start, control)
    slow <- ref_saem(data$x, data$env, data$targets, data$parents, 1:3, c(1.2, 0.8, 1), start,
                     control, words)
    expect_identical(fit$status, "ok")
    expect_gt(max(abs(fit$mixing - start$mixing)), 0.01)
    expect_close(fit$state$latents, slow$state$latents, 1e-5)
    expect_close(fit$mixing, slow$mixing, 1e-5)
    expect_close(fit$sigma2, slow$sigma2, 1e-5)
    expect_close(fit$prior$variance, matrix(slow$prior$variance, 2), 1e-5)
  }
})

test_that("SAEM with noise in components is the reference, draw for draw", {
  skip_on_cran()
  data <- g_case(c(28, 22, 24))
  for (case in list(list(2L, FALSE), list(3L, TRUE))) {
    control <- g_settings(components = case[[1]], perfect = case[[2]], burn_in = 7L)
    start <- start_of(data)
    fit <- run_saem(data, start, control)
    slow <- slow_saem(data, start, control)
    expect_identical(fit$status, "ok")
    expect_close(fit$state$latents, slow$state$latents, 1e-6)
    expect_close(fit$mixing, slow$mixing, 1e-6)
    expect_close(fit$prior$noise$weight, slow$prior$noise$weight, 1e-6)
    expect_close(fit$prior$noise$mean, slow$prior$noise$mean, 1e-5)
    expect_close(fit$prior$noise$variance, slow$prior$noise$variance, 1e-5)
    expect_close(fit$prior$variance, matrix(slow$prior$variance, 2), 1e-6)
    expect_close(fit$prior$constant[, 1], slow$prior$constant[1:2], 1e-6)
    expect_close(fit$prior$theta[lengths(fit$prior$theta) > 0],
                 slow$prior$theta[lengths(fit$prior$theta) > 0], 1e-5)
    expect_lt(max(abs(colSums(fit$prior$noise$weight * fit$prior$noise$mean))), 1e-12)
  }
})

test_that("posterior draws are the reference, draw for draw, also for correlated columns of A", {
  skip_on_cran()
  data <- g_case()
  control <- g_settings()
  fit <- run_saem(data, start_of(data), control)
  mixing <- data$mixing %*% matrix(c(1, 0.4, 0, 0, 1, -0.3, 0.2, 0, 1), 3)
  model <- list(gram = crossprod(mixing), sigma2 = 0.5, walk_scale = fit$state$walk_scale,
                prior = fit$prior)
  projected <- data$x %*% mixing
  z <- data$x %*% mixing %*% solve(model$gram)
  got <- .Call(ebcrl:::C_latent_draws, projected, z, data$env, data$targets, data$parents, model,
               control)
  n <- nrow(z)
  draws <- means <- seconds <- array(0, c(n, 3, control$draws))
  states <- data$targets[data$env, ]
  listening <- cbind(TRUE, TRUE, rep(FALSE, n))
  for (i in seq_len(n)) {
    now <- z[i, ]
    for (t in seq_len(control$warm_up + control$draws)) {
      chance <- function(j) ref_moves(words, control$seed, control$stream + t, j - 1, i - 1)
      sweep <- ref_sweep(now, projected[i, ], model$gram, 0.5, fit$prior, states[i, ],
                         model$walk_scale[, data$env[i]], data$parents, 1:3, control$knots, chance)
      now <- sweep$z
      if (t > control$warm_up) {
        at <- t - control$warm_up
        draws[i, , at] <- now
        means[i, , at] <- ifelse(listening[i, ], now, sweep$centre)
        seconds[i, , at] <- means[i, , at]^2 + ifelse(listening[i, ], 0, sweep$spread^2)
      }
    }
  }
  mean <- apply(means, 1:2, mean)
  expect_close(got$chains, draws[, , control$draws], 1e-8)
  expect_close(got$latents, mean, 1e-8)
  expect_close(got$latents_sd, sqrt(apply(seconds, 1:2, mean) - mean^2), 1e-7)
  expect_close(got$draws, cbind(draws[, , 2], draws[, , 4]), 1e-8)
  quantiles <- lapply(c(0.1, 0.5), function(p) apply(draws, 1:2, stats::quantile, p))
  expect_close(got$quantiles, do.call(cbind, quantiles), 1e-8)
  halves <- apply(means[, , 1:2], 1:2, base::mean) - apply(means[, , 3:4], 1:2, base::mean)
  expect_close(drop(got$error), sqrt(colMeans(halves^2) / 4), 1e-8)
})

# Linear mechanisms as splines: the coefficients of a line are its values at Greville abscissae.
linear_prior <- function(slope, variance, knots = 6L, range = c(-20, 20)) {
  inner <- c(rep(0, 2), seq_len(knots) - 1, rep(knots - 1, 2))
  abscissae <- range[1] + rowMeans(stats::embed(inner, 3)) * diff(range) / (knots - 1)
  d <- nrow(slope)
  theta <- unlist(lapply(seq_len(d), function(j) {
    line <- unlist(lapply(which(slope[, j] != 0), function(k) slope[k, j] * abscissae))
    list(line, NULL)
  }), recursive = FALSE)
  list(theta = theta, lambda = lapply(theta, function(t) rep(1, length(t) / (knots + 2))),
       constant = matrix(0, 2, d), variance = rbind(variance, 1),
       range = matrix(range, 2, d))
}

test_that("with linear mechanisms the draws have the moments of the exact Gaussian posterior", {
  slope <- matrix(0, 3, 3)
  slope[1, 2] <- 0.8
  slope[1, 3] <- -0.5
  slope[2, 3] <- 1.2
  variance <- c(2, 1, 0.5)
  gram <- matrix(c(1, 0.3, 0, 0.3, 1, -0.2, 0, -0.2, 0.8), 3)
  sigma2 <- 0.7
  precision <- (diag(3) - slope) %*% diag(1 / variance) %*% t(diag(3) - slope) + gram / sigma2
  projected <- withr::with_seed(3, matrix(stats::rnorm(60 * 3, sd = 2), 60))
  exact <- t(solve(precision, t(projected) / sigma2))
  control <- g_settings(knots = 6L, warm_up = 50L, draws = 4000L, keep = 0L)
  model <- list(gram = gram, sigma2 = sigma2, walk_scale = matrix(1.5, 3, 1),
                prior = linear_prior(slope, variance))
  got <- .Call(ebcrl:::C_latent_draws, projected, projected, rep(1L, 60), matrix(0L, 1, 3),
               list(integer(), 1L, 1:2), model, control)
  sd <- sqrt(diag(solve(precision)))
  expect_lt(max(abs(t(got$latents - exact) / sd)), 0.15)
  expect_lt(sqrt(mean((t(got$latents - exact) / sd)^2)), 0.04)
  expect_equal(sqrt(colMeans(got$latents_sd^2)), sd, tolerance = 0.02)
  median <- got$quantiles[, 4:6]
  expect_lt(sqrt(mean((t(median - exact) / sd)^2)), 0.06)
  expect_true(all(drop(got$error) / sd < 0.05))
})

test_that("with noise in components the draws have the moments of the exact posterior", {
  # one latent, no graph: the posterior is a mixture with closed-form moments
  noise <- list(weight = c(0.7, 0.3), mean = c(-0.6, 1.4), variance = c(0.3, 3))
  variance <- sum(noise$weight * (noise$variance + noise$mean^2))
  prior <- list(theta = list(NULL, NULL), lambda = list(NULL, NULL),
                constant = matrix(c(1, 0), 2), variance = matrix(c(variance, 1), 2),
                range = matrix(c(-5, 5), 2), noise = lapply(noise, cbind, c(0.5, 0.5)))
  sigma2 <- 0.8
  projected <- matrix(seq(-4, 6, length.out = 60))
  evidence <- vapply(1:2, function(s) {
    noise$weight[s] * stats::dnorm(projected, 1 + noise$mean[s], sqrt(noise$variance[s] + sigma2))
  }, projected)
  share <- matrix(evidence / rowSums(matrix(evidence, 60)), 60)
  spread <- 1 / (1 / noise$variance + 1 / sigma2)
  means <- vapply(1:2, function(s) {
    spread[s] * ((1 + noise$mean[s]) / noise$variance[s] + drop(projected) / sigma2)
  }, drop(projected))
  exact <- rowSums(share * means)
  sd <- sqrt(rowSums(share * (means^2 + rep(spread, each = 60))) - exact^2)
  control <- g_settings(components = 2L, warm_up = 50L, draws = 4000L, keep = 0L)
  model <- list(gram = matrix(1), sigma2 = sigma2, walk_scale = matrix(1), prior = prior)
  got <- .Call(ebcrl:::C_latent_draws, projected, projected, rep(1L, 60), matrix(0L, 1, 1),
               list(integer()), model, control)
  expect_lt(max(abs(drop(got$latents) - exact) / sd), 0.1)
  expect_lt(sqrt(mean(((drop(got$latents) - exact) / sd)^2)), 0.03)
  expect_lt(max(abs(drop(got$latents_sd) / sd - 1)), 0.08)
})

test_that("SAEM with general columns keeps them at length 1 and near the truth", {
  data <- g_case(c(200, 200, 200))
  data$mixing <- data$mixing %*% matrix(c(1, 0.5, 0, 0, 1, 0, 0.4, 0, 1), 3)
  data$mixing <- data$mixing / rep(sqrt(colSums(data$mixing^2)), each = 6)
  data$x <- withr::with_seed(4, data$z[seq_len(600), ] %*% t(data$mixing) +
                               sqrt(0.5) * matrix(stats::rnorm(3600), 600))
  start <- start_of(data, mixing = data$mixing)
  run <- function(mixing) {
    start$mixing <- if (mixing == "lengths") ref_polar(data$mixing) else data$mixing
    start$latents <- data$x %*% start$mixing %*% solve(crossprod(start$mixing))
    # a complete graph and imperfect interventions: no latent is told from a sum with its ancestors
    run_saem(data, start, g_settings(mixing = mixing, burn_in = 40L, iterations = 60L,
                                     tied = rbind(0L, c(1L, 0L, 0L), c(1L, 1L, 0L))))
  }
  free <- run("unit")
  expect_equal(colSums(free$mixing^2), rep(1, 3))
  error <- function(fit) sum((fit$mixing - data$mixing)^2)
  expect_lt(error(free), 0.05)
  expect_gt(error(run("lengths")), 2 * error(free))
  held <- run("held")
  expect_identical(held$mixing, data$mixing)
})
