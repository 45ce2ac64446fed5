# The habits of the project. The work is done in scripts/; the build is Meson and ninja.
.PHONY: all
all: ## build/postrider, optimised, with symbols
	@scripts/build release
