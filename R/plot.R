# Plots: autoplot() builds a ggplot, plot() prints it.

#' @importFrom ggplot2 autoplot
#' @importFrom rlang .data
#' @export
ggplot2::autoplot

#' Plots of a fit
#'
#' `autoplot()` returns a ggplot, to be changed with `+`; `plot()` prints it. Text is sized for
#' 80 mm, a column of a journal. Names that are too long for the device are shortened in their
#' middle, and names on an axis that would overlap are left out: more than four panels, ten domains
#' or twenty features need a larger picture, such as
#' `ggplot2::ggsave("fit.pdf", width = 160, height = 160, units = "mm")`.
#'
#' @param object,x A `crl_fit`, from [fit_crl()].
#' @param type What is drawn:
#'   * `"effects"` (the default): how far the mean of each latent in each domain is from that in the
#'     domains without targets (where there are none, in those that do not target it), in sd of the
#'     latent; targets are framed. See `tidy(x, "effects")`.
#'   * `"graph"`: the causal graph with its edges: width by the share of the child's standard
#'     deviation that the edge moves, colour by sign, labels the average slope where the child is not
#'     targeted (see Edges in [tidy()][tidy.crl_fit]); with `boot` also its 95 % interval, and
#'     edges whose interval holds 0 are dashed. Latents that some domain targets are coloured.
#'   * `"domains"`: the latents by domain, as violins of their posterior means with medians, one panel
#'     a latent.
#'   * `"convergence"`: noise variance, score-matching loss and relative changes by iteration, and
#'     the share of floored variances if there were any. The dotted line is the tolerance. Of a g
#'     fit: noise variances of x and of the latents, objective, and change of A, by chain; dotted
#'     lines are the ends of burn-in. With `prior = "linear"`: log-likelihood, noise variance of x
#'     and largest relative change.
#'   * `"loadings"`: the mixing matrix, as a heat map for up to 40 features, else the ten
#'     largest loadings of each latent (five, of more than four latents), one panel a latent.
#'   * `"latents"`: posterior means with intervals for `rows` rows, one panel a latent. With
#'     `truth`, the true latents as crosses.
#'   * `"scores"`, of an f fit: the fitted score components \eqn{s_j} (equation 5.2 of the paper)
#'     against their
#'     own pseudo-latent, with the parents held at their medians, for both target states. Curves end
#'     where the data of their state end. The data are up to 2000 evenly spaced rows, which the
#'     rug shows.
#'   * `"mechanisms"`, of a g fit: the fitted mechanisms of [mechanisms()], a panel for each latent
#'     and parent, over up to 2000 evenly spaced rows: posterior means of parent and latent, the
#'     latter less the effects of its other parents (partial residuals). Curves go from the 2 % to the
#'     98 % quantile of the parent among the rows of their state; [mechanisms()] has them over its
#'     whole range. With `boot` of a fit of any kind: curves with 95 % bands.
#'   * `"check"`: do the residuals, off the space of A, look like the noise of the fit? Their variance
#'     by feature (line: noise variance of the fit); the largest eigenvalues of their second moments
#'     in units of the noise (dashed: what noise alone exceeds in one of a thousand samples, as in
#'     [crl_rank()]; above it are nuisance factors); their quantiles against normal ones; and their
#'     mean for each domain and feature, in standard errors (dashed: what the largest of them
#'     exceeds in one of a thousand samples). It takes three times the memory of the data. See
#'     [crl_check()] for tests.
#'   * `"env"`: relative mean squared error of the latents by domain. Needs `truth`.
#' @param truth For `"env"` and `"latents"`, a [sim_crl()] object, or what else [rel_mse()] takes as
#'   one.
#' @param bayes For `"env"`, a [bayes_latents()] result: the Bayes optimum is drawn as a bar across
#'   each domain.
#' @param rows For `"latents"`, how many rows are drawn in all, in equal shares and evenly spaced
#'   within each domain, so that the plot does not depend on random numbers.
#' @param level For `"latents"`, the probability of the intervals: posterior mean plus and minus a
#'   normal quantile times the posterior standard deviation.
#' @param boot For `"graph"` and `"mechanisms"`, `NULL` or a [crl_boot()] of the fit.
#' @param ... Not used.
#' @return `autoplot()`: a ggplot object. `plot()`: the same, invisibly.
#' @section Errors:
#' `ebcrl_error_truth` if `type = "env"` comes without `truth`, `ebcrl_error_method` for scores of a
#' g fit or mechanisms of an f fit, `ebcrl_error_range` where there is nothing to draw: no
#' iterations (`max_iter = 0`, or a closed form), or no latent with a parent; `ebcrl_error_missing` for
#' `type = "check"` of rows with missing entries.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' fit <- fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag)
#' plot(fit)
#' plot(fit, type = "graph")
#' plot(fit, type = "domains")
#' @export
autoplot.crl_fit <- function(object,
                             type = c("effects", "graph", "domains", "latents", "loadings",
                                      "scores", "mechanisms", "env", "convergence", "check"),
                             truth = NULL, bayes = NULL, rows = 60, level = 0.9, boot = NULL,
                             ...) {
  types <- c("effects", "graph", "domains", "latents", "loadings", "scores", "mechanisms", "env",
             "convergence", "check")
  type <- check_choice(type, types, "type")
  check_dots_empty(...)
  object <- check_fit(object, rows = type %in% c("scores", "graph"))
  boot <- check_boot_of(boot, object)
  if (type == "mechanisms" && !is.null(boot)) {
    return(autoplot(boot, "mechanisms"))
  }
  switch(type,
    graph = plot_fit_graph(check_causal(object, "autoplot"), boot),
    domains = plot_by_domain(object$latents, object$data, "Latents by domain: posterior means"),
    effects = plot_effects(fit_shifts(object)),
    convergence = plot_convergence(object),
    check = plot_check(object),
    loadings = plot_loadings(object),
    latents = plot_latents(object, truth, check_number(rows, "rows", min = 1, integer = TRUE),
                           check_level(level)),
    scores = plot_scores(check_method(object, "f", "type = \"scores\"")),
    mechanisms = plot_mechanisms(check_method(
      object, "g", "type = \"mechanisms\"",
      hint = "For any fit, {.code boot = crl_boot(fit)} draws those that the bootstrap fits."
    )),
    env = plot_env(env_errors(list("this fit" = object), needs_truth(truth)), bayes, truth)
  )
}

