# Which latents each domain's intervention acts on: an M x d matrix of 0 and 1.

#' Intervention targets
#'
#' Turns the usual ways to say which latents were intervened on into one 0/1 matrix, the a of the
#' paper: one row for each domain, one column for each latent.
#'
#' @param targets One of
#'   * a 0/1 or logical matrix or data frame (M x d): row names are the domains, column names the
#'     latents;
#'   * a list with one target set for each domain: integer positions or names of latents, empty (or
#'     `NULL`) for an observational domain. Its names are the domains;
#'   * pcalg's form, such a list together with `target.index`;
#'   * a character vector or factor with one label for each *row of the data*: the latent targeted
#'     in that row, several joined by `+`, and `"none"` or `""` for no intervention. Rows with the
#'     same label are one domain.
#' @param latents Names of all d latents in order. Needed where latents are named and the form
#'   itself does not list them all: sets of names, and labels of rows. For a matrix with column
#'   names it selects their order.
#' @param d Number of latents, for sets of positions; default: the length of `latents`, else the
#'   largest position.
#' @param target.index For each row of the data, the position of its set in `targets`, as in pcalg.
#' @param ... Not used; an argument that nothing reads is an error.
#' @return A `crl_targets`: an integer 0/1 matrix (M x d) with domains as row names and latents as
#'   column names. Domains without a name are called `1`, `2`, ... by position, latents without a
#'   name `z1`, `z2`, ... From the two forms that go by rows it carries the attribute `"env"`, a
#'   factor with the domain of each row, which [fit_crl()] uses when its `env` is `NULL`.
#' @section Matching:
#' [fit_crl()] matches domains and latents by name. Columns called `z1`, `z2`, ... count as not
#' named and are matched to the graph by position. Domains called `1`, `2`, ... match an `env` of
#' the numbers 1, 2, ...: labels such as `"control"` need named targets, since an order of labels
#' (alphabetical, or of first appearance) would be a guess.
#' @section Errors:
#' Classed `ebcrl_error_type`, `_shape`, `_missing`, `_targets` (entries outside 0 and 1, unknown or
#' repeated latents) and `_domain` (names of domains that are missing or there twice).
#' @seealso [as_dag()], [fit_crl()]
#' @examples
#' intervention_targets(list(control = NULL, a = "raf", b = c("raf", "erk")),
#'                      latents = c("raf", "mek", "erk"))
#' intervention_targets(list(integer(0), 1, 3), target.index = c(1, 1, 2, 3, 3), d = 3)
#' intervention_targets(c("none", "none", "mek", "raf+mek"), latents = c("raf", "mek", "erk"))
#' @export
intervention_targets <- function(targets, ...) {
  UseMethod("intervention_targets")
}

#' @export
intervention_targets.default <- function(targets, ...) {
  check_given(targets = missing(targets), call = rlang::current_env(),
              help = "intervention_targets")
  abort_input(c("{.arg targets} cannot be read as intervention targets.",
                "x" = "It is {describe(targets)}.",
                "i" = paste("Give a 0/1 matrix (domains x latents), a named list of target sets,",
                            "or one label for each row of the data.")), "type")
}

#' @rdname intervention_targets
#' @export
intervention_targets.matrix <- function(targets, latents = NULL, ...) {
  check_dots_empty(...)
  targets_from_matrix(targets, latents)
}

#' @export
intervention_targets.crl_targets <- function(targets, latents = NULL, ...) {
  check_dots_empty(...)
  targets_from_matrix(targets, latents)
}

#' @export
intervention_targets.data.frame <- function(targets, latents = NULL, ...) {
  check_dots_empty(...)
  fits <- vapply(targets, function(column) is.numeric(column) || is.logical(column), NA)
  if (!all(fits)) {
    abort_input(c("All columns of {.arg targets} must be of 0 and 1, one for each latent.",
                  "x" = "{some(names(targets)[!fits])} {cli::qty(sum(!fits))}{?is/are} not.",
                  "i" = "Names of domains go in the row names."), "type")
  }
  domains <- if (.row_names_info(targets) > 0L) row.names(targets)
  targets <- as.matrix(targets)
  rownames(targets) <- domains
  targets_from_matrix(targets, latents)
}

