# The one way in: whatever the user gave becomes one checked, canonical `crl_data`.

#' Check everything once
#'
#' x is scanned in C and never copied when it is a double matrix, so that a matrix that fills half
#' the memory can be fitted.
#'
#' @param x Numeric matrix (n x p), rows are samples.
#' @param env Domain of each row (length n); NULL takes the domains that `targets` carries by row.
#' @param targets,dag Anything [intervention_targets()] and [as_dag()] read.
#' @param weights NULL or one positive weight for each domain (w_e of Appendix C), by name or in the
#'   order of the targets' rows.
#' @param knots Knots of each coordinate: a node needs as many rows in a state as there are basis
#'   functions, knots + 2.
#' @param prior That of g-modeling, which does not read `knots`: 2 rows in a state tell a mean and a
#'   variance, and a normal prior has no states. NULL: f-modeling.
#' @return List of class `crl_data`: `x` (n x p double), `env` (integer codes 1..M), `env_names`,
#'   `targets` (M x d integer), `dag` (`crl_dag`), `weights` (M, sum 1), `n_env` (M), `n`, `p`, `d`,
#'   `n_domains`, `latent_names`, `feature_names` (or NULL), `mean_square` (mean of |x_i|^2).
#' @noRd
crl_data <- function(x, env = NULL, targets, dag, weights = NULL, knots = 8L,
                     prior = NULL, call = rlang::caller_env()) {
  check_given(x = missing(x), targets = missing(targets), dag = missing(dag), call = call)
  x <- as_double_matrix(x, call)
  dag <- as_dag(dag)
  targets <- targets_for_dag(targets, dag, call)
  latents <- colnames(targets)
  dimnames(dag) <- list(latents, latents)
  check_dimensions(x, length(latents), if (is.null(prior)) knots + 2L, call)
  scan <- check_finite_matrix(x, "x", call)
  check_variation(x, scan$constant, call)
  check_size(scan$mean_square, call)

  domains <- rownames(targets)
  env_arg <- if (is.null(env)) "targets" else "env"
  check_env(env %||% attr(targets, "env"), nrow(x), env_arg, call)
  env <- domain_codes(env %||% attr(targets, "env"), domains, call)
  n_env <- tabulate(env, length(domains))
  check_domains(n_env, domains, call)
  targets <- matrix(as.integer(targets), length(domains), dimnames = list(domains, latents))
  if (is.null(prior)) {
    check_cells(n_env, targets, knots + 2L, call)
  } else if (prior != "normal") {
    check_cells(n_env, targets, 2L, call, paste("A mean and a variance are estimated in each: add",
                                                "rows, or pool domains."))
  }

  structure(list(
    x = x, env = env, env_names = domains, targets = targets, dag = dag,
    weights = domain_weights(weights, n_env, domains, call), n_env = n_env,
    n = nrow(x), p = ncol(x), d = length(latents), n_domains = length(domains),
    latent_names = latents, feature_names = colnames(x), mean_square = scan$mean_square
  ), class = "crl_data")
}

#' Some rows of checked data, with their part of x (a copy), enough of them for the score's splines
#' @noRd
take_rows <- function(data, rows, x, knots, call = rlang::caller_env()) {
  data <- some_rows(data, rows, x)
  data$mean_square <- .Call(C_scan_matrix, x)$mean_square
  check_cells(data$n_env, data$targets, knots + 2L, call)
  data
}

#' The same without what the score needs
#' @noRd
some_rows <- function(data, rows, x) {
  data$x <- x
  data$env <- data$env[rows]
  data$n <- length(rows)
  data$n_env <- tabulate(data$env, data$n_domains)
  data
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
                  "x" = "Domain {.val {domains[first]}} is {describe(x[[first]])}."), "type",
                call = call)
  }
  check_same_columns(x, domains, arg, call)
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

