# Fits on the paper's measurement model (no means, equal noise) whose A stays in a known space: x is
# reduced to its coordinates in it, x U with U (p x r, orthonormal), which with the total square of
# x are all that the model reads: with A = U B, x A = (x U) B and |x - A z|^2 = |x|^2 - |x U|^2 +
# |x U - B z|^2. After this one pass nothing touches n x p. (Other measurement models:
# fit_measured.R.)

#' Does A stay in a space that is known before the engine runs?
#'
#' In that of the principal components where A is found there and held (f) or turned (g), and in that
#' of a given A that is held. Algorithm 1 as printed leads out of it, as do updates of a given A.
#' @param moves Does the engine update A?
#' @noRd
stays_in_space <- function(init, moves, method) {
  if (method == "f") !moves else !moves || !is.list(init) || inherits(init, "crl_fit")
}

#' The fit of an engine on the coordinates, as one of x
#'
#' @param engine Function of data, init, control, call and error_call.
#' @param measured What the second moments have told already (see measure()), or NULL.
#' @noRd
fit_reduced <- function(engine, data, measured, init, control, call, error_call) {
  started <- proc.time()[["elapsed"]]
  space <- plain_space(data, init, measured, control, error_call)
  inner <- plain_data(data, space, control$threads)
  fit <- engine(inner, coordinate_init(init, data, space, error_call), control, call, error_call)
  if (inherits(init, "crl_fit")) fit$init <- "fit"
  fit <- as_fit_of_x(fit, data)
  if (is.list(init) && isFALSE(fit$learned[["mixing"]])) fit <- as_given(fit, init, data, error_call)
  fit$start <- reusable_start(init)
  fit$elapsed <- proc.time()[["elapsed"]] - started
  fit
}

#' A that was given and held, as it was given: without the rounding of U U'A
#' @noRd
as_given <- function(fit, init, data, call) {
  given <- unname(mixing_by_name(init$mixing, data, call))
  if (max(abs(given - fit$mixing)) <= 1e-10 * max(abs(given))) fit$mixing[] <- given
  fit
}

#' The space that A stays in
#' @return list: `plain`, TRUE; `lift` (p x r: U); of principal components also `values`, the
#'   eigenvalues
#' @noRd
plain_space <- function(data, init, measured, control, call) {
  if (has_chains(init, data)) {
    return(list(plain = TRUE, lift = init$reduced$data$space$lift))
  }
  if (is.list(init)) {
    check_start(init, data, control, call)
    return(list(plain = TRUE, lift = polar_factor(unname(mixing_by_name(init$mixing, data, call)))))
  }
  top <- principal_components(data, measured, control$threads, call)
  list(plain = TRUE, lift = top$vectors, values = top$values)
}

#' Is a start a fit with chains, which are of its own coordinates of the same features?
#' @noRd
has_chains <- function(init, data) {
  inherits(init, "crl_fit") && !is.null(init$saem) &&
    identical(dim(init$reduced$data$space$lift), c(data$p, data$d)) &&
    identical(init$data$feature_names, data$feature_names)
}

#' Leading eigenvectors of the mean square of x about 0, domains as the rows have them; signs by the
#' loadings
#' @noRd
principal_components <- function(data, measured, threads, call) {
  moments <- measured$about_zero[[1L]] %||%
    feature_moments(data, FALSE, threads, omega = rep(1, data$n_domains))
  top <- leading_components(moments, data$d, call)
  check_rank(top$values, data$d, call)
  top$vectors <- top$vectors * rep(loading_signs(top$vectors), each = data$p)
  top
}

#' Data as coordinates in a space, with what the engines read of x besides: `features`, how many it
#' has, and `outside`, the weighted sum of squares outside the space
#' @noRd
plain_data <- function(data, space, threads) {
  inner <- data
  reduced <- coordinates(data, space$lift, rep(0, ncol(space$lift)), threads)
  inner$x <- reduced$x
  inner$rows <- NULL
  within <- coordinates(inner, diag(ncol(inner$x)), rep(0, ncol(inner$x)), threads)$square
  inner$outside <- max(0, sum(row_weights(data) * (reduced$square - within)))
  inner$features <- data$p
  inner$p <- ncol(inner$x)
  inner$feature_names <- NULL
  inner$measure <- data$measure["columns"]
  inner$memo <- NULL
  inner$space <- space
  inner
}

