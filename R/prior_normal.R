# The prior of independent standard normal latents.

#' A prior of independent normal latents
#'
#' What [crl_control()] takes as `prior`: latents are independent N(0, 1) in every domain, which is
#' probabilistic principal component analysis (Tipping and Bishop 1999); graph and targets are not
#' used, but for signs.
#'
#' The maximum of the likelihood has \eqn{\sigma^2} the mean of the p - d small eigenvalues of
#' X'X/n, and \eqn{A = U (L - \sigma^2 I)^{1/2} R}, U the leading eigenvectors, L their eigenvalues,
#' R any rotation, of which the fit takes the identity: columns of A are orthogonal, the longest
#' first. `mixing = "diagonal"` (what `"auto"` stands for) is this. `"orthonormal"` is the same model
#' in other units: columns of length 1, latents with the variances \eqn{L - \sigma^2}. `"fixed"`
#' holds the A of `init`, and \eqn{\sigma^2} alone is estimated. `"psd"` is refused: A is known up to
#' a rotation only, under which columns may as well be orthogonal. No start is needed; an `init` in
#' numbers matters if it is held.
#'
#' Posterior moments have closed forms, and the log-likelihood is exact ([logLik()][logLik.crl_fit]).
#' [saem_control()] is not read, but that several `chains` are an error.
#'
#' @param ... Nothing: it has no settings, and what is given is an error.
#' @return An object of class `crl_prior`.
#' @section Errors:
#' `ebcrl_error_control` for an argument.
#' @references Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
#'   *Journal of the Royal Statistical Society B*, 61, 611-622. \doi{10.1111/1467-9868.00196}
#' @examples
#' crl_control(prior = prior_normal())
#' @export
prior_normal <- function(...) {
  check_setting_dots(...)
  new_prior("normal")
}
