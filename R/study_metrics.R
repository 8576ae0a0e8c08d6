# Errors against a known truth (Section 7 of the paper).

#' Relative mean squared error of latents
#'
#' The squared error of each row's latents relative to their size,
#' \eqn{|\hat z_i - z_i|^2 / |z_i|^2} (eq. 7.2), averaged over rows. Estimates that carry a mixing
#' matrix are first aligned with the truth by [align_latents()], since order and signs of latents
#' are not part of what the data determine; plain matrices are compared as they are.
#'
#' @param object A [fit_crl()] fit, the result of [crl_baselines()] or [bayes_latents()], or a
#'   matrix of latents (N x d).
#' @param truth A [sim_crl()] object, or a list with `z` (N x d true latents), `env` (factor of
#'   length N) and, for fits, `mixing` (p x d): real latents mixed by a known matrix are such a
#'   truth.
#' @param by `"all"` (default) for one figure, `"env"` for one per domain, in the order of
#'   `levels(truth$env)` (levels without rows are left out).
#' @param ratio `"row"` (default) averages the ratios of the rows, as the paper does; `"pooled"`
#'   divides the summed squared errors by the summed squared latents, so that rows near the origin
#'   do not dominate.
#' @param ... Not used.
#'
#' @return For one set of latents: a number (`by = "all"`), or a tibble with columns `env`
#'   (factor) and `rel_mse`. For [crl_baselines()]: a tibble with columns `method` (factor, in the
#'   order of the baselines), `env` if `by = "env"`, and `rel_mse`. 0 is perfect; latents set to 0
#'   have 1.
#' @section Errors:
#' `ebcrl_error_truth` if `truth` lacks a part, does not match `object` in rows, latents or
#' features, or has a row whose latents are all 0; `ebcrl_error_missing` if latents are not
#' finite.
#' @source Section 7 of \doi{10.48550/arXiv.2603.18404}.
#' @seealso [frobenius_error()], [bayes_latents()]
#' @examples
#' set.seed(1)
#' sim <- sim_crl(n = 50)
#' unshrunk <- sim$x %*% sim$mixing
#' rel_mse(unshrunk, sim)
#' rel_mse(unshrunk, sim, by = "env")
#' @export
rel_mse <- function(object, truth, by = c("all", "env"), ratio = c("row", "pooled"), ...) {
  UseMethod("rel_mse")
}

#' @export
rel_mse.default <- function(object, truth, by = c("all", "env"), ratio = c("row", "pooled"), ...) {
  abort_input(c("{.arg object} must be a fit, baselines, a Bayes optimum or a matrix of latents.",
                "x" = "It is {describe(object)}."), "type")
}

#' @rdname rel_mse
#' @export
rel_mse.matrix <- function(object, truth, by = c("all", "env"), ratio = c("row", "pooled"), ...) {
  check_dots_empty(...)
  by <- check_choice(by, c("all", "env"), "by")
  ratio <- check_choice(ratio, c("row", "pooled"), "ratio")
  latents_error(object, check_truth(truth), by, ratio)
}

#' @rdname rel_mse
#' @export
rel_mse.crl_bayes <- function(object, truth, by = c("all", "env"), ratio = c("row", "pooled"),
                              ...) {
  rel_mse.matrix(object$latents, truth, by, ratio, ...)
}

#' @rdname rel_mse
#' @export
rel_mse.crl_fit <- function(object, truth, by = c("all", "env"), ratio = c("row", "pooled"), ...) {
  check_dots_empty(...)
  check_class(object, "crl_fit", "object", "fit_crl()")
  by <- check_choice(by, c("all", "env"), "by")
  ratio <- check_choice(ratio, c("row", "pooled"), "ratio")
  truth <- check_truth(truth, needs_mixing = TRUE)
  check_same_shape(object$latents, truth$z, "matrix of latents")
  alignment <- align_latents(object$mixing, truth$mixing)
  latents <- with_location(apply_alignment(object$latents, alignment), object, truth)
  latents_error(latents, truth, by, ratio)
}

#' Aligned latents with the location of the true ones, where it is a convention
#' @noRd
with_location <- function(latents, fit, truth) {
  if (is.null(fit$center)) {
    return(latents)
  }
  latents + rep(colMeans(truth$z - latents), each = nrow(latents))
}

#' @rdname rel_mse
#' @export
rel_mse.crl_baselines <- function(object, truth, by = c("all", "env"), ratio = c("row", "pooled"),
                                  ...) {
  by <- check_choice(by, c("all", "env"), "by")
  truth <- check_truth(truth, needs_mixing = TRUE)
  errors <- lapply(object, rel_mse, truth = truth, by = by, ratio = ratio, ...)
  rows <- if (by == "env") nrow(errors[[1L]]) else 1L
  method <- factor(rep(names(object), each = rows), levels = names(object))
  if (by == "all") {
    return(tibble::tibble(method = method, rel_mse = unlist(errors, use.names = FALSE)))
  }
  tibble::tibble(method = method, env = rep(errors[[1L]]$env, length(errors)),
                 rel_mse = unlist(lapply(errors, `[[`, "rel_mse"), use.names = FALSE))
}

