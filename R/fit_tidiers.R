# tidy(), glance() and augment(): a fit as tibbles.

#' @importFrom generics tidy
#' @export
generics::tidy

#' @importFrom generics glance
#' @export
generics::glance

#' @importFrom generics augment
#' @export
generics::augment

#' A fit as tibbles
#'
#' @param x A `crl_fit`, from [fit_crl()].
#' @param matrix What `tidy()` lists: `"mixing"` (the loadings), `"effects"` (how far each domain
#'   moves each latent), `"edges"` (how latents act on latents, see Edges), `"mechanisms"` (of a fit by
#'   `method = "g"`, see [coef()][coef.crl_fit]), `"domains"` or `"cells"` (the two tables of
#'   [summary()][summary.crl_fit]).
#' @param conf.int Are intervals added to `"mechanisms"` and `"edges"`? They are there in closed form
#'   for `prior = "linear"` ([confint()][confint.crl_fit]); for others, and for `"mixing"`, they come
#'   with `boot` only, and a warning of class `ebcrl_warning_intervals` says so. `"effects"` always has
#'   them.
#' @param conf.level Probability of the intervals.
#' @param boot `NULL`, or a [crl_boot()] of the fit, whose standard errors and intervals are added to
#'   `"edges"`, `"mixing"` and `"effects"`; `augment()` takes from it the error of A in standard
#'   deviations and intervals of latents, see [predict()][predict.crl_fit].
#' @param data Data frame or matrix with the n rows of the training data, to which `augment()` adds
#'   columns. `NULL`: the domain of each row only; the p columns of `x` are not repeated. A
#'   SingleCellExperiment or Seurat object of the training data comes back with the reduced dimensions
#'   `"ebcrl"`, the latents, and (SingleCellExperiment) `"ebcrl_sd"`, their standard deviations.
#' @param newdata,targets,env,covariates Rows to predict, their targets or domains and covariates, as in
#'   [predict()][predict.crl_fit]. `augment()` adds its columns (to a container, reduced dimensions) to
#'   `newdata`.
#' @param interval,level `"credible"` has `augment()` add posterior intervals of probability
#'   `level`, as in [predict()][predict.crl_fit].
#' @param ... Of `augment()`: `assay` or `layer` of a container that is `newdata`, see
#'   [predict()][predict.crl_fit].
#' @return `tidy()`: a tibble. For `"mixing"`, p * d rows: `feature` (name, or number if `x` had no
#'   column names), `latent`, `estimate` (entry of the mixing matrix). For `"effects"`, one row a
#'   (domain, latent): `domain`, `term` (the latent), `targeted`, `estimate` (its mean in the domain
#'   minus that in the domains without targets, or where there are none in those that do not target
#'   it, in sd of the latent within these), `std.error`, `conf.low`, `conf.high`, which take A as
#'   known and rows as independent. For `"mechanisms"`: `node`, `state`, `term`, `estimate`. For
#'   `"edges"`: see Edges.
#'
#'   `glance()`: a tibble with one row: `nobs` (n), `features` (p), `latents` (d), `domains`,
#'   `sigma2`, `variance_explained` (see
#'   [summary()][summary.crl_fit]), of an f fit `loss` (score-matching loss a row), `variance_floored` (number of
#'   floored posterior variances), `change` (largest relative change of the last iteration) and
#'   `remaining` (estimated relative distance to the limit; both `NA` without iterations), of a g
#'   fit `mixing_mc_error` (Frobenius norm), `mc_error` (the largest over latents) and
#'   `noise_floored` (see [fit_crl()]; with a Gaussian prior `loglik` and `noise_floored`), then
#'   `iterations`, `converged`, `elapsed` (seconds).
#'
#'   `augment()`: a tibble with one row a row of data: the columns of `data` or `newdata` (or
#'   `.domain`), then for every latent `.fitted_<latent>` (posterior mean) and `.sd_<latent>`
#'   (posterior standard deviation), and with intervals `.lower_<latent>` and `.upper_<latent>`.
#' @section Edges:
#' One row an edge and target state of the child, in which its mechanism is another one (with perfect
#' interventions a targeted child has no parents): `from`, `to`, `state`; `effect`, the average
#' derivative of the child's mean in the parent, the slope where mechanisms are linear, in units of
#' the latents; `lowest` and `highest`, the range of that derivative over the middle 90 % of the
#' parent's values; `share`, of the child's variance in that state that the parent's effect has.
#'
#' Evidence is a log-likelihood ratio: `statistic`, twice the fall of the log-likelihood of x when the
#' edge is left out (in all states together; linear mechanisms; A, where it was learned, fitted again
#' within the space of the factors), its `df` and `p.value`, and `bic`, by how much BIC favours the
#' edge. An effect that has no linear part, such as a square, does not show in it, and lines through
#' curves leave dependence that may speak for an edge that is not there. With missing entries of x there
#' is no evidence.
#'
#' A fit by `method = "f"` has no mechanisms: additive splines are fitted to draws of its latents.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' fit <- fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag)
#' tidy(fit)
#' tidy(fit, "edges")
#' glance(fit)
#' augment(fit)
#' @name crl_fit-tidiers
NULL

