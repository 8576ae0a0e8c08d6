# The cells of an experiment: run here or on workers, each result in a file of its own.

# Probability of the intervals whose coverage a cell reports.
COVERAGE_LEVEL <- 0.9

# Files -------------------------------------------------------------------------------------------

#' @noRd
cell_file <- function(cell, dir) {
  file.path(dir, paste0(cell$key, ".rds"))
}

#' Results of earlier runs: a list with NULL for each cell that is to be run
#' @noRd
kept_cells <- function(cells, dir, retry, call = rlang::caller_env()) {
  results <- vector("list", length(cells))
  if (is.null(dir)) {
    return(results)
  }
  files <- vapply(cells, cell_file, "", dir = dir)
  present <- which(file.exists(files))
  results[present] <- lapply(cells[present], function(cell) read_result(cell, dir))
  damaged <- present[vapply(results[present], is.null, NA)]
  if (length(damaged) > 0L && !retry) {
    abort_damaged(files[damaged], call)
  }
  failed <- vapply(results, function(result) !is.na(result$error %||% NA), NA)
  if (retry) results[failed] <- list(NULL)
  versions <- unique(unlist(lapply(results, `[[`, "version")))
  other <- setdiff(versions, package_version_string())
  if (length(other) > 0L) {
    cli::cli_warn(c("Cells in {.path {dir}} were run by another version of the package.",
                    "x" = "Found {some(other)}; this is {package_version_string()}.",
                    "i" = "Use another {.arg dir} to run them again."),
                  class = "ebcrl_warning_version")
  }
  results
}

#' @noRd
package_version_string <- function() {
  as.character(utils::packageVersion("ebcrl"))
}

#' A result as it was written, or NULL if its file is not as it was written
#' @noRd
read_result <- function(cell, dir) {
  result <- tryCatch({
    stored <- suppressWarnings(readRDS(cell_file(cell, dir)))
    if (identical(stored$hash, rlang::hash(stored$bytes))) unserialize(stored$bytes)
  }, error = function(e) NULL)
  if (is.list(result) && identical(result$key, cell$key)) result
}

#' @noRd
abort_damaged <- function(files, call) {
  shown <- utils::head(files, 5L)
  abort_input(c("Results in {.arg dir} must be as they were written.",
                "x" = "{length(files)} file{?s} {?was/were} edited or cut off:",
                stats::setNames(paste0("{.path {shown[", seq_along(shown), "]}}"),
                                rep("*", length(shown))),
                "i" = paste("Delete them, or give {.code retry = TRUE}: the same call then runs",
                            "these cells again.")), "results", files = files, call = call)
}

#' The one function that writes a result to a file
#' @noRd
write_result <- function(stored, file) {
  saveRDS(stored, file)
}

#' Write a result under a name of its own, read it back, then rename: a file is there whole or not
#' at all. (A full disk need not be an error of the writer: what is buffered is lost without a
#' word.)
#' @return NULL, or why it could not be written
#' @noRd
keep_result <- function(result, file) {
  part <- tempfile(paste0("part-", Sys.getpid(), "-"), dirname(file))
  on.exit(unlink(part))
  bytes <- serialize(result, NULL)
  tryCatch({
    write_result(list(hash = rlang::hash(bytes), bytes = bytes), part)
    if (!is_written(bytes, part)) stop("it cannot be read back: is the disk full?")
    if (!file.rename(part, file)) stop("cannot rename to ", file)
    NULL
  }, error = conditionMessage, warning = conditionMessage)
}

#' @noRd
is_written <- function(bytes, file) {
  stored <- tryCatch(suppressWarnings(readRDS(file)), error = function(e) NULL)
  identical(stored$bytes, bytes)
}

#' Results that workers could not write, for they may not see the directory, are written here; an
#' error if that cannot be done, with the table of all cells that have run
#' @param tabulate Function of cells and results that makes the table.
#' @noRd
check_kept <- function(cells, results, dir, tabulate, call = rlang::caller_env()) {
  for (k in which(!vapply(results, function(result) is.null(result$unsaved), NA))) {
    result <- results[[k]]
    result$unsaved <- NULL
    result$unsaved <- keep_result(result, cell_file(cells[[k]], dir))
    results[[k]] <- result
  }
  unsaved <- unlist(lapply(results, `[[`, "unsaved"))
  if (length(unsaved) == 0L) {
    return(results)
  }
  done <- !vapply(results, is.null, NA)
  lost <- length(unsaved)
  left <- sum(!done)
  kept <- sum(done) - lost
  abort_input(c("Results must be written to {.arg dir}, and cannot be.",
                "x" = "{unsaved[1L]}",
                "x" = paste("Of {length(cells)} cells {kept} {cli::qty(kept)}{?is/are} in",
                            "{.path {dir}}, {lost} {cli::qty(lost)}{?has/have} run and cannot be",
                            "kept, {left} {cli::qty(left)}{?has/have} not run."),
                "i" = "Make room for them: the same call then goes on from what is there.",
                "i" = paste("The table of what has run is in this error:",
                            "{.code rlang::last_error()$experiment}.")), "results",
              experiment = tabulate(cells[done], results[done]), call = call)
}

