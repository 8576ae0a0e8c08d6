# The measurement model: x = mu + A z + eps, eps ~ N(0, diag(psi)). What the second moments of x say
# on it, before anything is known of the graph: mean, noise, the span of A, how many factors there
# are. By maximum-likelihood factor analysis (src/model/factor.c).

# S is held in memory (p x p) up to this many features; beyond, its eigenvectors come from passes
# over the rows.
DENSE_FEATURES <- 500L

# The same where each pass reads rows from elsewhere.
MOST_MOMENTS <- 4000L

# Level of the test that decides whether feature means lie in the span of A.
CENTER_LEVEL <- 1e-3

# Gradient of a factor analysis that only a choice rests on. (Errors of likelihoods go with its square.)
ROUGHLY <- 1e-2

# Below this share of the mean square of the features their noise is rounding, and has no pattern.
NOISELESS <- 1e-9

# Nuisance factors that are looked for at most.
MOST_NUISANCE <- 20L

# Quantile of the Tracy-Widom law (order 1) that an eigenvalue of noise is below: 99.9 percent.
TRACY_WIDOM <- 3.27

#' The measurement model that the second moments of x tell
#'
#' @param center,noise,nuisance As in fit_crl(), checked.
#' @return list: `center` (p, or NULL: no mean is fitted), `noise` ("equal" or "by_feature"),
#'   `noise_var` (p), `nuisance` (number of factors beside the latents), `span` (p x q: an
#'   orthonormal basis of the space of latents and nuisance factors), `span_noise` (q x q: N, the
#'   covariance of the noise of the coordinates in it), `values` (q: leading eigenvalues of the
#'   whitened moments), `told` (see told_directions()), `tests` (list: `center`, `noise`, `nuisance`: what the choices rest on),
#'   `counts`
#' @noRd
measure <- function(data, center, noise, nuisance, threads = 1L, call = rlang::caller_env()) {
  about_mean <- moments_about_mean(data, threads)
  about_zero <- if (!isTRUE(center)) about_zero(about_mean)
  shape <- if (isFALSE(center)) about_zero else about_mean
  found <- nuisance_factors(shape, data, nuisance, noise, call)
  center <- centered_beside(center, found$nuisance)
  q <- data$d + found$nuisance
  check_factors(data$p, q, noise, call)
  test <- NULL
  if (!isTRUE(center)) chosen <- chosen_noise(about_zero, q, noise, call)
  if (identical(center, "auto")) {
    # about the mean a latent may be weak, and a noisy feature pass for it; about 0 it is not
    equal <- chosen$noise == "equal"
    model <- factor_analysis(about_mean, q, equal, chosen$psi, call, ROUGHLY)
    test <- mean_test(about_zero, about_mean, model, call)
  }
  centered <- if (is.null(test)) center else test$p_value < CENTER_LEVEL
  if (centered) chosen <- chosen_noise(about_mean, q, noise, call)
  space <- factor_span(chosen$loadings, chosen$psi)
  space$told <- told_directions(chosen, space$span, data)
  c(list(center = if (centered) about_mean$mean, noise = chosen$noise, noise_var = chosen$psi,
         nuisance = found$nuisance, values = chosen$values,
         tests = list(center = test, noise = chosen$gain, nuisance = found$values),
         counts = c(noise_floored = chosen$floored, unconverged = !chosen$converged),
         about_zero = if (all(row_weights(data) == 1)) list(about_zero)), space)
}

#' Beside nuisance factors, which are 0 on average, means are always fitted: the space of all factors
#' may hold means that the latents' space does not, and nuisance factors would take them
#' @noRd
centered_beside <- function(center, nuisance) {
  if (identical(center, "auto") && nuisance > 0L) TRUE else center
}

#' The space of the factors in the features' own units, and the noise of the coordinates in it
#'
#' U, orthonormal, spans the loadings; weighted least squares N U' Psi^-1 (x - mu) with N = (U'
#' Psi^-1 U)^-1 are the coordinates of the factors plus noise N(0, N).
#' @noRd
factor_span <- function(loadings, psi) {
  span <- svd(loadings, nu = ncol(loadings), nv = 0L)$u
  list(span = span, span_noise = noise_in_span(span, psi))
}

#' N: the covariance of the noise of weighted least-squares coordinates in a space
#' @param folded Loadings of factors that count as noise, or NULL.
#' @noRd
noise_in_span <- function(span, psi, folded = NULL) {
  precision <- crossprod(span, noise_precision_times(span, psi, folded))
  chol2inv(chol((precision + t(precision)) / 2))
}

