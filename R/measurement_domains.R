# The measurement model where the pooled second moments of few features do not tell factors and
# unequal noise: by maximum likelihood of the linear-Gaussian model of x by domains
# (src/model/factor_domains.c). Graph and targets say which moments of the latents differ between
# domains; the columns of A may be any.

# Evaluations of a search; psi_j is kept above this share of the variance of a feature; weight of
# squared cosines between columns of A, where these are to be orthogonal.
DOMAIN_SEARCH <- list(max_iter = 20000L, least = 1e-6, weight = 100)

# A latent whose domains' means differ by less than this, in standard deviations of the features, has
# its start from the covariance.
CLEAR_SHIFT <- 0.3

#' Are domain moments needed, and enough, to tell the measurement model?
#'
#' They are needed where noise variances may differ and pooled moments have fewer numbers than the
#' model has, with one nuisance factor at least if their number is sought.
#' @noRd
needs_domains <- function(data, settings, control) {
  least <- if (identical(settings$nuisance, "auto")) 1L else settings$nuisance
  q <- data$d + least
  settings$noise != "equal" && factor_freedom(data$p, q) < 0 && q < data$p &&
    domain_freedom(with_nuisance(data, least), least, control) >= 0
}

#' Did the number of nuisance factors grow beyond what pooled moments tell beside unequal noise?
#' @noRd
outgrown <- function(measured, data, settings, control) {
  auto <- identical(settings$nuisance, "auto")
  auto && is.null(measured$domains) &&
    factor_freedom(data$p, data$d + measured$nuisance) < 0 &&
    needs_domains(data, replace(settings, "nuisance", measured$nuisance), control)
}

#' Domain moments less parameters
#' @noRd
domain_freedom <- function(data, nuisance, control) {
  sets <- nrow(unique(data$targets))
  sets * data$p * (data$p + 3) / 2 -
    domain_parameters(data, nuisance, data$p, TRUE, control)
}

#' Parameters that the likelihood depends on: without turns of nuisance factors and shears
#'
#' @param data With nuisance factors among the latents.
#' @param noise Noise variances: 1 or p.
#' @noRd
domain_parameters <- function(data, nuisance, noise, centered, control) {
  perfect <- control$intervention == "perfect"
  seen <- state_counts(data$targets) > 0
  states <- sum(seen)
  parents <- colSums(data$dag)
  slopes <- sum(parents * colSums(seen & parents_act(STATES, perfect)))
  shears <- NROW(shearable_pairs(data, perfect))
  turns <- nuisance * (nuisance - 1) / 2
  location <- if (centered) data$p + states - data$d else states - nuisance
  data$p * data$d + noise + location + states - data$d + slopes - shears - turns
}

#' The measurement model by domains
#'
#' Few features tell latents and nuisance factors apart by the prior of both, hardly by weights of
#' least squares. Nuisance factors, which are normal here, therefore count as noise in what x is
#' reduced by: Psi + BB', B their loadings.
#' @return As measure(), with `span` and `span_noise` of the latents alone; and `mixing` (p x d), A;
#'   `folded` (p x nuisance), B, or NULL; `domains`, list: `loglik`, `parameters`; `columns`, see
#'   columns_test()
#' @noRd
measure_domains <- function(data, settings, control, call) {
  moments <- domain_feature_moments(data)
  task <- list(moments = moments, data = data, control = control, call = call)
  found <- domain_factor_number(task, settings$nuisance, settings$noise == "equal")
  fit <- found$fit
  gain <- NULL
  if (settings$noise == "auto") {
    equal <- domain_fit(task, fit$nuisance, equal_start(fit), equal = TRUE)
    gain <- list(loglik = fit$loglik - equal$loglik, bic = equal$bic - fit$bic)
    if (gain$bic <= 0) fit <- equal
  }
  test <- NULL
  if (!isTRUE(settings$center)) {
    within <- domain_fit(task, fit$nuisance, uncentered_start(fit), fit$equal, centered = FALSE)
    test <- domain_mean_test(fit, within)
    if (isFALSE(settings$center) || test$p_value >= CENTER_LEVEL) fit <- within
    if (isFALSE(settings$center)) test <- NULL
  }
  kept <- seq_len(data$d)
  c(list(columns = domain_columns_test(task, fit),
         center = if (fit$centered) fit$model$center,
         noise = if (fit$equal) "equal" else "by_feature", noise_var = fit$model$psi,
         nuisance = fit$nuisance, values = NULL,
         tests = list(center = test, noise = gain, nuisance = found$values),
         counts = c(noise_floored = fit$model$floored, unconverged = !fit$model$converged),
         mixing = fit$model$mixing[, kept, drop = FALSE],
         folded = if (fit$nuisance > 0L) fit$model$mixing[, -kept, drop = FALSE],
         domains = list(loglik = fit$loglik, parameters = fit$parameters)),
    domain_span(fit$model$mixing, kept, fit$model$psi))
}

