# Plots of experiments: errors by method, along a variable that settings vary, and by domain.

#' Plots of an experiment
#'
#' Failed cells are left out (the subtitle counts them). Methods stand in the order of the
#' experiment and have the same colour and shape in every plot; baselines those they have elsewhere.
#'
#' @param object,x A `crl_experiment`, from [crl_experiment()], or some of its rows.
#' @param type What is drawn:
#'   * `"box"`: boxplots of the runs by method, a panel a setting, with the runs as points. Fewer
#'     than five runs are drawn as points and a bar at the median only.
#'   * `"sweep"`: the median over runs along a variable that the settings vary, with a band from the
#'     first to the third quartile.
#'   * `"env"`: errors by domain: medians over seeds, with bars from the first to the third quartile
#'     if there are several seeds, a panel a setting.
#' @param metric Column of the experiment that is drawn, such as `"rel_mse"` (the default),
#'   `"rel_mse_pooled"`, `"frobenius_error"`, `"ratio"`, `"coverage"`, `"seconds"`. For `"env"`, one
#'   of the first two.
#' @param variable For `"sweep"`, the column on the horizontal axis; by default the only one that
#'   varies. Other columns that vary make panels.
#' @param log Logarithmic axis of the metric? `NULL` (the default): for errors whose largest value
#'   drawn is more than ten times the smallest.
#' @param ... Not used.
#' @return `autoplot()`: a ggplot object. `plot()`: the same, invisibly. The Bayes optimum, where
#'   the experiment has it, is a dashed line, by domain a black bar.
#' @section Errors:
#' `ebcrl_error_range` for columns that the experiment does not have, or for `"sweep"` if several
#' columns vary and `variable` does not say which, or none does; `ebcrl_error_shape` if no cell
#' succeeded.
#' @examples
#' experiment <- crl_experiment(
#'   settings = data.frame(d = 2, n = c(60, 120), p = 10), methods = c("true", "no_shrinkage"),
#'   seeds = 1
#' )
#' plot(experiment)
#' sweep <- autoplot(experiment, type = "sweep", variable = "n")
#' @export
autoplot.crl_experiment <- function(object, type = c("box", "sweep", "env"), metric = "rel_mse",
                                    variable = NULL, log = NULL, ...) {
  check_dots_empty(...)
  type <- check_choice(type, c("box", "sweep", "env"), "type")
  check_metric(metric, object, type)
  if (!is.null(log)) check_flag(log, "log")
  failed <- sum(!is.na(object$error))
  cells <- tidy(object)
  cells <- cells[is.na(cells$error), ]
  if (nrow(cells) == 0L) {
    abort_input(c("{.arg object} must have a cell that succeeded.",
                  "x" = "It has {failed}, all of which failed."), "shape")
  }
  cells$method <- droplevels(cells$method)
  cells$setting <- droplevels(cells$setting)
  plot <- switch(type,
    box = plot_runs(cells, metric, log),
    sweep = plot_sweep(cells, metric, sweep_variable(variable, object), log),
    env = plot_domains(cells, metric, log)
  )
  note <- if (failed > 0L) paste0(count_of(failed, "failed cell"), " left out")
  domains <- if (type == "env") length(unique(plot$data$env)) else 0L
  panels <- if (type == "sweep") nlevels(plot$data$panel) else nlevels(cells$setting)
  plot + ggplot2::labs(subtitle = in_lines(paste(c(plot$labels$subtitle, note), collapse = "; "))) +
    theme_crl() + theme_panels(run_columns(panels)) + theme_many(domains)
}

#' @rdname autoplot.crl_experiment
#' @export
plot.crl_experiment <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' @noRd
check_metric <- function(metric, object, type, call = rlang::caller_env()) {
  numbers <- names(object)[vapply(object, is.numeric, NA)]
  known <- if (type == "env") c("rel_mse", "rel_mse_pooled") else
    setdiff(numbers, c("seed", argument_columns(object)))
  if (!rlang::is_string(metric) || !metric %in% known) {
    abort_input(c("{.arg metric} must be one of {.or {.val {known}}}.",
                  "x" = "It is {describe(metric)}."), "range", call = call)
  }
}

