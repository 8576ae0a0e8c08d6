# The experiments of Figure 3 of the paper.

# Versions: settings of a fit, and the baselines that they apply to.
FIGURE_VERSIONS <- list(
  paper = list(label = "f as printed", baselines = c("true", "complete", "empty", "pooled",
                                                     "no_shrinkage", "pca"),
               settings = list(preset = "paper", spline = list(cg_tol = 1e-3))),
  f = list(label = "f, defaults", baselines = c("true", "complete", "empty", "pooled",
                                                "no_shrinkage", "pca"),
           settings = list(spline = list(interaction = "tensor"))),
  f_splines = list(label = "f, splines alone", baselines = c("true", "complete", "empty", "pooled"),
                   settings = list(spline = list(interaction = "tensor", reference = "none"))),
  f_markov = list(label = "f, Markov score", baselines = c("true", "complete", "empty", "pooled"),
                  settings = list(score = "markov", spline = list(interaction = "pairwise"))),
  f_markov_splines = list(label = "f, Markov score, splines alone",
                          baselines = c("true", "complete", "empty", "pooled"),
                          settings = list(score = "markov", spline = list(
                            interaction = "pairwise", reference = "none"
                          ))),
  g = list(label = "g, defaults", baselines = c("true", "complete", "empty", "pooled"),
           settings = list(method = "g"))
)

FIGURE_PANELS <- c("latents", "mixing", "by_latents", "by_rows", "known", "learned")

# Values along which the middle column goes.
FIGURE_LATENTS <- c(3, 4, 5, 6, 8)
FIGURE_ROWS <- c(50, 100, 200, 500, 1000, 2000)

