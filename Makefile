# The front door. Meson does the building (meson.build); scripts/ holds what each target runs.
PORT_BASE ?=
SECONDS ?= 300
MINUTES ?= 30

.PHONY: build setup run demo test asan tsan interop bench bench-flow bench-registry bench-propagation churn fuzz soak tidy cppcheck format format-check install clean

build: ; @scripts/setup build && scripts/build release
setup: ; @scripts/setup build test
run: build ; @exec examples/shop/run $(if $(PORT_BASE),--port-base $(PORT_BASE))
demo: build ; @exec examples/shop/demo $(if $(PORT_BASE),--port-base $(PORT_BASE))
test: ; @exec scripts/test all
asan: ; @exec scripts/test asan
tsan: ; @exec scripts/test tsan
bench: build ; @scripts/setup bench && exec bench/proxy.py all
bench-flow: ; @exec bench/flow.py
interop: ; @exec scripts/interop
bench-registry: build ; @scripts/setup bench && exec bench/registry.py
bench-propagation: build ; @scripts/setup bench && exec bench/propagation.py
churn: build ; @exec tests/churn/registry.py --minutes $(MINUTES)
fuzz: ; @exec scripts/fuzz $(SECONDS)
soak: ; @exec scripts/soak $(if $(filter file,$(origin SECONDS)),600,$(SECONDS))
tidy: ; @exec scripts/lint tidy
cppcheck: ; @exec scripts/lint cppcheck
format: ; @exec scripts/lint format
format-check: ; @exec scripts/lint format-check
install: build ; @exec meson install -C build --no-rebuild
clean: ; rm -rf build build-release build-asan build-tsan build-fuzz build-interop
