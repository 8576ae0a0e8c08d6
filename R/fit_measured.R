# Fits under a measurement model other than the paper's: x is reduced to the coordinates of the
# space of its factors, in which the engines see rows of D features with equal noise; what they
# find is lifted to the features again.
#
# U (p x D, orthonormal) spans the columns of A, N is the covariance of the noise of the weighted
# least-squares coordinates in it (measure()). With W = c N^-1/2, c^2 = tr(N) / D,
#   w = W N U' Psi^-1 (x - mu) = W U'A z + noise,  noise ~ N(0, c^2 I),
# is sufficient for z. Turns R of A = U R leave W U'A = W R; where noise is equal W is the identity.

#' The arguments `center`, `noise` and `nuisance` of fit_crl(), checked
#' @noRd
measurement_settings <- function(center = NULL, noise = NULL, nuisance = 0, control,
                                 call = rlang::caller_env()) {
  paper <- control$preset == "paper"
  center <- center %||% if (paper) FALSE else "auto"
  noise <- noise %||% if (paper) "equal" else "auto"
  if (!identical(center, "auto") && !rlang::is_bool(center)) {
    abort_input(c("{.arg center} must be TRUE, FALSE or {.val auto}.",
                  "x" = "It is {describe(center)}."), "type", call = call)
  }
  noise <- check_choice(noise, c("auto", "equal", "by_feature"), "noise", call = call)
  if (!identical(nuisance, "auto")) {
    fault <- number_fault(nuisance, 0, .Machine$integer.max, TRUE, character())
    if (!is.null(fault)) {
      abort_input(c("{.arg nuisance} must be a whole number of at least 0, or {.val auto}.",
                    "x" = "It is {describe(nuisance)}."), fault, call = call)
    }
    nuisance <- as.integer(nuisance)
  }
  list(center = center, noise = noise, nuisance = nuisance)
}

#' The measurement model of a fit, `plain` where it is the paper's: no mean, equal noise, no
#' nuisance. NULL: it is, and the moments of x need not be looked at
#' @noRd
measurement_of <- function(data, init, control, updates, call) {
  settings <- data$measure
  if (is.null(settings) || !is.null(data$space)) {
    return(NULL)
  }
  settings <- resolved_measurement(settings, data, control, updates, init, call)
  if (data$missing > 0) {
    measured <- c(measure_missing(data, settings, control$threads, call), plain = FALSE)
    tell_measurement(measured, settings)
    return(measured)
  }
  if (isFALSE(settings$center) && settings$noise == "equal" && identical(settings$nuisance, 0L)) {
    return(NULL)
  }
  measured <- if (is.list(init)) {
    measure_given(data, init, settings, control$threads, call)
  } else if (!is.null(data$x) && needs_domains(data, settings, control)) {
    measure_domains(data, settings, control, call)
  } else {
    measure(data, settings$center, settings$noise, settings$nuisance, control$threads, call)
  }
  if (!is.null(data$x) && outgrown(measured, data, settings, control)) {
    measured <- measure_domains(data, settings, control, call)
  }
  measured$plain <- is.null(measured$center) && measured$noise == "equal" &&
    measured$nuisance == 0L
  if (!measured$plain) {
    tell_measurement(measured, settings)
    measured$about_zero <- NULL
  }
  measured
}

#' A line on what was chosen beyond what was asked for
#' @noRd
tell_measurement <- function(measured, settings) {
  chosen <- c(
    if (identical(settings$center, "auto") && !is.null(measured$center)) "feature means",
    if (settings$noise == "auto" && measured$noise == "by_feature") "noise variances by feature",
    if (identical(settings$nuisance, "auto") && measured$nuisance > 0L) {
      count_of(measured$nuisance, "nuisance factor")
    }
  )
  if (length(chosen) > 0L) {
    tell(c("i" = "Fitted beside the latents: {chosen}.",
           "!" = if (nuisance_capped(measured, settings)) capped_words()),
         class = "ebcrl_message_measurement")
  }
}

