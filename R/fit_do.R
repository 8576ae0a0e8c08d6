# Interventions with values: rows drawn from the causal model of a fit with latents set, shifted or
# drawn, and what that changes.

#' Rows of a domain that was not observed
#'
#' Draws latents from the causal model of a fit under any intervention, and observations from them:
#' what the model expects of an experiment that was not made.
#'
#' @param object A `crl_fit`, from [fit_crl()]. One by `method = "f"` has no mechanisms: additive splines
#'   are fitted to draws of its latents, with A held.
#' @param targets Which latents are targeted as in the domains of the fit, see
#'   [predict()][predict.crl_fit]: one label (`"z1+z2"`), set or vector of d zeros and ones for all
#'   rows, or n of them. `NULL` (the default): none.
#' @param n Number of rows.
#' @param do What latents are set to: a list (or vector of numbers) named by latents. An entry is a
#'   number; n numbers, one a row; or a function, which is given those of these arguments that it
#'   has: `n`, the number of rows, for a distribution (`\(n) rnorm(n, 2)`); `z`, the values that the
#'   latent would have had, for shifts (`\(z) z + 1`); `parents`, a matrix (n x parents) of the
#'   values of its parents. It returns n numbers, or one. What acts on the latent no longer does, but
#'   as the function says; what it acts on follows. Numbers are in units of the latents, of which
#'   `fitted(object)` and `plot(object, "domains")` show what is usual. 0 is their mean where nothing is
#'   targeted only if feature means are fitted, see `center` in [fit_crl()]; shifts need no such zero.
#' @param ... Not used; an argument that nothing reads is an error.
#' @return A list: `x` (n x p matrix of observations; features with one value only, which the fit
#'   left out, have that value), `z` (n x d matrix of latents).
#' @section Extrapolation:
#' Mechanisms continue linearly beyond the values of parents that the rows have: a guess. A warning of
#' class `ebcrl_warning_extrapolation` names the latents that such a guess goes into, by way of a parent
#' that was set, or that followed what was set, beyond the posterior means of the rows in more than
#' a tenth of the draws.
#' @section Random numbers:
#' R's generator: `set.seed()` fixes the result.
#' @section Errors:
#' `ebcrl_error_method` for a fit with `prior = "normal"` and `do`; `ebcrl_error_do` for a `do` that
#' names no latent or gives no finite numbers; `ebcrl_error_unseen_state` for a latent in a state
#' without training rows; `ebcrl_error_targets` and `ebcrl_error_shape` for `targets`;
#' `ebcrl_error_memory` for more rows than fit.
#' @seealso [effects.crl_fit()] for what an intervention changes.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' quick <- crl_control(saem = saem_control(burn_in = 30, iterations = 30, draws = 50))
#' fit <- fit_crl(sim, method = "g", control = quick)
#' both <- simulate_domain(fit, targets = "z1+z2", n = 100)
#' colMeans(both$z)
#' set <- simulate_domain(fit, n = 100, do = list(z1 = 2, z2 = \(z) z + 1))
#' colMeans(set$z)
#' @export
simulate_domain <- function(object, targets = NULL, n, do = NULL, ...) {
  check_dots_empty(...)
  object <- check_fit(object)
  check_given(n = missing(n), call = rlang::current_env(), help = "simulate_domain")
  n <- check_number(n, "n", min = 1, integer = TRUE)
  if (!is.null(do)) check_causal(object, "simulate_domain")
  data <- object$data
  check_bytes(8 * n * (3 * data$p + 4 * data$d), object$control, c("i" = "Use a smaller {.arg n}."),
              rlang::current_env(), what = "The simulation")
  model <- causal_model(object)
  do <- check_do(do, data$latent_names, n)
  table <- domain_targets(targets, n, object, model, do)
  z <- domain_latents(model, table, do, standard_draws(model, n))
  warn_beyond(beyond_of(z, table, model, do)[seq_len(model$kept)])
  noise <- matrix(stats::rnorm(n * data$p), n, data$p)
  list(x = domain_features(model, z, object) + noise * rep(sqrt(model$noise_var), each = n),
       z = z[, seq_len(data$d), drop = FALSE])
}

#' Means of the features given latents (rows x D)
#' @noRd
domain_features <- function(model, z, object) {
  kept <- seq_len(model$kept)
  mix(z[, kept, drop = FALSE], object,
      drawn_nuisance(object, z))
}

# Input -------------------------------------------------------------------------------------------

