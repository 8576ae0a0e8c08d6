# update(): fit again with changed arguments, or go on with the iterations. The call of a fit, which
# it is fitted again by, is kept in words only.

# Settings that leave the problem as it is.
CONTINUED <- c("tol", "spline$acceleration", "spline$solver", "spline$cg_tol", "spline$cg_max_iter",
               "saem$mc_tol", "saem$draws", "threads", "progress", "max_memory")

#' Fit again with changed arguments, or go on with the iterations
#'
#' `update(fit, dag = ...)` evaluates the call of the fit again with the arguments that are given,
#' as `update()` does for other models. Settings of [crl_control()] may be given by their names,
#' too: `update(fit, lambda = 20)` changes this one and keeps the others, and
#' `update(fit, saem = saem_control(draws = 1000))` those that the constructor does not name. What
#' the call names is taken as it is when `update()` is called, data included.
#'
#' With `max_iter` (or `iterations`, the same) the EM is taken up where the fit stopped instead,
#' which is the same as if it had been allowed more iterations at once. (Acceleration starts anew,
#' so that with it the two agree at the limit, not before.) A fit by `method = "g"` goes on
#' averaging, every chain of it, and draws its latents again; the result has the bits of a fit with
#' more `iterations`. Its burn-in has ended: where parameters moved too much then, fit anew with
#' `init = object`. The EM of `prior = "linear"` goes on as that of `method = "f"` does; with
#' `prior = "normal"`, a closed form, nothing is left to do.
#'
#' @section Arguments given as values:
#' The call of a fit holds no data. Where an argument was given as a value, not by a name, as
#' `do.call(fit_crl, list(x, env, targets, dag))` does, the call says what it was, such as `<numeric
#' 900 x 20 matrix>`, and `update()` takes the argument from the fit: with `x` its rows, domains,
#' targets and graph, as far as they are not changed; of an `init` that was a fit, its mixing matrix
#' and noise variance.
#'
#' @param object A `crl_fit`, from [fit_crl()].
#' @param max_iter,iterations Largest number of further iterations (whole number, at least 0): go
#'   on. `NULL` (the default): fit again.
#' @param ... Arguments of [fit_crl()] and settings of [crl_control()] to change. To go on, only
#'   settings that leave the model as it is: `tol`, `threads`, `progress`, `max_memory`, of `spline`
#'   `acceleration`, `solver`, `cg_tol` and `cg_max_iter`, of `saem` `mc_tol` and `draws`.
#' @param evaluate `FALSE` returns the changed call instead of the fit.
#' @return A `crl_fit`, or a call. Of a fit that went on, `trace` and `iterations` go on from those
#'   of `object`, `elapsed` adds up, and `control` has the `max_iter`, or `iterations`, that would
#'   have given the fit in one go. Where `object` has converged to `tol`, or is precise to `mc_tol`,
#'   no iteration is added.
#' @section Errors:
#' `ebcrl_error_control` for an argument that is neither one of [fit_crl()] nor a setting, and for
#' one that would change a model that goes on; `ebcrl_error_call` for a fit without a call, or one
#' whose call has a value within an expression.
#' @seealso [crl_diagnosis]
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' fit <- fit_crl(sim, init = "interventional", control = crl_control(max_iter = 10))
#' fit
#' # go on
#' update(fit, max_iter = 500)
#' # another graph
#' update(fit, dag = complete_dag(3))
#' @importFrom stats update
#' @export
update.crl_fit <- function(object, max_iter = NULL, ..., iterations = NULL, evaluate = TRUE) {
  check_flag(evaluate, "evaluate")
  object <- check_fit(object, rows = TRUE)
  if (!is.null(max_iter) || !is.null(iterations)) {
    clock <- start_clock()
    on.exit(stop_clock(clock))
    fit <- go_on(object, further_iterations(max_iter, iterations), list(...))
    fit$seconds <- added_seconds(object$seconds, clock_seconds(clock))
    return(replace(fit, "doubts", object["doubts"]))
  }
  call <- updated_call(object$call, eval(substitute(alist(...))))
  if (evaluate) fit_again(call, object, parent.frame()) else call
}

# Going on ----------------------------------------------------------------------------------------

#' The number that either argument gives
#' @noRd
further_iterations <- function(max_iter, iterations, call = rlang::caller_env()) {
  if (!is.null(max_iter) && !is.null(iterations)) {
    abort_input(c("{.arg max_iter} and {.arg iterations} must not be given both.",
                  "x" = "They are {describe(max_iter)} and {describe(iterations)}.",
                  "i" = "Both say how many further iterations are allowed."), "control",
                call = call)
  }
  check_number(max_iter %||% iterations, if (is.null(max_iter)) "iterations" else "max_iter",
               min = 0, max = 1e7, integer = TRUE, class = "control", call = call)
}

