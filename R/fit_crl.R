#' Fit a causal representation by empirical Bayes
#'
#' Recovers latents, mixing matrix and noise variance from observations in several domains, each a
#' known intervention on a known causal graph over the latents: Algorithm 1 (CRL f-modeling) of
#' Wu, von Kügelgen and Blei. The model is \eqn{x = A z + \varepsilon}, \eqn{\varepsilon \sim N(0,
#' \sigma^2 I_p)}, with a mixing \eqn{A = O D} of orthogonal columns (or \eqn{A = O \Lambda}, any
#' columns, see `mixing` in [crl_control()]). Each iteration projects the
#' observations to pseudo-latents \eqn{y = O'x}, estimates the score of their density by causal
#' score matching with cubic splines (5.4), takes posterior moments of the latents from Tweedie's
#' formulas (4.4), (4.5), and updates A (Procrustes, 4.8) and \eqn{\sigma^2} (4.9).
#'
#' @section What comes from what:
#' The start carries most of the answer on rotation: with an unrestricted score every rotation of the
#' latents within the column space of A is a fixed point of the algorithm. Graph and interventions
#' are therefore used there (`init = "interventional"`), A is held, and the EM settles
#' \eqn{\sigma^2} and the latents. `method = "g"` (CRL g-modeling, Section 6 of the paper) fits
#' the prior itself, additive splines with noise, by draws, and learns A as well. See [crl_methods].
#'
#' Feature means, noise variances by feature and nuisance factors are fitted beside the latents, as
#' far as the data say so or the arguments ask for it: the measurement model, see [crl_measurement],
#' also on missing entries, constant features, names and signs.
#'
#' @param x Observations: a numeric matrix (n x p, rows are samples), a data frame of numbers, a
#'   list with one matrix for each domain, a simulation ([sim_crl()]), which brings the other
#'   arguments, a discovery ([crl_discover()]), which brings graph and targets, or what else
#'   [crl_rows()] takes, such as a SingleCellExperiment or a Seurat object. Entries may be missing
#'   (`NA`), see [crl_measurement].
#' @param env Domain of each row (length n): names, a factor, or positions in `targets`. Or the name
#'   of a column that has it: of the data frame `x`, of the `colData` of a SingleCellExperiment, of
#'   the metadata of a Seurat object. `NULL` where `targets` goes by row, or `x` is a list.
#' @param targets Intervention targets of each domain (M x d, 0/1, domain names as row names), or
#'   what [intervention_targets()] reads: a vector of labels without names is one label for each
#'   row, with names one for each domain. With `env = NULL`, n sets, or n rows of 0 and 1, go by
#'   row, too. Where targets go by row and `env` is given as well, all rows of a domain must have
#'   the same. For control labels other than `"none"` or a separator other than `+`, call
#'   [intervention_targets()].
#' @param dag Causal graph over the latents (d x d, 0/1, `dag[i, j] = 1` means i -> j), or what
#'   [as_dag()] reads. `NULL`: not known; [crl_discover()] looks for it, and for `targets` if these are
#'   `NULL` or left out, too.
#' @param method `"f"`: f-modeling by score matching (Algorithm 1). `"g"`: g-modeling, the prior
#'   fitted by stochastic-approximation EM. See [crl_methods].
#' @param weights Weight of each domain in the fit (Appendix C); default: proportional to its rows.
#' @param init Start. `"interventional"` (the default): principal components of the uncentred data,
#'   rotated to the largest likelihood of a structural causal model with the given graph and
#'   targets; \eqn{\sigma^2} the mean of the other eigenvalues. `"pca"`: the d leading components as
#'   they are, the paper's start and that of `preset = "paper"`. Or `list(mixing = , sigma2 = )`, a
#'   p x d matrix and a number (estimated if left out). Or a fit, whose `mixing` and `sigma2` are
#'   taken; with `method = "g"`, a g fit of the same rows, domains and graph goes on where another
#'   one ended, with its mechanisms and draws. Rows and columns of a given A are matched by name
#'   where both it and `x` (or the graph) have names, else by position; other names are an error.
#' @param center Are feature means \eqn{\mu} fitted? `"auto"` (the default): if the means are not in
#'   the span of A, or there are nuisance factors, see [crl_measurement]. `FALSE`: no, as in the paper (the
#'   default of `preset = "paper"`). `TRUE`: yes; latents are then 0 on average where nothing is targeted, so that
#'   values that [effects()][effects.crl_fit] sets are read from there.
#' @param noise Noise variances: `"by_feature"`, one a feature; `"equal"`, as in the paper (the
#'   default of `preset = "paper"`); `"auto"` (the default): by BIC, see [crl_measurement].
#' @param covariates Known covariates of the rows, such as batch or log library size: a numeric matrix
#'   (n x k), a data frame, a vector or factor, or a formula such as `~ batch + log(size)`, whose
#'   variables are looked for in the table of samples (`colData`, metadata) that `x` has, then where
#'   the formula was written. Names of columns of that table do as well. Their effects on x are taken
#'   out of it by least
#'   squares, as far as covariates vary within domains, so that the effects of interventions stay;
#'   a covariate that does not is an error. All results are at the mean of the covariates. A copy of
#'   `x` is made.
#' @param nuisance Number of factors that move x and are no causal latents, such as batches: 0 (the
#'   default), a number, or `"auto"`, see [crl_measurement].
#' @param cl `NULL`, or a cluster of package parallel (PSOCK, MPI by snow, mirai) on whose workers the
#'   passes over the rows run; results have the same bits for any number of workers.
#' @param checkpoint `NULL`, or a folder. The passes over the rows write there how far they have
#'   come, and a fit that was ended goes on from there when it is called again, with the same bits.
#' @param keep_x Does the fit keep the rows of `x`? By default those that take less than 100 MB. Only
#'   `residuals()`, `crl_compare()`, [crl_boot()] and intervals with `boot`, [crl_check()],
#'   `update()` with changed arguments (unless `x` is found by its name) and
#'   `autoplot(type = "check")` read them.
#' @param control Settings, see [crl_control()]; a list of settings does as well.
#' @param ... For [crl_rows()]; an argument that it does not read is an error.
#'
#' @return An object of class `crl_fit`. `print()` and `summary()` say what is in it in words, `tidy()`,
#' `glance()` and `augment()` in tables; most often read are
#' \item{latents, latents_sd}{(n x d) posterior means and standard deviations; [predict()][predict.crl_fit]
#'   turns them into intervals}
#' \item{mixing, sigma2}{(p x d) A; noise variance, the mean of `noise_var` where that is there}
#' \item{center, noise_var, nuisance}{where the measurement model is not the paper's: (p) feature
#'   means or NULL, (p) noise variances, and NULL or a list of `mixing` and `scores` of nuisance
#'   factors}
#' \item{iterations, converged, trace}{of the EM}
#' \item{optima}{of an interventional start, the optima that it found, the best first}
#'
#' All fields are in [crl_fit-object].
#'
#' @section Errors:
#' Bad input stops with a condition of class `ebcrl_error`, and of a class for its kind, such as
#' `ebcrl_error_missing`, `ebcrl_error_covariates`, `ebcrl_error_dag_cycle` or `ebcrl_error_memory`. A fit that cannot go on,
#' or whose latents would explain more than ten times the sum of squares of `x` (a score that the
#' rows hardly tell, as with `lambda = 0`), stops with `ebcrl_error_numerical`, which names the
#' setting that mends it.
#'
#' @references Wu, B., von Kügelgen, J. and Blei, D. M. (2026). Multi-domain empirical Bayes for
#'   linearly-mixed causal representations. \doi{10.48550/arXiv.2603.18404}
#' @seealso [crl_methods], [crl_measurement] and [crl_fit-object] for details; [crl_baselines()] for what to compare with, [rel_mse()] and [bayes_latents()] where the
#'   truth is known, [predict.crl_fit()] for other rows.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(chain_dag(3), n = 200, p = 10)
#' fit <- fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag)
#' fit
#' rel_mse(fit, sim)
#'
#' # A and sigma2 known: only the latents are estimated
#' known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
#' rel_mse(fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag, init = known), sim)
#'
#' # g-modeling: A is learned
#' g <- fit_crl(sim, method = "g", control = crl_control(
#'   saem = saem_control(burn_in = 30, iterations = 30, draws = 50)
#' ))
#' g
#' @export
fit_crl <- function(x, env = NULL, targets, dag, method = c("f", "g"), weights = NULL,
                    init = NULL, center = NULL, noise = NULL, nuisance = 0, covariates = NULL,
                    control = crl_control(), cl = NULL, checkpoint = NULL, keep_x = NULL, ...) {
  check_fit_dots(...)
  if (!missing(dag) && is.null(dag)) { # looked for
    x <- discovered_rows(x, if (!missing(env)) env, if (!missing(targets)) targets, control,
                         list(center = center, noise = noise, nuisance = nuisance), covariates, ...)
    targets <- x$targets
    dag <- x$dag
    covariates <- NULL
  }
  if (missing(control) && inherits(x, "crl_discovery")) {
    control <- crl_control(intervention = x$intervention)
  }
  clock <- start_clock()
  on.exit(stop_clock(clock))
  method <- check_choice(method, c("f", "g"), "method")
  control <- as_control(control)
  if (inherits(init, "crl_fit")) init <- check_fit(init, "init")
  control <- continued_settings(control, init)
  given <- given_rows(x, env, targets, dag, ...)
  given$rows <- prepared_rows(given$rows, cl, checkpoint)
  call <- rlang::current_env()
  data <- crl_data(given$rows, given$env, given$targets, given$dag, weights, control$knots,
                   prior = if (method == "g") control$prior,
                   missing = !is.null(given$rows$matrix), progress = control$progress,
                   before = function(known) {
                     check_before_passes(known, control, call)
                   })
  data <- without_covariates(data, covariates, given$rows$samples,
                             before = given$rows$taken_out)
  data$measure <- measurement_settings(center, noise, nuisance, control)
  engine <- engine_of(method)
  fit <- engine(data, init, control)
  fit$seconds <- clock_seconds(clock)
  fit$elapsed <- sum(fit$seconds)
  with_call(settled_rows(fit, keep_x), match.call())
}

