# ebcrl. `make` alone lists the targets. Everything made lands in .lib (packages), .build and
# demo-output; nothing is compiled inside src.

LIB   := $(CURDIR)/.lib/ebcrl
# The package is in LIB, packages that apt did not have are in .lib/deps.
export R_LIBS := $(LIB):$(CURDIR)/.lib/deps$(if $(R_LIBS),:$(R_LIBS))
# A bare machine has no locale set; testthat and R's help are UTF-8.
export LC_ALL ?= C.UTF-8

TARBALL   := ebcrl_$(shell sed -n 's/^Version: *//p' DESCRIPTION).tar.gz
SOURCES   := DESCRIPTION NAMESPACE R $(wildcard R/*) src $(wildcard src/*) $(wildcard src/*/*) man $(wildcard man/*) \
             $(wildcard inst/*)
INSTALLED := $(LIB)/.installed
# The same with vignettes, which take as long again to build.
COMPLETE  := $(LIB)/.complete
EVERY     := 10
RUNS      := 40
CORES     := 2
MODE      := all
CASES     := 100
SEED      := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo install figure3 test check site document readme lint format valgrind gctorture \
        bench fuzz sanitize clean setup-run setup-test setup-check setup-site setup-dev

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: setup-run $(COMPLETE) ## fit the paper's simulated chain and the Sachs proteins: tables and figures
	Rscript tools/demo.R

install: setup-run $(COMPLETE) ## install ebcrl and its vignettes into R's own library
	R_LIBS= R CMD INSTALL .build/$(TARBALL)

figure3: setup-run $(INSTALLED) ## Figure 3 of the paper for its article (under an hour; RUNS=3 is a trial; CORES=2)
	OPENBLAS_NUM_THREADS=1 Rscript tools/figure3.R --runs=$(RUNS) --cores=$(CORES)

test: setup-test $(COMPLETE) ## run the tests
	NOT_CRAN=true Rscript tools/test.R

check: setup-check ## R CMD build and R CMD check --as-cran: fails on any error, warning or note
	tools/check.sh

site: setup-site $(INSTALLED) ## build the site into docs/ and open every page in a headless browser
	Rscript tools/site.R
	Rscript tools/check_site.R docs

document: setup-dev ## regenerate man/ and NAMESPACE with roxygen2
	Rscript -e 'roxygen2::roxygenise(load_code = roxygen2::load_source)'

readme: setup-test $(INSTALLED) ## run the code of README.Rmd into README.md and man/figures
	Rscript -e 'knitr::knit("README.Rmd", quiet = TRUE)'

lint: setup-dev $(INSTALLED) ## lint the R code
	Rscript tools/lint.R

format: setup-dev ## format the C code in place
	clang-format -i src/*.c src/*/*.c src/*/*.h

valgrind: setup-dev $(INSTALLED) ## run the tests of the C code under valgrind (minutes)
	tools/valgrind.sh

gctorture: setup-dev $(INSTALLED) ## small calls of the C code, a garbage collection every 10th allocation (EVERY=10)
	Rscript tools/gctorture.R $(EVERY)

fuzz: setup-test $(INSTALLED) ## random calls in child processes (MODE=fits,edits CASES=1000,200 SEED=1)
	Rscript tools/fuzz.R --mode=$(MODE) --cases=$(CASES) --seed=$(SEED)

sanitize: setup-test $(INSTALLED) ## random calls of a build with gcc's sanitizers (CASES=100 of each mode)
	tools/sanitize.sh .build/$(TARBALL) $(CASES)

bench: setup-dev $(INSTALLED) ## run the scripts in bench/ (long)
	$(MAKE) -C bench

clean: ## remove everything made, but for packages installed into .lib/deps
	rm -rf .build .lib/ebcrl demo-output docs

setup-run setup-test setup-check setup-site setup-dev: setup-%:
	@tools/setup.sh $*

# Order-only: the set-up always runs first and by itself never causes a rebuild.
$(INSTALLED): BUILD := --no-build-vignettes
$(COMPLETE): $(wildcard vignettes/*.Rmd)
$(INSTALLED) $(COMPLETE): $(SOURCES) | setup-run
	mkdir -p .build $(LIB)
	cd .build && R CMD build $(BUILD) ..
	R CMD INSTALL --library=$(LIB) .build/$(TARBALL)
	touch $(INSTALLED) $@
