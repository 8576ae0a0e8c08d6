# What ?fit_crl leaves to pages of its own.

#' How latents are found: f-modeling and g-modeling
#'
#' What the two methods of [fit_crl()] do, and what data, graph and interventions tell.
#'
#' @section What the data can and cannot tell:
#' With an unrestricted score, every rotation of the latents within the column space of A is a fixed
#' point of the algorithm, and so is every scale. The start therefore carries most of the answer on
#' rotation, and is where the graph and the interventions are used to find it: `init =
#' "interventional"` looks for the rotation under which each latent, in each target state, is best
#' predicted by its parents. The search descends from several rotations (`starts` in
#' [start_search()]) with linear mechanisms, then refines the best with spline ones and with draws of
#' the latents (see [start_search()]); the optima it found are in `optima`. (With spline
#' mechanisms it also tries the two best rotations of the same search under perfect interventions:
#' steep mechanisms can leave linear ones without an optimum near the truth.) From there
#' the updates of A (4.8) lead away from the truth, as they do from the truth itself, since a score
#' estimated in a restricted class is biased; A is therefore held (`mixing = "auto"`), and the EM
#' settles \eqn{\sigma^2} and the latents. From `init = "pca"` the latents span the right space but
#' are in general mixtures of the causal ones. Latents that are never targeted, or always in the
#' same domains, or one just where the other is not, are told apart by the graph alone, if at all
#' (two latents in a chain with one domain each are not). Two latents are also open where the
#' likelihood hardly changes as they are turned into one another. The fit says which are concerned.
#'
#' @section f or g:
#' `method = "f"` models the density of the pseudo-latents by its score and never writes down a
#' prior; `method = "g"` (CRL g-modeling, Section 6 of the paper) fits the prior itself: each latent
#' is an additive function of its parents plus noise (6.2),
#' \deqn{z_j = \sum_{k \in pa(j)} f_{jkc}(z_k) + u_j, \quad u_j \sim N(0, v_{jc}),}{z_j = sum_k
#' f_jkc(z_k) + u_j, u_j ~ N(0, v_jc),} with f and v of their own for each target state c, f a cubic
#' spline (a constant where a perfect intervention cut the parents off). A rotation of the latents
#' is not neutral under such a prior, so that g learns A where f cannot, and posterior variances are
#' those of a density. It costs draws instead of formulas, and relies on additive mechanisms with
#' Gaussian noise, or (see [prior_spline()]) noise of a finite mixture of Gaussians.
#'
#' It is fitted by stochastic-approximation EM (SAEM): each iteration draws the latents of every row
#' by Metropolis-within-Gibbs sweeps from their posterior under the present parameters, averages the
#' sufficient statistics of the draws, and takes mechanisms, noise variances, A and
#' \eqn{\sigma^2} from them in closed form. A second update turns A and the latents together, by
#' the prior alone (parameter expansion), without which A would crawl. At the end, with all
#' parameters held, further draws give posterior means, standard deviations and quantiles.
#' `mixing = "diagonal"` holds the lengths of the columns of A at those of the start, since the
#' latents' scale makes them arbitrary; `mixing = "psd"` learns a general A with columns of length
#' 1, where the second update adds multiples of latents to one another (up to 20 latents), but no
#' multiple of an ancestor to a latent that no perfect intervention tells from it.
#'
#' Two simpler priors, `crl_control(prior = "linear")` and `prior = "normal"`, need no draws: linear
#' mechanisms are fitted by exact EM, standard normal latents (probabilistic principal components)
#' in closed form. See [prior_linear()] and [prior_normal()].
#'
#' @references Delyon, B., Lavielle, M. and Moulines, E. (1999). Convergence of a stochastic approximation
#'   version of the EM algorithm. *Annals of Statistics*, 27, 94-128. \doi{10.1214/aos/1018031103}
#'
#'   Gelman, A., Carlin, J. B., Stern, H. S., Dunson, D. B., Vehtari, A. and Rubin, D. B. (2013).
#'   *Bayesian Data Analysis*, third edition. CRC Press.
#'
#'   Polyak, B. T. and Juditsky, A. B. (1992). Acceleration of stochastic approximation by
#'   averaging. *SIAM Journal on Control and Optimization*, 30, 838-855. \doi{10.1137/0330046}
#'
#'   Liu, C., Rubin, D. B. and Wu, Y. N. (1998). Parameter expansion to accelerate EM: the PX-EM
#'   algorithm. *Biometrika*, 85, 755-770. \doi{10.1093/biomet/85.4.755}
#' @seealso [fit_crl()], [start_search()], [saem_control()], [prior_spline()]
#' @name crl_methods
NULL

