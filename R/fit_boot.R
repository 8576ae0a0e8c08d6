# The bootstrap of a fit: rows drawn anew within each domain, and the whole of the estimate made
# again from where the fit is: the measurement model, the space of A, A within it, mechanisms.
#
# Of every draw x is reduced to the coordinates of the space of its factors (R/fit_measured.R), so that
# what is iterated are n x d numbers; and only the optimum that the fit is in is looked at.

# Iterations of SAEM of a refit. It begins at the fit, so that what is left after them of the way to
# the refit's own optimum makes the spread too small: 0.98 is what an iteration leaves of it where
# mechanisms are steep, less elsewhere.
BOOT <- list(burn_in = 60L, iterations = 40L, draws = 4L)

# Most weight of the penalty of a curve in a refit: second differences of its coefficients are taken
# to be of a variance of 1 / LIGHT times that of the latent's noise. (The spread of refits has to hold
# what smoothing takes off a curve; bench/intervals.R.)
LIGHT <- 0.5

# Effective degrees of freedom beyond those of lines from which on a cell's curves are no lines.
CURVED <- 0.5

# What refits go on from.
CARRIED <- c("method", "mixing", "prior", "chains", "walk_scale", "control", "parents")

# Replicates between two writes to `file`, for each worker.
BOOT_CHUNK <- 10L

