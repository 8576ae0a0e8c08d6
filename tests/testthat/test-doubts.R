# What is said where a measurement model that was asked for contradicts the data.

doubts_of <- function(sim, ...) {
  fit <- suppressMessages(fit_crl(sim, ...))
  names(fit$doubts)
}

test_that("nothing is said of data that are as the paper has them", {
  withr::local_seed(1)
  for (k in 1:3) {
    sim <- sim_crl(chain_dag(3), n = 200, p = 40, nonlinearity = "linear")
    expect_length(doubts_of(sim, center = FALSE, noise = "equal"), 0L)
    expect_length(doubts_of(sim, init = "pca", control = crl_control(max_iter = 2)), 0L)
    expect_length(doubts_of(sim, init = list(mixing = sim$mixing)), 0L)
    expect_length(doubts_of(sim, method = "g", control = crl_control(prior = "linear")), 0L)
  }
})

test_that("each restriction that the data contradict is named, with what mends it", {
  withr::local_seed(2)
  linear <- function(...) sim_crl(chain_dag(3), n = 200, p = 40, nonlinearity = "linear", ...)
  means <- linear(center = stats::rnorm(40))
  expect_identical(doubts_of(means, center = FALSE), "center")
  expect_length(doubts_of(means), 0L)
  noisy <- linear(noise_sd = exp(stats::rnorm(40) / 2))
  expect_identical(doubts_of(noisy, center = FALSE, noise = "equal"), "noise")
  expect_length(doubts_of(noisy), 0L)
  batches <- linear(nuisance = 2)
  expect_identical(doubts_of(batches), "nuisance")
  expect_identical(doubts_of(batches, nuisance = 1), "nuisance")
  expect_length(doubts_of(batches, nuisance = "auto"), 0L)
  all <- linear(center = 3, noise_sd = exp(stats::rnorm(40) / 2), nuisance = 1)
  everything <- c("center", "noise", "nuisance")
  expect_identical(doubts_of(all, control = crl_control(preset = "paper", max_iter = 2)), everything)
  expect_identical(doubts_of(all, init = list(mixing = all$mixing)), everything)
  expect_identical(doubts_of(all, method = "g", control = crl_control(prior = "normal")), everything)
  fit <- fit_crl(all, center = FALSE, noise = "equal", control = crl_control(seed = 1))
  expect_snapshot(cat(summary(fit)$notes[1:3], sep = "\n"))
})
