# Shared input checks. Every error a user meets leaves through abort_input(), so that it carries
# the classes c("ebcrl_error_<suffix>", "ebcrl_error") and names the call the user wrote.
#
#   abort_input(message, class)          throw; message: c("what is wrong", "x" = found, "i" = mend)
#   check_number(x, arg, min, max)       one finite number, optionally whole  -> the number
#   check_flag(x, arg)                   TRUE or FALSE                        -> x
#   check_choice(x, choices, arg)        one of `choices`                     -> the choice
#   check_names(x, arg, n)               n distinct, non-empty names          -> character
#   check_numeric_matrix(x, arg, ...)    small matrix of finite numbers       -> double matrix
#   check_finite_matrix(x, arg)          the scan of a large double matrix    -> list
#   check_class(x, class, arg, maker)    an object of a class of this package -> x
#   check_method(fit, method, what)      a fit by "f" or by "g"           -> fit
#   check_dots_empty(..., .call =)       no argument left over in `...`
#   did_you_mean(words, choices)         a bullet for an error: what was meant, or NULL
#   check_package(package, purpose)      a suggested package is installed
#   describe(x)                          what x is, in words: "a character vector of length 3"
#   some(x)                              its first few entries in one string, the rest counted
#
# Each takes `call`, the environment whose call the error names. Number, flag and choice take
# `class` to override the error's class (crl_control() passes "control").

#' Stop with a classed error
#'
#' @param message Named character vector of cli bullets: first what is wrong, naming the argument by
#'   `{.arg x}`, then `"x"` = what was found, `"i"` = what is expected or how to mend it.
#' @param class Suffix of the error class: the condition inherits from `ebcrl_error_<class>` and
#'   `ebcrl_error`.
#' @param ... Fields stored in the condition.
#' @param call Environment whose call is shown in the message.
#' @param .envir Environment in which the braces of `message` are evaluated.
#' @noRd
abort_input <- function(message, class, ..., call = rlang::caller_env(), .envir = parent.frame()) {
  cli::cli_abort(message, class = c(paste0("ebcrl_error_", class), "ebcrl_error"), ...,
                 call = generic_call(call), .envir = .envir)
}

#' The call to show for a frame: a method goes by the name of its generic, however it was reached.
#' No function of this package but a method has a dot in its name.
#' @noRd
generic_call <- function(frame) {
  call <- rlang::error_call(frame)
  if (is.call(call) && is.symbol(call[[1L]])) {
    call[[1L]] <- as.name(sub("(?<=.)[.].*", "", as.character(call[[1L]]), perl = TRUE))
  }
  call
}

#' One finite number between `min` and `max`; the ends count unless `open` says "min", "max" or both
#' @noRd
check_number <- function(x, arg, min = -Inf, max = Inf, integer = FALSE, open = character(),
                         class = NULL, call = rlang::caller_env()) {
  fault <- number_fault(x, min, max, integer, open)
  if (!is.null(fault)) {
    kind <- if (integer) "a whole number" else "a number"
    abort_input(c("{.arg {arg}} must be {kind}{describe_bounds(min, max, open)}.",
                  "x" = "It is {describe(x)}."), class %||% fault, call = call)
  }
  if (integer && abs(x) <= .Machine$integer.max) as.integer(x) else as.double(x)
}

#' NULL, or the class of what is wrong with a number
#' @noRd
number_fault <- function(x, min, max, integer, open) {
  if (!rlang::is_scalar_atomic(x) || !(is.numeric(x) || is.na(x))) {
    return("type")
  }
  if (!is.finite(x)) {
    return("missing")
  }
  excluded <- c(min = min, max = max)[open]
  outside <- any(x < min, x > max, x == excluded, integer && x != round(x))
  if (outside) "range"
}

#' "", " of at least 2", " above 0", " between 0 and 1 (0 excluded)"
#' @noRd
describe_bounds <- function(min, max, open) {
  format <- function(x) base::format(x, digits = 15L)
  if (is.infinite(min) && is.infinite(max)) {
    return("")
  }
  if (is.infinite(max)) {
    return(paste0(if ("min" %in% open) " above " else " of at least ", format(min)))
  }
  if (is.infinite(min)) {
    return(paste0(if ("max" %in% open) " below " else " of at most ", format(max)))
  }
  ends <- c(min = min, max = max)[intersect(c("min", "max"), open)]
  paste0(" between ", format(min), " and ", format(max),
         if (length(ends) > 0L) paste0(" (", paste(format(ends), collapse = " and "), " excluded)"))
}

