# A fit may have been changed since it was made: R users do edit lists. What goes on to the C core,
# or is printed, is checked where a function takes a fit, by the one table of what a fit is made of.
#
#   check_fit(fit, arg)        a fit that every function of this package can read   -> the fit
#
# A part is described by of(): what it holds, its dimensions and the limits of its entries.

#' @param kind "number", "whole", "text", "flag", "list" or "table".
#' @param ... Dimensions: one for a vector, several for an array; NA for any.
#' @param min,max Limits of all entries.
#' @param open Is the entry `min` itself excluded?
#' @param finite FALSE: entries may be missing or infinite.
#' @param null May the part be NULL?
#' @param names Names that there must be.
#' @noRd
of <- function(kind, ..., min = -Inf, max = Inf, open = FALSE, finite = TRUE, null = FALSE,
               names = NULL) {
  list(kind = kind, dim = c(...), min = min, max = max, open = open, finite = finite, null = null,
       names = names)
}

#' Is a value what a part says?
#' @noRd
is_part <- function(value, part) {
  if (is.null(value)) {
    return(part$null)
  }
  kind <- switch(part$kind, number = is.double(value) || is.integer(value),
                 whole = is.integer(value), text = is.character(value), flag = is.logical(value),
                 list = is.list(value), table = is.data.frame(value))
  kind && has_dim(value, part$dim) && all(part$names %in% names(value)) &&
    has_entries(value, part)
}

#' @noRd
has_dim <- function(value, dim) {
  found <- if (length(dim) > 1L) base::dim(value) else length(value)
  length(dim) == 0L ||
    (length(found) == length(dim) && all(is.na(dim) | found == dim))
}

#' @noRd
has_entries <- function(value, part) {
  if (part$kind %in% c("text", "flag", "whole") && anyNA(value)) {
    return(FALSE)
  }
  if (!part$kind %in% c("number", "whole") || !part$finite) {
    return(TRUE)
  }
  all(is.finite(value)) && all(value >= part$min, value <= part$max) &&
    !(part$open && any(value == part$min))
}

#' "3 x 2 numbers of at least 0"
#' @noRd
describe_part <- function(part) {
  kind <- switch(part$kind, number = "numbers", whole = "integers", text = "strings",
                 flag = "TRUE or FALSE", list = "a list", table = "a data frame")
  size <- ifelse(is.na(part$dim), "any", part$dim)
  ends <- if (part$min > -Inf || part$max < Inf) {
    describe_bounds(part$min, part$max, if (part$open) "min" else character())
  }
  paste0(if (length(size) > 0L) paste0(paste(size, collapse = " x "), " "), kind, ends,
         if (length(part$names) > 0L) paste(" with names such as", some(part$names)))
}

# What a fit is made of ---------------------------------------------------------------------------

#' @param s list: `n`, `p`, `d`, `m` (domains)
#' @return list of parts by name, `$` between the names of lists within lists
#' @noRd
data_parts <- function(s) {
  list(
    x = of("number", s$n, s$p, finite = FALSE, null = TRUE),
    row_names = of("text", s$n, null = TRUE),
    env = of("whole", s$n, min = 1, max = s$m),
    env_names = of("text", s$m),
    targets = of("whole", s$m, s$d, min = 0, max = 1),
    dag = of("whole", s$d, s$d, min = 0, max = 1),
    weights = of("number", s$m, min = 0, open = TRUE),
    n_env = of("whole", s$m, min = 1),
    latent_names = of("text", s$d),
    feature_names = of("text", s$p, null = TRUE),
    constant = of("whole", min = 1, max = s$p),
    labels = of("list"),
    "labels$none" = of("text", null = TRUE),
    "labels$sep" = of("text", 1, null = TRUE),
    mean_square = of("number", 1, min = 0),
    means = of("number"),
    spreads = of("number", null = TRUE),
    constant_at = of("number", null = TRUE),
    variance = of("number", 1, min = 0),
    missing = of("number", 1, min = 0)
  )
}

