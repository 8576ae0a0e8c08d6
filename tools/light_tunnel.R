# The fits of vignettes/articles/light-tunnel.Rmd: real measurements with known truth, the light tunnel
# of the Causal Chambers. The rows are not part of the package: tables and the picture of the check,
# which hold none, are stored beside the article.
#
#   Rscript tools/light_tunnel.R FILE      about two minutes
#
# FILE: a table of env (reference, red_mid, green_mid, blue_mid), sensors current, ir_1 ... vis_3, and
# the truth, red, green, blue, of the experiments uniform_reference, uniform_red_mid,
# uniform_green_mid and uniform_blue_mid of lt_interventions_standard_v1.

library(ebcrl)

file <- commandArgs(TRUE)[1]
if (is.na(file) || !file.exists(file)) stop("give the file of the measurements", call. = FALSE)
folder <- file.path("vignettes", "articles", "light-tunnel")
dir.create(folder, showWarnings = FALSE, recursive = TRUE)
store <- function(table, name) {
  utils::write.csv(table, file.path(folder, name), row.names = FALSE)
}

rows <- utils::read.csv(file)
sensors <- c("current", paste0(c("ir_", "vis_"), rep(1:3, each = 2)))
colours <- c("red", "green", "blue")
x <- as.matrix(rows[sensors])
truth <- as.matrix(rows[colours])
targets <- rbind(reference = c(0, 0, 0), diag(3))
dimnames(targets) <- list(c("reference", paste0(colours, "_mid")), colours)
dag <- matrix(0, 3, 3, dimnames = list(colours, colours))

within <- function(estimate) { # correlation within domains
  centred <- function(v) v - rowsum(v, rows$env)[rows$env, ] / c(table(rows$env)[rows$env])
  diag(stats::cor(centred(unname(estimate)), centred(unname(truth))))
}
line <- function(label, estimate, fit = NULL, seconds = NA) {
  found <- diag(stats::cor(estimate, truth))
  inside <- if (!is.null(fit)) {
    z <- fit$latents_sd
    slope <- vapply(1:3, function(j) stats::sd(truth[, j]) / sqrt(stats::var(estimate[, j]) +
                                                                   mean(z[, j]^2)), 0)
    centre <- colMeans(truth) - slope * colMeans(estimate)
    mean(abs(truth - sweep(estimate * rep(slope, each = nrow(x)), 2, centre, "+")) <=
           1.645 * z * rep(slope, each = nrow(x)))
  } else {
    NA
  }
  data.frame(fit = label, red = found[1], green = found[2], blue = found[3],
             t(stats::setNames(within(estimate), paste0("within_", colours))),
             nuisance = if (is.null(fit)) NA else fit$measurement$nuisance %||% 0L,
             coverage = inside, seconds = seconds)
}
`%||%` <- function(a, b) if (is.null(a)) b else a
fit_of <- function(...) suppressMessages(fit_crl(x, env = rows$env, targets = targets, dag = dag, ...))

settings <- list(
  "paper's model of x, f" = list(center = FALSE, noise = "equal",
                                 control = crl_control(mixing = "orthonormal", update_mixing = FALSE)),
  "default, f" = list(),
  "nuisance = \"auto\", f" = list(nuisance = "auto"),
  "nuisance = \"auto\", g" = list(nuisance = "auto", method = "g", control = crl_control(seed = 1)),
  "nuisance = \"auto\", g, noise of 2 components" = list(
    nuisance = "auto", method = "g", control = crl_control(seed = 1, prior = prior_spline(noise = 2))
  ),
  "nuisance = \"auto\", g, linear" = list(nuisance = "auto", method = "g",
                                        control = crl_control(prior = prior_linear())),
  "nuisance = 1, g, linear" = list(nuisance = 1, method = "g",
                                   control = crl_control(prior = prior_linear()))
)
fits <- list()
lines <- list()
for (name in names(settings)) {
  started <- proc.time()[["elapsed"]]
  fits[[name]] <- do.call(fit_of, settings[[name]])
  seconds <- proc.time()[["elapsed"]] - started
  lines[[name]] <- line(name, fits[[name]]$latents, fits[[name]], seconds)
  print(lines[[name]], digits = 3)
}
on_x <- stats::fitted(stats::lm(truth ~ x))
on_both <- stats::fitted(stats::lm(truth ~ x + rows$env))
store(do.call(rbind, c(lines, list(line("regression of the truth on x", on_x),
                                   line("regression of the truth on x and domain", on_both)))),
      "correlations.csv")

best <- fits[["nuisance = \"auto\", g, linear"]]
store(best$measurement$tests$nuisance, "nuisance.csv")
store(data.frame(best$columns), "columns.csv")
slopes <- t(stats::coef(stats::lm(x ~ truth)))[, -1]
noise <- apply(stats::residuals(stats::lm(x ~ truth)), 2, stats::sd)
scale <- vapply(1:3, function(j) sum(best$mixing[, j] * slopes[, j]) / sum(best$mixing[, j]^2), 0)
store(data.frame(sensor = sensors, true = slopes, found = best$mixing * rep(scale, each = 7),
                 nuisance = best$nuisance$mixing, noise_sd = sqrt(best$noise_var),
                 regression_sd = noise), "loadings.csv")
writeLines(utils::capture.output(print(best)), file.path(folder, "print.txt"))
ggplot2::ggsave(file.path(folder, "check.png"), autoplot(best, "check"), width = 7, height = 5,
                dpi = 100)
