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
  plot_dag(dag, state) + ggplot2::labs(title = "Causal graph")
}

#' @param state NULL, or the state of each latent, as a factor.
#' @param edges NULL, or what fitted_edges() gives.
#' @noRd
plot_dag <- function(dag, state = NULL, edges = NULL) {
  nodes <- graph_layout(dag)
  drawn <- edge_places(dag, nodes, edges)
  plot <- ggplot2::ggplot(nodes, ggplot2::aes(.data$x, .data$y)) + edge_layers(drawn, !is.null(edges))
  nodes$state <- state %||% state_factor(0L)
  # a label that holds the place of each node in the legend, and in the limits
  plot +
    ggplot2::geom_point(ggplot2::aes(fill = .data$state), nodes, alpha = 0, shape = 21L,
                        show.legend = !is.null(state)) +
    ggplot2::geom_label(ggplot2::aes(label = .data$name, fill = .data$state), nodes, size = 3.4,
                        label.padding = grid::unit(0.3, "lines"), show.legend = FALSE) +
    ggplot2::scale_fill_manual(values = c("not targeted" = "white", "targeted" = "#FBD9C0")) +
    ggplot2::guides(fill = ggplot2::guide_legend(override.aes = list(alpha = 1, size = 4))) +
    ggplot2::labs(fill = NULL, colour = NULL) + graph_frame(0.7) +
    ggplot2::theme(legend.box = "horizontal")
}

#' What is around a graph: no axes, and room for labels
#' @param beside Room to the left and right.
#' @noRd
graph_frame <- function(beside) {
  list(ggplot2::scale_x_continuous(name = NULL, expand = ggplot2::expansion(add = beside)),
       ggplot2::scale_y_continuous(name = NULL, expand = ggplot2::expansion(add = 0.5)),
       theme_crl(),
       ggplot2::theme(axis.text = ggplot2::element_blank(), axis.ticks = ggplot2::element_blank(),
                      panel.grid.major = ggplot2::element_blank(), legend.box = "vertical"))
}

#' Ends of arrows between nodes
#' @noRd
edge_ends <- function(nodes, from, to) {
  tibble::tibble(x = nodes$x[from], y = nodes$y[from], xend = nodes$x[to], yend = nodes$y[to])
}

# A straight arrow is clear of a node if it passes it at this distance, half the width of a label.
CLEAR_OF_NODES <- 0.4

#' Curvature of arrows: straight where no node lies between, else bent to the side where the layout
#' has left room
#' @noRd
edge_bend <- function(ends, nodes) {
  room <- attr(nodes, "room")
  one <- function(x, y, xend, yend) {
    between <- nodes$y < max(y, yend) - 0.5 & nodes$y > min(y, yend) + 0.5
    at <- x + (nodes$y[between] - y) / (yend - y) * (xend - x)
    level <- abs(y - yend) < 0.5
    if (!level && all(abs(nodes$x[between] - at) > CLEAR_OF_NODES)) {
      return(0)
    }
    way <- room$side[room$x == x & room$y == y & room$xend == xend & room$yend == yend]
    down <- if (y > yend) 1 else -1
    # positive curvature bulges to the left of an arrow that points down
    if (length(way) == 1L && way != 0) -0.35 * sign(way) * down else if (xend > x) -0.35 else 0.35
  }
  unlist(Map(one, ends$x, ends$y, ends$xend, ends$yend)) %||% numeric()
}

#' An arrow of a curvature, 0: straight
#' @param ... As in geom_segment().
#' @noRd
geom_arrow <- function(bend, ...) {
  head <- grid::arrow(length = grid::unit(2.2, "mm"), type = "closed")
  if (bend == 0) ggplot2::geom_segment(..., arrow = head) else
    ggplot2::geom_curve(..., arrow = head, curvature = bend)
}

#' Arrows of a graph, cut short of their nodes, and where their labels are
#' @noRd
edge_places <- function(dag, nodes, edges) {
  at <- which(unclass(dag) == 1L, arr.ind = TRUE)
  ends <- edge_ends(nodes, at[, 1L], at[, 2L])
  bend <- edge_bend(ends, nodes)
  side <- edge_side(ends, nodes)
  places <- tibble::tibble(short_of_nodes(ends, side), bend = bend)
  # labels stand to the right of a straight line's middle, beyond the bulge of a bent one
  length <- sqrt((ends$xend - ends$x)^2 + (ends$yend - ends$y)^2)
  places$label_x <- (ends$x + ends$xend) / 2 + side -
    bend * length * 0.15 * (ends$y - ends$yend) / pmax(length, 1e-9)
  places$label_y <- (ends$y + ends$yend) / 2 +
    bend * length * 0.15 * (ends$x - ends$xend) / pmax(length, 1e-9)
  places$hjust <- ifelse(side < 0, 1.1, -0.15)
  # above a line that falls to the right, below one that falls to the left
  slope <- sign(round(ends$xend - ends$x, 6L))
  places$vjust <- ifelse(bend != 0 | slope == 0, 0.5, ifelse(slope > 0, 0, 1))
  if (is.null(edges)) {
    return(places)
  }
  places <- tibble::tibble(places, edges[match(paste(at[, 1L], at[, 2L]),
                                               paste(match(edges$from, nodes$name),
                                                     match(edges$to, nodes$name))), ])
  # lines of a label begin (or end) at one place: their own widths must not move them
  lines <- grepl("\n", places$label, fixed = TRUE)
  left <- places$hjust < 0.5
  places$label_x[lines] <- places$label_x[lines] + ifelse(left[lines], LABEL_GAP, -LABEL_GAP)
  places$hjust[lines] <- ifelse(left[lines], 0, 1)
  places
}