#' @rdname autoplot.crl_fit
#' @export
plot.crl_fit <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' Plot of the errors of baselines by domain
#'
#' The right column of Figure 3 of the paper: relative mean squared error of the latents
#' (equation 7.2) by domain and method. The axis is logarithmic where the largest error is more than
#' ten times the smallest.
#'
#' @param object,x A `crl_baselines`, from [crl_baselines()].
#' @param truth A [sim_crl()] object, or what else [rel_mse()] takes as one. Needed.
#' @param type `"env"`, the only plot there is.
#' @param bayes `NULL`, or a [bayes_latents()] result: the Bayes optimum is drawn as a bar across
#'   each domain.
#' @param ... Not used.
#' @return `autoplot()`: a ggplot object. `plot()`: the same, invisibly.
#' @section Errors:
#' `ebcrl_error_truth` if `truth` is not given or not one of these baselines' data, `ebcrl_error_range`
#' for another `type`.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' baselines <- crl_baselines(sim, methods = c("true", "empty", "no_shrinkage"))
#' plot(baselines, truth = sim, bayes = bayes_latents(sim, draws = 500))
#' @export
autoplot.crl_baselines <- function(object, truth = NULL, type = "env", bayes = NULL, ...) {
  check_choice(type, "env", "type")
  check_dots_empty(...)
  plot_env(env_errors(object, needs_truth(truth)), bayes, truth)
}

#' @rdname autoplot.crl_baselines
#' @export
plot.crl_baselines <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' Plot of a comparison
#'
#' Differences of the held-out loss to that of the best model, with intervals. Rows of the
#' comparison can be left out first, such as `comparison[1:3, ]`, where bad models stretch the axis.
#'
#' @param object,x A `crl_comparison`, from [crl_compare()].
#' @param order `"loss"`: the best model on top. `"given"`: models in the order in which they were
#'   given.
#' @param level Probability of the normal intervals, of each difference by itself.
#' @param ... Not used.
#' @return `autoplot()`: a ggplot object. `plot()`: the same, invisibly. The best model is a
#'   diamond; models with failed folds are hollow, models without any refit are left out. If none
#'   is left, an error of class `ebcrl_error_range`.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 100, p = 10)
#' baselines <- crl_baselines(sim, methods = c("true", "empty", "pooled"))
#' plot(crl_compare(baselines, folds = 3))
#' @export
autoplot.crl_comparison <- function(object, order = c("loss", "given"), level = 0.95, ...) {
  check_dots_empty(...)
  order <- check_choice(order, c("loss", "given"), "order")
  level <- check_level(level)
  if (all(is.na(object$difference))) {
    found <- if (nrow(object) == 0L) "It has no rows." else "No refit of these models succeeded."
    abort_input(c("{.arg object} must have a model with a difference to draw.", "x" = found),
                "range")
  }
  plot_comparison(tidy(object), if (order == "given") unique(attr(object, "folds")$model), level)
}

#' @rdname autoplot.crl_comparison
#' @export
plot.crl_comparison <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' @noRd
print_plot <- function(plot) {
  print(plot)
  invisible(plot)
}

