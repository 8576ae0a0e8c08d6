# What a "crl_fit" says about itself: print(), summary(), coef(), fitted(), residuals(), nobs().
# predict() is in fit_predict.R, plots in plot.R, tidy(), glance() and augment() in fit_tidiers.R.

#' Print and summarise a fit
#'
#' `print()` gives the size of the data, how much of the variance of `x` the latents explain, whether
#' the iterations converged, what each intervention does to its targets, and the three most important
#' notes. `summary()` adds the model, how the iterations went, a table by domain and one by
#' (node, target state), the slopes of linear mechanisms, and all notes: what the start leaves open,
#' and every floor, fallback or other numerical event of the fit in words.
#'
#' @param x,object A `crl_fit`, from [fit_crl()]; for `print()` of a summary, the summary.
#' @param digits Number of significant digits shown.
#' @param ... Not used.
#' @return `print()` returns its argument, invisibly. `summary()` returns a list of class
#'   `summary.crl_fit`:
#'   \describe{
#'     \item{method}{`"f"` or `"g"`, as in [fit_crl()].}
#'     \item{size}{named integers: `n` rows, `p` features, `d` latents, `n_domains` domains.}
#'     \item{model}{character vector: the lines that describe score, penalty, mixing and start.}
#'     \item{convergence}{character vector: whether the iterations converged, how far they are from
#'       their limit by estimate; if not, what moves, and what to do.}
#'     \item{converged}{`TRUE` or `FALSE`.}
#'     \item{sigma2}{noise variance, in the squared units of `x`.}
#'     \item{explained}{share of the variance of `x` about its means that is not noise:
#'       \eqn{1 - p \sigma^2 / v}, v the sum of the variances of the features.}
#'     \item{verdict}{character vector: the convergence in short, as `print()` shows it.}
#'     \item{effects}{tibble with one row a (domain, latent), as `tidy(x, "effects")` has it, see
#'       [tidy.crl_fit()].}
#'     \item{mechanisms}{of a fit by `method = "g"`: tibble of `node`, `state`, `term`,
#'       `estimate`, see [coef()][coef.crl_fit]; else NULL.}
#'     \item{domains}{tibble with one row a domain: `domain`; `targets` (names of the latents it
#'       targets, or `"none"`); `rows`; `weight`; `posterior_sd` (mean of `latents_sd` over its rows
#'       and all latents, in the units of the latents); `floored` (number of (row, latent) pairs
#'       whose posterior variance came out negative and was set to 0; where columns of A are
#'       correlated, of negative eigenvalues of the rows' posterior covariances; not in fits by
#'       `method = "g"`, which have no such floor).}
#'     \item{cells}{tibble with one row a (node, target state): `node`, `state` (0 or 1), `rows`,
#'       `coefficients`, `solver`, `lambda`, `cg_iterations`, `loss` (the score-matching loss,
#'       equation (5.3) of the paper, of the node's score component, per row in that state); of a
#'       fit by `method = "g"`, after `coefficients`, `df` (effective degrees of freedom) and
#'       `noise_var`.}
#'     \item{seconds}{seconds of the fit by stage, named, see [fit_crl()]; NULL where they are not
#'       known.}
#'     \item{notes}{character vector, empty if there is nothing to note, the most important first:
#'       what the start leaves open, then every numerical event in words.}
#'   }
#' @seealso [plot.crl_fit()], [predict.crl_fit()], [tidy.crl_fit()].
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' fit <- fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag)
#' fit
#' summary(fit)
#' @export
print.crl_fit <- function(x, digits = 3L, ...) {
  x <- check_fit(x, "x")
  print_head(list(method = x$method, size = fit_size(x), explained = explained_variance(x),
                  sigma2 = x$sigma2), digits)
  write_lines(c(describe_measurement(x), describe_columns(x, short = TRUE), describe_intervention(x),
                describe_verdict(x),
                describe_start_error(x)))
  print_shifts(fit_shifts(x))
  print_notes(all_notes(x), most = 3L)
  invisible(x)
}

#' @rdname print.crl_fit
#' @export
summary.crl_fit <- function(object, ...) {
  check_dots_empty(...)
  object <- check_fit(object)
  structure(list(method = object$method, size = fit_size(object), model = describe_model(object),
                 convergence = describe_convergence(object), verdict = describe_verdict(object),
                 converged = object$converged, sigma2 = object$sigma2,
                 explained = explained_variance(object), effects = fit_shifts(object),
                 domains = domain_table(object), cells = object$cells,
                 mechanisms = if (inherits(object, "crl_fit_g")) mechanism_slopes(object),
                 seconds = object$seconds, notes = all_notes(object)),
            class = "summary.crl_fit")
}

