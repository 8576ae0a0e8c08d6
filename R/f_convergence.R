# Did the iterations converge, and if not, what still moves: the trace, the diagnosis and its
# words. (update(), which goes on: fit_update.R.)

TRACE_STEPS <- c("plain", "accelerated", "rejected")

#' The C core's trace, whose columns have names, one row an iteration, as a tibble
#' @noRd
trace_table <- function(trace) {
  table <- tibble::as_tibble(trace)
  table$step <- TRACE_STEPS[table$step + 1L]
  tibble::add_column(table, iteration = seq_len(nrow(trace)), .before = 1L)
}

#' And back
#' @noRd
trace_matrix <- function(trace) {
  trace$step <- match(trace$step, TRACE_STEPS) - 1
  matrix(as.double(unlist(trace[-1L])), nrow(trace), length(trace) - 1L)
}

# Changes that shrink by less than this factor an iteration are called a drift.
DRIFT_RATE <- 0.999

# Rows of the trace that the rate is taken over.
RATE_ROWS <- 10L

# Changes that have to be there before the iterations are said to tell anything.
RATE_TOLD <- 5L

#' How the iterations stood when they ended
#'
#' Every [fit_crl()] object has a `diagnosis`, on which [print()][print.crl_fit] says in words
#' whether the EM converged, and if not, what still moves and what can be done.
#'
#' f-modeling has no likelihood to watch: the EM is a fixed-point iteration, which here converges
#' linearly, so that small changes do not mean a short way to go. Where successive changes shrink by
#' a factor r, a change c leaves c r / (1 - r).
#'
#' @format A list of class `crl_diagnosis`:
#' \describe{
#' \item{state}{`"converged"`; `"converging"`; `"drifting"` (changes shrink by less than 0.001 of
#'   their size an iteration, or grow); `"early"` (too few iterations to tell); `"none"` (no
#'   iterations)}
#' \item{rate}{r: factor by which the changes of A and \eqn{\sigma^2} shrank an iteration, mean over
#'   the last 10 (with acceleration: what it achieved)}
#' \item{remaining}{estimated relative distance to the limit, the largest of A, \eqn{\sigma^2} and
#'   latents; `Inf` if the iterations do not tell}
#' \item{iterations_needed}{estimated number of further iterations until `remaining` is below `tol`;
#'   0 if converged, `Inf` if drifting, `NA` if the iterations do not tell or `tol` is 0}
#' \item{change}{relative changes in the last iteration, named `mixing`, `sigma2`, `latents`; the
#'   last is that of the latents returned}
#' \item{moving}{relative size of the parts of the last EM step, named: `sigma2`; `scale` (of the
#'   columns of A); `rotation` (of the latents among themselves); `other` (of A, such as its
#'   column space)}
#' \item{pair, angle}{the two latents that turn most into each other, and by how many degrees in the
#'   last iteration}
#' }
#' @seealso [update.crl_fit()] to go on, [plot.crl_fit()] for the trace.
#' @name crl_diagnosis
NULL

#' @noRd
diagnose <- function(fit, result, control, latents) {
  trace <- fit$trace
  last <- fit$iterations
  change <- if (last > 0L) {
    c(mixing = trace$change_mixing[last], sigma2 = trace$change_sigma2[last],
      latents = result$change_latents)
  }
  skew <- (result$turn - t(result$turn)) / 2
  largest <- which.max(abs(skew))
  rate <- recent_rate(trace)
  state <- iteration_state(fit, rate)
  remaining <- c(trace$remaining[is.finite(trace$remaining)], Inf)
  remaining <- remaining[max(1L, length(remaining) - 1L)]
  structure(list(
    state = state, rate = rate, remaining = remaining,
    iterations_needed = iterations_needed(state, rate, remaining, control$tol), change = change,
    moving = moving_parts(change, skew, result$growth),
    pair = if (any(skew != 0)) latents[sort(arrayInd(largest, dim(skew)))],
    angle = abs(skew[largest]) * 180 / pi
  ), class = "crl_diagnosis")
}

#' The factor by which changes shrank an iteration of late; NA if that cannot be told
#' @noRd
recent_rate <- function(trace) {
  kept <- trace[trace$step != "rejected", ]
  change <- utils::tail(pmax(kept$change_mixing, kept$change_sigma2), RATE_ROWS + 1L)
  steps <- length(change) - 1L
  told <- steps >= RATE_TOLD && all(change > 0)
  if (told) (change[steps + 1L] / change[1L])^(1 / steps) else NA_real_
}

