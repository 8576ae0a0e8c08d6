# The baselines of Section 7 of the paper: fits that differ in the graph, the targets or the
# shrinkage, on one checked set of data.

#' Fit the baselines of the paper
#'
#' Fits the method and the alternatives it is compared with in Section 7 of the paper, all to the
#' same data, with the same settings and kind of start. The data are checked once and shared by all
#' fits, not copied.
#'
#' | method | graph | targets | shrinkage |
#' | --- | --- | --- | --- |
#' | `"true"` | `dag` | given | as in `control` |
#' | `"complete"` | complete, in a causal order of `dag` | given | as in `control` |
#' | `"empty"` | no edges | given | as in `control` |
#' | `"pooled"` | `dag` | none: all domains are taken for one | as in `control` |
#' | `"no_shrinkage"` | `dag` | given | `eta = 0`: latents are the projections of `x` |
#' | `"pca"` | | | none: principal components, no EM |
#'
#' All have the measurement model of [fit_crl()] (means, noise by feature, nuisance factors); with
#' `preset = "paper"` that is the paper's.
#'
#' `"pca"` uses its own loadings and noise variance even where `init` gives others, so that in the
#' oracle setting (known mixing matrix, see the examples) it alone has loadings of its own. If `dag`
#' has several causal orders, `"complete"` takes the one in which, of the latents whose parents have
#' all been placed, the first in the order of `dag` comes next. An interventional start
#' (the default) uses each baseline's own graph and targets, so that each has a mixing matrix of its
#' own (`"no_shrinkage"` that of `"true"`); with `init` a fit, such as the first of the result, all
#' but `"pca"` share that one.
#'
#' @param x A numeric matrix (n x p, rows = samples), a data frame, a list with one matrix for each
#'   domain, a [sim_crl()] object, or what else [crl_rows()] takes, as in [fit_crl()].
#' @param env,targets,dag,weights,init,center,noise,nuisance,covariates,control,cl As in [fit_crl()].
#' @param methods Character vector: the baselines to fit; all by default. The result has them in the
#'   order of the table, whatever the order given.
#' @param ... For the generic, the arguments of the methods.
#' @return A list of class `crl_baselines` with one `crl_fit` a method, named by method. The
#'   attribute `"refused"` is a character vector, named by method, of why methods were not fitted:
#'   too much memory (the complete graph needs (knots + 2)^d coefficients), or a numerical failure.
#'   `print()` shows a table of the variance of `x` explained, noise variance, iterations, convergence, floored posterior variances
#'   and seconds, then what was refused and three other numerical events, of which
#'   [summary()][summary.crl_baselines] has the rest.
#' @section Errors:
#' Those of [fit_crl()] for bad input. If all methods are refused, an error of class
#' `ebcrl_error_memory` that lists the reasons.
#' @seealso [summary.crl_baselines()] and [rel_mse()] for their errors where the truth is known,
#'   [autoplot.crl_baselines()] for the figure.
#' @source Section 7 of \doi{10.48550/arXiv.2603.18404}.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 100, p = 10)
#' baselines <- crl_baselines(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag,
#'                            control = crl_control(max_iter = 30))
#' baselines
#' summary(baselines, truth = sim)
#'
#' # oracle setting: mixing matrix and noise variance known
#' crl_baselines(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2))
#' @export
crl_baselines <- function(x, env = NULL, targets, dag, methods = baseline_names(),
                          weights = NULL, init = NULL, center = NULL, noise = NULL, nuisance = 0,
                          covariates = NULL, control = crl_control(), cl = NULL, ...) {
  check_fit_dots(...)
  methods <- check_methods(methods)
  control <- continued_settings(as_control(control), init)
  given <- given_rows(x, env, targets, dag, ...)
  given$rows <- prepared_rows(given$rows, cl, NULL)
  data <- crl_data(given$rows, given$env, given$targets, given$dag, weights, control$knots,
                   missing = !is.null(given$rows$matrix), progress = control$progress)
  data <- without_covariates(data, covariates, given$rows$samples,
                             before = given$rows$taken_out)
  data$measure <- measurement_settings(center, noise, nuisance, control)
  fits <- lapply(fit_baselines(methods, data, init, control, environment()), without_passes)
  fitted <- vapply(fits, inherits, NA, "crl_fit")
  refused <- vapply(fits[!fitted], refusal, "")
  if (!any(fitted)) {
    reasons <- paste0(baseline_labels(names(refused)), ": ", refused)
    abort_input(c("None of the baselines could be fitted.", "x" = "{reasons}"), "memory")
  }
  structure(fits[fitted], refused = refused, class = "crl_baselines")
}

