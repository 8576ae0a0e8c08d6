# What is in a bootstrap: tables, intervals, plots.

BOOT_TABLES <- c("edges", "mixing", "effects", "mechanisms", "noise")
BOOT_INTERVALS <- c("normal", "percentile")

#' Tables, intervals and plots of a bootstrap
#'
#' @param x,object A `crl_boot`, from [crl_boot()].
#' @param what,parm,type What is listed or drawn: `"edges"` (see [tidy.crl_fit()]), `"mixing"` (the
#'   loadings), `"effects"` (shifts of the latents by domain, in sd; the spread has the error of A in
#'   it, which `tidy(fit, "effects")` leaves out), `"mechanisms"` (values of the curves of
#'   [mechanisms()] at `points` values of the parent) or `"noise"` (noise variances of features).
#' @param conf.level,level Probability of the intervals, each by itself.
#' @param interval `"normal"` (the default): estimate plus and minus a normal quantile times the
#'   standard error. `"percentile"`: quantiles of the replicates; they want more of these.
#' @param most For `autoplot(type = "mixing")`, how many loadings of each latent are drawn.
#' @param ... Not used.
#' @return `tidy()`: a tibble with the columns that name a row (`from`, `to`, `state`; `feature`,
#'   `latent`; `domain`, `term`; `node`, `state`, `parent`, `z`), `estimate` (that of the fit),
#'   `std.error`, `bias` (mean of the replicates less the estimate), `conf.low`, `conf.high`.
#'   `confint()`: a matrix of ends with row names. `vcov()`: covariance matrix of the replicates.
#'   `autoplot()`: a ggplot; `plot()` prints it.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20, nonlinearity = "linear")
#' fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' boot <- crl_boot(fit, times = 20, seed = 1)
#' tidy(boot)
#' confint(boot, "effects")
#' plot(boot)
#' @name crl_boot-methods
NULL

#' @export
print.crl_boot <- function(x, ...) {
  failed <- sum(!is.na(x$errors))
  cat(count_of(length(x$errors), "bootstrap replicate"), " of a fit by method = \"", x$fit$method,
      "\", seed ", whole(x$seed), "\n", sep = "")
  swapped <- sum(x$swapped, na.rm = TRUE)
  low <- apply(x$agreement, 2L, stats::median, na.rm = TRUE)
  write_lines(c(
    switch(x$way, held = "A is held, as in the fit.",
           paste0("Cosine of the columns of A to those of the fit, median: ",
                  paste(names(low), formatC(low, digits = 3L, format = "f"), collapse = ", "), ".")),
    if (failed > 0L) {
      paste0(count_of(failed, "refit"), " failed and ", if (failed == 1L) "is" else "are",
             " left out; the first: ", x$errors[!is.na(x$errors)][1L])
    },
    if (swapped > 0L) {
      paste0("In ", count_of(swapped, "replicate"), " another assignment of latents would match A ",
             "better: the rows hardly tell some latents apart.")
    }
  ))
  edges <- tidy.crl_boot(x)
  if (nrow(edges) > 0L) {
    cat("\nEdges, 95 % intervals:\n")
    print_table(utils::head(edges[c("from", "to", "state", "estimate", "std.error", "conf.low",
                                    "conf.high")], 12L), 3L)
    if (nrow(edges) > 12L) cat(" and ", nrow(edges) - 12L, " more: see tidy()\n", sep = "")
  }
  invisible(x)
}

#' @rdname crl_boot-methods
#' @export
tidy.crl_boot <- function(x, what = c("edges", "mixing", "effects", "mechanisms", "noise"),
                          conf.level = 0.95, # nolint: object_name_linter.
                          interval = c("normal", "percentile"), ...) {
  check_dots_empty(...)
  what <- check_choice(what, BOOT_TABLES, "what")
  level <- check_number(conf.level, "conf.level", min = 0, max = 1, open = c("min", "max"))
  boot_ends(x, what, level, check_choice(interval, BOOT_INTERVALS, "interval"))
}

