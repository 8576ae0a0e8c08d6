#' Settings of the search for a start
#'
#' What [crl_control()] takes as `start`: how `init = "interventional"`, the default of [fit_crl()],
#' looks for the mixing matrix that the EM begins at.
#'
#' @param ... Nothing: settings go by their full names, and what is none is an error.
#' @param mechanisms Mechanisms that `init = "interventional"` reckons with, and so its last stage.
#'   `"linear"`: moments tell the rotation, at a cost that does not depend on the rows.
#'   `"spline"`: the optimum for linear mechanisms is refined with additive cubic splines, corrected
#'   for the noise in the parents to second order. `"sampled"` (the default): a few sweeps of that,
#'   then a g-model fitted to posterior draws, for mechanisms that bend within a width of the noise;
#'   see Start by draws.
#'   With `mixing = "psd"` see [crl_mixing].
#' @param starts Rotations that `init = "interventional"` descends from: the principal axes and
#'   `starts - 1` random ones.
#' @return A list of class `start_search` with the settings that were named; [crl_control()] adds the
#'   others.
#' @section Errors:
#' `ebcrl_error_control` for what is not a setting, and for values out of range.
#' @section Start by draws:
#' With `mechanisms = "sampled"` the rotation of the start comes from a g-model (see f or g in
#' [fit_crl()]) within the principal subspace: SAEM on the principal coordinates, \eqn{\sigma^2}
#' held, so that its cost does not depend on p. Its mechanisms are those of `prior` in
#' [crl_control()], or of [prior_spline()] where that is another, but for the noise, which has two
#' components at least: under skewed noise a Gaussian would turn A away from the truth, and under
#' Gaussian noise two components cost no accuracy. SAEM needs more iterations the more the noise
#' hides of the mechanisms; most are made with part of the rows: 200 with 1000 rows a domain,
#' equally spaced, 60 each time the rows are doubled, 70 with all of them. With fewer than 2000 rows
#' a domain, 210 with all. A run ends before, once nothing moves, or once all rows would move the
#' latents by less than 1 % of their posterior variance (not after its first stage). `sampling` in
#' the fit has the runs.
#'
#' A run ends at one draw of a stationary sequence with a memory of hundreds of iterations. So the
#' start is the mean of several runs, 4 with up to 2000 rows in all, 2 from 2667 on, and their spread
#' tells its Monte-Carlo error, `start_mc_error` in the fit, and what another seed would do, which
#' print() says: 1.5 to 2.7 % of a latent's standard deviation with 300 rows a domain, 1.0 to 1.8 %
#' with 2000 (chains of 4 and 3 latents, `bench/seeds.R`, where print() was right on average in three
#' of four settings and a third too low in one). With more than 40,000 rows there is one run, and no
#' such figure. Rows are
#' ordered by their norm in the principal subspace, latents by the data, and the unit is their root
#' mean square, before random numbers are drawn: the order of rows, domains and latents, and the
#' unit of `x`, change the start by rounding errors only.
#'
#' Before that, draws choose where to go on from. Where mechanisms bend within a width of the noise,
#' the likelihood of the spline stage may favour a wrong rotation, or lead away from the right one.
#' So its best optima, those whose rows have lost at most 0.08 of their log-likelihood each, compete
#' as they are after it and as they were before: each gets a short g-model, on at most 250 rows a domain, and that whose posterior means have the least estimated
#' squared error goes on (Stein's estimate, twice \eqn{\sigma^4} times the score-matching loss but
#' for a constant; `risk` in the fit's `optima`), if it is 1.5 standard errors of the difference,
#' and 1 % of the error of the projections (\eqn{d \sigma^2}), below that of the spline stage's
#' choice: below that lies what few draws tell, so that where noise is small the likelihood decides.
#' The start of `method = "g"` makes the same choice.
#'
#' With d = 4 and 2000 rows a domain the error of the latents was 1.02, 1.01 and 1.04 times the
#' Bayes optimum with bounded, linear and strong mechanisms (see [sim_crl()]; medians of 40 seeds,
#' `bench/learned.R`); with `"spline"` 1.03, 1.01 and 1.23, in less than half the time.
#'
#' @examples
#' crl_control(start = start_search(mechanisms = "spline", starts = 50))
#' @export
start_search <- function(..., mechanisms = c("sampled", "spline", "linear"), starts = 20) {
  check_setting_dots(...)
  named_settings("start", environment(), names(match.call()))
}
