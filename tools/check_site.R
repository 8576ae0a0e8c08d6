# usage: Rscript tools/check_site.R [docs]
# Opens every page of the built site in a headless browser (chromium) and fails if a picture does
# not load, or a link to a page, file or heading of the site leads nowhere. Other hosts are not
# asked.

site <- normalizePath(c(commandArgs(TRUE), "docs")[1])
pages <- list.files(site, "\\.html$", recursive = TRUE)
browser <- Sys.which(c("chromium", "chromium-browser", "google-chrome"))
browser <- unname(browser[nzchar(browser)][1])
if (is.na(browser)) stop("no chromium found on the path", call. = FALSE)

# A page that loads all others, one after the other, and writes down what it saw: a line each of
# "image", "link" or "id", the page, and what was found there, separated by tabs.
checker <- sprintf('<!DOCTYPE html><meta charset="utf-8"><pre id="found"></pre><script>
const root = "file://%s/", pages = [%s], lines = [];
const settled = image => image.complete ? null :
  new Promise(done => { image.onload = image.onerror = done; });
const look = page => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.width = 1200; frame.height = 900; frame.src = root + page;
  frame.onload = async () => {
    const seen = frame.contentDocument;
    for (const image of seen.images) image.loading = "eager";
    await Promise.all([...seen.images].map(settled));
    for (const image of seen.images)
      if (image.src.startsWith(root) && image.naturalWidth === 0)
        lines.push(["image", page, image.src].join("\\t"));
    for (const link of seen.querySelectorAll("a[href], link[href], script[src]"))
      lines.push(["link", page, link.href || link.src].join("\\t"));
    for (const target of seen.querySelectorAll("[id], a[name]"))
      lines.push(["id", page, target.id || target.name].join("\\t"));
    lines.push(["images", page, seen.images.length].join("\\t"));
    frame.remove();
    done();
  };
  document.body.append(frame);
});
(async () => {
  for (const page of pages) await look(page);
  document.getElementById("found").textContent = lines.join("\\n") + "\\nend";
})();
</script>', site, paste0("\"", pages, "\"", collapse = ", "))
folder <- tempfile("site")
dir.create(folder)
file <- file.path(folder, "check.html")
writeLines(checker, file)

dom <- suppressWarnings(system2(browser, c(
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-web-security",
  "--allow-file-access-from-files", shQuote("--host-resolver-rules=MAP * ~NOTFOUND"),
  paste0("--user-data-dir=", folder), "--virtual-time-budget=600000", "--dump-dom",
  paste0("file://", file)
), stdout = TRUE, stderr = FALSE))
unescape <- function(x) gsub("&amp;", "&", x, fixed = TRUE)
dom <- unescape(sub(".*<pre id=\"found\">", "", dom))
if (!any(grepl("^end", dom))) stop("the browser did not get through all pages", call. = FALSE)
found <- utils::read.delim(text = grep("\t", dom, value = TRUE), header = FALSE, quote = "",
                           comment.char = "", colClasses = "character",
                           col.names = c("kind", "page", "what"))
seen <- function(kind) found[found$kind == kind, ]

links <- seen("link")
links <- links[startsWith(links$what, paste0("file://", site, "/")), ]
inside <- utils::URLdecode(paste(sub(paste0("file://", site, "/"), "", links$what, fixed = TRUE),
                                 collapse = "\n"))
inside <- strsplit(inside, "\n", fixed = TRUE)[[1]]
path <- sub("[?#].*", "", inside)
path[path == ""] <- "index.html"
path <- ifelse(endsWith(path, "/"), paste0(path, "index.html"), path)
heading <- ifelse(grepl("#", inside), sub(".*#", "", inside), "")
ids <- seen("id")
known <- paste(ids$page, ids$what)
broken <- !file.exists(file.path(site, path)) |
  (heading != "" & !paste(path, heading) %in% known)

report <- c(sprintf("%s: picture %s", seen("image")$page, seen("image")$what),
            unique(sprintf("%s: link to %s", links$page[broken], inside[broken])))
images <- sum(as.integer(seen("images")$what))
cat("site: ", length(pages), " pages, ", images, " pictures, ", nrow(links),
    " links within; broken: ", length(report), "\n", sep = "")
if (length(report) > 0) {
  cat(report, sep = "\n")
  quit(status = 1L)
}
if (images == 0) stop("no picture was seen", call. = FALSE)

# The search of the site: its index has every page with text of ours.
index <- file.path(site, "search.json")
if (!file.exists(index)) stop("the site has no search.json", call. = FALSE)
index <- paste(readLines(index, warn = FALSE, encoding = "UTF-8"), collapse = "")
articles <- sub(".*/", "", grep("^articles/", pages, value = TRUE))
lacking <- setdiff(articles, "index.html")
lacking <- lacking[!vapply(lacking, grepl, NA, x = index, fixed = TRUE)]
if (length(lacking) > 0) stop("not in the search: ", toString(lacking), call. = FALSE)