#' A source with the cluster and the folder that its passes use
#' @noRd
prepared_rows <- function(rows, cl, checkpoint, call = rlang::caller_env()) {
  rows <- on_cluster(rows, check_rows_cluster(cl, call))
  if (!is.null(checkpoint)) {
    if (!rlang::is_string(checkpoint)) {
      abort_input(c("{.arg checkpoint} must be the path of a folder.",
                    "x" = "It is {describe(checkpoint)}."), "type", call = call)
    }
    if (!dir.exists(checkpoint) && !dir.create(checkpoint, FALSE, TRUE)) {
      abort_input(c("{.arg checkpoint} must be a folder that can be made.",
                    "x" = "{.file {checkpoint}} cannot."), "write", call = call)
    }
    rows$checkpoint <- normalizePath(checkpoint)
  }
  if (!is.null(rows$matrix) && (!is.null(cl) || !is.null(checkpoint))) {
    rows$blocks <- row_blocks(rows$n, block_size(rows$p))
    matrix <- rows$matrix
    blocks <- rows$blocks
    if (!is.null(checkpoint)) rows$stamp <- rlang::hash(matrix)
    rows$read <- function(k) {
      matrix[blocks$from[k] - 1 + seq_len(blocks$rows[k]), , drop = FALSE]
    }
    rows$matrix <- NULL
  }
  rows
}