#' `do` as a list of numbers and functions named by latents
#' @noRd
check_do <- function(do, latents, n, arg = "do", call = rlang::caller_env()) {
  if (length(do) == 0L) {
    return(list())
  }
  if (is.numeric(do)) do <- as.list(do)
  named <- rlang::names2(do)
  if (!is.list(do) || any(!nzchar(named)) || anyDuplicated(named)) {
    abort_input(c("{.arg {arg}} must be a list named by latents, each once.",
                  "x" = "It is {describe(do)}.", "i" = "Such as {.code list({latents[1]} = 1)}."), "do",
                call = call)
  }
  unknown <- setdiff(named, latents)
  if (length(unknown) > 0L) {
    abort_input(c("{.arg {arg}} must name latents.", "x" = "Not among them: {some(unknown)}.",
                  did_you_mean(unknown, latents, "val"), "i" = "The latents are {some(latents)}."),
                "do", call = call)
  }
  for (name in named) check_do_entry(do[[name]], name, n, arg, call)
  do
}

#' @noRd
check_do_entry <- function(value, name, n, arg, call) {
  if (is.function(value)) {
    known <- c("n", "z", "parents", "...")
    found <- names(formals(args(value)))
    if (length(intersect(found, known[1:3])) == 0L) {
      abort_input(c("Functions in {.arg {arg}} must have one of the arguments n, z and parents.",
                    "x" = "That of {.val {name}} has {some(found %||% 'none')}.",
                    "i" = "{.code \\(z) z + 1} is a shift, {.code \\(n) rnorm(n)} a distribution."),
                  "do", call = call)
    }
    return(invisible())
  }
  if (!is.numeric(value) || !length(value) %in% c(1L, n) || !all(is.finite(value))) {
    abort_input(c("Values in {.arg {arg}} must be a finite number, {n} of them, or a function.",
                  "x" = "That of {.val {name}} is {describe(value)}."), "do", call = call)
  }
}

#' Targets with those of nuisance factors (n or 1 x D); latents that are set need not have been seen
#' in any state
#' @noRd
domain_targets <- function(targets, n, object, model, do, call = rlang::caller_env()) {
  data <- object$data
  table <- if (is.null(targets)) {
    matrix(0L, 1L, data$d, dimnames = list(NULL, data$latent_names))
  } else {
    target_table(targets, n, data, call, rows = "{.arg n} = {n_new} row{?s}")
  }
  whole <- with_nuisance_targets(table, object)
  asked <- whole
  for (name in names(Filter(Negate(needs_natural), do))) {
    asked[, name] <- model$data$targets[1L, name] # any that was seen
  }
  check_seen_states(asked, model, call, asking = "{.arg targets}")
  whole
}

# Drawing -----------------------------------------------------------------------------------------

#' Random numbers of n rows: the same for interventions that are compared
#' @return list of `normal` and `uniform` (n x D)
#' @noRd
standard_draws <- function(model, n) {
  d <- model$data$d
  list(normal = matrix(stats::rnorm(n * d), n, d),
       uniform = if (!is.null(model$prior$noise)) matrix(stats::runif(n * d), n, d))
}

#' Latents of a domain, causes first
#' @param table Targets (1 or n x D).
#' @param do See check_do().
#' @param held NULL, or latents (n x D) of another domain: direct effects. Mechanisms then see the
#'   values that `do` sets, and else those of that domain.
#' @noRd
domain_latents <- function(model, table, do, draws, held = NULL, call = rlang::caller_env()) {
  data <- model$data
  n <- nrow(draws$normal)
  state <- table[rep_len(seq_len(nrow(table)), n), , drop = FALSE]
  z <- matrix(0, n, data$d, dimnames = list(NULL, data$latent_names))
  seen <- z
  for (j in topological_order(data$dag)) {
    name <- data$latent_names[j]
    set <- do[[name]]
    if (is.null(set) || needs_natural(set)) {
      z[, j] <- natural_values(model, j, state[, j], seen, draws)
    }
    if (!is.null(set)) {
      z[, j] <- set_values(set, name, z[, j], seen[, parents_of(data$dag, j), drop = FALSE], call)
    }
    seen[, j] <- if (is.null(held) || !is.null(set)) z[, j] else held[, j]
  }
  z
}

#' @noRd
needs_natural <- function(set) {
  is.function(set) && "z" %in% names(formals(args(set)))
}