# Between an arrow and a label of several lines, in the units of the layout.
LABEL_GAP <- 0.04

#' Arrows between nodes, of a fit with sign, width and label
#' @noRd
edge_layers <- function(places, of_fit) {
  line <- ggplot2::aes(.data$x, .data$y, xend = .data$xend, yend = .data$yend)
  layers <- lapply(split(places, list(places$bend, if (of_fit) places$told else TRUE), drop = TRUE),
                   function(some) {
    if (!of_fit) {
      return(geom_arrow(some$bend[1L], line, some, colour = "grey40"))
    }
    line$colour <- ggplot2::aes(colour = .data$sign)$colour
    line$linewidth <- ggplot2::aes(linewidth = .data$share)$linewidth
    geom_arrow(some$bend[1L], line, some,
               linetype = if (isFALSE(some$told[1L])) "22" else "solid")
  })
  if (!of_fit) {
    return(layers)
  }
  c(layers, list(
    ggplot2::geom_text(ggplot2::aes(.data$label_x, .data$label_y, label = .data$label,
                                    hjust = .data$hjust, vjust = .data$vjust),
                       places[places$label != "", ], size = 2.6, colour = "grey20",
                       lineheight = 0.9),
    ggplot2::scale_colour_manual(values = c(raises = okabe_ito("vermillion"),
                                            lowers = okabe_ito("blue")), drop = FALSE,
                                 na.value = "grey60", na.translate = FALSE),
    ggplot2::scale_linewidth_continuous(range = c(0.3, 1.6), limits = c(0, 1), guide = "none")
  ))
}

#' @rdname autoplot.crl_dag
#' @export
plot.crl_dag <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' Where the nodes are: layers by longest path, those of a layer side by side near their parents
#'
#' An arrow over several layers has a place of its own in each that it passes, so that nodes stand
#' aside.
#' @return tibble `name`, `x`, `y`, with the attribute `room`: tibble of such arrows (`x`, `y`,
#'   `xend`, `yend`) and of the side on which they have room (`side`: where the mean of their places
#'   is from their line)
#' @noRd
graph_layout <- function(dag) {
  d <- nrow(dag)
  layer <- numeric(d)
  for (j in topological_order(dag)) {
    layer[j] <- max(-1, layer[parents_of(dag, j)]) + 1
  }
  edges <- which(unclass(dag) == 1L, arr.ind = TRUE)
  long <- edges[layer[edges[, 2L]] - layer[edges[, 1L]] > 1, , drop = FALSE]
  passes <- do.call(rbind, lapply(seq_len(nrow(long)), function(k) {
    cbind(edge = k, layer = seq(layer[long[k, 1L]] + 1, layer[long[k, 2L]] - 1))
  }))
  x <- numeric(d)
  way <- matrix(NA_real_, nrow(long), max(layer, 0) + 1) # places of arrows, by layer
  for (level in sort(unique(layer))) {
    at <- which(layer == level)
    through <- passes[passes[, "layer"] == level, "edge"]
    near <- c(vapply(at, function(j) {
      from <- which(dag[, j] == 1L)
      last <- vapply(from, function(i) {
        c(way[long[, 1L] == i & long[, 2L] == j, level], x[i])[1L]
      }, 0)
      mean(last)
    }, 0), vapply(through, function(k) {
      last <- if (level > 0) way[k, level] else NA
      if (is.na(last)) x[long[k, 1L]] else last
    }, 0))
    near[is.na(near)] <- 0
    place <- order(order(near)) - (length(near) + 1) / 2
    x[at] <- place[seq_along(at)]
    way[cbind(through, rep(level + 1, length(through)))] <- place[length(at) + seq_along(through)]
  }
  nodes <- tibble::tibble(name = colnames(dag), x = x, y = -layer)
  room <- edge_ends(nodes, long[, 1L], long[, 2L])
  room$side <- unname(rowMeans(way, na.rm = TRUE)) - (room$x + room$xend) / 2
  structure(nodes, room = room)
}