#' @rdname print.crl_fit
#' @export
print.summary.crl_fit <- function(x, digits = 3L, ...) {
  print_head(x, digits)
  write_lines(c(x$model, x$convergence, describe_seconds(x$seconds)))
  print_shifts(x$effects, Inf)
  cat("\nDomains:\n")
  print_table(x$domains, digits)
  part <- if (is.null(x$mechanisms)) "Score components" else "Mechanisms"
  cat("\n", part, ", by node and target state:\n", sep = "")
  print_table(x$cells, digits)
  if (!is.null(x$mechanisms)) {
    cat("\nIntercepts and slopes of the mechanisms (of splines, the average slope):\n")
    print_table(x$mechanisms, digits)
  }
  print_notes(x$notes)
  invisible(x)
}

#' "Seconds: 5.7 (EM 2.2, ...)": the stages that took a hundredth or more, the longest first
#' @noRd
describe_seconds <- function(seconds) {
  if (is.null(seconds)) {
    return(NULL)
  }
  total <- sum(seconds)
  shown <- sort(seconds[seconds >= 0.01 * total], decreasing = TRUE)
  paste0("Seconds: ", format(total, digits = 2L), " (",
         paste(names(shown), vapply(shown, format, "", digits = 2L), collapse = ", "), ").")
}

#' Mixing matrix, latents and residuals of a fit
#'
#' @param object A `crl_fit`, from [fit_crl()].
#' @param type `"latents"`: the posterior means. `"x"`: the denoised observations, latents times the
#'   transposed mixing matrix, in the units of `x`; of a feature that was left out because it has
#'   one value only, that value.
#' @param what Of `coef()`: `"mixing"`, A; `"mechanisms"`, of a fit by `method = "g"`, the
#'   mechanisms' intercepts and slopes. A spline mechanism has no slope: the least-squares slope of
#'   the fitted effect over the rows of the state, see [mechanisms()] for the curve.
#' @param x A `crl_fit`.
#' @param ... Not used.
#' @return `coef()`: the mixing matrix A (p x d matrix, features x latents), or a tibble of `node`,
#'   `state`, `term` (`"(Intercept)"` or a parent) and `estimate`. `loadings()`: A, as a
#'   plain matrix (columns of length 1 have no shares of variance to print); what is not a fit goes to
#'   [stats::loadings()]. `sigma()`: the noise standard
#'   deviation, \eqn{\sigma}, in the units of `x`. `fitted()`: n x d
#'   matrix (`"latents"`) or n x p matrix (`"x"`). `residuals()`: `x` minus the latter (n x p
#'   matrix); like `fitted(type = "x")`, it takes as much memory as the data. `nobs()`: the number
#'   of rows n.
#' @seealso [predict.crl_fit()] for new rows.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' fit <- fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag)
#' dim(coef(fit))
#' head(fitted(fit))
#' mean(residuals(fit)^2)
#' nobs(fit)
#' sigma(fit)
#' head(loadings(fit))
#' @name crl_fit-methods
NULL

#' @rdname crl_fit-methods
#' @importFrom stats coef
#' @export
coef.crl_fit <- function(object, what = c("mixing", "mechanisms"), ...) {
  check_dots_empty(...)
  what <- check_choice(what, c("mixing", "mechanisms"), "what")
  object <- check_fit(object)
  if (what == "mixing") object$mixing else mechanism_slopes(object)
}

#' @rdname crl_fit-methods
#' @importFrom stats sigma
#' @export
sigma.crl_fit <- function(object, ...) {
  check_dots_empty(...)
  sqrt(object$sigma2)
}

#' @rdname crl_fit-methods
#' @export
loadings <- function(x, ...) {
  UseMethod("loadings")
}

#' @export
loadings.default <- function(x, ...) {
  stats::loadings(x, ...)
}

#' @rdname crl_fit-methods
#' @export
loadings.crl_fit <- function(x, ...) {
  check_dots_empty(...)
  x$mixing
}