#' How well the space of the factors is told: expected squared cosines of the whitened moments'
#' eigenvectors v_k to the true ones, (1 - g / l^2) / (1 + g / l) with g = p / n and l the variance
#' of the factor in units of the noise (Paul 2007)
#' @return list: `cos2` (q), and `turn` (q x q): V' Psi^-1/2 U
#' @noRd
told_directions <- function(model, span, data) {
  g <- data$p / data$n
  inverse <- noise_taken_up(model$values, g)
  whitened <- model$loadings / sqrt(model$psi)
  lengths <- pmax(sqrt(colSums(whitened^2)), .Machine$double.xmin)
  list(cos2 = pmax((1 - g * inverse^2) / (1 + g * inverse), 0),
       turn = crossprod(whitened / rep(lengths, each = data$p), span / sqrt(model$psi)))
}

#' Expected squared cosine of each column of A, in units of the noise, to the truth
#' @param within U'A.
#' @noRd
direction_cos2 <- function(told, within) {
  along <- (told$turn %*% within)^2
  drop(told$cos2 %*% along) / colSums(along)
}

#' Equal or unequal noise: by BIC where it is not given
#' @return As factor_analysis(), and `noise`; `gain`, list: `loglik` of unequal noise over equal (see
#'   unequal_gain() where that is little), and `bic`, twice that less its penalty, NULL where it was
#'   given
#' @noRd
chosen_noise <- function(moments, q, noise, call) {
  if (noise != "auto") {
    return(c(factor_analysis(moments, q, noise == "equal", call = call), list(noise = noise)))
  }
  equal <- factor_analysis(moments, q, TRUE, call = call, tol = ROUGHLY)
  noiseless <- equal$psi[1L] < NOISELESS * mean(moments$square)
  exactly <- function() {
    if (moments$p <= DENSE_FEATURES) equal else factor_analysis(moments, q, TRUE, call = call)
  }
  if (noiseless || factor_freedom(length(moments$square), q) < 0) {
    return(c(exactly(), list(noise = "equal")))
  }
  penalty <- (moments$p - 1) * log(moments$n)
  gain <- unequal_gain(moments, equal)
  if (4 * gain > penalty) {
    unequal <- factor_analysis(moments, q, FALSE, call = call)
    gain <- unequal$loglik - equal$loglik
  }
  bic <- 2 * gain - penalty
  better <- if (bic > 0) unequal else exactly()
  c(better, list(noise = if (bic > 0) "by_feature" else "equal",
                 gain = list(loglik = gain, bic = bic)))
}

#' What variances of their own gain in log-likelihood where the loadings stay: less than half of what
#' loadings gain with them is not worth a search
#' @noRd
unequal_gain <- function(moments, equal) {
  left <- (moments$square - rowSums(equal$loadings^2)) / equal$psi
  moments$n / 2 * sum(left - 1 - log(pmax(left, .Machine$double.xmin)))
}

#' Second moments less the parameters of q factors and unequal noise (Lawley and Maxwell 1971)
#' @noRd
factor_freedom <- function(p, q) {
  ((p - q)^2 - (p + q)) / 2
}

#' @noRd
check_factors <- function(p, q, noise, call) {
  if (q >= p) {
    abort_input(c("{.arg x} must have more features than there are latents and nuisance factors.",
                  "x" = "It has {p}, for {q} of these.",
                  "i" = "Give the noise variance with {.arg init}, or model fewer factors."),
                "rank", call = call)
  }
  if (noise == "by_feature" && factor_freedom(p, q) < 0) {
    abort_input(c("{.arg noise} can be {.val by_feature} only with enough features.",
                  "x" = "Second moments of {p} features do not tell {q} factors and {p} variances.",
                  "i" = "{.code noise = \"equal\"} needs {q + 1} features."), "rank", call = call)
  }
}

#' Noise in leading eigenvalues, in units of p / n beyond the first
#'
#' A factor of variance l (in units of the noise) has the sample eigenvalue (1 + l) (1 + g / l), g =
#' p / n: l + 1 plus g (1 + 1 / l), where l > sqrt(g) (Baik and Silverstein 2006). Below, the
#' eigenvalue is at the edge of the noise and tells no more of l: 0 is supposed.
#' @return 1 / l, or 2 / sqrt(g)
#' @noRd
noise_taken_up <- function(values, g) {
  excess <- values - 1 - g
  told <- excess > 2.3 * sqrt(g)
  root <- sqrt(pmax(excess^2 - 4 * g, 0))
  ifelse(told, 2 / (excess + root), 2 / sqrt(g))
}

# How many factors --------------------------------------------------------------------------------

#' Nuisance factors: given, or as many as stand out of the noise beside the latents
#' @return list: `nuisance`; `values`, tibble as in crl_rank(), NULL where it was given
#' @noRd
nuisance_factors <- function(moments, data, nuisance, noise, call) {
  if (!identical(nuisance, "auto")) {
    return(list(nuisance = nuisance))
  }
  least <- data$d
  found <- factor_number(moments, least, least + MOST_NUISANCE, noise, call)
  list(nuisance = found$factors - least, values = found$values)
}

