# The one way in: whatever the user gave becomes one checked, canonical `crl_data`.

#' Check everything once
#'
#' x is scanned in C and never copied when it is a double matrix, so that a matrix that fills half
#' the memory can be fitted.
#'
#' @param x `crl_rows`, or what becomes one.
#' @param env Domain of each row (length n); NULL takes the domains that `targets` carries by row.
#' @param targets,dag Anything [intervention_targets()] and [as_dag()] read.
#' @param weights NULL or one positive weight for each domain (w_e of Appendix C), by name or in the
#'   order of the targets' rows.
#' @param knots Knots of each coordinate: a node needs as many rows in a state as there are basis
#'   functions, knots + 2.
#' @param prior That of g-modeling, which does not read `knots`: 2 rows in a state tell a mean and a
#'   variance, and a normal prior has no states. NULL: f-modeling.
#' @param missing May x have missing entries?
#' @param before NULL, or a function of what is known of the data before the first pass over the
#'   rows (`rows`, `n`, `p`, `d` and the design), which may refuse them.
#' @param progress As of shows_progress().
#' @return List of class `crl_data`: `x` (n x p double), or NULL and `rows`, a source, `row_names`,
#'   `env` (integer codes 1..M), `env_names`,
#'   `targets` (M x d integer), `dag` (`crl_dag`), `weights` (M, sum 1), `n_env` (M), `n`, `p`, `d`,
#'   `labels` (how labels of targets are read, see label_rule()), `n_domains`, `latent_names`,
#'   `feature_names` (or NULL), `constant` (columns of x with one value only, which the engines do
#'   not see: varying_features()), `constant_at` (their values), `mean_square` (mean of |x_i|^2),
#'   `means` of the features and `spreads`, their variances (p), `variance` (the sum of these),
#'   `missing` (entries that are NA) and `lacking` (p: of each feature, if there are any).
#' @noRd
crl_data <- function(x, env = NULL, targets, dag, weights = NULL, knots = 8L,
                     prior = NULL, missing = FALSE, before = NULL, progress = NULL,
                     call = rlang::caller_env()) {
  x <- crl_rows(x, call = call)
  x["progress"] <- list(progress)
  dag <- as_dag(dag)
  targets <- targets_of_data(targets, env, x, dag, call)
  latents <- colnames(targets)
  dimnames(dag) <- list(latents, latents)
  check_dimensions(x, length(latents), if (is.null(prior)) knots + 2L, call)
  design <- domains_of_data(targets, env, x, call)
  targets <- design$targets
  domains <- rownames(targets)
  env <- domain_codes(design$env, domains, call)
  n_env <- tabulate(env, length(domains))
  check_domains(n_env, domains, call)
  targets <- matrix(as.integer(targets), length(domains), dimnames = list(domains, latents))
  least <- if (!is.null(prior)) least_rows(prior)
  if (is.null(prior)) {
    check_cells(n_env, targets, knots + 2L, call)
  } else if (!is.null(least)) {
    check_cells(n_env, targets, least, call, paste("A mean and a variance are estimated in each: add",
                                                "rows, or pool domains."))
  }
  weights <- domain_weights(weights, n_env, domains, call)
  if (!is.null(before)) {
    before(list(rows = x, n = nrow(x), p = ncol(x), d = length(latents), env = env, n_env = n_env,
                n_domains = length(domains), weights = weights, targets = targets, dag = dag,
                latent_names = latents))
  }
  scan <- scan_rows(x, "x", missing, call)
  check_variation(x, scan$constant, length(latents), call)
  check_size(scan$mean_square, call)
  report_constant(x, scan$constant)

  structure(list(
    x = x$matrix, rows = if (is.null(x$matrix)) x, row_names = x$row_names, env = env, env_names = domains, targets = targets, dag = dag,
    weights = weights, n_env = n_env,
    labels = attr(design$targets, "labels") %||% label_rule(),
    n = as.integer(nrow(x)), p = as.integer(ncol(x)), d = length(latents), n_domains = length(domains),
    latent_names = latents, feature_names = colnames(x), constant = scan$constant,
    constant_at = scan$lo[scan$constant], mean_square = scan$mean_square, means = scan$mean,
    spreads = scan$spread / scan$seen, variance = scan$variance,
    missing = sum(scan$n - scan$seen), lacking = if (any(scan$seen < scan$n)) scan$n - scan$seen,
    progress = progress
  ), class = "crl_data")
}