#' @noRd
go_on <- function(object, further, settings, call = rlang::caller_env()) {
  if (length(object$data$constant) > 0L) {
    fit <- go_on(without_constant(object), further, settings, call)
    fit["start"] <- object["start"]
    return(with_constant(fit, object$data))
  }
  if (!is.null(object$inner)) {
    return(go_on_measured(object, further, settings, call))
  }
  if (!is.null(object$reduced)) {
    return(go_on_reduced(object, further, settings, call))
  }
  fit <- continue_fit(object, further, continued_control(object$control, settings, call), call)
  with_chosen(fit, unclass(object)[intersect(c("columns", "intervention"), names(object))])
}

#' @noRd
continue_fit.crl_fit_f <- function(fit, further, control, call) {
  started <- proc.time()[["elapsed"]]
  plan <- new_plan(control, max_iter = fit$iterations + further, stages = character())
  check_memory(fit$data, plan, call)
  more <- run_em(fit$data, resumed_start(fit), plan, fit$learned, call)
  if (more$iterations == fit$iterations) {
    more$diagnosis <- fit$diagnosis
  }
  summed <- c("sigma2_floored", "rank_deficient", "scale_floored", "steps_rejected")
  more$counts[summed] <- more$counts[summed] + fit$counts[summed]
  more[c("start", "chosen")] <- fit[c("start", "chosen")]
  more$call <- fit$call
  more$elapsed <- fit$elapsed + proc.time()[["elapsed"]] - started
  more
}

#' The start, see starting_values(), by which run_em() takes up a fit
#' @noRd
resumed_start <- function(object) {
  list(
    orthonormal = unname(object$orthonormal), scale = unname(object$scale), sigma2 = object$sigma2,
    label = object$init, optima = object$optima, sampling = object$sampling,
    mc_error = object$start_mc_error,
    indefinite = object$counts[["start_indefinite"]], floored = object$counts[["start_floored"]],
    stopped = object$counts[["start_stopped"]],
    resume = list(trace = trace_matrix(object$trace), theta = object$score$theta,
                  eta = object$eta, lambda = lambda_of_cells(object),
                  change_latents = object$diagnosis$change[["latents"]] %||% NA_real_)
  )
}

#' Penalty weight of every (node, state), states fastest; 0 where there are no rows
#' @noRd
lambda_of_cells <- function(object) {
  lambda <- matrix(0, length(STATES), object$data$d,
                   dimnames = list(STATES, object$data$latent_names))
  lambda[cbind(as.character(object$cells$state), object$cells$node)] <- object$cells$lambda
  as.vector(lambda)
}

#' The settings of a fit that goes on
#' @noRd
continued_control <- function(control, settings, call) {
  given <- rlang::names2(settings)
  unknown <- setdiff(given, setting_names())
  changed <- if (length(unknown) == 0L) {
    new <- checked_settings(merged_settings(control, settings, call), call)
    setdiff(changed_settings(control, new, given), CONTINUED)
  }
  if (length(unknown) > 0L || length(changed) > 0L) {
    found <- c(changed, unknown)
    abort_input(c("{.fn update} goes on with the same model.",
                  "x" = if (all(nzchar(found))) {
                    "Not settings that leave it as it is: {.arg {found}}."
                  } else {
                    "Found an argument without a name."
                  },
                  setting_hint(continued_names(unknown), setting_names(), "update(fit, ..., %s)"),
                  "i" = paste("Without {.arg max_iter} and {.arg iterations}, {.fn update} fits",
                              "again, with any argument changed."),
                  "i" = "To start from this fit: {.code update(fit, ..., init = fit)}."), "control",
                call = call)
  }
  new
}

#' Of some words those that may be meant: not settings of a group that a fit cannot go on with
#' @noRd
continued_names <- function(words) {
  place <- setting_places()[words]
  words[!place %in% names(GROUPS) | paste0(place, "$", words) %in% CONTINUED]
}

#' Names of the settings that are not the same, those of a group as `saem$draws`
#' @param given Names that count where they are the same, too.
#' @noRd
changed_settings <- function(old, new, given) {
  unlist(lapply(given, function(name) {
    if (!name %in% names(GROUPS)) {
      return(name)
    }
    differs <- !mapply(identical, old[[name]], new[[name]])
    paste0(name, "$", names(differs)[differs], recycle0 = TRUE)
  }))
}

# Fitting again -----------------------------------------------------------------------------------

#' @noRd
fit_argument_names <- function() {
  setdiff(names(formals(fit_crl)), "...")
}

