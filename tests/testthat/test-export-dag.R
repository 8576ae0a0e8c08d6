test_that("text of dagitty and bnlearn says the graph", {
  dag <- as_dag("z1 -> z3; z2 -> z3; z3 -> z4")
  expect_identical(export_dag(dag, "bnlearn"), "[z1][z2][z3|z1:z2][z4|z3]")
  back <- as_dag(export_dag(dag))
  expect_identical(unclass(back)[colnames(dag), colnames(dag)], unclass(dag)[, ])
  expect_identical(export_dag(empty_dag(1)), "dag { \"z1\" }")
})

test_that("igraph graphs come back, with what a discovery says of edges", {
  skip_if_not_installed("igraph")
  dag <- as_dag("z1 -> z3; z2 -> z3")
  expect_identical(unclass(as_dag(export_dag(dag, "igraph"))), unclass(dag))
  found <- crl_discover(discover_chain(1, n = 150), d = 3, mechanisms = "linear")
  graph <- export_dag(found, "igraph")
  expect_identical(unclass(as_dag(graph)), unclass(found$dag))
  ends <- igraph::as_edgelist(graph)
  row <- match(paste(ends[, 1], ends[, 2]), paste(found$edges$from, found$edges$to))
  expect_identical(igraph::edge_attr(graph, "evidence"), found$edges$evidence[row])
})
