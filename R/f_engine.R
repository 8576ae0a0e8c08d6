# The engine of method f on rows, or on their coordinates: Algorithm 1 (src/f/em.c) from a start, what
# it returns by name, and the E-step of a fit for other rows.

#' The same on rows, or coordinates of rows, whose measurement model is the paper's
#' @noRd
fit_rows <- function(data, init, plan, call, error_call) {
  started <- proc.time()[["elapsed"]]
  check_engine_range(plan$range, data$d, error_call)
  check_sign_names(plan, data, error_call)
  check_memory(data, plan, error_call)
  structure <- resolved_structure(data, init, plan, error_call)
  plan <- structure$settings
  check_start_memory(data, init, plan, error_call)
  start <- turned_start(starting_values(init, data, plan, error_call), data, plan)
  check_damping(plan, start, error_call)
  check_noise_dimensions(plan, data, error_call)
  sigma2 <- n_features(data) > data$d &&
    learns_sigma2(plan, start, data, held = !plan$update_mixing)
  learned <- c(mixing = plan$update_mixing, sigma2 = sigma2)
  fit <- run_em(data, start, plan, learned, error_call)
  fit$start <- reusable_start(init)
  fit <- with_chosen(fit, structure$chosen)
  fit$call <- call
  fit$elapsed <- proc.time()[["elapsed"]] - started
  fit
}

#' Algorithm 1 from a start, or on from where a fit stopped
#'
#' @param start As from starting_values(). To go on, it also has `resume`: a list of `trace`
#'   (matrix, see trace_matrix()), `change_latents` and `theta` of the earlier fit.
#' @param learned Named logical: are `mixing` and `sigma2` updated?
#' @return A `crl_fit` without call and elapsed time
#' @noRd
run_em <- function(data, start, plan, learned, error_call) {
  engine <- engine_control(
    plan, data$d, learned[["sigma2"]],
    signs = if (turns_signs(plan, start$label) && !is_plain(data)) wanted_signs(plan, data),
    reference = if (plan$spline$reference == "gaussian") target_groups(data$targets) - 1L
  )
  start["resume"] <- list(start$resume)
  start[c("features", "outside")] <- list(n_features(data), square_outside(data))
  result <- with_progress(plan$progress, "EM", steps = plan$max_iter, function(tick) {
    .Call(C_em_fit, data$x, data$env, data$targets, parent_list(data$dag), row_weights(data),
          start, engine, tick)
  })
  check_divergence(result, data, error_call)
  check_explained(result, data, plan, learned, error_call)
  check_status(result$status, error_call)
  fit <- named_results(result, data)
  structure(c(fit, list(
    diagnosis = diagnose(fit, result, plan, data$latent_names),
    counts = c(result$counts, jittered = sum(result$jittered),
               cg_unconverged = sum(result$unconverged),
               start_counts(start)),
    cells = cell_table(data, plan, result),
    method = "f", data = data, control = control_of(plan), learned = learned, init = start$label,
    optima = start$optima, sampling = start$sampling,
    start_mc_error = named_error(start$mc_error, data)
  )), class = fit_class("f"))
}

#' @noRd
named_error <- function(error, data) {
  if (!is.null(error)) stats::setNames(error, data$latent_names)
}

#' A start, each latent with the sign that it has in the fit: turned at the end, it would meet knots
#' that are not its own where `range` is not symmetric
#' @noRd
turned_start <- function(start, data, control) {
  if (!turns_signs(control, start$label)) {
    return(start)
  }
  signs <- latent_signs(compose_mixing(start), data, control)
  start$orthonormal <- start$orthonormal * rep(signs, each = data$p)
  if (is.matrix(start$scale)) {
    start$scale <- start$scale * tcrossprod(signs)
  }
  start
}

