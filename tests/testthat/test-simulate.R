sample_sim <- function(..., seed = 1) {
  withr::with_seed(seed, sim_crl(...))
}

test_that("the defaults are those of Section 7, with one-hot targets", {
  sim <- sample_sim()
  expect_s3_class(sim, "crl_sim")
  expect_identical(dim(sim$x), c(8000L, 100L))
  expect_identical(dim(sim$z), c(8000L, 4L))
  expect_identical(levels(sim$env), paste0("do(z", 1:4, ")"))
  expect_true(all(table(sim$env) == 2000))
  expect_identical(matrix(as.integer(sim$targets), 4), diag(1L, 4))
  expect_equal(crossprod(sim$mixing), diag(4), ignore_attr = TRUE, tolerance = 1e-12)
  expect_identical(unname(unclass(sim$dag) != 0), unname(sim$scm$edge_weights != 0))
  expect_true(all(abs(sim$scm$edge_weights) <= 1))
  expect_equal(sim$scm[c("nonlinearity", "kappa", "parent_effect")],
               list(nonlinearity = "bounded", kappa = 3, parent_effect = 0))
})

test_that("latents follow the mechanisms and features the measurement model", {
  sim <- sample_sim(n = 4000)
  z <- sim$z
  w <- sim$scm$edge_weights
  targeted <- unclass(sim$targets)[sim$env, ] == 1
  g <- tanh(3 * z) + tanh(3 * z)^3
  for (j in 1:4) {
    a <- targeted[, j]
    expect_equal(mean(z[a, j]), 10, tolerance = 0.01)
    expect_equal(stats::sd(z[a, j]), 1, tolerance = 0.05)
    u <- z[!a, j] - if (j > 1) g[!a, j - 1] * w[j - 1, j] else 0
    expect_lt(abs(mean(u)), 0.08)
    expect_equal(stats::var(u), 4, tolerance = 0.05)
    if (j > 1) expect_lt(abs(stats::cor(u, g[!a, j - 1])), 0.04)
  }
  noise <- sim$x - z %*% t(sim$mixing)
  expect_equal(mean(noise^2), 2, tolerance = 0.01)
  expect_lt(max(abs(crossprod(noise, z)) / nrow(z)), 1)
  expect_lt(abs(stats::cor(noise[, 1], noise[, 2])), 0.04)
})

test_that("imperfect interventions keep a share of the parents", {
  weights <- rbind(c(0, 2), 0)
  sim <- sample_sim(chain_dag(2), n = 20000, p = 3, edge_weights = weights, nonlinearity = "linear",
                    intervention = "imperfect", parent_effect = 0.25)
  slope <- function(rows) unname(stats::coef(stats::lm(sim$z[rows, 2] ~ sim$z[rows, 1])))
  expect_equal(slope(sim$env == "do(z2)"), c(10, 0.5), tolerance = 0.02)
  expect_equal(slope(sim$env == "do(z1)")[2], 2, tolerance = 0.03)
  perfect <- sample_sim(chain_dag(2), n = 20000, p = 3, edge_weights = weights,
                        nonlinearity = "linear")
  rows <- perfect$env == "do(z2)"
  expect_lt(abs(stats::cor(perfect$z[rows, 1], perfect$z[rows, 2])), 0.03)
})

test_that("every nonlinearity is the function documented", {
  z <- c(-5, -0.3, 0, 0.2, 4)
  g <- function(label, kappa = 3) {
    apply_nonlinearity(z, list(nonlinearity = label, kappa = kappa))
  }
  expect_equal(g("linear"), z)
  expect_equal(g("tanh", 2), tanh(2 * z))
  expect_equal(g("bounded"), tanh(3 * z) + tanh(3 * z)^3)
  expect_equal(g("printed"), tanh(3 * z) + 27 * z^3)
  x <- c(-2, -0.9, 0, 0.6, 2)
  expect_equal(g("strong"), tanh(x) + x^3)
  expect_equal(apply_nonlinearity(z, list(nonlinearity = cos)), cos(z))
  for (label in c("linear", "tanh", "strong")) {
    sim <- sample_sim(n = 20, p = 5, nonlinearity = label)
    expect_identical(sim$scm$nonlinearity, label)
  }
})

