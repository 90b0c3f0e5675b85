#!/bin/bash
# run.sh SCENARIO [ARGUMENT ...]: boots the machine of build.sh, as root and bounded in time.
#
#   unplug [idle=4 listening=3 speaking=3]   guest.py pulls the sound cards out of this tree's daemon, card.py tries their controls
#   cards [starts=20 named=3 boxes=5]        cards.py starts this tree's sound with the shipped configuration
#   pins                                     pins.py tries this tree's driver of button and LED, and measures what they cost
#   bench                                    bench.py measures this tree beside the script of tests/bench/quickstart.py
#   service DEB                              service.py installs the package and has a conversation with its service
#
# Exit status: 0 if everything held; 99 if the machine said nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VOICE_APPLIANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/voice-appliance}
# The image follows its recipe: another recipe, another folder.
image=$cache/vm-$(sha256sum "$here/build.sh" | cut -c1-12)
[ -e "$image/root.ext4" ] || timeout -k 10 1200 "$here/build.sh" "$image"

hardware=()
share=$(mktemp -d)
trap 'rm -rf "$share"' EXIT
scenario=$1
shift
case $scenario in
unplug)
	cp -r "$here/../../appliance" "$here/guest.py" "$here/card.py" "$share/"
	cp "$here/guest.sh" "$share/run.sh"
	echo "$*" >"$share/arguments"
	;;
cards)
	cp -r "$here/../../appliance" "$here/cards.py" "$share/"
	cp "$here/cards.sh" "$share/run.sh"
	hardware=(-audiodev none,id=air -device qemu-xhci -device usb-audio,audiodev=air)
	echo "$*" >"$share/arguments"
	;;
pins)
	cp -r "$here/../../appliance" "$here/pins.py" "$here/header.sh" "$share/"
	cp "$here/pins.sh" "$share/run.sh"
	;;
bench)
	cp -r "$here/../../appliance" "$share/"
	mkdir -p "$share/tests/bench" "$share/tests/vm"
	touch "$share/tests/__init__.py" "$share/tests/bench/__init__.py" "$share/tests/vm/__init__.py"
	cp "$here/../bench/quickstart.py" "$here/../bench/processes.py" "$share/tests/bench/"
	cp "$here/guest.py" "$here/bench.py" "$share/tests/vm/"
	cp "$here/bench.sh" "$share/run.sh"
	;;
service)
	cp "$here/service.py" "$here/header.sh" "$share/"
	cp "$1" "$share/voice-appliance.deb"
	cp "$here/service.sh" "$share/run.sh"
	;;
*)
	echo "no scenario: $scenario"
	exit 64
	;;
esac
# One virtual processor: with two (VM_PROCESSORS=2), one start in five dies (software emulation). Nothing is written to the image.
# The processor's name ends in what a Pi 4's kernel adds to /proc/cpuinfo: gpiozero takes no other board's pins, and a
# file bound over that one is not seen by a service that has a /proc of its own.
timeout -k 5 "${VM_TIMEOUT_S:-900}" qemu-system-x86_64 \
	-accel tcg,thread=single,tb-size=512 -machine q35 -cpu Nehalem,model-id=$'emulated\nRevision\t: c03114' -smp "${VM_PROCESSORS:-1}" -m 1024 \
	-nographic -nodefaults -serial stdio -no-reboot -kernel "$image/vmlinuz" -initrd "$image/initramfs" \
	-append "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off audit=0 systemd.show_status=0 systemd.wants=scenario.service" \
	-drive "file=$image/root.ext4,if=virtio,format=raw,snapshot=on" \
	-virtfs "local,path=$share,mount_tag=share,security_model=none" -device virtio-rng-pci "${hardware[@]}" </dev/null || true
[ -e "$share/status" ] || { echo "the virtual machine said nothing of its end"; exit 99; }
exit "$(cat "$share/status")"