#' @noRd
baseline_names <- function() {
  c("true", "complete", "empty", "pooled", "no_shrinkage", "pca")
}

#' @noRd
baseline_labels <- function(methods) {
  labels <- c(true = "true graph", complete = "complete graph", empty = "empty graph",
              pooled = "pooled", no_shrinkage = "no shrinkage", pca = "PCA")
  unname(labels[methods])
}

#' @noRd
check_methods <- function(methods, call = rlang::caller_env()) {
  known <- baseline_names()
  if (!is.character(methods) || length(methods) == 0L) {
    abort_input(c("{.arg methods} must name baselines.", "x" = "It is {describe(methods)}.",
                  "i" = "The baselines are {some(known, 6)}."), "type", call = call)
  }
  unknown <- setdiff(methods, known)
  if (length(unknown) > 0L) {
    abort_input(c("{.arg methods} must name baselines.", "x" = "Found {some(unknown)}.",
                  did_you_mean(unknown, known, "val"),
                  "i" = "The baselines are {some(known, 6)}."), "range", call = call)
  }
  known[known %in% methods]
}

#' @noRd
fit_baselines <- function(methods, data, init, control, error_call) {
  with_progress(control$progress, "Baselines", steps = length(methods), function(tick) {
    fits <- list()
    for (method in methods) {
      one <- function() fit_baseline(method, data, init, control, error_call)
      told <- length(fits) > 0L # the measurement model is the same for all
      fits[[method]] <- if (told) {
        suppressMessages(one(), classes = "ebcrl_message_measurement")
      } else {
        one()
      }
      if (!is.null(tick)) tick(length(fits))
    }
    fits
  })
}

#' One baseline: a fit, or the error that refused it
#' @param engine fit_data(), or fit_g() for baselines that differ in graph or targets only.
#' @noRd
fit_baseline <- function(method, data, init, control, error_call, engine = fit_data) {
  changes <- switch(method, no_shrinkage = list(eta = 0),
                    pca = list(eta = 0, mixing = "fixed", max_iter = 0L))
  clock <- start_clock()
  on.exit(stop_clock(clock))
  tryCatch({
    fit <- engine(baseline_data(method, data), if (method == "pca") "pca" else init,
                  do.call(update.crl_control, c(list(control), changes)), error_call = error_call)
    replace(fit, "seconds", list(clock_seconds(clock)))
  }, ebcrl_error_memory = identity, ebcrl_error_numerical = identity)
}

#' The data with the graph or targets of a baseline; x is shared
#' @noRd
baseline_data <- function(method, data) {
  names <- data$latent_names
  if (method == "complete") {
    data$dag <- complete_dag(names[topological_order(data$dag)], names = names)
  } else if (method == "empty") {
    data$dag <- empty_dag(names)
  } else if (method == "pooled") {
    data$targets[] <- 0L
  }
  data
}

#' The message of an error as one line of plain text
#' @noRd
refusal <- function(error) {
  cli::ansi_strip(paste(c(error$message, error$body), collapse = " "))
}

#' @export
print.crl_baselines <- function(x, digits = 3L, ...) {
  size <- fit_size(x[[1L]])
  cat("Baselines fitted to ", describe_size(size), "\n", sep = "")
  print_table(baseline_table(x), digits)
  print_refused(attr(x, "refused"))
  print_notes(baseline_notes(x), most = 3L)
  invisible(x)
}

#' Every numerical event of every baseline
#' @noRd
baseline_notes <- function(object) {
  events <- lapply(object, count_notes, except = "variance_floored")
  sprintf("%s: %s", rep(baseline_labels(names(object)), lengths(events)), unlist(events))
}

#' @noRd
baseline_table <- function(object) {
  pick <- function(field, type) unname(vapply(object, `[[`, type, field))
  iterations <- pick("iterations", 0L)
  converged <- ifelse(pick("converged", NA), "yes", "no")
  tibble::tibble(
    method = baseline_labels(names(object)),
    explained = unname(vapply(object, function(fit) percent(explained_variance(fit)), "")),
    sigma2 = pick("sigma2", 0), iterations = iterations,
    converged = ifelse(iterations == 0L, "no EM", converged),
    floored = unname(vapply(object, function(fit) fit$counts[["variance_floored"]], 0)),
    seconds = sprintf("%.2f", pick("elapsed", 0))
  )
}

