# What the interventions do to the latents, and how much of x the latents explain: what print(),
# tidy() and plot() lead with.

#' Shift of every latent in every domain, against the domains without targets, or where there are
#' none against those that do not target the latent
#'
#' @param latents,sds n x d: means, and posterior standard deviations (0: the latents are known).
#' @return tibble, one row a (domain, latent): `domain`, `latent`, `targeted`, `rows`, `mean`,
#'   `shift` and its standard error `se` in sd of the latent within the domains that it is compared
#'   with. NA where there are none.
#' @noRd
domain_shifts <- function(latents, sds, env, targets, domains) {
  n_env <- tabulate(env, nrow(targets))
  centre <- colMeans(latents)
  centred <- latents - rep(centre, each = nrow(latents))
  means <- rowsum(centred, env) / n_env
  spread <- rowsum((centred - means[env, , drop = FALSE])^2, env) # within domains, of the means
  unseen <- rowsum(sds^2 * matrix(1, nrow(latents), ncol(latents)), env)
  controls <- rowSums(targets) == 0
  one <- function(j) {
    base <- if (any(controls)) controls else targets[, j] == 0
    n <- sum(n_env[base])
    sd <- sqrt((sum(spread[base, j]) + sum(unseen[base, j])) / max(1, n - sum(base)))
    of_mean <- unname(spread[, j]) / pmax(1, n_env - 1) / n_env
    level <- sum(n_env[base] * means[base, j]) / n
    tibble::tibble(
      domain = domains, latent = colnames(latents)[j], targeted = targets[, j] == 1, rows = n_env,
      mean = unname(means[, j] + centre[j]),
      shift = if (n > 0 && sd > 0) unname(means[, j] - level) / sd else NA_real_,
      se = if (n > 0 && sd > 0) sqrt(of_mean + sum(n_env[base]^2 * of_mean[base]) / n^2) / sd else
        NA_real_
    )
  }
  do.call(rbind, lapply(seq_len(ncol(latents)), one))
}

#' @noRd
fit_shifts <- function(fit) {
  data <- fit$data
  domain_shifts(fit$latents, fit$latents_sd, data$env, data$targets, data$env_names)
}

#' The shifts of each domain's targets, one row a domain: `domain`, `rows`, `shift` in words
#' @noRd
target_shifts <- function(shifts) {
  words <- function(of) {
    of <- of[of$targeted, ]
    if (nrow(of) == 0L) {
      return("no target")
    }
    shown <- utils::head(of, 4L)
    size <- ifelse(is.na(shown$shift), "always a target", sprintf("%+.2f", shown$shift))
    left <- nrow(of) - nrow(shown)
    paste0(paste(shown$latent, size, collapse = ", "), if (left > 0L) paste(" and", left, "more"))
  }
  domains <- unique(shifts$domain)
  parts <- split(shifts, factor(shifts$domain, domains))
  tibble::tibble(domain = domains, rows = shifts$rows[match(domains, shifts$domain)],
                 shift = unname(vapply(parts, words, "")))
}

#' The table of target_shifts(), of at most so many domains
#' @noRd
print_shifts <- function(shifts, most = 10L) {
  table <- target_shifts(shifts)
  against <- if ("no target" %in% table$shift) "domains without targets" else
    "other domains"
  cat("\n")
  write_lines(paste0("Mean of each domain's targets, in sd, against the ", against, ":"))
  shown <- utils::head(table, most)
  cells <- list(c("domain", shown$domain), c("rows", whole(shown$rows)),
                c("targets", shown$shift))
  cat(paste0(" ", format(cells[[1L]]), "  ", format(cells[[2L]], justify = "right"), "  ",
             cells[[3L]]), sep = "\n")
  if (nrow(table) > most) {
    cat(" and ", count_of(nrow(table) - most, "more domain"), ": see tidy(, \"effects\")\n",
        sep = "")
  }
}

#' Share of the variance of x about its means that is not noise
#' @noRd
explained_variance <- function(fit) {
  varying <- fit$data$p - length(fit$data$constant)
  total <- fit$data$variance
  if (total > 0) max(0, 1 - (varying * fit$sigma2 + nuisance_variance(fit)) / total) else NA_real_
}

#' Variance that nuisance factors bring to x, summed over features
#' @noRd
nuisance_variance <- function(fit) {
  if (is.null(fit$nuisance)) {
    return(0)
  }
  if (inner_nuisance(fit$measurement) == 0L) {
    return(sum(fit$nuisance$mixing^2))
  }
  sds <- fit$inner$latents_sd[, -seq_len(fit$data$d), drop = FALSE]
  variances <- apply(fit$nuisance$scores, 2L, stats::var) + colMeans(sds^2)
  sum(colSums(fit$nuisance$mixing^2) * variances)
}