#' The call of a fit with changed arguments and settings
#' @param changes Named list of expressions.
#' @noRd
updated_call <- function(call, changes, error_call = rlang::caller_env()) {
  if (is.null(call)) {
    abort_input(c("{.fn update} needs the call by which {.arg object} was fitted.",
                  "x" = "It has none, as it was made within another function.",
                  "i" = "Call {.fn fit_crl}, or go on by {.arg max_iter}."), "call",
                call = error_call)
  }
  given <- rlang::names2(changes)
  unknown <- setdiff(given, c(fit_argument_names(), setting_names()))
  if (length(unknown) > 0L) {
    abort_input(c(paste("{.arg ...} must name arguments of {.fn fit_crl} or settings of",
                        "{.fn crl_control}."),
                  "x" = if (all(nzchar(given))) "Not among them: {.arg {unknown}}." else
                    "Found an argument without a name.",
                  setting_hint(unknown, c(fit_argument_names(), setting_names()),
                               "update(fit, %s)")), "control",
                call = error_call)
  }
  arguments <- changes[given %in% fit_argument_names()]
  call[names(arguments)] <- arguments
  settings <- changes[given %in% setdiff(setting_names(), fit_argument_names())]
  if (length(settings) > 0L) {
    call[["control"]] <- with_settings(call[["control"]], settings)
  }
  call
}

#' The expression of a control with some settings changed, in groups one by one
#' @noRd
with_settings <- function(control, settings) {
  if (is.null(control)) {
    return(as.call(c(quote(crl_control), settings)))
  }
  grouped <- vapply(names(settings), function(name) makes_group(settings[[name]], name), NA)
  if (makes(control, "crl_control", "list")) {
    for (name in names(settings)) {
      old <- control[[name]]
      control[[name]] <- if (is.null(old) || !grouped[[name]]) settings[[name]] else
        with_group(old, settings[[name]], name)
    }
    return(control)
  }
  if (any(!grouped)) {
    which <- names(settings)[!grouped]
    if (length(which) > 1L) which <- as.call(c(quote(c), as.list(which)))
    control <- as.call(list(quote(replace), control, which,
                            as.call(c(quote(list), unname(settings[!grouped])))))
  }
  if (any(grouped)) {
    control <- with_entries(control, lapply(settings[grouped], as_list_call))
  }
  control
}

#' The expression of a group with some of its settings changed
#' @param new A call of the constructor, or of list().
#' @noRd
with_group <- function(old, new, name) {
  if (!makes_group(old, name)) {
    return(with_entries(old, as.list(new)[-1L]))
  }
  old[names(new)[-1L]] <- as.list(new)[-1L]
  old
}

#' @noRd
with_entries <- function(list, entries) {
  as.call(list(quote(utils::modifyList), list, as.call(c(quote(list), entries))))
}

#' @noRd
as_list_call <- function(call) {
  as.call(c(quote(list), as.list(call)[-1L]))
}

#' Is an expression a call that makes a group of settings, so that it names some of them only?
#' @noRd
makes_group <- function(expression, name) {
  name %in% names(GROUPS) && makes(expression, GROUPS[[name]], "list")
}

#' Is an expression a call of one of these functions, perhaps with the name of this package?
#' @noRd
makes <- function(expression, ...) {
  is.call(expression) &&
    deparse(expression[[1L]])[1L] %in% c(c(...), paste0("ebcrl::", c(...)))
}

#' Evaluate the call of a fit; what it names need not be there any more
#' @noRd
fit_again <- function(call, object, envir, error_call = rlang::caller_env()) {
  call <- filled_call(call, object, envir, error_call)
  # found also where the package is not attached
  envir <- rlang::env(envir, !!!mget(c("fit_crl", "crl_control", GROUPS, paste0("prior_", PRIORS)),
                                     topenv(), inherits = FALSE))
  withCallingHandlers(eval(call, envir), error = function(e) {
    absent <- Filter(function(name) !exists(name, envir), all.vars(call))
    if (!inherits(e, "ebcrl_error") && length(absent) > 0L) {
      abort_input(c("{.fn update} must find what the call of the fit names.",
                    "x" = "Not there where {.fn update} was called: {.arg {absent}}.",
                    "i" = "Give such arguments again, as in {.code update(fit, x = x)}."), "call",
                  call = error_call)
    }
  })
}