#' @rdname crl_fit-tidiers
#' @export
tidy.crl_fit <- function(x, matrix = c("mixing", "effects", "edges", "mechanisms", "domains",
                                       "cells"),
                         conf.int = FALSE, conf.level = 0.95, # nolint: object_name_linter.
                         boot = NULL, ...) {
  check_dots_empty(...)
  choices <- c("mixing", "effects", "edges", "mechanisms", "domains", "cells")
  matrix <- check_choice(matrix, choices, "matrix")
  check_flag(conf.int, "conf.int")
  x <- check_fit(x, "x", rows = matrix == "edges")
  boot <- check_boot_of(boot, x)
  level <- check_number(conf.level, "conf.level", min = 0, max = 1, open = c("min", "max"))
  if (!is.null(boot) && matrix %in% c("mixing", "effects")) {
    return(tidy.crl_boot(boot, matrix, level))
  }
  closed <- inherits(x, "crl_fit_g_linear")
  if (conf.int && is.null(boot) && (matrix == "mixing" || (matrix == "edges" && !closed))) {
    warn_no_intervals(matrix)
  }
  if (conf.int && is.null(boot) && matrix == "edges" && closed) {
    return(edges_in_closed_form(x, level))
  }
  switch(matrix,
         mixing = tidy_mixing(x), effects = tidy_effects(x, level),
         edges = tidy_edges(x, boot, level),
         mechanisms = if (conf.int) with_intervals(mechanism_slopes(x), x, level) else
           mechanism_slopes(x),
         domains = domain_table(x), cells = x$cells)
}

#' @noRd
warn_no_intervals <- function(matrix) {
  cli::cli_warn(c("{.code conf.int = TRUE} has no intervals of {.val {matrix}} without a bootstrap.",
                  "i" = "They come by {.code tidy(fit, \"{matrix}\", boot = crl_boot(fit))}."),
                class = "ebcrl_warning_intervals")
}

#' Slopes are the effects of edges where mechanisms are lines
#' @noRd
edges_in_closed_form <- function(fit, level) {
  edges <- tidy_edges(fit, NULL, level)
  slopes <- with_intervals(mechanism_slopes(fit), fit, level)
  at <- match(paste(edges$from, edges$to, edges$state),
              paste(slopes$term, slopes$node, slopes$state))
  tibble::add_column(edges, slopes[at, c("std.error", "conf.low", "conf.high")], .after = "effect")
}

#' @noRd
tidy_effects <- function(fit, level) {
  shifts <- fit_shifts(fit)
  half <- stats::qnorm((1 + level) / 2) * shifts$se
  tibble::tibble(domain = shifts$domain, term = shifts$latent, targeted = shifts$targeted,
                 estimate = shifts$shift, std.error = shifts$se, conf.low = shifts$shift - half,
                 conf.high = shifts$shift + half)
}

#' @noRd
tidy_mixing <- function(fit) {
  data <- fit$data
  tibble::tibble(
    feature = rep(data$feature_names %||% seq_len(data$p), times = data$d),
    latent = rep(data$latent_names, each = data$p),
    estimate = as.vector(fit$mixing)
  )
}

