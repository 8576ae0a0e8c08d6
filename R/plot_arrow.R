# Arrows between boxes of text: where they end is known once the picture has a size, so that they
# are cut, and their labels placed, when it is drawn.

#' Arrows between nodes that stand in boxes of text
#'
#' Aesthetics `x`, `y`, `xend`, `yend`: middles of the boxes; `x0`, `y0`: where the arrow is
#' halfway; `from`, `to`: texts in the boxes; `label`: text beside the arrow, or "".
#' @param size Size of the texts in the boxes, mm.
#' @noRd
geom_link <- function(mapping, data, size, ...) {
  ggplot2::layer(geom = GeomLink, mapping = mapping, data = data, stat = "identity",
                 position = "identity", params = list(size = size, ...))
}

#' @noRd
GeomLink <- ggplot2::ggproto( # nolint: object_name_linter.
  "GeomLink", ggplot2::Geom,
  required_aes = c("x", "y", "xend", "yend", "x0", "y0", "from", "to"),
  default_aes = ggplot2::aes(colour = "grey40", linewidth = 0.5, linetype = 1, alpha = NA,
                             label = ""),
  draw_key = function(data, params, size) ggplot2::draw_key_path(data, list(), size),
  draw_panel = function(data, panel_params, coord, size) {
    data$colour[is.na(data$colour)] <- "grey60" # of unknown sign
    grid::gTree(links = coord$transform(data, panel_params), size = size, cl = "crl_links")
  }
)

# Heads of arrows, and what they keep from boxes, mm.
ARROW_HEAD <- 2.2
ARROW_GAP <- 0.5

# Text of labels beside arrows, mm: smaller where larger labels would cover something.
LABEL_SIZES <- c(2.6, 2.2, 1.8)

# Rounds in which labels make room for each other.
LABEL_ROUNDS <- 4L

#' Room around text of a size in a box of a graph, mm
#' @noRd
box_padding <- function(size) 0.35 * size

#' @importFrom grid makeContent
#' @export
#' @noRd
makeContent.crl_links <- function(x) {
  links <- links_in_mm(x$links)
  starts <- boxes_of(links$from, links$x, links$y, x$size)
  ends <- boxes_of(links$to, links$xend, links$yend, x$size)
  lines <- lapply(seq_len(nrow(links)), function(k) {
    between_boxes(curve_through(links[k, ]), starts[k, ], ends[k, ],
                  ARROW_GAP + arrow_width(links[k, ]) / 2)
  })
  drawn <- vapply(lines, nrow, 0L) > 1L
  labelled <- drawn & !is.na(links$label) & links$label != ""
  places <- label_places(links$label[labelled], lines[labelled], lines, unique(rbind(starts, ends)),
                         panel_box())
  grid::setChildren(x, do.call(grid::gList, c(
    lapply(which(drawn), function(k) arrow_grob(lines[[k]], links[k, ])),
    lapply(seq_len(nrow(places)), function(k) label_grobs(links$label[labelled][k], places[k, ]))
  )))
}

#' @noRd
links_in_mm <- function(links) {
  for (name in c("x", "xend", "x0")) {
    links[[name]] <- grid::convertX(grid::unit(links[[name]], "npc"), "mm", valueOnly = TRUE)
  }
  for (name in c("y", "yend", "y0")) {
    links[[name]] <- grid::convertY(grid::unit(links[[name]], "npc"), "mm", valueOnly = TRUE)
  }
  links
}

#' Width of a line, mm
#' @noRd
arrow_width <- function(link) link$linewidth * ggplot2::.pt * 25.4 / 96

#' Boxes around texts, mm: middle and half sizes
#' @noRd
boxes_of <- function(texts, x, y, size, padding = box_padding(size)) {
  sides <- vapply(texts, function(text) {
    grob <- grid::textGrob(text, gp = grid::gpar(fontsize = size * ggplot2::.pt))
    c(grid::convertWidth(grid::grobWidth(grob), "mm", valueOnly = TRUE),
      grid::convertHeight(grid::grobHeight(grob), "mm", valueOnly = TRUE))
  }, c(0, 0))
  data.frame(x = x, y = y, wide = sides[1L, ] / 2 + padding, high = sides[2L, ] / 2 + padding,
             row.names = NULL)
}

#' Points of the parabola from (x, y) to (xend, yend) that is at (x0, y0) halfway
#' @noRd
curve_through <- function(link, points = 121L) {
  t <- seq(0, 1, length.out = points)
  along <- function(start, middle, end) {
    (1 - t)^2 * start + 2 * t * (1 - t) * (2 * middle - (start + end) / 2) + t^2 * end
  }
  cbind(along(link$x, link$x0, link$xend), along(link$y, link$y0, link$yend))
}

#' @noRd
in_box <- function(points, box, gap = 0) {
  abs(points[, 1L] - box$x) <= box$wide + gap & abs(points[, 2L] - box$y) <= box$high + gap
}

#' The part of a line from where it leaves a box to where it meets another
#' @noRd
between_boxes <- function(line, start, end, gap) {
  left <- max(0L, which(in_box(line, start)))
  met <- which(in_box(line, end, gap))
  met <- min(nrow(line) + 1L, met[met > left])
  line[seq_len(nrow(line)) > left & seq_len(nrow(line)) < met, , drop = FALSE]
}

#' @noRd
arrow_grob <- function(line, link) {
  length <- sum(sqrt(rowSums(diff(line)^2)))
  colour <- ggplot2::alpha(link$colour, link$alpha)
  grid::linesGrob(
    line[, 1L], line[, 2L], default.units = "mm",
    arrow = grid::arrow(length = grid::unit(min(ARROW_HEAD, length / 2), "mm"), type = "closed"),
    gp = grid::gpar(col = colour, fill = colour, lwd = link$linewidth * ggplot2::.pt,
                    lty = link$linetype, lineend = "butt", linejoin = "mitre")
  )
}