# Bytes of x up to which a fit keeps it.
KEPT_BYTES <- 1e8

#' A fit with the rows of x, or without, and without what its passes used
#' @noRd
settled_rows <- function(fit, keep_x) {
  keep <- keep_x %||% (8 * as.double(fit$data$n) * fit$data$p < KEPT_BYTES)
  fit <- without_passes(fit)
  if (!keep) {
    fit$data["x"] <- list(NULL)
    if (!isTRUE(fit$data$rows$remote)) fit$data["rows"] <- list(NULL)
  }
  fit
}

#' A fit (or what came in its place) without what the passes over its rows used
#' @noRd
without_passes <- function(fit) {
  if (!inherits(fit, "crl_fit")) {
    return(fit)
  }
  if (!is.null(fit$data$rows)) {
    fit$data$rows[c("cl", "checkpoint", "scan", "progress")] <- NULL
  }
  fit$data$progress <- NULL
  fit
}

#' What a fitting function was given, with what the rows bring along where it was not
#' @return list: `rows`, `env`, `targets`, `dag`
#' @noRd
given_rows <- function(x, env, targets, dag, ..., call = rlang::caller_env()) {
  check_given(x = missing(x), call = call)
  rows <- if (missing(env)) crl_rows(x, ..., call = call) else
    crl_rows(x, env = env, ..., call = call)
  brings <- rows$brings
  absent <- c(targets = missing(targets) && is.null(brings$targets),
              dag = missing(dag) && is.null(brings$dag))
  check_given(absent, call = call)
  list(rows = rows, env = if (missing(env)) brings$env else brings$env %||% env,
       targets = if (missing(targets)) brings$targets else targets,
       dag = if (missing(dag)) brings$dag else dag)
}

# Arguments of methods of crl_rows(), which check that they have them.
ROW_ARGUMENTS <- c("assay", "layer")

#' Refuse arguments that the caller, a fitting function, does not have; settings are told where they
#' go
#' @noRd
check_fit_dots <- function(..., .call = rlang::caller_env()) {
  found <- setdiff(dots_names(...), ROW_ARGUMENTS)
  if (length(found) == 0L) {
    return(invisible())
  }
  arguments <- argument_names(.call)
  settings <- union(setting_names(), names(setting_places()))
  nearest <- vapply(found, nearest_name, "", choices = c(arguments, settings))
  is_setting <- nearest %in% settings
  values <- lapply(eval(substitute(alist(...))), in_words)
  written <- written_settings(nearest[is_setting], vapply(values[is_setting], short_code, ""))
  abort_dots(found, c(
    if (any(is_setting)) {
      c("i" = "Settings go into {.arg control}: {.code control = crl_control({written})}.")
    },
    did_you_mean(found[!is_setting], arguments)
  ), "type", .call, written = written)
}

