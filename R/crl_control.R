#' Settings of a fit
#'
#' Collects and checks every setting of [fit_crl()].
#' `intervention`, `mixing`, `sigma2`, `mechanisms`, `starts`, `signs`, `seed`, `threads`, `progress` and
#' `max_memory` are read by both methods, those that say so by `method = "g"` only, the others by
#' `method = "f"` only.
#'
#' @param ... Nothing: settings go by their full names, and what is none is an error.
#' @param score Score model. `"causal"` (the default) is the causal score function of the paper
#'   (5.2): the score of latent j depends on its pseudo-latent, those of its parents, and the target
#'   state of j. `"markov"` is the score of a density that factorises along the graph (5.1): a
#'   spline log-density, a sum over latents of a function of latent and parents, whose gradient the
#'   score is. The score of j then has a part from each of its children as well. All (node, state)
#'   cells are one linear system, so that an iteration takes several times as long, but updates of A
#'   stay close to a true A where with the causal score they drift away.
#' @param interaction How the parents of a latent act together. `"tensor"` (the paper's): one
#'   tensor-product spline of latent and all parents, `(knots + 2)^(1 + parents)` coefficients.
#'   `"pairwise"`: a sum of splines of latent and two parents, one for each pair; the same as
#'   `"tensor"` with two parents or fewer. `"additive"`: a sum of splines of latent and one parent;
#'   the same as `"tensor"` with one parent or none. `"auto"` (the default) takes one of them for all
#'   latents, the tensor where the rows can tell it, see Interaction.
#' @param intervention What an intervention does to its target. `"imperfect"` (the default): the
#'   target keeps its parents but depends on them in another way. `"perfect"`: it has no parents
#'   while it is targeted, so that its score component is a function of its own pseudo-latent:
#'   `knots + 2` coefficients, whatever the graph. Where interventions are known to be perfect this
#'   has less variance, and predictions hold for values of the parents that targeted rows lack.
#' @param penalty Penalty on the spline coefficients. `"difference"` (the default) penalises
#'   squared second differences along each coordinate, as P-splines do; a score that is linear in
#'   each coordinate, that of a Gaussian marginal, is not penalised, so that heavy smoothing falls
#'   back to linear shrinkage. With `score = "markov"` it penalises squared third differences, so
#'   that a log-density that is quadratic in each coordinate is not penalised. `"ridge"` is the
#'   paper's, \eqn{\lambda |\theta|^2}; heavy smoothing falls back to no shrinkage.
#' @param lambda Penalty weight (at least 0), on the scale of the unnormalised normal equations: it
#'   is held against the number of rows. With `"difference"` the error is flat over 1 to 100. It
#'   means the same in any units of x (a `range` that is given goes with them): coefficients of a
#'   log-density, with `score = "markov"`, have no units, so that there the penalty along a
#'   coordinate is multiplied by \eqn{(30/7)^2/h^2}, h the spacing of its knots: 1 where they are as
#'   far apart as the paper's, 8 over \[-15, 15\]. The
#'   default is 5, with `mixing = "psd"` 1000, see Correlated columns. `"auto"` chooses it from the
#'   data, see Smoothing.
#' @param knots Knots of each coordinate (whole number, at least 2), equally spaced and including
#'   both ends; `knots + 2` cubic B-splines a coordinate. 8 is the paper's.
#' @param range Range that the knots cover. `"data"` (the default) takes smallest and largest value
#'   of each pseudo-latent, at every iteration; `c(lo, hi)` holds for all latents, a 2 x d matrix
#'   gives each its own. Outside the range the score continues linearly.
#' @param mixing Update of the mixing matrix A = OD, O orthonormal and D diagonal (4.7).
#'   `"orthonormal"` holds D = 1: only this scale makes A identifiable up to signed permutations,
#'   and updates of D drift. `"diagonal"` updates D. `"psd"`: \eqn{A = O \Lambda}, \eqn{\Lambda}
#'   symmetric positive definite (Section 4.6 of the paper), for any columns, kept at length 1, and
#'   held at a start that knows the rotation; see Correlated columns below. `"fixed"` holds A,
#'   whatever its columns. `"auto"` (the default) is `"orthonormal"` from `init = "pca"` and
#'   `"fixed"` from every other start: from a start that knows the rotation, updates of A with an
#'   estimated score lead away from it. With `method = "g"`, whose updates do not, `"auto"` is
#'   `"fixed"` where `init` gives A in numbers and `"orthonormal"` else; in a fit that goes on from
#'   a g fit it is what that one had.
#' @param update_mixing Of `method = "f"`: does the EM update A (`TRUE`), or hold it at its start
#'   (`FALSE`)? `"auto"` (the default): `"orthonormal"` and `"diagonal"` update it, `"fixed"` holds
#'   it, `"auto"` and `"psd"` hold it from every start but `init = "pca"`. `"fixed"` with `TRUE` is
#'   an error.
#' @param reference The score that the spline score corrects. `"gaussian"` (the default): that of a
#'   Gaussian for each combination of targets, see Gaussian reference. `"none"`: splines alone, as
#'   in the paper.
#' @param sigma2 Noise variance: `"learned"` (4.9), `"fixed"` at its start, or `"auto"` (the
#'   default): fixed where A is held and `init` gives `sigma2`, else learned. With as many columns
#'   of x as latents no direction is noise alone: with `method = "f"` it is fixed, and `"learned"`
#'   is an error.
#' @param eta Damping of Tweedie's formula (4.4), between 0 (no shrinkage) and 1 (the default), or
#'   `"auto"`, see Smoothing. It moves posterior means, not variances, so that below 1 a learned
#'   \eqn{\sigma^2} (4.9) is too small where features are few: with 3 latents, a true value of 2 and
#'   eta of 1, 0.9, 0.5 and 0 it was 2.00, 1.85, 1.58 and 1.50 in 6 features, 2.00, 2.00, 1.98 and
#'   1.98 in 100 (1000 rows a domain, A known, medians of ten seeds).
#' @param max_iter Largest number of EM iterations, also of `prior = "linear"`. 0 leaves the start
#'   as it is and only denoises.
#' @param tol The EM stops when the relative distances that A, \eqn{\sigma^2} and the latents still
#'   have to go are all estimated below it, in two successive iterations. If changes shrink by a
#'   factor r an iteration, a change c leaves c r / (1 - r) to go; where the EM is accelerated, the
#'   extrapolated step is the estimate. The default, 1e-5, lies far below any statistical error. 0
#'   runs all `max_iter` iterations.
#' @param acceleration `"anderson"` (the default) accelerates the EM map (A, \eqn{\sigma^2}) by
#'   Anderson's method with five differences, which leaves its fixed points where they are. It
#'   begins once the changes fall steadily and the limit is near; a step that goes against the EM's
#'   own is not taken, and one that makes the next change grow is taken back and counted. With
#'   `mixing` of `"diagonal"` or `"psd"`, where the EM drifts, it does nothing. `"none"` runs the EM
#'   as it is, which ends at the same limit.
#' @param solver Solver of the normal equations of a (node, state), or of all together with
#'   `score = "markov"`: `"cholesky"` (banded, or by blocks), `"cg"` (conjugate gradients, without
#'   the whole Gram matrix), or `"auto"` (the default): by cost.
#' @param cg_tol,cg_max_iter Residual at which conjugate gradients stop, relative to the right-hand
#'   side (that without the reference, if it is larger), and their largest number of iterations. A
#'   solve that stops at the latter is counted in the fit. Default 1e-8: latents are then off by
#'   some 1e-6, less than `tol` asks of the EM. What a smaller residual needs many more iterations
#'   for are coefficients that the rows hardly tell, and that hardly show in the latents.
#' @param mechanisms Mechanisms that `init = "interventional"` reckons with, and so its last stage.
#'   `"linear"`: moments tell the rotation, at a cost that does not depend on the rows.
#'   `"spline"`: the optimum for linear mechanisms is refined with additive cubic splines, corrected
#'   for the noise in the parents to second order. `"sampled"` (the default): a few sweeps of that,
#'   then a g-model fitted to posterior draws, for mechanisms that bend within a width of the noise;
#'   see Start by draws. With `mixing = "psd"` see Correlated columns.
#' @param starts Rotations that `init = "interventional"` descends from: the principal axes and
#'   `starts - 1` random ones.
#' @param prior Of `method = "g"`: `"spline"` (the default), additive spline mechanisms, fitted by
#'   SAEM; `"linear"`, linear mechanisms, fitted by exact EM; `"normal"`, independent standard
#'   normal latents, which is probabilistic principal component analysis. See Gaussian priors below.
#' @param burn_in,iterations Of `method = "g"`: largest numbers of iterations of SAEM, of burn-in,
#'   in which the random walks are tuned and knots follow the draws, and after it, which are
#'   averaged. Burn-in ends when the parameters no longer move, averaging when it is precise enough
#'   (`mc_tol`), see Iterations of SAEM.
#' @param mc_tol Of `method = "g"`: averaging stops when the Monte-Carlo errors of A and of the
#'   latents' noise variances are both estimated below this share of their sampling errors. The
#'   default, 0.25, adds a sixteenth to the squared error of A. 0 runs all `iterations`.
#' @param chains Of `method = "g"`: number of chains of SAEM (default 1), which differ in their
#'   random numbers and, but for the first, in their starts: A is turned by up to 0.2 radians in
#'   every plane of latents, log \eqn{\sigma^2} moved by up to 0.2, a few times their sampling
#'   errors. The fit is that of the chain with the largest mean objective: chains in one optimum
#'   agree within the Monte-Carlo error, and of several optima the best is wanted, not a mean. The
#'   objective is not the likelihood, see Iterations of SAEM. R-hat tells whether chains agree; it
#'   needs more iterations than `mc_tol` asks for. Chains run one after another.
#' @param draws Of `method = "g"`: draws of the latents of each row with the parameters held, for
#'   posterior means, standard deviations and quantiles (default 400, at least 2). The fit reports
#'   the Monte-Carlo error.
#' @param mechanism_knots Of `method = "g"` and of `mechanisms = "sampled"`: knots of a mechanism in
#'   each parent (default 20: more than `knots`, since smoothing is chosen by the data and additive
#'   splines are cheap), equally spaced over the range of the parent's draws; mechanisms continue
#'   linearly beyond.
#' @param mechanism_lambda Of `method = "g"` and of `mechanisms = "sampled"`: weight of the
#'   second-difference penalty of the mechanisms, on the scale of `lambda`; or `"auto"` (the
#'   default): for each (node, state) and parent, by the marginal likelihood (generalised
#'   Fellner-Schall steps, Wood and Fasiolo 2017).
#' @param noise Of `method = "g"` and of `mechanisms = "sampled"`: distribution of the noise u of
#'   each latent in each target state: `"gaussian"` (the default), or the number (2 to 10) of
#'   components of a mixture of Gaussians, with mean zero as a whole, for noise with heavy tails or
#'   skewness. Each component counts five pseudo-rows that are like the noise as a whole, so that
#'   none runs empty.
#' @param signs Sign of each latent, which the model leaves open (read by both methods). `"up"`: a
#'   latent is higher where it is targeted; `"down"`: lower, as under a knock-down. Its mean over
#'   the rows that target it is compared with that over the domains without any target or, if there
#'   are none, over those that do not target it. Where the two differ by less than four standard
#'   errors, as for a latent that is never targeted, and with `"loadings"` for every latent, the sum
#'   of the cubes of its loadings is positive: the few large ones decide, and a tie between the two
#'   largest does not turn it. (A sum close to 0 may still have either sign.) A vector with names,
#'   such as `c(z1 = "down", z3 = "loadings")`, is for these latents; the others are `"up"`.
#'   `"auto"` (the default) is `"up"`, but where `init` gives A its signs are kept.
#' @param seed Seed (a whole number, at most 2^53 - 100) of the random rotations of
#'   `init = "interventional"` and of its draws, of the folds of `"auto"`, and of the draws of
#'   `method = "g"`. NULL (the default): with `method = "f"` and with Gaussian priors 1, so that a
#'   fit is a function of its arguments; else a seed that is taken from R's random numbers and
#'   reported in the fit, so that `set.seed()` decides. With a number R's own random numbers are
#'   neither used nor changed.
#' @param threads Number of threads (default: option `ebcrl.threads`, else 1); at most one for each
#'   4096 rows is used. Results have the same bits for every number. Threads wait actively for one
#'   another: where other work keeps the processors busy, one is faster than several. A process made
#'   by forking, as [parallel::mclapply()] makes them, uses one whatever is asked for: in a fork of
#'   a process that has used several, OpenMP would wait forever.
#' @param progress Show progress bars, for each step of a fit that takes two seconds or more? NULL
#'   (the default): in interactive sessions. With `TRUE` also elsewhere, as in a script, where each
#'   state of a bar is a line of the error stream.
#' @param max_memory Memory in gigabytes (1e9 bytes) beside `x` that a fit may take; a fit that
#'   needs more is refused before it starts. NULL (the default): what the system says is
#'   available, or 8 where it does not say.
#' @param preset `"default"`, or `"paper"`: the settings of Appendix D of the paper (ridge penalty,
#'   range -15 to 15, 8 knots, \eqn{\eta = 1}, 1000 iterations, A updated at every one, without
#'   acceleration), and its start, principal components, where [fit_crl()] is given none. The paper
#'   does not give its \eqn{\lambda}; 1 is used. Settings given by name take precedence over the
#'   preset.
#'
#' @section Interaction:
#' `interaction = "auto"` counts the coefficients of each latent with two parents or more in each
#' target state against the rows there, and takes `"tensor"` if there are no more than 20 for a row
#' and 10,000 in all, else `"pairwise"` if there are no more than 2 and 10,000, else `"additive"`.
#' With the default knots that is the tensor for two parents from 50 rows in each target state on,
#' for three from 500; pairs for four from 3000, for five from 5000. What is not the tensor is said
#' in a message and by `print()`; the fit's `control` has it, and [predict()][predict.crl_fit], [update()][update.crl_fit]
#' and [crl_compare()] use it. Graphs with one parent or none a latent, chains among them, are the
#' same under all three. `preset = "paper"` takes the tensor.
#'
#' With A and \eqn{\sigma^2} known, the error of the latents with the tensor was 1.09, 1.02 and 1.01
#' times that with `"additive"` in complete graphs of three with 15, 30 and 100 rows a domain; 1.00
#' in complete graphs of four with 200 and 2000; where two parents act by their product 1.01 with
#' three parents and 200 rows, 1.00 with 2000, 1.00 with four parents and 400. With `"pairwise"` it
#' was 1.00 in all of these but the complete graphs of three, where it is the tensor. Against
#' `"additive"` a solve took 3 times as long with a tensor of three parents, 40 times with one of
#' four, 10 to 20 times with pairs (medians of three seeds, `bench/first_call.R --interaction`).
#'
#' `"tensor"` with more than 5000 coefficients for a row is an error of class `ebcrl_error_memory`
#' that gives the figure: a solve would take minutes or hours, for a function that hardly any row
#' tells.
#'
#' The terms of a sum overlap (a function of the latent alone may belong to any of them), and so do
#' those of a log-density: only the score is determined, not the coefficients. From normal equations
#' that are factored the shortest are taken: a ridge of 1e-10 of the mean diagonal of the Gram
#' matrix and 1e-12 of that of the penalty makes the factorisation possible, and repeated steps take
#' its effect away.
#'
#' @section Gaussian reference:
#' The causal score (5.2) of a latent leaves out what its children and the other latents' noise say
#' about it. With `reference = "gaussian"`, an addition to the paper, the score is \eqn{s = g_a +
#' \phi'\theta}: \eqn{g_a(y) = -P_a (y - m_a)}, the score of a Gaussian for the combination of
#' targets a, has the linear part of all that, and score matching (5.4) fits the splines to what it
#' leaves. \eqn{m_a} and \eqn{P_a^{-1}} lie between mean and covariance of the pseudo-latents of the
#' rows with targets a and those that a linear structural causal model implies (a regression of each
#' latent on its parents in each target state, from moments less the noise variance): the posterior
#' means under a normal-inverse-Wishart prior around the linear model, which counts as
#' \eqn{\kappa} rows. One \eqn{\kappa} for all combinations maximises the marginal likelihood: it is
#' large where mechanisms are linear or rows few. A combination that no domain has, in
#' [predict()][predict.crl_fit], has the linear model's mean and covariance: with strong mechanisms
#' the error there was up to 9 % above that of splines alone (see [predict()][predict.crl_fit]).
#'
#' With A and \eqn{\sigma^2} known, d = 4 or 10 and 100 to 2000 rows a domain, the error of the
#' latents was 0.94 to 0.98 times that of splines alone with linear mechanisms (where it is within
#' 1 % of the Bayes optimum at 2000 rows), 0.98 to 1.00 times with bounded ones, 0.95 to 0.97 times
#' with strong ones (medians of six seeds, see [sim_crl()] for the mechanisms). An iteration takes
#' about a fifth longer with 4 latents, half as long again with 50.
#'
#' @section Start by draws:
#' With `mechanisms = "sampled"` the rotation of the start comes from a g-model (see f or g in
#' [fit_crl()]) within the principal subspace: SAEM on the principal coordinates, \eqn{\sigma^2}
#' held, so that its cost does not depend on p. `mechanism_knots`, `mechanism_lambda` and `noise`
#' are those of `method = "g"`, but for the noise, which has two components at least: under skewed
#' noise a Gaussian would turn A away from the truth, and under Gaussian noise two components cost
#' no accuracy. SAEM needs more iterations the more the noise hides of the mechanisms; most are made
#' with part of the rows: 200 with 1000 rows a domain, equally spaced, 60 each time the rows are
#' doubled, 70 with all of them. With fewer than 2000 rows a domain, 210 with all. A run ends
#' before, once nothing moves. `sampling` in the fit has the runs.
#'
#' A run ends at one draw of a stationary sequence with a memory of hundreds of iterations. So the
#' start is the mean of several runs, 4 with up to 2000 rows in all, 2 from 2667 on, and their spread
#' tells its Monte-Carlo error, `start_mc_error` in the fit, and what another seed would do, which
#' print() says: 1.5 to 2.7 % of a latent's standard deviation with 300 rows a domain, 1.0 to 1.8 %
#' with 2000 (chains of 4 and 3 latents, `bench/seeds.R`, where print() was right on average in three
#' of four settings and a third too low in one). With more than 40,000 rows there is one run, and no
#' such figure. Rows are
#' ordered by their norm in the principal subspace, latents by the data, and the unit is their root
#' mean square, before random numbers are drawn: the order of rows, domains and latents, and the
#' unit of `x`, change the start by rounding errors only.
#'
#' Before that, draws choose where to go on from. Where mechanisms bend within a width of the noise,
#' the likelihood of the spline stage may favour a wrong rotation, or lead away from the right one.
#' So its best optima, those whose rows have lost at most 0.08 of their log-likelihood each, compete
#' as they are after it and as they were before: each gets a short g-model, on at most 250 rows a domain, and that whose posterior means have the least estimated
#' squared error goes on (Stein's estimate, twice \eqn{\sigma^4} times the score-matching loss but
#' for a constant; `risk` in the fit's `optima`), if it is 1.5 standard errors of the difference,
#' and 1 % of the error of the projections (\eqn{d \sigma^2}), below that of the spline stage's
#' choice: below that lies what few draws tell, so that where noise is small the likelihood decides.
#' With 200 rows a domain this adds some 50 % to the start's time with four latents and 20 % with
#' ten, with 2000 rows hardly anything. The start of `method = "g"` makes the same choice.
#'
#' With d = 4 and 2000 rows a domain the error of the latents was 1.02, 1.01 and 1.04 times the
#' Bayes optimum with bounded, linear and strong mechanisms (see [sim_crl()]; medians of 40 seeds,
#' `bench/learned.R`); with `"spline"` 1.03, 1.01 and 1.22, in half the time.
#'
#' @section Correlated columns:
#' With `mixing = "psd"` the pseudo-latents are \eqn{y = \Lambda^{-1} O'x = (A'A)^{-1} A'x = z +}
#' noise of covariance \eqn{\sigma^2 \Lambda^{-2}}, so that the graph speaks of their coordinates,
#' but the noise is correlated. Then the score of a pseudo-latent depends on all the others,
#' through the noise, and a score of node and parents alone misses most of it: with A and
#' \eqn{\sigma^2} known and condition number 5, its error was 3.2 to 3.5 times the Bayes optimum
#' (median of 40 seeds, `bench/psd.R`). The Gaussian reference takes that part, the splines the
#' rest: 1.01 to 1.02 times with linear and bounded mechanisms, 1.08 with strong ones. The splines'
#' variance is multiplied by the noise, so that `lambda` has to be larger than elsewhere; its
#' default here is 1000. Where a general A is given and `mixing = "fixed"`, it is 5 unless it is
#' set.
#'
#' With A learned, the error was 1.06, 1.07 and 1.15 times the Bayes optimum with linear, bounded
#' and strong mechanisms (worst of 40 seeds: 1.17, 1.24 and 2.0), where the best rotation had 13 to
#' 14, and 90 % intervals covered 87.7, 88.4 and 88.5 %.
#'
#' Updates of A are neutral in every direction within the column space, and errors of the score add
#' up: 50 of them raised the error from 1.07 to 1.18 times the Bayes optimum with bounded
#' mechanisms, from 1.15 to 1.30 with strong ones, and with `lambda = 5` A ran towards dependent
#' columns. So `"psd"` holds A at its start, except at principal components, which do not know the
#' latents; `update_mixing = TRUE` updates it from any.
#'
#' Lengths of columns are a convention, since A and z may trade a scale: `"psd"` keeps columns at
#' length 1, those of an `init` included; `"fixed"` keeps the lengths given.
#'
#' With `"psd"`, `init = "interventional"` looks for the most likely invertible mixing within the
#' principal subspace, not only for a rotation, from the best rotation and `starts - 1` random ones;
#' mechanisms are linear, and `objective` in `optima` is a row's. With `mechanisms = "sampled"` or
#' `"spline"`, draws go on from the best (see Start by draws), since no correction for noise as
#' large as it is in some direction lets splines be fitted to pseudo-latents: up to 2000 iterations
#' with 2000 rows a domain, equally spaced, 300 each time the rows are doubled, 50 more with all of
#' them. The noise of the g-model is as `noise` says. Its A is what the fit takes; the latents come
#' from f-modeling.
#'
#' This takes perfect interventions (`intervention = "perfect"`), which the default of
#' `intervention` does not assume: with imperfect ones \eqn{z_j + c z_k}, k a parent of j, is as
#' likely as \eqn{z_j} where no child of j objects, as at the end of a chain, and all but as likely
#' where mechanisms are weak. The fit says which latents are concerned.
#'
#' @section Iterations of SAEM:
#' Burn-in has step 1: statistics are those of the latest draws. From the 64th iteration on the
#' means of the parameters over the second and the last third are compared. Burn-in ends when they
#' differ by no more than the Monte-Carlo error of the difference and the parameters' standard
#' deviation over the last third together, in A, \eqn{\sigma^2}, the latents' noise variances and
#' the mechanisms at three values of each parent. Where most of the information on a parameter is
#' missing that standard deviation is 0.7 sampling errors, else less (Nielsen 2000).
#'
#' Then the step is 0.3, and the fit is the maximum at the mean of the statistics over all further
#' iterations. (With a step of 1/t, the other way to let the noise of the draws die out, errors that
#' the EM itself forgets slowly, by a factor r an iteration, would decrease as \eqn{t^{r - 1}}: r is
#' about 0.9 for a noise variance half of \eqn{\sigma^2}.) After at least 256 iterations they stop
#' when the Monte-Carlo error is a small share, `mc_tol`, of the sampling error. The former is
#' estimated from the means of 8 to 16 batches of iterations, as a first-order autoregression; it is
#' too small where parameters change more slowly than a batch is long, which several `chains` show.
#' The latter is taken for A from the formula for known latents, with twice the variance of A over
#' the iterations added for what the prior tells (Nielsen 2000); for noise variances from the
#' formula for one variance to which the noise of x is added. Where A is held the noise variances
#' decide alone.
#'
#' With few rows noise variances that maximise at single draws are a random walk in their logarithm
#' which comes to rest near 0. So from the sixth iteration of burn-in on they take steps of n/1000,
#' n the rows of the (node, state), at least 0.1 and at most 1.
#'
#' The objective of a chain is \eqn{-(p \log \sigma^2 + \sum_c w_c \log v_c)/2}, \eqn{v_c} the
#' noise variance of a (node, state) and \eqn{w_c} its share of the rows: the log density of a row
#' of x and its latents, averaged over the draws, up to a constant, with Gaussian noise. The
#' likelihood of x has the entropy of the latents given x in addition, which is smaller where noise
#' variances are: the objective prefers optima with small ones. (With two latents, 3000 rows,
#' \eqn{\sigma^2 = 4} and A held half a radian from the maximum, the log-likelihood was 40 lower
#' and n times the objective 107 higher.) So where chains disagree, look at all of `runs`. With
#' `noise` in components v is the variance of the mixture, and the objective does not say how well
#' its shape fits, so that it cannot choose the number of components.
#'
#' R-hat is near 1 where means of chains differ by little beside what the parameters vary within
#' one. Steps of 0.3 let them vary little: in an example with four latents R-hat of A was about 2
#' when `mc_tol = 0.25` was reached, with chains 0.3 sampling errors apart, and 1.05 near
#' `mc_tol = 0.06`.
#'
#' @section Gaussian priors:
#' Two priors of `method = "g"` need no draws: posterior means, standard deviations and quantiles
#' have closed forms, the log-likelihood is exact (`loglik` of the fit, [logLik()][logLik.crl_fit]),
#' and results do not depend on `seed` but for the random starts. `burn_in`, `iterations`, `mc_tol`,
#' `draws`, `mechanism_knots` and `mechanism_lambda` are not used; a `noise` in components and
#' several `chains` are errors.
#'
#' `prior = "linear"`: each latent is a linear function of its parents plus Gaussian noise, with
#' intercept, slopes and variance of its own for each target state (perfect interventions: intercept
#' and variance). EM on the moments of x under each combination of targets; an iteration takes as
#' long for any number of rows, and never lowers the log-likelihood. It stops at `max_iter`
#' iterations, or when one changes no parameter by more than `tol`, relatively. The start is
#' interventional with linear mechanisms, whatever `mechanisms` says. `mixing` means what it means
#' elsewhere: `"orthonormal"`; `"diagonal"`, orthogonal columns that keep the lengths of the start;
#' `"psd"`, any columns, of length 1; `"fixed"`. Where the moments would be large (combinations of
#' targets times the square of the columns of x above 5 million), A is sought within the 4 d leading
#' principal components of x, not in all directions, and the fit says so. What is lost is the part
#' of A that the domains' differences would have added in the directions of small variance; with A
#' held nothing is.
#'
#' `prior = "normal"`: latents are independent N(0, 1) in every domain (Tipping and Bishop 1999);
#' graph and targets are not used, but for signs. The maximum of the likelihood has \eqn{\sigma^2} the mean of the
#' p - d small eigenvalues of X'X/n, and \eqn{A = U (L - \sigma^2 I)^{1/2} R}, U the leading
#' eigenvectors, L their eigenvalues, R any rotation, of which the fit takes the identity: columns
#' of A are orthogonal, the longest first. `mixing = "diagonal"`
#' (what `"auto"` stands for) is this. `"orthonormal"` is the same model in other units: columns of
#' length 1, latents with the variances \eqn{L - \sigma^2}. `"fixed"` holds the A of `init`, and
#' \eqn{\sigma^2} alone is estimated. `"psd"` is refused: A is known up to a rotation only, under
#' which columns may as well be orthogonal. No start is needed; an `init` in numbers matters if it
#' is held.
#'
#' @section Smoothing:
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
#' The rows of each domain are dealt out to the folds in random order, so that folds have equal
#' shares of every domain. The folds depend on `seed` and on the order of the rows within domains.
#' With A held, the choice is made once; else at iterations 1, 2, 4, 8, and so on, as the
#' pseudo-latents change. A choice takes as long as about ten to thirty EM iterations; where
#' conjugate gradients solve (families of many parents), it is 45 rough solves (relative residual
#' 1e-4, at most 100 iterations) in every cell.
#'
#' @return A list of class `crl_control` with the settings above.
#' @references Wu, B., von Kügelgen, J. and Blei, D. M. (2026). Multi-domain empirical Bayes for
#'   linearly-mixed causal representations. \doi{10.48550/arXiv.2603.18404}
#'
#'   Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis. *Journal
#'   of the Royal Statistical Society B*, 61, 611-622. \doi{10.1111/1467-9868.00196}
#'
#'   Nielsen, S. F. (2000). The stochastic EM algorithm: estimation and asymptotic results.
#'   *Bernoulli*, 6, 457-489. \doi{10.2307/3318671}
#'
#'   Wood, S. N. and Fasiolo, M. (2017). A generalized Fellner-Schall method for smoothing parameter
#'   optimization. *Biometrics*, 73, 1071-1081. \doi{10.1111/biom.12666}
#' @examples
#' crl_control(lambda = 20, knots = 6)
#' crl_control(lambda = "auto")
#' crl_control(preset = "paper", max_iter = 100)
#' @export
crl_control <- function(..., score = c("causal", "markov"),
                        interaction = c("auto", "tensor", "pairwise", "additive"),
                        intervention = c("imperfect", "perfect"),
                        penalty = c("difference", "ridge"), lambda = 5, knots = 8, range = "data",
                        mixing = c("auto", "orthonormal", "diagonal", "psd", "fixed"),
                        update_mixing = "auto",
                        reference = c("gaussian", "none"),
                        sigma2 = c("auto", "learned", "fixed"), eta = 1, max_iter = 1000,
                        tol = 1e-5, acceleration = c("anderson", "none"),
                        solver = c("auto", "cholesky", "cg"), cg_tol = 1e-8,
                        cg_max_iter = 2000, mechanisms = c("sampled", "spline", "linear"),
                        starts = 20, prior = c("spline", "linear", "normal"), burn_in = 300,
                        iterations = 500, mc_tol = 0.25, chains = 1, draws = 400,
                        mechanism_knots = 20, mechanism_lambda = "auto", noise = "gaussian",
                        signs = "auto", seed = NULL,
                        threads = getOption("ebcrl.threads", 1L),
                        progress = NULL, max_memory = NULL, preset = c("default", "paper")) {
  check_dots_empty(..., .class = "control")
  preset <- check_choice(preset, c("default", "paper"), "preset", "control")
  if (preset == "paper") {
    if (missing(interaction)) interaction <- "tensor"
    if (missing(penalty)) penalty <- "ridge"
    if (missing(lambda)) lambda <- 1
    if (missing(range)) range <- c(-15, 15)
    if (missing(reference)) reference <- "none"
    if (missing(mixing)) mixing <- "orthonormal"
    if (missing(acceleration)) acceleration <- "none"
  }
  if (missing(lambda) && identical(mixing, "psd")) lambda <- PSD_LAMBDA
  checked_settings(mget(names(SETTINGS), envir = environment()))
}