#' @rdname crl_fit-methods
#' @importFrom stats fitted
#' @export
fitted.crl_fit <- function(object, type = c("latents", "x"), ...) {
  check_dots_empty(...)
  type <- check_choice(type, c("latents", "x"), "type")
  object <- check_fit(object)
  if (type == "latents") object$latents else mix(object$latents, object, nuisance_scores(object))
}

#' @rdname crl_fit-methods
#' @importFrom stats residuals
#' @export
residuals.crl_fit <- function(object, ...) {
  check_dots_empty(...)
  object <- check_fit(object)
  kept_x(object$data, "residuals()") - mix(object$latents, object, nuisance_scores(object))
}

#' @rdname crl_fit-methods
#' @importFrom stats nobs
#' @export
nobs.crl_fit <- function(object, ...) {
  object$data$n
}

#' The rows of x that a fit keeps, see `keep_x` in fit_crl()
#' @noRd
kept_x <- function(data, what, call = rlang::caller_env()) {
  if (!is.null(data$x)) {
    return(data$x)
  }
  if (can_be_dense(data$rows)) {
    return(dense_rows(data$rows))
  }
  held <- is.null(data$rows)
  abort_input(c("{.code {what}} needs the rows of {.arg x} in the fit.",
                "x" = if (held) "They were not kept." else "They are {data$rows$kind}.",
                "i" = if (held) "Fit with {.code keep_x = TRUE}." else dense_size_hint(data$rows)),
              "rows", call = call)
}

#' A fit that holds the rows of x as a matrix
#' @noRd
with_kept_x <- function(fit, what, call = rlang::caller_env()) {
  if (is.null(fit$data$x)) {
    fit$data$x <- kept_x(fit$data, what, call)
    fit$data["rows"] <- list(NULL)
  }
  fit
}

#' Observations without noise: rows of latents (n x d), and of nuisance factors, to rows of features
#' (n x p)
#' @noRd
mix <- function(latents, object, nuisance = NULL) {
  x <- tcrossprod(latents, object$mixing)
  if (!is.null(nuisance)) x <- x + tcrossprod(nuisance, object$nuisance$mixing)
  if (!is.null(object$center)) x <- x + rep(object$center, each = nrow(x))
  constant <- object$data$constant
  if (length(constant) > 0L) {
    x[, constant] <- rep(object$data$constant_at, each = nrow(x))
  }
  x
}

#' @noRd
fit_size <- function(fit) {
  c(n = fit$data$n, p = fit$data$p, d = fit$data$d, n_domains = fit$data$n_domains)
}

#' Score, penalty, mixing and start in two lines
#' @noRd
describe_model <- function(fit) {
  start <- fit$init
  if (start == "interventional") {
    start <- paste0(start, " (", describe_search(fit$optima), describe_sampling(fit), ")")
  }
  held <- isFALSE(fit$learned[["mixing"]]) && fit$control$mixing != "fixed"
  c(describe_engine(fit), describe_measurement(fit), describe_columns(fit),
    describe_intervention(fit),
    paste0("Mixing: ", fit$control$mixing, if (held) " (held)", ", start: ", start),
    describe_start_error(fit))
}

#' What is fitted beside the paper's model of x, in a line; NULL where nothing is
#' @noRd
describe_measurement <- function(fit) {
  noise <- fit$noise_var[setdiff(seq_along(fit$noise_var), fit$data$constant)]
  nuisance <- fit$measurement$nuisance %||% 0L
  parts <- c(
    if (!is.null(fit$center)) "feature means",
    if (identical(fit$measurement$noise, "by_feature")) {
      paste("noise variances by feature from", figures(min(noise), 3L), "to",
            figures(max(noise), 3L))
    },
    if (nuisance > 0L) count_of(nuisance, "nuisance factor"),
    if (!is.null(fit$data$covariates)) {
      paste("effects of", count_of(nrow(fit$data$covariates$effects), "covariate"))
    }
  )
  c(if (length(parts) > 0L) {
      paste0("Measurement model: ", paste(parts, collapse = ", "), " fitted")
    }, if (fit$data$missing > 0) missing_words(fit$data))
}

#' @noRd
missing_words <- function(data) {
  share <- 100 * data$missing / (data$n * data$p)
  paste0("Missing: ", whole(data$missing), " of ", whole(data$n * data$p), " entries of x (",
         format(share, digits = 2L), " %)")
}