#' @noRd
print_refused <- function(refused) {
  if (length(refused) > 0L) {
    cat("\nNot fitted:\n")
    lines <- paste0("- ", baseline_labels(names(refused)), ": ", refused)
    write_lines(lines)
  }
}

#' Errors of baselines against a known truth
#'
#' @param object A `crl_baselines`, from [crl_baselines()].
#' @param truth A [sim_crl()] object, or what else [rel_mse()] takes as one. `NULL` (the default):
#'   there are no errors to tell, and the summary has the fits' own table and notes only.
#' @param bayes `NULL`, or a [bayes_latents()] result, to which errors are then compared.
#' @param x,digits The summary, and the number of significant digits to show.
#' @param ... Not used.
#' @return A list of class `summary.crl_baselines`:
#'   \item{errors}{tibble, one row a method: `method`, `rel_mse` (equation 7.2 of the paper, mean
#'     over all rows), `regret` (only with `bayes`: `rel_mse` divided by that of the Bayes optimum,
#'     minus 1), `frobenius_error` (squared, equation 7.3), `sigma2`.}
#'   \item{by_domain}{matrix of `rel_mse`, methods x domains; with `bayes`, a last row for the Bayes
#'     optimum.}
#'   \item{bayes}{`rel_mse` of the Bayes optimum over all rows, or `NULL`.}
#'   \item{fits}{tibble, one row a method, as `print()` of the baselines shows it.}
#'   \item{refused}{the methods that were not fitted, with the reasons.}
#'   \item{notes}{character vector: every numerical event but floored posterior variances.}
#' @inheritSection rel_mse Errors
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' baselines <- crl_baselines(sim, methods = c("true", "no_shrinkage"))
#' summary(baselines, truth = sim, bayes = bayes_latents(sim, draws = 500))
#' @export
summary.crl_baselines <- function(object, truth = NULL, bayes = NULL, ...) {
  check_dots_empty(...)
  own <- list(fits = baseline_table(object), refused = attr(object, "refused"),
              notes = baseline_notes(object))
  if (is.null(truth)) {
    return(structure(own, class = "summary.crl_baselines"))
  }
  truth <- check_truth(truth, needs_mixing = TRUE)
  check_bayes(bayes)
  errors <- tibble::tibble(
    method = baseline_labels(names(object)),
    rel_mse = rel_mse(object, truth)$rel_mse,
    frobenius_error = frobenius_error(object, truth)$frobenius_error,
    sigma2 = unname(vapply(object, `[[`, 0, "sigma2"))
  )
  optimum <- if (!is.null(bayes)) rel_mse(bayes, truth)
  if (!is.null(bayes)) {
    errors <- tibble::add_column(errors, regret = errors$rel_mse / optimum - 1, .after = "rel_mse")
  }
  structure(c(list(errors = errors, by_domain = errors_by_domain(object, truth, bayes),
                   bayes = optimum), own), class = "summary.crl_baselines")
}

#' Relative errors, methods x domains, the Bayes optimum (if given) last
#' @noRd
errors_by_domain <- function(object, truth, bayes) {
  fits <- stats::setNames(unclass(object), baseline_labels(names(object)))
  fits <- c(fits, if (!is.null(bayes)) list("Bayes optimum" = bayes))
  by_fit <- lapply(fits, rel_mse, truth = truth, by = "env")
  result <- do.call(rbind, lapply(by_fit, `[[`, "rel_mse"))
  colnames(result) <- levels(by_fit[[1L]]$env)
  result
}

#' @rdname summary.crl_baselines
#' @export
print.summary.crl_baselines <- function(x, digits = 3L, ...) {
  if (is.null(x$errors)) {
    print_table(x$fits, digits)
  } else {
    print_errors(x, digits)
  }
  print_refused(x$refused)
  print_notes(x$notes)
  invisible(x)
}

#' @noRd
print_errors <- function(x, digits) {
  cat("Relative mean squared error of the latents, squared Frobenius error of the mixing matrix:\n")
  print_table(x$errors, digits)
  if (!is.null(x$bayes)) {
    cat("Bayes optimum: ", figures(x$bayes, digits), "\n", sep = "")
  }
  cat("\nRelative mean squared error by domain:\n")
  by_domain <- x$by_domain
  by_domain[] <- figures(by_domain, digits)
  print(by_domain, quote = FALSE, right = TRUE)
}
