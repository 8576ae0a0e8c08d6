# g-modeling with Gaussian priors: prior = "linear" (exact EM on moments), "normal" (closed form).

# z1 -> z3 <- z2, the second column of data domains with unequal weights
triangle <- matrix(c(0, 0, 0, 1, 0, 0, 1, 1, 0), 3)
parents <- list(integer(), 1L, 1:2)

linear_sim <- function(seed, n = 150, dag = triangle, ...) {
  withr::with_seed(seed, sim_crl(dag, n = n, p = 9, sigma2 = 1, nonlinearity = "linear", ...))
}

linear <- function(...) crl_control(prior = "linear", ...)
normal <- function(...) crl_control(prior = "normal", ...)
g <- function(sim, ...) fit_crl(sim, method = "g", ...)

oblique <- function(p = 9, d = 3) {
  withr::with_seed(7, {
    a <- matrix(stats::rnorm(p * d), p)
    a / rep(sqrt(colSums(a^2)), each = p)
  })
}

test_that("EM is that of the reference, by mixing and intervention", {
  skip_on_cran()
  sim <- linear_sim(1, n = c(20, 25, 30))
  start <- list(mixing = qr.Q(qr(sim$mixing + 0.2 * oblique())), sigma2 = 1.5)
  weights <- c(1, 2, 1.5)
  omega <- sum(c(20, 25, 30)) * weights / sum(weights) / c(20, 25, 30)
  check <- function(kind, mixing, init = start, perfect = FALSE, ...) {
    fit <- g(sim, init = init, weights = weights, control = linear(
      mixing = mixing, max_iter = 6, tol = 0, knots = 2,
      intervention = if (perfect) "perfect" else "imperfect", ...
    ))
    reference <- ref_gaussian_em(sim$x, as.integer(sim$env), sim$targets, parents, omega, init,
                                 perfect, kind, 6, learn_sigma2 = !("sigma2" %in% ...names()))
    expect_close(fit$mixing, reference$mixing, 1e-9)
    expect_close(fit$sigma2, reference$sigma2, 1e-9)
    expect_close(fit$prior$intercept, reference$prior$intercept, 1e-9)
    expect_close(fit$prior$slope, reference$prior$slope, 1e-9)
    expect_close(fit$latent_noise_var, t(reference$prior$variance), 1e-9)
    expect_close(fit$trace$loglik, reference$loglik, 1e-11)
    post <- ref_gaussian_posterior(sim$x, sim$targets[as.integer(sim$env), ], rep(1, 75),
                                   reference$mixing, reference$sigma2, reference$prior)
    expect_close(fit$latents, post$mean, 1e-8)
    expect_close(fit$latents_sd, t(sqrt(vapply(post$cov, diag, numeric(3)))), 1e-9)
  }
  check("orthogonal", "orthonormal")
  check("orthogonal", "orthonormal", perfect = TRUE)
  check("orthogonal", "diagonal",
        init = list(mixing = start$mixing %*% diag(c(1, 2, 0.5)), sigma2 = 1))
  check("unit", "psd", init = list(mixing = oblique(), sigma2 = 2))
  check("unit", "psd", init = list(mixing = oblique(), sigma2 = 2), perfect = TRUE)
  check("none", "fixed", init = list(mixing = oblique() * 2, sigma2 = 2), sigma2 = "fixed")
})

