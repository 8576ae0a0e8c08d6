# What settings there are, in which group each stands, and how each is checked: the one table. The
# constructors (crl_control() and those of its groups) name defaults and help; what they make, and
# what users make of that by hand, is checked here.
#
#   SETTINGS$control            settings of crl_control() itself
#   SETTINGS$<group>            those of a group: crl_control(<group> = <constructor>(...))
#   prior_<name>()              a prior checks its own settings, in its own file

# Constructors of the groups.
GROUPS <- c(spline = "spline_control", start = "start_search", saem = "saem_control")

# Seeds of up to 100 chains follow one another, and have to be whole numbers.
MAX_SEED <- 2^53 - 100

# Checks of a setting, as functions of value, name and call --------------------------------------

#' One of the values that the constructor has as the argument's default, the only list of them
#' @param maker Name of the constructor.
#' @noRd
choice_of <- function(maker) {
  function(x, arg, call) {
    choices <- eval(formals(get(maker, mode = "function"))[[arg]], baseenv())
    check_choice(x, choices, arg, class = "control", call = call)
  }
}

#' @noRd
number_of <- function(...) {
  function(x, arg, call) check_number(x, arg, ..., class = "control", call = call)
}

#' @noRd
whole_of <- function(min, max) number_of(min = min, max = max, integer = TRUE)

#' "auto", or what `check` takes, in words
#' @noRd
auto_or <- function(check, what = " or a number") {
  force(check)
  function(x, arg, call) {
    if (identical(x, "auto")) {
      return(x)
    }
    if (is.character(x)) {
      abort_input(c('{.arg {arg}} must be "auto"{what}.', "x" = "It is {describe(x)}."),
                  "control", call = call)
    }
    check(x, arg, call)
  }
}

#' @noRd
null_or <- function(check) {
  force(check)
  function(x, arg, call) if (!is.null(x)) check(x, arg, call)
}

#' Not TRUE where `mixing` says that A is held
#' @noRd
check_update <- function(update_mixing, mixing, call) {
  if (isTRUE(update_mixing) && mixing == "fixed") {
    abort_input(c("{.arg update_mixing} must not be TRUE with {.code mixing = \"fixed\"}.",
                  "i" = "{.val fixed} holds the mixing matrix: name another {.arg mixing}."),
                "control", call = call)
  }
}

#' "data", c(lo, hi) or a 2 x d matrix of lower and upper ends
#' @noRd
check_range <- function(range, arg, call) {
  if (identical(range, "data")) {
    return(range)
  }
  fits <- is.numeric(range) && (if (is.matrix(range)) nrow(range) == 2L else length(range) == 2L)
  if (!fits) {
    abort_input(c('{.arg range} must be "data", two numbers, or a matrix with 2 rows.',
                  "x" = "It is {describe(range)}."), "control", call = call)
  }
  ends <- matrix(as.double(range), 2L)
  if (!all(is.finite(ends)) || any(ends[1L, ] >= ends[2L, ])) {
    abort_input(c("{.arg range} must give finite lower ends below their upper ends.",
                  "x" = "It gives {some(as.vector(ends))}."), "control", call = call)
  }
  if (is.matrix(range)) ends else as.double(range)
}

# The table ---------------------------------------------------------------------------------------

SETTINGS <- list(
  control = list(
    score = choice_of("crl_control"),
    penalty = choice_of("crl_control"),
    lambda = auto_or(number_of(min = 0)),
    knots = whole_of(2, 1000),
    range = check_range,
    intervention = choice_of("crl_control"),
    mixing = choice_of("crl_control"),
    update_mixing = auto_or(function(x, arg, call) check_flag(x, arg, "control", call),
                            ", TRUE or FALSE"),
    sigma2 = choice_of("crl_control"),
    eta = auto_or(number_of(min = 0, max = 1)),
    max_iter = whole_of(0, 1e7),
    tol = number_of(min = 0, max = 1),
    signs = function(x, arg, call) check_signs(x, call),
    spline = function(x, arg, call) whole_group(x, "spline", list(), call),
    start = function(x, arg, call) whole_group(x, "start", list(), call),
    prior = function(x, arg, call) as_prior(x, call),
    saem = function(x, arg, call) whole_group(x, "saem", list(), call),
    seed = null_or(whole_of(0, MAX_SEED)),
    threads = whole_of(1, 1024),
    progress = null_or(function(x, arg, call) check_flag(x, arg, "control", call)),
    max_memory = null_or(number_of(min = 0, open = "min")),
    preset = choice_of("crl_control")
  ),
  spline = list(
    interaction = choice_of("spline_control"),
    reference = choice_of("spline_control"),
    acceleration = choice_of("spline_control"),
    solver = choice_of("spline_control"),
    cg_tol = number_of(min = 1e-15, max = 0.1),
    cg_max_iter = whole_of(1, 1e7)
  ),
  start = list(
    mechanisms = choice_of("start_search"),
    starts = whole_of(1, 1e5)
  ),
  saem = list(
    burn_in = whole_of(1, 1e7),
    iterations = whole_of(0, 1e7),
    mc_tol = number_of(min = 0, max = 1),
    chains = whole_of(1, 100),
    rows = auto_or(function(x, arg, call) {
      if (identical(x, Inf)) x else number_of(min = 2)(x, arg, call)
    }),
    draws = whole_of(2, 1e7)
  )
)

