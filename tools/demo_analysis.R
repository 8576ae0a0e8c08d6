# An analysis from data to effects; sourced by demo.R.

heading("An analysis: sixty sensors, four latent states of a machine, five trials")

set.seed(5)
machine <- sim_crl(
  "demand -> load; load -> heat; load -> wear; heat -> wear", n = 500, p = 60,
  targets = list(usual = character(), trial_d = "demand", trial_l = "load", trial_h = "heat",
                 trial_w = "wear"),
  intervention_mean = 6, intervention_sd = 2, center = rnorm(60, 20, 8),
  noise_sd = exp(rnorm(60) / 2), nuisance = 1
)
colnames(machine$x) <- sprintf("s%02d", 1:60)
paragraph("Simulated, with means and noise by sensor and a nuisance factor. How many factors?")
cat("\n")
print(crl_rank(machine$x, d = 4))

states <- fit_crl(machine$x, env = machine$env, targets = machine$targets, dag = machine$dag,
                  nuisance = "auto", method = "g",
                  control = crl_control(seed = 1, intervention = "perfect"))
cat("\n")
print(states)
cat("\nDoes it describe the data?\n")
set.seed(1)
print(crl_check(states))
cat("\nEdges, where the child is not targeted:\n")
edges <- tidy(states, "edges")
print(edges[edges$state == 0, c("from", "to", "effect", "share", "statistic", "p.value")])
cat("\nWhat if the load were held at 3 instead of 0?\n")
set.seed(1)
change <- effects(states, do = list(load = 3), versus = list(load = 0))
print(change[change$quantity == "mean", ])
cat("\n")
show_picture(autoplot(states, "graph"), "graph.png")
show_picture(autoplot(states, "domains"), "latents.png", height = 5)
show_picture(autoplot(states, "mechanisms"), "mechanisms.png", height = 5)
show_picture(autoplot(states, "loadings"), "loadings.png", height = 5)
optimum <- bayes_latents(machine)
show_picture(autoplot(states, "env", truth = machine, bayes = optimum), "errors.png", height = 3.2)
paragraph("The truth being known here: relative error of the latents ", signif(rel_mse(states, machine), 3),
          ", Bayes optimum ", signif(rel_mse(optimum, machine), 3), ".")