#' @noRd
iteration_state <- function(fit, rate) {
  if (fit$iterations == 0L) {
    "none"
  } else if (fit$converged) {
    "converged"
  } else if (is.na(rate)) {
    "early"
  } else if (rate > DRIFT_RATE) {
    "drifting"
  } else {
    "converging"
  }
}

#' @noRd
iterations_needed <- function(state, rate, remaining, tol) {
  switch(state, converged = 0, drifting = Inf,
         converging = if (tol > 0) max(1, ceiling(log(tol / remaining) / log(rate))) else NA_real_,
         NA_real_)
}

#' Relative sizes of what the last EM step moved
#' @noRd
moving_parts <- function(change, skew, growth) {
  if (is.null(change)) {
    return(NULL)
  }
  rotation <- sqrt(sum(skew^2) / ncol(skew))
  scale <- sqrt(mean(growth^2))
  c(sigma2 = change[["sigma2"]], scale = scale, rotation = rotation,
    other = sqrt(max(0, change[["mixing"]]^2 - scale^2 - rotation^2)))
}

# In words ----------------------------------------------------------------------------------------

#' Whether the iterations converged, and if not, what to do: what print() says of it
#' @noRd
describe_verdict.crl_fit_f <- function(fit) {
  done <- count_of(fit$iterations, "iteration")
  if (fit$iterations == 0L) {
    describe_convergence(fit)
  } else if (fit$converged) {
    paste0("Converged after ", done, ".")
  } else {
    further <- update_call(fit)
    paste0("Not converged in ", done, ": ", further %||% "update(fit, max_iter = 1000)",
           " goes on from here.")
  }
}

#' Whether the iterations converged; if not, how they stand and what to do
#' @noRd
describe_convergence.crl_fit_f <- function(fit) {
  if (fit$iterations == 0L) {
    return("No EM iteration was run (max_iter = 0): the mixing matrix is the start.")
  }
  diagnosis <- fit$diagnosis
  # a relative distance above 1 says nothing
  left <- if (diagnosis$remaining == 0) {
    ": nothing moves"
  } else if (diagnosis$remaining <= 1) {
    paste0(": estimated relative distance to the limit ", format(diagnosis$remaining, digits = 2L),
           ", tolerance ", format(fit$control$tol))
  }
  done <- count_of(fit$iterations, "iteration")
  if (fit$converged) {
    return(paste0("Converged after ", done, left, "."))
  }
  c(paste0("Not converged in ", done, left, "."),
    describe_rate(diagnosis), describe_moving(diagnosis), describe_advice(fit))
}

#' @noRd
describe_rate <- function(diagnosis) {
  factor <- format(diagnosis$rate, digits = 3L)
  switch(diagnosis$state,
    early = "These are too few to tell how many more are needed.",
    drifting = paste0("The changes do not shrink (factor ", factor,
                      " an iteration): the iterations drift, or are far from a limit."),
    paste0("The changes shrink by the factor ", factor, " an iteration",
           if (!is.na(diagnosis$iterations_needed)) {
             paste0(": about ", whole(signif(diagnosis$iterations_needed, 2L)),
                    " more iterations are needed")
           }, "."))
}

#' @noRd
describe_moving <- function(diagnosis) {
  words <- c(sigma2 = "the noise variance", scale = "the scale of the latents",
             rotation = "a rotation of the latents", other = "A, other than by scale or rotation")
  most <- names(which.max(diagnosis$moving))
  mainly <- if (most == "rotation") {
    paste0(", mainly of ", paste(diagnosis$pair, collapse = " and "), " (",
           format(diagnosis$angle, digits = 2L), " degrees an iteration)")
  }
  paste0("What moves most is ", words[[most]], mainly, ".")
}

#' @noRd
describe_advice <- function(fit) {
  further <- update_call(fit)
  hold <- if (fit$learned[["mixing"]]) "update_mixing = FALSE in crl_control() holds A at its start"
  paste0(further %||% "update(fit, max_iter = 1000)", " goes on from here",
         if (!is.null(hold)) paste0("; ", hold), ".")
}

#' The call that should do, if the iterations tell
#' @noRd
update_call <- function(fit) {
  needed <- fit$diagnosis$iterations_needed
  if (is.finite(needed)) {
    paste0("update(fit, max_iter = ", whole(signif(1.2 * needed, 2L)), ")")
  }
}

#' The largest relative change (mixing, sigma2, latents) of the last iteration
#' @noRd
last_change <- function(fit) {
  if (fit$iterations == 0L) NA_real_ else max(fit$diagnosis$change, na.rm = TRUE)
}