#' @noRd
describe_search <- function(optima) {
  by <- if (isTRUE(which.min(optima$refined) > 1L)) {
    ", chosen by draws"
  } else if (which.min(optima$objective) > 1L) {
    ", chosen by spline mechanisms"
  }
  ended <- if (optima$starts[1L] > 0L) {
    paste(optima$starts[1L], "of", sum(optima$starts), "searches ended in the best optimum")
  } else {
    "the best optimum is one of the search under perfect interventions"
  }
  paste0(ended, by)
}

#' @noRd
describe_engine.crl_fit_f <- function(fit) {
  control <- fit$control
  perfect <- if (control$intervention == "perfect") ", perfect interventions"
  chosen <- if (isTRUE(fit$chosen[["interaction"]])) " (chosen)"
  interaction <- control$spline$interaction
  sums <- if (interaction != "tensor") {
    paste0(", ", interaction, " in the parents", chosen)
  }
  c(paste0("Score: ", control$score, sums, perfect, ", ", control$penalty, " penalty with ",
           describe_lambda(fit), ", ", control$knots, " knots", describe_damping(fit)),
    describe_reference(fit))
}

#' @noRd
describe_reference <- function(fit) {
  reference <- fit$score$reference
  if (!is.null(reference)) {
    share <- reference$kappa / (reference$kappa + fit$data$n / ncol(reference$mean))
    paste0("Reference score: a Gaussian for each combination of targets, ", percent(share),
           " from a linear causal model, else from its rows")
  }
}

#' @noRd
describe_lambda <- function(fit) {
  if (!identical(fit$control$lambda, "auto")) {
    return(paste("lambda =", format(fit$control$lambda)))
  }
  ends <- unique(signif(range(fit$cells$lambda), 3L))
  paste("lambda chosen:", paste(vapply(ends, format, ""), collapse = " - "))
}

#' @noRd
describe_damping <- function(fit) {
  if (identical(fit$control$eta, "auto")) {
    return(paste0(", damping eta chosen: ", format(fit$eta, digits = 3L)))
  }
  if (fit$eta < 1) paste0(", damping eta = ", format(fit$eta))
}

#' What a reader has to know: what the start leaves open, then the numerical events
#' @noRd
fit_notes.crl_fit_f <- function(fit) {
  c(start_notes(fit), span_note(fit), drift_note(fit), count_notes(fit))
}

#' @noRd
start_notes <- function(fit) {
  if (fit$init == "pca") {
    return(paste("From a PCA start the latents span the right space, but are in general mixtures",
                 "of the causal ones: fit with `init = \"interventional\"` to find these."))
  }
  if (fit$init != "interventional") {
    return(character())
  }
  untold <- vapply(untold_latents(fit$data), function(latents) {
    paste0(paste(latents, collapse = ", "), ": targeted in ",
           target_words(fit$data$targets[, latents, drop = FALSE]),
           "; the graph alone tells such latents apart, if at all. A domain that targets one of ",
           "them alone would.")
  }, "")
  mended <- fit$control$intervention == "imperfect" && any(fit$data$dag == 1L) &&
    is.null(fit$intervention)
  c(untold, flat_note(unlist(fit$optima[["untold"]][1L]), mended),
    if (fit$control$mixing == "psd") shear_note(fit))
}

# Below this predicted cos^2 of a latent's direction a note says so.
WELL_TOLD <- 0.9

#' Latents whose direction among the features the rows hardly tell
#' @noRd
span_note <- function(fit) {
  cos2 <- fit$measurement$cos2
  low <- cos2 < WELL_TOLD
  if (!any(low)) {
    return(NULL)
  }
  paste0("With so few rows for so many features the directions of latents are known in part only; ",
         "squared cosine to the true ones, as predicted: ",
         paste(names(cos2)[low], formatC(cos2[low], digits = 2L, format = "f"), collapse = ", "),
         ". More rows, or fewer features, would mend it.")
}

#' Where the latents of a group of untold_latents() are targeted
#' @noRd
target_words <- function(targets) {
  always <- colMeans(targets)
  if (!all(always %in% c(0, 1))) {
    return("the same domains, or one just where the other is not")
  }
  if (all(always == 0)) "no domain" else if (all(always == 1)) "every domain" else
    "no domain or in every domain"
}

