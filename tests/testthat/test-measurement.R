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
       weights = weights %||% (size / nrow(x)))
}

passes_only <- function(moments) {
  moments["second"] <- list(NULL)
  moments
}

top_of <- function(moments, scale, q) {
  with(moments, .Call(C_leading_moments, x, env, omega, mean, second, scale,
                      list(q = q, threads = threads)))
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
      if (centered) expect_close(moments_times(passes_only(one), v), slow$second %*% v, 1e-10)
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
    for (m in list(moments, passes_only(moments), passes_only(replace(moments, "threads", 2L)))) {
      top <- top_of(m, scale, 3L)
      expect_identical(top$status, 0L)
      expect_close(top$values, e$values[1:3], 1e-8)
      expect_columns(top$vectors, e$vectors[, 1:3], 1e-6)
    }
  }
  thrice <- lapply(1:2, function(k) top_of(passes_only(replace(moments, "threads", k)), scale, 3L))
  expect_identical(thrice[[1]], thrice[[2]])
})

test_that("leading eigenvectors by passes, with fewer rows than features", {
  withr::local_seed(3)
  x <- factor_rows(12, 40, 2)
  moments <- feature_moments(as_rows(x), TRUE)
  e <- eigen(moments$second, symmetric = TRUE)
  top <- top_of(passes_only(moments), rep(1, 40), 11L) # all there are
  expect_identical(top$status, 0L)
  expect_close(top$values, e$values[1:11], 1e-8)
})

test_that("factor analysis agrees with ECME in R and with stats::factanal(); passes with dense", {
  withr::local_seed(4)
  x <- factor_rows(400, 9, 2, psi = exp(seq(-1.5, 1.5, length.out = 9)), mean = 5)
  moments <- feature_moments(as_rows(x), TRUE)
  s <- moments$second
  for (equal in c(TRUE, FALSE)) {
    slow <- ref_factor_analysis(s, 2, equal)
    for (m in list(moments, passes_only(moments))) {
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
    mean_test(zero, about, factors_of(about, 2L, TRUE)$psi, 2L, NULL)$p_value
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
  linear = list(control = crl_control(mechanisms = "linear")),
  em = list(method = "g", control = crl_control(prior = "linear")),
  saem = list(method = "g",
              control = crl_control(burn_in = 20, iterations = 20, draws = 20, seed = 1))
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
      limit <- if (case == "nuisance") 1.2 else 1.08
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