#' How far to the side bent arrows leave and meet their nodes: there where they bulge, beside
#' straight ones
#' @noRd
edge_side <- function(ends, nodes) {
  -sign(edge_bend(ends, nodes)) * sign(ends$y - ends$yend) * 0.07 * (diff(range(nodes$x)) + 1.4)
}

#' Edges that end before the labels of their nodes
#' @noRd
short_of_nodes <- function(ends, side = 0, gap = 0.22) {
  dx <- ends$xend - ends$x
  dy <- ends$yend - ends$y
  share <- gap / pmax(abs(dy), gap)
  tibble::tibble(x = ends$x + share * dx + side, y = ends$y + share * dy,
                 xend = ends$xend - share * dx + side, yend = ends$yend - share * dy)
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
  data <- list(env = as.integer(sim$env), env_names = levels(sim$env), targets = targets,
               latent_names = colnames(sim$z))
  plot_by_domain(sim$z, data, "True latents by domain")
}

#' Latents by domain as violins, one panel a latent
#' @noRd
plot_by_domain <- function(z, data, title) {
  rows <- tibble::tibble(
    domain = factor(rep(data$env_names[data$env], ncol(z)), rev(data$env_names)),
    latent = factor(rep(data$latent_names, each = nrow(z)), data$latent_names), z = as.vector(z),
    state = state_factor(as.vector(unclass(data$targets)[data$env, , drop = FALSE]))
  )
  ggplot2::ggplot(rows, ggplot2::aes(.data$z, .data$domain, colour = .data$state,
                                     fill = .data$state)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey80", linewidth = 0.3) +
    ggplot2::geom_violin(scale = "width", width = 0.85, linewidth = 0.3, alpha = 0.25) +
    ggplot2::stat_summary(fun = stats::median, geom = "point", size = 1.1, show.legend = FALSE) +
    ggplot2::facet_wrap(ggplot2::vars(.data$latent), scales = "free_x", ncol = 2L,
                        labeller = long_names()) +
    ggplot2::scale_x_continuous(n.breaks = 4L) + scale_colour_state() + scale_fill_state() +
    ggplot2::labs(title = title, subtitle = "Points: medians", x = "Latent", y = "Domain",
                  colour = "The latent is", fill = "The latent is") +
    theme_crl()
}

#' @noRd
scale_fill_state <- function() {
  ggplot2::scale_fill_manual(values = c("not targeted" = okabe_ito("blue"),
                                        "targeted" = okabe_ito("vermillion")))
}

# The graph of a fit ------------------------------------------------------------------------------

#' @noRd
plot_fit_graph <- function(fit, boot) {
  dag <- fit$data$dag
  edges <- tidy_edges(fit, boot, evidence = FALSE)
  targets <- unclass(fit$data$targets)
  plot <- plot_dag(dag, state_factor(as.integer(colSums(targets) > 0L)), fitted_edges(edges, dag))
  notes <- if (nrow(edges) > 0L) {
    paste0("Labels: average slope where the child is not targeted",
           if (!is.null(boot)) ", with 95 % interval; dashed: it holds 0")
  }
  plot + ggplot2::labs(title = "Causal graph of the fit",
                       subtitle = if (!is.null(notes)) in_lines(notes, 46L))
}

#' Edges of a fit as the plot has them: in the state without targets, where there is one
#' @return tibble: `from`, `to`, `label`, `sign`, `share` (of the child's sd), `told`
#' @noRd
fitted_edges <- function(edges, dag) {
  first <- edges[!duplicated(edges[c("from", "to")]), ]
  all <- which(unclass(dag) == 1L, arr.ind = TRUE)
  table <- tibble::tibble(from = colnames(dag)[all[, 1L]], to = colnames(dag)[all[, 2L]])
  at <- match(paste(table$from, table$to), paste(first$from, first$to))
  table$label <- ifelse(is.na(at), "", figures_signed(first$effect[at]))
  if ("conf.low" %in% names(first)) {
    ends <- paste0("\n(", short_figures(first$conf.low[at]), ", ",
                   short_figures(first$conf.high[at]), ")")
    table$label <- paste0(table$label, ifelse(is.na(at) | is.na(first$conf.low[at]), "", ends))
  }
  table$sign <- factor(ifelse(first$effect[at] < 0, "lowers", "raises"), c("raises", "lowers"))
  table$share <- pmin(sqrt(first$share[at]), 1)
  table$share[is.na(at)] <- 0
  table$told <- if (!"conf.low" %in% names(first)) TRUE else
    is.na(at) | first$conf.low[at] > 0 | first$conf.high[at] < 0
  table
}

#' @noRd
short_figures <- function(x) {
  sprintf("%.2f", round(x, 2L) + 0)
}

#' @noRd
figures_signed <- function(x) {
  ifelse(is.na(x), "", sprintf(ifelse(abs(x) < 0.095, "%+.2f", "%+.1f"), x))
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
