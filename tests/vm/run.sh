#!/bin/bash
# run.sh [idle=4 listening=3 speaking=3]: boots the machine of build.sh with this tree in it and has guest.py pull out its
# sound cards, and card.py try its controls. Exit status: 0 if everything held; 99 if the machine said nothing. As root; bounded in time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VOICE_APPLIANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/voice-appliance}
# The image follows its recipe: another recipe, another folder.
image=$cache/vm-$(sha256sum "$here/build.sh" | cut -c1-12)
[ -e "$image/root.ext4" ] || timeout -k 10 1200 "$here/build.sh" "$image"

share=$(mktemp -d)
trap 'rm -rf "$share"' EXIT
cp -r "$here/../../appliance" "$here/guest.py" "$here/card.py" "$share/"
cp "$here/guest.sh" "$share/run.sh"
echo "$*" >"$share/arguments"
# One virtual processor: with two, one start in five dies (software emulation). Nothing is written to the image.
timeout -k 5 "${VM_TIMEOUT_S:-900}" qemu-system-x86_64 \
	-accel tcg,thread=single,tb-size=512 -machine q35 -cpu Nehalem -smp 1 -m 1024 \
	-nographic -nodefaults -serial stdio -no-reboot -kernel "$image/vmlinuz" -initrd "$image/initramfs" \
	-append "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off audit=0 systemd.show_status=0 systemd.wants=scenario.service" \
	-drive "file=$image/root.ext4,if=virtio,format=raw,snapshot=on" \
	-virtfs "local,path=$share,mount_tag=share,security_model=none" -device virtio-rng-pci </dev/null || true
[ -e "$share/status" ] || { echo "the virtual machine said nothing of its end"; exit 99; }
exit "$(cat "$share/status")"