#' Uncertainty of a fit by the bootstrap
#'
#' Draws rows with replacement within each domain, and fits again from where the fit is: feature
#' means, noise variances, the space of A, A within it, and the mechanisms. From the spread of these
#' refits come standard errors and intervals of loadings, edges, mechanisms, domain shifts and
#' effects of interventions ([effects()][effects.crl_fit]), and the part of the latents' error that is
#' that of A ([augment()][augment.crl_fit] with `boot`).
#'
#' @details
#' A refit begins at the fit and looks for the nearest optimum: `r BOOT$burn_in` iterations of SAEM
#' and `r BOOT$iterations` that are averaged for `method = "g"` with spline mechanisms, and for
#' `method = "f"` whose start took draws; the search for the rotation from that of the fit, then
#' exact EM, for `prior = "linear"`; the same search for `method = "f"` with `mechanisms =
#' "linear"` or `"spline"`. Whether another start would have found another optimum is not part of
#' it: see `optima` of the fit. Where `init` gave A, A is held as in the fit. Signs of latents are those
#' of the fit. Latents keep their names, which graph and targets give; replicates in which another
#' assignment of latents to those of the fit would match A better are counted (`swapped`): there the
#' rows do not tell the latents apart.
#'
#' Splines whose smoothing was chosen by the data, and that are no lines, are smoothed lightly in refits
#' (weights of at most `r LIGHT`, see `lambda` in [prior_spline()]). Smoothing flattens what the data
#' hardly tell, such as the shoulders of a step, and refits under the weights of the fit would agree
#' on that: an interval of an effect across a step then misses the truth in half of all data sets.
#' Lightly smoothed refits spread as far as the data leave a curve open, so that intervals of curves,
#' of their average slopes and of effects are wider than those under smoothing that is taken to be
#' right: by a third to twice where curves are steep, several times where a line is true and the fit
#' has it slightly curved. If mechanisms are known to be smooth, `smoothing = "fit"` has narrower
#' intervals; if they are lines, `prior = "linear"` has the narrowest. Where the fit finds a line, as
#' smooth as can be, intervals suppose that it is one: of weak edges they may miss a step.
#'
#' An f fit has no mechanisms of its own. Those that are reported are additive splines fitted to draws
#' of its latents with A held, as [tidy()][tidy.crl_fit] shows them with `"edges"`.
#'
#' @param fit A `crl_fit`, from [fit_crl()]; or a discovery, from [crl_discover()], which is fitted with
#'   its graph and targets (these stay: [crl_stability()] looks for them again); or a `crl_boot`, to
#'   which replicates are added.
#' @param times Number of replicates in all. The default, 200, is enough for standard errors and 90 %
#'   intervals; more for wider ones. Each takes a good part of the time of the fit; where no progress is
#'   shown, a message of class `ebcrl_message_time` says after the first ones how long the others will
#'   take, if that is more than a minute.
#' @param cl Number of worker processes on this machine, or a cluster of the parallel package. 1 (the
#'   default): this process. Results do not depend on it.
#' @param seed Seed (a whole number) of the draws. `NULL` (the default): from R's random numbers, or
#'   that of a `crl_boot`.
#' @param file `NULL`, or a file to which replicates are written as they come: the same call goes on
#'   from there after an interruption.
#' @param progress `TRUE`, `FALSE` or `NULL` (the default: in interactive sessions).
#' @param smoothing How refits smooth splines: `"light"` (the default), or `"fit"`, with weights chosen
#'   anew, as the fit has: see Details. `NULL`: light, or as that of a `crl_boot`.
#' @param ... Not used; an argument that nothing reads is an error.
#' @return An object of class `crl_boot`: a list with
#'   \item{fit}{the fit}
#'   \item{model}{its causal model}
#'   \item{replicates}{list (`times`) of causal models, NULL where a refit failed}
#'   \item{errors}{(`times`) message of a refit that failed, else NA}
#'   \item{agreement}{(`times` x d) absolute cosine of each column of A to that of the fit}
#'   \item{swapped}{(`times`) would another assignment of latents match better?}
#'   \item{seed, smoothing, elapsed}{seed; how refits smooth; seconds}
#'   See [confint()][confint.crl_boot], `tidy()` and `autoplot()` for what is in it.
#' @section Errors:
#' `ebcrl_error_missing` for rows with missing entries; `ebcrl_error_boot` if no refit succeeded; `ebcrl_error_results` for a `file` that belongs to
#' another fit, or cannot be written; `ebcrl_error_worker` if workers cannot be used.
#' @references Efron, B. and Tibshirani, R. J. (1993). *An Introduction to the Bootstrap*. Chapman and
#'   Hall.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20, nonlinearity = "linear")
#' fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' boot <- crl_boot(fit, times = 20, seed = 1)
#' boot
#' confint(boot)
#' @export
crl_boot <- function(fit, times = 200, cl = 1, seed = NULL, file = NULL, progress = NULL,
                     smoothing = NULL, ...) {
  check_dots_empty(...)
  if (inherits(fit, "crl_discovery")) fit <- fit_crl(fit)
  earlier <- if (inherits(fit, "crl_boot")) fit
  fit <- check_fit(if (is.null(earlier)) fit else earlier$fit, rows = TRUE)
  times <- check_number(times, "times", min = 2, integer = TRUE)
  seed <- seed %||% earlier$seed %||% sample.int(.Machine$integer.max, 1L)
  seed <- check_number(seed, "seed", min = 0, max = 2^53, integer = TRUE)
  if (!is.null(file) && !rlang::is_string(file)) {
    abort_input(c("{.arg file} must be a path.", "x" = "It is {describe(file)}."), "type")
  }
  smoothing <- boot_smoothing(smoothing, earlier)
  started <- proc.time()[["elapsed"]]
  task <- boot_task(fit, seed, smoothing)
  done <- known_replicates(task, earlier, file)
  done <- run_replicates(task, done, times, cl, file, progress)
  result <- new_boot(fit, task, done[seq_len(times)])
  result$elapsed <- proc.time()[["elapsed"]] - started + (earlier$elapsed %||% 0)
  result
}

#' How refits smooth; a bootstrap that goes on does as it did
#' @noRd
boot_smoothing <- function(smoothing, earlier, call = rlang::caller_env()) {
  smoothing <- check_choice(smoothing %||% earlier$smoothing %||% "light", c("light", "fit"),
                            "smoothing", call = call)
  if (!is.null(earlier) && smoothing != earlier$smoothing) {
    abort_input(c("{.arg smoothing} must be that of the bootstrap that goes on.",
                  "x" = "It is {.val {smoothing}}, that one's {.val {earlier$smoothing}}."), "range",
                call = call)
  }
  smoothing
}

# The task ----------------------------------------------------------------------------------------