#' The panel, mm
#' @noRd
panel_box <- function() {
  npc <- grid::unit(1, "npc")
  half <- c(grid::convertWidth(npc, "mm", valueOnly = TRUE),
            grid::convertHeight(npc, "mm", valueOnly = TRUE)) / 2
  data.frame(x = half[1L], y = half[2L], wide = half[1L], high = half[2L])
}

#' Where labels of arrows have room: beside their line, clear of other lines, boxes and labels as
#' far as that can be, in the largest text in which it can
#' @param lines Those of the labels, `all` all of them.
#' @param panel See panel_box().
#' @return Boxes, as of boxes_of(), and `size`, that of the text.
#' @noRd
label_places <- function(labels, lines, all, boxes, panel) {
  best <- NULL
  for (size in LABEL_SIZES) {
    found <- placed_labels(labels, lines, all, boxes, panel, size)
    if (is.null(best) || found$covered < best$covered) best <- found
    if (best$covered == 0) break
  }
  best$texts
}

#' Labels of a size, each where it covers least, given where the others are: in rounds
#' @return list: `texts`, their boxes with `size`; `covered`, how much they cover in all
#' @noRd
placed_labels <- function(labels, lines, all, boxes, panel, size) {
  many <- length(labels)
  texts <- boxes_of(labels, rep(0, many), rep(0, many), size, 0.3)
  tried <- lapply(seq_len(many), function(k) label_candidates(lines[[k]], texts[k, ]))
  fixed <- lapply(seq_len(many), function(k) {
    label_hits(tried[[k]], lines[[k]], all, boxes, panel)
  })
  chosen <- rep(NA_integer_, many)
  for (round in seq_len(LABEL_ROUNDS)) {
    before <- chosen
    for (k in seq_len(many)) {
      others <- texts[setdiff(which(!is.na(chosen)), k), ]
      hits <- fixed[[k]] + 3 * overlaps(tried[[k]], others)
      chosen[k] <- which.min(hits + seq_along(hits) / 100)
      texts[k, c("x", "y")] <- tried[[k]][chosen[k], c("x", "y")]
    }
    if (identical(before, chosen)) break
  }
  own <- vapply(seq_len(many), function(k) fixed[[k]][chosen[k]], 0)
  texts$size <- rep(size, many)
  list(texts = texts, covered = sum(own) + 3 * sum(overlaps(texts, texts) - 1))
}

#' Places of a label on both sides of a line, those by its middle first, close to it, farther, and on it
#' @noRd
label_candidates <- function(line, text) {
  at <- rep(c(0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8), each = 2L)
  k <- pmin(pmax(round(at * nrow(line)), 1L), nrow(line) - 1L)
  step <- line[k + 1L, , drop = FALSE] - line[k, , drop = FALSE]
  normal <- cbind(-step[, 2L], step[, 1L]) / sqrt(rowSums(step^2))
  # to the right of the line first
  normal <- normal * sign(normal[, 1L] + 1e-9) * rep(c(1, -1), length.out = length(at))
  away <- abs(normal[, 1L]) * text$wide + abs(normal[, 2L]) * text$high + 0.8
  beside <- function(far) {
    data.frame(x = line[k, 1L] + normal[, 1L] * far, y = line[k, 2L] + normal[, 2L] * far,
               wide = text$wide, high = text$high)
  }
  rbind(beside(away), beside(away + 1.5), beside(0))
}

#' How much of lines and boxes a label covers at each of some places: other lines count once each, its
#' own by the share that is covered; boxes for more, as does what is cut off by the panel, and places
#' that are nearer to another line, where a label would be read as that line's
#' @noRd
label_hits <- function(places, own, lines, boxes, panel) {
  others <- lines[!vapply(lines, identical, NA, own) & vapply(lines, nrow, 0L) > 0L]
  cut <- abs(places$x - panel$x) + places$wide > panel$wide |
    abs(places$y - panel$y) + places$high > panel$high
  of_lines <- vapply(seq_len(nrow(places)), function(k) {
    place <- places[k, ]
    crossed <- sum(vapply(others, function(line) any(in_box(line, place)), NA))
    nearest <- min(Inf, vapply(others, from_box, 0, place))
    crossed + 2 * mean(in_box(own, place)) + 2 * (nearest < from_box(own, place))
  }, 0)
  of_lines + 3 * overlaps(places, boxes) + 4 * cut
}

#' Distance of a line from a box
#' @noRd
from_box <- function(line, box) {
  min(sqrt(pmax(abs(line[, 1L] - box$x) - box$wide, 0)^2 +
             pmax(abs(line[, 2L] - box$y) - box$high, 0)^2))
}

#' How many of some boxes each of others overlaps
#' @noRd
overlaps <- function(places, boxes) {
  vapply(seq_len(nrow(places)), function(k) {
    sum(abs(boxes$x - places$x[k]) < boxes$wide + places$wide[k] &
          abs(boxes$y - places$y[k]) < boxes$high + places$high[k])
  }, 0)
}

#' @noRd
label_grobs <- function(label, place) {
  x <- grid::unit(place$x, "mm")
  y <- grid::unit(place$y, "mm")
  grid::grobTree(
    grid::rectGrob(x, y, grid::unit(2 * place$wide, "mm"), grid::unit(2 * place$high, "mm"),
                   gp = grid::gpar(fill = ggplot2::alpha("white", 0.8), col = NA)),
    grid::textGrob(label, x, y, gp = grid::gpar(fontsize = place$size * ggplot2::.pt,
                                                lineheight = 0.9, col = "grey20"))
  )
}
