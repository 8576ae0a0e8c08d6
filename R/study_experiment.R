# Experiments: a grid of settings, methods and seeds. A cell is one method on one simulated data
# set; its result is small, and is all that is kept. Cells are run in study_experiment_run.R, plots
# are in study_experiment_plot.R.

#' Simulate, fit and measure over a grid
#'
#' Runs every method on data simulated under every setting with every seed, in parallel if wanted,
#' and returns one table of errors. Finished cells are kept on disk, so that an experiment that was
#' stopped or killed goes on where it was, and one that is extended runs the added cells only.
#'
#' @section Settings:
#' A setting is a list of arguments of `simulate`. `dag` may also be a function that makes the graph
#' (such as `function(d) random_dag(d)`, whose draws come from the seed), called with `d` if the
#' setting has one; `d` without `dag` stands for `chain_dag(d)`. `targets` may be a function of the
#' graph. Several settings are a named list of lists, or a data frame with one row a setting, such
#' as `expand.grid(d = c(2, 4), n = c(100, 500))`.
#'
#' @section Methods:
#' A method is a list with any of
#' * `baseline`: one of the names of [crl_baselines()], which say what graph, targets and shrinkage
#'   are used; `"true"` if left out,
#' * `method`: `"f"` (the default) or `"g"`, as in [fit_crl()],
#' * `init`: as in [fit_crl()], or `"oracle"`: the true mixing matrix, noise variances and feature
#'   means, held,
#' * `center`, `noise`, `nuisance`: as in [fit_crl()],
#' * settings of [crl_control()];
#'
#' or the name of a baseline alone; or a function of the simulation that returns a fit, a matrix of
#' latents, or a list with `latents`, `mixing` and possibly `latents_sd`, which is aligned with the
#' truth as fits are. `methods` is a named list of these, or a character vector of baselines.
#'
#' @section Random numbers:
#' Data and fits use R's generator of L'Ecuyer (1999), set anew in each cell, so that results do not
#' depend on the number of workers, on the order, on what else is in the grid, or on the state of
#' the session, which is left as it was. The data of a seed are those after
#' `set.seed(seed, "L'Ecuyer-CMRG", "Inversion", "Rejection")`; methods draw from the next stream,
#' `parallel::nextRNGStream(.Random.seed)`. All methods see the same data, and settings that differ
#' in what is drawn late (`n`, `sigma2`, `kappa`) share edge weights and mixing matrix under the
#' same seed, so that comparisons are paired.
#'
#' Bits may depend on the number of threads of the BLAS. Workers inherit the environment: where R
#' has a threaded BLAS, set `OPENBLAS_NUM_THREADS=1` (or its like) before R starts, which is faster,
#' too.
#'
#' @section Files:
#' With `dir`, each cell is one file in it, written under another name first and then renamed, so
#' that no file is ever half written, and read back before that, as a full disk need not be an
#' error. A file that is not as it was written is an error. A result is found again by what was run:
#' arguments of the simulation, settings of the method, seed, metrics; not by the names of settings
#' and methods, nor by settings without effect on results (`threads`, `progress`, `max_memory`). Of
#' functions the code counts (and the name given to them), not values that they take from elsewhere.
#' Workers write the files themselves; where they cannot, as on other machines that do not share the
#' file system, results are written at the end, and none is kept if the run is stopped before.
#'
#' @param settings A setting, a named list of settings, or a data frame, see Settings. Default: the
#'   defaults of [sim_crl()].
#' @param methods Methods, see Methods. Default: all baselines.
#' @param seeds Distinct whole numbers, one a run.
#' @param bayes `TRUE` adds the Bayes optimum of the same rows as a method `"bayes"` and errors
#'   relative to it; a list gives arguments of [bayes_latents()], such as `list(draws = 1000)`.
#'   Default `FALSE`.
#' @param metrics Named list of further metrics, functions of a fit (or whatever a function among
#'   the methods returns) and the simulation that return one number.
#' @param simulate Function that makes the data: [sim_crl()], or one that returns a list with `x`,
#'   `env`, `targets`, `dag`, `z` and `mixing` as [sim_crl()] does (and `sigma2`, if
#'   `init = "oracle"` is used). If it has an argument `d` of its own, `d` is passed to it.
#' @param cl Number of worker processes on this machine (default 1: this process), or a cluster made
#'   by [parallel::makeCluster()] or the like, which is left running. The package must be installed
#'   where the workers look.
#' @param dir Directory of the results, made if it is not there. `NULL` (the default): nothing is
#'   kept.
#' @param retry `TRUE` runs cells again whose file in `dir` holds an error, or is damaged.
#' @param progress Show a progress bar with the time left? `NULL` (the default): in interactive
#'   sessions.
#'
#' @return A tibble of class `crl_experiment`, one row a cell, by setting, method and seed:
#'   \item{setting, method}{factors, in the order given, `"bayes"` last}
#'   \item{seed}{of the run}
#'   \item{...}{a column for each argument that any setting gives as one number, string or flag}
#'   \item{rel_mse, rel_mse_pooled}{[rel_mse()], as mean of the rows' ratios and as ratio of sums}
#'   \item{frobenius_error}{[frobenius_error()], squared; NA where a method has no mixing matrix}
#'   \item{coverage}{share of the true latents within their 90 % intervals (posterior mean and
#'     standard deviation, normal); NA where a method has no standard deviations}
#'   \item{ratio, ratio_pooled}{with `bayes`: both errors divided by those of the Bayes optimum of
#'     the same rows}
#'   \item{sigma2_hat, iterations, converged}{of the fit; NA where it has none}
#'   \item{seconds, cpu_seconds}{elapsed time of the method (data excluded), and that of the
#'     processor}
#'   \item{by_env}{list of tibbles by domain: `env`, `rel_mse`, `rel_mse_pooled`}
#'   \item{warning}{the first warning, or NA}
#'   \item{error}{message of the error that ended the cell, or NA}
#'
#'   and the further metrics after `coverage`. `print()` shows medians and quartiles, then what
#'   failed or did not converge. `tidy(x, "env")` is the long table by domain,
#'   `tidy(x, "summary")` what `print()` shows, `tidy(x)` the plain tibble.
#'
#' @section Errors:
#' Bad arguments stop with an `ebcrl_error` before anything is run: `ebcrl_error_type`, `_shape`,
#' `_range`, `_missing`, `_control` (settings of a method), `_dir` (a directory that cannot be
#' written), `_worker` (workers that cannot load the package, or die), `_results` (files in `dir`
#' that were edited or cut off, named in its field `files`). A result that cannot be written to
#' `dir` stops the experiment with an `ebcrl_error_results`, whose field `experiment` is the table
#' of all cells that have run; the same call goes on from what is in `dir`. An error within a cell,
#' from bad values of a setting for example, is recorded in the table, with a warning of class
#' `ebcrl_warning_cells` at the end. Cells kept by another version of the package are used with a
#' warning of class `ebcrl_warning_version`.
#' @source L'Ecuyer, P. (1999). Good parameters and implementations for combined multiple recursive
#'   random number generators. *Operations Research*, 47, 159-164. \doi{10.1287/opre.47.1.159}
#' @seealso [autoplot.crl_experiment()] for the plots, [figure3()] for the experiments of the paper,
#'   [sim_crl()], [crl_baselines()], [bayes_latents()]
#' @examples
#' experiment <- crl_experiment(
#'   settings = data.frame(d = 2, n = c(60, 120), p = 10),
#'   methods = c("true", "no_shrinkage"), seeds = 1, bayes = list(draws = 200)
#' )
#' experiment
#' tidy(experiment, "env")
#'
#' # own method, own metric, further settings of fits
#' crl_experiment(
#'   settings = list(dag = function() random_dag(3), n = 100, p = 20),
#'   methods = list(
#'     projection = function(sim) sim$x %*% sim$mixing,
#'     oracle = list(init = "oracle"),
#'     paper = list(preset = "paper", max_iter = 20)
#'   ),
#'   seeds = 1:2, metrics = list(largest = function(fit, sim) max(abs(sim$z)))
#' )
#' @export
crl_experiment <- function(settings = list(), methods = baseline_names(), seeds = 1:10,
                           bayes = FALSE, metrics = list(), simulate = sim_crl, cl = 1,
                           dir = NULL, retry = FALSE, progress = NULL) {
  if (!is.function(simulate)) {
    abort_input(c("{.arg simulate} must be a function.", "x" = "It is {describe(simulate)}."),
                "type")
  }
  settings <- as_settings(settings, simulate)
  methods <- as_methods(methods)
  methods$bayes <- bayes_method(bayes)
  seeds <- check_seeds(seeds)
  metrics <- check_metrics(metrics)
  cl <- check_workers(cl)
  dir <- check_results_dir(dir)
  check_flag(retry, "retry")
  if (!is.null(progress)) check_flag(progress, "progress")
  cells <- experiment_cells(settings, methods, seeds, metrics, simulate)
  results <- kept_cells(cells, dir, retry)
  todo <- which(vapply(results, is.null, NA))
  call <- environment()
  results[todo] <- with_progress(progress, "Cells", steps = length(todo), eta = TRUE,
                                 function(tick) {
    run_cells(cells[todo], dir, cl, tick %||% identity, call)
  })
  tabulate <- function(cells, results) {
    experiment_table(cells, results, settings, methods, simulate)
  }
  experiment <- tabulate(cells, check_kept(cells, results, dir, tabulate))
  warn_cells(experiment)
  experiment
}