#' @noRd
natural_values <- function(model, node, state, z, draws) {
  values <- numeric(length(state))
  for (s in unique(state)) {
    rows <- which(state == s)
    values[rows] <- mean_of_node(model, node, s, z[rows, , drop = FALSE]) +
      noise_of_cell(model$prior, cell_of(node, s), draws$normal[rows, node],
                    draws$uniform[rows, node])
  }
  values
}

#' Noise of a (node, state) from standard normal and uniform numbers
#' @noRd
noise_of_cell <- function(prior, cell, normal, uniform) {
  if (is.null(prior$noise)) {
    return(sqrt(prior$variance[cell]) * normal)
  }
  label <- findInterval(uniform, cumsum(prior$noise$weight[, cell])) + 1L
  label <- pmin(label, nrow(prior$noise$weight))
  prior$noise$mean[label, cell] + sqrt(prior$noise$variance[label, cell]) * normal
}

#' @noRd
set_values <- function(set, name, natural, parents, call) {
  n <- length(natural)
  if (is.function(set)) {
    given <- list(n = n, z = natural, parents = parents)
    set <- do.call(set, given[intersect(names(given), names(formals(args(set))))])
  }
  if (!is.numeric(set) || !length(set) %in% c(1L, n) || !all(is.finite(set))) {
    abort_input(c("Functions in {.arg do} must return one finite number, or {n} of them.",
                  "x" = "That of {.val {name}} returned {describe(set)}."), "do", call = call)
  }
  rep_len(as.vector(set), n)
}

#' Latents drawn from the fitted prior
#' @param table Targets (1 or n rows).
#' @noRd
draw_domain <- function(model, table, n) {
  domain_latents(model, table, list(), standard_draws(model, n))
}

#' How far what is drawn rests on curves beyond the values that the rows have
#'
#' @param z Latents under an intervention (n x D).
#' @param table Targets (1 or n x D).
#' @param do See check_do().
#' @param direct Do mechanisms see only what is set?
#' @return By latent, the share of draws in which a parent that the intervention moves lies beyond its
#'   values in the rows, or the largest such share among these parents: what they owe to such curves
#'   goes on.
#' @noRd
beyond_of <- function(z, table, model, do, direct = FALSE) {
  data <- model$data
  outside <- colMeans(z < rep(model$range[1L, ], each = nrow(z)) |
                        z > rep(model$range[2L, ], each = nrow(z)))
  moved <- data$latent_names %in% names(do)
  beyond <- stats::setNames(numeric(data$d), data$latent_names)
  for (j in topological_order(data$dag)) {
    set <- do[[data$latent_names[j]]]
    if (!is.null(set) && !needs_natural(set)) next
    states <- unique(table[, j])
    parents <- unique(unlist(lapply(states, function(state) active_parents(model, j, state))))
    parents <- parents[moved[parents]]
    if (length(parents) == 0L) next
    beyond[j] <- max(outside[parents], if (!direct) beyond[parents])
    moved[j] <- moved[j] || !direct
  }
  beyond
}

#' @noRd
warn_beyond <- function(beyond, call = rlang::caller_env()) {
  reached <- names(beyond)[beyond > BEYOND]
  if (length(reached) > 0L) {
    cli::cli_warn(c(paste("{reached} follow{?s/} {cli::qty(reached)}{?its/their} causes beyond the",
                          "values that these have in the rows."),
                    "i" = "Mechanisms continue linearly there: that is a guess."),
                  class = "ebcrl_warning_extrapolation", call = call)
  }
}

# Share of draws beyond the values of the rows that is worth a word: chance gives some.
BEYOND <- 0.1

# Effects -----------------------------------------------------------------------------------------

