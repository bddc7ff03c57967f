# Set WEFT_SWIFT_FLAGS for more flags to swift build and swift test.
SWIFT ?= swift
CC = gcc
FLAGS ?= $(WEFT_SWIFT_FLAGS)

.PHONY: lab test release bench format lint check-modules dependencies test-dependencies clean

## Three hosts, an etcd and six containers on this machine, to look at.
lab: dependencies
	$(SWIFT) build $(FLAGS) --product weftd
	$(SWIFT) build $(FLAGS) --product weft
	.build/debug/weft lab up

## All tests. Kernel tests need root and are skipped without, and so is the tutorial, which also needs Docker and QEMU.
test: test-dependencies check-modules lint
	Tests/TutorialTests/run.py prepare & $(SWIFT) build $(FLAGS) --build-tests && wait $$!
	$(SWIFT) test $(FLAGS) --skip-build
	Tests/PackagingTests/mk-docker-opts.sh
	Tests/PackagingTests/install.sh
	Tests/PackagingTests/operations.py
	Tests/AttachTests/run.py
	Tests/AttachTests/machine.py
	Tests/TutorialTests/run.py namespaces
	Tests/TutorialTests/run.py machines

## build/release: weftd and weft with the Swift runtime inside, units and scripts.
release: dependencies
	mkdir -p .build/static
	ln -sf "$$($(CC) -print-file-name=libstdc++.a)" .build/static/libstdc++.a
	ln -sf "$$($(CC) -print-file-name=libgcc_eh.a)" .build/static/libgcc_s.a
	$(SWIFT) build $(FLAGS) -c release --static-swift-stdlib --product weftd
	$(SWIFT) build $(FLAGS) -c release --static-swift-stdlib --product weft
	Scripts/package.sh

## Side by side with a stock flanneld: FLANNELD=/path/to/flanneld make bench
bench: release
	Benchmarks/run.sh

format:
	$(SWIFT) format --in-place --recursive --parallel Sources Tests Package.swift

lint:
	$(SWIFT) format lint --strict --recursive --parallel Sources Tests Package.swift

check-modules:
	Scripts/check-modules.py

dependencies:
	@Scripts/install-dependencies.sh

test-dependencies:
	@Scripts/install-dependencies.sh test

clean:
	rm -rf .build build
