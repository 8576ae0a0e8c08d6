edges_of <- function(dag) {
  at <- which(unclass(dag) == 1L, arr.ind = TRUE)
  sort(sprintf("%s -> %s", rownames(dag)[at[, 1L]], colnames(dag)[at[, 2L]]))
}

test_that("as_dag() reads a 0/1 matrix from rows, whatever its type", {
  m <- rbind(c(0, 1, 1), c(0, 0, 1), c(0, 0, 0))
  dag <- as_dag(m)
  expect_s3_class(dag, c("crl_dag", "matrix", "array"), exact = TRUE)
  expect_type(dag, "integer")
  expect_identical(dimnames(dag), list(c("z1", "z2", "z3"), c("z1", "z2", "z3")))
  expect_identical(edges_of(dag), c("z1 -> z2", "z1 -> z3", "z2 -> z3"))
  expect_identical(as_dag(m == 1), dag)
  storage.mode(m) <- "integer"
  expect_identical(as_dag(m), dag)
  expect_identical(as_dag(dag), dag)
})

test_that("as_dag() takes node names from rows or columns of a matrix", {
  m <- rbind(c(0, 1), c(0, 0))
  expect_identical(colnames(as_dag(`rownames<-`(m, c("a", "b")))), c("a", "b"))
  expect_identical(rownames(as_dag(`colnames<-`(m, c("a", "b")))), c("a", "b"))
})

test_that("direction = 'from_column' reads the transposed matrix", {
  m <- rbind(c(0, 0, 0), c(1, 0, 0), c(1, 1, 0))
  expect_identical(as_dag(m, direction = "from_column"), as_dag(t(m)))
  expect_identical(edges_of(as_dag(m, direction = "from_row")),
                   c("z2 -> z1", "z3 -> z1", "z3 -> z2"))
  expect_error(as_dag(m), class = "ebcrl_error_dag_direction")
  pcalg <- structure(m, class = "amat.cpdag")
  expect_error(as_dag(pcalg), class = "ebcrl_error_dag_direction")
  expect_identical(as_dag(pcalg, direction = "from_column"), as_dag(t(m)))
})

test_that("only a strictly lower triangular matrix with edges is in doubt", {
  expect_identical(edges_of(as_dag(matrix(0, 2, 2))), character())
  mixed <- rbind(c(0, 0, 1), c(1, 0, 0), c(0, 0, 0))
  expect_identical(edges_of(as_dag(mixed)), c("z1 -> z3", "z2 -> z1"))
})

test_that("as_dag() reads edge lists and keeps the order of nodes", {
  edges <- data.frame(from = c("b", "a"), to = c("c", "c"))
  expect_identical(colnames(as_dag(edges)), c("b", "c", "a"))
  expect_identical(colnames(as_dag(edges, nodes = c("a", "b", "c", "d"))), c("a", "b", "c", "d"))
  expect_identical(edges_of(as_dag(edges)), c("a -> c", "b -> c"))
  swapped <- data.frame(to = c("c", "c"), from = factor(c("b", "a")), weight = 1)
  expect_identical(edges_of(as_dag(swapped)), c("a -> c", "b -> c"))
  unnamed <- data.frame(cause = "b", effect = "c")
  expect_identical(edges_of(as_dag(unnamed)), "b -> c")
  expect_identical(as_dag(as.matrix(edges)), as_dag(edges))
})

test_that("as_dag() reads text: chains, groups, several strings", {
  expect_identical(edges_of(as_dag("a -> b -> c")), c("a -> b", "b -> c"))
  expect_identical(edges_of(as_dag("a->b<-c")), c("a -> b", "c -> b"))
  expect_identical(as_dag(c("a -> b", "b -> c")), as_dag("a -> b -> c"))
  expect_identical(as_dag(c("a -> b", "c")), as_dag("a -> b; c"))
  expect_identical(edges_of(as_dag("{a b} -> {c d}")), c("a -> c", "a -> d", "b -> c", "b -> d"))
  expect_identical(colnames(as_dag("a -> b", nodes = c("c", "b", "a"))), c("c", "b", "a"))
  expect_identical(edges_of(as_dag("p.1 -> p_2\np_2 -> \u03b1")), c("p.1 -> p_2", "p_2 -> \u03b1"))
})

