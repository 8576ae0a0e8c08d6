# Where the EM starts: O (p x d, orthonormal columns), D (d) or Lambda (d x d), sigma2.

# Above this many rows and columns the leading eigenvectors come from an iterative method.
DENSE_EIGEN <- 1000L

#' The start of a fit
#'
#' @param init "pca", "interventional", a list with `mixing` (p x d) and perhaps `sigma2`, or a fit.
#' @return list: `orthonormal`, `scale`, `sigma2`, `label` ("pca", "interventional", "given" or
#'   "fit"), `sigma2_given`, and `optima` of an interventional start
#' @noRd
starting_values <- function(init, data, control, call = rlang::caller_env()) {
  if (!is.null(data$space) && !is_plain(data)) {
    return(measured_start(init, data, control, call))
  }
  if (identical(init, "pca")) {
    start <- pca_start(data, call)
    start$scale <- if (control$mixing == "psd") diag(1, data$d) else start$scale
    return(c(start, label = "pca", sigma2_given = FALSE))
  }
  if (identical(init, "interventional")) {
    find <- if (control$mixing == "psd") unmixing_start else interventional_start
    return(c(find(data, control, call), label = "interventional", sigma2_given = FALSE))
  }
  start <- check_start(init, data, control, call)
  start$label <- if (inherits(init, "crl_fit")) "fit" else "given"
  start$sigma2_given <- !is.null(init$sigma2)
  start$sigma2 <- if (start$sigma2_given) {
    check_given_noise(init$sigma2, data, call)
  } else {
    residual_variance(data, sum((data$x %*% start$orthonormal)^2) / data$n, call)
  }
  start
}

#' The two factors of an A that `init` gives
#' @noRd
check_start <- function(init, data, control, call) {
  if (inherits(init, "crl_fit")) init <- list(mixing = init$mixing, sigma2 = init$sigma2)
  check_init(init, call)
  mixing <- check_numeric_matrix(init$mixing, "init$mixing", data$p, data$d, class = "init",
                                 call = call)
  split_mixing(mixing_by_name(mixing, data, call), control$mixing, call)
}

#' The start that is not given: the preset's
#' @noRd
default_init <- function(control) {
  if (control$preset == "paper") "pca" else "interventional"
}

#' What a refit needs of `init`: the label, or the numbers
#' @noRd
reusable_start <- function(init) {
  if (is.list(init)) unclass(init)[intersect(c("mixing", "sigma2"), names(init))] else init
}

#' @noRd
check_init <- function(init, call) {
  plain <- is.list(init) && !is.object(init)
  if (!plain || !is.matrix(init$mixing)) {
    found <- "Its {.field mixing} is {describe(init$mixing)}, not a matrix."
    if (!plain) {
      found <- "It is {describe(init)}."
    } else if (is.null(init$mixing)) {
      found <- "It is a list without {.field mixing}."
    }
    abort_input(c(paste('{.arg init} must be "pca", "interventional", a fit,',
                        "or a list with {.field mixing}."),
                  "x" = found,
                  "i" = "For known values: {.code init = list(mixing = A, sigma2 = s)}."), "init",
                call = call)
  }
  unknown <- setdiff(rlang::names2(init), c("mixing", "sigma2"))
  if (length(unknown) > 0L) {
    abort_input(c("{.arg init} may hold {.field mixing} and {.field sigma2}.",
                  "x" = "It also holds {some(unknown)}."), "init", call = call)
  }
}

#' A given A with its rows in the order of the columns of x and its columns in that of the latents:
#' by name where both sides have names, else by position. The default names of latents, z1, z2, ...
#' in this order, count as none.
#' @noRd
mixing_by_name <- function(mixing, data, call, arg = "init$mixing", class = "init") {
  side <- function(word) paste0(word, " names of {.arg ", arg, "}")
  mend <- "Without names it is taken in the order given: {.code unname()}."
  rows <- match_names(rownames(mixing), data$feature_names, side("row"),
                      "column names of {.arg x}", class, call, mend)
  default <- default_latents(ncol(mixing))
  found <- colnames(mixing)
  nameless <- identical(found, default) || identical(data$latent_names, default)
  same <- setequal(found, data$latent_names)
  columns <- if (same || !nameless) {
    match_names(found, data$latent_names, side("column"), "latents", class, call, mend)
  }
  mixing[rows %||% TRUE, columns %||% TRUE, drop = FALSE]
}

#' Principal components of the uncentred data: the model has no intercept
#' @param sigma2 NULL: estimated.
#' @noRd
pca_start <- function(data, call = rlang::caller_env(), sigma2 = NULL) {
  if (is_plain(data)) { # coordinates: these components
    top <- list(vectors = diag(1, data$d), values = data$space$values)
  } else {
    top <- leading_eigen(data$x, data$d)
    check_rank(top$values, data$d, call)
    top$vectors <- top$vectors * rep(loading_signs(top$vectors), each = data$p)
  }
  list(orthonormal = top$vectors, scale = rep(1, data$d), values = top$values,
       sigma2 = sigma2 %||% residual_variance(data, sum(top$values), call))
}