#' What a replicate has to know: rows, settings and where the fit is
#' @noRd
boot_task <- function(fit, seed, smoothing = "light", call = rlang::caller_env()) {
  check_complete(fit, "crl_boot", call)
  fit <- with_kept_x(fit, "crl_boot()", call)
  whole <- fit
  fit <- without_constant(fit)
  direct <- refits_directly(fit)
  mechanisms <- mechanism_fit(fit, call)
  engine <- if (direct) inner_fit(fit) else mechanisms
  task <- list(
    way = boot_way(fit, direct), kind = fit_kind(fit), data = fit$data,
    measured = fit$measurement %||% given_measure(fit), measure = !is.null(fit$measurement),
    mixing = unname(engine_mixing(fit)), sigma2 = fit$sigma2,
    class = class(engine),
    engine = unclass(engine)[intersect(names(engine), CARRIED)],
    control = boot_control(fit, engine), learned = fit$learned, init = fit$init, seed = seed,
    own = fit[c("nuisance")], smoothing = smoothing
  )
  x <- fit$data$x
  if (smoothing == "light") {
    task$engine$prior <- lightly_smoothed(task$engine$prior, engine)
  }
  task$key <- rlang::hash(list(task$mixing, task$seed, dim(x), fit$data$env, fit$sigma2, x[1L, ],
                               smoothing))
  task$model <- compact_model(mechanisms, fit)
  task$left <- left_of_curves(mechanisms)
  task$whole <- whole$data[c("constant", "p", "feature_names")]
  task
}

#' A fitted prior whose curves refits smooth no more than lightly, by weights that they hold
#'
#' Weights that are chosen by the data flatten what the data do not tell to be steep, such as the
#' shoulders of a step, and refits under such weights would all agree on it. Where the fit has found
#' lines there is no such step, and weights stay: lightly smoothed lines would be wide for nothing.
#' @param engine The g fit that has it.
#' @noRd
lightly_smoothed <- function(prior, engine) {
  if (!inherits(prior, "mechanisms_spline") ||
      !identical(start_prior(engine$control$prior)$lambda, "auto")) {
    return(prior) # nothing is smoothed, or as was asked for
  }
  lines <- 1 + colSums(engine$data$dag)[node_of(seq_along(prior$lambda))]
  for (cell in which(lengths(prior$lambda) > 0L & as.vector(prior$df) - lines > CURVED)) {
    prior$lambda[[cell]] <- pmin(prior$lambda[[cell]], LIGHT)
  }
  prior$held <- TRUE
  prior
}

#' Fits of which A is updated in all of x, or whose features are too few to tell a space
#' @noRd
refits_directly <- function(fit) {
  updates <- isTRUE(fit$learned[["mixing"]])
  few <- fit$data$p <= fit$data$d + 1L
  measured <- inherits(fit, "crl_fit_f") || has_measurement(fit$control$prior)
  updates || few || fit$control$mixing == "diagonal" || !measured
}

#' How A is found again
#' @noRd
boot_way <- function(fit, direct) {
  given <- fit$init %in% c("given", "fit")
  held <- given && !(fit$learned[["mixing"]] %||% (fit$control$mixing != "fixed"))
  if (direct) {
    return("direct")
  }
  if (held) {
    return("held")
  }
  f_search <- inherits(fit, "crl_fit_f") && fit$control$start$mechanisms != "sampled" &&
    fit$control$mixing != "psd"
  if (f_search || inherits(fit, "crl_fit_g_linear")) "search" else "saem"
}

#' Settings of a refit
#' @noRd
boot_control <- function(fit, engine) {
  of_f <- inherits(fit, "crl_fit_f")
  control <- if (of_f) companion_control(fit$control) else engine$control
  control <- update.crl_control(control, saem = c(BOOT, list(chains = 1, mc_tol = 0)),
                                sigma2 = "fixed", seed = 1, progress = FALSE)
  if (of_f) {
    control <- update.crl_control(control, start = fit$control$start, mixing =
      if (fit$control$mixing == "psd") "psd" else "orthonormal")
  }
  control
}

# A replicate -------------------------------------------------------------------------------------

#' Rows of the same domains, drawn within each
#' @noRd
resampled_rows <- function(data) {
  rows <- integer(data$n)
  for (at in split(seq_len(data$n), data$env)) {
    rows[at] <- at[sample.int(length(at), replace = TRUE)]
  }
  rows
}

#' One replicate: list of `model` (NULL if it failed) and `error`. R's generator is left as it was.
#' @noRd
boot_replicate <- function(task, number) {
  restore <- save_generator()
  on.exit(restore())
  words <- .Call(C_philox_words, c(number, 0, 0, 0), c(task$seed %% 2^32, task$seed %/% 2^32))
  set.seed(words[1L] %% 2^31, "L'Ecuyer-CMRG", "Inversion", "Rejection")
  task$control <- update.crl_control(task$control, seed = words[2L] %% 2^31)
  tryCatch(
    withCallingHandlers({
      fit <- refit(task, resampled_rows(task$data))
      list(model = aligned_model(fit, task), error = NA_character_)
    }, warning = function(w) tryInvokeRestart("muffleWarning"),
    ebcrl_message = function(m) tryInvokeRestart("muffleMessage")),
    error = function(e) list(model = NULL, error = refusal_of(e))
  )
}