#' What "auto" comes down to before the data are looked at: too few features tell no noise; the
#' paper's algorithm, which updates A, has the paper's measurement model; and a given A comes with
#' the rest of its model
#' @noRd
resolved_measurement <- function(settings, data, control, updates, init, call) {
  few <- data$p <= data$d + 1L
  paper <- few || updates || !has_measurement(control$prior)
  if (!paper) {
    return(if (is.list(init)) given_measurement(settings, init) else settings)
  }
  if (data$missing > 0) {
    abort_input(c("{.arg x} must have no missing entries here.",
                  "x" = "{data$missing} {cli::qty(data$missing)}{?is/are} {.val NA}.",
                  "i" = if (few) "{data$p} features do not tell them beside {data$d} latents." else
                    "The EM updates A: {.code update_mixing = FALSE} holds it."), "missing",
                call = call)
  }
  forced <- c(center = isTRUE(settings$center), noise = settings$noise == "by_feature",
              nuisance = !(settings$nuisance %in% list("auto", 0L)))
  if (any(forced)) {
    why <- if (few) "{data$p} columns of {.arg x} do not tell it beside {data$d} latents." else
      "The EM updates A: {.code update_mixing = FALSE} holds it."
    abort_input(c("{.arg {names(which(forced))}} cannot be as asked for.", "x" = why),
                "control", call = call)
  }
  list(center = FALSE, noise = "equal", nuisance = 0L)
}

#' A given A is that of the paper's model, unless means or noise variances are given beside it
#' @noRd
given_measurement <- function(settings, init) {
  if (identical(settings$center, "auto")) settings$center <- !is.null(init$center)
  if (settings$noise == "auto") {
    settings$noise <- if (is.null(init$noise_var)) "equal" else "by_feature"
  }
  if (identical(settings$nuisance, "auto")) settings$nuisance <- 0L
  settings
}

#' The measurement model where A is given: its span is known
#' @noRd
measure_given <- function(data, init, settings, threads, call) {
  mixing <- init$mixing
  span <- polar_factor(unname(mixing))
  about_mean <- moments_about_mean(data, threads)
  psi <- init$noise_var
  noise <- settings$noise
  if (is.null(psi) && noise == "by_feature") {
    psi <- factor_analysis(about_mean, data$d, FALSE, call = call)$psi
  } else if (is.null(psi)) {
    left <- sum(about_mean$square) - sum(span * moments_times(about_mean, span))
    psi <- rep(init$sigma2 %||% (left / (data$p - data$d)), data$p)
  }
  list(center = if (settings$center) init$center %||% about_mean$mean, noise = noise,
       noise_var = psi, nuisance = 0L, values = NULL, tests = NULL, counts = NULL, span = span,
       span_noise = noise_in_span(span, psi))
}

#' S V from moments that may be in memory
#' @noRd
moments_times <- function(moments, v) {
  if (!is.null(moments$second)) {
    return(moments$second %*% v)
  }
  if (!is.null(moments$times)) {
    return(moments$times(unname(v)))
  }
  centered <- moments$x %*% v - rep(drop(moments$mean %*% v), each = moments$n)
  crossprod(moments$x, centered * moments$omega[moments$env]) / moments$n
}

# Reduction ---------------------------------------------------------------------------------------

#' Checked data in the coordinates w, with nuisance factors as latents that nothing targets
#'
#' @return `crl_data` with x of D columns and `space`: list of `noise` (N), `whiten` (W), `lift`
#'   (p x D: U W^-1, so that A = lift times the mixing of w), `sigma2` (c^2), `reduce` (p x D) and
#'   `offset` (D): w = x reduce - offset, of which `shift` beyond that of the feature means; `model`,
#'   see missing_coordinates()
#' @noRd
reduced_data <- function(data, measured, threads = 1L, call = rlang::caller_env()) {
  spectrum <- eigen(measured$span_noise, symmetric = TRUE)
  root <- symmetric_power(spectrum, 1 / 2)
  c2 <- mean(spectrum$values)
  space <- list(noise = measured$span_noise, sigma2 = c2,
                whiten = sqrt(c2) * symmetric_power(spectrum, -1 / 2),
                lift = measured$span %*% root / sqrt(c2),
                reduce = noise_precision_times(measured$span, measured$noise_var,
                                               measured$folded) %*% root * sqrt(c2),
                model = list(span = measured$span, psi = measured$noise_var,
                             mean = measured$center))
  space$nuisance <- inner_nuisance(measured)
  if (!is.null(measured$mixing)) { # A is known already
    space$found <- space$whiten %*% crossprod(measured$span, measured$mixing)
    space$loglik <- measured$domains$loglik
    space["columns"] <- list(measured$columns)
  }
  space$shift <- rep(0, ncol(space$whiten))
  space$offset <- drop(crossprod(space$reduce, measured$center %||% rep(0, data$p)))
  inner <- with_nuisance(data, inner_nuisance(measured))
  rows <- if (data$missing > 0) missing_coordinates(data$x, space$model, call)
  inner[c("missing", "lacking")] <- list(0, NULL)
  inner$row_noise <- rows$noise
  coordinates_at <- function(space) {
    if (!is.null(rows)) coordinates_of(data$x, space, rows) else
      coordinates(data, space$reduce, space$offset, threads)$x
  }
  inner$x <- coordinates_at(space)
  inner$rows <- NULL
  if (!is.null(measured$center)) {
    shift <- control_mean(inner)
    space$offset <- space$offset + shift
    space$shift <- shift
    inner$x <- if (is.null(rows)) inner$x - rep(shift, each = data$n) else coordinates_at(space)
  }
  inner$space <- space
  inner$p <- ncol(inner$x)
  inner$feature_names <- NULL
  rescanned(inner)
}