# The grid ----------------------------------------------------------------------------------------

#' Named list of settings, each a list of arguments
#' @noRd
as_settings <- function(settings, simulate, call = rlang::caller_env()) {
  if (is.data.frame(settings)) {
    settings <- settings_of_rows(settings, call)
  } else if (!is.list(settings) || is.object(settings)) {
    abort_input(c("{.arg settings} must be a list of settings, or a data frame.",
                  "x" = "It is {describe(settings)}."), "type", call = call)
  }
  several <- length(settings) > 0L &&
    all(vapply(settings, function(setting) is.list(setting) && !is.object(setting), NA))
  if (!several) {
    settings <- list(default = settings)
  }
  check_names(names(settings) %||% character(), "names(settings)", length(settings), call = call)
  for (name in names(settings)) {
    check_setting(settings[[name]], name, simulate, call)
  }
  settings
}

#' A data frame of settings as a list, named by the columns that vary
#' @noRd
settings_of_rows <- function(table, call) {
  if (nrow(table) == 0L) {
    abort_input(c("{.arg settings} must have a row for each setting.", "x" = "It has none."),
                "shape", call = call)
  }
  rows <- lapply(seq_len(nrow(table)), function(i) {
    lapply(as.list(table), function(column) {
      if (is.factor(column)) as.character(column[i]) else column[[i]]
    })
  })
  simple <- names(table)[vapply(table, is.atomic, NA)]
  varying <- simple[vapply(table[simple], function(column) length(unique(column)) > 1L, NA)]
  names(rows) <- if (length(varying) > 0L) {
    do.call(paste, c(lapply(varying, function(name) {
      paste(name, "=", trimws(format(table[[name]], trim = TRUE, drop0trailing = TRUE)))
    }), sep = ", "))
  } else {
    paste("setting", seq_along(rows))
  }
  rows
}