#' @param pairs See hardly_told().
#' @param perfect Would perfect interventions tell more?
#' @noRd
flat_note <- function(pairs, perfect = FALSE) {
  if (length(pairs) == 0L) {
    return(NULL)
  }
  shown <- utils::head(pairs, 5L)
  left <- length(pairs) - length(shown)
  paste0("Hardly told apart: ", paste(shown, collapse = "; "),
         if (left > 0L) paste0("; ", count_of(left, "other pair"), " of latents"),
         ". Each with a fifth of the other mixed in fits all but as well with linear mechanisms: ",
         "read such latents together. More rows, or a domain that targets one of the two alone, ",
         "would tell them apart",
         if (perfect) paste0("; so may `intervention = \"auto\"`, which looks whether interventions ",
                             "cut their targets from parents"), ".")
}

#' Updates of A = O Lambda have no anchor within the column space
#' @noRd
drift_note <- function(fit) {
  moved <- fit$learned[["mixing"]] && fit$iterations > 0L
  if (fit$control$mixing != "psd" || !moved) {
    return(NULL)
  }
  condition <- format(kappa(fit$scale, exact = TRUE), digits = 3L)
  paste0("The updates of A are neutral within its column space, and it may drift towards ",
         "dependent columns (condition number ", condition, " after them): if that is large, ",
         "`update_mixing = FALSE` holds A at the start.")
}

#' Directions in which the updates of general columns by SAEM leave A at its start
#' @noRd
held_note <- function(fit) {
  if (fit$control$mixing != "psd") {
    return(NULL)
  }
  pairs <- which(t(tied_latents(fit$data, fit$control)) == 1L, arr.ind = TRUE)
  if (nrow(pairs) == 0L) {
    return(NULL)
  }
  names <- fit$data$latent_names
  paste0("SAEM holds A at its start in the directions that would turn a latent into the same plus ",
         "a multiple of an ancestor: ",
         paste0(names[pairs[, 2L]], " + c ", names[pairs[, 1L]], collapse = ", "),
         ". If interventions are perfect, `intervention = \"perfect\"` frees those of targets.")
}

#' Which latents correlated columns of A leave open, see shearable_pairs()
#' @noRd
shear_note <- function(fit) {
  perfect <- fit$control$intervention == "perfect"
  pairs <- shearable_pairs(fit$data, perfect)
  if (NROW(pairs) == 0L) {
    return(NULL)
  }
  names <- fit$data$latent_names
  paste0("With columns of A free, the data cannot tell a latent from the same plus a multiple of ",
         "a parent, for ",
         paste0(names[pairs[, "node"]], " + c ", names[pairs[, "parent"]], collapse = ", "), ": ",
         if (perfect) "the first is never targeted." else
           "`intervention = \"perfect\"`, if it holds, tells them apart.")
}

# Counts from what matters most to what matters least; those not listed matter most.
COUNT_ORDER <- c("start_stopped", "sigma2_floored", "scale_floored", "rank_deficient",
                 "cg_unconverged", "jittered", "noise_floored", "start_indefinite",
                 "start_floored", "reference_floored", "variance_floored", "outside_range",
                 "steps_rejected")

#' @noRd
all_notes <- function(fit) {
  c(doubt_notes(fit), measurement_notes(fit), fit_notes(fit), design_note(fit))
}

#' Latents that no domain tells from others, by the rules of crl_identify()
#' @noRd
design_note <- function(fit) {
  if (!identical(fit$init, "interventional") || fit$data$n_domains < 2L) {
    return(NULL)
  }
  apart <- told_apart(unclass(fit$data$targets))
  open <- which(!apart & upper.tri(apart), arr.ind = TRUE)
  if (nrow(open) == 0L) {
    return(NULL)
  }
  names <- fit$data$latent_names
  pairs <- paste(names[open[, 1L]], "from", names[open[, 2L]])
  paste0("No domain tells ", paste(utils::head(pairs, 3L), collapse = ", "),
         if (length(pairs) > 3L) ", ...", ": only the graph and the shape of their distribution do, ",
         "if at all. `crl_identify()` says which further domain would help.")
}

#' What the fit of the measurement model counted, as sentences
#' @noRd
measurement_notes <- function(fit) {
  counts <- fit$measurement$counts
  floored <- counts[["noise_floored"]] %||% 0L
  c(if (nuisance_capped(fit$measurement, fit$data$measure)) {
    capped_words()
  }, if (floored > 0L) {
    least <- order(fit$noise_var)[seq_len(min(3L, floored))]
    paste0("The noise variance of ", count_of(floored, "feature"), " (",
           paste(names(fit$noise_var)[least] %||% least, collapse = ", "),
           if (floored > 3L) ", ...", ") fell to its floor, a small ",
           "share of the feature's own, and was held there: such features pass for latents without ",
           "noise. One factor too many does this (`crl_rank()`), as do copies of a feature.")
  }, if (isTRUE(counts[["unconverged"]] > 0)) {
    paste("The search for the measurement model did not converge: noise variances and the space of",
          "the latents may be off. Features that all but depend on each other do this.")
  })
}

