test_that("halves of a clear chain have its edges, and none is by chance", {
  sim <- discover_chain(1)
  found <- crl_discover(sim, d = 3, mechanisms = "linear")
  stable <- crl_stability(found, pairs = 4, seed = 3)
  own <- stable$edges[stable$edges$present, ]
  expect_identical(own$share, c(1, 1))
  expect_setequal(paste(own$from, own$to), c("z1 z2", "z2 z3"))
  expect_true(all(stable$targets$share[stable$targets$present] == 1))
  expect_identical(stable$failed, 0L)
  expect_identical(dim(stable$agreement), c(8L, 3L))
  expect_gt(min(stable$agreement), 0.98)
  others <- sum(stable$edges$share[!stable$edges$present])
  expect_equal(stable$selected, 2 + others)
  expect_equal(own$bound, rep(stable$selected^2 / 6, 2))
  expect_output(print(stable), "Stability: 8 searches of half the rows")
  expect_output(print(stable), "Edges: z1 -> z2 \\(100 %\\)")
  expect_identical(tidy(stable), stable$edges)
  expect_identical(tidy(stable, "targets"), stable$targets)
  expect_s3_class(ggplot2::ggplot_build(autoplot(stable))$plot, "ggplot")
})

test_that("halves are complementary, by domain, and the same on workers", {
  sim <- discover_chain(2, n = 101)
  found <- crl_discover(sim, d = 3, mechanisms = "linear")
  task <- stability_task(found, 5)
  first <- half_of(task, 3L)
  second <- half_of(task, 4L)
  expect_identical(first$n_env, rep(50L, 4))
  expect_identical(second$n_env, rep(51L, 4))
  expect_equal(crossprod(first$x) + crossprod(second$x), crossprod(found$data$x))
  expect_false(identical(half_of(task, 1L)$x, first$x))
  before <- get0(".Random.seed", globalenv())
  here <- crl_stability(found, pairs = 2, seed = 5)
  expect_identical(get0(".Random.seed", globalenv()), before)
  skip_on_cran()
  expect_identical(crl_stability(found, pairs = 2, seed = 5, cl = 2), here)
})

test_that("the bound is that of Shah and Samworth", {
  expect_equal(chance_bound(c(0.5, 0.75, 1), 2, 12), c(NA, 4 / 12 / 0.5, 4 / 12))
})

test_that("what is known stays known in halves; what is no discovery is refused", {
  sim <- discover_chain(5)
  named <- c("raf", "mek", "erk")
  found <- crl_discover(sim, dag = known_edges(order = named), mechanisms = "linear")
  stable <- crl_stability(found, pairs = 1, seed = 1)
  expect_true(all(match(stable$edges$from, named) < match(stable$edges$to, named)))
  expect_error(crl_stability(sim), class = "ebcrl_error_type")
  expect_error(crl_stability(found, pairs = 0), class = "ebcrl_error_range")
})

test_that("crl_boot() and crl_compare() take discoveries", {
  sim <- discover_chain(7, n = 200, p = 10)
  found <- crl_discover(sim, d = 3, mechanisms = "linear")
  fit <- fit_crl(found)
  boot <- crl_boot(found, times = 2, seed = 1)
  expect_identical(boot$replicates, crl_boot(fit, times = 2, seed = 1)$replicates)
  none <- fit_crl(found, dag = empty_dag(3))
  both <- crl_compare(found = found, none = none, folds = 2)
  expect_setequal(both$model, c("found", "none"))
  expect_identical(both$loss, crl_compare(found = fit, none = none, folds = 2)$loss)
})

test_that("a fit names latents that its domains do not tell apart", {
  sim <- discover_chain(8, n = 200, p = 10)
  keep <- sim$env %in% c("control", "a")
  fit <- fit_crl(sim$x[keep, ], env = droplevels(sim$env[keep]), dag = sim$dag,
                 targets = list(control = character(), a = "z1"),
                 control = crl_control(intervention = "perfect"))
  expect_output(print(summary(fit)), "No domain tells z2 from z3")
  expect_null(design_note(fit_crl(sim)))
})