test_that("the log-likelihood never falls, and its gradient at the end is 0", {
  sim <- linear_sim(2, n = 60)
  parts <- function(fit) {
    c(fit$mixing, log(fit$sigma2), fit$prior$intercept, fit$prior$slope,
      log(fit$prior$variance))
  }
  states <- sim$targets[as.integer(sim$env), ]
  loglik <- function(theta, fit) {
    at <- split(theta, rep(1:5, c(27, 1, 6, 18, 6)))
    mixing <- matrix(at[[1]], 9)
    if (fit$control$mixing == "orthonormal") mixing <- ref_polar(mixing)
    prior <- list(intercept = matrix(at[[3]], 2), slope = array(at[[4]], c(3, 2, 3)),
                  variance = matrix(exp(at[[5]]), 2))
    sum(vapply(1:3, function(e) {
      rows <- sim$x[as.integer(sim$env) == e, ]
      z <- ref_gaussian_latents(prior, sim$targets[e, ])
      cov <- mixing %*% z$cov %*% t(mixing) + diag(exp(at[[2]]), 9)
      gap <- rows - rep(drop(mixing %*% z$mean), each = nrow(rows))
      -nrow(rows) / 2 * (9 * log(2 * pi) + c(determinant(cov)$modulus)) -
        sum(gap * t(solve(cov, t(gap)))) / 2
    }, 0))
  }
  for (mixing in c("orthonormal", "psd")) {
    fit <- g(sim, control = linear(mixing = mixing, tol = 1e-9, max_iter = 20000,
                                   intervention = "perfect"))
    expect_true(fit$converged)
    expect_true(all(diff(fit$trace$loglik) >= -1e-8))
    expect_close(loglik(parts(fit), fit), fit$loglik, 1e-12)
    # slopes where there is no edge are no parameters
    edge <- array(0, c(3, 2, 3))
    edge[1, 1, 2] <- edge[1:2, 1, 3] <- 1
    free <- c(rep(1, 27 + 1 + 6), edge, rep(1, 6)) == 1
    gradient <- ref_gradient(function(theta) loglik(replace(parts(fit), free, theta), fit),
                             parts(fit)[free])
    expect_lt(max(abs(gradient)), 1e-3)
  }
})

test_that("perfect interventions have no slopes", {
  fit <- g(linear_sim(3), control = linear(intervention = "perfect", max_iter = 5))
  expect_identical(sum(fit$prior$slope[, 2, ] != 0), 0L)
  expect_identical(fit$cells$coefficients, c(1L, 1L, 2L, 1L, 3L, 1L))
  expect_identical(nrow(fit$mechanism_coef), 9L)
})

test_that("linear models are recovered up to the Bayes optimum", {
  skip_on_cran()
  ratio <- vapply(1:2, function(seed) {
    sim <- withr::with_seed(seed, sim_crl(chain_dag(4), n = 2000, p = 40, nonlinearity = "linear"))
    fit <- g(sim, control = linear())
    truth <- ebcrl:::truth_like(fit, sim)
    expect_equal(mean(fit$quantiles[, , 1] < truth & truth < fit$quantiles[, , 3]), 0.9,
                 tolerance = 0.01)
    expect_equal(unname(fit$latent_noise_var), cbind(rep(4, 4), rep(1, 4)), tolerance = 0.1)
    rel_mse(fit, sim) / rel_mse(withr::with_seed(1, bayes_latents(sim)), sim)
  }, 0)
  expect_lt(max(ratio), 1.02)
})

test_that("an iteration reads no rows: as many of them give the same moments, and the same fit", {
  sim <- linear_sim(4, n = 40)
  init <- list(mixing = sim$mixing)
  rows <- rep(seq_len(nrow(sim$x)), 3)
  once <- g(sim, init = init, control = linear(mixing = "orthonormal", max_iter = 20, tol = 0))
  thrice <- fit_crl(sim$x[rows, ], sim$env[rows], sim$targets, sim$dag, method = "g", init = init,
                    control = linear(mixing = "orthonormal", max_iter = 20, tol = 0))
  expect_close(thrice$mixing, once$mixing, 1e-10)
  expect_close(thrice$loglik, 3 * once$loglik, 1e-12)
  # what EM works on is as large for any number of rows
  moments <- function(x, env) {
    .Call(ebcrl:::C_target_moments, x, x, as.integer(env), sim$targets, rep(1, 3), 1:3, 1L)
  }
  expect_identical(utils::object.size(moments(sim$x, sim$env)),
                   utils::object.size(moments(sim$x[rows, ], sim$env[rows])))
})