#' Squared Frobenius error of a mixing matrix
#'
#' \eqn{\|\hat A - A^*\|_F^2} (eq. 7.3) after [align_latents()]. Squared, as printed in the paper.
#'
#' @param object A [fit_crl()] fit, the result of [crl_baselines()], or a mixing matrix (p x d).
#' @param truth A [sim_crl()] object, or a list with `mixing` (p x d).
#' @param ... Not used.
#' @return A number; for [crl_baselines()] a tibble with columns `method` (factor) and
#'   `frobenius_error`. For orthonormal columns it lies between 0 and 2d.
#' @section Errors:
#' `ebcrl_error_truth` if `truth` has no mixing matrix or one of another shape.
#' @source Section 7 of \doi{10.48550/arXiv.2603.18404}.
#' @seealso [rel_mse()]
#' @examples
#' set.seed(1)
#' sim <- sim_crl(n = 50)
#' frobenius_error(svd(sim$x, nu = 0, nv = 4)$v, sim)
#' @export
frobenius_error <- function(object, truth, ...) {
  UseMethod("frobenius_error")
}

#' @export
frobenius_error.default <- function(object, truth, ...) {
  abort_input(c("{.arg object} must be a fit, baselines or a mixing matrix.",
                "x" = "It is {describe(object)}."), "type")
}

#' @rdname frobenius_error
#' @export
frobenius_error.matrix <- function(object, truth, ...) {
  check_dots_empty(...)
  object <- check_numeric_matrix(object, "object")
  mixing <- true_mixing(truth)
  sum((apply_alignment(object, align_latents(object, mixing)) - mixing)^2)
}

#' @rdname frobenius_error
#' @export
frobenius_error.crl_fit <- function(object, truth, ...) {
  check_class(object, "crl_fit", "object", "fit_crl()")
  frobenius_error.matrix(object$mixing, truth, ...)
}

#' @rdname frobenius_error
#' @export
frobenius_error.crl_baselines <- function(object, truth, ...) {
  truth <- list(mixing = true_mixing(truth))
  errors <- vapply(object, frobenius_error, numeric(1L), truth = truth, ...)
  tibble::tibble(method = factor(names(object), levels = names(object)),
                 frobenius_error = unname(errors))
}

#' A number, or a tibble with one row per domain
#' @noRd
latents_error <- function(latents, truth, by, ratio, call = rlang::caller_env()) {
  if (!is.numeric(latents)) {
    abort_input(c("{.arg object} must be a numeric matrix of latents.",
                  "x" = "It is {describe(latents)}."), "type", call = call)
  }
  storage.mode(latents) <- "double"
  check_same_shape(latents, truth$z, "matrix of latents", call)
  sums <- .Call(C_row_errors, latents, truth$z, as.integer(truth$env), nlevels(truth$env))
  if (sums$zero_row > 0) {
    abort_input(c("A relative error needs true latents that are not all zero.",
                  "x" = "Row {sums$zero_row} of {.field z} in {.arg truth} is zero.",
                  "i" = "Leave such rows out."), "truth", call = call)
  }
  if (!all(is.finite(sums$error))) {
    abort_input(c("{.arg object} must hold finite latents.",
                  "x" = "Some are NA, NaN or infinite."), "missing", call = call)
  }
  above <- if (ratio == "row") sums$ratio else sums$error
  below <- if (ratio == "row") sums$count else sums$norm
  if (by == "all") {
    return(sum(above) / sum(below))
  }
  env <- factor(levels(truth$env), levels = levels(truth$env))
  tibble::tibble(env = env, rel_mse = above / below)
}

#' The parts of a truth that errors need, checked: z (double matrix), env (factor), mixing
#' @noRd
check_truth <- function(truth, needs_mixing = FALSE, call = rlang::caller_env()) {
  if (missing(truth)) {
    truth <- NULL
  }
  wanted <- c("z", "env", if (needs_mixing) "mixing")
  lacking <- setdiff(wanted, names(truth))
  if (!is.list(truth) || length(lacking) > 0L) {
    abort_input(c("{.arg truth} must be a {.fn sim_crl} object or a list with {.field {wanted}}.",
                  "x" = "It is {describe(truth)}.",
                  "i" = if (is.list(truth)) "It lacks {.field {lacking}}."), "truth", call = call)
  }
  z <- check_numeric_matrix(truth$z, "truth$z", class = "truth", call = call)
  env <- droplevels(as.factor(truth$env))
  if (length(env) != nrow(z) || anyNA(env)) {
    abort_input(c("{.field env} of {.arg truth} must name the domain of each row.",
                  "i" = "{.field z} has {nrow(z)} row{?s}.",
                  "x" = "It has {sum(!is.na(env))} entr{?y/ies} that {?is/are} not missing."),
                "truth", call = call)
  }
  list(z = z, env = env, mixing = if (needs_mixing) true_mixing(truth, call))
}

#' @noRd
true_mixing <- function(truth, call = rlang::caller_env()) {
  if (missing(truth)) {
    truth <- NULL
  }
  if (!is.list(truth) || is.null(truth[["mixing"]])) {
    abort_input(c("{.arg truth} must be a {.fn sim_crl} object or a list with {.field mixing}.",
                  "x" = "It is {describe(truth)}."), "truth", call = call)
  }
  check_numeric_matrix(truth[["mixing"]], "truth$mixing", class = "truth", call = call)
}

#' NULL, or a Bayes optimum
#' @noRd
check_bayes <- function(bayes, call = rlang::caller_env()) {
  if (!is.null(bayes)) check_class(bayes, "crl_bayes", "bayes", "bayes_latents()", call)
}