#' Every non-zero count of the fit as a sentence, what matters most first
#' @noRd
count_notes <- function(fit, except = character()) {
  counts <- fit$counts[fit$counts > 0L & !names(fit$counts) %in% except]
  counts <- counts[order(match(names(counts), COUNT_ORDER, nomatch = 0L))]
  vapply(names(counts), function(name) count_note(name, counts[[name]], fit),
         character(1L), USE.NAMES = FALSE)
}

#' @noRd
count_note <- function(name, count, fit) {
  pairs <- as.double(fit$data$n) * fit$data$d # beyond integers from 2^31 on
  in_cells <- paste("In", count, "of", nrow(fit$cells), "(node, state) cells")
  switch(name,
    variance_floored = floored_note(count, pairs, is.matrix(fit$scale)),
    scale_floored = paste("In the updates of A,", count_of(count, "eigenvalue"), "of Lambda fell",
                          "to the floor, 1e-6 of the largest: columns of A all but depend on each",
                          "other."),
    reference_floored = paste("In the Gaussian reference,", count_of(count, "variance"), "came out",
                              "below the noise variance, which took its place: there latents",
                              "hardly vary, or their domains have few rows."),
    features_constant = paste(count_of(count, "feature"), "with one value only",
                              if (count == 1) "was" else "were", "left out and",
                              if (count == 1) "has" else "have", "loadings of 0."),
    sigma2_floored = paste("The noise variance fell to its floor, 1e-10 of the mean square of x,",
                           "in", count_of(count, "iteration"), "and was held there: x may lie in",
                           "d dimensions without noise."),
    jittered = paste(in_cells, "the normal equations were singular to working precision and a",
                     "small multiple of the identity was added; a larger `lambda` avoids this."),
    cg_unconverged = paste(in_cells, "conjugate gradients stopped before `cg_tol` was reached;",
                           "raise `cg_max_iter` or, if that does not help, lower `lambda`."),
    steps_rejected = paste("In", count_of(count, "iteration"), "an accelerated step had made the",
                           "next change grow and was taken back: the limit is the same."),
    rank_deficient = paste("In", count_of(count, "iteration"), "the update of the mixing matrix",
                           "was rank deficient: some latents carry no signal of their own. Use",
                           "fewer latents."),
    outside_range = paste("In", whole(count), "of", whole(pairs), "(row, latent) pairs the",
                          "pseudo-latent lies outside the knots, where the score is continued",
                          "linearly."),
    noise_floored = paste("The noise variance of a (node, state) fell to its floor,",
                          format(NOISE_FLOOR), "of the start's sigma2,", count_of(count, "time"),
                          "in all iterations, and was held there:", without_noise(fit)),
    start_stopped = paste("In the start, SAEM could not go on, its normal equations being",
                          "singular, and A is that of the stage before: see `mechanisms` in",
                          "?start_search."),
    start_indefinite = paste("In the start's search,", count_of(count, "regression"), "on a node's",
                             "parents had to be left out: the parents vary little beside the",
                             "noise.", if (left_splines_out(fit)) without_splines()),
    start_floored = paste("In the start's search, the noise variance of a (node, state) fell to",
                          "its floor", count_of(count, "time"), "and was held there:",
                          without_noise(fit)),
    paste0(name, ": ", count))
}

#' @noRd
left_splines_out <- function(fit) {
  !is.null(fit$optima) && all(is.na(fit$optima$refined))
}

#' @noRd
without_splines <- function() {
  paste("Of such regressions there were too many: the stage of spline mechanisms was left out, and",
        "A goes on from the optimum for linear ones.")
}

#' @noRd
without_noise <- function(fit) {
  if (sum(fit$data$dag) == 0) {
    return("a latent hardly varies.")
  }
  "a latent follows from its parents without noise, or hardly varies if none act on it."
}