#' The settings of a control, each checked: those of the constructor, and of a control at every
#' function that takes one, since `control$knots <- 6` is how R users change a setting
#'
#' @param settings Named list of all settings.
#' @return A `crl_control`
#' @noRd
checked_settings <- function(settings, call = rlang::caller_env()) {
  checked <- lapply(stats::setNames(nm = names(SETTINGS)), function(name) {
    SETTINGS[[name]](settings[[name]], name, call)
  })
  check_update(checked$update_mixing, checked$mixing, call)
  structure(checked, class = "crl_control")
}

#' Checks of a setting, as functions of value, name and call
#' @noRd
choice_of <- function(...) {
  choices <- c(...)
  function(x, arg, call) check_choice(x, choices, arg, class = "control", call = call)
}

#' @noRd
number_of <- function(...) {
  function(x, arg, call) check_number(x, arg, ..., class = "control", call = call)
}

#' @noRd
whole_of <- function(min, max) number_of(min = min, max = max, integer = TRUE)

#' "auto", or what `check` takes, in words
#' @noRd
auto_or <- function(check, what = " or a number") {
  force(check)
  function(x, arg, call) {
    if (identical(x, "auto")) {
      return(x)
    }
    if (is.character(x)) {
      abort_input(c('{.arg {arg}} must be "auto"{what}.', "x" = "It is {describe(x)}."),
                  "control", call = call)
    }
    check(x, arg, call)
  }
}