#' Did the search for nuisance factors end at the most that are looked for?
#' @param settings `center`, `noise`, `nuisance` as asked for.
#' @noRd
nuisance_capped <- function(measured, settings) {
  if (!identical(settings$nuisance, "auto") || !isTRUE(measured$nuisance >= MOST_NUISANCE)) {
    return(FALSE)
  }
  values <- measured$tests$nuisance # NULL where entries are missing
  is.null(measured$domains) &&
    (is.null(values) || values$eigenvalue[nrow(values)] > values$edge[nrow(values)])
}

#' @noRd
capped_words <- function() {
  paste0("More than the ", MOST_NUISANCE, " nuisance factors that `nuisance = \"auto\"` looks for may ",
         "move x: `crl_rank(x, env = , most = ", 3L * MOST_NUISANCE, ")` counts them, and ",
         "`nuisance` takes a number.")
}

#' The number of factors: more are added as long as the next whitened eigenvalue is above the edge
#'
#' With k factors fitted, the eigenvalues of the whitened moments beyond the k-th are those of
#' noise alone if there are no more factors: the largest follows the Tracy-Widom law (Johnstone
#' 2001) at the edge of Marchenko and Pastur. Refitting after each factor keeps strong factors from
#' hiding weak ones (deflation, as in Dobriban and Owen 2019).
#' @param least,most Numbers between which to look.
#' @return list: `factors`; `values`, tibble: `factors` fitted, `eigenvalue`, the largest beyond
#'   them, `edge`, which noise alone would exceed in one of a thousand samples
#' @noRd
factor_number <- function(moments, least, most, noise, call) {
  p <- moments$p
  n <- moments$n
  most <- min(most, p - 2L, n - 2L)
  table <- NULL
  psi <- 0.5 * moments$square
  for (k in seq(least, max(least, most))) {
    equal <- noise == "equal" || factor_freedom(p, k) < 0
    psi <- factor_psi(moments, k, equal, psi, call)
    values <- leading_whitened(moments, psi, k + 1L, call)$values
    edge <- noise_edge(n - k, p - k) * (n - k) / n
    table <- rbind(table, tibble::tibble(factors = k, eigenvalue = values[k + 1L], edge = edge))
    if (table$eigenvalue[nrow(table)] <= edge) break
  }
  list(factors = table$factors[nrow(table)], values = table)
}

#' @noRd
factor_psi <- function(moments, k, equal, start, call) {
  if (k > 0L) {
    return(factor_analysis(moments, k, equal, start, call)$psi)
  }
  if (equal) rep(mean(moments$square), length(moments$square)) else moments$square
}

#' What the largest eigenvalue of n rows of p standard normal features (X'X / n) exceeds in one of a
#' thousand samples (Johnstone 2001)
#' @noRd
noise_edge <- function(n, p) {
  root <- sqrt(n - 1) + sqrt(p)
  (root^2 + TRACY_WIDOM * root * (1 / sqrt(n - 1) + 1 / sqrt(p))^(1 / 3)) / n
}

# Second moments ----------------------------------------------------------------------------------

#' Second moments of x, about its mean or about 0
#'
#' @param data `crl_data`.
#' @param omega Weight of a row of each domain.
#' @return list, which the routines of src/glue/r_measure.c take: `n`, `p`, `mean` (p or NULL),
#'   `second` (p x p, or NULL where it is not held), `square` (p, its diagonal), `threads`, and
#'   where S is not held `x`, `env`, `omega`; `last`, environment: where they do not come from LAPACK,
#'   `block`, the eigenvectors that were found last, from which the next search goes on
#' @noRd
feature_moments <- function(data, centered, threads = 1L, omega = row_weights(data)) {
  about_mean <- moments_about_mean(data, threads, omega)
  if (centered) about_mean else about_zero(about_mean)
}

#' @noRd
moments_about_mean <- function(data, threads, omega = row_weights(data)) {
  if (is.null(data$memo)) {
    return(counted_moments(data, threads, omega))
  }
  name <- rlang::hash(omega)
  data$memo[[name]] <- data$memo[[name]] %||% counted_moments(data, threads, omega)
  data$memo[[name]]
}

#' Data that keep their moments, for the length of a fit
#' @noRd
with_memo <- function(data) {
  data$memo <- new.env(parent = emptyenv())
  data
}

#' @noRd
without_memo <- function(fit) {
  fit$data$memo <- NULL
  fit
}

