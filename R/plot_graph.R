# Plots of graphs and simulations, and of what the domains do to the latents.

#' Plot of a causal graph
#'
#' Latents in layers, causes above their effects: the layer of a latent is the length of the longest
#' path to it. `autoplot()` returns a ggplot, to be changed with `+`; `plot()` prints it.
#'
#' @param object,x A `crl_dag`, from [as_dag()] or [chain_dag()] and its companions.
#' @param targets `NULL`, or intervention targets, as a matrix (M x d) or what else
#'   [intervention_targets()] reads: targeted latents are coloured.
#' @param ... Not used.
#' @return `autoplot()`: a ggplot object. `plot()`: the same, invisibly.
#' @section Errors:
#' Those of [intervention_targets()] for `targets`.
#' @examples
#' plot(as_dag("raf -> mek -> erk; raf -> erk"), targets = list(drug = "mek"))
#' @export
autoplot.crl_dag <- function(object, targets = NULL, ...) {
  check_dots_empty(...)
  dag <- as_dag(object)
  state <- if (!is.null(targets)) {
    state_factor(as.integer(colSums(unclass(targets_for_dag(targets, dag))) > 0))
  }
  nodes <- graph_layout(dag)
  plot <- ggplot2::ggplot(nodes, ggplot2::aes(.data$x, .data$y)) + edge_layers(dag, nodes)
  nodes$state <- state %||% state_factor(0L)
  plot +
    ggplot2::geom_label(ggplot2::aes(label = .data$name, colour = .data$state), nodes, size = 3.6,
                        fill = "white", show.legend = FALSE) +
    ggplot2::geom_point(ggplot2::aes(colour = .data$state), nodes, alpha = 0,
                        show.legend = !is.null(state)) +
    scale_colour_state() +
    ggplot2::scale_x_continuous(expand = ggplot2::expansion(add = 0.7)) +
    ggplot2::scale_y_continuous(expand = ggplot2::expansion(add = 0.5)) +
    ggplot2::guides(colour = ggplot2::guide_legend(override.aes = list(alpha = 1, size = 3))) +
    ggplot2::labs(title = "Causal graph", x = NULL, y = NULL, colour = NULL) +
    theme_crl() +
    ggplot2::theme(axis.text = ggplot2::element_blank(), axis.ticks = ggplot2::element_blank(),
                   panel.grid.major = ggplot2::element_blank())
}

#' Arrows between nodes; one past a layer is bent around what lies there
#' @noRd
edge_layers <- function(dag, nodes) {
  edges <- which(dag == 1L, arr.ind = TRUE)
  ends <- tibble::tibble(x = nodes$x[edges[, 1L]], y = nodes$y[edges[, 1L]],
                         xend = nodes$x[edges[, 2L]], yend = nodes$y[edges[, 2L]])
  bend <- ifelse(ends$y - ends$yend < 1.5, 0, ifelse(ends$xend > ends$x, -0.35, 0.35))
  shorter <- short_of_nodes(ends)
  head <- grid::arrow(length = grid::unit(2.2, "mm"), type = "closed")
  line <- ggplot2::aes(.data$x, .data$y, xend = .data$xend, yend = .data$yend)
  lapply(unique(bend), function(by) {
    at <- shorter[bend == by, ]
    if (by == 0) {
      ggplot2::geom_segment(line, at, colour = "grey40", arrow = head)
    } else {
      ggplot2::geom_curve(line, at, colour = "grey40", arrow = head, curvature = by)
    }
  })
}

#' @rdname autoplot.crl_dag
#' @export
plot.crl_dag <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' Where the nodes are: layers by longest path, those of a layer side by side near their parents
#' @noRd
graph_layout <- function(dag) {
  layer <- x <- numeric(nrow(dag))
  for (j in topological_order(dag)) {
    layer[j] <- max(-1, layer[parents_of(dag, j)]) + 1
  }
  for (level in sort(unique(layer))) {
    at <- which(layer == level)
    near <- vapply(at, function(j) mean(c(x[parents_of(dag, j)])), 0)
    near[is.nan(near)] <- 0
    x[at[order(near)]] <- seq_along(at) - (length(at) + 1) / 2
  }
  tibble::tibble(name = colnames(dag), x = x, y = -layer)
}

