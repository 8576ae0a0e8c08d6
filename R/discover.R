# Graph, order and targets unknown: the surface. The search is in discover_search.R, what is known
# beforehand in discover_known.R, the result in discover_result.R.

# Level of the test that domains differ at all: if not, none is taken to have targets.
DISCOVER_LEVEL <- 1e-3

#' Find graph and targets
#'
#' For observations in several domains whose causal graph over the latents, or whose intervention
#' targets, are not known, or not all: looks for the hypothesis (a graph and the targets of each
#' domain) under which they are most likely, less what its parameters cost (BIC), and says what the
#' domains tell and what they do not. `fit_crl(found)` then fits the latents.
#'
#' @section How:
#' x is reduced to d coordinates in the space of its factors, with the measurement model of
#' [fit_crl()]. Latents are a rotation of these. A latent has one mechanism in all domains that do
#' not target it and another in those that do, so that a wrong graph, or wrong targets, fit worse
#' whatever the rotation.
#' 1. *Orders and targets.* Every graph is part of the complete one of some order. Orders with
#'    targets are compared by their profile likelihood with linear mechanisms, a function of the
#'    domains' means and covariances, for the best rotation: all of them if they are few (up to
#'    1,500), else those that a local search meets (other targets of a domain, targets of two
#'    domains exchanged, another place in the order; each time the rotation is optimised again from
#'    where it stands), from ten random states.
#' 2. *Edges.* From the best of these, edges are taken away one by one as long as BIC gains, then
#'    any move is tried (an edge less, more, or turned round, other targets). Here the likelihood is
#'    that of the coordinates with their noise, for the best rotation, slopes and variances. So far
#'    the time does not depend on the number of rows.
#' 3. *Curves* (`mechanisms = "spline"` or `"sampled"`). Lines through curves leave dependence
#'    behind, which passes for edges, and hide which latent comes first. So hypotheses are judged
#'    with additive mechanisms, of each edge a line or a spline, on rows (up to 3,000 a domain,
#'    10,000 in all), with the correction for noise in the parents of the start of [fit_crl()]. The
#'    orders of the latents that fit best with all edges as splines (of all orders of up to four
#'    latents; of five those that a local search meets) are looked at further: edges become lines,
#'    are taken away, added, bent and turned round by BIC. With more than five latents this starts
#'    from the edges that lines have found. The hypothesis of step 2 stays if BIC is in favour of it.
#' 4. *Draws* (`"sampled"`, the default). Where mechanisms bend within a width of the noise that
#'    correction is too coarse: dependence that it leaves passes for edges, or turns them round. A
#'    short g-model (see [fit_crl()]; up to 1,000 rows a domain, 6,000 in all) draws the latents,
#'    and each edge is kept only if the log-likelihood of these rows lost without it, by the draws,
#'    all else held, is more than half the log of their number for each effective degree of freedom
#'    of its spline. Then g-models of graphs next to this one are fitted: with an edge turned round,
#'    and where the loss of an edge is less than four times its price, without it or with a
#'    neighbour of its parent in the parent's place. Two g-models are compared by the log-likelihood
#'    of the rows by the draws of both, less half the log of their number for each slope and 1 for
#'    each further degree of freedom. Where lines were worth more than splines their edges are only
#'    turned round, and the graph of step 2 stays if none is.
#'
#' *Few features.* Where the features are too few for their pooled moments to tell factors and unequal
#' noise (with `mixing = "psd"`, as seven features with three latents and a nuisance factor), there is
#' no space to reduce x to beforehand. Then each hypothesis has a measurement model of its own, by
#' maximum likelihood of the moments of the features by domain, linear mechanisms, and BIC; targets are
#' looked for first with the edges that are required, then any move is tried. `nuisance = "auto"` adds
#' nuisance factors while BIC falls.
#'
#' @section What is known:
#' `targets` may give those of some domains, `observational` says which domains are without any, and
#' `dag` is a graph that is known as a whole, or [known_edges()]: some that are there, some that
#' are not, an order. Where something known names latents, the names stand for these in the result;
#' else latents are numbered in the order of the graph found.
#'
#' @param x Observations, as in [fit_crl()]: a numeric matrix (n x p), a data frame of numbers, a
#'   list with one matrix for each domain, or a simulation ([sim_crl()], of which only `x` and `env`
#'   are used).
#' @param env Domain of each row (length n). `NULL` where `x` is a list or a simulation.
#' @param d Number of latents. `NULL` (the default): as many factors as [crl_rank()] counts, less
#'   `nuisance`; a message says how many.
#' @param targets `NULL` (the default): not known. Or those of some domains: a list by domain of
#'   sets of latents, as in [intervention_targets()], or a matrix (domains x latents) of 0, 1 and NA
#'   (not known) with domain names as row names.
#' @param dag `NULL` (the default): not known. A graph, as [as_dag()] reads it: known as a whole. Or
#'   [known_edges()].
#' @param observational Domains without targets, by name; `NULL` (the default): not known. With one
#'   domain known to be so, its rows are the reference that others are told from, but none is
#'   needed.
#' @param max_targets Largest number of targets of a domain (default 1).
#' @param intervention `"perfect"` (the default): a targeted latent does not depend on its parents.
#'   `"imperfect"`: it may, in another way.
#' @param mechanisms `"sampled"` (the default), `"spline"` or `"linear"`: what hypotheses are judged
#'   with at last, see How.
#' @param mixing `"orthonormal"` (the default): columns of A are orthonormal, as in the paper.
#'   `"psd"`: any columns of length 1, which takes more of the domains to tell; judged with lines
#'   only.
#' @param center,noise,nuisance The measurement model, see [fit_crl()].
#' @param covariates Known covariates of the rows, see [fit_crl()]: their effects within domains are
#'   taken out of `x` before all else. `fit_crl(found)` needs them no more.
#' @param seed Of the random rotations and states that the search begins at (default 1).
#' @param threads Number of threads; the result is the same for any.
#' @param progress Show progress? `NULL` (the default): in interactive sessions.
#' @param ... For [crl_rows()], such as `assay`; an argument that it does not read is an error.
#'
#' @return An object of class `crl_discovery`, a list with
#'   \item{dag}{(d x d) the graph of the best hypothesis, a `crl_dag`}
#'   \item{targets}{(M x d) its targets, by domain}
#'   \item{order}{names of the latents, causes first}
#'   \item{mixing}{(p x d) A of the best hypothesis; a latent is higher where it is targeted}
#'   \item{edges}{tibble of the edges of hypotheses within reach: `from`, `to`, `present` (in the
#'     best one), `effect` (slope of the line in state 0; NA if not present), `loss` (log-likelihood
#'     that the best hypothesis loses without it: with lines all else is optimised again, with draws
#'     nothing, which is an upper bound; of the rows that it was judged on), `evidence` (share of
#'     the hypotheses looked at that have it, each with the weight exp(-BIC / 2); with draws, twice
#'     what a graph is behind in the comparison of step 4 takes the place of BIC)}
#'   \item{hits}{the same of targets, with lines: `domain`, `latent`, `present`, `known`, `loss`,
#'     `evidence`}
#'   \item{judged}{`"linear"`, `"spline"` or `"sampled"`: what the graph was judged with;
#'     `straight`, BIC with splines less that with lines, 0 where lines stay (NULL where splines
#'     were not tried)}
#'   \item{hypotheses}{tibble of the hypotheses looked at, best first (with splines, of the rows that
#'     they were judged on): `bic`, `behind` (BIC less
#'     that of the best), `loglik`, `parameters`, `share` (weight), `edges` (their number), `dag`,
#'     `targets` (lists; latents numbered as in the best)}
#'   \item{equivalent}{list: `graph`, tibble of pairs of latents that hypotheses within 2 units of
#'     log-likelihood connect in different ways (`from`, `to`, `status`); `targets`, the same of
#'     targets; `words`}
#'   \item{tests}{list: `statistic`, `df`, `p_value` of the likelihood-ratio test that all domains
#'     have one mean and covariance. Where that is not refuted (level 0.001), no domain is given
#'     targets that are not known}
#'   \item{factors}{how many of the coordinates stand out of the noise, see [crl_rank()]}
#'   \item{doubts}{NULL, or where `x` has further common factors, which may have been taken for a
#'     latent, a list: `eigenvalue`, the largest in units of the noise, and `edge`, that of noise}
#'   \item{counts}{descents that did not converge, variances at their floor, of the hypotheses kept;
#'     in all hypotheses looked at}
#'   \item{parameters}{of the best hypothesis: `intercept`, `variance` (d x 2, by target state) and
#'     `slopes` (d x 2 x d: parent, state, latent)}
#'   \item{measurement, data, known, intervention, elapsed, call}{measurement model (see [fit_crl()]),
#'     checked input, what was known, settings}
#' @section Errors:
#' Those of [fit_crl()] for `x` and `env`; `ebcrl_error_rank` where `d = NULL` and no factor stands
#' out of the noise; `ebcrl_error_domain`, `ebcrl_error_targets` and `ebcrl_error_dag` where what is
#' known contradicts itself or names what is not there.
#' @seealso [crl_stability()] for what comes back in halves of the rows; [fit_crl()], [crl_rank()], [crl_identify()] for what targets tell of a graph before
#'   there are data.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(chain_dag(3), n = 500, p = 20, nonlinearity = "linear",
#'                targets = list(control = character(), a = "z1", b = "z2", c = "z3"))
#' found <- crl_discover(sim$x, env = sim$env, d = 3)
#' found
#' tidy(found)
#' @export
crl_discover <- function(x, env = NULL, d = NULL, targets = NULL, dag = NULL,
                         observational = NULL, max_targets = 1,
                         intervention = c("perfect", "imperfect"),
                         mechanisms = c("sampled", "spline", "linear"),
                         mixing = c("orthonormal", "psd"), center = "auto", noise = "auto",
                         nuisance = 0, covariates = NULL, seed = 1,
                         threads = getOption("ebcrl.threads", 1L), progress = NULL, ...) {
  check_fit_dots(...)
  check_given(x = missing(x), call = rlang::current_env(), help = "crl_discover")
  settings <- list(
    intervention = check_choice(intervention, c("perfect", "imperfect"), "intervention"),
    mechanisms = check_choice(mechanisms, c("sampled", "spline", "linear"), "mechanisms"),
    mixing = check_choice(mixing, c("orthonormal", "psd"), "mixing"),
    seed = check_number(seed, "seed", min = 0, max = MAX_SEED, integer = TRUE),
    threads = check_number(threads, "threads", min = 1, max = 1024, integer = TRUE),
    progress = if (!is.null(progress)) check_flag(progress, "progress"),
    max_targets = check_number(max_targets, "max_targets", min = 1, integer = TRUE),
    measure = measurement_settings(center, noise, nuisance, list(preset = "default"))
  )
  rows <- if (is.null(env)) crl_rows(x, ...) else crl_rows(x, env = env, ...)
  given <- list(targets = targets, dag = dag, observational = observational,
                env = rows$brings$env %||% env, covariates = covariates)
  found <- discover(rows, d, given, settings, rlang::current_env())
  with_call(found, match.call())
}

