test_that("the kernel has the signs of the reference", {
  withr::local_seed(1)
  for (control in c(FALSE, TRUE)) {
    targets <- rbind(c(1, 0, 0, 1, 0), c(0, 1, 0, 1, 0), c(0, 0, 1, 0, 0), if (control) 0)
    storage.mode(targets) <- "integer"
    for (shift in c(-3, -.2, 0, .2, 3)) {
      env <- sample(rep(seq_len(nrow(targets)), c(30, 50, 40, 25)[seq_len(nrow(targets))]))
      z <- 1e6 + matrix(stats::rnorm(length(env) * 5), ncol = 5) + shift * targets[env, ]
      mixing <- matrix(stats::rnorm(40), 8)
      for (wanted in list(rep(1L, 5), rep(-1L, 5), c(0L, 1L, -1L, 1L, 1L))) {
        expect_identical(
          .Call(C_latent_signs_of, z, mixing, env, targets, wanted),
          ref_latent_signs(z, env, targets, mixing, wanted)
        )
      }
    }
  }
  expect_identical(loading_signs(cbind(c(-1e-200, 5e-201), c(.5, -.4), c(0, 0))), c(-1L, 1L, 1L))
})

test_that("a domain of one row and targets without a contrast leave the loadings", {
  targets <- cbind(c(1L, 0L), c(1L, 1L))
  z <- cbind(c(100, 0, 0), c(1, 2, 3)) - 50
  mixing <- cbind(c(-1, 0), c(0, -1))
  expect_identical(.Call(C_latent_signs_of, z, mixing, c(1L, 2L, 2L), targets, c(1L, 1L)),
                   c(-1L, -1L))
})

# Two loadings all but tie for the largest, with opposite signs.
tied_sim <- function() {
  mixing <- matrix(0, 12, 3)
  mixing[1:4, 1] <- c(-.51, .5, .5, .489)
  mixing[5:8, 2] <- c(.5, -.51, .5, .489)
  mixing[9:12, 3] <- c(.5, .5, -.51, .489)
  withr::with_seed(1, sim_crl(chain_dag(3), n = 150, mixing = mixing))
}

test_that("signs do not change with the order of the rows, where the largest loadings tie", {
  sim <- tied_sim()
  rows <- withr::with_seed(2, sample(450))
  control <- crl_control(start = start_search(mechanisms = "linear", starts = 5), max_iter = 20)
  for (method in c("f", "g")) {
    control$prior <- "linear"
    fit <- fit_crl(sim, method = method, control = control)
    again <- fit_crl(sim$x[rows, ], sim$env[rows], sim$targets, sim$dag, method = method,
                     control = control)
    expect_gt(min(colSums(fit$mixing * again$mixing)), 0)
    expect_gt(min(diag(stats::cor(fit$latents, sim$z))), 0)
  }
})

test_that("a latent is higher where it is targeted, or lower if so wanted, in every kind of fit", {
  sim <- withr::with_seed(3, sim_crl(chain_dag(3), n = 60, p = 8))
  shifts <- function(fit) {
    vapply(1:3, function(j) {
      on <- sim$targets[sim$env, j] == 1
      sign(mean(fit$latents[on, j]) - mean(fit$latents[!on, j]))
    }, 0)
  }
  fit <- function(signs, method = "f", init = NULL, ...) {
    fit_crl(sim, method = method, init = init,
            control = crl_control(start = start_search(mechanisms = "linear", starts = 2),
                                  max_iter = 10,
                                  saem = saem_control(burn_in = 5, iterations = 5, draws = 5),
                                  signs = signs, seed = 1, ...))
  }
  for (method in c("f", "g")) {
    expect_identical(shifts(fit("up", method)), c(1, 1, 1))
    expect_identical(shifts(fit("down", method)), c(-1, -1, -1))
  }
  expect_identical(shifts(fit(c(z2 = "down"), "g", prior = "linear")), c(1, -1, 1))
  expect_identical(shifts(fit("down", "f", "pca")), c(-1, -1, -1))
  expect_identical(shifts(fit("down", mixing = "psd"))[c(1, 3)], c(-1, -1)) # z2 hardly shifts
  up <- fit("up")
  down <- fit("down")
  expect_equal(down$latents, -up$latents, tolerance = 1e-8)
  expect_identical(sign(down$optima$mixing[[1]]), sign(down$mixing))
})

test_that("signs of a given A are kept, unless others are asked for", {
  sim <- withr::with_seed(3, sim_crl(chain_dag(3), n = 60, p = 8))
  given <- list(mixing = -sim$mixing, sigma2 = sim$sigma2)
  fit <- function(...) fit_crl(sim, init = given, control = crl_control(...))
  expect_equal(unname(fit()$mixing), unname(-sim$mixing))
  expect_equal(unname(fit(signs = "up")$mixing), unname(sim$mixing))
  expect_equal(unname(fit(signs = c(z1 = "down"))$mixing), unname(sim$mixing) %*% diag(c(-1, 1, 1)))
})

test_that("signs are checked", {
  expect_error(crl_control(signs = "above"), class = "ebcrl_error_control")
  expect_error(crl_control(signs = c("up", "down")), class = "ebcrl_error_control")
  expect_error(crl_control(signs = c(z1 = "above")), class = "ebcrl_error_control")
  sim <- withr::with_seed(3, sim_crl(chain_dag(3), n = 60, p = 8))
  expect_error(fit_crl(sim, control = crl_control(signs = c(z9 = "down"))), "z9",
               class = "ebcrl_error_control")
})