test_that("as_dag() reads dagitty and DOT graphs with attributes", {
  text <- 'dag {
bb="-2.4,-2.6,2.3,2.4"
"PI 3K" [latent,pos="-0.5,0.7"]
Raf [exposure,pos="-1.3,0.4"]
Mek [outcome,pos="1.0,-0.2"]
Erk
"PI 3K" -> Raf [beta="0.5"]
Raf -> Mek
}
'
  dag <- as_dag(text)
  expect_identical(colnames(dag), c("PI 3K", "Raf", "Mek", "Erk"))
  expect_identical(edges_of(dag), c("PI 3K -> Raf", "Raf -> Mek"))
  expect_identical(as_dag(structure(text, class = "dagitty")), dag)
  expect_identical(as_dag("dag{a->b;c}"), as_dag("a -> b; c"))
  expect_identical(as_dag("digraph G { a -> {b c}; }"), as_dag("a -> {b c}"))
})

test_that("a name in quotes may look like anything", {
  expect_identical(edges_of(as_dag('"a -> b" -> "dag {"')), "a -> b -> dag {")
})

test_that("as_dag() reads igraph objects", {
  skip_if_not_installed("igraph")
  named <- igraph::make_graph(c("c", "a", "a", "b"))
  expect_identical(colnames(as_dag(named)), c("c", "a", "b"))
  expect_identical(edges_of(as_dag(named)), c("a -> b", "c -> a"))
  plain <- igraph::make_graph(c(1, 2, 2, 3), directed = TRUE)
  expect_identical(as_dag(plain), chain_dag(3))
  expect_error(as_dag(igraph::make_ring(3)), class = "ebcrl_error_dag")
  expect_error(as_dag(igraph::make_graph(c(1, 2, 1, 2))), class = "ebcrl_error_dag")
})

test_that("as_dag() reads bnlearn objects", {
  bn <- structure(
    list(learning = list(), nodes = list(A = list(), B = list(), C = list()),
         arcs = matrix(c("A", "C", "B", "B"), 2, dimnames = list(NULL, c("from", "to")))),
    class = "bn"
  )
  expect_identical(as_dag(bn), as_dag("A -> B <- C", nodes = c("A", "B", "C")))
  bn$arcs <- bn$arcs[0, , drop = FALSE]
  expect_identical(as_dag(bn), empty_dag(c("A", "B", "C")))
})

test_that("as_dag() reads bn.fit objects", {
  node <- function(name, parents) list(node = name, parents = parents, children = character())
  fit <- structure(list(A = node("A", character()), B = node("B", c("A", "C")),
                        C = node("C", character())), class = c("bn.fit", "bn.fit.gnet"))
  expect_identical(as_dag(fit), as_dag("A -> B <- C", nodes = c("A", "B", "C")))
})

test_that("as_dag() reads pcAlgo objects, whose matrices are transposed but whose graph is not", {
  skip_on_cran()
  skip_if_not_installed("graph")
  where <- environment()
  methods::setClass("pcAlgo", methods::representation(graph = "ANY"), where = where)
  withr::defer(methods::removeClass("pcAlgo", where = where))
  result <- function(edges, mode = "directed") {
    graph <- graph::graphNEL(c("c", "a", "b"), edges, edgemode = mode)
    methods::new("pcAlgo", graph = graph)
  }
  expect_identical(as_dag(result(list(a = c("b", "c"), b = "c", c = character()))),
                   as_dag("a -> {b c}; b -> c", nodes = c("c", "a", "b")))
  open <- expect_error(as_dag(result(list(a = c("b", "c"), b = "a", c = character()))),
                       class = "ebcrl_error_dag")
  expect_match(conditionMessage(open), "a - b", fixed = TRUE)
  expect_error(as_dag(result(list(a = "b", b = "a", c = character()), "undirected")),
               class = "ebcrl_error_dag")
  class <- structure(rbind(c(0, 1), c(1, 0)), class = "amat.cpdag")
  expect_error(as_dag(class), "z1 - z2", class = "ebcrl_error_dag")
})