#' The columns with arguments of the settings: those between seed and errors
#' @noRd
argument_columns <- function(object) {
  setdiff(names(object)[seq_len(match("rel_mse", names(object)))], RESULT_COLUMNS)
}

#' @noRd
varying_columns <- function(object) {
  arguments <- argument_columns(object)
  arguments[vapply(object[arguments], function(column) length(unique(column)) > 1L, NA)]
}

#' @noRd
sweep_variable <- function(variable, object, call = rlang::caller_env()) {
  varying <- varying_columns(object)
  numbers <- varying[vapply(varying, function(name) is.numeric(object[[name]]), NA)]
  if (is.null(variable) && length(numbers) == 1L) {
    return(numbers)
  }
  if (!rlang::is_string(variable) || !variable %in% numbers) {
    abort_input(c("{.arg variable} must be a number that the settings vary.",
                  "x" = "It is {describe(variable)}.",
                  "i" = if (length(numbers) > 0L) "Varied are {some(numbers)}." else
                    "None is varied."), "range", call = call)
  }
  variable
}

# Runs --------------------------------------------------------------------------------------------

#' @noRd
plot_runs <- function(cells, metric, log) {
  bayes <- cells[cells$method == "bayes", ]
  shown <- cells[cells$method != "bayes" & is.finite(cells[[metric]]), ]
  style <- experiment_style(shown$method)
  shown$label <- factor(method_labels(as.character(shown$method)), style$label)
  many <- max(table(shown$setting, shown$method)) >= 5L
  # names of methods are read on the vertical axis, first on top
  shown$label <- factor(shown$label, rev(style$label))
  plot <- ggplot2::ggplot(shown, ggplot2::aes(.data[[metric]], .data$label, colour = .data$label))
  runs <- sub(" runs?$", "", runs_words(shown))
  one <- runs == "1"
  if (many) {
    plot <- plot + ggplot2::geom_boxplot(outlier.shape = NA, linewidth = 0.4, width = 0.6)
  } else if (!one) {
    # a bar as high as a box would be, whatever the height of the panel
    plot <- plot + ggplot2::stat_summary(fun = stats::median, fun.min = stats::median,
                                         fun.max = stats::median, geom = "errorbar", width = 0.6,
                                         linewidth = 0.7, orientation = "y")
  }
  words <- if (one) "1 run" else
    paste0("Points: runs (", runs, "); ", if (many) "boxes: quartiles" else "bars: medians")
  plot <- plot +
    ggplot2::geom_point(ggplot2::aes(shape = .data$label), size = if (one) 1.6 else 0.9,
                        alpha = if (one) 1 else 0.5, position = ggplot2::position_jitter(
                          width = 0, height = if (one) 0 else 0.15, seed = 1L
                        )) +
    bayes_line(bayes, metric) +
    style_scales(style) +
    metric_scale(c(shown[[metric]], bayes[[metric]]), metric, log, "x") +
    ggplot2::labs(title = metric_title(metric, "by method"), subtitle = words, y = NULL,
                  linetype = NULL) +
    ggplot2::guides(colour = "none", shape = "none")
  plot + setting_panels(cells)
}

#' The median of the Bayes optimum over runs, in each setting
#' @noRd
bayes_line <- function(bayes, metric) {
  bayes <- bayes[is.finite(bayes[[metric]]), ]
  if (nrow(bayes) == 0L || startsWith(metric, "ratio") || grepl("second", metric)) {
    return(NULL)
  }
  level <- stats::aggregate(stats::setNames(bayes[metric], "level"), bayes["setting"],
                            stats::median)
  list(ggplot2::geom_vline(ggplot2::aes(xintercept = .data$level,
                                        linetype = "Bayes optimum"),
                           data = level, colour = "grey20", linewidth = 0.5, key_glyph = "path"),
       dashed_optimum())
}

