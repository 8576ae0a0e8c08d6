# What the data tell of the kind of A before the start is looked for: are its columns correlated?
# By the likelihood of the linear-Gaussian model, which costs the same for any number of rows.

# Columns count as correlated where BIC says so, a test at the level of that of means agrees (few
# rows), the largest cosine between two of them is beyond this, and curves for mechanisms explain less.
# Lines through bent mechanisms gain by turning orthogonal columns, too, mostly by smaller angles.
CORRELATED_COSINE <- 0.35

# By how much curves must gain more: they have more coefficients than columns have angles.
CURVES_MARGIN <- 1.25

#' Data that know whether `mixing` is to be chosen: its "auto" is settled before x is reduced
#' @noRd
asking_columns <- function(data, control) {
  if (!is.null(data$measure)) {
    data$measure$columns <- control$mixing == "auto" && control$preset != "paper" &&
      has_measurement(control$prior)
  }
  data
}

#' The settings with what "auto" stands for once x is reduced
#' @param settings A control or a plan.
#' @return list: `settings`; `chosen`, list: `columns`, see columns_test(), and `intervention`, see
#'   resolved_intervention(); NULL where they were not asked for
#' @noRd
resolved_structure <- function(data, init, settings, call) {
  chosen <- resolved_intervention(data, settings, call)
  settings <- chosen$settings
  asked <- isTRUE(data$measure$columns) && identical(init, "interventional") && data$d > 1L &&
    is.null(data$row_noise)
  test <- if (asked) columns_test(data, settings, call)
  if (isTRUE(test$correlated)) {
    settings <- with_correlated(settings)
    tell_columns(test)
  }
  list(settings = settings, chosen = list(columns = test, intervention = chosen$intervention))
}

#' A fit with what was chosen for it, where something was
#' @noRd
with_chosen <- function(fit, chosen) {
  for (name in names(chosen)) fit[[name]] <- chosen[[name]]
  fit
}

#' The settings of correlated columns; lambda is theirs unless another than the default was given
#' @noRd
with_correlated <- function(settings) {
  settings$mixing <- "psd"
  if (identical(settings$lambda, 5)) settings$lambda <- PSD_LAMBDA
  if (!is.null(settings$stages)) settings$stages <- start_stages(settings)
  settings
}

#' @noRd
tell_columns <- function(test) {
  tell(c("i" = paste(
    "Columns of A are correlated (largest cosine {format(test$cosine, digits = 2)}): a general A",
    "has {format(test$loglik, digits = 3)} more log-likelihood than orthogonal columns."
  )), class = "ebcrl_message_columns")
}

#' What was chosen, in a line; NULL where nothing was
#' @param short Only where columns are correlated, with fewer figures?
#' @noRd
describe_columns <- function(fit, short = FALSE) {
  test <- fit$columns
  if (is.null(test) || (short && !test$correlated)) {
    return(NULL)
  }
  if (short) {
    return(paste0("Columns of A are correlated, by the data: cosines up to ",
                  format(test$cosine, digits = 2L), ", log-likelihood ", figures(test$loglik, 3L),
                  " above that of orthogonal ones"))
  }
  paste0("Columns of A: ", if (test$correlated) "correlated" else "orthogonal",
         " by the data (general ones: log-likelihood ", figures(test$loglik, 3L), " higher, BIC ",
         if (test$bic > 0) "better" else "worse", " by ", figures(abs(test$bic), 3L),
         ", largest cosine ", format(test$cosine, digits = 2L),
         if (!is.na(test$curves %||% NA)) {
           paste0("; curves for mechanisms gain ", figures(test$curves, 3L), " with orthogonal ones")
         }, ")")
}

#' General columns against orthogonal ones, by the likelihood of the linear-Gaussian model in the
#' space of the factors; NULL where graph and targets do not tell a general A
#'
#' @return list: `loglik`, its gain; `bic`, twice that less its penalty; `cosine`, the largest
#'   between two columns of the general A; `curves`, see curves_gain(), where the others speak for
#'   correlated ones; `correlated`
#' @noRd
columns_test <- function(data, settings, call) {
  if (!is.null(data$space$found)) {
    return(data$space$columns)
  }
  perfect <- settings$intervention == "perfect"
  if (NROW(shearable_pairs(data, perfect)) > 0L) {
    return(NULL)
  }
  start <- start_space(data, call)
  cells <- rotation_cells(data, start, perfect)
  settings["seed"] <- settings$seed %||% 1L
  found <- rotation_search(cells, VARIANCE_FLOOR * start$sigma2, settings)
  optima <- utils::head(distinct_optima(found)$which, REFINED_OPTIMA)
  rotation <- matrix(found$rotation[, , optima[1L]], data$d)
  general <- unmixing_search(cells, start, rotation, 1L, settings)
  mixing <- matrix(general$rotation, data$d)
  gain <- sum(cells$weight) / data$d * (general$begin - general$objective)
  test <- columns_evidence(gain, start$orthonormal %*% mixing, data, data$space$nuisance %||% 0L)
  if (test$correlated) {
    test$curves <- curves_gain(found$rotation[, , optima, drop = FALSE], data, start, settings)
    test$correlated <- !isTRUE(test$curves >= CURVES_MARGIN * test$loglik)
  }
  test
}

