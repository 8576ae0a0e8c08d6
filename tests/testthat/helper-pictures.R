# What is wrong with a picture of some size, in words; character() if nothing is.
picture_faults <- function(plot, width = 80, height = 70, least = 4) {
  file <- withr::local_tempfile(fileext = ".pdf")
  withr::local_pdf(file, width = width / 25.4, height = height / 25.4)
  table <- ggplot2::ggplotGrob(plot)
  mm <- function(units, along) {
    convert <- if (along == "x") grid::convertWidth else grid::convertHeight
    sum(convert(units, "mm", valueOnly = TRUE))
  }
  panels <- table$layout[grepl("^panel", table$layout$name), ]
  rows <- length(unique(panels$t))
  columns <- length(unique(panels$l))
  # panels have what is left
  high <- (height - mm(table$heights, "y")) / rows
  wide <- (width - mm(table$widths, "x")) / columns
  faults <- c(if (high < least) paste("panels are", signif(high, 2), "mm high"),
              if (wide < least) paste("panels are", signif(wide, 2), "mm wide"))
  at <- function(name) table$grobs[[which(table$layout$name == name)[1]]]
  for (name in c("title", "subtitle")) {
    if (mm(grid::grobWidth(at(name)), "x") > width - 4) faults <- c(faults, paste(name, "is cut"))
  }
  axis <- at("ylab-l")
  if (mm(grid::grobHeight(axis), "y") > rows * high + height / 4) {
    faults <- c(faults, "title of the y axis is cut")
  }
  if (mm(grid::grobWidth(at("xlab-b")), "x") > columns * wide + 15) {
    faults <- c(faults, "title of the x axis is cut")
  }
  legend <- at("guide-box")
  if (inherits(legend, "gtable") && mm(legend$widths, "x") > width - 4) {
    faults <- c(faults, "legend is cut")
  }
  as.character(faults)
}