#' The dashed line of the Bayes optimum, with a key that is long enough to show it
#' @noRd
dashed_optimum <- function() {
  ggplot2::scale_linetype_manual(values = "dashed", guide = ggplot2::guide_legend(
    keywidth = grid::unit(9, "mm"), order = 2L
  ))
}

#' @noRd
runs_words <- function(cells) {
  runs <- table(droplevels(cells$setting), droplevels(cells$method))
  runs <- range(runs[runs > 0L])
  if (runs[1L] == runs[2L]) count_of(runs[1L], "run") else
    paste(runs[1L], "to", count_of(runs[2L], "run"))
}

#' @noRd
setting_panels <- function(cells) {
  columns <- run_columns(nlevels(cells$setting))
  if (nlevels(cells$setting) > 1L) {
    ggplot2::facet_wrap(ggplot2::vars(.data$setting), ncol = columns,
                        labeller = long_names(columns))
  }
}

#' Few rows of panels: each has a line for every method or domain
#' @noRd
run_columns <- function(settings) {
  if (settings <= 4L) min(settings, 2L) else 3L
}

# Sweeps ------------------------------------------------------------------------------------------

#' @noRd
plot_sweep <- function(cells, metric, variable, log) {
  lines <- sweep_lines(cells[is.finite(cells[[metric]]), ], metric, variable)
  lines$dashed <- lines$method == "bayes"
  style <- experiment_style(lines$method[!lines$dashed])
  bayes <- lines[lines$dashed & !startsWith(metric, "ratio"), ]
  lines <- lines[!lines$dashed, ]
  lines$label <- factor(method_labels(as.character(lines$method)), style$label)
  values <- sort(unique(lines$value))
  plot <- ggplot2::ggplot(lines, ggplot2::aes(.data$value, .data$median)) +
    ggplot2::geom_ribbon(ggplot2::aes(ymin = .data$q1, ymax = .data$q3, fill = .data$label),
                         alpha = 0.2) +
    ggplot2::geom_line(ggplot2::aes(colour = .data$label), linewidth = 0.6) +
    ggplot2::geom_point(ggplot2::aes(colour = .data$label, shape = .data$label), size = 2)
  if (nrow(bayes) > 0L) {
    plot <- plot + ggplot2::geom_line(ggplot2::aes(linetype = "Bayes optimum"),
                                      data = bayes, colour = "grey20", linewidth = 0.5) +
      dashed_optimum()
  }
  plot <- plot + style_scales(style) + sweep_axis(values, variable) +
    metric_scale(c(lines$q1, lines$q3, bayes$median), metric, log) +
    ggplot2::labs(title = in_lines(paste(metric_title(metric, "by"), variable_label(variable)), 42L),
                  subtitle = run_words(runs_words(cells)),
                  colour = NULL, fill = NULL, shape = NULL, linetype = NULL) + legend_columns()
  columns <- run_columns(nlevels(lines$panel))
  if (nlevels(lines$panel) == 1L) plot else
    plot + ggplot2::facet_wrap(ggplot2::vars(.data$panel), ncol = columns,
                               labeller = long_names(columns))
}

#' What is drawn of runs: of one, its value
#' @noRd
run_words <- function(runs) {
  if (runs == "1 run") runs else paste0(runs, "; median and quartiles")
}