#' @noRd
null_or <- function(check) {
  force(check)
  function(x, arg, call) if (!is.null(x)) check(x, arg, call)
}

# Seeds of up to 100 chains follow one another, and have to be whole numbers.
MAX_SEED <- 2^53 - 100

# Default of lambda with mixing = "psd", where the splines' variance is multiplied by the noise.
PSD_LAMBDA <- 1000

#' Not TRUE where `mixing` says that A is held
#' @noRd
check_update <- function(update_mixing, mixing, call) {
  if (isTRUE(update_mixing) && mixing == "fixed") {
    abort_input(c("{.arg update_mixing} must not be TRUE with {.code mixing = \"fixed\"}.",
                  "i" = "{.val fixed} holds the mixing matrix: name another {.arg mixing}."),
                "control", call = call)
  }
}

#' "gaussian", or the number of components
#' @noRd
check_noise <- function(noise, arg, call) {
  if (identical(noise, "gaussian")) {
    return(noise)
  }
  if (is.character(noise)) {
    abort_input(c('{.arg noise} must be "gaussian" or a number of components.',
                  "x" = "It is {describe(noise)}."), "control", call = call)
  }
  check_number(noise, "noise", min = 2, max = 10, integer = TRUE, class = "control", call = call)
}

#' "data", c(lo, hi) or a 2 x d matrix of lower and upper ends
#' @noRd
check_range <- function(range, arg, call) {
  if (identical(range, "data")) {
    return(range)
  }
  fits <- is.numeric(range) && (if (is.matrix(range)) nrow(range) == 2L else length(range) == 2L)
  if (!fits) {
    abort_input(c('{.arg range} must be "data", two numbers, or a matrix with 2 rows.',
                  "x" = "It is {describe(range)}."), "control", call = call)
  }
  ends <- matrix(as.double(range), 2L)
  if (!all(is.finite(ends)) || any(ends[1L, ] >= ends[2L, ])) {
    abort_input(c("{.arg range} must give finite lower ends below their upper ends.",
                  "x" = "It gives {some(as.vector(ends))}."), "control", call = call)
  }
  if (is.matrix(range)) ends else as.double(range)
}

