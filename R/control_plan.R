# The plan of a fit: its settings with all that depends on rows, graph and start resolved, once, at
# the top of an engine. Nothing below changes it: what another run needs (draws of the start, the
# coordinates of a measurement model) is a plan of its own, by derived_plan().
#
# Beside the settings a plan has
#   stages    of the interventional start, after lines: any of "spline" (see refined_optima()),
#             "choice" (chosen_by_draws()), "draws" (sampled_mixing())
# A fit keeps the settings of its plan as `control`.

#' @param ... What is resolved, by name; a setting of a group by a list of its name.
#' @noRd
new_plan <- function(control, ..., stages) {
  structure(c(merged_settings(control, list(...)), list(stages = stages)), class = "crl_plan")
}

#' The plan of another run that differs in some settings
#' @noRd
derived_plan <- function(plan, ...) {
  structure(merged_settings(plan, list(...)), class = "crl_plan")
}

#' The settings of a plan, as a fit keeps them
#' @noRd
control_of <- function(plan) {
  structure(unclass(plan)[setting_names()], class = "crl_control")
}

#' The plan of a fit by `method = "f"`
#' @noRd
plan_f <- function(control, data, init) {
  updated <- updates_mixing(control, init)
  new_plan(control,
    spline = list(interaction = resolved_interaction(control, data)),
    mixing = if (control$mixing != "auto") control$mixing else
      if (updated) "orthonormal" else "fixed",
    update_mixing = updated && control$mixing != "fixed",
    seed = control$seed %||% 1L,
    stages = start_stages(control)
  )
}

#' Does the EM update A? A start that knows the rotation is held
#' @noRd
updates_mixing <- function(control, init) {
  if (control$update_mixing != "auto") {
    return(control$update_mixing)
  }
  if (control$mixing %in% c("auto", "psd")) identical(init, "pca") else TRUE
}

#' Stages of the interventional start
#' @param own_draws Has the fit draws of its own to come? Then the start goes without.
#' @noRd
start_stages <- function(control, own_draws = FALSE) {
  mechanisms <- control$start$mechanisms
  if (mechanisms == "linear") {
    return(character())
  }
  if (control$mixing == "psd") { # from lines to draws at once
    return(if (!own_draws) "draws" else character())
  }
  if (mechanisms == "spline") "spline" else c("spline", "choice", if (!own_draws) "draws")
}

# For the C core ----------------------------------------------------------------------------------

#' Updates of D or Lambda drift along directions that are neutral; there is no limit to hasten to.
#' @noRd
is_accelerated <- function(control) {
  control$spline$acceleration == "anderson" &&
    (isFALSE(control$update_mixing) || control$mixing %in% c("orthonormal", "fixed"))
}

#' The settings in the form the C core reads: a range for every latent
#'
#' @param control A plan, or the control of a fit.
#' @param ... What takes the place of a setting, under its name there.
#' @noRd
engine_control <- function(control, d, learn_sigma2 = FALSE, signs = NULL, ...) {
  range <- control$range
  spline <- control$spline
  engine <- list(
    score = control$score,
    interaction = spline$interaction,
    perfect = control$intervention == "perfect",
    penalty = control$penalty,
    lambda = if (identical(control$lambda, "auto")) 0 else control$lambda,
    choose_lambda = identical(control$lambda, "auto"), knots = control$knots,
    range = if (!identical(range, "data")) matrix(range, 2L, d),
    solver = spline$solver,
    cg_tol = spline$cg_tol, cg_max_iter = spline$cg_max_iter, threads = control$threads,
    gaussian = spline$reference == "gaussian",
    mixing = if (isFALSE(control$update_mixing)) "fixed" else control$mixing,
    learn_sigma2 = learn_sigma2, signs = signs,
    eta = if (identical(control$eta, "auto")) 1 else control$eta,
    choose_eta = identical(control$eta, "auto"), seed = control$seed %||% 1L,
    tol = control$tol, max_iter = control$max_iter, acceleration = is_accelerated(control)
  )
  instead <- list(...)
  replace(engine, names(instead), instead)
}
