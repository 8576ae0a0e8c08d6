# Which latents each domain's intervention acts on: an M x d matrix of 0 and 1.

#' Intervention targets
#'
#' Turns the usual ways to say which latents were intervened on into one 0/1 matrix, the a of the
#' paper: one row for each domain, one column for each latent.
#'
#' @param targets One of
#'   * a 0/1 or logical matrix (M x d): row names are the domains, column names the latents;
#'   * a data frame or tibble of the same, whose domains are its row names or a column, see
#'     `domain`; or of two columns, the domain and what it targets: a label, as below, or (a list
#'     column) a set;
#'   * a list with one target set for each domain: integer positions or names of latents, empty (or
#'     `NULL`, or a label of `none`) for an observational domain. Its names are the domains;
#'   * a *named* character vector or factor, one label for each domain: its names are the domains;
#'   * a character vector or factor *without names*, one label for each **row of the data**. Rows
#'     with the same label are one domain, called by it;
#'   * pcalg's form, a list of sets together with `target.index`.
#'
#'   A label is the latent that is targeted, several joined by `sep`, or one of `none`.
#' @param latents Names of all d latents in order. Needed where latents are named and the form
#'   itself does not list them all: sets of names, and labels. For a matrix with column names it
#'   selects their order.
#' @param none Labels for "no intervention" (`""` is always one): `c("none", "ctrl", "NT")`, say.
#'   They may stand wherever a latent may, also joined with one: `"A+ctrl"` targets A alone. None of
#'   them may be a latent.
#' @param sep What joins the latents of a label (one string, spaces around it do not count), or
#'   `NULL` where every label is one latent. A label that is a latent's whole name is that latent.
#' @param d Number of latents, for sets of positions; default: the length of `latents`, else the
#'   largest position.
#' @param target.index For each row of the data, the position of its set in `targets`, as in pcalg.
#' @param domain Name of the column of a data frame that holds the domains. Default: the column
#'   `domain` or `env` if there is one that is no latent, else the only column of text beside
#'   columns of 0 and 1, else none.
#' @param ... Not used; an argument that nothing reads is an error.
#' @return A `crl_targets`: an integer 0/1 matrix (M x d) with domains as row names and latents as
#'   column names. Domains without a name are called `1`, `2`, ... by position, latents without a
#'   name `z1`, `z2`, ... From the two forms that go by rows it carries the attribute `"env"`, a
#'   factor with the domain of each row, which [fit_crl()] uses when its `env` is `NULL`; and, where
#'   they are not the defaults, `none` and `sep` as the attribute `"labels"`, by which
#'   [predict()][predict.crl_fit] reads labels as the fit did.
#' @section Matching:
#' [fit_crl()] matches domains and latents by name. Columns called `z1`, `z2`, ... count as not
#' named and are matched to the graph by position. Domains called `1`, `2`, ... match an `env` of
#' the numbers 1, 2, ...: labels such as `"control"` need named targets, since an order of labels
#' (alphabetical, or of first appearance) would be a guess.
#' @section Rows:
#' [fit_crl()], [predict()][predict.crl_fit] and all else that reads targets give a vector of labels
#' the same meaning: one label a row. [fit_crl()] reads n sets, or n rows of 0 and 1, that way, too,
#' if its `env` is `NULL`. If the labels (sets, rows) and the rows of the data both have names, they
#' are matched by name, and names that disagree are an error. Names "1", "2", ... in this order,
#' which R makes up, count as none.
#' @section Errors:
#' Classed `ebcrl_error_type`, `_shape`, `_missing`, `_targets` (entries outside 0 and 1, unknown or
#' repeated latents), `_domain` (names of domains that are missing or there twice) and `_names` (of
#' rows, that disagree).
#' @seealso [as_dag()], [fit_crl()]
#' @examples
#' intervention_targets(list(control = NULL, a = "raf", b = c("raf", "erk")),
#'                      latents = c("raf", "mek", "erk"))
#' intervention_targets(list(integer(0), 1, 3), target.index = c(1, 1, 2, 3, 3), d = 3)
#' intervention_targets(c(day1 = "none", day2 = "mek"), latents = c("raf", "mek", "erk"))
#' # one label for each row of the data
#' intervention_targets(c("none", "none", "mek", "raf+mek"), latents = c("raf", "mek", "erk"))
#' intervention_targets(c("ctrl", "mek_ctrl", "raf_mek"), latents = c("raf", "mek", "erk"),
#'                      none = "ctrl", sep = "_")
#' intervention_targets(data.frame(domain = c("obs", "a"), raf = c(0, 1), mek = c(0, 0)))
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