# Running -----------------------------------------------------------------------------------------

#' Results of the cells, in this process or on workers
#' @param tick Function that is told how many are done.
#' @noRd
run_cells <- function(cells, dir, cl, tick, call = rlang::caller_env()) {
  if (length(cells) == 0L) {
    return(list())
  }
  if (is.numeric(cl) && min(cl, length(cells)) == 1L) {
    results <- vector("list", length(cells))
    for (k in seq_along(cells)) {
      results[[k]] <- run_cell(cells[[k]], dir)
      tick(k)
      if (!is.null(results[[k]]$unsaved)) break # nor would the next one be kept
    }
    return(results)
  }
  if (is.numeric(cl)) {
    cl <- local_workers(min(cl, length(cells)))
    pids <- unlist(parallel::clusterCall(cl, Sys.getpid))
    finished <- FALSE
    on.exit({
      parallel::stopCluster(cl)
      if (!finished) tools::pskill(pids, tools::SIGINT) # they look up between cells only
    })
  }
  check_cluster(cl, call)
  queue <- cell_queue(cells, function(i) tick(max(0L, i - length(cl))))
  results <- tryCatch(parallel::clusterApplyLB(cl, queue, run_cell, dir = dir),
                      error = function(e) abort_worker(conditionMessage(e), dir, call))
  finished <- TRUE
  tick(length(cells))
  results
}

#' Worker processes on this machine that search the libraries of this one
#' @noRd
local_workers <- function(number) {
  cl <- parallel::makeCluster(number)
  parallel::clusterCall(cl, eval, as.call(list(as.name(".libPaths"), .libPaths())))
  cl
}

#' @noRd
check_cluster <- function(cl, call) {
  loaded <- tryCatch(parallel::clusterCall(cl, requireNamespace, "ebcrl", quietly = TRUE),
                     error = function(e) abort_worker(conditionMessage(e), NULL, call))
  if (!all(unlist(loaded))) {
    abort_input(c("The workers of {.arg cl} must be able to load {.pkg ebcrl}.",
                  "x" = "{sum(!unlist(loaded))} of {length(loaded)} cannot.",
                  "i" = "Install it in a library that they search, see {.fn .libPaths}."),
                "worker", call = call)
  }
}

#' @noRd
abort_worker <- function(reason, dir, call) {
  abort_input(c("The workers of {.arg cl} must live until the last cell.",
                "x" = "Found: {reason}.",
                "i" = if (is.null(dir)) {
                  "With {.arg dir}, finished cells are kept."
                } else {
                  "Finished cells are in {.path {dir}}: the same call goes on from there."
                }), "worker", call = call)
}

#' Cells for clusterApplyLB(), which takes element i when it sends it to a worker that is free: then
#' `tick(i)` is called, so that the process that waits can show how far the workers are
#' @noRd
cell_queue <- function(cells, tick) {
  structure(list(cells = cells, tick = tick), class = "crl_cell_queue")
}

#' @export
length.crl_cell_queue <- function(x) {
  length(unclass(x)$cells)
}

#' @export
`[[.crl_cell_queue` <- function(x, i) {
  parts <- unclass(x)
  parts$tick(i)
  parts$cells[[i]]
}

#' One cell: data, fit, measures. Errors are part of the result; R's generator is left as it was.
#' @noRd
run_cell <- function(cell, dir) {
  restore <- save_generator()
  on.exit(restore())
  warned <- NA_character_
  measured <- tryCatch(
    withCallingHandlers(measure_cell(cell), warning = function(w) {
      if (is.na(warned)) warned <<- cli::ansi_strip(conditionMessage(w))
      tryInvokeRestart("muffleWarning")
    }, ebcrl_message = function(m) tryInvokeRestart("muffleMessage")),
    error = function(e) list(error = refusal_of(e))
  )
  result <- c(cell[c("key", "setting", "method", "seed")],
              list(version = package_version_string(), warning = warned), measured)
  result$error <- result$error %||% NA_character_
  if (!is.null(dir)) {
    result$unsaved <- keep_result(result, cell_file(cell, dir))
  }
  result
}

#' The message of any error as one line
#' @noRd
refusal_of <- function(error) {
  if (inherits(error, "rlang_error")) refusal(error) else conditionMessage(error)
}

#' @return A function that puts kind and state of the generator back
#' @noRd
save_generator <- function() {
  kind <- RNGkind()
  seed <- get0(".Random.seed", globalenv(), inherits = FALSE)
  function() {
    suppressWarnings(RNGkind(kind[1L], kind[2L], kind[3L]))
    if (is.null(seed)) {
      suppressWarnings(rm(".Random.seed", envir = globalenv()))
    } else {
      assign(".Random.seed", seed, envir = globalenv())
    }
  }
}