#' Effects of interventions on latents and features
#'
#' What changes if latents are set: means and quantiles under `do` less those under `versus`, by draws
#' from the causal model of a fit, see [simulate_domain()]. Both are drawn with the same random
#' numbers, so that their difference has little Monte-Carlo error.
#'
#' @param object A `crl_fit`, from [fit_crl()].
#' @param do,versus Interventions, see [simulate_domain()]: lists named by latents. `versus` is what
#'   `do` is compared with, by default no intervention.
#' @param on `"latents"` (the default), `"features"`, or both.
#' @param effect `"total"`: all that follows from the intervention. `"direct"`: only what goes along
#'   the edges (or loadings) out of the latents that are set, with the values that the others have
#'   under `versus`.
#' @param quantiles Probabilities of quantiles that are compared beside means. Default: 10, 50 and 90 %
#'   for latents, none for features, where draws of all of them are needed.
#' @param targets Targets of the domain in which both take place, see [simulate_domain()].
#' @param n Number of draws.
#' @param boot `NULL`, or a [crl_boot()] of the fit: intervals are then added. Of spline mechanisms
#'   they hold what smoothing takes off a steep curve, see its `smoothing`; they do not cover quite as
#'   often as they say right at the shoulders of a step that is narrow beside the noise of the latents.
#' @param level Probability of the intervals.
#' @param ... Not used; an argument that nothing reads is an error.
#' @return A tibble of class `crl_effects`: `on` (`"latent"` or `"feature"`), `variable`, `quantity`
#'   (`"mean"` or such as `"q50"`), `versus` (its value under `versus`), `estimate` (the difference),
#'   `mc.error` (Monte-Carlo standard error of a difference of means), with `boot` `std.error`,
#'   `conf.low`, `conf.high`, and `beyond`: the share of draws, the larger under `do` and `versus`, in
#'   which a curve was read beyond the values that the rows have on the way to the variable (of
#'   features: to any latent), see Extrapolation in [simulate_domain()]. Intervals do not know how
#'   curves go on there. `autoplot()` and `plot()` draw it, with open points where `beyond` exceeds a
#'   tenth.
#'
#'   `tidy()`: a plain tibble in the names of the broom package, the same columns with and without
#'   `boot`, so that tables of several effects can be bound: `contrast` (`do` against `versus`, in
#'   words), `effect` (`"total"` or `"direct"`), `on`, `term` (the variable), `quantity`, `estimate`,
#'   `std.error`, `statistic` (their ratio), `conf.low`, `conf.high` (`NA` without `boot`: `mc.error`
#'   is not the error of the estimate) and `beyond`.
#' @section Random numbers:
#' R's generator: `set.seed()` fixes the result.
#' @section Errors:
#' Those of [simulate_domain()].
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20, nonlinearity = "linear")
#' fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' effects(fit, do = list(z1 = 1), versus = list(z1 = 0))
#' boot <- crl_boot(fit, times = 20, seed = 1)
#' change <- effects(fit, do = list(z1 = \(z) z + 1), on = "features", boot = boot)
#' change
#' plot(change)
#' tidy(change)
#' @importFrom stats effects
#' @export
effects.crl_fit <- function(object, do, versus = list(), on = c("latents", "features"),
                            effect = c("total", "direct"), quantiles = NULL, targets = NULL,
                            n = 5000, boot = NULL, level = 0.95, ...) {
  check_dots_empty(...)
  object <- check_fit(object)
  check_given(do = missing(do), call = rlang::current_env(), help = "effects.crl_fit")
  check_causal(object, "effects")
  on <- if (missing(on)) "latents" else vapply(on, check_choice, "", c("latents", "features"), "on")
  n <- check_number(n, "n", min = 2, integer = TRUE)
  boot <- check_boot_of(boot, object)
  level <- check_level(level)
  model <- if (is.null(boot)) causal_model(object) else boot$model
  asked <- list(do = check_do(do, object$data$latent_names, n),
                versus = check_do(versus, object$data$latent_names, n, "versus"),
                on = unname(on), direct = check_choice(effect, c("total", "direct"), "effect") == "direct",
                quantiles = check_probabilities(quantiles), n = n)
  asked$table <- domain_targets(targets, n, object, model, asked$versus)
  domain_targets(targets, n, object, model, asked$do)
  seed <- sample.int(.Machine$integer.max, 1L)
  change <- with_own_draws(function() effect_table(model, asked, TRUE), seed)
  if (!is.null(boot)) {
    values <- vapply(boot_models(boot), function(model) {
      with_own_draws(function() effect_table(model, asked, FALSE), seed)$estimate
    }, numeric(nrow(change)))
    ends <- interval_of(change$estimate, matrix(values, nrow(change)), level)
    change <- tibble::add_column(change, ends[c("std.error", "conf.low", "conf.high")],
                                 .before = "beyond")
  }
  structure(change, class = c("crl_effects", class(change)), do = asked$do, versus = asked$versus,
            effect = if (asked$direct) "direct" else "total", level = level)
}

