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
  nodes <- label_nodes(graph_layout(dag))
  at <- which(unclass(dag) == 1L, arr.ind = TRUE)
  links <- edge_links(at[, 1L], at[, 2L], nodes)
  if (!is.null(edges)) {
    links <- tibble::tibble(links, edges[match(paste(nodes$name[at[, 1L]], nodes$name[at[, 2L]]),
                                               paste(edges$from, edges$to)),
                                         c("label", "sign", "share", "told")])
  }
  ggplot2::ggplot(nodes, ggplot2::aes(.data$x, .data$y)) +
    edge_layers(links, node_size(nodes), !is.null(edges)) + node_layers(nodes, state) +
    ggplot2::labs(fill = NULL, colour = NULL) + graph_frame() +
    ggplot2::theme(legend.box = "horizontal")
}

#' Nodes as boxes with their names; coloured, if their states are given
#' @noRd
node_layers <- function(nodes, state) {
  nodes$state <- state %||% state_factor(0L)
  size <- node_size(nodes)
  # points that are not seen hold the place of each node in the legend, and in the limits
  list(
    ggplot2::geom_point(ggplot2::aes(fill = .data$state), nodes, alpha = 0, shape = 22L,
                        show.legend = !is.null(state)),
    ggplot2::geom_label(ggplot2::aes(label = .data$text, fill = .data$state), nodes, size = size,
                        lineheight = 0.9, label.padding = grid::unit(box_padding(size), "mm"),
                        show.legend = FALSE),
    ggplot2::scale_fill_manual(values = c("not targeted" = "white", "targeted" = "#FBD9C0")),
    ggplot2::guides(fill = ggplot2::guide_legend(override.aes = list(alpha = 1, size = 4)))
  )
}

# Room beside a graph, in distances of neighbours, and around it, at 80 x 70 mm, in mm.
BESIDE_GRAPH <- 0.7
GRAPH_WIDTH <- 74
GRAPH_HEIGHT <- 46

#' What is around a graph: no axes, and room for labels
#' @noRd
graph_frame <- function() {
  list(ggplot2::scale_x_continuous(name = NULL, expand = ggplot2::expansion(add = BESIDE_GRAPH)),
       ggplot2::scale_y_continuous(name = NULL, expand = ggplot2::expansion(add = 0.5)),
       theme_crl(),
       ggplot2::theme(axis.text = ggplot2::element_blank(), axis.ticks = ggplot2::element_blank(),
                      panel.grid.major = ggplot2::element_blank(), legend.box = "vertical",
                      legend.justification = "centre"))
}

#' Nodes with what stands in their boxes, in lines as short as neighbours at 80 mm width need
#' @param more What stands below the names, one a node.
#' @return `nodes` with `text`, and the attribute `size`, that of the text in mm
#' @noRd
label_nodes <- function(nodes, more = NULL) {
  texts <- lapply(c(Inf, 16, 12, 9), function(width) {
    text <- vapply(nodes$name, broken_name, "", width)
    trimws(paste(text, more %||% "", sep = "\n"))
  })
  sizes <- vapply(texts, function(text) fitting_size(nodes, text), 0)
  # short lines only where they make for larger text
  best <- which(sizes >= min(2.8, max(sizes)))[1L]
  nodes$text <- texts[[best]]
  structure(nodes, size = min(max(sizes[best], 1.8), 3.4))
}

#' @noRd
node_size <- function(nodes) attr(nodes, "size")

#' The size of text, mm, at which boxes fit beside and above each other at 80 x 70 mm: a letter is
#' 0.6 of it wide, a line 1.1 high
#' @noRd
fitting_size <- function(nodes, text) {
  lines <- strsplit(text, "\n", fixed = TRUE)
  wide <- 0.6 * vapply(lines, function(line) max(nchar(line), 0L), 0L) + 2 * box_padding(1)
  high <- 1.1 * lengths(lines) + 2 * box_padding(1)
  across <- GRAPH_WIDTH / (diff(range(nodes$x)) + 2 * BESIDE_GRAPH)
  down <- GRAPH_HEIGHT / (diff(range(nodes$y)) + 1)
  beside <- pmin(nodes$x - min(nodes$x), max(nodes$x) - nodes$x) + BESIDE_GRAPH
  neighbours <- lapply(split(seq_along(wide), nodes$y), function(at) {
    at <- at[order(nodes$x[at])]
    right <- at[-1L]
    left <- at[-length(at)]
    ((nodes$x[right] - nodes$x[left]) * across - 1) / ((wide[left] + wide[right]) / 2)
  })
  # boxes above each other leave half of their distance to the arrows
  min(2 * beside * across / wide, unlist(neighbours), 0.6 * down / high, 3.4)
}