#' @noRd
check_setting <- function(setting, name, simulate, call) {
  known <- names(formals(args(simulate)))
  check_arguments(rlang::names2(setting), name, known, call)
  # `$d` would find `dag`
  d <- setting[["d"]]
  if (is.null(d) || "d" %in% known) {
    return(invisible())
  }
  check_number(d, paste0("d of setting ", name), min = 1, integer = TRUE, call = call)
  if (!is.null(setting$dag) && !is.function(setting$dag)) {
    abort_input(c("{.arg settings} must give {.field d}, or {.field dag} as a graph.",
                  "x" = "Setting {.val {name}} gives both.",
                  "i" = "A function for {.field dag} is called with {.field d}."), "range",
                call = call)
  }
}

#' Named arguments of the simulation, each once; `d` is read in any case
#' @noRd
check_arguments <- function(given, name, known, call) {
  unknown <- if ("..." %in% known) character() else setdiff(given, c(known, "d"))
  wrong <- unique(c(unknown, given[duplicated(given)]))
  if (length(wrong) > 0L || !all(nzchar(given))) {
    found <- if (all(nzchar(given))) some(wrong) else "an entry without a name"
    abort_input(c(paste("{.arg settings} must hold arguments of {.arg simulate}, by name and each",
                        "once, or {.field d}."),
                  "x" = "Setting {.val {name}} has {found}.", did_you_mean(unknown, known)),
                "range", call = call)
  }
}

