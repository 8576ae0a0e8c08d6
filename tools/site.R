# usage: Rscript tools/site.R
# Builds the site into docs/ from the installed package. Nothing is fetched.
options(pkgdown.internet = FALSE)
pkgdown::build_site(
  ".", preview = FALSE, install = FALSE, devel = FALSE, new_process = FALSE
)
