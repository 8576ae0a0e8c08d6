#' Settings of SAEM
#'
#' What [crl_control()] takes as `saem`: how long `method = "g"` with [prior_spline()] draws latents,
#' and how many draws tell their posterior. Other priors need none; several `chains` are an error
#' there.
#'
#' @param ... Nothing: settings go by their full names, and what is none is an error.
#' @param burn_in,iterations Largest numbers of iterations of SAEM, of burn-in,
#'   in which the random walks are tuned and knots follow the draws, and after it, which are
#'   averaged. Burn-in ends when the parameters no longer move, averaging when it is precise enough
#'   (`mc_tol`), see Iterations of SAEM.
#' @param mc_tol Averaging stops when the Monte-Carlo errors of A and of the
#'   latents' noise variances are both estimated below this share of their sampling errors. The
#'   default, 0.25, adds a sixteenth to the squared error of A. 0 runs all `iterations`.
#' @param chains Number of chains of SAEM (default 1), which differ in their
#'   random numbers and, but for the first, in their starts: A is turned by up to 0.2 radians in
#'   every plane of latents, log \eqn{\sigma^2} moved by up to 0.2, a few times their sampling
#'   errors. The fit is that of the chain with the largest mean objective: chains in one optimum
#'   agree within the Monte-Carlo error, and of several optima the best is wanted, not a mean. The
#'   objective is not the likelihood, see Iterations of SAEM. R-hat tells whether chains agree; it
#'   needs more iterations than `mc_tol` asks for. Chains run one after another.
#' @param rows Rows of each domain, equally spaced, that SAEM goes on at most. `"auto"` (the default): as
#'   many as pay. That is 2000 if the sampling error of A that they leave moves the latents by less
#'   than a hundredth of their posterior variance, by estimate, else as many as bring it there;
#'   domains of up to 4000 rows are taken whole. The posterior, at the end, is that of all rows in any
#'   case. Mechanisms and noise variances have the sampling errors of these rows: `Inf` takes all.
#' @param draws Draws of the latents of each row with the parameters held, for
#'   posterior means, standard deviations and quantiles (default 400, at least 2). The fit reports
#'   the Monte-Carlo error.
#' @return A list of class `saem_control` with the settings that were named; [crl_control()] adds the
#'   others.
#' @section Errors:
#' `ebcrl_error_control` for what is not a setting, and for values out of range.
#' @section Iterations of SAEM:
#' Burn-in has step 1: statistics are those of the latest draws. From the 64th iteration on the
#' means of the parameters over the second and the last third are compared. Burn-in ends when they
#' differ by no more than the Monte-Carlo error of the difference and the parameters' standard
#' deviation over the last third together, in A, \eqn{\sigma^2}, the latents' noise variances and
#' the mechanisms at three values of each parent. Where most of the information on a parameter is
#' missing that standard deviation is 0.7 sampling errors, else less (Nielsen 2000).
#'
#' Then the step is 0.3, and the fit is the maximum at the mean of the statistics over all further
#' iterations. (With a step of 1/t, the other way to let the noise of the draws die out, errors that
#' the EM itself forgets slowly, by a factor r an iteration, would decrease as \eqn{t^{r - 1}}: r is
#' about 0.9 for a noise variance half of \eqn{\sigma^2}.) After at least 256 iterations they stop
#' when the Monte-Carlo error is a small share, `mc_tol`, of the sampling error. The former is
#' estimated from the means of 8 to 16 batches of iterations, as a first-order autoregression; it is
#' too small where parameters change more slowly than a batch is long, which several `chains` show.
#' The latter is taken for A from the formula for known latents, with twice the variance of A over
#' the iterations added for what the prior tells (Nielsen 2000); for noise variances from the
#' formula for one variance to which the noise of x is added. Where A is held the noise variances
#' decide alone.
#'
#' With few rows noise variances that maximise at single draws are a random walk in their logarithm
#' which comes to rest near 0. So from the sixth iteration of burn-in on they take steps of n/1000,
#' n the rows of the (node, state), at least 0.1 and at most 1.
#'
#' The objective of a chain is \eqn{-(p \log \sigma^2 + \sum_c w_c \log v_c)/2}, \eqn{v_c} the
#' noise variance of a (node, state) and \eqn{w_c} its share of the rows: the log density of a row
#' of x and its latents, averaged over the draws, up to a constant, with Gaussian noise. The
#' likelihood of x has the entropy of the latents given x in addition, which is smaller where noise
#' variances are: the objective prefers optima with small ones. (With two latents, 3000 rows,
#' \eqn{\sigma^2 = 4} and A held half a radian from the maximum, the log-likelihood was 40 lower
#' and n times the objective 107 higher.) So where chains disagree, look at all of `runs`. With
#' `noise` in components v is the variance of the mixture, and the objective does not say how well
#' its shape fits, so that it cannot choose the number of components.
#'
#' R-hat is near 1 where means of chains differ by little beside what the parameters vary within
#' one. Steps of 0.3 let them vary little: in an example with four latents R-hat of A was about 2
#' when `mc_tol = 0.25` was reached, with chains 0.3 sampling errors apart, and 1.05 near
#' `mc_tol = 0.06`.
#' @references Nielsen, S. F. (2000). The stochastic EM algorithm: estimation and asymptotic results.
#'   *Bernoulli*, 6, 457-489. \doi{10.2307/3318671}
#' @examples
#' crl_control(saem = saem_control(chains = 4, mc_tol = 0.06))
#' @export
saem_control <- function(..., burn_in = 300, iterations = 500, mc_tol = 0.25, chains = 1,
                         rows = "auto", draws = 400) {
  check_setting_dots(...)
  named_settings("saem", environment(), names(match.call()))
}