#' The experiments of Figure 3 of the paper
#'
#' Runs the simulation study of Section 7 and Appendix D of the paper: errors of latents and mixing
#' matrix by method, the error against the number of latents and of rows, and errors by domain with
#' the mixing matrix known and learned; each under the choices printed in the paper and under the
#' defaults of this package, with the Bayes optimum of the same rows.
#'
#' | panel | data | methods | runs |
#' | --- | --- | --- | --- |
#' | `"latents"`, `"mixing"` (left) | chain of 4, 2000 rows a domain | all baselines | `runs` |
#' | `"by_latents"` (middle) | chains of 3, 4, 5, 6, 8; 2000 rows a domain | true graph | half |
#' | `"by_rows"` (middle) | chain of 4; 50 to 2000 rows a domain | true graph | half |
#' | `"known"`, `"learned"` (right) | chain of 5, 20 domains of 500 rows | all | an eighth |
#'
#' All with 100 features, noise variance 2 and one intervention a domain. The paper does not print
#' the numbers of latents and rows of the middle column, nor the graph of the right one. "M = 20
#' single-node interventions ... with 4 environments per intervention" is read as five latents, each
#' the target of four domains. The right column of the paper is of one specification; here it is the
#' median over an eighth of the runs, each with a specification of its own. The chain of two is left
#' out: it is a complete graph, and each latent has each target state in one domain only, so that
#' under imperfect interventions every rotation of the latents fits as well.
#'
#' @section Versions:
#' * `"paper"`: `crl_control(preset = "paper")`: ridge, splines on -15 to 15, start from principal
#'   components, A updated in `max_iter` iterations. Fits that converge stop earlier, see columns
#'   `iterations` and `converged`. With the complete graph, `(knots + 2)^d` coefficients, conjugate
#'   gradients stop at a relative residual of 1e-3, from where the next iteration goes on; with 1e-4
#'   errors after 1000 iterations were within 0.2 percent of these (one run), in twice the time.
#' * `"f"`: the defaults of [crl_control()]: interventional start, then A held; Gaussian reference;
#'   but `interaction = "tensor"`, so that graphs differ by their edges only, and here as below
#'   `intervention = "imperfect"`, which like the paper's score supposes nothing of interventions.
#' * `"f_splines"`: the same without the Gaussian reference, with which graphs differ less.
#' * `"f_markov"`, `"f_markov_splines"`: the defaults with `score = "markov"` and
#'   `interaction = "pairwise"`, with and without the reference; to see what hangs on the score. Not
#'   run by default.
#' * `"g"`: `method = "g"`, with the graphs (without shrinkage there is no g).
#'
#' With A known (`"known"`), A and \eqn{\sigma^2} are held at the truth in all versions, and PCA,
#' which has loadings of its own, is left out.
#'
#' @param runs Runs of the left column (default 40, as in the paper); the others have their share,
#'   rounded up.
#' @param versions Which of the versions are run. Default `c("paper", "f", "f_splines", "g")`.
#' @param data Nonlinearity of [sim_crl()]. Default `"bounded"`; `"printed"` explodes.
#' @param max_iter Iterations of version `"paper"` at most. Default 1000, as in the paper.
#' @param cl,dir,progress As in [crl_experiment()]. With `dir`, a run that was stopped goes on where
#'   it was, and one with more `runs` adds the missing ones.
#' @return A list of class `crl_figure3`:
#'   \item{methods, latents, rows, domains}{[crl_experiment()] tables of left column, middle column
#'     (top and bottom) and right column, with a column `version` (label). In `methods` and
#'     `domains`, `setting` is the version, and in `domains` whether A is known, too; in `latents`
#'     and `rows` `method` is the version, the graph being the true one}
#'   \item{runs, data}{as given}
#'
#'   `print()` shows the four tables; `tidy()` all cells, or all errors by domain, in one tibble
#'   with a column `experiment`; `autoplot()` one panel, `plot()` all six on one page.
#' @section Time:
#' About 60 minutes of processor time with the defaults, 7 minutes with `runs = 3`; half of that on
#' two idle cores. With a threaded
#' BLAS, set `OPENBLAS_NUM_THREADS=1` (or its like) before R starts.
#' @section Errors:
#' Those of [crl_experiment()]; cells that fail are recorded there.
#' @source Section 7 and Appendix D of \doi{10.48550/arXiv.2603.18404}.
#' @seealso [crl_experiment()]
#' @examples
#' \dontrun{
#' # minutes
#' figure <- figure3(runs = 3, cl = 2, dir = "results")
#' figure
#' autoplot(figure, "latents")
#' plot(figure)
#' }
#' @export
figure3 <- function(runs = 40, versions = c("paper", "f", "f_splines", "g"), data = "bounded",
                    max_iter = 1000, cl = 1, dir = NULL, progress = NULL) {
  runs <- check_number(runs, "runs", min = 1, max = 1e5, integer = TRUE)
  versions <- check_versions(versions)
  data <- check_nonlinearity(data, "data")
  max_iter <- check_number(max_iter, "max_iter", min = 1, integer = TRUE)
  cl <- check_workers(cl)
  # cells that several panels share are run once
  dir <- check_results_dir(dir %||% tempfile("figure3-"))
  if (is.numeric(cl) && cl > 1L) {
    cl <- local_workers(cl)
    on.exit(parallel::stopCluster(cl))
  }
  plan <- figure_plan(runs, versions, data, max_iter)
  # steep mechanisms are hard on importance sampling
  bayes <- list(draws = if (identical(data, "strong")) 2000 else 500)
  experiments <- lapply(plan, function(part) {
    crl_experiment(part$settings, part$methods, seq_len(part$runs), bayes = bayes,
                   metrics = list(edge_strength = edge_strength), cl = cl, dir = dir,
                   progress = progress)
  })
  new_figure(experiments, versions, runs, data)
}

#' Settings, methods and number of runs of each of the four experiments
#' @noRd
figure_plan <- function(runs, versions, data, max_iter) {
  shared <- list(p = 100, nonlinearity = data)
  along <- function(d, n) {
    rows <- Map(function(d, n) c(list(d = d, n = n), shared), d, n)
    stats::setNames(rows, paste0("d = ", d, ", n = ", n))
  }
  true <- version_methods(versions, max_iter, "true")
  all <- version_methods(versions, max_iter)
  domains <- c(list(d = 5, n = 500, targets = repeated_targets), shared)
  list(
    methods = list(settings = along(4, 2000), methods = all, runs = runs),
    latents = list(settings = along(FIGURE_LATENTS, 2000), methods = true,
                   runs = ceiling(runs / 2)),
    rows = list(settings = along(4, FIGURE_ROWS), methods = true, runs = ceiling(runs / 2)),
    domains = list(settings = list(domains = domains),
                   methods = c(known_methods(versions, max_iter), all), runs = ceiling(runs / 8))
  )
}

