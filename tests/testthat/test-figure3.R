# The plan of the figure at a size that takes no time
small_figure <- function(versions = c("paper", "f", "f_splines", "g"), runs = 2) {
  plan <- figure_plan(runs, versions, "bounded", 3)
  quick <- list(max_iter = 2, start = list(starts = 1, mechanisms = "linear"),
                saem = list(burn_in = 1, iterations = 1, draws = 2), knots = 3)
  experiments <- lapply(plan, function(part) {
    settings <- lapply(part$settings, function(s) {
      utils::modifyList(s, list(n = round(30 + s$n / 50), p = 9))
    })
    settings <- settings[vapply(settings, function(s) s$d <= 5, NA)]
    methods <- lapply(part$methods, function(m) c(m, quick[setdiff(names(quick), names(m))]))
    crl_experiment(settings, methods, seq_len(part$runs), bayes = list(draws = 200, min_ess = 5),
                   metrics = list(edge_strength = edge_strength))
  })
  new_figure(experiments, versions, runs, "bounded")
}

figure <- small_figure()

test_that("the plan has the data, methods and runs of the paper", {
  plan <- figure_plan(40, c("paper", "f", "f_splines", "g"), "bounded", 1000)
  expect_identical(vapply(plan, `[[`, 0, "runs"),
                   c(methods = 40, latents = 20, rows = 20, domains = 5))
  expect_identical(vapply(plan$latents$settings, `[[`, 0, "d"), FIGURE_LATENTS, ignore_attr = TRUE)
  expect_identical(vapply(plan$rows$settings, `[[`, 0, "n"), FIGURE_ROWS, ignore_attr = TRUE)
  paper <- plan$methods$methods[["paper/true"]]
  expect_identical(paper[c("preset", "max_iter")], list(preset = "paper", max_iter = 1000))
  expect_null(plan$methods$methods[["f/true"]]$max_iter)
  expect_identical(sum(startsWith(names(plan$methods$methods), "paper/")), 6L)
  expect_identical(sum(startsWith(names(plan$methods$methods), "g/")), 4L)
  expect_false(any(startsWith(names(plan$methods$methods), "f_markov")))
  markov <- figure_plan(1, "f_markov_splines", "bounded", 1000)$methods$methods
  expect_identical(markov[["f_markov_splines/true"]],
                   list(baseline = "true", score = "markov",
                        spline = list(interaction = "pairwise", reference = "none"),
                        intervention = "imperfect"))
  expect_false("paper/pca/known" %in% names(plan$domains$methods))
  # cells that panels have in common have one key
  expect_identical(plan$methods$settings[[1]], plan$latents$settings[["d = 4, n = 2000"]])
  expect_identical(plan$methods$settings[[1]], plan$rows$settings[["d = 4, n = 2000"]])
  targets <- repeated_targets(chain_dag(5))
  expect_identical(dim(targets), c(20L, 5L))
  expect_identical(colSums(targets), c(z1 = 4, z2 = 4, z3 = 4, z4 = 4, z5 = 4))
  expect_identical(rownames(targets)[4:5], c("do(z1).4", "do(z2).1"))
})

test_that("cells are told apart by version, and the optimum belongs to all", {
  left <- figure$methods
  expect_identical(levels(left$setting), c("f as printed", "f, defaults", "f, splines alone",
                                           "g, defaults"))
  expect_identical(levels(left$method), c(baseline_names(), "bayes"))
  expect_identical(nrow(left), 2L * (6L + 6L + 4L + 4L + 4L))
  counts <- table(left$setting, left$method)
  expect_identical(counts["g, defaults", "pca"], 0L)
  expect_true(all(counts[, "bayes"] == 2))
  # the PCA of both versions is the same, the others are not
  of <- function(version, method) left$rel_mse[left$setting == version & left$method == method]
  expect_identical(of("f as printed", "pca"), of("f, defaults", "pca"))
  expect_identical(of("f as printed", "bayes"), of("g, defaults", "bayes"))
  expect_false(any(of("f as printed", "true") == of("f, defaults", "true")))
  expect_true(all(is.na(left$error)))
  expect_identical(levels(figure$latents$method)[c(1, 5)], c("f as printed", "bayes"))
  expect_identical(unique(figure$latents$d), c(3, 4, 5))
  right <- figure$domains
  expect_identical(levels(right$setting)[c(1, 8)], c("A known: f as printed",
                                                     "A learned: g, defaults"))
  expect_identical(nrow(right), (5L + 5L + 4L + 4L) + (6L + 6L + 4L + 4L) + 8L)
  expect_true(all(right$frobenius_error[right$mixing == "known" & right$method != "bayes"] < 1e-14))
  expect_identical(nrow(right$by_env[[1]]), 20L)
  expect_gt(min(right$edge_strength), 0)
})

test_that("print, tidy, and all six panels", {
  skip_on_cran()
  expect_output(print(figure), "Left column.*f as printed.*true graph.*Right column")
  cells <- tidy(figure)
  expect_identical(names(cells), FIGURE_COLUMNS)
  expect_identical(nrow(cells), nrow(figure$methods) + nrow(figure$latents) + nrow(figure$rows) +
                     nrow(figure$domains))
  expect_identical(unique(cells$experiment), c("methods", "latents", "rows", "domains"))
  by_env <- tidy(figure, "env")
  expect_identical(sum(by_env$experiment == "domains"), 20L * nrow(figure$domains))
  for (panel in FIGURE_PANELS) {
    expect_silent(drawn <- ggplot2::ggplot_build(autoplot(figure, panel)))
  }
  known <- autoplot(figure, "known")
  expect_match(known$labels$subtitle, "known")
  expect_setequal(as.character(known$data$setting), levels(figure$methods$setting))
  withr::local_pdf(withr::local_tempfile())
  expect_identical(plot(figure), figure)
})

test_that("some versions only", {
  skip_on_cran()
  some <- small_figure("g", 1)
  expect_identical(levels(some$methods$method), c("true", "complete", "empty", "pooled", "bayes"))
  expect_silent(ggplot2::ggplot_build(autoplot(some, "by_rows")))
  expect_error(figure3(versions = "h"), class = "ebcrl_error_range")
  expect_error(figure3(versions = 1), class = "ebcrl_error_type")
  expect_error(figure3(runs = 0), class = "ebcrl_error_range")
  expect_error(figure3(data = "cubic"), class = "ebcrl_error_range")
  expect_error(figure3(max_iter = 0), class = "ebcrl_error_range")
  expect_error(autoplot(some, "left"), class = "ebcrl_error_range")
})
