# Few features, noise that differs by factors, a nuisance factor, columns that are far from orthogonal.
few_features <- function(seed, slope = 0, n = 800) {
  withr::with_seed(seed, {
    env <- rep(c("ref", "a", "b"), each = n)
    z1 <- rnorm(3 * n) + 3 * (env == "b")
    z2 <- rnorm(3 * n) + ifelse(env == "a", 3, slope * z1)
    nuisance <- rnorm(3 * n)
    a <- cbind(c(2, 1, 1.5, 0.5, 1), c(1, 2, 0.5, 1.5, 1), c(1, -1, 0.5, 0.8, -1.2))
    noise <- rep(c(0.1, 0.3, 1, 0.2, 0.6), each = 3 * n) * rnorm(15 * n)
    list(x = cbind(z1, z2, nuisance) %*% t(a) + noise + rep(1:5, each = 3 * n), env = env,
         mixing = a[, 1:2])
  })
}

test_that("few features: hypotheses with measurement models of their own", {
  for (slope in c(0, 0.8)) {
    data <- few_features(1, slope)
    found <- crl_discover(data$x, data$env, d = 2, observational = "ref", mixing = "psd",
                          nuisance = 1)
    expect_identical(sum(found$dag), as.integer(slope > 0))
    first <- if (slope > 0) "z1" else colnames(found$dag)[found$targets["b", ] == 1L]
    expect_identical(unname(found$targets["b", first]), 1L)
    expect_identical(rowSums(found$targets), c(a = 1, b = 1, ref = 0))
    expect_equal(sqrt(colSums(found$mixing^2)), c(z1 = 1, z2 = 1), tolerance = 1e-8)
    own <- if (first == "z1") found$mixing else found$mixing[, 2:1]
    expect_equal(own, data$mixing / rep(sqrt(colSums(data$mixing^2)), each = 5), tolerance = 0.05,
                 ignore_attr = TRUE)
    if (slope > 0) { # in units of columns of length 1
      length <- sqrt(colSums(data$mixing^2))
      expect_equal(found$edges$effect[1], slope * length[2] / length[1], tolerance = 0.1)
    }
  }
  expect_output(print(found), "b: z1")
})

test_that("BIC of a hypothesis is that of its measurement model", {
  data <- few_features(2, 0.8, n = 300)
  found <- crl_discover(data$x, data$env, d = 2, observational = "ref", mixing = "psd",
                        nuisance = 1)
  fit <- fit_crl(data$x, data$env, found$targets, found$dag, center = TRUE, noise = "by_feature",
                 nuisance = 1, method = "g",
                 control = crl_control(prior = "linear", mixing = "psd", intervention = "perfect"))
  domains <- fit$measurement$domains
  expect_equal(found$hypotheses$loglik[1], domains$loglik, tolerance = 1e-6)
  expect_identical(found$hypotheses$parameters[1], as.integer(domains$parameters))
})