#' Some rows of checked data, with their part of x (a copy), enough of them for the score's splines
#' @noRd
take_rows <- function(data, rows, x, knots, call = rlang::caller_env()) {
  data <- some_rows(data, rows, x)
  data <- rescanned(data)
  check_cells(data$n_env, data$targets, knots + 2L, call)
  data
}

#' Data whose x is another, with what its scan finds
#' @noRd
rescanned <- function(data, missing = FALSE) {
  scan <- scan_rows(matrix_rows(data$x), missing = missing)
  data[c("mean_square", "means", "variance")] <- scan[c("mean_square", "mean", "variance")]
  data$spreads <- scan$spread / scan$seen
  data$memo <- NULL
  data
}

#' The same without what the score needs
#' @noRd
some_rows <- function(data, rows, x) {
  data$x <- x
  data$env <- data$env[rows]
  data["row_names"] <- list(data$row_names[rows])
  data$n <- length(rows)
  data$n_env <- tabulate(data$env, data$n_domains)
  data
}

# Features that are left out ----------------------------------------------------------------------

#' Data without the constant columns of x, as the engines see it (a copy of x if there are any)
#' @noRd
varying_features <- function(data) {
  if (length(data$constant) == 0L) {
    return(data)
  }
  if (is.null(data$x)) {
    data$rows$kept <- seq_len(data$p)[-data$constant]
  } else {
    data$x <- data$x[, -data$constant, drop = FALSE]
  }
  data$feature_names <- data$feature_names[-data$constant]
  data$p <- data$p - length(data$constant)
  data$mean_square <- data$mean_square - sum(data$means[data$constant]^2)
  data$means <- data$means[-data$constant]
  data["lacking"] <- list(data$lacking[-data$constant])
  data$spreads <- data$spreads[-data$constant]
  data$constant_at <- numeric()
  data$constant <- integer()
  data
}

# Parts of a fit with one row a feature.
FEATURE_PARTS <- c("mixing", "orthonormal", "mixing_mc_error")

#' Change the rows of every part of a fit that has one a feature, and its data
#' @noRd
change_features <- function(fit, data, rows) {
  measured <- !is.null(fit$inner) # then other parts are of coordinates
  own <- intersect(if (measured) c("mixing", "mixing_mc_error") else FEATURE_PARTS, names(fit))
  fit[own] <- lapply(fit[own], rows)
  for (name in intersect(c("center", "noise_var"), names(fit))) {
    fit[[name]] <- drop(rows(as.matrix(fit[[name]])))
  }
  if (!is.null(fit$nuisance)) fit$nuisance$mixing <- rows(fit$nuisance$mixing)
  if (!is.null(fit$r_hat) && !measured && is.null(fit$reduced)) {
    fit$r_hat$mixing <- rows(fit$r_hat$mixing)
  }
  if (!is.null(fit$optima)) fit$optima$mixing <- lapply(fit$optima$mixing, rows)
  fit$data <- data
  fit
}

#' A fit of the varying features of `data`, with loadings of 0 for the others
#' @noRd
with_constant <- function(fit, data) {
  rows <- function(part) {
    all <- matrix(0, data$p, ncol(part), dimnames = list(data$feature_names, colnames(part)))
    all[-data$constant, ] <- part
    all
  }
  fit$counts[["features_constant"]] <- length(data$constant)
  change_features(fit, data, rows)
}

#' The fit of the varying features that with_constant() made one of all
#' @noRd
without_constant <- function(fit) {
  constant <- fit$data$constant
  if (length(constant) == 0L) {
    return(fit)
  }
  fit$counts <- fit$counts[setdiff(names(fit$counts), "features_constant")]
  fit$start <- start_without(fit$start, fit$data)
  change_features(fit, varying_features(fit$data),
                  function(part) part[-constant, , drop = FALSE])
}

#' A start for the varying features: a given A loses the rows of the others
#' @noRd
start_without <- function(init, data, call = rlang::caller_env()) {
  if (inherits(init, "crl_fit") && identical(init$data$constant, data$constant)) {
    return(without_constant(init))
  }
  given <- is.list(init) && is.matrix(init$mixing) && identical(dim(init$mixing), c(data$p, data$d))
  if (!given) {
    return(init)
  }
  init <- unclass(init)[intersect(c("mixing", "sigma2"), names(init))]
  init$mixing <- mixing_by_name(init$mixing, data, call)[-data$constant, , drop = FALSE]
  init
}