#' The fit of some rows, from that of all
#' @noRd
refit <- function(task, rows, call = NULL) {
  data <- task$data
  data$x <- data$x[rows, , drop = FALSE]
  data <- rescanned(data)
  if (task$way == "direct") {
    return(refit_directly(task, data, rows, call))
  }
  measured <- if (task$way == "held") task$measured else measured_again(task, data, call)
  inner <- reduced_data(data, measured, task$control$threads)
  start <- carried_start(task, inner, measured, rows)
  if (task$way == "search") {
    start$mixing <- searched_mixing(start$mixing, inner, task$control)
  }
  control <- if (task$way == "saem") task$control else
    update.crl_control(task$control, mixing = "fixed")
  engine <- run_engine(control$prior, inner, start, control, NULL, call)
  if (task$kind != "linear") {
    engine$control$mixing <- control$mixing
  }
  fit <- lifted(engine, data, measured)
  list(engine = inner_fit(fit), fit = fit)
}

#' The same measurement model of other rows
#' @noRd
measured_again <- function(task, data, call) {
  model <- task$measured
  if (!is.null(model$domains)) {
    settings <- list(center = !is.null(model$center), noise = model$noise, nuisance = model$nuisance)
    return(measure_domains(data, settings, task$control, call))
  }
  measure(data, !is.null(model$center), model$noise, model$nuisance, task$control$threads, call)
}

#' The fit in the coordinates of other rows: what an engine goes on from
#' @noRd
carried_start <- function(task, inner, measured, rows) {
  within <- crossprod(measured$span, task$mixing)
  if (task$way != "held") {
    within <- if (task$control$mixing == "psd") {
      within / rep(sqrt(colSums(within^2)), each = nrow(within))
    } else {
      polar_factor(within)
    }
  }
  start <- task$engine
  start$mixing <- inner$space$whiten %*% within
  start$sigma2 <- inner$space$sigma2
  start$chains <- start$chains[rows, , drop = FALSE]
  start$data <- inner
  if (task$way == "saem" && task$control$mixing == "psd") { # SAEM has columns of length 1 here
    start <- rescaled_latents(start, sqrt(colSums(start$mixing^2)))
  }
  structure(start, class = task$class)
}

#' The nearest optimum of the search for the rotation
#' @param mixing W U'A.
#' @noRd
searched_mixing <- function(mixing, inner, control) {
  space <- inner$space
  turn <- unname(solve(space$whiten, mixing))
  start <- list(orthonormal = solve(space$whiten) %*% turn, sigma2 = space$sigma2,
                noise = crossprod(turn, space$noise %*% turn))
  if (control$start$mechanisms == "spline" && inherits(control$prior, "prior_spline")) {
    part <- principal_part(inner, start)
    found <- refined_rotation(diag(inner$d), part, space$sigma2, control, 1L,
                              REFINEMENT$max_sweeps)$rotation
  } else {
    cells <- rotation_cells(inner, start, control$intervention == "perfect")
    found <- best_rotation(cells, VARIANCE_FLOOR * space$sigma2, control, starts = 1L)
  }
  space$whiten %*% turn %*% (found * sign_by(found, diag(inner$d)))
}

#' Fits whose A is updated in all of x go on as they were
#' @noRd
refit_directly <- function(task, data, rows, call) {
  if (task$kind == "f") {
    init <- list(mixing = task$mixing, sigma2 = task$sigma2)
    fit <- fit_rows(data, init, plan_f(task$engine$control, data, init), NULL, call)
    return(list(engine = companion_fit(fit, call), fit = fit))
  }
  start <- structure(task$engine, class = task$class)
  start[c("sigma2", "data")] <- list(task$sigma2, data)
  start$chains <- start$chains[rows, , drop = FALSE]
  control <- update.crl_control(task$control, sigma2 = task$engine$control$sigma2)
  if (task$kind == "normal") start <- NULL
  fit <- run_engine(control$prior, data, start, control, NULL, call)
  list(engine = fit, fit = fit)
}

