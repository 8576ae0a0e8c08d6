# Where the measurement model was not chosen from the data: do the second moments contradict it?

#' What the data say against the measurement model of a fit
#'
#' Looked at is what restricts the model and was not decided by the data: no means, equal noise, no
#' further factors. All of it on the moments about the means, which are free of the means, with
#' noise by feature where that is likelier: a restriction is not blamed for what another does.
#' @param decided Were arguments that are "auto" decided by the data?
#' @return Named list, empty where nothing is said against it: `center`, see mean_test(); `noise`,
#'   gain in log-likelihood; `nuisance`, `eigenvalue` and `edge` as in factor_number()
#' @noRd
measurement_doubts <- function(fit, data, decided, threads, call) {
  settings <- data$measure
  asked <- doubtful(fit, settings, decided)
  if (!any(asked) || is.null(settings) || data$missing > 0 || data$p <= data$d + 2L) {
    return(list())
  }
  if (data$p > DENSE_FEATURES && !any(asked[c("center", "noise")])) {
    return(list()) # passes over the rows: crl_rank() makes them on request
  }
  q <- data$d + (fit$measurement$nuisance %||% 0L)
  moments <- feature_moments(data, TRUE, threads)
  model <- chosen_noise(moments, q, if (factor_freedom(data$p, q) < 0) "equal" else "auto", call)
  doubts <- list(
    center = if (asked[["center"]]) {
      mean_test(feature_moments(data, FALSE, threads), moments, model, call)
    },
    noise = if (asked[["noise"]] && model$noise == "by_feature") model$gain$loglik,
    nuisance = if (asked[["nuisance"]]) further_factor(moments, q, model$psi, call)
  )
  contradicts(doubts)
}

#' Which restrictions of the measurement model were not decided by the data
#' @noRd
doubtful <- function(fit, settings, decided) {
  open <- function(name, values) {
    !(decided && identical(settings[[name]], "auto")) && values
  }
  c(center = open("center", is.null(fit$center)),
    noise = open("noise", is.null(fit$measurement) || fit$measurement$noise == "equal"),
    nuisance = open("nuisance", TRUE))
}

#' The largest whitened eigenvalue beyond q factors, and the edge of noise
#' @noRd
further_factor <- function(moments, q, psi, call) {
  n <- moments$n
  p <- length(psi)
  values <- leading_whitened(moments, psi, q + 1L, call)$values
  list(eigenvalue = values[q + 1L], edge = noise_edge(n - q, p - q) * (n - q) / n)
}

#' Those of some tests that are clear
#' @noRd
contradicts <- function(doubts) {
  clear <- c(center = isTRUE(doubts$center$p_value < CENTER_LEVEL), noise = !is.null(doubts$noise),
             nuisance = isTRUE(doubts$nuisance$eigenvalue > doubts$nuisance$edge))
  doubts[names(which(clear))]
}

#' @noRd
doubt_notes <- function(fit) {
  doubts <- fit$doubts
  c(if (!is.null(doubts$center)) {
    paste0("The feature means do not lie in the space of A (chi-squared ",
           whole(round(doubts$center$statistic)), " on ", doubts$center$df, " degrees of freedom), ",
           "as they do without means: latents and intervals are off. `center = TRUE` fits them.")
  }, if (!is.null(doubts$noise)) {
    paste0("Noise variances differ by feature (log-likelihood up by ", whole(round(doubts$noise)),
           "); the fit takes them as equal, and weighs noisy features too much. ",
           "`noise = \"by_feature\"` does not.")
  }, if (!is.null(doubts$nuisance)) {
    paste0("Beside the latents x has further common factors (eigenvalue ",
           figures(doubts$nuisance$eigenvalue, 3L), " in units of the noise, edge ",
           figures(doubts$nuisance$edge, 3L), "). If they are strong they can take the place of a ",
           "latent: `nuisance = \"auto\"` models them, `crl_rank()` counts them.")
  })
}