#' Median and quartiles by method, value of the variable, and panel (the other columns that vary)
#' @noRd
sweep_lines <- function(cells, metric, variable) {
  others <- setdiff(varying_columns(cells), variable)
  panel <- if (length(others) == 0L) "all" else
    do.call(paste, c(Map(function(name, column) paste(name, "=", column), others, cells[others]),
                     sep = ", "))
  cells$panel <- factor(panel, unique(panel))
  groups <- split(cells, list(cells$method, cells[[variable]], cells$panel), drop = TRUE)
  rows <- lapply(groups, function(part) {
    quartiles <- stats::quantile(part[[metric]], c(0.25, 0.5, 0.75), names = FALSE)
    tibble::tibble(method = part$method[1L], value = part[[variable]][1L], panel = part$panel[1L],
                   q1 = quartiles[1L], median = quartiles[2L], q3 = quartiles[3L])
  })
  do.call(rbind, unname(rows))
}

#' Ticks at the values run, on a log axis where they span more than a factor of ten
#' @noRd
sweep_axis <- function(values, variable) {
  scale <- if (all(values > 0) && max(values) > 10 * min(values)) {
    ggplot2::scale_x_log10
  } else {
    ggplot2::scale_x_continuous
  }
  title <- sub("^(.)", "\\U\\1", variable_label(variable), perl = TRUE)
  scale(title, breaks = values, minor_breaks = NULL,
        guide = ggplot2::guide_axis(check.overlap = TRUE))
}

#' @noRd
variable_label <- function(variable) {
  switch(variable, d = "number of latents", n = "rows a domain", p = "number of features",
         sigma2 = "noise variance", kappa = "slope of the nonlinearity at 0", variable)
}

# Domains -----------------------------------------------------------------------------------------

#' @noRd
plot_domains <- function(cells, metric, log) {
  errors <- domain_quartiles(env_rows(cells), metric)
  bayes <- errors[errors$method == "bayes", ]
  errors <- errors[errors$method != "bayes", ]
  style <- experiment_style(errors$method)
  errors$label <- factor(method_labels(as.character(errors$method)), style$label)
  errors$env <- factor(errors$env, rev(levels(droplevels(errors$env))))
  bayes$env <- factor(bayes$env, levels(errors$env))
  plot <- ggplot2::ggplot(errors, ggplot2::aes(.data$median, .data$env))
  if (any(errors$runs > 1L)) {
    plot <- plot + ggplot2::geom_linerange(
      ggplot2::aes(xmin = .data$q1, xmax = .data$q3, colour = .data$label), linewidth = 0.3,
      alpha = 0.6, show.legend = FALSE
    )
  }
  plot <- plot + ggplot2::geom_point(ggplot2::aes(colour = .data$label, shape = .data$label),
                                     size = 1.4)
  if (nrow(bayes) > 0L) {
    plot <- plot + ggplot2::geom_point(ggplot2::aes(alpha = "Bayes optimum"), bayes, shape = "|",
                                       size = 3, colour = "black") +
      ggplot2::scale_alpha_manual(values = 1, guide = ggplot2::guide_legend(order = 2L))
  }
  columns <- run_columns(nlevels(cells$setting))
  plot + style_scales(style) + scale_y_names(if (columns > 2L) 12L else 20L) +
    metric_scale(c(errors$median, bayes$median), metric, log, "x") +
    ggplot2::labs(title = metric_title(metric, "by domain"), subtitle = domain_words(errors),
                  y = "Domain", colour = NULL, shape = NULL, alpha = NULL) +
    legend_columns() +
    if (nlevels(cells$setting) > 1L) {
      ggplot2::facet_wrap(ggplot2::vars(.data$setting), ncol = columns,
                          scales = domain_scales(errors), labeller = long_names(columns))
    }
}

#' @noRd
domain_quartiles <- function(rows, metric) {
  groups <- split(rows, list(rows$env, rows$method, rows$setting), drop = TRUE)
  quartiles <- lapply(groups, function(part) {
    at <- stats::quantile(part[[metric]], c(0.25, 0.5, 0.75), names = FALSE)
    tibble::tibble(setting = part$setting[1L], method = part$method[1L], env = part$env[1L],
                   runs = nrow(part), q1 = at[1L], median = at[2L], q3 = at[3L])
  })
  do.call(rbind, unname(quartiles))
}

