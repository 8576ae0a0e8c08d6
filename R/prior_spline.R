# The prior of additive spline mechanisms.

#' A prior of spline mechanisms
#'
#' What [crl_control()] takes as `prior`, its default: each latent is a sum of smooth functions of
#' its parents plus noise, with functions and noise of its own in each target state (6.2). It is
#' fitted by SAEM, see [saem_control()]; posterior means, standard deviations and quantiles are those
#' of draws. Starts that take draws, also of `method = "f"`, have these mechanisms (see
#' [start_search()]).
#'
#' @param ... Nothing: settings go by their full names, and what is none is an error.
#' @param knots Knots of a mechanism in each parent (default 20: more than those of the score, since
#'   smoothing is chosen by the data and additive splines are cheap), equally spaced over the range
#'   of the parent's draws; mechanisms continue linearly beyond.
#' @param lambda Weight of the second-difference penalty of the mechanisms, on the scale of `lambda`
#'   in [crl_control()]; or `"auto"` (the default): for each (node, state) and parent, by the
#'   marginal likelihood (generalised Fellner-Schall steps, Wood and Fasiolo 2017).
#' @param noise Distribution of the noise u of each latent in each target state: `"gaussian"` (the
#'   default), or the number (2 to 10) of components of a mixture of Gaussians, with mean zero as a
#'   whole, for noise with heavy tails or skewness. Each component counts five pseudo-rows that are
#'   like the noise as a whole, so that none runs empty. (The noise of x is `noise` of [fit_crl()].)
#' @return An object of class `crl_prior`.
#' @section Errors:
#' `ebcrl_error_control` for what is not a setting, and for values out of range.
#' @references Wood, S. N. and Fasiolo, M. (2017). A generalized Fellner-Schall method for smoothing
#'   parameter optimization. *Biometrics*, 73, 1071-1081. \doi{10.1111/biom.12666}
#' @seealso [prior_linear()] and [prior_normal()], which need no draws.
#' @examples
#' crl_control(prior = prior_spline(noise = 2))
#' @export
prior_spline <- function(..., knots = 20, lambda = "auto", noise = "gaussian") {
  check_setting_dots(...)
  call <- rlang::current_env()
  new_prior("spline",
    knots = whole_of(2, 1000)(knots, "knots", call),
    lambda = auto_or(number_of(min = 0, open = "min"))(lambda, "lambda", call),
    noise = check_noise(noise, "noise", call)
  )
}

#' "gaussian", or the number of components
#' @noRd
check_noise <- function(noise, arg, call) {
  if (identical(noise, "gaussian")) {
    return(noise)
  }
  if (is.character(noise)) {
    abort_input(c('{.arg noise} must be "gaussian" or a number of components.',
                  "x" = "It is {describe(noise)}."), "control", call = call)
  }
  check_number(noise, "noise", min = 2, max = 10, integer = TRUE, class = "control", call = call)
}
