# In the virtual machine: what a Pi has before anything is installed on it, then service.py.
set -e
# 54 lines, the header's among them; root's alone, as the kernel makes them. Its kernel's own header chip is the first, too.
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
modprobe gpio-sim
chip=/sys/kernel/config/gpio-sim/pi
mkdir -p $chip/bank0
echo 54 >$chip/bank0/num_lines
echo pinctrl-bcm2835 >$chip/bank0/label
for line in 17 27; do mkdir $chip/bank0/line$line; done
echo 1 >$chip/live
# One card that is microphone and speaker, as a USB one mostly is; its second device is the room.
modprobe snd-aloop index=0 id=Device pcm_substreams=1
modprobe uinput
udevadm settle
python3 /share/service.py
