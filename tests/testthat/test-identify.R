test_that("latents that no domain tells apart are named, with what would tell them", {
  design <- crl_identify("z1 -> z2 -> z3", targets = list(control = NULL, a = "z3"))
  expect_identical(design$latents$told, c(FALSE, FALSE, TRUE))
  expect_identical(design$latents$untold_from[[1]], "z2")
  expect_identical(design$edges$told, c("undirected", "yes"))
  expect_true(design$next_target$latent[1] %in% c("z1", "z2"))
  expect_identical(design$next_target$latents[1], 2L)
  expect_identical(design$next_target$edges[1], 1L)
  all <- crl_identify(chain_dag(3), targets = rbind(0, diag(3)))
  expect_true(all(all$latents$told))
  expect_identical(all$edges$told, c("yes", "yes"))
  expect_output(print(all), "No further domain with one target would tell more")
})

test_that("complementary targets tell nothing, and colliders tell directions", {
  two <- crl_identify("z1 -> z2", targets = rbind(c(1, 0), c(0, 1)))
  expect_identical(two$latents$told, c(FALSE, FALSE))
  none <- rbind(c(0, 0, 0), c(0, 0, 0))
  expect_identical(crl_identify("z1 -> z3; z2 -> z3", targets = none)$edges$told, c("yes", "yes"))
  expect_identical(crl_identify("z1 -> z2 -> z3", targets = none)$edges$told,
                   c("undirected", "undirected"))
  # an edge into z2 makes z2 -> z3 follow: else z2 would be a collider
  expect_identical(crl_identify("z1 -> z2 -> z3", targets = rbind(none, c(1, 0, 0)))$edges$told,
                   c("yes", "yes"))
})

test_that("numbers of latents, domains and the order of either do not matter", {
  dag <- as_dag("a -> b -> c; a -> d; d -> c")
  targets <- rbind(x = c(a = 0, b = 1, c = 0, d = 0), y = c(0, 0, 1, 1), z = 0)
  first <- crl_identify(dag, targets)
  order <- c(3, 1, 4, 2)
  other <- crl_identify(as_dag(unclass(dag)[order, order]), targets[c(2, 3, 1), order])
  sorted <- function(edges) edges[order(edges$from, edges$to), ]
  expect_identical(sorted(first$edges), sorted(other$edges))
  expect_identical(first$latents$told[order], other$latents$told)
})

test_that("with general columns parents that nothing cuts off stay open", {
  targets <- rbind(c(0, 0), c(1, 0))
  perfect <- crl_identify("z1 -> z2", targets, mixing = "psd")
  expect_identical(perfect$latents$told, c(TRUE, FALSE))
  expect_identical(perfect$latents$untold_from[[2]], "z1")
  expect_snapshot(print(perfect))
})