#' The causal model of a refit, with the signs of the fit's latents; and how well A agrees
#' @noRd
aligned_model <- function(refit, task) {
  model <- compact_model(refit$engine, refit$fit)
  kept <- seq_len(model$kept)
  match <- align_latents(unname(model$mixing[, kept, drop = FALSE]),
                         unname(task$mixing[, kept, drop = FALSE]))
  cross <- colSums(model$mixing * task$mixing)
  sign <- ifelse(cross < 0, -1, 1)
  norms <- sqrt(colSums(model$mixing^2) * colSums(task$mixing^2))
  model <- with_left_of_curves(turned_model(model, sign), task$left)
  model$kind <- task$kind
  model$agreement <- abs(cross / norms)[kept]
  model$swapped <- !identical(match$permutation, kept)
  without_copies(model, task)
}

# What refits leave out of curves -----------------------------------------------------------------

#' Spread of the coefficients of curves that refits do not show
#'
#' With I = G - M the observed information (times v), P the penalty and H = I + P, a curve under its
#' smoothing prior has covariance v H^-1, of which v H^-1 I H^-1 is what other rows would do and the
#' rest the bias of smoothing (Nychka 1988). After k iterations of EM a refit has made a part
#' K = 1 - R^k, R = (G + P)^-1 M, of the way to its optimum, so that refits spread by
#' v K H^-1 I H^-1 K'. What is left of v H^-1 is added to each by a draw.
#' @return list over cells: NULL, or a matrix whose product with standard normals has that covariance
#' @noRd
left_of_curves <- function(engine) {
  information <- engine$prior$information
  list(range = engine$prior$range, root = lapply(seq_along(information), function(cell) {
    of <- information[[cell]]
    if (is.null(of)) {
      return(NULL)
    }
    steps <- BOOT$burn_in + BOOT$iterations / 2
    observed <- eigen(of$gram - of$missing, symmetric = TRUE) # an estimate: it may be indefinite
    observed <- observed$vectors %*% (pmax(observed$values, 0) * t(observed$vectors))
    bread <- solve(observed + of$penalty)
    rate <- eigen(solve(of$gram + of$penalty, of$gram - observed))
    reached <- Re(rate$vectors %*% ((1 - rate$values^steps) * solve(rate$vectors)))
    shown <- reached %*% bread %*% observed %*% bread %*% t(reached)
    left <- eigen(bread - (shown + t(shown)) / 2, symmetric = TRUE)
    left$vectors %*% (sqrt(pmax(left$values, 0) * engine$prior$variance[cell]) * t(left$vectors))
  }))
}

#' A draw of it, added to the curves of a refit, whose knots may cover another range
#' @noRd
with_left_of_curves <- function(model, left) {
  for (cell in which(!vapply(left$root, is.null, NA))) {
    node <- node_of(cell)
    parents <- parents_of(model$data$dag, node)
    draw <- left$root[[cell]] %*% stats::rnorm(nrow(left$root[[cell]]))
    draw <- matrix(draw, ncol = length(parents))
    level <- colMeans(draw) # constants, which parents can exchange: all to the first
    draw <- draw - rep(level, each = nrow(draw))
    draw[, 1L] <- draw[, 1L] + sum(level)
    for (k in seq_along(parents)) {
      ends <- as.double(model$prior$range[, parents[k]])
      draw[, k] <- same_curve(draw[, k], left$range[, parents[k]], ends)
    }
    model$prior$theta[[cell]] <- model$prior$theta[[cell]] + as.vector(draw)
  }
  model
}

#' Coefficients of a spline on knots over other ends
#' @noRd
same_curve <- function(theta, ends, other) {
  knots <- length(theta) - 2L
  at <- c(rep(other[1L], 2L), seq(other[1L], other[2L], length.out = knots), rep(other[2L], 2L))
  at <- rowMeans(stats::embed(at, 3L)) # one for each function
  basis <- function(of) .Call(C_bspline_basis, at, as.double(of), knots, 0L, FALSE)
  drop(solve(basis(other), basis(ends) %*% theta))
}

#' What all replicates share is not kept with each
#' @noRd
without_copies <- function(model, task) {
  model[c("data", "names", "control")] <- NULL
  constant <- task$whole$constant
  if (length(constant) > 0L) {
    varying <- setdiff(seq_len(task$whole$p), constant)
    model$mixing <- with_rows(model$mixing, varying, task$whole$p)
    model$noise_var <- drop(with_rows(cbind(model$noise_var), varying, task$whole$p))
    if (!is.null(model$center)) {
      model$center <- drop(with_rows(cbind(model$center), varying, task$whole$p))
    }
  }
  model
}

