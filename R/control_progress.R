# Progress bars: how they look, and who moves them. A stage that counts is moved by its code; one
# stage may run inside another, whose bar waits meanwhile. From C come two kinds of calls, never from
# a parallel region (src/glue/r_util.c): of the tick that em_fit and its like are given, once an
# iteration, and of the heartbeat, wherever a kernel looks for Ctrl-C, so that a bar moves
# within long steps.

#' Is progress to be shown?
#' @param progress TRUE, FALSE or NULL: in interactive sessions.
#' @noRd
shows_progress <- function(progress) {
  progress %||% interactive()
}

#' Run code that shows how far it is
#'
#' @param progress As of shows_progress().
#' @param name What runs, in words.
#' @param run Function of one argument, a `tick`, or NULL where nothing is shown. `tick(done,
#'   change)` moves the bar to `done` steps; `change`, if given, is shown, as is a third argument, a
#'   `note` in words.
#' @param steps How many there are, at most; NA: not known, a spinner is shown.
#' @param eta Show the time left? Where `steps` is no more than a bound it is not known.
#' @param counts Are the steps those that C reports by the heartbeat? Else by `tick`, and what the
#'   heartbeat reports belongs to stages inside that show nothing of their own.
#' @return What `run` returned
#' @noRd
with_progress <- function(progress, name, run, steps = NA, eta = FALSE, counts = FALSE) {
  on_clock(name, if (shows_progress(progress)) show_progress(name, run, steps, eta, counts) else
    run(NULL))
}

#' @noRd
show_progress <- function(name, run, steps, eta, counts) {
  if (isTRUE(steps < 2L)) steps <- NA
  bar <- cli::cli_progress_bar(format = bar_format(steps, eta), total = steps,
                               auto_terminate = FALSE, extra = list(name = name, change = ""))
  frame <- environment()
  move <- function(..., change = NULL, note = NULL) {
    if (!is.null(change)) note <- paste("change", format(change, digits = 2))
    extra <- if (!is.null(note)) list(change = paste0(", ", note))
    cli::cli_progress_update(..., extra = extra, id = bar, .envir = frame)
  }
  before <- .Call(C_set_heartbeat, function(done) move(inc = done * counts))
  on.exit(.Call(C_set_heartbeat, before), add = TRUE)
  result <- run(function(done, change = NULL, note = NULL) {
    move(set = done, change = change, note = note)
  })
  cli::cli_progress_done(id = bar, .envir = frame)
  result
}

#' The same for code that does not count its steps (`steps` NA), or has C count them
#' @noRd
with_spinner <- function(progress, name, code, steps = NA) {
  with_progress(progress, name, function(tick) code, steps, counts = !is.na(steps))
}

#' @noRd
bar_format <- function(steps, eta) {
  if (is.na(steps)) {
    return("{cli::pb_spin} {cli::pb_extra$name}{cli::pb_extra$change} [{cli::pb_elapsed}]")
  }
  paste("{cli::pb_spin} {cli::pb_extra$name} {cli::pb_bar}",
        "{cli::pb_current}/{cli::pb_total}{cli::pb_extra$change}",
        if (eta) "{cli::pb_eta_str}" else "")
}

# Seconds by stage --------------------------------------------------------------------------------

# What the stages of the fit that runs have taken: `seconds`, by name; `inside`, those of stages
# within the one that runs. NULL where nobody asks.
clock <- new.env(parent = emptyenv())

#' Measure stages from here on
#' @return What stop_clock() puts back
#' @noRd
start_clock <- function() {
  before <- mget(c("seconds", "inside"), clock, ifnotfound = list(NULL))
  clock$seconds <- numeric()
  clock$inside <- 0
  c(before, list(started = proc.time()[["elapsed"]]))
}

#' @noRd
stop_clock <- function(before) {
  clock$seconds <- before$seconds
  clock$inside <- before$inside
}

#' Seconds of each stage since start_clock(), and of all else
#' @noRd
clock_seconds <- function(before) {
  all <- proc.time()[["elapsed"]] - before$started
  c(clock$seconds, other = max(0, all - sum(clock$seconds)))
}

#' Run a stage. What runs within another one is not counted there as well; runs and chains of one
#' stage are counted together
#' @noRd
on_clock <- function(name, code) {
  if (is.null(clock$seconds)) {
    return(code)
  }
  stage <- sub(", (run|chain) .*", "", name)
  started <- proc.time()[["elapsed"]]
  outside <- clock$inside
  clock$inside <- 0
  on.exit({
    took <- proc.time()[["elapsed"]] - started
    seconds <- clock$seconds
    seconds[stage] <- sum(seconds[stage], took - clock$inside, na.rm = TRUE)
    clock$seconds <- seconds
    clock$inside <- outside + took
  })
  code
}

#' Seconds of a fit that went on, with those before
#' @noRd
added_seconds <- function(before, further) {
  names <- union(names(before), names(further))
  at <- function(x) ifelse(names %in% names(x), x[names], 0)
  sums <- stats::setNames(at(before) + at(further), names)
  sums[order(names(sums) == "other")]
}