#' TRUE or FALSE
#' @noRd
check_flag <- function(x, arg, class = NULL, call = rlang::caller_env()) {
  if (!is.logical(x) || length(x) != 1L || is.na(x)) {
    abort_input(c("{.arg {arg}} must be TRUE or FALSE.", "x" = "It is {describe(x)}."),
                class %||% "type", call = call)
  }
  x
}

#' One of `choices`. The untouched default of an argument (all choices) means the first of them.
#' @noRd
check_choice <- function(x, choices, arg, class = NULL, call = rlang::caller_env()) {
  if (identical(x, choices)) {
    return(choices[1L])
  }
  if (!rlang::is_string(x)) {
    abort_input(c("{.arg {arg}} must be one of {.or {.val {choices}}}.",
                  "x" = "It is {describe(x)}."), class %||% "type", call = call)
  }
  if (!x %in% choices) {
    abort_input(c("{.arg {arg}} must be one of {.or {.val {choices}}}.",
                  "x" = "It is {.val {x}}.", did_you_mean(x, choices, "val")),
                class %||% "range", call = call)
  }
  x
}

#' Distinct, non-empty names; `n` of them if `n` is given
#' @noRd
check_names <- function(x, arg, n = NULL, class = NULL, call = rlang::caller_env()) {
  if (!is.character(x)) {
    abort_input(c("{.arg {arg}} must be a character vector of names.",
                  "x" = "It is {describe(x)}."), class %||% "type", call = call)
  }
  if (!is.null(n) && length(x) != n) {
    abort_input(c("{.arg {arg}} must give {n} name{?s}.", "x" = "It gives {length(x)}."),
                class %||% "shape", call = call)
  }
  if (anyNA(x) || !all(nzchar(x))) {
    at <- which(is.na(x) | !nzchar(x))[1L]
    abort_input(c("{.arg {arg}} must give a name for every entry.",
                  "x" = "Entry {at} is missing or empty."), class %||% "missing", call = call)
  }
  if (!all(validEnc(x))) {
    at <- which(!validEnc(x))[1L]
    found <- iconv(x[at], "UTF-8", "UTF-8", sub = "byte")
    abort_input(c("{.arg {arg}} must give names in valid text.",
                  "x" = "Entry {at} has bytes that are no text: {.val {found}}.",
                  "i" = "Declare its encoding, such as {.code Encoding(x) <- \"latin1\"}."),
                class %||% "range", call = call)
  }
  if (anyDuplicated(x)) {
    twice <- unique(x[duplicated(x)])
    abort_input(c("{.arg {arg}} must give distinct names.",
                  "x" = "{some(twice)} {cli::qty(length(twice))}{?is/are} there more than once."),
                class %||% "range", call = call)
  }
  unname(x)
}

#' A small matrix of finite numbers, with given dimensions where they are given. For n x p data use
#' check_finite_matrix(), which allocates nothing.
#' @noRd
check_numeric_matrix <- function(x, arg, nrow = NULL, ncol = NULL, class = NULL,
                                 call = rlang::caller_env()) {
  if (!is.matrix(x) || !is.numeric(x)) {
    abort_input(c("{.arg {arg}} must be a numeric matrix.", "x" = "It is {describe(x)}."),
                class %||% "type", call = call)
  }
  wanted <- c(nrow %||% nrow(x), ncol %||% ncol(x))
  if (!identical(as.integer(wanted), dim(x))) {
    abort_input(c("{.arg {arg}} must have {wanted[1]} row{?s} and {wanted[2]} column{?s}.",
                  "x" = "It has {nrow(x)} row{?s} and {ncol(x)} column{?s}."),
                class %||% "shape", call = call)
  }
  if (!all(is.finite(x))) {
    at <- which(!is.finite(x), arr.ind = TRUE)[1L, ]
    abort_input(c("{.arg {arg}} must be finite.",
                  "x" = "Row {at[1]}, column {at[2]} is {x[at[1], at[2]]}."),
                class %||% "missing", call = call)
  }
  storage.mode(x) <- "double"
  x
}

