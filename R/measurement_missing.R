# Missing entries of x, missing at random. The measurement model is fitted by full-information
# maximum likelihood (src/model/factor_missing.c); rows come down to coordinates in the span of A
# with noise of their own (src/model/row_noise.c). Engines take them at a common noise, the inverse
# of the mean precision; the posterior of an f fit then takes each row at its own.

# Newton steps to the row that would be expected at the common noise: three leave 1e-6 of the way.
NOISE_STEPS <- 4L

# The EM ends where an iteration gains less log-likelihood.
LOGLIK_TOL <- 1e-3

# A row whose coordinates have this many times the noise variance of others', on average over them,
# tells too little to be taken for one of theirs.
MOST_NOISE <- 25

#' The measurement model of rows with missing entries
#'
#' @return As measure(), and `missing`: how many entries.
#' @noRd
measure_missing <- function(data, settings, threads, call) {
  check_observed(data, call)
  moments <- filled_moments(data, threads)
  nuisance <- missing_nuisance(moments, data, settings, threads, call)
  settings["center"] <- list(centered_beside(settings$center, nuisance))
  q <- data$d + nuisance
  check_factors(data$p, q, settings$noise, call)
  fit <- function(centered, equal, start = NULL, tol = LOGLIK_TOL) {
    missing_fit(data, moments, q, centered, equal, start, threads, call, tol)
  }
  chosen <- missing_choice(fit, data, q, settings)
  model <- chosen$model
  span <- factor_span(model$loadings, model$psi)$span
  center <- if (chosen$centered) model$mean
  rows <- missing_coordinates(data$x, list(span = span, psi = model$psi, mean = center), call)
  list(center = center, noise = if (chosen$equal) "equal" else "by_feature",
       noise_var = model$psi, nuisance = nuisance, values = NULL, told = NULL,
       tests = chosen$tests, span = span, span_noise = chol2inv(chol(rows$precision)),
       counts = c(noise_floored = model$floored, unconverged = !model$converged),
       missing = data$missing)
}

#' @noRd
check_observed <- function(data, call) {
  least <- 2L * (data$d + 2L)
  few <- which(data$n - data$lacking < least)
  if (length(few) > 0L) {
    names <- data$feature_names[few] %||% few
    abort_input(c("Each feature of {.arg x} must have at least {least} entries that are there.",
                  "x" = paste("{cli::qty(length(few))}Column{?s} {some(names)}",
                              "{cli::qty(length(few))}{?has/have} fewer."),
                  "i" = "Leave {cli::qty(length(few))}{?it/them} out."), "missing", call = call)
  }
}

#' Moments of x with the feature means for what is missing: what the EM begins with
#' @noRd
filled_moments <- function(data, threads) {
  at <- which(is.na(data$x), arr.ind = TRUE)
  mean <- colMeans(data$x, na.rm = TRUE)
  filled <- data
  filled$x[at] <- mean[at[, 2L]]
  moments <- feature_moments(rescanned(filled), TRUE, threads)
  seen <- 1 - data$lacking / data$n
  moments$square <- moments$square / seen
  if (!is.null(moments$second)) {
    moments$second <- moments$second / outer(seen, seen)
    diag(moments$second) <- moments$square
  }
  moments$mean <- mean
  moments
}

#' @noRd
missing_fit <- function(data, moments, q, centered, equal, start, threads, call,
                        tol = LOGLIK_TOL) {
  if (is.null(start)) {
    start <- factor_analysis(moments, q, equal, call = call)
    start$mean <- if (centered) moments$mean else rep(0, data$p)
  }
  fit <- .Call(C_factor_missing_model, data$x, data$env, row_weights(data),
               list(loadings = start$loadings, psi = as.double(start$psi),
                    mean = as.double(if (centered) start$mean else 0 * start$mean)),
               list(q = q, equal = equal, centered = centered, tol = tol, threads = threads))
  check_status(fit$status, call)
  p <- data$p
  c(lapply(fit[c("psi", "mean")], drop), fit[c("loadings", "loglik", "converged", "floored")],
    list(parameters = (if (equal) 1 else p) + p * q - q * (q - 1) / 2 + centered * p))
}

#' Noise and means, by likelihood where they are not given: kind of noise by BIC, means by a test
#' @noRd
missing_choice <- function(fit, data, q, settings) {
  better <- function(a, b) { # by BIC, a the smaller model
    2 * (b$loglik - a$loglik) > (b$parameters - a$parameters) * log(data$n)
  }
  kind <- function(centered) {
    if (settings$noise != "auto") {
      equal <- settings$noise == "equal"
      return(list(model = fit(centered, equal), equal = equal))
    }
    one <- fit(centered, TRUE)
    if (factor_freedom(data$p, q) < 0) {
      return(list(model = one, equal = TRUE))
    }
    many <- fit(centered, FALSE)
    if (better(one, many)) list(model = many, equal = FALSE) else list(model = one, equal = TRUE)
  }
  if (!identical(settings$center, "auto")) {
    return(c(kind(settings$center), list(centered = settings$center)))
  }
  with <- kind(TRUE)
  without <- fit(FALSE, with$equal, with$model, tol = 0.1) # far from converged where means are large
  test <- missing_mean_test(without, with$model, data, q)
  centered <- test$p_value < CENTER_LEVEL
  c(if (centered) with else kind(FALSE), list(centered = centered, tests = list(center = test)))
}

