# g-modeling with Gaussian priors, in closed form: linear mechanisms, by exact EM on the moments of
# each combination of targets (src/g/gaussian_em.c), and standard normal latents, by eigenvalues.

# Moments are kept in all directions of x up to this many doubles, else within the leading
# SUBSPACE_FACTOR d principal components.
EXACT_MOMENTS <- 5e6
SUBSPACE_FACTOR <- 4L

#' The engine of Gaussian priors on checked data
#'
#' @param solve Function of data, init, plan and error_call, see fit_linear().
#' @noRd
fit_gaussian <- function(data, init, plan, solve, call, error_call) {
  started <- proc.time()[["elapsed"]]
  check_gaussian_settings(plan, error_call)
  check_sign_names(plan, data, error_call)
  model <- solve(data, init, plan, error_call)
  if (turns_signs(plan, model$start$label)) {
    sign <- latent_signs(model$mixing, data, plan)
    model$mixing <- model$mixing * rep(sign, each = nrow(model$mixing))
    model$prior <- turned(model$prior, model$parents, sign)
  }
  posterior <- gaussian_posterior(model, data$x, data$env, data$targets, plan,
                                  stats::qnorm(FIT_PROBS))
  check_status(posterior$status, error_call)
  structure(c(named_gaussian_results(model, posterior, data), list(
    control = control_of(plan), init = model$start$label, start = reusable_start(init),
    optima = model$start$optima, seed = plan$seed, call = call,
    elapsed = proc.time()[["elapsed"]] - started
  )), class = fit_class("g", plan$prior))
}

#' Refuse several chains, which an exact EM does not have
#' @noRd
check_gaussian_settings <- function(control, call) {
  if (control$saem$chains > 1L) {
    abort_input(c("{.arg chains} must be 1 with {.code {setting_words(control$prior)}}.",
                  "x" = "It is {control$saem$chains}.",
                  "i" = "Its EM is exact: nothing is drawn."), "control", call = call)
  }
}

# Results -----------------------------------------------------------------------------------------

#' Posterior of rows in closed form
#'
#' @param model A fit, or what fit_linear() returns.
#' @param targets 0/1 integer matrix of the combinations that `codes` refers to.
#' @return list: `latents`, `latents_sd` (rows x d), `quantiles` (rows x d length(deviate)), `draws`
#'   (rows x d keep), `status`
#' @noRd
gaussian_posterior <- function(model, x, codes, targets, control, deviate = double(), keep = 0L,
                               seed = 0) {
  .Call(C_gaussian_rows, x, codes, targets, model$parents,
        list(mixing = unname(model$mixing), sigma2 = model$sigma2,
             prior = unclass(model$prior)[c("intercept", "slope", "variance")]),
        list(perfect = control$intervention == "perfect", variance_floor = 0, deviate = deviate,
             keep = keep, seed = seed, threads = control$threads))
}

#' @noRd
named_gaussian_results <- function(model, posterior, data) {
  latents <- data$latent_names
  states <- STATE_NAMES
  trace <- model$trace[seq_len(model$iterations), , drop = FALSE]
  of_cells <- colnames(trace) == "variance"
  variances <- `colnames<-`(trace[, of_cells, drop = FALSE],
                            paste0("noise_var_", by_cell(latents), "_", states))
  prior <- model$prior
  prior$range <- matrix(apply(posterior$latents, 2L, range), 2L)
  seen <- !is.na(as.vector(prior$variance))
  c(posterior_fields(posterior, data), list(
    mixing = `dimnames<-`(model$mixing, list(data$feature_names, latents)),
    sigma2 = model$sigma2,
    latent_noise_var = `dimnames<-`(t(prior$variance), list(latents, states)), noise = NULL,
    loglik = model$loglik, iterations = model$iterations, converged = model$converged,
    trace = tibble::as_tibble(cbind(data.frame(
      iteration = seq_len(model$iterations),
      trace[, !of_cells, drop = FALSE]
    ), variances[, seen, drop = FALSE])),
    mechanism_coef = coefficient_table(prior, data), parents = model$parents, prior = prior,
    mc_error = stats::setNames(rep(0, data$d), latents), drift = model$change,
    subspace = model$subspace,
    counts = c(model$counts, start_indefinite = 0L),
    cells = gaussian_cells(prior, data), data = data
  ))
}

#' Parents that a (node, state) depends on: a list over cells
#' @noRd
cell_parents <- function(parents, control) {
  perfect <- control$intervention == "perfect"
  unlist(lapply(parents, function(of) {
    lapply(STATES, function(state) if (parents_act(state, perfect)) of else integer())
  }), recursive = FALSE)
}