#' @noRd
discover <- function(rows, d, given, settings, call) {
  started <- proc.time()[["elapsed"]]
  check_env(given$env, rows, "env", call)
  latents <- known_latents(given, d, rows, settings, call)
  data <- discover_data(rows, given, latents, call)
  known <- knowledge(given, data, settings$max_targets, call)
  found <- searched(data, known, settings, call)
  found["doubts"] <- list(discovery_doubts(data, settings, call))
  found$elapsed <- proc.time()[["elapsed"]] - started
  found
}

#' Factors beyond latents and nuisance factors, which a latent may have been taken for
#' @return NULL, or as `nuisance` in measurement_doubts()
#' @noRd
discovery_doubts <- function(data, settings, call) {
  data <- varying_features(data)
  nuisance <- settings$measure$nuisance
  q <- data$d + if (is.numeric(nuisance)) nuisance else 0L
  if (!is.numeric(nuisance) || data$missing > 0 || data$p <= q + 2L || data$p > DENSE_FEATURES ||
        factor_freedom(data$p, q) < 0) {
    return(NULL)
  }
  with_spinner(settings$progress, "Further factors", {
    moments <- feature_moments(data, TRUE, settings$threads)
    model <- chosen_noise(moments, q, "auto", call)
    contradicts(list(nuisance = further_factor(moments, q, model$psi, call)))$nuisance
  })
}