#' @noRd
needs_truth <- function(truth, call = rlang::caller_env()) {
  if (is.null(truth)) {
    abort_input(c("{.arg truth} must be given for {.code type = \"env\"}.", "x" = "It is NULL.",
                  "i" = "Errors need the true latents, such as a {.fn sim_crl} object."), "truth",
                call = call)
  }
  truth
}

# Convergence -------------------------------------------------------------------------------------

#' @noRd
plot_convergence.crl_fit_f <- function(fit) {
  if (fit$iterations == 0L) {
    abort_input(c("There are no iterations to draw.", "x" = "The fit has {.code max_iter = 0}."),
                "range", call = rlang::caller_env())
  }
  lines <- convergence_lines(fit)
  changes <- lines[!is.na(lines$quantity), ]
  plot <- ggplot2::ggplot(lines, ggplot2::aes(.data$iteration, .data$value))
  if (fit$iterations > 1L) {
    plot <- plot +
      ggplot2::geom_line(data = lines[is.na(lines$quantity), ], colour = "grey20") +
      ggplot2::geom_line(ggplot2::aes(colour = .data$quantity, linetype = .data$quantity),
                         data = changes)
  }
  if (fit$iterations <= 30L) {
    plot <- plot + ggplot2::geom_point(size = 1, colour = "grey20")
  }
  if (fit$control$tol > 0 && nrow(changes) > 0L) {
    tolerance <- tibble::tibble(panel = changes$panel[1L], value = log10(fit$control$tol))
    plot <- plot + ggplot2::geom_hline(ggplot2::aes(yintercept = .data$value), data = tolerance,
                                       linetype = "dotted", colour = "grey20")
  }
  plot +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), ncol = 1L, scales = "free_y") +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    scale_y_trace(distinct_labels) +
    ggplot2::scale_colour_manual(values = okabe_ito(c("blue", "green", "vermillion", "purple"))) +
    ggplot2::scale_linetype_manual(values = c("solid", "dotdash", "dashed", "longdash")) +
    ggplot2::labs(title = "Convergence", subtitle = in_lines(describe_convergence(fit)[1L]),
                  x = "Iteration", y = NULL, colour = NULL, linetype = NULL) +
    ggplot2::guides(colour = ggplot2::guide_legend(nrow = 2L),
                    linetype = ggplot2::guide_legend(nrow = 2L)) +
    theme_trace()
}

#' The axis of a trace: few labels, which do not overlap, and points clear of the border
#' @noRd
scale_y_trace <- function(labels = ggplot2::waiver()) {
  ggplot2::scale_y_continuous(n.breaks = 4L, labels = labels,
                              expand = ggplot2::expansion(mult = 0.12),
                              guide = ggplot2::guide_axis(check.overlap = TRUE))
}

#' Panels of traces are low: small labels
#' @noRd
theme_trace <- function() {
  theme_crl() + ggplot2::theme(axis.text.y = ggplot2::element_text(size = 6),
                               panel.spacing.y = grid::unit(0.5, "mm"))
}

#' Breaks in as few digits as tell them apart: what has all but converged moves in the last ones
#' @noRd
distinct_labels <- function(breaks) {
  shown <- breaks[!is.na(breaks)]
  tells_apart <- function(digits) !anyDuplicated(format(shown, digits = digits))
  digits <- Find(tells_apart, 7:15, nomatch = 15L)
  ifelse(is.na(breaks), NA, format(breaks, digits = digits, trim = TRUE))
}

#' The trace in long form: iteration, value, panel, and for changes the quantity that changed
#' @noRd
convergence_lines <- function(fit) {
  trace <- fit$trace
  pairs <- fit$data$n * fit$data$d
  panels <- c("Noise variance", "Score-matching loss a row",
              if (fit$control$tol > 0) "Change (log10; dotted: tolerance)" else "Change (log10)",
              "Floored variances (%)")
  series <- function(panel, value, quantity = NA_character_) {
    tibble::tibble(iteration = trace$iteration, value = value, panel = panels[panel],
                   quantity = quantity)
  }
  quantities <- c("of mixing matrix", "of noise variance", "of latents", "left to the limit")
  # relative distances above 1 say nothing
  log_change <- function(change) log10(ifelse(change > 0 & change <= 1, change, NA))
  lines <- rbind(series(1L, trace$sigma2), series(2L, trace$loss),
                 series(3L, log_change(trace$change_mixing), quantities[1L]),
                 series(3L, log_change(trace$change_sigma2), quantities[2L]),
                 series(3L, log_change(trace$change_latents), quantities[3L]),
                 series(3L, log_change(trace$remaining), quantities[4L]),
                 if (any(trace$floored > 0)) series(4L, 100 * trace$floored / pairs))
  lines <- lines[!is.na(lines$value), ]
  lines$panel <- factor(lines$panel, panels[panels %in% lines$panel])
  lines$quantity <- factor(lines$quantity, quantities)
  lines
}