#' @noRd
with_rows <- function(part, at, p) {
  whole <- matrix(0, p, ncol(part))
  whole[at, ] <- part
  whole
}

# Running -----------------------------------------------------------------------------------------

#' Replicates that are there already: of an earlier bootstrap, or in the file
#' @return list, longer than `times` if there are more
#' @noRd
known_replicates <- function(task, earlier, file, call = rlang::caller_env()) {
  if (!is.null(earlier)) {
    if (earlier$seed != task$seed) {
      abort_input(c("{.arg seed} must be that of the bootstrap that goes on.",
                    "x" = "It is {task$seed}, that one's {earlier$seed}."), "range", call = call)
    }
    return(Map(function(model, error) list(model = model, error = error), earlier$replicates,
               earlier$errors))
  }
  if (is.null(file) || !file.exists(file)) {
    return(list())
  }
  stored <- tryCatch(suppressWarnings(readRDS(file)), error = function(e) NULL)
  whole <- is.list(stored) && identical(stored$hash, rlang::hash(stored$bytes))
  kept <- if (whole) unserialize(stored$bytes)
  if (!identical(kept$key, task$key)) {
    abort_input(c("{.arg file} must hold replicates of this fit with this {.arg seed}.",
                  "x" = if (whole) "{.path {file}} belongs to another one." else
                    "{.path {file}} is damaged, or no file of replicates.",
                  "i" = "Give the seed of the interrupted call, or another file."), "results",
                call = call)
  }
  kept$replicates
}

#' @noRd
run_replicates <- function(task, done, times, cl, file, progress, call = rlang::caller_env()) {
  left <- setdiff(seq_len(times), seq_along(done))
  if (length(left) == 0L) {
    return(done)
  }
  if (!inherits(cl, "cluster")) {
    cl <- check_number(cl, "cl", min = 1, integer = TRUE, call = call)
    cl <- min(cl, length(left))
  }
  own <- is.numeric(cl) && cl > 1L
  if (own) {
    cl <- local_workers(cl)
    on.exit(parallel::stopCluster(cl))
  }
  if (inherits(cl, "cluster")) {
    check_cluster(cl, call)
    parallel::clusterCall(cl, receive_task, task)
  }
  workers <- if (inherits(cl, "cluster")) length(cl) else 1L
  chunks <- split(left, (seq_along(left) - 1L) %/% (BOOT_CHUNK * workers))
  with_progress(progress, "Bootstrap", steps = length(left), eta = TRUE, run = function(tick) {
    started <- proc.time()[["elapsed"]]
    for (chunk in chunks) {
      done[chunk] <- if (inherits(cl, "cluster")) {
        parallel::clusterApplyLB(cl, chunk, replicate_here)
      } else {
        lapply(chunk, function(number) boot_replicate(task, number))
      }
      keep_replicates(task, done, file, call)
      if (!is.null(tick)) {
        tick(max(chunk) - min(left) + 1L)
      } else if (identical(chunk, chunks[[1L]])) {
        tell_time(proc.time()[["elapsed"]] - started, length(chunk), length(left) - length(chunk))
      }
    }
    done
  })
}

# Seconds that replicates may take without a word.
SILENT_SECONDS <- 60

#' Where no progress is shown, how long the other replicates will take, if that is long
#' @noRd
tell_time <- function(seconds, done, left) {
  expected <- left * seconds / done
  if (expected > SILENT_SECONDS) {
    minutes <- max(1, round(expected / 60))
    tell(c("i" = paste("{left} more bootstrap replicates will take about {minutes}",
                       "minute{?s}; {.arg cl} shares them among processes.")),
         class = "ebcrl_message_time")
  }
}

# The task that a worker has been given.
worker <- new.env(parent = emptyenv())

#' @noRd
receive_task <- function(task) {
  worker$task <- task
  invisible()
}

#' @noRd
replicate_here <- function(number) {
  boot_replicate(worker$task, number)
}

#' @noRd
keep_replicates <- function(task, done, file, call) {
  if (is.null(file)) {
    return(invisible())
  }
  unsaved <- keep_result(list(key = task$key, replicates = done), file)
  if (!is.null(unsaved)) {
    abort_input(c("Replicates must be written to {.arg file}, and cannot be.", "x" = "{unsaved}"),
                "results", call = call)
  }
}