#' A name in lines of a width, broken at its commas, or else after what parts words
#' @noRd
broken_name <- function(name, width) {
  if (nchar(name) <= width) {
    return(name)
  }
  clauses <- strsplit(name, "(?<=,) ", perl = TRUE)[[1L]]
  if (length(clauses) > 1L && all(nchar(clauses) <= width)) {
    return(paste(clauses, collapse = "\n"))
  }
  parts <- regmatches(name, gregexpr("[^-_. /:]+[-_. /:]*|^[-_. /:]+", name))[[1L]]
  lines <- character()
  for (part in parts) {
    last <- length(lines)
    if (last > 0L && nchar(lines[last]) + nchar(trimws(part)) <= width) {
      lines[last] <- paste0(lines[last], part)
    } else {
      lines <- c(lines, part)
    }
  }
  paste(trimws(lines), collapse = "\n")
}

#' Ends of arrows between nodes
#' @noRd
edge_ends <- function(nodes, from, to) {
  tibble::tibble(x = nodes$x[from], y = nodes$y[from], xend = nodes$x[to], yend = nodes$y[to])
}

# An arrow is clear of a node if it passes it at this distance, a bit more than half of a box.
CLEAR_OF_NODES <- 0.5

#' How far to the right of the straight line an arrow is halfway: 0 where no node lies between, else
#' beyond the nodes, on the side where the layout has left room
#' @noRd
edge_bulge <- function(ends, nodes) {
  room <- attr(nodes, "room")
  one <- function(x, y, xend, yend) {
    between <- nodes$y < max(y, yend) - 0.5 & nodes$y > min(y, yend) + 0.5
    along <- (nodes$y[between] - y) / (yend - y)
    beside <- nodes$x[between] - (x + along * (xend - x))
    near <- abs(beside) <= 0.8 * CLEAR_OF_NODES
    # an arrow up stands aside, for there may be one down
    if (!any(near) && yend < y) {
      return(0)
    }
    way <- room$side[room$x == x & room$y == y & room$xend == xend & room$yend == yend]
    side <- if (length(way) == 1L && way != 0) sign(way) else if (xend > x) 1 else -1
    side * max(0.3, (side * beside[near] + CLEAR_OF_NODES) / (4 * along[near] * (1 - along[near])))
  }
  unlist(Map(one, ends$x, ends$y, ends$xend, ends$yend)) %||% numeric()
}

#' Arrows between nodes, as geom_link() draws them
#' @noRd
edge_links <- function(from, to, nodes) {
  ends <- edge_ends(nodes, from, to)
  bulge <- edge_bulge(ends, nodes)
  level <- ends$y == ends$yend
  tibble::tibble(ends, x0 = (ends$x + ends$xend) / 2 + ifelse(level, 0, bulge),
                 y0 = (ends$y + ends$yend) / 2 + ifelse(level, bulge, 0), from = nodes$text[from],
                 to = nodes$text[to])
}

#' @noRd
link_aes <- function(...) {
  ggplot2::aes(.data$x, .data$y, xend = .data$xend, yend = .data$yend, x0 = .data$x0, y0 = .data$y0,
               from = .data$from, to = .data$to, ...)
}