#' @rdname intervention_targets
#' @export
intervention_targets.data.frame <- function(targets, latents = NULL, none = "none", sep = "+",
                                            domain = NULL, ...) {
  check_dots_empty(...)
  targets_from_frame(targets, latents, label_rule(none, sep), domain)
}

#' @rdname intervention_targets
#' @export
intervention_targets.list <- function(targets, latents = NULL, d = NULL,
                                      target.index = NULL, # nolint: object_name_linter.
                                      none = "none", sep = "+", ...) {
  check_dots_empty(...)
  result <- targets_from_sets(targets, latents, label_rule(none, sep), d)
  if (!is.null(target.index)) {
    domains <- rownames(result)
    positions <- check_target_index(target.index, length(domains))
    attr(result, "env") <- row_domains(domains[positions], domains, names(target.index))
  }
  result
}

#' @rdname intervention_targets
#' @export
intervention_targets.character <- function(targets, latents = NULL, none = "none", sep = "+", ...) {
  check_dots_empty(...)
  rule <- label_rule(none, sep)
  if (names_domains(targets)) {
    return(targets_from_sets(as.list(targets), latents, rule))
  }
  targets_from_labels(targets, latents, rule)
}

#' @export
intervention_targets.factor <- function(targets, latents = NULL, none = "none", sep = "+", ...) {
  check_dots_empty(...)
  rule <- label_rule(none, sep)
  labels <- stats::setNames(as.character(targets), names(targets))
  if (names_domains(labels)) {
    return(targets_from_sets(as.list(labels), latents, rule))
  }
  targets_from_labels(labels, latents, rule, levels(droplevels(targets)))
}