test_that("moments are those of the rows; domains with the same targets are pooled", {
  x <- withr::with_seed(1, matrix(stats::rnorm(1300 * 4), 1300))
  env <- withr::with_seed(2, sample(rep_len(1:3, 1300)))
  targets <- rbind(c(0L, 1L), c(1L, 0L), c(0L, 1L))
  omega <- c(0.5, 1, 2)
  moments <- .Call(ebcrl:::C_target_moments, x, x, env, targets, omega, c(1L, 2L, 1L), 1L)
  w <- omega[env]
  for (group in 1:2) {
    rows <- c(1, 2, 1)[env] == group
    expect_close(moments$weight[group], sum(w[rows]), 1e-12)
    expect_close(moments$mean[, group], colSums(w[rows] * x[rows, ]) / sum(w[rows]), 1e-11)
    expect_close(moments$second[, , group],
                 crossprod(x[rows, ], w[rows] * x[rows, ]) / sum(w[rows]), 1e-11)
  }
  expect_close(moments$sum_sq, sum(w * x^2), 1e-12)
  sim <- linear_sim(5, n = 60)
  split <- fit_crl(sim$x, rep(1:6, each = 30), sim$targets[rep(1:3, each = 2), ] |>
                     `rownames<-`(NULL), sim$dag, method = "g", control = linear(max_iter = 30))
  whole <- g(sim, control = linear(max_iter = 30))
  expect_close(split$mixing, whole$mixing, 1e-7)
})

test_that("order of rows and threads do not matter", {
  sim <- linear_sim(6, n = 3000)
  fit <- g(sim, init = list(mixing = sim$mixing),
           control = linear(mixing = "orthonormal", max_iter = 5))
  threads <- g(sim, init = list(mixing = sim$mixing),
               control = linear(mixing = "orthonormal", max_iter = 5, threads = 3))
  expect_identical(threads$latents, fit$latents)
  expect_identical(threads$mixing, fit$mixing)
  rows <- withr::with_seed(1, sample(nrow(sim$x)))
  other <- fit_crl(sim$x[rows, ], sim$env[rows], sim$targets, sim$dag, method = "g",
                   init = list(mixing = sim$mixing),
                   control = linear(mixing = "orthonormal", max_iter = 5))
  expect_close(other$latents, fit$latents[rows, ], 1e-8)
})

test_that("a linear fit goes on from another, and spline mechanisms from it", {
  sim <- linear_sim(7)
  half <- g(sim, control = linear(max_iter = 10, tol = 0))
  rest <- g(sim, init = half, control = linear(max_iter = 10, tol = 0))
  whole <- g(sim, control = linear(max_iter = 20, tol = 0))
  expect_close(rest$mixing, whole$mixing, 1e-9)
  expect_close(rest$prior$slope, whole$prior$slope, 1e-9)
  # SAEM goes on from it in the form of splines
  splines <- ebcrl:::as_splines(whole$prior, ebcrl:::prior_control(crl_control()))
  z <- matrix(c(-30, 0.5, 40), 1)
  for (j in 2:3) for (state in 0:1) {
    line <- whole$prior$intercept[state + 1, j] + sum(whole$prior$slope[, state + 1, j] * z)
    expect_equal(ref_prior_mean(splines, j, state, z, parents, 20), line)
  }
  few <- crl_control(saem = saem_control(burn_in = 2, iterations = 3, draws = 20), seed = 1)
  spline <- g(sim, init = whole, control = few)
  expect_equal(spline$sigma2, whole$sigma2, tolerance = 0.05)
})

test_that("update() goes on with the EM of a linear prior", {
  skip_on_cran()
  sim <- linear_sim(7)
  for (mixing in c("orthonormal", "diagonal", "psd")) {
    short <- g(sim, control = linear(mixing = mixing, max_iter = 10, tol = 0))
    whole <- g(sim, control = linear(mixing = mixing, max_iter = 20, tol = 0))
    further <- update(short, max_iter = 10)
    expect_close(further$mixing, whole$mixing, 1e-9)
    expect_close(further$latents, whole$latents, 1e-9)
    expect_equal(further$trace, whole$trace, tolerance = 1e-7)
    same <- c("iterations", "counts", "control", "init", "start", "optima")
    expect_identical(further[same], whole[same])
  }
  done <- update(short, 500, tol = 1e-4)
  expect_true(done$converged)
  expect_lt(done$iterations, 510)
  expect_identical(update(done, 500)[c("mixing", "trace")], done[c("mixing", "trace")])
  expect_error(update(short, 10, lambda = 3), class = "ebcrl_error_control")
})