#' The measurement model, missing entries, names and signs
#'
#' What [fit_crl()] supposes of the features beside the latents, and how it reads them.
#'
#' @section Measurement model:
#' Features as they are measured have means, noise of their own and common causes that are no
#' latents: \eqn{x = \mu + A z + B w + \varepsilon}, \eqn{\varepsilon \sim N(0, \Psi)}, \eqn{\Psi}
#' diagonal, w nuisance factors that nothing targets and no latent acts on. The paper's model has
#' \eqn{\mu = 0}, \eqn{\Psi = \sigma^2 I} and no w. Which it is, the second moments of x tell, before
#' graph and targets are used: the space of A and B is that of a factor model fitted by maximum
#' likelihood (Jöreskog 1967), and
#' * `center = "auto"` tests whether the feature means lie in that space (then there is no
#'   \eqn{\mu}, and latents keep their location) or not (level 0.001; a line of message says so).
#'   Beside nuisance factors, which could take means, they are always fitted;
#' * `noise = "auto"` takes noise variances by feature if BIC says so;
#' * `nuisance = "auto"` adds factors as long as the largest eigenvalue of the whitened moments that
#'   is left is above what noise alone makes it in one of a thousand samples, up to
#'   `r MOST_NUISANCE` of them: a message and `print()` say where these may be too few.
#'
#' Then x is reduced to weighted least-squares coordinates in the space, which are all that it says
#' on the latents: \eqn{N (A, B)' \Psi^{-1} (x - \mu)} with noise \eqn{N = ((A, B)' \Psi^{-1} (A,
#' B))^{-1}}, whose full covariance the start, the score, Tweedie's formulas and the draws of
#' `method = "g"` take into account. A is held in the space, as far as it is not held already.
#' With \eqn{\mu} fitted the latents are known up to a constant each: their mean is 0 over the rows
#' of domains without targets, or over all rows where there are none.
#'
#' Where the EM updates A (`init = "pca"`, `update_mixing = TRUE`), with `prior = "normal"`, and with
#' no more than d + 1 features, the model is the paper's.
#'
#' @section Missing entries:
#' Entries that are `NA` are taken to be missing at random. The factor model of the measurement is then
#' fitted by full-information maximum likelihood (Rubin and Thayer 1982): every row counts with the
#' features it has. `"auto"` goes by likelihood ratio (`center`) and BIC (`noise`, `nuisance`). Each
#' row has coordinates, and noise of these, of its own. The score is that at the common noise; with
#' `method = "f"` each row then has the posterior of its own noise (exactly so for normal latents, to
#' first order for others), `method = "g"` takes the common noise for all. Features with fewer than 2
#' (d + 2) entries and rows whose entries tell too little are errors that name them; updates of A by
#' the EM need complete rows.
#'
#' @section Constant features:
#' A column of `x` with one value only (all zero, say) tells nothing of the latents. It is left out,
#' with a message of class `ebcrl_message_constant`, and has loadings of 0; \eqn{\sigma^2} is that
#' of the others. All results keep the p columns of `x`. For the fit the other columns are copied.
#'
#' @section Names:
#' Names are matched, not ignored. Where the rows of `x` and what is given row by row (`env`, or
#' `targets`) both have names, rows are matched by name; so are `weights` and domains, columns of
#' `targets` and nodes of `dag`, the matrices of a list and their columns, and rows and columns of a
#' given A. Names that disagree are an error (`ebcrl_error_names` for rows), which says what is
#' missing; only what has no names on one side goes by position. Automatic row names of data frames
#' (`"1"`, `"2"`, ...) and the default names of latents (`z1`, `z2`, ...) count as none.
#' @section Signs:
#' Unless `init` gives A, a latent is higher where it is targeted, or as `signs` in [crl_control()]
#' says; if it does, signs follow it. The mean over the rows that target a latent is compared with
#' that over the domains without any target or, if there are none, over those that do not target it.
#' Where the two differ by less than four standard errors, as for a latent that is never targeted,
#' and with `"loadings"`, the sum of the cubes of its loadings is positive: the few large ones
#' decide, and a tie between the two largest does not turn it. (A sum close to 0 may still have
#' either sign.)
#'
#' @references Jöreskog, K. G. (1967). Some contributions to maximum likelihood factor analysis.
#'   *Psychometrika*, 32, 443-482. \doi{10.1007/BF02289658}
#'
#'   Rubin, D. B. and Thayer, D. T. (1982). EM algorithms for ML factor analysis. *Psychometrika*, 47,
#'   69-76. \doi{10.1007/BF02293851}
#'
#'   Johnstone, I. M. (2001). On the distribution of the largest eigenvalue in principal components
#'   analysis. *Annals of Statistics*, 29, 295-327. \doi{10.1214/aos/1009210544}
#' @seealso [fit_crl()], [crl_rank()], [crl_check()]
#' @name crl_measurement
NULL

