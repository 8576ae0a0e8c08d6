# Names are matched, never ignored: where two sides that belong together both have names, the one is
# put in the order of the other by name, and names that disagree are an error. By position goes only
# what has names on one side at most.

#' Names that count: NULL for none, for empty ones, and for those that R makes up ("1", "2", ...)
#' @noRd
own_names <- function(names) {
  made_up <- is.null(names) || (length(names) > 0L && identical(names[1L], "1") &&
                                  identical(names, as.character(seq_along(names))))
  if (made_up || !any(nzchar(names), na.rm = TRUE)) NULL else unname(names)
}

#' Where the entries named `wanted` are among those named `found`
#'
#' @param found,wanted Character vectors of the same length, or NULL.
#' @param what,of What has the names on each side, as cli text: "row names of {.arg targets}".
#' @param class Of the error that names which disagree give.
#' @param mend How to go by position.
#' @return Positions, or NULL where the order is that of `wanted` or a side has no names
#' @noRd
match_names <- function(found, wanted, what, of, class = "names", call = rlang::caller_env(),
                        mend = "To go by position, remove the names of one of the two.") {
  found <- own_names(found)
  wanted <- own_names(wanted)
  if (is.null(found) || is.null(wanted) || identical(found, wanted)) {
    return(NULL)
  }
  positions <- match(wanted, found)
  if (anyNA(positions) || anyDuplicated(found) || length(found) != length(wanted)) {
    abort_names(found, wanted, what, of, class, call, mend)
  }
  positions
}

#' @noRd
abort_names <- function(found, wanted, what, of, class, call, mend) {
  absent <- setdiff(wanted, found)
  strange <- setdiff(found, wanted)
  twice <- unique(c(found[duplicated(found)], wanted[duplicated(wanted)]))
  abort_input(c(paste0("The ", what, " must be the ", of, "."),
                "x" = if (length(absent) > 0L) "Missing: {some(absent)}.",
                "x" = if (length(strange) > 0L) "Not among them: {some(strange)}.",
                "x" = if (length(twice) > 0L) "More than once: {some(twice)}.",
                "i" = mend), class, call = call)
}

#' The same for what is given row by row
#' @param names Names of its entries or rows.
#' @param rows Row names of `x`.
#' @noRd
match_rows <- function(names, rows, arg, x = "x", call = rlang::caller_env()) {
  match_names(names, rows, paste0("names of {.arg ", arg, "}"),
              paste0("row names of {.arg ", x, "}"), call = call,
              mend = paste0("Both have names, so that rows are matched by name: give {.arg ", arg,
                            "} for these rows, or {.code unname()} it if it is in their order."))
}

#' Entries or rows in the order of `positions`; NULL leaves them as they are
#' @noRd
in_order <- function(x, positions) {
  if (is.null(positions)) {
    return(x)
  }
  if (length(dim(x)) == 2L) x[positions, , drop = FALSE] else x[positions]
}

#' Names of the entries of a vector, or of the rows of a matrix or data frame
#' @noRd
entry_names <- function(x) {
  if (is.data.frame(x)) {
    return(if (.row_names_info(x) > 0L) row.names(x))
  }
  if (length(dim(x)) == 2L) rownames(x) else names(x)
}

#' A name as a part of a message of cli, which reads braces
#' @noRd
in_cli <- function(name) {
  gsub("([{}])", "\\1\\1", name)
}