#' @noRd
searched <- function(data, known, settings, call) {
  by_domains <- searches_by_domains(data, settings)
  make <- if (by_domains) domain_problem else discover_problem
  search <- if (by_domains) search_by_domains else search_hypotheses
  problem <- make(data, known, settings, call)
  best <- with_own_seed(settings$seed, with_progress(
    settings$progress, "Graph and targets", steps = NA,
    run = function(tick) counted(search, problem, settings, tick %||% function(...) NULL)
  ))
  found <- new_discovery(best, problem, settings)
  found$known <- known
  found
}

#' Code with random numbers of its own, R's generator being as before in the end
#' @noRd
with_own_seed <- function(seed, code) {
  restore <- save_generator()
  on.exit(restore())
  set.seed(seed %% 2^31, "Mersenne-Twister", "Inversion", "Rejection")
  code
}

#' A search, its steps being counted; where a stage begins, `note` says which
#' @noRd
counted <- function(search, problem, settings, tick) {
  done <- 0
  search(problem, settings, function(note = NULL) tick(done <<- done + 1, note = note))
}

#' @noRd
search_hypotheses <- function(problem, settings, step) {
  step("orders and targets")
  states <- stage_orders(problem, step)
  step("edges")
  best <- evident(stage_edges(states, problem, step), problem)
  problem$lines <- problem$seen
  if (settings$mechanisms == "linear" || problem$d == 1L || problem$general) {
    return(best)
  }
  step("curves")
  judged <- stage_curves(best, states, problem, step, drawn = settings$mechanisms == "sampled")
  if (settings$mechanisms == "spline") {
    return(judged)
  }
  step("draws")
  if (is.null(judged$curves)) turned_lines(judged, problem, step) else
    stage_draws(judged, problem, step)
}

