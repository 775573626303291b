# rsinit's front door. `make demo` boots a node; `make test` tests everything.
# Both set a fresh Debian 12 up by themselves (test-vm/setup.sh).

TARGET   := x86_64-unknown-linux-musl
BINARY   := target/$(TARGET)/release/rsinit
HARNESS  := target/harness/test-vm
PREFIX   := /usr
export PATH := $(HOME)/.cargo/bin:$(PATH)
# The job server that they name is for other makes: rustdoc would warn that it cannot reach it.
unexport MAKEFLAGS MFLAGS

.PHONY: help setup build check fuzz harness test test-all commands cuts test-vm test-vm-all prepare demo bench bench-fetch bench-disks dist install clean

help:
	@echo 'make demo      boot a diskless node in QEMU, from server to systemd'
	@echo 'make test      everything: make check, make fuzz, and the boot tests in QEMU'
	@echo 'make test-all  make test, and what takes long: the long boot tests, every point at which power can go'
	@echo 'make commands  what the documentation says is typed in an image, in images of Debian and Ubuntu'
	@echo 'make cuts      the power goes at every point of a disk plan: a quarter of an hour'
	@echo 'make check     formatting, lints, and the tests that need no VM'
	@echo 'make fuzz      every reader of foreign bytes, fuzzed for FUZZ_SECONDS (60)'
	@echo 'make build     the static binary: $(BINARY)'
	@echo 'make bench     bench-fetch: fetch and unpack against curl | gzip | cpio, on a real image;'
	@echo '               bench-disks: blank disks to ext4 against mdadm and mke2fs, in QEMU'
	@echo 'make dist      tar.gz, .deb and .rpm in target/dist'
	@echo 'make install   binary and dracut module, below DESTDIR'

setup:
	@test-vm/setup.sh

build: setup
	cargo build --release --locked --target $(TARGET) -p rsinit

check: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo fmt --manifest-path agent/fuzz/Cargo.toml --check
	cargo clippy --manifest-path agent/fuzz/Cargo.toml --locked --target-dir target/fuzz -- -D warnings
	cargo test --workspace --locked

# Two targets at a time: four minutes for all, and a first build of a minute or two.
export FUZZ_SECONDS ?= 60
fuzz: setup
	FUZZ_SECONDS=$(FUZZ_SECONDS) agent/fuzz/run.sh

harness: build
	cargo build --release --locked --target $(TARGET) -p witness
	cargo build --profile harness --locked -p test-vm --bin test-vm

# What is first made by one processor or waits for the network is made beside what is checked.
test: setup
	@test-vm/stages.sh 'check prepare' fuzz dist test-vm

test-all: setup
	@test-vm/stages.sh 'check prepare' fuzz dist commands cuts test-vm-all

# The power goes at every point of a disk plan, not at some.
cuts: setup
	RSINIT_ALL_CUTS=1 cargo test --locked -p rsinit --test disks crash

# What dracut-module/README.md says is typed in an image, in images of Debian and Ubuntu.
commands: dist harness
	$(HARNESS) commands

# Kernel, images and initramfs of the boot tests.
prepare: harness
	$(HARNESS) prepare

test-vm: harness
	$(HARNESS) test

test-vm-all: harness
	$(HARNESS) test --all

demo: harness
	$(HARNESS) demo

bench: bench-fetch bench-disks

bench-fetch: build
	test-vm/setup.sh test-vm/packages-bench.txt
	cargo build --release --locked --target $(TARGET) -p test-vm --bin bench
	target/$(TARGET)/release/bench

bench-disks: build
	cargo build --release --locked --target $(TARGET) -p test-vm --bin bench-disks
	target/$(TARGET)/release/bench-disks

install:
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/rsinit
	ln -sf rsinit $(DESTDIR)$(PREFIX)/sbin/mkdisk
	install -d $(DESTDIR)$(PREFIX)/lib/dracut/modules.d/90rsinit
	install -m 755 dracut-module/90rsinit/*.sh $(DESTDIR)$(PREFIX)/lib/dracut/modules.d/90rsinit/

# tar.gz, .deb and .rpm of binary and dracut module, in target/dist; compared with one another.
dist: build
	test-vm/setup.sh test-vm/packages-dist.txt
	rm -rf target/dist
	dracut-module/dist.sh $(BINARY) target/dist
	dracut-module/dist-check.sh $(BINARY) target/dist

clean:
	cargo clean