#' @noRd
shared_parts <- function(s) {
  list(
    latents = of("number", s$n, s$d, finite = FALSE),
    latents_sd = of("number", s$n, s$d, finite = FALSE),
    mixing = of("number", s$p, s$d),
    sigma2 = of("number", 1, min = 0),
    iterations = of("whole", 1, min = 0),
    converged = of("flag", 1),
    counts = of("number", min = 0),
    cells = of("table"),
    "cells$node" = of("text"),
    "cells$state" = of("whole", min = 0, max = 1),
    "cells$rows" = of("number"),
    "cells$coefficients" = of("number"),
    trace = of("table"),
    init = of("text", 1),
    optima = of("table", null = TRUE),
    "optima$objective" = of("number", null = TRUE),
    "optima$starts" = of("number", null = TRUE),
    "optima$refined" = of("number", finite = FALSE, null = TRUE),
    doubts = of("list", null = TRUE),
    sampling = of("table", null = TRUE),
    "sampling$iterations" = of("number", null = TRUE),
    columns = of("list", null = TRUE),
    "columns$loglik" = of("number", 1, null = TRUE),
    "columns$bic" = of("number", 1, null = TRUE),
    "columns$cosine" = of("number", 1, null = TRUE),
    "columns$correlated" = of("flag", 1, null = TRUE),
    intervention = of("list", null = TRUE),
    "intervention$loss" = of("number", 1, finite = FALSE, null = TRUE),
    "intervention$edges" = of("number", 1, null = TRUE),
    "intervention$perfect" = of("flag", 1, null = TRUE),
    elapsed = of("number", 1),
    seconds = of("number", min = 0, null = TRUE)
  )
}

#' @noRd
f_parts <- function(s) {
  list(
    eta = of("number", 1, min = 0, max = 1),
    orthonormal = of("number", s$p, s$d),
    "score$theta" = of("list", s$d),
    "score$range" = of("number", 2, s$d),
    "score$parents" = of("list", s$d),
    "score$reference" = of("list", null = TRUE),
    "cells$lambda" = of("number", min = 0),
    "cells$loss" = of("number", finite = FALSE),
    diagnosis = of("list"),
    counts = of("number", names = c(
      "variance_floored", "sigma2_floored", "rank_deficient", "scale_floored", "steps_rejected",
      "start_indefinite", "start_floored", "start_stopped"
    )),
    trace = of("table", names = c("iteration", "sigma2", "loss", "change_mixing", "change_sigma2",
                                  "change_latents", "remaining", "step", "floored")),
    learned = of("flag", 2, names = c("mixing", "sigma2"))
  )
}

#' @noRd
reference_parts <- function(s, groups) {
  list(
    group = of("whole", s$m, min = 1, max = groups),
    mean = of("number", s$d, groups),
    precision = of("number", s$d, s$d, groups),
    intercept = of("number", 2, s$d, finite = FALSE),
    variance = of("number", 2, s$d, finite = FALSE),
    coefficients = of("number", s$d, 2, s$d, finite = FALSE),
    kappa = of("number", 1, finite = FALSE)
  )
}

#' @noRd
g_parts <- function(s) {
  list(
    quantiles = of("number", s$n, s$d, 3, finite = FALSE),
    latent_noise_var = of("number", s$d, 2, finite = FALSE),
    "prior$variance" = of("number", 2, s$d, finite = FALSE),
    "prior$range" = of("number", 2, s$d),
    mc_error = of("number", s$d, finite = FALSE),
    counts = of("number", names = "noise_floored"),
    seed = of("number", 1, min = 0),
    "cells$df" = of("number", finite = FALSE),
    "cells$noise_var" = of("number", finite = FALSE)
  )
}

#' @noRd
gaussian_parts <- function(s) {
  list(
    "prior$intercept" = of("number", 2, s$d, finite = FALSE),
    "prior$slope" = of("number", s$d, 2, s$d, finite = FALSE),
    "prior$family" = of("list", 2 * s$d),
    parents = of("list", s$d),
    loglik = of("number", 1),
    drift = of("number", 1, finite = FALSE),
    mechanism_coef = of("table")
  )
}

#' @noRd
spline_parts <- function(s) {
  list(
    "prior$theta" = of("list", 2 * s$d),
    "prior$lambda" = of("list", 2 * s$d),
    "prior$df" = of("number", 2, s$d, finite = FALSE),
    "prior$constant" = of("number", 2, s$d, finite = FALSE),
    "prior$noise" = of("list", 3, null = TRUE),
    gram = of("number", s$d, s$d),
    walk_scale = of("number", s$d, s$m, min = 0, open = TRUE),
    chains = of("number", s$n, s$d),
    mixing_mc_error = of("number", s$p, s$d, finite = FALSE),
    sigma2_mc_error = of("number", 1, finite = FALSE),
    latent_noise_var_mc_error = of("number", s$d, 2, finite = FALSE),
    mc_ratio = of("number", 2, finite = FALSE),
    acceptance = of("number", s$d, s$m, finite = FALSE),
    runs = of("table"),
    "runs$iterations" = of("whole", min = 0),
    "runs$burn_in" = of("whole", min = 0),
    "runs$seed" = of("number", min = 0),
    "saem$state" = of("list"),
    "saem$model" = of("list"),
    "saem$model$start" = of("list"),
    "saem$model$start$label" = of("text", 1),
    "saem$model$start$optima" = of("table", null = TRUE),
    "saem$model$seed" = of("number", min = 0),
    "saem$model$variance_floor" = of("number", 1, min = 0),
    "saem$model$learn_sigma2" = of("flag", 1)
  )
}