test_that("update() learns sigma2 where the fit did, and leaves a closed form as it is", {
  sim <- linear_sim(7)
  held <- g(sim, init = list(mixing = sim$mixing), control = linear(max_iter = 5, tol = 0))
  both <- g(sim, init = list(mixing = sim$mixing, sigma2 = 1.5),
            control = linear(max_iter = 5, tol = 0))
  expect_false(update(held, 5)$sigma2 == held$sigma2)
  expect_identical(update(both, 5)$sigma2, 1.5)
  closed <- g(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag, control = normal())
  same <- setdiff(names(closed), "seconds")
  expect_identical(update(closed, 10)[same], closed[same])
})

test_that("predict() composes states, simulate() draws the posterior", {
  skip_on_cran()
  sim <- linear_sim(8)
  fit <- g(sim, control = linear(max_iter = 50))
  expect_equal(predict(fit, sim$x, env = sim$env), fit$latents)
  both <- predict(fit, sim$x[1:4, ], targets = "z1+z3")
  post <- ref_gaussian_posterior(sim$x[1:4, ], matrix(c(1, 0, 1), 4, 3, byrow = TRUE), rep(1, 4),
                                 unname(fit$mixing), fit$sigma2, fit$prior)
  expect_close(both, post$mean, 1e-9)
  sds <- predict(fit, sim$x[1:4, ], targets = "z1+z3", type = "sd")
  expect_close(sds, t(sqrt(vapply(post$cov, diag, numeric(3)))), 1e-9)
  draws <- simulate(fit, nsim = 4000, seed = 3)
  expect_identical(dim(draws), c(450L, 3L, 4000L))
  expect_close(apply(draws[1:5, , ], 1:2, mean), fit$latents[1:5, ], 0.02)
  exact <- ref_gaussian_posterior(sim$x[1:2, ], sim$targets[c(1, 1), ], c(1, 1),
                                  unname(fit$mixing), fit$sigma2, fit$prior)$cov[[1]]
  expect_close(stats::cov(t(draws[1, , ])), exact, 0.06)
  domain <- withr::with_seed(1, simulate_domain(fit, "z1", 5000))
  expect_equal(mean(domain$z[, 1]), fit$prior$intercept[2, 1], tolerance = 0.01)
  expect_equal(fit$quantiles[, , 3], fit$latents + stats::qnorm(0.95) * fit$latents_sd)
})

test_that("states without rows are unknown, in linear priors", {
  sim <- linear_sim(9)
  rows <- sim$env != "do(z3)"
  fit <- fit_crl(sim$x[rows, ], droplevels(sim$env[rows]), sim$targets[1:2, ], sim$dag,
                 method = "g", control = linear(max_iter = 3))
  expect_identical(is.na(unname(fit$latent_noise_var)), cbind(rep(FALSE, 3), c(FALSE, FALSE, TRUE)))
  expect_identical(nrow(fit$cells), 5L)
  expect_error(predict(fit, sim$x[1:2, ], targets = "z3"), class = "ebcrl_error_unseen_state")
})