#' Number of features of x, of which data may hold coordinates only
#' @noRd
n_features <- function(data) {
  data$features %||% data$p
}

#' Weighted sum of squares of x outside the space that data hold coordinates in
#' @noRd
square_outside <- function(data) {
  data$outside %||% 0
}

#' Are data coordinates of x under the paper's measurement model?
#' @noRd
is_plain <- function(data) {
  isTRUE(data$space$plain)
}

#' Loadings on the features of a mixing of the coordinates
#' @noRd
loadings_of <- function(mixing, data) {
  if (is_plain(data)) lifted_matrix(mixing, data) else unname(mixing)
}

#' A start in the coordinates of a space
#' @noRd
coordinate_init <- function(init, data, space, call) {
  if (!is.list(init)) {
    return(init)
  }
  if (has_chains(init, data)) {
    return(training_fit(init))
  }
  inner <- list(mixing = crossprod(space$lift, unname(mixing_by_name(init$mixing, data, call))))
  inner$sigma2 <- init$sigma2
  inner
}

# A fit of x --------------------------------------------------------------------------------------

# Parts of a fit of coordinates that are other numbers in the fit of x.
COORDINATE_PARTS <- c("data", "mixing", "orthonormal", "mixing_mc_error")

#' A fit of the coordinates as one of x; what it was is kept in `reduced`
#' @noRd
as_fit_of_x <- function(fit, data) {
  lift <- fit$data$space$lift
  lifted <- function(part) {
    `dimnames<-`(lift %*% unname(part), list(data$feature_names, data$latent_names))
  }
  fit$reduced <- fit[intersect(COORDINATE_PARTS, names(fit))]
  turned <- intersect(c("mixing", "orthonormal"), names(fit))
  fit[turned] <- lapply(fit[turned], lifted)
  if (!is.null(fit$mixing_mc_error)) {
    fit$mixing_mc_error <- `dimnames<-`(lifted_error(fit$mixing_mc_error, fit$data),
                                        dimnames(fit$mixing))
  }
  if (!is.null(fit$optima)) fit$optima$mixing <- lapply(fit$optima$mixing, lifted)
  rows <- data$row_names
  for (part in intersect(c("latents", "latents_sd"), names(fit))) rownames(fit[[part]]) <- rows
  fit$data <- data
  fit
}

#' A fit as its engine saw it, of the training rows: coordinates, where x was reduced to them
#' @noRd
training_fit <- function(fit) {
  if (is.null(fit$reduced)) {
    return(inner_fit(fit))
  }
  varying <- varying_of(fit$data)
  fit[names(fit$reduced)] <- fit$reduced
  lift <- fit$data$space$lift
  if (!is.null(fit$optima)) {
    fit$optima$mixing <- lapply(fit$optima$mixing, function(a) {
      crossprod(lift, if (nrow(a) == nrow(lift)) a else a[varying, , drop = FALSE])
    })
  }
  fit$reduced <- NULL
  fit
}

#' Going on with the fit of the coordinates
#' @noRd
go_on_reduced <- function(object, further, settings, call) {
  fit <- as_fit_of_x(go_on(training_fit(object), further, settings, call), object$data)
  fit[c("start", "call")] <- object[c("start", "call")]
  fit["optima"] <- object["optima"]
  fit
}

#' Data for an engine that goes back to x: it must be a matrix in memory
#' @noRd
with_matrix <- function(data, call) {
  if (is.null(data$x)) {
    hint <- paste("Updates of A go back to {.arg x}: hold A ({.code init = \"interventional\"},",
                  "{.code update_mixing = FALSE}), or give a matrix in memory.")
    refuse_rows(rows_of(data), "This fit", cli::format_inline(hint), call)
  }
  data
}
