#!/bin/bash
# build.sh FOLDER: makes FOLDER/{vmlinuz,initramfs,root.ext4}, a Debian that QEMU boots in some 15 s, with what the daemon
# needs and without the daemon. From Debian's mirror and PyPI's wheels alone; as root; 800 MB; two minutes.
# Host packages: mmdebstrap arch-test cpio xz-utils e2fsprogs
set -euo pipefail
suite=trixie
out=$1
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
mirror=${mirror:-http://deb.debian.org/debian}
mkdir -p "$out"
work=$(mktemp -d "$out/building.XXXXXX")
trap 'rm -rf "$work"' EXIT
step() { echo "[$(date +%T)] $*"; }

step "Debian $suite from $mirror"
packages=systemd,systemd-sysv,udev,kmod,procps,alsa-utils,busybox-static,linux-image-amd64,tiny-initramfs
packages+=,python3,python3-numpy,python3-pyaudio,python3-systemd
mmdebstrap --quiet --variant=minbase --keyring=$keyring --aptopt='Apt::Install-Recommends "false"' --include=$packages \
	$suite "$work/root" "deb [signed-by=$keyring] $mirror $suite main"
kernel=$(basename "$work"/root/boot/vmlinuz-*)
kernel=${kernel#vmlinuz-}

# Pure Python, so that the version of this machine's pip and Python does not matter. Within the bounds of pyproject.toml.
step "wheels"
mkdir "$work/wheels"
python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation=py --abi=none --platform=any \
	--python-version=3.13 --dest="$work/wheels" 'websockets>=15.0.1,<18' 'gpiozero>=2.0.1,<3' colorzero
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