test_that("within the principal components little is lost, and the fit says so", {
  skip_on_cran()
  sim <- withr::with_seed(3, sim_crl(chain_dag(3), n = 300, p = 60, nonlinearity = "linear"))
  exact <- g(sim, control = linear())
  expect_null(exact$subspace)
  basis <- eigen(crossprod(sim$x))$vectors[, 1:12]
  begin <- list(mixing = crossprod(basis, unname(exact$mixing)), sigma2 = exact$sigma2,
                prior = ebcrl:::empty_prior(3), given = FALSE)
  control <- linear()
  control$mixing <- "orthonormal"
  reduced <- ebcrl:::linear_em(exact$data, basis, 1:3, begin, control, TRUE, 1e-3)
  mixing <- basis %*% reduced$mixing
  expect_lt(reduced$loglik, exact$loglik)
  lost <- frobenius_error(mixing, list(mixing = unname(exact$mixing)))
  expect_lt(lost, 0.3 * frobenius_error(exact, sim))
  # the log-likelihood is that of all of x
  states <- sim$targets[as.integer(sim$env), ]
  some <- ref_gaussian_posterior(sim$x, states, rep(1, 900), mixing, reduced$sigma2, reduced$prior)
  expect_close(reduced$loglik, some$loglik, 1e-11)
  wide <- withr::with_seed(3, sim_crl(chain_dag(3), n = 50, p = 1300, nonlinearity = "linear"))
  fit <- g(wide, control = linear(max_iter = 3, start = start_search(starts = 2)))
  expect_identical(fit$subspace, 12L)
  expect_output(print(fit), "12 leading principal components")
  # with A held, what is outside its columns has no say
  held <- g(wide, init = list(mixing = wide$mixing), control = linear(max_iter = 3))
  expect_null(held$subspace)
  expect_identical(unname(held$mixing), unname(wide$mixing))
})

test_that("prior = normal is the eigenvalue solution", {
  sim <- linear_sim(10)
  fit <- g(sim, control = normal())
  second <- crossprod(sim$x) / nrow(sim$x)
  values <- eigen(second)$values
  expect_close(fit$sigma2, mean(values[4:9]), 1e-10)
  expect_close(eigen(tcrossprod(fit$mixing))$values[1:3], values[1:3] - fit$sigma2, 1e-10)
  expect_true(all(latent_signs(fit$mixing, fit$data, fit$control) == 1))
  # closed form of the log-likelihood at the maximum (Tipping and Bishop 1999)
  n <- nrow(sim$x)
  expect_close(fit$loglik, -n / 2 * (9 * log(2 * pi) + sum(log(values[1:3])) +
                                       6 * log(fit$sigma2) + 9), 1e-12)
  loglik <- function(theta) {
    cov <- tcrossprod(matrix(theta[1:27], 9)) + diag(exp(theta[28]), 9)
    -n / 2 * (9 * log(2 * pi) + c(determinant(cov)$modulus) + sum(second * solve(cov)))
  }
  at <- c(fit$mixing, log(fit$sigma2))
  expect_close(loglik(at), fit$loglik, 1e-12)
  expect_lt(max(abs(ref_gradient(loglik, at))), 1e-4)
  posterior <- solve(diag(3) + crossprod(fit$mixing) / fit$sigma2)
  expect_close(fit$latents, sim$x %*% fit$mixing %*% posterior / fit$sigma2, 1e-10)
  expect_close(fit$latents_sd, matrix(sqrt(diag(posterior)), n, 3, byrow = TRUE), 1e-10)
  # graph and targets have no say, but for signs
  other <- fit_crl(sim$x, sim$env, sim$targets[3:1, ] |> `rownames<-`(levels(sim$env)),
                   empty_dag(3), method = "g", control = normal())
  expect_identical(abs(other$latents), abs(fit$latents))
  expect_identical(predict(fit, sim$x[1:3, ], targets = "none"), fit$latents[1:3, ])
})

