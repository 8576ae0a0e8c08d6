# predict(): the E-step at the fitted parameters, on training or other rows.

#' Latents of other rows
#'
#' Applies the fitted score and mixing matrix to rows of data: equation (4.4) of the paper for the
#' posterior mean, second-order Tweedie for its standard deviation. Which latents are targeted in a
#' row is said by `env` (a domain of the fit) or by `targets` (any combination). A combination that
#' no training domain has is composed from the fitted components, as long as each node's state was
#' seen in training: the causal score of a node depends on the state of that node alone. With
#' `score = "markov"` the log-density is composed; the training domains must then also tell apart
#' what a latent owes to its own and to its children's functions (with two latents in a chain and no
#' domain without targets, for instance, they do not).
#'
#' Such a combination has no Gaussian reference of its own (see [spline_control()]), and
#' takes that of the linear model. Where mechanisms are far from linear this costs accuracy: with
#' the strong mechanisms of [sim_crl()], 3 or 4 latents and two targeted at once, the error of the
#' latents was 0 to 9 % above that with `reference = "none"`, with bounded ones within 1 % of it,
#' with linear ones up to 2.5 % below.
#'
#' For a fit by `method = "g"` chains of draws with the parameters held take the place of the
#' formulas: as many draws a row as the fit's `draws`, after 50 more that are left out. Their seed
#' is that of the fit, so that predictions are a function of the fit and the rows. Gaussian priors
#' ([prior_linear()] and [prior_normal()]) have formulas.
#'
#' @param object A `crl_fit`, from [fit_crl()].
#' @param newdata Numeric matrix (n_new x p) or data frame, or what else [crl_rows()] takes, rows =
#'   samples, in the units of the `x`
#'   that was fitted (and, if that was centred or scaled, in the same way). Entries may be `NA` if the
#'   fit's measurement model is not the paper's (it has `noise_var`). If both it and the
#'   fitted `x` have column names, columns are matched by name and other columns are left aside;
#'   else there must be p columns in the order of `x`. Features that the fit left out, because they
#'   had one value only, are not read, and need not be there where columns have names. `NULL` stands
#'   for the training rows.
#' @param targets Which latents are targeted, in the forms of [intervention_targets()]. For each row
#'   of `newdata` a label (`"z1"`, `"z1+z2"`, `"none"`), or one label for all rows; a list with one
#'   set for each row, or for all, `list(c("z1", "z2"))`; an n_new x d matrix or data frame of zeros
#'   and ones; or one vector of d zeros and ones for all rows (matched by name, if named). Labels
#'   for no intervention and what joins latents are those of the fit's targets, see `none` and `sep`
#'   there. A vector of labels has one meaning: one a row. Latents targeted at once are one label.
#' @param env Domains of the rows, by name: one for all rows, or one a row; or the name of the column
#'   of `newdata` (a data frame, or the samples' table of a container) that has them. Give either
#'   `targets` or `env` with `newdata`, and neither without.
#' @param type `"latents"`: posterior means, in the units of the latents. `"sd"`: their standard
#'   deviations; 0 where the variance came out negative and was floored. `"score"`: the estimated
#'   gradient of the log-density of the pseudo-latents, x O or, where columns of the mixing matrix
#'   A are correlated, x A (A'A)^-1. `"x"`: posterior means of the noiseless
#'   observations, latents times the transposed mixing matrix.
#' @param interval `"credible"` adds posterior intervals to the latents, row by row and latent by
#'   latent; see below. `"none"` (the default) does not.
#' @param level Probability of an interval.
#' @param boot `NULL`, or a [crl_boot()] of the fit, from which standard deviations (and so intervals)
#'   take the error of A and of the feature means and noise variances, see Intervals.
#' @param covariates Covariates of the rows of `newdata`, if the fit has any, in the form they had
#'   there, or a data frame with the variables of a formula. They may be left out where `newdata` (a
#'   data frame, or a container with a table of samples) has these as columns. What a formula such as
#'   `~ x$batch` takes from the training data is not read for other rows: write `~ batch`.
#' @param to `NULL`, or a folder: the result is written there in blocks of rows (`block-000001.rds`,
#'   ...), as rows of `newdata` are read, and is never in memory as a whole. Blocks that are there
#'   already are left as they are, so that a call that was ended goes on.
#' @param cl `NULL`, or a cluster of package parallel whose workers read the rows.
#' @param ... For [crl_rows()], if `newdata` is a SingleCellExperiment or a Seurat object: `assay` or
#'   `layer`, as in the fit.
#' @return n_new x d matrix (n_new x p for `type = "x"`), with the row names of `newdata` and the
#'   names of the latents (features). With `interval = "credible"`, n_new x d x 3 array, whose last
#'   dimension is `"fit"`, `"lwr"` and `"upr"`: `[, "z1", ]` is the matrix that
#'   [stats::predict.lm()] gives for a response.
#' @section Names:
#' What is given row by row is matched with the rows of `newdata` by name, where both have names,
#' and names that disagree are an error. The same holds for columns of `targets` and the latents,
#' and, but for columns to leave aside, for those of `newdata` and the features. Names `"1"`, `"2"`,
#' ... in this order, such as the automatic row names of data frames, count as none.
#' @section Intervals:
#' The interval of a latent is its posterior mean plus and minus a normal quantile times its
#' posterior standard deviation: a normal approximation from the two moments that Tweedie's formulas
#' give. It takes A, \eqn{\sigma^2} and the score as known: their own uncertainty, above all that of
#' the rotation of A, is not in it, nor is the damping `eta`, which moves the mean only. With `boot`
#' the variance over replicates of the row's pseudo-latent, times the squared share of it that its
#' posterior mean follows (posterior over noise variance), is added. A variance
#' that came out negative and was floored gives an interval of length 0 (where columns of A are
#' correlated, one that is too short). Coverage is over rows and
#' latents together, not of all latents of a row at once.
#' With a g fit the moments are those of the posterior draws. Quantiles of the training rows are in
#' the fit, and draws come from [simulate()][simulate.crl_fit].
#' @section Warnings and errors:
#' `type = "score"` of a g fit is an error of class `ebcrl_error_method`.
#' Outside the range of the training data the score (of a g fit, its mechanisms) is continued
#' linearly. If more than a tenth of the rows leave the range of the pseudo-latents (of a g fit,
#' latents) in some coordinate, a warning of class `ebcrl_warning_extrapolation` says so: most often
#' `newdata` was not centred or scaled as the training data was. Where fitted values have more than
#' ten times the sum of squares of `newdata`, a warning of class `ebcrl_warning_exceeds` says that
#' the score is not to be trusted there. With `type = "sd"` or intervals, a warning of class
#' `ebcrl_warning_variance` counts the floored variances. A target state without
#' training rows, or a combination that the training domains do not determine, is an error of class
#' `ebcrl_error_unseen_state`; wrong columns are errors of class `ebcrl_error_shape`, names of rows
#' that disagree `ebcrl_error_names`, values that are not finite, or `NA` where they may not be,
#' `ebcrl_error_missing`, unknown domains `ebcrl_error_domain`, targets outside 0 and 1 or with
#' unknown names `ebcrl_error_targets`.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' fit <- fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag)
#' new <- sim$x[1:5, ]
#' predict(fit, new, env = sim$env[1:5])
#' # two latents targeted at once, which no training domain has
#' predict(fit, new, targets = "z1+z2", type = "sd")
#' # 90 % intervals of the first latent
#' predict(fit, new, env = sim$env[1:5], interval = "credible")[, "z1", ]
#' @importFrom stats predict
#' @export
predict.crl_fit <- function(object, newdata = NULL, targets = NULL, env = NULL,
                            type = c("latents", "sd", "score", "x"),
                            interval = c("none", "credible"), level = 0.9, boot = NULL,
                            covariates = NULL, to = NULL, cl = NULL, ...) {
  type <- check_choice(type, c("latents", "sd", "score", "x"), "type")
  needs_rows <- is.null(newdata) && (identical(type, "score") || !is.null(boot))
  object <- check_fit(object, rows = needs_rows)
  boot <- check_boot_of(boot, object)
  if (type == "score") check_method(object, "f", "type = \"score\"")
  interval <- check_interval(interval, type)
  level <- check_level(level)
  check_container_dots(newdata, ...)
  if (is.null(newdata)) {
    check_no_design(targets, env, covariates)
    return(predict_training(object, type, interval, level, boot))
  }
  rows <- if (!is.null(to) || !is.null(cl) || !is_table(newdata)) {
    prediction_rows(newdata, cl, rlang::current_env(), ...)
  }
  samples <- if (is.data.frame(newdata)) newdata else rows$samples
  env <- sample_domains(env, samples, object$data)
  covariates <- sample_covariates(covariates, samples, object$data)
  whole <- is.null(to) && is.null(cl)
  if (whole && !is.null(rows)) { # a container whose samples are in memory, or can be
    newdata <- rows$matrix %||% matrix_if_needed(rows, object, boot, covariates)
  }
  if (!is.null(rows) && !(whole && is_table(newdata))) {
    check_no_boot(boot, covariates)
    return(predict_rows(object, rows, targets, env, type, interval, level, to,
                        rlang::current_env()))
  }
  step <- widened(posterior_of_rows(object, newdata, targets, env, covariates), newdata, object, boot,
                  covariates)
  if (type == "sd" || interval == "credible") {
    warn_floored(step, object)
  }
  pick_prediction(step, type, object, step$row_names, interval, level)
}

