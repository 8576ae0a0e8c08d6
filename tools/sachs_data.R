# Makes z, dag, targets and env: 11 signalling molecules in 9 experiments (Sachs et al. 2005), read
# from gss::Sachs. Sourced by the demo and by bench/sachs.R.

data(Sachs, package = "gss")
columns <- c(Raf = "praf", Mek = "pmek", Plcg = "plcg", PIP2 = "pip2", PIP3 = "pip3",
             Erk = "p44.42", Akt = "pakts473", PKA = "pka", PKC = "pkc", P38 = "p38", Jnk = "pjnk")
z <- scale(as.matrix(Sachs[columns]))
colnames(z) <- names(columns)

# The consensus network, 17 arcs.
dag <- as_dag(c(
  "PKC -> PKA", "PKC -> Raf", "PKC -> Mek", "PKC -> Jnk", "PKC -> P38", "PKA -> Raf",
  "PKA -> Mek", "PKA -> Erk", "PKA -> Akt", "PKA -> Jnk", "PKA -> P38", "Raf -> Mek",
  "Mek -> Erk", "Erk -> Akt", "Plcg -> PIP3", "Plcg -> PIP2", "PIP3 -> PIP2"
), nodes = colnames(z))

# Levels 1 to 9 of `grp`, which the help page does not explain: their numbers of cells are those of
# the nine files of the paper's supplement in their order.
targets <- intervention_targets(list(
  "CD3/CD28" = NULL, "+ICAM-2" = NULL, "+Akt inh." = "Akt", "+G0076" = "PKC",
  "+psitect." = "PIP2", "+U0126" = "Mek", "+LY294002" = NULL, "PMA" = "PKC", "b2cAMP" = "PKA"
), latents = colnames(z))
env <- factor(rownames(targets)[Sachs$grp], levels = rownames(targets))