#' @noRd
measure_cell <- function(cell) {
  set.seed(cell$seed, "L'Ecuyer-CMRG", "Inversion", "Rejection")
  stream <- parallel::nextRNGStream(get(".Random.seed", globalenv()))
  sim <- simulate_setting(cell$arguments, cell$simulate)
  assign(".Random.seed", stream, envir = globalenv())
  before <- proc.time()
  fit <- run_method(cell$run, sim)
  time <- proc.time() - before
  estimate <- as_estimate(fit)
  latents <- aligned_latents(estimate, sim)
  by_env <- rel_mse(latents, sim, by = "env")
  by_env$rel_mse_pooled <- rel_mse(latents, sim, by = "env", ratio = "pooled")$rel_mse
  values <- c(
    rel_mse = rel_mse(latents, sim), rel_mse_pooled = rel_mse(latents, sim, ratio = "pooled"),
    frobenius_error = if (has_mixing(estimate)) frobenius_error(estimate$mixing, sim) else NA,
    coverage = interval_coverage(estimate, sim, COVERAGE_LEVEL),
    vapply(cell$metrics, function(metric) as.double(metric(fit, sim)), 0)
  )
  list(values = values, by_env = by_env,
       sigma2_hat = estimate$sigma2, iterations = estimate$iterations,
       converged = estimate$converged, seconds = time[["elapsed"]],
       cpu_seconds = time[["user.self"]] + time[["sys.self"]])
}

#' The data of a setting, from the state of R's generator
#' @noRd
simulate_setting <- function(setting, simulate) {
  if (is.function(setting$dag)) {
    setting$dag <- if (is.null(setting[["d"]])) setting$dag() else setting$dag(setting[["d"]])
  }
  if (!"d" %in% names(formals(args(simulate)))) {
    if (is.null(setting$dag) && !is.null(setting[["d"]])) setting$dag <- chain_dag(setting[["d"]])
    setting[["d"]] <- NULL
  }
  if (is.function(setting$targets)) {
    setting$targets <- setting$targets(setting$dag %||% eval(formals(sim_crl)$dag))
  }
  do.call(simulate, setting)
}

#' @noRd
run_method <- function(method, sim) {
  if (is.function(method)) {
    return(method(sim))
  }
  if (!is.null(method$bayes)) {
    return(do.call(bayes_latents, c(list(sim), method$bayes)))
  }
  init <- method$init
  if (identical(init, "oracle")) {
    init <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
    init <- c(init, Filter(Negate(is.null), sim[c("center", "noise_var")]))
  }
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag, NULL, method$control$knots,
                   prior = if (method$method == "g") method$control$prior, missing = TRUE)
  data$measure <- measurement_settings(method$center, method$noise, method$nuisance %||% 0,
                                       method$control)
  fit <- suppressMessages(fit_baseline(method$baseline, data, init, method$control, environment(),
                                       engine_of(method$method)),
                          classes = "ebcrl_message_measurement")
  if (inherits(fit, "error")) stop(fit)
  fit
}

#' What a method returned, as a list with `latents` and possibly `mixing`
#' @noRd
as_estimate <- function(fit) {
  if (inherits(fit, c("crl_fit", "crl_bayes"))) {
    return(fit)
  }
  if (is.matrix(fit)) {
    return(list(latents = fit))
  }
  if (!is.list(fit) || !all(c("latents", "mixing") %in% names(fit))) {
    abort_input(c(paste("A method must return a fit, a matrix of latents, or a list with",
                        "{.field latents} and {.field mixing}."),
                  "x" = "It returned {describe(fit)}."), "type")
  }
  fit
}

#' Latents in the order and with the signs of the true ones, where there is a mixing matrix to tell
#' @noRd
aligned_latents <- function(estimate, sim) {
  if (!has_mixing(estimate)) {
    return(estimate$latents)
  }
  alignment <- align_latents(estimate$mixing, sim$mixing)
  with_location(apply_alignment(estimate$latents, alignment), estimate, sim)
}

#' @noRd
has_mixing <- function(estimate) {
  !is.null(estimate$mixing)
}

#' Share of the true latents within intervals of posterior mean and standard deviation
#' @noRd
interval_coverage <- function(estimate, sim, level) {
  if (is.null(estimate$latents_sd)) {
    return(NA_real_)
  }
  mean <- estimate$latents
  sd <- estimate$latents_sd
  if (has_mixing(estimate)) {
    alignment <- align_latents(estimate$mixing, sim$mixing)
    mean <- with_location(apply_alignment(mean, alignment), estimate, sim)
    sd <- sd[, alignment$permutation, drop = FALSE]
  }
  ends <- interval_ends(unname(mean), unname(sd), level)
  mean(sim$z >= ends$lwr & sim$z <= ends$upr)
}