#' Run an engine, fit_data() or fit_g(), on the features that vary
#' @noRd
fit_varying <- function(engine, data, init, control, call, error_call) {
  fit <- engine(varying_features(data), start_without(init, data, error_call), control, call,
                error_call)
  fit$start <- reusable_start(init %||% fit$start)
  with_constant(fit, data)
}

# Rows --------------------------------------------------------------------------------------------

#' A data frame as a double matrix, built once
#' @noRd
frame_to_matrix <- function(x, arg = "x", call = rlang::caller_env()) {
  fits <- vapply(x, function(column) is.numeric(column) && is.null(dim(column)), NA)
  if (!all(fits)) {
    kinds <- vapply(x[!fits], describe_kind, "")
    abort_input(c("All columns of {.arg {arg}} must be numeric.",
                  "x" = paste("{some(names(x)[!fits])} {cli::qty(length(kinds))}{?is/are}",
                              "{unique(kinds)}."),
                  "i" = "Drop them; the domain of a row goes in {.arg env}."), "type", call = call)
  }
  rows <- if (.row_names_info(x) > 0L) row.names(x)
  result <- matrix(0, nrow(x), length(x), dimnames = list(rows, names(x)))
  for (column in seq_along(x)) {
    # classes with numbers of their own, such as integer64, have methods for as.double()
    result[, column] <- as.double(x[[column]])
  }
  result
}

#' One matrix for each domain, stacked once
#' @param env What the user gave beside the list: nothing, since the list's names are the domains.
#' @return list: `x` (n x p double matrix), `env` (factor: the list's names, or positions)
#' @noRd
stack_domains <- function(x, env = NULL, arg = "x", call = rlang::caller_env()) {
  if (!is.null(env)) {
    abort_input(c("{.arg env} must not be given where {.arg {arg}} is a list by domains.",
                  "x" = "{.arg env} is {describe(env)}.",
                  "i" = "The names of the list are the domains."), "domain", call = call)
  }
  if (length(x) == 0L) {
    abort_input(c("{.arg {arg}} must hold one matrix for each domain.",
                  "x" = "It is a list of length 0.",
                  "i" = "Name the domains: {.code list(control = x1, treated = x2)}."), "shape",
                call = call)
  }
  domains <- list_domains(x, arg, call)
  x <- lapply(x, function(rows) if (is.data.frame(rows)) frame_to_matrix(rows, arg, call) else rows)
  fits <- vapply(x, function(rows) is.matrix(rows) && is.numeric(rows), NA)
  if (!all(fits)) {
    first <- which(!fits)[1L]
    abort_input(c("Every entry of {.arg {arg}} must be a numeric matrix.",
                  "x" = "Domain {.val {domains[first]}} is {describe(x[[first]])}.",
                  "i" = dense_hint(x[[first]], "x")), "type", call = call)
  }
  x <- in_same_columns(x, domains, arg, call)
  rows <- vapply(x, nrow, 0L)
  stacked <- do.call(rbind, unname(x))
  storage.mode(stacked) <- "double"
  list(x = stacked, env = factor(rep(domains, rows), levels = domains))
}

#' @noRd
list_domains <- function(x, arg, call) {
  domains <- names(x) %||% as.character(seq_along(x))
  if (anyNA(domains) || !all(nzchar(domains)) || anyDuplicated(domains)) {
    abort_input(c("{.arg {arg}} must give each domain one distinct name, or none a name.",
                  "x" = "Its names are {some(domains)}.",
                  "i" = "Stack the parts of a domain into one matrix."), "domain", call = call)
  }
  domains
}

#' The matrices with their columns in the order of the first, by name where they have names
#' @noRd
in_same_columns <- function(x, domains, arg, call) {
  columns <- vapply(x, ncol, 0L)
  if (any(columns != columns[1L])) {
    other <- which(columns != columns[1L])[1L]
    abort_input(c("Every matrix of {.arg {arg}} must have the same columns.",
                  "x" = paste("Domain {.val {domains[1]}} has {columns[[1]]},",
                              "{.val {domains[other]}} has {columns[[other]]}."),
                  "i" = "All domains share one mixing: give them the same features."), "shape",
                call = call)
  }
  wanted <- colnames(x[[1L]])
  nameless <- vapply(x, function(rows) is.null(colnames(rows)), NA)
  if (any(nameless != nameless[1L])) {
    other <- which(nameless != nameless[1L])[1L]
    abort_input(c("All matrices of {.arg {arg}} must have column names, or none.",
                  "x" = paste("Domain {.val {domains[if (nameless[1]) other else 1]}} has them,",
                              "{.val {domains[if (nameless[1]) 1 else other]}} has none.")),
                "shape", call = call)
  }
  Map(function(rows, domain) {
    match <- match_names(colnames(rows), wanted,
                         paste0("column names of domain {.val ", in_cli(domain), "} of {.arg ", arg,
                                "}"),
                         paste0("columns of {.val ", in_cli(domains[1L]), "}"), "shape", call)
    if (is.null(match)) rows else rows[, match, drop = FALSE]
  }, x, domains)
}

