#' Mixing matrices with correlated columns
#'
#' What `mixing = "psd"` of [crl_control()] means for f-modeling, for the start and for what the data
#' can tell.
#'
#' @section Noise and score:
#' With `mixing = "psd"` the pseudo-latents are \eqn{y = \Lambda^{-1} O'x = (A'A)^{-1} A'x = z +}
#' noise of covariance \eqn{\sigma^2 \Lambda^{-2}}, so that the graph speaks of their coordinates,
#' but the noise is correlated. Then the score of a pseudo-latent depends on all the others,
#' through the noise, and a score of node and parents alone misses most of it: with A and
#' \eqn{\sigma^2} known and condition number 5, its error was 2.9 to 3.6 times the Bayes optimum
#' (median of 12 seeds, `bench/psd.R`). The Gaussian reference takes that part, the splines the
#' rest: 1.01 to 1.02 times with linear and bounded mechanisms, 1.08 with strong ones. The splines'
#' variance is multiplied by the noise, so that `lambda` has to be larger than elsewhere; its
#' default here is 1000. Where a general A is given and `mixing = "fixed"`, it is 5 unless it is
#' set.
#'
#' With A learned, the error was 1.05, 1.09 and 1.16 times the Bayes optimum with linear, bounded
#' and strong mechanisms (worst of 12 seeds: 1.22, 1.13 and 1.25), where the best rotation had 11 to
#' 14, and 90 % intervals covered 87.8, 88.6 and 88.5 %.
#'
#' Updates of A are neutral in every direction within the column space, and errors of the score add
#' up: 50 of them raised the error from 1.09 to 1.18 times the Bayes optimum with bounded
#' mechanisms, from 1.16 to 1.22 with strong ones (worst 4.2), and with `lambda = 5` A ran towards dependent
#' columns. So `"psd"` holds A at its start, except at principal components, which do not know the
#' latents; `update_mixing = TRUE` updates it from any.
#'
#' Lengths of columns are a convention, since A and z may trade a scale: `"psd"` keeps columns at
#' length 1, those of an `init` included; `"fixed"` keeps the lengths given.
#'
#' With `"psd"`, `init = "interventional"` looks for the most likely invertible mixing within the
#' principal subspace, not only for a rotation, from the best rotation and `starts - 1` random ones;
#' mechanisms are linear, and `objective` in `optima` is a row's. With `mechanisms = "sampled"` or
#' `"spline"`, draws go on from the best (see [start_search()]), since no correction for noise as
#' large as it is in some direction lets splines be fitted to pseudo-latents: up to 2000 iterations
#' with 2000 rows a domain, equally spaced, 300 each time the rows are doubled, 50 more with all of
#' them. The noise of the g-model is as [prior_spline()] says. Its A is what the fit takes; the latents come
#' from f-modeling.
#'
#' This takes perfect interventions: with imperfect ones \eqn{z_j + c z_k}, k a parent of j, is as
#' likely as \eqn{z_j} where no child of j objects, as at the end of a chain, and all but as likely
#' where mechanisms are weak. Where that is so, `intervention = "auto"` is `"perfect"` with `"psd"`;
#' with imperfect ones forced, the fit says which latents are concerned.
#' @seealso [crl_control()], [start_search()]
#' @section mixing = "auto" and intervention = "auto":
#' Correlated columns under perfect interventions and orthogonal ones under imperfect interventions
#' pass for one another, so that an interventional start compares three models at once: orthogonal
#' columns with perfect or imperfect interventions, general columns with perfect ones.
#'
#' General columns are taken where graph and targets tell them, the largest cosine is above 0.35, the
#' linear-Gaussian model says so (by BIC against both others, and at level .001), and so do splines
#' for mechanisms, by at least 0.02 of log-likelihood a row and 0.35 of what they gain over lines:
#' lines through steep mechanisms fit better with columns at other angles, too. Where splines break
#' down, which they do for columns that are wrong, the linear model decides.
#'
#' Otherwise columns are orthogonal, and interventions perfect unless this loses more than BIC
#' allows, with spline mechanisms, and more than 2.5 percent of what parents explain where nothing is
#' targeted.
#'
#' On fresh simulated data (`bench/choices.R`, 40 data sets a cell, 4 latents, 100 features) this was
#' right with 2000 rows a domain for 38 to 40 of 40 chains, and for 35 to 40 of 40 random graphs with
#' orthogonal and 32 to 35 with correlated columns; with 200 rows for 34 to 40 chains and 31 to 40
#' random graphs with orthogonal columns, but with correlated ones for 38 to 40 chains and half of the
#' random graphs. Errors are mostly near-complete graphs, under which imperfect interventions on
#' orthogonal columns explain all but as much.
#'
#' `mixing = "orthonormal"` is safe where columns are known to be orthogonal,
#' `intervention = "imperfect"` where nothing is known of interventions and rows are many. With as
#' many edges as latents or more, imperfect interventions and a few hundred rows, little tells the
#' models apart; with two latents and a domain for each, imperfect interventions tell no rotation.
#' @name crl_mixing
NULL

#' Choosing smoothing and damping from the data
#'
#' What `lambda = "auto"` and `eta = "auto"` of [crl_control()] do.
#'
#' @section Penalty weights:
#' `lambda = "auto"` chooses penalty weights by 5-fold cross-validation of the score-matching loss
#' (5.4), which up to a constant is Stein's unbiased estimate of the squared error of the latents,
#' so that no truth is needed. Candidates are the powers of ten from 0.01 to 1e6, refined by a
#' parabola in log lambda. A (node, state) cell that does better with its own best weight than with
#' that of the others, by more than three standard errors over the folds, takes it; the other cells
#' have the best weight in common. (Held-out losses of single cells are noisy: with a few hundred
#' rows a domain, a free choice in every cell costs more than it gains.) `fit$cells$lambda` has the
#' result.
#'
#' `eta = "auto"` takes the damping with the smallest held-out squared error, minus the sum of the
#' derivatives of the score over the sum of its squares, within 0 and 1; one number for the fit,
#' in `fit$eta`. Scores fitted to four fifths of the rows are less certain than those fitted to all,
#' so it damps a little more than is best; it protects where the score is poor. Not available where
#' columns of A may be correlated.
#'
#' Damping moves posterior means, not variances, so that below 1 a learned \eqn{\sigma^2} (4.9) is
#' too small where features are few: with 3 latents, a true value of 2 and eta of 1, 0.9, 0.5 and 0
#' it was 2.00, 1.85, 1.58 and 1.50 in 6 features, 2.00, 2.00, 1.98 and 1.98 in 100 (1000 rows a
#' domain, A known, medians of ten seeds).
#'
#' The rows of each domain are dealt out to the folds in random order, so that folds have equal
#' shares of every domain. The folds depend on `seed` and on the order of the rows within domains.
#' With A held, the choice is made once; else at iterations 1, 2, 4, 8, and so on, as the
#' pseudo-latents change. A choice takes as long as about ten to thirty EM iterations; where
#' conjugate gradients solve (families of many parents), it is 45 rough solves (relative residual
#' 1e-4, at most 100 iterations) in every cell.
#'
#' @section Units:
#' A weight means the same in any units of x (a `range` that is given goes with them): coefficients
#' of a log-density, with `score = "markov"`, have no units, so that there the penalty along a
#' coordinate is multiplied by \eqn{(30/7)^2/h^2}, h the spacing of its knots: 1 where they are as
#' far apart as the paper's, 8 over \[-15, 15\].
#' @seealso [crl_control()]
#' @name crl_smoothing
NULL