#' Rows to predict as a matrix where they are near and what is asked for cannot go by blocks; else as
#' they are
#' @noRd
matrix_if_needed <- function(rows, object, boot, covariates) {
  needed <- !is.null(boot) || !is.null(covariates) || !goes_by_blocks(object) ||
    !same_features(rows, object$data)
  if (needed && can_be_dense(rows)) dense_rows(rows) else rows
}

#' Where `env` is the name of a column of the table of samples, and of no domain, that column
#' @noRd
sample_domains <- function(env, samples, data) {
  column <- rlang::is_string(env) && !env %in% data$env_names && env %in% names(samples)
  if (column) samples[[env]] else env
}

#' @noRd
check_no_boot <- function(boot, covariates, call = rlang::caller_env()) {
  if (!is.null(boot) || !is.null(covariates)) {
    given <- if (is.null(boot)) "covariates" else "boot"
    abort_input(c("{.arg {given}} needs {.arg newdata} as a matrix or a data frame.",
                  "i" = "Go through such rows block by block."), "rows", call = call)
  }
}

#' @noRd
is_table <- function(x) {
  is.data.frame(x) || (is.matrix(x) && is.numeric(x))
}

#' Containers have assays or layers to choose from, all else no further arguments
#' @noRd
check_container_dots <- function(newdata, ..., .call = rlang::caller_env()) {
  found <- dots_names(...)
  if (isS4(newdata)) found <- setdiff(found, ROW_ARGUMENTS)
  if (length(found) > 0L) {
    abort_dots(found, did_you_mean(found, argument_names(.call)), "type", .call)
  }
}