#' The space of the latents, and the noise of the coordinates in it with nuisance factors as noise
#' @noRd
domain_span <- function(mixing, kept, psi) {
  span <- svd(mixing[, kept, drop = FALSE], nu = length(kept), nv = 0L)$u
  list(span = span, span_noise = noise_in_span(span, psi, mixing[, -kept, drop = FALSE]))
}

#' (Psi + BB')^-1 v, by Woodbury's identity
#' @param folded B (p x any), or NULL.
#' @noRd
noise_precision_times <- function(v, psi, folded = NULL) {
  if (NCOL(folded) == 0L || is.null(folded)) {
    return(v / psi)
  }
  weighted <- folded / psi
  inner <- diag(ncol(folded)) + crossprod(folded, weighted)
  v / psi - weighted %*% solve(inner, crossprod(weighted, v))
}

#' Moments of the features by domain
#' @return list: `share` (M), `mean` (p x M), `cov` (p x p x M, about it), `unit` (p)
#' @noRd
domain_feature_moments <- function(data) {
  sums <- .Call(C_domain_moments, data$x, data$env, data$n_domains)
  p <- data$p
  cov <- sums$second
  for (e in seq_len(data$n_domains)) cov[, , e] <- cov[, , e] - tcrossprod(sums$mean[, e])
  share <- data$weights / sum(data$weights)
  about <- sums$mean - drop(sums$mean %*% share)
  square <- drop(matrix(apply(cov, 3L, diag), p) %*% share) + drop(about^2 %*% share)
  list(share = share, mean = sums$mean, cov = cov, unit = sqrt(square))
}

#' A search from a start
#' @param start list as `model` of the result.
#' @return list: `model` (what C_factor_domains_model returns), `nuisance`, `equal`, `centered`,
#'   `loglik`, `parameters`, `bic`
#' @noRd
domain_fit <- function(task, nuisance, start, equal, centered = TRUE, orthogonal = FALSE) {
  data <- with_nuisance(task$data, nuisance)
  settings <- c(DOMAIN_SEARCH, list(
    equal = equal, centered = centered, perfect = task$control$intervention == "perfect",
    orthogonal = if (orthogonal) task$data$d else 0L, latents = task$data$d
  ))
  model <- .Call(C_factor_domains_model, task$moments, unname(data$targets),
                 unname(parent_list(data$dag)), start, settings)
  check_status(model$status, task$call)
  model$psi <- drop(model$psi)
  model$center <- drop(model$center)
  parameters <- domain_parameters(data, nuisance, if (equal) 1 else data$p, centered, task$control)
  loglik <- -data$n / 2 * (data$p * log(2 * pi) + model$objective)
  list(model = model, nuisance = nuisance, equal = equal, centered = centered, loglik = loglik,
       parameters = parameters, bic = parameters * log(data$n) - 2 * loglik)
}

#' The number of nuisance factors, given or by BIC: more are added while it falls
#' @return list: `fit`, see domain_fit(); `values`, tibble of what was tried: `factors`, `loglik`,
#'   `bic`; NULL where the number was given
#' @noRd
domain_factor_number <- function(task, nuisance, equal) {
  auto <- identical(nuisance, "auto")
  most <- if (auto) task$data$p - 1L - task$data$d else nuisance
  fit <- domain_fit(task, 0L, domain_start(task), equal)
  tried <- list(fit)
  for (many in seq_len(most)) {
    wider <- with_nuisance(task$data, many)
    if (auto && domain_freedom(wider, many, task$control) < 0) break
    more <- domain_fit(task, many, widened_start(fit, task$moments, wider), equal)
    tried <- c(tried, list(more))
    if (auto && more$bic >= fit$bic) break
    fit <- more
  }
  values <- if (auto) {
    tibble::tibble(factors = task$data$d + vapply(tried, `[[`, 0L, "nuisance"),
                   loglik = vapply(tried, `[[`, 0, "loglik"), bic = vapply(tried, `[[`, 0, "bic"))
  }
  list(fit = fit, values = values)
}

