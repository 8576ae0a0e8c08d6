# How the time of one EM iteration (and of all around it) grows with the rows n, the features p, the
# latents d of a chain and the parents of one node; and the peak memory of a fit of n = 1e6 rows and
# p = 100 features against the bound "x plus twelve n x d arrays".
#
# Run:   Rscript bench/growth.R [--quick]      (ebcrl and ggplot2 installed; memory needs Linux)
# Takes: about 8 minutes and 1.5 GB; --quick a minute (smaller sizes, memory at n = 1e5).
# Gives: bench/results/growth.csv, growth.png, growth-parents.png, memory.csv.
#
# Data: linear_chain_data() in common.R. Paper preset, but the range follows the data; one thread,
# one BLAS thread, seconds of CPU. A slope is that of log seconds on log size over the upper half of
# the sizes (the lower half shows the costs that do not grow). A node with q - 1 parents costs 4^q a
# row and has (knots + 2)^q coefficients a state: that is drawn against the number of parents.
#
# Memory: resident size of a child process. Its peak is reset after the data are made (or, where the
# kernel does not allow that, the data stay below it anyway: they are made column by column inside
# x), so peak - size before the fit = everything that fit_crl() took, the result included.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "common.R"))
suppressPackageStartupMessages(library(ebcrl))

sizes <- list(
  n = if (quick) c(1e3, 1e4, 1e5) else round(10^seq(3, 6, by = 0.5)),
  p = if (quick) c(10, 100, 1000) else c(10, 30, 100, 300, 1000, 2500, 5000),
  d = if (quick) c(2, 5, 10) else c(2, 4, 8, 16, 32, 50),
  parents = if (quick) 0:2 else 0:4
)
# what is held while one size varies
held <- list(n = list(p = 100, d = 4), p = list(n = 8000, d = 4), d = list(n = 20000, p = 100),
             parents = list(n = 8000, p = 100, d = 5))

time_size <- function(n, p, d, dag) {
  suppressPackageStartupMessages(library(ebcrl))
  set.seed(1)
  data <- linear_chain_data(n, p, d)
  fit <- function(k) {
    fit_crl(data$x, env = data$env, targets = data$targets, dag = dag,
            control = crl_control(preset = "paper", range = "data", max_iter = k, tol = 0,
                                  progress = FALSE))
  }
  seconds <- seconds_per_iteration(fit, clock = cpu_seconds)
  data.frame(n, p, d, iteration = seconds[["iteration"]], around = seconds[["around"]],
             solver = paste(unique(fit(1)$cells$solver), collapse = " + "))
}

# No edges but those from the first `parents` latents into the last.
collider_dag <- function(d, parents) {
  dag <- matrix(0L, d, d)
  dag[seq_len(parents), d] <- 1L
  as_dag(dag, direction = "from_row")
}

grow <- function(axis) {
  rows <- lapply(sizes[[axis]], function(size) {
    at <- held[[axis]]
    if (axis != "parents") at[[axis]] <- size
    at$dag <- if (axis == "parents") collider_dag(at$d, size) else chain_dag(at$d)
    row <- cbind(axis = axis, size = size, do.call(in_child, c(list(time_size), at)))
    cat(sprintf("%7s = %-8g %.4g s an iteration, %.3g s around it\n", axis, size, row$iteration,
                row$around))
    row
  })
  do.call(rbind, rows)
}

slope <- function(rows) {
  upper <- rows[rows$size >= stats::median(rows$size), ]
  unname(stats::coef(stats::lm(log(iteration) ~ log(size), upper))[2])
}

both_parts <- function(growth) {
  part <- function(seconds, label) data.frame(growth[c("axis", "size")], seconds, part = label)
  rows <- rbind(part(growth$iteration, "one iteration"),
                part(growth$around, "checks, start, last E-step and result"))
  rows[rows$seconds > 0, ]
}

draw <- function(rows) {
  ggplot2::ggplot(rows, ggplot2::aes(size, seconds, colour = part, linetype = part)) +
    ggplot2::geom_line() + ggplot2::geom_point() + ggplot2::scale_y_log10() +
    ggplot2::labs(y = "CPU seconds", colour = NULL, linetype = NULL) + ggplot2::theme_bw() +
    ggplot2::theme(legend.position = "bottom")
}

draw_growth <- function(growth, slopes) {
  label <- c(n = "rows n (p = 100, d = 4)", p = "features p (n = 8000, d = 4)",
             d = "latents d, chain (n = 20,000, p = 100)")
  label <- sprintf("%s\nslope of one iteration %.2f", label, slopes[names(label)])
  rows <- both_parts(growth)
  rows$axis <- factor(rows$axis, c("n", "p", "d"), label)
  draw(rows) + ggplot2::facet_wrap(~axis, scales = "free_x") + ggplot2::scale_x_log10() +
    ggplot2::labs(x = NULL)
}

draw_parents <- function(growth) {
  draw(both_parts(growth)) +
    ggplot2::labs(x = "parents of one of five latents (n = 8000, p = 100)")
}

fit_memory <- function(n, p, d) {
  suppressPackageStartupMessages(library(ebcrl))
  set.seed(1)
  data <- linear_chain_data(n, p, d)
  gc()
  before <- process_memory("VmRSS")
  reset <- reset_peak_memory()
  if (!reset && process_memory("VmHWM") > 1.01 * before) {
    stop("the data took more memory than they hold: the peak of the fit cannot be told")
  }
  fit <- fit_crl(data$x, env = data$env, targets = data$targets, dag = chain_dag(d),
                 control = crl_control(preset = "paper", max_iter = 3, tol = 0, progress = FALSE))
  array_mb <- n * d * 8 / 2^20
  peak <- process_memory("VmHWM")
  data.frame(n, p, d, x_mb = array_mb * p / d, before_mb = before, peak_mb = peak,
             fit_mb = peak - before, array_mb, arrays = (peak - before) / array_mb,
             bound_arrays = 12, peak_reset = reset)
}

cat(machine(), "\n")
growth <- do.call(rbind, lapply(names(sizes), grow))
slopes <- vapply(split(growth, growth$axis)[c("n", "p", "d")], slope, 0)
cat("slopes: ", paste(names(slopes), sprintf("%.2f", slopes), collapse = ", "), "\n", sep = "")
save_plot <- function(plot, name, width) {
  ggplot2::ggsave(result_path(name), plot, width = width, height = 4, dpi = 120)
  cat("written: bench/results/", name, "\n", sep = "")
}
by_parents <- growth$axis == "parents"
suffix <- if (quick) "-quick" else ""
save_plot(draw_growth(growth[!by_parents, ], slopes), paste0("growth", suffix, ".png"), 10)
save_plot(draw_parents(growth[by_parents, ]), paste0("growth-parents", suffix, ".png"), 6)
write_result(growth, paste0("growth", suffix, ".csv"))

memory <- in_child(fit_memory, if (quick) 1e5 else 1e6, 100, 4)
cat(sprintf(paste("memory, n = %g, p = %g, d = %g: x %.0f MB, beside it %.0f MB = %.1f arrays of",
                  "n x d (bound %g)\n"), memory$n, memory$p, memory$d, memory$x_mb, memory$fit_mb,
            memory$arrays, memory$bound_arrays))
write_result(memory, paste0("memory", suffix, ".csv"))
