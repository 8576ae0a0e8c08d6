# Comparison of fits without a truth: each is refitted on parts of the rows and scored on the rest.

#' Compare fits by their held-out score-matching loss
#'
#' Which graph, score, penalty, start or set of targets describes the data best, judged without
#' knowing the latents: every model is refitted with the rows of one fold left out, and the
#' score-matching (Hyvärinen) loss of those rows is taken, fold by fold. The model
#' with the smallest loss is the best, and the differences to it come with standard errors.
#'
#' A fit implies a density of x: the density of the pseudo-latents \eqn{y = O'x} with score s, times
#' \eqn{N(0, \sigma^2)} in the p - d directions across. Its score is \eqn{O s(y) - (I - OO') x /
#' \sigma^2}, hence the loss of a row
#' \deqn{\ell(x) = \tfrac12 |s|^2 + \mathrm{tr} J + \frac{|x - OO'x|^2}{2 \sigma^4} - \frac{p -
#' d}{\sigma^2},}{l(x) = |s|^2 / 2 + tr J + |x - OO'x|^2 / (2 sigma^4) - (p - d) / sigma^2,}
#' J being the derivative of s. Since it speaks of x, models with another A, another \eqn{\sigma^2}
#' or another number of latents have it in common. The first two terms are the latents' part of
#' (5.3), reported as `latent`; that alone must not be compared where A or \eqn{\sigma^2} differs.
#' With damping (\eqn{\eta < 1}) the score that counts is \eqn{\eta s}, from which the latents are
#' computed. With correlated columns, \eqn{A = O \Lambda} and \eqn{y = \Lambda^{-1} O'x}, s
#' stands for \eqn{\Lambda^{-1} s} and J for \eqn{\Lambda^{-1} J \Lambda^{-1}}.
#'
#' @section What the loss can and cannot tell:
#' * Up to a constant of the data it is half the expected squared distance between the model's score
#'   of x and the true one (the relative Fisher divergence): it says nothing in units of its own,
#'   only differences mean something.
#' * It is also Stein's unbiased estimate of risk: with the same A, and for both the right
#'   \eqn{\sigma^2}, a difference of \eqn{\delta} between two models is a difference of
#'   \eqn{2 \sigma^4 \delta} in the squared error of the denoised \eqn{A \hat z} a row, in
#'   expectation.
#' * Rotations of the latents are neutral for an unrestricted score: a small loss does not say that
#'   A has the right rotation, unless the score class restricts it, as a sparse graph does. The
#'   graph is told from others as far as it restricts the score.
#' * \eqn{\sigma^2} enters strongly, in p - d dimensions: between models that estimate it on their
#'   own, small differences of \eqn{\sigma^2} weigh as much as the score.
#' * The causal score (5.2) is no gradient in general, so that the true graph need not have the
#'   smallest loss: a graph with more edges may come closer to the score of the density. The more
#'   rows, the less its greater variance holds it back.
#' * A Gaussian reference score (`reference = "gaussian"` in [spline_control()], the default) has the linear
#'   dependence of all latents on each other, whatever the graph, which then restricts the splines
#'   alone. To compare graphs, fit with `reference = "none"`.
#' * Fits are judged as they come out of fewer rows than all, with penalties of the same weight.
#'   A start given by numbers (`init` a list or a fit) is the same in every fold, whatever rows the
#'   numbers came from.
#'
#' @section Standard errors:
#' Rows count as independent draws within their domains: the standard error of a mean, or of a mean
#' of paired differences, is \eqn{\sqrt{\sum_e w_e^2 v_e / N_e}}{sqrt(sum_e w_e^2 v_e / N_e)} with
#' \eqn{v_e} the variance in domain e and \eqn{w_e} the domain weights of the fits. Rows of one fold
#' share a refit, which this leaves out: over simulated data sets the differences spread as the
#' standard errors say between models with few coefficients, and up to a third more where one has
#' many (the complete graph); the losses by fold (`tidy(x, "folds")`) give an idea of it. The best
#' of many models is the best partly by luck: two standard errors are a guide, not a test.
#'
#' @param ... Fits to compare, by name: `crl_fit` objects ([fit_crl()]), discoveries
#'   ([crl_discover()], which are fitted with their graph and targets), [crl_baselines()] or lists of
#'   fits, of the same `x`, domains and weights. At least two. Fits without a name go by the
#'   expression given. For `tidy()`: not used.
#' @param folds Number of folds (2 or more, at most the rows of the smallest domain), dealt out at
#'   random within each domain, so that every fold has its share of every domain; or the fold of
#'   each row (length n), such as one for each subject, with two or more folds in every domain.
#' @param seed Seed of the random folds (a whole number). R's own random numbers are neither used
#'   nor changed.
#' @param cl `NULL`, or a cluster of package parallel (PSOCK, MPI by snow, mirai) whose workers do the
#'   refits, each with the rows of all fits in its memory. Results do not depend on it.
#' @param progress Show a progress bar over the refits? NULL (the default): in interactive sessions.
#' @return A tibble of class `crl_comparison` with one row a model, the best first:
#'   \item{model}{name}
#'   \item{loss}{mean of the held-out loss a row (smaller is better), weighted by domains as in the
#'     fits}
#'   \item{se}{its standard error}
#'   \item{difference}{loss minus that of the best on the same rows}
#'   \item{se_difference}{the standard error of the difference, rows being paired}
#'   \item{latent}{the latents' part of the loss}
#'   \item{sigma2}{mean over folds of the refits' noise variance}
#'   \item{failed_folds}{refits that stopped with an error; the loss is that of the other folds}
#'   \item{unconverged_folds}{refits that did not converge in `max_iter` iterations}
#'
#'   Models with failed folds come last, those without any refit with `NA`. `print()` shows the
#'   table, what it says in words, and three notes, such as why refits failed; `summary()` all of
#'   them. `tidy()` and `as.data.frame()` give the
#'   plain table; `tidy(x, "folds")` has one row a refit: `model`, `fold`, `rows` (held out),
#'   `loss`, `latent`, `sigma2`, `iterations`, `converged`, `events` (solves that were jittered or
#'   stopped early, floored variances, rank deficient updates), `failure` (the error, or `NA`).
#' @section Errors:
#' `ebcrl_error_type` for anything but fits, and for fewer than two; `ebcrl_error_range` for a name
#' that is there twice or a number of folds that domains cannot fill; `ebcrl_error_data` if the fits
#' are not of the same rows, domains and weights; `ebcrl_error_method` for fits that have no score;
#' `ebcrl_error_memory` if the rows to refit on do not fit in memory; `ebcrl_error_worker` if a worker
#'   of `cl` ended. Errors of refits (a latent
#' state with too few rows, say) are reported in the result.
#' @references Hyvärinen, A. (2005). Estimation of non-normalized statistical models by score
#'   matching. *Journal of Machine Learning Research*, 6, 695-709.
#' @seealso [autoplot.crl_comparison()] for the plot, [crl_baselines()], and [rel_mse()] where the
#'   truth is known.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
#' fit <- function(dag, ...) {
#'   fit_crl(sim, dag = dag, init = known, control = crl_control(mixing = "fixed", ...))
#' }
#' comparison <- crl_compare(chain = fit(sim$dag), empty = fit(empty_dag(3)),
#'                           ridge = fit(sim$dag, penalty = "ridge"))
#' comparison
#' plot(comparison)
#' tidy(comparison, "folds")
#' @export
crl_compare <- function(..., folds = 5, seed = 1, progress = NULL, cl = NULL) {
  fits <- collect_fits(list(...), vapply(as.list(substitute(list(...)))[-1L], rlang::as_label, ""))
  check_measured_alike(fits)
  fits <- lapply(fits, inner_fit)
  check_comparable(fits)
  fits <- lapply(fits, with_kept_x, what = "crl_compare()", call = rlang::current_env())
  data <- fits[[1L]]$data
  seed <- check_number(seed, "seed", min = 0, max = 2^53, integer = TRUE)
  fold <- row_folds(folds, data, seed)
  check_copy_memory(fits, environment())
  if (!is.null(progress)) check_flag(progress, "progress")
  cl <- check_rows_cluster(cl)
  varying <- lapply(fits, without_constant)
  scored <- with_progress(progress, "Refits", eta = TRUE,
                          steps = max(fold) * length(fits), function(tick) {
    cross_validate(varying, fold, tick %||% identity, cl)
  })
  structure(comparison_table(fits, scored, data), folds = scored$folds, size = fit_size(fits[[1L]]),
            class = c("crl_comparison", "tbl_df", "tbl", "data.frame"))
}