#' @noRd
check_probabilities <- function(quantiles, call = rlang::caller_env()) {
  if (is.null(quantiles)) {
    return(NULL)
  }
  if (!is.numeric(quantiles) || !all(is.finite(quantiles)) || any(quantiles <= 0 | quantiles >= 1)) {
    abort_input(c("{.arg quantiles} must be probabilities between 0 and 1.",
                  "x" = "It is {describe(quantiles)}."), "range", call = call)
  }
  quantiles
}

#' @noRd
effect_table <- function(model, asked, warn) {
  draws <- standard_draws(model, asked$n)
  before <- domain_latents(model, asked$table, asked$versus, draws)
  after <- domain_latents(model, asked$table, asked$do, draws, if (asked$direct) before)
  kept <- seq_len(model$kept)
  beyond <- pmax(beyond_of(after, asked$table, model, asked$do, asked$direct),
                 beyond_of(before, asked$table, model, asked$versus))[kept]
  if (warn) warn_beyond(beyond)
  parts <- list()
  if ("latents" %in% asked$on) {
    parts$latents <- differences(before[, kept, drop = FALSE], after[, kept, drop = FALSE], "latent",
                                 asked$quantiles %||% c(0.1, 0.5, 0.9))
  }
  if ("features" %in% asked$on) {
    if (asked$direct) { # along the loadings of what is set
      set <- model$data$latent_names %in% names(asked$do)
      after[, !set] <- before[, !set]
    }
    parts$features <- feature_differences(model, before, after, asked$quantiles)
  }
  changes <- do.call(rbind, unname(parts))
  changes$beyond <- ifelse(changes$on == "latent", beyond[changes$variable], max(beyond))
  changes
}

#' @param before,after n x variables, with the same random numbers.
#' @noRd
differences <- function(before, after, on, quantiles) {
  mean <- tibble::tibble(
    on = on, variable = colnames(before), quantity = "mean", versus = unname(colMeans(before)),
    estimate = unname(colMeans(after - before)),
    mc.error = unname(apply(after - before, 2L, stats::sd)) / sqrt(nrow(before))
  )
  rows <- lapply(quantiles, function(at) {
    of <- function(z) unname(apply(z, 2L, stats::quantile, at, names = FALSE))
    tibble::tibble(on = on, variable = colnames(before), quantity = paste0("q", 100 * at),
                   versus = of(before), estimate = of(after) - of(before), mc.error = NA_real_)
  })
  do.call(rbind, c(list(mean), rows))
}

# Features of which draws are held at a time.
FEATURE_BLOCK <- 100L

#' The same of features, whose means follow from those of the latents
#' @noRd
feature_differences <- function(model, before, after, quantiles) {
  centre <- model$center %||% rep(0, nrow(model$mixing))
  change <- after - before
  mean <- tibble::tibble(
    on = "feature", variable = model$names, quantity = "mean",
    versus = unname(centre + drop(model$mixing %*% colMeans(before))),
    estimate = unname(drop(model$mixing %*% colMeans(change))),
    mc.error = sqrt(rowSums((model$mixing %*% stats::cov(change)) * model$mixing) / nrow(change))
  )
  if (length(quantiles) == 0L) {
    return(mean)
  }
  blocks <- split(seq_along(model$names), (seq_along(model$names) - 1L) %/% FEATURE_BLOCK)
  rows <- lapply(blocks, function(at) {
    noise <- matrix(stats::rnorm(nrow(before) * length(at)), nrow(before)) *
      rep(sqrt(model$noise_var[at]), each = nrow(before))
    of <- function(z) {
      x <- tcrossprod(z, model$mixing[at, , drop = FALSE]) + rep(centre[at], each = nrow(z)) + noise
      `colnames<-`(x, model$names[at])
    }
    differences(of(before), of(after), "feature", quantiles)
  })
  rows <- do.call(rbind, rows)
  rbind(mean, rows[rows$quantity != "mean", ])
}

#' @rdname effects.crl_fit
#' @export
tidy.crl_effects <- function(x, ...) {
  check_dots_empty(...)
  needed <- c("on", "variable", "quantity", "estimate", "beyond")
  lost <- setdiff(needed, names(x))
  if (length(lost) > 0L) {
    abort_input(c("{.arg x} must have the columns that {.fn effects} gave it.",
                  "x" = "{.field {lost}} {?is/are} not there."), "object")
  }
  of <- function(column) if (is.null(x[[column]])) rep(NA_real_, nrow(x)) else x[[column]]
  tibble::tibble(
    contrast = rep(contrast_words(x), nrow(x)),
    effect = rep(attr(x, "effect") %||% "total", nrow(x)), on = x$on, term = x$variable,
    quantity = x$quantity, estimate = x$estimate, std.error = of("std.error"),
    statistic = x$estimate / of("std.error"), conf.low = of("conf.low"),
    conf.high = of("conf.high"), beyond = x$beyond
  )
}