#' Rows to predict as a source; NULL: what it is, is checked elsewhere
#' @noRd
prediction_rows <- function(newdata, cl, call, ...) {
  if (is_table(newdata)) {
    return(prepared_rows(crl_rows(newdata, call = call), check_rows_cluster(cl, call), NULL, call))
  }
  known <- inherits(newdata, "crl_rows") ||
    is_a(newdata, "dgCMatrix", "dgRMatrix", "big.matrix", "Seurat") ||
    (methods::is(newdata, "Matrix") && !is.null(known_matrix(newdata))) ||
    methods::is(newdata, "DelayedMatrix") || methods::is(newdata, "SummarizedExperiment")
  if (known) on_cluster(crl_rows(newdata, ..., call = call), check_rows_cluster(cl, call))
}

#' @noRd
check_interval <- function(interval, type = "latents", call = rlang::caller_env()) {
  interval <- check_choice(interval, c("none", "credible"), "interval", call = call)
  if (interval == "credible" && type != "latents") {
    abort_input(c("{.arg interval} must be {.val none} unless {.code type = \"latents\"}.",
                  "x" = "{.arg type} is {.val {type}}.",
                  "i" = "Only latents have posterior intervals."), "range", call = call)
  }
  interval
}

#' @noRd
check_level <- function(level, call = rlang::caller_env()) {
  check_number(level, "level", min = 0, max = 1, open = c("min", "max"), call = call)
}