test_that("prior = normal: weights, units, A or sigma2 held", {
  sim <- linear_sim(11, n = c(50, 60, 70))
  weights <- c(3, 1, 1)
  fit <- g(sim, weights = weights, control = normal())
  w <- (180 * weights / 5 / c(50, 60, 70))[as.integer(sim$env)]
  second <- crossprod(sim$x, w * sim$x) / 180
  expect_close(fit$sigma2, mean(eigen(second)$values[4:9]), 1e-10)
  unit <- g(sim, weights = weights, control = normal(mixing = "orthonormal"))
  expect_equal(unname(crossprod(unit$mixing)), diag(3))
  expect_equal(unit$loglik, fit$loglik)
  expect_equal(unit$latent_noise_var[, 1], colSums(fit$mixing^2))
  expect_equal(unit$latents, fit$latents * rep(sqrt(unit$latent_noise_var[, 1]), each = 180))
  held <- g(sim, weights = weights, init = list(mixing = oblique()), control = normal())
  expect_identical(held$control$mixing, "fixed")
  loglik <- function(log_sigma2) {
    cov <- tcrossprod(oblique()) + diag(exp(log_sigma2), 9)
    -90 * (9 * log(2 * pi) + c(determinant(cov)$modulus) + sum(second * solve(cov)))
  }
  expect_close(loglik(log(held$sigma2)), held$loglik, 1e-12)
  expect_lt(abs(ref_gradient(loglik, log(held$sigma2))), 1e-2)
  given <- g(sim, init = list(mixing = oblique(), sigma2 = 3), control = normal())
  expect_identical(given$sigma2, 3)
  half <- g(sim, init = list(mixing = oblique(), sigma2 = 0.5),
            control = normal(mixing = "diagonal", sigma2 = "fixed"))
  expect_identical(half$sigma2, 0.5)
  expect_equal(unname(colSums(half$mixing^2)),
               eigen(crossprod(sim$x) / 180)$values[1:3] - 0.5)
})

test_that("logLik() counts parameters", {
  skip_on_cran()
  sim <- linear_sim(12)
  linear_fit <- g(sim, control = linear(intervention = "perfect"))
  expect_identical(c(logLik(linear_fit)), linear_fit$loglik)
  # A: 27 - 6; intercepts 6, slopes 3, variances 6; sigma2
  expect_identical(attr(logLik(linear_fit), "df"), 21 + 15 + 1)
  expect_identical(attr(logLik(g(sim, control = normal())), "df"), 27 - 3 + 1)
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  expect_identical(attr(logLik(g(sim, init = known, control = linear())), "df"), 18)
  expect_lt(stats::BIC(linear_fit), stats::BIC(g(sim, control = normal())))
  learned <- g(sim, init = known, control = linear(sigma2 = "learned", max_iter = 2))
  expect_identical(attr(logLik(learned), "df"), 19)
  expect_error(logLik(fit_crl(sim, control = crl_control(max_iter = 0))),
               class = "ebcrl_error_method")
})

test_that("methods know of Gaussian priors", {
  sim <- linear_sim(13)
  fit <- g(sim, control = linear(max_iter = 40, tol = 0))
  pca <- g(sim, control = normal())
  expect_output(print(summary(fit)), "linear mechanisms, Gaussian noise")
  expect_output(print(fit), "Not converged in 40 iterations of EM")
  expect_output(print(pca), "closed form")
  expect_output(print(pca), "Graph and targets are not used")
  expect_output(print(summary(fit)), "Mechanisms, by node and target state")
  expect_named(glance(pca), c("nobs", "features", "latents", "domains", "sigma2",
                              "variance_explained", "loglik",
                              "noise_floored", "iterations", "converged", "elapsed"))
  expect_named(fit$trace, c("iteration", "sigma2", "loglik", "change",
                            paste0("noise_var_z", rep(1:3, each = 2), "_state", 0:1)))
  expect_identical(fit$trace$loglik[40], fit$loglik)
  expect_s3_class(autoplot(fit, type = "convergence"), "ggplot")
  expect_s3_class(autoplot(fit, type = "mechanisms"), "ggplot")
  expect_error(autoplot(pca, type = "convergence"), class = "ebcrl_error_range")
  expect_identical(mechanisms(pca)$mean, rep(0, 6))
  curve <- mechanisms(fit, points = 3)
  slope <- fit$prior$slope[1, 1, 2]
  at <- curve[curve$node == "z2" & curve$state == 0, ]
  expect_equal(diff(at$mean), diff(at$z) * slope)
})