#' Named list of methods: functions, or lists of `baseline`, `method`, `init`, `control`, and of
#' `center`, `noise`, `nuisance` what was given
#' @noRd
as_methods <- function(methods, call = rlang::caller_env()) {
  if (is.character(methods)) {
    methods <- stats::setNames(as.list(methods), names(methods) %||% methods)
  }
  if (!is.list(methods) || is.object(methods) || length(methods) == 0L) {
    abort_input(c("{.arg methods} must be a named list of methods, or names of baselines.",
                  "x" = "It is {describe(methods)}."), "type", call = call)
  }
  check_names(names(methods) %||% character(), "names(methods)", length(methods), call = call)
  if ("bayes" %in% names(methods)) {
    abort_input(c('{.arg methods} must not use the name "bayes".',
                  "x" = "It is that of the Bayes optimum.",
                  "i" = "Ask for the Bayes optimum by {.code bayes = TRUE}."), "range",
                call = call)
  }
  Map(as_method, methods, names(methods), MoreArgs = list(call = call))
}

#' @noRd
as_method <- function(method, name, call) {
  if (is.function(method)) {
    return(method)
  }
  if (rlang::is_string(method)) {
    method <- list(baseline = method)
  }
  if (!is.list(method) || is.object(method)) {
    abort_input(c("{.arg methods} must hold lists of settings, functions or names of baselines.",
                  "x" = "{.val {name}} is {describe(method)}."), "type", call = call)
  }
  measurement <- c("center", "noise", "nuisance")
  own <- c("baseline", "method", "init", measurement)
  label <- function(part) paste0(part, " of method ", name)
  baseline <- check_choice(method$baseline %||% "true", baseline_names(), label("baseline"),
                           call = call)
  engine <- check_choice(method$method %||% "f", c("f", "g"), label("method"), call = call)
  if (engine == "g" && baseline %in% c("no_shrinkage", "pca")) {
    abort_input(c("{.arg methods} must not ask for {.val {baseline}} with {.code method = \"g\"}.",
                  "x" = "{.val {name}} does.", "i" = "There is no score to leave out."), "range",
                call = call)
  }
  control <- method[setdiff(names(method), own)]
  oracle <- identical(method$init, "oracle")
  control$mixing <- control$mixing %||% if (oracle) "fixed"
  control$progress <- FALSE
  checked <- list(baseline = baseline, method = engine, init = method$init,
                  control = method_control(control, name, call))
  asked <- method[intersect(measurement, names(method))]
  do.call(measurement_settings, c(list(control = checked$control, call = call), asked))
  c(checked, asked)
}

#' @noRd
method_control <- function(control, name, call) {
  tryCatch(as_control(control), ebcrl_error_control = function(e) {
    reason <- refusal(e)
    abort_input(c("{.arg methods} must hold settings that {.fn crl_control} takes.",
                  "x" = "{.val {name}}: {reason}"), "control", call = call)
  })
}

#' The Bayes optimum as a method, or NULL
#' @noRd
bayes_method <- function(bayes, call = rlang::caller_env()) {
  if (is.list(bayes) && !is.object(bayes)) {
    known <- setdiff(names(formals(bayes_latents)), "sim")
    unknown <- setdiff(rlang::names2(bayes), known)
    if (length(unknown) > 0L) {
      abort_input(c("{.arg bayes} must hold arguments of {.fn bayes_latents}.",
                    "x" = "Not among them: {some(unknown)}.", did_you_mean(unknown, known)),
                  "range", call = call)
    }
    return(list(bayes = bayes))
  }
  if (!is.logical(bayes)) {
    abort_input(c("{.arg bayes} must be TRUE, FALSE or a list of arguments.",
                  "x" = "It is {describe(bayes)}."), "type", call = call)
  }
  if (check_flag(bayes, "bayes", call = call)) list(bayes = list())
}

#' @noRd
check_seeds <- function(seeds, call = rlang::caller_env()) {
  if (!is.numeric(seeds) || length(seeds) == 0L) {
    abort_input(c("{.arg seeds} must be whole numbers.", "x" = "It is {describe(seeds)}."),
                "type", call = call)
  }
  for (seed in seeds) {
    check_number(seed, "seeds", min = 0, max = .Machine$integer.max, integer = TRUE, call = call)
  }
  if (anyDuplicated(seeds)) {
    abort_input(c("{.arg seeds} must be distinct.",
                  "x" = "There more than once: {some(unique(seeds[duplicated(seeds)]))}."),
                "range", call = call)
  }
  as.integer(seeds)
}