test_that("as_dag() reads a square 0/1 data frame or tibble, also with a column of names", {
  m <- rbind(c(0, 1, 1), c(0, 0, 1), c(0, 0, 0))
  named <- `dimnames<-`(m, list(NULL, c("a", "b", "c")))
  dag <- as_dag(named)
  expect_identical(as_dag(as.data.frame(named)), dag)
  expect_identical(as_dag(tibble::as_tibble(named)), dag)
  expect_identical(as_dag(as.data.frame(named == 1)), dag)
  expect_identical(as_dag(data.frame(node = c("a", "b", "c"), named)), dag)
  expect_identical(as_dag(data.frame(named, row.names = c("a", "b", "c"))), dag)
  flipped <- as.data.frame(`dimnames<-`(t(named), dimnames(named)))
  expect_identical(as_dag(flipped, direction = "from_column"), dag)
  expect_error(as_dag(flipped), class = "ebcrl_error_dag_direction")
  expect_error(as_dag(data.frame(node = c("b", "a", "c"), named)), class = "ebcrl_error_dag")
  expect_error(as_dag(as.data.frame(named * 0.5)), class = "ebcrl_error_dag")
  expect_identical(edges_of(as_dag(data.frame(a = c(0, 0), b = c(1, 0)))), "a -> b")
})

test_that("as_dag() reads edge lists of numbers, which are positions", {
  edges <- cbind(c(1, 1, 2), c(2, 3, 3))
  expect_identical(as_dag(edges), complete_dag(3))
  expect_identical(as_dag(as.data.frame(edges)), complete_dag(3))
  expect_identical(as_dag(data.frame(edges, weight = c(0.1, 2, 0.3))), complete_dag(3))
  expect_identical(as_dag(cbind(1:2, 2:3)), chain_dag(3))
  expect_identical(as_dag(cbind(3, 1), nodes = c("a", "b", "c")),
                   as_dag("c -> a", nodes = c("a", "b", "c")))
  expect_identical(as_dag(cbind(7, 5), nodes = c("5", "7")), as_dag("7 -> 5", nodes = c("5", "7")))
  expect_error(as_dag(cbind(c(1, 1, 3), c(2, 3, 5))), "In no edge: 4", class = "ebcrl_error_dag")
  expect_error(as_dag(cbind(0:2, 1:3)), "It has 0", class = "ebcrl_error_dag")
  expect_error(as_dag(cbind(1:3, 2:4), nodes = c("a", "b")), class = "ebcrl_error_dag")
  expect_error(as_dag(rbind(c(0, 2), c(0, 0))), "dag != 0", class = "ebcrl_error_dag")
})

test_that("as_dag() reads adjacency of package Matrix", {
  skip_if_not_installed("Matrix")
  parts <- list(i = c(1L, 1L, 2L), j = c(2L, 3L, 3L), dims = c(3L, 3L))
  pattern <- do.call(Matrix::sparseMatrix, parts)
  expect_s4_class(pattern, "ngCMatrix")
  expect_identical(as_dag(pattern), complete_dag(3))
  expect_identical(as_dag(do.call(Matrix::sparseMatrix, c(parts, x = 1))), complete_dag(3))
  expect_error(as_dag(Matrix::t(pattern)), class = "ebcrl_error_dag_direction")
  expect_identical(as_dag(Matrix::t(pattern), direction = "from_column"), complete_dag(3))
})

test_that("text that cannot be read is quoted as typed", {
  expect_error(as_dag(c("a ~ b", "b ~ c")), 'Not understood: "~", in "a ~ b"', fixed = TRUE,
               class = "ebcrl_error_dag")
})

test_that("invalid bytes in text are an error that shows them", {
  expect_error(as_dag(c("a -> b", "b -> c\xff")), "Entry 2 .*c<ff>", class = "ebcrl_error_dag")
  expect_error(as_dag(data.frame(from = "a\xff", to = "b")), "a<ff>", class = "ebcrl_error_range")
  latin <- "z\xfc -> b"
  Encoding(latin) <- "latin1"
  expect_identical(colnames(as_dag(latin)), c("z\u00fc", "b"))
})

test_that("as_dag() reads graphNEL objects", {
  skip_if_not_installed("graph")
  nel <- graph::graphNEL(c("a", "b", "c"), list(a = c("b", "c"), b = "c", c = character()),
                         edgemode = "directed")
  expect_identical(as_dag(nel), complete_dag(c("a", "b", "c")))
  graph::edgemode(nel) <- "undirected"
  expect_error(as_dag(nel), class = "ebcrl_error_dag")
})