#' The E-step for checked rows: a list as from estep(), with row_names
#' @noRd
posterior_of_rows <- function(object, newdata, targets, env, covariates = NULL,
                              call = rlang::caller_env()) {
  x <- check_newdata(newdata, object, call)
  x <- newdata_without_covariates(x, covariates, object$data, call)
  design <- row_design(targets, env, x, object$data, call)
  check_seen_states(design$targets, object, call)
  step <- posterior_of(inner_fit(object), engine_rows(object, x, call),
                       inner_design(design, object), call)
  c(outer_step(step, object, x), list(row_names = rownames(x)))
}

#' @noRd
posterior_of.crl_fit_f <- function(fit, rows, design, call) {
  check_determined(design$targets, fit, call)
  step <- rows_posterior(fit, rows$x, rows$noise, design$codes, design$targets, call)
  warn_extrapolation(step$y, fit$score$range, ", where the score is continued linearly")
  warn_exceeding(step$latents, rows$x, fit)
  step
}

#' @noRd
predict_training <- function(object, type, interval, level, boot = NULL) {
  if (type == "sd" || interval == "credible") {
    warn_floored_training(object)
  }
  if (type != "score") {
    step <- if (is.null(boot)) object else
      widened(object, kept_x(object$data, "predict(boot = )"), object, boot)
    return(pick_prediction(step, type, object, object$data$row_names, interval, level))
  }
  inner <- training_fit(object)
  data <- inner$data
  step <- outer_step(rows_posterior(inner, data$x, data$row_noise, data$env, data$targets), object,
                     object$data$x)
  pick_prediction(step, type, object, object$data$row_names)
}

#' The matrix asked for, from a list that has latents, latents_sd and score, with its names
#' @noRd
pick_prediction <- function(step, type, object, row_names, interval = "none", level = NULL) {
  if (interval == "credible") {
    ends <- interval_ends(step$latents, step$latents_sd, level)
    return(array(c(step$latents, ends$lwr, ends$upr), c(dim(step$latents), 3L),
                 list(row_names, object$data$latent_names, c("fit", "lwr", "upr"))))
  }
  result <- switch(type, latents = step$latents, sd = step$latents_sd, score = step$score,
                   x = mix(step$latents, object, nuisance_scores(step)))
  dimnames(result) <- list(row_names, switch(type, x = object$data$feature_names,
                                             object$data$latent_names))
  result
}

#' Ends of the normal intervals of latents
#' @noRd
interval_ends <- function(mean, sd, level) {
  half <- stats::qnorm((1 + level) / 2) * sd
  list(lwr = mean - half, upr = mean + half)
}

#' @noRd
check_no_design <- function(targets, env, covariates = NULL, call = rlang::caller_env()) {
  given <- c(if (!is.null(targets)) "targets", if (!is.null(env)) "env",
             if (!is.null(covariates)) "covariates")
  if (length(given) > 0L) {
    abort_input(c("{.arg {given[1L]}} needs {.arg newdata}.",
                  "x" = "{.arg newdata} is NULL: the training rows in their own domains.",
                  "i" = "For training rows under other targets, pass them as {.arg newdata}."),
                "targets", call = call)
  }
}

#' Rows to predict as a finite double matrix with the p columns of the fit
#' @noRd
check_newdata <- function(newdata, object, call) {
  data <- object$data
  if (!is.data.frame(newdata) && !(is.matrix(newdata) && is.numeric(newdata))) {
    abort_input(c("{.arg newdata} must be a numeric matrix or a data frame, rows = samples.",
                  "x" = "It is {describe(newdata)}.",
                  "i" = dense_hint(newdata, "newdata") %||%
                    "A single row is {.code matrix(row, nrow = 1)}."), "type", call = call)
  }
  x <- match_columns(newdata, data, call)
  if (is.data.frame(x)) {
    x <- frame_to_matrix(x, "newdata", call)
  }
  if (!is.double(x)) {
    storage.mode(x) <- "double"
  }
  check_finite_matrix(x, "newdata", !is.null(object$inner), call)
  x
}

