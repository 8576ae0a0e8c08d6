# Known covariates of the rows, such as batch or library size: their effect on x is taken out by least
# squares before the measurement model is fitted, x_i - G' (c_i - mean of c). G comes from what is
# within domains (domain means are regressors beside the covariates), so that the effect of an
# intervention is not taken for that of a covariate.

#' Data with the effects of covariates taken out of x (a copy)
#'
#' @param covariates As in fit_crl(): matrix, data frame, formula or names of columns of `samples`;
#'   NULL: none.
#' @param samples NULL, or the table of the samples that a container brought.
#' @param before NULL, or `covariates` of a discovery whose x the rows are: taken out already.
#' @return `data`, with `covariates`, list: `effects` (k x p), `mean` (k), and `design`, what reads
#'   covariates of other rows
#' @noRd
without_covariates <- function(data, covariates, samples = NULL, call = rlang::caller_env(),
                               before = NULL) {
  if (!is.null(before)) {
    check_taken_out(covariates, before, call)
    data$covariates <- before
    return(data)
  }
  if (is.null(covariates)) {
    return(data)
  }
  if (is.null(data$x)) {
    hint <- dense_size_hint(data$rows) %||% "Take their effect out of the source."
    data$x <- matrix_of_rows(data$rows, "`covariates`", hint, call)
    data["rows"] <- list(NULL)
  }
  covariates <- plain_covariates(covariates, samples, data$n, call)
  design <- covariate_design(covariates, samples, call)
  values <- covariate_values(design, covariates, data$n, data$row_names, samples, call)
  check_within_domains(values, data, call)
  found <- list(effects = covariate_effects(values, data), mean = colMeans(values),
                design = design)
  data$x <- take_out(data$x, values, found)
  data <- rescanned(data, missing = TRUE)
  data$covariates <- found
  data
}

#' @noRd
check_taken_out <- function(covariates, before, call) {
  if (!is.null(covariates)) {
    abort_input(c("{.arg covariates} must be left out with this discovery.",
                  "x" = paste("{.fn crl_discover} took the effects of {nrow(before$effects)}",
                              "covariate{?s} out of {.arg x}.")), "covariates", call = call)
  }
}

#' A DataFrame as a data frame, and names of columns of the samples' table as these columns
#' @noRd
plain_covariates <- function(covariates, samples, n, call) {
  if (is_a(covariates, "DFrame", "DataFrame")) {
    covariates <- as.data.frame(covariates, optional = TRUE)
    rownames(covariates) <- NULL
  }
  if (!is.character(covariates) || is.null(samples) || length(covariates) == n) {
    return(covariates)
  }
  absent <- setdiff(covariates, names(samples))
  if (length(absent) > 0L) {
    abort_input(c("{.arg covariates} must name columns of the table of samples of {.arg x}.",
                  "x" = "There is no column {some(absent)}.",
                  did_you_mean(absent, names(samples), "val"),
                  "i" = "The columns are {some(names(samples))}."), "covariates", call = call)
  }
  samples[covariates]
}

#' How covariates are read: columns of a matrix, or terms and levels of a model frame
#' @noRd
covariate_design <- function(covariates, samples, call) {
  if (is.matrix(covariates) && is.numeric(covariates)) {
    return(list(columns = colnames(covariates), k = ncol(covariates)))
  }
  if (is.data.frame(covariates)) {
    all <- rlang::new_formula(NULL, quote(.), baseenv()) # a frame here would be kept with the fit
    frame <- stats::model.frame(all, covariates, na.action = stats::na.pass)
  } else if (inherits(covariates, "formula") && length(covariates) == 2L) {
    frame <- formula_frame(covariates, samples, call)
  } else if (is.atomic(covariates) && is.null(dim(covariates))) {
    return(covariate_design(data.frame(covariate = covariates), NULL, call))
  } else {
    abort_input(c(paste("{.arg covariates} must be a numeric matrix, a data frame, a vector or a",
                        "formula without a left side."),
                  "x" = "It is {describe(covariates)}."), "type", call = call)
  }
  terms <- stats::terms(frame)
  list(terms = terms, levels = stats::.getXlevels(terms, frame))
}