#' The call with the fit's own values where it holds words for values, or where a simulation brought
#' them whose observations have been changed
#' @noRd
filled_call <- function(call, object, envir, error_call) {
  own <- own_arguments(object)
  brought <- setdiff(c("env", "targets", "dag"), names(call))
  if (is_placeholder(call[["x"]])) {
    call["x"] <- list(object$data$x %||% object$data$rows %||%
                        kept_x(object$data, "update()", error_call))
    call[brought] <- own[brought]
  } else if ("dag" %in% brought && !has_placeholder(call[["x"]])) {
    x <- tryCatch(eval(call[["x"]], envir), error = function(e) NULL)
    brings <- if (is.matrix(x) || is.data.frame(x)) brought else setdiff(brought, "env")
    if (!is.null(x) && !inherits(x, "crl_sim")) call[brings] <- own[brings]
  }
  for (name in names(call)[-1L]) {
    if (has_placeholder(call[[name]])) {
      if (is.null(own[[name]])) {
        abort_input(c("{.fn update} must find the arguments of the fit.",
                      "x" = "{.arg {name}} was given by a value that the call does not keep.",
                      "i" = "Give {.arg {name}} again."), "call", call = error_call)
      }
      call[name] <- own[name]
    }
  }
  call
}

#' Arguments of fit_crl(), but for x, from what a fit keeps
#' @noRd
own_arguments <- function(object) {
  data <- object$data
  latents <- data$latent_names
  list(env = factor(data$env_names[data$env], data$env_names),
       targets = new_targets(data$targets, data$env_names, latents, labels = own_rule(data$labels)),
       dag = data$dag, weights = data$weights, init = object$start, control = object$control)
}

# The call of a fit -------------------------------------------------------------------------------

#' The call as the user wrote it: by the name of the generic, however it was reached, and without
#' data, of which do.call() makes the arguments
#' @noRd
with_call <- function(fit, call) {
  call[[1L]] <- quote(fit_crl)
  call <- map_call(call, in_words)
  fit$call <- call
  fit
}

# Longest vector of numbers or strings that is written out in a call.
WRITTEN_OUT <- 10L

#' An argument of a call as language: short vectors and settings as they are, other values by a name
#' that says what they are, such as `<numeric 900 x 20 matrix>`
#' @noRd
in_words <- function(argument) {
  if (is.call(argument)) {
    return(map_call(argument, in_words))
  }
  plain <- is.null(attributes(argument)) || identical(names(attributes(argument)), "names")
  if (is.symbol(argument) || is.pairlist(argument) ||
        (is.atomic(argument) && plain && length(argument) <= WRITTEN_OUT)) {
    return(argument)
  }
  if (inherits(argument, "srcref")) {
    return(NULL)
  }
  if (inherits(argument, "crl_control")) {
    return(control_call(argument))
  }
  if (inherits(argument, c("crl_settings", "crl_prior"))) {
    return(setting_code(argument))
  }
  if (is.list(argument) && plain && length(argument) > 0L && !is.null(names(argument)) &&
        all(vapply(argument, is_setting, NA))) {
    return(as.call(c(quote(list), lapply(argument, in_words))))
  }
  as.name(paste0("<", gsub("^an? |[<>]", "", describe(argument)), ">"))
}

#' The call of crl_control() that makes a control: settings that differ from their defaults
#' @noRd
control_call <- function(control) {
  default <- crl_control(preset = control$preset, mixing = control$mixing)
  differs <- !mapply(identical, unclass(control)[names(default)], unclass(default))
  differs[c("preset", "mixing")] <- c(
    control$preset != "default", control$mixing != crl_control(preset = control$preset)$mixing
  )
  settings <- unclass(control)[names(default)][differs]
  for (group in intersect(names(settings), names(GROUPS))) {
    same <- mapply(identical, settings[[group]], default[[group]])
    settings[[group]] <- settings[[group]][!same]
    class(settings[[group]]) <- class(default[[group]])
  }
  as.call(c(quote(crl_control), lapply(settings, in_words)))
}

#' @noRd
is_setting <- function(value) {
  is.atomic(value) || inherits(value, c("crl_settings", "crl_prior")) ||
    (is.list(value) && !is.object(value) && all(vapply(value, is.atomic, NA)))
}

#' @noRd
is_placeholder <- function(argument) {
  is.symbol(argument) && grepl("^<[^-<=].*>$", as.character(argument))
}

#' @noRd
has_placeholder <- function(argument) {
  if (is.call(argument)) {
    found <- FALSE
    map_call(argument, function(part) {
      found <<- found || has_placeholder(part)
      part
    })
    return(found)
  }
  is_placeholder(argument)
}

#' A call with a function applied to its parts, but for empty ones, as in `x[1, ]`
#' @noRd
map_call <- function(call, f) {
  parts <- as.list(call)
  given <- !vapply(parts, identical, NA, quote(expr = ))
  parts[given] <- lapply(parts[given], f)
  as.call(parts)
}