#' Rows of x (n x p) as coordinates (n x D)
#' @param rows See missing_coordinates(); NULL where nothing is missing.
#' @noRd
coordinates_of <- function(x, space, rows = NULL) {
  if (is.null(rows)) {
    return(x %*% space$reduce - rep(space$offset, each = nrow(x)))
  }
  rows$coord %*% space$whiten - rep(space$shift, each = nrow(x))
}

#' Where the location of latents is open, their mean is 0 over the rows without targets, or over all
#' rows where there are none
#' @noRd
control_mean <- function(inner) {
  untouched <- rowSums(inner$targets) == 0L
  rows <- if (any(untouched)) untouched[inner$env] else TRUE
  colMeans(inner$x[rows, , drop = FALSE])
}

#' Latents without edges and targets added behind the others
#' @noRd
with_nuisance <- function(data, many) {
  if (many == 0L) {
    return(data)
  }
  names <- nuisance_names(many)
  data$dag <- structure(
    rbind(cbind(unclass(data$dag), matrix(0L, data$d, many)), matrix(0L, many, data$d + many)),
    dimnames = rep(list(c(data$latent_names, names)), 2L), class = class(data$dag)
  )
  storage.mode(data$dag) <- "integer"
  data$targets <- cbind(data$targets, matrix(0L, data$n_domains, many,
                                             dimnames = list(NULL, names)))
  data$latent_names <- c(data$latent_names, names)
  data$d <- data$d + many
  data
}

#' @noRd
nuisance_names <- function(many) {
  paste0(rep("nuisance", many), seq_len(many))
}

#' The start in the coordinates w
#'
#' The search is for U'A in coordinates y = W^-1 w of the space itself, whose noise is N.
#' @return As starting_values()
#' @noRd
measured_start <- function(init, data, control, call) {
  space <- data$space
  if (identical(init, "interventional")) {
    find <- if (control$mixing == "psd") unmixing_start else interventional_start
    start <- find(data, control, call)
    found <- unname(compose_mixing(start)) # W^-1 U'A
    mixing <- space$whiten %*% space$whiten %*% found
    start$optima$mixing <- lapply(start$optima$mixing, function(a) {
      lifted_matrix(space$whiten %*% space$whiten %*% a, data)
    })
    start[c("orthonormal", "scale")] <- split_mixing(mixing, "fixed", call)
    return(c(start, list(label = "interventional", sigma2_given = TRUE)))
  }
  mixing <- if (identical(init, "pca")) space$whiten else init$mixing
  c(split_mixing(mixing, "fixed", call),
    list(sigma2 = space$sigma2, label = if (identical(init, "pca")) "pca" else "given",
         sigma2_given = TRUE))
}

#' @noRd
lifted_matrix <- function(mixing, data) {
  data$space$lift %*% unname(mixing)
}

#' Standard errors of loadings, as if errors of coordinates were independent
#' @noRd
lifted_error <- function(error, data) {
  sqrt(data$space$lift^2 %*% error^2)
}

# The fit -----------------------------------------------------------------------------------------

