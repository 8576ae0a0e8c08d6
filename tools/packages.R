# usage: Rscript tools/packages.R NAME...
# Prints those of the named packages that are absent or older than DESCRIPTION asks for, one a line.
# Fails when tools/packages.txt and DESCRIPTION disagree, so that neither can be forgotten.

#' Packages of the DESCRIPTION fields, with the lowest version that will do ("0" when any will).
read_requirements <- function(fields) {
  description <- read.dcf("DESCRIPTION", fields = fields)
  entries <- trimws(unlist(strsplit(description[!is.na(description)], ",")))
  name <- sub("[[:space:](].*", "", entries)
  version <- ifelse(grepl(">=", entries), gsub(".*>= *|[)[:space:]]", "", entries), "0")
  stats::setNames(version, name)
}

is_met <- function(name, version) {
  path <- suppressWarnings(find.package(name, quiet = TRUE))
  length(path) > 0L && utils::packageVersion(name) >= version
}

required <- read_requirements(c("Imports", "Suggests"))
required <- required[!names(required) %in% rownames(installed.packages(priority = "base"))]

listed <- read.table("tools/packages.txt", col.names = c("kind", "name", "debian", "stage"))
listed <- listed[listed$kind == "package" & !listed$stage %in% c("site", "dev"), ]
differing <- c(setdiff(names(required), listed$name), setdiff(listed$name, names(required)))
if (length(differing) > 0L) {
  stop("in only one of DESCRIPTION and tools/packages.txt: ", paste(differing, collapse = ", "))
}

for (name in commandArgs(trailingOnly = TRUE)) {
  version <- if (name %in% names(required)) required[[name]] else "0"
  if (!is_met(name, version)) cat(name, "\n", sep = "")
}
