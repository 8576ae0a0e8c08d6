#' Settings of the splines of f-modeling
#'
#' What [crl_control()] takes as `spline`: what the spline score of `method = "f"` is made of beside
#' its knots and penalty, and how it and its fixed point are computed.
#'
#' @param ... Nothing: settings go by their full names, and what is none is an error.
#' @param interaction How the parents of a latent act together. `"tensor"` (the paper's): one
#'   tensor-product spline of latent and all parents, `(knots + 2)^(1 + parents)` coefficients.
#'   `"pairwise"`: a sum of splines of latent and two parents, one for each pair; the same as
#'   `"tensor"` with two parents or fewer. `"additive"`: a sum of splines of latent and one parent;
#'   the same as `"tensor"` with one parent or none. `"auto"` (the default) takes one of them for all
#'   latents, the tensor where the rows can tell it, see Interaction.
#' @param reference The score that the spline score corrects. `"gaussian"` (the default): that of a
#'   Gaussian for each combination of targets, see Gaussian reference. `"none"`: splines alone, as
#'   in the paper.
#' @param acceleration `"anderson"` (the default) accelerates the EM map (A, \eqn{\sigma^2}) by
#'   Anderson's method with five differences, which leaves its fixed points where they are. It
#'   begins once the changes fall steadily and the limit is near; a step that goes against the EM's
#'   own is not taken, and one that makes the next change grow is taken back and counted. With
#'   `mixing` of `"diagonal"` or `"psd"`, where the EM drifts, it does nothing. `"none"` runs the EM
#'   as it is, which ends at the same limit.
#' @param solver Solver of the normal equations of a (node, state), or of all together with
#'   `score = "markov"`: `"cholesky"` (banded, or by blocks), `"cg"` (conjugate gradients, without
#'   the whole Gram matrix), or `"auto"` (the default): by cost.
#' @param cg_tol,cg_max_iter Residual at which conjugate gradients stop, relative to the right-hand
#'   side (that without the reference, if it is larger), and their largest number of iterations. A
#'   solve that stops at the latter is counted in the fit. Default 1e-8: latents are then off by
#'   some 1e-6, less than `tol` asks of the EM. What a smaller residual needs many more iterations
#'   for are coefficients that the rows hardly tell, and that hardly show in the latents.
#' @return A list of class `spline_control` with the settings that were named; [crl_control()] adds
#'   the others.
#' @section Errors:
#' `ebcrl_error_control` for what is not a setting, and for values out of range.
#' @section Interaction:
#' `interaction = "auto"` counts the coefficients of each latent with two parents or more in each
#' target state against the rows there, and takes `"tensor"` if there are no more than 20 for a row
#' and 10,000 in all, else `"pairwise"` if there are no more than 2 and 10,000, else `"additive"`.
#' With the default knots that is the tensor for two parents from 50 rows in each target state on,
#' for three from 500; pairs for four from 3000, for five from 5000. What is not the tensor is said
#' in a message and by `print()`; the fit's `control` has it, and [predict()][predict.crl_fit], [update()][update.crl_fit]
#' and [crl_compare()] use it. Graphs with one parent or none a latent, chains among them, are the
#' same under all three. `preset = "paper"` takes the tensor.
#'
#' With A and \eqn{\sigma^2} known, the error of the latents with the tensor was 1.09, 1.02 and 1.01
#' times that with `"additive"` in complete graphs of three with 15, 30 and 100 rows a domain; 1.00
#' in complete graphs of four with 200 and 2000; where two parents act by their product 1.01 with
#' three parents and 200 rows, 1.00 with 2000, 1.00 with four parents and 400. With `"pairwise"` it
#' was 1.00 in all of these but the complete graphs of three, where it is the tensor. Against
#' `"additive"` a solve took 3 times as long with a tensor of three parents, 40 times with one of
#' four, 10 to 20 times with pairs (medians of three seeds, `bench/first_call.R --interaction`).
#'
#' `"tensor"` with more than 5000 coefficients for a row is an error of class `ebcrl_error_memory`
#' that gives the figure: a solve would take minutes or hours, for a function that hardly any row
#' tells.
#'
#' The terms of a sum overlap (a function of the latent alone may belong to any of them), and so do
#' those of a log-density: only the score is determined, not the coefficients. From normal equations
#' that are factored the shortest are taken: a ridge of 1e-10 of the mean diagonal of the Gram
#' matrix and 1e-12 of that of the penalty makes the factorisation possible, and repeated steps take
#' its effect away.
#'
#' @section Gaussian reference:
#' The causal score (5.2) of a latent leaves out what its children and the other latents' noise say
#' about it. With `reference = "gaussian"`, an addition to the paper, the score is \eqn{s = g_a +
#' \phi'\theta}: \eqn{g_a(y) = -P_a (y - m_a)}, the score of a Gaussian for the combination of
#' targets a, has the linear part of all that, and score matching (5.4) fits the splines to what it
#' leaves. \eqn{m_a} and \eqn{P_a^{-1}} lie between mean and covariance of the pseudo-latents of the
#' rows with targets a and those that a linear structural causal model implies (a regression of each
#' latent on its parents in each target state, from moments less the noise variance): the posterior
#' means under a normal-inverse-Wishart prior around the linear model, which counts as
#' \eqn{\kappa} rows. One \eqn{\kappa} for all combinations maximises the marginal likelihood: it is
#' large where mechanisms are linear or rows few. A combination that no domain has, in
#' [predict()][predict.crl_fit], has the linear model's mean and covariance: with strong mechanisms
#' the error there was up to 9 % above that of splines alone (see [predict()][predict.crl_fit]).
#'
#' With A and \eqn{\sigma^2} known, d = 4 or 10 and 100 to 2000 rows a domain, the error of the
#' latents was 0.94 to 0.98 times that of splines alone with linear mechanisms (where it is within
#' 1 % of the Bayes optimum at 2000 rows), 0.98 to 1.00 times with bounded ones, 0.95 to 0.97 times
#' with strong ones (medians of six seeds, see [sim_crl()] for the mechanisms). An iteration takes
#' about a fifth longer with 4 latents, half as long again with 50.
#' @examples
#' crl_control(spline = spline_control(interaction = "additive"))
#' crl_control(spline = spline_control(reference = "none"), lambda = 20)
#' @export
spline_control <- function(..., interaction = c("auto", "tensor", "pairwise", "additive"),
                           reference = c("gaussian", "none"),
                           acceleration = c("anderson", "none"),
                           solver = c("auto", "cholesky", "cg"), cg_tol = 1e-8,
                           cg_max_iter = 2000) {
  check_setting_dots(...)
  named_settings("spline", environment(), names(match.call()))
}
