# usage: Rscript tools/demo.R
# An analysis as one would make it: graph, latents, mechanisms, loadings, effects. Then two worked
# examples with known latents, a simulation and real measurements, each with the mixing matrix A
# known, learned from principal components as in the paper, and learned by the interventional start.
# Prints tables and writes figures to demo-output/.

library(ebcrl)
library(ggplot2)

started <- proc.time()[["elapsed"]]
dir.create("demo-output", showWarnings = FALSE)

heading <- function(text) cat("\n", text, "\n", strrep("=", nchar(text)), "\n", sep = "")

paragraph <- function(...) cat("\n", paste0(strwrap(paste0(...), width = 90), "\n"), sep = "")

# The errors of fits made by crl_baselines(): table, and figure in demo-output/<file>.
show_errors <- function(fits, truth, bayes = NULL, subtitle, file) {
  cat("\n")
  print(summary(fits, truth = truth, bayes = bayes))
  path <- file.path(getwd(), "demo-output", file)
  ggsave(path, autoplot(fits, truth = truth, bayes = bayes) + labs(subtitle = subtitle),
         width = 8, height = 5, dpi = 120, bg = "white")
  cat("\nFigure: ", path, "\n", sep = "")
}

# A picture of a fit in demo-output/<file>.
show_picture <- function(plot, file, width = 6, height = 4) {
  path <- file.path(getwd(), "demo-output", file)
  ggsave(path, plot, width = width, height = height, dpi = 120, bg = "white")
  cat("Figure: ", path, "\n", sep = "")
}

# What a fit missed of the space spanned by A: the sum of the squared sines of the d angles between
# the two spaces, from 0 (same space) to d.
space_error <- function(fit, mixing) {
  signif(ncol(mixing) - sum(crossprod(coef(fit), mixing)^2), 2)
}

source("tools/demo_analysis.R")
source("tools/demo_chain.R")
source("tools/demo_sachs.R")
cat(sprintf("\nDone in %.0f seconds.\n", proc.time()[["elapsed"]] - started))
