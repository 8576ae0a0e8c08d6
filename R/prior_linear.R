# The prior of linear mechanisms.

#' A prior of linear mechanisms
#'
#' What [crl_control()] takes as `prior`: each latent is a linear function of its parents plus
#' Gaussian noise, with intercept, slopes and variance of its own for each target state (perfect
#' interventions: intercept and variance).
#'
#' Posterior means, standard deviations and quantiles have closed forms, the log-likelihood is exact
#' (`loglik` of the fit, [logLik()][logLik.crl_fit]), and results do not depend on `seed` but for the
#' random starts. [saem_control()] is not read, but that several `chains` are an error.
#'
#' It is fitted by EM on the moments of x under each combination of targets; an iteration takes as
#' long for any number of rows, and never lowers the log-likelihood. It stops at `max_iter`
#' iterations, or when one changes no parameter by more than `tol`, relatively. The start is
#' interventional with linear mechanisms, whatever [start_search()] says. `mixing` means what it
#' means elsewhere: `"orthonormal"`; `"diagonal"`, orthogonal columns that keep the lengths of the
#' start; `"psd"`, any columns, of length 1; `"fixed"`. Where the moments would be large
#' (combinations of targets times the square of the columns of x above 5 million), A is sought within
#' the 4 d leading principal components of x, not in all directions, and the fit says so. What is
#' lost is the part of A that the domains' differences would have added in the directions of small
#' variance; with A held nothing is.
#'
#' @param ... Nothing: it has no settings, and what is given is an error.
#' @return An object of class `crl_prior`.
#' @section Errors:
#' `ebcrl_error_control` for an argument.
#' @examples
#' crl_control(prior = prior_linear())
#' @export
prior_linear <- function(...) {
  check_setting_dots(...)
  new_prior("linear")
}
