#' Settings of a fit
#'
#' Collects and checks every setting of [fit_crl()]. Those of its parts have constructors with help
#' of their own: [spline_control()], [start_search()], [prior_spline()] and its like, and
#' [saem_control()].
#'
#' `intervention`, `mixing`, `sigma2`, `signs`, `start`, `seed`, `threads`, `progress` and
#' `max_memory` are read by both methods, `prior` and `saem` by `method = "g"` (`prior` also by
#' starts that take draws), `max_iter` and `tol` by all that runs an exact EM, the others by
#' `method = "f"` only.
#'
#' @param ... Nothing: settings go by their full names, and what is none is an error.
#' @param score Score model: `"causal"` (the default), the causal score function of the paper (5.2),
#'   in which the score of a latent depends on it and its parents; or `"markov"`, the gradient of a
#'   spline log-density along the graph (5.1), to which children contribute as well. The latter
#'   takes several times as long, but updates of A stay close to a true A where with the causal
#'   score they drift away.
#' @param penalty Penalty on the spline coefficients. `"difference"` (the default): squared second
#'   differences along each coordinate (third ones with `score = "markov"`), so that heavy smoothing
#'   falls back to the linear score of a Gaussian. `"ridge"`: the paper's,
#'   \eqn{\lambda |\theta|^2}; heavy smoothing falls back to no shrinkage.
#' @param lambda Penalty weight (at least 0), held against the number of rows: the error is flat
#'   over 1 to 100. Default 5, with `mixing = "psd"` 1000. `"auto"` chooses it from the data, see
#'   [crl_smoothing].
#' @param knots Knots of each coordinate (whole number, at least 2; 8 is the paper's), equally spaced
#'   and including both ends; `knots + 2` cubic B-splines a coordinate.
#' @param range Range that the knots cover. `"data"` (the default): smallest and largest value of
#'   each pseudo-latent, at every iteration; `c(lo, hi)` for all latents; a 2 x d matrix for each.
#'   Outside, the score continues linearly.
#' @param intervention What an intervention does to its target. `"perfect"`: it has no parents while
#'   it is targeted, which has less variance where it is true. `"imperfect"`: it depends on its
#'   parents in another way. `"auto"` (the default): one of them for all targets, by BIC with spline
#'   mechanisms; `print()` says which, see [crl_mixing]. From starts that look at no interventions
#'   (PCA, a given A) it is `"imperfect"`, from a fit that fit's.
#' @param mixing Update of the mixing matrix A = OD, O orthonormal and D diagonal (4.7).
#'   `"orthonormal"` holds D = 1: only this scale makes A identifiable up to signed permutations.
#'   `"diagonal"` updates D. `"psd"`: any columns of length 1, see [crl_mixing]. `"fixed"` holds A,
#'   whatever its columns. `"auto"` (the default) is `"orthonormal"` from `init = "pca"` and
#'   `"fixed"` from every other start, from which updates with an estimated score lead away; but
#'   from an interventional start it is `"psd"` where the data say that columns are correlated (a
#'   message says so, see [crl_mixing]): then `lambda` is that of `"psd"` unless given. With
#'   `method = "g"` it is `"fixed"` where `init` gives A in numbers, else `"orthonormal"`, or what a
#'   g fit that it goes on from had.
#' @param update_mixing Of `method = "f"`: does the EM update A (`TRUE`), or hold it at its start
#'   (`FALSE`)? `"auto"` (the default): `"orthonormal"` and `"diagonal"` update it, `"auto"` and
#'   `"psd"` from `init = "pca"` only. `"fixed"` with `TRUE` is an error.
#' @param sigma2 Noise variance: `"learned"` (4.9), `"fixed"` at its start, or `"auto"` (the
#'   default): fixed where A is held and `init` gives `sigma2`, else learned. With as many columns
#'   of x as latents `method = "f"` holds it, and `"learned"` is an error.
#' @param eta Damping of Tweedie's formula (4.4), between 0 (no shrinkage) and 1 (the default), or
#'   `"auto"`, see [crl_smoothing].
#' @param max_iter Largest number of EM iterations, also of [prior_linear()]. 0 leaves the start
#'   as it is and only denoises.
#' @param tol The EM stops when the relative distances that A, \eqn{\sigma^2} and the latents still
#'   have to go are all estimated below it, in two successive iterations (see [crl_diagnosis]). The
#'   default, 1e-5, lies far below any statistical error. 0 runs all `max_iter` iterations.
#' @param signs Sign of each latent, which the model leaves open: `"up"`, higher where it is
#'   targeted, `"down"`, lower, or `"loadings"`, see [fit_crl()]. A vector with names, such as
#'   `c(z1 = "down")`, is for these latents; the others are `"up"`. `"auto"` (the default) is
#'   `"up"`, but where `init` gives A its signs are kept.
#' @param spline From [spline_control()], or a list of its settings: what the spline score is made
#'   of beside knots and penalty, its solver and the acceleration of the EM.
#' @param start From [start_search()], or a list of its settings: how `init = "interventional"`
#'   finds A.
#' @param prior Of `method = "g"`: [prior_spline()] (the default), [prior_linear()] or
#'   [prior_normal()], or their names, `"spline"`, `"linear"`, `"normal"`.
#' @param saem From [saem_control()], or a list of its settings: iterations, chains and draws of
#'   `method = "g"`.
#' @param seed Seed (a whole number, at most 2^53 - 100) of the random rotations and draws of the
#'   start, of folds, and of the draws of `method = "g"`. NULL (the default): 1; with [prior_spline()]
#'   one from R's random numbers, reported in the fit. R's own are else neither used nor changed.
#' @param threads Number of threads (default: option `ebcrl.threads`, else 1); at most one for each
#'   4096 rows is used. Results have the same bits for every number. Where other work keeps the
#'   processors busy, one is faster. Forked processes use one.
#' @param progress Show progress bars, for each step that takes two seconds or more? NULL (the
#'   default): in interactive sessions.
#' @param max_memory Memory in gigabytes (1e9 bytes) beside `x`; a fit that needs more is refused
#'   before it starts. NULL (the default): what the system says is available, or 8.
#' @param preset `"default"`, or `"paper"`: the settings of Appendix D of the paper (ridge penalty,
#'   range -15 to 15, 8 knots, \eqn{\eta = 1}, 1000 iterations, A updated at every one, a tensor,
#'   splines alone, no acceleration), and its start, principal components, where [fit_crl()] is
#'   given none. The paper does not give its \eqn{\lambda}; 1 is used. Settings given by name take
#'   precedence, in `spline` one by one.
#' @return A list of class `crl_control` with the settings above. [update()][update.crl_control]
#'   gives the same with some of them changed.
#' @section Errors:
#' `ebcrl_error_control` for values out of range and for arguments that are none. Of a setting that
#' belongs to a constructor the error says to which.
#' @references Wu, B., von Kügelgen, J. and Blei, D. M. (2026). Multi-domain empirical Bayes for
#'   linearly-mixed causal representations. \doi{10.48550/arXiv.2603.18404}
#' @examples
#' crl_control(lambda = 20, knots = 6)
#' crl_control(lambda = "auto", spline = spline_control(interaction = "additive"))
#' crl_control(prior = prior_spline(noise = 2), saem = saem_control(draws = 1000))
#' crl_control(preset = "paper", max_iter = 100)
#' @export
crl_control <- function(..., score = c("causal", "markov"),
                        penalty = c("difference", "ridge"), lambda = 5, knots = 8, range = "data",
                        intervention = c("auto", "imperfect", "perfect"),
                        mixing = c("auto", "orthonormal", "diagonal", "psd", "fixed"),
                        update_mixing = "auto", sigma2 = c("auto", "learned", "fixed"), eta = 1,
                        max_iter = 1000, tol = 1e-5, signs = "auto", spline = spline_control(),
                        start = start_search(), prior = prior_spline(), saem = saem_control(),
                        seed = NULL, threads = getOption("ebcrl.threads", 1L), progress = NULL,
                        max_memory = NULL, preset = c("default", "paper")) {
  check_setting_dots(...)
  call <- rlang::current_env()
  of_preset <- PRESETS[[check_choice(preset, names(PRESETS), "preset", "control", call)]]
  settings <- mget(names(SETTINGS$control))
  implied <- of_preset[setdiff(names(of_preset), c("spline", names(match.call())))]
  settings[names(implied)] <- implied
  if (!"lambda" %in% c(names(match.call()), names(implied)) && identical(mixing, "psd")) {
    settings$lambda <- PSD_LAMBDA
  }
  settings$spline <- whole_group(spline, "spline", of_preset$spline, call)
  checked_settings(settings, call)
}

