# `make demo` and `make test` do all set-up themselves and are quick when nothing is missing.
#
#   make demo         three conversations on a virtual (or the real) sound card, with the embedded service
#   make test         every test that needs no system of its own; ARGS=tests/turn for some
#
#   make deb          the Debian package, in dist/
#   make deb-aec      the packages of the echo canceller, in dist/ (hardware/sound.md)
#   make repository   that package into the folder DIR, a repository of packages for many boxes (hardware/fleet)
#   make install      that package on this machine
#   make install-kiosk  the screen of a kiosk, on this machine (hardware/kiosk.md); make uninstall-kiosk takes it away
#   make uninstall    keeps configuration and key unless PURGE=1
#
#   make check        format, lint, types, import contracts
#   make format       lets ruff rewrite
#   make test-unplug  devices of the virtual card pulled out thirty times
#   make test-containers  the service under a real systemd, in containers (root; the first time some 1.1 GB in ~/.cache)
#   make test-vm      in a virtual machine (as root; builds it first): the package's service on pins, card and keyboard that
#                     the kernel plays, what the pins cost, starts that find their cards by themselves, then sound cards
#                     pulled out of a box fifteen times; ARGS='idle=1 listening=0' for fewer
#   make bench        what it costs: processor, memory, start-up, latencies
#   make bench-vm     the same on a processor as slow as a Pi Zero 2 W's, in the machine of test-vm (as root)
#   make bench-gate   what the hands-free voice gate hears, by noise and loudness, and what opens it that is no voice
#   make test-page    the kiosk's screen in Debian's Chromium; its pictures are left in build/page
#   make chaos        boxes among people, services, networks and devices at random, in paper time: five minutes, and the seed of
#                     what went wrong; ARGS='--seed 7 --episode 3' for that again
#   make soak         half an hour of questions and troubles; ARGS='--minutes 5 --seed 7' for another
#   make readings     a whole box against all that the service's page leaves open, each two together, then 10 000 turns at random
#   make setup        the virtual environment alone, which the others make when it is missing
#   make clean        removes what set-up made

# Debian's own Python: PyAudio, systemd-python and numpy are Debian's binaries (there are no wheels of the first two), so
# another python3 that happens to be first in PATH will not do.
PYTHON ?= /usr/bin/python3
VENV ?= .venv
BIN := $(VENV)/bin

# The last three make the virtual sound card. A desktop that plays through pipewire-alsa would lose it to pulseaudio (the two
# packages exclude each other), so such a machine keeps what it has.
PACKAGES := python3-venv python3-pyaudio python3-systemd python3-numpy python3-evdev python3-soundfile pulseaudio-utils libasound2-plugins pulseaudio
APT_GET = $(if $(filter 0,$(shell id -u)),,sudo )env DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet
APT_INSTALL = $(APT_GET) install --no-install-recommends --no-remove

# The interpreter's name (python3.11, python3.13) is part of the stamp's: an upgraded system gets a new environment.
READY := $(VENV)/.ready-$(notdir $(realpath $(PYTHON)))
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	--only-binary=numpy,pyaudio,systemd-python,evdev --editable

# What makes the package: no compiler. And what installs it: a configuration that somebody edited is kept without a question.
BUILD_PACKAGES := debhelper dh-python dpkg-dev git python3-venv
APT_INSTALL_DEB = $(APT_GET) -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install --reinstall \
	--allow-downgrades

.PHONY: demo test deb deb-aec repository install install-kiosk uninstall uninstall-kiosk check format test-unplug test-page test-containers test-system test-vm bench bench-vm bench-gate chaos soak readings setup clean packages
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/python -m appliance demo $(ARGS)

# Five at a time also on two processors: most of a test over the sound card is waiting for sound. A file stays together,
# since its tests share a card. The compiler makes sound cards of any kind (tests/audio/odd_card).
test: PACKAGES += gcc libc6-dev libasound2-dev
test: $(READY)-test
	$(BIN)/python -m pytest --numprocesses=5 --dist=loadfile --no-loadscope-reorder $(ARGS)

deb:
	@$(MAKE) --no-print-directory packages PACKAGES='$(BUILD_PACKAGES)'
	@systemd/build-deb $(PYTHON) dist

# The echo canceller, compiled by its makers: for each architecture a package of its own, in dist/.
deb-aec:
	@$(MAKE) --no-print-directory packages PACKAGES='$(BUILD_PACKAGES)'
	@systemd/build-aec-deb $(PYTHON) dist

# Once before: hardware/fleet/repository DIR init KEY
repository: deb
	@test -n "$(DIR)" || { echo "make repository DIR=FOLDER: which folder?"; exit 1; }
	hardware/fleet/repository "$(DIR)" add ./$$(ls -t dist/voice-appliance_*_all.deb | head -1)

install: deb
	$(APT_INSTALL_DEB) ./$$(ls -t dist/voice-appliance_*_all.deb | head -1)

# The kiosk's screen. cog draws without a desktop and takes 200 MB; where Debian has none for this machine, Chromium in cage, 400 MB.
KIOSK_FONTS := fonts-smc-manjari
install-kiosk:
	@$(MAKE) --no-print-directory packages PACKAGES='$(KIOSK_FONTS) $(if $(shell apt-cache show cog 2>/dev/null),cog,cage wlr-randr chromium)'
	@$(if $(filter 0,$(shell id -u)),,sudo )systemd/kiosk/install