#' The columns of the fit, by name where both sides have names, else by position
#' @noRd
match_columns <- function(newdata, data, call) {
  found <- own_names(colnames(newdata))
  wanted <- own_names(data$feature_names)
  if (is.null(found) || is.null(wanted)) {
    if (ncol(newdata) != data$p) {
      abort_input(c("{.arg newdata} must have the {data$p} column{?s} of the fitted data.",
                    "x" = "It has {ncol(newdata)}.", "i" = transpose_hint(newdata, data$p)),
                  "shape", call = call)
    }
    return(newdata)
  }
  absent <- setdiff(wanted, found)
  if (all(absent %in% wanted[data$constant])) { # not read
    newdata <- with_left_out(newdata, absent, data$constant_at[match(absent, wanted[data$constant])])
    found <- colnames(newdata)
    absent <- NULL
  }
  if (length(absent) > 0L) {
    transposed <- !is.data.frame(newdata) && all(wanted %in% rownames(newdata))
    abort_input(c("{.arg newdata} must have the columns of the fitted data, by name.",
                  "x" = "{some(absent)} {cli::qty(length(absent))}{?is/are} not there.",
                  "i" = if (transposed) transpose_hint(newdata, nrow(newdata)) else
                    "For matching by position, remove the column names of a matrix."),
                "shape", call = call)
  }
  if (identical(found, wanted)) {
    return(newdata)
  }
  twice <- unique(found[duplicated(found) & found %in% wanted])
  if (length(twice) > 0L) {
    abort_input(c("{.arg newdata} must have each column of the fitted data once.",
                  "x" = "{some(twice)} {cli::qty(length(twice))}{?is/are} there more than once."),
                "shape", call = call)
  }
  newdata[, wanted, drop = FALSE]
}

#' Rows to predict with the features that the fit left out, at the one value that they had
#' @noRd
with_left_out <- function(newdata, features, values) {
  if (length(features) == 0L) {
    return(newdata)
  }
  columns <- matrix(values, nrow(newdata), length(features), byrow = TRUE,
                    dimnames = list(NULL, features))
  cbind(newdata, columns)
}

#' @noRd
transpose_hint <- function(x, p) {
  if (nrow(x) == p) {
    "Its rows are as many: samples go in rows, so perhaps transpose it, {.code t(newdata)}."
  }
}

#' Target table and row codes of the rows to predict
#' @return list(codes = integer n_new, targets = table of the codes, k x d 0/1 integer matrix)
#' @noRd
row_design <- function(targets, env, x, data, call) {
  if (is.null(targets) == is.null(env)) {
    found <- if (is.null(env)) "Neither is given." else "Both are given."
    abort_input(c("Give either {.arg targets} or {.arg env} with {.arg newdata}.", "x" = found,
                  "i" = "{.arg env} names domains of the fit, {.arg targets} targeted latents."),
                "targets", call = call)
  }
  if (!is.null(env)) {
    return(list(codes = known_domains(env, nrow(x), data$env_names, call, rownames(x)),
                targets = data$targets))
  }
  table <- target_table(targets, nrow(x), data, call, names = rownames(x))
  key <- apply(table, 1L, paste, collapse = "")
  list(codes = rep_len(match(key, unique(key)), nrow(x)),
       targets = table[!duplicated(key), , drop = FALSE])
}

#' The domains of rows to predict as positions among the `domains` of the fit
#' @param names Row names of newdata.
#' @noRd
known_domains <- function(env, n_new, domains, call, names = NULL) {
  if (!is.atomic(env) || !is.null(dim(env)) || !length(env) %in% c(1L, n_new)) {
    abort_input(c("{.arg env} must be one domain, or one for each row of {.arg newdata} ({n_new}).",
                  "x" = "It is {describe(env)}."), "shape", call = call)
  }
  if (length(env) == n_new) {
    env <- in_order(env, match_rows(names(env), names, "env", "newdata", call))
  }
  labels <- unique(env)
  codes <- match(domain_labels(labels), domains)[match(env, labels)]
  if (anyNA(codes)) {
    unknown <- domain_labels(unique(env[is.na(codes)]))
    abort_input(c("{.arg env} must name domains of the fit.", "x" = "Found {some(unknown)}.",
                  "i" = "The fit has {some(domains)}; for others, use {.arg targets}."),
                "domain", call = call)
  }
  rep_len(codes, n_new)
}