#' Are the names of labels those of domains? Names that repeat are not.
#' @noRd
names_domains <- function(labels) {
  !is.null(own_names(names(labels))) && !anyDuplicated(names(labels))
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
new_targets <- function(rows, domains, latents, env = NULL, labels = NULL) {
  rows <- matrix(as.integer(rows), length(domains), dimnames = list(domains, latents))
  structure(rows, class = c("crl_targets", "matrix", "array"), env = env, labels = labels)
}

#' The domain of each row, with the names of the rows
#' @noRd
row_domains <- function(labels, domains, names) {
  env <- factor(labels, levels = domains)
  if (!is.null(names)) names(env) <- names
  env
}

#' @noRd
targets_from_matrix <- function(targets, latents, call = rlang::caller_env()) {
  check_target_entries(targets, call)
  domains <- domain_names(rownames(targets), nrow(targets), call)
  columns <- check_names(colnames(targets) %||% default_latents(ncol(targets)), "colnames(targets)",
                         class = "targets", call = call)
  result <- new_targets(targets, domains, columns, attr(targets, "env"), attr(targets, "labels"))
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
  refuse_entries(targets, is.na(targets),
                 c("{.arg targets} must not have missing entries.",
                   "i" = "Targets must be known: 1 = intervened on, 0 = not."), "missing", call)
  refuse_entries(targets, targets != 0 & targets != 1,
                 "{.arg targets} must hold 0 and 1 only (1 = intervened on).", "targets", call)
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
  if (any(vapply(sets, is_text, NA))) {
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
target_row <- function(set, domain, latents, rule, call, what = "Domain") {
  if (is.factor(set)) {
    set <- as.character(set)
  }
  if (!is.null(set) && !is.character(set) && !is.numeric(set)) {
    abort_input(c("Each set of {.arg targets} must hold positions or names of latents.",
                  "x" = "{what} {.val {domain}} has {describe(set)}.",
                  "i" = "A logical or 0/1 matrix (domains x latents) is read too."), "type",
                call = call)
  }
  if (is.character(set)) {
    set <- named_latents(set, latents, rule)
  }
  positions <- if (is.character(set)) match(set, latents) else match(set, seq_along(latents))
  if (anyNA(positions)) {
    unknown <- unique(set[is.na(positions)])
    known <- if (is.character(set)) some(latents) else paste("1 to", length(latents))
    mend <- if (is.character(set)) label_hints(unknown, latents, rule) else if (0 %in% unknown) {
      c("i" = "A set holds positions or names; a row of 0 and 1 goes in a matrix.")
    }
    abort_input(c("Each set of {.arg targets} must hold latents of the graph.",
                  "x" = "{what} {.val {domain}} holds {some(unknown)}.",
                  "i" = "The latents are {known}.", mend), "targets", call = call)
  }
  if (anyDuplicated(positions)) {
    twice <- unique(set[duplicated(positions)])
    abort_input(c("Each set of {.arg targets} must hold a latent once.",
                  "x" = "{what} {.val {domain}} holds {some(twice)} more than once.",
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

#' Targets by domain from one set a domain
#' @noRd
targets_from_sets <- function(sets, latents, rule, d = NULL, call = rlang::caller_env()) {
  if (length(sets) == 0L) {
    abort_input(c("{.arg targets} must have one target set for each domain.",
                  "x" = "It is a list of length 0.",
                  "i" = "An observational domain has an empty set, {.code list(control = NULL)}."),
                "shape", call = call)
  }
  domains <- domain_names(names(sets), length(sets), call)
  latents <- set_latents(sets, latents, d, call)
  check_none(rule, latents, call)
  rows <- vapply(seq_along(sets), FUN.VALUE = integer(length(latents)),
                 function(e) target_row(sets[[e]], domains[e], latents, rule, call))
  new_targets(matrix(rows, length(sets), byrow = TRUE), domains, latents, labels = own_rule(rule))
}

#' @param labels One label a row of the data; `domains` fixes the order of the domains.
#' @noRd
targets_from_labels <- function(labels, latents, rule, domains = NULL,
                                call = rlang::caller_env()) {
  if (is.null(latents)) {
    abort_input(c("{.arg latents} must name all latents, since {.arg targets} goes by name.",
                  "i" = "Give {.code latents = colnames(dag)}."), "targets", call = call)
  }
  latents <- check_names(latents, "latents", call = call)
  check_none(rule, latents, call)
  check_labels_present(labels, call)
  plain <- function(label) ifelse(nzchar(label), label, c(rule$none, "none")[1L])
  rows <- names(labels)
  labels <- plain(labels)
  domains <- unique(plain(domains %||% labels))
  table <- vapply(domains, label_row, integer(length(latents)), latents = latents, rule = rule,
                  call = call)
  new_targets(matrix(table, length(domains), byrow = TRUE), domains, latents,
              row_domains(labels, domains, rows), own_rule(rule))
}

#' @noRd
check_labels_present <- function(labels, call) {
  if (anyNA(labels)) {
    abort_input(c("{.arg targets} must give a label for every row.",
                  "x" = "Row {which(is.na(labels))[1]} is NA ({sum(is.na(labels))} in all).",
                  "i" = "Write {.val none} for rows without intervention."), "missing", call = call)
  }
}

#' Targets given row by row (n x d): rows with the same targets are one domain, named by their label
#' @noRd
domains_of_rows <- function(targets, labels) {
  rule <- labels %||% label_rule()
  key <- do.call(paste0, as.data.frame(targets))
  table <- targets[!duplicated(key), , drop = FALSE]
  label <- unname(apply(table == 1L, 1L, function(row) {
    if (any(row)) paste(colnames(table)[row], collapse = rule$sep %||% "+") else
      c(rule$none, "none")[1L]
  }))
  new_targets(table, label, colnames(table), factor(label[match(key, unique(key))], label), labels)
}

# Labels ------------------------------------------------------------------------------------------

#' How labels are read: `none` (labels for no intervention), `sep` (what joins latents, or NULL)
#' @noRd
label_rule <- function(none = "none", sep = "+", call = rlang::caller_env()) {
  none <- if (!is.null(none)) check_names(none, "none", call = call)
  if (!is.null(sep) && !(rlang::is_string(sep) && nzchar(sep))) {
    abort_input(c("{.arg sep} must be one string, or NULL.", "x" = "It is {describe(sep)}."),
                "type", call = call)
  }
  list(none = none, sep = sep)
}

#' NULL for the rule that is the default
#' @noRd
own_rule <- function(rule) {
  if (!identical(rule, label_rule())) rule
}

#' @noRd
check_none <- function(rule, latents, call) {
  both <- intersect(rule$none, latents)
  if (length(both) > 0L) {
    abort_input(c("{.arg none} must not hold latents.",
                  "x" = "{some(both)} would mean a latent and no intervention.",
                  "i" = "Give {.code intervention_targets(targets, latents, none = )} others."),
                "targets", call = call)
  }
}

#' The latents that labels name, taken apart at `sep`, without those for no intervention
#' @noRd
named_latents <- function(labels, latents, rule) {
  labels <- labels[is.na(labels) | nzchar(labels)]
  parts <- unlist(lapply(labels, function(label) {
    whole <- is.null(rule$sep) || label %in% c(latents, rule$none)
    # an end mark keeps strsplit() from dropping an empty last part
    if (whole) label else utils::head(
      trimws(strsplit(paste0(label, rule$sep, "\001"), rule$sep, fixed = TRUE)[[1L]]), -1L
    )
  }))
  as.character(parts[!parts %in% rule$none])
}

#' One label as a row of 0 and 1
#' @noRd
label_row <- function(label, latents, rule, call) {
  set <- named_latents(label, latents, rule)
  unknown <- setdiff(set, latents)
  if (length(unknown) > 0L) {
    joined <- if (!is.null(rule$sep)) " joined by {.val {rule$sep}}"
    none <- if (is.null(rule$none)) "{.val {\"\"}}" else "{.or {.val {rule$none}}}"
    abort_input(c(paste0("Each label of {.arg targets} must be ", none, ", or latents", joined,
                         "."),
                  "x" = "{some(unknown)} {cli::qty(length(unknown))}{?is/are} neither.",
                  "i" = "The latents are {some(latents)}.",
                  label_hints(unknown, latents, rule)), "targets", call = call)
  }
  if (anyDuplicated(set)) {
    abort_input(c("A label of {.arg targets} must hold a latent once.",
                  "x" = "{.val {label}} holds {some(unique(set[duplicated(set)]))} twice."),
                "targets", call = call)
  }
  as.integer(latents %in% set)
}

# Labels that controls have in practice, without signs and in small letters.
CONTROLS <- c("control", "controls", "ctrl", "ctl", "nt", "ntc", "nontargeting",
              "nontargetingcontrol", "nontarget", "neg", "negctrl", "negcontrol", "negativecontrol",
              "safetargeting", "scramble", "scrambled", "wt", "wildtype", "untreated",
              "unperturbed", "unstimulated", "vehicle", "dmso", "mock", "baseline", "obs",
              "observational", "no", "nothing", "0")

#' @noRd
is_control <- function(labels) {
  tolower(gsub("[^[:alnum:]]", "", labels)) %in% CONTROLS
}

#' A domain as the name of an argument, in code
#' @noRd
control_name <- function(label) {
  if (make.names(label) == label) label else encodeString(label, quote = "`")
}

#' What labels that are no latents may have been meant to be
#' @param rule See label_rule(); with `domains`, named labels of the targets of a fit's domains, too.
#' @noRd
label_hints <- function(unknown, latents, rule) {
  domain <- intersect(unknown, names(rule$domains))
  if (length(domain) > 0L) {
    return(c("i" = paste0("{.val ", in_cli(domain[1L]), "} is a domain of the fit, whose targets are ",
                          "{.val ", in_cli(rule$domains[[domain[1L]]]), "}. {.fn predict} takes it ",
                          "as {.arg env}.")))
  }
  control <- unknown[is_control(unknown)]
  if (length(control) > 0L) {
    shown <- in_cli(encodeString(control[1L], quote = '"'))
    return(c("i" = paste0("If ", shown, " means no intervention: {.code targets = ",
                          "intervention_targets(targets, latents, none = ", shown, ")}, where ",
                          "{.code latents} is {.code colnames(as_dag(dag))}.")))
  }
  c(did_you_mean(unknown, latents, "val"),
    "i" = paste("Other labels for no intervention are named by",
                "{.code intervention_targets(targets, latents, none = )}."))
}

# Data frames -------------------------------------------------------------------------------------

#' @noRd
targets_from_frame <- function(frame, latents, rule, domain = NULL, call = rlang::caller_env()) {
  column <- domain_column(frame, domain, latents, call)
  domains <- frame_domains(frame, column, call)
  frame <- frame[setdiff(names(frame), column)]
  if (length(frame) == 1L && (is.list(frame[[1L]]) || is_text(frame[[1L]]))) {
    sets <- if (is.list(frame[[1L]])) frame[[1L]] else as.character(frame[[1L]])
    if (is.null(domains) && is.character(sets)) {
      return(targets_from_labels(sets, latents, rule, call = call))
    }
    return(targets_from_sets(stats::setNames(as.list(sets), domains), latents, rule, call = call))
  }
  fits <- vapply(frame, function(column) is.numeric(column) || is.logical(column), NA)
  if (!all(fits)) {
    abort_input(c("The columns of {.arg targets} must be of 0 and 1, one for each latent.",
                  "x" = "{some(names(frame)[!fits])} {cli::qty(sum(!fits))}{?is/are} not.",
                  "i" = paste("Names of domains go in the row names, or in a column that",
                              "{.code intervention_targets(targets, domain = )} names.")), "type",
                call = call)
  }
  targets <- as.matrix(frame)
  rownames(targets) <- domains
  targets_from_matrix(targets, latents, call)
}

#' @noRd
is_text <- function(x) {
  is.character(x) || is.factor(x)
}

#' The name of the column that holds the domains, or NULL
#' @noRd
domain_column <- function(frame, domain, latents, call) {
  if (!is.null(domain)) {
    if (!rlang::is_string(domain) || !domain %in% names(frame)) {
      abort_input(c("{.arg domain} must name a column of {.arg targets}.",
                    "x" = "It is {describe(domain)}.",
                    "i" = "The columns are {some(names(frame))}."), "domain", call = call)
    }
    return(domain)
  }
  called <- setdiff(intersect(c("domain", "env"), names(frame)), latents)
  if (length(called) > 0L) {
    return(called[1L])
  }
  text <- names(frame)[vapply(frame, is_text, NA)]
  if (length(text) == 1L && length(frame) > 1L) text
}

#' The domains of the rows of a data frame; NULL where they have no names
#' @noRd
frame_domains <- function(frame, column, call) {
  named <- own_names(entry_names(frame))
  if (is.null(column)) {
    return(named)
  }
  domains <- domain_labels(frame[[column]])
  if (!is.null(named) && !identical(named, domains)) {
    abort_input(c("The domains of {.arg targets} must be said once.",
                  "x" = paste("Its row names are {some(named)}, its column {.val {column}} has",
                              "{some(domains)}."),
                  "i" = "Take the row names away, or the column."), "domain", call = call)
  }
  domains
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
                       attr(targets, "env"), attr(targets, "labels")))
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