# What is compared --------------------------------------------------------------------------------

#' The fits in `...` as one named list
#' @param labels Names of the arguments, or the expressions of those without.
#' @noRd
collect_fits <- function(given, labels, call = rlang::caller_env()) {
  named <- nzchar(rlang::names2(given))
  labels[named] <- names(given)[named]
  fits <- list()
  for (k in seq_along(given)) {
    fits <- c(fits, as_named_fits(given[[k]], labels[k], named[k], call))
  }
  if (length(fits) < 2L) {
    abort_input(c("{.arg ...} must hold at least two fits.", "x" = "It holds {length(fits)}."),
                "type", call = call)
  }
  twice <- unique(names(fits)[duplicated(names(fits))])
  if (length(twice) > 0L) {
    abort_input(c("{.arg ...} must give every fit a name of its own.",
                  "x" = "{some(twice)} {cli::qty(length(twice))}{?is/are} there more than once."),
                "range", call = call)
  }
  Map(function(fit, name) check_fit(fit, name, rows = TRUE, call), fits, names(fits))
}

#' One argument: a fit, baselines or a list of fits
#' @noRd
as_named_fits <- function(value, label, named, call) {
  if (inherits(value, "crl_discovery")) value <- fit_crl(value)
  if (inherits(value, "crl_fit")) {
    return(stats::setNames(list(value), label))
  }
  if (!is_list_of_fits(value)) {
    abort_input(c("{.arg ...} must hold fits, baselines or lists of fits.",
                  "x" = "{.code {label}} is {describe(value)}.",
                  "i" = "Fits are made by {.fn fit_crl} and {.fn crl_baselines}."), "type",
                call = call)
  }
  inner <- rlang::names2(value)
  if (inherits(value, "crl_baselines")) {
    inner <- baseline_labels(inner)
  } else if (!all(nzchar(inner))) {
    abort_input(c("Lists of fits in {.arg ...} must have names.",
                  "x" = "Entry {which(!nzchar(inner))[1]} of {.code {label}} has none."), "type",
                call = call)
  }
  stats::setNames(unclass(value)[seq_along(inner)],
                  if (named) paste0(label, ": ", inner) else inner)
}