#' Arrows between nodes, of a fit with sign, width and label
#' @noRd
edge_layers <- function(links, size, of_fit) {
  if (nrow(links) == 0L) {
    return(list())
  }
  if (!of_fit) {
    return(list(geom_link(link_aes(), links, size)))
  }
  links$line <- ifelse(links$told, "solid", "22")
  list(
    geom_link(link_aes(colour = .data$sign, linewidth = .data$share, label = .data$label,
                       linetype = .data$line), links, size),
    ggplot2::scale_colour_manual(values = c(raises = okabe_ito("vermillion"),
                                            lowers = okabe_ito("blue")), drop = FALSE,
                                 na.translate = FALSE),
    ggplot2::scale_linetype_identity(),
    ggplot2::scale_linewidth_continuous(range = c(0.3, 1.6), limits = c(0, 1), guide = "none"),
    ggplot2::guides(colour = ggplot2::guide_legend(override.aes = list(linewidth = 1)))
  )
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

#' Plot of simulated data
#'
#' @param object,x A `crl_sim`, from [sim_crl()].
#' @param type `"latents"` (the default): the true latents by domain, as violins, one panel a
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
  columns <- panel_columns(ncol(z))
  ggplot2::ggplot(rows, ggplot2::aes(.data$z, .data$domain, colour = .data$state,
                                     fill = .data$state)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey80", linewidth = 0.3) +
    ggplot2::geom_violin(scale = "width", width = 0.85, linewidth = 0.3, alpha = 0.25) +
    ggplot2::stat_summary(fun = stats::median, geom = "point", show.legend = FALSE,
                          size = if (columns > 2L) 0.6 else 1.1) +
    ggplot2::facet_wrap(ggplot2::vars(.data$latent), scales = "free_x", ncol = columns,
                        labeller = long_names(columns)) +
    scale_x_few() + scale_y_names(if (columns > 2L) 12L else 20L) +
    scale_colour_state() + scale_fill_state() +
    ggplot2::labs(title = title, subtitle = "Points: medians", x = "Latent", y = "Domain",
                  colour = "The latent is", fill = "The latent is") +
    theme_crl() + theme_panels(columns) + theme_many(length(data$env_names))
}

#' @noRd
scale_fill_state <- function() {
  ggplot2::scale_fill_manual(values = state_colours())
}

# The graph of a fit ------------------------------------------------------------------------------

#' @noRd
plot_fit_graph <- function(fit, boot) {
  dag <- fit$data$dag
  edges <- tidy_edges(fit, boot, evidence = FALSE)
  targets <- unclass(fit$data$targets)
  plot <- plot_dag(dag, state_factor(as.integer(colSums(targets) > 0L)), fitted_edges(edges, dag))
  notes <- c(if (nrow(edges) > 0L) "Labels: average slope where the child is not targeted",
             if (nrow(edges) > 0L) "width: share of the child's sd",
             if (!is.null(boot)) "in brackets: 95 % interval; dashed: it holds 0")
  plot + ggplot2::labs(title = "Causal graph of the fit",
                       subtitle = if (length(notes) > 0L) in_lines(paste(notes, collapse = "; ")))
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
    # frames within their tiles: those at the border of the panel, and neighbours, are told apart
    ggplot2::geom_tile(data = shifts[shifts$targeted, ], fill = NA, colour = "black",
                       linewidth = 0.4, width = 0.9, height = 0.9)
  if (few) {
    shifts$text <- ifelse(is.na(shifts$shift), "", sprintf("%.1f", round(shifts$shift, 1) + 0))
    plot <- plot + ggplot2::geom_text(ggplot2::aes(label = .data$text), shifts, size = 2.8)
  }
  plot +
    ggplot2::scale_fill_gradient2(low = okabe_ito("blue"), mid = "white",
                                  high = okabe_ito("vermillion"), na.value = "grey85",
                                  limits = c(-largest, largest)) +
    ggplot2::scale_x_discrete(expand = c(0, 0), guide = axis_of(domains, 1.4),
                              labels = function(names) distinct_names(names, letters_for(16L))) +
    scale_y_names(expand = c(0, 0)) +
    ggplot2::labs(title = "Mean of the latents by domain", subtitle = "Framed: the targets",
                  x = "Domain", y = "Latent", fill = "Shift\n(sd)") +
    theme_crl() + theme_bar() + theme_many(length(domains), "x")
}
