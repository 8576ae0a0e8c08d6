# Plots of discoveries.

#' Plot of a discovery
#'
#' @param object,x A `crl_discovery`, from [crl_discover()].
#' @param type `"graph"` (the default): the graph, edges as wide as their effect is strong (slope
#'   times sd of the cause over sd of the effect), as dark as their evidence; edges of other
#'   hypotheses within reach are dashed; below each name the domains that target the latent (two of
#'   them, and how many more).
#'   `"hypotheses"`: BIC of the best hypotheses, less that of the best. `"stability"`: evidence of
#'   each edge and target.
#' @param ... Not used.
#' @return `autoplot()`: a ggplot object. `plot()`: the same, invisibly.
#' @section Errors:
#' `ebcrl_error_range` for another `type`.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(chain_dag(3), n = 300, p = 20, nonlinearity = "linear")
#' plot(crl_discover(sim, d = 3))
#' @export
autoplot.crl_discovery <- function(object, type = c("graph", "hypotheses", "stability"), ...) {
  check_dots_empty(...)
  type <- check_choice(type, c("graph", "hypotheses", "stability"), "type")
  switch(type,
    graph = plot_discovered(object),
    hypotheses = plot_hypotheses(object),
    stability = plot_evidence(object)
  )
}

#' @rdname autoplot.crl_discovery
#' @export
plot.crl_discovery <- function(x, ...) {
  print_plot(autoplot(x, ...))
}

#' @noRd
plot_discovered <- function(found) {
  nodes <- graph_layout(found$dag)
  targeted <- as.integer(colSums(unclass(found$targets)) > 0L)
  nodes <- label_nodes(nodes, vapply(nodes$name, targeting_domains, "", found$targets))
  links <- found_links(found, nodes)
  arrows <- if (nrow(links) > 0L) {
    geom_link(link_aes(linewidth = .data$strength, alpha = .data$evidence, linetype = .data$line),
              links, node_size(nodes), colour = okabe_ito("blue"))
  }
  notes <- c(if (any(targeted == 1L)) "Below a name: the domains that target it",
             if (any(links$line != "solid")) "dashed: in other hypotheses only")
  ggplot2::ggplot(nodes, ggplot2::aes(.data$x, .data$y)) + arrows +
    node_layers(nodes, state_factor(targeted)) +
    ggplot2::scale_linewidth(range = c(0.3, 1.6), limits = c(0, NA),
                             breaks = function(limits) pretty(limits, 3L)[-1L]) +
    ggplot2::scale_alpha(range = c(0.15, 1), limits = c(0, 1), breaks = c(0.1, 0.5, 1)) +
    ggplot2::scale_linetype_identity() +
    ggplot2::labs(title = "Graph found", linewidth = "Effect (sd)", alpha = "Evidence", fill = NULL,
                  subtitle = if (length(notes) > 0L) in_lines(paste(notes, collapse = "; "))) +
    ggplot2::guides(fill = "none") + graph_frame()
}

#' Domains that target a latent, in lines of few letters
#' @noRd
targeting_domains <- function(name, targets, most = 2L) {
  domains <- rownames(targets)[targets[, name] == 1L]
  left <- length(domains) - most
  named <- short_names(utils::head(domains, most), 14L)
  paste(c(named, if (left > 0L) paste("and", left, "more")), collapse = "\n")
}

#' Arrows of the edges found, and of those in other hypotheses
#' @noRd
found_links <- function(found, nodes) {
  edges <- found$edges[found$edges$present | found$edges$evidence >= 0.05, ]
  from <- match(edges$from, nodes$name)
  to <- match(edges$to, nodes$name)
  spread <- latent_spread(found)
  strength <- abs(edges$effect) * spread[from] / spread[to]
  tibble::tibble(edge_links(from, to, nodes), evidence = edges$evidence,
                 line = ifelse(edges$present, "solid", "22"),
                 strength = ifelse(is.na(strength), 0.1, pmin(strength, 2)))
}

#' Standard deviations of the latents without interventions
#' @noRd
latent_spread <- function(found) {
  d <- ncol(found$dag)
  variance <- found$parameters$variance[, 1L]
  variance <- ifelse(is.na(variance), found$parameters$variance[, 2L], variance)
  slopes <- t(matrix(found$parameters$slopes[, 1L, ], d))
  total <- solve(diag(1, d) - slopes)
  sqrt(drop(total^2 %*% variance))
}

#' @noRd
plot_hypotheses <- function(found) {
  shown <- utils::head(found$hypotheses, 25L)
  ggplot2::ggplot(shown, ggplot2::aes(.data$rank, .data$behind)) +
    ggplot2::geom_hline(yintercept = WITHIN_REACH, linetype = "dashed", colour = "grey30") +
    ggplot2::geom_point(ggplot2::aes(colour = .data$edges), size = 2) +
    ggplot2::scale_colour_gradient(low = okabe_ito("sky"), high = okabe_ito("blue")) +
    ggplot2::labs(title = "Hypotheses", subtitle = "Dashed: 2 units of log-likelihood", x = "Rank",
                  y = "BIC less that of the best", colour = "edges") +
    theme_crl()
}

#' @noRd
plot_evidence <- function(found) {
  plot_shares(found$edges, found$hits, "evidence", c("in the best", "in others only"), 0.95) +
    ggplot2::labs(title = "Evidence", x = "Share of the hypotheses' weight")
}

#' Shares of edges and of targets that were not given, those of the discovery in a colour of their own
#' @param name Column of both tables that is drawn.
#' @param kinds Names of those that are present, and of the others.
#' @param cut Where the dashed line is.
#' @noRd
plot_shares <- function(edges, targets, name, kinds, cut) {
  hits <- targets[!targets$known, ]
  shown <- rbind(
    data.frame(what = rep("edges", nrow(edges)), name = paste0(edges$from, "\r", edges$to),
               share = edges[[name]], present = edges$present),
    data.frame(what = rep("targets", nrow(hits)), name = paste0(hits$domain, "\r", hits$latent, "\ron"),
               share = hits[[name]], present = hits$present)
  )
  shown$name <- factor(shown$name, rev(unique(shown$name)))
  shown$kind <- factor(kinds[2L - shown$present], kinds)
  ggplot2::ggplot(shown, ggplot2::aes(.data$share, .data$name)) +
    ggplot2::geom_vline(xintercept = cut, linetype = "dashed", colour = "grey30") +
    ggplot2::geom_point(ggplot2::aes(colour = .data$kind), size = 2) +
    ggplot2::facet_grid(ggplot2::vars(.data$what), scales = "free_y", space = "free_y") +
    ggplot2::scale_x_continuous(limits = c(0, 1), guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    ggplot2::scale_y_discrete(labels = edge_names,
                              guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    ggplot2::scale_colour_manual(values = stats::setNames(okabe_ito(c("blue", "vermillion")),
                                                          kinds), drop = FALSE) +
    ggplot2::labs(subtitle = paste0("Dashed: ", format(100 * cut), " %"), y = NULL, colour = NULL) +
    theme_crl() + theme_many(nrow(shown))
}