#' Checked data with a graph and targets that say nothing
#' @noRd
discover_data <- function(rows, given, latents, call) {
  env <- given$env
  rows$matrix <- matrix_of_rows(rows, "The search for a graph", call = call)
  labels <- if (is.factor(env)) levels(droplevels(env)) else domain_labels(sort(unique(env)))
  targets <- new_targets(matrix(0L, length(labels), length(latents)), labels, latents)
  data <- crl_data(rows, env, targets, empty_dag(length(latents), latents),
                   prior = prior_linear(), call = call)
  without_covariates(data, given$covariates, rows$samples, call, rows$taken_out)
}

#' Names of the latents: those that something known has, or z1, ..., zd
#' @noRd
known_latents <- function(given, d, rows, settings, call) {
  if (!is.null(d)) d <- check_number(d, "d", min = 1, integer = TRUE, call = call)
  names <- latents_of_knowledge(given)
  if (is.null(names)) {
    return(default_latents(d %||% counted_latents(rows, given, settings, call)))
  }
  if (!is.null(d) && length(names) > d) {
    abort_input(c("{.arg d} must be at least the number of latents that are named.",
                  "x" = "It is {d}; {some(names)} are named."), "shape", call = call)
  }
  total <- d %||% length(names)
  fresh <- setdiff(default_latents(total), names)
  c(names, utils::head(fresh, total - length(names)))
}

#' As many as crl_rank() counts factors, less nuisance, with a message that says so
#' @noRd
counted_latents <- function(rows, given, settings, call) {
  measure <- settings$measure
  nuisance <- if (identical(measure$nuisance, "auto")) 0L else measure$nuisance
  factors <- with_spinner(settings$progress, "Number of latents", {
    data <- rank_rows(rows, given$env, given$covariates, call)
    moments <- feature_moments(data, TRUE, settings$threads)
    factor_number(moments, 0L, MOST_FACTORS, measure$noise, call)$factors
  })
  if (factors <= nuisance) {
    abort_input(c("{.arg x} must show latents above the noise.",
                  "x" = if (factors == 0L) "No factor stands out of the noise." else
                    "{factors} factor{?s} stand{?s/} out, and {nuisance} {?is/are} nuisance.",
                  "i" = paste("{.fn crl_rank} shows the eigenvalues; {.arg d} looks for latents all",
                              "the same.")),
                "rank", call = call)
  }
  d <- factors - nuisance
  tell(c("i" = paste("{cli::qty(factors)}{factors} factor{?s} stand{?s/} out of the noise of",
                     "{.arg x} ({.fn crl_rank}): {.arg d} is {d}.")),
       class = "ebcrl_message_latents")
  d
}