#' An expression as code if it is short, else dots
#' @noRd
short_code <- function(expression) {
  code <- deparse(expression, width.cutoff = 60L)
  if (length(code) == 1L && nchar(code) <= 30L) code else "..."
}

#' @noRd
engine_of <- function(method) {
  switch(method, f = fit_data, g = fit_g)
}

#' The engine behind every entry point: Algorithm 1 on checked data
#' @noRd
fit_data <- function(data, init, control, call = NULL, error_call = rlang::caller_env()) {
  if (length(data$constant) > 0L) {
    return(fit_varying(fit_data, data, init, control, call, error_call))
  }
  init <- init %||% default_init(control)
  plan <- plan_f(control, data, init)
  data <- with_memo(asking_columns(data, control))
  measured <- with_spinner(plan$progress, "Measurement model",
                           measurement_of(data, init, plan, plan$update_mixing, error_call))
  fit <- if (!is.null(data$space)) { # coordinates already
    fit_rows(data, init, plan, call, error_call)
  } else if (!is.null(measured) && !measured$plain) {
    fit_measured(fit_rows, data, measured, init, plan, call, error_call)
  } else if (stays_in_space(init, plan$update_mixing, "f")) {
    fit_reduced(fit_rows, data, measured, init, plan, call, error_call)
  } else {
    fit_rows(with_matrix(data, error_call), init, plan, call, error_call)
  }
  fit$chosen <- c(interaction = control$spline$interaction == "auto")
  fit$doubts <- measurement_doubts(fit, data, !plan$update_mixing && !is.list(init), plan$threads,
                                   error_call)
  without_memo(fit)
}

#' Is sigma2 updated? Not where it was given together with a mixing matrix that is held, nor in the
#' coordinates of a measurement model, whose noise is c^2
#' @noRd
learns_sigma2 <- function(control, start, data, held = control$mixing == "fixed") {
  (is.null(data$space) || is_plain(data)) &&
    (control$sigma2 == "learned" || (control$sigma2 == "auto" && !(held && start$sigma2_given)))
}

#' Weight of a row of each domain: n w_e / N_e, so that it is 1 by default (Appendix C)
#' @noRd
row_weights <- function(data) {
  data$n * data$weights / data$n_env
}

#' Domains with the same targets, numbered in order of appearance
#' @noRd
target_groups <- function(targets) {
  pattern <- apply(targets, 1L, paste, collapse = "")
  match(pattern, unique(pattern))
}

#' A = O D, or O Lambda where columns are correlated
#' @noRd
compose_mixing <- function(parts) {
  if (is.matrix(parts$scale)) {
    return(parts$orthonormal %*% parts$scale)
  }
  parts$orthonormal * rep(parts$scale, each = nrow(parts$orthonormal))
}

#' @noRd
check_engine_range <- function(range, d, call) {
  if (is.matrix(range) && ncol(range) != d) {
    abort_input(c("{.arg range} must have one column for each of {d} latent{?s}.",
                  "x" = "It has {ncol(range)}."), "control", call = call)
  }
}

#' Where x is little but its means
#' @noRd
means_hint <- function(data) {
  share <- sum(data$means^2) / data$mean_square
  if (share > 0.9) {
    paste("The means of the features make up", format(100 * share, digits = 3),
          "% of the sum of squares of {.arg x}: {.code center = TRUE} fits them.")
  }
}

#' The C core's status (src/base/workspace.h) in words
#' @noRd
check_status <- function(status, call = rlang::caller_env()) {
  if (status == "ok") {
    return(invisible())
  }
  reason <- switch(status,
    not_finite = "A latent or a coefficient is not finite: rescale {.arg x}.",
    empty_range = "A pseudo-latent is constant: use fewer latents.",
    singular = "The normal equations are singular even with a jitter: raise {.arg lambda}.",
    svd = paste("A decomposition into singular values or eigenvalues did not converge: rescale",
                "{.arg x}."),
    dependent = paste("The latents are linearly dependent, so that no mixing matrix fits best: use",
                      "fewer latents, or hold A by {.code update_mixing = FALSE}."),
    shrunk = paste("A column of A has shrunk to 0, as f-modeling leaves the scale of a latent open:",
                   "use {.code mixing = \"orthonormal\"}.")
  )
  abort_input(c("The EM could not go on.", "x" = reason), "numerical", call = call)
}
