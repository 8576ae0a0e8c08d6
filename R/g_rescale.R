# Latents in other units. Columns of A of length 1 are so in the coordinates that SAEM and the
# Gaussian EM see; where these are whitened, not in x. A fit is brought to columns of length 1 in x
# after it, and back before it goes on.

#' A g fit with latent j times `by[j]`, its column of A divided by it
#'
#' What belongs to the engine's own run (`saem`) stays as it is.
#' @param fit A g fit of coordinates.
#' @noRd
rescaled_latents <- function(fit, by) {
  fit$mixing <- fit$mixing / rep(by, each = nrow(fit$mixing))
  fit$gram <- gram_of(fit$mixing)
  factors <- list(latents = by, latents_sd = by, chains = by, quantiles = by,
                  mixing_mc_error = 1 / by)
  for (name in intersect(names(factors), names(fit))) { # latents in columns
    part <- fit[[name]]
    if (!is.null(part)) fit[[name]] <- part * rep(factors[[name]], each = dim(part)[1L])
  }
  powers <- c(mc_error = 1, latent_noise_var = 2, latent_noise_var_mc_error = 2) # in rows
  for (name in intersect(names(powers), names(fit))) {
    if (!is.null(fit[[name]])) fit[[name]] <- fit[[name]] * by^powers[[name]]
  }
  fit$prior <- rescaled(fit$prior, by)
  rescaled_tables(fit, stats::setNames(by, fit$data$latent_names))
}

#' @noRd
rescaled.mechanisms_spline <- function(prior, by) {
  node <- by_cell(seq_along(by))
  prior$theta <- Map(function(theta, factor) if (!is.null(theta)) theta * factor, prior$theta,
                     by[node])
  prior$range <- prior$range * rep(by, each = 2L)
  prior$constant <- prior$constant * by[node]
  prior$variance <- prior$variance * by[node]^2
  if (!is.null(prior$noise)) {
    each <- rep(by[node], each = nrow(prior$noise$mean))
    prior$noise$mean <- prior$noise$mean * each
    prior$noise$variance <- prior$noise$variance * each^2
  }
  prior
}

#' @noRd
rescaled.mechanisms_linear <- function(prior, by) {
  d <- length(by)
  prior$intercept <- prior$intercept * by_cell(by)
  prior$variance <- prior$variance * by_cell(by^2)
  prior$slope <- prior$slope * rep(by, each = n_cells(d)) / rep(by, times = n_cells(d))
  prior
}

#' What is by latent and not by entry of A: tables, the trace, the linear prior
#' @param by With the names of the latents.
#' @noRd
rescaled_tables <- function(fit, by) {
  if (!is.null(fit$cells)) fit$cells$noise_var <- fit$cells$noise_var * by[fit$cells$node]^2
  if (!is.null(fit$noise)) {
    fit$noise$mean <- fit$noise$mean * by[fit$noise$node]
    fit$noise$variance <- fit$noise$variance * by[fit$noise$node]^2
  }
  for (name in grep("^noise_var_", names(fit$trace), value = TRUE)) {
    node <- sub("_state[01]$", "", sub("^noise_var_", "", name))
    fit$trace[[name]] <- fit$trace[[name]] * by[[node]]^2
  }
  if (!is.null(fit$mechanism_coef)) {
    parent <- ifelse(fit$mechanism_coef$term %in% names(by), by[fit$mechanism_coef$term], 1)
    fit$mechanism_coef$estimate <- fit$mechanism_coef$estimate * by[fit$mechanism_coef$node] /
      unname(parent)
  }
  fit
}
