# Sizes in the C core: the longest function, functions with more than 8 parameters, the largest
# structs, public functions without their file's name. Rscript tools/count_c.R [folder]

folder <- c(commandArgs(trailingOnly = TRUE), "src")[1L]
files <- list.files(folder, "[.][ch]$", recursive = TRUE, full.names = TRUE)

# Code without comments, and the definitions of functions in it: formatted by clang-format, a
# definition begins in column 1 and ends with a closing brace there.
read_code <- function(file) {
  text <- paste(readLines(file), collapse = "\n")
  gsub("(?s)/[*].*?[*]/", "", text, perl = TRUE)
}

pieces <- function(pattern, text) regmatches(text, gregexpr(pattern, text, perl = TRUE))[[1L]]

functions_of <- function(file) {
  definition <- "(?m)^[A-Za-z_][A-Za-z0-9_ *]*?[A-Za-z0-9_]+\\([^;{}]*\\) \\{\\n(?s:.*?)^\\}"
  found <- pieces(definition, read_code(file))
  head <- sub("(?s)\\) \\{\n.*$", "", found, perl = TRUE)
  parameters <- sub("(?s)^[^(]*\\(", "", head, perl = TRUE)
  while (any(grepl("[(][^()]*[)]", parameters))) {
    parameters <- gsub("[(][^()]*[)]", "", parameters)
  }
  data.frame(file = rep(file, length(found)),
             name = sub("(?s)^.*?([A-Za-z0-9_]+)\\(.*$", "\\1", head, perl = TRUE),
             lines = lengths(strsplit(found, "\n")), parameters = lengths(strsplit(parameters, ",")),
             public = !grepl("^(static|INLINE|WIDE_VECTORS static)", head))
}

structs_of <- function(file) {
  found <- pieces("(?m)^(typedef )?struct [^;(]*?\\{\\n(?s:.*?)^\\}", read_code(file))
  body <- gsub("[(][^()]*[)]", "", sub("(?s)^[^{]*\\{", "", found, perl = TRUE))
  body <- gsub("[(][^()]*[)]", "", gsub("[[][^]]*[]]", "", body))
  fields <- vapply(strsplit(body, ""), function(x) sum(x %in% c(";", ",")), 0L)
  data.frame(file = rep(file, length(found)), fields = fields)
}

functions <- do.call(rbind, lapply(files, functions_of))
structs <- do.call(rbind, lapply(files, structs_of))
many <- functions[functions$parameters > 8L, ]
kernels <- functions[functions$public & grepl("[.]c$", functions$file), ]
kernels <- kernels[!grepl("/r_|init", kernels$file), ]
unit <- sub("[.]c$", "", basename(kernels$file))
own <- mapply(startsWith, kernels$name, sub("s$", "", unit))
structs <- structs[order(-structs$fields), ]
cat(sprintf("functions: %d; longest %d lines (%s); more than 8 parameters: %d (%.1f %%)\n",
            nrow(functions), max(functions$lines), functions$name[which.max(functions$lines)],
            nrow(many), 100 * nrow(many) / nrow(functions)))
cat(sprintf("public functions without their file's name: %d of %d\n", sum(!own), length(own)))
cat("structs of more than 20 fields:",
    paste(sprintf("%d (%s)", structs$fields, basename(structs$file))[structs$fields > 20],
          collapse = ", "), "\n")