#' @rdname crl_boot-methods
#' @importFrom stats confint
#' @export
confint.crl_boot <- function(object, parm = c("edges", "mixing", "effects", "mechanisms", "noise"),
                             level = 0.95, interval = c("normal", "percentile"), ...) {
  table <- tidy.crl_boot(object, check_choice(parm, BOOT_TABLES, "parm"), level, interval, ...)
  ends_matrix(table, level)
}

#' @rdname crl_boot-methods
#' @importFrom stats vcov
#' @export
vcov.crl_boot <- function(object, what = c("edges", "mixing", "effects", "mechanisms", "noise"),
                          ...) {
  check_dots_empty(...)
  what <- check_choice(what, BOOT_TABLES, "what")
  values <- boot_values(object, what)
  names <- row_words(values$keys)
  `dimnames<-`(stats::cov(t(values$replicates)), list(names, names))
}

#' Ends of intervals as confint() has them
#' @noRd
ends_matrix <- function(table, level) {
  tails <- c((1 - level) / 2, (1 + level) / 2)
  matrix(c(table$conf.low, table$conf.high), nrow(table), 2L,
         dimnames = list(row_words(table), paste(format(100 * tails, trim = TRUE), "%")))
}

#' What a row is about, in one string
#' @noRd
row_words <- function(table) {
  if (nrow(table) == 0L) {
    return(character())
  }
  keys <- intersect(c("from", "to", "node", "term", "parent", "domain", "feature", "latent", "state",
                      "z"), names(table))
  parts <- lapply(table[keys], function(part) if (is.double(part)) signif(part, 3L) else part)
  if (all(c("from", "to") %in% keys)) {
    parts <- c(list(paste(parts$from, "->", parts$to)), parts[setdiff(keys, c("from", "to"))])
  }
  if ("state" %in% keys) parts$state <- paste0("[", parts$state, "]")
  do.call(paste, unname(parts))
}

# Values ------------------------------------------------------------------------------------------

#' A table of the fit's model and its values in the replicates
#' @return list: `keys` (tibble), `estimate` (k), `replicates` (k x those that succeeded)
#' @noRd
boot_values <- function(boot, what) {
  models <- boot_models(boot)
  grid <- if (what == "mechanisms") curve_grid(boot$model)
  one <- function(model) model_table(model, what, grid, boot$fit)
  table <- one(boot$model)
  values <- vapply(models, function(model) one(model)$estimate, numeric(nrow(table)))
  list(keys = table[setdiff(names(table), "estimate")], estimate = table$estimate,
       replicates = matrix(values, nrow(table), length(models)))
}

#' @noRd
model_table <- function(model, what, grid, fit) {
  switch(what,
    edges = {
      edges <- model_edges(model)
      tibble::tibble(edges[c("from", "to", "state")], estimate = edges$effect)
    },
    mixing = {
      latents <- model$data$latent_names[seq_len(model$kept)]
      tibble::tibble(feature = rep(model$names, length(latents)),
                     latent = rep(latents, each = length(model$names)),
                     estimate = as.vector(model$mixing[, seq_along(latents)]))
    },
    effects = {
      shifts <- fit_shifts(fit)
      tibble::tibble(domain = shifts$domain, term = shifts$latent, estimate = model$shifts)
    },
    mechanisms = curve_values(model, grid),
    noise = tibble::tibble(feature = model$names, estimate = model$noise_var)
  )
}

#' Values of parents at which curves are compared
#' @return list by (node, state) of list(node, state, parents, z (points x parents))
#' @noRd
curve_grid <- function(model, points = 41L) {
  draws <- with_own_draws(function() state_draws(model))
  cells <- cells_of(seq_len(model$kept))
  grid <- Map(function(node, state) {
    rows <- draws$targets[, node] == state
    parents <- active_parents(model, node, state)
    if (!any(rows) || length(parents) == 0L) {
      return(NULL)
    }
    z <- apply(draws$z[rows, parents, drop = FALSE], 2L, function(of) {
      ends <- stats::quantile(of, CURVE_ENDS, names = FALSE)
      seq(ends[1L], ends[2L], length.out = points)
    })
    list(node = node, state = state, parents = parents, z = z,
         middle = colMeans(draws$z[rows, parents, drop = FALSE]))
  }, cells$node, cells$state)
  Filter(Negate(is.null), grid)
}

