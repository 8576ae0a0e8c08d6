# usage: Rscript tools/figure3.R [--runs=40] [--cores=2] [--versions=paper,f,f_splines,g]
#                                [--data=bounded] [--name=]
# Runs the experiments of Figure 3 of the paper by figure3() and writes tables and pictures to
# vignettes/articles/figure3/, which the article figure3.Rmd reads; with a name (--name, by default
# a nonlinearity other than "bounded") tables alone, named <table>-<name>. Finished cells are kept
# in .build/figure3 (-<data>), from where a run that was stopped goes on. The article's tables:
#   Rscript tools/figure3.R
#   Rscript tools/figure3.R --data=linear --runs=10
#   Rscript tools/figure3.R --data=strong --runs=10
#   Rscript tools/figure3.R --name=markov --runs=10 \
#     --versions=f,f_splines,f_markov,f_markov_splines

library(ebcrl)
library(ggplot2)

# The text after "--name=" on the command line.
option <- function(name, default) {
  given <- grep(paste0("^--", name, "="), commandArgs(TRUE), value = TRUE)
  if (length(given) == 0L) default else sub("^[^=]*=", "", given[1L])
}

results <- option("out", "vignettes/articles/figure3")
data <- option("data", "bounded")
suffix <- function(of) if (nzchar(of)) paste0("-", of) else ""
other_data <- if (data == "bounded") "" else data
name <- suffix(option("name", other_data))
cells <- option("dir", paste0(".build/figure3", suffix(other_data)))
dir.create(results, recursive = TRUE, showWarnings = FALSE)
dir.create(cells, recursive = TRUE, showWarnings = FALSE)
kept <- length(list.files(cells, "[.]rds$"))

started <- proc.time()[["elapsed"]]
figure <- figure3(
  runs = as.integer(option("runs", "40")), cl = as.integer(option("cores", "2")), dir = cells,
  versions = strsplit(option("versions", "paper,f,f_splines,g"), ",")[[1L]], data = data,
  progress = TRUE
)
elapsed <- proc.time()[["elapsed"]] - started
print(figure)

# Six figures say all there is to say, in a third of the space.
write_table <- function(table, table_name) {
  number <- vapply(table, is.double, NA)
  table[number] <- lapply(table[number], signif, 6L)
  utils::write.csv(table, file.path(results, paste0(table_name, name, ".csv")), row.names = FALSE)
}
write_table(tidy(figure), "cells")
env <- tidy(figure, "env")
write_table(env[env$experiment == "domains", ], "domains") # the only panel by domain

files <- list.files(cells, "[.]rds$", full.names = TRUE)
ran <- length(files) - kept
cpu_seconds <- sum(unlist(lapply(files, function(file) readRDS(file)$cpu_seconds)))
model <- character()
if (file.exists("/proc/cpuinfo")) {
  model <- grep("model name", readLines("/proc/cpuinfo"), value = TRUE)
}
write_table(data.frame(
  runs = figure$runs, data = figure$data, cells_run = ran, cells_kept_before = kept,
  cpu_minutes = cpu_seconds / 60, minutes = elapsed / 60, cores = as.integer(option("cores", "2")),
  processor = if (length(model) > 0L) sub(".*: ", "", model[1L]) else Sys.info()[["machine"]],
  version = as.character(packageVersion("ebcrl")), R = as.character(getRversion())
), "run")

if (name == "") {
  panels <- c("latents", "mixing", "by_latents", "by_rows", "known", "learned")
  sizes <- list(latents = c(6, 4.5), mixing = c(6, 4.5), by_latents = c(5, 4), by_rows = c(5, 4),
                known = c(6, 7), learned = c(6, 7))
  for (panel in panels) {
    file <- file.path(results, paste0(panel, ".png"))
    ggsave(file, autoplot(figure, panel), width = sizes[[panel]][1L], height = sizes[[panel]][2L],
           dpi = 120, bg = "white")
  }
  png(file.path(results, "page.png"), width = 15, height = 11, units = "in", res = 100)
  plot(figure)
  invisible(dev.off())
}
cat(sprintf("\n%d cells run, %d kept from before; %.1f minutes. Tables and pictures: %s\n", ran,
            kept, elapsed / 60, results))