#' How to make an ordinary matrix of an object of another package, or NULL
#'
#' Containers of assays have samples in columns. Classes go by name, so that no package is needed.
#' @noRd
dense_hint <- function(x, arg) {
  if (isS4(x)) {
    container_hint(x, arg) %||% matrix_hint(x, arg) %||%
      paste("An object of another package has to be made a matrix, rows = samples, by that",
            "package's means.")
  }
}

#' @noRd
is_a <- function(x, ...) {
  inherits(x, c(...)) || any(class(x) %in% c(...))
}

#' @noRd
container_hint <- function(x, arg) {
  if (is_a(x, "Seurat")) {
    assay_hint("A Seurat object", paste0("SeuratObject::LayerData(", arg, ", \"data\")"), arg)
  } else if (is_a(x, "SummarizedExperiment", "RangedSummarizedExperiment", "SingleCellExperiment",
                  "SpatialExperiment")) {
    assay_hint(paste0("A ", class(x)[1L]), paste0("SummarizedExperiment::assay(", arg, ", \"logcounts\")"), arg)
  } else if (is_a(x, "ExpressionSet")) {
    assay_hint("An ExpressionSet", paste0("Biobase::exprs(", arg, ")"), arg)
  } else if (is_a(x, "DFrame", "DataFrame")) {
    paste0("A DataFrame is made a data frame by {.code as.data.frame(", arg, ")}.")
  }
}

#' @noRd
matrix_hint <- function(x, arg) {
  # without its package loaded a class is a name only
  if (is_a(x, "Matrix") || grepl("^[dlnz][a-z][A-Za-z]Matrix$", class(x)[1L])) {
    logical <- grepl("^[ln]", class(x)[1L])
    paste0("A matrix of package Matrix is made an ordinary one by {.code as.matrix(", arg, ")",
           if (logical) " + 0", "}.")
  } else if (is_a(x, "DelayedArray", "DelayedMatrix", "SparseArray", "SVT_SparseMatrix",
                  "HDF5Matrix")) {
    paste0("A matrix of this class is made an ordinary one by {.code as.matrix(", arg, ")}.")
  }
}

#' @noRd
assay_hint <- function(what, extract, arg) {
  paste0(what, " has samples in columns: give {.code t(as.matrix(", extract, "))}",
         if (arg == "x") paste0(", and the domain of each sample, such as {.code ", arg,
                                "$condition}, as {.arg env}"), ".")
}

#' @noRd
check_dimensions <- function(x, d, coefficients, call) {
  n <- nrow(x)
  p <- ncol(x)
  if (n == 0L || p == 0L) {
    abort_input(c("{.arg x} must have rows and columns.",
                  "x" = "It has {n} row{?s} and {p} column{?s}.",
                  "i" = "Rows are samples, columns are features."), "shape", call = call)
  }
  if (is.null(coefficients) && n <= d) {
    abort_input(c("{.arg x} must have more rows than {.arg dag} has latents ({d}).",
                  "x" = "It has {n} row{?s}.",
                  "i" = "Rows are samples: transpose {.arg x} if it has them in columns."), "rows",
                call = call)
  }
  if (n < coefficients %||% 0L) {
    abort_input(c("{.arg x} must have at least {coefficients} rows, one for each basis function.",
                  "x" = "It has {n} row{?s}.",
                  "i" = "Rows are samples: transpose {.arg x} if it has them in columns."), "rows",
                call = call)
  }
  if (d > p) {
    abort_input(c("{.arg dag} must not have more latents than {.arg x} has columns.",
                  "x" = "There are {d} latents and {p} column{?s}.",
                  "i" = "The mixing (p x d) needs linearly independent columns."), "rank",
                call = call)
  }
}