#' How each setting is checked
#' @noRd
SETTINGS <- list(
  score = choice_of("causal", "markov"),
  interaction = choice_of("auto", "tensor", "pairwise", "additive"),
  intervention = choice_of("imperfect", "perfect"),
  penalty = choice_of("difference", "ridge"),
  lambda = auto_or(number_of(min = 0)),
  knots = whole_of(2, 1000),
  range = check_range,
  mixing = choice_of("auto", "orthonormal", "diagonal", "psd", "fixed"),
  update_mixing = auto_or(function(x, arg, call) check_flag(x, arg, "control", call),
                          ", TRUE or FALSE"),
  reference = choice_of("gaussian", "none"),
  sigma2 = choice_of("auto", "learned", "fixed"),
  eta = auto_or(number_of(min = 0, max = 1)),
  max_iter = whole_of(0, 1e7),
  tol = number_of(min = 0, max = 1),
  acceleration = choice_of("anderson", "none"),
  solver = choice_of("auto", "cholesky", "cg"),
  cg_tol = number_of(min = 1e-15, max = 0.1),
  cg_max_iter = whole_of(1, 1e7),
  mechanisms = choice_of("sampled", "spline", "linear"),
  starts = whole_of(1, 1e5),
  prior = choice_of("spline", "linear", "normal"),
  burn_in = whole_of(1, 1e7),
  iterations = whole_of(0, 1e7),
  mc_tol = number_of(min = 0, max = 1),
  chains = whole_of(1, 100),
  draws = whole_of(2, 1e7),
  mechanism_knots = whole_of(2, 1000),
  mechanism_lambda = auto_or(number_of(min = 0, open = "min")),
  noise = check_noise,
  signs = function(x, arg, call) check_signs(x, call),
  seed = null_or(whole_of(0, MAX_SEED)),
  threads = whole_of(1, 1024),
  progress = null_or(function(x, arg, call) check_flag(x, arg, "control", call)),
  max_memory = null_or(number_of(min = 0, open = "min")),
  preset = choice_of("default", "paper")
)