#' @noRd
check_metrics <- function(metrics, call = rlang::caller_env()) {
  if (!is.list(metrics) || !all(vapply(metrics, is.function, NA))) {
    abort_input(c("{.arg metrics} must be a named list of functions.",
                  "x" = "It is {describe(metrics)}."), "type", call = call)
  }
  check_names(names(metrics) %||% character(), "names(metrics)", length(metrics), call = call)
  taken <- intersect(names(metrics), RESULT_COLUMNS)
  if (length(taken) > 0L) {
    abort_input(c("{.arg metrics} must not use the names of other columns.",
                  "x" = "Taken: {some(taken)}."), "range", call = call)
  }
  metrics
}

#' The number of workers, or the cluster
#' @noRd
check_workers <- function(cl, call = rlang::caller_env()) {
  if (inherits(cl, "cluster")) {
    return(cl)
  }
  if (is.object(cl)) {
    abort_input(c("{.arg cl} must be a number of processes or a cluster.",
                  "x" = "It is {describe(cl)}.",
                  "i" = "Clusters are made by {.fn parallel::makeCluster}."), "type", call = call)
  }
  check_number(cl, "cl", min = 1, max = 1024, integer = TRUE, call = call)
}

#' NULL, or the absolute path of a directory that can be written
#' @noRd
check_results_dir <- function(dir, call = rlang::caller_env()) {
  if (is.null(dir)) {
    return(NULL)
  }
  if (!rlang::is_string(dir) || !nzchar(dir)) {
    abort_input(c("{.arg dir} must be the path of a directory, or NULL.",
                  "x" = "It is {describe(dir)}."), "type", call = call)
  }
  dir.create(dir, showWarnings = FALSE, recursive = TRUE)
  if (!dir.exists(dir) || file.access(dir, 2L) != 0L) {
    abort_input(c("{.arg dir} must be a directory that can be written.",
                  "x" = "{.path {dir}} is not."), "dir", call = call)
  }
  normalizePath(dir)
}

#' Every cell of the grid, seed by seed so that a run stopped early has whole replications
#' @return list of cells: `setting`, `method`, `seed` (positions and number), `key`, and what to run
#' @noRd
experiment_cells <- function(settings, methods, seeds, metrics, simulate) {
  grid <- expand.grid(method = seq_along(methods), setting = seq_along(settings), seed = seeds)
  shared <- list(simulate = if (!identical(simulate, sim_crl)) code_of(simulate),
                 metrics = code_of(metrics))
  setting_codes <- Map(identity_of, settings, names(settings))
  method_codes <- Map(identity_of, lapply(methods, without_effect), names(methods))
  lapply(seq_len(nrow(grid)), function(k) {
    s <- grid$setting[k]
    m <- grid$method[k]
    key <- rlang::hash(c(list(setting_codes[[s]], method_codes[[m]], grid$seed[k]), shared))
    list(setting = names(settings)[s], method = names(methods)[m], seed = grid$seed[k],
         key = key, arguments = settings[[s]], run = methods[[m]], metrics = metrics,
         simulate = simulate)
  })
}

#' A method less the settings that do not change its results
#' @noRd
without_effect <- function(method) {
  if (!is.function(method) && !is.null(method$control)) {
    method$control[c("threads", "progress", "max_memory")] <- NULL
  }
  method
}

#' What a part of the grid is known by: its contents, and its name where they have code
#' @noRd
identity_of <- function(part, name) {
  coded <- is.function(part) || any(rapply(part, is.function, how = "unlist"))
  c(list(code_of(part)), if (coded) name)
}

#' A value in a form whose hash does not depend on the session: functions by their code, whole
#' numbers of either type alike, entries of lists in the order of their names
#' @noRd
code_of <- function(value) {
  if (is.function(value)) {
    return(deparse(value, control = c("keepNA", "keepInteger", "niceNames", "showAttributes")))
  }
  if (is.list(value)) {
    value <- lapply(unclass(value), code_of)
    if (!is.null(names(value))) value <- value[order(names(value), method = "radix")]
    return(value)
  }
  if (is.integer(value) && !is.factor(value)) {
    storage.mode(value) <- "double"
  }
  value
}

# Result ------------------------------------------------------------------------------------------

RESULT_COLUMNS <- c("setting", "method", "seed", "rel_mse", "rel_mse_pooled", "frobenius_error",
                    "coverage", "ratio", "ratio_pooled", "sigma2_hat", "iterations", "converged",
                    "seconds", "cpu_seconds", "by_env", "warning", "error")