# Default of lambda with mixing = "psd", where the splines' variance is multiplied by the noise.
PSD_LAMBDA <- 1000

#' The settings of a control, each checked: those of the constructor, and of a control at every
#' function that takes one, since `control$knots <- 6` is how R users change a setting
#'
#' @param settings Named list of all settings.
#' @return A `crl_control`
#' @noRd
checked_settings <- function(settings, call = rlang::caller_env()) {
  table <- SETTINGS$control
  checked <- lapply(stats::setNames(nm = names(table)), function(name) {
    table[[name]](settings[[name]], name, call)
  })
  check_update(checked$update_mixing, checked$mixing, call)
  structure(checked, class = "crl_control")
}

#' A crl_control from what the user passed as `control`: one already, or a list of settings
#' @noRd
as_control <- function(control, call = rlang::caller_env()) {
  made <- inherits(control, "crl_control") && is.list(control)
  if (!made && (!is.list(control) || is.object(control))) {
    abort_input(c("{.arg control} must be made by {.fn crl_control}, or be a list of its settings.",
                  "x" = "It is {describe(control)}."), "control", call = call)
  }
  check_setting_names(control, setting_names(), "control", "crl_control", call)
  if (!made) do.call("crl_control", control) else edited_control(control, call)
}

#' A control that may have been changed since it was made
#' @noRd
edited_control <- function(control, call) {
  # of a list, `control$seed <- NULL` takes the element away
  absent <- setdiff(setting_names(), c(names(control), "seed", "progress", "max_memory"))
  for (group in setdiff(names(GROUPS), absent)) {
    if (is.list(control[[group]])) {
      lacking <- setdiff(names(SETTINGS[[group]]), names(control[[group]]))
      absent <- c(absent, paste0(rep(group, length(lacking)), "$", lacking, recycle0 = TRUE))
    }
  }
  if (length(absent) > 0L) {
    abort_input(c("{.arg control} must have every setting of {.fn crl_control}.",
                  "x" = "Not there: {some(absent)}."), "control", call = call)
  }
  checked_settings(control, call)
}