# Loadings ----------------------------------------------------------------------------------------

#' @noRd
plot_loadings <- function(fit) {
  loadings <- tidy_mixing(fit)
  loadings$latent <- factor(loadings$latent, fit$data$latent_names)
  if (fit$data$p > 40L) strongest_loadings(loadings) else loadings_map(loadings)
}

#' @noRd
loadings_map <- function(loadings) {
  loadings$feature <- factor(loadings$feature, rev(unique(loadings$feature)))
  largest <- max(abs(loadings$estimate))
  ggplot2::ggplot(loadings, ggplot2::aes(.data$latent, .data$feature, fill = .data$estimate)) +
    ggplot2::geom_tile(colour = "white", linewidth = 0.3) +
    ggplot2::scale_fill_gradient2(low = okabe_ito("blue"), mid = "white",
                                  high = okabe_ito("vermillion"), limits = c(-largest, largest)) +
    ggplot2::scale_x_discrete(expand = c(0, 0), guide = axis_of(levels(loadings$latent), 1.4),
                              labels = function(names) distinct_names(names, letters_for(16L))) +
    scale_y_names(expand = c(0, 0)) +
    ggplot2::labs(title = "Mixing matrix", x = "Latent", y = "Feature", fill = "Loading") +
    theme_crl() + theme_bar() +
    ggplot2::theme(axis.text.y = ggplot2::element_text(
      size = if (nlevels(loadings$feature) > 20L) 6 else 7.2
    ))
}