#' The curves there: a parent's effect plus those of the others at their means in the fit
#' @noRd
curve_values <- function(model, grid) {
  names <- model$data$latent_names
  do.call(rbind, lapply(grid, function(cell) {
    all <- parents_of(model$data$dag, cell$node)
    constant <- cell_constant(model$prior, cell_of(cell$node, cell$state))
    at_middle <- vapply(seq_along(cell$parents), function(k) {
      effect_of(model, cell$node, cell$state, match(cell$parents[k], all), cell$middle[k])
    }, 0)
    do.call(rbind, lapply(seq_along(cell$parents), function(k) {
      value <- effect_of(model, cell$node, cell$state, match(cell$parents[k], all), cell$z[, k])
      tibble::tibble(node = names[cell$node], state = cell$state, parent = names[cell$parents[k]],
                     z = cell$z[, k], estimate = value + sum(at_middle[-k]) + constant)
    }))
  })) %||% tibble::tibble(node = character(), state = integer(), parent = character(),
                          z = numeric(), estimate = numeric())
}

#' @noRd
boot_ends <- function(boot, what, level, interval) {
  values <- boot_values(boot, what)
  ends <- interval_of(values$estimate, values$replicates, level, interval)
  tibble::tibble(values$keys, estimate = values$estimate, ends)
}

#' @param replicates k x B.
#' @noRd
interval_of <- function(estimate, replicates, level, interval = "normal") {
  se <- apply(replicates, 1L, stats::sd)
  tails <- c((1 - level) / 2, (1 + level) / 2)
  ends <- if (interval == "normal") {
    estimate + outer(se, stats::qnorm(tails))
  } else {
    t(apply(replicates, 1L, stats::quantile, tails, names = FALSE))
  }
  ends <- matrix(ends, length(estimate), 2L)
  tibble::tibble(std.error = se, bias = rowMeans(replicates) - estimate, conf.low = ends[, 1L],
                 conf.high = ends[, 2L])
}

# Plots -------------------------------------------------------------------------------------------

#' @rdname crl_boot-methods
#' @export
autoplot.crl_boot <- function(object, type = c("edges", "mixing", "effects", "mechanisms"),
                              level = 0.95, most = 8, ...) {
  check_dots_empty(...)
  type <- check_choice(type, BOOT_TABLES[1:4], "type")
  most <- check_number(most, "most", min = 1, integer = TRUE)
  table <- tidy.crl_boot(object, type, level)
  if (nrow(table) == 0L) {
    abort_input(c("There is nothing to draw.", "x" = "No latent has a parent."), "range")
  }
  bars <- paste0("Bars: ", format(100 * level), " % intervals, ", length(object$errors),
                 " bootstrap replicates")
  switch(type,
    edges = plot_boot_edges(table, bars), mixing = plot_boot_loadings(table, bars, most),
    effects = plot_boot_shifts(table, bars, object$fit),
    mechanisms = plot_bands(table, paste0(sub("Bars", "Bands", bars),
                                          ", where 96 % of the rows are"))
  )
}