#' @noRd
new_figure <- function(experiments, versions, runs, data) {
  structure(list(methods = by_version(experiments$methods, versions),
                 latents = as_version(experiments$latents),
                 rows = as_version(experiments$rows),
                 domains = by_version(experiments$domains, versions), runs = runs, data = data),
            class = "crl_figure3")
}

#' Mean absolute weight of the edges
#' @noRd
edge_strength <- function(fit, sim) {
  mean(abs(sim$scm$edge_weights[sim$dag != 0]))
}

#' Four domains for each intervention
#' @noRd
repeated_targets <- function(dag) {
  latents <- colnames(dag)
  targets <- diag(length(latents))[rep(seq_along(latents), each = 4L), ]
  dimnames(targets) <- list(paste0("do(", rep(latents, each = 4L), ").", 1:4), latents)
  targets
}

#' @noRd
check_versions <- function(versions, call = rlang::caller_env()) {
  known <- names(FIGURE_VERSIONS)
  if (!is.character(versions) || length(versions) == 0L || !all(versions %in% known)) {
    abort_input(c("{.arg versions} must be some of {.val {known}}.",
                  "x" = "It is {describe(versions)}."),
                if (is.character(versions)) "range" else "type", call = call)
  }
  known[known %in% versions]
}

#' Methods named version/baseline, or with A known: version/baseline/known
#' @noRd
version_methods <- function(versions, max_iter, baselines = baseline_names()) {
  methods <- lapply(versions, function(name) {
    version <- FIGURE_VERSIONS[[name]]
    chosen <- intersect(version$baselines, baselines)
    own <- if (name == "paper") list(max_iter = max_iter) else list(intervention = "imperfect")
    fits <- lapply(chosen, function(baseline) {
      c(list(baseline = baseline), version$settings, own)
    })
    stats::setNames(fits, paste(name, chosen, sep = "/"))
  })
  do.call(c, methods)
}

#' @noRd
known_methods <- function(versions, max_iter) {
  # PCA has loadings of its own
  methods <- version_methods(versions, max_iter, setdiff(baseline_names(), "pca"))
  methods <- lapply(methods, c, list(init = "oracle"))
  stats::setNames(methods, paste0(names(methods), "/known"))
}

#' `setting` is the version, `method` the baseline; the Bayes optimum belongs to every version
#' @noRd
by_version <- function(experiment, versions) {
  named <- strsplit(as.character(experiment$method), "/", fixed = TRUE)
  part <- function(k) vapply(named, `[`, "", k)
  of_fit <- part(1L) != "bayes"
  state <- ifelse(is.na(part(3L)), "learned", "known")
  with_known <- any(state == "known")
  blocks <- unique(data.frame(version = part(1L), state = state)[of_fit, ])
  tables <- lapply(seq_len(nrow(blocks)), function(k) {
    version <- blocks$version[k]
    own <- part(1L) == version & state == blocks$state[k]
    table <- experiment[own | !of_fit, ]
    table$method <- factor(c(part(2L)[own], rep("bayes", sum(!of_fit))),
                           c(baseline_names(), "bayes"))
    table$mixing <- blocks$state[k]
    with_version(table, version)
  })
  table <- do.call(rbind, tables)
  table$setting <- if (with_known) {
    factor(paste0("A ", table$mixing, ": ", table$version))
  } else {
    factor(table$version, unique(table$version))
  }
  table$setting <- factor(table$setting, unique(table$setting))
  table$method <- droplevels(table$method)
  table
}