#' `targets` as a 0/1 matrix with one row, or one for each row to predict
#'
#' A vector of labels, a list of sets and a matrix all go row by row, or have one entry (row) for
#' all of them; a vector of numbers is one set for all.
#' @param rows The rows to predict in words, with their number `n_new`.
#' @param names Their names.
#' @noRd
target_table <- function(targets, n_new, data, call,
                         rows = "{n_new} row{?s} of {.arg newdata}", names = NULL) {
  latents <- data$latent_names
  targets <- plain_targets(targets, latents, call)
  found <- entry_names(targets)
  if ((is.numeric(targets) || is.logical(targets)) && is.null(dim(targets))) {
    one <- matrix(targets, 1L, dimnames = list(NULL, found))
    return(targets_from_matrix(one, latents, call))
  }
  check_target_rows(targets, n_new, rows, call)
  if (NROW(targets) == n_new) {
    targets <- in_order(targets, match_rows(found, names, "targets", "newdata", call))
  }
  read_target_rows(without_names(targets), data, call)
}

#' A column of labels as a vector, and targets that go by row as a matrix
#' @noRd
plain_targets <- function(targets, latents, call) {
  if (is.data.frame(targets) && length(targets) == 1L && is_text(targets[[1L]])) {
    return(stats::setNames(as.character(targets[[1L]]), entry_names(targets)))
  }
  if (inherits(targets, "crl_targets")) targets_by_row(targets, latents, call) else targets
}

#' Rows of 0 and 1 of what goes by row, one for each entry
#' @noRd
read_target_rows <- function(targets, data, call) {
  latents <- data$latent_names
  rule <- c(data$labels, list(domains = domain_target_labels(data)))
  if (is.data.frame(targets) || is.matrix(targets)) {
    return(targets_from_matrix(as.matrix(targets), latents, call))
  }
  if (is.list(targets)) {
    rows <- vapply(seq_along(targets), FUN.VALUE = integer(length(latents)),
                   function(i) target_row(targets[[i]], i, latents, rule, call, "Entry"))
    return(matrix(rows, length(targets), byrow = TRUE, dimnames = list(NULL, latents)))
  }
  labels <- as.character(targets)
  check_labels_present(labels, call)
  distinct <- unique(labels)
  rows <- vapply(distinct, label_row, integer(length(latents)), latents = latents,
                 rule = rule, call = call)
  matrix(rows, length(distinct), length(latents), byrow = TRUE,
         dimnames = list(NULL, latents))[match(labels, distinct), , drop = FALSE]
}

#' Labels of the targets of the domains of a fit, named by these
#' @noRd
domain_target_labels <- function(data) {
  label <- apply(data$targets == 1L, 1L, function(hit) {
    if (any(hit)) paste(data$latent_names[hit], collapse = data$labels$sep %||% "+") else
      c(data$labels$none, "")[1L]
  })
  stats::setNames(label, data$env_names)
}

#' Targets made by intervention_targets(), one row for each row of data if they go by row
#' @noRd
targets_by_row <- function(targets, latents, call) {
  env <- attr(targets, "env")
  table <- match_latents(targets, latents, call)
  if (is.null(env)) {
    return(unclass(table))
  }
  table <- unclass(table)[as.integer(env), , drop = FALSE]
  rownames(table) <- names(env)
  table
}

#' @noRd
check_target_rows <- function(targets, n_new, rows, call) {
  form <- if (is.matrix(targets) || is.data.frame(targets)) "row" else
    if (is_text(targets)) "label" else if (is.list(targets)) "set" else "none"
  if (form == "none") {
    abort_input(c("{.arg targets} must be labels, zeros and ones, or a list of sets.",
                  "x" = "It is {describe(targets)}."), "type", call = call)
  }
  given <- NROW(targets)
  if (given == n_new || (given == 1L && form != "row")) {
    return(invisible())
  }
  mend <- switch(form,
    label = paste("A vector holds a label for each row, or one for all; latents that are targeted",
                  "at once are joined in one label, {.val z1+z2}, and {.val none} is no",
                  "intervention."),
    set = "A list holds a set for each row, or one for all.",
    "One target set for all rows is a vector of zeros and ones, or a label.")
  abort_input(c(paste0("{.arg targets} must have one ", form, " for each of ", rows, "."),
                "x" = "It has {given}.", "i" = mend), "shape", call = call)
}

