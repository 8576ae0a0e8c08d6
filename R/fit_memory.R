# What a fit takes of memory, and what the C core has room for: refused before it starts.

#' Coordinates that the C core has room for: of a tensor-product spline ("coordinates"), and of a
#' "family", a node and its parents, whose spline may be a sum of them
#' @noRd
core_limit <- function(of) .Call(C_core_limits)[[of]]

#' Refuse a fit that would not fit in memory, before it starts
#' @noRd
check_memory <- function(data, control, call) {
  check_families(data, control, call)
  cost <- fit_cost(data, control)
  largest <- which.max(cost$coefficients)
  node <- node_of(largest)
  parents <- lengths(parent_list(data$dag))[node]
  size <- format(cost$coefficients[largest], big.mark = ",", decimal.mark = ".")
  check_bytes(cost$bytes, control, call = call, hint = c(
    "x" = paste("{.val {data$latent_names[node]}} has {parents} parent{?s}:",
                "{size} spline coefficients a state."),
    "i" = additive_hint(parents, control),
    "i" = paste("Use a sparser {.arg dag} or fewer knots, or raise",
                "{.code crl_control(max_memory = )}.")
  ))
}

#' Refuse rows whose fit would not fit in memory before the first pass over them: what is left of
#' them after the passes, n x d, and the sums that the passes make. (Engines check again what they
#' take, when all is known.)
#' @param known See `before` of crl_data().
#' @noRd
check_before_passes <- function(known, control, call) {
  check_bytes(pass_bytes(known) + 3 * 8 * as.double(known$n) * known$d, # latents, sds, scores
              control, call = call, hint = c(
    "x" = "{.arg x} has {count_of(known$n, 'row')}; coordinates, latents and their sds take most.",
    "i" = paste("Fit some of the rows, and stream the latents of all to a folder by",
                "{.code predict(fit, rows, to = )}; or raise",
                "{.code crl_control(max_memory = )}.")
  ), .envir = list2env(list(known = known), parent = environment()))
}

#' Bytes of the coordinates, of second moments (their sum, that of a block and a copy), and of the
#' block that is read
#' @noRd
pass_bytes <- function(known) {
  rows <- known$rows
  elsewhere <- is.null(rows$matrix)
  block <- if (elsewhere && isTRUE(rows$remote)) 8 * max(rows$blocks$rows) * known$p else 0
  held <- known$p <= if (elsewhere && isTRUE(rows$remote)) MOST_MOMENTS else DENSE_FEATURES
  8 * as.double(known$n) * known$d + block + if (held) 3 * 8 * as.double(known$p)^2 else 0
}

#' Refuse what would take more bytes beside x than it may
#' @param hint Bullets that end the message; braces are evaluated in `.envir`.
#' @param what What takes them, in words.
#' @noRd
check_bytes <- function(bytes, control, hint, call, what = "The fit", .envir = parent.frame()) {
  limit <- (control$max_memory %||% available_gigabytes()) * 1e9
  if (bytes > limit) {
    abort_input(c(paste0(what, " needs about ", format(bytes / 1e9, digits = 3),
                         " GB beside {.arg x}; ", format(limit / 1e9, digits = 3),
                         " GB may be taken."), hint),
                "memory", call = call, .envir = .envir)
  }
}

#' @noRd
check_families <- function(data, control, call) {
  parents <- lengths(parent_list(data$dag))
  if (control$spline$interaction == "auto") { # of a fit it is resolved, unless somebody has changed it
    abort_input(c("The {.field control} of a fit must say which {.field interaction} it has.",
                  "x" = "It is {.val auto}."), "control", call = call)
  }
  tensor <- control$spline$interaction == "tensor"
  hint <- if (tensor) {
    c("i" = paste0("Its spline would have ", control$knots + 2, "^", max(parents) + 1,
                   " coefficients."),
      "i" = additive_hint(max(parents), control))
  }
  check_family_size(parents, data, call, hint, 
                    limit = core_limit(if (tensor) "coordinates" else "family"))
  check_tensor(data, control, call)
}

#' @noRd
additive_hint <- function(parents, control) {
  if (control$spline$interaction == "tensor" && parents > 1L) {
    "{.code spline_control(interaction = \"additive\")} takes far fewer coefficients."
  }
}

#' @noRd
check_family_size <- function(parents, data, call, hint, limit = core_limit("coordinates")) {
  if (max(parents) >= limit) {
    widest <- data$latent_names[which.max(parents)]
    abort_input(c("{.arg dag} must not give a latent more than {limit - 1L} parents.",
                  "x" = "{.val {widest}} has {max(parents)}.", hint), "memory", call = call)
  }
}

#' @noRd
available_gigabytes <- function() {
  found <- tryCatch(
    grep("^MemAvailable:", readLines("/proc/meminfo", warn = FALSE), value = TRUE),
    error = function(e) character(), warning = function(w) character()
  )
  if (length(found) == 1L) as.numeric(gsub("[^0-9]", "", found)) * 1024 / 1e9 else 8
}
