# A page to explore a fit: one file of HTML, with the numbers in it (inst/explore/explore.html draws).

# Values of a parent at which the page has its effect.
EXPLORE_POINTS <- 61L

#' A page to explore a fit in the browser
#'
#' Writes one HTML file that needs no server and no network: the causal graph; a slider for each
#' latent, that sets it and shows what follows for the other latents and for the features; the latents
#' by domain; and the loadings, with a search. What follows is computed along the mechanisms of the
#' fit outside its interventions, each latent with average noise: for linear mechanisms these are means,
#' for curves [effects()][effects.crl_fit] has the means.
#'
#' @param fit A `crl_fit`, from [fit_crl()].
#' @param file Where the page is written; `.html` is not added.
#' @param title Its title.
#' @param open Open it in the browser? Default: in interactive sessions.
#' @return `file`, invisibly.
#' @section Errors:
#' `ebcrl_error_method` for a fit with `prior = "normal"`; `ebcrl_error_type` if `file` is no path;
#' `ebcrl_error_results` if it cannot be written.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' page <- explore(fit, file = tempfile(fileext = ".html"))
#' @export
explore <- function(fit, file, title = "A causal representation", open = interactive()) {
  fit <- check_fit(fit)
  check_given(file = missing(file), call = rlang::current_env(), help = "explore")
  check_flag(open, "open")
  for (name in c("file", "title")) {
    value <- get(name)
    if (!rlang::is_string(value)) {
      abort_input(c("{.arg {name}} must be one string.", "x" = "It is {describe(value)}."), "type")
    }
  }
  model <- causal_model(check_causal(fit, "explore"))
  page <- readLines(system.file("explore", "explore.html", package = "ebcrl"), encoding = "UTF-8")
  # a name must not end the script that holds the numbers
  data <- gsub("</", "<\\/", as_json(explore_data(fit, model, title)), fixed = TRUE)
  at <- grep("@MODEL@", page, fixed = TRUE)
  parts <- strsplit(page[at], "@MODEL@", fixed = TRUE)[[1L]]
  page[at] <- paste0(parts[1L], data, parts[2L])
  written <- tryCatch({
    con <- base::file(file, "wb")
    on.exit(close(con))
    writeLines(enc2utf8(page), con, useBytes = TRUE)
    NULL
  }, error = conditionMessage, warning = conditionMessage)
  if (!is.null(written)) {
    abort_input(c("{.arg file} cannot be written.", "x" = "{written}"), "results")
  }
  if (open) utils::browseURL(file)
  invisible(file)
}

#' @noRd
explore_data <- function(fit, model, title) {
  kept <- seq_len(model$kept)
  names <- model$data$latent_names[kept]
  nodes <- label_nodes(graph_layout(fit$data$dag))
  edges <- model_edges(model)
  edges <- edges[!duplicated(edges[c("from", "to")]), ]
  links <- edge_links(match(edges$from, nodes$name), match(edges$to, nodes$name), nodes)
  targeted <- colSums(unclass(fit$data$targets)) > 0L
  list(
    title = title,
    about = describe_size(fit_size(fit)), latents = I(names), features = I(model$names),
    order = I(setdiff(topological_order(model$data$dag), setdiff(seq_len(model$data$d), kept)) - 1L),
    range = lapply(kept, function(j) I(unname(model$range[, j]))),
    nodes = lapply(kept, function(j) {
      list(x = nodes$x[j], y = nodes$y[j], targeted = unname(targeted[j]),
           lines = I(strsplit(nodes$text[j], "\n", fixed = TRUE)[[1L]]))
    }),
    size = node_size(nodes), beside = BESIDE_GRAPH,
    edges = lapply(seq_len(nrow(edges)), function(e) {
      list(from = match(edges$from[e], names) - 1L, to = match(edges$to[e], names) - 1L,
           effect = edges$effect[e], share = min(sqrt(edges$share[e]), 1), x = links$x0[e],
           y = links$y0[e])
    }),
    mechanisms = lapply(kept, function(j) explore_mechanism(model, j)),
    domains = explore_domains(fit),
    loadings = lapply(kept, function(j) I(unname(model$mixing[, j])))
  )
}

#' The mechanism of a latent outside interventions, or in the only state there is
#' @noRd
explore_mechanism <- function(model, node) {
  state <- if (is.na(model$latent_noise_var[node, 1L])) 1L else 0L
  parents <- active_parents(model, node, state)
  all <- parents_of(model$data$dag, node)
  list(constant = cell_constant(model$prior, cell_of(node, state)),
       parents = lapply(parents[parents <= model$kept], function(parent) {
         ends <- model$range[, parent]
         room <- diff(ends) / 4
         z <- seq(ends[1L] - room, ends[2L] + room, length.out = EXPLORE_POINTS)
         list(parent = parent - 1L, z = I(z),
              effect = I(effect_of(model, node, state, match(parent, all), z)))
       }))
}

#' @noRd
explore_domains <- function(fit) {
  data <- fit$data
  cells <- expand.grid(e = seq_len(data$n_domains), j = seq_len(data$d))
  Map(function(e, j) {
    q <- stats::quantile(fit$latents[data$env == e, j], c(0.05, 0.25, 0.5, 0.75, 0.95),
                         names = FALSE)
    list(latent = j - 1L, domain = data$env_names[e], targeted = data$targets[e, j] == 1L, q = I(q))
  }, cells$e, cells$j)
}

# JSON --------------------------------------------------------------------------------------------

#' Lists, numbers, strings and flags as JSON; vectors in I() are arrays, whatever their length
#' @noRd
as_json <- function(x) {
  array <- inherits(x, "AsIs")
  x <- unclass(x)
  if (is.list(x)) {
    parts <- vapply(x, as_json, "")
    if (!is.null(names(x))) {
      return(paste0("{", paste0(json_string(names(x)), ":", parts, collapse = ","), "}"))
    }
    return(paste0("[", paste(parts, collapse = ","), "]"))
  }
  parts <- if (is.character(x)) json_string(x) else if (is.logical(x)) tolower(as.character(x)) else
    ifelse(is.finite(x), formatC(x, digits = 8L, format = "g", width = 1L), "null")
  if (array) paste0("[", paste(parts, collapse = ","), "]") else parts[1L]
}

#' @noRd
json_string <- function(x) {
  if (length(x) == 0L) {
    return(character())
  }
  x <- gsub("\\", "\\\\", enc2utf8(as.character(x)), fixed = TRUE)
  x <- gsub("\"", "\\\"", x, fixed = TRUE)
  paste0("\"", gsub("[[:cntrl:]]", " ", x), "\"")
}