#' In as many features as latents no direction is noise alone
#' @noRd
check_noise_dimensions <- function(control, data, call) {
  measured <- !is.null(data$space) && !is_plain(data)
  if (control$sigma2 == "learned" && n_features(data) == data$d && !measured) {
    abort_input(c(paste("The noise variance cannot be learned from {n_features(data)} columns",
                        "and as many latents."),
                  "x" = "{.arg sigma2} is {.val learned}.",
                  "i" = "{.code sigma2 = \"fixed\"} holds it at its start."), "control",
                call = call)
  }
}

#' Where columns of A are correlated, the squared error is no sum over latents
#' @noRd
check_damping <- function(control, start, call) {
  if (identical(control$eta, "auto") && is.matrix(start$scale)) {
    abort_input(c("{.arg eta} can be chosen from the data only if columns of A are orthogonal.",
                  "x" = "With mixing {.val {control$mixing}} and this start they need not be.",
                  "i" = "Give a number, such as {.code eta = 1}."), "control", call = call)
  }
}

#' @noRd
named_results <- function(result, data) {
  latents <- data$latent_names
  rows <- list(data$row_names, latents)
  columns <- list(data$feature_names, latents)
  correlated <- is.matrix(result$scale)
  mixing <- compose_mixing(result)
  list(
    latents = `dimnames<-`(result$latents, rows),
    latents_sd = `dimnames<-`(result$latents_sd, rows),
    mixing = `dimnames<-`(mixing, columns),
    sigma2 = result$sigma2, eta = result$eta,
    iterations = result$iterations, converged = result$converged,
    trace = trace_table(result$trace[seq_len(result$iterations), , drop = FALSE]),
    score = list(
      theta = stats::setNames(result$theta, latents),
      range = `dimnames<-`(result$range, list(c("lo", "hi"), latents)),
      parents = stats::setNames(parent_list(data$dag), latents),
      reference = if (!is.null(result$reference)) {
        c(list(group = target_groups(data$targets)), named_reference(result$reference, latents))
      }
    ),
    orthonormal = `dimnames<-`(result$orthonormal, columns),
    scale = if (correlated) `dimnames<-`(result$scale, list(latents, latents)) else
      stats::setNames(result$scale, latents),
    floored = if (correlated) stats::setNames(result$floored, data$env_names)
  )
}

#' @noRd
named_reference <- function(reference, latents) {
  states <- STATE_NAMES
  names <- list(mean = list(latents, NULL), precision = list(latents, latents, NULL),
                intercept = list(states, latents), variance = list(states, latents),
                coefficients = list(latents, states, latents), kappa = NULL)
  Map(`dimnames<-`, reference, names[names(reference)])
}

#' Is the score of a fit that of one log-density, whose cells share what they are fitted to?
#' @noRd
is_joint <- function(fit) .Call(C_score_is_joint, fit$control$score)

#' What a fit will take: rows, coefficients and solver of each (node, state), bytes in all
#' @noRd
fit_cost <- function(data, control) {
  .Call(C_fit_cost, data$env, data$targets, parent_list(data$dag), row_weights(data), data$p,
        engine_control(control, data$d))
}

#' @noRd
cell_table <- function(data, control, result) {
  cost <- fit_cost(data, control)
  table <- tibble::tibble(
    node = by_cell(data$latent_names), state = rep(STATES, data$d), rows = cost$rows,
    coefficients = cost$coefficients,
    solver = cost$solver,
    lambda = result$lambda, cg_iterations = result$cg_iterations, loss = result$loss / cost$rows
  )
  table[cost$rows > 0, ]
}

#' The noise variance may run away where latents are missing from the model
#' @noRd
check_divergence <- function(result, data, call) {
  if (result$status == "diverged") {
    abort_input(c(
      "The EM diverged: the noise variance rose above 10 times the mean square of {.arg x}.",
      "x" = "It is {format(result$sigma2, digits = 3)}: A and the latents explain nothing.",
      "i" = means_hint(data),
      "i" = paste("More latents may move {.arg x} than the {data$d} of {.arg targets} and",
                  "{.arg dag}: add them."),
      "i" = paste("Or use {.code method = \"g\"}, or hold A and the noise variance at their start",
                  "by {.code crl_control(update_mixing = FALSE, sigma2 = \"fixed\")}.")
    ), "numerical", call = call)
  }
}

