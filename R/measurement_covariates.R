# Known covariates of the rows, such as batch or library size: their effect on x is taken out by least
# squares before the measurement model is fitted, x_i - G' (c_i - mean of c). G comes from what is
# within domains (domain means are regressors beside the covariates), so that the effect of an
# intervention is not taken for that of a covariate.

#' Data with the effects of covariates taken out of x (a copy)
#'
#' @param covariates As in fit_crl(): matrix, data frame or formula; NULL: none.
#' @return `data`, with `covariates`, list: `effects` (k x p), `mean` (k), and `design`, what reads
#'   covariates of other rows
#' @noRd
without_covariates <- function(data, covariates, call = rlang::caller_env()) {
  if (is.null(covariates)) {
    return(data)
  }
  if (is.null(data$x)) {
    abort_input(c("{.arg covariates} needs {.arg x} as a matrix in memory.",
                  "i" = "Take their effect out of the source."), "rows", call = call)
  }
  design <- covariate_design(covariates, call)
  values <- covariate_values(design, covariates, data$n, data$row_names, call)
  check_within_domains(values, data, call)
  found <- list(effects = covariate_effects(values, data), mean = colMeans(values),
                design = design)
  data$x <- take_out(data$x, values, found)
  data <- rescanned(data, missing = TRUE)
  data$covariates <- found
  data
}

#' How covariates are read: columns of a matrix, or terms and levels of a model frame
#' @noRd
covariate_design <- function(covariates, call) {
  if (is.matrix(covariates) && is.numeric(covariates)) {
    return(list(columns = colnames(covariates), k = ncol(covariates)))
  }
  if (is.data.frame(covariates)) {
    frame <- stats::model.frame(~ ., covariates, na.action = stats::na.pass)
  } else if (inherits(covariates, "formula") && length(covariates) == 2L) {
    frame <- stats::model.frame(covariates, na.action = stats::na.pass)
  } else if (is.atomic(covariates) && is.null(dim(covariates))) {
    return(covariate_design(data.frame(covariate = covariates), call))
  } else {
    abort_input(c(paste("{.arg covariates} must be a numeric matrix, a data frame, a vector or a",
                        "formula without a left side."),
                  "x" = "It is {describe(covariates)}."), "type", call = call)
  }
  terms <- stats::terms(frame)
  list(terms = terms, levels = stats::.getXlevels(terms, frame))
}

#' Covariates as numbers (rows x k)
#' @noRd
covariate_values <- function(design, covariates, n, names, call, arg = "covariates") {
  given <- if (inherits(covariates, "formula")) n else NROW(covariates)
  values <- if (!is.null(design$terms) && given == n) {
    expanded_covariates(design, covariates, call)
  } else {
    covariates
  }
  if (!is.matrix(values) || !is.numeric(values) || nrow(values) != n ||
      (!is.null(design$k) && ncol(values) != design$k)) {
    abort_input(c(paste("{.arg {arg}} must have a row for each row of {.arg x} ({n}), and the",
                        "columns of the fit."), "x" = "It is {describe(values)}."), "shape",
                call = call)
  }
  by <- match_rows(own_names(rownames(values)), own_names(names), arg, call = call)
  check_numeric_matrix(in_order(values, by), arg, nrow = n, call = call)
}

#' Factors and formulas as columns, without the one for all rows
#' @noRd
expanded_covariates <- function(design, covariates, call) {
  if (is.atomic(covariates) && is.null(dim(covariates))) {
    covariates <- data.frame(covariate = covariates)
  }
  data <- if (is.data.frame(covariates)) covariates else environment(covariates)
  values <- tryCatch({
    frame <- stats::model.frame(design$terms, data, na.action = stats::na.pass,
                                xlev = design$levels)
    stats::model.matrix(design$terms, frame)
  }, error = function(e) {
    abort_input(c("{.arg covariates} must have the variables and levels of the fit.",
                  "x" = conditionMessage(e)), "covariates", call = call)
  })
  values[, colnames(values) != "(Intercept)", drop = FALSE]
}

#' Covariates must vary within domains, and not be combinations of each other there
#' @noRd
check_within_domains <- function(values, data, call) {
  within <- values - (rowsum(values, data$env) / data$n_env)[data$env, , drop = FALSE]
  decomposed <- qr(within, tol = 1e-8)
  if (decomposed$rank < ncol(values)) {
    untold <- decomposed$pivot[seq(decomposed$rank + 1L, ncol(values))]
    names <- colnames(values)[untold] %||% untold
    abort_input(c(paste("{.arg covariates} must vary within domains, each in its own way: what varies",
                        "between domains only cannot be told from what interventions do."),
                  "x" = paste("{cli::qty(length(names))}Column{?s} {some(names)}",
                              "{cli::qty(length(names))}{?does/do} not."),
                  "i" = "Leave {cli::qty(length(names))}{?it/them} out."), "covariates", call = call)
  }
}

#' Least squares beside the domain means, by feature where entries are missing
#' @noRd
covariate_effects <- function(values, data) {
  k <- ncol(values)
  domain <- outer(data$env, seq_len(data$n_domains), "==") + 0
  design <- cbind(domain, values)
  effects <- matrix(0, k, data$p, dimnames = list(colnames(values), data$feature_names))
  lacking <- data$lacking %||% rep(0, data$p)
  whole <- which(lacking == 0)
  last <- data$n_domains + seq_len(k)
  if (length(whole) > 0L) {
    effects[, whole] <- qr.coef(qr(design), data$x[, whole, drop = FALSE])[last, ]
  }
  for (j in which(lacking > 0)) {
    seen <- !is.na(data$x[, j])
    found <- stats::lm.fit(design[seen, , drop = FALSE], data$x[seen, j])$coefficients[last]
    effects[, j] <- ifelse(is.na(found), 0, found)
  }
  effects
}

#' @noRd
take_out <- function(x, values, found) {
  x - (values - rep(found$mean, each = nrow(values))) %*% found$effects
}

#' Other rows of x without the effects that a fit took out
#' @noRd
newdata_without_covariates <- function(x, covariates, data, call) {
  found <- data$covariates
  if (is.null(found) != is.null(covariates)) {
    abort_input(if (is.null(found)) {
      c("{.arg covariates} must be left out.", "x" = "The fit has none.")
    } else {
      c("{.arg covariates} must be given with {.arg newdata}.",
        "x" = "The fit took the effects of {nrow(found$effects)} covariate{?s} out of {.arg x}.",
        "i" = "Give those of the rows of {.arg newdata}.")
    }, "covariates", call = call)
  }
  if (is.null(found)) {
    return(x)
  }
  values <- covariate_values(found$design, covariates, nrow(x), rownames(x), call)
  take_out(x, values, found)
}