#' A crl_control from what the user passed as `control`: one already, or a list of settings
#' @noRd
as_control <- function(control, call = rlang::caller_env()) {
  made <- inherits(control, "crl_control") && is.list(control)
  if (!made && (!is.list(control) || is.object(control))) {
    abort_input(c("{.arg control} must be made by {.fn crl_control}, or be a list of its settings.",
                  "x" = "It is {describe(control)}."), "control", call = call)
  }
  given <- rlang::names2(control)
  unknown <- setdiff(given, setting_names())
  if (length(unknown) > 0L) {
    abort_input(c("{.arg control} must name settings of {.fn crl_control} only.",
                  "x" = "Not among them: {some(unknown)}.",
                  did_you_mean(unknown, setting_names())), "control", call = call)
  }
  if (anyDuplicated(given)) {
    abort_input(c("{.arg control} must give each setting once.",
                  "x" = "There more than once: {some(unique(given[duplicated(given)]))}."),
                "control", call = call)
  }
  if (!made) do.call(crl_control, control) else edited_control(control, call)
}

#' A control that may have been changed since it was made
#' @noRd
edited_control <- function(control, call) {
  # of a list, `control$seed <- NULL` takes the element away
  absent <- setdiff(names(SETTINGS), c(names(control), "seed", "progress", "max_memory"))
  if (length(absent) > 0L) {
    abort_input(c("{.arg control} must have every setting of {.fn crl_control}.",
                  "x" = "Not there: {some(absent)}."), "control", call = call)
  }
  checked_settings(control, call)
}