uninstall-kiosk:
	@$(if $(filter 0,$(shell id -u)),,sudo )systemd/kiosk/install remove

uninstall:
	@if dpkg-query --show voice-appliance >/dev/null 2>&1; then $(APT_GET) $(if $(PURGE),purge,remove) voice-appliance; \
	else echo "voice-appliance is not installed"; fi

check: $(READY)-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo

format: $(READY)-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-unplug: $(READY)-test
	UNPLUG_ROUNDS=6 $(BIN)/python -m pytest tests/whole_box/test_devices.py -k test_gone_and_back $(ARGS)

# Chromium, the fonts that a kiosk has, and axe-core, which judges whether everybody can use the page. Debian's npm brings some
# hundred packages with it: only where there is none.
AXE := build/axe/node_modules/axe-core/axe.min.js
AXE_VERSION := 4.14.1
test-page: PACKAGES += chromium fonts-smc-manjari $(if $(shell command -v npm),,npm)
test-page: packages $(READY)-test $(AXE)
	$(BIN)/python -m pytest -p no:cacheprovider tests/page/browser $(ARGS)

$(AXE): Makefile | packages
	@mkdir -p build/axe
	npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix build/axe axe-core@$(AXE_VERSION)
	@touch $@

# systemd-nspawn is for root alone: with sudo, or every test is skipped and says so. Trees of Debian are kept in VOICE_APPLIANCE_CACHE.
test-containers: PACKAGES += $(BUILD_PACKAGES) mmdebstrap systemd-container reprepro gpg openssl systemd-journal-remote
test-containers: AS_ROOT = $(if $(filter 0,$(shell id -u)),,$(if $(shell command -v sudo),sudo --preserve-env=VOICE_APPLIANCE_CACHE))
test-containers: packages $(READY)-test
	$(AS_ROOT) $(BIN)/python -m tests.containers.machine
	$(AS_ROOT) $(BIN)/python -m pytest -p no:cacheprovider --numprocesses=3 --dist=loadfile tests/containers $(ARGS)

# Its name before.
test-system: test-containers

# Nothing of it is in the repository: Debian's packages make the machine, in the cache folder (tests/vm/run.sh names it).
# A boot for each scenario, since the others are about tenths of a second; each also when one before it has failed.
VM_PACKAGES := mmdebstrap arch-test qemu-system-x86 cpio xz-utils e2fsprogs
test-vm: deb
	@dpkg-query --show $(VM_PACKAGES) >/dev/null 2>&1 || $(APT_INSTALL) $(VM_PACKAGES)
	@status=0; tests/vm/run.sh service "$$(ls -t dist/voice-appliance_*_all.deb | head -1)" || status=1; \
		tests/vm/run.sh pins || status=1; tests/vm/run.sh cards || status=1; tests/vm/run.sh unplug $(ARGS) || status=1; exit $$status

bench: $(READY)-test
	$(BIN)/python -m tests.bench $(ARGS)

bench-vm:
	@dpkg-query --show $(VM_PACKAGES) >/dev/null 2>&1 || $(APT_INSTALL) $(VM_PACKAGES)
	@tests/vm/run.sh bench

# Recordings of people, and a synthesiser: some 80 MB.
SPEECH_PACKAGES := espeak-ng $(foreach language,en fr it ru,asterisk-core-sounds-$(language)-wav)
bench-gate: PACKAGES += $(SPEECH_PACKAGES)
bench-gate: packages $(READY)-test
	$(BIN)/python -m tests.bench.gate $(ARGS)

chaos: $(READY)-test
	$(BIN)/python -m tests.chaos $(ARGS)

soak: $(READY)-test
	$(BIN)/python -m tests.soak $(ARGS)

readings: $(READY)-test
	READINGS=all READINGS_TURNS=10000 $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal tests/readings $(ARGS)

setup: $(READY)

clean:
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# One question to dpkg (some 20 ms); apt-get only for what it does not know as installed.
packages:
	@command -v dpkg-query >/dev/null || { echo "no dpkg here: these have to be there already: $(PACKAGES)"; exit 0; }; \
	have=" $$(dpkg-query --show --showformat='$${db:Status-Status}:$${Package} ' $(PACKAGES) pipewire-alsa 2>/dev/null)"; \
	missing=; for name in $(PACKAGES); do \
		case "$$name$$have" in *" installed:$$name "*) ;; \
			"pulseaudio "*"installed:pipewire-alsa "*) echo "no virtual sound card: pipewire-alsa is in pulseaudio's place" ;; \
			*) missing="$$missing $$name" ;; esac; done; \
	[ -z "$$missing" ] || { echo "installing Debian packages:$$missing"; \
		$(APT_INSTALL) $$missing || { $(APT_GET) update && $(APT_INSTALL) $$missing; }; }

# An environment that works is kept; one of another Python, without Debian's packages, or that was moved here is made anew.
$(READY): pyproject.toml | packages
	@grep -qs 'include-system-site-packages = true' $(VENV)/pyvenv.cfg \
		&& grep -qsF '$(abspath $(VENV))' $(BIN)/activate && $(BIN)/python -c 'import pip, pyaudio, numpy, systemd' \
		|| { echo "creating $(VENV)"; $(PYTHON) -m venv --clear --system-site-packages $(VENV); }
	$(PIP_INSTALL) .
	@touch $@

$(READY)-%: $(READY)
	$(PIP_INSTALL) '.[$*]'
	@touch $@