#' @noRd
check_variation <- function(x, constant, d, call) {
  if (length(constant) == ncol(x)) {
    abort_input(c("{.arg x} must vary.", "x" = "All its rows are the same: zero variance.",
                  "i" = "Check how it was read, scaled and subset."), "constant", call = call)
  }
  if (d > ncol(x) - length(constant)) {
    abort_input(c("{.arg x} must have as many columns that vary as {.arg dag} has latents ({d}).",
                  "x" = paste("{length(constant)} of its {ncol(x)} columns",
                              "{cli::qty(length(constant))}{?is/are} constant.")),
                "constant", call = call)
  }
}

#' Say which columns of x are left out because they have one value only
#' @noRd
report_constant <- function(x, constant) {
  if (length(constant) == 0L) {
    return(invisible())
  }
  which_ones <- if (is.null(colnames(x))) constant else colnames(x)[constant]
  tell(c("!" = paste("{length(constant)} of {ncol(x)} columns of {.arg x}",
                                "{cli::qty(length(constant))}{?has/have} one value only and",
                                "{?is/are} left out: {some(which_ones)}."),
                    "i" = "Their loadings are 0."), class = "ebcrl_message_constant")
}

# Mean squares of the rows of x beyond which products of four of its entries may overflow, or
# vanish.
SIZES <- c(1e-70, 1e70)

#' @noRd
check_size <- function(mean_square, call) {
  if (!(mean_square >= SIZES[1L] && mean_square <= SIZES[2L])) {
    abort_input(c("{.arg x} must have entries of ordinary size.",
                  "x" = "The mean square of its rows is {format(mean_square, digits = 3)}.",
                  "i" = "Use another unit: products of four entries leave the range of numbers."),
                "range", call = call)
  }
}

# Domains -----------------------------------------------------------------------------------------

#' @noRd
check_given <- function(..., call, help = "fit_crl") {
  absent <- names(which(c(...)))
  if (length(absent) > 0L) {
    abort_input(c("{.arg {absent}} must be given.", "i" = "See {.code ?{help}} for the forms."),
                "type", call = call)
  }
}

#' Targets with their columns in the order of the graph
#' @noRd
targets_for_dag <- function(targets, dag, call) {
  if (is.data.frame(targets)) {
    targets <- targets_from_frame(targets, colnames(dag), label_rule(), call = call)
  }
  if (is.matrix(targets)) {
    return(match_latents(intervention_targets(targets), colnames(dag), call))
  }
  intervention_targets(targets, latents = colnames(dag))
}

#' The same of data with rows: what is given row by row is put in the order of the rows of x, and
#' has the domain of each row as its attribute "env"
#' @noRd
targets_of_data <- function(targets, env, x, dag, call) {
  rows <- rownames(x)
  by_row <- is_by_row(targets, env, nrow(x), rows)
  if (by_row) {
    found <- entry_names(targets)
    targets <- without_names(in_order(targets, match_rows(found, rows, "targets", call = call)))
  } else if (is_text(targets) && !is.null(names(targets))) {
    targets <- as.list(targets)
  }
  targets <- targets_for_dag(targets, dag, call)
  attached <- attr(targets, "env")
  if (by_row && is.null(attached)) {
    named <- match_rows(rownames(targets), rows, "targets", call = call)
    targets <- domains_of_rows(in_order(unclass(targets), named), attr(targets, "labels"))
  } else if (!is.null(attached) && length(attached) == nrow(x)) {
    attr(targets, "env") <- in_order(attached, match_rows(names(attached), rows, "targets",
                                                         call = call))
  }
  targets
}

#' Are targets given row by row, rather than by domain? A vector of labels without names always is.
#' @noRd
is_by_row <- function(targets, env, n, rows) {
  if (!is.null(attr(targets, "env"))) {
    return(FALSE)
  }
  many <- NROW(targets) == n
  named <- own_names(entry_names(targets))
  if (is_text(targets) && is.null(named)) {
    return(is.null(names(targets)) || many)
  }
  of_rows <- !is.null(own_names(rows)) && setequal(named, rows)
  many && (is.null(env) || of_rows)
}

#' @noRd
without_names <- function(x) {
  if (is.data.frame(x) || length(dim(x)) == 2L) {
    rownames(x) <- NULL
    return(x)
  }
  unname(x)
}