#' Edges that end before the labels of their nodes
#' @noRd
short_of_nodes <- function(ends, gap = 0.22) {
  dx <- ends$xend - ends$x
  dy <- ends$yend - ends$y
  share <- gap / pmax(abs(dy), gap)
  tibble::tibble(x = ends$x + share * dx, y = ends$y + share * dy, xend = ends$xend - share * dx,
                 yend = ends$yend - share * dy)
}

#' Plot of simulated data
#'
#' @param object,x A `crl_sim`, from [sim_crl()].
#' @param type `"latents"` (the default): the true latents by domain, as box plots, one panel a
#'   latent. `"graph"`: the causal graph, targeted latents coloured, see [autoplot.crl_dag()].
#'   `"effects"`: how far each domain moves each latent, as `plot()` of a fit shows it.
#' @param ... Not used.
#' @return `autoplot()`: a ggplot object. `plot()`: the same, invisibly.
#' @section Errors:
#' `ebcrl_error_range` for another `type`.
#' @examples
#' sim <- sim_crl(n = 100, p = 20)
#' plot(sim)
#' plot(sim, type = "graph")
#' @export
autoplot.crl_sim <- function(object, type = c("latents", "graph", "effects"), ...) {
  check_dots_empty(...)
  targets <- unclass(object$targets)
  switch(check_choice(type, c("latents", "graph", "effects"), "type"),
    latents = plot_true_latents(object, targets),
    graph = autoplot(object$dag, targets = object$targets),
    effects = plot_effects(domain_shifts(object$z, 0 * object$z, as.integer(object$env), targets,
                                         rownames(targets)))
  )
}

#' @rdname autoplot.crl_sim
#' @export
plot.crl_sim <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' @noRd
plot_true_latents <- function(sim, targets) {
  latents <- colnames(sim$z)
  rows <- tibble::tibble(
    domain = rep(sim$env, length(latents)),
    latent = factor(rep(latents, each = nrow(sim$z)), latents), z = as.vector(sim$z),
    state = state_factor(as.vector(targets[as.integer(sim$env), , drop = FALSE]))
  )
  ggplot2::ggplot(rows, ggplot2::aes(.data$domain, .data$z, colour = .data$state)) +
    ggplot2::geom_boxplot(outlier.size = 0.4, linewidth = 0.4) +
    ggplot2::facet_wrap(ggplot2::vars(.data$latent), scales = "free_y", ncol = 2L) +
    ggplot2::scale_x_discrete(guide = axis_of(levels(sim$env), 3L)) +
    scale_colour_state() +
    ggplot2::labs(title = "True latents", x = "Domain", y = "Latent", colour = NULL) +
    theme_crl()
}

#' Heat map of the shifts of latents by domain; targets are framed
#' @noRd
plot_effects <- function(shifts) {
  domains <- unique(shifts$domain)
  shifts$domain <- factor(shifts$domain, domains)
  shifts$latent <- factor(shifts$latent, rev(unique(shifts$latent)))
  largest <- max(abs(shifts$shift), 1e-12, na.rm = TRUE)
  few <- length(domains) <= 10L && nlevels(shifts$latent) <= 15L
  plot <- ggplot2::ggplot(shifts, ggplot2::aes(.data$domain, .data$latent)) +
    ggplot2::geom_tile(ggplot2::aes(fill = .data$shift), colour = "white", linewidth = 0.3) +
    ggplot2::geom_tile(data = shifts[shifts$targeted, ], fill = NA, colour = "black",
                       linewidth = 0.5)
  if (few) {
    shifts$text <- ifelse(is.na(shifts$shift), "", sprintf("%.1f", round(shifts$shift, 1) + 0))
    plot <- plot + ggplot2::geom_text(ggplot2::aes(label = .data$text), shifts, size = 2.8)
  }
  plot +
    ggplot2::scale_fill_gradient2(low = okabe_ito("blue"), mid = "white",
                                  high = okabe_ito("vermillion"), na.value = "grey85",
                                  limits = c(-largest, largest)) +
    ggplot2::scale_x_discrete(expand = c(0, 0), guide = axis_of(domains, 2L)) +
    ggplot2::scale_y_discrete(expand = c(0, 0)) +
    ggplot2::labs(title = "Mean of the latents by domain", subtitle = "Framed: the targets",
                  x = "Domain", y = "Latent", fill = "Shift\n(sd)") +
    theme_crl() +
    ggplot2::theme(legend.position = "right")
}