#' An engine's fit of the coordinates, lifted to the features
#'
#' @param engine Function of data, init, control, call and error_call.
#' @noRd
fit_measured <- function(engine, data, measured, init, control, call, error_call) {
  started <- proc.time()[["elapsed"]]
  inner <- reduced_data(data, measured, control$threads, error_call)
  if (is.list(init)) {
    mixing <- mixing_by_name(init$mixing, data, error_call)
    within <- crossprod(measured$span, unname(mixing))
    inner_init <- list(mixing = inner$space$whiten %*% within, sigma2 = inner$space$sigma2)
  } else {
    inner_init <- init
  }
  fit <- at_own_noise(engine(inner, inner_init, control, call, error_call), error_call)
  fit <- lifted(fit, data, measured, error_call)
  fit$start <- reusable_start(init)
  fit$elapsed <- proc.time()[["elapsed"]] - started
  fit
}

#' Lengths in x of the columns of A that have length 1 in the whitened coordinates of a g fit; NULL
#' where columns are not scaled
#' @noRd
whitened_lengths <- function(fit) {
  if (inherits(fit, "crl_fit_g") && fit$control$mixing == "psd") {
    unname(sqrt(colSums(lifted_matrix(fit$mixing, fit$data)^2)))
  }
}

#' A fit of the coordinates as one of x
#' @noRd
lifted <- function(fit, data, measured, call = rlang::caller_env()) {
  inner <- fit$data
  kept <- seq_len(data$d)
  lengths <- whitened_lengths(fit)
  if (!is.null(lengths)) fit <- rescaled_latents(fit, lengths)
  dimnames(fit$mixing) <- list(NULL, inner$latent_names)
  mixing <- lifted_matrix(fit$mixing, inner)
  dimnames(mixing) <- list(data$feature_names, inner$latent_names)
  location <- measured$center
  if (!is.null(location)) { # what the offset takes out of the latents is in the mean
    shift <- inner$space$offset - drop(crossprod(inner$space$reduce, location))
    location <- location + drop(inner$space$lift %*% shift)
  }
  fit$inner <- list(data = inner, mixing = fit$mixing, sigma2 = fit$sigma2, start = fit$start,
                    latents = fit$latents, latents_sd = fit$latents_sd,
                    quantiles = fit$quantiles)
  fit$mixing <- mixing[, kept, drop = FALSE]
  if (!is.null(fit$mixing_mc_error)) {
    fit$inner$mixing_mc_error <- fit$mixing_mc_error
    error <- lifted_error(fit$mixing_mc_error, inner)
    fit$mixing_mc_error <- `dimnames<-`(error[, kept, drop = FALSE], dimnames(fit$mixing))
  }
  fit$noise_var <- stats::setNames(measured$noise_var, data$feature_names)
  fit$sigma2 <- mean(measured$noise_var)
  fit$center <- if (!is.null(location)) stats::setNames(location, data$feature_names)
  fit$latents <- fit$latents[, kept, drop = FALSE]
  fit$latents_sd <- fit$latents_sd[, kept, drop = FALSE]
  rownames(fit$latents) <- rownames(fit$latents_sd) <- data$row_names
  if (!is.null(fit$quantiles)) {
    fit$quantiles <- fit$quantiles[, kept, , drop = FALSE]
  }
  if (inner_nuisance(measured) > 0L) {
    fit$nuisance <- list(mixing = mixing[, -kept, drop = FALSE],
                         scores = fit$inner$latents[, -kept, drop = FALSE])
  } else if (measured$nuisance > 0L) {
    fit$nuisance <- list(mixing = `dimnames<-`(measured$folded, list(
      data$feature_names, nuisance_names(measured$nuisance)
    )))
    fit$nuisance$scores <- folded_scores(data$x, fit$latents, fit)
  }
  if (!is.null(measured$told)) {
    cos2 <- direction_cos2(measured$told, crossprod(measured$span, mixing[, kept, drop = FALSE]))
    measured$cos2 <- stats::setNames(cos2, data$latent_names)
  }
  fit$measurement <- measured
  fit$data <- data
  check_lifted(fit, call)
  fit
}

#' In whitened coordinates a direction of little noise counts for much: latents that are there of the
#' size of the data may far exceed x
#' @noRd
check_lifted <- function(fit, call) {
  centred <- fit$latents - rep(colMeans(fit$latents), each = nrow(fit$latents))
  times <- sum((centred %*% crossprod(fit$mixing)) * centred) / (fit$data$n * fit$data$variance)
  if (isTRUE(times <= EXCEEDING)) {
    return(invisible())
  }
  at <- which.min(fit$noise_var)
  least <- names(at) %||% at
  abort_input(c(paste("The latents far exceed the data: fitted values have",
                      "{format(times, digits = 3)} times the variance of {.arg x}."),
                "x" = "The rows do not tell the coefficients of the score.",
                "i" = paste("Raise {.arg lambda} in {.fn crl_control}, or leave out features that",
                            "repeat others: column {.val {least}} has the least noise."),
                "i" = if (is.numeric(fit$control$range)) {
                  "Or let {.code crl_control(range = \"data\")} reach all latents."
                }), "numerical", call = call)
}