#' One row a cell, by setting, method and seed
#' @noRd
experiment_table <- function(cells, results, settings, methods, simulate) {
  pick <- function(field, missing) {
    vapply(results, function(result) result[[field]] %||% missing, missing, USE.NAMES = FALSE)
  }
  named <- c("rel_mse", "rel_mse_pooled", "frobenius_error", "coverage", names(cells[[1L]]$metrics))
  values <- lapply(stats::setNames(named, named), function(name) {
    vapply(results, function(result) result$values[name] %||% NA_real_, 0, USE.NAMES = FALSE)
  })
  setting <- factor(vapply(cells, `[[`, "", "setting"), names(settings))
  table <- tibble::tibble(
    setting = setting, method = factor(vapply(cells, `[[`, "", "method"), names(methods)),
    seed = vapply(cells, `[[`, 0L, "seed"), !!!setting_columns(settings, simulate, setting),
    !!!values, sigma2_hat = pick("sigma2_hat", NA_real_),
    iterations = pick("iterations", NA_integer_), converged = pick("converged", NA),
    seconds = pick("seconds", NA_real_),
    cpu_seconds = pick("cpu_seconds", NA_real_), by_env = lapply(results, `[[`, "by_env"),
    warning = pick("warning", NA_character_), error = pick("error", NA_character_)
  )
  if ("bayes" %in% names(methods)) {
    table <- tibble::add_column(table, ratio = relative_to_bayes(table, "rel_mse"),
                                ratio_pooled = relative_to_bayes(table, "rel_mse_pooled"),
                                .after = named[length(named)])
  }
  table <- table[order(table$setting, table$method, match(table$seed, unique(table$seed))), ]
  class(table) <- c("crl_experiment", class(table))
  table
}

#' The arguments that settings give as one value each, as columns; defaults where one is left out
#' @noRd
setting_columns <- function(settings, simulate, setting) {
  simple <- function(value) is.atomic(value) && length(value) == 1L && is.null(dim(value))
  given <- setdiff(unique(unlist(lapply(settings, names))), RESULT_COLUMNS)
  all_simple <- function(name) {
    all(vapply(settings, function(s) is.null(s[[name]]) || simple(s[[name]]), NA))
  }
  given <- given[vapply(given, all_simple, NA)]
  lapply(stats::setNames(given, given), function(name) {
    default <- tryCatch(eval(formals(args(simulate))[[name]]), error = function(e) NULL)
    default <- if (simple(default)) default else NA
    unlist(lapply(settings, function(s) s[[name]] %||% default), use.names = FALSE)[setting]
  })
}

#' @noRd
relative_to_bayes <- function(table, column) {
  run <- paste(table$seed, as.integer(table$setting))
  optimum <- table[table$method == "bayes", ]
  table[[column]] / optimum[[column]][match(run, run[table$method == "bayes"])]
}

#' @noRd
warn_cells <- function(experiment, call = rlang::caller_env()) {
  failed <- sum(!is.na(experiment$error))
  if (failed > 0L) {
    cli::cli_warn(c("{failed} of {nrow(experiment)} cell{?s} failed.",
                    "x" = "First: {experiment$error[!is.na(experiment$error)][1]}",
                    "i" = "Column {.field error} has all messages."),
                  class = "ebcrl_warning_cells", call = call)
  }
}

#' @export
print.crl_experiment <- function(x, digits = 3L, ...) {
  if (!all(RESULT_COLUMNS[c(1:4, 17L)] %in% names(x)) || nrow(x) == 0L) {
    return(NextMethod())
  }
  number <- function(column) length(unique(column))
  cat("Experiment: ", count_of(number(x$setting), "setting"), ", ",
      count_of(number(x$method), "method"), ", ", count_of(number(x$seed), "seed"), "; ",
      count_of(nrow(x), "cell"), "\nMedians, and quartiles of the errors, over runs:\n", sep = "")
  table <- summarise_cells(x)
  for (part in split(table, droplevels(table$setting))) {
    cat("\n", if (number(x$setting) > 1L) paste0(part$setting[1L], "\n"), sep = "")
    print_table(shown_summary(part, digits), digits)
  }
  print_notes(experiment_notes(x))
  invisible(x)
}