#' @export
print.crl_control <- function(x, ...) {
  shown <- vapply(x, function(value) {
    if (is.null(value)) "automatic" else paste(format(value), collapse = " ")
  }, "")
  cat(paste0(format(paste0(names(x), ":")), " ", shown), sep = "\n")
  invisible(x)
}

#' Updates of D or Lambda drift along directions that are neutral; there is no limit to hasten to.
#' @noRd
is_accelerated <- function(control) {
  control$acceleration == "anderson" &&
    (isFALSE(control$update_mixing) || control$mixing %in% c("orthonormal", "fixed"))
}

#' The settings in the form the C core reads: a range for every latent
#' @noRd
engine_control <- function(control, d, learn_sigma2 = FALSE, signs = NULL) {
  range <- control$range
  list(
    score = control$score,
    interaction = control$interaction,
    perfect = control$intervention == "perfect",
    penalty = control$penalty,
    lambda = if (identical(control$lambda, "auto")) 0 else control$lambda,
    choose_lambda = identical(control$lambda, "auto"), knots = control$knots,
    range = if (!identical(range, "data")) matrix(range, 2L, d),
    solver = control$solver,
    cg_tol = control$cg_tol, cg_max_iter = control$cg_max_iter, threads = control$threads,
    gaussian = control$reference == "gaussian",
    mixing = if (isFALSE(control$update_mixing)) "fixed" else control$mixing,
    learn_sigma2 = learn_sigma2, signs = signs,
    eta = if (identical(control$eta, "auto")) 1 else control$eta,
    choose_eta = identical(control$eta, "auto"), seed = control$seed %||% 1L,
    tol = control$tol, max_iter = control$max_iter, acceleration = is_accelerated(control)
  )
}