#' Refuse NA, NaN and infinite values in a double matrix, in one pass that copies nothing
#'
#' @return The scan: `bad_row`, `bad_col`, `bad_kind`, `constant` (columns with one value only) and
#'   `mean_square` (mean over rows of the squared norm).
#' @noRd
check_finite_matrix <- function(x, arg, missing = FALSE, call = rlang::caller_env()) {
  scan_rows(matrix_rows(x), arg, missing, call)
}

#' A line of message; an interrupt waits, since cli is left unusable where it is stopped midway
#' @noRd
tell <- function(message, ..., .envir = parent.frame()) {
  suspendInterrupts(cli::cli_inform(message, ..., .envir = .envir))
}

#' "Row 3, column 2 (\"raf\")", with the names the matrix has
#' @noRd
describe_cell <- function(x, row, col) {
  with_name <- function(word, at, names) {
    paste0(word, " ", at, if (!is.null(names)) paste0(" (\"", names[at], "\")"))
  }
  paste0(with_name("Row", row, rownames(x)), ", ", with_name("column", col, colnames(x)))
}

#' Refuse a matrix with entries that may not be there, and show the first of them
#' @param bad Logical matrix.
#' @param message As in abort_input(), without what was found.
#' @noRd
refuse_entries <- function(x, bad, message, class, call) {
  at <- which(bad, arr.ind = TRUE)
  if (nrow(at) > 0L) {
    found <- c("x" = "{describe_cell(x, at[1L, 1L], at[1L, 2L])} is {x[at[1L, 1L], at[1L, 2L]]}.")
    abort_input(append(message, found, 1L), class, call = call)
  }
}

#' An object of a class of this package; `maker` names the function that makes one
#' @noRd
check_class <- function(x, class, arg, maker, call = rlang::caller_env()) {
  if (!inherits(x, class)) {
    abort_input(c("{.arg {arg}} must be a {.cls {class}} object.", "x" = "It is {describe(x)}.",
                  "i" = "Make one by {.code {maker}}."), "type", call = call)
  }
  x
}

#' A fit by the method that has what is asked for
#' @param what The code that asks for it.
#' @noRd
check_method <- function(fit, method, what, call = rlang::caller_env(), hint = NULL) {
  if (fit$method != method) {
    abort_input(c("{.code {what}} needs a fit by {.code method = \"{method}\"}.",
                  "x" = "This one is by {.code method = \"{fit$method}\"}.", "i" = hint), "method",
                call = call)
  }
  invisible(fit)
}

#' Refuse arguments that nothing reads, which are most often misspelt names of those of the caller
#' @noRd
check_dots_empty <- function(..., .class = "type", .call = rlang::caller_env()) {
  found <- dots_names(...)
  if (length(found) > 0L) {
    abort_dots(found, did_you_mean(found, argument_names(.call)), .class, .call)
  }
  invisible()
}

#' @noRd
abort_dots <- function(found, hints, class, call, ...) {
  where <- rlang::env(rlang::current_env(), ...)
  abort_input(c("{length(found)} argument{?s} {?is/are} not known.",
                "x" = "Found {.arg {found}}.",
                hints %||% c("i" = "Check the spelling against the help page.")), class,
              call = call, .envir = where)
}

#' Names of the arguments in dots, none of which is evaluated; `..1` where there is no name
#' @noRd
dots_names <- function(...) {
  given <- names(substitute(list(...)))[-1L] %||% character(...length())
  ifelse(nzchar(given), given, paste0("..", seq_along(given)))
}

#' Names of the arguments of the function that a frame runs
#' @noRd
argument_names <- function(frame) {
  at <- Position(function(running) identical(running, frame), sys.frames(), right = TRUE)
  if (is.na(at)) character() else setdiff(names(formals(sys.function(at))), "...")
}

# What other packages call the settings of this one.
SYNONYMS <- c(verbose = "progress", trace = "progress", maxit = "max_iter", maxiter = "max_iter",
              niter = "max_iter", tolerance = "tol", eps = "tol", cores = "threads",
              ncores = "threads", nthreads = "threads", nknots = "knots", graph = "dag",
              domain = "env", domains = "env", condition = "env", group = "env", env = "targets",
              batch = "covariates", replicates = "times", nboot = "times")