#' @rdname crl_fit-tidiers
#' @export
glance.crl_fit <- function(x, ...) {
  check_dots_empty(...)
  x <- check_fit(x, "x")
  data <- x$data
  shared <- tibble::tibble(
    nobs = data$n, features = data$p, latents = data$d, domains = data$n_domains, sigma2 = x$sigma2,
    variance_explained = explained_variance(x),
    iterations = x$iterations, converged = x$converged, elapsed = x$elapsed
  )
  tibble::add_column(shared, engine_glance(x), .after = "variance_explained")
}

#' @noRd
engine_glance.crl_fit_f <- function(fit) {
  tibble::tibble(loss = sum(fit$cells$loss * fit$cells$rows) / fit$data$n,
                 variance_floored = fit$counts[["variance_floored"]], change = last_change(fit),
                 remaining = if (fit$iterations > 0L) fit$diagnosis$remaining else NA_real_)
}

#' @rdname crl_fit-tidiers
#' @export
augment.crl_fit <- function(x, data = NULL, newdata = NULL, targets = NULL, env = NULL,
                            interval = c("none", "credible"), level = 0.9, boot = NULL,
                            covariates = NULL, ...) {
  check_container_dots(newdata, ...)
  x <- check_fit(x, "x", rows = is.null(newdata) && !is.null(boot))
  boot <- check_boot_of(boot, x)
  interval <- check_interval(interval)
  level <- if (interval == "credible") check_level(level)
  if (isS4(newdata)) {
    predicted <- function(type) {
      predict(x, newdata, targets, env, type, boot = boot, covariates = covariates, ...)
    }
    return(with_reduced_dimensions(newdata, "newdata", x, predicted("latents"), predicted("sd"),
                                   rlang::current_env()))
  }
  if (!is.null(newdata)) {
    if (is.data.frame(newdata)) {
      env <- sample_domains(env, newdata, x$data)
      covariates <- sample_covariates(covariates, newdata, x$data)
    }
    step <- widened(posterior_of_rows(x, newdata, targets, env, covariates), newdata, x, boot,
                    covariates)
    warn_floored(step, x)
    return(bind_latents(newdata, "newdata", pick_prediction(step, "latents", x, NULL),
                        pick_prediction(step, "sd", x, NULL), level))
  }
  check_no_design(targets, env, covariates)
  if (is_a(data, "DFrame", "DataFrame")) data <- as.data.frame(data, optional = TRUE)
  if (isS4(data)) {
    return(with_reduced_dimensions(data, "data", x, x$latents, x$latents_sd, rlang::current_env()))
  }
  if (is.null(data)) {
    data <- data.frame(.domain = factor(x$data$env_names[x$data$env], x$data$env_names))
  } else if (!is.data.frame(data) && !is.matrix(data)) {
    abort_input(c("{.arg data} must be a data frame or a matrix.", "x" = "It is {describe(data)}."),
                "type")
  } else if (nrow(data) != x$data$n) {
    abort_input(c("{.arg data} must have the {x$data$n} row{?s} of the training data.",
                  "x" = "It has {nrow(data)}.", "i" = "For other rows, use {.arg newdata}."),
                "shape")
  }
  if (interval == "credible") {
    warn_floored_training(x)
  }
  rows <- if (!is.null(boot)) kept_x(x$data, "augment(boot = )")
  bind_latents(data, "data", x$latents, widened(x, rows, x, boot)$latents_sd, level)
}

#' @param level NULL, or the probability of the intervals to add.
#' @noRd
bind_latents <- function(data, arg, latents, sds, level, call = rlang::caller_env()) {
  parts <- list(fitted = latents, sd = sds)
  if (!is.null(level)) {
    parts[c("lower", "upper")] <- interval_ends(latents, sds, level)
  }
  columns <- Map(function(part, name) {
    as.data.frame(`colnames<-`(part, paste0(".", name, "_", colnames(latents))))
  }, parts, names(parts))
  data <- as.data.frame(data)
  result <- cbind(data, do.call(cbind, unname(columns)))
  twice <- unique(names(result)[duplicated(names(result))])
  if (length(twice) > 0L) {
    abort_input(c("{.arg {arg}} must have distinct column names, other than those that are added.",
                  "x" = "{some(twice)} would be there more than once."), "shape", call = call)
  }
  tibble::as_tibble(result)
}