# Settings that differ under a preset.
PRESETS <- list(
  default = list(),
  paper = list(
    penalty = "ridge", lambda = 1, range = c(-15, 15), mixing = "orthonormal",
    intervention = "imperfect",
    spline = list(interaction = "tensor", reference = "none", acceleration = "none")
  )
)

# Groups ------------------------------------------------------------------------------------------

#' What the constructor of a group returns: the settings that its caller named, checked. Others are
#' left to crl_control(), whose preset may have them, or to update(), whose fit has them.
#'
#' @param frame The constructor's frame.
#' @param given Names of its arguments that its caller named.
#' @noRd
named_settings <- function(group, frame, given) {
  given <- intersect(names(SETTINGS[[group]]), given)
  checked <- lapply(stats::setNames(nm = given), function(name) {
    SETTINGS[[group]][[name]](get(name, frame), name, frame)
  })
  structure(checked, class = c(GROUPS[[group]], "crl_settings"))
}

#' A group of settings that a user passed: made by its constructor, or a list of its settings
#' @noRd
check_group <- function(given, group, call) {
  maker <- GROUPS[[group]]
  if (!is.list(given) || (is.object(given) && !inherits(given, maker))) {
    abort_input(c("{.arg {group}} must be made by {.fn {maker}}, or be a list of its settings.",
                  "x" = "It is {describe(given)}."), "control", call = call)
  }
  check_setting_names(given, names(SETTINGS[[group]]), group, maker, call)
  invisible(given)
}

#' @noRd
check_setting_names <- function(given, known, arg, maker, call) {
  names <- rlang::names2(given)
  unknown <- setdiff(names, known)
  if (length(unknown) > 0L) {
    abort_input(c("{.arg {arg}} must name settings of {.fn {maker}} only.",
                  "x" = "Not among them: {some(unknown)}.", setting_hint(unknown, known)),
                "control", call = call)
  }
  if (anyDuplicated(names)) {
    abort_input(c("{.arg {arg}} must give each setting once.",
                  "x" = "There more than once: {some(unique(names[duplicated(names)]))}."),
                "control", call = call)
  }
}

#' All settings of a group, each checked: those given, else those of the preset, else the defaults
#' @noRd
whole_group <- function(given, group, preset, call) {
  check_group(given, group, call)
  settings <- lapply(formals(GROUPS[[group]])[names(SETTINGS[[group]])], eval, baseenv())
  settings[names(preset)] <- preset
  settings[names(given)] <- unclass(given)
  checked <- lapply(stats::setNames(nm = names(settings)), function(name) {
    SETTINGS[[group]][[name]](settings[[name]], name, call)
  })
  structure(checked, class = c(GROUPS[[group]], "crl_settings"))
}

#' @export
print.crl_settings <- function(x, ...) {
  cat(setting_words(x), sep = "\n")
  invisible(x)
}

#' The call that makes a group of settings, or a prior
#' @noRd
setting_code <- function(settings) {
  as.call(c(as.name(class(settings)[1L]), unclass(settings)))
}

#' @noRd
setting_words <- function(settings) {
  plain <- c("keepNA", "niceNames", "showAttributes") # whole numbers without L
  paste(trimws(deparse(setting_code(settings), width.cutoff = 500L, control = plain)),
        collapse = " ")
}

# Where settings go -------------------------------------------------------------------------------

#' The constructor that each setting goes into, by its argument of crl_control(); "" for settings of
#' crl_control() itself
#' @noRd
setting_places <- function() {
  own <- setdiff(names(SETTINGS$control), c(names(GROUPS), "prior"))
  grouped <- unlist(lapply(names(GROUPS), function(group) {
    stats::setNames(rep(group, length(SETTINGS[[group]])), names(SETTINGS[[group]]))
  }))
  c(stats::setNames(rep("", length(own)), own), grouped,
    noise = "prior", mechanism_knots = "prior", mechanism_lambda = "prior")
}

#' Settings as code for `control`, each in the constructor that it belongs to
#'
#' @param names Names that setting_places() knows.
#' @param values What is written for each, in words.
#' @noRd
written_settings <- function(names, values = rep("", length(names))) {
  place <- setting_places()[names]
  place[is.na(place)] <- "" # the groups themselves
  within <- sub("^mechanism_", "", names)
  pairs <- paste0(within, " = ", values)
  groups <- vapply(unique(place), function(group) {
    settings <- paste(pairs[place == group], collapse = ", ")
    maker <- c(GROUPS, prior = "prior_spline")[group]
    if (nzchar(group)) paste0(group, " = ", maker, "(", settings, ")") else settings
  }, "")
  paste(groups, collapse = ", ")
}

#' Bullets on settings that stand where they do not belong, or were misspelt
#'
#' @param words Names that were found.
#' @param choices Names that may stand there.
#' @param maker What takes settings, as a format.
#' @noRd
setting_hint <- function(words, choices, maker = "crl_control(%s)") {
  elsewhere <- intersect(words, setdiff(names(setting_places()), choices))
  c(if (length(elsewhere) > 0L) {
    code <- sprintf(maker, written_settings(elsewhere))
    c("i" = paste0("{.arg ", paste(elsewhere, collapse = "}, {.arg "), "}: {.code ", code, "}."))
  }, did_you_mean(setdiff(words, elsewhere), choices))
}

#' Refuse what a constructor of settings has no argument for, and say where it goes
#' @noRd
check_setting_dots <- function(..., .call = rlang::caller_env()) {
  found <- dots_names(...)
  if (length(found) > 0L) {
    abort_dots(found, setting_hint(found, argument_names(.call)), "control", .call)
  }
  invisible()
}