#' What a fit holds
#'
#' The fields of what [fit_crl()] returns.
#'
#' @return An object of class `crl_fit`, a list with
#' \item{latents}{(n x d) posterior means}
#' \item{latents_sd}{(n x d) posterior standard deviations, from (4.5): 0 where the variance came
#'   out negative and was floored. [predict()][predict.crl_fit] turns them into intervals}
#' \item{mixing}{(p x d) A}
#' \item{sigma2}{noise variance of a coordinate of x, the mean of `noise_var` where that is there}
#' \item{center, noise_var, nuisance}{where the measurement model is not the paper's: (p) feature
#'   means or NULL, (p) noise variances, and NULL or a list of `mixing` (p x factors) and `scores` (n
#'   x factors) of nuisance factors}
#' \item{measurement}{the same model as a list, with `tests`, what the choices rest on (`center`:
#'   `statistic`, `df`, `p_value`; `noise`: gain in `loglik` of unequal noise, and `bic`; `nuisance`:
#'   eigenvalues and edges of noise), `cos2` (d; expected squared cosine of each column of A, in units
#'   of the noise, to the true one), `span` (p x q) and `values` (q), the leading eigenvalues of the
#'   whitened second moments}
#' \item{inner}{then also the fit of the coordinates that the engine saw, in their units: `data`,
#'   `mixing`, `sigma2`, `latents`; to it belong `orthonormal`, `scale` and what `method = "g"`
#'   keeps of its chains}
#' \item{eta}{damping of Tweedie's formula, given or chosen}
#' \item{iterations, converged}{EM iterations done; is the distance left below `tol`, see
#'   [crl_control()]}
#' \item{trace}{tibble by iteration: `sigma2`, `loss` (score matching, 5.4, per row),
#'   `change_mixing`, `change_sigma2`, `change_latents` (relative: of the iteration's step in A and
#'   \eqn{\sigma^2}, and of the latents since the iteration before), `remaining` (estimated relative
#'   distance to the limit, `Inf` where the trace does not tell), `step` (what followed: the
#'   `"plain"` EM step; an `"accelerated"` one; or `"rejected"`: the iteration itself was dropped,
#'   since its accelerated start had made the changes grow), `floored` (negative variances set to
#'   0)}
#' \item{diagnosis}{how the iterations stood when they ended, see [crl_diagnosis]}
#' \item{score}{the fitted score: `theta` (coefficients by node and state, term by term where a
#'   spline is a sum, see [spline_control()]; with `score = "markov"` those of the
#'   log-density, of which only the gradient is determined), `range` (2 x d) that the
#'   knots cover, `parents` of each latent, which with
#'   `intervention = "perfect"` count in state 0 only; `reference`: NULL, or the Gaussian that the
#'   splines correct (see [spline_control()]), a list of `mean` (d x G) and `precision` (d x d x G) for
#'   the G combinations of targets, of `group` (M), which of them is that of a domain, of `kappa`,
#'   the rows that its linear model counts as, and of that model by (node, state): `intercept`,
#'   `variance` (2 x d, states in rows) and `coefficients` (d x 2 x d, parents first)}
#' \item{orthonormal, scale}{(p x d) O and (d) the diagonal of D; where columns of A are correlated,
#'   `scale` is the (d x d) matrix \eqn{\Lambda}, and `mixing` \eqn{O \Lambda}}
#' \item{floored}{(M) where columns of A are correlated: eigenvalues of the posterior covariances of
#'   a domain's rows that came out negative and were set to 0; else NULL}
#' \item{counts}{what was floored, jittered, unconverged, rank deficient or out of range}
#' \item{cells}{tibble by (node, state): rows, coefficients, solver, penalty weight `lambda` (given
#'   or chosen), iterations, and the loss per row, of the node's score component over the rows in
#'   that state: these sum to the loss of the fit. With `score = "markov"` a component has parts of
#'   the children's cells too, and all cells share one solve}
#' \item{data}{the checked input; `x` is shared, not copied}
#' \item{optima}{of an interventional start: tibble of the distinct optima, first the one that the
#'   fit has gone on from, then the best first: `objective` (minus the log-likelihood of the rows
#'   with linear mechanisms, up to a constant), `starts` that ended there (0: found by the search
#'   under perfect interventions, at most two), squared `distance` to the first, `refined` (the
#'   objective with splines, up to another constant: compare it within the column; NA where they
#'   were not fitted), `risk` (by which draws choose, see [start_search()]; NA
#'   where there was no choice), `mixing` (list: A, p x d, after the stages that the optimum went
#'   through, so that `init = list(mixing = fit$optima$mixing[[2]], sigma2 = fit$sigma2)` starts
#'   from the runner-up; one matrix an optimum, at most `starts` and two in all), `untold` (list:
#'   pairs of latents that linear mechanisms hardly tell apart there; not with `mixing = "psd"`).
#'   Else NULL}
#' \item{sampling}{where the start took draws (see [start_search()]): tibble
#'   of the stages of each `run` of SAEM (`rows`, `iterations`, squared `distance` that the stage
#'   moved A); else NULL}
#' \item{start_mc_error}{(d) Monte-Carlo standard error of such a start, from the spread of its
#'   runs, by what it moves the latents: root mean square over rows, in units of the latent's
#'   standard deviation. NULL of one run}
#' \item{control, init, call, elapsed}{settings, kind of start, call, seconds}
#' \item{seconds}{seconds by stage, named: passes over the rows (`"Pass: scan"`, ...), searches, draws
#'   and iterations, and `other`, all else; together those of the whole call}
#' \item{start}{`init` as given, to fit the model again; of a fit, its `mixing` and `sigma2`}
#' \item{columns, intervention}{where `mixing` and `intervention` were chosen by the data: what that
#'   rests on (`loglik` of general columns of A over orthogonal ones, `bic`, largest `cosine`; with
#'   splines for mechanisms, where lines speak for general ones, their log-likelihood `curves` and what
#'   is `asked` of it; `correlated`; see [crl_mixing]; `loss` of log-likelihood by perfect interventions, what may be `allowed`, `edges`
#'   into targets, `perfect`); else NULL}
#' \item{learned}{named logical: were `mixing` and `sigma2` updated}
#'
#' A fit by `method = "g"` has `method`, `latents`, `latents_sd`, `mixing`, `sigma2`, `data`,
#' `optima`, `control`, `init`, `call`, `elapsed` as above, and
#' \item{quantiles}{(n x d x 3) posterior quantiles at 5, 50 and 95 percent}
#' \item{latent_noise_var}{(d x 2) variances v of u by target state; NA for a state without rows}
#' \item{noise}{where `noise` in [prior_spline()] is a number of components: tibble by (node, state)
#'   and component of `weight`, `mean`, `variance`; else NULL. `latent_noise_var` is the variance of u}
#' \item{mc_error, ess}{(d) Monte-Carlo standard error of the latents, root mean square over rows,
#'   from two halves of the draws; and how many independent draws would have that error}
#' \item{mixing_mc_error, sigma2_mc_error, latent_noise_var_mc_error}{(p x d, 1 and d x 2) Monte-Carlo
#'   standard errors of `mixing`, `sigma2` and `latent_noise_var`, from batch means, see [saem_control()]; `Inf` with fewer than 2 averaging iterations}
#' \item{mc_ratio}{Monte-Carlo over sampling error of `mixing` and of log `latent_noise_var`, which
#'   `mc_tol` bounds}
#' \item{iterations}{iterations of SAEM, burn-in included}
#' \item{converged}{did burn-in end because nothing moved, and averaging because it was precise, in
#'   all chains? R-hat is not looked at}
#' \item{runs}{tibble by chain: `seed`, `burn_in`, `iterations`, `settled`, `precise`, `objective`
#'   (mean over the averaging iterations; the chain with the largest is the fit), `distance`
#'   (Frobenius norm, of A from that chain's, in units of the sampling error)}
#' \item{r_hat}{NULL of one chain; of several a list: split R-hat (Gelman et al. 2013) over the
#'   averaging iterations of `mixing` (in the coordinates that A is
#'   learned in: d x d within the space of the principal components), `sigma2`, `objective`, `noise_var` (d x 2)}
#' \item{trace}{tibble by iteration (and `chain`, if there are several): `sigma2`, `change_mixing`
#'   (relative), `acceptance` (mean share of random-walk moves accepted), `objective` (log density
#'   of a row of x and its draw, at its maximum in the variances, up to a constant: not the
#'   likelihood, see [saem_control()]), `shift` (of the parameters, in units of
#'   what ends burn-in, where it was looked at), noise variances}
#' \item{saem}{what [update()][update.crl_fit] goes on from}
#' \item{acceptance}{(d x M) share of random-walk moves accepted in the last iteration; NA where
#'   no latent depends on the node}
#' \item{cells}{tibble by (node, state): rows, coefficients, effective degrees of freedom, noise
#'   variance}
#' \item{prior}{coefficients of the mechanisms, read by [mechanisms()]}
#' \item{counts}{what was floored or rank deficient}
#' \item{seed}{of the draws}
#' \item{gram, chains, walk_scale}{A'A, last draw of the latents and random-walk scales, from which
#'   a fit with `init = fit` goes on}
#'
#' With a Gaussian prior ([prior_linear()] or [prior_normal()]) a g fit has the same
#' fields, `mc_error` being 0 and what SAEM adds absent, `drift` the last relative change,
#' `converged` as in an f fit, and
#' \item{loglik}{log-likelihood of x, read by [logLik()][logLik.crl_fit]; `trace` has it, too, and
#'   `change`, the largest relative change of A, the mechanisms and the variances}
#' \item{mechanism_coef}{tibble of the linear mechanisms: `node`, `state`, `term` (`"(Intercept)"`
#'   or a parent), `estimate`}
#' \item{prior, parents}{the same as arrays, `intercept` and `variance` (2 x d), `slope` (d x
#'   2 x d: parent, state, node), and the parents of each node}
#' \item{subspace}{NULL, or how many principal components A was sought within}
#'
#' The latents are those of the final A and \eqn{\sigma^2}.
#'
#' @seealso [fit_crl()]
#' @name crl_fit-object
NULL