#' @rdname crl_boot-methods
#' @export
plot.crl_boot <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' @noRd
plot_boot_edges <- function(table, bars) {
  table$edge <- paste(table$from, table$to, sep = "\r")
  table$edge <- factor(table$edge, rev(unique(table$edge)))
  table$child <- state_factor(table$state)
  dodge <- ggplot2::position_dodge(width = 0.5)
  ggplot2::ggplot(table, ggplot2::aes(.data$estimate, .data$edge, colour = .data$child)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey60", linewidth = 0.3) +
    ggplot2::geom_linerange(ggplot2::aes(xmin = .data$conf.low, xmax = .data$conf.high),
                            position = dodge, linewidth = 0.6) +
    ggplot2::geom_point(position = dodge, size = 1.8) + scale_colour_state() +
    ggplot2::scale_y_discrete(labels = edge_names) +
    ggplot2::labs(title = "Effects of latents on latents", subtitle = in_lines(bars),
                  x = "Average slope", y = NULL, colour = "The child is") +
    theme_crl()
}

#' Two names side by side, of keys "from\\rto", or "from\\rto\\rword" with a word between them
#' @noRd
edge_names <- function(keys) {
  parts <- strsplit(as.character(keys), "\r", fixed = TRUE)
  from <- vapply(parts, `[`, "", 1L)
  to <- vapply(parts, `[`, "", 2L)
  word <- vapply(parts, function(part) if (length(part) > 2L) part[3L] else "->", "")
  most <- if (max(nchar(from) + nchar(to)) > letters_for(25L)) letters_for(11L) else 1000L
  paste(distinct_names(from, most), word, distinct_names(to, most))
}

#' @noRd
plot_boot_loadings <- function(table, bars, most) {
  rank <- stats::ave(-abs(table$estimate), table$latent, FUN = order_of)
  shown <- table[rank <= most, ]
  shown$latent <- factor(shown$latent, unique(table$latent))
  shown <- shown[order(shown$latent, abs(shown$estimate)), ]
  key <- paste(shown$latent, shown$feature, sep = "\r")
  shown$key <- factor(key, key)
  columns <- panel_columns(nlevels(shown$latent))
  ggplot2::ggplot(shown, ggplot2::aes(.data$estimate, .data$key)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey60", linewidth = 0.3) +
    ggplot2::geom_linerange(ggplot2::aes(xmin = .data$conf.low, xmax = .data$conf.high),
                            colour = okabe_ito("blue"), linewidth = 0.6) +
    ggplot2::geom_point(colour = okabe_ito("blue"), size = 0.8) +
    ggplot2::facet_wrap(ggplot2::vars(.data$latent), scales = "free_y", ncol = columns,
                        labeller = long_names(columns)) +
    scale_y_features(columns) +
    scale_x_few(if (columns > 2L) 3L else 4L) +
    ggplot2::labs(title = "Largest loadings", subtitle = in_lines(bars), x = "Loading",
                  y = "Feature") +
    theme_crl() + theme_panels(columns) + theme_features()
}

#' @noRd
plot_boot_shifts <- function(table, bars, fit) {
  table$targeted <- state_factor(as.integer(fit_shifts(fit)$targeted))
  table <- table[!is.na(table$estimate), ]
  table$domain <- factor(table$domain, rev(fit$data$env_names))
  table$term <- factor(table$term, fit$data$latent_names)
  columns <- panel_columns(nlevels(table$term))
  ggplot2::ggplot(table, ggplot2::aes(.data$estimate, .data$domain, colour = .data$targeted)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey60", linewidth = 0.3) +
    ggplot2::geom_linerange(ggplot2::aes(xmin = .data$conf.low, xmax = .data$conf.high),
                            linewidth = 0.6) +
    ggplot2::geom_point(size = if (columns > 2L) 0.7 else 1.2) + scale_colour_state() +
    ggplot2::facet_wrap(ggplot2::vars(.data$term), ncol = columns, labeller = long_names(columns)) +
    scale_x_few() + scale_y_names(if (columns > 2L) 12L else 20L) +
    ggplot2::labs(title = "Shifts of the latents by domain", subtitle = in_lines(bars),
                  x = "Shift (sd)", y = "Domain", colour = "The latent is") +
    theme_crl() + theme_panels(columns) + theme_many(fit$data$n_domains)
}

#' Curves with bands
#' @noRd
plot_bands <- function(table, bars) {
  titles <- panel_titles(table)
  table$panel <- factor(paste(table$node, table$parent, sep = "\r"), names(titles), titles)
  table$child <- state_factor(table$state)
  ggplot2::ggplot(table, ggplot2::aes(.data$z, .data$estimate, colour = .data$child)) +
    ggplot2::geom_ribbon(ggplot2::aes(ymin = .data$conf.low, ymax = .data$conf.high,
                                      fill = .data$child), alpha = 0.2, colour = NA) +
    ggplot2::geom_line(linewidth = 0.8) + scale_colour_state() +
    scale_fill_state() +
    panels_of_curves(length(titles)) +
    ggplot2::labs(title = "Mechanisms", subtitle = in_lines(bars), x = "Parent",
                  y = "Latent", colour = "The latent is", fill = "The latent is")
}
