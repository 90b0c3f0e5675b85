#!/bin/bash
# build.sh FOLDER: makes FOLDER/{vmlinuz,initramfs,root.ext4}, a Debian that QEMU boots in some 15 s, with what the daemon
# needs and without the daemon. From Debian's mirror and PyPI alone; as root; 900 MB; four minutes.
# Host packages: mmdebstrap arch-test cpio xz-utils e2fsprogs
set -euo pipefail
suite=trixie
out=$1
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(apt-get indextargets --format='$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" && !/security/ {print $2; exit}')
[ -n "$mirror" ] || { echo "apt on this machine has no mirror of Debian: add one to /etc/apt/sources.list.d, run apt-get update" >&2; exit 1; }
mkdir -p "$out"
work=$(mktemp -d "$out/building.XXXXXX")
trap 'rm -rf "$work"' EXIT
step() { echo "[$(date +%T)] $*"; }
# tree FOLDER PACKAGES: a Debian.
tree() {
	mmdebstrap --quiet --variant=minbase --keyring=$keyring --aptopt='Apt::Install-Recommends "false"' --include="$2" \
		$suite "$1" "deb [signed-by=$keyring] $mirror $suite main"
}

step "Debian $suite from $mirror"
packages=systemd,systemd-sysv,udev,kmod,procps,alsa-utils,busybox-static,linux-image-amd64,tiny-initramfs
packages+=,python3,python3-numpy,python3-pyaudio,python3-systemd,python3-evdev,ca-certificates
tree "$work/root" $packages
kernel=$(basename "$work"/root/boot/vmlinuz-*)
kernel=${kernel#vmlinuz-}

# Within the bounds of pyproject.toml. Pure Python, so that the version of this machine's pip and Python does not matter,
# but for lgpio: no build of it for this Python is anywhere but in Raspberry Pi OS.
step "from PyPI"
mkdir "$work/wheels"
python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation=py --abi=none --platform=any \
	--python-version=3.13 --dest="$work/wheels" 'websockets>=15.0.1,<18' 'gpiozero>=2.0.1,<3' colorzero
python3 -m pip download --quiet --no-deps --no-binary=lgpio --dest="$work" lgpio==0.2.2.0

# The compiler has a tree of its own, which goes with this folder: none of it is in the image.
step "compiler for $kernel"
packages=linux-headers-amd64,linux-source-$(echo "$kernel" | cut -d. -f1,2),xz-utils,gcc,libc6-dev,make,kmod
packages+=,swig,python3-dev,python3-pip,python3-setuptools,python3-wheel
tree "$work/compiler" $packages
build=$work/compiler/build
mkdir "$build"

# A GPIO chip that the kernel plays. Debian's kernel is built without it and without the interrupts that it plays, so both
# sources make one module; irq_to_desc is not there for modules.
step "gpio-sim"
tar -C "$build" -xJf "$work"/compiler/usr/src/linux-source-*.tar.xz --strip-components=3 --wildcards \
	'*/drivers/gpio/gpio-sim.c' '*/kernel/irq/irq_sim.c'
mv "$build/gpio-sim.c" "$build/chip.c"
sed -i 's/irq_to_desc(irqnum)/irq_data_to_desc(irq_get_irq_data(irqnum))/; s/#include <linux\/irq.h>/&\n#include <linux\/irqdesc.h>/' \
	"$build/irq_sim.c"
printf 'obj-m := gpio-sim.o\ngpio-sim-y := chip.o irq_sim.o\n' >"$build/Makefile"
chroot "$work/compiler" make --silent -C "/lib/modules/$kernel/build" M=/build modules
install -D -m 644 "$build/gpio-sim.ko" "$work/root/lib/modules/$kernel/extra/gpio-sim.ko"
chroot "$work/root" depmod "$kernel"

# PYPI=1 has its setup take the C code that comes with it.
step "lgpio"
cp "$work"/lgpio-*.tar.gz "$build/"
chroot "$work/compiler" /bin/sh -c 'PYPI=1 pip3 --quiet wheel --no-deps --no-build-isolation --no-index -w /build /build/lgpio-*.tar.gz'
mv "$build"/lgpio-*.whl "$work/wheels/"

packages=$(echo "$work"/root/usr/local/lib/python3.*)/dist-packages
mkdir -p "$packages"
for wheel in "$work"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$packages"; done

step "settings"
cat >"$work/root/etc/systemd/system/scenario.service" <<'UNIT'
[Unit]
Description=What is to be tried in this machine
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0
TimeoutStartSec=3600
ExecStartPre=/bin/mkdir -p /share
ExecStartPre=/bin/mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /share
ExecStart=/bin/bash -c '/bin/bash /share/run.sh; echo $$? >/share/status; sync'
UNIT
# What a machine that lives for a few minutes has no use for: each is a second of an emulated start.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
	e2scrub_reap.service systemd-tmpfiles-clean.timer getty@.service serial-getty@.service getty.target \
	systemd-hwdb-update.service systemd-journal-catalog-update.service systemd-update-done.service \
	systemd-binfmt.service systemd-timesyncd.service systemd-firstboot.service ldconfig.service \
	systemd-sysusers.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
	dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount run-lock.mount sys-fs-fuse-connections.mount \
	systemd-random-seed.service systemd-pstore.service systemd-logind.service systemd-user-sessions.service \
	systemd-udev-load-credentials.service systemd-pcrphase.service systemd-update-utmp.service \
	systemd-hostnamed.socket alsa-restore.service alsa-state.service; do
	ln -sf /dev/null "$work/root/etc/systemd/system/$unit"
done
touch "$work/root/etc/.updated" "$work/root/var/.updated"
echo "/dev/vda / ext4 rw,noatime 0 1" >"$work/root/etc/fstab"
echo vm >"$work/root/etc/hostname"

step "start-up: kernel $kernel"
mkdir -p "$work"/initramfs/{bin,dev,proc,sys,new,modules}
cp "$work/root/usr/bin/busybox" "$work/initramfs/bin/"
for module in virtio_blk ext4; do chroot "$work/root" modprobe --show-depends -S "$kernel" $module; done |
	awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r file; do
	name=$(basename "$file" .xz)
	xz -dc "$work/root$file" >"$work/initramfs/modules/$name"
	echo "$name" >>"$work/initramfs/modules/order"
done
cat >"$work/initramfs/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$module; done
while [ ! -b /dev/vda ]; do /bin/busybox usleep 10000; done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /new
/bin/busybox umount /dev
exec /bin/busybox switch_root /new /sbin/init
INIT
chmod +x "$work/initramfs/init"
(cd "$work/initramfs" && find . | cpio --create --format=newc --quiet) >"$work/initramfs.cpio"

step "image"
# Python compiles what it needs once, here, and not at every start on a machine 14 times slower.
chroot "$work/root" python3 -m compileall -q /usr/lib/python3 /usr/local/lib >/dev/null || true
mke2fs -q -t ext4 -L root -d "$work/root" -O ^has_journal,^metadata_csum -m 0 "$work/root.ext4" 900M
mv "$work/root/boot/vmlinuz-$kernel" "$out/vmlinuz"
mv "$work/initramfs.cpio" "$out/initramfs"
# Last, since it says that all is there.
mv "$work/root.ext4" "$out/root.ext4"
step "done"