#' Variables of a formula, from the table of samples if there is one, else from where it was written
#' @noRd
formula_frame <- function(covariates, samples, call) {
  tryCatch({
    stats::model.frame(covariates, samples %||% environment(covariates), na.action = stats::na.pass)
  }, error = function(e) {
    there <- function(name) exists(name, environment(covariates))
    absent <- setdiff(Filter(Negate(there), all.vars(covariates)), names(samples))
    abort_input(c("{.arg covariates} must be a formula of variables that can be found.",
                  "x" = in_cli(conditionMessage(e)), did_you_mean(absent, names(samples), "val"),
                  "i" = if (!is.null(samples)) {
                    "The columns of the table of samples of {.arg x} are {some(names(samples))}."
                  }), "covariates", call = call)
  })
}

#' Covariates as numbers (rows x k)
#' @noRd
covariate_values <- function(design, covariates, n, names, samples, call, arg = "covariates") {
  given <- if (inherits(covariates, "formula")) n else NROW(covariates)
  values <- if (!is.null(design$terms) && given == n) {
    expanded_covariates(design, covariates, samples, call)
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
expanded_covariates <- function(design, covariates, samples, call) {
  if (is.atomic(covariates) && is.null(dim(covariates))) {
    covariates <- data.frame(covariate = covariates)
  }
  data <- if (is.data.frame(covariates)) covariates else samples %||% environment(covariates)
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
  x - unname((values - rep(found$mean, each = nrow(values))) %*% found$effects)
}

#' Covariates of rows to predict that their own table has, where they were not given or by a formula
#'
#' @param samples NULL, or the table: that of a container, or a data frame of the rows themselves.
#' @noRd
sample_covariates <- function(covariates, samples, data, call = rlang::caller_env()) {
  terms <- data$covariates$design$terms
  if (is.null(samples) || is.null(terms)) {
    return(plain_covariates(covariates, NULL, 0L, call))
  }
  covariates <- plain_covariates(covariates, samples, nrow(samples), call)
  own <- is.null(covariates) || (inherits(covariates, "formula") && same_terms(covariates, terms))
  if (own && length(absent_variables(terms, samples)) == 0L) samples else covariates
}

#' @noRd
same_terms <- function(formula, terms) {
  setequal(attr(stats::terms(formula), "term.labels"), attr(terms, "term.labels"))
}

#' @noRd
formula_text <- function(terms) {
  paste(deparse(stats::formula(terms), width.cutoff = 500L), collapse = " ")
}

#' Variables of a formula that a table does not have, other than single numbers that stand where the
#' formula was written
#' @noRd
absent_variables <- function(terms, table) {
  absent <- setdiff(all.vars(terms), names(table))
  single <- function(name) {
    value <- get0(name, environment(terms))
    is.atomic(value) && length(value) == 1L
  }
  Filter(Negate(single), absent)
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
  check_new_variables(covariates, found$design$terms, call)
  values <- covariate_values(found$design, covariates, nrow(x), rownames(x), NULL, call)
  take_out(x, values, found)
}

#' What a formula takes from where it was written is of the training rows, not of others
#' @noRd
check_new_variables <- function(covariates, terms, call) {
  if (is.null(terms)) {
    return(invisible())
  }
  if (inherits(covariates, "formula") && !same_terms(covariates, terms)) {
    abort_input(c("{.arg covariates} must be the formula of the fit, or a data frame.",
                  "x" = "That of the fit is {.code {formula_text(terms)}}.",
                  "i" = "A data frame has its variables as columns."), "covariates", call = call)
  }
  absent <- if (is.data.frame(covariates)) absent_variables(terms, covariates)
  if (length(absent) > 0L) {
    abort_input(c("{.arg covariates} must have the variables of the fit's formula.",
                  "x" = paste("{some(absent)} {cli::qty(length(absent))}{?is/are} not there; the",
                              "formula is {.code {formula_text(terms)}}."),
                  "i" = paste("A formula of columns, such as {.code ~ batch} rather than",
                              "{.code ~ x$batch}, can be read for other rows.")),
                "covariates", call = call)
  }
}