# Checking ----------------------------------------------------------------------------------------

#' @param rows Is x read as well?
#' @noRd
check_fit <- function(fit, arg = "object", rows = FALSE, call = rlang::caller_env()) {
  check_class(fit, "crl_fit", arg, "fit_crl()", call)
  if (!is.list(fit) || !rlang::is_string(fit$method, c("f", "g"))) {
    abort_edited("method", 'must be "f" or "g"', fit[["method"]], arg, call)
  }
  if (!is.null(fit$inner)) {
    check_fit(inner_fit(fit), arg, rows, call)
    check_data(fit$data, arg, rows, call)
    return(invisible(fit))
  }
  if (!is.null(fit$reduced)) {
    if (!is.list(fit$reduced)) {
      abort_edited("reduced", "must be a list, or NULL", fit$reduced, arg, call)
    }
    check_data(fit$reduced$data, arg, rows, call)
  }
  size <- check_data(fit$data, arg, rows, call)
  fit$control <- tryCatch(edited_control(fit$control, call), ebcrl_error_control = function(e) {
    abort_input(c("The {.field control} of {.arg {arg}} is not one of {.fn crl_control}.",
                  "i" = "Fit again, rather than edit a fit."), "fit", parent = e, call = call)
  })
  check_parts(fit, shared_parts(size), arg, call)
  if (!all(fit$cells$node %in% fit$data$latent_names)) {
    abort_edited("cells$node", "must name its latents", fit$cells$node, arg, call)
  }
  if (!identical(class(fit), fit_class(fit$method, fit$control$prior))) {
    abort_edited("class", "must be that of its method and prior", class(fit), arg, call)
  }
  check_engine(fit, size, arg, call)
  invisible(fit)
}

#' Checked data that may have been edited
#' @return The sizes: `n`, `p`, `d`, `m`
#' @noRd
check_data <- function(data, arg, rows, call) {
  fields <- c(n = "n", p = "p", d = "d", m = "n_domains")
  whole <- of("whole", 1, min = 1)
  check_parts(list(data = data), stats::setNames(rep(list(whole), 4L), paste0("data$", fields)),
              arg, call)
  size <- lapply(fields, function(name) data[[name]])
  parts <- data_parts(size)
  check_parts(list(data = data), stats::setNames(parts, paste0("data$", names(parts))), arg, call)
  if (!identical(data$n_env, tabulate(data$env, size$m))) {
    abort_edited("data$n_env", "must count the rows of each domain", data$n_env, arg, call)
  }
  check_acyclic(unclass(data$dag), call)
  if (rows && !is.null(data$x)) {
    if (!is.double(data$x)) abort_edited("data$x", "must be a double matrix", data$x, arg, call)
    check_finite_matrix(data$x, paste0(arg, "$data$x"), data$missing > 0, call)
  }
  size
}

#' @noRd
check_parts <- function(object, parts, arg, call) {
  for (name in names(parts)) {
    value <- part_of(object, name)
    if (!is_part(value, parts[[name]])) {
      abort_edited(name, paste("must be", describe_part(parts[[name]])), value, arg, call)
    }
  }
}

#' The part of a list of lists by a name such as "score$range"
#' @noRd
part_of <- function(object, name) {
  for (step in strsplit(name, "$", fixed = TRUE)[[1L]]) {
    object <- if (is.list(object)) object[[step]]
  }
  object
}

#' @noRd
abort_edited <- function(name, expected, value, arg, call) {
  abort_input(c("{.arg {arg}} is not as {.fn fit_crl} made it.",
                "x" = "Its {.field {name}} {expected}; it is {describe(value)}.",
                "i" = "Fit again, rather than edit a fit."), "fit", call = call)
}

