# The measurement model: x = mu + A z + eps, eps ~ N(0, diag(psi)). What the second moments of x say
# on it, before anything is known of the graph: mean, noise, the span of A, how many factors there
# are. By maximum-likelihood factor analysis (src/factor.c).

# S is held in memory (p x p) up to this many features; beyond, its eigenvectors come from passes
# over the rows.
DENSE_FEATURES <- 500L

# Level of the test that decides whether feature means lie in the span of A.
CENTER_LEVEL <- 1e-3

#' Second moments of x, about its mean or about 0
#'
#' @param data `crl_data`.
#' @return list: what the routines of src/r_measure.c take: `x`, `env`, `omega`, `mean` (p or NULL),
#'   `second` (p x p, or NULL where it is not held), `square` (p, its diagonal), `threads`
#' @noRd
feature_moments <- function(data, centered, threads = 1L) {
  omega <- row_weights(data)
  sums <- .Call(C_feature_moments, data$x, data$env, omega, threads)
  mean <- drop(sums$mean)
  second <- if (data$p <= DENSE_FEATURES) {
    .Call(C_moment_matrix, data$x, data$env, omega, if (centered) mean, threads)
  }
  square <- if (is.null(second)) drop(sums$square) - centered * mean^2 else diag(second)
  list(x = data$x, env = data$env, omega = omega, mean = if (centered) mean, second = second,
       square = square, threads = threads)
}

#' Maximum-likelihood factor analysis
#'
#' @param moments See feature_moments().
#' @param q Number of factors.
#' @param equal Equal noise variances, which is probabilistic principal component analysis?
#' @return list: `psi` (p), `loadings` (p x q), `values` (q, of the whitened moments), `loglik` (of
#'   all rows, as if they were normal), `parameters`, `converged`, `floored`
#' @noRd
factor_analysis <- function(moments, q, equal, start = 0.5 * moments$square, call) {
  fit <- with(moments, .Call(C_factor_fit_model, x, env, omega, mean, second, square, start,
                             list(q = q, equal = equal, tol = 1e-6, threads = threads)))
  check_status(fit$status, call)
  n <- nrow(moments$x)
  p <- ncol(moments$x)
  list(psi = drop(fit$psi), loadings = fit$loadings, values = drop(fit$values),
       loglik = -n / 2 * (p * log(2 * pi) + fit$objective),
       parameters = (if (equal) 1 else p) + p * q - q * (q - 1) / 2,
       converged = fit$converged, floored = fit$floored, unconverged = fit$unconverged)
}

#' Are feature means in the span of the loadings?
#'
#' Twice the gain in log-likelihood, with the span free in both, if means are too: what the q
#' leading eigenvectors leave of the whitened moments about 0, less the same about the mean. It is
#' p - q in expectation, and as the span of what is left of the latents about their mean is less well
#' told, (p - q) / (theta - 1) more for each of its eigenvalues theta, and less for each about 0.
#' @param psi Noise variances, from the moments about the mean.
#' @return list: `statistic`, scaled to chi-squared with `df` degrees of freedom where means are in
#'   the span; `p_value`
#' @noRd
mean_test <- function(about_zero, about_mean, psi, q, call) {
  whitened <- function(moments) {
    top <- with(moments, .Call(C_leading_moments, x, env, omega, mean, second, 1 / sqrt(psi),
                               list(q = q, threads = threads)))
    check_status(top$status, call)
    c(left = sum(moments$square / psi) - sum(top$values),
      untold = sum(1 / pmax(top$values - 1, 0)))
  }
  df <- length(psi) - q
  difference <- whitened(about_zero) - whitened(about_mean)
  statistic <- nrow(about_zero$x) * difference[["left"]] / max(1 - difference[["untold"]], 1)
  list(statistic = statistic, df = df,
       p_value = stats::pchisq(statistic, df, lower.tail = FALSE))
}