#' Where means of domains tell the columns of A, they do; else leading directions of the covariance
#' @noRd
domain_start <- function(task) {
  data <- task$data
  moments <- task$moments
  d <- data$d
  root <- sqrt(moments$share)
  effects <- qr.coef(qr(cbind(1, data$targets) * root), t(moments$mean) * root)
  shift <- t(effects[-1L, , drop = FALSE]) / moments$unit
  clear <- colSums(shift^2) %in% NA | colSums(shift^2) < CLEAR_SHIFT^2
  within <- matrix(matrix(moments$cov, data$p^2) %*% moments$share, data$p)
  axes <- eigen(within / tcrossprod(moments$unit), symmetric = TRUE)
  own <- axes$vectors * rep(sqrt(pmax(axes$values, 0)), each = data$p)
  mixing <- shift / 3
  mixing[, clear] <- own[, seq_len(sum(clear))]
  intercept <- matrix(0, length(STATES), d)
  intercept[2L, !clear] <- 3
  list(mixing = unname(mixing * moments$unit), psi = 0.1 * moments$unit^2,
       center = drop(moments$mean %*% moments$share) - drop(
         (shift[, !clear, drop = FALSE] * moments$unit) %*%
           drop(crossprod(data$targets, moments$share))[!clear]
       ),
       intercept = intercept, variance = matrix(1, length(STATES), d), coef = matrix(0, d, n_cells(d)))
}

#' A fit with one factor more, which takes the most that it leaves of the covariance
#'
#' With V the pooled covariance of the model and C that of the rows about its means, the best rank
#' one addition to V is along V^1/2 times the leading eigenvector of V^-1/2 C V^-1/2.
#' @param data With the factor among its latents.
#' @noRd
widened_start <- function(fit, moments, data) {
  model <- fit$model
  pooled <- pooled_residuals(model, moments, data$targets[, -data$d, drop = FALSE])
  root <- t(chol(pooled$model))
  white <- forwardsolve(root, t(forwardsolve(root, pooled$rows)))
  top <- eigen((white + t(white)) / 2, symmetric = TRUE)
  column <- drop(root %*% top$vectors[, 1L]) * sqrt(max(top$values[1L] - 1, 1e-3))
  d <- data$d
  coef <- matrix(0, d, n_cells(d))
  coef[-d, seq_len(n_cells(d - 1L))] <- model$coef
  list(mixing = cbind(model$mixing, column, deparse.level = 0L), psi = model$psi,
       center = model$center, intercept = cbind(model$intercept, 0),
       variance = cbind(model$variance, 1), coef = coef)
}

#' Pooled over domains: the covariance of the model, and that of the rows about its means
#' @noRd
pooled_residuals <- function(model, moments, targets) {
  p <- nrow(model$mixing)
  out <- list(model = matrix(0, p, p), rows = matrix(0, p, p))
  for (e in seq_along(moments$share)) {
    latent <- scm_moments(model, targets[e, ])
    left <- moments$mean[, e] - model$center - drop(model$mixing %*% latent$mean)
    out$model <- out$model + moments$share[e] *
      (model$mixing %*% latent$cov %*% t(model$mixing) + diag(model$psi, p))
    out$rows <- out$rows + moments$share[e] * (moments$cov[, , e] + tcrossprod(left))
  }
  out
}

#' Mean and covariance of the latents under targets
#' @noRd
scm_moments <- function(model, targets) {
  d <- ncol(model$mixing)
  cell <- cbind(targets + 1L, seq_len(d))
  slopes <- vapply(seq_len(d), function(j) model$coef[, cell_of(j, targets[j])], numeric(d))
  total <- solve(diag(d) - t(matrix(slopes, d)))
  list(mean = drop(total %*% model$intercept[cell]),
       cov = total %*% (model$variance[cell] * t(total)))
}

#' @noRd
equal_start <- function(fit) {
  fit$model$psi[] <- mean(fit$model$psi)
  fit$model
}

#' A start without mu: the part of it in the span of A goes to the latents
#' @noRd
uncentered_start <- function(fit) {
  model <- fit$model
  d <- ncol(model$mixing)
  causal <- seq_len(d) <= d - fit$nuisance
  location <- numeric(d)
  location[causal] <- qr.coef(qr(model$mixing[, causal, drop = FALSE] / sqrt(model$psi)),
                              model$center / sqrt(model$psi))
  node <- by_cell(seq_len(d))
  shift <- location[node] - drop(crossprod(model$coef, location))
  model$intercept <- model$intercept + shift
  model$center[] <- 0
  model
}

#' Likelihood ratio of means that are free to means in the span of A
#' @noRd
domain_mean_test <- function(free, within) {
  df <- free$parameters - within$parameters
  statistic <- 2 * (free$loglik - within$loglik)
  list(statistic = statistic, df = df,
       p_value = stats::pchisq(statistic, df, lower.tail = FALSE))
}

#' Log-likelihood of general columns of A over orthogonal ones
#' @return See columns_test()
#' @noRd
domain_columns_test <- function(task, fit) {
  data <- task$data
  if (data$d == 1L || NROW(shearable_pairs(data, task$control$intervention == "perfect")) > 0L) {
    return(NULL)
  }
  other <- domain_fit(task, fit$nuisance, fit$model, fit$equal, fit$centered, orthogonal = TRUE)
  columns_evidence(fit$loglik - other$loglik, fit$model$mixing[, seq_len(data$d)], data)
}
