# The linear-Gaussian model of x by domains (src/model/factor_domains.c, R/measurement_domains.R)

domain_control <- function(perfect = TRUE) {
  crl_control(intervention = if (perfect) "perfect" else "imperfect")
}

# A chain of three latents in seven features with unequal noise, correlated columns and one nuisance
# factor; what the kernel takes of it
few_features <- function(seed = 1, n = 300, nuisance = 1, p = 7, nonlinearity = "linear") {
  withr::with_seed(seed, {
    sim <- sim_crl(chain_dag(3), n = n, p = p, nonlinearity = nonlinearity, nuisance = nuisance,
                   nuisance_sd = 3, center = stats::rnorm(p, 0, 5),
                   noise_sd = exp(stats::rnorm(p, 0, 0.5)))
  })
  sim$data <- crl_data(sim$x, sim$env, sim$targets, sim$dag, NULL, 8L)
  sim
}

# -2 log-likelihood / n less p log(2 pi), from the rows themselves
slow_objective <- function(model, data, perfect) {
  d <- ncol(model$mixing)
  dag <- matrix(0L, d, d)
  dag[seq_len(data$d), seq_len(data$d)] <- data$dag
  loglik <- 0
  for (e in seq_len(data$n_domains)) {
    a <- c(data$targets[e, ], integer(d - data$d))
    mean <- numeric(d)
    cov <- matrix(0, d, d)
    total <- diag(d)
    slope <- matrix(0, d, d)
    for (j in seq_len(d)) {
      cell <- 2L * (j - 1L) + a[j] + 1L
      cut <- perfect && a[j] == 1L
      slope[j, ] <- model$coef[, cell] * dag[, j] * !cut
    }
    total <- solve(diag(d) - slope)
    at <- cbind(a + 1L, seq_len(d))
    mean <- total %*% model$intercept[at]
    cov <- total %*% diag(model$variance[at], d) %*% t(total)
    v <- model$mixing %*% cov %*% t(model$mixing) + diag(model$psi)
    x <- data$x[data$env == e, ]
    r <- sweep(x, 2L, model$center + model$mixing %*% mean)
    loglik <- loglik - nrow(x) / 2 * c(determinant(v)$modulus) - sum((r %*% solve(v)) * r) / 2
  }
  -2 * loglik / data$n
}

some_model <- function(data, q, seed = 2) {
  withr::with_seed(seed, list(
    mixing = matrix(stats::rnorm(data$p * q), data$p), psi = exp(stats::rnorm(data$p)),
    center = stats::rnorm(data$p), intercept = matrix(stats::rnorm(2 * q), 2L),
    variance = matrix(exp(stats::rnorm(2 * q)), 2L), coef = matrix(stats::rnorm(2 * q^2), q)
  ))
}

# A model with the conventions of the kernel: the first state of a latent has variance 1 and, with
# means, intercept 0
at_conventions <- function(model, data, centered) {
  q <- ncol(model$mixing)
  dag <- unclass(with_nuisance(data, q - data$d)$dag)
  model$variance[1L, ] <- 1
  model$intercept[1L, if (centered) seq_len(q) else -seq_len(data$d)] <- 0
  model$coef <- model$coef * dag[, rep(seq_len(q), each = 2L)]
  if (!centered) model$center[] <- 0
  model
}

kernel <- function(data, q, model, ..., max_iter = 0L, perfect = TRUE) {
  wide <- with_nuisance(data, q - data$d)
  settings <- utils::modifyList(
    list(equal = FALSE, centered = TRUE, perfect = perfect, least = 1e-6, orthogonal = 0L,
         weight = 100, latents = data$d, max_iter = max_iter), list(...)
  )
  .Call(C_factor_domains_model, domain_feature_moments(data), unname(wide$targets),
        unname(parent_list(wide$dag)), model, settings)
}

test_that("the objective by domains is that of the rows, and its gradient numerical", {
  data <- few_features()$data
  for (perfect in c(TRUE, FALSE)) {
    for (centered in c(TRUE, FALSE)) {
      model <- at_conventions(some_model(data, 4L), data, centered)
      if (perfect) model$coef[, 2L * seq_len(4L)] <- 0
      found <- kernel(data, 4L, model, centered = centered, perfect = perfect)
      expect_equal(found$objective, slow_objective(model, data, perfect), tolerance = 1e-9)
      # a step along the gradient of A and log psi changes F by its square
      step <- 1e-8
      unit <- domain_feature_moments(data)$unit
      along <- found$gradient[seq_len(data$p * 5L)]
      moved <- model
      moved$mixing <- model$mixing + step * unit * matrix(along[seq_len(data$p * 4L)], data$p)
      moved$psi <- model$psi * exp(step * along[-seq_len(data$p * 4L)])
      rise <- slow_objective(moved, data, perfect) - found$objective
      expect_equal(rise / step, sum(along^2), tolerance = 1e-3)
    }
  }
})