#' The fit of the coordinates within a fit; a fit of x under the paper's measurement model as it is
#' @noRd
inner_fit <- function(fit) {
  if (is.null(fit$inner)) {
    return(fit)
  }
  parts <- fit$inner[!vapply(fit$inner, is.null, NA)]
  fit[names(parts)] <- parts
  fit$inner <- fit$measurement <- fit$center <- fit$noise_var <- fit$nuisance <- NULL
  fit
}

#' Rows of x as the engine of a fit sees them
#' @return list: `x`; `noise`, covariances of rows whose noise is their own, NULL if it is the
#'   common one
#' @noRd
engine_rows <- function(fit, x, call = rlang::caller_env()) {
  if (is.null(fit$inner)) {
    return(list(x = x))
  }
  constant <- fit$data$constant
  space <- fit$inner$data$space
  x <- if (length(constant) > 0L) x[, -constant, drop = FALSE] else x
  rows <- if (fit$data$missing > 0 || anyNA(x)) {
    missing_coordinates(x, space$model, call, "newdata")
  }
  list(x = coordinates_of(x, space, rows), noise = rows$noise)
}

#' Targets with those of nuisance factors, which nothing targets
#' @noRd
with_nuisance_targets <- function(targets, fit) {
  many <- inner_nuisance(fit$measurement)
  cbind(unclass(targets), matrix(0L, nrow(targets), many,
                                 dimnames = list(NULL, nuisance_names(many))))
}

#' A design of rows (see row_design()) for the engine of a fit
#' @noRd
inner_design <- function(design, fit) {
  if (!is.null(fit$inner)) {
    design$targets <- with_nuisance_targets(design$targets, fit)
    storage.mode(design$targets) <- "integer"
  }
  design
}

#' Nuisance factors among the latents that an engine sees: not those that count as noise
#' @noRd
inner_nuisance <- function(measured) {
  if (is.null(measured$folded)) measured$nuisance %||% 0L else 0L
}

#' Posterior means of nuisance factors of variance 1 that count as noise: linear in the latents
#' @noRd
folded_scores <- function(x, latents, fit) {
  loadings <- fit$nuisance$mixing
  weighted <- loadings / fit$noise_var
  weighted[fit$data$constant, ] <- 0
  (x - mix(latents, fit)) %*% weighted %*%
    solve(diag(ncol(loadings)) + crossprod(loadings, weighted))
}

#' What an engine says on rows, without the nuisance factors, whose scores stand apart
#' @param x The rows (n x p).
#' @noRd
outer_step <- function(step, fit, x) {
  if (is.null(fit$nuisance)) {
    return(step)
  }
  if (inner_nuisance(fit$measurement) == 0L) {
    return(c(step, list(nuisance = list(scores = folded_scores(x, step$latents, fit)))))
  }
  kept <- seq_len(fit$data$d)
  scores <- step$latents[, -kept, drop = FALSE]
  parts <- intersect(c("y", "score", "dscore", "latents", "latents_sd"), names(step))
  step[parts] <- lapply(step[parts], function(part) part[, kept, drop = FALSE])
  c(step, list(nuisance = list(scores = scores)))
}

#' Scores of the nuisance factors of a fit or of a step, NULL where there are none
#' @noRd
nuisance_scores <- function(step) {
  step$nuisance$scores
}

#' Going on with the fit of the coordinates
#' @noRd
go_on_measured <- function(object, further, settings, call) {
  inner <- inner_fit(object)
  if (!is.null(whitened_lengths(inner))) {
    inner <- rescaled_latents(inner, unname(sqrt(colSums(inner$mixing^2)))) # to length 1 there
  }
  fit <- at_own_noise(go_on(inner, further, settings, call), call)
  fit <- lifted(fit, object$data, object$measurement, call)
  kept <- c("start", "call", "columns")
  fit[kept] <- object[kept]
  fit
}