#' @param values Leading eigenvalues of the mean square of x.
#' @noRd
check_rank <- function(values, d, call) {
  if (!(values[d] > 1e-12 * values[1L])) {
    abort_input(c("{.arg x} must have rank {d}, the number of latents.",
                  "x" = paste("Its eigenvalue {d} is {format(values[d], digits = 3)}, the first",
                              "{format(values[1], digits = 3)}."),
                  "i" = "Use fewer latents."), "rank", call = call)
  }
}

#' A noise variance that is given: not so small that x could not hold the noise
#' @noRd
check_given_noise <- function(sigma2, data, call) {
  sigma2 <- check_number(sigma2, "init$sigma2", min = 0, open = "min", class = "init", call = call)
  least <- .Machine$double.eps^2 * data$mean_square / n_features(data)
  if (sigma2 < least) {
    abort_input(c(paste("{.arg init$sigma2} must be at least {format(least, digits = 2)}: smaller",
                        "noise is lost in the rounding of {.arg x}."),
                  "x" = "It is {format(sigma2, digits = 3)}.",
                  "i" = "Leave it out to have it estimated."), "init", call = call)
  }
  sigma2
}

#' Top d eigenvectors and eigenvalues of X'X / n
#' @noRd
leading_eigen <- function(x, d) {
  n <- nrow(x)
  if (ncol(x) <= DENSE_EIGEN || d > DENSE_EIGEN / 2) {
    all <- eigen(crossprod(x) / n, symmetric = TRUE)
    return(list(vectors = all$vectors[, seq_len(d), drop = FALSE], values = all$values[seq_len(d)]))
  }
  if (n <= DENSE_EIGEN) {
    all <- eigen(tcrossprod(x) / n, symmetric = TRUE)
    values <- all$values[seq_len(d)]
    vectors <- crossprod(x, all$vectors[, seq_len(d), drop = FALSE])
    singular <- sqrt(pmax(values, 0) * n)
    return(list(vectors = vectors / rep(singular, each = ncol(x)), values = values))
  }
  top <- RSpectra::svds(x, d, nu = 0L, nv = d, opts = list(tol = 1e-12))
  list(vectors = top$v, values = top$d^2 / n)
}

#' Noise variance per coordinate from what d components leave of the mean square norm: the mean of
#' the other p - d eigenvalues
#' @noRd
residual_variance <- function(data, explained, call) {
  p <- n_features(data)
  if (p == data$d) {
    abort_input(c(paste("The noise variance cannot be estimated from {p} columns",
                        "and as many latents."),
                  "i" = "Give both: {.code init = list(mixing = , sigma2 = )}."), "init",
                call = call)
  }
  max((data$mean_square - explained) / (p - data$d), 1e-10 * data$mean_square / p)
}

#' O and D, or O and Lambda where columns may be correlated. "orthonormal" mixing takes the closest
#' orthonormal matrix to any A, "psd" its columns scaled to length 1.
#' @noRd
split_mixing <- function(mixing, kind, call) {
  norms <- sqrt(colSums(mixing^2))
  if (any(norms == 0)) {
    abort_input(c("The columns of {.arg init$mixing} must not be zero.",
                  "x" = "Column {which(norms == 0)[1]} is."), "init", call = call)
  }
  if (kind == "orthonormal") {
    return(list(orthonormal = polar_factor(mixing), scale = rep(1, ncol(mixing))))
  }
  unit <- mixing / rep(norms, each = nrow(mixing))
  cosine <- max(abs(crossprod(unit) - diag(ncol(mixing))))
  if (kind == "psd" || (kind == "fixed" && cosine > 1e-6)) {
    return(polar_start(if (kind == "psd") unit else mixing, call))
  }
  if (cosine > 1e-6) {
    abort_input(c("The columns of {.arg init$mixing} must be orthogonal.",
                  "x" = "Two have cosine {format(cosine, digits = 3)}.",
                  "i" = paste("With {.code mixing = \"psd\"} or {.code \"fixed\"} they need not",
                              "be; {.code \"orthonormal\"} takes the closest orthonormal matrix.")),
                "init", call = call)
  }
  list(orthonormal = unit, scale = norms)
}

#' A = O Lambda: Lambda the square root of A'A, O = A Lambda^-1
#' @noRd
polar_start <- function(mixing, call) {
  gram <- eigen(crossprod(mixing), symmetric = TRUE)
  d <- ncol(mixing)
  condition <- sqrt(gram$values[1L] / max(gram$values[d], 0))
  if (!(condition < 1e5)) {
    abort_input(c("The columns of {.arg init$mixing} must be linearly independent.",
                  "x" = "Its condition number is {format(condition, digits = 3)}."), "init",
                call = call)
  }
  list(orthonormal = polar_factor(mixing), scale = symmetric_power(gram, 1 / 2))
}

#' A power of a symmetric matrix
#' @param spectrum Its `values` and `vectors`, as eigen() has them.
#' @noRd
symmetric_power <- function(spectrum, by) {
  spectrum$vectors %*% (spectrum$values^by * t(spectrum$vectors))
}

#' The closest matrix with orthonormal columns
#' @noRd
polar_factor <- function(m) {
  .Call(C_polar_factor, m)
}