#' @noRd
is_list_of_fits <- function(value) {
  plain <- is.list(value) && (!is.object(value) || inherits(value, "crl_baselines"))
  plain && length(value) > 0L && all(vapply(value, inherits, NA, "crl_fit"))
}

#' Losses are of the coordinates that the measurement model reduces x to: it must be the same
#' @noRd
check_measured_alike <- function(fits, call = rlang::caller_env()) {
  spaces <- lapply(fits, function(fit) if (!is.null(fit$inner)) fit$inner$data$space)
  same <- vapply(spaces, function(space) isTRUE(all.equal(space, spaces[[1L]])), NA)
  if (!all(same)) {
    abort_input(c("{.arg ...} must hold fits with the same measurement model.",
                  "x" = "{.val {names(fits)[!same][1]}} has another than {.val {names(fits)[1]}}.",
                  "i" = paste("Fit all with the same {.arg center}, {.arg noise} and",
                              "{.arg nuisance}, such as {.code center = FALSE, noise =",
                              "\"equal\"}.")), "data", call = call)
  }
}

#' All fits must be of the same rows in the same domains with the same weights
#' @noRd
check_comparable <- function(fits, call = rlang::caller_env()) {
  one <- fits[[1L]]$data
  for (name in names(fits)) {
    if (!inherits(fits[[name]], "crl_fit_f")) {
      abort_input(c("{.arg ...} must hold fits with a score, by {.code method = \"f\"}.",
                    "x" = "{.val {name}} has {.code method = \"g\"}."), "method", call = call)
    }
    data <- fits[[name]]$data
    differs <- c(
      x = !identical(data$x, one$x),
      env = !identical(data$env_names[data$env], one$env_names[one$env]),
      weights = !isTRUE(all.equal(data$weights, one$weights[match(data$env_names, one$env_names)]))
    )
    if (any(differs)) {
      abort_input(c("{.arg ...} must hold fits of the same data.",
                    "x" = "{.val {name}} has another {.arg {names(which(differs))[1]}} than
                           {.val {names(fits)[1]}}.",
                    "i" = "Fit all to the same {.arg x}, {.arg env} and {.arg weights}."), "data",
                  call = call)
    }
  }
}

#' Refits need a copy of the rows beside what a fit needs
#' @noRd
check_copy_memory <- function(fits, call) {
  for (fit in fits) {
    bytes <- fit_cost(fit$data, fit$control)$bytes + 8 * length(fit$data$x)
    check_bytes(bytes, fit$control, call = call, what = "A refit, with its copy of the rows,",
                hint = c("i" = paste("Raise {.code crl_control(max_memory = )} of the fits,",
                                     "or use fewer rows.")))
  }
}