#' Intercepts and slopes in long form
#' @noRd
coefficient_table <- function(prior, data) {
  slope <- matrix(prior$slope, data$d)
  do.call(rbind, lapply(which(!is.na(prior$variance)), function(cell) {
    parents <- prior$family[[cell]]
    tibble::tibble(
      node = data$latent_names[node_of(cell)], state = state_of(cell),
      term = c("(Intercept)", data$latent_names[parents]),
      estimate = c(prior$intercept[cell], slope[parents, cell])
    )
  }))
}

#' @noRd
gaussian_cells <- function(prior, data) {
  size <- 1L + lengths(prior$family)
  variance <- as.vector(prior$variance)
  cell_rows(data, coefficients = size, df = ifelse(is.na(variance), NA, as.double(size)),
            noise_var = variance)
}

#' @noRd
posterior_of.crl_fit_g_gaussian <- function(fit, rows, design, call) {
  posterior <- gaussian_posterior(fit, rows$x, design$codes, target_matrix(design$targets),
                                  fit$control)
  warn_extrapolation(posterior$latents, apply(fit$latents, 2L, range))
  c(posterior[c("latents", "latents_sd")], list(floored = 0))
}

#' @noRd
posterior_sample.crl_fit_g_gaussian <- function(fit, nsim, thin, seed) {
  data <- fit$data
  gaussian_posterior(fit, data$x, data$env, data$targets, fit$control, keep = nsim, seed = seed)
}

#' @noRd
mechanism_slopes.crl_fit_g_gaussian <- function(fit, call = rlang::caller_env()) {
  fit$mechanism_coef
}

#' @noRd
engine_glance.crl_fit_g_gaussian <- function(fit) {
  tibble::tibble(loglik = fit$loglik, noise_floored = fit$counts[["noise_floored"]])
}

#' @noRd
check_engine.crl_fit_g_gaussian <- function(fit, size, arg, call) {
  check_parts(fit, c(g_parts(size), gaussian_parts(size)), arg, call)
}

#' The log-likelihood reached
#' @noRd
loglik_line <- function(fit) {
  paste0("Log-likelihood: ", format(fit$loglik, digits = 10L), ".")
}

#' @noRd
describe_verdict.crl_fit_g_gaussian <- function(fit) {
  describe_convergence(fit)[-2L] # without the log-likelihood
}

#' Log-likelihood of a fit with a Gaussian prior
#'
#' The log-likelihood of x of fits by `method = "g"` with `prior = "linear"` or `"normal"` (see
#' [crl_control()]): other fits have no closed form for it. Rows count by their `weights`.
#'
#' @param object A `crl_fit`, from [fit_crl()].
#' @param ... Not used.
#' @return An object of class `logLik`, with the degrees of freedom: intercepts, slopes, variances,
#'   A (p d, less the constraints on its columns and the rotations that leave the model as it is)
#'   and \eqn{\sigma^2}. [AIC()][stats::AIC] and [BIC()][stats::BIC] read it.
#' @section Errors:
#' `ebcrl_error_method` for other fits.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20, nonlinearity = "linear")
#' linear <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' normal <- fit_crl(sim, method = "g", control = crl_control(prior = "normal"))
#' AIC(linear, normal)
#' @importFrom stats logLik
#' @export
logLik.crl_fit <- function(object, ...) {
  check_dots_empty(...)
  object <- check_fit(object)
  prior <- if (object$method == "g") ", {.code {setting_words(object$control$prior)}}"
  abort_input(c(paste("{.fn logLik} needs a fit by {.code method = \"g\"} with",
                      "{.fn prior_linear} or {.fn prior_normal}."),
                "x" = paste0("This one is by {.code method = \"{object$method}\"}", prior, ".")),
              "method")
}

#' @export
logLik.crl_fit_g_gaussian <- function(object, ...) {
  check_dots_empty(...)
  object <- check_fit(object)
  structure(object$loglik, df = gaussian_df(object), nobs = object$data$n, class = "logLik")
}

#' @noRd
gaussian_df <- function(fit) {
  p <- as.double(fit$data$p - length(fit$data$constant))
  d <- fit$data$d
  mixing <- switch(fit$control$mixing, fixed = 0, psd = p * d - d, p * d - d * (d + 1) / 2)
  mixing + prior_df(fit) + learned_noise(fit)
}

#' Parameters of the prior that were estimated
#' @noRd
prior_df <- function(fit) UseMethod("prior_df")

#' Was sigma2 estimated?
#' @noRd
learned_noise <- function(fit) UseMethod("learned_noise")

#' @noRd
given_noise <- function(fit) {
  is.list(fit$start) && !is.null(fit$start[["sigma2"]])
}