#' @noRd
new_boot <- function(fit, task, done, call = rlang::caller_env()) {
  models <- lapply(done, `[[`, "model")
  errors <- vapply(done, `[[`, "", "error")
  good <- !vapply(models, is.null, NA)
  if (sum(good) < 2L) {
    abort_input(c("No bootstrap replicate could be fitted.", "x" = "{errors[!good][1L]}",
                  "i" = "Domains of few rows are the usual cause."), "boot", call = call)
  }
  d <- fit$data$d
  agreement <- matrix(NA_real_, length(done), d, dimnames = list(NULL, fit$data$latent_names))
  agreement[good, ] <- t(matrix(vapply(models[good], `[[`, numeric(d), "agreement"), d))
  swapped <- rep(NA, length(done))
  swapped[good] <- vapply(models[good], `[[`, NA, "swapped")
  model <- task$model
  if (length(task$whole$constant) > 0L) {
    shared <- model[c("data", "control")]
    model <- without_copies(model, task)
    model[c("data", "control")] <- shared
    model$names <- task$whole$feature_names %||% as.character(seq_len(task$whole$p))
  }
  structure(list(fit = fit, model = model, replicates = models, errors = errors,
                 agreement = agreement, swapped = swapped, seed = task$seed, way = task$way,
                 smoothing = task$smoothing),
            class = "crl_boot")
}

#' The whole causal model of each replicate that succeeded
#' @noRd
boot_models <- function(boot) {
  shared <- boot$model[c("data", "control", "names")]
  good <- Filter(Negate(is.null), boot$replicates)
  lapply(good, function(model) {
    model[names(shared)] <- shared
    class(model) <- "crl_scm"
    model
  })
}

#' A bootstrap that is of this fit, or NULL
#' @noRd
check_boot_of <- function(boot, fit, call = rlang::caller_env()) {
  if (is.null(boot)) {
    return(NULL)
  }
  check_class(boot, "crl_boot", "boot", "crl_boot", call = call)
  if (!identical(boot$fit$mixing, fit$mixing)) {
    abort_input(c("{.arg boot} must be a bootstrap of this fit.", "x" = "It is one of another fit.",
                  "i" = "{.code crl_boot(fit)} makes one."), "fit", call = call)
  }
  boot
}

# The error of A in latents -----------------------------------------------------------------------

#' Standard deviations of latents with the error of A, of means and of noise variances
#'
#' To first order a posterior mean follows its pseudo-latent y by the posterior over the noise
#' variance (d E[z | y] / dy = Cov[z | y] N^-1, Tweedie's formulas), and y moves from replicate to
#' replicate.
#' @param step list with `latents_sd` (rows x d).
#' @param x The rows (n x p).
#' @noRd
widened <- function(step, x, fit, boot, covariates = NULL, call = rlang::caller_env()) {
  if (is.null(boot)) {
    return(step)
  }
  x <- check_newdata(x, fit, call)
  if (!is.null(covariates)) x <- newdata_without_covariates(x, covariates, fit$data, call)
  own <- unmixing_of(boot$model)
  sum <- square <- 0
  models <- boot_models(boot)
  for (model in models) {
    other <- unmixing_of(model)
    moved <- x %*% (other$weights - own$weights) - rep(other$offset - own$offset, each = nrow(x))
    sum <- sum + moved
    square <- square + moved^2
  }
  many <- length(models)
  spread <- pmax(square - sum^2 / many, 0) / (many - 1)
  follows <- pmin(step$latents_sd^2 / rep(own$noise, each = nrow(x)), 1)
  step$latents_sd <- sqrt(step$latents_sd^2 + follows^2 * spread)
  step
}

#' Weights and offsets of the pseudo-latents, y = x weights - offset, and their noise variances
#' @noRd
unmixing_of <- function(model) {
  kept <- seq_len(model$kept)
  precise <- ifelse(model$noise_var > 0, 1 / model$noise_var, 0)
  if (all(precise == 0)) precise[] <- 1
  weighted <- model$mixing * precise
  noise <- solve(crossprod(model$mixing, weighted))
  weights <- unname((weighted %*% noise)[, kept, drop = FALSE])
  list(weights = weights, offset = drop(crossprod(weights, model$center %||% rep(0, nrow(weights)))),
       noise = diag(noise)[kept])
}
