# What the data tell before the start is looked for: are columns of A correlated, are interventions
# perfect? By the likelihood of the linear-Gaussian model, which costs the same for any number of rows,
# and of splines for mechanisms, on some rows of each domain.

# Columns count as correlated where BIC says so, a test at the level of that of means agrees (few
# rows), the largest cosine between two of them is beyond this, and splines for mechanisms gain by
# them, too: in log-likelihood a row, this and a share of what splines gain over lines. General columns
# are sought with lines, and the steeper mechanisms are, the more may be left to gain by others.
CORRELATED_COSINE <- 0.35
CORRELATED_GAIN <- list(least = 0.02, share = 0.35)

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
#'
#' Both are asked of the data by an interventional start only: from any other, interventions are
#' those of the fit that it goes on from, or "imperfect", which supposes less.
#' @param settings A control or a plan.
#' @return list: `settings`; `chosen`, list: `columns`, see columns_test(), and `intervention`, see
#'   resolved_intervention(); NULL where they were not asked for
#' @noRd
resolved_structure <- function(data, init, settings, call) {
  if (!identical(init, "interventional")) {
    if (settings$intervention == "auto") settings$intervention <- "imperfect"
    return(list(settings = settings, chosen = NULL))
  }
  asked <- isTRUE(data$measure$columns) && data$d > 1L && is.null(data$row_noise)
  test <- if (asked) columns_test(data, settings, call)
  if (isTRUE(test$correlated)) {
    settings <- with_correlated(settings)
    tell_columns(test)
  }
  chosen <- resolved_intervention(data, settings, call)
  list(settings = chosen$settings,
       chosen = list(columns = test, intervention = chosen$intervention))
}

#' The settings of a fit that goes on from another: interventions are what they were there
#' @noRd
continued_settings <- function(control, init) {
  if (inherits(init, "crl_fit") && control$intervention == "auto") {
    control$intervention <- init$control$intervention
  }
  control
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
    "has {format(test$loglik, digits = 3)} more log-likelihood than orthogonal columns. (An edge that",
    "the graph lacks can look like it: see {.fn crl_check}.)"
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
           paste0("; with splines for mechanisms ", figures(test$curves, 3L), " higher")
         }, ")")
}

#' General columns against orthogonal ones, by the likelihood in the space of the factors; NULL where
#' graph and targets do not tell a general A
#'
#' Under `intervention = "auto"` general columns with perfect interventions are held against
#' orthogonal ones with imperfect interventions, too: each passes for the other where it is not
#' compared with.
#' @return list: `loglik`, what general columns gain with linear-Gaussian mechanisms; `bic`, twice
#'   that less its penalty, both the least of the comparisons; `cosine`, the largest between two columns
#'   of the general A; `curves` and `asked`, see curves_gain(), where the others speak for correlated
#'   ones; `correlated`
#' @noRd
columns_test <- function(data, settings, call) {
  if (!is.null(data$space$found)) {
    return(data$space$columns)
  }
  kinds <- compared_kinds(settings$intervention)
  perfect <- kinds == "perfect"
  if (NROW(shearable_pairs(data, perfect[["general"]])) > 0L) {
    return(NULL)
  }
  start <- start_space(data, call)
  settings["seed"] <- settings$seed %||% 1L
  floor <- VARIANCE_FLOOR * start$sigma2
  cells <- rotation_cells(data, start, perfect[["general"]])
  found <- rotation_search(cells, floor, settings)
  orthogonal <- best_optima(found)
  general <- unmixing_search(cells, start, matrix(orthogonal[, , 1L], data$d),
                             settings$start$starts, settings)
  at <- which.min(general$objective)
  gain <- sum(cells$weight) / data$d * (general$begin - general$objective[at])
  fewer <- 0
  if (perfect[["orthogonal"]] != perfect[["general"]]) {
    other <- rotation_search(rotation_cells(data, start, perfect[["orthogonal"]]), floor, settings)
    gain <- c(gain, gain + min(other$objective) - min(found$objective))
    fewer <- c(0, intervened_edges(data))
    orthogonal <- bind_last(best_optima(other), orthogonal[, , 1L, drop = FALSE])
  }
  mixing <- matrix(general$rotation[, , at], data$d)
  test <- columns_evidence(gain, start$orthonormal %*% mixing, data, nuisance_of(data), fewer)
  if (test$correlated) {
    test[c("curves", "asked")] <- curves_gain(orthogonal, mixing, data, start, settings)
    test$correlated <- is.na(test$curves) || test$curves > test$asked
  }
  test
}

#' The interventions under which orthogonal columns are held against general ones
#' @noRd
compared_kinds <- function(intervention) {
  if (intervention == "auto") {
    return(c(orthogonal = "imperfect", general = "perfect"))
  }
  c(orthogonal = intervention, general = intervention)
}

#' @return d x d x some, best first
#' @noRd
best_optima <- function(found) {
  found$rotation[, , utils::head(distinct_optima(found)$which, REFINED_OPTIMA), drop = FALSE]
}

#' Edges into latents that some domain targets
#' @noRd
intervened_edges <- function(data) {
  sum(data$dag[, colSums(data$targets) > 0])
}