#' What splines for mechanisms gain over lines, orthogonal columns kept: log-likelihood of all rows
#'
#' Lines through steep mechanisms gain by columns at any angle. Where curves under orthogonal ones
#' gain more, it is the mechanisms that are not as supposed, not the columns.
#' @param rotations d x d x some: optima for lines, the best first.
#' @return NA where the correction for noise broke down in all of them
#' @noRd
curves_gain <- function(rotations, data, start, settings) {
  rows <- thinned(data, PERFECT$rows)
  part <- principal_part(rows, start)
  cells <- rotation_cells(rows, start, settings$intervention == "perfect")
  lines <- .Call(C_rotation_at, cells$cov, cells$weight, cells$coord,
                 VARIANCE_FLOOR * start$sigma2, rotations, UNTOLD$turn)$objective
  curves <- vapply(seq_len(dim(rotations)[3L]), function(k) {
    end <- refined_rotation(matrix(rotations[, , k], data$d), part, start$sigma2, settings, 0L,
                            PERFECT$sweeps)
    # a variance at its floor, as a regression left indefinite, makes up gains
    if (end$indefinite + end$floored > MOST_INDEFINITE * end$fitted) NA else end$objective
  }, 0)
  if (all(is.na(curves))) NA_real_ else (lines[1L] - min(curves, na.rm = TRUE)) * (data$n / rows$n)
}

#' @param mixing General columns, of latents and then of nuisance factors, which in the search for a
#'   rotation are orthogonal, too, but of whose cosines nothing hangs.
#' @noRd
columns_evidence <- function(loglik, mixing, data, nuisance = 0L) {
  d <- ncol(mixing)
  latents <- seq_len(d - nuisance)
  cosine <- max(abs(crossprod(unit_columns(mixing[, latents, drop = FALSE])) -
                      diag(length(latents))))
  df <- d * (d - 1) / 2
  bic <- 2 * loglik - df * log(data$n)
  p_value <- stats::pchisq(2 * loglik, df, lower.tail = FALSE)
  list(loglik = loglik, bic = bic, cosine = cosine,
       correlated = bic > 0 && p_value < CENTER_LEVEL && cosine > CORRELATED_COSINE)
}

# Perfect or not ----------------------------------------------------------------------------------

# Rows of a domain and sweeps of the spline stage by which interventions are told; coefficients that a
# curve takes in targeted rows; share of what parents explain in other rows that perfect interventions
# may lose: the second-order correction for noise of steep mechanisms leaves up to 2 percent.
PERFECT <- list(rows = 500L, sweeps = 2L, starts = 10L, coefficients = 2, share = 0.025)

#' The settings with what `intervention = "auto"` stands for
#'
#' By BIC, of splines for mechanisms with and without parents in targeted rows, under the rotation that
#' is best without.
#' @return list: `settings`; `intervention`, list of `loss` (log-likelihood that perfect interventions
#'   lose), `allowed` (what they may), `edges` (into targets) and `perfect`; NULL where it was given
#' @noRd
resolved_intervention <- function(data, settings, call) {
  if (settings$intervention != "auto") {
    return(list(settings = settings, intervention = NULL))
  }
  edges <- sum(data$dag[, colSums(data$targets) > 0])
  test <- list(loss = NA_real_, allowed = NA_real_, edges = edges)
  if (edges > 0L && data$d > 1L) {
    found <- perfect_loss(data, settings, call)
    test$loss <- found$loss
    test$allowed <- max(PERFECT$coefficients / 2 * edges * log(found$rows),
                        PERFECT$share * found$explained)
  }
  test$perfect <- isTRUE(test$loss <= test$allowed)
  settings$intervention <- if (test$perfect) "perfect" else "imperfect"
  if (!is.na(test$loss)) tell_intervention(test)
  list(settings = settings, intervention = test)
}

#' @return list: `loss`; `explained`, log-likelihood that parents gain in rows without targets; `rows`
#' @noRd
perfect_loss <- function(data, settings, call) {
  start <- start_space(data, call)
  settings["seed"] <- settings$seed %||% 1L
  part <- principal_part(thinned(data, PERFECT$rows), start)
  rotations <- lapply(c(FALSE, TRUE), function(perfect) {
    cells <- rotation_cells(data, start, perfect)
    best_rotation(cells, VARIANCE_FLOOR * start$sigma2, settings, PERFECT$starts)
  })
  refined <- function(rotation, part, kind, sweeps) {
    settings$intervention <- kind
    refined_rotation(rotation, part, start$sigma2, settings, 0L, sweeps)
  }
  tried <- lapply(rotations, refined, part, "perfect", PERFECT$sweeps)
  best <- tried[[which.min(vapply(tried, `[[`, 0, "objective"))]]
  without <- replace(part, "dag", list(0L * part$dag))
  list(loss = best$objective - refined(best$rotation, part, "imperfect", 0L)$objective,
       explained = refined(best$rotation, without, "perfect", 0L)$objective - best$objective,
       rows = part$n)
}

#' @noRd
tell_intervention <- function(test) {
  cli::cli_inform(c("i" = describe_intervention(list(intervention = test))),
                  class = "ebcrl_message_intervention")
}

#' What was chosen, in a line; NULL where nothing was
#' @noRd
describe_intervention <- function(fit) {
  test <- fit$intervention
  if (is.null(test)) {
    return(NULL)
  }
  if (is.na(test$loss)) {
    return("Interventions: no edge leads into a target, so that perfect ones do not differ from others")
  }
  paste0("Interventions are ", if (test$perfect) "perfect" else "imperfect", ", by the data: to suppose ",
         "perfect ones costs ", figures(test$loss, 3L), " of log-likelihood over ",
         count_of(test$edges, "edge"), " into targets (at most ", figures(test$allowed, 3L),
         " where they are)")
}