test_that("every entry of the gradient is numerical, with orthogonal columns asked for, too", {
  skip_if_not_installed("numDeriv")
  data <- few_features(n = 60)$data
  model <- at_conventions(some_model(data, 4L), data, TRUE)
  model$coef[, 2L * seq_len(4L)] <- 0
  unit <- domain_feature_moments(data)$unit
  penalty <- function(mixing) {
    cosines <- cov2cor(crossprod(mixing[, 1:3]))
    100 * sum(cosines[upper.tri(cosines)]^2)
  }
  # slopes 1 -> 2 and 2 -> 3 in state 0; intercepts and log v of the states 1
  packed <- c(model$mixing / unit, log(model$psi / unit^2), model$center / unit,
              model$intercept[2L, 1L], log(model$variance[2L, 1L]),
              model$coef[1L, 3L], model$intercept[2L, 2L], log(model$variance[2L, 2L]),
              model$coef[2L, 5L], model$intercept[2L, 3L], log(model$variance[2L, 3L]))
  value <- function(v) {
    p <- data$p
    m <- model
    m$mixing <- matrix(v[1:(4 * p)], p) * unit
    m$psi <- exp(v[4 * p + 1:p]) * unit^2
    m$center <- v[5 * p + 1:p] * unit
    s <- v[-(1:(6 * p))]
    m$intercept[2L, 1:3] <- s[c(1L, 4L, 7L)]
    m$variance[2L, 1:3] <- exp(s[c(2L, 5L, 8L)])
    m$coef[1L, 3L] <- s[3L]
    m$coef[2L, 5L] <- s[6L]
    slow_objective(m, data, TRUE) + penalty(m$mixing)
  }
  found <- kernel(data, 4L, model, orthogonal = 3L)
  expect_length(found$gradient, length(packed))
  expect_equal(drop(found$gradient), numDeriv::grad(value, packed), tolerance = 1e-6)
  expect_error(kernel(data, 4L, model, orthogonal = 5L), "more orthogonal columns")
})

test_that("the search ends where EM and a start at the truth do not go farther", {
  sim <- few_features()
  task <- list(moments = domain_feature_moments(sim$data), data = sim$data,
               control = domain_control(), call = NULL)
  fit <- domain_factor_number(task, 1L, FALSE)$fit
  expect_true(fit$model$converged)
  again <- kernel(sim$data, 4L, fit$model)
  expect_equal(slow_objective(fit$model, sim$data, TRUE), again$objective, tolerance = 1e-9)
  truth <- list(mixing = unname(cbind(sim$mixing, sim$nuisance$mixing * 3)), psi = sim$noise_var,
                center = unname(sim$center), intercept = matrix(0, 2L, 4L),
                variance = matrix(1, 2L, 4L), coef = matrix(0, 4L, 8L))
  expect_equal(length(truth$center), 7L)
  from <- domain_fit(task, 1L, truth, FALSE)
  expect_lt(fit$model$objective, from$model$objective + 1e-6)
  expect_gt(min(diag(abs(stats::cor(fit$model$mixing[, 1:3], sim$mixing)))), 0.9)
})

test_that("moments less parameters are counted", {
  data <- few_features()$data
  control <- domain_control()
  wide <- with_nuisance(data, 1L)
  # A 28, psi 7, mu 7, (intercept, log v) of three targeted states, two slopes in state 0
  expect_equal(domain_parameters(wide, 1L, 7, TRUE, control), 28 + 7 + 7 + 6 + 2)
  # no mu: three intercepts more instead of 7
  expect_equal(domain_parameters(wide, 1L, 7, FALSE, control), 28 + 7 + 3 + 6 + 2)
  expect_equal(domain_freedom(wide, 1L, control), 3 * 35 - 50)
  settings <- list(center = "auto", noise = "auto", nuisance = "auto")
  expect_true(needs_domains(data, settings, control))
  expect_false(needs_domains(data, utils::modifyList(settings, list(nuisance = 0L)), control))
  expect_false(needs_domains(data, utils::modifyList(settings, list(noise = "equal")), control))
})

test_that("few features: latents, nuisance factor, noise and means come out of one call", {
  skip_on_cran()
  sim <- few_features(n = 1000)
  control <- crl_control(intervention = "perfect", prior = prior_linear())
  messages <- testthat::capture_messages(
    fit <- fit_crl(sim, method = "g", nuisance = "auto", control = control)
  )
  expect_match(paste(messages, collapse = " "), "nuisance factor")
  expect_identical(fit$measurement$nuisance, 1L)
  expect_identical(fit$measurement$noise, "by_feature")
  truth <- align_latents(fit$mixing, sim$mixing)
  found <- fit$latents[, truth$permutation]
  expect_gt(min(abs(diag(stats::cor(found, sim$z)))), 0.9)
  expect_gt(abs(stats::cor(fit$nuisance$scores, sim$nuisance$scores)), 0.8)
  expect_equal(dim(predict(fit, sim$x[1:5, ], targets = sim$targets[sim$env[1:5], ])), c(5L, 3L))
  expect_equal(predict(fit, sim$x, env = sim$env), fit$latents, tolerance = 1e-8)
  expect_lt(mean(residuals(fit)^2), stats::var(as.vector(sim$x)))
  expect_equal(ncol(simulate_domain(fit, "z1", 10L)$x), 7L)
  again <- fit_crl(sim, method = "g", nuisance = "auto", control = control) |> suppressMessages()
  expect_identical(again$latents, fit$latents)
})

test_that("the fit by domains does not depend on the units of features", {
  sim <- few_features()
  settings <- list(center = TRUE, noise = "by_feature", nuisance = 1L)
  measured <- function(data) measure_domains(data, settings, domain_control(), NULL)
  one <- measured(sim$data)
  by <- 10^(-3:3)
  sim$data$x <- sim$data$x * rep(by, each = nrow(sim$x))
  other <- measured(sim$data)
  expect_equal(other$domains$loglik + sum(log(by)) * nrow(sim$x), one$domains$loglik,
               tolerance = 1e-7)
  expect_equal(other$noise_var / by^2, one$noise_var, tolerance = 1e-2)
})