#' One axis for all panels where their domains are the same
#' @noRd
domain_scales <- function(errors) {
  domains <- lapply(split(as.character(errors$env), droplevels(errors$setting)), unique)
  if (all(vapply(domains, setequal, NA, domains[[1L]]))) "fixed" else "free_y"
}

#' @noRd
domain_words <- function(errors) {
  run_words(count_of(max(errors$runs), "run"))
}

# Shared ------------------------------------------------------------------------------------------

#' Label, colour and shape of each method: baselines have their own, others what is left over
#' @noRd
experiment_style <- function(methods) {
  methods <- setdiff(levels(droplevels(factor(methods))), "bayes")
  known <- method_style(baseline_names())
  known$shape <- c(known$shape, 1L, 2L, 0L, 5L, 3L, 6L)
  baseline <- match(methods, baseline_names())
  own <- is.na(baseline)
  left <- setdiff(seq_along(known$shape), baseline)
  at <- baseline
  at[own] <- left[(seq_len(sum(own)) - 1L) %% length(left) + 1L]
  list(label = method_labels(methods), colour = known$colour[(at - 1L) %% 6L + 1L],
       shape = known$shape[at])
}

#' @noRd
style_scales <- function(style) {
  colours <- stats::setNames(style$colour, style$label)
  list(ggplot2::scale_colour_manual(values = colours, aesthetics = c("colour", "fill")),
       ggplot2::scale_shape_manual(values = stats::setNames(style$shape, style$label)))
}

#' @noRd
metric_label <- function(metric) {
  switch(metric,
    rel_mse = "Relative MSE", rel_mse_pooled = "Relative MSE, pooled",
    frobenius_error = "Squared Frobenius error",
    ratio = "Relative MSE / Bayes optimum", ratio_pooled = "Pooled relative MSE / Bayes optimum",
    coverage = "Share in 90 % intervals", sigma2_hat = "Estimated noise variance",
    iterations = "Iterations", seconds = "Seconds", cpu_seconds = "Processor seconds", metric
  )
}

#' @noRd
metric_title <- function(metric, how) {
  about <- switch(metric, rel_mse = , rel_mse_pooled = , ratio = , ratio_pooled =
                    "Error of the latents", frobenius_error = "Error of the mixing matrix",
                  coverage = "Coverage of the latents",
                  metric_label(metric))
  paste(about, how)
}

#' @noRd
spans_decade <- function(values) {
  values <- values[is.finite(values)]
  min(values) > 0 && max(values) > 10 * min(values)
}

#' @noRd
metric_scale <- function(values, metric, log, axis = "y") {
  if (log %||% spans_decade(values)) {
    scale <- if (axis == "y") ggplot2::scale_y_log10 else ggplot2::scale_x_log10
    crowded <- if (axis == "x") ggplot2::guide_axis(check.overlap = TRUE) else ggplot2::waiver()
    title <- paste(metric_label(metric), "(log scale)")
    if (axis == "y") title <- sub(" \\(log", "\n(log", in_lines(title, 25L))
    return(scale(title, breaks = log_breaks,
                 labels = plain_labels, guide = crowded))
  }
  from_zero <- metric != "coverage" && !startsWith(metric, "ratio")
  room <- ggplot2::expansion(mult = c(if (from_zero) 0 else 0.05, 0.05))
  scale <- if (axis == "y") ggplot2::scale_y_continuous else ggplot2::scale_x_continuous
  title <- metric_label(metric)
  scale(if (axis == "y") in_lines(title, 20L) else title, expand = room,
        n.breaks = if (axis == "y") 5L else 4L, guide = ggplot2::guide_axis(check.overlap = TRUE),
        limits = if (from_zero) c(0, NA))
}

#' Legends that fit a column of a journal
#' @noRd
legend_columns <- function() {
  two <- ggplot2::guide_legend(ncol = 2L, order = 1L)
  ggplot2::guides(colour = two, fill = two, shape = two)
}