#' Every (node, state) of the target table must have coefficients
#' @param asking The arguments that the table comes from, in words.
#' @noRd
check_seen_states <- function(targets, object, call, asking = "{.arg targets} (or {.arg env})") {
  for (node in seq_len(object$data$d)) {
    for (state in unique(targets[, node])) {
      if (!has_state(object, node, state)) {
        label <- object$data$latent_names[node]
        word <- if (state == 1L) "targeted" else "not targeted"
        abort_input(c("No training row has latent {.val {label}} {word} (state {state}).",
                      "x" = paste(asking, "asks for it:",
                                  "its {part_of_model(object)} is unknown."),
                      "i" = "Add a training domain in which {.val {label}} is {word}."),
                    "unseen_state", node = label, state = state, call = call)
      }
    }
  }
}

#' Were there training rows with this node in this state?
#' @noRd
has_state.default <- function(fit, node, state) {
  !is.na(fit$latent_noise_var[node, state + 1L])
}

#' @noRd
has_state.crl_fit_f <- function(fit, node, state) {
  !is.null(fit$score$theta[[node]][[paste0("state", state)]])
}

#' @noRd
part_of_model <- function(object) {
  if (inherits(object, "crl_fit_f")) "score component" else "mechanism"
}

#' With a joint (Markov) score, every combination must be determined by those of the training domains
#'
#' Functions of latent j may move between the cells that have it as a coordinate, as long as their
#' sums in the training domains stay: the indicators of the active ones among these cells must lie
#' in the span of those of the training domains.
#' @noRd
check_determined <- function(targets, object, call) {
  parents <- object$score$parents
  perfect <- object$control$intervention == "perfect"
  for (j in if (is_joint(object)) seq_along(parents)) {
    nodes <- c(j, which(vapply(parents, function(pa) j %in% pa, NA)))
    active <- function(table) {
      hit <- table[, nodes, drop = FALSE]
      with_parents <- if (perfect) hit * rep(nodes == j, each = nrow(hit)) else hit
      t(cbind(1L - hit, with_parents))
    }
    left <- qr.resid(qr(active(object$data$targets)), active(targets) + 0)
    if (any(abs(left) > 1e-6)) {
      label <- object$data$latent_names[j]
      abort_input(c("The training domains do not determine the score of {.val {label}} there.",
                    "x" = paste("{.arg targets} (or {.arg env}) asks for a combination of targets",
                                "among it and its children that theirs do not add up to."),
                    "i" = "Add a training domain without targets, or with this combination."),
                  "unseen_state", node = label, call = call)
    }
  }
}

#' @param y Pseudo-latents, or latents (rows x d).
#' @param range Those of the training data (2 x d).
#' @param where What a model does there, in words.
#' @noRd
warn_extrapolation <- function(y, range, where = NULL) {
  lo <- rep(range[1L, ], each = nrow(y))
  hi <- rep(range[2L, ], each = nrow(y))
  outside <- rowSums(y < lo | y > hi) > 0L
  if (sum(outside) > 0.1 * nrow(y)) {
    cli::cli_warn(c("{sum(outside)} of {nrow(y)} row{?s} of {.arg newdata} lie outside the range of
                     the training data{where}.",
                    "i" = "Was {.arg newdata} centred and scaled as the training data was?"),
                  class = "ebcrl_warning_extrapolation")
  }
}

# Sum of squares of fitted values, in units of that of x, from which on a warning is given: that at
# which a fit stops (SIGMA2_MOST in the C core).
EXCEEDING <- 10

#' Latents that far exceed the rows that they come from
#' @noRd
warn_exceeding <- function(latents, x, object) {
  size <- sum((latents %*% crossprod(object$mixing)) * latents) / sum(x^2)
  if (isTRUE(size > EXCEEDING)) {
    cli::cli_warn(c("The latents far exceed {.arg newdata}: fitted values have
                     {format(size, digits = 3)} times its sum of squares.",
                    "i" = "The score is not to be trusted there."),
                  class = "ebcrl_warning_exceeds")
  }
}

#' The same for the training rows; a g fit has nothing to floor
#' @noRd
warn_floored_training <- function(object) {
  if (inherits(object, "crl_fit_f")) {
    warn_floored(list(floored = object$counts[["variance_floored"]], latents = object$latents),
                 object)
  }
}

#' @noRd
warn_floored <- function(step, object) {
  if (step$floored > 0) {
    note <- floored_note(step$floored, length(step$latents), is.matrix(object$scale))
    cli::cli_warn(note, class = "ebcrl_warning_variance")
  }
}