#' Targets and the domain of each row of x, from `env`, from targets that go by row, or from both
#' @return list: `targets`, `env`
#' @noRd
domains_of_data <- function(targets, env, x, call) {
  attached <- attr(targets, "env")
  if (is.null(env)) {
    check_env(attached, x, "targets", call)
    return(list(targets = targets, env = attached))
  }
  check_env(env, x, "env", call)
  env <- in_order(env, match_rows(names(env), rownames(x), "env", call = call))
  if (is.null(attached)) {
    return(list(targets = targets, env = env))
  }
  check_env(attached, x, "targets", call)
  list(targets = targets_of_domains(targets, as.integer(attached), env, call), env = env)
}

#' Where targets go by row and domains are given, too, each domain must have one set of targets
#' @param codes Row of `targets` of each row of x.
#' @noRd
targets_of_domains <- function(targets, codes, env, call) {
  labels <- domain_labels(if (is.factor(env)) levels(droplevels(env)) else unique(env))
  domain <- match(if (is.factor(env)) as.character(env) else domain_labels(env), labels)
  key <- do.call(paste0, as.data.frame(unclass(targets)))
  first <- codes[match(seq_along(labels), domain)]
  differs <- which(key[codes] != key[first[domain]])
  if (length(differs) > 0L) {
    at <- differs[1L]
    sets <- target_labels(targets[c(first[domain[at]], codes[at]), , drop = FALSE])
    abort_input(c("The rows of a domain of {.arg env} must have the same {.arg targets}.",
                  "x" = paste("Domain {.val {labels[domain[at]]}} has {.val {sets[1]}} and,",
                              "in row {at}, {.val {sets[2]}}."),
                  "i" = paste("Leave out {.arg env}: rows with the same label are then one domain.",
                              "One label for each domain has its name:",
                              "{.code c(a = \"z1\", b = \"none\")}.")),
                "domain", call = call)
  }
  new_targets(unclass(targets)[first, , drop = FALSE], labels, colnames(targets),
              labels = attr(targets, "labels"))
}

#' The domain of each row as a position among `domains`
#' @noRd
domain_codes <- function(env, domains, call) {
  labels <- if (is.factor(env)) levels(env) else unique(env)
  positions <- if (is.factor(env)) as.integer(env) else match(env, labels)
  codes <- match(domain_labels(labels), domains)[positions]
  if (anyNA(codes)) {
    unknown <- as.character(unique(env[is.na(codes)]))
    nameless <- identical(domains, as.character(seq_along(domains)))
    mend <- if (nameless) {
      "{.arg targets} names no domains, it has positions 1 to {length(domains)}: name them."
    } else {
      "The domains of {.arg targets} are {some(domains)}."
    }
    control <- if (!nameless) unknown[is_control(unknown)]
    abort_input(c("Every domain in {.arg env} must be a row of {.arg targets}.",
                  "x" = "Without targets: {some(unknown)} ({sum(is.na(codes))} row{?s}).",
                  "i" = mend, "i" = if (length(control) > 0L) {
                    paste("A domain without intervention has an empty set, as in",
                          "{.code list({control_name(control[1])} = NULL, ...)}.")
                  }), "domain", call = call)
  }
  codes
}

#' Names of domains; numbers in full ("100000", not "1e+05")
#' @noRd
domain_labels <- function(env) {
  if (is.numeric(env)) vapply(env, whole, "") else as.character(env)
}

#' @noRd
check_env <- function(env, x, arg, call) {
  n <- nrow(x)
  if (is.null(env)) {
    abort_input(c("{.arg env} must be given: the domain of each row of {.arg x}.",
                  "i" = "It may be left out only where {.arg targets} goes by row ({n} rows)."),
                "type", call = call)
  }
  if (!is.null(dim(env)) || !(is.character(env) || is.factor(env) || is.numeric(env))) {
    abort_input(c("{.arg env} must be a vector of domain names, a factor or whole numbers.",
                  "x" = "It is {describe(env)}."), "type", call = call)
  }
  if (is.numeric(env) && any(env != round(env), na.rm = TRUE)) {
    abort_input(c("{.arg env} must hold whole numbers or names of domains.",
                  "x" = "Row {which(env != round(env))[1]} is {env[which(env != round(env))[1]]}."),
                "type", call = call)
  }
  check_env_length(env, x, arg, call)
  check_env_present(env, call)
}