#' `method` is the version
#' @noRd
as_version <- function(experiment) {
  name <- sub("/.*", "", as.character(experiment$method))
  labels <- vapply(FIGURE_VERSIONS, `[[`, "", "label")
  label <- ifelse(name == "bayes", "bayes", labels[name])
  experiment$method <- factor(label, c(labels[unique(name[name != "bayes"])], "bayes"))
  experiment$version <- ifelse(name == "bayes", "Bayes optimum", label)
  experiment
}

#' @noRd
with_version <- function(table, version) {
  table$version <- FIGURE_VERSIONS[[version]]$label
  table
}

#' @export
print.crl_figure3 <- function(x, ...) {
  titles <- c(methods = "Left column: chain of 4, 2000 rows a domain",
              latents = "Middle column, top: number of latents",
              rows = "Middle column, bottom: rows a domain",
              domains = "Right column: chain of 5, 20 domains of 500 rows")
  cat("Figure 3, nonlinearity: ", if (is.function(x$data)) "user's function" else x$data, "\n",
      sep = "")
  for (name in names(titles)) {
    cat("\n", titles[[name]], "\n\n", sep = "")
    print(x[[name]])
  }
  invisible(x)
}

#' @rdname figure3
#' @param x,object A `crl_figure3`.
#' @param matrix `"cells"` or `"env"`, as of [crl_experiment()].
#' @param ... Not used.
#' @export
tidy.crl_figure3 <- function(x, matrix = c("cells", "env"), ...) {
  check_dots_empty(...)
  matrix <- check_choice(matrix, c("cells", "env"), "matrix")
  tables <- lapply(c("methods", "latents", "rows", "domains"), function(name) {
    table <- tidy(x[[name]], matrix)
    if (!"mixing" %in% names(table)) table$mixing <- rep("learned", nrow(table))
    kept <- if (matrix == "cells") setdiff(FIGURE_COLUMNS, "experiment") else names(table)
    tibble::add_column(table[kept], experiment = name, .before = 1L)
  })
  do.call(rbind, lapply(tables, function(table) {
    table$method <- as.character(table$method)
    table$setting <- as.character(table$setting)
    if (matrix == "env") table$env <- as.character(table$env)
    table
  }))
}

FIGURE_COLUMNS <- c("experiment", "version", "setting", "method", "seed", "d", "n", "mixing",
                    "rel_mse", "rel_mse_pooled", "frobenius_error", "coverage", "edge_strength",
                    "ratio", "ratio_pooled", "sigma2_hat", "iterations", "converged", "seconds",
                    "cpu_seconds", "warning", "error")

#' @rdname figure3
#' @param panel Which panel: `"latents"`, `"mixing"`, `"by_latents"`, `"by_rows"`, `"known"` or
#'   `"learned"`.
#' @export
autoplot.crl_figure3 <- function(object, panel = c("latents", "mixing", "by_latents", "by_rows",
                                                   "known", "learned"), ...) {
  check_dots_empty(...)
  panel <- check_choice(panel, FIGURE_PANELS, "panel")
  domains <- function(state) {
    part <- object$domains[object$domains$mixing == state, ]
    part$setting <- factor(part$version, unique(part$version))
    plot <- autoplot(part, "env")
    plot + ggplot2::labs(subtitle = paste0("A and noise variance ", state, "; ",
                                           plot$labels$subtitle))
  }
  switch(panel,
    latents = autoplot(object$methods),
    mixing = autoplot(object$methods, metric = "frobenius_error"),
    by_latents = autoplot(object$latents, "sweep", variable = "d"),
    by_rows = autoplot(object$rows, "sweep", variable = "n"),
    known = domains("known"),
    learned = domains("learned")
  )
}

#' @rdname figure3
#' @export
plot.crl_figure3 <- function(x, ...) {
  check_dots_empty(...)
  grid::grid.newpage()
  grid::pushViewport(grid::viewport(layout = grid::grid.layout(2L, 3L)))
  for (k in seq_along(FIGURE_PANELS)) {
    column <- (k + 1L) %/% 2L
    print(autoplot(x, FIGURE_PANELS[k]),
          vp = grid::viewport(layout.pos.row = 2L - k %% 2L, layout.pos.col = column))
  }
  invisible(x)
}