test_that("a cycle is reported by name, and it is one of the graph", {
  cycle_of <- function(text) {
    message <- conditionMessage(expect_error(as_dag(text), class = "ebcrl_error_dag_cycle"))
    sub(".*cycle (.*)\\.\n.*", "\\1", cli::ansi_strip(message))
  }
  expect_identical(cycle_of("a -> b -> a"), "a -> b -> a")
  expect_identical(cycle_of("a -> a"), "a -> a")
  # upstream and downstream nodes are not on the cycle
  found <- strsplit(cycle_of("s -> a -> b -> c -> a; c -> t -> u"), " -> ")[[1L]]
  expect_setequal(found, c("a", "b", "c"))
  expect_identical(found[1L], found[4L])
  expect_match("a -> b -> c -> a -> b", paste(found[1:4], collapse = " -> "), fixed = TRUE)
})

test_that("a crl_dag that was edited is checked again", {
  dag <- chain_dag(3)
  dag["z3", "z1"] <- 1L
  expect_error(as_dag(dag), class = "ebcrl_error_dag_cycle")
})

test_that("chain, complete and empty graphs are what they say", {
  expect_identical(edges_of(chain_dag(3)), c("z1 -> z2", "z2 -> z3"))
  expect_identical(colnames(chain_dag(c("a", "b"))), c("a", "b"))
  expect_identical(chain_dag(2, names = c("a", "b")), chain_dag(c("a", "b")))
  expect_identical(dim(chain_dag(1)), c(1L, 1L))
  expect_identical(sum(empty_dag(4)), 0L)
  expect_identical(unclass(complete_dag(4))[upper.tri(diag(4))], rep(1L, 6))
  expect_identical(sum(complete_dag(4)), 6L)
})

test_that("complete_dag() takes an order and keeps the rows where `names` puts them", {
  expect_identical(colnames(complete_dag(c("b", "c", "a"))), c("b", "c", "a"))
  by_name <- complete_dag(c("b", "c", "a"), names = c("a", "b", "c"))
  expect_identical(edges_of(by_name), c("b -> a", "b -> c", "c -> a"))
  expect_identical(complete_dag(c(2, 3, 1), names = c("a", "b", "c")), by_name)
  expect_identical(topological_order(by_name), c(2L, 3L, 1L))
})

test_that("random_dag() is acyclic, has the expected number of edges and keeps to max_parents", {
  withr::local_seed(1)
  sizes <- replicate(200, sum(random_dag(8, edges_per_node = 1.5)))
  expect_lt(abs(mean(sizes) - 12), 4 * stats::sd(sizes) / sqrt(200))
  expect_identical(sum(random_dag(3, edges_per_node = 9)), 3L)
  dense <- random_dag(8, prob = 1)
  expect_identical(sum(dense), 28L)
  expect_false(all(unclass(dense)[lower.tri(dense)] == 0L))
  capped <- random_dag(8, prob = 1, max_parents = 2)
  expect_identical(sort(colSums(unclass(capped)), decreasing = TRUE)[[1L]], 2)
  expect_identical(sum(random_dag(5, prob = 0)), 0L)
  expect_identical(withr::with_seed(3, random_dag(6)), withr::with_seed(3, random_dag(6)))
  expect_identical(dim(random_dag(1)), c(1L, 1L))
})

test_that("topological_order() puts parents first", {
  dag <- withr::with_seed(2, random_dag(12, edges_per_node = 3))
  position <- match(1:12, topological_order(dag))
  edge <- which(unclass(dag) == 1L, arr.ind = TRUE)
  expect_gt(nrow(edge), 0L)
  expect_true(all(position[edge[, 1L]] < position[edge[, 2L]]))
  expect_identical(parents_of(as_dag("c -> b <- a"), 2L), c(1L, 3L))
  expect_identical(parent_list(chain_dag(3)), list(integer(), 1L, 2L))
})

test_that("print.crl_dag() names edges and the latents without parents", {
  expect_snapshot(print(as_dag("raf -> mek -> erk; raf -> erk; pka -> erk")))
  expect_snapshot(print(empty_dag(1)))
})