#' The one of `choices` that was most likely meant by a word, or NA: the name that it is known by
#' elsewhere, the only one that begins with it, or the nearest within two fifths of its letters
#' @noRd
nearest_name <- function(word, choices) {
  if (!nzchar(word) || !validEnc(word) || length(choices) == 0L) {
    return(NA_character_)
  }
  plain <- function(x) tolower(gsub("[._ -]", "", x))
  known <- SYNONYMS[plain(word)]
  if (known %in% choices) {
    return(unname(known))
  }
  longer <- choices[startsWith(plain(choices), plain(word))]
  if (length(longer) == 1L) {
    return(longer)
  }
  distance <- drop(utils::adist(plain(word), plain(choices)))
  near <- min(distance) <= max(1, floor(0.4 * nchar(word)))
  if (near) choices[which.min(distance)] else NA_character_
}

#' A bullet that names what misspelt words were meant to be, or NULL
#' @param style Of the words in the message, `"arg"` or `"val"`.
#' @noRd
did_you_mean <- function(words, choices, style = "arg") {
  meant <- unique(vapply(words, nearest_name, "", choices = choices, USE.NAMES = FALSE))
  meant <- meant[!is.na(meant)]
  if (length(meant) > 0L) {
    c("i" = paste0("Did you mean ", paste0("{.", style, " ", meant, "}", collapse = ", "), "?"))
  }
}

#' A suggested package must be installed
#' @noRd
check_package <- function(package, purpose, call = rlang::caller_env()) {
  if (!requireNamespace(package, quietly = TRUE)) {
    abort_input(c("Package {.pkg {package}} is needed {purpose}.", "x" = "It is not installed.",
                  "i" = "Install it, then try again."), "package", call = call)
  }
  invisible()
}

#' What an object is, in words, for "It is ..."
#' @noRd
describe <- function(x) {
  if (is.null(x)) {
    return("NULL")
  }
  if (is.data.frame(x)) {
    return(paste("a data frame with", count_of(nrow(x), "row"), "and", count_of(ncol(x), "column")))
  }
  kind <- describe_kind(x)
  if (is.array(x)) {
    shape <- if (is.matrix(x)) "matrix" else "array"
    return(paste(article(kind), paste(dim(x), collapse = " x "), shape))
  }
  if (is.atomic(x) && (!is.object(x) || is.factor(x))) {
    return(describe_vector(x, kind))
  }
  paste0(article(kind), if (kind == "list") paste(" of length", length(x)))
}

#' The value itself where there is one only
#' @noRd
describe_vector <- function(x, kind) {
  if (length(x) == 1L && !is.factor(x)) {
    return(if (is.numeric(x) || is.logical(x)) format(x) else dQuote(as.character(x), FALSE))
  }
  paste0(article(kind), if (!is.factor(x)) " vector", " of length ", length(x))
}

#' @noRd
describe_kind <- function(x) {
  if (is.object(x) && !is.factor(x)) {
    known <- grep("^crl_fit_", class(x), value = TRUE, invert = TRUE) # engines are no types to users
    return(paste0("<", known[1L], "> object"))
  }
  if (is.factor(x)) {
    return("factor")
  }
  switch(typeof(x), double = , integer = "numeric", closure = , builtin = "function", typeof(x))
}

#' @noRd
article <- function(noun) {
  paste(if (grepl("^<?[aeiou]", noun)) "an" else "a", noun)
}

#' The first few entries of a vector as one string: strings quoted, the rest counted
#' @noRd
some <- function(x, most = 5L) {
  shown <- x[seq_len(min(most, length(x)))]
  shown <- if (is.character(x)) dQuote(shown, FALSE) else format(shown, trim = TRUE)
  left <- length(x) - length(shown)
  if (left > 0L) {
    return(paste0(paste(shown, collapse = ", "), " and ", left, " more"))
  }
  if (length(shown) < 2L) {
    return(paste(shown, collapse = ""))
  }
  last <- length(shown)
  paste(paste(shown[-last], collapse = ", "), "and", shown[last])
}