#' @noRd
check_env_length <- function(env, x, arg, call) {
  if (length(env) == nrow(x)) {
    return(invisible())
  }
  mend <- if (length(env) == ncol(x)) {
    "It fits the columns: {.arg x} has samples in rows, so perhaps transpose it, {.code t(x)}."
  } else if (arg == "targets") {
    paste("Labels without names are one for each row. Give each domain's label its name, as in",
          "{.code c(a = \"z1\", b = \"none\")}.")
  }
  abort_input(c("{.arg {arg}} must give one domain for each row of {.arg x}.",
                "x" = "It gives {length(env)} for {nrow(x)} row{?s}.", "i" = mend), "shape",
              call = call)
}

#' @noRd
check_env_present <- function(env, call) {
  # NA may be a level of a factor
  absent <- which(if (anyNA(levels(env))) is.na(as.character(env)) else is.na(env))
  if (length(absent) > 0L) {
    abort_input(c("{.arg env} must not have missing entries.",
                  "x" = "Row {absent[1]} is NA ({length(absent)} in all).",
                  "i" = "Drop rows whose domain is not known."), "missing", call = call)
  }
}

#' @noRd
check_domains <- function(n_env, domains, call) {
  if (length(domains) < 2L) {
    abort_input(c("{.arg targets} must have at least two domains.",
                  "x" = "It has one, {.val {domains}}.",
                  "i" = "The latents are identified by how interventions change the distribution."),
                "domain", call = call)
  }
  if (any(n_env == 0L)) {
    empty <- domains[n_env == 0L]
    abort_input(c("Every domain of {.arg targets} must have rows.",
                  "x" = "{some(empty)} {cli::qty(length(empty))}{?is/are} not in {.arg env}.",
                  "i" = "Drop {cli::qty(length(empty))}{?its row/their rows} from {.arg targets}."),
                "domain", call = call)
  }
}

#' Each score component is fitted by node and target state (5.2): each such cell needs rows.
#' A state that no domain is in has no component and is no error here.
#' @noRd
check_cells <- function(n_env, targets, coefficients, call, hint = paste(
    "There are knots + 2 basis functions: add rows, leave out domains of few rows, or use fewer",
    "knots by {.code crl_control(knots = )}."
  )) {
  rows <- rbind(n_env %*% (1L - targets), n_env %*% targets)
  small <- which(rows > 0 & rows < coefficients, arr.ind = TRUE)
  if (nrow(small) == 0L) {
    return(invisible())
  }
  state <- c("not targeted", "targeted")[small[1L, 1L]]
  node <- colnames(targets)[small[1L, 2L]]
  others <- nrow(small) - 1L
  hit <- rownames(targets)[targets[, node] == 1L]
  where <- if (state == "targeted") " ({cli::qty(length(hit))}domain{?s} {some(hit)})"
  more <- if (others > 0L) "{others} other {cli::qty(others)}cell{?s} {?has/have} too few as well."
  abort_input(c("{.arg x} must have {coefficients} rows or more for each latent in each state.",
                "x" = paste0("{.val {node}} has {rows[small][1]} row{?s} where it is {state}",
                             where, "."),
                "x" = more,
                "i" = hint), "cell", call = call)
}

#' @noRd
domain_weights <- function(weights, n_env, domains, call) {
  if (is.null(weights)) {
    return(n_env / sum(n_env))
  }
  if (!is.numeric(weights) || !is.null(dim(weights))) {
    abort_input(c("{.arg weights} must be a numeric vector, one weight for each domain.",
                  "x" = "It is {describe(weights)}."), "type", call = call)
  }
  if (length(weights) != length(domains)) {
    abort_input(c("{.arg weights} must have one entry for each of {length(domains)} domains.",
                  "x" = "It has {length(weights)}."), "shape", call = call)
  }
  if (!is.null(names(weights))) {
    if (!setequal(names(weights), domains)) {
      abort_input(c("The names of {.arg weights} must be the domains.",
                    "x" = "They are {some(names(weights))}.",
                    "i" = "The domains are {some(domains)}."), "domain", call = call)
    }
    weights <- weights[domains]
  }
  bad <- which(!is.finite(weights) | weights <= 0)
  if (length(bad) > 0L) {
    abort_input(c("{.arg weights} must be positive and finite.",
                  "x" = "Domain {.val {domains[bad[1]]}} has {weights[[bad[1]]]}."),
                if (all(is.finite(weights))) "range" else "missing", call = call)
  }
  as.double(weights) / sum(weights)
}
