# Small simulations and fits for the tests of methods, plots and baselines.

small_sim <- function(seed = 1, n = 150, p = 12, ...) {
  withr::with_seed(seed, sim_crl(n = n, p = p, ...))
}

# Mixing matrix and noise variance known: one E-step, nothing to converge.
known <- function(sim) list(mixing = sim$mixing, sigma2 = sim$sigma2)

oracle_fit <- function(sim, ...) {
  fit_crl(sim, init = known(sim), control = crl_control(mixing = "fixed", ...))
}

unname_rows <- function(x) {
  rownames(x) <- NULL
  x
}

# A fit whose score is exactly linear, s_j = slopes[state, j] y_j: coefficients of a linear spline
# are the slope times the means of three consecutive knots.
linear_score <- function(fit, slopes) {
  knots <- fit$control$knots
  for (j in seq_len(ncol(slopes))) {
    range <- fit$score$range[, j]
    all_knots <- c(rep(range[1], 2), seq(range[1], range[2], length.out = knots),
                   rep(range[2], 2))
    for (state in 1:2) {
      fit$score$theta[[j]][[state]] <- slopes[state, j] * rowMeans(stats::embed(all_knots, 3))
    }
  }
  fit
}

# Squared Frobenius error over that of the best orthonormal A within the principal subspace.
over_floor <- function(fit, sim) {
  pca <- pca_start(fit$data)$orthonormal
  overlap <- svd(crossprod(pca, sim$mixing))
  frobenius_error(fit, sim) / sum((pca %*% overlap$u %*% t(overlap$v) - sim$mixing)^2)
}