#' Latents that explain many times what there is: a score that the rows hardly tell has run away
#' @noRd
check_explained <- function(result, data, control, learned, call) {
  if (result$status != "exceeds") {
    return(invisible())
  }
  sigma2 <- result$sigma2
  large <- !learned[["sigma2"]] && sigma2 * n_features(data) > 0.5 * data$mean_square
  outside <- result$counts[["outside_range"]]
  hints <- c(
    means_hint(data),
    dependent_hint(result, control),
    if (outside > 0) {
      paste0("{.arg range} does not reach ", whole(outside),
             " pseudo-latents: {.code crl_control(range = \"data\")} does.")
    },
    if (large) {
      paste("The noise variance, {format(sigma2, digits = 3)}, is more than half the mean square",
            "of {.arg x}: give a smaller {.code sigma2} in {.arg init}, or have it learned by",
            "{.code crl_control(sigma2 = \"learned\")}.")
    },
    if (!identical(control$lambda, "auto")) {
      paste("Raise {.arg lambda} in {.fn crl_control}, here {control$lambda}; {.val auto} chooses",
            "it from the data.")
    },
    if (control$spline$solver == "cg") "Or use {.code spline_control(solver = \"cholesky\")}.",
    if (control$spline$reference == "none") {
      "Or use {.code spline_control(reference = \"gaussian\")}."
    }
  )
  abort_input(c(
    paste("The latents far exceed the data: fitted values have",
          "{format(result$explained, digits = 3)} times the sum of squares of {.arg x}."),
    "x" = "The rows do not tell the coefficients of the score.",
    if (length(hints) > 0L) stats::setNames(hints, rep("i", length(hints)))
  ), "numerical", call = call)
}

#' Columns of A that all but depend on one another, along which latents are open
#' @noRd
dependent_hint <- function(result, control) {
  if (is.matrix(result$scale) && kappa(result$scale, exact = TRUE) > 100) {
    paste0("Columns of A are nearly dependent: use {.code mixing = \"orthonormal\"}",
           if (control$intervention == "imperfect") {
             ", or {.code intervention = \"perfect\"} if interventions are"
           }, ".")
  }
}

#' The E-step of a fitted model for given rows
#'
#' @param x Double matrix (rows x p).
#' @param codes Position in `targets` of each row's target combination.
#' @param targets 0/1 integer matrix (combinations x d).
#' @param object A `crl_fit`.
#' @return list: `y`, `score`, `dscore`, `latents`, `latents_sd` (rows x d each), `floored`
#' @noRd
estep <- function(x, codes, targets, object, call = rlang::caller_env()) {
  model <- c(object[c("orthonormal", "scale", "sigma2")],
             list(theta = object$score$theta, reference = reference_for(targets, object),
                  features = ncol(x), outside = 0))
  engine <- engine_control(object$control, ncol(targets), range = object$score$range, lambda = 0,
                           choose_lambda = FALSE, eta = object$eta, choose_eta = FALSE)
  step <- .Call(C_estep, x, codes, targets, unname(object$score$parents), model, engine)
  check_status(step$status, call)
  step
}

#' The reference of a fit, laid out for the rows of another table of targets: combinations of
#' targets that the fit has not seen have the numbers after those that it has
#' @noRd
reference_for <- function(targets, object) {
  reference <- object$score$reference
  if (is.null(reference)) {
    return(NULL)
  }
  group <- reference$group[match_targets(targets, object$data$targets)]
  unseen <- is.na(group)
  group[unseen] <- ncol(reference$mean) + target_groups(targets[unseen, , drop = FALSE])
  reference$group <- group - 1L
  reference
}

#' For each row of a table of targets the first domain of the fit with the same targets, or NA
#' @noRd
match_targets <- function(targets, trained) {
  pattern <- function(table) apply(table, 1L, paste, collapse = "")
  match(pattern(targets), pattern(trained))
}