#' What general columns gain where mechanisms are splines: log-likelihood of all rows
#'
#' Lines through bent mechanisms gain by columns at any angle, splines hardly.
#' @param rotations Orthogonal columns that are good for lines (d x d x some), in principal
#'   coordinates.
#' @param mixing Best general ones.
#' @return list: `gain`, NA where the correction for noise broke down in one of them, which right
#'   columns hardly let it do; `asked`, what it has to be
#' @noRd
curves_gain <- function(rotations, mixing, data, start, settings) {
  rows <- thinned(data, PERFECT$rows)
  refined <- function(rotation, part, kind) {
    end <- refined_under(kind, rotation, part, start, settings)
    # a variance at its floor, as a regression left indefinite, makes up gains
    if (end$indefinite + end$floored > MOST_INDEFINITE * end$fitted) NA else end$objective
  }
  kinds <- compared_kinds(settings$intervention)
  part <- principal_part(rows, start)
  orthogonal <- apply(rotations, 3L, refined, part = part, kind = kinds[["orthogonal"]])
  best <- if (all(is.na(orthogonal))) NA else min(orthogonal, na.rm = TRUE)
  unmix <- solve(mixing)
  turned <- function(cov) unmix %*% cov %*% t(unmix)
  part$noise <- turned(part$noise %||% diag(start$sigma2, data$d))
  part$x <- part$x %*% t(unmix)
  splines <- refined(diag(data$d), part, kinds[["general"]])
  cells <- rotation_cells(rows, start, kinds[["general"]] == "perfect")
  cells$cov[] <- apply(cells$cov, 3L, turned)
  lines <- .Call(C_rotation_at, cells$cov, cells$weight, cells$coord,
                 VARIANCE_FLOOR * start$sigma2, array(diag(data$d), c(data$d, data$d, 1L)),
                 UNTOLD$turn)$objective
  scale <- data$n / rows$n
  list(gain = scale * (best - splines - rows$n * log(abs(det(mixing)))),
       asked = CORRELATED_GAIN$least * data$n +
         CORRELATED_GAIN$share * scale * max(0, lines - splines, na.rm = TRUE))
}

#' The spline stage on some rows, interventions being of a kind
#' @noRd
refined_under <- function(kind, rotation, part, start, settings, sweeps = PERFECT$sweeps) {
  settings$intervention <- kind
  refined_rotation(rotation, part, start$sigma2, settings, 0L, sweeps)
}

#' @param loglik Gains over models of orthogonal columns.
#' @param mixing General columns, of latents and then of nuisance factors, which in the search for a
#'   rotation are orthogonal, too, but of whose cosines nothing hangs.
#' @param fewer Other parameters that the model of general columns has less than each.
#' @noRd
columns_evidence <- function(loglik, mixing, data, nuisance = 0L, fewer = 0) {
  d <- ncol(mixing)
  latents <- seq_len(d - nuisance)
  cosine <- max(abs(crossprod(unit_columns(mixing[, latents, drop = FALSE])) -
                      diag(length(latents))))
  angles <- d * (d - 1) / 2
  bic <- 2 * loglik - (angles - fewer) * log(data$n)
  p_value <- stats::pchisq(2 * loglik[1L], angles, lower.tail = FALSE)
  list(loglik = min(loglik), bic = min(bic), cosine = cosine,
       correlated = all(bic > 0) && p_value < CENTER_LEVEL && cosine > CORRELATED_COSINE)
}

# Perfect or not ----------------------------------------------------------------------------------

# Rows of a domain and sweeps of the spline stage by which interventions are told; coefficients that a
# curve takes in targeted rows; share of what parents explain in other rows that perfect interventions
# may lose: the second-order correction for noise of steep mechanisms leaves up to 2 percent.
PERFECT <- list(rows = 500L, sweeps = 2L, starts = 10L, coefficients = 2, share = 0.025)

#' The settings with what `intervention = "auto"` stands for
#'
#' By BIC, of splines for mechanisms with and without parents in targeted rows, under the rotation that
#' is best without. A general A is looked for under perfect interventions where others do not tell it.
#' @return list: `settings`; `intervention`, list of `loss` (log-likelihood that perfect interventions
#'   lose), `allowed` (what they may), `edges` (into targets) and `perfect`; NULL where it was given
#' @noRd
resolved_intervention <- function(data, settings, call) {
  if (settings$intervention != "auto") {
    return(list(settings = settings, intervention = NULL))
  }
  test <- list(loss = NA_real_, allowed = NA_real_, edges = intervened_edges(data), perfect = FALSE)
  if (settings$mixing == "psd") {
    test$perfect <- NROW(shearable_pairs(data, FALSE)) > 0L
  } else if (test$edges > 0L && data$d > 1L) {
    found <- perfect_loss(data, settings, call)
    test$loss <- found$loss
    test$allowed <- max(PERFECT$coefficients / 2 * test$edges * log(found$rows),
                        PERFECT$share * found$explained)
    test$perfect <- isTRUE(test$loss <= test$allowed)
  }
  settings$intervention <- if (test$perfect) "perfect" else "imperfect"
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
  tried <- lapply(rotations, refined_under, kind = "perfect", part, start, settings)
  best <- tried[[which.min(vapply(tried, `[[`, 0, "objective"))]]
  there <- function(kind, part) {
    refined_under(kind, best$rotation, part, start, settings, sweeps = 0L)$objective
  }
  without <- replace(part, "dag", list(0L * part$dag))
  list(loss = best$objective - there("imperfect", part),
       explained = there("perfect", without) - best$objective,
       rows = part$n)
}

#' What was chosen, in a line; NULL where nothing was
#' @noRd
describe_intervention <- function(fit) {
  test <- fit$intervention
  if (is.null(test) || test$edges == 0L) {
    return(NULL)
  }
  if (is.na(test$loss)) {
    return(paste("Interventions are taken to be", if (test$perfect) {
      "perfect: under others the data do not tell correlated columns of A"
    } else {
      "imperfect"
    }))
  }
  paste0("Interventions are ", if (test$perfect) "perfect" else "imperfect", ", by the data: to suppose ",
         "perfect ones costs ", figures(test$loss, 3L), " of log-likelihood over ",
         count_of(test$edges, "edge"), " into targets (at most ", figures(test$allowed, 3L),
         " where they are)")
}