#' @noRd
check_engine.crl_fit_f <- function(fit, size, arg, call) {
  check_parts(fit, f_parts(size), arg, call)
  check_engine_range(fit$control$range, size$d, call)
  check_families_of(fit$score$parents, fit, arg, "score$parents", call)
  dims <- if (is.matrix(fit$scale)) c(size$d, size$d) else size$d
  check_parts(fit, list(scale = of("number", dims)), arg, call)
  if (any(fit$score$range[1L, ] >= fit$score$range[2L, ])) {
    abort_edited("score$range", "must have lower ends below upper ends", fit$score$range, arg, call)
  }
  reference <- fit$score$reference
  if (!is.null(reference)) {
    check_parts(reference, reference_parts(size, NCOL(reference$mean)), arg, call)
  }
  check_coefficients(fit, arg, call)
}

#' Coefficients of each (node, state): as many as the C core plans for, or none
#' @noRd
check_coefficients <- function(fit, arg, call) {
  check_families(fit$data, fit$control, call)
  coefficients <- fit_cost(fit$data, fit$control)$coefficients
  for (j in seq_len(fit$data$d)) {
    for (state in STATES) {
      part <- STATE_NAMES[state + 1L]
      name <- paste0("score$theta[[", j, "]]$", part)
      node <- fit$score$theta[[j]]
      value <- if (is.list(node)) node[[part]]
      seen <- state %in% fit$data$targets[, j]
      part <- of("number", coefficients[cell_of(j, state)], finite = FALSE, null = !seen)
      if (!is_part(value, part)) {
        abort_edited(name, paste("must be", describe_part(part)), value, arg, call)
      }
    }
  }
}

#' The parents that a fit keeps beside its graph: those of the graph
#' @noRd
check_families_of <- function(parents, fit, arg, name, call) {
  if (!identical(unname(parents), unname(parent_list(fit$data$dag)))) {
    abort_edited(name, "must be the parents of its graph", parents, arg, call)
  }
}

#' What each chain of SAEM goes on from. (The C core checks the lengths of its statistics.)
#' @noRd
state_parts <- function(s) {
  list(
    mixing = of("number", s$p, s$d),
    latents = of("number", s$n, s$d),
    walk_scale = of("number", s$d, s$m, min = 0, open = TRUE),
    statistics = of("number"),
    average = of("number"),
    sum = of("number"),
    square = of("number"),
    length = of("number", s$d, 1),
    stiffest = of("number", s$d, s$d),
    sigma2 = of("number", 1, min = 0),
    prior = of("list"),
    place = of("whole", 5, min = 0),
    trace = of("number", NA, 5 + 2 * s$d, finite = FALSE),
    counts = of("number", 3),
    acceptance = of("number", s$d, s$m, finite = FALSE)
  )
}

#' @noRd
check_chains <- function(fit, size, arg, call) {
  model <- fit$saem$model
  chains <- nrow(fit$runs)
  if (length(model$seed) != chains || length(fit$saem$state) != chains) {
    abort_edited("saem", paste("must be of", chains, "chains"), fit$saem, arg, call)
  }
  # chains know the coordinates, or the features that vary, only
  size$p <- if (is.null(fit$reduced)) size$p - length(fit$data$constant) else fit$data$d
  size$n <- as.integer(sum(pmin(fit$data$n_env, fit$saem$rows %||% Inf)))
  for (state in fit$saem$state) {
    parts <- state_parts(size)
    check_parts(list(state = state), stats::setNames(parts, paste0("state$", names(parts))), arg,
                call)
    if (nrow(state$trace) != state$place[1L]) {
      abort_edited("state$trace", "must have a row for each iteration", state$trace, arg, call)
    }
  }
}

#' @noRd
check_coefficients_g <- function(fit, size, arg, call) {
  prior <- fit$prior
  components <- prior_control(fit$control)$components
  if (is.null(prior$noise) != (components == 1L)) {
    abort_edited("prior$noise", paste("must have", components, "components"), prior$noise, arg,
                 call)
  }
  if (!is.null(prior$noise)) {
    part <- of("number", components, n_cells(size$d), finite = FALSE)
    check_parts(prior$noise, list(weight = part, mean = part, variance = part), arg, call)
  }
  parents <- parent_list(fit$data$dag)
  per_parent <- prior_control(fit$control)$knots + 2L
  pieces <- prior_control(fit$control)$pieces
  for (cell in seq_len(n_cells(size$d))) {
    k <- length(parents[[node_of(cell)]])
    check_parts(list(theta = prior$theta[[cell]], lambda = prior$lambda[[cell]]),
                list(theta = of("number", k * per_parent, null = TRUE),
                     lambda = of("number", k * pieces, null = TRUE)), arg, call)
  }
}