#' @rdname intervention_targets
#' @export
intervention_targets.list <- function(targets, latents = NULL, d = NULL,
                                      target.index = NULL, ...) { # nolint: object_name_linter.
  check_dots_empty(...)
  if (length(targets) == 0L) {
    abort_input(c("{.arg targets} must have one target set for each domain.",
                  "x" = "It is a list of length 0.",
                  "i" = "An observational domain has an empty set, {.code list(control = NULL)}."),
                "shape")
  }
  call <- rlang::current_env()
  domains <- domain_names(names(targets), length(targets))
  latents <- set_latents(targets, latents, d)
  rows <- vapply(seq_along(targets), FUN.VALUE = integer(length(latents)),
                 function(e) target_row(targets[[e]], domains[e], latents, call))
  result <- new_targets(matrix(rows, length(targets), byrow = TRUE), domains, latents)
  if (!is.null(target.index)) {
    positions <- check_target_index(target.index, length(domains))
    attr(result, "env") <- factor(domains[positions], domains)
  }
  result
}

#' @rdname intervention_targets
#' @export
intervention_targets.character <- function(targets, latents = NULL, ...) {
  check_dots_empty(...)
  targets_from_labels(targets, latents)
}

#' @export
intervention_targets.factor <- function(targets, latents = NULL, ...) {
  check_dots_empty(...)
  targets_from_labels(as.character(targets), latents, levels(droplevels(targets)))
}

#' @export
print.crl_targets <- function(x, ...) {
  title <- cli::pluralize("Intervention targets: {nrow(x)} domain{?s}, {ncol(x)} latent{?s}")
  cat(title, "\n", sep = "")
  sets <- apply(x == 1L, 1L, function(row) paste(colnames(x)[row], collapse = ", "))
  cat(sprintf("  %s: %s\n", rownames(x), ifelse(nzchar(sets), sets, "none")), sep = "")
  if (!is.null(attr(x, "env"))) {
    cat(sprintf("Domains of %d rows of data are attached.\n", length(attr(x, "env"))))
  }
  invisible(x)
}

# Building ----------------------------------------------------------------------------------------

#' @noRd
new_targets <- function(rows, domains, latents, env = NULL) {
  rows <- matrix(as.integer(rows), length(domains), dimnames = list(domains, latents))
  structure(rows, class = c("crl_targets", "matrix", "array"), env = env)
}

#' @noRd
targets_from_matrix <- function(targets, latents, call = rlang::caller_env()) {
  check_target_entries(targets, call)
  domains <- domain_names(rownames(targets), nrow(targets), call)
  columns <- check_names(colnames(targets) %||% default_latents(ncol(targets)), "colnames(targets)",
                         class = "targets", call = call)
  result <- new_targets(targets, domains, columns, attr(targets, "env"))
  if (is.null(latents)) result else match_latents(result, latents, call)
}

#' @noRd
check_target_entries <- function(targets, call) {
  if (!is.numeric(targets) && !is.logical(targets)) {
    abort_input(c("{.arg targets} must be a 0/1 matrix.", "x" = "It is {describe(targets)}."),
                "type", call = call)
  }
  if (length(targets) == 0L) {
    abort_input(c("{.arg targets} must have a row for each domain and a column for each latent.",
                  "x" = "It has {nrow(targets)} row{?s} and {ncol(targets)} column{?s}."), "shape",
                call = call)
  }
  if (anyNA(targets)) {
    at <- which(is.na(targets), arr.ind = TRUE)[1L, ]
    abort_input(c("{.arg targets} must not have missing entries.",
                  "x" = "{describe_cell(targets, at[1], at[2])} is {targets[at[1], at[2]]}.",
                  "i" = "Targets must be known: 1 = intervened on, 0 = not."), "missing",
                call = call)
  }
  if (!all(targets == 0 | targets == 1)) {
    at <- which(targets != 0 & targets != 1, arr.ind = TRUE)[1L, ]
    abort_input(c("{.arg targets} must hold 0 and 1 only (1 = intervened on).",
                  "x" = "{describe_cell(targets, at[1], at[2])} is {targets[at[1], at[2]]}."),
                "targets", call = call)
  }
}