# Folds -------------------------------------------------------------------------------------------

#' The fold of each row, as integers from 1
#' @noRd
row_folds <- function(folds, data, seed, call = rlang::caller_env()) {
  if (length(folds) > 1L && is.atomic(folds)) {
    return(given_folds(folds, data, call))
  }
  folds <- check_number(folds, "folds", min = 2, integer = TRUE, call = call)
  if (folds > min(data$n_env)) {
    smallest <- which.min(data$n_env)
    abort_input(c("{.arg folds} must not exceed the rows of a domain.",
                  "x" = paste("It is {folds}; domain {.val {data$env_names[smallest]}} has",
                              "{data$n_env[smallest]} row{?s}.")), "range", call = call)
  }
  .Call(C_fold_rows, data$env, data$n_domains, folds, as.double(seed))
}

#' @noRd
given_folds <- function(folds, data, call) {
  if (length(folds) != data$n) {
    abort_input(c("{.arg folds} must be one number, or the fold of each of {data$n} row{?s}.",
                  "x" = "It is {describe(folds)}."), "shape", call = call)
  }
  if (anyNA(folds)) {
    abort_input(c("{.arg folds} must not have missing entries.",
                  "x" = "Row {which(is.na(folds))[1]} is NA ({sum(is.na(folds))} in all)."),
                "missing", call = call)
  }
  fold <- match(folds, sort(unique(folds)))
  in_domain <- rowSums(table(data$env, fold) > 0L)
  if (any(in_domain < 2L)) {
    abort_input(c("{.arg folds} must spread the rows of every domain over two or more folds.",
                  "x" = "Domain {.val {data$env_names[in_domain < 2][1]}} is in one fold.",
                  "i" = "The refit without that fold would know nothing of the domain."), "range",
                call = call)
  }
  fold
}

# Refits ------------------------------------------------------------------------------------------

#' Refit every model without each fold, and score the rows of the fold
#' @param done Function that is told how many refits there were.
#' @return list: `loss`, `latent` (n x models, NaN where a refit failed), `folds` (tibble)
#' @noRd
cross_validate <- function(fits, fold, done, cl = NULL, call = rlang::caller_env()) {
  data <- fits[[1L]]$data
  loss <- latent <- matrix(NaN, data$n, length(fits))
  refits <- expand.grid(model = seq_along(fits), fold = seq_len(max(fold)))
  runs <- if (is.null(cl)) refits_here(fits, fold, refits, done) else
    refits_on_cluster(fits, fold, refits, done, cl, call)
  for (k in seq_along(runs)) {
    held <- fold == refits$fold[k]
    loss[held, refits$model[k]] <- runs[[k]]$loss
    latent[held, refits$model[k]] <- runs[[k]]$latent
  }
  folds <- do.call(rbind, lapply(runs, `[[`, "line"))
  folds <- folds[order(match(folds$model, names(fits)), folds$fold), ]
  list(loss = loss, latent = latent, folds = folds)
}

#' @param refits Table of `model` and `fold`, folds together.
#' @noRd
refits_here <- function(fits, fold, refits, done) {
  parts <- list(fold = 0L)
  lapply(seq_len(nrow(refits)), function(k) {
    if (parts$fold != refits$fold[k]) parts <<- fold_parts(fits[[1L]]$data, fold, refits$fold[k])
    run <- refit_of_fold(fits, refits$model[k], parts)
    done(k)
    run
  })
}

#' The rows of a fold (`held`) and the others (`kept`), with their part of x
#' @noRd
fold_parts <- function(data, fold, f) {
  kept <- which(fold != f)
  held <- which(fold == f)
  x <- data$x
  list(fold = f, kept = kept, held = held,
       rows = list(kept = x[kept, , drop = FALSE], held = x[held, , drop = FALSE]))
}

#' One refit: losses of the held-out rows, and its line in the table
#' @noRd
refit_of_fold <- function(fits, model, parts) {
  run <- held_out(fits[[model]], parts$kept, parts$held, parts$rows)
  line <- fold_line(run, fits[[model]]$data, parts$held, names(fits)[model], parts$fold)
  c(run[c("loss", "latent")], list(line = line))
}