#' @noRd
check_same_columns <- function(x, domains, arg, call) {
  columns <- vapply(x, ncol, 0L)
  if (any(columns != columns[1L])) {
    other <- which(columns != columns[1L])[1L]
    abort_input(c("Every matrix of {.arg {arg}} must have the same columns.",
                  "x" = paste("Domain {.val {domains[1]}} has {columns[[1]]},",
                              "{.val {domains[other]}} has {columns[[other]]}."),
                  "i" = "All domains share one mixing: give them the same features."), "shape",
                call = call)
  }
  named <- lapply(x, colnames)
  differs <- vapply(named, function(names) !identical(names, named[[1L]]), NA)
  if (any(differs)) {
    other <- which(differs)[1L]
    abort_input(c("Every matrix of {.arg {arg}} must have the same columns in the same order.",
                  "x" = paste("The column names of domain {.val {domains[other]}} differ from",
                              "those of {.val {domains[1]}}."),
                  "i" = "Bring the columns into one order by name."), "shape", call = call)
  }
}

#' @noRd
as_double_matrix <- function(x, call) {
  if (!is.matrix(x) || !is.numeric(x)) {
    abort_input(c("{.arg x} must be a numeric matrix (rows are samples).",
                  "x" = "It is {describe(x)}.",
                  "i" = "A data frame of numbers or a list of matrices, one a domain, will do.",
                  "i" = dense_hint(x, "x")), "type", call = call)
  }
  if (!is.double(x)) {
    storage.mode(x) <- "double"
  }
  x
}

#' What to do with a sparse matrix
#' @noRd
dense_hint <- function(x, arg) {
  if (isS4(x)) paste0("A sparse matrix is made dense by {.code as.matrix(", arg, ")}.")
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
check_variation <- function(x, constant, call) {
  if (length(constant) == 0L) {
    return(invisible())
  }
  if (length(constant) == ncol(x)) {
    abort_input(c("{.arg x} must vary.", "x" = "All its rows are the same: zero variance.",
                  "i" = "Check how it was read, scaled and subset."), "constant", call = call)
  }
  which_ones <- if (is.null(colnames(x))) constant else colnames(x)[constant]
  abort_input(c("The columns of {.arg x} must vary.",
                "x" = "Constant: column{cli::qty(length(constant))}{?s} {some(which_ones)}.",
                "i" = "Drop {cli::qty(length(constant))}{?it/them} from {.arg x}."), "constant",
              call = call)
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
  if (is.matrix(targets) || is.data.frame(targets)) {
    return(match_latents(intervention_targets(targets), colnames(dag), call))
  }
  intervention_targets(targets, latents = colnames(dag))
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
    abort_input(c("Every domain in {.arg env} must be a row of {.arg targets}.",
                  "x" = "Without targets: {some(unknown)} ({sum(is.na(codes))} row{?s}).",
                  "i" = mend), "domain", call = call)
  }
  codes
}

#' Names of domains; numbers in full ("100000", not "1e+05")
#' @noRd
domain_labels <- function(env) {
  if (is.numeric(env)) vapply(env, whole, "") else as.character(env)
}

#' @noRd
check_env <- function(env, n, arg, call) {
  if (is.null(env)) {
    abort_input(c("{.arg env} must be given: the domain of each row of {.arg x}.",
                  "i" = "It may be left out only where {.arg targets} goes by row."),
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
  if (length(env) != n) {
    abort_input(c("{.arg {arg}} must give one domain for each row of {.arg x}.",
                  "x" = "It gives {length(env)} for {n} row{?s}."), "shape", call = call)
  }
  check_env_present(env, call)
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
    "There are knots + 2 basis functions: add rows, or use fewer knots by",
    "{.code crl_control(knots = )}."
  )) {
  rows <- rbind(n_env %*% (1L - targets), n_env %*% targets)
  small <- which(rows > 0 & rows < coefficients, arr.ind = TRUE)
  if (nrow(small) == 0L) {
    return(invisible())
  }
  state <- c("not targeted", "targeted")[small[1L, 1L]]
  node <- colnames(targets)[small[1L, 2L]]
  others <- nrow(small) - 1L
  more <- if (others > 0L) "{others} other {cli::qty(others)}cell{?s} {?has/have} too few as well."
  abort_input(c("{.arg x} must have {coefficients} rows or more for each latent in each state.",
                "x" = "{.val {node}} has {rows[small][1]} row{?s} where it is {state}.",
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