#' What the search is about: moments in a unit and in coordinates of their own, and what is known
#'
#' The unit is the root mean square of the coordinates, which are the principal ones of the pooled
#' covariance: those of x do not matter.
#' @return Environment, of which `seen` collects hypotheses
#' @noRd
discover_problem <- function(data, known, settings, call) {
  all <- data
  data <- varying_features(data)
  wanted <- settings$measure
  measured <- with_spinner(settings$progress, "Measurement model", {
    measure(data, wanted$center, wanted$noise, wanted$nuisance, settings$threads, call)
  })
  inner <- reduced_data(data, measured)
  space <- inner$space
  y <- inner$x %*% solve(space$whiten)
  moments <- .Call(C_domain_moments, y, data$env, data$n_domains)
  d <- ncol(y)
  problem <- new.env(parent = emptyenv())
  cov <- vapply(seq_len(data$n_domains), function(e) {
    matrix(moments$second[, , e], d) - tcrossprod(moments$mean[, e])
  }, matrix(0, d, d))
  axes <- principal_axes(moments, d)
  turn <- function(m) crossprod(axes$turn, m %*% axes$turn) / axes$unit^2
  problem$summary <- list(n = moments$n, mean = crossprod(axes$turn, moments$mean) / axes$unit,
                          cov = array(apply(array(cov, c(d, d, data$n_domains)), 3L, turn),
                                      c(d, d, data$n_domains)), noise = turn(space$noise))
  basis <- measured$span %*% axes$turn # A = basis times columns
  problem$basis <- replace(matrix(0, all$p, d), row_of(all$constant, all$p, d), basis)
  problem$unit <- axes$unit
  problem$d <- d
  problem$core <- data$d
  problem$known <- padded_knowledge(known, d)
  problem$equal <- equal_domains(moments)
  if (problem$equal$p_value > DISCOVER_LEVEL) problem$known$max_targets <- 0L
  problem$choices <- lapply(seq_len(data$n_domains), target_choices, known = problem$known)
  problem$perfect <- settings$intervention == "perfect"
  problem$general <- settings$mixing == "psd"
  problem$threads <- settings$threads
  problem$seed <- settings$seed
  problem$log_n <- log(data$n)
  problem$data <- all
  problem$part <- data
  problem$part$x <- y %*% axes$turn / axes$unit
  problem$part$measure <- NULL
  problem$measured <- measured
  problem$seen <- new.env(parent = emptyenv())
  problem
}

#' Likelihood-ratio test of equal means and covariances of the domains
#' @return list: `statistic`, `df`, `p_value`
#' @noRd
equal_domains <- function(moments) {
  d <- nrow(moments$mean)
  log_det <- function(second, mean) {
    as.numeric(determinant(matrix(second, d) - tcrossprod(mean))$modulus)
  }
  own <- vapply(seq_along(moments$n), function(e) {
    moments$n[e] * log_det(moments$second[, , e], moments$mean[, e])
  }, 0)
  share <- moments$n / sum(moments$n)
  all <- log_det(matrix(moments$second, d * d) %*% share, moments$mean %*% share)
  statistic <- sum(moments$n) * all - sum(own)
  df <- (length(moments$n) - 1L) * (d + d * (d + 1) / 2)
  list(statistic = statistic, df = df,
       p_value = stats::pchisq(statistic, df, lower.tail = FALSE))
}

#' Positions in a p x d matrix of the rows that are not constant features
#' @noRd
row_of <- function(constant, p, d) {
  if (length(constant) == 0L) seq_len(p * d) else which(rep(!seq_len(p) %in% constant, d))
}

#' @noRd
principal_axes <- function(moments, d) {
  share <- moments$n / sum(moments$n)
  second <- matrix(matrix(moments$second, d * d) %*% share, d)
  list(turn = eigen(second, symmetric = TRUE)$vectors, unit = sqrt(sum(diag(second)) / d))
}

# Fits of what was found
# ----------------------------------------------------------------------------

#' @export
crl_rows.crl_discovery <- function(x, ...) {
  data <- x$data
  rows <- matrix_rows(data$x, brings = list(env = data$env_names[data$env], targets = x$targets,
                                            dag = x$dag))
  rows["taken_out"] <- list(data$covariates)
  rows
}

#' Rows with the graph and targets that crl_discover() finds, and a message that says so
#' @noRd
discovered_rows <- function(x, env, targets, control, measurement, covariates, ...,
                            call = rlang::caller_env()) {
  control <- as_control(control, call)
  kind <- if (control$intervention == "auto") "perfect" else control$intervention
  found <- crl_discover(x, env = env, targets = targets, intervention = kind,
                        center = measurement$center %||% "auto",
                        noise = measurement$noise %||% "auto", nuisance = measurement$nuisance,
                        covariates = covariates,
                        seed = control$seed %||% 1, threads = control$threads,
                        progress = control$progress, ...)
  edges <- found$edges[found$edges$present, ]
  listed <- if (nrow(edges) > 0L) paste(edges$from, "->", edges$to) else "no edges"
  tell(c("i" = "{.fn crl_discover} has looked for the graph: {listed}.",
                    "i" = "Called itself, it says with what evidence, and what stays open."),
                  class = "ebcrl_message_discovered")
  found
}