#' Median, quartiles and counts for each setting and method
#' @noRd
summarise_cells <- function(x) {
  groups <- split(seq_len(nrow(x)), list(method = x$method, setting = x$setting), drop = TRUE)
  rows <- lapply(groups, function(at) {
    part <- x[at, ]
    quartile <- function(name, prob) {
      if (is.null(part[[name]])) NULL else
        stats::quantile(part[[name]], prob, na.rm = TRUE, names = FALSE)
    }
    tibble::tibble(
      setting = part$setting[1L], method = part$method[1L], runs = nrow(part),
      failed = sum(!is.na(part$error)), rel_mse = quartile("rel_mse", 0.5),
      rel_mse_q1 = quartile("rel_mse", 0.25), rel_mse_q3 = quartile("rel_mse", 0.75),
      ratio = quartile("ratio", 0.5), frobenius_error = quartile("frobenius_error", 0.5),
      coverage = quartile("coverage", 0.5), iterations = quartile("iterations", 0.5),
      converged = sum(part$converged, na.rm = TRUE), seconds = quartile("seconds", 0.5)
    )
  })
  do.call(rbind, unname(rows))
}

#' @noRd
shown_summary <- function(table, digits) {
  text <- function(column) ifelse(is.na(column), "", figures(column, digits))
  quartiles <- ifelse(is.na(table$rel_mse), "",
                      paste0("[", text(table$rel_mse_q1), ", ", text(table$rel_mse_q3), "]"))
  tibble::tibble(
    method = method_labels(as.character(table$method)), rel_mse = text(table$rel_mse),
    quartiles = quartiles, ratio = if ("ratio" %in% names(table)) text(table$ratio),
    frobenius = text(table$frobenius_error), coverage = text(table$coverage),
    iter = text(table$iterations), seconds = text(table$seconds)
  )
}

#' Names of baselines in words, own names as they are
#' @noRd
method_labels <- function(methods) {
  labels <- baseline_labels(methods)
  labels[methods == "bayes"] <- "Bayes optimum"
  ifelse(is.na(labels), methods, labels)
}

#' What failed, did not converge or warned, by method
#' @noRd
experiment_notes <- function(x) {
  notes <- lapply(levels(droplevels(x$method)), function(method) {
    runs <- x[x$method == method, ]
    failed <- which(!is.na(runs$error))
    slow <- sum(!runs$converged & runs$iterations > 0L, na.rm = TRUE)
    warned <- which(!is.na(runs$warning))
    label <- paste0(method_labels(method), ": ")
    of <- paste(" of", count_of(nrow(runs), "run"))
    c(if (length(failed) > 0L) {
      paste0(label, length(failed), of, " failed: ", runs$error[failed[1L]])
    },
    if (slow > 0L) paste0(label, slow, of, " stopped before convergence."),
    if (length(warned) > 0L) {
      paste0(label, length(warned), of, " warned: ", runs$warning[warned[1L]])
    })
  })
  unlist(notes)
}

#' @rdname crl_experiment
#' @param x A `crl_experiment`.
#' @param matrix `"cells"`: the table as a plain tibble; `"env"`: one row a cell and domain, failed
#'   cells left out; `"summary"`: medians, quartiles and counts by setting and method.
#' @param ... Not used.
#' @export
tidy.crl_experiment <- function(x, matrix = c("cells", "env", "summary"), ...) {
  check_dots_empty(...)
  matrix <- check_choice(matrix, c("cells", "env", "summary"), "matrix")
  class(x) <- setdiff(class(x), "crl_experiment")
  switch(matrix, cells = x, env = env_rows(x), summary = summarise_cells(x))
}

#' @noRd
env_rows <- function(cells) {
  cells <- cells[!vapply(cells$by_env, is.null, NA), ]
  domains <- unique(unlist(lapply(cells$by_env, function(table) levels(table$env))))
  times <- vapply(cells$by_env, nrow, 0L)
  long <- function(name, how = identity) {
    unlist(lapply(cells$by_env, function(table) how(table[[name]])))
  }
  at <- rep(seq_len(nrow(cells)), times)
  tibble::tibble(setting = cells$setting[at], method = cells$method[at], seed = cells$seed[at],
                 env = factor(long("env", as.character), domains), rel_mse = long("rel_mse"),
                 rel_mse_pooled = long("rel_mse_pooled"))
}

#' @export
as.data.frame.crl_experiment <- function(x, ...) {
  class(x) <- "data.frame"
  x
}