#' The same on the workers, which get the fits once
#' @noRd
refits_on_cluster <- function(fits, fold, refits, done, cl, call) {
  check_cluster(cl, call)
  fits[-1L] <- lapply(fits[-1L], function(fit) { # x travels once
    fit$data["x"] <- list(NULL)
    fit
  })
  parallel::clusterCall(cl, receive_task, list(fits = fits, fold = fold))
  on.exit(parallel::clusterCall(cl, receive_task, NULL))
  runs <- list()
  for (chunk in split(seq_len(nrow(refits)), (seq_len(nrow(refits)) - 1L) %/% (4L * length(cl)))) {
    found <- tryCatch(parallel::clusterApplyLB(cl, lapply(chunk, function(k) refits[k, ]),
                                               refit_on_worker),
                      error = function(e) abort_refits(conditionMessage(e), call))
    runs <- c(runs, found)
    done(length(runs))
  }
  runs
}

#' @noRd
abort_refits <- function(reason, call) {
  abort_input(c("The workers of {.arg cl} must live until the last refit.",
                "x" = "Found: {reason}."), "worker", call = call)
}

#' @noRd
refit_on_worker <- function(refit) {
  task <- worker$task
  refit_of_fold(task$fits, refit$model, fold_parts(task$fits[[1L]]$data, task$fold, refit$fold))
}

#' One refit and the losses of its held-out rows
#' @param rows list of the `kept` and `held` rows of x.
#' @return list: `loss`, `latent` (by held-out row), `fit` (NULL if it failed), `failure`
#' @noRd
held_out <- function(fit, kept, held, rows) {
  failed <- rep(NaN, length(held))
  tryCatch({
    refit <- refit_rows(fit, kept, rows$kept)
    step <- estep(rows$held, fit$data$env[held], fit$data$targets, refit)
    c(row_losses(rows$held, step, refit), list(fit = refit, failure = NA_character_))
  }, ebcrl_error = function(error) {
    list(loss = failed, latent = failed, fit = NULL, failure = refusal(error))
  })
}

#' Loss of rows and its part in the latents, from their E-step
#' @noRd
row_losses <- function(x, step, fit) {
  # where y = Lambda^-1 O'x, lengths are those of O'x and of its score
  correlated <- is.matrix(fit$scale)
  length <- if (correlated) crossprod(fit$scale)
  noise <- if (correlated) inverse_gram(length)
  .Call(C_held_out_losses, x, step, length, noise, fit$sigma2,
        as.double(fit$eta %||% fit$control$eta))
}

#' The model of a fit, fitted anew to some of its rows
#' @noRd
refit_rows <- function(fit, rows, x = fit$data$x[rows, , drop = FALSE]) {
  fit_data(take_rows(fit$data, rows, x, fit$control$knots), fit$start,
           update.crl_control(fit$control, progress = FALSE))
}

#' @noRd
fold_line <- function(run, data, held, model, fold) {
  mean_of <- function(values) {
    .Call(C_loss_means, as.matrix(values), data$env[held], data$weights, 0L)$mean
  }
  fit <- run$fit
  failed <- is.null(fit)
  events <- c("jittered", "cg_unconverged", "sigma2_floored", "rank_deficient", "scale_floored",
              "reference_floored")
  tibble::tibble(
    model = model, fold = fold, rows = length(held),
    loss = if (failed) NA_real_ else mean_of(run$loss),
    latent = if (failed) NA_real_ else mean_of(run$latent),
    sigma2 = fit$sigma2 %||% NA_real_, iterations = fit$iterations %||% NA_integer_,
    converged = if (failed) NA else fit$converged || fit$iterations == 0L,
    events = if (failed) NA_real_ else sum(fit$counts[events], na.rm = TRUE), failure = run$failure
  )
}

# Result ------------------------------------------------------------------------------------------

#' The table, the best first
#'
#' The best is the smallest loss among the models with the fewest failed folds.
#' @noRd
comparison_table <- function(fits, scored, data) {
  folds <- split(scored$folds, factor(scored$folds$model, names(fits)))
  means <- function(values, reference = 0L) {
    .Call(C_loss_means, values, data$env, data$weights, reference)
  }
  count <- function(test) unname(vapply(folds, function(fold) sum(test(fold), na.rm = TRUE), 0L))
  own <- means(scored$loss)
  failed <- count(function(fold) !is.na(fold$failure))
  best <- order(failed, own$mean)[1L]
  against <- means(scored$loss, best)
  table <- tibble::tibble(
    model = names(fits), loss = own$mean, se = own$se, difference = against$mean,
    se_difference = against$se, latent = means(scored$latent)$mean,
    sigma2 = unname(vapply(folds, function(fold) mean(fold$sigma2, na.rm = TRUE), 0)),
    failed_folds = failed, unconverged_folds = count(function(fold) !fold$converged)
  )
  table[] <- lapply(table, function(column) replace(column, is.nan(column), NA))
  table[order(failed > failed[best], table$difference), ]
}