test_that("the printed nonlinearity warns with the size reached, and errors beyond doubles", {
  expect_warning(sim <- sample_sim(nonlinearity = "printed", n = 100), "1e\\+|e\\+",
                 class = "ebcrl_warning_exploding")
  expect_gt(max(abs(sim$z)), 1e15)
  expect_error(suppressWarnings(sample_sim(chain_dag(10), n = 10, nonlinearity = "printed")),
               "printed", class = "ebcrl_error_range")
})

test_that("names, unequal n, given weights and mixing are carried through", {
  weights <- matrix(c(0, 0, 0, 0.5, 0, 0, -1, 0.2, 0), 3)
  mixing <- matrix(c(3, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 1), 4, dimnames = list(letters[1:4], NULL))
  sim <- sample_sim("u -> v -> w; u -> w", n = c(both = 7, none = 3), mixing = mixing, sigma2 = 0,
                    targets = list(none = character(), both = c("u", "w")), edge_weights = weights,
                    noise_var = c(1, 2, 3))
  expect_identical(as.vector(table(sim$env)), c(3L, 7L))
  expect_identical(levels(sim$env), c("none", "both"))
  expect_identical(colnames(sim$z), c("u", "v", "w"))
  expect_identical(colnames(sim$x), letters[1:4])
  expect_equal(unname(sim$scm$edge_weights), weights)
  expect_equal(sim$x, sim$z %*% t(mixing), ignore_attr = TRUE)
  expect_identical(unname(sim$scm$noise_var), c(1, 2, 3))
  expect_null(attr(sim$targets, "env"))
  expect_identical(unclass(sim$targets)["both", ], c(u = 1L, v = 0L, w = 1L))
})

test_that("target columns are matched to the graph by name", {
  targets <- matrix(c(0, 1, 1, 0), 2, dimnames = list(c("d1", "d2"), c("b", "a")))
  sim <- sample_sim("a -> b", n = 500, p = 4, targets = targets)
  expect_identical(colnames(sim$z), c("a", "b"))
  expect_equal(mean(sim$z[sim$env == "d1", "a"]), 10, tolerance = 0.05)
  expect_equal(mean(sim$z[sim$env == "d2", "b"]), 10, tolerance = 0.05)
})

test_that("set.seed() decides", {
  expect_identical(sample_sim(n = 5), sample_sim(n = 5))
  expect_false(identical(sample_sim(n = 5)$x, sample_sim(n = 5, seed = 2)$x))
})

test_that("the mixing is uniform on the Stiefel manifold", {
  first <- withr::with_seed(1, replicate(2000, random_orthonormal(3, 2)))
  # each entry of a uniform unit vector in 3 dimensions is uniform on [-1, 1]
  for (entry in list(first[1, 1, ], first[2, 2, ])) {
    expect_gt(stats::ks.test(entry, "punif", -1, 1)$p.value, 0.01)
  }
})

test_that("print names the parts", {
  out <- capture.output(print(sample_sim("raf -> mek", n = 5, p = 3)))
  expect_match(out[1], "10 rows, 3 features, 2 latents, 2 domains")
  expect_match(out, "raf -> mek", all = FALSE)
  expect_match(out, "do\\(mek\\)", all = FALSE)
})