#' @noRd
counted_moments <- function(data, threads, omega) {
  shared <- list(n = data$n, p = data$p, threads = threads, last = new.env(parent = emptyenv()))
  mean <- weighted_means(data, omega, threads)
  if (holds_moments(data)) {
    second <- second_moments(data, omega, mean, threads)
    return(c(shared, list(mean = mean, second = second, square = diag(second))))
  }
  square <- weighted_squares(data, omega, mean, threads)
  if (!is.null(data$x)) {
    return(c(shared, list(mean = mean, square = square, x = data$x, env = data$env,
                          omega = omega)))
  }
  about <- function(mean) second_moments_times(data, omega, mean, threads)
  c(shared, list(mean = mean, square = square, times = about(mean), about = about))
}

#' Is S (p x p) held in memory? Where rows are in memory, only where that is less work than passes
#' @noRd
holds_moments <- function(data) {
  data$p <= if (is.null(data$x) && isTRUE(data$rows$remote)) MOST_MOMENTS else DENSE_FEATURES
}

#' Moments about 0 from those about the mean
#' @noRd
about_zero <- function(moments) {
  moments$square <- moments$square + moments$mean^2
  if (!is.null(moments$second)) moments$second <- moments$second + tcrossprod(moments$mean)
  if (!is.null(moments$about)) moments$times <- moments$about(NULL)
  moments["mean"] <- list(NULL)
  moments
}

#' The q leading eigenvectors of S and its eigenvalues
#' @return list: `vectors` (p x q), `values` (q)
#' @noRd
leading_components <- function(moments, q, call) {
  leading_whitened(moments, rep(1, moments$p), q, call)
}

#' The same of Psi^-1/2 S Psi^-1/2
#' @noRd
leading_whitened <- function(moments, psi, q, call, tol = 1e-9) {
  settings <- from_last(moments, list(q = q, tol = tol))
  top <- .Call(C_leading_moments, moments, 1 / sqrt(psi), settings)
  keep_last(moments, top, call)
  list(vectors = top$vectors, values = drop(top$values))
}

#' Settings of a routine that looks for eigenvectors, from where the last one on the same rows ended
#' @noRd
from_last <- function(moments, settings) {
  c(settings, list(block = moments$last$block))
}

#' @noRd
keep_last <- function(moments, found, call) {
  check_status(found$status, call)
  if (!is.null(moments$last)) moments$last$block <- found$block
}

#' Where a factor analysis ends: by passes, once noise variances stand to a hundredth of their
#' standard errors
#' @noRd
gradient_tolerance <- function(moments) {
  if (moments$p <= DENSE_FEATURES) 1e-6 else max(1e-6, 0.01 * sqrt(2 / moments$n))
}

#' Maximum-likelihood factor analysis
#'
#' @param moments See feature_moments().
#' @param q Number of factors.
#' @param equal Equal noise variances, which is probabilistic principal component analysis?
#' @return list: `psi` (p), `loadings` (p x q), `values` (q, of the whitened moments), `loglik` (of
#'   all rows, as if they were normal), `parameters`, `converged`, `floored`
#' @noRd
factor_analysis <- function(moments, q, equal, start = 0.5 * moments$square, call,
                            tol = gradient_tolerance(moments)) {
  settings <- from_last(moments, list(q = q, equal = equal, tol = tol))
  fit <- .Call(C_factor_fit_model, moments, start, settings)
  keep_last(moments, fit, call)
  n <- moments$n
  p <- moments$p
  list(psi = drop(fit$psi), loadings = fit$loadings, values = drop(fit$values),
       loglik = -n / 2 * (p * log(2 * pi) + fit$objective),
       parameters = (if (equal) 1 else p) + p * q - q * (q - 1) / 2,
       converged = fit$converged, floored = fit$floored, unconverged = fit$unconverged)
}

#' Are feature means in the span of the loadings?
#'
#' Twice the gain in log-likelihood, with the span free in both, if means are too: what the q
#' leading eigenvectors leave of the whitened moments about 0, less the same about the mean. It is
#' p - q in expectation, plus what noise each leading eigenvalue takes up, see noise_taken_up(),
#' about the mean more than about 0.
#' @param model Of the moments about the mean, see factor_analysis().
#' @return list: `statistic`, scaled to chi-squared with `df` degrees of freedom where means are in
#'   the span; `p_value`
#' @noRd
mean_test <- function(about_zero, about_mean, model, call) {
  psi <- model$psi
  q <- length(model$values)
  whitened <- function(moments, values) {
    c(left = sum(moments$square / psi) - sum(values),
      taken = sum(noise_taken_up(values, length(psi) / moments$n)))
  }
  df <- length(psi) - q
  values <- leading_whitened(about_zero, psi, q, call, 1e-3 * ROUGHLY)$values
  difference <- whitened(about_zero, values) - whitened(about_mean, model$values)
  statistic <- about_zero$n * difference[["left"]] / max(1 - difference[["taken"]], 1)
  list(statistic = statistic, df = df,
       p_value = stats::pchisq(statistic, df, lower.tail = FALSE))
}