#' @export
print.crl_comparison <- function(x, digits = 3L, ..., most = 3L) {
  folds <- attr(x, "folds")
  size <- attr(x, "size")
  if (!all(c("model", "loss", "difference", "se_difference") %in% names(x)) || is.null(folds)) {
    return(NextMethod())
  }
  counts <- count_of(size[c("n", "p", "n_domains")], c("row", "feature", "domain"))
  write_lines(paste0("Held-out score-matching loss of a row, smaller is better: ", max(folds$fold),
                     " folds of ", paste(counts, collapse = ", ")))
  shown <- c("model", "loss", "difference", "se_difference", "latent", "sigma2")
  table <- tidy(x)[intersect(shown, names(x))]
  # losses have much in common: two more figures than their differences
  losses <- names(table) %in% c("loss", "latent")
  table[losses] <- lapply(table[losses], figures, digits + 2L)
  print_table(table, digits)
  cat("\n")
  write_lines(comparison_words(x))
  print_notes(comparison_notes(x, folds), most)
  invisible(x)
}

#' @rdname crl_compare
#' @param object A `crl_comparison`.
#' @export
summary.crl_comparison <- function(object, ...) {
  check_dots_empty(...)
  structure(list(comparison = object), class = "summary.crl_comparison")
}

#' @export
print.summary.crl_comparison <- function(x, digits = 3L, ...) {
  print(x$comparison, digits = digits, most = Inf)
  invisible(x)
}

#' What the differences say, by the rule of two standard errors
#' @noRd
comparison_words <- function(x) {
  if (nrow(x) == 0L) {
    return("No model is left.")
  }
  if (all(is.na(x$difference))) {
    return("No model could be refitted: see the notes.")
  }
  best <- which(x$difference == 0 & x$se_difference == 0)[1L]
  others <- setdiff(which(!is.na(x$difference)), best)
  clear <- x$difference[others] > 2 * x$se_difference[others]
  listed <- function(which) paste(x$model[others[which]], collapse = ", ")
  first <- paste0("Smallest loss: ", x$model[best], ".")
  c(if (is.na(best)) "The best model is not among these; differences are to it." else first,
    if (any(!clear)) paste0("Not told from it (within two standard errors): ", listed(!clear), "."),
    if (any(clear)) paste0("Larger by more than two standard errors: ", listed(clear), "."))
}

#' Refits that failed, with the first reason, did not converge, or had numerical events
#' @noRd
comparison_notes <- function(x, folds) {
  notes <- lapply(x$model, function(model) {
    runs <- folds[folds$model == model, ]
    total <- count_of(nrow(runs), "refit")
    failed <- which(!is.na(runs$failure))
    slow <- sum(!runs$converged, na.rm = TRUE)
    events <- sum(runs$events > 0, na.rm = TRUE)
    c(if (length(failed) > 0L) {
      paste0(length(failed), " of ", total, " failed",
             if (length(failed) < nrow(runs)) ", and the loss is that of the other folds",
             ": ", runs$failure[failed[1L]])
    },
    if (slow > 0L) paste(slow, "of", total, "did not converge in `max_iter` iterations."),
    if (events > 0L) {
      paste(events, "of", total, "met numerical events (jittered or unfinished solves, floored",
            "variances, rank deficient updates).")
    })
  })
  sprintf("%s: %s", rep(x$model, lengths(notes)), unlist(notes))
}

#' @rdname crl_compare
#' @param x A `crl_comparison`.
#' @param matrix `"models"`: the table; `"folds"`: one row a refit.
#' @export
tidy.crl_comparison <- function(x, matrix = c("models", "folds"), ...) {
  check_dots_empty(...)
  if (check_choice(matrix, c("models", "folds"), "matrix") == "folds") {
    return(attr(x, "folds"))
  }
  tibble::as_tibble(as.data.frame(x))
}

#' @export
as.data.frame.crl_comparison <- function(x, ...) {
  attr(x, "folds") <- attr(x, "size") <- NULL
  class(x) <- "data.frame"
  x
}