#' @noRd
floored_note <- function(count, pairs, directions = FALSE) {
  if (directions) {
    return(paste("Of", whole(pairs), "eigenvalues of the rows' posterior covariances", whole(count),
                 "came out negative and were set to 0.",
                 if (count > 0.05 * pairs) {
                   paste("So many mean that the score hardly tells directions in which columns of A",
                         "are nearly dependent: `method = \"g\"`, with `prior_linear()` where",
                         "effects are straight, weighs them by what they tell.")
                 }))
  }
  paste("In", whole(count), "of", whole(pairs), "(row, latent) pairs the posterior variance came",
        "out negative and was set to 0: no interval there.",
        if (count > 0.01 * pairs) "A larger `lambda` or fewer `knots` make them fewer.")
}

#' @noRd
domain_table <- function(fit) {
  data <- fit$data
  per_pair <- 1 / (as.double(data$n_env) * data$d)
  table <- tibble::tibble(
    domain = data$env_names,
    targets = target_labels(data$targets),
    rows = data$n_env,
    weight = data$weights,
    posterior_sd = unname(rowSums(rowsum(fit$latents_sd, data$env))) * per_pair
  )
  if (inherits(fit, "crl_fit_f")) {
    by_sd <- function() rowSums(rowsum((fit$latents_sd == 0) + 0L, data$env))
    table$floored <- as.integer(fit$floored %||% by_sd())
  }
  table
}

#' "z1", "z1 + z3", "none": the target set of each row of a 0/1 target matrix (M x d)
#' @noRd
target_labels <- function(targets) {
  names <- colnames(targets)
  unname(apply(targets, 1L, function(row) {
    if (any(row == 1L)) paste(names[row == 1L], collapse = " + ") else "none"
  }))
}

#' @param fit List of `method`, `size`, `explained`, `sigma2`.
#' @noRd
print_head <- function(fit, digits) {
  cat("Causal representation by empirical-Bayes ", fit$method, "-modeling\n", sep = "")
  cat(describe_size(fit$size), "\n", sep = "")
  cat("Variance of x explained by the latents: ", percent(fit$explained), "; noise variance: ",
      figures(fit$sigma2, digits), "\n", sep = "")
}

#' "87 %"; near 0 and 1 in as many digits as tell it from them
#' @noRd
percent <- function(share) {
  if (is.na(share)) {
    return("not known")
  }
  if (share < 1e-4 || share > 1 - 1e-4) {
    return(if (share < 0.5) "less than 0.01 %" else "more than 99.99 %")
  }
  digits <- max(2L, ceiling(-log10(1 - share)) + 1L)
  paste(format(100 * share, digits = digits, scientific = FALSE), "%")
}

#' Paragraphs in lines of the console's width
#' @noRd
write_lines <- function(paragraphs) {
  writeLines(strwrap(paragraphs, width = getOption("width"), exdent = 2L))
}

#' "8000 rows, 100 features, 4 latents, 4 domains"
#' @noRd
describe_size <- function(size) {
  words <- c(n = "row", p = "feature", d = "latent", n_domains = "domain")
  paste(count_of(size[names(words)], words), collapse = ", ")
}

#' @param most Of more notes than that, only so many are shown, and `rest` is where the others are.
#' @noRd
print_notes <- function(notes, most = Inf, rest = "summary()") {
  if (length(notes) > 0L) {
    cat("\nNotes:\n")
    write_lines(paste("-", utils::head(notes, most)))
    if (length(notes) > most) {
      cat("(", length(notes) - most, " more in ", rest, ")\n", sep = "")
    }
  }
}

#' A table of results as plain text
#' @noRd
print_table <- function(table, digits) {
  shown <- as.data.frame(table)
  is_number <- vapply(shown, is.numeric, NA)
  shown[is_number] <- lapply(shown[is_number], figures, digits)
  print(shown, row.names = FALSE, right = TRUE)
}

#' Numbers as text: whole ones in full, others to `digits` significant digits each
#' @noRd
figures <- function(x, digits) {
  if (all(x == round(x) & abs(x) < 1e15, na.rm = TRUE)) {
    return(whole(x))
  }
  sub("\\.$", "", formatC(x, digits = digits, width = 1L, format = "g", flag = "#"))
}

#' "1 row", "8000 rows"
#' @noRd
count_of <- function(count, noun) {
  paste0(whole(count), " ", noun, ifelse(count == 1L, "", "s"))
}

#' A count without scientific notation
#' @noRd
whole <- function(x) {
  format(x, scientific = FALSE, trim = TRUE)
}
