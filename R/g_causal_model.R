# The causal model of a fit, in one form for every kind of fit: what edges, interventions, checks and
# bootstrap replicates are read from. A g fit has one; an f fit, which never writes a prior down,
# gets additive spline mechanisms fitted to draws of its latents, with A held where the fit has it.

# Draws of a row, and iterations of SAEM, where A is held and only mechanisms are fitted.
COMPANION <- list(draws = 4L, burn_in = 80L, iterations = 80L)

#' Mechanisms, mixing and noise of a fit
#'
#' @return A `crl_scm`: list of `kind`; `data`: `dag` (D x D), `targets` (M x D), `latent_names` (D),
#'   `d`: with nuisance factors as latents that nothing targets; `control`: `intervention`,
#'   `prior`; `method` "g"; `prior` (fitted mechanisms, see R/fit_engine.R); `latent_noise_var` (D x 2);
#'   `mixing` (p x D), `center` (p, or NULL), `noise_var` (p); `kept`, how many latents are none of the
#'   nuisance; `names`, of features; `shifts`, those of fit_shifts(); `range` of the latents (2 x D)
#' @noRd
causal_model <- function(fit, call = rlang::caller_env()) {
  compact_model(mechanism_fit(fit, call), fit)
}

#' @noRd
mechanism_fit.crl_fit_f <- function(fit, call) companion_fit(fit, call)

#' @noRd
mechanism_fit.crl_fit_g <- function(fit, call) inner_fit(fit)

#' @param engine The g fit of the coordinates that has the mechanisms.
#' @param fit The fit of x that has the rest.
#' @noRd
compact_model <- function(engine, fit) {
  data <- engine$data
  noise <- fit$noise_var %||% rep(fit$sigma2, fit$data$p)
  noise[fit$data$constant] <- 0
  structure(list(
    kind = fit_kind(fit), method = "g",
    data = data[c("dag", "targets", "latent_names", "d", "n_env", "env_names")],
    control = engine$control[c("intervention", "prior")],
    prior = replace(engine$prior, c("lambda", "df", "information"), NULL),
    latent_noise_var = engine$latent_noise_var,
    mixing = engine_mixing(fit), center = fit$center,
    noise_var = unname(noise), kept = fit$data$d,
    names = fit$data$feature_names %||% as.character(seq_len(fit$data$p)),
    shifts = fit_shifts(fit)$shift, range = apply(engine$latents, 2L, range)
  ), class = "crl_scm")
}

#' Mechanisms for the latents of an f fit: SAEM with A and the noise variance held
#'
#' @return A g fit of the coordinates
#' @noRd
companion_fit <- function(fit, call = rlang::caller_env()) {
  fit <- without_constant(fit)
  at <- fit_coordinates(fit)
  fit_g_rows(at$data, at$init, companion_control(fit$control), NULL, call)
}

#' A fit in the coordinates of the space of its factors
#' @return list: `data`, see reduced_data(); `init`, a start that holds the fit's `mixing` of the
#'   coordinates and `sigma2`
#' @noRd
fit_coordinates <- function(fit) {
  measured <- fit$measurement %||% given_measure(fit)
  data <- fit$inner$data %||% reduced_data(fit$data, measured)
  all <- unname(engine_mixing(fit))
  list(data = data, init = list(mixing = data$space$whiten %*% crossprod(measured$span, all),
                                sigma2 = data$space$sigma2))
}

#' Columns of A and of the nuisance factors that are latents to the engine
#' @noRd
engine_mixing <- function(fit) {
  cbind(fit$mixing, if (inner_nuisance(fit$measurement) > 0L) fit$nuisance$mixing)
}

#' @noRd
companion_control <- function(control) {
  update.crl_control(
    control, mixing = "fixed", update_mixing = "auto", sigma2 = "fixed",
    prior = start_prior(control$prior), saem = c(COMPANION, list(chains = 1, mc_tol = 0)),
    seed = control$seed %||% 1L, progress = FALSE, preset = "default",
    signs = "auto" # those of the fit, whose A is given
  )
}

#' The measurement model of a fit under the paper's: A spans the space, noise is equal
#' @noRd
given_measure <- function(fit) {
  span <- polar_factor(unname(fit$mixing))
  list(center = NULL, noise = "equal", noise_var = rep(fit$sigma2, fit$data$p), nuisance = 0L,
       span = span, span_noise = diag(fit$sigma2, ncol(span)))
}

#' A fit must have mechanisms to read, or be one for which they can be fitted
#' @noRd
check_causal <- function(fit, what, call = rlang::caller_env()) {
  if (inherits(fit, "crl_fit_g_normal")) {
    abort_input(c(paste0("{.fn ", what, "} needs a fit with mechanisms."),
                  "x" = "This one has {.code prior = \"normal\"}: latents without causes.",
                  "i" = "Use {.code prior = \"linear\"} or {.code \"spline\"}, or {.code method = \"f\"}."),
                "method", call = call)
  }
  fit
}

#' Parents that a latent has in a target state
#' @noRd
active_parents <- function(model, node, state) {
  if (acts_on(model$prior, cell_of(node, state))) parents_of(model$data$dag, node) else integer()
}

#' The model with other signs of its latents
#' @noRd
turned_model <- function(model, sign) {
  model$prior <- turned(model$prior, parent_list(model$data$dag), sign)
  model$mixing <- model$mixing * rep(sign, each = nrow(model$mixing))
  model$shifts <- model$shifts * rep(sign[seq_len(model$kept)], each = length(model$data$n_env))
  model
}

#' What is not there for rows with missing entries
#' @noRd
check_complete <- function(fit, what, call = rlang::caller_env()) {
  if (isTRUE(fit$data$missing > 0)) {
    abort_input(c(paste0("{.fn ", what, "} needs rows without missing entries."),
                  "x" = "{fit$data$missing} {cli::qty(fit$data$missing)}{?is/are} {.val NA}.",
                  "i" = "Fit the complete rows, or impute, for this."), "missing", call = call)
  }
}