#' @noRd
domain_names <- function(names, n_domains, call = rlang::caller_env()) {
  if (is.null(names)) {
    return(as.character(seq_len(n_domains)))
  }
  nameless <- which(is.na(names) | !nzchar(names))
  if (length(nameless) > 0L) {
    abort_input(c("{.arg targets} must name all domains or none.",
                  "x" = "Domain {nameless[1]} of {n_domains} has no name.",
                  "i" = "Without any name, domains go by position 1, 2, ..."), "domain",
                call = call)
  }
  if (anyDuplicated(names)) {
    twice <- unique(names[duplicated(names)])
    abort_input(c("{.arg targets} must give each domain once.",
                  "x" = "{some(twice)} {cli::qty(length(twice))}{?is/are} there more than once.",
                  "i" = "A domain has one set of targets; all its rows share it."), "domain",
                call = call)
  }
  names
}

#' The latents of a list of target sets
#' @noRd
set_latents <- function(sets, latents, d, call = rlang::caller_env()) {
  if (!is.null(latents)) {
    return(check_names(latents, "latents", d, call = call))
  }
  if (any(vapply(sets, is.character, NA))) {
    abort_input(c("{.arg latents} must name all latents, since {.arg targets} goes by name.",
                  "i" = "Give {.code latents = colnames(dag)}."), "targets", call = call)
  }
  positions <- unlist(sets)
  if (is.null(d) && is.numeric(positions)) {
    d <- max(1, ceiling(positions[is.finite(positions)]))
  }
  if (is.null(d) || d < 1) {
    abort_input(c("{.arg d} must give the number of latents.",
                  "x" = "{.arg targets} holds no position to take it from.",
                  "i" = "Or give the names of the {.arg latents}."), "targets", call = call)
  }
  default_latents(check_number(d, "d", min = 1, integer = TRUE, call = call))
}

#' One target set as a row of 0 and 1
#' @noRd
target_row <- function(set, domain, latents, call) {
  if (!is.null(set) && !is.character(set) && !is.numeric(set)) {
    abort_input(c("Each set of {.arg targets} must hold positions or names of latents.",
                  "x" = "Domain {.val {domain}} has {describe(set)}.",
                  "i" = "A logical or 0/1 matrix (domains x latents) is read too."), "type",
                call = call)
  }
  positions <- if (is.character(set)) match(set, latents) else match(set, seq_along(latents))
  if (anyNA(positions)) {
    unknown <- unique(set[is.na(positions)])
    known <- if (is.character(set)) some(latents) else paste("1 to", length(latents))
    mend <- if (0 %in% unknown) "A set holds positions or names; a row of 0 and 1 goes in a matrix."
    abort_input(c("Each set of {.arg targets} must hold latents of the graph.",
                  "x" = "Domain {.val {domain}} holds {some(unknown)}.",
                  "i" = "The latents are {known}.", "i" = mend), "targets", call = call)
  }
  if (anyDuplicated(positions)) {
    twice <- unique(set[duplicated(positions)])
    abort_input(c("Each set of {.arg targets} must hold a latent once.",
                  "x" = "Domain {.val {domain}} holds {some(twice)} more than once.",
                  "i" = "It is a set of positions or names, not a row of 0 and 1."), "targets",
                call = call)
  }
  as.integer(seq_along(latents) %in% positions)
}