test_that("bad arguments are classed errors that name them", {
  skip_on_cran()
  refused <- function(code, class, regexp) {
    expect_error(code, regexp, class = paste0("ebcrl_error_", class))
  }
  refused(sim_crl(n = 0), "range", "`n`")
  refused(sim_crl(n = c(5, 5)), "shape", "`n`")
  refused(sim_crl(n = "many"), "type", "`n`")
  refused(sim_crl(chain_dag(2), n = c(a = 1, b = 2)), "domain", "`n`")
  refused(sim_crl(p = 3), "rank", "`p`")
  refused(sim_crl(mixing = matrix(1, 6, 4)), "rank", "`mixing`")
  refused(sim_crl(mixing = diag(3)), "shape", "`mixing`")
  refused(sim_crl(mixing = diag(4), p = 7), "shape", "`mixing`")
  refused(sim_crl(mixing = "A"), "type", "`mixing`")
  refused(sim_crl(sigma2 = -1), "range", "`sigma2`")
  refused(sim_crl(sigma2 = NA), "missing", "`sigma2`")
  refused(sim_crl(kappa = 0), "range", "`kappa`")
  refused(sim_crl(noise_var = 0), "range", "`noise_var`")
  refused(sim_crl(noise_var = 1:3), "shape", "`noise_var`")
  refused(sim_crl(intervention_sd = "one"), "type", "`intervention_sd`")
  refused(sim_crl(intervention = "soft"), "range", "`intervention`")
  refused(sim_crl(nonlinearity = "cubic"), "range", "`nonlinearity`")
  refused(sim_crl(nonlinearity = function(z) 1), "type", "`nonlinearity`")
  refused(sim_crl(nonlinearity = function(z) z / 0, n = 5), "type", "`nonlinearity`")
  refused(sim_crl(nonlinearity = function(z) exp(exp(z * z)), n = 50), "range", "`nonlinearity`")
  refused(sim_crl(edge_weights = t(unclass(chain_dag(4)))), "dag", "z2 -> z1")
  refused(sim_crl(edge_weights = diag(3)), "shape", "`edge_weights`")
  refused(sim_crl(targets = matrix(2, 1, 4)), "targets", "`targets`")
  refused(sim_crl(targets = diag(3)), "shape", "`targets`")
})

test_that("noise of every kind has mean 0 and variance 1, and its shape", {
  for (kind in c("gaussian", "t4", "skewed")) {
    u <- withr::with_seed(1, ebcrl:::noise_draws[[kind]](1e5))
    expect_lt(abs(mean(u)), 0.02)
    expect_lt(abs(stats::var(u) - 1), 0.06)
    expect_equal(mean(u^3), if (kind == "skewed") 2 else 0, tolerance = 0.5)
    far <- switch(kind, gaussian = 2 * stats::pnorm(-3), t4 = 2 * stats::pt(-3 * sqrt(2), 4),
                  skewed = exp(-4))
    expect_equal(mean(abs(u) > 3), far, tolerance = 0.1)
  }
  sim <- withr::with_seed(1, sim_crl(n = 20, p = 5, noise = "t4"))
  expect_identical(sim$scm$noise, "t4")
  expect_output(print(sim), "latents' noise: t4")
})

test_that("numbers by latent are matched by name", {
  draw <- function(...) withr::with_seed(1, sim_crl(dag = "a -> b", n = 5, p = 4, ...))
  expect_identical(draw(noise_var = c(b = 1, a = 9)), draw(noise_var = c(9, 1)))
  weights <- matrix(c(0, 0, 0.5, 0), 2, dimnames = list(c("a", "b"), c("a", "b")))
  expect_identical(draw(edge_weights = weights[2:1, 2:1]), draw(edge_weights = unname(weights)))
  mixing <- `colnames<-`(diag(4)[, 1:2], c("a", "b"))
  expect_identical(draw(mixing = mixing[, 2:1]), draw(mixing = mixing))
  for (wrong in list(list(noise_var = c(a = 1, c = 9)),
                     list(edge_weights = `colnames<-`(weights, c("a", "c"))),
                     list(mixing = `colnames<-`(mixing, c("a", "c"))))) {
    expect_error(do.call(draw, wrong), class = "ebcrl_error_names")
  }
})