#' The largest |loadings| of each latent, largest on top
#' @noRd
strongest_loadings <- function(loadings, most = if (nlevels(loadings$latent) > 4L) 5L else 10L) {
  columns <- panel_columns(nlevels(loadings$latent))
  rank <- stats::ave(-abs(loadings$estimate), loadings$latent, FUN = order_of)
  shown <- loadings[rank <= most, ]
  shown <- shown[order(shown$latent, abs(shown$estimate)), ]
  # panels have axes of their own: a feature may be in several
  key <- paste(shown$latent, shown$feature, sep = "\r")
  shown$key <- factor(key, key)
  ggplot2::ggplot(shown, ggplot2::aes(.data$estimate, .data$key)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey60", linewidth = 0.3) +
    ggplot2::geom_segment(ggplot2::aes(x = 0, xend = .data$estimate, yend = .data$key),
                          colour = okabe_ito("blue"), linewidth = 0.9) +
    ggplot2::facet_wrap(ggplot2::vars(.data$latent), scales = "free_y", ncol = columns,
                        labeller = long_names(columns)) +
    scale_y_features(columns) +
    scale_x_few(if (columns > 2L) 3L else 4L) +
    ggplot2::labs(title = "Mixing matrix",
                  subtitle = paste("The", most, "largest loadings of each latent"),
                  x = "Loading", y = "Feature") +
    theme_crl() + theme_panels(columns) + theme_features()
}

#' Names of features that stand in several panels, in keys "latent\\rfeature"
#' @noRd
scale_y_features <- function(columns) {
  ggplot2::scale_y_discrete(
    labels = function(key) {
      short_names(sub("^.*\r", "", key), letters_for(c(20L, 13L, 9L, 7L)[columns]))
    },
    guide = ggplot2::guide_axis(check.overlap = TRUE)
  )
}

#' Small names of features; titles of panels end with them, where names leave little room for panels
#' @noRd
theme_features <- function() {
  ggplot2::theme(axis.text.y = ggplot2::element_text(size = 6),
                 strip.text = ggplot2::element_text(hjust = 1))
}

#' @noRd
order_of <- function(x) rank(x, ties.method = "first")

# Latents -----------------------------------------------------------------------------------------

#' @noRd
plot_latents <- function(fit, truth, rows, level) {
  points <- latent_points(fit, spaced_rows(fit$data, rows), truth)
  ends <- interval_ends(points$mean, points$sd, level)
  domains <- stats::aggregate(position ~ domain, points, range)
  between <- domains$position[-1L, 1L] - 0.5
  columns <- if (fit$data$d <= 2L) 1L else panel_columns(fit$data$d)
  # below each of several columns there is no room for many names
  numbered <- columns > 2L && fit$data$n_domains > 10L
  names <- if (numbered) seq_along(fit$data$env_names) else as.character(domains$domain)
  plot <- ggplot2::ggplot(points, ggplot2::aes(.data$position, .data$mean, colour = .data$state)) +
    ggplot2::geom_vline(xintercept = between, colour = "grey80", linewidth = 0.3) +
    ggplot2::geom_linerange(ggplot2::aes(ymin = ends$lwr, ymax = ends$upr), linewidth = 0.5) +
    ggplot2::geom_point(size = if (columns > 1L) 0.6 else 1)
  if (!is.null(truth)) {
    plot <- plot + ggplot2::geom_point(ggplot2::aes(y = .data$truth), shape = 4, size = 1.2,
                                       colour = "black")
  }
  plot +
    ggplot2::facet_wrap(ggplot2::vars(.data$latent), ncol = columns, scales = "free_y",
                        labeller = long_names(columns)) +
    ggplot2::scale_x_continuous(breaks = rowMeans(domains$position),
                                labels = function(breaks) distinct_names(names, letters_for(16L)),
                                expand = ggplot2::expansion(add = 0.6),
                                guide = axis_of(names, columns)) +
    scale_y_few() + scale_colour_state() +
    ggplot2::labs(title = "Latents: posterior means",
                  subtitle = paste0("Bars: ", format(100 * level), "% intervals",
                                    if (!is.null(truth)) "; crosses: true latents"),
                  x = paste(if (numbered) "Domains in their order" else "Domain", "(sampled rows)"),
                  y = "Latent",
                  colour = "The latent is") +
    theme_crl() + theme_panels(columns) +
    ggplot2::theme(panel.grid.major.x = ggplot2::element_blank(),
                   axis.ticks.x = ggplot2::element_blank())
}

#' Evenly spaced rows of each domain, about `rows` in all and at least one a domain
#' @noRd
spaced_rows <- function(data, rows) {
  each <- max(1L, rows %/% data$n_domains)
  of_domain <- split(seq_len(data$n), data$env)
  unlist(lapply(of_domain, function(at) {
    at[unique(round(seq(1, length(at), length.out = min(each, length(at)))))]
  }), use.names = FALSE)
}

#' Posterior moments of some rows in long form, with target state and (if given) aligned truth
#' @noRd
latent_points <- function(fit, rows, truth) {
  data <- fit$data
  codes <- data$env[rows]
  long <- function(values) as.vector(values[rows, , drop = FALSE])
  points <- tibble::tibble(
    position = rep(seq_along(rows), data$d),
    domain = factor(rep(data$env_names[codes], data$d), data$env_names),
    latent = factor(rep(data$latent_names, each = length(rows)), data$latent_names),
    state = state_factor(as.vector(data$targets[codes, , drop = FALSE])),
    mean = long(fit$latents), sd = long(fit$latents_sd)
  )
  if (!is.null(truth)) {
    points$truth <- long(truth_like(fit, truth))
  }
  points
}

#' True latents in the order and with the signs of the fit
#' @noRd
truth_like <- function(fit, truth) {
  truth <- check_truth(truth, needs_mixing = TRUE)
  check_same_shape(fit$latents, truth$z, "matrix of latents")
  apply_alignment(truth$z, align_latents(truth$mixing, fit$mixing))
}

# Scores ------------------------------------------------------------------------------------------

#' @noRd
plot_scores <- function(fit) {
  engine <- training_fit(fit)
  nodes <- seq_len(fit$data$d) # the engine's other latents are nuisance factors
  sample <- score_sample(engine)
  curves <- do.call(rbind, lapply(nodes, score_curves, fit = engine, sample = sample))
  rug <- function(rows, sides) {
    ggplot2::geom_rug(data = rows, ggplot2::aes(.data$y, colour = .data$state), sides = sides,
                      alpha = 0.25, linewidth = 0.3, inherit.aes = FALSE)
  }
  columns <- panel_columns(fit$data$d)
  data <- score_rug(fit$data$latent_names, sample)
  by_state <- split(data, data$state)
  ggplot2::ggplot(curves, ggplot2::aes(.data$y, .data$score, colour = .data$state)) +
    ggplot2::geom_hline(yintercept = 0, colour = "grey60", linewidth = 0.3) +
    ggplot2::geom_line(linewidth = 0.8) +
    rug(by_state[["not targeted"]], "b") +
    rug(by_state[["targeted"]], "t") +
    ggplot2::facet_wrap(ggplot2::vars(.data$node), scales = "free", ncol = columns,
                        labeller = long_names(columns)) +
    scale_x_few() + scale_y_few() + scale_colour_state() +
    ggplot2::labs(title = "Fitted score components",
                  subtitle = in_lines(paste0(if (needs_all_targets(fit)) {
                    "Other latents at medians, most frequent targets"
                  } else {
                    "Parents at their medians"
                  }, "; rugs: the data of each state")),
                  x = "Own pseudo-latent y", y = "Score component s", colour = "The latent is") +
    theme_crl() + theme_panels(columns)
}

#' Pseudo-latents of up to 2000 evenly spaced rows, with their target states
#' @param fit As its engine saw it: training_fit().
#' @return list(y = m x d, state = m x d integer, group = m, the target set of a row)
#' @noRd
score_sample <- function(fit) {
  rows <- spaced_rows(fit$data, 2000L)
  codes <- fit$data$env[rows]
  step <- estep(fit$data$x[rows, , drop = FALSE], codes, fit$data$targets, fit)
  list(y = step$y, state = fit$data$targets[codes, , drop = FALSE],
       group = target_groups(fit$data$targets)[codes])
}

#' @noRd
needs_all_targets <- function(fit) {
  !is.null(fit$score$reference) || is_joint(fit)
}

#' The curves of one node, one for each target state that has rows
#'
#' With a Gaussian reference, or of a Markov score, s_node depends on other latents than the parents
#' and on the whole combination of targets: that of most rows in the state is shown.
#' @noRd
score_curves <- function(node, fit, sample, points = 101L) {
  whole <- needs_all_targets(fit)
  held <- if (whole) seq_len(fit$data$d)[-node] else fit$score$parents[[node]]
  curve <- function(state) {
    rows <- sample$state[, node] == state
    if (!any(rows)) {
      return(NULL)
    }
    group <- which.max(tabulate(sample$group[rows]))
    if (whole) {
      rows <- rows & sample$group == group
    }
    own <- range(sample$y[rows, node])
    at <- matrix(0, points, fit$data$d)
    at[, node] <- seq(own[1L], own[2L], length.out = points)
    at[, held] <- rep(apply(sample$y[rows, held, drop = FALSE], 2L, stats::median), each = points)
    targets <- fit$data$targets[match(group, target_groups(fit$data$targets)), , drop = FALSE]
    score <- score_at(at, targets, fit)[, node]
    tibble::tibble(y = at[, node], score = score, state = state_factor(state),
                   node = factor(fit$data$latent_names[node], fit$data$latent_names))
  }
  rbind(curve(0L), curve(1L))
}

#' The score of pseudo-latents (m x d) under targets of the fit (1 x d): the engine's E-step under
#' O = I
#' @noRd
score_at <- function(y, targets, fit) {
  fit$orthonormal <- diag(fit$data$d)
  fit$scale <- rep(1, fit$data$d)
  estep(y, rep(1L, nrow(y)), targets, fit)$score
}

#' @noRd
score_rug <- function(latents, sample) {
  shown <- seq_along(latents)
  tibble::tibble(y = as.vector(sample$y[, shown]),
                 state = state_factor(as.vector(sample$state[, shown])),
                 node = factor(rep(latents, each = nrow(sample$y)), latents))
}

# Errors by domain --------------------------------------------------------------------------------

#' Errors of fits by domain: method (factor), env (factor), rel_mse
#' @noRd
env_errors <- function(fits, truth) {
  errors <- lapply(unclass(fits), rel_mse, truth = truth, by = "env")
  tibble::tibble(method = factor(rep(names(fits), vapply(errors, nrow, 0L)), names(fits)),
                 env = unlist(lapply(errors, `[[`, "env"), use.names = FALSE),
                 rel_mse = unlist(lapply(errors, `[[`, "rel_mse"), use.names = FALSE))
}

#' @noRd
plot_env <- function(errors, bayes, truth, call = rlang::caller_env()) {
  check_bayes(bayes, call)
  style <- method_style(levels(errors$method))
  levels(errors$method) <- style$label
  optimum <- if (!is.null(bayes)) rel_mse(bayes, truth, by = "env")
  named <- length(style$label) > 1L || !is.null(optimum)
  plot <- ggplot2::ggplot(errors, ggplot2::aes(.data$env, .data$rel_mse))
  if (!is.null(optimum)) {
    plot <- plot + ggplot2::geom_crossbar(
      ggplot2::aes(ymin = .data$rel_mse, ymax = .data$rel_mse, linetype = "Bayes optimum"),
      data = optimum, width = 0.8, linewidth = 0.3, colour = "grey20", key_glyph = "path")
  }
  plot +
    ggplot2::geom_point(ggplot2::aes(colour = .data$method, shape = .data$method), size = 2.4,
                        position = ggplot2::position_dodge(width = 0.7)) +
    ggplot2::scale_colour_manual(values = stats::setNames(style$colour, style$label)) +
    ggplot2::scale_shape_manual(values = stats::setNames(style$shape, style$label)) +
    ggplot2::scale_linetype_manual(values = "solid") +
    ggplot2::scale_x_discrete(guide = axis_of(levels(errors$env)),
                              labels = function(names) distinct_names(names, letters_for(16L))) +
    scale_y_error(c(errors$rel_mse, optimum$rel_mse)) +
    ggplot2::labs(title = "Error of the latents by domain", x = "Domain", colour = NULL,
                  shape = NULL, linetype = NULL) +
    (if (named) legend_columns() else ggplot2::guides(colour = "none", shape = "none")) +
    theme_crl() + theme_many(nlevels(errors$env), "x")
}

#' Colour and shape of each method, the same in every figure; a single fit goes under its own name
#' @noRd
method_style <- function(methods) {
  own_name <- !methods %in% baseline_names()
  at <- match(methods, baseline_names(), nomatch = 1L)
  list(label = ifelse(own_name, methods, baseline_labels(methods)),
       colour = okabe_ito(c("blue", "green", "orange", "purple", "sky", "vermillion")[at]),
       shape = c(16L, 17L, 15L, 18L, 4L, 8L)[at])
}

#' From 0, or logarithmic where the largest error is more than ten times the smallest
#' @noRd
scale_y_error <- function(errors) {
  if (max(errors) > 10 * min(errors)) {
    return(ggplot2::scale_y_log10("Relative MSE\n(log scale)", breaks = log_breaks,
                                  labels = plain_labels))
  }
  ggplot2::scale_y_continuous("Relative MSE", limits = c(0, NA),
                              expand = ggplot2::expansion(mult = c(0, 0.05)))
}

#' Each number in as few digits as it needs
#' @noRd
plain_labels <- function(breaks) {
  vapply(breaks, format, "", digits = 6L, scientific = FALSE, drop0trailing = TRUE)
}

#' 1, 2 and 5 times the powers of ten
#' @noRd
log_breaks <- function(limits) {
  decades <- seq(floor(log10(limits[1L])), ceiling(log10(limits[2L])))
  as.vector(outer(c(1, 2, 5), 10^decades))
}

# Comparison --------------------------------------------------------------------------------------

#' @noRd
plot_comparison <- function(table, models, level) {
  table <- table[!is.na(table$difference), ]
  table$model <- factor(table$model, rev(models %||% table$model))
  table$half <- stats::qnorm((1 + level) / 2) * table$se_difference
  best <- table$difference == 0 & table$se_difference == 0
  table$kind <- ifelse(table$failed_folds > 0L, "failed", ifelse(best, "best", "other"))
  ggplot2::ggplot(table, ggplot2::aes(.data$difference, .data$model)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey60", linewidth = 0.3) +
    ggplot2::geom_linerange(ggplot2::aes(xmin = .data$difference - .data$half,
                                         xmax = .data$difference + .data$half),
                            colour = okabe_ito("blue"), linewidth = 0.6) +
    ggplot2::geom_point(ggplot2::aes(shape = .data$kind, size = .data$kind), fill = "white",
                        colour = okabe_ito("blue")) +
    ggplot2::scale_shape_manual(values = c(best = 18L, other = 16L, failed = 21L),
                                guide = "none") +
    ggplot2::scale_size_manual(values = c(best = 4, other = 2.4, failed = 2.4), guide = "none") +
    ggplot2::labs(title = "Held-out score-matching loss",
                  subtitle = in_lines(paste0(
                    "Diamond: the best. Bars: ", format(100 * level),
                    "% intervals of the difference",
                    if (any(table$kind == "failed")) "; hollow: refits failed"
                  )), x = "Loss a row less that of the best", y = NULL) +
    scale_y_names(26L) +
    theme_crl()
}

# Shared ------------------------------------------------------------------------------------------

#' @noRd
theme_crl <- function() {
  # at 80 mm width, a column of a journal, titles and legends fit
  ggplot2::theme_bw(base_size = 9) +
    ggplot2::theme(
      plot.title = ggplot2::element_text(size = 10.5),
      plot.subtitle = ggplot2::element_text(size = 8),
      legend.title = ggplot2::element_text(size = 8), legend.text = ggplot2::element_text(size = 8),
      legend.key.size = grid::unit(4, "mm"),
      panel.grid.minor = ggplot2::element_blank(),
      panel.grid.major = ggplot2::element_line(colour = "grey92", linewidth = 0.3),
      strip.background = ggplot2::element_blank(),
      strip.text = ggplot2::element_text(hjust = 0, face = "bold"), strip.clip = "off",
      plot.title.position = "plot",
      panel.spacing.x = grid::unit(4, "mm"),
      legend.position = "bottom", legend.box = "vertical",
      # legends wider than the panels go on to the left, below the names on the axis
      legend.justification = "right", legend.box.just = "left",
      legend.spacing.y = grid::unit(0, "pt"),
      legend.margin = ggplot2::margin(0, 0, 0, 0),
      # the last label of an axis may reach beyond its panel
      plot.margin = ggplot2::margin(5.5, 8, 5.5, 5.5)
    )
}

#' Panels side by side, of which the picture has so many
#' @noRd
panel_columns <- function(panels) {
  if (panels <= 1L) 1L else if (panels <= 4L) 2L else if (panels <= 9L) 3L else 4L
}

#' Titles of panels in lines that fit so many panels side by side
#' @noRd
long_names <- function(columns = 2L) {
  at_80 <- c(40L, 21L, 12L, 11L)[columns]
  function(labels) {
    width <- letters_for(at_80)
    lapply(labels, function(names) {
      vapply(as.character(names), function(name) {
        parts <- strsplit(broken_name(name, width), "\n", fixed = TRUE)[[1L]]
        if (length(parts) > 2L) short_names(name, width) else
          paste(short_names(parts, width), collapse = "\n")
      }, "", USE.NAMES = FALSE)
    })
  }
}

#' Small text, and little room between panels, where there are many
#' @noRd
theme_panels <- function(columns) {
  if (columns > 2L) {
    ggplot2::theme(strip.text = ggplot2::element_text(size = if (columns > 3L) 6 else 6.5,
                                                      face = if (columns > 3L) "plain" else "bold",
                                                      margin = ggplot2::margin(1, 0, 2, 0)),
                   axis.text = ggplot2::element_text(size = 6),
                   panel.spacing.x = grid::unit(2.5, "mm"), panel.spacing.y = grid::unit(0.5, "mm"))
  }
}

#' Small names on an axis where there are many
#' @noRd
theme_many <- function(names, axis = "y") {
  if (names > 10L) {
    do.call(ggplot2::theme, stats::setNames(list(ggplot2::element_text(size = 6)),
                                            paste0("axis.text.", axis)))
  }
}

#' Letters for which there is room, where so many have room at 80 mm: more on a wider device, which
#' is open by the time that labels are made
#' @noRd
letters_for <- function(letters) {
  width <- if (grDevices::dev.cur() > 1L) 25.4 * grDevices::dev.size("in")[1L] else 80
  floor(letters * max(1, width / 80))
}

#' Names of at most so many letters, without their middle where they are longer
#' @noRd
short_names <- function(names, most = 20L) {
  names <- as.character(names)
  head <- ceiling((most - 2) / 2)
  # dots that every device has: pdf() has no letter for an ellipsis
  short <- paste0(substr(names, 1L, head), "..", substring(names, nchar(names) - (most - 3 - head)))
  ifelse(!is.na(names) & nchar(names) > most, short, names)
}

#' The same, but left as they are where they would be alike
#' @noRd
distinct_names <- function(names, most) {
  short <- short_names(names, most)
  if (length(unique(short)) < length(unique(names))) names else short
}

#' Axes with few numbers, which do not overlap
#' @noRd
scale_x_few <- function(breaks = 4L) {
  ggplot2::scale_x_continuous(n.breaks = breaks,
                              guide = ggplot2::guide_axis(check.overlap = TRUE))
}

#' @noRd
scale_y_few <- function() {
  ggplot2::scale_y_continuous(n.breaks = 4L, guide = ggplot2::guide_axis(check.overlap = TRUE))
}

#' What a colour bar to the right of a plot needs
#' @noRd
theme_bar <- function() {
  ggplot2::theme(legend.position = "right", legend.justification = "centre",
                 legend.spacing.y = grid::unit(1.5, "mm"))
}

#' Text in lines that fit a plot of usual width
#' @noRd
in_lines <- function(text, width = 50L) {
  paste(strwrap(text, width), collapse = "\n")
}

#' Colours of Okabe and Ito that readers with any colour vision can tell apart
#' @noRd
okabe_ito <- function(names) {
  colours <- c(blue = "#0072B2", vermillion = "#D55E00", green = "#009E73", orange = "#E69F00",
               purple = "#CC79A7", sky = "#56B4E9")
  unname(colours[names])
}

#' @noRd
state_factor <- function(state) {
  factor(c("not targeted", "targeted")[state + 1L], c("not targeted", "targeted"))
}

#' @noRd
state_colours <- function() {
  c("not targeted" = okabe_ito("blue"), "targeted" = okabe_ito("vermillion"))
}

#' @noRd
scale_colour_state <- function() {
  ggplot2::scale_colour_manual(values = state_colours())
}

#' An axis of names, which are turned where they would run into each other
#' @noRd
axis_of <- function(names, columns = 1L) {
  crowded <- columns * sum(nchar(short_names(names, 16L)) + 1L) > 60L
  ggplot2::guide_axis(angle = if (crowded) 90, check.overlap = TRUE)
}

#' An upright axis of names, of which those are left out that would overlap others
#' @param ... For scale_y_discrete().
#' @noRd
scale_y_names <- function(most = 20L, ...) {
  ggplot2::scale_y_discrete(labels = function(names) distinct_names(names, letters_for(most)),
                            guide = ggplot2::guide_axis(check.overlap = TRUE), ...)
}

#' Axis breaks for counts
#' @noRd
whole_breaks <- function(limits) {
  unique(round(pretty(limits)))
}