#' @noRd
check_target_index <- function(index, n_domains, call = rlang::caller_env()) {
  if (!is.numeric(index)) {
    abort_input(c("{.arg target.index} must hold positions in {.arg targets}.",
                  "x" = "It is {describe(index)}."), "type", call = call)
  }
  bad <- which(!index %in% seq_len(n_domains))
  if (length(bad) > 0L) {
    abort_input(c("{.arg target.index} must hold positions in {.arg targets}, 1 to {n_domains}.",
                  "x" = "Entry {bad[1]} is {index[bad[1]]}."),
                if (anyNA(index[bad])) "missing" else "domain", call = call)
  }
  index
}

#' @param labels One label a row of the data; `domains` fixes the order of the domains.
#' @noRd
targets_from_labels <- function(labels, latents, domains = NULL, call = rlang::caller_env()) {
  if (is.null(latents)) {
    abort_input(c("{.arg latents} must name all latents, since {.arg targets} goes by name.",
                  "i" = "Give {.code latents = colnames(dag)}."), "targets", call = call)
  }
  latents <- check_names(latents, "latents", call = call)
  if (anyNA(labels)) {
    abort_input(c("{.arg targets} must give a label for every row.",
                  "x" = "Row {which(is.na(labels))[1]} is NA ({sum(is.na(labels))} in all).",
                  "i" = "Write {.val none} for rows without intervention."), "missing", call = call)
  }
  plain <- function(label) ifelse(nzchar(label), label, "none")
  labels <- plain(labels)
  domains <- unique(plain(domains %||% labels))
  rows <- vapply(domains, label_row, integer(length(latents)), latents = latents, call = call)
  new_targets(matrix(rows, length(domains), byrow = TRUE), domains, latents,
              env = factor(labels, levels = domains))
}

#' @noRd
label_row <- function(label, latents, call) {
  whole <- label %in% c(latents, "none")
  set_row(if (whole) label else trimws(strsplit(label, "+", fixed = TRUE)[[1L]]), latents, call)
}

#' Names of latents, or "none", as a row of 0 and 1
#' @noRd
set_row <- function(set, latents, call) {
  unknown <- setdiff(set, c(latents, "none"))
  if (length(unknown) > 0L) {
    abort_input(c("Each label of {.arg targets} must be {.val none} or latents joined by {.val +}.",
                  "x" = "{some(unknown)} {cli::qty(length(unknown))}{?is/are} neither.",
                  "i" = "The latents are {some(latents)}."), "targets", call = call)
  }
  if (anyDuplicated(set) || ("none" %in% set && length(set) > 1L && !"none" %in% latents)) {
    abort_input(c("A label of {.arg targets} must hold a latent once, and {.val none} alone.",
                  "x" = "Found {some(set)}."), "targets", call = call)
  }
  as.integer(latents %in% set)
}

# Matching with the graph -------------------------------------------------------------------------

#' Targets with their columns in the graph's order and under one set of names
#'
#' By name where both are named, by position where one goes by the default names z1, z2, ...: then
#' the other's names are kept.
#' @noRd
match_latents <- function(targets, latents, call = rlang::caller_env()) {
  columns <- colnames(targets)
  if (length(columns) != length(latents)) {
    mend <- if (nrow(targets) == length(latents)) {
      "Rows are domains and columns latents; perhaps give {.code t(targets)}."
    } else {
      "A latent that no domain targets has a column of 0."
    }
    abort_input(c("{.arg targets} must have one column for each latent.",
                  "x" = "It has {length(columns)} column{?s} for {length(latents)} latent{?s}.",
                  "i" = mend), "shape", call = call)
  }
  if (setequal(columns, latents)) {
    return(new_targets(targets[, latents, drop = FALSE], rownames(targets), latents,
                       attr(targets, "env")))
  }
  is_default <- function(names) identical(names, default_latents(length(names)))
  if (!any(columns %in% latents) && (is_default(columns) || is_default(latents))) {
    colnames(targets) <- if (is_default(columns)) latents else columns
    return(targets)
  }
  abort_input(c("The columns of {.arg targets} must be the latents of the graph.",
                "x" = "Not in the graph: {some(setdiff(columns, latents))}.",
                "i" = "The graph has {some(latents)}."), "targets", call = call)
}