#' Are feature means in the span of the loadings? By likelihood
#' @noRd
missing_mean_test <- function(without, with, data, q) {
  df <- data$p - q
  statistic <- 2 * (with$loglik - without$loglik)
  list(statistic = statistic, df = df,
       p_value = stats::pchisq(statistic, df, lower.tail = FALSE))
}

#' Nuisance factors, where they are not given: more as long as one more gains what noise alone would
#' not
#'
#' Of n rows of p features of noise the leading factor takes the largest eigenvalue l, and gains n / 2
#' (l - 1 - log l) in log-likelihood; l is below noise_edge() in all but one of a thousand samples. Of
#' rows with missing entries as many count as there are entries for.
#' @noRd
missing_nuisance <- function(moments, data, settings, threads, call) {
  if (!identical(settings$nuisance, "auto")) {
    return(settings$nuisance)
  }
  loglik <- function(many) {
    q <- data$d + many
    equal <- settings$noise == "equal" || factor_freedom(data$p, q) < 0
    missing_fit(data, moments, q, TRUE, equal, NULL, threads, call)$loglik
  }
  rows <- data$n * (1 - data$missing / (data$n * data$p))
  many <- 0L
  present <- loglik(0L)
  while (many < MOST_NUISANCE && data$d + many + 2L < data$p) {
    q <- data$d + many
    edge <- noise_edge(rows - q, data$p - q)
    further <- loglik(many + 1L)
    if (further - present <= rows / 2 * (edge - 1 - log(edge))) break
    present <- further
    many <- many + 1L
  }
  many
}

#' Rows in the span: coordinates (n x q), the covariance of the noise of each (packed), mean
#' precision
#' @param model list: `span`, `psi`, `mean`.
#' @noRd
missing_coordinates <- function(x, model, call, arg = "x") {
  mean <- model$mean %||% rep(0, ncol(x))
  rows <- .Call(C_row_noise_coordinates, x, as.double(mean), as.double(model$psi), model$span)
  q <- ncol(model$span)
  diagonal <- 1L + cumsum(c(0L, rev(seq_len(q))[-q]))
  size <- rowSums(rows$noise[, diagonal, drop = FALSE])
  bad <- which(is.na(size) | size > MOST_NOISE * stats::median(size, na.rm = TRUE))
  if (length(bad) > 0L) {
    names <- rownames(x)[bad] %||% bad
    abort_input(c("Each row of {.arg {arg}} must have entries enough to tell its latents.",
                  "x" = paste("{cli::qty(length(bad))}Row{?s} {some(names)}",
                              "{cli::qty(length(bad))}{?has/have} too few."),
                  "i" = "Leave {cli::qty(length(bad))}{?it/them} out."), "missing", call = call)
  }
  rows
}

#' An f fit of the coordinates with the posterior of rows at their own noise, where it is that; the
#' chains of g take the common noise
#' @noRd
at_own_noise <- function(fit, call) {
  data <- fit$data
  if (is.null(data$row_noise) || inherits(fit, "crl_fit_g")) {
    return(fit)
  }
  step <- rows_posterior(fit, data$x, data$row_noise, data$env, data$targets, call)
  fit$latents[] <- step$latents
  fit$latents_sd[] <- step$latents_sd
  fit$counts[["variance_floored"]] <- step$floored
  fit
}

#' The E-step of rows at their own noise, from a score at the common noise
#'
#' @param fit The fit of the coordinates (inner_fit()).
#' @param x Rows as the engine sees them.
#' @param noise Covariances in the span, see missing_coordinates(); NULL: the common noise.
#' @param codes,targets As estep() takes them.
#' @return As estep().
#' @noRd
rows_posterior <- function(fit, x, noise, codes, targets, call = rlang::caller_env()) {
  step <- estep(x, codes, targets, fit, call)
  if (is.null(noise)) {
    return(step)
  }
  general <- is.matrix(fit$scale)
  back <- unname(if (general) fit$mixing else fit$orthonormal) # rows of y to rows of x
  turn <- solve(back, fit$data$space$whiten)
  common <- turn %*% fit$data$space$noise %*% t(turn)
  own <- .Call(C_row_noise_turned, noise, turn)
  y <- at <- step$y
  for (k in seq_len(NOISE_STEPS)) {
    at <- .Call(C_row_noise_step, y, own, common, step$score, step$dscore, at)
    step <- estep(at %*% t(back), codes, targets, fit, call)
  }
  posterior <- .Call(C_row_noise_posterior, y, own, common, step$score, step$dscore, fit$eta)
  scale <- rep(if (general) rep(1, ncol(y)) else fit$scale, each = nrow(y))
  step[c("y", "latents", "latents_sd", "floored")] <-
    list(y, posterior$latents / scale, sqrt(posterior$variance) / scale, posterior$floored)
  step
}