#' "do(z1 = 1) against no intervention"
#' @noRd
contrast_words <- function(change) {
  words <- function(do) if (length(do) == 0L) "no intervention" else do_words(do)
  paste(words(attr(change, "do")), "against", words(attr(change, "versus")))
}

#' @export
print.crl_effects <- function(x, ...) {
  write_lines(paste0(c(total = "Total", direct = "Direct")[[attr(x, "effect") %||% "total"]],
                     " effect of ", contrast_words(x), ":"))
  # columns may have been left out
  guessed <- if (all(c("variable", "on", "beyond") %in% names(x))) {
    unique(x$variable[x$on == "latent" & x$beyond > BEYOND])
  }
  if (length(guessed) > 0L) {
    write_lines(paste0("Beyond the values that the rows have, where curves go on linearly: ",
                       paste(guessed, collapse = ", "), " (see `beyond`)."))
  }
  NextMethod()
}

#' "do(z1 = 2, z2 = \\(z) z + 1)"
#' @noRd
do_words <- function(do) {
  values <- vapply(do, function(value) {
    if (is.function(value)) paste(deparse(value), collapse = " ") else
      if (length(value) == 1L) format(value) else count_of(length(value), "value")
  }, "")
  paste0("do(", paste(names(do), "=", values, collapse = ", "), ")")
}

#' @rdname effects.crl_fit
#' @param x A `crl_effects`.
#' @param most How many features are drawn, those of the largest effects.
#' @export
autoplot.crl_effects <- function(object, most = 20, ...) {
  check_dots_empty(...)
  most <- check_number(most, "most", min = 1, integer = TRUE)
  shown <- tibble::as_tibble(object[object$quantity == "mean", ])
  rank <- stats::ave(-abs(shown$estimate), shown$on, FUN = order_of)
  left <- sum(shown$on == "feature" & rank > most)
  shown <- shown[shown$on == "latent" | rank <= most, ]
  shown <- shown[order(shown$on, abs(shown$estimate)), ]
  shown$variable <- factor(shown$variable, unique(shown$variable))
  bars <- if ("conf.low" %in% names(shown)) {
    ggplot2::geom_linerange(ggplot2::aes(xmin = .data$conf.low, xmax = .data$conf.high),
                            colour = okabe_ito("blue"), linewidth = 0.6)
  }
  shown$guessed <- shown$beyond > BEYOND
  note <- paste(c(do_words(attr(object, "do")),
                  if (!is.null(bars)) paste0("bars: ", format(100 * attr(object, "level")),
                                             " % intervals"),
                  if (left > 0L) paste("the", most, "features that change most"),
                  if (any(shown$guessed)) "open: beyond the rows"), collapse = "; ")
  plot <- ggplot2::ggplot(shown, ggplot2::aes(.data$estimate, .data$variable)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey60", linewidth = 0.3) + bars +
    ggplot2::geom_point(ggplot2::aes(shape = .data$guessed), colour = okabe_ito("blue"),
                        fill = "white", size = 1.8) +
    ggplot2::scale_shape_manual(values = c("FALSE" = 19, "TRUE" = 21), guide = "none") +
    ggplot2::labs(title = "Effect of an intervention", subtitle = in_lines(note),
                  x = "Change of the mean", y = NULL) +
    scale_y_names() + theme_crl() + theme_many(nrow(shown))
  if (length(unique(shown$on)) > 1L) {
    plot <- plot + ggplot2::facet_wrap(ggplot2::vars(.data$on), scales = "free", ncol = 1L)
  }
  plot
}

#' @rdname effects.crl_fit
#' @export
plot.crl_effects <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' Nuisance factors of drawn rows: those drawn with the latents, or, where they count as noise,
#' standard normal ones
#' @noRd
drawn_nuisance <- function(object, z) {
  if (is.null(object$nuisance)) {
    return(NULL)
  }
  if (inner_nuisance(object$measurement) > 0L) {
    return(z[, -seq_len(object$data$d), drop = FALSE])
  }
  matrix(stats::rnorm(nrow(z) * object$measurement$nuisance), nrow(z))
}