#' @noRd
setting_names <- function() {
  names(SETTINGS$control)
}

#' Settings with some of them changed
#'
#' `update(control, lambda = 20)` gives the settings that differ from `control` in this one. Of
#' `spline`, `start` and `saem` what their constructors name is changed, and the rest stays.
#'
#' @param object From [crl_control()].
#' @param ... Settings of [crl_control()] by their names.
#' @return A `crl_control`.
#' @section Errors:
#' `ebcrl_error_control` for what is not a setting, and for values out of range.
#' @examples
#' quick <- crl_control(saem = saem_control(burn_in = 30, iterations = 30))
#' update(quick, knots = 6, saem = saem_control(draws = 50))
#' @export
update.crl_control <- function(object, ...) {
  call <- rlang::current_env()
  control <- as_control(object, call)
  settings <- list(...)
  check_setting_names(settings, setting_names(), "...", "crl_control", call)
  checked_settings(merged_settings(control, settings, call), call)
}

#' The settings of a control with some replaced, in groups one by one
#' @noRd
merged_settings <- function(control, settings, call = rlang::caller_env()) {
  for (group in intersect(names(settings), names(GROUPS))) {
    check_group(settings[[group]], group, call)
    settings[[group]] <- replace(control[[group]], names(settings[[group]]), settings[[group]])
  }
  replace(unclass(control), names(settings), settings)
}

#' Texts in lines of the console's width, each behind its label
#' @noRd
strwrap_each <- function(texts, labels) {
  room <- max(20L, getOption("width") - nchar(labels[1L]))
  unlist(Map(function(text, label) {
    lines <- strwrap(text, width = room)
    paste0(c(label, rep(strrep(" ", nchar(label)), length(lines) - 1L)), lines)
  }, texts, labels), use.names = FALSE)
}

#' @export
print.crl_control <- function(x, ...) {
  shown <- vapply(unclass(x), function(value) {
    if (is.null(value)) {
      "automatic"
    } else if (is.list(value)) {
      setting_words(value)
    } else {
      paste(format(value), collapse = " ")
    }
  }, "")
  names <- format(paste0(names(x), ":"))
  cat(strwrap_each(shown, paste0(names, " ")), sep = "\n")
  invisible(x)
}
